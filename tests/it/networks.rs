//! Networks from end to end: a connector's streams over HTTP become activities, decisions and deliveries; a start goes on where it stopped; what
//! is no activity parks; what a network asks for is kept over a restart.

use crate::manifests::Server;
use crate::service::Running;
use crate::support::scripted::{Scripted, answer};
use crate::support::tinyproxy::Tinyproxy;
use crate::support::{Project, free_port, have, slice, wait_for};
use serde_json::{Value as Json, json};
use std::process::{Child, Command, Stdio};

/// A third party's mock of Mastodon; stopped when dropped. `None`, said loudly, where it is not installed.
pub struct Mastodon {
    child: Child,
    pub base: String,
}

impl Mastodon {
    pub fn start() -> Option<Self> {
        let beside = std::env::temp_dir().join("kith-mastodon/bin/mastodon_mock").display().to_string();
        let found = std::env::var("KITH_TEST_MASTODON")
            .ok()
            .into_iter()
            .chain([beside])
            .find(|program| Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success()));
        let Some(program) = found else {
            assert!(std::env::var("CI").is_err(), "no mastodon_mock");
            let folder = std::env::temp_dir().join("kith-mastodon").display().to_string();
            eprintln!("SKIPPED: no mastodon_mock (python3 -m venv {folder}; {folder}/bin/pip install 'mastodon-mock==0.6.*')");
            return None;
        };
        let port = free_port();
        let child = Command::new(program)
            .args(["serve", "--in-memory", "--demo", "--host", "127.0.0.1", "--log-level", "error", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mock = Self { child, base: format!("http://127.0.0.1:{port}") };
        // On a busy machine it takes half a minute to come up.
        assert!((0..6).any(|_| wait_for(port)), "mastodon_mock does not listen");
        Some(mock)
    }

    /// Posts as one of the demo's accounts; the status.
    pub fn post(&self, token: &str, text: &str) -> Json {
        let out = Command::new("curl")
            .args(["-sS", "-X", "POST", "-H", &format!("Authorization: Bearer {token}"), "--data-urlencode", &format!("status={text}")])
            .arg(format!("{}/api/v1/statuses", self.base))
            .output()
            .unwrap();
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stdout)))
    }
}

impl Drop for Mastodon {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The retail project with a network in place of the file.
pub fn project(connector: &str, settings: &Json) -> Project {
    project_with(connector, settings, "")
}

/// With more lines in the source's table.
fn project_with(connector: &str, settings: &Json, more: &str) -> Project {
    let project = Project::with(&slice(20));
    project.edit(
        "config/kith.toml",
        "kind = \"file\"\npath = \"data/activities.ndjson\"",
        &format!("kind = \"network\"\nconnector = \"{connector}\"\nsettings = {{ file = \"settings.json\" }}\nevery_seconds = 1\n{more}"),
    );
    project.write("settings.json", settings.to_string());
    project
}

/// Received, parked, and the gap between the two sides of the sum.
pub fn counted(project: &Project) -> (i64, i64, i64) {
    fn find(value: &Json, name: &str) -> Option<i64> {
        match value {
            Json::Object(members) => {
                members.get(name).and_then(Json::as_i64).or_else(|| members.values().find_map(|inner| find(inner, name)))
            }
            Json::Array(items) => items.iter().find_map(|inner| find(inner, name)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
        }
    }
    let status = project.kith(&["status", "--format", "json"]).ok().json();
    let sum = |name: &str| find(&status, name).unwrap_or_else(|| panic!("no {name} in {status}"));
    (sum("received"), sum("parked"), sum("conservation_gap"))
}

#[test]
fn mentions_on_mastodon_become_deliveries_and_each_once() {
    let Some(mastodon) = Mastodon::start() else { return };
    for n in 0..45 {
        mastodon.post("grace_token", &format!("@ada where is my order {n}?"));
    }
    let settings = json!({ "server": mastodon.base, "access_token": "ada_token", "start_date": "2020-01-01" });
    let project = project("connectors/sources/mastodon.yaml", &settings);
    project.kith(&["check"]).ok();
    let first = project.kith(&["run", "--once"]).ok();
    let (received, parked, gap) = counted(&project);
    assert!(received >= 45, "{received}: {}", first.stdout);
    assert_eq!((parked, gap), (0, 0), "{}", first.stdout);
    // Nothing new is nothing received; one more mention is one more.
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project).0, received);
    mastodon.post("grace_token", "@ada and thank you!");
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project), (received + 1, 0, 0));
}

