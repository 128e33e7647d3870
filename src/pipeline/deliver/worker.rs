//! The worker of one target: it picks, and up to `concurrency` lanes send.

use super::endpoint::Door;
use super::lane::Lane;
use super::pick::{Picked, Picker};
use super::report::{Allowance, Ear, Ended, Order, WorkerReport};
use crate::declare::config::{Hold, ServiceHours};
use crate::deliver::Target;
use crate::model::{Priority, Timestamp};
use crate::pipeline::RunError;
use crate::store::{Due, DueWhich, EndpointReason, OutboxRow, Store};
use jiff::SignedDuration;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// While the end of the work is awaited (`run --once`), an endpoint that fails this often in a row is given up. Its deliveries stay planned, in
/// order.
const FAILURES_WHEN_DRAINING: u32 = 3;
/// While the end of the work is awaited, longer waits are left to the next run.
const PATIENCE: SignedDuration = SignedDuration::from_secs(10);
/// A worker without work looks again after this long: the clock may have been set.
const IDLE: Duration = Duration::from_secs(30);
/// What could not be settled is asked for again after this long.
const UNSETTLED_AGAIN: Duration = Duration::from_secs(1);
/// The clock of a quota is finer than the one that wakes a task: no less than this.
const SHORTEST: Duration = Duration::from_millis(1);
/// Unanswered deliveries looked at in one go.
const UNSETTLED_AT_ONCE: usize = 256;

/// The worker of one target.
pub struct Worker<S, T> {
    /// What its lanes share.
    pub lane: Arc<Lane<S, T>>,
    /// Records in one send.
    pub batch: NonZeroU32,
    /// Sends under way at the same time.
    pub concurrency: NonZeroU32,
    /// When the target may be written to.
    pub hours: Option<ServiceHours>,
    /// How what is not urgent is held back.
    pub hold: Hold,
    /// How many more writes.
    pub allowance: Arc<Allowance>,
    /// Hears when something was planned.
    pub planned: Ear,
    /// What to do.
    pub order: watch::Receiver<Order>,
    /// Whether the run waits for the target for a moment only (`run --once`).
    pub patient: bool,
}

/// Why nothing leaves now.
enum Idle {
    /// Not before this time.
    Until(Timestamp, Reason),
    /// Nothing is due.
    Nothing,
    /// Until a person says so.
    Stopped(Arc<str>),
}

/// What came of settling.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settled {
    /// Nothing waits for it.
    Nothing,
    /// Something waits, and nobody could tell yet.
    NotYet,
    /// Something was settled.
    Some,
}

enum Reason {
    /// The endpoint failed, or asked for it.
    Endpoint(EndpointReason),
    /// A limit of ours.
    Ours(Arc<str>),
}

