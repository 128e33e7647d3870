//! Review: cases as people see them, and what they say.

use super::told::{CandidateTold, CasePage, CaseTold, ComparisonTold, Fields, OpinionTold, PeopleTold, WhichCases, WordAnswer, WordAsked};
use super::{CASES_AT_ONCE, SHEET_AT_ONCE, WORDS_AT_ONCE};
use crate::model::{Candidate, CustomerId, Display, IdentityId, Network, Outcome, Said, Value};
use crate::pipeline::asked::Desk;
use crate::pipeline::{RunError, WhoAsks};
use crate::store::{CaseFilter, CaseRow, CaseShown, CaseToken, JudgeStep, Judged, Names, Opinion, People, Store};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// What an audit entry keeps of a reason.
const MAX_REASON: usize = 2_000;

/// Candidates of a case in a sheet, the best ones: at 1 KB each, 40 cases are 400 KB.
const IN_A_SHEET: usize = 10;

const STALE: &str = "KITH-R057";
const NO_CANDIDATE: &str = "KITH-R058";
const NO_CUSTOMER: &str = "KITH-R059";
const UNKNOWN: &str = "KITH-R009";
const BAD_WORD: &str = "KITH-R060";

fn refused(reason: impl Into<String>) -> RunError {
    RunError::Refused { code: "KITH-R010".into(), reason: reason.into() }
}

fn filter(which: &WhichCases) -> Result<CaseFilter, RunError> {
    let outcome = Outcome::from_name(&which.decision).ok_or_else(|| refused("an unknown outcome"))?;
    let network = which.network.as_deref().map(str::parse::<Network>).transpose().map_err(|_unknown| refused("an unknown network"))?;
    Ok(CaseFilter { outcome, network, disputed: which.disputed, sample: which.sample })
}

fn told(row: &CaseRow, blind: bool) -> CaseTold {
    let scored = row.customer.is_some() && !blind;
    CaseTold {
        network: row.id.network.name().to_owned(),
        identity_id: row.id.id.to_string(),
        case: row.token.to_string(),
        decision: row.outcome.name().to_owned(),
        customer_id: row.customer.as_ref().filter(|_| !blind).map(|c| c.as_str().to_owned()),
        rule: row.by.as_ref().filter(|_| !blind).map(|by| by.name().to_owned()),
        candidates: row.candidates,
        probability: scored.then_some(row.probability),
        match_weight: scored.then_some(row.match_weight),
        at: row.at.to_string(),
        waiting: row.waiting,
        opinions: if blind { 0 } else { row.opinions },
        disputed: row.disputed && !blind,
    }
}

fn fields(values: &[(Arc<str>, Value)]) -> Fields {
    Fields(values.iter().filter(|(_, value)| !value.is_missing()).map(|(name, value)| (name.to_string(), value.to_json())).collect())
}

fn candidate(candidate: &Candidate, blind: bool, whole: bool) -> CandidateTold {
    let comparisons = candidate.comparisons.iter().map(|c| ComparisonTold {
        comparison: c.comparison.to_string(),
        level: c.level.to_string(),
        gamma: c.gamma,
        bits: c.bits,
        term_frequency: c.term_frequency,
        term_frequency_bits: c.term_frequency_bits,
    });
    CandidateTold {
        customer_id: candidate.customer.as_str().to_owned(),
        values: fields(candidate.values.reveal()),
        posterior: (!blind).then_some(candidate.posterior),
        match_weight: (!blind).then_some(candidate.match_weight),
        rules: if blind { Vec::new() } else { candidate.rules.iter().map(ToString::to_string).collect() },
        comparisons: if blind || !whole { Vec::new() } else { comparisons.collect() },
    }
}

fn opinion(opinion: &Opinion) -> OpinionTold {
    OpinionTold {
        said: opinion.said.name().to_owned(),
        customer_id: match &opinion.said {
            Said::Customer(customer) => Some(customer.as_str().to_owned()),
            Said::Nobody | Said::Unsure => None,
        },
        author: opinion.author.to_string(),
        at: opinion.at.to_string(),
        entry: opinion.entry,
        in_force: opinion.in_force,
    }
}

/// An order of candidates that says nothing about them, and is the same each time.
fn by_lot(case: &str, customer: &str) -> [u8; 32] {
    Sha256::digest(format!("{case}\n{customer}").as_bytes()).into()
}

