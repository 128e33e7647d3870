//! How a record is found by our key: before a call that wants to know, after an answer that was lost, and for a preview.

use super::answer::{self, About};
use super::ready::{Ready, Step};
use super::{Inner, Progress, now};
use crate::declare::connector::FieldKind;
use crate::declare::connector::soap::{FieldPlace, Form, LookUp, Settle, Slot};
use crate::deliver::{Answer, DeliveryError, Settled};
use crate::diagnose::Code;
use crate::model::{Delivery, Receipt, Value, WriteEffect, WriteIntent};
use crate::wire::caller::{Answered, fill, find, fits, unescape};
use crate::wire::xml::Element;
use std::borrow::Cow;

/// What a look-up found about a record.
#[derive(Clone, Debug)]
pub(super) enum Looked {
    /// It is there: its id, where the file says where that stands, and all that was shown, in the service's order.
    There(Option<String>, Vec<Element>),
    /// It is not.
    Missing,
}

impl Looked {
    pub(super) const fn is_there(&self) -> bool {
        matches!(self, Self::There(..))
    }

    pub(super) fn id(&self) -> Option<&str> {
        match self {
            Self::There(id, _) => id.as_deref(),
            Self::Missing => None,
        }
    }
}

impl Inner {
    /// Looks for records of one operation: all of them in one call where the look-up asks about many.
    pub(super) async fn look_for(&self, records: &[&Ready<'_>], progress: &mut Progress) -> Result<Vec<Looked>, DeliveryError> {
        let Some(look_up) = records.first().and_then(|first| first.how.look_up.as_ref()) else {
            return Ok(vec![Looked::Missing; records.len()]);
        };
        if look_up.asks_about_many() {
            return self.asked(look_up, records, progress).await;
        }
        let mut looked = Vec::with_capacity(records.len());
        for one in records {
            looked.extend(self.asked(look_up, &[*one], progress).await?);
        }
        Ok(looked)
    }

    /// One look-up call. It changes nothing: what is unclear about it is only not known yet.
    async fn asked(&self, look_up: &LookUp, records: &[&Ready<'_>], progress: &mut Progress) -> Result<Vec<Looked>, DeliveryError> {
        let Some(first) = records.first() else { return Ok(Vec::new()) };
        let keys = records.iter().map(|one| format!("'{}'", one.key)).collect::<Vec<_>>().join(",");
        let values = |slot: &Slot| match slot {
            Slot::Keys => Some(Value::Text(keys.as_str().into())),
            other @ (Slot::Field(_)
            | Slot::Key
            | Slot::IdempotencyKey
            | Slot::Found
            | Slot::New
            | Slot::Session
            | Slot::User
            | Slot::Password
            | Slot::PageSize
            | Slot::Offset
            | Slot::After
            | Slot::PageToken) => first.value(other, None),
        };
        let opened = self.caller.open().await?;
        let envelope = self.caller.envelope(&look_up.call, &opened, &values, &|_| Ok(())).await?;
        let answered = self.sent(&envelope, progress).await.map_err(DeliveryError::of_reading)?;
        let heard = answered.heard();
        if look_up.missing.iter().any(|when| fits(when, heard)) {
            self.told(&opened, Ok(())).await?;
            return Ok(vec![Looked::Missing; records.len()]);
        }
        let expected = self.expected(&look_up.call);
        let about = About::reading(&look_up.call, &expected);
        // A rule that calls a write a success says nothing about a look-up: only what is wrong is taken from the rules.
        let outcome = answer::outcome(self.rules(first, &look_up.call), &answered, &about, now());
        self.told(&opened, outcome).await.map_err(not_told)?;
        Self::found(look_up, records, &answered)
    }

    /// What the answer of a look-up shows of each record.
    fn found(look_up: &LookUp, records: &[&Ready<'_>], answered: &Answered) -> Result<Vec<Looked>, DeliveryError> {
        let Some(body) = answered.heard().body else { return Ok(vec![Looked::Missing; records.len()]) };
        let shown: Vec<&Element> = match &look_up.list {
            None => vec![body],
            Some(list) => find::all(body, list)
                .into_iter()
                .filter_map(|found| match found {
                    find::Found::Element(element) => Some(element),
                    find::Found::Attribute(_) => None,
                })
                .collect(),
        };
        let mut looked = Vec::with_capacity(records.len());
        let by_uuid = look_up.asks_by_uuid();
        for one in records {
            let key = if by_uuid { fill::uuid(&one.key) } else { one.key.clone() };
            let is_its = |element: &&&Element| match &look_up.key {
                // A service may show the hexadecimal digits of a UUID as it likes.
                Some(path) => find::text(element, path)
                    .is_some_and(|text| if by_uuid { text.trim().eq_ignore_ascii_case(&key) } else { text.trim() == key }),
                None => true,
            };
            let own: Vec<Element> = shown.iter().filter(is_its).map(|element| (*element).clone()).collect();
            let id = |element: &Element| {
                let text = look_up.id.as_ref().and_then(|path| find::text(element, path)).map(|text| text.trim().to_owned());
                text.filter(|text| !text.is_empty())
            };
            let first = own.first().and_then(id);
            // An answer about one record that shows no id shows no record.
            let is_there = !own.is_empty() && (look_up.id.is_none() || first.is_some() || look_up.list.is_some());
            if is_there && look_up.id.is_some() && first.is_none() {
                let message = "the look-up found a record and shows no id of it";
                return Err(DeliveryError::unavailable("KITH-D018", message));
            }
            looked.push(if is_there { Looked::There(first, own) } else { Looked::Missing });
        }
        Ok(looked)
    }

    /// What became of a write whose answer was lost.
    pub(super) async fn settle(&self, delivery: &Delivery) -> Result<Settled, DeliveryError> {
        let ready = self.ready(delivery)?;
        if delivery.intent == WriteIntent::Keep {
            return Ok(Settled::NotThere);
        }
        let look_up = match (ready.how.settle, &ready.how.look_up) {
            (Settle::Repeat, _) => return Ok(Settled::Repeatable),
            (Settle::LookUp, Some(look_up)) => look_up,
            (Settle::LookUp | Settle::Person, _) => return Ok(undecidable(&ready)),
        };
        let Some(comparison) = Self::comparison(look_up, &ready) else { return Ok(undecidable(&ready)) };
        let mut progress = Progress::of(1);
        let looked = self.look_for(&[&ready], &mut progress).await.map_err(not_told)?.pop().unwrap_or(Looked::Missing);
        let arrived = match (&looked, delivery.intent) {
            (Looked::Missing, WriteIntent::Remove) => true,
            (Looked::There(..), WriteIntent::Remove) | (Looked::Missing, _) => false,
            (Looked::There(_, shown), _) => shown.iter().any(|element| self.is_it(&comparison, element)),
        };
        let effect = match delivery.intent {
            WriteIntent::Remove => WriteEffect::Removed,
            WriteIntent::Blank => WriteEffect::Blanked,
            WriteIntent::Keep => WriteEffect::Kept,
            WriteIntent::Write if ready.is_insert_only() => WriteEffect::Inserted,
            WriteIntent::Write => WriteEffect::Updated,
        };
        let receipt = Receipt { delivery: delivery.id, effect, changes: Vec::new(), kept: Vec::new() };
        Ok(if arrived { Settled::Delivered(receipt) } else { Settled::NotThere })
    }

    /// What can be compared for this delivery; `None` where reading could not tell whether this very write arrived.
    fn comparison<'l>(look_up: &'l LookUp, ready: &Ready<'_>) -> Option<Vec<(&'l crate::declare::connector::soap::ElementPath, Value)>> {
        let is_key = |name: &str| ready.prepared.operation.record_key.iter().any(|key| **key == *name);
        let mut pairs = Vec::new();
        // Whether a pair differs from one version of the record to the next.
        let mut telling = false;
        for (path, template) in &look_up.compare {
            let versioned = template.slots().any(|slot| match slot {
                Slot::IdempotencyKey => true,
                Slot::Field(name) => !is_key(name),
                Slot::Key
                | Slot::Keys
                | Slot::Found
                | Slot::New
                | Slot::Session
                | Slot::User
                | Slot::Password
                | Slot::PageSize
                | Slot::Offset
                | Slot::After
                | Slot::PageToken => false,
            });
            // A field that is emptied is compared as the empty text.
            let value = fill::value(template, &|slot| ready.value(slot, None)).ok()?;
            let said = value.or_else(|| match template.single() {
                Some((Slot::Field(name), _)) => ready.value(&Slot::Field(name.clone()), None),
                _ => None,
            });
            if let Some(value) = said {
                telling |= versioned;
                pairs.push((path, value));
            }
        }
        let enough = match ready.delivery.intent {
            WriteIntent::Remove | WriteIntent::Keep => true,
            WriteIntent::Write => telling || ready.is_insert_only(),
            WriteIntent::Blank => telling,
        };
        enough.then_some(pairs)
    }

    fn is_it(&self, pairs: &[(&crate::declare::connector::soap::ElementPath, Value)], element: &Element) -> bool {
        pairs.iter().all(|(path, written)| same(find::text(element, path).map(|text| self.read_text(text)).as_deref(), written))
    }

    /// A text as it was meant.
    fn read_text<'t>(&self, text: Cow<'t, str>) -> Cow<'t, str> {
        if self.service.escaped { Cow::Owned(unescape::html(&text).into_owned()) } else { text }
    }

