//! What travels between a command and the service about people's decisions. Values of people never show in `Debug`.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::fmt;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PeopleAsk {
    /// Which cases there are.
    Cases {
        /// Which of them.
        which: WhichCases,
        /// How many to pass over.
        from: usize,
        /// At most so many.
        limit: usize,
    },
    /// Cases with all that they show.
    Sheet {
        /// Which of them.
        which: WhichCases,
        /// How many to pass over.
        from: usize,
        /// At most so many.
        limit: usize,
        /// Without scores and without what others said.
        blind: bool,
    },
    /// One case with all that it shows.
    Case {
        /// The network.
        network: String,
        /// The account's id.
        identity: String,
        /// Without scores and without what others said.
        blind: bool,
    },
    /// People's words.
    Judge {
        /// At most [`super::WORDS_AT_ONCE`].
        words: Vec<WordAsked>,
    },
    /// Stop a source or target, or let it go on.
    Pause {
        /// Its name, or `all`.
        name: String,
        /// Stop, or go on.
        stops: bool,
    },
    /// Put back what was written: since a time, by a mapping, or about an account.
    Undo {
        /// RFC 3339.
        since: Option<String>,
        /// A digest in hexadecimal.
        mapping: Option<String>,
        /// Network and id.
        account: Option<(String, String)>,
        /// Do it; else only say what would be done.
        apply: bool,
    },
    /// Decide again whom a released mapping would decide otherwise.
    Again {
        /// Whom.
        list: AgainAsk,
    },
    /// Settle a guarded pass.
    Settle {
        /// Its number.
        pass: i64,
        /// Let on, or refuse.
        approve: bool,
    },
}

/// Part of a work-list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgainAsk {
    /// The whole hash of the mapping that the list was made with.
    pub mapping: String,
    /// Networks and ids, at most [`super::AGAIN_AT_ONCE`].
    pub accounts: Vec<(String, String)>,
    /// Links that would end or move by the whole list.
    pub relinked: u64,
    /// Links in all.
    pub links: u64,
    /// Some of the customers whose links they are.
    pub examples: Vec<String>,
    /// Whether this is the last part.
    pub last: bool,
}

/// Which cases.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichCases {
    /// The outcome in force.
    pub decision: String,
    /// On this network.
    pub network: Option<String>,
    /// Only disputed ones.
    pub disputed: bool,
    /// In an order that nobody chose.
    pub sample: bool,
}

/// One person's word.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WordAsked {
    /// The network.
    pub network: String,
    /// The account's id.
    pub identity: String,
    /// The state that was looked at; `None`: whatever it is.
    pub case: Option<String>,
    /// `link`, `none` or `unsure`.
    pub said: String,
    /// The customer, with `link`.
    pub customer: Option<String>,
    /// Why, 1 to 2,000 bytes.
    pub reason: String,
    /// Whether any customer in force may be named, not only a candidate.
    pub by_hand: bool,
    /// Check only: nothing is written.
    pub dry_run: bool,
}

/// What is answered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "kebab-case")]
pub enum PeopleTold {
    /// Cases, and how many there are in all.
    Cases {
        /// In their order.
        cases: Vec<CaseTold>,
        /// In all.
        total: u64,
    },
    /// Cases with all that they show.
    Sheet {
        /// In their order.
        pages: Vec<CasePage>,
        /// In all.
        total: u64,
    },
    /// One case.
    Case {
        /// It.
        page: Box<CasePage>,
    },
    /// What is, or would be, put back.
    Undo {
        /// Records, some of them.
        rows: Vec<UndoRow>,
        /// How many are put back.
        back: u64,
        /// How many are left as they are, by why.
        left: std::collections::BTreeMap<String, u64>,
        /// Whether it was done.
        applied: bool,
    },
    /// What came of each word.
    Words {
        /// In the order asked for.
        words: Vec<WordAnswer>,
    },
}

/// A case. In a blind look scores, rule and best candidate are left out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CaseTold {
    /// The network.
    pub network: String,
    /// The account's id.
    pub identity_id: String,
    /// Which state of it.
    pub case: String,
    /// The decision in force.
    pub decision: String,
    /// Its best candidate.
    pub customer_id: Option<String>,
    /// What decided.
    pub rule: Option<String>,
    /// How many candidates.
    pub candidates: u64,
    /// Posterior of the best.
    pub probability: Option<f64>,
    /// Its match weight, bits.
    pub match_weight: Option<f64>,
    /// When it was decided.
    pub at: String,
    /// Activities that wait for a word.
    pub waiting: u64,
    /// People whose word counts.
    pub opinions: u64,
    /// Whether they contradict each other.
    pub disputed: bool,
}

/// Names and values, personal ones.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Fields(pub Vec<(String, Json)>);

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// A comparison's outcome.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ComparisonTold {
    /// Its name.
    pub comparison: String,
    /// Its level.
    pub level: String,
    /// −1 null, 0 else.
    pub gamma: i32,
    /// Bits of the level.
    pub bits: f64,
    /// The term frequency.
    pub term_frequency: Option<f64>,
    /// Its bits.
    pub term_frequency_bits: f64,
}

/// A candidate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CandidateTold {
    /// Who.
    pub customer_id: String,
    /// What the CRM holds of them, cleaned.
    pub values: Fields,
    /// Posterior; none in a blind look.
    pub posterior: Option<f64>,
    /// Match weight; none in a blind look.
    pub match_weight: Option<f64>,
    /// Exact rules that name this customer; none in a blind look.
    pub rules: Vec<String>,
    /// Comparisons; none in a blind look and in sheets.
    pub comparisons: Vec<ComparisonTold>,
}

/// What one person said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OpinionTold {
    /// `link`, `no-link`, `unsure`.
    pub said: String,
    /// Whom, with `link`.
    pub customer_id: Option<String>,
    /// Who said it.
    pub author: String,
    /// When.
    pub at: String,
    /// The log's entry with the reason.
    pub entry: u64,
    /// Whether decisions follow it.
    pub in_force: bool,
}

/// A case with all that it shows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CasePage {
    /// The case.
    pub case: CaseTold,
    /// What the account shows, as compared.
    pub shows: Fields,
    /// Names of fields that it shows and its network does not let be shown here.
    #[serde(default)]
    pub withheld: Vec<String>,
    /// Why a link was held back for a person.
    pub held: Option<String>,
    /// The prior, bits.
    pub prior_bits: f64,
    /// Candidates, best first; in a blind look in an order that says nothing.
    pub candidates: Vec<CandidateTold>,
    /// What people said last; none in a blind look.
    pub opinions: Vec<OpinionTold>,
}

/// A record of an undo. Its key is personal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoRow {
    /// Where it stands.
    pub target: String,
    /// The mapping's deliver entry.
    pub entry: String,
    /// Its key.
    pub record: String,
    /// What becomes of it.
    pub fate: String,
}

impl fmt::Debug for UndoRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UndoRow").field("target", &self.target).field("fate", &self.fate).finish_non_exhaustive()
    }
}

/// What came of a word.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WordAnswer {
    /// The code of why nothing was done; none where it was.
    pub code: Option<String>,
    /// What happened, or why not, without personal data.
    pub told: String,
}
