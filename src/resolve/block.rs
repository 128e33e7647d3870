//! Blocking keys and rule keys as hashes: records that agree on a rule's parts share a key. Two keys with one hash put strangers into one block,
//! where comparing tells them apart; rules compare the values themselves.

use super::cell::{each, first};
use super::compare::{places, position};
use super::handle::{Handle, bare, local_part, spelled};
use super::{CountedPart, KeyForm, KeyPart, Matching};
use crate::model::stable_hash::{hash, mix};
use crate::normalize::formal_names;
use crate::splink::KeyOf;
use std::sync::Arc;

/// Most keys that one record has for one rule: a handle of 30 letters in three readings has 58 splits each, some with formal names. More are cut,
/// the first in order stay.
const MOST_KEYS: usize = 256;

/// One part of a key on one side.
#[derive(Clone, Debug)]
enum Part {
    Field {
        at: Option<usize>,
        form: KeyForm,
    },
    /// The identity's handle, read as a name in every way.
    Handle {
        at: Option<usize>,
    },
    /// The customer's name, as [`readings`] reads it.
    Spellings {
        given: Option<usize>,
        family: Option<usize>,
    },
    /// One side of an equality of a Splink model's rule, and where its columns stand.
    Sql {
        key: KeyOf,
        places: Vec<Option<usize>>,
    },
}

/// A rule's parts on one side.
type Parts = Vec<Part>;

/// Keys of blocking rules, in the model's order, then of exact rules, in the mapping's order.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    identity: Vec<Parts>,
    customer: Vec<Parts>,
    blocking: usize,
}

/// Cells of either side by position.
type Cells<'a> = dyn Fn(usize) -> Option<&'a str> + 'a;

impl Keys {
    pub(super) fn new(matching: &Matching, identity: &[Arc<str>], customer: &[Arc<str>]) -> Self {
        let mut keys = Self { identity: Vec::new(), customer: Vec::new(), blocking: 0 };
        for rule in matching.model.iter().flat_map(|model| &model.blocking) {
            let (left, right) = rule
                .parts
                .iter()
                .map(|part| match part {
                    KeyPart::Field { identity: i, identity_form, customer: c, customer_form } => (
                        Part::Field { at: position(identity, i), form: *identity_form },
                        Part::Field { at: position(customer, c), form: *customer_form },
                    ),
                    KeyPart::SpelledInHandle { handle, given, family } => (
                        Part::Handle { at: position(identity, handle) },
                        Part::Spellings { given: position(customer, given), family: position(customer, family) },
                    ),
                    KeyPart::Sql { settings, identity: of_identity, customer: of_customer } => (
                        Part::Sql { key: of_identity.clone(), places: places(settings, identity) },
                        Part::Sql { key: of_customer.clone(), places: places(settings, customer) },
                    ),
                })
                .unzip();
            keys.identity.push(left);
            keys.customer.push(right);
        }
        keys.blocking = keys.identity.len();
        for rule in &matching.rules {
            let whole = |at: usize| Part::Field { at: Some(at), form: KeyForm::Whole };
            keys.identity.push(rule.same.iter().map(|(i, _)| whole(*i)).collect());
            keys.customer.push(rule.same.iter().map(|(_, c)| whole(*c)).collect());
        }
        keys
    }

    /// How many of the rules are blocking rules; the exact rules follow.
    pub(super) fn blocking(&self) -> usize {
        self.blocking
    }

