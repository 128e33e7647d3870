//! What SQL Server says of a broken constraint.

use super::catalogue::{KeyKind, TableDef};
use super::error::TdsError;
use rusqlite::types::Value;

pub fn constraint_error(table: &TableDef, row: &[Value], extended: i32, text: &str, statement: &str) -> TdsError {
    let shown = |schema: bool| if schema { format!("{}.{}", table.schema, table.name) } else { table.name.clone() };
    match extended {
        // SQLITE_CONSTRAINT_UNIQUE, SQLITE_CONSTRAINT_PRIMARYKEY
        2067 | 1555 => {
            let broken = text.rsplit_once("failed: ").map_or("", |(_, b)| b);
            let key = if let Some(name) = broken.strip_prefix("index '") {
                let name = name.trim_end_matches('\'');
                table.keys.iter().find(|k| name.ends_with(&format!(".{}", k.name)) || name.ends_with(&format!(".{}.nulls", k.name)))
            } else {
                let columns: Vec<usize> =
                    broken.split(", ").filter_map(|c| table.position(c.rsplit('.').next().unwrap_or_default())).collect();
                table.keys.iter().find(|k| k.kind != KeyKind::Index && k.columns == columns)
            };
            let Some(key) = key else { return TdsError::unsupported(format!("{text} on {}", table.name)) };
            let stored: Vec<usize> = (0..table.columns.len()).filter(|at| table.columns[*at].computed.is_none()).collect();
            let value = |column: &usize| {
                let at = stored.iter().position(|s| s == column);
                match at.filter(|_| statement == "INSERT").and_then(|at| row.get(at)) {
                    Some(Value::Text(t)) => t.clone(),
                    Some(Value::Integer(i)) => i.to_string(),
                    Some(Value::Real(r)) => r.to_string(),
                    Some(Value::Blob(b)) => format!("0x{}", b.iter().map(|b| format!("{b:02x}")).collect::<String>()),
                    _ => "<NULL>".to_owned(),
                }
            };
            let values = key.columns.iter().map(value).collect::<Vec<_>>().join(", ");
            match key.kind {
                KeyKind::UniqueIndex | KeyKind::Index => TdsError::new(
                    2601,
                    14,
                    1,
                    format!(
                        "Cannot insert duplicate key row in object '{}' with unique index '{}'. The duplicate key value is ({values}).",
                        shown(true),
                        key.name
                    ),
                ),
                KeyKind::Primary | KeyKind::Unique => {
                    let what = if key.kind == KeyKind::Primary { "PRIMARY" } else { "UNIQUE" };
                    TdsError::new(
                        2627,
                        14,
                        1,
                        format!(
                            "Violation of {what} KEY constraint '{}'. Cannot insert duplicate key in object '{}'. The duplicate key value is ({values}).",
                            key.name,
                            shown(true)
                        ),
                    )
                }
            }
        }
        // SQLITE_CONSTRAINT_NOTNULL
        1299 => TdsError::no_null(text.rsplit('.').next().unwrap_or_default(), &table.full_name(), statement),
        // SQLITE_CONSTRAINT_CHECK
        275 => {
            let name = text.rsplit_once("failed: ").map_or("", |(_, b)| b);
            TdsError::new(
                547,
                16,
                0,
                format!(
                    "The {statement} statement conflicted with the CHECK constraint \"{name}\". The conflict occurred in database \"kith\", table \"{}.{}\".",
                    table.schema,
                    shown(false)
                ),
            )
        }
        // SQLITE_CONSTRAINT_FOREIGNKEY
        787 => {
            let word = if statement == "DELETE" { "REFERENCE" } else { "FOREIGN KEY" };
            let (name, parent) = table.foreign.first().map_or(("FK", "dbo"), |f| (f.name.as_str(), f.table.as_str()));
            TdsError::new(
                547,
                16,
                0,
                format!(
                    "The {statement} statement conflicted with the {word} constraint \"{name}\". The conflict occurred in database \"kith\", table {parent}."
                ),
            )
        }
        _ => TdsError::unsupported(format!("{text} on {}", table.name)),
    }
}
