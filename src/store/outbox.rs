//! What goes into *send* and *receipt*, and how endpoints stand.

use crate::model::{
    CustomerId, Delivery, DeliveryId, Digest, DropRule, IdempotencyKey, IdentityId, OperationId, ParkReason, Personal, Priority, Receipt,
    TargetId, Timestamp, Version,
};
use std::sync::Arc;

/// A delivery of the outbox with what entries about it need.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    /// The delivery.
    pub delivery: Delivery,
    /// Whose account it is about.
    pub identity: IdentityId,
    /// The customer it is written for, where linked.
    pub customer: Option<CustomerId>,
    /// The activity version it is about.
    pub version: Option<(Arc<str>, Version)>,
    /// The decision it follows.
    pub decision: Digest,
    /// Failures that count towards giving up.
    pub failures: u32,
    /// It travels with at most so many others; `None`: any number.
    pub part: Option<u32>,
    /// Its urgency.
    pub priority: Priority,
}

/// What may be sent now.
#[derive(Clone, Debug)]
pub struct Due {
    /// Where to.
    pub target: TargetId,
    /// Now.
    pub now: Timestamp,
    /// At most so many.
    pub limit: usize,
    /// Of this urgency only.
    pub priority: Priority,
    /// Operations whose quota is spent.
    pub except: Vec<OperationId>,
    /// Which of them.
    pub which: DueWhich,
}

/// Which deliveries a worker asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DueWhich {
    /// All, oldest first.
    All,
    /// Those that never failed: the retry budget is spent.
    Fresh,
    /// Those that failed least, for a probe: one poison record must not keep the endpoint shut.
    LeastFailed,
}

/// An intent to be made durable before the request leaves.
#[derive(Clone, Debug)]
pub struct SendStep {
    /// The delivery.
    pub delivery: Delivery,
    /// Its `write.intended` leaf.
    pub leaf: Vec<u8>,
}

/// What was spent of one quota, so that a restart refills nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spent {
    /// Whose.
    pub endpoint: Arc<str>,
    /// The operation's own quota; `None` for the whole endpoint's.
    pub operation: Option<OperationId>,
    /// The quota's window in seconds.
    pub window_seconds: u32,
    /// The theoretical arrival time of the generic cell rate algorithm: when everything spent will have come back.
    pub until: Timestamp,
    /// When this was so.
    pub at: Timestamp,
}

/// What leaves together.
#[derive(Clone, Debug, Default)]
pub struct SendBatch {
    /// The intents.
    pub intents: Vec<SendStep>,
    /// What they spend, durable with them.
    pub spent: Vec<Spent>,
}

/// Why something about an endpoint holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointReason {
    /// A code of the catalogue.
    pub code: Arc<str>,
    /// What was said, without personal data.
    pub message: Arc<str>,
}

/// How an endpoint stands: what it asked for, and whether it is left alone. Outlives the process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointState {
    /// Its name.
    pub name: Arc<str>,
    /// It asked to be left alone until then.
    pub waits: Option<(Timestamp, EndpointReason)>,
    /// Sends that failed in a row.
    pub failures: u32,
    /// The breaker is open until then; afterwards one record may try.
    pub rests: Option<(Timestamp, EndpointReason)>,
    /// How often in a row the breaker was opened.
    pub times: u32,
    /// When this became so.
    pub changed_at: Timestamp,
}

impl EndpointState {
    /// An endpoint of which nothing bad is known.
    pub const fn well(name: Arc<str>, at: Timestamp) -> Self {
        Self { name, waits: None, failures: 0, rests: None, times: 0, changed_at: at }
    }

    /// Whether nothing bad is known of it.
    pub const fn is_well(&self) -> bool {
        self.waits.is_none() && self.failures == 0 && self.rests.is_none() && self.times == 0
    }

    /// Until when nothing is sent there, and why.
    pub fn closed_until(&self, now: Timestamp) -> Option<(Timestamp, &EndpointReason)> {
        let latest = |entry: &'_ &(Timestamp, EndpointReason)| entry.0;
        let (until, reason) = self.waits.iter().chain(&self.rests).max_by_key(latest)?;
        (*until > now).then_some((*until, reason))
    }
}

/// What came of a delivery.
#[derive(Clone, Debug)]
pub enum SendOutcome {
    /// The target holds it.
    Delivered(Receipt),
    /// Not now.
    Retry {
        /// Not before this time; `None`: as soon as the endpoint takes it.
        not_before: Option<Timestamp>,
        /// Whether it counts towards giving up.
        counts: bool,
        /// Why, without personal data.
        reason: Arc<str>,
    },
    /// The batch was refused as a whole: it travels with at most so many others from now on.
    Split {
        /// At least 1.
        part: u32,
        /// Why, without personal data.
        reason: Arc<str>,
    },
    /// A dead letter.
    Parked(ParkReason),
    /// Given up by a rule.
    Dropped(DropRule, ParkReason),
    /// Sent, no answer.
    Unknown {
        /// Why, without personal data.
        reason: Arc<str>,
    },
    /// It was `unknown`, and the target does not hold it or takes it again without harm: it is planned again.
    NotThere,
}

impl SendOutcome {
    /// The word of metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Delivered(_) => "delivered",
            Self::Retry { .. } => "retried",
            Self::Split { .. } => "split",
            Self::Parked(_) => "parked",
            Self::Dropped(..) => "dropped",
            Self::Unknown { .. } => "unknown",
            Self::NotThere => "planned_again",
        }
    }
}

/// An attempt that failed, kept for the dead letter.
#[derive(Clone, Debug)]
pub struct FailedAttempt {
    /// Which attempt, from 1.
    pub number: u32,
    /// Whose words may be in what travelled: the owner of the seal.
    pub identity: IdentityId,
    /// The same delivery, as the seal is bound to it.
    pub idempotency: IdempotencyKey,
    /// The class of fault.
    pub class: &'static str,
    /// The code.
    pub code: &'static str,
    /// What is wrong, without personal data.
    pub message: Arc<str>,
    /// The request as sent, secrets masked, and the answer.
    pub exchange: Option<(Personal<String>, Personal<String>)>,
}

/// An outcome to be stored.
#[derive(Clone, Debug)]
pub struct ReceiptStep {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// What came of it.
    pub outcome: SendOutcome,
    /// Its leaf.
    pub leaf: Vec<u8>,
    /// What failed, where it is worth keeping.
    pub failed: Option<FailedAttempt>,
}

/// What came of what left together.
#[derive(Clone, Debug)]
pub struct ReceiptBatch {
    /// Now.
    pub at: Timestamp,
    /// The outcomes.
    pub outcomes: Vec<ReceiptStep>,
    /// How the endpoint stands from now on, where that changed.
    pub endpoint: Option<EndpointState>,
    /// What was spent until now, where that is not yet durable.
    pub spent: Vec<Spent>,
}
