//! The SQL Server that `KITH_TEST_SQLSERVER_URL` names, in any of the forms in which its clients write it.
//!
//! `mssql://USER:PASSWORD@HOST:PORT/DATABASE`, `sqlserver://USER:PASSWORD@HOST:PORT?database=DATABASE`,
//! `jdbc:sqlserver://HOST:PORT;databaseName=DATABASE;user=USER;password=PASSWORD`, `server=HOST,PORT;user id=USER;password=PASSWORD;database=DATABASE`.
//! `encrypt`, `trustServerCertificate` and an instance are understood where they stand. Where nothing is said of encryption, `off` and then
//! `login` are tried.

use kith::declare::config::{Encryption, GivenSecret, Secret, SecretSource, ServerAddress, ServerAt, ServerLogin, ServerSpec};
use kith::wire::tds::{Answered, Cell, Session, TdsFault, connect};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

/// The variable that names the server.
pub const VARIABLE: &str = "KITH_TEST_SQLSERVER_URL";

/// The server to test against, with the encryption that it takes; where none is named, the test is skipped loudly.
pub fn spec() -> Option<ServerSpec> {
    static FOUND: OnceLock<Option<ServerSpec>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let url = std::env::var(VARIABLE).ok().filter(|url| !url.trim().is_empty())?;
        // Never its text: it holds a password.
        let (spec, said) = parse(&url)
            .unwrap_or_else(|| panic!("{VARIABLE} is in none of the forms: mssql://, sqlserver://, jdbc:sqlserver://, server=…;…"));
        Some(if said { spec } else { agreed(spec) })
    });
    if found.is_none() {
        eprintln!("SKIPPED: {VARIABLE} names no SQL Server");
    }
    found.clone()
}

/// With the first encryption that the server takes. Where it takes none, the tests tell why.
fn agreed(spec: ServerSpec) -> ServerSpec {
    let tries = [Encryption::Off, Encryption::Login, Encryption::Required];
    let tries = tries.map(|encryption| ServerSpec { encryption, trust_any_certificate: encryption != Encryption::Off, ..spec.clone() });
    tries.iter().find(|spec| block_on(connect(spec)).is_ok()).cloned().unwrap_or(spec)
}

/// Runs a future to its end.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The results of one batch in a session of its own.
#[track_caller]
pub fn batch(spec: &ServerSpec, sql: &str) -> Vec<Answered> {
    try_batch(spec, sql).unwrap_or_else(|fault| panic!("{fault}\nin {sql}"))
}

pub fn try_batch(spec: &ServerSpec, sql: &str) -> Result<Vec<Answered>, TdsFault> {
    block_on(async {
        let mut session: Session = connect(spec).await?;
        session.batch(sql).await
    })
}

/// The one cell of a query.
#[track_caller]
pub fn value(spec: &ServerSpec, sql: &str) -> Cell {
    batch(spec, sql)[0].rows[0][0].clone()
}

/// A server with the defaults of the configuration; `said` tells what its URL says.
pub fn server(host: &str, at: ServerAt, database: &str, user: &str, password: &str) -> ServerSpec {
    ServerSpec {
        address: ServerAddress { host: host.into(), at },
        failover_partner: None,
        multi_subnet: false,
        database: database.into(),
        login: ServerLogin::Sql {
            user: user.into(),
            password: GivenSecret { source: SecretSource::Env(VARIABLE.into()), value: Secret::from_bytes(password.into()).ok() },
        },
        encryption: Encryption::Off,
        ca_file: None,
        trust_any_certificate: false,
        certificate_host: None,
        application: "kith-test".into(),
        connect: Duration::from_secs(10),
        timeout: Duration::from_secs(60),
    }
}

/// Its keys for a section of `kith.toml`. The password goes into a file that only this user can read.
pub fn project_toml(spec: &ServerSpec, password_file: &Path) -> String {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let ServerLogin::Sql { user, password } = &spec.login else { panic!("a SQL login was wanted") };
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(password_file).unwrap();
    file.write_all(password.value.as_ref().unwrap().expose().as_bytes()).unwrap();
    let encrypt = match spec.encryption {
        Encryption::Required => "required",
        Encryption::Strict => "strict",
        Encryption::Login => "login",
        Encryption::Off => "off",
    };
    let text = |text: &str| toml_text(text);
    let mut lines = format!(
        "server = {}\ndatabase = {}\nuser = {}\npassword = {{ file = {} }}\nencrypt = \"{encrypt}\"\napplication = \"kith-test\"\n",
        text(&spec.address.to_string()),
        text(&spec.database),
        text(user),
        text(&password_file.display().to_string()),
    );
    if spec.trust_any_certificate {
        lines.push_str("trust_any_certificate = true\n");
    }
    lines
}

