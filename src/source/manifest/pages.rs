//! The pages of a slice: asked for one after the other, and in parts where a request can't name every property.

use super::error::ReadError;
use super::records::{Plan, Taken};
use super::send::Gate;
use super::slices::Lane;
use super::walk::{FIRST_PAGE, Out};
use super::{Item, Reader};
use crate::manifest::again::{Again, MOST_SPLITS, Sizes};
use crate::manifest::answer::Headers;
use crate::manifest::cursor::DateCursor;
use crate::manifest::page::{Page, TokenPlace};
use crate::manifest::path;
use crate::manifest::properties::{PropertyList, merge};
use crate::manifest::request::Options;
use crate::manifest::source::{CursorKind, Router};
use crate::manifest::transform::evaluated;
use crate::manifest::{Json, Members, Moment, Scope, Slice, Stream};
use crate::wire::http::{Extent, Reply};
use indexmap::IndexMap;
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// Pages of one slice: at 100 records each these are 10 million.
const MOST_PAGES: usize = 100_000;
/// Where a slice carries the properties of its request.
const PROPERTIES: &str = "query_properties";
/// How much larger values are than the text that they were read from, about.
const VALUES_TO_TEXT: usize = 6;

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
    async fn ask(&self, plan: &Plan<'_>, asked: Asked<'_>, lane: &Lane<'_>) -> Result<Option<(Reply, Taken)>, ReadError> {
        let Asked { slice, token, .. } = asked;
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
                && let Some(size) = pages.size_of(asked.size, engine, &Scope::new(&config))?
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
        let Some((mut reply, reserved)) = sent else { return Ok(None) };
        lane.config(self).await?;
        let taken = if stream.ways.first.is_some() {
            let whole = Scope::new(&config).with_slice(&asked.whole.to_template()).with("next_page_token", next_page(token).to_template());
            self.take(plan, &reply, &whole).await?
        } else {
            self.take(plan, &reply, &scope).await?
        };
        // The page may wait for others; its text is no longer needed.
        reply.body = Vec::new();
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
        asked: Asked<'_>,
        names: &[String],
        lane: &Lane<'_>,
    ) -> Result<(Vec<Item>, Option<(Reply, Taken)>), ReadError> {
        let Some(properties) = &plan.stream.properties else { return Ok((Vec::new(), None)) };
        let (mut items, mut merged, mut answer) = (Vec::new(), IndexMap::<String, Members>::new(), None);
        for part in properties.requests(names) {
            let part = Json::List(Arc::new(part.iter().map(|name| Json::text(name)).collect()));
            let slice = Slice { extra: Arc::new([(PROPERTIES.into(), part)].into_iter().collect()), ..asked.slice.clone() };
            answer = self.ask(plan, Asked { slice: &slice, whole: &slice, ..asked }, lane).await?;
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

    /// Reads a slice to its last page. `cursor` is its cursor before anything was read, where the stream looks at it.
    pub(super) async fn pages(
        &self,
        plan: &Plan<'_>,
        slice: &Slice,
        cursor: Option<&DateCursor>,
        lane: &mut Lane<'_>,
    ) -> Result<(), ReadError> {
        let mut windows = vec![(slice.clone(), 0)];
        // A window is read, or becomes two that are each shorter.
        while let Some((window, depth)) = windows.pop() {
            match (self.window(plan, &window, cursor, lane).await, &plan.stream.ways.split, cursor) {
                (Err(ReadError::Again(Again::Split)), Some(split), Some(cursor)) => {
                    let halves = if depth < MOST_SPLITS { cursor.halves(&window.cursor, split.least)? } else { None };
                    let Some([first, second]) = halves else {
                        let what = format!("a window of stream `{}` that can't be split further", plan.stream.name);
                        return Err(ReadError::NoWay { what, message: split.message.clone() });
                    };
                    windows.extend([second, first].map(|half| (Slice { cursor: half, ..window.clone() }, depth + 1)));
                }
                (ended, _, _) => ended?,
            }
        }
        Ok(())
    }

    /// Reads a window to its last page.
    async fn window(&self, plan: &Plan<'_>, whole: &Slice, cursor: Option<&DateCursor>, lane: &mut Lane<'_>) -> Result<(), ReadError> {
        let stream = plan.stream;
        let engine = &self.source.engine;
        let first = || stream.paginator.as_ref().and_then(crate::manifest::page::Paginator::first);
        let mut token = first();
        let (mut tokens, hasher) = (HashSet::new(), RandomState::new());
        let feed = matches!(&stream.cursor, Some(CursorKind::Date { feed: true, .. }));
        // Where a cursor looks, and which records are known.
        let sieve = cursor.filter(|_| stream.leaves_out_known()).zip(plan.field.as_deref());
        let is_new = |item: &Item| sieve.is_none_or(|(sieve, field)| sieve.is_new(item.member(field).as_ref()));
        let mut held = whole.extra.get(FIRST_PAGE).filter(|_| plan.begins_in_parents);
        let mut sizes = match (&stream.ways.smaller, &stream.paginator) {
            (Some(how), Some(pages)) => Some(Sizes::new(how, pages.size(engine, &Scope::new(&self.config()))?)),
            _ => None,
        };
        let mut anew = Anew::new(stream, whole, cursor, plan.field.as_deref());
        for _ in 0..MOST_PAGES {
            let aside = lane.turn().await;
            let size = sizes.as_ref().and_then(Sizes::now);
            let asked = Asked { slice: &anew.slice, whole, token: token.as_ref(), size };
            let got = match &plan.names {
                _ if held.is_some() => {
                    token = None;
                    let (reply, mut taken) = self.held_page(plan, whole, held.take().unwrap_or(&Json::Null)).await?;
                    Ok((std::mem::take(&mut taken.items), Some((reply, taken))))
                }
                Some(names) => self.ask_in_parts(plan, asked, names, lane).await,
                None => match self.ask(plan, asked, lane).await {
                    Ok(Some((reply, mut taken))) => Ok((std::mem::take(&mut taken.items), Some((reply, taken)))),
                    Ok(None) => return Ok(()),
                    Err(error) => Err(error),
                },
            };
            let (mut items, answer) = match (got, &mut sizes) {
                (Ok(got), sizes) => {
                    if let Some(sizes) = sizes {
                        sizes.taken();
                    }
                    got
                }
                (Err(ReadError::Again(Again::Smaller)), Some(sizes)) => {
                    lane.no_page(aside);
                    let Some(wait) = sizes.refused() else {
                        let message = stream.ways.smaller.as_ref().and_then(|how| how.message.clone());
                        return Err(ReadError::NoWay { what: format!("the smallest page of stream `{}`", stream.name), message });
                    };
                    self.pause(Duration::try_from_secs_f64(wait).unwrap_or_default()).await?;
                    continue;
                }
                (Err(ReadError::Again(Again::First)), _) => {
                    lane.no_page(aside);
                    anew.begin(stream)?;
                    tokens.clear();
                    token = first();
                    continue;
                }
                (Err(error), _) => return Err(error),
            };
            if !feed && sieve.is_some() {
                items.retain(&is_new);
            }
            let records = items.len();
            anew.observe(&items);
            let ends = feed && items.last().is_some_and(|item| !is_new(item));
            let last = match &stream.paginator {
                Some(pages) if pages.names("last_record") => items.last().map(Item::json),
                Some(_) | None => None,
            };
            if feed {
                items.retain(&is_new);
            }
            let page = answer.as_ref().filter(|_| plan.page).and_then(|(_, taken)| taken.response.clone());
            let bytes = answer.as_ref().map_or(0, |(_, taken)| taken.bytes);
            lane.page(items, page, aside, if plan.raw { bytes } else { bytes.saturating_mul(VALUES_TO_TEXT) }).await?;
            if answer.is_some() && anew.is_full() {
                anew.begin(stream)?;
                tokens.clear();
                token = first();
                continue;
            }
            let (Some(pages), Some((reply, taken))) = (&stream.paginator, answer) else { return Ok(()) };
            if ends {
                return Ok(());
            }
            let seen = Page {
                response: taken.response.as_ref(),
                headers: Headers::to_template(&reply.headers, true),
                records,
                extracted: taken.extracted,
                last: last.as_ref(),
                token: token.as_ref(),
                slice: anew.slice.to_template(),
                size,
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

/// A page that is asked for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    /// What is asked about.
    slice: &'a Slice,
    /// What the records belong to: the slice before it began anew.
    whole: &'a Slice,
    token: Option<&'a Json>,
    /// Records of the page, where that is not the usual number.
    size: Option<i128>,
}

/// A slice whose pages can begin anew.
struct Anew<'a> {
    slice: Slice,
    whole: &'a Slice,
    /// By time: the cursor and where it looks, and the youngest record.
    by: Option<(&'a DateCursor, &'a str)>,
    youngest: Option<Moment>,
    most: Option<usize>,
    records: usize,
    same: u8,
}

impl<'a> Anew<'a> {
    fn new(stream: &Stream, whole: &'a Slice, cursor: Option<&'a DateCursor>, field: Option<&'a str>) -> Self {
        let first = stream.ways.first;
        let by = cursor.zip(field).filter(|_| first.is_some_and(|first| first.by_time));
        Self { slice: whole.clone(), whole, by, youngest: None, most: first.and_then(|first| first.most_records), records: 0, same: 0 }
    }

    fn observe(&mut self, items: &[Item]) {
        self.records += items.len();
        if let Some((cursor, field)) = self.by {
            self.youngest = items.iter().filter_map(|item| cursor.parse(&item.member(field)?)).chain(self.youngest).max();
        }
    }

    fn is_full(&self) -> bool {
        self.most.is_some_and(|most| self.records >= most)
    }

    /// As in the reference a slice that stays the same may begin anew once, and none where a cursor should have made it shorter.
    fn begin(&mut self, stream: &Stream) -> Result<(), ReadError> {
        let cursor = match (self.by, self.youngest) {
            (Some((cursor, _)), Some(youngest)) => cursor.beginning_at(&self.whole.cursor, youngest),
            _ => self.whole.cursor.clone(),
        };
        if cursor == self.slice.cursor {
            self.same += 1;
            if self.by.is_some() || self.same >= 2 {
                return Err(ReadError::Loop(stream.name.clone()));
            }
        } else {
            self.same = 0;
        }
        self.records = 0;
        self.slice.cursor = cursor;
        Ok(())
    }
}

/// A page's token as templates see it.
fn next_page(token: Option<&Json>) -> Json {
    let Some(token) = token else { return Json::Null };
    let mut members = Members::new();
    members.insert("next_page_token".into(), token.clone());
    Json::Map(Arc::new(members))
}
