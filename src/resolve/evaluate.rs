//! How right a linkage model is against labelled identities: precision and recall over thresholds, calibration, suggestions.
//!
//! Only the best candidate of an identity counts, with its posterior over all rivals: that is what deciding links by.

use super::frequency::count;
use crate::model::Outcome;

/// One identity whose truth is known, and what was decided about it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Judged {
    /// Whether the truth is a customer; `false`: the person is none.
    pub is_customer: bool,
    /// Posterior of the best candidate, 0 to 1; `None` where there was no candidate.
    pub probability: Option<f64>,
    /// Whether the best candidate is the true customer.
    pub right: bool,
    /// Whether the true customer is among the candidates: a person who is asked would find it.
    pub among: bool,
    /// How many times the best candidate's odds are the next one's; infinite without a rival.
    pub ahead: f64,
    /// The sum of the posteriors over all candidates.
    pub sum: f64,
    /// What was decided.
    pub outcome: Outcome,
    /// Whether an exact rule decided.
    pub by_rule: bool,
}

/// Precision and recall where everything from a probability on is linked.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize)]
pub struct Threshold {
    /// The posterior of the best candidate from which is linked.
    pub probability: f64,
    /// Right links ÷ links; 1 where nothing is linked.
    pub precision: f64,
    /// Right links ÷ identities whose truth is a customer.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
    /// Links.
    pub linked: u64,
}

/// A bin of the calibration table.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize)]
pub struct Bin {
    /// Least posterior in it.
    pub from: f64,
    /// Greatest posterior in it.
    pub to: f64,
    /// Best candidates in it.
    pub count: u64,
    /// Mean of what was announced.
    pub announced: f64,
    /// Share that is right.
    pub right: f64,
}

/// Links as they were decided.
#[derive(Clone, Copy, PartialEq, Debug, Default, serde::Serialize)]
pub struct Links {
    /// Links.
    pub linked: u64,
    /// Of these, to the right customer.
    pub right: u64,
    /// right ÷ linked; 1 where nothing is linked.
    pub precision: f64,
    /// right ÷ identities whose truth is a customer.
    pub recall: f64,
}

/// Settings that would have kept a wanted precision on these data.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize)]
pub struct Suggestion {
    /// The precision that was asked for.
    pub precision: f64,
    /// `link_from`.
    pub link_from: f64,
    /// `ahead_of_next`.
    pub ahead_of_next: f64,
    /// `ask_a_person_from`: the least sum over the candidates at which at least every second person asked about is among the candidates.
    pub ask_a_person_from: f64,
    /// Links with these settings.
    pub linked: u64,
    /// Their precision.
    pub reached_precision: f64,
    /// Their recall.
    pub recall: f64,
    /// People who would be asked about.
    pub asked: u64,
}

/// How right a model is.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Evaluation {
    /// Identities whose truth is known and that were decided.
    pub identities: u64,
    /// Identities whose truth is a customer, decided or not.
    pub customers: u64,
    /// As decided, rules and model.
    pub decided: Links,
    /// As decided by the model alone.
    pub by_model: Links,
    /// Sent to a person.
    pub review: u64,
    /// Of these, the true customer is the best candidate.
    pub review_right: u64,
    /// Over thresholds, ascending.
    pub thresholds: Vec<Threshold>,
    /// The greatest F1 over all thresholds.
    pub best_f1: f64,
    /// The threshold that gives it.
    pub best_f1_at: Threshold,
    /// Equal-count bins over the posterior of the best candidate, ascending.
    pub calibration: Vec<Bin>,
    /// Expected calibration error: the mean of |announced − right| over the bins, weighted by their counts.
    pub ece: f64,
    /// Settings for the wanted precision; `None` where none keeps it.
    pub suggestion: Option<Suggestion>,
}

/// Bins of the calibration table.
const BINS: usize = 20;

/// Times by which the best must be ahead, as a steward would write them.
const AHEAD: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

fn size(items: usize) -> f64 {
    count(u64::try_from(items).unwrap_or(u64::MAX))
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { count(part) / count(whole) }
}

/// Probabilities of the table: whole percents, then finer towards 1.
fn grid() -> impl Iterator<Item = f64> {
    (0..100_u32).map(|n| f64::from(n) / 100.0).chain([0.992, 0.995, 0.998, 0.999, 0.9995, 0.9999])
}

