//! What was decided about an identity, and the evidence for it (design §1, §6).

use super::{CustomerId, Digest, IdentityId, Personal, Timestamp, Value};
use std::sync::Arc;

/// The five outcomes of deciding about an identity, never merged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// One customer, with enough evidence.
    Linked,
    /// Nobody we know, as far as the evidence goes.
    NotLinked,
    /// A person decides.
    Review,
    /// No lawful basis: decided before scoring, leaves no evidence about the person.
    NotPermitted,
    /// A fault prevented the decision: it is retried, never "not linked".
    Undetermined,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Linked, Self::NotLinked, Self::Review, Self::NotPermitted, Self::Undetermined];

    /// The words that mappings and people use.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Linked => "linked",
            Self::NotLinked => "not linked",
            Self::Review => "review",
            Self::NotPermitted => "not permitted",
            Self::Undetermined => "undetermined",
        }
    }

    /// The name in files, JSON and the audit log: [`Outcome::words`] with `_` for the blank.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linked => "linked",
            Self::NotLinked => "not_linked",
            Self::Review => "review",
            Self::NotPermitted => "not_permitted",
            Self::Undetermined => "undetermined",
        }
    }

    /// Reads a name or the words.
    pub fn from_name(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.name() == text || o.words() == text)
    }
}

/// The number of a decision in the store; deliveries and entries name it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DecisionId(pub i64);

/// What made a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkedBy {
    /// The rule of the mapping with this id.
    Rule(Arc<str>),
    /// The linkage model.
    Model,
    /// A person, who is never overridden.
    Person,
}

impl LinkedBy {
    /// What the audit log and the CRM name: the rule's id, `model` or `person`.
    pub fn name(&self) -> &str {
        match self {
            Self::Rule(id) => id,
            Self::Model => "model",
            Self::Person => "person",
        }
    }
}

/// An identity ↔ customer link as it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Link {
    /// The social side.
    pub identity: IdentityId,
    /// The CRM side.
    pub customer: CustomerId,
    /// The decision that made it.
    pub decision: DecisionId,
    /// What made it.
    pub by: LinkedBy,
    /// The name of the lawful basis.
    pub basis: Arc<str>,
    /// Since when it stands.
    pub since: Timestamp,
}

/// How one comparison came out for one candidate.
#[derive(Clone, PartialEq, Debug)]
pub struct ComparisonOutcome {
    /// The comparison's name in the model.
    pub comparison: Arc<str>,
    /// The level's label in the model; `missing` for the null level.
    pub level: Arc<str>,
    /// Splink's gamma: −1 null, 0 else, k−1 for the top level.
    pub gamma: i32,
    /// log2(m/u) of the level, in bits; 0 for the null level.
    pub bits: f64,
    /// The term frequency that was used, where the level adjusts for it.
    pub term_frequency: Option<f64>,
    /// The term-frequency adjustment, in bits; 0 where there is none.
    pub term_frequency_bits: f64,
}

/// A customer who could be the identity's owner.
#[derive(Clone, PartialEq, Debug)]
pub struct Candidate {
    /// Which customer.
    pub customer: CustomerId,
    /// Probability that this one, among all rivals and "none of them", is the owner: `odds_i / (1 + Σ odds)`.
    pub posterior: f64,
    /// Prior and comparisons together, in bits. The parts below sum to it: prior + Σ (`bits` + `term_frequency_bits`).
    pub match_weight: f64,
    /// Each comparison, in the model's order.
    pub comparisons: Vec<ComparisonOutcome>,
    /// Ids of the exact rules that name this customer.
    pub rules: Vec<Arc<str>>,
    /// The customer's cleaned values that were compared, by field.
    pub values: Personal<Vec<(Arc<str>, Value)>>,
}

/// A blocking rule that would have brought too many candidates and was cut.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockCut {
    /// The blocking rule's name.
    pub rule: Arc<str>,
    /// How many customers shared the key.
    pub size: u64,
}

/// What an exact rule found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleHit {
    /// The rule's id.
    pub rule: Arc<str>,
    /// How many customers it names, merges followed.
    pub customers: u64,
    /// Why it did not count, in words; `None` where it did.
    pub set_aside: Option<Arc<str>>,
}

/// Enough to take the decision again from the evidence alone.
#[derive(Clone, PartialEq, Debug)]
pub struct Evidence {
    /// The identity's cleaned values, by field.
    pub identity: Personal<Vec<(Arc<str>, Value)>>,
    /// Candidates above the floor, best first; at equal weight by customer id.
    pub candidates: Vec<Candidate>,
    /// How many more candidates there were below the floor.
    pub rest_count: u64,
    /// The sum of their odds.
    pub rest_odds: f64,
    /// The prior in bits: log2(λ/(1−λ)).
    pub prior_bits: f64,
    /// Exact rules that found somebody, in the mapping's order.
    pub rules: Vec<RuleHit>,
    /// Blocks that were cut.
    pub cuts: Vec<BlockCut>,
    /// Why a link was held back for a person although the evidence would link: other accounts of the customer speak against it. No personal value.
    pub held: Option<Arc<str>>,
    /// SHA-256 of the canonical form of the checked mapping.
    pub mapping: Digest,
    /// SHA-256 of the canonical form of the checked model; all zero where the mapping has none.
    pub model: Digest,
    /// SHA-256 of the built-in lookup tables (nicknames, places, calling codes).
    pub lookups: Digest,
}

/// Why no candidate was taken, in the closed list that pages and reports count by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum NotLinkedReason {
    /// No customer shares any blocking key or rule.
    NoCandidate,
    /// Candidates exist; all of them together are too unlikely.
    TooUnlikely,
}

/// A decision about an identity.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision {
    /// Which of the five. Never `NotPermitted` or `Undetermined` here with evidence about the person.
    pub outcome: Outcome,
    /// The best candidate, whatever the outcome.
    pub customer: Option<CustomerId>,
    /// The posterior of the best candidate, 0 to 1.
    pub probability: f64,
    /// The match weight of the best candidate, in bits.
    pub match_weight: f64,
    /// What links, or would link.
    pub by: Option<LinkedBy>,
    /// The lawful basis for the best candidate.
    pub basis: Option<Arc<str>>,
    /// Everything that went into it; `None` where nobody was scored.
    pub evidence: Option<Evidence>,
}

impl Decision {
    /// Nobody may be asked about: nothing is known of the person, and nothing is kept.
    pub const fn not_permitted() -> Self {
        Self { outcome: Outcome::NotPermitted, customer: None, probability: 0.0, match_weight: 0.0, by: None, basis: None, evidence: None }
    }
}

/// A fault that prevented a decision.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no decision could be taken: {cause}")]
pub struct Undetermined {
    /// What went wrong, without personal data.
    pub cause: Arc<str>,
}
