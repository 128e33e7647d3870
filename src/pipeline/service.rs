//! A service over one state folder: opened once, then run until drained or told to stop.

use super::alarms::{Alarming, Alarms};
use super::asked::Desk;
use super::budget::Till;
use super::crew::{Crew, CrewEnded, Shared};
use super::customers::CustomersSide;
use super::deliver::{Allowance, Bell, Ended, Gate, Order, WorkerReport};
use super::integrate::LogFiles;
use super::leaves::{Scribe, WhoAsks};
use super::live;
use super::metrics::{self, Exporter};
use super::network::Polled;
use super::progress::{Progress, Stage};
use super::publish::Publisher;
use super::releases::IN_FORCE;
use super::reload::{self, New, Prepared, Reloading, Teller};
use super::requests::{Answering, keep_answering};
use super::rights::{Acting, Clocks};
use super::rotated::Rotated;
use super::stops::Stops;
use super::supervise::{Board, TRIES_WHEN_DRAINING, Watched, survive};
use super::webhooks::{Keeping, Listening, Questions, Spools};
use super::{
    Clock, Fault, Manager, Meter, Parts, RunError, Stopwatch, Summary, ThisRun, Told, Wait, conservation, integrate, publish, wakes,
};
use crate::declare::config::Config;
use crate::model::TargetId;
use crate::source::Watch;
use crate::store::log::{Terms, TileLog};
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{EndpointState, Guards, Rights, Store};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

/// Reloads that wait: people ask one at a time.
const RELOADS_WAITING: usize = 4;

/// The longest time for the last checkpoint to leave.
const LAST_CHECKPOINT: Duration = Duration::from_secs(20);

/// An entry is under a checkpoint after this long: half a second until the log's follower looks, half a second for writing.
const ERASURE_INTEGRATES: Duration = Duration::from_millis(1_500);

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
    pub(super) stops: Arc<Stops>,
    pub(super) customers: CustomersSide,
    pub(super) customers_changed: Arc<AtomicBool>,
    pub(super) erased: Arc<Notify>,
    clocks: Clocks,
    pub(super) polled: Polled,
    pub(super) rotated: Arc<Rotated>,
    pub(super) till: Arc<Till<SqliteStore>>,
    pub(super) spools: Arc<Spools>,
    meter: Arc<Meter>,
    pub(super) board: Arc<Board>,
    alarming: Alarming,
    manager: Arc<Manager>,
    reloading: Option<Reloading>,
    /// How the endpoints stood when the last crew ended.
    endpoints: Vec<EndpointState>,
    pub(super) told: Told,
    pub(super) did: ThisRun,
}

