//! *Send* and *receipt*: one worker a target. Nothing leaves before its intent is durable; what has no answer is settled, never hoped for.

use super::leaves::Scribe;
use super::progress::{Progress, Stage};
use super::{Clock, RunError};
use crate::deliver::{AnyTarget, DeliveryError, Next, RateLimit, RetryPolicy, Settled, Target};
use crate::model::{ParkReason, TargetId, Timestamp};
use crate::store::{OutboxRow, ReceiptStep, SendOutcome, SendStep, Store};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// While the end of the work is awaited (`run --once`), a target that is unavailable is asked this often in a row before the run gives up on
/// it. Its deliveries stay planned, in order.
const ATTEMPTS_WHEN_DRAINING: u32 = 3;
/// Between these attempts.
const PAUSE_WHEN_DRAINING: Duration = Duration::from_secs(1);
/// A worker without work looks again after this long, should it have missed the bell.
const IDLE: Duration = Duration::from_secs(1);
/// Unanswered deliveries looked at in one go.
const UNSETTLED_AT_ONCE: usize = 256;

/// A fault that stops every worker: without a log, nothing is sent (fail closed).
#[derive(Debug, Default)]
pub struct Gate {
    closed: AtomicBool,
}

impl Gate {
    /// Stops all sending.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
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
    fn take(&self, wanted: usize) -> usize {
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
        let before = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left - left.min(wanted))).unwrap_or_default();
        usize::try_from(before.min(wanted)).unwrap_or(usize::MAX)
    }

    fn give_back(&self, writes: usize) {
        self.0.fetch_add(u64::try_from(writes).unwrap_or_default(), Ordering::SeqCst);
    }
}

/// What a worker is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Send what comes.
    Work,
    /// Send what is there, then end.
    Drain,
    /// Finish the batch at hand, then end.
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

/// Why a worker ended with work left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The target did not answer, or said not now.
    Unavailable(ParkReason),
    /// The run's `--max-writes` is used up.
    AllowanceUsedUp,
}

/// The worker of one target.
pub struct Worker<S> {
    /// `[targets.NAME]`.
    pub id: TargetId,
    /// The outbox.
    pub store: Arc<S>,
    /// Where to.
    pub target: AnyTarget,
    /// Records in one send.
    pub batch: NonZeroU32,
    /// How fast.
    pub limit: RateLimit,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Writes audit leaves.
    pub scribe: Arc<Scribe>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Closed when the log fails.
    pub gate: Arc<Gate>,
    /// How many more writes.
    pub allowance: Arc<Allowance>,
    /// Rung when something was planned.
    pub planned: Arc<Notify>,
    /// What to do.
    pub order: watch::Receiver<Order>,
    /// Whether the run waits for the target instead of the schedule (`run --once`).
    pub patient: bool,
    /// Who looks.
    pub progress: Arc<dyn Progress>,
}

impl<S: Store> Worker<S> {
    /// Works until told to end.
    ///
    /// # Errors
    /// When the store fails: then nobody knows what may be sent.
    pub async fn run(mut self) -> Result<WorkerReport, RunError> {
        let mut report = WorkerReport::default();
        let mut unavailable = 0;
        loop {
            let order = *self.order.borrow_and_update();
            if order == Order::Stop || self.gate.is_closed() {
                return Ok(report);
            }
            let limit = usize::try_from(self.batch.get()).unwrap_or(1);
            let mut rows = self.store.due(&self.id, self.clock.now(), limit).await?;
            if rows.is_empty() {
                if self.settle_left().await? {
                    continue;
                }
                if order == Order::Drain {
                    return Ok(report);
                }
                self.idle(IDLE).await;
                continue;
            }
            let count = self.allowance.take(rows.len());
            if count == 0 {
                report.ended.get_or_insert(Ended::AllowanceUsedUp);
                return Ok(report);
            }
            rows.truncate(count);
            match self.send(rows, &mut report).await? {
                Sent::Some(sent) => {
                    self.allowance.give_back(count.saturating_sub(sent));
                    unavailable = 0;
                    report.ended = None;
                }
                Sent::Unavailable(reason) => {
                    self.allowance.give_back(count);
                    unavailable += 1;
                    tracing::warn!(target_name = %self.id.0, reason = %reason.message, unavailable, "the target is not available");
                    report.ended = Some(Ended::Unavailable(reason));
                    if self.patient && unavailable >= ATTEMPTS_WHEN_DRAINING {
                        return Ok(report);
                    }
                    self.idle(PAUSE_WHEN_DRAINING).await;
                }
            }
        }
    }

    /// Settles what has no answer yet; whether something was settled, so that what it held back may go.
    async fn settle_left(&self) -> Result<bool, RunError> {
        let mut settled = false;
        for row in self.store.unsettled(None, UNSETTLED_AT_ONCE).await? {
            if row.delivery.target == self.id {
                settled |= settle(&*self.store, &self.target, &self.scribe, &*self.clock, row).await?;
            }
        }
        Ok(settled)
    }

