//! The service as its operator meets it: it reloads, ends in time, outlives faults of its parts, and says how it stands.

use crate::bad_input::in_own_mounts;
use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, activity, lines, root};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);

/// Fifty customers; the first five of them said something. The source is a drop folder.
fn project() -> Project {
    let project = Project::empty();
    let rows: String =
        (0..50).map(|n| format!("C{n},Given{n} Family{n},p{n}@example.org,,,,,UK,,instagram:handle{n},standard\n")).collect();
    project.write("data/customers.csv", format!("{CUSTOMERS_HEADER}{rows}"));
    project.write("data/orders.csv", ORDERS_HEADER);
    project.write("data/activities.ndjson", lines(&(0..5).map(|n| said(n, n, "hello")).collect::<Vec<_>>()));
    project.edit("config/kith.toml", "mapping = ", "poll_seconds = 1\nmapping = ");
    project
}

fn said(customer: u32, note: u32, words: &str) -> Value {
    activity("instagram", &format!("u{customer}"), &format!("handle{customer}"), "x", note, words)
}

/// Adds a source that finds what was said later.
fn say_more(project: &Project, name: &str, values: &[Value]) {
    project.write(&format!("data/{name}.part"), lines(values));
    fs::rename(project.path(&format!("data/{name}.part")), project.path(&format!("data/{name}.ndjson"))).unwrap();
}

/// A running service that does not outlive the test.
pub struct Running<'a> {
    project: &'a Project,
    child: Option<Child>,
}

impl<'a> Running<'a> {
    pub fn start(project: &'a Project) -> Self {
        Self::with(project, &[])
    }

