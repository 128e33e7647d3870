//! What goes into a step and what comes out of it.

use crate::model::{
    Activity, CustomerId, Decision, Delivery, DeliveryId, Digest, DropRule, IdempotencyKey, IdentityId, LinkedBy, OperationId, Outcome,
    ParkReason, Payload, Personal, Priority, Profile, Receipt, RecordKey, TargetId, Timestamp, Version, WriteIntent,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The store's row of an identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct IdentityRow(pub i64);

/// The store's row of an activity version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ActivityRow(pub i64);

/// What a store can't do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process writes this state folder.
    #[error("another kith writes the state folder {0}")]
    Locked(String),
    /// The disk is full.
    #[error("the disk that holds {0} is full")]
    Full(String),
    /// The folder or file can't be written.
    #[error("{0} can't be written: it is read-only or not ours")]
    ReadOnly(String),
    /// The state was written by a newer Kith.
    #[error("the state folder has schema {found}, this kith knows {known}")]
    Newer {
        /// What the folder says.
        found: i64,
        /// What this program knows.
        known: i64,
    },
    /// What is stored contradicts itself.
    #[error("the state folder is damaged: {0}")]
    Damaged(String),
    /// There is no state yet.
    #[error("there is no state folder {0} yet")]
    Absent(String),
    /// A step that contradicts what is stored: a fault of the caller, and nothing of the step happened.
    #[error("the step was refused: {0}")]
    Refused(String),
    /// The writer has ended: after a fault of its own, or because the store is closing.
    #[error("the store's writer has stopped")]
    Stopped,
    /// Anything else that the database says.
    #[error("the database failed: {0}")]
    Database(String),
}

/// One line of a source that is an activity.
#[derive(Clone, Debug)]
pub struct ReceivedActivity {
    /// 1-based line of the file.
    pub line: u64,
    /// The activity.
    pub activity: Activity,
    /// Policy's word at intake: dropped, and then neither profile nor content is kept.
    pub drop: Option<DropRule>,
    /// SHA-256 of what the activity says (not of the profile): a repeat of a version that says something else is parked.
    pub content_digest: Digest,
}

/// One line that is no activity.
#[derive(Clone, Debug)]
pub struct ParkedLine {
    /// 1-based line of the file.
    pub line: u64,
    /// Why.
    pub reason: ParkReason,
    /// The line, at most 64 KiB of it, for the dead letter.
    pub raw: Personal<Vec<u8>>,
}

/// A batch of lines of one file.
#[derive(Clone, Debug)]
pub struct IntakeBatch {
    /// `[sources.NAME]`.
    pub source: Arc<str>,
    /// The file as configured or found.
    pub file: String,
    /// SHA-256 of the file's content; with the line number the key of a parked line.
    pub file_digest: Digest,
    /// Now.
    pub at: Timestamp,
    /// Activities, in file order.
    pub activities: Vec<ReceivedActivity>,
    /// Lines that are none.
    pub parked: Vec<ParkedLine>,
    /// The cursor after this batch.
    pub cursor: Vec<u8>,
    /// Makes the batch's leaves once it is known what was new; they become durable with it.
    pub tell: Tell,
}

/// Makes the leaves of a step that only the store's own look at what it holds can tell about. It is called inside the step's transaction,
/// on the writer's thread: it may hash, and must not ask the ring for keys.
#[derive(Clone)]
pub struct Tell(pub Arc<MakeLeaves>);

/// From what intake did to the leaves that tell it.
pub type MakeLeaves = dyn Fn(&IntakeOutcome) -> Result<Vec<Vec<u8>>, StoreError> + Send + Sync;

impl std::fmt::Debug for Tell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tell")
    }
}

/// Where intake put an activity of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placed {
    /// An exact repeat: nothing happened.
    Repeat,
    /// It waits for a decision.
    Waiting,
    /// Dropped at once, by this rule.
    Dropped(DropRule),
    /// Parked, with this code.
    Parked(&'static str),
}

