//! What we write into the CRM about an activity or a link, and what came of it (design §1, §9).

use super::{Digest, Personal, Value};
use std::sync::Arc;

/// The number of a delivery in the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DeliveryId(pub i64);

/// The name of a target: `[targets.NAME]` in the configuration.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TargetId(pub Arc<str>);

/// The name of an operation of a target's connector file.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct OperationId(pub Arc<str>);

/// The key of the record in the CRM, as a canonical JSON array of its key values: `["x","https://…/notes/1"]`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey(pub Arc<str>);

impl std::fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordKey(‹personal›)")
    }
}

/// SHA-256 of (target, operation, record key, activity version, decision): the same write carries the same key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct IdempotencyKey(pub Digest);

/// Field and value, in the mapping's order.
pub type Payload = Personal<Vec<(Arc<str>, Value)>>;

/// What the CRM's record should become. The last three are withdrawals: the mapping's `on_delete`, else the operation's, chose one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WriteIntent {
    /// Hold the payload's fields.
    Write,
    /// Go. The payload holds the key fields only.
    Remove,
    /// Lose what it says: the payload holds the key fields, and the fields to be emptied as `Missing`. Other fields stay.
    Blank,
    /// Stay as it is, although what it tells of is gone. The payload holds the key fields only.
    Keep,
}

impl WriteIntent {
    /// Every intent.
    pub const ALL: [Self; 4] = [Self::Write, Self::Remove, Self::Blank, Self::Keep];

    /// The name in the store and the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Remove => "remove",
            Self::Blank => "blank",
            Self::Keep => "keep",
        }
    }

    /// Reads a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|i| i.name() == name)
    }

    /// Whether what stood written is taken back.
    pub const fn is_withdrawal(self) -> bool {
        !matches!(self, Self::Write)
    }
}

/// How urgent a delivery is: what a mapping's `deliver` entry says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub enum Priority {
    /// It overtakes the others.
    Urgent,
    /// As most.
    #[default]
    Normal,
    /// When nothing else waits, and a small share otherwise.
    Low,
}

impl Priority {
    /// Every priority, most urgent first.
    pub const ALL: [Self; 3] = [Self::Urgent, Self::Normal, Self::Low];

    /// The word that files and metrics use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// What must stand in the record for a write to be made; compared in the write's own transaction (compare and set).
#[derive(Clone, PartialEq, Debug)]
pub struct Expects {
    /// Whether the record is there.
    pub there: bool,
    /// The fields that the write changes, no others, with what they hold now. Says nothing where the record is not there.
    pub fields: Payload,
}

impl Expects {
    /// Whether a write that would have this effect and change these fields finds what is expected.
    pub fn holds(&self, effect: WriteEffect, changes: &[FieldChange]) -> bool {
        let there = !matches!(effect, WriteEffect::Inserted);
        let fields = self.fields.reveal();
        let same = |change: &FieldChange| fields.iter().any(|(name, now)| *name == change.field && now == change.before.reveal());
        // A record that is made anew finds nothing: what stood in its place would have shown.
        there == self.there && (!there || (changes.len() == fields.len() && changes.iter().all(same)))
    }
}

/// One write to one target, ready to be sent.
#[derive(Clone, PartialEq, Debug)]
pub struct Delivery {
    /// Which row of the outbox.
    pub id: DeliveryId,
    /// The id of the mapping's `deliver` entry.
    pub entry: Arc<str>,
    /// Where to.
    pub target: TargetId,
    /// What the target does.
    pub operation: OperationId,
    /// Write, or which kind of withdrawal.
    pub intent: WriteIntent,
    /// The record's key.
    pub record: RecordKey,
    /// The same write carries the same key.
    pub idempotency: IdempotencyKey,
    /// The fields, key fields included.
    pub payload: Payload,
    /// What must stand there; `None`: whatever stands there.
    pub expects: Option<Arc<Expects>>,
    /// 1 for the first attempt.
    pub attempt: u32,
}

/// A delivery whose intent stands in the audit log, durable: the only thing that a target's `write` takes (fail closed, design §1).
#[derive(Clone, PartialEq, Debug)]
pub struct Intended {
    delivery: Delivery,
    sequence: u64,
}

impl Intended {
    /// Mints the token. Only a store's *send* step may call this, after its commit: `tests/it/tidy.rs` holds everyone to it.
    pub const fn mint(delivery: Delivery, sequence: u64) -> Self {
        Self { delivery, sequence }
    }

    /// What is to be sent.
    pub const fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// The sequence number of the `write.intended` entry.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// The states of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum DeliveryState {
    /// In the outbox.
    Planned,
    /// The intent is on disk, the request may have left.
    Sending,
    /// The target holds it.
    Delivered,
    /// A dead letter: reason and way out are kept.
    Parked,
    /// Sent, no answer: settled by reading back or by an idempotent write, never by hoping.
    Unknown,
    /// Given up by a named rule, or by a person.
    Dropped,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 6] = [Self::Planned, Self::Sending, Self::Delivered, Self::Parked, Self::Unknown, Self::Dropped];

