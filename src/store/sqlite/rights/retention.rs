//! The retention clocks: what is older than its clock allows goes, batch by batch, and keys that seal nothing any more with it. A hold stops them.

use super::{destroy, stop};
use crate::audit::{Binding, RetentionClass, SubjectHash};
use crate::model::{Outcome, Personal};
use crate::store::ring::{ForgottenKey, KeyRing, Person};
use crate::store::sqlite::content::{DeliveryContent, decode_delivery, encode_delivery};
use crate::store::sqlite::decide::forget;
use crate::store::sqlite::error::InDatabase;
use crate::store::sqlite::intake::hex;
use crate::store::sqlite::names::{Numbered, nanoseconds, unsigned};
use crate::store::sqlite::outbox::DELIVERY_BINDING;
use crate::store::sqlite::work::{digest, unseal};
use crate::store::sqlite::writer::Tx;
use crate::store::{ClockEnded, ClockKind, ClockStep, StoreError};
use rusqlite::{Connection, OptionalExtension};
use std::collections::{BTreeMap, BTreeSet};

/// A key that ends by its age seals for a twelfth of its clock, and then only opens: so a value lives for eleven twelfths of the clock at least, and
/// never longer than it.
const PARTS: i64 = 12;

/// To become known costs a key one number: so many times the batch, 10,000 keys in some 50 ms.
const KNOWN_AT_ONCE: i64 = 20;

/// Of which networks: all but some, or one.
pub(super) const NETWORKS: &str = "(?2 IS NULL OR i.network = ?2) AND i.network NOT IN (SELECT value FROM json_each(?3))";

/// Whose data stand still by name.
const NOT_HELD: &str = "NOT EXISTS (SELECT 1 FROM hold h WHERE h.person = i.hash)";

pub(super) fn networks(step: &ClockStep) -> (Option<&'static str>, String) {
    let except: Vec<&str> = step.except.iter().map(|network| network.name()).collect();
    (step.only.map(crate::model::Network::name), serde_json::Value::from(except).to_string())
}

fn limit(step: &ClockStep) -> i64 {
    crate::store::sqlite::page(step.limit)
}

/// Activities that a batch ends, none of them on its way to a target.
fn due_activities() -> String {
    format!(
        "SELECT a.id, a.identity, i.hash FROM activity a JOIN identity i ON i.id = a.identity
         WHERE a.sealed IS NOT NULL AND a.received < ?1 AND {NETWORKS} AND {NOT_HELD}
           AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.activity = a.id AND d.open = 1) ORDER BY a.received, a.id LIMIT ?4"
    )
}

/// A delivery that wrote what still stands: number, idempotency key, sealed.
pub(super) type RawThin = (i64, Vec<u8>, Vec<u8>);

