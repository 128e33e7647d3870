//! Hashes that are the same on every machine and in every version: FNV-1a over the bytes, with the final mix of splitmix64. Not against attackers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The hash of bytes; each seed has hashes of its own.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let start = seed ^ 0xcbf2_9ce4_8422_2325;
    mix(bytes.iter().fold(start, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)))
}

/// The final mix of splitmix64: a number whose bits all depend on all of the given one's.
pub const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Passes a number through that is a hash already.
#[derive(Clone, Copy, Default, Debug)]
pub struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(0, bytes);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// A map keyed by hashes.
pub type ByHash<V> = HashMap<u64, V, BuildHasherDefault<AsIs>>;
