//! Declarative sources: the same records, in the same order, and an equivalent final state as Airbyte's own runner on the same manifests and
//! server; and servers that mean harm.
//!
//! What the reference said is kept in `tests/data/manifests/expected.json`, so that equality is held where it is not installed; where it is
//! (`KITH_TEST_AIRBYTE` names its `python`, else `kith-airbyte/bin/python` in the folder for temporary files), it is asked anew.

use crate::support::scripted::{Scripted, answer};
use crate::support::{free_port, root, wait_for};
use serde_json::{Value as Json, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn data() -> PathBuf {
    root().join("tests/data/manifests")
}

/// A server in Python; stopped when dropped.
pub struct Server {
    child: Child,
    pub base: String,
}

impl Server {
    /// The server of `manifest_server.py`.
    pub fn start() -> Self {
        Self::of("manifest_server.py")
    }

    /// The one of this script in `tests/support/`, which takes its port as argument.
    pub fn of(script: &str) -> Self {
        let port = free_port();
        let child = Command::new("python3")
            .arg(root().join("tests/support").join(script))
            .arg(port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3");
        let server = Self { child, base: format!("http://127.0.0.1:{port}") };
        assert!(wait_for(port), "the server does not listen");
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A python with the reference runner; `None`, said loudly, where there is none.
fn reference() -> Option<String> {
    let named = std::env::var("KITH_TEST_AIRBYTE").ok();
    let beside = std::env::temp_dir().join("kith-airbyte/bin/python").display().to_string();
    let found = named
        .into_iter()
        .chain([beside])
        .find(|python| Command::new(python).args(["-c", "import airbyte_cdk"]).output().is_ok_and(|out| out.status.success()));
    if found.is_none() {
        assert!(std::env::var("CI").is_err(), "no python with airbyte-cdk");
        let folder = std::env::temp_dir().join("kith-airbyte").display().to_string();
        eprintln!(
            "SKIPPED: no python with the reference runner (python3 -m venv {folder}; {folder}/bin/pip install 'airbyte-cdk==7.39.*')"
        );
    }
    found
}

fn kith(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kith")).args(arguments).output().unwrap()
}

/// Runs `connector read` of a stream.
fn read(dir: &Path, manifest: &Path, stream: &str, config: &Json, state: Option<&Json>, more: &[&str]) -> Output {
    let file = |name: &str, value: &Json| {
        let path = dir.join(name);
        fs::write(&path, value.to_string()).unwrap();
        path.display().to_string()
    };
    let (manifest, config) = (manifest.display().to_string(), file("config.json", config));
    let mut arguments = vec!["connector", "read", &manifest, "--stream", stream, "--source-config", &config, "--quiet"];
    let state = state.map(|state| file("state.json", state));
    if let Some(state) = &state {
        arguments.extend(["--source-state", state]);
    }
    arguments.extend(more);
    kith(&arguments)
}

/// Records and the last state out of the messages.
fn messages(out: &Output) -> (Vec<Json>, Json) {
    let (mut records, mut state) = (Vec::new(), Json::Null);
    for line in String::from_utf8(out.stdout.clone()).unwrap().lines() {
        let message: Json = serde_json::from_str(line).unwrap();
        match message["type"].as_str() {
            Some("RECORD") => records.push(message["record"]["data"].clone()),
            Some("STATE") => state = message["state"]["stream"]["stream_state"].clone(),
            _ => {}
        }
    }
    (records, state)
}

/// Without what differs from run to run: the port, how long it took, the order in which threads ended.
fn comparable(records: &[Json], state: &Json, base: &str, ordered: bool) -> Json {
    let mut records = records.to_vec();
    if !ordered {
        records.sort_by_key(Json::to_string);
    }
    let mut state = state.clone();
    if let Some(members) = state.as_object_mut() {
        members.remove("lookback_window");
        if let Some(states) = members.get_mut("states").and_then(Json::as_array_mut) {
            states.sort_by_key(Json::to_string);
        }
    }
    let text = json!({ "records": records, "state": state }).to_string().replace(base, "http://BASE");
    serde_json::from_str(&text).unwrap()
}

fn cases() -> Vec<Json> {
    serde_json::from_slice(&fs::read(data().join("cases.json")).unwrap()).unwrap()
}

fn expected() -> Json {
    serde_json::from_slice(&fs::read(data().join("expected.json")).unwrap()).unwrap()
}

#[test]
fn the_same_records_in_the_same_order_and_the_same_state_as_the_reference() {
    let (server, dir, expected) = (Server::start(), tempfile::tempdir().unwrap(), expected());
    let mut wrong = Vec::new();
    for case in cases() {
        let name = case["name"].as_str().unwrap();
        let mut config = case["config"].clone();
        config["base_url"] = server.base.clone().into();
        config["run"] = format!("{name}-kith").into();
        let manifest = data().join(case["manifest"].as_str().unwrap());
        let state = Some(&case["state"]).filter(|state| !state.is_null());
        let out = read(dir.path(), &manifest, case["stream"].as_str().unwrap(), &config, state, &[]);
        if !out.status.success() {
            wrong.push(format!("{name}: {}", String::from_utf8_lossy(&out.stderr)));
            continue;
        }
        let (records, state) = messages(&out);
        let ours = comparable(&records, &state, &server.base, case["ordered"] == true);
        if ours != expected[name] {
            wrong.push(format!("{name}:\n  kith      {ours}\n  reference {}", expected[name]));
        }
    }
    assert!(cases().len() >= 30 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_recorded_is_what_the_reference_says_today() {
    let Some(python) = reference() else { return };
    let server = Server::start();
    let out = Command::new(python)
        .arg(root().join("tests/support/manifest_peer.py"))
        .arg(data().join("cases.json"))
        .arg(&server.base)
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let said: Json = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let mut recorded = serde_json::Map::new();
    for case in cases() {
        let name = case["name"].as_str().unwrap();
        let one = &said[name];
        assert!(one["failed"].is_null(), "{name}: the reference failed");
        let records = one["records"].as_array().unwrap();
        recorded.insert(name.to_owned(), comparable(records, &one["state"], &server.base, case["ordered"] == true));
    }
    if std::env::var_os("KITH_TEST_RECORD").is_some() {
        fs::write(data().join("expected.json"), format!("{:#}\n", Json::Object(recorded))).unwrap();
        return;
    }
    assert_eq!(Json::Object(recorded), expected());
}

/// A manifest with one stream at a path.
fn simple(dir: &Path, path: &str, more: &str) -> PathBuf {
    let file = dir.join("source.yaml");
    let text = format!(
        "type: DeclarativeSource\nversion: 7.0.0\ncheck: {{ type: CheckStream, stream_names: [items] }}\nstreams:\n  - type: DeclarativeStream\n    name: items\n    retriever:\n      type: SimpleRetriever\n      requester: {{ type: HttpRequester, url_base: \"{{{{ config['base_url'] }}}}\", path: \"{path}\" }}\n      record_selector: {{ type: RecordSelector, extractor: {{ type: DpathExtractor, field_path: [data] }} }}\n{more}"
    );
    fs::write(&file, text).unwrap();
    file
}

const RETRY_ONCE: &str = ", error_handler: { type: DefaultErrorHandler, max_retries: 0 }";

#[test]
fn hostile_servers_end_a_read_and_never_more() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let config = json!({ "base_url": server.base });
    let loops = "      paginator:\n        type: DefaultPaginator\n        page_token_option: { type: RequestOption, inject_into: request_parameter, field_name: t }\n        pagination_strategy: { type: CursorPagination, cursor_value: \"{{ response.next }}\" }\n";
    let elsewhere = format!("redirect?to=http://127.0.0.2:{}/all", server.base.rsplit(':').next().unwrap());
    for (path, more, code) in [
        ("loop", loops, "KITH-N025"),
        (elsewhere.as_str(), "", "KITH-N026"),
        ("redirect?to=file:///etc/passwd", "", "KITH-N026"),
        ("redirect", "", "KITH-N026"),
        ("huge", "", "KITH-N024"),
        ("bomb", "", "KITH-N024"),
        ("html", "", "KITH-N024"),
        ("nowhere", "", "KITH-N022"),
    ] {
        let manifest = simple(dir.path(), path, more);
        let began = Instant::now();
        let out = read(dir.path(), &manifest, "items", &config, None, &["--format", "json"]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success(), "{path}");
        assert!(said.contains(code), "{path}: {said}");
        assert!(began.elapsed() < Duration::from_secs(40), "{path}: {:?}", began.elapsed());
        assert!(!said.contains("passwd") && !said.contains("127.0.0.2"), "an address is told: {said}");
    }
    let forms = data().join("21-more-forms.yaml");
    for kind in ["bomb", "damaged"] {
        let out = read(dir.path(), &forms, "zipped", &json!({ "base_url": server.base, "kind": kind }), None, &["--format", "json"]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains("KITH-N024"), "{kind}: {said}");
    }
    // A redirect inside of the host is followed.
    let out = read(dir.path(), &simple(dir.path(), "redirect?to=/pages", ""), "items", &config, None, &[]);
    assert_eq!(messages(&out).0.len(), 10, "{}", String::from_utf8_lossy(&out.stderr));
    // A member of another kind is no list of records: nothing is made of it.
    let out = read(dir.path(), &simple(dir.path(), "text", ""), "items", &config, None, &[]);
    assert_eq!(messages(&out).0, [json!("five")]);
}

#[test]
fn a_slow_answer_ends_with_the_time() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let manifest = simple(dir.path(), "slow", "");
    let text = fs::read_to_string(&manifest).unwrap().replace("path: \"slow\" }", &format!("path: \"slow\"{RETRY_ONCE} }}"));
    fs::write(&manifest, text).unwrap();
    let began = Instant::now();
    let out =
        read(dir.path(), &manifest, "items", &json!({ "base_url": server.base }), None, &["--timeout-seconds", "2", "--format", "json"]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("KITH-N021"), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
}

#[test]
fn every_dialect_of_a_wait_is_honoured_in_full() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let manifest = simple(dir.path(), "storm?run=a", "");
    let began = Instant::now();
    let out = read(dir.path(), &manifest, "items", &json!({ "base_url": server.base }), None, &[]);
    assert_eq!(messages(&out).0.len(), 2, "{}", String::from_utf8_lossy(&out.stderr));
    // Four answers asked for one second each.
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn after_the_last_refused_login_nothing_is_waited_and_what_was_asked_for_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = data().join("14-logins.yaml");
    let busy = |seconds: u32| answer(503, &format!("retry-after: {seconds}\r\n"), "");
    for (last, code, says) in [(busy(3_600), "KITH-N023", "3600 s"), (answer(500, "", ""), "KITH-N027", "answered 500")] {
        let provider = Scripted::start(vec![busy(0), busy(0), last]);
        let base = format!("http://127.0.0.1:{}", provider.port);
        let config = json!({ "base_url": base, "client_id": "c", "client_secret": "s", "refresh_token": "r0" });
        let began = Instant::now();
        let out = read(dir.path(), &manifest, "oauth", &config, None, &["--format", "json"]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(said.contains(code) && said.contains(says), "{said}");
        assert_eq!(provider.requests().len(), 3);
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "one and two seconds are waited between attempts, and not an hour after them: {:?}",
            began.elapsed()
        );
    }
}

#[test]
fn what_kith_does_not_have_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        let file = dir.path().join("source.yaml");
        fs::write(&file, text).unwrap();
        let out = kith(&["connector", "check", &file.display().to_string(), "--format", "json"]);
        let said: Json = serde_json::from_slice(&out.stdout).unwrap();
        let problems = said["problems"].as_array().unwrap();
        let list: Vec<String> =
            problems.iter().map(|p| format!("{}:{}:{}", p["code"].as_str().unwrap(), p["place"]["line"], p["place"]["column"])).collect();
        (out.status.code().unwrap(), list)
    };
    let good = fs::read_to_string(simple(dir.path(), "all", "")).unwrap();
    assert_eq!(check(&good), (0, vec![]));
    for (from, to, problem) in [
        ("type: SimpleRetriever", "type: AsyncRetriever", "KITH-N003:8:13"),
        ("type: SimpleRetriever", "type: CustomRetriever\n      class_name: source_x.Y", "KITH-N003:8:13"),
        ("path: \"all\"", "path: \"{{ record.x }}\"", "KITH-N004:9"),
        ("path: \"all\"", "path: \"{{ config['x' }}\"", "KITH-N004:9"),
        ("path: \"all\"", "path: \"{{ stream_state.x }}\"", "KITH-N004:9"),
        ("path: \"all\"", "paht: \"all\"", "KITH-N005:9"),
        ("field_path: [data]", "field_pat: [data]", "KITH-N006:10"),
        ("retriever:\n", "retriever:\n      $ref: \"#/definitions/none\"\n", "KITH-N002:8:13"),
        ("path: \"all\"", "path: all, http_method: FETCH", "KITH-N007:9"),
        ("type: DpathExtractor, field_path: [data]", "type: CombinedExtractor, extractors: []", "KITH-N007:10"),
        ("path: \"all\"", "path: all, authenticator: { type: RateLimitedMultipleTokenAuthenticator, tokens: x }", "KITH-N003:9"),
        ("    retriever:", "    file_uploader: { type: FileUploader, download_target_extractor: x }\n    retriever:", "KITH-N003:7"),
        (
            "path: \"all\"",
            "path: all, error_handler: { type: DefaultErrorHandler, response_filters: [{ type: HttpResponseFilter, http_codes: [413], action: REDUCE_PAGE_SIZE }] }",
            "KITH-N007:8",
        ),
        (
            "      type: SimpleRetriever",
            "      page_size_reduction: { type: PageSizeReduction }\n      type: SimpleRetriever",
            "KITH-N007:8",
        ),
        (
            "      type: SimpleRetriever",
            "      request_window_splitting: { type: RequestWindowSplitting }\n      type: SimpleRetriever",
            "KITH-N007:8",
        ),
        ("streams:\n", "concurrency_level: { type: ConcurrencyLevel, default_concurrency: 0 }\nstreams:\n", "KITH-N007:4"),
        ("field_path: [data]", "field_path: [data], record_expander: { truncation_indicator_path: [a, '*'] }", "KITH-N007:10"),
    ] {
        let (status, problems) = check(&good.replacen(from, to, 1));
        assert!(problems.iter().any(|p| p.starts_with(problem)), "{to}: {problems:?}");
        assert_eq!(status, if problem.starts_with("KITH-N005") { 0 } else { 2 }, "{to}");
    }
}

#[test]
fn streams_that_are_listed_elsewhere_are_told_and_bounded() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let manifest = data().join("19-dynamic.yaml");
    let out = kith(&["connector", "check", &manifest.display().to_string(), "--format", "json"]);
    let said: Json = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(said["errors"], 0, "{said}");
    let own_size = said["source"]["streams"].as_array().unwrap().contains(&"own-size".into());
    assert!(own_size, "what the manifest lists is there without a configuration: {said}");
    let listed = json!([{ "name": "tables", "listed_by": "network" }, { "name": "colors", "listed_by": "configuration" }]);
    assert_eq!(said["source"]["dynamic_streams"], listed);
    let config = |list: Json| json!({ "base_url": server.base, "sandbox": true, "colors": { "list": list }, "sizes": ["small"] });
    let told = |list: Json, stream: &str| {
        let out = read(dir.path(), &manifest, stream, &config(list), None, &["--format", "json"]);
        assert!(!out.status.success());
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let names = told(json!([{ "color": "red" }]), "?");
    assert!(names.contains("shadowed, either, own-size, own-Alpha, shared-Beta, red small, blue small"), "{names}");
    let twice = told(json!([{ "color": "red" }, { "color": "red" }]), "red small");
    assert!(twice.contains("KITH-N029") && twice.contains("called `red small`"), "{twice}");
    let many: Vec<Json> = (0..2_001).map(|n| json!({ "color": format!("c{n}") })).collect();
    let many = told(many.into(), "c1 small");
    assert!(many.contains("KITH-N029") && many.contains("more than 2000"), "{many}");
    // A stream whose condition does not hold of the configuration is none.
    let text = fs::read_to_string(&manifest).unwrap().replace("{{ not config['sandbox'] }}", "{{ false }}");
    let never = dir.path().join("never.yaml");
    fs::write(&never, text.replace("{{ config['sandbox'] }}", "{{ config['none'] }}")).unwrap();
    let out = read(dir.path(), &never, "either", &config(json!([])), None, &[]);
    assert!(!out.status.success() && out.stdout.is_empty());
}

#[test]
fn a_configuration_that_does_not_fit_is_not_read_with_and_not_shown() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let manifest = data().join("21-more-forms.yaml");
    for (shape, shapes) in [
        (json!({ "kind": "s3cret" }), json!([])),
        (json!("no json s3cret"), json!([])),
        (json!({ "kind": "box" }), json!([{ "s3cret": 1, "b": 2 }])),
    ] {
        let config = json!({ "base_url": server.base, "shape": shape, "shapes": shapes });
        let out = read(dir.path(), &manifest, "items", &config, None, &["--format", "json"]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(said.contains("KITH-N020") && said.contains("validations") && !said.contains("s3cret"), "{said}");
        assert_eq!(out.status.code(), Some(2), "{said}");
    }
    // What is not there is not held against anything, as in the reference.
    let out = read(dir.path(), &manifest, "items", &json!({ "base_url": server.base }), None, &[]);
    assert_eq!(messages(&out).0.len(), 25, "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_call_counts_for_a_budget_as_its_matcher_weighs_it() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let manifest = simple(
        dir.path(),
        "pages",
        "      paginator:\n        type: DefaultPaginator\n        page_token_option: { type: RequestOption, inject_into: request_parameter, field_name: page }\n        pagination_strategy: { type: PageIncrement, page_size: 10, start_from_page: 1 }\n",
    );
    let budget = |weight: &str| {
        let text = format!(
            "api_budget: {{ type: HTTPAPIBudget, policies: [{{ type: MovingWindowCallRatePolicy, rates: [{{ type: Rate, limit: 4, interval: PT2S }}], matchers: [{{ type: HttpRequestRegexMatcher, url_path_pattern: /pages, weight: {weight} }}] }}] }}\n"
        );
        fs::write(dir.path().join("weighed.yaml"), fs::read_to_string(&manifest).unwrap() + &text).unwrap();
        let began = Instant::now();
        let out =
            read(dir.path(), &dir.path().join("weighed.yaml"), "items", &json!({ "base_url": server.base }), None, &["--format", "json"]);
        (out, began.elapsed())
    };
    // Three calls: two of weight two are as many as two seconds allow, the third waits.
    let (out, took) = budget("\"{{ 1 + 1 }}\"");
    assert_eq!(messages(&out).0.len(), 25, "{}", String::from_utf8_lossy(&out.stderr));
    assert!(took >= Duration::from_secs(2), "{took:?}");
    let (out, _) = budget("5");
    assert!(String::from_utf8_lossy(&out.stderr).contains("KITH-N020"), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn interpolation_is_jinja2s() {
    use kith::manifest::{Engine, Fallback, Json as Value, Scope, Wanted};
    use proptest::prelude::*;
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let Some(python) = reference() else { return };
    let leaf = prop_oneof![
        Just("config.n".to_owned()),
        Just("config['s']".to_owned()),
        Just("config.list[0]".to_owned()),
        Just("config.map.k".to_owned()),
        Just("config.get('none', 'd')".to_owned()),
        Just("config.missing".to_owned()),
        Just("config.f".to_owned()),
        Just("config.b".to_owned()),
        Just("config.date".to_owned()),
        (0..100_i32).prop_map(|n| n.to_string()),
        "[a-z ]{0,5}".prop_map(|s| format!("'{s}'")),
    ];
    let expression = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} ~ {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} == {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} if {b} else {c})")),
            inner.clone().prop_map(|a| format!("(not {a})")),
            inner.clone().prop_map(|a| format!("({a} | string)")),
            inner.clone().prop_map(|a| format!("({a} | string | upper)")),
            inner.clone().prop_map(|a| format!("({a} | default('z', true))")),
            inner.clone().prop_map(|a| format!("({a} | hash('md5'))")),
            inner.clone().prop_map(|a| format!("[{a}, 1]")),
            inner.clone().prop_map(|a| format!("({a} is defined)")),
            inner.prop_map(|a| format!("({a} is none)")),
        ]
    });
    let template = prop_oneof![
        expression.clone().prop_map(|e| format!("{{{{ {e} }}}}")),
        expression.clone().prop_map(|e| format!("a{{{{ {e} }}}}b")),
        (expression.clone(), expression).prop_map(|(a, b)| format!("{{% if {a} %}}{{{{ {b} }}}}{{% else %}}x{{% endif %}}")),
    ];
    let seed: u64 = std::env::var("KITH_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let config = json!({ "n": 5, "s": "text", "list": ["x", 2], "map": { "k": "v" }, "f": 1.5, "b": true, "date": "2024-01-02T03:04:05Z" });
    let mut templates: Vec<String> = (0..600).map(|_| template.new_tree(&mut runner).unwrap().current()).collect();
    templates.extend(
        [
            "{{ format_datetime(config.date, '%Y/%m/%d %H') }}",
            "{{ str_to_datetime(config.date) - duration('P1DT2H') }}",
            "{{ (str_to_datetime(config.date) + duration('P1M')).strftime('%Y-%m-%d') }}",
            "{{ timestamp(config.date) | int }}",
            "{{ config.list | length }}{{ config.list | join('-') }}",
            "{{ config.map.items() | list }}",
            "{{ '%s' | format(config.n) }}",
            "{{ [1,2,3] | sum }}",
            "{{ config.s.split('e') }}",
            "{{ config.s[1:] }}{{ config.s[-1] }}",
            "{{ 7 // 2 }} {{ 7 / 2 }} {{ 7 % 3 }} {{ 2 ** 3 }} {{ -7 // 2 }}",
            "{{ {'a': 1} | tojson }}",
            "{{ config.s | regex_search('t(e)x') }}{{ config.s | regex_replace('t(.)', '<\\\\1>') }}",
            "{{ max([1, 3, 2]) }}{{ min(4, 2) }}",
            "{{ config.s | base64encode | base64decode }}",
            "{% for x in config.list %}{{ x }},{% endfor %}",
            "{% set y = config.n * 2 %}{{ y }}",
            "{{ sanitize_url('https://a b/ü?x=1') }}",
            "{{ 'x' | hmac('key') }}",
            "{{ 'urn:li:share:1/a b&ü~' | urlencode }} {{ config.n | urlencode }}",
            "{{ {'a b': 'c/d', 'e': 1} | urlencode }} {{ [['x', 'y z'], ['q', '&']] | urlencode }}",
            "{{ config.n | float }} {{ '3' | int }} {{ 'x' | int }}",
            "{{ 'metric(%s)' % ','.join(['a', 'b',]) }}{{ 'x %s' % config.n }}{{ '%s' % config.list }}",
            "{{ '%s-%d %05.1f|%-4s|%4s|%+d|%x%%' % (config.s, config.n, config.f, 'a', 'b', 7, 255) }}",
            "{{ '%(k)s and %(k)r' % config.map }}{{ '%.2s' % config.s }}{{ '%s' % none }}",
            "{{ '%d' % 'x' }}",
            "{{ '%s %s' % 'x' }}",
            "{{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 % 2 }} {{ -7.5 % 2 }}",
        ]
        .map(str::to_owned),
    );
    let input: Vec<Json> = templates.iter().map(|template| json!([template, { "config": config }])).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), Json::Array(input).to_string()).unwrap();
    let out =
        Command::new(python).arg(root().join("tests/support/jinja_peer.py")).stdin(fs::File::open(file.path()).unwrap()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let said: Vec<Json> = serde_json::from_slice(&out.stdout).unwrap();
    let scope = Scope::new(&Value::from(config));
    let mut wrong = Vec::new();
    for (template, said) in templates.iter().zip(&said) {
        let mut engine = Engine::default();
        let ours = engine
            .compile(template, &Value::object(), &["config"])
            .map_err(|error| error.to_string())
            .and_then(|compiled| compiled.evaluate(&engine, &scope, Fallback::Own, Wanted::Any).map_err(|error| error.to_string()));
        let same = match (&ours, said.get("value")) {
            (Ok(ours), Some(value)) => *ours == Value::from(value.clone()),
            (Err(_), None) => true,
            _ => false,
        };
        if !same {
            wrong.push(format!("{template}\n    kith {:?}\n    jinja {said}", ours.map(|value| value.compact())));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ (seed {seed}):\n{}", wrong.len(), templates.len(), wrong.join("\n"));
}
