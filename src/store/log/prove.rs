//! Proofs of single entries from a log's folder, under the newest checkpoint, or under one that witnesses cosigned where it covers the entry.

use super::nodes::TileNodes;
use super::rotation::{self, Followed};
use super::{LogError, files};
use crate::audit::{Bundle, Checkpoint, MAX_NOTE_BYTES, Note, Proof, VerifierKey, merkle};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder below the log's where cosigned checkpoints are kept, one file a witness.
pub const COSIGNED: &str = "cosigned";

/// How cosigned checkpoints are named in a folder.
pub const COSIGNED_ENDING: &str = ".cosigned";

/// Files of cosigned checkpoints that are looked at: one a witness.
const MAX_COSIGNED: usize = 256;

/// A signed checkpoint with whatever cosignatures were found for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The note.
    pub note: String,
    /// How many signature lines it has.
    pub signatures: usize,
}

/// A log's folder, ready to make proofs.
#[derive(Debug)]
pub struct Prover {
    root: PathBuf,
    keys: Vec<Followed>,
    /// Newest first; the first one is the log's own newest.
    signed: Vec<Signed>,
}

/// The cosigned checkpoints in a folder by their text: the file, and the note.
///
/// # Errors
/// [`LogError`] where the folder or a file can't be read.
pub fn cosigned_notes(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, LogError> {
    let names = match std::fs::read_dir(folder) {
        Ok(names) => names,
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(LogError::Read { path: folder.to_owned(), source }),
    };
    let mut paths: Vec<PathBuf> = names
        .flatten()
        .map(|name| name.path())
        .filter(|path| path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.ends_with(COSIGNED_ENDING)))
        .collect();
    paths.sort();
    paths.truncate(MAX_COSIGNED);
    let mut found = Vec::new();
    for path in paths {
        if let Some(note) = files::read(&path, MAX_NOTE_BYTES)? {
            found.push((path, note));
        }
    }
    Ok(found)
}

/// A log's folder can't make proofs.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The log can't be read, or contradicts itself.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The entry is not covered by a checkpoint yet.
    #[error("entry {index} is not in the log: its newest checkpoint covers {size} entries")]
    Beyond {
        /// Which.
        index: u64,
        /// How many are covered.
        size: u64,
    },
}

impl Prover {
    /// Opens a log by a key of its own. Cosigned checkpoints are looked for in the log's folder and in the given ones; those that
    /// are no checkpoints of this log are left out.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn open(root: &Path, key: &VerifierKey, cosigned: &[PathBuf]) -> Result<Self, LogError> {
        let (checkpoint, note, keys) = rotation::newest_checkpoint(root, key).map_err(|(_, error)| error)?;
        let (full, size) = (note, checkpoint.size);
        let mut by_text: BTreeMap<String, (Checkpoint, Vec<String>)> = BTreeMap::new();
        let own = root.join(COSIGNED);
        for folder in std::iter::once(&own).chain(cosigned) {
            for (path, bytes) in cosigned_notes(folder)? {
                let Ok(found) = rotation::open_by_any(&bytes, &keys) else {
                    tracing::debug!(file = %path.display(), "no checkpoint of this log");
                    continue;
                };
                if found.size > size {
                    continue;
                }
                if let Ok(text) = String::from_utf8(bytes)
                    && let Ok(parsed) = Note::parse(text.as_bytes())
                {
                    by_text.entry(parsed.text.to_owned()).or_insert_with(|| (found, Vec::new())).1.push(text.clone());
                }
            }
        }
        let mut signed = Vec::new();
        let newest = by_text.remove(&checkpoint.text()).map_or_else(Vec::new, |(_, notes)| notes);
        signed.push(merged(checkpoint, std::iter::once(full).chain(newest))?);
        let mut older: Vec<Signed> =
            by_text.into_values().map(|(checkpoint, notes)| merged(checkpoint, notes.into_iter())).collect::<Result<_, _>>()?;
        older.sort_by_key(|signed| std::cmp::Reverse(signed.checkpoint.size));
        signed.extend(older);
        Ok(Self { root: root.to_owned(), keys, signed })
    }

    /// How many entries the newest checkpoint covers.
    pub fn size(&self) -> u64 {
        self.signed.first().map_or(0, |signed| signed.checkpoint.size)
    }

    /// The proof of an entry, under the checkpoint with the most signatures that covers it, the newest of those.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn prove(&self, index: u64) -> Result<Proof, ProveError> {
        let covers = self.signed.iter().filter(|signed| signed.checkpoint.size > index);
        let Some(best) = covers.max_by_key(|signed| (signed.signatures, signed.checkpoint.size)) else {
            return Err(ProveError::Beyond { index, size: self.size() });
        };
        self.under(index, &best.checkpoint, &best.note)
    }

    /// Proofs of these entries, preceded by those that lead from the key that the log was opened with to the newest.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn bundle(&self, entries: &[u64]) -> Result<Bundle, ProveError> {
        let mut proofs = Vec::new();
        for (rotation, checkpoint) in self.keys.iter().filter_map(|followed| followed.by.as_ref()) {
            proofs.push(self.under(rotation.entry, checkpoint, &String::from_utf8_lossy(&rotation.note))?);
        }
        for index in entries {
            proofs.push(self.prove(*index)?);
        }
        Ok(Bundle(proofs))
    }

    fn under(&self, index: u64, checkpoint: &Checkpoint, note: &str) -> Result<Proof, ProveError> {
        let beyond = ProveError::Beyond { index, size: checkpoint.size };
        let nodes = TileNodes::new(&self.root, self.size());
        let path = merkle::inclusion_proof(&nodes, index, checkpoint.size)?.ok_or(beyond)?;
        let entry = rotation::entry(&self.root, self.size(), index)?;
        if !merkle::verify_inclusion(merkle::leaf_hash(&entry), index, checkpoint.size, &path, &checkpoint.root) {
            let what = format!("entry {index} does not lead to the root of the checkpoint over {} entries", checkpoint.size);
            return Err(LogError::Contradiction { path: self.root.join("tile"), what }.into());
        }
        Ok(Proof { index, entry, path, note: note.to_owned() })
    }
}

/// One note of several over the same text: every signature line once.
fn merged(checkpoint: Checkpoint, notes: impl Iterator<Item = String>) -> Result<Signed, LogError> {
    let notes: Vec<String> = notes.collect();
    let mut lines = Vec::new();
    let mut text = checkpoint.text();
    for note in &notes {
        let parsed = Note::parse(note.as_bytes()).map_err(|source| LogError::Checkpoint { path: PathBuf::from(COSIGNED), source })?;
        parsed.text.clone_into(&mut text);
        for signature in parsed.signatures {
            if !lines.contains(&signature) {
                lines.push(signature);
            }
        }
    }
    let signatures = lines.len();
    let note = Note { text: &text, signatures: lines }.render();
    Ok(Signed { checkpoint, note, signatures })
}
