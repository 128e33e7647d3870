//! What a network says is gone leaves the CRM, over a simulator of X's compliance jobs: whatever is killed and whenever, one job is made and every Delete
//! arrives once; a job that brings nothing is asked again; nothing leads elsewhere; addresses of files are shown nowhere.

use crate::kills::entries;
use crate::service::Running;
use crate::support::clock::FasterClock;
use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, free_port, root, wait_for};
use serde_json::{Value as Json, json};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The simulator, and what it keeps.
pub struct Server {
    child: Child,
    pub base: String,
    folder: tempfile::TempDir,
}

impl Server {
    /// With six posts of three accounts: 101 and 104 are of account 1, and so on.
    pub fn start() -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let child = Command::new("python3")
            .arg(root().join("tests/support/compliance_server.py"))
            .arg(port.to_string())
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3");
        let server = Self { child, base: format!("http://127.0.0.1:{port}"), folder };
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
    pub fn asked(&self) -> Vec<String> {
        let text = |request: &Json| format!("{} {}", request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
        self.get("asked").iter().map(text).collect()
    }

    /// The list that a job was brought.
    fn list(&self, job: &str) -> Vec<String> {
        let list = std::fs::read_to_string(self.folder.path().join(format!("list-{job}"))).unwrap();
        list.lines().map(str::to_owned).collect()
    }

    pub fn gone(&self, tweets: &Json, users: &Json) {
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
pub fn project(server: &Server, compliance: &str) -> Project {
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
pub fn stand(project: &Project) -> Vec<String> {
    let rows = project.crm("SELECT ActivityID FROM SocialInteraction");
    rows.iter().map(|id| id.rsplit('/').next().unwrap().to_owned()).collect()
}

pub fn ended(status: &Json, question: &str) -> bool {
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
fn a_file_on_a_host_that_the_configuration_leaves_out_is_not_touched() {
    let server = Server::start();
    server.gone(&json!({ "101": "deleted" }), &json!({}));
    server.tell("next", &json!(["outside"]));
    let project = project(&server, "compliance = \"posts\"\nhosts = \"127.0.0.1\"");
    project.edit("connectors/sources/x.yaml", "files: [storage.googleapis.com]", "files: [files.example]");
    let service = Running::start(&project);
    service
        .until("told", |_| std::fs::read_to_string(project.path("service.log")).unwrap().contains("that the configuration does not list"));
    service.until("the CRM has all", |_| stand(&project).len() == 6);
    assert!(!server.asked().iter().any(|asked| asked.contains("/files/")), "{:?}", server.asked());
    assert_eq!(service.end(), Some(1), "a fault was told");
    nothing_is_shown(&project);
}

#[test]
fn a_job_that_expires_is_followed_by_another_one_about_the_same_list() {
    let server = Server::start();
    server.gone(&json!({ "103": "deleted" }), &json!({}));
    server.tell("next", &json!(["expired"]));
    let project = project(&server, "compliance = \"posts\"");
    let service = Running::start(&project);
    let status =
        service.until("asked", |status| ended(status, "activities/posts") && stand(&project) == ["101", "102", "104", "105", "106"]);
    assert_eq!(of(&status, "activities/posts")["asked"], 6, "each is asked about and answered once");
    let states: Vec<Json> = server.get("jobs").iter().map(|job| job["status"].clone()).collect();
    assert_eq!(states, ["expired", "complete"]);
    assert_eq!(service.end(), Some(1), "a fault was told");
    assert!(std::fs::read_to_string(project.path("service.log")).unwrap().contains("it expired"));
}

/// Passes that live so much later, until the CRM stands so.
fn passes_until(project: &Project, clock: &FasterClock, later: &str, wanted: &[&str]) {
    let start = Instant::now();
    loop {
        let out = clock.ahead(&mut project.command(&["run", "--once"]), later).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let found = stand(project);
        if found == wanted {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "{later}: {found:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn the_next_round_begins_after_its_hours_and_asks_about_what_still_stands() {
    let Some(clock) = FasterClock::installed(1) else { return };
    let server = Server::start();
    server.gone(&json!({ "101": "deleted" }), &json!({}));
    let project = project(&server, "compliance = \"posts\"\ncompliance_hours = 24");
    passes_until(&project, &clock, "+0d", &["102", "103", "104", "105", "106"]);
    server.gone(&json!({ "101": "deleted", "106": "suspended" }), &json!({}));
    for _ in 0..3 {
        passes_until(&project, &clock, "+23h", &["102", "103", "104", "105", "106"]);
    }
    assert_eq!(server.get("jobs").len(), 1, "a day has not passed: {:?}", server.asked());
    passes_until(&project, &clock, "+25h", &["102", "103", "104", "105"]);
    let jobs = server.get("jobs");
    assert_eq!((jobs.len(), jobs[1]["status"].as_str()), (2, Some("complete")));
    let list = server.list(jobs[1]["id"].as_str().unwrap());
    assert_eq!(list, ["102", "103", "104", "105", "106"], "what is gone is not asked about again");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn posts_that_are_looked_up_leave_the_crm_where_x_says_that_they_are_gone() {
    let server = Server::start();
    // Of 103 it says something else, and of 106 nothing: nothing follows.
    server.gone(&json!({ "101": "deleted", "103": "broken", "105": "protected", "106": "unmentioned" }), &json!({}));
    let project = project(&server, "compliance = \"posts_looked_up\"");
    let service = Running::start(&project);
    let question = "activities/posts_looked_up";
    let status = service.until("asked", |status| ended(status, question) && stand(&project) == ["102", "103", "104", "106"]);
    let told = of(&status, question);
    let counts = ["asked", "gone", "deleted", "unknown", "unread", "failures"].map(|name| told[name].as_u64().unwrap());
    assert_eq!(counts, [6, 2, 2, 0, 2, 0], "{told}");
    assert_eq!(server.asked(), ["GET /2/tweets"], "one call for all six");
    assert_eq!(service.end(), Some(0));
    let entries = entries(&project);
    assert!(entries.iter().any(|entry| entry["entry"]["why"]["rule"] == "asked-what-stands"));
    project.kith(&["audit", "verify"]).ok();
    nothing_is_shown(&project);
}

#[test]
fn an_answer_that_shows_nothing_deletes_nothing_and_is_asked_for_again() {
    let server = Server::start();
    server.gone(&json!({ "102": "deleted" }), &json!({}));
    server.tell("shows", &json!(["nothing"]));
    let project = project(&server, "compliance = \"posts_looked_up\"");
    let service = Running::start(&project);
    service.until("told", |_| std::fs::read_to_string(project.path("service.log")).unwrap().contains("it lists nothing"));
    let status = service
        .until("asked", |status| ended(status, "activities/posts_looked_up") && stand(&project) == ["101", "103", "104", "105", "106"]);
    assert_eq!(of(&status, "activities/posts_looked_up")["deleted"], 1);
    assert_eq!(service.end(), Some(1), "a fault was told");
}

#[test]
fn a_round_of_look_ups_goes_on_where_a_killed_service_left_it_and_is_paid_for() {
    let server = Server::start();
    let posts: Vec<Json> = (0..250).map(|n| json!([(1_000 + n).to_string(), (1 + n % 3).to_string()])).collect();
    server.tell("posts", &json!(posts));
    server.gone(&json!({ "1003": "deleted", "1120": "deleted", "1249": "deleted" }), &json!({}));
    let project = project(&server, "compliance = \"posts_looked_up\"\nbudget_a_month = \"1000.00 USD\"");
    let service = Running::start(&project);
    let start = Instant::now();
    while server.asked().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(120), "never asked");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(service);
    let service = Running::start(&project);
    let question = "activities/posts_looked_up";
    let status = service.until("asked", |status| ended(status, question) && status["in_flight"] == 0 && stand(&project).len() == 247);
    assert_eq!(["asked", "gone", "deleted"].map(|name| of(&status, question)[name].as_u64().unwrap()), [250, 3, 3], "{status}");
    let asked = server.get("asked");
    let ids = asked.iter().map(|request| request["ids"].as_u64().unwrap());
    assert!(ids.clone().all(|ids| ids <= 100) && (3..=4).contains(&ids.count()), "{asked:?}");
    assert_eq!(status["conservation_gap"], 0);
    assert_eq!(service.end(), Some(0));
    let spent = project.kith(&["status", "--format", "json"]).ok().json()["budgets"][0]["spent"].as_str().unwrap().parse::<f64>().unwrap();
    // The mentions at 0.005 a post and 0.010 an author, then 247 posts that were shown; more, where a call was cut off.
    assert!(spent >= 250.0 * 0.005 + 247.0 * 0.005, "{spent}");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn look_ups_wait_for_a_budget_that_does_not_reach_and_go_on_when_it_is_raised() {
    let server = Server::start();
    server.gone(&json!({ "101": "deleted" }), &json!({}));
    let project = project(&server, "compliance = \"posts_looked_up\"\nbudget_a_month = \"1.55 USD\"");
    project.edit("connectors/sources/x.yaml", "        posts_looked_up: { per_record: \"0.005\" }\n", "");
    // The page of mentions may cost 1.50; a look-up of a hundred that has no price of its own could cost as much again.
    let service = Running::start(&project);
    let waits =
        |status: &Json| status["budgets"][0]["waiting"].as_array().is_some_and(|all| all.contains(&json!("compliance posts_looked_up")));
    service.until("it waits", |status| waits(status) && stand(&project).len() == 6);
    assert!(server.asked().is_empty(), "{:?}", server.asked());
    project.edit("config/kith.toml", "1.55 USD", "9.00 USD");
    project.kith(&["reload"]).ok();
    service.until("it goes on", |status| !waits(status) && stand(&project) == ["102", "103", "104", "105", "106"]);
    assert_eq!(service.end(), Some(0));
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
        ("at_most: 100", "at_most: 1000", "a number from 1 to 100"),
        ("parameter: ids", "parameter: 'ids='", "`parameter`"),
        ("there: { at: data, key: id }", "there: { at: data }", "{ at: …, key: … }"),
        ("gone: { at: errors, key: resource_id }", "# none", "`only` chooses"),
        ("at_most: 100", "at_most: 100\n        asks: tweets", "`asks`"),
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
