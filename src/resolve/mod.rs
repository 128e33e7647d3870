//! Rank 2, who is this: an identity, the index of customers and the linkage model give a Decision with Evidence (design §6).

mod rulebook;

/// A Fellegi–Sunter linkage model.
#[derive(Clone, Debug)]
pub struct Model;

pub use rulebook::{Decide, Matching, Rule, RuleVerdict};
