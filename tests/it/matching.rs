//! `kith match explain` and `kith match evaluate`: the numbers shown are the stored evidence's own, and the judgement is the truth's.

use crate::support::{Project, activity, lines, slice};
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
    let told = project.kith(&["--format", "json", "audit", "search", "--kind", "personal.read"]).ok().stdout;
    assert!(told.contains("match explain"), "looking at personal data is told to the log: {told}");
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
        labels.extend([profile, ",", &label, "\n"]);
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
    std::fs::write(format!("{truth}2.gz"), "").unwrap();
    project.kith(&["match", "evaluate", "--truth", &format!("{truth}2")]).fails(2, "csv2.gz`?");
    project.kith(&["match", "evaluate", "--truth", truth, "--precision", "most"]).fails(2, "KITH-C015");
}

#[test]
fn a_changed_mapping_yields_a_work_list_with_reasons_and_changes_nothing() {
    let project = Project::with(&slice(1_200));
    project.run_once();
    let unchanged = project.kith(&["match", "changes", "--format", "json", "--exit-code"]).ok().json();
    assert_eq!((&unchanged["count"], &unchanged["changes"]), (&0.into(), &serde_json::json!([])));

    let before = project.kith(&["link", "list", "--format", "csv"]).ok().stdout;
    let links = csv(&before);
    let by_rule = |rule: &str| links.iter().filter(|row| row["decision"] == "linked" && row["rule"] == rule).count();
    assert!(by_rule("same-email") > 0 && by_rule("model") > 0, "the sample links by both");
    // The rule asks a person, and the model must be surer than it mostly is.
    project.edit(
        "mappings/retail.yaml",
        "{ id: same-email,     same: [email],  decide: link,",
        "{ id: same-email,     same: [email],  decide: review,",
    );
    project.edit("mappings/retail.yaml", "link_from: 98 %", "link_from: 99.9999 %");
    let output = project.kith(&["match", "changes", "--format", "json", "--exit-code"]);
    assert_eq!(output.code, Some(3), "{}", output.stderr);
    let found = output.json();
    let changes = found["changes"].as_array().unwrap();
    assert_eq!(found["count"].as_u64(), Some(changes.len() as u64));
    assert_eq!(found["looked_at"].as_u64(), Some(links.len() as u64));
    for change in changes {
        let row = links.iter().find(|row| change["identity_id"] == row["identity_id"].as_str()).unwrap();
        assert_eq!(change["before"]["decision"].as_str().unwrap().replace('_', "-"), row["decision"].replace([' ', '_'], "-"));
        assert_eq!(change["before"]["customer_id"].as_str().unwrap_or_default(), row["customer_id"]);
        assert_ne!(change["before"]["decision"], change["now"]["decision"], "nobody moves to another customer here");
        assert_eq!(change["other_mapping"], true);
        assert!(change["why"].as_array().is_some_and(|why| !why.is_empty()), "{change}");
    }
    let told = |before: &str, says: &str| {
        changes
            .iter()
            .any(|c| c["before"]["rule"] == before && c["why"].as_array().unwrap().iter().any(|why| why.as_str().unwrap().contains(says)))
    };
    for by in ["same-email", "model"] {
        assert!(told(by, "what `decide` asks for differs"), "{by}: nothing but the verdict or the threshold differs, and it says so");
    }
    let of_rule = |rule: &str| changes.iter().filter(|c| c["before"]["rule"] == rule).count();
    assert_eq!(of_rule("same-email"), by_rule("same-email"), "every link of the rule is on the list");
    let page = project.kith(&["match", "changes", "--limit", "3"]).ok().stdout;
    assert!(page.contains("would be decided otherwise now") && page.contains("why") && page.contains("--limit lists them"), "{page}");
    assert_eq!(project.kith(&["link", "list", "--format", "csv"]).ok().stdout, before, "looking changes nothing");
}

#[test]
fn an_account_too_many_waits_for_a_person_and_a_second_run_does_not_link_it() {
    let project = Project::empty();
    project.edit(
        "mappings/retail.yaml",
        "ahead_of_next: 20 times }",
        "ahead_of_next: 20 times }\n  one_person: { accounts_of_a_network: 2 }",
    );
    project.write(
        "data/customers.csv",
        "customer_id,name,email,phone,company,city,postcode,country,birth_date,known_handles,segment\nC1,Ada Rossi,ada@example.org,,,,,,,,\n",
    );
    project.write("data/orders.csv", "order_number,customer_id,ordered_on,total,currency,status\n");
    let said = |user: u32, network: &str| {
        let mut said = activity(network, &format!("u{user}"), &format!("zq{user}"), "zq", user, "hello");
        said["actor"]["summary"] = "ada@example.org".into();
        said
    };
    project.write("data/activities.ndjson", lines(&[said(1, "x"), said(2, "x"), said(3, "x"), said(4, "x"), said(5, "mastodon")]));
    project.run_once();
    let decisions = |project: &Project| {
        let rows = csv(&project.kith(&["link", "list", "--format", "csv"]).ok().stdout);
        let mut decided: Vec<(String, String)> = rows.into_iter().map(|row| (row["network"].clone(), row["decision"].clone())).collect();
        decided.sort();
        decided
    };
    let first = decisions(&project);
    let of = |network: &str, decision: &str| first.iter().filter(|(n, d)| n == network && d == decision).count();
    assert_eq!((of("x", "linked"), of("x", "review"), of("mastodon", "linked")), (2, 2, 1), "{first:?}");
    project.run_once();
    assert_eq!(decisions(&project), first);
    assert_eq!(project.kith(&["match", "changes", "--format", "json"]).ok().json()["count"], 0, "the list knows the guard");
    let rows = csv(&project.kith(&["link", "list", "--decision", "review", "--format", "csv"]).ok().stdout);
    let page = project.kith(&["match", "explain", "x", &rows[0]["identity_id"]]).ok().stdout;
    assert!(page.contains("held back for a person: 2 other account(s) on x"), "{page}");
}

#[test]
fn blocks_are_told_before_anybody_is_compared() {
    let project = Project::with(&slice(10));
    let found = project.kith(&["match", "blocks", "--format", "json"]).ok().json();
    let rules = found["rules"].as_array().unwrap();
    assert!(rules.len() >= 10);
    for rule in rules {
        let number = |name: &str| rule[name].as_u64().unwrap();
        assert!(number("customers") <= found["customers"].as_u64().unwrap() && number("largest") <= number("customers"), "{rule}");
        assert_eq!(number("cut_keys") > 0, number("largest") > number("cut_above"), "{rule}");
        assert!(number("cut_customers") <= number("customers"));
    }
    assert!(project.kith(&["match", "blocks"]).ok().stdout.contains("never brought"));
}
