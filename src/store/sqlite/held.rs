//! What is held of a network: objects whose newest version is no Delete, by what is kept of them. Where a clock has ended the content, a record that
//! stands written still says which object it is about.

use super::content::{decode_activity, decode_delivery};
use super::error::InDatabase;
use super::intake::{ACTIVITY_BINDING, hex, object_hash};
use super::names::{Numbered, timestamp};
use super::outbox::DELIVERY_BINDING;
use super::work::unseal;
use super::{SqliteStore, page};
use crate::model::{IdentityId, Network, Verb};
use crate::store::ring::KeyRing;
use crate::store::{Held, HeldPage, Holding, IdentityRow, StoreError};
use rusqlite::{Connection, OptionalExtension, Row};
use std::sync::Arc;

/// An object as read: its newest version, and what is kept of it.
struct RawHeld {
    row: i64,
    at: i64,
    version: Vec<u8>,
    sealed: Option<Vec<u8>>,
    /// The key and content of a delivery whose record stands written, where the object's own content is gone.
    written: Option<(Vec<u8>, Vec<u8>)>,
}

const COLUMNS: &str = "o.id, a.version_at, a.version, a.sealed";
const FROM: &str = "object o JOIN activity a ON a.id = o.newest";

fn raw(row: &Row<'_>) -> rusqlite::Result<RawHeld> {
    Ok(RawHeld { row: row.get(0)?, at: row.get(1)?, version: row.get(2)?, sealed: row.get(3)?, written: None })
}

