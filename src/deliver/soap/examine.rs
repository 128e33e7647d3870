//! What `kith doctor` tells about a SOAP service: whether its file fits the WSDL, whether it is there, whether the login is taken.

use super::answer::{self, About};
use super::{Inner, now};
use crate::declare::config::Auth;
use crate::deliver::DeliveryError;
use crate::diagnose::{Code, Diagnostic, Place, Problems};
use crate::wire::caller::{self, CallError};
use crate::wire::http::Request;

const REACH: &str = "check `url`, `proxy`, `ca_file`, the login of the target and `soap: path`, and whether a firewall stands between";

impl Inner {
    pub(super) async fn examine(&self) -> Problems {
        let today = now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let mut problems = match self.caller.contract() {
            Ok(contract) => caller::check(&self.file, &contract),
            Err(error) => return self.problem(&error.into()).into(),
        };
        problems.0.extend(caller::sunset(&self.file, today));
        if problems.has_errors() {
            return problems;
        }
        if let Err(error) = self.reach().await {
            problems.push(self.problem(&error));
        }
        problems
    }

    fn problem(&self, error: &DeliveryError) -> Diagnostic {
        Diagnostic::error(error.code(), Place::Named(self.caller.address()), error.to_string(), REACH)
    }

    /// Logs in, and makes the call that the file names for this.
    async fn reach(&self) -> Result<(), DeliveryError> {
        let opened = self.caller.open().await?;
        let Some(call) = &self.service.health else {
            return if self.caller.auth() == Auth::Session { Ok(()) } else { self.knock().await };
        };
        let envelope = self.caller.envelope(call, &opened, &|_| None, &|_| Ok(())).await?;
        let answered = self.caller.send(&envelope).await.map_err(|error| DeliveryError::from(error).of_reading())?;
        let expected = self.expected(call);
        let about = About::reading(call, &expected);
        let outcome = answer::outcome([&[], &[], &self.service.answers], &answered, &about, now());
        self.told(&opened, outcome.map(drop)).await
    }

    /// Whether anything answers at the address: SOAP asks for nothing that could be read without an operation.
    async fn knock(&self) -> Result<(), DeliveryError> {
        let authorization = match self.caller.auth() {
            Auth::WsseText | Auth::WsseDigest | Auth::Session => None,
            Auth::Basic | Auth::Ntlm | Auth::Negotiate => self.caller.http.authorization().await?,
        };
        let request = Request { method: "GET", url: self.caller.address(), headers: Vec::new(), authorization, body: None };
        let reply = self.caller.http.send(request).await.map_err(|error| DeliveryError::from(error).of_reading())?;
        let refused = |what: &str| DeliveryError::Unavailable {
            code: Code(if reply.status == 407 { "KITH-D012" } else { "KITH-D016" }),
            message: format!("HTTP {}: {what}", reply.status).into(),
            retry_after: None,
        };
        match reply.status {
            401 => Err(refused("the service does not take the login")),
            407 => Err(refused("the proxy wants a login")),
            404 => Err(DeliveryError::unavailable("KITH-D018", "HTTP 404: there is no service at this address")),
            _ => Ok(()),
        }
    }
}

impl From<&CallError> for DeliveryError {
    fn from(error: &CallError) -> Self {
        error.clone().into()
    }
}
