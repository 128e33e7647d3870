//! Live streams, against servers on aiohttp that nobody here wrote the wire of: whatever is killed, and whenever, every event is there once; what a
//! stream can't give again is written down as a gap and read from the polled one; who means harm harms nobody else.

use crate::kills::{Moments, entries};
use crate::service::{Running, scraped};
use crate::support::tinyproxy::Tinyproxy;
use crate::support::{Project, Seed, certificates, free_port, root, slice, wait_for};
use serde_json::{Value as Json, json};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A python with aiohttp; `None`, said loudly, where there is none.
fn python() -> Option<String> {
    let named = std::env::var("KITH_TEST_AIOHTTP").ok();
    let beside = std::env::temp_dir().join("kith-aiohttp/bin/python").display().to_string();
    let found = named
        .into_iter()
        .chain([beside, "python3".to_owned()])
        .find(|python| Command::new(python).args(["-c", "import aiohttp"]).output().is_ok_and(|out| out.status.success()));
    if found.is_none() {
        assert!(std::env::var("CI").is_err(), "no python with aiohttp");
        let folder = std::env::temp_dir().join("kith-aiohttp").display().to_string();
        eprintln!("SKIPPED: no python with aiohttp (python3 -m venv {folder}; {folder}/bin/pip install 'aiohttp==3.14.*')");
    }
    found
}

/// The server of `stream_server.py`; it keeps what it said over a kill.
pub struct Server {
    python: String,
    port: u16,
    folder: tempfile::TempDir,
    tls: bool,
    child: Option<Child>,
}

impl Server {
    pub fn start() -> Option<Self> {
        Self::with(false)
    }

    /// Over TLS with a certificate of a company's own authority: `ca.pem` of its folder.
    fn with(tls: bool) -> Option<Self> {
        let mut server = Self { python: python()?, port: free_port(), folder: tempfile::tempdir().unwrap(), tls, child: None };
        if tls {
            certificates::make(server.folder.path(), "Kith test authority", "DNS:localhost");
        }
        server.begin();
        Some(server)
    }

    fn begin(&mut self) {
        let mut command = Command::new(&self.python);
        command.arg(root().join("tests/support/stream_server.py")).arg(self.port.to_string()).arg(self.folder.path());
        if self.tls {
            command.arg(self.folder.path());
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap();
        assert!((0..6).any(|_| wait_for(self.port)), "the server does not listen: {}", log());
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            _ = child.kill();
            _ = child.wait();
        }
    }

    pub fn base(&self) -> String {
        // The certificate is for the name.
        if self.tls { format!("https://localhost:{}", self.port) } else { format!("http://127.0.0.1:{}", self.port) }
    }

    pub fn post(&self, path: &str) {
        let mut curl = Command::new("curl");
        if self.tls {
            curl.arg("--cacert").arg(self.folder.path().join("ca.pem"));
        }
        let out = curl.args(["-sSf", "-X", "POST", &format!("{}{path}", self.base())]).output().unwrap();
        assert!(out.status.success(), "{path}: {}", String::from_utf8_lossy(&out.stderr));
    }

