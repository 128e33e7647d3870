//! Reading a mapping: text in, a checked rulebook or every complaint out. Pure.

use super::cases::Known;
use super::codes::{MODEL_UNREADABLE, NAME_CLASH, UNKNOWN_SECTION, UNUSED_FIELD};
use super::deliveries::link_names;
use super::expressions::Expressions;
use super::fields::guard;
use super::reading::{Reading, meant};
use super::retain::{retain, retain_fields, retain_on};
use super::scope::{self, Words};
use super::sections::{Sides, audience, bases, model_fields};
use super::{ModelText, Rulebook, Surroundings, digest, display, duties, format};
use crate::declare::yaml::{self, Node, Tree};
use crate::declare::{model, shape};
use crate::diagnose::{Checked, Diagnostic, Place, Problems, SourceFile, nearest};
use crate::enrich::{EnrichField, Enrichment};
use crate::expr::{NameKind, Names};
use crate::model::AudienceSet;
use crate::normalize::{CustomerFields, IdentityFields};
use crate::policy::{Basis, Policy};
use crate::resolve::{Matching, Model, OnePerson, Rule};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Reads a mapping and tells everything that is wrong with it.
///
/// `models` gives the text of a linkage model by its path as the mapping writes it (relative to the mapping's folder). Without
/// `surroundings`, what the mapping refers to in the configuration is not checked, and the deliveries have no record key: good for a
/// check, not for a run.
pub fn read(file: &Arc<SourceFile>, models: &ModelText<'_>, surroundings: Option<&Surroundings>) -> Checked<Rulebook> {
    let mut checked = yaml::read(file);
    let Some(tree) = checked.value.take() else { return Checked { value: None, problems: checked.problems } };
    let mut structure = Problems::default();
    shape::check(&format::MAPPING, &tree, &mut structure);
    let mut reading = Reading { tree: &tree, problems: checked.problems, denied: Vec::new() };
    let broken = Broken::of(&structure, &tree);
    reading.problems.0.append(&mut structure.0);
    let named = RefCell::new(BTreeMap::new());
    let remembering = |path: &str| {
        let text = models(path)?;
        named.borrow_mut().insert(Arc::from(path), text.clone());
        Ok(text)
    };
    let mut rulebook = rulebook(&mut reading, &tree, &remembering, surroundings, broken);
    if let Some(rulebook) = &mut rulebook {
        rulebook.named = named.take().into_iter().collect();
    }
    let mut problems = reading.problems;
    in_file_order(&mut problems, file);
    Checked::new(rulebook, problems)
}

/// Whether the sections that declare names have structural errors: then a name that is not there is no news.
#[derive(Clone, Copy)]
struct Broken {
    names: bool,
}

impl Broken {
    fn of(structure: &Problems, tree: &Tree) -> Self {
        let inside = |key: &str| {
            let Some(entry) = tree.root.entry(key) else { return true };
            structure.0.iter().any(|d| match &d.place {
                Place::InFile(_, span) => span.start >= entry.key_span.start && span.start <= entry.value.span.end,
                Place::Path(_) | Place::Line(..) | Place::Named(_) => false,
            })
        };
        let enrich = tree.root.entry("enrich").is_some() && inside("enrich");
        Self { names: inside("customers") || inside("identities") || enrich }
    }
}

/// Complaints in the order of the file, then those of other files; those of one place in the order found.
fn in_file_order(problems: &mut Problems, file: &Arc<SourceFile>) {
    problems.0.sort_by_key(|d| match &d.place {
        Place::InFile(other, span) if other.name == file.name => (0, span.start),
        Place::InFile(_, span) => (1, span.start),
        Place::Path(_) | Place::Line(..) | Place::Named(_) => (2, 0),
    });
}

