//! Undo: what was written is put back where nobody edited it since; whoever did is told and left alone.

use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, activity, deleted, edited, lines};
use serde_json::Value;
use std::fs;

fn project() -> Project {
    let project = Project::empty();
    let row = |n: u32| format!("C{n},Someone Else,,,,,,,,instagram:handle{n},standard\n");
    project.write("data/customers.csv", CUSTOMERS_HEADER.to_owned() + &(0..4).map(row).collect::<String>());
    project.write("data/orders.csv", ORDERS_HEADER);
    project.write("data/activities.ndjson", lines(&(0..4).map(said).collect::<Vec<_>>()));
    project.run_once();
    assert_eq!(bodies(&project).len(), 4);
    project
}

fn said(n: u32) -> Value {
    activity("instagram", &format!("u{n}"), &format!("handle{n}"), "x", n, "what I said first")
}

fn append(project: &Project, more: &[Value]) {
    let text = fs::read_to_string(project.path("data/activities.ndjson")).unwrap() + &lines(more);
    project.write("data/activities.ndjson", text);
    project.run_once();
}

/// Number of the post and what the CRM holds of it.
fn bodies(project: &Project) -> Vec<String> {
    project.crm("SELECT replace(ActivityID, 'https://instagram.example/notes/', ''), Body FROM SocialInteraction")
}

fn in_the_crm(project: &Project, sql: &str) {
    rusqlite::Connection::open(project.path("crm/crm.db")).unwrap().execute_batch(sql).unwrap();
}

fn now() -> String {
    // A receipt's time may be the same millisecond: the next one is surely later.
    std::thread::sleep(std::time::Duration::from_millis(20));
    jiff::Timestamp::now().to_string()
}

fn undo(project: &Project, args: &[&str]) -> (Option<i32>, Value) {
    let ran = project.kith(&[&["--format", "json", "undo"], args].concat());
    assert!(ran.stdout.contains("put_back"), "{}\n{}", ran.stdout, ran.stderr);
    (ran.code, ran.json())
}

