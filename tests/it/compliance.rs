//! What a network says is gone leaves the CRM, over a simulator of X's compliance jobs: whatever is killed and whenever, one job is made and every Delete
//! arrives once; a job that brings nothing is asked again; nothing leads elsewhere; addresses of files are shown nowhere.

use crate::kills::entries;
use crate::service::Running;
use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, free_port, root, wait_for};
use serde_json::{Value as Json, json};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The simulator, and what it keeps.
struct Server {
    child: Child,
    base: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// With six posts of three accounts: 101 and 104 are of account 1, and so on.
    fn start() -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let child = Command::new("python3")
            .arg(root().join("tests/support/compliance_server.py"))
            .arg(port.to_string())
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3");
        let server = Self { child, base: format!("http://127.0.0.1:{port}"), _folder: folder };
        assert!((0..6).any(|_| wait_for(port)), "the server does not listen");
        server.tell("posts", &json!([["101", "1"], ["102", "2"], ["103", "3"], ["104", "1"], ["105", "2"], ["106", "3"]]));
        server
    }

    fn tell(&self, what: &str, body: &Json) {
        let out = Command::new("curl").args(["-sSf", "-d", &body.to_string()]).arg(format!("{}/{what}", self.base)).output().unwrap();
        assert!(out.status.success(), "{what}: {}", String::from_utf8_lossy(&out.stderr));
    }

    fn get(&self, what: &str) -> Vec<Json> {
        let out = Command::new("curl").arg("-sSf").arg(format!("{}/{what}", self.base)).output().unwrap();
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{what}: {e}: {}", String::from_utf8_lossy(&out.stderr)))
    }

    /// Methods and places that were asked about compliance, in order.
    fn asked(&self) -> Vec<String> {
        let text = |request: &Json| format!("{} {}", request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
        self.get("asked").iter().map(text).collect()
    }

    fn gone(&self, tweets: &Json, users: &Json) {
        self.tell("gone", &json!({ "tweets": tweets, "users": users }));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The shipped connector over the server; its three accounts are customers' accounts.
fn project(server: &Server, compliance: &str) -> Project {
    let project = Project::empty();
    let customer = |n: u32| format!("C{n},Somebody {n},,,,,,,,x:user{n},standard\n");
    project.write("data/customers.csv", CUSTOMERS_HEADER.to_owned() + &(1..=3).map(customer).collect::<String>());
    project.write("data/orders.csv", ORDERS_HEADER);
    project.edit(
        "config/kith.toml",
        "kind = \"file\"\npath = \"data/activities.ndjson\"",
        &format!(
            "kind = \"network\"\nconnector = \"connectors/sources/x.yaml\"\nsettings = {{ file = \"settings.json\" }}\nstreams = \"mentions\"\nevery_seconds = 1\n{compliance}"
        ),
    );
    project.edit("config/kith.toml", "[service]\n", "[service]\npoll_seconds = 1\n");
    let settings = json!({ "server": server.base, "bearer_token": "x-token", "user_id": "7", "start_date": "2020-01-01" });
    project.write("settings.json", settings.to_string());
    project
}

/// The numbers of the posts that stand in the CRM.
fn stand(project: &Project) -> Vec<String> {
    let rows = project.crm("SELECT ActivityID FROM SocialInteraction");
    rows.iter().map(|id| id.rsplit('/').next().unwrap().to_owned()).collect()
}

fn ended(status: &Json, question: &str) -> bool {
    status["service"]["compliance"].as_array().is_some_and(|all| all.iter().any(|of| of["question"] == question && of["ended"].is_string()))
}

fn of<'s>(status: &'s Json, question: &str) -> &'s Json {
    status["service"]["compliance"].as_array().unwrap().iter().find(|of| of["question"] == question).unwrap()
}

/// No address of a file, and nothing of the token, is in the log of the service or in its state.
fn nothing_is_shown(project: &Project) {
    let log = std::fs::read(project.path("service.log")).unwrap();
    let state = ["state/kith.db", "state/kith.db-wal"].map(|file| std::fs::read(project.path(file)).unwrap_or_default());
    for bytes in std::iter::once(log).chain(state) {
        for secret in ["secret-up", "secret-down", "x-token"] {
            assert!(!String::from_utf8_lossy(&bytes).contains(secret), "{secret} is shown");
        }
    }
}

