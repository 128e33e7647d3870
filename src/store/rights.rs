//! People's rights and the retention clocks, as the pipeline asks them of a store (design §7): erase, object, hold, rectify, and what time ends.
//!
//! A removal goes in steps, each durable, so that a crash leaves it to be taken up again: *stopped* (nothing more is decided or sent about the
//! person), *being withdrawn* (stored data gone, records in the CRM on their way out as ordinary deliveries), *done* (keys destroyed).

use super::ring::RequestId;
use super::{CurrentDecision, DecideStep, IdentityRow, StoreError, WrittenRecord};
use crate::audit::{HashKey, RetentionClass, SubjectHash};
use crate::model::{CustomerId, IdentityId, Network, Personal, SubjectId, Timestamp, Value};
use memchr::memchr2;
use std::collections::HashSet;
use std::future::Future;
use std::hash::BuildHasher;
use std::sync::Arc;

/// The longest text of a line that could be an account's id, as `normalize::activity_streams` reads ids.
const MAX_ID_BYTES: usize = 2_048;

/// Whether a line that is no activity names one of these accounts all the same: any text between quotes is an account's id, on any network.
pub fn names_anyone<S: BuildHasher>(line: &[u8], hashes: &HashKey, persons: &HashSet<SubjectHash, S>) -> bool {
    let mut rest = line;
    while let Some(start) = memchr::memchr(b'"', rest) {
        let Some(text) = rest.get(start + 1..) else { return false };
        let mut end = 0;
        // Up to the closing quote, or to the end of a line that is cut off.
        let closed = loop {
            let Some(found) = text.get(end..).and_then(|rest| memchr2(b'"', b'\\', rest)) else { break text.len() };
            match text.get(end + found) {
                Some(b'\\') => end += found + 2,
                _ => break end + found,
            }
        };
        let inside = text.get(..closed).unwrap_or(text);
        if (1..=MAX_ID_BYTES).contains(&inside.len()) {
            let quoted = [b"\"".as_slice(), inside, b"\""].concat();
            let id: Option<String> = serde_json::from_slice(&quoted).ok();
            let id: Arc<str> = id.map_or_else(|| String::from_utf8_lossy(inside).into(), Into::into);
            let named = |network: &Network| persons.contains(&hashes.identity(&IdentityId { network: *network, id: id.clone() }));
            if Network::ALL.iter().any(named) {
                return true;
            }
        }
        rest = text.get(closed + 1..).unwrap_or_default();
    }
    false
}

/// Why a person's data go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RemovalReason {
    /// Art. 17: everything goes.
    Erasure,
    /// Art. 21: what was matched goes, and nobody matches again.
    Objection,
}

impl RemovalReason {
    /// Every reason.
    pub const ALL: [Self; 2] = [Self::Erasure, Self::Objection];

    /// The word of the log and of certificates.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Erasure => "erasure",
            Self::Objection => "objection",
        }
    }
}

/// The number of a removal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RemovalId(pub i64);

/// The first step of removals that were asked for together.
#[derive(Clone, Debug)]
pub struct StopStep {
    /// Now.
    pub at: Timestamp,
    /// What belongs together.
    pub request: RequestId,
    /// Erase or object.
    pub reason: RemovalReason,
    /// Who.
    pub persons: Vec<SubjectId>,
    /// Makes the leaves of each person once it is known what stands in the way.
    pub tell: TellOf<(usize, StopOutcome)>,
}

/// What stopping one person came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StopOutcome {
    /// A hold stands: nothing was done.
    Held {
        /// The number or name of its matter.
        matter: Option<Arc<str>>,
    },
    /// It was asked for before, and is done or on its way.
    Already,
    /// Nothing more is decided or sent.
    Stopped {
        /// The accounts that this is about, also one that was never seen.
        accounts: Vec<SubjectHash>,
    },
}

/// Makes leaves from what a step found, inside its transaction: it may hash, and must not ask the ring for keys.
pub struct TellOf<T>(pub Arc<MakeFrom<T>>);

/// From what a step found to the leaves that tell it.
pub type MakeFrom<T> = dyn Fn(&T) -> Result<Vec<Vec<u8>>, StoreError> + Send + Sync;

impl<T> Clone for TellOf<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> std::fmt::Debug for TellOf<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TellOf")
    }
}

/// An account that is stopped, and what stands written about it.
#[derive(Clone, Debug)]
pub struct StoppedAccount {
    /// Its removal.
    pub removal: RemovalId,
    /// Why.
    pub reason: RemovalReason,
    /// Who, by keyed hash.
    pub person: SubjectHash,
    /// Its row.
    pub row: IdentityRow,
    /// On which network.
    pub network: Network,
    /// Which account; `None` where nothing was kept of it: then nothing stands written either.
    pub id: Option<IdentityId>,
    /// The decision in force.
    pub current: Option<CurrentDecision>,
    /// What stands in the CRM.
    pub written: Vec<WrittenRecord>,
}

