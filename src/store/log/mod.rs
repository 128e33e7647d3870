//! The log's files: C2SP tlog-tiles below `state/log/`, derived from the store's sequenced rows (design §8, §10).
//!
//! Life of an entry: *sequenced* (its row is durable in the store) → *integrated* (its leaf is in the tiles, and a signed checkpoint covers
//! it). Files are written in the order bundles and tiles, their folders, the checkpoint: whatever a crash leaves, the checkpoint covers only
//! what is there, and what lies beyond it is written again.

mod epochs;
mod error;
mod files;
mod keys;
mod looks;
mod nodes;
mod prove;
mod rotation;
mod terms;
mod verify;
mod witness;

pub use epochs::{begin_epoch, epochs};
pub use error::LogError;
pub use files::{add_to_day, durable_folder, durable_names, file_name_of, is_day, is_of_log, replace_in};
pub use keys::{
    HASH_KEY_FILE, InstallationKeys, KeysError, LOG_KEY_FILE, MASTER_KEY_FILE, NEXT_MASTER_FILE, NextMaster, SigningChange, VERIFIER_FILE,
};
pub use nodes::TileNodes;
pub use prove::{COSIGNED, COSIGNED_ENDING, ProveError, Prover, cosigned_notes};
pub use rotation::{Followed, entry, follow, newest_checkpoint, open_by_any};
pub use terms::{SEGMENT, Term, Terms};
pub use verify::{BadPlace, Rows, Verified, VerifyError, verify};
pub use witness::{Look, WITNESS_KEY_FILE, WITNESS_PUBLIC_FILE, Witness, WitnessError, Witnessed};

use crate::audit::tile::{self, Content, TILE_WIDTH, Tile};
use crate::audit::{Checkpoint, LogKey, MAX_ENTRY_BYTES, MAX_NOTE_BYTES, VerifierKey, merkle};
use crate::model::Digest;
use files::Batch;
use std::path::{Path, PathBuf};

/// The file of the newest signed checkpoint.
pub const CHECKPOINT_FILE: &str = "checkpoint";

/// The log's folder, open for appending. One at a time: the lock on the state folder is the store's.
#[derive(Debug)]
pub struct TileLog {
    root: PathBuf,
    key: LogKey,
    /// `None` after a failed write: what is on disk is read again before the next one.
    edge: Option<Edge>,
}

/// The rightmost, partial tile of each level and the rightmost bundle: all that appending needs.
#[derive(Clone, Debug, Default)]
struct Edge {
    size: u64,
    levels: Vec<Vec<Digest>>,
    bundle: Vec<u8>,
}

impl TileLog {
    /// Opens the log, or starts it with a checkpoint over nothing. Leftovers of a crash are put away.
    ///
    /// # Errors
    /// [`LogError`]: the folder can't be read or written; its checkpoint is not signed by this key or does not fit its tiles.
    pub fn open(root: &Path, key: LogKey) -> Result<Self, LogError> {
        Self::open_after(root, key, &[])
    }

    /// As [`TileLog::open`], where these keys signed before: a change of the key that a crash cut short is brought to its end.
    ///
    /// # Errors
    /// As [`TileLog::open`].
    pub fn open_after(root: &Path, key: LogKey, former: &[VerifierKey]) -> Result<Self, LogError> {
        files::prepare(root)?;
        let mut log = Self { root: root.to_owned(), key, edge: None };
        if let Some(note) = files::read(&root.join(CHECKPOINT_FILE), MAX_NOTE_BYTES)?
            && Checkpoint::open(&note, &log.key.verifier()) == Err(crate::audit::NoteError::Unsigned)
            && let Some(before) = former.iter().find(|key| Checkpoint::open(&note, key).is_ok())
        {
            log.edge = Some(read_edge(root, before)?);
            log.adopt(log.key.clone())?;
        }
        if files::read(&root.join(CHECKPOINT_FILE), MAX_NOTE_BYTES)?.is_none() {
            if root.join("tile").exists() {
                return Err(LogError::Contradiction {
                    path: root.join(CHECKPOINT_FILE),
                    what: "there are tiles and no checkpoint".to_owned(),
                });
            }
            log.write_checkpoint(&Edge::default())?;
        }
        log.load()?;
        Ok(log)
    }

