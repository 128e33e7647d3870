//! What the log says about backups, restores, keys that are kept elsewhere, and alarms.

use super::{Leaf, Scribe, WhoAsks};
use crate::audit::{Entry, Event, Subject};
use crate::model::{Digest, Timestamp};
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

    /// People were told that an alarm began or ended.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn alarm_told(&self, alarm: &str, ended: bool, target: &str, how: &str, now: Timestamp) -> Leaf {
        let state = if ended { "ended" } else { "began" };
        let event = Event::AlarmTold { alarm: alarm.into(), how: how.into(), state: state.into(), target: target.into() };
        self.by(event, None, now)
    }

    fn by(&self, event: Event, asker: Option<&WhoAsks>, now: Timestamp) -> Leaf {
        let mut entry = Entry::new(now, event);
        entry.actor = self.asker(asker);
        self.encode(&entry)
    }
}