/// What runs beside the passes. It ends when dropped.
struct Beside {
    wake: Arc<Notify>,
    /// True while a pass should pause: the end, or a new set that waits.
    give_way: Arc<watch::Sender<bool>>,
    /// New sets that may take over.
    prepared: mpsc::Receiver<Prepared>,
    /// Who hears what a reload changes.
    desks: watch::Sender<Arc<Desk>>,
    labels: watch::Sender<metrics::Labels>,
    listen: watch::Sender<Option<std::net::SocketAddr>>,
    /// What webhooks are taken in by.
    configs: watch::Sender<Arc<Config>>,
    teller: Teller,
    allowance: Arc<Allowance>,
    watching: Option<AbortOnDrop>,
    /// What alarms are made from, where anybody is to be told.
    exporter: Option<Arc<Exporter>>,
    telling: Option<AbortOnDrop>,
    streams: Option<live::Streams>,
    _tasks: Vec<AbortOnDrop>,
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
        let log = TileLog::open_after(&state.join("log"), parts.keys.log.clone(), &parts.keys.former)?;
        let scribe = Arc::new(Scribe::new(store.ring().clone(), who, parts.rulebook.clone()));
        let board = Arc::new(Board::new(clock.now()));
        let till = Arc::new(Till::new(store.clone(), clock.clone()));
        Ok(Self {
            parts,
            store,
            log: Arc::new(Mutex::new(log)),
            scribe,
            clock,
            progress,
            gate: Arc::new(Gate::default()),
            planned: Arc::new(Bell::default()),
            stops: Arc::default(),
            customers: CustomersSide::new(),
            customers_changed: Arc::default(),
            erased: Arc::default(),
            clocks: Clocks::default(),
            polled: Polled::default(),
            rotated: Arc::default(),
            till,
            spools: Arc::default(),
            meter: Arc::new(Meter::default()),
            board,
            alarming: Alarming::default(),
            manager: Arc::default(),
            reloading: None,
            endpoints: Vec::new(),
            told: Told::default(),
            did: ThisRun::default(),
        })
    }

    /// Tells a service manager when it is ready, stopping and alive.
    #[must_use]
    pub fn managed_by(self, manager: Manager) -> Self {
        Self { manager: Arc::new(manager), ..self }
    }

    /// Lets the service take over changed files while it runs.
    #[must_use]
    pub fn reloading(self, reloading: Reloading) -> Self {
        Self { reloading: Some(reloading), ..self }
    }

    /// Runs until drained (`once`) or until `stop` says so. A part that fails is started again; what can't be mended by that ends the run.
    ///
    /// # Errors
    /// When the store or the log fails for good. A source, target or customers table that fails is a fault of the summary; the rest goes on.
    pub async fn run(self, options: &RunOptions, stop: watch::Receiver<bool>) -> Result<Summary, RunError> {
        let alarming = self.alarming.clone();
        let ended = Box::pin(self.run_through(options, stop)).await;
        if let Err(error) = &ended
            && !matches!(error, RunError::Interrupted)
        {
            alarming.end(error).await;
        }
        ended
    }

    async fn run_through(mut self, options: &RunOptions, mut stop: watch::Receiver<bool>) -> Result<Summary, RunError> {
        let stopwatch = Stopwatch::start();
        self.begin().await?;
        *self.did.step_seconds.entry("begin").or_default() += stopwatch.seconds();
        // Nothing is sent before the log is known to follow.
        self.gate.close();
        let (stop_log, log_stops) = watch::channel(false);
        let watched = self.watched(metrics::LOG_TASK, options);
        let wake = Arc::new(Notify::new());
        let follow = integrate::follow(
            self.store.clone(),
            LogFiles { tiles: self.log.clone(), terms: Terms::new(&self.parts.config.service.state) },
            self.gate.clone(),
            log_stops,
            self.progress.clone(),
            self.board.clone(),
            watched,
        );
        let bell = wake.clone();
        let mut log = AbortOnDrop(tokio::spawn(async move {
            let ended = follow.await;
            bell.notify_one();
            ended
        }));
        let mut beside = self.beside(options, wake, &stop);
        let mut publishing = (self.scribe.clone(), self.publishing());
        let mut crew = None;
        let mut watched = self.watched("pass", options);
        self.manager.ready();

        let reason = loop {
            if !Arc::ptr_eq(&publishing.0, &self.scribe) {
                // A reload may name other places.
                publishing = (self.scribe.clone(), self.publishing());
            }
            let give_way = beside.give_way.subscribe();
            let pause = match survive(Box::pin(self.turn(options, &give_way, &beside, &mut crew))).await {
                Ok(()) => {
                    watched.well();
                    None
                }
                Err(error) => {
                    if matches!(error, RunError::Panicked(_)) {
                        // Nobody knows how far it came; the next pass reads the customers afresh.
                        self.customers = CustomersSide::new();
                    }
                    Some(watched.failed(error)?)
                }
            };
            if *stop.borrow() {
                break "signal";
            }
            if log.0.is_finished() {
                break "log";
            }
            if let Ok(prepared) = beside.prepared.try_recv() {
                self.take_over(prepared, &mut beside, &mut crew, &mut stop).await?;
                continue;
            }
            if options.once && pause.is_none() {
                break "drained";
            }
            let poll = Duration::from_secs(u64::from(self.parts.config.service.poll_seconds.get()));
            tokio::select! {
                () = tokio::time::sleep(pause.unwrap_or(poll)) => {}
                _changed = stop.changed() => {}
                () = beside.wake.notified(), if pause.is_none() => {}
                Some(prepared) = beside.prepared.recv() => self.take_over(prepared, &mut beside, &mut crew, &mut stop).await?,
                ended = ended(&mut crew) => {
                    let (id, report) = ended?;
                    self.report(&id, report);
                }
            }
        };

        self.manager.stopping();
        self.end_streams(beside.streams.take()).await;
        let sending = Stopwatch::start();
        if let Some(crew) = crew {
            let order = if reason == "drained" { Order::Drain } else { Order::Stop };
            let ended = crew.end(order, &mut stop, Some(&log.0), self.drain()).await?;
            self.ended(ended).await;
        }
        // What was withdrawn in this run has arrived.
        self.keep_rights().await?;
        self.progress.finished(Stage::Deliver);
        *self.did.step_seconds.entry("deliver_after_deciding").or_default() += sending.seconds();
        drop(publishing);
        self.end(reason, &stop_log, &mut log, &stopwatch).await
    }

    fn publisher(&self) -> Publisher<SqliteStore> {
        Publisher::new(&self.parts, self.store.clone(), self.scribe.clone(), self.clock.clone(), self.board.clone())
    }

    /// Checkpoints leave while the service runs.
    fn publishing(&self) -> AbortOnDrop {
        let mut publisher = self.publisher();
        let erased = self.erased.clone();
        // A place that is away for long is told as long as it is; the end of a run waits for no other try.
        let mut watched = Watched::new("publishing checkpoints", None, self.board.clone(), self.meter.clone(), self.clock.clone());
        spawn(async move {
            loop {
                let pause = match survive(Box::pin(publisher.turn(false))).await {
                    Ok(()) => {
                        watched.well();
                        publisher.every()
                    }
                    Err(error) => match watched.failed(error) {
                        Ok(pause) => pause.max(publisher.every()),
                        Err(_told) => return,
                    },
                };
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    // Somebody was erased: its entry is under a checkpoint within a second.
                    () = erased.notified() => tokio::time::sleep(ERASURE_INTEGRATES).await,
                }
            }
        })
    }

    fn drain(&self) -> Duration {
        Duration::from_secs(u64::from(self.parts.config.service.drain_seconds.get()))
    }

    fn watched(&self, task: &str, options: &RunOptions) -> Watched {
        let tries = options.once.then_some(TRIES_WHEN_DRAINING);
        Watched::new(task, tries, self.board.clone(), self.meter.clone(), self.clock.clone())
    }

    /// Watches parts that last as long as the service.
    fn watching_parts(&self) -> impl Fn(String) -> Watched + Clone + Send + Sync + use<> {
        let (board, meter, clock) = (self.board.clone(), self.meter.clone(), self.clock.clone());
        move |task| Watched::new(task, None, board.clone(), meter.clone(), clock.clone())
    }

    /// What a crash left: a start is told to the log, changed rules too.
    async fn begin(&self) -> Result<(), RunError> {
        self.stops.set(&self.store.pauses().await?);
        self.hold_first_writes().await?;
        let now = self.clock.now();
        let clean = self.store.setting("clean_stop").await?.is_none_or(|v| v == "true");
        let first = self.store.setting("mapping").await?.is_none();
        let leaves = self.scribe.started(clean, &self.parts, first, now)?;
        self.enter(&self.scribe, &self.parts, None, (vec![("clean_stop".into(), "false".into())], leaves)).await
    }

    /// Starts what runs beside the passes: the control socket, reloads, metrics, the heartbeat.
    fn beside(&mut self, options: &RunOptions, wake: Arc<Notify>, stop: &watch::Receiver<bool>) -> Beside {
        let give_way = Arc::new(watch::Sender::new(*stop.borrow()));
        let (prepared, prepared_sets) = mpsc::channel(1);
        let (desks, desk) = watch::channel(Arc::new(self.desk(&wake)));
        let (labels, label) = watch::channel(metrics::labelled(&self.parts));
        let (listen, listens) = watch::channel(self.parts.config.metrics.listen);
        let (configs, config) = watch::channel(Arc::new(self.parts.config.clone()));
        self.board.webhooks().follow(&self.parts.config.sources);
        let teller = Teller { board: self.board.clone(), clock: self.clock.clone() };
        let service = RunOptions::default();
        let mut tasks = Vec::new();

        let (mut stops, way) = (stop.clone(), give_way.clone());
        tasks.push(spawn(async move {
            if stops.wait_for(|stop| *stop).await.is_ok() {
                way.send_replace(true);
            }
        }));
        let mut reloads = None;
        if let Some(Reloading { load, draft, mut hangups }) = self.reloading.take().filter(|_| !options.once) {
            let (ask, asked) = mpsc::channel(RELOADS_WAITING);
            reloads = Some(ask.clone());
            tasks.push(spawn(async move {
                while hangups.recv().await.is_some() {
                    // Where reloads wait already, one of them reads the files as they are now.
                    drop(ask.try_send(reload::Asked::hangup()));
                }
            }));
            tasks.push(spawn(reload::prepare(
                reload::Loading { load, draft },
                self.parts.config.clone(),
                asked,
                prepared,
                give_way.clone(),
                teller.clone(),
            )));
        }
        let answering = Answering {
            state: self.parts.config.service.state.clone(),
            desk,
            board: self.board.clone(),
            meter: self.meter.clone(),
            reloads,
        };
        tasks.push(spawn(keep_answering(answering, self.watched("control socket", &service))));
        let exporter = Exporter::new(
            self.store.clone(),
            self.meter.clone(),
            self.board.clone(),
            self.clock.clone(),
            self.parts.config.service.state.clone(),
            label,
        );
        let watched = self.watched("metrics listener", &service);
        let exporter = Arc::new(exporter);
        tasks.push(spawn(metrics::keep_serving(exporter.clone(), listens, self.board.clone(), watched)));
        if !options.once {
            let (book, questions) = (self.board.webhooks().clone(), Arc::new(Questions::default()));
            let (spools, passes) = (self.spools.clone(), wake.clone());
            let watched = self.watching_parts();
            let subscribing =
                Keeping { store: self.store.clone(), clock: self.clock.clone(), book: book.clone(), questions: questions.clone() };
            tasks.push(spawn(subscribing.keep(config.clone(), watched.clone())));
            tasks.push(spawn(Listening { spools, book, questions, passes, watched }.keep(config)));
        }
        if let Some(pause) = self.manager.heartbeat() {
            let manager = self.manager.clone();
            tasks.push(spawn(async move {
                loop {
                    manager.alive();
                    tokio::time::sleep(pause).await;
                }
            }));
        }
        let allowance = Arc::new(Allowance::new(options.max_writes));
        let watching = if options.once { None } else { self.watching(&wake) };
        let exporter = (!options.once).then_some(exporter);
        let telling = self.telling(exporter.as_ref());
        // A stream has no end: a run that is to end does not wait for it.
        let streams = if options.once { None } else { self.streams(&wake) };
        Beside {
            wake,
            give_way,
            prepared: prepared_sets,
            desks,
            labels,
            listen,
            configs,
            teller,
            allowance,
            watching,
            exporter,
            telling,
            streams,
            _tasks: tasks,
        }
    }

    /// Sources that are heard begin a pass.
    fn watching(&self, wake: &Arc<Notify>) -> Option<AbortOnDrop> {
        let watch = Watch::of(&self.parts.config.sources)?;
        Some(spawn(wakes::wake(watch, wake.clone())))
    }

    /// Live streams are opened.
    fn streams(&self, wake: &Arc<Notify>) -> Option<live::Streams> {
        live::Streams::start(&live::Shared {
            parts: self.parts.clone(),
            store: self.store.clone(),
            scribe: self.scribe.clone(),
            clock: self.clock.clone(),
            progress: self.progress.clone(),
            board: self.board.clone(),
            meter: self.meter.clone(),
            stops: self.stops.clone(),
            till: self.till.clone(),
            rotated: self.rotated.clone(),
            passes: wake.clone(),
        })
    }

    /// Live streams end: what they heard is stored.
    async fn end_streams(&mut self, streams: Option<live::Streams>) {
        if let Some(streams) = streams {
            let read = streams.end().await;
            self.did.received += read.received;
            self.did.duplicates += read.duplicates;
        }
    }

    /// People are told what is wrong with the service.
    fn telling(&self, exporter: Option<&Arc<Exporter>>) -> Option<AbortOnDrop> {
        let seen = (exporter?.clone(), self.board.clone());
        let alarms = Alarms::new(&self.parts, seen, self.store.clone(), self.scribe.clone(), self.clock.clone())?;
        Some(spawn(self.alarming.clone().keep_telling(alarms)))
    }

    /// One turn: the workers are there, the day's sums are told, one pass.
    async fn turn(
        &mut self,
        options: &RunOptions,
        give_way: &watch::Receiver<bool>,
        beside: &Beside,
        crew: &mut Option<Crew>,
    ) -> Result<(), RunError> {
        if crew.is_none() {
            let shared = Shared {
                store: self.store.clone(),
                scribe: self.scribe.clone(),
                clock: self.clock.clone(),
                progress: self.progress.clone(),
                gate: self.gate.clone(),
                planned: self.planned.clone(),
                meter: self.meter.clone(),
                board: self.board.clone(),
                allowance: beside.allowance.clone(),
                stops: self.stops.clone(),
                once: options.once,
            };
            *crew = Some(Crew::start(&shared, &self.parts, &self.endpoints).await?);
        }
        conservation::daily(&*self.store, &self.scribe, self.clock.now()).await?;
        self.keep_rights().await?;
        let watch = Stopwatch::start();
        self.pass(options, give_way).await?;
        if !*give_way.borrow() {
            self.board.passed(self.clock.now(), watch.seconds());
        }
        Ok(())
    }

    /// Removals go on, also those that a crash left, and the clocks end what is due. What can't be done now (a file that can't be changed) is told
    /// and tried again; the rest goes on.
    async fn keep_rights(&mut self) -> Result<(), RunError> {
        let now = self.clock.now();
        let clocks = self.clocks.due(now);
        let acting = Acting { parts: &self.parts, store: &self.store, scribe: &self.scribe, asker: None, now };
        let mut done = Vec::new();
        if !self.store.removals(None).await?.is_empty() {
            acting.withdraw().await?;
            self.planned.ring();
            done.push(acting.sweep().await);
            done.push(acting.finish().await.map(drop));
        }
        if clocks {
            done.push(acting.run_clocks().await.map(drop));
        }
        for part in done {
            match part {
                Err(RunError::Fault(fault)) => self.fault(fault),
                other => other?,
            }
        }
        Ok(())
    }

    /// A new set takes over: its entries are durable first, then the workers end their batches, then everything that follows is done by the
    /// new set. Where the entries can't be written it is refused, and nothing changed.
    async fn take_over(
        &mut self,
        mut prepared: Prepared,
        beside: &mut Beside,
        crew: &mut Option<Crew>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), RunError> {
        let (parts, who) = match &prepared.new {
            New::Set(loaded) => {
                let (config, rulebook, targets) = (loaded.config.clone(), loaded.rulebook.clone(), loaded.targets.clone());
                (Parts { config, rulebook, targets, keys: self.parts.keys.clone() }, loaded.who.clone())
            }
            New::Mapping { order, read } => match self.ordered(order, read.as_deref()).await {
                Ok(rulebook) => {
                    prepared.notes.push(format!("{IN_FORCE}{}", rulebook.hash()));
                    (Parts { rulebook: Arc::new(rulebook), ..self.parts.clone() }, self.scribe.who().clone())
                }
                Err(problems) => {
                    beside.teller.refused(prepared.asked, &problems);
                    beside.give_way.send_modify(|way| *way = *stop.borrow());
                    return Ok(());
                }
            },
        };
        let scribe = Arc::new(Scribe::new(self.store.ring().clone(), who, parts.rulebook.clone()));
        let order = if let New::Mapping { order, .. } = &prepared.new { Some(order) } else { None };
        if let Err(error) = self.enter(&scribe, &parts, order, (Vec::new(), Vec::new())).await {
            beside.teller.refused(prepared.asked, &error.diagnostic().into());
        } else {
            self.board.no_compliance();
            if let Some(crew) = crew.take() {
                let ended = crew.end(Order::Stop, stop, None, self.drain()).await?;
                self.ended(ended).await;
            }
            self.end_streams(beside.streams.take()).await;
            // Parts of entries that the old scribe made and no step took yet.
            if let Err(error) = self.scribe.keep_parts(&*self.store).await {
                tracing::warn!(code = error.code().0, "{error}");
            }
            self.parts = parts;
            self.scribe = scribe;
            // Another mapping cleans and indexes otherwise.
            self.customers = CustomersSide::new();
            beside.watching = self.watching(&beside.wake);
            beside.telling = self.telling(beside.exporter.as_ref());
            beside.streams = self.streams(&beside.wake);
            beside.desks.send_replace(Arc::new(self.desk(&beside.wake)));
            beside.labels.send_replace(metrics::labelled(&self.parts));
            let listen = self.parts.config.metrics.listen;
            self.board.webhooks().follow(&self.parts.config.sources);
            beside.listen.send_if_modified(|before| std::mem::replace(before, listen) != listen);
            beside.configs.send_replace(Arc::new(self.parts.config.clone()));
            beside.teller.accepted(prepared, &self.parts);
        }
        beside.give_way.send_modify(|way| *way = *stop.borrow());
        Ok(())
    }

    /// Takes in what the workers did. What was given up has no answer.
    async fn ended(&mut self, ended: CrewEnded) {
        self.endpoints = ended.endpoints;
        for (id, report) in ended.reports {
            self.report(&id, report);
        }
        for target in ended.late {
            if let Err(error) = self.store.orphaned(&target).await {
                // The next start says the same of it.
                tracing::warn!(code = error.diagnostic().code.0, target_name = %target.0, "{error}");
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
            Some(Ended::Stopped { why }) => {
                self.told.waits.push(Wait { target: id.0.to_string(), until: "a person lets it go on".into(), why: why.to_string() });
            }
            Some(Ended::Waits { until, why }) => {
                self.told.waits.push(Wait { target: id.0.to_string(), until: until.to_string(), why: why.to_string() });
            }
        }
    }

    /// Streams that wait for a budget are told with what else waits.
    async fn told_budgets(&mut self, now: crate::model::Timestamp) {
        let Ok(spending) = self.till.read().await else { return };
        for (source, spent) in spending.at(now) {
            let (sum, budget, currency) = (spent.spent(), spent.budget().unwrap_or_default(), spent.currency());
            let why = format!("{sum} of the month's {budget} {currency} are spent (KITH-N075)");
            let waits = spent.waits().iter();
            let waits =
                waits.map(|stream| Wait { target: format!("{source}/{stream}"), until: spent.ends().to_string(), why: why.clone() });
            self.told.waits.extend(waits);
        }
    }

    /// The last entry, the last checkpoint, the counts.
    async fn end(
        mut self,
        reason: &str,
        stop_log: &watch::Sender<bool>,
        log: &mut AbortOnDrop<Result<u64, RunError>>,
        stopwatch: &Stopwatch,
    ) -> Result<Summary, RunError> {
        let ending = Stopwatch::start();
        let now = self.clock.now();
        let (mut settings, mut leaves) = conservation::told(&*self.store, &self.scribe, now).await?;
        settings.push(("clean_stop".into(), "true".into()));
        leaves.push(self.scribe.stopped(reason, now)?);
        self.store.set(settings, leaves).await?;
        stop_log.send_replace(true);
        let log_entries = (&mut log.0).await.map_err(RunError::Task)??;
        self.progress.finished(Stage::Integrate);
        // Whoever stops a service waits for a place that is away no longer than this: its next start sends the checkpoint.
        let mut publisher = self.publisher();
        let left = tokio::time::timeout(LAST_CHECKPOINT, publisher.turn(true)).await;
        if let Err(error) = left.unwrap_or_else(|_late| Err(publish::late())) {
            let problem = error.diagnostic();
            tracing::warn!(code = problem.code.0, place = %problem.place, "{}; {}", problem.message, problem.remedy);
        }
        self.told_budgets(now).await;
        let totals = self.store.totals().await?;
        *self.did.step_seconds.entry("end").or_default() += ending.seconds();
        Ok(Summary::new(totals, self.did, self.told, log_entries, stopwatch.seconds()))
    }
}

/// A worker that ended for good; never where there are none.
async fn ended(crew: &mut Option<Crew>) -> Result<(TargetId, WorkerReport), RunError> {
    match crew {
        Some(crew) => crew.ended().await,
        None => std::future::pending().await,
    }
}

/// A task that ends with its owner.
struct AbortOnDrop<T = ()>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDrop {
    AbortOnDrop(tokio::spawn(task))
}
