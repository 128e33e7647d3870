//! Why the evidence leads to this decision and no other, in a sentence with the thresholds that it was held against.

use crate::model::{Evidence, LinkedBy, Outcome};
use crate::resolve::{Matching, RuleVerdict, Standing};
use crate::store::CurrentDecision;

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// `None` where the decision says it itself. `matching` must be the one that decided.
pub(super) fn reason(decision: &CurrentDecision, evidence: &Evidence, matching: &Matching, standing: Option<&Standing>) -> Option<String> {
    let decide = matching.decide;
    let sum = evidence.candidates.iter().fold(0.0, |sum, c| sum + c.posterior).min(1.0);
    let ahead = standing.and_then(|standing| standing.ahead).unwrap_or(f64::INFINITY);
    let rule = match &decision.by {
        Some(LinkedBy::Rule(id)) => matching.rules.iter().find(|rule| rule.id == *id),
        Some(LinkedBy::Person) => return Some("a person decided; that stands".to_owned()),
        Some(LinkedBy::Model) | None => None,
    };
    match (decision.outcome, rule) {
        (Outcome::Linked, Some(rule)) => Some(format!("rule `{}` finds this customer and no other", rule.id)),
        (Outcome::Linked, None) => {
            Some(format!("a link needs {}, and odds {} times the next one's", percent(decide.link_from), decide.ahead_of_next))
        }
        (Outcome::Review, _) if evidence.held.is_some() => None,
        (Outcome::Review, Some(rule)) if rule.verdict == RuleVerdict::Review => Some(format!("rule `{}` asks a person", rule.id)),
        (Outcome::Review, Some(_)) => Some("exact rules name different customers: a person decides".to_owned()),
        (Outcome::Review, None) if evidence.rules.iter().any(|hit| hit.set_aside.is_none() && hit.customers > 1) => {
            Some("an exact rule names several customers: a person decides".to_owned())
        }
        (Outcome::Review, None) if decision.probability >= decide.link_from && ahead < decide.ahead_of_next => {
            Some(format!("no link: the best is {ahead:.1} times as likely as the next, and {} times are asked for", decide.ahead_of_next))
        }
        (Outcome::Review, None) => Some(format!(
            "no link: {:.3} % is below {}; a person is asked since all candidates together have at least {}",
            decision.probability * 100.0,
            percent(decide.link_from),
            percent(decide.ask_a_person_from)
        )),
        (Outcome::NotLinked, _) if evidence.candidates.is_empty() => {
            Some("no customer shares a rule's values or a blocking key, or all are very unlikely".to_owned())
        }
        (Outcome::NotLinked, _) => {
            Some(format!("all candidates together have {}; a person is asked from {}", percent(sum), percent(decide.ask_a_person_from)))
        }
        (Outcome::NotPermitted | Outcome::Undetermined, _) => None,
    }
}
