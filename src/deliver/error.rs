//! What a target answers when it does not write. "Outcome unknown" is a value of its own, never folded into failure.

use crate::declare::connector::FaultClass;
use crate::diagnose::Code;
use crate::model::ParkReason;
use crate::wire::session::SessionError;
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
    /// The batch is refused as a whole and nobody says which record is at fault. Nothing of it was written: it is split until the bad record
    /// stands alone.
    #[error("{message}")]
    BatchRefused {
        /// The page that explains it.
        code: Code,
        /// What the target says.
        message: Arc<str>,
    },
    /// This request failed for a reason that may pass. Nothing was written; it is tried again, and each failure counts.
    #[error("{message}")]
    Failed {
        /// The page that explains it.
        code: Code,
        /// What the target says.
        message: Arc<str>,
        /// How long the target asks to be left alone with it.
        retry_after: Option<Duration>,
    },
    /// The endpoint can't take anything now. Nothing was written; it is tried again, and no delivery is blamed.
    #[error("{message}")]
    Unavailable {
        /// The page that explains it.
        code: Code,
        /// What the target says.
        message: Arc<str>,
        /// How long the target asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The endpoint says: not now, too much. Nothing was written.
    #[error("{message}")]
    Throttled {
        /// The page that explains it.
        code: Code,
        /// What the target says.
        message: Arc<str>,
        /// How long it asks to be left alone; `None` where it does not say.
        wait: Option<Duration>,
    },
    /// The login has run out or was ended. Nothing was written: [`Target::login`](super::Target::login), then again at once.
    #[error("{message}")]
    LoginExpired {
        /// The page that explains it.
        code: Code,
        /// What the target says.
        message: Arc<str>,
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

    /// Of a request that only reads: nothing is unknown then.
    #[must_use]
    pub(super) fn of_reading(self) -> Self {
        match self {
            Self::OutcomeUnknown { message } => Self::unavailable("KITH-D018", message),
            other @ (Self::Refused { .. }
            | Self::BatchRefused { .. }
            | Self::Failed { .. }
            | Self::Unavailable { .. }
            | Self::Throttled { .. }
            | Self::LoginExpired { .. }) => other,
        }
    }

    /// Its class.
    pub const fn class(&self) -> FaultClass {
        match self {
            Self::Refused { .. } => FaultClass::Refused,
            Self::BatchRefused { .. } => FaultClass::BatchRefused,
            Self::Failed { .. } => FaultClass::Failed,
            Self::Unavailable { .. } => FaultClass::Unavailable,
            Self::Throttled { .. } => FaultClass::Throttled,
            Self::LoginExpired { .. } => FaultClass::LoginExpired,
            Self::OutcomeUnknown { .. } => FaultClass::OutcomeUnknown,
        }
    }

    /// The page that explains it.
    pub const fn code(&self) -> Code {
        match self {
            Self::Refused { code, .. }
            | Self::BatchRefused { code, .. }
            | Self::Failed { code, .. }
            | Self::Unavailable { code, .. }
            | Self::Throttled { code, .. }
            | Self::LoginExpired { code, .. } => *code,
            Self::OutcomeUnknown { .. } => Code("KITH-D009"),
        }
    }

    /// As the reason of a dead letter.
    pub fn park_reason(&self) -> ParkReason {
        ParkReason { code: self.code().0, message: self.to_string().into() }
    }
}

impl From<SessionError> for DeliveryError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Unavailable { code, message, retry_after } => Self::Unavailable { code, message, retry_after },
            SessionError::Throttled { code, message, wait } => Self::Throttled { code, message, wait },
            SessionError::Unanswered { message } => Self::OutcomeUnknown { message },
        }
    }
}
