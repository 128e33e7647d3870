//! A session with a service: its client, made when it is first needed, and the login over HTTP (Basic, bearer, OAuth 2 client credentials).

use super::handshake::{Handshake, HandshakeError};
use super::http::{Authorization, Client, Connection, Extent, Reply, Request, SendError, secret};
use super::pace;
use crate::declare::config::{Auth, Login, Secret, ServiceSpec};
use crate::diagnose::Code;
use jiff::Timestamp;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A token is asked for anew so long before it runs out, so that none runs out on its way; a tenth of a short life.
const AHEAD: Duration = Duration::from_secs(30);

/// A token that runs out.
#[derive(Debug)]
struct Token {
    authorization: Authorization,
    /// When it is renewed; `None`: the server did not say.
    renewed_at: Option<Instant>,
    /// Whether the service has taken it once.
    accepted: bool,
}

/// Why there is no answer. The texts hold no address and nothing personal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SessionError {
    /// The service can't be asked now; nothing left this machine, or nothing came of it.
    #[error("{message}")]
    Unavailable {
        /// The page that explains it.
        code: Code,
        /// Why.
        message: Arc<str>,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It asks to wait.
    #[error("{message}")]
    Throttled {
        /// The page that explains it.
        code: Code,
        /// What it says.
        message: Arc<str>,
        /// How long.
        wait: Option<Duration>,
    },
    /// The request may have arrived.
    #[error("{message}")]
    Unanswered {
        /// What happened.
        message: Arc<str>,
    },
}

impl SessionError {
    /// The service can't be asked now.
    pub fn unavailable(code: &'static str, message: impl Into<Arc<str>>) -> Self {
        Self::Unavailable { code: Code(code), message: message.into(), retry_after: None }
    }
}

/// A session.
#[derive(Debug)]
pub struct Session {
    /// The service.
    pub spec: ServiceSpec,
    longest_body: usize,
    client: Mutex<Option<Client>>,
    /// For a login that is a conversation.
    handshake: Mutex<Option<Arc<Handshake>>>,
    token: tokio::sync::Mutex<Option<Token>>,
}

impl Session {
    /// A session that takes answers of so many bytes; nothing is connected.
    pub fn new(spec: ServiceSpec, longest_body: usize) -> Self {
        Self { spec, longest_body, client: Mutex::new(None), handshake: Mutex::new(None), token: tokio::sync::Mutex::new(None) }
    }

    /// The client; what hinders it (a CA file that is not there yet) is tried again with each call.
    fn client(&self) -> Result<Client, SessionError> {
        let mut slot = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let connection = self.connection()?;
        let client = Client::new(&connection).map_err(|error| unusable(&error))?;
        *slot = Some(client.clone());
        Ok(client)
    }

    /// What authorises the next request; a token is asked for where there is none that lasts.
    ///
    /// # Errors
    /// The login can't be read from where the configuration says, or no token was given.
    pub async fn authorization(&self) -> Result<Option<Authorization>, SessionError> {
        let unusable = |error| SessionError::unavailable("KITH-D022", format!("{error}"));
        if self.by_conversation() {
            return Ok(None);
        }
        match &self.spec.login {
            Login::None => Ok(None),
            Login::Basic { user, password } => Authorization::basic(user, &read(password)?).map(Some).map_err(unusable),
            Login::Bearer { token } => Authorization::bearer(&read(token)?).map(Some).map_err(unusable),
            Login::ClientCredentials { .. } => {
                let mut slot = self.token.lock().await;
                if let Some(token) = &*slot
                    && token.renewed_at.is_none_or(|at| Instant::now() < at)
                {
                    return Ok(Some(token.authorization.clone()));
                }
                *slot = None;
                let token = self.new_token().await?;
                let authorization = token.authorization.clone();
                *slot = Some(token);
                Ok(Some(authorization))
            }
        }
    }

    /// Logs in again.
    ///
    /// # Errors
    /// The configuration's login can't be renewed, or no token was given.
    pub async fn login(&self) -> Result<(), SessionError> {
        if !matches!(self.spec.login, Login::ClientCredentials { .. }) {
            // What stands in the configuration can't be renewed from here.
            return Err(SessionError::unavailable("KITH-D016", "the service does not take the login that the configuration gives"));
        }
        let mut slot = self.token.lock().await;
        *slot = None;
        *slot = Some(self.new_token().await?);
        Ok(())
    }

