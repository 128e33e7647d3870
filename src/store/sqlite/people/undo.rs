//! What writes changed, from their receipts in the log; and the writes that put it back.

use crate::audit::{Entry, SealingKey};
use crate::model::{DeliveryId, FieldChange, IdempotencyKey, OperationId, TargetId, Timestamp, WriteEffect};
use crate::store::ring::KeyRing;
use crate::store::sqlite::content::decode_delivery;
use crate::store::sqlite::decide::{self, PreparedStep};
use crate::store::sqlite::error::{InDatabase, damaged};
use crate::store::sqlite::intake::hex;
use crate::store::sqlite::names::{Numbered, nanoseconds};
use crate::store::sqlite::outbox::DELIVERY_BINDING;
use crate::store::sqlite::work::{digest, unseal};
use crate::store::sqlite::writer::Tx;
use crate::store::sqlite::{SqliteStore, page};
use crate::store::{Arrived, IdentityRow, StoreError, Undo, UndoStep, UndoWhich};
use rusqlite::types::Value as Column;
use rusqlite::{Connection, Row};
use std::sync::Arc;

/// A write as read, to be opened off the connection.
struct RawArrived {
    id: i64,
    identity: i64,
    entry: Arc<str>,
    target: Arc<str>,
    operation: Arc<str>,
    idempotency: Vec<u8>,
    effect: i64,
    sealed: Vec<u8>,
    receipt: Option<Vec<u8>>,
}

impl RawArrived {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            identity: row.get(1)?,
            entry: row.get(2)?,
            target: row.get(3)?,
            operation: row.get(4)?,
            idempotency: row.get(5)?,
            effect: row.get(6)?,
            sealed: row.get(7)?,
            receipt: row.get(8)?,
        })
    }
}

fn read(conn: &Connection, ring: &KeyRing, which: &UndoWhich, after: i64, limit: i64) -> Result<Vec<RawArrived>, StoreError> {
    let (condition, value) = match which {
        UndoWhich::Since(at) => ("d.changed_at >= ?1", Column::from(nanoseconds(*at))),
        UndoWhich::Mapping(mapping) => {
            ("EXISTS (SELECT 1 FROM decision c WHERE c.id = d.decision AND c.mapping = ?1)", Column::from(mapping.0.to_vec()))
        }
        UndoWhich::Account(id) => {
            ("d.identity = (SELECT id FROM identity WHERE hash = ?1)", Column::from(ring.hashes().identity(id).0.to_vec()))
        }
    };
    // 2 and 5 of the effects changed nothing.
    conn.prepare_cached(&format!(
        "SELECT d.id, d.identity, d.entry, d.target, d.operation, d.idempotency, d.effect, d.sealed, l.bytes
         FROM delivery d LEFT JOIN leaf l ON l.seq = d.receipt
         WHERE d.state = 2 AND d.effect NOT IN (2, 5) AND {condition} AND d.id > ?2
           AND NOT EXISTS (SELECT 1 FROM undone u WHERE u.idempotency = d.idempotency)
           AND NOT EXISTS (SELECT 1 FROM identity i JOIN suppressed s ON s.person = i.hash WHERE i.id = d.identity)
         ORDER BY d.id LIMIT ?3"
    ))
    .said()?
    .query_map((value, after, limit), RawArrived::read)
    .said()?
    .collect::<Result<_, _>>()
    .said()
}

/// From what to what, as the receipt tells; `None` where its key is gone, or it stands by digest only.
fn changes(ring: &KeyRing, leaf: &[u8]) -> Result<Option<Vec<FieldChange>>, StoreError> {
    let entry = Entry::decode(leaf).map_err(|_not_an_entry| damaged("the entry of a receipt can't be read"))?;
    let Some(fields) = &entry.fields else { return Ok(Some(Vec::new())) };
    let Some(ids) = fields.key_ids() else { return Ok(None) };
    let key = ring.with_keys(|keys| SealingKey::find(ids, keys))?;
    Ok(key.and_then(|key| fields.open(entry.kind(), &key).ok()))
}

fn open(ring: &KeyRing, raw: Vec<RawArrived>) -> Result<Vec<Arrived>, StoreError> {
    let mut found = Vec::with_capacity(raw.len());
    for raw in raw {
        // What was erased can't be put back.
        let Some(plain) = unseal(ring, DELIVERY_BINDING, &hex(&raw.idempotency), &raw.sealed)? else { continue };
        let content = decode_delivery(&plain)?;
        found.push(Arrived {
            delivery: DeliveryId(raw.id),
            row: IdentityRow(raw.identity),
            identity: content.identity,
            entry: raw.entry,
            target: TargetId(raw.target),
            operation: OperationId(raw.operation),
            record: content.record,
            idempotency: IdempotencyKey(digest(&raw.idempotency)?),
            payload: content.payload,
            object: content.object,
            effect: WriteEffect::from_number(raw.effect)?,
            changes: raw.receipt.map(|leaf| changes(ring, &leaf)).transpose()?.flatten(),
        });
    }
    Ok(found)
}

fn write(tx: &mut Tx<'_>, at: i64, steps: &[(PreparedStep, Vec<[u8; 32]>)]) -> Result<(), StoreError> {
    for (step, keys) in steps {
        decide::write_step(tx, step)?;
        for key in keys {
            tx.conn
                .prepare_cached("INSERT INTO undone (idempotency, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
                .said()?
                .execute((key.as_slice(), at))
                .said()?;
        }
    }
    Ok(())
}

impl Undo for SqliteStore {
    async fn arrived(&self, which: UndoWhich, after: Option<DeliveryId>, limit: usize) -> Result<Vec<Arrived>, StoreError> {
        let (ring, again) = (self.inner.ring.clone(), self.inner.ring.clone());
        let after = after.map_or(0, |id| id.0);
        self.inner.readers.read(move |conn| read(conn, &ring, &which, after, page(limit)), move |raw| open(&again, raw)).await
    }

    async fn undo(&self, at: Timestamp, steps: Vec<UndoStep>) -> Result<(), StoreError> {
        let ring = self.inner.ring.clone();
        let prepare = move || {
            let mut random = ring.stream();
            let one = |UndoStep { step, taken_back }: UndoStep| {
                let back = step.link.iter().map(|delivery| delivery.idempotency);
                let keys = back.chain(taken_back).map(|key| key.0.0).collect();
                Ok((decide::prepare_step(&ring, &mut random, step)?, keys))
            };
            steps.into_iter().map(one).collect::<Result<Vec<_>, StoreError>>()
        };
        let prepared = self.inner.readers.off_thread(prepare).await?;
        self.inner.writer.run(move |tx| write(tx, nanoseconds(at), &prepared)).await
    }
}