#[test]
fn a_wrong_deletion_is_undone_and_what_somebody_edited_meanwhile_is_listed_and_not_touched() {
    let project = project();
    let since = now();
    // Upstream says that two posts are gone and a third reads otherwise: all wrong.
    append(
        &project,
        &[
            deleted(&said(0), "2026-09-03T10:00:00Z"),
            deleted(&said(1), "2026-09-03T10:00:00Z"),
            edited(&said(2), "hacked", "2026-09-03T10:00:00Z"),
            edited(&said(3), "hacked", "2026-09-03T10:00:00Z"),
        ],
    );
    assert_eq!(bodies(&project), ["2|hacked", "3|hacked"]);
    // Meanwhile a clerk makes one of the deleted records anew, and corrects one of the edited ones.
    in_the_crm(
        &project,
        "INSERT INTO SocialInteraction (CustomerID, Network, ActivityID, Body) VALUES ('C1', 'instagram', 'https://instagram.example/notes/1', 'by the clerk');
         UPDATE SocialInteraction SET Body = 'the clerk knows' WHERE ActivityID LIKE '%/3';",
    );
    let before = bodies(&project);
    let (code, plan) = undo(&project, &["--since", &since]);
    assert_eq!((code, plan["put_back"].as_u64(), plan["applied"].as_bool()), (Some(3), Some(2), Some(false)), "{plan}");
    assert_eq!(plan["left"]["somebody edited it since"], 2, "{plan}");
    assert_eq!(bodies(&project), before, "a plan writes nothing");
    project.run_once();
    assert_eq!(bodies(&project), before);

    let (code, done) = undo(&project, &["--since", &since, "--yes"]);
    assert_eq!((code, done["put_back"].as_u64(), done["applied"].as_bool()), (Some(3), Some(2), Some(true)), "{done}");
    project.run_once();
    assert_eq!(bodies(&project), ["0|what I said first", "1|by the clerk", "2|what I said first", "3|the clerk knows"]);
    let customers = project.crm("SELECT CustomerID, PostURL IS NOT NULL FROM SocialInteraction WHERE ActivityID LIKE '%/0'");
    assert_eq!(customers, ["C0|1"], "the whole record is there again");

    // Again: there is nothing left to take back, and an undo is not undone.
    let (_, again) = undo(&project, &["--since", &since, "--yes"]);
    assert_eq!(again["put_back"], 0, "{again}");
    project.run_once();
    assert_eq!(bodies(&project).len(), 4);
    let told = project.kith(&["--format", "json", "audit", "search", "--kind", "write.undone"]).ok().stdout;
    assert_eq!(told.lines().filter(|line| line.contains("write.undone")).count(), 2, "{told}");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn an_edit_between_the_plan_of_an_undo_and_its_write_is_not_overwritten() {
    let project = project();
    let since = now();
    append(
        &project,
        &[
            deleted(&said(0), "2026-09-03T10:00:00Z"),
            deleted(&said(1), "2026-09-03T10:00:00Z"),
            edited(&said(2), "hacked", "2026-09-03T10:00:00Z"),
            edited(&said(3), "hacked", "2026-09-03T10:00:00Z"),
        ],
    );
    let (code, done) = undo(&project, &["--since", &since, "--yes"]);
    assert_eq!((code, done["put_back"].as_u64(), done["applied"].as_bool()), (Some(0), Some(4), Some(true)), "{done}");
    assert_eq!(bodies(&project), ["2|hacked", "3|hacked"], "nothing was sent yet");
    // The clerk is faster than the outbox: one record is made anew, one is edited in a field that nobody wrote wrongly.
    in_the_crm(
        &project,
        "INSERT INTO SocialInteraction (CustomerID, Network, ActivityID, Body) VALUES ('C1', 'instagram', 'https://instagram.example/notes/1', 'by the clerk');
         UPDATE SocialInteraction SET Body = 'the clerk knows' WHERE ActivityID LIKE '%/3';",
    );
    project.run_once();
    assert_eq!(bodies(&project), ["0|what I said first", "1|by the clerk", "2|what I said first", "3|the clerk knows"]);
    let letters = project.kith(&["--format", "json", "dead-letter", "list"]).ok().stdout;
    assert_eq!(letters.matches("KITH-D057").count(), 2, "{letters}");
    // Once the CRM holds again what was left there, the letter goes through; the other is a person's to drop.
    in_the_crm(&project, "UPDATE SocialInteraction SET Body = 'hacked' WHERE ActivityID LIKE '%/3'");
    project.kith(&["dead-letter", "replay", "--all", "--code", "KITH-D057"]).ok();
    project.run_once();
    assert_eq!(bodies(&project), ["0|what I said first", "1|by the clerk", "2|what I said first", "3|what I said first"]);
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn what_a_mapping_wrote_goes_again_and_an_accounts_writes_too() {
    let project = project();
    let shown = project.kith(&["--format", "json", "link", "show", "instagram", "https://instagram.example/users/u1"]).ok().json();
    let mapping = shown["mapping"].as_str().unwrap().to_owned();
    let (code, done) = undo(&project, &["--link", "instagram", "https://instagram.example/users/u1", "--yes"]);
    assert_eq!((code, done["put_back"].as_u64()), (Some(0), Some(2)), "a profile and an interaction: {done}");
    project.run_once();
    assert_eq!(bodies(&project), ["0|what I said first", "2|what I said first", "3|what I said first"]);
    assert_eq!(project.crm("SELECT Handle FROM SocialProfile"), ["handle0", "handle2", "handle3"]);
    in_the_crm(&project, "UPDATE SocialProfile SET Handle = 'by hand' WHERE Handle = 'handle2'");
    let (code, done) = undo(&project, &["--mapping", &mapping, "--yes"]);
    assert_eq!((code, done["put_back"].as_u64()), (Some(3), Some(5)), "{done}");
    project.run_once();
    assert_eq!((bodies(&project), project.crm("SELECT Handle FROM SocialProfile")), (Vec::new(), vec!["by hand".to_owned()]));
    project.kith(&["undo", "--mapping", "abc"]).fails(2, "KITH-C015");
    project.kith(&["undo"]).fails(2, "--since");
    // What happens upstream afterwards finds a store that knows what stands.
    append(&project, &[deleted(&said(0), "2026-09-04T10:00:00Z"), edited(&said(3), "later", "2026-09-04T10:00:00Z")]);
    assert_eq!(bodies(&project), ["3|later"], "a later edit is written as new");
}
