//! A field's clock: what an account showed in it goes and the rest stays, until the account is seen again.
//!
//! The key that sealed the profile is destroyed, so that the field's value is gone from evidence in the log, too; what stays of the profile is
//! sealed anew under the key of what the account said. An account whose profile lacks a field so is not decided about again by itself: it has no
//! `profile_hash`, as one that shows nothing.

use super::retention::{NETWORKS, networks};
use super::{destroy, hash, stop};
use crate::audit::{Binding, RetentionClass};
use crate::model::Personal;
use crate::store::ring::{KeyRing, Person};
use crate::store::sqlite::content::{RECTIFIED_BINDING, decode_fields, decode_profile, encode_fields, encode_profile};
use crate::store::sqlite::error::InDatabase;
use crate::store::sqlite::intake::{PROFILE_BINDING, hex};
use crate::store::sqlite::names::nanoseconds;
use crate::store::sqlite::sequence;
use crate::store::sqlite::work::{identity_id, unseal};
use crate::store::sqlite::writer::Tx;
use crate::store::{ClockEnded, ClockStep, StoreError};
use rusqlite::{Connection, Row};

/// Before the name of a field: how far its clock has come.
const REACHED: &str = "field_clock ";

/// Under which name the store keeps how far a field's clock has come. Other networks, another name: whom another clock was about before is looked at.
fn reached(step: &ClockStep) -> Option<String> {
    let field = step.field.as_ref()?;
    let only = step.only.map(|network| format!(" on {network}")).unwrap_or_default();
    let except = step.except.iter().fold(String::new(), |text, network| text + " but " + network.name());
    Some(format!("{REACHED}{field}{only}{except}"))
}

/// An account whose profile is due, as stored.
pub(super) struct Due {
    row: i64,
    received: i64,
    hash: Vec<u8>,
    network: String,
    account: String,
    profile: Vec<u8>,
    rectified: Option<Vec<u8>>,
}

impl Due {
    fn at(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            row: row.get(0)?,
            received: row.get(1)?,
            hash: row.get(2)?,
            network: row.get(3)?,
            account: row.get(4)?,
            profile: row.get(5)?,
            rectified: row.get(6)?,
        })
    }
}

/// A profile without the field; `None` where it did not show it.
pub(super) struct Trimmed {
    due: Due,
    left: Option<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Accounts whose field is due, in the order in which they were last received, after those that were looked at.
pub(super) fn read(conn: &Connection, step: &ClockStep) -> Result<Vec<Due>, StoreError> {
    let Some(name) = reached(step) else { return Ok(Vec::new()) };
    let reached = sequence::setting(conn, &name)?;
    let reached = reached.as_deref().and_then(|reached| reached.split_once(' '));
    let (received, row): (i64, i64) =
        reached.and_then(|(received, row)| Some((received.parse().ok()?, row.parse().ok()?))).unwrap_or((i64::MIN, 0));
    let (only, except) = networks(step);
    conn.prepare_cached(&format!(
        "SELECT i.id, i.received, i.hash, i.network, i.account, i.profile, i.rectified FROM identity i
         WHERE i.account IS NOT NULL AND i.profile IS NOT NULL AND i.received < ?1 AND {NETWORKS} AND (i.received, i.id) > (?5, ?6)
           AND NOT EXISTS (SELECT 1 FROM hold h WHERE h.person = i.hash) ORDER BY i.received, i.id LIMIT ?4"
    ))
    .said()?
    .query_map((nanoseconds(step.before), only, except, crate::store::sqlite::page(step.limit), received, row), Due::at)
    .said()?
    .collect::<Result<_, _>>()
    .said()
}

/// Seals anew what stays.
pub(super) fn trim(ring: &KeyRing, field: Option<&str>, due: Vec<Due>) -> Result<Vec<Trimmed>, StoreError> {
    let mut random = ring.stream();
    let mut trimmed = Vec::with_capacity(due.len());
    for due in due {
        let name = hex(&due.hash);
        let id = identity_id(&due.network, &due.account)?;
        let mut left = None;
        if let Some(plain) = unseal(ring, PROFILE_BINDING, &name, &due.profile)? {
            let mut profile = decode_profile(&plain)?;
            let mut fields = profile.fields.reveal().clone();
            let corrected = match &due.rectified {
                None => None,
                Some(sealed) => unseal(ring, RECTIFIED_BINDING, &name, sealed)?,
            };
            let mut corrected = corrected.map(|plain| decode_fields(&plain)).transpose()?;
            let before = (fields.len(), corrected.as_ref().map(Vec::len));
            fields.retain(|(path, _)| Some(&**path) != field);
            if let Some(corrected) = &mut corrected {
                corrected.retain(|(path, _)| Some(&**path) != field);
            }
            if before != (fields.len(), corrected.as_ref().map(Vec::len)) {
                profile.fields = Personal::new(fields);
                let mut seal = |kind, plain: &[u8]| {
                    let sealed =
                        ring.seal(Person::Identity(&id), RetentionClass::Activity, Binding { kind, field: &name }, plain, &mut random);
                    sealed.map(|sealed| sealed.to_bytes())
                };
                let corrected = corrected.map(|fields| seal(RECTIFIED_BINDING, &encode_fields(&fields))).transpose()?;
                left = Some((seal(PROFILE_BINDING, &encode_profile(&profile))?, corrected));
            }
        }
        trimmed.push(Trimmed { due, left });
    }
    Ok(trimmed)
}

/// Writes what stays, where nothing came between.
pub(super) fn write(tx: &mut Tx<'_>, ring: &KeyRing, step: &ClockStep, trimmed: &[Trimmed]) -> Result<ClockEnded, StoreError> {
    let (mut records, mut keys) = (0, 0);
    for Trimmed { due, left } in trimmed {
        let Some((profile, rectified)) = left else { continue };
        if stop::account_held(tx.conn, ring, (hash(&due.hash)?, Some(due.row)))?.is_some() {
            super::retention::cover(tx, ring, hash(&due.hash)?, due.row)?;
            continue;
        }
        let sql = "UPDATE identity SET profile = ?2, rectified = ?3, profile_hash = NULL WHERE id = ?1 AND profile = ?4";
        let written = tx.conn.prepare_cached(sql).said()?.execute((due.row, profile, rectified, &due.profile)).said()?;
        if written > 0 {
            records += 1;
            keys += destroy::keys(tx, &due.hash, &[RetentionClass::Profile, RetentionClass::Unlinked])?.len();
        }
    }
    let more = trimmed.len() >= step.limit;
    let ended = ClockEnded { clock: step.clock, records, keys: u64::try_from(keys).unwrap_or(u64::MAX), more };
    let told = if records > 0 { (step.tell.0)(&ended)? } else { Vec::new() };
    let reached = trimmed.last().zip(reached(step));
    let reached = reached.map(|(last, name)| (name, format!("{} {}", last.due.received, last.due.row)));
    sequence::set(tx, reached.as_slice(), &told)?;
    Ok(ended)
}

/// Whoever was held is looked at again.
pub(super) fn begin_anew(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.conn.prepare_cached("DELETE FROM setting WHERE name LIKE ?1 || '%'").said()?.execute([REACHED]).said()?;
    Ok(())
}
