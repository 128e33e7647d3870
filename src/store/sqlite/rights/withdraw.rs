//! *Withdraw*: what is stored about a stopped account goes, and what stands in the CRM is on its way out.

use super::{STOPPED, WITHDRAWING, destroy, hash};
use crate::audit::{RetentionClass, SubjectHash};
use crate::model::{Network, Timestamp};
use crate::store::ring::KeyRing;
use crate::store::sqlite::decide::{self, PreparedStep};
use crate::store::sqlite::error::{InDatabase, damaged};
use crate::store::sqlite::intake::{LINE_BINDING, line_field};
use crate::store::sqlite::names::{LINE_ERASED, LINE_PARKED, nanoseconds};
use crate::store::sqlite::work::{self, RawDecision, RawWritten, identity_id, unseal};
use crate::store::sqlite::writer::Tx;
use crate::store::{IdentityRow, RemovalId, RemovalReason, StoppedAccount, StoreError, WithdrawStep, names_anyone};
use rusqlite::Connection;
use std::collections::HashSet;

/// A stopped account, as read.
pub(super) struct RawStopped {
    removal: i64,
    reason: i64,
    person: Vec<u8>,
    row: i64,
    network: String,
    account: Option<String>,
    current: Option<RawDecision>,
    written: Vec<RawWritten>,
}

/// Reads stopped accounts, oldest first.
pub(super) fn read_stopped(conn: &Connection, limit: i64) -> Result<Vec<RawStopped>, StoreError> {
    let mut statement = conn
        .prepare_cached(
            "SELECT r.id, r.reason, r.person, i.id, i.network, i.account FROM removal r JOIN identity i ON i.id = r.identity
             WHERE r.phase < 2 AND r.phase = ?1 ORDER BY r.id LIMIT ?2",
        )
        .said()?;
    let mut rows = statement.query((STOPPED, limit)).said()?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().said()? {
        let identity: i64 = row.get(3).said()?;
        found.push(RawStopped {
            removal: row.get(0).said()?,
            reason: row.get(1).said()?,
            person: row.get(2).said()?,
            row: identity,
            network: row.get(4).said()?,
            account: row.get(5).said()?,
            current: work::current(conn, identity)?,
            written: work::written(conn, identity)?,
        });
    }
    Ok(found)
}

/// Opens them.
pub(super) fn open_stopped(ring: &KeyRing, raw: Vec<RawStopped>) -> Result<Vec<StoppedAccount>, StoreError> {
    raw.into_iter()
        .map(|raw| {
            let network: Network = raw.network.parse().map_err(|_unknown| damaged("an identity on an unknown network"))?;
            let id = match (&raw.account, raw.written.first()) {
                (Some(account), _) => Some(identity_id(&raw.network, account)?),
                // Of an account that may not be matched only what was delivered says which it is.
                (None, Some(first)) => work::owner(ring, first)?,
                (None, None) => None,
            };
            Ok(StoppedAccount {
                removal: RemovalId(raw.removal),
                reason: RemovalReason::from_number(raw.reason)?,
                person: hash(&raw.person)?,
                row: IdentityRow(raw.row),
                network,
                id,
                current: raw.current.map(RawDecision::decision).transpose()?,
                written: work::open_written(ring, raw.written)?,
            })
        })
        .collect()
}

/// Lines that are no activity, as read: number, file, line, sealed.
pub(super) type RawLine = (i64, Vec<u8>, i64, Vec<u8>);

/// Lines in one look: at 64 KiB at most, 32 MB.
const LINES: i64 = 512;

