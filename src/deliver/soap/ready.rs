//! A delivery, checked, and what it puts into a request. Pure.

use super::look_up::Looked;
use crate::declare::connector::TargetField;
use crate::declare::connector::soap::{Call, Settle, Slot, SoapOperation};
use crate::deliver::DeliveryError;
use crate::deliver::outgoing::Outgoing;
use crate::deliver::record::Prepared;
use crate::model::{Delivery, Value, WriteEffect, WriteIntent};
use crate::wire::caller::{CallError, Content, Part, Refused, fill};

/// A delivery, ready for its call.
pub(super) type Ready<'a> = Outgoing<'a, SoapOperation>;

/// What is done about a delivery.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    /// This call, and what it does to the record where the answer does not say.
    Call(&'a Call, WriteEffect),
    /// Nothing: the record is as it should be.
    Nothing,
}

impl<'a> Ready<'a> {
    /// Of an operation that has a call.
    pub(super) fn new(delivery: &'a Delivery, prepared: Prepared<'a>) -> Result<Self, DeliveryError> {
        let Some(soap) = &prepared.operation.soap else {
            return Err(DeliveryError::refused("KITH-D008", format!("the operation `{}` has no call", delivery.operation.0)));
        };
        Ok(Self::of(delivery, prepared, soap))
    }

    /// What a name stands for; `None` where the delivery does not say.
    pub(super) fn value(&self, slot: &Slot, found: Option<&str>) -> Option<Value> {
        match slot {
            Slot::Key => Some(Value::Text(self.key.as_str().into())),
            Slot::Keys => Some(Value::Text(format!("'{}'", self.key).into())),
            Slot::IdempotencyKey => Some(Value::Text(self.idempotency.as_str().into())),
            Slot::Found => found.map(|id| Value::Text(id.into())),
            Slot::New => found.is_none().then(|| Value::Text("1".into())),
            Slot::Field(name) => self.field(name),
            Slot::Session | Slot::User | Slot::Password | Slot::PageSize | Slot::Offset | Slot::After | Slot::PageToken => None,
        }
    }

    /// Whether it goes into the operation's batch.
    pub(super) fn is_batched(&self) -> bool {
        self.how.is_batched(self.delivery.intent)
    }

    /// Whether the same call again changes nothing where it had arrived.
    pub(super) fn is_repeatable(&self) -> bool {
        self.how.settle == Settle::Repeat
    }

    /// About how many bytes its part of a batch takes: its texts, and a tag around each.
    pub(super) fn bytes(&self) -> usize {
        let length = |value: &Value| value.as_text().map_or(24, str::len);
        self.fields().map(|(field, value)| value.map_or(0, |v| length(v) + 2 * field.name.len() + 160)).sum()
    }

