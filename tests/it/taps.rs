//! Singer taps from end to end: records become activities, states are kept with them, and however a tap or the service ends, nothing is lost and nothing
//! is delivered twice.

use crate::manifests::Server;
use crate::networks::counted;
use crate::service::Running;
use crate::support::{Project, activity, lines, root, slice};
use serde_json::{Value as Json, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// A third party's tap; `None`, said loudly, where it is not installed.
fn installed(program: &str) -> Option<PathBuf> {
    let named = std::env::var("KITH_TEST_SINGER").ok().map(PathBuf::from);
    let folder = std::env::temp_dir().join("kith-singer");
    let found = named.into_iter().chain([folder.join("bin").join(program)]).find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var("CI").is_err(), "no {program}");
        let folder = folder.display();
        eprintln!("SKIPPED: no {program} (python3 -m venv {folder}; {folder}/bin/pip install '{program}==1.4.*')");
    }
    found
}

/// The retail project with a tap in place of the file.
fn project(command: &str, records: &str, settings: &Json, more: &str) -> Project {
    let project = Project::with(&slice(20));
    project.edit(
        "config/kith.toml",
        "kind = \"file\"\npath = \"data/activities.ndjson\"",
        &format!("kind = \"singer\"\ncommand = \"{command}\"\nsettings = {{ file = \"settings.json\" }}\nrecords = \"{records}\"\nevery_seconds = 1\n{more}"),
    );
    project.write("settings.json", settings.to_string());
    project
}

/// Our own tap with these habits.
fn with_habits(habits: &Json, more: &str) -> Project {
    let project = project("tap.sh", "connectors/records/helpdesk.yaml", habits, more);
    let mut settings = habits.clone();
    settings["runs"] = project.path("runs").display().to_string().into();
    settings["token"] = "very-secret-token".into();
    project.write("settings.json", settings.to_string());
    project.write("tap.sh", format!("#!/bin/sh\nexec python3 '{}' \"$@\"\n", root().join("tests/support/tap.py").display()));
    make_executable(&project.path("tap.sh"));
    project
}

fn make_executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Where each run of our tap began, and its process.
fn runs(project: &Project) -> Vec<(i64, i64)> {
    let text = fs::read_to_string(project.path("runs")).unwrap_or_default();
    let run = |line: &str| serde_json::from_str::<Json>(line).ok().map(|run| (run["from"].as_i64().unwrap(), run["pid"].as_i64().unwrap()));
    text.lines().filter_map(run).collect()
}

/// Whether a process runs. Who is dead and was not reaped by the system's first process does not.
fn lives(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !matches!(rest.trim_start().chars().next(), Some('Z' | 'X')))
}

#[test]
fn a_third_partys_tap_gives_its_records_once_and_goes_on_by_its_state() {
    let Some(tap) = installed("tap-rest-api-msdk") else { return };
    let server = Server::start();
    let stream = json!({ "name": "items", "path": "/all", "primary_keys": ["id"], "records_path": "$[*]", "replication_key": "updated_at", "num_inference_records": 10 });
    let settings = json!({ "api_url": server.base, "streams": [stream] });
    let project = project(&tap.display().to_string(), "connectors/records/items.yaml", &settings, "");
    let records = r#"kith: 1
records: items
network: mastodon
streams:
  items:
    only: "record.id != 2"
    activity:
      type: "'Create'"
      id: "'https://x.example/activities/' + string(record.id)"
      published: "record.updated_at"
      actor: { type: "'Person'", id: "'https://x.example/users/' + string(record.id)", name: "record.Name" }
      object: { type: "'Note'", id: "'https://x.example/notes/' + string(record.id)", content: "record.note" }
"#;
    project.write("connectors/records/items.yaml", records);
    project.kith(&["check"]).ok();
    for _ in 0..2 {
        let run = project.kith(&["run", "--once"]).ok();
        assert_eq!(counted(&project), (24, 0, 0), "{}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains("the tap says") && !run.stderr.contains(&server.base), "{}", run.stderr);
        assert!(!project.path("state/taps/activities").exists(), "the settings are left behind");
    }
}

#[test]
fn a_tap_that_dies_is_told_and_the_next_run_begins_at_its_last_state() {
    let project = with_habits(&json!({ "until": 100, "state_every": 10, "die_at": 35, "exit": 7 }), "");
    let run = project.kith(&["run", "--once"]).fails(1, "exit code 7");
    for personal in ["Grace", "grace@", "very-secret-token"] {
        assert!(!run.stderr.contains(personal) && !run.stdout.contains(personal), "{personal} in {}{}", run.stdout, run.stderr);
    }
    // What came after the last state is kept, too.
    assert_eq!(counted(&project), (34, 0, 0));
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project), (100, 0, 0));
    assert_eq!(runs(&project).iter().map(|run| run.0).collect::<Vec<_>>(), [1, 31]);
}

