//! The workers of all targets: each is started again after a fault, and together they end in time.

use super::deliver::{Allowance, Bell, Endpoint, Gate, Lane, Order, Worker, WorkerReport};
use super::leaves::Scribe;
use super::progress::Progress;
use super::stops::Stops;
use super::supervise::{Board, STEADY, TRIES_WHEN_DRAINING, Watched, survive};
use super::{Clock, Meter, Parts, RunError};
use crate::declare::config::{Hold, ServiceHours, TargetSpec};
use crate::deliver::{AnyTarget, Scope, Target};
use crate::model::TargetId;
use crate::store::{EndpointState, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How often a worker that waits for the log looks whether it is there again.
const GATE_PAUSE: Duration = Duration::from_millis(200);

const LATE: &str = "KITH-R036";

/// What workers share with the service.
pub(super) struct Shared<S> {
    pub store: Arc<S>,
    pub scribe: Arc<Scribe>,
    pub clock: Arc<dyn Clock>,
    pub progress: Arc<dyn Progress>,
    pub gate: Arc<Gate>,
    pub planned: Arc<Bell>,
    pub meter: Arc<Meter>,
    pub board: Arc<Board>,
    pub allowance: Arc<Allowance>,
    pub stops: Arc<Stops>,
    /// The end of the work is awaited.
    pub once: bool,
}

/// The workers at work.
pub(super) struct Crew {
    order: watch::Sender<Order>,
    workers: JoinSet<(TargetId, Result<WorkerReport, RunError>)>,
    working: BTreeSet<TargetId>,
    endpoints: Vec<Arc<Endpoint>>,
}

/// How the workers ended.
#[derive(Default)]
pub(super) struct CrewEnded {
    /// What each did.
    pub reports: Vec<(TargetId, WorkerReport)>,
    /// Those that did not end in time: what they were sending has no answer.
    pub late: Vec<TargetId>,
    /// How the endpoints stand: a new crew over the same state begins with that.
    pub endpoints: Vec<EndpointState>,
}

/// How one target is worked.
#[derive(Clone)]
pub(super) struct Pace {
    pub batch: NonZeroU32,
    pub concurrency: NonZeroU32,
    pub hours: Option<ServiceHours>,
    pub hold: Hold,
}

impl Crew {
    /// Starts a worker for each target, over endpoints as the crew before left them (`carried`), else as they stand in the store.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn start<S: Store + 'static>(shared: &Shared<S>, parts: &Parts, carried: &[EndpointState]) -> Result<Self, RunError> {
        let (order, orders) = watch::channel(Order::Work);
        let (mut workers, mut working) = (JoinSet::new(), BTreeSet::new());
        let endpoints = endpoints(shared, parts, carried).await?;
        for ((spec, file), endpoint) in parts.targets.iter().zip(endpoints.iter().cloned()) {
            let id = TargetId(spec.name.clone());
            let lane = Lane {
                id: id.clone(),
                store: shared.store.clone(),
                target: AnyTarget::new(spec, file.clone(), &parts.rulebook.enrich.deliver),
                rules: Arc::new(file.rules.clone()),
                endpoint,
                scribe: shared.scribe.clone(),
                clock: shared.clock.clone(),
                gate: shared.gate.clone(),
                meter: shared.meter.clone(),
                progress: shared.progress.clone(),
                stops: shared.stops.clone(),
            };
            let pace = Pace { batch: spec.batch, concurrency: spec.concurrency, hours: spec.hours.clone(), hold: spec.notice.hold.clone() };
            let work = keep_working(
                Arc::new(lane),
                pace,
                shared.allowance.clone(),
                shared.planned.clone(),
                orders.clone(),
                shared.once,
                shared.board.clone(),
            );
            working.insert(id.clone());
            workers.spawn(async move { (id, work.await) });
        }
        Ok(Self { order, workers, working, endpoints })
    }

    /// A worker that ended while the others go on; never returns while none did.
    ///
    /// # Errors
    /// Why it could not go on.
    pub async fn ended(&mut self) -> Result<(TargetId, WorkerReport), RunError> {
        let Some(ended) = self.workers.join_next().await else { return std::future::pending().await };
        let (id, report) = ended.map_err(RunError::Task)?;
        self.working.remove(&id);
        Ok((id, report?))
    }

    fn tell(&self, order: Order) {
        self.order.send_replace(order);
    }

    /// Lets the workers end as `order` says. Told to stop, they have `drain`; whoever is not done then is given up.
    ///
    /// # Errors
    /// Why a worker could not go on.
    pub async fn end(
        mut self,
        order: Order,
        stop: &mut watch::Receiver<bool>,
        log: Option<&JoinHandle<Result<u64, RunError>>>,
        drain: Duration,
    ) -> Result<CrewEnded, RunError> {
        self.tell(order);
        let mut ended = CrewEnded::default();
        let stopping = order == Order::Stop;
        let mut deadline = Box::pin(tokio::time::sleep(if stopping { drain } else { Duration::MAX }));
        let mut told = stopping;
        loop {
            if !told && (*stop.borrow() || log.is_some_and(JoinHandle::is_finished)) {
                told = true;
                self.tell(Order::Stop);
                deadline = Box::pin(tokio::time::sleep(drain));
            }
            tokio::select! {
                worker = self.workers.join_next() => match worker {
                    None => break,
                    Some(Ok((id, report))) => {
                        self.working.remove(&id);
                        ended.reports.push((id, report?));
                    }
                    Some(Err(cut)) if cut.is_cancelled() => {}
                    Some(Err(panic)) => return Err(RunError::Task(panic)),
                },
                _changed = stop.changed(), if !told => {}
                // The log that fails while the end is awaited ends the wait.
                () = tokio::time::sleep(GATE_PAUSE), if !told => {}
                () = &mut deadline, if ended.late.is_empty() => {
                    ended.late = self.working.iter().cloned().collect();
                    for target in &ended.late {
                        tracing::warn!(
                            code = LATE, target_name = %target.0,
                            "{} did not answer within {} s: what it was sent is settled before anything else is sent", target.0, drain.as_secs()
                        );
                    }
                    self.workers.abort_all();
                }
            }
        }
        ended.endpoints = self.endpoints.iter().map(|endpoint| endpoint.state()).collect();
        Ok(ended)
    }
}

