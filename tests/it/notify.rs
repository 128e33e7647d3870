//! Telling people: escalations of a mapping and alarms of the service, as a signed webhook (checked by a receiver that shares no code with Kith) and as a
//! mail (taken by aiosmtpd): signed, once, under limits, collected, held back in quiet hours, and a lost answer is no failure.

use crate::support::certificates;
use crate::support::receiver::{KEY, Receiver, hook};
use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, activity, lines};
use std::fs;
use std::time::{Duration, Instant};

const ESCALATION: &str = "  - id: escalation
    for: activity
    when: { decision: linked }
    to: on_call
    operation: escalate
    priority: PRIORITY
    fields: { Network: network, ActivityID: object.id, CustomerID: customer_id, PostURL: object.url, Topic: topic }
";

/// Ten people, all linked, and a mapping that tells of each post.
fn project(priority: &str, target: &str) -> Project {
    let project = Project::empty();
    let row = |n: u32| format!("C{n},Someone Else,,,,,,,,instagram:handle{n},standard\n");
    project.write("data/customers.csv", CUSTOMERS_HEADER.to_owned() + &(0..10).map(row).collect::<String>());
    project.write("data/orders.csv", ORDERS_HEADER);
    project.edit("mappings/retail.yaml", "\ntests:", &format!("\n{}\ntests:", ESCALATION.replace("PRIORITY", priority)));
    project.write("webhook.key", format!("{KEY}\n"));
    let config = fs::read_to_string(project.path("config/kith.toml")).unwrap();
    project.write("config/kith.toml", format!("{config}\n[targets.on_call]\nconnector = \"connectors/targets/notify.yaml\"\n{target}\n"));
    project
}

fn say(project: &Project, people: std::ops::Range<u32>) {
    let said = people.map(|n| activity("instagram", &format!("u{n}"), &format!("handle{n}"), "x", n, "my order arrived broken"));
    project.write("data/activities.ndjson", lines(&said.collect::<Vec<_>>()));
}

