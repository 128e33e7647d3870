//! Dead letters: nothing that stands aside is lost, each way out is one step with its entry, and the conservation sum holds through all of them.

use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, activity, deleted, edited, lines};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const LIMITED: &str = "Body:           { type: text, max_length: 20 }";
const ROOMY: &str = "Body:           { type: text, max_length: 4000 }";
const LONG: &str = "this text is longer than the field of the CRM";

/// A project whose CRM takes 20 characters of a post, `notes` long posts by as many customers, and one good post.
fn project(notes: u32) -> Project {
    let project = Project::empty();
    let mut customers = CUSTOMERS_HEADER.to_owned();
    for n in 0..10 {
        writeln!(customers, "C{n},Given{n} Family{n},p{n}@example.org,,,,,UK,,instagram:handle{n},standard").unwrap();
    }
    project.write("data/customers.csv", customers);
    project.write("data/orders.csv", ORDERS_HEADER);
    project.edit("connectors/targets/sqlite.yaml", ROOMY, LIMITED);
    project.edit("mappings/retail.yaml", "Body: { from: object.content, truncate: 4000 }", "Body: object.content");
    let mut said: Vec<_> = (0..notes).map(|n| note(n, LONG)).collect();
    said.push(note(9, "short"));
    project.write("data/activities.ndjson", lines(&said));
    project
}

fn note(n: u32, content: &str) -> Json {
    activity("instagram", &format!("u{n}"), &format!("handle{n}"), "x", n, content)
}

