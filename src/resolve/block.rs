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
    if parts.is_empty() {
        return Vec::new();
    }
    let mut keys = vec![mix(u64::try_from(rule).unwrap_or(u64::MAX).wrapping_add(1))];
    let mut longer = Vec::new();
    for part in parts {
        for key in &keys {
            each_of_part(part, cells, &mut |text| {
                if longer.len() < MOST_KEYS {
                    longer.push(hash(*key, text.as_bytes()));
                }
            });
        }
        std::mem::swap(&mut keys, &mut longer);
        longer.clear();
    }
    keys
}

/// Gives each text of a part. Keys are made for every customer and every identity: texts that stand somewhere are given as they stand there.
fn each_of_part(part: &Part, cells: &Cells<'_>, give: &mut dyn FnMut(&str)) {
    let cell = |at: &Option<usize>| at.and_then(cells);
    match part {
        Part::Field { at, form } => {
            if let Some(text) = cell(at) {
                each_of_form(text, *form, give);
            }
        }
        Part::Handle { at } => {
            if let Some(handle) = cell(at) {
                readings(&Handle::new(first(handle)), give);
            }
        }
        Part::Spellings { given, family } => {
            if let (Some(given), Some(family)) = (cell(given), cell(family)) {
                spellings(first(given), first(family), give);
            }
        }
        Part::Sql { key, places } => {
            if let Some(text) = key.key(&|column| cell(places.get(column)?)) {
                give(&text);
            }
        }
    }
}

fn each_of_form(cell: &str, form: KeyForm, give: &mut dyn FnMut(&str)) {
    let alphanumeric = |text: &str, give: &mut dyn FnMut(&str)| {
        if text.chars().all(char::is_alphanumeric) {
            give(text);
        } else {
            give(&text.chars().filter(|c| c.is_alphanumeric()).collect::<String>());
        }
    };
    match form {
        KeyForm::Whole => each(cell).for_each(give),
        KeyForm::Nickname => {
            let name = first(cell).split([' ', '-']).next().unwrap_or_default();
            given_forms(name).filter(|n| n.chars().nth(1).is_some()).for_each(give);
        }
        KeyForm::Initial => start_of(first(cell), 1).into_iter().for_each(give),
        KeyForm::FirstThree => start_of(first(cell), 3).into_iter().for_each(give),
        KeyForm::LastThree => {
            let text = first(cell);
            let from = text.char_indices().rev().nth(2).map(|(at, _)| at);
            from.and_then(|from| text.get(from..)).into_iter().for_each(give);
        }
        KeyForm::Handle => each(cell).for_each(|handle| alphanumeric(bare(handle), give)),
        KeyForm::LocalPart => each(cell).for_each(|email| alphanumeric(local_part(email), give)),
    }
}

/// The first `count` characters; `None` where there are fewer.
fn start_of(text: &str, count: usize) -> Option<&str> {
    let last = text.chars().take(count).map(char::len_utf8);
    let (found, bytes) = last.fold((0, 0), |(found, bytes), length| (found + 1, bytes + length));
    if found == count { text.get(..bytes) } else { None }
}

/// A given and a family name as one text of a key.
fn named(text: &mut String, given: &str, family: &str, give: &mut dyn FnMut(&str)) {
    text.clear();
    text.push_str(given);
    text.push(' ');
    text.push_str(family);
    give(text);
}

/// Every way to read a handle as a name: split into two, either half the given name (or short for it) or its initial.
///
/// Splitting here and not spelling there keeps the index small: a customer has two or three keys and not one for each nickname.
fn readings(handle: &Handle, give: &mut dyn FnMut(&str)) {
    let mut text = String::new();
    for spelling in handle.spellings() {
        for (at, _) in spelling.char_indices().skip(1) {
            let (Some(left), Some(right)) = (spelling.get(..at), spelling.get(at..)) else { continue };
            for (given, family) in [(left, right), (right, left)] {
                if family.chars().nth(1).is_some() {
                    given_forms(given).for_each(|form| named(&mut text, form, family, give));
                }
            }
        }
    }
}

/// The customer's keys for [`readings`].
fn spellings(given: &str, family: &str, give: &mut dyn FnMut(&str)) {
    let (given, family) = (spelled(given.split([' ', '-']).next().unwrap_or_default()), spelled(family));
    let Some(initial) = start_of(&given, 1).filter(|_| family.chars().nth(1).is_some()) else { return };
    let mut text = String::new();
    named(&mut text, initial, &family, give);
    given_forms(&given).filter(|form| form.chars().nth(1).is_some()).for_each(|form| named(&mut text, form, &family, give));
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
        key = hash(key, counted_of(text, *form).as_bytes());
    }
    Some(key)
}

/// What of a text is counted: its first letter, or all of it.
fn counted_of(text: &str, form: KeyForm) -> &str {
    if form == KeyForm::Initial { start_of(text, 1).unwrap_or_default() } else { text }
}

/// The same as readable text, for a model's stored table.
pub(super) fn counted_text(parts: &[(Option<usize>, KeyForm)], cells: &Cells<'_>) -> Option<String> {
    let mut texts = Vec::with_capacity(parts.len());
    for (at, form) in parts {
        let text = first(at.and_then(cells)?);
        texts.push(counted_of(text, *form));
    }
    Some(texts.join(" "))
}

/// Positions of counted parts.
pub(super) fn counted_positions(parts: &[CountedPart], names: &[Arc<str>]) -> Vec<(Option<usize>, KeyForm)> {
    parts.iter().map(|part| (position(names, &part.field), part.form)).collect()
}
