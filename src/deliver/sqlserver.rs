//! Tables and procedures of a SQL Server.
//!
//! A batch is brought to groups of rows that one set of statements writes, each group one transaction together with the ledger of idempotency keys
//! (`ops/sql/`). What stands is read under locks inside of that transaction, so that before and after are exact and no newer edit is overwritten
//! unseen. Until the commit leaves, nothing is written; a commit without an answer is settled by the ledger.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the driver and the server have a variant for every type: what is not named is told in one arm"
)]

mod batch;
mod bound;
mod by_hand;
mod check;
mod conflict;
mod fault;
mod ledger;
mod load;
mod pool;
mod preview;
mod procedure;
mod row;
mod script;
mod staged;
mod starting;
mod statements;

pub use starting::starting_file;

use super::record::Prepared;
use super::retry::rest;
use super::target::all;
use super::{Answer, DeliveryError, Settled, Target, Written};
use crate::declare::config::{TargetPlace, TargetSpec};
use crate::declare::connector::TargetFile;
use crate::declare::connector::sqlserver::{ProcedureCall, SqlOperation, SqlServerObjects, SqlWrite, TableWrite};
use crate::diagnose::{Code, Problems};
use crate::enrich::{DeliverEntry, OnConflict};
use crate::model::{Delivery, Intended, Receipt, WriteEffect, WriteIntent};
use crate::wire::tds::{self, TdsFault};
use batch::{Ended, Job};
use bound::Bound;
use pool::{Connected, Pool};
use row::{Group, Row, grouped};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Rows in one transaction at most: what is larger holds locks for seconds, and above some 5,000 locks SQL Server takes the whole table.
const MOST_ROWS: usize = 20_000;
/// A server that is slow gets no less than this at once: below it, the round trips are what takes the time.
const LEAST_ROWS: usize = 50;
/// How often a lost race is run again before the delivery waits for its turn: sixteen writers on one key are through after some ten rounds.
const MOST_RACES: u32 = 12;
/// The longest first rest after a lost race, doubled each time.
const RACE_REST: Duration = Duration::from_millis(20);
/// The longest rest after a lost race.
const LONGEST_RACE_REST: Duration = Duration::from_secs(2);

/// A SQL Server that is written to.
#[derive(Clone, Debug)]
pub struct SqlServerTarget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: Arc<TargetFile>,
    objects: SqlServerObjects,
    pool: Option<Pool>,
    /// The mapping's word about conflicts, by delivery entry.
    conflicts: BTreeMap<Arc<str>, OnConflict>,
    /// Rows in one transaction, as the server takes them.
    most: AtomicUsize,
}

/// An operation of a delivery.
struct Found<'a> {
    place: usize,
    sql: &'a SqlOperation,
}

impl SqlServerTarget {
    /// A target; nothing is connected until the first write.
    pub fn new(spec: &TargetSpec, file: Arc<TargetFile>, entries: &[DeliverEntry]) -> Self {
        let pool = match &spec.place {
            TargetPlace::Server(server) => Some(Pool::new((**server).clone())),
            // Refused when the project is loaded (`TargetFile::misplaced`).
            TargetPlace::File(_) | TargetPlace::Service(_) => None,
        };
        let conflicts =
            entries.iter().filter(|entry| entry.target.0 == spec.name).filter_map(|entry| Some((entry.id.clone(), entry.on_conflict?)));
        let objects = file.sql.clone().unwrap_or_else(SqlServerObjects::usual);
        Self { inner: Arc::new(Inner { objects, pool, conflicts: conflicts.collect(), most: AtomicUsize::new(MOST_ROWS), file }) }
    }

    /// Writes deliveries; the trait's method takes only those whose intent is durable.
    async fn send(&self, batch: &[Delivery]) -> Vec<Answer> {
        let mut connected = match self.inner.session().await {
            Ok(connected) => connected,
            Err(error) => return all(batch.len(), &error),
        };
        let answers = self.inner.send(&mut connected, batch).await;
        self.inner.give_back(connected);
        answers
    }
}

impl Inner {
    async fn session(&self) -> Result<Connected, DeliveryError> {
        let Some(pool) = &self.pool else {
            return Err(DeliveryError::unavailable("KITH-T013", "the target has no `server`"));
        };
        pool.session().await.map_err(|fault| fault::not_written(&fault))
    }

    fn give_back(&self, connected: Connected) {
        if let Some(pool) = &self.pool {
            pool.keep(connected);
        }
    }

