//! A call of a target that a person makes by hand: the log holds its intent before it leaves, and what came of it after.

use super::asked::{Reached, reach};
use super::control::Request;
use super::leaves::{Scribe, WhoAsks};
use super::{Clock, Parts, RunError};
use crate::audit::{Actor, Entry, EntryOutcome, Event, SubjectHash};
use crate::model::Timestamp;
use crate::store::Store as _;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What stands in place of the mapping's `deliver` entry.
const BY_HAND: &str = "kith connector call";

/// What the log is told about such a call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallTold {
    /// The target.
    pub target: String,
    /// Its operation.
    pub operation: String,
    /// `write`, `blank` or `remove`.
    pub intent: String,
    /// The keyed hash of target and record key.
    pub record: String,
    /// What came of it, by the log's word (`inserted`, `refused`, `failed`, …); `None`: it is about to leave.
    pub outcome: Option<String>,
}

impl Scribe {
    /// A call by hand: its intent, or what came of it.
    ///
    /// # Errors
    /// When the entry can't be written.
    pub(super) fn called(&self, told: &CallTold, user: &WhoAsks, now: Timestamp) -> Result<Vec<u8>, RunError> {
        let record = SubjectHash::from_hex(&told.record).unwrap_or(SubjectHash([0; 16]));
        let event = match &told.outcome {
            None => Event::WriteIntended {
                attempt: 1,
                entry: BY_HAND.into(),
                intent: told.intent.as_str().into(),
                operation: told.operation.as_str().into(),
                record,
                target: told.target.as_str().into(),
            },
            Some(_) => Event::WriteReceipt {
                attempt: 1,
                entry: BY_HAND.into(),
                operation: told.operation.as_str().into(),
                record,
                target: told.target.as_str().into(),
            },
        };
        let mut entry = Entry::new(now, event);
        entry.actor = Actor::person(user.user.clone(), user.role);
        entry.outcome = told.outcome.as_deref().map(|word| EntryOutcome::from_name(word).unwrap_or(EntryOutcome::Failed));
        self.encoded(&entry)
    }
}

/// Tells the log about a call by hand.
///
/// # Errors
/// When that is not possible: before the call, nothing may leave then.
pub async fn record_call(parts: Parts, who: WhoAsks, told: &CallTold, clock: Arc<dyn Clock>) -> Result<(), RunError> {
    let request = Request::RecordCall { told: told.clone(), user: who.user.to_string() };
    let Reached::Ours(service) = reach(&parts, &who, &clock, &request).await? else { return Ok(()) };
    let leaf = service.scribe.called(told, &who, service.clock.now())?;
    service.store.append(vec![leaf]).await?;
    service.integrate().await
}