/// Reads the deliveries of a batch's activities that stand written: a later withdrawal needs their record's key, and nothing else of them.
pub(super) fn read_thin(conn: &Connection, step: &ClockStep) -> Result<Vec<RawThin>, StoreError> {
    if step.clock != ClockKind::Activities {
        return Ok(Vec::new());
    }
    let (only, except) = networks(step);
    conn.prepare_cached(&format!(
        "SELECT d.id, d.idempotency, d.sealed FROM ({}) due JOIN delivery d ON d.activity = due.id
         WHERE EXISTS (SELECT 1 FROM written w WHERE w.identity = d.identity AND w.record = d.record AND w.delivery = d.id)",
        due_activities()
    ))
    .said()?
    .query_map((nanoseconds(step.before), only, except, limit(step)), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    .said()?
    .collect::<Result<_, _>>()
    .said()
}

/// Seals them anew with what a withdrawal needs; by delivery.
pub(super) fn thin(ring: &KeyRing, raw: Vec<RawThin>) -> Result<BTreeMap<i64, Vec<u8>>, StoreError> {
    let mut random = ring.stream();
    let mut thinned = BTreeMap::new();
    for (id, idempotency, sealed) in raw {
        let field = hex(&idempotency);
        let Some(plain) = unseal(ring, DELIVERY_BINDING, &field, &sealed)? else {
            thinned.insert(id, Vec::new());
            continue;
        };
        let content = DeliveryContent { payload: Personal::new(Vec::new()), expects: None, ..decode_delivery(&plain)? };
        let binding = Binding { kind: DELIVERY_BINDING, field: &field };
        let person = Person::Identity(&content.identity);
        let sealed = ring.seal(person, RetentionClass::Activity, binding, &encode_delivery(&content), &mut random)?;
        thinned.insert(id, sealed.to_bytes());
    }
    Ok(thinned)
}

/// Runs one batch.
pub(super) fn run(tx: &mut Tx<'_>, ring: &KeyRing, step: &ClockStep, thin: &BTreeMap<i64, Vec<u8>>) -> Result<ClockEnded, StoreError> {
    let (records, mut keys, mut more) = match step.clock {
        ClockKind::Strangers => strangers(tx, ring, step)?,
        ClockKind::Profiles => profiles(tx, ring, step)?,
        ClockKind::Activities => activities(tx, ring, step, thin)?,
        ClockKind::Audit => (0, 0, false),
    };
    // A customer belongs to no network.
    if step.only.is_none() && step.clock != ClockKind::Activities {
        let (aged, left) = by_age(tx, step)?;
        keys += aged;
        more |= left;
    }
    let ended = ClockEnded { clock: step.clock, records, keys, more };
    if records + keys > 0 {
        tx.append_all(&(step.tell.0)(&ended)?)?;
    }
    Ok(ended)
}

/// Accounts, and whether there may be more of them.
type Accounts = (Vec<(i64, [u8; 16])>, bool);

/// Accounts that a query names, without those whose customer is held.
fn accounts(tx: &Tx<'_>, ring: &KeyRing, step: &ClockStep, which: &str) -> Result<Accounts, StoreError> {
    let (only, except) = networks(step);
    let found: Vec<(i64, [u8; 16])> = tx
        .conn
        .prepare_cached(&format!(
            "SELECT i.id, i.hash FROM identity i LEFT JOIN decision d ON d.identity = i.id AND d.current = 1
             WHERE i.account IS NOT NULL AND i.received < ?1 AND {NETWORKS} AND {NOT_HELD} AND {which} ORDER BY i.received LIMIT ?4"
        ))
        .said()?
        .query_map((nanoseconds(step.before), only, except, limit(step)), |row| Ok((row.get(0)?, row.get(1)?)))
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    let more = found.len() >= step.limit;
    let mut free = Vec::with_capacity(found.len());
    for (row, hash) in found {
        let person = SubjectHash(hash);
        if stop::account_held(tx.conn, ring, (person, Some(row)))?.is_some() {
            cover(tx, ring, person, row)?;
        } else {
            free.push((row, hash));
        }
    }
    Ok((free, more))
}

/// An account that was linked to a customer after the customer's hold was placed: the hold covers it, and it is not looked at again.
pub(super) fn cover(tx: &Tx<'_>, ring: &KeyRing, person: SubjectHash, row: i64) -> Result<(), StoreError> {
    let customer: Option<std::sync::Arc<str>> = tx
        .conn
        .prepare_cached("SELECT customer FROM link WHERE identity = ?1 AND ended IS NULL")
        .said()?
        .query_row([row], |row| row.get(0))
        .optional()
        .said()?;
    let Some(customer) = customer else { return Ok(()) };
    let whom = ring.hashes().customer(&crate::model::CustomerId(customer));
    tx.conn
        .prepare_cached(
            "INSERT INTO hold (person, placed_for, matter, author, at)
             SELECT ?1, placed_for, matter, author, at FROM hold WHERE person = ?2 ON CONFLICT DO NOTHING",
        )
        .said()?
        .execute((person.0.as_slice(), whom.0.as_slice()))
        .said()?;
    Ok(())
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Everything about people who turned out to be strangers, but for what a Delete upstream needs to reach a record that was written.
fn strangers(tx: &mut Tx<'_>, ring: &KeyRing, step: &ClockStep) -> Result<(u64, u64, bool), StoreError> {
    let (found, more) = accounts(tx, ring, step, &format!("d.outcome = {} AND i.work = 0", Outcome::NotLinked.number()))?;
    let (mut records, mut keys) = (0, 0);
    for (identity, hash) in found {
        let mut gone = 1;
        for sql in [
            "UPDATE activity SET sealed = NULL, version_id = NULL
             WHERE object IN (SELECT id FROM object WHERE identity = ?1) AND sealed IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.activity = activity.id AND d.open = 1)",
            "UPDATE delivery SET sealed = x'', customer = NULL WHERE identity = ?1 AND open = 0 AND length(sealed) > 0
               AND NOT EXISTS (SELECT 1 FROM written w WHERE w.identity = ?1 AND w.record = delivery.record AND w.delivery = delivery.id)",
        ] {
            gone += tx.conn.prepare_cached(sql).said()?.execute([identity]).said()?;
        }
        forget(tx, identity)?;
        records += count(gone);
        keys += count(destroy::keys(tx, &hash, &[RetentionClass::Unlinked, RetentionClass::Profile])?.len());
        keys += unused_activity_key(tx, identity, &hash)?;
    }
    Ok((records, keys, more))
}

/// The key of what an account said goes when nothing is sealed under it any more.
fn unused_activity_key(tx: &mut Tx<'_>, identity: i64, hash: &[u8]) -> Result<u64, StoreError> {
    let used: bool = tx
        .conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM object o JOIN activity a ON a.object = o.id WHERE o.identity = ?1 AND a.sealed IS NOT NULL)
                 OR EXISTS (SELECT 1 FROM delivery d WHERE d.identity = ?1 AND length(d.sealed) > 0)
                 OR EXISTS (SELECT 1 FROM delivery d JOIN attempt t ON t.delivery = d.id WHERE d.identity = ?1 AND t.sealed IS NOT NULL)",
        )
        .said()?
        .query_row([identity], |row| row.get(0))
        .said()?;
    if used { Ok(0) } else { Ok(count(destroy::keys(tx, hash, &[RetentionClass::Activity])?.len())) }
}

