//! What a target answers when it does not write. "Outcome unknown" is a value of its own, never folded into failure.

use crate::diagnose::Code;
use crate::model::ParkReason;
use std::sync::Arc;
use std::time::Duration;

/// Why there is no receipt. Messages name fields, lengths and limits, never values.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeliveryError {
    /// This record is refused for what it is: it parks, the others go on. Nothing of it was written.
    #[error("{message}")]
    Refused {
        /// The page that explains it.
        code: Code,
        /// What is wrong with it.
        message: Arc<str>,
    },
    /// The target can't take anything now. Nothing was written; it is tried again.
    #[error("{message}")]
    Unavailable {
        /// The page that explains it.
        code: Code,
        /// What the target says.
        message: Arc<str>,
        /// How long the target asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The write may have arrived. It is settled by reading back ([`Target::settle`](super::Target::settle)), never by hoping.
    #[error("{message}")]
    OutcomeUnknown {
        /// What happened.
        message: Arc<str>,
    },
}

impl DeliveryError {
    pub(super) fn refused(code: &'static str, message: impl Into<Arc<str>>) -> Self {
        Self::Refused { code: Code(code), message: message.into() }
    }

    pub(super) fn unavailable(code: &'static str, message: impl Into<Arc<str>>) -> Self {
        Self::Unavailable { code: Code(code), message: message.into(), retry_after: None }
    }

    pub(super) fn unknown(message: impl Into<Arc<str>>) -> Self {
        Self::OutcomeUnknown { message: message.into() }
    }

    /// The page that explains it.
    pub const fn code(&self) -> Code {
        match self {
            Self::Refused { code, .. } | Self::Unavailable { code, .. } => *code,
            Self::OutcomeUnknown { .. } => Code("KITH-D009"),
        }
    }

    /// As the reason of a dead letter.
    pub fn park_reason(&self) -> ParkReason {
        ParkReason { code: self.code().0, message: self.to_string().into() }
    }
}
