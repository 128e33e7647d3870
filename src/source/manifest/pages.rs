//! The pages of a slice: asked for one after the other, and in parts where a request can't name every property.

use super::error::ReadError;
use super::records::{Plan, Taken};
use super::send::Gate;
use super::walk::{FIRST_PAGE, Memory, Out};
use super::{Item, Reader};
use crate::manifest::answer::Headers;
use crate::manifest::page::{Page, TokenPlace};
use crate::manifest::path;
use crate::manifest::properties::{PropertyList, merge};
use crate::manifest::request::Options;
use crate::manifest::source::{CursorKind, Router};
use crate::manifest::transform::evaluated;
use crate::manifest::{Json, Members, Scope, Slice, Stream};
use crate::wire::http::{Extent, Reply};
use indexmap::IndexMap;
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

/// Pages of one slice: at 100 records each these are 10 million.
const MOST_PAGES: usize = 100_000;
/// Where a slice carries the properties of its request.
const PROPERTIES: &str = "query_properties";

impl Reader {
    /// The options that a slice puts into a request.
    fn slice_options(&self, stream: &Stream, slice: &Slice, options: &mut Options, scope: &Scope) -> Result<(), ReadError> {
        let engine = &self.source.engine;
        for router in &stream.routers {
            let fields: Vec<_> = match router {
                Router::List { field, option, .. } => vec![(field, option)],
                Router::Parents(parents) => parents.iter().map(|parent| (&parent.field, &parent.option)).collect(),
                Router::Grouped { .. } | Router::Union { .. } => Vec::new(),
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

    /// Asks for a page. `None` where what the source says is passed over.
    async fn ask(
        &self,
        plan: &Plan<'_>,
        slice: &Slice,
        token: Option<&Json>,
        out: &mut Out<'_>,
    ) -> Result<Option<(Reply, Taken)>, ReadError> {
        let stream = plan.stream;
        let engine = &self.source.engine;
        self.tick();
        let config = self.config();
        let scope = Scope::new(&config).with_slice(&slice.to_template()).with("next_page_token", next_page(token).to_template());
        let mut options = Options::default();
        let mut page_path = None;
        if let Some(pages) = &stream.paginator {
            if let Some(token) = token {
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
        if let Some(name) = stream.properties.as_ref().and_then(|properties| properties.parameter.as_deref()) {
            let named = slice.extra.get(PROPERTIES).and_then(Json::items).unwrap_or_default();
            options.parameter(name, &named.iter().map(Json::shown).collect::<Vec<_>>().join(","));
        }
        self.log_in(&stream.login, &mut options).await?;
        let base = stream.outline.base.text(engine, &scope)?;
        let built = stream.outline.build(options, page_path.as_deref(), engine, &scope)?;
        // What the manifest's own base says is allowed; what an answer says is not, beyond it.
        let own = if base.is_empty() { Gate::of(&built.url)? } else { Gate::of(&base)? };
        let bill = self.bill(stream)?;
        let sent = self.send(built, &own, (&stream.errors, &stream.login), bill.as_ref()).await?;
        let Some((reply, reserved)) = sent else { return Ok(None) };
        // What is read for another stream leaves it for that one.
        if matches!(out, Out::Send(_)) {
            out.config(self.take_changed_config()).await?;
        }
        let taken = self.take(plan, &reply, &scope).await?;
        if let Some(bill) = &bill {
            let page = taken.response.as_ref().filter(|_| stream.decoder.is_whole());
            self.settle(reserved, bill.price.of_answer(taken.extracted, page)).await?;
        }
        Ok(Some((reply, taken)))
    }

    /// The page that the parent's record holds.
    async fn held_page(&self, plan: &Plan<'_>, slice: &Slice, held: &Json) -> Result<(Reply, Taken), ReadError> {
        let reply = Reply { status: 200, headers: Vec::new(), body: held.compact().into_bytes(), extent: Extent::Whole, over: None };
        let scope = Scope::new(&self.config()).with_slice(&slice.to_template()).with("next_page_token", Json::Null.to_template());
        let taken = self.take(plan, &reply, &scope).await?;
        Ok((reply, taken))
    }

    /// Asks for a page as often as its properties are parted. Its records, and the last answer.
    async fn ask_in_parts(
        &self,
        plan: &Plan<'_>,
        slice: &Slice,
        token: Option<&Json>,
        names: &[String],
        out: &mut Out<'_>,
    ) -> Result<(Vec<Item>, Option<(Reply, Taken)>), ReadError> {
        let Some(properties) = &plan.stream.properties else { return Ok((Vec::new(), None)) };
        let (mut items, mut merged, mut answer) = (Vec::new(), IndexMap::<String, Members>::new(), None);
        for part in properties.requests(names) {
            let part = Json::List(Arc::new(part.iter().map(|name| Json::text(name)).collect()));
            let slice = Slice { extra: Arc::new([(PROPERTIES.into(), part)].into_iter().collect()), ..slice.clone() };
            answer = self.ask(plan, &slice, token, out).await?;
            for item in answer.as_mut().map(|(_, taken)| std::mem::take(&mut taken.items)).unwrap_or_default() {
                let record = item.json();
                match (properties.key(&record), record.members()) {
                    (Some(key), Some(members)) => merge(merged.entry(key).or_default(), members),
                    _ => items.push(item),
                }
            }
        }
        items.extend(merged.into_values().map(|members| Item::Json(Json::Map(Arc::new(members)))));
        Ok((items, answer))
    }

    /// The properties that a stream's requests name.
    pub(super) async fn property_names(&self, stream: &Stream) -> Result<Vec<String>, ReadError> {
        match stream.properties.as_ref().map(|properties| &properties.list) {
            None => Ok(Vec::new()),
            Some(PropertyList::Fixed(names)) => Ok(names.clone()),
            Some(PropertyList::Asked { stream, at }) => {
                let at = evaluated(at, &self.source.engine, &Scope::new(&self.config()))?;
                let mut kept = Out::Keep(Vec::new());
                Box::pin(self.walk(stream, None, &mut kept)).await?;
                let Out::Keep(records) = kept else { return Ok(Vec::new()) };
                Ok(records.iter().map(|(record, _)| path::get(record, &at).map_or_else(|| "[]".to_owned(), Json::shown)).collect())
            }
        }
    }

    /// Reads a slice to its last page.
    pub(super) async fn pages(&self, plan: &Plan<'_>, slice: &Slice, memory: &mut Memory, out: &mut Out<'_>) -> Result<(), ReadError> {
        let stream = plan.stream;
        let engine = &self.source.engine;
        let seen_slice = slice.to_template();
        let mut token = stream.paginator.as_ref().and_then(crate::manifest::page::Paginator::first);
        let (mut tokens, hasher) = (HashSet::new(), RandomState::new());
        let (feed, client_side) = match &stream.cursor {
            Some(CursorKind::Date { feed, client_side, .. }) => (*feed, *client_side),
            Some(CursorKind::Count { .. }) | None => (false, false),
        };
        let mut held = slice.extra.get(FIRST_PAGE).filter(|_| plan.begins_in_parents);
        for _ in 0..MOST_PAGES {
            let (mut items, answer) = match &plan.names {
                _ if held.is_some() => {
                    token = None;
                    let (reply, mut taken) = self.held_page(plan, slice, held.take().unwrap_or(&Json::Null)).await?;
                    (std::mem::take(&mut taken.items), Some((reply, taken)))
                }
                Some(names) => self.ask_in_parts(plan, slice, token.as_ref(), names, out).await?,
                None => match self.ask(plan, slice, token.as_ref(), out).await? {
                    Some((reply, mut taken)) => (std::mem::take(&mut taken.items), Some((reply, taken))),
                    None => return Ok(()),
                },
            };
            let field = memory.field().map(str::to_owned);
            if client_side
                && !feed
                && let Some(field) = &field
            {
                items.retain(|item| memory.is_new(slice, item.member(field).as_ref()));
            }
            let records = items.len();
            let last_value = match (&field, feed) {
                (Some(field), true) => items.last().map(|item| item.member(field)),
                _ => None,
            };
            let last = match &stream.paginator {
                Some(pages) if pages.names("last_record") => items.last().map(Item::json),
                Some(_) | None => None,
            };
            if feed && let Some(field) = &field {
                items.retain(|item| memory.is_new(slice, item.member(field).as_ref()));
            }
            if let Some(field) = &field {
                for item in &items {
                    if let Some(value) = item.member(field) {
                        memory.observe(slice, &value);
                    }
                }
            }
            let page = answer.as_ref().filter(|_| plan.page).and_then(|(_, taken)| taken.response.clone());
            out.records(items, page, slice).await?;
            let (Some(pages), Some((reply, taken))) = (&stream.paginator, answer) else { return Ok(()) };
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
            let Some(next) = pages.next(&seen, engine, &Scope::new(&self.config()))? else { return Ok(()) };
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
