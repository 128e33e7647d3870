//! The outbox: what may be sent, *send*, *receipt*, and what has no answer.

use super::content::{DeliveryContent, decode_delivery, encode_exchange};
use super::decide::derived;
use super::endpoint;
use super::error::{InDatabase, damaged};
use super::intake::hex;
use super::names::{Numbered, nanoseconds, timestamp};
use super::work::{digest, unseal};
use super::writer::Tx;
use crate::audit::{Binding, RetentionClass};
use crate::model::{
    ActivityState, CustomerId, Delivery, DeliveryId, DeliveryState, Digest, IdempotencyKey, OperationId, Priority, TargetId, Timestamp,
    Verb, Version, WriteIntent,
};
use crate::store::ring::{KeyRing, Person};
use crate::store::{
    Due, DueWhich, EndpointState, FailedAttempt, OutboxRow, ReceiptBatch, ReceiptStep, SendBatch, SendOutcome, Spent, StoreError,
};
use rusqlite::{Connection, OptionalExtension, Params, Row};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What binds a sealed delivery to its row.
pub(super) const DELIVERY_BINDING: &str = "kith/v1/store/delivery";

const COLUMNS: &str = "d.id, d.entry, d.target, d.operation, d.intent, d.idempotency, d.attempt, d.customer, d.sealed,
                       a.version_at, a.version_verb, a.version_id, c.reference, d.failures, d.part, d.priority";

const FROM: &str = "delivery d LEFT JOIN activity a ON a.id = d.activity LEFT JOIN decision c ON c.id = d.decision";

/// A delivery as read, to be opened off the connection.
pub(super) struct RawRow {
    id: i64,
    entry: Arc<str>,
    target: Arc<str>,
    operation: Arc<str>,
    intent: i64,
    idempotency: Vec<u8>,
    attempt: i64,
    customer: Option<Arc<str>>,
    sealed: Vec<u8>,
    version: Option<(i64, i64, Option<Arc<str>>)>,
    decision: Option<Vec<u8>>,
    failures: u32,
    part: Option<u32>,
    priority: i64,
}

impl RawRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let version_at: Option<i64> = row.get(9)?;
        Ok(Self {
            id: row.get(0)?,
            entry: row.get(1)?,
            target: row.get(2)?,
            operation: row.get(3)?,
            intent: row.get(4)?,
            idempotency: row.get(5)?,
            attempt: row.get(6)?,
            customer: row.get(7)?,
            sealed: row.get(8)?,
            version: version_at.map(|at| Ok::<_, rusqlite::Error>((at, row.get(10)?, row.get(11)?))).transpose()?,
            decision: row.get(12)?,
            failures: row.get(13)?,
            part: row.get(14)?,
            priority: row.get(15)?,
        })
    }

    /// Whether it is this delivery.
    pub(super) const fn is(&self, id: DeliveryId) -> bool {
        self.id == id.0
    }

    /// What it says; `None` where its key was destroyed.
    pub(super) fn content(&self, ring: &KeyRing) -> Result<Option<DeliveryContent>, StoreError> {
        unseal(ring, DELIVERY_BINDING, &hex(&self.idempotency), &self.sealed)?.map(|plain| decode_delivery(&plain)).transpose()
    }

    /// Opened; `None` where its key was destroyed.
    pub(super) fn open_if_there(self, ring: &KeyRing) -> Result<Option<OutboxRow>, StoreError> {
        self.content(ring)?.map(|content| self.with(content)).transpose()
    }

    fn open(self, ring: &KeyRing) -> Result<OutboxRow, StoreError> {
        let id = self.id;
        self.open_if_there(ring)?.ok_or_else(|| StoreError::Damaged(format!("the key of delivery {id} is gone while it is open")))
    }

    fn with(self, content: DeliveryContent) -> Result<OutboxRow, StoreError> {
        let version = match (content.object, self.version) {
            (Some(object), Some((at, verb, Some(activity)))) => {
                Some((object, Version { at: timestamp(at), verb: Verb::from_number(verb)?, activity }))
            }
            _ => None,
        };
        let attempt = u32::try_from(self.attempt).map_err(|_negative| damaged("a delivery with an impossible number of attempts"))?;
        Ok(OutboxRow {
            delivery: Delivery {
                id: DeliveryId(self.id),
                entry: self.entry,
                target: TargetId(self.target),
                operation: OperationId(self.operation),
                intent: WriteIntent::from_number(self.intent)?,
                record: content.record,
                idempotency: IdempotencyKey(digest(&self.idempotency)?),
                payload: content.payload,
                expects: content.expects,
                attempt: attempt.saturating_add(1),
            },
            identity: content.identity,
            customer: self.customer.map(CustomerId),
            version,
            decision: self.decision.map_or(Ok(Digest([0; 32])), |reference| digest(&reference))?,
            failures: self.failures,
            part: self.part,
            priority: Priority::from_number(self.priority)?,
        })
    }
}

