//! The built-in lookup tables, and one digest over all of them.

use crate::model::Digest;
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;

/// Nicknames and the formal names they stand for.
pub(super) const NICKNAMES: &str = include_str!("data/nicknames.txt");

/// SHA-256 over all lookup tables: evidence names it, so that a decision says with which tables it was taken.
pub fn lookups() -> Digest {
    static DIGEST: LazyLock<Digest> = LazyLock::new(|| {
        let mut hash = Sha256::new();
        for table in [NICKNAMES] {
            hash.update(u64::try_from(table.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(table);
        }
        Digest(hash.finalize().into())
    });
    *DIGEST
}
