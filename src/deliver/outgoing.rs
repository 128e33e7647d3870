//! What targets that call a service share: a delivery that is ready for its call, which of them travel together, and what a receipt can say.
//! Pure, but for [`now`].

use super::record::Prepared;
use crate::declare::connector::{TargetField, WriteMode};
use crate::model::{Delivery, Digest, FieldChange, OperationId, Personal, Receipt, Value, WriteEffect, WriteIntent};
use jiff::Timestamp;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// 1 MiB of content: the usual limit of a server (nginx). A single record may be larger and is sent alone.
const LARGEST_BATCH: usize = 1 << 20;

/// A delivery, checked and ready for its call.
#[derive(Debug)]
pub(super) struct Outgoing<'a, O> {
    pub(super) delivery: &'a Delivery,
    pub(super) prepared: Prepared<'a>,
    /// How the operation calls its service.
    pub(super) how: &'a O,
    /// SHA-256 of the record key, in hex.
    pub(super) key: String,
    /// In hex.
    pub(super) idempotency: String,
}

impl<'a, O> Outgoing<'a, O> {
    pub(super) fn of(delivery: &'a Delivery, prepared: Prepared<'a>, how: &'a O) -> Self {
        let key = Json::Array(prepared.key().into_iter().map(Value::to_json).collect()).to_string();
        let key = Digest(Sha256::digest(key.as_bytes()).into()).to_string();
        Self { delivery, prepared, how, key, idempotency: delivery.idempotency.0.to_string() }
    }

    /// Fields with what the delivery says about them.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&TargetField, Option<&Value>)> {
        self.prepared.operation.fields.iter().zip(self.prepared.values.iter().map(Option::as_ref))
    }

    /// What the delivery says about a field.
    pub(super) fn field(&self, name: &str) -> Option<Value> {
        self.fields().find(|(field, _)| *field.name == *name).and_then(|(_, value)| value.cloned())
    }

    /// Whether a record that is there already stays as it is.
    pub(super) fn is_insert_only(&self) -> bool {
        self.prepared.operation.write == WriteMode::InsertOnly && self.delivery.intent == WriteIntent::Write
    }

    /// What a service that does not tell what stood there before lets a receipt say: only of a new record is it known, nothing.
    pub(super) fn receipt(&self, effect: WriteEffect) -> Receipt {
        let changes = if effect == WriteEffect::Inserted {
            let written = |(field, value): (&TargetField, Option<&Value>)| {
                let value = value.filter(|value| !value.is_missing())?.clone();
                Some(FieldChange { field: field.name.clone(), before: Personal::new(Value::Missing), after: Personal::new(value) })
            };
            self.fields().filter_map(written).collect()
        } else {
            Vec::new()
        };
        Receipt { changes, ..Receipt::bare(self.delivery.id, effect) }
    }
}

/// What a record takes of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// Records that one call takes.
    pub(super) at_most: usize,
    /// Bytes of this record.
    pub(super) bytes: usize,
    /// Those of one intent alone share a call; `None`: of any.
    pub(super) kind: Option<WriteIntent>,
}

/// What travels in one call: records of one operation that takes batches, each record once, below the limits. Groups stand in the order of
/// their first records, and a record that comes twice keeps its order. `share` is `None` where a record travels alone.
pub(super) fn grouped<'a, O>(
    waiting: Vec<(usize, Outgoing<'a, O>)>,
    share: impl Fn(&Outgoing<'a, O>) -> Option<Share>,
) -> Vec<Vec<(usize, Outgoing<'a, O>)>> {
    struct Open {
        at: usize,
        kind: Option<WriteIntent>,
        records: BTreeSet<String>,
        bytes: usize,
    }
    let mut groups: Vec<Vec<(usize, Outgoing<'a, O>)>> = Vec::new();
    // The group of each operation that may still grow.
    let mut open: BTreeMap<OperationId, Open> = BTreeMap::new();
    for (place, one) in waiting {
        let operation = one.delivery.operation.clone();
        let Some(share) = share(&one) else {
            // Whatever comes behind it does not go before it.
            open.remove(&operation);
            groups.push(vec![(place, one)]);
            continue;
        };
        let grown = open.get_mut(&operation).and_then(|open| {
            let group = groups.get_mut(open.at)?;
            let room = group.len() < share.at_most && open.bytes + share.bytes <= LARGEST_BATCH;
            (room && open.kind == share.kind && !open.records.contains(&one.key)).then_some((open, group))
        });
        if let Some((open, group)) = grown {
            open.bytes += share.bytes;
            open.records.insert(one.key.clone());
            group.push((place, one));
        } else {
            let records = BTreeSet::from([one.key.clone()]);
            open.insert(operation, Open { at: groups.len(), kind: share.kind, records, bytes: share.bytes });
            groups.push(vec![(place, one)]);
        }
    }
    groups
}

/// Our own clock, for servers that send no `Date`.
pub(super) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "an absolute time in an answer without `Date` can be read by our own clock alone")]
    let now = Timestamp::now();
    now
}
