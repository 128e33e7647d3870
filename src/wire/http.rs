//! HTTP as a client: one request, one bounded answer, and whether the request may have left. Never follows a redirect, never repeats.

use super::tls::Trust;
use super::tunnel::{self, TunnelError};
use crate::declare::config::{GivenSecret, Login, ProxySpec, Secret, ServiceSpec};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
pub use reqwest::{Upgraded, Url};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How this side calls itself.
const OURSELVES: &str = concat!("kith/", env!("CARGO_PKG_VERSION"));

/// 1 MiB: an answer about a batch of 5,000 records at 200 bytes each. What is longer is cut, and counts as not understood.
pub const LONGEST_BODY: usize = 1 << 20;

/// Servers keep an idle connection for 5 seconds and more (Node 5, Apache 5, nginx 75). One that the server closes while a request is on its
/// way leaves the outcome unknown, so it is given up before.
const IDLE: Duration = Duration::from_secs(4);

/// How a service is reached.
#[derive(Clone, Debug)]
pub struct Connection {
    /// PEM certificates that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The proxy that every request goes through.
    pub proxy: Option<Proxy>,
    /// The longest time for name, connection and TLS.
    pub connect: Duration,
    /// The longest time for a request and its whole answer.
    pub whole: Duration,
    /// Whether any address is `https`: without, no certificates are read.
    pub tls: bool,
    /// What this side shows of itself: the file with the certificate and its chain, and the key, both PEM.
    pub certificate: Option<(PathBuf, Secret)>,
    /// The longest answer in bytes; what is longer is cut, and counts as not understood.
    pub longest_body: usize,
}

impl Connection {
    /// A connection as the configuration describes it.
    ///
    /// # Errors
    /// Where a secret was not read.
    pub fn of(spec: &ServiceSpec) -> Result<Self, SetupError> {
        let proxy = spec.proxy.as_ref().map(Proxy::of).transpose()?;
        let token_url = match &spec.login {
            Login::ClientCredentials { token_url, .. } => Some(token_url),
            Login::None | Login::Basic { .. } | Login::Bearer { .. } => None,
        };
        let addresses = [Some(&spec.url), spec.proxy.as_ref().map(|p| &p.url), token_url];
        let certificate = match &spec.certificate {
            None => None,
            Some(shown) => Some((shown.file.clone(), secret(&shown.key)?)),
        };
        Ok(Self {
            ca_file: spec.ca_file.clone(),
            proxy,
            connect: spec.connect,
            whole: spec.timeout,
            tls: addresses.into_iter().flatten().any(|url| url.starts_with("https:")),
            certificate,
            longest_body: LONGEST_BODY,
        })
    }
}

/// A secret that those who started the service have read.
///
/// # Errors
/// Where they have not.
pub fn secret(given: &GivenSecret) -> Result<Secret, SetupError> {
    given.value.clone().ok_or_else(|| SetupError::SecretNotRead(given.source.to_string()))
}

/// A corporate proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// `http://proxy.example:3128`
    pub url: String,
    /// User and password, where it wants a login.
    pub login: Option<(String, Secret)>,
}

impl Proxy {
    /// A proxy as the configuration describes it.
    ///
    /// # Errors
    /// Where its password was not read.
    pub fn of(spec: &ProxySpec) -> Result<Self, SetupError> {
        let login = match &spec.login {
            None => None,
            Some((user, password)) => Some((user.to_string(), secret(password)?)),
        };
        Ok(Self { url: spec.url.clone(), login })
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The CA file can't be read.
    #[error("the CA file {} can't be read", .path.display())]
    CaUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The CA file holds no certificates.
    #[error("the CA file {} holds no usable PEM certificate", .0.display())]
    CaUnusable(PathBuf),
    /// The client certificate can't be read.
    #[error("the client certificate {} can't be read", .path.display())]
    CertificateUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Certificate and key are no pair, or no PEM.
    #[error("the client certificate {} and its key can't be used together", .0.display())]
    CertificateUnusable(PathBuf),
    /// Whoever started the service has not read a secret.
    #[error("the secret from {0} was not read")]
    SecretNotRead(String),
    /// The proxy's address is none.
    #[error("the proxy's address can't be used")]
    Proxy,
    /// TLS can't be set up: no certificates in the system's store, for instance.
    #[error("TLS can't be set up: {0}")]
    Tls(String),
}

/// What authorises a request. `Debug` hides it.
#[derive(Clone, Debug)]
pub struct Authorization(Secret);

impl Authorization {
    /// `Basic …`
    ///
    /// # Errors
    /// Where the two can't be a header.
    pub fn basic(user: &str, password: &Secret) -> Result<Self, Unsendable> {
        use base64::Engine as _;
        let pair = zeroize::Zeroizing::new(format!("{user}:{}", password.expose()));
        let coded = zeroize::Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(pair.as_bytes()));
        Secret::from_bytes(format!("Basic {}", coded.as_str()).into_bytes()).map(Self).map_err(|_source| Unsendable::Authorization)
    }