    /// The one call of its intent, where it does not depend on a look-up.
    fn plain_call(&self) -> Option<&'a Call> {
        match self.delivery.intent {
            WriteIntent::Write => self.how.call.as_ref(),
            WriteIntent::Blank => self.how.blanking(),
            WriteIntent::Remove => self.how.remove.as_ref(),
            WriteIntent::Keep => None,
        }
        .or_else(|| self.how.batch.as_ref().filter(|_| self.is_batched()).map(|batch| &batch.call))
    }

    /// Whether its record is looked for first.
    pub(super) fn looks_first(&self) -> bool {
        let two = self.delivery.intent == WriteIntent::Write && (self.how.create.is_some() || self.how.update.is_some());
        let call = if self.is_batched() { self.how.batch.as_ref().map(|batch| &batch.call) } else { self.plain_call() };
        let named = call.is_some_and(Call::needs_look_up);
        self.how.look_up.is_some() && (two || named || self.is_insert_only())
    }

    /// What is done, by what was found; `None`: nothing was looked for.
    pub(super) fn step(&self, looked: Option<&Looked>) -> Result<Step<'a>, DeliveryError> {
        let is_there = looked.map(Looked::is_there);
        if is_there == Some(true) && self.is_insert_only() {
            return Ok(Step::Nothing);
        }
        let no_call = || {
            let message = format!("the operation `{}` has no call for this: {}", self.delivery.operation.0, self.delivery.intent.name());
            DeliveryError::refused("KITH-D020", message)
        };
        let updated = if is_there == Some(false) || self.is_insert_only() { WriteEffect::Inserted } else { WriteEffect::Updated };
        if self.is_batched() {
            let batch = self.how.batch.as_ref().ok_or_else(no_call)?;
            let nothing = self.delivery.intent == WriteIntent::Blank && is_there == Some(false);
            let effect = if self.delivery.intent == WriteIntent::Blank { WriteEffect::Blanked } else { updated };
            return Ok(if nothing { Step::Nothing } else { Step::Call(&batch.call, effect) });
        }
        match self.delivery.intent {
            WriteIntent::Keep => Ok(Step::Nothing),
            WriteIntent::Write => match (&self.how.call, is_there) {
                (Some(call), _) => Ok(Step::Call(call, updated)),
                (None, Some(true)) => self.how.update.as_ref().map(|call| Step::Call(call, WriteEffect::Updated)).ok_or_else(no_call),
                (None, _) => self.how.create.as_ref().map(|call| Step::Call(call, WriteEffect::Inserted)).ok_or_else(no_call),
            },
            // What is not there needs no emptying, and is not made by it.
            WriteIntent::Blank | WriteIntent::Remove if is_there == Some(false) => Ok(Step::Nothing),
            WriteIntent::Blank => self.plain_call().map(|call| Step::Call(call, WriteEffect::Blanked)).ok_or_else(no_call),
            WriteIntent::Remove => self.plain_call().map(|call| Step::Call(call, WriteEffect::Removed)).ok_or_else(no_call),
        }
    }

    /// Whether a field travels in a call.
    fn travels(&self, call: &Call, field: &TargetField, value: &Value) -> bool {
        if let Some(only) = &call.fields {
            return only.contains(&field.name);
        }
        let is_key = self.prepared.operation.record_key.contains(&field.name);
        match self.delivery.intent {
            WriteIntent::Write => !value.is_missing(),
            WriteIntent::Blank => is_key || value.is_missing(),
            WriteIntent::Remove | WriteIntent::Keep => false,
        }
    }

    /// Puts the record into a request: `record` is its element; fields that stand among the operation's own parameters wait in `top`.
    pub(super) fn fill(&self, call: &Call, found: Option<&str>, record: &mut Part) -> Result<(), CallError> {
        fill::placed(record, &call.each, &|slot| self.value(slot, found))?;
        self.place(call, record, false)
    }

    /// Puts the fields that stand among the operation's own parameters there.
    pub(super) fn fill_top(&self, call: &Call, root: &mut Part) -> Result<(), CallError> {
        self.place(call, root, true)
    }

    fn place(&self, call: &Call, into: &mut Part, from_top: bool) -> Result<(), CallError> {
        for ((field, value), place) in self.fields().zip(&self.how.places).filter(|(_, place)| place.from_top == from_top) {
            let Some(value) = value.filter(|value| self.travels(call, field, value)) else { continue };
            if value.is_missing() {
                fill::emptied(into, place, &self.how.empty)?;
            } else {
                fill::field(into, place, Content::Value(value.clone(), None))?;
            }
        }
        Ok(())
    }

    /// The whole of a request about this record alone.
    pub(super) fn build(&self, call: &Call, found: Option<&str>, root: &mut Part) -> Result<(), CallError> {
        self.fill_top(call, root)?;
        let record =
            root.at(&call.record).ok_or_else(|| Refused::with("KITH-D020", format!("the path `{}` can't be written", call.record)))?;
        self.fill(call, found, record)
    }
}
