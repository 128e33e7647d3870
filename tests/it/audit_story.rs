//! What the log tells: decisions come out again to the bit, a customer's story has the rule as it read that day, a period adds up; both as
//! pages that need nothing from outside.

use crate::support::{Project, slice};
use serde_json::Value;
use std::fs;
use std::process::Command;

fn lines(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn every_decision_comes_out_again_to_the_bit_and_a_changed_one_does_not() {
    let project = Project::with(&slice(500));
    let run = project.run_once();
    let said = project.kith(&["--format", "json", "audit", "recompute"]).ok().json();
    assert_eq!(said["decisions"], said["same"], "{said}");
    assert!(said["same"].as_u64().unwrap() >= run["identities"].as_u64().unwrap_or(1), "{said}");
    let decision =
        lines(&project.kith(&["--format", "json", "audit", "search", "--kind", "decision", "--outcome", "linked"]).ok().stdout).remove(0);
    let number = decision["number"].to_string();
    project.kith(&["audit", "recompute", &number]).ok();
    project.kith(&["audit", "recompute", "0"]).fails(2, "no decision");

    // Values that are gone: the identity's key, or one candidate's, is destroyed; the levels that stay give the same bits.
    let database = rusqlite::Connection::open(project.path("state/kith.db")).unwrap();
    let gone = database.execute("DELETE FROM person_key WHERE class = 0 AND id % 2 = 0 OR class = 1 AND id % 3 = 0", ()).unwrap();
    assert!(gone > 0);
    let said = project.kith(&["--format", "json", "audit", "recompute"]).ok().json();
    let (same, erased) = (said["same"].as_u64().unwrap(), said["erased_same_from_levels"].as_u64().unwrap());
    assert!(erased > 0 && same + erased == said["decisions"].as_u64().unwrap(), "{said}");

    // A stored weight that somebody turned: the bits do not come out.
    let seq: i64 = number.parse().unwrap();
    let turned = "UPDATE leaf SET bytes = CAST(replace(CAST(bytes AS TEXT), ?1, '\"match_weight\":99.5') AS BLOB) WHERE seq = ?2";
    let weight = format!("\"match_weight\":{}", decision["entry"]["what"]["match_weight"]);
    assert_eq!(database.execute(turned, (weight, seq)).unwrap(), 1);
    project.kith(&["audit", "recompute", &number]).fails(3, "KITH-A029");
    project.kith(&["audit", "verify"]).fails(3, "KITH-A008");
    // Under another mapping nothing is compared, and that is said.
    project.edit("mappings/retail.yaml", "link_from: 98 %", "link_from: 98.5 %");
    project.kith(&["mapping", "release", "--note", "surer"]).ok();
    let said = project.kith(&["--format", "json", "audit", "recompute"]).ok().json();
    assert!(said["not_compared"].to_string().contains("another mapping"), "{said}");
}

#[test]
fn a_customers_story_has_each_rule_as_it_read_that_day() {
    let project = Project::with(&slice(400));
    project.run_once();
    let linked = lines(&project.kith(&["--format", "json", "link", "list", "--decision", "linked"]).ok().stdout);
    let by_rule = linked.iter().find(|l| l["rule"].as_str().is_some_and(|by| by != "model")).expect("a link by a rule");
    let customer = by_rule["customer_id"].as_str().unwrap();
    let story = project.kith(&["audit", "timeline", "--customer", customer]).ok().stdout;
    assert!(
        story.contains("Decided whose account on") && story.contains("the rule read: ") && story.contains("answered: inserted"),
        "{story}"
    );
    let told = lines(&project.kith(&["--format", "json", "audit", "timeline", "--customer", customer]).ok().stdout);
    let rule = told.iter().find_map(|t| t["rule_as_it_read"].as_array().filter(|r| !r.is_empty()).map(|r| r[0].to_string())).unwrap();
    // The mapping is changed afterwards: the story still has the words of that day.
    project.edit("mappings/retail.yaml", "link_from: 98 %", "link_from: 98.5 %");
    project.kith(&["mapping", "release", "--note", "surer"]).ok();
    project.run_once();
    let again = project.kith(&["audit", "timeline", "--customer", customer]).ok().stdout;
    assert!(again.starts_with(&story) && again.contains(rule.trim_matches('"').split('"').next().unwrap()), "{again}");
    let changed = lines(&project.kith(&["--format", "json", "audit", "search", "--kind", "mapping.changed"]).ok().stdout);
    let diff = changed.last().unwrap()["entry"]["what"]["diff"].as_str().unwrap();
    assert!(diff.lines().any(|l| l.starts_with('-')) && diff.lines().any(|l| l.starts_with('+')), "{diff}");
    // So is the model, and the log says what changed in it.
    project.edit("mappings/models/retail.yaml", "prior: { share: 57.6", "prior: { share: 56.6");
    project.kith(&["mapping", "release", "--note", "fewer customers"]).ok();
    project.run_once();
    let changed = lines(&project.kith(&["--format", "json", "audit", "search", "--kind", "model.changed"]).ok().stdout);
    let diff = changed.last().unwrap()["entry"]["what"]["diff"].as_str().unwrap();
    assert!(diff.contains("-    \"share\": 0.576") && diff.contains("+    \"share\": 0.566"), "{diff}");
    let account = ["audit", "timeline", "--identity", by_rule["network"].as_str().unwrap(), by_rule["identity_id"].as_str().unwrap()];
    project.kith(&account).ok();
    project.kith(&["audit", "timeline", "--customer", "nobody"]).ok();
    project.kith(&["audit", "timeline"]).fails(2, "--customer");

    for command in
        [vec!["audit", "timeline", "--customer", customer, "--html", "story.html"], vec!["audit", "report", "--html", "report.html"]]
    {
        project.kith(&command).ok();
    }
    for file in ["story.html", "report.html"] {
        let page = fs::read_to_string(project.path(file)).unwrap();
        assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://") && !page.contains("src="), "{file}");
        assert!(page.contains("default-src 'none'"));
    }
    let browser = Command::new("chromium").arg("--version").output().is_ok_and(|out| out.status.success());
    if !browser {
        eprintln!("SKIPPED: `chromium` is not installed, so no browser showed the page");
    }
    if browser {
        let page = format!("file://{}", project.path("story.html").display());
        let out = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", &page])
            .env("HOME", project.dir.path())
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&out.stdout).contains("The rule read"), "{}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn a_report_adds_up() {
    let project = Project::with(&slice(400));
    let run = project.run_once();
    let report = project.kith(&["--format", "json", "audit", "report"]).ok().json();
    let sum = |counts: &Value| counts.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum(&report["kinds"]), report["entries"].as_u64().unwrap());
    assert_eq!(report["outcomes"]["linked"], run["decisions"]["linked"], "{report}\n{run}");
    assert_eq!(sum(&report["links_by_rule"]), report["outcomes"]["linked"].as_u64().unwrap());
    assert_eq!(report["reviewed_links"]["precision"], Value::Null, "nobody reviewed anything, and nothing is made up");
    let said = project.kith(&["audit", "report"]).ok().stdout;
    assert!(said.contains("no link was reviewed by a person"), "{said}");
    let none = project.kith(&["--format", "json", "audit", "report", "--since", "2099-01-01T00:00:00Z"]).ok().json();
    assert_eq!(none["entries"], 0);
}
