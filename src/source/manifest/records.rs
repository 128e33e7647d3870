//! From an answer to the records that are taken: extracted, filtered, transformed; as text where nobody looks inside.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else JSON has in that place is no record")]

use super::decode::{decode, items, pick};
use super::error::ReadError;
use super::normalize::normalize;
use super::slices::Lane;
use super::{Item, Reader};
use crate::manifest::extract::Extractor;
use crate::manifest::source::Decoder;
use crate::manifest::told_schema::ToldSchema;
use crate::manifest::{Json, Scope, Slice, Stream, path};
use crate::wire::http::Reply;
use std::sync::Arc;

/// What is known about a stream before its first page, so that it is found out once.
pub struct Plan<'s> {
    pub stream: &'s Stream,
    /// Where records are.
    extractor: Extractor<String>,
    /// Records are passed on as text.
    pub raw: bool,
    /// A page's templates look at the answer, or who reads it does.
    response: bool,
    /// Who reads it is told what else a page has.
    pub page: bool,
    /// The first page of each slice is in the parent's record.
    pub begins_in_parents: bool,
    /// The properties that its requests name, once they are known.
    pub names: Option<Vec<String>>,
    /// What values become, where the network tells it.
    pub schema: Option<Json>,
    /// The member of a record that its cursor looks at.
    pub field: Option<String>,
}

/// A page.
pub struct Taken {
    /// The records.
    pub items: Vec<Item>,
    /// How many it held before any was left out.
    pub extracted: usize,
    /// What templates see of the answer.
    pub response: Option<Json>,
    /// The answer's length.
    pub bytes: usize,
}

impl<'s> Plan<'s> {
    pub fn new(stream: &'s Stream, extractor: Extractor<String>, page: bool) -> Self {
        let pages = stream.paginator.as_ref();
        let templates = pages.is_some_and(|pages| pages.names("response"));
        let raw = extractor.plain().is_some_and(|at| {
            let inside = at.first().is_some_and(|first| pages.is_some_and(|pages| pages.names(first)));
            let wild = at.iter().any(|segment| segment.contains(['*', '?']) || segment.parse::<usize>().is_ok());
            // A page's template that names the member with the records looks at them; without a path the answer is the records.
            stream.decoder == Decoder::Json && !stream.looks_at_records() && !wild && !(templates && (inside || at.is_empty()))
        });
        Self { stream, extractor, raw, response: templates || page, page, begins_in_parents: false, names: None, schema: None, field: None }
    }

    /// Whether states of a part of its partitions may be told: not where another stream is read as soon as there is a state, which may not give what
    /// this one has not read.
    pub const fn tells_early(&self) -> bool {
        self.stream.resumed.is_none()
    }
}

impl Reader {
    pub(super) async fn take(&self, plan: &Plan<'_>, reply: &Reply, scope: &Scope) -> Result<Taken, ReadError> {
        if plan.raw
            && let Some(at) = plan.extractor.plain()
            && let Some(taken) = raw(at, plan.response, &reply.body)
        {
            return Ok(taken);
        }
        // As in the reference an answer that can't be decoded has no records: the first page that is no JSON would otherwise look like the end.
        let values = decode(&plan.stream.decoder, &reply.body)?;
        let found = self.extract(&plan.extractor, &values).await?;
        let extracted = found.records.len() + found.empty;
        let mut taken = Vec::with_capacity(found.records.len());
        for record in found.records {
            if let Some(record) = self.changed(plan, record, scope)? {
                taken.push(Item::Json(record));
            }
        }
        let response = if plan.response {
            Some(if plan.stream.decoder.is_whole() { values.into_iter().next().unwrap_or_else(Json::object) } else { Json::object() })
        } else {
            None
        };
        Ok(Taken { items: taken, extracted, response, bytes: reply.body.len() })
    }

    async fn extract(&self, extractor: &Extractor<String>, values: &[Json]) -> Result<Found, ReadError> {
        let mut all = Found::default();
        let (at, expander) = match extractor {
            Extractor::Path { at, expander } => (at, expander),
            Extractor::Combined { extractors, first, full } => {
                for one in extractors {
                    let mut found = Box::pin(self.extract(one, values)).await?;
                    if *full {
                        let before = found.records.len();
                        found.records.retain(Json::is_true);
                        found.empty += before - found.records.len();
                    }
                    if *first && found.records.is_empty() {
                        continue;
                    }
                    all.records.extend(found.records);
                    all.empty += found.empty;
                    if *first {
                        break;
                    }
                }
                return Ok(all);
            }
        };
        for value in values {
            if at.is_empty() {
                records_of(value, &mut all.records);
            } else if at.iter().any(|segment| segment.contains(['*', '?'])) {
                let mut found = Vec::new();
                path::values(value, at, &mut found);
                all.records.extend(found.into_iter().cloned());
            } else if let Some(found) = path::get(value, at) {
                records_of(found, &mut all.records);
            }
        }
        let Some(expander) = expander else { return Ok(all) };
        let mut expanded = Vec::new();
        for record in all.records {
            let asked = match expander.asks(&record) {
                None => Vec::new(),
                Some(stream) => Box::pin(self.held_by(stream, &record)).await?,
            };
            expander.expand(record, asked, &mut expanded)?;
        }
        Ok(Found { records: expanded, empty: 0 })
    }

    /// Everything that a record holds, asked for because it does not hold all.
    async fn held_by(&self, stream: &Stream, record: &Json) -> Result<Vec<Json>, ReadError> {
        let partition = [("parent_record".into(), record.clone())].into_iter().collect();
        let slice = Slice { partition: Arc::new(partition), ..Slice::default() };
        let extractor = stream.extractor.evaluated(&self.source.engine, &Scope::new(&self.config()))?;
        let mut kept = Lane::Keep(Vec::new());
        self.pages(&Plan::new(stream, extractor, self.bills_beside(stream)), &slice, None, &mut kept).await?;
        Ok(if let Lane::Keep(records) = kept { records } else { Vec::new() })
    }

    /// The schema that the network tells of a stream: of the first record of another.
    pub(super) async fn schema_of(&self, told: &ToldSchema) -> Result<Json, ReadError> {
        let stream = &told.stream;
        let extractor = stream.extractor.evaluated(&self.source.engine, &Scope::new(&self.config()))?;
        let plan = Plan::new(stream, extractor, self.bills_beside(stream));
        let mut lane = Lane::First(None);
        let ended = Box::pin(self.pages(&plan, &Slice::default(), None, &mut lane)).await;
        let found = if let Lane::First(found) = lane { found } else { None };
        if found.is_none() {
            ended?;
        }
        Ok(told.of(found.as_ref(), &self.source.engine, &self.config())?)
    }

    fn changed(&self, plan: &Plan<'_>, record: Json, scope: &Scope) -> Result<Option<Json>, ReadError> {
        let stream = plan.stream;
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
        if let (true, Some(schema)) = (stream.normalize, plan.schema.as_ref().or(stream.schema.as_ref())) {
            normalize(&mut record, schema, 0);
        }
        Ok(Some(record))
    }
}

/// What an extractor found.
#[derive(Default)]
struct Found {
    records: Vec<Json>,
    /// Records that are nothing, and were left out: they count for the page.
    empty: usize,
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
fn raw(at: &[String], with_rest: bool, body: &[u8]) -> Option<Taken> {
    let picked = pick(body, at, with_rest)?;
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
    Some(Taken { items, extracted, response: with_rest.then_some(picked.rest), bytes: body.len() })
}
