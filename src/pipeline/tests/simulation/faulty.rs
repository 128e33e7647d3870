//! A store that fails before a step or after it, that is slow, and into which bugs can be planted.

use super::chance::Chance;
use crate::model::{CustomerId, DeliveryId, Digest, Intended, Network, TargetId, Timestamp};
use crate::store::sqlite::SqliteStore;
use crate::store::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A bug that the oracle must find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bug {
    /// What has no answer is sent again without asking.
    DoubleSend,
    /// A receipt now and then is told to be stored, and is not.
    LostReceipt,
    /// The cursor is durable before what was read.
    EarlyCursor,
    /// What was spent of the quotas is forgotten by a restart.
    LimitReset,
    /// What the server asked for is forgotten by a restart.
    WaitForgotten,
}

/// One step in so many fails.
const FAULT_IN: u64 = 60;

pub(super) struct FaultyStore {
    pub(super) inner: SqliteStore,
    chance: Chance,
    faults: AtomicBool,
    bug: Option<Bug>,
}

impl FaultyStore {
    pub(super) fn new(inner: SqliteStore, chance: Chance, bug: Option<Bug>) -> Self {
        Self { inner, chance, faults: AtomicBool::new(true), bug }
    }

    pub(super) fn mend(&self) {
        self.faults.store(false, Ordering::SeqCst);
    }

    fn fault(&self) -> Result<(), StoreError> {
        if !self.faults.load(Ordering::SeqCst) || !self.chance.one_in(FAULT_IN) {
            return Ok(());
        }
        Err(if self.chance.one_in(2) { StoreError::Full("the disk".into()) } else { StoreError::Database("disk I/O error".into()) })
    }

    /// A step that may be slow, fail before it happened, or fail to say that it did.
    async fn step<T>(&self, step: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        if self.faults.load(Ordering::SeqCst) && self.chance.one_in(4) {
            tokio::time::sleep(Duration::from_millis(self.chance.below(200))).await;
        }
        self.fault()?;
        let done = step.await?;
        self.fault()?;
        Ok(done)
    }
}

impl Store for FaultyStore {
    async fn cursor(&self, source: &str, file: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.step(self.inner.cursor(source, file)).await
    }

    async fn intake(&self, batch: IntakeBatch) -> Result<IntakeOutcome, StoreError> {
        if self.bug == Some(Bug::EarlyCursor) && self.chance.one_in(3) {
            let nothing =
                IntakeBatch { activities: Vec::new(), parked: Vec::new(), tell: Tell(std::sync::Arc::new(|_| Ok(Vec::new()))), ..batch };
            self.inner.intake(nothing).await?;
            return Err(StoreError::Full("the disk".into()));
        }
        self.step(self.inner.intake(batch)).await
    }

    async fn knows(&self, objects: Vec<(Network, String)>) -> Result<Vec<bool>, StoreError> {
        self.inner.knows(objects).await
    }

    async fn work(&self, after: Option<IdentityRow>, limit: usize) -> Result<Vec<IdentityWork>, StoreError> {
        self.step(self.inner.work(after, limit)).await
    }

    async fn decide(&self, batch: Vec<DecideStep>) -> Result<(), StoreError> {
        self.step(self.inner.decide(batch)).await
    }

    async fn due(&self, due: &Due) -> Result<Vec<OutboxRow>, StoreError> {
        self.step(self.inner.due(due)).await
    }

    async fn send(&self, batch: SendBatch) -> Result<Vec<Intended>, StoreError> {
        self.step(self.inner.send(batch)).await
    }

    async fn receipt(&self, mut batch: ReceiptBatch) -> Result<(), StoreError> {
        if self.bug == Some(Bug::LostReceipt) && self.chance.one_in(10) {
            batch.outcomes.clear();
        }
        self.step(self.inner.receipt(batch)).await
    }

    async fn endpoints(&self) -> Result<Vec<EndpointState>, StoreError> {
        if self.bug == Some(Bug::WaitForgotten) {
            return Ok(Vec::new());
        }
        self.inner.endpoints().await
    }

    async fn spent(&self) -> Result<Vec<Spent>, StoreError> {
        if self.bug == Some(Bug::LimitReset) {
            return Ok(Vec::new());
        }
        self.inner.spent().await
    }

    async fn spend(&self, spent: Vec<Spent>) -> Result<(), StoreError> {
        self.step(self.inner.spend(spent)).await
    }

    async fn oldest(&self, targets: Vec<TargetId>) -> Result<Vec<(TargetId, Timestamp)>, StoreError> {
        self.inner.oldest(targets).await
    }

    async fn next_due(&self, target: &TargetId) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due(target).await
    }

    async fn orphaned(&self, target: &TargetId) -> Result<u64, StoreError> {
        self.inner.orphaned(target).await
    }

    async fn unsettled(&self, target: &TargetId, after: Option<DeliveryId>, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        let rows = self.step(self.inner.unsettled(target, after, limit)).await?;
        if self.bug != Some(Bug::DoubleSend) {
            return Ok(rows);
        }
        let again =
            |row: OutboxRow| ReceiptStep { delivery: row.delivery.id, outcome: SendOutcome::NotThere, leaf: b"{}".to_vec(), failed: None };
        let outcomes = rows.into_iter().map(again).collect();
        self.inner.receipt(ReceiptBatch { at: Timestamp::UNIX_EPOCH, outcomes, endpoint: None, spent: Vec::new() }).await?;
        Ok(Vec::new())
    }

    async fn known_customers(&self, source: &str) -> Result<KnownCustomers, StoreError> {
        self.inner.known_customers(source).await
    }

    async fn customers(&self, step: CustomersStep) -> Result<(), StoreError> {
        self.inner.customers(step).await
    }

    async fn linked_to(&self, customers: Vec<CustomerId>) -> Result<Vec<LinkedAccount>, StoreError> {
        self.inner.linked_to(customers).await
    }

    async fn profiles(&self, after: Option<IdentityRow>, limit: usize) -> Result<Vec<StoredProfile>, StoreError> {
        self.inner.profiles(after, limit).await
    }

    async fn posts(&self, of: Vec<IdentityRow>) -> Result<Vec<Vec<Post>>, StoreError> {
        self.inner.posts(of).await
    }

    async fn append(&self, leaves: Vec<Vec<u8>>) -> Result<(), StoreError> {
        self.step(self.inner.append(leaves)).await
    }

    async fn keep_parts(&self, parts: Vec<(Digest, Vec<u8>)>) -> Result<(), StoreError> {
        self.step(self.inner.keep_parts(parts)).await
    }

    async fn part(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.part(digest).await
    }

    async fn leaves(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        self.inner.leaves(from, limit).await
    }

    async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.inner.setting(name).await
    }

    async fn set(&self, settings: Vec<(String, String)>, leaves: Vec<Vec<u8>>) -> Result<(), StoreError> {
        self.inner.set(settings, leaves).await
    }

    async fn letters(&self, ids: Vec<LetterId>) -> Result<Vec<Letter>, StoreError> {
        self.inner.letters(ids).await
    }

    async fn replay(&self, at: Timestamp, steps: Vec<ReplayStep>) -> Result<Vec<LetterOutcome>, StoreError> {
        self.step(self.inner.replay(at, steps)).await
    }

    async fn drop_letters(&self, at: Timestamp, steps: Vec<DropStep>) -> Result<Vec<LetterOutcome>, StoreError> {
        self.step(self.inner.drop_letters(at, steps)).await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.inner.totals().await
    }
}