    /// What it was asked.
    fn requests(&self) -> Vec<Json> {
        let text = std::fs::read_to_string(self.folder.path().join("requests.ndjson")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn asked(&self, path: &str) -> Vec<Json> {
        self.requests().into_iter().filter(|request| request["path"] == path).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A connector over the server: one polled stream, and the live one of the test.
pub fn connector(live: &str) -> String {
    format!(
        r##"type: DeclarativeSource
version: 7.0.0
check: {{ type: CheckStream, stream_names: [things] }}
definitions:
  said:
    type: "'Create'"
    id: "'https://x.example/activities/' + string(record.id)"
    published: "record.at"
    to: "['https://www.w3.org/ns/activitystreams#Public']"
    actor: {{ type: "'Person'", id: "'https://x.example/users/' + record.user" }}
    object: {{ type: "'Note'", id: "'https://x.example/notes/' + string(record.id)", content: "record.text" }}
streams:
  - type: DeclarativeStream
    name: things
    retriever:
      type: SimpleRetriever
      requester: {{ type: HttpRequester, url_base: "{{{{ config['base_url'] }}}}", path: /poll }}
      record_selector: {{ type: RecordSelector, extractor: {{ type: DpathExtractor, field_path: [data] }} }}
metadata:
  kith:
    network: mastodon
    streams:
      things: {{ activity: "#/definitions/said" }}
    live:
      things_live:
        requester: {{ type: HttpRequester, url_base: "{{{{ config['live_url'] }}}}", path: "{{{{ config['path'] }}}}" }}
        take: [{{ activity: "#/definitions/said" }}]
{live}"##
    )
}

pub const NUMBERED: &str =
    "        by: sse\n        heartbeat_seconds: 10\n        resume: { lost_codes: [410] }\n        backfill: things\n";
pub const NAMELESS: &str = "        by: sse\n        heartbeat_seconds: 10\n        backfill: things\n";

/// A WebSocket that goes on after the number of a message.
const SOCKET: &str = "        by: websocket\n        heartbeat_seconds: 10\n        backfill: things\n        resume:\n          cursor_value: \"{{ record['id'] }}\"\n          \
    option: { type: RequestOption, inject_into: request_parameter, field_name: after }\n";

/// The retail project with a source whose one stream is live.
fn project(connector: &str, settings: &Json, stream: &str, more: &str) -> Project {
    let project = Project::with(&slice(20));
    project.edit(
        "config/kith.toml",
        "kind = \"file\"\npath = \"data/activities.ndjson\"",
        &format!(
            "kind = \"network\"\nconnector = \"{connector}\"\nsettings = {{ file = \"settings.json\" }}\nstreams = \"{stream}\"\nevery_seconds = 1\n{more}"
        ),
    );
    project.write("settings.json", settings.to_string());
    project
}

fn over(server: &Server, live: &str, path: &str) -> Project {
    with(server, live, path, "")
}

fn with(server: &Server, live: &str, path: &str, more: &str) -> Project {
    let base = server.base();
    let live_url = if live.contains("by: websocket") { base.replacen("http", "ws", 1) } else { base.clone() };
    let project = project("connectors/live.yaml", &json!({ "base_url": base, "live_url": live_url, "path": path }), "things_live", more);
    project.write("connectors/live.yaml", connector(live));
    project
}

fn received(count: u64) -> impl Fn(&Json) -> bool {
    move |status| status["received"] == count && status["conservation_gap"] == 0
}

fn connected(status: &Json) -> bool {
    status["service"]["streams"]
        .as_array()
        .is_some_and(|streams| !streams.is_empty() && streams.iter().all(|one| !one["connected_since"].is_null()))
}

/// Connected, and nothing that was missed is still to be read.
fn whole(status: &Json) -> bool {
    connected(status) && status["service"]["streams"].as_array().unwrap().iter().all(|one| one["gap_to"].is_null())
}

/// Waits until nothing that was missed is to be read any more; what was received by then. (A status counts the store first, and asks the service then.)
fn settled(service: &Running<'_>) -> u64 {
    service.until("connected", whole);
    service.status()["received"].as_u64().unwrap()
}

/// The gaps of the log: the step, from, and until when and why.
fn gaps(project: &Project) -> Vec<(String, String, String)> {
    let text = |entry: &Json, name: &str| entry["why"][name].as_str().unwrap_or_default().to_owned();
    let all = entries(project);
    let about = all.iter().map(|line| &line["entry"]).filter(|entry| entry["kind"] == "source.read");
    let mut found: Vec<_> = about.map(|entry| (text(entry, "rule"), text(entry, "since"), text(entry, "record"))).collect();
    found.retain(|(rule, ..)| rule.starts_with("gap-"));
    found
}

#[test]
fn a_stream_with_ids_goes_on_after_the_last_stored_event_whoever_ends_it() {
    let Some(mut server) = Server::start() else { return };
    server.post("/say?n=5");
    let project = over(&server, NUMBERED, "numbered");
    project.kith(&["check"]).ok();
    let service = Running::start(&project);
    service.until("the first five", |status| received(5)(status) && whole(status));
    server.post("/say?n=5");
    service.until("five more", received(10));
    // The connection is cut; the server dies; what is said before it is asked again comes all the same.
    server.post("/drop");
    server.post("/say?n=5");
    service.until("after a cut", received(15));
    server.kill();
    server.begin();
    server.post("/say?n=5");
    service.until("after the server's end", received(20));
    assert_eq!(service.end(), Some(0));
    server.post("/say?n=5");
    let service = Running::start(&project);
    service.until("after the service's end", received(25));
    let shown = project.kith(&["status"]).ok().stdout;
    assert!(shown.contains("things_live: connected since") && shown.contains("last event at"), "{shown}");
    assert_eq!(service.end(), Some(0));
    let asked = server.asked("/numbered");
    let ids: Vec<u64> = asked.iter().filter_map(|request| request["Last-Event-ID"].as_str()?.parse().ok()).collect();
    // While the server was away the polled stream stood in for it: where the connection then goes on depends on which was first.
    assert!(ids.contains(&10) && ids.is_sorted() && ids.last() >= Some(&15) && ids.iter().all(|id| id % 5 == 0), "{asked:?}");
    assert!(asked.iter().all(|request| request["Accept"] == "text/event-stream"));
    // The first connection alone missed anything: what was there before it.
    let found = gaps(&project);
    let steps: Vec<&str> = found.iter().map(|(step, ..)| step.as_str()).collect();
    assert_eq!(steps, ["gap-began", "gap-filled"], "{found:?}");
    assert!(found[0].1 == "the beginning" && found[0].2.contains("first-connection"), "{found:?}");
}

#[test]
fn what_a_stream_without_ids_missed_is_a_gap_and_is_read_from_the_polled_one() {
    let Some(server) = Server::start() else { return };
    let project = over(&server, NAMELESS, "nameless");
    let service = Running::start(&project);
    service.until("connected", whole);
    server.post("/say?n=3");
    service.until("live", received(3));
    assert_eq!(service.end(), Some(0));
    server.post("/say?n=4");
    let service = Running::start(&project);
    let status = service.until("filled", |status| received(7)(status) && whole(status));
    assert_eq!(status["service"]["streams"][0]["gaps"], 2, "{status}");
    assert_eq!(service.end(), Some(0));
    let found = gaps(&project);
    let steps: Vec<&str> = found.iter().map(|(step, ..)| step.as_str()).collect();
    assert_eq!(steps, ["gap-began", "gap-filled", "gap-began", "gap-filled"], "{found:?}");
    assert!(found[2].2.contains("no-cursor") && found[2].1.starts_with("20") && found[2].1 == found[3].1, "{found:?}");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn a_cursor_that_the_server_does_not_take_is_a_gap() {
    let Some(server) = Server::start() else { return };
    let project = over(&server, NUMBERED, "numbered?forgets=1&new=1");
    let service = Running::start(&project);
    service.until("connected", whole);
    server.post("/say?n=3");
    service.until("live", received(3));
    assert_eq!(service.end(), Some(0));
    server.post("/say?n=4");
    let service = Running::start(&project);
    service.until("filled", |status| received(7)(status) && whole(status));
    assert_eq!(service.end(), Some(0));
    assert!(gaps(&project).iter().any(|(step, _, why)| step == "gap-filled" && why.contains("cursor-lost")), "{:?}", gaps(&project));
}

#[test]
fn a_gap_that_nothing_fills_is_told_and_counted() {
    let Some(server) = Server::start() else { return };
    let project = over(&server, "        by: sse\n", "nameless");
    let service = Running::start(&project);
    service.until("connected", connected);
    server.post("/drop");
    let status = service.until("a gap", |status| status["service"]["streams"][0]["gaps_left"] == 1 && connected(status));
    assert_eq!(status["service"]["streams"][0]["gaps"], 1);
    let found = gaps(&project);
    assert!(found.iter().all(|(step, ..)| step == "gap-left") && found.len() == 1, "{found:?}");
}

/// Bluesky's connector over the server; the account is the one that everybody answers.
fn bluesky(server: &Server) -> Project {
    let settings = json!({
        "server": server.base(), "identifier": "shop.example", "app_password": "x", "start_date": "2020-01-01",
        "jetstream": server.base().replace("http://", "ws://"), "did": "did:plc:shop"
    });
    let connector = root().join("connectors/sources/bluesky.yaml").display().to_string();
    project(&connector, &settings, "posts_live", "")
}

#[test]
fn bluesky_says_live_what_is_answered_and_what_is_taken_back() {
    let Some(mut server) = Server::start() else { return };
    let project = bluesky(&server);
    project.kith(&["check"]).ok();
    let service = Running::start(&project);
    service.until("connected", connected);
    server.post("/say?n=10");
    service.until("ten answers", received(10));
    // Of a post that was taken in, and of one that nobody here has.
    server.post("/take-back?id=3");
    server.post("/take-back?id=999");
    server.post("/say?n=1");
    let status = service.until("a deletion", |status| received(12)(status) && status["in_flight"] == 0);
    assert_eq!(status["parked"], 0, "{status}");
    assert!(!status["totals"].to_string().contains("private"), "a deletion is as public as the post: {status}");
    server.kill();
    server.begin();
    server.post("/say?n=2");
    service.until("after a kill", received(14));
    assert_eq!(service.end(), Some(0));
    let cursors: Vec<u64> = server.asked("/subscribe").iter().filter_map(|asked| asked["query"]["cursor"].as_str()?.parse().ok()).collect();
    assert!(!cursors.is_empty() && server.asked("/subscribe")[0]["query"]["wantedCollections"] == "app.bsky.feed.post");
}

#[test]
fn mastodon_says_live_who_mentions_the_account_and_what_is_said_under_tags() {
    let Some(server) = Server::start() else { return };
    server.post("/say?n=3");
    let settings = json!({ "server": server.base(), "access_token": "token", "start_date": "2020-01-01", "tags": ["coffee", "tea"] });
    let connector = root().join("connectors/sources/mastodon.yaml").display().to_string();
    let project = project(&connector, &settings, "mentions_live, tags_live", "");
    project.kith(&["check"]).ok();
    let service = Running::start(&project);
    // What was said before comes from the polled streams; the same post over three connections is one.
    let status = service.until("what was there", |status| received(3)(status) && whole(status));
    assert_eq!(status["service"]["streams"].as_array().unwrap().len(), 3, "{status}");
    server.post("/say?n=4");
    service.until("live", received(7));
    assert_eq!(service.end(), Some(0));
    let shown = std::fs::read_to_string(project.path("service.log")).unwrap();
    assert!(!shown.contains("Bearer") && !shown.contains("thing 5"), "{shown}");
}

#[test]
fn whatever_is_killed_and_whenever_every_event_is_there_once() {
    let Some(mut server) = Server::start() else { return };
    let seed =
        std::env::var("KITH_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| Seed(u64::from(free_port())).next());
    eprintln!("KITH_TEST_SEED={seed}");
    let kills = std::env::var("KITH_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(6);
    let mut moments = Moments(seed);
    for live in [NUMBERED, NAMELESS] {
        let path = if live == NUMBERED { "numbered" } else { "nameless" };
        let project = over(&server, live, path);
        let mut service = Running::start(&project);
        for _ in 0..kills {
            server.post(&format!("/say?n={}", 1 + moments.below(60)));
            std::thread::sleep(Duration::from_millis(moments.below(1_500)));
            server.post(&format!("/say?n={}", 1 + moments.below(60)));
            match moments.below(3) {
                0 => {
                    server.kill();
                    std::thread::sleep(Duration::from_millis(moments.below(500)));
                    server.begin();
                }
                1 => server.post("/drop"),
                _ => {
                    drop(service);
                    service = Running::start(&project);
                }
            }
        }
        server.post("/say?n=1");
        let said = std::fs::read_to_string(server.folder.path().join("said.ndjson")).unwrap().lines().count() as u64;
        let status = service.until("all of it", |status| received(said)(status) && whole(status));
        assert_eq!(status["parked"], 0, "{status}");
        assert_eq!(service.end(), Some(0));
        let began = gaps(&project).iter().filter(|(step, ..)| step == "gap-began").count();
        assert!(began >= 1, "the first connection is a gap");
        project.kith(&["audit", "verify"]).ok();
    }
}

/// The code that a stream is down for, or that the log says.
fn comes_to(service: &Running<'_>, project: &Project, code: &str) {
    service.until(code, |_| std::fs::read_to_string(project.path("service.log")).unwrap().contains(code));
}

#[test]
fn who_means_harm_is_told_by_a_code_and_harms_nobody_else() {
    let Some(server) = Server::start() else { return };
    for (kind, by, code) in [
        ("html", "sse", "KITH-N033"),
        ("html", "websocket", "KITH-N033"),
        ("limited", "sse", "KITH-N023"),
        ("inside", "sse", "KITH-N026"),
        ("inside", "websocket", "KITH-N026"),
        ("endless", "sse", "KITH-N034"),
        ("drip", "sse", "KITH-N032"),
        ("nothing", "sse", "KITH-N032"),
        ("mute", "websocket", "KITH-N032"),
        ("binary", "websocket", "KITH-N034"),
        ("gigantic", "websocket", "KITH-N034"),
    ] {
        let resume = if by == "sse" {
            ""
        } else {
            "        resume: { cursor_value: \"{{ record['id'] }}\", option: { type: RequestOption, inject_into: request_parameter, field_name: after } }\n"
        };
        let project = over(&server, &format!("        by: {by}\n        heartbeat_seconds: 2\n{resume}"), &format!("harm/{kind}"));
        let service = Running::start(&project);
        comes_to(&service, &project, code);
        let status = service.status();
        assert_eq!((&status["received"], &status["conservation_gap"]), (&json!(0), &json!(0)), "{kind}: {status}");
        let peak = std::fs::read_to_string(format!("/proc/{}/status", status["service"]["process"])).unwrap();
        let peak: u64 = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap();
        assert!(peak < 400_000, "{kind}: {peak} kB");
        assert_eq!(service.end(), Some(0), "{kind}");
    }
    assert!(server.asked("/numbered").is_empty(), "nobody follows to an inside address");
}

#[test]
fn who_says_too_much_is_waited_for_in_every_dialect_before_the_stream_is_opened_again() {
    let Some(server) = Server::start() else { return };
    server.post("/say?n=1");
    let dialects = ["seconds", "date", "ms", "reset", "epoch", "iso", "list"];
    for dialect in dialects {
        let project = over(&server, "        by: sse\n", &format!("harm/limited-{dialect}"));
        let service = Running::start(&project);
        service.until("told", |_| std::fs::read_to_string(project.path("service.log")).unwrap().contains("KITH-N023"));
        service.until("came again", received(1));
        assert_eq!(service.end(), Some(0), "{dialect}");
        assert_eq!(server.asked(&format!("/harm/limited-{dialect}")).len(), 2, "{dialect}: {:?}", server.requests());
    }
    let out = Command::new("curl").args(["-sSf", &format!("{}/limited", server.base())]).output().unwrap();
    let told: Json = serde_json::from_slice(&out.stdout).unwrap();
    for dialect in dialects {
        let came = told[format!("limited-{dialect}-came")].as_f64().unwrap();
        assert!(came >= 2.5, "{dialect}: {told}");
    }
}

#[test]
fn what_a_stream_is_to_wait_for_is_waited_for_over_a_restart() {
    let Some(server) = Server::start() else { return };
    let project = over(&server, "        by: sse\n", "harm/limited");
    let service = Running::start(&project);
    comes_to(&service, &project, "KITH-N023");
    drop(service);
    let service = Running::start(&project);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(service.status()["conservation_gap"], 0);
    assert_eq!(server.asked("/harm/limited").len(), 1, "{:?}", server.requests());
}

#[test]
fn an_event_that_is_too_long_parks_and_the_next_one_is_taken() {
    let Some(server) = Server::start() else { return };
    let project = over(&server, "        by: sse\n", "harm/long-and-good");
    let service = Running::start(&project);
    let status = service.until("both", |status| status["received"] == 2);
    assert_eq!(status["parked"], 1, "{status}");
}

#[test]
fn a_host_that_is_not_listed_is_not_connected_to_and_a_paused_source_neither() {
    let Some(server) = Server::start() else { return };
    let project = over(&server, NUMBERED, "numbered");
    project.edit("config/kith.toml", "every_seconds = 1", "every_seconds = 1\nhosts = \"x.example\"");
    let service = Running::start(&project);
    comes_to(&service, &project, "KITH-N026");
    assert_eq!(service.end(), Some(0));
    assert!(server.requests().is_empty(), "{:?}", server.requests());
    project.edit("config/kith.toml", "x.example", "127.0.0.1");
    server.post("/say?n=1");
    let service = Running::start(&project);
    service.until("let on", received(1));
    project.kith(&["pause", "activities"]).ok();
    service.until("paused", |status| !connected(status));
    server.post("/say?n=2");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(service.status()["received"], 1);
    project.kith(&["resume", "activities"]).ok();
    service.until("resumed", received(3));
}

/// Every way in which a stream comes.
const BOTH: [(&str, &str); 2] = [(NUMBERED, "numbered"), (SOCKET, "socket")];

/// What is said arrives, before a cut and after it.
fn goes_on_over_a_cut(server: &Server, project: &Project, path: &str) {
    let service = Running::start(project);
    let before = settled(&service);
    server.post("/say?n=3");
    service.until("three more", received(before + 3));
    server.post("/drop");
    server.post("/say?n=2");
    service.until("after a cut", received(before + 5));
    assert_eq!(service.end(), Some(0), "{path}");
}

#[test]
fn over_tls_of_a_company_and_through_its_proxy_events_come_and_around_them_nothing_does() {
    let (Some(server), Some(proxy)) = (Server::with(true), Tinyproxy::start()) else { return };
    for (live, path) in BOTH {
        let project = with(&server, live, path, &proxy.keys());
        project.write("proxy-password", "wrong");
        let service = Running::start(&project);
        comes_to(&service, &project, "KITH-N021");
        assert_eq!(service.end(), Some(0), "{path}");
        project.write("proxy-password", "pr0xy");
        // The authority is not one of the system's.
        let service = Running::start(&project);
        service.until("refused", |status| status["service"]["down"].to_string().contains("certificate"));
        assert_eq!(service.end(), Some(0), "{path}");
        assert!(server.asked(&format!("/{path}")).is_empty(), "{path}: {:?}", server.requests());
        std::fs::copy(server.folder.path().join("ca.pem"), project.path("ca.pem")).unwrap();
        project.edit("config/kith.toml", "every_seconds = 1", "every_seconds = 1\nca_file = \"ca.pem\"");
        goes_on_over_a_cut(&server, &project, path);
        let log = std::fs::read_to_string(project.path("service.log")).unwrap();
        assert!(!log.contains("pr0xy"), "{log}");
    }
    let tunnel = format!("CONNECT localhost:{}", server.port);
    assert!(proxy.log().matches(&tunnel).count() >= 4, "{}", proxy.log());
}

#[test]
fn without_tls_streams_come_through_a_plain_forward_proxy_too_and_only_through_it() {
    let (Some(server), Some(proxy)) = (Server::start(), Tinyproxy::start()) else { return };
    for (live, path) in BOTH {
        let project = with(&server, live, path, &proxy.keys());
        project.write("proxy-password", "wrong");
        let service = Running::start(&project);
        service.until("refused", |status| status["service"]["down"].to_string().contains("KITH-N0"));
        assert_eq!(service.end(), Some(0), "{path}");
        assert!(server.asked(&format!("/{path}")).is_empty(), "{path}: {:?}", server.requests());
        project.write("proxy-password", "pr0xy");
        goes_on_over_a_cut(&server, &project, path);
        // A WebSocket by a tunnel, since such a proxy hands on no `Upgrade`.
        let seen = if path == "socket" {
            format!("CONNECT 127.0.0.1:{}", server.port)
        } else {
            format!("GET http://127.0.0.1:{}/{path}", server.port)
        };
        assert!(proxy.log().matches(&seen).count() >= 2, "{}", proxy.log());
    }
}

/// TLS before a proxy, ended when dropped.
struct Front {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Front {
    fn of(proxy: &Tinyproxy) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        certificates::make(folder.path(), "Kith test authority", "DNS:localhost");
        let mut command = Command::new("python3");
        command.arg(root().join("tests/support/tls_front.py")).arg(port.to_string()).arg(folder.path()).arg(proxy.port.to_string());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let front = Self { child, port, folder };
        assert!((0..6).any(|_| wait_for(port)), "nothing listens");
        front
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn without_tls_streams_come_through_a_proxy_that_is_itself_reached_by_tls() {
    let (Some(server), Some(proxy)) = (Server::start(), Tinyproxy::start()) else { return };
    let front = Front::of(&proxy);
    let keys = proxy.keys().replace(&format!("http://127.0.0.1:{}", proxy.port), &format!("https://localhost:{}", front.port));
    for (live, path) in BOTH {
        let project = with(&server, live, path, &format!("{keys}ca_file = \"ca.pem\"\n"));
        project.write("proxy-password", "pr0xy");
        // Another authority's proxy is not believed, and not told the login.
        certificates::make(&project.path("config"), "Another authority", "DNS:localhost");
        std::fs::copy(project.path("config/ca.pem"), project.path("ca.pem")).unwrap();
        let before = proxy.log();
        let service = Running::start(&project);
        service.until("refused", |status| status["service"]["down"].to_string().contains("KITH-N0"));
        assert_eq!(service.end(), Some(0), "{path}");
        assert_eq!(proxy.log().matches(&server.port.to_string()).count(), before.matches(&server.port.to_string()).count(), "{path}");
        std::fs::copy(front.folder.path().join("ca.pem"), project.path("ca.pem")).unwrap();
        goes_on_over_a_cut(&server, &project, path);
    }
    assert!(proxy.log().contains(&format!("CONNECT 127.0.0.1:{}", server.port)), "{}", proxy.log());
}

#[test]
fn a_number_that_did_not_come_is_a_gap_and_the_polled_stream_has_it() {
    let Some(server) = Server::start() else { return };
    for (live, path) in BOTH {
        let project = with(&server, &format!("{live}        sequence: \"{{{{ record['id'] }}}}\"\n"), path, "");
        let service = Running::start(&project);
        let before = settled(&service);
        server.post("/say?n=2");
        service.until("live", received(before + 2));
        // Two that the stream keeps to itself: nobody knows before the next one comes.
        server.post("/say?n=2&hidden=1");
        server.post("/say?n=1");
        let status = service.until("filled", |status| received(before + 5)(status) && whole(status));
        assert_eq!(status["service"]["streams"][0]["gaps"], 2, "{path}: {status}");
        assert_eq!(service.end(), Some(0), "{path}");
        let found = gaps(&project);
        let of_jump: Vec<_> = found.iter().filter(|(_, _, why)| why.contains("sequence-jump")).collect();
        assert!(of_jump.len() == 2 && of_jump[0].0 == "gap-began" && of_jump[1].0 == "gap-filled", "{path}: {found:?}");
        // The same numbers again, as a server sends them that goes on a little earlier, are none.
        assert!(of_jump[0].1.starts_with("20"), "{path}: {found:?}");
    }
}

#[test]
fn who_comes_later_than_the_server_keeps_has_missed_something() {
    let Some(server) = Server::start() else { return };
    for (live, path) in BOTH {
        let project = with(&server, &keeping(live, 2), path, "");
        let service = Running::start(&project);
        let before = settled(&service);
        server.post("/say?n=2");
        service.until("live", received(before + 2));
        assert_eq!(service.end(), Some(0), "{path}");
        server.post("/say?n=2&hidden=1");
        std::thread::sleep(Duration::from_millis(2_500));
        let service = Running::start(&project);
        service.until("filled", |status| received(before + 4)(status) && whole(status));
        assert_eq!(service.end(), Some(0), "{path}");
        let found = gaps(&project);
        assert!(found.iter().any(|(step, _, why)| step == "gap-filled" && why.contains("cursor-too-old")), "{path}: {found:?}");
    }
}

/// With `keeps_seconds` in its `resume`.
fn keeping(live: &str, seconds: u64) -> String {
    if live == NUMBERED {
        return live.replace("lost_codes: [410]", &format!("keeps_seconds: {seconds}"));
    }
    live.replace("        resume:\n", &format!("        resume:\n          keeps_seconds: {seconds}\n"))
}

#[test]
fn a_stream_of_everything_of_which_little_is_taken_is_not_too_old() {
    let Some(server) = Server::start() else { return };
    for (live, path) in BOTH {
        // Of the things that are said the first alone is taken; the place in the stream moves on with all of them.
        let only = "        record_filter: { type: RecordFilter, condition: \"{{ record['id'] == 1 }}\" }\n";
        let project = with(&server, &(keeping(live, 4).replace("        backfill: things\n", "") + only), &format!("{path}?new=1"), "");
        let service = Running::start(&project);
        service.until("connected", connected);
        for _ in 0..6 {
            server.post("/say?n=1");
            std::thread::sleep(Duration::from_secs(1));
        }
        let before = gaps(&project).len();
        server.post("/drop");
        server.post("/say?n=1");
        service.until("again", |status| status["service"]["streams"][0]["connections"].as_u64() >= Some(2) && connected(status));
        assert_eq!(service.end(), Some(0), "{path}");
        assert_eq!(gaps(&project).len(), before, "{path}: {:?}", gaps(&project));
    }
}

#[test]
fn an_event_that_says_that_the_place_is_lost_is_a_gap() {
    let Some(server) = Server::start() else { return };
    let lost = "lost_when: \"{{ record['info'] == 'OutdatedCursor' }}\"";
    let only = "        record_filter: { type: RecordFilter, condition: \"{{ record['id'] is defined }}\" }\n";
    for (live, path) in BOTH {
        let live = live.replace("lost_codes: [410]", lost).replace("        resume:\n", &format!("        resume:\n          {lost}\n"));
        let project = with(&server, &(live + only), &format!("{path}?tells=1"), "");
        let service = Running::start(&project);
        let before = settled(&service);
        server.post("/say?n=2");
        service.until("live", received(before + 2));
        assert_eq!(service.end(), Some(0), "{path}");
        server.post("/say?n=3");
        let service = Running::start(&project);
        let status = service.until("filled", |status| received(before + 5)(status) && whole(status));
        assert_eq!(status["parked"], 0, "{path}: {status}");
        server.post("/say?n=1");
        service.until("live again", received(before + 6));
        assert_eq!(service.end(), Some(0), "{path}");
        let found = gaps(&project);
        assert!(found.iter().any(|(step, _, why)| step == "gap-filled" && why.contains("cursor-lost")), "{path}: {found:?}");
    }
}

#[test]
fn a_stream_that_falls_silent_is_opened_again_and_goes_on_where_it_stood() {
    let Some(server) = Server::start() else { return };
    for (live, path) in BOTH {
        let live = live.replace("heartbeat_seconds: 10", "heartbeat_seconds: 3");
        let project = with(&server, &live, &format!("{path}?mute=1"), "");
        let service = Running::start(&project);
        let before = settled(&service);
        server.post("/say?n=1");
        service.until("one", received(before + 1));
        // From now on this connection says nothing, and answers no ping.
        comes_to(&service, &project, "KITH-N032");
        server.post("/say?n=3");
        service.until("after the silence", |status| received(before + 4)(status) && whole(status));
        assert_eq!(service.end(), Some(0), "{path}");
        let last = server.asked(&format!("/{path}")).pop().unwrap();
        let place = last["Last-Event-ID"].as_str().or(last["query"]["after"].as_str());
        assert!(place.is_some(), "{path}: it goes on after the last event: {last}");
        assert_eq!(gaps(&project).iter().filter(|(step, ..)| step == "gap-began").count(), 1, "{path}: the first connection alone");
    }
}

#[test]
fn a_reload_goes_on_where_the_stream_stood_and_follows_the_files() {
    let Some(server) = Server::start() else { return };
    let started = std::time::Instant::now();
    for (live, path) in BOTH {
        let project = with(&server, live, path, "");
        let service = Running::start(&project);
        let mut count = settled(&service) + 1;
        server.post("/say?n=1");
        service.until("a place to go on at", received(count));
        for every in [2, 3, 4] {
            server.post("/say?n=2");
            project.edit("config/kith.toml", &format!("every_seconds = {}", every - 1), &format!("every_seconds = {every}"));
            project.kith(&["reload"]).ok();
            server.post("/say?n=2");
            count += 4;
            service.until("after a reload", |status| received(count)(status) && whole(status));
        }
        // A refused set leaves the stream alone.
        let asked = server.asked(&format!("/{path}")).len();
        let file = std::fs::read_to_string(project.path("connectors/live.yaml")).unwrap();
        project.write("connectors/live.yaml", file.replace("heartbeat_seconds", "hearbeat_seconds"));
        project.kith(&["reload"]).fails(2, "KITH-N031");
        server.post("/say?n=1");
        service.until("by the old files", received(count + 1));
        assert_eq!(server.asked(&format!("/{path}")).len(), asked, "{path}: nothing was opened anew");
        project.write("connectors/live.yaml", &file);
        // Without its stream the source has none, and nothing is heard.
        project.edit("config/kith.toml", "streams = \"things_live\"", "streams = \"things\"");
        project.edit("config/kith.toml", "every_seconds = 4", "every_seconds = 3600");
        project.kith(&["reload"]).ok();
        service.until("no stream", |status| status["service"]["streams"] == json!([]));
        assert_eq!(service.end(), Some(0), "{path}");
        let found = gaps(&project);
        assert_eq!(found.iter().filter(|(step, ..)| step == "gap-began").count(), 1, "{path}: {found:?}");
    }
    eprintln!("{:?}", started.elapsed());
}

#[test]
fn how_streams_stand_is_measured_without_naming_anybody() {
    let Some(mut server) = Server::start() else { return };
    server.post("/say?n=2");
    let project = over(&server, NUMBERED, "numbered");
    project.edit("config/kith.toml", "[audit]", "[metrics]\nlisten = \"127.0.0.1:0\"\n\n[audit]");
    let service = Running::start(&project);
    let status = service.until("connected", |status| received(2)(status) && whole(status));
    let address = status["service"]["metrics"].as_str().unwrap().to_owned();
    let page = || scraped(&address);
    let value = |page: &str, name: &str| -> Option<f64> {
        let wanted = format!("{name}{{stream=\"activities/things_live\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&wanted)?.parse().ok())
    };
    let shown = page();
    for (name, wanted) in [
        ("kith_stream_connections", 1.0),
        ("kith_stream_connected", 1.0),
        ("kith_stream_gaps_total", 1.0),
        ("kith_stream_gaps_left_total", 0.0),
        ("kith_stream_opened_total", 1.0),
        ("kith_stream_overdue_seconds", 0.0),
    ] {
        assert_eq!(value(&shown, name), Some(wanted), "{name}: {shown}");
    }
    assert!(value(&shown, "kith_stream_backfilled_total") >= Some(0.0), "{shown}");
    server.post("/say?n=3");
    service.until("live", received(5));
    let shown = page();
    assert!(value(&shown, "kith_stream_events_total") >= Some(3.0), "{shown}");
    assert!(value(&shown, "kith_stream_last_event_timestamp_seconds") > Some(1.7e9), "{shown}");
    server.post("/drop");
    service.until("opened again", |_| value(&page(), "kith_stream_opened_total") == Some(2.0));
    server.kill();
    service.until("overdue", |_| {
        value(&page(), "kith_stream_connected") == Some(0.0) && value(&page(), "kith_stream_overdue_seconds") > Some(1.0)
    });
    let shown = project.kith(&["status"]).ok().stdout;
    assert!(shown.contains("NOT CONNECTED") && shown.contains("opened 2 times"), "{shown}");
    // What somebody stopped is not overdue.
    project.kith(&["pause", "activities"]).ok();
    service.until("paused", |status| status["service"]["streams"][0]["paused"] == true);
    assert_eq!(value(&page(), "kith_stream_overdue_seconds"), Some(0.0), "{}", page());
    assert!(project.kith(&["status"]).ok().stdout.contains("paused"), "told");
}

#[test]
fn a_live_stream_that_is_declared_wrongly_is_told_with_its_place() {
    let settings = json!({ "base_url": "http://127.0.0.1:1", "live_url": "http://127.0.0.1:1", "path": "x" });
    let project = project("connectors/live.yaml", &settings, "things_live", "");
    for (wrong, says) in [
        ("        by: post\n", "by: sse"),
        ("        by: sse\n        backfill: nowhere\n", "backfill"),
        ("        by: sse\n        heartbeat_seconds: 0\n", "heartbeat_seconds"),
        ("        by: websocket\n        resume: {}\n", "ids of its own"),
        ("        by: sse\n        hearbeat: 3\n", "hearbeat"),
        ("        by: sse\n        resume: { lost_codes: [200] }\n", "400"),
    ] {
        project.write("connectors/live.yaml", connector(wrong));
        let ran = project.kith(&["connector", "check", "connectors/live.yaml"]);
        assert_eq!(ran.code, Some(2), "{wrong}: {}", ran.stdout);
        assert!(
            ran.stdout.contains("KITH-N031") && ran.stdout.contains(says) && ran.stdout.contains("live.yaml:"),
            "{wrong}: {}",
            ran.stdout
        );
    }
    project.write("connectors/live.yaml", connector(NUMBERED));
    let ran = project.kith(&["connector", "check", "connectors/live.yaml"]).ok();
    assert!(ran.stdout.contains("things_live"), "{}", ran.stdout);
    // A run that is to end opens none.
    project.kith(&["run", "--once"]).ok();
}