    fn with(project: &'a Project, variables: &[(&str, &str)]) -> Self {
        let log = fs::File::create(project.path("service.log")).unwrap();
        let mut command = project.command(&["run"]);
        command.stdout(fs::File::create(project.path("service.out")).unwrap()).stderr(log).envs(variables.iter().copied());
        Self { project, child: Some(command.spawn().unwrap()) }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.project.path("service.log")).unwrap()
    }

    pub fn status(&self) -> Value {
        let ran = self.project.kith(&["--format", "json", "status"]);
        if ran.code == Some(0) { ran.json() } else { Value::Null }
    }

    /// Waits until the service stands so; the status that did.
    #[track_caller]
    pub fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let status = self.status();
            if is_so(&status) {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "never {what}: {status:#}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Tells it to end and waits; its exit code.
    pub fn end(self) -> Option<i32> {
        self.signal("TERM");
        self.ended()
    }

    /// Waits until it ends; its exit code.
    fn ended(mut self) -> Option<i32> {
        self.child.take().unwrap().wait().unwrap().code()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn delivered(count: u64) -> impl Fn(&Value) -> bool {
    move |status| status["delivered"] == count && status["in_flight"] == 0
}

pub fn kinds(project: &Project, kind: &str) -> usize {
    project.kith(&["--format", "json", "audit", "search", "--kind", kind]).ok().stdout.lines().count()
}

#[test]
fn a_broken_mapping_is_refused_with_reasons_and_a_good_one_decides_from_then_on() {
    let project = project();
    // Releases by name have their own tests.
    project.edit("config/kith.toml", "mapping = ", "release = \"on-start\"\nmapping = ");
    let service = Running::start(&project);
    service.until("delivered", delivered(5));

    let mapping = fs::read_to_string(project.path("mappings/retail.yaml")).unwrap();
    project.edit("mappings/retail.yaml", "link_from:", "link_form:");
    service.signal("HUP");
    let status = service.until("refused", |status| status["service"]["reload"]["accepted"] == false);
    let reasons = status["service"]["reload"]["reasons"].to_string();
    assert!(reasons.contains("KITH-M") && reasons.contains("retail.yaml:") && reasons.contains("link_from"), "{reasons}");
    assert!(service.log().contains("KITH-R031") && service.log().contains("link_from"), "{}", service.log());
    project.kith(&["reload"]).fails(2, "KITH-R031");
    let shown = project.kith(&["status"]).ok().stdout;
    assert!(shown.contains("REFUSED") && shown.contains("link_from"), "{shown}");

    // The old one decides meanwhile.
    project.edit("config/kith.toml", "path = \"data/activities.ndjson\"", "path = \"data/more.ndjson\"");
    let config = fs::read_to_string(project.path("config/kith.toml")).unwrap();
    say_more(&project, "more", &[said(5, 5, "hello"), said(6, 6, "xyzzy")]);
    project.kith(&["reload"]).fails(2, "link_from");

    // A good one: from now on a person decides about a handle.
    project.write("mappings/retail.yaml", mapping.replacen("decide: link", "decide: review", 1));
    let accepted = project.kith(&["reload"]);
    assert_eq!(accepted.code, Some(0), "{}\n{}\n{}", accepted.stdout, accepted.stderr, service.log());
    let status = service.until("read by the new set", |status| status["received"] == 7);
    assert_eq!(status["service"]["reload"]["accepted"], true);
    let status = service.until("decided by the new set", |status| status["totals"]["decisions"]["undetermined"] == 0);
    assert_eq!((&status["totals"]["decisions"]["linked"], &status["delivered"]), (&5.into(), &5.into()), "{status:#}");
    assert_eq!((kinds(&project, "mapping.changed"), kinds(&project, "config.changed")), (2, 2), "the first start and the reload");

    // What can't change is refused.
    project.write(
        "config/kith.toml",
        config.replace("state = \"state\"", "state = \"elsewhere\"").replace("kith.test/retail", "kith.test/other"),
    );
    service.signal("HUP");
    let status = service.until("refused", |_| service.log().contains("KITH-R032"));
    drop(status);
    project.write("config/kith.toml", &config);
    let reload = &service.status()["service"]["reload"];
    assert!(reload["reasons"][0].as_str().unwrap().contains("[service] state"), "{reload}");
    assert!(reload["reasons"][1].as_str().unwrap().contains("[audit] origin"), "{reload}");
    assert_eq!(service.end(), Some(0));
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn a_reload_takes_over_targets_and_what_an_endpoint_asked_for_outlives_it() {
    let project = project();
    let service = Running::start(&project);
    service.until("delivered", delivered(5));
    project.edit("config/kith.toml", "path = \"crm/crm.db\"", "path = \"crm/other.db\"\nper_second = 100");
    assert!(project.kith(&["reload"]).ok().stdout.contains("accepted"));
    project.edit("config/kith.toml", "path = \"data/activities.ndjson\"", "path = \"data/more.ndjson\"");
    say_more(&project, "more", &[said(7, 7, "hello")]);
    project.kith(&["reload"]).ok();
    service.until("delivered", delivered(6));
    let other = rusqlite::Connection::open(project.path("crm/other.db")).unwrap();
    let rows: u32 = other.query_row("SELECT count(*) FROM SocialInteraction", (), |row| row.get(0)).unwrap();
    assert_eq!((rows, project.crm("SELECT 1 FROM SocialInteraction").len()), (1, 5));
    assert_eq!(service.end(), Some(0));
}

#[test]
fn told_to_stop_it_finishes_what_is_being_sent_and_keeps_the_rest() {
    let project = project();
    let service = Running::start(&project);
    service.until("delivered", delivered(5));
    // Somebody else holds the CRM for a while.
    let crm = rusqlite::Connection::open(project.path("crm/crm.db")).unwrap();
    crm.execute_batch("BEGIN IMMEDIATE").unwrap();
    project.edit("config/kith.toml", "path = \"data/activities.ndjson\"", "path = \"data/more.ndjson\"");
    say_more(&project, "more", &[said(8, 8, "hello")]);
    project.kith(&["reload"]).ok();
    service.until("being sent", |status| status["totals"]["deliveries"]["crm_db: sending"].as_u64() > Some(0));
    service.signal("TERM");
    std::thread::sleep(Duration::from_millis(300));
    crm.execute_batch("COMMIT").unwrap();
    assert_eq!(service.ended(), Some(0));
    let status = project.kith(&["--format", "json", "status"]).ok().json();
    assert_eq!(status["service"], Value::Null);
    assert_eq!(status["totals"]["deliveries"].get("crm_db: sending"), None, "{status:#}");
    assert_eq!(status["conservation_gap"], 0);
    let run = project.run_once();
    assert_eq!((&run["delivered"], &run["conservation_gap"]), (&6.into(), &0.into()), "{run:#}");
    assert_eq!(project.crm("SELECT 1 FROM SocialInteraction").len(), 6);
}

/// A CRM with a trigger that counts to a million millions for each interaction.
const ENDLESS: &str =
    "CREATE VIEW endless AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1e12) SELECT x FROM c;
     CREATE TRIGGER slow BEFORE INSERT ON SocialInteraction BEGIN SELECT count(*) FROM endless; END";

#[test]
fn a_target_that_never_answers_ends_with_the_deadline_or_with_a_second_signal_and_loses_nothing() {
    for second_signal in [false, true] {
        let project = project();
        project.run_once();
        rusqlite::Connection::open(project.path("crm/crm.db")).unwrap().execute_batch(ENDLESS).unwrap();
        let drain = if second_signal { "drain_seconds = 600" } else { "drain_seconds = 1" };
        project.edit("config/kith.toml", "poll_seconds = 1", &format!("poll_seconds = 1\n{drain}"));
        project.write("data/more.ndjson", lines(&[said(1, 100, "my order arrived broken")]));
        project.edit("config/kith.toml", "data/activities.ndjson", "data/more.ndjson");
        let mut service = Running::start(&project);
        service.until("being sent", |status| status["totals"]["deliveries"]["crm_db: sending"].as_u64() > Some(0));
        let asked = Instant::now();
        service.signal("TERM");
        if second_signal {
            std::thread::sleep(Duration::from_millis(500));
            assert!(service.child.as_mut().unwrap().try_wait().unwrap().is_none(), "it waits for the target");
            service.signal("TERM");
        }
        let code = service.child.as_mut().unwrap().wait().unwrap().code();
        assert!(asked.elapsed() < Duration::from_secs(60));
        let log = service.log();
        if second_signal {
            assert_eq!(code, Some(1));
            assert!(log.contains("KITH-R030"), "{log}");
        } else {
            assert_eq!(code, Some(0), "{log}");
            assert!(log.contains("KITH-R036"), "{log}");
        }
        let status = project.kith(&["--format", "json", "status"]).ok().json();
        assert_eq!((&status["in_flight"], &status["conservation_gap"]), (&1.into(), &0.into()), "{status:#}");
        // What has no answer is settled, then written.
        rusqlite::Connection::open(project.path("crm/crm.db")).unwrap().execute_batch("DROP TRIGGER slow").unwrap();
        let run = project.run_once();
        assert_eq!((&run["delivered"], &run["conservation_gap"]), (&6.into(), &0.into()), "{run:#}");
        assert_eq!(project.crm("SELECT 1 FROM SocialInteraction").len(), 6);
        project.kith(&["audit", "verify"]).ok();
    }
}

#[test]
fn a_disk_that_fills_while_the_service_runs_stops_it_for_a_while_and_loses_nothing() {
    let project = project();
    let many: Vec<Value> = (0..40).flat_map(|c| (0..20).map(move |n| said(c, 1_000 + c * 100 + n, &"hello ".repeat(40)))).collect();
    project.write("data/activities.ndjson", lines(&many));
    let script = r#"
        mkdir state && mount -t tmpfs -o size=900k none state
        "$KITH" run >service.out 2>service.log &
        service=$!
        for i in $(seq 300); do
            "$KITH" --format json status >status.json 2>/dev/null && grep -q 'KITH-S002' status.json && break
            sleep 0.2
        done
        cp status.json full.json
        "$KITH" status >full.txt
        kill -0 $service
        mount -o remount,size=64m state
        for i in $(seq 600); do
            "$KITH" --format json status >status.json && grep -q '"delivered":800' status.json && grep -q '"in_flight":0' status.json && break
            sleep 0.2
        done
        sleep 1
        "$KITH" --format json status >status.json
        kill -TERM $service
        wait $service
        "$KITH" audit verify >&2
        "$KITH" --format json run --once"#;
    let Some(output) = in_own_mounts(&project, script) else { return };
    let log = fs::read_to_string(project.path("service.log")).unwrap_or_default();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}\n{log}");
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(project.path(name)).unwrap()).unwrap() };
    let full = read("full.json");
    assert!(full["service"]["down"].to_string().contains("KITH-S002"), "{full:#}\n{log}");
    assert_eq!(full["conservation_gap"], 0);
    assert!(fs::read_to_string(project.path("full.txt")).unwrap().contains("DOWN"));
    assert!(log.contains("KITH-R033") && log.contains("goes on"), "{log}");
    let status = read("status.json");
    assert_eq!((&status["delivered"], &status["conservation_gap"]), (&800.into(), &0.into()), "{status:#}\n{log}");
    let run: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&run["delivered"], &run["this_run"]["written"]), (&800.into(), &0.into()), "{run:#}");
    assert_eq!(project.crm("SELECT 1 FROM SocialInteraction").len(), 800, "each once");
}

