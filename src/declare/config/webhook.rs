//! `[webhooks]` and `[sources.NAME]` of kind `webhook`: where networks deliver by themselves, and how a listener that stands outside is drained.

use super::check::{Checker, Table};
use super::codes::{EXCLUDE_EACH_OTHER, MISSING};
use super::hub::{HUB, Hub, OF_HUB};
use super::keys::{Form, Key, Need, Section, Tables, key, only};
use super::service::GivenSecret;
use super::settings::{SourceKind, SourceSpec};
use super::values::names;
use crate::declare::manifest::Connector;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::manifest::webhook::Scheme;
use core::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

const UNFIT: Code = Code("KITH-N050");

pub(super) const WEBHOOK: Key = only(
    "webhook",
    key("webhook", Form::Text(255), Need::Required, "The webhook of the connector's `metadata.kith.webhooks`.", "\"page\""),
);
pub(super) const SECRET: Key = only(
    "webhook",
    key(
        "secret",
        Form::Secret,
        Need::Optional("`drain` says who checks signatures."),
        "What the network signs with: the app's secret (Meta), the consumer secret (X), the secret that the hub was given (WebSub), `whsec_…` (Standard \
         Webhooks). Required without `drain`.",
        "{ credential = \"meta-app-secret\" }",
    ),
);
pub(super) const SECOND_SECRET: Key = only(
    "webhook",
    key(
        "second_secret",
        Form::Secret,
        Need::Optional("Only `secret` is taken."),
        "Another secret that is taken as well, while the secret is changed.",
        "{ credential = \"meta-app-secret-before\" }",
    ),
);
pub(super) const VERIFY_TOKEN: Key = only(
    "webhook",
    key(
        "verify_token",
        Form::Secret,
        Need::Optional("The network does not ask for one."),
        "Meta: the verify token that was typed in beside the address there. Required with it, without `drain`.",
        "{ credential = \"meta-verify-token\" }",
    ),
);
pub(super) const TOPICS: Key = only(
    "webhook",
    key(
        "topics",
        Form::Text(4_096),
        Need::Optional("A hub may subscribe this address to any feed."),
        "WebSub: the feeds that are wanted, with commas between. A hub that asks about another one is refused.",
        "\"https://blog.example/feed.xml\"",
    ),
);
pub(super) const SERVER: Key = only(
    "webhook",
    key(
        "server",
        Form::Url(2_048),
        Need::Optional("Deliveries say themselves where they are from."),
        "Discourse: the community's address, as the settings of its polled source have it. Required with it.",
        "\"https://community.example\"",
    ),
);
pub(super) const DRAIN: Key = only(
    "webhook",
    key(
        "drain",
        Form::Url(2_048),
        Need::Optional("The service takes deliveries itself, at `[webhooks] listen`."),
        "The listener in the DMZ (`kith serve --only webhooks`) that takes them, at its `drain_listen`. The service connects out to it.",
        "\"https://dmz.example:8444\"",
    ),
);
pub(super) const SOURCE_DRAIN_SECRET: Key = only(
    "webhook",
    key(
        "drain_secret",
        Form::Secret,
        Need::Optional("Nothing is drained."),
        "With `drain`: the secret of that listener's `[webhooks] drain_secret`, by which both sides know each other.",
        "{ credential = \"drain-secret\" }",
    ),
);
pub(super) const DRAIN_KEY: Key = only(
    "webhook",
    key(
        "drain_key",
        Form::Secret,
        Need::Optional("Nothing is drained."),
        "With `drain`: the secret key, a line `AGE-SECRET-KEY-1…` of `age-keygen`, whose public half is the listener's `[webhooks] recipient`.",
        "{ credential = \"drain-key\" }",
    ),
);
pub(super) const DRAIN_CA_FILE: Key = only(
    "webhook",
    key(
        "drain_ca_file",
        Form::Path,
        Need::Optional("The system's certificates are trusted."),
        "With `drain`: PEM certificates that are trusted instead.",
        "\"/etc/kith/corp-ca.pem\"",
    ),
);