    fn found(&self, operation: &str) -> Option<Found<'_>> {
        let (place, operation) = self.file.operations.iter().enumerate().find(|(_, o)| &*o.id.0 == operation)?;
        Some(Found { place, sql: operation.sql.as_ref()? })
    }

    /// An operation's table as this session knows it.
    async fn bound(&self, connected: &mut Connected, found: &Found<'_>, write: &TableWrite) -> Result<Arc<Bound>, DeliveryError> {
        if let Some(bound) = connected.bound.get(&found.place) {
            return Ok(bound.clone());
        }
        let shape = tds::table(&mut connected.session, &write.table).await.map_err(|fault| fault::not_written(&fault))?;
        let Some(shape) = shape else {
            let message = format!("there is no table {} that this login may see", write.table);
            return Err(DeliveryError::unavailable("KITH-D003", message));
        };
        let Some(operation) = self.file.operations.get(found.place) else {
            return Err(DeliveryError::unavailable("KITH-D003", "the operation is gone"));
        };
        let (bound, misfits) = bound::bind(operation, &found.sql.columns, write, shape);
        let Some(bound) = bound else {
            let first = misfits.into_iter().find(|misfit| !misfit.warning);
            return Err(first.map_or_else(
                || DeliveryError::unavailable("KITH-D003", "the table does not fit"),
                |misfit| DeliveryError::Unavailable { code: misfit.code, message: misfit.message.into(), retry_after: None },
            ));
        };
        let bound = Arc::new(bound);
        connected.bound.insert(found.place, bound.clone());
        Ok(bound)
    }

    async fn send(&self, connected: &mut Connected, batch: &[Delivery]) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = vec![None; batch.len()];
        let mut tables: BTreeMap<usize, Vec<(usize, &Delivery, Prepared<'_>)>> = BTreeMap::new();
        let mut calls: Vec<(usize, &Delivery, Prepared<'_>)> = Vec::new();
        for (at, (delivery, answer)) in batch.iter().zip(&mut answers).enumerate() {
            if delivery.intent == WriteIntent::Keep {
                *answer = Some(Ok(Receipt::bare(delivery.id, WriteEffect::Kept)));
                continue;
            }
            match (Prepared::new(&self.file, delivery), self.found(&delivery.operation.0)) {
                (Err(error), _) => *answer = Some(Err(error)),
                (Ok(_), None) => *answer = Some(Err(DeliveryError::unavailable("KITH-D008", "the operation is no SQL Server's"))),
                (Ok(prepared), Some(found)) => match &found.sql.write {
                    SqlWrite::Table(_) => tables.entry(found.place).or_default().push((at, delivery, prepared)),
                    SqlWrite::Procedure(_) => calls.push((at, delivery, prepared)),
                },
            }
        }
        // The first that says that nothing can be written ends the batch: the others were not sent.
        let mut stop: Option<DeliveryError> = None;
        for (place, waiting) in tables {
            let Some((sql, write)) = self.table_at(place) else { continue };
            if stop.is_some() {
                break;
            }
            let bound = match self.bound(connected, &Found { place, sql }, write).await {
                Ok(bound) => bound,
                Err(error) => {
                    for (at, ..) in waiting {
                        put(&mut answers, at, Err(error.clone()));
                    }
                    stop = ends_all(&error);
                    continue;
                }
            };
            let mut rows = Vec::with_capacity(waiting.len());
            for (at, delivery, prepared) in waiting {
                match Row::new(at, delivery, prepared, &bound) {
                    Ok(row) => rows.push(row),
                    Err(error) => put(&mut answers, at, Err(error)),
                }
            }
            for group in grouped(rows, self.most.load(Ordering::Relaxed)) {
                if stop.is_some() {
                    break;
                }
                let job = Job { place, bound: &bound, write, objects: &self.objects, conflicts: &self.conflicts };
                let outcome = self.group(connected, &job, &group).await;
                stop = outcome.iter().filter_map(|answer| answer.as_ref().err()).find_map(ends_all);
                for (row, answer) in group.rows.iter().zip(outcome) {
                    put(&mut answers, row.at, answer);
                }
            }
        }
        for (at, delivery, prepared) in calls {
            if stop.is_some() {
                break;
            }
            let answer = self.call(connected, delivery, prepared).await;
            stop = answer.as_ref().err().and_then(ends_all);
            put(&mut answers, at, answer);
        }
        let unsent = stop.unwrap_or_else(|| DeliveryError::unavailable("KITH-D001", "it was not sent"));
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(unsent.clone()))).collect()
    }

    fn table_at(&self, place: usize) -> Option<(&SqlOperation, &TableWrite)> {
        let sql = self.file.operations.get(place)?.sql.as_ref()?;
        match &sql.write {
            SqlWrite::Table(write) => Some((sql, write)),
            SqlWrite::Procedure(_) => None,
        }
    }

    /// A group's transaction, again where a race was lost.
    async fn group(&self, connected: &mut Connected, job: &Job<'_>, group: &Group<'_>) -> Vec<Answer> {
        // Whoever was sent before may have arrived.
        let mut look_up = group.rows.iter().any(|row| row.delivery.attempt > 1);
        let seed = group.rows.first().map_or(0, |row| row.delivery.id.0.unsigned_abs());
        for race in 1..=MOST_RACES {
            match batch::transact(connected, job, group, look_up).await {
                Ended::Answers(answers) => {
                    let failed = answers.iter().filter_map(|answer| answer.as_ref().err());
                    let struggles =
                        failed.clone().any(|error| matches!(error, DeliveryError::Throttled { .. } | DeliveryError::OutcomeUnknown { .. }))
                            || (!connected.session.is_usable() && failed.count() > 0);
                    self.learn(group.rows.len(), struggles);
                    if answers.iter().any(finds_another_shape) {
                        connected.forget();
                    }
                    return answers;
                }
                Ended::OneIsBad { code, message } => {
                    return if group.rows.len() == 1 {
                        vec![Err(DeliveryError::Refused { code: Code(code), message })]
                    } else {
                        all(group.rows.len(), &DeliveryError::BatchRefused { code: Code(code), message })
                    };
                }
                Ended::Again { error, look_up: duplicate } => {
                    let last = race == MOST_RACES || !connected.session.is_usable();
                    // A duplicate that stays is no race: another unique key of the table refuses one of them.
                    let stays = duplicate && look_up && race >= 3 && matches!(error, DeliveryError::Refused { .. });
                    if last || stays {
                        self.learn(group.rows.len(), true);
                        // What never ends for many may end for one: keys that only the table's collation takes for the same, for instance.
                        return match error {
                            DeliveryError::Refused { code, message } | DeliveryError::Failed { code, message, .. }
                                if group.rows.len() > 1 && connected.session.is_usable() =>
                            {
                                all(group.rows.len(), &DeliveryError::BatchRefused { code, message })
                            }
                            error => all(group.rows.len(), &error),
                        };
                    }
                    look_up |= duplicate;
                    tokio::time::sleep(rest(RACE_REST, LONGEST_RACE_REST, race, seed)).await;
                }
            }
        }
        all(group.rows.len(), &DeliveryError::unavailable("KITH-D043", "races were lost for too long"))
    }

    /// Fewer rows at once for a server that struggles, slowly more for one that does not.
    fn learn(&self, rows: usize, struggles: bool) {
        let most = self.most.load(Ordering::Relaxed);
        let next = if struggles { (rows / 2).max(LEAST_ROWS) } else { (most + most / 8 + 1).min(MOST_ROWS) };
        if struggles || rows >= most {
            self.most.store(next, Ordering::Relaxed);
        }
    }

    async fn call<'a>(&self, connected: &mut Connected, delivery: &'a Delivery, prepared: Prepared<'a>) -> Answer {
        let answer = self.called(connected, delivery, prepared).await;
        // What does not fit is asked for again: a DBA may have mended it.
        if finds_another_shape(&answer) {
            connected.forget();
        }
        answer
    }

    /// A call, again where a race was lost.
    async fn called<'a>(&self, connected: &mut Connected, delivery: &'a Delivery, prepared: Prepared<'a>) -> Answer {
        let (call, rules) = self.ready_call(connected, delivery, prepared).await?;
        for race in 1..=MOST_RACES {
            let answer = procedure::write(connected, &call, rules, &self.objects).await;
            match answer {
                Err(DeliveryError::Failed { code: Code("KITH-D043"), .. }) if race < MOST_RACES && connected.session.is_usable() => {
                    tokio::time::sleep(rest(RACE_REST, LONGEST_RACE_REST, race, delivery.id.0.unsigned_abs())).await;
                }
                answer => return answer,
            }
        }
        Err(DeliveryError::unavailable("KITH-D043", "races were lost for too long"))
    }

    async fn ready_call<'a>(
        &self,
        connected: &mut Connected,
        delivery: &'a Delivery,
        prepared: Prepared<'a>,
    ) -> Result<(procedure::Call<'a>, &ProcedureCall), DeliveryError> {
        let operation = prepared.operation;
        let found = self.found(&delivery.operation.0);
        let Some(Found { sql: SqlOperation { write: SqlWrite::Procedure(rules), columns }, .. }) = found else {
            return Err(DeliveryError::unavailable("KITH-D008", "the operation is no procedure"));
        };
        let Some(name) = procedure::procedure_of(rules, delivery.intent) else {
            let message = format!("the operation `{}` has no procedure for it", operation.id.0);
            return Err(DeliveryError::Refused { code: Code("KITH-D008"), message: message.into() });
        };
        let shape = if let Some(known) = connected.procedures.get(name) {
            known.clone()
        } else {
            let found = tds::procedure(&mut connected.session, name).await.map_err(|fault| fault::not_written(&fault))?;
            let Some(found) = found else {
                return Err(DeliveryError::unavailable("KITH-D003", format!("there is no procedure {name} that this login may see")));
            };
            connected.procedures.entry(name.clone()).or_insert(Arc::new(found)).clone()
        };
        if let Some(misfit) = procedure::misfits(operation, columns, rules, &shape, delivery.intent).into_iter().next() {
            return Err(DeliveryError::Unavailable { code: misfit.code, message: misfit.message.into(), retry_after: None });
        }
        Ok((procedure::ready(delivery, prepared, columns, rules, &shape)?, rules))
    }

    async fn settle(&self, unknown: &Delivery) -> Result<Settled, DeliveryError> {
        let mut connected = self.session().await?;
        let recorded = ledger::recorded(&mut connected, &self.objects, unknown.idempotency).await;
        self.give_back(connected);
        match recorded {
            Ok(Some(effect)) => Ok(Settled::Delivered(Receipt::bare(unknown.id, effect))),
            // A commit that is still under way ends with the ledger's key taken: the write that follows finds it.
            Ok(None) => Ok(Settled::NotThere),
            Err(fault) => Err(fault::not_written(&fault)),
        }
    }
}

