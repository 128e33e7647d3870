//! Bytes of what is sealed into a column: lossless, deterministic, and read with every length checked.
//!
//! Numbers are little-endian, lengths LEB128; text is UTF-8 after its length; an option is a 0 or 1 before the value.

use crate::model::{Timestamp, Value};
use crate::store::StoreError;
use std::sync::Arc;

/// Nested lists and records: readers refuse input deeper than 128 (the limit of the JSON reader), so this is never met by what was read.
const MAX_DEPTH: u32 = 160;

/// Writes.
#[derive(Default)]
pub(super) struct Encoder {
    out: Vec<u8>,
}

impl Encoder {
    /// An encoder whose first byte says which form follows.
    pub(super) fn new(form: u8) -> Self {
        let mut encoder = Self { out: Vec::with_capacity(512) };
        encoder.u8(form);
        encoder
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(super) fn u64(&mut self, mut value: u64) {
        loop {
            let low = u8::try_from(value & 0x7f).unwrap_or_default();
            value >>= 7;
            if value == 0 {
                self.out.push(low);
                return;
            }
            self.out.push(low | 0x80);
        }
    }

    pub(super) fn len(&mut self, value: usize) {
        self.u64(u64::try_from(value).unwrap_or(u64::MAX));
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn f64(&mut self, value: f64) {
        self.out.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.len(value.len());
        self.out.extend_from_slice(value);
    }

    pub(super) fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    pub(super) fn time(&mut self, value: Timestamp) {
        self.i64(value.as_second());
        self.out.extend_from_slice(&value.subsec_nanosecond().to_le_bytes());
    }

    pub(super) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.u8(0),
            Some(value) => {
                self.u8(1);
                write(self, value);
            }
        }
    }

    pub(super) fn fields(&mut self, fields: &[(Arc<str>, Value)]) {
        self.fields_at(fields, 0);
    }

    fn fields_at(&mut self, fields: &[(Arc<str>, Value)], depth: u32) {
        self.len(fields.len());
        for (name, value) in fields {
            self.text(name);
            self.value_at(value, depth);
        }
    }

    fn value_at(&mut self, value: &Value, depth: u32) {
        match value {
            Value::List(_) | Value::Record(_) if depth >= MAX_DEPTH => self.u8(0),
            Value::Missing => self.u8(0),
            Value::Text(text) => {
                self.u8(1);
                self.text(text);
            }
            Value::Number(number) => {
                self.u8(2);
                self.f64(*number);
            }
            Value::Integer(number) => {
                self.u8(3);
                self.i64(*number);
            }
            Value::Bool(false) => self.u8(4),
            Value::Bool(true) => self.u8(5),
            Value::Time(time) => {
                self.u8(6);
                self.time(*time);
            }
            Value::List(items) => {
                self.u8(7);
                self.len(items.len());
                items.iter().for_each(|item| self.value_at(item, depth + 1));
            }
            Value::Record(members) => {
                self.u8(8);
                self.fields_at(members, depth + 1);
            }
        }
    }
}

