//! What keeps the service going although a part of it fails: faults are told, counted, shown while they last, and the part starts again.

use super::webhooks::{Book, WebhookStanding};
use super::{ARRIVAL_SECONDS, Clock, Durations, Meter, RunError, StreamCounts};
use crate::deliver::rest;
use crate::model::{Priority, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

/// The first rest is at most this; each further one may be twice as long.
const FIRST_REST: Duration = Duration::from_millis(500);
/// No rest is longer: when there is room on the disk again, the service goes on within a minute.
const LONGEST_REST: Duration = Duration::from_mins(1);
/// A part that ran for so long is well again.
pub(super) const STEADY: Duration = Duration::from_secs(10);
/// While the end of the work is awaited (`run --once`), a part that failed so often in a row ends the run: with rests of 0.5 and 1 s at most,
/// a passing fault is outlived, and nobody waits for ever.
pub const TRIES_WHEN_DRAINING: u32 = 3;

/// A part that does not run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Down {
    /// Which: `pass`, `worker crm_db`, `log`.
    pub task: String,
    /// Since when.
    pub since: String,
    /// Failures in a row.
    pub times: u32,
    /// When it starts again.
    pub again_at: String,
    /// The code of the cause.
    pub code: String,
    /// The cause, without personal data.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// What came of a reload.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reloaded {
    /// When.
    pub at: String,
    /// Whether the new set is in force.
    pub accepted: bool,
    /// Why it is not: every problem with code and place.
    pub reasons: Vec<String>,
    /// What the new set changes only at the next start, or warns of.
    pub notes: Vec<String>,
}

/// The newest checkpoint that left the machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Published {
    /// How many entries it covers.
    pub size: u64,
    /// When it left.
    pub at: String,
}

/// How long deliveries took from the publication of their activity to the receipt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Arrivals {
    /// Where to.
    pub target: String,
    /// `urgent`, `normal`, `low`.
    pub priority: String,
    /// Deliveries since the service started.
    pub count: u64,
    /// Half of them took at most so many seconds; `None`: more than an hour.
    pub half_within: Option<f64>,
    /// 99 of 100 did.
    pub p99_within: Option<f64>,
}

/// How a live stream stands.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct StreamStanding {
    /// The source and the stream, and the value of a list that it is about: `social/tags_live/coffee`.
    pub stream: String,
    /// The source and the stream alone: `social/tags_live`.
    #[serde(default)]
    pub of: String,
    /// The longest silence that is borne, in seconds.
    #[serde(default)]
    pub heartbeat_seconds: u64,
    /// Somebody paused the source: nothing is heard, and nothing is to be.
    #[serde(default)]
    pub paused: bool,
    /// How often it was opened since the service started.
    #[serde(default)]
    pub connections: u64,
    /// Events that were taken since then.
    #[serde(default)]
    pub events: u64,
    /// Activity versions that its gaps were filled with since then.
    #[serde(default)]
    pub backfilled: u64,
    /// Since when it is connected; `None`: it is not.
    pub connected_since: Option<String>,
    /// When the last event was stored that was taken.
    pub last_event: Option<String>,
    /// When anything was heard last; stored once a minute where nothing happens.
    pub last_heard: Option<String>,
    /// What was missed and is not there yet: from when.
    pub gap_from: Option<String>,
    /// Until when.
    pub gap_to: Option<String>,
    /// Why.
    pub gap_why: Option<String>,
    /// Gaps since the stream was first opened.
    pub gaps: u64,
    /// Gaps that nothing fills: the stream has no `backfill`.
    pub gaps_left: u64,
}

/// How a question about what still stands is: `compliance` of a source.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ComplianceStanding {
    /// The source and the question: `x/posts`.
    pub question: String,
    /// When the last round ended: all that was held at its beginning was asked about. `None`: none has yet.
    pub ended: Option<String>,
    /// Since when a round is under way.
    pub round_since: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// Numbers that were asked about and answered, since the first round.
    pub asked: u64,
    /// Answers that say that something is gone.
    pub gone: u64,
    /// Deletes that followed: one for each post, of an account all that it said.
    pub deleted: u64,
    /// Versions that were shown and are newer than those that were held.
    #[serde(default)]
    pub changed: u64,
    /// Answers about what is not held.
    pub unknown: u64,
    /// Lines of answers that are not understood.
    pub unread: u64,
}

