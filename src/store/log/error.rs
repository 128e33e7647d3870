//! What can go wrong with the log's files, as people are told it.

use crate::audit::NoteError;
use crate::diagnose::{Code, Diagnostic, Place};
use std::io;
use std::path::PathBuf;

/// Why the log can't be opened or appended to.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file can't be read.
    #[error("the audit log's {} can't be read", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file can't be written: no room, read-only, no right. Nothing was published.
    #[error("the audit log's {} can't be written", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The checkpoint is not one of this log by this key.
    #[error("the audit log's {} is not accepted", .path.display())]
    Checkpoint {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: NoteError,
    },
    /// What is on disk contradicts the checkpoint.
    #[error("the audit log contradicts itself at {}: {what}", .path.display())]
    Contradiction {
        /// Where.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The leaves given are not the next ones.
    #[error("the audit log has {expected} entries and was given entry {given} to add")]
    Gap {
        /// The index that comes next.
        expected: u64,
        /// The index that was given.
        given: u64,
    },
    /// A leaf is longer than a bundle can say.
    #[error("audit entry {index} has {bytes} bytes; 65,535 is the limit")]
    TooLong {
        /// Its index.
        index: u64,
        /// Its length.
        bytes: usize,
    },
}

impl LogError {
    /// Whether the disk is the reason, so that waiting or making room helps: deliveries stop and nothing is lost.
    pub const fn is_disk(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Read { .. })
    }

    /// As people are told it.
    pub fn diagnostic(&self) -> Diagnostic {
        let place = |path: &PathBuf| Place::Path(path.display().to_string());
        match self {
            Self::Checkpoint { path, source } => Diagnostic::error(
                Code("KITH-A001"),
                place(path),
                format!("the checkpoint is not accepted: {source}"),
                "Put back the log folder and the keys that belong together; if this was no mistake of an operator, have a reviewer look before anything is written.",
            ),
            Self::Contradiction { path, what } => Diagnostic::error(
                Code("KITH-A002"),
                place(path),
                what.clone(),
                "Run `kith audit verify` to see the first bad place; put the log folder back from a backup, or move it away to have it made anew from the store's rows.",
            ),
            Self::Write { path, source } => {
                #[expect(clippy::wildcard_enum_match_arm, reason = "the system's list of reasons is open")]
                let remedy = match source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        "Make room on the disk. Deliveries wait; they go on by themselves when entries can be written again."
                    }
                    io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                        "Give the service's account the right to write to the state folder. Deliveries wait; nothing is lost."
                    }
                    _ => "Look at the disk. Deliveries wait; nothing is lost.",
                };
                Diagnostic::error(Code("KITH-A003"), place(path), format!("the audit log can't be written: {source}"), remedy)
            }
            Self::Read { path, source } => Diagnostic::error(
                Code("KITH-A004"),
                place(path),
                format!("the audit log can't be read: {source}"),
                "Give the account the right to read the state folder, or mend the disk.",
            ),
            Self::Gap { .. } | Self::TooLong { .. } => Diagnostic::error(
                Code("KITH-A005"),
                Place::Named("audit log".to_owned()),
                self.to_string(),
                "The store's rows and the log do not fit: was one of them put back from a backup without the other? Put back both from the same backup, or move the log folder away to have it made anew.",
            ),
        }
    }
}