const LISTEN: Key = key(
    "listen",
    Form::Address,
    Need::Optional("No webhook is taken in here."),
    "Where deliveries come: `/webhooks/NAME` for `[sources.NAME]`. Plain HTTP: a reverse proxy before it has the certificate (ops/webhooks.md).",
    "\"127.0.0.1:8443\"",
);
const SPOOL: Key = key(
    "spool",
    Form::Path,
    Need::Optional("`webhooks` in the state folder. In the DMZ it is required."),
    "The folder where deliveries stand on disk, before they are answered, until they are stored.",
    "\"/var/lib/kith-webhooks\"",
);
const SPOOL_MB: Key = key(
    "spool_mb",
    Form::Count(1, 1_000_000),
    Need::Default("1024"),
    "Megabytes that may wait in each source's spool. Beyond it deliveries are answered 503, and the network tries again.",
    "4096",
);
const BODY_KB: Key = key(
    "body_kb",
    Form::Count(1, 16_384),
    Need::Default("2048"),
    "Kilobytes of the longest delivery; a longer one is answered 413.",
    "512",
);
const CONNECTIONS: Key = key(
    "connections",
    Form::Count(1, 10_000),
    Need::Default("1024"),
    "Connections at once; more wait in the system's queue. Together their bodies have at most 64 MiB; beyond it they are answered 503.",
    "256",
);
const DRAIN_LISTEN: Key = key(
    "drain_listen",
    Form::Address,
    Need::Optional("The service itself needs none; in the DMZ it is required."),
    "In the DMZ: where the service inside fetches what has come. Only it needs to reach this address.",
    "\"10.0.0.5:8444\"",
);
const DRAIN_SECRET: Key = key(
    "drain_secret",
    Form::Secret,
    Need::Optional("The service itself needs none; in the DMZ it is required."),
    "In the DMZ: at least 32 characters that the service inside knows too (`openssl rand -hex 32`). Requests and answers are signed with it.",
    "{ credential = \"drain-secret\" }",
);
const RECIPIENT: Key = key(
    "recipient",
    Form::Text(200),
    Need::Optional("The service itself needs none; in the DMZ it is required."),
    "In the DMZ: the public key (`age-keygen -y`) for which deliveries are encrypted before they are on disk; its secret half is inside alone.",
    "\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"",
);

pub(super) const WEBHOOKS: Section = Section {
    name: "webhooks",
    tables: Tables::One,
    required: false,
    doc: "The listener for networks that come by themselves. In the service it takes what the sources of kind `webhook` say; with `kith serve --only webhooks` \
          it runs alone, in a DMZ, from a file that has `[webhooks]`, `[sources.NAME]` of kind `webhook`, `[metrics]` and `[log]`, and nothing else.",
    keys: &[LISTEN, SPOOL, SPOOL_MB, BODY_KB, CONNECTIONS, DRAIN_LISTEN, DRAIN_SECRET, RECIPIENT],
};

/// A source that the network delivers to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookSource {
    /// The connector: a manifest with our block.
    pub connector: PathBuf,
    /// The webhook of it.
    pub webhook: Arc<str>,
    /// Of which site deliveries are, where they don't say so themselves.
    pub server: Option<Arc<str>>,
    /// Who takes deliveries.
    pub taken: Taken,
    /// The connector, read by those who load the project; checking reads none.
    pub loaded: Option<Arc<Connector>>,
}

/// Who takes the deliveries of a webhook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Taken {
    /// This process.
    Here {
        /// What the network signs with; a second one while it is changed.
        secrets: Vec<GivenSecret>,
        /// What Meta shows when it asks.
        verify_token: Option<GivenSecret>,
        /// Feeds that are wanted; none: any.
        topics: Vec<Arc<str>>,
        /// Where they are subscribed to; `None`: somebody else does that.
        hub: Option<Box<Hub>>,
    },
    /// A listener elsewhere.
    Outside(Box<Drained>),
}

/// A listener elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drained {
    /// Its address, without a `/` at its end.
    pub url: String,
    /// By which both sides know each other.
    pub secret: GivenSecret,
    /// Opens what it encrypted.
    pub key: GivenSecret,
    /// PEM certificates that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl WebhookSource {
    /// Why its connector can't be used for it.
    pub fn unfit(&self, name: &str) -> Option<Diagnostic> {
        let connector = self.loaded.as_ref()?;
        let place = Place::Named(format!("[sources.{name}]"));
        let Some(webhook) = connector.webhooks.iter().find(|webhook| *webhook.name == *self.webhook) else {
            let known: Vec<&str> = connector.webhooks.iter().map(|webhook| webhook.name.as_str()).collect();
            let remedy = if known.is_empty() { "it knows none".to_owned() } else { format!("it knows {}", known.join(", ")) };
            return Some(Diagnostic::error(UNFIT, place, format!("the connector knows no webhook `{}`", self.webhook), remedy));
        };
        let wrong = |message: &str, remedy: String| Some(Diagnostic::error(UNFIT, place.clone(), message, remedy));
        match (webhook.scheme.wants_server(), self.server.is_some()) {
            (true, false) => {
                return wrong(
                    "its deliveries don't say of which site they are, and `server` is not there",
                    format!("add `server = {}`", SERVER.example),
                );
            }
            (false, true) => return wrong("this network's deliveries say themselves where they are from", "remove `server`".to_owned()),
            (true, true) | (false, false) => {}
        }
        let Taken::Here { verify_token, topics, hub, .. } = &self.taken else { return None };
        let (message, remedy) = match (webhook.scheme.has_verify_token(), verify_token.is_some()) {
            (true, false) => (
                "the network asks with a verify token, and `verify_token` is not there",
                format!("add `verify_token = {}`", VERIFY_TOKEN.example),
            ),
            (false, true) => ("this network asks with no verify token", "remove `verify_token`".to_owned()),
            _ if hub.is_some() && webhook.scheme != Scheme::WebSub => ("this network has no hub", "remove `hub`".to_owned()),
            _ if !topics.is_empty() && webhook.scheme != Scheme::WebSub => ("only hubs have topics", "remove `topics`".to_owned()),
            _ => return None,
        };
        wrong(message, remedy)
    }

    /// The secrets that it needs, to be read.
    pub fn secrets_mut(&mut self) -> Vec<&mut GivenSecret> {
        match &mut self.taken {
            Taken::Here { secrets, verify_token, hub, .. } => {
                let of_hub = hub.as_deref_mut().into_iter().flat_map(|hub| {
                    let proxy = hub.proxy.as_mut().and_then(|proxy| proxy.login.as_mut()).map(|(_, password)| password);
                    std::iter::once(&mut hub.secret).chain(proxy)
                });
                secrets.iter_mut().chain(verify_token).chain(of_hub).collect()
            }
            Taken::Outside(drained) => vec![&mut drained.secret, &mut drained.key],
        }
    }
}

