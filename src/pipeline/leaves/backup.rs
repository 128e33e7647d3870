//! What the log says about backups, restores, keys that are kept elsewhere, and alarms.

use super::{Leaf, Scribe, WhoAsks};
use crate::audit::{Entry, EntryOutcome, Event, Subject};
use crate::model::{Digest, RecordKey, TargetId, Timestamp};
use crate::store::sqlite::Forgotten;

impl Scribe {
    /// A backup was made.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn backed_up(&self, file: Digest, size: u64, asker: Option<&WhoAsks>, now: Timestamp) -> Leaf {
        self.by(Event::BackupMade { file: Some(file), size }, asker, now)
    }

    /// A backup was put back: this is the first entry that it did not have.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn restored(&self, file: Digest, size: u64, now: Timestamp) -> Leaf {
        self.by(Event::BackupRestored { file: Some(file), size }, None, now)
    }

    /// Somebody whom the history that was lost erased, or whose objection it heard, is not matched again.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn forgotten_again(&self, gone: &Forgotten, now: Timestamp) -> Leaf {
        let mut entry = Entry::new(now, Event::SubjectSuppressed { reason: gone.reason.name().into() });
        entry.actor = self.person();
        entry.subject = if gone.is_customer {
            Subject { identity: None, customer: Some(gone.person) }
        } else {
            Subject { identity: Some(gone.person), customer: None }
        };
        self.encode(&entry)
    }

    /// The installation's keys are kept elsewhere, sealed; `file` is what was made, or looked into.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn keys_escrowed(&self, file: Digest, asker: Option<&WhoAsks>, now: Timestamp) -> Leaf {
        let event = Event::ExportMade { count: 3, file: Some(file), format: "age".into(), what: "keys".into() };
        self.by(event, asker, now)
    }

    /// People were told that an alarm of the service began or ended, or nobody knows whether they were: a write like others, by the alarm's name.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn alarm_told(&self, alarm: &str, ended: bool, target: &TargetId, attempt: u32, outcome: EntryOutcome, now: Timestamp) -> Leaf {
        let event = Event::WriteReceipt {
            attempt: attempt.into(),
            entry: "alarm".into(),
            operation: if ended { "ended" } else { "began" }.into(),
            record: self.ring.hashes().record(target, &RecordKey(alarm.into())),
            target: target.0.clone(),
        };
        let mut entry = Entry::new(now, event);
        entry.why.rule = Some(alarm.into());
        entry.outcome = Some(outcome);
        self.encode(&entry)
    }

    fn by(&self, event: Event, asker: Option<&WhoAsks>, now: Timestamp) -> Leaf {
        let mut entry = Entry::new(now, event);
        entry.actor = self.asker(asker);
        self.encode(&entry)
    }
}