#[test]
fn a_log_that_can_not_be_written_stops_all_sending_until_it_can() {
    let project = project();
    project.write("data/more.ndjson", lines(&(10..15).map(|n| said(n, n, "hello")).collect::<Vec<_>>()));
    let script = r#"
        mkdir -m 700 -p state/log && chmod 700 state && mount -t tmpfs -o size=1m,mode=700 none state/log
        "$KITH" run --once >&2
        "$KITH" run >service.out 2>service.log &
        service=$!
        for i in $(seq 300); do
            "$KITH" --format json status >status.json 2>/dev/null && grep -q '"last_pass":"' status.json && break
            sleep 0.2
        done
        dd if=/dev/zero of=state/log/filler bs=4k count=1000 2>/dev/null || true
        # An entry for the log to fail on; then work.
        sed -i 's/poll_seconds = 1/poll_seconds = 2/' config/kith.toml
        "$KITH" reload >&2
        for i in $(seq 300); do
            "$KITH" --format json status >status.json 2>/dev/null && grep -q 'KITH-A003' status.json && break
            sleep 0.2
        done
        sed -i s/activities.ndjson/more.ndjson/ config/kith.toml
        "$KITH" reload >&2
        for i in $(seq 300); do
            "$KITH" --format json status >status.json 2>/dev/null && grep -q 'KITH-A003' status.json && grep -q '"received":10' status.json && break
            sleep 0.2
        done
        cp status.json down.json
        sleep 2
        sqlite3 crm/crm.db 'SELECT count(*) FROM SocialInteraction' >rows.txt
        rm state/log/filler
        for i in $(seq 600); do
            "$KITH" --format json status >status.json && grep -q '"delivered":10' status.json && break
            sleep 0.2
        done
        kill -TERM $service
        wait $service
        "$KITH" audit verify >&2"#;
    if Command::new("sqlite3").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no sqlite3 here");
        return;
    }
    let Some(output) = in_own_mounts(&project, script) else { return };
    let log = fs::read_to_string(project.path("service.log")).unwrap_or_default();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}\n{log}");
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(project.path(name)).unwrap()).unwrap() };
    assert!(read("down.json")["service"]["down"].to_string().contains("\"task\":\"log\""), "{log}");
    assert_eq!(fs::read_to_string(project.path("rows.txt")).unwrap().trim(), "5", "sent without a log");
    let status = read("status.json");
    assert_eq!((&status["delivered"], &status["conservation_gap"]), (&10.into(), &0.into()), "{status:#}\n{log}");
}

