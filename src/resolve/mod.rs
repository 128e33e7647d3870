//! Rank 2, who is this: an identity, the index of customers and the linkage model give a Decision with Evidence (design §6).

mod decide;
mod index;
mod model;
mod rulebook;

pub use decide::{BasisOf, CustomerView, Digests, Permit, decide, recompute};
pub use index::{Index, PreparedCustomer, Upsert};
pub use model::{
    BlockingRule, Compared, Comparison, CountedPart, HandleAgreement, KeyForm, KeyPart, Level, LevelTest, Model, NameAgreement, Prior,
    Reuse, TermFrequency,
};
pub use rulebook::{Decide, Matching, Rule, RuleVerdict};
