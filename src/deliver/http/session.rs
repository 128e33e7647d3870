//! The connection to a service: the client, made when it is first needed, and the login.

use super::pace;
use super::request::encoded;
use crate::declare::config::{GivenSecret, Login, Secret, ServiceSpec};
use crate::deliver::DeliveryError;
use crate::diagnose::Code;
use crate::wire::http::{Authorization, Client, Connection, Extent, Proxy, Reply, Request, SendError};
use jiff::Timestamp;
use std::sync::{Mutex, PoisonError};
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

#[derive(Debug)]
pub(super) struct Session {
    pub spec: ServiceSpec,
    client: Mutex<Option<Client>>,
    token: tokio::sync::Mutex<Option<Token>>,
}

impl Session {
    pub(super) fn new(spec: ServiceSpec) -> Self {
        Self { spec, client: Mutex::new(None), token: tokio::sync::Mutex::new(None) }
    }

    /// The client; what hinders it (a CA file that is not there yet) is tried again with each call.
    fn client(&self) -> Result<Client, DeliveryError> {
        let mut slot = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let spec = &self.spec;
        let proxy = match &spec.proxy {
            None => None,
            Some(proxy) => {
                let login = match &proxy.login {
                    None => None,
                    Some((user, password)) => Some((user.to_string(), read(password)?)),
                };
                Some(Proxy { url: proxy.url.clone(), login })
            }
        };
        let token_url = match &spec.login {
            Login::ClientCredentials { token_url, .. } => Some(token_url),
            Login::None | Login::Basic { .. } | Login::Bearer { .. } => None,
        };
        let addresses = [Some(&spec.url), spec.proxy.as_ref().map(|p| &p.url), token_url];
        let connection = Connection {
            ca_file: spec.ca_file.clone(),
            proxy,
            connect: spec.connect,
            whole: spec.timeout,
            tls: addresses.into_iter().flatten().any(|url| url.starts_with("https:")),
        };
        let client = Client::new(&connection).map_err(|error| {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
            DeliveryError::unavailable("KITH-D022", format!("{error}{cause}"))
        })?;
        *slot = Some(client.clone());
        Ok(client)
    }

    /// What authorises the next request; a token is asked for where there is none that lasts.
    pub(super) async fn authorization(&self) -> Result<Option<Authorization>, DeliveryError> {
        let unusable = |error| DeliveryError::unavailable("KITH-D022", format!("{error}"));
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
    pub(super) async fn login(&self) -> Result<(), DeliveryError> {
        if !matches!(self.spec.login, Login::ClientCredentials { .. }) {
            // What stands in the configuration can't be renewed from here.
            return Err(DeliveryError::unavailable("KITH-D016", "the service does not take the login that the configuration gives"));
        }
        let mut slot = self.token.lock().await;
        *slot = None;
        *slot = Some(self.new_token().await?);
        Ok(())
    }

    /// Told about every answer. A token that was never taken is not renewed at once: it would go on for ever.
    pub(super) async fn heard(&self, wants_login: bool) -> Result<(), DeliveryError> {
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
                Err(DeliveryError::unavailable("KITH-D016", "the service does not take a token that was made for it just now"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Sends a request.
    pub(super) async fn send(&self, request: Request) -> Result<Reply, DeliveryError> {
        let client = self.client()?;
        client.send(request).await.map_err(|error| match error {
            SendError::NotSent(why) => DeliveryError::unavailable("KITH-D012", format!("the service can't be reached: {why}")),
            SendError::Unanswered(why) => DeliveryError::unknown(format!("the request was sent and no answer came: {why}")),
            SendError::Unsendable(why) => DeliveryError::unavailable("KITH-D022", format!("no request can be made: {why}")),
        })
    }

    async fn new_token(&self) -> Result<Token, DeliveryError> {
        let Login::ClientCredentials { token_url, client_id, client_secret, scope } = &self.spec.login else {
            return Err(DeliveryError::unavailable("KITH-D016", "there is no login"));
        };
        // RFC 6749 §2.3.1: both are encoded before they become user and password.
        let secret = Secret::from_bytes(encoded(read(client_secret)?.expose()).into_bytes());
        let secret = secret.map_err(|error| DeliveryError::unavailable("KITH-D022", error.to_string()))?;
        let authorization = Authorization::basic(&encoded(client_id), &secret);
        let authorization = authorization.map_err(|error| DeliveryError::unavailable("KITH-D022", error.to_string()))?;
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
            Err(DeliveryError::OutcomeUnknown { message }) => {
                return Err(DeliveryError::unavailable("KITH-D012", format!("the token endpoint: {message}")));
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

fn token(reply: &Reply, asked: Instant) -> Result<Token, DeliveryError> {
    let retry_after = pace::retry_after(&reply.headers, Timestamp::UNIX_EPOCH).map(|asked| asked.wait);
    let status = reply.status;
    let unavailable = |code, what: &str| DeliveryError::Unavailable {
        code: Code(code),
        message: format!("the token endpoint answers HTTP {status}: {what}").into(),
        retry_after,
    };
    match status {
        200..=299 if reply.extent == Extent::Whole => {}
        429 => {
            let message = "HTTP 429: the token endpoint asks to wait".into();
            return Err(DeliveryError::Throttled { code: Code("KITH-D015"), message, wait: retry_after });
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

/// A secret that those who started the service have read.
fn read(given: &GivenSecret) -> Result<Secret, DeliveryError> {
    given.value.clone().ok_or_else(|| DeliveryError::unavailable("KITH-D022", format!("the secret from {} was not read", given.source)))
}
