//! Drafts are tried before they are released: on a sample of people, and on everything that was recorded. Nothing is written by trying.

use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, activity, lines};
use serde_json::{Value, json};
use std::fs;

const MAPPING: &str = "mappings/retail.yaml";

/// Ten customers who are known by their handles and said something, and two strangers.
fn project() -> Project {
    let project = Project::empty();
    let row = |n: u32| format!("C{n},Someone Else,,,,,,,,instagram:handle{n},standard\n");
    project.write("data/customers.csv", CUSTOMERS_HEADER.to_owned() + &(0..10).map(row).collect::<String>());
    project.write("data/orders.csv", ORDERS_HEADER);
    let said = |n: u32| activity("instagram", &format!("u{n}"), &format!("handle{n}"), "Zx Qj", n, "my order 4711 arrived broken");
    project.write("data/activities.ndjson", lines(&(0..12).map(said).collect::<Vec<_>>()));
    project.run_once();
    assert_eq!(project.crm("SELECT 1 FROM SocialInteraction").len(), 10);
    project
}

/// The mapping without its tests, with something said otherwise, in a file of its own.
fn draft(project: &Project, from: &str, to: &str) -> &'static str {
    let text = fs::read_to_string(project.path(MAPPING)).unwrap();
    assert!(text.contains(from));
    project.write("mappings/draft.yaml", text[..text.find("\ntests:").unwrap()].replacen(from, to, 1) + "\n");
    "mappings/draft.yaml"
}

