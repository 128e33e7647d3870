//! *Finish*: what was withdrawn has arrived; the last keys are destroyed and the certificate is told.

use super::{DONE, WITHDRAWING, destroy, hash, request, withdraw};
use crate::audit::{RetentionClass, SubjectHash};
use crate::model::WriteEffect;
use crate::store::ring::RequestId;
use crate::store::sqlite::error::InDatabase;
use crate::store::sqlite::names::{Numbered, nanoseconds, timestamp, unsigned};
use crate::store::sqlite::writer::Tx;
use crate::store::{FinishStep, Finished, RemovalId, RemovalReason, RemovalRow, StoreError, Withdrawn};
use rusqlite::{Connection, OptionalExtension};

/// The persons whose lines are to be taken out of files.
pub(super) fn unswept(conn: &Connection) -> Result<Vec<(RemovalId, SubjectHash)>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT id, person FROM removal WHERE phase < 2 AND lines IS NULL ORDER BY id").said()?;
    let rows: Vec<(i64, Vec<u8>)> =
        statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).said()?.collect::<Result<_, _>>().said()?;
    rows.into_iter().map(|(id, person)| Ok((RemovalId(id), hash(&person)?))).collect()
}

/// The files were looked through.
pub(super) fn swept(tx: &Tx<'_>, lines: &[(RemovalId, u64)]) -> Result<(), StoreError> {
    for (removal, count) in lines {
        tx.conn
            .prepare_cached("UPDATE removal SET lines = ?2 WHERE id = ?1")
            .said()?
            .execute((removal.0, i64::try_from(*count).unwrap_or(i64::MAX)))
            .said()?;
    }
    Ok(())
}

/// A removal that may end.
struct Ready {
    id: i64,
    request: Vec<u8>,
    person: Vec<u8>,
    identity: Option<i64>,
    reason: i64,
    begun: i64,
    from_delivery: i64,
    records: i64,
    keys: i64,
    lines: i64,
}

/// Those of which nothing is open, stands aside, or is left in files. A customer ends after the accounts that it was asked for with.
const READY: &str = "SELECT id, request, person, identity, reason, begun, from_delivery, records, keys, lines FROM removal r
     WHERE phase < 2 AND phase = ?1 AND lines IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.identity = r.identity AND (d.open = 1 OR (d.state = 3 AND d.id > r.from_delivery)))
       AND (identity IS NOT NULL OR NOT EXISTS (
            SELECT 1 FROM removal o WHERE o.phase < 2 AND o.request = r.request AND o.identity IS NOT NULL))
     ORDER BY id LIMIT ?2";

/// Ends removals.
pub(super) fn finish(tx: &mut Tx<'_>, step: &FinishStep) -> Result<Vec<Finished>, StoreError> {
    let limit = crate::store::sqlite::page(step.limit);
    let ready: Vec<Ready> = tx
        .conn
        .prepare_cached(READY)
        .said()?
        .query_map((WITHDRAWING, limit), |row| {
            Ok(Ready {
                id: row.get(0)?,
                request: row.get(1)?,
                person: row.get(2)?,
                identity: row.get(3)?,
                reason: row.get(4)?,
                begun: row.get(5)?,
                from_delivery: row.get(6)?,
                records: row.get(7)?,
                keys: row.get(8)?,
                lines: row.get(9)?,
            })
        })
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    ready.into_iter().map(|ready| finish_one(tx, step, &ready)).collect()
}