fn page(shown: &CaseShown, display: Option<&Display>, blind: bool, whole: bool) -> CasePage {
    let case = told(&shown.row, blind);
    let evidence = shown.evidence.as_ref();
    let mut candidates: Vec<CandidateTold> = evidence.iter().flat_map(|e| &e.candidates).map(|one| candidate(one, blind, whole)).collect();
    if !whole {
        candidates.truncate(IN_A_SHEET);
    }
    if blind {
        candidates.sort_by_cached_key(|one| by_lot(&case.case, &one.customer_id));
    }
    let mut shows = evidence.map(|e| fields(e.identity.reveal())).unwrap_or_default();
    let withholds = |name: &String| display.is_some_and(|display| display.withholds(&format!("identity.{name}")));
    let withheld: Vec<String> = shows.0.iter().map(|(name, _)| name.clone()).filter(withholds).collect();
    shows.0.retain(|(name, _)| !withheld.contains(name));
    CasePage {
        shows,
        withheld,
        held: evidence.and_then(|e| e.held.as_ref()).map(ToString::to_string),
        prior_bits: evidence.map_or(0.0, |e| e.prior_bits),
        candidates,
        opinions: if blind { Vec::new() } else { shown.opinions.iter().map(opinion).collect() },
        case,
    }
}

impl Desk {
    /// What the account's network lets be shown.
    fn display(&self, shown: &CaseShown) -> Option<&Display> {
        self.parts.rulebook.policy.display(shown.row.id.network)
    }

    /// The log says that personal data is shown before it is.
    pub(super) async fn tell_shown(&self, what: &str, subjects: &[String], count: usize, asker: Option<&WhoAsks>) -> Result<(), RunError> {
        let leaf = self.scribe.personal_read(what, subjects, count as u64, asker, self.clock.now())?;
        Ok(self.store.append(vec![leaf]).await?)
    }

    pub(super) async fn cases(
        &self,
        which: &WhichCases,
        (from, limit): (usize, usize),
        asker: Option<&WhoAsks>,
    ) -> Result<PeopleTold, RunError> {
        let (rows, total) = self.store.cases(filter(which)?, from, limit.min(CASES_AT_ONCE)).await?;
        if !rows.is_empty() {
            self.tell_shown("review list", &[], rows.len(), asker).await?;
        }
        Ok(PeopleTold::Cases { cases: rows.iter().map(|row| told(row, false)).collect(), total })
    }

    pub(super) async fn sheet(
        &self,
        which: &WhichCases,
        (from, limit): (usize, usize),
        blind: bool,
        asker: Option<&WhoAsks>,
    ) -> Result<PeopleTold, RunError> {
        let (rows, total) = self.store.cases(filter(which)?, from, limit.min(SHEET_AT_ONCE)).await?;
        if !rows.is_empty() {
            self.tell_shown("review export", &[], rows.len(), asker).await?;
        }
        let mut pages = Vec::with_capacity(rows.len());
        for row in rows {
            // One that was decided or erased meanwhile is left out.
            if let Some(shown) = self.store.case(row.id).await? {
                pages.push(page(&shown, self.display(&shown), blind, false));
            }
        }
        Ok(PeopleTold::Sheet { pages, total })
    }

    pub(super) async fn case(&self, network: &str, identity: &str, blind: bool, asker: Option<&WhoAsks>) -> Result<PeopleTold, RunError> {
        let network: Network = network.parse().map_err(|_unknown| refused("an unknown network"))?;
        let id = IdentityId { network, id: identity.into() };
        let Some(shown) = self.store.case(id.clone()).await? else {
            return Err(RunError::Refused { code: UNKNOWN.into(), reason: "nothing was decided about this account".into() });
        };
        self.tell_shown("review show", &[self.parts.keys.hash.identity(&id).to_string()], 1, asker).await?;
        Ok(PeopleTold::Case { page: Box::new(page(&shown, self.display(&shown), blind, true)) })
    }

