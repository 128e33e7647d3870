//! A table, view or query of a SQL Server, read page by page in the order of its key.
//!
//! Each page is one statement under READ COMMITTED: a row is read as somebody committed it, never in between. Pages are read one after the other, so
//! the whole is no picture of one moment: a row that is written during the read is seen in its old or its new state, and the next read sees the rest.
//! Only a read that came to its end counts. Memory holds one page.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the driver and the server have a variant for every type: what is not named is told in one arm"
)]

mod key;
mod link;
mod mark;

use super::table::{Cell, Scanned, Taker};
use super::{CustomersError, RowFault};
use crate::declare::config::{Changes, ServerRows, SqliteRows};
use crate::declare::connector::ObjectName;
use crate::diagnose::nearest;
use crate::model::{Digest, Value};
use crate::wire::tds::{self, Column, Row, SqlType, TableShape, TdsFault};
use key::Key;
use link::Link;
pub use mark::Mark;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Keys that are asked for by name in one statement: SQL Server takes 2,100 parameters.
const MOST_NAMED: usize = 500;
/// Rows without a key that are told one by one.
const MOST_TOLD: i64 = 1_000;
/// Rows of a related table: with some 100 bytes each, 2 GB of text that the service would hold.
const MOST_RELATED: i64 = 20_000_000;

/// A table that is open.
pub(super) struct SqlServer {
    link: Link,
    /// `[dbo].[Customer]`, or the query in brackets.
    from: String,
    rows: SqliteRows,
    columns: Vec<Column>,
    shape: Option<TableShape>,
    key: Key,
    changes: Changes,
    page: u32,
}

/// What `doctor` sees of a table.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// Whether no two rows can have one key; `None` where the server does not tell.
    pub unique: Option<bool>,
    /// Whether the key may be NULL.
    pub nullable: bool,
    /// Whether the login may read it; `None` where the server does not tell.
    pub may_read: Option<bool>,
    /// Rows that there are.
    pub rows: u64,
}

impl SqlServer {
    pub(super) fn open(spec: &ServerRows) -> Result<(Self, Vec<Arc<str>>), CustomersError> {
        let named = match &spec.rows {
            SqliteRows::Table(name) => format!("{name} on {}", spec.server.address),
            SqliteRows::Query(_) => format!("the query on {}", spec.server.address),
        };
        let mut link = Link::new(&spec.server, named.into())?;
        let (from, columns, shape) = match &spec.rows {
            SqliteRows::Table(name) => {
                let name = ObjectName::parse(name).ok_or_else(|| no_object(&link))?;
                let shape = link.run(async |session| tds::table(session, &name).await)?.ok_or_else(|| no_object(&link))?;
                (name.sql(), shape.columns.clone(), Some(shape))
            }
            SqliteRows::Query(query) => {
                let query = one_select(query).ok_or_else(|| CustomersError::NotAQuery { path: PathBuf::from(&*link.place) })?;
                let columns = link.run(async |session| tds::query_columns(session, query).await)?;
                (format!("({query})"), columns, None)
            }
        };
        let header: Vec<Arc<str>> = columns.iter().map(|column| column.name.clone()).collect();
        let Some(found) = tds::column_named(&columns, &spec.key) else {
            let near = nearest(&spec.key, header.iter().map(AsRef::as_ref)).map(str::to_owned);
            return Err(CustomersError::MissingColumns { path: PathBuf::from(&*link.place), missing: vec![(spec.key.to_string(), near)] });
        };
        let key = Key::of(found).ok_or_else(|| CustomersError::NoOrder {
            place: link.place.clone(),
            key: spec.key.clone(),
            sql_type: found.sql_type.sql(),
        })?;
        let page = spec.page.get();
        Ok((Self { link, from, rows: spec.rows.clone(), columns, shape, key, changes: spec.changes.clone(), page }, header))
    }

    fn column(&self, name: &str) -> Option<&Column> {
        tds::column_named(&self.columns, name)
    }

    fn missing(&self, name: &str) -> CustomersError {
        let near = nearest(name, self.columns.iter().map(|column| &*column.name)).map(str::to_owned);
        CustomersError::MissingColumns { path: PathBuf::from(&*self.link.place), missing: vec![(name.to_owned(), near)] }
    }

    /// Key, change column and rights, for `doctor`.
    pub(super) fn look(&mut self) -> Result<Looked, CustomersError> {
        let mark = self.mark()?;
        if self.changes == Changes::Tracking {
            self.least_tracked()?;
        }
        let name = std::slice::from_ref(&self.key.column.name);
        Ok(Looked {
            unique: self.shape.as_ref().and_then(|shape| shape.is_unique(name)),
            nullable: self.key.column.nullable,
            may_read: self.shape.as_ref().and_then(|shape| shape.rights.select),
            rows: u64::try_from(mark.rows()).unwrap_or_default(),
        })
    }

