//! From an address to a session: the browser service, several subnets, the mirror, an availability group's routing, TLS, the login.

use super::fault::TdsFault;
use super::session::Session;
use crate::declare::config::{Encryption, ServerAddress, ServerAt, ServerLogin, ServerSpec};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::compat::TokioAsyncWriteCompatExt;

/// The browser service's port (MC-SQLR §1.9).
const BROWSER_PORT: u16 = 1434;
/// How long the browser service has for its answer; a datagram may be lost, so it is asked twice.
const BROWSER_PATIENCE: Duration = Duration::from_secs(1);
/// The protocol's limit for an answer (MC-SQLR §2.2.5).
const LONGEST_BROWSER_ANSWER: usize = 65_535;
/// A listener has one address a subnet; DNS answers hold some tens at most.
const MOST_ADDRESSES: usize = 64;
/// An availability group sends on once; more is a loop.
const MOST_HOPS: usize = 3;

fn unreachable(message: impl Into<Arc<str>>) -> TdsFault {
    TdsFault::Unreachable { message: message.into() }
}

/// Connects, agrees on TLS and logs in, all within [`ServerSpec::connect`].
///
/// # Errors
/// Nothing was asked of a database then: unreachable, a certificate, a login or a database that the server refuses.
pub async fn connect(spec: &ServerSpec) -> Result<Session, TdsFault> {
    connect_asking(spec, BROWSER_PORT).await
}

/// [`connect`] with the browser service elsewhere, as the tests have it.
///
/// # Errors
/// As [`connect`].
pub async fn connect_asking(spec: &ServerSpec, browser: u16) -> Result<Session, TdsFault> {
    let connecting = async {
        match connected(spec, &spec.address, browser).await {
            Ok(session) => Ok(session),
            Err(fault) if is_elsewhere(&fault) => match &spec.failover_partner {
                // The server's own word is worth more than that its partner is no principal.
                Some(partner) => {
                    connected(spec, partner, browser).await.map_err(|second| if is_elsewhere(&second) { fault } else { second })
                }
                None => Err(fault),
            },
            Err(fault) => Err(fault),
        }
    };
    timeout(spec.connect, connecting)
        .await
        .unwrap_or_else(|_elapsed| Err(unreachable(format!("{} does not answer within {} s", spec.address, spec.connect.as_secs()))))
}

/// Whether the mirror may have what this server does not.
fn is_elsewhere(fault: &TdsFault) -> bool {
    match fault {
        TdsFault::Unreachable { .. } => true,
        // The database is a mirror's, is being restored, or is not there.
        TdsFault::Server { number, .. } => matches!(number, 4060 | 911 | 945 | 954 | 976 | 978 | 979 | 982 | 983 | 40613),
        TdsFault::Tls { .. } | TdsFault::NoTicket { .. } | TdsFault::Lost { .. } | TdsFault::NotUnderstood { .. } => false,
    }
}

async fn connected(spec: &ServerSpec, address: &ServerAddress, browser: u16) -> Result<Session, TdsFault> {
    let port = match &address.at {
        ServerAt::Port(port) => *port,
        ServerAt::Instance(instance) => instance_port(&address.host, instance, browser).await?,
    };
    let (mut host, mut port) = (address.host.to_string(), port);
    for _hop in 0..MOST_HOPS {
        let stream = stream(&host, port, spec.multi_subnet).await?;
        stream.set_nodelay(true).map_err(|error| unreachable(format!("{host}:{port}: {error}")))?;
        let config = config(spec, &host, port)?;
        // A login is large; boxed, it is not carried by everybody who waits for one.
        match Box::pin(Client::connect(config, stream.compat_write())).await {
            Ok(client) => {
                let mut session = Session::new(client, spec.timeout);
                session.prepare().await?;
                return Ok(session);
            }
            Err(tiberius::error::Error::Routing { host: next, port: at }) => (host, port) = (next, at),
            Err(tiberius::error::Error::Tls(words)) => return Err(TdsFault::Tls { message: tls_words(&host, &words) }),
            Err(tiberius::error::Error::Io { kind, message }) => {
                // rustls tells of certificates as an error of I/O.
                let about_tls = ["certificate", "tls", "handshake", "alert"].iter().any(|word| message.to_ascii_lowercase().contains(word));
                return Err(if about_tls {
                    TdsFault::Tls { message: tls_words(&host, &message) }
                } else {
                    unreachable(format!("{host}:{port} ends the connection before the login: {kind}"))
                });
            }
            Err(error @ tiberius::error::Error::Server(_)) => return Err(TdsFault::of(&error)),
            // The driver's own words, where the server has less encryption than was asked for.
            Err(tiberius::error::Error::Protocol(words)) if words.contains("encryption") => {
                return Err(TdsFault::Tls { message: format!("{host}:{port} does not encrypt as `encrypt` wants it").into() });
            }
            #[cfg(feature = "kerberos")]
            Err(tiberius::error::Error::Gssapi(words)) => return Err(TdsFault::NoTicket { message: ticket_words(&host, port, &words) }),
            Err(_) => return Err(unreachable(format!("{host}:{port} does not answer as a SQL Server does"))),
        }
    }
    Err(unreachable(format!("{address} sends from one address to the next without end")))
}

/// About certificates and handshakes: names of hosts and authorities, no data.
fn tls_words(host: &str, words: &str) -> Arc<str> {
    let short: String = words.chars().filter(|c| !c.is_control()).take(200).collect();
    format!("{host}: TLS can't be agreed on: {short}").into()
}