/// What intake did with a batch. `received + duplicates` = lines handed in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IntakeOutcome {
    /// New activity versions and newly parked lines.
    pub received: u64,
    /// Exact repeats.
    pub duplicates: u64,
    /// Of the received: parked (malformed, or a repeat that says something else).
    pub parked: u64,
    /// Of the received: dropped at once (audience, superseded).
    pub dropped: u64,
    /// What became of each activity, in the batch's order.
    pub activities: Vec<Placed>,
    /// Of each parked line, in the batch's order: whether it is new.
    pub lines: Vec<bool>,
}

/// An activity version that waits for planning.
#[derive(Clone, Debug)]
pub struct StoredActivity {
    /// Its row.
    pub row: ActivityRow,
    /// The activity; its actor's profile is the identity's current one.
    pub activity: Activity,
    /// Whether it is the newest version of its object that is stored.
    pub newest: bool,
    /// When it was received.
    pub received: Timestamp,
    /// How it stands: waiting, or earlier planned/dropped and offered again because the decision may change.
    pub state: crate::model::ActivityState,
}

/// The decision in force about an identity.
#[derive(Clone, PartialEq, Debug)]
pub struct CurrentDecision {
    /// Which.
    pub outcome: Outcome,
    /// The best candidate; the linked customer where `outcome` is linked.
    pub customer: Option<CustomerId>,
    /// What links.
    pub by: Option<LinkedBy>,
    /// The lawful basis.
    pub basis: Option<Arc<str>>,
    /// Posterior of the best candidate.
    pub probability: f64,
    /// Match weight of the best candidate, bits.
    pub match_weight: f64,
    /// The reference that entries and deliveries name.
    pub reference: Digest,
    /// When it was taken.
    pub at: Timestamp,
}

/// A record that was written to a target, or whose write is planned, and not withdrawn since.
#[derive(Clone, PartialEq, Debug)]
pub struct WrittenRecord {
    /// The mapping's deliver entry.
    pub entry: Arc<str>,
    /// Where.
    pub target: TargetId,
    /// By which operation.
    pub operation: OperationId,
    /// Its key.
    pub record: RecordKey,
    /// The object that it is about; `None` for a link's record.
    pub object: Option<Arc<str>>,
}

/// An identity with work to do.
#[derive(Clone, Debug)]
pub struct IdentityWork {
    /// Its row.
    pub row: IdentityRow,
    /// Which account.
    pub id: IdentityId,
    /// What it shows; `None` where nothing may be kept (not permitted).
    pub profile: Option<Profile>,
    /// Whether a decision must be taken (new, profile changed, customers changed, undetermined before).
    pub needs_decision: bool,
    /// The decision in force.
    pub current: Option<CurrentDecision>,
    /// Activity versions that wait for planning, oldest version first. Where `needs_decision`, also the newest version of every other
    /// object of this identity that is not erased, so that a changed decision reaches what was said before.
    pub activities: Vec<StoredActivity>,
    /// What stands written.
    pub written: Vec<WrittenRecord>,
}

/// A delivery to be put into the outbox.
#[derive(Clone, Debug)]
pub struct PlannedDelivery {
    /// The mapping's deliver entry.
    pub entry: Arc<str>,
    /// Where.
    pub target: TargetId,
    /// By which operation.
    pub operation: OperationId,
    /// Write, or which kind of withdrawal.
    pub intent: WriteIntent,
    /// The record's key.
    pub record: RecordKey,
    /// The same write carries the same key; planning it again is no second delivery.
    pub idempotency: IdempotencyKey,
    /// The fields.
    pub payload: Payload,
    /// The object it is about; `None` for a link.
    pub object: Option<Arc<str>>,
    /// How urgent it is.
    pub priority: Priority,
}

/// What becomes of an activity version.
#[derive(Clone, Debug)]
pub enum Disposition {
    /// These deliveries; not empty.
    Deliver(Vec<PlannedDelivery>),
    /// Dropped by a rule.
    Drop(DropRule),
    /// Waits for a person.
    WaitReview,
    /// Waits for a decision (undetermined).
    WaitDecision,
}

