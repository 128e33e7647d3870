//! Bad days, from the outside with the binary: half a customer file, a flood of deletions, a first run that would write too much, a mapping that
//! would relink nearly everybody, a target that is down for long. What would change too much waits, and a person settles it.

use crate::support::clock::FasterClock;
use crate::support::receiver::{KEY, Receiver, hook};
use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, activity, deleted, edited, lines};
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

fn customers(from: u32, to: u32) -> String {
    let row = |n: u32| format!("C{n},Someone Else,,,,,,,,instagram:handle{n},standard\n");
    CUSTOMERS_HEADER.to_owned() + &(from..to).map(row).collect::<String>()
}

fn said(n: u32) -> Value {
    activity("instagram", &format!("u{n}"), &format!("handle{n}"), "x", n, "my order arrived broken")
}

/// A project whose people are all linked and written.
fn hundred_links() -> Project {
    let project = Project::empty();
    project.write("data/customers.csv", customers(0, 100));
    project.write("data/orders.csv", ORDERS_HEADER);
    project.write("data/activities.ndjson", lines(&(0..100).map(said).collect::<Vec<_>>()));
    let run = project.run_once();
    assert_eq!((run["decisions"]["linked"].as_u64(), interactions(&project)), (Some(100), 100), "{run}");
    project
}

fn interactions(project: &Project) -> usize {
    project.crm("SELECT ActivityID FROM SocialInteraction").len()
}

/// The passes that wait, as `kith status` tells programs.
fn waiting(project: &Project) -> Vec<Value> {
    let status = project.kith(&["--format", "json", "status"]).ok().json();
    status["guarded"].as_array().unwrap().iter().filter(|pass| pass["state"] == "waits").cloned().collect()
}

fn the_one(project: &Project, matter: &str) -> String {
    let passes = waiting(project);
    assert_eq!(passes.len(), 1, "{passes:?}");
    assert_eq!(passes[0]["matter"], matter, "{passes:?}");
    passes[0]["pass"].to_string()
}

fn approvals(project: &Project) -> Vec<Value> {
    let told = project.kith(&["--format", "json", "audit", "search", "--kind", "approval.given"]).ok().stdout;
    told.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line.to_string().contains("approval.given"))
        .collect()
}

#[test]
fn half_a_customer_file_waits_with_numbers_and_examples_and_a_person_settles_it() {
    let project = hundred_links();
    project.write("data/customers.csv", customers(0, 50));
    let ran = project.kith(&["run", "--once"]).fails(1, "KITH-U030");
    assert!(ran.stderr.contains("50 of 100 customers are missing") && ran.stderr.contains("among them customers C5"), "{}", ran.stderr);
    assert_eq!(interactions(&project), 100, "nothing of the pass is applied");
    let pass = the_one(&project, "retire");
    let page = project.kith(&["status"]).ok().stdout;
    assert!(page.contains(&format!("pass {pass} waits")) && page.contains("50 of 100") && page.contains("kith approve"), "{page}");

    // Refused: this file is never applied, whatever runs; the whole one is.
    project.kith(&["reject", &pass]).ok();
    assert!(waiting(&project).is_empty());
    project.kith(&["run", "--once"]).fails(1, "rejected it");
    assert_eq!(interactions(&project), 100);
    project.kith(&["reject", &pass]).fails(1, "KITH-R063");
    project.write("data/customers.csv", customers(0, 100));
    project.kith(&["run", "--once"]).ok();

    // They are really gone: approved, applied once.
    project.write("data/customers.csv", customers(0, 60));
    project.kith(&["run", "--once"]).fails(1, "KITH-U030");
    let pass = the_one(&project, "retire");
    project.kith(&["approve", &pass]).ok();
    // Forty links end with it: that is the next guard's question.
    project.kith(&["run", "--once"]).fails(1, "KITH-U031");
    assert_eq!(interactions(&project), 100);
    let relink = the_one(&project, "relink");
    project.kith(&["approve", &relink]).ok();
    project.kith(&["run", "--once"]).ok();
    assert_eq!(interactions(&project), 60);
    let told = approvals(&project);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().any(|entry| entry.to_string().contains("refused")), "{told:?}");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn a_mapping_that_would_relink_nearly_half_waits_when_the_crm_moves() {
    let project = hundred_links();
    // Another steward's mapping believes in e-mail addresses alone, and the CRM's next export touches forty customers.
    let mapping = fs::read_to_string(project.path("mappings/retail.yaml")).unwrap();
    let at = mapping.find("- { id: handle-on-file").unwrap();
    let line = mapping[..at].rfind('\n').unwrap() + 1;
    let end = line + mapping[line..].find('\n').unwrap() + 1;
    let without = format!("{}{}", &mapping[..line], &mapping[end..]);
    let without = without[..without.find("\ntests:").unwrap()].replace("  model: models/retail.yaml\n", "");
    project.write("mappings/retail.yaml", &without);
    project.kith(&["mapping", "release", "--note", "addresses alone"]).ok();
    project.kith(&["run", "--once"]).ok();
    assert_eq!(interactions(&project), 100, "a changed mapping changes nothing by itself");
    let touched: String = customers(0, 100)
        .lines()
        .map(|row| {
            let number: u32 = row.split([',', 'C']).nth(1).and_then(|n| n.parse().ok()).unwrap_or(100);
            if number < 40 { format!("{}\n", row.replace("standard", "gold")) } else { format!("{row}\n") }
        })
        .collect();
    project.write("data/customers.csv", touched);
    let ran = project.kith(&["run", "--once"]).fails(1, "KITH-U031");
    assert!(ran.stderr.contains("40 of 100 links"), "{}", ran.stderr);
    assert_eq!(interactions(&project), 100);
    the_one(&project, "relink");
    // The old mapping again: the same export passes, and nobody has to say anything.
    project.write("mappings/retail.yaml", mapping);
    project.kith(&["mapping", "release", "--note", "as it was"]).ok();
    project.kith(&["run", "--once"]).ok();
    assert!(waiting(&project).is_empty());
    assert_eq!(interactions(&project), 100);
}

