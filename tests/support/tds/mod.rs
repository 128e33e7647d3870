//! A TDS 7.4 peer on loopback: what a client of SQL Server meets, where no SQL Server can be installed.
//!
//! The wire is SQL Server's (login, TLS in PRELOGIN, batches, RPC, bulk load, Attention, transactions), as `tiberius`, FreeTDS and `python-tds` speak it.
//! Statements are parsed by `sqlparser` and run by SQLite, with SQL Server's types, limits, error numbers and catalogue views. It is no SQL Server: no
//! plans, no row locks (one writer at a time, as SQLite has it), no isolation levels, no MERGE, no triggers. What it can't do it says with error 50999.
//! It records what it is asked, and fails on demand ([`Rule`]).

#![allow(
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::items_after_statements,
    clippy::large_futures,
    clippy::map_err_ignore,
    clippy::single_match_else,
    clippy::match_same_arms,
    clippy::doc_markdown,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::missing_errors_doc,
    clippy::wildcard_enum_match_arm,
    clippy::format_push_string,
    clippy::too_many_lines,
    clippy::needless_pass_by_value,
    reason = "a codec casts by its nature; what the peer does not know falls into one arm that says so"
)]

mod alter;
mod applock;
mod batch;
mod broken;
mod browser;
mod builtin;
mod catalogue;
mod codec;
mod decimal;
mod define;
mod draft;
mod emit;
mod error;
mod expression;
mod functions;
mod insert;
mod load;
mod login;
mod output;
mod procedures;
mod properties;
mod request;
mod rights;
mod script;
mod server;
mod session;
mod shared;
mod temporal;
mod tls;
mod tokens;
mod types;
mod value;
mod view_columns;
mod views;
mod writes;

pub use browser::Browser;
pub use error::{Reach, TdsError};
pub use procedures::{Call, Param};
pub use script::{Fault, Parameter, Request, Rule};
pub use server::Encryption;
pub use types::Type;
pub use value::SqlValue;

use catalogue::ProcedureDef;
use procedures::Procedure;
use server::{Door, serve};
use session::Session;
use shared::{Facts, Settings, Shared};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// A running peer; stopped when dropped.
pub struct TdsPeer {
    dir: tempfile::TempDir,
    port: u16,
    shared: Arc<Shared>,
    /// The test's own session.
    inside: Mutex<Session>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// How a peer starts.
#[derive(Clone, Debug)]
pub struct Options {
    pub user: String,
    pub password: String,
    pub database: String,
    /// Other than [`Encryption::NotSupported`] needs the `openssl` program.
    pub encryption: Encryption,
    /// The names in its certificate.
    pub names: String,
    /// 0: any free one.
    pub port: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user: "kith_app".to_owned(),
            password: "Str0ng;{pass}word".to_owned(),
            database: "kith".to_owned(),
            encryption: Encryption::NotSupported,
            names: "DNS:localhost,IP:127.0.0.1".to_owned(),
            port: 0,
        }
    }
}

impl TdsPeer {
    /// Without encryption, with the database `kith`.
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// With a certificate of a private authority ([`TdsPeer::ca_file`]); a client that can't encrypt is refused.
    pub fn tls() -> Self {
        Self::with(Options { encryption: Encryption::Required, ..Options::default() })
    }