/// The second step of one removal: the withdrawals, and what is stored goes.
#[derive(Clone, Debug)]
pub struct WithdrawStep {
    /// Which.
    pub removal: RemovalId,
    /// Who, by keyed hash.
    pub person: SubjectHash,
    /// Why.
    pub reason: RemovalReason,
    /// The decision that nobody may be matched, with the withdrawals as deliveries.
    pub step: DecideStep,
}

/// What became of a person's records in the CRM.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Withdrawn {
    /// Gone.
    pub removed: u64,
    /// Emptied, as `on_delete: blank` says.
    pub blanked: u64,
    /// Left as they are, as `on_delete: keep` says.
    pub kept: u64,
    /// A person dropped the withdrawal: nobody knows how the record stands.
    pub given_up: u64,
}

/// A removal at its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finished {
    /// Which.
    pub removal: RemovalId,
    /// With what it was asked for.
    pub request: RequestId,
    /// Who.
    pub person: SubjectHash,
    /// Whether it is a customer; else an account.
    pub is_customer: bool,
    /// Why.
    pub reason: RemovalReason,
    /// When it was asked for.
    pub begun: Timestamp,
    /// Stored records that went.
    pub records: u64,
    /// Keys that were destroyed.
    pub keys: u64,
    /// Lines taken out of files.
    pub lines: u64,
    /// What became of the records in the CRM.
    pub crm: Withdrawn,
}

/// The last step of removals.
#[derive(Clone, Debug)]
pub struct FinishStep {
    /// Now.
    pub at: Timestamp,
    /// At most so many.
    pub limit: usize,
    /// The certificate of a removal, JSON without personal data.
    pub certify: Certify,
    /// Its leaves; the last one is the entry that the certificate is told with.
    pub tell: TellOf<(Finished, String)>,
}

/// Makes certificates.
#[derive(Clone)]
pub struct Certify(pub Arc<dyn Fn(&Finished) -> String + Send + Sync>);

impl std::fmt::Debug for Certify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certify")
    }
}

/// A removal as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemovalRow {
    /// Which.
    pub removal: RemovalId,
    /// With what it was asked for.
    pub request: RequestId,
    /// Who.
    pub person: SubjectHash,
    /// Why.
    pub reason: RemovalReason,
    /// When it was asked for.
    pub begun: Timestamp,
    /// When it was done; `None` while it is on its way.
    pub ended: Option<Timestamp>,
    /// Withdrawals that are open.
    pub open: u64,
    /// Withdrawals that stand aside: a person replays or drops them.
    pub parked: Vec<i64>,
    /// Whether the files were looked through.
    pub swept: bool,
    /// The certificate and the number of its entry.
    pub certificate: Option<(String, u64)>,
}

/// A hold to be placed or released.
#[derive(Clone, Debug)]
pub struct HoldStep {
    /// Now.
    pub at: Timestamp,
    /// For whom.
    pub subject: SubjectId,
    /// The number or name of the matter.
    pub matter: Option<Arc<str>>,
    /// Who places it.
    pub author: Arc<str>,
    /// The leaf that tells it.
    pub leaf: Vec<u8>,
}

/// A hold that stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldRow {
    /// Whose data stand still.
    pub person: SubjectHash,
    /// Whom it was placed for: the person, or the customer that the account is linked to.
    pub placed_for: SubjectHash,
    /// The number or name of the matter.
    pub matter: Option<Arc<str>>,
    /// Who placed it.
    pub author: Arc<str>,
    /// When.
    pub at: Timestamp,
}

/// What a person corrected in a profile.
#[derive(Clone, Debug)]
pub struct RectifyStep {
    /// Which account.
    pub id: IdentityId,
    /// Path of the mapping's `from` and the right value; `Missing` takes what the network shows out.
    pub fields: Personal<Vec<(Arc<str>, Value)>>,
    /// The leaf that tells it.
    pub leaf: Vec<u8>,
}

/// A clock that ends something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockKind {
    /// Everything about people who turned out to be strangers.
    Strangers,
    /// What linked people show, and what is to be decided about nobody.
    Profiles,
    /// What people said, with dead letters and lines that stand aside.
    Activities,
    /// Values in entries of the log.
    Audit,
}

impl ClockKind {
    /// Every clock.
    pub const ALL: [Self; 4] = [Self::Strangers, Self::Profiles, Self::Activities, Self::Audit];

    /// The retention class that it ends.
    pub const fn class(self) -> RetentionClass {
        match self {
            Self::Strangers => RetentionClass::Unlinked,
            Self::Profiles => RetentionClass::Profile,
            Self::Activities => RetentionClass::Activity,
            Self::Audit => RetentionClass::Audit,
        }
    }

    /// The word of the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strangers => "strangers",
            Self::Profiles => "profiles",
            Self::Activities => "activities",
            Self::Audit => "audit values",
        }
    }
}

