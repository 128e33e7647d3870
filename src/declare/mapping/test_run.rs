//! Runs the tests inside a mapping, in memory: normalize → policy → resolve → enrich, as the service does it.

use super::{Expectation, MappingTest, Rulebook};
use crate::diagnose::{Place, Span};
use crate::enrich::{Decided, Facts, Subject};
use crate::model::{Activity, CustomerId, Decision, Digest, LinkedBy, Outcome, Payload, Value, Verb};
use crate::normalize::{SAID, activity_streams, clean_identity, lookups};
use crate::policy::Asked;
use crate::resolve::{Digests, Index, Matching, Permit, decide};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// What came of the tests of a mapping.
#[derive(Clone, Debug)]
pub struct TestRun {
    /// One for each test, in file order.
    pub results: Vec<TestResult>,
    /// What the tests exercised, and what they never did.
    pub coverage: Coverage,
}

impl TestRun {
    /// How many tests failed.
    pub fn failed(&self) -> usize {
        self.results.iter().filter(|r| !r.failures.is_empty()).count()
    }
}

/// What came of one test.
#[derive(Clone, PartialEq, Debug)]
pub struct TestResult {
    /// What it promises.
    pub name: Arc<str>,
    /// Where it starts.
    pub place: Place,
    /// What came out, in a line: `linked to C1 by handle-on-file (provided_by_customer), 99.9 %`.
    pub outcome: String,
    /// What was expected and did not come; empty where the test passed.
    pub failures: Vec<Failure>,
}

/// An expectation that did not hold.
#[derive(Clone, PartialEq, Debug)]
pub struct Failure {
    /// The line of the expectation.
    pub place: Place,
    /// What it is about: `decision`, `deliver.interaction.Topic`.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub actual: String,
}

/// How often something was exercised by the tests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Covered {
    /// The rule's id, the level's label, the target's field.
    pub name: Arc<str>,
    /// By how many tests; 0: never.
    pub tests: usize,
}

/// What the tests exercised.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Coverage {
    /// Match rules that found a customer and counted, in the mapping's order.
    pub rules: Vec<Covered>,
    /// Levels that a candidate came out at, by comparison, in the model's order.
    pub levels: Vec<(Arc<str>, Vec<Covered>)>,
    /// Fields that were delivered with a value, by entry, in the mapping's order.
    pub fields: Vec<(Arc<str>, Vec<Covered>)>,
}

impl Coverage {
    /// Everything that it counts, with how many of it were exercised.
    pub fn totals(&self) -> (usize, usize) {
        let groups = || std::iter::once(&self.rules).chain(self.levels.iter().map(|(_, c)| c)).chain(self.fields.iter().map(|(_, c)| c));
        let all = groups().map(Vec::len).sum();
        let exercised = groups().flatten().filter(|c| c.tests > 0).count();
        (exercised, all)
    }
}

/// Runs every test of a mapping. Pure and deterministic; a test never sees another one's customers.
pub fn run_tests(rulebook: &Rulebook) -> TestRun {
    let mut coverage = nothing_covered(rulebook);
    let reader = activity_streams::Reader::new(&rulebook.identities, None);
    let results = rulebook
        .tests
        .iter()
        .map(|test| match reader.parse(test.activity.as_bytes()) {
            Ok(activity) => {
                let came = Came::of(rulebook, test, &activity);
                came.count(&mut coverage);
                TestResult {
                    name: test.name.clone(),
                    place: place(rulebook, test.span),
                    outcome: came.sentence(),
                    failures: test.expect.iter().filter_map(|(expected, span)| came.failure(rulebook, expected, *span)).collect(),
                }
            }
            // The reader of the mapping has refused such a test already.
            Err(malformed) => TestResult {
                name: test.name.clone(),
                place: place(rulebook, test.span),
                outcome: "no activity".to_owned(),
                failures: vec![Failure {
                    place: place(rulebook, test.activity_span),
                    what: "activity".to_owned(),
                    expected: "an activity".to_owned(),
                    actual: malformed.to_string(),
                }],
            },
        })
        .collect();
    TestRun { results, coverage }
}

