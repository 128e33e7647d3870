//! One connection's engine: statements run one after another as SQL Server runs them, on a SQLite connection of its own.

use super::batch::{self, Node, is_word, parse_expr, parse_statement, word, written};
use super::catalogue::{Catalogue, TableDef};
use super::emit::{Emitter, Names};
use super::error::{Reach, TdsError};
use super::shared::{Facts, Shared};
use super::tokens::{Column, Done, Tokens};
use super::types::Type;
use super::value::{Fit, SqlValue, coerce, owned};
use rusqlite::types::Value;
use rusqlite::{Connection, Statement, ffi};
use sqlparser::ast::Statement as Ast;
use sqlparser::tokenizer::Token;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest answer (a bound of the peer).
const LONGEST: usize = 512 << 20;
/// How long a statement waits for another's lock where `LOCK_TIMEOUT` is -1, "for ever".
const PATIENCE: i64 = 60_000;
/// Rounds of a WHILE.
const ROUNDS: usize = 1_000_000;

/// Marks an error that has been told to the client.
const TOLD: u32 = 0;

#[derive(Clone, Debug)]
pub struct Variable {
    pub ty: Type,
    pub value: SqlValue,
}

/// What the next statement is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    Next,
    Break,
    Continue,
    Return(i32),
}

pub struct Session {
    pub db: Connection,
    pub shared: Arc<Shared>,
    pub facts: Arc<Mutex<Facts>>,
    pub tokens: Tokens,
    pub variables: HashMap<String, Variable>,
    /// Rows go here instead of to the client.
    pub captured: Option<Vec<Vec<SqlValue>>>,
    pub done: Done,
    xact_abort: bool,
    nocount: bool,
    /// The table whose identity column takes values.
    pub identity_insert: Option<i64>,
    transaction: u64,
    /// As they were before the transaction.
    before: Option<(Catalogue, BTreeMap<String, Arc<TableDef>>)>,
    trying: usize,
    pub bulk: Option<super::load::Bulk>,
    pub prepared: HashMap<i32, (String, String)>,
}

impl Names for Session {
    fn table(&self, schema: Option<&str>, name: &str) -> Option<Arc<TableDef>> {
        if name.starts_with(['#', '@']) {
            return self.facts().temp.get(&name.to_lowercase()).cloned();
        }
        self.shared.catalogue().table(schema.unwrap_or("dbo"), name)
    }

    fn variable(&self, name: &str) -> Option<Type> {
        self.variables.get(name).map(|v| v.ty)
    }
}

impl Session {
    pub fn open(shared: Arc<Shared>, facts: Facts) -> rusqlite::Result<Self> {
        let db = Connection::open(&shared.path)?;
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;")?;
        db.set_prepared_statement_cache_capacity(64);
        db.busy_timeout(Duration::from_millis(PATIENCE as u64))?;
        let facts = Arc::new(Mutex::new(Facts { lock_timeout: -1, ..facts }));
        super::functions::install(&db, &shared, &facts)?;
        Ok(Self {
            db,
            shared,
            facts,
            tokens: Tokens::default(),
            variables: HashMap::new(),
            captured: None,
            done: Done::Statement,
            xact_abort: false,
            nocount: false,
            identity_insert: None,
            transaction: 0,
            before: None,
            trying: 0,
            bulk: None,
            prepared: HashMap::new(),
        })
    }

    pub fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch to its end; errors are in the tokens.
    pub fn batch(&mut self, sql: &str) -> Flow {
        self.variables.clear();
        let flow = match batch::parse(sql) {
            Ok(nodes) => self.run(&nodes).unwrap_or(Flow::Next),
            Err(error) => {
                self.tell(&error);
                self.after_error(&error);
                Flow::Next
            }
        };
        self.drop_table_variables();
        flow
    }

    fn drop_table_variables(&mut self) {
        let names: Vec<String> = self.facts().temp.keys().filter(|n| n.starts_with('@')).cloned().collect();
        for name in names {
            if self.db.execute_batch(&format!("DROP TABLE IF EXISTS temp.{}", super::catalogue::quote(&name))).is_ok() {
                self.facts().temp.remove(&name);
            }
        }
    }

