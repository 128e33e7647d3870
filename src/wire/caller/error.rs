//! Why a call is not made.

use super::fill::FillError;
use crate::diagnose::Code;
use crate::wire::session::SessionError;
use crate::wire::soap::{Reason, Refusal};
use crate::wire::wsdl::FindError;
use std::sync::Arc;

/// Values that can't stand in a request. Nothing was sent. The message names elements and limits, never values.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// The page that explains it.
    pub code: Code,
    /// What is wrong.
    pub message: Arc<str>,
}

impl Refused {
    /// What the contract refuses.
    pub fn of(refusal: &Refusal) -> Self {
        let place = if refusal.path.is_empty() { "the request".to_owned() } else { format!("`{}`", refusal.path) };
        let code = match refusal.reason {
            Reason::NotOfType(_) | Reason::WrongKind(_) | Reason::Uncarried(_) | Reason::NotNillable | Reason::Fixed => "KITH-D062",
            Reason::Missing | Reason::MissingChoice(_) | Reason::TooFew { .. } => "KITH-D006",
            Reason::UnknownElement(_)
            | Reason::UnknownAttribute(_)
            | Reason::Choice(_)
            | Reason::TooMany(_)
            | Reason::NoValue
            | Reason::NoElements
            | Reason::Abstract(_)
            | Reason::UnknownType(_)
            | Reason::NotDerived
            | Reason::NotUnderstood(_)
            | Reason::TooDeep(_) => "KITH-D020",
        };
        Self { code: Code(code), message: format!("{place} in the request: {}", refusal.reason).into() }
    }

    /// With a code of the target file's own making.
    pub fn with(code: &'static str, message: impl Into<Arc<str>>) -> Self {
        Self { code: Code(code), message: message.into() }
    }
}

/// Why a call is not made, or has no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// The values.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The service.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl From<FillError> for CallError {
    fn from(error: FillError) -> Self {
        let code = match error {
            FillError::NoValue(_) => "KITH-D006",
            FillError::Path(_) => "KITH-D020",
        };
        Self::Refused(Refused::with(code, error.to_string()))
    }
}

impl From<FindError> for CallError {
    /// No record is to blame: everything waits until the file is right.
    fn from(error: FindError) -> Self {
        Self::Session(SessionError::unavailable("KITH-D022", error.to_string()))
    }
}
