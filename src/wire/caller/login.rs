//! The login operation of a service: one at a time, however many want it, and again only when its session has ended.

use super::condition::shown;
use super::find;
use super::{Answered, CallError, Caller, Envelope};
use crate::declare::config::{Auth, Login, Secret};
use crate::declare::connector::soap::{SessionLogin, Slot};
use crate::model::Value;
use crate::wire::http::{Extent, secret};
use crate::wire::session::SessionError;
use crate::wire::soap::Reading;
use std::sync::Arc;
use tokio::time::Instant;

/// The page about a login that gives no session.
const NO_SESSION: &str = "KITH-D063";

/// What a call needs of the login.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// The token of the session, where there is one.
    pub token: Option<Secret>,
    /// Where calls go, where the login told it.
    pub address: Option<String>,
    /// Which login it is; 0 where there is none.
    pub generation: u64,
}

/// The session in force.
#[derive(Debug, Default)]
pub(super) struct LoginSlot {
    session: Option<Held>,
    generation: u64,
}

#[derive(Debug)]
struct Held {
    opened: Opened,
    renewed_at: Option<Instant>,
    /// Whether the service has taken it once.
    accepted: bool,
}

impl Caller {
    /// User and password of the configuration.
    pub(super) fn user_and_password(&self) -> Result<(Arc<str>, Secret), SessionError> {
        let Login::Basic { user, password } = &self.http.spec.login else {
            return Err(SessionError::unavailable("KITH-D016", "the login needs `user` and `password`, and the configuration has none"));
        };
        let password = secret(password).map_err(|error| SessionError::unavailable("KITH-D022", error.to_string()))?;
        Ok((user.clone(), password))
    }

    fn session_login(&self) -> Option<&SessionLogin> {
        self.service.session.as_ref().filter(|_| self.auth() == Auth::Session)
    }

    /// What the next call needs: the session in force, or a new one where there is none that lasts. Whoever comes while one is being made
    /// waits for it.
    ///
    /// # Errors
    /// There is no session to be had now.
    pub async fn open(&self) -> Result<Opened, CallError> {
        let Some(login) = self.session_login() else { return Ok(Opened::default()) };
        let mut slot = self.login.lock().await;
        if let Some(held) = &slot.session
            && held.renewed_at.is_none_or(|at| Instant::now() < at)
        {
            return Ok(held.opened.clone());
        }
        slot.session = None;
        let asked = Instant::now();
        let (token, address) = self.log_in(login).await?;
        slot.generation += 1;
        let opened = Opened { token: Some(token), address, generation: slot.generation };
        // A tenth ahead, so that none runs out on its way.
        let renewed_at = login.lasts.and_then(|lasts| asked.checked_add(lasts.saturating_sub(lasts / 10)));
        slot.session = Some(Held { opened: opened.clone(), renewed_at, accepted: false });
        Ok(opened)
    }

    /// Told about every answer of a session. One that was never taken is not renewed at once: it would go on for ever. What is heard about
    /// a session that was renewed meanwhile changes nothing.
    ///
    /// # Errors
    /// The service does not take a session that was made just now.
    pub async fn heard(&self, opened: &Opened, wants_login: bool) -> Result<(), SessionError> {
        if self.session_login().is_none() {
            return self.http.heard(wants_login).await;
        }
        let mut slot = self.login.lock().await;
        let Some(held) = slot.session.as_mut().filter(|held| held.opened.generation == opened.generation) else { return Ok(()) };
        if !wants_login {
            held.accepted = true;
            return Ok(());
        }
        let accepted = held.accepted;
        slot.session = None;
        if accepted {
            Ok(())
        } else {
            Err(SessionError::unavailable(NO_SESSION, "the service does not take a session that was made for it just now"))
        }
    }

    /// Logs in again; a session that was renewed meanwhile is as good.
    ///
    /// # Errors
    /// There is no session to be had now, or the login can't be renewed.
    pub async fn renew(&self) -> Result<(), CallError> {
        if self.session_login().is_none() {
            return Ok(self.http.login().await?);
        }
        self.open().await.map(drop)
    }

    /// The login call as it would be sent.
    ///
    /// # Errors
    /// It can't be made.
    pub(super) fn login_envelope(&self, login: &SessionLogin) -> Result<Envelope, CallError> {
        let (user, password) = self.user_and_password()?;
        let values = |slot: &Slot| match slot {
            Slot::User => Some(Value::Text(user.clone())),
            Slot::Password => Some(Value::Text(password.expose().into())),
            Slot::Field(_)
            | Slot::Key
            | Slot::Keys
            | Slot::IdempotencyKey
            | Slot::Found
            | Slot::New
            | Slot::Session
            | Slot::PageSize
            | Slot::Offset
            | Slot::After
            | Slot::PageToken => None,
        };
        let mut request = self.draft(&login.call, &Opened::default(), &values, &|_| Ok(()), None, false)?;
        request.authorization = None;
        // What a filter makes of the password is as good as the password.
        let mut masks = vec![password.clone()];
        for template in login.call.templates() {
            if template.slots().any(|slot| *slot == Slot::Password)
                && let Ok(Some(Value::Text(text))) = super::fill::value(template, &values)
            {
                masks.extend(Secret::from_bytes(text.as_bytes().to_vec()).ok());
            }
        }
        Ok(Envelope { request, masks })
    }

