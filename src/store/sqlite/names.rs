//! Numbers that stand for words in the database. They are part of the schema: a number never changes its meaning.

use crate::audit::RetentionClass;
use crate::model::{
    ActivityState, Audience, DeliveryState, DropRule, LinkedBy, Outcome, Priority, Timestamp, Verb, WriteEffect, WriteIntent,
};
use crate::store::StoreError;
use std::sync::Arc;

/// A count or number of an entry; never negative.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Waits for a decision.
pub(super) const WAITING_DECISION: i64 = 0;
/// Waits for a person.
pub(super) const WAITING_REVIEW: i64 = 1;
/// A delivery is open.
pub(super) const DELIVERING: i64 = 2;
/// Delivered.
pub(super) const DELIVERED: i64 = 3;
/// Parked.
pub(super) const PARKED: i64 = 4;
/// Erased.
pub(super) const ERASED: i64 = 5;

/// A parked line that waits for a person.
pub(super) const LINE_PARKED: i64 = 0;
/// One that was mended and came in again.
pub(super) const LINE_REPLAYED: i64 = 1;
/// One that a person dropped.
pub(super) const LINE_DROPPED: i64 = 2;
/// One that named a person who was erased.
pub(super) const LINE_ERASED: i64 = 3;

/// A closed list of words and the numbers that stand for them.
pub(super) trait Numbered: Copy + PartialEq + 'static {
    /// Word and number, each once.
    const NUMBERS: &'static [(Self, i64)];

    /// The number of a word.
    fn number(self) -> i64 {
        // Every word is in the list (a test says so); −1 would be refused when read.
        Self::NUMBERS.iter().find(|(word, _)| *word == self).map_or(-1, |(_, number)| *number)
    }

    /// The word of a number.
    fn from_number(number: i64) -> Result<Self, StoreError> {
        Self::NUMBERS.iter().find(|(_, n)| *n == number).map(|(word, _)| *word).ok_or_else(|| {
            StoreError::Damaged(format!("{number} is no {}", std::any::type_name::<Self>().rsplit(':').next().unwrap_or("word")))
        })
    }
}

impl Numbered for ActivityState {
    const NUMBERS: &'static [(Self, i64)] = &[
        (Self::WaitingDecision, WAITING_DECISION),
        (Self::WaitingReview, WAITING_REVIEW),
        (Self::Delivering, DELIVERING),
        (Self::Delivered, DELIVERED),
        (Self::Parked, PARKED),
        (Self::Erased, ERASED),
        (Self::Dropped(DropRule::NotLinked), 16),
        (Self::Dropped(DropRule::NotPermitted), 17),
        (Self::Dropped(DropRule::PrivateMessage), 18),
        (Self::Dropped(DropRule::AudienceNotListed), 19),
        (Self::Dropped(DropRule::WhenFalse), 20),
        (Self::Dropped(DropRule::Superseded), 21),
        (Self::Dropped(DropRule::NothingToWithdraw), 22),
        (Self::Dropped(DropRule::FaultRule), 23),
        (Self::Dropped(DropRule::DroppedByPerson), 24),
        (Self::Dropped(DropRule::Replayed), 25),
    ];
}

impl Numbered for DeliveryState {
    const NUMBERS: &'static [(Self, i64)] =
        &[(Self::Planned, 0), (Self::Sending, 1), (Self::Delivered, 2), (Self::Parked, 3), (Self::Unknown, 4), (Self::Dropped, 5)];
}

impl Numbered for Outcome {
    const NUMBERS: &'static [(Self, i64)] =
        &[(Self::Linked, 0), (Self::NotLinked, 1), (Self::Review, 2), (Self::NotPermitted, 3), (Self::Undetermined, 4)];
}

impl Numbered for RetentionClass {
    const NUMBERS: &'static [(Self, i64)] = &[(Self::Unlinked, 0), (Self::Profile, 1), (Self::Activity, 2), (Self::Audit, 3)];
}

impl Numbered for Verb {
    const NUMBERS: &'static [(Self, i64)] = &[(Self::Create, 0), (Self::Update, 1), (Self::Delete, 2)];
}

impl Numbered for Audience {
    const NUMBERS: &'static [(Self, i64)] = &[(Self::Public, 0), (Self::Limited, 1), (Self::Direct, 2)];
}

