//! The types of an event's members: how each is written, read back strictly, and described to a JSON Schema.

use super::canonical::{MAX_SAFE_INTEGER, Writer};
use super::cursor::Cursor;
use super::hash::{CorrelationId, SubjectHash};
use super::seal::Sealed;
use crate::model::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Longer texts are cut here, on a character border, and end with `…`: 8 such members stay far below an entry's 65,535 bytes.
pub const MAX_TEXT_BYTES: usize = 2_048;

/// A text of any length: a diff.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LongText(pub Arc<str>);

/// A part of an entry that may be large: here, or by digest where the entry would exceed its 65,535 bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part<T> {
    /// The part itself.
    Here(T),
    /// Its digest; the store keeps the part.
    ByDigest(PartDigest),
}

impl<T> Part<T> {
    /// The part, where it stands here.
    pub const fn here(&self) -> Option<&T> {
        match self {
            Self::Here(part) => Some(part),
            Self::ByDigest(_) => None,
        }
    }
}

/// What stands for a part that was too large.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartDigest {
    /// SHA-256 of the part's canonical JSON.
    pub digest: Digest,
    /// How many bytes that has.
    pub bytes: u64,
}

impl PartDigest {
    /// Of a part's canonical JSON.
    pub fn of(canonical: &[u8]) -> Self {
        Self { digest: Digest(Sha256::digest(canonical).into()), bytes: canonical.len() as u64 }
    }
}

/// A single value.
pub(super) trait Item: Sized {
    fn write(&self, out: &mut Writer);
    /// Reads it where it stands; `None` where that is anything else.
    fn read(from: &mut Cursor<'_>) -> Option<Self>;
    fn schema() -> Value;
}

/// A value under a name that may be absent.
pub(super) trait Member: Sized {
    const REQUIRED: bool;
    fn write(&self, name: &str, out: &mut Writer);
    fn read(name: &str, from: &mut Cursor<'_>) -> Option<Self>;
    fn schema() -> Value;
}

impl<T: Item> Member for T {
    const REQUIRED: bool = true;
    fn write(&self, name: &str, out: &mut Writer) {
        out.key(name);
        Item::write(self, out);
    }
    #[inline]
    fn read(name: &str, from: &mut Cursor<'_>) -> Option<Self> {
        if from.key(name) { <T as Item>::read(from) } else { None }
    }
    fn schema() -> Value {
        <T as Item>::schema()
    }
}

impl<T: Item> Member for Option<T> {
    const REQUIRED: bool = false;
    fn write(&self, name: &str, out: &mut Writer) {
        if let Some(value) = self {
            Member::write(value, name, out);
        }
    }
    #[inline]
    fn read(name: &str, from: &mut Cursor<'_>) -> Option<Self> {
        if from.key(name) { <T as Item>::read(from).map(Some) } else { Some(None) }
    }
    fn schema() -> Value {
        <T as Item>::schema()
    }
}

/// A text as entries write it: cut where it is too long.
pub(super) fn cut(text: &str) -> std::borrow::Cow<'_, str> {
    if text.len() <= MAX_TEXT_BYTES {
        return text.into();
    }
    let end = text.floor_char_boundary(MAX_TEXT_BYTES - '…'.len_utf8());
    format!("{}…", text.get(..end).unwrap_or_default()).into()
}

impl Item for Arc<str> {
    fn write(&self, out: &mut Writer) {
        out.string(&cut(self));
    }
    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        from.string().ok().filter(|text| text.len() <= MAX_TEXT_BYTES).map(|text| (*text).into())
    }
    fn schema() -> Value {
        json!({ "type": "string", "maxLength": MAX_TEXT_BYTES })
    }
}

impl Item for u64 {
    fn write(&self, out: &mut Writer) {
        out.count(*self);
    }
    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        from.count()
    }
    fn schema() -> Value {
        json!({ "type": "integer", "minimum": 0, "maximum": MAX_SAFE_INTEGER })
    }
}

impl Item for i64 {
    fn write(&self, out: &mut Writer) {
        let limit = MAX_SAFE_INTEGER.cast_signed();
        out.raw((*self).clamp(-limit, limit).to_string().as_bytes());
    }
    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        from.whole()
    }
    fn schema() -> Value {
        json!({ "type": "integer", "minimum": -MAX_SAFE_INTEGER.cast_signed(), "maximum": MAX_SAFE_INTEGER })
    }
}

impl Item for bool {
    fn write(&self, out: &mut Writer) {
        out.boolean(*self);
    }
    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        from.boolean()
    }
    fn schema() -> Value {
        json!({ "type": "boolean" })
    }
}

/// Doubles that JSON numbers can't say are texts: −0, the infinities, not a number.
impl Item for f64 {
    fn write(&self, out: &mut Writer) {
        if self.is_nan() {
            out.plain(b"NaN");
        } else if self.is_infinite() {
            out.plain(if *self > 0.0 { b"Infinity" } else { b"-Infinity" });
        } else if self.to_bits() == (-0.0_f64).to_bits() {
            out.plain(b"-0");
        } else {
            out.number(*self);
        }
    }
    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        if from.peek() != Some(b'"') {
            return from.number().ok();
        }
        match from.plain()? {
            "NaN" => Some(Self::NAN),
            "Infinity" => Some(Self::INFINITY),
            "-Infinity" => Some(Self::NEG_INFINITY),
            "-0" => Some(-0.0),
            _ => None,
        }
    }
    fn schema() -> Value {
        json!({ "anyOf": [{ "type": "number" }, { "enum": ["-0", "-Infinity", "Infinity", "NaN"] }] })
    }
}

impl Item for Digest {
    fn write(&self, out: &mut Writer) {
        out.hex(&self.0);
    }
    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        super::hex::decode(from.plain()?).map(Self)
    }
    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}

impl Item for SubjectHash {
    fn write(&self, out: &mut Writer) {
        out.hex(&self.0);
    }
    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        Self::from_hex(from.plain()?)
    }
    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" })
    }
}

impl Item for CorrelationId {
    fn write(&self, out: &mut Writer) {
        out.hex(&self.0);
    }
    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        Self::from_hex(from.plain()?)
    }
    fn schema() -> Value {
        json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" })
    }
}

impl Item for LongText {
    fn write(&self, out: &mut Writer) {
        out.string(&self.0);
    }
    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        from.string().ok().map(|text| Self((*text).into()))
    }
    fn schema() -> Value {
        json!({ "type": "string" })
    }
}

impl Item for Sealed {
    fn write(&self, out: &mut Writer) {
        Self::write(self, out);
    }
    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        Self::read(from)
    }
    fn schema() -> Value {
        json!({ "$ref": "#/$defs/box" })
    }
}

impl<T: Item> Item for Part<T> {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Here(part) => part.write(out),
            Self::ByDigest(PartDigest { digest, bytes }) => {
                out.begin_object();
                Member::write(bytes, "bytes", out);
                Member::write(digest, "digest", out);
                out.end_object();
            }
        }
    }
    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        // No part has a member of this name itself.
        if !from.begins(r#"{"bytes":"#) {
            return T::read(from).map(Self::Here);
        }
        from.begin_object()?;
        let digest = PartDigest { bytes: Member::read("bytes", from)?, digest: Member::read("digest", from)? };
        from.end_object()?;
        Some(Self::ByDigest(digest))
    }
    fn schema() -> Value {
        json!({ "anyOf": [T::schema(), { "$ref": "#/$defs/part" }] })
    }
}
