//! A stream from its partitions through its slices and pages to its state.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else JSON has in that place is the same fault")]

use super::error::ReadError;
use super::records::Plan;
use super::send::Gate;
use super::{Batch, Item, Reader};
use crate::manifest::answer::Headers;
use crate::manifest::cursor::{CountCursor, DateCursor};
use crate::manifest::page::{Page, TokenPlace};
use crate::manifest::partitions::PartitionCursors;
use crate::manifest::path;
use crate::manifest::request::Options;
use crate::manifest::source::{CursorKind, ListValues, Parent, Router};
use crate::manifest::transform::evaluated;
use crate::manifest::{Fallback, Json, Members, Scope, Slice, Stream, Wanted};
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// Pages of one slice: at 100 records each these are 10 million.
const MOST_PAGES: usize = 100_000;
/// Partitions of a stream; at 200 bytes each they take 200 MB.
const MOST_PARTITIONS: usize = 1_000_000;

/// Where records go.
pub enum Out<'a> {
    /// To the reader's caller.
    Send(&'a Sender<Batch>),
    /// Kept, with their slices: a parent's records.
    Keep(Vec<(Json, Slice)>),
}

impl Out<'_> {
    async fn records(&mut self, items: Vec<Item>, page: Option<Json>, slice: &Slice) -> Result<(), ReadError> {
        match self {
            Self::Send(_) if items.is_empty() => Ok(()),
            Self::Send(to) => to.send(Batch::Records { items, page }).await.map_err(|_gone| ReadError::Abandoned),
            Self::Keep(kept) => {
                if kept.len() + items.len() > MOST_PARTITIONS {
                    return Err(ReadError::Partitions(MOST_PARTITIONS));
                }
                kept.extend(items.into_iter().map(|item| (item.json(), slice.clone())));
                Ok(())
            }
        }
    }

    /// Tells a state; a parent's states go with its child's.
    pub async fn state(&mut self, state: Json) -> Result<(), ReadError> {
        match self {
            Self::Send(to) => to.send(Batch::State(state)).await.map_err(|_gone| ReadError::Abandoned),
            Self::Keep(_) => Ok(()),
        }
    }

    async fn config(&mut self, config: Option<Json>) -> Result<(), ReadError> {
        match (self, config) {
            (Self::Send(to), Some(config)) => to.send(Batch::Config(config)).await.map_err(|_gone| ReadError::Abandoned),
            _ => Ok(()),
        }
    }
}

/// What is remembered while a stream is read.
enum Memory {
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

    fn observe(&mut self, slice: &Slice, value: &Json) {
        match self {
            Self::None => {}
            Self::Date(cursor) => cursor.observe(value),
            Self::Count(cursor) => cursor.observe(value),
            Self::Partitions(cursors) => cursors.observe(&slice.partition, value),
        }
    }

    fn is_new(&self, slice: &Slice, value: Option<&Json>) -> bool {
        match self {
            Self::None => true,
            Self::Date(cursor) => cursor.is_new(value),
            Self::Count(cursor) => cursor.is_new(value),
            Self::Partitions(cursors) => cursors.is_new(&slice.partition, value),
        }
    }

