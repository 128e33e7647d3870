//! Bundles read, hashed and decoded ahead of the walk, by as many threads as there are processors.

use super::{VerifyError, bad, first_entry, older_partials, part};
use crate::audit::merkle::leaf_hash;
use crate::audit::tile::{self, Content, TILE_WIDTH, Tile};
use crate::audit::{Entry, Event, NotAnEntry};
use crate::model::Digest;
use std::ops::Range;
use std::path::Path;

/// Bundles that a thread prepares before it is asked again. A usual one has 165 KB, the largest 16.8 MB: with eight threads, and as much
/// waiting to be walked, 21 MB, and never more than 1.1 GB.
const BUNDLES_EACH: usize = 4;

/// More threads than this would wait for the walk.
const MOST_THREADS: usize = 8;

/// A bundle with its tile of leaf hashes, and all that can be said about them without the rest of the log.
pub(super) struct Prepared {
    pub(super) bundle: Tile,
    pub(super) bundle_path: String,
    pub(super) bundle_bytes: Vec<u8>,
    pub(super) tile_path: String,
    pub(super) leaves: Vec<Digest>,
    /// The first entry whose hash the tile does not have; then the entries were not read.
    pub(super) differs: Option<usize>,
    /// The first that is no entry.
    pub(super) wrong: Option<(usize, NotAnEntry)>,
    /// Those that name a signing key.
    pub(super) about_keys: Vec<(usize, Entry)>,
    /// What is wrong with partial forms of the two that earlier checkpoints left.
    pub(super) partials: Result<(), VerifyError>,
    /// The root over the leaves of a full bundle.
    pub(super) root: Option<Digest>,
}

fn prepare(root: &Path, index: u64, width: u16) -> Result<Prepared, VerifyError> {
    let bundle = Tile { content: Content::Entries, index, width };
    let tile = Tile { content: Content::Hashes(0), ..bundle };
    let first = first_entry(&bundle);
    let (bundle_path, bundle_bytes) = part(root, &bundle)?;
    let entries = tile::read_entries(&bundle_bytes, width).map_err(|read| {
        bad(bundle_path.clone(), Some(first + read as u64), "the bundle is cut off, or something follows its last entry")
    })?;
    let leaves: Vec<Digest> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    let (tile_path, tile_bytes) = part(root, &tile)?;
    let hashes = tile::read_hashes(&tile_bytes, width).ok_or_else(|| bad(tile_path.clone(), Some(first), "it has the wrong length"))?;
    let differs = leaves.iter().zip(&hashes).position(|(leaf, hash)| leaf != hash);
    let (mut wrong, mut about_keys) = (None, Vec::new());
    for (offset, entry) in entries.iter().enumerate().take(differs.map_or(usize::MAX, |_| 0)) {
        match Entry::decode(entry) {
            Ok(entry) if matches!(entry.event, Event::KeyCreated { .. } | Event::KeyRotated { .. }) => about_keys.push((offset, entry)),
            Ok(_) => {}
            Err(error) => {
                wrong = Some((offset, error));
                break;
            }
        }
    }
    let partials = older_partials(root, &bundle, &bundle_bytes).and_then(|()| older_partials(root, &tile, &tile_bytes));
    let root = (width == TILE_WIDTH).then(|| tile::full_tile_hash(&leaves));
    Ok(Prepared { bundle, bundle_path, bundle_bytes, tile_path, leaves, differs, wrong, about_keys, partials, root })
}

/// Hands every bundle of a log of `size` entries to the walk, in order, until the walk ends it.
pub(super) fn each(root: &Path, size: u64, mut walk: impl FnMut(Prepared) -> Result<(), VerifyError>) -> Result<(), VerifyError> {
    let (full, partial) = Tile::at_level(Content::Entries, size);
    let bundles = full + u64::from(partial > 0);
    let some = |part: Range<u64>| -> Vec<Result<Prepared, VerifyError>> {
        part.map(|index| prepare(root, index, if index < full { TILE_WIDTH } else { partial })).collect()
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get).min(MOST_THREADS);
    if bundles <= 1 {
        return some(0..bundles).into_iter().try_for_each(|prepared| walk(prepared?));
    }
    let some = &some;
    std::thread::scope(|scope| {
        let mut next = 0;
        let mut start = || -> Vec<_> {
            let parts = (0..threads).map(|_| {
                let part = next..bundles.min(next + BUNDLES_EACH as u64);
                next = part.end;
                part
            });
            let parts: Vec<Range<u64>> = parts.filter(|part| !part.is_empty()).collect();
            parts.into_iter().map(|part| (part.clone(), scope.spawn(move || some(part)))).collect()
        };
        let mut coming = start();
        while !coming.is_empty() {
            // A thread that died is a fault of Kith; its part is read here, where it tells.
            let ready: Vec<_> = coming.into_iter().map(|(part, thread)| thread.join().unwrap_or_else(|_| some(part))).collect();
            coming = start();
            ready.into_iter().flatten().try_for_each(|prepared| walk(prepared?))?;
        }
        Ok(())
    })
}