/// One target's worker, started again after each fault: what it was sending becomes `unknown` first, and is settled before anything else.
///
/// # Errors
/// Where starting again can't help or was tried often enough.
pub(super) async fn keep_working<S: Store + 'static, T: Target + 'static>(
    lane: Arc<Lane<S, T>>,
    pace: Pace,
    allowance: Arc<Allowance>,
    planned: Arc<Bell>,
    mut order: watch::Receiver<Order>,
    once: bool,
    board: Arc<Board>,
) -> Result<WorkerReport, RunError> {
    let mut all = WorkerReport::default();
    let tries = once.then_some(TRIES_WHEN_DRAINING);
    let mut watched = Watched::new(format!("worker {}", lane.id.0), tries, board, lane.meter.clone(), lane.clock.clone());
    let mut orphans = false;
    loop {
        // Without the log nothing is sent.
        if *order.borrow() == Order::Stop {
            return Ok(all);
        }
        while lane.gate.is_closed() && *order.borrow() != Order::Stop {
            tokio::select! {
                () = tokio::time::sleep(GATE_PAUSE) => {}
                _changed = order.changed() => {}
            }
        }
        let closings = lane.gate.closings();
        let worker = Worker {
            lane: lane.clone(),
            batch: pace.batch,
            concurrency: pace.concurrency,
            hours: pace.hours.clone(),
            hold: pace.hold.clone(),
            allowance: allowance.clone(),
            planned: planned.ear(),
            order: order.clone(),
            patient: once,
        };
        let left = orphans;
        let lane_of = lane.clone();
        let mut work = Box::pin(survive(async move {
            let lane = lane_of;
            if left {
                let count = lane.store.orphaned(&lane.id).await?;
                if count > 0 {
                    tracing::warn!(target_name = %lane.id.0, count, "what was being sent has no answer: it is settled first");
                }
            }
            worker.run().await
        }));
        let ended = tokio::select! {
            ended = &mut work => ended,
            () = tokio::time::sleep(STEADY) => {
                watched.well();
                work.await
            }
        };
        let stopped = *order.borrow() == Order::Stop;
        let pause = match ended {
            Ok(report) => {
                all.add(&report);
                // Who ended because the log failed goes on when it is there again.
                if stopped || report.ended.is_some() || lane.gate.closings() == closings {
                    all.ended = report.ended;
                    return Ok(all);
                }
                watched.well();
                continue;
            }
            Err(error) => {
                // A probe that died must not keep the endpoint shut.
                lane.endpoint.no_probe();
                orphans = true;
                watched.failed(error)?
            }
        };
        if stopped {
            // The next start settles what has no answer.
            return Ok(all);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _stop = order.wait_for(|order| *order == Order::Stop) => {}
        }
        if *order.borrow() == Order::Stop {
            return Ok(all);
        }
    }
}

/// The endpoint of each target, as it stands in the store. Targets of one endpoint share it.
async fn endpoints<S: Store>(shared: &Shared<S>, parts: &Parts, carried: &[EndpointState]) -> Result<Vec<Arc<Endpoint>>, RunError> {
    let (states, spent, now) = (shared.store.endpoints().await?, shared.store.spent().await?, shared.clock.now());
    let mut by_name: BTreeMap<Arc<str>, Arc<Endpoint>> = BTreeMap::new();
    let named: Vec<(Arc<str>, _)> = parts.targets.iter().map(|target| (endpoint_name(&target.0), target)).collect();
    for (name, (_, file)) in &named {
        if by_name.contains_key(name) {
            continue;
        }
        let own = named.iter().filter(|(other, _)| other == name).map(|(_, target)| *target);
        let quotas = own.flat_map(|(spec, file)| {
            let operations = file.operations.iter().map(|o| (Scope::Operation(o.id.clone()), &o.quotas));
            [(Scope::Endpoint, &spec.quotas), (Scope::Endpoint, &file.rules.quotas)].into_iter().chain(operations)
        });
        let state = carried.iter().chain(&states).find(|state| state.name == *name).cloned();
        let state = state.unwrap_or_else(|| EndpointState::well(name.clone(), now));
        let endpoint = Endpoint::new(state, quotas, &spent, (file.rules.retry, file.rules.breaker), now);
        by_name.insert(name.clone(), Arc::new(endpoint));
    }
    Ok(named.iter().filter_map(|(name, _)| by_name.get(name).cloned()).collect())
}

/// What limits, waits and the breaker of a target belong to: what the operator says, else the database or file itself.
pub fn endpoint_name(spec: &TargetSpec) -> Arc<str> {
    spec.endpoint.clone().unwrap_or_else(|| spec.place.endpoint().into())
}
