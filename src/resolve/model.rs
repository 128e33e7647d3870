//! The checked linkage model: prior, blocking rules, term frequencies and comparisons with m and u (Fellegi–Sunter, as Splink names it).
//!
//! A model names fields, not positions, so that one file serves every mapping that declares those fields and evidence can be
//! recomputed from names and values alone.

use crate::model::Digest;
use crate::splink::{KeyOf, Settings};
use std::sync::Arc;

/// A Fellegi–Sunter linkage model.
#[derive(Clone, PartialEq, Debug)]
pub struct Model {
    /// Its name.
    pub name: Arc<str>,
    /// How likely a pair is before anything is compared.
    pub prior: Prior,
    /// Which customers are compared at all; a candidate is found by any of them.
    pub blocking: Vec<BlockingRule>,
    /// Named value counts that levels adjust by.
    pub term_frequencies: Vec<TermFrequency>,
    /// The comparisons, in the order in which their bits are summed.
    pub comparisons: Vec<Comparison>,
    /// SHA-256 of the canonical form.
    pub digest: Digest,
}

/// The prior of a pair.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Prior {
    /// The share of identities that belong to *some* customer, 0 to 1 exclusive. The odds of one customer against "none of them" are
    /// share ÷ (1 − share) ÷ customers, so the same model serves a CRM of any size.
    Share {
        /// The share.
        share: f64,
        /// How many customers there were where the model was made: used where an index is too small to tell (mapping tests).
        customers: u64,
    },
    /// λ, the probability that two random records match, as Splink has it.
    Pair(f64),
}

/// How a key is made from a field's cleaned value. A form may give several keys; any in common will do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyForm {
    /// The value; of a list, each member.
    Whole,
    /// The value and every formal name that it is a nickname of.
    Nickname,
    /// The first letter.
    Initial,
    /// The first three letters.
    FirstThree,
    /// The last three letters.
    LastThree,
    /// What stands after the network of `network:handle`.
    Handle,
    /// What stands before the `@` of an e-mail address.
    LocalPart,
}

/// One part of a blocking key: a field of each side and how the key is made.
#[derive(Clone, PartialEq, Debug)]
pub enum KeyPart {
    /// A field of each side.
    Field {
        /// The identity's field.
        identity: Arc<str>,
        /// How its key is made.
        identity_form: KeyForm,
        /// The customer's field.
        customer: Arc<str>,
        /// How its key is made.
        customer_form: KeyForm,
    },
    /// The letters of the identity's handle spell the customer's name: given and family in either order, or one of them as an initial.
    SpelledInHandle {
        /// The identity's handle.
        handle: Arc<str>,
        /// The customer's given name.
        given: Arc<str>,
        /// The customer's family name.
        family: Arc<str>,
    },
    /// An equality of a Splink model's blocking rule: the identity is its left side, the customer its right side.
    Sql {
        /// The model.
        settings: Arc<Settings>,
        /// What it asks of the identity.
        identity: KeyOf,
        /// What it asks of the customer.
        customer: KeyOf,
    },
}

/// A blocking rule: records that agree on every part are compared.
#[derive(Clone, PartialEq, Debug)]
pub struct BlockingRule {
    /// Its id.
    pub id: Arc<str>,
    /// The parts, all of which must agree.
    pub parts: Vec<KeyPart>,
    /// A key shared by more customers than this is not followed; the evidence names it.
    pub cut_above: u32,
}

/// A part of a customer that is counted.
#[derive(Clone, PartialEq, Debug)]
pub struct CountedPart {
    /// The customer's field.
    pub field: Arc<str>,
    /// [`KeyForm::Whole`] or [`KeyForm::Initial`].
    pub form: KeyForm,
}