#[test]
fn posts_that_x_says_are_gone_leave_the_crm_and_the_others_stay() {
    let server = Server::start();
    server.gone(&json!({ "101": "deleted", "102": "scrub_geo", "105": "suspended", "999": "deleted" }), &json!({}));
    server.tell("bulk", &json!(3));
    let project = project(&server, "compliance = \"posts\"");
    project.kith(&["check"]).ok();
    let service = Running::start(&project);
    let status = service.until("asked", |status| ended(status, "activities/posts") && stand(&project) == ["102", "103", "104", "106"]);
    let told = of(&status, "activities/posts");
    let counts = ["asked", "gone", "deleted", "unknown", "unread", "failures"].map(|name| told[name].as_u64().unwrap());
    // Three lines are about nobody's posts here, two are none.
    assert_eq!(counts, [6, 5, 2, 3, 2, 0], "{told}");
    // The store was counted before the service was asked how it stands: what came between is in the next status.
    let status = service.status();
    assert_eq!((&status["received"], &status["conservation_gap"]), (&json!(8), &json!(0)));
    let text = project.kith(&["status"]).ok().stdout;
    assert!(text.contains("activities/posts: all of it asked about at"), "{text}");
    let asked = server.asked();
    assert_eq!(asked[..3], ["GET /2/compliance/jobs", "POST /2/compliance/jobs", "GET /2/compliance/jobs/1000"], "{asked:?}");
    assert_eq!(asked[3..].iter().map(|s| s.split('/').next_back().unwrap()).collect::<Vec<_>>(), ["up", "1000", "down"], "{asked:?}");
    assert_eq!(service.end(), Some(0));
    nothing_is_shown(&project);
    let entries = entries(&project);
    let round = entries.iter().find(|entry| entry["entry"]["why"]["rule"] == "asked-what-stands").expect("the round is told");
    assert_eq!(round["entry"]["kind"], "source.read", "{round}");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn an_account_that_is_gone_takes_all_with_it_that_it_said() {
    let server = Server::start();
    server.gone(&json!({}), &json!({ "1": "deactivated", "3": "scrub_geo" }));
    let project = project(&server, "compliance = \"posts, accounts\"");
    let service = Running::start(&project);
    let gone = |status: &Json| ended(status, "activities/accounts") && stand(&project) == ["102", "103", "105", "106"];
    let status = service.until("asked", gone);
    let told = of(&status, "activities/accounts");
    assert_eq!(["asked", "gone", "deleted"].map(|name| told[name].as_u64().unwrap()), [3, 1, 2], "{told}");
    assert_eq!(of(&status, "activities/posts")["deleted"], 0);
    assert_eq!(status["conservation_gap"], 0);
    assert_eq!(service.end(), Some(0));
    project.kith(&["audit", "verify"]).ok();
}

/// The service is killed right after each of its requests in turn: listing, making, looking, the list, looking, the answer.
#[test]
fn whoever_is_killed_after_whatever_request_makes_one_job_and_every_delete_arrives_once() {
    for after in 1..=6 {
        let server = Server::start();
        server.gone(&json!({ "101": "deleted", "105": "protected" }), &json!({}));
        let project = project(&server, "compliance = \"posts\"");
        let service = Running::start(&project);
        let start = Instant::now();
        while server.get("asked").len() < after {
            assert!(start.elapsed() < Duration::from_secs(120), "never {after} requests: {:?}", server.asked());
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(service);
        let service = Running::start(&project);
        // A CRM that was left in the middle of a write is not read before the service has opened it again.
        let gone = |status: &Json| ended(status, "activities/posts") && status["received"] == 8 && status["in_flight"] == 0;
        let status = service.until("asked", gone);
        assert_eq!(stand(&project), ["102", "103", "104", "106"], "after {after}");
        assert_eq!(server.get("jobs").len(), 1, "after {after}: {:?}", server.asked());
        let told = of(&status, "activities/posts");
        assert_eq!(["asked", "gone", "deleted"].map(|name| told[name].as_u64().unwrap()), [6, 2, 2], "after {after}: {told}");
        let status = service.status();
        assert_eq!((&status["received"], &status["conservation_gap"]), (&json!(8), &json!(0)), "after {after}");
        assert_eq!(service.end(), Some(0));
        project.kith(&["audit", "verify"]).ok();
    }
}

#[test]
fn a_job_whose_making_was_not_answered_is_found_by_its_name() {
    let server = Server::start();
    server.gone(&json!({ "101": "deleted" }), &json!({}));
    server.tell("next", &json!(["lost"]));
    let project = project(&server, "compliance = \"posts\"");
    let service = Running::start(&project);
    service.until("asked", |status| ended(status, "activities/posts") && stand(&project) == ["102", "103", "104", "105", "106"]);
    assert_eq!(server.get("jobs").len(), 1, "{:?}", server.asked());
    // A fault that was told in between counts: it may have been asked to make one more, and have been refused.
    assert!(service.end().is_some());
}

#[test]
fn a_job_that_brings_nothing_is_asked_again_and_an_answer_that_breaks_off_taken_again() {
    let server = Server::start();
    server.gone(&json!({ "101": "deleted", "104": "deleted" }), &json!({}));
    server.tell("next", &json!(["failed", "cut"]));
    let project = project(&server, "compliance = \"posts\"");
    let service = Running::start(&project);
    service.until("failing", |status| {
        status["service"]["compliance"].as_array().is_some_and(|all| all.iter().any(|of| of["failures"].as_u64() > Some(0)))
    });
    let gone = |status: &Json| ended(status, "activities/posts") && stand(&project) == ["102", "103", "105", "106"];
    let status = service.until("asked", gone);
    let told = of(&status, "activities/posts");
    assert_eq!(["gone", "deleted", "unknown", "failures"].map(|name| told[name].as_u64().unwrap()), [2, 2, 0, 0], "{told}");
    let states: Vec<Json> = server.get("jobs").iter().map(|job| job["status"].clone()).collect();
    assert_eq!(states, ["failed", "complete"]);
    assert_eq!(service.end(), Some(1), "a fault was told");
    let log = std::fs::read_to_string(project.path("service.log")).unwrap();
    assert!(log.contains("KITH-N096"), "{log}");
    nothing_is_shown(&project);
}

#[test]
fn a_file_on_another_host_is_not_touched() {
    let server = Server::start();
    server.gone(&json!({ "101": "deleted" }), &json!({}));
    server.tell("next", &json!(["elsewhere"]));
    let project = project(&server, "compliance = \"posts\"");
    let service = Running::start(&project);
    service.until("told", |_| std::fs::read_to_string(project.path("service.log")).unwrap().contains("KITH-N097"));
    service.until("the CRM has all", |_| stand(&project).len() == 6);
    assert!(!server.asked().iter().any(|asked| asked.contains("/files/")), "{:?}", server.asked());
    assert_eq!(service.end(), Some(1), "a fault was told");
    nothing_is_shown(&project);
}

#[test]
fn an_answer_of_a_hundred_thousand_lines_is_taken_in_little_memory() {
    let peak = |lines: u64| {
        let server = Server::start();
        server.gone(&json!({ "101": "deleted" }), &json!({}));
        server.tell("bulk", &json!(lines));
        let project = project(&server, "compliance = \"posts\"");
        let service = Running::start(&project);
        let status = service.until("asked", |status| ended(status, "activities/posts"));
        assert_eq!(of(&status, "activities/posts")["unknown"], lines);
        let process = std::fs::read_to_string(format!("/proc/{}/status", status["service"]["process"])).unwrap();
        let peak = process.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().strip_suffix(" kB").unwrap().to_owned();
        assert_eq!(service.end(), Some(0));
        peak.parse::<u64>().unwrap()
    };
    let (little, much) = (peak(1), peak(100_000));
    // The answer has 57 MB.
    assert!(much < little + 30_000, "{little} kB, then {much} kB");
}

#[test]
fn what_is_declared_wrongly_is_told_with_its_place() {
    let server = Server::start();
    let project = project(&server, "compliance = \"posts, people\"");
    let out = project.kith(&["run", "--once"]).fails(2, "KITH-N095");
    assert!(out.stderr.contains("`people`") || out.stdout.contains("`people`"), "{}", out.stderr);
    project.edit("config/kith.toml", ", people", "");
    project.kith(&["check"]).ok();
    for (from, to, says) in [
        ("asks: tweets", "ask: tweets", "`ask`"),
        ("about: objects", "about: posts", "about: objects"),
        ("by: x_jobs", "by: magic", "by: x_jobs"),
        ("begins: https://x.com/i/web/status/", "begins: ''", "`begins` is missing"),
        ("files: [storage.googleapis.com]", "files: ['https://storage.googleapis.com']", "a host's name"),
        ("path: /2/compliance/jobs", "path: /2/compliance/jobs\n    request_parameters: { type: tweets }", "`request_parameters`"),
    ] {
        project.edit("connectors/sources/x.yaml", from, to);
        let out = project.kith(&["check"]);
        let said = out.stdout + &out.stderr;
        assert!(out.code == Some(2) && said.contains("KITH-N095") && said.contains(says) && said.contains("x.yaml:"), "{says}: {said}");
        project.edit("connectors/sources/x.yaml", to, from);
    }
}
