//! `policy` and `match`.

use super::codes::{BAD_FIELD, DUPLICATE_ID, FIELD_LACKING, HANDLE_WITHOUT_NETWORK, PRIVATE_AUDIENCE, THRESHOLDS, UNREACHABLE};
use super::expressions::Expressions;
use super::reading::{Reading, meant};
use crate::declare::yaml::Node;
use crate::diagnose::Span;
use crate::model::{Audience, AudienceSet};
use crate::normalize::{Cleaner, CustomerFields, Extract, Field, Finder, IdentityFields};
use crate::policy::Basis;
use crate::resolve::{Compared, Decide, KeyPart, Model, OnePerson, Rule, RuleVerdict};
use crate::splink::Settings;
use std::sync::Arc;

/// How often a link by an exact rule is right, where the mapping does not say.
const RULE_PRECISION: f64 = 0.999;

/// `policy.audience`.
pub(super) fn audience(policy: &Node) -> Option<AudienceSet> {
    let mut set = AudienceSet::default();
    for item in policy.get("audience")?.list() {
        let word = item.text()?;
        set = set.with(Audience::ALL.into_iter().find(|a| a.name() == word)?);
    }
    Some(set)
}

/// Whether a condition asks for this audience by name.
fn asks_for(condition: &Node, audience: &str) -> bool {
    let named = |node: &Node| {
        node.text() == Some(audience) || node.get("one_of").is_some_and(|l| l.list().iter().any(|n| n.text() == Some(audience)))
    };
    let by_cel = |text: &str| text.contains("audience") && text.contains(audience);
    condition.text().is_some_and(by_cel)
        || condition.entries().iter().any(|e| match &*e.key {
            "audience" => named(&e.value),
            "cel" => e.value.text().is_some_and(by_cel),
            "any" => e.value.list().iter().any(|part| asks_for(part, audience)),
            _ => false,
        })
}

impl Reading<'_> {
    /// A private audience that is listed needs a basis of its own.
    pub(super) fn private_audiences(&mut self, policy: &Node) {
        let (Some(listed), Some(bases)) = (policy.get("audience"), policy.get("basis")) else { return };
        for item in listed.list() {
            let Some(word @ ("limited" | "direct")) = item.text() else { continue };
            if !bases.list().iter().filter_map(|b| b.get("when")).any(|when| asks_for(when, word)) {
                self.error(
                    PRIVATE_AUDIENCE,
                    item.span,
                    format!("`{word}` is listed, and no basis names it"),
                    format!("What people say to a few is used only on a basis of its own: add one with `when: {{ audience: {word} }}`, or remove `{word}`"),
                );
            }
        }
    }
}

/// `policy.basis`.
pub(super) fn bases(policy: &Node, expressions: &mut Expressions<'_, '_>) -> Option<Vec<Basis>> {
    let nodes = policy.get("basis")?.list();
    let ids = nodes.iter().filter_map(|n| n.get("basis")).filter_map(|n| Some((n.text()?, n.span)));
    expressions.reading.unique(DUPLICATE_ID, "bases", ids);
    let bases: Vec<Option<Basis>> = nodes
        .iter()
        .map(|node| {
            let when = expressions.condition(node.get("when")?);
            let text = |key: &str| node.get(key).and_then(Node::shared_text);
            let when = when?;
            Some(Basis {
                name: text("basis")?,
                law: text("law")?,
                purpose: text("purpose")?,
                since: text("since"),
                record: text("record"),
                per_customer: when.names().iter().any(|n| n.starts_with("customer.")),
                when,
            })
        })
        .collect();
    bases.into_iter().collect()
}

/// Both sides of the declared fields.
#[derive(Clone, Copy)]
pub(super) struct Sides<'s> {
    pub(super) identities: &'s IdentityFields,
    pub(super) customers: &'s CustomerFields,
}