#[test]
fn a_flood_of_deletions_waits_and_a_rejected_one_deletes_nothing() {
    let project = hundred_links();
    let flood = |from: u32, to: u32| lines(&(from..to).map(|n| deleted(&said(n), "2026-09-03T10:00:00Z")).collect::<Vec<_>>());
    let mut log = fs::read_to_string(project.path("data/activities.ndjson")).unwrap();
    // Twenty always may.
    log += &flood(0, 20);
    project.write("data/activities.ndjson", &log);
    project.kith(&["run", "--once"]).ok();
    assert_eq!(interactions(&project), 80);

    log += &flood(20, 50);
    // Somebody new writes meanwhile: nothing of the pass is applied, and nothing of it is lost.
    log += &lines(&[activity("instagram", "u7", "handle7", "x", 507, "and another thing")]);
    project.write("data/activities.ndjson", &log);
    let run = project.kith(&["--format", "json", "run", "--once"]).fails(1, "KITH-U042").json();
    assert_eq!((run["in_flight"].as_u64(), run["conservation_gap"].as_u64()), (Some(31), Some(0)), "{run}");
    assert_eq!(interactions(&project), 80);
    let pass = the_one(&project, "delete");
    project.kith(&["reject", &pass]).ok();
    let run = project.run_once();
    assert_eq!((run["in_flight"].as_u64(), run["conservation_gap"].as_u64()), (Some(0), Some(0)), "{run}");
    assert_eq!(interactions(&project), 81, "the thirty stand, and what came beside them is written");

    log += &flood(50, 90);
    project.write("data/activities.ndjson", &log);
    project.kith(&["run", "--once"]).fails(1, "KITH-U042");
    let pass = the_one(&project, "delete");
    project.kith(&["approve", &pass]).ok();
    project.kith(&["run", "--once"]).ok();
    assert_eq!(interactions(&project), 41);
    assert!(waiting(&project).is_empty());
}

#[test]
fn a_first_run_that_would_write_too_much_writes_nothing_before_a_person_says_so() {
    let project = Project::empty();
    let config = fs::read_to_string(project.path("config/kith.toml")).unwrap() + "\n[guard]\nfirst_writes = 50\n";
    project.write("config/kith.toml", config);
    project.write("data/customers.csv", customers(0, 100));
    project.write("data/orders.csv", ORDERS_HEADER);
    project.write("data/activities.ndjson", lines(&(0..100).map(said).collect::<Vec<_>>()));
    let ran = project.kith(&["run", "--once"]).fails(1, "KITH-U043");
    assert!(ran.stderr.contains("would write 200 records"), "{}", ran.stderr);
    assert_eq!(interactions(&project), 0);
    let pass = the_one(&project, "first-writes");
    // A restart, or a kill, forgets nothing.
    project.kith(&["run", "--once"]).fails(1, "KITH-U043");
    assert_eq!((interactions(&project), the_one(&project, "first-writes")), (0, pass.clone()));
    project.kith(&["approve", &pass]).ok();
    project.kith(&["run", "--once"]).ok();
    assert_eq!(interactions(&project), 100);
}

