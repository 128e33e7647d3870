//! Training without labels: u from random pairs and from counted values, m by expectation maximisation (EM) in one session a blocking rule,
//! the prior from the exact rules and a stated recall; and both from the pairs that certain exact rules know, where they are enough (`known`). Pure
//! and on one thread: the same seed gives the same bits.

use super::cell::cell;
use super::frequency::count;
use super::postings::Row;
use super::random_pairs::Sampled;
use super::{Compared, Comparison, Index, KeyPart, Level, LevelTest, Model, Prior};
use crate::model::Value;
use crate::splink::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The null level in a pattern; a comparison has at most 64 levels.
const NULL: u8 = u8::MAX;

/// Most patterns of agreement that a session tells apart: 2¹⁶ of some 80 bytes are 5 MB. Further ones are not counted, and said.
const MOST_PATTERNS: usize = 1 << 16;

/// Rounds of EM at most, and the change of every m below which it has converged, as in Splink.
const MOST_ROUNDS: usize = 25;
const CONVERGED: f64 = 1e-4;

/// No m is nearer to 0 or 1 than this: one pair in a million.
pub(super) const LEAST: f64 = 1e-6;

/// What training is told.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TrainOptions {
    /// Where the random pairs and the order of identities come from.
    pub seed: u64,
    /// Random pairs for u, and pairs of one session at most.
    pub pairs: u64,
    /// The share of the true links that the exact rules find, above 0, at most 1.
    pub recall: f64,
}

/// A trained level; `None` where nothing was seen that could train it.
#[derive(Clone, PartialEq, Debug)]
pub struct TrainedLevel {
    /// The level's label.
    pub label: Arc<str>,
    /// Its m.
    pub m: Option<f64>,
    /// Its u.
    pub u: Option<f64>,
    /// Whether u was counted and not sampled.
    pub exact: bool,
}

/// A trained comparison.
#[derive(Clone, PartialEq, Debug)]
pub struct TrainedComparison {
    /// Its name.
    pub name: Arc<str>,
    /// Its levels in the model's order.
    pub levels: Vec<TrainedLevel>,
    /// How many pairs that exact rules know trained its m; `None` where these were too few and EM did.
    pub known: Option<u64>,
    /// How many known rivals trained its u; `None` where random pairs did.
    pub rivals: Option<u64>,
}

/// A session of EM.
#[derive(Clone, PartialEq, Debug)]
pub struct Session {
    /// The blocking rule.
    pub rule: Arc<str>,
    /// Pairs that were compared.
    pub pairs: u64,
    /// Patterns of agreement among them.
    pub patterns: usize,
    /// The largest change of an m in each round.
    pub changes: Vec<f64>,
    /// Whether the last change was below 1e-4.
    pub converged: bool,
    /// The comparisons that it trained: those that share no field with the rule.
    pub trained: Vec<Arc<str>>,
    /// The share of its pairs that match.
    pub share: f64,
}

/// What training gives.
#[derive(Clone, PartialEq, Debug)]
pub struct Trained {
    /// The comparisons in the model's order.
    pub comparisons: Vec<TrainedComparison>,
    /// The sessions in the order of the blocking rules.
    pub sessions: Vec<Session>,
    /// The share of identities that belong to some customer; `None` where no exact rule found anybody.
    pub share: Option<f64>,
    /// Identities and customers.
    pub seen: (usize, usize),
}