/// A decision to be stored.
#[derive(Clone, Debug)]
pub struct DecisionRecord {
    /// The decision with its evidence.
    pub decision: Decision,
    /// The reference that entries and deliveries name.
    pub reference: Digest,
    /// HMAC of the evidence; all zero where there is none.
    pub evidence_digest: Digest,
    /// The mapping that decided.
    pub mapping: Digest,
    /// When.
    pub at: Timestamp,
}

/// Everything that is decided about one identity in one step.
#[derive(Clone, Debug)]
pub struct DecideStep {
    /// Its row.
    pub row: IdentityRow,
    /// Which account: the owner of the sealed payloads.
    pub id: IdentityId,
    /// The new decision, where one was taken.
    pub decision: Option<DecisionRecord>,
    /// The profile that the decision was taken on has this time: a newer one that arrived meanwhile leaves the identity with work.
    pub profile_as_of: Option<Timestamp>,
    /// What becomes of its activity versions.
    pub activities: Vec<(ActivityRow, Disposition)>,
    /// Deliveries about the link itself.
    pub link: Vec<PlannedDelivery>,
    /// Leaves: the decision first, which holds its evidence; link changes, drops.
    pub leaves: Vec<Vec<u8>>,
}

/// A delivery of the outbox with what entries about it need.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    /// The delivery.
    pub delivery: Delivery,
    /// Whose account it is about.
    pub identity: IdentityId,
    /// The customer it is written for, where linked.
    pub customer: Option<CustomerId>,
    /// The activity version it is about.
    pub version: Option<(Arc<str>, Version)>,
    /// The decision it follows.
    pub decision: Digest,
    /// Failures that count towards giving up.
    pub failures: u32,
    /// It travels with at most so many others; `None`: any number.
    pub part: Option<u32>,
}

/// What may be sent now.
#[derive(Clone, Debug)]
pub struct Due {
    /// Where to.
    pub target: TargetId,
    /// Now.
    pub now: Timestamp,
    /// At most so many.
    pub limit: usize,
    /// Of this urgency only.
    pub priority: Priority,
    /// Operations whose quota is spent.
    pub except: Vec<OperationId>,
    /// Which of them.
    pub which: DueWhich,
}

/// Which deliveries a worker asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DueWhich {
    /// All, oldest first.
    All,
    /// Those that never failed: the retry budget is spent.
    Fresh,
    /// Those that failed least, for a probe: one poison record must not keep the endpoint shut.
    LeastFailed,
}

/// An intent to be made durable before the request leaves.
#[derive(Clone, Debug)]
pub struct SendStep {
    /// The delivery.
    pub delivery: Delivery,
    /// Its `write.intended` leaf.
    pub leaf: Vec<u8>,
}

/// What was spent of one quota, so that a restart refills nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spent {
    /// Whose.
    pub endpoint: Arc<str>,
    /// The operation's own quota; `None` for the whole endpoint's.
    pub operation: Option<OperationId>,
    /// The quota's window in seconds.
    pub window_seconds: u32,
    /// The theoretical arrival time of the generic cell rate algorithm: when everything spent will have come back.
    pub until: Timestamp,
    /// When this was so.
    pub at: Timestamp,
}

/// What leaves together.
#[derive(Clone, Debug, Default)]
pub struct SendBatch {
    /// The intents.
    pub intents: Vec<SendStep>,
    /// What they spend, durable with them.
    pub spent: Vec<Spent>,
}

/// Why something about an endpoint holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointReason {
    /// A code of the catalogue.
    pub code: Arc<str>,
    /// What was said, without personal data.
    pub message: Arc<str>,
}

