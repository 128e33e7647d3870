//! One pass: customers, intake, decide.

use super::compliance::Asking;
use super::customers::CustomersSide;
use super::decide::{Deciding, KnownSide};
use super::intake::Inlet;
use super::leaves::Scribe;
use super::network::Networks;
use super::progress::Stage;
use super::siblings::Siblings;
use super::taps::Taps;
use super::webhooks::Hooks;
use super::{Clock, Fault, Parts, RunError, RunOptions, Service, Stopwatch, intake};
use crate::model::CustomerId;
use crate::source::Access;
use crate::store::sqlite::SqliteStore;
use crate::store::{Rights, Store, StoreError};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Pages of decisions that are sealed or written while another is decided: one at each. 1,000 identities are some 5 MB.
const WRITING_AT_ONCE: usize = 2;

impl Service {
    /// One pass: customers, intake, decide.
    pub(super) async fn pass(&mut self, options: &RunOptions, stop: &watch::Receiver<bool>) -> Result<(), RunError> {
        if self.customers_changed.swap(false, Ordering::AcqRel) || self.customers.known().is_none() {
            let suppressed = self.store.suppressed_customers().await?.into_iter().collect();
            self.customers = CustomersSide::without(suppressed, self.parts.keys.hash.clone());
        }
        let inlet = Inlet {
            parts: &self.parts,
            store: &self.store,
            scribe: &self.scribe,
            clock: &*self.clock,
            progress: &*self.progress,
            stops: &self.stops,
            stop,
        };
        let networks = Networks { inlet, polled: &self.polled, rotated: &self.rotated, till: &self.till };
        let taps = Taps { inlet, polled: &self.polled, passes: None };
        let asking = Asking { inlet, rotated: &self.rotated, board: &self.board, till: &self.till };
        let hooks = Hooks { inlet, spools: &self.spools, book: self.board.webhooks() };
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
            timed(async {
                let mut read = intake::drain(inlet, Access::Move).await?;
                Box::pin(networks.drain(&mut read)).await?;
                Box::pin(asking.drain(&mut read)).await?;
                Box::pin(hooks.drain(&mut read)).await?;
                // A service that stays runs taps beside its passes.
                if options.once {
                    Box::pin(taps.drain(&mut read)).await?;
                }
                Ok::<_, RunError>(read)
            }),
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
        if self.may_delete().await? {
            self.decide(stop).await?;
        }
        self.judge_first_writes().await?;
        self.progress.finished(Stage::Decide);
        *self.did.step_seconds.entry("decide").or_default() += watch.seconds();
        Ok(())
    }

    pub(super) fn fault(&mut self, fault: Fault) {
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
    let mut siblings = Siblings::default();
    let mut writing: VecDeque<JoinHandle<Result<(), StoreError>>> = VecDeque::with_capacity(WRITING_AT_ONCE);
    let mut works = store.work(None, limit).await?;
    // What is linked in this pass is written after it: what the CRM shows now was there before.
    // Only a basis that asks the CRM about the account could be misled by it.
    let asked = !parts.rulebook.policy.proving().is_empty() && works.iter().any(|work| work.needs_decision);
    let wrote = if asked { store.wrote().await? } else { Vec::new() };
    let wrote: Arc<HashSet<[u8; 16]>> = Arc::new(wrote.into_iter().collect());
    while let Some(last) = works.last() {
        if *stop.borrow() {
            break;
        }
        let after = Some(last.row);
        let count = works.len() as u64;
        let (rulebook, known, writer, now) = (parts.rulebook.clone(), known.clone(), scribe.clone(), clock.now());
        let (linked, runtime, wrote) = (store.clone(), tokio::runtime::Handle::current(), wrote.clone());
        let deciding = tokio::task::spawn_blocking(move || {
            let mut siblings = siblings;
            let stored = |customers: Vec<CustomerId>| Ok(runtime.block_on(linked.linked_to(customers))?);
            let steps = Deciding::new(&rulebook, &known, &writer, now).knowing(wrote).spread(&works, threads, &mut siblings, &stored);
            (steps, siblings)
        });
        // While this page is decided, the ones before it are sealed and written, and the next one read: deciding does not change the rows
        // after it.
        let (steps, next) = tokio::join!(deciding, store.work(after, limit));
        let (steps, after_page) = steps.map_err(RunError::Task)?;
        let steps = steps?;
        siblings = after_page;
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