/// Reads lines that stand aside, after this number.
pub(super) fn read_lines(conn: &Connection, after: i64) -> Result<Vec<RawLine>, StoreError> {
    conn.prepare_cached(
        "SELECT id, file_digest, line, sealed FROM parked_line WHERE form = 0 AND sealed IS NOT NULL AND id > ?1 ORDER BY id LIMIT ?2",
    )
    .said()?
    .query_map((after, LINES), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
    .said()?
    .collect::<Result<_, _>>()
    .said()
}

/// The lines that name one of these persons.
pub(super) fn mentions(ring: &KeyRing, lines: &[RawLine], persons: &HashSet<SubjectHash>) -> Result<Vec<i64>, StoreError> {
    let mut found = Vec::new();
    for (id, file, line, sealed) in lines {
        let field = line_field(file, u64::try_from(*line).unwrap_or_default());
        if let Some(plain) = unseal(ring, LINE_BINDING, &field, sealed)?
            && names_anyone(&plain, ring.hashes(), persons)
        {
            found.push(*id);
        }
    }
    Ok(found)
}

/// A step with its withdrawals sealed.
pub(super) struct PreparedWithdrawal {
    removal: i64,
    person: SubjectHash,
    reason: RemovalReason,
    identity: i64,
    step: PreparedStep,
}

/// Seals the withdrawals.
pub(super) fn prepare(ring: &KeyRing, steps: Vec<WithdrawStep>) -> Result<Vec<PreparedWithdrawal>, StoreError> {
    let mut random = ring.stream();
    let prepare = |step: WithdrawStep| {
        Ok(PreparedWithdrawal {
            removal: step.removal.0,
            person: step.person,
            reason: step.reason,
            identity: step.step.row.0,
            step: decide::prepare_step(ring, &mut random, step.step)?,
        })
    };
    steps.into_iter().map(prepare).collect()
}

/// Writes the steps. `lines` name one of the persons who are erased.
pub(super) fn write(tx: &mut Tx<'_>, at: Timestamp, steps: &[PreparedWithdrawal], lines: &[i64]) -> Result<(), StoreError> {
    let at = nanoseconds(at);
    for line in lines {
        tx.conn
            .prepare_cached(
                "UPDATE parked_line SET sealed = NULL, state = CASE state WHEN ?3 THEN ?2 ELSE state END, changed_at = ?4 WHERE id = ?1",
            )
            .said()?
            .execute((line, LINE_ERASED, LINE_PARKED, at))
            .said()?;
    }
    for (number, step) in steps.iter().enumerate() {
        // The step may have been taken up twice, by a request and by the service: the second finds nothing to do.
        let phase: i64 =
            tx.conn.prepare_cached("SELECT phase FROM removal WHERE id = ?1").said()?.query_row([step.removal], |row| row.get(0)).said()?;
        if phase != STOPPED {
            continue;
        }
        let (records, keys) = match step.reason {
            RemovalReason::Objection => {
                // What waited for a decision is not used.
                let sql = "UPDATE activity SET state = 17 WHERE identity = ?1 AND state IN (0, 1)";
                tx.conn.prepare_cached(sql).said()?.execute([step.identity]).said()?;
                decide::write_step(tx, &step.step)?;
                (0, 0)
            }
            RemovalReason::Erasure => erase(tx, step)?,
        };
        // Lines name nobody by a column: they are counted once, with the first.
        let lines = if number == 0 { i64::try_from(lines.len()).unwrap_or(i64::MAX) } else { 0 };
        tx.conn
            .prepare_cached("UPDATE removal SET phase = ?2, records = records + ?3, keys = keys + ?4 WHERE id = ?1")
            .said()?
            .execute((step.removal, WITHDRAWING, records + lines, keys))
            .said()?;
    }
    Ok(())
}

/// What is stored goes but for the withdrawals. Returns how many records, and how many keys were destroyed.
fn erase(tx: &mut Tx<'_>, step: &PreparedWithdrawal) -> Result<(i64, i64), StoreError> {
    let run = |tx: &Tx<'_>, sql: &str| -> Result<i64, StoreError> {
        let changed = tx.conn.prepare_cached(sql).said()?.execute([step.identity]).said()?;
        Ok(i64::try_from(changed).unwrap_or(i64::MAX))
    };
    let mut records = run(tx, "UPDATE identity SET received = NULL WHERE id = ?1 AND profile IS NOT NULL")?;
    records += run(
        tx,
        "UPDATE activity SET state = 5, version_id = NULL, sealed = NULL WHERE object IN (SELECT id FROM object WHERE identity = ?1)",
    )?;
    records += run(
        tx,
        "DELETE FROM evidence WHERE decision IN (SELECT id FROM decision WHERE identity = ?1 AND current = 0
                        UNION ALL SELECT id FROM decision WHERE identity = ?1 AND current = 1)",
    )?;
    decide::write_step(tx, &step.step)?;
    records += scrub_deliveries(tx, step.identity)?;
    run(tx, "UPDATE link SET customer = '' WHERE identity = ?1 AND ended IS NOT NULL")?;
    run(tx, "DELETE FROM wrote WHERE identity = ?1")?;
    run(tx, "DELETE FROM verdict WHERE identity = ?1")?;
    run(tx, "DELETE FROM noticed WHERE identity = ?1")?;
    tx.conn.prepare_cached("DELETE FROM withdrawn WHERE person = ?1").said()?.execute([step.person.0.as_slice()]).said()?;
    // The withdrawals and their entries are sealed under the other two until they have arrived.
    let keys = destroy::keys(tx, &step.person.0, &[RetentionClass::Profile, RetentionClass::Unlinked])?;
    Ok((records, i64::try_from(keys.len()).unwrap_or(i64::MAX)))
}

/// What closed deliveries say goes; their states and effects stay, for the sums.
pub(super) fn scrub_deliveries(tx: &Tx<'_>, identity: i64) -> Result<i64, StoreError> {
    let attempts =
        "UPDATE attempt SET sealed = NULL WHERE sealed IS NOT NULL AND delivery IN (SELECT id FROM delivery WHERE identity = ?1)";
    tx.conn.prepare_cached(attempts).said()?.execute([identity]).said()?;
    let closed = "UPDATE delivery SET sealed = x'', customer = NULL WHERE identity = ?1 AND open = 0 AND length(sealed) > 0";
    let changed = tx.conn.prepare_cached(closed).said()?.execute([identity]).said()?;
    Ok(i64::try_from(changed).unwrap_or(i64::MAX))
}
