//! A mail over SMTP (RFC 5321): step by step, so that a connection that breaks says whether the mail may have arrived.

use super::Message;
use crate::declare::config::{Login, MailAddresses, ServiceSpec};
use crate::deliver::DeliveryError;
use crate::wire::http::secret;
use lettre::address::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use std::time::Duration;

/// STARTTLS on the port for submission (RFC 6409), TLS at once on its own (RFC 8314).
const SUBMISSION: u16 = 587;
const SUBMISSIONS: u16 = 465;

/// A mail server, and who writes to whom.
#[derive(Debug)]
pub(super) struct Mailer {
    service: ServiceSpec,
    addresses: MailAddresses,
}

const NO_TLS: &str = "KITH-D022";
const NOT_REACHED: &str = "KITH-D012";
const NO_LOGIN: &str = "KITH-D016";
const NOT_TAKEN: &str = "KITH-D084";

impl Mailer {
    pub(super) const fn new(service: ServiceSpec, addresses: MailAddresses) -> Self {
        Self { service, addresses }
    }

    /// Host, port, and whether TLS comes first.
    fn place(&self) -> (String, u16, bool) {
        let (rest, port, tls) = match self.service.url.strip_prefix("smtps://") {
            Some(rest) => (rest, SUBMISSIONS, true),
            None => (self.service.url.strip_prefix("smtp://").unwrap_or_default(), SUBMISSION, false),
        };
        let rest = rest.split('/').next().unwrap_or_default();
        // An IPv6 address stands in brackets.
        let (host, given) = match rest.rsplit_once(':').filter(|(host, _)| host.ends_with(']') || !host.contains(':')) {
            Some((host, given)) => (host, given.parse().ok()),
            None => (rest, None),
        };
        (host.trim_matches(['[', ']']).to_owned(), given.unwrap_or(port), tls)
    }

    fn hello(&self) -> ClientId {
        let host = self.addresses.from.split_once('@').map_or("localhost", |(_, host)| host);
        ClientId::Domain(host.to_owned())
    }

    fn tls(&self, host: &str) -> Result<TlsParameters, DeliveryError> {
        let unusable = |what: String| DeliveryError::unavailable(NO_TLS, what);
        let mut tls = TlsParameters::builder(host.to_owned());
        if let Some(path) = &self.service.ca_file {
            let pem = std::fs::read(path).map_err(|error| unusable(format!("`ca_file` can't be read: {error}")))?;
            let authorities = certificates(&pem);
            if authorities.is_empty() {
                return Err(unusable("`ca_file` holds no certificate".to_owned()));
            }
            tls = tls.certificate_store(CertificateStore::None);
            for authority in authorities {
                let authority = Certificate::from_pem(authority.as_bytes());
                tls = tls.add_root_certificate(authority.map_err(|error| unusable(format!("`ca_file` can't be used: {error}")))?);
            }
        }
        tls.build_rustls().map_err(|error| unusable(format!("no TLS can be set up: {error}")))
    }

    /// Connected, encrypted but on this machine itself, and logged in.
    async fn connect(&self) -> Result<AsyncSmtpConnection, DeliveryError> {
        let (host, port, at_once) = self.place();
        let away = |error: &SmtpError, what: &str| match code(error) {
            Some(code) => DeliveryError::unavailable(NOT_TAKEN, format!("the mail server answers {code} to {what}")),
            None => DeliveryError::unavailable(NOT_REACHED, format!("the mail server can't be reached: {what} fails{}", kind(error))),
        };
        let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let first = if at_once { Some(self.tls(&host)?) } else { None };
        let hello = self.hello();
        let connecting = AsyncSmtpConnection::connect_tokio1((host.as_str(), port), Some(self.service.connect), &hello, first, None);
        let mut connection = connecting.await.map_err(|error| away(&error, "connecting"))?;
        if !at_once {
            if connection.can_starttls() {
                let tls = self.tls(&host)?;
                connection.starttls(tls, &hello).await.map_err(|error| away(&error, "STARTTLS"))?;
            } else if !here {
                connection.abort().await;
                return Err(DeliveryError::unavailable(NOT_TAKEN, "the mail server offers no STARTTLS, and nothing is sent in the clear"));
            }
        }
        if let Login::Basic { user, password } = &self.service.login {
            let password = secret(password).map_err(|error| DeliveryError::unavailable(NO_TLS, error.to_string()))?;
            let credentials = Credentials::new(user.to_string(), password.expose().to_owned());
            let login = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
            login.map_err(|error| match code(&error) {
                Some(code) if code.starts_with('5') => {
                    DeliveryError::unavailable(NO_LOGIN, format!("the mail server does not take the login: it answers {code}"))
                }
                _ => away(&error, "the login"),
            })?;
        }
        Ok(connection)
    }