    /// Server and table, for messages.
    pub(super) fn place(&self) -> Arc<str> {
        self.link.place.clone()
    }

    /// How far the table is.
    pub(super) fn now(&mut self) -> Result<Mark, CustomersError> {
        self.mark()
    }

    /// Refuses a related table that memory can't hold.
    pub(super) fn bounded(&self, mark: &Mark) -> Result<(), CustomersError> {
        if mark.rows() > MOST_RELATED {
            return Err(CustomersError::TooManyRows { place: self.link.place.clone(), rows: mark.rows(), most: MOST_RELATED });
        }
        Ok(())
    }

    /// Reads all rows, or with `before` those that changed since and the keys of the others. `now` was asked before.
    pub(super) fn rows(
        mut self,
        pick: &[Option<usize>],
        before: Option<&Mark>,
        now: &Mark,
        take: &mut dyn Taker,
    ) -> Result<Scanned, CustomersError> {
        let changed = match before {
            Some(before) => self.changed_since(before, &self.key.clone())?.map(|changed| (before, changed)),
            None => None,
        };
        let place = self.link.place.clone();
        let (mut after, mut line) = (None::<Value>, 0_u64);
        // While rows are added the read may see more than were counted; a key that does not advance gives them without end.
        let most = u64::try_from(now.rows()).unwrap_or_default().saturating_mul(2).saturating_add(1_000_000);
        loop {
            let page = match &changed {
                None => self.page(&self.selected(pick), "", "", after.as_ref())?,
                Some((_, changed)) => {
                    let flag = format!("CASE WHEN {} THEN 1 ELSE 0 END", changed.condition);
                    let picked = pick.first().copied().flatten().and_then(|at| self.columns.get(at)).map(|column| column.selected("q"));
                    let columns = [picked.unwrap_or_else(|| "NULL".into()), flag];
                    self.page(&columns, &changed.join, "", after.as_ref())?
                }
            };
            let Some(last) = page.last().and_then(|row| row.first()).map(|cell| self.key_value(cell)) else { break };
            if after.as_ref() == Some(&last) || line > most {
                return Err(CustomersError::NoAdvance { place, key: self.key.column.name.clone() });
            }
            match &changed {
                None => {
                    for row in &page {
                        line += 1;
                        self.take(row, pick, line, take);
                    }
                }
                Some((before, changed)) => self.take_changed(&page, (before, changed), (after.as_ref(), &last), pick, &mut line, take)?,
            }
            self.twins(&page, &last, &mut line, take)?;
            let full = page.len() >= usize::try_from(self.page).unwrap_or(usize::MAX);
            after = Some(last);
            if !full {
                break;
            }
        }
        self.without_key(&mut line, take)?;
        Ok(Scanned { rows: line, digest: Digest([0; 32]) })
    }

    /// What each picked column is read by; a column that is not there is NULL.
    fn selected(&self, pick: &[Option<usize>]) -> Vec<String> {
        let one = |at: &Option<usize>| match at.and_then(|at| self.columns.get(at)) {
            Some(column) if column.sql_type == SqlType::Other => format!("CAST(q.{} AS nvarchar(4000))", column.sql_name()),
            Some(column) => column.selected("q"),
            None => "NULL".to_owned(),
        };
        pick.iter().map(one).collect()
    }

    /// One page behind a key: the key, then these columns.
    fn page(&mut self, columns: &[String], join: &str, and: &str, after: Option<&Value>) -> Result<Vec<Row>, CustomersError> {
        let key = format!("q.{}", self.key.column.sql_name());
        let (bound, parameters) = match after.and_then(Key::cell) {
            Some(cell) => (format!("{key} > {}", self.key.parameter(1)), vec![cell]),
            None => (format!("{key} IS NOT NULL"), Vec::new()),
        };
        let list = aliased(columns);
        let sql = format!("SELECT TOP ({}) {key} AS k{list} FROM {} AS q{join} WHERE {bound}{and} ORDER BY {key}", self.page, self.from);
        Ok(self.link.ask(&sql, &parameters)?.rows)
    }

    fn key_value(&self, cell: &tds::Cell) -> Value {
        self.key.column.unpadded(tds::read(cell))
    }

