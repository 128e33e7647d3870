//! What a worker is told, and what it tells.

use crate::model::Timestamp;
use crate::store::EndpointReason;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// A fault that stops every worker: without a log, nothing is sent (fail closed).
#[derive(Debug, Default)]
pub struct Gate {
    closed: AtomicBool,
    closings: AtomicU64,
}

impl Gate {
    /// Stops all sending.
    pub fn close(&self) {
        self.closings.fetch_add(1, Ordering::SeqCst);
        self.closed.store(true, Ordering::SeqCst);
    }

    /// How often sending was stopped.
    pub fn closings(&self) -> u64 {
        self.closings.load(Ordering::SeqCst)
    }

    /// Lets sending go on.
    pub fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
    }

    /// Whether sending is stopped.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

/// How many more writes a run may make (`--max-writes`).
#[derive(Debug)]
pub struct Allowance(AtomicU64);

impl Allowance {
    /// So many, or as many as there are.
    pub const fn new(writes: Option<u64>) -> Self {
        Self(AtomicU64::new(match writes {
            Some(writes) => writes,
            None => u64::MAX,
        }))
    }

    /// Takes up to `wanted`; what is not used is given back.
    pub(super) fn take(&self, wanted: usize) -> usize {
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
        let before = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left - left.min(wanted))).unwrap_or_default();
        usize::try_from(before.min(wanted)).unwrap_or(usize::MAX)
    }

    pub(super) fn give_back(&self, writes: usize) {
        self.0.fetch_add(u64::try_from(writes).unwrap_or_default(), Ordering::SeqCst);
    }
}

/// Rung when something was planned. A ring while nobody listens is heard by those who listen next. (A `watch` channel wakes its receivers in random
/// order; who is woken here is woken in the order in which they wait, so that a simulation repeats.)
#[derive(Debug, Default)]
pub struct Bell {
    rings: AtomicU64,
    waiting: Notify,
}

impl Bell {
    /// Rings.
    pub fn ring(&self) {
        self.rings.fetch_add(1, Ordering::SeqCst);
        self.waiting.notify_waiters();
    }

    /// An ear for it.
    pub fn ear(self: &Arc<Self>) -> Ear {
        Ear { bell: self.clone(), heard: self.rings.load(Ordering::SeqCst) }
    }
}

/// Somebody who listens to a [`Bell`].
#[derive(Debug)]
pub struct Ear {
    bell: Arc<Bell>,
    heard: u64,
}

impl Ear {
    /// What rang so far needs no answer any more.
    pub(super) fn forget(&mut self) {
        self.heard = self.bell.rings.load(Ordering::SeqCst);
    }

    /// Returns when it rang since the last time.
    pub(super) async fn rung(&mut self) {
        let bell = self.bell.clone();
        let mut waiting = std::pin::pin!(bell.waiting.notified());
        // Listening begins before the look at the count: no ring falls between.
        waiting.as_mut().enable();
        if bell.rings.load(Ordering::SeqCst) == self.heard {
            waiting.await;
        }
        self.forget();
    }
}

/// What a worker is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Send what comes.
    Work,
    /// Send what is there, then end.
    Drain,
    /// Finish what is under way, then end.
    Stop,
}

/// What a worker did.
#[derive(Clone, Debug, Default)]
pub struct WorkerReport {
    /// Records that a target holds because of this run.
    pub delivered: u64,
    /// Records that it refused.
    pub parked: u64,
    /// Why it ended with work left, where it did.
    pub ended: Option<Ended>,
}

impl WorkerReport {
    /// Adds what another did; why this one ended stays.
    pub const fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.parked += other.parked;
    }
}

/// Why a worker ended with work left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The target did not answer, or could not take anything.
    Unavailable(EndpointReason),
    /// It may be written to again at this time: its hours, a quota, or what it asked for.
    Waits {
        /// When.
        until: Timestamp,
        /// Why.
        why: Arc<str>,
    },
    /// The run's `--max-writes` is used up.
    AllowanceUsedUp,
    /// A person stopped it, or has to say whether it may be written to.
    Stopped {
        /// Which of these.
        why: Arc<str>,
    },
}
