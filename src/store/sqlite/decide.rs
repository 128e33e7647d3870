//! The *decide* step: the decision with its evidence, links, what becomes of activity versions, and the deliveries planned for them.

use super::content::{DeliveryContent, encode_delivery};
use super::error::InDatabase;
use super::evidence;
use super::intake::hex;
use super::names::{DELIVERED, DELIVERING, Numbered, PARKED, by_columns, nanoseconds};
use super::outbox::DELIVERY_BINDING;
use super::rights::suppressed;
use super::writer::Tx;
use crate::audit::{Binding, RetentionClass, Unpredictable};
use crate::model::{ActivityState, CustomerId, DeliveryState, DropRule, IdentityId, Outcome, Priority, WriteIntent};
use crate::store::ring::{KeyRing, Person};
use crate::store::{DecideStep, DecisionRecord, Disposition, Grounds, PlannedDelivery, StoreError};
use rusqlite::OptionalExtension;
use std::sync::Arc;

/// A step, sealed: all that the writer's thread needs.
pub(super) struct PreparedStep {
    identity: i64,
    decision: Option<PreparedDecision>,
    profile_as_of: Option<i64>,
    activities: Vec<(i64, PreparedDisposition)>,
    link: Vec<PreparedDelivery>,
    wrote: Vec<[u8; 16]>,
    leaves: Vec<Vec<u8>>,
}

struct PreparedDecision {
    outcome: Outcome,
    by_kind: Option<i64>,
    by_rule: Option<Arc<str>>,
    by: Option<Arc<str>>,
    customer: Option<Arc<str>>,
    basis: Option<Arc<str>>,
    probability: f64,
    match_weight: f64,
    reference: [u8; 32],
    evidence_digest: [u8; 32],
    mapping: [u8; 32],
    grounds: Option<Grounds>,
    at: i64,
    candidates: Option<String>,
    /// Whether the decision's entry, the step's first, holds evidence.
    evidence: bool,
}

enum PreparedDisposition {
    Deliver(Vec<PreparedDelivery>),
    Other(ActivityState),
}

struct PreparedDelivery {
    entry: Arc<str>,
    target: Arc<str>,
    operation: Arc<str>,
    intent: WriteIntent,
    record: [u8; 16],
    idempotency: [u8; 32],
    sealed: Vec<u8>,
    priority: Priority,
}

/// Seals a batch of steps, on the caller's task.
pub(super) fn prepare(ring: &KeyRing, batch: Vec<DecideStep>) -> Result<Vec<PreparedStep>, StoreError> {
    let mut random = ring.stream();
    batch.into_iter().map(|step| prepare_step(ring, &mut random, step)).collect()
}

/// Seals one step.
pub(super) fn prepare_step(ring: &KeyRing, random: &mut Unpredictable, step: DecideStep) -> Result<PreparedStep, StoreError> {
    let decision = step.decision.as_ref().map(prepare_decision);
    if decision.as_ref().is_some_and(|decision| decision.evidence) && step.leaves.is_empty() {
        return Err(StoreError::Refused("a decision with evidence comes with the entry that holds it".to_owned()));
    }
    let mut activities = Vec::with_capacity(step.activities.len());
    for (row, disposition) in step.activities {
        let prepared = match disposition {
            Disposition::Deliver(planned) => PreparedDisposition::Deliver(prepare_deliveries(ring, random, &step.id, planned)?),
            Disposition::Drop(rule) => PreparedDisposition::Other(ActivityState::Dropped(rule)),
            Disposition::WaitReview => PreparedDisposition::Other(ActivityState::WaitingReview),
            Disposition::WaitDecision => PreparedDisposition::Other(ActivityState::WaitingDecision),
        };
        activities.push((row.0, prepared));
    }
    Ok(PreparedStep {
        identity: step.row.0,
        decision,
        profile_as_of: step.profile_as_of.map(nanoseconds),
        activities,
        link: prepare_deliveries(ring, random, &step.id, step.link)?,
        wrote: step.wrote,
        leaves: step.leaves,
    })
}