    /// A row of [`SqlServer::selected`]: the paging key, then the picked cells.
    fn take(&self, row: &Row, pick: &[Option<usize>], line: u64, take: &mut dyn Taker) {
        let mut fault = None;
        let values: Vec<Value> = row
            .iter()
            .skip(1)
            .zip(pick)
            .map(|(cell, at)| {
                let Some(column) = at.and_then(|at| self.columns.get(at)) else { return Value::Missing };
                match (column.sql_type, column.unpadded(tds::read(cell))) {
                    (_, Value::Missing) => Value::Missing,
                    (SqlType::VarBinary { .. } | SqlType::RowVersion, _) => {
                        fault.get_or_insert_with(|| RowFault::WrongKind { column: column.name.to_string(), kind: "binary data" });
                        Value::Missing
                    }
                    (_, Value::Bool(truth)) => Value::Integer(truth.into()),
                    (_, Value::Time(moment)) => Value::text(moment.to_string()),
                    (_, value) => value,
                }
            })
            .collect();
        let cells: Vec<Cell<'_>> = values.iter().map(cell_of).collect();
        match fault {
            Some(fault) => {
                let key = values.first().and_then(Value::as_text);
                take.row(line, Err((fault, key)));
            }
            None => take.row(line, Ok(&cells)),
        }
    }

    /// A page of keys: those that did not change are told so, the rows of the others are fetched.
    fn take_changed(
        &mut self,
        page: &[Row],
        (before, changed): (&Mark, &mark::Changed),
        (after, last): (Option<&Value>, &Value),
        pick: &[Option<usize>],
        line: &mut u64,
        take: &mut dyn Taker,
    ) -> Result<(), CustomersError> {
        let (mut named, mut any) = (Vec::new(), false);
        let first = pick.first().copied().flatten();
        for row in page {
            let id = row.get(1).map(tds::read).unwrap_or_default();
            let id = match first.and_then(|at| self.columns.get(at)) {
                Some(column) => column.unpadded(id),
                None => id,
            };
            let is_changed = row.get(2).map(tds::read) != Some(Value::Integer(0));
            let text = shown(&id);
            if is_changed {
                any = true;
            } else if before.is_aside(&text) || !take.unchanged(*line + 1, cell_of(&id)) {
                // Nobody knows it: it stood aside before, was retired and is back, or is new with an old date.
                named.push(row.first().map(|cell| self.key_value(cell)).unwrap_or_default());
            } else {
                *line += 1;
            }
        }
        let key = format!("q.{}", self.key.column.sql_name());
        let mut fetched: HashSet<String> = HashSet::new();
        let most = named.len() > MOST_NAMED;
        if any || most {
            let low = after.and_then(Key::cell);
            let mut parameters = vec![Key::cell(last).unwrap_or_else(|| tds::cell::text(""))];
            let mut and = format!("{key} <= {}", self.key.parameter(1));
            if let Some(low) = low {
                and = format!("{key} > {} AND {and}", self.key.parameter(2));
                parameters.push(low);
            }
            let condition = if most { "1 = 1" } else { &changed.condition };
            let rows = self.fetch(pick, &changed.join, &format!("{and} AND {condition}"), &parameters)?;
            for row in &rows {
                // Those that are named below are not read twice.
                let value = row.first().map(|cell| self.key_value(cell)).unwrap_or_default();
                fetched.insert(shown(&value));
                if most && !self.wants(page, &value, &named) {
                    continue;
                }
                *line += 1;
                self.take(row, pick, *line, take);
            }
        }
        if !most {
            named.retain(|value| !fetched.contains(&shown(value)));
            let parameters: Vec<tds::Cell> = named.iter().filter_map(Key::cell).collect();
            if !parameters.is_empty() {
                let list: Vec<String> = (1..=parameters.len()).map(|number| self.key.parameter(number)).collect();
                for row in self.fetch(pick, "", &format!("{key} IN ({})", list.join(", ")), &parameters)? {
                    *line += 1;
                    self.take(&row, pick, *line, take);
                }
            }
        }
        Ok(())
    }

    /// In a page that is fetched whole: whether a row was not told as unchanged before.
    fn wants(&self, page: &[Row], value: &Value, named: &[Value]) -> bool {
        let mut stands = page.iter().filter(|row| row.first().is_some_and(|cell| self.key_value(cell) == *value));
        stands.next().is_none_or(|row| row.get(2).map(tds::read) != Some(Value::Integer(0))) || named.contains(value)
    }

    fn fetch(&mut self, pick: &[Option<usize>], join: &str, condition: &str, parameters: &[tds::Cell]) -> Result<Vec<Row>, CustomersError> {
        let key = format!("q.{}", self.key.column.sql_name());
        let list = aliased(&self.selected(pick));
        // A page's rows, and what was added among them since.
        let most = self.page.saturating_mul(2);
        let sql = format!("SELECT TOP ({most}) {key} AS k{list} FROM {} AS q{join} WHERE {condition} ORDER BY {key}", self.from);
        Ok(self.link.ask(&sql, parameters)?.rows)
    }

