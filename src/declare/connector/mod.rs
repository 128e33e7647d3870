//! Connector files: what a target offers, as its YAML file declares it.

mod field_kind;
pub mod http;
mod http_read;
mod object_name;
mod read;
mod rules;
pub mod soap;
pub mod sqlserver;
mod sqlserver_read;
mod target;

#[cfg(test)]
mod tests;

pub use field_kind::FieldKind;
pub use object_name::{LONGEST as LONGEST_SQL_NAME, ObjectName, quoted, text_literal};
pub use read::{read, schema};
pub use rules::{Breaker, Counted, DeliveryRules, FaultAction, FaultClass, FaultRule, Quotas, Retry};
pub use target::{Operation, TargetField, TargetFile, TargetKind, WriteMode};
