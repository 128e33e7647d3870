//! Counts, each from an index, and the conservation sum: received as counted at intake, the rest as the rows stand now.

use super::error::{InDatabase, damaged};
use super::names::{DELIVERING, LINE_ERASED, LINE_PARKED, LINE_REPLAYED, Numbered, PARKED, WAITING_DECISION, state_name, timestamp};
use crate::model::{ActivityState, DeliveryState, DropRule, Outcome, Verb};
use crate::store::{Conservation, StoreError, Totals, WaitingChanges};
use rusqlite::Connection;
use std::collections::BTreeMap;

fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_negative| damaged("a count is negative"))
}

/// A statement's rows of one number and one count.
fn numbered(conn: &Connection, sql: &str) -> Result<Vec<(i64, u64)>, StoreError> {
    let rows: Vec<(i64, i64)> =
        conn.prepare_cached(sql).said()?.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).said()?.collect::<Result<_, _>>().said()?;
    rows.into_iter().map(|(number, count)| Ok((number, unsigned(count)?))).collect()
}

/// A statement's rows of one text and one count.
fn named(conn: &Connection, sql: &str) -> Result<BTreeMap<String, u64>, StoreError> {
    let rows: Vec<(String, i64)> =
        conn.prepare_cached(sql).said()?.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).said()?.collect::<Result<_, _>>().said()?;
    rows.into_iter().map(|(name, count)| Ok((name, unsigned(count)?))).collect()
}

fn number(conn: &Connection, sql: &str) -> Result<u64, StoreError> {
    unsigned(conn.prepare_cached(sql).said()?.query_row((), |row| row.get(0)).said()?)
}

/// All counts, of one moment: the caller holds a read transaction.
pub(super) fn totals(conn: &Connection) -> Result<Totals, StoreError> {
    let mut totals = Totals::default();
    let mut days = source_days(conn)?;
    for (day, state, count) in day_states(conn, "SELECT source_day, state, count(*) FROM activity GROUP BY source_day, state")? {
        let state = ActivityState::from_number(state)?;
        let day = days.get_mut(&day).ok_or_else(|| damaged("an activity version of no day"))?;
        *totals.activities.entry(state_name(state)).or_default() += count;
        match state {
            ActivityState::WaitingDecision | ActivityState::WaitingReview | ActivityState::Delivering => day.in_flight += count,
            ActivityState::Delivered => day.delivered += count,
            ActivityState::Parked => day.parked += count,
            ActivityState::Dropped(_) => day.dropped += count,
            ActivityState::Erased => day.erased += count,
        }
    }
    for (day, state, count) in day_states(conn, "SELECT source_day, state, count(*) FROM parked_line GROUP BY source_day, state")? {
        let day = days.get_mut(&day).ok_or_else(|| damaged("a parked line of no day"))?;
        match state {
            LINE_PARKED => day.parked += count,
            LINE_ERASED => {
                day.erased += count;
                *totals.activities.entry(state_name(ActivityState::Erased)).or_default() += count;
            }
            rule => {
                day.dropped += count;
                let rule = if rule == LINE_REPLAYED { DropRule::Replayed } else { DropRule::DroppedByPerson };
                *totals.activities.entry(state_name(ActivityState::Dropped(rule))).or_default() += count;
            }
        }
    }
    totals.conservation = days.into_values().collect();
    totals.conservation.sort_by(|a, b| (&a.source, &a.day).cmp(&(&b.source, &b.day)));
    totals.decisions = decisions(conn)?;
    totals.links = named(conn, "SELECT by, count(*) FROM link WHERE ended IS NULL GROUP BY by")?;
    totals.parked = named(conn, "SELECT code, count(*) FROM parked_line WHERE state = 0 GROUP BY code")?;
    for (code, count) in named(conn, "SELECT coalesce(code, ''), count(*) FROM delivery WHERE state = 3 GROUP BY code")? {
        *totals.parked.entry(code).or_default() += count;
    }
    totals.deliveries = deliveries(conn)?;
    totals.customers = numbered(conn, "SELECT retired, count(*) FROM customer GROUP BY retired")?
        .into_iter()
        .map(|(retired, count)| (if retired == 0 { "in_force" } else { "retired" }.to_owned(), count))
        .collect();
    totals.changes = changes(conn)?;
    totals.leaves = number(conn, "SELECT coalesce(max(seq) + 1, 0) FROM leaf")?;
    // An account of which nothing is kept can't be decided again, so it is on no work-list.
    totals.decided_under_older_mapping = number(
        conn,
        "SELECT count(*) FROM decision d JOIN identity i ON i.id = d.identity
         WHERE d.current = 1 AND i.account IS NOT NULL AND d.mapping <> (SELECT mapping FROM decision ORDER BY id DESC LIMIT 1)",
    )?;
    Ok(totals)
}

