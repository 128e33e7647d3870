//! `tests`: the cases inside a mapping.

use super::codes::{DUPLICATE_ID, TEST_ACTIVITY, TEST_UNKNOWN, UNKNOWN_NETWORK};
use super::format::network_words;
use super::reading::{Reading, meant};
use super::{Expectation, Frequencies, MappingTest, RelatedSpec};
use crate::declare::yaml::{Entry, Node};
use crate::diagnose::Span;
use crate::model::{Customer, CustomerId, Network, Outcome, Personal, RelatedRecord, Value};
use crate::normalize::{CustomerFields, IdentityFields, activity_streams};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The moment of a test's activity that does not say.
const WHEN: &str = "2026-01-15T12:00:00Z";

const PUBLIC: &str = "https://www.w3.org/ns/activitystreams#Public";

/// What the tests of a mapping may name.
pub(super) struct Known<'k> {
    pub(super) customers: &'k CustomerFields,
    pub(super) identities: &'k IdentityFields,
    pub(super) related: &'k [RelatedSpec],
    /// Rule ids.
    pub(super) rules: Vec<Arc<str>>,
    pub(super) has_model: bool,
    /// Term frequencies of the model; `None` where it could not be read.
    pub(super) term_frequencies: Option<Vec<Arc<str>>>,
    /// Basis names.
    pub(super) bases: Vec<Arc<str>>,
    /// Deliveries with their fields.
    pub(super) deliveries: Vec<(Arc<str>, Vec<Arc<str>>)>,
}