    /// All keys of a customer, sorted, each once.
    pub(super) fn of_customer(&self, cells: &Cells<'_>) -> Vec<u64> {
        let mut keys: Vec<u64> = self.customer.iter().enumerate().flat_map(|(rule, parts)| of_parts(rule, parts, cells)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The keys of a customer for one rule, sorted, each once.
    pub(super) fn of_customer_by(&self, rule: usize, cells: &Cells<'_>) -> Vec<u64> {
        let mut keys = self.customer.get(rule).map(|parts| of_parts(rule, parts, cells)).unwrap_or_default();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The keys of an identity for one rule, sorted, each once.
    pub(super) fn of_identity(&self, rule: usize, cells: &Cells<'_>) -> Vec<u64> {
        let mut keys = self.identity.get(rule).map(|parts| of_parts(rule, parts, cells)).unwrap_or_default();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// How many rules there are.
    pub(super) fn len(&self) -> usize {
        self.identity.len()
    }
}

/// Every combination of the parts' keys; none where a part has none.
fn of_parts(rule: usize, parts: &[Part], cells: &Cells<'_>) -> Vec<u64> {
    let mut keys = vec![mix(u64::try_from(rule).unwrap_or(u64::MAX).wrapping_add(1))];
    if parts.is_empty() {
        return Vec::new();
    }
    for part in parts {
        let of_part = of_part(part, cells);
        keys = keys.iter().flat_map(|key| of_part.iter().map(move |text| hash(*key, text.as_bytes()))).take(MOST_KEYS).collect();
    }
    keys
}

fn of_part(part: &Part, cells: &Cells<'_>) -> Vec<String> {
    let cell = |at: &Option<usize>| at.and_then(cells);
    match part {
        Part::Field { at, form } => cell(at).map(|text| of_form(text, *form)).unwrap_or_default(),
        Part::Handle { at } => cell(at).map(|handle| readings(&Handle::new(first(handle)))).unwrap_or_default(),
        Part::Spellings { given, family } => match (cell(given), cell(family)) {
            (Some(given), Some(family)) => spellings(first(given), first(family)),
            _ => Vec::new(),
        },
        Part::Sql { key, places } => key.key(&|column| cell(places.get(column)?)).into_iter().collect(),
    }
}

fn of_form(cell: &str, form: KeyForm) -> Vec<String> {
    let letters = |text: &str, n: usize| (text.chars().count() >= n).then(|| text.chars().take(n).collect::<String>());
    match form {
        KeyForm::Whole => each(cell).map(str::to_owned).collect(),
        KeyForm::Nickname => {
            let name = first(cell).split([' ', '-']).next().unwrap_or_default();
            given_forms(name).filter(|n| n.chars().nth(1).is_some()).map(str::to_owned).collect()
        }
        KeyForm::Initial => letters(first(cell), 1).into_iter().collect(),
        KeyForm::FirstThree => letters(first(cell), 3).into_iter().collect(),
        KeyForm::LastThree => {
            let text = first(cell);
            let count = text.chars().count();
            (count >= 3).then(|| text.chars().skip(count - 3).collect()).into_iter().collect()
        }
        KeyForm::Handle => each(cell).map(|handle| bare(handle).chars().filter(|c| c.is_alphanumeric()).collect()).collect(),
        KeyForm::LocalPart => each(cell).map(|email| local_part(email).chars().filter(|c| c.is_alphanumeric()).collect()).collect(),
    }
}

/// Every way to read a handle as a name: split into two, either half the given name (or short for it) or its initial.
///
/// Splitting here and not spelling there keeps the index small: a customer has two or three keys and not one for each nickname.
fn readings(handle: &Handle) -> Vec<String> {
    let mut all = Vec::new();
    for spelling in handle.spellings() {
        for (at, _) in spelling.char_indices().skip(1) {
            let (Some(left), Some(right)) = (spelling.get(..at), spelling.get(at..)) else { continue };
            for (given, family) in [(left, right), (right, left)] {
                if family.chars().nth(1).is_some() {
                    all.extend(given_forms(given).map(|form| format!("{form} {family}")));
                }
            }
        }
    }
    all
}

/// The customer's keys for [`readings`].
fn spellings(given: &str, family: &str) -> Vec<String> {
    let (given, family) = (spelled(given.split([' ', '-']).next().unwrap_or_default()), spelled(family));
    let Some(initial) = given.chars().next().filter(|_| family.chars().nth(1).is_some()) else { return Vec::new() };
    let mut all = vec![format!("{initial} {family}")];
    all.extend(given_forms(&given).filter(|form| form.chars().nth(1).is_some()).map(|form| format!("{form} {family}")));
    all
}

/// A given name and the formal names that it is short for.
fn given_forms(name: &str) -> impl Iterator<Item = &str> {
    std::iter::once(name).chain(formal_names(name).iter().copied())
}

/// What a term frequency counts, as one key; `None` where the record lacks a part.
pub(super) fn counted(parts: &[(Option<usize>, KeyForm)], cells: &Cells<'_>) -> Option<u64> {
    let mut key = 0x7466;
    for (at, form) in parts {
        let text = first(at.and_then(cells)?);
        let text: String = if *form == KeyForm::Initial { text.chars().take(1).collect() } else { text.to_owned() };
        key = hash(key, text.as_bytes());
    }
    Some(key)
}

/// The same as readable text, for a model's stored table.
pub(super) fn counted_text(parts: &[(Option<usize>, KeyForm)], cells: &Cells<'_>) -> Option<String> {
    let mut texts = Vec::with_capacity(parts.len());
    for (at, form) in parts {
        let text = first(at.and_then(cells)?);
        texts.push(if *form == KeyForm::Initial { text.chars().take(1).collect() } else { text.to_owned() });
    }
    Some(texts.join(" "))
}

/// Positions of counted parts.
pub(super) fn counted_positions(parts: &[CountedPart], names: &[Arc<str>]) -> Vec<(Option<usize>, KeyForm)> {
    parts.iter().map(|part| (position(names, &part.field), part.form)).collect()
}