/// Judges decisions. `customers` is how many labels name a customer, decided or not; `wanted` the precision to suggest settings for, 0 to 1.
pub fn evaluate(judged: &[Judged], customers: u64, wanted: f64) -> Evaluation {
    let mut best: Vec<(f64, bool, f64)> = judged.iter().filter_map(|j| Some((j.probability?, j.right, j.ahead))).collect();
    best.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    // How many of the last n are right, for each n.
    let mut right_from = vec![0_u64; best.len() + 1];
    for (at, (_, right, _)) in best.iter().enumerate().rev() {
        let after = right_from.get(at + 1).copied().unwrap_or(0);
        if let Some(slot) = right_from.get_mut(at) {
            *slot = after + u64::from(*right);
        }
    }
    let at = |start: usize, probability: f64| {
        let linked = u64::try_from(best.len() - start).unwrap_or(u64::MAX);
        let right = right_from.get(start).copied().unwrap_or(0);
        let (precision, recall) = (ratio(right, linked), if customers == 0 { 0.0 } else { count(right) / count(customers) });
        let f1 = if right == 0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) };
        Threshold { probability, precision, recall, f1, linked }
    };
    let thresholds = grid().map(|p| at(best.partition_point(|(q, ..)| *q < p), p)).collect();
    let mut best_f1_at = at(best.len(), 1.0);
    let mut before = f64::NEG_INFINITY;
    for (start, (probability, ..)) in best.iter().enumerate() {
        if probability.total_cmp(&before).is_gt() {
            let here = at(start, *probability);
            if here.f1 > best_f1_at.f1 {
                best_f1_at = here;
            }
        }
        before = *probability;
    }
    let calibration = bins(&best);
    let weighted = calibration.iter().fold(0.0, |sum, bin| sum + count(bin.count) * (bin.announced - bin.right).abs());
    let of = |holds: &dyn Fn(&Judged) -> bool| u64::try_from(judged.iter().filter(|j| holds(j)).count()).unwrap_or(u64::MAX);
    let links = |holds: &dyn Fn(&Judged) -> bool| {
        let linked = of(&|j| j.outcome == Outcome::Linked && holds(j));
        let right = of(&|j| j.outcome == Outcome::Linked && holds(j) && j.right);
        Links { linked, right, precision: ratio(right, linked), recall: if customers == 0 { 0.0 } else { count(right) / count(customers) } }
    };
    Evaluation {
        identities: u64::try_from(judged.len()).unwrap_or(u64::MAX),
        customers,
        decided: links(&|_| true),
        by_model: links(&|j| !j.by_rule),
        review: of(&|j| j.outcome == Outcome::Review),
        review_right: of(&|j| j.outcome == Outcome::Review && j.right),
        thresholds,
        best_f1: best_f1_at.f1,
        best_f1_at,
        ece: if best.is_empty() { 0.0 } else { weighted / size(best.len()) },
        calibration,
        suggestion: suggest(judged, customers, wanted),
    }
}

/// Bins of equal count, ascending. Where a bin's edge parts candidates of one posterior, their right ones are shared out evenly: which of them
/// stands first says nothing.
fn bins(best: &[(f64, bool, f64)]) -> Vec<Bin> {
    let mut shares: Vec<f64> = Vec::with_capacity(best.len());
    for equal in best.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let share = size(equal.iter().filter(|(_, right, _)| *right).count()) / size(equal.len());
        shares.extend(equal.iter().map(|_| share));
    }
    let mut out = Vec::new();
    for bin in 0..BINS {
        let (start, end) = (best.len() * bin / BINS, best.len() * (bin + 1) / BINS);
        let Some(members @ [first, ..]) = best.get(start..end) else { continue };
        let sum = members.iter().fold(0.0, |sum, (p, ..)| sum + p);
        let right = shares.get(start..end).unwrap_or_default().iter().fold(0.0, |sum, share| sum + share);
        out.push(Bin {
            from: first.0,
            to: members.last().map_or(first.0, |last| last.0),
            count: u64::try_from(members.len()).unwrap_or(u64::MAX),
            announced: sum / size(members.len()),
            right: right / size(members.len()),
        });
    }
    out
}

