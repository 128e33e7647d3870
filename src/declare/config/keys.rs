//! Every key of `kith.toml`: the one table that the checker reads and the reference is written from.

use super::audit::AUDIT;
use super::backup::BACKUP;
use super::guard::GUARD;
use super::notice::{ALARMS, DIGEST, DIGEST_MINUTES, MAIL_FROM, MAIL_TO, QUIET_HOURS, SIGNING_KEY};
pub(super) use super::records::{DONE, INBOX, SOURCE_KIND, SOURCE_KINDS, SOURCE_PATH, SOURCES};
use super::review::REVIEW;
use super::settings::{LogLevel, Role};
use super::webhook::WEBHOOKS;

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// A path of a file or folder.
    Path,
    /// Text of at most this many characters.
    Text(usize),
    /// A whole number inside limits, both included.
    Count(u32, u32),
    /// One of a few words.
    Words(&'static [&'static str]),
    /// A network's name or alias.
    Network,
    /// One printable ASCII character, or a tab.
    Character,
    /// `true` or `false`.
    Switch,
    /// A loopback address and port.
    Loopback,
    /// An address of this machine and a port.
    Address,
    /// The origin of a log.
    Origin,
    /// An `http` or `https` address of at most this many bytes.
    Url(usize),
    /// `{ file = … }`, `{ env = … }` or `{ credential = … }`.
    Secret,
}

/// Whether a key must be there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Need {
    /// It must.
    Required,
    /// Without it, this value holds.
    Default(&'static str),
    /// Without it, what this sentence says.
    Optional(&'static str),
}

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub name: &'static str,
    pub form: Form,
    pub need: Need,
    /// Only in tables of this `kind`, or of these, with a comma and a space between.
    pub only: Option<&'static str>,
    /// One or two sentences for the operator.
    pub doc: &'static str,
    /// A value as TOML.
    pub example: &'static str,
}

impl Key {
    /// Whether tables of this kind may have it.
    pub fn is_for(&self, kind: &str) -> bool {
        self.only.is_none_or(|only| only.split(", ").any(|one| one == kind))
    }
}

/// How the tables of a section are named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tables {
    /// One: `[service]`.
    One,
    /// One for each name: `[targets.NAME]`.
    Named,
    /// One whose keys are free: `[roles]`.
    Free,
}

/// A section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub name: &'static str,
    pub tables: Tables,
    /// Whether there must be at least one table or key.
    pub required: bool,
    pub doc: &'static str,
    pub keys: &'static [Key],
}

/// SQLite's own limit for a statement is 1,000,000 bytes; a query that a person maintains is far below.
const LONGEST_QUERY: usize = 20_000;
/// File names and SQL identifiers are below 255 characters nearly everywhere.
const LONGEST_WORD: usize = 255;

pub(super) const fn key(name: &'static str, form: Form, need: Need, doc: &'static str, example: &'static str) -> Key {
    Key { name, form, need, only: None, doc, example }
}

pub(super) const fn only(kind: &'static str, key: Key) -> Key {
    Key { only: Some(kind), ..key }
}

pub(super) const STATE: Key = key(
    "state",
    Form::Path,
    Need::Default("state"),
    "The state folder: database, audit log, keys. One service writes it; it holds personal data, so give it to the service's user alone.",
    "\"/var/lib/kith\"",
);
pub(super) const MAPPING: Key = key(
    "mapping",
    Form::Path,
    Need::Required,
    "The active mapping: who is matched, how, and what is delivered.",
    "\"mappings/retail.yaml\"",
);
pub(super) const RELEASES: &[&str] = &["named", "on-start"];
pub(super) const RELEASE: Key = key(
    "release",
    Form::Words(RELEASES),
    Need::Default("named"),
    "When a changed mapping takes effect. `named`: when somebody releases it (`kith mapping release`); until then it is a draft that delivers nothing. \
     `on-start`: whenever the service starts or reloads, in the name of its own user. The first mapping of a state folder always is released by starting.",
    "\"on-start\"",
);
pub(super) const INTAKE_BATCH: Key = key(
    "intake_batch",
    Form::Count(1, 10_000),
    Need::Default("2000"),
    "Activities in one intake transaction. More is faster; after a crash at most one batch is read again.",
    "2000",
);
pub(super) const DECIDE_BATCH: Key = key(
    "decide_batch",
    Form::Count(1, 10_000),
    Need::Default("1000"),
    "Identities in one decide transaction, with their audit entries.",
    "1000",
);
pub(super) const POLL_SECONDS: Key = key(
    "poll_seconds",
    Form::Count(1, 3_600),
    Need::Default("5"),
    "How long `kith run` waits before it looks again at a source that had nothing new.",
    "5",
);
pub(super) const THREADS: Key =
    key("threads", Form::Count(1, 256), Need::Optional("One a processor core."), "Threads that decide about identities.", "2");