/// What people show. Their links stay, and levels, weights and rules in the evidence.
fn profiles(tx: &mut Tx<'_>, ring: &KeyRing, step: &ClockStep) -> Result<(u64, u64, bool), StoreError> {
    let which = format!("i.profile IS NOT NULL AND (d.outcome IS NULL OR d.outcome <> {})", Outcome::NotLinked.number());
    let (found, more) = accounts(tx, ring, step, &which)?;
    let (mut records, mut keys) = (0, 0);
    for (identity, hash) in found {
        let sql = "UPDATE identity SET profile = NULL, profile_hash = NULL, rectified = NULL WHERE id = ?1";
        records += count(tx.conn.prepare_cached(sql).said()?.execute([identity]).said()?);
        keys += count(destroy::keys(tx, &hash, &[RetentionClass::Profile, RetentionClass::Unlinked])?.len());
    }
    Ok((records, keys, more))
}

/// What people said, and lines that stand aside.
fn activities(tx: &mut Tx<'_>, ring: &KeyRing, step: &ClockStep, thin: &BTreeMap<i64, Vec<u8>>) -> Result<(u64, u64, bool), StoreError> {
    let (only, except) = networks(step);
    let due: Vec<(i64, i64, [u8; 16])> = tx
        .conn
        .prepare_cached(&due_activities())
        .said()?
        .query_map((nanoseconds(step.before), only, except, limit(step)), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    let (mut records, mut keys, mut more) = (0, 0, due.len() >= step.limit);
    let mut touched = BTreeSet::new();
    for (activity, identity, hash) in due {
        if stop::account_held(tx.conn, ring, (SubjectHash(hash), Some(identity)))?.is_some() {
            cover(tx, ring, SubjectHash(hash), identity)?;
            continue;
        }
        if !end_deliveries(tx, activity, thin)? {
            continue;
        }
        // What still waits for somebody after all this time has had its time.
        let sql =
            "UPDATE activity SET sealed = NULL, version_id = NULL, state = CASE WHEN state IN (0, 1) THEN 5 ELSE state END WHERE id = ?1";
        tx.conn.prepare_cached(sql).said()?.execute([activity]).said()?;
        records += 1;
        touched.insert((identity, hash));
    }
    for (identity, hash) in touched {
        keys += unused_activity_key(tx, identity, &hash)?;
    }
    if step.only.is_none() {
        let (lines, files) = lines(tx, ring, step)?;
        records += lines;
        keys += files;
        more |= lines >= count(step.limit);
    }
    Ok((records, keys, more))
}

/// What the deliveries of an activity say goes, but for the record's key where it stands written; false where one was planned a moment ago.
fn end_deliveries(tx: &Tx<'_>, activity: i64, thin: &BTreeMap<i64, Vec<u8>>) -> Result<bool, StoreError> {
    let deliveries: Vec<(i64, bool)> = tx
        .conn
        .prepare_cached(
            "SELECT d.id, EXISTS (SELECT 1 FROM written w WHERE w.identity = d.identity AND w.record = d.record AND w.delivery = d.id)
             FROM delivery d WHERE d.activity = ?1",
        )
        .said()?
        .query_map([activity], |row| Ok((row.get(0)?, row.get(1)?)))
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    if deliveries.iter().any(|(id, written)| *written && !thin.contains_key(id)) {
        return Ok(false);
    }
    for (id, written) in deliveries {
        let sealed = if written { thin.get(&id).map_or(&[][..], Vec::as_slice) } else { &[] };
        tx.conn.prepare_cached("UPDATE delivery SET sealed = ?2 WHERE id = ?1").said()?.execute((id, sealed)).said()?;
        tx.conn
            .prepare_cached("UPDATE attempt SET sealed = NULL WHERE delivery = ?1 AND sealed IS NOT NULL")
            .said()?
            .execute([id])
            .said()?;
    }
    Ok(true)
}

/// Lines that stand aside; the key of a file goes with its last line.
fn lines(tx: &mut Tx<'_>, ring: &KeyRing, step: &ClockStep) -> Result<(u64, u64), StoreError> {
    let due: Vec<(i64, Vec<u8>)> = tx
        .conn
        .prepare_cached("SELECT id, file_digest FROM parked_line WHERE sealed IS NOT NULL AND at < ?1 ORDER BY id LIMIT ?2")
        .said()?
        .query_map((nanoseconds(step.before), limit(step)), |row| Ok((row.get(0)?, row.get(1)?)))
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    let mut files = BTreeSet::new();
    for (id, file) in &due {
        tx.conn.prepare_cached("UPDATE parked_line SET sealed = NULL WHERE id = ?1").said()?.execute([id]).said()?;
        files.insert(file.clone());
    }
    let mut keys = 0;
    for file in files {
        let used: bool = tx
            .conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM parked_line WHERE file_digest = ?1 AND sealed IS NOT NULL)")
            .said()?
            .query_row([&file], |row| row.get(0))
            .said()?;
        if !used {
            let person = ring.person(Person::File(&digest(&file)?));
            keys += count(destroy::keys(tx, &person.0, &[RetentionClass::Activity])?.len());
        }
    }
    Ok((count(due.len()), keys))
}

