//! *Changes*: who would be decided otherwise under the mapping and model as they stand, and why. A changed rule or model changes nothing by itself:
//! this is its work-list. Nothing is stored.

use super::decide::{KnownSide, decision, over_threads};
use super::siblings::{ByCustomer, Siblings, by_customer, links};
use super::{Progress, RunError, Stage, posts};
use crate::declare::mapping::Rulebook;
use crate::model::{Candidate, CustomerId, Decision, Digest, Evidence, IdentityId, LinkedBy, Outcome, Value};
use crate::store::sqlite::SqliteReader;
use crate::store::{CurrentDecision, Post, StoredProfile};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Profiles read at once: some 2 KB each, 4 MB.
const PAGE: usize = 2_000;

/// A difference below this many bits is rounding.
const SAME_BITS: f64 = 1e-6;

/// A decision as the list shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdict {
    /// Which of the five.
    pub outcome: Outcome,
    /// The best candidate.
    pub customer: Option<CustomerId>,
    /// Its posterior, 0 to 1.
    pub probability: f64,
    /// What decided.
    pub by: Option<LinkedBy>,
}

/// Somebody who would be decided otherwise.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// Who.
    pub identity: IdentityId,
    /// The decision in force.
    pub before: Verdict,
    /// What would be decided now.
    pub now: Verdict,
    /// Whether another mapping or model decided before: else the CRM or the profile changed since.
    pub other_mapping: bool,
    /// Why, in sentences without personal values; the first says most.
    pub why: Vec<String>,
}

impl Change {
    /// What kind of change it is, for counting: `linked`, `unlinked`, `moved`, `to_review`, `from_review`, `other`.
    pub fn kind(&self) -> &'static str {
        match (self.before.outcome, self.now.outcome) {
            (Outcome::Linked, Outcome::Linked) => "moved",
            (_, Outcome::Linked) => "linked",
            (_, Outcome::Review) => "to_review",
            (Outcome::Linked, _) => "unlinked",
            (Outcome::Review, _) => "from_review",
            _ => "other",
        }
    }
}

/// Who would be decided otherwise, in short.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Otherwise {
    /// Who.
    pub identity: IdentityId,
    /// The customer whose link would end or move.
    pub relinked: Option<CustomerId>,
}

/// What looking at everybody showed.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Changes {
    /// Identities that were looked at.
    pub looked_at: u64,
    /// Of these, a person decided; that stands whatever the mapping says.
    pub by_person: u64,
    /// Who would be decided otherwise, in the store's order, at most as many as were asked for.
    pub changes: Vec<Change>,
    /// How many there are in all.
    pub count: u64,
    /// All of them, in short: some 200 bytes each.
    pub all: Vec<Otherwise>,
}

/// Decides about everybody again and compares with the decision in force. At most `listed` are told.
///
/// # Errors
/// When the store can't be read.
pub fn changes(
    rulebook: &Rulebook,
    known: &KnownSide,
    reader: &SqliteReader,
    listed: usize,
    progress: &dyn Progress,
) -> Result<Changes, RunError> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut all = Changes::default();
    let mut siblings = Siblings::default();
    let mut after = None;
    loop {
        let page = reader.profiles(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.row);
        all.looked_at += page.len() as u64;
        let posts = posts::of_page_read(rulebook, reader, &page)?;
        let told: Vec<(&StoredProfile, &[Post])> = page.iter().zip(posts.iter().map(Vec::as_slice)).collect();
        let size = page.len().div_ceil(threads).max(1);
        let anew = over_threads(told.chunks(size), |chunk| decided_anew(rulebook, known, chunk));
        let there = if rulebook.matching.one_person.is_empty() {
            ByCustomer::new()
        } else {
            let customers: BTreeSet<CustomerId> = anew.iter().flatten().filter_map(|anew| links(&anew.decision)).collect();
            by_customer(rulebook, reader.linked_to(&customers.into_iter().collect::<Vec<_>>())?)
        };
        for (stored, anew) in page.iter().zip(anew) {
            let Some((before, mapping)) = &stored.decided else { continue };
            let Some(Anew { cleaned, decision }) = anew else {
                all.by_person += 1;
                continue;
            };
            let now = siblings.one(rulebook, (stored.row, stored.id.network), &cleaned, decision, &there);
            if !differs(known, before, &now) {
                continue;
            }
            all.count += 1;
            let relinked = before.customer.clone().filter(|_| before.outcome == Outcome::Linked);
            all.all.push(Otherwise { identity: stored.id.clone(), relinked });
            if all.changes.len() < listed {
                // The evidence is opened only of those that are listed.
                let evidence = reader.decision(&stored.id)?.and_then(|shown| shown.evidence);
                all.changes.push(change(rulebook, stored.id.clone(), before, *mapping, evidence.as_ref(), &now));
            }
        }
        progress.advance(Stage::Decide, page.len() as u64, None);
    }
    progress.finished(Stage::Decide);
    Ok(all)
}

