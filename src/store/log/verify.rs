//! Verifying a log folder alone: every bundle, tile, entry, the root and the signature, bundle by bundle in bounded memory.

mod ahead;

use super::rotation::{self, Rotation};
use super::{CHECKPOINT_FILE, LogError, files, prove};
use crate::audit::merkle::CompactRange;
use crate::audit::tile::{self, Content, TILE_HEIGHT, TILE_WIDTH, Tile};
use crate::audit::{Checkpoint, Entry, Event, Note, VerifierKey, next_key};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::Digest;
use ahead::Prepared;
use std::fmt;
use std::io;
use std::path::Path;

/// The store's rows in the order of their sequence, the first first.
pub type Rows<'a> = dyn Iterator<Item = io::Result<Vec<u8>>> + 'a;

/// A log that holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// The checkpoint: every one of its entries was read and hashed.
    pub checkpoint: Checkpoint,
    /// How many rows the store has beyond the checkpoint, sequenced and not yet integrated; `None` where no rows were given.
    pub waiting: Option<u64>,
    /// The key that was given and every key after it, the last of which signed the checkpoint.
    pub keys: Vec<VerifierKey>,
    /// Checkpoints with cosignatures that were found in the log's folder: what each says, and the note.
    pub cosigned: Vec<(Checkpoint, Vec<u8>)>,
}

/// The first place where a log does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadPlace {
    /// The file, below the log's folder.
    pub file: String,
    /// The entry, counted from 0, where one can be named; for a tile above level 0 the first entry below the wrong hash.
    pub index: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for BadPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{}, entry {index}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// Why a log was not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It does not hold.
    #[error("the audit log does not hold at {0}")]
    Bad(BadPlace),
    /// The store's rows can't be read, so nothing can be said.
    #[error("the store's rows can't be read")]
    Rows(#[source] io::Error),
}

impl VerifyError {
    /// As people are told it.
    pub fn diagnostic(&self, root: &Path) -> Diagnostic {
        match self {
            Self::Bad(bad) => Diagnostic::error(
                Code("KITH-A008"),
                Place::Path(root.join(&bad.file).display().to_string()),
                match bad.index {
                    Some(index) => format!("the log does not hold at entry {index}: {}", bad.what),
                    None => format!("the log does not hold: {}", bad.what),
                },
                "Keep the folder as it is for the reviewer. Compare it with a backup and with checkpoints that left the machine.",
            ),
            Self::Rows(source) => Diagnostic::error(
                Code("KITH-A004"),
                Place::Path(root.display().to_string()),
                format!("the store's rows can't be read: {source}"),
                "Mend the store first, or verify the folder alone.",
            ),
        }
    }
}

fn bad(file: impl Into<String>, index: Option<u64>, what: impl Into<String>) -> VerifyError {
    VerifyError::Bad(BadPlace { file: file.into(), index, what: what.into() })
}

