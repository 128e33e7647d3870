//! The log's sequence and the named settings.

use super::error::InDatabase;
use super::writer::Tx;
use crate::model::Digest;
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension};

/// A setting.
pub(super) fn setting(conn: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    conn.prepare_cached("SELECT value FROM setting WHERE name = ?1").said()?.query_row([name], |row| row.get(0)).optional().said()
}

/// Sets settings.
pub(super) fn set(tx: &mut Tx<'_>, settings: &[(String, String)], leaves: &[Vec<u8>]) -> Result<(), StoreError> {
    for setting in settings {
        tx.conn
            .prepare_cached("INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
            .said()?
            .execute((&setting.0, &setting.1))
            .said()?;
    }
    tx.append_all(leaves)
}

/// Leaves from a sequence number on.
pub(super) fn leaves(conn: &Connection, from: u64, limit: i64) -> Result<Vec<Vec<u8>>, StoreError> {
    let Ok(from) = i64::try_from(from) else { return Ok(Vec::new()) };
    conn.prepare_cached("SELECT bytes FROM leaf WHERE seq >= ?1 ORDER BY seq LIMIT ?2")
        .said()?
        .query_map((from, limit), |row| row.get(0))
        .said()?
        .collect::<Result<_, _>>()
        .said()
}

/// Keeps large parts of entries.
pub(super) fn keep_parts(tx: &mut Tx<'_>, parts: &[(Digest, Vec<u8>)]) -> Result<(), StoreError> {
    for (digest, bytes) in parts {
        tx.conn
            .prepare_cached("INSERT INTO leaf_part (digest, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
            .said()?
            .execute((digest.0.as_slice(), bytes))
            .said()?;
    }
    Ok(())
}

/// A large part.
pub(super) fn part(conn: &Connection, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
    conn.prepare_cached("SELECT bytes FROM leaf_part WHERE digest = ?1")
        .said()?
        .query_row([digest.0.as_slice()], |row| row.get(0))
        .optional()
        .said()
}
