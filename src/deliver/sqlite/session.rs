//! An open database: batches, rows and the ledger.

use super::schema::{self, Fit, quoted};
use super::{DeliveryError, Fault, Prepared};
use crate::declare::connector::{FieldKind, Operation, TargetFile};
use crate::model::{Delivery, IdempotencyKey, Receipt, Value, WriteEffect};
use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, ffi, params_from_iter};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long one try waits for a lock; between tries the backoff waits.
const BUSY: Duration = Duration::from_millis(250);

/// Statements kept compiled: four for each operation of a large target file, and the updates of its usual changes.
const STATEMENTS: usize = 256;

/// Pages kept in memory: 16 MiB hold the ledger's and the keys' inner pages of some millions of rows.
const CACHE_KIB: i32 = 16 * 1024;

/// Which file a connection holds open: SQLite goes on writing into a file that was deleted or replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    #[cfg(unix)]
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).ok().map(|metadata| Self { device: metadata.dev(), inode: metadata.ino() })
    }

    /// Elsewhere an open database can't be replaced.
    #[cfg(not(unix))]
    fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|_| Self { device: 0, inode: 0 })
    }
}

#[derive(Debug)]
pub(super) struct Session {
    path: PathBuf,
    connection: Connection,
    id: Option<FileId>,
    /// The look-up of each operation, by its place in the target file: writing it anew for each record costs as much as running it.
    selects: Vec<String>,
}

/// Why one record was not written.
pub(super) enum RowError {
    Refused(DeliveryError),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for RowError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// What an error of SQLite means for a whole batch. Its own words name tables, columns and files, never values.
pub(super) fn fault(path: &Path, error: &rusqlite::Error) -> Fault {
    let path = path.display();
    let (code, message) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => return Fault::Busy,
        Some(ErrorCode::DiskFull) => ("KITH-D002", format!("the disk that holds {path} is full")),
        Some(ErrorCode::ReadOnly) => ("KITH-D002", format!("{path} can't be written: it is read-only")),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            ("KITH-D010", format!("{path} is no SQLite database, or a damaged one: {error}"))
        }
        _ => ("KITH-D001", format!("{path} can't be used: {error}")),
    };
    Fault::Failed(DeliveryError::unavailable(code, message))
}

/// A database for reading; `None` where there is none yet.
pub(super) fn opened(path: &Path) -> Result<Option<Connection>, Fault> {
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Fault::Failed(DeliveryError::unavailable("KITH-D001", format!("{} can't be reached: {error}", path.display()))));
        }
        Ok(_) => {}
    }
    let failed = |error: rusqlite::Error| fault(path, &error);
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    // Opening reads nothing; this does.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(failed)?;
    Ok(Some(connection))
}