/// How the running service stands: what only the process knows. Nothing personal.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Standing {
    /// The process.
    pub process: u32,
    /// Its version.
    pub version: String,
    /// Since when it runs.
    pub since: String,
    /// When the last pass over the sources ended well.
    pub last_pass: Option<String>,
    /// The last reload.
    pub reload: Option<Reloaded>,
    /// What does not run.
    pub down: Vec<Down>,
    /// Starts after a failure, by part.
    pub restarts: BTreeMap<String, u64>,
    /// Where metrics are served.
    pub metrics: Option<String>,
    /// The newest checkpoint that left the machine since the service started.
    #[serde(default)]
    pub checkpoint: Option<Published>,
    /// Why the last one did not leave.
    #[serde(default)]
    pub checkpoint_kept: Option<String>,
    /// How long deliveries took.
    #[serde(default)]
    pub arrivals: Vec<Arrivals>,
    /// Live streams.
    #[serde(default)]
    pub streams: Vec<StreamStanding>,
    /// What networks are asked about what still stands.
    #[serde(default)]
    pub compliance: Vec<ComplianceStanding>,
    /// Webhooks.
    #[serde(default)]
    pub webhooks: Vec<WebhookStanding>,
}

#[derive(Debug, Default)]
struct Inner {
    down: BTreeMap<String, (Timestamp, Down)>,
    last_pass: Option<(Timestamp, f64)>,
    reload: Option<(Timestamp, Reloaded)>,
    metrics: Option<SocketAddr>,
    published: Option<Published>,
    kept: Option<String>,
    kept_times: u64,
    streams: BTreeMap<String, StreamStanding>,
    compliance: BTreeMap<String, ComplianceStanding>,
}

/// Where the parts of a service write how they stand.
#[derive(Debug)]
pub struct Board {
    since: Timestamp,
    integrated: AtomicU64,
    webhooks: Arc<Book>,
    inner: Mutex<Inner>,
}

