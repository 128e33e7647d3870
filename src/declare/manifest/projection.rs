//! Our block of a manifest, `metadata.kith`: how a stream's record becomes an activity. Each value is a CEL expression over `record`; what is
//! missing is left out, and the outcome is read as a line of Activity Streams is. What stands beside the records of a page, such as their
//! authors, is put into them first.

use super::compile::Compiler;
use super::part::{Kind, Part};
use crate::diagnose::{Code, Diagnostic, Span};
use crate::expr::{Record, RecordCel};
use crate::manifest::Source;
use crate::model::Network;
use serde_json::Value as Json;
use std::collections::HashMap;

pub(super) const BAD_PROJECTION: Code = Code("KITH-N030");
/// Objects inside of an activity: an object's attachment's name is the deepest that is read.
const DEEPEST: usize = 8;

/// How a stream's records become activities.
#[derive(Debug)]
pub struct Projection {
    /// The stream.
    pub stream: String,
    beside: Vec<Beside>,
    only: Option<RecordCel>,
    activity: Shape,
}

/// What stands beside the records of a page and belongs to one of them: an author among `includes.users`.
#[derive(Debug)]
pub(super) struct Beside {
    /// The record's member that it becomes.
    name: String,
    /// Where the list is, from the top of the answer.
    at: Vec<String>,
    /// The member that tells one from the other.
    key: String,
    /// What that member is for a record.
    of: RecordCel,
}

/// What stands beside the records of one page, by its key.
#[derive(Debug, Default)]
pub struct Surroundings(Vec<HashMap<String, Json>>);

