//! The checked configuration. Every path is absolute or relative to the working directory of the process, never to the file.

use super::server::ServerSpec;
use super::{GivenSecret, SecretSource, ServiceHours};
use crate::declare::connector::Quotas;
use crate::declare::manifest::Connector;
use crate::manifest::cost::Budget;
use crate::model::Network;
use core::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A checked `kith.toml`, overrides applied.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// `[service]`
    pub service: Service,
    /// `[sources.NAME]`, in file order.
    pub sources: Vec<SourceSpec>,
    /// `[customers.NAME]`, in file order.
    pub customers: Vec<TableSpec>,
    /// `[related.NAME]`, in file order.
    pub related: Vec<TableSpec>,
    /// `[targets.NAME]`, in file order.
    pub targets: Vec<TargetSpec>,
    /// `[audit]`
    pub audit: Audit,
    /// `[backup]`
    pub backup: Backup,
    /// `[keys]`
    pub keys: Keys,
    /// `[roles]`, in file order.
    pub roles: Vec<RoleGrant>,
    /// `[log]`
    pub log: Log,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[evaluate]`
    pub evaluate: Evaluate,
    /// `[review]`
    pub review: super::Review,
    /// `[guard]`
    pub guard: super::PassGuard,
    /// Whom the service tells about itself.
    pub alarms: super::Alarms,
    /// `[webhooks]`
    pub webhooks: super::Webhooks,
}

impl Config {
    /// The table of `[customers.NAME]`.
    pub fn customers(&self, name: &str) -> Option<&TableSpec> {
        self.customers.iter().find(|t| &*t.name == name)
    }

    /// The table of `[related.NAME]`.
    pub fn related(&self, name: &str) -> Option<&TableSpec> {
        self.related.iter().find(|t| &*t.name == name)
    }

    /// The target of `[targets.NAME]`.
    pub fn target(&self, name: &str) -> Option<&TargetSpec> {
        self.targets.iter().find(|t| &*t.name == name)
    }

    /// The role of an operating-system user, where the file grants one.
    pub fn role(&self, user: &str) -> Option<Role> {
        self.roles.iter().find(|g| &*g.user == user).map(|g| g.role)
    }
}

/// `[service]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// The state folder: database, log, keys. One service writes it.
    pub state: PathBuf,
    /// The active mapping.
    pub mapping: PathBuf,
    /// When a change of it takes effect.
    pub release: ReleaseWhen,
    /// Activities in one intake transaction, 1 to 10,000.
    pub intake_batch: NonZeroU32,
    /// Identities in one decide transaction, 1 to 10,000.
    pub decide_batch: NonZeroU32,
    /// How often a source without news is looked at again, in seconds, 1 to 3,600.
    pub poll_seconds: NonZeroU32,
    /// Threads that decide, 1 to 256; `None`: one a core.
    pub threads: Option<NonZeroU32>,
    /// How long open sends may take after a stop was asked for, in seconds, 1 to 3,600.
    pub drain_seconds: NonZeroU32,
}

/// When a changed mapping takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReleaseWhen {
    /// When somebody releases it.
    Named,
    /// Whenever the service starts or reloads.
    OnStart,
}

/// Where a source's records come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SourceKind {
    /// One NDJSON file, plain or `.gz`.
    File {
        /// The file.
        path: PathBuf,
    },
    /// A drop folder: each file is picked up once, then moved.
    Folder {
        /// Where files are dropped.
        inbox: PathBuf,
        /// Where they go when they are read.
        done: PathBuf,
        /// What its files hold, where they are no activities.
        rows: Option<Box<super::RowsSpec>>,
    },
    /// A network's interface, read as a connector says.
    Network(Box<NetworkSource>),
    /// Deliveries of a network, as a connector says.
    Webhook(Box<super::WebhookSource>),
    /// A Singer tap.
    Singer(Box<super::SingerSource>),
}

