//! A SQL Server: its address, its database, how to log in, how what travels is protected.

use super::GivenSecret;
use super::check::{Checker, Table, shown};
use super::codes::{EXCLUDE_EACH_OTHER, MISSING, WRONG_FORM};
use super::keys::{self, Key};
use super::settings::{Changes, ServerRows, TableSpec};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where a SQL Server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerAddress {
    /// Host name or IP address.
    pub host: Arc<str>,
    /// The port or the instance.
    pub at: ServerAt,
}

/// What of the host is meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerAt {
    /// This port; 1433 where none is said.
    Port(u16),
    /// A named instance, whose port the browser service tells.
    Instance(Arc<str>),
}

/// The port of a default instance.
const DEFAULT_PORT: u16 = 1433;

impl ServerAddress {
    /// `host`, `host:port`, `host,port` or `host\instance`; an IPv6 address stands in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("tcp:").unwrap_or(text);
        let (host, at) = if let Some((host, instance)) = text.split_once('\\') {
            let plain = !instance.is_empty() && instance.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '#'));
            (host, ServerAt::Instance(plain.then(|| instance.into())?))
        } else if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']')?;
            let port = rest.strip_prefix([':', ',']).map_or(Some(DEFAULT_PORT), |port| port.trim().parse().ok())?;
            return host.parse::<core::net::Ipv6Addr>().ok().map(|_| Self { host: host.into(), at: ServerAt::Port(port) });
        } else if let Some((host, port)) = text.split_once([':', ',']) {
            (host, ServerAt::Port(port.trim().parse().ok().filter(|port| *port != 0)?))
        } else {
            (text, ServerAt::Port(DEFAULT_PORT))
        };
        let plain = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        plain.then(|| Self { host: host.into(), at })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        match &self.at {
            ServerAt::Port(port) => write!(f, "{host}:{port}"),
            ServerAt::Instance(instance) => write!(f, "{host}\\{instance}"),
        }
    }
}

/// Who logs in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerLogin {
    /// A login of the server's own.
    Sql {
        /// The login.
        user: Arc<str>,
        /// Its password.
        password: GivenSecret,
    },
    /// The Kerberos ticket of the service's user.
    Kerberos,
}

/// How what travels is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encryption {
    /// All of it in TLS.
    Required,
    /// All of it in TLS, which comes before everything else: TDS 8.0.
    Strict,
    /// Only the login.
    Login,
    /// Nothing.
    Off,
}

/// How a SQL Server is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerSpec {
    /// Where it listens.
    pub address: ServerAddress,
    /// The mirror.
    pub failover_partner: Option<ServerAddress>,
    /// Whether all addresses of the name are tried at once.
    pub multi_subnet: bool,
    /// The database.
    pub database: Arc<str>,
    /// Who logs in.
    pub login: ServerLogin,
    /// How what travels is protected.
    pub encryption: Encryption,
    /// PEM certificates that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether any certificate is good enough.
    pub trust_any_certificate: bool,
    /// The name that the certificate carries, where it is not the host's.
    pub certificate_host: Option<Arc<str>>,
    /// What the DBA sees.
    pub application: Arc<str>,
    /// The longest time for name, connection, TLS and login.
    pub connect: Duration,
    /// The longest time for a command with its whole answer.
    pub timeout: Duration,
}

impl ServerSpec {
    /// The secrets that it needs, to be read.
    pub fn secrets_mut(&mut self) -> Vec<&mut GivenSecret> {
        match &mut self.login {
            ServerLogin::Sql { password, .. } => vec![password],
            ServerLogin::Kerberos => Vec::new(),
        }
    }
}

impl TableSpec {
    /// The secrets that it needs, to be read.
    pub fn secrets_mut(&mut self) -> Vec<&mut GivenSecret> {
        match &mut self.kind {
            super::TableKind::SqlServer(rows) => rows.server.secrets_mut(),
            super::TableKind::Soap(rows) => rows.service.secrets_mut(),
            super::TableKind::Csv { .. } | super::TableKind::Sqlite { .. } => Vec::new(),
        }
    }
}

/// Keys that mean nothing without `server`.
pub(super) const OF_SERVERS: [&Key; 8] = [
    &keys::DATABASE,
    &keys::FAILOVER_PARTNER,
    &keys::MULTI_SUBNET,
    &keys::ENCRYPT,
    &keys::TRUST_ANY_CERTIFICATE,
    &keys::CERTIFICATE_HOST,
    &keys::WINDOWS_LOGIN,
    &keys::APPLICATION,
];

/// Keys of services that servers have too.
pub(super) const SHARED: [&str; 5] = ["ca_file", "user", "password", "timeout_seconds", "connect_seconds"];

