//! Logins that are a conversation: NTLM and Negotiate (Kerberos) over HTTP (RFC 4559; MS-NTHT). NTLM authorises a connection and not a
//! request, so a conversation has a connection of its own, and what is sent waits until the server has asked.

#[cfg(feature = "kerberos")]
mod kerberos;
#[cfg(feature = "ntlm")]
mod ntlm;

use super::http::{Authorization, Client, Connection, Reply, Request, SendError, SetupError};
use crate::declare::config::{Auth, Login, ServiceSpec};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Messages of ours in one login: NTLM has two, Negotiate two or three.
const LONGEST: usize = 4;

/// A message of a server: NTLM's challenge is under 1 KiB, a Kerberos token with a large PAC up to 48 KiB, as base64.
const LONGEST_TOKEN: usize = 64 * 1024;

/// How often a login begins anew whose connection was closed between question and answer.
const MOVED: usize = 4;

/// The client's pool has a connection back a moment after the answer was read.
const RETURNED: Duration = Duration::from_millis(1);

/// Idle connections that are kept; more senders at once make more, which end with their request.
const KEPT: usize = 16;

/// One side of a login.
trait Exchange: Send {
    /// The next message, to what the server said.
    ///
    /// # Errors
    /// Why there is none: no ticket, no such user, a server that speaks something else. Never holds a secret.
    fn next(&mut self, heard: Option<&[u8]>) -> Result<Vec<u8>, String>;
}

/// Why a login by conversation came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HandshakeError {
    /// This side has nothing to say: no ticket, no user.
    #[error("the login by {scheme} can't be made: {why}")]
    Nothing {
        /// The word of the header.
        scheme: &'static str,
        /// What the library says.
        why: String,
    },
    /// The request of a login found no answer: nothing of the call left this machine.
    #[error("the login by {scheme} found no answer: {why}")]
    NotAsked {
        /// The word of the header.
        scheme: &'static str,
        /// What happened.
        why: String,
    },
    /// The call itself was sent.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// A connection of its own, and whether the server knows who is at its other end.
struct Lane {
    client: Client,
    known: bool,
}

/// Logs in by conversation, for one service.
pub struct Handshake {
    connection: Connection,
    spec: ServiceSpec,
    /// `NTLM` or `Negotiate`.
    scheme: &'static str,
    idle: Mutex<Vec<Lane>>,
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl Handshake {
    /// How the configuration wants it; `None` where it names another login. Nothing is connected.
    pub fn of(spec: &ServiceSpec, connection: Connection) -> Option<Self> {
        let scheme = match spec.auth {
            Some(Auth::Ntlm) => "NTLM",
            Some(Auth::Negotiate) => "Negotiate",
            Some(Auth::Basic | Auth::WsseText | Auth::WsseDigest | Auth::Session) | None => return None,
        };
        Some(Self { connection, spec: spec.clone(), scheme, idle: Mutex::default() })
    }

    /// Sends a request on a connection that the server knows. A refused login is an answer: 401.
    ///
    /// # Errors
    /// [`HandshakeError`]; where it is not of the kind `Send`, nothing of the request has left.
    pub async fn send(&self, request: Request) -> Result<Reply, HandshakeError> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut lane = match kept {
            Some(lane) => lane,
            None => Lane { client: Client::alone(&self.connection).map_err(|error| self.unusable(&error))?, known: false },
        };
        // Dropped in the middle, the lane goes with its connection: nobody gets one whose login is half done.
        let reply = self.converse(&mut lane, request).await?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(lane);
        }
        Ok(reply)
    }

    async fn converse(&self, lane: &mut Lane, request: Request) -> Result<Reply, HandshakeError> {
        if lane.known {
            let reply = lane.client.send(request.clone()).await?;
            if reply.status != 401 {
                return Ok(reply);
            }
            // The connection that the server knew is gone. A 401 has done nothing.
            lane.known = false;
        }
        for _ in 0..MOVED {
            if let Some(reply) = self.log_in(lane, &request).await? {
                return Ok(reply);
            }
        }
        Err(HandshakeError::NotAsked { scheme: self.scheme, why: "no connection lasts from the question to the answer".to_owned() })
    }

    /// The conversation, and the request with its last message. `None`: it was taken up on another connection, where it means nothing; the
    /// request was not looked at.
    async fn log_in(&self, lane: &mut Lane, request: &Request) -> Result<Option<Reply>, HandshakeError> {
        let nothing = |why| HandshakeError::Nothing { scheme: self.scheme, why };
        let mut exchange = begin(&self.spec).map_err(nothing)?;
        let mut heard: Option<Vec<u8>> = None;
        let mut over = None;
        // NTLM's first message can't be enough, so the call's content waits; a Kerberos ticket mostly is.
        let mut whole = self.scheme != "NTLM";
        for _ in 0..LONGEST {
            let said = tokio::task::spawn_blocking(move || {
                let said = exchange.next(heard.as_deref());
                (exchange, said)
            });
            let (back, said) = said.await.map_err(|_panicked| nothing("the library failed".to_owned()))?;
            exchange = back;
            let said = said.map_err(nothing)?;
            let authorization = Authorization::token(self.scheme, &STANDARD.encode(said));
            let authorization = authorization.map_err(|_unsendable| nothing("its message can't stand in a header".to_owned()))?;
            let body = if whole { request.body.clone() } else { request.body.as_ref().map(|_| Vec::new()) };
            let asked = Request { authorization: Some(authorization), body, ..request.clone() };
            let reply = match lane.client.send(asked).await {
                Ok(reply) => reply,
                Err(SendError::Unanswered(why)) if !whole => return Err(HandshakeError::NotAsked { scheme: self.scheme, why }),
                Err(error) => return Err(error.into()),
            };
            let moved = over.is_some() && reply.over != over;
            match (reply.status, challenge(&reply, self.scheme)) {
                (401, _) if moved => return Ok(None),
                (401, Some(token)) if !token.is_empty() => {
                    heard = Some(token);
                    over = reply.over;
                    whole = true;
                    tokio::time::sleep(RETURNED).await;
                }
                (401 | 407, _) => return Ok(Some(reply)),
                _ if whole => {
                    lane.known = self.scheme == "NTLM";
                    return Ok(Some(reply));
                }
                // The server took an empty request: it asks nobody who they are. The call goes as it is.
                _ => return Ok(Some(lane.client.send(request.clone()).await?)),
            }
        }
        Err(nothing("the server asks for ever".to_owned()))
    }

    fn unusable(&self, error: &SetupError) -> HandshakeError {
        HandshakeError::Nothing { scheme: self.scheme, why: error.to_string() }
    }
}

