//! A column, and the exact way of values into it and out of it.

use super::session::Cell;
use super::sql_type::{Length, SqlType};
use super::temporal;
use crate::declare::connector::FieldKind;
use crate::declare::connector::{LONGEST_SQL_NAME, quoted};
use crate::model::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use encoding_rs::Encoding;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use tiberius::numeric::Numeric;
use tiberius::{ColumnData, Uuid};

/// What fills a column where a row says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Default {
    /// Nothing: NULL, or a refusal.
    None,
    /// A default of the table.
    Declared,
    /// An identity or sequence, a computed column, a rowversion: it can't be written.
    Generated,
}

/// A column of a table, as the live catalogue has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub sql_type: SqlType,
    /// The catalogue's word for its type.
    pub type_name: Arc<str>,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// What fills it.
    pub default: Default,
    /// Its collation, where it is text.
    pub collation: Option<Arc<str>>,
    /// The code page of its collation; 65001 is UTF-8.
    pub code_page: Option<u32>,
}

/// A value that stands in a column.
#[derive(Clone, PartialEq, Debug)]
pub struct Held {
    /// As it will be read again.
    pub value: Value,
    /// As it travels into the stage table.
    pub cell: Cell,
}

/// Why a value can't stand in a column. Says lengths and limits, never the value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CannotHold {
    /// Longer than the column.
    #[error("has {has} {unit}; the column takes {takes}")]
    TooLong {
        /// What it has.
        has: usize,
        /// What the column takes.
        takes: usize,
        /// Of what.
        unit: &'static str,
    },
    /// Beyond the type's range.
    #[error("is outside of what {0} holds")]
    OutOfRange(String),
    /// More decimals than the column keeps.
    #[error("has {has} decimals; the column keeps {takes}")]
    TooFine {
        /// What it has.
        has: usize,
        /// What the column keeps.
        takes: u8,
    },
    /// A character that the code page lacks.
    #[error("has a character that code page {0} of the column does not have")]
    NotInCodePage(u32),
    /// Not convertible.
    #[error("is {is}, and the column is {column}")]
    OtherType {
        /// What the value is.
        is: &'static str,
        /// The column's type.
        column: String,
    },
    /// NULL where there must be something.
    #[error("has no value, and the column must not be NULL")]
    Null,
    /// The server fills it.
    #[error("is filled by the server itself")]
    Generated,
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql())
    }
}

impl Column {
    /// Its name in brackets.
    pub fn sql_name(&self) -> String {
        quoted(&self.name)
    }

    /// Its type in a stage table. `tempdb` may have another collation than the database: comparing the two would be an error.
    pub fn staged_type(&self, stage_collation: Option<&str>) -> String {
        let collate = match (&self.collation, self.sql_type) {
            (Some(collation), SqlType::VarChar { .. } | SqlType::NVarChar { .. })
                if stage_collation.is_some_and(|stage| !stage.eq_ignore_ascii_case(collation)) && is_plain(collation) =>
            {
                format!(" COLLATE {collation}")
            }
            _ => String::new(),
        };
        format!("{}{collate} NULL", self.sql_type.staged().sql())
    }

    /// Its staged value as the column's own type. An index on the column is used only where both sides have one type.
    pub fn from_stage(&self, stage: &str) -> String {
        let column = format!("{stage}.{}", self.sql_name());
        if self.sql_type.staged() == self.sql_type { column } else { format!("CAST({column} AS {})", self.sql_type.sql()) }
    }

    /// What reads it exactly: the driver reads money as a double.
    pub fn selected(&self, table: &str) -> String {
        let column = format!("{table}.{}", self.sql_name());
        match self.sql_type {
            SqlType::Money => format!("CAST({column} AS decimal(19, 4))"),
            SqlType::SmallMoney => format!("CAST({column} AS decimal(10, 4))"),
            SqlType::Xml => format!("CAST({column} AS nvarchar(max))"),
            SqlType::RowVersion => format!("CAST({column} AS varbinary(8))"),
            _ => column,
        }
    }

    /// An expression of its type as it is compared exactly: case and accents may be equal to the collation and not to a reader, and the old large
    /// types and XML can't be compared at all.
    pub fn exactly(&self, expression: &str) -> String {
        match self.sql_type {
            SqlType::VarChar { .. } => format!("CAST(CAST({expression} AS varchar(max)) AS varbinary(max))"),
            SqlType::NVarChar { .. } | SqlType::Xml => format!("CAST(CAST({expression} AS nvarchar(max)) AS varbinary(max))"),
            SqlType::VarBinary { .. } => format!("CAST({expression} AS varbinary(max))"),
            _ => expression.to_owned(),
        }
    }

