//! What people said: written with its entry, and which of it decisions follow.

use crate::model::{CustomerId, Said, Word};
use crate::store::ring::KeyRing;
use crate::store::sqlite::error::{InDatabase, damaged};
use crate::store::sqlite::names::nanoseconds;
use crate::store::sqlite::rights::suppressed;
use crate::store::sqlite::work::customers_listed;
use crate::store::sqlite::writer::Tx;
use crate::store::{CaseToken, JudgeStep, Judged, Names, StoreError};
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;

const CUSTOMER: i64 = 0;
const NOBODY: i64 = 1;
const UNSURE: i64 = 2;

/// As columns.
const fn number(said: &Said) -> i64 {
    match said {
        Said::Customer(_) => CUSTOMER,
        Said::Nobody => NOBODY,
        Said::Unsure => UNSURE,
    }
}

/// From columns.
pub(super) fn said(number: i64, customer: Option<Arc<str>>) -> Result<Said, StoreError> {
    match (number, customer) {
        (CUSTOMER, Some(customer)) => Ok(Said::Customer(CustomerId(customer))),
        (NOBODY, _) => Ok(Said::Nobody),
        (UNSURE, _) => Ok(Said::Unsure),
        _ => Err(damaged("a verdict that says nothing")),
    }
}

/// The word that decisions about an account follow.
pub(in crate::store::sqlite) fn in_force(conn: &Connection, identity: i64) -> Result<Option<Word>, StoreError> {
    let found: Option<(i64, Option<Arc<str>>, Option<String>)> = conn
        .prepare_cached("SELECT said, customer, rejected FROM verdict WHERE identity = ?1 AND in_force = 1")
        .said()?
        .query_row([identity], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .said()?;
    let Some((number, customer, rejected)) = found else { return Ok(None) };
    Ok(match said(number, customer)? {
        Said::Customer(customer) => Some(Word::Customer(customer)),
        Said::Unsure => None,
        Said::Nobody => Some(Word::Nobody { rejected: customers_listed(rejected.as_deref())?.into() }),
    })
}

/// Whom a word about a case may name: its candidates, and whom a person linked earlier, who need not be among them.
pub(super) fn named(mut candidates: Vec<CustomerId>, linked: Option<&CustomerId>) -> Vec<CustomerId> {
    if let Some(linked) = linked.filter(|linked| !candidates.contains(linked)) {
        candidates.push(linked.clone());
    }
    candidates
}

/// The state of a case.
pub(super) fn token(evidence: &[u8], verdict: Option<i64>) -> CaseToken {
    let mut first = [0; 6];
    first.iter_mut().zip(evidence).for_each(|(to, from)| *to = *from);
    CaseToken { evidence: first, verdict: verdict.unwrap_or(0) }
}

struct Case {
    identity: i64,
    evidence: Vec<u8>,
    customer: Option<Arc<str>>,
    candidates: Option<String>,
    verdict: Option<i64>,
}

fn case(tx: &Tx<'_>, hash: &[u8]) -> Result<Option<Case>, StoreError> {
    tx.conn
        .prepare_cached(
            "SELECT i.id, d.evidence_digest, d.customer, d.candidates, v.id
             FROM identity i JOIN decision d ON d.identity = i.id AND d.current = 1
             LEFT JOIN verdict v ON v.identity = i.id AND v.in_force = 1
             WHERE i.hash = ?1 AND i.account IS NOT NULL",
        )
        .said()?
        .query_row([hash], |row| {
            Ok(Case { identity: row.get(0)?, evidence: row.get(1)?, customer: row.get(2)?, candidates: row.get(3)?, verdict: row.get(4)? })
        })
        .optional()
        .said()
}

/// Stores one person's word, where it is about what they looked at.
pub(super) fn judge(tx: &mut Tx<'_>, ring: &KeyRing, step: &JudgeStep) -> Result<Judged, StoreError> {
    let hash = ring.hashes().identity(&step.id).0;
    let Some(case) = case(tx, &hash)? else { return Ok(Judged::Unknown) };
    if suppressed::is_identity(tx, case.identity)? {
        return Ok(Judged::Unknown);
    }
    if step.case.is_some_and(|seen| seen != token(&case.evidence, case.verdict)) {
        return Ok(Judged::Stale);
    }
    let candidates = named(customers_listed(case.candidates.as_deref())?, case.customer.clone().map(CustomerId).as_ref());
    if let Said::Customer(customer) = &step.said {
        match step.names {
            Names::Candidates if !candidates.contains(customer) => return Ok(Judged::NoCandidate),
            Names::AnyCustomer if !customer_in_force(tx, customer)? => return Ok(Judged::NoCustomer),
            Names::Candidates | Names::AnyCustomer => {}
        }
    }
    let entry = tx.append(&step.leaf)?;
    tx.conn
        .prepare_cached("UPDATE verdict SET latest = 0 WHERE identity = ?1 AND author = ?2 AND latest = 1")
        .said()?
        .execute((case.identity, &*step.author))
        .said()?;
    let (customer, rejected) = match &step.said {
        Said::Customer(customer) => (Some(customer.as_str()), None),
        Said::Nobody => {
            let ids: Vec<&str> = candidates.iter().map(CustomerId::as_str).collect();
            (None, Some(serde_json::Value::from(ids).to_string()))
        }
        Said::Unsure => (None, None),
    };
    tx.conn
        .prepare_cached(
            "INSERT INTO verdict (identity, said, customer, rejected, author, at, entry, latest, in_force)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, 0)",
        )
        .said()?
        .execute((
            case.identity,
            number(&step.said),
            customer,
            rejected,
            &*step.author,
            nanoseconds(step.at),
            i64::try_from(entry).unwrap_or(i64::MAX),
        ))
        .said()?;
    let row = tx.conn.last_insert_rowid();
    if step.said == Said::Unsure {
        return Ok(Judged::Noted);
    }
    weigh(tx, &case, row, &step.said, step.reviewers.max(1))
}

/// What people's last words come to, with the new one among them.
fn weigh(tx: &Tx<'_>, case: &Case, row: i64, new: &Said, reviewers: u32) -> Result<Judged, StoreError> {
    let words: Vec<(i64, Option<Arc<str>>)> = tx
        .conn
        .prepare_cached("SELECT said, customer FROM verdict WHERE identity = ?1 AND latest = 1 AND said <> 2")
        .said()?
        .query_map([case.identity], |row| Ok((row.get(0)?, row.get(1)?)))
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    let mut same = 0_u32;
    let mut others = false;
    for (number, customer) in words {
        if said(number, customer)? == *new {
            same += 1;
        } else {
            others = true;
        }
    }
    if same < reviewers {
        return Ok(if others { Judged::Disputed } else { Judged::Waits(reviewers - same) });
    }
    let before: Option<(i64, Option<Arc<str>>)> = tx
        .conn
        .prepare_cached("SELECT said, customer FROM verdict WHERE identity = ?1 AND in_force = 1")
        .said()?
        .query_row([case.identity], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .said()?;
    let before = before.map(|(number, customer)| said(number, customer)).transpose()?;
    // "None of them" said again is about the candidates of now.
    let already = before.as_ref() == Some(new) && *new != Said::Nobody;
    tx.conn
        .prepare_cached("UPDATE verdict SET in_force = 0 WHERE identity = ?1 AND in_force = 1")
        .said()?
        .execute([case.identity])
        .said()?;
    tx.conn.prepare_cached("UPDATE verdict SET in_force = 1 WHERE id = ?1").said()?.execute([row]).said()?;
    if already {
        return Ok(Judged::Already);
    }
    tx.conn.prepare_cached("UPDATE identity SET needs_decision = 1, work = 1 WHERE id = ?1").said()?.execute([case.identity]).said()?;
    Ok(Judged::Stands)
}

fn customer_in_force(tx: &Tx<'_>, customer: &CustomerId) -> Result<bool, StoreError> {
    tx.conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM customer WHERE id = ?1 AND retired = 0)")
        .said()?
        .query_row([customer.as_str()], |row| row.get(0))
        .said()
}
