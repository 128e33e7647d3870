//! Opens a live stream: login, where to go on, redirects inside of the host, and whether the answer is a stream.

use super::error::StreamError;
use super::hear::{Connected, Sounds};
use crate::manifest::live::{Carrier, Live};
use crate::manifest::request::{Built, Options};
use crate::manifest::source::Login;
use crate::manifest::{Fallback, Json, Scope, Slice, Wanted};
use crate::source::manifest::{Gate, MOST_REDIRECTS, ReadError, Reader};
use crate::wire::event_stream::Parser;
use crate::wire::http::{Client, Connection, Opened, Request, Url};
use crate::wire::pace;
use crate::wire::websocket::Offer;
use std::collections::VecDeque;
use std::time::Duration;

/// Connections of one live stream; each is kept open. More is a list that was not meant.
const MOST_CONNECTIONS: usize = 50;

/// Opens the live streams of one source.
#[derive(Debug)]
pub struct Opener {
    reader: Reader,
    client: Client,
    /// The longest time for the beginning of an answer.
    within: Duration,
}

impl Opener {
    /// With a reader's source, configuration, logins and hosts. Nothing is connected.
    ///
    /// # Errors
    /// Where the client can't be set up.
    pub fn new(reader: Reader, connection: &Connection) -> Result<Self, StreamError> {
        Ok(Self { reader, client: Client::lasting(connection)?, within: connection.whole })
    }

    /// The reader of the source's other streams.
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// One slice for each connection of a stream.
    ///
    /// # Errors
    /// Where the list can't be evaluated, or is too long.
    pub async fn slices(&self, live: &Live) -> Result<Vec<Slice>, StreamError> {
        let Some(router) = &live.router else { return Ok(vec![Slice::default()]) };
        self.reader.tick();
        let (slices, _no_parents) = self.reader.routed(router, None, &self.reader.config()).await?;
        if slices.len() > MOST_CONNECTIONS {
            return Err(ReadError::Partitions(MOST_CONNECTIONS).into());
        }
        Ok(slices)
    }

    /// Opens a stream; with a cursor, after the event that it is of.
    ///
    /// # Errors
    /// Where it does not begin.
    pub async fn open(&self, live: &Live, slice: &Slice, cursor: Option<&Json>) -> Result<Connected, StreamError> {
        let mut renewed = false;
        loop {
            let offer = (live.carrier == Carrier::WebSocket).then(Offer::new);
            let built = self.built(live, slice, cursor, offer.as_ref()).await?;
            let headers = built.headers.clone();
            let answer = self.exchange(built).await?;
            if answer.status == 401 && matches!(live.login, Login::OAuth(_)) && !std::mem::replace(&mut renewed, true) {
                self.reader.renew(&live.login, &headers).await?;
                continue;
            }
            let lost = live.resume.as_ref().is_some_and(|resume| resume.lost_codes.contains(&answer.status));
            if cursor.is_some() && lost {
                return Err(StreamError::CursorLost);
            }
            let sounds = match offer {
                None => Self::events(answer, cursor, live, self.reader.stamp())?,
                Some(offer) if answer.status == 101 => Sounds::WebSocket(Box::new(offer.taken(answer).await?)),
                Some(_) if answer.status == 200 => return Err(StreamError::NoStream("it does not change to a WebSocket")),
                Some(_) => return Err(refused(&answer, self.reader.stamp())),
            };
            return Ok(Connected::new(sounds, live.heartbeat));
        }
    }

    fn events(answer: Opened, cursor: Option<&Json>, live: &Live, now: jiff::Timestamp) -> Result<Sounds, StreamError> {
        if answer.status != 200 {
            return Err(refused(&answer, now));
        }
        let kind = answer.header("content-type").and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("text/event-stream") {
            return Err(StreamError::NoStream("its type is not `text/event-stream`"));
        }
        if answer.header("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
            return Err(StreamError::NoStream("it is packed, which was not asked for"));
        }
        // The id of the last event holds until there is a new one, over connections too.
        let own_ids = live.resume.as_ref().is_some_and(|resume| resume.value.is_none());
        let last = cursor.filter(|_| own_ids).map(Json::shown);
        Ok(Sounds::Events { answer: Box::new(answer), parser: Box::new(Parser::after(last)), found: VecDeque::new() })
    }

