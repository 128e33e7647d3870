//! What endpoints asked for and what was spent of their quotas: it outlives the process.

use super::error::{InDatabase, damaged};
use super::names::{nanoseconds, timestamp};
use super::writer::Tx;
use crate::model::OperationId;
use crate::store::{EndpointReason, EndpointState, Spent, StoreError};
use rusqlite::{Connection, Row};
use std::sync::Arc;

/// What is older than what stands by less than this was overtaken on its way here; by more, the machine's clock was set back.
const OVERTAKEN_NANOSECONDS: i64 = 60_000_000_000;

/// Writes what was spent, each quota unless something newer stands.
pub(super) fn spend(tx: &Tx<'_>, spent: &[Spent]) -> Result<(), StoreError> {
    for spent in spent {
        tx.conn
            .prepare_cached(
                "INSERT INTO spent (endpoint, operation, window_seconds, until, at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (endpoint, operation, window_seconds) DO UPDATE SET until = excluded.until, at = excluded.at
                 WHERE (excluded.at, excluded.until) >= (spent.at, spent.until) OR excluded.at < spent.at - ?6",
            )
            .said()?
            .execute((
                &*spent.endpoint,
                spent.operation.as_ref().map_or("", |operation| &operation.0),
                spent.window_seconds,
                nanoseconds(spent.until),
                nanoseconds(spent.at),
                OVERTAKEN_NANOSECONDS,
            ))
            .said()?;
    }
    Ok(())
}

/// Reads what was spent.
pub(super) fn spent(conn: &Connection) -> Result<Vec<Spent>, StoreError> {
    let spent = |row: &Row<'_>| {
        let operation: Arc<str> = row.get(1)?;
        Ok(Spent {
            endpoint: row.get(0)?,
            operation: (!operation.is_empty()).then_some(OperationId(operation)),
            window_seconds: row.get(2)?,
            until: timestamp(row.get(3)?),
            at: timestamp(row.get(4)?),
        })
    };
    conn.prepare_cached("SELECT endpoint, operation, window_seconds, until, at FROM spent")
        .said()?
        .query_map((), spent)
        .said()?
        .collect::<Result<_, _>>()
        .said()
}

/// Writes how an endpoint stands; one that is well needs no row.
pub(super) fn set(tx: &Tx<'_>, state: &EndpointState) -> Result<(), StoreError> {
    if state.is_well() {
        tx.conn.prepare_cached("DELETE FROM endpoint WHERE name = ?1").said()?.execute([&*state.name]).said()?;
        return Ok(());
    }
    let time = |entry: &Option<(crate::model::Timestamp, EndpointReason)>| entry.as_ref().map(|(until, _)| nanoseconds(*until));
    tx.conn
        .prepare_cached(
            "INSERT INTO endpoint (name, waits_until, wait_code, wait_reason, failures, rests_until, rests, rest_code, rest_reason, changed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (name) DO UPDATE SET waits_until = excluded.waits_until, wait_code = excluded.wait_code,
                wait_reason = excluded.wait_reason, failures = excluded.failures, rests_until = excluded.rests_until, rests = excluded.rests,
                rest_code = excluded.rest_code, rest_reason = excluded.rest_reason, changed_at = excluded.changed_at",
        )
        .said()?
        .execute((
            &*state.name,
            time(&state.waits),
            state.waits.as_ref().map(|(_, reason)| &*reason.code),
            state.waits.as_ref().map(|(_, reason)| &*reason.message),
            state.failures,
            time(&state.rests),
            state.times,
            state.rests.as_ref().map(|(_, reason)| &*reason.code),
            state.rests.as_ref().map(|(_, reason)| &*reason.message),
            nanoseconds(state.changed_at),
        ))
        .said()?;
    Ok(())
}

/// Reads how the endpoints stand.
pub(super) fn all(conn: &Connection) -> Result<Vec<EndpointState>, StoreError> {
    conn.prepare_cached(
        "SELECT name, waits_until, wait_code, wait_reason, failures, rests_until, rest_code, rest_reason, rests, changed_at FROM endpoint
         ORDER BY name",
    )
    .said()?
    .query_map((), |row| Ok(read(row)))
    .said()?
    .map(|row| row.said()?.map_err(|_source| damaged("how an endpoint stands")))
    .collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<EndpointState> {
    let entry = |time: usize, code: usize, message: usize| -> rusqlite::Result<_> {
        let Some(until) = row.get::<_, Option<i64>>(time)? else { return Ok(None) };
        let text = |at: usize| row.get::<_, Option<Arc<str>>>(at).map(|text| text.unwrap_or_else(|| "".into()));
        Ok(Some((timestamp(until), EndpointReason { code: text(code)?, message: text(message)? })))
    };
    Ok(EndpointState {
        name: row.get(0)?,
        waits: entry(1, 2, 3)?,
        failures: row.get(4)?,
        rests: entry(5, 6, 7)?,
        times: row.get(8)?,
        changed_at: timestamp(row.get(9)?),
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::store::{Spent, Store};

    #[test]
    fn what_was_overtaken_refills_no_quota_and_a_clock_that_is_set_back_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let spend = |seconds, until| {
            let spent = Spent { endpoint: "crm".into(), operation: None, window_seconds: 60, until: at(until), at: at(seconds) };
            run(store.spend(vec![spent])).unwrap();
            run(store.spent()).unwrap().into_iter().map(|spent| (spent.at, spent.until)).collect::<Vec<_>>()
        };
        assert_eq!(spend(1_000, 1_010), [(at(1_000), at(1_010))]);
        assert_eq!(spend(1_001, 1_020), [(at(1_001), at(1_020))]);
        assert_eq!(spend(1_000, 1_010), [(at(1_001), at(1_020))], "it was reckoned before");
        assert_eq!(spend(1_001, 1_015), [(at(1_001), at(1_020))], "in the same moment, before something more was taken");
        assert_eq!(spend(1_001, 1_025), [(at(1_001), at(1_025))]);
        assert_eq!(spend(100, 110), [(at(100), at(110))], "a clock that was a quarter of an hour ahead");
    }
}