    fn state(&self) -> Json {
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
        let given = state.as_ref();
        let mut memory = match (&stream.cursor, stream.routers.is_empty()) {
            (None, _) => Memory::None,
            (Some(CursorKind::Count { spec, .. }), _) => Memory::Count(CountCursor::new(spec, given, engine, &config)?),
            (Some(CursorKind::Date { spec, .. }), true) => Memory::Date(Box::new(DateCursor::new(spec, given, None, engine, &config)?)),
            (Some(CursorKind::Date { spec, global, .. }), false) => {
                Memory::Partitions(Box::new(PartitionCursors::new(spec, *global, given, engine, &config)?))
            }
        };
        let (partitions, parent_state) = self.partitions(stream, given, &config).await?;
        let looks = self.with_pages.contains(&stream.name) || self.bills_beside(stream);
        let plan = Plan::new(stream, evaluated(&stream.records_at, engine, &Scope::new(&config))?, looks);
        let mut seen = HashSet::new();
        let hasher = RandomState::new();
        for partition in partitions {
            if matches!(memory, Memory::Partitions(_))
                && !seen.insert(hasher.hash_one(crate::manifest::slice::partition_key(&partition.partition)))
            {
                continue;
            }
            let slices = match &mut memory {
                Memory::None => vec![Arc::default()],
                Memory::Date(cursor) => cursor.slices()?,
                Memory::Count(cursor) => vec![cursor.slice()],
                Memory::Partitions(cursors) => cursors.slices(&partition.partition, engine, &config)?,
            };
            let last = slices.len();
            for (at, cursor) in slices.into_iter().enumerate() {
                let slice = Slice { cursor, ..partition.clone() };
                self.pages(&plan, &slice, &mut memory, out).await?;
                match &mut memory {
                    Memory::None | Memory::Count(_) => {}
                    Memory::Date(cursor) => {
                        cursor.close(&slice.cursor)?;
                        out.state(memory.state()).await?;
                    }
                    Memory::Partitions(cursors) => cursors.close(&slice.partition, &slice.cursor, at + 1 == last)?,
                }
            }
        }
        if let Memory::Partitions(cursors) = &mut memory {
            let micros = self.tick() - began;
            cursors.finish(micros / 1_000_000 + 1, parent_state);
        }
        Ok(memory.state())
    }