impl Numbered for WriteIntent {
    const NUMBERS: &'static [(Self, i64)] = &[(Self::Write, 0), (Self::Remove, 1), (Self::Blank, 2), (Self::Keep, 3)];
}

impl Numbered for Priority {
    const NUMBERS: &'static [(Self, i64)] = &[(Self::Urgent, 0), (Self::Normal, 1), (Self::Low, 2)];
}

impl Numbered for WriteEffect {
    const NUMBERS: &'static [(Self, i64)] =
        &[(Self::Inserted, 0), (Self::Updated, 1), (Self::Unchanged, 2), (Self::Removed, 3), (Self::Blanked, 4), (Self::Kept, 5)];
}

/// The name of a state in counts: `in_flight: waiting_review`, `dropped: not-linked`, `delivered`.
pub(super) fn state_name(state: ActivityState) -> String {
    match state {
        ActivityState::WaitingDecision => "in_flight: waiting_decision".to_owned(),
        ActivityState::WaitingReview => "in_flight: waiting_review".to_owned(),
        ActivityState::Delivering => "in_flight: delivering".to_owned(),
        ActivityState::Dropped(rule) => format!("dropped: {}", rule.name()),
        ActivityState::Delivered | ActivityState::Parked | ActivityState::Erased => state.term().to_owned(),
    }
}

/// What links, as two columns.
pub(super) fn by_columns(by: Option<&LinkedBy>) -> (Option<i64>, Option<&str>) {
    match by {
        None => (None, None),
        Some(LinkedBy::Rule(rule)) => (Some(0), Some(rule)),
        Some(LinkedBy::Model) => (Some(1), None),
        Some(LinkedBy::Person) => (Some(2), None),
    }
}

/// The reverse of [`by_columns`].
pub(super) fn by_from(kind: Option<i64>, rule: Option<Arc<str>>) -> Result<Option<LinkedBy>, StoreError> {
    Ok(match (kind, rule) {
        (None, _) => None,
        (Some(0), Some(rule)) => Some(LinkedBy::Rule(rule)),
        (Some(1), None) => Some(LinkedBy::Model),
        (Some(2), None) => Some(LinkedBy::Person),
        (Some(_), _) => return Err(StoreError::Damaged("a decision names no rule, model or person".to_owned())),
    })
}

/// Nanoseconds since 1970. Times before 1677 and after 2262 are held at the ends: they order and compare as the end does.
pub(super) fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(if time < Timestamp::UNIX_EPOCH { i64::MIN } else { i64::MAX })
}

/// The reverse of [`nanoseconds`].
pub(super) fn timestamp(nanoseconds: i64) -> Timestamp {
    // Every i64 of nanoseconds lies between 1677 and 2262, well inside what a timestamp holds.
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every<T: Numbered + std::fmt::Debug>(words: impl IntoIterator<Item = T>) {
        let mut count = 0;
        for word in words {
            assert_eq!(T::from_number(word.number()).unwrap(), word);
            count += 1;
        }
        assert_eq!(count, T::NUMBERS.len(), "a word twice or one too many");
        assert!(matches!(T::from_number(-1), Err(StoreError::Damaged(_))));
    }

    #[test]
    fn every_word_has_a_number_of_its_own() {
        let waiting = [ActivityState::WaitingDecision, ActivityState::WaitingReview, ActivityState::Delivering];
        let settled = [ActivityState::Delivered, ActivityState::Parked, ActivityState::Erased];
        every(waiting.into_iter().chain(settled).chain(DropRule::ALL.map(ActivityState::Dropped)));
        every(DeliveryState::ALL);
        every(Outcome::ALL);
        every(RetentionClass::ALL);
        every([Verb::Create, Verb::Update, Verb::Delete]);
        every(Audience::ALL);
        every(WriteIntent::ALL);
        every(WriteEffect::ALL);
    }

    #[test]
    fn times_outside_the_column_are_held_at_its_ends() {
        assert_eq!(nanoseconds(Timestamp::MIN), i64::MIN);
        assert_eq!(nanoseconds(Timestamp::MAX), i64::MAX);
        let time: Timestamp = "2026-11-21T07:08:09.123456789Z".parse().unwrap();
        assert_eq!(timestamp(nanoseconds(time)), time);
    }
}
