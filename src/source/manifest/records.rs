//! From an answer to the records that are taken: extracted, filtered, transformed; as text where nobody looks inside.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else JSON has in that place is no record")]

use super::decode::{decode, items, pick};
use super::error::ReadError;
use super::normalize::normalize;
use super::{Item, Reader};
use crate::manifest::source::Decoder;
use crate::manifest::{Json, Scope, Stream, path};
use crate::wire::http::Reply;

/// What is known about a stream before its first page, so that it is found out once.
pub struct Plan<'s> {
    pub stream: &'s Stream,
    /// Where records are.
    pub at: Vec<String>,
    /// Records are passed on as text.
    raw: bool,
    /// A page's templates look at the answer, or who reads it does.
    response: bool,
    /// Who reads it is told what else a page has.
    pub page: bool,
    /// The properties that its requests name, once they are known.
    pub names: Option<Vec<String>>,
}

/// A page.
pub struct Taken {
    /// The records.
    pub items: Vec<Item>,
    /// How many it held before any was left out.
    pub extracted: usize,
    /// What templates see of the answer.
    pub response: Option<Json>,
}

impl<'s> Plan<'s> {
    pub fn new(stream: &'s Stream, at: Vec<String>, page: bool) -> Self {
        let pages = stream.paginator.as_ref();
        let templates = pages.is_some_and(|pages| pages.names("response"));
        let inside = at.first().is_some_and(|first| pages.is_some_and(|pages| pages.names(first)));
        let wild = at.iter().any(|segment| segment.contains(['*', '?']) || segment.parse::<usize>().is_ok());
        // A page's template that names the member with the records looks at them; without a path the answer is the records.
        let raw = stream.decoder == Decoder::Json && !stream.looks_at_records() && !wild && !(templates && (inside || at.is_empty()));
        Self { stream, at, raw, response: templates || page, page, names: None }
    }
}

impl Reader {
    pub(super) fn take(&self, plan: &Plan<'_>, reply: &Reply, scope: &Scope) -> Result<Taken, ReadError> {
        if plan.raw
            && let Some(taken) = raw(plan, &reply.body)
        {
            return Ok(taken);
        }
        // As in the reference an answer that can't be decoded has no records: the first page that is no JSON would otherwise look like the end.
        let values = decode(&plan.stream.decoder, &reply.body)?;
        let mut found = Vec::new();
        for value in &values {
            if plan.at.is_empty() {
                records_of(value, &mut found);
            } else if plan.at.iter().any(|segment| segment.contains(['*', '?'])) {
                let mut at = Vec::new();
                path::values(value, &plan.at, &mut at);
                found.extend(at.into_iter().cloned());
            } else if let Some(at) = path::get(value, &plan.at) {
                records_of(at, &mut found);
            }
        }
        let extracted = found.len();
        let mut taken = Vec::with_capacity(extracted);
        for record in found {
            if let Some(record) = self.changed(plan.stream, record, scope)? {
                taken.push(Item::Json(record));
            }
        }
        let response = if plan.response {
            Some(if plan.stream.decoder.is_whole() { values.into_iter().next().unwrap_or_else(Json::object) } else { Json::object() })
        } else {
            None
        };
        Ok(Taken { items: taken, extracted, response })
    }

    fn changed(&self, stream: &Stream, record: Json, scope: &Scope) -> Result<Option<Json>, ReadError> {
        let mut record = record;
        let holds = |record: &Json| match &stream.filter {
            None => Ok(true),
            Some(filter) => filter.holds(&self.source.engine, &scope.clone().with("record", record.to_template())),
        };
        if !stream.transform_first && !holds(&record)? {
            return Ok(None);
        }
        for transformation in &stream.transformations {
            transformation.apply(&mut record, &self.source.engine, scope)?;
        }
        if stream.transform_first && !holds(&record)? {
            return Ok(None);
        }
        if let (true, Some(schema)) = (stream.normalize, &stream.schema) {
            normalize(&mut record, schema, 0);
        }
        Ok(Some(record))
    }
}

/// A list's items; or the one that it is, where it is something.
fn records_of(value: &Json, found: &mut Vec<Json>) {
    match value {
        Json::List(items) => found.extend(items.iter().cloned()),
        other if other.is_true() => found.push(other.clone()),
        _ => {}
    }
}

/// The records as text, where the answer has the usual form.
fn raw(plan: &Plan<'_>, body: &[u8]) -> Option<Taken> {
    let picked = pick(body, &plan.at, plan.response)?;
    let found = match picked.at {
        None => Vec::new(),
        Some(at) => items(at)?,
    };
    // A list of lists, or of anything but objects, is left to the careful way.
    if !found.iter().all(|item| item.get().starts_with('{')) {
        return None;
    }
    let extracted = found.len();
    let items = found.into_iter().map(|item| Item::Raw(item.to_owned())).collect();
    Some(Taken { items, extracted, response: plan.response.then_some(picked.rest) })
}