/// Verifies the log in a folder.
///
/// Every file that the checkpoint covers is read: bundles, tiles of every level, older partial tiles. Each entry must be an entry of
/// version 1 in canonical form. With `trusted`, checkpoints known from before, the log must contain exactly their entries. With `rows`,
/// the store's rows must be the same bytes. Each change of the signing key must stand in the log and be signed by the key before. Cosigned
/// checkpoints in the folder must be of this history.
///
/// What this can't show without a witness or a trusted checkpoint: that who holds the signing key did not write another history.
///
/// # Errors
/// [`VerifyError::Bad`] with the first bad place.
pub fn verify(root: &Path, key: &VerifierKey, trusted: &[Checkpoint], rows: Option<&mut Rows<'_>>) -> Result<Verified, VerifyError> {
    let told = |(file, error): (String, LogError)| match error {
        LogError::Read { source, .. } => bad(file, None, format!("it can't be read: {source}")),
        LogError::Checkpoint { source, .. } => bad(file, None, source.to_string()),
        LogError::Contradiction { what, .. } => bad(file, None, what),
        other @ (LogError::Write { .. } | LogError::Gap { .. } | LogError::TooLong { .. }) => bad(file, None, other.to_string()),
    };
    // Before the checkpoint: beside a service that writes, a newer one may be cosigned and taken in at any moment.
    let notes = prove::cosigned_notes(&root.join(prove::COSIGNED)).map_err(|error| told((prove::COSIGNED.to_owned(), error)))?;
    let (checkpoint, _, followed) = rotation::newest_checkpoint(root, key).map_err(told)?;
    if let Some(trusted) = trusted.iter().find(|t| t.size > checkpoint.size) {
        let what = format!("it covers {} entries, and a trusted checkpoint covers {}", checkpoint.size, trusted.size);
        return Err(bad(CHECKPOINT_FILE, None, what));
    }
    let rotations = rotation::rotations(root).map_err(|error| told((rotation::ROTATIONS.to_owned(), error)))?;
    let mut known: Vec<Known> = trusted.iter().map(|t| Known::of(CHECKPOINT_FILE, "the trusted checkpoint", t)).collect();
    let mut cosigned = Vec::new();
    for (path, note) in notes {
        let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let parsed =
            Note::parse(&note).and_then(|note| Checkpoint::parse(note.text)).map_err(|error| bad(file.clone(), None, error.to_string()))?;
        if parsed.origin != checkpoint.origin || parsed.size > checkpoint.size {
            return Err(bad(
                file,
                None,
                format!("it covers {} entries of `{}`, and the log has {}", parsed.size, parsed.origin, checkpoint.size),
            ));
        }
        known.push(Known::of(&file, "the cosigned checkpoint", &parsed));
        cosigned.push((parsed, note));
    }
    known.sort_by_key(|known| std::cmp::Reverse(known.size));
    let mut walk = Walk {
        root,
        checkpoint: &checkpoint,
        known,
        rows,
        tree: CompactRange::default(),
        above: Vec::new(),
        signers: Signers { rotations, current: None, named: Vec::new(), all: Vec::new() },
    };
    walk.at_known()?;
    ahead::each(root, checkpoint.size, |prepared| walk.bundle(prepared))?;
    walk.partial_tiles_above()?;
    if walk.tree.root() != checkpoint.root {
        return Err(bad(CHECKPOINT_FILE, None, "its root is not that of the entries"));
    }
    let keys: Vec<VerifierKey> = followed.into_iter().map(|followed| followed.key).collect();
    walk.signers.end(&keys)?;
    for (at, (_, note)) in cosigned.iter().enumerate() {
        let by_the_log = keys.iter().chain(&walk.signers.all).any(|key| Checkpoint::open(note, key).is_ok());
        if !by_the_log {
            return Err(bad(prove::COSIGNED, None, format!("checkpoint {} in it is not signed by the log", at + 1)));
        }
    }
    let waiting = match walk.rows {
        None => None,
        Some(rows) => {
            let mut count = 0;
            for row in rows {
                row.map_err(VerifyError::Rows)?;
                count += 1;
            }
            Some(count)
        }
    };
    Ok(Verified { checkpoint, waiting, keys, cosigned })
}

fn read(root: &Path, file: &str, limit: usize) -> Result<Option<Vec<u8>>, VerifyError> {
    files::read(&root.join(file), limit).map_err(|error| match error {
        LogError::Read { source, .. } => bad(file, None, format!("it can't be read: {source}")),
        other @ (LogError::Write { .. }
        | LogError::Checkpoint { .. }
        | LogError::Contradiction { .. }
        | LogError::Gap { .. }
        | LogError::TooLong { .. }) => bad(file, None, other.to_string()),
    })
}

struct Walk<'a, 'r> {
    root: &'a Path,
    checkpoint: &'a Checkpoint,
    /// Checkpoints that the tree must pass through, the largest first: the next is the last.
    known: Vec<Known>,
    rows: Option<&'a mut Rows<'r>>,
    tree: CompactRange,
    /// Hashes of full tiles that wait for their tile above, by level, level 1 first.
    above: Vec<Vec<Digest>>,
    signers: Signers,
}

/// A checkpoint from elsewhere.
struct Known {
    file: String,
    what: &'static str,
    size: u64,
    root: Digest,
}

