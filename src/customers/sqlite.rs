//! A table or query of a SQLite database, opened for reading only, in one read transaction.

use super::table::{Cell, EachRow, Scanned, hash_cell};
use super::{CustomersError, RowFault};
use crate::declare::config::SqliteRows;
use crate::model::Digest;
use crate::wire::input;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a database that another program writes is waited for.
const BUSY: Duration = Duration::from_secs(10);

/// An open database with its read transaction.
pub(super) struct Sqlite {
    path: PathBuf,
    connection: Connection,
    query: String,
}

/// A name as SQL writes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Sqlite {
    pub(super) fn open(path: &Path, rows: &SqliteRows) -> Result<(Self, Vec<Arc<str>>), CustomersError> {
        // SQLite's own word for a missing file is "unable to open database file".
        drop(input::open(path)?);
        let failed = |source| CustomersError::Database { path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        connection.execute_batch("BEGIN DEFERRED").map_err(failed)?;
        let query = match rows {
            SqliteRows::Table(name) => format!("SELECT * FROM {}", quoted(name)),
            SqliteRows::Query(query) => query.to_string(),
        };
        let header = {
            let statement = connection.prepare(&query).map_err(failed)?;
            if !statement.readonly() || statement.column_count() == 0 {
                return Err(CustomersError::NotAQuery { path: path.to_owned() });
            }
            statement.column_names().map(Arc::from).collect()
        };
        Ok((Self { path: path.to_owned(), connection, query }, header))
    }

    pub(super) fn rows(self, header: &[Arc<str>], pick: &[Option<usize>], each: &mut EachRow<'_>) -> Result<Scanned, CustomersError> {
        let failed = |source| CustomersError::Database { path: self.path.clone(), source };
        let mut statement = self.connection.prepare(&self.query).map_err(failed)?;
        let mut found = statement.query([]).map_err(failed)?;
        let (mut rows, mut hash) = (0, Sha256::new());
        while let Some(row) = found.next().map_err(failed)? {
            rows += 1;
            let mut cells = Vec::with_capacity(pick.len());
            let mut fault = None;
            for at in pick {
                let Some(at) = at else {
                    cells.push(Cell::Missing);
                    continue;
                };
                let column = || header.get(*at).map(ToString::to_string).unwrap_or_default();
                cells.push(match row.get_ref(*at).map_err(failed)? {
                    ValueRef::Null => Cell::Missing,
                    ValueRef::Integer(number) => Cell::Integer(number),
                    ValueRef::Real(number) => Cell::Number(number),
                    ValueRef::Text(bytes) => std::str::from_utf8(bytes).map_or_else(
                        |_source| {
                            fault.get_or_insert_with(|| RowFault::NotUtf8 { column: column() });
                            Cell::Missing
                        },
                        Cell::Text,
                    ),
                    ValueRef::Blob(_) => {
                        fault.get_or_insert_with(|| RowFault::WrongKind { column: column(), kind: "binary data" });
                        Cell::Missing
                    }
                });
            }
            for cell in &cells {
                hash_cell(&mut hash, *cell);
            }
            let key = match cells.first() {
                Some(Cell::Text(text)) => Some(*text),
                _ => None,
            };
            match fault {
                Some(fault) => each(rows, Err((fault, key))),
                None => each(rows, Ok(&cells)),
            }
        }
        Ok(Scanned { rows, digest: Digest(hash.finalize().into()) })
    }
}
