//! Connector files: what a target offers, as its YAML file declares it.

pub mod http;
mod http_read;
mod read;
mod rules;
pub mod soap;
mod target;

#[cfg(test)]
mod tests;

pub use read::{read, schema};
pub use rules::{Breaker, Counted, DeliveryRules, FaultAction, FaultClass, FaultRule, Quotas, Retry};
pub use target::{FieldKind, Operation, TargetField, TargetFile, TargetKind, WriteMode};
