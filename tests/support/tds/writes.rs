//! INSERT, UPDATE, DELETE: the rows are found by one query of SQLite, then written one by one, as values that fit their columns.

use super::batch::{is_word, word};
use super::catalogue::{KeyKind, TableDef, quote};
use super::emit::{Emitted, Emitter, Source, Typed, columns_of, parts, schema_and_name};
use super::error::TdsError;
use super::session::{Session, sqlite_error};
use super::tokens::Column;
use super::types::Type;
use super::value::{Fit, SqlValue, coerce, owned};
use rusqlite::types::Value;
use sqlparser::ast::{
    AssignmentTarget, Delete, Expr, FromTable, Insert, ObjectName, OutputClause, Query, SetExpr, TableFactor, TableObject, TableWithJoins,
    Update, UpdateTableFromKind,
};
use sqlparser::tokenizer::Token;
use std::collections::HashSet;
use std::sync::Arc;

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

/// `OUTPUT …`, ready to be asked for each row.
struct Output {
    sql: String,
    columns: Vec<Column>,
    /// What the finding query must select for it.
    lifted: Vec<(String, Type)>,
    into: Option<(Arc<TableDef>, Vec<usize>)>,
    rows: Vec<Vec<SqlValue>>,
}

impl Output {
    fn plan(
        session: &Session,
        clause: &OutputClause,
        table: &TableDef,
        target: &str,
        deleted_only: bool,
        others: Vec<Source>,
    ) -> Emitted<Self> {
        let OutputClause::Output { select_items, into_table, .. } = clause else { return Err(TdsError::syntax("RETURNING")) };
        let source = |alias: &str, lift| Source { alias: alias.to_owned(), columns: columns_of(table), lift };
        let mut emitter = Emitter::new(session);
        let mut scope = Vec::new();
        if !deleted_only {
            scope.push(source("inserted", false));
        }
        scope.push(source("deleted", true));
        scope.extend(others.into_iter().map(|s| Source { lift: true, ..s }));
        emitter.scopes.push(scope);
        let (mut items, mut columns) = (Vec::new(), Vec::new());
        for item in select_items {
            emitter.item(item, &mut items, &mut columns)?;
        }
        let lifted =
            emitter.lifted.into_iter().map(|(sql, ty)| (sql.replace("\"deleted\".", &format!("{}.", quote(target))), ty)).collect();
        let from = if deleted_only {
            String::new()
        } else {
            format!(" FROM {} AS \"inserted\" WHERE \"inserted\".rowid = :row", table.sqlite_name())
        };
        let into = match into_table.as_ref().map(|i| i.targets.as_slice()) {
            None => None,
            Some([target]) => {
                let text = target.to_string();
                let name = text.split('(').next().unwrap_or_default().trim().replace(['[', ']'], "");
                let (schema, bare) = name.rsplit_once('.').map_or((None, name.as_str()), |(s, t)| (Some(s), t));
                let into = super::emit::Names::table(session, schema, bare).ok_or_else(|| TdsError::invalid_object(&name))?;
                let named: Vec<usize> = match text.split_once('(') {
                    Some((_, list)) => list
                        .trim_end_matches(')')
                        .split(',')
                        .map(|c| into.position(c.trim().trim_matches(['[', ']'])).ok_or_else(|| TdsError::invalid_column(c.trim())))
                        .collect::<Result<_, _>>()?,
                    None => insertable(&into, false),
                };
                Some((into, named))
            }
            Some(_) => return Err(TdsError::unsupported("OUTPUT INTO of this form")),
        };
        Ok(Self { sql: format!("SELECT {}{from}", items.join(", ")), columns, lifted, into, rows: Vec::new() })
    }

    fn take(&mut self, session: &Session, row: i64, lifted: &[Value]) -> Result<(), TdsError> {
        let names: Vec<String> = (0..lifted.len()).map(|at| format!(":out_{at}")).collect();
        let mut extra: Vec<(&str, Value)> = names.iter().map(String::as_str).zip(lifted.iter().cloned()).collect();
        extra.push((":row", Value::Integer(row)));
        let rows = session.rows(&self.sql, &self.columns, &extra)?;
        self.rows.extend(rows);
        Ok(())
    }
}

/// Columns that take values where none are named.
fn insertable(table: &TableDef, with_identity: bool) -> Vec<usize> {
    (0..table.columns.len())
        .filter(|at| {
            let column = &table.columns[*at];
            !column.is_given() && (with_identity || column.identity.is_none())
        })
        .collect()
}

fn object(name: &ObjectName) -> String {
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
    fn atomically<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, TdsError>, temporary: bool) -> Result<T, TdsError> {
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

    /// Rows as SQLite has them.
    fn raw_rows(&self, sql: &str, width: usize) -> Result<Vec<Vec<Value>>, TdsError> {
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

    /// Ends a statement that wrote: its OUTPUT, its count.
    fn wrote(&mut self, count: u64, output: Option<Output>) -> Result<(), TdsError> {
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

/// What SQL Server says of a broken constraint.
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
