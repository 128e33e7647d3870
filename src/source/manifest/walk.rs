//! A stream from its partitions through its slices and pages to its state.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else JSON has in that place is the same fault")]

use super::error::ReadError;
use super::records::Plan;
use super::slices::{Jobs, MOST_AT_ONCE};
use super::{Batch, Item, Reader};
use crate::manifest::cursor::{CountCursor, DateCursor};
use crate::manifest::partitions::{PartitionCursors, of_legacy};
use crate::manifest::path;
use crate::manifest::slice::{grouped, united};
use crate::manifest::source::{CursorKind, ListValues, Parent, Router};
use crate::manifest::transform::evaluated;
use crate::manifest::{Fallback, Gap, Json, Members, Moment, Scope, Slice, Stream, Wanted};
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// Partitions of a stream; at 200 bytes each they take 200 MB.
const MOST_PARTITIONS: usize = 1_000_000;

/// Where a slice carries the first page of its records.
pub const FIRST_PAGE: &str = "child_response";

/// Where records go.
pub enum Out<'a> {
    /// To the reader's caller.
    Send(&'a Sender<Batch>),
    /// Kept, with their slices: a parent's records.
    Keep(Vec<(Json, Slice)>),
}

impl<'a> Out<'a> {
    pub(super) const fn sender(&self) -> Option<&'a Sender<Batch>> {
        if let Self::Send(to) = self { Some(to) } else { None }
    }

    /// Keeps records, or makes the batch that is to be sent.
    pub(super) fn records(&mut self, items: Vec<Item>, page: Option<Json>, slice: &Slice) -> Result<Option<Batch>, ReadError> {
        match self {
            Self::Send(_) => Ok((!items.is_empty()).then_some(Batch::Records { items, page })),
            Self::Keep(kept) => {
                if kept.len() + items.len() > MOST_PARTITIONS {
                    return Err(ReadError::Partitions(MOST_PARTITIONS));
                }
                kept.extend(items.into_iter().map(|item| (item.json(), slice.clone())));
                Ok(None)
            }
        }
    }

    /// The batch that tells a state; a parent's states go with its child's.
    pub(super) fn state(&self, state: Json) -> Option<Batch> {
        self.sender().map(|_| Batch::State(state))
    }
}

/// What is remembered while a stream is read.
pub(super) enum Memory {
    None,
    Date(Box<DateCursor>),
    Count(CountCursor),
    Partitions(Box<PartitionCursors>),
}

impl Memory {
    fn field(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Date(cursor) => Some(cursor.field()),
            Self::Count(cursor) => Some(cursor.field()),
            Self::Partitions(cursors) => Some(cursors.field()),
        }
    }

    /// The slices of a partition.
    pub(super) fn slices(
        &mut self,
        partition: &Arc<Members>,
        engine: &crate::manifest::Engine,
        config: &Json,
    ) -> Result<Vec<Arc<Members>>, ReadError> {
        Ok(match self {
            Self::None => vec![Arc::default()],
            Self::Date(cursor) => cursor.slices()?,
            Self::Count(cursor) => vec![cursor.slice()],
            Self::Partitions(cursors) => cursors.slices(partition, engine, config)?,
        })
    }

    /// The cursor of a partition.
    pub(super) fn cursor(&self, partition: &Members) -> Option<Arc<DateCursor>> {
        match self {
            Self::None | Self::Count(_) => None,
            Self::Date(cursor) => Some(Arc::new((**cursor).clone())),
            Self::Partitions(cursors) => cursors.of(partition).cloned().map(Arc::new),
        }
    }

    /// Takes note of records of a slice.
    pub(super) fn observe(&mut self, slice: &Slice, field: Option<&str>, items: &[Item]) {
        let Some(field) = field else { return };
        let values = items.iter().filter_map(|item| item.member(field));
        match self {
            Self::None => {}
            Self::Date(cursor) => values.for_each(|value| cursor.observe(&value)),
            Self::Count(cursor) => values.for_each(|value| cursor.observe(&value)),
            Self::Partitions(cursors) => cursors.observe(&slice.partition, values),
        }
    }

    /// A slice was read to its end; `last`: its partition's last; `due`: a state that tells of every partition may be made. Whether there is a state
    /// to tell.
    pub(super) fn close(&mut self, slice: &Slice, last: bool, due: bool) -> Result<bool, ReadError> {
        match self {
            Self::None | Self::Count(_) => Ok(false),
            Self::Date(cursor) => Ok(cursor.close(&slice.cursor).map(|()| true)?),
            Self::Partitions(cursors) => Ok(cursors.close(&slice.partition, &slice.cursor, last).map(|()| due)?),
        }
    }

    pub(super) fn state(&self) -> Json {
        match self {
            Self::None => {
                let mut state = Members::new();
                state.insert("__ab_no_cursor_state_message".into(), Json::Bool(true));
                Json::Map(Arc::new(state))
            }
            Self::Date(cursor) => cursor.state(),
            Self::Count(cursor) => cursor.state(),
            Self::Partitions(cursors) => cursors.state(),
        }
    }
}

