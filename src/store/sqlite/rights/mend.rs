//! What a person corrects or takes back, and who was told.

use crate::audit::{Binding, RetentionClass, SubjectHash};
use crate::model::{Timestamp, Value};
use crate::store::ring::{KeyRing, Person};
use crate::store::sqlite::content::{RECTIFIED_BINDING, decode_fields, encode_fields};
use crate::store::sqlite::error::InDatabase;
use crate::store::sqlite::intake::hex;
use crate::store::sqlite::names::nanoseconds;
use crate::store::sqlite::work::unseal;
use crate::store::sqlite::writer::Tx;
use crate::store::{IdentityRow, RectifyStep, StoreError};
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The person is decided about again; whether the account is known.
fn decide_again(tx: &Tx<'_>, person: SubjectHash) -> Result<bool, StoreError> {
    let changed = tx
        .conn
        .prepare_cached("UPDATE identity SET needs_decision = 1, work = 1 WHERE hash = ?1 AND account IS NOT NULL")
        .said()?
        .execute([person.0.as_slice()])
        .said()?;
    Ok(changed > 0)
}

/// A basis is taken back.
pub(super) fn take_back(tx: &mut Tx<'_>, at: Timestamp, person: SubjectHash, basis: &str, leaf: &[u8]) -> Result<bool, StoreError> {
    if !decide_again(tx, person)? {
        return Ok(false);
    }
    tx.conn
        .prepare_cached("INSERT INTO withdrawn (person, basis, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")
        .said()?
        .execute((person.0.as_slice(), basis, nanoseconds(at)))
        .said()?;
    tx.append(leaf)?;
    Ok(true)
}

/// The corrections so far, sealed.
pub(super) fn read_corrections(conn: &Connection, person: SubjectHash) -> Result<Option<Vec<u8>>, StoreError> {
    let found: Option<Option<Vec<u8>>> = conn
        .prepare_cached("SELECT rectified FROM identity WHERE hash = ?1")
        .said()?
        .query_row([person.0.as_slice()], |row| row.get(0))
        .optional()
        .said()?;
    Ok(found.flatten())
}

/// Corrections, sealed with those before.
pub(super) struct PreparedCorrections {
    sealed: Vec<u8>,
    leaf: Vec<u8>,
}

/// Lays corrections over those before, and seals them.
pub(super) fn prepare(ring: &KeyRing, before: Option<Vec<u8>>, step: &RectifyStep) -> Result<PreparedCorrections, StoreError> {
    let field = hex(&ring.hashes().identity(&step.id).0);
    let before = match before {
        None => None,
        Some(sealed) => unseal(ring, RECTIFIED_BINDING, &field, &sealed)?,
    };
    let mut fields: BTreeMap<Arc<str>, Value> =
        before.map(|plain| decode_fields(&plain)).transpose()?.unwrap_or_default().into_iter().collect();
    fields.extend(step.fields.reveal().iter().cloned());
    let fields: Vec<(Arc<str>, Value)> = fields.into_iter().collect();
    let binding = Binding { kind: RECTIFIED_BINDING, field: &field };
    let person = Person::Identity(&step.id);
    let sealed = ring.seal(person, RetentionClass::Profile, binding, &encode_fields(&fields), &mut ring.stream())?;
    Ok(PreparedCorrections { sealed: sealed.to_bytes(), leaf: step.leaf.clone() })
}

/// Corrections stand from now on.
pub(super) fn rectify(tx: &mut Tx<'_>, person: SubjectHash, prepared: &PreparedCorrections) -> Result<bool, StoreError> {
    if !decide_again(tx, person)? {
        return Ok(false);
    }
    tx.conn
        .prepare_cached("UPDATE identity SET rectified = ?2 WHERE hash = ?1")
        .said()?
        .execute((person.0.as_slice(), &prepared.sealed))
        .said()?;
    tx.append(&prepared.leaf)?;
    Ok(true)
}

/// These people were told.
pub(super) fn noticed(tx: &mut Tx<'_>, at: Timestamp, rows: &[IdentityRow], leaf: &[u8]) -> Result<(), StoreError> {
    for row in rows {
        tx.conn
            .prepare_cached("INSERT INTO noticed (identity, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
            .said()?
            .execute((row.0, nanoseconds(at)))
            .said()?;
    }
    tx.append(leaf).map(drop)
}
