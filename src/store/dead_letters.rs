//! What stands aside until a person looks at it: parked deliveries and parked input lines, and what a person may do with them.

use super::{IntakeBatch, IntakeOutcome, OutboxRow};
use crate::model::{
    Activity, DeliveryId, DeliveryState, Digest, IdempotencyKey, OperationId, Payload, Personal, TargetId, Timestamp, WriteIntent,
};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Which dead letter, as people write it: `d17` is a delivery, `l4` a line. Deliveries stand before lines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum LetterId {
    /// A delivery.
    Delivery(DeliveryId),
    /// A line of a source, by its number in the store.
    Line(i64),
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivery(id) => write!(f, "d{}", id.0),
            Self::Line(id) => write!(f, "l{id}"),
        }
    }
}

/// A text that names no dead letter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` names no dead letter")]
pub struct NoLetterId(String);

impl FromStr for LetterId {
    type Err = NoLetterId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NoLetterId(text.chars().take(40).collect());
        let number = |digits: &str| -> Option<i64> {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten().filter(|n| *n > 0)
        };
        match (text.strip_prefix('d').and_then(number), text.strip_prefix('l').and_then(number)) {
            (Some(id), _) => Ok(Self::Delivery(DeliveryId(id))),
            (_, Some(id)) => Ok(Self::Line(id)),
            (None, None) => Err(wrong()),
        }
    }
}

/// The two kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LetterKind {
    /// A delivery that its target did not take.
    Delivery,
    /// A line that is no activity, or that contradicts one.
    Line,
}

/// Which letters; every given member must fit. Target, operation and entry are of deliveries only.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LetterFilter {
    /// Only this kind.
    pub kind: Option<LetterKind>,
    /// Only for this target.
    pub target: Option<String>,
    /// Only by this operation.
    pub operation: Option<String>,
    /// Only by this deliver entry of the mapping.
    pub entry: Option<String>,
    /// Only what this source brought; a delivery about a link has no source.
    pub source: Option<String>,
    /// Only with this code.
    pub code: Option<String>,
    /// Parked at this time or later.
    pub since: Option<Timestamp>,
    /// Parked before this time.
    pub until: Option<Timestamp>,
}

impl LetterFilter {
    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a letter belongs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LetterPlace {
    /// A delivery.
    Delivery {
        /// Where to.
        target: TargetId,
        /// By which operation.
        operation: OperationId,
        /// The mapping's deliver entry.
        entry: Arc<str>,
        /// Write, or which kind of withdrawal.
        intent: WriteIntent,
        /// Attempts made.
        attempts: u32,
    },
    /// A line.
    Line {
        /// The file, as the source found it.
        file: String,
        /// 1-based line.
        line: u64,
    },
}

/// How a letter stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LetterState {
    /// It waits for a person.
    Parked,
    /// A line that came in again, mended or not.
    Replayed,
    /// A person, or a rule, gave it up.
    Dropped,
    /// A delivery in another state: no dead letter, or no longer one.
    Otherwise(DeliveryState),
}

impl LetterState {
    /// The word for people and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Replayed => "replayed",
            Self::Dropped => "dropped",
            Self::Otherwise(state) => state.name(),
        }
    }
}

/// A dead letter without anything personal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LetterRow {
    /// Which.
    pub id: LetterId,
    /// How it stands.
    pub state: LetterState,
    /// Where it belongs.
    pub place: LetterPlace,
    /// The source that brought it; none for a delivery about a link.
    pub source: Option<String>,
    /// The code of the problem.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// Since when it stands so; unknown for what an older Kith parked.
    pub at: Option<Timestamp>,
}

/// An attempt that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttemptRow {
    /// Which, from 1.
    pub number: u32,
    /// When.
    pub at: Timestamp,
    /// The class of fault.
    pub class: String,
    /// The code.
    pub code: String,
    /// What was wrong, without personal data.
    pub message: String,
}

/// What stands in a letter. Personal.
#[derive(Clone, Debug)]
pub enum LetterContent {
    /// A delivery.
    Delivery(Box<OutboxRow>),
    /// The line as read.
    Line(Personal<Vec<u8>>),
    /// An activity that contradicts what is stored.
    Activity(Box<Activity>),
    /// Nothing: its key was destroyed, or nothing may be kept of it.
    Gone,
}

/// A dead letter with all that is known.
#[derive(Clone, Debug)]
pub struct Letter {
    /// What `list` shows.
    pub row: LetterRow,
    /// SHA-256 of a line's file; zero for a delivery.
    pub file_digest: Digest,
    /// The idempotency key of a delivery; zero for a line.
    pub idempotency: Digest,
    /// What it says.
    pub content: LetterContent,
    /// Its failed attempts, oldest first.
    pub attempts: Vec<AttemptRow>,
    /// What travelled with the last one that reached the target: request and answer.
    pub exchange: Option<(Personal<String>, Personal<String>)>,
    /// A newer delivery about the same record that is under way or has arrived: then this one must not be sent any more.
    pub overtaken_by: Option<(DeliveryId, DeliveryState)>,
    /// Nobody knows whether its last attempt arrived.
    pub may_have_arrived: bool,
    /// How the activity stands that it is about: `parked`, `delivered`, …; none for lines and links.
    pub activity: Option<String>,
}

/// What a person changed in a delivery before it is sent again.
#[derive(Clone, PartialEq, Debug)]
pub struct EditedDelivery {
    /// The same delivery, as it was sealed before: it must not have changed meanwhile.
    pub before: IdempotencyKey,
    /// Another write has another key.
    pub idempotency: IdempotencyKey,
    /// The fields.
    pub payload: Payload,
}

/// A letter to be sent, or taken in, again.
#[derive(Clone, Debug)]
pub enum ReplayStep {
    /// A delivery.
    Delivery {
        /// Which.
        id: DeliveryId,
        /// What was changed in it.
        edited: Option<EditedDelivery>,
        /// Its entry.
        leaf: Vec<u8>,
    },
    /// A line that is an activity now.
    Line(Box<ReplayLine>),
}

/// A line that is taken in again, as any line of its source today.
#[derive(Clone, Debug)]
pub struct ReplayLine {
    /// Which.
    pub id: i64,
    /// The one activity, under the line's source, file and number and the digest of the text that was read now. Its cursor is not used.
    pub batch: IntakeBatch,
    /// Its entry; the batch's `tell` makes those of the intake.
    pub leaf: Vec<u8>,
}

/// A letter to be given up.
#[derive(Clone, Debug)]
pub struct DropStep {
    /// Which.
    pub id: LetterId,
    /// Its entry.
    pub leaf: Vec<u8>,
}

/// Why a letter stays as it is. The others of its step go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LetterRefusal {
    /// There is none with this number.
    Unknown,
    /// It is not parked (any more).
    NotParked(LetterState),
    /// It would put older data over newer.
    Overtaken(DeliveryId, DeliveryState),
    /// The activity that it is about was erased.
    Erased,
    /// It was changed by somebody else meanwhile.
    Changed,
}

/// What came of a letter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LetterOutcome {
    /// Done.
    Done,
    /// A line came in again, and intake did this with it.
    TakenIn(IntakeOutcome),
    /// It stays.
    Refused(LetterRefusal),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_and_nothing_else_is_one() {
        for id in [LetterId::Delivery(DeliveryId(17)), LetterId::Line(4), LetterId::Line(i64::MAX)] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in ["", "d", "17", "d-1", "d0", "x4", "d1 ", "d+1", "l99999999999999999999", "dl4"] {
            assert!(text.parse::<LetterId>().is_err(), "{text}");
        }
    }
}