#[test]
fn what_chosen_accounts_post_on_mastodon_comes_and_what_nobody_knows_is_passed_over() {
    let Some(mastodon) = Mastodon::start() else { return };
    // More than a page, and one by somebody who was not chosen.
    for n in 0..45 {
        mastodon.post("grace_token", &format!("about coffee {n}"));
    }
    mastodon.post("ada_token", "not asked for");
    let settings = json!({ "server": mastodon.base, "access_token": "ada_token", "start_date": "2020-01-01", "accounts": ["grace", "nobody@elsewhere.example"] });
    let project = project_with("connectors/sources/mastodon.yaml", &settings, "streams = \"accounts\"\n");
    project.kith(&["run", "--once"]).ok();
    let (received, parked, gap) = counted(&project);
    // The demo's Grace may have said something before.
    assert!((45..60).contains(&received) && (parked, gap) == (0, 0), "{received} {parked} {gap}");
    mastodon.post("grace_token", "and tea");
    mastodon.post("ada_token", "not asked for either");
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project), (received + 1, 0, 0));
}

/// A connector over the server of `manifest_server.py`.
const ITEMS: &str = r#"type: DeclarativeSource
version: 7.0.0
check: { type: CheckStream, stream_names: [items] }
streams:
  - type: DeclarativeStream
    name: items
    retriever:
      type: SimpleRetriever
      requester: { type: HttpRequester, url_base: "{{ config['base_url'] }}", path: "{{ config['path'] }}" }
      record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [data] } }
metadata:
  kith:
    network: mastodon
    streams:
      items:
        only: "record.id != 2"
        activity:
          type: "'Create'"
          id: "'https://x.example/activities/' + string(record.id)"
          published: "record.updated_at"
          to: "['https://www.w3.org/ns/activitystreams#Public']"
          actor: { type: "'Person'", id: "record.active ? 'https://x.example/users/' + string(record.id) : ''", name: "record.Name" }
          object: { type: "'Note'", id: "'https://x.example/notes/' + string(record.id)", content: "record.note" }
"#;

#[test]
fn what_is_no_activity_parks_alone_and_once() {
    let server = Server::start();
    let project = project("connectors/items.yaml", &json!({ "base_url": server.base, "path": "pages" }));
    project.write("connectors/items.yaml", ITEMS);
    for _ in 0..2 {
        project.kith(&["run", "--once"]).ok();
        // Ten on the page, one of them not taken, five without an actor's id.
        assert_eq!(counted(&project), (9, 5, 0));
    }
}

/// Their stream, made of what the network lists at a path.
const LISTED: &str = r#"dynamic_streams:
  - type: DynamicDeclarativeStream
    stream_template:
      type: DeclarativeStream
      name: ""
      retriever:
        type: SimpleRetriever
        requester: { type: HttpRequester, url_base: "{{ config['base_url'] }}", path: "" }
        record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [data] } }
    components_resolver:
      type: HttpComponentsResolver
      retriever:
        type: SimpleRetriever
        requester: { type: HttpRequester, url_base: "{{ config['base_url'] }}", path: "{{ config['list'] }}" }
        record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [tables] } }
      components_mapping:
        - { type: ComponentMappingDefinition, field_path: [name], value: "{{ 'items' if components_values['title'] == 'Beta' else 'another' }}" }
        - { type: ComponentMappingDefinition, field_path: [retriever, requester, path], value: "{{ config['path'] }}" }
"#;

/// Settings of `LISTED`.
fn list_at(server: &Server, list: &str) -> Json {
    json!({ "base_url": server.base, "path": "pages", "list": list })
}

/// A project whose streams the network lists.
fn listed(server: &Server) -> Project {
    let project = project("connectors/items.yaml", &list_at(server, "tables/shared"));
    let (before, after) = (ITEMS.find("streams:").unwrap(), ITEMS.find("metadata:").unwrap());
    project.write("connectors/items.yaml", format!("{}{LISTED}{}", &ITEMS[..before], &ITEMS[after..]));
    project
}

#[test]
fn a_stream_that_the_network_lists_becomes_activities_as_any_other() {
    let server = Server::start();
    let project = listed(&server);
    project.kith(&["check"]).ok();
    for _ in 0..2 {
        project.kith(&["run", "--once"]).ok();
        assert_eq!(counted(&project), (9, 5, 0));
    }
    // A wait that the list asks for is kept over a start.
    let busy = Scripted::start(vec![answer(429, "retry-after: 7200\r\n", "")]);
    project.write(
        "settings.json",
        json!({ "base_url": format!("http://127.0.0.1:{}", busy.port), "path": "pages", "list": "tables" }).to_string(),
    );
    project.kith(&["run", "--once"]).fails(1, "KITH-N023");
    project.kith(&["run", "--once"]).ok();
    assert_eq!(busy.requests().len(), 1);
}

