//! The queue of cases: the most useful first, fast however many wait.

use super::verdicts;
use crate::audit::SubjectHash;
use crate::model::{CustomerId, Network, Outcome};
use crate::store::sqlite::error::InDatabase;
use crate::store::sqlite::names::{Numbered, by_from, timestamp};
use crate::store::sqlite::work::{customers_listed, identity_id};
use crate::store::{CaseFilter, CaseRow, IdentityRow, Opinion, StoreError};
use rusqlite::{Connection, OptionalExtension, Row};
use std::sync::Arc;

/// What people said last, by account: how many of them, whether they contradict each other, whether all of them can't tell.
const OPINIONS: &str = "opinions (identity, people, answers, told) AS MATERIALIZED (
        SELECT identity, count(*), count(DISTINCT CASE said WHEN 0 THEN 'c' || customer WHEN 1 THEN 'n' END), sum(said <> 2)
        FROM verdict INDEXED BY verdict_latest WHERE latest = 1 GROUP BY identity)";

/// Activities of a decision's account that wait for a person: read from the index of waiting ones alone.
const WAITING: &str = "(SELECT count(*) FROM activity a WHERE a.identity = d.identity AND a.state IN (0, 1) AND a.state = 1)";

/// The columns of a case, over `i`, `d`, `o` (opinions) and `v` (the verdict in force).
fn columns() -> String {
    format!(
        "i.id, i.network, i.account, d.evidence_digest, d.outcome, d.customer, d.by_kind, d.by_rule, d.candidates, d.probability, d.match_weight, d.at,
         {WAITING}, coalesce(o.people, 0), coalesce(o.answers, 0) > 1, v.id"
    )
}

fn row(row: &Row<'_>) -> Result<CaseRow, StoreError> {
    let (network, account): (String, String) = (row.get(1).said()?, row.get(2).said()?);
    let evidence: Vec<u8> = row.get(3).said()?;
    let candidates: Option<String> = row.get(8).said()?;
    let listed = customers_listed(candidates.as_deref())?;
    let candidates = listed.len() as u64;
    let customer = row.get::<_, Option<Arc<str>>>(5).said()?.map(CustomerId);
    let named = verdicts::named(listed, customer.as_ref());
    let count = |at: usize| Ok::<_, StoreError>(u64::try_from(row.get::<_, i64>(at).said()?).unwrap_or_default());
    Ok(CaseRow {
        row: IdentityRow(row.get(0).said()?),
        id: identity_id(&network, &account)?,
        token: verdicts::token(&evidence, row.get(15).said()?),
        outcome: Outcome::from_number(row.get(4).said()?)?,
        customer,
        named,
        by: by_from(row.get(6).said()?, row.get(7).said()?)?,
        candidates,
        probability: row.get(9).said()?,
        match_weight: row.get(10).said()?,
        at: timestamp(row.get(11).said()?),
        waiting: count(12)?,
        opinions: count(13)?,
        disputed: row.get(14).said()?,
    })
}