pub(super) const NETWORK: Key = key(
    "network",
    Form::Network,
    Need::Optional("Each activity says its network."),
    "The network of activities that do not say one themselves.",
    "\"mastodon\"",
);

pub(super) const TABLE_KINDS: &[&str] = &["csv", "sqlite", "sqlserver", "soap"];
pub(super) const TABLE_KIND: Key = key(
    "kind",
    Form::Words(TABLE_KINDS),
    Need::Required,
    "`csv`: a file with a header line, UTF-8, plain or `.gz`. `sqlite`: a database, opened for reading only. `sqlserver`: a table, \
     view or query of a SQL Server. `soap`: a paged query of a target of kind `soap`.",
    "\"csv\"",
);
pub(super) const TABLE_PATH: Key = key(
    "path",
    Form::Path,
    Need::Optional("Kind `sqlserver` has a `server`, kind `soap` a `target`."),
    "Kinds `csv`, `sqlite`: the file.",
    "\"/srv/crm/customers.csv.gz\"",
);
pub(super) const DELIMITER: Key =
    only("csv", key("delimiter", Form::Character, Need::Default(","), "What separates cells: one character.", "\";\""));
pub(super) const TABLE: Key = key(
    "table",
    Form::Text(LONGEST_WORD),
    Need::Optional("`query` says what is read."),
    "Kinds `sqlite`, `sqlserver`: a table or view, all of it.",
    "\"customers\"",
);
pub(super) const QUERY: Key = key(
    "query",
    Form::Text(LONGEST_QUERY),
    Need::Optional("`table` says what is read."),
    "Kinds `sqlite`, `sqlserver`: one `SELECT`.",
    "\"SELECT * FROM customers WHERE active\"",
);
pub(super) const ROW_KEY: Key = only(
    "sqlserver",
    key(
        "key",
        Form::Text(LONGEST_WORD),
        Need::Required,
        "The column that identifies a row; pages are read in its order, so it wants an index. Unique, never NULL.",
        "\"customer_id\"",
    ),
);
pub(super) const CHANGES: Key = only(
    "sqlserver",
    key(
        "changes",
        Form::Text(LONGEST_WORD),
        Need::Optional("All rows are read and compared."),
        "How rows that changed since the last read are found: the name of a column that grows with each change (a `rowversion`, or a date and time), \
         or `change tracking`. Rows that are gone are found by their keys, which are read each time.",
        "\"row_version\"",
    ),
);
pub(super) const PAGE: Key = only(
    "sqlserver",
    key("page", Form::Count(100, 50_000), Need::Default("5000"), "Rows in one page: what memory holds at a time.", "5000"),
);

pub(super) const EVERY_MINUTES: Key = only(
    "sqlserver",
    key(
        "every_minutes",
        Form::Count(1, 1_440),
        Need::Default("15"),
        "How often the server is asked whether something changed. Each start and each `kith run --once` asks.",
        "60",
    ),
);