fn place(rulebook: &Rulebook, span: Span) -> Place {
    Place::InFile(rulebook.source.clone(), span)
}

fn nothing_covered(rulebook: &Rulebook) -> Coverage {
    let never = |name: &Arc<str>| Covered { name: name.clone(), tests: 0 };
    Coverage {
        rules: rulebook.matching.rules.iter().map(|r| never(&r.id)).collect(),
        levels: rulebook
            .matching
            .model
            .iter()
            .flat_map(|m| &m.comparisons)
            .map(|c| (c.name.clone(), c.levels.iter().map(|l| never(&l.label)).collect()))
            .collect(),
        fields: rulebook.enrich.deliver.iter().map(|d| (d.id.clone(), d.fields.iter().map(|(f, _)| never(f)).collect())).collect(),
    }
}

/// What came of a test's activity.
struct Came {
    /// The named rule that dropped it before anybody was asked about.
    dropped: Option<&'static str>,
    decision: Option<Decision>,
    delivered: BTreeMap<Arc<str>, Payload>,
}

impl Came {
    fn of(rulebook: &Rulebook, test: &MappingTest, activity: &Activity) -> Self {
        if let Some(rule) = rulebook.policy.at_intake(activity.audience) {
            return Self { dropped: Some(rule.name()), decision: None, delivered: BTreeMap::new() };
        }
        let matching = with_frequencies(&rulebook.matching, test);
        let mut index = Index::with_stored_frequencies(rulebook.customers.clone(), rulebook.identities.clone(), matching.clone());
        for customer in &test.customers {
            let prepared = index.prepare(customer);
            index.insert(prepared);
        }
        let profile = activity.actor.profile.fields.reveal();
        let said = activity.object.content.reveal().as_deref().filter(|_| activity.verb != Verb::Delete).map(Value::text);
        let shown: Vec<(Arc<str>, Value)> = profile.iter().cloned().chain(said.map(|said| (SAID.into(), said))).collect();
        let values = clean_identity(&rulebook.identities, activity.network, &shown);
        let identity_fields: Vec<(Arc<str>, Value)> =
            rulebook.identities.fields.iter().map(|f| f.name.clone()).zip(values.iter().cloned()).collect();
        let permission = rulebook.policy.permission(Asked {
            network: activity.network,
            audience: activity.actor.profile.audience,
            identity: &identity_fields,
            withdrawn: &[],
        });
        let digests =
            Digests { mapping: rulebook.digest, model: matching.model.as_ref().map_or(Digest([0; 32]), |m| m.digest), lookups: lookups() };
        let decision = {
            let permit = Permit {
                anyone: permission.anyone().cloned(),
                customer: &|view| permission.basis_for(&|field| view.value(field), &|_, _| false),
            };
            decide(&index, &values, &matching, digests, &permit)
        };
        let delivered = delivered(rulebook, test, activity, &index, &identity_fields, &decision);
        Self { dropped: None, decision: Some(decision), delivered }
    }

    fn count(&self, coverage: &mut Coverage) {
        let evidence = self.decision.as_ref().and_then(|d| d.evidence.as_ref());
        for rule in &mut coverage.rules {
            let hit = evidence.is_some_and(|e| e.rules.iter().any(|h| h.rule == rule.name && h.set_aside.is_none()));
            rule.tests += usize::from(hit);
        }
        for (comparison, levels) in &mut coverage.levels {
            for level in levels {
                let reached = evidence.is_some_and(|e| {
                    e.candidates.iter().flat_map(|c| &c.comparisons).any(|c| c.comparison == *comparison && c.level == level.name)
                });
                level.tests += usize::from(reached);
            }
        }
        for (entry, fields) in &mut coverage.fields {
            let Some(payload) = self.delivered.get(entry) else { continue };
            for field in fields {
                let given = payload.reveal().iter().any(|(name, value)| *name == field.name && !value.is_missing());
                field.tests += usize::from(given);
            }
        }
    }

