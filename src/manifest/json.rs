//! JSON as a declarative source handles it: members in the order in which they came, cheap to share, changed by whoever transforms.

use indexmap::IndexMap;
use minijinja::value::{Enumerator, Object as TemplateObject, ObjectRepr, Value};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// Members in order.
pub type Members = IndexMap<Arc<str>, Json>;

/// A value. `Debug` shows its kind alone: values are what people wrote.
#[derive(Clone, Default)]
pub enum Json {
    /// `null`
    #[default]
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// A list.
    List(Arc<Vec<Json>>),
    /// An object.
    Map(Arc<Members>),
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl PartialEq for Json {
    /// As Python compares: `1`, `1.0` and `true` are equal, the order of members is not looked at.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (a, b) => match (a.number(), b.number()) {
                (Some(a), Some(b)) => a.total_cmp(&b).is_eq(),
                _ => false,
            },
        }
    }
}

impl Json {
    /// Text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// An empty object.
    pub fn object() -> Self {
        Self::Map(Arc::new(Members::new()))
    }

    /// What it is called in messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }

    /// A number, or `true` and `false` as Python counts them.
    #[expect(
        clippy::cast_precision_loss,
        reason = "comparison alone; Python compares exactly, at 2^53 and beyond this may call neighbours equal"
    )]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Bool(b) => Some(f64::from(u8::from(*b))),
            Self::Int(n) => Some(*n as f64),
            Self::Float(n) => Some(*n),
            Self::Null | Self::Text(_) | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The text, where it is text.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The items, where it is a list.
    pub fn items(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// The members, where it is an object.
    pub fn members(&self) -> Option<&Members> {
        if let Self::Map(members) = self { Some(members) } else { None }
    }

    /// The members, to be changed; anything else becomes an empty object first.
    pub fn members_mut(&mut self) -> &mut Members {
        if !matches!(self, Self::Map(_)) {
            *self = Self::object();
        }
        match self {
            Self::Map(members) => Arc::make_mut(members),
            // Just made one.
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Text(_) | Self::List(_) => unreachable!(),
        }
    }

    /// A member of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.members().and_then(|members| members.get(key))
    }

    /// Whether Python would call it true.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(b) => *b,
            Self::Int(n) => *n != 0,
            Self::Float(n) => n.abs() > 0.0 || n.is_nan(),
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(members) => !members.is_empty(),
        }
    }

    /// As Python's `str()` shows it.
    pub fn shown(&self) -> String {
        super::python::text(&self.to_template())
    }

    /// As templates see it. Nothing is copied.
    pub fn to_template(&self) -> Value {
        match self {
            Self::Null => Value::from(()),
            Self::Bool(b) => Value::from(*b),
            Self::Int(n) => i64::try_from(*n).map_or_else(|_wide| Value::from(*n), Value::from),
            Self::Float(n) => Value::from(*n),
            Self::Text(text) => Value::from(text.clone()),
            Self::List(items) => Value::from_object(ListView(items.clone())),
            Self::Map(members) => Value::from_object(MapView(members.clone())),
        }
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// Where they are not one JSON value; nested at most 128 deep.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// As compact JSON.
    pub fn compact(&self) -> String {
        // No value of this type has keys that are not text.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value as V;
        match value {
            V::Null => Self::Null,
            V::Bool(b) => Self::Bool(b),
            V::Number(n) => n
                .as_i64()
                .map(i128::from)
                .or_else(|| n.as_u64().map(i128::from))
                .map_or_else(|| Self::Float(n.as_f64().unwrap_or(f64::NAN)), Self::Int),
            V::String(text) => Self::Text(text.into()),
            V::Array(items) => Self::List(Arc::new(items.into_iter().map(Self::from).collect())),
            V::Object(members) => Self::Map(Arc::new(members.into_iter().map(|(k, v)| (k.into(), Self::from(v))).collect())),
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Int(n) => match (i64::try_from(*n), u64::try_from(*n)) {
                (Ok(n), _) => serializer.serialize_i64(n),
                (_, Ok(n)) => serializer.serialize_u64(n),
                _ => serializer.serialize_i128(*n),
            },
            Self::Float(n) => serializer.serialize_f64(*n),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items.iter()),
            Self::Map(members) => serializer.collect_map(members.iter().map(|(k, v)| (&**k, v))),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Json;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }
            fn visit_bool<E>(self, b: bool) -> Result<Json, E> {
                Ok(Json::Bool(b))
            }
            fn visit_i64<E>(self, n: i64) -> Result<Json, E> {
                Ok(Json::Int(n.into()))
            }
            fn visit_u64<E>(self, n: u64) -> Result<Json, E> {
                Ok(Json::Int(n.into()))
            }
            fn visit_f64<E>(self, n: f64) -> Result<Json, E> {
                Ok(Json::Float(n))
            }
            fn visit_str<E>(self, text: &str) -> Result<Json, E> {
                Ok(Json::text(text))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Json::List(Arc::new(list)))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
                let mut members = Members::new();
                while let Some((key, value)) = entries.next_entry::<String, Json>()? {
                    members.insert(key.into(), value);
                }
                Ok(Json::Map(Arc::new(members)))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// An object as templates see it.
struct MapView(Arc<Members>);

impl fmt::Debug for MapView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
}

impl TemplateObject for MapView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_str()?).map(Json::to_template)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.get(key).map(Json::to_template)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(|key| Value::from(key.clone())).collect())
    }
}

/// A list as templates see it.
struct ListView(Arc<Vec<Json>>);

impl fmt::Debug for ListView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }
}

impl TemplateObject for ListView {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_usize()?).map(Json::to_template)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_numbers_their_kind() {
        let text = r#"{"z":1,"a":[1.5,null,true,"x"],"big":18446744073709551615}"#;
        assert_eq!(Json::parse(text.as_bytes()).unwrap().compact(), text);
    }

    #[test]
    fn it_shows_itself_as_python_does() {
        let json = Json::parse(br#"{"a":[1,1.0,null,true],"b":"it's","c":{}}"#).unwrap();
        assert_eq!(json.shown(), r#"{'a': [1, 1.0, None, True], 'b': "it's", 'c': {}}"#);
    }
}
