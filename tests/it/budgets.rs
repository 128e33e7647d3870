//! What networks bill: no call is made that could cost more than what is left of the month's budget, whoever ends the service; the stream waits and
//! goes on; what was spent is exact, and known to those who answer for it.

use crate::compliance::{self, ended, stand};
use crate::kills::entries;
use crate::manifests::Server;
use crate::networks::counted;
use crate::service::Running;
use crate::streams::{NAMELESS, Server as Stream, connector};
use crate::support::clock::FasterClock;
use crate::support::{Project, free_port, root, slice};
use serde_json::{Value as Json, json};
use std::process::Command;
use std::time::Duration;

/// A page of four posts costs 0.001 + 4 × 0.01 + 2 × 0.02 = 0.081, the page of two 0.061, and the dearest call 0.001 + 4 × 0.03 = 0.121.
const PAID: &str = r#"type: DeclarativeSource
version: 7.0.0
check: { type: CheckStream, stream_names: [posts] }
streams:
  - type: DeclarativeStream
    name: posts
    retriever:
      type: SimpleRetriever
      requester:
        type: HttpRequester
        url_base: "{{ config['base_url'] }}"
        path: "{{ config['path'] }}"
        request_parameters: { size: "{{ config['size'] }}" }
        error_handler: { type: DefaultErrorHandler, max_retries: 0 }
      record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [data] } }
      paginator:
        type: DefaultPaginator
        page_token_option: { type: RequestOption, inject_into: request_parameter, field_name: page }
        pagination_strategy: { type: CursorPagination, cursor_value: "{{ response['next'] }}", stop_condition: "{{ 'next' not in response }}" }
metadata:
  kith:
    network: mastodon
    cost:
      currency: EUR
      as_of: "2026-11-28"
      documentation: https://paid.example/prices
      per_call: "0.001"
      per_record: "0.01"
      beside: { includes.users: "0.02" }
      records_a_call: "{{ config['size'] }}"
    streams:
      posts:
        activity:
          type: "'Create'"
          id: "'https://x.example/activities/' + string(record.id)"
          published: "record.at"
          to: "['https://www.w3.org/ns/activitystreams#Public']"
          actor: { type: "'Person'", id: "'https://x.example/users/' + string(record.author)" }
          object: { type: "'Note'", id: "'https://x.example/notes/' + string(record.id)", content: "'said'" }
"#;

fn settings(base: &str) -> Json {
    json!({ "base_url": base, "path": "posts", "size": 4 })
}

fn project(connector: &str, settings: &Json, budget: &str) -> Project {
    let project = Project::with(&slice(20));
    let source =
        format!("kind = \"network\"\nconnector = \"{connector}\"\nsettings = {{ file = \"settings.json\" }}\nevery_seconds = 1\n{budget}");
    project.edit("config/kith.toml", "kind = \"file\"\npath = \"data/activities.ndjson\"", &source);
    project.write("settings.json", settings.to_string());
    project
}

fn paid(server: &Server, budget: &str) -> Project {
    let project = project("connectors/paid.yaml", &settings(&server.base), &format!("budget_a_month = \"{budget}\"\n"));
    project.write("connectors/paid.yaml", PAID);
    project
}

fn asked(server: &Server, path: &str, post: bool) -> Json {
    let method = if post { "POST" } else { "GET" };
    let out = Command::new("curl").args(["-sSf", "-X", method, &format!("{}{path}", server.base)]).output().unwrap();
    serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out.stderr)))
}

fn calls(server: &Server) -> u64 {
    asked(server, "/counts", false)["calls"].as_u64().unwrap()
}

/// Spent, budget, and who waits.
fn budget(project: &Project) -> (String, String, Vec<String>) {
    of(&project.kith(&["status", "--format", "json"]).ok().json())
}

fn of(status: &Json) -> (String, String, Vec<String>) {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let line = &status["budgets"][0];
    (text(&line["spent"]), text(&line["budget"]), line["waiting"].as_array().into_iter().flatten().map(text).collect())
}

