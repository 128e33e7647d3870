//! Rules in order, then the model; the posterior over all rivals decides.

use super::{Index, Matching};
use crate::model::{CustomerId, Decision, Digest, Evidence, Outcome, Value};
use std::sync::Arc;

/// What a decision rests on, by digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digests {
    /// SHA-256 of the canonical form of the checked mapping.
    pub mapping: Digest,
    /// SHA-256 of the canonical form of the checked model; all zero where the mapping has none.
    pub model: Digest,
    /// [`crate::normalize::lookups`].
    pub lookups: Digest,
}

/// A customer as [`Permit`] sees it.
#[derive(Debug)]
pub struct CustomerView<'a> {
    pub(super) index: &'a Index,
    pub(super) id: CustomerId,
}

impl CustomerView<'_> {
    /// The CRM's key.
    pub fn id(&self) -> &CustomerId {
        &self.id
    }

    /// The cleaned value of a declared customer field; `Missing` for any other name.
    pub fn value(&self, _field: &str) -> Value {
        Value::Missing
    }
}

/// Gives the lawful basis on which an identity may be matched with one customer.
pub type BasisOf<'a> = dyn Fn(&CustomerView<'_>) -> Option<Arc<str>> + 'a;

/// Who an identity may be matched with. Asked before anybody is scored.
pub struct Permit<'a> {
    /// The name of the basis that covers anyone.
    pub anyone: Option<Arc<str>>,
    /// The basis for a particular customer, asked first; where it gives none, `anyone` is used.
    pub customer: &'a BasisOf<'a>,
}

impl std::fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit").field("anyone", &self.anyone).finish_non_exhaustive()
    }
}

/// Decides about an identity. `identity` is what [`crate::normalize::clean_identity`] gave for the index's fields.
///
/// Same index content, inputs and rulebook give a bit-identical decision, whatever the order in which customers were inserted.
pub fn decide(index: &Index, identity: &[Value], matching: &Matching, digests: Digests, permit: &Permit<'_>) -> Decision {
    let _unused = (index, identity, matching, digests, permit);
    Decision { outcome: Outcome::NotPermitted, customer: None, probability: 0.0, match_weight: 0.0, by: None, basis: None, evidence: None }
}

/// Takes the decision again from its evidence alone: levels from the values, bits from the model, posteriors and outcome. The numbers are
/// bit-identical to those of [`decide`]; the basis is not part of the evidence and stays `None`.
pub fn recompute(evidence: &Evidence, matching: &Matching) -> Decision {
    let _unused = (evidence, matching);
    Decision { outcome: Outcome::NotLinked, customer: None, probability: 0.0, match_weight: 0.0, by: None, basis: None, evidence: None }
}
