//! What accounts said, as if it had just arrived: what drafts are tried on. Nothing is changed by reading it.

use super::{
    IdentityRow, InDatabase, MAX_EARLIER, MAX_PAGE_RECORDS, MAX_WAITING, RawActivity, RawWork, SealedProfile, StoreError, damaged,
    verdicts, withdrawn,
};
use crate::model::{Network, Timestamp};
use crate::store::sqlite::names::{WAITING_DECISION, nanoseconds};
use rusqlite::{Connection, OptionalExtension, Row};

const COLUMNS: &str = "id, network, account, hash, profile_as_of, profile, rectified";

/// Accounts whose profile is kept, with their network.
pub(in crate::store::sqlite) fn accounts(
    conn: &Connection,
    after: Option<IdentityRow>,
    limit: i64,
) -> Result<Vec<(IdentityRow, Network)>, StoreError> {
    let mut statement = conn
        .prepare_cached(
            "SELECT id, network FROM identity WHERE id > ?1 AND account IS NOT NULL AND profile IS NOT NULL ORDER BY id LIMIT ?2",
        )
        .said()?;
    let mut rows = statement.query((after.map_or(0, |row| row.0), limit)).said()?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().said()? {
        let network: String = row.get(1).said()?;
        let network = network.parse().map_err(|_unknown| damaged("an identity on an unknown network"))?;
        found.push((IdentityRow(row.get(0).said()?), network));
    }
    Ok(found)
}

/// Accounts that said something at or after this time, after this row.
pub(in crate::store::sqlite) fn since(
    conn: &Connection,
    since: Timestamp,
    after: Option<IdentityRow>,
    limit: i64,
) -> Result<Vec<RawWork>, StoreError> {
    let mut statement = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM identity WHERE id > ?1 AND account IS NOT NULL AND profile IS NOT NULL AND received >= ?2 ORDER BY id LIMIT ?3"
        ))
        .said()?;
    let mut rows = statement.query((after.map_or(0, |row| row.0), nanoseconds(since), limit)).said()?;
    let mut page = Vec::new();
    let mut records = 0;
    while records < MAX_PAGE_RECORDS
        && let Some(row) = rows.next().said()?
    {
        let work = one(conn, row, since)?;
        records += work.activities.len();
        page.push(work);
    }
    Ok(page)
}

/// These accounts, with all that they said; one whose profile is gone is left out.
pub(in crate::store::sqlite) fn of(conn: &Connection, accounts: &[IdentityRow]) -> Result<Vec<RawWork>, StoreError> {
    let mut statement = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM identity WHERE id = ?1 AND account IS NOT NULL AND profile IS NOT NULL"))
        .said()?;
    let mut page = Vec::with_capacity(accounts.len());
    for account in accounts {
        let found = statement.query_row([account.0], |row| Ok(one(conn, row, Timestamp::UNIX_EPOCH))).optional().said()?;
        page.extend(found.transpose()?);
    }
    Ok(page)
}

/// What it said since then waits; the newest of everything else is there as evidence.
fn one(conn: &Connection, row: &Row<'_>, since: Timestamp) -> Result<RawWork, StoreError> {
    let id: i64 = row.get(0).said()?;
    let columns = format!("a.id, a.version, {WAITING_DECISION}, a.received, o.newest = a.id, a.sealed");
    let mut activities: Vec<RawActivity> = conn
        .prepare_cached(&format!(
            "SELECT {columns} FROM object o JOIN activity a ON a.object = o.id
             WHERE o.identity = ?1 AND a.received >= ?2 AND a.state <> 5 AND a.sealed IS NOT NULL ORDER BY a.id DESC LIMIT {MAX_WAITING}"
        ))
        .said()?
        .query_map((id, nanoseconds(since)), RawActivity::read)
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    let mut earlier = conn
        .prepare_cached(&format!(
            "SELECT a.id, a.version, a.state, a.received, 1, a.sealed FROM object o JOIN activity a ON a.id = o.newest
             WHERE o.identity = ?1 AND a.received < ?2 AND a.state NOT IN (0, 1, 5) AND a.sealed IS NOT NULL
             ORDER BY a.version_at DESC, a.id DESC LIMIT {MAX_EARLIER}"
        ))
        .said()?;
    for activity in earlier.query_map((id, nanoseconds(since)), RawActivity::read).said()? {
        activities.push(activity.said()?);
    }
    Ok(RawWork {
        row: id,
        network: row.get(1).said()?,
        account: row.get(2).said()?,
        needs_decision: true,
        profile: SealedProfile::at(row, 3).said()?,
        current: None,
        withdrawn: withdrawn(conn, id)?,
        word: verdicts::in_force(conn, id)?,
        activities,
        written: Vec::new(),
    })
}
