//! Values as tests see them, as SQLite keeps them, and converted from type to type as T-SQL converts.

use super::error::{Reach, TdsError};
use super::types::Type;
use super::{decimal, temporal};
use rusqlite::types::{Value, ValueRef};

/// A value with its kind; texts of dates and decimals are in the one form that SQL Server writes.
#[derive(Clone, PartialEq, Debug)]
pub enum SqlValue {
    Null,
    Bit(bool),
    Int(i64),
    Float(f64),
    /// `1.50`: as many digits after the point as the scale says; `money` too.
    Decimal(String),
    Text(String),
    Binary(Vec<u8>),
    /// In capitals.
    Guid(String),
    /// `2026-09-01`
    Date(String),
    /// `10:00:00.1234567`
    Time(String),
    /// `2026-09-01 10:00:00.123`: `datetime`, `datetime2`, `smalldatetime`.
    DateTime(String),
    /// `2026-09-01 10:00:00.1234567 +02:00`
    DateTimeOffset(String),
    Xml(String),
}

impl SqlValue {
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(t)
            | Self::Decimal(t)
            | Self::Guid(t)
            | Self::Date(t)
            | Self::Time(t)
            | Self::DateTime(t)
            | Self::DateTimeOffset(t)
            | Self::Xml(t) => Some(t),
            _ => None,
        }
    }

    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(i) => Some(*i),
            Self::Bit(b) => Some(i64::from(*b)),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// What SQLite keeps.
    pub fn stored(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bit(b) => Value::Integer(i64::from(*b)),
            Self::Int(i) => Value::Integer(*i),
            Self::Float(f) => Value::Real(*f),
            Self::Binary(b) => Value::Blob(b.clone()),
            other => Value::Text(other.text().unwrap_or_default().to_owned()),
        }
    }
}

impl From<&str> for SqlValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for SqlValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

pub fn owned(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(i) => Value::Integer(i),
        ValueRef::Real(r) => Value::Real(r),
        ValueRef::Text(t) => Value::Text(String::from_utf8_lossy(t).into_owned()),
        ValueRef::Blob(b) => Value::Blob(b.to_vec()),
    }
}

/// How a conversion treats what does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fit<'a> {
    /// `CAST`, a variable, a parameter: texts and bytes are cut.
    Cut,
    /// A column (table, column): error 2628.
    Column(&'a str, &'a str),
}

/// Units of length: UTF-16 for wide types, bytes of code page 1252 for the others.
pub fn length(text: &str, to: Type) -> usize {
    if to.is_wide() { text.encode_utf16().count() } else { text.chars().count() }
}

fn cut(text: &str, to: Type, most: usize) -> &str {
    let mut units = 0;
    for (at, c) in text.char_indices() {
        units += if to.is_wide() { c.len_utf16() } else { 1 };
        if units > most {
            return &text[..at];
        }
    }
    text
}

/// What `float` looks like as a text (style 0: six digits).
fn float_text(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponent = value.abs().log10().floor() as i32;
    if (-5..15).contains(&exponent) {
        let text = format!("{:.*}", (5 - exponent).max(0) as usize, value);
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        format!("{value:e}")
    }
}

fn as_text(value: &Value, from: Type, to: Type) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(i) => match from.decimal() {
            Some((_, scale)) => decimal::write(decimal::rescale(i128::from(*i), 0, scale).unwrap_or_default(), scale),
            None => i.to_string(),
        },
        Value::Real(r) => match from.decimal() {
            Some((_, scale)) => format!("{r:.*}", usize::from(scale)),
            None => float_text(*r),
        },
        Value::Text(t) => match from {
            Type::Money | Type::SmallMoney => {
                decimal::parse(t).and_then(|(v, s)| Some(decimal::write(decimal::rescale(v, s, 2)?, 2))).unwrap_or_else(|| t.clone())
            }
            _ => t.clone(),
        },
        Value::Blob(b) if to.is_wide() => {
            String::from_utf16_lossy(&b.chunks(2).map(|c| u16::from_le_bytes([c[0], *c.get(1).unwrap_or(&0)])).collect::<Vec<_>>())
        }
        Value::Blob(b) => cp1252_decode(b),
    }
}

/// A number as digits and scale.
fn as_decimal(value: &Value) -> Option<(i128, u8)> {
    match value {
        Value::Integer(i) => Some((i128::from(*i), 0)),
        Value::Real(r) if r.is_finite() && r.abs() < 1e38 => {
            // The shortest text that means this double: 1.005 is no 1.00499….
            decimal::parse(&r.to_string())
        }
        Value::Text(t) => decimal::parse(t.trim().trim_start_matches('$')),
        _ => None,
    }
}