    /// `Bearer …`
    ///
    /// # Errors
    /// Where the token can't be a header.
    pub fn bearer(token: &Secret) -> Result<Self, Unsendable> {
        Secret::from_bytes(format!("Bearer {}", token.expose().trim()).into_bytes()).map(Self).map_err(|_source| Unsendable::Authorization)
    }

    /// A message of a login that is a conversation: `NTLM …`, `Negotiate …`.
    ///
    /// # Errors
    /// Where it can't be a header.
    pub fn token(scheme: &str, coded: &str) -> Result<Self, Unsendable> {
        Secret::from_bytes(format!("{scheme} {coded}").into_bytes()).map(Self).map_err(|_source| Unsendable::Authorization)
    }
}

impl Authorization {
    fn header(&self) -> Result<HeaderValue, Unsendable> {
        let mut value = HeaderValue::from_str(self.0.expose()).map_err(|_source| Unsendable::Authorization)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// A text without it: servers echo what they were sent.
    pub fn hide(&self, text: &str) -> String {
        let whole = self.0.expose();
        let value = whole.split_once(' ').map_or(whole, |(_, value)| value);
        if value.is_empty() { text.to_owned() } else { text.replace(value, "‹hidden›") }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `PUT`
    pub method: &'static str,
    /// In full.
    pub url: String,
    /// Without the authorisation.
    pub headers: Vec<(String, String)>,
    /// Sent as `Authorization`, never shown.
    pub authorization: Option<Authorization>,
    /// The content.
    pub body: Option<Vec<u8>>,
}

/// How much of an answer's content came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// All of it.
    Whole,
    /// The connection ended, or the time was up, in the middle.
    Broken,
    /// More than the connection takes: the rest was not read.
    TooLong,
}

/// An answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Names in small letters, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The content, as far as it came.
    pub body: Vec<u8>,
    /// How much of it came.
    pub extent: Extent,
    /// This side's end of the connection that it came over, where it is known.
    pub over: Option<std::net::SocketAddr>,
}

impl fmt::Debug for Reply {
    /// The content may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .field("extent", &self.extent)
            .finish_non_exhaustive()
    }
}

impl Reply {
    /// The first header of a name, in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// What makes a request that can't be one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unsendable {
    /// The address.
    #[error("the address can't be used")]
    Url,
    /// A header.
    #[error("a header can't be used")]
    Header,
    /// The login.
    #[error("the login can't stand in a header")]
    Authorization,
}

/// Why there is no answer. The texts hold no address and nothing personal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SendError {
    /// It can't be a request.
    #[error(transparent)]
    Unsendable(#[from] Unsendable),
    /// Nothing of the request left this machine: no name, no connection, no TLS, no way through the proxy.
    #[error("{0}")]
    NotSent(String),
    /// The request may have arrived.
    #[error("{0}")]
    Unanswered(String),
}

/// A client with its own connections, to be kept and shared.
#[derive(Clone)]
pub struct Client {
    inner: reqwest::Client,
    longest_body: usize,
    /// How `WebSocket`s without TLS come through the proxy.
    tunnel: Option<Tunnel>,
}

/// A proxy that is asked for a tunnel.
#[derive(Clone)]
struct Tunnel {
    proxy: Proxy,
    /// How it is reached itself, where its address is `https`.
    tls: Option<Trust>,
}