impl Session {
    pub(super) fn open(path: &Path, file: &TargetFile) -> Result<Self, Fault> {
        let failed = |error: rusqlite::Error| fault(path, &error);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|error| {
                Fault::Failed(DeliveryError::unavailable("KITH-D001", format!("the folder {} can't be made: {error}", folder.display())))
            })?;
        }
        let is_new = fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        if is_new {
            // Readers go on while we write. A database that is there already keeps its owner's choice.
            connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        }
        // A receipt says that the record is there: also after a power cut.
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(failed)?;
        schema::make(&connection, file).map_err(failed)?;
        let id = FileId::of(path);
        let selects = file.operations.iter().map(select).collect();
        Ok(Self { path: path.to_owned(), connection, id, selects })
    }

    /// Whether the path still leads to the database that is open.
    pub(super) fn is_of(&self, path: &Path) -> bool {
        self.id.is_some() && FileId::of(path) == self.id
    }

    /// One transaction. On an error nothing of it is written, and the session is not used again.
    pub(super) fn batch(&self, file: &TargetFile, batch: &[Delivery]) -> Result<Vec<Result<Receipt, DeliveryError>>, Fault> {
        let failed = |error: rusqlite::Error| fault(&self.path, &error);
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        let lacking = self.lacking(file).map_err(failed)?;
        let mut answers = Vec::with_capacity(batch.len());
        for delivery in batch {
            let answer = match lacking.iter().find(|(operation, _)| **operation == *delivery.operation.0) {
                Some((_, message)) => Err(RowError::Refused(DeliveryError::unavailable("KITH-D003", message.clone()))),
                None => self.record(file, delivery),
            };
            answers.push(match answer {
                Ok(receipt) => Ok(receipt),
                Err(RowError::Refused(error)) => Err(error),
                // The transaction ends with the connection.
                Err(RowError::Database(error)) => return Err(failed(error)),
            });
        }
        self.connection.execute_batch("COMMIT").map_err(|error| match error.sqlite_error_code() {
            // The commit's own disk error: what is on the disk now, only the disk knows.
            Some(ErrorCode::SystemIoFailure) => {
                Fault::Failed(DeliveryError::unknown(format!("{} failed while a batch was committed: {error}", self.path.display())))
            }
            _ => failed(error),
        })?;
        Ok(answers)
    }

    /// Operations whose tables others have changed so that they no longer fit.
    fn lacking(&self, file: &TargetFile) -> rusqlite::Result<Vec<(Arc<str>, Arc<str>)>> {
        let mut lacking = Vec::new();
        for operation in &file.operations {
            match schema::fits(&self.connection, operation)? {
                Fit::Fits => {}
                Fit::NoTable => lacking.push((operation.id.0.clone(), format!("the table `{}` is gone", operation.table).into())),
                Fit::Lacks(message) => lacking.push((operation.id.0.clone(), message)),
            }
        }
        Ok(lacking)
    }

    fn record(&self, file: &TargetFile, delivery: &Delivery) -> Result<Receipt, RowError> {
        let prepared = Prepared::new(file, delivery).map_err(RowError::Refused)?;
        if recorded(&self.connection, delivery.idempotency)?.is_some() {
            return Ok(Receipt::bare(delivery.id, WriteEffect::Unchanged));
        }
        self.connection.prepare_cached("SAVEPOINT kith_record")?.execute([])?;
        let place = file.operations.iter().position(|operation| std::ptr::eq(operation, prepared.operation));
        let select = place.and_then(|at| self.selects.get(at)).map(String::as_str).unwrap_or_default();
        let written = self.write(&prepared, delivery, select);
        match &written {
            Ok(_) => {}
            Err(RowError::Refused(_)) => {
                self.connection.prepare_cached("ROLLBACK TO kith_record")?.execute([])?;
            }
            Err(RowError::Database(_)) => return written,
        }
        self.connection.prepare_cached("RELEASE kith_record")?.execute([])?;
        written
    }

    fn write(&self, prepared: &Prepared<'_>, delivery: &Delivery, select: &str) -> Result<Receipt, RowError> {
        let existing = existing(&self.connection, prepared, select)?;
        let planned = prepared.plan_expected(delivery, existing.as_deref()).map_err(RowError::Refused)?;
        let operation = prepared.operation;
        let (table, key) = (quoted(&operation.table), prepared.key());
        let changed = || planned.changed.iter().filter_map(|at| operation.fields.get(*at).zip(prepared.values.get(*at)));
        let key_from = |from: usize| {
            operation.record_key.iter().zip(from..).map(|(name, n)| format!("{} = ?{n}", quoted(name))).collect::<Vec<_>>().join(" AND ")
        };
        let (statement, values): (String, Vec<Sql>) = match planned.effect {
            WriteEffect::Inserted => {
                let names: Vec<_> = changed().map(|(field, _)| quoted(&field.name)).collect();
                let places: Vec<_> = (1..=names.len()).map(|n| format!("?{n}")).collect();
                let sql = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), places.join(", "));
                (sql, changed().map(|(_, value)| sql_value(value.as_ref())).collect())
            }
            WriteEffect::Updated | WriteEffect::Blanked => {
                let sets: Vec<_> = changed().zip(1..).map(|((field, _), n)| format!("{} = ?{n}", quoted(&field.name))).collect();
                let sql = format!("UPDATE {table} SET {} WHERE {}", sets.join(", "), key_from(sets.len() + 1));
                (sql, changed().map(|(_, value)| sql_value(value.as_ref())).chain(key.iter().map(|value| sql_value(Some(value)))).collect())
            }
            WriteEffect::Removed => {
                (format!("DELETE FROM {table} WHERE {}", key_from(1)), key.iter().map(|value| sql_value(Some(value))).collect())
            }
            WriteEffect::Unchanged | WriteEffect::Kept => (String::new(), Vec::new()),
        };
        if !statement.is_empty() {
            self.connection.prepare_cached(&statement)?.execute(params_from_iter(values)).map_err(|error| refused(operation, error))?;
        }
        let ledger = "INSERT INTO kith_ledger (idempotency_key, outcome) VALUES (?1, ?2)";
        self.connection.prepare_cached(ledger)?.execute((&delivery.idempotency.0.0[..], planned.effect.name()))?;
        Ok(Receipt { delivery: delivery.id, effect: planned.effect, changes: planned.changes, kept: Vec::new() })
    }
}

