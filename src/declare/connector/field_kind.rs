//! What a field of a target holds, and the one way in which each value is written.
//!
//! Decimals, dates, times of day, GUIDs and bytes are kept as text in a canonical form, so that equal values are equal text: what a target holds
//! and what is to be written can be compared, and the audit log shows the same digits on both sides.

use crate::model::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::fmt::Write as _;

/// What a field of a target holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FieldKind {
    /// Text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A number in double precision.
    Number,
    /// An exact decimal number of any length.
    Decimal,
    /// A moment, written as RFC 3339 in UTC.
    Time,
    /// A day of the calendar.
    Date,
    /// A time of the day, without a zone, to 100 ns.
    TimeOfDay,
    /// True or false.
    Bool,
    /// A GUID.
    Uuid,
    /// Bytes.
    Binary,
}

/// Digits of a decimal: SQL Server's limit is 38, and nothing that a CRM counts comes near.
const LONGEST_DECIMAL: usize = 200;

impl FieldKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Text,
        Self::Integer,
        Self::Number,
        Self::Decimal,
        Self::Time,
        Self::Date,
        Self::TimeOfDay,
        Self::Bool,
        Self::Uuid,
        Self::Binary,
    ];

    /// The word that files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Decimal => "decimal",
            Self::Time => "time",
            Self::Date => "date",
            Self::TimeOfDay => "time_of_day",
            Self::Bool => "bool",
            Self::Uuid => "uuid",
            Self::Binary => "binary",
        }
    }

    /// The value as a field of this kind holds it, without losing anything; `None` where it can't. `Missing` can stand anywhere.
    ///
    /// Whole numbers and numbers stand in a decimal by their shortest digits, a moment in a date by its day in UTC.
    pub fn fitted(self, value: &Value) -> Option<Value> {
        match (self, value) {
            (_, Value::Missing) => Some(Value::Missing),
            (Self::Text, Value::Text(_))
            | (Self::Integer, Value::Integer(_))
            | (Self::Time, Value::Time(_))
            | (Self::Bool, Value::Bool(_)) => Some(value.clone()),
            (Self::Number, Value::Number(number)) => number.is_finite().then(|| value.clone()),
            // Whole numbers are exact in a double up to 2^53.
            #[expect(clippy::cast_precision_loss, reason = "exact, as the guard says")]
            (Self::Number, Value::Integer(number)) => (number.unsigned_abs() <= 1 << 53).then_some(Value::Number(*number as f64)),
            // A key that was stored and came back as JSON has its times as text.
            (Self::Time, Value::Text(text)) => text.parse().ok().map(Value::Time),
            (Self::Decimal, Value::Integer(number)) => Some(Value::text(number.to_string())),
            // The shortest digits that mean this number; Rust writes no exponent.
            (Self::Decimal, Value::Number(number)) if number.is_finite() => decimal(&number.to_string()).map(Value::text),
            (Self::Decimal, Value::Text(text)) => decimal(text).map(Value::text),
            (Self::Date, Value::Time(moment)) => date(&moment.to_string()).map(Value::text),
            (Self::Date, Value::Text(text)) => date(text).map(Value::text),
            (Self::TimeOfDay, Value::Text(text)) => time_of_day(text).map(Value::text),
            (Self::Uuid, Value::Text(text)) => uuid(text).map(Value::text),
            (Self::Binary, Value::Text(text)) => BASE64.decode(text.trim()).ok().map(|bytes| Value::text(BASE64.encode(bytes))),
            _ => None,
        }
    }
}

/// Without a plus, needless zeros or an empty integer part: `12.5`, `-0.05`, `0`.
fn decimal(text: &str) -> Option<String> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if digits.len() > LONGEST_DECIMAL || (whole.is_empty() && fraction.is_empty()) || !plain(whole) || !plain(fraction) {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let mut canonical = String::with_capacity(digits.len() + 2);
    if negative && !(whole.is_empty() && fraction.is_empty()) {
        canonical.push('-');
    }
    canonical.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        canonical.push('.');
        canonical.push_str(fraction);
    }
    Some(canonical)
}

