//! A Splink model as a mapping's linkage model: its comparisons and blocking rules over fields of the names of its columns. The identity is the
//! left side of each pair, the customer the right side.

use super::Fields;
use crate::diagnose::{Checked, Code, Diagnostic, Place, Problems, SourceFile, nearest};
use crate::model::Digest;
use crate::resolve::{BlockingRule, Compared, Comparison, CountedPart, KeyForm, KeyPart, Level, LevelTest, Model, Prior, TermFrequency};
use crate::splink::{LinkType, Settings, Side, TermAdjustment};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

const UNKNOWN_FIELD: Code = Code("KITH-L003");
const NOT_FOR_MAPPINGS: Code = Code("KITH-L026");

/// A blocking key that more customers share is not followed, where the mapping says nothing: a thousand comparisons of an identity take less
/// than 10 ms.
const CUT_ABOVE: u32 = 1_000;

/// Reads a Splink model for a mapping. With `fields` every column that the model reads must be declared there, on the side that it is read on.
pub fn splink_import(file: &Arc<SourceFile>, fields: Option<Fields<'_>>, cut_above: Option<u32>) -> Checked<Model> {
    let Checked { value, mut problems } = Settings::read(file);
    let Some(settings) = value.map(Arc::new) else { return Checked::new(None, problems) };
    if settings.link_type == LinkType::DedupeOnly {
        let remedy = "Train it with the link type link_only: its prior is then that of two tables";
        let message = "the model is for the records of one table, not for identities and customers";
        problems.push(Diagnostic::error(NOT_FOR_MAPPINGS, settings.place_of_key("link_type"), message, remedy));
    }
    if settings.prior >= 1.0 {
        let place = settings.place_of_key("probability_two_random_records_match");
        let message = "with a prior of 1 everybody is everybody";
        problems.push(Diagnostic::error(NOT_FOR_MAPPINGS, place, message, "Estimate it again with Splink"));
    }
    if let Some(fields) = fields {
        declared(&settings, fields, &mut problems);
    }
    let blocking = blocking(&settings, cut_above.unwrap_or(CUT_ABOVE), &mut problems);
    let mut term_frequencies = Vec::new();
    let comparisons = (0..settings.comparisons.len()).filter_map(|number| comparison(&settings, number, &mut term_frequencies)).collect();
    let stem = file.name.rsplit(['/', '\\']).next().unwrap_or_default();
    let model = Model {
        name: stem.strip_suffix(".json").unwrap_or(stem).into(),
        prior: Prior::Pair(settings.prior),
        blocking,
        term_frequencies,
        comparisons,
        digest: digest(file, cut_above.unwrap_or(CUT_ABOVE)),
    };
    Checked::new(Some(model), problems)
}

/// Every column is a field of the side that it is read on.
fn declared(settings: &Settings, fields: Fields<'_>, problems: &mut Problems) {
    let identities: Vec<&str> = fields.identities.fields.iter().map(|f| &*f.name).collect();
    let customers: Vec<&str> = fields.customers.fields.iter().map(|f| &*f.name).collect();
    for (side, names, which) in [(Side::Left, identities, "identities"), (Side::Right, customers, "customers")] {
        for column in settings.read_on(side) {
            if names.iter().any(|name| name.eq_ignore_ascii_case(&column)) {
                continue;
            }
            let remedy = match nearest(&column, names.iter().copied()) {
                Some(word) => format!("Did you mean `{word}`?"),
                None => format!("Declared there: {}", names.join(", ")),
            };
            let message = format!("the mapping declares no field `{column}` under `{which}`");
            problems.push(Diagnostic::error(UNKNOWN_FIELD, settings.place_of(&column), message, remedy));
        }
    }
}

fn blocking(settings: &Arc<Settings>, cut_above: u32, problems: &mut Problems) -> Vec<BlockingRule> {
    let mut rules = Vec::new();
    if settings.blocking.is_empty() {
        let place = Place::Path(settings.file.name.clone());
        let message = "the model has no blocking rule: every identity would be compared with every customer";
        problems.push(Diagnostic::error(NOT_FOR_MAPPINGS, place, message, "Add rules to blocking_rules_to_generate_predictions"));
    }
    for (number, rule) in settings.blocking.iter().enumerate() {
        let Some(keys) = settings.keys(number) else {
            let message = "in a mapping a blocking rule asks for equalities only, joined by AND";
            let remedy = "Write equalities of expressions of l and of r: customers are found by what both sides are equal in";
            problems.push(Diagnostic::error(NOT_FOR_MAPPINGS, settings.place_of_rule(number), message, remedy));
            continue;
        };
        let part = |(identity, customer)| KeyPart::Sql { settings: settings.clone(), identity, customer };
        rules.push(BlockingRule { id: rule.sql.clone(), parts: keys.into_iter().map(part).collect(), cut_above });
    }
    rules
}