    /// Rows with the key that ends a page would be passed over by the next one: where nothing says that keys are unique, they are counted.
    fn twins(&mut self, page: &[Row], last: &Value, line: &mut u64, take: &mut dyn Taker) -> Result<(), CustomersError> {
        let name = std::slice::from_ref(&self.key.column.name);
        let unique = self.shape.as_ref().and_then(|shape| shape.is_unique(name)) == Some(true);
        let full = page.len() >= usize::try_from(self.page).unwrap_or(usize::MAX);
        let (false, true, Some(cell)) = (unique, full, Key::cell(last)) else { return Ok(()) };
        let here = page.iter().rev().take_while(|row| row.first().is_some_and(|cell| self.key_value(cell) == *last)).count();
        let sql =
            format!("SELECT COUNT_BIG(*) AS n FROM {} AS q WHERE q.{} = {}", self.from, self.key.column.sql_name(), self.key.parameter(1));
        let answered = self.link.ask(&sql, &[cell])?;
        let there = answered.rows.first().and_then(|row| tds::cell::number_at(row, 0)).unwrap_or_default();
        let here = i64::try_from(here).unwrap_or(i64::MAX);
        for _twin in here..there.min(here.saturating_add(MOST_TOLD)) {
            *line += 1;
            let key = shown(last);
            take.row(*line, Err((RowFault::DuplicateKey, Some(&key))));
        }
        Ok(())
    }

    /// Rows without a key come in no page.
    fn without_key(&mut self, line: &mut u64, take: &mut dyn Taker) -> Result<(), CustomersError> {
        if !self.key.column.nullable {
            return Ok(());
        }
        let name = self.key.column.sql_name();
        let answered = self.link.ask(&format!("SELECT COUNT_BIG(*) AS n FROM {} AS q WHERE q.{name} IS NULL", self.from), &[])?;
        let rows = answered.rows.first().and_then(|row| tds::cell::number_at(row, 0)).unwrap_or_default();
        for _row in 0..rows.min(MOST_TOLD) {
            *line += 1;
            take.row(*line, Err((RowFault::NoKey { column: self.key.column.name.to_string() }, None)));
        }
        Ok(())
    }
}

/// Columns behind a first one: `, a AS c0, b AS c1`.
fn aliased(columns: &[String]) -> String {
    columns.iter().enumerate().fold(String::new(), |list, (at, column)| list + &format!(", {column} AS c{at}"))
}

fn shown(key: &Value) -> String {
    match key {
        Value::Text(text) => text.trim().to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Missing | Value::Number(_) | Value::Bool(_) | Value::Time(_) | Value::List(_) | Value::Record(_) => String::new(),
    }
}

fn cell_of(value: &Value) -> Cell<'_> {
    match value {
        Value::Text(text) => Cell::Text(text),
        Value::Integer(number) => Cell::Integer(*number),
        Value::Number(number) => Cell::Number(*number),
        Value::Missing | Value::Bool(_) | Value::Time(_) | Value::List(_) | Value::Record(_) => Cell::Missing,
    }
}

/// The error that a table of this name is not there, as the server would number it.
fn no_object(link: &Link) -> CustomersError {
    link.failed(TdsFault::Server { number: 208, class: 16, state: 1, named: None })
}

/// A query that can stand in brackets: begins with SELECT and does not end before its end.
fn one_select(query: &str) -> Option<&str> {
    let query = query.trim().trim_end_matches(';').trim_end();
    let begins = query.get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select"));
    let (mut depth, mut quote) = (0_i32, None);
    for sign in query.chars() {
        match (quote, sign) {
            (Some(close), sign) if sign == close => quote = None,
            (None, '\'' | '"') => quote = Some(sign),
            (None, '[') => quote = Some(']'),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, ';') => return None,
            (Some(_) | None, _) => {}
        }
        if depth < 0 {
            return None;
        }
    }
    (begins && depth == 0 && quote.is_none()).then_some(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_select_is_taken() {
        for good in ["SELECT a FROM t", " select ')' AS [;] FROM (SELECT 1 AS x) AS y; "] {
            assert!(one_select(good).is_some(), "{good}");
        }
        for bad in ["", "DELETE FROM t", "SELECT 1) AS q; DROP TABLE t; SELECT * FROM (SELECT 1", "SELECT 1; SELECT 2", "SELECT 'a"] {
            assert!(one_select(bad).is_none(), "{bad}");
        }
    }
}
