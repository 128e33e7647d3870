//! The outbox: what may be sent, *send*, *receipt*, and what has no answer.

use super::content::decode_delivery;
use super::decide::derived;
use super::error::{InDatabase, damaged};
use super::intake::hex;
use super::names::{Numbered, nanoseconds, timestamp};
use super::work::{digest, unseal};
use super::writer::Tx;
use crate::model::{
    CustomerId, Delivery, DeliveryId, DeliveryState, Digest, IdempotencyKey, OperationId, TargetId, Timestamp, Verb, Version, WriteIntent,
};
use crate::store::ring::KeyRing;
use crate::store::{OutboxRow, ReceiptStep, SendOutcome, SendStep, StoreError};
use rusqlite::{Connection, OptionalExtension, Params, Row};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What binds a sealed delivery to its row.
pub(super) const DELIVERY_BINDING: &str = "kith/v1/store/delivery";

const COLUMNS: &str = "d.id, d.entry, d.target, d.operation, d.intent, d.idempotency, d.attempt, d.customer, d.sealed,
                       a.version_at, a.version_verb, a.version_id, c.reference";

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
        })
    }

    fn open(self, ring: &KeyRing) -> Result<OutboxRow, StoreError> {
        let plain = unseal(ring, DELIVERY_BINDING, &hex(&self.idempotency), &self.sealed)?
            .ok_or_else(|| StoreError::Damaged(format!("the key of delivery {} is gone while it is open", self.id)))?;
        let content = decode_delivery(&plain)?;
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
                attempt: attempt.saturating_add(1),
            },
            identity: content.identity,
            customer: self.customer.map(CustomerId),
            version,
            decision: self.decision.map_or(Ok(Digest([0; 32])), |reference| digest(&reference))?,
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

/// Planned deliveries of a target whose time has come and before which nothing about the same record is open.
pub(super) fn due(conn: &Connection, target: &str, now: i64, limit: i64) -> Result<Vec<RawRow>, StoreError> {
    query(
        conn,
        &format!(
            "SELECT {COLUMNS} FROM {FROM}
             WHERE d.target = ?1 AND d.state = 0 AND (d.not_before IS NULL OR d.not_before <= ?2)
               AND NOT EXISTS (SELECT 1 FROM delivery e WHERE e.record = d.record AND e.open = 1 AND e.id < d.id)
             ORDER BY d.id LIMIT ?3"
        ),
        (target, now, limit),
    )
}

/// Deliveries without an answer.
pub(super) fn unsettled(conn: &Connection, after: Option<DeliveryId>, limit: i64) -> Result<Vec<RawRow>, StoreError> {
    query(
        conn,
        &format!("SELECT {COLUMNS} FROM {FROM} WHERE d.state = 4 AND d.id > ?1 ORDER BY d.id LIMIT ?2"),
        (after.map_or(0, |id| id.0), limit),
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

/// Makes intents durable; the sequence number of each.
pub(super) fn send(tx: &mut Tx<'_>, steps: &[SendStep]) -> Result<Vec<u64>, StoreError> {
    let mut sequences = Vec::with_capacity(steps.len());
    for step in steps {
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

/// The columns that an outcome writes.
struct Change<'a> {
    state: DeliveryState,
    not_before: Option<Timestamp>,
    effect: Option<i64>,
    code: Option<&'a str>,
    reason: Option<&'a str>,
}

fn change(delivery: i64, was: DeliveryState, outcome: &SendOutcome) -> Result<Change<'_>, StoreError> {
    use DeliveryState::{Delivered, Parked, Planned, Sending, Unknown};
    let allowed = match outcome {
        SendOutcome::Delivered(_) | SendOutcome::Unknown { .. } => matches!(was, Sending | Unknown),
        SendOutcome::NotThere => was == Unknown,
        SendOutcome::Retry { .. } | SendOutcome::Parked(_) => matches!(was, Planned | Sending | Unknown),
    };
    if !allowed {
        return Err(StoreError::Refused(format!("delivery {delivery} is {} and takes no such receipt", was.name())));
    }
    let plain = Change { state: Planned, not_before: None, effect: None, code: None, reason: None };
    Ok(match outcome {
        SendOutcome::Delivered(receipt) => Change { state: Delivered, effect: Some(receipt.effect.number()), ..plain },
        SendOutcome::Retry { not_before, reason } => Change { not_before: Some(*not_before), reason: Some(reason), ..plain },
        SendOutcome::Parked(reason) => Change { state: Parked, code: Some(reason.code), reason: Some(&reason.message), ..plain },
        SendOutcome::Unknown { reason } => Change { state: Unknown, reason: Some(reason), ..plain },
        SendOutcome::NotThere => plain,
    })
}

/// Writes outcomes and the states of the activity versions that follow.
pub(super) fn receipt(tx: &mut Tx<'_>, steps: &[ReceiptStep]) -> Result<(), StoreError> {
    let mut touched = BTreeSet::new();
    for step in steps {
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
                "UPDATE delivery SET state = ?2, not_before = ?3, effect = ?4, code = ?5, reason = ?6 WHERE id = ?1"
            } else {
                "UPDATE delivery SET state = ?2, not_before = ?3, effect = ?4, code = ?5, reason = ?6, open = 0 WHERE id = ?1"
            })
            .said()?
            .execute((id, change.state.number(), change.not_before.map(nanoseconds), change.effect, change.code, change.reason))
            .said()?;
        tx.append(&step.leaf)?;
        touched.extend(activity);
    }
    for activity in touched {
        if let Some(state) = derived(tx, activity)? {
            tx.conn
                .prepare_cached("UPDATE activity SET state = ?2 WHERE id = ?1 AND state <> ?2")
                .said()?
                .execute((activity, state))
                .said()?;
        }
    }
    Ok(())
}