    async fn log_in(&self, login: &SessionLogin) -> Result<(Secret, Option<String>), CallError> {
        let envelope = self.login_envelope(login).map_err(|error| match error {
            // No record is to blame for a login that can't be written.
            CallError::Refused(refused) => {
                CallError::Session(SessionError::unavailable(NO_SESSION, format!("the login can't be written: {refused}")))
            }
            session @ CallError::Session(_) => session,
        })?;
        let answered = match self.send(&envelope).await {
            Ok(answered) => answered,
            // A session that was made and got lost is nobody's loss: nothing is unknown.
            Err(SessionError::Unanswered { message }) => {
                return Err(SessionError::unavailable("KITH-D012", format!("the login: {message}")).into());
            }
            Err(error) => return Err(error.into()),
        };
        let token = token(login, &answered)?;
        let address = match &login.address {
            None => None,
            Some(path) => self.told_address(login, path, &answered)?,
        };
        Ok((token, address))
    }

    /// The address that the login told, where it may be followed.
    fn told_address(
        &self,
        login: &SessionLogin,
        path: &crate::declare::connector::soap::ElementPath,
        answered: &Answered,
    ) -> Result<Option<String>, CallError> {
        let Some(text) = answered.heard().body.and_then(|body| find::text(body, path)) else { return Ok(None) };
        let text = text.trim();
        let refuse =
            |what: &str| CallError::Session(SessionError::unavailable(NO_SESSION, format!("the login leads to an address {what}")));
        let (scheme, rest) = text.split_once("://").ok_or_else(|| refuse("that is none"))?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase();
        if host.contains('@') || host.is_empty() || text.chars().any(|c| !c.is_ascii_graphic()) {
            return Err(refuse("that is none"));
        }
        if scheme != "https" && (scheme != "http" || self.http.spec.url.starts_with("https:")) {
            return Err(refuse("that is not encrypted, and the login's was"));
        }
        let named = |wanted: &Arc<str>| match wanted.strip_prefix("*.") {
            Some(below) => host.strip_suffix(&below.to_ascii_lowercase()).is_some_and(|front| front.ends_with('.')),
            None => host == wanted.to_ascii_lowercase(),
        };
        let own = self.http.spec.url.split_once("://").map_or("", |(_, rest)| rest).split('/').next().unwrap_or_default();
        if !login.hosts.iter().any(named) && host != own.to_ascii_lowercase() {
            return Err(refuse("on a host that `soap: session: hosts` does not name"));
        }
        Ok(Some(text.to_owned()))
    }
}

/// The token of a login's answer.
fn token(login: &SessionLogin, answered: &Answered) -> Result<Secret, SessionError> {
    let status = answered.reply.status;
    let none = |what: String| SessionError::unavailable(NO_SESSION, what);
    if status == 429 || (status == 503 && answered.reply.header("retry-after").is_some()) {
        let asked = crate::wire::pace::throttled(&answered.reply.headers, jiff::Timestamp::UNIX_EPOCH);
        let message = format!("HTTP {status}: the service asks to wait with the login").into();
        return Err(SessionError::Throttled { code: crate::diagnose::Code("KITH-D015"), message, wait: asked.map(|asked| asked.wait) });
    }
    match &answered.reading {
        Reading::Answer(answer) if answered.reply.extent == Extent::Whole => {
            let text = answer.first().and_then(|body| find::text(body, &login.token)).map(|text| text.trim().to_owned());
            let text = text.filter(|text| !text.is_empty());
            let text = text.ok_or_else(|| none(format!("the answer of the login has nothing at `{}`", login.token)))?;
            Secret::from_bytes(text.into_bytes()).map_err(|error| none(format!("the token of the login can't be used: {error}")))
        }
        Reading::Fault(fault) => {
            let code = shown(&fault.code_written).map_or_else(String::new, |code| format!(" ({code})"));
            Err(none(format!("the service refuses the login with a fault{code}")))
        }
        _ if (500..600).contains(&status) => {
            Err(SessionError::unavailable("KITH-D018", format!("HTTP {status}: the login gets no answer now")))
        }
        Reading::Answer(_) | Reading::NotSoap(_) => {
            Err(none(format!("HTTP {status}: the login is answered with something that is no SOAP")))
        }
    }
}
