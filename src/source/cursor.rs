//! Where reading a file stopped.

use crate::model::Digest;
use serde::{Deserialize, Serialize};

/// Where reading a file stopped, in terms of the content it had then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileCursor {
    /// SHA-256 of the file as it stands on disk, when it was opened: with a line number the key of a parked line.
    pub digest: Digest,
    /// How many bytes that were. A longer file that begins with these bytes is the same file, appended to.
    pub length: u64,
    /// Lines consumed, blank ones included.
    pub lines: u64,
    /// Bytes of unpacked content consumed.
    pub offset: u64,
    /// Where the last line begins, if it was consumed without a line end: an appended file may go on with it.
    pub open_line: Option<u64>,
    /// Whether the end was reached.
    pub finished: bool,
}

/// The written form; its first member lets a later version tell itself apart.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    v: u8,
    digest: String,
    length: u64,
    lines: u64,
    offset: u64,
    open_line: Option<u64>,
    finished: bool,
}

impl FileCursor {
    /// At the start of a file.
    pub(super) const fn start(digest: Digest, length: u64) -> Self {
        Self { digest, length, lines: 0, offset: 0, open_line: None, finished: false }
    }

    /// As bytes for the store: JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { digest, length, lines, offset, open_line, finished } = *self;
        let written = Written { v: 1, digest: digest.to_string(), length, lines, offset, open_line, finished };
        serde_json::to_vec(&written).unwrap_or_default()
    }

    /// Reads the bytes; `None` where they are no cursor: then the file is read from its start, and repeats are counted as duplicates.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let Written { v, digest, length, lines, offset, open_line, finished } = serde_json::from_slice(bytes).ok()?;
        let digest = Digest::from_hex(&digest)?;
        (v == 1).then_some(Self { digest, length, lines, offset, open_line, finished })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_survives_the_store(digest: [u8; 32], length: u64, lines: u64, offset: u64, open_line: Option<u64>, finished: bool) {
            let cursor = FileCursor { digest: Digest(digest), length, lines, offset, open_line, finished };
            prop_assert_eq!(FileCursor::from_bytes(&cursor.to_bytes()), Some(cursor));
        }

        #[test]
        fn any_other_bytes_are_no_cursor(bytes: Vec<u8>) {
            prop_assert_eq!(FileCursor::from_bytes(&bytes), None);
        }
    }
}