    /// NULL, in the stage column's type.
    pub fn null(&self) -> Cell {
        match self.sql_type.staged() {
            SqlType::TinyInt => ColumnData::U8(None),
            SqlType::SmallInt => ColumnData::I16(None),
            SqlType::Int => ColumnData::I32(None),
            SqlType::BigInt => ColumnData::I64(None),
            SqlType::Bit => ColumnData::Bit(None),
            SqlType::Real => ColumnData::F32(None),
            SqlType::Float => ColumnData::F64(None),
            SqlType::Date => ColumnData::Date(None),
            SqlType::DateTime => ColumnData::DateTime(None),
            SqlType::DateTime2 { .. } => ColumnData::DateTime2(None),
            SqlType::VarBinary { .. } => ColumnData::Binary(None),
            SqlType::Uuid => ColumnData::Guid(None),
            _ => ColumnData::String(None),
        }
    }

    /// A value brought to the column, exactly: what does not fit is refused, never cut. Moments are rounded to what the type keeps, half up.
    ///
    /// # Errors
    /// Why it does not fit.
    pub fn hold(&self, value: &Value) -> Result<Held, CannotHold> {
        if self.default == Default::Generated || !self.sql_type.is_writable() {
            return Err(CannotHold::Generated);
        }
        if value.is_missing() {
            return if self.nullable { Ok(Held { value: Value::Missing, cell: self.null() }) } else { Err(CannotHold::Null) };
        }
        let other = || CannotHold::OtherType { is: value.kind(), column: self.sql_type.sql() };
        let range = || CannotHold::OutOfRange(self.sql_type.sql());
        match self.sql_type {
            SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::BigInt => {
                let number = whole(value).ok_or_else(other)?;
                let cell = match self.sql_type {
                    SqlType::TinyInt => ColumnData::U8(Some(number.try_into().map_err(|_beyond| range())?)),
                    SqlType::SmallInt => ColumnData::I16(Some(number.try_into().map_err(|_beyond| range())?)),
                    SqlType::Int => ColumnData::I32(Some(number.try_into().map_err(|_beyond| range())?)),
                    _ => ColumnData::I64(Some(number)),
                };
                let read = if matches!(value, Value::Bool(_)) { value.clone() } else { Value::Integer(number) };
                Ok(Held { value: same_kind(value, read), cell })
            }
            SqlType::Bit => {
                let truth = match value {
                    Value::Bool(truth) => *truth,
                    Value::Integer(0) => false,
                    Value::Integer(1) => true,
                    Value::Integer(_) => return Err(range()),
                    _ => return Err(other()),
                };
                Ok(Held { value: value.clone(), cell: ColumnData::Bit(Some(truth)) })
            }
            SqlType::Float => {
                let number = double(value).ok_or_else(other)?;
                Ok(Held { value: same_kind(value, Value::Number(number)), cell: ColumnData::F64(Some(number)) })
            }
            SqlType::Real => {
                let number = double(value).ok_or_else(other)?;
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "single precision is what the column keeps; beyond its range is refused"
                )]
                let single = number as f32;
                if !single.is_finite() {
                    return Err(range());
                }
                Ok(Held { value: Value::Number(f64::from(single)), cell: ColumnData::F32(Some(single)) })
            }
            SqlType::Decimal { precision, scale } => self.decimal(value, precision, scale),
            SqlType::Money => self.decimal(value, 19, 4).and_then(|held| within_money(held, i128::from(i64::MAX), range)),
            SqlType::SmallMoney => self.decimal(value, 10, 4).and_then(|held| within_money(held, i128::from(i32::MAX), range)),
            SqlType::Date => {
                let text = canonical(FieldKind::Date, value).ok_or_else(other)?;
                let day: jiff::civil::Date = text.parse().map_err(|_impossible| other())?;
                Ok(Held { value: Value::text(text), cell: ColumnData::Date(Some(temporal::date(day).ok_or_else(range)?)) })
            }
            SqlType::Time { scale } => {
                let text = canonical(FieldKind::TimeOfDay, value).ok_or_else(other)?;
                let decimals = text.split_once('.').map_or(0, |(_, digits)| digits.len());
                if decimals > usize::from(scale) {
                    return Err(CannotHold::TooFine { has: decimals, takes: scale });
                }
                Ok(Held { cell: string(text.clone()), value: Value::text(text) })
            }
            SqlType::SmallDateTime | SqlType::DateTime | SqlType::DateTime2 { .. } | SqlType::DateTimeOffset { .. } => self.moment(value),
            SqlType::VarChar { length, fixed } => {
                let text = text_of(value).ok_or_else(other)?;
                let page = self.code_page.unwrap_or(1252);
                let bytes = bytes_in(page, &text).ok_or(CannotHold::NotInCodePage(page))?;
                fits(bytes, length, "bytes")?;
                Ok(Held { value: padded(value, &text, fixed), cell: string(text.into_owned()) })
            }
            SqlType::NVarChar { length, fixed } => {
                let text = text_of(value).ok_or_else(other)?;
                // Bytes are at least as many as units.
                let units = || text.encode_utf16().count();
                let surely = match length {
                    Length::Most(most) => usize::from(most),
                    Length::Max => LONGEST / 2,
                };
                if text.len() > surely {
                    fits(units(), length, UNITS)?;
                }
                Ok(Held { value: padded(value, &text, fixed), cell: string(text.into_owned()) })
            }
            SqlType::VarBinary { length, fixed } => {
                let Value::Text(text) = value else { return Err(other()) };
                let mut bytes = BASE64.decode(text.trim()).map_err(|_not_base64| other())?;
                fits(bytes.len(), length, "bytes")?;
                if let (true, Length::Most(most)) = (fixed, length) {
                    bytes.resize(usize::from(most), 0);
                }
                Ok(Held { value: Value::text(BASE64.encode(&bytes)), cell: ColumnData::Binary(Some(Cow::Owned(bytes))) })
            }
            SqlType::Uuid => {
                let text = canonical(FieldKind::Uuid, value).ok_or_else(other)?;
                let uuid = Uuid::parse_str(&text).map_err(|_impossible| other())?;
                Ok(Held { value: Value::text(text), cell: ColumnData::Guid(Some(uuid)) })
            }
            SqlType::Xml => {
                let Value::Text(text) = value else { return Err(other()) };
                // Text travels as UTF-16: a declaration of another encoding would be an error.
                fits(text.encode_utf16().count(), Length::Max, UNITS)?;
                let bare = text.trim_start().strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")).map_or(&**text, |(_, rest)| rest);
                Ok(Held { value: value.clone(), cell: string(bare.trim().to_owned()) })
            }
            SqlType::RowVersion | SqlType::Other => Err(CannotHold::Generated),
        }
    }

    fn decimal(&self, value: &Value, precision: u8, scale: u8) -> Result<Held, CannotHold> {
        let text =
            canonical(FieldKind::Decimal, value).ok_or_else(|| CannotHold::OtherType { is: value.kind(), column: self.sql_type.sql() })?;
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if fraction.len() > usize::from(scale) {
            return Err(CannotHold::TooFine { has: fraction.len(), takes: scale });
        }
        if whole.trim_start_matches('0').len() > usize::from(precision.saturating_sub(scale)) {
            return Err(CannotHold::OutOfRange(self.sql_type.sql()));
        }
        Ok(Held { value: same_kind(value, Value::text(text.as_str())), cell: string(text) })
    }

    fn moment(&self, value: &Value) -> Result<Held, CannotHold> {
        let other = || CannotHold::OtherType { is: value.kind(), column: self.sql_type.sql() };
        let range = || CannotHold::OutOfRange(self.sql_type.sql());
        let moment = match value {
            Value::Time(moment) => *moment,
            // A day is its first moment.
            Value::Text(text) => match text.parse::<jiff::Timestamp>() {
                Ok(moment) => moment,
                Err(_no_moment) => {
                    let day: jiff::civil::Date = text.trim().parse().map_err(|_no_day| other())?;
                    day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_beyond| range())?.timestamp()
                }
            },
            _ => return Err(other()),
        };
        let (kept, cell) = match self.sql_type {
            SqlType::SmallDateTime => {
                let kept = temporal::to_minute(moment).ok_or_else(range)?;
                (kept, string(temporal::iso(kept, 0)))
            }
            SqlType::DateTime => {
                let (cell, kept) = temporal::datetime(moment).ok_or_else(range)?;
                (kept, ColumnData::DateTime(Some(cell)))
            }
            SqlType::DateTimeOffset { scale } => {
                let kept = temporal::rounded(moment, scale).ok_or_else(range)?;
                (kept, string(format!("{}+00:00", temporal::iso(kept, scale))))
            }
            SqlType::DateTime2 { scale } => {
                let kept = temporal::rounded(moment, scale).ok_or_else(range)?;
                (kept, ColumnData::DateTime2(temporal::datetime2(kept, scale)))
            }
            _ => return Err(other()),
        };
        Ok(Held { value: if matches!(value, Value::Text(_)) { value.clone() } else { Value::Time(kept) }, cell })
    }

    /// Without the blanks that a fixed column is filled up with: they can't be told from the text's own.
    pub fn unpadded(&self, value: Value) -> Value {
        match (&value, self.sql_type) {
            (Value::Text(text), SqlType::VarChar { fixed: true, .. } | SqlType::NVarChar { fixed: true, .. }) => {
                Value::text(text.trim_end_matches(' '))
            }
            _ => value,
        }
    }

    /// What stands in a cell that [`Column::selected`] read, as a field of this kind has it. Text that only looks different stays what it is.
    pub fn read(&self, cell: &Cell, kind: FieldKind) -> Value {
        let read = read(cell);
        let read = self.unpadded(read);
        match (kind, &read) {
            (FieldKind::Bool, Value::Integer(number @ (0 | 1))) => Value::Bool(*number == 1),
            (FieldKind::Integer, Value::Bool(truth)) => Value::Integer(i64::from(*truth)),
            (FieldKind::Integer, Value::Text(text)) => text.parse().map_or(read, Value::Integer),
            (FieldKind::Number, Value::Text(text)) => text.parse().map_or(read, Value::Number),
            (FieldKind::Text, _) => read,
            _ => kind.fitted(&read).unwrap_or(read),
        }
    }
}