fn toml_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The server, and whether the URL says something of encryption.
pub fn parse(url: &str) -> Option<(ServerSpec, bool)> {
    let url = url.trim();
    let mut words = Words::default();
    if let Some(rest) = url.strip_prefix("jdbc:sqlserver://") {
        let (address, properties) = rest.split_once(';').unwrap_or((rest, ""));
        words.address(address);
        words.properties(properties)?;
    } else if let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| !scheme.contains(['=', ';'])) {
        if !["mssql", "sqlserver", "tds", "mssql+pyodbc", "mssql+pymssql"].contains(&scheme) {
            return None;
        }
        // A password may hold an @ that nobody escaped; a host never does.
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest));
        let (rest, properties) = rest.split_once(';').unwrap_or((rest, ""));
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        words.address(&decoded(address));
        if let Some(login) = login {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            words.user = Some(decoded(user));
            words.password = Some(decoded(password));
        }
        if !path.is_empty() {
            words.database = Some(decoded(path));
        }
        words.properties(properties)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=')?;
            words.property(&decoded(key), &decoded(value));
        }
    } else {
        words.properties(url)?;
    }
    words.spec()
}

#[derive(Default)]
struct Words {
    host: Option<String>,
    port: Option<String>,
    instance: Option<String>,
    database: Option<String>,
    user: Option<String>,
    password: Option<String>,
    encrypt: Option<String>,
    trust: bool,
}

impl Words {
    /// `HOST`, `HOST:PORT`, `HOST,PORT`, `HOST\INSTANCE`, `tcp:…`, `[::1]:PORT`.
    fn address(&mut self, text: &str) {
        let text = text.trim();
        let text = text.strip_prefix("tcp:").unwrap_or(text);
        let (text, instance) = text.split_once('\\').map_or((text, None), |(host, instance)| (host, Some(instance)));
        if let Some((instance, port)) = instance.map(|i| i.split_once([',', ':']).map_or((i, None), |(i, p)| (i, Some(p)))) {
            self.instance = Some(instance.to_owned());
            self.port = port.map(str::to_owned);
        }
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix([':', ','])),
            None => text.split_once([',', ':']).map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let host = if matches!(host, "." | "(local)") { "localhost" } else { host };
        self.host = Some(host.trim().to_owned()).filter(|host| !host.is_empty());
        if let Some(port) = port {
            self.port = Some(port.trim().to_owned());
        }
    }

    /// `key=value;key=value`; a value with a `;` stands in quotes or braces, doubled inside.
    fn properties(&mut self, text: &str) -> Option<()> {
        let mut rest = text.trim_start_matches([';', ' ']);
        while !rest.is_empty() {
            let (key, after) = rest.split_once('=')?;
            let after = after.trim_start();
            let close = match after.chars().next() {
                Some('\'') => Some('\''),
                Some('"') => Some('"'),
                Some('{') => Some('}'),
                _ => None,
            };
            let (value, next) = match close {
                Some(close) => quoted(&after[1..], close)?,
                None => after.split_once(';').map_or((after.trim().to_owned(), ""), |(value, next)| (value.trim().to_owned(), next)),
            };
            self.property(key, &value);
            rest = next.trim_start_matches([';', ' ']);
        }
        Some(())
    }

    fn property(&mut self, key: &str, value: &str) {
        let key: String = key.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).collect::<String>().to_ascii_lowercase();
        let yes = matches!(value.to_ascii_lowercase().as_str(), "true" | "yes" | "1");
        match key.as_str() {
            "server" | "datasource" | "addr" | "address" | "networkaddress" | "host" | "hostname" | "servername" => self.address(value),
            "port" | "portnumber" => self.port = Some(value.to_owned()),
            "instance" | "instancename" => self.instance = Some(value.to_owned()),
            "database" | "databasename" | "initialcatalog" => self.database = Some(value.to_owned()),
            "user" | "userid" | "uid" | "username" => self.user = Some(value.to_owned()),
            "password" | "pwd" => self.password = Some(value.to_owned()),
            "encrypt" => self.encrypt = Some(value.to_ascii_lowercase()),
            "trustservercertificate" => self.trust = yes,
            _ => {}
        }
    }

    fn spec(self) -> Option<(ServerSpec, bool)> {
        let port = match &self.port {
            Some(port) => Some(port.parse::<u16>().ok()?),
            None => None,
        };
        let at = match (port, &self.instance) {
            (Some(port), _) => ServerAt::Port(port),
            (None, Some(instance)) => ServerAt::Instance(instance.as_str().into()),
            (None, None) => ServerAt::Port(1433),
        };
        let database = self.database.as_deref().unwrap_or("master");
        let mut spec = server(self.host.as_deref()?, at, database, self.user.as_deref()?, self.password.as_deref().unwrap_or_default());
        let encryption = match self.encrypt.as_deref() {
            Some("true" | "yes" | "1" | "mandatory" | "required" | "on") => Some(Encryption::Required),
            Some("strict") => Some(Encryption::Strict),
            Some("false" | "no" | "0" | "optional" | "login") => Some(Encryption::Login),
            Some("disable" | "disabled" | "off" | "notsupported" | "dangerplaintext") => Some(Encryption::Off),
            _ => None,
        };
        // "Not encrypted" in most clients still means: the login is, where the server can; which of the two it is, the server tells.
        let said = matches!(encryption, Some(Encryption::Required | Encryption::Strict | Encryption::Off));
        spec.encryption = encryption.filter(|_| said).unwrap_or(Encryption::Off);
        spec.trust_any_certificate = self.trust && spec.encryption != Encryption::Off;
        Some((spec, said))
    }
}

