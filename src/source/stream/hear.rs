//! Listens: what comes next over an open stream, and whether the other side still lives.

use super::error::StreamError;
use super::open::Opener;
use crate::manifest::Json;
use crate::manifest::live::{Carrier, Live, Told};
use crate::wire::event_stream::{Found, Parser};
use crate::wire::http::Opened;
use crate::wire::websocket::{Said, WebSocket};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The longest time that a server's `retry:` may ask for: an hour. Events say nothing about how long a network wants peace; answers do.
const LONGEST_RETRY: Duration = Duration::from_hours(1);

/// What comes over a connection.
pub(super) enum Sounds {
    /// Server-sent events.
    Events {
        answer: Box<Opened>,
        parser: Box<Parser>,
        /// Taken apart, and not told yet: of one piece, at most some 16 KiB of the wire, and the event that it ended.
        found: VecDeque<Found>,
    },
    /// Messages.
    WebSocket(Box<WebSocket>),
}

/// What was heard.
#[derive(Debug)]
pub enum Heard {
    /// An event, as it was sent; [`Opener::understood`] says what it is.
    Event(Raw),
    /// An event that is too long: its length, and its first part.
    TooLong(u64, Vec<u8>),
    /// A sign of life.
    Beat,
    /// How long to wait after an end.
    Retry(Duration),
    /// The other side ended it, in order.
    End,
}

/// An event as it was sent: its data, and its name and id where it has them.
pub struct Raw {
    record: Value,
    event: Value,
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Raw")
    }
}

/// An event that was looked at.
pub struct Event {
    /// As projections see it.
    pub record: Value,
    /// The name of a server-sent event.
    pub name: Option<String>,
    /// What is kept to go on after it.
    pub cursor: Option<Json>,
    /// Its number.
    pub number: Option<i128>,
    /// Whether it is taken at all.
    pub taken: bool,
    /// It says that the server does not go on where it was asked to.
    pub lost: bool,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Event")
    }
}

impl Opener {
    /// What an event is to its stream. A template that can't be evaluated on this one event says nothing: whether it is taken is then for the
    /// projections to say.
    pub fn understood(&self, live: &Live, raw: Raw) -> Event {
        self.reader().tick();
        let (engine, config) = (self.reader().engine(), self.reader().config());
        let Raw { record, event } = raw;
        let name = event.get("name").and_then(Value::as_str).map(str::to_owned);
        let seen = Told { record: record.clone().into(), event: event.into() };
        Event {
            cursor: live.cursor(&seen, engine, &config).unwrap_or_default(),
            number: live.number(&seen, engine, &config).unwrap_or_default(),
            taken: live.takes(&seen, engine, &config).unwrap_or(true),
            lost: live.is_lost(&seen, engine, &config).unwrap_or(false),
            record,
            name,
        }
    }
}

/// JSON, where it is; else the text.
fn parsed(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// An open stream.
pub struct Connected {
    sounds: Sounds,
    heartbeat: Duration,
    heard_at: Instant,
    pinged: bool,
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connected")
    }
}

impl Connected {
    pub(super) fn new(sounds: Sounds, heartbeat: Duration) -> Self {
        Self { sounds, heartbeat, heard_at: Instant::now(), pinged: false }
    }

    /// Over what it comes.
    pub const fn carrier(&self) -> Carrier {
        match &self.sounds {
            Sounds::Events { .. } => Carrier::Events,
            Sounds::WebSocket(_) => Carrier::WebSocket,
        }
    }

    /// Nobody listened for a while: that silence is not the other side's.
    pub fn listens_again(&mut self) {
        self.heard_at = Instant::now();
    }

    /// What comes next. A dropped future has taken nothing.
    ///
    /// # Errors
    /// Where the connection ends otherwise than in order, or nothing is heard for so long that it counts as dead.
    pub async fn next(&mut self) -> Result<Heard, StreamError> {
        loop {
            // Half of the silence that is borne is waited before the other side is asked for a sign.
            let asks = matches!(self.sounds, Sounds::WebSocket(_)) && !self.pinged;
            let wait = if asks { self.heartbeat / 2 } else { self.heartbeat };
            let heard = timeout_at(self.heard_at + wait, self.sounds.next()).await;
            match heard {
                Ok(heard) => {
                    self.heard_at = Instant::now();
                    self.pinged = false;
                    return heard;
                }
                Err(_silence) if asks => {
                    self.pinged = true;
                    if let Sounds::WebSocket(socket) = &mut self.sounds {
                        let asked = timeout_at(self.heard_at + self.heartbeat, socket.ping()).await;
                        asked.unwrap_or(Ok(()))?;
                    }
                }
                Err(_silence) => return Err(StreamError::Silent(self.heartbeat)),
            }
        }
    }
}

impl Sounds {
    async fn next(&mut self) -> Result<Heard, StreamError> {
        match self {
            Self::WebSocket(socket) => Ok(match socket.next().await? {
                Said::Text(text) => Heard::Event(Raw { record: parsed(text), event: json!({}) }),
                Said::Beat => Heard::Beat,
                Said::End => Heard::End,
            }),
            Self::Events { answer, parser, found } => loop {
                if let Some(found) = found.pop_front() {
                    return Ok(match found {
                        Found::Event(event) => {
                            let (name, id) = (event.name, event.id);
                            Heard::Event(Raw { record: parsed(event.data), event: json!({ "name": name, "id": id }) })
                        }
                        Found::Beat => Heard::Beat,
                        Found::Retry(milliseconds) => Heard::Retry(Duration::from_millis(milliseconds).min(LONGEST_RETRY)),
                        Found::TooLong { bytes, kept } => Heard::TooLong(bytes, kept),
                    });
                }
                let Some(piece) = answer.piece().await? else { return Ok(Heard::End) };
                let mut all = Vec::new();
                let pushed = parser.push(&piece, &mut all);
                found.extend(all);
                pushed?;
            },
        }
    }
}
