//! A service over one state folder: opened once, then run until drained or told to stop.

use super::control;
use super::customers::CustomersSide;
use super::decide::{Deciding, KnownSide};
use super::deliver::{Allowance, Bell, Ended, Endpoint, Gate, Lane, Order, Worker, WorkerReport};
use super::leaves::{Scribe, WhoAsks};
use super::progress::{Progress, Stage};
use super::{Clock, Fault, Meter, Parts, RunError, Stopwatch, Summary, ThisRun, Told, Wait, intake, integrate};
use crate::declare::config::TargetSpec;
use crate::deliver::{AnyTarget, Scope};
use crate::model::TargetId;
use crate::source::Access;
use crate::store::log::TileLog;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{EndpointState, Store, StoreError};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

/// Pages of decisions that are sealed or written while another is decided: one at each. 1,000 identities are some 5 MB.
const WRITING_AT_ONCE: usize = 2;
/// How long open sends may take after a stop was asked for; what is not done then is `unknown` and settled at the next start.
const DRAIN_DEADLINE: Duration = Duration::from_secs(30);

/// How to run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// End when the sources are drained and nothing more can be sent.
    pub once: bool,
    /// At most so many writes.
    pub max_writes: Option<u64>,
    /// Let a customers read that would change more than the guard allows go on.
    pub approve_customers: bool,
}

/// A running service. Holds the state folder's lock.
pub struct Service {
    pub(super) parts: Parts,
    pub(super) store: Arc<SqliteStore>,
    pub(super) log: Arc<Mutex<TileLog>>,
    pub(super) scribe: Arc<Scribe>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) progress: Arc<dyn Progress>,
    gate: Arc<Gate>,
    pub(super) planned: Arc<Bell>,
    customers: CustomersSide,
    meter: Arc<Meter>,
    told: Told,
    did: ThisRun,
}

impl Service {
    /// Opens the state folder for writing, the log and the keys.
    ///
    /// # Errors
    /// When another service runs, or something can't be opened.
    pub fn open(parts: Parts, who: WhoAsks, clock: Arc<dyn Clock>, progress: Arc<dyn Progress>) -> Result<Self, RunError> {
        let state = parts.config.service.state.clone();
        let (master, hash) = (parts.keys.master.clone(), parts.keys.hash.clone());
        let store = Arc::new(SqliteStore::create_or_open(&state, master, hash, Options::from_system()?)?);
        let log = TileLog::open(&state.join("log"), parts.keys.log.clone())?;
        let scribe = Arc::new(Scribe::new(store.ring().clone(), who, parts.rulebook.clone()));
        let customers = CustomersSide::new();
        Ok(Self {
            parts,
            store,
            log: Arc::new(Mutex::new(log)),
            scribe,
            clock,
            progress,
            gate: Arc::new(Gate::default()),
            planned: Arc::new(Bell::default()),
            customers,
            meter: Arc::new(Meter::default()),
            told: Told::default(),
            did: ThisRun::default(),
        })
    }

    /// Runs until drained (`once`) or until `stop` says so.
    ///
    /// # Errors
    /// When the store or the log fails. A source, target or customers table that fails is a fault of the summary; the rest goes on.
    pub async fn run(mut self, options: &RunOptions, mut stop: watch::Receiver<bool>) -> Result<Summary, RunError> {
        let stopwatch = Stopwatch::start();
        self.begin().await?;
        *self.did.step_seconds.entry("begin").or_default() += stopwatch.seconds();
        let wake = Arc::new(Notify::new());
        let _answering = self.answer_requests(&wake);
        let (stop_log, log_stops) = watch::channel(false);
        let log =
            tokio::spawn(integrate::follow(self.store.clone(), self.log.clone(), self.gate.clone(), log_stops, self.progress.clone()));
        let (order, orders) = watch::channel(Order::Work);
        let mut workers = self.workers(options, &orders).await?;

        let reason = loop {
            self.pass(options, &mut stop).await?;
            if *stop.borrow() {
                break "signal";
            }
            if options.once {
                break "drained";
            }
            if log.is_finished() {
                break "log";
            }
            self.wait(&wake, &mut stop).await;
        };

        let sending = Stopwatch::start();
        order.send_replace(if reason == "drained" { Order::Drain } else { Order::Stop });
        self.planned.ring();
        self.join(&mut workers, &mut stop, &order).await?;
        self.progress.finished(Stage::Deliver);
        *self.did.step_seconds.entry("deliver_after_deciding").or_default() += sending.seconds();
        self.end(reason, stop_log, log, &stopwatch).await
    }