fn comparison(settings: &Arc<Settings>, number: usize, frequencies: &mut Vec<TermFrequency>) -> Option<Comparison> {
    let of = settings.comparisons.get(number)?;
    let mut levels: Vec<Level> = Vec::new();
    for level in &of.levels {
        let taken = levels.iter().any(|other| other.label == level.label);
        levels.push(Level {
            label: if taken { format!("{} ({})", level.label, level.gamma).into() } else { level.label.clone() },
            test: LevelTest::Gamma(level.gamma),
            m: level.m,
            u: level.u,
            term_frequency: level.term.as_ref().map(|term| frequency(term, frequencies)),
        });
    }
    Some(Comparison { name: of.name.clone(), compared: Compared::Sql { settings: settings.clone(), comparison: number }, levels })
}

/// The number of the term frequency that says the same, added where there is none. The first of a column has its name.
fn frequency(term: &TermAdjustment, frequencies: &mut Vec<TermFrequency>) -> usize {
    let field: Arc<str> = term.column.to_ascii_lowercase().into();
    let of_column = |f: &TermFrequency| f.of.first().is_some_and(|part| part.field == field);
    let bits = |a: f64, b: f64| a.to_bits() == b.to_bits();
    let same = |f: &TermFrequency| of_column(f) && bits(f.u, term.u) && bits(f.weight, term.weight) && bits(f.least, term.least);
    if let Some(at) = frequencies.iter().position(same) {
        return at;
    }
    let earlier = frequencies.iter().filter(|f| of_column(f)).count();
    frequencies.push(TermFrequency {
        name: if earlier == 0 { field.clone() } else { format!("{field}_{}", earlier + 1).into() },
        of: vec![CountedPart { field, form: KeyForm::Whole }],
        u: term.u,
        weight: term.weight,
        least: term.least,
        shape: None,
        together: 1.0,
        // Splink's file has no frequencies: in a mapping's tests a value is as common as u says, and adjusts nothing.
        typical: term.u,
        table: Vec::new(),
    });
    frequencies.len() - 1
}