    /// People's words, each with what came of it.
    pub(super) async fn judge(&self, words: &[WordAsked], asker: Option<&WhoAsks>, account: Arc<str>) -> Result<PeopleTold, RunError> {
        if words.len() > WORDS_AT_ONCE {
            return Err(refused("more than 20 words at once"));
        }
        let now = self.clock.now();
        let mut answers: Vec<Option<WordAnswer>> = vec![None; words.len()];
        let (mut steps, mut places) = (Vec::new(), Vec::new());
        for (place, (word, answer)) in words.iter().zip(&mut answers).enumerate() {
            match self.read(word).await? {
                Err(not) => *answer = Some(not),
                Ok((row, said, case)) => {
                    let leaf = self.scribe.judged(&row, &said, word.reason.trim(), asker, now)?;
                    let names = if word.by_hand { Names::AnyCustomer } else { Names::Candidates };
                    let reviewers = self.parts.config.review.reviewers.get();
                    if word.dry_run {
                        *answer = Some(checked(&row, &said, case, names));
                        continue;
                    }
                    steps.push(JudgeStep { at: now, id: row.id, said, case, names, author: account.clone(), reviewers, leaf });
                    places.push(place);
                }
            }
        }
        self.scribe.keep_parts(&*self.store).await?;
        let judged = if steps.is_empty() { Vec::new() } else { self.store.judge(steps).await? };
        let stands = judged.contains(&Judged::Stands);
        for (place, judged) in places.into_iter().zip(judged) {
            if let Some(answer) = answers.get_mut(place) {
                *answer = Some(self::answer(judged));
            }
        }
        if stands {
            self.wake.notify_one();
        }
        Ok(PeopleTold::Words { words: answers.into_iter().flatten().collect() })
    }

    /// What a word says, and about which case; else why it can't be taken.
    async fn read(&self, word: &WordAsked) -> Result<Result<(CaseRow, Said, Option<CaseToken>), WordAnswer>, RunError> {
        let not = |code: &str, told: &str| Ok(Err(WordAnswer { code: Some(code.into()), told: told.into() }));
        let Ok(network) = word.network.parse::<Network>() else { return not(BAD_WORD, "the network is unknown") };
        let said = match (word.said.as_str(), &word.customer) {
            ("link", Some(customer)) if !customer.is_empty() => Said::Customer(CustomerId::from(customer.as_str())),
            ("none", None) => Said::Nobody,
            ("unsure", None) => Said::Unsure,
            _ => return not(BAD_WORD, "the decision is a customer's id, `none` or `unsure`"),
        };
        let reason = word.reason.trim();
        if reason.is_empty() || reason.len() > MAX_REASON {
            return not(BAD_WORD, "a reason has 1 to 2,000 bytes");
        }
        let case = match word.case.as_deref().map(str::parse::<CaseToken>).transpose() {
            Ok(case) => case,
            Err(error) => return not(BAD_WORD, &error.to_string()),
        };
        let id = IdentityId { network, id: word.identity.as_str().into() };
        let Some(row) = self.store.case_row(id).await? else { return not(UNKNOWN, "nothing was decided about this account") };
        Ok(Ok((row, said, case)))
    }
}

/// What would come of a word, as far as that can be told without writing it.
fn checked(row: &CaseRow, said: &Said, case: Option<CaseToken>, names: Names) -> WordAnswer {
    if case.is_some_and(|case| case != row.token) {
        return answer(Judged::Stale);
    }
    let known = match said {
        Said::Customer(customer) => names == Names::AnyCustomer || row.named.contains(customer),
        Said::Nobody | Said::Unsure => true,
    };
    if known { WordAnswer { code: None, told: "would be taken".into() } } else { answer(Judged::NoCandidate) }
}

fn answer(judged: Judged) -> WordAnswer {
    let (code, told) = match judged {
        Judged::Stands => (None, "taken: the next pass decides by it".to_owned()),
        Judged::Already => (None, "taken: decisions were by this word already".to_owned()),
        Judged::Waits(more) => (None, format!("taken: {more} more must say the same")),
        Judged::Disputed => (None, "taken: reviewers contradict each other, nothing changes until enough say the same".to_owned()),
        Judged::Noted => (None, "taken: can't tell".to_owned()),
        Judged::Unknown => (Some(UNKNOWN), "nothing was decided about this account".to_owned()),
        Judged::Stale => (Some(STALE), "the case changed since it was looked at".to_owned()),
        Judged::NoCandidate => (Some(NO_CANDIDATE), "the customer is no candidate of this case".to_owned()),
        Judged::NoCustomer => (Some(NO_CUSTOMER), "there is no such customer in the CRM".to_owned()),
    };
    WordAnswer { code: code.map(Into::into), told }
}
