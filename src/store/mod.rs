//! Rank 5, what must survive: SQLite now, behind the trait that PostgreSQL will implement (design §10).
//!
//! Each step of the flow is one transaction (design §1, durable steps). A leaf is the canonical bytes of one audit entry: the row written in
//! the step's own transaction is the sequenced truth, the tile log under [`log`] is derived from it.

pub mod backup;
mod dead_letters;
pub mod erasures;
mod guards;
mod held;
pub mod lock;
pub mod log;
mod outbox;
mod people;
mod problem;
mod releases;
mod rights;
pub mod ring;
pub mod sqlite;
pub mod steps;
mod undo;

pub use dead_letters::*;
pub use guards::*;
pub use held::*;
pub use outbox::*;
pub use people::*;
pub use releases::*;
pub use rights::*;
pub use steps::*;
pub use undo::*;

use crate::model::{CustomerId, DeliveryId, Digest, Intended, Network, TargetId, Timestamp};
use std::future::Future;

/// What the pipeline asks of a store. Every method is one transaction, durable when it returns, and cancellation-safe: a dropped future either
/// happened whole or not at all.
pub trait Store: Send + Sync {
    /// Where reading a file stopped; `None` for a file never seen.
    fn cursor(&self, source: &str, file: &str) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// *Intake*: cursor, activities, identities with profiles, parked lines.
    fn intake(&self, batch: IntakeBatch) -> impl Future<Output = Result<IntakeOutcome, StoreError>> + Send;

    /// Whether something of each of these objects was ever taken in.
    fn knows(&self, objects: Vec<(Network, String)>) -> impl Future<Output = Result<Vec<bool>, StoreError>> + Send;

    /// Identities with work: a decision to take, or activities that wait for planning. Ordered by identity row, at most `limit`, after `after`.
    fn work(&self, after: Option<IdentityRow>, limit: usize) -> impl Future<Output = Result<Vec<IdentityWork>, StoreError>> + Send;

    /// *Decide*: decisions, links, planned deliveries, drops.
    fn decide(&self, batch: Vec<DecideStep>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deliveries of a target that may be sent now, oldest first. A delivery is held back while an earlier one about the same record,
    /// or an earlier version of the same object for the same target, is open: an answer never names two deliveries of one record, and a newer
    /// version never overtakes an older one.
    fn due(&self, due: &Due) -> impl Future<Output = Result<Vec<OutboxRow>, StoreError>> + Send;

    /// *Send*: the intents' leaves and what they spend become durable, the deliveries `sending`. The returned tokens are the only way to a
    /// target's `write`.
    fn send(&self, batch: SendBatch) -> impl Future<Output = Result<Vec<Intended>, StoreError>> + Send;

    /// *Receipt*: outcomes, the states of the activity versions that follow from them, and how the endpoint stands.
    fn receipt(&self, batch: ReceiptBatch) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// How each endpoint stands of which something is known.
    fn endpoints(&self) -> impl Future<Output = Result<Vec<EndpointState>, StoreError>> + Send;

    /// What was spent of each quota.
    fn spent(&self) -> impl Future<Output = Result<Vec<Spent>, StoreError>> + Send;

    /// Makes durable what requests without a delivery spend (look-ups, logins), before they leave.
    fn spend(&self, spent: Vec<Spent>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Since when the oldest delivery of each of these targets waits that has not arrived; nothing for a target where none does.
    fn oldest(&self, targets: Vec<TargetId>) -> impl Future<Output = Result<Vec<(TargetId, Timestamp)>, StoreError>> + Send;

    /// When the next delivery of a target that waits for its own time may be sent.
    fn next_due(&self, target: &TargetId) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + Send;

    /// What was being sent when its worker died is `unknown` from now on. Returns how many.
    fn orphaned(&self, target: &TargetId) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Deliveries of a target without an answer (what was `sending` when the last service ended is among them), at most `limit`, after `after`.
    fn unsettled(
        &self,
        target: &TargetId,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<OutboxRow>, StoreError>> + Send;

    /// The customers known from the last complete read: id, digest, merge, whether retired.
    fn known_customers(&self, source: &str) -> impl Future<Output = Result<KnownCustomers, StoreError>> + Send;

    /// Applies a complete read's changes and marks the identities that must be decided again.
    fn customers(&self, step: CustomersStep) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The accounts that are linked to these customers.
    fn linked_to(&self, customers: Vec<CustomerId>) -> impl Future<Output = Result<Vec<LinkedAccount>, StoreError>> + Send;

    /// Profiles page by page, to find who must be decided again.
    fn profiles(&self, after: Option<IdentityRow>, limit: usize) -> impl Future<Output = Result<Vec<StoredProfile>, StoreError>> + Send;

    /// What these accounts say in their posts, as far as it is still kept: of each the newest [`MOST_POSTS`], the newest first. Aligned with `of`.
    fn posts(&self, of: Vec<IdentityRow>) -> impl Future<Output = Result<Vec<Vec<Post>>, StoreError>> + Send;

    /// Appends leaves that belong to no other step (service started, mapping changed, personal data read).
    fn append(&self, leaves: Vec<Vec<u8>>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Keeps parts of entries that are too large to stand in them, by the SHA-256 that the entry names. To be called before the step whose
    /// leaves name them, so that no entry ever names a part that is not there. Keeping one again changes nothing.
    fn keep_parts(&self, parts: Vec<(Digest, Vec<u8>)>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// A part by its digest.
    fn part(&self, digest: Digest) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// Leaves from a sequence number on, at most `limit`: what the log has still to integrate.
    fn leaves(&self, from: u64, limit: usize) -> impl Future<Output = Result<Vec<Vec<u8>>, StoreError>> + Send;

    /// A named setting that survives: the digest of the mapping last used, for instance.
    fn setting(&self, name: &str) -> impl Future<Output = Result<Option<String>, StoreError>> + Send;

    /// Sets a named setting together with the leaves that tell it.
    fn set(&self, settings: Vec<(String, String)>, leaves: Vec<Vec<u8>>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Letters with all that is known of them, in the order asked for; a number that there is not is left out.
    fn letters(&self, ids: Vec<LetterId>) -> impl Future<Output = Result<Vec<Letter>, StoreError>> + Send;

    /// *Replay*: dead letters are planned, or taken in, again. Refused ones stay as they are; the others go on.
    fn replay(&self, at: Timestamp, steps: Vec<ReplayStep>) -> impl Future<Output = Result<Vec<LetterOutcome>, StoreError>> + Send;

    /// *Drop*: a person gives dead letters up.
    fn drop_letters(&self, at: Timestamp, steps: Vec<DropStep>) -> impl Future<Output = Result<Vec<LetterOutcome>, StoreError>> + Send;

    /// The counts that `status` and the run's summary show.
    fn totals(&self) -> impl Future<Output = Result<Totals, StoreError>> + Send;
}
