//! Everything that the conditions and values of `enrich` and `deliver` may read, under its names.

use crate::expr::Scope;
use crate::model::{Activity, CustomerId, Display, Identity, Outcome, Value, Verb};
use std::sync::Arc;

/// Named values, in declared order.
pub type Fields = [(Arc<str>, Value)];

/// The decision, as far as deliveries may read it.
#[derive(Clone, Debug)]
pub struct Decided<'a> {
    /// The outcome.
    pub outcome: Outcome,
    /// The linked customer; `None` unless linked.
    pub customer: Option<&'a CustomerId>,
    /// The name of the lawful basis.
    pub basis: Option<Arc<str>>,
    /// The rule's id, `model` or `person`.
    pub rule: Option<Arc<str>>,
    /// Bits.
    pub match_weight: f64,
    /// 0 to 1.
    pub probability: f64,
}

/// What is known when a delivery is made.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Who.
    pub identity: &'a Identity,
    /// The identity's cleaned fields.
    pub identity_fields: &'a Fields,
    /// What was said; `None` for a link's record.
    pub activity: Option<&'a Activity>,
    /// What was decided.
    pub decided: Decided<'a>,
    /// The linked customer's cleaned fields; empty unless linked.
    pub customer_fields: &'a Fields,
    /// The linked customer's related records, by set name, each a list of records.
    pub related: &'a Fields,
    /// The mapping's name.
    pub mapping_name: &'a Arc<str>,
    /// The mapping's digest, hexadecimal.
    pub mapping_hash: &'a Arc<str>,
    /// What the network lets be shown; `None`: all.
    pub display: Option<&'a Display>,
}

fn field(fields: &Fields, name: &str) -> Value {
    fields.iter().find(|(n, _)| &**n == name).map_or(Value::Missing, |(_, v)| v.clone())
}

fn optional(text: Option<&Arc<str>>) -> Value {
    text.map_or(Value::Missing, |t| Value::Text(t.clone()))
}

impl Facts<'_> {
    /// Whether the post has an address.
    pub(super) fn is_linked(&self) -> bool {
        !self.object("url").is_missing()
    }

    fn object(&self, name: &str) -> Value {
        let Some(activity) = self.activity else { return Value::Missing };
        let object = &activity.object;
        let time = |t: Option<crate::model::Timestamp>| t.map_or(Value::Missing, Value::Time);
        match name {
            "id" => Value::Text(object.id.clone()),
            "type" => Value::Text(object.kind.clone()),
            "content" => optional(object.content.reveal().as_ref()),
            "url" => optional(object.url.reveal().as_ref()),
            "published" => time(object.published),
            "updated" => time(object.updated),
            "deleted" => time(object.deleted),
            "inReplyTo" => optional(object.in_reply_to.as_ref()),
            _ => Value::Missing,
        }
    }

    fn activity(&self, name: &str) -> Value {
        let Some(activity) = self.activity else { return Value::Missing };
        match name {
            "id" => Value::Text(activity.id.clone()),
            "type" => Value::text(activity.verb.name()),
            "published" => Value::Time(activity.published),
            _ => Value::Missing,
        }
    }

    fn actor(&self, path: &str) -> Value {
        match path {
            "actor.id" => Value::Text(self.identity.id.id.clone()),
            _ => field(self.identity.profile.fields.reveal(), path),
        }
    }

    /// The handle as the network shows it, else the cleaned one.
    fn handle(&self) -> Value {
        let shown = self.actor("actor.preferredUsername");
        if shown.is_missing() { field(self.identity_fields, "handle") } else { shown }
    }

    fn is_delete(&self) -> bool {
        self.activity.is_some_and(|a| a.verb == Verb::Delete)
    }
}

impl Scope for Facts<'_> {
    fn lookup(&self, name: &str) -> Value {
        if let Some((head, rest)) = name.split_once('.') {
            return match head {
                "object" => self.object(rest),
                "activity" => self.activity(rest),
                "actor" => self.actor(name),
                "identity" if rest == "id" => Value::Text(self.identity.id.id.clone()),
                "identity" => field(self.identity_fields, rest),
                "customer" => field(self.customer_fields, rest),
                "mapping" if rest == "name" => Value::Text(self.mapping_name.clone()),
                "mapping" if rest == "hash" => Value::Text(self.mapping_hash.clone()),
                _ => Value::Missing,
            };
        }
        match name {
            "network" => Value::text(self.identity.id.network.name()),
            "handle" => self.handle(),
            "customer_id" => self.decided.customer.map_or(Value::Missing, |c| Value::Text(c.0.clone())),
            "basis" => optional(self.decided.basis.as_ref()),
            "rule" => optional(self.decided.rule.as_ref()),
            "match_weight" => Value::Number(self.decided.match_weight),
            "probability" => Value::Number(self.decided.probability),
            "decision" => Value::text(self.decided.outcome.words()),
            "audience" => self.activity.map_or(Value::Missing, |a| Value::text(a.audience.name())),
            "conversation" => self.activity.map_or(Value::Missing, |a| optional(a.conversation.as_ref())),
            "content" if !self.is_delete() => self.object("content"),
            _ => Some(field(self.customer_fields, name)).filter(|value| !value.is_missing()).unwrap_or_else(|| field(self.related, name)),
        }
    }
}

/// [`Facts`] with the enriched fields made so far on top.
#[derive(Debug)]
pub struct EnrichedFacts<'a> {
    /// What is known.
    pub facts: &'a Facts<'a>,
    /// Enriched fields by name, in declared order.
    pub enriched: Vec<(Arc<str>, Value)>,
}

impl Scope for EnrichedFacts<'_> {
    fn lookup(&self, name: &str) -> Value {
        self.enriched.iter().find(|(n, _)| &**n == name).map_or_else(|| self.facts.lookup(name), |(_, v)| v.clone())
    }
}