/// Trains the model of an index. `identities` are what [`crate::normalize::clean_identity`] gave for the index's fields.
///
/// `None` where the mapping has no model, or there is nobody on one side.
pub fn train(index: &Index, identities: &[Vec<Value>], options: TrainOptions) -> Option<Trained> {
    let model = index.matching.model.clone()?;
    let plan = index.plan.as_ref()?;
    let rows = index.live();
    if rows.is_empty() || identities.is_empty() {
        return None;
    }
    let cells: Vec<Vec<Option<String>>> = identities.iter().map(|values| values.iter().map(cell).collect()).collect();
    let trainer = Trainer { index, model: &model, plan, cells: &cells, rows: &rows, options };
    let sampled = trainer.sampled();
    let sessions: Vec<(Session, Vec<Option<Vec<f64>>>)> =
        (0..model.blocking.len()).filter_map(|rule| trainer.session(rule, &sampled)).collect();
    let ruled = trainer.ruled();
    let known = trainer.known_pairs(&ruled);
    let share = trainer.share(&ruled);
    let matching = share.unwrap_or(0.0) / count(u64::try_from(rows.len()).unwrap_or(u64::MAX));
    let comparisons = model
        .comparisons
        .iter()
        .enumerate()
        .map(|(number, comparison)| {
            let m = known.m(number, medians(&sessions.iter().filter_map(|(_, m)| m.get(number)?.as_deref()).collect::<Vec<_>>()));
            let u = sampled.get(number).map(|sampled| known.u(number, sampled, options.pairs, m.as_deref(), matching)).unwrap_or_default();
            let levels = comparison.levels.iter().enumerate().map(|(at, level)| {
                let (of, exact) = u.get(at).copied().unwrap_or((None, false));
                let m = m.as_ref().and_then(|m| m.get(at)).copied();
                let least = m.and_then(|m| least_u(&model, comparison, level, m)).filter(|_| !exact);
                TrainedLevel { label: level.label.clone(), m, u: of.map(|u| least.map_or(u, |least| u.max(least))), exact }
            });
            TrainedComparison {
                name: comparison.name.clone(),
                levels: levels.collect(),
                known: known.matches(number),
                rivals: known.rivals(number),
            }
        })
        .collect();
    Some(Trained {
        comparisons,
        sessions: sessions.into_iter().map(|(session, _)| session).collect(),
        share,
        seen: (identities.len(), rows.len()),
    })
}

/// The least u of agreeing exactly on a value whose frequency f counts: a shown value is at most 1 ÷ f times as likely for its owner as for anybody, so
/// that `m ÷ u × u_tf ÷ f` is at most `1 ÷ f`. A little more, since numbers are written rounded. Too few strangers would say less.
fn least_u(model: &Model, comparison: &Comparison, level: &Level, m: f64) -> Option<f64> {
    let Compared::Field { customer, .. } = &comparison.compared else { return None };
    let frequency = level.term_frequency.and_then(|number| model.term_frequencies.get(number))?;
    (level.test == LevelTest::Exact && frequency.counts(customer) && frequency.weight > 0.0)
        .then(|| 1.001 * frequency.u * libm::pow(m, 1.0 / frequency.weight))
}

pub(super) struct Trainer<'a> {
    pub(super) index: &'a Index,
    pub(super) model: &'a Model,
    pub(super) plan: &'a super::compare::Plan,
    pub(super) cells: &'a [Vec<Option<String>>],
    pub(super) rows: &'a [Row],
    pub(super) options: TrainOptions,
}

