//! What is counted while the service runs: since it started, by target. Nothing personal, and no label that a person chose outside the configuration.

use crate::model::{Priority, TargetId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Upper bounds of the buckets of a send's duration, in seconds: from a local write to a slow SOAP call.
pub const SEND_SECONDS: [f64; 10] = [0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Upper bounds of the buckets of an arrival, in seconds from the activity's `published` to the receipt: from a service that hears its source to a
/// target that was down for an hour.
pub const ARRIVAL_SECONDS: [f64; 10] = [0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 3600.0];

/// How long sends or arrivals took.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Durations {
    /// Those of at most the bound of [`SEND_SECONDS`] or [`ARRIVAL_SECONDS`] at the same place, the shorter ones not included.
    pub buckets: [u64; SEND_SECONDS.len()],
    /// All of them.
    pub count: u64,
    /// Seconds in all.
    pub sum: f64,
}

impl Durations {
    fn add(&mut self, seconds: f64, bounds: [f64; SEND_SECONDS.len()]) {
        if let Some((bucket, _)) = self.buckets.iter_mut().zip(bounds).find(|(_, bound)| seconds <= *bound) {
            *bucket += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    /// The bound that `hundredths` of all (1 to 100) are within; `None`: beyond the last.
    pub fn within(&self, hundredths: u64, bounds: [f64; SEND_SECONDS.len()]) -> Option<f64> {
        let wanted = self.count.saturating_mul(hundredths).div_ceil(100);
        let mut so_far = 0;
        self.buckets.iter().zip(bounds).find_map(|(count, bound)| {
            so_far += count;
            (so_far >= wanted).then_some(bound)
        })
    }
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
    /// How long deliveries took from the activity's publication, by target and urgency.
    pub arrivals: BTreeMap<(Arc<str>, Priority), Durations>,
    /// Tasks that died and were started again, by name.
    pub restarts: BTreeMap<String, u64>,
    /// What came over connections of live streams, by connection.
    pub streams: BTreeMap<String, StreamCounts>,
}

/// What came over a connection of a live stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamCounts {
    /// How often it was opened.
    pub opened: u64,
    /// Events that were taken.
    pub events: u64,
    /// Activity versions that its gaps were filled with.
    pub backfilled: u64,
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
        counts.sends.entry(target.0.clone()).or_default().add(seconds, SEND_SECONDS);
    }

    /// A delivery about an activity arrived, so long after that was published; what a clock says that is ahead counts as at once.
    pub fn arrived(&self, target: &TargetId, priority: Priority, seconds: f64) {
        self.counts().arrivals.entry((target.0.clone(), priority)).or_default().add(seconds.max(0.0), ARRIVAL_SECONDS);
    }

    /// A delivery came to this.
    pub fn outcome(&self, target: &TargetId, word: &'static str) {
        *self.counts().outcomes.entry((target.0.clone(), word)).or_default() += 1;
    }

    /// A task died and was started again.
    pub fn restarted(&self, task: &str) {
        *self.counts().restarts.entry(task.to_owned()).or_default() += 1;
    }

    /// Something came over a connection of a live stream.
    pub fn stream(&self, connection: &str, change: impl FnOnce(&mut StreamCounts)) {
        change(self.counts().streams.entry(connection.to_owned()).or_default());
    }

    /// As they are now.
    pub fn read(&self) -> Counts {
        self.counts().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_arrivals_is_within_a_bound_or_beyond_all() {
        let meter = Meter::default();
        let target = TargetId("crm".into());
        for n in 0..98 {
            meter.arrived(&target, Priority::Urgent, f64::from(n) / 100.0);
        }
        meter.arrived(&target, Priority::Urgent, 4.0);
        meter.arrived(&target, Priority::Urgent, 10_000.0);
        meter.arrived(&target, Priority::Low, -3.0);
        let arrivals = meter.read().arrivals;
        let urgent = arrivals[&("crm".into(), Priority::Urgent)];
        let within = |hundredths| urgent.within(hundredths, ARRIVAL_SECONDS);
        assert_eq!((within(50), within(99), within(100)), (Some(0.5), Some(5.0), None));
        assert_eq!(arrivals[&("crm".into(), Priority::Low)].within(99, ARRIVAL_SECONDS), Some(0.25));
    }
}
