//! Who is asked for, who is permitted, how they score: the way from an identity to evidence.

use super::cell::{cell, meet};
use super::compare::Plan;
use super::evidence::{FLOOR_BITS, MOST_CANDIDATES, best_first, conclude, fill_posteriors};
use super::postings::Row;
use super::score::{Part, odds, outcomes, parts, weight};
use super::{Index, Matching};
use crate::model::{BlockCut, Candidate, CustomerId, Decision, Digest, Evidence, Personal, RuleHit, Value};
use std::sync::Arc;

/// More customers than this under one rule's key are no evidence, whatever the rule allows: a switchboard's number, `info@`.
const MOST_BY_RULE: usize = 16;

/// More rows than this under one rule's key are not looked at one by one: the rule is set aside. Records merged into one customer count apart
/// here, and nobody merges a thousand.
const MOST_UNDER_A_RULE: usize = 1_024;

/// Most rows that one identity is compared with; blocks beyond are cut and named. At 0.2 µs a row it takes 3 ms, and is met only where many
/// blocks of one identity are nearly as large as their rules allow.
const MOST_COMPARED: usize = 16_384;

/// Rows whose texts are fetched before they are compared: 64 rows of eight texts fill a quarter of the first cache.
const FETCHED: usize = 64;

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
    index: &'a Index,
    row: Row,
}

impl CustomerView<'_> {
    /// The CRM's key.
    pub fn id(&self) -> CustomerId {
        self.index.id(self.row)
    }

    /// The cleaned value of a declared customer field; `Missing` for any other name.
    pub fn value(&self, field: &str) -> Value {
        self.index.named(self.row, field)
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

impl Permit<'_> {
    /// The basis for the customer of a row.
    pub(super) fn basis(&self, index: &Index, row: Row) -> Option<Arc<str>> {
        (self.customer)(&CustomerView { index, row }).or_else(|| self.anyone.clone())
    }
}

/// A record that may be the identity's owner, under the customer that survives.
pub(super) struct Found {
    pub(super) survivor: Row,
    row: Row,
    pub(super) rules: Vec<usize>,
}

/// Decides about an identity. `identity` is what [`crate::normalize::clean_identity`] gave for the index's fields.
///
/// Same index content, inputs and rulebook give a bit-identical decision, whatever the order in which customers were inserted. `matching` must
/// be the one that the index was made with.
pub fn decide(index: &Index, identity: &[Value], matching: &Matching, digests: Digests, permit: &Permit<'_>) -> Decision {
    let cells: Vec<Option<String>> = identity.iter().map(cell).collect();
    let (mut found, mut hits) = by_rules(index, &cells, matching);
    let mut cuts = Vec::new();
    by_blocks(index, &cells, matching, &mut found, &mut cuts);
    if permit.anyone.is_none() {
        // Without a basis that covers anyone each customer is asked about; who is not permitted is forgotten here.
        found.retain(|f| permit.basis(index, f.survivor).is_some());
        if found.is_empty() {
            return Decision::not_permitted();
        }
        hits.retain(|(rule, _)| found.iter().any(|f| f.rules.contains(rule)));
    }
    let evidence = score(index, identity, cells, matching, digests, found, hits.into_iter().map(|(_, hit)| hit).collect(), cuts);
    let mut decision = conclude(evidence, matching);
    decision.basis = decision.customer.as_ref().and_then(|customer| permit.basis(index, index.row(customer)?));
    decision
}

/// Rows that agree with the identity on a rule, the values themselves compared.
pub(super) fn by_rules(index: &Index, cells: &[Option<String>], matching: &Matching) -> (Vec<Found>, Vec<(usize, RuleHit)>) {
    let (mut found, mut hits): (Vec<Found>, Vec<(usize, RuleHit)>) = (Vec::new(), Vec::new());
    let at = |at: usize| cells.get(at).and_then(Option::as_deref);
    for (number, rule) in matching.rules.iter().enumerate() {
        let agrees = |row: &Row| rule.same.iter().all(|(i, c)| matches!((at(*i), index.cell(*row, *c)), (Some(a), Some(b)) if meet(a, b)));
        let keys = index.keys.of_identity(index.keys.blocking() + number, &at);
        let under: usize = keys.iter().map(|key| index.rows(*key).len()).sum();
        if under > MOST_UNDER_A_RULE {
            let set_aside = Some(Arc::from(format!("shared by {under} customers")));
            hits.push((number, RuleHit { rule: rule.id.clone(), customers: u64::try_from(under).unwrap_or(u64::MAX), set_aside }));
            continue;
        }
        let mut rows: Vec<Row> = keys.into_iter().flat_map(|key| index.rows(key)).copied().filter(agrees).collect();
        rows.sort_unstable();
        rows.dedup();
        let mut survivors: Vec<Row> = rows.iter().map(|row| index.survivor_row(*row)).collect();
        survivors.sort_unstable();
        survivors.dedup();
        if survivors.is_empty() {
            continue;
        }
        let shared = survivors.len();
        let limit = rule.ignore_if_shared_by_more_than.and_then(|n| usize::try_from(n).ok()).map_or(MOST_BY_RULE, |n| n.min(MOST_BY_RULE));
        let set_aside = (shared > limit).then(|| Arc::from(format!("shared by {shared} customers")));
        if set_aside.is_none() {
            found.extend(rows.into_iter().map(|row| Found { survivor: index.survivor_row(row), row, rules: vec![number] }));
        }
        hits.push((number, RuleHit { rule: rule.id.clone(), customers: u64::try_from(shared).unwrap_or(u64::MAX), set_aside }));
    }
    (found, hits)
}