#[test]
fn a_list_of_streams_that_fails_is_told() {
    let server = Server::start();
    let project = listed(&server);
    // Where the list is not told, or has it no longer, that is told.
    for (list, code) in [("nowhere", "KITH-N022"), ("tables/own", "KITH-N029")] {
        project.write("settings.json", list_at(&server, list).to_string());
        project.kith(&["run", "--once"]).fails(1, code);
    }
}

#[test]
fn a_network_that_fails_is_told_and_nothing_else_stops() {
    let server = Server::start();
    let project = project("connectors/items.yaml", &json!({ "base_url": server.base, "path": "nowhere" }));
    project.write("connectors/items.yaml", ITEMS);
    project.kith(&["run", "--once"]).fails(1, "KITH-N022");
    project.write("settings.json", "no JSON");
    project.kith(&["run", "--once"]).fails(1, "KITH-N020");
}

#[test]
fn a_connector_with_a_mistake_stops_the_start() {
    let project = project("connectors/items.yaml", &json!({}));
    project.write("connectors/items.yaml", ITEMS.replace("record.note", "recrod.note"));
    project.kith(&["run", "--once"]).fails(2, "KITH-N030");
    project.write("connectors/items.yaml", ITEMS.replace("path: \"{{ config['path'] }}\"", "path: \"{{ confg['path'] }}\""));
    project.kith(&["run", "--once"]).fails(2, "KITH-N004");
    project.write("connectors/items.yaml", ITEMS.split("metadata:").next().unwrap());
    project.kith(&["run", "--once"]).fails(2, "KITH-N030");
}

/// The interfaces of `network_server.py`.
fn interfaces() -> Server {
    Server::of("network_server.py")
}

fn one_more_is_said(server: &Server) {
    assert!(Command::new("curl").args(["-sSf", "-X", "POST", &format!("{}/more", server.base)]).output().unwrap().status.success());
}

/// A shipped connector over the server: how much is received at first, how much nobody takes, and how much one more thing said brings.
fn shipped(name: &str, settings: impl Fn(&str) -> Json, first: i64, more: i64) {
    let server = interfaces();
    let connector = crate::support::root().join(format!("connectors/sources/{name}.yaml")).display().to_string();
    let project = project(&connector, &settings(&server.base));
    project.kith(&["check"]).ok();
    let run = project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project), (first, 0, 0), "{name}: {}", run.stdout);
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project).0, first, "{name}: nothing new is nothing received");
    one_more_is_said(&server);
    let run = project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project), (first + more, 0, 0), "{name}: {}", run.stdout);
}

#[test]
fn posts_on_x_come_with_their_authors_and_wait_as_long_as_x_says() {
    let settings =
        |base: &str| json!({ "server": base, "bearer_token": "x-token", "user_id": "7", "queries": ["shop"], "start_date": "2020-01-01" });
    // Mentions and search are the same seven posts.
    shipped("x", settings, 7, 1);
}

#[test]
fn comments_on_youtube_come_with_their_answers() {
    let settings = |base: &str| json!({ "server": base, "api_key": "yt-key", "channel_id": "UCshop", "start_date": "2020-01-01" });
    // Seven comments, and an answer to each but the one that is gone.
    shipped("youtube", settings, 13, 2);
}

#[test]
fn notifications_searches_and_feeds_on_bluesky_are_one_post_each() {
    let settings = |base: &str| {
        json!({ "server": base, "identifier": "shop.example", "app_password": "app-pass", "queries": ["shop"],
            "accounts": ["ada.example", "gone.example"], "start_date": "2020-01-01" })
    };
    shipped("bluesky", settings, 7, 1);
}

#[test]
fn comments_on_facebook_and_instagram_come_from_those_who_can_be_known() {
    let graph = |base: &str| format!("{base}/graph");
    // Comments, and posts that tag; of each one is from nobody.
    shipped(
        "facebook",
        |base| json!({ "server": graph(base), "page_token": "page-token", "page_id": "77", "start_date": "2020-01-01" }),
        12,
        2,
    );
    shipped(
        "instagram",
        |base| json!({ "server": graph(base), "access_token": "page-token", "account_id": "88", "start_date": "2020-01-01" }),
        14,
        2,
    );
}