impl Known {
    fn of(file: &str, what: &'static str, checkpoint: &Checkpoint) -> Self {
        Self { file: file.to_owned(), what, size: checkpoint.size, root: checkpoint.root }
    }
}

/// The signing keys that the entries name, as the walk comes to them.
struct Signers {
    /// Those that the folder has, oldest first; taken out as the walk passes them.
    rotations: Vec<Rotation>,
    /// The key that signs here; `None` before the log says one.
    current: Option<VerifierKey>,
    /// Keys that entries named and no rotation put into force: the entry, and the key.
    named: Vec<(u64, VerifierKey)>,
    /// Every key that signed.
    all: Vec<VerifierKey>,
}

impl Signers {
    fn entry(&mut self, index: u64, entry: &Entry, origin: &str) {
        if let Event::KeyCreated { purpose, verifier: Some(verifier), .. } = &entry.event
            && &**purpose == "log-signing"
            && self.current.is_none()
            && let Ok(key) = VerifierKey::parse(verifier)
            && key.name() == origin
        {
            self.all.push(key.clone());
            self.current = Some(key);
        }
        if let Some(key) = next_key(entry, origin) {
            self.named.push((index, key));
        }
    }

    /// After the entries of a bundle: the rotations that stand at them.
    fn passed(&mut self, tree: &CompactRange, root: impl Fn(u64) -> Option<Digest>) -> Result<(), VerifyError> {
        while self.rotations.first().is_some_and(|rotation| rotation.entry < tree.size()) {
            let rotation = self.rotations.remove(0);
            let file = rotation.file();
            let here = Some(rotation.entry);
            let named = self.named.iter().find(|(at, _)| *at == rotation.entry).map(|(_, key)| key.clone());
            let next = named.ok_or_else(|| bad(file.clone(), here, "the entry names no key"))?;
            let checkpoint = match &self.current {
                Some(key) => Checkpoint::open(&rotation.note, key).map_err(|error| bad(file.clone(), here, error.to_string()))?,
                None => Note::parse(&rotation.note)
                    .and_then(|note| Checkpoint::parse(note.text))
                    .map_err(|error| bad(file.clone(), here, error.to_string()))?,
            };
            if checkpoint.size != rotation.entry + 1 || root(checkpoint.size) != Some(checkpoint.root) {
                return Err(bad(file, here, "its checkpoint is not that of the entries up to it"));
            }
            self.all.push(next.clone());
            self.current = Some(next);
        }
        Ok(())
    }

    fn end(&self, keys: &[VerifierKey]) -> Result<(), VerifyError> {
        if let Some(rotation) = self.rotations.first() {
            return Err(bad(rotation.file(), None, "the log has no such entry"));
        }
        match (&self.current, keys.last()) {
            // A log that was made anew from the store's rows has the named key and not its predecessors' last word.
            (Some(current), Some(signed)) if current != signed && !self.named.iter().any(|(_, key)| key == signed) => {
                Err(bad(CHECKPOINT_FILE, None, "it is signed by another key than the one that the entries name last"))
            }
            _ => Ok(()),
        }
    }
}