impl Reader {
    /// Reads a stream; the answer is its final state.
    pub(super) async fn walk(&self, stream: &Stream, state: Option<Json>, out: &mut Out<'_>) -> Result<Json, ReadError> {
        let began = self.tick();
        let config = self.config();
        let engine = &self.source.engine;
        let stream = stream.after(state.as_ref());
        let state = match state {
            Some(state) if stream.takes_legacy_state => Some(self.of_legacy(stream, &state, &config)?.unwrap_or(state)),
            state => state,
        };
        let given = state.as_ref();
        let mut memory = match (&stream.cursor, stream.routers.is_empty()) {
            (None, _) => Memory::None,
            (Some(CursorKind::Count { spec, .. }), _) => Memory::Count(CountCursor::new(spec, given, engine, &config)?),
            (Some(CursorKind::Date { spec, .. }), true) => Memory::Date(Box::new(DateCursor::new(spec, given, None, engine, &config)?)),
            (Some(CursorKind::Date { spec, global, .. }), false) => {
                // Of groups only one cursor over all is remembered: who is in which may change.
                let grouped = stream.remembers_parents && matches!(stream.routers.as_slice(), [Router::Grouped { .. }]);
                let global = *global || grouped;
                Memory::Partitions(Box::new(PartitionCursors::new(spec, global, given, engine, &config)?))
            }
        };
        let (partitions, parent_state) = self.partitions(stream, given, &config).await?;
        let looks = self.with_pages.contains(&stream.name) || self.bills_beside(stream);
        let extractor = stream.extractor.evaluated(engine, &Scope::new(&config))?;
        let mut plan = Plan::new(stream, extractor, looks);
        plan.begins_in_parents = stream.begins_in_parents() && !given.is_some_and(Json::is_true);
        plan.field = memory.field().map(str::to_owned);
        let looks = stream.leaves_out_known() || stream.ways.looks_at_time();
        let mut jobs = Jobs::new(partitions, looks);
        if let Some(first) = jobs.next(&mut memory, engine, &config)? {
            if stream.properties.is_some() {
                plan.names = Some(self.property_names(stream).await?);
            }
            if let Some(told) = &stream.told_schema {
                plan.schema = Some(self.schema_of(told).await?);
            }
            let at_once = self.at_once(&config)?;
            Box::pin(self.slices(&plan, first, &mut jobs, at_once, (&mut memory, out))).await?;
        }
        if let Memory::Partitions(cursors) = &mut memory {
            let micros = self.tick() - began;
            cursors.finish(micros / 1_000_000 + 1, parent_state);
        }
        Ok(memory.state())
    }

    /// How many slices are read at once: what the manifest says for this configuration, up to [`MOST_AT_ONCE`].
    fn at_once(&self, config: &Json) -> Result<usize, ReadError> {
        let Some(concurrency) = &self.source.concurrency else { return Ok(1) };
        let said = concurrency.usual.evaluate(&self.source.engine, &Scope::new(config), Fallback::Own, Wanted::Any)?;
        let Json::Int(said) = said else { return Err(ReadError::Config("`default_concurrency` is no whole number".to_owned())) };
        let most = concurrency.most.map_or(said, |most| said.min(most));
        Ok(usize::try_from(most).unwrap_or(1).clamp(1, MOST_AT_ONCE))
    }