pub(super) const SERVER: Key = key(
    "server",
    Form::Text(LONGEST_WORD),
    Need::Optional("Another key says where it is."),
    "A SQL Server: host, host and port, or host and named instance (found through the browser service, UDP 1434).",
    "\"crm-sql.example:1433\"",
);
pub(super) const DATABASE: Key =
    key("database", Form::Text(128), Need::Optional("A `server` needs it."), "With `server`: the database.", "\"CRM\"");
pub(super) const FAILOVER_PARTNER: Key = key(
    "failover_partner",
    Form::Text(LONGEST_WORD),
    Need::Optional("There is none."),
    "With `server`: the mirror that is tried when the server can't be reached or does not have the database now.",
    "\"crm-sql2.example:1433\"",
);
pub(super) const MULTI_SUBNET: Key = key(
    "multi_subnet",
    Form::Switch,
    Need::Default("false"),
    "With `server`: the name has an address in each subnet (an availability group's listener); all are tried at once.",
    "true",
);
pub(super) const ENCRYPTIONS: &[&str] = &["required", "strict", "login", "off"];
pub(super) const ENCRYPT: Key = key(
    "encrypt",
    Form::Words(ENCRYPTIONS),
    Need::Default("required"),
    "With `server`: `required`: everything travels in TLS and the server's certificate is checked. `strict`: the same by TDS 8.0, TLS before \
     everything else, as SQL Server 2022 and later may want it. `login`: only the login does. `off`: nothing does, which is for a server on this machine.",
    "\"required\"",
);
pub(super) const TRUST_ANY_CERTIFICATE: Key = key(
    "trust_any_certificate",
    Form::Switch,
    Need::Default("false"),
    "With `server`: the certificate is not checked, so anybody between can read and change everything. `ca_file` is the better way.",
    "true",
);
pub(super) const CERTIFICATE_HOST: Key = key(
    "certificate_host",
    Form::Text(LONGEST_WORD),
    Need::Optional("The host of `server`."),
    "With `server`: the name that its certificate carries, where it is another one.",
    "\"crm-sql.corp.example\"",
);
pub(super) const WINDOWS_LOGINS: &[&str] = &["kerberos"];
pub(super) const WINDOWS_LOGIN: Key = key(
    "windows_login",
    Form::Words(WINDOWS_LOGINS),
    Need::Optional("`user` and `password` are a SQL login."),
    "With `server`, in place of `user` and `password`: the Kerberos ticket of the service's user. Needs a build with the feature `kerberos`.",
    "\"kerberos\"",
);
pub(super) const APPLICATION: Key = key(
    "application",
    Form::Text(128),
    Need::Default("kith"),
    "With `server`: the name under which the DBA sees the connections.",
    "\"kith-retail\"",
);

pub(super) const OF_TARGET: Key = only(
    "soap",
    key("target", Form::Text(LONGEST_WORD), Need::Required, "The target whose address, login and target file are used.", "\"sugar\""),
);
pub(super) const ROWS: Key = only(
    "soap",
    key("rows", Form::Text(LONGEST_WORD), Need::Required, "The query of that target file that is read (`soap: queries`).", "\"contacts\""),
);
pub(super) const READ_MINUTES: Key =
    only("soap", key("read_minutes", Form::Count(1, 10_080), Need::Default("60"), "It is read again after so many minutes.", "60"));

pub(super) const CONNECTOR: Key = key(
    "connector",
    Form::Path,
    Need::Required,
    "The target file that declares the operations and their fields.",
    "\"connectors/targets/sqlite.yaml\"",
);
pub(super) const TARGET_PATH: Key = key(
    "path",
    Form::Path,
    Need::Optional("`url` or `server` says where the target is."),
    "The database or file to write into; made where it is not there.",
    "\"/srv/crm/crm.db\"",
);
/// Far above what any CRM takes, and far below what arithmetic in nanoseconds holds.
const MOST_IN_A_WINDOW: u32 = 100_000_000;
/// A week of shifts in words.
pub(super) const LONGEST_HOURS: usize = 400;

