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

const MODEL: &str = "";

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
