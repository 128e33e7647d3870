//! Live streams: what a manifest says about a connection over which events come by themselves, and where it goes on after an end.

use super::request::{Outline, RequestOption};
use super::source::{Login, Router};
use super::{Engine, EvaluationError, Fallback, Json, Scope, Template, Wanted};
use std::time::Duration;

/// Over what events come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// Server-sent events over HTTP; the record is an event's data.
    Events,
    /// Text messages of a WebSocket; the record is the message.
    WebSocket,
}

/// What templates see of an event.
#[derive(Clone, Debug)]
pub struct Told {
    /// The data, as JSON where it is JSON, else as text.
    pub record: Json,
    /// `{name, id}` of a server-sent event.
    pub event: Json,
}

impl Told {
    fn scope(&self, config: &Json) -> Scope {
        Scope::new(config).with("record", self.record.to_template()).with("event", self.event.to_template())
    }
}

/// Where a connection goes on after the last stored event.
#[derive(Clone, Debug)]
pub struct Resume {
    /// What is kept of an event (`config`, `record`, `event`); without it the id of a server-sent event.
    pub value: Option<Template>,
    /// What is sent of it (`config`, `cursor`); without it the value itself.
    pub send: Option<Template>,
    /// Where it is sent; without it as the header `Last-Event-ID`.
    pub option: Option<RequestOption>,
    /// How long the server keeps events: who comes later has missed some.
    pub keeps: Option<Duration>,
    /// Says of an event that the server does not go on where it was asked to (`config`, `record`, `event`).
    pub lost: Option<Template>,
    /// Statuses that say the same.
    pub lost_codes: Vec<u16>,
}

/// A live stream.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its name, which no other stream of the manifest has.
    pub name: String,
    /// Over what.
    pub carrier: Carrier,
    /// The request that opens it.
    pub outline: Outline,
    /// How it logs in.
    pub login: Login,
    /// One connection for each of its values.
    pub router: Option<Router>,
    /// Which events are looked at at all (`config`, `record`, `event`).
    pub filter: Option<Template>,
    /// The longest silence: without an event or another sign of life for so long the connection counts as dead.
    pub heartbeat: Duration,
    /// `None`: it can't go on, and every end leaves a gap.
    pub resume: Option<Resume>,
    /// A number that grows by one from event to event (`config`, `record`, `event`): a jump is a gap.
    pub sequence: Option<Template>,
    /// The stream that is read for what was missed.
    pub backfill: Option<String>,
}

impl Live {
    /// Whether an event is looked at.
    ///
    /// # Errors
    /// Where the filter can't be evaluated on it.
    pub fn takes(&self, told: &Told, engine: &Engine, config: &Json) -> Result<bool, EvaluationError> {
        self.filter.as_ref().map_or(Ok(true), |filter| filter.holds(engine, &told.scope(config)))
    }

    /// What is kept of an event, to go on after it; `None` where it has nothing of the kind.
    ///
    /// # Errors
    /// Where the template can't be evaluated on it.
    pub fn cursor(&self, told: &Told, engine: &Engine, config: &Json) -> Result<Option<Json>, EvaluationError> {
        let Some(resume) = &self.resume else { return Ok(None) };
        let found = match &resume.value {
            Some(value) => value.evaluate(engine, &told.scope(config), Fallback::Null, Wanted::Any)?,
            None => told.event.get("id").cloned().unwrap_or_default(),
        };
        Ok(Some(found).filter(|value| !matches!(value, Json::Null) && !value.shown().is_empty()))
    }

    /// Whether an event says that the server does not go on where it was asked to.
    ///
    /// # Errors
    /// Where the template can't be evaluated on it.
    pub fn is_lost(&self, told: &Told, engine: &Engine, config: &Json) -> Result<bool, EvaluationError> {
        let lost = self.resume.as_ref().and_then(|resume| resume.lost.as_ref());
        lost.map_or(Ok(false), |lost| lost.holds(engine, &told.scope(config)))
    }

    /// An event's number.
    ///
    /// # Errors
    /// Where the template can't be evaluated on it.
    pub fn number(&self, told: &Told, engine: &Engine, config: &Json) -> Result<Option<i128>, EvaluationError> {
        let Some(sequence) = &self.sequence else { return Ok(None) };
        Ok(match sequence.evaluate(engine, &told.scope(config), Fallback::Null, Wanted::Int)? {
            Json::Int(number) => Some(number),
            Json::Null | Json::Bool(_) | Json::Float(_) | Json::Text(_) | Json::List(_) | Json::Map(_) => None,
        })
    }
}
