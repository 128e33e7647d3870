//! A line of JSON as a borrowed tree: text stays in the line's buffer where it has no escapes, depth is bounded, members keep their order.

use super::Malformed;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

/// Nesting allowed in a line. Real activities need about 8 levels; `serde_json` stops at 128 by itself, so that ours is always the one met.
pub(super) const MAX_DEPTH: u8 = 64;

/// A JSON value.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Object(Members<'a>),
}

/// The members of a JSON object, in the line's order.
#[derive(Debug)]
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, Node<'a>)>);

impl<'a> Members<'a> {
    /// The member of this name; `null` counts as absent, as Activity Streams has it. The last of a name given twice is taken, as in JSON everywhere.
    pub(super) fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, node)| node).filter(|node| !matches!(node, Node::Null))
    }

    /// The first of these members that is there.
    pub(super) fn first_of(&self, names: &[&'static str]) -> Option<(&'static str, &Node<'a>)> {
        names.iter().find_map(|name| self.get(name).map(|node| (*name, node)))
    }
}

impl Node<'_> {
    /// What the value is called in messages.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true/false",
            Self::Integer(_) | Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// Reads one line.
pub(super) fn read(line: &str) -> Result<Node<'_>, Malformed> {
    let too_deep = Cell::new(false);
    let mut json = serde_json::Deserializer::from_str(line);
    let node = Seed { left: MAX_DEPTH, too_deep: &too_deep }.deserialize(&mut json).and_then(|node| json.end().map(|()| node));
    node.map_err(|error| {
        if too_deep.get() {
            Malformed::TooDeep
        } else if error.is_eof() {
            Malformed::CutOff
        } else {
            Malformed::NotJson { column: error.column() }
        }
    })
}

#[derive(Clone, Copy)]
struct Seed<'f> {
    left: u8,
    too_deep: &'f Cell<bool>,
}

impl Seed<'_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        self.left.checked_sub(1).map(|left| Self { left, ..self }).ok_or_else(|| {
            self.too_deep.set(true);
            E::custom("nested too deep")
        })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(Node::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node<'de>, E> {
        #[expect(clippy::cast_precision_loss, reason = "a whole number beyond 63 bits has no exact place among our values")]
        Ok(i64::try_from(value).map_or(Node::Number(value as f64), Node::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node<'de>, E> {
        Ok(Node::Number(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node<'de>, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let inner = self.inner()?;
        let mut members = Vec::new();
        while let Some(key) = map.next_key_seed(Key)? {
            members.push((key, map.next_value_seed(inner)?));
        }
        Ok(Node::Object(Members(members)))
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}