fn steps(project: &Project) -> Vec<String> {
    let rules = entries(project).into_iter().filter_map(|line| line["entry"]["why"]["rule"].as_str().map(str::to_owned));
    rules.filter(|rule| rule.starts_with("budget-")).collect()
}

#[test]
fn a_call_that_could_cost_more_than_is_left_is_not_made_until_the_budget_is_raised() {
    let server = Server::of("paid_server.py");
    let project = paid(&server, "0.25 EUR");
    project.kith(&["check"]).ok();
    let run = project.kith(&["run", "--once"]).ok();
    // After two pages 0.162 are spent, and the next could cost 0.121.
    assert_eq!((calls(&server), counted(&project)), (2, (8, 0, 0)));
    assert_eq!(budget(&project), ("0.162".into(), "0.25".into(), vec!["posts".to_owned()]));
    assert!(run.stdout.contains("activities/posts waits until ") && run.stdout.contains("KITH-N075"), "{}", run.stdout);
    let status = project.kith(&["status"]).ok().stdout;
    assert!(status.contains("activities: 0.162 of 0.25 EUR in ") && status.contains("; posts wait until "), "{status}");
    // It waits: nothing is asked, and it is told once.
    project.kith(&["run", "--once"]).ok();
    assert_eq!((calls(&server), steps(&project)), (2, vec!["budget-waits".to_owned()]));
    // What is read again is paid again.
    project.edit("config/kith.toml", "0.25 EUR", "0.50 EUR");
    project.kith(&["run", "--once"]).ok();
    assert_eq!((calls(&server), counted(&project)), (5, (10, 0, 0)));
    assert_eq!(budget(&project), ("0.385".into(), "0.50".into(), Vec::new()));
    assert_eq!(steps(&project), ["budget-waits", "budget-goes-on"]);
    let given = asked(&server, "/counts", false);
    assert_eq!((&given["records"], &given["users"]), (&json!(18), &json!(10)), "5 × 0.001 + 18 × 0.01 + 10 × 0.02 = 0.385");
    project.kith(&["audit", "verify"]).ok();
}

#[test]
fn the_next_month_has_a_budget_of_its_own() {
    let Some(clock) = FasterClock::installed(1) else { return };
    let server = Server::of("paid_server.py");
    let project = paid(&server, "0.25 EUR");
    project.kith(&["run", "--once"]).ok();
    assert_eq!(calls(&server), 2);
    let out = clock.ahead(&mut project.command(&["run", "--once"]), "+32d").output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(calls(&server), 4);
    let status = clock.ahead(&mut project.command(&["status", "--format", "json"]), "+32d").output().unwrap();
    let status: Json = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(of(&status), ("0.162".into(), "0.25".into(), vec!["posts".to_owned()]));
    assert_eq!(steps(&project), ["budget-waits", "budget-goes-on", "budget-waits"]);
}

#[test]
fn a_kill_during_a_call_leaves_all_of_it_spent_and_a_reload_lets_it_go_on() {
    let server = Server::of("paid_server.py");
    let project = paid(&server, "0.20 EUR");
    let port = free_port();
    project.edit("config/kith.toml", "[sources.", &format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n\n[sources."));
    asked(&server, "/hold", true);
    let mut service = project.spawn(&["run"]);
    // A hundred seconds at most.
    let hangs = (0..1_000).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        calls(&server) == 1
    });
    service.kill().unwrap();
    service.wait().unwrap();
    assert!(hangs, "no call was made");
    assert_eq!(budget(&project).0, "0.121", "nobody knows what it brought: it counts in full");
    drop(server);
    let server = Server::of("paid_server.py");
    project.write("settings.json", settings(&server.base).to_string());
    let service = Running::start(&project);
    let waits = |status: &Json| of(status).2 == ["posts"];
    assert_eq!(of(&service.until("it waits", waits)).0, "0.121");
    assert_eq!(calls(&server), 0);
    let page = Command::new("curl").args(["-sSf", &format!("http://127.0.0.1:{port}/metrics")]).output().unwrap();
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    for sample in [
        "kith_source_spent{source=\"activities\",currency=\"EUR\"} 0.121\n",
        "kith_source_budget{source=\"activities\",currency=\"EUR\"} 0.2\n",
        "kith_source_budget_waits{source=\"activities\"} ",
    ] {
        assert!(page.contains(sample), "no {sample} in\n{page}");
    }
    // One pass of it, 0.121 + 0.223: its last call could have made it 0.404. The next pass does not fit.
    project.edit("config/kith.toml", "0.20 EUR", "0.41 EUR");
    project.kith(&["reload"]).ok();
    service.until("it goes on", |status| of(status).0 == "0.344" && waits(status));
    assert_eq!((calls(&server), counted(&project)), (3, (10, 0, 0)));
}