    /// Told about every answer. A token that was never taken is not renewed at once: it would go on for ever.
    ///
    /// # Errors
    /// `KITH-D016`: the service refuses a token that was made for it just now.
    pub async fn heard(&self, wants_login: bool) -> Result<(), SessionError> {
        if !matches!(self.spec.login, Login::ClientCredentials { .. }) {
            return Ok(());
        }
        let mut slot = self.token.lock().await;
        if !wants_login {
            if let Some(token) = &mut *slot {
                token.accepted = true;
            }
            return Ok(());
        }
        match slot.take() {
            Some(token) if !token.accepted => {
                Err(SessionError::unavailable("KITH-D016", "the service does not take a token that was made for it just now"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// The service can't be reached, no request can be made, or no answer came.
    pub async fn send(&self, request: Request) -> Result<Reply, SessionError> {
        let Some(handshake) = self.handshake()? else { return self.client()?.send(request).await.map_err(not_sent) };
        handshake.send(request).await.map_err(|error| match error {
            HandshakeError::Nothing { .. } => SessionError::unavailable("KITH-D016", error.to_string()),
            HandshakeError::NotAsked { .. } => SessionError::unavailable("KITH-D012", error.to_string()),
            HandshakeError::Send(error) => not_sent(error),
        })
    }

    /// Whether the login is made on the connection, and not by a header that stands in each request.
    fn by_conversation(&self) -> bool {
        matches!(self.spec.auth, Some(Auth::Ntlm | Auth::Negotiate))
    }

    fn connection(&self) -> Result<Connection, SessionError> {
        Ok(Connection { longest_body: self.longest_body, ..Connection::of(&self.spec).map_err(|error| unusable(&error))? })
    }

    /// The login that is made on the connection; `None` where there is no such one.
    fn handshake(&self) -> Result<Option<Arc<Handshake>>, SessionError> {
        if !self.by_conversation() {
            return Ok(None);
        }
        let mut slot = self.handshake.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Handshake::of(&self.spec, self.connection()?).map(Arc::new);
        }
        Ok(slot.clone())
    }

    async fn new_token(&self) -> Result<Token, SessionError> {
        let Login::ClientCredentials { token_url, client_id, client_secret, scope } = &self.spec.login else {
            return Err(SessionError::unavailable("KITH-D016", "there is no login"));
        };
        // RFC 6749 §2.3.1: both are encoded before they become user and password.
        let secret = Secret::from_bytes(encoded(read(client_secret)?.expose()).into_bytes());
        let secret = secret.map_err(|error| SessionError::unavailable("KITH-D022", error.to_string()))?;
        let authorization = Authorization::basic(&encoded(client_id), &secret);
        let authorization = authorization.map_err(|error| SessionError::unavailable("KITH-D022", error.to_string()))?;
        let scope = scope.as_ref().map_or_else(String::new, |scope| format!("&scope={}", encoded(scope)));
        let request = Request {
            method: "POST",
            url: token_url.clone(),
            headers: vec![
                ("accept".into(), "application/json".into()),
                ("content-type".into(), "application/x-www-form-urlencoded".into()),
            ],
            authorization: Some(authorization),
            body: Some(format!("grant_type=client_credentials{scope}").into_bytes()),
        };
        let asked = Instant::now();
        let reply = match self.send(request).await {
            Ok(reply) => reply,
            // A token that was made and got lost is nobody's loss: nothing is unknown.
            Err(SessionError::Unanswered { message }) => {
                return Err(SessionError::unavailable("KITH-D012", format!("the token endpoint: {message}")));
            }
            Err(error) => return Err(error),
        };
        token(&reply, asked)
    }
}

/// What a token endpoint says (RFC 6749 §5.1).
#[derive(serde::Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<serde_json::Value>,
}

fn token(reply: &Reply, asked: Instant) -> Result<Token, SessionError> {
    let retry_after = pace::retry_after(&reply.headers, Timestamp::UNIX_EPOCH).map(|asked| asked.wait);
    let status = reply.status;
    let unavailable = |code, what: &str| SessionError::Unavailable {
        code: Code(code),
        message: format!("the token endpoint answers HTTP {status}: {what}").into(),
        retry_after,
    };
    match status {
        200..=299 if reply.extent == Extent::Whole => {}
        429 => {
            let message = "HTTP 429: the token endpoint asks to wait".into();
            return Err(SessionError::Throttled { code: Code("KITH-D015"), message, wait: retry_after });
        }
        400..=499 => return Err(unavailable("KITH-D016", "it refuses the client")),
        _ => return Err(unavailable("KITH-D018", "it gives no token now")),
    }
    let none = || unavailable("KITH-D016", "there is no usable token in it");
    let answer: TokenAnswer = serde_json::from_slice(&reply.body).map_err(|_source| none())?;
    let secret = Secret::from_bytes(answer.access_token.into_bytes()).map_err(|_source| none())?;
    let authorization = Authorization::bearer(&secret).map_err(|_source| none())?;
    let seconds = answer.expires_in.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    // A year is longer than any token lives.
    let life = seconds.map(|seconds| Duration::from_secs(seconds.min(366 * 86_400)));
    let renewed_at = life.and_then(|life| asked.checked_add(life.saturating_sub(AHEAD.min(life / 10))));
    Ok(Token { authorization, renewed_at, accepted: false })
}

fn not_sent(error: SendError) -> SessionError {
    match error {
        SendError::NotSent(why) => SessionError::unavailable("KITH-D012", format!("the service can't be reached: {why}")),
        SendError::Unanswered(why) => {
            SessionError::Unanswered { message: format!("the request was sent and no answer came: {why}").into() }
        }
        SendError::Unsendable(why) => SessionError::unavailable("KITH-D022", format!("no request can be made: {why}")),
    }
}

fn unusable(error: &dyn std::error::Error) -> SessionError {
    let cause = error.source().map_or_else(String::new, |source| format!(": {source}"));
    SessionError::unavailable("KITH-D022", format!("{error}{cause}"))
}

/// A secret that those who started the service have read.
fn read(given: &crate::declare::config::GivenSecret) -> Result<Secret, SessionError> {
    secret(given).map_err(|error| unusable(&error))
}

/// The text, percent-encoded but for the unreserved characters of RFC 3986.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a String can't fail.
            let _written = write!(out, "%{byte:02X}");
        }
        out
    })
}