/// A network's interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetworkSource {
    /// The connector: a manifest with our block.
    pub connector: PathBuf,
    /// The source's configuration, as the connector's `spec` describes it: JSON.
    pub settings: GivenSecret,
    /// The streams that are read; all that the connector projects, where none is named.
    pub streams: Vec<Arc<str>>,
    /// How long after a read the next one begins.
    pub every: Duration,
    /// What the network is asked about what is held of it.
    pub compliance: Vec<Arc<str>>,
    /// How long after the beginning of a round of that the next one begins.
    pub compliance_every: Duration,
    /// The proxy that every request goes through.
    pub proxy: Option<ProxySpec>,
    /// The only hosts that are asked; those of the connector's own addresses, where none is named.
    pub hosts: Option<Vec<Arc<str>>>,
    /// PEM certificates that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The longest time for a request with its whole answer.
    pub timeout: Duration,
    /// What its calls may cost in a month.
    pub budget: Option<Budget>,
    /// The connector, read by those who load the project; checking reads none.
    pub loaded: Option<Arc<Connector>>,
}

/// `[sources.NAME]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceSpec {
    /// Its name.
    pub name: Arc<str>,
    /// Where the records come from.
    pub kind: SourceKind,
    /// The network of every activity, where they do not say.
    pub network: Option<Network>,
}

/// What is read from a SQLite database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SqliteRows {
    /// All rows of a table or view.
    Table(Arc<str>),
    /// The rows of one `SELECT`.
    Query(Arc<str>),
}

/// How rows of a SQL Server that changed since the last read are found; without, all of them are read each time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Changes {
    /// All rows are read and compared.
    Compared,
    /// A column that grows with each change: a `rowversion`, or a date and time.
    Column(Arc<str>),
    /// Change Tracking of the table (SQL Server, not every other engine).
    Tracking,
}

/// What is read from a SQL Server, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerRows {
    /// The server.
    pub server: ServerSpec,
    /// A table or view (`dbo.Customer`), or one `SELECT`.
    pub rows: SqliteRows,
    /// The column that identifies a row and orders the pages. Unique.
    pub key: Arc<str>,
    /// How changed rows are found.
    pub changes: Changes,
    /// Rows in one page, 100 to 50,000.
    pub page: NonZeroU32,
    /// Minutes between two questions whether something changed, 1 to 1,440.
    pub every_minutes: NonZeroU32,
}

/// How a table of customers or related records is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TableKind {
    /// A table, view or query of a SQL Server, read page by page.
    SqlServer(Box<ServerRows>),
    /// A CSV file with a header line, plain or `.gz`.
    Csv {
        /// The file.
        path: PathBuf,
        /// What separates cells: one ASCII character.
        delimiter: u8,
    },
    /// A SQLite database, opened for reading only.
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// Table or query.
        rows: SqliteRows,
    },
    /// A paged query of a SOAP service.
    Soap(SoapRows),
}

/// A paged query of a service that a target names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SoapRows {
    /// The target: its address and login.
    pub target: Arc<str>,
    /// The query of its target file.
    pub query: Arc<str>,
    /// It is read again so long after it was read.
    pub every: Duration,
    /// The target file.
    pub connector: PathBuf,
    /// How the service is reached; a copy of the target's.
    pub service: Box<ServiceSpec>,
}

/// `[customers.NAME]` or `[related.NAME]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableSpec {
    /// Its name: what a mapping's `from` says.
    pub name: Arc<str>,
    /// How it is read.
    pub kind: TableKind,
}

/// `[targets.NAME]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetSpec {
    /// Its name: what a mapping's `to` says.
    pub name: Arc<str>,
    /// The target file that declares the operations.
    pub connector: PathBuf,
    /// Where it is.
    pub place: TargetPlace,
    /// Limits, beside those of the target file.
    pub quotas: Quotas,
    /// Records in one send, 1 to 5,000.
    pub batch: NonZeroU32,
    /// Sends under way at the same time, 1 to 64.
    pub concurrency: NonZeroU32,
    /// When it may be written to; `None`: always.
    pub hours: Option<ServiceHours>,
    /// What it shares limits, waits and breaker under, where the operator says.
    pub endpoint: Option<Arc<str>>,
    /// What a target of kind `notify` has besides.
    pub notice: super::NoticeSpec,
}