#[test]
fn a_refusal_costs_the_call_and_what_never_left_nothing() {
    let server = Server::of("paid_server.py");
    let project = paid(&server, "5.00 EUR");
    project.write("settings.json", json!({ "base_url": server.base, "path": "elsewhere", "size": 4 }).to_string());
    project.kith(&["run", "--once"]).fails(1, "KITH-N022");
    assert_eq!(budget(&project), ("0.001".into(), "5.00".into(), Vec::new()));
    let nobody = format!("http://127.0.0.1:{}", free_port());
    project.write("settings.json", settings(&nobody).to_string());
    project.kith(&["run", "--once"]).fails(1, "KITH-N021");
    assert_eq!(budget(&project).0, "0.001");
    // Nothing says what a call can bring: none is made.
    project.write("settings.json", json!({ "base_url": server.base, "path": "posts", "size": "some" }).to_string());
    project.kith(&["run", "--once"]).fails(1, "KITH-N076");
    assert_eq!(calls(&server), 1);
}

#[test]
fn a_budget_that_can_t_be_kept_stops_the_start() {
    let server = Server::of("paid_server.py");
    let project = paid(&server, "5.00 USD");
    project.kith(&["check"]).fails(2, "KITH-N077");
    project.kith(&["run", "--once"]).fails(2, "KITH-N077");
    project.edit("config/kith.toml", "5.00 USD", "5.00 EUR");
    let (before, after) = PAID.split_once("    cost:\n").unwrap();
    let without = format!("{before}    streams:\n{}", after.split_once("    streams:\n").unwrap().1);
    project.write("connectors/paid.yaml", without);
    project.kith(&["run", "--once"]).fails(2, "KITH-N077");
    project.edit("config/kith.toml", "5.00 EUR", "5.00");
    project.kith(&["check"]).fails(2, "KITH-C003");
    assert_eq!(calls(&server), 0);
}

#[test]
fn a_connector_alone_says_what_its_calls_cost() {
    let server = Server::of("paid_server.py");
    let project = paid(&server, "0.01 EUR");
    let read = ["connector", "read", "connectors/paid.yaml", "--stream", "posts", "--source-config", "settings.json"];
    let ran = project.kith(&read).ok();
    assert!(ran.stderr.contains("3 calls cost 0.223 EUR at the prices of 2026-11-28 (https://paid.example/prices)"), "{}", ran.stderr);
    let checked = project.kith(&["connector", "check", "connectors/paid.yaml"]).ok().stdout;
    assert!(checked.contains("0.001 EUR a call, 0.01 EUR a record, 0.02 EUR each of includes.users; how many records"), "{checked}");
    let x = root().join("connectors/sources/x.yaml").display().to_string();
    let checked = project.kith(&["connector", "check", &x]).ok().stdout;
    assert!(checked.contains("; the dearest call, of 100 records, 1.50 USD (prices of "), "{checked}");
    let costs = project.kith(&["--format", "json", "connector", "check", &x]).ok().json()["source"]["costs"].clone();
    assert_eq!((&costs[0]["stream"], &costs[0]["dearest_call"]), (&json!("mentions"), &json!("1.50")));
}

