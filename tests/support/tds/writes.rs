//! UPDATE, DELETE: the rows are found by one query of SQLite, then written one by one, as values that fit their columns.

use super::batch::{is_word, word};
use super::catalogue::quote;
use super::emit::{Emitter, Typed, parts, schema_and_name};
use super::error::TdsError;
use super::output::Output;
use super::session::{Session, sqlite_error};
use super::types::Type;
use super::value::{Fit, coerce, owned};
use rusqlite::types::Value;
use sqlparser::ast::{AssignmentTarget, Delete, Expr, FromTable, ObjectName, TableFactor, TableWithJoins, Update, UpdateTableFromKind};
use sqlparser::tokenizer::Token;
use std::collections::HashSet;

/// A statement as `sqlparser` reads it: without the `TOP (n)` of DELETE and UPDATE ([`top_of`]), and with a DELETE's OUTPUT behind its FROM.
pub fn readable(tokens: &[Token]) -> Vec<Token> {
    let tokens = match top_span(tokens) {
        Some((start, end)) => [&tokens[..start], &tokens[end..]].concat(),
        None => tokens.to_vec(),
    };
    if !is_word(tokens.first(), "DELETE") {
        return tokens;
    }
    let outside = |wanted: &str| {
        let mut depth = 0_usize;
        tokens.iter().position(|token| {
            match token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && is_word(Some(token), wanted)
        })
    };
    match (outside("OUTPUT"), outside("FROM")) {
        (Some(output), Some(from)) if output < from => {
            let end = outside("WHERE").unwrap_or(tokens.len());
            [&tokens[..output], &tokens[from..end], &tokens[output..from], &tokens[end..]].concat()
        }
        _ => tokens,
    }
}

/// The n of it.
pub fn top_of(tokens: &[Token]) -> Option<Vec<Token>> {
    top_span(tokens).map(|(start, end)| tokens[start + 1..end].to_vec())
}

fn top_span(tokens: &[Token]) -> Option<(usize, usize)> {
    let verb = word(tokens.first())?;
    if verb != "DELETE" && verb != "UPDATE" || !is_word(tokens.get(1), "TOP") {
        return None;
    }
    let end = if tokens.get(2) == Some(&Token::LParen) { tokens.iter().position(|t| *t == Token::RParen)? + 1 } else { 3 };
    Some((1, end))
}

pub fn object(name: &ObjectName) -> String {
    parts(name).join(".")
}

/// The table that an UPDATE or DELETE means, and its alias in the FROM clause.
fn target(from: &[TableWithJoins], name: &ObjectName) -> Option<(ObjectName, String)> {
    let (_, wanted) = schema_and_name(name);
    let mut found = None;
    let factors = from.iter().flat_map(|t| std::iter::once(&t.relation).chain(t.joins.iter().map(|j| &j.relation)));
    for factor in factors {
        let TableFactor::Table { name: table, alias, .. } = factor else { continue };
        let called = alias.as_ref().map_or_else(|| schema_and_name(table).1, |a| a.name.value.clone());
        if called.eq_ignore_ascii_case(&wanted) {
            return Some((table.clone(), called));
        }
        if schema_and_name(table).1.eq_ignore_ascii_case(&wanted) {
            found = Some((table.clone(), called));
        }
    }
    found
}

fn from_of(from: &FromTable) -> &[TableWithJoins] {
    match from {
        FromTable::WithFromKeyword(all) | FromTable::WithoutKeyword(all) => all,
    }
}