/// One batch of a clock.
#[derive(Clone, Debug)]
pub struct ClockStep {
    /// Which clock.
    pub clock: ClockKind,
    /// Only this field of profiles, by its path: the rest stays.
    pub field: Option<Arc<str>>,
    /// Now.
    pub now: Timestamp,
    /// What was received or made before this goes.
    pub before: Timestamp,
    /// Only on this network, before the moment of its own; `None`: on every network but `except`.
    pub only: Option<Network>,
    /// Networks that have a clock of their own.
    pub except: Vec<Network>,
    /// At most so many persons or records.
    pub limit: usize,
    /// Makes the leaves; nothing is told where nothing ended.
    pub tell: TellOf<ClockEnded>,
}

/// What a batch of a clock ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockEnded {
    /// Which clock.
    pub clock: ClockKind,
    /// Records that went.
    pub records: u64,
    /// Keys that were destroyed.
    pub keys: u64,
    /// Whether more is due.
    pub more: bool,
}

/// People who are linked, and whether they were told.
#[derive(Clone, PartialEq, Debug)]
pub struct NoticeRow {
    /// The store's row.
    pub row: IdentityRow,
    /// Which account.
    pub id: IdentityId,
    /// Whom it is linked to.
    pub customer: CustomerId,
    /// The name of the lawful basis.
    pub basis: Option<Arc<str>>,
    /// Since when it is linked.
    pub since: Timestamp,
    /// When the person was told.
    pub told: Option<Timestamp>,
}

/// What the pipeline asks of a store about people's rights. Every method is one transaction, durable when it returns.
pub trait Rights: Send + Sync {
    /// *Stop*: from now on nothing is decided, taken in or sent about these persons. What was not sent yet, or stands aside, is given up.
    fn stop(&self, step: StopStep) -> impl Future<Output = Result<Vec<StopOutcome>, StoreError>> + Send;

    /// Accounts that are stopped and not withdrawn yet, at most `limit`.
    fn stopped(&self, limit: usize) -> impl Future<Output = Result<Vec<StoppedAccount>, StoreError>> + Send;

    /// *Withdraw*: what is stored goes, the withdrawals are planned.
    fn withdraw(&self, at: Timestamp, steps: Vec<WithdrawStep>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The persons whose lines are to be taken out of files.
    fn unswept(&self) -> impl Future<Output = Result<Vec<(RemovalId, SubjectHash)>, StoreError>> + Send;

    /// So many lines of each were taken out of files.
    fn swept(&self, lines: Vec<(RemovalId, u64)>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// *Finish*: removals whose withdrawals are all settled; their keys are destroyed.
    fn finish(&self, step: FinishStep) -> impl Future<Output = Result<Vec<Finished>, StoreError>> + Send;

    /// Removals: those on their way, or those of a request.
    fn removals(&self, request: Option<RequestId>) -> impl Future<Output = Result<Vec<RemovalRow>, StoreError>> + Send;

    /// Places a hold; how many accounts it covers besides.
    fn hold(&self, step: HoldStep) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Releases the hold that was placed for a person; whether there was one. Without one the leaf is not written.
    fn release(&self, step: HoldStep) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// A person takes a basis back, and is decided about again; whether the account is known.
    fn take_back(
        &self,
        at: Timestamp,
        id: IdentityId,
        basis: Arc<str>,
        leaf: Vec<u8>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// A person's corrections stand above what the network shows, and the person is decided about again; whether the account is known.
    fn rectify(&self, step: RectifyStep) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// These people were told.
    fn noticed(&self, at: Timestamp, rows: Vec<IdentityRow>, leaf: Vec<u8>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// One batch of a clock.
    fn run_clock(&self, step: ClockStep) -> impl Future<Output = Result<ClockEnded, StoreError>> + Send;

    /// Customers that must not be matched again.
    fn suppressed_customers(&self) -> impl Future<Output = Result<Vec<SubjectHash>, StoreError>> + Send;

    /// Keyed hashes of what Kith wrote to customers about accounts: at 16 bytes a link, a million is 16 MB.
    fn wrote(&self) -> impl Future<Output = Result<Vec<[u8; 16]>, StoreError>> + Send;

    /// Folds what was removed out of the write-ahead log, so that no byte of it is left in a file.
    fn fold(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_cut_off_or_no_json_names_an_account_all_the_same() {
        let hashes = HashKey::new([2; 32]);
        let id = IdentityId { network: Network::Instagram, id: "https://i.example/users/\u{e9}\"1".into() };
        let persons = HashSet::from([hashes.identity(&id)]);
        for line in [
            r#"{"actor": {"id": "https://i.example/users/\u00e9\"1", "name": "#,
            r#"nonsense "x\\" "https://i.example/users/é\"1" more"#,
            r#""" "https://i.example/users/é\"1"#,
        ] {
            assert!(names_anyone(line.as_bytes(), &hashes, &persons), "{line}");
        }
        for line in ["", "\"", "{\"a\":\"https://i.example/users/2\"}", "\\", "\"\\"] {
            assert!(!names_anyone(line.as_bytes(), &hashes, &persons), "{line}");
        }
    }
}
