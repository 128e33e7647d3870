//! Putting back what was written, as the pipeline asks it of a store: what a choice of writes changed, and the writes that put it back.

use super::{DecideStep, IdentityRow, StoreError};
use crate::model::{
    DeliveryId, Digest, FieldChange, IdempotencyKey, IdentityId, OperationId, Payload, RecordKey, TargetId, Timestamp, WriteEffect,
};
use std::future::Future;
use std::sync::Arc;

/// Which writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UndoWhich {
    /// All that arrived at this time or later.
    Since(Timestamp),
    /// All that followed decisions of this mapping.
    Mapping(Digest),
    /// All about this account.
    Account(IdentityId),
}

/// A write that arrived, with what it changed.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Which.
    pub delivery: DeliveryId,
    /// The store's row of whose account it is about.
    pub row: IdentityRow,
    /// Whose account it is about.
    pub identity: IdentityId,
    /// The mapping's deliver entry.
    pub entry: Arc<str>,
    /// Where.
    pub target: TargetId,
    /// By which operation.
    pub operation: OperationId,
    /// The record's key.
    pub record: RecordKey,
    /// Its idempotency key.
    pub idempotency: IdempotencyKey,
    /// What it said.
    pub payload: Payload,
    /// The object that it is about.
    pub object: Option<Arc<str>>,
    /// What it did.
    pub effect: WriteEffect,
    /// From what to what, by field; `None` where nobody knows any more.
    pub changes: Option<Vec<FieldChange>>,
}

/// The writes about one account that put something back.
#[derive(Clone, Debug)]
pub struct UndoStep {
    /// The writes, as deliveries about no activity; the leaves that tell them.
    pub step: DecideStep,
    /// The writes that they take back: these are not taken back again.
    pub taken_back: Vec<IdempotencyKey>,
}

/// What the pipeline asks of a store about putting back.
pub trait Undo: Send + Sync {
    /// Writes that arrived and changed something, oldest first, at most `limit` after this one. What put something back is left out.
    fn arrived(
        &self,
        which: UndoWhich,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Arrived>, StoreError>> + Send;

    /// *Undo*: the writes are planned and told.
    fn undo(&self, at: Timestamp, steps: Vec<UndoStep>) -> impl Future<Output = Result<(), StoreError>> + Send;
}