fn rulebook(
    reading: &mut Reading<'_>,
    tree: &Tree,
    models: &ModelText<'_>,
    surroundings: Option<&Surroundings>,
    broken: Broken,
) -> Option<Rulebook> {
    let root = &tree.root;
    let duties = reading.duties(root, models);
    let customers_node = root.get("customers");
    let customers = customers_node.and_then(|n| reading.customer_fields(n));
    let mut identities = root.get("identities").and_then(|n| reading.identity_fields(n));
    if let (Some(around), Some(from)) = (surroundings, customers_node.and_then(|n| n.get("from")))
        && let Some(name) = from.text()
        && !around.customers.iter().any(|c| &**c == name)
    {
        let remedy = meant(name, around.customers.iter().map(|c| &**c));
        reading.error(UNKNOWN_SECTION, from.span, format!("the configuration has no `[customers.{name}]`"), remedy);
    }
    let related = customers_node.and_then(|n| n.get("related")).map(|n| reading.related(n, surroundings)).unwrap_or_default();
    clashes(reading, customers_node, customers.as_ref());

    let mut used = BTreeSet::new();
    let lenient = broken.names || customers.is_none() || identities.is_none();
    let listed = root.get("policy").and_then(audience);
    let mut policy = policy(reading, root, (customers.as_ref(), identities.as_ref()), &mut used, lenient, listed, &duties);
    let (matching, model) = matching(reading, root, models, customers.as_ref(), identities.as_ref());

    let mut names = scope::names(customers.as_ref(), identities.as_ref(), &related);
    let mut words = words(root, matching.as_ref().map(|(rules, ..)| rules.as_slice()));
    let enrich = enrich(reading, root, &mut names, &mut words, &mut used, lenient, listed);
    let deliver = deliver(reading, root, surroundings, Scope { names: &names, words: &words, lenient, audience: listed }, &mut used);

    // A profile keeps only what is declared: what a delivery reads of the actor is declared by that.
    if let Some(identities) = &mut identities {
        for name in used.iter().filter(|n| n.starts_with("actor.") && *n != "actor.id") {
            super::reading::position_of(&mut identities.paths, name);
        }
    }
    if let (Some(policy), Some(identities), Some(node)) = (&mut policy, &identities, root.get("policy")) {
        policy.retain_fields = retain_fields(reading, node, (policy.retain, &policy.retain_on), &identities.paths, &duties);
        display::resolve(&mut policy.duties, identities);
    }
    if let (Some(customers), Some(identities), Some((rules, ..)), false) = (&customers, &identities, &matching, broken.names) {
        let sides = Sides { identities, customers };
        unused(reading, root, sides, rules, &model, &used);
        unused_enriched(reading, root, &used);
    }
    let tests = tests(reading, root, customers.as_ref(), identities.as_ref(), &related, &model);

    let (rules, decide, one_person) = matching?;
    let customers = customers?;
    let customer_fields = customers.fields.iter().map(|f| f.name.clone()).collect();
    let related_names = related.iter().map(|r| (r.name.clone(), r.last)).collect();
    let enrich = Enrichment { fields: enrich?, deliver: deliver?, related: related_names };
    let policy = policy?;
    reading.not_shown(root, &enrich, &policy.duties);
    Some(Rulebook {
        name: root.get("mapping")?.shared_text()?,
        description: root.get("description").and_then(Node::shared_text),
        owner: root.get("owner").and_then(Node::shared_text),
        customers_from: customers_node?.get("from")?.shared_text()?,
        customers: Arc::new(customers),
        guard: guard(customers_node?.get("guard")),
        identities: Arc::new(identities?),
        policy,
        matching: Arc::new(Matching { rules, model: model.found.map(Arc::new), decide: decide?, one_person, customer_fields }),
        enrich,
        related,
        tests,
        digest: digest::digest(root, duties.iter().map(duties::Named::digest)),
        source: tree.file.clone(),
        named: Vec::new(),
    })
}

/// A bare customer field and a set of related records have one name: which is read?
fn clashes(reading: &mut Reading<'_>, customers: Option<&Node>, fields: Option<&CustomerFields>) {
    let Some(related) = customers.and_then(|n| n.get("related")) else { return };
    for entry in related.entries() {
        let is_field = fields.is_some_and(|f| f.fields.iter().any(|f| f.name == entry.key));
        if is_field || scope::is_built_in(&entry.key) || matches!(&*entry.key, "any" | "not" | "cel") {
            reading.error(
                NAME_CLASH,
                entry.key_span,
                format!("`{}` has a meaning already", entry.key),
                "Give the set of records another name",
            );
        }
    }
}

fn policy(
    reading: &mut Reading<'_>,
    root: &Node,
    (customers, identities): (Option<&CustomerFields>, Option<&IdentityFields>),
    used: &mut BTreeSet<String>,
    lenient: bool,
    listed: Option<AudienceSet>,
    duties: &[duties::Named],
) -> Option<Policy> {
    let node = root.get("policy")?;
    reading.private_audiences(node);
    let names = scope::basis_names(customers, identities);
    let words = Words::built_in();
    let mut expressions = Expressions { reading, names: &names, words: &words, audience: listed, used, lenient, link: false };
    let bases: Option<Vec<Basis>> = bases(node, &mut expressions);
    let retain = retain(node)?;
    let retain_on = retain_on(reading, node, retain);
    let duties = reading.kept_duties(duties, node, bases.as_deref().unwrap_or_default(), retain, &retain_on);
    Some(Policy { audience: listed?, bases: bases?, retain, retain_on, retain_fields: Vec::new(), duties })
}

/// The model, as far as it could be read.
struct FoundModel {
    found: Option<Model>,
    /// Whether the mapping names one.
    named: bool,
    identity_fields: Vec<Arc<str>>,
    customer_fields: Vec<Arc<str>>,
}

type Rules = (Vec<Rule>, Option<crate::resolve::Decide>, OnePerson);

