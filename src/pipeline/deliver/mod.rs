//! *Send* and *receipt*. Nothing leaves before its intent is durable; what has no answer is settled, never hoped for.
//!
//! One [`Worker`] a target picks what may leave, within limits, order and urgency; up to `concurrency` lanes send it and store what came of
//! it. Targets of one [`Endpoint`] share its limits, its waits and its breaker.

mod budget;
mod endpoint;
mod lane;
mod pick;
mod report;
mod worker;

#[cfg(test)]
pub(super) use endpoint::Verdict;
pub use endpoint::{Endpoint, spent_quota, why};
pub use lane::Lane;
pub use report::{Allowance, Bell, Ended, Gate, Order, WorkerReport};
pub use worker::Worker;