#[test]
fn lines_that_are_no_messages_park_once_and_the_records_go_on() {
    let project = with_habits(&json!({ "until": 20, "state_every": 100, "noise_at": [3, 7] }), "");
    for _ in 0..2 {
        project.kith(&["run", "--once"]).ok();
        assert_eq!(counted(&project), (22, 2, 0));
    }
    assert_eq!(runs(&project).iter().map(|run| run.0).collect::<Vec<_>>(), [1, 1], "without a state it begins anew");
    let noisy = with_habits(&json!({ "until": 2000, "noise_at": (1..=1500).collect::<Vec<_>>() }), "");
    noisy.kith(&["run", "--once"]).fails(1, "KITH-N074");
    let batch = with_habits(&json!({ "until": 5, "batch": true }), "");
    batch.kith(&["run", "--once"]).fails(1, "KITH-N074");
    assert_eq!(counted(&batch), (5, 0, 0), "what came before holds");
}

#[test]
fn a_silent_tap_is_ended_and_what_came_before_holds() {
    let project = with_habits(&json!({ "until": 30, "state_every": 10, "hang_at": 25 }), "idle_seconds = 10\n");
    project.kith(&["run", "--once"]).fails(1, "KITH-N073");
    assert_eq!(counted(&project), (24, 0, 0));
    let pid = runs(&project)[0].1;
    assert!(!lives(pid), "it runs still");
    project.kith(&["run", "--once"]).ok();
    assert_eq!((counted(&project), runs(&project)[1].0), ((30, 0, 0), 21));
}

#[test]
fn a_tap_that_can_not_be_started_is_told() {
    let project = with_habits(&json!({ "until": 1 }), "");
    project.write("settings.json", "no JSON");
    project.kith(&["run", "--once"]).fails(1, "KITH-N071");
    project.edit("config/kith.toml", "command = \"tap.sh\"", "command = \"nowhere\"");
    project.write("settings.json", "{}");
    project.kith(&["run", "--once"]).fails(1, "KITH-N071");
    project.edit("config/kith.toml", "records = \"connectors/records/helpdesk.yaml\"\n", "");
    project.kith(&["check"]).fails(2, "KITH-C004");
}

