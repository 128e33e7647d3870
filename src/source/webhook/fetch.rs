//! Drains a listener that stands outside: asks for the oldest deliveries, checks who answers, decrypts them, and lets them go once they are stored.

use super::drain::{self, CHANCE, SIGNATURE, THROUGH, TIME};
use super::frame::{Frame, Position, frames};
use super::seal::{Opener, SealKeyError};
use super::spool::Batch;
use crate::declare::config::Drained;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::Personal;
use crate::wire::http::{Client, Connection, Extent, Request, SendError, SetupError, secret};
use secrecy::SecretString;
use std::time::Duration;

/// What one answer has at most: a look of 4 MiB and its last frame.
const LONGEST_ANSWER: usize = 24 << 20;
const CONNECT: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_mins(1);

/// Why nothing is drained. No text holds an address, a value or a secret.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The client.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The key that opens deliveries.
    #[error(transparent)]
    Key(#[from] SealKeyError),
    /// No answer.
    #[error("the listener outside can't be reached: {0}")]
    Unreached(#[from] SendError),
    /// The listener does not know us, or we don't know it.
    #[error("the listener outside answers {0}, and its answer is not signed with the secret of `drain_secret`")]
    NotSigned(u16),
    /// It has no such webhook, or can't read its spool.
    #[error("the listener outside answers {0}")]
    Refused(u16),
    /// What it signed is no batch.
    #[error("the answer of the listener outside is not understood")]
    NotUnderstood,
    /// A delivery that this key does not open.
    #[error("a delivery can't be decrypted: `drain_key` and the listener's `recipient` do not belong together")]
    OtherKey,
    /// The system gives no chance.
    #[error("the system gives no random numbers")]
    NoChance,
}

impl FetchError {
    /// The page that explains it.
    pub const fn code(&self) -> Code {
        Code(match self {
            Self::Key(_) | Self::OtherKey => "KITH-N054",
            Self::Setup(_) | Self::Unreached(_) | Self::NotSigned(_) | Self::Refused(_) | Self::NotUnderstood | Self::NoChance => {
                "KITH-N053"
            }
        })
    }

    /// As a problem for people.
    pub fn diagnostic(&self, place: &str) -> Diagnostic {
        Diagnostic::error(
            self.code(),
            Place::Named(place.to_owned()),
            self.to_string(),
            format!("`kith explain {}` says more", self.code()),
        )
    }
}

/// Drains one webhook of a listener outside.
pub struct Fetcher {
    client: Client,
    /// Up to the name of the webhook.
    base: String,
    path: String,
    secret: SecretString,
    opener: Opener,
    /// Microseconds since 1970.
    clock: fn() -> i64,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fetcher")
    }
}

impl Fetcher {
    /// For the webhook of a name. Nothing is connected.
    ///
    /// # Errors
    /// A key or certificate can't be used.
    pub fn new(name: &str, drained: &Drained, clock: fn() -> i64) -> Result<Self, FetchError> {
        let connection = Connection {
            ca_file: drained.ca_file.clone(),
            proxy: None,
            connect: CONNECT,
            whole: WHOLE,
            tls: drained.url.starts_with("https:"),
            certificate: None,
            longest_body: LONGEST_ANSWER,
        };
        let opener = Opener::of(&SecretString::from(secret(&drained.key)?.expose()))?;
        let known = SecretString::from(secret(&drained.secret)?.expose().trim());
        let path = format!("/drain/{name}");
        Ok(Self { client: Client::new(&connection)?, base: drained.url.clone(), path, secret: known, opener, clock })
    }

    async fn ask(&self, method: &'static str, path: &str, body: Vec<u8>) -> Result<(u16, String, Vec<u8>), FetchError> {
        let mut chance = [0; 16];
        getrandom::fill(&mut chance).map_err(|_none| FetchError::NoChance)?;
        let chance = format!("{:032x}", u128::from_be_bytes(chance));
        let time = (self.clock)().div_euclid(1_000_000).to_string();
        let signature = drain::request_signature(&self.secret, method, path, &time, &chance, &body);
        let headers = [(TIME, time), (CHANCE, chance.clone()), (SIGNATURE, signature)].map(|(name, value)| (name.to_owned(), value));
        let request = Request {
            method,
            url: format!("{}{path}", self.base),
            headers: headers.into(),
            authorization: None,
            body: (method == "POST").then_some(body),
        };
        let reply = self.client.send(request).await?;
        if reply.extent != Extent::Whole {
            return Err(FetchError::NotUnderstood);
        }
        let through = reply.header(THROUGH).unwrap_or_default().to_owned();
        let signature = reply.header(SIGNATURE).unwrap_or_default();
        if !drain::is_answer(&self.secret, &chance, reply.status, &through, &reply.body, signature) {
            return Err(FetchError::NotSigned(reply.status));
        }
        Ok((reply.status, through, reply.body))
    }

    /// The oldest deliveries that were not acknowledged, decrypted; `None` where nothing waits.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn look(&self) -> Result<Option<Batch>, FetchError> {
        let (status, through, body) = self.ask("GET", &self.path, Vec::new()).await?;
        match status {
            204 => return Ok(None),
            200 => {}
            other => return Err(FetchError::Refused(other)),
        }
        let through = through.parse().map_err(|_none| FetchError::NotUnderstood)?;
        let (found, whole) = frames(&body);
        if whole != body.len() {
            return Err(FetchError::NotUnderstood);
        }
        let opened = found.into_iter().map(|(_, frame)| {
            if !frame.sealed {
                return Ok(frame);
            }
            let body = self.opener.open(frame.body.reveal()).ok_or(FetchError::OtherKey)?;
            Ok(Frame { at: frame.at, sealed: false, body: Personal::new(body) })
        });
        Ok(Some(Batch { frames: opened.collect::<Result<_, FetchError>>()?, through }))
    }

    /// Lets go what was stored.
    ///
    /// # Errors
    /// Nobody knows whether it was let go: it comes again then.
    pub async fn acknowledge(&self, through: Position) -> Result<(), FetchError> {
        match self.ask("POST", &format!("{}/acknowledge", self.path), through.to_string().into_bytes()).await? {
            (204, ..) => Ok(()),
            (other, ..) => Err(FetchError::Refused(other)),
        }
    }
}
