//! Nodes of the tree, read from the tiles of a log's folder: what proofs are made of.

use super::{LogError, files, read_part};
use crate::audit::merkle::Nodes;
use crate::audit::tile::{self, Content, TILE_HEIGHT, TILE_WIDTH, Tile};
use crate::model::Digest;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

/// Tiles kept while proofs are made: a path touches one a level, at most 8 levels, and its neighbours.
const KEPT: usize = 64;

/// The tiles of a log of a known size.
#[derive(Debug)]
pub struct TileNodes<'a> {
    root: &'a Path,
    size: u64,
    kept: RefCell<BTreeMap<(u8, u64), Vec<Digest>>>,
}

impl<'a> TileNodes<'a> {
    /// The tiles below a folder, as far as a tree of `size` leaves has them.
    pub fn new(root: &'a Path, size: u64) -> Self {
        Self { root, size, kept: RefCell::default() }
    }

    fn hashes(&self, level: u8, index: u64) -> Result<Vec<Digest>, LogError> {
        if let Some(found) = self.kept.borrow().get(&(level, index)) {
            return Ok(found.clone());
        }
        let (full, partial) = Tile::at_level(Content::Hashes(level), self.size);
        let tile = Tile { content: Content::Hashes(level), index, width: if index < full { TILE_WIDTH } else { partial.max(1) } };
        let read = |bytes: &[u8], width| tile::read_hashes(bytes, width);
        // Beside a service that writes, the partial tile may have been replaced by the full one, which begins with it.
        let whole = Tile { width: TILE_WIDTH, ..tile };
        let partial_is_there = files::read(&self.root.join(tile.path()), files::limit(&tile))?.is_some();
        let hashes = if partial_is_there || tile.width == TILE_WIDTH {
            read_part(self.root, &tile, |bytes| read(bytes, tile.width))?
        } else {
            let mut hashes = read_part(self.root, &whole, |bytes| read(bytes, TILE_WIDTH))?;
            hashes.truncate(usize::from(tile.width));
            hashes
        };
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert((level, index), hashes.clone());
        Ok(hashes)
    }
}

impl Nodes for TileNodes<'_> {
    type Error = LogError;

    fn node(&self, level: u32, index: u64) -> Result<Digest, LogError> {
        let missing = || LogError::Contradiction {
            path: self.root.join("tile"),
            what: format!("a tree of {} entries has no node {index} at level {level}", self.size),
        };
        let height = level % TILE_HEIGHT;
        let tile_level = u8::try_from(level / TILE_HEIGHT).map_err(|_beyond| missing())?;
        let first = index.checked_shl(height).ok_or_else(missing)?;
        let hashes = self.hashes(tile_level, first / u64::from(TILE_WIDTH))?;
        let offset = usize::try_from(first % u64::from(TILE_WIDTH)).unwrap_or_default();
        let below = hashes.get(offset..offset + (1_usize << height)).ok_or_else(missing)?;
        Ok(tile::full_tile_hash(below))
    }
}
