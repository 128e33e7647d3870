//! The shipped model on the sample data: links are right, and every decision can be taken again from its evidence, bit by bit.

use flate2::read::GzDecoder;
use kith::declare::mapping;
use kith::diagnose::SourceFile;
use kith::model::{Customer, CustomerId, Decision, Digest, Network, Outcome, Personal, Value};
use kith::normalize::{clean_identity, lookups};
use kith::resolve::{CustomerView, Digests, Index, Permit, decide, recompute};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Profiles taken from the front of the sample; enough for shares within two percent, few enough for a debug build.
const PROFILES: usize = 2_500;

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn unpacked(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(at(path)).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn source(path: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { name: path.into(), text: fs::read_to_string(at(path)).unwrap() })
}

/// Id, network, declared raw fields.
type Profile = (String, Network, Vec<(Arc<str>, Value)>);

/// The profiles of the sample: id, network, declared raw fields.
fn profiles() -> Vec<Profile> {
    let mut profiles: Vec<Profile> = Vec::new();
    for line in unpacked("tests/data/retail/activities.ndjson.gz").split(|b| *b == b'\n') {
        let Ok(json) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
        let (Some(id), Some(network)) = (json["actor"]["id"].as_str(), json["generator"].as_str().and_then(|n| n.parse().ok())) else {
            continue;
        };
        let id = id.rsplit('/').next().unwrap().to_owned();
        if profiles.iter().rev().take(50).any(|(seen, _, _)| *seen == id) {
            continue;
        }
        let text = |pointer: &str| json.pointer(pointer).and_then(|v| v.as_str()).map_or(Value::Missing, Value::text);
        let raw = ["actor.name", "actor.summary", "actor.location.name", "actor.preferredUsername"]
            .map(|path| (Arc::from(path), text(&format!("/{}", path.replace('.', "/")))));
        profiles.push((id, network, raw.to_vec()));
        if profiles.len() == PROFILES {
            break;
        }
    }
    profiles
}

#[test]
fn the_shipped_model_links_with_precision_and_every_decision_is_recomputed_bit_by_bit() {
    let models = |path: &str| Ok(source(&format!("mappings/{path}")));
    let rulebook = mapping::read(&source("mappings/retail.yaml"), &models, None).value.unwrap();
    let (customers, identities, matching) = (rulebook.customers, rulebook.identities, rulebook.matching);
    let mut index = Index::new(customers.clone(), identities.clone(), matching.clone());
    let bytes = unpacked("tests/data/retail/customers.csv.gz");
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let header = reader.headers().unwrap().clone();
    let position = |name: &str| header.iter().position(|h| h == name);
    let key = position(&customers.key).unwrap();
    let columns: Vec<Option<usize>> = customers.columns.iter().map(|c| position(c)).collect();
    for row in reader.records() {
        let row = row.unwrap();
        let raw = columns.iter().map(|at| at.and_then(|at| row.get(at)).map_or(Value::Missing, Value::text)).collect();
        let customer = Customer { id: CustomerId::from(&row[key]), merged_into: None, raw: Personal::new(raw) };
        index.insert(index.prepare(&customer));
    }
    let truth = unpacked("tests/data/retail/truth.csv.gz");
    let truth: HashMap<String, String> = csv::Reader::from_reader(truth.as_slice())
        .records()
        .map(Result::unwrap)
        .map(|row| (row[0].to_owned(), row[1].to_owned()))
        .collect();
    let digests = Digests { mapping: Digest([0; 32]), model: matching.model.as_ref().unwrap().digest, lookups: lookups() };
    let nobody = |_: &CustomerView<'_>| None;
    let permit = Permit { anyone: Some("public_profile".into()), customer: &nobody };
    let (mut linked, mut right, mut owned) = (0_u32, 0_u32, 0_u32);
    for (id, network, raw) in profiles() {
        let decision = decide(&index, &clean_identity(&identities, network, &raw), &matching, digests, &permit);
        let again = recompute(decision.evidence.as_ref().unwrap(), &matching);
        assert_eq!(again.probability.to_bits(), decision.probability.to_bits());
        assert_eq!(again.match_weight.to_bits(), decision.match_weight.to_bits());
        let owner = truth.get(&id).map(String::as_str).unwrap_or_default();
        owned += u32::from(!owner.is_empty());
        if decision.outcome == Outcome::Linked {
            linked += 1;
            right += u32::from(decision.customer.as_ref().is_some_and(|c| c.as_str() == owner));
        }
        assert_eq!(again, Decision { basis: None, ..decision });
    }
    let (precision, recall) = (f64::from(right) / f64::from(linked), f64::from(right) / f64::from(owned));
    assert!(precision >= 0.98, "precision {precision:.4} of {linked} links");
    assert!(recall >= 0.45, "recall {recall:.4} of {owned} customers");
}