    /// How many leaves are integrated: the index of the next one.
    ///
    /// # Errors
    /// After a failed write the disk is read again, with the errors of [`TileLog::open`].
    pub fn size(&mut self) -> Result<u64, LogError> {
        self.load().map(|edge| edge.size)
    }

    /// The public key that verifies this log.
    pub fn verifier(&self) -> VerifierKey {
        self.key.verifier()
    }

    /// Appends sequenced leaves, the first of which is number `next_index`, and publishes the checkpoint over them.
    ///
    /// When it returns, all of it is durable. When it fails, the log reads as before; calling again with the same leaves is right.
    /// With nothing to append the standing checkpoint is returned.
    ///
    /// # Errors
    /// [`LogError`]: `next_index` is not the log's size, a leaf is too long, a file can't be written.
    pub fn integrate<L: AsRef<[u8]>>(&mut self, next_index: u64, leaves: &[L]) -> Result<Checkpoint, LogError> {
        let edge = self.load()?.clone();
        if next_index != edge.size {
            return Err(LogError::Gap { expected: edge.size, given: next_index });
        }
        if let Some((offset, leaf)) = leaves.iter().enumerate().find(|(_, leaf)| leaf.as_ref().len() > MAX_ENTRY_BYTES) {
            return Err(LogError::TooLong { index: next_index + offset as u64, bytes: leaf.as_ref().len() });
        }
        if leaves.is_empty() {
            return self.checkpoint_of(&edge);
        }
        // Until the checkpoint stands, memory and disk may differ: a failure on the way leaves `None`.
        self.edge = None;
        let mut batch = Batch::new(&self.root);
        let (edge, completed) = append(edge, leaves, &mut batch)?;
        batch.publish()?;
        let checkpoint = self.write_checkpoint(&edge)?;
        self.edge = Some(edge);
        for tile in completed {
            files::remove_partials(&self.root, &tile);
        }
        Ok(checkpoint)
    }

