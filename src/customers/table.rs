//! A table, whatever it is kept in: a header, then rows of cells.

use super::csv::Csv;
use super::soap::Soap;
use super::sqlite::Sqlite;
use super::sqlserver::{Mark, SqlServer};
use super::{CustomersError, RowFault};
use crate::declare::config::{TableKind, TableSpec};
use crate::diagnose::nearest;
use crate::model::{Digest, Value};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::sync::Arc;

/// A cell as it stands in the table.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Cell<'a> {
    Missing,
    Text(&'a str),
    Integer(i64),
    Number(f64),
}

impl Cell<'_> {
    /// As a value; text of blanks alone is missing.
    pub(super) fn value(self) -> Value {
        match self {
            Self::Missing => Value::Missing,
            Self::Text(text) => Value::text(text),
            Self::Integer(number) => Value::Integer(number),
            Self::Number(number) => Value::Number(number),
        }
    }
}

/// What comes of a row: its line (or number, from 1) and the picked cells, or the fault with the cell that would be the key.
pub(super) type EachRow<'f> = dyn FnMut(u64, Result<&[Cell<'_>], (RowFault, Option<&str>)>) + 'f;

/// Whoever takes the rows of a table.
pub(super) trait Taker {
    /// A row, as [`EachRow`] has it.
    fn row(&mut self, line: u64, row: Result<&[Cell<'_>], (RowFault, Option<&str>)>);
    /// A key that is there and whose row did not change since the last read; false where the row is wanted all the same.
    fn unchanged(&mut self, line: u64, key: Cell<'_>) -> bool;
}

/// A read that came to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanned {
    /// Rows, faulty ones included.
    pub(super) rows: u64,
    /// Of the file as it stands on disk, or of all picked cells.
    pub(super) digest: Digest,
}

/// An open table.
pub(super) struct Table {
    /// The file; of a service, its target file.
    pub(super) path: PathBuf,
    /// The columns' names.
    pub(super) header: Vec<Arc<str>>,
    kind: Kind,
}

enum Kind {
    Csv(Box<Csv>),
    Sqlite(Sqlite),
    Soap(Box<Soap>),
    SqlServer(Box<SqlServer>),
}

impl Table {
    pub(super) fn open(spec: &TableSpec) -> Result<Self, CustomersError> {
        let (path, (kind, header)) = match &spec.kind {
            TableKind::Csv { path, delimiter } => {
                (path, Csv::open(path, *delimiter).map(|(csv, header)| (Kind::Csv(Box::new(csv)), header))?)
            }
            TableKind::SqlServer(rows) => {
                let (server, header) = SqlServer::open(rows)?;
                return Ok(Self { path: PathBuf::from(&*server.place()), header, kind: Kind::SqlServer(Box::new(server)) });
            }
            TableKind::Sqlite { path, rows } => (path, Sqlite::open(path, rows).map(|(sqlite, header)| (Kind::Sqlite(sqlite), header))?),
            TableKind::Soap(rows) => {
                let (soap, header) = Soap::open(rows)?;
                (&rows.connector, (Kind::Soap(Box::new(soap)), header))
            }
        };
        Ok(Self { path: path.clone(), header, kind })
    }

    /// Where these columns stand; `None` for an optional one that is not there.
    pub(super) fn positions<'a>(&self, wanted: impl IntoIterator<Item = (&'a str, bool)>) -> Result<Vec<Option<usize>>, CustomersError> {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        // Of a service without a row nothing is known, and nothing is read.
        let unknown = matches!(&self.kind, Kind::Soap(soap) if soap.is_empty());
        for (name, optional) in wanted {
            let optional = optional || unknown;
            let at = self.header.iter().position(|header| **header == *name);
            if at.is_none() && !optional && !missing.iter().any(|(known, _)| known == name) {
                missing.push((name.to_owned(), nearest(name, self.header.iter().map(AsRef::as_ref)).map(str::to_owned)));
            }
            found.push(at);
        }
        if missing.is_empty() { Ok(found) } else { Err(CustomersError::MissingColumns { path: self.path.clone(), missing }) }
    }

    /// How far a server's table is now; `None` for files, which are read whole.
    pub(super) fn now(&mut self) -> Result<Option<Mark>, CustomersError> {
        match &mut self.kind {
            Kind::SqlServer(server) => server.now().map(Some),
            Kind::Csv(_) | Kind::Sqlite(_) | Kind::Soap(_) => Ok(None),
        }
    }

    /// Whether memory can hold all of it.
    pub(super) fn bounded(&self, mark: &Mark) -> Result<(), CustomersError> {
        match &self.kind {
            Kind::SqlServer(server) => server.bounded(mark),
            Kind::Csv(_) | Kind::Sqlite(_) | Kind::Soap(_) => Ok(()),
        }
    }

    /// The server, where it is one.
    pub(super) fn server(self) -> Option<Box<SqlServer>> {
        match self.kind {
            Kind::SqlServer(server) => Some(server),
            Kind::Csv(_) | Kind::Sqlite(_) | Kind::Soap(_) => None,
        }
    }

    /// Reads every row; `pick` says which columns, in which order. The first picked is the key. Of a server the rows that changed between
    /// `before` and `now`, and the keys of the others.
    pub(super) fn rows(
        self,
        pick: &[Option<usize>],
        (before, now): (Option<&Mark>, Option<&Mark>),
        take: &mut dyn Taker,
    ) -> Result<Scanned, CustomersError> {
        match (self.kind, now) {
            (Kind::Csv(csv), _) => csv.rows(&self.header, pick, &mut |line, row| take.row(line, row)),
            (Kind::Sqlite(sqlite), _) => sqlite.rows(&self.header, pick, &mut |line, row| take.row(line, row)),
            (Kind::Soap(soap), _) => soap.rows(&self.header, pick, &mut |line, row| take.row(line, row)),
            (Kind::SqlServer(server), Some(now)) => server.rows(pick, before, now, take),
            (Kind::SqlServer(mut server), None) => {
                let now = server.now()?;
                server.rows(pick, before, &now, take)
            }
        }
    }
}

/// Adds a cell so that no two different rows of cells give the same bytes: kind, length, content.
pub(super) fn hash_cell(hash: &mut Sha256, cell: Cell<'_>) {
    match cell {
        Cell::Missing => hash.update([0]),
        Cell::Text(text) => {
            hash.update([1]);
            hash.update(text.len().to_be_bytes());
            hash.update(text.as_bytes());
        }
        Cell::Integer(number) => {
            hash.update([2]);
            hash.update(number.to_be_bytes());
        }
        Cell::Number(number) => {
            hash.update([3]);
            hash.update(number.to_bits().to_be_bytes());
        }
    }
}
