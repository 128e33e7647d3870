//! Rank 2, who is this: an identity, the index of customers and the linkage model give a Decision with Evidence (design §6).

mod block;
mod cell;
mod compare;
mod decide;
mod distance;
mod evidence;
mod frequency;
mod handle;
mod index;
mod model;
mod postings;
mod rulebook;
mod score;
mod strings;
mod train;

pub use decide::{BasisOf, CustomerView, Digests, Permit, decide};
pub use evidence::recompute;
pub use index::{Index, PreparedCustomer, Preparer, Upsert};
pub use model::{
    BlockingRule, Compared, Comparison, CountedPart, HandleAgreement, KeyForm, KeyPart, Level, LevelTest, Model, NameAgreement, Prior,
    Reuse, TermFrequency,
};
pub use train::{Session, TrainOptions, Trained, TrainedComparison, TrainedLevel, train};
pub use rulebook::{Decide, Matching, Rule, RuleVerdict};

#[cfg(test)]
mod tests;
