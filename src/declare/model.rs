//! Linkage model files, `mappings/models/*.yaml`: prior, blocking rules, term frequencies and comparisons with written m and u, checked
//! whole into a [`crate::resolve::Model`].

mod format;
mod read;
mod retrained;
mod splink_export;
mod splink_import;
mod text;

pub use format::{SHAPE, schema};
pub use read::{Fields, read};
pub use retrained::{Provenance, retrained};
pub use splink_export::splink;
pub use splink_import::splink_import;
pub use text::text;

#[cfg(test)]
mod tests;
