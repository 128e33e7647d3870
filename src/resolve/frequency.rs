//! Term frequencies: how common a value is among customers, counted in the CRM itself or stored in the model.

use super::block::{counted, counted_positions, counted_text};
use super::{CountedPart, KeyForm, Model};
use crate::model::stable_hash::ByHash;
use std::sync::Arc;

/// A part and where it stands on one side.
type Places = Vec<(Option<usize>, KeyForm)>;

/// What is counted: the model's term frequencies, then the single parts of those that have several.
#[derive(Clone, Debug, Default)]
pub(super) struct Frequencies {
    tables: Vec<Table>,
}

#[derive(Clone, Debug)]
struct Table {
    identity: Places,
    customer: Places,
    /// Numbers of the tables of its parts, where their product counts.
    parts: Vec<usize>,
    shape: f64,
    together: f64,
    typical: f64,
    stored: Vec<(Arc<str>, f64)>,
}

/// Counts of one table: value keys and how many customers have any value.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    tables: Vec<(ByHash<u32>, u64)>,
}

/// Exact up to 2⁵³.
pub(super) fn count(n: u64) -> f64 {
    // Halves of 32 bits are exact in f64, and so is their sum below 2⁵³.
    let (high, low) = (u32::try_from(n >> 32).unwrap_or(u32::MAX), u32::try_from(n & 0xffff_ffff).unwrap_or(u32::MAX));
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

impl Counts {
    pub(super) fn add(&mut self, keys: &[Option<u64>]) {
        for ((table, total), key) in self.tables.iter_mut().zip(keys) {
            if let Some(key) = key {
                *table.entry(*key).or_insert(0) += 1;
                *total += 1;
            }
        }
    }

    pub(super) fn take(&mut self, keys: &[Option<u64>]) {
        for ((table, total), key) in self.tables.iter_mut().zip(keys) {
            if let Some(key) = key
                && let Some(n) = table.get_mut(key)
            {
                *n = n.saturating_sub(1);
                *total = total.saturating_sub(1);
                if *n == 0 {
                    table.remove(key);
                }
            }
        }
    }
}

impl Frequencies {
    pub(super) fn new(model: Option<&Model>, identity: &[Arc<str>], customer: &[Arc<str>]) -> Self {
        let Some(model) = model else { return Self::default() };
        let table = |of: &[CountedPart]| Table {
            identity: counted_positions(of, identity),
            customer: counted_positions(of, customer),
            parts: Vec::new(),
            shape: 0.0,
            together: 1.0,
            typical: 0.0,
            stored: Vec::new(),
        };
        let mut tables: Vec<Table> = Vec::new();
        let mut singles: Vec<CountedPart> = Vec::new();
        for frequency in &model.term_frequencies {
            let mut this =
                Table { together: frequency.together, typical: frequency.typical, stored: frequency.table.clone(), ..table(&frequency.of) };
            if let Some(shape) = frequency.shape.filter(|_| frequency.of.len() > 1) {
                this.shape = shape;
                for part in &frequency.of {
                    let at = singles.iter().position(|single| single == part).unwrap_or_else(|| {
                        singles.push(part.clone());
                        singles.len() - 1
                    });
                    this.parts.push(model.term_frequencies.len() + at);
                }
            }
            tables.push(this);
        }
        tables.extend(singles.iter().map(|single| table(std::slice::from_ref(single))));
        Self { tables }
    }

    /// Empty counts for these tables.
    pub(super) fn counts(&self) -> Counts {
        Counts { tables: self.tables.iter().map(|_| (ByHash::default(), 0)).collect() }
    }

    /// A customer's key in each table.
    pub(super) fn keys<'a>(&self, cells: &dyn Fn(usize) -> Option<&'a str>) -> Vec<Option<u64>> {
        self.tables.iter().map(|table| counted(&table.customer, &|at| cells(at))).collect()
    }

    /// The frequency of the identity's value.
    pub(super) fn of_identity(&self, number: usize, counts: Option<&Counts>, identity: &[Option<String>]) -> Option<f64> {
        self.of(number, counts, &self.tables.get(number)?.identity, &|at| identity.get(at).and_then(Option::as_deref))
    }

    /// The frequency of a pair's value: the more common of both sides, as in Splink; of one side where the other lacks it. `theirs` is
    /// [`Frequencies::of_identity`].
    pub(super) fn of_pair(&self, number: usize, counts: Option<&Counts>, theirs: Option<f64>, customer: &[Option<&str>]) -> Option<f64> {
        let ours = self.of(number, counts, &self.tables.get(number)?.customer, &|at| customer.get(at).copied().flatten());
        match (ours, theirs) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (one, other) => one.or(other),
        }
    }

    fn of<'a>(&self, number: usize, counts: Option<&Counts>, places: &Places, cells: &dyn Fn(usize) -> Option<&'a str>) -> Option<f64> {
        let table = self.tables.get(number)?;
        let Some(counts) = counts else {
            let text = counted_text(places, &|at| cells(at))?;
            let stored = table.stored.binary_search_by(|(value, _)| (**value).cmp(text.as_str())).ok();
            return Some(stored.and_then(|at| table.stored.get(at)).map_or(table.typical, |(_, share)| *share));
        };
        let (k, n) = counts.of(number, counted(places, &|at| cells(at))?)?;
        if table.parts.is_empty() {
            return (k > 0.0).then_some(k / n);
        }
        // The whole is gamma-distributed around the product of its parts (mean μ, shape a), and seen k times among n: (a + k) / (a/μ + n).
        let mut mean = table.together;
        for (part, place) in table.parts.iter().zip(places) {
            let (k, n) = counts.of(*part, counted(std::slice::from_ref(place), &|at| cells(at))?)?;
            mean *= k / n;
        }
        if mean > 0.0 { Some((table.shape + k) / (table.shape / mean + n)) } else { (k > 0.0).then_some(k / n) }
    }
}

impl Counts {
    /// How many have this value, of how many that have any.
    fn of(&self, number: usize, key: u64) -> Option<(f64, f64)> {
        let (table, total) = self.tables.get(number)?;
        (*total > 0).then(|| (table.get(&key).copied().map_or(0.0, f64::from), count(*total)))
    }
}
