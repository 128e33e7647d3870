//! One request of a question, by its requester's address, login and way with errors.

use super::error::ComplianceError;
use crate::declare::manifest::Compliance;
use crate::manifest::request::{Built, Options};
use crate::manifest::{Json as Value, Scope};
use crate::source::manifest::{Bill, Gate, ReadError, Reader, Reserved};
use serde_json::Value as Json;

/// Whether an answer of this status says something, though it is a refusal.
pub(super) type Telling<'a> = &'a (dyn Fn(u16, &Json) -> bool + Sync);

/// What is asked.
#[derive(Default)]
pub(super) struct Question<'a> {
    /// `GET`, where nothing is said.
    pub method: Option<&'static str>,
    /// What follows the requester's address.
    pub below: &'a str,
    /// JSON that is sent.
    pub body: Option<&'a Json>,
    /// Parameters beside the requester's own.
    pub options: Options,
    /// The id that the requester's templates name.
    pub id: Option<&'a str>,
    /// Refusals that are taken.
    pub telling: Option<Telling<'a>>,
}

/// What was answered.
pub(super) struct Told {
    /// Where it was asked.
    pub gate: Gate,
    pub status: u16,
    /// Its content; a refusal without JSON tells nothing, and is an error.
    pub answer: Json,
    /// What was set aside for it, to be settled by whoever counts the records.
    pub reserved: Option<Reserved>,
}

/// Asks; `None` where the manifest says that the answer is left out.
///
/// # Errors
/// Where there is no answer, or none that is JSON.
pub(super) async fn ask(
    reader: &Reader,
    asked: &Compliance,
    question: Question<'_>,
    bill: Option<&Bill<'_>>,
) -> Result<Option<Told>, ComplianceError> {
    reader.tick();
    let config = reader.config();
    let mut named = Value::object();
    if let Some(id) = question.id {
        named.members_mut().insert("id".into(), Value::text(id));
    }
    let scope = Scope::new(&config).with_slice(&named.to_template());
    let mut options = question.options;
    reader.log_in(&asked.login, &mut options).await?;
    let base = asked.outline.base.text(reader.engine(), &scope).map_err(ReadError::from)?;
    let gate = Gate::of(&base)?;
    let mut built: Built = asked.outline.build(options, None, reader.engine(), &scope).map_err(ReadError::from)?;
    built.method = question.method.unwrap_or("GET");
    built.url.push_str(question.below);
    if let Some(body) = question.body {
        built.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        built.headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        built.body = Some(body.to_string().into_bytes());
    }
    let telling = question
        .telling
        .map(|telling| move |status: u16, body: &[u8]| serde_json::from_slice::<Json>(body).is_ok_and(|answer| telling(status, &answer)));
    let telling = telling.as_ref().map(|telling| telling as crate::source::manifest::Telling<'_>);
    let Some((reply, reserved)) = reader.send_for(built, &gate, (&asked.errors, &asked.login), bill, telling).await? else {
        return Ok(None);
    };
    let answer = serde_json::from_slice(&reply.body).map_err(|_no_json| ComplianceError::NotUnderstood("it is not JSON"))?;
    Ok(Some(Told { gate, status: reply.status, answer, reserved }))
}
