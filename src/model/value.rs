//! The value of a field: what expressions read and targets write.

use super::Timestamp;
use std::sync::Arc;

/// A field's value. `Missing` is the unknown of design §5: a condition on it is false.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Value {
    /// Nothing known.
    #[default]
    Missing,
    /// Text as typed.
    Text(Arc<str>),
    /// A number, for instance a match weight in bits.
    Number(f64),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Bool(bool),
    /// A moment.
    Time(Timestamp),
    /// Several values, in order.
    List(Arc<[Value]>),
    /// A record with named members, in order: a related row for instance.
    Record(Arc<[(Arc<str>, Value)]>),
}

impl Value {
    /// Text, or `Missing` where it is empty after trimming.
    pub fn text(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        if text.trim().is_empty() { Self::Missing } else { Self::Text(text.into()) }
    }

    /// Whether nothing is known.
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    /// The text, where this is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(t) => Some(t),
            Self::Missing | Self::Number(_) | Self::Integer(_) | Self::Bool(_) | Self::Time(_) | Self::List(_) | Self::Record(_) => None,
        }
    }

    /// As text, where one text says it all; lists and records have none.
    pub fn scalar_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.to_string()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Number(number) => Some(number.to_string()),
            Self::Time(time) => Some(time.to_string()),
            Self::Bool(truth) => Some(truth.to_string()),
            Self::Missing | Self::List(_) | Self::Record(_) => None,
        }
    }

    /// The first characters (Unicode scalar values) of a text; other values as they are.
    #[must_use]
    pub fn cut(self, characters: usize) -> Self {
        match &self {
            Self::Text(text) => match text.char_indices().nth(characters) {
                Some((end, _)) => Self::Text(text.get(..end).unwrap_or_default().into()),
                None => self,
            },
            Self::Missing | Self::Number(_) | Self::Integer(_) | Self::Bool(_) | Self::Time(_) | Self::List(_) | Self::Record(_) => self,
        }
    }

    /// What the value is called in messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "nothing",
            Self::Text(_) => "text",
            Self::Number(_) => "number",
            Self::Integer(_) => "whole number",
            Self::Bool(_) => "true/false",
            Self::Time(_) => "time",
            Self::List(_) => "list",
            Self::Record(_) => "record",
        }
    }

    /// As JSON: times as RFC 3339 text, `Missing` as null, a number that JSON cannot carry as null.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as J;
        match self {
            Self::Missing => J::Null,
            Self::Text(t) => J::String(t.to_string()),
            Self::Number(n) => serde_json::Number::from_f64(*n).map_or(J::Null, J::Number),
            Self::Integer(i) => J::from(*i),
            Self::Bool(b) => J::Bool(*b),
            Self::Time(t) => J::String(t.to_string()),
            Self::List(items) => J::Array(items.iter().map(Self::to_json).collect()),
            Self::Record(members) => J::Object(members.iter().map(|(k, v)| (k.to_string(), v.to_json())).collect()),
        }
    }

    /// From JSON; the reverse of [`Value::to_json`] but for times, which stay text.
    pub fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as J;
        match json {
            J::Null => Self::Missing,
            J::Bool(b) => Self::Bool(*b),
            J::Number(n) => n.as_i64().map_or_else(|| n.as_f64().map_or(Self::Missing, Self::Number), Self::Integer),
            J::String(s) => Self::Text(s.as_str().into()),
            J::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            J::Object(members) => Self::Record(members.iter().map(|(k, v)| (k.as_str().into(), Self::from_json(v))).collect()),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}
