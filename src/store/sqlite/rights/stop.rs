//! *Stop*: from this transaction on nothing is taken in, decided or sent about a person.

use super::{STOPPED, hash, suppressed};
use crate::audit::SubjectHash;
use crate::model::{ActivityState, CustomerId, DropRule, SubjectId, Timestamp};
use crate::store::ring::{KeyRing, RequestId};
use crate::store::sqlite::error::InDatabase;
use crate::store::sqlite::names::{Numbered, nanoseconds};
use crate::store::sqlite::outbox::settle_dropped;
use crate::store::sqlite::writer::Tx;
use crate::store::{RemovalReason, StopOutcome, StopStep, StoreError};
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashSet;
use std::sync::Arc;

/// Accounts linked to one customer at most: whoever has more is no person.
const MAX_ACCOUNTS: i64 = 256;

/// `suppressed.kind`.
const ACCOUNT: i64 = 0;
const CUSTOMER: i64 = 1;

/// An account, seen or not.
struct Account {
    hash: SubjectHash,
    row: Option<i64>,
}

/// The accounts that a request about this person is about.
pub(super) fn accounts(conn: &Connection, ring: &KeyRing, subject: &SubjectId) -> Result<Vec<(SubjectHash, Option<i64>)>, StoreError> {
    match subject {
        SubjectId::Identity(id) => {
            let hash = ring.hashes().identity(id);
            let row = conn
                .prepare_cached("SELECT id FROM identity WHERE hash = ?1")
                .said()?
                .query_row([hash.0.as_slice()], |row| row.get(0))
                .optional()
                .said()?;
            Ok(vec![(hash, row)])
        }
        SubjectId::Customer(customer) => {
            let mut statement = conn
                .prepare_cached(
                    "SELECT i.hash, i.id FROM link l JOIN identity i ON i.id = l.identity
                     WHERE l.customer = ?1 AND l.ended IS NULL ORDER BY i.id LIMIT ?2",
                )
                .said()?;
            let rows =
                statement.query_map((customer.as_str(), MAX_ACCOUNTS), |row| Ok((row.get::<_, [u8; 16]>(0)?, Some(row.get(1)?)))).said()?;
            rows.map(|row| row.map(|(hash, row)| (SubjectHash(hash), row)).said()).collect()
        }
    }
}

/// A hold that stands over a person.
pub(super) struct Held {
    matter: Option<Arc<str>>,
}

/// The hold over a person; `None` where none stands.
pub(super) fn held(conn: &Connection, person: SubjectHash) -> Result<Option<Held>, StoreError> {
    conn.prepare_cached("SELECT matter FROM hold WHERE person = ?1 LIMIT 1")
        .said()?
        .query_row([person.0.as_slice()], |row| Ok(Held { matter: row.get(0)? }))
        .optional()
        .said()
}

/// A hold over an account, or over the customer that it is linked to.
pub(super) fn account_held(
    conn: &Connection,
    ring: &KeyRing,
    (person, row): (SubjectHash, Option<i64>),
) -> Result<Option<Held>, StoreError> {
    if let Some(held) = held(conn, person)? {
        return Ok(Some(held));
    }
    let customer: Option<Arc<str>> = conn
        .prepare_cached("SELECT customer FROM link WHERE identity = ?1 AND ended IS NULL")
        .said()?
        .query_row([row], |row| row.get(0))
        .optional()
        .said()?;
    customer.map_or(Ok(None), |customer| held(conn, ring.hashes().customer(&CustomerId(customer))))
}

/// Stops each person, or tells what stands in the way.
pub(super) fn stop(tx: &mut Tx<'_>, ring: &KeyRing, step: &StopStep) -> Result<Vec<StopOutcome>, StoreError> {
    let mut outcomes = Vec::with_capacity(step.persons.len());
    let mut customers = HashSet::new();
    for (number, subject) in step.persons.iter().enumerate() {
        let outcome = stop_one(tx, ring, step, subject)?;
        if let (SubjectId::Customer(id), StopOutcome::Stopped { .. }) = (subject, &outcome) {
            customers.insert(id.clone());
        }
        let asked = (number, outcome);
        tx.append_all(&(step.tell.0)(&asked)?)?;
        outcomes.push(asked.1);
    }
    if !customers.is_empty() {
        forget_customers(tx, &customers)?;
    }
    Ok(outcomes)
}

