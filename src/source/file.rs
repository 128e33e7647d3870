//! One NDJSON file, from where a cursor says to its end.

use super::batch::KEPT_BYTES;
use super::rows::RowReader;
use super::{BatchLimits, Chunk, FileCursor, RawLine, SourceBatch, SourceError};
use crate::model::Personal;
use crate::normalize::activity_streams::{MAX_LINE_BYTES, Reader};
use crate::wire::input::{Content, Hashed};
use memchr::memchr;
use std::path::Path;

/// The UTF-8 byte order mark, which some programs put at the start of a file.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// What opening a file found.
#[derive(Debug)]
pub enum Opened {
    /// The cursor says finished, and the file is as it was.
    NothingNew(FileCursor),
    /// There are lines to be read.
    Reading(Box<FileReader>),
    /// There are records to be read.
    Rows(Box<RowReader>),
}

/// A file that is being read.
#[derive(Debug)]
pub struct FileReader {
    content: Content,
    cursor: FileCursor,
    /// A line that was read while opening.
    pending: Option<RawLine>,
    /// Lines that were read before a failure go on; the failure comes after them.
    failed: Option<SourceError>,
}

impl FileReader {
    /// Opens a file after the last cursor that was stored for it. The file is hashed first: with the same digest and a finished cursor there
    /// is nothing new; a file that begins with what was read goes on after it; any other is read from its start.
    ///
    /// # Errors
    /// Missing, not a file, unreadable; or, where reading goes on inside a packed file, what stands before that place.
    pub fn open(path: &Path, cursor: Option<&FileCursor>) -> Result<Opened, SourceError> {
        let hashed = Hashed::open(path, cursor.map(|cursor| cursor.length))?;
        let (digest, length) = (hashed.digest, hashed.length);
        let known = cursor.filter(|cursor| hashed.prefix == Some(cursor.digest));
        let Some(known) = known else {
            let mut content = hashed.content(0)?;
            let mut cursor = FileCursor::start(digest, length);
            if content.fill().is_ok_and(|head| head.starts_with(BOM)) {
                content.consume(BOM.len());
                cursor.offset = u64::try_from(BOM.len()).unwrap_or(0);
            }
            return Ok(Opened::Reading(Box::new(Self { content, cursor, pending: None, failed: None })));
        };
        if known.finished && known.length == length {
            return Ok(Opened::NothingNew(known.clone()));
        }
        let mut cursor = FileCursor { digest, length, finished: false, ..known.clone() };
        let Some(line_start) = cursor.open_line.take() else {
            return Ok(Opened::Reading(Box::new(Self { content: hashed.content(cursor.offset)?, cursor, pending: None, failed: None })));
        };
        // The last line had no line end. If it only got one meanwhile it is done; if it goes on it was not complete, and is read again whole.
        let consumed = cursor.offset - line_start.min(cursor.offset);
        cursor.lines = cursor.lines.saturating_sub(1);
        cursor.offset = line_start;
        let mut reader = Self { content: hashed.content(line_start)?, cursor, pending: None, failed: None };
        let line = reader.next_line()?;
        let with_line_end = reader.cursor.offset - line_start;
        reader.pending = line.filter(|line| line.length != consumed && with_line_end != consumed + 1);
        Ok(Opened::Reading(Box::new(reader)))
    }

    /// Where reading stands.
    pub const fn cursor(&self) -> &FileCursor {
        &self.cursor
    }

    /// The next lines; `None` once the end was given out. The chunk with the end may have no lines: its cursor says finished.
    ///
    /// # Errors
    /// Cut off, damaged, changed, unreadable: the lines before were given out, the cursor stays before the failure.
    pub fn next_chunk(&mut self, limits: BatchLimits) -> Result<Option<Chunk>, SourceError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.cursor.finished {
            return Ok(None);
        }
        let (mut lines, mut bytes) = (Vec::new(), 0_usize);
        while lines.len() < limits.lines.max(1) && bytes < limits.bytes.max(1) {
            match self.pending.take().map_or_else(|| self.next_line(), |line| Ok(Some(line))) {
                Ok(Some(line)) => {
                    bytes += line.bytes.reveal().len();
                    if !line.bytes.reveal().iter().all(u8::is_ascii_whitespace) {
                        lines.push(line);
                    }
                }
                Ok(None) => {
                    self.cursor.finished = true;
                    break;
                }
                Err(error) if lines.is_empty() => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        Ok(Some(Chunk { lines, cursor_after: self.cursor.clone() }))
    }

    /// The next lines, parsed on this thread.
    ///
    /// # Errors
    /// As [`FileReader::next_chunk`].
    pub fn next_batch(&mut self, limits: BatchLimits, reader: &Reader) -> Result<Option<SourceBatch>, SourceError> {
        Ok(self.next_chunk(limits)?.map(|chunk| chunk.parse(reader)))
    }

    /// One line without its line end. The cursor moves only once the line is whole.
    fn next_line(&mut self) -> Result<Option<RawLine>, SourceError> {
        let (mut line, mut consumed, mut length) = (Vec::new(), 0_usize, 0_usize);
        let ended = loop {
            let available = self.content.fill()?;
            if available.is_empty() {
                break false;
            }
            let (part, used, ended) = match memchr(b'\n', available) {
                Some(at) => (available.get(..at).unwrap_or_default(), at + 1, true),
                None => (available, available.len(), false),
            };
            length += part.len();
            if length <= MAX_LINE_BYTES + 1 {
                line.extend_from_slice(part);
            } else {
                line.extend_from_slice(part.get(..KEPT_BYTES.saturating_sub(line.len()).min(part.len())).unwrap_or_default());
                line.truncate(KEPT_BYTES);
            }
            consumed += used;
            self.content.consume(used);
            if ended {
                break true;
            }
        };
        if consumed == 0 {
            return Ok(None);
        }
        if line.ends_with(b"\r") && line.len() == length {
            line.pop();
            length -= 1;
        }
        if length > MAX_LINE_BYTES {
            line.truncate(KEPT_BYTES);
        }
        let start = self.cursor.offset;
        self.cursor.lines += 1;
        self.cursor.offset += u64::try_from(consumed).unwrap_or(0);
        self.cursor.open_line = (!ended).then_some(start);
        let bytes = Personal::new(line);
        Ok(Some(RawLine { line: self.cursor.lines, bytes, length: u64::try_from(length).unwrap_or(u64::MAX) }))
    }
}

#[cfg(test)]
mod tests;
