//! `kith match explain` and `kith match evaluate`: the numbers shown are the stored evidence's own, and the judgement is the truth's.

use crate::support::{Project, slice};
use std::collections::HashMap;

fn csv(text: &str) -> Vec<HashMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let rows = reader.records().map(|row| headers.iter().map(str::to_owned).zip(row.unwrap().iter().map(str::to_owned)).collect());
    rows.collect()
}

#[test]
fn the_explanation_is_the_stored_evidence_to_the_bit() {
    let project = Project::with(&slice(600));
    project.run_once();
    let links = csv(&project.kith(&["link", "list", "--format", "csv"]).ok().stdout);
    let mut explained = 0;
    for row in links.iter().filter(|row| !row["customer_id"].is_empty()).take(25) {
        let (network, id) = (row["network"].as_str(), row["identity_id"].as_str());
        let stored = project.kith(&["link", "show", network, id, "--format", "json"]).ok().json();
        let shown = project.kith(&["match", "explain", network, id, "--format", "json"]).ok().json();
        for (name, theirs) in [("probability", "probability"), ("match_weight", "match_weight"), ("evidence_digest", "evidence_digest")] {
            assert_eq!(shown[name], stored[theirs], "{name}");
        }
        let prior = stored["evidence"]["prior_bits"].as_f64().unwrap();
        let candidates = stored["evidence"]["candidates"].as_array().unwrap();
        assert_eq!(candidates.len(), shown["candidates"].as_array().unwrap().len());
        for (theirs, ours) in candidates.iter().zip(shown["candidates"].as_array().unwrap()) {
            assert_eq!((&ours["customer_id"], &ours["comparisons"]), (&theirs["customer_id"], &theirs["comparisons"]));
            let sum = theirs["comparisons"]
                .as_array()
                .unwrap()
                .iter()
                .fold(prior, |sum, c| sum + c["bits"].as_f64().unwrap() + c["term_frequency_bits"].as_f64().unwrap());
            let last = ours["waterfall"].as_array().unwrap().last().unwrap()["after"].as_f64().unwrap();
            let weight = theirs["match_weight"].as_f64().unwrap();
            assert_eq!((sum.to_bits(), last.to_bits()), (weight.to_bits(), weight.to_bits()), "the steps sum to the weight");
        }
        explained += 1;
    }
    assert!(explained >= 10, "only {explained} identities have a candidate");

    let first = links.iter().find(|row| !row["customer_id"].is_empty()).unwrap();
    let (network, id, customer) = (first["network"].as_str(), first["identity_id"].as_str(), first["customer_id"].as_str());
    let picture = project.path("why.svg");
    let page = project.kith(&["match", "explain", network, id, "--customer", customer, "--svg", picture.to_str().unwrap()]).ok().stdout;
    assert!(page.contains("prior") && page.contains("total") && page.contains(customer), "{page}");
    let svg = std::fs::read_to_string(&picture).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains(customer));
    project.kith(&["match", "explain", network, id, "--customer", "C-nobody"]).fails(2, "KITH-R040");
    project.kith(&["match", "explain", network, "nobody"]).fails(2, "KITH-R009");
    project.kith(&["match", "explain", "friendster", id]).fails(2, "KITH-C015");
    let told = project.kith(&["audit", "search", "--format", "json"]).stdout;
    assert!(told.is_empty() || told.contains("match explain"), "looking at personal data is told to the log");
}

#[test]
fn the_judgement_is_what_counting_by_hand_gives() {
    let project = Project::with(&slice(1_500));
    project.run_once();
    let links = csv(&project.kith(&["link", "list", "--format", "csv"]).ok().stdout);
    let truth = project.path("truth.csv");
    // Every third linked identity is said to belong to somebody else, every fourth identity to nobody.
    let mut labels = String::from("profile_id,customer_id\n");
    let (mut linked, mut right, mut customers) = (0_u64, 0_u64, 0_u64);
    for (at, row) in links.iter().enumerate() {
        let profile = row["identity_id"].rsplit('/').next().unwrap();
        let is_link = row["decision"] == "linked";
        let label = if at % 4 == 0 {
            String::new()
        } else if at % 3 == 0 || row["customer_id"].is_empty() {
            "C-other".to_owned()
        } else {
            row["customer_id"].clone()
        };
        labels.push_str(&format!("{profile},{label}\n"));
        customers += u64::from(!label.is_empty());
        linked += u64::from(is_link);
        right += u64::from(is_link && label == row["customer_id"]);
    }
    std::fs::write(&truth, labels).unwrap();
    let truth = truth.to_str().unwrap();
    let plot = project.path("calibration.svg");
    let found = project
        .kith(&["match", "evaluate", "--truth", truth, "--precision", "60%", "--svg", plot.to_str().unwrap(), "--format", "json"])
        .ok()
        .json();
    assert_eq!(
        (&found["decided"]["linked"], &found["decided"]["right"], &found["customers"]),
        (&linked.into(), &right.into(), &customers.into())
    );
    for threshold in found["thresholds"].as_array().unwrap() {
        let from = threshold["probability"].as_f64().unwrap();
        let by_hand = links.iter().filter(|r| !r["customer_id"].is_empty() && r["probability"].parse::<f64>().unwrap() >= from).count();
        assert_eq!(threshold["linked"].as_u64(), Some(by_hand as u64), "from {from}");
        assert!(threshold["f1"].as_f64().unwrap() <= found["best_f1"].as_f64().unwrap() + 1e-12);
    }
    assert!(found["ece"].as_f64().is_some() && (0.0..=1.0).contains(&found["blocking_recall"].as_f64().unwrap()));
    assert!(std::fs::read_to_string(&plot).unwrap().contains("<circle"));
    let page = project.kith(&["match", "evaluate", "--truth", truth]).ok().stdout;
    assert!(page.contains("best F1") && page.contains("finds alone"), "{page}");
    let without = project.kith(&["match", "evaluate", "--truth", truth, "--without-rules", "--format", "json"]).ok().json();
    assert_eq!(without["decided"], without["by_model"], "without rules the model decides alone");
    project.kith(&["match", "evaluate", "--truth", "no/such.csv"]).fails(2, "KITH-R002");
    project.kith(&["match", "evaluate", "--truth", truth, "--precision", "most"]).fails(2, "KITH-C015");
}