fn stop_one(tx: &Tx<'_>, ring: &KeyRing, step: &StopStep, subject: &SubjectId) -> Result<StopOutcome, StoreError> {
    let accounts: Vec<Account> = accounts(tx.conn, ring, subject)?.into_iter().map(|(hash, row)| Account { hash, row }).collect();
    let customer = match subject {
        SubjectId::Customer(id) => Some(ring.hashes().customer(id)),
        SubjectId::Identity(_) => None,
    };
    if let Some(customer) = customer
        && let Some(Held { matter }) = held(tx.conn, customer)?
    {
        return Ok(StopOutcome::Held { matter });
    }
    for account in &accounts {
        if let Some(Held { matter }) = account_held(tx.conn, ring, (account.hash, account.row))? {
            return Ok(StopOutcome::Held { matter });
        }
    }
    let mut new = false;
    let told = (step.at, step.request, step.reason);
    for account in &accounts {
        new |= begin(tx, told, (account.hash, ACCOUNT), account.row)?;
    }
    if let Some(customer) = customer {
        new |= begin(tx, told, (customer, CUSTOMER), None)?;
    }
    Ok(if new { StopOutcome::Stopped { accounts: accounts.into_iter().map(|a| a.hash).collect() } } else { StopOutcome::Already })
}

/// Begins one removal; false where it was asked for before. An erasure after an objection is new.
fn begin(
    tx: &Tx<'_>,
    (at, request, reason): (Timestamp, RequestId, RemovalReason),
    (person, kind): (SubjectHash, i64),
    row: Option<i64>,
) -> Result<bool, StoreError> {
    let (at, erases, reason) = (nanoseconds(at), reason == RemovalReason::Erasure, reason.number());
    let before: Option<i64> = tx
        .conn
        .prepare_cached("SELECT reason FROM suppressed WHERE person = ?1")
        .said()?
        .query_row([person.0.as_slice()], |row| row.get(0))
        .optional()
        .said()?;
    if before.is_some_and(|before| before <= reason) {
        return Ok(false);
    }
    tx.conn
        .prepare_cached(
            "INSERT INTO suppressed (person, kind, reason, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (person) DO UPDATE SET reason = excluded.reason, at = excluded.at",
        )
        .said()?
        .execute((person.0.as_slice(), kind, reason, at))
        .said()?;
    // An objection on its way becomes the erasure: one removal of a person is open at a time.
    tx.conn
        .prepare_cached("UPDATE removal SET phase = 2, ended = ?2 WHERE person = ?1 AND phase < 2")
        .said()?
        .execute((person.0.as_slice(), at))
        .said()?;
    // Whoever has no account here has nothing to withdraw.
    let phase = if row.is_some() { STOPPED } else { super::WITHDRAWING };
    tx.conn
        .prepare_cached(
            "INSERT INTO removal (request, person, identity, reason, phase, begun, from_delivery, records, keys, lines)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT coalesce(max(id), 0) FROM delivery), 0, 0, ?7)",
        )
        .said()?
        .execute((
            request.0.as_slice(),
            person.0.as_slice(),
            row,
            reason,
            phase,
            at,
            // Files hold lines of accounts, and of those that are erased only.
            (kind == CUSTOMER || !erases).then_some(0),
        ))
        .said()?;
    if let Some(row) = row {
        tx.conn.prepare_cached("UPDATE identity SET needs_decision = 0, work = 0 WHERE id = ?1").said()?.execute([row]).said()?;
        give_up(tx, row, at)?;
    }
    Ok(true)
}

/// What was never sent, and what stands aside, is given up: nothing new reaches the CRM only to be withdrawn.
fn give_up(tx: &Tx<'_>, identity: i64, at: i64) -> Result<(), StoreError> {
    let rule = ActivityState::Dropped(DropRule::NotPermitted).number();
    let dropped: Vec<(i64, Option<i64>)> = tx
        .conn
        .prepare_cached(
            "UPDATE delivery SET state = 5, open = 0, dropped_by = ?2, code = NULL, reason = NULL, changed_at = ?3
             WHERE identity = ?1 AND (state = 3 OR (state = 0 AND attempt = 0)) RETURNING id, activity",
        )
        .said()?
        .query_map((identity, rule, at), |row| Ok((row.get(0)?, row.get(1)?)))
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    settle_dropped(tx, dropped).map(|_count| ())
}

