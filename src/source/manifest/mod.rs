//! Declarative sources over HTTP: a manifest's streams, read slice by slice and page by page.

mod config;
mod decode;
mod error;
mod grow;
mod jwt;
mod login;
mod normalize;
mod pages;
mod paid;
mod records;
mod send;
mod slices;
mod walk;

pub use decode::{DecodeError, decode, items, member, pick};
pub use error::ReadError;
pub use login::SharedLogin;
pub(in crate::source) use paid::Bill;
pub use paid::{Answered, Purse, PurseError, Reserved};
pub(in crate::source) use send::{Gate, MOST_REDIRECTS, Telling};

use crate::manifest::cursor::DateCursor;
use crate::manifest::source::CursorKind;
use crate::manifest::transform::Transformation;
use crate::manifest::{Engine, Json, Moment, Scope, Source, Stream, Template};
use crate::wire::http::{Client, Connection};
use login::Tokens;
use send::{Calls, Quiet};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// 64 MiB: a page of 10,000 records at 6 KiB. What is longer is refused, not cut.
pub const LONGEST_ANSWER: usize = 64 << 20;

/// A record.
pub enum Item {
    /// As the source wrote it; no part of it was changed.
    Raw(Box<RawValue>),
    /// Changed by the manifest.
    Json(Json),
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Item")
    }
}

impl Item {
    /// As compact JSON on one line.
    pub fn line(&self) -> Cow<'_, str> {
        match self {
            Self::Json(json) => Cow::Owned(json.compact()),
            // Text that was laid out is written anew; line ends can't stand inside of JSON's strings.
            Self::Raw(raw) if memchr::memchr2(b'\n', b'\r', raw.get().as_bytes()).is_some() => {
                Json::parse(raw.get().as_bytes()).map_or_else(|_never| Cow::Borrowed(raw.get()), |json| Cow::Owned(json.compact()))
            }
            Self::Raw(raw) => Cow::Borrowed(raw.get()),
        }
    }

    /// As a value of the library that reads JSON.
    pub fn value(&self) -> serde_json::Value {
        match self {
            Self::Json(json) => serde_json::to_value(json).unwrap_or_default(),
            Self::Raw(raw) => serde_json::from_str(raw.get()).unwrap_or_default(),
        }
    }

    /// As a value.
    pub fn json(&self) -> Json {
        match self {
            Self::Json(json) => json.clone(),
            // It was parsed as JSON before.
            Self::Raw(raw) => Json::parse(raw.get().as_bytes()).unwrap_or_default(),
        }
    }

    /// A member.
    pub fn member(&self, name: &str) -> Option<Json> {
        match self {
            Self::Json(json) => json.get(name).cloned(),
            Self::Raw(raw) => member(raw.get(), name),
        }
    }
}

/// What comes out of a read, in order.
#[derive(Debug)]
pub enum Batch {
    /// Records of one page.
    Records {
        /// The records.
        items: Vec<Item>,
        /// What else the page has, where the caller asked for it.
        page: Option<Json>,
    },
    /// What to give the next time: everything before it need not be read again.
    State(Json),
    /// The configuration as a login changed it; to be kept.
    Config(Json),
}

