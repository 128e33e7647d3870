//! Legal holds: nothing of a person is erased or ends by a clock while one stands.

use super::{fields, hash, stop};
use crate::audit::SubjectHash;
use crate::model::SubjectId;
use crate::store::ring::KeyRing;
use crate::store::sqlite::error::InDatabase;
use crate::store::sqlite::names::{nanoseconds, timestamp};
use crate::store::sqlite::writer::Tx;
use crate::store::{HoldRow, HoldStep, StoreError};
use rusqlite::Connection;
use std::sync::Arc;

fn placed_for(ring: &KeyRing, subject: &SubjectId) -> SubjectHash {
    match subject {
        SubjectId::Identity(id) => ring.hashes().identity(id),
        SubjectId::Customer(id) => ring.hashes().customer(id),
    }
}

/// Places a hold, over the accounts that are linked to a customer as well. A second one replaces the first's matter and author.
pub(super) fn place(tx: &mut Tx<'_>, ring: &KeyRing, step: &HoldStep) -> Result<u64, StoreError> {
    let whom = placed_for(ring, &step.subject);
    let accounts = stop::accounts(tx.conn, ring, &step.subject)?;
    let others = accounts.iter().map(|(person, _)| *person).filter(|person| *person != whom);
    let mut count = 0;
    for person in std::iter::once(whom).chain(others) {
        tx.conn
            .prepare_cached(
                "INSERT INTO hold (person, placed_for, matter, author, at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (person, placed_for) DO UPDATE SET matter = excluded.matter, author = excluded.author, at = excluded.at",
            )
            .said()?
            .execute((person.0.as_slice(), whom.0.as_slice(), step.matter.as_deref(), &*step.author, nanoseconds(step.at)))
            .said()?;
        count += u64::from(person != whom);
    }
    tx.append(&step.leaf)?;
    Ok(count)
}

/// Releases the hold that was placed for a person.
pub(super) fn release(tx: &mut Tx<'_>, ring: &KeyRing, step: &HoldStep) -> Result<bool, StoreError> {
    let whom = placed_for(ring, &step.subject);
    let released = tx.conn.prepare_cached("DELETE FROM hold WHERE placed_for = ?1").said()?.execute([whom.0.as_slice()]).said()?;
    if released > 0 {
        fields::begin_anew(tx)?;
        tx.append(&step.leaf)?;
    }
    Ok(released > 0)
}

/// Every hold that stands, oldest first.
pub(in crate::store::sqlite) fn all(conn: &Connection) -> Result<Vec<HoldRow>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT person, placed_for, matter, author, at FROM hold ORDER BY at, person").said()?;
    let mut rows = statement.query(()).said()?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().said()? {
        let (person, placed_for): (Vec<u8>, Vec<u8>) = (row.get(0).said()?, row.get(1).said()?);
        found.push(HoldRow {
            person: hash(&person)?,
            placed_for: hash(&placed_for)?,
            matter: row.get::<_, Option<Arc<str>>>(2).said()?,
            author: row.get(3).said()?,
            at: timestamp(row.get(4).said()?),
        });
    }
    Ok(found)
}
