//! What all connections of one peer share, and what each knows of itself.

use super::applock::AppLocks;
use super::catalogue::{Catalogue, TableDef};
use super::error::TdsError;
use super::procedures::Procedure;
use super::script::Script;
use super::tokens::SERVER;
use rusqlite::types::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Debug)]
pub struct Settings {
    pub user: String,
    pub password: String,
    pub database: String,
}

pub struct Shared {
    pub settings: Settings,
    /// SQLite's file.
    pub path: PathBuf,
    catalogue: Mutex<Catalogue>,
    /// The last identity value by table.
    identities: Mutex<HashMap<i64, i64>>,
    rowversion: AtomicU64,
    pub spids: AtomicI32,
    pub transactions: AtomicU64,
    pub applocks: AppLocks,
    pub procedures: Mutex<HashMap<String, Arc<Procedure>>>,
    pub script: Script,
    /// Object (`dbo.t`) and permission (`UPDATE`) for which `HAS_PERMS_BY_NAME` says no.
    pub denied: Mutex<HashSet<(String, String)>>,
}

impl Shared {
    pub fn new(settings: Settings, path: PathBuf) -> Self {
        Self {
            settings,
            path,
            catalogue: Mutex::default(),
            identities: Mutex::default(),
            rowversion: AtomicU64::new(2000),
            spids: AtomicI32::new(51),
            transactions: AtomicU64::new(0x0000_0031_0000_0001),
            applocks: AppLocks::default(),
            procedures: Mutex::default(),
            script: Script::default(),
            denied: Mutex::default(),
        }
    }

    pub fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next value of a table's identity column.
    pub fn next_identity(&self, table: i64, seed: i64, step: i64) -> i64 {
        let mut all = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        let last = all.entry(table).or_insert(seed - step);
        *last += step;
        *last
    }

    /// An identity value was given by the client.
    pub fn seen_identity(&self, table: i64, value: i64) {
        let mut all = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        let last = all.entry(table).or_insert(value);
        *last = value.max(*last);
    }

    pub fn forget_identity(&self, table: i64) {
        self.identities.lock().unwrap_or_else(PoisonError::into_inner).remove(&table);
    }

    pub fn next_rowversion(&self) -> Vec<u8> {
        self.rowversion.fetch_add(1, Ordering::SeqCst).to_be_bytes().to_vec()
    }

    pub fn rowversion(&self) -> Vec<u8> {
        self.rowversion.load(Ordering::SeqCst).to_be_bytes().to_vec()
    }
}

/// What a connection's functions can ask about it.
#[derive(Default)]
pub struct Facts {
    pub spid: i32,
    pub user: String,
    pub application: String,
    pub host: String,
    pub trancount: i64,
    pub doomed: bool,
    pub rowcount: i64,
    pub error: i64,
    pub identity: Option<i64>,
    pub lock_timeout: i64,
    pub temp: BTreeMap<String, Arc<TableDef>>,
    /// Inside CATCH.
    pub caught: Option<TdsError>,
}

impl Facts {
    /// `@@NAME`
    pub fn global(&self, name: &str, shared: &Shared) -> Value {
        match name {
            "trancount" => Value::Integer(self.trancount),
            "rowcount" => Value::Integer(self.rowcount),
            "error" => Value::Integer(self.error),
            "lock_timeout" => Value::Integer(self.lock_timeout),
            "spid" => Value::Integer(self.spid.into()),
            "version" => Value::Text(super::properties::VERSION.to_owned()),
            "servername" => Value::Text(SERVER.to_owned()),
            "servicename" => Value::Text("MSSQLSERVER".to_owned()),
            "identity" => self.identity.map_or(Value::Null, Value::Integer),
            "dbts" => Value::Blob(shared.rowversion()),
            "language" => Value::Text("us_english".to_owned()),
            "options" => Value::Integer(5496),
            "textsize" => Value::Integer(2_147_483_647),
            "max_precision" => Value::Integer(38),
            _ => Value::Integer(0),
        }
    }

    pub fn session(&self, name: &str, shared: &Shared) -> Value {
        let caught = |of: fn(&TdsError) -> Value| self.caught.as_ref().map_or(Value::Null, of);
        match name {
            "suser_sname" | "suser_name" | "original_login" | "system_user" => Value::Text(self.user.clone()),
            "user_name" | "current_user" | "session_user" => Value::Text("dbo".to_owned()),
            "host_name" => Value::Text(self.host.clone()),
            "app_name" => Value::Text(self.application.clone()),
            "scope_identity" => self.identity.map_or(Value::Null, Value::Integer),
            "rowcount_big" => Value::Integer(self.rowcount),
            "xact_state" => Value::Integer(if self.doomed { -1 } else { self.trancount.min(1) }),
            "min_active_rowversion" => Value::Blob(shared.rowversion()),
            "error_number" => caught(|e| Value::Integer(e.number.into())),
            "error_severity" => caught(|e| Value::Integer(e.class.into())),
            "error_state" => caught(|e| Value::Integer(e.state.into())),
            "error_message" => caught(|e| Value::Text(e.message.clone())),
            "error_line" => caught(|_| Value::Integer(1)),
            _ => Value::Null,
        }
    }
}