/// Keys by their age: those not known yet are, those that sealed long enough are closed, those whose clock ended are destroyed. Of entries all;
/// of the other classes those of customers, whose values stand in the evidence about others and are never seen again. An account's live as long
/// as it is seen.
fn by_age(tx: &mut Tx<'_>, step: &ClockStep) -> Result<(u64, bool), StoreError> {
    let class = step.clock.class();
    let (now, before, limit, number) = (nanoseconds(step.now), nanoseconds(step.before), limit(step), class.number());
    // The key of an account, which no age ends, is known from the end of time: it is not looked at again.
    let since = match class {
        RetentionClass::Audit => "?1",
        RetentionClass::Unlinked | RetentionClass::Profile | RetentionClass::Activity => {
            "CASE WHEN EXISTS (SELECT 1 FROM identity i WHERE i.hash = person_key.person) THEN 9223372036854775807 ELSE ?1 END"
        }
    };
    let known = tx
        .conn
        .prepare_cached(&format!(
            "UPDATE person_key SET minted = {since}
             WHERE id IN (SELECT id FROM person_key WHERE class = ?2 AND minted IS NULL LIMIT ?3)"
        ))
        .said()?
        .execute((now, number, limit.saturating_mul(KNOWN_AT_ONCE)))
        .said()?;
    let seals_until = now.saturating_sub(now.saturating_sub(before) / PARTS);
    let closed: Vec<(Vec<u8>, [u8; 16])> = tx
        .conn
        .prepare_cached(
            "UPDATE person_key SET closed = id
             WHERE id IN (SELECT id FROM person_key WHERE class = ?1 AND minted < ?2 AND closed = 0 LIMIT ?3) RETURNING person, key_id",
        )
        .said()?
        .query_map((number, seals_until, limit), |row| Ok((row.get(0)?, row.get(1)?)))
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    for (person, id) in &closed {
        tx.forget(ForgottenKey { person: super::hash(person)?, class, id: Some(crate::audit::KeyId(*id)) });
    }
    let due: Vec<i64> = tx
        .conn
        .prepare_cached(
            "SELECT id FROM person_key k WHERE class = ?1 AND minted < ?2 AND NOT EXISTS (SELECT 1 FROM hold h WHERE h.person = k.person)
             ORDER BY minted LIMIT ?3",
        )
        .said()?
        .query_map((number, before, limit), |row| row.get(0))
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    for number in &due {
        destroy::key(tx, *number)?;
    }
    let more = count(known) >= unsigned(limit.saturating_mul(KNOWN_AT_ONCE)) || closed.len() >= step.limit || due.len() >= step.limit;
    Ok((count(due.len()), more))
}
