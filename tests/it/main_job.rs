//! The main job as a user sees it: activities in, decisions with evidence, rows in the CRM, entries in the log.

use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, activity, deleted, edited, lines, slice};
use serde_json::Value;

const ADA: &str = "C1,Ada Rossi,ada@rossi.example,,,Lecce,,IT,,linkedin:@ada_rossi,gold\n";
const BEN: &str = "C2,Benjamin Thornbury,ben@thornbury.example,,,Leeds,,UK,,,standard\n";

fn two_customers() -> Project {
    let project = Project::empty();
    project.write("data/customers.csv", format!("{CUSTOMERS_HEADER}{ADA}{BEN}"));
    project.write("data/orders.csv", format!("{ORDERS_HEADER}4711,C1,2026-08-01,9.90,EUR,shipped\n"));
    project
}

fn ada_says(note: u32, content: &str) -> Value {
    activity("linkedin", "u1", "ada_rossi", "Ada R.", note, content)
}

fn count(run: &Value, name: &str) -> u64 {
    run[name].as_u64().unwrap_or_else(|| panic!("no count {name} in {run}"))
}

/// Both sides of the conservation sum, from the summary.
fn conserved(run: &Value) {
    let right: u64 = ["delivered", "parked", "dropped", "erased", "in_flight"].iter().map(|n| count(run, n)).sum();
    assert_eq!(count(run, "received"), right, "{run}");
    assert_eq!(count(run, "conservation_gap"), 0, "{run}");
}

#[test]
fn a_handle_on_file_links_and_the_crm_holds_profile_and_interaction() {
    let project = two_customers();
    project.write("data/activities.ndjson", lines(&[ada_says(1, "My order 4711 arrived broken"), ada_says(2, "grazie")]));
    let run = project.run_once();
    assert_eq!((count(&run, "received"), count(&run, "delivered")), (2, 2), "{run}");
    assert_eq!(run["decisions"]["linked"], 1);
    conserved(&run);
    assert_eq!(
        project.crm("SELECT CustomerID, Network, Body, Topic, OrderNumber FROM SocialInteraction"),
        ["C1|linkedin|My order 4711 arrived broken|complaint|4711", "C1|linkedin|grazie|mention|NULL"]
    );
    assert_eq!(
        project.crm("SELECT CustomerID, Network, Handle, Basis, LinkedBy FROM SocialProfile"),
        ["C1|linkedin|ada_rossi|provided_by_customer|handle-on-file"]
    );
    let list = project.kith(&["link", "list", "--format", "csv"]).ok().stdout;
    let mut rows = list.lines();
    assert_eq!(rows.next(), Some("network,identity_id,customer_id,decision,probability,match_weight,rule,basis"));
    let row = rows.next().unwrap();
    assert!(row.starts_with("linkedin,https://linkedin.example/users/u1,C1,linked,0."), "{row}");
    // As right as the rule's links are, or more, where the model says more.
    assert!(row.split(',').nth(4).and_then(|text| text.parse::<f64>().ok()).is_some_and(|p| p >= 0.95), "{row}");
    assert!(row.ends_with(",handle-on-file,provided_by_customer"), "{row}");
}

#[test]
fn the_same_input_twice_changes_nothing() {
    let project = two_customers();
    let said = [ada_says(1, "My order 4711 arrived broken"), ada_says(1, "My order 4711 arrived broken")];
    project.write("data/activities.ndjson", lines(&said));
    let first = project.run_once();
    assert_eq!((count(&first, "received"), count(&first, "duplicates")), (1, 1));
    let rows = project.crm("SELECT * FROM SocialInteraction");
    let second = project.run_once();
    assert_eq!(second["this_run"]["received"], 0);
    assert_eq!(second["this_run"]["written"], 0);
    assert_eq!(second["this_run"]["decided"], 0);
    // The same lines in another file are repeats, too.
    project.write("data/more.ndjson", lines(&said));
    project.edit("config/kith.toml", "data/activities.ndjson", "data/more.ndjson");
    let third = project.run_once();
    assert_eq!((count(&third, "received"), count(&third, "duplicates")), (1, 3));
    assert_eq!(project.crm("SELECT * FROM SocialInteraction"), rows);
    conserved(&third);
    assert!(project.kith(&["run", "--once"]).ok().stdout.contains("nothing new"));
}