/// How common a value is among customers.
#[derive(Clone, PartialEq, Debug)]
pub struct TermFrequency {
    /// Its name in the file.
    pub name: Arc<str>,
    /// What is counted together.
    pub of: Vec<CountedPart>,
    /// The probability that two random records agree on it: the `u` that the frequency replaces.
    pub u: f64,
    /// How much of the adjustment counts, 0 to 1; 1 but in Splink's models.
    pub weight: f64,
    /// Frequencies below this count as this; 0 but in Splink's models.
    pub least: f64,
    /// With several parts: how much the product of the parts' own frequencies counts against the count of the whole, in
    /// pseudo-observations (the shape of a gamma prior). A name that stands once in the CRM is not as common as 1 ÷ customers suggests; its parts tell.
    pub shape: Option<f64>,
    /// With several parts: how much more often the parts come together than if they were independent.
    pub together: f64,
    /// The frequency that stands in where the CRM is too small to count (mapping tests).
    pub typical: f64,
    /// Stored frequencies of single values, used instead of `typical` there; sorted by value, parts joined by a blank.
    pub table: Vec<(Arc<str>, f64)>,
}

impl TermFrequency {
    /// Whether it counts this field of the customer as it is, and nothing else.
    pub fn counts(&self, field: &str) -> bool {
        matches!(&*self.of, [CountedPart { field: counted, form: KeyForm::Whole }] if **counted == *field)
    }
}

/// What a comparison looks at.
#[derive(Clone, PartialEq, Debug)]
pub enum Compared {
    /// One field of each side.
    Field {
        /// The identity's field.
        identity: Arc<str>,
        /// The customer's field.
        customer: Arc<str>,
    },
    /// The displayed name and the handle together, since a person who has one has the other (they are not independent).
    NameAndHandle {
        /// The given name, on both sides.
        given: Arc<str>,
        /// The family name, on both sides.
        family: Arc<str>,
        /// The identity's handle.
        handle: Arc<str>,
    },
    /// What a handle has beyond the name: its digits, or all of it, found again in the customer's other accounts.
    HandleReuse {
        /// The identity's handle.
        handle: Arc<str>,
        /// The customer's handles.
        handles: Option<Arc<str>>,
        /// The customer's e-mail address.
        email: Option<Arc<str>>,
        /// The customer's date of birth.
        birth_date: Option<Arc<str>>,
        /// The customer's given and family name: a handle that spells them says less than a made-up one.
        name: Option<(Arc<str>, Arc<str>)>,
    },
    /// A comparison of a Splink model, over fields of the names of its columns: the identity is its left side, the customer its right side.
    Sql {
        /// The model.
        settings: Arc<Settings>,
        /// The comparison's number in it.
        comparison: usize,
    },
}

/// How a displayed name stands to a customer's name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum NameAgreement {
    /// Given and family name are equal.
    Full,
    /// The family names are equal, the given names are forms of one name.
    Nickname,
    /// Equal after exchanging given and family name.
    Swapped,
    /// Both alike, at most a typing error in each.
    Alike,
    /// The family names are equal, one given name is the initial of the other.
    GivenInitial,
    /// The given names are equal or forms of one name, one family name is the initial of the other.
    FamilyInitial,
    /// The given names are equal or forms of one name; the identity shows no family name.
    GivenOnly,
    /// The family names are equal, the given names differ.
    FamilyOnly,
    /// The given names are equal or forms of one name, the family names differ.
    GivenDiffersInFamily,
    /// Anything else: a pseudonym, another name, or none shown.
    Unrelated,
}

impl NameAgreement {
    /// Every agreement.
    pub const ALL: [Self; 10] = [
        Self::Full,
        Self::Nickname,
        Self::Swapped,
        Self::Alike,
        Self::GivenInitial,
        Self::FamilyInitial,
        Self::GivenOnly,
        Self::FamilyOnly,
        Self::GivenDiffersInFamily,
        Self::Unrelated,
    ];

    /// The name in model files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Nickname => "nickname",
            Self::Swapped => "swapped",
            Self::Alike => "alike",
            Self::GivenInitial => "given_initial",
            Self::FamilyInitial => "family_initial",
            Self::GivenOnly => "given_only",
            Self::FamilyOnly => "family_only",
            Self::GivenDiffersInFamily => "other_family",
            Self::Unrelated => "unrelated",
        }
    }
}