pub(super) const PER_SECOND: Key = key(
    "per_second",
    Form::Count(1, MOST_IN_A_WINDOW),
    Need::Optional("As fast as the target takes them."),
    "At most this many in any second: records, or requests where the target file says `counts: requests`. All limits hold at once, also those of \
     the target file, and over a restart.",
    "200",
);
pub(super) const PER_MINUTE: Key =
    key("per_minute", Form::Count(1, MOST_IN_A_WINDOW), Need::Optional("No such limit."), "At most this many in any minute.", "6000");
pub(super) const PER_HOUR: Key =
    key("per_hour", Form::Count(1, MOST_IN_A_WINDOW), Need::Optional("No such limit."), "At most this many in any hour.", "100000");
pub(super) const PER_DAY: Key =
    key("per_day", Form::Count(1, MOST_IN_A_WINDOW), Need::Optional("No such limit."), "At most this many in any 24 hours.", "500000");
pub(super) const BATCH: Key = key("batch", Form::Count(1, 5_000), Need::Default("1000"), "Records in one send.", "500");
pub(super) const CONCURRENCY: Key = key(
    "concurrency",
    Form::Count(1, 64),
    Need::Default("1"),
    "Sends that are under way at the same time. Deliveries about one record or one post never are.",
    "4",
);
pub(super) const HOURS: Key = key(
    "hours",
    Form::Text(LONGEST_HOURS),
    Need::Optional("Always."),
    "When the target may be written to; outside it, deliveries wait. A span whose end is not after its start goes past midnight.",
    "\"Mon-Fri 07:00-19:00, Sat 08:00-12:00\"",
);
pub(super) const TIME_ZONE: Key = key(
    "time_zone",
    Form::Text(LONGEST_WORD),
    Need::Default("UTC"),
    "Whose clock `hours` and `quiet_hours` are on: a name of the IANA time zone database.",
    "\"Europe/Berlin\"",
);
pub(super) const ENDPOINT: Key = key(
    "endpoint",
    Form::Text(LONGEST_WORD),
    Need::Optional("One for each database, file or host."),
    "Targets that name the same endpoint share their limits, waits and breaker: one CRM behind two targets is still one CRM.",
    "\"crm\"",
);

/// Browsers and servers take some 8 KiB; a service's own address is far below.
const LONGEST_URL: usize = 1_000;

pub(super) const URL: Key = key(
    "url",
    Form::Url(LONGEST_URL),
    Need::Optional("`path` or `server` says where the target is."),
    "The service's address (kinds `http` and `soap`); the paths of the target file come behind it. Kind `notify`: where a webhook goes, or a mail \
     server: `smtp://HOST:PORT` (STARTTLS) or `smtps://HOST:PORT`.",
    "\"https://helpdesk.example/api/v2\"",
);
pub(super) const CA_FILE: Key = key(
    "ca_file",
    Form::Path,
    Need::Optional("The system's certificates are trusted."),
    "PEM certificates of a company's own authority. With `url`: trusted instead of the system's, also for `token_url`. With `server`: trusted besides \
     the system's.",
    "\"/etc/kith/company-ca.pem\"",
);
pub(super) const PROXY: Key = key(
    "proxy",
    Form::Url(LONGEST_URL),
    Need::Optional("The service is reached directly; variables such as `HTTPS_PROXY` are not read."),
    "With `url`: the proxy for every request to the service and to `token_url`.",
    "\"http://proxy.example:3128\"",
);
pub(super) const PROXY_USER: Key =
    key("proxy_user", Form::Text(LONGEST_WORD), Need::Optional("The proxy wants no login."), "With `proxy`: the user.", "\"kith\"");
pub(super) const PROXY_PASSWORD: Key = key(
    "proxy_password",
    Form::Secret,
    Need::Optional("The proxy wants no login."),
    "With `proxy`: the password.",
    "{ credential = \"proxy\" }",
);
pub(super) const USER: Key = key(
    "user",
    Form::Text(LONGEST_WORD),
    Need::Optional("No such login."),
    "With `url`: the user of a login with a password; see `auth`. With `server`: a SQL login.",
    "\"kith\"",
);
pub(super) const PASSWORD: Key =
    key("password", Form::Secret, Need::Optional("No such login."), "With `user`: the password.", "{ credential = \"helpdesk\" }");
