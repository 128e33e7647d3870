//! From evidence to a decision: the part that anyone can take again from the evidence alone.

use super::cell::cell;
use super::compare::Plan;
use super::score::{Part, odds, outcomes, parts, weight};
use super::{Matching, RuleVerdict};
use crate::model::{Candidate, Decision, Evidence, LinkedBy, Outcome};
use std::cmp::Ordering;
use std::sync::Arc;

/// Candidates of fewer bits than this are summed, not kept: odds below one in 1,024 can't change what a person would say.
pub(super) const FLOOR_BITS: f64 = -10.0;

/// Most candidates kept. With nine values of 40 bytes and five comparisons of 120 bytes each, 24 of them stay below 24 kB of the 65,535
/// bytes of a log entry.
pub(super) const MOST_CANDIDATES: usize = 24;

/// Best first; at equal weight by customer id.
pub(super) fn best_first(a: (f64, &str), b: (f64, &str)) -> Ordering {
    b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1))
}

/// Fills in the posteriors: `odds_i / (1 + Σ odds)`, summed in the order of the candidates, the rest last.
pub(super) fn fill_posteriors(evidence: &mut Evidence) {
    let total = evidence.candidates.iter().fold(1.0, |sum, c| sum + odds(c.match_weight)) + evidence.rest_odds;
    for candidate in &mut evidence.candidates {
        candidate.posterior = odds(candidate.match_weight) / total;
    }
}

/// How sure a link by a rule is: the rule's own precision, lowered by as much as the comparisons together speak against this customer, and
/// never below the model's posterior.
///
/// What speaks for the customer does not raise the precision: where a rule is wrong it is so about namesakes and families, for whom
/// the comparisons speak too. The posterior may, since it weighs the rivals.
fn rule_probability(precision: f64, candidate: &Candidate, prior_bits: f64) -> f64 {
    let against = (candidate.match_weight - prior_bits).min(0.0);
    let odds = precision / (1.0 - precision) * odds(against);
    (odds / (1.0 + odds)).max(candidate.posterior)
}

/// The decision that evidence leads to, without the basis.
pub(super) fn conclude(evidence: Evidence, matching: &Matching) -> Decision {
    let mut verdict = by_rules(&evidence, matching).unwrap_or_else(|| by_model(&evidence, matching));
    if verdict.outcome == Outcome::Linked && evidence.held.is_some() {
        verdict.outcome = Outcome::Review;
    }
    let best = verdict.candidate.and_then(|at| evidence.candidates.get(at));
    Decision {
        outcome: verdict.outcome,
        customer: best.map(|c| c.customer.clone()),
        probability: verdict.probability,
        match_weight: best.map_or(0.0, |c| c.match_weight),
        by: verdict.by,
        basis: None,
        evidence: Some(evidence),
    }
}

struct Verdict {
    outcome: Outcome,
    candidate: Option<usize>,
    probability: f64,
    by: Option<LinkedBy>,
}

/// What the exact rules say; `None` where they leave it to the model.
fn by_rules(evidence: &Evidence, matching: &Matching) -> Option<Verdict> {
    let hits = evidence.rules.iter().filter(|hit| hit.set_aside.is_none());
    let names = |rule: &Arc<str>, candidate: &Candidate| candidate.rules.contains(rule);
    let sole: Vec<(&Arc<str>, usize)> = hits
        .clone()
        .filter(|hit| hit.customers == 1)
        .filter_map(|hit| Some((&hit.rule, evidence.candidates.iter().position(|c| names(&hit.rule, c))?)))
        .collect();
    let (first, candidate) = sole.first().copied()?;
    let rule = matching.rules.iter().find(|rule| rule.id == *first)?;
    let named = evidence.candidates.get(candidate)?;
    let contradicted =
        sole.iter().any(|(_, other)| *other != candidate) || hits.filter(|hit| hit.customers > 1).any(|hit| !names(&hit.rule, named));
    let link = rule.verdict == RuleVerdict::Link && !contradicted;
    Some(Verdict {
        outcome: if link { Outcome::Linked } else { Outcome::Review },
        candidate: Some(candidate),
        probability: match (contradicted, matching.model.is_some()) {
            (true, true) => named.posterior,
            (true, false) => 0.0,
            (false, true) => rule_probability(rule.precision, named, evidence.prior_bits),
            (false, false) => rule.precision,
        },
        by: Some(LinkedBy::Rule(rule.id.clone())),
    })
}

