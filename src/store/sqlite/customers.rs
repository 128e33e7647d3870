//! The customers of the last complete read.

use super::error::{InDatabase, damaged};
use super::work::digest;
use super::writer::Tx;
use crate::model::CustomerId;
use crate::store::{CustomersStep, KnownCustomer, KnownCustomers, StoreError};
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;

/// All customers of a source, in the order of their ids.
pub(super) fn known(conn: &Connection, source: &str) -> Result<KnownCustomers, StoreError> {
    let read: Option<Vec<u8>> = conn
        .prepare_cached("SELECT read_digest FROM customer_read WHERE source = ?1")
        .said()?
        .query_row([source], |row| row.get(0))
        .optional()
        .said()?;
    let mut statement = conn.prepare_cached("SELECT id, digest, retired FROM customer WHERE source = ?1 ORDER BY id").said()?;
    let mut rows = statement.query([source]).said()?;
    let mut customers = Vec::new();
    while let Some(row) = rows.next().said()? {
        let id: Arc<str> = row.get(0).said()?;
        let digest = row.get_ref(1).said()?.as_blob().map_err(|_other_type| damaged("a customer's digest"))?;
        let digest = digest.try_into().map_err(|_wrong_length| damaged("a customer's digest"))?;
        customers.push((CustomerId(id), KnownCustomer { digest, retired: row.get(2).said()? }));
    }
    // Sorted already: building the map from sorted pairs takes linear time.
    Ok(KnownCustomers { read_digest: read.as_deref().map(self::digest).transpose()?, customers: customers.into_iter().collect() })
}

/// Applies a complete read.
pub(super) fn write(tx: &mut Tx<'_>, step: &CustomersStep) -> Result<(), StoreError> {
    let source = &*step.source;
    {
        let mut upsert = tx
            .conn
            .prepare_cached(
                "INSERT INTO customer (source, id, digest, retired) VALUES (?1, ?2, ?3, 0)
                 ON CONFLICT (source, id) DO UPDATE SET digest = excluded.digest, retired = 0",
            )
            .said()?;
        for (id, digest) in &step.upserted {
            upsert.execute((source, id.as_str(), digest.as_slice())).said()?;
        }
        let mut retire = tx.conn.prepare_cached("UPDATE customer SET retired = 1 WHERE source = ?1 AND id = ?2").said()?;
        for id in &step.retired {
            retire.execute((source, id.as_str())).said()?;
        }
        // An account of which nothing may be kept has nothing to decide on.
        let mut again =
            tx.conn.prepare_cached("UPDATE identity SET needs_decision = 1, work = 1 WHERE id = ?1 AND account IS NOT NULL").said()?;
        for row in &step.decide_again {
            again.execute([row.0]).said()?;
        }
    }
    tx.conn
        .prepare_cached(
            "INSERT INTO customer_read (source, read_digest) VALUES (?1, ?2)
             ON CONFLICT (source) DO UPDATE SET read_digest = excluded.read_digest",
        )
        .said()?
        .execute((source, step.read_digest.0.as_slice()))
        .said()?;
    tx.append_all(&step.leaves)
}
