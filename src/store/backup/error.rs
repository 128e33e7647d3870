//! What can go wrong with a backup, as people are told it.

use crate::audit::NoteError;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::store::StoreError;
use std::io;
use std::path::PathBuf;

/// Why a backup can't be made, opened or used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file of public or secret keys that can't be used.
    #[error("{what}")]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never a key.
        what: String,
    },
    /// A file can't be read or written.
    #[error("it can't be read or written: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// None of the secret keys opens it, or it is no file in the age format.
    #[error("it can't be opened: {what}")]
    Sealed {
        /// The backup.
        path: PathBuf,
        /// Why.
        what: &'static str,
    },
    /// The manifest is not accepted.
    #[error("its manifest is not accepted: {source}")]
    Manifest {
        /// The backup.
        path: PathBuf,
        /// Why.
        source: NoteError,
    },
    /// What is in it is not what its manifest says.
    #[error("it does not hold: {what}")]
    Wrong {
        /// The backup.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    /// As people are told it.
    pub fn diagnostic(&self) -> Diagnostic {
        let (code, path, remedy) = match self {
            Self::Store(error) => return error.diagnostic(),
            Self::Keys { path, .. } => (
                Code("KITH-B001"),
                path,
                "public keys stand one a line as `age-keygen -y` prints them, secret ones as `age-keygen` wrote them",
            ),
            Self::Io { path, .. } => {
                (Code("KITH-B002"), path, "make room, give the account the right to it, or mount the share again; then repeat the command")
            }
            Self::Sealed { path, .. } => (
                Code("KITH-B003"),
                path,
                "give the secret key that belongs to one of the recipients of then with --identity, or another backup",
            ),
            Self::Manifest { path, .. } => (
                Code("KITH-B004"),
                path,
                "give the verifier key of the log that the backup is of (--key); one that is signed by nobody known is not restored",
            ),
            Self::Wrong { path, .. } => (Code("KITH-B004"), path, "take another backup, and keep this one for whoever finds out why"),
        };
        Diagnostic::error(code, Place::Path(path.display().to_string()), self.to_string(), remedy)
    }
}
