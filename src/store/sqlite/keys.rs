//! Where the ring looks up durable keys.

use super::error::InDatabase;
use super::names::Numbered;
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

type RawKey = ([u8; 16], [u8; 16], i64, Vec<u8>);

fn raw(row: &Row<'_>) -> rusqlite::Result<RawKey> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn key((id, person, class, wrapped): RawKey) -> Result<WrappedKey, StoreError> {
    Ok(WrappedKey { id: KeyId(id), person: SubjectHash(person), class: RetentionClass::from_number(class)?, wrapped })
}

impl KeySource for Keys {
    fn of_person(&mut self, person: SubjectHash, class: RetentionClass) -> Result<Option<WrappedKey>, StoreError> {
        self.with(|conn| {
            conn.prepare_cached("SELECT key_id, person, class, wrapped FROM person_key WHERE person = ?1 AND class = ?2 AND closed = 0")
                .said()?
                .query_row((person.0.as_slice(), class.number()), raw)
                .optional()
                .said()?
                .map(key)
                .transpose()
        })
    }

    fn all_persons(&mut self, limit: usize) -> Result<Option<Vec<(SubjectHash, RetentionClass)>>, StoreError> {
        self.with(|conn| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let more = conn.query_row("SELECT EXISTS (SELECT 1 FROM person_key LIMIT 1 OFFSET ?1)", [limit], |row| row.get(0)).said()?;
            if more {
                return Ok(None);
            }
            let mut statement = conn.prepare("SELECT person, class FROM person_key").said()?;
            let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).said()?;
            rows.map(|row| {
                let (person, class) = row.said()?;
                Ok((SubjectHash(person), RetentionClass::from_number(class)?))
            })
            .collect::<Result<_, _>>()
            .map(Some)
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