    /// A state, where it is not older than what the network still has; `None`, where all is to be read anew.
    pub(super) fn within_retention(&self, stream: &Stream, state: Option<Json>) -> Result<Option<Json>, ReadError> {
        let (Some(retention), Some(resumed), Some(given)) = (&stream.retention, &stream.resumed, &state) else { return Ok(state) };
        let now = self.tick();
        let config = self.config();
        let text = retention.text(&self.source.engine, &Scope::new(&config))?;
        if text.is_empty() || !given.is_true() {
            return Ok(state);
        }
        let gap = Gap::parse(&text).ok_or_else(|| ReadError::Config("`api_retention_period` is no ISO 8601 duration".to_owned()))?;
        let oldest = Moment::from_micros(now).and_then(|now| now.minus(gap));
        let reached = match self.reached(stream, given, &config)? {
            None => self.reached(resumed, given, &config)?,
            known => known,
        };
        Ok(state.filter(|_| reached.is_some_and(|at| oldest.is_none_or(|oldest| at >= oldest))))
    }

    /// How far a state of a stream reaches.
    fn reached(&self, stream: &Stream, state: &Json, config: &Json) -> Result<Option<Moment>, ReadError> {
        let Some(CursorKind::Date { spec, .. }) = &stream.cursor else {
            // Read whole each time, and to its end: it reaches to now.
            let whole = state.get("__ab_no_cursor_state_message").is_some_and(Json::is_true);
            return Ok(Moment::from_micros(self.source.engine.ambient().now()).filter(|_| whole && stream.cursor.is_none()));
        };
        let cursor = DateCursor::new(spec, None, None, &self.source.engine, config)?;
        let state = if stream.routers.is_empty() { Some(state) } else { state.get("state") };
        let Some(state) = state else { return Ok(None) };
        let value = if state.get("state_type").and_then(Json::as_text) == Some("date-range") {
            let first = state.get("slices").and_then(Json::items).and_then(<[Json]>::first);
            first.and_then(|first| first.get("most_recent_cursor_value").filter(|value| value.is_true()).or_else(|| first.get("end")))
        } else {
            state.get(cursor.field())
        };
        Ok(value.and_then(|value| cursor.parse(value)))
    }

    /// The partitions of a stream, and the state of parents that it depends on.
    async fn partitions(&self, stream: &Stream, state: Option<&Json>, config: &Json) -> Result<(Vec<Slice>, Option<Json>), ReadError> {
        let mut all: Vec<Slice> = vec![Slice::default()];
        let mut parent_state = None;
        for router in &stream.routers {
            let (some, states) = self.routed(router, state, config).await?;
            if stream.remembers_parents {
                parent_state = states;
            }
            if all.len().saturating_mul(some.len()) > MOST_PARTITIONS {
                return Err(ReadError::Partitions(MOST_PARTITIONS));
            }
            // The first router's members win, as in the reference.
            all = all
                .iter()
                .flat_map(|before| {
                    some.iter().map(|next| Slice {
                        partition: Arc::new(path::join(&next.partition, &before.partition)),
                        cursor: Arc::default(),
                        extra: Arc::new(path::join(&next.extra, &before.extra)),
                    })
                })
                .collect();
        }
        Ok((all, parent_state))
    }

    /// A state in the form that was written before there were partitions, brought up; `None` where it is none.
    fn of_legacy(&self, stream: &Stream, state: &Json, config: &Json) -> Result<Option<Json>, ReadError> {
        let (engine, scope) = (&self.source.engine, Scope::new(config));
        let partition = match stream.routers.as_slice() {
            [Router::Parents(parents)] => match parents.as_slice() {
                [parent] => parent.field.text(engine, &scope)?,
                _ => return Ok(None),
            },
            [Router::Union { field, .. }] => field.clone(),
            _ => return Ok(None),
        };
        let Some(CursorKind::Date { spec, .. }) = &stream.cursor else { return Ok(None) };
        Ok(of_legacy(state, &partition, &spec.field.text(engine, &scope)?))
    }