fn query(conn: &Connection, sql: &str, params: impl Params) -> Result<Vec<RawRow>, StoreError> {
    conn.prepare_cached(sql).said()?.query_map(params, RawRow::read).said()?.collect::<Result<_, _>>().said()
}

/// Opens deliveries.
pub(super) fn open(ring: &KeyRing, rows: Vec<RawRow>) -> Result<Vec<OutboxRow>, StoreError> {
    rows.into_iter().map(|row| row.open(ring)).collect()
}

/// Planned deliveries of a target whose time has come, and before which nothing about the same record, and no earlier version of the same
/// object, is open for this target.
pub(super) fn due(conn: &Connection, due: &Due, limit: i64) -> Result<Vec<RawRow>, StoreError> {
    let (sql, target, now, priority) = (due_sql(due), &*due.target.0, nanoseconds(due.now), due.priority.number());
    if due.except.is_empty() {
        query(conn, &sql, (target, priority, now, limit))
    } else {
        let operations = due.except.iter().map(|operation| &*operation.0).collect::<serde_json::Value>().to_string();
        query(conn, &sql, (target, priority, now, limit, operations))
    }
}

/// `CROSS JOIN` and `INDEXED BY` keep SQLite from asking every delivery of the target about each that is due.
fn due_sql(due: &Due) -> String {
    let which = match due.which {
        DueWhich::All => "ORDER BY d.id",
        DueWhich::Fresh => "AND d.failures = 0 ORDER BY d.id",
        DueWhich::LeastFailed => "ORDER BY d.failures, d.id",
    };
    let except = if due.except.is_empty() { "" } else { "AND d.operation NOT IN (SELECT value FROM json_each(?5))" };
    format!(
        "SELECT {COLUMNS} FROM {FROM}
         WHERE d.target = ?1 AND d.state = 0 AND d.priority = ?2 AND (d.not_before IS NULL OR d.not_before <= ?3)
           AND NOT EXISTS (SELECT 1 FROM delivery e WHERE e.record = d.record AND e.open = 1 AND e.id < d.id)
           AND (d.activity IS NULL OR NOT EXISTS (
                SELECT 1 FROM activity b CROSS JOIN delivery e INDEXED BY delivery_activity ON e.activity = b.id
                WHERE b.object = a.object AND b.id <> a.id AND e.open = 1 AND e.target = d.target AND e.id < d.id))
           {except} {which} LIMIT ?4"
    )
}

/// When the next delivery of a target that waits for its own time may be sent.
pub(super) fn next_due(conn: &Connection, target: &str) -> Result<Option<Timestamp>, StoreError> {
    let at: Option<i64> = conn
        .prepare_cached("SELECT min(not_before) FROM delivery WHERE target = ?1 AND state = 0 AND not_before IS NOT NULL")
        .said()?
        .query_row([target], |row| row.get(0))
        .said()?;
    Ok(at.map(timestamp))
}

/// Deliveries without an answer.
pub(super) fn unsettled(conn: &Connection, target: &str, after: Option<DeliveryId>, limit: i64) -> Result<Vec<RawRow>, StoreError> {
    query(
        conn,
        &format!("SELECT {COLUMNS} FROM {FROM} WHERE d.target = ?1 AND d.state = 4 AND d.id > ?2 ORDER BY d.id LIMIT ?3"),
        (target, after.map_or(0, |id| id.0), limit),
    )
}

/// The delivery with this number, if any.
pub(super) fn one(conn: &Connection, id: DeliveryId) -> Result<Vec<RawRow>, StoreError> {
    query(conn, &format!("SELECT {COLUMNS} FROM {FROM} WHERE d.id = ?1"), [id.0])
}