/// Whether the server's tables and procedures are no longer what this session knows of them.
fn finds_another_shape(answer: &Answer) -> bool {
    matches!(answer, Err(DeliveryError::Unavailable { code: Code("KITH-D003" | "KITH-D042"), .. }))
}

/// Whether nothing more of a batch is worth sending.
fn ends_all(error: &DeliveryError) -> Option<DeliveryError> {
    match error {
        // One table that does not fit holds back no other.
        DeliveryError::Unavailable { code: Code("KITH-D003" | "KITH-D042" | "KITH-D056"), .. }
        | DeliveryError::Refused { .. }
        | DeliveryError::BatchRefused { .. }
        | DeliveryError::Failed { .. }
        | DeliveryError::LoginExpired { .. } => None,
        DeliveryError::Unavailable { .. } | DeliveryError::Throttled { .. } => Some(error.clone()),
        DeliveryError::OutcomeUnknown { .. } => Some(DeliveryError::unavailable("KITH-D001", "the connection broke before")),
    }
}

fn put(answers: &mut [Option<Answer>], at: usize, answer: Answer) {
    if let Some(slot) = answers.get_mut(at) {
        *slot = Some(answer);
    }
}

impl Target for SqlServerTarget {
    async fn write(&self, batch: &[Intended]) -> Written {
        let deliveries: Vec<Delivery> = batch.iter().map(|intended| intended.delivery().clone()).collect();
        Written::answers(self.send(&deliveries).await)
    }

    fn most_at_once(&self) -> usize {
        self.inner.most.load(Ordering::Relaxed)
    }

    async fn settle(&self, unknown: &Delivery) -> Result<Settled, DeliveryError> {
        self.inner.settle(unknown).await
    }

    async fn login(&self) -> Result<(), DeliveryError> {
        if let Some(pool) = &self.inner.pool {
            pool.close();
        }
        self.inner.give_back(self.inner.session().await?);
        Ok(())
    }

    async fn preview(&self, batch: &[Delivery]) -> Vec<Answer> {
        self.inner.preview(batch).await
    }

    async fn check(&self) -> Problems {
        self.inner.check().await
    }
}

/// What a fault says to somebody who looks.
fn told(fault: &TdsFault) -> (Code, String) {
    let error = fault::not_written(fault);
    (error.code(), error.to_string())
}
