//! What became of a write whose answer was lost: what is read, and what it tells. Pure.

use super::answer;
use super::request::Ready;
use crate::declare::connector::http::{LookUp, Named};
use crate::deliver::{DeliveryError, Settled};
use crate::diagnose::Code;
use crate::model::{Receipt, Value, WriteEffect, WriteIntent};
use crate::wire::http::Reply;
use serde_json::Value as Json;

/// What can be compared for this delivery.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    look_up: &'a LookUp,
    pairs: Vec<(&'a str, Value)>,
}

impl<'a> Comparison<'a> {
    /// `None` where reading could not tell whether this very write arrived.
    pub(super) fn new(look_up: &'a LookUp, ready: &Ready<'_>) -> Option<Self> {
        let is_key = |name: &str| ready.prepared.operation.record_key.iter().any(|key| **key == *name);
        let mut pairs = Vec::new();
        // Whether a pair differs from one version of the record to the next.
        let mut telling = false;
        for (pointer, named) in &look_up.json {
            let versioned = match named {
                Named::Key => false,
                Named::IdempotencyKey if ready.delivery.intent == WriteIntent::Remove => continue,
                Named::IdempotencyKey => true,
                Named::Field(name) => !is_key(name),
            };
            if let Some(value) = ready.named(named) {
                telling |= versioned;
                pairs.push((&**pointer, value));
            }
        }
        let enough = match ready.delivery.intent {
            // That it is there, or gone, is all there is to know; in a list it must be told from others.
            WriteIntent::Remove => look_up.list.is_none() || !pairs.is_empty(),
            WriteIntent::Write => telling || (ready.is_insert_only() && (look_up.list.is_none() || !pairs.is_empty())),
            WriteIntent::Blank => telling,
            WriteIntent::Keep => true,
        };
        enough.then_some(Self { look_up, pairs })
    }

    /// What an answer of the look-up tells; `None` where it is an answer of another kind.
    pub(super) fn judge(&self, reply: &Reply, ready: &Ready<'_>) -> Option<Settled> {
        let there = if self.look_up.missing.iter().any(|set| set.holds(reply.status)) {
            false
        } else if self.look_up.found.iter().any(|set| set.holds(reply.status)) {
            let nothing_to_read = self.look_up.list.is_none() && (self.pairs.is_empty() || ready.delivery.intent == WriteIntent::Remove);
            if nothing_to_read {
                true
            } else {
                // Without JSON that came whole, nothing is told.
                let json = answer::json(reply)?;
                match &self.look_up.list {
                    None => self.is_it(&json),
                    Some(at) => json.pointer(at)?.as_array()?.iter().any(|item| self.is_it(item)),
                }
            }
        } else {
            return None;
        };
        let arrived = if ready.delivery.intent == WriteIntent::Remove { !there } else { there };
        let effect = match ready.delivery.intent {
            WriteIntent::Remove => WriteEffect::Removed,
            WriteIntent::Blank => WriteEffect::Blanked,
            WriteIntent::Keep => WriteEffect::Kept,
            WriteIntent::Write if ready.is_insert_only() => WriteEffect::Inserted,
            WriteIntent::Write => WriteEffect::Updated,
        };
        let receipt = Receipt::bare(ready.delivery.id, effect);
        Some(if arrived { Settled::Delivered(receipt) } else { Settled::NotThere })
    }

    fn is_it(&self, json: &Json) -> bool {
        self.pairs.iter().all(|(pointer, value)| same(json.pointer(pointer), value))
    }
}

/// Whether the service shows a value that was written. It may write numbers as text and times in another zone; empty and absent are one.
fn same(shown: Option<&Json>, written: &Value) -> bool {
    let text = shown.and_then(answer::text_of);
    match (shown, written) {
        (None | Some(Json::Null), Value::Missing) => true,
        (Some(Json::String(text)), Value::Missing) => text.is_empty(),
        (_, Value::Time(time)) => text.is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok_and(|shown| shown == *time)),
        #[expect(clippy::float_cmp, reason = "the same decimal text gives the same double")]
        (_, Value::Number(number)) => text.and_then(|text| text.parse::<f64>().ok()).is_some_and(|shown| shown == *number),
        (Some(_), value) => text.is_some() && text == value.scalar_text(),
        (None, _) => false,
    }
}

/// What holds where reading can't tell.
pub(super) fn without_reading(ready: &Ready<'_>, repeat: bool) -> Settled {
    if repeat {
        return Settled::Repeatable;
    }
    let message = format!("the operation `{}` has no way to find out whether a write arrived", ready.delivery.operation.0);
    Settled::Undecidable { code: Code("KITH-D021"), message: message.into() }
}

/// The look-up's answer is of no kind that was declared.
pub(super) fn not_told(reply: &Reply) -> DeliveryError {
    DeliveryError::unavailable("KITH-D018", format!("HTTP {}: the look-up does not tell what became of the write", reply.status))
}