/// What was being sent when the last writer ended may have arrived or not.
pub(super) fn sending_is_unknown(conn: &Connection) -> Result<usize, StoreError> {
    conn.execute(
        "UPDATE delivery SET state = 4, reason = 'the service ended before the answer came'
         WHERE state = 1",
        (),
    )
    .said()
}

/// What was being sent to one target when its worker died.
pub(super) fn orphaned(tx: &Tx<'_>, target: &str) -> Result<u64, StoreError> {
    let changed = tx
        .conn
        .prepare_cached("UPDATE delivery SET state = 4, reason = 'the worker ended before the answer came' WHERE target = ?1 AND state = 1")
        .said()?
        .execute([target])
        .said()?;
    Ok(changed as u64)
}

/// Makes intents durable, with what they spend; the sequence number of each.
pub(super) fn send(tx: &mut Tx<'_>, batch: &SendBatch) -> Result<Vec<u64>, StoreError> {
    endpoint::spend(tx, &batch.spent)?;
    let mut sequences = Vec::with_capacity(batch.intents.len());
    for step in &batch.intents {
        let id = step.delivery.id.0;
        let changed = tx
            .conn
            .prepare_cached("UPDATE delivery SET state = 1, attempt = ?2, not_before = NULL WHERE id = ?1 AND state IN (0, 4)")
            .said()?
            .execute((id, i64::from(step.delivery.attempt)))
            .said()?;
        if changed != 1 {
            return Err(StoreError::Refused(format!("delivery {id} is not there to be sent")));
        }
        sequences.push(tx.append(&step.leaf)?);
    }
    Ok(sequences)
}

/// An outcome with its failed attempt sealed, off the writer's thread.
pub(super) struct PreparedReceipt {
    step: ReceiptStep,
    sealed: Option<Vec<u8>>,
}

/// A batch of outcomes, prepared.
pub(super) struct PreparedReceipts {
    at: Timestamp,
    receipts: Vec<PreparedReceipt>,
    endpoint: Option<EndpointState>,
    spent: Vec<Spent>,
}

/// What binds what travelled to its delivery.
pub(super) const EXCHANGE_BINDING: &str = "kith/v1/store/exchange";

/// Seals what travelled.
pub(super) fn prepare(ring: &KeyRing, batch: ReceiptBatch) -> Result<PreparedReceipts, StoreError> {
    let mut random = None;
    let receipts = batch
        .outcomes
        .into_iter()
        .map(|step| {
            let Some((failed, (request, answer))) = step.failed.as_ref().and_then(|f| f.exchange.as_ref().map(|exchange| (f, exchange)))
            else {
                return Ok(PreparedReceipt { step, sealed: None });
            };
            let field = hex(&failed.idempotency.0.0);
            let binding = Binding { kind: EXCHANGE_BINDING, field: &field };
            let plain = encode_exchange(request, answer);
            let random = random.get_or_insert_with(|| ring.stream());
            let sealed = ring.seal(Person::Identity(&failed.identity), RetentionClass::Activity, binding, &plain, random)?.to_bytes();
            Ok(PreparedReceipt { step, sealed: Some(sealed) })
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(PreparedReceipts { at: batch.at, receipts, endpoint: batch.endpoint, spent: batch.spent })
}

/// The columns that an outcome writes.
struct Change<'a> {
    state: DeliveryState,
    not_before: Option<Timestamp>,
    effect: Option<i64>,
    code: Option<&'a str>,
    reason: Option<&'a str>,
    failures: i64,
    part: Option<u32>,
    dropped_by: Option<i64>,
}

fn change(delivery: i64, was: DeliveryState, outcome: &SendOutcome) -> Result<Change<'_>, StoreError> {
    use DeliveryState::{Delivered, Dropped, Parked, Planned, Sending, Unknown};
    let allowed = match outcome {
        SendOutcome::Delivered(_) | SendOutcome::Unknown { .. } => matches!(was, Sending | Unknown),
        SendOutcome::NotThere => was == Unknown,
        SendOutcome::Retry { .. } | SendOutcome::Split { .. } | SendOutcome::Parked(_) | SendOutcome::Dropped(..) => {
            matches!(was, Planned | Sending | Unknown)
        }
    };
    if !allowed {
        return Err(StoreError::Refused(format!("delivery {delivery} is {} and takes no such receipt", was.name())));
    }
    let plain =
        Change { state: Planned, not_before: None, effect: None, code: None, reason: None, failures: 0, part: None, dropped_by: None };
    Ok(match outcome {
        SendOutcome::Delivered(receipt) => Change { state: Delivered, effect: Some(receipt.effect.number()), ..plain },
        SendOutcome::Retry { not_before, counts, reason } => {
            Change { not_before: *not_before, reason: Some(reason), failures: i64::from(*counts), ..plain }
        }
        SendOutcome::Split { part, reason } => Change { part: Some(*part), reason: Some(reason), ..plain },
        SendOutcome::Parked(reason) => Change { state: Parked, code: Some(reason.code), reason: Some(&reason.message), ..plain },
        SendOutcome::Dropped(rule, reason) => Change {
            state: Dropped,
            code: Some(reason.code),
            reason: Some(&reason.message),
            dropped_by: Some(ActivityState::Dropped(*rule).number()),
            ..plain
        },
        SendOutcome::Unknown { reason } => Change { state: Unknown, reason: Some(reason), ..plain },
        SendOutcome::NotThere => plain,
    })
}

