//! What the log says about deletions and edits on networks that want them to arrive within a time, and about what networks do not let be shown.

use super::{ActivityTold, BatchTold, Leaf, Scribe, short};
use crate::audit::{ChangeKind, Entry, EntryOutcome, Event, due_text};
use crate::model::{Activity, Timestamp, Verb};
use crate::pipeline::RunError;
use crate::store::{ActivityRow, IdentityWork, PlannedDelivery};

/// What an activity does to an object that was there.
pub(super) const fn change_of(activity: &Activity) -> Option<ChangeKind> {
    match activity.verb {
        Verb::Create => None,
        Verb::Update => Some(ChangeKind::Edit),
        Verb::Delete => Some(ChangeKind::Deletion),
    }
}

impl Scribe {
    /// A deletion or an edit came from a network that wants them to arrive within a time: a read of its own, by the rule that says so.
    pub(super) fn change_received(&self, told: &ActivityTold, batch: &BatchTold) -> Result<Option<Vec<u8>>, RunError> {
        let due = self.rulebook.policy.deletions_within(told.network).and_then(|within| batch.at.checked_add(within).ok());
        let (Some((kind, happened)), Some(due)) = (told.change, due) else { return Ok(None) };
        let (file, name, source) = (Some(batch.digest), Some(batch.file.clone()), batch.source.clone());
        let mut entry = Entry::new(batch.at, Event::SourceRead { duplicates: 0, file, name, parked: 0, received: 0, source });
        entry.network = Some(told.network);
        entry.subject.identity = Some(told.identity);
        entry.why.rule = Some(kind.rule().into());
        entry.why.since = Some(happened.min(batch.at).to_string().into());
        entry.why.record = Some(due_text(due));
        entry.why.mapping = Some(self.rulebook.digest);
        entry.correlation.activity = Some(told.activity);
        self.encode(&entry).map(Some)
    }

    /// What is planned of a deletion or an edit that a network wants to arrive within a time.
    pub(super) fn change_planned(&self, work: &IdentityWork, activity: &Activity, planned: &PlannedDelivery, now: Timestamp) -> Leaf {
        let event = Event::WritePlanned {
            entry: planned.entry.clone(),
            intent: planned.intent.name().into(),
            operation: planned.operation.0.clone(),
            record: self.ring.hashes().record(&planned.target, &planned.record),
            target: planned.target.0.clone(),
        };
        let mut entry = Entry::new(now, event);
        entry.network = Some(work.id.network);
        entry.subject = self.identity(&work.id);
        entry.why.mapping = Some(self.rulebook.digest);
        entry.correlation.activity = Some(self.activity(0, activity).activity);
        entry.correlation.delivery = Some(short(planned.idempotency.0));
        self.encode(&entry)
    }

    /// Policy did not let something be written: what the network does not let be shown of it.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn not_shown(&self, work: &IdentityWork, row: Option<ActivityRow>, words: &str, now: Timestamp) -> Leaf {
        let mut entry = Entry::new(now, Event::PolicyRefused { action: "write".into(), reason: Some(words.into()) });
        entry.network = Some(work.id.network);
        entry.subject = self.identity(&work.id);
        entry.outcome = Some(EntryOutcome::Refused);
        entry.why.rule = Some("display".into());
        entry.why.mapping = Some(self.rulebook.digest);
        let stored = row.and_then(|row| work.activities.iter().find(|stored| stored.row == row));
        entry.correlation.activity = stored.map(|stored| self.activity(0, &stored.activity).activity);
        self.encode(&entry)
    }
}
