//! Releases: a draft delivers nothing, a named user releases it, and what was in force on any day reads as it did.

use crate::service::{Running, kinds};
use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, activity, lines};
use serde_json::{Value, json};
use std::fs;

const MAPPING: &str = "mappings/retail.yaml";

/// Twenty customers who are known by their handles, and the first of them said something.
fn project() -> Project {
    let project = Project::empty();
    let row = |n: u32| format!("C{n},Someone Else,,,,,,,,instagram:handle{n},standard\n");
    project.write("data/customers.csv", CUSTOMERS_HEADER.to_owned() + &(0..20).map(row).collect::<String>());
    project.write("data/orders.csv", ORDERS_HEADER);
    project.write("data/activities.ndjson", lines(&[said(0)]));
    project
}

fn said(n: u32) -> Value {
    activity("instagram", &format!("u{n}"), &format!("handle{n}"), "x", n, "hello")
}

fn say_until(project: &Project, n: u32) {
    project.write("data/activities.ndjson", lines(&(0..=n).map(said).collect::<Vec<_>>()));
}

/// The draft: a handle no longer links, a person is asked. Its tests would fail, and go.
fn draft(project: &Project) -> String {
    let before = fs::read_to_string(project.path(MAPPING)).unwrap();
    let text =
        before[..before.find("\ntests:").unwrap()].replacen("same: [handle], decide: link", "same: [handle], decide: review", 1) + "\n";
    assert_ne!(text.len(), before.len());
    project.write(MAPPING, &text);
    before
}

fn mapping(project: &Project) -> Value {
    project.kith(&["--format", "json", "status"]).ok().json()["mapping"].clone()
}

fn in_crm(project: &Project) -> usize {
    project.crm("SELECT 1 FROM SocialInteraction").len()
}

fn releases(project: &Project) -> Vec<Value> {
    project.kith(&["--format", "json", "mapping", "releases"]).ok().json()["releases"].as_array().unwrap().clone()
}