impl Reading<'_> {
    /// Every test.
    pub(super) fn cases(&mut self, node: &Node, known: &Known<'_>) -> Vec<MappingTest> {
        self.unique(DUPLICATE_ID, "tests", node.list().iter().filter_map(|n| n.get("name")).filter_map(|n| Some((n.text()?, n.span))));
        node.list().iter().filter_map(|case| self.case(case, known)).collect()
    }

    fn case(&mut self, node: &Node, known: &Known<'_>) -> Option<MappingTest> {
        let rows = node.get("customers").map(Node::list).unwrap_or_default();
        let mut customers: Vec<Option<Customer>> = rows.iter().map(|row| self.customer(row, known)).collect();
        let ids: BTreeSet<&str> = rows.iter().filter_map(|row| row.text_of(&known.customers.key)).collect();
        let related = self.case_related(node.get("related"), known);
        for customer in customers.iter_mut().flatten() {
            relate(customer, &related, known);
        }
        let frequencies = self.frequencies(node.get("term_frequencies"), known);
        let activity = node.get("activity");
        let line = activity.and_then(|activity| self.activity(activity, known));
        let expect = node.get("expect").and_then(|expect| self.expectations(expect, &ids, known));
        let name = node.get("name")?;
        Some(MappingTest {
            name: name.shared_text()?,
            span: name.span,
            customers: customers.into_iter().collect::<Option<_>>()?,
            related,
            activity: line?,
            activity_span: activity?.span,
            term_frequencies: frequencies,
            expect: expect?,
        })
    }

    fn customer(&mut self, row: &Node, known: &Known<'_>) -> Option<Customer> {
        let fields = known.customers;
        for entry in row.entries() {
            let own = || fields.columns.iter().enumerate().filter(|(at, _)| !fields.is_related(*at)).map(|(_, column)| column);
            let columns = || own().chain([&fields.key]).chain(&fields.merged_into);
            if !columns().any(|c| *c == entry.key) {
                self.error(
                    TEST_UNKNOWN,
                    entry.key_span,
                    format!("no field of `customers` is made from a column `{}`", entry.key),
                    meant(&entry.key, columns().map(|c| &**c)),
                );
            }
        }
        let Some(id) = row.text_of(&fields.key) else {
            self.error(
                TEST_UNKNOWN,
                row.span,
                format!("a customer of a test needs its key `{}`", fields.key),
                format!("Add `{}: C1`", fields.key),
            );
            return None;
        };
        Some(Customer {
            id: CustomerId(id.into()),
            merged_into: fields.merged_into.as_ref().and_then(|column| row.text_of(column)).map(CustomerId::from),
            raw: Personal::new(fields.columns.iter().map(|c| row.text_of(c).map_or(Value::Missing, Value::from)).collect()),
        })
    }

    fn case_related(&mut self, node: Option<&Node>, known: &Known<'_>) -> Vec<(Arc<str>, Vec<RelatedRecord>)> {
        let mut out = Vec::new();
        for entry in node.map(Node::entries).unwrap_or_default() {
            let Some(set) = known.related.iter().find(|r| r.name == entry.key) else {
                self.error(
                    TEST_UNKNOWN,
                    entry.key_span,
                    format!("`customers.related` has no `{}`", entry.key),
                    meant(&entry.key, known.related.iter().map(|r| &*r.name)),
                );
                continue;
            };
            let mut records = Vec::new();
            for row in entry.value.list() {
                let Some(customer) = row.text_of(&set.by) else {
                    self.error(
                        TEST_UNKNOWN,
                        row.span,
                        format!("a record of `{}` needs its customer `{}`", set.name, set.by),
                        format!("Add `{}: C1`", set.by),
                    );
                    continue;
                };
                let members = row.entries().iter().map(|e| (e.key.clone(), e.value.text().map_or(Value::Missing, Value::from))).collect();
                records.push(RelatedRecord { customer: customer.into(), members: Personal::new(members) });
            }
            out.push((set.name.clone(), records));
        }
        out
    }

    fn frequencies(&mut self, node: Option<&Node>, known: &Known<'_>) -> Vec<(Arc<str>, Frequencies)> {
        let mut out = Vec::new();
        for entry in node.map(Node::entries).unwrap_or_default() {
            if let Some(frequencies) = &known.term_frequencies
                && !frequencies.contains(&entry.key)
            {
                self.error(
                    TEST_UNKNOWN,
                    entry.key_span,
                    format!("the model has no term frequency `{}`", entry.key),
                    meant(&entry.key, frequencies.iter().map(|f| &**f)),
                );
            }
            let mut table: Frequencies = entry.value.entries().iter().filter_map(|e| Some((e.key.clone(), e.value.decimal()?))).collect();
            table.sort_by(|a, b| a.0.cmp(&b.0));
            out.push((entry.key.clone(), table));
        }
        out
    }

    /// The activity as a line of Activity Streams; what the test leaves out gets a sensible value.
    fn activity(&mut self, node: &Node, known: &Known<'_>) -> Option<String> {
        let network_node = node.get("network")?;
        let network_text = network_node.text()?;
        let Ok(network) = network_text.parse::<Network>() else {
            self.error(
                UNKNOWN_NETWORK,
                network_node.span,
                format!("`{network_text}` is not a network that Kith knows"),
                meant(network_text, network_words()),
            );
            return None;
        };
        let line = completed(node, network).to_string();
        if let Err(malformed) = activity_streams::Reader::new(known.identities, None).parse(line.as_bytes()) {
            self.error(
                TEST_ACTIVITY,
                node.span,
                format!("this is no activity: {malformed}"),
                "Write it as the network would send it; what is left out gets a sensible value",
            );
            return None;
        }
        Some(line)
    }

    fn expectations(&mut self, node: &Node, customers: &BTreeSet<&str>, known: &Known<'_>) -> Option<Vec<(Expectation, Span)>> {
        let mut out = Vec::new();
        for entry in node.entries() {
            let value = &entry.value;
            match &*entry.key {
                "decision" => out.push((Expectation::Decision(Outcome::from_name(value.text()?)?), value.span)),
                "customer" => {
                    self.customer_of_test(value, customers);
                    out.push((Expectation::Customer(value.shared_text()?), value.span));
                }
                "candidates" => {
                    for item in value.list() {
                        self.customer_of_test(item, customers);
                    }
                    out.push((Expectation::Candidates(value.list().iter().filter_map(Node::shared_text).collect()), value.span));
                }
                "rule" => {
                    let word = value.text()?;
                    let all = || known.rules.iter().map(|r| &**r).chain(known.has_model.then_some("model"));
                    if !all().any(|id| id == word) {
                        self.error(TEST_UNKNOWN, value.span, format!("`match.rules` has no rule `{word}`"), meant(word, all()));
                    }
                    out.push((Expectation::Rule(word.into()), value.span));
                }
                "basis" => {
                    let word = value.text()?;
                    if !known.bases.iter().any(|b| &**b == word) {
                        self.error(
                            TEST_UNKNOWN,
                            value.span,
                            format!("`policy.basis` has no basis `{word}`"),
                            meant(word, known.bases.iter().map(|b| &**b)),
                        );
                    }
                    out.push((Expectation::Basis(word.into()), value.span));
                }
                "deliver" => {
                    for entry in value.entries() {
                        self.expected_delivery(entry, known, &mut out);
                    }
                }
                _ => return None,
            }
        }
        Some(out)
    }

    fn customer_of_test(&mut self, node: &Node, customers: &BTreeSet<&str>) {
        if let Some(word) = node.text()
            && !customers.contains(word)
        {
            self.error(TEST_UNKNOWN, node.span, format!("the test has no customer `{word}`"), meant(word, customers.iter().copied()));
        }
    }

    fn expected_delivery(&mut self, entry: &Entry, known: &Known<'_>, out: &mut Vec<(Expectation, Span)>) {
        let Some((id, fields)) = known.deliveries.iter().find(|(id, _)| *id == entry.key) else {
            self.error(
                TEST_UNKNOWN,
                entry.key_span,
                format!("`deliver` has no entry `{}`", entry.key),
                meant(&entry.key, known.deliveries.iter().map(|(id, _)| &**id)),
            );
            return;
        };
        if entry.value.text().is_some() {
            out.push((Expectation::NotDelivered(id.clone()), entry.value.span));
            return;
        }
        out.push((Expectation::Delivered(id.clone()), entry.key_span));
        for field in entry.value.entries() {
            if !fields.contains(&field.key) {
                self.error(
                    TEST_UNKNOWN,
                    field.key_span,
                    format!("the entry `{id}` has no field `{}`", field.key),
                    meant(&field.key, fields.iter().map(|f| &**f)),
                );
            }
            let value = field.value.shared_text();
            out.push((Expectation::Field { entry: id.clone(), field: field.key.clone(), value }, field.value.span));
        }
    }
}