impl Tunnel {
    fn of(connection: &Connection, proxy: Proxy) -> Result<Self, SetupError> {
        let tls = if proxy.url.starts_with("https:") {
            Some(match &connection.ca_file {
                Some(path) => Trust::of_file(path).map_err(|_source| SetupError::CaUnusable(path.clone()))?,
                None => Trust::of_the_system().map_err(|error| SetupError::Tls(error.to_string()))?,
            })
        } else {
            None
        };
        Ok(Self { proxy, tls })
    }
}

impl fmt::Debug for Client {
    /// It knows the proxy's login.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// A client. Nothing is connected.
    ///
    /// # Errors
    /// Where the CA file, the client certificate, the proxy or the system's certificates can't be used.
    pub fn new(connection: &Connection) -> Result<Self, SetupError> {
        Self::with(connection, |builder| builder.timeout(connection.whole))
    }

    /// A client that keeps one connection, for a service that remembers who is at the other end of it. One request at a time.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn alone(connection: &Connection) -> Result<Self, SetupError> {
        Self::with(connection, |builder| builder.timeout(connection.whole).pool_max_idle_per_host(1))
    }

    /// A client for answers that do not end: only their beginning has a time, `whole`. For [`Client::open`].
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn lasting(connection: &Connection) -> Result<Self, SetupError> {
        let client = Self::with(connection, |builder| builder.pool_max_idle_per_host(0))?;
        let tunnel = connection.proxy.clone().map(|proxy| Tunnel::of(connection, proxy)).transpose()?;
        Ok(Self { tunnel, ..client })
    }

    fn with(connection: &Connection, pool: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> Result<Self, SetupError> {
        // The environment's proxies are not ours: `no_proxy` first, then the one that the configuration names.
        let mut builder = reqwest::Client::builder()
            .user_agent(OURSELVES)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .http1_only()
            .pool_idle_timeout(IDLE)
            .connect_timeout(connection.connect.min(connection.whole));
        if let Some(proxy) = &connection.proxy {
            let mut through = reqwest::Proxy::all(&proxy.url).map_err(|_source| SetupError::Proxy)?;
            if let Some((user, password)) = &proxy.login {
                through = through.basic_auth(user, password.expose());
            }
            builder = builder.proxy(through);
        }
        if let Some(path) = &connection.ca_file {
            let pem = std::fs::read(path).map_err(|source| SetupError::CaUnreadable { path: path.clone(), source })?;
            let trusted = reqwest::Certificate::from_pem_bundle(&pem).map_err(|_source| SetupError::CaUnusable(path.clone()))?;
            if trusted.is_empty() {
                return Err(SetupError::CaUnusable(path.clone()));
            }
            builder = builder.tls_certs_only(trusted);
        } else if !connection.tls {
            builder = builder.tls_certs_only([]);
        }
        if let Some((path, key)) = &connection.certificate {
            let pem = std::fs::read(path).map_err(|source| SetupError::CertificateUnreadable { path: path.clone(), source })?;
            // Both in one, the key last; wiped when it is dropped.
            let mut both = zeroize::Zeroizing::new(pem);
            both.push(b'\n');
            both.extend_from_slice(key.expose().as_bytes());
            let shown = reqwest::Identity::from_pem(&both).map_err(|_source| SetupError::CertificateUnusable(path.clone()))?;
            builder = builder.identity(shown);
        }
        let inner = pool(builder).build().map_err(|error| SetupError::Tls(chain(&error)))?;
        Ok(Self { inner, longest_body: connection.longest_body, tunnel: None })
    }

    /// Sends a request and reads its answer, once.
    ///
    /// # Errors
    /// Where there is none; [`SendError`] tells whether the request may have left.
    pub async fn send(&self, request: Request) -> Result<Reply, SendError> {
        let mut response = self.begin(request).await?;
        let over = response
            .extensions()
            .get::<hyper_util::client::legacy::connect::HttpInfo>()
            .map(hyper_util::client::legacy::connect::HttpInfo::local_addr);
        let headers = headers_of(&response);
        let (mut body, mut extent) = (Vec::new(), Extent::Whole);
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) => {
                    let room = self.longest_body.saturating_sub(body.len());
                    body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                    if chunk.len() > room {
                        extent = Extent::TooLong;
                        break;
                    }
                }
                Err(_broken) => {
                    extent = Extent::Broken;
                    break;
                }
            }
        }
        Ok(Reply { status: response.status().as_u16(), headers, body, extent, over })
    }

    /// Sends a request and returns with the beginning of its answer, which may never end.
    ///
    /// # Errors
    /// Where it does not come within that time; [`SendError`] tells whether the request may have left.
    pub async fn open(&self, request: Request, within: Duration) -> Result<Opened, SendError> {
        let upgrades = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
        let tunnel = self.tunnel.as_ref().filter(|_| upgrades && request.url.starts_with("http://"));
        let begun = tokio::time::timeout(within, async {
            match tunnel {
                Some(tunnel) => tunnelled(tunnel, &request).await,
                None => self.begin(request).await,
            }
        });
        let begun = begun.await;
        let response = begun.unwrap_or_else(|_late| Err(SendError::Unanswered("the time was up".to_owned())))?;
        Ok(Opened { status: response.status().as_u16(), headers: headers_of(&response), response })
    }

    async fn begin(&self, request: Request) -> Result<reqwest::Response, SendError> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|_source| Unsendable::Header)?;
        let url = reqwest::Url::parse(&request.url).map_err(|_source| Unsendable::Url)?;
        let mut built = self.inner.request(method, url);
        for (name, value) in &request.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_source| Unsendable::Header)?;
            built = built.header(name, HeaderValue::from_str(value).map_err(|_source| Unsendable::Header)?);
        }
        if let Some(authorization) = &request.authorization {
            built = built.header(AUTHORIZATION, authorization.header()?);
        }
        if let Some(body) = request.body {
            built = built.body(body);
        }
        built.send().await.map_err(|error| {
            let error = error.without_url();
            if error.is_builder() {
                SendError::Unsendable(Unsendable::Url)
            } else if error.is_connect() {
                SendError::NotSent(chain(&error))
            } else {
                SendError::Unanswered(chain(&error))
            }
        })
    }
}

