//! One request of a question, by its requester's address, login and way with errors.

use super::error::ComplianceError;
use crate::declare::manifest::Compliance;
use crate::manifest::Scope;
use crate::manifest::request::{Built, Options};
use crate::source::manifest::{Bill, Gate, ReadError, Reader, Reserved};
use serde_json::Value as Json;

/// Asks below the requester's address. With the answer comes what was set aside for it, to be settled by whoever counts the records.
///
/// # Errors
/// Where there is no answer, or none that is JSON.
pub(super) async fn ask(
    reader: &Reader,
    asked: &Compliance,
    (method, below): (&'static str, &str),
    body: Option<&Json>,
    bill: Option<&Bill<'_>>,
) -> Result<(Gate, Json, Option<Reserved>), ComplianceError> {
    reader.tick();
    let config = reader.config();
    let scope = Scope::new(&config);
    let mut options = Options::default();
    reader.log_in(&asked.login, &mut options).await?;
    let base = asked.outline.base.text(reader.engine(), &scope).map_err(ReadError::from)?;
    let gate = Gate::of(&base)?;
    let mut built: Built = asked.outline.build(options, None, reader.engine(), &scope).map_err(ReadError::from)?;
    built.method = method;
    built.url.push_str(below);
    if let Some(body) = body {
        built.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        built.headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        built.body = Some(body.to_string().into_bytes());
    }
    let reply = reader.send(built, &gate, (&asked.errors, &asked.login), bill).await?;
    let (reply, reserved) = reply.ok_or(ComplianceError::NotUnderstood("it was left out"))?;
    let json = serde_json::from_slice(&reply.body).map_err(|_no_json| ComplianceError::NotUnderstood("it is not JSON"))?;
    Ok((gate, json, reserved))
}
