//! From what should stand to what must be written: edits follow, deletes do what `on_delete` says, a changed decision reaches what was
//! said before (design §1).

use super::records::{Record, key_payload};
use super::{DeliverEntry, Enrichment, OnDelete};
use crate::model::{DropRule, OperationId, Payload, Personal, RecordKey, TargetId, Timestamp, Value, Verb, WriteIntent};
use jiff::SignedDuration;
use std::sync::Arc;

/// A record that stands written, or whose write is planned.
#[derive(Clone, PartialEq, Debug)]
pub struct Standing {
    /// The deliver entry that wrote it.
    pub entry: Arc<str>,
    /// Where.
    pub target: TargetId,
    /// By which operation.
    pub operation: OperationId,
    /// Its key.
    pub key: RecordKey,
}

/// One write to be planned.
#[derive(Clone, PartialEq, Debug)]
pub struct Write {
    /// The deliver entry.
    pub entry: Arc<str>,
    /// Where.
    pub target: TargetId,
    /// By which operation.
    pub operation: OperationId,
    /// What should become of the record.
    pub intent: WriteIntent,
    /// Its key.
    pub key: RecordKey,
    /// Its fields.
    pub payload: Payload,
}

/// Why an object is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// This version waits to be planned.
    Waiting,
    /// The decision about its author changed; it was planned or dropped under the earlier one, at this time said `published`.
    DecisionChanged {
        /// When it was said.
        published: Timestamp,
        /// Now, against which `backfill` counts.
        now: Timestamp,
    },
}

/// What is planned for an object.
#[derive(Clone, PartialEq, Debug)]
pub enum Planned {
    /// These writes, not empty.
    Writes(Vec<Write>),
    /// Nothing: by this rule.
    Drop(DropRule),
}

impl Enrichment {
    fn entry(&self, id: &str) -> Option<&DeliverEntry> {
        self.deliver.iter().find(|e| &*e.id == id)
    }

    /// Takes a standing record back. Where the mapping no longer has the entry, nobody knows what it meant: the record stays and is told so.
    pub fn withdraw(&self, standing: &Standing) -> Write {
        let entry = self.entry(&standing.entry);
        let (intent, payload) = match entry {
            Some(entry) => {
                let key = key_payload(entry, &standing.key);
                match &entry.on_delete {
                    OnDelete::Remove => (WriteIntent::Remove, key),
                    OnDelete::Keep => (WriteIntent::Keep, key),
                    OnDelete::Blank(fields) => {
                        let mut members = key.into_revealed();
                        members.extend(fields.iter().map(|f| (f.clone(), Value::Missing)));
                        (WriteIntent::Blank, Personal::new(members))
                    }
                }
            }
            None => (WriteIntent::Keep, Personal::new(Vec::new())),
        };
        Write {
            entry: standing.entry.clone(),
            target: standing.target.clone(),
            operation: standing.operation.clone(),
            intent,
            key: standing.key.clone(),
            payload,
        }
    }
}

fn write(record: Record<'_>) -> Write {
    Write {
        entry: record.entry.id.clone(),
        target: record.entry.target.clone(),
        operation: record.entry.operation.clone(),
        intent: WriteIntent::Write,
        key: record.key,
        payload: record.payload,
    }
}

fn same_record(standing: &Standing, write: &Write) -> bool {
    standing.entry == write.entry && standing.target == write.target && standing.operation == write.operation && standing.key == write.key
}

/// What must be written about one object of a linked or unlinked author.
///
/// `records` are the records that the mapping describes for this version (`Enrichment::records`), `standing` what stands written about the
/// object, `none` the rule that is named where nothing is wanted. A version that waits writes what is wanted, and what stands follows the edit
/// even where `when` no longer holds; after a changed decision what is no longer wanted is withdrawn and what was not said before is written
/// only within `backfill`.
pub fn reconcile_object(
    enrichment: &Enrichment,
    verb: Verb,
    records: Vec<Record<'_>>,
    standing: &[Standing],
    due: Due,
    none: DropRule,
) -> Planned {
    if verb == Verb::Delete {
        let writes: Vec<Write> = standing.iter().map(|s| enrichment.withdraw(s)).collect();
        return if writes.is_empty() { Planned::Drop(DropRule::NothingToWithdraw) } else { Planned::Writes(writes) };
    }
    let stands = |record: &Record<'_>| standing.iter().any(|s| s.entry == record.entry.id);
    let writes: Vec<Write> = records
        .into_iter()
        .filter(|record| match due {
            Due::Waiting => record.wanted || stands(record),
            Due::DecisionChanged { published, now } => record.wanted && (stands(record) || within_backfill(record.entry, published, now)),
        })
        .map(write)
        .collect();
    let mut planned: Vec<Write> =
        standing.iter().filter(|s| !writes.iter().any(|w| same_record(s, w))).map(|s| enrichment.withdraw(s)).collect();
    planned.extend(writes);
    if planned.is_empty() { Planned::Drop(none) } else { Planned::Writes(planned) }
}

fn within_backfill(entry: &DeliverEntry, published: Timestamp, now: Timestamp) -> bool {
    entry.backfill_days.is_some_and(|days| now.duration_since(published) <= SignedDuration::from_hours(24 * i64::from(days)))
}

/// What must be written about a link: `records` as the mapping describes them (none where there is no link), `standing` what stands.
pub fn reconcile_link(enrichment: &Enrichment, records: Vec<Record<'_>>, standing: &[Standing]) -> Vec<Write> {
    let writes: Vec<Write> = records.into_iter().filter(|r| r.wanted).map(write).collect();
    let mut planned: Vec<Write> =
        standing.iter().filter(|s| !writes.iter().any(|w| same_record(s, w))).map(|s| enrichment.withdraw(s)).collect();
    planned.extend(writes);
    planned
}
