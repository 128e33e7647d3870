//! `[sources.NAME]` of kind `network`: where the connector is, its settings, how often it is asked.

use super::check::{Checker, Table};
use super::codes::WRONG_FORM;
use super::keys::{Form, Key, Need, key, only};
use super::service::GivenSecret;
use super::settings::{NetworkSource, SourceKind};
use super::values::names;
use crate::manifest::cost::Budget;
use std::time::Duration;

pub(super) const CONNECTOR: Key = only(
    "network, webhook",
    key(
        "connector",
        Form::Path,
        Need::Required,
        "The connector: a source's manifest with the block `metadata.kith`.",
        "\"connectors/sources/mastodon.yaml\"",
    ),
);
pub(super) const SETTINGS: Key = only(
    "network, singer",
    key(
        "settings",
        Form::Secret,
        Need::Required,
        "The source's configuration, as the connector's `spec` or the tap's documentation describes it: a JSON object, logins included.",
        "{ file = \"/etc/kith/mastodon.json\" }",
    ),
);
pub(super) const STREAMS: Key = only(
    "network",
    key(
        "streams",
        Form::Text(1_000),
        Need::Optional("All streams that the connector projects; no live ones."),
        "The streams that are read, with commas between; live streams are opened where they are named.",
        "\"mentions\"",
    ),
);
pub(super) const EVERY_SECONDS: Key = only(
    "network, singer",
    key(
        "every_seconds",
        Form::Count(1, 86_400),
        Need::Default("60"),
        "How long after a read the next one begins. What the network asks for is honoured in full, whatever stands here.",
        "300",
    ),
);
pub(super) const COMPLIANCE: Key = only(
    "network",
    key(
        "compliance",
        Form::Text(1_000),
        Need::Optional("The network is not asked."),
        "What the network is asked about what is held of it, with commas between, as the connector's `compliance` names it: what it says is gone is deleted.",
        "\"posts, accounts\"",
    ),
);
pub(super) const COMPLIANCE_HOURS: Key = only(
    "network",
    key(
        "compliance_hours",
        Form::Count(1, 720),
        Need::Default("24"),
        "With `compliance`: how long after the beginning of a round the next one begins.",
        "12",
    ),
);
pub(super) const PROXY: Key = only(
    "network",
    key(
        "proxy",
        Form::Url(2_048),
        Need::Optional("The network is reached directly; variables such as `HTTPS_PROXY` are not read."),
        "The proxy that every request goes through.",
        "\"http://proxy.corp.example:3128\"",
    ),
);
pub(super) const PROXY_USER: Key =
    only("network", key("proxy_user", Form::Text(255), Need::Optional("The proxy wants no login."), "With `proxy`: the user.", "\"kith\""));
pub(super) const PROXY_PASSWORD: Key = only(
    "network",
    key(
        "proxy_password",
        Form::Secret,
        Need::Optional("The proxy wants no login."),
        "With `proxy`: the password.",
        "{ credential = \"proxy\" }",
    ),
);
pub(super) const HOSTS: Key = only(
    "network",
    key(
        "hosts",
        Form::Text(4_096),
        Need::Optional("The hosts that the connector's own addresses name."),
        "The only hosts that are asked, with commas between, whatever the connector or its settings say.",
        "\"api.x.com\"",
    ),
);
pub(super) const CA_FILE: Key = only(
    "network",
    key(
        "ca_file",
        Form::Path,
        Need::Optional("The system's certificates are trusted."),
        "PEM certificates that are trusted instead.",
        "\"/etc/kith/corp-ca.pem\"",
    ),
);
pub(super) const TIMEOUT_SECONDS: Key = only(
    "network",
    key("timeout_seconds", Form::Count(1, 3_600), Need::Default("60"), "The longest time for a request with its whole answer.", "30"),
);

pub(super) const BUDGET_A_MONTH: Key = only(
    "network",
    key(
        "budget_a_month",
        Form::Text(32),
        Need::Optional("What is spent is counted, where the connector names prices, and nothing is held back."),
        "What the source's calls may cost in a month, with the currency of the connector's prices. A call that could cost more than what is left is not made; the stream waits for the next month.",
        "\"50.00 USD\"",
    ),
);

impl<'a> Checker<'a> {
    /// A network's interface.
    pub(super) fn network_source(&mut self, table: &Table<'a>) -> Option<SourceKind> {
        let connector = self.path(table, &CONNECTOR);
        let settings = self.secret(table, &SETTINGS);
        let streams = self.text(table, &STREAMS).map(|(text, _)| text.to_owned());
        let every = self.count(table, &EVERY_SECONDS);
        let compliance = self.text(table, &COMPLIANCE).map(|(text, _)| names(text));
        let compliance_every = self.count(table, &COMPLIANCE_HOURS);
        let has = |key: &Key| table.values.contains_key(key.name);
        let proxy = self.proxy(table, [&PROXY, &PROXY_USER, &PROXY_PASSWORD]);
        let hosts = self.text(table, &HOSTS).map(|(text, _)| names(text));
        let ca_file = if has(&CA_FILE) { self.path(table, &CA_FILE) } else { None };
        let timeout = self.count(table, &TIMEOUT_SECONDS);
        let given = self.text(table, &BUDGET_A_MONTH);
        let budget = given.as_ref().and_then(|(text, _)| Budget::parse(text));
        if let (Some((_, place)), None) = (&given, &budget) {
            let message = format!("`{}` is no amount of money", BUDGET_A_MONTH.name);
            self.error(
                WRONG_FORM,
                place,
                message,
                "write it as `\"50.00 USD\"`: at most twelve digits, six places, and the currency's three letters",
            );
            return None;
        }
        Some(SourceKind::Network(Box::new(NetworkSource {
            connector: connector?,
            settings: GivenSecret { source: settings?, value: None },
            streams: streams.as_deref().map(names).unwrap_or_default(),
            every: Duration::from_secs(every?.get().into()),
            compliance: compliance.unwrap_or_default(),
            compliance_every: Duration::from_hours(compliance_every?.get().into()),
            proxy: proxy?,
            hosts,
            ca_file,
            timeout: Duration::from_secs(timeout?.get().into()),
            budget,
            loaded: None,
        })))
    }
}
