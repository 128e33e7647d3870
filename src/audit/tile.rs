//! Tiles and entry bundles of C2SP tlog-tiles: where they stand and what is in them.

use super::entry::MAX_ENTRY_BYTES;
use super::merkle::{CompactRange, node_hash};
use crate::model::Digest;

/// How many hashes a full tile has, and how many entries a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// The height of a tile: 2^8 leaves.
pub const TILE_HEIGHT: u32 = 8;

/// A full bundle's bytes at most: 256 entries, each with its length in 2 bytes.
pub const MAX_BUNDLE_BYTES: usize = 256 * (2 + MAX_ENTRY_BYTES);

/// What a file of the log holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Content {
    /// Entries.
    Entries,
    /// Hashes at this level, 0 to 63: those of leaves at 0, those of full tiles of the level below above it.
    Hashes(u8),
}

/// A tile or bundle: what, which, and how wide.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Tile {
    /// What it holds.
    pub content: Content,
    /// Its index within the level.
    pub index: u64,
    /// How many hashes or entries, 1 to 256; fewer than 256 is a partial tile.
    pub width: u16,
}

impl Tile {
    /// The path below the log's folder: `tile/<L>/<N>[.p/<W>]`, `tile/entries/<N>[.p/<W>]`; N in groups of three digits, all but the
    /// last with an `x` before.
    pub fn path(&self) -> String {
        let partial = if self.width < TILE_WIDTH { format!(".p/{}", self.width) } else { String::new() };
        format!("{}{partial}", self.full_path())
    }

    /// The folder that holds the partial forms of this tile.
    pub fn partial_folder(&self) -> String {
        format!("{}.p", self.full_path())
    }

    fn full_path(&self) -> String {
        let mut groups = vec![format!("{:03}", self.index % 1_000)];
        let mut rest = self.index / 1_000;
        while rest > 0 {
            groups.push(format!("x{:03}", rest % 1_000));
            rest /= 1_000;
        }
        groups.reverse();
        let level = match self.content {
            Content::Entries => "entries".to_owned(),
            Content::Hashes(level) => level.to_string(),
        };
        format!("tile/{level}/{}", groups.join("/"))
    }

    /// Reads a path; exactly the spellings that [`Tile::path`] writes.
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts: Vec<&str> = path.strip_prefix("tile/")?.split('/').collect();
        let mut width = TILE_WIDTH;
        let last = parts.len().checked_sub(2)?;
        if let Some(index) = parts.get(last).and_then(|part| part.strip_suffix(".p")) {
            width = decimal(parts.pop()?)?.try_into().ok().filter(|w| (1..TILE_WIDTH).contains(w))?;
            *parts.last_mut()? = index;
        }
        let (level, groups) = parts.split_first()?;
        let content = match *level {
            "entries" => Content::Entries,
            level => Content::Hashes(decimal(level)?.try_into().ok().filter(|l| *l < 64)?),
        };
        let index = groups.iter().try_fold(0_u64, |index, group| {
            let digits: u64 = group.strip_prefix('x').unwrap_or(group).parse().ok()?;
            index.checked_mul(1_000)?.checked_add(digits)
        })?;
        let tile = Self { content, index, width };
        (tile.path() == path).then_some(tile)
    }

    /// The tiles and bundles of a tree of this size at one level, first to last: how many are full, and the width of the partial one.
    pub const fn at_level(content: Content, size: u64) -> (u64, u16) {
        let level = match content {
            Content::Entries => 0,
            Content::Hashes(level) => level as u32,
        };
        let hashes = match size.checked_shr(TILE_HEIGHT * level) {
            None => 0,
            Some(hashes) => hashes,
        };
        let width = (hashes & 255) as u16;
        (hashes >> TILE_HEIGHT, width)
    }
}

fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Reads the hashes of a tile: `width` × 32 bytes, no more and no less.
pub fn read_hashes(bytes: &[u8], width: u16) -> Option<Vec<Digest>> {
    if bytes.len() != usize::from(width) * 32 {
        return None;
    }
    bytes.chunks_exact(32).map(|chunk| chunk.try_into().ok().map(Digest)).collect()
}

/// Adds an entry to a bundle: its length as 16 bits, big-endian, and its bytes; `None` where it is too long.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Option<()> {
    let length = u16::try_from(entry.len()).ok()?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Some(())
}

/// Reads a bundle of exactly `width` entries with nothing behind them; else how many could be read.
///
/// # Errors
/// The number of entries before the place where it is wrong.
pub fn read_entries(bundle: &[u8], width: u16) -> Result<Vec<&[u8]>, usize> {
    let mut entries = Vec::with_capacity(usize::from(width));
    let mut rest = bundle;
    while entries.len() < usize::from(width) {
        let next = rest.split_first_chunk::<2>().and_then(|(length, rest)| rest.split_at_checked(usize::from(u16::from_be_bytes(*length))));
        let Some((entry, tail)) = next else { return Err(entries.len()) };
        entries.push(entry);
        rest = tail;
    }
    if rest.is_empty() { Ok(entries) } else { Err(entries.len()) }
}

