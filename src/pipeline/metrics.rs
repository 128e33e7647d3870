//! What `/metrics` says: the counts of the store, of this process, and how the endpoints stand. Labels are words of the configuration and of
//! the program, never of people.

mod inflow;

pub(super) use inflow::alone;

use super::budget::{SPENDING, Spending};
use super::crew::endpoint_name;
use super::exposition::{Exposition, Family};
use super::supervise::{Board, ComplianceStanding, Watched, survive};
use super::{ARRIVAL_SECONDS, BACKED_UP, Clock, Counts, Durations, Meter, Parts, RunError, SEND_SECONDS, Stopwatch};
use crate::declare::config::ServiceHours;
use crate::model::{Network, TargetId, Timestamp};
use crate::store::sqlite::SqliteStore;
use crate::store::{
    Conservation, EndpointState, GuardMatter, GuardRow, GuardState, Guards as _, Store, StoreError, Totals, WaitingChanges,
};
use crate::wire::scrape::{self, Page, Shown};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};

/// Counting a large store costs a reader's time: it is done at most this often.
const FRESH: Duration = Duration::from_secs(5);
/// And at most this share of the time: what took a second holds for ten.
const SHARE: f64 = 10.0;

/// The part that follows the store's entries into the log's files.
pub(super) const LOG_TASK: &str = "log";

/// A target as metrics name it.
#[derive(Clone, Debug)]
pub struct Labelled {
    id: TargetId,
    endpoint: Arc<str>,
    hours: Option<ServiceHours>,
}

/// The targets of a project, and what its networks want.
pub fn labelled(parts: &Parts) -> Labels {
    let target = |spec: &crate::declare::config::TargetSpec| Labelled {
        id: TargetId(spec.name.clone()),
        endpoint: endpoint_name(spec),
        hours: spec.hours.clone(),
    };
    Labels { targets: parts.targets.iter().map(|(spec, _)| target(spec)).collect(), deadlines: deadlines(parts) }
}

/// What metrics name of a project.
#[derive(Clone, Debug)]
pub struct Labels {
    targets: Vec<Labelled>,
    /// Within what time the mapping's networks want deletions and edits to arrive.
    deadlines: Vec<(Network, Duration)>,
}

/// Within what time the mapping's networks want deletions and edits to arrive.
pub(super) fn deadlines(parts: &Parts) -> Vec<(Network, Duration)> {
    parts.rulebook.policy.duties.iter().filter_map(|duties| Some((duties.network, duties.deletions_within()?))).collect()
}

/// What the store says, at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) totals: Totals,
    backed_up: Option<Timestamp>,
    /// What sources have spent this month.
    spending: Spending,
    /// Bytes that are free on the disk of the state folder.
    pub(super) free: Option<u64>,
    oldest: Vec<(TargetId, Timestamp)>,
    pub(super) endpoints: Vec<EndpointState>,
    /// Passes that wait for a person's word, or have it.
    pub(super) guarded: Vec<GuardRow>,
}

struct Cached {
    watch: Stopwatch,
    lasts: f64,
    figures: Arc<Result<Figures, StoreError>>,
}

/// Everything that metrics are made from.
pub struct Exporter {
    store: Arc<SqliteStore>,
    meter: Arc<Meter>,
    board: Arc<Board>,
    clock: Arc<dyn Clock>,
    state: PathBuf,
    labels: watch::Receiver<Labels>,
    cached: Mutex<Option<Cached>>,
}

impl Exporter {
    /// Over a service's store and counts; `labels` follows a reload.
    pub fn new(
        store: Arc<SqliteStore>,
        meter: Arc<Meter>,
        board: Arc<Board>,
        clock: Arc<dyn Clock>,
        state: PathBuf,
        labels: watch::Receiver<Labels>,
    ) -> Self {
        Self { store, meter, board, clock, state, labels, cached: Mutex::new(None) }
    }