/// ISO 8601, years 0001 to 9999; of a moment, its day in UTC.
fn date(text: &str) -> Option<String> {
    let text = text.trim();
    let date: jiff::civil::Date = match text.parse::<jiff::Timestamp>() {
        Ok(moment) => moment.to_zoned(jiff::tz::TimeZone::UTC).date(),
        Err(_no_moment) => text.parse().ok()?,
    };
    (1..=9999).contains(&date.year()).then(|| date.to_string())
}

/// `hh:mm:ss` with up to seven digits of a second; hours and minutes alone are taken too.
fn time_of_day(text: &str) -> Option<String> {
    let time: jiff::civil::Time = text.trim().parse().ok()?;
    let nanoseconds = time.subsec_nanosecond();
    if nanoseconds % 100 != 0 {
        return None;
    }
    let mut canonical = format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    if nanoseconds != 0 {
        // A String takes every write.
        write!(canonical, ".{:07}", nanoseconds / 100).ok()?;
        canonical.truncate(canonical.trim_end_matches('0').len());
    }
    Some(canonical)
}

/// RFC 9562 §4, in lower case; braces are taken off.
fn uuid(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let right =
        text.len() == 36 && text.bytes().enumerate().all(|(at, byte)| if dash(at) { byte == b'-' } else { byte.is_ascii_hexdigit() });
    right.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fitted(kind: FieldKind, text: &str) -> Option<String> {
        match kind.fitted(&Value::text(text))? {
            Value::Text(text) => Some(text.to_string()),
            Value::Missing | Value::Number(_) | Value::Integer(_) | Value::Bool(_) | Value::Time(_) | Value::List(_) | Value::Record(_) => {
                None
            }
        }
    }

    #[test]
    fn equal_values_are_equal_text() {
        for (kind, given, canonical) in [
            (FieldKind::Decimal, "+0012.500", "12.5"),
            (FieldKind::Decimal, "-0.00", "0"),
            (FieldKind::Decimal, "-.05", "-0.05"),
            (FieldKind::Decimal, "99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
            (FieldKind::Date, "2026-02-28", "2026-02-28"),
            (FieldKind::Date, "2026-03-01T00:30:00+02:00", "2026-02-28"),
            (FieldKind::TimeOfDay, "09:30", "09:30:00"),
            (FieldKind::TimeOfDay, "23:59:59.1234500", "23:59:59.12345"),
            (FieldKind::Uuid, "{6F9619FF-8B86-D011-B42D-00C04FC964FF}", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
            (FieldKind::Binary, "AAEC/w==", "AAEC/w=="),
        ] {
            assert_eq!(fitted(kind, given).as_deref(), Some(canonical), "{kind:?} {given}");
        }
    }

    #[test]
    fn what_is_no_such_value_is_refused() {
        for (kind, given) in [
            (FieldKind::Decimal, "1e5"),
            (FieldKind::Decimal, "."),
            (FieldKind::Decimal, "1,5"),
            (FieldKind::Decimal, "١"),
            (FieldKind::Date, "2026-02-30"),
            (FieldKind::Date, "30.06.2026"),
            (FieldKind::TimeOfDay, "24:00:00"),
            (FieldKind::TimeOfDay, "10:00:00.12345678"),
            (FieldKind::Uuid, "6f9619ff8b86d011b42d00c04fc964ff"),
            (FieldKind::Binary, "not base64"),
            (FieldKind::Integer, "12"),
        ] {
            assert_eq!(fitted(kind, given), None, "{kind:?} {given}");
        }
        assert_eq!(FieldKind::Number.fitted(&Value::Integer((1 << 53) + 1)), None);
        assert_eq!(FieldKind::Number.fitted(&Value::Number(f64::NAN)), None);
        assert_eq!(FieldKind::Decimal.fitted(&Value::Number(0.1)), Some(Value::text("0.1")));
        assert_eq!(FieldKind::Decimal.fitted(&Value::Number(1e21)), Some(Value::text("1000000000000000000000")));
    }

    proptest! {
        #[test]
        fn a_canonical_value_fits_as_it_stands(text in "[-+]?[0-9]{0,20}(\\.[0-9]{0,20})?|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-2][0-9]:[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,8})?)?|\\PC{0,12}") {
            for kind in FieldKind::ALL {
                if let Some(once) = kind.fitted(&Value::text(text.as_str())) {
                    prop_assert_eq!(kind.fitted(&once), Some(once.clone()));
                }
            }
        }
    }
}