pub(super) const TOKEN: Key = key(
    "token",
    Form::Secret,
    Need::Optional("No such login."),
    "With `url`: a bearer token, sent with every request.",
    "{ file = \"/etc/kith/helpdesk.token\" }",
);
pub(super) const TOKEN_URL: Key = key(
    "token_url",
    Form::Url(LONGEST_URL),
    Need::Optional("No such login."),
    "With `url`: the token endpoint of an OAuth 2 login with client credentials.",
    "\"https://login.example/oauth2/token\"",
);
pub(super) const CLIENT_ID: Key =
    key("client_id", Form::Text(LONGEST_WORD), Need::Optional("No such login."), "With `token_url`: the client.", "\"kith\"");
pub(super) const CLIENT_SECRET: Key = key(
    "client_secret",
    Form::Secret,
    Need::Optional("No such login."),
    "With `token_url`: the client's secret.",
    "{ credential = \"oauth\" }",
);
pub(super) const SCOPE: Key = key(
    "scope",
    Form::Text(1_000),
    Need::Optional("The token endpoint chooses."),
    "With `token_url`: the scopes that are asked for, with blanks between.",
    "\"interactions.write\"",
);
pub(super) const AUTH_WORDS: &[&str] = &["basic", "wsse_text", "wsse_digest", "session", "ntlm", "negotiate"];
pub(super) const AUTH: Key = key(
    "auth",
    Form::Words(AUTH_WORDS),
    Need::Optional("`session` where the target file (kind `soap`) has a login operation, else `basic`."),
    "With `user`: how the login travels. Kind `http` takes `basic`; kind `soap` also a WS-Security UsernameToken (`wsse_text`, `wsse_digest`), \
     and the login operation of its file (`session`); both take `ntlm` (user `DOMAIN\\name`) and `negotiate` (Kerberos, without `user`) where Kith was built with the features `ntlm` and `kerberos`.",
    "\"wsse_digest\"",
);
pub(super) const CLOCK_WORDS: &[&str] = &["own", "server"];
pub(super) const CLOCK: Key = key(
    "clock",
    Form::Words(CLOCK_WORDS),
    Need::Default("own"),
    "With `auth` of WS-Security: whose time the token is made in; `server`: as its last answer told it in `Date`.",
    "\"server\"",
);
pub(super) const EXPIRES_SECONDS: Key = key(
    "expires_seconds",
    Form::Count(1, 86_400),
    Need::Optional("No timestamp is sent."),
    "With `auth` of WS-Security: a timestamp with this life is sent along.",
    "300",
);
pub(super) const CLIENT_CERTIFICATE: Key = key(
    "client_certificate",
    Form::Path,
    Need::Optional("None is shown."),
    "With `url`: the certificate that Kith shows to the service, with its chain, in PEM.",
    "\"/etc/kith/kith.pem\"",
);
pub(super) const CLIENT_KEY: Key = key(
    "client_key",
    Form::Secret,
    Need::Optional("None is shown."),
    "With `client_certificate`: its private key, in PEM, without a password.",
    "{ credential = \"kith-key\" }",
);
pub(super) const TIMEOUT_SECONDS: Key = key(
    "timeout_seconds",
    Form::Count(1, 3_600),
    Need::Default("60"),
    "With `url` or `server`: the longest time for a request with its whole answer. Beyond, its outcome is unknown and is settled.",
    "30",
);
pub(super) const CONNECT_SECONDS: Key = key(
    "connect_seconds",
    Form::Count(1, 600),
    Need::Default("10"),
    "With `url` or `server`: the longest time to connect and log in, at most `timeout_seconds`. Beyond, nothing was sent.",
    "5",
);
pub(super) const MASTER: Key = key(
    "master",
    Form::Secret,
    Need::Optional("Made once, in `keys/` of the state folder."),
    "The key that seals the keys of persons.",
    "{ credential = \"kith-master\" }",
);
pub(super) const HASH: Key = key(
    "hash",
    Form::Secret,
    Need::Optional("Made once, in `keys/` of the state folder."),
    "The key of keyed hashes: what the log shows instead of people. Give all three keys, or none.",
    "{ credential = \"kith-hash\" }",
);
pub(super) const SIGNING: Key = key(
    "signing",
    Form::Secret,
    Need::Optional("Made once, in `keys/` of the state folder."),
    "The Ed25519 key that signs checkpoints.",
    "{ credential = \"kith-signing\" }",
);