    /// What came out, in a line.
    fn sentence(&self) -> String {
        if let Some(rule) = self.dropped {
            return format!("dropped before anybody was asked about: {rule}");
        }
        let Some(decision) = &self.decision else { return "no decision".to_owned() };
        let mut out = decision.outcome.words().to_owned();
        if let Some(customer) = &decision.customer {
            out.push_str(if decision.outcome == Outcome::Linked { " to " } else { ", best candidate " });
            out.push_str(customer.as_str());
        }
        if let Some(by) = &decision.by {
            out.push_str(" by ");
            out.push_str(by.name());
        }
        if let Some(basis) = &decision.basis {
            let _infallible = write!(out, " ({basis})");
        }
        if decision.customer.is_some() {
            let _infallible = write!(out, ", {:.4} %", decision.probability * 100.0);
        }
        out
    }

    fn failure(&self, rulebook: &Rulebook, expected: &Expectation, span: Span) -> Option<Failure> {
        let (what, expected, actual) = self.compare(expected)?;
        Some(Failure { place: place(rulebook, span), what, expected, actual })
    }

    /// What differs; `None` where it is as expected.
    fn compare(&self, expected: &Expectation) -> Option<(String, String, String)> {
        let decision = self.decision.as_ref();
        let nothing = || self.dropped.map_or_else(|| "none".to_owned(), |rule| format!("none: dropped ({rule})"));
        let same = |what: &str, expected: &str, actual: Option<&str>| {
            let differs = actual != Some(expected);
            differs.then(|| (what.to_owned(), expected.to_owned(), actual.map_or_else(nothing, str::to_owned)))
        };
        match expected {
            Expectation::Decision(outcome) => same("decision", outcome.words(), decision.map(|d| d.outcome.words())),
            Expectation::Customer(id) => same("customer", id, decision.and_then(|d| d.customer.as_ref()).map(CustomerId::as_str)),
            Expectation::Rule(id) => same("rule", id, decision.and_then(|d| d.by.as_ref()).map(LinkedBy::name)),
            Expectation::Basis(name) => same("basis", name, decision.and_then(|d| d.basis.as_deref())),
            Expectation::Candidates(ids) => {
                let mut wanted: Vec<&str> = ids.iter().map(|i| &**i).collect();
                wanted.sort_unstable();
                let mut came: Vec<&str> = decision
                    .and_then(|d| d.evidence.as_ref())
                    .map(|e| e.candidates.iter().map(|c| c.customer.as_str()).collect())
                    .unwrap_or_default();
                came.sort_unstable();
                (wanted != came).then(|| ("candidates".to_owned(), list(&wanted), list(&came)))
            }
            Expectation::NotDelivered(entry) => {
                self.delivered.contains_key(entry).then(|| (format!("deliver.{entry}"), "none".to_owned(), "delivered".to_owned()))
            }
            Expectation::Delivered(entry) => {
                (!self.delivered.contains_key(entry)).then(|| (format!("deliver.{entry}"), "delivered".to_owned(), nothing()))
            }
            Expectation::Field { entry, field, value } => {
                // That the entry is not delivered at all is told once, by `Delivered`.
                let payload = self.delivered.get(entry)?;
                let came = payload.reveal().iter().find(|(name, _)| name == field).map_or(&Value::Missing, |(_, v)| v);
                let right = value.as_ref().map_or_else(|| came.is_missing(), |wanted| equals(came, wanted));
                (!right).then(|| {
                    let wanted = value.as_ref().map_or_else(|| "no value".to_owned(), ToString::to_string);
                    (format!("deliver.{entry}.{field}"), wanted, as_text(came))
                })
            }
        }
    }
}

fn list(ids: &[&str]) -> String {
    if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
}