#[test]
fn edits_change_the_row_deletes_remove_it_and_late_versions_do_nothing() {
    let project = two_customers();
    let first = ada_says(1, "My order 4711 arrived broken");
    let second = ada_says(2, "all good");
    project.write("data/activities.ndjson", lines(&[first.clone(), second.clone()]));
    project.run_once();
    let bodies = || project.crm("SELECT Body FROM SocialInteraction");
    assert_eq!(bodies(), ["My order 4711 arrived broken", "all good"]);

    project.write("data/2.ndjson", lines(&[edited(&first, "It arrived whole, sorry", "2026-09-02T10:00:00Z")]));
    project.edit("config/kith.toml", "data/activities.ndjson", "data/2.ndjson");
    conserved(&project.run_once());
    assert_eq!(bodies(), ["It arrived whole, sorry", "all good"], "the edit follows, although it is no complaint any more");

    // An older edit that arrives late, then the deletion of the other note, and its creation once more under a new activity id.
    let mut again = second.clone();
    again["id"] = "https://linkedin.example/activities/2-again".into();
    project
        .write("data/3.ndjson", lines(&[edited(&first, "older", "2026-09-01T11:00:00Z"), deleted(&second, "2026-09-03T10:00:00Z"), again]));
    project.edit("config/kith.toml", "data/2.ndjson", "data/3.ndjson");
    let run = project.run_once();
    conserved(&run);
    assert_eq!(bodies(), ["It arrived whole, sorry"]);
    assert_eq!(run["totals"]["activities"]["dropped: superseded"], 2, "{run}");
}

#[test]
fn what_is_deleted_before_it_was_written_is_never_written() {
    let project = two_customers();
    let note = ada_says(1, "a secret I take back");
    project.write("data/activities.ndjson", lines(&[deleted(&note, "2026-09-03T10:00:00Z"), note]));
    let run = project.run_once();
    conserved(&run);
    assert_eq!(project.crm("SELECT * FROM SocialInteraction"), [""; 0]);
    assert_eq!((count(&run, "dropped"), count(&run, "delivered")), (2, 0), "{run}");
}

#[test]
fn a_strangers_question_is_a_lead_and_nothing_else_is_kept_of_a_stranger() {
    let project = two_customers();
    let asks = activity("mastodon", "u9", "qqzz", "zx", 7, "Do you ship to Ireland?");
    let says = activity("mastodon", "u9", "qqzz", "zx", 8, "nice weather");
    project.write("data/activities.ndjson", lines(&[asks, says]));
    let run = project.run_once();
    conserved(&run);
    assert_eq!(run["decisions"]["not_linked"], 1);
    assert_eq!(project.crm("SELECT Network, PostURL FROM SocialLead"), ["mastodon|https://mastodon.example/@qqzz/7"]);
    assert_eq!(project.crm("SELECT * FROM SocialInteraction"), [""; 0]);
    assert_eq!((count(&run, "delivered"), count(&run, "dropped")), (1, 1), "{run}");
}

#[test]
fn a_direct_message_is_dropped_and_leaves_no_content_behind() {
    let project = two_customers();
    let mut message = ada_says(1, "xyzzy-private-words");
    message["to"] = serde_json::json!(["https://linkedin.example/users/brand"]);
    project.write("data/activities.ndjson", lines(&[message]));
    let run = project.run_once();
    conserved(&run);
    assert_eq!(run["totals"]["activities"]["dropped: private-message"], 1, "{run}");
    assert_eq!(project.kith(&["link", "list", "--format", "csv"]).ok().stdout.lines().count(), 1, "nobody was decided about");
    for file in walk(&project.path("state")) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!contains(&bytes, b"xyzzy-private-words"), "{} holds the message", file.display());
    }
}

