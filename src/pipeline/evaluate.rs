//! *Evaluate*: everybody whose truth is known is decided again under the mapping as it stands, and compared with the truth. Nothing is stored.

use super::accuracy::Truth;
use super::decide::{KnownSide, decision, over_threads};
use super::siblings::{ByCustomer, Siblings};
use super::{Progress, RunError, Stage, posts};
use crate::declare::mapping::Rulebook;
use crate::model::{Candidate, CustomerId, Decision, IdentityId, LinkedBy, Value};
use crate::resolve::{Evaluation, Judged, Reach, reach};
use crate::store::sqlite::SqliteReader;
use crate::store::{Post, StoredProfile};

/// Profiles read at once: some 2 KB each, 4 MB.
const PAGE: usize = 2_000;

/// What a blocking rule finds, and what that costs.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct BlockingCost {
    /// The rule's id.
    pub rule: String,
    /// Pairs that no rule before it brings.
    pub pairs: u64,
    /// Identities whose true customer it brings.
    pub found: u64,
    /// Of these, brought by no other rule of the model.
    pub alone: u64,
    /// Identities for whom a key was set aside since too many customers share it.
    pub cut: u64,
}

/// A comparison level, and how often it is met with the right customer: as the model says, as the posteriors themselves say, as the truth
/// says. The second one needs no labels: a model whose first two columns agree has been trained to its end.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct LevelShare {
    /// The comparison.
    pub comparison: String,
    /// The level.
    pub level: String,
    /// The model's m.
    pub m: f64,
    /// Its share among all candidates, each counted by its posterior; pairs without the compared values left out.
    pub expected: f64,
    /// Its share among the true pairs.
    pub observed: f64,
}

/// A decision that the truth contradicts.
#[derive(Clone, Debug)]
pub struct Mistake {
    /// Who.
    pub identity: IdentityId,
    /// The true customer; `None`: none.
    pub truth: Option<CustomerId>,
    /// What is decided, with its evidence.
    pub decision: Decision,
}

impl Mistake {
    /// The true customer among the candidates.
    pub fn true_candidate(&self) -> Option<&Candidate> {
        self.decision.evidence.as_ref()?.candidates.iter().find(|c| Some(&c.customer) == self.truth.as_ref())
    }
}

/// What comparing with the truth showed.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// Precision, recall, calibration, suggestions.
    pub evaluation: Evaluation,
    /// Identities whose true customer is brought by any blocking rule ÷ identities that were decided and whose truth is a customer.
    pub blocking_recall: f64,
    /// By blocking rule, in the model's order.
    pub blocking: Vec<BlockingCost>,
    /// By comparison and level, in the model's order.
    pub levels: Vec<LevelShare>,
    /// The share of identities that belong to some customer, as the posteriors say: without labels.
    pub expected_share: f64,
    /// Wrong best candidates, the surest first.
    pub mistakes: Vec<Mistake>,
    /// Labels that no stored profile has.
    pub unseen: u64,
}

/// A decision that was taken anew, and what it is compared with.
struct Anew {
    cleaned: Vec<Value>,
    decision: Decision,
    /// The true customer; `None`: none.
    truth: Option<CustomerId>,
    reached: Vec<Reach>,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    judged: Vec<Judged>,
    reached: u64,
    reachable: u64,
    blocking: Vec<Tally>,
    /// By comparison, then gamma: weight by posterior, true pairs.
    levels: Vec<Vec<(f64, f64)>>,
    mass: f64,
    mistakes: Vec<Mistake>,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    pairs: u64,
    found: u64,
    alone: u64,
    cut: u64,
}

/// Decides about every stored profile that has a label. `wanted` is the precision to suggest settings for, `shown` how many mistakes are kept.
///
/// # Errors
/// When the store can't be read.
pub fn evaluate(
    rulebook: &Rulebook,
    known: &KnownSide,
    reader: &SqliteReader,
    truth: &Truth,
    wanted: f64,
    shown: usize,
    progress: &dyn Progress,
) -> Result<Evaluated, RunError> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut all = Found::default();
    let mut siblings = Siblings::default();
    let mut after = None;
    loop {
        let page = reader.profiles(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.row);
        let posts = posts::of_page_read(rulebook, reader, &page)?;
        let told: Vec<(&StoredProfile, &[Post])> = page.iter().zip(posts.iter().map(Vec::as_slice)).collect();
        let size = page.len().div_ceil(threads).max(1);
        let anew = over_threads(told.chunks(size), |chunk| anew(rulebook, known, truth, chunk));
        for (stored, anew) in page.iter().zip(anew) {
            let Some(mut anew) = anew else { continue };
            // Everybody is decided again, in their order: what is stored does not count.
            let who = (stored.row, stored.id.network);
            anew.decision = siblings.one(rulebook, who, &anew.cleaned, anew.decision, &ByCustomer::new());
            all.take(stored, anew, shown);
        }
        progress.advance(Stage::Decide, page.len() as u64, None);
    }
    progress.finished(Stage::Decide);
    all.worst(shown);
    let ids = rulebook.matching.model.iter().flat_map(|model| &model.blocking).map(|rule| rule.id.to_string());
    let evaluation = crate::resolve::evaluate(&all.judged, truth.customers(), wanted);
    Ok(Evaluated {
        blocking_recall: if all.reachable == 0 { 0.0 } else { share(all.reached, all.reachable) },
        blocking: ids
            .zip(all.blocking)
            .map(|(rule, t)| BlockingCost { rule, pairs: t.pairs, found: t.found, alone: t.alone, cut: t.cut })
            .collect(),
        levels: level_shares(rulebook, &all.levels),
        expected_share: if evaluation.identities == 0 { 0.0 } else { all.mass / counted(evaluation.identities) },
        mistakes: all.mistakes,
        unseen: truth.labels().saturating_sub(evaluation.identities),
        evaluation,
    })
}