fn letters(project: &Project, filters: &[&str]) -> Vec<Json> {
    let mut args = vec!["--format", "json", "dead-letter", "list"];
    args.extend(filters);
    project.kith(&args).ok().stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn ids(letters: &[Json]) -> Vec<String> {
    letters.iter().map(|l| l["letter"].as_str().unwrap().to_owned()).collect()
}

fn entries(project: &Project, kind: &str) -> Vec<Json> {
    let ran = project.kith(&["--format", "json", "audit", "search", "--kind", kind]).ok();
    ran.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[track_caller]
fn sum(project: &Project) -> Json {
    let status = project.kith(&["--format", "json", "status"]).ok().json();
    assert_eq!(status["conservation_gap"], 0, "{status}");
    status
}

fn show(project: &Project, id: &str) -> Json {
    project.kith(&["--format", "json", "dead-letter", "show", id, "--reveal"]).ok().json()
}

fn bodies(project: &Project) -> Vec<String> {
    project.crm("SELECT Body FROM SocialInteraction")
}

#[test]
fn a_parked_delivery_is_listed_shown_and_sent_again_after_the_target_was_mended() {
    let project = project(3);
    let run = project.run_once();
    assert_eq!((run["parked"].as_u64(), run["delivered"].as_u64()), (Some(3), Some(1)), "{run}");
    let found = letters(&project, &[]);
    assert_eq!(found.len(), 3);
    assert_eq!((found[0]["code"].as_str(), found[0]["entry"].as_str()), (Some("KITH-D004"), Some("interaction")), "{}", found[0]);

    // Without --reveal nothing personal; with it, the log says so first.
    let id = found[0]["letter"].as_str().unwrap();
    let shown = project.kith(&["dead-letter", "show", id]).ok();
    assert!(!shown.stdout.contains(LONG) && !shown.stdout.contains("instagram.example"), "{}", shown.stdout);
    assert!(shown.stdout.contains("attempt 1") && shown.stdout.contains("would be sent again"), "{}", shown.stdout);
    assert!(entries(&project, "personal.read").is_empty());
    let revealed = show(&project, id);
    assert_eq!(revealed["payload"]["Body"], LONG);
    assert_eq!(entries(&project, "personal.read").len(), 1);

    // Nothing changes on a dry run.
    project.edit("connectors/targets/sqlite.yaml", LIMITED, ROOMY);
    let dry = project.kith(&["dead-letter", "replay", "--all", "--dry-run"]).ok();
    assert_eq!(dry.stdout.matches("would be sent again").count(), 3, "{}", dry.stdout);
    assert_eq!(letters(&project, &[]).len(), 3);
    assert!(entries(&project, "dead_letter.replayed").is_empty());

    project.kith(&["dead-letter", "replay", "--all", "--target", "crm_db"]).ok();
    assert!(letters(&project, &[]).is_empty());
    assert_eq!(sum(&project)["in_flight"], 3);
    let told = entries(&project, "dead_letter.replayed");
    assert_eq!(told.len(), 3);
    let entry = &told[0]["entry"];
    assert_eq!((entry["actor"]["kind"].as_str(), entry["what"]["target"].as_str()), (Some("person"), Some("crm_db")));
    for part in ["activity", "decision", "delivery"] {
        assert!(entry["correlation"][part].is_string(), "{entry}");
    }
    let run = project.run_once();
    assert_eq!((run["delivered"].as_u64(), run["parked"].as_u64()), (Some(4), Some(0)), "{run}");
    assert_eq!(bodies(&project), ["short", LONG, LONG, LONG]);
    project.kith(&["audit", "verify"]).ok();
    let again = project.kith(&["dead-letter", "replay", id]).fails(1, "KITH-R021");
    assert!(again.stdout.contains("delivered"), "{}", again.stdout);
}

#[test]
fn a_letter_is_edited_by_field_or_as_a_whole_and_the_log_holds_before_and_after() {
    let project = project(2);
    project.run_once();
    let found = ids(&letters(&project, &[]));
    for (set, says) in [
        ("Bod=x", "did you mean `Body`"),
        ("ActivityID=x", "another key would be another record"),
        ("Priority=high", "`Priority` holds integer"),
        (&*format!("Body={LONG}!"), "KITH-D004"),
    ] {
        let ran = project.kith(&["dead-letter", "replay", &found[0], "--set", set]).fails(1, "KITH-R024");
        assert!(ran.stdout.contains(says) && !ran.stdout.contains(LONG), "{}", ran.stdout);
    }
    project.kith(&["dead-letter", "replay", &found[0], "--set", "Body=x", "--set", "CustomerID="]).fails(1, "KITH-D006");
    assert_eq!(letters(&project, &[]).len(), 2, "a refused edit changes nothing");

    project.kith(&["dead-letter", "replay", &found[0], "--set", "Body=mended by field", "--set", "Topic="]).ok();
    let mut payload = show(&project, &found[1])["payload"].clone();
    payload["Body"] = "mended as a whole".into();
    payload.as_object_mut().unwrap().remove("Topic");
    project.write("mended.json", payload.to_string());
    project.kith(&["dead-letter", "replay", &found[1], "--edit", "mended.json"]).ok();
    project.run_once();
    assert_eq!(bodies(&project), ["mended as a whole", "mended by field", "short"]);
    assert_eq!(sum(&project)["delivered"], 3);

    let told = entries(&project, "dead_letter.replayed");
    assert_eq!(told.len(), 2);
    assert!(!told[0]["entry"].to_string().contains("mended"), "in clear: {}", told[0]);
    let number = told[0]["number"].to_string();
    let opened = project.kith(&["--format", "json", "audit", "show", &number, "--reveal"]).ok().stdout;
    assert!(opened.contains("mended by field") && opened.contains(LONG), "{opened}");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn an_older_letter_never_goes_over_newer_data_and_the_others_go_on() {
    let project = project(2);
    project.run_once();
    // A short edit of the first note arrives and is delivered.
    let first = note(0, LONG);
    let more = lines(&[first.clone(), note(1, LONG), note(9, "short"), edited(&first, "newer", "2026-09-02T10:00:00Z")]);
    project.write("data/activities.ndjson", more);
    project.run_once();
    assert_eq!(bodies(&project), ["newer", "short"]);
    project.edit("connectors/targets/sqlite.yaml", LIMITED, ROOMY);
    let found = ids(&letters(&project, &[]));
    let shown = project.kith(&["--format", "json", "dead-letter", "show", &found[0]]).ok().json();
    assert_eq!(shown["replay"]["possible"], false, "{shown}");
    for dry in [true, false] {
        let mut args = vec!["dead-letter", "replay", "--all"];
        args.extend(dry.then_some("--dry-run"));
        let ran = project.kith(&args).fails(1, "KITH-R022");
        assert!(ran.stderr.contains("1 stay as they are"), "{}", ran.stderr);
    }
    project.run_once();
    assert_eq!(bodies(&project), ["newer", "short", LONG]);
    project.kith(&["dead-letter", "drop", &found[0], "--reason", "out of date"]).ok();
    assert!(letters(&project, &[]).is_empty());
    let status = sum(&project);
    assert_eq!(status["totals"]["activities"]["dropped: dropped-by-person"], 1, "{status}");
    let told = entries(&project, "dead_letter.dropped");
    assert_eq!(told[0]["entry"]["why"]["rule"], "dropped-by-person");
    assert!(!told[0]["entry"].to_string().contains("out of date"), "a reason is sealed");
    let opened = project.kith(&["audit", "show", &told[0]["number"].to_string(), "--reveal"]).ok().stdout;
    assert!(opened.contains("out of date"), "{opened}");
}

#[test]
fn what_a_person_dropped_does_not_stand_written_and_a_later_delete_withdraws_nothing() {
    let project = project(1);
    project.run_once();
    let found = ids(&letters(&project, &[]));
    project.kith(&["dead-letter", "drop", &found[0], "--reason", "not worth it", "--dry-run"]).ok();
    assert_eq!(letters(&project, &[]).len(), 1);
    project.kith(&["dead-letter", "drop", &found[0], "--reason", "not worth it"]).ok();
    let first = note(0, LONG);
    project.write("data/activities.ndjson", lines(&[first.clone(), note(9, "short"), deleted(&first, "2026-09-03T10:00:00Z")]));
    let run = project.run_once();
    assert_eq!(run["totals"]["activities"]["dropped: nothing-to-withdraw"], 1, "{run}");
    assert_eq!(sum(&project)["received"], 3);
}

#[test]
fn dropping_a_later_version_leaves_the_earlier_one_standing_and_a_delete_takes_it_back() {
    let project = project(0);
    project.run_once();
    let short = note(9, "short");
    let long = edited(&short, LONG, "2026-09-02T10:00:00Z");
    project.write("data/activities.ndjson", lines(&[short.clone(), long.clone()]));
    project.run_once();
    let found = ids(&letters(&project, &[]));
    assert_eq!((found.len(), bodies(&project)), (1, vec!["short".to_owned()]));
    project.kith(&["dead-letter", "drop", &found[0], "--reason", "the first wording stays"]).ok();
    project.write("data/activities.ndjson", lines(&[short.clone(), long, deleted(&short, "2026-09-03T10:00:00Z")]));
    project.run_once();
    assert!(bodies(&project).is_empty(), "the Delete must reach what stands");
    sum(&project);
}

#[test]
fn a_bad_line_is_taken_in_mended_and_the_sum_holds_on_both_days() {
    let project = project(0);
    let good = note(1, "good");
    let mended = note(2, "mended");
    let torn = mended.to_string().replace("\"published\":\"2026-09-01T10:00:00Z\"", "\"published\":\"yesterday\"");
    project.write("data/activities.ndjson", format!("{good}\n{torn}\nnot json at all\n"));
    let run = project.run_once();
    assert_eq!((run["received"].as_u64(), run["parked"].as_u64()), (Some(3), Some(2)), "{run}");
    let found = letters(&project, &["--kind", "line"]);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0]["line"].as_u64(), found[0]["code"].as_str()), (Some(2), Some("KITH-I010")), "{}", found[0]);
    let (bad_date, not_json) = (found[0]["letter"].as_str().unwrap(), found[1]["letter"].as_str().unwrap());
    assert!(show(&project, bad_date)["raw"].as_str().unwrap().contains("yesterday"));

    // As it is it is still no activity.
    let ran = project.kith(&["dead-letter", "replay", "--all"]).fails(1, "KITH-R025");
    assert!(ran.stdout.contains("KITH-I010") && ran.stdout.contains("KITH-I003"), "{}", ran.stdout);
    project.write("mended.ndjson", format!("{mended}\n"));
    project.kith(&["dead-letter", "replay", bad_date, "--edit", "mended.ndjson", "--dry-run"]).ok();
    project.kith(&["dead-letter", "replay", bad_date, "--edit", "mended.ndjson"]).ok();
    let status = sum(&project);
    assert_eq!((status["received"].as_u64(), status["totals"]["activities"]["dropped: replayed"].as_u64()), (Some(4), Some(1)), "{status}");
    let run = project.run_once();
    assert_eq!(bodies(&project), ["good", "mended"]);
    assert_eq!((run["delivered"].as_u64(), run["parked"].as_u64()), (Some(2), Some(1)), "{run}");

    // The same once more is a repeat of what is known: the line is done with, the repeat stands outside the sum.
    project.write("repeat.ndjson", format!("{good}\n"));
    let ran = project.kith(&["dead-letter", "replay", not_json, "--edit", "repeat.ndjson"]).ok();
    assert!(ran.stdout.contains("received before"), "{}", ran.stdout);
    let status = sum(&project);
    assert_eq!(
        (status["received"].as_u64(), status["duplicates"].as_u64(), status["parked"].as_u64()),
        (Some(4), Some(1), Some(0)),
        "{status}"
    );
    // Reading the file again finds the lines known.
    let told = entries(&project, "dead_letter.replayed");
    let parked = entries(&project, "input.parked");
    let ids: Vec<_> = parked.iter().map(|e| &e["entry"]["correlation"]["activity"]).collect();
    assert!(told.iter().all(|e| ids.contains(&&e["entry"]["correlation"]["activity"])), "a replay is tied to the line");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn a_mended_line_that_contradicts_what_is_stored_is_a_letter_again_and_a_dropped_line_is_done_with() {
    let project = project(0);
    let good = note(1, "good");
    project.write("data/activities.ndjson", format!("{good}\nbroken\nbroken too\n"));
    project.run_once();
    let found = ids(&letters(&project, &["--kind", "line"]));
    project.write("mended.ndjson", note(1, "something else").to_string());
    let ran = project.kith(&["dead-letter", "replay", &found[0], "--edit", "mended.ndjson"]).ok();
    assert!(ran.stdout.contains("KITH-I050"), "{}", ran.stdout);
    assert_eq!(sum(&project)["received"], 4);
    let new = letters(&project, &["--code", "KITH-I050"]);
    assert_eq!(new.len(), 1);
    let id = new[0]["letter"].as_str().unwrap();
    project.kith(&["dead-letter", "replay", id]).fails(1, "KITH-R026");
    assert!(show(&project, id)["raw"].as_str().unwrap().contains("something else"));
    let ran = project.kith(&["dead-letter", "drop", "--all", "--source", "activities", "--reason", "test data"]).ok();
    assert!(ran.stderr.contains("2 dropped"), "{}", ran.stderr);
    let status = sum(&project);
    assert_eq!(
        (status["parked"].as_u64(), status["totals"]["activities"]["dropped: dropped-by-person"].as_u64()),
        (Some(0), Some(2)),
        "{status}"
    );
    project.kith(&["dead-letter", "drop", id, "--reason", "again"]).fails(1, "KITH-R021");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn beside_a_running_service_letters_go_through_its_socket_and_leave_at_once() {
    let project = project(2);
    project.run_once();
    let mut service = project.spawn(&["run"]);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !project.path("state/control.sock").exists() {
        assert!(Instant::now() < deadline, "the service does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    let found = ids(&letters(&project, &[]));
    project.kith(&["dead-letter", "replay", &found[0], "--set", "Body=through the socket"]).ok();
    while bodies(&project).len() < 2 {
        assert!(Instant::now() < deadline, "the service was not woken");
        std::thread::sleep(Duration::from_millis(50));
    }
    project.kith(&["dead-letter", "drop", &found[1], "--reason", "no"]).ok();
    let ran = project.kith(&["dead-letter", "replay", "d999"]).fails(2, "KITH-R020");
    assert!(ran.stdout.is_empty());
    assert_eq!(bodies(&project), ["short", "through the socket"]);
    rustix_term(service.id());
    service.wait().unwrap();
    let told = entries(&project, "dead_letter.dropped");
    assert!(told[0]["entry"]["actor"]["name"].as_str().unwrap().contains("(uid "), "{}", told[0]);
    sum(&project);
    project.kith(&["audit", "verify"]).ok();
}

fn rustix_term(pid: u32) {
    assert!(std::process::Command::new("kill").arg(pid.to_string()).status().unwrap().success());
}

#[test]
fn what_was_asked_for_wrongly_changes_nothing_and_says_what_to_write() {
    let project = project(1);
    project.run_once();
    for (args, says) in [
        (&["dead-letter", "replay"][..], "--all"),
        (&["dead-letter", "replay", "17"], "d17"),
        (&["dead-letter", "drop", "d1"], "--reason"),
        (&["dead-letter", "drop", "d1", "--reason", " "], "sentence"),
        (&["dead-letter", "replay", "d1", "--all"], "cannot be used with"),
        (&["dead-letter", "replay", "--all", "--edit", "x.json"], "name the one letter"),
        (&["dead-letter", "replay", "d1", "--set", "Body"], "FIELD=VALUE"),
        (&["dead-letter", "show", "l77"], "KITH-R020"),
    ] {
        let ran = project.kith(args);
        assert_eq!(ran.code, Some(2), "{args:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(says), "{args:?}: {}", ran.stderr);
    }
    assert_eq!(letters(&project, &[]).len(), 1);
    assert_eq!(letters(&project, &["--kind", "line"]).len(), 0);
    assert_eq!(letters(&project, &["--entry", "interaction", "--operation", "upsert_interaction", "--source", "activities"]).len(), 1);
    assert_eq!(letters(&project, &["--since", "2100-01-01T00:00:00Z"]).len(), 0);
    assert_eq!(letters(&project, &["--until", "2100-01-01T00:00:00Z"]).len(), 1);
    assert_eq!(json!(sum(&project)["parked"]), json!(1));
}
