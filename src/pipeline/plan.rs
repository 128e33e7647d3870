//! *Plan*: what a run would do, before and after by field, on a private copy of the state. Nothing is written anywhere.

use super::customers::CustomersSide;
use super::deliver::why;
use super::leaves::{Scribe, WhoAsks};
use super::{Clock, Fault, Parts, RunError, Unseen, intake};
use crate::deliver::{AnyTarget, DeliveryError, Target};
use crate::model::{FieldChange, Intended, ParkReason, Priority, TargetId, WriteEffect, WriteIntent};
use crate::source::Access;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{Due, DueWhich, ReceiptBatch, ReceiptStep, Rights, SendBatch, SendOutcome, SendStep, Store, Totals};
use std::sync::Arc;
use tokio::sync::watch;

/// Deliveries previewed together.
const AT_ONCE: usize = 500;

/// A write that a run would make.
#[derive(Clone, Debug)]
pub struct PlannedWrite {
    /// The mapping's deliver entry.
    pub entry: Arc<str>,
    /// Where.
    pub target: TargetId,
    /// By which operation.
    pub operation: Arc<str>,
    /// Write, or which withdrawal.
    pub intent: WriteIntent,
    /// The record's key.
    pub record: crate::model::RecordKey,
    /// What it would do, field by field; or why the target would refuse it.
    pub result: Result<(WriteEffect, Vec<FieldChange>), ParkReason>,
}

/// What a run would do.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// The first writes, as many as were asked for.
    pub writes: Vec<PlannedWrite>,
    /// All writes, by target, entry and effect: `crm_db interaction inserted`.
    pub counts: std::collections::BTreeMap<String, u64>,
    /// The counts after such a run, deliveries as if all had arrived.
    pub totals: Totals,
    /// What could not be read.
    pub faults: Vec<Fault>,
}

/// Runs a pass on a copy of the state and asks the targets what each write would change.
///
/// # Errors
/// When the state can't be copied, or a target can't be read.
pub async fn plan(parts: Parts, who: WhoAsks, clock: Arc<dyn Clock>, shown: usize) -> Result<Preview, RunError> {
    let store = Arc::new(SqliteStore::in_memory_copy(
        &parts.config.service.state,
        parts.keys.master.clone(),
        parts.keys.hash.clone(),
        Options::from_system()?,
    )?);
    let scribe = Arc::new(Scribe::new(store.ring().clone(), who, parts.rulebook.clone()));
    let suppressed = store.suppressed_customers().await?.into_iter().collect();
    let mut customers = CustomersSide::without(suppressed, parts.keys.hash.clone());
    let mut preview = Preview::default();
    match customers.refresh(&*store, &parts, &scribe, &*clock, &Unseen, false).await {
        Ok(_) => {}
        Err(RunError::Fault(fault)) => preview.faults.push(fault),
        Err(error) => return Err(error),
    }
    let (_going_on, stop) = watch::channel(false);
    let stops = super::stops::Stops::default();
    let inlet =
        intake::Inlet { parts: &parts, store: &store, scribe: &scribe, clock: &*clock, progress: &Unseen, stops: &stops, stop: &stop };
    let read = intake::drain(inlet, Access::ReadOnly).await?;
    preview.faults.extend(read.faults);
    if let Some(known) = customers.known() {
        super::pass::decide_all(&parts, &store, &scribe, &*clock, &known, &stop, |_| {}).await?;
    }
    for (spec, file) in &parts.targets {
        let target = AnyTarget::new(spec, file.clone(), &parts.rulebook.enrich.deliver);
        let id = TargetId(spec.name.clone());
        loop {
            let now = clock.now();
            let mut rows = Vec::new();
            for priority in Priority::ALL {
                let due = Due { target: id.clone(), now, limit: AT_ONCE, priority, except: Vec::new(), which: DueWhich::All };
                rows.extend(store.due(&due).await?);
            }
            if rows.is_empty() {
                break;
            }
            let steps = rows
                .iter()
                .map(|row| Ok(SendStep { delivery: row.delivery.clone(), leaf: scribe.intended(row, now)? }))
                .collect::<Result<Vec<_>, RunError>>()?;
            scribe.keep_parts(&*store).await?;
            let intended: Vec<Intended> = store.send(SendBatch { intents: steps, spent: Vec::new() }).await?;
            let deliveries: Vec<_> = intended.iter().map(|i| i.delivery().clone()).collect();
            let answers = target.preview(&deliveries).await;
            let mut outcomes = Vec::with_capacity(rows.len());
            for (row, answer) in rows.into_iter().zip(answers) {
                let outcome = match &answer {
                    Ok(receipt) => SendOutcome::Delivered(receipt.clone()),
                    Err(error @ DeliveryError::Refused { .. }) => SendOutcome::Parked(error.park_reason()),
                    Err(error) => {
                        preview.faults.push(Fault::target(&id.0, &why(error)));
                        return Ok(preview);
                    }
                };
                let leaf = scribe.outcome(&row, &outcome, now)?;
                let delivery = row.delivery;
                outcomes.push(ReceiptStep { delivery: delivery.id, outcome: outcome.clone(), leaf, failed: None });
                let (effect, result) = match outcome {
                    SendOutcome::Delivered(receipt) => (receipt.effect.name(), Ok((receipt.effect, receipt.changes))),
                    SendOutcome::Parked(reason) => ("refused", Err(reason)),
                    SendOutcome::Retry { .. }
                    | SendOutcome::Split { .. }
                    | SendOutcome::Dropped(..)
                    | SendOutcome::Unknown { .. }
                    | SendOutcome::NotThere => continue,
                };
                *preview.counts.entry(format!("{} {} {effect}", id.0, delivery.entry)).or_default() += 1;
                if preview.writes.len() < shown {
                    preview.writes.push(PlannedWrite {
                        entry: delivery.entry,
                        target: delivery.target,
                        operation: delivery.operation.0,
                        intent: delivery.intent,
                        record: delivery.record,
                        result,
                    });
                }
            }
            store.receipt(ReceiptBatch { at: clock.now(), outcomes, endpoint: None, spent: Vec::new() }).await?;
        }
    }
    preview.totals = store.totals().await?;
    Ok(preview)
}
