//! Rows of CSV, one by one: RFC 4180, the first row names the columns. A quotation mark that is never closed spoils its own line, not the rest of the file.

use super::RowsFault;
use crate::model::Personal;
use crate::normalize::activity_streams::{MAX_LINE_BYTES, Malformed};
use crate::source::batch::KEPT_BYTES;
use crate::wire::input::{Content, InputError};
use serde_json::{Map, Value as Json};

/// The UTF-8 byte order mark, which spreadsheet programs put at the start.
const BOM: &[u8] = b"\xef\xbb\xbf";
/// Columns: the widest exports that were seen have some hundred.
const MOST_COLUMNS: usize = 2_000;

/// Where the splitter is inside a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    CellStart,
    Plain,
    Quoted,
    /// A quotation mark inside quotes: the end of the cell, or the first of two.
    Quote,
}

/// Rows as they stand in a file.
#[derive(Debug)]
pub struct CsvRows {
    content: Content,
    delimiter: u8,
    names: Vec<String>,
    /// The first row as it stands, with its line end and a byte order mark.
    header: Vec<u8>,
    /// What was read and is read again.
    again: Vec<u8>,
    /// How much of it was.
    used: usize,
}

/// A row.
#[derive(Debug)]
pub struct CsvRow {
    /// As it stands, with its line end; of one that is too long the first 64 KiB.
    pub raw: Personal<Vec<u8>>,
    /// How many bytes that were.
    pub length: u64,
    /// Whether it ends with a line end.
    pub ended: bool,
    /// Its cells by their columns, empty ones left out, or why it has none.
    pub record: Result<Json, Malformed>,
}

impl CsvRow {
    /// Whether nothing stands in it.
    pub fn is_blank(&self) -> bool {
        self.raw.reveal().iter().all(u8::is_ascii_whitespace)
    }
}

impl CsvRows {
    /// Reads the first row of a file's content; `None` where nothing stands in it.
    ///
    /// # Errors
    /// Where the first row can't name columns.
    pub fn open(content: Content, delimiter: u8) -> Result<Result<Option<Self>, RowsFault>, InputError> {
        let mut rows = Self { content, delimiter, names: Vec::new(), header: Vec::new(), again: Vec::new(), used: 0 };
        let Some((raw, state, length)) = rows.split()? else { return Ok(Ok(None)) };
        if state == At::Quoted || usize::try_from(length).map_or(true, |length| length > MAX_LINE_BYTES) {
            return Ok(Err(RowsFault::NoHeader));
        }
        let Ok(cells) = cells(raw.strip_prefix(BOM).unwrap_or(&raw), delimiter) else { return Ok(Err(RowsFault::NoHeader)) };
        rows.names = cells.iter().map(|name| name.trim().to_owned()).collect();
        let mut known = std::collections::HashSet::new();
        let named = rows.names.iter().all(|name| !name.is_empty() && known.insert(name));
        if !named || rows.names.is_empty() || rows.names.len() > MOST_COLUMNS {
            return Ok(Err(RowsFault::NoHeader));
        }
        rows.header = raw;
        Ok(Ok(Some(rows)))
    }