/// What GSSAPI says: names of realms, files and services, no data.
#[cfg(feature = "kerberos")]
fn ticket_words(host: &str, port: u16, words: &str) -> Arc<str> {
    let short: String = words.chars().filter(|c| !c.is_control()).take(300).collect();
    format!("there is no Kerberos ticket for MSSQLSvc/{host}:{port}: {short}").into()
}

/// The addresses of a name, one after the other or all at once.
async fn stream(host: &str, port: u16, at_once: bool) -> Result<TcpStream, TdsFault> {
    let found =
        tokio::net::lookup_host((host, port)).await.map_err(|error| unreachable(format!("the name {host} can't be resolved: {error}")))?;
    let addresses: Vec<SocketAddr> = found.take(MOST_ADDRESSES).collect();
    let refused = |error: Option<std::io::Error>| {
        let why = error.map_or_else(|| "the name has no address".to_owned(), |error| error.to_string());
        unreachable(format!("{host}:{port} can't be reached: {why}"))
    };
    let mut last = None;
    if at_once {
        let mut tries = JoinSet::new();
        for address in addresses {
            tries.spawn(TcpStream::connect(address));
        }
        while let Some(tried) = tries.join_next().await {
            match tried {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = Some(error),
                Err(_stopped) => {}
            }
        }
    } else {
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
    }
    Err(refused(last))
}

/// Where a named instance listens (MC-SQLR §2.2.3, `CLNT_UCAST_INST`).
async fn instance_port(host: &str, instance: &str, browser: u16) -> Result<u16, TdsFault> {
    let silent =
        || unreachable(format!("the browser service of {host} (UDP {browser}) does not tell where the instance {instance} listens"));
    let address = tokio::net::lookup_host((host, browser))
        .await
        .map_err(|error| unreachable(format!("the name {host} can't be resolved: {error}")))?
        .next()
        .ok_or_else(silent)?;
    let local: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(local).await.map_err(|error| unreachable(format!("no UDP socket: {error}")))?;
    // Only this address may answer: the answer decides where the password goes.
    socket.connect(address).await.map_err(|error| unreachable(format!("{address} can't be reached: {error}")))?;
    let mut question = vec![0x04];
    question.extend_from_slice(instance.as_bytes());
    let mut answer = vec![0; LONGEST_BROWSER_ANSWER];
    for _try in 0..2 {
        if socket.send(&question).await.is_err() {
            return Err(silent());
        }
        if let Ok(Ok(length)) = timeout(BROWSER_PATIENCE, socket.recv(&mut answer)).await {
            return answer.get(..length).and_then(told_port).ok_or_else(silent);
        }
    }
    Err(silent())
}

/// `05 len16 ServerName;…;tcp;PORT;…` (MC-SQLR §2.2.5).
pub(super) fn told_port(answer: &[u8]) -> Option<u16> {
    let [0x05, low, high, data @ ..] = answer else { return None };
    let length = usize::from(u16::from_le_bytes([*low, *high]));
    let data = data.get(..length.min(data.len()))?;
    let mut words = data.split(|byte| *byte == b';');
    words.find(|word| word.eq_ignore_ascii_case(b"tcp"))?;
    std::str::from_utf8(words.next()?).ok()?.parse().ok().filter(|port| *port != 0)
}

fn config(spec: &ServerSpec, host: &str, port: u16) -> Result<Config, TdsFault> {
    let mut config = Config::new();
    config.host(host);
    config.port(port);
    config.database(&spec.database);
    config.application_name(&spec.application);
    // The driver's own limits would be shorter than the configuration's, and what it gives up it may leave half read.
    config.handshake_timeout(None);
    config.command_timeout(None);
    config.encryption(match spec.encryption {
        Encryption::Required => EncryptionLevel::Required,
        Encryption::Strict => EncryptionLevel::Strict,
        Encryption::Login => EncryptionLevel::Off,
        Encryption::Off => EncryptionLevel::NotSupported,
    });
    if spec.trust_any_certificate {
        config.trust_cert();
    } else if let Some(path) = &spec.ca_file {
        let bundle = std::fs::read(path)
            .map_err(|error| TdsFault::Tls { message: format!("the CA file {} can't be read: {error}", path.display()).into() })?;
        config.trust_cert_ca_bundle(bundle);
    }
    if let Some(name) = &spec.certificate_host {
        config.hostname_in_certificate(name);
    }
    config.authentication(match &spec.login {
        ServerLogin::Sql { user, password } => {
            let password = password.value.as_ref().ok_or_else(|| unreachable("the password was not read"))?;
            AuthMethod::sql_server(user, password.expose())
        }
        #[cfg(feature = "kerberos")]
        ServerLogin::Kerberos => AuthMethod::Integrated,
        #[cfg(not(feature = "kerberos"))]
        ServerLogin::Kerberos => {
            return Err(TdsFault::NoTicket { message: "this program was built without the feature `kerberos`".into() });
        }
    });
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_browser_services_answer_is_read() {
        let data = b"ServerName;DB;InstanceName;CRM;IsClustered;No;Version;13.0.1601.5;tcp;51433;np;\\\\DB\\pipe;;";
        let mut answer = vec![0x05, u8::try_from(data.len()).unwrap(), 0];
        answer.extend_from_slice(data);
        assert_eq!(told_port(&answer), Some(51433));
        assert_eq!(told_port(b"\x05\x04\x00tcp;"), None);
        assert_eq!(told_port(b"\x05\x06\x00tcp;0;"), None);
    }

    proptest! {
        #[test]
        fn no_answer_of_the_browser_service_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _port: Option<u16> = told_port(&bytes);
        }
    }
}
