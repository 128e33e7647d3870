//! Fellegi–Sunter weights: log2 Bayes factors of levels, term-frequency adjustments, posteriors over all rivals.

use super::compare::{Plan, Subject};
use super::{Level, Model, TermFrequency};
use crate::model::ComparisonOutcome;

/// Least term frequency: a rarer value counts as this rare, so that one typing error can't weigh like a fingerprint. One in a hundred
/// million is rarer than anything counted among the ten million customers that an index may hold.
const LEAST_FREQUENCY: f64 = 1e-8;

/// Odds are kept within 2^±512, so that a sum of them stays finite.
const MOST_BITS: f64 = 512.0;

/// log2(m/u).
pub(super) fn bits(level: &Level) -> f64 {
    libm::log2(level.m / level.u)
}

/// log2(u / term frequency), times its weight: rarer than average counts more.
pub(super) fn frequency_bits(of: &TermFrequency, frequency: f64) -> f64 {
    of.weight * libm::log2(of.u / frequency.max(of.least).max(LEAST_FREQUENCY))
}

/// 2^bits.
pub(super) fn odds(bits: f64) -> f64 {
    libm::exp2(bits.clamp(-MOST_BITS, MOST_BITS))
}

/// One comparison's part of a weight: level (none for null), bits, term frequency and its bits.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Part {
    pub level: Option<usize>,
    pub bits: f64,
    pub frequency: Option<f64>,
    pub frequency_bits: f64,
}

/// The parts of a pair in the model's order. `frequency` gives the term frequency with a number.
pub(super) fn parts(
    model: &Model,
    plan: &Plan,
    subject: &Subject,
    customer: &[Option<&str>],
    frequency: impl Fn(usize, usize) -> Option<f64>,
    parts: &mut Vec<Part>,
) {
    parts.clear();
    for (number, comparison) in model.comparisons.iter().enumerate() {
        let at = plan.level(number, comparison, subject, customer);
        let Some(level) = at.and_then(|at| comparison.levels.get(at)) else {
            parts.push(Part { level: None, bits: 0.0, frequency: None, frequency_bits: 0.0 });
            continue;
        };
        let adjusted = level.term_frequency.and_then(|table| Some((model.term_frequencies.get(table)?, frequency(number, table)?)));
        parts.push(Part {
            level: at,
            bits: plan.bits(number, at.unwrap_or(usize::MAX)),
            frequency: adjusted.map(|(_, frequency)| frequency),
            frequency_bits: adjusted.map_or(0.0, |(of, frequency)| frequency_bits(of, frequency)),
        });
    }
}

/// Prior and parts together, summed in the model's order.
pub(super) fn weight(prior_bits: f64, parts: &[Part]) -> f64 {
    parts.iter().fold(prior_bits, |sum, part| sum + part.bits + part.frequency_bits)
}

/// The parts as evidence names them.
pub(super) fn outcomes(model: &Model, parts: &[Part]) -> Vec<ComparisonOutcome> {
    model
        .comparisons
        .iter()
        .zip(parts)
        .map(|(comparison, part)| {
            let level = part.level.and_then(|at| comparison.levels.get(at));
            let below = part.level.map(|at| comparison.levels.len().saturating_sub(at + 1));
            ComparisonOutcome {
                comparison: comparison.name.clone(),
                level: level.map_or_else(|| "missing".into(), |level| level.label.clone()),
                gamma: below.map_or(-1, |below| i32::try_from(below).unwrap_or(i32::MAX)),
                bits: part.bits,
                term_frequency: part.frequency,
                term_frequency_bits: part.frequency_bits,
            }
        })
        .collect()
}