/// Converts what SQLite gives (`from` is the type of the expression) to a value of the type `to`.
pub fn coerce(value: Value, from: Type, to: Type, fit: Fit<'_>) -> Result<SqlValue, TdsError> {
    if value == Value::Null {
        return Ok(SqlValue::Null);
    }
    let fails = |value: &Value| TdsError::conversion(&as_text(value, from, Type::NVarChar(None)), from, to);
    match to {
        Type::Null => Ok(SqlValue::Null),
        Type::Bit => match &value {
            Value::Text(t) if t.eq_ignore_ascii_case("true") => Ok(SqlValue::Bit(true)),
            Value::Text(t) if t.eq_ignore_ascii_case("false") => Ok(SqlValue::Bit(false)),
            Value::Blob(b) => Ok(SqlValue::Bit(b.iter().any(|b| *b != 0))),
            other => as_decimal(other).map(|(v, _)| SqlValue::Bit(v != 0)).ok_or_else(|| fails(other)),
        },
        t if t.is_integer() => integer(&value, from, to).map(SqlValue::Int),
        Type::Real | Type::Float => {
            let number = match &value {
                Value::Integer(i) => Some(*i as f64),
                Value::Real(r) => Some(*r),
                Value::Text(t) if t.trim().is_empty() => Some(0.0),
                Value::Text(t) => t.trim().parse().ok().filter(|f: &f64| f.is_finite()),
                _ => None,
            };
            let number = number.ok_or_else(|| fails(&value))?;
            Ok(SqlValue::Float(if to == Type::Real { f64::from(number as f32) } else { number }))
        }
        t if t.decimal().is_some() => {
            let (precision, scale) = t.decimal().unwrap_or_default();
            let (number, from_scale) = as_decimal(&value).ok_or_else(|| fails(&value))?;
            let number = decimal::rescale(number, from_scale, scale).ok_or_else(|| TdsError::overflow(to))?;
            if number.unsigned_abs() >= 10_u128.pow(u32::from(precision)) {
                return Err(if from.decimal().is_some() {
                    TdsError { state: 8, ..TdsError::overflow(to) }
                } else {
                    TdsError::overflow(to)
                });
            }
            Ok(SqlValue::Decimal(decimal::write(number, scale)))
        }
        t if t.is_text() => {
            let text = as_text(&value, from, to);
            let text = if to.is_wide() { text } else { cp1252_decode(&cp1252_encode(&text)) };
            let text = fitted_text(text, to, fit)?;
            Ok(if to == Type::Xml { SqlValue::Xml(text) } else { SqlValue::Text(text) })
        }
        t if t.is_binary() => {
            let bytes = match value {
                Value::Blob(b) => b,
                Value::Integer(i) => {
                    let all = i.to_be_bytes();
                    let width = from.facets().0.clamp(1, 8) as usize;
                    all[8 - width..].to_vec()
                }
                Value::Text(_) if fit != Fit::Cut => {
                    return Err(TdsError::new(
                        257,
                        16,
                        3,
                        format!(
                            "Implicit conversion from data type {} to {} is not allowed. Use the CONVERT function to run this query.",
                            from.name(),
                            to.name()
                        ),
                    )
                    .ends(Reach::Batch));
                }
                Value::Text(t) if from.is_wide() => t.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                Value::Text(t) if from == Type::Guid => guid_bytes(&t).unwrap_or_default().to_vec(),
                Value::Text(t) => cp1252_encode(&t),
                Value::Real(r) => r.to_be_bytes().to_vec(),
                Value::Null => Vec::new(),
            };
            fitted_bytes(bytes, to, fit).map(SqlValue::Binary)
        }
        Type::Guid => match &value {
            Value::Blob(b) if b.len() >= 16 => Ok(SqlValue::Guid(guid_text(b))),
            Value::Text(t) => {
                let bare = t.trim().trim_start_matches('{');
                let text = bare.get(..36).unwrap_or(bare);
                guid_bytes(text).map(|_| SqlValue::Guid(text.to_uppercase())).ok_or_else(|| fails(&value))
            }
            _ => Err(fails(&value)),
        },
        _ => moment(&value, from, to),
    }
}

fn integer(value: &Value, from: Type, to: Type) -> Result<i64, TdsError> {
    let number = match value {
        Value::Integer(i) => i128::from(*i),
        Value::Real(r) if r.is_finite() => r.trunc() as i128,
        Value::Blob(b) => b.iter().rev().take(8).rev().fold(0_i64, |n, b| (n << 8) | i64::from(*b)).into(),
        Value::Text(t) if from.decimal().is_some() => decimal::parse(t).map_or(0, |(v, s)| v / 10_i128.pow(u32::from(s))),
        Value::Text(t) if t.trim().is_empty() => 0,
        Value::Text(t) => match t.trim().parse::<i128>() {
            Ok(n) => {
                let text_overflow = match to {
                    Type::Int => i32::try_from(n).is_err(),
                    _ => false,
                };
                if text_overflow {
                    return Err(TdsError::new(
                        248,
                        16,
                        1,
                        format!("The conversion of the {} value '{t}' overflowed an int column.", from.name()),
                    ));
                }
                n
            }
            Err(_) if to == Type::BigInt => {
                return Err(TdsError::new(8114, 16, 5, format!("Error converting data type {} to bigint.", from.name())));
            }
            Err(_) => return Err(TdsError::conversion(t, from, to)),
        },
        _ => return Err(TdsError::conversion("", from, to)),
    };
    let (low, high) = match to {
        Type::TinyInt => (0, 255),
        Type::SmallInt => (i128::from(i16::MIN), i128::from(i16::MAX)),
        Type::BigInt => (i128::from(i64::MIN), i128::from(i64::MAX)),
        _ => (i128::from(i32::MIN), i128::from(i32::MAX)),
    };
    if (low..=high).contains(&number) { Ok(number as i64) } else { Err(TdsError::overflow(to)) }
}

