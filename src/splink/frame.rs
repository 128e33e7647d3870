//! The records of a run in columns: each distinct text of a column once, named by a number.

use super::Settings;
use crate::diagnose::{Code, Diagnostic, Problems};
use crate::model::stable_hash::{ByHash, mix};
use std::sync::Arc;

const NO_COLUMN: Code = Code("KITH-L023");

/// Longest cell, in bytes: distances are quadratic, and 32 KiB of one against 32 KiB of another is a second.
const MOST_CELL: usize = 1 << 15;

/// Most records: a row is a number of 32 bits.
const MOST_ROWS: usize = 1 << 31;

/// A hash of bytes, eight at a time. Only for the tables of one run: nothing that it decides is kept.
fn spread(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        for (slot, byte) in word.iter_mut().zip(chunk) {
            *slot = *byte;
        }
        u64::from_le_bytes(word)
    });
    let length = u64::try_from(bytes.len()).unwrap_or(0);
    mix(words.fold(length, |state, word| (state.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// Distinct byte strings by number, from 1 on.
#[derive(Default, Debug)]
pub(super) struct Distinct {
    buffer: Vec<u8>,
    ends: Vec<usize>,
    by_hash: ByHash<u32>,
}

impl Distinct {
    /// With room for so many.
    pub(super) fn with_room(count: usize) -> Self {
        let mut by_hash = ByHash::default();
        by_hash.reserve(count);
        Self { buffer: Vec::new(), ends: Vec::with_capacity(count), by_hash }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, number: u32) -> &[u8] {
        let Some(at) = usize::try_from(number).ok().and_then(|n| n.checked_sub(1)) else { return &[] };
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(at).and_then(|end| self.buffer.get(start..*end)).unwrap_or_default()
    }

    /// The number of a string, added where it is not there.
    pub(super) fn number(&mut self, bytes: &[u8]) -> u32 {
        let mut key = spread(bytes);
        loop {
            match self.by_hash.get(&key) {
                Some(number) if self.get(*number) == bytes => return *number,
                // Another string has this hash: the next place.
                Some(_) => key = key.wrapping_add(1),
                None => break,
            }
        }
        let number = self.add(bytes);
        self.by_hash.insert(key, number);
        number
    }

    /// A number for a string that is not looked for.
    fn add(&mut self, bytes: &[u8]) -> u32 {
        self.buffer.extend_from_slice(bytes);
        self.ends.push(self.buffer.len());
        // Rows are fewer than 2³¹, and so are distinct texts.
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }
}

/// A column that grows.
#[derive(Default, Debug)]
struct Growing {
    ids: Vec<u32>,
    texts: Distinct,
}

impl Growing {
    fn finish(self) -> Column {
        let count = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        let numeric = count > 0 && (1..=count).all(|id| is_number(self.texts.get(id)));
        // Only texts were put in.
        let texts = String::from_utf8(self.texts.buffer).unwrap_or_default();
        Column { ids: Arc::new(self.ids), texts, ends: self.texts.ends, numeric }
    }
}

/// A column: the number of each row's text, 0 for null.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) ids: Arc<Vec<u32>>,
    /// All texts, one behind the other.
    texts: String,
    /// Where each ends.
    ends: Vec<usize>,
    /// Whether every text is a plain number of up to 15 digits.
    pub(super) numeric: bool,
}

impl Column {
    /// How many texts there are, null being none.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn text(&self, id: u32) -> Option<&str> {
        let at = usize::try_from(id).ok()?.checked_sub(1)?;
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.texts.get(start..*self.ends.get(at)?)
    }

    pub(super) fn cell(&self, row: usize) -> Option<&str> {
        self.text(self.ids.get(row).copied().unwrap_or(0))
    }
}

/// All records of a run.
#[derive(Debug)]
pub struct Frame {
    /// By the model's numbers for columns; the unique id is the last.
    pub(super) columns: Vec<Column>,
    pub(super) rows: usize,
    /// How many rows are of the first table.
    pub(super) of_first: usize,
    pub(super) tables: Vec<Arc<str>>,
}

/// Why records can't be taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// Columns that the model reads are not there.
    #[error("columns are missing")]
    Columns(Problems),
    /// A cell is longer than 32 KiB.
    #[error("row {row} has a cell of more than 32 KiB in column `{column}`")]
    LongCell {
        /// The row, the first is 1.
        row: usize,
        /// The column.
        column: Arc<str>,
    },
    /// A record has no id.
    #[error("row {row} has no value in `{column}`")]
    NoId {
        /// The row, the first is 1.
        row: usize,
        /// The column.
        column: Arc<str>,
    },
    /// More than 2³¹ records.
    #[error("there are more than 2,147,483,648 records")]
    TooMany,
}

/// Takes records in, table by table.
#[derive(Debug)]
pub struct FrameBuilder {
    names: Vec<Arc<str>>,
    columns: Vec<Growing>,
    tables: Vec<Arc<str>>,
    starts: Vec<usize>,
    rows: usize,
    /// For each of the model's columns, where the table has it.
    picks: Vec<usize>,
}