/// `[webhooks]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhooks {
    /// Where deliveries come.
    pub listen: Option<SocketAddr>,
    /// Where they wait.
    pub spool: Option<PathBuf>,
    /// Megabytes of each source's spool.
    pub spool_mb: NonZeroU32,
    /// Kilobytes of the longest delivery.
    pub body_kb: NonZeroU32,
    /// Connections at once.
    pub connections: NonZeroU32,
}

/// A listener that runs alone.
#[derive(Clone, PartialEq, Debug)]
pub struct Listener {
    /// `[webhooks]`
    pub webhooks: Webhooks,
    /// Where deliveries come.
    pub listen: SocketAddr,
    /// Where they wait.
    pub spool: PathBuf,
    /// Where they are fetched.
    pub drain_listen: SocketAddr,
    /// By which both sides know each other.
    pub drain_secret: GivenSecret,
    /// The public key for which they are encrypted.
    pub recipient: Arc<str>,
    /// What it takes in.
    pub sources: Vec<SourceSpec>,
    /// `[log]`
    pub log: super::Log,
    /// `[metrics] listen`
    pub metrics: Option<SocketAddr>,
}

impl<'a> Checker<'a> {
    /// A source that the network delivers to.
    pub(super) fn webhook_source(&mut self, table: &Table<'a>) -> Option<SourceKind> {
        let connector = self.path(table, &super::network::CONNECTOR);
        let webhook = self.non_blank(table, &WEBHOOK);
        let has = |key: &Key| table.values.contains_key(key.name);
        let here: Vec<&Key> = [&SECRET, &SECOND_SECRET, &VERIFY_TOKEN, &TOPICS, &HUB].into_iter().chain(OF_HUB).collect();
        let outside = [&SOURCE_DRAIN_SECRET, &DRAIN_KEY, &DRAIN_CA_FILE];
        let others: &[&Key] = if has(&DRAIN) { &here } else { &outside };
        let mut right = true;
        for key in others {
            if let Some(node) = table.values.get(key.name) {
                let with = if has(&DRAIN) { "with" } else { "without" };
                let message = format!("`{}` has no meaning {with} `drain`", key.name);
                self.error(
                    EXCLUDE_EACH_OTHER,
                    &node.key,
                    message,
                    "keep what says who takes the deliveries: this service, or a listener elsewhere",
                );
                right = false;
            }
        }
        let taken = if has(&DRAIN) {
            let url = self.url(table, &DRAIN);
            let secret = self.needed(table, &SOURCE_DRAIN_SECRET);
            let key = self.needed(table, &DRAIN_KEY);
            let ca_file = if has(&DRAIN_CA_FILE) { Some(self.path(table, &DRAIN_CA_FILE)?) } else { None };
            Taken::Outside(Box::new(Drained { url: url?, secret: secret?, key: key?, ca_file }))
        } else {
            let first = self.needed(table, &SECRET);
            let second = if has(&SECOND_SECRET) { Some(self.given(table, &SECOND_SECRET)?) } else { None };
            let verify_token = if has(&VERIFY_TOKEN) { Some(self.given(table, &VERIFY_TOKEN)?) } else { None };
            let topics = self.text(table, &TOPICS).map(|(text, _)| names(text)).unwrap_or_default();
            let hub = if has(&HUB) {
                Some(Box::new(self.hub(table, first.as_ref(), &topics)?))
            } else {
                for key in OF_HUB {
                    self.only_with(table, key, &HUB);
                }
                None
            };
            Taken::Here { secrets: std::iter::once(first?).chain(second).collect(), verify_token, topics, hub }
        };
        let server = if has(&SERVER) { Some(Arc::from(self.url(table, &SERVER)?)) } else { None };
        let source = WebhookSource { connector: connector?, webhook: webhook?, server, taken, loaded: None };
        right.then(|| SourceKind::Webhook(Box::new(source)))
    }

