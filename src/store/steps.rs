//! What goes into a step and what comes out of it.

use crate::model::{
    Activity, Audience, CustomerId, Decision, Digest, DropRule, Expects, IdempotencyKey, IdentityId, LinkedBy, OperationId, Outcome,
    ParkReason, Payload, Personal, Priority, Profile, RecordKey, TargetId, Timestamp, Word, WriteIntent,
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
    /// Whether what it says, or takes back, may be evidence of who the account is: then that is decided again.
    pub evidence: bool,
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
    /// Names of bases that the person took back; told where a decision is needed.
    pub withdrawn: Vec<Arc<str>>,
    /// What people said whose it is; told where a decision is needed.
    pub word: Option<Word>,
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
    /// What must stand there, where that matters.
    pub expects: Option<Expects>,
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
    /// The basis of a link, as the mapping says it now.
    pub grounds: Option<Grounds>,
    /// When.
    pub at: Timestamp,
}

/// The lawful basis of a link in full: what stands on it, whatever becomes of the mapping.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Grounds {
    /// The law's ground: `GDPR 6(1)(f)`.
    pub law: Arc<str>,
    /// What the link is for.
    pub purpose: Arc<str>,
    /// Since when the basis holds, as written.
    pub since: Option<Arc<str>>,
    /// The record that justifies it.
    pub record: Option<Arc<str>>,
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
    /// Keyed hashes of values of the account that these deliveries write to the customer and that it did not hold before.
    pub wrote: Vec<[u8; 16]>,
    /// Leaves: the decision first, which holds its evidence; link changes, drops.
    pub leaves: Vec<Vec<u8>>,
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
    /// The decision in force, and the SHA-256 of the mapping that took it.
    pub decided: Option<(CurrentDecision, Digest)>,
}

/// Most posts of one account that are evidence: the newest. At some 300 bytes each, 30 kB.
pub const MOST_POSTS: usize = 100;

/// What an account says in a post, as it reads now.
#[derive(Clone, PartialEq, Debug)]
pub struct Post {
    /// Who may see it.
    pub audience: Audience,
    /// What it says.
    pub content: Personal<Arc<str>>,
}

/// An account that is linked to a customer.
#[derive(Clone, Debug)]
pub struct LinkedAccount {
    /// Its row.
    pub row: IdentityRow,
    /// The customer.
    pub customer: CustomerId,
    /// Which account.
    pub id: IdentityId,
    /// What it shows; `None` where its key was destroyed.
    pub profile: Option<Profile>,
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

    /// Adds the terms of another row; source and day stay.
    pub const fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.duplicates += other.duplicates;
        self.delivered += other.delivered;
        self.parked += other.parked;
        self.dropped += other.dropped;
        self.erased += other.erased;
        self.in_flight += other.in_flight;
    }
}

impl Totals {
    /// The sum over all sources and days, and the sum of the absolute gaps: gaps of two days never cancel out.
    pub fn sum(&self) -> (Conservation, u64) {
        let mut all = Conservation::default();
        let mut gap = 0;
        for day in &self.conservation {
            all.add(day);
            gap += day.gap().unsigned_abs();
        }
        (all, gap)
    }
}

/// Deletions and edits of a network that have not arrived in a target.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct WaitingChanges {
    /// The network's name.
    pub network: String,
    /// The target; `None`: it is not decided yet which.
    pub target: Option<String>,
    /// When the oldest of them was received.
    pub since: String,
    /// How many.
    pub waiting: u64,
    /// How many of them are parked: they will not arrive before a person has seen to them.
    pub parked: u64,
}

/// The counts of a state folder.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Totals {
    /// Deletions and edits that have not arrived, by network and target.
    pub changes: Vec<WaitingChanges>,
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