    /// What a crash left: a start is told to the log, changed rules too, and what was sent without an answer is settled.
    async fn begin(&self) -> Result<(), RunError> {
        let now = self.clock.now();
        let mapping = self.parts.rulebook.digest.to_string();
        let model = self.parts.rulebook.matching.model.as_ref().map(|m| m.digest);
        let config = super::leaves::config_digest(&self.parts.config);
        let clean = self.store.setting("clean_stop").await?.is_none_or(|v| v == "true");
        let before = self.store.setting("mapping").await?;
        let mut leaves = self.scribe.started(clean, &self.parts, before.is_none(), now)?;
        if before.as_ref() != Some(&mapping) {
            leaves.push(self.scribe.mapping_changed(before.as_deref(), now)?);
        }
        let mut settings = vec![("clean_stop".into(), "false".into()), ("mapping".into(), mapping), ("config".into(), config.to_string())];
        let before = self.store.setting("config").await?;
        if before.as_deref() != Some(config.to_string().as_str()) {
            leaves.push(self.scribe.config_changed(&self.parts.config, before.as_deref(), now)?);
        }
        if let Some(model) = model {
            let before = self.store.setting("model").await?;
            if before.as_deref() != Some(model.to_string().as_str()) {
                leaves.push(self.scribe.model_changed(model, before.as_deref(), now)?);
            }
            settings.push(("model".into(), model.to_string()));
        }
        self.store.set(settings, leaves).await?;

        Ok(())
    }

    /// The endpoint of each target, as it stood when the last service ended. Targets of one endpoint share it.
    async fn endpoints(&self) -> Result<Vec<Arc<Endpoint>>, RunError> {
        let (states, spent, now) = (self.store.endpoints().await?, self.store.spent().await?, self.clock.now());
        let mut by_name: BTreeMap<Arc<str>, Arc<Endpoint>> = BTreeMap::new();
        let named: Vec<(Arc<str>, _)> = self.parts.targets.iter().map(|target| (endpoint_name(&target.0), target)).collect();
        for (name, (_, file)) in &named {
            if by_name.contains_key(name) {
                continue;
            }
            let own = named.iter().filter(|(other, _)| other == name).map(|(_, target)| *target);
            let quotas = own.flat_map(|(spec, file)| {
                let operations = file.operations.iter().map(|o| (Scope::Operation(o.id.clone()), &o.quotas));
                [(Scope::Endpoint, &spec.quotas), (Scope::Endpoint, &file.rules.quotas)].into_iter().chain(operations)
            });
            let state = states.iter().find(|state| state.name == *name).cloned();
            let state = state.unwrap_or_else(|| EndpointState::well(name.clone(), now));
            let endpoint = Endpoint::new(state, quotas, &spent, (file.rules.retry, file.rules.breaker), now);
            by_name.insert(name.clone(), Arc::new(endpoint));
        }
        Ok(named.iter().filter_map(|(name, _)| by_name.get(name).cloned()).collect())
    }

    async fn workers(
        &self,
        options: &RunOptions,
        order: &watch::Receiver<Order>,
    ) -> Result<JoinSet<(TargetId, Result<WorkerReport, RunError>)>, RunError> {
        let allowance = Arc::new(Allowance::new(options.max_writes));
        let mut workers = JoinSet::new();
        for ((spec, file), endpoint) in self.parts.targets.iter().zip(self.endpoints().await?) {
            let id = TargetId(spec.name.clone());
            let lane = Lane {
                id: id.clone(),
                store: self.store.clone(),
                target: AnyTarget::new(spec, file.clone()),
                rules: Arc::new(file.rules.clone()),
                endpoint,
                scribe: self.scribe.clone(),
                clock: self.clock.clone(),
                gate: self.gate.clone(),
                meter: self.meter.clone(),
                progress: self.progress.clone(),
            };
            let worker = Worker {
                lane: Arc::new(lane),
                batch: spec.batch,
                concurrency: spec.concurrency,
                hours: spec.hours.clone(),
                allowance: allowance.clone(),
                planned: self.planned.ear(),
                order: order.clone(),
                patient: options.once,
            };
            workers.spawn(async move { (id, worker.run().await) });
        }
        Ok(workers)
    }