#[test]
fn first_writes_that_are_refused_never_leave() {
    let project = Project::empty();
    let config = fs::read_to_string(project.path("config/kith.toml")).unwrap() + "\n[guard]\nfirst_writes = 5\n";
    project.write("config/kith.toml", config);
    project.write("data/customers.csv", customers(0, 10));
    project.write("data/orders.csv", ORDERS_HEADER);
    project.write("data/activities.ndjson", lines(&(0..10).map(said).collect::<Vec<_>>()));
    project.kith(&["run", "--once"]).fails(1, "KITH-U043");
    project.kith(&["reject", &the_one(&project, "first-writes")]).ok();
    let run = project.run_once();
    assert_eq!(
        (run["in_flight"].as_u64(), run["dropped"].as_u64(), run["conservation_gap"].as_u64()),
        (Some(0), Some(10), Some(0)),
        "{run}"
    );
    assert_eq!(interactions(&project), 0);
    let state = rusqlite::Connection::open(project.path("state/kith.db")).unwrap();
    let undated: i64 =
        state.query_row("SELECT count(*) FROM delivery WHERE state = 5 AND changed_at IS NULL", (), |row| row.get(0)).unwrap();
    assert_eq!(undated, 0, "when a person said so stands with each delivery");
}

fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < Duration::from_secs(90), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_is_paused_stays_so_over_a_kill_and_goes_on_without_a_restart() {
    let project = hundred_links();
    project.kith(&["pause", "nothing"]).fails(1, "KITH-R062");
    project.kith(&["pause", "crm_db"]).ok();
    let mut service = project.spawn(&["run"]);
    wait_for("a service", || project.path("state/control.sock").exists());
    project.append("data/activities.ndjson", lines(&[activity("instagram", "u7", "handle7", "x", 507, "and another thing")]));
    let status = || project.kith(&["--format", "json", "status"]).ok().json();
    wait_for("it is taken in and planned", || status()["totals"]["deliveries"]["crm_db: planned"] == 1);
    assert_eq!(interactions(&project), 100);
    service.kill().unwrap();
    service.wait().unwrap();
    // One pass ends with it, and says why it wrote nothing.
    let run = project.kith(&["--format", "json", "run", "--once"]).json();
    assert!(run["waits"].to_string().contains("kith resume"), "{run}");
    assert_eq!(interactions(&project), 100);
    let page = project.kith(&["status"]).ok().stdout;
    assert!(page.contains("paused") && page.contains("crm_db"), "{page}");

    // A source too: what is there is not even looked at.
    let mut service = project.spawn(&["run"]);
    wait_for("a service", || project.path("state/control.sock").exists());
    project.kith(&["pause", "activities"]).ok();
    project.append("data/activities.ndjson", lines(&[activity("instagram", "u8", "handle8", "x", 508, "and another thing")]));
    project.kith(&["resume", "crm_db"]).ok();
    wait_for("what waited leaves at once", || interactions(&project) == 101);
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(status()["received"], 101);
    project.kith(&["resume", "all"]).ok();
    wait_for("everything goes on", || interactions(&project) == 102);
    assert!(status()["paused"].as_array().unwrap().is_empty());
    service.kill().unwrap();
    service.wait().unwrap();
    let told = project.kith(&["--format", "json", "audit", "search", "--kind", "paused"]).ok().stdout;
    assert!(told.contains("crm_db") && told.contains("activities"), "{told}");
}

