//! Connector files: what a target offers, as its YAML file declares it.

mod field_kind;
pub mod http;
mod http_read;
mod read;
mod rules;
pub mod soap;
mod target;

#[cfg(test)]
mod tests;

pub use field_kind::FieldKind;
pub use read::{read, schema};
pub use rules::{Breaker, Counted, DeliveryRules, FaultAction, FaultClass, FaultRule, Quotas, Retry};
pub use target::{Operation, TargetField, TargetFile, TargetKind, WriteMode};
