//! INSERT: rows of a query, of VALUES, or from elsewhere, written one by one as values that fit their columns.

use super::catalogue::{TableDef, quote};
use super::emit::{Emitter, Typed};
use super::error::TdsError;
use super::output::Output;
use super::session::{Session, sqlite_error};
use super::tokens::Column;
use super::types::Type;
use super::value::{Fit, SqlValue, coerce};
use super::writes::object;
use rusqlite::types::Value;
use sqlparser::ast::{Expr, Insert, Query, SetExpr, TableObject};
use std::collections::HashSet;
use std::sync::Arc;

/// Columns that take values where none are named.
pub fn insertable(table: &TableDef, with_identity: bool) -> Vec<usize> {
    (0..table.columns.len())
        .filter(|at| {
            let column = &table.columns[*at];
            !column.is_given() && (with_identity || column.identity.is_none())
        })
        .collect()
}

impl Session {
    pub fn insert(&mut self, insert: &Insert) -> Result<(), TdsError> {
        let TableObject::TableName(name) = &insert.table else { return Err(TdsError::unsupported(insert)) };
        let table = Emitter::new(self).table(name)?;
        let with_identity = self.identity_insert == Some(table.object_id);
        let columns = if insert.columns.is_empty() {
            insertable(&table, with_identity)
        } else {
            let mut all = Vec::new();
            for column in &insert.columns {
                let column = object(column);
                all.push(table.position(&column).ok_or_else(|| TdsError::invalid_column(&column))?);
            }
            all
        };
        let temporary = table.kind == super::catalogue::Kind::Temporary;
        let mut output = match &insert.output {
            Some(clause) => Some(Output::plan(self, clause, &table, "inserted", false, Vec::new())?),
            None => None,
        };
        let count = self.atomically(
            |session| {
                let rows = match &insert.source {
                    Some(source) => session.source_rows(source, &table, &columns)?,
                    None => vec![vec![None; columns.len()]],
                };
                session.insert_rows(&table, &columns, rows, output.as_mut())
            },
            temporary,
        )?;
        self.wrote(count, output)
    }

    /// The rows of an INSERT, fitted to its columns; `None` is DEFAULT.
    fn source_rows(&mut self, source: &Query, table: &TableDef, columns: &[usize]) -> Result<Vec<Vec<Option<SqlValue>>>, TdsError> {
        let full = table.full_name();
        let fitted = |value: Value, from: Type, at: usize| {
            let column = &table.columns[columns[at]];
            coerce(value, from, column.ty, Fit::Column(&full, &column.name))
        };
        let wrong = |given: usize| {
            let (number, what) = if given < columns.len() { (109, "more") } else { (110, "fewer") };
            TdsError::new(
                number,
                15,
                1,
                format!(
                    "There are {what} columns in the INSERT statement than values specified in the VALUES clause. The number of values in the VALUES clause must match the number of columns specified in the INSERT statement."
                ),
            )
        };
        if let SetExpr::Values(values) = source.body.as_ref() {
            if values.rows.len() > 1000 {
                return Err(TdsError::new(
                    10_738,
                    15,
                    1,
                    "The number of row value expressions in the INSERT statement exceeds the maximum allowed number of 1000 row values.",
                ));
            }
            let mut all = Vec::new();
            for row in &values.rows {
                if row.content.len() != columns.len() {
                    return Err(wrong(row.content.len()));
                }
                let mut emitter = Emitter::new(self);
                let mut items: Vec<(String, Typed)> = Vec::new();
                let mut defaults = HashSet::new();
                for (at, expr) in row.content.iter().enumerate() {
                    if matches!(expr, Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default")) {
                        defaults.insert(at);
                        items.push(("NULL".to_owned(), Typed::new(Type::Null)));
                    } else {
                        items.push(emitter.expr(expr)?);
                    }
                }
                let sql = format!("SELECT {}", items.iter().map(|(sql, _)| sql.as_str()).collect::<Vec<_>>().join(", "));
                let found = self.raw_rows(&sql, items.len())?.into_iter().next().unwrap_or_default();
                let mut values = Vec::new();
                for (at, value) in found.into_iter().enumerate() {
                    values.push(if defaults.contains(&at) { None } else { Some(fitted(value, items[at].1.ty, at)?) });
                }
                all.push(values);
            }
            return Ok(all);
        }
        let (sql, from) = Emitter::new(self).query(source)?;
        if from.len() != columns.len() {
            let (number, what) = if from.len() < columns.len() { (120, "fewer") } else { (121, "more") };
            return Err(TdsError::new(
                number,
                15,
                1,
                format!(
                    "The select list for the INSERT statement contains {what} items than the insert list. The number of SELECT values must match the number of INSERT columns."
                ),
            ));
        }
        let mut all = Vec::new();
        for row in self.raw_rows(&sql, from.len())? {
            let mut values = Vec::new();
            for (at, value) in row.into_iter().enumerate() {
                values.push(Some(fitted(value, from[at].ty, at)?));
            }
            all.push(values);
        }
        Ok(all)
    }

