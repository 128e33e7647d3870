//! Beginnings of epochs in a log's folder: `epochs/<n>` says that the log was put back from a backup of its first `n` entries.

use super::{Followed, LogError, files};
use crate::audit::{Epoch, LogKey, MAX_NOTE_BYTES, NoteError, by_any};
use std::fs;
use std::io;
use std::path::Path;

/// The folder below the log's.
const EPOCHS: &str = "epochs";

/// Restores of one log: one a month for thirty years.
const MAX_EPOCHS: usize = 400;

/// Writes down, signed, that an epoch begins.
///
/// # Errors
/// [`LogError`].
pub fn begin_epoch(root: &Path, epoch: &Epoch, key: &LogKey) -> Result<(), LogError> {
    let folder = root.join(EPOCHS);
    let path = folder.join(epoch.begins.to_string());
    let note = epoch.sign(key).map_err(|source| LogError::Checkpoint { path: path.clone(), source })?;
    files::own_folder(&folder).map_err(|source| LogError::Write { path: folder.clone(), source })?;
    files::replace_in(&folder, &epoch.begins.to_string(), note.as_bytes(), 0o644).map_err(|source| LogError::Write { path, source })
}

/// Every epoch after the first that a log's folder tells of, by any of the log's keys, oldest first.
///
/// # Errors
/// [`LogError`]: a file can't be read, or is not signed by the log.
pub fn epochs(root: &Path, keys: &[Followed]) -> Result<Vec<Epoch>, LogError> {
    let folder = root.join(EPOCHS);
    let names = match fs::read_dir(&folder) {
        Ok(names) => names,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(LogError::Read { path: folder, source }),
    };
    let mut found = Vec::new();
    for name in names {
        let path = name.map_err(|source| LogError::Read { path: folder.clone(), source })?.path();
        let strange = |what: &str| LogError::Contradiction { path: path.clone(), what: what.to_owned() };
        if found.len() >= MAX_EPOCHS {
            return Err(strange("there are too many"));
        }
        let note = files::read(&path, MAX_NOTE_BYTES)?.ok_or_else(|| strange("it is gone"))?;
        let opened = by_any(keys.iter().map(|followed| &followed.key), NoteError::Unsigned, |key| Epoch::open(&note, key));
        found.push(opened.map_err(|source| LogError::Checkpoint { path: path.clone(), source })?);
    }
    found.sort_by_key(|epoch: &Epoch| (epoch.begins, epoch.at));
    Ok(found)
}
