//! Declared fields from raw values: each through its cleaner or finder.

use super::text::raw_text;
use super::{Cleaner, CustomerFields, Extract, Field, Finder, IdentityFields, NamePart};
use super::{country, date, email, network_handle, number, organisation, person_name, phone, place, postal_code, site, text};
use crate::model::{Network, Value};
use std::sync::Arc;

/// The cleaned values of a customer, aligned with the declared fields. `raw` is aligned with [`CustomerFields::columns`].
pub fn clean_customer(fields: &CustomerFields, raw: &[Value]) -> Vec<Value> {
    let column = |at: usize| raw.get(at);
    let named = |name: &Arc<str>| fields.columns.iter().position(|c| c == name).and_then(|at| raw.get(at));
    fields.fields.iter().map(|field| clean(field, &fields.fields, column, named)).collect()
}

/// The cleaned values of an identity, aligned with the declared fields. `raw` is `Profile::fields`: paths and values, any order.
/// The path `network` is always there: the network's name.
pub fn clean_identity(fields: &IdentityFields, network: Network, raw: &[(Arc<str>, Value)]) -> Vec<Value> {
    let network = Value::Text(network.name().into());
    let named = |name: &Arc<str>| {
        if &**name == "network" {
            return Some(&network);
        }
        raw.iter().find(|(path, _)| path == name).map(|(_, value)| value)
    };
    let path = |at: usize| fields.paths.get(at).and_then(named);
    fields.fields.iter().map(|field| clean(field, &fields.fields, path, named)).collect()
}

/// Whether a field that is made of free text finds anything in this one.
pub(super) fn finds(field: &Field, text: &str) -> bool {
    let text = Value::text(text);
    !clean(field, std::slice::from_ref(field), |_| Some(&text), |_| None).is_missing()
}

/// One field: the first of its raw values that gives something.
fn clean<'a>(
    field: &Field,
    all: &[Field],
    raw: impl Fn(usize) -> Option<&'a Value>,
    named: impl Fn(&Arc<str>) -> Option<&'a Value>,
) -> Value {
    let texts = || field.from.iter().filter_map(|at| raw(*at));
    match &field.extract {
        Extract::Clean(Cleaner::Site) => list(texts(), |text| site::clean(text).into_iter().collect()),
        Extract::Find(Finder::NetworkHandle) => list(texts(), network_handle::find),
        Extract::Find(Finder::Number) => list(texts(), number::find),
        Extract::Find(Finder::Emails) => list(texts(), email::find_all),
        Extract::Find(Finder::Phones) => list(texts(), phone::find_all),
        Extract::Clean(Cleaner::NetworkHandle) => handles(&texts().collect::<Vec<_>>()),
        Extract::Clean(cleaner) => {
            let region_of = |from: &Option<Arc<str>>| from.as_ref().and_then(&named).and_then(raw_text);
            let alone = is_alone(field, all);
            first(texts(), |text| match cleaner {
                Cleaner::PersonName(part) if alone => person_name::clean_alone(text, *part),
                Cleaner::PersonName(part) => person_name::clean(text, *part),
                Cleaner::Email => email::clean(text),
                Cleaner::Phone { region_from } => phone::clean(text, region_of(region_from).as_deref()),
                Cleaner::Place => place::clean(text),
                Cleaner::Organisation => organisation::clean(text),
                Cleaner::Date { region_from } => date::clean(text, region_of(region_from).as_deref()),
                Cleaner::E164 { region_from } => phone::e164(text, region_of(region_from).as_deref()),
                Cleaner::PostalCode => postal_code::clean(text),
                Cleaner::Country => country::clean(text),
                Cleaner::Text | Cleaner::NetworkHandle | Cleaner::Site => text::clean(text),
            })
        }
        Extract::Find(finder) => first(texts(), |text| match finder {
            Finder::Email => email::find(text),
            Finder::Phone => phone::find(text),
            Finder::Organisation => organisation::find(text),
            Finder::BirthDate => date::find_birth(text),
            Finder::NetworkHandle | Finder::Number | Finder::Emails | Finder::Phones => None,
        }),
    }
}

fn first<'a>(values: impl Iterator<Item = &'a Value>, clean: impl Fn(&str) -> Option<String>) -> Value {
    for value in values {
        // A list of raw values (two e-mail columns joined, an array in a profile): the first that gives something.
        let found = match value {
            Value::List(items) => items.iter().filter_map(raw_text).find_map(|text| clean(&text)),
            Value::Missing | Value::Text(_) | Value::Number(_) | Value::Integer(_) | Value::Bool(_) | Value::Time(_) | Value::Record(_) => {
                raw_text(value).and_then(|text| clean(&text))
            }
        };
        if let Some(text) = found {
            return Value::Text(text.into());
        }
    }
    Value::Missing
}

/// Most members of a list that is made from several raw values.
const MOST_MEMBERS: usize = 32;

/// Everything that the raw values give, in order, each once: one text alone, several as a list.
fn list<'a>(values: impl Iterator<Item = &'a Value>, find: impl Fn(&str) -> Vec<String>) -> Value {
    let mut found: Vec<String> = Vec::new();
    for value in values {
        let items = if let Value::List(items) = value { &**items } else { std::slice::from_ref(value) };
        for item in items.iter().filter_map(raw_text).flat_map(|text| find(&text)) {
            if !found.contains(&item) && found.len() < MOST_MEMBERS {
                found.push(item);
            }
        }
    }
    match found.as_slice() {
        [] => Value::Missing,
        [one] => Value::Text(one.as_str().into()),
        many => Value::List(many.iter().map(|item| Value::Text(item.as_str().into())).collect()),
    }
}

/// Whether a name part has a column for itself: no other part of a name is made from it.
fn is_alone(field: &Field, all: &[Field]) -> bool {
    let part_of = |field: &Field| match field.extract {
        Extract::Clean(Cleaner::PersonName(part)) => Some(part),
        Extract::Clean(_) | Extract::Find(_) => None,
    };
    let part = part_of(field);
    matches!(part, Some(NamePart::Given | NamePart::Family))
        && !all
            .iter()
            .any(|other| part_of(other).is_some() && part_of(other) != part && other.from.iter().any(|at| field.from.contains(at)))
        && all.iter().any(|other| part_of(other).is_some() && part_of(other) != part)
}

/// `[network, handle]` as a pair, or one cell with a list of `network:handle`.
fn handles(raw: &[&Value]) -> Value {
    if let [network, handle] = raw
        && let (Some(network), Some(handle)) = (raw_text(network), raw_text(handle))
        && let Ok(network) = network.parse::<Network>()
    {
        return network_handle::pair(network, &handle).map_or(Value::Missing, |handle| Value::Text(handle.into()));
    }
    let mut found: Vec<String> = Vec::new();
    for value in raw {
        let items = if let Value::List(items) = value { items } else { std::slice::from_ref(*value) };
        for text in items.iter().filter_map(raw_text) {
            found.extend(network_handle::clean(&text));
        }
    }
    let mut seen = Vec::with_capacity(found.len());
    for handle in found {
        if !seen.contains(&handle) {
            seen.push(handle);
        }
    }
    match seen.as_slice() {
        [] => Value::Missing,
        [one] => Value::Text(one.as_str().into()),
        many => Value::List(many.iter().map(|handle| Value::Text(handle.as_str().into())).collect()),
    }
}
