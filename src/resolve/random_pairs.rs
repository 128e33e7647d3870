//! u from random pairs, and from counted values where a key is near-unique.

use super::cell::each;
use super::frequency::count;
use super::postings::Row;
use super::train::{LEAST, Trainer};
use super::{Compared, Comparison, LevelTest};
use crate::model::stable_hash::mix;
use std::collections::HashMap;

/// A key is near-unique where at least this share of its values stands at one customer only.
const NEAR_UNIQUE: f64 = 0.5;

/// Pairs of a level that are kept, to see which of them stand in no block: more tell the level's u by themselves.
const KEPT: usize = 64;

/// splitmix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n.max(1)).unwrap_or(1);
        usize::try_from(self.next() % n).unwrap_or(0)
    }
}

/// What random pairs, and counted values, say of a comparison.
pub(super) struct Sampled {
    /// u of each level, and whether it was counted.
    pub(super) u: Vec<(Option<f64>, bool)>,
    /// What the term frequencies of its pairs make of each level's u ([`Tally::weighed`] for one pair); 1 where none was seen.
    pub(super) weighed: Vec<f64>,
    /// What the pairs of each level that stand in no block add to its u, as their term frequencies weigh them.
    pub(super) beyond: Vec<f64>,
    /// The share of the pairs of which both sides show something.
    pub(super) shown: f64,
}

/// Pairs at a level.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Tally {
    pub(super) seen: u64,
    /// Each counted as often as its term frequency raises its Bayes factor. With a u of so many among strangers the factors of strangers add up
    /// to m, as a likelihood ratio's must: `E[m/u · u_tf/f; strangers] = m`. Counted once each, rare values would raise the factors of those who are
    /// near each other by chance beyond what the level's m allows.
    pub(super) weighed: f64,
}

impl Tally {
    pub(super) fn add(&mut self, weight: f64) {
        self.seen += 1;
        self.weighed += weight;
    }

    /// What one pair counts on average.
    pub(super) fn each(self) -> f64 {
        if self.seen == 0 { 1.0 } else { self.weighed / count(self.seen) }
    }
}

/// Random pairs of a level.
#[derive(Default)]
struct Met {
    tally: Tally,
    /// The first of them, with what each counts.
    kept: Vec<(usize, Row, f64)>,
}

impl Met {
    fn add(&mut self, identity: usize, row: Row, weight: f64) {
        self.tally.add(weight);
        if self.kept.len() < KEPT {
            self.kept.push((identity, row, weight));
        }
    }
}

impl Trainer<'_> {
    pub(super) fn sampled(&self) -> Vec<Sampled> {
        let mut levels: Vec<Vec<Met>> = self.model.comparisons.iter().map(|c| c.levels.iter().map(|_| Met::default()).collect()).collect();
        let mut random = Random(self.options.seed);
        for _ in 0..self.options.pairs {
            let (identity, row) = (random.below(self.cells.len()), random.below(self.rows.len()));
            let (Some(cells), Some(row)) = (self.cells.get(identity), self.rows.get(row)) else { continue };
            let subject = self.plan.subject(cells.clone());
            for (levels, (level, weight)) in levels.iter_mut().zip(self.weighed(&subject, *row)) {
                if let Some(met) = levels.get_mut(usize::from(level)) {
                    met.add(identity, *row, weight);
                }
            }
        }
        let of = |(comparison, levels): (&Comparison, &Vec<Met>)| {
            let total = count(levels.iter().map(|met| met.tally.seen).sum());
            let share = |met: &Met| (met.tally.seen > 0 && total > 0.0).then(|| count(met.tally.seen) / total);
            let mut u: Vec<(Option<f64>, bool)> = levels.iter().map(|met| (share(met), false)).collect();
            let sampled = u.first().and_then(|(u, _)| *u).unwrap_or(0.0);
            if let Some(exact) = self.counted(comparison) {
                for (other, _) in u.iter_mut().skip(1) {
                    *other = other.map(|u| u * (1.0 - exact) / (1.0 - sampled).max(LEAST));
                }
                if let Some(first) = u.first_mut() {
                    *first = (Some(exact), true);
                }
            }
            let weighed = levels.iter().map(|met| met.tally.each()).collect();
            let beyond = levels.iter().map(|met| share(met).unwrap_or(0.0) * self.beyond(met)).collect();
            Sampled { u, weighed, beyond, shown: total / count(self.options.pairs.max(1)) }
        };
        self.model.comparisons.iter().zip(&levels).map(of).collect()
    }

    /// What a pair of a level counts on average, those in some block not at all.
    fn beyond(&self, met: &Met) -> f64 {
        let outside =
            |(identity, row, _): &&(usize, Row, f64)| !self.cells.get(*identity).is_some_and(|cells| self.in_a_block(cells, *row));
        let weighed: f64 = met.kept.iter().filter(outside).map(|(_, _, weight)| weight).sum();
        weighed / count(u64::try_from(met.kept.len().max(1)).unwrap_or(1))
    }

    /// Whether a customer stands in some block of an identity.
    fn in_a_block(&self, cells: &[Option<String>], row: Row) -> bool {
        self.model.blocking.iter().enumerate().any(|(rule, blocking)| self.block(rule, blocking.cut_above, cells).contains(&row))
    }

    /// How often two different customers share a value of a near-unique key: random pairs never see it.
    fn counted(&self, comparison: &Comparison) -> Option<f64> {
        let Compared::Field { customer, .. } = &comparison.compared else { return None };
        if comparison.levels.first()?.test != LevelTest::Exact {
            return None;
        }
        let at = super::compare::position(&self.index.customer_names, customer)?;
        let (mut values, mut total): (HashMap<&str, u64>, u64) = (HashMap::new(), 0);
        for row in self.rows {
            for value in self.index.cell(*row, at).into_iter().flat_map(each).take(1) {
                *values.entry(value).or_default() += 1;
                total += 1;
            }
        }
        let single = u64::try_from(values.values().filter(|n| **n == 1).count()).unwrap_or(0);
        if total < 2 || count(single) < NEAR_UNIQUE * count(total) {
            return None;
        }
        let agreeing: u64 = values.values().map(|n| n * (n - 1)).sum();
        Some(count(agreeing.max(1)) / (count(total) * count(total - 1)))
    }
}