/// A decision that was taken anew, and from what.
struct Anew {
    cleaned: Vec<Value>,
    decision: Decision,
}

/// In order; `None` for whom nobody or a person decided.
fn decided_anew(rulebook: &Rulebook, known: &KnownSide, profiles: &[(&StoredProfile, &[Post])]) -> Vec<Option<Anew>> {
    let one = |(stored, posts): &(&StoredProfile, &[Post])| {
        let (before, _) = stored.decided.as_ref()?;
        if before.by == Some(LinkedBy::Person) {
            return None;
        }
        let cleaned = posts::cleaned_stored(rulebook, stored, posts);
        let decision = decision(rulebook, known, &stored.id, &stored.profile, &cleaned);
        Some(Anew { cleaned, decision })
    };
    profiles.iter().map(one).collect()
}

/// Whether it is another outcome, or a link to another customer. A link to a customer that was merged moves by the CRM's own word.
fn differs(known: &KnownSide, before: &CurrentDecision, now: &Decision) -> bool {
    let linked = |outcome, customer: &Option<CustomerId>| if outcome == Outcome::Linked { customer.clone() } else { None };
    let there = linked(before.outcome, &before.customer).map(|id| known.index.survivor(&id).unwrap_or(id));
    before.outcome != now.outcome || there != linked(now.outcome, &now.customer)
}

fn change(
    rulebook: &Rulebook,
    identity: IdentityId,
    before: &CurrentDecision,
    mapping: Digest,
    evidence: Option<&Evidence>,
    now: &Decision,
) -> Change {
    let model = rulebook.matching.model.as_ref().map_or(Digest([0; 32]), |model| model.digest);
    Change {
        identity,
        before: Verdict {
            outcome: before.outcome,
            customer: before.customer.clone(),
            probability: before.probability,
            by: before.by.clone(),
        },
        now: Verdict { outcome: now.outcome, customer: now.customer.clone(), probability: now.probability, by: now.by.clone() },
        other_mapping: mapping != rulebook.digest || evidence.is_some_and(|evidence| evidence.model != model),
        why: why(before, evidence, now),
    }
}

/// What led to another decision, said by rules, candidates and bits.
fn why(before: &CurrentDecision, evidence: Option<&Evidence>, now: &Decision) -> Vec<String> {
    let mut said = Vec::new();
    match (&before.by, &now.by) {
        (Some(was), Some(is)) if was != is => said.push(format!("`{}` decides, not `{}`", is.name(), was.name())),
        (Some(was), None) => said.push(format!("`{}` decides no more", was.name())),
        _ => {}
    }
    if now.outcome == Outcome::NotPermitted || before.outcome == Outcome::NotPermitted {
        said.push("the lawful basis differs".to_owned());
        return said;
    }
    let (Some(old), Some(new)) = (evidence, now.evidence.as_ref()) else {
        said.push("the evidence of the decision in force is gone, or there was none".to_owned());
        return said;
    };
    for hit in &new.rules {
        if !old.rules.iter().any(|other| other == hit) {
            let note = hit.set_aside.as_ref().map_or(String::new(), |why| format!(", set aside: {why}"));
            said.push(format!("rule `{}` names {} customer(s){note}", hit.rule, hit.customers));
        }
    }
    for hit in &old.rules {
        if !new.rules.iter().any(|other| other.rule == hit.rule) {
            said.push(format!("rule `{}` names nobody any more", hit.rule));
        }
    }
    if let Some(held) = &new.held {
        said.push(held.to_string());
    }
    let customer = now.customer.as_ref().or(before.customer.as_ref());
    if before.customer != now.customer
        && let (Some(was), Some(is)) = (&before.customer, &now.customer)
    {
        said.push(format!("{} is more likely than {}", is.as_str(), was.as_str()));
    }
    let of = |evidence: &Evidence| customer.and_then(|id| evidence.candidates.iter().find(|c| c.customer == *id)).cloned();
    match (of(old), of(new)) {
        (Some(was), Some(is)) => said.extend(weights(&was, &is, old, new)),
        (None, Some(is)) => said.push(format!("{} was no candidate before", is.customer.as_str())),
        (Some(was), None) => said.push(format!("{} is no candidate any more", was.customer.as_str())),
        (None, None) => {}
    }
    if old.lookups != new.lookups {
        said.push("Kith's own tables of names and places are others".to_owned());
    }
    if said.is_empty() {
        said.push("the evidence is the same: what `decide` asks for differs".to_owned());
    }
    said
}