impl Trainer<'_> {
    pub(super) fn pattern(&self, identity: &super::compare::Subject, row: Row) -> Vec<u8> {
        let mut cells = Vec::new();
        self.index.cells_of(row, &mut cells);
        let level = |(number, comparison): (usize, &Comparison)| {
            self.plan.level(number, comparison, identity, &cells).and_then(|at| u8::try_from(at).ok()).unwrap_or(NULL)
        };
        self.model.comparisons.iter().enumerate().map(level).collect()
    }

    /// The level of each comparison, and how often a term frequency says that the pair counts there.
    pub(super) fn weighed(&self, identity: &super::compare::Subject, row: Row) -> Vec<(u8, f64)> {
        let (mut cells, mut parts) = (Vec::new(), Vec::new());
        self.index.cells_of(row, &mut cells);
        let frequency = |_, table| self.index.term_frequency(table, self.index.identity_frequency(table, &identity.cells), &cells);
        super::score::parts(self.model, self.plan, identity, &cells, frequency, &mut parts);
        let level = |part: &super::score::Part| {
            let at = part.level.and_then(|at| u8::try_from(at).ok()).unwrap_or(NULL);
            (at, super::score::odds(part.frequency_bits))
        };
        parts.iter().map(level).collect()
    }

    fn session(&self, rule: usize, sampled: &[Sampled]) -> Option<(Session, Vec<Option<Vec<f64>>>)> {
        let blocking = self.model.blocking.get(rule)?;
        let fields: BTreeSet<&str> = blocking.parts.iter().flat_map(fields_of_part).collect();
        let kept: Vec<bool> = self.model.comparisons.iter().map(|c| !fields_of(c).iter().any(|field| fields.contains(field))).collect();
        let (patterns, pairs) = self.patterns(rule, blocking.cut_above, &kept);
        if pairs == 0 || !kept.contains(&true) {
            return None;
        }
        let start: Vec<Vec<f64>> = self.model.comparisons.iter().map(|c| c.levels.iter().map(|l| l.m).collect()).collect();
        let current: Vec<Vec<f64>> = self
            .model
            .comparisons
            .iter()
            .zip(sampled)
            .map(|(c, sampled)| c.levels.iter().zip(&sampled.u).map(|(level, (u, _))| u.unwrap_or(level.u)).collect())
            .collect();
        // Pairs of a block agree on what the rule asks for: the prior is raised by the best levels of the comparisons left out.
        let raised: f64 = self
            .model
            .comparisons
            .iter()
            .zip(&kept)
            .filter(|(_, kept)| !**kept)
            .filter_map(|(c, _)| c.levels.first())
            .map(super::score::bits)
            .sum();
        let odds = super::score::odds(self.index.prior_bits() + raised);
        let mut em = Em { m: start, u: current, share: odds / (1.0 + odds) };
        let (mut changes, mut converged) = (Vec::new(), false);
        for _ in 0..MOST_ROUNDS {
            let change = em.round(&patterns);
            changes.push(change);
            if change < CONVERGED {
                converged = true;
                break;
            }
        }
        let named = self.model.comparisons.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(c, _)| c.name.clone()).collect();
        let session =
            Session { rule: blocking.id.clone(), pairs, patterns: patterns.len(), changes, converged, trained: named, share: em.share };
        Some((session, em.m.into_iter().zip(kept).map(|(m, kept)| kept.then_some(m)).collect()))
    }

    /// The patterns of a rule's pairs and how often each came. Identities are taken in an order that the seed gives until there are pairs enough.
    fn patterns(&self, rule: usize, cut_above: u32, kept: &[bool]) -> (BTreeMap<Vec<u8>, u64>, u64) {
        let (mut patterns, mut pairs) = (BTreeMap::new(), 0_u64);
        for (_, cells) in self.in_drawn_order() {
            if pairs >= self.options.pairs {
                break;
            }
            let mut rows = self.block(rule, cut_above, cells);
            rows.sort_unstable_by(|a, b| self.index.id_text(*a).cmp(self.index.id_text(*b)));
            rows.dedup();
            if rows.is_empty() {
                continue;
            }
            let subject = self.plan.subject(cells.clone());
            for row in rows {
                let mut pattern = self.pattern(&subject, row);
                for (level, kept) in pattern.iter_mut().zip(kept) {
                    if !kept {
                        *level = NULL;
                    }
                }
                if patterns.len() < MOST_PATTERNS || patterns.contains_key(&pattern) {
                    *patterns.entry(pattern).or_insert(0) += 1;
                    pairs += 1;
                }
            }
        }
        (patterns, pairs)
    }
}

/// The state of EM.
struct Em {
    m: Vec<Vec<f64>>,
    u: Vec<Vec<f64>>,
    share: f64,
}

impl Em {
    /// One round; the largest change of an m.
    fn round(&mut self, patterns: &BTreeMap<Vec<u8>, u64>) -> f64 {
        let mut sums: Vec<Vec<f64>> = self.m.iter().map(|m| vec![0.0; m.len()]).collect();
        let (mut matching, mut all) = (0.0, 0.0);
        for (pattern, times) in patterns {
            let (mut m, mut u) = (self.share, 1.0 - self.share);
            for ((level, of_m), of_u) in pattern.iter().zip(&self.m).zip(&self.u) {
                let at = usize::from(*level);
                m *= of_m.get(at).copied().unwrap_or(1.0);
                u *= of_u.get(at).copied().unwrap_or(1.0);
            }
            let sum = m + u;
            let weight = if sum > 0.0 { m / sum * count(*times) } else { 0.0 };
            matching += weight;
            all += count(*times);
            for (level, sums) in pattern.iter().zip(&mut sums) {
                if let Some(slot) = sums.get_mut(usize::from(*level)) {
                    *slot += weight;
                }
            }
        }
        let mut change: f64 = 0.0;
        for (m, sums) in self.m.iter_mut().zip(&sums) {
            let total: f64 = sums.iter().sum();
            if total <= 0.0 {
                continue;
            }
            for (m, sum) in m.iter_mut().zip(sums) {
                let next = (sum / total).clamp(LEAST, 1.0 - LEAST);
                change = change.max((next - *m).abs());
                *m = next;
            }
        }
        self.share = (matching / all).clamp(LEAST * LEAST, 1.0 - LEAST);
        change
    }
}