/// Names of collations are letters, digits and `_`.
fn is_plain(collation: &str) -> bool {
    !collation.is_empty() && collation.len() <= LONGEST_SQL_NAME && collation.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A cell as a value: exact, in one way of writing.
pub fn read(cell: &Cell) -> Value {
    match cell {
        ColumnData::U8(n) => n.map_or(Value::Missing, |n| Value::Integer(n.into())),
        ColumnData::I16(n) => n.map_or(Value::Missing, |n| Value::Integer(n.into())),
        ColumnData::I32(n) => n.map_or(Value::Missing, |n| Value::Integer(n.into())),
        ColumnData::I64(n) => n.map_or(Value::Missing, Value::Integer),
        ColumnData::F32(n) => n.map_or(Value::Missing, |n| Value::Number(n.into())),
        ColumnData::F64(n) => n.map_or(Value::Missing, Value::Number),
        ColumnData::Bit(truth) => truth.map_or(Value::Missing, Value::Bool),
        ColumnData::String(text) => text.as_deref().map_or(Value::Missing, Value::text),
        ColumnData::Guid(uuid) => uuid.map_or(Value::Missing, |uuid| Value::text(uuid.to_string())),
        ColumnData::Binary(bytes) => bytes.as_deref().map_or(Value::Missing, |bytes| Value::text(BASE64.encode(bytes))),
        ColumnData::Numeric(number) => {
            number.map_or(Value::Missing, |number| FieldKind::Decimal.fitted(&Value::text(digits(number))).unwrap_or_default())
        }
        ColumnData::Xml(xml) => xml.as_deref().map_or(Value::Missing, |xml| Value::text(xml.as_ref())),
        ColumnData::DateTime(at) => at.and_then(temporal::of_datetime).map_or(Value::Missing, Value::Time),
        ColumnData::SmallDateTime(at) => at.and_then(temporal::of_smalldatetime).map_or(Value::Missing, Value::Time),
        ColumnData::DateTime2(at) => at.map_or(Value::Missing, moment),
        ColumnData::DateTimeOffset(at) => at.map_or(Value::Missing, |at| moment(at.datetime2())),
        ColumnData::Date(day) => day.and_then(temporal::of_date).map_or(Value::Missing, |day| Value::text(day.to_string())),
        ColumnData::Time(time) => time
            .and_then(temporal::of_time)
            .and_then(|time| FieldKind::TimeOfDay.fitted(&Value::text(time.to_string())))
            .unwrap_or_default(),
    }
}

/// A moment, or its text where it is beyond what a moment can be.
fn moment(at: tiberius::time::DateTime2) -> Value {
    temporal::of_datetime2(at).map_or_else(|| temporal::civil_text(at).map_or(Value::Missing, Value::text), Value::Time)
}

/// All digits, with the point.
fn digits(number: Numeric) -> String {
    let (value, scale) = (number.value(), usize::from(number.scale()));
    let all = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = all.split_at_checked(all.len() - scale).unwrap_or((&all, ""));
    let sign = if value < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn string(text: String) -> Cell {
    ColumnData::String(Some(Cow::Owned(text)))
}

/// The canonical text of a kind.
fn canonical(kind: FieldKind, value: &Value) -> Option<String> {
    kind.fitted(value)?.as_text().map(str::to_owned)
}

/// A value that is written as one kind and read as another is compared as it was written.
fn same_kind(given: &Value, read: Value) -> Value {
    match (given, &read) {
        (Value::Text(_), Value::Integer(_) | Value::Number(_))
        | (Value::Integer(_), Value::Text(_) | Value::Number(_))
        | (Value::Number(_), Value::Text(_)) => given.clone(),
        _ => read,
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Bool(truth) => Some((*truth).into()),
        Value::Text(_) => canonical(FieldKind::Decimal, value)?.parse().ok(),
        Value::Number(_) | Value::Missing | Value::Time(_) | Value::List(_) | Value::Record(_) => None,
    }
}

fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Text(_) => canonical(FieldKind::Decimal, value)?.parse().ok(),
        value => match FieldKind::Number.fitted(value)? {
            Value::Number(number) => Some(number),
            _ => None,
        },
    }
}

fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Text(text) => Some(Cow::Borrowed(text)),
        Value::Integer(number) => Some(Cow::Owned(number.to_string())),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
        Value::Time(moment) => Some(Cow::Owned(moment.to_string())),
        Value::Missing | Value::List(_) | Value::Record(_) => None,
    }
}

/// Blanks at the end of a fixed column can't be told from padding.
fn padded(value: &Value, text: &str, fixed: bool) -> Value {
    if fixed && matches!(value, Value::Text(_)) { Value::text(text.trim_end_matches(' ')) } else { value.clone() }
}

fn fits(has: usize, length: Length, unit: &'static str) -> Result<(), CannotHold> {
    let takes = match length {
        Length::Most(most) => usize::from(most),
        Length::Max => LONGEST / if unit == UNITS { 2 } else { 1 },
    };
    if has > takes { Err(CannotHold::TooLong { has, takes, unit }) } else { Ok(()) }
}

/// Bytes of one value of a `max` type: 2³¹ − 1.
const LONGEST: usize = 2_147_483_647;
/// What the length of `nvarchar` counts.
const UNITS: &str = "UTF-16 characters";

/// The range of money is that of its integer of ten-thousandths.
fn within_money(held: Held, most: i128, range: impl FnOnce() -> CannotHold) -> Result<Held, CannotHold> {
    let ColumnData::String(Some(text)) = &held.cell else { return Ok(held) };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let units: Option<i128> = format!("{whole}{fraction:0<4}").parse().ok();
    // The least is one further from zero than the most.
    match units {
        Some(units) if units <= most && units >= -most - 1 => Ok(held),
        Some(_) | None => Err(range()),
    }
}

/// How many bytes a text takes in a code page; `None` where a character is not in it.
fn bytes_in(page: u32, text: &str) -> Option<usize> {
    if text.is_ascii() || page == 65001 {
        return Some(text.len());
    }
    let label: &[u8] = match page {
        874 => b"windows-874",
        932 => b"shift_jis",
        936 => b"gbk",
        949 => b"euc-kr",
        950 => b"big5",
        1250 => b"windows-1250",
        1251 => b"windows-1251",
        1252 => b"windows-1252",
        1253 => b"windows-1253",
        1254 => b"windows-1254",
        1255 => b"windows-1255",
        1256 => b"windows-1256",
        1257 => b"windows-1257",
        1258 => b"windows-1258",
        // DOS pages of old servers: only their ASCII half is sure.
        _ => return None,
    };
    let (bytes, _encoding, unmappable) = Encoding::for_label(label)?.encode(text);
    (!unmappable).then_some(bytes.len())
}
