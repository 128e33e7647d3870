//! What SQLite and the file system say, as the store's own errors. Never a value of a row: SQLite names tables and columns only.

use super::open::DATABASE_FILE;
use crate::store::StoreError;
use rusqlite::ffi;
use std::io;
use std::path::Path;

/// A row was not as this program writes rows.
pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(what.to_owned())
}

impl StoreError {
    /// From an error of the file system about a path.
    pub fn from_io(error: &io::Error, path: &Path) -> Self {
        let shown = path.display().to_string();
        #[expect(clippy::wildcard_enum_match_arm, reason = "an open list of the system's")]
        match error.kind() {
            io::ErrorKind::NotFound => Self::Absent(shown),
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory => Self::ReadOnly(shown),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(shown),
            _ => Self::Database(format!("{shown}: {error}")),
        }
    }
}

/// From an error of SQLite about the database at this path.
pub(super) fn from_sqlite(error: &rusqlite::Error, path: &str) -> StoreError {
    let Some(code) = error.sqlite_error() else {
        #[expect(clippy::wildcard_enum_match_arm, reason = "an open list of the library's")]
        return match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::QueryReturnedNoRows
            | rusqlite::Error::Utf8Error(..) => StoreError::Damaged(format!("{path}: a row is not as Kith writes it")),
            _ => StoreError::Database(format!("{path}: {error}")),
        };
    };
    match code.extended_code & 0xff {
        ffi::SQLITE_FULL => StoreError::Full(path.to_owned()),
        ffi::SQLITE_READONLY | ffi::SQLITE_CANTOPEN | ffi::SQLITE_PERM | ffi::SQLITE_AUTH => StoreError::ReadOnly(path.to_owned()),
        ffi::SQLITE_CORRUPT => StoreError::Damaged(format!("{path} is corrupt")),
        ffi::SQLITE_NOTADB => StoreError::Damaged(format!("{path} is no database of Kith's")),
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => StoreError::Locked(path.to_owned()),
        ffi::SQLITE_CONSTRAINT => StoreError::Refused(format!("{error}")),
        _ => StoreError::Database(format!("{path}: {error}")),
    }
}

impl StoreError {
    /// With the database's whole path instead of its name.
    pub(super) fn located(self, path: &str) -> Self {
        let whole = |text: String| match text.strip_prefix(DATABASE_FILE) {
            Some(rest) => format!("{path}{rest}"),
            None => text,
        };
        match self {
            Self::Locked(text) => Self::Locked(whole(text)),
            Self::Full(text) => Self::Full(whole(text)),
            Self::ReadOnly(text) => Self::ReadOnly(whole(text)),
            Self::Damaged(text) => Self::Damaged(whole(text)),
            Self::Database(text) => Self::Database(whole(text)),
            Self::Newer { .. } | Self::Absent(_) | Self::Refused(_) | Self::Stopped => self,
        }
    }
}

/// Names the database in the error of a step.
pub(super) trait InDatabase<T> {
    /// The value, or the store's error.
    fn said(self) -> Result<T, StoreError>;
}

impl<T> InDatabase<T> for rusqlite::Result<T> {
    fn said(self) -> Result<T, StoreError> {
        self.map_err(|error| from_sqlite(&error, DATABASE_FILE))
    }
}