/// Stops persons who are known by their keyed hash alone: a later history of this state erased them, or heard their objection. Whether a hold stood
/// was asked then. Returns for each whether it is new here.
pub(in crate::store::sqlite) fn stop_again(
    tx: &mut Tx<'_>,
    ring: &KeyRing,
    at: Timestamp,
    request: RequestId,
    persons: &[(SubjectHash, bool, RemovalReason)],
) -> Result<Vec<bool>, StoreError> {
    let mut new = Vec::with_capacity(persons.len());
    for (person, is_customer, reason) in persons {
        let row: Option<i64> = if *is_customer {
            None
        } else {
            let mut statement = tx.conn.prepare_cached("SELECT id FROM identity WHERE hash = ?1").said()?;
            statement.query_row([person.0.as_slice()], |row| row.get(0)).optional().said()?
        };
        new.push(begin(tx, (at, request, *reason), (*person, if *is_customer { CUSTOMER } else { ACCOUNT }), row)?);
    }
    let gone: HashSet<SubjectHash> = persons.iter().filter(|(_, is_customer, _)| *is_customer).map(|(person, ..)| *person).collect();
    if !gone.is_empty() {
        let ids: Vec<Arc<str>> = tx
            .conn
            .prepare_cached("SELECT id FROM customer UNION SELECT customer FROM link")
            .said()?
            .query_map((), |row| row.get(0))
            .said()?
            .collect::<Result<_, _>>()
            .said()?;
        let customers: HashSet<CustomerId> =
            ids.into_iter().map(CustomerId).filter(|id| gone.contains(&ring.hashes().customer(id))).collect();
        if !customers.is_empty() {
            forget_customers(tx, &customers)?;
        }
    }
    Ok(new)
}

/// Takes customers out of decisions about others, who are decided about again without them, and out of the last read.
fn forget_customers(tx: &Tx<'_>, customers: &HashSet<CustomerId>) -> Result<(), StoreError> {
    let mut found: Vec<(i64, i64, bool, Option<String>, bool)> = Vec::new();
    {
        let mut statement = tx
            .conn
            .prepare_cached("SELECT id, identity, current, customer, candidates FROM decision WHERE candidates IS NOT NULL")
            .said()?;
        let mut rows = statement.query(()).said()?;
        while let Some(row) = rows.next().said()? {
            let customer: Option<Arc<str>> = row.get(3).said()?;
            let json: String = row.get(4).said()?;
            let candidates: Vec<String> = serde_json::from_str(&json).unwrap_or_default();
            let named = |id: &str| customers.contains(&CustomerId::from(id));
            let best = customer.as_deref().is_some_and(named);
            if best || candidates.iter().any(|id| named(id)) {
                let left: Vec<&str> = candidates.iter().map(String::as_str).filter(|id| !named(id)).collect();
                let left = (!left.is_empty()).then(|| serde_json::Value::from(left).to_string());
                found.push((row.get(0).said()?, row.get(1).said()?, row.get(2).said()?, left, best));
            }
        }
    }
    for (decision, identity, current, left, best) in found {
        let sql = if best {
            "UPDATE decision SET candidates = ?2, customer = NULL WHERE id = ?1"
        } else {
            "UPDATE decision SET candidates = ?2 WHERE id = ?1"
        };
        // A linked account keeps its customer until its own removal ends the link.
        let linked: bool = tx
            .conn
            .prepare_cached("SELECT outcome = 0 AND current = 1 FROM decision WHERE id = ?1")
            .said()?
            .query_row([decision], |row| row.get(0))
            .said()?;
        if best && linked {
            continue;
        }
        tx.conn.prepare_cached(sql).said()?.execute((decision, left)).said()?;
        if current && !suppressed::is_identity(tx, identity)? {
            tx.conn
                .prepare_cached("UPDATE identity SET needs_decision = 1, work = 1 WHERE id = ?1 AND account IS NOT NULL")
                .said()?
                .execute([identity])
                .said()?;
        }
    }
    for customer in customers {
        for sql in [
            "DELETE FROM customer WHERE id = ?1",
            "UPDATE delivery SET customer = NULL WHERE customer = ?1 AND open = 0",
            "UPDATE link SET customer = '' WHERE customer = ?1 AND ended IS NOT NULL",
            "DELETE FROM verdict WHERE customer = ?1",
            "UPDATE guarded SET examples = NULL WHERE examples IS NOT NULL AND instr(examples, ?1) > 0",
            "UPDATE verdict SET rejected = (SELECT json_group_array(value) FROM json_each(rejected) WHERE value <> ?1)
             WHERE rejected IS NOT NULL AND instr(rejected, ?1) > 0",
        ] {
            tx.conn.prepare_cached(sql).said()?.execute([customer.as_str()]).said()?;
        }
    }
    Ok(())
}

/// Customers that must not be matched again.
pub(in crate::store::sqlite) fn suppressed_customers(conn: &Connection) -> Result<Vec<SubjectHash>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT person FROM suppressed WHERE kind = 1").said()?;
    let rows: Vec<Vec<u8>> = statement.query_map((), |row| row.get(0)).said()?.collect::<Result<_, _>>().said()?;
    rows.iter().map(|bytes| hash(bytes)).collect()
}
