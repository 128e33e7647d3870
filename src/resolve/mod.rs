//! Rank 2, who is this: an identity, the index of customers and the linkage model give a Decision with Evidence (design §6).

mod block;
mod blocks;
mod cell;
mod compare;
mod decide;
mod distance;
mod evaluate;
mod evidence;
mod frequency;
mod handle;
mod index;
mod known;
mod model;
mod one_person;
mod postings;
mod random_pairs;
mod reach;
mod rulebook;
mod score;
mod standing;
mod strings;
mod train;
mod word;

pub use blocks::{Blocks, blocks};
pub use decide::{BasisOf, CustomerView, Digests, Permit, decide};
pub use distance::{jaro_winkler, levenshtein_at_most};
pub use evaluate::{Bin, Evaluation, Judged, Links, Suggestion, Threshold, evaluate};
pub use evidence::{recompute, recompute_known};
pub use index::{Filling, Index, PreparedCustomer, Preparer, Upsert};
pub use model::{
    BlockingRule, Compared, Comparison, CountedPart, HandleAgreement, KeyForm, KeyPart, Level, LevelTest, Model, NameAgreement, Prior,
    Reuse, TermFrequency,
};
pub use one_person::{Sibling, hold};
pub use reach::{Reach, reach};
pub use rulebook::{Decide, Matching, OnePerson, Rule, RuleVerdict};
pub use standing::{Standing, standing};
pub use train::{Session, TrainOptions, Trained, TrainedComparison, TrainedLevel, train};
pub use word::heed;

#[cfg(test)]
mod tests;