/// Deletions and edits that have not arrived: of those that wait for a person's decision about their author nothing stands in a CRM. Only what is open
/// or parked is looked at, by the index of counts.
fn changes(conn: &Connection) -> Result<Vec<WaitingChanges>, StoreError> {
    let sql = format!(
        "SELECT i.network, d.target, min(a.received), count(DISTINCT a.id), count(DISTINCT CASE WHEN d.state = ?1 THEN a.id END)
         FROM source_day s CROSS JOIN activity a INDEXED BY activity_count
           ON a.source_day = s.id AND a.state IN ({WAITING_DECISION}, {DELIVERING}, {PARKED})
         JOIN identity i ON i.id = a.identity
         LEFT JOIN delivery d ON d.activity = a.id AND d.activity IS NOT NULL AND d.state IN (?1, ?2, ?3, ?4)
         WHERE a.version_verb IN (?5, ?6) GROUP BY i.network, d.target ORDER BY i.network, d.target"
    );
    let [parked, planned, sending, unknown] =
        [DeliveryState::Parked, DeliveryState::Planned, DeliveryState::Sending, DeliveryState::Unknown].map(Numbered::number);
    let rows: Vec<(String, Option<String>, i64, i64, i64)> = conn
        .prepare_cached(&sql)
        .said()?
        .query_map((parked, planned, sending, unknown, Verb::Delete.number(), Verb::Update.number()), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    rows.into_iter()
        .map(|(network, target, since, waiting, parked)| {
            let since = timestamp(since).to_string();
            Ok(WaitingChanges { network, target, since, waiting: unsigned(waiting)?, parked: unsigned(parked)? })
        })
        .collect()
}

/// A statement's rows of a day, a state and a count.
fn day_states(conn: &Connection, sql: &str) -> Result<Vec<(i64, i64, u64)>, StoreError> {
    let rows: Vec<(i64, i64, i64)> = conn
        .prepare_cached(sql)
        .said()?
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    rows.into_iter().map(|(day, state, count)| Ok((day, state, unsigned(count)?))).collect()
}

fn source_days(conn: &Connection) -> Result<BTreeMap<i64, Conservation>, StoreError> {
    let rows: Vec<(i64, String, String, i64, i64)> = conn
        .prepare_cached("SELECT id, source, day, received, duplicates FROM source_day")
        .said()?
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    rows.into_iter()
        .map(|(id, source, day, received, duplicates)| {
            let counted =
                Conservation { source, day, received: unsigned(received)?, duplicates: unsigned(duplicates)?, ..Conservation::default() };
            Ok((id, counted))
        })
        .collect()
}

fn decisions(conn: &Connection) -> Result<BTreeMap<String, u64>, StoreError> {
    let mut decisions: BTreeMap<String, u64> = Outcome::ALL.into_iter().map(|outcome| (outcome.name().to_owned(), 0)).collect();
    for (outcome, count) in numbered(conn, "SELECT outcome, count(*) FROM decision WHERE current = 1 GROUP BY outcome")? {
        *decisions.entry(Outcome::from_number(outcome)?.name().to_owned()).or_default() += count;
    }
    // Accounts that are known and wait for their first decision. Of those seen only in dropped messages nothing is known.
    let waiting = number(
        conn,
        "SELECT count(*) FROM identity i WHERE i.account IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.identity = i.id AND d.current = 1)",
    )?;
    *decisions.entry(Outcome::Undetermined.name().to_owned()).or_default() += waiting;
    Ok(decisions)
}

fn deliveries(conn: &Connection) -> Result<BTreeMap<String, u64>, StoreError> {
    let rows: Vec<(String, i64, i64)> = conn
        .prepare_cached("SELECT target, state, count(*) FROM delivery GROUP BY target, state")
        .said()?
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    rows.into_iter()
        .map(|(target, state, count)| Ok((format!("{target}: {}", DeliveryState::from_number(state)?.name()), unsigned(count)?)))
        .collect()
}
