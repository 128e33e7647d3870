//! What can go wrong with a source as a whole. A bad line is no such thing: it is parked, and the rest goes on.

use super::rows::RowsFault;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::wire::input::InputError;
use std::io;
use std::path::PathBuf;

/// Why a source gives no lines, or no more.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The drop folder.
    #[error("the drop folder {} can't be read", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file of records.
    #[error("{} can't be read: {fault}", .path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// Why.
        fault: RowsFault,
    },
    /// Its records file was not read.
    #[error("{} can't be read: its records file was not loaded", .0.display())]
    NotLoaded(PathBuf),
    /// Read to its end, but it can't be put away. It will not be read again: its cursor says finished.
    #[error("{} is read, but can't be moved to {}", .from.display(), .to.display())]
    PutAway {
        /// The file.
        from: PathBuf,
        /// The folder for finished files.
        to: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl SourceError {
    /// The page that explains it.
    pub const fn code(&self) -> Code {
        Code(match self {
            Self::Input(InputError::Missing(_)) => "KITH-I020",
            Self::Input(InputError::Unreadable { .. }) => "KITH-I021",
            Self::Input(InputError::NotAFile(_)) => "KITH-I022",
            Self::Input(InputError::CutOff(_)) => "KITH-I023",
            Self::Input(InputError::Damaged { .. }) => "KITH-I024",
            Self::Input(InputError::Changed(_)) => "KITH-I025",
            Self::Rows { .. } | Self::NotLoaded(_) => "KITH-I092",
            Self::Folder { .. } => "KITH-I026",
            Self::PutAway { .. } => "KITH-I027",
        })
    }

    /// The file or folder.
    fn path(&self) -> &PathBuf {
        match self {
            Self::Input(
                InputError::Missing(path)
                | InputError::NotAFile(path)
                | InputError::CutOff(path)
                | InputError::Changed(path)
                | InputError::Unreadable { path, .. }
                | InputError::Damaged { path, .. },
            )
            | Self::Folder { path, .. }
            | Self::Rows { path, .. }
            | Self::NotLoaded(path)
            | Self::PutAway { from: path, .. } => path,
        }
    }

    /// As a problem for people.
    pub fn diagnostic(&self) -> Diagnostic {
        let remedy = match self {
            Self::Input(InputError::Missing(_)) => "Check `path` of the source, or bring the file",
            Self::Input(InputError::Unreadable { .. }) => "Give the service's user the right to read it, and check the disk",
            Self::Input(InputError::NotAFile(_)) => "Name a file in `path`, or give the source `inbox` and `done` for a folder",
            Self::Input(InputError::CutOff(_)) => {
                "The good lines before the cut are taken; bring the whole file under the same name, and reading goes on where it stopped"
            }
            Self::Input(InputError::Damaged { .. }) => "The good lines before the damage are taken; bring the file again",
            Self::Input(InputError::Changed(_)) => "Write files under another name and rename them when they are complete",
            Self::Rows { .. } => "Bring the file again in the form that `format` of the source says, or correct `format`",
            Self::NotLoaded(_) => "Check `records` of the source",
            Self::Folder { .. } => "Make the folder, and give the service's user the right to read it",
            Self::PutAway { .. } => {
                "Give the service's user the right to write both folders, and check for free space; the file is not read again"
            }
        };
        let cause = std::error::Error::source(self).map(|cause| format!(": {cause}")).unwrap_or_default();
        Diagnostic::error(self.code(), Place::Path(self.path().display().to_string()), format!("{self}{cause}"), remedy)
    }
}
