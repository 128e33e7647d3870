//! What stops a run. A source, target or customers table that fails is a [`super::Fault`] instead: the rest goes on.

use crate::audit::{SealError, TooLarge};
use crate::diagnose::{CATALOGUE, Code, Diagnostic, Place};
use crate::store::StoreError;
use crate::store::log::{KeysError, LogError};
use std::io;

/// Why a run ends.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log can't be written: nothing more is sent (fail closed).
    #[error(transparent)]
    Log(#[from] LogError),
    /// The installation's keys can't be read or written.
    #[error(transparent)]
    Keys(KeysError),
    /// A personal value can't be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// An audit entry is too large to be written.
    #[error(transparent)]
    Entry(#[from] TooLarge),
    /// A part that failed, told as a fault where the rest can go on.
    #[error("{}", .0.message)]
    Fault(super::Fault),
    /// The control socket or the process's signals.
    #[error("the control socket or the signals failed: {0}")]
    Control(#[source] io::Error),
    /// A task died: a fault of Kith.
    #[error("a part of kith died: {0}")]
    Task(#[source] tokio::task::JoinError),
    /// A part panicked: a fault of Kith. What it said, where that is a constant of the program; else it stands on stderr.
    #[error("a part of kith panicked{}", .0.map(|said| format!(": {said}")).unwrap_or_default())]
    Panicked(Option<&'static str>),
    /// Metrics can't be served.
    #[error("metrics can't be served at {address}: {source}")]
    Metrics {
        /// Where.
        address: std::net::SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A second signal: the end at once.
    #[error("a second signal ended the service at once")]
    Interrupted,
    /// Whoever asks has not the role for it.
    #[error("{user} may not do this: the role is {role}, and it takes {needs}")]
    NotAllowed {
        /// The account.
        user: std::sync::Arc<str>,
        /// Its role.
        role: &'static str,
        /// The roles that may.
        needs: String,
    },
    /// The running service refused a request.
    #[error("the running service refused ({code}): {reason}")]
    Refused {
        /// The service's code.
        code: String,
        /// Its reason.
        reason: String,
    },
}

const SEALING: Code = Code("KITH-R003");
const ENTRY: Code = Code("KITH-R004");
const CONTROL: Code = Code("KITH-R005");
const TASK: Code = Code("KITH-R006");
const REFUSED: Code = Code("KITH-R007");
const METRICS: Code = Code("KITH-R034");
const NOT_ALLOWED: Code = Code("KITH-R056");
const INTERRUPTED: Code = Code("KITH-R030");

impl RunError {
    /// Whether starting again can't help: the state is not as it must be, or not ours. Everything else may pass: a full or read-only disk,
    /// what a database says for a moment, a panic.
    pub const fn is_fatal(&self) -> bool {
        match self {
            Self::Store(error) => match error {
                StoreError::Stopped | StoreError::Damaged(_) | StoreError::Locked(_) | StoreError::Newer { .. } | StoreError::Absent(_) => {
                    true
                }
                StoreError::Full(_) | StoreError::ReadOnly(_) | StoreError::Database(_) | StoreError::Refused(_) => false,
            },
            Self::Log(error) => !error.is_disk(),
            Self::Interrupted | Self::Keys(_) => true,
            Self::Metrics { .. }
            | Self::Seal(_)
            | Self::Entry(_)
            | Self::Fault(_)
            | Self::Control(_)
            | Self::Task(_)
            | Self::Panicked(_)
            | Self::NotAllowed { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// The page that explains it.
    pub fn code(&self) -> Code {
        self.diagnostic().code
    }

    /// As a problem to be told.
    pub fn diagnostic(&self) -> Diagnostic {
        let kith = || Place::Named("kith".into());
        match self {
            Self::Store(error) => error.diagnostic(),
            Self::Log(error) => error.diagnostic(),
            Self::Keys(error) => error.diagnostic(),
            Self::Fault(fault) => {
                Diagnostic::error(Code(fault.code), Place::Named(fault.place.clone()), fault.message.clone(), fault.remedy.clone())
            }
            Self::Seal(error) => {
                Diagnostic::error(SEALING, kith(), error.to_string(), "check that `state/keys` belongs to this state folder")
            }
            Self::Entry(error) => Diagnostic::error(
                ENTRY,
                kith(),
                error.to_string(),
                "a mapping delivers hundreds of fields at once: deliver fewer in one entry",
            ),
            Self::Control(error) => {
                let remedy =
                    "check that the state folder's path is short (a socket's path has at most 107 bytes) and its folder is writable";
                Diagnostic::error(CONTROL, Place::Named("the control socket".into()), error.to_string(), remedy)
            }
            Self::Task(error) => {
                let remedy = "nothing is lost: start again, and report this with the log";
                Diagnostic::error(TASK, kith(), format!("a part of kith died: {error}"), remedy)
            }
            Self::Panicked(_) => {
                let remedy = "nothing is lost; report this with the log";
                Diagnostic::error(TASK, kith(), self.to_string(), remedy)
            }
            Self::Metrics { .. } => {
                let remedy = "find who has the port (`ss -ltnp`), or name another one in `[metrics] listen` and reload";
                Diagnostic::error(METRICS, Place::Named("[metrics]".into()), self.to_string(), remedy)
            }
            Self::Interrupted => {
                let remedy = "nothing is lost: what was being sent is settled at the next start";
                Diagnostic::error(INTERRUPTED, kith(), self.to_string(), remedy)
            }
            Self::NotAllowed { .. } => {
                let remedy = "ask somebody who has it, or let whoever owns the configuration change [roles]";
                Diagnostic::error(NOT_ALLOWED, Place::Named("[roles]".into()), self.to_string(), remedy)
            }
            Self::Refused { code, reason } => {
                let place = Place::Named("the running service".into());
                Diagnostic::error(REFUSED, place, format!("the service refused: {reason}"), format!("kith explain {code}"))
            }
        }
    }
}

const ALLOWANCE: Code = Code("KITH-R012");

impl super::Fault {
    /// From a problem.
    pub fn of(problem: Diagnostic) -> Self {
        Self { code: problem.code.0, place: problem.place.to_string(), message: problem.message, remedy: problem.remedy }
    }

    /// A target that could not take everything.
    pub fn target(name: &str, reason: &crate::store::EndpointReason) -> Self {
        // Codes of the store's rows are those of the catalogue.
        let code = CATALOGUE.iter().find(|page| page.code.0 == &*reason.code).map_or("KITH-D001", |page| page.code.0);
        Self {
            code,
            place: format!("target {name}"),
            message: format!("the target did not take everything: {}", reason.message),
            remedy: "mend the target and run again: what is left waits in the outbox, in order".into(),
        }
    }

    /// A run that may write no more.
    pub fn allowance(name: &str) -> Self {
        Self {
            code: ALLOWANCE.0,
            place: format!("target {name}"),
            message: "the run's --max-writes is used up".into(),
            remedy: "run again for the rest: it waits in the outbox, in order".into(),
        }
    }
}