/// How an endpoint stands: what it asked for, and whether it is left alone. Outlives the process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointState {
    /// Its name.
    pub name: Arc<str>,
    /// It asked to be left alone until then.
    pub waits: Option<(Timestamp, EndpointReason)>,
    /// Sends that failed in a row.
    pub failures: u32,
    /// The breaker is open until then; afterwards one record may try.
    pub rests: Option<(Timestamp, EndpointReason)>,
    /// How often in a row the breaker was opened.
    pub times: u32,
    /// When this became so.
    pub changed_at: Timestamp,
}

impl EndpointState {
    /// An endpoint of which nothing bad is known.
    pub const fn well(name: Arc<str>, at: Timestamp) -> Self {
        Self { name, waits: None, failures: 0, rests: None, times: 0, changed_at: at }
    }

    /// Whether nothing bad is known of it.
    pub const fn is_well(&self) -> bool {
        self.waits.is_none() && self.failures == 0 && self.rests.is_none() && self.times == 0
    }

    /// Until when nothing is sent there, and why.
    pub fn closed_until(&self, now: Timestamp) -> Option<(Timestamp, &EndpointReason)> {
        let latest = |entry: &'_ &(Timestamp, EndpointReason)| entry.0;
        let (until, reason) = self.waits.iter().chain(&self.rests).max_by_key(latest)?;
        (*until > now).then_some((*until, reason))
    }
}

/// What came of a delivery.
#[derive(Clone, Debug)]
pub enum SendOutcome {
    /// The target holds it.
    Delivered(Receipt),
    /// Not now.
    Retry {
        /// Not before this time; `None`: as soon as the endpoint takes it.
        not_before: Option<Timestamp>,
        /// Whether it counts towards giving up.
        counts: bool,
        /// Why, without personal data.
        reason: Arc<str>,
    },
    /// The batch was refused as a whole: it travels with at most so many others from now on.
    Split {
        /// At least 1.
        part: u32,
        /// Why, without personal data.
        reason: Arc<str>,
    },
    /// A dead letter.
    Parked(ParkReason),
    /// Given up by a rule.
    Dropped(DropRule, ParkReason),
    /// Sent, no answer.
    Unknown {
        /// Why, without personal data.
        reason: Arc<str>,
    },
    /// It was `unknown`, and the target does not hold it or takes it again without harm: it is planned again.
    NotThere,
}

impl SendOutcome {
    /// The word of metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Delivered(_) => "delivered",
            Self::Retry { .. } => "retried",
            Self::Split { .. } => "split",
            Self::Parked(_) => "parked",
            Self::Dropped(..) => "dropped",
            Self::Unknown { .. } => "unknown",
            Self::NotThere => "planned_again",
        }
    }
}

/// An attempt that failed, kept for the dead letter.
#[derive(Clone, Debug)]
pub struct FailedAttempt {
    /// Which attempt, from 1.
    pub number: u32,
    /// Whose words may be in what travelled: the owner of the seal.
    pub identity: IdentityId,
    /// The same delivery, as the seal is bound to it.
    pub idempotency: IdempotencyKey,
    /// The class of fault.
    pub class: &'static str,
    /// The code.
    pub code: &'static str,
    /// What is wrong, without personal data.
    pub message: Arc<str>,
    /// The request as sent, secrets masked, and the answer.
    pub exchange: Option<(Personal<String>, Personal<String>)>,
}

/// An outcome to be stored.
#[derive(Clone, Debug)]
pub struct ReceiptStep {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// What came of it.
    pub outcome: SendOutcome,
    /// Its leaf.
    pub leaf: Vec<u8>,
    /// What failed, where it is worth keeping.
    pub failed: Option<FailedAttempt>,
}

/// What came of what left together.
#[derive(Clone, Debug)]
pub struct ReceiptBatch {
    /// Now.
    pub at: Timestamp,
    /// The outcomes.
    pub outcomes: Vec<ReceiptStep>,
    /// How the endpoint stands from now on, where that changed.
    pub endpoint: Option<EndpointState>,
    /// What was spent until now, where that is not yet durable.
    pub spent: Vec<Spent>,
}

/// A customer of the last complete read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KnownCustomer {
    /// Digest over the declared columns, merge included.
    pub digest: [u8; 16],
    /// Whether it was missing from the last complete read.
    pub retired: bool,
}

