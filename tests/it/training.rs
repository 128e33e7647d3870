//! `kith match train`: the same seed gives the same model, what is written is a model that runs, and Splink reads what is exported; and a
//! mapping that names a Splink model decides by its weights.

use crate::support::python::python_with;
use crate::support::{Project, root, slice};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::process::Command;

/// A model whose comparisons Splink can say.
const PLAIN: &str = "kith: 1
model: plain
prior: { share: 50 %, customers: 1000 } # guessed
blocking:
  - { id: name, same: [given_name, family_name], cut_above: 500 }
  - { id: family-and-city, same: [{ initial: family_name }, city], cut_above: 500 }
  - { id: email, same: [email], cut_above: 50 }
term_frequencies:
  family: { of: [family_name], u: 1 in 500, typical: 0.001 }
  city: { of: [city], u: 0.03, typical: 0.02 }
comparisons:
  - comparison: given name
    compare: given_name
    levels:
      - { level: same, when: exact, m: 0.8, u: 0.01 }
      - { level: alike, when: { jaro_winkler: 0.88 }, m: 0.1, u: 0.02 }
      - { level: other, when: else, m: 0.1, u: 0.97 }
  - comparison: family name
    compare: family_name
    levels:
      - { level: same, when: exact, m: 0.8, u: 0.001, term_frequency: family }
      - { level: one letter, when: { levenshtein: 1 }, m: 0.1, u: 0.002, term_frequency: family }
      - { level: other, when: else, m: 0.1, u: 0.997 }
  - comparison: city
    compare: city
    levels:
      - { level: same, when: exact, m: 0.7, u: 0.03, term_frequency: city }
      - { level: starts alike, when: starts_with, m: 0.1, u: 0.001 }
      - { level: other, when: else, m: 0.2, u: 0.969 }
  - comparison: e-mail
    compare: email
    levels:
      - { level: same, when: exact, m: 0.8, u: 0.0001 }
      - { level: same name, when: same_local_part, m: 0.1, u: 0.0001 }
      - { level: other, when: else, m: 0.1, u: 0.9998 }
";

fn train<'a>(seed: &'a str, out: &'a str) -> Vec<&'a str> {
    let fixed = ["match", "train", "mappings/retail.yaml", "--pairs", "20000", "--date", "2026-11-27", "--format", "json"];
    fixed.into_iter().chain(["--seed", seed, "--out", out]).collect()
}

#[test]
fn the_same_seed_trains_the_same_model_and_it_runs() {
    let project = Project::with(&slice(900));
    let told = project.kith(&train("7", "mappings/models/a.yaml")).ok().json();
    project.kith(&train("7", "mappings/models/b.yaml")).ok();
    project.kith(&train("8", "mappings/models/c.yaml")).ok();
    let text = |name: &str| std::fs::read_to_string(project.path(&format!("mappings/models/{name}.yaml"))).unwrap();
    assert_eq!(text("a"), text("b"), "the same seed gives the same bytes");
    let numbers = |text: &str| text.lines().filter(|l| !l.starts_with("# trained: ")).map(str::to_owned).collect::<Vec<_>>();
    assert_ne!(numbers(&text("a")), numbers(&text("c")), "another seed draws other pairs");
    let first: Vec<String> = text("a").lines().take(2).map(str::to_owned).collect();
    assert!(first[0].starts_with("# trained: by kith match train on 2026-11-27, seed 7"), "{first:?}");
    assert!(first[1].contains("identities and") && first[1].contains(told["data"].as_str().unwrap()), "{first:?}");
    // What the session tells is what EM did.
    let sessions = told["sessions"].as_array().unwrap();
    assert!(!sessions.is_empty());
    for session in sessions {
        let changes: Vec<f64> = session["changes"].as_array().unwrap().iter().map(|c| c.as_f64().unwrap()).collect();
        assert_eq!(session["converged"].as_bool().unwrap(), changes.last().unwrap() < &1e-4, "{session}");
        assert!(changes.len() <= 25 && session["pairs"].as_u64().unwrap() <= 20_000 + 500 * 256, "{session}");
    }
    for comparison in told["comparisons"].as_array().unwrap() {
        let m: Vec<f64> = comparison["levels"].as_array().unwrap().iter().filter_map(|l| l["m"].as_f64()).collect();
        let sum: f64 = m.iter().sum();
        assert!(m.is_empty() || (sum - 1.0).abs() < 1e-6, "{comparison}");
    }
    let page = project.kith(&["match", "train", "mappings/retail.yaml", "--pairs", "5000"]).ok().stdout;
    assert!(page.contains("changes") && page.contains("not trained") && page.contains("retail.trained.yaml"), "{page}");
    project.edit("mappings/retail.yaml", "model: models/retail.yaml", "model: models/a.yaml");
    project.kith(&["check"]).ok();
    let ran = project.run_once();
    assert!(ran["links"]["linked"].as_u64().or_else(|| ran["linked"].as_u64()).unwrap_or(1) > 0, "{ran}");

    project.kith(&["match", "train", "mappings/retail.yaml", "--recall", "0"]).fails(2, "KITH-C015");
    project.kith(&["match", "train", "mappings/none.yaml"]).fails(2, "KITH-");
    let refused = project.kith(&["match", "train", "mappings/retail.yaml", "--pairs", "5000", "--splink", "x.json"]).fails(1, "KITH-L025");
    assert!(refused.stderr.contains("name and handle") && !project.path("x.json").exists(), "{}", refused.stderr);
}