/// Rows that share a blocking key; keys that too many share are cut and named.
fn by_blocks(index: &Index, cells: &[Option<String>], matching: &Matching, found: &mut Vec<Found>, cuts: &mut Vec<BlockCut>) {
    let at = |at: usize| cells.get(at).and_then(Option::as_deref);
    let mut rows: Vec<Row> = Vec::new();
    for (number, rule) in matching.model.iter().flat_map(|model| model.blocking.iter().enumerate()) {
        let mut cut = 0;
        for key in index.keys.of_identity(number, &at) {
            let block = index.rows(key);
            let too_many = block.len() > usize::try_from(rule.cut_above).unwrap_or(usize::MAX);
            if too_many || rows.len() + block.len() > MOST_COMPARED {
                cut = cut.max(block.len());
            } else {
                rows.extend(block);
            }
        }
        if cut > 0 {
            cuts.push(BlockCut { rule: rule.id.clone(), size: u64::try_from(cut).unwrap_or(u64::MAX) });
        }
    }
    rows.sort_unstable();
    rows.dedup();
    found.extend(rows.into_iter().map(|row| Found { survivor: index.survivor_row(row), row, rules: Vec::new() }));
}

/// A candidate before its evidence is written out.
struct Scored {
    survivor: Row,
    row: Row,
    weight: f64,
    rules: Vec<usize>,
}

#[expect(clippy::too_many_arguments, reason = "each is one part of the evidence, and there is one caller")]
fn score(
    index: &Index,
    identity: &[Value],
    cells: Vec<Option<String>>,
    matching: &Matching,
    digests: Digests,
    found: Vec<Found>,
    rules: Vec<RuleHit>,
    cuts: Vec<BlockCut>,
) -> Evidence {
    let prior_bits = index.prior_bits();
    let modelled = matching.model.as_deref().zip(index.plan.as_ref()).map(|(model, plan)| (model, plan, plan.subject(cells)));
    // How common the identity's own values are is the same beside each candidate.
    let theirs: Vec<Option<f64>> = modelled.as_ref().map_or_else(Vec::new, |(model, _, subject)| {
        (0..model.term_frequencies.len()).map(|table| index.identity_frequency(table, &subject.cells)).collect()
    });
    let mut texts: Vec<Option<&str>> = Vec::with_capacity(index.customer_names.len());
    let mut scratch: Vec<Part> = Vec::new();
    let mut score_row = |row: Row, scratch: &mut Vec<Part>| {
        let Some((model, plan, subject)) = &modelled else { return prior_bits };
        index.some_cells_of(row, plan.reads(), &mut texts);
        parts(model, plan, subject, &texts, |_, table| index.term_frequency(table, theirs.get(table).copied().flatten(), &texts), scratch);
        weight(prior_bits, scratch)
    };
    // One candidate a surviving customer: the best of its records speaks for it, at equal weight the one with the smaller id.
    let mut found = found;
    found.sort_by_key(|f| (f.survivor, f.row));
    let mut scored: Vec<Scored> = Vec::with_capacity(found.len());
    let mut last = None;
    let reads = index.plan.as_ref().map(Plan::reads).unwrap_or_default();
    let rows: Vec<Row> = found.iter().map(|f| f.row).collect();
    for (number, f) in found.into_iter().enumerate() {
        if number.is_multiple_of(FETCHED) {
            index.fetch(rows.iter().skip(number).take(FETCHED), reads);
        }
        if last == Some(f.row)
            && let Some(same) = scored.last_mut()
            && same.survivor == f.survivor
        {
            same.rules.extend(f.rules);
            continue;
        }
        last = Some(f.row);
        let weight = score_row(f.row, &mut scratch);
        match scored.last_mut().filter(|same| same.survivor == f.survivor) {
            Some(same) => {
                if best_first((weight, index.id_text(f.row)), (same.weight, index.id_text(same.row))).is_lt() {
                    (same.weight, same.row) = (weight, f.row);
                }
                same.rules.extend(f.rules);
            }
            None => scored.push(Scored { survivor: f.survivor, row: f.row, weight, rules: f.rules }),
        }
    }
    // As `best_first`; ids are looked up only for a tie.
    let id = |scored: &Scored| index.id_text(scored.survivor);
    scored.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| id(a).cmp(id(b))));
    let mut evidence = Evidence {
        identity: Personal::new(
            index.identity_names.iter().cloned().zip(identity.iter().cloned()).filter(|(_, v)| !v.is_missing()).collect(),
        ),
        candidates: Vec::new(),
        rest_count: 0,
        rest_odds: 0.0,
        prior_bits,
        rules,
        cuts,
        held: None,
        mapping: digests.mapping,
        model: digests.model,
        lookups: digests.lookups,
    };
    for mut candidate in scored {
        candidate.rules.sort_unstable();
        candidate.rules.dedup();
        let kept = !candidate.rules.is_empty() || (candidate.weight >= FLOOR_BITS && evidence.candidates.len() < MOST_CANDIDATES);
        if !kept {
            evidence.rest_count += 1;
            evidence.rest_odds += odds(candidate.weight);
            continue;
        }
        score_row(candidate.row, &mut scratch);
        evidence.candidates.push(Candidate {
            customer: index.id(candidate.survivor),
            posterior: 0.0,
            match_weight: candidate.weight,
            comparisons: modelled.as_ref().map(|(model, _, _)| outcomes(model, &scratch)).unwrap_or_default(),
            rules: candidate.rules.iter().filter_map(|number| matching.rules.get(*number)).map(|rule| rule.id.clone()).collect(),
            values: Personal::new(index.row_values(candidate.row)),
        });
    }
    fill_posteriors(&mut evidence);
    evidence
}