/// The activity with everything that the test leaves out.
fn completed(node: &Node, network: Network) -> Json {
    let base = format!("https://{network}.example");
    let Json::Object(mut line) = node.to_json() else { return Json::Null };
    line.remove("network");
    line.insert("generator".to_owned(), json!(network.name()));
    let verb = line.get("type").and_then(Json::as_str).unwrap_or("Create").to_owned();
    let published = line.get("published").cloned().unwrap_or_else(|| json!(WHEN));
    let mut actor = take_object(&mut line, "actor");
    fill(&mut actor, "type", || json!("Person"));
    fill(&mut actor, "id", || json!(format!("{base}/users/1")));
    let author = actor.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
    line.insert("actor".to_owned(), Json::Object(actor));
    let mut object = take_object(&mut line, "object");
    fill(&mut object, "id", || json!(format!("{base}/notes/1")));
    match verb.as_str() {
        "Delete" => {
            fill(&mut object, "type", || json!("Tombstone"));
            fill(&mut object, "deleted", || published.clone());
        }
        "Update" => {
            fill(&mut object, "type", || json!("Note"));
            fill(&mut object, "published", || json!(WHEN));
            fill(&mut object, "updated", || published.clone());
        }
        _ => {
            fill(&mut object, "type", || json!("Note"));
            fill(&mut object, "published", || published.clone());
        }
    }
    line.insert("object".to_owned(), Json::Object(object));
    let recipients = match line.remove("audience").as_ref().and_then(Json::as_str) {
        Some("direct") => json!([format!("{base}/users/shop")]),
        Some("limited") => json!([format!("{author}/followers")]),
        _ => json!([PUBLIC]),
    };
    if !line.contains_key("cc") {
        fill(&mut line, "to", || recipients);
    }
    fill(&mut line, "type", || json!("Create"));
    fill(&mut line, "id", || json!(format!("{base}/activities/1")));
    fill(&mut line, "published", || published);
    Json::Object(line)
}

fn fill(object: &mut Map<String, Json>, key: &str, value: impl FnOnce() -> Json) {
    if !object.contains_key(key) {
        object.insert(key.to_owned(), value());
    }
}

fn take_object(line: &mut Map<String, Json>, key: &str) -> Map<String, Json> {
    match line.remove(key) {
        Some(Json::Object(members)) => members,
        Some(_) | None => Map::new(),
    }
}

/// Brings what a test's related records hold into its customer, of each set the last ones.
fn relate(customer: &mut Customer, related: &[(Arc<str>, Vec<RelatedRecord>)], known: &Known<'_>) {
    let id = customer.id.clone();
    known.customers.relate(customer, |wanted| {
        let last = known.related.iter().find(|set| set.name == wanted.set).map_or(0, |set| set.last);
        let records = related.iter().filter(|(set, _)| *set == wanted.set).flat_map(|(_, records)| records).filter(|r| r.customer == id);
        let records: Vec<&RelatedRecord> = records.collect();
        let kept = records.iter().skip(records.len().saturating_sub(last));
        let value =
            |record: &&RelatedRecord| record.members.reveal().iter().find(|(name, _)| *name == wanted.column).map(|(_, v)| v.clone());
        kept.filter_map(value).filter(|value| !value.is_missing()).collect()
    });
}