    /// The newest signed checkpoint, as it stands on disk.
    ///
    /// # Errors
    /// [`LogError`] where it can't be read.
    pub fn note(&self) -> Result<String, LogError> {
        let path = self.root.join(CHECKPOINT_FILE);
        let note = files::read(&path, MAX_NOTE_BYTES)?.unwrap_or_default();
        String::from_utf8(note).map_err(|_not_utf8| LogError::Contradiction { path, what: "it is not UTF-8".to_owned() })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Another key signs from now on. The last checkpoint by the old one, which covers the entry that names the new one as its last, is
    /// kept beside: `rotations/<entry>`. Doing it again after a crash is right.
    ///
    /// # Errors
    /// [`LogError`]: the last entry does not name this key, or a file can't be written.
    pub fn adopt(&mut self, new: LogKey) -> Result<Checkpoint, LogError> {
        let edge = self.load()?.clone();
        let path = self.root.join(CHECKPOINT_FILE);
        let wrong = |what: &str| LogError::Contradiction { path: path.clone(), what: what.to_owned() };
        let last = edge.size.checked_sub(1).ok_or_else(|| wrong("an empty log names no key"))?;
        let named = crate::audit::Entry::decode(&rotation::entry(&self.root, edge.size, last)?)
            .ok()
            .and_then(|entry| crate::audit::next_key(&entry, self.key.origin()));
        if named != Some(new.verifier()) {
            return Err(wrong("the log's last entry does not name the key that is to sign"));
        }
        let note = files::read(&path, MAX_NOTE_BYTES)?.ok_or_else(|| wrong("the checkpoint is gone"))?;
        let folder = self.root.join(rotation::ROTATIONS);
        let failed = |source| LogError::Write { path: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        files::replace_in(&folder, &last.to_string(), &note, 0o644).map_err(failed)?;
        self.key = new;
        self.write_checkpoint(&edge)
    }

    fn checkpoint_of(&self, edge: &Edge) -> Result<Checkpoint, LogError> {
        let tree = tile::tree_of_edge(edge.size, &edge.levels).ok_or_else(|| LogError::Contradiction {
            path: self.root.clone(),
            what: "the tiles at the right edge do not fit the size".to_owned(),
        })?;
        Ok(Checkpoint { origin: self.key.origin().to_owned(), size: edge.size, root: tree.root() })
    }

    fn write_checkpoint(&self, edge: &Edge) -> Result<Checkpoint, LogError> {
        let checkpoint = self.checkpoint_of(edge)?;
        let path = self.root.join(CHECKPOINT_FILE);
        let note = self.key.sign(&checkpoint).map_err(|source| LogError::Checkpoint { path, source })?;
        files::replace(&self.root, CHECKPOINT_FILE, note.as_bytes())?;
        Ok(checkpoint)
    }

    /// The right edge, read from disk where memory does not have it, and compared with the checkpoint.
    fn load(&mut self) -> Result<&mut Edge, LogError> {
        let edge = match self.edge.take() {
            Some(edge) => edge,
            None => read_edge(&self.root, &self.key.verifier())?,
        };
        Ok(self.edge.insert(edge))
    }
}

fn read_edge(root: &Path, key: &VerifierKey) -> Result<Edge, LogError> {
    let path = root.join(CHECKPOINT_FILE);
    let note = files::read(&path, MAX_NOTE_BYTES)?
        .ok_or_else(|| LogError::Contradiction { path: path.clone(), what: "the checkpoint is gone".to_owned() })?;
    let checkpoint = Checkpoint::open(&note, key).map_err(|source| LogError::Checkpoint { path, source })?;
    let mut edge = Edge { size: checkpoint.size, ..Edge::default() };
    for level in 0..64 {
        let (full, width) = Tile::at_level(Content::Hashes(level), checkpoint.size);
        if full == 0 && width == 0 {
            break;
        }
        let tile = Tile { content: Content::Hashes(level), index: full, width };
        edge.levels.push(match width {
            0 => Vec::new(),
            _ => read_part(root, &tile, |bytes| tile::read_hashes(bytes, width))?,
        });
    }
    let (full, width) = Tile::at_level(Content::Entries, checkpoint.size);
    if width > 0 {
        let tile = Tile { content: Content::Entries, index: full, width };
        edge.bundle = read_part(root, &tile, |bytes| {
            let entries = tile::read_entries(bytes, width).ok()?;
            let hashes = entries.iter().map(|entry| merkle::leaf_hash(entry));
            hashes.eq(edge.levels.first()?.iter().copied()).then(|| bytes.to_vec())
        })?;
    }
    let root_hash = tile::tree_of_edge(edge.size, &edge.levels).map(|tree| tree.root());
    if root_hash == Some(checkpoint.root) {
        Ok(edge)
    } else {
        Err(LogError::Contradiction { path: root.join("tile"), what: "the tiles do not hash to the checkpoint's root".to_owned() })
    }
}

/// The checkpoint of a log's folder, where it and the right edge of the tree fit each other: the quick look, without reading every entry.
/// `None` where there is no log yet.
///
/// # Errors
/// [`LogError`]: what does not fit, or can't be read.
pub fn checkpoint(root: &Path, key: &LogKey) -> Result<Option<Checkpoint>, LogError> {
    if files::read(&root.join(CHECKPOINT_FILE), MAX_NOTE_BYTES)?.is_none() {
        return Ok(None);
    }
    let edge = read_edge(root, &key.verifier())?;
    let tree = tile::tree_of_edge(edge.size, &edge.levels).ok_or_else(|| LogError::Contradiction {
        path: root.to_owned(),
        what: "the tiles at the right edge do not fit the size".to_owned(),
    })?;
    Ok(Some(Checkpoint { origin: key.origin().to_owned(), size: edge.size, root: tree.root() }))
}

/// The entries of a bundle of 256, by its number, as far as a log of this size covers it; `None` where it is missing or does not fit.
pub fn bundle(root: &Path, size: u64, index: u64) -> Option<Vec<Vec<u8>>> {
    let (full, partial) = Tile::at_level(Content::Entries, size);
    let width = match index.cmp(&full) {
        std::cmp::Ordering::Less => TILE_WIDTH,
        std::cmp::Ordering::Equal if partial > 0 => partial,
        std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => return None,
    };
    let tile = Tile { content: Content::Entries, index, width };
    let bytes = files::read(&root.join(tile.path()), files::limit(&tile)).ok()??;
    let entries = tile::read_entries(&bytes, width).ok()?;
    Some(entries.into_iter().map(<[u8]>::to_vec).collect())
}

fn read_part<T>(root: &Path, tile: &Tile, read: impl FnOnce(&[u8]) -> Option<T>) -> Result<T, LogError> {
    let path = root.join(tile.path());
    let wrong = |what: &str| LogError::Contradiction { path: path.clone(), what: what.to_owned() };
    let bytes = files::read(&path, files::limit(tile))?.ok_or_else(|| wrong("the checkpoint covers it and it is missing"))?;
    read(&bytes).ok_or_else(|| wrong("it does not hold what the checkpoint covers"))
}

/// Adds leaves to the edge, each tile and bundle to the batch when it is full, and the partial ones at the end. Returns the tiles that
/// became full and were partial before.
fn append<L: AsRef<[u8]>>(mut edge: Edge, leaves: &[L], batch: &mut Batch) -> Result<(Edge, Vec<Tile>), LogError> {
    let mut completed = Vec::new();
    let started_at = edge.size;
    for leaf in leaves {
        let leaf = leaf.as_ref();
        // The length was checked by the caller.
        tile::push_entry(&mut edge.bundle, leaf).ok_or(LogError::TooLong { index: edge.size, bytes: leaf.len() })?;
        let mut carry = Some(merkle::leaf_hash(leaf));
        let mut level = 0_u8;
        edge.size += 1;
        while let Some(hash) = carry.take() {
            if edge.levels.len() <= usize::from(level) {
                edge.levels.push(Vec::with_capacity(usize::from(TILE_WIDTH)));
            }
            let Some(hashes) = edge.levels.get_mut(usize::from(level)) else { break };
            hashes.push(hash);
            if hashes.len() < usize::from(TILE_WIDTH) {
                break;
            }
            let index = Tile::at_level(Content::Hashes(level), edge.size).0 - 1;
            let tile = Tile { content: Content::Hashes(level), index, width: TILE_WIDTH };
            batch.add(&tile, &hash_bytes(hashes))?;
            carry = Some(tile::full_tile_hash(hashes));
            hashes.clear();
            let mut full = vec![tile];
            if level == 0 {
                let bundle = Tile { content: Content::Entries, ..tile };
                batch.add(&bundle, &edge.bundle)?;
                edge.bundle.clear();
                full.push(bundle);
            }
            // Only the first tile that fills up at a level had a partial form.
            completed.extend(full.into_iter().filter(|t| t.index == Tile::at_level(t.content, started_at).0));
            level += 1;
        }
    }
    for (level, hashes) in (0_u8..).zip(&edge.levels) {
        let (index, width) = Tile::at_level(Content::Hashes(level), edge.size);
        if width > 0 {
            batch.add(&Tile { content: Content::Hashes(level), index, width }, &hash_bytes(hashes))?;
            if level == 0 {
                batch.add(&Tile { content: Content::Entries, index, width }, &edge.bundle)?;
            }
        }
    }
    Ok((edge, completed))
}

fn hash_bytes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