fn prepare_decision(record: &DecisionRecord) -> PreparedDecision {
    let decision = &record.decision;
    let (by_kind, by_rule) = by_columns(decision.by.as_ref());
    let candidates: Vec<&str> = decision.evidence.iter().flat_map(|e| &e.candidates).map(|c| c.customer.as_str()).collect();
    // A decision without evidence may still name a customer: a person's, for instance.
    let candidates = if candidates.is_empty() { decision.customer.iter().map(CustomerId::as_str).collect() } else { candidates };
    PreparedDecision {
        outcome: decision.outcome,
        by_kind,
        by_rule: by_rule.map(Into::into),
        by: decision.by.as_ref().map(|by| by.name().into()),
        customer: decision.customer.as_ref().map(|c| c.0.clone()),
        basis: decision.basis.clone(),
        probability: decision.probability,
        match_weight: decision.match_weight,
        reference: record.reference.0,
        evidence_digest: record.evidence_digest.0,
        mapping: record.mapping.0,
        grounds: record.grounds.clone(),
        at: nanoseconds(record.at),
        candidates: (!candidates.is_empty()).then(|| serde_json::Value::from(candidates).to_string()),
        evidence: decision.evidence.is_some(),
    }
}

fn prepare_deliveries(
    ring: &KeyRing,
    random: &mut Unpredictable,
    identity: &IdentityId,
    planned: Vec<PlannedDelivery>,
) -> Result<Vec<PreparedDelivery>, StoreError> {
    planned
        .into_iter()
        .map(|planned| {
            let parts = [planned.target.0.as_bytes(), planned.operation.0.as_bytes(), planned.record.0.as_bytes()];
            let record = ring.columns().of("kith/v1/store/record", &parts);
            let idempotency = planned.idempotency.0.0;
            let content = DeliveryContent {
                identity: identity.clone(),
                record: planned.record,
                object: planned.object,
                payload: planned.payload,
                expects: planned.expects.map(Arc::new),
            };
            let field = hex(&idempotency);
            let binding = Binding { kind: DELIVERY_BINDING, field: &field };
            let sealed =
                ring.seal(Person::Identity(identity), RetentionClass::Activity, binding, &encode_delivery(&content), random)?.to_bytes();
            Ok(PreparedDelivery {
                entry: planned.entry,
                target: planned.target.0,
                operation: planned.operation.0,
                intent: planned.intent,
                record,
                idempotency,
                sealed,
                priority: planned.priority,
            })
        })
        .collect()
}

/// Writes prepared steps.
pub(super) fn write(tx: &mut Tx<'_>, steps: &[PreparedStep]) -> Result<(), StoreError> {
    let anyone_suppressed = suppressed::anyone(tx)?;
    for step in steps {
        // Decided while the person was erased or objected: nothing of it stands.
        if !(anyone_suppressed && suppressed::is_identity(tx, step.identity)?) {
            write_step(tx, step)?;
        }
    }
    Ok(())
}

struct StoredDecision {
    row: i64,
    outcome: Outcome,
    customer: Option<Arc<str>>,
}