    /// What a write would do, as the look-up shows the record; without one nobody knows what stands there.
    pub(super) async fn preview(&self, delivery: &Delivery) -> Answer {
        let ready = self.ready(delivery)?;
        let receipt = |effect, changes| Ok(Receipt { changes, ..Receipt::bare(delivery.id, effect) });
        if delivery.intent == WriteIntent::Keep {
            return receipt(WriteEffect::Kept, Vec::new());
        }
        let Some(look_up) = &ready.how.look_up else {
            return match delivery.intent {
                WriteIntent::Write => {
                    let planned = ready.prepared.plan(WriteIntent::Write, None);
                    receipt(planned.effect, planned.changes)
                }
                WriteIntent::Remove => receipt(WriteEffect::Removed, Vec::new()),
                WriteIntent::Blank => receipt(WriteEffect::Blanked, Vec::new()),
                WriteIntent::Keep => receipt(WriteEffect::Kept, Vec::new()),
            };
        };
        let mut progress = Progress::of(1);
        let looked = self.look_for(&[&ready], &mut progress).await?.pop().unwrap_or(Looked::Missing);
        let shown = match (&looked, &look_up.shows) {
            (Looked::There(_, shown), Some(record)) => shown.first().and_then(|element| match find::first(element, record) {
                Some(find::Found::Element(record)) => Some(record),
                Some(find::Found::Attribute(_)) | None => None,
            }),
            _ => None,
        };
        if let Some(record) = shown {
            let existing: Vec<Value> =
                ready.fields().zip(&ready.how.places).map(|((field, _), place)| self.shown(record, place, field.kind)).collect();
            let planned = ready.prepared.plan(delivery.intent, Some(&existing));
            return receipt(planned.effect, planned.changes);
        }
        match ready.step(Some(&looked))? {
            Step::Nothing => receipt(WriteEffect::Unchanged, Vec::new()),
            Step::Call(..) if !looked.is_there() => {
                let planned = ready.prepared.plan(delivery.intent, None);
                receipt(planned.effect, planned.changes)
            }
            Step::Call(_, effect) => receipt(effect, Vec::new()),
        }
    }

