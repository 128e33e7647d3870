//! Rank 0, the nouns: what flows through Kith, named as the field names it (design §2).
//!
//! Nothing here does I/O, reads a clock or knows a file format.

mod activity;
mod customer;
mod decision;
mod delivery;
mod digest;
mod display;
mod identity;
mod network;
mod personal;
mod said;
pub mod stable_hash;
mod subject;
mod value;

pub use activity::{Activity, Audience, AudienceSet, Object, Verb, Version};
pub use customer::{Customer, CustomerId, Members, RelatedRecord};
pub use decision::{
    BlockCut, Candidate, ComparisonOutcome, Decision, DecisionId, Evidence, Link, LinkedBy, NotLinkedReason, Outcome, RuleHit, Undetermined,
};
pub use delivery::{
    ActivityState, Delivery, DeliveryId, DeliveryState, DropRule, Expects, FieldChange, IdempotencyKey, Intended, OperationId, ParkReason,
    Payload, Priority, Receipt, RecordKey, TargetId, WriteEffect, WriteIntent,
};
pub use digest::Digest;
pub use display::Display;
pub use identity::{Identity, IdentityId, Profile};
pub use network::{Network, UnknownNetwork};
pub use personal::Personal;
pub use said::{Said, Word};
pub use subject::SubjectId;
pub use value::Value;

/// A moment in UTC, nanosecond resolution. Read from the clock only in `pipeline`.
pub type Timestamp = jiff::Timestamp;