#[test]
fn no_personal_value_stands_in_clear_in_store_or_log() {
    let project = two_customers();
    project.write("data/activities.ndjson", lines(&[ada_says(1, "xyzzy-broken 4711")]));
    project.run_once();
    for file in walk(&project.path("state")) {
        let bytes = std::fs::read(&file).unwrap();
        for personal in [&b"xyzzy-broken"[..], b"Ada R.", b"ada@rossi.example"] {
            assert!(!contains(&bytes, personal), "{} holds {}", file.display(), String::from_utf8_lossy(personal));
        }
    }
    for file in walk(&project.path("state/log")) {
        assert!(!contains(&std::fs::read(&file).unwrap(), b"ada_rossi"), "{} names the handle", file.display());
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path))
        } else if path.is_file() {
            files.push(path)
        }
    }
    files
}

#[test]
fn a_customer_who_comes_later_is_linked_and_what_was_said_is_backfilled() {
    let project = two_customers();
    let recent = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(48)).to_string();
    let mut young = activity("instagram", "u5", "zoe.quill", "Zoe", 1, "hello from Zoe");
    young["published"] = recent.as_str().into();
    young["object"]["published"] = recent.as_str().into();
    let old = activity("instagram", "u5", "zoe.quill", "Zoe", 2, "said long ago");
    project.write("data/activities.ndjson", lines(&[young, old]));
    let before = project.run_once();
    assert_eq!((before["decisions"]["not_linked"].as_u64(), count(&before, "dropped")), (Some(1), 2), "{before}");

    project.write("data/customers.csv", format!("{CUSTOMERS_HEADER}{ADA}{BEN}C3,Zoe Quill,,,,,,UK,,instagram:zoe.quill,silver\n"));
    let after = project.run_once();
    conserved(&after);
    assert_eq!(after["decisions"]["linked"], 1, "{after}");
    assert_eq!(project.crm("SELECT CustomerID, Body FROM SocialInteraction"), ["C3|hello from Zoe"], "within backfill: 30d only");
}

