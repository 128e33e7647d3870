//! What makes a whole read useless, and what parks one row.

use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::ParkReason;
use crate::wire::input::InputError;
use std::path::PathBuf;

/// Why a table can't be read to its end. None of its rows may be applied.
#[derive(Debug, thiserror::Error)]
pub enum CustomersError {
    /// The file.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The last row ends in the middle.
    #[error("{} is cut off: its last row (line {line}) ends in the middle", .path.display())]
    LastRowCutOff {
        /// The file.
        path: PathBuf,
        /// Where that row begins.
        line: u64,
    },
    /// The first line can't name columns.
    #[error("the header of {} can't be used: {fault}", .path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Columns that the mapping reads are not there.
    #[error("{} has no column {}", .path.display(), columns(.missing))]
    MissingColumns {
        /// The file.
        path: PathBuf,
        /// Each with the header that is nearest to it.
        missing: Vec<(String, Option<String>)>,
    },
    /// A row that does not end: a quotation mark that is never closed, as a rule.
    #[error("a row of {} from line {line} on is longer than {} bytes", .path.display(), super::csv::MAX_ROW_BYTES)]
    EndlessRow {
        /// The file.
        path: PathBuf,
        /// Where it begins.
        line: u64,
    },
    /// The database.
    #[error("{} can't be read as a SQLite database", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// A service can't be read now, or its target file is not right.
    #[error("the customers can't be read: {name}: {message}")]
    Service {
        /// Which query of which target.
        name: String,
        /// Why.
        message: String,
    },
    /// A service gave something else than it said.
    #[error("the read is not complete: {name}: {message}")]
    Incomplete {
        /// Which query of which target.
        name: String,
        /// How that is known.
        message: String,
    },
    /// A query that is no `SELECT`.
    #[error("the query on {} does more than read", .path.display())]
    NotAQuery {
        /// The file.
        path: PathBuf,
    },
}

fn columns(missing: &[(String, Option<String>)]) -> String {
    missing.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl CustomersError {
    /// The page that explains it.
    pub const fn code(&self) -> Code {
        Code(match self {
            Self::Input(InputError::Missing(_)) => "KITH-U001",
            Self::Input(InputError::Unreadable { .. } | InputError::NotAFile(_)) => "KITH-U002",
            Self::Input(InputError::CutOff(_)) | Self::LastRowCutOff { .. } => "KITH-U003",
            Self::Input(InputError::Damaged { .. }) => "KITH-U004",
            Self::Input(InputError::Changed(_)) => "KITH-U005",
            Self::Header { .. } => "KITH-U006",
            Self::MissingColumns { .. } => "KITH-U007",
            Self::EndlessRow { .. } => "KITH-U008",
            Self::Database { .. } => "KITH-U009",
            Self::NotAQuery { .. } => "KITH-U010",
            Self::Service { .. } => "KITH-U040",
            Self::Incomplete { .. } => "KITH-U041",
        })
    }

    /// As a problem for people.
    pub fn diagnostic(&self) -> Diagnostic {
        const AGAIN: &str =
            "The customers of the last complete read stay in force; bring the whole file (write it under another name, then rename it)";
        let (path, line, remedy) = match self {
            Self::Service { name, .. } | Self::Incomplete { name, .. } => {
                let remedy = "the customers of the last complete read stay in force; `kith doctor` tries the service and its login";
                return Diagnostic::error(self.code(), Place::Named(name.clone()), self.to_string(), remedy);
            }
            Self::Input(input) => {
                let (path, remedy) = match input {
                    InputError::Missing(path) => {
                        (path, "Check `path`, or bring the file; the customers of the last complete read stay in force")
                    }
                    InputError::NotAFile(path) => (path, "Name a file in `path`"),
                    InputError::Unreadable { path, .. } => (path, "Give the service's user the right to read it, and check the disk"),
                    InputError::CutOff(path) | InputError::Changed(path) | InputError::Damaged { path, .. } => (path, AGAIN),
                };
                (path, None, remedy.to_owned())
            }
            Self::LastRowCutOff { path, line } => (path, Some(*line), AGAIN.to_owned()),
            Self::Header { path, .. } => {
                (path, Some(1), "The first line must name the columns, each once, in UTF-8; check `delimiter` too".to_owned())
            }
            Self::MissingColumns { path, missing } => {
                let near: Vec<_> =
                    missing.iter().filter_map(|(name, near)| near.as_ref().map(|near| format!("`{near}` for `{name}`"))).collect();
                let near = if near.is_empty() { String::new() } else { format!("did the mapping mean {}? ", near.join(", ")) };
                (
                    path,
                    Some(1),
                    format!(
                        "{near}Correct the mapping's `from` or the export; check `delimiter` too; a field may be marked `optional: true`"
                    ),
                )
            }
            Self::EndlessRow { path, line } => (
                path,
                Some(*line),
                "Look for a quotation mark that is never closed near that line; quotation marks inside a cell are doubled".to_owned(),
            ),
            Self::Database { path, .. } => {
                (path, None, "Check that the path names a SQLite database and that table, query and rights are right".to_owned())
            }
            Self::NotAQuery { path } => (path, None, "Write one SELECT; the database is opened for reading only".to_owned()),
        };
        let place = match line {
            Some(line) => Place::Line(path.display().to_string(), line),
            None => Place::Path(path.display().to_string()),
        };
        let cause = std::error::Error::source(self).map(|cause| format!(": {cause}")).unwrap_or_default();
        Diagnostic::error(self.code(), place, format!("{self}{cause}"), remedy)
    }
}

/// Why one row is parked. The other rows go on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RowFault {
    /// Another number of cells than the header has.
    #[error("the row has {cells} cells, the header has {header}")]
    Ragged {
        /// The row's.
        cells: usize,
        /// The header's.
        header: usize,
    },
    /// A cell that is no UTF-8.
    #[error("the column `{column}` is not UTF-8")]
    NotUtf8 {
        /// Its column.
        column: String,
    },
    /// The key is empty.
    #[error("the key column `{column}` is empty")]
    NoKey {
        /// The key column.
        column: String,
    },
    /// The key stood in an earlier row, which is the one that counts.
    #[error("the key stands in an earlier row already")]
    DuplicateKey,
    /// Binary data, or a key that is a broken number.
    #[error("the column `{column}` holds {kind}")]
    WrongKind {
        /// Its column.
        column: String,
        /// What it holds.
        kind: &'static str,
    },
    /// A key that can't be one.
    #[error("the key has {bytes} bytes; at most {} are taken", super::read::MAX_KEY_BYTES)]
    KeyTooLong {
        /// Its length.
        bytes: usize,
    },
}

impl RowFault {
    /// The page that explains it.
    pub const fn code(&self) -> Code {
        Code(match self {
            Self::Ragged { .. } => "KITH-U020",
            Self::NotUtf8 { .. } => "KITH-U021",
            Self::NoKey { .. } => "KITH-U022",
            Self::DuplicateKey => "KITH-U023",
            Self::WrongKind { .. } => "KITH-U024",
            Self::KeyTooLong { .. } => "KITH-U025",
        })
    }

    /// As the reason why a row stands aside.
    pub fn park_reason(&self) -> ParkReason {
        ParkReason { code: self.code().0, message: self.to_string().into() }
    }
}