fn matching(
    reading: &mut Reading<'_>,
    root: &Node,
    models: &ModelText<'_>,
    customers: Option<&CustomerFields>,
    identities: Option<&IdentityFields>,
) -> (Option<Rules>, FoundModel) {
    let mut model = FoundModel { found: None, named: false, identity_fields: Vec::new(), customer_fields: Vec::new() };
    let Some(node) = root.get("match") else { return (None, model) };
    let sides = customers.zip(identities).map(|(customers, identities)| Sides { identities, customers });
    if let Some(path) = node.get("model") {
        model.named = true;
        model.found = read_model(reading, path, models, sides);
        if let Some(found) = &model.found {
            (model.identity_fields, model.customer_fields) = model_fields(found);
        }
    }
    let decide = node.get("decide").and_then(|n| reading.decide(n));
    let one_person = |reading: &mut Reading<'_>, sides: Sides<'_>| reading.one_person(node.get("one_person"), sides.identities);
    (sides.map(|sides| (reading.rules(node.get("rules"), sides), decide, one_person(reading, sides))), model)
}

fn read_model(reading: &mut Reading<'_>, node: &Node, models: &ModelText<'_>, sides: Option<Sides<'_>>) -> Option<Model> {
    let splink = node.get("splink");
    let path = splink.unwrap_or(node).text()?;
    let fields = sides.map(|s| model::Fields { identities: s.identities, customers: s.customers });
    match models(path) {
        Ok(file) => {
            let checked = match splink {
                None => model::read(&file, fields),
                Some(_) => model::splink_import(&file, fields, node.get("cut_above").and_then(Node::whole)),
            };
            if checked.problems.has_errors() {
                let errors = checked.problems.counts().0;
                let mut told = Diagnostic::error(
                    MODEL_UNREADABLE,
                    reading.place(node.span),
                    format!("the model `{path}` has {errors} {}", if errors == 1 { "error" } else { "errors" }),
                    "Correct the model: each of its errors is told with its own place",
                );
                if let Some(first) = checked.problems.0.first() {
                    told = told.related(first.place.clone(), first.message.clone());
                }
                reading.problems.push(told);
            }
            reading.problems.0.extend(checked.problems.0);
            checked.value
        }
        Err(cause) => {
            reading.error(
                MODEL_UNREADABLE,
                node.span,
                format!("the model `{path}` can't be read: {cause}"),
                "Write the path from the mapping's folder: `models/retail.yaml`",
            );
            None
        }
    }
}

/// The words that some names are limited to: rules and bases are this mapping's own.
fn words(root: &Node, rules: Option<&[Rule]>) -> Words {
    let mut words = Words::built_in();
    if let Some(rules) = rules {
        words.limit("rule", rules.iter().map(|r| r.id.to_string()).chain(["model".to_owned(), "person".to_owned()]));
    }
    if let Some(bases) = root.get("policy").and_then(|p| p.get("basis")) {
        words.limit("basis", bases.list().iter().filter_map(|b| b.text_of("basis")));
    }
    words
}

fn enrich(
    reading: &mut Reading<'_>,
    root: &Node,
    names: &mut Names,
    words: &mut Words,
    used: &mut BTreeSet<String>,
    lenient: bool,
    listed: Option<AudienceSet>,
) -> Option<Vec<EnrichField>> {
    let mut fields = Vec::new();
    let mut whole = true;
    for entry in root.get("enrich").map(Node::entries).unwrap_or_default() {
        let clash = names.kind(&entry.key).is_some();
        let mut expressions = Expressions { reading, names, words, audience: listed, used, lenient, link: false };
        match expressions.enriched(entry) {
            Some((field, limited)) => {
                if let (Some(limited), false) = (limited, clash) {
                    words.limit(&field.name, limited);
                }
                fields.push(field);
            }
            None => whole = false,
        }
        // Declared, even where its value has a fault: what reads it has none.
        if !clash {
            names.insert(entry.key.clone(), NameKind::Any);
        }
    }
    whole.then_some(fields)
}

#[derive(Clone, Copy)]
struct Scope<'s> {
    names: &'s Names,
    words: &'s Words,
    lenient: bool,
    audience: Option<AudienceSet>,
}

fn deliver(
    reading: &mut Reading<'_>,
    root: &Node,
    surroundings: Option<&Surroundings>,
    scope: Scope<'_>,
    used: &mut BTreeSet<String>,
) -> Option<Vec<crate::enrich::DeliverEntry>> {
    let nodes = root.get("deliver").map(Node::list).unwrap_or_default();
    let of_link = link_names(scope.names);
    let mut out = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let link = node.text_of("for") == Some("link");
        let names = if link { &of_link } else { scope.names };
        let mut expressions =
            Expressions { reading, names, words: scope.words, audience: scope.audience, used, lenient: scope.lenient, link };
        if index == 0 {
            expressions.unique_deliveries(nodes);
        }
        out.push(expressions.delivery(node, surroundings));
    }
    out.into_iter().collect()
}