#[test]
fn posts_on_x_are_read_as_far_as_the_budget_reaches() {
    let server = Server::of("network_server.py");
    let x = root().join("connectors/sources/x.yaml").display().to_string();
    let settings = |size: u32| json!({ "server": server.base, "bearer_token": "x-token", "user_id": "7", "queries": ["shop"], "start_date": "2020-01-01", "posts_a_page": size });
    let project = project(&x, &settings(100), "budget_a_month = \"1.00 USD\"\n");
    project.kith(&["run", "--once"]).ok();
    // A page of a hundred posts, each by another author, would be 1.50.
    assert_eq!(counted(&project).0, 0);
    assert_eq!(budget(&project), ("0.00".into(), "1.00".into(), vec!["mentions".to_owned(), "search".to_owned()]));
    project.write("settings.json", settings(10).to_string());
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project), (7, 0, 0));
    let (spent, _, waits) = budget(&project);
    assert!(spent != "0.00" && waits.is_empty(), "{spent}: {waits:?}");
}

/// The posts again, read for their answers: each of the ten has a page of two of them.
fn answers() -> String {
    let child = r##"streams:
  - "#/definitions/posts"
  - type: DeclarativeStream
    name: answers
    retriever:
      type: SimpleRetriever
      requester:
        type: HttpRequester
        url_base: "{{ config['base_url'] }}"
        path: posts
        request_parameters: { size: "{{ config['size'] }}", page: "3" }
      record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [data] } }
      partition_router:
        type: SubstreamPartitionRouter
        parent_stream_configs:
          - { type: ParentStreamConfig, stream: "#/definitions/posts", parent_key: id, partition_field: post }
metadata:"##;
    let manifest = PAID.replace(
        "streams:\n  - type: DeclarativeStream\n    name: posts",
        "definitions:\n  posts:\n    type: DeclarativeStream\n    name: posts",
    );
    let manifest = manifest.replace("metadata:", child).replace("    streams:\n      posts:\n", "    streams:\n      answers:\n");
    manifest.replace("      per_call:", "      streams: { answers: { per_record: \"0.02\" } }\n      per_call:")
}

#[test]
fn what_a_stream_is_read_for_is_paid_at_its_own_price() {
    let server = Server::of("paid_server.py");
    let project = paid(&server, "5.00 EUR");
    project.write("connectors/paid.yaml", answers());
    let checked = project.kith(&["--format", "json", "connector", "check", "connectors/paid.yaml"]).ok().json();
    assert_eq!(checked["source"]["costs"].as_array().map(Vec::len), Some(2), "{checked}");
    project.kith(&["run", "--once"]).ok();
    // Three pages of posts, 0.223, and ten calls of 0.001 + 2 × 0.02 + 2 × 0.02.
    assert_eq!((calls(&server), budget(&project).0), (13, "1.033".to_owned()));
    // The dearest call is one of the answers, 0.001 + 4 × 0.04: what is left does not reach for it, though it does for a page of posts.
    project.edit("config/kith.toml", "5.00 EUR", "1.17 EUR");
    project.kith(&["run", "--once"]).ok();
    assert_eq!((calls(&server), budget(&project)), (13, ("1.033".into(), "1.17".into(), vec!["answers".to_owned()])));
}

#[test]
fn prices_in_other_money_begin_the_month_s_sum_anew_and_want_a_budget_in_it() {
    let server = Server::of("paid_server.py");
    let project = paid(&server, "5.00 EUR");
    project.kith(&["run", "--once"]).ok();
    assert_eq!(budget(&project).0, "0.223");
    project.write("connectors/paid.yaml", PAID.replace("currency: EUR", "currency: USD"));
    project.kith(&["run", "--once"]).fails(2, "KITH-N077");
    project.edit("config/kith.toml", "5.00 EUR", "5.00 USD");
    project.kith(&["run", "--once"]).ok();
    let status = project.kith(&["status", "--format", "json"]).ok().json();
    assert_eq!((of(&status).0.as_str(), &status["budgets"][0]["currency"]), ("0.223", &json!("USD")), "only what was spent in dollars");
}