    async fn built(&self, live: &Live, slice: &Slice, cursor: Option<&Json>, offer: Option<&Offer>) -> Result<Built, StreamError> {
        self.reader.tick();
        let (engine, config) = (self.reader.engine(), self.reader.config());
        let scope = Scope::new(&config).with_slice(&slice.to_template());
        let mut options = Options::default();
        if let (Some(resume), Some(cursor)) = (&live.resume, cursor) {
            let value = match &resume.send {
                None => cursor.clone(),
                Some(send) => {
                    let scope = Scope::new(&config).with("cursor", cursor.to_template());
                    send.evaluate(engine, &scope, Fallback::Own, Wanted::Any).map_err(ReadError::from)?
                }
            };
            match &resume.option {
                None => options.header("Last-Event-ID", &value.shown()),
                Some(option) => options.put(option, value, engine, &scope).map_err(ReadError::from)?,
            }
        }
        self.reader.log_in(&live.login, &mut options).await?;
        let base = over_http(&live.outline.base.text(engine, &scope).map_err(ReadError::from)?);
        let mut built = live.outline.build(options, None, engine, &scope).map_err(ReadError::from)?;
        built.url = over_http(&built.url);
        Gate::of(&base)?.lets(&built.url)?;
        let mut header = |name: &str, value: &str| {
            built.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            built.headers.push((name.to_owned(), value.to_owned()));
        };
        match offer {
            None => {
                header("Accept", "text/event-stream");
                header("Cache-Control", "no-store");
            }
            Some(offer) => offer.headers().iter().for_each(|(name, value)| header(name, value)),
        }
        Ok(built)
    }

    /// Sends once and follows redirects inside of the host.
    async fn exchange(&self, built: Built) -> Result<Opened, StreamError> {
        self.reader.listed(&built.url)?;
        let gate = Gate::of(&built.url)?;
        let mut url = built.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let request = Request {
                method: built.method,
                url: url.clone(),
                headers: built.headers.clone(),
                authorization: None,
                body: built.body.clone(),
            };
            let answer = self.client.open(request, self.within).await?;
            let target = matches!(answer.status, 301 | 302 | 307 | 308).then(|| answer.header("location")).flatten();
            let Some(target) = target else { return Ok(answer) };
            let next = Url::parse(&url).and_then(|base| base.join(target)).map_err(|_none| ReadError::Elsewhere("it is no address"))?;
            let next = over_http(next.as_str());
            gate.lets(&next)?;
            url = next;
        }
        Err(ReadError::Elsewhere("redirects without end").into())
    }
}

fn refused(answer: &Opened, now: jiff::Timestamp) -> StreamError {
    let asked = match answer.status {
        429 | 503 => pace::throttled(&answer.headers, now),
        _ => pace::retry_after(&answer.headers, now),
    };
    StreamError::Refused { status: answer.status, wait: asked.map(|asked| asked.wait) }
}

/// A WebSocket begins as HTTP: `ws` and `wss` are its names there (RFC 6455, section 3).
fn over_http(url: &str) -> String {
    let lower = url.get(..6).unwrap_or(url).to_ascii_lowercase();
    match lower.as_str() {
        "wss://" => format!("https://{}", url.get(6..).unwrap_or_default()),
        lower if lower.starts_with("ws://") => format!("http://{}", url.get(5..).unwrap_or_default()),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_websockets_are_those_of_http() {
        for (written, meant) in [
            ("wss://a.example/x", "https://a.example/x"),
            ("WS://a.example", "http://a.example"),
            ("https://a.example/ws://b", "https://a.example/ws://b"),
            ("ws", "ws"),
            ("", ""),
        ] {
            assert_eq!(over_http(written), meant);
        }
    }
}
