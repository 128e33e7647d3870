//! `metadata.kith.live`: connections over which events come by themselves, and how an event becomes an activity.

use super::compile::{Compiler, EVENT, RESUME};
use super::part::{Field, Part, hand_down};
use super::projection::{self, Projection, Surroundings};
use crate::diagnose::{Code, Diagnostic, Span};
use crate::manifest::Source;
use crate::manifest::live::{Carrier, Live, Resume};
use crate::manifest::source::Router;
use crate::manifest::transform::Transformation;
use std::sync::Arc;
use std::time::Duration;

const BAD_LIVE: Code = Code("KITH-N031");
/// Silence up to here, in seconds: an hour. A connection that says nothing for longer can't be told from a dead one.
const LONGEST_SILENCE: i128 = 3_600;
/// Servers keep events for hours or days, in seconds: a year is another unit.
const LONGEST_KEPT: i128 = 31_622_400;
/// Ways in which one stream's events become activities: each is tried on each event.
const MOST_TAKES: usize = 16;

/// A live stream, and how its events become activities.
#[derive(Debug)]
pub struct LiveStream {
    /// The connection.
    pub stream: Arc<Live>,
    /// The first that takes an event makes the activity.
    takes: Vec<Take>,
}

/// How some of a live stream's events become activities.
#[derive(Debug)]
struct Take {
    /// The names of server-sent events; of all, where there is none.
    events: Vec<String>,
    /// What is done with an event first.
    transformations: Vec<Transformation>,
    projection: Projection,
    /// Only about objects that were taken in before: a stream of everything tells of deletions of posts that nobody here has.
    known: bool,
}

impl LiveStream {
    /// An event as a line of Activity Streams, and whether only where its object is known; `None` where nobody takes it. `change` does what is done with an
    /// event first; one that it can't change is projected as it came, and parks where it lacks something.
    pub fn line(
        &self,
        name: Option<&str>,
        record: &serde_json::Value,
        change: impl Fn(&[Transformation], &serde_json::Value) -> Option<serde_json::Value>,
    ) -> Option<(Vec<u8>, bool)> {
        let named = |take: &&Take| take.events.is_empty() || take.events.iter().any(|known| Some(known.as_str()) == name);
        let nothing = Surroundings::default();
        self.takes.iter().filter(named).find_map(|take| {
            let record = change(&take.transformations, record).unwrap_or_else(|| record.clone());
            Some((take.projection.line(record, &nothing)?, take.known))
        })
    }
}

/// The block's live streams.
pub(super) fn streams(compiler: &mut Compiler<'_>, whole: &Part, source: &Source, projections: &[Projection]) -> Vec<Arc<LiveStream>> {
    let block = whole.get("metadata").and_then(|metadata| metadata.get("kith")).and_then(|kith| kith.get("live")).cloned();
    let fields = block.as_ref().map(Part::fields).unwrap_or_default();
    fields.iter().filter_map(|field| compiler.live(field, source, projections)).map(Arc::new).collect()
}

