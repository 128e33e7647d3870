//! A tunnel through a forward proxy for a `WebSocket` without TLS: such a proxy takes `Upgrade` out of what it hands on, so that the client asks it for the
//! connection itself (`CONNECT`: RFC 6455, section 4.1; RFC 9110, section 9.3.6), as every client does for TLS.

use super::tls::Trust;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue, PROXY_AUTHORIZATION};
use hyper::rt::{Read, Write};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Why nothing came through.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The proxy does not open the way: nothing of the request left.
    #[error("{0}")]
    Closed(String),
    /// The way was open, and the other side did not answer.
    #[error("{0}")]
    Unanswered(String),
}

fn closed(error: impl std::fmt::Display) -> TunnelError {
    TunnelError::Closed(error.to_string())
}

fn unanswered(error: impl std::fmt::Display) -> TunnelError {
    TunnelError::Unanswered(error.to_string())
}

/// The answer to a GET, over a connection of its own that the proxy opens; after 101 that connection can be had. Only the beginning of an answer is read.
/// The address is `http`; `login` is the proxy's, and `tls` how it is reached where its own address is `https`.
///
/// # Errors
/// Where the proxy can't be reached or refuses, or there is no answer.
pub async fn get(
    (proxy, tls): (&str, Option<&Trust>),
    login: Option<HeaderValue>,
    url: &str,
    mut headers: HeaderMap,
) -> Result<Response<Vec<u8>>, TunnelError> {
    let (proxy, url): (Uri, Uri) = (proxy.parse().map_err(closed)?, url.parse().map_err(closed)?);
    let place = |uri: &Uri, usual: u16| Some((uri.host()?.to_owned(), uri.port_u16().unwrap_or(usual)));
    let usual = if tls.is_some() { 443 } else { 80 };
    let ((proxy, proxy_port), (host, port)) =
        place(&proxy, usual).zip(place(&url, 80)).ok_or_else(|| closed("an address can't be used"))?;
    // An address of version 6 stands in brackets there, and without them here.
    let proxy = proxy.trim_matches(['[', ']']);
    let socket = TcpStream::connect((proxy, proxy_port)).await.map_err(closed)?;
    let authority = format!("{host}:{port}");
    let mut ask = HeaderMap::new();
    ask.insert(HOST, authority.parse().map_err(closed)?);
    ask.extend(login.map(|login| (PROXY_AUTHORIZATION, login)));
    let answer = match tls {
        None => sent(TokioIo::new(socket), Method::CONNECT, &authority, ask).await,
        Some(tls) => {
            let secured = tls.connect(proxy, socket).await.map_err(closed)?;
            sent(TokioIo::new(secured), Method::CONNECT, &authority, ask).await
        }
    };
    let answer = answer.map_err(closed)?;
    if !answer.status().is_success() {
        return Err(closed(format!("the proxy answers {} to a tunnel", answer.status().as_u16())));
    }
    let through = hyper::upgrade::on(answer).await.map_err(closed)?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    headers.insert(HOST, if port == 80 { host } else { authority }.parse().map_err(closed)?);
    sent(through, Method::GET, path, headers).await.map_err(unanswered)
}

/// One request over a connection, which serves for nothing else afterwards.
async fn sent<C: Read + Write + Send + Unpin + 'static>(
    connection: C,
    method: Method,
    to: &str,
    headers: HeaderMap,
) -> Result<Response<Vec<u8>>, String> {
    let mut request = Request::builder().method(method).uri(to).body(String::new()).map_err(|error| error.to_string())?;
    *request.headers_mut() = headers;
    let (mut sender, driver) = http1::handshake(connection).await.map_err(|error| error.to_string())?;
    // It ends with the connection: when that is handed on, or when the answer is dropped.
    tokio::spawn(driver.with_upgrades());
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    Ok(answer.map(|_beginning| Vec::new()))
}