/// The server's message: `WWW-Authenticate: NTLM TlRM…`.
fn challenge(reply: &Reply, scheme: &str) -> Option<Vec<u8>> {
    let named = |value: &str| {
        let (word, token) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
        // Servers fold several into one header; a token of base64 has no comma.
        word.eq_ignore_ascii_case(scheme).then(|| token.split(',').next().unwrap_or_default().trim().to_owned())
    };
    let mut values = reply.headers.iter().filter(|(name, _)| name == "www-authenticate").map(|(_, value)| value.as_str());
    let token = values.find_map(|value| value.split(", ").find_map(named))?;
    if token.len() > LONGEST_TOKEN { None } else { STANDARD.decode(token).ok() }
}

/// The exchange that the configuration wants.
fn begin(spec: &ServiceSpec) -> Result<Box<dyn Exchange>, String> {
    match (spec.auth, &spec.login) {
        #[cfg(feature = "ntlm")]
        (Some(Auth::Ntlm), Login::Basic { user, password }) => {
            let password = super::http::secret(password).map_err(|error| error.to_string())?;
            Ok(Box::new(ntlm::Client::new(user, &password, &host(spec))?))
        }
        #[cfg(feature = "kerberos")]
        (Some(Auth::Negotiate), Login::None) => Ok(Box::new(kerberos::Client::new(&host(spec))?)),
        (_, Login::None | Login::Basic { .. } | Login::Bearer { .. } | Login::ClientCredentials { .. }) => {
            Err("this Kith was built without it, or the login does not fit".to_owned())
        }
    }
}

/// The name of the service's machine, for the name of its principal.
#[cfg(any(feature = "ntlm", feature = "kerberos"))]
fn host(spec: &ServiceSpec) -> String {
    let url = super::http::Url::parse(&spec.url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::http::Extent;

    fn reply(values: &[&str]) -> Reply {
        let headers = values.iter().map(|value| ("www-authenticate".to_owned(), (*value).to_owned())).collect();
        Reply { status: 401, headers, body: Vec::new(), extent: Extent::Whole, over: None }
    }

    #[test]
    fn a_challenge_is_found_among_others() {
        assert_eq!(challenge(&reply(&["Negotiate", "NTLM TlRMTQ=="]), "NTLM").as_deref(), Some(&b"NTLM"[..]));
        assert_eq!(challenge(&reply(&["Basic realm=\"a, b\", ntlm TlRMTQ=="]), "NTLM").as_deref(), Some(&b"NTLM"[..]));
        assert_eq!(challenge(&reply(&["NTLM"]), "NTLM").as_deref(), Some(&b""[..]));
        assert_eq!(challenge(&reply(&["Basic realm=\"NTLM\""]), "NTLM"), None);
        assert_eq!(challenge(&reply(&["NTLM ***"]), "NTLM"), None);
        assert_eq!(challenge(&reply(&[&format!("NTLM {}", "A".repeat(LONGEST_TOKEN + 4))]), "NTLM"), None);
    }
}
