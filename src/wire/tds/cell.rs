//! Cells of columns that are Kith's own: numbers, bytes, text.

use super::session::{Answered, Cell, Row};
use crate::model::Value;
use std::borrow::Cow;
use tiberius::ColumnData;

/// An `int`.
pub const fn int(number: i32) -> Cell {
    ColumnData::I32(Some(number))
}

/// A `bigint`.
pub const fn big(number: i64) -> Cell {
    ColumnData::I64(Some(number))
}

/// A `tinyint`.
pub const fn tiny(number: u8) -> Cell {
    ColumnData::U8(Some(number))
}

/// A `varbinary`.
pub fn bytes(bytes: impl Into<Vec<u8>>) -> Cell {
    ColumnData::Binary(Some(Cow::Owned(bytes.into())))
}

/// No bytes.
pub const fn no_bytes() -> Cell {
    ColumnData::Binary(None)
}

/// An `nvarchar`.
pub fn text(text: impl Into<String>) -> Cell {
    ColumnData::String(Some(Cow::Owned(text.into())))
}

/// Whether a bulk load of tiberius 0.13 can't carry it: more than 65,535 bytes on the wire, as UTF-16 or in a code page (UTF-8 is the widest).
pub fn is_beyond_bulk(cell: &Cell) -> bool {
    match cell {
        // There are no more units than bytes of UTF-8: the short ones need no counting.
        ColumnData::String(Some(text)) => {
            text.len() > LONGEST_BULK || (text.len() > LONGEST_BULK / 2 && text.encode_utf16().count() > LONGEST_BULK / 2)
        }
        ColumnData::Binary(Some(bytes)) => bytes.len() > LONGEST_BULK,
        _ => false,
    }
}

/// The bytes that a cell holds; those of numbers and times are not counted.
pub fn length(cell: &Cell) -> usize {
    match cell {
        ColumnData::String(Some(text)) => text.len(),
        ColumnData::Binary(Some(bytes)) => bytes.len(),
        _ => 0,
    }
}

/// Bytes of one value in a bulk load of tiberius 0.13, whatever the column takes.
const LONGEST_BULK: usize = 65_535;

/// The first row of the first result.
pub fn first_row(answered: &[Answered]) -> Option<&Row> {
    answered.first()?.rows.first()
}

/// A whole number of a row, of any integer type.
pub fn number_at(row: &Row, at: usize) -> Option<i64> {
    match super::read(row.get(at)?) {
        Value::Integer(number) => Some(number),
        Value::Bool(truth) => Some(truth.into()),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// Text of a row.
pub fn text_at(row: &Row, at: usize) -> Option<String> {
    match super::read(row.get(at)?) {
        Value::Text(text) => Some(text.to_string()),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Bytes of a row.
pub fn bytes_at(row: &Row, at: usize) -> Option<&[u8]> {
    match row.get(at)? {
        ColumnData::Binary(Some(bytes)) => Some(bytes),
        _ => None,
    }
}