impl Board {
    /// A service that starts.
    pub fn new(since: Timestamp) -> Self {
        Self { since, integrated: AtomicU64::new(0), webhooks: Arc::default(), inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // What is written is whole at every moment.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when the service runs.
    pub const fn since(&self) -> Timestamp {
        self.since
    }

    /// How webhooks stand.
    pub(super) const fn webhooks(&self) -> &Arc<Book> {
        &self.webhooks
    }

    /// The log holds so many entries.
    pub(super) fn integrated(&self, entries: u64) {
        self.integrated.store(entries, Ordering::Relaxed);
    }

    /// How many entries the log holds.
    pub fn log_entries(&self) -> u64 {
        self.integrated.load(Ordering::Relaxed)
    }

    fn fell(&self, at: Timestamp, down: Down) {
        let mut inner = self.inner();
        let since = inner.down.get(&down.task).map_or(at, |(since, _)| *since);
        inner.down.insert(down.task.clone(), (since, Down { since: since.to_string(), ..down }));
    }

    fn stands(&self, task: &str) -> Option<Timestamp> {
        self.inner().down.remove(task).map(|(since, _)| since)
    }

    pub(super) fn passed(&self, at: Timestamp, seconds: f64) {
        self.inner().last_pass = Some((at, seconds));
    }

    /// When the last pass ended well, and how long it took in seconds.
    pub fn last_pass(&self) -> Option<(Timestamp, f64)> {
        self.inner().last_pass
    }

    pub(super) fn reloaded(&self, at: Timestamp, reload: Reloaded) {
        self.inner().reload = Some((at, reload));
    }

    /// The last reload, and when.
    pub fn last_reload(&self) -> Option<(Timestamp, Reloaded)> {
        self.inner().reload.clone()
    }

    pub(super) fn serves_metrics(&self, at: Option<SocketAddr>) {
        self.inner().metrics = at;
    }

    /// A checkpoint left the machine, or did not, and why.
    pub(super) fn published(&self, left: Option<Published>, kept: Option<String>) {
        let mut inner = self.inner();
        inner.kept_times = inner.kept_times.saturating_add(u64::from(kept.is_some()));
        inner.kept = kept;
        inner.published = left.or_else(|| inner.published.take());
    }

    /// Whether the newest checkpoint did not leave.
    pub fn is_kept(&self) -> bool {
        self.inner().kept.is_some()
    }

    /// How many entries the newest checkpoint covers that left, and how often one did not since the service started.
    pub fn checkpoints(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.published.as_ref().map_or(0, |published| published.size), inner.kept_times)
    }

    /// A live stream stands so.
    pub(super) fn streams(&self, standing: StreamStanding) {
        self.inner().streams.insert(standing.stream.clone(), standing);
    }

    /// A live stream is read no more.
    pub(super) fn no_stream(&self, stream: &str) {
        self.inner().streams.remove(stream);
    }

    /// A question about what still stands is so.
    pub(super) fn compliance(&self, standing: ComplianceStanding) {
        self.inner().compliance.insert(standing.question.clone(), standing);
    }

    /// Other files take over: questions that they ask tell how they stand.
    pub(super) fn no_compliance(&self) {
        self.inner().compliance.clear();
    }

    /// How questions about what still stands are.
    pub fn all_compliance(&self) -> Vec<ComplianceStanding> {
        self.inner().compliance.values().cloned().collect()
    }

    /// How live streams stand, with what was counted.
    pub fn all_streams(&self, meter: &Meter) -> Vec<StreamStanding> {
        let counts = meter.read().streams;
        let counted = |standing: &StreamStanding| {
            let StreamCounts { opened, events, backfilled } = counts.get(&standing.stream).copied().unwrap_or_default();
            StreamStanding { connections: opened, events, backfilled, ..standing.clone() }
        };
        self.inner().streams.values().map(counted).collect()
    }

    /// What does not run.
    pub fn down(&self) -> Vec<Down> {
        self.inner().down.values().map(|(_, down)| down.clone()).collect()
    }

    /// As `kith status` shows it.
    pub fn standing(&self, meter: &Meter, now: Timestamp) -> Standing {
        let webhooks = self.webhooks.standings(self.since, now);
        let streams = self.all_streams(meter);
        let inner = self.inner();
        Standing {
            process: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: self.since.to_string(),
            last_pass: inner.last_pass.map(|(at, _)| at.to_string()),
            reload: inner.reload.as_ref().map(|(_, reload)| reload.clone()),
            down: inner.down.values().map(|(_, down)| down.clone()).collect(),
            restarts: meter.read().restarts,
            metrics: inner.metrics.map(|at| format!("http://{at}/metrics")),
            checkpoint: inner.published.clone(),
            checkpoint_kept: inner.kept.clone(),
            arrivals: arrivals(meter),
            streams,
            compliance: inner.compliance.values().cloned().collect(),
            webhooks,
        }
    }
}

fn arrivals(meter: &Meter) -> Vec<Arrivals> {
    let told = |((target, priority), durations): ((Arc<str>, Priority), Durations)| Arrivals {
        target: target.to_string(),
        priority: priority.name().to_owned(),
        count: durations.count,
        half_within: durations.within(50, ARRIVAL_SECONDS),
        p99_within: durations.within(99, ARRIVAL_SECONDS),
    };
    meter.read().arrivals.into_iter().map(told).collect()
}

/// The failures in a row of one part.
pub struct Watched {
    task: String,
    times: u32,
    /// `None`: it is started again as long as the service runs.
    tries: Option<u32>,
    board: Arc<Board>,
    meter: Arc<Meter>,
    clock: Arc<dyn Clock>,
}

impl Watched {
    /// A part that has not failed. After `tries` failures in a row it gives up.
    pub fn new(task: impl Into<String>, tries: Option<u32>, board: Arc<Board>, meter: Arc<Meter>, clock: Arc<dyn Clock>) -> Self {
        Self { task: task.into(), times: 0, tries, board, meter, clock }
    }

