//! What makes a whole read useless, and what parks one row.

use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::ParkReason;
use crate::wire::input::InputError;
use crate::wire::tds::{Policy, TdsFault, meaning};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// A SQL Server.
    #[error("{place} can't be read: {fault}")]
    Server {
        /// Table and server.
        place: Arc<str>,
        /// What it says.
        fault: TdsFault,
    },
    /// A key whose order can't be continued exactly.
    #[error("the rows of {place} can't be read in the order of `{key}`, which is {sql_type}")]
    NoOrder {
        /// Table and server.
        place: Arc<str>,
        /// The key column.
        key: Arc<str>,
        /// Its type.
        sql_type: String,
    },
    /// Pages that come again and again.
    #[error("the pages of {place} do not come to an end: behind a key of `{key}` the server gives it once more")]
    NoAdvance {
        /// Table and server.
        place: Arc<str>,
        /// The key column.
        key: Arc<str>,
    },
    /// `changes` that do not tell changes.
    #[error("what changed in {place} can't be told: {why}")]
    NoChanges {
        /// Table and server.
        place: Arc<str>,
        /// Why.
        why: Arc<str>,
    },
    /// More than memory should hold.
    #[error("{place} has {rows} rows; at most {most} are held")]
    TooManyRows {
        /// Table and server.
        place: Arc<str>,
        /// What it has.
        rows: i64,
        /// What is held.
        most: i64,
    },
}

/// The page for what a server says.
const fn server_code(fault: &TdsFault) -> &'static str {
    match fault {
        TdsFault::NoTicket { .. } => "KITH-U012",
        TdsFault::Unreachable { .. } | TdsFault::Tls { .. } | TdsFault::Lost { .. } | TdsFault::NotUnderstood { .. } => "KITH-U011",
        TdsFault::Server { number, .. } => match (*number, meaning(*number).policy) {
            (_, Policy::Login) => "KITH-U012",
            (4060 | 911 | 916 | 4062..=4064, _) => "KITH-U013",
            (229 | 230 | 262 | 297 | 300 | 371, _) => "KITH-U015",
            (_, Policy::Away | Policy::Throttled | Policy::Race) => "KITH-U011",
            _ => "KITH-U014",
        },
    }
}

fn server_remedy(code: &str) -> &'static str {
    match code {
        "KITH-U012" => "Check `user`, `password` and that the login is enabled; the customers of the last complete read stay in force",
        "KITH-U013" => "Check `database`, and that the login has a user in it; the customers of the last complete read stay in force",
        "KITH-U015" => "Let the DBA grant SELECT on the table or view to the login (with Change Tracking also VIEW CHANGE TRACKING)",
        "KITH-U014" => {
            "Check `table` or `query`, `key` and `changes`; a query is one SELECT without ORDER BY, and each of its columns has a name"
        }
        _ => "Check `server`, `encrypt`, the network and the server itself; the customers of the last complete read stay in force",
    }
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
            Self::Server { fault, .. } => server_code(fault),
            Self::NoOrder { .. } => "KITH-U016",
            Self::NoAdvance { .. } => "KITH-U017",
            Self::NoChanges { .. } => "KITH-U018",
            Self::TooManyRows { .. } => "KITH-U019",
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
            Self::Server { place, fault } => (Path::new(&**place), None, server_remedy(server_code(fault)).to_owned()),
            Self::NoOrder { place, .. } => (
                Path::new(&**place),
                None,
                "Name a column of whole numbers, decimals, GUIDs or text of a limited length in `key`".to_owned(),
            ),
            Self::NoAdvance { place, .. } => {
                (Path::new(&**place), None, "Name a unique column in `key`; compare its collation with that of the database".to_owned())
            }
            Self::NoChanges { place, .. } => {
                let remedy = "Name a rowversion or a date and time in `changes`, turn Change Tracking on for database and table, or leave `changes` out";
                (Path::new(&**place), None, remedy.to_owned())
            }
            Self::TooManyRows { place, .. } => (
                Path::new(&**place),
                None,
                "Write a `query` that gives the rows that are wanted, such as those of the last year".to_owned(),
            ),
            Self::Input(input) => {
                let (path, remedy) = match input {
                    InputError::Missing(path) => {
                        (path, "Check `path`, or bring the file; the customers of the last complete read stay in force")
                    }
                    InputError::NotAFile(path) => (path, "Name a file in `path`"),
                    InputError::Unreadable { path, .. } => (path, "Give the service's user the right to read it, and check the disk"),
                    InputError::CutOff(path) | InputError::Changed(path) | InputError::Damaged { path, .. } => (path, AGAIN),
                };
                (path.as_path(), None, remedy.to_owned())
            }
            Self::LastRowCutOff { path, line } => (path.as_path(), Some(*line), AGAIN.to_owned()),
            Self::Header { path, .. } => {
                (path.as_path(), Some(1), "The first line must name the columns, each once, in UTF-8; check `delimiter` too".to_owned())
            }
            Self::MissingColumns { path, missing } => {
                let near: Vec<_> =
                    missing.iter().filter_map(|(name, near)| near.as_ref().map(|near| format!("`{near}` for `{name}`"))).collect();
                let near = if near.is_empty() { String::new() } else { format!("did the mapping mean {}? ", near.join(", ")) };
                // A server has no first line.
                let (line, remedy) = if path.is_file() {
                    (Some(1), "Correct the mapping's `from` or the export; check `delimiter` too; a field may be marked `optional: true`")
                } else {
                    (
                        None,
                        "Correct the mapping's `from`, the configuration's `key` and `changes`, or the table or query; a field may be marked `optional: true`",
                    )
                };
                (path.as_path(), line, format!("{near}{remedy}"))
            }
            Self::EndlessRow { path, line } => (
                path.as_path(),
                Some(*line),
                "Look for a quotation mark that is never closed near that line; quotation marks inside a cell are doubled".to_owned(),
            ),
            Self::Database { path, .. } => {
                (path.as_path(), None, "Check that the path names a SQLite database and that table, query and rights are right".to_owned())
            }
            Self::NotAQuery { path } => (path.as_path(), None, "Write one SELECT; the database is opened for reading only".to_owned()),
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