/// The text up to the closing sign, which stands twice where it is meant.
fn quoted(text: &str, close: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut signs = text.char_indices().peekable();
    while let Some((at, sign)) = signs.next() {
        if sign != close {
            value.push(sign);
        } else if signs.peek().is_some_and(|(_, next)| *next == close) {
            value.push(sign);
            signs.next();
        } else {
            return Some((value, &text[at + sign.len_utf8()..]));
        }
    }
    None
}

/// With `%40` as `@`.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = (*byte == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        out.push(hex.unwrap_or(*byte));
        at += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn every_form_of_a_url_names_the_same_server() {
    let forms = [
        "mssql://sa:p%40ss;w@db.example:1500/crm",
        "mssql://sa:p@ss;w@db.example:1500/crm",
        "sqlserver://sa:p%40ss%3Bw@db.example:1500?database=crm",
        "jdbc:sqlserver://db.example:1500;databaseName=crm;user=sa;password={p@ss;w}",
        "server=tcp:db.example,1500;user id=sa;password='p@ss;w';database=crm",
        "Data Source=db.example,1500;Initial Catalog=crm;UID=sa;PWD=\"p@ss;w\";",
    ];
    for form in forms {
        let (spec, said) = parse(form).unwrap_or_else(|| panic!("{form}"));
        assert_eq!(spec.address.to_string(), "db.example:1500", "{form}");
        assert_eq!((&*spec.database, said), ("crm", false), "{form}");
        let ServerLogin::Sql { user, password } = &spec.login else { panic!() };
        assert_eq!((&**user, password.value.as_ref().unwrap().expose()), ("sa", "p@ss;w"), "{form}");
    }
    let (spec, said) = parse("jdbc:sqlserver://db\\CRM;user=sa;password=x;encrypt=true;trustServerCertificate=true").unwrap();
    assert_eq!((spec.address.to_string().as_str(), said, spec.encryption), ("db\\CRM", true, Encryption::Required));
    assert!(spec.trust_any_certificate);
    assert_eq!(parse("sqlserver://sa:x@db?encrypt=disable").unwrap().0.encryption, Encryption::Off);
    assert!(parse("postgres://sa:x@db/crm").is_none());
    assert!(parse("server=db;password=x").is_none());
}