impl Compiler<'_> {
    fn bad_live(&mut self, span: Span, message: impl Into<String>, remedy: &str) {
        let place = self.tree.place(span);
        self.problems.push(Diagnostic::error(BAD_LIVE, place, message, remedy));
    }

    fn only_keys(&mut self, part: &Part, what: &str, known: &[&str]) {
        for field in part.fields() {
            if !known.contains(&&*field.key) && !field.key.starts_with('$') {
                self.bad_live(
                    field.key_span,
                    format!("{what} does not know the key `{}`", field.key),
                    &format!("It has {}", known.join(", ")),
                );
            }
        }
    }

    fn live(&mut self, field: &Field, source: &Source, projections: &[Projection]) -> Option<LiveStream> {
        const KEYS: &[&str] =
            &["by", "requester", "partition_router", "record_filter", "heartbeat_seconds", "resume", "sequence", "backfill", "take"];
        let part = &field.value;
        self.only_keys(part, "a live stream", KEYS);
        let name = field.key.to_string();
        if source.stream(&name).is_some() {
            self.bad_live(field.key_span, format!("`{name}` is a stream of the manifest"), "Give the live one a name of its own");
        }
        let carrier = match part.text_of("by") {
            Some("sse") => Carrier::Events,
            Some("websocket") => Carrier::WebSocket,
            _ => {
                self.bad_live(field.key_span, "a live stream comes `by: sse` or `by: websocket`", "Write one of them");
                return None;
            }
        };
        let Some(requester) = part.get("requester") else {
            self.bad_live(field.key_span, "a live stream needs a `requester`", "Write the request that opens it, as a stream does");
            return None;
        };
        let requester = hand_down("SimpleRetriever.requester", requester, &[]);
        if !self.is_one_of(&requester, &["HttpRequester"]) {
            return None;
        }
        let outline = self.outline(&requester)?;
        if outline.method != "GET" && carrier == Carrier::WebSocket {
            self.bad_live(requester.span, "a WebSocket is opened by GET", "Leave `http_method` out");
        }
        let login = self.login(&requester, 0);
        let router = part.get("partition_router").map(|router| hand_down("SimpleRetriever.partition_router", router, &[]));
        let router = router.and_then(|router| {
            let found = self.router(&router)?;
            if matches!(found, Router::List { .. }) {
                return Some(found);
            }
            self.bad_live(router.span, "a live stream has a connection for each value of a list", "Write a ListPartitionRouter");
            None
        });
        let filter = part.get("record_filter").cloned().and_then(|filter| {
            let filter = hand_down("RecordSelector.record_filter", &filter, &[]);
            self.is_one_of(&filter, &["RecordFilter"]).then(|| self.condition(&filter, "condition", EVENT)).flatten()
        });
        let heartbeat = self.seconds(part, "heartbeat_seconds", LONGEST_SILENCE).unwrap_or(Duration::from_mins(1));
        let resume = part.get("resume").cloned().map(|resume| self.resume(&resume, carrier));
        let backfill = part.get("backfill").and_then(|named| {
            let stream = named.text().map(str::to_owned);
            let projected = stream.as_ref().is_some_and(|stream| projections.iter().any(|known| known.stream == *stream));
            if !projected {
                self.bad_live(named.span, "`backfill` is a stream that the block projects", "Name one of `metadata.kith.streams`");
            }
            stream.filter(|_| projected)
        });
        let takes = self.takes(field, carrier);
        let sequence = self.template(part, "sequence", EVENT);
        let stream = Live { name, carrier, outline, login, router, filter, heartbeat, resume, sequence, backfill };
        (!takes.is_empty()).then(|| LiveStream { stream: Arc::new(stream), takes })
    }

    fn seconds(&mut self, part: &Part, key: &str, most: i128) -> Option<Duration> {
        let seconds = self.whole(part, key)?;
        let found = u64::try_from(seconds).ok().filter(|_| (1..=most).contains(&seconds)).map(Duration::from_secs);
        if found.is_none() {
            let span = part.get(key).map_or(part.span, |value| value.span);
            self.bad_live(span, format!("`{key}` is between 1 and {most}"), "Write a number of seconds");
        }
        found
    }

    fn resume(&mut self, part: &Part, carrier: Carrier) -> Resume {
        self.only_keys(part, "`resume`", &["cursor_value", "send", "option", "keeps_seconds", "lost_when", "lost_codes"]);
        let value = self.template(part, "cursor_value", EVENT);
        let option = part.get("option").cloned().map(|option| hand_down("DefaultPaginator.page_token_option", &option, &[]));
        let option = option.and_then(|option| self.request_option(&option, part));
        if carrier == Carrier::WebSocket && (value.is_none() || option.is_none()) {
            self.bad_live(
                part.span,
                "a WebSocket has no ids of its own to go on after",
                "Write `cursor_value: \"{{ record['...'] }}\"` and an `option`",
            );
        }
        let mut lost_codes = Vec::new();
        for code in part.get("lost_codes").map(Part::items).unwrap_or_default() {
            match code.scalar().and_then(|text| text.parse().ok()).filter(|code| (400..600).contains(code)) {
                Some(code) => lost_codes.push(code),
                None => self.bad_live(code.span, "a status between 400 and 599 is meant", "Write 410, for instance"),
            }
        }
        Resume {
            value,
            send: self.template(part, "send", RESUME),
            option,
            keeps: self.seconds(part, "keeps_seconds", LONGEST_KEPT),
            lost: self.condition(part, "lost_when", EVENT),
            lost_codes,
        }
    }

    fn takes(&mut self, field: &Field, carrier: Carrier) -> Vec<Take> {
        let items = field.value.get("take").map(Part::items).unwrap_or_default();
        if items.is_empty() || items.len() > MOST_TAKES {
            let message = format!("a live stream has between 1 and {MOST_TAKES} ways to `take` an event");
            self.bad_live(field.key_span, message, "Write `take: [{ only: …, activity: … }]`");
            return Vec::new();
        }
        let mut takes = Vec::new();
        for item in items {
            self.only_keys(item, "a way to take an event", &["events", "transformations", "only", "activity", "known"]);
            let events = item.get("events").cloned().map(|events| self.texts(&events)).unwrap_or_default();
            if !events.is_empty() && carrier == Carrier::WebSocket {
                self.bad_live(item.span, "messages of a WebSocket have no names", "Tell them apart by `only`");
            }
            let transformations = self.transformations(item, "transformations").unwrap_or_default();
            let mut complain = |span: Span, message: String, remedy: &str| self.bad_live(span, message, remedy);
            if let Some(projection) = projection::projection(&field.key, item.span, item, Vec::new(), &mut complain) {
                takes.push(Take { events, transformations, projection, known: item.is_set("known") });
            }
        }
        takes
    }
}