impl Reading<'_> {
    /// `match.rules`.
    pub(super) fn rules(&mut self, node: Option<&Node>, sides: Sides<'_>) -> Vec<Rule> {
        let nodes = node.map(Node::list).unwrap_or_default();
        self.unique(DUPLICATE_ID, "rules", nodes.iter().filter_map(|n| n.get("id")).filter_map(|n| Some((n.text()?, n.span))));
        let mut rules: Vec<Rule> = Vec::new();
        for node in nodes {
            if let Some(id) = node.get("id")
                && let Some(word @ ("model" | "person")) = id.text()
            {
                self.error(
                    DUPLICATE_ID,
                    id.span,
                    format!("a rule can't be called `{word}`"),
                    "The log uses this word for other links: give the rule another id",
                );
            }
            let Some(rule) = self.rule(node, sides) else { continue };
            if let Some(earlier) = rules
                .iter()
                .find(|r| same_pairs(&r.same, &rule.same) && r.ignore_if_shared_by_more_than >= rule.ignore_if_shared_by_more_than)
            {
                let span = node.get("id").map_or(node.span, |n| n.span);
                self.warning(
                    UNREACHABLE,
                    span,
                    format!("`{}` compares the same fields as `{}` above and never decides anything", rule.id, earlier.id),
                    "Remove one of the two",
                );
            }
            rules.push(rule);
        }
        rules
    }

    fn rule(&mut self, node: &Node, sides: Sides<'_>) -> Option<Rule> {
        let pairs: Vec<Option<(usize, usize)>> = node.get("same")?.list().iter().map(|same| self.same(same, sides)).collect();
        Some(Rule {
            id: node.get("id")?.shared_text()?,
            same: pairs.into_iter().collect::<Option<_>>()?,
            verdict: match node.text_of("decide")? {
                "link" => RuleVerdict::Link,
                "review" => RuleVerdict::Review,
                _ => return None,
            },
            ignore_if_shared_by_more_than: node.get("ignore_if_shared_by_more_than").and_then(Node::whole),
            precision: match node.get("precision") {
                Some(precision) => {
                    let share = precision.percent()?;
                    if share <= 0.5 || share >= 1.0 {
                        self.error(
                            THRESHOLDS,
                            precision.span,
                            "the precision of a rule lies between 50 % and 100 %, both excluded",
                            "A rule that is right half the time links nobody; one that is never wrong does not exist: 99.9 % is usual",
                        );
                    }
                    share
                }
                None => RULE_PRECISION,
            },
        })
    }

    /// A pair of fields: one name for both sides (`handle` also means the customer's list `handles`), or a name for each.
    fn same(&mut self, node: &Node, sides: Sides<'_>) -> Option<(usize, usize)> {
        let (identity, customer) = match node.text() {
            Some(_) => (node, node),
            None => (node.get("identity")?, node.get("customer")?),
        };
        let (identity_name, customer_name) = (identity.text()?, customer.text()?);
        let left = position(&sides.identities.fields, identity_name);
        let right = position(&sides.customers.fields, customer_name);
        for (found, fields, side, name, span) in [
            (left, &sides.identities.fields, "identities", identity_name, identity.span),
            (right, &sides.customers.fields, "customers", customer_name, customer.span),
        ] {
            if found.is_none() {
                let remedy = format!("Declare it under `{side}.fields`. {}", meant(name, fields.iter().map(|f| &*f.name)));
                self.error(FIELD_LACKING, span, format!("`{side}` has no field `{name}`"), remedy);
            }
        }
        let (left, right) = (left?, right?);
        self.handle_with_network(sides.identities.fields.get(left)?, sides.customers.fields.get(right)?, sides, node.span);
        Some((left, right))
    }

    /// A handle is compared only together with its network, on both sides.
    fn handle_with_network(&mut self, identity: &Field, customer: &Field, sides: Sides<'_>, span: Span) {
        let with_network =
            |field: &Field| matches!(field.extract, Extract::Clean(Cleaner::NetworkHandle) | Extract::Find(Finder::NetworkHandle));
        let bare = |field: &Field, sources: &[Arc<str>]| {
            !with_network(field) && field.from.iter().filter_map(|i| sources.get(*i)).any(|s| &**s == "actor.preferredUsername")
        };
        if with_network(identity) == with_network(customer) && !bare(identity, &sides.identities.paths) {
            return;
        }
        let (field, side) = if with_network(identity) { (customer, "customers") } else { (identity, "identities") };
        self.error(
            HANDLE_WITHOUT_NETWORK,
            span,
            format!("the rule compares a handle without its network: `{}` of `{side}` has none", field.name),
            format!(
                "The same handle on another network is another person: give `{side}.fields.{}` the cleaner `network_handle`",
                field.name
            ),
        );
    }

    /// `match.decide`.
    pub(super) fn decide(&mut self, node: &Node) -> Option<Decide> {
        let (link_node, ask_node) = (node.get("link_from")?, node.get("ask_a_person_from")?);
        let (link_from, ask_a_person_from) = (link_node.percent()?, ask_node.percent()?);
        let ahead_of_next = node.get("ahead_of_next")?.times()?;
        if link_from <= 0.5 {
            self.error(
                THRESHOLDS,
                link_node.span,
                "a link needs more than 50 %",
                "At 50 % or less two customers could be linked at once: 99 % or more is usual",
            );
        }
        if ask_a_person_from <= 0.0 {
            self.error(THRESHOLDS, ask_node.span, "a person would be asked about everybody", "Write more than 0 %: 50 % to 80 % is usual");
        }
        if ask_a_person_from > link_from {
            self.error(
                THRESHOLDS,
                ask_node.span,
                "a person would be asked only above the probability that links by itself",
                "Write `ask_a_person_from` not greater than `link_from`",
            );
        }
        Some(Decide { link_from, ask_a_person_from, ahead_of_next })
    }

    /// `match.one_person`.
    pub(super) fn one_person(&mut self, node: Option<&Node>, identities: &IdentityFields) -> OnePerson {
        let Some(node) = node else { return OnePerson::default() };
        let mut agree_on = Vec::new();
        for field in node.get("agree_on").map(Node::list).unwrap_or_default() {
            let Some(name) = field.text() else { continue };
            let Some(at) = position(&identities.fields, name) else {
                let known = identities.fields.iter().map(|f| &*f.name);
                let remedy = format!("Declare it under `identities.fields`. {}", meant(name, known));
                self.error(FIELD_LACKING, field.span, format!("`identities` has no field `{name}`"), remedy);
                continue;
            };
            if identities.fields.get(at).is_some_and(|field| identities.is_said(field)) {
                self.error(
                    BAD_FIELD,
                    field.span,
                    format!("`{name}` is made from posts, and those of the customer's other accounts are not looked at"),
                    "Name a field of the profile",
                );
            }
            agree_on.push((at, name.into()));
        }
        OnePerson { accounts_of_a_network: node.get("accounts_of_a_network").and_then(Node::whole), agree_on }
    }
}