/// Looks for a record that stands written, where nothing else is kept.
fn with_written(conn: &Connection, mut found: RawHeld) -> Result<RawHeld, StoreError> {
    if found.sealed.is_none() {
        found.written = conn
            .prepare_cached(
                "SELECT d.idempotency, d.sealed FROM activity a CROSS JOIN delivery d ON d.activity = a.id AND d.activity IS NOT NULL
                 JOIN written w ON w.identity = d.identity AND w.record = d.record AND w.delivery = d.id
                 WHERE a.object = ?1 AND length(d.sealed) > 0 LIMIT 1",
            )
            .said()?
            .query_row([found.row], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .said()?;
    }
    Ok(found)
}

fn open(ring: &KeyRing, found: &RawHeld) -> Result<Option<Held>, StoreError> {
    let at = timestamp(found.at);
    if let Some(sealed) = &found.sealed {
        let Some(plain) = unseal(ring, ACTIVITY_BINDING, &hex(&found.version), sealed)? else { return Ok(None) };
        let activity = decode_activity(&plain, None)?;
        return Ok(Some(Held { object: activity.object.id, author: activity.actor.id, at, activity: Some(activity.id) }));
    }
    let Some((idempotency, sealed)) = &found.written else { return Ok(None) };
    let Some(plain) = unseal(ring, DELIVERY_BINDING, &hex(idempotency), sealed)? else { return Ok(None) };
    let content = decode_delivery(&plain)?;
    Ok(content.object.map(|object| Held { object, author: content.identity, at, activity: None }))
}

fn opened(ring: &KeyRing, found: &[RawHeld]) -> Result<HeldPage<Held>, StoreError> {
    let last = found.last().map(|found| found.row);
    let held = found.iter().filter_map(|found| open(ring, found).transpose()).collect::<Result<_, _>>()?;
    Ok(HeldPage { held, last })
}

fn collected(conn: &Connection, sql: &str, parameters: impl rusqlite::Params) -> Result<Vec<RawHeld>, StoreError> {
    let found: Vec<RawHeld> = conn.prepare_cached(sql).said()?.query_map(parameters, raw).said()?.collect::<Result<_, _>>().said()?;
    found.into_iter().map(|found| with_written(conn, found)).collect()
}

impl Holding for SqliteStore {
    async fn held_objects(&self, network: Network, after: i64, limit: usize) -> Result<HeldPage<Held>, StoreError> {
        let ring = self.inner.ring.clone();
        let query = move |conn: &Connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM {FROM} JOIN identity i ON i.id = o.identity
                 WHERE o.id > ?1 AND i.network = ?2 AND a.version_verb <> ?3 ORDER BY o.id LIMIT ?4"
            );
            collected(conn, &sql, (after, network.name(), Verb::Delete.number(), page(limit)))
        };
        self.inner.readers.read(query, move |found| opened(&ring, &found)).await
    }

    async fn held_accounts(&self, network: Network, after: i64, limit: usize) -> Result<HeldPage<Arc<str>>, StoreError> {
        let query = move |conn: &Connection| {
            let found: Vec<(i64, String)> = conn
                .prepare_cached(&format!(
                    "SELECT i.id, i.account FROM identity i
                     WHERE i.id > ?1 AND i.network = ?2 AND i.account IS NOT NULL
                       AND EXISTS (SELECT 1 FROM {FROM} WHERE o.identity = i.id AND a.version_verb <> ?3)
                     ORDER BY i.id LIMIT ?4"
                ))
                .said()?
                .query_map((after, network.name(), Verb::Delete.number(), page(limit)), |row| Ok((row.get(0)?, row.get(1)?)))
                .said()?
                .collect::<Result<_, _>>()
                .said()?;
            Ok(found)
        };
        let then = |found: Vec<(i64, String)>| {
            let last = found.last().map(|(row, _)| *row);
            Ok(HeldPage { held: found.into_iter().map(|(_, account)| account.into()).collect(), last })
        };
        self.inner.readers.read(query, then).await
    }

    async fn held_by_id(&self, network: Network, ids: Vec<String>) -> Result<Vec<Option<Held>>, StoreError> {
        let ring = self.inner.ring.clone();
        let hashes: Vec<[u8; 16]> = ids.iter().map(|id| object_hash(&ring, network, id)).collect();
        let query = move |conn: &Connection| {
            let mut statement =
                conn.prepare_cached(&format!("SELECT {COLUMNS} FROM {FROM} WHERE o.hash = ?1 AND a.version_verb <> ?2")).said()?;
            let mut of = |hash: &[u8; 16]| {
                let found = statement.query_row((hash.as_slice(), Verb::Delete.number()), raw).optional().said()?;
                found.map(|found| with_written(conn, found)).transpose()
            };
            hashes.iter().map(&mut of).collect::<Result<Vec<_>, StoreError>>()
        };
        let then = move |found: Vec<Option<RawHeld>>| {
            let of = |found: &Option<RawHeld>| found.as_ref().map_or(Ok(None), |found| open(&ring, found));
            found.iter().map(of).collect()
        };
        self.inner.readers.read(query, then).await
    }

    async fn account_row(&self, account: IdentityId) -> Result<Option<IdentityRow>, StoreError> {
        let hash = self.inner.ring.hashes().identity(&account).0;
        let query = move |conn: &Connection| {
            conn.prepare_cached("SELECT id FROM identity WHERE hash = ?1")
                .said()?
                .query_row([hash.as_slice()], |row| row.get(0))
                .optional()
                .said()
        };
        self.inner.readers.read(query, |row: Option<i64>| Ok(row.map(IdentityRow))).await
    }

    async fn held_of(&self, account: IdentityRow, after: i64, limit: usize) -> Result<HeldPage<Held>, StoreError> {
        let ring = self.inner.ring.clone();
        let query = move |conn: &Connection| {
            let sql =
                format!("SELECT {COLUMNS} FROM {FROM} WHERE o.identity = ?1 AND o.id > ?2 AND a.version_verb <> ?3 ORDER BY o.id LIMIT ?4");
            collected(conn, &sql, (account.0, after, Verb::Delete.number(), page(limit)))
        };
        self.inner.readers.read(query, move |found| opened(&ring, &found)).await
    }
}