fn entries(project: &Project, kind: &str) -> Vec<Value> {
    let found = project.kith(&["--format", "json", "audit", "search", "--kind", kind]).ok().stdout;
    found.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_draft_delivers_nothing_until_it_is_released_and_every_release_can_be_read_and_brought_back() {
    let project = project();
    project.kith(&["mapping", "release", "--note", "too early"]).fails(1, "KITH-S006");
    project.kith(&["mapping", "releases"]).fails(1, "KITH-S006");
    project.run_once();
    assert_eq!(in_crm(&project), 1);
    let first = mapping(&project);
    assert_eq!((&first["how"], &first["draft"]), (&json!("first-start"), &Value::Null), "{first}");

    // A changed file: it is told, and changes nothing.
    let text = draft(&project);
    say_until(&project, 1);
    let ran = project.kith(&["run", "--once"]).ok();
    assert!(ran.stderr.contains("KITH-R065"), "{}", ran.stderr);
    assert_eq!(in_crm(&project), 2, "the mapping in force links by the handle");
    let standing = mapping(&project);
    assert_eq!((&standing["hash"], &standing["draft"]["checks"]), (&first["hash"], &true.into()), "{standing}");
    assert!(project.kith(&["status"]).ok().stdout.contains("DRAFT"));
    assert_eq!(entries(&project, "mapping.changed").len(), 1, "only the first start");
    say_until(&project, 2);
    let plan = project.kith(&["plan"]).ok();
    assert!(plan.stderr.contains("KITH-R065") && plan.stdout.contains("C2"), "a plan goes by what is in force: {}", plan.stdout);

    // A file that does not check hinders nobody either.
    let sound = fs::read_to_string(project.path(MAPPING)).unwrap();
    project.write(MAPPING, sound.replace("link_from:", "link_form:"));
    project.kith(&["run", "--once"]).ok();
    assert_eq!(in_crm(&project), 3);
    let broken = mapping(&project)["draft"].clone();
    assert_eq!(broken["checks"], false, "{broken}");
    assert!(broken["codes"].to_string().contains("KITH-M"), "{broken}");
    assert!(project.kith(&["status"]).ok().stdout.contains("does not check"));
    project.kith(&["mapping", "release", MAPPING, "--note", "x"]).fails(2, "link_from");
    project.write(MAPPING, &sound);

    // What can't be released.
    project.kith(&["mapping", "release"]).fails(2, "--note");
    for note in ["", "  ", "two\nlines", &"long ".repeat(200)] {
        project.kith(&["mapping", "release", "--note", note]).fails(2, "KITH-C015");
    }
    project.write("mappings/other.yaml", &sound);
    project.kith(&["mapping", "release", "mappings/other.yaml", "--note", "x"]).fails(2, "KITH-R066");
    let untrue = text.replacen("same: [handle], decide: link", "same: [handle], decide: review", 1);
    project.write(MAPPING, untrue);
    project.kith(&["mapping", "release", "--note", "x"]).fails(1, "KITH-R067");
    project.write(MAPPING, &text);
    project.kith(&["mapping", "release", "--note", "x"]).fails(1, "KITH-R066");
    assert_eq!(releases(&project).len(), 1, "nothing of that is a release");

    // The release, by whoever runs the command.
    project.write(MAPPING, &sound);
    let done = project.kith(&["--format", "json", "mapping", "release", MAPPING, "--note", "handles are reused"]).ok().json();
    assert_eq!(mapping(&project)["hash"], done["hash"]);
    say_until(&project, 3);
    let ran = project.kith(&["run", "--once"]).ok();
    assert!(!ran.stderr.contains("KITH-R065"), "{}", ran.stderr);
    assert_eq!(in_crm(&project), 3, "now a person is asked");
    let told = entries(&project, "approval.given");
    let matter = told[0]["entry"]["what"]["matter"].as_str().unwrap();
    assert_eq!(matter, format!("mapping release {}: handles are reused", done["hash"].as_str().unwrap()));
    let changed = entries(&project, "mapping.changed");
    assert_eq!(changed.len(), 2);
    assert_eq!(changed[1]["entry"]["actor"]["kind"], "person", "{}", changed[1]);
    assert!(changed[1]["entry"]["what"]["diff"].as_str().unwrap().lines().any(|line| line.starts_with('-')), "{}", changed[1]);

    // What was in force reads as it did, to the letter.
    let listed = releases(&project);
    assert_eq!(listed.len(), 2);
    assert_eq!((&listed[0]["note"], &listed[0]["to"], &listed[1]["to"]), (&json!("handles are reused"), &Value::Null, &listed[0]["from"]));
    let old = listed[1]["hash"].as_str().unwrap();
    assert_eq!(project.kith(&["mapping", "show", &old[..12]]).ok().stdout.trim_end(), text.trim_end());
    assert_eq!(project.kith(&["mapping", "show"]).ok().stdout.trim_end(), sound.trim_end());
    let then = project.kith(&["mapping", "show", "--on", listed[1]["from"].as_str().unwrap()]).ok();
    assert_eq!(then.stdout.trim_end(), text.trim_end());
    let today = &listed[0]["from"].as_str().unwrap()[..10];
    assert_eq!(project.kith(&["mapping", "show", "--on", today]).ok().stdout.trim_end(), sound.trim_end(), "as that day ended");
    let model = project.kith(&["mapping", "show", "--named", "models/retail.yaml"]).ok().stdout;
    assert_eq!(model.trim_end(), fs::read_to_string(project.path("mappings/models/retail.yaml")).unwrap().trim_end());
    project.kith(&["mapping", "show", "--on", "2001-01-01"]).fails(2, "KITH-C015");
    project.kith(&["mapping", "show", "--on", "yesterday"]).fails(2, "KITH-C015");
    project.kith(&["mapping", "show", "--named", "nothing"]).fails(2, "KITH-C015");
    project.kith(&["mapping", "show", "abcdef"]).fails(2, "KITH-R068");

    // And back. The file is a draft from then on.
    project.kith(&["mapping", "rollback", "abcdef"]).fails(1, "KITH-R068");
    project.kith(&["mapping", "rollback", &old[..4]]).fails(1, "KITH-R068");
    // Also by the digest that decisions name.
    let digest = listed[1]["mapping"].as_str().unwrap();
    project.kith(&["mapping", "rollback", digest, "--note", "too many cases"]).ok();
    project.kith(&["mapping", "rollback", &old[..12]]).fails(1, "KITH-R066");
    say_until(&project, 4);
    project.run_once();
    assert_eq!(in_crm(&project), 4, "the handle links again");
    let standing = mapping(&project);
    assert_eq!((standing["hash"].as_str(), &standing["how"]), (Some(old), &json!("rolled-back")), "{standing}");
    assert!(standing["draft"].is_object(), "{standing}");
    assert_eq!(releases(&project).len(), 3);
    assert_eq!(entries(&project, "approval.given").len(), 2);
    project.kith(&["audit", "verify"]).ok();
    project.kith(&["doctor", "--store", "--dry-run"]).ok();
}

#[test]
fn another_model_is_another_release_and_goes_back_with_its_mapping() {
    let project = project();
    project.run_once();
    let model = "mappings/models/retail.yaml";
    let before = fs::read_to_string(project.path(model)).unwrap();
    project.edit(model, "prior: { share: 57.6", "prior: { share: 56.6");
    assert!(mapping(&project)["draft"].is_object(), "the model belongs to what is released");
    project.kith(&["mapping", "release", "--note", "fewer customers among them"]).ok();
    let listed = releases(&project);
    assert_eq!(listed[0]["mapping"], listed[1]["mapping"]);
    assert_ne!(listed[0]["model"], listed[1]["model"]);
    let both = listed[0]["mapping"].as_str().unwrap();
    project.kith(&["mapping", "rollback", both]).fails(1, "several");
    project.kith(&["mapping", "rollback", listed[1]["hash"].as_str().unwrap()]).ok();
    let shown = project.kith(&["mapping", "show", "--named", "models/retail.yaml"]).ok().stdout;
    assert_eq!(shown.trim_end(), before.trim_end());
    project.run_once();
    assert_eq!(entries(&project, "model.changed").len(), 3, "the first, the release, the rollback");
}

#[test]
fn a_running_service_keeps_what_is_released_over_reloads_and_takes_releases_over_its_socket() {
    let project = project();
    project.edit("config/kith.toml", "mapping = ", "poll_seconds = 1\nmapping = ");
    let service = Running::start(&project);
    service.until("delivered", |status| status["delivered"] == 1);
    draft(&project);
    let reloaded = project.kith(&["reload"]).ok();
    assert!(reloaded.stdout.contains("KITH-R065"), "{}", reloaded.stdout);
    say_until(&project, 1);
    service.until("delivered by what is in force", |status| status["delivered"] == 2);

    let done = project.kith(&["--format", "json", "mapping", "release", "--note", "ask first"]).ok().json();
    assert_eq!(service.status()["mapping"]["hash"], done["hash"]);
    say_until(&project, 2);
    service.until("asked", |status| status["totals"]["activities"]["in_flight: waiting_review"] == 1);
    project.kith(&["mapping", "release", "--note", "again"]).fails(1, "KITH-R066");
    project.kith(&["mapping", "rollback", "abcdef"]).fails(1, "KITH-R068");
    let old = releases(&project)[1]["hash"].as_str().unwrap().to_owned();
    let back = project.kith(&["--format", "json", "mapping", "rollback", &old[..8]]).ok().json();
    assert_eq!(back["hash"], old);
    say_until(&project, 3);
    service.until("linked again", |status| status["delivered"] == 3);
    assert_eq!(service.end(), Some(0));
    // The next start has it still, and the log names who asked by their user id.
    project.run_once();
    assert_eq!(mapping(&project)["hash"], old);
    let told = entries(&project, "approval.given");
    assert!(told.len() == 2 && told.iter().all(|entry| entry["entry"]["actor"]["name"].as_str().unwrap().contains("uid")), "{told:?}");
    assert_eq!(kinds(&project, "mapping.changed"), 3);
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn roles_say_who_may_release() {
    let project = project();
    project.run_once();
    draft(&project);
    let config = fs::read_to_string(project.path("config/kith.toml")).unwrap();
    let as_role = |role: &str| {
        let user = project.kith(&["--format", "json", "mapping", "releases"]).ok().json()["releases"][0]["by"].as_str().unwrap().to_owned();
        project.write("config/kith.toml", format!("{config}\n[roles]\n{user} = \"{role}\"\n"));
    };
    as_role("reviewer");
    project.kith(&["mapping", "release", "--note", "x"]).fails(1, "KITH-R056");
    project.kith(&["mapping", "rollback", "abcdef"]).fails(1, "KITH-R056");
    assert_eq!(releases(&project).len(), 1);
    as_role("steward");
    project.kith(&["mapping", "release", "--note", "x"]).ok();
    as_role("operator");
    project.kith(&["mapping", "rollback", releases(&project)[1]["hash"].as_str().unwrap()]).ok();
    assert_eq!(releases(&project).len(), 3);
}

#[test]
fn where_the_configuration_says_so_each_start_takes_the_file_over() {
    let project = project();
    project.edit("config/kith.toml", "mapping = ", "release = \"on-start\"\nmapping = ");
    project.run_once();
    draft(&project);
    assert!(project.kith(&["status"]).ok().stdout.contains("the next start or reload takes it over"));
    say_until(&project, 1);
    let ran = project.kith(&["run", "--once"]).ok();
    assert!(!ran.stderr.contains("KITH-R065"), "{}", ran.stderr);
    assert_eq!(in_crm(&project), 1, "a person is asked about the second");
    let listed = releases(&project);
    assert_eq!((&listed[0]["how"], &listed[1]["how"]), (&json!("taken-over"), &json!("first-start")));
    project.kith(&["check"]).ok();
    project.edit("config/kith.toml", "\"on-start\"", "\"at-night\"");
    project.kith(&["check"]).fails(2, "KITH-C007");
}

#[test]
fn configuration_and_mapping_that_change_together_are_released_while_nobody_runs() {
    let project = project();
    project.run_once();
    project.edit("config/kith.toml", "[targets.service_desk]", "[targets.helpdesk]");
    let ran = project.kith(&["run", "--once"]).fails(2, "service_desk");
    assert!(ran.stderr.contains("as released"), "{}", ran.stderr);
    let text = fs::read_to_string(project.path(MAPPING)).unwrap().replace("service_desk", "helpdesk");
    project.write(MAPPING, text);
    project.kith(&["mapping", "release", "--note", "the desk has another name"]).ok();
    project.run_once();
    let old = releases(&project)[1]["hash"].as_str().unwrap().to_owned();
    project.kith(&["mapping", "rollback", &old]).fails(1, "service_desk");
    assert_eq!(releases(&project).len(), 2, "what does not check does not come back");
}
