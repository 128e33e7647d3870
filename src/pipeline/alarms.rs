//! The service tells people that something is wrong with itself: what `ops/prometheus/kith.rules.yml` finds from outside, as far as the service knows it.
//!
//! Each alarm is told once to each place, and once more when it has ended; what was told is kept, so that a restart repeats nothing. An alarm has the
//! quotas, waits and retries of its target's file again, of its own: a flood of escalations can't drown it. Where the store can't be written, it is told
//! all the same, and the log lacks its entry: a full disk must not silence its own alarm.

use super::leaves::Scribe;
use super::metrics::{Exporter, LOG_TASK, breaker_state, deadlines};
use super::supervise::{Board, survive};
use super::{Clock, Parts, RunError};
use crate::audit::EntryOutcome;
use crate::declare::config::{Alarms as Spec, Hold, TargetPlace};
use crate::declare::connector::{Retry, TargetKind};
use crate::deliver::{DeliveryError, Limits, Notice, NotifyTarget, Scope, rest};
use crate::model::{Digest, Network, TargetId, Timestamp};
use crate::store::sqlite::SqliteStore;
use crate::store::{GuardState, Store as _, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Between two looks. What is counted for metrics is counted at most every five seconds as well.
const LOOK: Duration = Duration::from_secs(5);
/// So long a service that ends by a fault tries to say so, and so long it waits between two tries.
const LAST: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(500);
/// What the store remembers.
const TOLD: &str = "alarms_told";
/// Room on the disk below which it is an alarm, as in the rules of Prometheus.
const LITTLE_ROOM: u64 = 5_000_000_000;
/// Alarms that stand at once: each part, endpoint, source and guard has a few. More are not told one by one.
const MOST: usize = 200;
/// Alarms of one message: a person reads it.
const IN_ONE: usize = 50;
/// A deletion or edit that has waited for this share of its network's time is an alarm: a fifth of it is left to act in.
const LATE_SHARE: f64 = 0.8;
/// Seconds for which a live stream owes a sign of life, and a delivery waits to be taken in, before it is an alarm, as in the rules of Prometheus.
const SILENT: f64 = 600.0;
const UNDRAINED: f64 = 900.0;
/// Codes that say that our login is not taken.
const LOGIN_CODES: [&str; 3] = ["KITH-D016", "KITH-D040", "KITH-D063"];

/// What is wrong: the alarm's name, and with what. Words of the configuration and of the program.
type Key = (String, String);

/// What a look found.
struct Found {
    critical: bool,
    /// Told without waiting.
    at_once: bool,
    what: String,
    action: String,
}

/// How an alarm stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Stand {
    /// Since when it is wrong, in seconds since 1970.
    since: i64,
    critical: bool,
    /// Told without waiting.
    at_once: bool,
    what: String,
    action: String,
    /// It is well again.
    ended: bool,
    /// Targets that were told that it began.
    began_told: BTreeSet<String>,
    /// Targets that were told that it ended.
    end_told: BTreeSet<String>,
}

impl Stand {
    fn new(now: Timestamp, critical: bool) -> Self {
        Self {
            since: now.as_second(),
            critical,
            at_once: false,
            what: String::new(),
            action: String::new(),
            ended: false,
            began_told: BTreeSet::new(),
            end_told: BTreeSet::new(),
        }
    }
}

/// The alarms of a service, which outlive what it does: the last one says why it ends.
#[derive(Clone, Default)]
pub(super) struct Alarming(Arc<Mutex<Option<Alarms>>>);

