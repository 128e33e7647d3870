//! Evidence in its table: the number of the entry of the log that holds it, eight bytes.
//!
//! The entry is durable with the decision and its bytes never change, so the evidence stands once: sealed person by person, every weight
//! to its bit. A customer's destroyed key takes that customer's values with it and leaves the rest.

use super::error::{InDatabase, damaged};
use super::sequence;
use crate::audit::{Entry, Part, SealedEvidence};
use crate::model::Evidence;
use crate::store::ring::KeyRing;
use crate::store::{IdentityRow, StoreError};
use rusqlite::{Connection, OptionalExtension};

/// What the table holds of a decision whose entry has this number.
pub(super) fn place(entry: i64) -> [u8; 8] {
    entry.to_be_bytes()
}

/// The evidence that stands at this place; `None` where the entry holds none, and for what an early version kept here instead of a place.
pub(super) fn read(conn: &Connection, place: &[u8]) -> Result<Option<SealedEvidence>, StoreError> {
    let Ok(number) = place.try_into().map(i64::from_be_bytes) else { return Ok(None) };
    let bytes: Vec<u8> = conn
        .prepare_cached("SELECT bytes FROM leaf WHERE seq = ?1")
        .said()?
        .query_row([number], |row| row.get(0))
        .optional()
        .said()?
        .ok_or_else(|| damaged("evidence names an entry that is not there"))?;
    match Entry::decode(&bytes).map_err(|_not_an_entry| damaged("the entry that holds evidence can't be read"))?.evidence {
        None => Ok(None),
        Some(Part::Here(evidence)) => Ok(Some(evidence)),
        Some(Part::ByDigest(part)) => {
            let bytes = sequence::part(conn, &part.digest)?.ok_or_else(|| damaged("a part of an entry is not there"))?;
            SealedEvidence::from_bytes(&bytes).map(Some).map_err(|_not_evidence| damaged("evidence can't be read"))
        }
    }
}

/// The evidence of the decision in force about an account; `None` where there is none.
pub(super) fn of_current(conn: &Connection, identity: IdentityRow) -> Result<Option<SealedEvidence>, StoreError> {
    let place: Option<Vec<u8>> = conn
        .prepare_cached("SELECT e.sealed FROM decision d JOIN evidence e ON e.decision = d.id WHERE d.identity = ?1 AND d.current = 1")
        .said()?
        .query_row([identity.0], |row| row.get(0))
        .optional()
        .said()?;
    place.map_or(Ok(None), |place| read(conn, &place))
}

/// Opens evidence; `None` where the identity's key was destroyed.
pub(super) fn open(ring: &KeyRing, sealed: &SealedEvidence) -> Result<Option<Evidence>, StoreError> {
    let opened = ring.with_keys(|keys| sealed.open(keys))?;
    let opened = opened.map_err(|error| StoreError::Damaged(format!("evidence: {error}")))?;
    Ok((!opened.identity_erased).then_some(opened.evidence))
}