    /// It failed: told, counted, shown. How long it rests before it is started again.
    ///
    /// # Errors
    /// The error itself, where starting again can't help or was tried often enough.
    pub fn failed(&mut self, error: RunError) -> Result<Duration, RunError> {
        let problem = error.diagnostic();
        self.times = self.times.saturating_add(1);
        if error.is_fatal() {
            tracing::error!(code = problem.code.0, task = %self.task, place = %problem.place, "{}; the service ends", problem.message);
            return Err(error);
        }
        if self.tries.is_some_and(|tries| self.times >= tries) {
            tracing::error!(code = problem.code.0, task = %self.task, tries = self.times, place = %problem.place, "{}", problem.message);
            return Err(error);
        }
        let now = self.clock.now();
        // The moment differs between machines and lives, and repeats where a test's clock does.
        let moment = u64::from(now.subsec_nanosecond().unsigned_abs());
        let seed = self.task.bytes().fold(moment, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let pause = rest(FIRST_REST, LONGEST_REST, self.times, seed);
        let again_at = now.checked_add(pause).unwrap_or(Timestamp::MAX);
        tracing::error!(
            code = "KITH-R033", cause = problem.code.0, task = %self.task, times = self.times, %again_at, place = %problem.place,
            "{} failed and starts again: {}; {}", self.task, problem.message, problem.remedy
        );
        self.meter.restarted(&self.task);
        self.board.fell(
            now,
            Down {
                task: self.task.clone(),
                since: String::new(),
                times: self.times,
                again_at: again_at.to_string(),
                code: problem.code.0.to_owned(),
                message: problem.message,
                remedy: problem.remedy,
            },
        );
        Ok(pause)
    }

    /// It is well.
    pub fn well(&mut self) {
        if self.times > 0 {
            self.times = 0;
            if let Some(since) = self.board.stands(&self.task) {
                tracing::info!(task = %self.task, %since, "{} goes on", self.task);
            }
        }
    }
}

impl Drop for Watched {
    /// What ended is not down.
    fn drop(&mut self) {
        self.board.stands(&self.task);
    }
}

/// Runs a part to its end; a panic in it is an error like another. The part is not used again after one.
///
/// # Errors
/// Its own, and [`RunError::Panicked`].
pub async fn survive<T>(part: impl Future<Output = Result<T, RunError>>) -> Result<T, RunError> {
    let mut part = pin!(part);
    std::future::poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| part.as_mut().poll(context))) {
        Ok(polled) => polled,
        Err(panic) => Poll::Ready(Err(RunError::Panicked(panic.downcast_ref::<&'static str>().copied()))),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::SystemClock;
    use crate::store::StoreError;

    fn watched(tries: Option<u32>) -> (Watched, Arc<Board>, Arc<Meter>) {
        let (board, meter) = (Arc::new(Board::new(Timestamp::UNIX_EPOCH)), Arc::new(Meter::default()));
        (Watched::new("pass", tries, board.clone(), meter.clone(), Arc::new(SystemClock)), board, meter)
    }

    fn full() -> RunError {
        StoreError::Full("state".into()).into()
    }

    #[tokio::test]
    async fn a_panic_is_an_error_like_another_and_only_words_of_the_program_are_told() {
        let told = survive::<()>(async { panic!("a constant of the program") }).await.unwrap_err();
        assert!(told.to_string().contains("a constant of the program"), "{told}");
        let told = survive::<()>(async { panic!("{} is personal", std::hint::black_box("Ada")) }).await.unwrap_err();
        assert!(!told.to_string().contains("Ada"), "{told}");
        assert!(matches!(survive(async { Ok(7) }).await, Ok(7)));
    }

    #[test]
    fn what_waiting_may_mend_is_tried_again_what_it_can_not_mend_is_not() {
        let (mut pass, board, meter) = watched(None);
        for times in 1..50 {
            assert!(pass.failed(full()).unwrap() <= LONGEST_REST);
            assert_eq!(board.down()[0].times, times);
        }
        assert_eq!(board.standing(&meter, Timestamp::UNIX_EPOCH).down[0].code, "KITH-S002");
        assert_eq!(meter.read().restarts["pass"], 49);
        pass.well();
        assert!(board.down().is_empty());
        assert!(pass.failed(full()).unwrap() <= FIRST_REST, "a new fault begins with a short rest");
        for fatal in [StoreError::Stopped, StoreError::Damaged("x".into()), StoreError::Locked("x".into())] {
            assert!(pass.failed(fatal.into()).is_err());
        }
        assert!(pass.failed(StoreError::Newer { found: 9, known: 1 }.into()).is_err());
        for passing in [StoreError::ReadOnly("x".into()), StoreError::Database("x".into())] {
            assert!(pass.failed(passing.into()).is_ok());
        }
        drop(pass);
        assert!(board.down().is_empty(), "what ended is not down");
    }

    #[test]
    fn where_the_end_is_awaited_it_gives_up_after_three() {
        let (mut pass, ..) = watched(Some(TRIES_WHEN_DRAINING));
        assert!(pass.failed(full()).is_ok() && pass.failed(full()).is_ok());
        assert!(pass.failed(full()).is_err());
    }
}