const ROLE_WORDS: [&str; 3] = [Role::ALL[0].name(), Role::ALL[1].name(), Role::ALL[2].name()];
pub(super) const ROLE: Key =
    key("USER", Form::Words(&ROLE_WORDS), Need::Required, "What this operating-system user may do.", "\"steward\"");

pub(super) const LOG_FORMATS: &[&str] = &["text", "json"];
pub(super) const LOG_FORMAT: Key =
    key("format", Form::Words(LOG_FORMATS), Need::Default("text"), "`text` for people, `json` for a log collector.", "\"json\"");
const LEVEL_WORDS: [&str; 5] =
    [LogLevel::ALL[0].name(), LogLevel::ALL[1].name(), LogLevel::ALL[2].name(), LogLevel::ALL[3].name(), LogLevel::ALL[4].name()];
pub(super) const LOG_LEVEL: Key =
    key("level", Form::Words(&LEVEL_WORDS), Need::Default("info"), "How much is logged, to stderr.", "\"info\"");
pub(super) const LOG_FLOW: Key = key(
    "flow",
    Form::Switch,
    Need::Default("false"),
    "One line for each step of each activity (received, decided, planned, intended, delivered, ...), with the correlation ids of the audit log and \
     nothing personal. The levels `debug` and `trace` include it.",
    "true",
);

pub(super) const METRICS_LISTEN: Key = key(
    "listen",
    Form::Loopback,
    Need::Optional("No metrics over HTTP."),
    "Where Prometheus reads `/metrics`, on loopback only. Port 0 takes a free one, which `kith status` shows.",
    "\"127.0.0.1:9464\"",
);

pub(super) const TRUTH: Key = key(
    "truth",
    Form::Path,
    Need::Optional("Nothing is evaluated."),
    "A CSV file with the columns `profile_id` (the last part of the actor's id) and `customer_id` (empty: no customer). With it, a run's \
     summary prints precision and recall.",
    "\"tests/data/retail/truth.csv.gz\"",
);

/// What `{ … }` of a secret may hold.
pub(super) const SECRET_KEYS: [&str; 3] = ["file", "env", "credential"];

pub(super) const DRAIN_SECONDS: Key = key(
    "drain_seconds",
    Form::Count(1, 3_600),
    Need::Default("30"),
    "How long open sends may take after the service was told to stop. What has no answer then is settled at the next start.",
    "30",
);

const TABLE_KEYS: &[Key] = &[
    TABLE_KIND,
    TABLE_PATH,
    DELIMITER,
    TABLE,
    QUERY,
    ROW_KEY,
    CHANGES,
    PAGE,
    EVERY_MINUTES,
    OF_TARGET,
    ROWS,
    READ_MINUTES,
    only("sqlserver", SERVER),
    only("sqlserver", DATABASE),
    only("sqlserver", FAILOVER_PARTNER),
    only("sqlserver", MULTI_SUBNET),
    only("sqlserver", USER),
    only("sqlserver", PASSWORD),
    only("sqlserver", WINDOWS_LOGIN),
    only("sqlserver", ENCRYPT),
    only("sqlserver", CA_FILE),
    only("sqlserver", TRUST_ANY_CERTIFICATE),
    only("sqlserver", CERTIFICATE_HOST),
    only("sqlserver", APPLICATION),
    only("sqlserver", TIMEOUT_SECONDS),
    only("sqlserver", CONNECT_SECONDS),
];

