//! Asks a hub to deliver a feed, or to end it (`WebSub`, W3C Recommendation of 2018-01-23, sections 5.1 and 5.2). That it was asked is no subscription: the
//! hub comes with a question first (`hub`).

use super::hub::CHANCE;
use crate::declare::config::Hub;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::manifest::webhook::sealed;
use crate::wire::http::{Client, Connection, Proxy, Request, SendError, SetupError, secret};
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
    #[error("the hub took the subscription on, and has not asked within {} s whether it is meant", .0.as_secs())]
    NotConfirmed(Duration),
    /// It told that it does not let us.
    #[error("the hub denies the subscription")]
    Denied,
    /// The system gives no chance.
    #[error("the system gives no random numbers")]
    NoChance,
}

impl HubError {
    /// The page that explains it.
    pub const fn code(&self) -> Code {
        Code(match self {
            Self::Setup(_) | Self::Unreached(_) | Self::Refused(_) | Self::NoChance => "KITH-N080",
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

/// Asks the hub to deliver a topic to the callback with this chance, or to end that.
///
/// # Errors
/// Why it has not taken it on.
pub async fn ask(hub: &Hub, topic: &str, chance: &str, subscribe: bool) -> Result<(), HubError> {
    let proxy = hub.proxy.as_ref().map(Proxy::of).transpose()?;
    let connection = Connection {
        ca_file: hub.ca_file.clone(),
        tls: hub.url.starts_with("https:") || proxy.as_ref().is_some_and(|proxy| proxy.url.starts_with("https:")),
        proxy,
        connect: CONNECT,
        whole: WHOLE,
        certificate: None,
        longest_body: LONGEST_ANSWER,
    };
    let known = secret(&hub.secret)?;
    let form = {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("hub.mode", if subscribe { "subscribe" } else { "unsubscribe" });
        form.append_pair("hub.topic", topic);
        form.append_pair("hub.callback", &format!("{}?{CHANCE}={chance}", hub.callback));
        if subscribe {
            form.append_pair("hub.lease_seconds", &hub.lease.as_secs().to_string());
            form.append_pair("hub.secret", known.expose().trim());
        }
        form.finish()
    };
    let kind = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    let body = Some(form.into_bytes());
    let request = Request { method: "POST", url: hub.url.clone(), headers: vec![kind], authorization: None, body };
    let reply = Client::new(&connection)?.send(request).await?;
    // 202 by the recommendation; hubs from before it ask at once and say 204.
    if matches!(reply.status, 200..=204) { Ok(()) } else { Err(HubError::Refused(reply.status)) }
}