    /// The slices of a router, and the state of parents.
    pub(in crate::source) async fn routed(
        &self,
        router: &Router,
        state: Option<&Json>,
        config: &Json,
    ) -> Result<(Vec<Slice>, Option<Json>), ReadError> {
        let engine = &self.source.engine;
        let scope = Scope::new(config);
        match router {
            Router::List { values, field, .. } => {
                let values = match values {
                    ListValues::Fixed(values) => values.clone(),
                    ListValues::Template(template) => match template.evaluate(engine, &scope, Fallback::Own, Wanted::Any)? {
                        Json::List(items) => items.to_vec(),
                        // Python walks a text letter by letter.
                        Json::Text(text) => text.chars().map(|c| Json::text(c.encode_utf8(&mut [0; 4]))).collect(),
                        _ => return Err(ReadError::Config("the values of a partition are no list".to_owned())),
                    },
                };
                let field = field.text(engine, &scope)?;
                let slices = values.into_iter().map(|value| {
                    let mut members = Members::new();
                    members.insert(field.as_str().into(), value);
                    Slice { partition: Arc::new(members), ..Slice::default() }
                });
                Ok((slices.collect(), None))
            }
            Router::Parents(parents) => {
                let (mut slices, mut states) = (Vec::new(), Members::new());
                for parent in parents {
                    let given = parent.incremental.then(|| parent_state(parent, state)).flatten();
                    let mut kept = Out::Keep(Vec::new());
                    let after = Box::pin(self.walk(&parent.stream, given, &mut kept)).await?;
                    if parent.incremental {
                        states.insert(parent.stream.name.as_str().into(), after);
                    }
                    let Out::Keep(records) = kept else { continue };
                    let key = path::split(&parent.key.text(engine, &scope)?);
                    let field = parent.field.text(engine, &scope)?;
                    let extra = parent.extra.iter().map(|at| evaluated(at, engine, &scope)).collect::<Result<Vec<_>, _>>()?;
                    let first_page = evaluated(&parent.first_page, engine, &scope)?;
                    for (record, slice) in records {
                        let Some(value) = path::get(&record, &key).filter(|value| !matches!(value, Json::Null)) else { continue };
                        let mut members = Members::new();
                        members.insert(field.as_str().into(), value.clone());
                        members.insert("parent_slice".into(), Json::Map(slice.partition.clone()));
                        let mut carried: Members =
                            extra.iter().map(|at| (at.join(".").into(), path::get(&record, at).cloned().unwrap_or_default())).collect();
                        if !first_page.is_empty() {
                            let page = path::get(&record, &first_page).cloned().unwrap_or_else(|| Json::List(Arc::default()));
                            carried.insert(FIRST_PAGE.into(), page);
                        }
                        slices.push(Slice { partition: Arc::new(members), cursor: Arc::default(), extra: Arc::new(carried) });
                    }
                }
                Ok((slices, Some(Json::Map(Arc::new(states)))))
            }
            Router::Grouped { router, size, once } => {
                let (slices, states) = Box::pin(self.routed(router, state, config)).await?;
                Ok((grouped(slices, *size, *once)?, states))
            }
            Router::Union { routers, field } => {
                let (mut slices, mut states) = (Vec::new(), Members::new());
                for router in routers {
                    let (some, own) = Box::pin(self.routed(router, state, config)).await?;
                    slices.extend(some);
                    states.extend(own.as_ref().and_then(Json::members).cloned().unwrap_or_default());
                }
                Ok((united(slices, field)?, Some(Json::Map(Arc::new(states)))))
            }
        }
    }
}

/// A parent's state inside of its child's.
fn parent_state(parent: &Parent, state: Option<&Json>) -> Option<Json> {
    let state = state?;
    if let Some(own) = state.get("parent_state").and_then(|parents| parents.get(&parent.stream.name)) {
        return Some(own.clone());
    }
    if let Some(global) = state.get("state") {
        return Some(global.clone());
    }
    // A child's own short state gives the parent the same date.
    let members = state.members()?;
    match (members.len(), members.first(), &parent.stream.cursor) {
        (1, Some((_, value @ (Json::Text(_) | Json::Int(_) | Json::Float(_)))), Some(CursorKind::Date { spec, .. })) => {
            let mut own = Members::new();
            own.insert(spec.field.source().into(), value.clone());
            Some(Json::Map(Arc::new(own)))
        }
        _ => None,
    }
}