impl Session {
    /// In a transaction of SQLite's, so that a statement is done wholly or not at all.
    pub fn atomically<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, TdsError>, temporary: bool) -> Result<T, TdsError> {
        let alone = self.db.is_autocommit();
        let begin = if alone && !temporary { "BEGIN IMMEDIATE" } else { "SAVEPOINT tds_statement" };
        self.db.execute_batch(begin).map_err(|e| sqlite_error(&e, None, begin))?;
        let answer = work(self);
        let end = match (&answer, alone && !temporary) {
            (Ok(_), true) => "COMMIT",
            (Err(_), true) => "ROLLBACK",
            (Ok(_), false) => "RELEASE tds_statement",
            (Err(_), false) => "ROLLBACK TO tds_statement; RELEASE tds_statement",
        };
        if !self.db.is_autocommit() {
            self.db.execute_batch(end).map_err(|e| sqlite_error(&e, None, end))?;
        }
        answer
    }

    /// Rows as SQLite has them.
    pub fn raw_rows(&self, sql: &str, width: usize) -> Result<Vec<Vec<Value>>, TdsError> {
        let fails = |e: rusqlite::Error| sqlite_error(&e, None, sql);
        let mut statement = self.db.prepare_cached(sql).map_err(fails)?;
        self.bind(&mut statement, &[])?;
        let mut found = statement.raw_query();
        let mut all = Vec::new();
        while let Some(row) = found.next().map_err(fails)? {
            let mut values = Vec::with_capacity(width);
            for at in 0..width {
                values.push(owned(row.get_ref(at).map_err(fails)?));
            }
            all.push(values);
        }
        Ok(all)
    }

    /// Ends a statement that wrote: its OUTPUT, its count.
    pub fn wrote(&mut self, count: u64, output: Option<Output>) -> Result<(), TdsError> {
        let Some(output) = output else {
            self.counted(count);
            return Ok(());
        };
        let Some((into, columns)) = output.into else {
            self.result(&output.columns, output.rows);
            return Ok(());
        };
        self.insert_values(&into, &columns, &output.columns, output.rows)?;
        self.counted(count);
        Ok(())
    }

    fn limit(&self, top: Option<Vec<Token>>) -> Result<String, TdsError> {
        match top {
            Some(tokens) => Ok(format!(" LIMIT {}", self.evaluate_as(&tokens, Type::BigInt)?.int().unwrap_or(0))),
            None => Ok(String::new()),
        }
    }

    pub fn update(&mut self, update: &Update, top: Option<Vec<Token>>) -> Result<(), TdsError> {
        let TableFactor::Table { name, .. } = &update.table.relation else { return Err(TdsError::unsupported(update)) };
        let base = std::slice::from_ref(&update.table);
        let from: &[TableWithJoins] = match &update.from {
            Some(UpdateTableFromKind::AfterSet(all) | UpdateTableFromKind::BeforeSet(all)) => all,
            None => base,
        };
        let found = target(from, name);
        let with_target: Vec<TableWithJoins>;
        let (from, (table_name, alias)) = match found {
            Some(found) => (from, found),
            None => {
                with_target = base.iter().chain(from).cloned().collect();
                (with_target.as_slice(), (name.clone(), schema_and_name(name).1))
            }
        };
        let limit = self.limit(top)?;
        let mut emitter = Emitter::new(self);
        let table = emitter.table(&table_name)?;
        let from_sql = emitter.from(from)?;
        let mut columns = Vec::new();
        let mut items = Vec::new();
        for assignment in &update.assignments {
            let AssignmentTarget::ColumnName(column) = &assignment.target else { return Err(TdsError::unsupported(update)) };
            let column = schema_and_name(column).1;
            let at = table.position(&column).ok_or_else(|| TdsError::invalid_column(&column))?;
            let definition = &table.columns[at];
            if definition.identity.is_some() {
                return Err(TdsError::new(8102, 16, 1, format!("Cannot update identity column '{column}'.")));
            }
            if definition.ty == Type::RowVersion {
                return Err(TdsError::new(272, 16, 1, "Cannot update a timestamp column."));
            }
            if definition.computed.is_some() {
                return Err(TdsError::new(
                    271,
                    16,
                    1,
                    format!(
                        "The column \"{column}\" cannot be modified because it is either a computed column or is the result of a UNION operator."
                    ),
                ));
            }
            let is_default = matches!(&assignment.value, Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default"));
            let item = if is_default { ("NULL".to_owned(), Typed::new(Type::Null)) } else { emitter.expr(&assignment.value)? };
            items.push(item);
            columns.push(at);
        }
        let condition = match &update.selection {
            Some(selection) => format!(" WHERE {}", emitter.expr(selection)?.0),
            None => String::new(),
        };
        let sources = emitter.scopes.pop().unwrap_or_default();
        let others = sources.into_iter().filter(|s| !s.alias.eq_ignore_ascii_case(&alias)).collect();
        let mut output = match &update.output {
            Some(clause) => Some(Output::plan(self, clause, &table, &alias, false, others)?),
            None => None,
        };
        let lifted: Vec<String> = output.iter().flat_map(|o| o.lifted.iter().map(|(sql, _)| sql.clone())).collect();
        let selected: Vec<&str> = items.iter().map(|(sql, _)| sql.as_str()).chain(lifted.iter().map(String::as_str)).collect();
        let rowid = format!("{}.rowid", quote(&alias));
        let list = std::iter::once(rowid.as_str()).chain(selected).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT {list} FROM {from_sql}{condition}{limit}");
        let width = 1 + items.len() + lifted.len();
        let temporary = table.kind == super::catalogue::Kind::Temporary;
        let full = table.full_name();
        let versions: Vec<usize> = (0..table.columns.len()).filter(|at| table.columns[*at].ty == Type::RowVersion).collect();
        let sets: Vec<String> = columns.iter().chain(&versions).map(|at| format!("{} = ?", quote(&table.columns[*at].name))).collect();
        let write = format!("UPDATE {} SET {} WHERE rowid = ?", table.sqlite_name(), sets.join(", "));
        let count = self.atomically(
            |session| {
                let mut seen = HashSet::new();
                for mut row in session.raw_rows(&sql, width)? {
                    // Outer joins may find no row of the target; joins may find one more than once.
                    let Value::Integer(id) = row[0] else { continue };
                    if !seen.insert(id) {
                        continue;
                    }
                    let lifted = row.split_off(1 + items.len());
                    let mut values = Vec::new();
                    for ((at, (_, typed)), value) in columns.iter().zip(&items).zip(row.into_iter().skip(1)) {
                        let column = &table.columns[*at];
                        let value = coerce(value, typed.ty, column.ty, Fit::Column(&full, &column.name))?;
                        if value.is_null() && !column.nullable {
                            return Err(TdsError::no_null(&column.name, &full, "UPDATE"));
                        }
                        values.push(value.stored());
                    }
                    values.extend(versions.iter().map(|_| Value::Blob(session.shared.next_rowversion())));
                    values.push(Value::Integer(id));
                    let mut statement = session.db.prepare_cached(&write).map_err(|e| sqlite_error(&e, None, &write))?;
                    statement
                        .execute(rusqlite::params_from_iter(values.iter()))
                        .map_err(|e| sqlite_error(&e, Some((&table, &values)), "UPDATE"))?;
                    drop(statement);
                    if let Some(output) = &mut output {
                        output.take(session, id, &lifted)?;
                    }
                }
                Ok(seen.len() as u64)
            },
            temporary,
        )?;
        self.wrote(count, output)
    }

    pub fn delete(&mut self, delete: &Delete, top: Option<Vec<Token>>) -> Result<(), TdsError> {
        let from = from_of(&delete.from);
        let name = match (delete.tables.first(), from.first().map(|t| &t.relation)) {
            (Some(name), _) => name.clone(),
            (None, Some(TableFactor::Table { name, .. })) => name.clone(),
            _ => return Err(TdsError::unsupported(delete)),
        };
        let (table_name, alias) = target(from, &name).ok_or_else(|| TdsError::invalid_object(&object(&name)))?;
        let limit = self.limit(top)?;
        let mut emitter = Emitter::new(self);
        let table = emitter.table(&table_name)?;
        let from_sql = emitter.from(from)?;
        let condition = match &delete.selection {
            Some(selection) => format!(" WHERE {}", emitter.expr(selection)?.0),
            None => String::new(),
        };
        let sources = emitter.scopes.pop().unwrap_or_default();
        let others = sources.into_iter().filter(|s| !s.alias.eq_ignore_ascii_case(&alias)).collect();
        let mut output = match &delete.output {
            Some(clause) => Some(Output::plan(self, clause, &table, &alias, true, others)?),
            None => None,
        };
        let lifted: Vec<String> = output.iter().flat_map(|o| o.lifted.iter().map(|(sql, _)| format!(", {sql}"))).collect();
        let sql = format!("SELECT {}.rowid{} FROM {from_sql}{condition}{limit}", quote(&alias), lifted.concat());
        let write = format!("DELETE FROM {} WHERE rowid = ?", table.sqlite_name());
        let temporary = table.kind == super::catalogue::Kind::Temporary;
        let count = self.atomically(
            |session| {
                let mut seen = HashSet::new();
                for mut row in session.raw_rows(&sql, 1 + lifted.len())? {
                    let lifted = row.split_off(1);
                    let Value::Integer(id) = row[0] else { continue };
                    if !seen.insert(id) {
                        continue;
                    }
                    if let Some(output) = &mut output {
                        output.take(session, id, &lifted)?;
                    }
                    let mut statement = session.db.prepare_cached(&write).map_err(|e| sqlite_error(&e, None, &write))?;
                    statement.execute([id]).map_err(|e| sqlite_error(&e, Some((&table, &[])), "DELETE"))?;
                }
                Ok(seen.len() as u64)
            },
            temporary,
        )?;
        self.wrote(count, output)
    }
}