pub fn scraped(address: &str) -> String {
    let (status, body) = asked(address, "/metrics");
    assert_eq!(status, "200", "{body}");
    body
}

/// Status and body of a page beside the metrics.
fn asked(address: &str, page: &str) -> (String, String) {
    let host = address.strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.write_all(format!("GET {page} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
}

#[test]
fn a_supervisor_hears_that_the_service_is_ready_and_when_it_is_not() {
    let project = project();
    project.edit("config/kith.toml", "[audit]", "[metrics]\nlisten = \"127.0.0.1:0\"\n\n[audit]");
    let service = Running::start(&project);
    let status = service.until("metrics", |s| s["service"]["metrics"].is_string());
    let address = status["service"]["metrics"].as_str().unwrap().to_owned();
    assert_eq!(asked(&address, "/healthz"), ("200".to_owned(), "ok\n".to_owned()));
    service.until("a first pass", |s| s["service"]["last_pass"].is_string());
    let ready = asked(&address, "/readyz");
    assert_eq!((ready.0.as_str(), ready.1.lines().next()), ("200", Some("ready")), "{}", ready.1);
    // The log's folder can't be written any more: what has no entry on disk is not sent, and that is not ready.
    let log = project.path("state/log");
    fs::rename(&log, project.path("state/log-away")).unwrap();
    fs::write(&log, "a file in its place").unwrap();
    let said_before = fs::read_to_string(project.path("data/activities.ndjson")).unwrap();
    project.write("data/activities.ndjson", said_before + &lines(&[said(1, 900, "more")]));
    let started = Instant::now();
    let said = loop {
        let said = asked(&address, "/readyz");
        if said.0 == "503" {
            break said.1;
        }
        assert!(started.elapsed() < PATIENCE, "{said:?}");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(said.starts_with("not ready: the audit log (KITH-A00"), "{said}");
    assert_eq!(asked(&address, "/healthz").0, "200", "alive all the same: a restart mends no disk");
    fs::remove_file(&log).unwrap();
    fs::rename(project.path("state/log-away"), &log).unwrap();
    let started = Instant::now();
    while asked(&address, "/readyz").0 != "200" {
        assert!(started.elapsed() < PATIENCE, "{}", asked(&address, "/readyz").1);
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// `promtool` on a file; `None` where there is none.
fn promtool(arguments: &[&str], input: &str) -> Option<(bool, String)> {
    let spawned = Command::new("promtool")
        .args(arguments)
        .current_dir(root())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        eprintln!("SKIPPED: no promtool here (Debian package `prometheus`)");
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some((output.status.success(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))))
}

#[test]
fn metrics_say_how_everything_stands_in_a_format_that_prometheus_takes() {
    let project = project();
    project.edit("config/kith.toml", "[audit]", "[metrics]\nlisten = \"127.0.0.1:0\"\n\n[audit]");
    project.write("data/activities.ndjson", lines(&(0..5).map(|n| said(n, n, "hello")).collect::<Vec<_>>()) + "no JSON\n");
    let service = Running::start(&project);
    let status = service.until("delivered", delivered(5));
    let address = status["service"]["metrics"].as_str().unwrap().to_owned();
    let start = Instant::now();
    let page = loop {
        let page = scraped(&address);
        if page.contains("kith_activities{source=\"activities\",state=\"delivered\"} 5")
            && page.contains("kith_last_pass_timestamp_seconds")
        {
            break page;
        }
        assert!(start.elapsed() < PATIENCE, "{page}");
        std::thread::sleep(Duration::from_millis(300));
    };
    for sample in [
        "kith_received_total{source=\"activities\"} 6",
        "kith_activities{source=\"activities\",state=\"parked\"} 1",
        "kith_activities{source=\"activities\",state=\"in_flight\"} 0",
        "kith_conservation_gap{source=\"activities\"} 0",
        "kith_deliveries{target=\"crm_db\",state=\"delivered\"} 10",
        "kith_dead_letters{code=\"KITH-I003\"} 1",
        "kith_identities{outcome=\"linked\"} 5",
        "kith_send_outcomes_total{target=\"crm_db\",outcome=\"delivered\"} 10",
        "kith_records_sent_total{target=\"crm_db\"} 10",
        "kith_endpoint_breaker_open{endpoint=\"",
        "kith_target_closed_seconds{target=\"service_desk\"} 0",
        "kith_send_duration_seconds_bucket{target=\"crm_db\",le=\"+Inf\"}",
        "process_resident_memory_bytes ",
        "kith_store_readable 1",
    ] {
        assert!(page.contains(sample), "no {sample} in\n{page}");
    }
    for personal in ["handle1", "Given1", "u1\"", "example.org", "C1\""] {
        assert!(!page.contains(personal), "{personal} in\n{page}");
    }
    if let Some((fine, said)) = promtool(&["check", "metrics"], &page) {
        assert!(fine && said.is_empty(), "{said}\n{page}");
    }
    // Another address after a reload; none after another.
    project.edit("config/kith.toml", "listen = \"127.0.0.1:0\"", "listen = \"[::1]:0\"");
    project.kith(&["reload"]).ok();
    let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    if has_ipv6 {
        let status =
            service.until("at another address", |s| s["service"]["metrics"].as_str().is_some_and(|at| at.starts_with("http://[::1]:")));
        scraped(status["service"]["metrics"].as_str().unwrap());
    }
    project.edit("config/kith.toml", "listen = \"[::1]:0\"", "");
    project.kith(&["reload"]).ok();
    service.until("nowhere", |s| s["service"]["metrics"].is_null());
    assert_eq!(service.end(), Some(0));
}

#[test]
fn metrics_are_for_this_machine_alone() {
    let project = project();
    for listen in ["0.0.0.0:9464", "192.0.2.1:9464", "localhost", "127.0.0.1"] {
        project.write("config/kith.toml", format!("{}\n[metrics]\nlisten = \"{listen}\"\n", crate::support::CONFIG));
        project.kith(&["check"]).fails(2, "KITH-C020");
    }
}

#[test]
fn the_units_are_units_and_let_little_in() {
    let units = ["kith", "kith-webhooks", "kith-backup"].map(|name| root().join(format!("ops/systemd/{name}.service")));
    let hardening = |unit: &std::path::Path| -> Vec<String> {
        let text = fs::read_to_string(unit).unwrap();
        let about =
            ["Protect", "Private", "Restrict", "NoNew", "Lock", "Memory", "SystemCall", "Capability", "RemoveIPC", "UMask", "LimitCORE"];
        let told = text.lines().filter(|line| about.iter().any(|word| line.starts_with(word)) && !line.starts_with("MemoryMax"));
        told.map(str::to_owned).collect()
    };
    // The one in a DMZ has all that the service has, and may not connect.
    let (service, outside) = (hardening(&units[0]), hardening(&units[1]));
    assert!(service.len() > 20 && service.iter().all(|line| outside.contains(line)), "{service:?} {outside:?}");
    assert!(outside.contains(&"SystemCallFilter=~connect".to_owned()));
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no systemd-analyze here (Debian package `systemd`)");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for unit in units {
        let analyze = |arguments: &[&str], unit: &std::path::Path| {
            let output = Command::new("systemd-analyze").args(arguments).arg("--no-pager").arg(unit).output().unwrap();
            let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{}: {told}", unit.display());
            told
        };
        // On a scale of 0 to 10, in tenths; what is left is the network.
        analyze(&["security", "--offline=true", "--threshold=16"], &unit);
        // A copy that names a program which is here.
        let copy = dir.path().join(unit.file_name().unwrap());
        fs::write(&copy, fs::read_to_string(&unit).unwrap().replace("/usr/local/bin/kith", "/bin/true")).unwrap();
        let told = analyze(&["verify", "--man=no"], &copy);
        assert!(!told.contains(&*copy.file_name().unwrap().to_string_lossy()), "{told}");
    }
}

#[test]
fn the_alert_rules_are_rules_and_fire_when_they_must() {
    let rules = "ops/prometheus/kith.rules.yml";
    if let Some((fine, said)) = promtool(&["check", "rules", rules], "") {
        assert!(fine, "{said}");
        let (fine, said) = promtool(&["test", "rules", "ops/prometheus/kith.rules.test.yml"], "").unwrap();
        assert!(fine, "{said}");
    }
    // Every metric that a rule names is one that the service serves, and every alert, from outside or from within, has its page.
    let text = fs::read_to_string(root().join(rules)).unwrap();
    let cases = fs::read_to_string(root().join("ops/prometheus/kith.rules.test.yml")).unwrap();
    let runbook = fs::read_to_string(root().join("ops/runbook.md")).unwrap();
    let headings: Vec<&str> = runbook.lines().filter(|line| line.starts_with("## ")).collect();
    for alert in text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(headings.iter().any(|heading| heading.contains(alert)), "{alert} has no page");
        let tried = |case: &str| case.starts_with(alert) && case.trim_start_matches(alert).trim_start().starts_with("exp_alerts:\n");
        assert!(
            cases.split("alertname: ").any(tried) || cases.contains(&format!("alertname: {alert}, exp_alerts: [ {{")),
            "{alert} is never seen to fire"
        );
    }
    let alarms = fs::read_to_string(root().join("src/pipeline/alarms.rs")).unwrap();
    let told = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(name, _)| alarms.contains(&format!("\"{name}\"")));
    let pages: Vec<&str> = told.filter_map(|(_, row)| row.rsplit(" | ").next()?.strip_suffix(" |")).collect();
    assert_eq!(pages.len(), 15, "{pages:?}");
    for page in pages {
        assert!(headings.iter().any(|heading| heading.contains(page)), "no page `{page}`");
    }
    let served =
        ["src/pipeline/metrics.rs", "src/pipeline/metrics/inflow.rs"].map(|file| fs::read_to_string(root().join(file)).unwrap()).concat();
    let names: std::collections::BTreeSet<&str> = text
        .lines()
        .filter(|line| line.trim_start().starts_with("expr:"))
        .flat_map(|line| line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')))
        .filter(|word| word.starts_with("kith_"))
        .collect();
    assert!(names.len() > 8, "{names:?}");
    for name in names {
        assert!(served.contains(&format!("\"{name}\"")), "no metric {name}");
    }
}

#[test]
fn the_log_follows_an_activity_from_the_line_to_the_receipt() {
    let project = project();
    project.write("config/kith.toml", format!("{}\n[log]\nformat = \"json\"\nflow = true\n", crate::support::CONFIG));
    let ran = project.kith(&["run", "--once"]).ok();
    // A row of the CRM, the entry of the person who wrote it, the activity that the entry is about.
    let url = &project.crm("SELECT CustomerID, PostURL FROM SocialInteraction")[0];
    assert!(url.starts_with("C0|"), "{url}");
    let search = ["--format", "json", "audit", "search", "--kind", "write.receipt", "--customer", "C0"];
    let receipts = project.kith(&search).ok().stdout;
    let about = receipts
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find_map(|entry| entry["entry"]["correlation"]["activity"].as_str().map(str::to_owned))
        .unwrap_or_else(|| panic!("no receipt about an activity: {receipts}"));
    let events: Vec<Value> = ran.stderr.lines().filter(|l| l.contains(&about)).map(|l| serde_json::from_str(l).unwrap()).collect();
    let steps: Vec<&str> = events.iter().map(|event| event["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["received", "decided", "planned", "intended", "delivered"], "{events:#?}");
    assert!(events.iter().all(|event| event["target"] == "kith::flow"));
    assert_eq!(events[1]["decision"], events[4]["decision"]);
    assert_eq!((&events[2]["delivery"], &events[4]["target_name"]), (&events[4]["delivery"], &"crm_db".into()));
    for personal in ["handle0", "hello", "instagram.example", "Given0"] {
        assert!(!ran.stderr.contains(personal), "{personal} stands in the log");
    }
    // Nobody asked for it: nothing of it.
    let project = self::project();
    project.edit("config/kith.toml", "[audit]", "[log]\nformat = \"json\"\n\n[audit]");
    assert!(!project.kith(&["run", "--once"]).ok().stderr.contains("kith::flow"));
}

#[test]
fn the_sums_are_told_once_and_again_when_they_change() {
    let project = project();
    project.run_once();
    assert_eq!(kinds(&project, "conservation"), 1);
    project.run_once();
    assert_eq!(kinds(&project, "conservation"), 1, "nothing changed");
    project.edit("config/kith.toml", "path = \"data/activities.ndjson\"", "path = \"data/more.ndjson\"");
    say_more(&project, "more", &[said(9, 9, "hello")]);
    project.run_once();
    let told = project.kith(&["--format", "json", "audit", "search", "--kind", "conservation"]).ok().stdout;
    let last: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!((&last["entry"]["what"]["received"], &last["entry"]["what"]["gap"]), (&6.into(), &0.into()), "{told}");
    // Another day: the first pass tells what has changed since, before it reads.
    let db = rusqlite::Connection::open(project.path("state/kith.db")).unwrap();
    db.execute_batch(
        "UPDATE setting SET value = '2026-01-01' WHERE name = 'conservation_day'; DELETE FROM setting WHERE name = 'conservation_told'",
    )
    .unwrap();
    drop(db);
    project.run_once();
    assert_eq!(kinds(&project, "conservation"), 3);
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn the_service_manager_hears_when_it_is_ready_alive_and_stopping() {
    let project = project();
    let socket = std::os::unix::net::UnixDatagram::bind(project.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let path = project.path("notify").display().to_string();
    let service = Running::with(&project, &[("NOTIFY_SOCKET", &path), ("WATCHDOG_USEC", "400000")]);
    let heard = || {
        let mut word = [0; 64];
        let length = socket.recv(&mut word).unwrap();
        String::from_utf8_lossy(&word[..length]).into_owned()
    };
    let mut words = vec![heard(), heard(), heard()];
    service.signal("TERM");
    while words.last().is_none_or(|word| word != "STOPPING=1") {
        words.push(heard());
    }
    assert_eq!(service.ended(), Some(0));
    assert!(words.contains(&"READY=1".to_owned()) && words.contains(&"WATCHDOG=1".to_owned()), "{words:?}");
}

#[test]
fn status_says_what_a_target_waits_for_and_a_single_run_says_it_at_its_end() {
    let project = project();
    // The hours of a day that is not today.
    let day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).weekday().to_monday_zero_offset();
    let other = day[usize::try_from((today + 3) % 7).unwrap()];
    project.edit("config/kith.toml", "path = \"crm/crm.db\"", &format!("path = \"crm/crm.db\"\nhours = \"{other} 09:00-10:00\""));
    let ran = project.kith(&["run", "--once"]).ok();
    assert!(ran.stdout.contains("crm_db waits until") && ran.stdout.contains("outside its hours"), "{}", ran.stdout);
    let status = project.kith(&["status"]).ok().stdout;
    assert!(status.contains("closed until") && status.contains("09:00-10:00"), "{status}");
    let json = project.kith(&["--format", "json", "status"]).ok().json();
    let crm = &json["endpoints"][0];
    assert_eq!((&crm["target"], &crm["breaker"]), (&"crm_db".into(), &"closed".into()));
    assert!(crm["closed_until"].is_string() && crm["oldest_waiting_since"].is_string(), "{crm:#}");
    // A spent quota, and a target that is away.
    project.edit("config/kith.toml", &format!("hours = \"{other} 09:00-10:00\""), "per_day = 1");
    let ran = project.kith(&["run", "--once"]);
    assert!(ran.stdout.contains("the quota is spent"), "{}{}", ran.stdout, ran.stderr);
    let json = project.kith(&["--format", "json", "status"]).ok().json();
    assert!(json["endpoints"][0]["quotas_spent"][0]["until"].is_string(), "{json:#}");
    assert_eq!(json["endpoints"][0]["windows"][0]["window_seconds"], 86_400);
    assert!(project.kith(&["status"]).ok().stdout.contains("the quota is spent until"));
}
