//! Lines in batches, and what each of them is.

use super::FileCursor;
use crate::model::{Activity, Personal};
use crate::normalize::activity_streams::{MAX_LINE_BYTES, Malformed, Reader};

/// How much one batch may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchLimits {
    /// Lines, at least 1.
    pub lines: usize,
    /// Bytes of lines; a batch ends with the line that passes it.
    pub bytes: usize,
}

impl BatchLimits {
    /// So many lines, and 8 MiB: 10,000 lines of the usual 800 bytes, and never more than one line of 1 MiB above it.
    pub const fn lines(lines: usize) -> Self {
        Self { lines, bytes: 8 << 20 }
    }
}

/// A line as it stands in the file, without its line end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawLine {
    /// 1-based.
    pub line: u64,
    /// Its bytes; of a line that is too long only the first 64 KiB.
    pub bytes: Personal<Vec<u8>>,
    /// How long it is.
    pub length: u64,
}

/// What is kept of a line that is too long: the store's dead letters hold 64 KiB.
pub(super) const KEPT_BYTES: usize = 64 * 1024;

/// Lines not yet parsed, so that the caller may spread the parsing over threads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// In file order; blank lines are left out.
    pub lines: Vec<RawLine>,
    /// The cursor once these lines are stored.
    pub cursor_after: FileCursor,
}

/// A line and what it is.
#[derive(Clone, PartialEq, Debug)]
pub struct SourceLine {
    /// 1-based.
    pub line: u64,
    /// The activity, or why it is none.
    pub outcome: Result<Activity, Malformed>,
    /// The line as it stands in the file, for the dead letter.
    pub raw: Personal<Vec<u8>>,
}

/// A batch of lines, parsed.
#[derive(Clone, PartialEq, Debug)]
pub struct SourceBatch {
    /// In file order; blank lines are left out.
    pub lines: Vec<SourceLine>,
    /// The cursor to be stored together with these lines.
    pub cursor_after: FileCursor,
}

/// Parses lines. Pure: a caller may cut a chunk in pieces and give each to a thread.
pub fn parse_chunk(lines: Vec<RawLine>, reader: &Reader) -> Vec<SourceLine> {
    lines
        .into_iter()
        .map(|RawLine { line, bytes, length }| {
            let too_long = usize::try_from(length).map_or(true, |length| length > MAX_LINE_BYTES);
            let outcome = if too_long { Err(Malformed::TooLong { bytes: length }) } else { reader.parse(bytes.reveal()) };
            SourceLine { line, outcome, raw: bytes }
        })
        .collect()
}

impl Chunk {
    /// Parses all of it on this thread.
    pub fn parse(self, reader: &Reader) -> SourceBatch {
        SourceBatch { lines: parse_chunk(self.lines, reader), cursor_after: self.cursor_after }
    }
}
