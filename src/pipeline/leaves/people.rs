//! What the log says about people's decisions.

use super::{Leaf, Scribe, WhoAsks};
use crate::audit::{Entry, EntryOutcome, Event, Fields, Kind, RetentionClass};
use crate::model::{FieldChange, Personal, Said, Timestamp, Value};
use crate::store::ring::Person;
use crate::store::{Arrived, CaseRow, GuardedPass, PausedPart};
use std::sync::Arc;

impl Scribe {
    /// A person said whose an account is; why stands sealed under the account's own key.
    ///
    /// # Errors
    /// When the account's key can't be had or the entry can't be written.
    pub fn judged(&self, case: &CaseRow, said: &Said, reason: &str, asker: Option<&WhoAsks>, now: Timestamp) -> Leaf {
        let key = self.key(Person::Identity(&case.id), RetentionClass::Audit)?;
        let mut entry = Entry::new(now, Event::ReviewDecided { verdict: said.name().into() });
        entry.actor = self.asker(asker);
        entry.network = Some(case.id.network);
        entry.subject = self.identity(&case.id);
        entry.outcome = Some(match said {
            Said::Customer(customer) => {
                entry.subject.customer = Some(self.ring.hashes().customer(customer));
                EntryOutcome::Linked
            }
            Said::Nobody => EntryOutcome::NotLinked,
            Said::Unsure => EntryOutcome::Review,
        });
        let reason = FieldChange { field: "reason".into(), before: Personal::default(), after: Personal::new(Value::text(reason)) };
        entry.fields = Some(Fields::of_changes(Kind::ReviewDecided, &[reason], &key, &mut self.random())?);
        self.encode(&entry)
    }
}

impl Scribe {
    /// A person stops a source or target, or lets it go on.
    ///
    /// # Errors
    /// When the entry can't be written.
    pub fn paused(&self, part: PausedPart, name: &Arc<str>, stops: bool, asker: Option<&WhoAsks>, now: Timestamp) -> Leaf {
        let (name, part) = (name.clone(), part.name().into());
        let event = if stops { Event::Paused { name, part } } else { Event::Resumed { name, part } };
        let mut entry = Entry::new(now, event);
        entry.actor = self.asker(asker);
        self.encode(&entry)
    }

    /// A person lets a guarded pass on, or refuses it: what about, and the numbers that they saw.
    ///
    /// # Errors
    /// When the entry can't be written.
    pub fn settled(&self, pass: &GuardedPass, approve: bool, asker: Option<&WhoAsks>, now: Timestamp) -> Leaf {
        let GuardedPass { matter, place, found, whole, .. } = pass;
        let matter = format!("{}: {found} of {whole} ({place})", matter.name());
        let mut entry = Entry::new(now, Event::ApprovalGiven { matter: matter.into() });
        entry.outcome = Some(if approve { EntryOutcome::Done } else { EntryOutcome::Refused });
        entry.actor = self.asker(asker);
        self.encode(&entry)
    }
}

impl Scribe {
    /// A person puts a record back; the write itself is told by its own intent and receipt.
    ///
    /// # Errors
    /// When the entry can't be written.
    pub fn undone(&self, last: &Arrived, asker: Option<&WhoAsks>, now: Timestamp) -> Leaf {
        let record = self.ring.hashes().record(&last.target, &last.record);
        let mut entry = Entry::new(now, Event::WriteUndone { record, target: last.target.0.clone() });
        entry.actor = self.asker(asker);
        entry.network = Some(last.identity.network);
        entry.subject = self.identity(&last.identity);
        entry.correlation.delivery = Some(super::short(last.idempotency.0));
        self.encode(&entry)
    }
}
