//! Connector files: what a target offers, as its YAML file declares it.

mod target;

pub use target::{FieldKind, Operation, TargetField, TargetFile, TargetKind, WriteMode};
