//! What a witness saw, look by look: when a log was put back from a backup, its first entries must still be those that were seen then.

use super::{LogError, files};
use crate::audit::Checkpoint;
use crate::model::Digest;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

const LOOKS: &str = "looks";

/// Where it is cut in half: at some 80 bytes a look, one a minute, more than a month.
const MAX_BYTES: usize = 4 << 20;

/// The looks that are kept, as size and root, oldest first. A line that is none (a crash while it was written) is left out.
pub(super) fn read(about: &Path) -> Result<Vec<(u64, Digest)>, LogError> {
    let bytes = files::read(&about.join(LOOKS), 2 * MAX_BYTES)?.unwrap_or_default();
    let line = |line: &str| {
        let (size, root) = line.split_once(' ')?;
        Some((size.parse().ok()?, Digest::from_hex(root)?))
    };
    Ok(String::from_utf8_lossy(&bytes).lines().filter_map(line).collect())
}

/// Looks as the file has them.
fn lines<'a, R: std::fmt::Display + 'a>(looks: impl Iterator<Item = &'a (u64, R)>) -> String {
    looks.map(|(size, root)| [size.to_string(), root.to_string()].join(" ") + "\n").collect()
}

/// Remembers a look.
pub(super) fn add(about: &Path, checkpoint: &Checkpoint) -> Result<(), LogError> {
    let path = about.join(LOOKS);
    let failed = |source: io::Error| LogError::Write { path: path.clone(), source };
    if fs::metadata(&path).is_ok_and(|m| m.len() > MAX_BYTES as u64) {
        let kept = read(about)?;
        files::replace_in(about, LOOKS, lines(kept.iter().skip(kept.len() / 2)).as_bytes(), 0o600).map_err(failed)?;
    }
    let added = OpenOptions::new().append(true).create(true).open(&path).and_then(|mut file| {
        file.write_all(format!("{} {}\n", checkpoint.size, checkpoint.root).as_bytes())?;
        file.sync_all()
    });
    added.map_err(failed)
}

/// After a restore that was accepted, looks beyond it are of a history that is no more.
pub(super) fn forget_after(about: &Path, begins: u64) -> Result<(), LogError> {
    let kept = lines(read(about)?.iter().filter(|(size, _)| *size <= begins));
    files::replace_in(about, LOOKS, kept.as_bytes(), 0o600).map_err(|source| LogError::Write { path: about.join(LOOKS), source })
}