    /// The name in the store, JSON and the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Parked => "parked",
            Self::Unknown => "unknown",
            Self::Dropped => "dropped",
        }
    }

    /// Reads a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Whether the delivery still counts as in flight.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Planned | Self::Sending | Self::Unknown)
    }
}

/// The named rule that dropped an activity version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum DropRule {
    /// Its author is nobody we know.
    NotLinked,
    /// There is no lawful basis for matching its author.
    NotPermitted,
    /// A direct message, and the mapping does not list that audience.
    PrivateMessage,
    /// For a limited audience, and the mapping does not list that audience.
    AudienceNotListed,
    /// No `when` of the mapping's deliveries holds.
    WhenFalse,
    /// A newer version was there first.
    Superseded,
    /// A Delete of something that was never written.
    NothingToWithdraw,
    /// The target did not take it, and `on_fault` of the target file says that this is known and wanted.
    FaultRule,
    /// A person dropped its dead letter.
    DroppedByPerson,
    /// A dead letter that a person mended: it came in again.
    Replayed,
}

impl DropRule {
    /// Every rule.
    pub const ALL: [Self; 10] = [
        Self::NotLinked,
        Self::NotPermitted,
        Self::PrivateMessage,
        Self::AudienceNotListed,
        Self::WhenFalse,
        Self::Superseded,
        Self::NothingToWithdraw,
        Self::FaultRule,
        Self::DroppedByPerson,
        Self::Replayed,
    ];

    /// The name in the store, JSON, pages and the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotLinked => "not-linked",
            Self::NotPermitted => "not-permitted",
            Self::PrivateMessage => "private-message",
            Self::AudienceNotListed => "audience-not-listed",
            Self::WhenFalse => "when-false",
            Self::Superseded => "superseded",
            Self::NothingToWithdraw => "nothing-to-withdraw",
            Self::FaultRule => "fault-rule",
            Self::DroppedByPerson => "dropped-by-person",
            Self::Replayed => "replayed",
        }
    }

    /// Reads a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.name() == name)
    }
}

/// Why something stands aside until a person looks at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParkReason {
    /// A stable code of the catalogue, `KITH-I002` for instance.
    pub code: &'static str,
    /// What is wrong, without personal data.
    pub message: Arc<str>,
}

/// The state of an activity version, derived from its deliveries (design §1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ActivityState {
    /// In flight: no decision about its author yet.
    WaitingDecision,
    /// In flight: a person decides about its author.
    WaitingReview,
    /// In flight: a delivery is open.
    Delivering,
    /// At least one delivery arrived, none is open or parked.
    Delivered,
    /// A delivery is a dead letter, none is open.
    Parked,
    /// Dropped by a named rule.
    Dropped(DropRule),
    /// Erased at a person's request.
    Erased,
}

impl ActivityState {
    /// The term of the conservation sum that counts it.
    pub const fn term(self) -> &'static str {
        match self {
            Self::WaitingDecision | Self::WaitingReview | Self::Delivering => "in_flight",
            Self::Delivered => "delivered",
            Self::Parked => "parked",
            Self::Dropped(_) => "dropped",
            Self::Erased => "erased",
        }
    }
}

/// A field before and after a write.
#[derive(Clone, PartialEq, Debug)]
pub struct FieldChange {
    /// The CRM's field.
    pub field: Arc<str>,
    /// What stood there; `Missing` where the record is new.
    pub before: Personal<Value>,
    /// What stands there now; `Missing` where it was removed.
    pub after: Personal<Value>,
}

/// What a write did.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WriteEffect {
    /// The record is new.
    Inserted,
    /// The record changed.
    Updated,
    /// The record read so already, or this very write had arrived before.
    Unchanged,
    /// The record is gone.
    Removed,
    /// The fields that `on_delete: { blank: … }` names are empty now.
    Blanked,
    /// `on_delete: keep`: the record stays as it is.
    Kept,
}

impl WriteEffect {
    /// Every effect.
    pub const ALL: [Self; 6] = [Self::Inserted, Self::Updated, Self::Unchanged, Self::Removed, Self::Blanked, Self::Kept];

    /// The name in the log and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inserted => "inserted",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Removed => "removed",
            Self::Blanked => "blanked",
            Self::Kept => "kept",
        }
    }
}

/// The target's answer about one delivery.
#[derive(Clone, PartialEq, Debug)]
pub struct Receipt {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// What the write did.
    pub effect: WriteEffect,
    /// Before and after, by field; only fields that changed.
    pub changes: Vec<FieldChange>,
    /// Fields that keep what the CRM changed: not written, as the mapping's `on_conflict` says.
    pub kept: Vec<Arc<str>>,
}

impl Receipt {
    /// What a write did, where its before and after are not told.
    pub const fn bare(delivery: DeliveryId, effect: WriteEffect) -> Self {
        Self { delivery, effect, changes: Vec::new(), kept: Vec::new() }
    }
}