    /// One pass: customers, intake, decide.
    async fn pass(&mut self, options: &RunOptions, stop: &mut watch::Receiver<bool>) -> Result<(), RunError> {
        // Neither needs the other; deciding needs both.
        let (customers, sources) = tokio::join!(
            timed(self.customers.refresh(
                &*self.store,
                &self.parts,
                &self.scribe,
                &*self.clock,
                &*self.progress,
                options.approve_customers
            )),
            timed(intake::drain(&self.parts, Access::Move, &self.store, &self.scribe, &*self.clock, &*self.progress, stop)),
        );
        let (refreshed, seconds) = customers;
        *self.did.step_seconds.entry("customers").or_default() += seconds;
        match refreshed {
            Ok(refreshed) => {
                self.did.customers_changed += refreshed.changed;
                for problem in refreshed.aside {
                    if !self.told.aside.contains(&problem) {
                        self.told.aside.push(problem);
                    }
                }
            }
            Err(RunError::Fault(fault)) => {
                if !self.told.faults.contains(&fault) {
                    let leaf = self.scribe.undetermined(&format!("{} {}", fault.code, fault.message), self.clock.now())?;
                    self.store.append(vec![leaf]).await?;
                }
                self.fault(fault);
            }
            Err(error) => return Err(error),
        }
        self.progress.finished(Stage::Customers);

        let (read, seconds) = sources;
        *self.did.step_seconds.entry("intake").or_default() += seconds;
        let read = read?;
        self.did.received += read.received;
        self.did.duplicates += read.duplicates;
        self.did.unchanged_files += read.unchanged_files;
        read.faults.into_iter().for_each(|fault| self.fault(fault));
        self.progress.finished(Stage::Intake);

        let watch = Stopwatch::start();
        self.decide(stop).await?;
        self.progress.finished(Stage::Decide);
        *self.did.step_seconds.entry("decide").or_default() += watch.seconds();
        Ok(())
    }

    fn fault(&mut self, fault: Fault) {
        tracing::error!(code = fault.code, place = fault.place, "{}", fault.message);
        if !self.told.faults.contains(&fault) {
            self.told.faults.push(fault);
        }
    }

    /// Decides about everybody with work. Without the customers nobody is decided: they stay undetermined.
    async fn decide(&mut self, stop: &watch::Receiver<bool>) -> Result<(), RunError> {
        let Some(known) = self.customers.known() else { return Ok(()) };
        let (planned, progress) = (self.planned.clone(), self.progress.clone());
        let stored = |identities| {
            planned.ring();
            progress.advance(Stage::Decide, identities, None);
        };
        self.did.decided += decide_all(&self.parts, &self.store, &self.scribe, &*self.clock, &known, stop, stored).await?;
        Ok(())
    }

    /// Between passes: until the poll is due, somebody asks, or the end.
    async fn wait(&self, wake: &Notify, stop: &mut watch::Receiver<bool>) {
        let due = Duration::from_secs(u64::from(self.parts.config.service.poll_seconds.get()));
        tokio::select! {
            () = tokio::time::sleep(due) => {}
            _changed = stop.changed() => {}
            () = wake.notified() => {}
        }
    }

    /// Answers what is asked through the control socket, on a task of its own: a long pass keeps nobody waiting. Ends when dropped.
    fn answer_requests(&self, wake: &Arc<Notify>) -> Option<(control::Listening, AbortOnDrop)> {
        let (mut requests, listening) = match control::listen(&self.parts.config.service.state) {
            Ok(listening) => listening,
            Err(error) => {
                // A socket's path has at most 107 bytes. The work does not need it; commands that change something beside us do.
                let problem = RunError::Control(error).diagnostic();
                tracing::warn!(code = problem.code.0, "no control socket: {}; {}", problem.message, problem.remedy);
                return None;
            }
        };
        let desk = self.desk(wake);
        let task = tokio::spawn(async move {
            while let Some(asked) = requests.recv().await {
                let answer = desk.answer(&asked.request, asked.uid).await;
                if asked.answer.send(answer).is_err() {
                    tracing::debug!("who asked is gone");
                }
            }
        });
        Some((listening, AbortOnDrop(task)))
    }

    async fn join(
        &mut self,
        workers: &mut JoinSet<(TargetId, Result<WorkerReport, RunError>)>,
        stop: &mut watch::Receiver<bool>,
        order: &watch::Sender<Order>,
    ) -> Result<(), RunError> {
        let mut deadline = Box::pin(tokio::time::sleep(if *stop.borrow() { DRAIN_DEADLINE } else { Duration::MAX }));
        loop {
            tokio::select! {
                ended = workers.join_next() => match ended {
                    None => return Ok(()),
                    Some(Ok((id, Ok(report)))) => self.report(&id, report),
                    Some(Ok((_, Err(error)))) => return Err(error),
                    Some(Err(panic)) => return Err(RunError::Task(panic)),
                },
                changed = stop.changed(), if !*stop.borrow() => {
                    if changed.is_err() || *stop.borrow() {
                        order.send_replace(Order::Stop);
                        self.planned.ring();
                        deadline = Box::pin(tokio::time::sleep(DRAIN_DEADLINE));
                    }
                }
                () = &mut deadline => {
                    tracing::warn!("a target did not answer within {DRAIN_DEADLINE:?}: its deliveries are settled at the next start");
                    workers.abort_all();
                }
            }
        }
    }