/// Reads the streams of one source with one configuration.
pub struct Reader {
    source: Arc<Source>,
    config: Mutex<Json>,
    client: Client,
    tokens: tokio::sync::Mutex<Tokens>,
    calls: tokio::sync::Mutex<Calls>,
    quiet: Quiet,
    clock: fn() -> i64,
    patience: Option<Duration>,
    changed: Mutex<Option<Json>>,
    with_pages: Vec<String>,
    hosts: Option<Vec<Arc<str>>>,
    purse: Option<Arc<dyn Purse>>,
    shared: Option<Arc<SharedLogin>>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader {
    /// A reader. Nothing is connected. `clock` gives microseconds since 1970; `patience` is the longest wait that is waited here: a longer one
    /// ends the read with [`ReadError::Wait`].
    ///
    /// # Errors
    /// Where the configuration can't be brought into its present form, or the client can't be set up.
    pub fn new(
        source: Arc<Source>,
        config: Json,
        connection: &Connection,
        clock: fn() -> i64,
        patience: Option<Duration>,
    ) -> Result<Self, ReadError> {
        seeded(&source, clock());
        let config = config::brought_up(&source, config)?;
        let connection = Connection { longest_body: LONGEST_ANSWER, ..connection.clone() };
        Ok(Self {
            client: Client::new(&connection)?,
            source,
            config: Mutex::new(config),
            tokens: tokio::sync::Mutex::default(),
            calls: tokio::sync::Mutex::default(),
            quiet: Quiet::default(),
            clock,
            patience,
            changed: Mutex::new(None),
            with_pages: Vec::new(),
            hosts: None,
            purse: None,
            shared: None,
        })
    }

    /// The same reader, which tells with the records of these streams what else their pages have.
    #[must_use]
    pub fn with_pages(self, streams: Vec<String>) -> Self {
        Self { with_pages: streams, ..self }
    }

    /// The same reader, which asks no host but these, whatever the manifest says.
    #[must_use]
    pub fn only_hosts(self, hosts: Option<Vec<Arc<str>>>) -> Self {
        Self { hosts, ..self }
    }

    /// The same reader, whose login is that of others too.
    #[must_use]
    pub fn sharing(self, login: Option<Arc<SharedLogin>>) -> Self {
        Self { shared: login, ..self }
    }

    /// Reads a stream to its end and sends what it finds; the last batch is the final state.
    ///
    /// # Errors
    /// Where it gives no records, or no more. What was sent before holds.
    pub async fn read(&self, stream: &str, state: Option<Json>, to: &Sender<Batch>) -> Result<(), ReadError> {
        let stream: Arc<Stream> = self.stream(stream)?.clone();
        let state = self.within_retention(&stream, state)?;
        let mut out = walk::Out::Send(to);
        let state = self.walk(&stream, state, &mut out).await?;
        let config = self.take_changed_config().map(Batch::Config);
        for batch in config.into_iter().chain([Batch::State(state)]) {
            to.send(batch).await.map_err(|_gone| ReadError::Abandoned)?;
        }
        Ok(())
    }

    /// The state from which a stream is read for what happened since `from`, in microseconds since 1970: the stored one, or a younger one where
    /// one cursor of time stands for the whole stream.
    pub fn state_since(&self, stream: &str, from: i64, stored: Option<Json>) -> Option<Json> {
        self.tick();
        let stored = stored?;
        let stream = self.stream(stream).ok()?.after(Some(&stored));
        let Some(CursorKind::Date { spec, .. }) = stream.cursor.as_ref().filter(|_| stream.routers.is_empty()) else { return Some(stored) };
        let young = || {
            let cursor = DateCursor::new(spec, Some(&stored), None, &self.source.engine, &self.config()).ok()?;
            let from = Moment::from_micros(from)?;
            let before = cursor.parse(stored.get(cursor.field())?)?;
            let mut state = stored.clone();
            if before < from {
                state.members_mut().insert(cursor.field().into(), cursor.say(from));
            }
            Some(state)
        };
        Some(young().unwrap_or(stored.clone()))
    }

    /// The templates' engine.
    pub(in crate::source) fn engine(&self) -> &Engine {
        &self.source.engine
    }

    /// A record as the manifest's transformations change it, outside of any slice; `None` where a template gives no value.
    pub fn reshaped(&self, transformations: &[Transformation], record: &serde_json::Value) -> Option<serde_json::Value> {
        if transformations.is_empty() {
            return Some(record.clone());
        }
        let config = self.config();
        let scope = Scope::new(&config).with_slice(&Json::object().to_template());
        let mut record: Json = record.clone().into();
        transformations.iter().try_for_each(|change| change.apply(&mut record, self.engine(), &scope)).ok()?;
        serde_json::to_value(&record).ok()
    }

    /// A text of the manifest, with the source's configuration.
    ///
    /// # Errors
    /// Where the template gives none.
    pub fn text(&self, template: &Template) -> Result<String, ReadError> {
        Ok(template.text(self.engine(), &Scope::new(&self.config()))?)
    }

    /// Whether the configuration lets this host be asked.
    ///
    /// # Errors
    /// Where it does not.
    pub(in crate::source) fn listed(&self, url: &str) -> Result<(), ReadError> {
        let gate = Gate::of(url)?;
        let listed = |host: &str| self.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(|listed| listed.eq_ignore_ascii_case(host)));
        if listed(gate.host()) { Ok(()) } else { Err(ReadError::Elsewhere("a host that the configuration does not list")) }
    }

    pub(in crate::source) fn config(&self) -> Json {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The configuration as a login changed it, to be kept by the caller; once.
    pub fn take_changed_config(&self) -> Option<Json> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn change_config(&self, config: Json) {
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = Some(config.clone());
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// The time, for what servers say in dates.
    pub(in crate::source) fn stamp(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond((self.clock)()).unwrap_or_default()
    }

    /// Sets the templates' clock, and tells it in microseconds.
    pub(in crate::source) fn tick(&self) -> i64 {
        let now = (self.clock)();
        self.source.engine.ambient().set_now(now);
        now
    }
}

/// Sets a source's clock, and the chance of its unique ids.
fn seeded(source: &Source, now: i64) {
    source.engine.ambient().set_now(now);
    let mut seed = [0; 8];
    // Where the system gives no chance, ids differ by time alone.
    if getrandom::fill(&mut seed).is_ok() {
        source.engine.ambient().set_seed(u64::from_le_bytes(seed));
    }
}
