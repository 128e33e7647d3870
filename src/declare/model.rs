//! Linkage model files, `mappings/models/*.yaml`: prior, blocking rules, term frequencies and comparisons with written m and u, checked
//! whole into a [`crate::resolve::Model`].

mod format;
mod read;

pub use format::{SHAPE, schema};
pub use read::{Fields, read};

#[cfg(test)]
mod tests;