    /// The partitions of a stream, and the state of parents that it depends on.
    async fn partitions(&self, stream: &Stream, state: Option<&Json>, config: &Json) -> Result<(Vec<Slice>, Option<Json>), ReadError> {
        let mut all: Vec<Slice> = vec![Slice::default()];
        let mut parent_state = None;
        for router in &stream.routers {
            let (some, states) = self.routed(router, state, config).await?;
            if stream.routers.len() == 1 {
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
                    for (record, slice) in records {
                        let Some(value) = path::get(&record, &key).filter(|value| !matches!(value, Json::Null)) else { continue };
                        let mut members = Members::new();
                        members.insert(field.as_str().into(), value.clone());
                        members.insert("parent_slice".into(), Json::Map(slice.partition.clone()));
                        let carried =
                            extra.iter().map(|at| (at.join(".").into(), path::get(&record, at).cloned().unwrap_or_default())).collect();
                        slices.push(Slice { partition: Arc::new(members), cursor: Arc::default(), extra: Arc::new(carried) });
                    }
                }
                Ok((slices, Some(Json::Map(Arc::new(states)))))
            }
        }
    }

    /// The options that a slice puts into a request.
    fn slice_options(&self, stream: &Stream, slice: &Slice, options: &mut Options, scope: &Scope) -> Result<(), ReadError> {
        let engine = &self.source.engine;
        for router in &stream.routers {
            let fields: Vec<_> = match router {
                Router::List { field, option, .. } => vec![(field, option)],
                Router::Parents(parents) => parents.iter().map(|parent| (&parent.field, &parent.option)).collect(),
            };
            for (field, option) in fields {
                let value = slice.partition.get(field.text(engine, scope)?.as_str());
                if let (Some(option), Some(value)) = (option, value.filter(|value| value.is_true())) {
                    options.put(option, value.clone(), engine, scope)?;
                }
            }
        }
        match &stream.cursor {
            None => {}
            Some(CursorKind::Count { start_option, .. }) => {
                if let (Some(option), Some(value)) = (start_option, slice.cursor.get("start")) {
                    options.put(option, value.clone(), engine, scope)?;
                }
            }
            Some(CursorKind::Date { spec, start_option, end_option, .. }) => {
                for (option, field) in [(start_option, &spec.start_field), (end_option, &spec.end_field)] {
                    if let (Some(option), Some(value)) = (option, slice.cursor.get(field.text(engine, scope)?.as_str())) {
                        options.put(option, value.clone(), engine, scope)?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn pages(&self, plan: &Plan<'_>, slice: &Slice, memory: &mut Memory, out: &mut Out<'_>) -> Result<(), ReadError> {
        let stream = plan.stream;
        let engine = &self.source.engine;
        let seen_slice = slice.to_template();
        let mut token = stream.paginator.as_ref().and_then(crate::manifest::page::Paginator::first);
        let (mut tokens, hasher) = (HashSet::new(), RandomState::new());
        let (feed, client_side) = match &stream.cursor {
            Some(CursorKind::Date { feed, client_side, .. }) => (*feed, *client_side),
            Some(CursorKind::Count { .. }) | None => (false, false),
        };
        for _ in 0..MOST_PAGES {
            self.tick();
            let config = self.config();
            let scope = Scope::new(&config).with_slice(&seen_slice).with("next_page_token", next_page(token.as_ref()).to_template());
            let mut options = Options::default();
            let mut page_path = None;
            if let Some(pages) = &stream.paginator {
                if let Some(token) = &token {
                    match &pages.token {
                        Some(TokenPlace::Option(option)) => options.put(option, token.clone(), engine, &Scope::new(&config))?,
                        Some(TokenPlace::Path) => page_path = Some(token.shown()),
                        None => {}
                    }
                }
                if let Some(option) = &pages.size_option
                    && let Some(size) = pages.size(engine, &Scope::new(&config))?
                {
                    options.put(option, Json::Int(size), engine, &Scope::new(&config))?;
                }
            }
            if token.is_none() || !stream.slice_on_first_page_only {
                self.slice_options(stream, slice, &mut options, &Scope::new(&config))?;
            }
            self.log_in(&stream.login, &mut options).await?;
            let base = stream.outline.base.text(engine, &scope)?;
            let built = stream.outline.build(options, page_path.as_deref(), engine, &scope)?;
            // What the manifest's own base says is allowed; what an answer says is not, beyond it.
            let own = if base.is_empty() { Gate::of(&built.url)? } else { Gate::of(&base)? };
            let bill = self.bill(stream)?;
            let sent = self.send(built, &own, (&stream.errors, &stream.login), bill.as_ref()).await?;
            let Some((reply, reserved)) = sent else { return Ok(()) };
            out.config(self.take_changed_config()).await?;
            let mut taken = self.take(plan, &reply, &scope)?;
            if let Some(bill) = &bill {
                let page = taken.response.as_ref().filter(|_| stream.decoder.is_whole());
                self.settle(reserved, bill.price.of_answer(taken.extracted, page)).await?;
            }
            let field = memory.field().map(str::to_owned);
            if client_side
                && !feed
                && let Some(field) = &field
            {
                taken.items.retain(|item| memory.is_new(slice, item.member(field).as_ref()));
            }
            let records = taken.items.len();
            let last_value = match (&field, feed) {
                (Some(field), true) => taken.items.last().map(|item| item.member(field)),
                _ => None,
            };
            let last = match &stream.paginator {
                Some(pages) if pages.names("last_record") => taken.items.last().map(Item::json),
                Some(_) | None => None,
            };
            if feed && let Some(field) = &field {
                taken.items.retain(|item| memory.is_new(slice, item.member(field).as_ref()));
            }
            if let Some(field) = &field {
                for item in &taken.items {
                    if let Some(value) = item.member(field) {
                        memory.observe(slice, &value);
                    }
                }
            }
            let page = if plan.page { taken.response.clone() } else { None };
            out.records(std::mem::take(&mut taken.items), page, slice).await?;
            let Some(pages) = &stream.paginator else { return Ok(()) };
            if last_value.is_some_and(|value| !memory.is_new(slice, value.as_ref())) {
                return Ok(());
            }
            let seen = Page {
                response: taken.response.as_ref(),
                headers: Headers::to_template(&reply.headers, true),
                records,
                extracted: taken.extracted,
                last: last.as_ref(),
                token: token.as_ref(),
                slice: seen_slice.clone(),
            };
            let Some(next) = pages.next(&seen, engine, &Scope::new(&config))? else { return Ok(()) };
            if !tokens.insert(hasher.hash_one(next.compact())) {
                return Err(ReadError::Loop(stream.name.clone()));
            }
            token = Some(next);
        }
        Err(ReadError::Endless(MOST_PAGES))
    }
}

/// A page's token as templates see it.
fn next_page(token: Option<&Json>) -> Json {
    let Some(token) = token else { return Json::Null };
    let mut members = Members::new();
    members.insert("next_page_token".into(), token.clone());
    Json::Map(Arc::new(members))
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