/// What the posterior over all rivals says.
fn by_model(evidence: &Evidence, matching: &Matching) -> Verdict {
    let decide = matching.decide;
    let Some(best) = evidence.candidates.first() else {
        return Verdict { outcome: Outcome::NotLinked, candidate: None, probability: 0.0, by: None };
    };
    let next = evidence.candidates.get(1).map_or(0.0, |c| odds(c.match_weight));
    let ahead = odds(best.match_weight) >= decide.ahead_of_next * next;
    let total = evidence.candidates.iter().fold(1.0, |sum, c| sum + odds(c.match_weight)) + evidence.rest_odds;
    let sum = evidence.candidates.iter().fold(0.0, |sum, c| sum + c.posterior) + evidence.rest_odds / total;
    // Exact evidence that names several customers is a question for a person, however unlikely the model finds them: often a duplicate.
    let several = evidence.rules.iter().any(|hit| hit.set_aside.is_none() && hit.customers > 1);
    let modelled = matching.model.is_some();
    let outcome = if modelled && best.posterior >= decide.link_from && ahead {
        Outcome::Linked
    } else if several || (modelled && sum >= decide.ask_a_person_from) {
        Outcome::Review
    } else {
        Outcome::NotLinked
    };
    Verdict {
        outcome,
        candidate: Some(0),
        probability: if modelled { best.posterior } else { 0.0 },
        by: modelled.then_some(LinkedBy::Model),
    }
}

/// Takes the decision again from its evidence alone: levels from the values, bits from the model, posteriors and outcome. The numbers are
/// bit-identical to those of [`decide`](super::decide()); the basis is not part of the evidence and stays `None`.
pub fn recompute(evidence: &Evidence, matching: &Matching) -> Decision {
    recompute_known(evidence, matching, |_| true)
}

/// As [`recompute`], where values are gone: a candidate that is not `known` (by its position) is weighed from the levels and bits that stay,
/// summed in the same order. Where the identity's values are gone, no candidate is known.
pub fn recompute_known(evidence: &Evidence, matching: &Matching, known: impl Fn(usize) -> bool) -> Decision {
    let mut again = evidence.clone();
    if let Some(model) = matching.model.as_deref() {
        let identity_names: Vec<Arc<str>> = evidence.identity.reveal().iter().map(|(name, _)| name.clone()).collect();
        let cells: Vec<Option<String>> = evidence.identity.reveal().iter().map(|(_, value)| cell(value)).collect();
        let mut scratch: Vec<Part> = Vec::new();
        for (position, candidate) in again.candidates.iter_mut().enumerate() {
            if !known(position) {
                candidate.match_weight =
                    candidate.comparisons.iter().fold(evidence.prior_bits, |sum, c| sum + c.bits + c.term_frequency_bits);
                continue;
            }
            let names: Vec<Arc<str>> = candidate.values.reveal().iter().map(|(name, _)| name.clone()).collect();
            let values: Vec<Option<String>> = candidate.values.reveal().iter().map(|(_, value)| cell(value)).collect();
            let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
            let plan = Plan::new(model, &identity_names, &names);
            let subject = plan.subject(cells.clone());
            let frequency = |number: usize, _: usize| candidate.comparisons.get(number).and_then(|c| c.term_frequency);
            parts(model, &plan, &subject, &values, frequency, &mut scratch);
            candidate.match_weight = weight(evidence.prior_bits, &scratch);
            candidate.comparisons = outcomes(model, &scratch);
        }
        again.candidates.sort_by(|a, b| best_first((a.match_weight, a.customer.as_str()), (b.match_weight, b.customer.as_str())));
        fill_posteriors(&mut again);
    }
    conclude(again, matching)
}
