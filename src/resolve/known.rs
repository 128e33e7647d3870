//! What certain exact rules know serves as labels: whom such a rule gives one customer is that customer, and everybody else in the blocks is not.
//! A rule teaches only comparisons that read none of its fields.

use super::decide::by_rules;
use super::frequency::count;
use super::postings::Row;
use super::random_pairs::{Sampled, Tally};
use super::train::{LEAST, Trainer, fields_of, fields_of_part};
use crate::model::stable_hash::mix;
use std::collections::BTreeSet;

/// A rule whose links are right less often teaches nothing.
const CERTAIN: f64 = 0.99;

/// Fewer known pairs train no m, fewer known rivals no u: a level of one in ten is known to a third of itself at 100, and u are smaller than m.
const ENOUGH_PAIRS: u64 = 100;
const ENOUGH_RIVALS: u64 = 1_000;

/// What EM, or an even share, says is worth so many pairs beside the known ones.
const BELIEVED: f64 = 10.0;

/// At least so many: that a level was not met among a few hundred pairs does not make it impossible, whatever EM says.
const LEAST_BELIEVED: f64 = 0.5;

/// Random pairs of strangers at a level that tell its u by themselves.
const ENOUGH_RANDOM: f64 = 30.0;

/// Pairs of the blocks at a level that tell its u by themselves, being all that is ever compared.
const ENOUGH_IN_BLOCKS: u64 = 30;

/// Known strangers that share a value which hardly any two customers share: accounts show other people's then, as they mention numbers that are
/// somebody's orders by chance.
const ENOUGH_SHARED: u64 = 10;

/// Whom certain rules give one customer.
struct Known {
    identity: usize,
    row: Row,
    rules: Vec<usize>,
}

/// What the exact rules say of all identities.
pub(super) struct Ruled {
    known: Vec<Known>,
    /// Identities that some rule, certain or not, gives one customer.
    found: u64,
}

/// Pairs of known identities, by comparison and level.
pub(super) struct KnownPairs {
    /// With their customer, as far as some rule that knows it reads no field of the comparison.
    matches: Vec<Vec<u64>>,
    /// With others under the first blocking rule that shares no field with the comparison: who must be told apart is mostly a namesake, and
    /// namesakes are more alike than strangers are.
    rivals: Vec<Vec<Tally>>,
    /// With others under any blocking rule.
    others: Vec<Vec<Tally>>,
    /// All pairs of these identities with others, in the blocks or not.
    all: f64,
}