impl Walk<'_, '_> {
    /// A bundle, its leaf hashes, its entries, and every tile that it completes.
    fn bundle(&mut self, prepared: Prepared) -> Result<(), VerifyError> {
        let Prepared { bundle, bundle_path, bundle_bytes, tile_path, leaves, differs, wrong, about_keys, partials, root } = prepared;
        let first = first_entry(&bundle);
        if let Some(offset) = differs {
            let index = Some(first + offset as u64);
            return Err(if self.bundle_is_right(&leaves, index) {
                bad(tile_path, index, "the hash is not that of the entry")
            } else {
                bad(bundle_path, index, "the entry is not the one that was hashed")
            });
        }
        // A full bundle in which nothing must be looked at leaf by leaf is one step of the tree.
        let whole = root.filter(|_| !self.stops_within(first));
        let entries = match self.rows {
            None => Vec::new(),
            Some(_) => tile::read_entries(&bundle_bytes, bundle.width).unwrap_or_default(),
        };
        let mut about_keys = about_keys.into_iter().peekable();
        for (offset, leaf) in leaves.iter().enumerate() {
            let index = first + offset as u64;
            if let Some((_, error)) = wrong.as_ref().filter(|(at, _)| *at == offset) {
                return Err(bad(bundle_path, Some(index), error.to_string()));
            }
            if let Some((_, entry)) = about_keys.next_if(|(at, _)| *at == offset) {
                self.signers.entry(index, &entry, &self.checkpoint.origin);
            }
            if let Some(rows) = &mut self.rows {
                match rows.next().transpose().map_err(VerifyError::Rows)? {
                    Some(row) if entries.get(offset) == Some(&row.as_slice()) => {}
                    Some(_) => return Err(bad(bundle_path, Some(index), "the store's row is another one")),
                    None => return Err(bad(bundle_path, Some(index), "the store has no such row")),
                }
            }
            if whole.is_none() {
                self.tree.append(*leaf);
                self.passed()?;
            }
        }
        if let Some(root) = whole {
            self.tree.append_subtree(TILE_HEIGHT, root);
            self.passed()?;
        }
        partials?;
        root.map_or(Ok(()), |root| self.full_tile(0, root))
    }

    /// Whether a known checkpoint or a change of the key stands inside the bundle that begins here, not at its end.
    fn stops_within(&self, first: u64) -> bool {
        let last = first + u64::from(TILE_WIDTH) - 1;
        self.known.last().is_some_and(|known| known.size <= last)
            || self.signers.rotations.first().is_some_and(|rotation| rotation.entry < last)
    }

    /// What is to be looked at where the tree has grown.
    fn passed(&mut self) -> Result<(), VerifyError> {
        self.at_known()?;
        let tree = &self.tree;
        self.signers.passed(tree, |size| (tree.size() == size).then(|| tree.root()))
    }

    /// Whether the entries, not the tile, fit what is above: tells which of the two was changed.
    fn bundle_is_right(&self, leaves: &[Digest], index: Option<u64>) -> bool {
        if leaves.len() < usize::from(TILE_WIDTH) {
            let mut tree = self.tree.clone();
            for leaf in leaves {
                tree.append(*leaf);
            }
            return self.above_edge_fits(&tree);
        }
        let number = index.unwrap_or_default() / u64::from(TILE_WIDTH);
        let (full, partial) = Tile::at_level(Content::Hashes(1), self.checkpoint.size);
        let parent = number / u64::from(TILE_WIDTH);
        let tile = Tile { content: Content::Hashes(1), index: parent, width: if parent < full { TILE_WIDTH } else { partial } };
        let Ok((_, bytes)) = part(self.root, &tile) else { return false };
        let hashes = tile::read_hashes(&bytes, tile.width).unwrap_or_default();
        let offset = usize::try_from(number % u64::from(TILE_WIDTH)).unwrap_or_default();
        hashes.get(offset) == Some(&tile::full_tile_hash(leaves))
    }

    fn above_edge_fits(&self, tree: &CompactRange) -> bool {
        tree.size() == self.checkpoint.size && tree.root() == self.checkpoint.root
    }

    /// A tile of level `level` is full: its hash goes into the one above, which is compared when it is full too.
    fn full_tile(&mut self, level: u8, hash: Digest) -> Result<(), VerifyError> {
        let at = usize::from(level);
        if self.above.len() <= at {
            self.above.push(Vec::new());
        }
        let Some(hashes) = self.above.get_mut(at) else { return Ok(()) };
        hashes.push(hash);
        if hashes.len() < usize::from(TILE_WIDTH) {
            return Ok(());
        }
        let hashes = std::mem::take(hashes);
        let index = Tile::at_level(Content::Hashes(level + 1), self.tree.size()).0 - 1;
        self.compare(&Tile { content: Content::Hashes(level + 1), index, width: TILE_WIDTH }, &hashes)?;
        self.full_tile(level + 1, tile::full_tile_hash(&hashes))
    }

    fn partial_tiles_above(&self) -> Result<(), VerifyError> {
        for (level, hashes) in (1_u8..).zip(&self.above) {
            let (index, width) = Tile::at_level(Content::Hashes(level), self.checkpoint.size);
            if width > 0 {
                self.compare(&Tile { content: Content::Hashes(level), index, width }, hashes)?;
            }
        }
        Ok(())
    }

