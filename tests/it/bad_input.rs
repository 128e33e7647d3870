//! Bad input and bad days: a clear problem with a code each, nothing lost, nothing half-written.

use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, activity, lines};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

fn customers(count: u32) -> String {
    let mut text = CUSTOMERS_HEADER.to_owned();
    for n in 0..count {
        writeln!(text, "C{n},Given{n} Family{n},p{n}@example.org,,,,,UK,,instagram:handle{n},standard").unwrap();
    }
    text
}

fn hundred_customers() -> Project {
    let project = Project::empty();
    project.write("data/customers.csv", customers(100));
    project.write("data/orders.csv", ORDERS_HEADER);
    let said: Vec<_> = (0..5).map(|n| activity("instagram", &format!("u{n}"), &format!("handle{n}"), "x", n, "hello")).collect();
    project.write("data/activities.ndjson", lines(&said));
    project
}

#[test]
fn a_vanished_customers_file_leaves_everybody_undetermined_and_the_next_run_mends_it() {
    let project = hundred_customers();
    fs::remove_file(project.path("data/customers.csv")).unwrap();
    let ran = project.kith(&["--format", "json", "run", "--once"]).fails(1, "KITH-U");
    let run = ran.json();
    assert_eq!((run["decisions"]["undetermined"].as_u64(), run["in_flight"].as_u64()), (Some(5), Some(5)), "{run}");
    assert_eq!(run["conservation_gap"], 0);
    project.write("data/customers.csv", customers(100));
    let run = project.run_once();
    assert_eq!((run["decisions"]["linked"].as_u64(), run["delivered"].as_u64()), (Some(5), Some(5)), "{run}");
}

#[test]
fn half_a_customers_file_retires_nobody_until_a_person_approves() {
    let project = hundred_customers();
    project.run_once();
    project.write("data/customers.csv", customers(50));
    project.kith(&["run", "--once"]).fails(1, "--approve-customers");
    assert_eq!(project.crm("SELECT 1 FROM SocialInteraction").len(), 5);
    assert_eq!(project.kith(&["--format", "json", "status"]).ok().json()["totals"]["customers"]["in_force"], 100);
    project.kith(&["run", "--once", "--approve-customers"]).ok();
    assert_eq!(project.kith(&["--format", "json", "status"]).ok().json()["totals"]["customers"]["retired"], 50);
}

#[test]
fn a_cut_off_customers_file_is_never_an_update() {
    let project = hundred_customers();
    project.run_once();
    let whole = customers(100);
    project.write("data/customers.csv", &whole[..whole.len() - 30]);
    project.kith(&["run", "--once"]).fails(1, "KITH-U");
    assert_eq!(project.kith(&["--format", "json", "status"]).ok().json()["totals"]["customers"]["in_force"], 100);
}

#[test]
fn bad_customer_rows_stand_aside_and_the_good_ones_go_on() {
    let project = hundred_customers();
    let mut text = customers(100).into_bytes();
    text.extend(b"C3,Duplicate Key,,,,,,UK,,,standard\nragged,row\nC900,Not \xff Utf8,,,,,,UK,,,standard\n,No Key,,,,,,UK,,,standard\n");
    project.write("data/customers.csv", text);
    let ran = project.kith(&["run", "--once"]).ok();
    for word in ["KITH-U020", "KITH-U023", "stands in an earlier row", "UTF-8", "customers.csv:105"] {
        assert!(ran.stderr.contains(word), "no word about {word}:\n{}", ran.stderr);
    }
    assert!(ran.stderr.contains("customers.csv:102"), "{}", ran.stderr);
    assert_eq!(project.crm("SELECT 1 FROM SocialInteraction").len(), 5);
}

#[test]
fn a_missing_column_is_told_with_the_nearest_one() {
    let project = hundred_customers();
    project.write("data/customers.csv", customers(100).replacen("known_handles", "known_handle", 1));
    let ran = project.kith(&["run", "--once"]).fails(1, "known_handles");
    assert!(ran.stderr.contains("known_handle"), "{}", ran.stderr);
}

#[test]
fn a_missing_source_is_a_fault_of_its_own() {
    let project = hundred_customers();
    fs::remove_file(project.path("data/activities.ndjson")).unwrap();
    project.kith(&["run", "--once"]).fails(1, "KITH-I020");
}

#[test]
fn broken_configuration_and_mapping_are_told_before_anything_is_touched() {
    let project = hundred_customers();
    project.edit("mappings/retail.yaml", "link_from:", "link_form:");
    let ran = project.kith(&["run", "--once"]).fails(2, "link_from");
    assert!(ran.stderr.contains("retail.yaml:"), "{}", ran.stderr);
    assert!(!project.path("state").exists());
    let project = hundred_customers();
    project.edit("config/kith.toml", "[service]", "[service");
    project.kith(&["run", "--once"]).fails(2, "kith.toml:");
    assert!(!project.path("state").exists());
}