/// Reads; each method fails with [`StoreError::Damaged`] where the bytes end or say what can't be.
pub(super) struct Decoder<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Decoder<'a> {
    /// A decoder of bytes whose first must be `form`. `what` names them in errors.
    pub(super) fn new(bytes: &'a [u8], form: u8, what: &'static str) -> Result<Self, StoreError> {
        let mut decoder = Self { rest: bytes, what };
        if decoder.u8()? == form { Ok(decoder) } else { Err(decoder.damaged()) }
    }

    pub(super) fn damaged(&self) -> StoreError {
        StoreError::Damaged(format!("{} can't be read", self.what))
    }

    /// Ends reading: nothing may be left.
    pub(super) fn end(self) -> Result<(), StoreError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged()) }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], StoreError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, StoreError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u64(&mut self) -> Result<u64, StoreError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.damaged())
    }

    /// A number of things, each at least one byte long: never more than bytes are left.
    pub(super) fn len(&mut self) -> Result<usize, StoreError> {
        let len = usize::try_from(self.u64()?).map_err(|_too_large| self.damaged())?;
        if len <= self.rest.len() { Ok(len) } else { Err(self.damaged()) }
    }

    pub(super) fn i64(&mut self) -> Result<i64, StoreError> {
        self.array().map(i64::from_le_bytes)
    }

    pub(super) fn f64(&mut self) -> Result<f64, StoreError> {
        self.array().map(|bytes| f64::from_bits(u64::from_le_bytes(bytes)))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], StoreError> {
        let len = self.len()?;
        self.take(len)
    }

    pub(super) fn text(&mut self) -> Result<Arc<str>, StoreError> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map(Arc::from).map_err(|_not_text| self.damaged())
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        let seconds = self.i64()?;
        let nanoseconds = self.array().map(i32::from_le_bytes)?;
        Timestamp::new(seconds, nanoseconds).map_err(|_out_of_range| self.damaged())
    }

    pub(super) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(self.damaged()),
        }
    }

    pub(super) fn fields(&mut self) -> Result<Vec<(Arc<str>, Value)>, StoreError> {
        self.fields_at(0)
    }

    fn fields_at(&mut self, depth: u32) -> Result<Vec<(Arc<str>, Value)>, StoreError> {
        let len = self.len()?;
        (0..len).map(|_| Ok((self.text()?, self.value_at(depth)?))).collect()
    }

    fn value_at(&mut self, depth: u32) -> Result<Value, StoreError> {
        if depth > MAX_DEPTH {
            return Err(self.damaged());
        }
        Ok(match self.u8()? {
            0 => Value::Missing,
            1 => Value::Text(self.text()?),
            2 => Value::Number(self.f64()?),
            3 => Value::Integer(self.i64()?),
            4 => Value::Bool(false),
            5 => Value::Bool(true),
            6 => Value::Time(self.time()?),
            7 => {
                let len = self.len()?;
                Value::List((0..len).map(|_| self.value_at(depth + 1)).collect::<Result<Vec<_>, _>>()?.into())
            }
            8 => Value::Record(self.fields_at(depth + 1)?.into()),
            _ => return Err(self.damaged()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Missing),
            ".*".prop_map(|t| Value::Text(t.into())),
            any::<f64>().prop_filter("NaN equals nothing", |n| !n.is_nan()).prop_map(Value::Number),
            any::<i64>().prop_map(Value::Integer),
            any::<bool>().prop_map(Value::Bool),
            (-1_000_000_000_000_i64..1_000_000_000_000_000).prop_map(|us| Value::Time(Timestamp::from_microsecond(us).unwrap())),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(|v| Value::List(v.into())),
                proptest::collection::vec(("[a-z.]{0,8}", inner), 0..6)
                    .prop_map(|v| Value::Record(v.into_iter().map(|(k, v)| (Arc::from(k), v)).collect::<Vec<_>>().into())),
            ]
        })
    }

    proptest! {
        #[test]
        fn fields_are_read_back_as_they_were(fields in proptest::collection::vec(("[a-z.]{0,12}", value()), 0..6), number in any::<u64>()) {
            let fields: Vec<(Arc<str>, Value)> = fields.into_iter().map(|(k, v)| (Arc::from(k), v)).collect();
            let mut encoder = Encoder::new(7);
            encoder.fields(&fields);
            encoder.u64(number);
            encoder.option(Some("x"), Encoder::text);
            encoder.option(None::<&str>, Encoder::text);
            let bytes = encoder.into_bytes();
            let mut decoder = Decoder::new(&bytes, 7, "a test").unwrap();
            prop_assert_eq!(decoder.fields().unwrap(), fields);
            prop_assert_eq!(decoder.u64().unwrap(), number);
            prop_assert_eq!(decoder.option(Decoder::text).unwrap(), Some(Arc::from("x")));
            prop_assert_eq!(decoder.option(Decoder::text).unwrap(), None);
            prop_assert!(decoder.end().is_ok());
            // Cut anywhere, it is refused rather than read as less.
            for end in 0..bytes.len() {
                let cut = Decoder::new(&bytes[..end], 7, "a test").and_then(|mut d| {
                    d.fields()?;
                    d.u64()?;
                    d.option(Decoder::text)?;
                    d.option(Decoder::text)
                });
                prop_assert!(cut.is_err());
            }
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let Ok(mut decoder) = Decoder::new(&bytes, bytes.first().copied().unwrap_or(0), "a test") else { return Ok(()) };
            while decoder.fields().is_ok() && !decoder.rest.is_empty() {}
        }
    }
}
