//! Rank 5, what must survive: SQLite now, behind the trait that PostgreSQL will implement (design §10).
//!
//! Each step of the flow is one transaction (design §1, durable steps). A leaf is the canonical bytes of one audit entry: the row written in
//! the step's own transaction is the sequenced truth, the tile log under [`log`] is derived from it.

pub mod lock;
pub mod log;
mod problem;
pub mod ring;
pub mod sqlite;
pub mod steps;

pub use steps::*;

use crate::model::{DeliveryId, Digest, Intended, TargetId, Timestamp};
use std::future::Future;

/// What the pipeline asks of a store. Every method is one transaction, durable when it returns, and cancellation-safe: a dropped future either
/// happened whole or not at all.
pub trait Store: Send + Sync {
    /// Where reading a file stopped; `None` for a file never seen.
    fn cursor(&self, source: &str, file: &str) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// *Intake*: cursor, activities, identities with profiles, parked lines.
    fn intake(&self, batch: IntakeBatch) -> impl Future<Output = Result<IntakeOutcome, StoreError>> + Send;

    /// Identities with work: a decision to take, or activities that wait for planning. Ordered by identity row, at most `limit`, after `after`.
    fn work(&self, after: Option<IdentityRow>, limit: usize) -> impl Future<Output = Result<Vec<IdentityWork>, StoreError>> + Send;

    /// *Decide*: decisions, links, planned deliveries, drops.
    fn decide(&self, batch: Vec<DecideStep>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deliveries of a target that may be sent now, oldest first. A delivery is held back while an earlier one about the same record is open,
    /// so that an answer never names two deliveries of one record and a newer version never overtakes an older one.
    fn due(&self, target: &TargetId, now: Timestamp, limit: usize) -> impl Future<Output = Result<Vec<OutboxRow>, StoreError>> + Send;

    /// *Send*: the intents' leaves become durable, the deliveries `sending`. The returned tokens are the only way to a target's `write`.
    fn send(&self, intents: Vec<SendStep>) -> impl Future<Output = Result<Vec<Intended>, StoreError>> + Send;

    /// *Receipt*: outcomes, and the states of the activity versions that follow from them.
    fn receipt(&self, outcomes: Vec<ReceiptStep>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// `sending` found at start becomes `unknown`: returns them with everything still `unknown`, at most `limit`, after `after`.
    fn unsettled(&self, after: Option<DeliveryId>, limit: usize) -> impl Future<Output = Result<Vec<OutboxRow>, StoreError>> + Send;

    /// The customers known from the last complete read: id, digest, merge, whether retired.
    fn known_customers(&self, source: &str) -> impl Future<Output = Result<KnownCustomers, StoreError>> + Send;

    /// Applies a complete read's changes and marks the identities that must be decided again.
    fn customers(&self, step: CustomersStep) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Profiles page by page, to find who must be decided again.
    fn profiles(&self, after: Option<IdentityRow>, limit: usize) -> impl Future<Output = Result<Vec<StoredProfile>, StoreError>> + Send;

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

    /// The counts that `status` and the run's summary show.
    fn totals(&self) -> impl Future<Output = Result<Totals, StoreError>> + Send;
}