/// Where a target is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TargetPlace {
    /// The database or file to write into.
    File(PathBuf),
    /// A service in the network.
    Service(Box<ServiceSpec>),
    /// A database of a SQL Server.
    Server(Box<ServerSpec>),
}

/// How a service is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceSpec {
    /// Its address, without `/` at the end.
    pub url: String,
    /// PEM certificates that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The proxy for every request.
    pub proxy: Option<ProxySpec>,
    /// How to log in.
    pub login: Login,
    /// How user and password travel; `None`: as the target file says.
    pub auth: Option<Auth>,
    /// How a `UsernameToken` is made.
    pub token_time: TokenTime,
    /// What Kith shows of itself in TLS.
    pub certificate: Option<ClientCertificate>,
    /// The longest time for a request with its whole answer.
    pub timeout: Duration,
    /// The longest time to connect.
    pub connect: Duration,
}

impl ServiceSpec {
    /// Whether it is a mail server.
    pub fn is_mail(&self) -> bool {
        self.url.starts_with("smtp://") || self.url.starts_with("smtps://")
    }

    /// A service without proxy and login, with the usual times.
    pub fn plain(url: impl Into<String>) -> Self {
        let (timeout, connect) = (Duration::from_mins(1), Duration::from_secs(10));
        Self {
            url: url.into(),
            ca_file: None,
            proxy: None,
            login: Login::None,
            auth: None,
            token_time: TokenTime::default(),
            certificate: None,
            timeout,
            connect,
        }
    }
}

/// A corporate proxy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProxySpec {
    /// Its address.
    pub url: String,
    /// User and password, where it wants a login.
    pub login: Option<(Arc<str>, GivenSecret)>,
}

/// How user and password travel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Auth {
    /// HTTP Basic (RFC 7617).
    Basic,
    /// WS-Security `UsernameToken` with the password itself (OASIS `UsernameToken` Profile 1.0).
    WsseText,
    /// WS-Security `UsernameToken` with a digest of nonce, time and password.
    WsseDigest,
    /// The login operation of the target file.
    Session,
    /// NTLM version 2 (MS-NLMP), of each connection.
    Ntlm,
    /// Negotiate (RFC 4559): Kerberos, with the tickets of the system.
    Negotiate,
}

impl Auth {
    /// Every way, in the order of the words of the configuration.
    pub const ALL: [Self; 6] = [Self::Basic, Self::WsseText, Self::WsseDigest, Self::Session, Self::Ntlm, Self::Negotiate];

    /// The word that files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::WsseText => "wsse_text",
            Self::WsseDigest => "wsse_digest",
            Self::Session => "session",
            Self::Ntlm => "ntlm",
            Self::Negotiate => "negotiate",
        }
    }

    /// The feature of the build that it needs; `None` where it is always there.
    pub const fn feature(self) -> Option<&'static str> {
        match self {
            Self::Basic | Self::WsseText | Self::WsseDigest | Self::Session => None,
            Self::Ntlm => Some("ntlm"),
            Self::Negotiate => Some("kerberos"),
        }
    }

    /// Whether this build has it.
    pub const fn is_built(self) -> bool {
        match self {
            Self::Basic | Self::WsseText | Self::WsseDigest | Self::Session => true,
            Self::Ntlm => cfg!(feature = "ntlm"),
            Self::Negotiate => cfg!(feature = "kerberos"),
        }
    }
}

/// How a `UsernameToken` is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TokenTime {
    /// Whether `Created` is in the server's time, as its last answer told it.
    pub of_server: bool,
    /// The life of a timestamp that is sent along; `None`: none is sent.
    pub expires: Option<Duration>,
}

