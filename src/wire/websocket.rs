//! `WebSocket` as a client (RFC 6455): over the same HTTP client as every other request, so that the proxy, the certificates and the hosts are its own.

use super::http::{Opened, SendError, Upgraded};
use futures_util::{SinkExt as _, StreamExt as _};
use std::fmt;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

/// 1 MiB, as for other events. The length stands before the content: nothing of a longer message is read.
pub const LONGEST_MESSAGE: usize = 1 << 20;
/// What this side writes are answers to pings, of at most 125 bytes: what waits is bounded by a few hundred of them.
const LONGEST_WAITING: usize = 64 * 1024;

/// What a server says.
#[derive(PartialEq, Eq)]
pub enum Said {
    /// A message.
    Text(String),
    /// A ping or pong: a sign of life.
    Beat,
    /// The end, in order.
    End,
}

impl fmt::Debug for Said {
    /// The text may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text",
            Self::Beat => "Beat",
            Self::End => "End",
        })
    }
}

/// Why a WebSocket ends.
#[derive(Debug, thiserror::Error)]
pub enum WebSocketError {
    /// The connection.
    #[error(transparent)]
    Broken(#[from] SendError),
    /// The server does not change to it as the RFC asks.
    #[error("the server does not answer as a WebSocket does: {0}")]
    Handshake(&'static str),
    /// A message beyond [`LONGEST_MESSAGE`].
    #[error("a message is longer than {LONGEST_MESSAGE} bytes")]
    TooLong,
    /// A message that is no text.
    #[error("a message is binary")]
    Binary,
    /// Bytes that the RFC does not allow, or text that is no UTF-8.
    #[error("what comes is no WebSocket: {0}")]
    Protocol(String),
}

/// The key of a handshake; the answer must prove that it was read (section 4.1 of the RFC).
pub struct Offer(String);

impl Offer {
    /// A new one.
    pub fn new() -> Self {
        Self(generate_key())
    }

    /// The headers that ask for it.
    pub fn headers(&self) -> [(String, String); 4] {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        [
            header("Connection", "Upgrade"),
            header("Upgrade", "websocket"),
            header("Sec-WebSocket-Version", "13"),
            header("Sec-WebSocket-Key", &self.0),
        ]
    }

    /// The connection that was offered, where the answer takes it.
    ///
    /// # Errors
    /// Where the answer is not what section 4.1 asks for.
    pub async fn taken(self, answer: Opened) -> Result<WebSocket, WebSocketError> {
        if answer.status != 101 {
            return Err(WebSocketError::Handshake("its status is not 101"));
        }
        if !answer.header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket")) {
            return Err(WebSocketError::Handshake("it changes to something else"));
        }
        if answer.header("sec-websocket-accept") != Some(&*derive_accept_key(self.0.as_bytes())) {
            return Err(WebSocketError::Handshake("it has not read the key"));
        }
        if answer.header("sec-websocket-extensions").is_some() || answer.header("sec-websocket-protocol").is_some() {
            return Err(WebSocketError::Handshake("it chooses what was not offered"));
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(LONGEST_MESSAGE))
            .max_frame_size(Some(LONGEST_MESSAGE))
            .max_write_buffer_size(LONGEST_WAITING)
            .write_buffer_size(0);
        let inner = WebSocketStream::from_raw_socket(answer.upgraded().await?, Role::Client, Some(config)).await;
        Ok(WebSocket(inner))
    }
}

impl Default for Offer {
    fn default() -> Self {
        Self::new()
    }
}

/// An open WebSocket.
pub struct WebSocket(WebSocketStream<Upgraded>);

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebSocket")
    }
}

impl WebSocket {
    /// What is said next; pings are answered. A dropped future has taken nothing.
    ///
    /// # Errors
    /// Where it ends otherwise than in order, or says what is not read.
    pub async fn next(&mut self) -> Result<Said, WebSocketError> {
        match self.0.next().await {
            None | Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed)) => Ok(Said::End),
            Some(Ok(Message::Text(text))) => Ok(Said::Text(text.as_str().to_owned())),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(Said::Beat),
            Some(Ok(Message::Binary(_))) => Err(WebSocketError::Binary),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// Asks the other side for a sign of life.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub async fn ping(&mut self) -> Result<(), WebSocketError> {
        Ok(self.0.send(Message::Ping(Bytes::new())).await?)
    }
}

impl From<Error> for WebSocketError {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Self::TooLong,
            Error::Io(error) => Self::Broken(SendError::Unanswered(error.to_string())),
            // These texts name rules of the protocol.
            Error::Protocol(error) => Self::Protocol(error.to_string()),
            Error::Utf8(_) => Self::Protocol("a text is no UTF-8".to_owned()),
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Tls(_)
            | Error::Capacity(_)
            | Error::WriteBufferFull(_)
            | Error::AttackAttempt
            | Error::Url(_)
            | Error::Http(_)
            | Error::HttpFormat(_) => Self::Broken(SendError::Unanswered("the connection ended".to_owned())),
        }
    }
}
