//! CSV as RFC 4180 has it, plain or gzip, one row at a time.

use super::table::{Cell, EachRow, Scanned};
use super::{CustomersError, RowFault};
use crate::wire::input::{InputError, Watched};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest row: 1 MiB, a thousand times a usual one. What is longer is a quotation mark that was never closed.
pub(super) const MAX_ROW_BYTES: usize = 1 << 20;

/// Columns of a table: wide exports of CRMs have some hundreds.
const MAX_COLUMNS: usize = 4_096;

/// The csv reader's buffer.
const CHUNK: usize = 64 * 1024;

/// Bytes on their way to the csv reader: counted since the last row, the last of them remembered.
struct Meter {
    file: Watched,
    /// Bytes since the last row was done.
    since_row: usize,
    endless: bool,
    failed: Option<InputError>,
    /// The last bytes, at least one row and one buffer of them.
    tail: Vec<u8>,
    read: u64,
}

impl Meter {
    /// What was read from an offset on, as far as it is remembered.
    fn from(&self, offset: u64) -> Option<&[u8]> {
        let from_end = usize::try_from(self.read.saturating_sub(offset)).ok()?;
        self.tail.len().checked_sub(from_end).and_then(|at| self.tail.get(at..))
    }

    /// How many lines end right at an offset: the csv reader places a row before the rest of the last row's line end and before blank lines.
    fn line_ends_at(&self, offset: u64) -> u64 {
        let ends =
            self.from(offset).unwrap_or_default().iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).filter(|byte| **byte == b'\n');
        u64::try_from(ends.count()).unwrap_or(0)
    }
}

impl Read for Meter {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_row > MAX_ROW_BYTES + CHUNK {
            self.endless = true;
            return Err(io::ErrorKind::InvalidData.into());
        }
        let read = match self.file.read(buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.failed = Some(self.file.failure(error));
                return Err(io::ErrorKind::Other.into());
            }
        };
        if self.tail.len() > 2 * (MAX_ROW_BYTES + CHUNK) {
            self.tail.drain(..self.tail.len() - (MAX_ROW_BYTES + CHUNK));
        }
        self.tail.extend_from_slice(buffer.get(..read).unwrap_or_default());
        self.since_row += read;
        self.read += u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}

/// An open CSV file after its header.
pub(super) struct Csv {
    path: PathBuf,
    delimiter: u8,
    reader: csv::Reader<Meter>,
}

impl Csv {
    pub(super) fn open(path: &Path, delimiter: u8) -> Result<(Self, Vec<Arc<str>>), CustomersError> {
        let meter = Meter { file: Watched::open(path)?, since_row: 0, endless: false, failed: None, tail: Vec::new(), read: 0 };
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).buffer_capacity(CHUNK).from_reader(meter);
        let mut record = csv::ByteRecord::new();
        let bad = |fault| CustomersError::Header { path: path.to_owned(), fault };
        let read = reader.read_byte_record(&mut record);
        let mut csv = Self { path: path.to_owned(), delimiter, reader };
        if !read.map_err(|_source| csv.failure(1))? {
            return Err(bad("the file is empty"));
        }
        let mut header: Vec<Arc<str>> = Vec::new();
        for cell in record.iter().take(MAX_COLUMNS + 1) {
            let name = std::str::from_utf8(cell).map_err(|_source| bad("it is not UTF-8"))?.trim();
            if !name.is_empty() && header.iter().any(|known| **known == *name) {
                return Err(bad("it names a column twice"));
            }
            header.push(name.into());
        }
        if header.len() > MAX_COLUMNS {
            return Err(bad("it has more than 4,096 columns"));
        }
        Ok((csv, header))
    }

    /// What a failed read means. The csv reader itself has no complaints: rows are flexible and bytes are checked here.
    fn failure(&mut self, line: u64) -> CustomersError {
        let meter = self.reader.get_mut();
        match meter.failed.take() {
            Some(failed) => failed.into(),
            None if meter.endless => CustomersError::EndlessRow { path: self.path.clone(), line },
            None => InputError::Changed(self.path.clone()).into(),
        }
    }

    pub(super) fn rows(mut self, header: &[Arc<str>], pick: &[Option<usize>], each: &mut EachRow<'_>) -> Result<Scanned, CustomersError> {
        let mut record = csv::ByteRecord::new();
        let (mut rows, mut line, mut start, mut ragged) = (0, 1, 0, false);
        let key = pick.first().copied().flatten();
        loop {
            match self.reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => return Err(self.failure(self.reader.position().line())),
            }
            self.reader.get_mut().since_row = 0;
            rows += 1;
            if let Some(position) = record.position() {
                start = position.byte();
                line = position.line() + self.reader.get_ref().line_ends_at(start);
            }
            ragged = record.len() != header.len();
            let fault = |fault: RowFault| (fault, key.and_then(|at| record.get(at)).and_then(|cell| std::str::from_utf8(cell).ok()));
            if ragged {
                each(line, Err(fault(RowFault::Ragged { cells: record.len(), header: header.len() })));
                continue;
            }
            let ascii = record.as_slice().is_ascii();
            // One row's cells; the allocation is small beside the row's own values.
            let mut cells = Vec::with_capacity(pick.len());
            let mut broken = None;
            for at in pick {
                let Some((at, cell)) = at.and_then(|at| record.get(at).map(|cell| (at, cell))) else {
                    cells.push(Cell::Missing);
                    continue;
                };
                match std::str::from_utf8(cell) {
                    Ok(text) => cells.push(Cell::Text(text)),
                    Err(_) => broken = broken.or(Some(at)),
                }
            }
            // A cell that nobody reads must be UTF-8 too: a row in another encoding is not trusted in part.
            if !ascii && broken.is_none() {
                broken = record.iter().position(|cell| std::str::from_utf8(cell).is_err());
            }
            match broken {
                Some(at) => {
                    each(line, Err(fault(RowFault::NotUtf8 { column: header.get(at).map(ToString::to_string).unwrap_or_default() })));
                }
                None => each(line, Ok(&cells)),
            }
        }
        let Self { path, delimiter, reader } = self;
        let meter = reader.into_inner();
        if let Some(failed) = meter.failed {
            return Err(failed.into());
        }
        if rows > 0 && is_cut_off(&meter, start, delimiter, ragged) {
            return Err(CustomersError::LastRowCutOff { path, line });
        }
        Ok(Scanned { rows, digest: meter.file.finish()? })
    }
}

/// Whether the last row ends in the middle: without a line end and with too few cells, or inside a quoted cell.
fn is_cut_off(meter: &Meter, start: u64, delimiter: u8, ragged: bool) -> bool {
    if ragged && !meter.tail.ends_with(b"\n") && !meter.tail.ends_with(b"\r") {
        return true;
    }
    let Some(row) = meter.from(start) else { return true };
    let (mut quoted, mut cell_start, mut just_closed) = (false, true, false);
    for byte in row {
        match byte {
            b'"' if quoted => (quoted, just_closed) = (false, true),
            // Right after a closing mark another one opens again: that is what doubling means.
            b'"' if cell_start || just_closed => (quoted, cell_start, just_closed) = (true, false, false),
            _ if quoted => {}
            _ => (cell_start, just_closed) = (*byte == delimiter || *byte == b'\n' || *byte == b'\r', false),
        }
    }
    quoted
}
