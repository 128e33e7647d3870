//! The service of a target: its address, its proxy, its login.

use super::check::{Checker, Table, shown};
use super::codes::{EXCLUDE_EACH_OTHER, MISSING, PLAIN_SECRET, WRONG_FORM};
use super::keys::{self, Form, Key};
use super::secret::{Secret, SecretSource};
use super::server;
use super::settings::{
    Auth, ClientCertificate, Login, NetworkSource, ServiceSpec, SoapRows, TableKind, TableSpec, TargetPlace, TargetSpec, TokenTime,
};
use crate::diagnose::Place;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where a secret is, and the secret once it was read. Two are equal where they are the same place; `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct GivenSecret {
    /// Where it is.
    pub source: SecretSource,
    /// Read by those who start the service; checking reads none.
    pub value: Option<Secret>,
}

impl PartialEq for GivenSecret {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for GivenSecret {}

impl ServiceSpec {
    /// The secrets that it needs, to be read.
    pub fn secrets_mut(&mut self) -> Vec<&mut GivenSecret> {
        let login = match &mut self.login {
            Login::None => None,
            Login::Basic { password, .. } => Some(password),
            Login::Bearer { token } => Some(token),
            Login::ClientCredentials { client_secret, .. } => Some(client_secret),
        };
        let proxy = self.proxy.as_mut().and_then(|p| p.login.as_mut()).map(|(_, password)| password);
        let key = self.certificate.as_mut().map(|certificate| &mut certificate.key);
        login.into_iter().chain(proxy).chain(key).collect()
    }
}

impl NetworkSource {
    /// The secrets that it needs, to be read.
    pub fn secrets_mut(&mut self) -> impl Iterator<Item = &mut GivenSecret> {
        let proxy = self.proxy.as_mut().and_then(|proxy| proxy.login.as_mut()).map(|(_, password)| password);
        std::iter::once(&mut self.settings).chain(proxy)
    }
}

impl TargetPlace {
    /// The secrets that it needs, to be read.
    pub fn secrets_mut(&mut self) -> Vec<&mut GivenSecret> {
        match self {
            Self::File(_) => Vec::new(),
            Self::Server(server) => server.secrets_mut(),
            Self::Service(service) => service.secrets_mut(),
        }
    }

    /// What it shares limits, waits and breaker under where the operator names nothing: the file, host and port of the service, or the server.
    pub fn endpoint(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Server(server) => server.address.to_string().to_ascii_lowercase(),
            Self::Service(service) => {
                let rest = service.url.split_once("://").map_or(service.url.as_str(), |(_, rest)| rest);
                rest.split('/').next().unwrap_or_default().to_ascii_lowercase()
            }
        }
    }

    /// The key that says where it is.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::File(_) => "path",
            Self::Service(_) => "url",
            Self::Server(_) => "server",
        }
    }

    /// The file, where it is one.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::Service(_) | Self::Server(_) => None,
        }
    }
}

/// Keys that mean nothing without `url` or `server`.
const OF_SERVICES: [&Key; 18] = [
    &keys::CA_FILE,
    &keys::PROXY,
    &keys::PROXY_USER,
    &keys::PROXY_PASSWORD,
    &keys::USER,
    &keys::PASSWORD,
    &keys::TOKEN,
    &keys::TOKEN_URL,
    &keys::CLIENT_ID,
    &keys::CLIENT_SECRET,
    &keys::SCOPE,
    &keys::AUTH,
    &keys::CLOCK,
    &keys::EXPIRES_SECONDS,
    &keys::CLIENT_CERTIFICATE,
    &keys::CLIENT_KEY,
    &keys::TIMEOUT_SECONDS,
    &keys::CONNECT_SECONDS,
];

impl<'a> Checker<'a> {
    /// Where a target is: a file, or a service.
    pub(super) fn target_place(&mut self, table: &Table<'a>) -> Option<TargetPlace> {
        let has = |key: &Key| table.values.contains_key(key.name);
        if has(&keys::SERVER) {
            return self.target_server(table);
        }
        for key in server::OF_SERVERS {
            if let Some(node) = table.values.get(key.name) {
                let message = format!("`{}` belongs to a SQL Server, and {} has no `server`", key.name, table.title);
                self.error(EXCLUDE_EACH_OTHER, &node.key, message, format!("remove it, or write `server = {}`", keys::SERVER.example));
            }
        }
        match (has(&keys::TARGET_PATH), has(&keys::URL)) {
            (true, true) => {
                let place = table.values.get(keys::URL.name).map_or_else(|| table.place.clone(), |n| n.key.clone());
                self.error(EXCLUDE_EACH_OTHER, &place, format!("{} has a `path` and a `url`", table.title), "keep the one that is meant");
                None
            }
            (false, false) => {
                if !self.broken {
                    let message = format!("{} lacks the key `path`, `url` or `server`", table.title);
                    let remedy = format!(
                        "add `path = {}` for a file or database, `url = {}` for a service, `server = {}` for a SQL Server",
                        keys::TARGET_PATH.example,
                        keys::URL.example,
                        keys::SERVER.example
                    );
                    self.error(MISSING, &table.place, message, remedy);
                }
                None
            }
            (true, false) => {
                for key in OF_SERVICES {
                    if let Some(node) = table.values.get(key.name) {
                        let message = format!("`{}` belongs to a service, and {} has a `path`", key.name, table.title);
                        self.error(EXCLUDE_EACH_OTHER, &node.key, message, "remove it, or write `url` in place of `path`");
                    }
                }
                self.path(table, &keys::TARGET_PATH).map(TargetPlace::File)
            }
            (false, true) => self.service_spec(table).map(|service| TargetPlace::Service(Box::new(service))),
        }
    }

    /// A database of a SQL Server, and nothing that belongs elsewhere.
    fn target_server(&mut self, table: &Table<'a>) -> Option<TargetPlace> {
        let others = [&keys::TARGET_PATH, &keys::URL].into_iter().chain(OF_SERVICES).filter(|key| !server::SHARED.contains(&key.name));
        for key in others {
            if let Some(node) = table.values.get(key.name) {
                let message = format!("`{}` does not belong to a SQL Server, and {} has a `server`", key.name, table.title);
                self.error(EXCLUDE_EACH_OTHER, &node.key, message, "remove it, or remove `server`");
            }
        }
        self.server_spec(table).map(|server| TargetPlace::Server(Box::new(server)))
    }

    fn service_spec(&mut self, table: &Table<'a>) -> Option<ServiceSpec> {
        let url = self.url(table, &keys::URL);
        let ca_file = self.path(table, &keys::CA_FILE);
        let proxy = self.proxy(table, [&keys::PROXY, &keys::PROXY_USER, &keys::PROXY_PASSWORD]);
        let login = self.login(table);
        let auth = self.word(table, &keys::AUTH).and_then(|at| Auth::ALL.get(at).copied());
        if auth != Some(Auth::Negotiate) {
            // Kerberos has its tickets from the system.
            self.only_with(table, &keys::AUTH, &keys::USER);
        }
        let token_time = self.token_time(table, auth);
        let certificate = self.certificate(table);
        let seconds = |count: Option<std::num::NonZeroU32>| count.map(|n| Duration::from_secs(n.get().into()));
        let timeout = seconds(self.count(table, &keys::TIMEOUT_SECONDS));
        let connect = seconds(self.count(table, &keys::CONNECT_SECONDS));
        Some(ServiceSpec {
            url: url?,
            ca_file,
            proxy: proxy?,
            login: login?,
            auth,
            token_time,
            certificate: certificate?,
            timeout: timeout?,
            connect: connect?,
        })
    }

    fn token_time(&mut self, table: &Table<'a>, auth: Option<Auth>) -> TokenTime {
        let of_server = self.word(table, &keys::CLOCK) == Some(1);
        let expires = self.count(table, &keys::EXPIRES_SECONDS).map(|n| Duration::from_secs(n.get().into()));
        if !matches!(auth, Some(Auth::WsseText | Auth::WsseDigest)) {
            for key in [&keys::CLOCK, &keys::EXPIRES_SECONDS] {
                if let Some(node) = table.values.get(key.name) {
                    let message = format!("`{}` means nothing without `auth` of WS-Security", key.name);
                    self.error(MISSING, &node.key, message, "add `auth = \"wsse_digest\"` or `auth = \"wsse_text\"`, or remove it");
                }
            }
        }
        TokenTime { of_server, expires }
    }

    #[expect(clippy::option_option, reason = "outside: whether all is right; inside: whether there is one")]
    fn certificate(&mut self, table: &Table<'a>) -> Option<Option<ClientCertificate>> {
        let file = self.path(table, &keys::CLIENT_CERTIFICATE);
        let key = self.given(table, &keys::CLIENT_KEY);
        let pair = self.pair(table, (&keys::CLIENT_CERTIFICATE, file), (&keys::CLIENT_KEY, key))?;
        Some(pair.map(|(file, key)| ClientCertificate { file, key }))
    }

    #[expect(clippy::option_option, reason = "outside: whether all is right; inside: whether there is one")]
    pub(super) fn proxy(&mut self, table: &Table<'a>, [address, name, word]: [&'static Key; 3]) -> Option<Option<super::ProxySpec>> {
        let user = self.non_blank(table, name);
        let password = self.given(table, word);
        if !table.values.contains_key(address.name) {
            for key in [name, word] {
                self.only_with(table, key, address);
            }
            return Some(None);
        }
        let url = self.url(table, address)?;
        let login = self.pair(table, (name, user), (word, password))?;
        Some(Some(super::ProxySpec { url, login }))
    }

    fn login(&mut self, table: &Table<'a>) -> Option<Login> {
        let user = self.non_blank(table, &keys::USER);
        let password = self.given(table, &keys::PASSWORD);
        let token = self.given(table, &keys::TOKEN);
        let ways = [&keys::USER, &keys::TOKEN, &keys::TOKEN_URL];
        let given: Vec<&&Key> = ways.iter().filter(|key| table.values.contains_key(key.name)).collect();
        if let [first, second, ..] = given.as_slice() {
            let place = table.values.get(second.name).map_or_else(|| table.place.clone(), |n| n.key.clone());
            let message = format!("{} has `{}` and `{}`: two logins", table.title, first.name, second.name);
            self.error(EXCLUDE_EACH_OTHER, &place, message, "keep the one that the service wants");
            return None;
        }
        if table.values.contains_key(keys::TOKEN_URL.name) {
            let token_url = self.url(table, &keys::TOKEN_URL);
            let (id, secret) = (self.non_blank(table, &keys::CLIENT_ID), self.given(table, &keys::CLIENT_SECRET));
            let scope = self.non_blank(table, &keys::SCOPE);
            let client = self.pair(table, (&keys::CLIENT_ID, id), (&keys::CLIENT_SECRET, secret))?;
            let Some((client_id, client_secret)) = client else {
                let message = format!("{} has `token_url` and no `client_id`", table.title);
                self.error(MISSING, &table.place, message, "add `client_id` and `client_secret`");
                return None;
            };
            return Some(Login::ClientCredentials { token_url: token_url?, client_id, client_secret, scope });
        }
        for key in [&keys::CLIENT_ID, &keys::CLIENT_SECRET, &keys::SCOPE] {
            self.only_with(table, key, &keys::TOKEN_URL);
        }
        if table.values.contains_key(keys::TOKEN.name) {
            self.only_with(table, &keys::PASSWORD, &keys::USER);
            return Some(Login::Bearer { token: token? });
        }
        let pair = self.pair(table, (&keys::USER, user), (&keys::PASSWORD, password))?;
        Some(pair.map_or(Login::None, |(user, password)| Login::Basic { user, password }))
    }

    /// Both of a pair, or neither; `None` where it is told.
    #[expect(clippy::option_option, reason = "outside: whether all is right; inside: whether there is one")]
    pub(super) fn pair<A, B>(&mut self, table: &Table<'a>, first: (&Key, Option<A>), second: (&Key, Option<B>)) -> Option<Option<(A, B)>> {
        let has = |key: &Key| table.values.contains_key(key.name);
        let lacking = match (has(first.0), has(second.0)) {
            (true, true) => return Some(Some((first.1?, second.1?))),
            (false, false) => return Some(None),
            (true, false) => second.0,
            (false, true) => first.0,
        };
        let message = format!("{} has only one of `{}` and `{}`", table.title, first.0.name, second.0.name);
        self.error(MISSING, &table.place, message, format!("add `{} = {}`", lacking.name, lacking.example));
        None
    }

    pub(super) fn only_with(&mut self, table: &Table<'a>, key: &Key, with: &Key) {
        if let Some(node) = table.values.get(key.name)
            && !table.values.contains_key(with.name)
        {
            let message = format!("`{}` means nothing without `{}`", key.name, with.name);
            self.error(MISSING, &node.key, message, format!("add `{} = {}`, or remove it", with.name, with.example));
        }
    }

    pub(super) fn given(&mut self, table: &Table<'a>, key: &'static Key) -> Option<GivenSecret> {
        self.secret(table, key).map(|source| GivenSecret { source, value: None })
    }

    /// An address without a `/` at its end.
    pub(super) fn url(&mut self, table: &Table<'a>, key: &'static Key) -> Option<String> {
        let Form::Url(longest) = key.form else { return None };
        let (text, place) = self.text(table, key)?;
        let text = text.trim();
        let mail = || text.strip_prefix("smtps://").or_else(|| text.strip_prefix("smtp://")).filter(|_| key.name == keys::URL.name);
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).or_else(mail);
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        if host.is_some_and(|host| host.contains('@')) {
            let message = format!("`{}` holds a login", key.name);
            let remedy = "write the address without it; the login stands in keys of its own, its secret outside of the file. Change the secret: it has been written down";
            self.error(PLAIN_SECRET, &place, message, remedy);
            return None;
        }
        let plain = text.len() <= longest
            && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '\\' | '"' | '<' | '>' | '{' | '}'));
        let named = host.is_some_and(|host| host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '['));
        if !plain || !named {
            let message = format!("`{}` can't be `{}`", key.name, shown(text));
            let remedy =
                format!("write `http://` or `https://`, the host and a path, without `?` and `#`: `{} = {}`", key.name, key.example);
            self.error(WRONG_FORM, &place, message, remedy);
            return None;
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    /// A paged query of a target; its service is filled in once the targets are read.
    pub(super) fn soap_rows(&mut self, name: Arc<str>, table: &Table<'a>) -> Option<TableSpec> {
        let target = self.non_blank(table, &keys::OF_TARGET);
        let query = self.non_blank(table, &keys::ROWS);
        let minutes = self.count(table, &keys::READ_MINUTES)?;
        let every = Duration::from_secs(u64::from(minutes.get()) * 60);
        let service = Box::new(ServiceSpec::plain(""));
        let rows = SoapRows { target: target?, query: query?, every, connector: PathBuf::new(), service };
        Some(TableSpec { name, kind: TableKind::Soap(rows) })
    }

    /// Fills in the services of tables that a target names.
    pub(super) fn rows_of_targets(&mut self, tables: Vec<(TableSpec, Place)>, targets: &[(TargetSpec, Place)]) -> Vec<(TableSpec, Place)> {
        let mut filled = Vec::with_capacity(tables.len());
        for (mut spec, place) in tables {
            if let TableKind::Soap(rows) = &mut spec.kind {
                let target = targets.iter().map(|(target, _)| target).find(|target| target.name == rows.target);
                match target.map(|target| (&target.connector, &target.place)) {
                    Some((connector, TargetPlace::Service(service))) => {
                        rows.connector.clone_from(connector);
                        rows.service.clone_from(service);
                    }
                    Some((_, TargetPlace::File(_) | TargetPlace::Server(_))) => {
                        let message = format!("the target `{}` is no service, and customers are read from a service here", rows.target);
                        self.error(EXCLUDE_EACH_OTHER, &place, message, "name a target with a `url`");
                    }
                    None => {
                        let near = crate::diagnose::nearest(&rows.target, targets.iter().map(|(target, _)| &*target.name));
                        let remedy = near.map_or_else(|| "add that target".to_owned(), |near| format!("did you mean `{near}`?"));
                        self.error(MISSING, &place, format!("there is no [targets.{}]", rows.target), remedy);
                    }
                }
            }
            filled.push((spec, place));
        }
        filled
    }
}
