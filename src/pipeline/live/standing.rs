//! Where a live stream stands, as the store keeps it with the events before it.

use crate::manifest::Json;
use crate::model::Timestamp;
use serde_json::{Value, json};

/// Why events were missed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The stream was opened for the first time.
    First,
    /// There is nothing to go on after.
    NoCursor,
    /// The server says that it can't go on there.
    CursorLost,
    /// The stored event is older than what the server keeps.
    CursorTooOld,
    /// A number between two events did not come.
    Jump,
    /// What came next could not be read.
    Unreadable,
}

impl Why {
    const ALL: [Self; 6] = [Self::First, Self::NoCursor, Self::CursorLost, Self::CursorTooOld, Self::Jump, Self::Unreadable];

    /// In the log and in `kith status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first-connection",
            Self::NoCursor => "no-cursor",
            Self::CursorLost => "cursor-lost",
            Self::CursorTooOld => "cursor-too-old",
            Self::Jump => "sequence-jump",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A span of which something may be missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missed {
    /// From when; `None`: from the beginning.
    pub from: Option<Timestamp>,
    /// Until when.
    pub to: Timestamp,
    /// Why, at first.
    pub why: Why,
}

/// Where a live stream stands.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Standing {
    /// To go on after.
    pub cursor: Option<Json>,
    /// The number of the last event.
    pub number: Option<i128>,
    /// When anything was heard last: a sign of life is stored once a minute.
    pub heard: Option<Timestamp>,
    /// When the last event came that was taken.
    pub event: Option<Timestamp>,
    /// When the place in the stream moved on last, whether or not that event was taken.
    pub went_on: Option<Timestamp>,
    /// What is still to be read. What is missed meanwhile joins it.
    pub missed: Option<Missed>,
    /// Gaps so far.
    pub gaps: u64,
    /// Gaps that nothing fills.
    pub left: u64,
    /// The server asked to be left alone until then.
    pub not_before: Option<Timestamp>,
}

impl Standing {
    /// Something was missed; it is to be read where there is something to read it from.
    pub fn miss(&mut self, missed: Missed, fills: bool) {
        self.gaps = self.gaps.saturating_add(1);
        if !fills {
            self.left = self.left.saturating_add(1);
            return;
        }
        self.missed = Some(match self.missed.take() {
            None => missed,
            // Nothing is younger than "from the beginning".
            Some(before) => Missed {
                from: before.from.zip(missed.from).map(|(one, other)| one.min(other)),
                to: before.to.max(missed.to),
                why: before.why,
            },
        });
    }

    /// As the store keeps it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let missed =
            self.missed.as_ref().map(|missed| json!({ "from": time(missed.from), "to": missed.to.to_string(), "why": missed.why.name() }));
        let cursor = self.cursor.as_ref().and_then(|cursor| serde_json::to_value(cursor).ok());
        json!({
            "v": 1, "live": true, "cursor": cursor, "number": self.number.map(|number| number.to_string()), "heard": time(self.heard),
            "event": time(self.event), "went_on": time(self.went_on), "missed": missed, "gaps": self.gaps, "left": self.left, "not_before": time(self.not_before),
        })
        .to_string()
        .into_bytes()
    }

    /// Reads it; what is not one is a stream that was never opened.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let Ok(written) = serde_json::from_slice::<Value>(bytes) else { return Self::default() };
        if written.get("live").and_then(Value::as_bool) != Some(true) {
            return Self::default();
        }
        let time = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).and_then(|text| text.parse().ok());
        let count = |name: &str| written.get(name).and_then(Value::as_u64).unwrap_or_default();
        let missed = written.get("missed").filter(|missed| !missed.is_null()).and_then(|missed| {
            let why = missed.get("why").and_then(Value::as_str)?;
            let why = Why::ALL.into_iter().find(|known| known.name() == why)?;
            Some(Missed { from: time(missed, "from"), to: time(missed, "to")?, why })
        });
        Self {
            cursor: written.get("cursor").filter(|cursor| !cursor.is_null()).map(|cursor| cursor.clone().into()),
            number: written.get("number").and_then(Value::as_str).and_then(|text| text.parse().ok()),
            heard: time(&written, "heard"),
            event: time(&written, "event"),
            went_on: time(&written, "went_on"),
            missed,
            gaps: count("gaps"),
            left: count("left"),
            not_before: time(&written, "not_before"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn a_time() -> impl Strategy<Value = Option<Timestamp>> {
        prop::option::of((0_i64..4_000_000_000).prop_map(at))
    }

    proptest! {
        #[test]
        fn a_standing_survives_the_store(
            cursor in prop::option::of(prop_oneof![
                "[ -~]{1,20}".prop_map(|text| Json::text(&text)),
                any::<i64>().prop_map(|number| Json::Int(number.into())),
            ]),
            number in prop::option::of(any::<i128>()),
            (heard, event, went_on, not_before) in (a_time(), a_time(), a_time(), a_time()),
            missed in prop::option::of((a_time(), 0_i64..4_000_000_000, 0_usize..6)),
            (gaps, left) in (any::<u64>(), any::<u64>()),
        ) {
            let missed = missed.map(|(from, to, why)| Missed { from, to: at(to), why: Why::ALL[why] });
            let standing = Standing { cursor, number, heard, event, went_on, missed, gaps, left, not_before };
            prop_assert_eq!(Standing::from_bytes(&standing.to_bytes()), standing);
        }

        #[test]
        fn any_other_bytes_are_a_stream_that_was_never_opened(bytes: Vec<u8>) {
            prop_assert_eq!(Standing::from_bytes(&bytes), Standing::default());
        }
    }

    #[test]
    fn what_is_missed_meanwhile_joins_what_is_to_be_read() {
        let missed = |from: Option<i64>, to, why| Missed { from: from.map(at), to: at(to), why };
        let mut standing = Standing::default();
        standing.miss(missed(Some(50), 60, Why::NoCursor), true);
        standing.miss(missed(Some(40), 55, Why::Jump), true);
        assert_eq!(standing.missed, Some(missed(Some(40), 60, Why::NoCursor)));
        standing.miss(missed(None, 70, Why::CursorLost), true);
        assert_eq!(standing.missed, Some(missed(None, 70, Why::NoCursor)));
        assert_eq!((standing.gaps, standing.left), (3, 0));
        standing.miss(missed(Some(80), 90, Why::NoCursor), false);
        assert_eq!((standing.gaps, standing.left, standing.missed.map(|missed| missed.to)), (4, 1, Some(at(70))));
    }

    #[test]
    fn the_standing_of_a_polled_stream_is_none() {
        assert_eq!(Standing::from_bytes(br#"{"v":1,"state":{"created_at":"x"},"not_before":null}"#), Standing::default());
    }
}
