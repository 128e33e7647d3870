//! What people decide, as the pipeline asks it of a store: cases that wait for a person, and what they said about them.

use super::{IdentityRow, StoreError};
use crate::model::{CustomerId, Evidence, IdentityId, LinkedBy, Network, Outcome, Said, Timestamp};
use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;

/// Which state of a case somebody looked at: the evidence they saw, and whose word was in force. A case that changed since has another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CaseToken {
    /// The first bytes of the evidence's digest: 2^48 of them are enough to tell two states of one account apart.
    pub evidence: [u8; 6],
    /// The number of the verdict in force; 0 for none.
    pub verdict: i64,
}

impl fmt::Display for CaseToken {
    /// `case-1f00c4a9b2e7-0`: nothing that a spreadsheet takes for a number or a date.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("case-")?;
        for byte in self.evidence {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "-{}", self.verdict)
    }
}

/// Not what [`CaseToken`] writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this is no case: it is written as `case-1f00c4a9b2e7-0`")]
pub struct NoCase;

impl FromStr for CaseToken {
    type Err = NoCase;

    fn from_str(text: &str) -> Result<Self, NoCase> {
        let (hex, verdict) = text.trim().strip_prefix("case-").and_then(|rest| rest.split_once('-')).ok_or(NoCase)?;
        if hex.len() != 12 || !hex.is_ascii() {
            return Err(NoCase);
        }
        let mut evidence = [0; 6];
        for (byte, at) in evidence.iter_mut().zip((0..).step_by(2)) {
            let pair = hex.get(at..at + 2).ok_or(NoCase)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_not_hex| NoCase)?;
        }
        Ok(Self { evidence, verdict: verdict.parse().map_err(|_no_number| NoCase)? })
    }
}

/// Which cases to show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaseFilter {
    /// With this decision in force; `Review` are those that wait.
    pub outcome: Outcome,
    /// On this network.
    pub network: Option<Network>,
    /// Only those whose reviewers contradict each other.
    pub disputed: bool,
    /// In an order that nobody chose and that stays the same: a sample. Else the most useful first.
    pub sample: bool,
}

/// A case, without what anybody shows.
#[derive(Clone, PartialEq, Debug)]
pub struct CaseRow {
    /// The store's row.
    pub row: IdentityRow,
    /// Which account.
    pub id: IdentityId,
    /// Which state of it.
    pub token: CaseToken,
    /// The decision in force.
    pub outcome: Outcome,
    /// Its best candidate.
    pub customer: Option<CustomerId>,
    /// What decided.
    pub by: Option<LinkedBy>,
    /// How many candidates its evidence names.
    pub candidates: u64,
    /// Whom a reviewer may name: its candidates, and the customer that it names itself.
    pub named: Vec<CustomerId>,
    /// Posterior of the best one.
    pub probability: f64,
    /// Its match weight, bits.
    pub match_weight: f64,
    /// When it was decided.
    pub at: Timestamp,
    /// Activity versions that wait for a person's word.
    pub waiting: u64,
    /// How many people said something that still counts.
    pub opinions: u64,
    /// Whether they contradict each other.
    pub disputed: bool,
}

/// What one person said last about a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opinion {
    /// What.
    pub said: Said,
    /// Who.
    pub author: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// The log's entry that tells it.
    pub entry: u64,
    /// Whether decisions follow it.
    pub in_force: bool,
}

/// A case with everything that a person needs to decide about it.
#[derive(Clone, PartialEq, Debug)]
pub struct CaseShown {
    /// The case.
    pub row: CaseRow,
    /// What went into the decision; `None` where nobody was scored or the key was destroyed.
    pub evidence: Option<Evidence>,
    /// What people said last, each once, oldest first.
    pub opinions: Vec<Opinion>,
}

/// Whom a word may name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Names {
    /// A candidate of the case: whoever reviews chooses among what was shown.
    Candidates,
    /// Any customer in force: a link made by hand.
    AnyCustomer,
}

/// One person's word about one account, to be stored.
#[derive(Clone, Debug)]
pub struct JudgeStep {
    /// Now.
    pub at: Timestamp,
    /// About which account.
    pub id: IdentityId,
    /// What they say.
    pub said: Said,
    /// The state that they looked at; `None`: whatever it is now.
    pub case: Option<CaseToken>,
    /// Whom they may name.
    pub names: Names,
    /// Who says it.
    pub author: Arc<str>,
    /// How many people must say the same, 1 or more.
    pub reviewers: u32,
    /// The leaf that tells it.
    pub leaf: Vec<u8>,
}

/// What came of a person's word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judged {
    /// The next pass decides by it.
    Stands,
    /// It is kept; decisions were by this word already.
    Already,
    /// It is kept; so many more people must say the same.
    Waits(u32),
    /// It is kept; people contradict each other.
    Disputed,
    /// It is kept: they can't tell.
    Noted,
    /// Nothing was done: nothing is known of the account, or nothing was decided about it.
    Unknown,
    /// Nothing was done: the case is not any more what they looked at.
    Stale,
    /// Nothing was done: the customer is no candidate of the case.
    NoCandidate,
    /// Nothing was done: there is no such customer in force.
    NoCustomer,
}

/// A label that people gave: whose an account is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// Which account.
    pub account: Arc<str>,
    /// Its customer; `None`: none of the candidates.
    pub customer: Option<CustomerId>,
}

/// An account whose link ended since its customer is gone from the CRM.
#[derive(Clone, PartialEq, Debug)]
pub struct LostLink {
    /// Which account.
    pub id: IdentityId,
    /// The customer that is gone.
    pub customer: CustomerId,
    /// When the link ended.
    pub ended: Timestamp,
    /// The decision in force now, and its best candidate.
    pub now: (Outcome, Option<CustomerId>),
}

/// What the pipeline asks of a store about what people decide. Every writing method is one transaction, durable when it returns.
pub trait People: Send + Sync {
    /// Cases from this place of the order on, at most `limit`, and how many there are in all.
    fn cases(&self, filter: CaseFilter, from: usize, limit: usize) -> impl Future<Output = Result<(Vec<CaseRow>, u64), StoreError>> + Send;

    /// One case; `None` where nothing was decided about the account.
    fn case(&self, id: IdentityId) -> impl Future<Output = Result<Option<CaseShown>, StoreError>> + Send;

    /// One case without what anybody shows; `None` where nothing was decided about the account.
    fn case_row(&self, id: IdentityId) -> impl Future<Output = Result<Option<CaseRow>, StoreError>> + Send;

    /// *Judge*: people's words, each with what came of it; what is refused leaves no trace.
    fn judge(&self, steps: Vec<JudgeStep>) -> impl Future<Output = Result<Vec<Judged>, StoreError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_case_is_read_as_it_was_written_and_nothing_else_is(evidence in any::<[u8; 6]>(), verdict in 0..i64::MAX, junk in ".*") {
            let token = CaseToken { evidence, verdict };
            prop_assert_eq!(token.to_string().parse(), Ok(token));
            if let Ok(read) = junk.parse::<CaseToken>() {
                prop_assert!(junk.trim().eq_ignore_ascii_case(&read.to_string()) || junk.contains('+') || junk.contains("-0"));
            }
        }
    }
}
