//! Before and after by field: names in clear, values in one box.

use super::canonical::Writer;
use super::cursor::Cursor;
use super::event::{Kind, Text};
use super::member::{Item, Member, Part};
use super::seal::{Binding, SealError, Sealed, SealingKey, Unpredictable};
use super::tape::Tape;
use super::values;
use crate::model::{FieldChange, Personal, Value};
use serde_json::json;
use std::sync::Arc;

/// The fields of an entry. The box's plain text is `{"after":[…],"before":[…]}`, each list aligned with the names and left out where
/// all of it is missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fields {
    /// The fields' names.
    pub names: Vec<Text>,
    /// Their values; `None` where only the names matter (which fields were read).
    pub sealed: Option<Part<Sealed>>,
}

/// A box that does not hold what its entry's names say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotFields {
    /// The box does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The entry holds the box by digest only; the store keeps it.
    #[error("the values stand by digest only")]
    ByDigest,
    /// What is in the box is not before and after by field.
    #[error("the sealed values do not fit the field names")]
    Form,
}

impl Fields {
    /// Names only.
    pub fn names(names: impl IntoIterator<Item = Text>) -> Self {
        Self { names: names.into_iter().collect(), sealed: None }
    }

    /// What a write is about to say: no `before`, the payload as `after`.
    ///
    /// # Errors
    /// [`SealError::TooLarge`], far beyond what a record holds.
    pub fn of_payload(kind: Kind, payload: &[(Arc<str>, Value)], key: &SealingKey, random: &mut Unpredictable) -> Result<Self, SealError> {
        Self::of(kind, payload.iter().map(|(name, after)| (name, &Value::Missing, after)), key, random)
    }

    /// What a write changed.
    ///
    /// # Errors
    /// [`SealError::TooLarge`], far beyond what a record holds.
    pub fn of_changes(kind: Kind, changes: &[FieldChange], key: &SealingKey, random: &mut Unpredictable) -> Result<Self, SealError> {
        Self::of(kind, changes.iter().map(|c| (&c.field, c.before.reveal(), c.after.reveal())), key, random)
    }

    fn of<'a>(
        kind: Kind,
        changes: impl Iterator<Item = (&'a Arc<str>, &'a Value, &'a Value)> + Clone,
        key: &SealingKey,
        random: &mut Unpredictable,
    ) -> Result<Self, SealError> {
        let mut out = Writer::default();
        out.begin_object();
        let mut side = |name: &str, values: &mut dyn Iterator<Item = &'a Value>| {
            let values: Vec<&Value> = values.collect();
            if values.iter().any(|v| !v.is_missing()) {
                out.key(name);
                out.begin_array();
                for value in values {
                    values::write(value, &mut out);
                }
                out.end_array();
            }
        };
        side("after", &mut changes.clone().map(|(_, _, after)| after));
        side("before", &mut changes.clone().map(|(_, before, _)| before));
        out.end_object();
        let plain = zeroize::Zeroizing::new(out.into_bytes());
        let sealed = key.seal(Self::binding(kind), &plain, random)?;
        Ok(Self { names: changes.map(|(name, ..)| name.clone()).collect(), sealed: Some(Part::Here(sealed)) })
    }

    const fn binding(kind: Kind) -> Binding<'static> {
        Binding { kind: kind.name(), field: "fields" }
    }

    /// Which keys open the box; `None` where there is none here.
    pub fn key_ids(&self) -> Option<super::KeyIds> {
        self.sealed.as_ref().and_then(Part::here).map(|sealed| sealed.key_id)
    }

    /// The values again. `kind` is the entry's.
    ///
    /// # Errors
    /// [`NotFields`].
    pub fn open(&self, kind: Kind, key: &SealingKey) -> Result<Vec<FieldChange>, NotFields> {
        let sealed = match &self.sealed {
            None => return Ok(Vec::new()),
            Some(Part::ByDigest(_)) => return Err(NotFields::ByDigest),
            Some(Part::Here(sealed)) => sealed,
        };
        let plain = key.open(Self::binding(kind), sealed)?;
        self.read_values(&plain).ok_or(NotFields::Form)
    }

    fn read_values(&self, plain: &[u8]) -> Option<Vec<FieldChange>> {
        let tape = Tape::read(plain).ok()?;
        let side = |name: &str| -> Option<Vec<Value>> {
            let Some(values) = tape.json().get(name) else { return Some(vec![Value::Missing; self.names.len()]) };
            let values = values.elements()?.map(values::read).collect::<Option<Vec<_>>>()?;
            (values.len() == self.names.len()).then_some(values)
        };
        let (after, before) = (side("after")?, side("before")?);
        let values = before.into_iter().zip(after);
        Some(
            self.names
                .iter()
                .zip(values)
                .map(|(name, (before, after))| FieldChange {
                    field: name.clone(),
                    before: Personal::new(before),
                    after: Personal::new(after),
                })
                .collect(),
        )
    }
}

impl Item for Fields {
    fn write(&self, out: &mut Writer) {
        out.begin_object();
        out.key("names");
        out.begin_array();
        self.names.iter().for_each(|name| Item::write(name, out));
        out.end_array();
        if let Some(sealed) = &self.sealed {
            out.key("sealed");
            Item::write(sealed, out);
        }
        out.end_object();
    }
    fn read(from: &mut Cursor<'_>) -> Option<Self> {
        from.begin_object()?;
        let names = if from.key("names") { from.elements(Item::read)? } else { return None };
        let sealed = Member::read("sealed", from)?;
        from.end_object()?;
        Some(Self { names, sealed })
    }
    fn schema() -> serde_json::Value {
        json!({
            "type": "object", "additionalProperties": false, "required": ["names"],
            "properties": { "names": { "type": "array", "items": <Text as Item>::schema() }, "sealed": <Part<Sealed> as Item>::schema() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::PersonKey;
    use crate::audit::values::tests::any_value;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn changes_read_back_as_they_were(changes in proptest::collection::vec(("[A-Za-z]{1,8}", any_value(), any_value()), 0..6)) {
            let mut random = Unpredictable::new([1; 32]);
            let key = SealingKey::from(&PersonKey::generate(&mut random));
            let changes: Vec<FieldChange> = changes
                .into_iter()
                .map(|(name, before, after)| FieldChange { field: name.into(), before: Personal::new(before), after: Personal::new(after) })
                .collect();
            let fields = Fields::of_changes(Kind::WriteReceipt, &changes, &key, &mut random).unwrap();
            prop_assert_eq!(fields.open(Kind::WriteReceipt, &key), Ok(changes));
            prop_assert_eq!(fields.open(Kind::WriteIntended, &key), Err(NotFields::Seal(SealError::Closed)));
        }
    }
}