    fn report(&mut self, id: &TargetId, report: WorkerReport) {
        self.did.written += report.delivered;
        self.did.refused += report.parked;
        match report.ended {
            None => {}
            Some(Ended::Unavailable(reason)) => self.fault(Fault::target(&id.0, &reason)),
            Some(Ended::AllowanceUsedUp) => self.fault(Fault::allowance(&id.0)),
            Some(Ended::Waits { until, why }) => {
                self.told.waits.push(Wait { target: id.0.to_string(), until: until.to_string(), why: why.to_string() });
            }
        }
    }

    /// The last entry, the last checkpoint, the counts.
    async fn end(
        mut self,
        reason: &str,
        stop_log: watch::Sender<bool>,
        log: JoinHandle<Result<u64, RunError>>,
        stopwatch: &Stopwatch,
    ) -> Result<Summary, RunError> {
        let ending = Stopwatch::start();
        let totals = self.store.totals().await?;
        let leaves = self.scribe.stopped(reason, &totals, self.clock.now())?;
        self.store.set(vec![("clean_stop".into(), "true".into())], leaves).await?;
        stop_log.send_replace(true);
        let log_entries = log.await.map_err(RunError::Task)??;
        self.progress.finished(Stage::Integrate);
        let totals = self.store.totals().await?;
        *self.did.step_seconds.entry("end").or_default() += ending.seconds();
        Ok(Summary::new(totals, self.did, self.told, log_entries, stopwatch.seconds()))
    }
}

/// What limits, waits and the breaker of a target belong to: what the operator says, else the database or file itself.
fn endpoint_name(spec: &TargetSpec) -> Arc<str> {
    spec.endpoint.clone().unwrap_or_else(|| spec.place.endpoint().into())
}

/// A task that ends with its owner.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// With the seconds that it took.
async fn timed<T>(work: impl Future<Output = T>) -> (T, f64) {
    let watch = Stopwatch::start();
    let done = work.await;
    (done, watch.seconds())
}

/// Decides page by page about everybody with work; `stored` hears of each page. Returns how many decisions were taken.
///
/// # Errors
/// When the store fails or a decision can't be written down.
pub(super) async fn decide_all(
    parts: &Parts,
    store: &Arc<SqliteStore>,
    scribe: &Arc<Scribe>,
    clock: &dyn Clock,
    known: &Arc<KnownSide>,
    stop: &watch::Receiver<bool>,
    stored: impl Fn(u64),
) -> Result<u64, RunError> {
    let limit = usize::try_from(parts.config.service.decide_batch.get()).unwrap_or(1);
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = parts.config.service.threads.map_or_else(cores, |t| usize::try_from(t.get()).unwrap_or(1));
    let mut decided = 0;
    let mut writing: VecDeque<JoinHandle<Result<(), StoreError>>> = VecDeque::with_capacity(WRITING_AT_ONCE);
    let mut works = store.work(None, limit).await?;
    while let Some(last) = works.last() {
        if *stop.borrow() {
            break;
        }
        let after = Some(last.row);
        let count = works.len() as u64;
        let (rulebook, known, writer, now) = (parts.rulebook.clone(), known.clone(), scribe.clone(), clock.now());
        let deciding = tokio::task::spawn_blocking(move || Deciding::new(&rulebook, &known, &writer, now).spread(works, threads));
        // While this page is decided, the ones before it are sealed and written, and the next one read: deciding does not change the rows
        // after it.
        let (steps, next) = tokio::join!(deciding, store.work(after, limit));
        let steps = steps.map_err(RunError::Task)??;
        if writing.len() >= WRITING_AT_ONCE
            && let Some(oldest) = writing.pop_front()
        {
            oldest.await.map_err(RunError::Task)??;
        }
        decided += steps.iter().filter(|s| s.decision.is_some()).count() as u64;
        scribe.keep_parts(&**store).await?;
        let store = store.clone();
        writing.push_back(tokio::spawn(async move { store.decide(steps).await }));
        stored(count);
        works = next?;
    }
    for last in writing {
        last.await.map_err(RunError::Task)??;
    }
    stored(0);
    Ok(decided)
}
