//! What people stop and let go on, as the pipeline asks it of a store: pauses, and passes that wait since they would change too much.

use super::StoreError;
use crate::model::Timestamp;
use std::future::Future;
use std::sync::Arc;

/// What can be paused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PausedPart {
    /// Nothing is taken in from it.
    Source,
    /// Nothing is sent to it.
    Target,
}

impl PausedPart {
    /// The word of the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }
}

/// A source or target that a person stopped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pause {
    /// Which kind.
    pub part: PausedPart,
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Who.
    pub author: Arc<str>,
    /// Since when.
    pub at: Timestamp,
}

/// Pauses to be made or ended, each with its leaf.
#[derive(Clone, Debug)]
pub struct PauseStep {
    /// Made, or ended.
    pub stops: bool,
    /// Which.
    pub pauses: Vec<(Pause, Vec<u8>)>,
}

/// What a guard is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GuardMatter {
    /// Customers that are missing from a read.
    Retire,
    /// Links that would end or move.
    Relink,
    /// Records in the CRM that deletions upstream would withdraw.
    Delete,
    /// The very first writes.
    FirstWrites,
}

impl GuardMatter {
    /// Every matter.
    pub const ALL: [Self; 4] = [Self::Retire, Self::Relink, Self::Delete, Self::FirstWrites];

    /// The word of files, pages and the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retire => "retire",
            Self::Relink => "relink",
            Self::Delete => "delete",
            Self::FirstWrites => "first-writes",
        }
    }
}

/// A pass that would change more than its guard allows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardedPass {
    /// What about.
    pub matter: GuardMatter,
    /// What is read or written: a table's name, `targets`, `activities`.
    pub place: Arc<str>,
    /// The digest of what was read; empty where nothing was.
    pub subject: Vec<u8>,
    /// Would change.
    pub found: u64,
    /// Of so many.
    pub whole: u64,
    /// So many would pass.
    pub allowed: u64,
    /// Ids of customers that it is about, a few.
    pub examples: Vec<String>,
    /// The newest activity version that it is about; 0 where it is about none.
    pub last: i64,
}

/// How a guarded pass stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GuardState {
    /// It waits for a person.
    Waits,
    /// A person let it on.
    Approved,
    /// A person said no: nothing of it is applied.
    Rejected,
}

/// A guarded pass with its number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardRow {
    /// Its number: `kith approve N`.
    pub id: i64,
    /// What.
    pub pass: GuardedPass,
    /// How it stands.
    pub state: GuardState,
    /// Since when.
    pub at: Timestamp,
    /// Who settled it.
    pub author: Option<Arc<str>>,
}

/// A person's word on a guarded pass.
#[derive(Clone, Debug)]
pub struct SettleStep {
    /// Its number.
    pub id: i64,
    /// Let on, or not.
    pub approve: bool,
    /// Who.
    pub author: Arc<str>,
    /// Now.
    pub at: Timestamp,
    /// The leaf that tells it.
    pub leaf: Vec<u8>,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settlement {
    /// Settled; so many activities or deliveries were dropped with a rejection.
    Done(u64),
    /// There is no pass with this number that waits.
    NotWaiting,
}

/// What upstream deletions would withdraw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deletions {
    /// Waiting deletions of posts about which a record stands in the CRM.
    pub waiting: u64,
    /// Records that stand.
    pub written: u64,
    /// The newest of the deletions.
    pub last: i64,
    /// Customers whose records they are, a few.
    pub examples: Vec<String>,
}

/// What the pipeline asks of a store about stopping and letting on. Every writing method is one transaction, durable when it returns.
pub trait Guards: Send + Sync {
    /// The pauses that stand.
    fn pauses(&self) -> impl Future<Output = Result<Vec<Pause>, StoreError>> + Send;

    /// Makes or ends pauses; which of them changed something. Without a change no leaf is written.
    fn pause(&self, step: PauseStep) -> impl Future<Output = Result<Vec<bool>, StoreError>> + Send;

    /// How a pass that would change too much stands: one about the same is known, else it waits from now on.
    fn guard(&self, at: Timestamp, pass: GuardedPass) -> impl Future<Output = Result<GuardRow, StoreError>> + Send;

    /// What waited about this is done, or does not arise any more.
    fn guard_ended(&self, matter: GuardMatter, place: Arc<str>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Guarded passes that wait, or that were settled and are not done.
    fn guarded(&self) -> impl Future<Output = Result<Vec<GuardRow>, StoreError>> + Send;

    /// *Settle*: a person's word. A rejection of deletions or first writes drops them.
    fn settle_guard(&self, step: SettleStep) -> impl Future<Output = Result<Settlement, StoreError>> + Send;

    /// What waiting deletions would withdraw; `None` where that are at most `few` records: then nothing else is counted.
    fn deletions(&self, few: u64) -> impl Future<Output = Result<Option<Deletions>, StoreError>> + Send;

    /// Open deliveries, where none was ever sent; `None` where one was.
    fn first_writes(&self) -> impl Future<Output = Result<Option<u64>, StoreError>> + Send;
}
