//! Why a network does not say what still stands. No text holds an address or an id.

use crate::diagnose::{Code, Diagnostic, Place};
use crate::source::manifest::ReadError;
use crate::wire::http::{SendError, SetupError};
use std::time::Duration;

/// Why a network does not say what still stands.
#[derive(Debug, thiserror::Error)]
pub enum ComplianceError {
    /// Its interface.
    #[error(transparent)]
    Interface(#[from] ReadError),
    /// The client.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The way to a file.
    #[error("the file of a job can't be reached: {0}")]
    File(#[from] SendError),
    /// A file that is refused.
    #[error("the place of the files answered {0}")]
    Refused(u16),
    /// A job that brings nothing.
    #[error("a job ended without an answer: {0}")]
    Ended(&'static str),
    /// An answer that is not understood.
    #[error("the answer can't be used: {0}")]
    NotUnderstood(&'static str),
    /// A file elsewhere.
    #[error("the answer can't be used: a file lies {0}")]
    Elsewhere(&'static str),
}

impl ComplianceError {
    /// The page that explains it.
    pub const fn code(&self) -> Code {
        match self {
            Self::Interface(error) => error.code(),
            Self::Setup(_) | Self::File(_) => Code("KITH-N021"),
            Self::Refused(_) | Self::Ended(_) => Code("KITH-N096"),
            Self::NotUnderstood(_) | Self::Elsewhere(_) => Code("KITH-N097"),
        }
    }

    /// How long the network asks to wait.
    pub const fn wait(&self) -> Option<Duration> {
        if let Self::Interface(ReadError::Wait(wait)) = self { Some(*wait) } else { None }
    }

    /// As a problem for people.
    pub fn diagnostic(&self, place: &str) -> Diagnostic {
        let remedy = format!("`kith explain {}` says more", self.code());
        Diagnostic::error(self.code(), Place::Named(place.to_owned()), self.to_string(), remedy)
    }
}