impl<'a> Checker<'a> {
    /// A SQL Server and its database.
    pub(super) fn server_spec(&mut self, table: &Table<'a>) -> Option<ServerSpec> {
        for key in [&keys::SERVER, &keys::DATABASE] {
            if !table.values.contains_key(key.name) && !self.broken {
                let message = format!("{} lacks the key `{}`", table.title, key.name);
                self.error(MISSING, &table.place, message, format!("add `{} = {}`", key.name, key.example));
            }
        }
        let address = self.address(table, &keys::SERVER);
        let partner = table.values.contains_key(keys::FAILOVER_PARTNER.name).then(|| self.address(table, &keys::FAILOVER_PARTNER));
        let multi_subnet = self.switch(table, &keys::MULTI_SUBNET);
        let database = self.non_blank(table, &keys::DATABASE);
        let login = self.server_login(table);
        let encryption = match self.word(table, &keys::ENCRYPT) {
            Some(0) => Some(Encryption::Required),
            Some(1) => Some(Encryption::Strict),
            Some(2) => Some(Encryption::Login),
            Some(_) => Some(Encryption::Off),
            None => None,
        };
        let ca_file = self.path(table, &keys::CA_FILE);
        let trust_any_certificate = self.switch(table, &keys::TRUST_ANY_CERTIFICATE);
        let certificate_host = self.non_blank(table, &keys::CERTIFICATE_HOST);
        let application = self.non_blank(table, &keys::APPLICATION);
        let seconds = |count: Option<std::num::NonZeroU32>| count.map(|n| Duration::from_secs(n.get().into()));
        let timeout = seconds(self.count(table, &keys::TIMEOUT_SECONDS));
        let connect = seconds(self.count(table, &keys::CONNECT_SECONDS));
        if trust_any_certificate == Some(true)
            && let Some(node) = table.values.get(keys::CA_FILE.name)
        {
            let message = format!("{} trusts any certificate and has a `ca_file`", table.title);
            self.error(EXCLUDE_EACH_OTHER, &node.key, message, "remove `trust_any_certificate`: with `ca_file` the certificate is checked");
            return None;
        }
        Some(ServerSpec {
            address: address?,
            failover_partner: match partner {
                Some(partner) => Some(partner?),
                None => None,
            },
            multi_subnet: multi_subnet?,
            database: database?,
            login: login?,
            encryption: encryption?,
            ca_file,
            trust_any_certificate: trust_any_certificate?,
            certificate_host,
            application: application?,
            connect: connect?,
            timeout: timeout?,
        })
    }

    fn address(&mut self, table: &Table<'a>, key: &'static Key) -> Option<ServerAddress> {
        let text = self.non_blank(table, key)?;
        let address = ServerAddress::parse(&text);
        if address.is_none() {
            let place = table.values.get(key.name).map_or_else(|| table.place.clone(), |n| n.place.clone());
            let message = format!("`{}` can't be `{}`", key.name, shown(&text));
            let remedy = format!("write a host, `host:port` or `host\\\\INSTANCE`: `{} = {}`", key.name, key.example);
            self.error(WRONG_FORM, &place, message, remedy);
        }
        address
    }

    fn server_login(&mut self, table: &Table<'a>) -> Option<ServerLogin> {
        let user = self.non_blank(table, &keys::USER);
        let password = self.given(table, &keys::PASSWORD);
        let windows = table.values.get(keys::WINDOWS_LOGIN.name).map(|node| node.key.clone());
        let of_windows = windows.is_some().then(|| self.word(table, &keys::WINDOWS_LOGIN));
        let pair = self.pair(table, (&keys::USER, user), (&keys::PASSWORD, password))?;
        match (pair, of_windows) {
            (Some((user, password)), None) => Some(ServerLogin::Sql { user, password }),
            (None, Some(word)) => word.map(|_kerberos| ServerLogin::Kerberos),
            (Some(_), Some(_)) => {
                let place = windows.unwrap_or_else(|| table.place.clone());
                let message = format!("{} has a `user` and a `windows_login`: two logins", table.title);
                self.error(EXCLUDE_EACH_OTHER, &place, message, "keep the one that the server wants");
                None
            }
            (None, None) => {
                if !self.broken {
                    let message = format!("{} has a `server` and no login", table.title);
                    let remedy = format!("add `user = {}` and `password = {}`", keys::USER.example, keys::PASSWORD.example);
                    self.error(MISSING, &table.place, message, remedy);
                }
                None
            }
        }
    }

    /// What is read from a SQL Server.
    pub(super) fn server_rows(&mut self, table: &Table<'a>) -> Option<ServerRows> {
        let server = self.server_spec(table);
        let rows = self.table_rows(table);
        let key = self.non_blank(table, &keys::ROW_KEY);
        let changes = match self.non_blank(table, &keys::CHANGES) {
            Some(word) if word.eq_ignore_ascii_case("change tracking") => Changes::Tracking,
            Some(column) => Changes::Column(column),
            None => Changes::Compared,
        };
        let page = self.count(table, &keys::PAGE);
        let every = self.count(table, &keys::EVERY_MINUTES);
        let rows = rows?;
        if changes == Changes::Tracking && matches!(rows, super::SqliteRows::Query(_)) {
            let place = table.values.get(keys::CHANGES.name).map_or_else(|| table.place.clone(), |n| n.place.clone());
            let message = format!("{} reads a `query`, and Change Tracking belongs to a table", table.title);
            self.error(EXCLUDE_EACH_OTHER, &place, message, "write `table`, or name a column that grows with each change");
            return None;
        }
        Some(ServerRows { server: server?, rows, key: key?, changes, page: page?, every_minutes: every? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_the_forms_that_dbas_write() {
        let port = |host: &str, port| Some(ServerAddress { host: host.into(), at: ServerAt::Port(port) });
        assert_eq!(ServerAddress::parse("crm.example"), port("crm.example", 1433));
        assert_eq!(ServerAddress::parse("tcp:crm.example,1500"), port("crm.example", 1500));
        assert_eq!(ServerAddress::parse("10.0.0.4:1433"), port("10.0.0.4", 1433));
        assert_eq!(ServerAddress::parse("[::1]:1433"), port("::1", 1433));
        let named = ServerAddress::parse("crm.example\\CRM2016").unwrap();
        assert_eq!(named.at, ServerAt::Instance("CRM2016".into()));
        assert_eq!(named.to_string(), "crm.example\\CRM2016");
        for bad in ["", ":1433", "crm:port", "crm:0", "crm\\", "a b", "crm;User=sa", "[crm]:1", "host\\x;y"] {
            assert_eq!(ServerAddress::parse(bad), None, "{bad}");
        }
    }
}
