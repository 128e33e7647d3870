//! The tables of the target: made where they are missing, compared where they are there, never altered.

use crate::declare::connector::{FieldKind, Operation, TargetField, TargetFile};
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;

/// A name as SQL writes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

const fn sql_type(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text
        | FieldKind::Time
        | FieldKind::Decimal
        | FieldKind::Date
        | FieldKind::TimeOfDay
        | FieldKind::Uuid
        | FieldKind::Binary => "TEXT",
        FieldKind::Integer | FieldKind::Bool => "INTEGER",
        FieldKind::Number => "REAL",
    }
}

/// Makes the ledger and the tables that are missing.
pub(super) fn make(connection: &Connection, file: &TargetFile) -> rusqlite::Result<()> {
    let mut sql = String::from(
        "CREATE TABLE IF NOT EXISTS kith_ledger (idempotency_key BLOB PRIMARY KEY, outcome TEXT NOT NULL, \
         at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))) WITHOUT ROWID;",
    );
    for (at, operation) in file.operations.iter().enumerate() {
        let is_same = |other: &&Operation| other.table.eq_ignore_ascii_case(&operation.table);
        if !file.operations.iter().take(at).any(|other| is_same(&other)) {
            let sharing: Vec<_> = file.operations.iter().filter(is_same).collect();
            sql.push_str(&create(operation, &sharing));
        }
    }
    connection.execute_batch(&sql)
}

/// One table for all operations that share it. The checker has made sure that they agree on the key and on the kinds.
fn create(operation: &Operation, sharing: &[&Operation]) -> String {
    let mut columns: Vec<String> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for field in sharing.iter().flat_map(|operation| &operation.fields) {
        if names.iter().any(|name| name.eq_ignore_ascii_case(&field.name)) {
            continue;
        }
        names.push(&field.name);
        let is_key = operation.record_key.contains(&field.name);
        let required = is_key || sharing.iter().all(|operation| operation.field(&field.name).is_some_and(|field| field.required));
        columns.push(format!("{} {}{}", quoted(&field.name), sql_type(field.kind), if required { " NOT NULL" } else { "" }));
    }
    let key: Vec<_> = operation.record_key.iter().map(|name| quoted(name)).collect();
    format!("CREATE TABLE IF NOT EXISTS {} ({}, PRIMARY KEY ({}));", quoted(&operation.table), columns.join(", "), key.join(", "))
}

/// How a table stands to an operation.
pub(super) enum Fit {
    Fits,
    NoTable,
    /// What is missing, with the statement that adds it.
    Lacks(Arc<str>),
}

/// Compares an operation with the table as it is now.
pub(super) fn fits(connection: &Connection, operation: &Operation) -> rusqlite::Result<Fit> {
    let mut statement = connection.prepare_cached("SELECT name FROM pragma_table_info(?1)")?;
    let columns: Vec<String> = statement.query_map([&*operation.table], |row| row.get(0))?.collect::<Result<_, _>>()?;
    if columns.is_empty() {
        return Ok(Fit::NoTable);
    }
    let missing: Vec<_> =
        operation.fields.iter().filter(|field| !columns.iter().any(|column| column.eq_ignore_ascii_case(&field.name))).collect();
    if missing.is_empty() {
        return Ok(Fit::Fits);
    }
    let names: Vec<_> = missing.iter().map(|field| format!("`{}`", field.name)).collect();
    let table = quoted(&operation.table);
    let add = |field: &&TargetField| format!("ALTER TABLE {table} ADD COLUMN {} {};", quoted(&field.name), sql_type(field.kind));
    let statements: Vec<_> = missing.iter().map(add).collect();
    let (names, statements) = (names.join(", "), statements.join(" "));
    Ok(Fit::Lacks(format!("the table `{}` has no column {names} (to add it: {statements})", operation.table).into()))
}

/// Whether the ledger is there.
pub(super) fn has_ledger(connection: &Connection) -> rusqlite::Result<bool> {
    let found =
        connection.query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'kith_ledger'", [], |_| Ok(())).optional()?;
    Ok(found.is_some())
}