fn level_shares(rulebook: &Rulebook, counts: &[Vec<(f64, f64)>]) -> Vec<LevelShare> {
    let mut shares = Vec::new();
    for (comparison, counts) in rulebook.matching.model.iter().flat_map(|model| &model.comparisons).zip(counts) {
        let total = counts.iter().fold((0.0, 0.0), |sum, c| (sum.0 + c.0, sum.1 + c.1));
        let of = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        for (at, level) in comparison.levels.iter().enumerate() {
            let gamma = comparison.levels.len().saturating_sub(at + 1);
            let (expected, observed) = counts.get(gamma).copied().unwrap_or_default();
            shares.push(LevelShare {
                comparison: comparison.name.to_string(),
                level: level.label.to_string(),
                m: level.m,
                expected: of(expected, total.0),
                observed: of(observed, total.1),
            });
        }
    }
    shares
}

#[expect(clippy::cast_precision_loss, reason = "counts of people are far below 2^53")]
fn counted(count: u64) -> f64 {
    count as f64
}

fn share(part: u64, whole: u64) -> f64 {
    counted(part) / counted(whole)
}

impl Found {
    /// Counts a candidate's levels by its posterior, and once more where it is the true customer.
    fn weigh(&mut self, candidate: &Candidate, is_true: bool) {
        self.mass += candidate.posterior;
        self.levels.resize(self.levels.len().max(candidate.comparisons.len()), Vec::new());
        for (levels, outcome) in self.levels.iter_mut().zip(&candidate.comparisons) {
            let Ok(gamma) = usize::try_from(outcome.gamma) else { continue };
            levels.resize(levels.len().max(gamma + 1), (0.0, 0.0));
            if let Some((expected, observed)) = levels.get_mut(gamma) {
                *expected += candidate.posterior;
                *observed += f64::from(u8::from(is_true));
            }
        }
    }

    fn take(&mut self, stored: &StoredProfile, anew: Anew, shown: usize) {
        let Anew { decision, truth, reached, .. } = anew;
        self.count(&reached, truth.is_some());
        for candidate in decision.evidence.iter().flat_map(|e| &e.candidates) {
            self.weigh(candidate, Some(&candidate.customer) == truth.as_ref());
        }
        let judged = judge(&decision, truth.as_ref());
        self.judged.push(judged);
        if judged.probability.is_some() && !judged.right && decision.probability >= 0.5 {
            self.mistakes.push(Mistake { identity: stored.id.clone(), truth, decision });
        }
        if self.mistakes.len() >= shown.saturating_mul(2).max(64) {
            self.worst(shown);
        }
    }

    /// Keeps the worst mistakes only.
    fn worst(&mut self, shown: usize) {
        self.mistakes.sort_by(|a, b| b.decision.probability.total_cmp(&a.decision.probability).then_with(|| a.identity.cmp(&b.identity)));
        self.mistakes.truncate(shown);
    }

    fn count(&mut self, reached: &[Reach], is_customer: bool) {
        self.blocking.resize(self.blocking.len().max(reached.len()), Tally::default());
        let finds = reached.iter().filter(|r| r.finds).count();
        for (tally, reach) in self.blocking.iter_mut().zip(reached) {
            tally.pairs += reach.pairs;
            tally.found += u64::from(reach.finds);
            tally.alone += u64::from(reach.finds && finds == 1);
            tally.cut += u64::from(reach.cut);
        }
        self.reachable += u64::from(is_customer);
        self.reached += u64::from(finds > 0);
    }
}

/// In order; `None` for whom there is no label.
fn anew(rulebook: &Rulebook, known: &KnownSide, truth: &Truth, profiles: &[(&StoredProfile, &[Post])]) -> Vec<Option<Anew>> {
    let one = |(stored, posts): &(&StoredProfile, &[Post])| {
        let label = truth.of(&stored.id.id)?;
        let cleaned = posts::cleaned_stored(rulebook, stored, posts);
        let decision = decision(rulebook, known, &stored.id, &stored.profile, &cleaned);
        // A customer that was merged is right where its survivor is linked.
        let truth = (!label.is_empty()).then(|| CustomerId::from(label)).map(|id| known.index.survivor(&id).unwrap_or(id));
        let reached = reach(&known.index, &cleaned, &rulebook.matching, truth.as_ref());
        Some(Anew { cleaned, decision, truth, reached })
    };
    profiles.iter().map(one).collect()
}

fn judge(decision: &Decision, truth: Option<&CustomerId>) -> Judged {
    let candidates = decision.evidence.as_ref().map(|e| e.candidates.as_slice()).unwrap_or_default();
    let best = decision.customer.as_ref();
    let odds = |p: f64| if p >= 1.0 { f64::INFINITY } else { p / (1.0 - p) };
    let next = candidates.iter().filter(|c| Some(&c.customer) != best).map(|c| c.match_weight).fold(f64::NEG_INFINITY, f64::max);
    let by_rule = matches!(decision.by, Some(LinkedBy::Rule(_)));
    let ahead = if next == f64::NEG_INFINITY {
        f64::INFINITY
    } else if by_rule {
        odds(decision.probability)
    } else {
        libm::exp2((decision.match_weight - next).clamp(-512.0, 512.0))
    };
    Judged {
        is_customer: truth.is_some(),
        probability: best.map(|_| decision.probability),
        right: best.is_some() && best == truth,
        among: truth.is_some_and(|truth| candidates.iter().any(|c| c.customer == *truth)),
        ahead,
        sum: candidates.iter().fold(0.0, |sum, c| sum + c.posterior).max(decision.probability).min(1.0),
        outcome: decision.outcome,
        by_rule,
    }
}