/// Warns of fields that are declared and kept, and that nothing reads.
fn unused(reading: &mut Reading<'_>, root: &Node, sides: Sides<'_>, rules: &[Rule], model: &FoundModel, used: &BTreeSet<String>) {
    if model.named && model.found.is_none() {
        return;
    }
    let read = |name: &str| used.contains(name);
    let slips = slips(root, sides);
    for (index, field) in sides.customers.fields.iter().enumerate() {
        let by_rule = rules.iter().any(|r| r.same.iter().any(|(_, c)| *c == index)) || slips.contains(&*field.name);
        let bare = read(&field.name) && !scope::is_built_in(&field.name);
        if !by_rule && !bare && !model.customer_fields.contains(&field.name) && !read(&format!("customer.{}", field.name)) {
            warn_unused(reading, root, "customers", &field.name);
        }
    }
    for (index, field) in sides.identities.fields.iter().enumerate() {
        let by_rule = rules.iter().any(|r| r.same.iter().any(|(i, _)| *i == index)) || slips.contains(&*field.name);
        let as_handle = &*field.name == "handle" && read("handle");
        if !by_rule && !as_handle && !model.identity_fields.contains(&field.name) && !read(&format!("identity.{}", field.name)) {
            warn_unused(reading, root, "identities", &field.name);
        }
    }
}

/// The fields that a rule, or `one_person`, means, or probably means where it has a fault: a slip in a rule does not make a field unused.
fn slips<'a>(root: &'a Node, sides: Sides<'a>) -> BTreeSet<&'a str> {
    let known = || sides.customers.fields.iter().chain(&sides.identities.fields).map(|f| &*f.name);
    let rules = root.get("match").and_then(|m| m.get("rules")).map(Node::list).unwrap_or_default();
    let agree_on = root.get("match").and_then(|m| m.get("one_person")).and_then(|o| o.get("agree_on"));
    let same = rules.iter().filter_map(|r| r.get("same")).chain(agree_on).flat_map(Node::list_or_one);
    let words = same.flat_map(|n| n.text().into_iter().chain(n.entries().iter().filter_map(|e| e.value.text())));
    words.flat_map(|word| [Some(word), nearest(word, known())]).flatten().collect()
}

/// Warns of enriched fields that nothing reads.
fn unused_enriched(reading: &mut Reading<'_>, root: &Node, used: &BTreeSet<String>) {
    for entry in root.get("enrich").map(Node::entries).unwrap_or_default() {
        if !used.contains(&*entry.key) {
            reading.warning(
                UNUSED_FIELD,
                entry.key_span,
                format!("no condition or delivery reads `enrich.{}`", entry.key),
                "Remove it, or deliver it",
            );
        }
    }
}

fn warn_unused(reading: &mut Reading<'_>, root: &Node, side: &str, name: &str) {
    let Some(entry) = root.get(side).and_then(|n| n.get("fields")).and_then(|n| n.entry(name)) else { return };
    reading.warning(
        UNUSED_FIELD,
        entry.key_span,
        format!("no rule, model, condition or delivery reads `{side}.fields.{name}`"),
        "Remove it: what is not needed must not be kept",
    );
}

fn tests(
    reading: &mut Reading<'_>,
    root: &Node,
    customers: Option<&CustomerFields>,
    identities: Option<&IdentityFields>,
    related: &[super::RelatedSpec],
    model: &FoundModel,
) -> Vec<super::MappingTest> {
    let (Some(customers), Some(identities), Some(node)) = (customers, identities, root.get("tests")) else { return Vec::new() };
    let ids = |section: Option<&Node>, key: &str| -> Vec<Arc<str>> {
        section.map(Node::list).unwrap_or_default().iter().filter_map(|n| n.get(key)).filter_map(Node::shared_text).collect()
    };
    let known = Known {
        customers,
        identities,
        related,
        rules: ids(root.get("match").and_then(|m| m.get("rules")), "id"),
        has_model: model.named,
        term_frequencies: match &model.found {
            Some(found) => Some(found.term_frequencies.iter().map(|t| t.name.clone()).collect()),
            None if model.named => None,
            None => Some(Vec::new()),
        },
        bases: ids(root.get("policy").and_then(|p| p.get("basis")), "basis"),
        deliveries: root
            .get("deliver")
            .map(Node::list)
            .unwrap_or_default()
            .iter()
            .filter_map(|n| {
                let fields = n.get("fields").map(Node::entries).unwrap_or_default();
                Some((n.get("id")?.shared_text()?, fields.iter().map(|f| f.key.clone()).collect()))
            })
            .collect(),
    };
    reading.cases(node, &known)
}