#[test]
fn what_fills_the_gaps_of_a_live_stream_is_paid_out_of_the_same_budget() {
    let Some(stream) = Stream::start() else { return };
    let live = json!({ "base_url": stream.base(), "live_url": stream.base(), "path": "nameless" });
    let project = project("connectors/live.yaml", &live, "streams = \"things_live\"\nbudget_a_month = \"0.25 EUR\"\n");
    let cost = "    cost: { currency: EUR, as_of: \"2026-11-28\", documentation: \"https://paid.example/prices\", per_call: \"0.10\" }\n    network: mastodon\n";
    let manifest = connector(NAMELESS);
    assert!(manifest.contains("    network: mastodon\n"));
    project.write("connectors/live.yaml", manifest.replace("    network: mastodon\n", cost));
    let service = Running::start(&project);
    let start = std::time::Instant::now();
    // Each end of the connection is a gap, and each gap a call of 0.10: the third does not fit.
    let status = loop {
        let status = service.status();
        if of(&status).2 == ["things"] {
            break status;
        }
        assert!(start.elapsed() < Duration::from_secs(170), "{status:#}");
        stream.post("/drop");
        std::thread::sleep(Duration::from_millis(500));
    };
    assert_eq!((of(&status).0.as_str(), stream.asked("/poll").len()), ("0.20", 2));
    // What is said while it waits comes by the connection, or by the gap's stream once there is money again.
    stream.post("/say?n=4");
    stream.post("/drop");
    service.until("it still waits", |status| of(status).2 == ["things"]);
    assert_eq!(stream.asked("/poll").len(), 2);
    project.edit("config/kith.toml", "0.25 EUR", "90.00 EUR");
    project.kith(&["reload"]).ok();
    service.until("it goes on", |status| of(status).2.is_empty() && status["received"] == 4 && status["conservation_gap"] == 0);
    let spent = of(&service.status()).0.parse::<f64>().unwrap();
    assert!(spent >= 0.3, "{spent}");
    assert!(service.end().is_some());
}

#[test]
fn accounts_that_are_looked_up_are_paid_as_accounts_before_they_are_asked_for() {
    let server = compliance::Server::start();
    server.gone(&json!({}), &json!({ "2": "suspended" }));
    let project = compliance::project(&server, "budget_a_month = \"1.55 USD\"\n");
    project.kith(&["run", "--once"]).ok();
    assert_eq!(budget(&project).0, "0.06", "six posts and three authors");
    // A look-up may show a hundred accounts, 1.00: a cent is missing.
    project.edit("config/kith.toml", "1.55 USD\"", "1.05 USD\"\ncompliance = \"accounts_looked_up\"");
    let service = Running::start(&project);
    let waits = |status: &Json| of(status).2.contains(&"compliance accounts_looked_up".to_owned());
    service.until("it waits", |status| waits(status) && stand(&project).len() == 6);
    assert!(server.asked().is_empty(), "{:?}", server.asked());
    // Mentions, whose page may cost 1.50, wait on.
    project.edit("config/kith.toml", "1.05 USD", "1.06 USD");
    project.kith(&["reload"]).ok();
    service.until("it goes on", |status| ended(status, "activities/accounts_looked_up") && stand(&project) == ["101", "103", "104", "106"]);
    assert_eq!(server.asked(), ["GET /2/users"]);
    assert_eq!(service.end(), Some(0));
    let (spent, _, waiting) = budget(&project);
    assert_eq!((spent.as_str(), waiting), ("0.08", vec!["mentions".to_owned()]), "two accounts were shown");
}

#[test]
fn what_is_looked_up_has_a_price_of_its_own_and_a_connector_says_it() {
    let x = root().join("connectors/sources/x.yaml").display().to_string();
    let project = Project::empty();
    let costs = project.kith(&["--format", "json", "connector", "check", &x]).ok().json()["source"]["costs"].clone();
    let of = |name: &str| costs.as_array().unwrap().iter().find(|cost| cost["look_up"] == name).unwrap()["dearest_call"].clone();
    assert_eq!((of("posts_looked_up"), of("accounts_looked_up")), (json!("0.50"), json!("1.00")));
    let text = project.kith(&["connector", "check", &x]).ok().stdout;
    assert!(text.contains("0.01 USD a record; the dearest call, of 100 records, 1.00 USD"), "{text}");
    project.edit("connectors/sources/x.yaml", "        posts_looked_up: { per_record", "        posts: { per_record");
    project.kith(&["connector", "check", "connectors/sources/x.yaml"]).fails(2, "KITH-N076");
}