/// SHA-256 of the JSON with sorted keys and numbers in their shortest form, and of the cut.
fn digest(file: &SourceFile, cut_above: u32) -> Digest {
    let json: serde_json::Value = serde_json::from_str(&file.text).unwrap_or_default();
    let canonical = serde_json::json!({ "kith": 1, "splink": json, "cut_above": cut_above });
    Digest(Sha256::digest(canonical.to_string().as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Customer, CustomerId, Network, Outcome, Personal, Value};
    use crate::normalize::{Cleaner, CustomerFields, Extract, Field, IdentityFields, clean_identity};
    use crate::resolve::{Decide, Digests, Index, Matching, OnePerson, Permit, decide, recompute};

    fn field(name: &str) -> Field {
        Field { name: name.into(), from: vec![0], extract: Extract::Clean(Cleaner::Text), optional: false }
    }

    fn fields(names: &[&str]) -> (IdentityFields, CustomerFields) {
        let at = |(at, name): (usize, &&str)| Field { from: vec![at], ..field(name) };
        let all: Vec<Field> = names.iter().enumerate().map(at).collect();
        let identities = IdentityFields { paths: names.iter().map(|n| (*n).into()).collect(), fields: all.clone() };
        let customers = CustomerFields {
            related: Vec::new(),
            key: "id".into(),
            merged_into: None,
            columns: names.iter().map(|n| (*n).into()).collect(),
            fields: all,
        };
        (identities, customers)
    }

    fn told(json: &serde_json::Value, fields: Option<Fields<'_>>) -> String {
        let file = Arc::new(SourceFile { name: "m.json".into(), text: serde_json::to_string_pretty(json).unwrap() });
        splink_import(&file, fields, None).problems.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    fn model(rules: &[&str], link_type: &str) -> serde_json::Value {
        let rules: Vec<_> = rules.iter().map(|sql| serde_json::json!({ "blocking_rule": sql, "sql_dialect": "duckdb" })).collect();
        serde_json::json!({
            "link_type": link_type,
            "probability_two_random_records_match": 0.001,
            "blocking_rules_to_generate_predictions": rules,
            "comparisons": [
                { "output_column_name": "name", "comparison_levels": [
                    { "sql_condition": "\"Name_l\" IS NULL OR \"Name_r\" IS NULL", "is_null_level": true },
                    { "sql_condition": "\"Name_l\" = \"Name_r\"", "label_for_charts": "same", "m_probability": 0.8, "u_probability": 0.01, "tf_adjustment_column": "Name", "tf_adjustment_weight": 0.5, "tf_minimum_u_value": 0.3 },
                    { "sql_condition": "levenshtein(\"Name_l\", \"Name_r\") <= 2", "label_for_charts": "alike", "m_probability": 0.1, "u_probability": 0.02 },
                    { "sql_condition": "ELSE", "label_for_charts": "other", "m_probability": 0.1, "u_probability": 0.97 },
                ] },
                { "output_column_name": "city", "comparison_levels": [
                    { "sql_condition": "\"city_l\" = \"city_r\"", "label_for_charts": "same", "m_probability": 0.7, "u_probability": 0.1 },
                    { "sql_condition": "ELSE", "label_for_charts": "other", "m_probability": 0.3, "u_probability": 0.9 },
                ] },
            ],
        })
    }

    #[test]
    fn an_identity_is_decided_about_as_splink_weighs_it() {
        let (identities, customers) = fields(&["name", "city"]);
        let text = model(&["substr(l.\"Name\", 1, 2) = substr(r.\"Name\", 1, 2)", "l.city = r.city"], "link_only").to_string();
        let file = Arc::new(SourceFile { name: "models/people.json".into(), text });
        let fields = Fields { identities: &identities, customers: &customers };
        let (model, _) = splink_import(&file, Some(fields), Some(5)).into_result().unwrap();
        assert_eq!((&*model.name, model.blocking.len(), model.blocking[0].cut_above), ("people", 2, 5));
        let names = customers.fields.iter().map(|f| f.name.clone()).collect();
        let decide_by = Decide { link_from: 0.5, ask_a_person_from: 0.01, ahead_of_next: 2.0 };
        let matching = Arc::new(Matching {
            rules: Vec::new(),
            model: Some(Arc::new(model)),
            decide: decide_by,
            one_person: OnePerson::default(),
            customer_fields: names,
        });
        let (identities, customers) = (Arc::new(identities), Arc::new(customers));
        let mut index = Index::new(customers, identities.clone(), matching.clone());
        for (id, name, city) in
            [("a", "Rossi", "Bari"), ("b", "Rosso", "Roma"), ("c", "Bianchi", "Bari"), ("d", "Verdi", "Pisa"), ("e", "Rossi", "")]
        {
            let value = |text: &str| if text.is_empty() { Value::Missing } else { Value::text(text) };
            let raw = Personal::new(vec![value(name), value(city)]);
            let customer = Customer { id: CustomerId::from(id), merged_into: None, raw };
            index.insert(index.prepare(&customer));
        }
        let raw = [("name".into(), Value::text("Rossi")), ("city".into(), Value::text("Bari"))];
        let identity = clean_identity(&identities, Network::X, &raw);
        let zero = Digest([0; 32]);
        let permit = Permit { anyone: Some("basis".into()), customer: &|_| None };
        let decision = decide(&index, &identity, &matching, Digests { mapping: zero, model: zero, lookups: zero }, &permit);
        let evidence = decision.evidence.clone().unwrap();
        // λ/(1−λ), m/u, and half of log2(u ÷ tf): two of five customers are called Rossi, which is more than the least that counts.
        let (prior, tf) = ((0.001_f64 / 0.999).log2(), 0.5 * (0.01_f64 / 0.4).log2());
        let (same, alike, other) = ((0.8_f64 / 0.01).log2() + tf, (0.1_f64 / 0.02).log2(), (0.1_f64 / 0.97).log2());
        let (here, elsewhere) = ((0.7_f64 / 0.1).log2(), (0.3_f64 / 0.9).log2());
        // A city that is missing falls on ELSE: this comparison has no null level.
        let expected = [("a", same + here), ("e", same + elsewhere), ("b", alike + elsewhere), ("c", other + here)];
        let found: Vec<(&str, f64)> = evidence.candidates.iter().map(|c| (c.customer.as_str(), c.match_weight)).collect();
        for ((id, weight), (expected_id, bits)) in found.iter().zip(expected) {
            assert_eq!(*id, expected_id);
            assert!((weight - prior - bits).abs() < 1e-9, "{id}: {weight}, not {}", prior + bits);
        }
        assert_eq!(found.len() + usize::try_from(evidence.rest_count).unwrap(), 4, "Verdi in Pisa shares no key");
        assert_eq!(&*evidence.candidates[0].comparisons[0].level, "same");
        assert_ne!(decision.outcome, Outcome::NotPermitted);
        let again = recompute(&evidence, &matching);
        assert_eq!(again.match_weight.to_bits(), decision.match_weight.to_bits());
    }

    #[test]
    fn what_a_mapping_can_t_use_is_told_at_its_place() {
        let (identities, customers) = fields(&["name", "town"]);
        let fields = Some(Fields { identities: &identities, customers: &customers });
        let rules = ["l.name = r.name", "l.name = r.name AND l.city < r.city", "l.name = r.name OR l.name = r.city"];
        insta::assert_snapshot!(told(&model(&rules, "dedupe_only"), fields));
        let mut certain = model(&[], "link_only");
        certain["probability_two_random_records_match"] = 1.0.into();
        insta::assert_snapshot!(told(&certain, None));
    }
}