impl Trainer<'_> {
    /// Asks the exact rules about every identity, in the order that the seed gives.
    pub(super) fn ruled(&self) -> Ruled {
        let matching = &self.index.matching;
        let certain = |id: &str| matching.rules.iter().position(|rule| *rule.id == *id && rule.precision >= CERTAIN);
        let mut ruled = Ruled { known: Vec::new(), found: 0 };
        for (identity, cells) in self.in_drawn_order() {
            let (found, mut hits) = by_rules(self.index, cells, matching);
            hits.retain(|(_, hit)| hit.customers == 1 && hit.set_aside.is_none());
            ruled.found += u64::from(!hits.is_empty());
            let rules: Vec<usize> = hits.iter().filter_map(|(_, hit)| certain(&hit.rule)).collect();
            let rows: BTreeSet<Row> =
                found.iter().filter(|f| f.rules.iter().any(|rule| rules.contains(rule))).map(|f| f.survivor).collect();
            // Rules that contradict each other know nothing.
            if let (Some(row), 1) = (rows.first(), rows.len()) {
                ruled.known.push(Known { identity, row: *row, rules });
            }
        }
        ruled
    }

    /// The share of the identities that belong to some customer, by the stated recall; `None` where no rule found anybody.
    pub(super) fn share(&self, ruled: &Ruled) -> Option<f64> {
        let all = u64::try_from(self.cells.len()).unwrap_or(0);
        (ruled.found > 0).then(|| (count(ruled.found) / self.options.recall / count(all)).clamp(LEAST, 0.99))
    }

    /// The identities by number in the order that the seed gives.
    pub(super) fn in_drawn_order(&self) -> impl Iterator<Item = (usize, &Vec<Option<String>>)> {
        let seed = self.options.seed;
        let drawn = |at: usize| mix(seed ^ u64::try_from(at).unwrap_or(0).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut order: Vec<(u64, usize)> = (0..self.cells.len()).map(|at| (drawn(at), at)).collect();
        order.sort_unstable();
        order.into_iter().filter_map(|(_, at)| Some((at, self.cells.get(at)?)))
    }

    /// Counts the pairs of known identities, until there are as many as the options say.
    pub(super) fn known_pairs(&self, ruled: &Ruled) -> KnownPairs {
        let (model, matching) = (self.model, &self.index.matching);
        let levels = |none: Tally| model.comparisons.iter().map(|c| vec![none; c.levels.len()]).collect::<Vec<_>>();
        let matches = model.comparisons.iter().map(|c| vec![0; c.levels.len()]).collect();
        let mut pairs = KnownPairs { matches, rivals: levels(Tally::default()), others: levels(Tally::default()), all: 0.0 };
        let fields: Vec<BTreeSet<&str>> = model.comparisons.iter().map(|c| fields_of(c).into_iter().collect()).collect();
        let reads = |rule: usize, fields: &BTreeSet<&str>| {
            let same = matching.rules.get(rule).map(|rule| &*rule.same).unwrap_or_default();
            let names = same.iter().flat_map(|(i, c)| [self.index.identity_names.get(*i), self.index.customer_names.get(*c)]);
            names.flatten().any(|name| fields.contains(&**name))
        };
        let apart = |fields: &BTreeSet<&str>| {
            model.blocking.iter().position(|rule| !rule.parts.iter().flat_map(fields_of_part).any(|field| fields.contains(field)))
        };
        let rule_of: Vec<Option<usize>> = fields.iter().map(apart).collect();
        let mut compared = 0_u64;
        for known in &ruled.known {
            if compared >= self.options.pairs {
                break;
            }
            let Some(cells) = self.cells.get(known.identity) else { continue };
            pairs.all += count(u64::try_from(self.rows.len().saturating_sub(1)).unwrap_or(0));
            let subject = self.plan.subject(cells.clone());
            for (at, level) in self.pattern(&subject, known.row).into_iter().enumerate() {
                // That another rule knows the pair too takes nothing away: without those who agree on what it reads, only who does not were left.
                let blind = fields.get(at).is_some_and(|fields| known.rules.iter().any(|rule| !reads(*rule, fields)));
                if let Some(slot) = at_level(&mut pairs.matches, at, level).filter(|_| blind) {
                    *slot += 1;
                }
            }
            let mut seen: BTreeSet<Row> = BTreeSet::new();
            for (number, blocking) in model.blocking.iter().enumerate() {
                let rows: BTreeSet<Row> = self.block(number, blocking.cut_above, cells).into_iter().collect();
                let counts_here = rule_of.contains(&Some(number));
                for row in rows.into_iter().filter(|row| self.index.survivor_row(*row) != known.row) {
                    let new = seen.insert(row);
                    if !new && !counts_here {
                        continue;
                    }
                    compared += 1;
                    for (at, (level, weight)) in self.weighed(&subject, row).into_iter().enumerate() {
                        if let Some(tally) = at_level(&mut pairs.rivals, at, level).filter(|_| rule_of.get(at) == Some(&Some(number))) {
                            tally.add(weight);
                        }
                        if let Some(tally) = at_level(&mut pairs.others, at, level).filter(|_| new) {
                            tally.add(weight);
                        }
                    }
                }
            }
        }
        pairs
    }

    /// Who stands in an identity's blocks of a rule, those that are cut left out.
    pub(super) fn block(&self, rule: usize, cut_above: u32, cells: &[Option<String>]) -> Vec<Row> {
        let get = |field: usize| cells.get(field).and_then(Option::as_deref);
        let blocks = self.index.keys.of_identity(rule, &get).into_iter().map(|key| self.index.rows(key));
        blocks.filter(|block| u32::try_from(block.len()).is_ok_and(|size| size <= cut_above)).flatten().copied().collect()
    }
}

fn at_level<T>(levels: &mut [Vec<T>], comparison: usize, level: u8) -> Option<&mut T> {
    levels.get_mut(comparison)?.get_mut(usize::from(level))
}

