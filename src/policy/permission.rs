//! Who may be matched, on what basis. Asked before scoring; what is not permitted leaves no trace of the person.

use super::{Basis, Policy};
use crate::expr::Scope;
use crate::model::{Audience, DropRule, Network, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Policy {
    /// What becomes of an activity for this audience at intake: `None` where it may be used, else the rule that drops it.
    pub const fn at_intake(&self, audience: Audience) -> Option<DropRule> {
        if self.audience.contains(audience) {
            return None;
        }
        Some(match audience {
            Audience::Direct => DropRule::PrivateMessage,
            Audience::Limited | Audience::Public => DropRule::AudienceNotListed,
        })
    }

    /// The fields of accounts on which bases that look at a customer rest: `handle`, where a basis asks whether the CRM holds it.
    pub fn proving(&self) -> BTreeSet<&str> {
        let names = self.bases.iter().filter(|basis| basis.per_customer).flat_map(|basis| basis.when.names());
        names.filter_map(|name| name.strip_prefix("identity.")).collect()
    }

    /// The bases on which this identity may be matched: those that the mapping and the duties of its network accept and nobody took back.
    pub fn permission<'a>(&'a self, asked: Asked<'a>) -> Permission<'a> {
        let mut per_customer = Vec::new();
        let duties = self.duties.iter().find(|duties| duties.network == asked.network);
        let accepted =
            |basis: &&Basis| duties.is_none_or(|duties| duties.accepts.contains(&basis.name)) && !asked.withdrawn.contains(&basis.name);
        for basis in self.bases.iter().filter(accepted) {
            if basis.per_customer {
                per_customer.push(basis);
            } else if basis.when.holds(&asked).holds() {
                return Permission { asked, per_customer, anyone: Some(basis.name.clone()) };
            }
        }
        Permission { asked, per_customer, anyone: None }
    }
}

/// The identity that is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its network.
    pub network: Network,
    /// The audience of the activity that showed its profile.
    pub audience: Audience,
    /// Its cleaned fields, by name.
    pub identity: &'a [(Arc<str>, Value)],
    /// Names of bases that the person took back.
    pub withdrawn: &'a [Arc<str>],
}

/// What [`Policy::permission`] found: bases that need a customer, in order, then the first that covers anyone.
#[derive(Debug)]
pub struct Permission<'a> {
    asked: Asked<'a>,
    per_customer: Vec<&'a Basis>,
    anyone: Option<Arc<str>>,
}

impl Permission<'_> {
    /// The basis that holds whoever the customer is.
    pub const fn anyone(&self) -> Option<&Arc<str>> {
        self.anyone.as_ref()
    }

    /// Whether a match with some customer could be permitted at all.
    pub fn possible(&self) -> bool {
        self.anyone.is_some() || !self.per_customer.is_empty()
    }

    /// The first basis, in the mapping's order, that holds for this customer. `customer` gives a cleaned customer field by name; `own` tells
    /// whether Kith itself wrote the account's value of this field to the customer: what comes back to us proves nothing, and counts as missing.
    pub fn basis_for(&self, customer: &dyn Fn(&str) -> Value, own: &dyn Fn(&str, &Value) -> bool) -> Option<Arc<str>> {
        let scope = AskedWithCustomer { asked: &self.asked, customer, own };
        self.per_customer.iter().find(|b| b.when.holds(&scope).holds()).map(|b| b.name.clone()).or_else(|| self.anyone.clone())
    }
}

fn field(fields: &[(Arc<str>, Value)], name: &str) -> Value {
    fields.iter().find(|(n, _)| &**n == name).map_or(Value::Missing, |(_, v)| v.clone())
}

impl Scope for Asked<'_> {
    fn lookup(&self, name: &str) -> Value {
        match name {
            "network" => Value::text(self.network.name()),
            "audience" => Value::text(self.audience.name()),
            _ => name.strip_prefix("identity.").map_or(Value::Missing, |name| field(self.identity, name)),
        }
    }
}

struct AskedWithCustomer<'a> {
    asked: &'a Asked<'a>,
    customer: &'a dyn Fn(&str) -> Value,
    own: &'a dyn Fn(&str, &Value) -> bool,
}

impl Scope for AskedWithCustomer<'_> {
    fn lookup(&self, name: &str) -> Value {
        if let Some(name) = name.strip_prefix("customer.") {
            return (self.customer)(name);
        }
        let value = self.asked.lookup(name);
        match name.strip_prefix("identity.") {
            Some(field) if !value.is_missing() && (self.own)(field, &value) => Value::Missing,
            _ => value,
        }
    }
}