    fn compare(&self, tile: &Tile, hashes: &[Digest]) -> Result<(), VerifyError> {
        let (path, bytes) = part(self.root, tile)?;
        let first = first_entry(tile);
        let kept = tile::read_hashes(&bytes, tile.width).ok_or_else(|| bad(path.clone(), Some(first), "it has the wrong length"))?;
        match kept.iter().zip(hashes).position(|(kept, hash)| kept != hash) {
            None => older_partials(self.root, tile, &bytes),
            Some(offset) => {
                let below = entries_below(tile) / u64::from(TILE_WIDTH);
                Err(bad(path, Some(first + offset as u64 * below), "the hash is not that of the tile below"))
            }
        }
    }

    fn at_known(&mut self) -> Result<(), VerifyError> {
        while let Some(known) = self.known.last().filter(|known| known.size == self.tree.size()) {
            if known.root != self.tree.root() {
                return Err(bad(known.file.clone(), None, format!("the first {} entries are not those of {}", known.size, known.what)));
            }
            self.known.pop();
        }
        Ok(())
    }
}

/// A tile or bundle. Beside a running service the partial one may have been replaced by the full one, which begins with it.
fn part(root: &Path, tile: &Tile) -> Result<(String, Vec<u8>), VerifyError> {
    let path = tile.path();
    if let Some(bytes) = read(root, &path, files::limit(tile))? {
        return Ok((path, bytes));
    }
    let first = Some(first_entry(tile));
    let full = Tile { width: TILE_WIDTH, ..*tile };
    let cut = match read(root, &full.path(), files::limit(tile))? {
        Some(bytes) if tile.width < TILE_WIDTH => prefix(tile, &bytes),
        Some(_) | None => None,
    };
    cut.map(|bytes| (full.path(), bytes)).ok_or_else(|| bad(path, first, "it is missing"))
}

/// Partial tiles of earlier checkpoints must be the beginning of the one that was verified. What reaches beyond the checkpoint was left
/// by a crash and is not covered.
fn older_partials(root: &Path, tile: &Tile, verified: &[u8]) -> Result<(), VerifyError> {
    let folder = tile.partial_folder();
    let Ok(entries) = std::fs::read_dir(root.join(&folder)) else { return Ok(()) };
    let mut widths: Vec<u16> = entries
        .flatten()
        .filter_map(|entry| Tile::parse(&format!("{folder}/{}", entry.file_name().to_str()?)))
        .map(|partial| partial.width)
        .filter(|width| *width < tile.width)
        .collect();
    widths.sort_unstable();
    for width in widths {
        let older = Tile { width, ..*tile };
        let path = older.path();
        let Some(bytes) = read(root, &path, files::limit(&older))? else { continue };
        if prefix(&older, verified).as_deref() != Some(bytes.as_slice()) {
            return Err(bad(path, Some(first_entry(tile)), "it is not the beginning of what is there now"));
        }
    }
    Ok(())
}

/// How many entries a full tile or bundle spans; saturating where that passes any log.
fn entries_below(tile: &Tile) -> u64 {
    let level = match tile.content {
        Content::Entries => 0,
        Content::Hashes(level) => u32::from(level),
    };
    u64::from(TILE_WIDTH).saturating_pow(level + 1)
}

fn first_entry(tile: &Tile) -> u64 {
    tile.index.saturating_mul(entries_below(tile))
}

/// The first `width` hashes or entries of a wider tile or bundle.
fn prefix(tile: &Tile, bytes: &[u8]) -> Option<Vec<u8>> {
    let width = usize::from(tile.width);
    let length = match tile.content {
        Content::Hashes(_) => width * 32,
        Content::Entries => {
            let mut at = 0;
            for _ in 0..width {
                let length = bytes.get(at..)?.first_chunk::<2>()?;
                at += 2 + usize::from(u16::from_be_bytes(*length));
            }
            at
        }
    };
    bytes.get(..length).map(<[u8]>::to_vec)
}