fn evidence(project: &Project) -> Vec<Json> {
    let links = project.kith(&["link", "list", "--format", "csv"]).ok().stdout;
    let mut reader = csv::Reader::from_reader(links.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|h| h == name).unwrap();
    let (network, id, customer) = (at("network"), at("identity_id"), at("customer_id"));
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).filter(|r| !r[customer].is_empty()).take(40).collect();
    rows.iter().map(|r| project.kith(&["link", "show", &r[network], &r[id], "--format", "json"]).ok().json()).collect()
}

const FIELDS: [&str; 4] = ["given_name", "family_name", "city", "email"];

/// Cleaned values as tables: the identities that evidence is about, and their candidates.
fn tables(project: &Project, evidence: &[Json]) -> [String; 2] {
    let mut sides: [HashMap<String, Vec<String>>; 2] = [HashMap::new(), HashMap::new()];
    let cells = |values: &Json| FIELDS.map(|f| values[f].as_str().unwrap_or_default().to_owned()).to_vec();
    for shown in evidence {
        sides[0].insert(shown["identity_id"].as_str().unwrap().to_owned(), cells(&shown["evidence"]["identity"]));
        for candidate in shown["evidence"]["candidates"].as_array().unwrap() {
            sides[1].insert(candidate["customer_id"].as_str().unwrap().to_owned(), cells(&candidate["values"]));
        }
    }
    let mut names = ["left.csv", "right.csv"].into_iter();
    sides.map(|side| {
        let path = project.path(names.next().unwrap());
        let mut writer = csv::Writer::from_path(&path).unwrap();
        writer.write_record(std::iter::once("unique_id").chain(FIELDS)).unwrap();
        for (id, cells) in side {
            writer.write_record(std::iter::once(id).chain(cells)).unwrap();
        }
        writer.flush().unwrap();
        path.display().to_string()
    })
}