/// The settings with the most right links among those that keep the precision; of equal ones the least demanding.
fn suggest(judged: &[Judged], customers: u64, wanted: f64) -> Option<Suggestion> {
    let mut found: Option<(Suggestion, u64)> = None;
    for ahead in AHEAD {
        let mut best: Vec<(f64, bool)> =
            judged.iter().filter(|j| j.ahead >= ahead).filter_map(|j| Some((j.probability?, j.right))).collect();
        best.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut linked, mut right) = (0_u64, 0_u64);
        for (place, (probability, is_right)) in best.iter().enumerate() {
            linked += 1;
            right += u64::from(*is_right);
            let ends = best.get(place + 1).is_none_or(|next| next.0 < *probability);
            if ends && ratio(right, linked) >= wanted && found.as_ref().is_none_or(|(_, most)| right > *most) {
                let suggestion = Suggestion {
                    precision: wanted,
                    link_from: *probability,
                    ahead_of_next: ahead,
                    ask_a_person_from: 1.0,
                    linked,
                    reached_precision: ratio(right, linked),
                    recall: if customers == 0 { 0.0 } else { count(right) / count(customers) },
                    asked: 0,
                };
                found = Some((suggestion, right));
            }
        }
    }
    let (mut suggestion, _) = found?;
    let linked = |j: &Judged| j.probability.is_some_and(|p| p >= suggestion.link_from) && j.ahead >= suggestion.ahead_of_next;
    let mut rest: Vec<(f64, bool)> = judged.iter().filter(|j| j.probability.is_some() && !linked(j)).map(|j| (j.sum, j.among)).collect();
    rest.sort_by(|a, b| b.0.total_cmp(&a.0));
    // Asking goes on downwards as long as of the next people asked about at least every second is found.
    let step = (rest.len() / 200).max(20);
    for people in rest.chunks(step) {
        if people.iter().filter(|(_, among)| *among).count() * 2 < people.len() {
            break;
        }
        suggestion.asked += u64::try_from(people.len()).unwrap_or(u64::MAX);
        suggestion.ask_a_person_from = people.last().map_or(suggestion.ask_a_person_from, |(sum, _)| *sum);
    }
    Some(suggestion)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn judged(probability: f64, right: bool) -> Judged {
        Judged {
            is_customer: true,
            probability: Some(probability),
            right,
            among: right,
            ahead: f64::INFINITY,
            sum: probability,
            outcome: if probability >= 0.9 { Outcome::Linked } else { Outcome::NotLinked },
            by_rule: false,
        }
    }

    #[test]
    fn four_identities_by_hand() {
        let all = [judged(0.99, true), judged(0.95, false), judged(0.9, true), judged(0.2, false)];
        let evaluation = evaluate(&all, 4, 0.9);
        assert_eq!((evaluation.decided.linked, evaluation.decided.right), (3, 2));
        let at = |p: f64| *evaluation.thresholds.iter().find(|t| (t.probability - p).abs() < 1e-12).unwrap();
        assert_eq!((at(0.9).linked, at(0.96).linked, at(0.0).linked), (3, 1, 4));
        assert!((at(0.9).precision - 2.0 / 3.0).abs() < 1e-12 && (at(0.9).recall - 0.5).abs() < 1e-12);
        assert!((evaluation.best_f1 - 4.0 / 7.0).abs() < 1e-12 && (evaluation.best_f1_at.probability - 0.9).abs() < 1e-12);
        let suggestion = evaluation.suggestion.unwrap();
        assert_eq!((suggestion.linked, suggestion.ahead_of_next.to_bits()), (1, 1.0_f64.to_bits()));
        assert!((suggestion.link_from - 0.99).abs() < 1e-12);
    }

    #[test]
    fn what_means_what_it_says_has_no_calibration_error_and_what_boasts_has_one() {
        let honest: Vec<Judged> = (0..1000).map(|n| judged(0.8, n % 5 != 0)).collect();
        assert!(evaluate(&honest, 1000, 0.9).ece < 1e-9);
        let boasting: Vec<Judged> = (0..1000).map(|n| judged(0.99, n % 2 == 0)).collect();
        assert!((evaluate(&boasting, 1000, 0.9).ece - 0.49).abs() < 1e-9);
        assert!(evaluate(&boasting, 1000, 0.9).suggestion.is_none(), "no threshold keeps 90 %");
        assert!((evaluate(&[], 0, 0.9).ece).abs() < 1e-12);
    }

    #[test]
    fn rivals_close_behind_are_what_ahead_of_next_is_for() {
        let mut all: Vec<Judged> = (0..100).map(|_| judged(0.9, true)).collect();
        all.extend((0..30).map(|_| Judged { ahead: 3.0, ..judged(0.9, false) }));
        let suggestion = evaluate(&all, 130, 0.98).suggestion.unwrap();
        assert_eq!((suggestion.linked, suggestion.ahead_of_next.to_bits()), (100, 5.0_f64.to_bits()));
    }

    proptest! {
        #[test]
        fn shares_stay_shares_and_recall_falls_as_the_threshold_rises(
            rows in proptest::collection::vec((0.0_f64..=1.0, any::<bool>(), 1.0_f64..50.0), 0..200), wanted in 0.5_f64..1.0,
        ) {
            let all: Vec<Judged> = rows.iter().map(|(p, right, ahead)| Judged { ahead: *ahead, ..judged(*p, *right) }).collect();
            let evaluation = evaluate(&all, all.len() as u64, wanted);
            for pair in evaluation.thresholds.windows(2) {
                prop_assert!(pair[0].recall >= pair[1].recall && pair[0].linked >= pair[1].linked);
            }
            for t in &evaluation.thresholds {
                prop_assert!((0.0..=1.0).contains(&t.precision) && (0.0..=1.0).contains(&t.recall) && t.f1 <= evaluation.best_f1 + 1e-12);
            }
            prop_assert!((0.0..=1.0).contains(&evaluation.ece));
            prop_assert_eq!(evaluation.calibration.iter().map(|b| b.count).sum::<u64>(), all.len() as u64);
            if let Some(suggestion) = evaluation.suggestion {
                prop_assert!(suggestion.reached_precision >= wanted);
            }
        }
    }
}
