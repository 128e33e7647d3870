//! The log's signing keys one after the other: each later one is named by an entry that the one before signed for the last time.
//!
//! `rotations/<n>` holds the last checkpoint that a key signed: it covers entry `n`, a `key.rotated` that names the next key. So who has the
//! first key follows the log to its newest, and a key that no entry names signs nothing.

use super::{CHECKPOINT_FILE, LogError, files};
use crate::audit::tile::{self, Content, TILE_WIDTH, Tile};
use crate::audit::{Checkpoint, Entry, MAX_NOTE_BYTES, Note, NoteError, VerifierKey, by_any, next_key};
use std::path::Path;

/// The folder of last checkpoints.
pub(super) const ROTATIONS: &str = "rotations";

/// More changes of the key than a log has in a hundred years of monthly ones: the folder is not the log's.
const MAX_ROTATIONS: usize = 4_096;

/// A key's last checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rotation {
    /// The number of the entry that names the next key.
    pub entry: u64,
    /// The signed checkpoint, as read.
    pub note: Vec<u8>,
}

impl Rotation {
    /// Its file, below the log's folder.
    pub fn file(&self) -> String {
        format!("{ROTATIONS}/{}", self.entry)
    }
}

/// Every rotation that the folder has, oldest first.
///
/// # Errors
/// [`LogError`]: unreadable, or a file that does not belong.
pub fn rotations(root: &Path) -> Result<Vec<Rotation>, LogError> {
    let folder = root.join(ROTATIONS);
    let names = match std::fs::read_dir(&folder) {
        Ok(names) => names,
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(LogError::Read { path: folder, source }),
    };
    let mut found = Vec::new();
    for name in names {
        let name = name.map_err(|source| LogError::Read { path: folder.clone(), source })?.file_name();
        let path = folder.join(&name);
        let strange = |what: &str| LogError::Contradiction { path: path.clone(), what: what.to_owned() };
        let number: u64 = name.to_str().and_then(|n| n.parse().ok()).ok_or_else(|| strange("its name is no entry's number"))?;
        if name.to_str() != Some(number.to_string().as_str()) {
            return Err(strange("its name is no entry's number"));
        }
        let note = files::read(&path, MAX_NOTE_BYTES)?.ok_or_else(|| strange("it is gone"))?;
        found.push(Rotation { entry: number, note });
        if found.len() > MAX_ROTATIONS {
            return Err(strange("there are too many"));
        }
    }
    found.sort_by_key(|rotation| rotation.entry);
    Ok(found)
}

/// A key of the log and from where on it signs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Followed {
    /// The key.
    pub key: VerifierKey,
    /// The rotation that made it the log's, and its checkpoint; `None` for the key that was given.
    pub by: Option<(Rotation, Checkpoint)>,
}

/// The given key and every key after it. What the entries say is believed on the word of the checkpoint that covers them: who verifies
/// the log afterwards finds where that was wrong.
///
/// # Errors
/// The file, and what is wrong with it.
pub fn follow(root: &Path, key: &VerifierKey) -> Result<Vec<Followed>, (String, LogError)> {
    // The log's size now, unchecked: it only says which form of a bundle is there, since older partial ones may be gone.
    let note = files::read(&root.join(CHECKPOINT_FILE), MAX_NOTE_BYTES).ok().flatten().unwrap_or_default();
    let size = Note::parse(&note).and_then(|note| Checkpoint::parse(note.text)).map_or(0, |checkpoint| checkpoint.size);
    let mut keys = vec![Followed { key: key.clone(), by: None }];
    let all = rotations(root).map_err(|error| (ROTATIONS.to_owned(), error))?;
    for rotation in all {
        let file = rotation.file();
        let Some(current) = keys.last().map(|followed| followed.key.clone()) else { break };
        let checkpoint = match Checkpoint::open(&rotation.note, &current) {
            Ok(checkpoint) => checkpoint,
            // Of a time before the given key.
            Err(NoteError::Unsigned) => continue,
            Err(source) => return Err((file.clone(), LogError::Checkpoint { path: root.join(&file), source })),
        };
        let wrong = |what: &str| (file.clone(), LogError::Contradiction { path: root.join(&file), what: what.to_owned() });
        if checkpoint.size <= rotation.entry {
            return Err(wrong("its checkpoint does not cover the entry that names the next key"));
        }
        let size = size.max(checkpoint.size);
        let bundle = bundle_of(size, rotation.entry).path();
        let bytes = entry(root, size, rotation.entry).map_err(|error| (bundle.clone(), error))?;
        let next = Entry::decode(&bytes).ok().and_then(|entry| next_key(&entry, key.name()));
        let next = next.ok_or_else(|| {
            let what = format!("entry {} names no key of this log, and {file} stands for it", rotation.entry);
            (bundle.clone(), LogError::Contradiction { path: root.join(&bundle), what })
        })?;
        keys.push(Followed { key: next, by: Some((rotation, checkpoint)) });
    }
    Ok(keys)
}