    /// The value of a field as the service shows it.
    fn shown(&self, record: &Element, place: &FieldPlace, kind: FieldKind) -> Value {
        let Some(text) = find::text(record, &place.path.then(&place.inner)) else { return Value::Missing };
        let text = self.read_text(text);
        let text = text.trim();
        if text.is_empty() {
            return Value::Missing;
        }
        let read = match (kind, &place.form) {
            (FieldKind::Integer, _) => text.parse().ok().map(Value::Integer),
            (FieldKind::Number, _) => text.parse().ok().map(Value::Number),
            (FieldKind::Bool, Some(Form::Words(yes, no))) => {
                (text == &**yes).then_some(true).or((text == &**no).then_some(false)).map(Value::Bool)
            }
            (FieldKind::Bool, _) => {
                matches!(text, "true" | "1").then_some(true).or(matches!(text, "false" | "0").then_some(false)).map(Value::Bool)
            }
            (FieldKind::Time, Some(Form::Time(form))) => jiff::civil::DateTime::strptime(form.as_bytes(), text)
                .ok()
                .and_then(|t| t.to_zoned(jiff::tz::TimeZone::UTC).ok())
                .map(|z| Value::Time(z.timestamp())),
            _ => kind.fitted(&Value::Text(text.into())),
        };
        read.unwrap_or_else(|| Value::Text(text.into()))
    }
}

/// Whether the service shows a value that was written. It may write numbers and times in another form; empty and absent are one.
fn same(shown: Option<&str>, written: &Value) -> bool {
    let text = shown.unwrap_or_default();
    match written {
        Value::Missing => text.trim().is_empty(),
        Value::Time(time) => text.trim().parse::<jiff::Timestamp>().is_ok_and(|shown| shown == *time),
        #[expect(clippy::float_cmp, reason = "the same decimal text gives the same double")]
        Value::Number(number) => text.trim().parse::<f64>().is_ok_and(|shown| shown == *number),
        Value::Bool(truth) => matches!((text.trim(), truth), ("true" | "1", true) | ("false" | "0", false)),
        value @ (Value::Text(_) | Value::Integer(_) | Value::List(_) | Value::Record(_)) => {
            value.scalar_text().is_some_and(|written| written.trim() == text.trim())
        }
    }
}

fn undecidable(ready: &Ready<'_>) -> Settled {
    let message = format!("the operation `{}` has no way to find out whether a write arrived", ready.delivery.operation.0);
    Settled::Undecidable { code: Code("KITH-D021"), message: message.into() }
}

/// The look-up's answer is of no kind that was declared: nobody is to blame, it is asked again.
fn not_told(error: DeliveryError) -> DeliveryError {
    match error {
        DeliveryError::Refused { message, .. }
        | DeliveryError::BatchRefused { message, .. }
        | DeliveryError::OutcomeUnknown { message } => {
            DeliveryError::unavailable("KITH-D018", format!("the look-up does not tell what stands there: {message}"))
        }
        DeliveryError::Failed { code, message, retry_after } => DeliveryError::Unavailable { code, message, retry_after },
        other @ (DeliveryError::Unavailable { .. } | DeliveryError::Throttled { .. } | DeliveryError::LoginExpired { .. }) => other,
    }
}