/// A constraint refuses this record alone; everything else is about the database.
fn refused(operation: &Operation, error: rusqlite::Error) -> RowError {
    let extended = error.sqlite_error().map_or(0, |failure| failure.extended_code);
    let what = match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => match extended {
            ffi::SQLITE_CONSTRAINT_NOTNULL => "a column of it must not be empty",
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => "another row has a value that must be unique",
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => "it refers to a row that is not there",
            ffi::SQLITE_CONSTRAINT_CHECK => "a check of it does not hold",
            ffi::SQLITE_CONSTRAINT_DATATYPE => "a value is of the wrong type",
            ffi::SQLITE_CONSTRAINT_TRIGGER => "a trigger of it refuses",
            _ => "a constraint of it does not hold",
        },
        Some(ErrorCode::TooBig) => "a value is too big for the database",
        Some(ErrorCode::TypeMismatch) => "a value is of the wrong type",
        _ => return RowError::Database(error),
    };
    RowError::Refused(DeliveryError::refused("KITH-D007", format!("the table `{}` refuses the record: {what}", operation.table)))
}

/// The recorded effect of a write that had arrived.
pub(super) fn recorded(connection: &Connection, key: IdempotencyKey) -> rusqlite::Result<Option<WriteEffect>> {
    let mut statement = connection.prepare_cached("SELECT outcome FROM kith_ledger WHERE idempotency_key = ?1")?;
    let name: Option<String> = statement.query_row([&key.0.0[..]], |row| row.get(0)).optional()?;
    Ok(name.map(|name| WriteEffect::ALL.into_iter().find(|effect| effect.name() == name).unwrap_or(WriteEffect::Unchanged)))
}

/// The statement that looks a record up by its key.
pub(super) fn select(operation: &Operation) -> String {
    let columns: Vec<_> = operation.fields.iter().map(|field| quoted(&field.name)).collect();
    let key: Vec<_> = operation.record_key.iter().zip(1..).map(|(name, n)| format!("{} = ?{n}", quoted(name))).collect();
    format!("SELECT {} FROM {} WHERE {} LIMIT 2", columns.join(", "), quoted(&operation.table), key.join(" AND "))
}

/// The row as it stands now, aligned with the operation's fields; `sql` is the operation's [`select`].
pub(super) fn existing(connection: &Connection, prepared: &Prepared<'_>, sql: &str) -> Result<Option<Vec<Value>>, RowError> {
    let operation = prepared.operation;
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(prepared.key().into_iter().map(|value| sql_value(Some(value)))))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut values = Vec::with_capacity(operation.fields.len());
    for (at, field) in operation.fields.iter().enumerate() {
        values.push(from_sql(field.kind, row.get_ref(at)?));
    }
    if rows.next()?.is_some() {
        let message = format!("the table `{}` has several rows with the record's key", operation.table);
        return Err(RowError::Refused(DeliveryError::refused("KITH-D007", message)));
    }
    Ok(Some(values))
}

fn sql_value(value: Option<&Value>) -> Sql {
    match value {
        None | Some(Value::Missing) => Sql::Null,
        Some(Value::Text(text)) => Sql::Text(text.to_string()),
        Some(Value::Number(number)) => Sql::Real(*number),
        Some(Value::Integer(number)) => Sql::Integer(*number),
        Some(Value::Bool(truth)) => Sql::Integer(i64::from(*truth)),
        Some(Value::Time(time)) => Sql::Text(time.to_string()),
        // No field takes these: `fitted` refuses them.
        Some(other @ (Value::List(_) | Value::Record(_))) => Sql::Text(other.to_json().to_string()),
    }
}

