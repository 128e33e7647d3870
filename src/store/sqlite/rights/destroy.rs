//! Destroying keys: what they sealed is gone, wherever it stands.

use super::hash;
use crate::audit::{KeyId, RetentionClass};
use crate::store::StoreError;
use crate::store::ring::ForgottenKey;
use crate::store::sqlite::error::{InDatabase, damaged};
use crate::store::sqlite::names::Numbered;
use crate::store::sqlite::writer::Tx;

/// Destroys a person's keys of these classes, closed ones too. Returns how many, and their ids.
pub(super) fn keys(tx: &mut Tx<'_>, person: &[u8], classes: &[RetentionClass]) -> Result<Vec<KeyId>, StoreError> {
    let mut gone = Vec::new();
    for class in classes {
        let ids: Vec<[u8; 16]> = tx
            .conn
            .prepare_cached("DELETE FROM person_key WHERE person = ?1 AND class = ?2 RETURNING key_id")
            .said()?
            .query_map((person, class.number()), |row| row.get(0))
            .said()?
            .collect::<Result<_, _>>()
            .said()?;
        // Also where there is none: one may be minted and not durable yet.
        tx.forget(ForgottenKey { person: hash(person)?, class: *class, id: None });
        for id in ids {
            tx.forget(ForgottenKey { person: hash(person)?, class: *class, id: Some(KeyId(id)) });
            gone.push(KeyId(id));
        }
    }
    Ok(gone)
}

/// Destroys one key by its number.
pub(super) fn key(tx: &mut Tx<'_>, number: i64) -> Result<(), StoreError> {
    let (id, person, class): ([u8; 16], Vec<u8>, i64) = tx
        .conn
        .prepare_cached("DELETE FROM person_key WHERE id = ?1 RETURNING key_id, person, class")
        .said()?
        .query_row([number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .said()
        .map_err(|_gone| damaged("a key that was to be destroyed is not there"))?;
    let key = ForgottenKey { person: hash(&person)?, class: RetentionClass::from_number(class)?, id: Some(KeyId(id)) };
    tx.forget(key);
    Ok(())
}