    /// What is asked for. The process is healthy when it answers. It is ready when the store can be read and the audit log follows: else nothing is
    /// sent. A source or target that fails is told, and the rest goes on.
    pub async fn show(&self, asked: Page) -> Shown {
        match asked {
            Page::Metrics => Shown { well: true, text: self.page().await },
            Page::Health => Shown { well: true, text: "ok\n".to_owned() },
            Page::Ready => {
                let figures = self.figures().await;
                let down = self.board.down();
                let unreadable =
                    figures.as_ref().as_ref().err().map(|error| format!("not ready: the store ({})\n", error.diagnostic().code.0));
                let log = down.iter().find(|down| down.task == LOG_TASK).map(|down| format!("not ready: the audit log ({})\n", down.code));
                let failing = down.iter().filter(|down| down.task != LOG_TASK);
                let failing = failing.fold(String::new(), |text, down| text + &format!("failing: {} ({})\n", down.task, down.code));
                match unreadable.or(log) {
                    Some(why) => Shown { well: false, text: why + &failing },
                    None => Shown { well: true, text: "ready\n".to_owned() + &failing },
                }
            }
        }
    }

    /// The page.
    pub async fn page(&self) -> String {
        let figures = self.figures().await;
        let Labels { targets, deadlines } = self.labels.borrow().clone();
        let now = self.clock.now();
        let mut page = Exposition::default();
        process(&mut page, &self.board, now);
        counted(&mut page, &self.meter.read());
        compliance(&mut page, &self.board.all_compliance());
        inflow::streams(&mut page, &self.board.all_streams(&self.meter), self.board.since(), now);
        inflow::webhooks(&mut page, &self.board.webhooks().standings(self.board.since(), now));
        match &*figures {
            Ok(figures) => {
                page.gauge("kith_store_readable", "1 while the store can be counted.").count(&[], 1);
                stored(&mut page, figures, now);
                changes(&mut page, &figures.totals.changes, &deadlines, now);
                log(&mut page, figures.totals.leaves, self.board.log_entries());
                checkpoints(&mut page, self.board.checkpoints());
                closed(&mut page, &targets, &figures.endpoints, now);
            }
            Err(error) => {
                tracing::warn!(code = error.diagnostic().code.0, "the store can't be counted for metrics: {error}");
                page.gauge("kith_store_readable", "1 while the store can be counted.").count(&[], 0);
            }
        }
        page.finish()
    }

    /// What the store says, a few seconds old at most.
    pub(super) async fn figures(&self) -> Arc<Result<Figures, StoreError>> {
        // Whoever comes meanwhile waits for the same count.
        let mut cached = self.cached.lock().await;
        if let Some(found) = cached.as_ref().filter(|c| c.watch.seconds() < c.lasts) {
            return found.figures.clone();
        }
        let watch = Stopwatch::start();
        let targets = self.labels.borrow().targets.iter().map(|target| target.id.clone()).collect();
        let figures = Arc::new(self.read(targets).await);
        let lasts = (watch.seconds() * SHARE).max(FRESH.as_secs_f64());
        *cached = Some(Cached { watch: Stopwatch::start(), lasts, figures: figures.clone() });
        figures
    }

    async fn read(&self, targets: Vec<TargetId>) -> Result<Figures, StoreError> {
        let totals = self.store.totals().await?;
        let backed_up = self.store.setting(BACKED_UP).await?.and_then(|told| told.split(' ').nth(1)?.parse().ok());
        let spending = Spending::of(self.store.setting(SPENDING).await?.as_deref()).unwrap_or_default();
        let free = self.state.clone();
        let free =
            tokio::task::spawn_blocking(move || rustix::fs::statvfs(&free).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)));
        Ok(Figures {
            backed_up,
            spending,
            free: free.await.ok().flatten(),
            totals,
            oldest: self.store.oldest(targets).await?,
            endpoints: self.store.endpoints().await?,
            guarded: self.store.guarded().await?,
        })
    }
}