/// Failed attempts that are kept for each delivery: as many as its schedule has by default.
const KEPT_ATTEMPTS: i64 = 20;

fn keep_attempt(tx: &Tx<'_>, delivery: i64, failed: &FailedAttempt, sealed: Option<&[u8]>, at: i64) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(
            "INSERT INTO attempt (delivery, number, at, class, code, message, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (delivery, number) DO UPDATE SET at = excluded.at, class = excluded.class, code = excluded.code,
                message = excluded.message, sealed = excluded.sealed",
        )
        .said()?
        .execute((delivery, failed.number, at, failed.class, failed.code, &*failed.message, sealed))
        .said()?;
    // What travelled is kept of the last attempt only.
    for (sql, limit) in [
        ("UPDATE attempt SET sealed = NULL WHERE delivery = ?1 AND number < ?2 AND sealed IS NOT NULL", i64::from(failed.number)),
        ("DELETE FROM attempt WHERE delivery = ?1 AND number <= ?2", i64::from(failed.number) - KEPT_ATTEMPTS),
    ] {
        tx.conn.prepare_cached(sql).said()?.execute((delivery, limit)).said()?;
    }
    Ok(())
}

/// Writes outcomes and the states of the activity versions that follow.
pub(super) fn receipt(tx: &mut Tx<'_>, batch: &PreparedReceipts) -> Result<(), StoreError> {
    let at = nanoseconds(batch.at);
    let mut touched = BTreeSet::new();
    for PreparedReceipt { step, sealed } in &batch.receipts {
        let id = step.delivery.0;
        let (was, activity): (i64, Option<i64>) = tx
            .conn
            .prepare_cached("SELECT state, activity FROM delivery WHERE id = ?1")
            .said()?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .said()?
            .ok_or_else(|| StoreError::Refused(format!("there is no delivery {id}")))?;
        let change = change(id, DeliveryState::from_number(was)?, &step.outcome)?;
        tx.conn
            .prepare_cached(if change.state.is_open() {
                "UPDATE delivery SET state = ?2, not_before = ?3, effect = ?4, code = ?5, reason = ?6, failures = failures + ?7,
                        part = coalesce(?8, part), dropped_by = ?9, changed_at = ?10, receipt = ?11 WHERE id = ?1"
            } else {
                "UPDATE delivery SET state = ?2, not_before = ?3, effect = ?4, code = ?5, reason = ?6, failures = failures + ?7,
                        part = coalesce(?8, part), dropped_by = ?9, changed_at = ?10, receipt = ?11, open = 0 WHERE id = ?1"
            })
            .said()?
            .execute((
                id,
                change.state.number(),
                change.not_before.map(nanoseconds),
                change.effect,
                change.code,
                change.reason,
                change.failures,
                change.part,
                change.dropped_by,
                at,
                // Its entry, which is appended below.
                (change.state == DeliveryState::Delivered).then(|| tx.next_leaf()),
            ))
            .said()?;
        if let Some(failed) = &step.failed {
            keep_attempt(tx, id, failed, sealed.as_deref(), at)?;
        }
        tx.append(&step.leaf)?;
        if change.state == DeliveryState::Dropped {
            settle_written(tx, id)?;
        }
        touched.extend(activity);
    }
    for activity in touched {
        settle_activity(tx, activity)?;
    }
    endpoint::spend(tx, &batch.spent)?;
    batch.endpoint.as_ref().map_or(Ok(()), |state| endpoint::set(tx, state))
}