/// The weight of each candidate in the evidence is the weight that `kith match score` gives the pair by `model`; and that is Splink's.
///
/// Kith counts among customers when it decides; where frequencies were exported beside the model, both take those.
fn weighs_as_splink(project: &Project, model: &str, counted: &[&str]) {
    let evidence = evidence(project);
    let [left, right] = tables(project, &evidence);
    let model = project.path(model).display().to_string();
    let table = |field: &&str| format!("{field}={}", project.path(&format!("exported.{field}.csv")).display());
    let frequencies: Vec<String> = counted.iter().map(table).collect();
    let given: Vec<&str> = frequencies.iter().flat_map(|given| ["--frequencies", given]).collect();
    let score = ["match", "score", "--model", &model, "--left", &left, "--right", &right, "--out", "pairs.csv"];
    project.kith(&[&score[..], &given].concat()).ok();
    let mut reader = csv::Reader::from_path(project.path("pairs.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|h| h == name).unwrap();
    let scored: HashMap<(String, String), f64> = reader
        .records()
        .map(Result::unwrap)
        .map(|r| ((r[at("unique_id_l")].to_owned(), r[at("unique_id_r")].to_owned()), r[at("match_weight")].parse().unwrap()))
        .collect();
    let mut compared = 0;
    for shown in &evidence {
        for candidate in shown["evidence"]["candidates"].as_array().unwrap() {
            let key = (shown["identity_id"].as_str().unwrap().to_owned(), candidate["customer_id"].as_str().unwrap().to_owned());
            // A candidate that an exact rule found need not share a block.
            let Some(weight) = scored.get(&key) else {
                assert!(!candidate["rules"].as_array().unwrap().is_empty(), "{key:?} is no pair by the exported model");
                continue;
            };
            assert!((weight - candidate["match_weight"].as_f64().unwrap()).abs() < 1e-9, "{key:?}: {weight}, evidence {candidate}");
            compared += 1;
        }
    }
    assert!(compared >= 15, "only {compared} pairs were compared");
    let Some(python) = python_with("splink, duckdb, pyarrow") else { return };
    let out = Command::new(python)
        .arg(root().join("tests/support/splink_peer.py"))
        .args([
            env!("CARGO_BIN_EXE_kith"),
            &project.path(".").display().to_string(),
            "--model",
            &model,
            "--tables",
            &left,
            &right,
            "--frequencies",
        ])
        .args(&frequencies)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
}

#[test]
fn an_exported_model_weighs_in_splink_as_in_kith() {
    let project = Project::with(&slice(1_200));
    project.write("mappings/models/plain.yaml", PLAIN);
    project.edit("mappings/retail.yaml", "model: models/retail.yaml", "model: models/plain.yaml");
    let out = ["--out", "mappings/models/plain.yaml", "--splink", "exported.json"];
    project.kith(&[&["match", "train", "mappings/retail.yaml", "--pairs", "20000"], out.as_slice()].concat()).ok();
    assert!(std::fs::read_to_string(project.path("mappings/models/plain.yaml")).unwrap().starts_with("# trained: by kith match train"));
    project.run_once();
    weighs_as_splink(&project, "exported.json", &["family_name", "city"]);
    let refused = |given: &str, says: &str| {
        let score = ["match", "score", "--model", "exported.json", "--left", "left.csv", "--right", "right.csv", "--out", "p.csv"];
        project.kith(&[&score[..], &["--frequencies", given]].concat()).fails(2, says);
    };
    refused("exported.city.csv", "KITH-C015");
    refused("email=exported.city.csv", "counts no frequencies of `email`");
    refused("city=exported.family_name.csv", "KITH-C012");
    project.write("bad.csv", "city,tf_city\nlecce,0.2\nrome,1.2\n");
    refused("city=bad.csv", "KITH-L024");

    // The same model, named by the mapping as Splink's, gives the same weights.
    let again = Project::with(&slice(1_200));
    again.write("mappings/models/exported.json", std::fs::read(project.path("exported.json")).unwrap());
    again.edit("mappings/retail.yaml", "model: models/retail.yaml", "model: { splink: models/exported.json, cut_above: 500 }");
    again.kith(&["check"]).ok();
    again.run_once();
    for field in ["family_name", "city"] {
        let table = format!("exported.{field}.csv");
        again.write(&table, std::fs::read(project.path(&table)).unwrap());
    }
    weighs_as_splink(&again, "mappings/models/exported.json", &["family_name", "city"]);
    let (first, second) = (evidence(&project), evidence(&again));
    assert_eq!(first.len(), second.len());
    for (a, b) in first.iter().zip(&second) {
        let weight = |shown: &Json| shown["match_weight"].as_f64().unwrap();
        assert!(a["customer_id"] == b["customer_id"] && (weight(a) - weight(b)).abs() < 1e-9, "{a}\n{b}");
    }
    again.kith(&["match", "train", "mappings/retail.yaml"]).fails(2, "KITH-C015");
    again.edit("mappings/models/exported.json", "l.\\\"email\\\" = r.\\\"email\\\"", "l.\\\"email\\\" <> r.\\\"email\\\"");
    again.kith(&["check"]).fails(2, "KITH-L026");
}