    async fn idle(&mut self, pause: Duration) {
        tokio::select! {
            () = self.planned.notified() => {}
            _changed = self.order.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    async fn send(&self, mut rows: Vec<OutboxRow>, report: &mut WorkerReport) -> Result<Sent, RunError> {
        let wanted = u32::try_from(rows.len()).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let granted = self.limit.admit(wanted).await;
        rows.truncate(usize::try_from(granted.get()).unwrap_or(usize::MAX));
        let count = rows.len();
        let now = self.clock.now();
        let intents = rows
            .iter()
            .map(|row| {
                let mut delivery = row.delivery.clone();
                delivery.attempt += 1;
                Ok(SendStep { leaf: self.scribe.intended(row, delivery.attempt, now)?, delivery })
            })
            .collect::<Result<Vec<_>, RunError>>()?;
        self.scribe.keep_parts(&*self.store).await?;
        let intended = self.store.send(intents).await?;
        let answers = self.target.write(&intended).await.answers;
        let now = self.clock.now();
        let mut unavailable = None;
        let mut outcomes = Vec::with_capacity(rows.len());
        let mut unknown = Vec::new();
        for (row, answer) in rows.into_iter().zip(answers) {
            let outcome = match answer {
                Ok(receipt) => {
                    report.delivered += 1;
                    SendOutcome::Delivered(receipt)
                }
                Err(error @ DeliveryError::Refused { .. }) => {
                    report.parked += 1;
                    SendOutcome::Parked(error.park_reason())
                }
                Err(DeliveryError::BatchRefused { code, message } | DeliveryError::LoginExpired { code, message }) => {
                    let reason = ParkReason { code: code.0, message };
                    self.again(&row, now, None, reason)
                }
                Err(
                    DeliveryError::Unavailable { code, message, retry_after }
                    | DeliveryError::Failed { code, message, retry_after }
                    | DeliveryError::Throttled { code, message, wait: retry_after },
                ) => {
                    let reason = ParkReason { code: code.0, message };
                    unavailable = Some(reason.clone());
                    self.again(&row, now, retry_after, reason)
                }
                Err(DeliveryError::OutcomeUnknown { message }) => {
                    unknown.push(row.clone());
                    SendOutcome::Unknown { reason: message }
                }
            };
            let leaf = self.scribe.outcome(&row, &outcome, now)?;
            outcomes.push(ReceiptStep { delivery: row.delivery.id, outcome, leaf });
        }
        self.scribe.keep_parts(&*self.store).await?;
        self.store.receipt(outcomes).await?;
        self.progress.advance(Stage::Deliver, count as u64, None);
        for row in unknown {
            settle(&*self.store, &self.target, &self.scribe, &*self.clock, row).await?;
        }
        Ok(unavailable.map_or(Sent::Some(count), Sent::Unavailable))
    }

    /// When a delivery is tried again: while a run drains, at once with the next attempt, since the run itself waits; in a service by the
    /// policy. What the target asks for is honoured in full either way.
    fn again(&self, row: &OutboxRow, now: Timestamp, asked: Option<Duration>, reason: ParkReason) -> SendOutcome {
        if self.patient {
            let not_before = asked.and_then(|wait| now.checked_add(wait).ok()).unwrap_or(now);
            return SendOutcome::Retry { not_before, reason: reason.message };
        }
        // Deliveries of one batch share the seed, so that they come back together and in order.
        let seed = self.id.0.bytes().fold(0_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        match self.retry.after(row.delivery.attempt + 1, now, asked, seed) {
            Next::At(not_before) => SendOutcome::Retry { not_before, reason: reason.message },
            Next::GiveUp => SendOutcome::Parked(reason),
        }
    }
}

enum Sent {
    Some(usize),
    Unavailable(ParkReason),
}

/// Asks the target what became of a delivery without an answer; whether it could say. While it can't, the delivery stays `unknown` and holds
/// back later writes to the same record.
///
/// # Errors
/// When the store fails.
pub async fn settle<S: Store>(store: &S, target: &AnyTarget, scribe: &Scribe, clock: &dyn Clock, row: OutboxRow) -> Result<bool, RunError> {
    let outcome = match target.settle(&row.delivery).await {
        Ok(Settled::Delivered(receipt)) => SendOutcome::Delivered(receipt),
        Ok(Settled::NotThere | Settled::Repeatable) => SendOutcome::NotThere,
        Ok(Settled::Undecidable { code, message }) => SendOutcome::Parked(ParkReason { code: code.0, message }),
        Err(error @ DeliveryError::Refused { .. }) => SendOutcome::Parked(error.park_reason()),
        Err(error) => {
            let message = error.to_string();
            tracing::warn!(target_name = %row.delivery.target.0, reason = %message, "a delivery without an answer can't be settled yet");
            return Ok(false);
        }
    };
    let leaf = scribe.recovered(&row, &outcome, clock.now())?;
    scribe.keep_parts(store).await?;
    store.receipt(vec![ReceiptStep { delivery: row.delivery.id, outcome, leaf }]).await?;
    Ok(true)
}
