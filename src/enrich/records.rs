//! Which records a decision asks for: the write, its key and its fields.

use super::facts::{EnrichedFacts, Facts};
use super::{DeliverEntry, EnrichValue, Enrichment, Subject};
use crate::expr::{Scope, ValueExpr};
use crate::model::{Payload, Personal, RecordKey, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A record that should stand in a target.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The deliver entry that asks for it.
    pub entry: &'a DeliverEntry,
    /// Its key.
    pub key: RecordKey,
    /// Its fields, in the mapping's order.
    pub payload: Payload,
    /// Whether the entry's `when` holds now; a record that stands already follows edits even where it does not.
    pub wanted: bool,
}

impl Enrichment {
    /// The enriched fields over these facts.
    pub fn enriched<'a>(&self, facts: &'a Facts<'a>) -> EnrichedFacts<'a> {
        let mut scope = EnrichedFacts { facts, enriched: Vec::with_capacity(self.fields.len()) };
        for field in &self.fields {
            let value = match &field.value {
                EnrichValue::FirstOf(choices) => choices
                    .iter()
                    .find(|c| c.when.as_ref().is_none_or(|w| w.holds(&scope).holds()))
                    .map_or(Value::Missing, |c| c.is.clone()),
                EnrichValue::Expression(expression) => expression.evaluate(&Shown { scope: &scope, facts }),
            };
            scope.enriched.push((field.name.clone(), value));
        }
        scope
    }

    /// Every record that the entries about this subject describe, in file order.
    pub fn records<'a>(&'a self, facts: &Facts<'_>, subject: Subject) -> Vec<Record<'a>> {
        let scope = self.enriched(facts);
        self.deliver
            .iter()
            .filter(|entry| entry.subject == subject)
            .map(|entry| {
                let wanted = entry.when.as_ref().is_none_or(|w| w.holds(&scope).holds());
                record(entry, &Shown { scope: &scope, facts }, wanted)
            })
            .collect()
    }

    /// The names of facts that a value is made of, directly or through enriched fields that are values themselves.
    pub fn reads<'a>(&'a self, value: &'a ValueExpr) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        for name in value.names() {
            match self.fields.iter().find(|field| &*field.name == name) {
                // A later field reads earlier ones alone, so this ends.
                Some(field) => match &field.value {
                    EnrichValue::Expression(inner) => found.extend(self.reads(inner)),
                    EnrichValue::FirstOf(_) => {}
                },
                None => {
                    found.insert(name);
                }
            }
        }
        found
    }

    /// What the network does not let be shown of what these entries would write, in words without a value.
    pub fn lacking<'a>(&self, facts: &Facts<'_>, entries: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
        let Some(display) = facts.display else { return BTreeSet::new() };
        let entries: BTreeSet<&str> = entries.collect();
        let fields = self.deliver.iter().filter(|entry| entries.contains(&*entry.id)).flat_map(|entry| &entry.fields);
        let names = fields.flat_map(|(_, value)| self.reads(value));
        names.filter_map(|name| display.lacks(name, &facts.lookup(name), facts.is_linked())).collect()
    }
}

/// What values are made of: as much as the network lets be shown.
struct Shown<'a> {
    scope: &'a dyn Scope,
    facts: &'a Facts<'a>,
}

impl Scope for Shown<'_> {
    fn lookup(&self, name: &str) -> Value {
        let value = self.scope.lookup(name);
        match self.facts.display {
            Some(display) => display.shown(name, value, self.facts.is_linked()),
            None => value,
        }
    }
}

fn record<'a>(entry: &'a DeliverEntry, scope: &dyn Scope, wanted: bool) -> Record<'a> {
    let fields: Vec<(Arc<str>, Value)> = entry.fields.iter().map(|(name, value)| (name.clone(), value.evaluate(scope))).collect();
    let key = record_key(entry, &fields);
    Record { entry, key, payload: Personal::new(fields), wanted }
}

/// The key values as a canonical JSON array. A missing key value is `null`, which every target refuses: that delivery parks and says so.
fn record_key(entry: &DeliverEntry, fields: &[(Arc<str>, Value)]) -> RecordKey {
    let values: Vec<serde_json::Value> = entry
        .record_key
        .iter()
        .map(|name| fields.iter().find(|(n, _)| n == name).map_or(serde_json::Value::Null, |(_, v)| v.to_json()))
        .collect();
    RecordKey(serde_json::Value::Array(values).to_string().into())
}

/// The key's fields again, from a stored key: what a withdrawal carries.
pub fn key_payload(entry: &DeliverEntry, key: &RecordKey) -> Payload {
    let values: Vec<serde_json::Value> = serde_json::from_str(&key.0).unwrap_or_default();
    Personal::new(entry.record_key.iter().cloned().zip(values.iter().map(Value::from_json)).collect())
}
