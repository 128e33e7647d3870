//! Files of records: NDJSON, CSV and Parquet. Each row is made into an activity by a projection; one that can't be is parked with its number.

mod csv_rows;

pub use csv_rows::{CsvRow, CsvRows};

use super::file::{FileReader, Opened};
use super::{BatchLimits, FileCursor, SourceBatch, SourceError, SourceLine};
use crate::declare::config::{RowFormat, RowsSpec};
use crate::declare::manifest::{Projection, Surroundings};
use crate::model::Personal;
use crate::normalize::activity_streams::{MAX_LINE_BYTES, Malformed, Reader};
use crate::wire::input::{Hashed, open};
use crate::wire::table_rows::{ParquetRows, RowsError};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a file has no rows that can be read, or no more.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RowsFault {
    /// The first row of a CSV.
    #[error("its first row does not name each column once")]
    NoHeader,
    /// Parquet.
    #[error(transparent)]
    Parquet(#[from] RowsError),
}

/// A file of records that is being read.
#[derive(Debug)]
pub struct RowReader {
    path: PathBuf,
    rows: Rows,
    projection: Arc<Projection>,
    cursor: FileCursor,
    failed: Option<SourceError>,
}

#[derive(Debug)]
enum Rows {
    Ndjson(Box<FileReader>),
    Csv(Box<CsvRows>),
    Parquet(Box<ParquetRows>),
    /// Nothing stands in it.
    None,
}

/// The row as a line of Activity Streams, parsed; `None` where the projection does not take it.
pub fn projected(record: Json, number: u64, projection: &Projection, reader: &Reader) -> Option<SourceLine> {
    let line = projection.line(record, &Surroundings::default())?;
    let outcome = match u64::try_from(line.len()) {
        Ok(bytes) if line.len() > MAX_LINE_BYTES => Err(Malformed::TooLong { bytes }),
        _ => reader.parse(&line),
    };
    Some(SourceLine { line: number, outcome, raw: Personal::new(line) })
}

/// What a line that is no JSON object is; `reader` knows the reasons.
pub fn no_record(line: &[u8], reader: &Reader) -> Malformed {
    match reader.parse(line) {
        Err(malformed) => malformed,
        Ok(_activity) => Malformed::NotAnObject { found: "an activity, where a record is meant" },
    }
}

impl RowReader {
    /// Opens a file after the last cursor that was stored for it, as [`FileReader::open`] does.
    ///
    /// # Errors
    /// As [`FileReader::open`]; where it is no such file.
    pub fn open(path: &Path, cursor: Option<&FileCursor>, spec: &RowsSpec) -> Result<Opened, SourceError> {
        let Some(projection) = spec.projection().cloned() else { return Err(SourceError::NotLoaded(path.to_owned())) };
        let delimiter = match spec.format {
            RowFormat::Ndjson => {
                return Ok(match FileReader::open(path, cursor)? {
                    Opened::Reading(file) => {
                        let cursor = file.cursor().clone();
                        let rows = Rows::Ndjson(file);
                        Opened::Rows(Box::new(Self { path: path.to_owned(), rows, projection, cursor, failed: None }))
                    }
                    other @ (Opened::NothingNew(_) | Opened::Rows(_)) => other,
                });
            }
            RowFormat::Csv { delimiter } => Some(delimiter),
            RowFormat::Parquet => None,
        };
        let hashed = Hashed::open(path, cursor.map(|cursor| cursor.length))?;
        let known = cursor.filter(|cursor| hashed.prefix == Some(cursor.digest));
        if let Some(known) = known.filter(|known| known.finished && known.length == hashed.length) {
            return Ok(Opened::NothingNew(known.clone()));
        }
        let (digest, length) = (hashed.digest, hashed.length);
        // Parquet ends with its index: a longer file is another file.
        let known = known.filter(|known| delimiter.is_some() || known.length == length);
        let mut cursor = known
            .map_or_else(|| FileCursor::start(digest, length), |known| FileCursor { digest, length, finished: false, ..known.clone() });
        let fault = |fault| SourceError::Rows { path: path.to_owned(), fault };
        let rows = if let Some(delimiter) = delimiter {
            match CsvRows::open(hashed.content(0)?, delimiter)?.map_err(fault)? {
                None => Rows::None,
                Some(mut rows) => {
                    let consumed = cursor.open_line.take().map(|start| (start, cursor.offset.saturating_sub(start)));
                    let from = consumed.map_or(cursor.offset, |(start, _)| start);
                    rows.skip_to(from)?;
                    cursor.offset = from.max(u64::try_from(rows.header().len()).unwrap_or(0));
                    let mut reader = Self { path: path.to_owned(), rows: Rows::Csv(Box::new(rows)), projection, cursor, failed: None };
                    // The last row had no line end. If it only got one meanwhile it is done; if it goes on it is read again whole.
                    if let Some((start, consumed)) = consumed {
                        reader.again(start, consumed, delimiter)?;
                    }
                    return Ok(Opened::Rows(Box::new(reader)));
                }
            }
        } else {
            let mut rows = ParquetRows::open(open(path)?).map_err(|error| fault(error.into()))?;
            for _row in 0..cursor.lines {
                rows.next_row().map_err(|error| fault(error.into()))?;
            }
            Rows::Parquet(Box::new(rows))
        };
        Ok(Opened::Rows(Box::new(Self { path: path.to_owned(), rows, projection, cursor, failed: None })))
    }

    /// Looks at the row that was the last one: what is no longer than it was is left out.
    fn again(&mut self, start: u64, consumed: u64, delimiter: u8) -> Result<(), SourceError> {
        let Rows::Csv(rows) = &mut self.rows else { return Ok(()) };
        let Some(row) = rows.next_row()? else { return Ok(()) };
        // It begins as before: what is no longer without its line end says nothing new.
        let line_end = if row.raw.reveal().ends_with(b"\r\n") { 2 } else { u64::from(row.ended) };
        if row.length - line_end.min(row.length) <= consumed {
            self.cursor.offset = start + row.length;
            self.cursor.open_line = (!row.ended).then_some(start);
            return Ok(());
        }
        // It goes on: opened anew in front of it.
        self.cursor.lines = self.cursor.lines.saturating_sub(1);
        let fault = |fault| SourceError::Rows { path: self.path.clone(), fault };
        let hashed = Hashed::open(&self.path, None)?;
        if let Some(mut fresh) = CsvRows::open(hashed.content(0)?, delimiter)?.map_err(fault)? {
            fresh.skip_to(start)?;
            self.rows = Rows::Csv(Box::new(fresh));
        }
        Ok(())
    }

    /// The next rows, made into activities on this thread; `None` once the end was given out.
    ///
    /// # Errors
    /// As [`FileReader::next_chunk`]: the rows before were given out.
    pub fn next_batch(&mut self, limits: BatchLimits, reader: &Reader) -> Result<Option<SourceBatch>, SourceError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.cursor.finished {
            return Ok(None);
        }
        if let Rows::Ndjson(file) = &mut self.rows {
            let Some(chunk) = file.next_chunk(limits)? else { return Ok(None) };
            self.cursor = chunk.cursor_after.clone();
            let lines = chunk.lines.into_iter().filter_map(|line| {
                let too_long = usize::try_from(line.length).map_or(true, |length| length > MAX_LINE_BYTES);
                let outcome = if too_long {
                    Err(Malformed::TooLong { bytes: line.length })
                } else {
                    match serde_json::from_slice::<Json>(line.bytes.reveal()) {
                        Ok(record) if record.is_object() => return projected(record, line.line, &self.projection, reader),
                        Ok(_) | Err(_) => Err(no_record(line.bytes.reveal(), reader)),
                    }
                };
                Some(SourceLine { line: line.line, outcome, raw: line.bytes })
            });
            return Ok(Some(SourceBatch { lines: lines.collect(), cursor_after: chunk.cursor_after }));
        }
        let (mut lines, mut bytes, mut rows) = (Vec::new(), 0_usize, 0_usize);
        while rows < limits.lines.max(1) && bytes < limits.bytes.max(1) {
            match self.next_line(reader) {
                Ok(Some((line, length))) => {
                    rows += 1;
                    bytes += length;
                    lines.extend(line);
                }
                Ok(None) => {
                    self.cursor.finished = true;
                    break;
                }
                Err(error) if rows == 0 => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        Ok(Some(SourceBatch { lines, cursor_after: self.cursor.clone() }))
    }

    /// One row of CSV or Parquet, where it is taken, and its length. The cursor moves behind it.
    fn next_line(&mut self, reader: &Reader) -> Result<Option<(Option<SourceLine>, usize)>, SourceError> {
        match &mut self.rows {
            Rows::Csv(rows) => {
                let Some(row) = rows.next_row()? else { return Ok(None) };
                let start = self.cursor.offset;
                self.cursor.lines += 1;
                self.cursor.offset += row.length;
                self.cursor.open_line = (!row.ended).then_some(start);
                let length = row.raw.reveal().len();
                if row.is_blank() {
                    return Ok(Some((None, length)));
                }
                let number = self.cursor.lines;
                let line = match row.record {
                    Ok(record) => projected(record, number, &self.projection, reader),
                    Err(malformed) => Some(SourceLine { line: number, outcome: Err(malformed), raw: row.raw }),
                };
                Ok(Some((line, length)))
            }
            Rows::Parquet(rows) => {
                let fault = |error: RowsError| SourceError::Rows { path: self.path.clone(), fault: error.into() };
                let Some(record) = rows.next_row().map_err(fault)? else { return Ok(None) };
                self.cursor.lines += 1;
                let line = projected(record, self.cursor.lines, &self.projection, reader);
                // What a row that is not taken weighs is not known; 256 bytes are usual.
                let length = line.as_ref().map_or(256, |line| line.raw.reveal().len());
                Ok(Some((line, length)))
            }
            Rows::Ndjson(_) | Rows::None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