#[test]
fn a_second_service_is_refused_while_reading_commands_work_beside_the_first() {
    let project = hundred_customers();
    let mut service = project.spawn(&["run"]);
    let until = Instant::now() + Duration::from_secs(60);
    while !project.path("crm/crm.db").exists() || project.kith(&["--format", "json", "status"]).json()["delivered"] != 5 {
        assert!(Instant::now() < until, "the service did not deliver");
        std::thread::sleep(Duration::from_millis(100));
    }
    let process = fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    // Linux says so since 5.0: with large pages it would hold a quarter more memory.
    assert!(!process.contains("THP_enabled:\t1"), "{process}");
    project.kith(&["run", "--once"]).fails(1, "KITH-S");
    assert_eq!(project.kith(&["link", "list", "--format", "csv"]).ok().stdout.lines().count(), 6);
    project.kith(&["status"]).ok();
    Command::new("kill").args(["-TERM", &service.id().to_string()]).status().unwrap();
    assert_eq!(service.wait().unwrap().code(), Some(0), "SIGTERM is an orderly end");
    let entries = project.kith(&["--format", "json", "audit", "search", "--kind", "personal.read"]).ok().stdout;
    assert_eq!(entries.lines().count(), 1, "the list that was read beside the service is in the log: {entries}");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn a_read_only_state_folder_is_told() {
    if rustix_is_root() {
        eprintln!("SKIPPED: permissions do not bind root; the read-only file system below does");
        return;
    }
    let project = hundred_customers();
    fs::create_dir(project.path("state")).unwrap();
    fs::set_permissions(project.path("state"), fs::Permissions::from_mode(0o555)).unwrap();
    project.kith(&["run", "--once"]).fails(1, "KITH-S");
}

fn rustix_is_root() -> bool {
    fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m)).unwrap_or(1) == 0
}

/// Runs a script in a mount namespace of its own, where it may mount what it likes. `None` where the system does not allow that.
/// Whether this system lets a test mount disks of its own; says so loudly where it does not.
pub fn may_mount() -> bool {
    let probe =
        Command::new("unshare").args(["-rm", "sh", "-c", "mkdir -p /tmp/kith-probe && mount -t tmpfs none /tmp/kith-probe"]).output();
    let may = probe.is_ok_and(|o| o.status.success());
    if !may {
        eprintln!("SKIPPED: this system allows no mount namespaces, so full and read-only disks can't be made");
    }
    may
}

pub fn in_own_mounts(project: &Project, script: &str) -> Option<std::process::Output> {
    if !may_mount() {
        return None;
    }
    Some(
        Command::new("unshare")
            .args(["-rm", "sh", "-ec", script])
            .env("KITH", env!("CARGO_BIN_EXE_kith"))
            .current_dir(project.dir.path())
            .output()
            .unwrap(),
    )
}

#[test]
fn a_full_disk_loses_nothing_and_the_run_goes_on_when_there_is_room() {
    let project = hundred_customers();
    let script = "mkdir state && mount -t tmpfs -o size=200k none state\n\"$KITH\" run --once && exit 99\nmount -o remount,size=64m state\n\"$KITH\" --format json run --once\n\"$KITH\" audit verify >&2";
    let Some(output) = in_own_mounts(&project, script) else { return };
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stderr.contains("KITH-S") && stderr.contains("full"), "{stderr}");
    let run: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!((run["delivered"].as_u64(), run["conservation_gap"].as_u64()), (Some(5), Some(0)), "{run}");
}

#[test]
fn a_full_disk_under_the_crm_keeps_deliveries_in_the_outbox() {
    let project = hundred_customers();
    let script = "mkdir crm && mount -t tmpfs -o size=8k none crm\n\"$KITH\" run --once && exit 99\nmount -o remount,size=64m crm\n\"$KITH\" --format json run --once";
    let Some(output) = in_own_mounts(&project, script) else { return };
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let run: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!((run["delivered"].as_u64(), run["conservation_gap"].as_u64()), (Some(5), Some(0)), "{run}");
}

#[test]
fn a_read_only_disk_is_told_and_nothing_is_sent() {
    let project = hundred_customers();
    let script = "mkdir state && mount -t tmpfs -o size=64m,ro none state\n\"$KITH\" run --once";
    let Some(output) = in_own_mounts(&project, script) else { return };
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("KITH-A007") && stderr.contains("Read-only"), "{stderr}");
    assert_eq!(project.crm("SELECT 1 FROM SocialInteraction"), [""; 0]);
}

#[test]
fn without_its_log_nothing_is_sent() {
    let project = hundred_customers();
    project.run_once();
    let more: Vec<_> = (5..9).map(|n| activity("instagram", &format!("u{n}"), &format!("handle{n}"), "x", n, "hello")).collect();
    project.write("data/more.ndjson", lines(&more));
    project.edit("config/kith.toml", "data/activities.ndjson", "data/more.ndjson");
    // The log's folder turns read-only, then full: the rest of the state could be written all the same.
    for mount in
        ["mount --bind -o ro state/log state/log && mount -o remount,bind,ro state/log", "mount -t tmpfs -o size=4k none state/log"]
    {
        let script = format!("{mount}\n\"$KITH\" run --once");
        let Some(output) = in_own_mounts(&project, &script) else { return };
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("KITH-A"), "{stderr}");
        assert_eq!(project.crm("SELECT 1 FROM SocialInteraction").len(), 5, "sent without a log");
    }
    let run = project.run_once();
    assert_eq!((run["delivered"].as_u64(), run["conservation_gap"].as_u64()), (Some(9), Some(0)), "{run}");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn what_stands_in_dev_full_stays_in_the_outbox() {
    let project = hundred_customers();
    project.edit("config/kith.toml", "path = \"crm/service-desk.ndjson\"", "path = \"/dev/full\"");
    let gold = customers(5).replace("standard", "gold");
    project.write("data/customers.csv", gold);
    project.write("data/activities.ndjson", lines(&[activity("instagram", "u1", "handle1", "x", 1, "my order arrived broken")]));
    let ran = project.kith(&["--format", "json", "run", "--once"]).fails(1, "KITH-D");
    let run = ran.json();
    assert_eq!((run["in_flight"].as_u64(), run["conservation_gap"].as_u64()), (Some(1), Some(0)), "{run}");
    assert_eq!(project.crm("SELECT 1 FROM SocialInteraction").len(), 1, "the other target is not held back");
    project.edit("config/kith.toml", "/dev/full", "crm/desk.ndjson");
    assert_eq!(project.run_once()["delivered"], 1);
}