#[test]
fn comments_on_linkedin_come_from_persons() {
    let settings = |base: &str| json!({ "server": format!("{base}/rest"), "access_token": "li-token", "organization": "urn:li:organization:5", "start_date": "2020-01-01" });
    shipped("linkedin", settings, 6, 1);
}

#[test]
fn entries_of_feeds_come_by_their_authors() {
    shipped("rss", |base| json!({ "server": base, "feeds": ["/feed.xml"], "start_date": "2020-01-01" }), 7, 1);
    shipped("atom", |base| json!({ "server": base, "feeds": ["/atom.xml"], "start_date": "2020-01-01" }), 7, 1);
}

const BLOG: &str = "connectors/sources/rss.yaml";

fn blog(base: &str) -> Json {
    json!({ "server": base, "feeds": ["/feed.xml"], "start_date": "2020-01-01" })
}

#[test]
fn a_proxy_with_a_login_is_gone_through_and_nothing_without_it() {
    let Some(proxy) = Tinyproxy::start() else { return };
    let server = interfaces();
    let connector = crate::support::root().join(BLOG).display().to_string();
    let project = project_with(&connector, &blog(&server.base), &proxy.keys());
    project.write("proxy-password", "wrong");
    project.kith(&["run", "--once"]).fails(1, "KITH-N0");
    assert_eq!(counted(&project).0, 0, "nothing is read around the proxy");
    project.write("proxy-password", "pr0xy");
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project), (7, 0, 0));
    assert!(proxy.log().contains("GET http://127.0.0.1"), "{}", proxy.log());
}

#[test]
fn a_host_that_is_not_listed_is_not_asked() {
    let server = interfaces();
    let connector = crate::support::root().join(BLOG).display().to_string();
    let project = project_with(&connector, &blog(&server.base), "hosts = \"blog.example, news.example\"");
    project.kith(&["run", "--once"]).fails(1, "KITH-N026");
    project.edit("config/kith.toml", "news.example", "127.0.0.1");
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project), (7, 0, 0));
}

/// Every address that a process and its children try to reach, as the kernel is asked for it.
#[test]
fn nothing_leaves_but_what_the_configuration_names() {
    if !have("strace") {
        return;
    }
    let server = interfaces();
    let connector = crate::support::root().join(BLOG).display().to_string();
    let project = project(&connector, &blog(&server.base));
    let trace = project.path("trace");
    let out = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_kith"))
        .args(["run", "--once"])
        .current_dir(project.path(""))
        // A proxy of the environment would be one more place to reach: it is not read.
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("http_proxy", "http://127.0.0.1:9")
        .output()
        .unwrap();
    if String::from_utf8_lossy(&out.stderr).contains("ptrace") {
        eprintln!("SKIPPED: processes can't be traced here");
        return;
    }
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(counted(&project), (7, 0, 0));
    let seen = std::fs::read_to_string(&trace).unwrap();
    let reached: std::collections::BTreeSet<&str> = seen
        .lines()
        .filter(|line| line.contains("sin_port") || line.contains("sin6_port"))
        .filter_map(|line| Some(line.split_once("htons(")?.1.split_once(')')?.0))
        .collect();
    let port = server.base.rsplit(':').next().unwrap();
    assert_eq!(reached.into_iter().collect::<Vec<_>>(), [port], "{seen}");
    assert!(!seen.lines().any(|line| line.contains("sin_addr") && !line.contains("\"127.0.0.1\"")), "{seen}");
}

/// The login of a connector that gives a new refresh token each time.
const ROTATING: &str = r#"
        authenticator:
          type: OAuthAuthenticator
          token_refresh_endpoint: "{{ config['base_url'] }}/token"
          client_id: "{{ config['client_id'] }}"
          client_secret: "{{ config['client_secret'] }}"
          refresh_token_updater:
            refresh_token_config_path: [refresh_token]
            access_token_config_path: [access_token]
            token_expiry_date_config_path: [expires]
"#;

/// The connector with that login.
fn rotating() -> String {
    let requester = "requester: { type: HttpRequester, url_base: \"{{ config['base_url'] }}\", path: \"{{ config['path'] }}\" }";
    let laid_out = format!(
        "requester:\n        type: HttpRequester\n        url_base: \"{{{{ config['base_url'] }}}}\"\n        path: \"{{{{ config['path'] }}}}\"{}",
        ROTATING.trim_end()
    );
    assert!(ITEMS.contains(requester));
    ITEMS.replace(requester, &laid_out)
}