/// Every record that is delivered: the link's and the activity's. A Delete delivers nothing: it withdraws.
fn delivered(
    rulebook: &Rulebook,
    test: &MappingTest,
    activity: &Activity,
    index: &Index,
    identity_fields: &[(Arc<str>, Value)],
    decision: &Decision,
) -> BTreeMap<Arc<str>, Payload> {
    let linked = decision.customer.as_ref().filter(|_| decision.outcome == Outcome::Linked);
    let customer_fields = linked.and_then(|id| index.values(id)).unwrap_or_default();
    let related: Vec<(Arc<str>, Value)> = linked
        .map(|id| rulebook.enrich.related.iter().map(|(name, last)| (name.clone(), last_records(test, name, *last, id.as_str()))).collect())
        .unwrap_or_default();
    let hash: Arc<str> = rulebook.digest.to_string().into();
    let facts = Facts {
        identity: &activity.actor,
        identity_fields,
        activity: Some(activity),
        decided: Decided {
            outcome: decision.outcome,
            customer: linked,
            basis: decision.basis.clone(),
            rule: decision.by.as_ref().map(|by| by.name().into()),
            match_weight: decision.match_weight,
            probability: decision.probability,
        },
        customer_fields: &customer_fields,
        related: &related,
        mapping_name: &rulebook.name,
        mapping_hash: &hash,
        display: rulebook.policy.display(activity.network),
    };
    let mut out = BTreeMap::new();
    if activity.verb != Verb::Delete {
        for record in rulebook.enrich.records(&facts, Subject::Activity).into_iter().filter(|r| r.wanted) {
            out.insert(record.entry.id.clone(), record.payload);
        }
    }
    if linked.is_some() {
        let of_link = Facts { activity: None, ..facts };
        for record in rulebook.enrich.records(&of_link, Subject::Link).into_iter().filter(|r| r.wanted) {
            out.insert(record.entry.id.clone(), record.payload);
        }
    }
    out
}

/// The customer's last records of a set, in file order.
fn last_records(test: &MappingTest, set: &Arc<str>, last: usize, customer: &str) -> Value {
    let all: Vec<Value> = test
        .related
        .iter()
        .filter(|(name, _)| name == set)
        .flat_map(|(_, records)| records)
        .filter(|r| r.customer.as_str() == customer)
        .map(|r| Value::Record(r.members.reveal().clone()))
        .collect();
    let kept: Vec<Value> = all.iter().skip(all.len().saturating_sub(last)).cloned().collect();
    if kept.is_empty() { Value::Missing } else { Value::List(kept.into()) }
}

/// The mapping's matching, with the term frequencies that the test gives.
fn with_frequencies(matching: &Arc<Matching>, test: &MappingTest) -> Arc<Matching> {
    let Some(model) = matching.model.as_ref().filter(|_| !test.term_frequencies.is_empty()) else { return matching.clone() };
    let mut model = (**model).clone();
    for (name, table) in &test.term_frequencies {
        if let Some(frequency) = model.term_frequencies.iter_mut().find(|f| f.name == *name) {
            frequency.table.clone_from(table);
        }
    }
    Arc::new(Matching { model: Some(Arc::new(model)), ..(**matching).clone() })
}

/// Whether a value is what a test writes: text as it is, numbers and times by value.
fn equals(value: &Value, wanted: &str) -> bool {
    match value {
        Value::Number(number) => wanted.parse::<f64>().is_ok_and(|w| w.total_cmp(number).is_eq()),
        Value::Time(time) => wanted.parse().is_ok_and(|w: crate::model::Timestamp| w == *time),
        Value::Text(_) | Value::Integer(_) | Value::Bool(_) | Value::Missing | Value::List(_) | Value::Record(_) => {
            as_text(value) == wanted
        }
    }
}

/// A value as a test shows it.
fn as_text(value: &Value) -> String {
    match value {
        Value::Missing => "no value".to_owned(),
        Value::Text(text) => text.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Integer(integer) => integer.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Time(time) => time.to_string(),
        Value::List(items) => items.iter().map(as_text).collect::<Vec<_>>().join(", "),
        Value::Record(_) => value.to_json().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_as_written() {
        assert!(equals(&Value::Integer(1), "1") && !equals(&Value::Integer(1), "01"));
        assert!(equals(&Value::Number(12.50), "12.5"));
        assert!(equals(&"x".into(), "x") && !equals(&"x".into(), "X"));
        assert!(equals(&Value::Time("2026-01-15T12:00:00Z".parse().unwrap()), "2026-01-15T13:00:00+01:00"));
        assert!(!equals(&Value::Missing, ""));
    }
}