    pub fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let acceptor = (options.encryption != Encryption::NotSupported).then(|| {
            super::certificates::make(dir.path(), "Kith TDS test authority", &options.names);
            tls::acceptor(dir.path())
        });
        let settings = Settings { user: options.user, password: options.password, database: options.database };
        let shared = Arc::new(Shared::new(settings, dir.path().join("peer.db")));
        let facts = Facts { spid: 50, user: "inside".to_owned(), application: "inside".to_owned(), ..Facts::default() };
        let mut inside = Session::open(shared.clone(), facts).unwrap();
        catalogue::create_views(&inside.db).unwrap();
        inside.refresh().unwrap();
        let listener = std::net::TcpListener::bind(("127.0.0.1", options.port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let door = Door { shared: shared.clone(), encryption: options.encryption, acceptor };
        let (stop, stopped) = oneshot::channel::<()>();
        // A parser descends for every part of a long condition.
        let deep = std::thread::Builder::new().stack_size(64 << 20);
        let thread = deep
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                    tokio::select! {
                        () = serve(listener, door) => {}
                        _ = stopped => {}
                    }
                });
            })
            .unwrap();
        Self { dir, port, shared, inside: Mutex::new(inside), stop: Some(stop), thread: Some(thread) }
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    pub fn user(&self) -> &str {
        &self.shared.settings.user
    }

    pub fn password(&self) -> &str {
        &self.shared.settings.password
    }

    pub fn database(&self) -> &str {
        &self.shared.settings.database
    }

    /// The authority's certificate, where the peer encrypts.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Runs T-SQL inside, past the wire and the record.
    #[track_caller]
    pub fn sql(&self, sql: &str) {
        if let Err(error) = self.try_sql(sql) {
            panic!("{error}\nin {sql}");
        }
    }

    /// The rows of T-SQL, run inside.
    #[track_caller]
    pub fn query(&self, sql: &str) -> Vec<Vec<SqlValue>> {
        self.try_sql(sql).unwrap_or_else(|error| panic!("{error}\nin {sql}"))
    }

    /// The one value of a query.
    #[track_caller]
    pub fn value(&self, sql: &str) -> SqlValue {
        let rows = self.query(sql);
        assert!(rows.len() == 1 && rows[0].len() == 1, "one value was wanted, not {rows:?}");
        rows[0][0].clone()
    }

    pub fn try_sql(&self, sql: &str) -> Result<Vec<Vec<SqlValue>>, TdsError> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.variables.clear();
        inside.quiet(sql)
    }

    /// From now on this goes wrong.
    pub fn fail(&self, rule: Rule) {
        self.shared.script.add(rule);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.shared.script.clear();
    }

    /// What the faults hit, in order.
    pub fn fired(&self) -> Vec<String> {
        self.shared.script.fired()
    }

    /// All requests, in the order in which they came.
    pub fn recorded(&self) -> Vec<Request> {
        self.shared.script.recorded()
    }

    /// The record begins anew.
    pub fn forget(&self) {
        self.shared.script.forget();
    }

    /// Registers a procedure (`dbo.save_note`); its closure's `Ok` is the return code.
    pub fn procedure(
        &self,
        name: &str,
        parameters: Vec<Param>,
        body: impl Fn(&mut Call<'_>) -> Result<i32, TdsError> + Send + Sync + 'static,
    ) {
        let (schema, bare) = name.split_once('.').unwrap_or(("dbo", name));
        {
            let mut catalogue = self.shared.catalogue();
            let object_id = catalogue.new_id();
            catalogue.procedures.retain(|p| !(p.schema.eq_ignore_ascii_case(schema) && p.name.eq_ignore_ascii_case(bare)));
            catalogue.procedures.push(ProcedureDef {
                schema: schema.to_owned(),
                name: bare.to_owned(),
                object_id,
                parameters: parameters.iter().map(|p| (p.name.clone(), p.ty, p.output)).collect(),
            });
        }
        let key = format!("{schema}.{bare}").to_lowercase();
        let procedure = Arc::new(Procedure { parameters, body: Box::new(body) });
        self.shared.procedures.lock().unwrap_or_else(PoisonError::into_inner).insert(key, procedure);
        self.inside.lock().unwrap_or_else(PoisonError::into_inner).refresh().unwrap();
    }

    /// `HAS_PERMS_BY_NAME('dbo.t', 'OBJECT', 'UPDATE')` says no from now on.
    pub fn deny(&self, object: &str, permission: &str) {
        let denied = (object.to_lowercase(), permission.to_uppercase());
        self.shared.denied.lock().unwrap_or_else(PoisonError::into_inner).insert(denied);
    }
}

impl Drop for TdsPeer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself.
            stop.send(()).unwrap_or_default();
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the TDS peer's thread panicked");
        }
    }
}
