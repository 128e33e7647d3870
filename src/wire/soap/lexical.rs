//! Values as XML Schema writes them.

use crate::model::Value;
use crate::wire::wsdl::schema::Builtin;
use jiff::tz::TimeZone;
use std::borrow::Cow;

/// A value as text of a built-in type. `None` where this kind of value has no form; whether the text is of the type is checked afterwards.
pub(super) fn lexical(value: &Value, builtin: Option<Builtin>) -> Option<Cow<'_, str>> {
    Some(match value {
        Value::Text(text) => Cow::Borrowed(text),
        Value::Bool(truth) => Cow::Borrowed(if *truth { "true" } else { "false" }),
        Value::Integer(number) => number.to_string().into(),
        Value::Number(number) if number.is_finite() => number.to_string().into(),
        Value::Number(number) => {
            if !matches!(builtin, Some(Builtin::Float | Builtin::Double)) {
                return None;
            }
            Cow::Borrowed(if number.is_nan() {
                "NaN"
            } else if *number > 0.0 {
                "INF"
            } else {
                "-INF"
            })
        }
        Value::Time(time) => {
            let form = match builtin {
                Some(Builtin::Date) => "%Y-%m-%dZ",
                Some(Builtin::Time) => "%H:%M:%S%.fZ",
                Some(Builtin::GYear) => "%Y",
                Some(Builtin::GYearMonth) => "%Y-%m",
                Some(Builtin::GMonthDay) => "--%m-%d",
                Some(Builtin::GDay) => "---%d",
                Some(Builtin::GMonth) => "--%m",
                _ => return Some(time.to_string().into()),
            };
            time.to_zoned(TimeZone::UTC).strftime(form).to_string().into()
        }
        Value::Missing => Cow::Borrowed(""),
        Value::List(_) | Value::Record(_) => return None,
    })
}

/// The type that a value has where the schema leaves it open.
pub(super) const fn open_type(value: &Value) -> Builtin {
    match value {
        Value::Bool(_) => Builtin::Boolean,
        Value::Integer(number) if *number <= 2_147_483_647 && *number >= -2_147_483_648 => Builtin::Int,
        Value::Integer(_) => Builtin::Long,
        Value::Number(_) => Builtin::Double,
        Value::Time(_) => Builtin::DateTime,
        Value::Text(_) | Value::Missing | Value::List(_) | Value::Record(_) => Builtin::String,
    }
}