impl Alarming {
    /// Looks and tells by these from now on, until dropped.
    pub(super) async fn keep_telling(self, mut alarms: Alarms) {
        alarms.recall().await;
        *self.0.lock().await = Some(alarms);
        loop {
            if let Some(alarms) = self.0.lock().await.as_mut()
                && let Err(error) = survive(Box::pin(alarms.turn())).await
            {
                tracing::warn!(code = error.diagnostic().code.0, "alarms could not be looked at: {error}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The service ends by a fault: told as well as it can be told in a short time.
    pub(super) async fn end(&self, error: &RunError) {
        let last = async {
            if let Some(alarms) = self.0.lock().await.as_mut() {
                alarms.end(error).await;
            }
        };
        if tokio::time::timeout(LAST, last).await.is_err() {
            tracing::warn!("not everybody could be told that the service ends");
        }
    }
}

/// One who is told.
struct Teller {
    name: Arc<str>,
    target: NotifyTarget,
    hold: Hold,
    retry: Retry,
    limits: Limits,
    failures: u32,
    not_before: Option<Timestamp>,
    /// Since when something waits for a digest.
    collecting: Option<Timestamp>,
}

/// What looks, and tells.
pub(super) struct Alarms {
    spec: Spec,
    tellers: Vec<Teller>,
    exporter: Arc<Exporter>,
    board: Arc<Board>,
    store: Arc<SqliteStore>,
    scribe: Arc<Scribe>,
    clock: Arc<dyn Clock>,
    standing: BTreeMap<String, Stand>,
    /// Within what time networks want deletions and edits to arrive.
    deadlines: Vec<(Network, Duration)>,
}

impl Alarms {
    /// As configured; `None` where nobody is to be told.
    pub(super) fn new(
        parts: &Parts,
        (exporter, board): (Arc<Exporter>, Arc<Board>),
        store: Arc<SqliteStore>,
        scribe: Arc<Scribe>,
        clock: Arc<dyn Clock>,
    ) -> Option<Self> {
        let spec = parts.config.alarms.clone();
        let now = clock.now();
        let told = parts.targets.iter().filter(|(target, file)| spec.to.contains(&target.name) && file.kind == TargetKind::Notify);
        let teller = |(target, file): &(crate::declare::config::TargetSpec, Arc<crate::declare::connector::TargetFile>)| {
            let TargetPlace::Service(service) = &target.place else { return None };
            Some(Teller {
                name: target.name.clone(),
                target: NotifyTarget::new(crate::declare::config::ServiceSpec::clone(service), target.notice.clone(), file.clone()),
                hold: target.notice.hold.clone(),
                retry: file.rules.retry,
                limits: Limits::new([(Scope::Endpoint, &target.quotas), (Scope::Endpoint, &file.rules.quotas)], &[], now),
                failures: 0,
                not_before: None,
                collecting: None,
            })
        };
        let tellers: Vec<Teller> = told.filter_map(teller).collect();
        if tellers.is_empty() {
            return None;
        }
        let deadlines = deadlines(parts);
        Some(Self { spec, tellers, exporter, board, store, scribe, clock, standing: BTreeMap::new(), deadlines })
    }

    /// What was told before a restart.
    async fn recall(&mut self) {
        match self.store.setting(TOLD).await {
            Ok(kept) => self.standing = kept.and_then(|kept| serde_json::from_str(&kept).ok()).unwrap_or_default(),
            Err(error) => tracing::warn!(code = error.diagnostic().code.0, "which alarms were told is not known: {error}"),
        }
    }

    async fn turn(&mut self) -> Result<(), RunError> {
        let now = self.clock.now();
        let found = self.found(now).await;
        self.compare(found, now);
        for at in 0..self.tellers.len() {
            self.tell(at, now, None).await?;
        }
        self.standing.retain(|_, stand| !stand.ended || !stand.began_told.is_subset(&stand.end_told));
        Ok(())
    }

    /// What is wrong now.
    async fn found(&self, now: Timestamp) -> BTreeMap<Key, Found> {
        let mut all = BTreeMap::new();
        let mut add = |name: &str, about: &str, critical: bool, at_once: bool, what: String, action: &str| {
            if all.len() < MOST {
                all.insert((name.to_owned(), about.to_owned()), Found { critical, at_once, what, action: action.to_owned() });
            }
        };
        for down in self.board.down() {
            let name = match (&*down.code, &*down.task) {
                ("KITH-S002" | "KITH-S003" | "KITH-A003", _) => "DiskIsFull",
                (_, LOG_TASK) => "LogStopped",
                _ => "PartFails",
            };
            add(name, &down.task, true, false, format!("{} fails: {}: {}", down.task, down.code, down.message), &down.remedy);
        }
        if self.board.is_kept() {
            add("LogDoesNotLeave", "checkpoint", true, false, "no checkpoint leaves the machine".to_owned(), "`kith status` says why");
        }
        for (stream, owed) in self.exporter.overdue(now).into_iter().filter(|(_, owed)| *owed > SILENT) {
            let what = format!("{stream}: no sign of life for {owed:.0} s longer than its connector bears");
            add("StreamSilent", &stream, false, false, what, "`kith status`: runbook, A live stream is silent, or has a gap");
        }
        for (source, waits) in self.exporter.undrained(now).into_iter().filter(|(_, waits)| *waits > UNDRAINED) {
            let what = format!("{source}: deliveries wait to be taken in, or their listener is not reached, for {waits:.0} s");
            add("WebhookNotDrained", &source, true, false, what, "`kith status`: runbook, A webhook's spool is not drained");
        }
        let figures = self.exporter.figures().await;
        let figures = match &*figures {
            Ok(figures) => figures,
            Err(error) => {
                let what = format!("the store can't be read: {}", error.diagnostic().code.0);
                add("StoreUnreadable", "store", true, false, what, "look at the disk");
                return all;
            }
        };
        for state in &figures.endpoints {
            let Some((_, why)) = state.rests.as_ref().filter(|_| breaker_state(state, now).1 > 0.0) else { continue };
            if LOGIN_CODES.contains(&&*why.code) {
                let what = format!("{} does not take our login: {}", state.name, why.code);
                add("LoginRefused", &state.name, true, false, what, "renew the login: runbook, A login expired");
            } else {
                let what = format!("{} does not answer: {}, {} sends failed in a row", state.name, why.code, state.failures);
                add("BreakerOpen", &state.name, true, false, what, "deliveries wait in order; `kith status` shows the last answer");
            }
        }
        for day in figures.totals.conservation.iter().filter(|day| day.gap() != 0) {
            let what = format!("{}: received is not what became of it", day.source);
            add(
                "ConservationGap",
                &day.source,
                true,
                true,
                what,
                "keep the state folder as it is and report it: runbook, Conservation gap",
            );
        }
        for change in &figures.totals.changes {
            let Some((_, within)) = self.deadlines.iter().find(|(network, _)| network.name() == change.network) else { continue };
            let age = change.since.parse().map_or(Duration::ZERO, |since: Timestamp| now.duration_since(since).unsigned_abs());
            if change.parked == 0 && age < within.mul_f64(LATE_SHARE) {
                continue;
            }
            let target = change.target.as_deref().unwrap_or("undecided");
            let (waiting, parked) = (change.waiting, change.parked);
            let what = format!(
                "{waiting} deletions and edits on {} have not arrived in {target}, the oldest since {}; {parked} of them are parked. The network wants them \
                 there within {} s",
                change.network,
                change.since,
                within.as_secs()
            );
            add("DeletionLate", &format!("{} {target}", change.network), true, true, what, "runbook, Deletions are late");
        }
        if let Some(free) = figures.free.filter(|free| *free < LITTLE_ROOM) {
            let what = format!("the state folder's disk has {} MB left", free / 1_000_000);
            add("DiskIsFillingUp", "disk", false, false, what, "make room: runbook, The disk is full");
        }
        let waiting = figures.totals.decisions.get("review").copied().unwrap_or(0);
        if waiting > u64::from(self.spec.review_backlog.get()) {
            let what = format!("{waiting} accounts wait for a person");
            add("ReviewBacklog", "review", false, false, what, "runbook, People wait for review");
        }
        for row in figures.guarded.iter().filter(|row| row.state == GuardState::Waits) {
            let (found, whole, id) = (row.pass.found, row.pass.whole, row.id);
            let what = format!("pass {id} waits at the guard `{}`: {found} of {whole}", row.pass.matter.name());
            add("PassWaits", &format!("{id}"), false, true, what, "`kith status`, then `kith approve` or `kith reject`");
        }
        all
    }

    /// What began and what ended since the last look.
    fn compare(&mut self, found: BTreeMap<Key, Found>, now: Timestamp) {
        let found: BTreeMap<String, Found> = found.into_iter().map(|((name, about), found)| (format!("{name} {about}"), found)).collect();
        for (key, stand) in &mut self.standing {
            stand.ended |= !found.contains_key(key);
        }
        // What nobody heard of needs no end.
        self.standing.retain(|_, stand| !stand.ended || !stand.began_told.is_empty());
        for (key, found) in found {
            let stand = self.standing.entry(key).or_insert_with(|| Stand { at_once: found.at_once, ..Stand::new(now, found.critical) });
            if std::mem::take(&mut stand.ended) && !stand.end_told.is_empty() {
                // It begins anew for those who heard of its end.
                stand.began_told = stand.began_told.difference(&stand.end_told).cloned().collect();
                stand.end_told.clear();
                stand.since = now.as_second();
            }
            (stand.what, stand.action) = (found.what, found.action);
        }
    }

    /// What a place has not heard yet: the key, whether it ended, and whether it may wait.
    fn unheard(&self, name: &str, now: Timestamp) -> Vec<(String, bool, bool)> {
        let after = i64::try_from(self.spec.after.as_secs()).unwrap_or(i64::MAX);
        let due = |(key, stand): (&String, &Stand)| {
            let began = stand.began_told.contains(name);
            match stand.ended {
                true if began && !stand.end_told.contains(name) => Some((key.clone(), true, true)),
                false if !began && (stand.at_once || now.as_second() - stand.since >= after) => Some((key.clone(), false, !stand.critical)),
                true | false => None,
            }
        };
        self.standing.iter().filter_map(due).collect()
    }

    /// Why the service ends, told to everyone who has not heard it.
    async fn end(&mut self, error: &RunError) {
        let problem = error.diagnostic();
        let (name, about) = if let RunError::Store(StoreError::Damaged(_) | StoreError::Absent(_)) = error {
            ("StoreUnreadable", "store")
        } else if let RunError::Log(_) = error {
            ("LogStopped", LOG_TASK)
        } else {
            ("ServiceEnds", "service")
        };
        let key = format!("{name} {about}");
        let stand = self.standing.entry(key.clone()).or_insert_with(|| Stand::new(self.clock.now(), true));
        (stand.at_once, stand.ended) = (true, false);
        stand.what = format!("the service ends: {}: {}", problem.code.0, problem.message);
        stand.action = problem.remedy;
        loop {
            for at in 0..self.tellers.len() {
                if let Err(error) = self.tell(at, self.clock.now(), Some(&key)).await {
                    tracing::warn!(code = error.diagnostic().code.0, "an alarm could not be told: {error}");
                }
            }
            if self.standing.get(&key).is_none_or(|stand| stand.began_told.len() >= self.tellers.len()) {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// `only`: nothing but this alarm.
    async fn tell(&mut self, at: usize, now: Timestamp, only: Option<&str>) -> Result<(), RunError> {
        let Some(name) = self.tellers.get(at).map(|teller| teller.name.clone()) else { return Ok(()) };
        let mut unheard = self.unheard(&name, now);
        unheard.retain(|(key, _, _)| only.is_none_or(|only| only == key));
        let Some(teller) = self.tellers.get_mut(at) else { return Ok(()) };
        if teller.hold.quiet_until(now).is_some() {
            unheard.retain(|(_, _, may_wait)| !may_wait);
        } else if let Some((count, wait)) = teller.hold.digest {
            let waiting = unheard.iter().filter(|(_, _, may_wait)| *may_wait).count();
            let since = *teller.collecting.get_or_insert(now);
            let full = waiting >= usize::try_from(count.get()).unwrap_or(usize::MAX);
            if waiting == 0 || full || now.duration_since(since).unsigned_abs() >= wait {
                teller.collecting = None;
            } else {
                unheard.retain(|(_, _, may_wait)| !may_wait);
            }
        }
        if unheard.is_empty() || teller.not_before.is_some_and(|at| now < at) {
            return Ok(());
        }
        if let Err(not_yet) = teller.limits.take(None, now) {
            teller.not_before = Some(not_yet.until);
            return Ok(());
        }
        // Without a digest each travels alone; the others with the next look.
        unheard.truncate(if teller.hold.digest.is_some() { IN_ONE } else { 1 });
        let notices: Vec<Notice> =
            unheard.iter().filter_map(|(key, ended, _)| self.standing.get(key).map(|s| notice(key, *ended, s))).collect();
        teller.limits.departs(now);
        let (told, attempt) = (teller.target.tell(&notices).await, teller.failures.saturating_add(1));
        let outcome = match &told {
            Ok(()) => {
                (teller.failures, teller.not_before) = (0, None);
                EntryOutcome::Inserted
            }
            Err(error) => {
                teller.failures = teller.failures.saturating_add(1);
                let asked = match error {
                    DeliveryError::Failed { retry_after, .. } | DeliveryError::Unavailable { retry_after, .. } => *retry_after,
                    DeliveryError::Throttled { wait, .. } => *wait,
                    DeliveryError::Refused { .. }
                    | DeliveryError::BatchRefused { .. }
                    | DeliveryError::LoginExpired { .. }
                    | DeliveryError::OutcomeUnknown { .. } => None,
                };
                let wait = rest(teller.retry.first, teller.retry.longest, teller.failures, now.subsec_nanosecond().unsigned_abs().into());
                teller.not_before = now.checked_add(wait.max(asked.unwrap_or_default())).ok();
                tracing::warn!(code = error.code().0, target_name = %name, failures = teller.failures, "an alarm was not told: {error}");
                if !matches!(error, DeliveryError::OutcomeUnknown { .. }) {
                    return Ok(());
                }
                EntryOutcome::Failed
            }
        };
        let (mut leaves, target) = (Vec::new(), TargetId(name.clone()));
        for (key, ended, _) in &unheard {
            leaves.push(self.scribe.alarm_told(key, *ended, &target, attempt, outcome, now)?);
            if let Some(stand) = self.standing.get_mut(key).filter(|_| told.is_ok()) {
                if *ended { &mut stand.end_told } else { &mut stand.began_told }.insert(name.to_string());
            }
        }
        let kept = serde_json::to_string(&self.standing).unwrap_or_default();
        if let Err(error) = self.store.set(vec![(TOLD.into(), kept)], leaves).await {
            tracing::warn!(code = error.diagnostic().code.0, "an alarm was told, and the log could not take it: {error}");
        }
        Ok(())
    }
}

/// What people read.
fn notice(key: &str, ended: bool, stand: &Stand) -> Notice {
    let state = if ended { "ended" } else { "began" };
    let id = Digest(Sha256::digest(format!("{key}\n{state}\n{}", stand.since)).into()).to_string();
    let title = if ended { format!("ended: {key}") } else { key.to_owned() };
    let fields = [
        ("Title", json!(title)),
        ("State", json!(state)),
        ("Severity", json!(if stand.critical { "critical" } else { "warning" })),
        ("Since", json!(Timestamp::from_second(stand.since).unwrap_or_default().to_string())),
        ("What", json!(stand.what)),
        ("Do", json!(if ended { "nothing" } else { &*stand.action })),
    ];
    Notice { id, kind: "alarm".into(), fields: fields.into_iter().map(|(name, value)| (name.into(), value)).collect() }
}
