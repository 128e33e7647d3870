//! What must be so in a state that was put back from a backup, before anything is done with it: one transaction.

use super::error::InDatabase;
use super::names::nanoseconds;
use super::rights::stop_again;
use super::{SqliteStore, sequence};
use crate::audit::SubjectHash;
use crate::model::Timestamp;
use crate::store::ring::RequestId;
use crate::store::{RemovalReason, Spent, StoreError, TellOf};

/// Until when the history that was lost may have sent things, in nanoseconds since 1970. `decide` reads it by this name.
const RESTORED_UNTIL: &str = "restored_until";

/// Settings that speak of what left the machine: all of it is to leave again.
const TOLD_ELSEWHERE: [&str; 2] = ["checkpoint_published", "erasures_told"];

/// Somebody whom the history that was lost erased, or whose objection it heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forgotten {
    /// Who, by keyed hash.
    pub person: SubjectHash,
    /// Whether it is a customer; else an account.
    pub is_customer: bool,
    /// Erasure or objection.
    pub reason: RemovalReason,
}

/// What is to be made so.
#[derive(Clone, Debug)]
pub struct RestoredStep {
    /// Now: what the lost history did, it did before.
    pub at: Timestamp,
    /// What belongs together.
    pub request: RequestId,
    /// Whom it erased.
    pub forgotten: Vec<Forgotten>,
    /// Quotas as they may have been spent.
    pub spent: Vec<Spent>,
    /// The entry that tells the restore.
    pub leaf: Vec<u8>,
    /// Makes the entries about one who was forgotten, by their place in `forgotten`.
    pub tell: TellOf<usize>,
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Deliveries that nobody knows the outcome of now.
    pub unknown: u64,
    /// People whom the backup did not know as erased.
    pub forgotten: u64,
}

impl SqliteStore {
    /// Makes a state that was put back ready: the entry that tells it comes first, erasures are begun again, whatever was to be sent is `unknown`.
    ///
    /// # Errors
    /// What the database says; then nothing happened.
    pub async fn restored(&self, step: RestoredStep) -> Result<Restored, StoreError> {
        let ring = self.inner.ring.clone();
        self.inner
            .writer
            .run(move |tx| {
                tx.append(&step.leaf)?;
                let unknown = tx
                    .conn
                    .prepare_cached(
                        "UPDATE delivery SET state = 4, not_before = NULL, reason = 'restored from a backup: it may have been sent since'
                         WHERE state IN (0, 1)",
                    )
                    .said()?
                    .execute(())
                    .said()?;
                for name in TOLD_ELSEWHERE {
                    tx.conn.prepare_cached("DELETE FROM setting WHERE name = ?1").said()?.execute([name]).said()?;
                }
                super::endpoint::spend(tx, &step.spent)?;
                sequence::set(tx, &[(RESTORED_UNTIL.to_owned(), nanoseconds(step.at).to_string())], &[])?;
                let persons: Vec<_> = step.forgotten.iter().map(|gone| (gone.person, gone.is_customer, gone.reason)).collect();
                let new = stop_again(tx, &ring, step.at, step.request, &persons)?;
                let mut forgotten = 0;
                for (at, _) in new.into_iter().enumerate().filter(|(_, new)| *new) {
                    tx.append_all(&(step.tell.0)(&at)?)?;
                    forgotten += 1;
                }
                Ok(Restored { unknown: unknown as u64, forgotten })
            })
            .await
    }
}