impl FrameBuilder {
    /// For a model.
    pub fn new(settings: &Settings) -> Self {
        let names: Vec<Arc<str>> = settings.columns().cloned().chain(std::iter::once(settings.unique_id.clone())).collect();
        let columns = names.iter().map(|_| Growing::default()).collect();
        Self { names, columns, tables: Vec::new(), starts: Vec::new(), rows: 0, picks: Vec::new() }
    }

    /// Begins a table by its name in `source_dataset` and its header.
    ///
    /// # Errors
    /// [`FrameError::Columns`] with a place in the model for each column that the table lacks.
    pub fn table(&mut self, settings: &Settings, name: &str, header: &[&str]) -> Result<(), FrameError> {
        self.tables.push(name.into());
        self.starts.push(self.rows);
        self.picks.clear();
        let mut problems = Problems::default();
        for column in &self.names {
            if let Some(at) = header.iter().position(|h| h.eq_ignore_ascii_case(column)) {
                self.picks.push(at);
                continue;
            }
            let message = format!("`{name}` has no column `{column}`");
            let remedy = match crate::diagnose::nearest(column, header.iter().copied()) {
                Some(close) => format!("Did you mean `{close}`?"),
                None => "Give a table that has the columns that the model reads".into(),
            };
            problems.push(Diagnostic::error(NO_COLUMN, settings.place_of(column), message, remedy));
        }
        if problems.has_errors() { Err(FrameError::Columns(problems)) } else { Ok(()) }
    }

    /// Takes a record; an empty cell is null.
    ///
    /// # Errors
    /// A cell that is too long, a record without an id, too many records.
    pub fn push<'c>(&mut self, cell: impl Fn(usize) -> Option<&'c str>) -> Result<(), FrameError> {
        let row = self.rows + 1;
        if row > MOST_ROWS {
            return Err(FrameError::TooMany);
        }
        let id = self.columns.len().saturating_sub(1);
        for (number, ((column, name), pick)) in self.columns.iter_mut().zip(&self.names).zip(&self.picks).enumerate() {
            let text = cell(*pick).unwrap_or_default();
            if text.len() > MOST_CELL {
                return Err(FrameError::LongCell { row, column: name.clone() });
            }
            // Ids are each their own, and nobody asks which are equal by number.
            let number = match text {
                "" => 0,
                text if number == id => column.texts.add(text.as_bytes()),
                text => column.texts.number(text.as_bytes()),
            };
            column.ids.push(number);
        }
        if let (Some(column), Some(name)) = (self.columns.last(), self.names.last())
            && column.ids.last() == Some(&0)
        {
            return Err(FrameError::NoId { row, column: name.clone() });
        }
        self.rows = row;
        Ok(())
    }

    /// All records.
    pub fn finish(self) -> Frame {
        let columns = self.columns.into_iter().map(Growing::finish).collect();
        let of_first = self.starts.get(1).copied().unwrap_or(self.rows);
        Frame { columns, rows: self.rows, of_first, tables: self.tables }
    }
}

/// `-12.5`, `1e-3`; no leading zeros, no more digits than an `f64` tells apart.
fn is_number(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let digits = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(text);
    if whole == 0 || text.len() > 22 || (whole > 1 && text.first() == Some(&b'0')) {
        return false;
    }
    let mut rest = text.get(whole..).unwrap_or_default();
    let mut count = whole;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let n = digits(fraction);
        count += n;
        rest = fraction.get(n..).unwrap_or_default();
        if n == 0 {
            return false;
        }
    }
    if let Some(power) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        let power = power.strip_prefix(b"-").or_else(|| power.strip_prefix(b"+")).unwrap_or(power);
        return count <= 17 && !power.is_empty() && digits(power) == power.len() && power.len() <= 3;
    }
    rest.is_empty() && count <= 15
}

impl Frame {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The id of a record.
    pub fn id(&self, row: u32) -> &str {
        let row = usize::try_from(row).unwrap_or(usize::MAX);
        self.columns.last().and_then(|column| column.cell(row)).unwrap_or_default()
    }

    /// The name of the table that a record is of.
    pub fn table(&self, row: u32) -> &str {
        let second = usize::try_from(row).unwrap_or(usize::MAX) >= self.of_first;
        self.tables.get(usize::from(second)).map_or("", |name| name)
    }

    /// Whether ids are numbers.
    pub fn ids_are_numbers(&self) -> bool {
        self.columns.last().is_some_and(|column| column.numeric)
    }

    /// How many tables there are.
    pub fn tables(&self) -> usize {
        self.tables.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_are_numbers() {
        for (text, expected) in [
            ("0", true),
            ("-12.5", true),
            ("007", false),
            ("1.", false),
            ("", false),
            ("1e5", true),
            ("+1", false),
            ("1234567890123456", false),
        ] {
            assert_eq!(is_number(text.as_bytes()), expected, "{text}");
        }
    }
}