impl<S: Store + 'static, T: Target + 'static> Worker<S, T> {
    /// Works until told to end.
    ///
    /// # Errors
    /// When the store fails, or a lane died: then what it sent is settled by the next worker.
    pub async fn run(mut self) -> Result<WorkerReport, RunError> {
        let mut report = WorkerReport::default();
        let mut lanes: JoinSet<Result<WorkerReport, RunError>> = JoinSet::new();
        let mut picker = Picker::default();
        let concurrency = usize::try_from(self.concurrency.get()).unwrap_or(1);
        // What the last worker could not store, and what it left without an answer, comes before everything else.
        self.lane.store_endpoint().await?;
        while self.settle_left().await? == Settled::Some {}
        loop {
            while let Some(done) = lanes.try_join_next() {
                landed(done, &mut report)?;
            }
            let order = *self.order.borrow_and_update();
            self.planned.forget();
            if order == Order::Stop || self.lane.gate.is_closed() {
                while let Some(done) = lanes.join_next().await {
                    landed(done, &mut report)?;
                }
                return Ok(report);
            }
            if lanes.len() >= concurrency {
                if let Some(done) = lanes.join_next().await {
                    landed(done, &mut report)?;
                }
                continue;
            }
            let departure = self.lane.clone();
            let departure = departure.endpoint.departure.lock().await;
            self.lane.endpoint.begins();
            let mut idle = match self.next(&mut picker, &mut report).await? {
                Ok((rows, leaves)) => {
                    report.ended = None;
                    let taken = rows.len();
                    let Some(departing) = self.lane.intend(rows, leaves).await? else {
                        self.allowance.give_back(taken);
                        continue;
                    };
                    drop(departure);
                    let (lane, allowance) = (self.lane.clone(), self.allowance.clone());
                    lanes.spawn(async move {
                        let sent = lane.carry(departing).await?;
                        // What came to nothing may be tried again within the same allowance.
                        allowance.give_back(taken.saturating_sub(usize::try_from(sent.delivered + sent.parked).unwrap_or(usize::MAX)));
                        Ok(sent)
                    });
                    continue;
                }
                Err(idle) => idle,
            };
            drop(departure);
            if lanes.is_empty() {
                if report.ended == Some(Ended::AllowanceUsedUp) {
                    return Ok(report);
                }
                let left = if self.door_is_open() { self.settle_left().await? } else { Settled::Nothing };
                if left == Settled::Some {
                    continue;
                }
                if order == Order::Drain && self.is_over(&idle, &mut report).await? {
                    return Ok(report);
                }
                if let Idle::Nothing = idle {
                    let soon = (left == Settled::NotYet).then(|| self.after(UNSETTLED_AGAIN));
                    let now = self.lane.clock.now();
                    // What is due and did not leave is held back by something else.
                    let due = self.lane.store.next_due(&self.lane.id).await?.filter(|due| *due > now);
                    if let Some(until) = soon.into_iter().chain(due).min() {
                        idle = Idle::Until(until, Reason::Ours("nothing is due before".into()));
                    }
                }
            }
            self.idle(&idle, &mut lanes, &mut report).await?;
        }
    }

    fn door_is_open(&self) -> bool {
        let now = self.lane.clock.now();
        let open = self.lane.endpoint.state().closed_until(now).is_none() && self.closed_until(now).is_none();
        open && self.lane.stops.target(&self.lane.id).is_none()
    }

    fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.hours.as_ref().and_then(|hours| hours.closed_until(now))
    }

    /// The next batch, or why there is none.
    async fn next(&self, picker: &mut Picker, report: &mut WorkerReport) -> Result<Result<(Vec<OutboxRow>, Timestamp), Idle>, RunError> {
        if let Some(why) = self.lane.stops.target(&self.lane.id) {
            return Ok(Err(Idle::Stopped(why)));
        }
        let now = self.lane.clock.now();
        if let (Some(until), Some(hours)) = (self.closed_until(now), &self.hours) {
            return Ok(Err(Idle::Until(until, Reason::Ours(format!("outside its hours ({})", hours.text()).into()))));
        }
        let door = self.lane.endpoint.door(now);
        if let Door::Shut { until, why } = door {
            return Ok(Err(Idle::Until(until, Reason::Endpoint(why))));
        }
        let limit = usize::try_from(self.batch.get()).unwrap_or(1);
        let held = self.held(now).await?;
        let picked = picker.pick(&self.lane, &door, limit, held.is_some(), &self.allowance, now).await;
        if door == Door::Probe && !matches!(picked, Ok(Picked::Batch(..))) {
            self.lane.endpoint.no_probe();
        }
        Ok(match picked? {
            Picked::Batch(rows, leaves) => Ok((rows, leaves)),
            Picked::NotBefore(until, why) => Err(Idle::Until(until, Reason::Ours(why))),
            Picked::AllowanceUsedUp => {
                report.ended = Some(Ended::AllowanceUsedUp);
                Err(Idle::Nothing)
            }
            Picked::Nothing => Err(held.map_or(Idle::Nothing, |(until, why)| Idle::Until(until, Reason::Ours(why)))),
        })
    }

    /// Until when only urgent deliveries leave, and why: quiet hours, or a digest that is not full yet.
    async fn held(&self, now: Timestamp) -> Result<Option<(Timestamp, Arc<str>)>, RunError> {
        if let Some(until) = self.hold.quiet_until(now) {
            return Ok(Some((until, "quiet hours".into())));
        }
        let Some((count, wait)) = self.hold.digest else { return Ok(None) };
        let full = usize::try_from(count.get()).unwrap_or(usize::MAX);
        let mut collected = 0;
        for priority in [Priority::Normal, Priority::Low] {
            let limit = full.saturating_sub(collected);
            let due = Due { target: self.lane.id.clone(), now, limit, priority, except: Vec::new(), which: DueWhich::All };
            collected += if limit > 0 { self.lane.store.due(&due).await?.len() } else { 0 };
        }
        if collected == 0 || collected >= full {
            return Ok(None);
        }
        let oldest = self.lane.store.oldest(vec![self.lane.id.clone()]).await?;
        let until = oldest.first().and_then(|(_, since)| since.checked_add(wait).ok()).unwrap_or(now);
        Ok((until > now).then(|| (until, format!("collecting a digest: {collected} of {full}").into())))
    }

    async fn anything_due(&self, now: Timestamp) -> Result<bool, RunError> {
        for priority in Priority::ALL {
            let due = Due { target: self.lane.id.clone(), now, limit: 1, priority, except: Vec::new(), which: DueWhich::All };
            if !self.lane.store.due(&due).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn after(&self, wait: Duration) -> Timestamp {
        self.lane.clock.now().checked_add(wait).unwrap_or(Timestamp::MAX)
    }

    /// Settles what has no answer yet, so that what it held back may go.
    async fn settle_left(&self) -> Result<Settled, RunError> {
        let mut settled = Settled::Nothing;
        for row in self.lane.store.unsettled(&self.lane.id, None, UNSETTLED_AT_ONCE).await? {
            if !self.door_is_open() {
                break;
            }
            if self.lane.settle(row).await? {
                settled = Settled::Some;
            } else if settled == Settled::Nothing {
                settled = Settled::NotYet;
            }
        }
        Ok(settled)
    }

    /// While the end of the work is awaited: whether nothing more can be sent for now.
    async fn is_over(&self, idle: &Idle, report: &mut WorkerReport) -> Result<bool, RunError> {
        let now = self.lane.clock.now();
        let far = |until: &Timestamp| until.duration_since(now) > PATIENCE;
        match idle {
            Idle::Nothing => {
                // What failed may be due again in a moment.
                Ok(self.lane.store.next_due(&self.lane.id).await?.is_none_or(|at| at <= now || !self.patient || far(&at)))
            }
            Idle::Stopped(why) => {
                if self.anything_due(now).await? {
                    report.ended = Some(Ended::Stopped { why: why.clone() });
                }
                Ok(true)
            }
            Idle::Until(until, reason) => {
                if !self.anything_due(now).await? {
                    return Ok(true);
                }
                let gives_up = matches!(reason, Reason::Endpoint(_)) && self.lane.endpoint.state().failures >= FAILURES_WHEN_DRAINING;
                if !far(until) && !gives_up && self.patient {
                    return Ok(false);
                }
                report.ended = Some(match reason {
                    Reason::Endpoint(why) if self.lane.endpoint.state().failures > 0 => Ended::Unavailable(why.clone()),
                    Reason::Endpoint(why) => Ended::Waits { until: *until, why: why.message.clone() },
                    Reason::Ours(why) => Ended::Waits { until: *until, why: why.clone() },
                });
                Ok(true)
            }
        }
    }

    async fn idle(
        &mut self,
        idle: &Idle,
        lanes: &mut JoinSet<Result<WorkerReport, RunError>>,
        report: &mut WorkerReport,
    ) -> Result<(), RunError> {
        let now = self.lane.clock.now();
        let pause = match idle {
            Idle::Until(until, _) => until.duration_since(now).unsigned_abs().clamp(SHORTEST, IDLE),
            Idle::Nothing | Idle::Stopped(_) => IDLE,
        };
        tokio::select! {
            biased;
            Some(done) = lanes.join_next() => landed(done, report)?,
            Ok(()) = self.order.changed() => {}
            () = self.planned.rung() => {}
            () = self.lane.endpoint.changed.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
        Ok(())
    }
}

fn landed(done: Result<Result<WorkerReport, RunError>, tokio::task::JoinError>, report: &mut WorkerReport) -> Result<(), RunError> {
    report.add(&done.map_err(RunError::Task)??);
    Ok(())
}
