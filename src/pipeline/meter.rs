//! What is counted while the service runs: since it started, by target. Nothing personal, and no label that a person chose outside the configuration.

use crate::model::TargetId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Upper bounds of the buckets of a send's duration, in seconds: from a local write to a slow SOAP call.
pub const SEND_SECONDS: [f64; 10] = [0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// How long sends took.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Durations {
    /// Sends of at most the bound of [`SEND_SECONDS`] at the same place, the shorter ones not included.
    pub buckets: [u64; SEND_SECONDS.len()],
    /// All sends.
    pub count: u64,
    /// Seconds in all.
    pub sum: f64,
}

/// Counts since the service started.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Counts {
    /// Outcomes of deliveries by target and word.
    pub outcomes: BTreeMap<(Arc<str>, &'static str), u64>,
    /// Records sent, by target.
    pub records: BTreeMap<Arc<str>, u64>,
    /// How long sends took, by target.
    pub sends: BTreeMap<Arc<str>, Durations>,
    /// Tasks that died and were started again, by name.
    pub restarts: BTreeMap<String, u64>,
}

/// Counts.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Counts>);

impl Meter {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A count is whole at every moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch was answered.
    pub fn sent(&self, target: &TargetId, records: usize, seconds: f64) {
        let mut counts = self.counts();
        *counts.records.entry(target.0.clone()).or_default() += records as u64;
        let durations = counts.sends.entry(target.0.clone()).or_default();
        if let Some((bucket, _)) = durations.buckets.iter_mut().zip(SEND_SECONDS).find(|(_, bound)| seconds <= *bound) {
            *bucket += 1;
        }
        durations.count += 1;
        durations.sum += seconds;
    }

    /// A delivery came to this.
    pub fn outcome(&self, target: &TargetId, word: &'static str) {
        *self.counts().outcomes.entry((target.0.clone(), word)).or_default() += 1;
    }

    /// A task died and was started again.
    pub fn restarted(&self, task: &str) {
        *self.counts().restarts.entry(task.to_owned()).or_default() += 1;
    }

    /// As they are now.
    pub fn read(&self) -> Counts {
        self.counts().clone()
    }
}
