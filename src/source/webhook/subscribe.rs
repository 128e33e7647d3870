//! Asks a hub to deliver a feed, or to end it (`WebSub`, W3C Recommendation of 2018-01-23, sections 5.1 and 5.2). That it was asked is no subscription: the
//! hub comes with a question first (`hub`).

use super::hub::CHANCE;
use crate::declare::config::{Hub, ProxySpec};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::manifest::webhook::sealed;
use crate::wire::http::{Client, Connection, Proxy, Request, SendError, SetupError, secret};
use std::path::Path;
use std::time::Duration;

/// A hub says that it was asked, and no more.
const LONGEST_ANSWER: usize = 16 * 1024;
const CONNECT: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_secs(30);

/// Why a hub was not asked, or does not let us. No text holds an address, a value or a secret.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The client.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// No answer.
    #[error("the hub can't be reached: {0}")]
    Unreached(#[from] SendError),
    /// A status that is none of a hub that takes it on.
    #[error("the hub answers {0}")]
    Refused(u16),
    /// It said that it took it on, and never asked.
    #[error("the hub took the request on, and has not asked within {} s whether it is meant", .0.as_secs())]
    NotConfirmed(Duration),
    /// It told that it does not let us.
    #[error("the hub denies the subscription")]
    Denied,
    /// The source is gone, and with it a proxy's password.
    #[error(
        "the hub is to be told that the source is gone, and how it is reached went with the source: the subscription ends with its lease"
    )]
    NoWay,
    /// The system gives no chance.
    #[error("the system gives no random numbers")]
    NoChance,
}

impl HubError {
    /// The page that explains it.
    pub const fn code(&self) -> Code {
        Code(match self {
            Self::Setup(_) | Self::Unreached(_) | Self::Refused(_) | Self::NoWay | Self::NoChance => "KITH-N080",
            Self::NotConfirmed(_) | Self::Denied => "KITH-N081",
        })
    }

    /// As a problem for people.
    pub fn diagnostic(&self, place: &str) -> Diagnostic {
        let remedy = format!("It is asked again. `kith explain {}` says more", self.code());
        Diagnostic::error(self.code(), Place::Named(place.to_owned()), self.to_string(), remedy)
    }
}

/// A chance for a callback: 128 bits.
///
/// # Errors
/// The system gives none.
pub fn chance() -> Result<String, HubError> {
    let mut chance = [0; 16];
    getrandom::fill(&mut chance).map_err(|_none| HubError::NoChance)?;
    Ok(format!("{:032x}", u128::from_be_bytes(chance)))
}

/// Says whether the secret is the one that a hub was given, without saying which it is.
///
/// # Errors
/// It was not read.
pub fn secret_mark(hub: &Hub) -> Result<String, HubError> {
    let mut mark = sealed(secret(&hub.secret)?.expose().trim().as_bytes(), &[b"kith/v1/websub/secret"]);
    mark.truncate(16);
    Ok(mark)
}

/// Where a hub is, how it is reached, and where it comes.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The hub's address.
    pub url: &'a str,
    /// The webhook's address as the hub reaches it.
    pub callback: &'a str,
    /// PEM certificates that are trusted instead of the system's.
    pub ca_file: Option<&'a Path>,
    /// The proxy that it is reached through.
    pub proxy: Option<&'a ProxySpec>,
}

/// Asks the hub to deliver a topic to the callback with this chance.
///
/// # Errors
/// Why it has not taken it on.
pub async fn subscribe(hub: &Hub, topic: &str, chance: &str) -> Result<(), HubError> {
    let known = secret(&hub.secret)?;
    let at = At { url: &hub.url, callback: &hub.callback, ca_file: hub.ca_file.as_deref(), proxy: hub.proxy.as_ref() };
    let lease = hub.lease.as_secs().to_string();
    ask(at, "subscribe", (topic, chance), &[("hub.lease_seconds", &lease), ("hub.secret", known.expose().trim())]).await
}

/// Asks the hub to end what it delivers of a topic to the callback with this chance.
///
/// # Errors
/// Why it has not taken it on.
pub async fn unsubscribe(at: At<'_>, topic: &str, chance: &str) -> Result<(), HubError> {
    ask(at, "unsubscribe", (topic, chance), &[]).await
}

async fn ask(at: At<'_>, mode: &str, (topic, chance): (&str, &str), more: &[(&str, &str)]) -> Result<(), HubError> {
    let proxy = at.proxy.map(Proxy::of).transpose()?;
    let connection = Connection {
        ca_file: at.ca_file.map(Path::to_owned),
        tls: at.url.starts_with("https:") || proxy.as_ref().is_some_and(|proxy| proxy.url.starts_with("https:")),
        proxy,
        connect: CONNECT,
        whole: WHOLE,
        certificate: None,
        longest_body: LONGEST_ANSWER,
    };
    let callback = format!("{}?{CHANCE}={chance}", at.callback);
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("hub.mode", mode), ("hub.topic", topic), ("hub.callback", &callback)])
        .extend_pairs(more)
        .finish();
    let kind = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    let body = Some(form.into_bytes());
    let request = Request { method: "POST", url: at.url.to_owned(), headers: vec![kind], authorization: None, body };
    let reply = Client::new(&connection)?.send(request).await?;
    // 202 by the recommendation; hubs from before it ask at once and say 204.
    if matches!(reply.status, 200..=204) { Ok(()) } else { Err(HubError::Refused(reply.status)) }
}
