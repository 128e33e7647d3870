//! From a delivery's body to lines of Activity Streams, as the connector's webhook says.

use crate::declare::manifest::{Connector, Form, Surroundings, Take, Webhook};
use crate::manifest::source::Decoder;
use crate::manifest::{Json, Members, Scope};
use crate::model::Personal;
use crate::normalize::activity_streams::{Malformed, Reader};
use crate::source::SourceLine;
use crate::source::manifest::decode;
use std::sync::Arc;

/// Records of one body: Meta collects up to 1,000 changes. The rest would be a body made to harm.
const MOST_RECORDS: usize = 10_000;
/// What a record is told of what it stands in: short values of the first members.
const TOLD_MEMBERS: usize = 64;
const TOLD_TEXT: usize = 2_048;
/// The member with what a record stands in.
const WITHIN: &str = "within";

/// A body's lines, or the whole of it, where it can't be read.
#[derive(Debug)]
pub struct Body {
    /// Activities.
    pub good: Vec<SourceLine>,
    /// What is none, each with its reason.
    pub bad: Vec<SourceLine>,
}

/// Takes out of a body what its webhook names. `server` is the site that it is of, where the body does not say so; `now` is in microseconds since 1970.
pub fn take(connector: &Connector, webhook: &Webhook, server: Option<&str>, body: &[u8], reader: &Reader, now: i64) -> Body {
    let whole = |form| Body { good: Vec::new(), bad: vec![line(1, Err(Malformed::OtherForm { form }), body.to_vec())] };
    let (decoder, form) = match webhook.form {
        Form::Json => (Decoder::Json, "JSON"),
        Form::Xml => (Decoder::Xml, "XML"),
    };
    let Ok(Some(value)) = decode(&decoder, body).map(|values| values.into_iter().next()) else { return whole(form) };
    connector.source.engine.ambient().set_now(now);
    let mut config = Json::object();
    if let Some(server) = server {
        config.members_mut().insert("server".into(), Json::Text(server.into()));
    }
    let mut taken = Body { good: Vec::new(), bad: Vec::new() };
    let mut number = 0;
    for take in &webhook.takes {
        let mut found = Vec::new();
        collect(&value, &take.at, &mut Vec::new(), &mut found);
        if found.len() + number > MOST_RECORDS {
            return whole("of at most 10,000 records");
        }
        for record in found {
            number += 1;
            let at = u64::try_from(number).unwrap_or(u64::MAX);
            match projected(connector, take, &config, record) {
                Ok(None) => {}
                Ok(Some(bytes)) => {
                    let outcome = reader.parse(&bytes);
                    let to = if outcome.is_ok() { &mut taken.good } else { &mut taken.bad };
                    to.push(line(at, outcome, bytes));
                }
                Err((reason, record)) => taken.bad.push(line(at, Err(reason), record.compact().into_bytes())),
            }
        }
    }
    taken
}

fn line(line: u64, outcome: Result<crate::model::Activity, Malformed>, raw: Vec<u8>) -> SourceLine {
    SourceLine { line, outcome, raw: Personal::new(raw) }
}

fn projected(connector: &Connector, take: &Take, config: &Json, record: Json) -> Result<Option<Vec<u8>>, (Malformed, Json)> {
    let nothing = Json::object();
    let scope = Scope::new(config).with_slice(&nothing.to_template());
    let mut changed = record;
    for transformation in &take.transformations {
        if transformation.apply(&mut changed, &connector.source.engine, &scope).is_err() {
            return Err((Malformed::OtherForm { form: "what the templates of its connector expect" }, changed));
        }
    }
    let value = serde_json::to_value(&changed).unwrap_or_default();
    Ok(take.projection.line(value, &Surroundings::default()))
}

/// The objects at a path, each with what it stands in: the body first, without what is long.
fn collect(value: &Json, at: &[String], within: &mut Vec<Json>, found: &mut Vec<Json>) {
    if found.len() > MOST_RECORDS {
        return;
    }
    match (at.split_first(), value) {
        (None, Json::Map(members)) => {
            let mut members = members.clone();
            Arc::make_mut(&mut members).insert(WITHIN.into(), Json::List(Arc::new(within.clone())));
            found.push(Json::Map(members));
        }
        (Some((step, rest)), Json::List(items)) if step == "*" => items.iter().for_each(|item| collect(item, rest, within, found)),
        // XML does not tell a list of one from one.
        (Some((step, rest)), one @ Json::Map(_)) if step == "*" => collect(one, rest, within, found),
        (Some((step, rest)), Json::Map(members)) => {
            if let Some(inner) = members.get(step.as_str()) {
                within.push(told(members, step));
                collect(inner, rest, within, found);
                within.pop();
            }
        }
        (None | Some(_), Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Text(_) | Json::List(_)) => {}
    }
}

fn told(members: &Members, step: &str) -> Json {
    let kept = members.iter().filter(|(name, value)| ***name != *step && value.compact().len() <= TOLD_TEXT).take(TOLD_MEMBERS);
    Json::Map(Arc::new(kept.map(|(name, value)| (name.clone(), value.clone())).collect()))
}