/// Waits until our tap stands still in the middle of its run.
fn until_it_hangs(project: &Project) {
    let started = Instant::now();
    while !project.path("runs.hangs").exists() {
        assert!(started.elapsed() < Duration::from_secs(120), "the tap does not come so far");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_service_that_is_killed_leaves_no_second_tap_and_loses_nothing() {
    let project = with_habits(&json!({ "until": 60, "state_every": 10, "hang_at": 45 }), "");
    let mut service = project.spawn(&["run"]);
    until_it_hangs(&project);
    service.kill().unwrap();
    service.wait().unwrap();
    let first = runs(&project)[0].1;
    assert!(lives(first), "a kill can't be handed on: the tap waits for its own end");
    project.kith(&["run", "--once"]).ok();
    assert!(!lives(first), "the tap of the service that was killed runs still");
    assert_eq!(counted(&project), (60, 0, 0));
    let second = runs(&project)[1].0;
    assert_eq!(second % 10, 1, "it goes on behind a state");
}

#[test]
fn a_service_that_is_told_to_stop_ends_the_tap_and_goes_on_later() {
    let project = with_habits(&json!({ "until": 60, "state_every": 10, "hang_at": 45 }), "");
    let service = project.spawn(&["run"]);
    until_it_hangs(&project);
    assert!(Command::new("kill").args(["-TERM", &service.id().to_string()]).status().unwrap().success());
    let out = service.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let first = runs(&project)[0].1;
    assert!(!lives(first));
    // What was in the pipe when the service was told to stop comes again.
    let (received, parked, gap) = counted(&project);
    assert!(received <= 44 && (parked, gap) == (0, 0), "{received}, {parked}, {gap}");
    project.kith(&["run", "--once"]).ok();
    assert_eq!((counted(&project), runs(&project)[1].0 % 10), ((60, 0, 0), 1));
}

#[test]
fn a_tap_that_takes_its_time_keeps_nobody_waiting_and_a_pause_ends_it() {
    let project = with_habits(&json!({ "until": 60, "state_every": 10, "hang_at": 45 }), "");
    fs::create_dir(project.path("drop")).unwrap();
    // A drop folder beside it.
    let config = fs::read_to_string(project.path("config/kith.toml")).unwrap();
    project.write("config/kith.toml", config + "\n[sources.drop]\nkind = \"folder\"\ninbox = \"drop\"\ndone = \"dropped\"\n");
    project.kith(&["check"]).ok();
    let service = Running::start(&project);
    until_it_hangs(&project);
    let records = |status: &Json| status["received"].as_u64().unwrap_or(0);
    service.until("the tap's first records", |status| records(status) == 44 && status["in_flight"] == 0);
    // The tap hangs still, and what others say is taken in.
    project.write("drop/said.ndjson", lines(&[activity("instagram", "u9", "handle9", "x", 9, "and mine?")]));
    service.until("what the drop folder has", |status| records(status) == 45);
    assert!(lives(runs(&project)[0].1), "the tap does not run any more");
    project.kith(&["pause", "activities"]).ok();
    let started = Instant::now();
    while lives(runs(&project)[0].1) {
        assert!(started.elapsed() < Duration::from_secs(120), "a paused tap runs on");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(service.end(), Some(0));
    assert_eq!(counted(&project), (45, 0, 0));
}

#[test]
fn the_doctor_looks_at_taps_and_runs_none() {
    let project = with_habits(&json!({ "until": 5 }), "");
    make_private(&project.path("settings.json"));
    let doctor = project.kith(&["--format", "json", "doctor"]).ok().json();
    assert_eq!(doctor["taps"], json!([{ "tap": "tap activities", "problems": [] }]));
    assert!(project.kith(&["doctor"]).ok().stdout.contains("can be started"));
    assert!(runs(&project).is_empty(), "a tap that is run reads");
    fs::set_permissions(project.path("settings.json"), open_to_others()).unwrap();
    project.kith(&["doctor"]).ok().fails(0, "KITH-N086");
    make_private(&project.path("settings.json"));
    project.edit("config/kith.toml", "command = \"tap.sh\"", "command = \"tap.sh\"\ncatalog = \"none.json\"");
    project.kith(&["doctor"]).fails(1, "none.json is not there");
    project.edit("config/kith.toml", "catalog = \"none.json\"", "");
    project.edit("config/kith.toml", "command = \"tap.sh\"", "command = \"data\"");
    project.kith(&["doctor"]).fails(1, "data is no file");
    project.edit("config/kith.toml", "command = \"data\"", "command = \"nowhere.sh\"");
    project.kith(&["doctor"]).fails(1, "KITH-N085");
    project.edit("config/kith.toml", "command = \"nowhere.sh\"", "command = \"tap.sh\"");
    make_private(&project.path("tap.sh"));
    project.kith(&["doctor"]).fails(1, "this user may not run");
}

fn open_to_others() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(0o644)
}

fn make_private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
