//! Where the ring looks up durable keys.

use super::error::{InDatabase, damaged};
use crate::audit::{KeyId, RetentionClass, SubjectHash};
use crate::store::StoreError;
use crate::store::ring::{KeySource, WrappedKey};
use rusqlite::{Connection, OptionalExtension, Row};
use std::sync::{Arc, Mutex, PoisonError};

/// A reading connection of the ring's own, or the one connection of a database in memory.
pub(super) enum Keys {
    /// Of a file.
    Own(Connection),
    /// Of a private database in memory.
    Shared(Arc<Mutex<Connection>>),
}

impl Keys {
    fn with<T>(&mut self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self {
            Self::Own(conn) => read(conn),
            Self::Shared(conn) => read(&conn.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

type RawKey = ([u8; 16], [u8; 16], String, Vec<u8>);

fn raw(row: &Row<'_>) -> rusqlite::Result<RawKey> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn key((id, person, class, wrapped): RawKey) -> Result<WrappedKey, StoreError> {
    let class = RetentionClass::from_name(&class).ok_or_else(|| damaged("a key of an unknown retention class"))?;
    Ok(WrappedKey { id: KeyId(id), person: SubjectHash(person), class, wrapped })
}

impl KeySource for Keys {
    fn of_person(&mut self, person: SubjectHash, class: RetentionClass) -> Result<Option<WrappedKey>, StoreError> {
        self.with(|conn| {
            conn.prepare_cached("SELECT key_id, person, class, wrapped FROM person_key WHERE person = ?1 AND class = ?2")
                .said()?
                .query_row((person.0.as_slice(), class.name()), raw)
                .optional()
                .said()?
                .map(key)
                .transpose()
        })
    }

    fn by_id(&mut self, id: KeyId) -> Result<Option<WrappedKey>, StoreError> {
        self.with(|conn| {
            conn.prepare_cached("SELECT key_id, person, class, wrapped FROM person_key WHERE key_id = ?1")
                .said()?
                .query_row([id.0.as_slice()], raw)
                .optional()
                .said()?
                .map(key)
                .transpose()
        })
    }
}
