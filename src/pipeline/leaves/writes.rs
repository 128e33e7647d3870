//! What the log says about a write: its intent, what came of it, and what became of one without an answer.

use super::{Leaf, Scribe, short};
use crate::audit::{Entry, EntryOutcome, Event, Fields, Kind, RetentionClass, SealingKey, Subject, SubjectHash};
use crate::model::{Receipt, Timestamp};
use crate::pipeline::{RunError, flow};
use crate::store::ring::Person;
use crate::store::{OutboxRow, SendOutcome};

impl Scribe {
    fn tell_sent(&self, row: &OutboxRow, step: &'static str, why: &str) {
        if flow::heard() {
            let hashes = self.ring.hashes();
            let activity = row.version.as_ref().map(|(object, version)| hashes.activity(row.identity.network, object, version));
            let ids = flow::Ids { activity, decision: short(row.decision), delivery: short(row.delivery.idempotency.0) };
            flow::sent(&ids, row, step, why);
        }
    }

    pub(super) fn write_entry(&self, row: &OutboxRow, event: Event, now: Timestamp) -> Entry {
        let mut entry = Entry::new(now, event);
        let hashes = self.ring.hashes();
        entry.network = Some(row.identity.network);
        entry.subject = Subject { customer: row.customer.as_ref().map(|c| hashes.customer(c)), ..self.identity(&row.identity) };
        entry.why.mapping = Some(self.rulebook.digest);
        entry.correlation.activity = row.version.as_ref().map(|(object, version)| hashes.activity(row.identity.network, object, version));
        entry.correlation.decision = Some(short(row.decision));
        entry.correlation.delivery = Some(short(row.delivery.idempotency.0));
        entry
    }

    fn record(&self, row: &OutboxRow) -> SubjectHash {
        self.ring.hashes().record(&row.delivery.target, &row.delivery.record)
    }

    /// What is written to a customer's record about what an identity said is about both: the end of either person's key ends it.
    pub(super) fn write_key(&self, row: &OutboxRow) -> Result<SealingKey, RunError> {
        let identity = self.ring.key(Person::Identity(&row.identity), RetentionClass::Audit)?;
        Ok(match &row.customer {
            None => SealingKey::from(&*identity),
            Some(customer) => SealingKey::of_both(&identity, &*self.ring.key(Person::Customer(customer), RetentionClass::Audit)?),
        })
    }

    /// A write is about to leave. The first attempt says what it holds.
    ///
    /// # Errors
    /// When a person's key can't be had or an entry can't be written.
    pub fn intended(&self, row: &OutboxRow, now: Timestamp) -> Leaf {
        self.tell_sent(row, "intended", row.delivery.intent.name());
        let attempt = row.delivery.attempt;
        let event = Event::WriteIntended {
            attempt: u64::from(attempt),
            entry: row.delivery.entry.clone(),
            intent: row.delivery.intent.name().into(),
            operation: row.delivery.operation.0.clone(),
            record: self.record(row),
            target: row.delivery.target.0.clone(),
        };
        let mut entry = self.write_entry(row, event, now);
        if attempt == 1 {
            let key = self.write_key(row)?;
            entry.fields = Some(Fields::of_payload(Kind::WriteIntended, row.delivery.payload.reveal(), &key, &mut self.random())?);
        }
        self.encode(&entry)
    }

    /// What came of a write.
    ///
    /// # Errors
    /// When a person's key can't be had or an entry can't be written.
    pub fn outcome(&self, row: &OutboxRow, outcome: &SendOutcome, now: Timestamp) -> Leaf {
        let (step, why) = flow::word(outcome);
        self.tell_sent(row, step, why);
        if let SendOutcome::Parked(reason) = outcome {
            let event = Event::WriteParked {
                attempts: u64::from(row.delivery.attempt),
                code: reason.code.into(),
                entry: row.delivery.entry.clone(),
                message: reason.message.clone(),
                record: self.record(row),
                target: row.delivery.target.0.clone(),
            };
            let mut entry = self.write_entry(row, event, now);
            entry.outcome = Some(EntryOutcome::Parked);
            return self.encode(&entry);
        }
        let event = Event::WriteReceipt {
            attempt: u64::from(row.delivery.attempt),
            entry: row.delivery.entry.clone(),
            operation: row.delivery.operation.0.clone(),
            record: self.record(row),
            target: row.delivery.target.0.clone(),
        };
        let mut entry = self.write_entry(row, event, now);
        match outcome {
            SendOutcome::Delivered(receipt) => {
                entry.outcome = Some(receipt.effect.into());
                if !receipt.kept.is_empty() {
                    // Names of fields; the values that stay are the CRM's own.
                    entry.why.rule = Some(format!("conflict: the CRM's {} kept", receipt.kept.join(", ")).into());
                }
                entry.fields = self.changes(row, receipt, Kind::WriteReceipt)?;
            }
            SendOutcome::Retry { .. } | SendOutcome::Split { .. } | SendOutcome::Unknown { .. } => {
                entry.outcome = Some(EntryOutcome::Failed);
            }
            SendOutcome::NotThere => entry.outcome = Some(EntryOutcome::Absent),
            SendOutcome::Dropped(rule, _) => {
                entry.outcome = Some(EntryOutcome::Dropped);
                entry.why.rule = Some(rule.name().into());
            }
            SendOutcome::Parked(_) => entry.outcome = Some(EntryOutcome::Parked),
        }
        self.encode(&entry)
    }

    fn changes(&self, row: &OutboxRow, receipt: &Receipt, kind: Kind) -> Result<Option<Fields>, RunError> {
        if receipt.changes.is_empty() {
            return Ok(None);
        }
        Ok(Some(Fields::of_changes(kind, &receipt.changes, &self.write_key(row)?, &mut self.random())?))
    }

    /// What became of a write without an answer.
    ///
    /// # Errors
    /// When a person's key can't be had or an entry can't be written.
    pub fn recovered(&self, row: &OutboxRow, outcome: &SendOutcome, how: &str, now: Timestamp) -> Leaf {
        self.tell_sent(row, flow::word(outcome).0, how);
        let event = Event::WriteRecovered {
            // The row is ready for its next attempt; this is about the last.
            attempt: u64::from(row.delivery.attempt.saturating_sub(1)),
            entry: row.delivery.entry.clone(),
            how: how.into(),
            record: self.record(row),
            target: row.delivery.target.0.clone(),
        };
        let mut entry = self.write_entry(row, event, now);
        entry.outcome = Some(match outcome {
            SendOutcome::Delivered(_) => EntryOutcome::Delivered,
            SendOutcome::NotThere => EntryOutcome::Absent,
            SendOutcome::Parked(_) => EntryOutcome::Parked,
            SendOutcome::Dropped(..) => EntryOutcome::Dropped,
            SendOutcome::Retry { .. } | SendOutcome::Split { .. } | SendOutcome::Unknown { .. } => EntryOutcome::Failed,
        });
        if let SendOutcome::Delivered(receipt) = outcome {
            entry.fields = self.changes(row, receipt, Kind::WriteRecovered)?;
        }
        self.encode(&entry)
    }
}