/// Writes one step, whoever it is about.
pub(super) fn write_step(tx: &mut Tx<'_>, step: &PreparedStep) -> Result<(), StoreError> {
    let (stored_as_of, mut needs_decision): (Option<i64>, bool) = tx
        .conn
        .prepare_cached("SELECT profile_as_of, needs_decision FROM identity WHERE id = ?1")
        .said()?
        .query_row([step.identity], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .said()?
        .ok_or_else(|| StoreError::Refused(format!("there is no identity {}", step.identity)))?;
    let before = current(tx, step.identity)?;
    let in_force = match &step.decision {
        None => before,
        Some(decision) => {
            let newer_profile = matches!((stored_as_of, step.profile_as_of), (Some(stored), Some(taken)) if stored > taken);
            needs_decision = newer_profile || decision.outcome == Outcome::Undetermined;
            Some(write_decision(tx, step.identity, before, decision)?)
        }
    };
    let planning = Planning {
        identity: step.identity,
        decision: in_force.as_ref().map(|d| d.row),
        customer: in_force.as_ref().filter(|d| d.outcome == Outcome::Linked).and_then(|d| d.customer.clone()),
    };
    for (activity, disposition) in &step.activities {
        dispose(tx, &planning, *activity, disposition)?;
    }
    for delivery in &step.link {
        plan(tx, &planning, None, delivery)?;
    }
    for hash in &step.wrote {
        tx.conn
            .prepare_cached("INSERT INTO wrote (hash, identity) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
            .said()?
            .execute((hash.as_slice(), step.identity))
            .said()?;
    }
    let waiting: bool = tx
        .conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM activity WHERE identity = ?1 AND state IN (0, 1) AND state = 0)")
        .said()?
        .query_row([step.identity], |row| row.get(0))
        .said()?;
    tx.conn
        .prepare_cached("UPDATE identity SET needs_decision = ?2, work = ?3 WHERE id = ?1")
        .said()?
        .execute((step.identity, needs_decision, needs_decision || waiting))
        .said()?;
    if !needs_decision && !waiting && in_force.is_some_and(|d| d.outcome == Outcome::NotPermitted) {
        forget(tx, step.identity)?;
    }
    tx.append_all(&step.leaves)
}

fn current(tx: &Tx<'_>, identity: i64) -> Result<Option<StoredDecision>, StoreError> {
    let found: Option<(i64, i64, Option<Arc<str>>)> = tx
        .conn
        .prepare_cached("SELECT id, outcome, customer FROM decision WHERE identity = ?1 AND current = 1")
        .said()?
        .query_row([identity], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .said()?;
    found.map(|(row, outcome, customer)| Ok(StoredDecision { row, outcome: Outcome::from_number(outcome)?, customer })).transpose()
}

/// Puts a decision in force and tells which one is in force then.
fn write_decision(
    tx: &Tx<'_>,
    identity: i64,
    before: Option<StoredDecision>,
    decision: &PreparedDecision,
) -> Result<StoredDecision, StoreError> {
    if let Some(before) = before {
        if decision.outcome == Outcome::Undetermined && before.outcome != Outcome::Undetermined {
            // A fault ends no decision: the one in force stays, the entry in the log tells of the fault.
            return Ok(before);
        }
        // An undetermined one is replaced rather than kept, or a lasting fault would fill the table pass by pass.
        let end = if before.outcome == Outcome::Undetermined {
            "DELETE FROM decision WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM delivery WHERE identity = decision.identity AND decision = ?1)"
        } else {
            "UPDATE decision SET current = 0 WHERE id = ?1"
        };
        if tx.conn.prepare_cached(end).said()?.execute([before.row]).said()? == 0 {
            tx.conn.prepare_cached("UPDATE decision SET current = 0 WHERE id = ?1").said()?.execute([before.row]).said()?;
        }
    }
    tx.conn
        .prepare_cached(
            "INSERT INTO decision (identity, current, outcome, by_kind, by_rule, customer, basis, probability, match_weight, reference,
                                   evidence_digest, mapping, at, candidates)
             VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )
        .said()?
        .execute((
            identity,
            decision.outcome.number(),
            decision.by_kind,
            decision.by_rule.as_deref(),
            decision.customer.as_deref(),
            decision.basis.as_deref(),
            decision.probability,
            decision.match_weight,
            decision.reference.as_slice(),
            decision.evidence_digest.as_slice(),
            decision.mapping.as_slice(),
            decision.at,
            decision.candidates.as_deref(),
        ))
        .said()?;
    let row = tx.conn.last_insert_rowid();
    if decision.evidence {
        let place = evidence::place(tx.next_leaf());
        tx.conn
            .prepare_cached("INSERT INTO evidence (decision, sealed) VALUES (?1, ?2)")
            .said()?
            .execute((row, place.as_slice()))
            .said()?;
    }
    write_link(tx, identity, row, decision)?;
    Ok(StoredDecision { row, outcome: decision.outcome, customer: decision.customer.clone() })
}

/// Makes, keeps or ends the identity's link. A link to the same customer stays, under what makes it now.
fn write_link(tx: &Tx<'_>, identity: i64, row: i64, decision: &PreparedDecision) -> Result<(), StoreError> {
    let standing: Option<(i64, Arc<str>)> = tx
        .conn
        .prepare_cached("SELECT id, customer FROM link WHERE identity = ?1 AND ended IS NULL")
        .said()?
        .query_row([identity], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .said()?;
    let wanted = match (decision.outcome, &decision.customer) {
        (Outcome::Linked, None) => return Err(StoreError::Refused("a decision links to nobody".to_owned())),
        (Outcome::Linked, Some(customer)) => Some(customer),
        (Outcome::NotLinked | Outcome::Review | Outcome::NotPermitted | Outcome::Undetermined, _) => None,
    };
    let by = decision.by.as_deref().unwrap_or("unknown");
    let grounds = decision.grounds.clone().unwrap_or_default();
    let grounds = (&*grounds.law, &*grounds.purpose, grounds.since.as_deref(), grounds.record.as_deref());
    if let Some((link, customer)) = standing {
        if wanted == Some(&customer) {
            tx.conn
                .prepare_cached(
                    "UPDATE link SET decision = ?2, by = ?3, basis = ?4, law = ?5, purpose = ?6, basis_since = ?7, record = ?8 WHERE id = ?1",
                )
                .said()?
                .execute((link, row, by, decision.basis.as_deref(), grounds.0, grounds.1, grounds.2, grounds.3))
                .said()?;
            return Ok(());
        }
        tx.conn.prepare_cached("UPDATE link SET ended = ?2 WHERE id = ?1").said()?.execute((link, decision.at)).said()?;
    }
    if let Some(customer) = wanted {
        tx.conn
            .prepare_cached(
                "INSERT INTO link (identity, customer, decision, by, basis, since, law, purpose, basis_since, record)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )
            .said()?
            .execute((identity, &**customer, row, by, decision.basis.as_deref(), decision.at, grounds.0, grounds.1, grounds.2, grounds.3))
            .said()?;
    }
    Ok(())
}

struct Planning {
    identity: i64,
    decision: Option<i64>,
    customer: Option<Arc<str>>,
}

fn dispose(tx: &Tx<'_>, planning: &Planning, activity: i64, disposition: &PreparedDisposition) -> Result<(), StoreError> {
    let changed = match disposition {
        // What waits for a decision has no deliveries yet; for the rest, what they say stands above what a later decision says of it.
        PreparedDisposition::Other(state) => match set_waiting(tx, planning, activity, state.number())? {
            0 => set(tx, planning, activity, derived(tx, activity)?.unwrap_or_else(|| state.number()))?,
            changed => changed,
        },
        PreparedDisposition::Deliver(deliveries) => {
            let mut existing = None;
            for delivery in deliveries {
                existing = plan(tx, planning, Some(activity), delivery)?.or(existing);
            }
            let state = match existing {
                // All of them are new, and planned.
                None if !deliveries.is_empty() => DELIVERING,
                // Planned before, perhaps for another version: then it counts as that delivery stands.
                _ => derived(tx, activity)?.unwrap_or_else(|| as_delivery(existing).number()),
            };
            set(tx, planning, activity, state)?
        }
    };
    if changed == 1 { Ok(()) } else { Err(StoreError::Refused(format!("activity version {activity} is not of this identity"))) }
}

/// The state of an activity version whose deliveries were planned for another version before; the last of them counts.
const fn as_delivery(existing: Option<DeliveryState>) -> ActivityState {
    match existing {
        None => ActivityState::Dropped(DropRule::WhenFalse),
        Some(DeliveryState::Delivered) => ActivityState::Delivered,
        Some(DeliveryState::Parked) => ActivityState::Parked,
        Some(DeliveryState::Dropped) => ActivityState::Dropped(DropRule::DroppedByPerson),
        Some(DeliveryState::Planned | DeliveryState::Sending | DeliveryState::Unknown) => ActivityState::Delivering,
    }
}

fn set(tx: &Tx<'_>, planning: &Planning, activity: i64, state: i64) -> Result<usize, StoreError> {
    tx.conn
        .prepare_cached("UPDATE activity SET state = ?3 WHERE id = ?1 AND identity = ?2")
        .said()?
        .execute((activity, planning.identity, state))
        .said()
}

/// As [`set`], where the version waits for a decision; tells whether it did.
fn set_waiting(tx: &Tx<'_>, planning: &Planning, activity: i64, state: i64) -> Result<usize, StoreError> {
    tx.conn
        .prepare_cached("UPDATE activity SET state = ?3 WHERE id = ?1 AND identity = ?2 AND +state = 0")
        .said()?
        .execute((activity, planning.identity, state))
        .said()
}

/// The state of an activity version that follows from its deliveries; `None` where it has none. Any open: delivering; else any parked:
/// parked; else any delivered: delivered; else dropped, by the rule that dropped the last.
pub(super) fn derived(tx: &Tx<'_>, activity: i64) -> Result<Option<i64>, StoreError> {
    let found: (Option<bool>, Option<bool>, Option<bool>, Option<i64>) = tx
        .conn
        .prepare_cached("SELECT max(state IN (0, 1, 4)), max(state = 3), max(state = 2), max(dropped_by) FROM delivery WHERE activity = ?1")
        .said()?
        .query_row([activity], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .said()?;
    Ok(match found {
        (Some(true), ..) => Some(DELIVERING),
        (Some(false), Some(true), ..) => Some(PARKED),
        (Some(false), _, Some(false) | None, Some(rule)) => Some(rule),
        (Some(false), ..) => Some(DELIVERED),
        (None, ..) => None,
    })
}

/// Puts a delivery into the outbox. Where one with its idempotency key is there already, nothing happens and its state is told.
///
/// After a restore nobody knows what the history that was lost has sent: what is about something said, or shown, before the restore is `unknown` from
/// the start, and is settled by asking the target before it is sent.
fn plan(tx: &Tx<'_>, planning: &Planning, activity: Option<i64>, delivery: &PreparedDelivery) -> Result<Option<DeliveryState>, StoreError> {
    // A withdrawal after the link ended is still about the customer it was written for.
    let customer = match &planning.customer {
        None if delivery.intent.is_withdrawal() => tx
            .conn
            .prepare_cached("SELECT d.customer FROM written w JOIN delivery d ON d.id = w.delivery WHERE w.identity = ?1 AND w.record = ?2")
            .said()?
            .query_row((planning.identity, delivery.record.as_slice()), |row| row.get::<_, Option<Arc<str>>>(0))
            .optional()
            .said()?
            .flatten(),
        customer => customer.clone(),
    };
    let planned = tx
        .conn
        .prepare_cached(
            "INSERT INTO delivery (identity, activity, decision, state, open, target, entry, operation, intent, record, idempotency, attempt,
                                   customer, sealed, priority)
             VALUES (?1, ?2, ?3,
                     CASE WHEN EXISTS (SELECT 1 FROM setting WHERE name = 'restored_until' AND CAST(value AS INTEGER) >= coalesce(
                         (SELECT version_at FROM activity WHERE id = ?2), (SELECT profile_as_of FROM identity WHERE id = ?1), 0))
                     THEN 4 ELSE 0 END,
                     1, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10, ?11, ?12) ON CONFLICT (idempotency) DO NOTHING",
        )
        .said()?
        .execute((
            planning.identity,
            activity,
            planning.decision,
            &*delivery.target,
            &*delivery.entry,
            &*delivery.operation,
            delivery.intent.number(),
            delivery.record.as_slice(),
            delivery.idempotency.as_slice(),
            customer.as_deref(),
            &delivery.sealed,
            delivery.priority.number(),
        ))
        .said()?;
    if planned == 0 {
        let state: i64 = tx
            .conn
            .prepare_cached("SELECT state FROM delivery WHERE idempotency = ?1")
            .said()?
            .query_row([delivery.idempotency.as_slice()], |row| row.get(0))
            .said()?;
        return DeliveryState::from_number(state).map(Some);
    }
    let row = tx.conn.last_insert_rowid();
    if delivery.priority == Priority::Urgent {
        // It can't overtake what is open about its own record: that becomes as urgent.
        tx.conn
            .prepare_cached("UPDATE delivery SET priority = 0 WHERE record = ?1 AND open = 1 AND priority > 0")
            .said()?
            .execute([delivery.record.as_slice()])
            .said()?;
    }
    if delivery.intent.is_withdrawal() {
        tx.conn
            .prepare_cached("DELETE FROM written WHERE identity = ?1 AND record = ?2")
            .said()?
            .execute((planning.identity, delivery.record.as_slice()))
            .said()?;
    } else {
        tx.conn
            .prepare_cached(
                "INSERT INTO written (identity, record, delivery) VALUES (?1, ?2, ?3)
                 ON CONFLICT (identity, record) DO UPDATE SET delivery = excluded.delivery",
            )
            .said()?
            .execute((planning.identity, delivery.record.as_slice(), row))
            .said()?;
    }
    Ok(None)
}

/// Nothing may be kept about this account: only its hash, and the hashes, versions and states of what it said. What was delivered before
/// stays with its deliveries, which the withdrawals need.
pub(super) fn forget(tx: &Tx<'_>, identity: i64) -> Result<(), StoreError> {
    for sql in [
        "UPDATE identity SET account = NULL, profile_seen = NULL, profile_as_of = NULL, profile_audience = NULL, profile_hash = NULL,
                profile = NULL, rectified = NULL WHERE id = ?1",
        "UPDATE activity SET sealed = NULL, version_id = NULL WHERE object IN (SELECT id FROM object WHERE identity = ?1)
                AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.activity = activity.id)",
        "DELETE FROM evidence WHERE decision IN (SELECT id FROM decision WHERE identity = ?1 AND current = 0
                                                UNION ALL SELECT id FROM decision WHERE identity = ?1 AND current = 1)",
        "UPDATE decision SET customer = NULL, candidates = NULL WHERE identity = ?1 AND current = 0",
        "UPDATE decision SET customer = NULL, candidates = NULL WHERE identity = ?1 AND current = 1",
        "DELETE FROM verdict WHERE identity = ?1",
    ] {
        tx.conn.prepare_cached(sql).said()?.execute([identity]).said()?;
    }
    Ok(())
}