/// The fields that a model reads: the identities' and the customers'.
pub(super) fn model_fields(model: &Model) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
    let (mut identity, mut customer) = (Vec::new(), Vec::new());
    for part in model.blocking.iter().flat_map(|b| &b.parts) {
        match part {
            KeyPart::Field { identity: i, customer: c, .. } => {
                identity.push(i.clone());
                customer.push(c.clone());
            }
            KeyPart::SpelledInHandle { handle, given, family } => {
                identity.push(handle.clone());
                customer.extend([given.clone(), family.clone()]);
            }
            KeyPart::Sql { settings, identity: left, customer: right } => {
                identity.extend(columns(settings, &left.columns()));
                customer.extend(columns(settings, &right.columns()));
            }
        }
    }
    customer.extend(model.term_frequencies.iter().flat_map(|t| &t.of).map(|p| p.field.clone()));
    for comparison in &model.comparisons {
        match &comparison.compared {
            Compared::Field { identity: i, customer: c } => {
                identity.push(i.clone());
                customer.push(c.clone());
            }
            Compared::NameAndHandle { given, family, handle } => {
                identity.extend([given.clone(), family.clone(), handle.clone()]);
                customer.extend([given.clone(), family.clone()]);
            }
            Compared::HandleReuse { handle, handles, email, birth_date, name } => {
                identity.push(handle.clone());
                customer.extend([handles, email, birth_date].into_iter().flatten().cloned());
                customer.extend(name.iter().flat_map(|(given, family)| [given.clone(), family.clone()]));
            }
            Compared::Sql { settings, comparison } => {
                let read: Vec<Arc<str>> = columns(settings, &settings.compared(*comparison)).collect();
                identity.extend(read.iter().cloned());
                customer.extend(read);
            }
        }
    }
    (identity, customer)
}

/// The fields that a Splink model's columns are, by their numbers: names of fields are in lower case.
fn columns<'s>(settings: &'s Settings, numbers: &'s [usize]) -> impl Iterator<Item = Arc<str>> + 's {
    settings.columns().enumerate().filter(|(number, _)| numbers.contains(number)).map(|(_, name)| name.to_ascii_lowercase().into())
}

fn same_pairs(left: &[(usize, usize)], right: &[(usize, usize)]) -> bool {
    left.len() == right.len() && left.iter().all(|p| right.contains(p))
}

/// The field of this name, else the one that is its plural or singular: `handle` and `handles`.
fn position(fields: &[Field], name: &str) -> Option<usize> {
    let called = |wanted: &str| fields.iter().position(|f| &*f.name == wanted);
    called(name).or_else(|| called(&format!("{name}s"))).or_else(|| name.strip_suffix('s').and_then(called))
}
