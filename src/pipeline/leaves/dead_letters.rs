//! What the log says about dead letters: one entry a letter, what a person typed or changed sealed.

use super::{Leaf, Scribe, WhoAsks, short};
use crate::audit::{Entry, EntryOutcome, Event, Fields, Kind, RetentionClass, SealingKey};
use crate::model::{FieldChange, IdentityId, Personal, Timestamp, Value};
use crate::pipeline::RunError;
use crate::store::ring::Person;
use crate::store::{Letter, LetterContent, LetterPlace};

impl Scribe {
    /// A letter is sent, or taken in, again; `changes` are what a person edited, `identity` whose activity a line is now.
    ///
    /// # Errors
    /// When a person's key can't be had or the entry can't be written.
    pub fn letter_replayed(
        &self,
        letter: &Letter,
        changes: &[FieldChange],
        identity: Option<&IdentityId>,
        asker: Option<&WhoAsks>,
        now: Timestamp,
    ) -> Leaf {
        let mut entry = self.letter(letter, |count, target| Event::DeadLetterReplayed { count, target }, asker, now);
        if let Some(identity) = identity {
            entry.network = Some(identity.network);
            entry.subject = self.identity(identity);
        }
        if !changes.is_empty() {
            let key = self.letter_key(letter, identity)?;
            entry.fields = Some(Fields::of_changes(Kind::DeadLetterReplayed, changes, &key, &mut self.random())?);
        }
        self.encode(&entry)
    }

    /// A letter is given up.
    ///
    /// # Errors
    /// As [`Scribe::letter_replayed`].
    pub fn letter_dropped(&self, letter: &Letter, reason: &str, asker: Option<&WhoAsks>, now: Timestamp) -> Leaf {
        let mut entry = self.letter(letter, |count, target| Event::DeadLetterDropped { count, target }, asker, now);
        entry.outcome = Some(EntryOutcome::Dropped);
        entry.why.rule = Some(crate::model::DropRule::DroppedByPerson.name().into());
        // A reason may name the person: it is sealed as what the letter says is.
        let reason = FieldChange { field: "reason".into(), before: Personal::default(), after: Personal::new(Value::text(reason)) };
        let key = self.letter_key(letter, None)?;
        entry.fields = Some(Fields::of_changes(Kind::DeadLetterDropped, &[reason], &key, &mut self.random())?);
        self.encode(&entry)
    }

    fn letter(
        &self,
        letter: &Letter,
        event: impl FnOnce(u64, Option<crate::audit::Text>) -> Event,
        asker: Option<&WhoAsks>,
        now: Timestamp,
    ) -> Entry {
        let target = match &letter.row.place {
            LetterPlace::Delivery { target, .. } => Some(target.0.clone()),
            LetterPlace::Line { .. } => None,
        };
        let event = event(1, target);
        let mut entry = match &letter.content {
            LetterContent::Delivery(row) => self.write_entry(row, event, now),
            LetterContent::Line(_) | LetterContent::Activity(_) | LetterContent::Gone => Entry::new(now, event),
        };
        match &letter.row.place {
            LetterPlace::Delivery { .. } => entry.correlation.delivery = Some(short(letter.idempotency)),
            LetterPlace::Line { line, .. } => {
                entry.correlation.activity = Some(self.ring.hashes().input_line(&letter.file_digest, *line));
            }
        }
        entry.actor = self.asker(asker);
        entry
    }

    /// What is about a delivery is sealed as its writes are; what is about a line under its file's key, and its author's where known.
    fn letter_key(&self, letter: &Letter, identity: Option<&IdentityId>) -> Result<SealingKey, RunError> {
        let class = RetentionClass::Audit;
        let author = match &letter.content {
            LetterContent::Delivery(row) => return self.write_key(row),
            LetterContent::Activity(activity) => Some(&activity.actor.id),
            LetterContent::Line(_) | LetterContent::Gone => None,
        };
        let file = self.ring.key(Person::File(&letter.file_digest), class)?;
        Ok(match identity.or(author) {
            None => SealingKey::from(&*file),
            Some(author) => SealingKey::of_both(&*self.ring.key(Person::Identity(author), class)?, &file),
        })
    }
}
