//! Promises of the model reader.

use super::*;
use crate::declare::yaml;
use crate::diagnose::SourceFile;
use crate::normalize::{Cleaner, CustomerFields, Extract, Field, IdentityFields};
use crate::resolve::Model;
use proptest::prelude::*;
use std::sync::Arc;

const RETAIL: &str = include_str!("../../../mappings/models/retail.yaml");

fn file(text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { name: "m.yaml".into(), text: text.into() })
}

fn checked(text: &str) -> Model {
    let checked = read(&file(text), None);
    assert!(checked.problems.0.is_empty(), "{:?}", checked.problems);
    checked.value.unwrap()
}

fn complaints(text: &str, fields: Option<Fields<'_>>) -> String {
    read(&file(text), fields).problems.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_model_is_whole_and_its_schema_stands_beside_it() {
    let model = checked(RETAIL);
    assert_eq!((&*model.name, model.comparisons.len()), ("retail", 7));
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/models/model.schema.json");
    let fresh = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    if kept != fresh {
        std::fs::write(&path, &fresh).unwrap();
    }
    assert_eq!(kept, fresh, "mappings/models/model.schema.json was stale and is written anew: commit it");
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let json = yaml::read(&file(RETAIL)).value.unwrap().root.to_json();
    let errors: Vec<String> = validator.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn the_digest_is_of_what_the_model_says_and_not_of_how_it_is_written() {
    let model = checked(RETAIL);
    let respelled =
        RETAIL.replacen(" %, customers: 1000000", "0%, customers: \"1000000\"", 1).replacen("# How likely", "# Note: how likely", 1);
    assert_ne!(respelled, RETAIL);
    assert_eq!(checked(&respelled).digest, model.digest);
    for changed in [
        RETAIL.replacen("customers: 1000000", "customers: 1000001", 1),
        RETAIL.replacen("cut_above: 500", "cut_above: 501", 1),
        RETAIL.replacen("same city", "the same city", 1),
    ] {
        assert_ne!(checked(&changed).digest, model.digest);
    }
}

const WRONG: &str = "
kith: 1
model: wrong
prior: { pair: 1 in 1 }
blocking:
  - { id: name, same: [given_name, { initial: familyname }], cut_above: 10 }
  - { id: name, same: [{ spelled_in_handle: handle, given: given_name, family: family_name }], cut_above: 10 }
term_frequencies:
  town: { of: [city], u: 2, typical: 0.01 }
comparisons:
  - comparison: city
    compare: city
    levels:
      - { level: near, when: { levenshtein: 2 }, m: 0.2, u: 0.1 }
      - { level: nearer, when: { levenshtein: 1 }, m: 0.2, u: 0.1 }
      - { level: same, when: exact, m: 0.2, u: 0.1, term_frequency: twn }
      - { level: reused, when: { again: whole }, m: 0.2, u: 0.1 }
  - comparison: name
    compare: { given: given_name, family: family_name, handle: handle }
    levels:
      - { level: full, when: { name: [full, nickname] }, m: 0.5, u: 0.1 }
      - { level: full too, when: { name: full, handle: full }, m: 0.1, u: 0.1 }
      - { level: other, when: else, m: 0.1 }
  - comparison: e-mail
    compare: email
    levels:
      - { level: same, when: exact, m: 0.5, u: 0.001 }
      - { level: same, when: same_local_part, m: 0.1, u: 0.001 }
";

#[test]
fn every_problem_is_told_with_its_place_and_remedy() {
    let field = |name: &str| Field { name: name.into(), from: vec![0], extract: Extract::Clean(Cleaner::Text), optional: false };
    let names = ["given_name", "family_name", "city", "email", "handle"];
    let identities = IdentityFields { paths: vec!["actor.name".into()], fields: names.map(field).to_vec() };
    let customers = CustomerFields {
        related: Vec::new(),
        key: "id".into(),
        merged_into: None,
        columns: vec!["name".into()],
        fields: names[..4].iter().map(|n| field(n)).collect(),
    };
    let told = complaints(WRONG, Some(Fields { identities: &identities, customers: &customers }));
    insta::assert_snapshot!(told);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}", at in 0..6_000_usize, put in "[a-z0-9:{}\\[\\], %.-]{0,6}") {
        drop(read(&file(&text), None));
        let cut: String = RETAIL.chars().take(at).chain(put.chars()).chain(RETAIL.chars().skip(at + 3)).collect();
        drop(read(&file(&cut), None));
    }
}