/// How the letters of a handle stand to a customer's name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum HandleAgreement {
    /// They spell given and family name, in either order; the given name may be a nickname.
    Full,
    /// They spell an initial and the family name.
    InitialFamily,
    /// They spell the given name and the family name's initial.
    GivenInitial,
    /// They hold the family name of at least four letters.
    HoldsFamily,
    /// Anything else.
    Unrelated,
}

impl HandleAgreement {
    /// Every agreement.
    pub const ALL: [Self; 5] = [Self::Full, Self::InitialFamily, Self::GivenInitial, Self::HoldsFamily, Self::Unrelated];

    /// The name in model files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::InitialFamily => "initial_family",
            Self::GivenInitial => "given_initial",
            Self::HoldsFamily => "holds_family",
            Self::Unrelated => "unrelated",
        }
    }
}

/// What of a handle comes back in a customer's other accounts: handles on any network, the part before the `@` of the e-mail address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Reuse {
    /// All of it, and it does not spell the customer's name.
    WholeMadeUp,
    /// All of it, a name with digits.
    WholeWithDigits,
    /// All of it, a name without digits.
    Whole,
    /// Its digits, three or more.
    LongNumber,
    /// Its two digits.
    ShortNumber,
    /// Its digits are the year of birth.
    BirthYear,
    /// It has digits, and there are accounts or a date of birth without them.
    OtherNumber,
    /// It has no digits, and there are accounts unlike it.
    Nothing,
}

impl Reuse {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::WholeMadeUp,
        Self::WholeWithDigits,
        Self::Whole,
        Self::LongNumber,
        Self::ShortNumber,
        Self::BirthYear,
        Self::OtherNumber,
        Self::Nothing,
    ];

    /// The name in model files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WholeMadeUp => "whole_made_up",
            Self::WholeWithDigits => "whole_with_digits",
            Self::Whole => "whole",
            Self::LongNumber => "long_number",
            Self::ShortNumber => "short_number",
            Self::BirthYear => "birth_year",
            Self::OtherNumber => "other_number",
            Self::Nothing => "nothing",
        }
    }
}

/// The test of a comparison level. The first level whose test holds wins.
#[derive(Clone, PartialEq, Debug)]
pub enum LevelTest {
    /// Equal; of lists, any member.
    Exact,
    /// Jaro–Winkler similarity on characters, at least this.
    JaroWinkler(f64),
    /// Levenshtein distance on characters, at most this.
    Levenshtein(u32),
    /// Forms of one given name.
    Nickname,
    /// All words of one stand at the start of the other.
    StartsWith,
    /// The parts before the `@` of two e-mail addresses are equal.
    SameLocalPart,
    /// The displayed name and the handle stand so to the customer's name; an empty list allows anything.
    NameAndHandle {
        /// How the displayed name may stand.
        name: Vec<NameAgreement>,
        /// How the handle may stand.
        handle: Vec<HandleAgreement>,
    },
    /// What of the handle comes back.
    Reuse(Vec<Reuse>),
    /// The level of a Splink comparison that has this `comparison_vector_value`.
    Gamma(i8),
    /// Always: the last level.
    Else,
}

/// A comparison level.
#[derive(Clone, PartialEq, Debug)]
pub struct Level {
    /// What people read.
    pub label: Arc<str>,
    /// When it applies.
    pub test: LevelTest,
    /// Its probability among pairs that match, 0 to 1 exclusive.
    pub m: f64,
    /// Its probability among pairs that do not match, 0 to 1 exclusive.
    pub u: f64,
    /// The term frequency that adjusts it: an index into [`Model::term_frequencies`].
    pub term_frequency: Option<usize>,
}

/// A comparison: its levels, best first, `Else` last. Where a compared value is missing the null level applies: no bits.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    /// Its name.
    pub name: Arc<str>,
    /// What it looks at.
    pub compared: Compared,
    /// The levels.
    pub levels: Vec<Level>,
}
