//! Faults on demand, and what was asked of the peer.

use super::error::{Reach, TdsError};
use super::types::Type;
use super::value::SqlValue;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What came in, in order.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    Login {
        user: String,
        database: String,
        application: String,
        host: String,
        encrypted: bool,
        accepted: bool,
        /// The token of a Windows login, as it came.
        token: Vec<u8>,
    },
    Batch(String),
    Rpc {
        name: String,
        parameters: Vec<Parameter>,
    },
    Bulk {
        table: String,
        columns: Vec<(String, Type)>,
        rows: Vec<Vec<SqlValue>>,
    },
    /// `begin`, `commit`, `rollback`, `save`: a request of its own, not a statement.
    Transaction(String),
    Attention,
}

/// A parameter of an RPC, as the client sent it.
#[derive(Clone, PartialEq, Debug)]
pub struct Parameter {
    pub name: String,
    pub ty: Type,
    pub value: SqlValue,
    pub output: bool,
}

impl Request {
    /// The T-SQL of a batch or of `sp_executesql`; `EXEC name` of another RPC; `bulk rows of TABLE` of the rows of a bulk load.
    pub fn text(&self) -> String {
        match self {
            Self::Batch(text) => text.clone(),
            Self::Rpc { name, parameters } if name.eq_ignore_ascii_case("sp_executesql") || name.eq_ignore_ascii_case("sp_prepexec") => {
                let at = usize::from(name.eq_ignore_ascii_case("sp_prepexec")) * 2;
                parameters.get(at).and_then(|p| p.value.text()).unwrap_or_default().to_owned()
            }
            Self::Rpc { name, .. } => format!("EXEC {name}"),
            Self::Bulk { table, .. } => format!("bulk rows of {table}"),
            Self::Transaction(what) => format!("{what} transaction"),
            Self::Login { user, .. } => format!("login {user}"),
            Self::Attention => "attention".to_owned(),
        }
    }
}

/// What goes wrong.
#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    /// The error instead of the work.
    Error(TdsError),
    /// The error after the work: a statement in the middle of a batch fails late.
    ErrorAfter(TdsError),
    /// So long before the work.
    Stall(Duration),
    /// So long between the work and its answer.
    StallAnswer(Duration),
    /// The connection ends, nothing done.
    CutBefore,
    /// The work is done; the connection ends without an answer.
    CutAfter,
    /// The work is done; the connection ends in the middle of its answer.
    CutWithin,
}

impl Fault {
    /// By number, with SQL Server's class, state and reach for the numbers that tests use most.
    pub fn error(number: u32) -> Self {
        let (class, state, message, reach) = match number {
            1205 => (
                13,
                51,
                "Transaction (Process ID 52) was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction.",
                Reach::Transaction,
            ),
            1222 => (16, 51, "Lock request time out period exceeded.", Reach::Statement),
            10_928 => (16, 1, "Resource ID: 1. The request limit for the database is 60 and has been reached.", Reach::Batch),
            10_929 => (
                16,
                1,
                "Resource ID: 1. The minimum guarantee is 0, maximum limit is 60 and the current usage for the database is 60.",
                Reach::Batch,
            ),
            40_501 => (20, 1, "The service is currently busy. Retry the request after 10 seconds.", Reach::Transaction),
            40_197 => (20, 1, "The service has encountered an error processing your request. Please try again.", Reach::Transaction),
            40_613 => (
                17,
                1,
                "Database 'kith' on server 'peer' is not currently available. Please retry the connection later.",
                Reach::Transaction,
            ),
            49_918 => (16, 1, "Cannot process request. Not enough resources to process request.", Reach::Batch),
            2627 => (
                14,
                1,
                "Violation of PRIMARY KEY constraint 'PK'. Cannot insert duplicate key in object 'dbo.T'. The duplicate key value is (1).",
                Reach::Statement,
            ),
            547 => (16, 0, "The INSERT statement conflicted with the CHECK constraint \"CK\".", Reach::Statement),
            229 => (14, 5, "The INSERT permission was denied on the object 'T', database 'kith', schema 'dbo'.", Reach::Statement),
            1105 => (
                17,
                2,
                "Could not allocate space for object 'dbo.T' in database 'kith' because the 'PRIMARY' filegroup is full.",
                Reach::Transaction,
            ),
            9002 => (17, 2, "The transaction log for database 'kith' is full due to 'LOG_BACKUP'.", Reach::Transaction),
            3960 => (16, 2, "Snapshot isolation transaction aborted due to update conflict.", Reach::Transaction),
            _ => (16, 1, "An error that the test asked for.", Reach::Statement),
        };
        Self::Error(TdsError::new(number, class, state, message).ends(reach))
    }
}

/// When, how often, what.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Part of the request's text ([`Request::text`]), whatever its case; empty: every request.
    pub when: String,
    /// So many matches pass first.
    pub after: u32,
    /// So many times; `u32::MAX` for ever.
    pub times: u32,
    pub fault: Fault,
    /// At login, instead of at a request.
    pub login: bool,
}

impl Rule {
    pub fn new(when: &str, fault: Fault) -> Self {
        Self { when: when.to_lowercase(), after: 0, times: 1, fault, login: false }
    }

    /// A login fails.
    pub fn login(fault: Fault) -> Self {
        Self { login: true, ..Self::new("", fault) }
    }

    pub const fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    pub const fn after(mut self, passes: u32) -> Self {
        self.after = passes;
        self
    }
}

#[derive(Default)]
pub struct Script {
    rules: Mutex<Vec<Rule>>,
    recorded: Mutex<Vec<Request>>,
    fired: Mutex<Vec<String>>,
}

impl Script {
    pub fn add(&self, rule: Rule) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    pub fn clear(&self) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub fn record(&self, request: Request) {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }

    pub fn recorded(&self) -> Vec<Request> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn forget(&self) {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What each fault hit, in order.
    pub fn fired(&self) -> Vec<String> {
        self.fired.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The fault for this request; the first rule that fits is used up.
    pub fn fault(&self, text: &str, login: bool) -> Option<Fault> {
        let folded = text.to_lowercase();
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        for rule in rules.iter_mut().filter(|r| r.login == login && r.times > 0 && folded.contains(&r.when)) {
            if rule.after > 0 {
                rule.after -= 1;
                continue;
            }
            if rule.times != u32::MAX {
                rule.times -= 1;
            }
            self.fired.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
            return Some(rule.fault.clone());
        }
        None
    }
}