/// A text or a whole number as a key.
fn key(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// A part of an activity.
#[derive(Debug)]
enum Shape {
    Value(RecordCel),
    Object(Vec<(String, Shape)>),
    List(Vec<Shape>),
}

impl Shape {
    fn of(&self, record: &Record) -> Json {
        match self {
            Self::Value(cel) => cel.evaluate(record).to_json(),
            Self::Object(members) => {
                let found: serde_json::Map<String, Json> =
                    members.iter().map(|(name, shape)| (name.clone(), shape.of(record))).filter(|(_, value)| !value.is_null()).collect();
                if found.is_empty() { Json::Null } else { found.into() }
            }
            Self::List(items) => {
                let found: Vec<Json> = items.iter().map(|shape| shape.of(record)).filter(|value| !value.is_null()).collect();
                if found.is_empty() { Json::Null } else { found.into() }
            }
        }
    }
}

impl Projection {
    /// Whether it looks at what stands beside the records.
    pub const fn looks_beside(&self) -> bool {
        !self.beside.is_empty()
    }

    /// What stands beside the records of a page.
    pub fn surroundings(&self, page: &Json) -> Surroundings {
        let found = self.beside.iter().map(|beside| {
            let list = beside.at.iter().try_fold(page, |at, name| at.get(name)).and_then(Json::as_array);
            list.into_iter().flatten().filter_map(|item| Some((key(item.get(&beside.key)?)?, item.clone()))).collect()
        });
        Surroundings(found.collect())
    }

    /// The record as a line of Activity Streams; `None` where it is none that is taken.
    pub fn line(&self, mut record: Json, around: &Surroundings) -> Option<Vec<u8>> {
        for (beside, found) in self.beside.iter().zip(&around.0) {
            let own = key(&beside.of.evaluate(&Record::new(&record)).to_json()).and_then(|key| found.get(&key));
            if let Some(members) = record.as_object_mut() {
                // What is not beside it is not there, whatever the record says under that name.
                members.insert(beside.name.clone(), own.cloned().unwrap_or_default());
            }
        }
        let record = Record::new(&record);
        if self.only.as_ref().is_some_and(|only| !only.holds(&record).holds()) {
            return None;
        }
        Some(self.activity_of(&record))
    }

    /// The record as a line of Activity Streams, whether it is taken or not: whom is it about? Nothing stands beside it.
    pub fn line_of_any(&self, record: &Json) -> Vec<u8> {
        self.activity_of(&Record::new(record))
    }

    fn activity_of(&self, record: &Record) -> Vec<u8> {
        let mut activity = self.activity.of(record);
        if let Some(members) = activity.as_object_mut() {
            members.entry("@context").or_insert_with(|| "https://www.w3.org/ns/activitystreams".into());
        }
        activity.to_string().into_bytes()
    }
}

/// `network:` of a block or of a records file.
pub(super) fn network(kith: &Part, complain: &mut impl FnMut(Span, String, &str)) -> Option<Network> {
    let part = kith.get("network")?;
    let named = part.text().and_then(|name| name.parse::<Network>().ok());
    if named.is_none() {
        complain(part.span, "Kith does not know this network".to_owned(), "See the list in the documentation of `network`");
    }
    named
}

/// The block, where there is one.
pub(super) fn block(compiler: &mut Compiler<'_>, whole: &Part, source: &Source) -> (Option<Network>, Vec<Projection>) {
    let Some(kith) = whole.get("metadata").and_then(|metadata| metadata.get("kith")).cloned() else { return (None, Vec::new()) };
    let mut complain = |span: Span, message: String, remedy: &str| {
        let place = compiler.tree.place(span);
        compiler.problems.push(Diagnostic::error(BAD_PROJECTION, place, message, remedy));
    };
    for field in kith.fields() {
        if !["network", "streams", "live", "webhooks", "compliance", "cost", "duties", "documentation", "as_of"].contains(&&*field.key) {
            complain(
                field.key_span,
                format!("the block does not know the key `{}`", field.key),
                "It has network, streams, live, webhooks, compliance, cost, duties, documentation and as_of",
            );
        }
    }
    let network = network(&kith, &mut complain);
    let projections = streams(&kith, &mut complain, |name| source.stream(name).is_some() || !source.dynamic.is_empty());
    (network, projections)
}

/// `streams:` of a block or of a records file; `has` tells whether there is such a stream.
pub(super) fn streams(kith: &Part, complain: &mut impl FnMut(Span, String, &str), has: impl Fn(&str) -> bool) -> Vec<Projection> {
    let mut projections = Vec::new();
    for field in kith.get("streams").map(Part::fields).unwrap_or_default() {
        if !has(&field.key) {
            complain(field.key_span, format!("the manifest has no stream `{}`", field.key), "Name one of its streams");
            continue;
        }
        for known in field.value.fields() {
            if !["beside", "only", "activity"].contains(&&*known.key) {
                complain(known.key_span, format!("a projection does not know the key `{}`", known.key), "It has beside, only and activity");
            }
        }
        let beside = field.value.get("beside").map(|part| beside(part, complain)).unwrap_or_default();
        projections.extend(projection(&field.key, field.key_span, &field.value, beside, complain));
    }
    projections
}

/// How a record of a webhook becomes an activity.
pub(super) fn of(compiler: &mut Compiler<'_>, name: &str, named: Span, part: &Part) -> Option<Projection> {
    let mut complain = |span: Span, message: String, remedy: &str| {
        let place = compiler.tree.place(span);
        compiler.problems.push(Diagnostic::error(BAD_PROJECTION, place, message, remedy));
    };
    let beside = part.get("beside").map(|part| beside(part, &mut complain)).unwrap_or_default();
    projection(name, named, part, beside, &mut complain)
}

/// `only` and `activity`.
pub(super) fn projection(
    stream: &str,
    named_at: Span,
    part: &Part,
    beside: Vec<Beside>,
    complain: &mut impl FnMut(Span, String, &str),
) -> Option<Projection> {
    let only = part.get("only").and_then(|part| cel(part, complain));
    let Some(activity) = part.get("activity") else {
        complain(named_at, "the projection has no `activity`".to_owned(), "Write `activity:` with type, id, actor and object");
        return None;
    };
    for needed in ["type", "id", "actor", "object"] {
        if activity.get(needed).is_none() {
            complain(activity.span, format!("an activity needs `{needed}`"), "Write an expression over `record`");
        }
    }
    if let Some(actor) = activity.get("actor")
        && !actor.fields().is_empty()
        && actor.get("id").is_none()
    {
        complain(actor.span, "an actor needs `id`".to_owned(), "Write the stable id of the account, never its handle");
    }
    let activity = shape(activity, complain, 0)?;
    Some(Projection { stream: stream.to_owned(), beside, only, activity })
}

/// `author: { at: includes.users, key: id, of: record.author_id }`
fn beside(part: &Part, complain: &mut impl FnMut(Span, String, &str)) -> Vec<Beside> {
    const FORM: &str = "Write `author: { at: includes.users, key: id, of: record.author_id }`";
    if part.fields().is_empty() {
        complain(part.span, "`beside` names nothing".to_owned(), FORM);
    }
    let mut found = Vec::new();
    for field in part.fields() {
        for known in field.value.fields() {
            if !["at", "key", "of"].contains(&&*known.key) {
                complain(known.key_span, format!("what stands beside does not know the key `{}`", known.key), FORM);
            }
        }
        let text = |name: &str| field.value.get(name).and_then(Part::text);
        let of = field.value.get("of").and_then(|part| cel(part, complain));
        match (text("at"), text("key"), of) {
            (Some(at), Some(key), Some(of)) => {
                found.push(Beside {
                    name: field.key.to_string(),
                    at: at.split('.').map(str::to_owned).collect(),
                    key: key.to_string(),
                    of,
                });
            }
            _ => complain(field.key_span, format!("`{}` needs at, key and of", field.key), FORM),
        }
    }
    found
}

pub(super) fn cel(part: &Part, complain: &mut impl FnMut(Span, String, &str)) -> Option<RecordCel> {
    let Some(text) = part.scalar() else {
        complain(part.span, "an expression is meant here".to_owned(), "Write CEL over `record`, such as `record.account.url`");
        return None;
    };
    RecordCel::new(&text)
        .map_err(|problems| {
            for problem in problems {
                complain(part.span, problem.message.clone(), &problem.remedy);
            }
        })
        .ok()
}

fn shape(part: &Part, complain: &mut impl FnMut(Span, String, &str), depth: usize) -> Option<Shape> {
    if depth > DEEPEST {
        complain(part.span, format!("more than {DEEPEST} levels inside each other"), "Write it flatter");
        return None;
    }
    match &part.kind {
        Kind::Map(fields) => fields
            .iter()
            .filter(|field| &*field.key != "$parameters")
            .map(|field| Some((field.key.to_string(), shape(&field.value, complain, depth + 1)?)))
            .collect::<Option<_>>()
            .map(Shape::Object),
        Kind::List(items) => items.iter().map(|item| shape(item, complain, depth + 1)).collect::<Option<_>>().map(Shape::List),
        Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) => cel(part, complain).map(Shape::Value),
    }
}