/// How the weight of one customer differs: the posterior, then the comparison that differs most, or what else does.
fn weights(was: &Candidate, is: &Candidate, old: &Evidence, new: &Evidence) -> Vec<String> {
    let mut said = Vec::new();
    let bits = is.match_weight - was.match_weight;
    if bits.abs() >= SAME_BITS || (is.posterior - was.posterior).abs() >= SAME_BITS {
        said.push(format!("posterior {:.2} %, was {:.2} %", is.posterior * 100.0, was.posterior * 100.0));
    }
    let sum = |candidate: &Candidate, name: &Arc<str>| {
        let outcome = candidate.comparisons.iter().find(|outcome| outcome.comparison == *name);
        outcome.map_or(("not compared".into(), 0.0), |o| (o.level.clone(), o.bits + o.term_frequency_bits))
    };
    let names = is.comparisons.iter().chain(&was.comparisons).map(|outcome| &outcome.comparison);
    let most = names
        .map(|name| (name, sum(was, name), sum(is, name)))
        .max_by(|a, b| (a.2.1 - a.1.1).abs().total_cmp(&(b.2.1 - b.1.1).abs()))
        .filter(|(_, was, is)| (is.1 - was.1).abs() >= SAME_BITS);
    if let Some((name, was, is)) = most {
        let levels = if was.0 == is.0 { format!("`{}`", is.0) } else { format!("`{}`, was `{}`", is.0, was.0) };
        said.push(format!("{name}: {levels}, {:+.2} bits, was {:+.2}", is.1, was.1));
    }
    if (new.prior_bits - old.prior_bits).abs() >= SAME_BITS {
        said.push(format!("prior {:+.2} bits, was {:+.2}", new.prior_bits, old.prior_bits));
    }
    if bits.abs() < SAME_BITS && (is.posterior - was.posterior).abs() >= SAME_BITS {
        said.push("its own weight is the same: its rivals differ".to_owned());
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ComparisonOutcome, Personal, RuleHit, Timestamp};

    fn evidence(bits: f64, rules: Vec<RuleHit>) -> Evidence {
        let outcome = ComparisonOutcome {
            comparison: "city".into(),
            level: "same".into(),
            gamma: 1,
            bits,
            term_frequency: None,
            term_frequency_bits: 0.0,
        };
        let candidate = Candidate {
            customer: "C1".into(),
            posterior: bits / 10.0,
            match_weight: bits,
            comparisons: vec![outcome],
            rules: Vec::new(),
            values: Personal::default(),
        };
        Evidence {
            identity: Personal::default(),
            candidates: vec![candidate],
            rest_count: 0,
            rest_odds: 0.0,
            prior_bits: 0.0,
            rules,
            cuts: Vec::new(),
            held: None,
            mapping: Digest([0; 32]),
            model: Digest([0; 32]),
            lookups: Digest([0; 32]),
        }
    }

    fn said(old: &Evidence, new: Evidence, now: Outcome) -> Vec<String> {
        let before = CurrentDecision {
            outcome: Outcome::Review,
            customer: Some("C1".into()),
            by: None,
            basis: None,
            probability: 0.5,
            match_weight: 1.0,
            reference: Digest([0; 32]),
            at: Timestamp::UNIX_EPOCH,
        };
        let now = Decision {
            outcome: now,
            customer: Some("C1".into()),
            probability: 0.9,
            match_weight: 2.0,
            by: None,
            basis: None,
            evidence: Some(new),
        };
        why(&before, Some(old), &now)
    }

    #[test]
    fn the_comparison_that_differs_is_named_with_its_bits() {
        let why = said(&evidence(5.0, Vec::new()), evidence(9.0, Vec::new()), Outcome::Linked);
        assert_eq!(why, ["posterior 90.00 %, was 50.00 %", "city: `same`, +9.00 bits, was +5.00"]);
    }

    #[test]
    fn a_rule_that_came_or_went_is_named() {
        let hit = |customers| RuleHit { rule: "same-email".into(), customers, set_aside: None };
        let why = said(&evidence(5.0, Vec::new()), evidence(5.0, vec![hit(2)]), Outcome::Linked);
        assert_eq!(why, ["rule `same-email` names 2 customer(s)"]);
        let why = said(&evidence(5.0, vec![hit(1)]), evidence(5.0, Vec::new()), Outcome::NotLinked);
        assert_eq!(why, ["rule `same-email` names nobody any more"]);
    }

    #[test]
    fn where_nothing_but_the_thresholds_differs_it_says_so() {
        let why = said(&evidence(5.0, Vec::new()), evidence(5.0, Vec::new()), Outcome::Linked);
        assert_eq!(why, ["the evidence is the same: what `decide` asks for differs"]);
    }
}
