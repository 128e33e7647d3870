//! What is held of a network, for asking it which of that still stands.

use super::{IdentityRow, StoreError};
use crate::model::{IdentityId, Network, Timestamp};
use std::future::Future;
use std::sync::Arc;

/// Something that was said and that its network has not taken back, as far as is known here: its content is kept, or a record about it stands in a CRM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// The object's id.
    pub object: Arc<str>,
    /// Who said it.
    pub author: IdentityId,
    /// The time of its newest version.
    pub at: Timestamp,
    /// The id of the activity that told that version; `None` where only a record about it is left.
    pub activity: Option<Arc<str>>,
}

/// Some of what is held, in the order of rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldPage<T> {
    /// What is held; rows of which nothing is kept are left out.
    pub held: Vec<T>,
    /// The last row that was looked at: the next page begins after it. `None`: there is no more.
    pub last: Option<i64>,
}

/// What is held of a network. Every method is one reading transaction.
pub trait Holding: Send + Sync {
    /// Objects of a network after a row, at most `limit` rows of them.
    fn held_objects(&self, network: Network, after: i64, limit: usize) -> impl Future<Output = Result<HeldPage<Held>, StoreError>> + Send;

    /// Accounts of a network after a row that objects are held of, at most `limit`.
    fn held_accounts(
        &self,
        network: Network,
        after: i64,
        limit: usize,
    ) -> impl Future<Output = Result<HeldPage<Arc<str>>, StoreError>> + Send;

    /// Those of these objects that are held, aligned with `ids`.
    fn held_by_id(&self, network: Network, ids: Vec<String>) -> impl Future<Output = Result<Vec<Option<Held>>, StoreError>> + Send;

    /// The row of an account, where there is one.
    fn account_row(&self, account: IdentityId) -> impl Future<Output = Result<Option<IdentityRow>, StoreError>> + Send;

    /// Objects of an account after a row, at most `limit` rows of them.
    fn held_of(&self, account: IdentityRow, after: i64, limit: usize) -> impl Future<Output = Result<HeldPage<Held>, StoreError>> + Send;
}