/// Everything but the log: what deliveries, decisions and the CRM say.
fn standing(project: &Project) -> (Value, Vec<String>, i64) {
    let mut status = project.kith(&["--format", "json", "status"]).ok().json();
    status["totals"]["leaves"] = Value::Null;
    let crm = project.crm("SELECT * FROM SocialInteraction");
    let db = rusqlite::Connection::open_with_flags(project.path("state/kith.db"), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let keys = db.query_row("SELECT count(*) FROM person_key", [], |row| row.get(0)).unwrap();
    (status["totals"].clone(), crm, keys)
}

fn reads(project: &Project) -> Vec<String> {
    let found = project.kith(&["--format", "json", "audit", "search", "--kind", "personal.read"]).ok().stdout;
    let place = |line: &str| serde_json::from_str::<Value>(line).unwrap()["entry"]["what"]["place"].as_str().unwrap().to_owned();
    found.lines().map(place).collect()
}

#[test]
fn a_preview_shows_raw_cleaned_level_decision_and_writes_and_writes_nothing() {
    let project = project();
    let before = standing(&project);
    let found = project.kith(&["--format", "json", "mapping", "preview", "--sample", "20"]).ok().json();
    let accounts = found["accounts"].as_array().unwrap();
    assert_eq!(accounts.len(), 12, "everybody, where there are fewer than asked for");
    let of = |accounts: &[Value], n: u32| {
        let id = format!("https://instagram.example/users/u{n}");
        accounts.iter().find(|account| account["identity_id"] == id).unwrap().clone()
    };
    let one = of(accounts, 3);
    assert_eq!((&one["raw"]["actor.preferredUsername"], &one["decided"]["rule"]), (&json!("handle3"), &json!("handle-on-file")), "{one:#}");
    assert_eq!((&one["decided"]["decision"], &one["decided"]["customer_id"]), (&json!("linked"), &json!("C3")));
    assert!(one["cleaned"]["handle"].to_string().contains("handle3"), "{one:#}");
    assert_eq!(one["candidates"][0]["customer_id"], "C3", "{one:#}");
    assert!(one["candidates"][0]["levels"].as_array().is_some_and(|levels| !levels.is_empty()), "{one:#}");
    let entries: Vec<&str> = one["writes"].as_array().unwrap().iter().map(|write| write["entry"].as_str().unwrap()).collect();
    assert_eq!(entries, ["profile", "interaction"]);
    assert_eq!(one["writes"][1]["fields"]["Body"], "my order 4711 arrived broken");
    let stranger = of(accounts, 11);
    assert_eq!((&stranger["decided"]["decision"], &stranger["writes"]), (&json!("not_linked"), &json!([])), "{stranger:#}");

    // What it shows is what the run wrote.
    let wrote = project.crm("SELECT CustomerID, Body FROM SocialInteraction WHERE CustomerID = 'C3'");
    assert_eq!(wrote, ["C3|my order 4711 arrived broken"]);

    // A draft in another file: a person is asked, and nothing would be written.
    let file = draft(&project, "same: [handle], decide: link", "same: [handle], decide: review");
    let found = project.kith(&["--format", "json", "mapping", "preview", file]).ok().json();
    let one = of(found["accounts"].as_array().unwrap(), 3);
    assert_eq!((&one["decided"]["decision"], &one["writes"]), (&json!("review"), &json!([])), "{one:#}");

    // The same people each time.
    let few = || {
        let found = project.kith(&["--format", "json", "mapping", "preview", "--sample", "3"]).ok().json();
        found["accounts"].as_array().unwrap().iter().map(|account| account["identity_id"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!((few().len(), few()), (3, few()));
    let page = project.kith(&["mapping", "preview", "--sample", "3", "--network", "instagram"]).ok().stdout;
    assert!(["raw ", "cleaned ", "decided ", "nothing was written"].iter().all(|word| page.contains(word)), "{page}");
    let none = project.kith(&["mapping", "preview", "--network", "mastodon"]).ok().stdout;
    assert!(none.contains("no account is known"), "{none}");
    for sample in ["0", "1001", "x"] {
        project.kith(&["mapping", "preview", "--sample", sample]).fails(2, "--sample");
    }
    project.kith(&["mapping", "preview", "mappings/none.yaml"]).fails(2, "KITH-C012");
    project.kith(&["mapping", "preview", "--network", "nowhere"]).fails(2, "KITH-C015");

    assert_eq!(standing(&project), before, "looking changes nothing");
    assert_eq!(reads(&project).iter().filter(|place| *place == "mapping preview").count(), 6, "and each look at people is told");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn a_replay_compares_decisions_and_writes_of_what_was_recorded_and_writes_nothing() {
    let project = project();
    let before = standing(&project);
    let replay = |args: &[&str]| project.kith(&[&["--format", "json", "mapping", "replay", "--exit-code"], args].concat());
    let same = replay(&[]);
    assert_eq!(same.code, Some(0), "{}", same.stdout);
    let same = same.json();
    assert_eq!((&same["accounts"], &same["activities"], &same["differ"]), (&12.into(), &12.into(), &0.into()), "{same}");

    // Nobody is linked by a handle any more.
    let file = draft(&project, "same: [handle], decide: link", "same: [handle], decide: review");
    let asked = replay(&[file, "--days", "2", "--examples", "4"]);
    assert_eq!(asked.code, Some(3), "{}", asked.stdout);
    let asked = asked.json();
    assert_eq!(asked["decisions"], json!({ "to_review": 10 }), "{asked:#}");
    assert_eq!(asked["writes"], json!({ "crm_db interaction gone": 10, "crm_db profile gone": 10 }));
    let examples = asked["examples"].as_array().unwrap();
    assert_eq!(examples.len(), 4);
    for example in examples {
        assert_eq!((&example["before"]["decision"], &example["after"]["decision"]), (&json!("linked"), &json!("review")), "{example}");
    }

    // Everybody is decided alike and written otherwise, in one field.
    let file = draft(&project, "truncate: 4000", "truncate: 8");
    let shorter = replay(&[file]).json();
    assert_eq!(
        (&shorter["decisions"], &shorter["fields"]),
        (&json!({ "writes": 10 }), &json!({ "crm_db interaction Body": 10 })),
        "{shorter:#}"
    );
    let field = &shorter["examples"][0]["writes"][0]["fields"][0];
    assert_eq!((&field["field"], &field["before"]), (&json!("Body"), &json!("my order 4711 arrived broken")), "{field}");
    let page = project.kith(&["mapping", "replay", file]).ok().stdout;
    assert!(
        page.contains("decided alike and written otherwise") && page.contains("Body") && page.contains("nothing was written"),
        "{page}"
    );

    // A new delivery is a write that comes.
    let file = draft(&project, "topic: complaint, priority: 1 }", "topic: complaint }");
    let more = replay(&[file]).json();
    assert_eq!(more["writes"], json!({ "service_desk service-request added": 10 }), "{more:#}");

    assert_eq!(standing(&project), before, "replaying changes nothing");
    let told = reads(&project);
    assert_eq!(
        told.iter().filter(|place| *place == "mapping replay").count(),
        4,
        "each look at people, and not where nobody is shown: {told:?}"
    );

    // Only what was received in those days.
    let db = rusqlite::Connection::open(project.path("state/kith.db")).unwrap();
    let earlier = 10 * 86_400_000_000_000_i64;
    let id = "https://instagram.example/users/u3";
    db.execute("UPDATE activity SET received = received - ?1 WHERE identity = (SELECT id FROM identity WHERE account = ?2)", (earlier, id))
        .unwrap();
    db.execute("UPDATE identity SET received = received - ?1 WHERE account = ?2", (earlier, id)).unwrap();
    drop(db);
    let file = draft(&project, "truncate: 4000", "truncate: 8");
    assert_eq!(replay(&[file, "--days", "5"]).json()["decisions"], json!({ "writes": 9 }));
    assert_eq!(replay(&[file, "--days", "15"]).json()["decisions"], json!({ "writes": 10 }));
    for days in ["0", "4000"] {
        project.kith(&["mapping", "replay", "--days", days]).fails(2, "--days");
    }
    // A draft that does not check is told, and tried on nobody.
    let broken = draft(&project, "link_from:", "link_form:");
    project.kith(&["mapping", "replay", broken]).fails(2, "link_from");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn a_persons_word_and_an_objection_hold_in_a_replay_too() {
    let project = project();
    let id = "https://instagram.example/users/u3";
    project.kith(&["link", "remove", "instagram", id, "--reason", "not them"]).ok();
    project.kith(&["subject", "object", "--customer", "C4", "--reason", "they asked"]).ok();
    project.run_once();
    let file = draft(&project, "truncate: 4000", "truncate: 8");
    let found = project.kith(&["--format", "json", "mapping", "replay", file]).ok().json();
    assert_eq!(found["decisions"], json!({ "writes": 8 }), "neither the one whom a person took out nor the one who objected: {found:#}");
    let seen = project.kith(&["--format", "json", "mapping", "preview", "--sample", "50"]).ok().stdout;
    assert!(!seen.contains("\"C4\""), "who objected is no candidate in a preview");
}

#[test]
fn a_work_list_is_applied_after_the_release_and_a_guard_holds_back_a_large_one() {
    let project = project();
    let links = || project.crm("SELECT CustomerID FROM SocialProfile").len();
    let apply = || project.kith(&["--format", "json", "match", "changes", "--apply"]);
    // A draft is not applied.
    let text = fs::read_to_string(project.path(draft(&project, "same: [handle], decide: link", "same: [handle], decide: review"))).unwrap();
    let before = fs::read_to_string(project.path(MAPPING)).unwrap();
    project.write(MAPPING, text);
    apply().fails(2, "KITH-R065");
    project.kith(&["mapping", "release", "--note", "ask a person"]).ok();
    project.run_once();
    assert_eq!(links(), 10, "a release decides nobody again by itself");

    // All ten links would end: nothing of it happens until somebody says so.
    let held = apply().fails(1, "KITH-U031");
    assert!(held.stdout.contains("10 of 10 links"), "{}", held.stdout);
    project.run_once();
    assert_eq!(links(), 10);
    let status = project.kith(&["--format", "json", "status"]).ok().json();
    let pass = &status["guarded"][0];
    assert_eq!((&pass["matter"], &pass["state"], &pass["found"]), (&json!("relink"), &json!("waits"), &10.into()), "{pass}");
    project.kith(&["approve", &pass["pass"].to_string()]).ok();
    project.run_once();
    assert_eq!(links(), 10, "an approval lets the list on, it does not make it");
    assert_eq!(apply().ok().json()["applied"], 10);
    project.run_once();
    assert_eq!(links(), 0, "and what was written is withdrawn");
    assert!(project.kith(&["--format", "json", "status"]).ok().json()["guarded"].as_array().unwrap().is_empty());
    assert_eq!(apply().ok().json()["applied"], 0, "nothing is left on the list");

    // Back again: nobody loses a link, so nothing waits; what was said before is delivered.
    project.write(MAPPING, before);
    project.kith(&["mapping", "release", "--note", "as it was"]).ok();
    let kept = "https://instagram.example/users/u3";
    project.kith(&["link", "remove", "instagram", kept, "--reason", "not them"]).ok();
    project.run_once();
    let found = apply().ok().json();
    assert_eq!((&found["applied"], &found["by_person"]), (&9.into(), &1.into()), "{found}");
    project.run_once();
    assert_eq!(links(), 9, "a person's word stands");
    project.kith(&["audit", "verify"]).ok();
    project.kith(&["doctor", "--store", "--dry-run"]).ok();
}
