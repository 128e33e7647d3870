//! Connector files: what a target offers, as its YAML file declares it.

mod read;
mod target;

#[cfg(test)]
mod tests;

pub use read::{read, schema};
pub use target::{FieldKind, Operation, TargetField, TargetFile, TargetKind, WriteMode};