#[test]
fn a_target_that_is_down_for_an_hour_loses_nothing_blames_nothing_and_is_told_once() {
    let Some(clock) = FasterClock::installed(60) else { return };
    let project = Project::empty();
    project.write("data/customers.csv", customers(0, 100));
    project.write("data/orders.csv", ORDERS_HEADER);
    // The CRM is a file in a folder that can't be made while a file stands in its place.
    project.edit("config/kith.toml", "path = \"crm/crm.db\"", "path = \"away/crm.db\"");
    project.write("away", "a file");
    let receiver = Receiver::webhook(&project, &[]);
    project.write("webhook.key", format!("{KEY}\n"));
    let config = fs::read_to_string(project.path("config/kith.toml")).unwrap();
    let told = format!(
        "\n[targets.on_call]\nconnector = \"connectors/targets/notify.yaml\"\n{}\n[alarms]\nto = \"on_call\"\nafter_seconds = 300\nreview_backlog = 1000\n",
        hook(receiver.port, "")
    );
    project.write("config/kith.toml", config + &told);
    project.write("data/activities.ndjson", lines(&(0..40).map(said).collect::<Vec<_>>()));
    let mut service = clock
        .hold(&mut project.command(&["run"]))
        .stdout(std::process::Stdio::null())
        .stderr(fs::File::create(project.path("service.log")).unwrap())
        .spawn()
        .unwrap();
    wait_for("a service", || project.path("state/control.sock").exists());
    let status = || project.kith(&["--format", "json", "status"]).ok().json();
    wait_for("they are planned", || status()["totals"]["deliveries"]["crm_db: planned"].as_u64().is_some_and(|n| n >= 80));
    let down_since = Instant::now();
    // The day goes on: new posts, edits and deletions of what never arrived.
    let edits = (0..5).map(|n| edited(&said(n), "it was the other order", "2026-09-03T10:00:00Z"));
    let deletions = (5..10).map(|n| deleted(&said(n), "2026-09-03T10:00:00Z"));
    project.append("data/activities.ndjson", lines(&(40..60).map(said).chain(edits).chain(deletions).collect::<Vec<_>>()));
    wait_for("intake goes on", || status()["received"] == 70);
    let hour = clock.ours(Duration::from_secs(3_600));
    std::thread::sleep(hour.saturating_sub(down_since.elapsed()) + Duration::from_secs(1));

    let before = status();
    let crm = before["endpoints"].as_array().unwrap().iter().find(|endpoint| endpoint["target"] == "crm_db").unwrap().clone();
    // Asked at growing distances, at most five minutes: neither forgotten nor stormed.
    let failures = crm["failures"].as_u64().unwrap();
    assert!((12..=60).contains(&failures), "{crm}");
    let deliveries = before["totals"]["deliveries"].as_object().unwrap();
    assert!(!deliveries.keys().any(|key| key.ends_with("parked")), "no delivery is blamed: {before}");
    assert_eq!(receiver.alarms("BreakerOpen", "began"), 1, "{:?}", receiver.got());
    assert_eq!(receiver.alarms("BreakerOpen", "ended"), 0);
    let page = project.kith(&["status"]).ok().stdout;
    assert!(page.contains("crm_db") && page.contains("KITH-D001"), "{page}");

    fs::remove_file(project.path("away")).unwrap();
    let rows = |sql: &str| -> Vec<(String, String)> {
        let Ok(crm) = rusqlite::Connection::open(project.path("away/crm.db")) else { return Vec::new() };
        let Ok(mut query) = crm.prepare(sql) else { return Vec::new() };
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let bodies = || rows("SELECT ActivityID, Body FROM SocialInteraction");
    wait_for("everything arrives by itself", || bodies().len() == 55 && status()["in_flight"] == 0);
    wait_for("that it is back is told", || receiver.alarms("BreakerOpen", "ended") == 1);
    service.kill().unwrap();
    service.wait().unwrap();

    let bodies = bodies();
    assert_eq!(bodies.iter().filter(|(_, body)| body == "it was the other order").count(), 5, "the newest words, not the first");
    for n in 5..10 {
        assert!(!bodies.iter().any(|(id, _)| id.ends_with(&format!("/{n}"))), "what is gone upstream never came: {n}");
    }
    let ledger = rows("SELECT 'ledger', CAST(count(*) - count(DISTINCT idempotency_key) AS TEXT) FROM kith_ledger");
    assert_eq!(ledger, [("ledger".to_owned(), "0".to_owned())]);
    let after = status();
    assert_eq!((after["conservation_gap"].as_i64(), after["received"].as_u64()), (Some(0), Some(70)), "{after}");
    project.kith(&["audit", "verify"]).ok();
    // By the log's own clock it was an hour.
    let entries = crate::kills::entries(&project);
    let time = |entry: &Value| entry["entry"]["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let of = |kind: &str| entries.iter().filter(|entry| entry["entry"]["kind"] == kind).map(time).collect::<Vec<_>>();
    let (tried, arrived) = (of("write.intended"), of("write.receipt"));
    let crm_first = tried.first().unwrap().duration_until(*arrived.last().unwrap());
    assert!(crm_first >= jiff::SignedDuration::from_hours(1), "{crm_first}");
}
