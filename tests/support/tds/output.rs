//! `OUTPUT …` of an INSERT, UPDATE, DELETE, ready to be asked for each row.

use super::catalogue::{TableDef, quote};
use super::emit::{Emitted, Emitter, Source, columns_of};
use super::error::TdsError;
use super::insert::insertable;
use super::session::Session;
use super::tokens::Column;
use super::types::Type;
use super::value::SqlValue;
use rusqlite::types::Value;
use sqlparser::ast::OutputClause;
use std::sync::Arc;

/// `OUTPUT …`, ready to be asked for each row.
pub struct Output {
    pub sql: String,
    pub columns: Vec<Column>,
    /// What the finding query must select for it.
    pub lifted: Vec<(String, Type)>,
    pub into: Option<(Arc<TableDef>, Vec<usize>)>,
    pub rows: Vec<Vec<SqlValue>>,
}

impl Output {
    pub fn plan(
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

    pub fn take(&mut self, session: &Session, row: i64, lifted: &[Value]) -> Result<(), TdsError> {
        let names: Vec<String> = (0..lifted.len()).map(|at| format!(":out_{at}")).collect();
        let mut extra: Vec<(&str, Value)> = names.iter().map(String::as_str).zip(lifted.iter().cloned()).collect();
        extra.push((":row", Value::Integer(row)));
        let rows = session.rows(&self.sql, &self.columns, &extra)?;
        self.rows.extend(rows);
        Ok(())
    }
}
