//! The names that the expressions of each section may read, and the words that some of them are limited to.

use super::RelatedSpec;
use crate::expr::{NameKind, Names};
use crate::model::{Audience, Network, Outcome, Verb};
use crate::normalize::{Cleaner, CustomerFields, Extract, Field, Finder, IdentityFields};
use std::collections::BTreeMap;

/// Names that are there in every mapping, with what they hold. Those of an activity are unknown to a `for: link` delivery.
const BUILT_IN: [(&str, NameKind, bool); 29] = [
    ("network", NameKind::Text, false),
    ("handle", NameKind::Text, false),
    ("identity.id", NameKind::Text, false),
    ("customer_id", NameKind::Text, false),
    ("basis", NameKind::Text, false),
    ("rule", NameKind::Text, false),
    ("match_weight", NameKind::Number, false),
    ("probability", NameKind::Number, false),
    ("decision", NameKind::Text, false),
    ("actor.id", NameKind::Text, false),
    ("actor.preferredUsername", NameKind::Text, false),
    ("actor.name", NameKind::Text, false),
    ("actor.summary", NameKind::Text, false),
    ("actor.url", NameKind::Text, false),
    ("mapping.name", NameKind::Text, false),
    ("mapping.hash", NameKind::Text, false),
    ("audience", NameKind::Text, true),
    ("conversation", NameKind::Text, true),
    ("content", NameKind::Text, true),
    ("object.id", NameKind::Text, true),
    ("object.type", NameKind::Text, true),
    ("object.content", NameKind::Text, true),
    ("object.url", NameKind::Text, true),
    ("object.published", NameKind::Time, true),
    ("object.updated", NameKind::Time, true),
    ("object.inReplyTo", NameKind::Text, true),
    ("activity.id", NameKind::Text, true),
    ("activity.type", NameKind::Text, true),
    ("activity.published", NameKind::Time, true),
];

/// Whether a name is about the activity.
pub(super) fn is_of_activity(name: &str) -> bool {
    BUILT_IN.iter().any(|(n, _, activity)| *n == name && *activity)
}

/// Words that a name is limited to.
#[derive(Clone, Debug, Default)]
pub(super) struct Words(BTreeMap<String, Vec<String>>);

impl Words {
    /// The words of the names that every mapping has.
    pub(super) fn built_in() -> Self {
        let mut words = Self::default();
        words.limit("decision", Outcome::ALL.map(Outcome::words));
        words.limit("audience", Audience::ALL.map(Audience::name));
        words.limit("activity.type", [Verb::Create, Verb::Update, Verb::Delete].map(Verb::name));
        words.limit("network", Network::ALL.iter().map(|n| n.name()));
        words
    }

    /// Says which words a name holds.
    pub(super) fn limit<W: Into<String>>(&mut self, name: &str, words: impl IntoIterator<Item = W>) {
        self.0.insert(name.to_owned(), words.into_iter().map(Into::into).collect());
    }

    /// The words that a name holds; `None` where it may hold any.
    pub(super) fn of(&self, name: &str) -> Option<&[String]> {
        self.0.get(name).map(Vec::as_slice)
    }
}

fn kind_of(field: &Field, customers: bool) -> NameKind {
    let many = match field.extract {
        Extract::Clean(Cleaner::NetworkHandle) => customers,
        Extract::Clean(Cleaner::Site) | Extract::Find(Finder::NetworkHandle | Finder::Number | Finder::Emails | Finder::Phones) => true,
        Extract::Clean(_) | Extract::Find(_) => false,
    };
    if many { NameKind::Texts } else { NameKind::Text }
}

/// The names that `policy.basis.when` may read: nobody has been compared yet.
pub(super) fn basis_names(customers: Option<&CustomerFields>, identities: Option<&IdentityFields>) -> Names {
    let mut names = Names::default();
    names.insert("network", NameKind::Text);
    names.insert("audience", NameKind::Text);
    add_fields(&mut names, customers, identities, true);
    names
}

/// What is found in posts is there only while somebody is decided about (`said`).
fn add_fields(names: &mut Names, customers: Option<&CustomerFields>, identities: Option<&IdentityFields>, said: bool) {
    for field in customers.iter().flat_map(|c| &c.fields) {
        names.insert(format!("customer.{}", field.name), kind_of(field, true));
    }
    if let Some(identities) = identities {
        for field in identities.fields.iter().filter(|field| said || !identities.is_said(field)) {
            names.insert(format!("identity.{}", field.name), kind_of(field, false));
        }
    }
}

/// The names that `enrich` and `deliver` may read, before any enriched field.
pub(super) fn names(customers: Option<&CustomerFields>, identities: Option<&IdentityFields>, related: &[RelatedSpec]) -> Names {
    let mut names = Names::default();
    // A customer's field may be read by its bare name, unless that name has a meaning of its own.
    for field in customers.iter().flat_map(|c| &c.fields) {
        names.insert(field.name.clone(), kind_of(field, true));
    }
    for (name, kind, _) in BUILT_IN {
        names.insert(name, kind);
    }
    for set in related {
        names.insert(set.name.clone(), NameKind::Records);
    }
    for path in identities.iter().flat_map(|i| &i.paths).filter(|p| p.starts_with("actor.")) {
        names.insert(path.clone(), NameKind::Any);
    }
    add_fields(&mut names, customers, identities, false);
    names
}

/// Whether a bare name has a meaning of its own in every mapping.
pub(super) fn is_built_in(name: &str) -> bool {
    BUILT_IN.iter().any(|(n, _, _)| *n == name)
}
