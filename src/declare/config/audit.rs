//! `[audit]`: the log's name, and where its checkpoints go.

use super::check::{Checker, Table, shown};
use super::codes::{MISSING, WRONG_FORM};
use super::keys::{Form, Key, Need, Section, Tables, key};
use super::settings::{Audit, SyslogSpec};
use std::time::Duration;

pub(super) const ORIGIN: Key = key(
    "origin",
    Form::Origin,
    Need::Required,
    "The log's name in every checkpoint, for good: a host name of yours and a path, without a scheme. Two logs never share one.",
    "\"kith.example.com/retail\"",
);
const CHECKPOINTS_TO: Key = key(
    "checkpoints_to",
    Form::Path,
    Need::Optional("Checkpoints stay in the state folder."),
    "A folder that gets every published checkpoint, one file a day, only ever added to: a share of another machine, best one that the \
     service's account can add to and not change. What it holds, `kith audit verify --trusted` takes.",
    "\"/mnt/reviewers/kith\"",
);
const SYSLOG: Key = key(
    "syslog",
    Form::Text(300),
    Need::Optional(
        "Without `checkpoints_to`: this machine's own (`unix:///dev/log`), where there is one; it must forward them for them to leave.",
    ),
    "A syslog server that gets every published checkpoint: RFC 5424 over TCP (`tcp://HOST:PORT`) or TLS (`tls://HOST:PORT`), or this machine's own \
     (`unix:///dev/log`). `none`: no syslog.",
    "\"tls://logs.corp.example:6514\"",
);
const SYSLOG_CA_FILE: Key = key(
    "syslog_ca_file",
    Form::Path,
    Need::Optional("`syslog` is no `tls://` address."),
    "PEM certificates that are trusted for `syslog`; required with `tls://`.",
    "\"/etc/kith/logs-ca.pem\"",
);
/// Where this machine's own syslog listens: the C library's `_PATH_LOG`.
const LOCAL: &str = "unix:///dev/log";
const WITNESSES: Key = key(
    "witnesses",
    Form::Path,
    Need::Optional("No witness's word is taken in."),
    "A folder where witnesses put cosigned checkpoints (`kith audit witness --to`). They are taken into the log's folder and into proofs.",
    "\"/mnt/witnesses\"",
);
const PUBLISH_SECONDS: Key = key(
    "publish_seconds",
    Form::Count(1, 86_400),
    Need::Default("60"),
    "How often the newest checkpoint leaves while entries come in; it always does when the service stops.",
    "60",
);
pub(super) const AUDIT: Section = Section {
    name: "audit",
    tables: Tables::One,
    required: true,
    doc: "The audit log, and where its checkpoints go. A checkpoint that nobody else has proves nothing against who has the signing key: name \
          at least one place outside of this machine.",
    keys: &[ORIGIN, CHECKPOINTS_TO, SYSLOG, SYSLOG_CA_FILE, WITNESSES, PUBLISH_SECONDS],
};

impl<'a> Checker<'a> {
    /// The whole section.
    pub(super) fn audit(&mut self, table: &Table<'a>) -> Option<Audit> {
        let origin = self.origin(table);
        let checkpoints_to = self.path(table, &CHECKPOINTS_TO);
        let witnesses = self.path(table, &WITNESSES);
        let by_default = || SyslogSpec { address: LOCAL.to_owned(), ca_file: None, by_default: true };
        let named = checkpoints_to.is_some() || table.values.contains_key(SYSLOG.name);
        let syslog = self.syslog(table).map(|syslog| if named { syslog } else { Some(by_default()) });
        let every = self.count(table, &PUBLISH_SECONDS);
        Some(Audit { origin: origin?, checkpoints_to, syslog: syslog?, witnesses, every: Duration::from_secs(every?.get().into()) })
    }

    #[expect(clippy::option_option, reason = "outside: whether all is right; inside: whether there is one")]
    fn syslog(&mut self, table: &Table<'a>) -> Option<Option<SyslogSpec>> {
        let ca_file = self.path(table, &SYSLOG_CA_FILE);
        let place = |key: &Key| table.values.get(key.name).map_or_else(|| table.place.clone(), |node| node.key.clone());
        let Some(address) = self.non_blank(table, &SYSLOG) else {
            if table.values.contains_key(SYSLOG.name) {
                return None;
            }
            if table.values.contains_key(SYSLOG_CA_FILE.name) {
                let at = place(&SYSLOG_CA_FILE);
                let remedy = format!("add `syslog = {}`, or remove it", SYSLOG.example);
                self.error(MISSING, &at, "`syslog_ca_file` means nothing without `syslog`", remedy);
                return None;
            }
            return Some(None);
        };
        let at = place(&SYSLOG);
        if &*address == "none" {
            return Some(None);
        }
        if address.strip_prefix("unix://").is_some_and(|path| path.starts_with('/')) {
            return Some(Some(SyslogSpec { address: address.to_string(), ca_file: None, by_default: false }));
        }
        let rest = address.strip_prefix("tcp://").or_else(|| address.strip_prefix("tls://"));
        let right = rest.and_then(|rest| rest.trim_end_matches('/').rsplit_once(':')).is_some_and(|(host, port)| {
            let host_is_one = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:_[]".contains(c));
            host_is_one && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if !right {
            let message = format!("`syslog` can't be `{}`", shown(&address));
            self.error(
                WRONG_FORM,
                &at,
                message,
                format!("write `tcp://HOST:PORT`, `tls://HOST:PORT`, `unix:///dev/log` or `none`: `syslog = {}`", SYSLOG.example),
            );
            return None;
        }
        if address.starts_with("tls://") && ca_file.is_none() {
            if !table.values.contains_key(SYSLOG_CA_FILE.name) {
                let remedy = format!("add `syslog_ca_file = {}`", SYSLOG_CA_FILE.example);
                self.error(MISSING, &at, "`syslog` by TLS needs to know whose certificates are trusted", remedy);
            }
            return None;
        }
        Some(Some(SyslogSpec { address: address.to_string(), ca_file, by_default: false }))
    }
}