/// The customers of the last complete read.
#[derive(Clone, Debug, Default)]
pub struct KnownCustomers {
    /// The digest of the file or table they came from; `None` before the first read.
    pub read_digest: Option<Digest>,
    /// By id.
    pub customers: BTreeMap<CustomerId, KnownCustomer>,
}

/// The changes of a complete read.
#[derive(Clone, Debug)]
pub struct CustomersStep {
    /// `[customers.NAME]`.
    pub source: Arc<str>,
    /// The digest of what was read.
    pub read_digest: Digest,
    /// Added or changed.
    pub upserted: Vec<(CustomerId, [u8; 16])>,
    /// No longer there.
    pub retired: Vec<CustomerId>,
    /// Identities that must be decided again.
    pub decide_again: Vec<IdentityRow>,
    /// Leaves about the read.
    pub leaves: Vec<Vec<u8>>,
}

/// A stored profile.
#[derive(Clone, Debug)]
pub struct StoredProfile {
    /// Its row.
    pub row: IdentityRow,
    /// Which account.
    pub id: IdentityId,
    /// What it shows.
    pub profile: Profile,
    /// The customers that the decision in force names: linked, or candidates of its evidence.
    pub candidates: Vec<CustomerId>,
    /// The customer that it is linked to.
    pub linked: Option<CustomerId>,
}

/// One row of the conservation sum: a source and the day its lines were received (UTC).
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Conservation {
    /// `[sources.NAME]`.
    pub source: String,
    /// `2026-11-21`.
    pub day: String,
    /// Counted at intake.
    pub received: u64,
    /// Exact repeats, outside the sum.
    pub duplicates: u64,
    /// Counted from the states now.
    pub delivered: u64,
    /// Dead letters and malformed lines.
    pub parked: u64,
    /// Dropped by a named rule.
    pub dropped: u64,
    /// Erased.
    pub erased: u64,
    /// Waiting for a decision, a person or a delivery.
    pub in_flight: u64,
}

impl Conservation {
    /// received − (delivered + parked + dropped + erased + in flight): must be 0.
    pub fn gap(&self) -> i64 {
        let right = self.delivered + self.parked + self.dropped + self.erased + self.in_flight;
        i64::try_from(self.received).unwrap_or(i64::MAX).saturating_sub(i64::try_from(right).unwrap_or(i64::MAX))
    }
}

impl Totals {
    /// The sum over all sources and days, and the sum of the absolute gaps: gaps of two days never cancel out.
    pub fn sum(&self) -> (Conservation, u64) {
        let mut all = Conservation::default();
        let mut gap = 0;
        for day in &self.conservation {
            all.received += day.received;
            all.duplicates += day.duplicates;
            all.delivered += day.delivered;
            all.parked += day.parked;
            all.dropped += day.dropped;
            all.erased += day.erased;
            all.in_flight += day.in_flight;
            gap += day.gap().unsigned_abs();
        }
        (all, gap)
    }
}

/// The counts of a state folder.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Totals {
    /// By source and day.
    pub conservation: Vec<Conservation>,
    /// Identities by outcome name; `undetermined` counts those without a decision.
    pub decisions: BTreeMap<String, u64>,
    /// Links in force by what made them.
    pub links: BTreeMap<String, u64>,
    /// Activity versions by state name and drop rule: `dropped: not-linked`, `in_flight: waiting_review`, ….
    pub activities: BTreeMap<String, u64>,
    /// Parked lines and deliveries by code.
    pub parked: BTreeMap<String, u64>,
    /// Deliveries by target and state: `crm_db: delivered`.
    pub deliveries: BTreeMap<String, u64>,
    /// Customers in force and retired.
    pub customers: BTreeMap<String, u64>,
    /// Leaves sequenced.
    pub leaves: u64,
    /// Identities decided under another mapping digest than the newest decision's: the work-list after a change of rules.
    pub decided_under_older_mapping: u64,
}