/// A cell as the field's kind has it; what others wrote in another form stays what it is, and then differs.
fn from_sql(kind: FieldKind, cell: ValueRef<'_>) -> Value {
    match (kind, cell) {
        (_, ValueRef::Null) => Value::Missing,
        (FieldKind::Bool, ValueRef::Integer(number @ (0 | 1))) => Value::Bool(number == 1),
        #[expect(clippy::cast_precision_loss, reason = "SQLite stores a whole REAL as an integer only where a double holds it")]
        (FieldKind::Number, ValueRef::Integer(number)) => Value::Number(number as f64),
        (_, ValueRef::Integer(number)) => Value::Integer(number),
        (_, ValueRef::Real(number)) => Value::Number(number),
        (kind, ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => {
            let text = String::from_utf8_lossy(bytes);
            let read = Value::Text(text.as_ref().into());
            if kind == FieldKind::Text { read } else { kind.fitted(&read).unwrap_or(read) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::connector::{TargetField, TargetKind, WriteMode};
    use crate::diagnose::SourceFile;
    use crate::enrich::OnDelete;
    use crate::model::{DeliveryId, Digest, OperationId, Personal, RecordKey, TargetId, WriteIntent};

    fn file() -> TargetFile {
        let field = |name: &str| TargetField { name: name.into(), kind: FieldKind::Text, required: false, max_length: None };
        let operation = Operation {
            id: OperationId("op".into()),
            record_key: vec!["Id".into()],
            on_delete: OnDelete::Keep,
            table: "T".into(),
            write: WriteMode::Upsert,
            quotas: crate::declare::connector::Quotas::default(),
            fields: vec![field("Id"), field("Body")],
            http: None,
            soap: None,
            sql: None,
        };
        let source = Arc::new(SourceFile { name: String::new(), text: String::new() });
        TargetFile {
            name: "t".into(),
            kind: TargetKind::Sqlite,
            operations: vec![operation],
            rules: crate::declare::connector::DeliveryRules::usual(crate::declare::connector::Counted::Records),
            http: None,
            soap: None,
            sql: None,
            digest: Digest([0; 32]),
            source,
        }
    }

    fn delivery(key: u8, body: usize) -> Delivery {
        Delivery {
            id: DeliveryId(1),
            entry: "e".into(),
            target: TargetId("t".into()),
            operation: OperationId("op".into()),
            intent: WriteIntent::Write,
            record: RecordKey("[]".into()),
            idempotency: IdempotencyKey(Digest([key; 32])),
            payload: Personal::new(vec![
                ("Id".into(), Value::from(key.to_string().as_str())),
                ("Body".into(), Value::text("x".repeat(body))),
            ]),
            expects: None,
            attempt: 1,
        }
    }

    /// SQLite's own limit of pages gives the same error as a disk without space.
    #[test]
    fn a_full_disk_writes_nothing_of_the_batch_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crm.db");
        let session = Session::open(&path, &file()).unwrap();
        session.connection.pragma_update(None, "max_page_count", 20).unwrap();
        let fault = session.batch(&file(), &[delivery(1, 10), delivery(2, 200_000)]).unwrap_err();
        let Fault::Failed(DeliveryError::Unavailable { code, message, .. }) = fault else { panic!("{fault:?}") };
        assert_eq!(code.0, "KITH-D002");
        assert!(message.ends_with("is full"), "{message}");
        drop(session);
        let answers = Session::open(&path, &file()).unwrap().batch(&file(), &[delivery(1, 10), delivery(2, 200_000)]).unwrap();
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap().effect == WriteEffect::Inserted));
    }

    #[test]
    fn a_read_only_database_is_unavailable_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crm.db");
        let session = Session::open(&path, &file()).unwrap();
        session.connection.pragma_update(None, "query_only", true).unwrap();
        let fault = session.batch(&file(), &[delivery(1, 10)]).unwrap_err();
        assert!(matches!(fault, Fault::Failed(DeliveryError::Unavailable { code, .. }) if code.0 == "KITH-D002"));
    }
}