/// Cases from a place of the order on. First those that people dispute, then by how many waiting activities a yes is expected to deliver: those
/// that wait, and one for the link itself, times the posterior. Those about which somebody can't tell come last.
pub(super) fn list(conn: &Connection, filter: &CaseFilter, from: usize, limit: i64) -> Result<(Vec<CaseRow>, u64), StoreError> {
    // The condition stands in the text: only so the partial index is used.
    let (index, which) = if filter.outcome == Outcome::Review {
        ("INDEXED BY decision_review", "d.current = 1 AND d.outcome = 2 AND ?1 = ?1")
    } else {
        ("", "d.current = 1 AND d.outcome = ?1")
    };
    let order = if filter.sample {
        "i.hash".to_owned()
    } else {
        format!(
            "coalesce(o.answers, 0) > 1 DESC, coalesce(o.people > 0 AND o.told = 0, 0), (1 + {WAITING}) * d.probability DESC, d.identity"
        )
    };
    // Tens of thousands are ordered by what the index has; the rest is read of the few that are shown.
    let identity = if filter.sample || filter.network.is_some() { "CROSS JOIN identity i ON i.id = d.identity" } else { "" };
    let network = if filter.network.is_some() { "i.network = ?2" } else { "?2 IS NULL" };
    let disputed = if filter.disputed { "AND o.answers > 1" } else { "" };
    let from_with = |opinions: &str| format!("FROM decision d {index} {identity} {opinions} WHERE {which} AND {network} {disputed}");
    let opinions = "LEFT JOIN opinions o ON o.identity = d.identity";
    let sources = from_with(opinions);
    let sql = format!(
        "WITH {OPINIONS}, best (identity, people, answers, told) AS MATERIALIZED (
            SELECT d.identity, o.people, o.answers, o.told {sources} ORDER BY {order} LIMIT ?3 OFFSET ?4)
         SELECT {} FROM best o CROSS JOIN identity i ON i.id = o.identity CROSS JOIN decision d ON d.identity = o.identity AND d.current = 1
         LEFT JOIN verdict v ON v.identity = o.identity AND v.in_force = 1 WHERE i.account IS NOT NULL ORDER BY {order}",
        columns()
    );
    let (outcome, named) = (filter.outcome.number(), filter.network.map(Network::name));
    let mut statement = conn.prepare_cached(&sql).said()?;
    let mut rows = statement.query((outcome, named, limit, i64::try_from(from).unwrap_or(i64::MAX))).said()?;
    let mut found = Vec::new();
    while let Some(next) = rows.next().said()? {
        found.push(row(next)?);
    }
    // Counting looks at what people said only where that is asked for.
    let count =
        if filter.disputed { format!("WITH {OPINIONS} SELECT count(*) {sources}") } else { format!("SELECT count(*) {}", from_with("")) };
    let total: i64 = conn.prepare_cached(&count).said()?.query_row((outcome, named), |row| row.get(0)).said()?;
    Ok((found, u64::try_from(total).unwrap_or_default()))
}

/// One case.
pub(super) fn one(conn: &Connection, person: SubjectHash) -> Result<Option<CaseRow>, StoreError> {
    let sql = format!(
        "SELECT {} FROM identity i JOIN decision d ON d.identity = i.id AND d.current = 1
         LEFT JOIN (SELECT identity, count(*) AS people, count(DISTINCT CASE said WHEN 0 THEN 'c' || customer WHEN 1 THEN 'n' END) AS answers
                    FROM verdict WHERE latest = 1 AND identity = (SELECT id FROM identity WHERE hash = ?1) GROUP BY identity) o
                ON o.identity = i.id
         LEFT JOIN verdict v ON v.identity = i.id AND v.in_force = 1
         WHERE i.hash = ?1 AND i.account IS NOT NULL",
        columns()
    );
    let found = conn.prepare_cached(&sql).said()?.query_row([person.0.as_slice()], |found| Ok(row(found))).optional().said()?;
    found.transpose()
}

/// What people said last about a case, each once, oldest first.
pub(super) fn opinions(conn: &Connection, case: IdentityRow) -> Result<Vec<Opinion>, StoreError> {
    let mut statement = conn
        .prepare_cached("SELECT said, customer, author, at, entry, in_force FROM verdict WHERE identity = ?1 AND latest = 1 ORDER BY id")
        .said()?;
    let mut rows = statement.query([case.0]).said()?;
    let mut opinions = Vec::new();
    while let Some(row) = rows.next().said()? {
        let entry: i64 = row.get(4).said()?;
        opinions.push(Opinion {
            said: verdicts::said(row.get(0).said()?, row.get(1).said()?)?,
            author: row.get(2).said()?,
            at: timestamp(row.get(3).said()?),
            entry: u64::try_from(entry).unwrap_or_default(),
            in_force: row.get(5).said()?,
        });
    }
    Ok(opinions)
}