/// Asks for a `WebSocket` without TLS through a tunnel of the proxy.
async fn tunnelled(Tunnel { proxy, tls }: &Tunnel, request: &Request) -> Result<reqwest::Response, SendError> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(OURSELVES));
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_source| Unsendable::Header)?;
        headers.append(name, HeaderValue::from_str(value).map_err(|_source| Unsendable::Header)?);
    }
    let login = proxy.login.as_ref().map(|(user, password)| Authorization::basic(user, password)?.header()).transpose()?;
    match tunnel::get((&proxy.url, tls.as_ref()), login, &request.url, headers).await {
        Ok(answer) => Ok(answer.into()),
        Err(TunnelError::Closed(why)) => Err(SendError::NotSent(why)),
        Err(TunnelError::Unanswered(why)) => Err(SendError::Unanswered(why)),
    }
}

fn headers_of(response: &reqwest::Response) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// An answer whose content is still to come, piece by piece; who does not ask for more stops the sender.
pub struct Opened {
    /// The status code.
    pub status: u16,
    /// Names in small letters, in the order in which they came.
    pub headers: Vec<(String, String)>,
    response: reqwest::Response,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Opened {
    /// The first header of a name, in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The next piece, as it came; `None` at the end. A dropped future has taken nothing.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub async fn piece(&mut self) -> Result<Option<Vec<u8>>, SendError> {
        let piece = self.response.chunk().await.map_err(|error| SendError::Unanswered(chain(&error.without_url())))?;
        Ok(piece.map(|bytes| bytes.to_vec()))
    }

    /// The connection itself, after 101.
    ///
    /// # Errors
    /// Where the server did not change the protocol.
    pub async fn upgraded(self) -> Result<Upgraded, SendError> {
        self.response.upgrade().await.map_err(|error| SendError::Unanswered(chain(&error.without_url())))
    }
}

/// What went wrong, down to the system's word: the outer layers only say "error sending request".
fn chain(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut at: Option<&dyn std::error::Error> = std::error::Error::source(error);
    if error.is_timeout() {
        texts.push("the time was up".to_owned());
    }
    // No chain of theirs is deeper than about six.
    for _ in 0..16 {
        let Some(error) = at else { break };
        let text = error.to_string();
        if !texts.iter().any(|t| t.contains(&text)) {
            texts.push(text);
        }
        at = error.source();
    }
    if texts.is_empty() { "no reason is known".to_owned() } else { texts.join(": ") }
}
