//! Why a live stream does not begin, or ends. No text holds an address, a value or a secret.

use crate::diagnose::{Code, Diagnostic, Place};
use crate::source::manifest::ReadError;
use crate::wire::event_stream::Endless;
use crate::wire::http::{SendError, SetupError};
use crate::wire::websocket::WebSocketError;
use std::time::Duration;

/// Why a live stream does not begin, or ends.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// What reading a stream by pages may end with, too: templates, logins, hosts.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The connection.
    #[error("the source can't be reached: {0}")]
    Unreached(#[from] SendError),
    /// A status that is none of a stream.
    #[error("the source answered {status}")]
    Refused {
        /// The status.
        status: u16,
        /// How long it asks to be left alone.
        wait: Option<Duration>,
    },
    /// It can't go on after what was stored.
    #[error("the source does not go on after the stored event")]
    CursorLost,
    /// An answer, but no stream.
    #[error("the source answered with something that is no stream: {0}")]
    NoStream(&'static str),
    /// A WebSocket that breaks its rules, or says what is not read.
    #[error("{0}")]
    WebSocket(WebSocketError),
    /// An event without end.
    #[error(transparent)]
    Endless(#[from] Endless),
    /// Ended in order, before anything came.
    #[error("the source ended the connection at once")]
    EndedAtOnce,
    /// No event and no other sign of life.
    #[error("the source was silent for {} s", .0.as_secs())]
    Silent(Duration),
}

impl From<WebSocketError> for StreamError {
    fn from(error: WebSocketError) -> Self {
        match error {
            WebSocketError::Broken(error) => Self::Unreached(error),
            WebSocketError::Handshake(why) => Self::NoStream(why),
            other @ (WebSocketError::TooLong | WebSocketError::Binary | WebSocketError::Protocol(_)) => Self::WebSocket(other),
        }
    }
}

impl From<SetupError> for StreamError {
    fn from(error: SetupError) -> Self {
        Self::Read(error.into())
    }
}

impl StreamError {
    /// The page that explains it.
    pub const fn code(&self) -> Code {
        Code(match self {
            Self::Read(error) => return error.code(),
            Self::Unreached(_) | Self::EndedAtOnce => "KITH-N021",
            Self::Refused { status: 429 | 503, .. } => "KITH-N023",
            Self::Refused { .. } => "KITH-N022",
            Self::Silent(_) => "KITH-N032",
            Self::NoStream(_) => "KITH-N033",
            Self::WebSocket(_) | Self::Endless(_) => "KITH-N034",
            Self::CursorLost => "KITH-N035",
        })
    }

    /// How long the source asks to be left alone.
    pub const fn wait(&self) -> Option<Duration> {
        match self {
            Self::Refused { wait, .. } => *wait,
            Self::Read(ReadError::Wait(wait)) => Some(*wait),
            Self::Read(_)
            | Self::Unreached(_)
            | Self::CursorLost
            | Self::EndedAtOnce
            | Self::NoStream(_)
            | Self::WebSocket(_)
            | Self::Endless(_)
            | Self::Silent(_) => None,
        }
    }

    /// Whether what comes after the stored event can't be read in this stream, however often it is tried: something there is longer than is taken.
    pub const fn blocks(&self) -> bool {
        matches!(self, Self::WebSocket(WebSocketError::TooLong) | Self::Endless(_))
    }

    /// As a problem for people.
    pub fn diagnostic(&self, place: &str) -> Diagnostic {
        let remedy = format!("It is tried again. `kith explain {}` says more", self.code());
        Diagnostic::error(self.code(), Place::Named(place.to_owned()), self.to_string(), remedy)
    }
}
