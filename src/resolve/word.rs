//! People's word above the rules and the model: their yes or no is never overridden.

use super::evidence::conclude;
use super::{Index, Matching, Permit};
use crate::model::{CustomerId, Decision, LinkedBy, Outcome, Word};
use std::sync::Arc;

/// The decision that follows what people said. The evidence stays as the model found it.
///
/// A link needs a lawful basis whoever makes it: without one the decision stays as it was, held back. Where the customer that people named is
/// gone, or somebody who was no candidate when they said "none of them" would now be linked or asked about, it is a question for a person again.
pub fn heed(decision: Decision, word: &Word, index: &Index, matching: &Matching, permit: &Permit<'_>) -> Decision {
    match word {
        Word::Customer(named) => {
            let Some((customer, row)) = index.survivor(named).and_then(|id| index.row(&id).map(|row| (id, row))) else {
                return held(decision, matching, "the customer that a person named is gone".into());
            };
            let Some(basis) = permit.basis(index, row) else {
                return held(decision, matching, "no lawful basis holds for the customer that a person named".into());
            };
            let candidate = decision.evidence.iter().flat_map(|e| &e.candidates).find(|c| c.customer == customer);
            let (probability, match_weight) = candidate.map_or((0.0, 0.0), |c| (c.posterior, c.match_weight));
            Decision {
                outcome: Outcome::Linked,
                customer: Some(customer),
                probability,
                match_weight,
                by: Some(LinkedBy::Person),
                basis: Some(basis),
                evidence: decision.evidence,
            }
        }
        Word::Nobody { rejected } => {
            let was_rejected =
                |id: &CustomerId| rejected.iter().any(|gone| gone == id || index.survivor(gone).is_some_and(|survivor| survivor == *id));
            match decision.outcome {
                Outcome::NotPermitted | Outcome::Undetermined => decision,
                Outcome::Linked | Outcome::Review if !decision.customer.as_ref().is_some_and(was_rejected) => {
                    held(decision, matching, "a person said that it was nobody, and this customer was no candidate then".into())
                }
                Outcome::Linked | Outcome::Review | Outcome::NotLinked => {
                    Decision { outcome: Outcome::NotLinked, by: Some(LinkedBy::Person), basis: None, ..decision }
                }
            }
        }
    }
}

/// A question for a person; where nobody was scored, there is none to ask.
fn held(decision: Decision, matching: &Matching, reason: Arc<str>) -> Decision {
    let Decision { evidence: Some(mut evidence), basis, .. } = decision else { return decision };
    evidence.held = Some(reason);
    let concluded = Decision { basis, ..conclude(evidence, matching) };
    if concluded.outcome == Outcome::Review {
        return concluded;
    }
    // The rules and the model would not ask: the question is a person's own.
    Decision { outcome: Outcome::Review, by: Some(LinkedBy::Person), ..concluded }
}