impl KnownPairs {
    /// How many known pairs train a comparison's m, where they are enough.
    pub(super) fn matches(&self, comparison: usize) -> Option<u64> {
        self.matches.get(comparison).map(|levels| levels.iter().sum()).filter(|sum| *sum >= ENOUGH_PAIRS)
    }

    /// m of a comparison's levels, what EM says beside the known pairs; as EM says where they are too few.
    pub(super) fn m(&self, comparison: usize, em: Option<Vec<f64>>) -> Option<Vec<f64>> {
        let Some(levels) = self.matches.get(comparison).filter(|_| self.matches(comparison).is_some()) else { return em };
        let even = 1.0 / count(u64::try_from(levels.len()).unwrap_or(1));
        let believed = |at: usize| em.as_ref().and_then(|em| em.get(at)).copied().unwrap_or(even);
        let pairs = |(at, seen): (usize, &u64)| count(*seen) + (BELIEVED * believed(at)).max(LEAST_BELIEVED);
        let pairs: Vec<f64> = levels.iter().enumerate().map(pairs).collect();
        let all: f64 = pairs.iter().sum();
        Some(pairs.into_iter().map(|pairs| pairs / all).collect())
    }

    /// How many known rivals train a comparison's u, where they are enough.
    pub(super) fn rivals(&self, comparison: usize) -> Option<u64> {
        self.rivals.get(comparison).map(|levels| levels.iter().map(|tally| tally.seen).sum()).filter(|sum| *sum >= ENOUGH_RIVALS)
    }

    /// u of a comparison's levels: among rivals where enough of them are known. Else what random pairs say, less the matches that are among them, a
    /// share of `matching` with the trained `m`; and where few of strangers are left, what the blocks hold of the level, with the random pairs beside the
    /// blocks where that is little too. What was counted exactly stays, unless the blocks hold more of it. `random` are so many pairs.
    pub(super) fn u(&self, comparison: usize, random: &Sampled, pairs: u64, m: Option<&[f64]>, matching: f64) -> Vec<(Option<f64>, bool)> {
        let seen = |at: usize| self.others.get(comparison).and_then(|levels| levels.get(at)).copied().unwrap_or_default();
        // Of the pairs of which both sides show something.
        let all = self.all * random.shown;
        let in_blocks = |at: usize| (all > 0.0 && seen(at).seen > 0).then(|| seen(at).weighed / all);
        let counted = random.u.first().and_then(|(u, exact)| u.filter(|_| *exact && seen(0).seen < ENOUGH_SHARED));
        if let (Some(total), Some(levels)) = (self.rivals(comparison), self.rivals.get(comparison)) {
            // Half a pair for each level: none is impossible.
            let halves = 0.5 * count(u64::try_from(levels.len()).unwrap_or(0));
            let share = |tally: &Tally| (tally.weighed + 0.5) / (count(total) + halves);
            let first = levels.first().map_or(0.0, share);
            let others = |u: f64| counted.map_or(u, |exact| u * (1.0 - exact) / (1.0 - first));
            let u = levels.iter().enumerate().map(|(at, seen)| match counted {
                Some(exact) if at == 0 => (Some(exact), true),
                _ => (Some(others(share(seen))), false),
            });
            return u.collect();
        }
        let of_strangers = |at: usize, u: f64| {
            let of_matches = matching * m.and_then(|m| m.get(at)).copied().unwrap_or(0.0);
            ((u - of_matches) / (1.0 - matching)).max(0.0)
        };
        let u = random.u.iter().enumerate().map(|(at, (u, exact))| {
            if self.all == 0.0 || (*exact && counted.is_some()) {
                return (*u, *exact);
            }
            let strangers = u.filter(|_| !exact).map(|u| of_strangers(at, u));
            let enough = strangers.filter(|u| u * count(pairs) * random.shown >= ENOUGH_RANDOM);
            let weighed = |u: f64| u * random.weighed.get(at).copied().unwrap_or(1.0);
            let beyond = || random.beyond.get(at).copied().filter(|_| seen(at).seen < ENOUGH_IN_BLOCKS);
            let few = || in_blocks(at).unwrap_or(0.0) + beyond().unwrap_or(0.0);
            let of_few = || [few(), strangers.map_or(0.0, weighed)].into_iter().find(|u| *u > 0.0);
            (enough.map(weighed).or_else(of_few), false)
        });
        u.collect()
    }
}