/// Brings the state of an activity version to what its deliveries say. What was erased stays erased.
pub(super) fn settle_activity(tx: &Tx<'_>, activity: i64) -> Result<(), StoreError> {
    if let Some(state) = derived(tx, activity)? {
        tx.conn
            .prepare_cached("UPDATE activity SET state = ?2 WHERE id = ?1 AND state NOT IN (?2, 5)")
            .said()?
            .execute((activity, state))
            .said()?;
    }
    Ok(())
}

/// After deliveries were dropped, given as number and activity: what stands written and the activities' states follow. Returns how many.
pub(super) fn settle_dropped(tx: &Tx<'_>, dropped: Vec<(i64, Option<i64>)>) -> Result<u64, StoreError> {
    let count = dropped.len() as u64;
    let mut activities = BTreeSet::new();
    for (delivery, activity) in dropped {
        settle_written(tx, delivery)?;
        activities.extend(activity);
    }
    activities.into_iter().try_for_each(|activity| settle_activity(tx, activity))?;
    Ok(count)
}

/// Brings what stands written about a record to what is true after this delivery was dropped: what the newest of the others about it, as
/// the same account said it, wrote or took back. Where nobody knows whether the dropped one arrived, it stands: a later withdrawal of
/// nothing does no harm, a record that nobody withdraws does.
pub(super) fn settle_written(tx: &Tx<'_>, dropped: i64) -> Result<(), StoreError> {
    let (identity, record): (i64, Vec<u8>) = tx
        .conn
        .prepare_cached("SELECT identity, record FROM delivery WHERE id = ?1")
        .said()?
        .query_row([dropped], |row| Ok((row.get(0)?, row.get(1)?)))
        .said()?;
    let newest: Option<(i64, i64)> = tx
        .conn
        .prepare_cached(
            "SELECT d.id, d.intent FROM delivery d INDEXED BY delivery_identity
             WHERE d.identity = ?1 AND d.record = ?2
               AND (d.state <> 5 OR EXISTS (SELECT 1 FROM attempt t WHERE t.delivery = d.id AND t.class = 'outcome_unknown' AND d.intent = 0))
             ORDER BY d.id DESC LIMIT 1",
        )
        .said()?
        .query_row((identity, &record), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .said()?;
    match newest {
        Some((delivery, intent)) if intent == WriteIntent::Write.number() => tx
            .conn
            .prepare_cached(
                "INSERT INTO written (identity, record, delivery) VALUES (?1, ?2, ?3)
                 ON CONFLICT (identity, record) DO UPDATE SET delivery = excluded.delivery",
            )
            .said()?
            .execute((identity, &record, delivery)),
        _ => tx.conn.prepare_cached("DELETE FROM written WHERE identity = ?1 AND record = ?2").said()?.execute((identity, &record)),
    }
    .said()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Priority;

    #[test]
    fn what_is_due_is_found_by_indexes_alone() {
        let conn = Connection::open_in_memory().unwrap();
        for migration in super::super::open::MIGRATIONS {
            conn.execute_batch(migration).unwrap();
        }
        for which in [DueWhich::All, DueWhich::Fresh, DueWhich::LeastFailed] {
            for except in [Vec::new(), vec![OperationId("o".into())]] {
                let due =
                    Due { target: TargetId("t".into()), now: Timestamp::UNIX_EPOCH, limit: 1, priority: Priority::Normal, except, which };
                let plan: Vec<String> = conn
                    .prepare(&format!("EXPLAIN QUERY PLAN {}", due_sql(&due)))
                    .unwrap()
                    .query_map(rusqlite::params_from_iter((1..=if due.except.is_empty() { 4 } else { 5 }).map(|_| 0)), |row| row.get(3))
                    .unwrap()
                    .collect::<Result<_, _>>()
                    .unwrap();
                let scans: Vec<_> = plan.iter().filter(|step| step.contains("SCAN") && !step.contains("VIRTUAL TABLE")).collect();
                assert!(scans.is_empty(), "{plan:#?}");
                assert!(plan.iter().any(|step| step.contains("delivery_activity (activity=?")), "{plan:#?}");
                assert!(plan.iter().any(|step| step.contains("delivery_open (record=?")), "{plan:#?}");
                assert!(plan.iter().any(|step| step.contains("delivery_state (target=? AND state=? AND priority=?)")), "{plan:#?}");
            }
        }
    }
}