    /// Writes fitted rows.
    fn insert_rows(
        &mut self,
        table: &TableDef,
        columns: &[usize],
        rows: Vec<Vec<Option<SqlValue>>>,
        mut output: Option<&mut Output>,
    ) -> Result<u64, TdsError> {
        let with_identity = self.identity_insert == Some(table.object_id);
        for at in columns {
            let column = &table.columns[*at];
            if column.computed.is_some() {
                return Err(TdsError::new(
                    271,
                    16,
                    1,
                    format!(
                        "The column \"{}\" cannot be modified because it is either a computed column or is the result of a UNION operator.",
                        column.name
                    ),
                ));
            }
            if column.ty == Type::RowVersion {
                return Err(TdsError::new(
                    273,
                    16,
                    1,
                    "Cannot insert an explicit value into a timestamp column. Use INSERT with a column list to exclude the timestamp column, or insert a DEFAULT into the timestamp column.",
                ));
            }
            if column.identity.is_some() && !with_identity {
                return Err(TdsError::new(
                    544,
                    16,
                    1,
                    format!(
                        "Cannot insert explicit value for identity column in table '{}' when IDENTITY_INSERT is set to OFF.",
                        table.name
                    ),
                ));
            }
        }
        let stored: Vec<usize> = (0..table.columns.len()).filter(|at| table.columns[*at].computed.is_none()).collect();
        let defaults = self.defaults(table)?;
        let names: Vec<String> = stored.iter().map(|at| quote(&table.columns[*at].name)).collect();
        let marks = vec!["?"; stored.len()].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES ({marks})", table.sqlite_name(), names.join(", "));
        let mut count = 0;
        let mut identity = None;
        for row in rows {
            let mut full: Vec<Option<SqlValue>> = vec![None; table.columns.len()];
            for (at, value) in columns.iter().zip(row) {
                full[*at] = value;
            }
            let mut values = Vec::with_capacity(stored.len());
            for at in &stored {
                let column = &table.columns[*at];
                let value = match full[*at].take() {
                    Some(value) => {
                        if column.identity.is_some() {
                            self.shared.seen_identity(table.object_id, value.int().unwrap_or(0));
                        }
                        value
                    }
                    None => match (column.identity, &defaults[*at]) {
                        (Some((seed, step)), _) => {
                            let next = self.shared.next_identity(table.object_id, seed, step);
                            identity = Some(next);
                            coerce(Value::Integer(next), Type::BigInt, column.ty, Fit::Cut)?
                        }
                        (None, _) if column.ty == Type::RowVersion => SqlValue::Binary(self.shared.next_rowversion()),
                        (None, Some((sql, from))) => {
                            let value = self.raw_rows(sql, 1)?.pop().and_then(|mut r| r.pop()).unwrap_or(Value::Null);
                            coerce(value, *from, column.ty, Fit::Column(&table.full_name(), &column.name))?
                        }
                        (None, None) => SqlValue::Null,
                    },
                };
                if value.is_null() && !column.nullable {
                    return Err(TdsError::no_null(&column.name, &table.full_name(), "INSERT"));
                }
                values.push(value.stored());
            }
            let mut statement = self.db.prepare_cached(&sql).map_err(|e| sqlite_error(&e, None, &sql))?;
            statement.execute(rusqlite::params_from_iter(values.iter())).map_err(|e| sqlite_error(&e, Some((table, &values)), "INSERT"))?;
            drop(statement);
            if let Some(output) = output.as_deref_mut() {
                output.take(self, self.db.last_insert_rowid(), &[])?;
            }
            count += 1;
        }
        if identity.is_some() {
            self.facts().identity = identity;
        }
        Ok(count)
    }

    /// For each column its DEFAULT, as a query and its type.
    fn defaults(&self, table: &TableDef) -> Result<Vec<Option<(String, Type)>>, TdsError> {
        let mut all = Vec::new();
        for column in &table.columns {
            all.push(match &column.default {
                Some((_, definition)) => {
                    let expr = super::batch::parse_expr(&super::batch::tokenize(definition)?)?;
                    let (sql, typed) = Emitter::new(self).expr(&expr)?;
                    Some((format!("SELECT {sql}"), typed.ty))
                }
                None => None,
            });
        }
        Ok(all)
    }

    /// Rows from elsewhere into a table: OUTPUT INTO, SELECT INTO, a bulk load.
    pub fn insert_values(
        &mut self,
        into: &Arc<TableDef>,
        columns: &[usize],
        from: &[Column],
        rows: Vec<Vec<SqlValue>>,
    ) -> Result<u64, TdsError> {
        let full = into.full_name();
        let mut fitted = Vec::with_capacity(rows.len());
        for row in rows {
            let mut values = Vec::with_capacity(columns.len());
            for ((at, column), value) in columns.iter().zip(from).zip(row) {
                let target = &into.columns[*at];
                values.push(Some(coerce(value.stored(), column.ty, target.ty, Fit::Column(&full, &target.name))?));
            }
            fitted.push(values);
        }
        let temporary = into.kind == super::catalogue::Kind::Temporary;
        self.atomically(|session| session.insert_rows(into, columns, fitted, None), temporary)
    }
}