/// The median of each level over the sessions, made to sum to 1.
fn medians(sessions: &[&[f64]]) -> Option<Vec<f64>> {
    let levels = sessions.first()?.len();
    let median = |at: usize| {
        let mut values: Vec<f64> = sessions.iter().filter_map(|m| m.get(at).copied()).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = values.get(middle).copied().unwrap_or(0.0);
        if values.len() % 2 == 1 { upper } else { f64::midpoint(upper, values.get(middle.wrapping_sub(1)).copied().unwrap_or(upper)) }
    };
    let all: Vec<f64> = (0..levels).map(median).collect();
    let sum: f64 = all.iter().sum();
    (sum > 0.0).then(|| all.iter().map(|m| m / sum).collect())
}

pub(super) fn fields_of_part(part: &KeyPart) -> Vec<&str> {
    match part {
        KeyPart::Field { identity, customer, .. } => vec![identity, customer],
        KeyPart::SpelledInHandle { handle, given, family } => vec![handle, given, family],
        KeyPart::Sql { settings, identity, customer } => names(settings, &[identity.columns(), customer.columns()].concat()),
    }
}

/// The names of a Splink model's columns by their numbers.
fn names<'s>(settings: &'s Settings, columns: &[usize]) -> Vec<&'s str> {
    settings.columns().enumerate().filter(|(number, _)| columns.contains(number)).map(|(_, name)| &**name).collect()
}

pub(super) fn fields_of(comparison: &Comparison) -> Vec<&str> {
    match &comparison.compared {
        Compared::Field { identity, customer } => vec![identity, customer],
        Compared::NameAndHandle { given, family, handle } => vec![given, family, handle],
        Compared::HandleReuse { handle, handles, email, birth_date, .. } => {
            let mut fields: Vec<&str> = vec![handle];
            fields.extend([handles, email, birth_date].into_iter().flatten().map(|f| &**f));
            fields
        }
        Compared::Sql { settings, comparison } => names(settings, &settings.compared(*comparison)),
    }
}

/// The prior with a trained share.
pub(super) fn prior(model: &Model, trained: &Trained) -> Prior {
    match (model.prior, trained.share) {
        (Prior::Share { .. }, Some(share)) => Prior::Share { share, customers: u64::try_from(trained.seen.1).unwrap_or(u64::MAX) },
        (Prior::Pair(_), Some(share)) => Prior::Pair(share / count(u64::try_from(trained.seen.1.max(2)).unwrap_or(u64::MAX))),
        (prior, None) => prior,
    }
}

impl Trained {
    /// The prior that the model gets.
    pub fn prior(&self, model: &Model) -> Prior {
        prior(model, self)
    }

    /// Levels whose m or u nothing trained, as `comparison: level (m)`.
    pub fn untrained(&self) -> Vec<String> {
        let mut out = Vec::new();
        for comparison in &self.comparisons {
            for level in &comparison.levels {
                for (letter, value) in [("m", level.m), ("u", level.u)] {
                    if value.is_none() {
                        out.push(format!("{}: {} ({letter})", comparison.name, level.label));
                    }
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn em_finds_the_shares_that_made_the_patterns() {
        // 1,000 of 10,000 pairs match; three comparisons of two levels, independent within each class.
        let (m, u) = ([0.9, 0.8, 0.7], [0.1, 0.2, 0.05]);
        let mut patterns = BTreeMap::new();
        for bits in 0_u8..8 {
            let level = |at: usize| u8::from(bits & (1 << at) == 0);
            let of = |p: &[f64; 3]| (0..3).map(|at| if level(at) == 0 { p[at] } else { 1.0 - p[at] }).product::<f64>();
            let expected = 100_000.0 * of(&m) + 900_000.0 * of(&u);
            let times = (0_u64..1_000_000).find(|n| count(*n) + 0.5 > expected).unwrap();
            patterns.insert((0..3).map(level).collect::<Vec<u8>>(), times);
        }
        let mut em = Em { m: vec![vec![0.6, 0.4]; 3], u: u.iter().map(|u| vec![*u, 1.0 - u]).collect(), share: 0.3 };
        for _ in 0..500 {
            em.round(&patterns);
        }
        for (found, expected) in em.m.iter().zip(m) {
            assert!((found[0] - expected).abs() < 0.01, "{found:?} {expected}");
        }
        assert!((em.share - 0.1).abs() < 0.005, "{}", em.share);
    }

    #[test]
    fn the_median_of_sessions_sums_to_one() {
        let all = medians(&[&[0.9, 0.1], &[0.5, 0.5], &[0.8, 0.2]]).unwrap();
        assert!((all[0] - 0.8).abs() < 1e-12 && (all.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(medians(&[]), None);
    }
}