/// One pass ends while a place asks to be left alone, or rests after a lost answer; a later one goes on.
fn runs_until_told(project: &Project) {
    for _ in 0..45 {
        let run = project.kith(&["--format", "json", "run", "--once"]).json();
        assert_eq!(run["conservation_gap"], 0, "{run}");
        if run["in_flight"] == 0 {
            return;
        }
        std::thread::sleep(Duration::from_secs(2));
    }
    panic!("a minute and a half of passes did not tell everything: {}", project.kith(&["status"]).stdout);
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < Duration::from_secs(170), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_escalation_is_told_once_signed_and_a_lost_answer_is_told_again_under_the_same_id() {
    let project = project("urgent", "");
    // Away for a moment, then the answer is lost, then too much: each is another thing.
    let receiver = Receiver::webhook(&project, &["503", "drop", "429"]);
    project.edit("config/kith.toml", "notify.yaml\"\n", &format!("notify.yaml\"\n{}", hook(receiver.port, "")));
    say(&project, 0..3);
    runs_until_told(&project);
    let got = receiver.got();
    assert!(got.iter().all(|request| request["good"] == true), "a signature that does not hold: {got:?}");
    let mut ids: Vec<&str> = got.iter().filter_map(|request| request["id"].as_str()).collect();
    assert_eq!(ids.len(), 6, "three that were taken and three that were not: {got:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "what is told again has its id again");
    let notice = &got[0]["body"]["notices"][0];
    assert_eq!((notice["kind"].as_str(), notice["fields"]["Topic"].as_str()), (Some("escalate"), Some("complaint")), "{notice}");
    assert!(!got[0].to_string().contains("my order"), "no more than the mapping says");
    let recovered = project.kith(&["--format", "json", "audit", "search", "--kind", "write.recovered"]).ok().stdout;
    assert!(recovered.contains("on_call") && recovered.contains("repeatable"), "the lost answer is in the log: {recovered}");
    project.run_once();
    assert_eq!(receiver.got().len(), 6, "nothing is told twice");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn what_is_not_urgent_is_collected_and_waits_for_the_end_of_quiet_hours() {
    let project = project("normal", "");
    let receiver = Receiver::webhook(&project, &[]);
    project.edit(
        "config/kith.toml",
        "notify.yaml\"\n",
        &format!("notify.yaml\"\n{}", hook(receiver.port, "digest = 4\ndigest_minutes = 600\n")),
    );
    say(&project, 0..3);
    let run = project.kith(&["--format", "json", "run", "--once"]).ok().json();
    assert_eq!(receiver.got().len(), 0);
    assert!(run["waits"].to_string().contains("3 of 4"), "{run}");
    say(&project, 0..6);
    project.run_once();
    let got = receiver.got();
    assert_eq!(got.len(), 1, "one message of all: {got:?}");
    assert_eq!(got[0]["body"]["notices"].as_array().unwrap().len(), 6);
    assert_eq!(got[0]["good"], true);
    // Quiet all day and night, on the clock of another place.
    project.edit(
        "config/kith.toml",
        "digest = 4\ndigest_minutes = 600",
        "quiet_hours = \"daily 00:00-24:00\"\ntime_zone = \"Asia/Kolkata\"",
    );
    say(&project, 0..8);
    let run = project.kith(&["--format", "json", "run", "--once"]).ok().json();
    assert!(run["waits"].to_string().contains("quiet hours"), "{run}");
    assert_eq!(receiver.got().len(), 1);
    // Urgent ones pass.
    project.edit(
        "mappings/retail.yaml",
        "priority: normal\n    fields: { Network: network, ActivityID: object.id, CustomerID",
        "priority: urgent\n    fields: { Network: network, ActivityID: object.id, CustomerID",
    );
    project.kith(&["mapping", "release", "--note", "these are urgent"]).ok();
    say(&project, 0..9);
    project.kith(&["run", "--once"]).ok();
    assert_eq!(receiver.got().len(), 2, "the new one alone");
}

#[test]
fn a_mail_goes_over_tls_with_a_login_and_what_the_server_refuses_parks_alone() {
    let project = project("urgent", "");
    certificates::make(project.dir.path(), "Test Authority", "DNS:localhost");
    let files = ["cert.pem", "key.pem"].map(|name| project.path(name));
    let Some(server) = Receiver::mail(&project, (&files[0], &files[1]), &["451", "drop", "554"]) else { return };
    project.write("mail.password", "open sesame\n");
    let target = format!(
        "url = \"smtp://localhost:{}\"\nca_file = \"ca.pem\"\nuser = \"kith\"\npassword = {{ file = \"mail.password\" }}\nfrom = \"kith@example.com\"\nto = \"desk@example.com, night@example.com\"\n",
        server.port
    );
    project.edit("config/kith.toml", "notify.yaml\"\n", &format!("notify.yaml\"\n{target}"));
    project.kith(&["doctor"]).ok();
    say(&project, 0..3);
    runs_until_told(&project);
    let got = server.got();
    // One later (451) and again, one whose answer was lost and again, one that is refused and not again, and the rest.
    assert_eq!(got.len(), 5, "{got:?}");
    assert!(got.iter().all(|mail| mail["tls"] == true && mail["from"] == "kith@example.com"), "{got:?}");
    assert_eq!(got[0]["to"].as_array().unwrap().len(), 2);
    let mail = got[0]["mail"].as_str().unwrap();
    assert!(mail.contains("Auto-Submitted: auto-generated") && mail.contains("Message-ID: <") && mail.contains("complaint"), "{mail}");
    let letters = project.kith(&["dead-letter", "list"]).ok().stdout;
    assert!(letters.contains("KITH-D084") && !letters.contains("Ada"), "{letters}");
    assert_eq!(project.kith(&["--format", "json", "status"]).ok().json()["totals"]["deliveries"]["on_call: parked"], 1);
    // A login that is not taken blames no notice.
    project.write("mail.password", "guess\n");
    say(&project, 0..4);
    let run = project.kith(&["--format", "json", "run", "--once"]);
    assert!(run.stdout.contains("KITH-D016") || run.stderr.contains("KITH-D016"), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(server.got().len(), 5);
}

#[test]
fn the_service_tells_once_that_a_target_is_away_and_that_it_is_back_over_a_kill() {
    let project = project("urgent", "");
    let receiver = Receiver::webhook(&project, &[]);
    project.edit("config/kith.toml", "notify.yaml\"\n", &format!("notify.yaml\"\n{}", hook(receiver.port, "")));
    // The CRM is a folder that can't be made while a file stands in its place.
    project.edit("config/kith.toml", "path = \"crm/crm.db\"", "path = \"away/crm.db\"");
    project.write("away", "a file");
    let config = fs::read_to_string(project.path("config/kith.toml")).unwrap();
    project.write("config/kith.toml", format!("{config}\n[alarms]\nto = \"on_call\"\nafter_seconds = 3\nreview_backlog = 1000\n"));
    say(&project, 0..2);
    let alarms = |state: &str| receiver.alarms("BreakerOpen", state);
    let mut service = project.spawn(&["run"]);
    until("the alarm", || alarms("began") == 1);
    service.kill().unwrap();
    service.wait().unwrap();
    let mut service = project.spawn(&["run"]);
    std::thread::sleep(Duration::from_secs(15));
    assert_eq!(alarms("began"), 1, "a restart repeats nothing");
    fs::remove_file(project.path("away")).unwrap();
    until("the end", || alarms("ended") == 1);
    service.kill().unwrap();
    service.wait().unwrap();
    assert!(receiver.got().iter().all(|request| request["good"] == true));
    let told = project.kith(&["--format", "json", "audit", "search", "--kind", "write.receipt"]).ok().stdout;
    assert!(told.contains("BreakerOpen") && told.contains("began") && told.contains("ended") && told.contains("on_call"), "{told}");
}

#[test]
fn what_does_not_fit_a_target_that_tells_people_is_a_problem_with_its_place() {
    let told = |target: &str, more: &str| {
        let project = project("urgent", target);
        let config = fs::read_to_string(project.path("config/kith.toml")).unwrap();
        project.write("config/kith.toml", config + more);
        let out = project.kith(&["check"]);
        format!("{}{}", out.stdout, out.stderr)
    };
    let good = hook(80, "");
    for (target, more, code) in [
        (&*good, "", "0 problems"),
        ("url = \"smtp://mail.example\"", "", "KITH-T013"),
        ("url = \"http://x.example\"\nfrom = \"a@b.example\"\nto = \"c@d.example\"", "", "KITH-T013"),
        ("url = \"smtp://mail.example\"\nfrom = \"a@b.example\"\nto = \"no address\"", "", "KITH-C003"),
        ("url = \"smtp://mail.example\"\nfrom = \"a@b.example\"", "", "KITH-C004"),
        (&*good, "quiet_hours = \"at night\"\n", "KITH-C019"),
        (&*good, "digest_minutes = 5\n", "KITH-C004"),
        (&*good, "[alarms]\nto = \"nobody\"\n", "KITH-C004"),
        (&*good, "[alarms]\nto = \"crm_db\"\n", "KITH-T013"),
    ] {
        let told = told(target, more);
        let fine = code == "0 problems" && told.contains("0 errors, 0 warnings");
        assert!(fine || told.contains(code), "{code}:\n{told}");
    }
    let project = project("urgent", &good);
    project.edit("connectors/targets/notify.yaml", "on_delete: keep", "on_delete: remove");
    project.kith(&["check"]).fails(2, "KITH-T046");
    // A key that is none: nothing is sent unsigned.
    let project = self::project("urgent", "");
    let receiver = Receiver::webhook(&project, &[]);
    project.edit("config/kith.toml", "notify.yaml\"\n", &format!("notify.yaml\"\n{}", hook(receiver.port, "")));
    project.write("webhook.key", "hunter2\n");
    say(&project, 0..1);
    let run = project.kith(&["run", "--once"]);
    assert!(run.stderr.contains("KITH-D083") || run.stdout.contains("KITH-D083"), "{}\n{}", run.stdout, run.stderr);
    assert!(!run.stderr.contains("hunter2") && receiver.got().is_empty());
}