/// What Kith shows of itself in TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientCertificate {
    /// The certificate with its chain, in PEM.
    pub file: PathBuf,
    /// Its private key, in PEM.
    pub key: GivenSecret,
}

/// How to log in at a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Login {
    /// Not at all.
    None,
    /// User and password: HTTP Basic, where [`ServiceSpec::auth`] says nothing else.
    Basic {
        /// The user.
        user: Arc<str>,
        /// The password.
        password: GivenSecret,
    },
    /// A token that does not change.
    Bearer {
        /// The token.
        token: GivenSecret,
    },
    /// OAuth 2 client credentials (RFC 6749 §4.4): a token that runs out.
    ClientCredentials {
        /// The token endpoint.
        token_url: String,
        /// The client.
        client_id: Arc<str>,
        /// Its secret.
        client_secret: GivenSecret,
        /// The scopes that are asked for.
        scope: Option<Arc<str>>,
    },
}

/// `[audit]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audit {
    /// The log's origin: the first line of every checkpoint and the name of its key. No blanks, no `+`.
    pub origin: String,
    /// A folder that gets every published checkpoint.
    pub checkpoints_to: Option<PathBuf>,
    /// A syslog server that does.
    pub syslog: Option<SyslogSpec>,
    /// A folder where witnesses put cosigned checkpoints.
    pub witnesses: Option<PathBuf>,
    /// How often the newest checkpoint leaves.
    pub every: Duration,
}

/// `[backup]`
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Backup {
    /// The folder that gets backups.
    pub to: Option<PathBuf>,
    /// A file of public keys: who can open them.
    pub recipients: Option<PathBuf>,
    /// A folder that gets the proof of each erasure.
    pub erasures_to: Option<PathBuf>,
}

/// A syslog server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyslogSpec {
    /// `tcp://HOST:PORT`, `tls://HOST:PORT`, or `unix://PATH` for this machine's own.
    pub address: String,
    /// PEM certificates that are trusted; there with `tls://`.
    pub ca_file: Option<PathBuf>,
    /// Nobody named it: it counts only where it is there.
    pub by_default: bool,
}

impl SyslogSpec {
    /// The socket of this machine's own syslog, where it is that.
    pub fn socket(&self) -> Option<&Path> {
        self.address.strip_prefix("unix://").map(Path::new)
    }
}

/// `[keys]`: where they come from; `None`: generated once into `keys/` of the state folder.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Keys {
    /// Seals the personal keys.
    pub master: Option<SecretSource>,
    /// Makes keyed hashes: subjects, correlation ids, evidence digests.
    pub hash: Option<SecretSource>,
    /// Signs checkpoints.
    pub signing: Option<SecretSource>,
}

/// What a person may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Runs the service.
    Operator,
    /// Owns mappings and reviews.
    Steward,
    /// Reads and verifies the log.
    Reviewer,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Steward, Self::Reviewer];

    /// The word that files and the log use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Steward => "steward",
            Self::Reviewer => "reviewer",
        }
    }
}

/// A line of `[roles]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleGrant {
    /// The operating-system user.
    pub user: Arc<str>,
    /// The role.
    pub role: Role,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum LogLevel {
    /// Only what failed.
    Error,
    /// And what looks wrong.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And how.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// Every level.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The word that files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `[log]`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// How much is logged.
    pub level: LogLevel,
    /// Whether each step of each activity is told (target `kith::flow`).
    pub flow: bool,
}

/// `[metrics]`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Metrics {
    /// Where metrics can be read over HTTP, on loopback; `None`: nowhere.
    pub listen: Option<SocketAddr>,
}

/// `[evaluate]`
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Evaluate {
    /// A CSV file with the columns `profile_id` and `customer_id` (empty: no customer), plain or `.gz`. With it, a run's summary prints
    /// precision and recall.
    pub truth: Option<PathBuf>,
}