pub(super) const SERVICE: Section = Section {
    name: "service",
    tables: Tables::One,
    required: true,
    doc: "The service itself.",
    keys: &[STATE, MAPPING, RELEASE, INTAKE_BATCH, DECIDE_BATCH, POLL_SECONDS, THREADS, DRAIN_SECONDS],
};
pub(super) const CUSTOMERS: Section = Section {
    name: "customers",
    tables: Tables::Named,
    required: true,
    doc: "The CRM's customers. A mapping names one of these tables in `customers.from`.",
    keys: TABLE_KEYS,
};
pub(super) const RELATED: Section = Section {
    name: "related",
    tables: Tables::Named,
    required: false,
    doc: "Records that belong to customers, such as orders. A mapping names them in `customers.related`.",
    keys: TABLE_KEYS,
};
pub(super) const TARGETS: Section = Section {
    name: "targets",
    tables: Tables::Named,
    required: true,
    doc: "Where deliveries go. A mapping names one in `deliver[].to`.",
    keys: &[
        CONNECTOR,
        TARGET_PATH,
        PER_SECOND,
        PER_MINUTE,
        PER_HOUR,
        PER_DAY,
        BATCH,
        CONCURRENCY,
        HOURS,
        TIME_ZONE,
        ENDPOINT,
        URL,
        CA_FILE,
        PROXY,
        PROXY_USER,
        PROXY_PASSWORD,
        USER,
        PASSWORD,
        TOKEN,
        TOKEN_URL,
        CLIENT_ID,
        CLIENT_SECRET,
        SCOPE,
        AUTH,
        CLOCK,
        EXPIRES_SECONDS,
        CLIENT_CERTIFICATE,
        CLIENT_KEY,
        TIMEOUT_SECONDS,
        CONNECT_SECONDS,
        SERVER,
        DATABASE,
        FAILOVER_PARTNER,
        MULTI_SUBNET,
        WINDOWS_LOGIN,
        ENCRYPT,
        TRUST_ANY_CERTIFICATE,
        CERTIFICATE_HOST,
        APPLICATION,
        SIGNING_KEY,
        MAIL_FROM,
        MAIL_TO,
        DIGEST,
        DIGEST_MINUTES,
        QUIET_HOURS,
    ],
};
pub(super) const KEYS: Section = Section {
    name: "keys",
    tables: Tables::One,
    required: false,
    doc: "Secrets. Each is `{ file = \"PATH\" }`, `{ env = \"VARIABLE\" }` or `{ credential = \"NAME\" }` (a systemd credential); the secret \
          itself never stands here.",
    keys: &[MASTER, HASH, SIGNING],
};
pub(super) const ROLES: Section = Section {
    name: "roles",
    tables: Tables::Free,
    required: false,
    doc: "What the users of the operating system may do: `USER = \"ROLE\"` (`\"uid:1000\"` for a user that /etc/passwd does not know). An operator runs the \
          service, a steward decides whose accounts are, a reviewer reads and opens the log; `ops/people.md` has the table. The operating system says who \
          asks, and the audit log names user and role. Without this section everybody who can reach the state folder may do everything.",
    keys: &[ROLE],
};
pub(super) const LOG: Section =
    Section { name: "log", tables: Tables::One, required: false, doc: "The service's own log.", keys: &[LOG_FORMAT, LOG_LEVEL, LOG_FLOW] };
pub(super) const METRICS: Section =
    Section { name: "metrics", tables: Tables::One, required: false, doc: "Metrics of the running service.", keys: &[METRICS_LISTEN] };
pub(super) const EVALUATE: Section =
    Section { name: "evaluate", tables: Tables::One, required: false, doc: "Measuring against a known truth.", keys: &[TRUTH] };

/// Every section, in the order of the reference.
pub(super) const SECTIONS: &[Section] =
    &[SERVICE, SOURCES, CUSTOMERS, RELATED, TARGETS, AUDIT, BACKUP, KEYS, ROLES, LOG, METRICS, EVALUATE, REVIEW, GUARD, ALARMS, WEBHOOKS];
