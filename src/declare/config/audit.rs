//! `[audit]`: the log's name, and where its checkpoints go.

use super::check::{Checker, Table, shown};
use super::codes::{MISSING, WRONG_FORM};
use super::keys;
use super::settings::{Audit, SyslogSpec};
use std::time::Duration;

impl<'a> Checker<'a> {
    /// The whole section.
    pub(super) fn audit(&mut self, table: &Table<'a>) -> Option<Audit> {
        let origin = self.origin(table);
        let checkpoints_to = self.path(table, &keys::CHECKPOINTS_TO);
        let witnesses = self.path(table, &keys::WITNESSES);
        let syslog = self.syslog(table);
        let every = self.count(table, &keys::PUBLISH_SECONDS);
        Some(Audit { origin: origin?, checkpoints_to, syslog: syslog?, witnesses, every: Duration::from_secs(every?.get().into()) })
    }

    #[expect(clippy::option_option, reason = "outside: whether all is right; inside: whether there is one")]
    fn syslog(&mut self, table: &Table<'a>) -> Option<Option<SyslogSpec>> {
        let ca_file = self.path(table, &keys::SYSLOG_CA_FILE);
        let place = |key: &keys::Key| table.values.get(key.name).map_or_else(|| table.place.clone(), |node| node.key.clone());
        let Some(address) = self.non_blank(table, &keys::SYSLOG) else {
            if table.values.contains_key(keys::SYSLOG.name) {
                return None;
            }
            if table.values.contains_key(keys::SYSLOG_CA_FILE.name) {
                let at = place(&keys::SYSLOG_CA_FILE);
                let remedy = format!("add `syslog = {}`, or remove it", keys::SYSLOG.example);
                self.error(MISSING, &at, "`syslog_ca_file` means nothing without `syslog`", remedy);
                return None;
            }
            return Some(None);
        };
        let at = place(&keys::SYSLOG);
        let rest = address.strip_prefix("tcp://").or_else(|| address.strip_prefix("tls://"));
        let right = rest.and_then(|rest| rest.trim_end_matches('/').rsplit_once(':')).is_some_and(|(host, port)| {
            let host_is_one = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:_[]".contains(c));
            host_is_one && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if !right {
            let message = format!("`syslog` can't be `{}`", shown(&address));
            self.error(WRONG_FORM, &at, message, format!("write `tcp://HOST:PORT` or `tls://HOST:PORT`: `syslog = {}`", keys::SYSLOG.example));
            return None;
        }
        if address.starts_with("tls://") && ca_file.is_none() {
            if !table.values.contains_key(keys::SYSLOG_CA_FILE.name) {
                let remedy = format!("add `syslog_ca_file = {}`", keys::SYSLOG_CA_FILE.example);
                self.error(MISSING, &at, "`syslog` by TLS needs to know whose certificates are trusted", remedy);
            }
            return None;
        }
        Some(Some(SyslogSpec { address: address.to_string(), ca_file }))
    }
}
