//! Where a question stands, as the store keeps it: a cursor of its source.

use crate::model::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How far a job is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It may be there or not: its name tells.
    Making,
    /// It is there.
    Made {
        /// Its number.
        id: String,
    },
}

/// A job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Its name, which no other job has.
    pub name: String,
    pub phase: Phase,
    /// The last row that its list is about; the first is the one after [`Standing::after`].
    pub to: i64,
    /// How many are in its list.
    pub count: u64,
    /// When it was begun.
    pub at: Timestamp,
    /// When its list arrived.
    pub uploaded: Option<Timestamp>,
    /// How often it was asked about since.
    pub looks: u32,
    /// Lines of its answer that are taken.
    pub taken: u64,
}

/// Where a question stands.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    v: u8,
    /// Whether a round is under way.
    pub running: bool,
    /// When the present or last round began.
    pub round: Option<Timestamp>,
    /// When the last round ended.
    pub ended: Option<Timestamp>,
    /// The row after which the next job begins.
    pub after: i64,
    pub job: Option<Asked>,
    /// Nothing is asked before: the network asked for it, or something failed.
    pub not_before: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// Numbers that were asked about and answered, since the first round.
    pub asked: u64,
    /// Lines that say that something is gone.
    pub gone: u64,
    /// Deletes that followed.
    pub deleted: u64,
    /// Newer versions that were shown.
    pub changed: u64,
    /// Lines about what is not held.
    pub unknown: u64,
    /// Lines that are not understood.
    pub unread: u64,
}

impl Standing {
    pub fn from_bytes(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&Self { v: 1, ..self.clone() }).unwrap_or_default()
    }

    /// Whether there is anything to do now.
    pub fn is_due(&self, now: Timestamp, every: Duration) -> bool {
        if self.not_before.is_some_and(|at| now < at) {
            return false;
        }
        self.running || self.round.is_none_or(|began| now.duration_since(began).unsigned_abs() >= every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_what_stood() {
        let at: Timestamp = "2026-11-28T09:00:00.123456789Z".parse().unwrap();
        let job = |phase| Asked { name: "kith-1".into(), phase, to: 7, count: 3, at, uploaded: Some(at), looks: 2, taken: 1 };
        for phase in [Phase::Making, Phase::Made { id: "19".into() }] {
            let standing =
                Standing { v: 1, running: true, round: Some(at), after: 4, job: Some(job(phase)), gone: 9, ..Standing::default() };
            assert_eq!(Standing::from_bytes(&standing.to_bytes()), standing);
        }
        assert_eq!(Standing::from_bytes(b"not JSON"), Standing::default());
    }

    #[test]
    fn a_round_begins_when_its_time_has_come_and_goes_on_until_it_ends() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let day = Duration::from_hours(24);
        let mut standing = Standing::default();
        assert!(standing.is_due(at("2026-11-28T09:00:00Z"), day));
        standing.round = Some(at("2026-11-28T09:00:00Z"));
        assert!(!standing.is_due(at("2026-11-29T08:59:59Z"), day));
        assert!(standing.is_due(at("2026-11-29T09:00:00Z"), day));
        standing.running = true;
        assert!(standing.is_due(at("2026-11-28T09:00:01Z"), day));
        standing.not_before = Some(at("2026-11-28T09:00:02Z"));
        assert!(!standing.is_due(at("2026-11-28T09:00:01Z"), day));
    }
}