/// The Merkle hash over the 256 hashes of a full tile: an entry of the level above.
pub fn full_tile_hash(hashes: &[Digest]) -> Digest {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => node_hash(left, right),
                [single] => *single,
                _ => Digest([0; 32]),
            })
            .collect();
    }
    level.first().copied().unwrap_or(Digest([0; 32]))
}

/// The tree whose rightmost tile at each level, level 0 first, has these hashes (none where it is empty); `None` where they don't fit
/// the size.
pub fn tree_of_edge(size: u64, edge: &[Vec<Digest>]) -> Option<CompactRange> {
    let mut range = CompactRange::default();
    for (level, hashes) in edge.iter().enumerate().rev() {
        let level = u8::try_from(level).ok()?;
        let (_, width) = Tile::at_level(Content::Hashes(level), size);
        if hashes.len() != usize::from(width) {
            return None;
        }
        for hash in hashes {
            range.append_subtree(TILE_HEIGHT * u32::from(level), *hash);
        }
    }
    (range.size() == size).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::merkle::leaf_hash;
    use proptest::prelude::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let tile = |content, index, width| Tile { content, index, width }.path();
        assert_eq!(tile(Content::Hashes(0), 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(tile(Content::Entries, 0, 256), "tile/entries/000");
        assert_eq!(tile(Content::Entries, 1_000, 17), "tile/entries/x001/000.p/17");
        assert_eq!(tile(Content::Hashes(3), 999, 255), "tile/3/999.p/255");
        for wrong in [
            "tile/0/000.p/256",
            "tile/0/000.p/0",
            "tile/0/000.p/01",
            "tile/0/0",
            "tile/0/x000/000",
            "tile/64/000",
            "tile/00/000",
            "tile/0",
            "tile",
            "tile/0/001/000",
            "tile/0/x001",
            "tile/0/+01",
            "checkpoint",
            "",
        ] {
            assert_eq!(Tile::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_tree_of_70_000_has_the_tiles_that_the_specification_says() {
        assert_eq!(Tile::at_level(Content::Hashes(0), 70_000), (273, 112));
        assert_eq!(Tile::at_level(Content::Hashes(1), 70_000), (1, 17));
        assert_eq!(Tile::at_level(Content::Hashes(2), 70_000), (0, 1));
        assert_eq!(Tile::at_level(Content::Hashes(3), 70_000), (0, 0));
        assert_eq!(Tile::at_level(Content::Hashes(0), 256), (1, 0));
        assert_eq!(Tile::at_level(Content::Hashes(1), 256), (0, 1));
        assert_eq!(Tile::at_level(Content::Hashes(63), u64::MAX), (0, 0));
    }

    proptest! {
        #[test]
        fn every_path_reads_back(level in proptest::option::of(0_u8..64), index in any::<u64>(), width in 1_u16..=256) {
            let tile = Tile { content: level.map_or(Content::Entries, Content::Hashes), index, width };
            prop_assert_eq!(Tile::parse(&tile.path()), Some(tile));
        }

        #[test]
        fn reading_paths_and_bundles_never_panics(path in "(tile/)?[0-9xentris./p]{0,30}", bundle in proptest::collection::vec(any::<u8>(), 0..80), width in any::<u16>()) {
            prop_assert_eq!(Tile::parse(&path).is_some_and(|tile| tile.path() != path), false);
            drop(read_entries(&bundle, width));
            drop(read_hashes(&bundle, width));
        }

        #[test]
        fn a_bundle_reads_back_and_not_with_another_width(entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 1..20)) {
            let mut bundle = Vec::new();
            for entry in &entries {
                push_entry(&mut bundle, entry).unwrap();
            }
            let width = u16::try_from(entries.len()).unwrap();
            prop_assert_eq!(read_entries(&bundle, width).unwrap(), entries);
            prop_assert!(read_entries(&bundle, width + 1).is_err());
            prop_assert!(read_entries(&bundle, width - 1).is_err());
        }

        #[test]
        fn the_tree_of_the_edge_is_the_tree_of_the_leaves(size in 0_u64..1_500) {
            let mut range = CompactRange::default();
            let mut edge = vec![Vec::new(), Vec::new(), Vec::new()];
            for n in 0..size {
                let hash = leaf_hash(&n.to_be_bytes());
                range.append(hash);
                edge[0].push(hash);
                if edge[0].len() == 256 {
                    let full = std::mem::take(&mut edge[0]);
                    edge[1].push(full_tile_hash(&full));
                }
            }
            prop_assert_eq!(tree_of_edge(size, &edge), Some(range));
            prop_assert_eq!(tree_of_edge(size + 1, &edge), None);
        }
    }
}
