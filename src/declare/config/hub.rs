//! `[sources.NAME] hub`: where the service subscribes to feeds by itself (`WebSub`), and how it gets there.

use super::check::{Checker, Table};
use super::codes::{MISSING, WRONG_FORM};
use super::keys::{Form, Key, Need, key, only};
use super::service::GivenSecret;
use super::settings::ProxySpec;
use super::webhook::TOPICS;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(super) const HUB: Key = only(
    "webhook",
    key(
        "hub",
        Form::Url(2_048),
        Need::Optional("Somebody else subscribes the address, and renews that before it ends."),
        "WebSub: the hub that the feeds name (`<link rel=\"hub\">`). The service subscribes to each of `topics` there, and again before the lease ends. \
         Required with `callback`. `https`, since the hub is told the secret.",
        "\"https://hub.example/\"",
    ),
);
pub(super) const CALLBACK: Key = only(
    "webhook",
    key(
        "callback",
        Form::Url(1_024),
        Need::Optional("Nothing is subscribed to."),
        "With `hub`: the address of this webhook as the hub reaches it, from outside.",
        "\"https://hooks.shop.example/webhooks/blog\"",
    ),
);
pub(super) const LEASE_SECONDS: Key = only(
    "webhook",
    key(
        "lease_seconds",
        Form::Count(5, 31_536_000),
        Need::Default("864000"),
        "With `hub`: how long a subscription is asked to last. The hub's word counts; two thirds of it are waited before it is renewed.",
        "86400",
    ),
);
pub(super) const HUB_CA_FILE: Key = only(
    "webhook",
    key(
        "hub_ca_file",
        Form::Path,
        Need::Optional("The system's certificates are trusted."),
        "With `hub`: PEM certificates that are trusted instead.",
        "\"/etc/kith/corp-ca.pem\"",
    ),
);
pub(super) const HUB_PROXY: Key = only(
    "webhook",
    key(
        "hub_proxy",
        Form::Url(2_048),
        Need::Optional("The hub is reached directly."),
        "With `hub`: the proxy that it is reached through.",
        "\"http://proxy.corp.example:3128\"",
    ),
);
pub(super) const HUB_PROXY_USER: Key = only(
    "webhook",
    key("hub_proxy_user", Form::Text(255), Need::Optional("The proxy wants no login."), "With `hub_proxy`: the user.", "\"kith\""),
);
pub(super) const HUB_PROXY_PASSWORD: Key = only(
    "webhook",
    key(
        "hub_proxy_password",
        Form::Secret,
        Need::Optional("The proxy wants no login."),
        "With `hub_proxy`: the password.",
        "{ credential = \"corp-proxy\" }",
    ),
);
/// What means nothing without `hub`.
pub(super) const OF_HUB: [&Key; 6] = [&CALLBACK, &LEASE_SECONDS, &HUB_CA_FILE, &HUB_PROXY, &HUB_PROXY_USER, &HUB_PROXY_PASSWORD];

/// A hub that is asked to deliver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hub {
    /// Its address.
    pub url: String,
    /// The webhook's address as the hub reaches it.
    pub callback: String,
    /// How long a subscription is asked to last.
    pub lease: Duration,
    /// What it signs with: the source's `secret`.
    pub secret: GivenSecret,
    /// PEM certificates that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The proxy that it is reached through.
    pub proxy: Option<ProxySpec>,
}

impl<'a> Checker<'a> {
    /// A hub that the service asks.
    pub(super) fn hub(&mut self, table: &Table<'a>, secret: Option<&GivenSecret>, topics: &[Arc<str>]) -> Option<Hub> {
        let (url, callback, lease) = (self.url(table, &HUB), self.url(table, &CALLBACK), self.count(table, &LEASE_SECONDS));
        let proxy = self.proxy(table, [&HUB_PROXY, &HUB_PROXY_USER, &HUB_PROXY_PASSWORD]);
        let ca_file = if table.values.contains_key(HUB_CA_FILE.name) { Some(self.path(table, &HUB_CA_FILE)?) } else { None };
        for (there, key) in [(!topics.is_empty(), &TOPICS), (table.values.contains_key(CALLBACK.name), &CALLBACK)] {
            if !there && !self.broken {
                let message = format!("{} has a `hub` and no `{}`", table.title, key.name);
                self.error(MISSING, &table.place, message, format!("add `{} = {}`", key.name, key.example));
                return None;
            }
        }
        let url = url?;
        // The hub is told the secret: only TLS keeps it (section 5.1 of the recommendation), or a machine that is this one.
        let here = ["http://127.0.0.1", "http://[::1]", "http://localhost"]
            .iter()
            .any(|own| url.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])));
        if !url.starts_with("https://") && !here {
            let place = table.values.get(HUB.name).map_or_else(|| table.place.clone(), |node| node.key.clone());
            self.error(
                WRONG_FORM,
                &place,
                "`hub` is told the secret, and is not `https`",
                format!("write `{} = {}`", HUB.name, HUB.example),
            );
            return None;
        }
        let lease = Duration::from_secs(lease?.get().into());
        Some(Hub { url, callback: callback?, lease, secret: secret?.clone(), ca_file, proxy: proxy? })
    }
}