/// Opens a signed checkpoint of the log by any of these keys, the newest first.
///
/// # Errors
/// [`NoteError`] of the newest key that says more than "not signed by me".
pub fn open_by_any(note: &[u8], keys: &[Followed]) -> Result<Checkpoint, NoteError> {
    by_any(keys.iter().rev().map(|followed| &followed.key), NoteError::Unsigned, |key| Checkpoint::open(note, key))
}

/// The newest checkpoint of a log's folder, by the given key or one after it.
///
/// # Errors
/// The file, and what is wrong with it.
pub fn newest_checkpoint(root: &Path, key: &VerifierKey) -> Result<(Checkpoint, String, Vec<Followed>), (String, LogError)> {
    let path = root.join(CHECKPOINT_FILE);
    let here = |error| (CHECKPOINT_FILE.to_owned(), error);
    let missing = || here(LogError::Contradiction { path: path.clone(), what: "it is missing".to_owned() });
    let note = files::read(&path, MAX_NOTE_BYTES).map_err(here)?.ok_or_else(missing)?;
    let (checkpoint, keys) = match Checkpoint::open(&note, key) {
        Ok(checkpoint) => (checkpoint, vec![Followed { key: key.clone(), by: None }]),
        Err(NoteError::Unsigned) => {
            let keys = follow(root, key)?;
            let newest = keys.last().map_or(key, |followed| &followed.key);
            let opened = Checkpoint::open(&note, newest);
            (opened.map_err(|source| here(LogError::Checkpoint { path: path.clone(), source }))?, keys)
        }
        Err(source) => return Err(here(LogError::Checkpoint { path, source })),
    };
    // Checked as UTF-8 where its signature was.
    Ok((checkpoint, String::from_utf8_lossy(&note).into_owned(), keys))
}

/// The bundle that holds an entry of a log of this size.
fn bundle_of(size: u64, index: u64) -> Tile {
    let (full, partial) = Tile::at_level(Content::Entries, size);
    let number = index / u64::from(TILE_WIDTH);
    Tile { content: Content::Entries, index: number, width: if number < full { TILE_WIDTH } else { partial.max(1) } }
}

/// One entry of a log of this size.
///
/// # Errors
/// [`LogError`] where its bundle is missing or does not hold it.
pub fn entry(root: &Path, size: u64, index: u64) -> Result<Vec<u8>, LogError> {
    let tile = bundle_of(size, index);
    let whole = Tile { width: TILE_WIDTH, ..tile };
    let (tile, bytes) = match files::read(&root.join(tile.path()), files::limit(&tile))? {
        Some(bytes) => (tile, bytes),
        None => (whole, files::read(&root.join(whole.path()), files::limit(&whole))?.unwrap_or_default()),
    };
    let entries = tile::read_entries(&bytes, tile.width).unwrap_or_default();
    let offset = usize::try_from(index % u64::from(TILE_WIDTH)).unwrap_or(usize::MAX);
    entries.get(offset).map(|entry| entry.to_vec()).ok_or_else(|| LogError::Contradiction {
        path: root.join(tile.path()),
        what: format!("it is missing, cut off, or does not hold entry {index}"),
    })
}