    /// The first row as it stands.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Goes on at a byte of the content, at or after the end of the first row.
    ///
    /// # Errors
    /// Where the content ends before.
    pub fn skip_to(&mut self, offset: u64) -> Result<(), InputError> {
        let mut left = offset.saturating_sub(u64::try_from(self.header.len()).unwrap_or(0));
        while left > 0 {
            let available = u64::try_from(self.content.fill()?.len()).unwrap_or(0);
            if available == 0 {
                return Ok(());
            }
            let step = available.min(left);
            self.content.consume(usize::try_from(step).unwrap_or(usize::MAX));
            left -= step;
        }
        Ok(())
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// As [`Content::fill`].
    pub fn next_row(&mut self) -> Result<Option<CsvRow>, InputError> {
        let Some((mut raw, state, length)) = self.split()? else { return Ok(None) };
        let ended = raw.ends_with(b"\n");
        let too_long = usize::try_from(length).map_or(true, |length| length > MAX_LINE_BYTES + 2);
        let record = if state == At::Quoted {
            Err(Malformed::OpenQuote)
        } else if too_long {
            Err(Malformed::TooLong { bytes: length })
        } else {
            self.record(&raw)
        };
        if too_long {
            raw.truncate(KEPT_BYTES);
        }
        Ok(Some(CsvRow { raw: Personal::new(raw), length, ended, record }))
    }

    fn record(&self, raw: &[u8]) -> Result<Json, Malformed> {
        let cells = cells(raw, self.delimiter)?;
        if cells.len() != self.names.len() {
            return Err(Malformed::Cells { found: cells.len(), expected: self.names.len() });
        }
        let members = self.names.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
        Ok(Json::Object(members.map(|(name, cell)| (name.clone(), cell.into())).collect::<Map<_, _>>()))
    }

    /// The bytes of a row with its line end, where the splitter stood at its end, and its length. What is too long is kept in part; a row
    /// whose quotes are open at the limit or at the end, or go on over a line and are then followed by text, is its first line alone.
    fn split(&mut self) -> Result<Option<(Vec<u8>, At, u64)>, InputError> {
        let (mut row, mut at, mut length) = (Vec::new(), At::CellStart, 0_u64);
        loop {
            let (taken, spoiled) = self.take(&mut row, &mut at, &mut length)?;
            let end = || memchr::memchr(b'\n', &row);
            if spoiled && end().is_some_and(|end| end + 1 < row.len()) {
                return Ok(Some(self.first_line(row)));
            }
            match taken {
                // The end of the row.
                Some(true) => return Ok(Some((row, at, length))),
                // The end of the content.
                None if length == 0 => return Ok(None),
                None if at != At::Quoted => return Ok(Some((row, at, length))),
                Some(false) if row.len() <= MAX_LINE_BYTES || at != At::Quoted => {
                    if row.len() > MAX_LINE_BYTES {
                        row.truncate(MAX_LINE_BYTES + 3);
                    }
                }
                None | Some(false) => {
                    if end().is_some() {
                        return Ok(Some(self.first_line(row)));
                    }
                    if taken.is_none() {
                        return Ok(Some((row, At::Quoted, length)));
                    }
                    // One line without an end: from here on only its end is sought.
                    at = At::Plain;
                }
            }
        }
    }

    /// Of what was taken for a row, its first line; the rest is read again.
    fn first_line(&mut self, mut row: Vec<u8>) -> (Vec<u8>, At, u64) {
        let rest = row.split_off(memchr::memchr(b'\n', &row).map_or(row.len(), |end| end + 1));
        let unread = self.again.split_off(self.used.min(self.again.len()));
        self.again = [rest, unread].concat();
        self.used = 0;
        let length = u64::try_from(row.len()).unwrap_or(u64::MAX);
        (row, At::Quoted, length)
    }

    /// Takes bytes up to the end of the row: true where that was seen, `None` at the end of the content. And whether text followed on a cell's
    /// quotes, where it stops too.
    fn take(&mut self, row: &mut Vec<u8>, at: &mut At, length: &mut u64) -> Result<(Option<bool>, bool), InputError> {
        let from_again = self.used < self.again.len();
        let available = if from_again { self.again.get(self.used..).unwrap_or_default() } else { self.content.fill()? };
        if available.is_empty() {
            return Ok((None, false));
        }
        // In steps, so that a row never grows far beyond its limit.
        let available = available.get(..available.len().min(64 * 1024)).unwrap_or(available);
        let (mut end, mut spoiled) = (None, None);
        for (index, byte) in available.iter().enumerate() {
            *at = match (*at, *byte) {
                (At::Quoted, b'"') => At::Quote,
                (At::Quoted, _) | (At::Quote | At::CellStart, b'"') => At::Quoted,
                (_, b'\n') => {
                    end = Some(index + 1);
                    break;
                }
                (_, byte) if byte == self.delimiter => At::CellStart,
                (At::Quote, byte) if byte != b'\r' => {
                    spoiled = Some(index + 1);
                    At::Plain
                }
                (At::CellStart | At::Plain | At::Quote, _) => At::Plain,
            };
            if spoiled.is_some() {
                break;
            }
        }
        let used = end.or(spoiled).unwrap_or(available.len());
        row.extend_from_slice(available.get(..used).unwrap_or_default());
        *length += u64::try_from(used).unwrap_or(0);
        if from_again {
            self.used += used;
            if self.used == self.again.len() {
                (self.again, self.used) = (Vec::new(), 0);
            }
        } else {
            self.content.consume(used);
        }
        Ok((Some(end.is_some()), spoiled.is_some()))
    }
}

/// The cells of one row.
fn cells(raw: &[u8], delimiter: u8) -> Result<Vec<String>, Malformed> {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
    if let Err(wrong) = std::str::from_utf8(raw) {
        return Err(Malformed::NotUtf8 { at: wrong.valid_up_to() + 1 });
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .terminator(csv::Terminator::Any(b'\n'))
        .buffer_capacity(raw.len().max(16))
        .from_reader(raw);
    let mut record = csv::StringRecord::new();
    // Reading from memory; what is no text was refused before.
    reader.read_record(&mut record).map_err(|_never| Malformed::OpenQuote)?;
    Ok(record.iter().map(str::to_owned).collect())
}
