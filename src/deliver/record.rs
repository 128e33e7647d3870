//! What a delivery means for a record: its values checked against the operation, and before and after by field. Pure, so that a preview and a
//! write can't differ.

use super::DeliveryError;
use crate::declare::connector::{FieldKind, Operation, TargetField, TargetFile, WriteMode};
use crate::model::{Delivery, FieldChange, Personal, Value, WriteEffect, WriteIntent};

/// A delivery's values, brought to the kinds of its operation's fields.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    pub(super) operation: &'a Operation,
    /// Aligned with the operation's fields; `None` where the delivery says nothing about the field.
    pub(super) values: Vec<Option<Value>>,
}

/// Whether a delivery can stand in its record, as a write would find.
///
/// # Errors
/// [`DeliveryError::Refused`] with the first thing that is wrong.
pub fn fits(file: &TargetFile, delivery: &Delivery) -> Result<(), DeliveryError> {
    Prepared::new(file, delivery).map(drop)
}

/// What becomes of the record.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) effect: WriteEffect,
    pub(super) changes: Vec<FieldChange>,
    /// Places of the changed fields.
    pub(super) changed: Vec<usize>,
}

impl<'a> Prepared<'a> {
    /// Checks a delivery against its operation.
    pub(super) fn new(file: &'a TargetFile, delivery: &Delivery) -> Result<Self, DeliveryError> {
        let Some(operation) = file.operation(&delivery.operation.0) else {
            return Err(DeliveryError::refused("KITH-D008", format!("the target has no operation `{}`", delivery.operation.0)));
        };
        if delivery.expects.is_some() && !operation.compares(file.kind) {
            let message = format!("the operation `{}` can't compare what stands there with what is expected", operation.id.0);
            return Err(DeliveryError::refused("KITH-D057", message));
        }
        let mut values = vec![None; operation.fields.len()];
        for (name, value) in delivery.payload.reveal() {
            let found = operation.fields.iter().zip(&mut values).find(|(field, _)| field.name == *name);
            let Some((field, slot)) = found else {
                return Err(DeliveryError::refused("KITH-D008", format!("the operation `{}` has no field `{name}`", operation.id.0)));
            };
            *slot = Some(fitted(field, value)?);
        }
        for (field, value) in operation.fields.iter().zip(&values) {
            let is_key = operation.record_key.contains(&field.name);
            let needed = is_key || (field.required && delivery.intent == WriteIntent::Write);
            if needed && value.as_ref().is_none_or(Value::is_missing) {
                let what = if is_key { "a part of the record's key" } else { "required" };
                return Err(DeliveryError::refused("KITH-D006", format!("`{}` is {what} and has no value", field.name)));
            }
        }
        Ok(Self { operation, values })
    }

    /// The values of the record key, in key order.
    pub(super) fn key(&self) -> Vec<&Value> {
        self.operation.record_key.iter().filter_map(|name| self.value(name)).collect()
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.operation.fields.iter().zip(&self.values).find(|(field, _)| *field.name == *name).and_then(|(_, value)| value.as_ref())
    }

    /// What becomes of the record, where it holds what the delivery expects.
    ///
    /// # Errors
    /// [`DeliveryError::Refused`] where it holds something else.
    pub(super) fn plan_expected(&self, delivery: &Delivery, existing: Option<&[Value]>) -> Result<Planned, DeliveryError> {
        let planned = self.plan(delivery.intent, existing);
        let Some(expects) = &delivery.expects else { return Ok(planned) };
        if expects.holds(planned.effect, &planned.changes) {
            return Ok(planned);
        }
        let message = format!("somebody edited the record of `{}` since it was to be put back", self.operation.id.0);
        Err(DeliveryError::refused("KITH-D057", message))
    }

    /// What becomes of the record; `existing` is aligned with the operation's fields.
    pub(super) fn plan(&self, intent: WriteIntent, existing: Option<&[Value]>) -> Planned {
        let unchanged = |effect| Planned { effect, changes: Vec::new(), changed: Vec::new() };
        let existing_or_missing = |at: usize| existing.and_then(|row| row.get(at)).unwrap_or(&Value::Missing);
        let is_key = |at: usize| self.operation.fields.get(at).is_some_and(|field| self.operation.record_key.contains(&field.name));
        let (effect, wanted): (_, Vec<(usize, Value)>) = match (intent, existing) {
            (WriteIntent::Keep, _) => return unchanged(WriteEffect::Kept),
            (WriteIntent::Remove | WriteIntent::Blank, None) => return unchanged(WriteEffect::Unchanged),
            (WriteIntent::Write, Some(_)) if self.operation.write == WriteMode::InsertOnly => return unchanged(WriteEffect::Unchanged),
            (WriteIntent::Write, None) if self.operation.write == WriteMode::UpdateOnly => return unchanged(WriteEffect::Unchanged),
            (WriteIntent::Write, _) => {
                let values = self.values.iter().enumerate().filter_map(|(at, value)| value.clone().map(|value| (at, value)));
                (if existing.is_some() { WriteEffect::Updated } else { WriteEffect::Inserted }, values.collect())
            }
            (WriteIntent::Remove, Some(row)) => (WriteEffect::Removed, (0..row.len()).map(|at| (at, Value::Missing)).collect()),
            (WriteIntent::Blank, Some(_)) => {
                let emptied =
                    |(at, value): (usize, &Option<Value>)| (value == &Some(Value::Missing) && !is_key(at)).then_some((at, Value::Missing));
                (WriteEffect::Blanked, self.values.iter().enumerate().filter_map(emptied).collect())
            }
        };
        let (mut changes, mut changed) = (Vec::new(), Vec::new());
        for (at, after) in wanted {
            let before = existing_or_missing(at);
            if *before != after
                && let Some(field) = self.operation.fields.get(at)
            {
                changes.push(FieldChange { field: field.name.clone(), before: Personal::new(before.clone()), after: Personal::new(after) });
                changed.push(at);
            }
        }
        // A record that is new or gone is so even where it had nothing but its key.
        let same = changes.is_empty() && !matches!(effect, WriteEffect::Inserted | WriteEffect::Removed);
        Planned { effect: if same { WriteEffect::Unchanged } else { effect }, changes, changed }
    }
}

/// A value as the field holds it. Nothing is cut or rounded: what does not fit is refused.
fn fitted(field: &TargetField, value: &Value) -> Result<Value, DeliveryError> {
    let wrong =
        || DeliveryError::refused("KITH-D005", format!("`{}` holds {}, the value is {}", field.name, field.kind.name(), value.kind()));
    match (field.kind, value) {
        (FieldKind::Text, Value::Text(text)) => match field.max_length {
            // Bytes are at least as many as characters: counting is for the few that come near.
            Some(limit) if text.len() > limit && text.chars().count() > limit => {
                let length = text.chars().count();
                Err(DeliveryError::refused("KITH-D004", format!("`{}` has {length} characters; the target takes {limit}", field.name)))
            }
            _ => Ok(value.clone()),
        },
        (kind, value) => kind.fitted(value).ok_or_else(wrong),
    }
}