#[test]
fn a_login_that_gives_a_new_refresh_token_each_time_is_kept_in_its_file_over_starts() {
    let server = Server::of("rotating_login.py");
    let settings = json!({ "base_url": server.base, "path": "items", "client_id": "c", "client_secret": "s", "refresh_token": "r0" });
    let project = project("connectors/items.yaml", &settings);
    project.write("connectors/items.yaml", rotating());
    let counts = || -> Json {
        let out = Command::new("curl").args(["-sSf", &format!("{}/counts", server.base)]).output().unwrap();
        serde_json::from_slice(&out.stdout).unwrap()
    };
    for start in 1..=3 {
        project.kith(&["run", "--once"]).ok();
        let kept: Json = serde_json::from_slice(&std::fs::read(project.path("settings.json")).unwrap()).unwrap();
        assert_eq!(kept["refresh_token"], format!("r{start}"), "the file has the token that is good now");
        assert_eq!((&kept["client_secret"], &kept["path"]), (&json!("s"), &json!("items")), "and all else that stood in it");
        std::thread::sleep(std::time::Duration::from_secs(3));
    }
    assert_eq!(counts(), json!({ "given": 3, "refused": 0, "refresh": "r3", "events": 0 }));
    assert_eq!(counted(&project).0, 1);
    // Within one service: what it was given at its start is not asked with again.
    let mut service = project.spawn(&["run"]);
    for _ in 0..600 {
        if counts()["given"].as_u64() >= Some(6) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    service.kill().unwrap();
    service.wait().unwrap();
    let told = counts();
    assert!(told["given"].as_u64() >= Some(6) && told["refused"] == 0, "{told}");
    // Where nothing can keep it, nothing is begun.
    project.edit("config/kith.toml", "settings = { file = \"settings.json\" }", "settings = { env = \"KITH_TEST_SETTINGS\" }");
    let out = project.command(&["run", "--once"]).env("KITH_TEST_SETTINGS", settings.to_string()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && said.contains("KITH-N020") && said.contains("refresh token"), "{said}");
    assert_eq!(counts()["refused"], 0);
}

/// A live stream beside the polled one, with the same login.
const ROTATING_LIVE: &str = r##"    live:
      items_live:
        by: sse
        requester:
          type: HttpRequester
          url_base: "{{ config['base_url'] }}"
          path: stream
          authenticator: "#/streams/0/retriever/requester/authenticator"
        backfill: items
        take: [{ activity: "#/metadata/kith/streams/items/activity" }]
"##;

#[test]
fn a_live_stream_and_polled_ones_share_a_login_that_gives_a_new_refresh_token_each_time() {
    let server = Server::of("rotating_login.py");
    let settings = json!({ "base_url": server.base, "path": "items", "client_id": "c", "client_secret": "s", "refresh_token": "r0" });
    let project = project_with("connectors/items.yaml", &settings, "streams = \"items, items_live\"\n");
    project.write("connectors/items.yaml", rotating() + ROTATING_LIVE);
    project.edit("config/kith.toml", "[service]\n", "[service]\npoll_seconds = 1\n");
    project.kith(&["check"]).ok();
    let counts = || -> Json {
        let out = Command::new("curl").args(["-sSf", &format!("{}/counts", server.base)]).output().unwrap();
        serde_json::from_slice(&out.stdout).unwrap()
    };
    for start in 1..=2_u64 {
        let service = Running::start(&project);
        // Tokens live two seconds, and who logs in ends the token of all others: each side meets what the other one did.
        service.until("read both ways", |status| {
            let told = counts();
            assert_eq!(told["refused"], 0, "{told}: a refresh token was used twice");
            let events = told["events"].as_i64().unwrap();
            told["given"].as_u64() >= Some(5 * start)
                && events >= 4 * i64::try_from(start).unwrap()
                && status["received"].as_i64() >= Some(events)
        });
        assert_eq!(service.end(), Some(0));
        let kept: Json = serde_json::from_slice(&std::fs::read(project.path("settings.json")).unwrap()).unwrap();
        let told = counts();
        assert_eq!((&kept["refresh_token"], &told["refused"]), (&told["refresh"], &json!(0)), "the file has the token that is good now");
    }
    assert_eq!(counted(&project), (1 + counts()["events"].as_i64().unwrap(), 0, 0), "every event, and the one that is polled");
}