fn finish_one(tx: &mut Tx<'_>, step: &FinishStep, ready: &Ready) -> Result<Finished, StoreError> {
    let reason = RemovalReason::from_number(ready.reason)?;
    let crm = match ready.identity {
        Some(identity) => withdrawn(tx, identity, ready.from_delivery)?,
        None => Withdrawn::default(),
    };
    let is_customer: bool = tx
        .conn
        .prepare_cached("SELECT kind = 1 FROM suppressed WHERE person = ?1")
        .said()?
        .query_row([&ready.person], |row| row.get(0))
        .optional()
        .said()?
        .unwrap_or_default();
    let (mut records, mut keys) = (ready.records, ready.keys);
    if reason == RemovalReason::Erasure {
        if let Some(identity) = ready.identity {
            records += withdraw::scrub_deliveries(tx, identity)?;
        }
        let gone = destroy::keys(tx, &ready.person, &RetentionClass::ALL)?;
        keys += i64::try_from(gone.len()).unwrap_or(i64::MAX);
        for key in gone {
            // Activities that contradicted others: sealed under their author's key, and named by nothing else.
            let sql = "UPDATE parked_line SET sealed = NULL WHERE form = 1 AND sealed IS NOT NULL AND substr(sealed, 2, 16) = ?1";
            records += i64::try_from(tx.conn.prepare_cached(sql).said()?.execute([key.0.as_slice()]).said()?).unwrap_or(i64::MAX);
        }
    }
    let finished = Finished {
        removal: RemovalId(ready.id),
        request: request(&ready.request)?,
        person: hash(&ready.person)?,
        is_customer,
        reason,
        begun: timestamp(ready.begun),
        records: unsigned(records),
        keys: unsigned(keys),
        lines: unsigned(ready.lines),
        crm,
    };
    let certificate = (step.certify.0)(&finished);
    let told = (finished, certificate);
    let leaves = (step.tell.0)(&told)?;
    let mut entry = 0;
    for leaf in &leaves {
        entry = tx.append(leaf)?;
    }
    let (finished, certificate) = told;
    tx.conn
        .prepare_cached("UPDATE removal SET phase = ?2, ended = ?3, records = ?4, keys = ?5, certificate = ?6, entry = ?7 WHERE id = ?1")
        .said()?
        .execute((ready.id, DONE, nanoseconds(step.at), records, keys, certificate, i64::try_from(entry).unwrap_or(i64::MAX)))
        .said()?;
    Ok(finished)
}

/// What became of the records in the CRM.
fn withdrawn(tx: &Tx<'_>, identity: i64, from_delivery: i64) -> Result<Withdrawn, StoreError> {
    let effects: Vec<(Option<i64>, i64)> = tx
        .conn
        .prepare_cached("SELECT effect, count(*) FROM delivery WHERE identity = ?1 AND id > ?2 AND intent <> 0 GROUP BY effect")
        .said()?
        .query_map((identity, from_delivery), |row| Ok((row.get(0)?, row.get(1)?)))
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    let mut crm = Withdrawn::default();
    for (effect, count) in effects {
        let of = match effect.map(WriteEffect::from_number).transpose()? {
            // What was not there any more is gone, too.
            Some(WriteEffect::Removed | WriteEffect::Unchanged) => &mut crm.removed,
            Some(WriteEffect::Blanked | WriteEffect::Inserted | WriteEffect::Updated) => &mut crm.blanked,
            Some(WriteEffect::Kept) => &mut crm.kept,
            None => &mut crm.given_up,
        };
        *of += unsigned(count);
    }
    Ok(crm)
}

/// Removals on their way, or those of a request; oldest first.
pub(super) fn removals(conn: &Connection, wanted: Option<RequestId>) -> Result<Vec<RemovalRow>, StoreError> {
    let sql = format!(
        "SELECT id, request, person, reason, begun, ended, lines IS NOT NULL, certificate, entry, identity, from_delivery FROM removal
         WHERE {} ORDER BY id LIMIT 20000",
        if wanted.is_some() { "request = ?1" } else { "phase < 2 AND ?1 IS NULL" }
    );
    let mut statement = conn.prepare_cached(&sql).said()?;
    let mut rows = statement.query([wanted.as_ref().map(|r| r.0.as_slice())]).said()?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().said()? {
        let (identity, from): (Option<i64>, i64) = (row.get(9).said()?, row.get(10).said()?);
        let (person, asked): (Vec<u8>, Vec<u8>) = (row.get(2).said()?, row.get(1).said()?);
        let ended: Option<i64> = row.get(5).said()?;
        let certificate: Option<String> = row.get(7).said()?;
        let entry: Option<i64> = row.get(8).said()?;
        let (mut open, mut parked) = (0, Vec::new());
        if let (Some(identity), None) = (identity, ended) {
            let mut waiting = conn
                .prepare_cached("SELECT id, open FROM delivery WHERE identity = ?1 AND (open = 1 OR (state = 3 AND id > ?2)) ORDER BY id")
                .said()?;
            let mut rows = waiting.query((identity, from)).said()?;
            while let Some(row) = rows.next().said()? {
                if row.get(1).said()? {
                    open += 1;
                } else {
                    parked.push(row.get(0).said()?);
                }
            }
        }
        found.push(RemovalRow {
            removal: RemovalId(row.get(0).said()?),
            request: request(&asked)?,
            person: hash(&person)?,
            reason: RemovalReason::from_number(row.get(3).said()?)?,
            begun: timestamp(row.get(4).said()?),
            ended: ended.map(timestamp),
            open,
            parked,
            swept: row.get(6).said()?,
            certificate: certificate.zip(entry.map(unsigned)),
        });
    }
    Ok(found)
}