    /// Runs with errors going to the caller.
    ///
    /// # Errors
    /// The first one.
    pub fn catching<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, TdsError>) -> Result<T, TdsError> {
        self.trying += 1;
        let answer = work(self);
        self.trying -= 1;
        answer
    }

    /// Ends a request with this error.
    pub fn give_up(&mut self, error: TdsError) {
        if error.number != TOLD {
            self.tell(&error);
            self.after_error(&error);
        }
    }

    /// The client broke the request off.
    pub fn cancelled(&mut self) {
        if self.xact_abort && self.facts().trancount > 0 {
            self.undo();
        }
        self.tokens = Tokens::default();
        self.bulk = None;
    }

    /// The answer so far, and a new one begun.
    pub fn take_answer(&mut self) -> Vec<u8> {
        let mut tokens = std::mem::take(&mut self.tokens);
        if tokens.out.is_empty() {
            tokens.done(self.done, None, false);
        }
        tokens.finish()
    }

    /// Statements in order.
    ///
    /// # Errors
    /// What ended the list, told to the client or about to be caught.
    pub fn run(&mut self, nodes: &[Node]) -> Result<Flow, TdsError> {
        for node in nodes {
            match self.node(node) {
                Ok(Flow::Next) => {}
                Ok(other) => return Ok(other),
                Err(error) => self.failed(error)?,
            }
        }
        Ok(Flow::Next)
    }

    /// Ends the batch or lets it go on, as SQL Server does after this error.
    fn failed(&mut self, error: TdsError) -> Result<(), TdsError> {
        if error.number == TOLD {
            return Err(error);
        }
        if self.trying > 0 {
            if self.xact_abort || error.reach == Reach::Transaction {
                let mut facts = self.facts();
                facts.doomed = facts.trancount > 0;
            }
            return Err(error);
        }
        self.tell(&error);
        if self.after_error(&error) { Err(TdsError::new(TOLD, 16, 1, "")) } else { Ok(()) }
    }

    fn tell(&mut self, error: &TdsError) {
        self.facts().error = error.number.into();
        self.tokens.error(error);
        self.tokens.done(self.done, None, true);
    }

    /// Whether the batch ends.
    fn after_error(&mut self, error: &TdsError) -> bool {
        // RAISERROR (50000) does not heed XACT_ABORT.
        let abort = error.class > 10 && (self.xact_abort && error.number != 50_000 || error.reach == Reach::Transaction);
        if abort && self.facts().trancount > 0 {
            self.undo();
        }
        abort || error.reach != Reach::Statement
    }

    pub fn begin(&mut self) -> Result<(), TdsError> {
        if self.facts().trancount == 0 {
            self.db.execute_batch("BEGIN IMMEDIATE").map_err(|e| sqlite_error(&e, None, "BEGIN"))?;
            let (catalogue, temp) = (self.shared.catalogue().clone(), self.facts().temp.clone());
            self.before = Some((catalogue, temp));
            self.transaction = self.shared.transactions.fetch_add(1, Ordering::SeqCst);
            self.tokens.began(self.transaction);
        }
        self.facts().trancount += 1;
        Ok(())
    }

    pub fn commit(&mut self) -> Result<(), TdsError> {
        let count = self.facts().trancount;
        match count {
            0 => return Err(TdsError::new(3902, 16, 1, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")),
            1 => {
                if self.facts().doomed {
                    self.undo();
                    return Err(TdsError::new(3930, 16, 1, "The current transaction cannot be committed and cannot support operations that write to the log file. Roll back the transaction.").ends(Reach::Batch));
                }
                self.db.execute_batch("COMMIT").map_err(|e| sqlite_error(&e, None, "COMMIT"))?;
                self.before = None;
                self.tokens.committed(self.transaction);
                self.shared.applocks.free_all(self.facts().spid, true);
            }
            _ => {}
        }
        self.facts().trancount = count - 1;
        Ok(())
    }

    /// Rolls all of it back.
    fn undo(&mut self) {
        // A statement that failed hard may have ended it already.
        if !self.db.is_autocommit() && self.db.execute_batch("ROLLBACK").is_err() {
            eprintln!("the TDS peer could not roll back");
        }
        if let Some((catalogue, temp)) = self.before.take() {
            *self.shared.catalogue() = catalogue;
            self.facts().temp = temp;
        }
        self.tokens.rolled_back(self.transaction);
        let spid = {
            let mut facts = self.facts();
            facts.trancount = 0;
            facts.doomed = false;
            facts.spid
        };
        self.shared.applocks.free_all(spid, true);
    }

    pub fn rollback(&mut self, name: Option<&str>) -> Result<(), TdsError> {
        if self.facts().trancount == 0 {
            return Err(TdsError::new(3903, 16, 1, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION."));
        }
        match name {
            Some(name) => {
                let unknown =
                    |_| TdsError::new(6401, 16, 1, format!("Cannot roll back {name}. No transaction or savepoint of that name was found."));
                self.db
                    .execute_batch(&format!("ROLLBACK TO {}", super::catalogue::quote(&format!("s_{}", name.to_lowercase()))))
                    .map_err(unknown)
            }
            None => {
                self.undo();
                Ok(())
            }
        }
    }

    pub fn save(&mut self, name: &str) -> Result<(), TdsError> {
        if self.facts().trancount == 0 {
            return Err(TdsError::new(628, 16, 1, "Cannot issue SAVE TRANSACTION when there is no active transaction."));
        }
        self.db
            .execute_batch(&format!("SAVEPOINT {}", super::catalogue::quote(&format!("s_{}", name.to_lowercase()))))
            .map_err(|e| sqlite_error(&e, None, "SAVE"))
    }

    /// As after `sp_reset_connection`, and at the end.
    pub fn reset(&mut self) {
        if self.facts().trancount > 0 {
            self.undo();
        }
        let names: Vec<String> = self.facts().temp.keys().cloned().collect();
        for name in names {
            if self.db.execute_batch(&format!("DROP TABLE IF EXISTS temp.{}", super::catalogue::quote(&name))).is_err() {
                eprintln!("the TDS peer could not drop {name}");
            }
        }
        let mut facts = self.facts();
        facts.temp.clear();
        facts.lock_timeout = -1;
        facts.identity = None;
        let spid = facts.spid;
        drop(facts);
        self.shared.applocks.free_all(spid, false);
        (self.xact_abort, self.nocount, self.identity_insert) = (false, false, None);
        self.variables.clear();
        self.prepared.clear();
    }

    /// DONE after a statement that has no rows; none under NOCOUNT.
    pub fn counted(&mut self, rows: u64) {
        self.facts().rowcount = rows as i64;
        self.facts().error = 0;
        if !self.nocount {
            self.tokens.done(self.done, Some(rows), false);
        }
    }

    fn plain(&mut self) {
        self.facts().error = 0;
        if !self.nocount {
            self.tokens.done(self.done, None, false);
        }
    }

    /// A result of rows that are at hand.
    pub fn result(&mut self, columns: &[Column], rows: Vec<Vec<SqlValue>>) {
        let count = rows.len() as u64;
        match &mut self.captured {
            Some(captured) => captured.extend(rows),
            None => {
                self.tokens.columns(columns);
                for row in &rows {
                    self.tokens.row(row);
                }
            }
        }
        self.facts().rowcount = count as i64;
        self.facts().error = 0;
        self.tokens.done(self.done, if self.nocount { None } else { Some(count) }, false);
    }

    #[allow(clippy::too_many_lines, reason = "one arm for each kind of statement")]
    fn node(&mut self, node: &Node) -> Result<Flow, TdsError> {
        match node {
            Node::Query(tokens) => self.query(tokens)?,
            Node::Define(tokens) => {
                self.define(tokens)?;
                self.plain();
            }
            Node::Grant(tokens) => {
                self.grant(tokens)?;
                self.plain();
            }
            Node::InsertBulk(tokens) => {
                self.insert_bulk(tokens)?;
                self.tokens.done(self.done, None, false);
            }
            Node::Declare(all) => {
                for (name, ty, value) in all {
                    let value = match value {
                        Some(tokens) => self.evaluate_as(tokens, *ty)?,
                        None => SqlValue::Null,
                    };
                    self.variables.insert(name.clone(), Variable { ty: *ty, value });
                }
            }
            Node::DeclareTable(name, tokens) => self.create_table_named(None, name, tokens)?,
            Node::Assign(name, tokens) => {
                let ty = self.variables.get(name).map(|v| v.ty).ok_or_else(|| TdsError::undeclared(name))?;
                let value = self.evaluate_as(tokens, ty)?;
                self.variables.insert(name.clone(), Variable { ty, value });
            }
            Node::Set(tokens) => {
                self.set(tokens)?;
                self.plain();
            }
            Node::If { condition, then, otherwise } => {
                let nodes = if self.is_true(condition)? { then } else { otherwise };
                return self.run(nodes);
            }
            Node::While { condition, body } => {
                for _ in 0..ROUNDS {
                    if !self.is_true(condition)? {
                        return Ok(Flow::Next);
                    }
                    match self.run(body)? {
                        Flow::Next | Flow::Continue => {}
                        Flow::Break => return Ok(Flow::Next),
                        flow @ Flow::Return(_) => return Ok(flow),
                    }
                }
                return Err(TdsError::unsupported("so many rounds of a WHILE"));
            }
            Node::Block(nodes) => return self.run(nodes),
            Node::Try { body, catch } => {
                self.trying += 1;
                let answer = self.run(body);
                self.trying -= 1;
                match answer {
                    Err(error) if error.number != TOLD => {
                        let outer = self.facts().caught.replace(error);
                        let answer = self.run(catch);
                        self.facts().caught = outer;
                        return answer;
                    }
                    other => return other,
                }
            }
            Node::Begin => {
                self.begin()?;
                self.plain();
            }
            Node::Commit => {
                self.commit()?;
                self.plain();
            }
            Node::Rollback(name) => {
                let savepoint = name.as_ref().filter(|n| !n.starts_with('@')).map(String::as_str);
                self.rollback(savepoint)?;
                self.plain();
            }
            Node::Save(name) => {
                self.save(name)?;
                self.plain();
            }
            Node::Exec(tokens) => return self.execute(tokens),
            Node::Print(tokens) => {
                let text = self.evaluate_as(tokens, Type::NVarChar(Some(4000)))?;
                self.tokens.info(0, text.text().unwrap_or_default());
            }
            Node::RaiseError(tokens) => self.raise(tokens)?,
            Node::Throw(tokens) => return Err(self.thrown(tokens)?),
            Node::Return(tokens) => {
                let status = if tokens.is_empty() { 0 } else { self.evaluate_as(tokens, Type::Int)?.int().unwrap_or(0) as i32 };
                return Ok(Flow::Return(status));
            }
            Node::Wait(tokens) => {
                let text = tokens.iter().find_map(|t| match t {
                    Token::SingleQuotedString(t) => super::temporal::parse(t),
                    _ => None,
                });
                let ticks = text.ok_or_else(|| TdsError::syntax("WAITFOR"))?.ticks;
                std::thread::sleep(Duration::from_micros(ticks as u64 / 10));
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Use(name) => {
                let database = self.shared.settings.database.clone();
                if !name.eq_ignore_ascii_case(&database) {
                    return Err(TdsError::new(
                        911,
                        16,
                        1,
                        format!("Database '{name}' does not exist. Make sure that the name is entered correctly."),
                    ));
                }
                self.tokens.database(&database, &database);
            }
        }
        Ok(Flow::Next)
    }

    fn raise(&mut self, tokens: &[Token]) -> Result<(), TdsError> {
        let inner = tokens.get(1..tokens.len().saturating_sub(1)).unwrap_or_default();
        let arguments = batch::split_commas(inner);
        let mut values = Vec::new();
        for argument in &arguments {
            values.push(self.evaluate_as(argument, Type::NVarChar(Some(2047)))?);
        }
        let text = |at: usize| values.get(at).and_then(SqlValue::text).unwrap_or_default().to_owned();
        let mut message = text(0);
        for at in 3..values.len() {
            for mark in ["%s", "%d", "%i"] {
                if message.contains(mark) {
                    message = message.replacen(mark, &text(at), 1);
                    break;
                }
            }
        }
        let error = TdsError::new(50_000, text(1).parse().unwrap_or(16), text(2).parse().unwrap_or(1), message);
        if error.class <= 10 {
            self.tokens.error(&error);
            return Ok(());
        }
        Err(error)
    }

    fn thrown(&mut self, tokens: &[Token]) -> Result<TdsError, TdsError> {
        if tokens.is_empty() {
            let caught = self.facts().caught.clone();
            return Ok(caught
                .ok_or_else(|| TdsError::new(10_704, 15, 1, "To rethrow an error, a THROW statement must be used inside a CATCH block."))?
                .ends(Reach::Batch));
        }
        let arguments = batch::split_commas(tokens);
        let [number, message, state] = arguments.as_slice() else { return Err(TdsError::syntax("THROW")) };
        let number = self.evaluate_as(number, Type::Int)?.int().unwrap_or(50_000);
        let message = self.evaluate_as(message, Type::NVarChar(Some(2048)))?;
        let state = self.evaluate_as(state, Type::TinyInt)?.int().unwrap_or(1);
        Ok(TdsError::new(number as u32, 16, state as u8, message.text().unwrap_or_default()).ends(Reach::Batch))
    }

    fn set(&mut self, tokens: &[Token]) -> Result<(), TdsError> {
        let on = is_word(tokens.last(), "ON");
        let names: Vec<String> = tokens.iter().filter_map(|t| word(Some(t))).collect();
        match names.first().map(String::as_str) {
            Some("LOCK_TIMEOUT") => {
                let wait: i64 = written(&tokens[1..]).replace(' ', "").parse().map_err(|_| TdsError::syntax("LOCK_TIMEOUT"))?;
                self.facts().lock_timeout = wait;
                let wait = if wait < 0 { PATIENCE } else { wait };
                self.db.busy_timeout(Duration::from_millis(wait as u64)).map_err(|e| sqlite_error(&e, None, "SET"))?;
                return Ok(());
            }
            Some("IDENTITY_INSERT") => {
                let name = written(&tokens[1..tokens.len() - 1]).replace(' ', "");
                let statement = parse_statement(&batch::tokenize(&format!("SELECT * FROM {name}"))?)?;
                drop(statement);
                let (schema, table) = name.rsplit_once('.').map_or((None, name.as_str()), |(s, t)| (Some(s), t));
                let bare = |t: &str| t.trim_matches(['[', ']']).to_owned();
                let table = self.table(schema.map(bare).as_deref(), &bare(table)).ok_or_else(|| TdsError::invalid_object(&name))?;
                self.identity_insert = on.then_some(table.object_id);
                return Ok(());
            }
            _ => {}
        }
        for name in names {
            match name.as_str() {
                "XACT_ABORT" => self.xact_abort = on,
                "NOCOUNT" => self.nocount = on,
                // Remembered nowhere: nothing that the peer does depends on it.
                _ => {}
            }
        }
        Ok(())
    }

    fn query(&mut self, tokens: &[Token]) -> Result<(), TdsError> {
        if self.facts().doomed && !is_word(tokens.first(), "SELECT") {
            return Err(TdsError::new(
                3930,
                16,
                1,
                "The current transaction cannot be committed and cannot support operations that write to the log file. Roll back the transaction.",
            ));
        }
        match parse_statement(&super::writes::readable(tokens))? {
            Ast::Query(query) => self.select(&query),
            Ast::Insert(insert) => self.insert(&insert),
            Ast::Update(update) => self.update(&update, super::writes::top_of(tokens)),
            Ast::Delete(delete) => self.delete(&delete, super::writes::top_of(tokens)),
            other => Err(TdsError::unsupported(other)),
        }
    }

    fn select(&mut self, query: &sqlparser::ast::Query) -> Result<(), TdsError> {
        let selected = Emitter::new(self).select_statement(query)?;
        if let Some(into) = &selected.into {
            return self.select_into(into, &selected.sql, &selected.columns);
        }
        if selected.variables.iter().any(Option::is_some) {
            let rows = self.rows(&selected.sql, &selected.columns, &[])?;
            let count = rows.len() as u64;
            if let Some(last) = rows.into_iter().last() {
                for ((name, column), value) in selected.variables.iter().zip(&selected.columns).zip(last) {
                    let Some(name) = name else {
                        return Err(TdsError::new(
                            141,
                            15,
                            1,
                            "A SELECT statement that assigns a value to a variable must not be combined with data-retrieval operations.",
                        ));
                    };
                    let ty = self.variables.get(name).map(|v| v.ty).ok_or_else(|| TdsError::undeclared(name))?;
                    let value = coerce(value.stored(), column.ty, ty, Fit::Cut)?;
                    self.variables.insert(name.clone(), Variable { ty, value });
                }
            }
            self.counted(count);
            return Ok(());
        }
        let rows = self.rows(&selected.sql, &selected.columns, &[])?;
        self.result(&selected.columns, rows);
        Ok(())
    }

    /// Runs a query of SQLite.
    ///
    /// # Errors
    /// SQL Server's own numbers for what went wrong.
    pub fn rows(&self, sql: &str, columns: &[Column], extra: &[(&str, Value)]) -> Result<Vec<Vec<SqlValue>>, TdsError> {
        let fails = |e: rusqlite::Error| sqlite_error(&e, None, sql);
        let mut statement = self.db.prepare_cached(sql).map_err(fails)?;
        self.bind(&mut statement, extra)?;
        let mut found = statement.raw_query();
        let mut all = Vec::new();
        let mut size = 0_usize;
        while let Some(row) = found.next().map_err(fails)? {
            let mut values = Vec::with_capacity(columns.len());
            for (at, column) in columns.iter().enumerate() {
                let value = owned(row.get_ref(at).map_err(fails)?);
                if let Value::Text(t) = &value {
                    size += t.len();
                }
                values.push(coerce(value, column.ty, column.ty, Fit::Cut)?);
            }
            size += columns.len() * 16;
            if size > LONGEST {
                return Err(TdsError::unsupported("a result of more than 512 MB"));
            }
            all.push(values);
        }
        Ok(all)
    }

    /// Gives a statement its variables, and what it takes beside them.
    pub fn bind(&self, statement: &mut Statement<'_>, extra: &[(&str, Value)]) -> Result<(), TdsError> {
        for at in 1..=statement.parameter_count() {
            let name = statement.parameter_name(at).unwrap_or_default().to_owned();
            let value = match extra.iter().find(|(n, _)| *n == name) {
                Some((_, value)) => value.clone(),
                None => self.variables.get(&name).map(|v| v.value.stored()).ok_or_else(|| TdsError::undeclared(&name))?,
            };
            statement.raw_bind_parameter(at, value).map_err(|e| sqlite_error(&e, None, "bind"))?;
        }
        Ok(())
    }

    /// An expression without a table.
    pub fn evaluate_as(&self, tokens: &[Token], ty: Type) -> Result<SqlValue, TdsError> {
        let expr = parse_expr(tokens)?;
        let (sql, typed) = Emitter::new(self).expr(&expr)?;
        let column = super::emit::column_of("", typed);
        let rows = self.rows(&format!("SELECT {sql}"), &[column], &[])?;
        let value = rows.into_iter().next().and_then(|r| r.into_iter().next()).unwrap_or(SqlValue::Null);
        coerce(value.stored(), typed.ty, ty, Fit::Cut)
    }

    fn is_true(&self, tokens: &[Token]) -> Result<bool, TdsError> {
        let expr = parse_expr(tokens)?;
        let (sql, _) = Emitter::new(self).expr(&expr)?;
        let column = super::emit::column_of("", super::emit::Typed::new(Type::Bit));
        let rows = self.rows(&format!("SELECT iif({sql}, 1, 0)"), &[column], &[])?;
        Ok(rows.first().and_then(|r| r.first()) == Some(&SqlValue::Bit(true)))
    }
}

/// SQLite's error with SQL Server's number.
pub fn sqlite_error(error: &rusqlite::Error, table: Option<(&TableDef, &[Value])>, statement: &str) -> TdsError {
    let text = error.to_string();
    if let Some(packed) = TdsError::unpack(&text) {
        return packed;
    }
    let rusqlite::Error::SqliteFailure(code, _) = error else { return TdsError::unsupported(format!("{text} in {statement}")) };
    match code.code {
        ffi::ErrorCode::DatabaseBusy | ffi::ErrorCode::DatabaseLocked => {
            return TdsError::new(1222, 16, 51, "Lock request time out period exceeded.");
        }
        ffi::ErrorCode::OperationInterrupted => return TdsError::new(TOLD, 16, 1, "cancelled"),
        ffi::ErrorCode::ConstraintViolation => {
            if let Some((table, row)) = table {
                return super::broken::constraint_error(table, row, code.extended_code, &text, statement);
            }
        }
        _ => {}
    }
    if text.contains("integer overflow") {
        return TdsError::overflow(Type::BigInt);
    }
    TdsError::unsupported(format!("{text} in {statement}"))
}