fn fitted_text(text: String, to: Type, fit: Fit<'_>) -> Result<String, TdsError> {
    let Some(most) = to.limit() else { return Ok(text) };
    let mut text = text;
    if length(&text, to) > most {
        let kept = cut(&text, to, most).to_owned();
        match fit {
            // Blanks at the end are cut without a word.
            Fit::Column(table, column) if text[kept.len()..].bytes().any(|b| b != b' ') => {
                return Err(TdsError::new(
                    2628,
                    16,
                    1,
                    format!("String or binary data would be truncated in table '{table}', column '{column}'. Truncated value: '{kept}'."),
                ));
            }
            _ => text = kept,
        }
    }
    if matches!(to, Type::Char(_) | Type::NChar(_)) {
        let missing = most.saturating_sub(length(&text, to));
        text.extend(std::iter::repeat_n(' ', missing));
    }
    Ok(text)
}

fn fitted_bytes(mut bytes: Vec<u8>, to: Type, fit: Fit<'_>) -> Result<Vec<u8>, TdsError> {
    let most = if to == Type::RowVersion { Some(8) } else { to.limit() };
    let Some(most) = most else { return Ok(bytes) };
    if bytes.len() > most {
        if let Fit::Column(table, column) = fit {
            return Err(TdsError::new(
                2628,
                16,
                1,
                format!("String or binary data would be truncated in table '{table}', column '{column}'. Truncated value: ''."),
            ));
        }
        bytes.truncate(most);
    }
    if matches!(to, Type::Binary(_) | Type::RowVersion) {
        bytes.resize(most, 0);
    }
    Ok(bytes)
}

fn moment(value: &Value, from: Type, to: Type) -> Result<SqlValue, TdsError> {
    let read = match value {
        Value::Text(t) => temporal::parse(t),
        Value::Integer(days) => Some(temporal::Moment { days: temporal::DAYS_1900 + *days as i32, ticks: 0, offset: None }),
        _ => None,
    };
    let Some(read) = read else {
        return Err(TdsError::conversion(&as_text(value, from, to), from, to));
    };
    let fitted = read.fit(to).ok_or_else(|| {
        TdsError::new(
            242,
            16,
            3,
            format!("The conversion of a {} data type to a {} data type resulted in an out-of-range value.", from.name(), to.name()),
        )
        .ends(Reach::Transaction)
    })?;
    let text = fitted.write(to);
    Ok(match to {
        Type::Date => SqlValue::Date(text),
        Type::Time(_) => SqlValue::Time(text),
        Type::DateTimeOffset(_) => SqlValue::DateTimeOffset(text),
        _ => SqlValue::DateTime(text),
    })
}

/// The wire's 16 bytes, of which the first three groups are little-endian.
pub fn guid_text(bytes: &[u8]) -> String {
    let hex = |range: &[u8], reversed: bool| {
        let mut bytes = range.to_vec();
        if reversed {
            bytes.reverse();
        }
        bytes.iter().map(|b| format!("{b:02X}")).collect::<String>()
    };
    format!(
        "{}-{}-{}-{}-{}",
        hex(&bytes[..4], true),
        hex(&bytes[4..6], true),
        hex(&bytes[6..8], true),
        hex(&bytes[8..10], false),
        hex(&bytes[10..16], false)
    )
}

pub fn guid_bytes(text: &str) -> Option<[u8; 16]> {
    let groups: Vec<&str> = text.split('-').collect();
    if groups.iter().map(|g| g.len()).collect::<Vec<_>>() != [8, 4, 4, 4, 12] {
        return None;
    }
    let all = groups.concat();
    let mut bytes = [0_u8; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(all.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    Some(bytes)
}

/// 0x80 to 0x9F of code page 1252; the five holes stand for themselves.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–',
    '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// `varchar` under a Latin collation: what the code page does not have becomes `?`.
pub fn cp1252_encode(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| match u32::from(c) {
            n @ (0..=0x7F | 0xA0..=0xFF) => n as u8,
            _ => HIGH.iter().position(|h| *h == c).map_or(b'?', |at| 0x80 + at as u8),
        })
        .collect()
}

pub fn cp1252_decode(bytes: &[u8]) -> String {
    bytes.iter().map(|b| if (0x80..0xA0).contains(b) { HIGH[usize::from(b - 0x80)] } else { char::from(*b) }).collect()
}
