//! Tests of the reader: the shipped mapping is right, a broken one is told whole, nothing panics.

use super::*;
use crate::declare::connector;
use crate::declare::yaml;
use crate::diagnose::{Checked, Severity};
use proptest::prelude::*;

const RETAIL: &str = include_str!("../../../mappings/retail.yaml");

fn file(name: &str, text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { name: name.into(), text: text.into() })
}

fn models(path: &str) -> Result<Arc<SourceFile>, String> {
    if path == "models/retail.yaml" { Ok(file(path, MODEL)) } else { Err("there is no such file".to_owned()) }
}

/// Reads every field of the retail mapping that no rule reads.
const MODEL: &str = r#"
kith: 1
model: small
prior: { share: 60 %, customers: 100000 }
blocking:
  - { id: name, same: [given_name, family_name], cut_above: 500 }
term_frequencies:
  whole_name: { of: [given_name, family_name], u: 1 in 40000, shape: 2, together: 3 times, typical: 1 in 10000 }
  city: { of: [city], u: 1 in 20, typical: 1 in 50 }
comparisons:
  - comparison: name and handle
    compare: { given: given_name, family: family_name, handle: handle }
    levels:
      - { level: full name, when: { name: full }, m: 0.6, u: 1 in 100000, term_frequency: whole_name }
      - { level: other, when: else, m: 0.4, u: 0.99 }
  - comparison: handle used again
    compare: { reused_handle: handle, handles: handles, email: email, birth_date: birth_date }
    levels:
      - { level: whole handle, when: { again: whole }, m: 0.2, u: 1 in 1000000 }
      - { level: other, when: else, m: 0.8, u: 0.99 }
  - comparison: city
    compare: city
    levels:
      - { level: same, when: exact, m: 0.8, u: 0.05, term_frequency: city }
      - { level: other, when: else, m: 0.2, u: 0.95 }
  - comparison: company
    compare: company
    levels:
      - { level: same, when: exact, m: 0.8, u: 0.01 }
      - { level: other, when: else, m: 0.2, u: 0.99 }
"#;

fn surroundings() -> Surroundings {
    let operations = |name: &str, text: &str| connector::read(&file(name, text)).into_result().unwrap().0.operations;
    Surroundings {
        customers: vec!["crm".into()],
        related: vec!["crm_orders".into()],
        targets: vec![
            ("crm_db".into(), Some(operations("sqlite.yaml", include_str!("../../../connectors/targets/sqlite.yaml")))),
            ("service_desk".into(), Some(operations("ndjson.yaml", include_str!("../../../connectors/targets/ndjson.yaml")))),
        ],
    }
}

fn checked(text: &str) -> Checked<Rulebook> {
    read(&file("m.yaml", text), &models, Some(&surroundings()))
}

fn told(text: &str) -> String {
    checked(text)
        .problems
        .0
        .iter()
        .map(|d| format!("{}{d}", if d.severity == Severity::Warning { "warning: " } else { "" }))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_shipped_mapping_has_no_complaint() {
    assert_eq!(told(RETAIL), "");
    let rulebook = checked(RETAIL).value.unwrap();
    assert_eq!(rulebook.enrich.deliver.len(), 4);
    assert_eq!(rulebook.tests.len(), 9);
    assert!(rulebook.policy.bases[0].per_customer && !rulebook.policy.bases[1].per_customer);
}