    /// Whether the server is there and takes the login. Nothing is sent.
    pub(super) async fn check(&self) -> Result<(), DeliveryError> {
        let late = || DeliveryError::unavailable(NOT_REACHED, "the mail server did not answer in time");
        let mut connection = tokio::time::timeout(self.service.timeout, self.connect()).await.map_err(|_late| late())??;
        connection.abort().await;
        Ok(())
    }

    pub(super) async fn send(&self, message: &Message<'_>) -> Result<(), DeliveryError> {
        let content = self.mail(message)?.formatted();
        let late = || DeliveryError::unavailable(NOT_REACHED, "the mail server did not answer in time");
        let ready = tokio::time::timeout(self.service.timeout, self.ready()).await;
        let mut connection = ready.map_err(|_late| late())??;
        // From here on the mail may have arrived whatever happens.
        let unknown = |what: &str| DeliveryError::unknown(format!("the mail was sent and {what}"));
        let patience = self.service.timeout.max(Duration::from_secs(1));
        let told = match tokio::time::timeout(patience, connection.message(&content)).await {
            Err(_late) => Err(unknown("no answer came in time")),
            Ok(Ok(_taken)) => Ok(()),
            Ok(Err(error)) => Err(match code(&error) {
                None => unknown("the connection ended"),
                Some(code) if code.starts_with('5') && message.notices.len() > 1 => {
                    DeliveryError::BatchRefused { code: crate::diagnose::Code(NOT_TAKEN), message: refused(&code).into() }
                }
                Some(code) if code.starts_with('5') => DeliveryError::refused(NOT_TAKEN, refused(&code)),
                Some(code) => {
                    DeliveryError::Failed { code: crate::diagnose::Code(NOT_TAKEN), message: refused(&code).into(), retry_after: None }
                }
            }),
        };
        connection.abort().await;
        told
    }

    /// Up to where the content may come.
    async fn ready(&self) -> Result<AsyncSmtpConnection, DeliveryError> {
        let mut connection = self.connect().await?;
        let no = |error: &SmtpError, what: &str| {
            let said = code(error).map_or_else(|| "does not answer".to_owned(), |code| format!("answers {code}"));
            DeliveryError::unavailable(NOT_TAKEN, format!("the mail server {said} to {what}"))
        };
        let address = |text: &str| text.parse::<Address>().map_err(|_none| DeliveryError::unavailable(NOT_TAKEN, "an address is none"));
        let from = address(&self.addresses.from)?;
        connection.command(Mail::new(Some(from), Vec::new())).await.map_err(|error| no(&error, "the sender"))?;
        for to in &self.addresses.to {
            connection.command(Rcpt::new(address(to)?, Vec::new())).await.map_err(|error| no(&error, "a recipient"))?;
        }
        connection.command(Data).await.map_err(|error| no(&error, "DATA"))?;
        Ok(connection)
    }

    fn mail(&self, message: &Message<'_>) -> Result<lettre::Message, DeliveryError> {
        let unfit = |what: String| DeliveryError::refused(NOT_TAKEN, format!("no mail can be made: {what}"));
        let host = self.addresses.from.split_once('@').map_or("localhost", |(_, host)| host);
        let mut builder = lettre::Message::builder()
            .from(self.addresses.from.parse().map_err(|_none| unfit("`from` is no address".to_owned()))?)
            .message_id(Some(format!("<{}@{host}>", message.id)))
            .subject(one_line(&message.subject()))
            // RFC 3834: nobody's absence answers.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.addresses.to {
            builder = builder.to(to.parse().map_err(|_none| unfit("`to` is no address".to_owned()))?);
        }
        builder.body(message.text()).map_err(|error| unfit(error.to_string()))
    }

    /// As it would be sent.
    pub(super) fn draft(message: &Message<'_>) -> String {
        format!("Message-ID: {}\nSubject: {}\n\n{}", message.id, one_line(&message.subject()), message.text())
    }
}

/// A header has one line.
fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    line.trim().to_owned()
}

fn refused(code: &str) -> String {
    format!("the mail server answers {code} to the mail")
}

/// The server's code, where it answered. Its words may name people.
fn code(error: &SmtpError) -> Option<String> {
    error.status().map(|code| code.to_string())
}

fn kind(error: &SmtpError) -> &'static str {
    if error.is_timeout() {
        " for lack of time"
    } else if error.is_tls() {
        " in TLS"
    } else {
        ""
    }
}

/// The certificates of a PEM file, one by one.
fn certificates(pem: &[u8]) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = String::from_utf8_lossy(pem);
    let begins = |part: &str| part.find("-----BEGIN CERTIFICATE-----").and_then(|at| part.get(at..)).map(str::to_owned);
    text.split_inclusive(END).filter(|part| part.ends_with(END)).filter_map(begins).collect()
}