/// Serves metrics where the configuration says, and elsewhere when that changes, until dropped.
pub(super) async fn keep_serving(
    exporter: Arc<Exporter>,
    mut listen: watch::Receiver<Option<SocketAddr>>,
    board: Arc<Board>,
    mut watched: Watched,
) {
    loop {
        let Some(address) = *listen.borrow_and_update() else {
            board.serves_metrics(None);
            if listen.changed().await.is_err() {
                return std::future::pending().await;
            }
            continue;
        };
        let exporter = exporter.clone();
        let serving = async {
            let listener = TcpListener::bind(address).await.map_err(|source| RunError::Metrics { address, source })?;
            let at = listener.local_addr().map_err(|source| RunError::Metrics { address, source })?;
            board.serves_metrics(Some(at));
            watched.well();
            tracing::info!("metrics at http://{at}/metrics");
            scrape::serve(listener, move |asked| {
                let exporter = exporter.clone();
                async move { exporter.show(asked).await }
            })
            .await;
            Ok(())
        };
        let ended = tokio::select! {
            ended = survive(serving) => ended,
            changed = listen.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
                continue;
            }
        };
        board.serves_metrics(None);
        let pause = ended.err().and_then(|error| watched.failed(error).ok()).unwrap_or(FRESH);
        tokio::time::sleep(pause).await;
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

/// Deletions and edits that have not arrived, and within what time they must.
fn changes(page: &mut Exposition, waiting: &[WaitingChanges], deadlines: &[(Network, Duration)], now: Timestamp) {
    let target = |change: &WaitingChanges| change.target.clone().unwrap_or_else(|| "undecided".to_owned());
    let mut oldest = page
        .gauge("kith_oldest_waiting_change_age_seconds", "How long the oldest deletion or edit on a network waits that has not arrived.");
    for change in waiting {
        let age = change.since.parse().map_or(0.0, |since: Timestamp| now.duration_since(since).as_secs_f64().max(0.0));
        oldest.value(&[("network", &change.network), ("target", &target(change))], age);
    }
    let mut parked =
        page.gauge("kith_parked_changes", "Deletions and edits that are parked: they do not arrive before a person has seen to them.");
    for change in waiting {
        parked.count(&[("network", &change.network), ("target", &target(change))], change.parked);
    }
    let mut within = page.gauge("kith_change_deadline_seconds", "Within what time a network wants its deletions and edits to arrive.");
    for (network, time) in deadlines {
        within.value(&[("network", network.name())], time.as_secs_f64());
    }
}

/// What networks are asked about what still stands. A label is a source's and a question's name.
fn compliance(page: &mut Exposition, all: &[ComplianceStanding]) {
    type Of = fn(&ComplianceStanding) -> u64;
    let counters: [(&str, &str, Of); 6] = [
        ("kith_compliance_asked_total", "Posts or accounts that a network was asked about, and answered.", |of| of.asked),
        ("kith_compliance_gone_total", "Answers that say that something is gone.", |of| of.gone),
        ("kith_compliance_deleted_total", "Deletes that followed.", |of| of.deleted),
        ("kith_compliance_changed_total", "Versions that were newer than those that were held.", |of| of.changed),
        ("kith_compliance_unknown_total", "Answers about what is not held.", |of| of.unknown),
        ("kith_compliance_unread_total", "Lines of answers that are not understood.", |of| of.unread),
    ];
    for (name, help, of) in counters {
        let mut family = page.counter(name, help);
        for standing in all {
            family.count(&[("question", &standing.question)], of(standing));
        }
    }
    let mut failures = page.gauge("kith_compliance_failures", "Failures in a row.");
    for standing in all {
        failures.count(&[("question", &standing.question)], u64::from(standing.failures));
    }
    let mut ended = page
        .gauge("kith_compliance_last_round_timestamp_seconds", "When all that was held had last been asked about, in seconds since 1970.");
    for standing in all {
        let at = standing.ended.as_ref().and_then(|at| at.parse().ok());
        ended.value(&[("question", &standing.question)], at.map_or(0.0, seconds));
    }
}

fn process(page: &mut Exposition, board: &Board, now: Timestamp) {
    page.gauge("kith_build_info", "The program.").count(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.gauge("process_start_time_seconds", "When the service started, in seconds since 1970.").value(&[], seconds(board.since()));
    if let Some(bytes) = resident_bytes() {
        page.gauge("process_resident_memory_bytes", "Memory that the process holds.").count(&[], bytes);
    }
    if let Some((at, took)) = board.last_pass() {
        page.gauge("kith_last_pass_timestamp_seconds", "When the last pass over customers and sources ended well.").value(&[], seconds(at));
        page.gauge("kith_last_pass_duration_seconds", "How long it took.").value(&[], took);
    }
    if let Some((at, reload)) = board.last_reload() {
        page.gauge("kith_last_reload_timestamp_seconds", "When a reload was last asked for.").value(&[], seconds(at));
        page.gauge("kith_last_reload_success", "Whether it was accepted.").count(&[], u64::from(reload.accepted));
    }
    let mut down = page.gauge("kith_task_down_seconds", "How long a part has been failing; no sample while all run.");
    for task in board.down() {
        let since = task.since.parse().unwrap_or(now);
        down.value(&[("task", &task.task), ("code", &task.code)], now.duration_since(since).as_secs_f64().max(0.0));
    }
}

/// The process's resident memory, from `/proc/self/status` (`VmRSS`, in kB of 1,024 bytes; proc(5)).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1_024)
}

fn counted(page: &mut Exposition, counts: &Counts) {
    let mut restarts = page.counter("kith_task_restarts_total", "Parts that failed and were started again.");
    for (task, count) in &counts.restarts {
        restarts.count(&[("task", task)], *count);
    }
    let mut outcomes = page.counter("kith_send_outcomes_total", "What came of sends since the service started, by record.");
    for ((target, outcome), count) in &counts.outcomes {
        outcomes.count(&[("target", target), ("outcome", outcome)], *count);
    }
    let mut records = page.counter("kith_records_sent_total", "Records sent since the service started, each attempt counted.");
    for (target, count) in &counts.records {
        records.count(&[("target", target)], *count);
    }
    let mut sends = page.histogram("kith_send_duration_seconds", "How long sends took.");
    for (target, durations) in &counts.sends {
        buckets(&mut sends, &[("target", target)], durations, SEND_SECONDS);
    }
    let mut arrivals =
        page.histogram("kith_arrival_seconds", "From the publication of an activity to the target's receipt, since the service started.");
    for ((target, priority), durations) in &counts.arrivals {
        buckets(&mut arrivals, &[("target", target), ("priority", priority.name())], durations, ARRIVAL_SECONDS);
    }
}

fn buckets(family: &mut Family<'_>, labels: &[(&str, &str)], durations: &Durations, bounds: [f64; SEND_SECONDS.len()]) {
    let mut line = |bound: &str, so_far: u64| {
        let mut labels = labels.to_vec();
        labels.push(("le", bound));
        family.part("_bucket", &labels, &so_far.to_string());
    };
    let mut so_far = 0;
    for (bound, count) in bounds.iter().zip(durations.buckets) {
        so_far += count;
        line(&bound.to_string(), so_far);
    }
    line("+Inf", durations.count);
    family.part("_sum", labels, &durations.sum.to_string());
    family.part("_count", labels, &durations.count.to_string());
}

fn stored(page: &mut Exposition, figures: &Figures, now: Timestamp) {
    let totals = &figures.totals;
    let mut sources: BTreeMap<&str, (Conservation, u64)> = BTreeMap::new();
    for day in &totals.conservation {
        let (sum, gap) = sources.entry(&day.source).or_default();
        sum.add(day);
        *gap += day.gap().unsigned_abs();
    }
    let mut received = page.counter("kith_received_total", "Activity versions and malformed lines received, exact repeats aside.");
    for (source, (sum, _)) in &sources {
        received.count(&[("source", source)], sum.received);
    }
    let mut repeats = page.counter("kith_duplicates_total", "Exact repeats, outside the conservation sum.");
    for (source, (sum, _)) in &sources {
        repeats.count(&[("source", source)], sum.duplicates);
    }
    let mut activities =
        page.gauge("kith_activities", "Activity versions and malformed lines by state: the right side of the conservation sum.");
    for (source, (sum, _)) in &sources {
        for (state, count) in [
            ("delivered", sum.delivered),
            ("parked", sum.parked),
            ("dropped", sum.dropped),
            ("erased", sum.erased),
            ("in_flight", sum.in_flight),
        ] {
            activities.count(&[("source", source), ("state", state)], count);
        }
    }
    let mut gap = page.gauge("kith_conservation_gap", "Received without the sum of all states, over all days without sign: must be 0.");
    for (source, (_, of_source)) in &sources {
        gap.count(&[("source", source)], *of_source);
    }
    let mut deliveries = page.gauge("kith_deliveries", "Deliveries by target and state.");
    for (name, count) in &totals.deliveries {
        if let Some((target, state)) = name.split_once(": ") {
            deliveries.count(&[("target", target), ("state", state)], *count);
        }
    }
    let mut oldest = page.gauge("kith_oldest_waiting_delivery_age_seconds", "How long the oldest delivery waits that has not arrived.");
    for (target, since) in &figures.oldest {
        oldest.value(&[("target", &target.0)], now.duration_since(*since).as_secs_f64().max(0.0));
    }
    let mut parked = page.gauge("kith_dead_letters", "Parked deliveries and input lines by code.");
    for (code, count) in &totals.parked {
        parked.count(&[("code", code)], *count);
    }
    let mut identities = page.gauge("kith_identities", "Identities by outcome.");
    for (outcome, count) in &totals.decisions {
        identities.count(&[("outcome", outcome)], *count);
    }
    let mut guarded = page.gauge("kith_guarded_passes", "Passes that a guard holds until a person approves or rejects them.");
    for matter in GuardMatter::ALL {
        let waits = figures.guarded.iter().filter(|row| row.state == GuardState::Waits && row.pass.matter == matter).count();
        guarded.count(&[("matter", matter.name())], u64::try_from(waits).unwrap_or(u64::MAX));
    }
    let mut customers = page.gauge("kith_customers", "Customers of the last complete read.");
    for (state, count) in &totals.customers {
        customers.count(&[("state", state)], *count);
    }
    spent(page, &figures.spending, now);
    if let Some(at) = figures.backed_up {
        page.gauge("kith_last_backup_timestamp_seconds", "When the last backup was made, in seconds since 1970.").value(&[], seconds(at));
    }
    if let Some(free) = figures.free {
        page.gauge("kith_state_free_bytes", "Room on the disk of the state folder.").count(&[], free);
    }
    page.gauge("kith_identities_under_older_mapping", "Identities that were decided under an earlier mapping.")
        .count(&[], totals.decided_under_older_mapping);
}

fn spent(page: &mut Exposition, spending: &Spending, now: Timestamp) {
    let mut sums = page.gauge("kith_source_spent", "What calls of a source cost this month, in units of the currency.");
    for (source, spent) in spending.at(now) {
        sums.value(&[("source", source), ("currency", spent.currency())], spent.spent().shown_as_number());
    }
    let mut budgets = page.gauge("kith_source_budget", "What they may cost this month; no sample where there is no budget.");
    for (source, spent) in spending.at(now) {
        if let Some(budget) = spent.budget() {
            budgets.value(&[("source", source), ("currency", spent.currency())], budget.shown_as_number());
        }
    }
    let mut waits = page.gauge("kith_source_budget_waits", "Streams of a source that wait for the next month's budget.");
    for (source, spent) in spending.at(now) {
        waits.count(&[("source", source)], u64::try_from(spent.waits().len()).unwrap_or(u64::MAX));
    }
}

fn checkpoints(page: &mut Exposition, (covered, kept): (u64, u64)) {
    page.gauge("kith_log_published_entries", "Entries that the newest checkpoint covers that left the machine since the service started.")
        .count(&[], covered);
    page.counter("kith_log_publish_failures_total", "Checkpoints that did not leave the machine, each try counted.").count(&[], kept);
}

fn log(page: &mut Exposition, sequenced: u64, integrated: u64) {
    page.counter("kith_log_entries_sequenced_total", "Entries of the audit log that are durable.").count(&[], sequenced);
    page.counter("kith_log_entries_integrated_total", "Entries under the log's newest checkpoint.").count(&[], integrated);
    // The two are read one after the other.
    page.gauge("kith_log_lag_entries", "Entries that no checkpoint covers yet.").count(&[], sequenced.saturating_sub(integrated));
}

fn closed(page: &mut Exposition, targets: &[Labelled], endpoints: &[EndpointState], now: Timestamp) {
    let left = |until: Timestamp| until.duration_since(now).as_secs_f64().max(0.0);
    let names: BTreeMap<&str, Option<&EndpointState>> =
        targets.iter().map(|target| (&*target.endpoint, endpoints.iter().find(|state| state.name == target.endpoint))).collect();
    let mut waits = page.gauge("kith_endpoint_wait_seconds", "How long nothing is sent because the server asked for that; 0: not at all.");
    for (name, state) in &names {
        let until = state.and_then(|state| state.waits.as_ref());
        waits.value(&[("endpoint", name)], until.map_or(0.0, |(until, _)| left(*until)));
    }
    let mut rests =
        page.gauge("kith_endpoint_rest_seconds", "How long nothing is sent because it failed; 0: not at all, or one record tries.");
    for (name, state) in &names {
        let until = state.and_then(|state| state.rests.as_ref());
        rests.value(&[("endpoint", name)], until.map_or(0.0, |(until, _)| left(*until)));
    }
    let mut breaker = page.gauge("kith_endpoint_breaker_open", "1: the breaker is open. 0.5: half open, one record may try. 0: closed.");
    for (name, state) in &names {
        breaker.value(&[("endpoint", name)], state.map_or(0.0, |state| breaker_state(state, now).1));
    }
    let mut trouble = page.gauge("kith_endpoint_trouble", "1 while nothing is sent to an endpoint for the reason that the code says.");
    for (name, state) in &names {
        let reasons = state.iter().flat_map(|state| state.waits.iter().chain(&state.rests));
        if let Some((_, why)) = reasons.filter(|(until, _)| *until > now).max_by_key(|(until, _)| *until) {
            trouble.count(&[("endpoint", name), ("code", &why.code)], 1);
        }
    }
    let mut failures = page.gauge("kith_endpoint_failures", "Sends that failed in a row.");
    for (name, state) in &names {
        failures.count(&[("endpoint", name)], state.map_or(0, |state| u64::from(state.failures)));
    }
    let mut hours = page.gauge("kith_target_closed_seconds", "How long the target is still outside its service hours; 0: not at all.");
    for target in targets {
        let until = target.hours.as_ref().and_then(|hours| hours.closed_until(now));
        hours.value(&[("target", &target.id.0)], until.map_or(0.0, left));
    }
}

/// The word and number of an endpoint's breaker.
pub fn breaker_state(state: &EndpointState, now: Timestamp) -> (&'static str, f64) {
    match &state.rests {
        _ if state.times == 0 => ("closed", 0.0),
        Some((until, _)) if *until > now => ("open", 1.0),
        _ => ("half open", 0.5),
    }
}