#[test]
fn a_retired_customer_is_unlinked_and_what_was_written_is_taken_back_and_a_merge_is_followed() {
    let project = two_customers();
    project.edit("mappings/retail.yaml", "retire: 2 %, relink: 1 %", "retire: 100 %, relink: 100 %");
    project.write("data/activities.ndjson", lines(&[ada_says(1, "ciao")]));
    project.run_once();
    assert_eq!(project.crm("SELECT CustomerID FROM SocialInteraction"), ["C1"]);

    project.write("data/customers.csv", format!("{CUSTOMERS_HEADER}{BEN}"));
    let gone = project.run_once();
    conserved(&gone);
    assert_eq!(gone["decisions"]["linked"], 0, "{gone}");
    assert_eq!(project.crm("SELECT CustomerID FROM SocialInteraction"), [""; 0]);
    assert_eq!(project.crm("SELECT CustomerID FROM SocialProfile"), [""; 0]);

    project.write("data/customers.csv", format!("{CUSTOMERS_HEADER}{ADA}{BEN}"));
    let back = project.run_once();
    assert_eq!(back["decisions"]["linked"], 1, "a customer who returns is linked again: {back}");
    assert_eq!(project.crm("SELECT CustomerID FROM SocialProfile"), ["C1"]);
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn merged_customers_are_one_customer() {
    let project = two_customers();
    project.edit("mappings/retail.yaml", "key: customer_id", "key: customer_id\n  merged_into: master_id");
    let header = CUSTOMERS_HEADER.trim_end();
    let rows = [ADA.trim_end(), BEN.trim_end()].map(|r| format!("{r},\n")).concat();
    project.write("data/customers.csv", format!("{header},master_id\n{rows}"));
    project.write("data/activities.ndjson", lines(&[ada_says(1, "ciao")]));
    project.run_once();
    assert_eq!(project.crm("SELECT CustomerID FROM SocialInteraction"), ["C1"]);
    project.write("data/customers.csv", format!("{header},master_id\n{},C2\n{},\n", ADA.trim_end(), BEN.trim_end()));
    project.kith(&["run", "--once", "--approve-customers"]).ok();
    assert_eq!(project.crm("SELECT CustomerID FROM SocialInteraction"), ["C2"], "the survivor of the merge");
    assert_eq!(project.crm("SELECT CustomerID FROM SocialProfile"), ["C2"]);
}

#[test]
fn a_drop_folder_picks_each_file_up_once_and_moves_it() {
    let project = two_customers();
    project.edit(
        "config/kith.toml",
        "kind = \"file\"\npath = \"data/activities.ndjson\"",
        "kind = \"folder\"\ninbox = \"inbox\"\ndone = \"done\"",
    );
    project.write("inbox/a.ndjson", lines(&[ada_says(1, "one")]));
    project.write("inbox/.hidden.ndjson", "nonsense");
    project.write("inbox/b.ndjson.tmp", "nonsense");
    std::thread::sleep(std::time::Duration::from_millis(2_200));
    let run = project.run_once();
    assert_eq!((count(&run, "received"), count(&run, "delivered")), (1, 1), "{run}");
    assert!(project.path("done/a.ndjson").is_file() && !project.path("inbox/a.ndjson").exists());
    assert!(project.path("inbox/b.ndjson.tmp").is_file());
    let again = project.run_once();
    assert_eq!(again["this_run"]["received"], 0);
}

#[test]
fn a_slice_of_the_real_data_is_conserved_and_its_malformed_lines_are_parked_with_their_place() {
    let project = Project::with(&slice(3_000));
    let run = project.run_once();
    conserved(&run);
    assert!(count(&run["decisions"], "linked") > 100, "{run}");
    assert!(count(&run, "parked") >= 1);
    let parked = project.kith(&["--format", "json", "status", "--parked"]).ok().json();
    let first = &parked["parked"][0];
    assert!(first["place"].as_str().unwrap().contains("activities.ndjson:"), "{parked}");
    assert!(first["code"].as_str().unwrap().starts_with("KITH-I"), "{parked}");
    project.kith(&["audit", "verify"]).ok();
    let status = project.kith(&["status"]).ok().stdout;
    assert!(status.contains("conservation"), "{status}");
}

#[test]
fn plan_says_what_a_run_would_do_and_writes_nothing() {
    let project = Project::with(&slice(600));
    let plan = project.kith(&["--format", "json", "plan"]).ok().json();
    assert!(!project.path("state").exists() && !project.path("crm").exists(), "plan left something behind");
    project.run_once();
    let rows = project.crm("SELECT ActivityID FROM SocialInteraction").len() as u64;
    let inserted: u64 = plan["counts"]["crm_db interaction inserted"].as_u64().unwrap();
    assert_eq!(inserted, rows, "{plan}");
    let empty = project.kith(&["plan", "--exit-code"]).ok().stdout;
    assert!(empty.contains("nothing"), "{empty}");
    project.write("data/new.ndjson", lines(&[ada_says(9_000_001, "new")]));
    project.edit("config/kith.toml", "data/activities.ndjson", "data/new.ndjson");
    assert_eq!(
        project.kith(&["plan", "--exit-code"]).code,
        Some(if project.kith(&["plan"]).ok().stdout.contains("nothing to write") { 0 } else { 3 })
    );
}

#[test]
fn max_writes_stops_after_so_many_and_the_next_run_does_the_rest() {
    let project = two_customers();
    project.write("data/activities.ndjson", lines(&(1..=10).map(|n| ada_says(n, "ciao")).collect::<Vec<_>>()));
    project.kith(&["run", "--once", "--max-writes", "4"]).fails(1, "KITH-R012");
    let written = project.crm("SELECT 1 FROM SocialInteraction").len() + project.crm("SELECT 1 FROM SocialProfile").len();
    assert_eq!(written, 4);
    let run = project.run_once();
    conserved(&run);
    assert_eq!(project.crm("SELECT 1 FROM SocialInteraction").len(), 10);
}
