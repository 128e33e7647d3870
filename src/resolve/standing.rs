//! How the candidates stand to each other: ties, and one person who is in the CRM twice.

use super::cell::{cell, meet};
use super::score::odds;
use super::{Matching, RuleVerdict};
use crate::model::{Candidate, CustomerId, Evidence};
use std::sync::Arc;

/// Weights that differ by less than this are a tie: a millionth of a bit is rounding, never evidence.
const SAME_BITS: f64 = 1e-6;

/// Candidates less likely than this against the best are no rivals to speak of: one in a thousand.
const FAR_BEHIND_BITS: f64 = 10.0;

/// Fields that must agree, none contradicting, where no rule names the ones that identify a person.
const FIELDS_ALIKE: usize = 5;

/// How the candidates stand to each other.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Standing {
    /// The candidates that are as likely as the best, it among them, by id; empty without a tie.
    pub tied: Vec<CustomerId>,
    /// Groups of candidates that are probably one person who is in the CRM more than once, each by id.
    pub duplicates: Vec<Vec<CustomerId>>,
    /// How many times the best one's odds are the next one's; infinite without a next one; `None` without candidates.
    pub ahead: Option<f64>,
}

/// How the candidates of an evidence stand to each other.
///
/// Two customers are probably one person where they agree on everything that one of the mapping's linking rules asks for (the same e-mail
/// address; the same telephone number and family name), or on five fields or more without differing in any that both have.
pub fn standing(evidence: &Evidence, matching: &Matching) -> Standing {
    let Some(best) = evidence.candidates.first() else { return Standing::default() };
    let near: Vec<&Candidate> =
        evidence.candidates.iter().filter(|c| best.match_weight - c.match_weight <= FAR_BEHIND_BITS || !c.rules.is_empty()).collect();
    let mut tied: Vec<CustomerId> =
        near.iter().filter(|c| (best.match_weight - c.match_weight).abs() < SAME_BITS).map(|c| c.customer.clone()).collect();
    tied.sort();
    if tied.len() < 2 {
        tied.clear();
    }
    let mut groups: Vec<Vec<&Candidate>> = Vec::new();
    for candidate in near {
        match groups.iter_mut().find(|group| group.iter().any(|other| one_person(candidate, other, matching))) {
            Some(group) => group.push(candidate),
            None => groups.push(vec![candidate]),
        }
    }
    let duplicates = groups
        .into_iter()
        .filter(|group| group.len() > 1)
        .map(|group| {
            let mut ids: Vec<CustomerId> = group.into_iter().map(|c| c.customer.clone()).collect();
            ids.sort();
            ids
        })
        .collect();
    let ahead = evidence.candidates.get(1).map_or(f64::INFINITY, |next| odds(best.match_weight) / odds(next.match_weight));
    Standing { tied, duplicates, ahead: Some(ahead) }
}

fn value<'a>(candidate: &'a Candidate, field: &str) -> Option<&'a crate::model::Value> {
    candidate.values.reveal().iter().find(|(name, _)| &**name == field).map(|(_, value)| value)
}

/// `Some` where both have the field: whether they agree.
fn agree(a: &Candidate, b: &Candidate, field: &str) -> Option<bool> {
    let (a, b) = (cell(value(a, field)?)?, cell(value(b, field)?)?);
    Some(meet(&a, &b))
}

fn one_person(a: &Candidate, b: &Candidate, matching: &Matching) -> bool {
    let by_rule = matching.rules.iter().filter(|rule| rule.verdict == RuleVerdict::Link).any(|rule| {
        let names: Option<Vec<&Arc<str>>> = rule.same.iter().map(|(_, at)| matching.customer_fields.get(*at)).collect();
        names.is_some_and(|names| !names.is_empty() && names.iter().all(|name| agree(a, b, name) == Some(true)))
    });
    let fields = a.values.reveal().iter().filter_map(|(name, _)| agree(a, b, name));
    let (alike, differ) = fields.fold((0, 0), |(alike, differ), same| if same { (alike + 1, differ) } else { (alike, differ + 1) });
    by_rule || (alike >= FIELDS_ALIKE && differ == 0)
}