    /// A secret that must be there.
    fn needed(&mut self, table: &Table<'a>, key: &'static Key) -> Option<GivenSecret> {
        if !table.values.contains_key(key.name) && !self.broken {
            let message = format!("{} lacks the key `{}`", table.title, key.name);
            self.error(MISSING, &table.place, message, format!("add `{} = {}`", key.name, key.example));
        }
        self.given(table, key)
    }

    pub(super) fn webhooks(&mut self, table: &Table<'a>) -> Option<Webhooks> {
        let has = |key: &Key| table.values.contains_key(key.name);
        let listen = if has(&LISTEN) { Some(self.own_address(table, &LISTEN)?) } else { None };
        let spool = if has(&SPOOL) { Some(self.path(table, &SPOOL)?) } else { None };
        let spool_mb = self.count(table, &SPOOL_MB);
        let body_kb = self.count(table, &BODY_KB);
        let connections = self.count(table, &CONNECTIONS);
        Some(Webhooks { listen, spool, spool_mb: spool_mb?, body_kb: body_kb?, connections: connections? })
    }

    /// As the service has it: nothing of a listener that runs alone, and an address where a source needs one.
    pub(super) fn webhooks_of_service(&mut self, table: &Table<'a>, sources: &[(SourceSpec, Place)]) -> Option<Webhooks> {
        for key in [&DRAIN_LISTEN, &DRAIN_SECRET, &RECIPIENT] {
            if let Some(node) = table.values.get(key.name) {
                let message = format!("`{}` belongs to a listener that runs alone (`kith serve --only webhooks`)", key.name);
                self.error(EXCLUDE_EACH_OTHER, &node.key, message, "remove it here; a source that is drained has `drain`");
            }
        }
        let found = self.webhooks(table)?;
        let here =
            sources.iter().find(|(spec, _)| matches!(&spec.kind, SourceKind::Webhook(hook) if matches!(hook.taken, Taken::Here { .. })));
        if let (None, Some((spec, place))) = (found.listen, here) {
            let message = format!("[sources.{}] takes deliveries, and [webhooks] has no `listen`", spec.name);
            self.error(MISSING, place, message, format!("add `listen = {}` to [webhooks], or `drain` to the source", LISTEN.example));
        }
        Some(found)
    }

    /// A listener that runs alone.
    pub(super) fn listener(
        &mut self,
        table: &Table<'a>,
        sources: Vec<(SourceSpec, Place)>,
        log: super::Log,
        metrics: Option<SocketAddr>,
    ) -> Option<Listener> {
        for key in [&LISTEN, &SPOOL, &DRAIN_LISTEN, &RECIPIENT] {
            if !table.values.contains_key(key.name) && !self.broken {
                let message = format!("{} lacks the key `{}`", table.title, key.name);
                self.error(MISSING, &table.place, message, format!("add `{} = {}`", key.name, key.example));
            }
        }
        let webhooks = self.webhooks(table);
        let drain_listen = self.own_address(table, &DRAIN_LISTEN);
        let drain_secret = self.needed(table, &DRAIN_SECRET);
        let recipient = self.non_blank(table, &RECIPIENT);
        let mut right = true;
        for (spec, place) in &sources {
            if matches!(&spec.kind, SourceKind::Webhook(hook) if matches!(&hook.taken, Taken::Here { hub: Some(_), .. })) {
                let message = format!("[sources.{}] has a `hub`, and a listener that runs alone connects to nobody", spec.name);
                self.error(
                    EXCLUDE_EACH_OTHER,
                    place,
                    message,
                    "remove `hub` and what belongs to it; whoever subscribes the address renews that too",
                );
                right = false;
            }
            if !matches!(&spec.kind, SourceKind::Webhook(hook) if matches!(hook.taken, Taken::Here { .. })) {
                let message = format!("[sources.{}] is no webhook that is taken here", spec.name);
                self.error(EXCLUDE_EACH_OTHER, place, message, "a listener that runs alone has sources of kind `webhook` with `secret`");
                right = false;
            }
        }
        let webhooks = webhooks?;
        let (listen, spool) = (webhooks.listen?, webhooks.spool.clone()?);
        let sources = sources.into_iter().map(|(spec, _)| spec).collect();
        let found = Listener {
            webhooks,
            listen,
            spool,
            drain_listen: drain_listen?,
            drain_secret: drain_secret?,
            recipient: recipient?,
            sources,
            log,
            metrics,
        };
        right.then_some(found)
    }
}
