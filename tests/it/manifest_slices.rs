//! Slices of a stream that are read at once: the same records, states and errors as one after the other, in less time, and no more asked of a server or
//! held in memory than is meant.

use crate::manifests::Server;
use kith::manifest::Json as Value;
use kith::source::manifest::{Batch, ReadError, Reader};
use kith::wire::http::Connection;
use serde_json::{Value as Json, json};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A stream of sixteen parts, or of days.
fn manifest(dir: &Path, kind: &str, more: &str) -> PathBuf {
    let file = dir.join("parted.yaml");
    let text = format!(
        "type: DeclarativeSource
version: 7.0.0
check: {{ type: CheckStream, stream_names: [items] }}
concurrency_level: {{ type: ConcurrencyLevel, default_concurrency: \"{{{{ config['at_once'] }}}}\", max_concurrency: 40 }}
definitions:
  requester:
    type: HttpRequester
    url_base: \"{{{{ config['base_url'] }}}}\"
    path: parted/{kind}
    request_parameters: {{ run: \"{{{{ config['run'] }}}}\", after: \"{{{{ config['after'] }}}}\", refusals: \"{{{{ config['refusals'] }}}}\" }}
{more}
  selector: {{ type: RecordSelector, extractor: {{ type: DpathExtractor, field_path: [data] }} }}
streams:
  - type: DeclarativeStream
    name: items
    retriever:
      type: SimpleRetriever
      requester: \"#/definitions/requester\"
      record_selector: \"#/definitions/selector\"
      paginator:
        type: DefaultPaginator
        page_token_option: {{ type: RequestOption, inject_into: request_parameter, field_name: page }}
        pagination_strategy: {{ type: CursorPagination, cursor_value: \"{{{{ response.next }}}}\" }}
      partition_router:
        type: ListPartitionRouter
        cursor_field: part
        values: \"{{{{ config['parts'] }}}}\"
        request_option: {{ type: RequestOption, inject_into: request_parameter, field_name: part }}
  - type: DeclarativeStream
    name: days
    retriever: {{ type: SimpleRetriever, requester: \"#/definitions/requester\", record_selector: \"#/definitions/selector\" }}
    incremental_sync:
      type: DatetimeBasedCursor
      cursor_field: at
      datetime_format: \"%Y-%m-%d\"
      cursor_datetime_formats: [\"%Y-%m-%dT%H:%M:%SZ\"]
      start_datetime: \"2024-01-01\"
      end_datetime: \"2024-01-20\"
      step: P1D
      cursor_granularity: P1D
      start_time_option: {{ type: RequestOption, inject_into: request_parameter, field_name: since }}
"
    );
    fs::write(&file, text).unwrap();
    file
}

fn config(server: &Server, run: &str, at_once: usize) -> Json {
    let parts: Vec<String> = (0..16).map(|n| format!("p{n}")).collect();
    json!({ "base_url": server.base, "run": run, "at_once": at_once, "parts": parts, "after": "1", "refusals": "1" })
}

fn command(dir: &Path, manifest: &Path, stream: &str, config: &Json, state: Option<&Path>) -> Command {
    let file = dir.join(format!("{}-{}.json", config["run"].as_str().unwrap(), config["at_once"]));
    fs::write(&file, config.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kith"));
    command
        .args(["connector", "read"])
        .arg(manifest)
        .args(["--stream", stream, "--quiet", "--format", "json", "--source-config"])
        .arg(file);
    if let Some(state) = state {
        command.arg("--source-state").arg(state);
    }
    command
}

fn read(dir: &Path, manifest: &Path, stream: &str, config: &Json) -> (Output, Duration) {
    let began = Instant::now();
    let out = command(dir, manifest, stream, config, None).output().unwrap();
    (out, began.elapsed())
}

/// The messages without the moments at which records were written.
fn messages(out: &[u8]) -> Vec<Json> {
    let lines = std::str::from_utf8(out).unwrap().lines();
    let mut all: Vec<Json> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    for message in &mut all {
        if let Some(record) = message.get_mut("record").and_then(Json::as_object_mut) {
            record.remove("emitted_at");
        }
    }
    all
}

/// What the server says at an address; with a body, to a POST.
fn said(server: &Server, path: &str, body: Option<&str>) -> Json {
    let script =
        "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], sys.argv[2].encode() if sys.argv[2:] else None).read().decode())";
    let out = Command::new("python3").args(["-c", script, &format!("{}/{path}", server.base)]).args(body).output().unwrap();
    serde_json::from_slice(&out.stdout).unwrap()
}

/// What the server was asked in a run: when, for which part and page; and how many calls were under way at most.
fn asked(server: &Server, run: &str) -> (Vec<(f64, String, i64)>, u64) {
    let said = said(server, &format!("parted/log?run={run}"), None);
    let calls = said["data"].as_array().unwrap().iter();
    let calls = calls.map(|call| (call[0].as_f64().unwrap(), call[1].as_str().unwrap().to_owned(), call[2].as_i64().unwrap()));
    (calls.collect(), said["most"].as_u64().unwrap())
}

#[test]
fn slices_at_once_take_a_part_of_the_time_and_say_the_same() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let file = manifest(dir.path(), "slow", "");
    let (one, long) = read(dir.path(), &file, "items", &config(&server, "slow-1", 1));
    let (eight, short) = read(dir.path(), &file, "items", &config(&server, "slow-8", 8));
    assert_eq!(messages(&one.stdout), messages(&eight.stdout));
    assert_eq!(messages(&one.stdout).len(), 16 * 2 * 3 + 1, "{}", String::from_utf8_lossy(&one.stderr));
    // 32 answers of a fifth of a second.
    assert!(long >= Duration::from_millis(6_400), "{long:?}");
    assert!(short < long / 3, "eight at once took {short:?}, one after the other {long:?}");
    let most = |run: &str| asked(&server, run).1;
    assert!(most("slow-1") == 1 && (4..=8).contains(&most("slow-8")), "{}", most("slow-8"));
    // However many a manifest wants.
    let (many, _) = read(dir.path(), &file, "items", &config(&server, "slow-40", 40));
    assert_eq!(messages(&one.stdout), messages(&many.stdout));
    assert!((9..=16).contains(&most("slow-40")), "{}", most("slow-40"));
    for wrong in [json!("many"), json!(null)] {
        let mut config = config(&server, "slow-none", 1);
        config["at_once"] = wrong;
        let (out, _) = read(dir.path(), &file, "items", &config);
        assert!(String::from_utf8_lossy(&out.stderr).contains("KITH-N020"), "{}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn slices_at_once_go_out_in_order_with_their_states_and_end_where_one_fails() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    for (kind, stream) in [("uneven", "items"), ("days", "days"), ("broken", "items")] {
        let file = manifest(dir.path(), kind, "");
        let (one, _) = read(dir.path(), &file, stream, &config(&server, &format!("{kind}-1"), 1));
        let (many, _) = read(dir.path(), &file, stream, &config(&server, &format!("{kind}-7"), 7));
        assert_eq!(messages(&one.stdout), messages(&many.stdout), "{kind}");
        assert_eq!((one.status.code(), &one.stderr), (many.status.code(), &many.stderr), "{kind}");
        assert_eq!(one.status.success(), kind != "broken", "{}", String::from_utf8_lossy(&one.stderr));
        let states = messages(&one.stdout).iter().filter(|message| message["type"] == "STATE").count();
        assert_eq!(
            states,
            match kind {
                "days" => 20,
                "broken" => 0,
                _ => 1,
            },
            "{kind}"
        );
        if kind == "broken" {
            let last = messages(&one.stdout).last().unwrap()["record"]["data"]["id"].clone();
            assert_eq!(last, "p5-1-2", "everything before the page that failed, and nothing after it");
        }
    }
}

#[test]
fn slices_that_are_ahead_hold_little_however_long_they_are() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let file = manifest(dir.path(), "endless", "");
    let mut child = command(dir.path(), &file, "items", &config(&server, "endless", 16), None)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The first slice answers late. Until then the others, whose pages have 4 MiB, were asked for.
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains("p0-1-0"), "{}", &first[..first.len().min(200)]);
    let before = asked(&server, "endless").0.iter().filter(|call| call.1 != "p0").count();
    assert!((8..=26).contains(&before), "{before} pages of 4 MiB were asked for before the first slice answered");
    // The second is endless: the read goes on with it, and holds no more for that.
    let pages: Vec<String> = lines.by_ref().take(60).map(Result::unwrap).collect();
    assert!(pages.last().unwrap().contains("\"p1-58\""), "{:?}", pages.last().map(|page| page[..120].to_owned()));
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak: u64 = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(peak < 400 << 10, "{peak} kB at its peak");
    let others = asked(&server, "endless").0.iter().filter(|call| call.1 != "p0" && call.1 != "p1").count();
    assert!(others <= 26, "{others} pages of slices that wait behind an endless one");
}

#[test]
fn a_wait_that_a_server_asks_of_one_slice_is_kept_by_all_and_the_others_go_on() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let file = manifest(dir.path(), "limited", "");
    let (one, _) = read(dir.path(), &file, "items", &config(&server, "limited-1", 1));
    let mut twice = config(&server, "limited-8", 8);
    twice["refusals"] = "2".into();
    let (many, took) = read(dir.path(), &file, "items", &twice);
    assert_eq!(messages(&one.stdout), messages(&many.stdout), "{}", String::from_utf8_lossy(&many.stderr));
    assert!((Duration::from_secs(2)..Duration::from_secs(8)).contains(&took), "{took:?}");
    let (calls, _) = asked(&server, "limited-8");
    let refused: Vec<f64> = calls.iter().filter(|call| call.1 == "p3" && call.2 == 1).map(|call| call.0).take(2).collect();
    for moment in refused {
        // What was under way when the answer came may still have arrived.
        let during = calls.iter().filter(|call| (moment + 0.1..moment + 0.95).contains(&call.0)).count();
        assert_eq!(during, 0, "calls in the second that the server asked for: {calls:?}");
    }
}

/// Reads with so much patience; what came out, and how it ended.
fn read_here(
    file: &Path,
    config: &Json,
    stream: &str,
    state: Option<Json>,
    patience: u64,
) -> (Vec<String>, Option<Json>, Result<(), ReadError>) {
    let text = kith::diagnose::SourceFile { name: "parted.yaml".into(), text: fs::read_to_string(file).unwrap() };
    let source = kith::declare::manifest::read(&text.into()).value.unwrap().source;
    let connection = Connection {
        ca_file: None,
        proxy: None,
        connect: Duration::from_secs(10),
        whole: Duration::from_secs(10),
        tls: false,
        certificate: None,
        longest_body: 0,
    };
    let clock = || jiff::Timestamp::now().as_microsecond();
    let reader = Reader::new(source, Value::from(config.clone()), &connection, clock, Some(Duration::from_secs(patience))).unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(2);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut ids, mut last) = (Vec::new(), None);
        let reading = async {
            let ended = reader.read(stream, state.map(Value::from), &sender).await;
            drop(sender);
            ended
        };
        let taking = async {
            while let Some(batch) = receiver.recv().await {
                match batch {
                    Batch::Records { items, .. } => ids.extend(items.iter().map(|item| item.value()["id"].as_str().unwrap().to_owned())),
                    Batch::State(state) => last = serde_json::to_value(&state).ok(),
                    Batch::Config(_) => {}
                }
            }
        };
        let ended = tokio::join!(reading, taking).0;
        (ids, last, ended)
    })
}

#[test]
fn a_long_wait_of_one_slice_ends_the_read_after_what_stands_before_it() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let file = manifest(dir.path(), "limited", "");
    let mut config = config(&server, "long", 3);
    config["after"] = "3600".into();
    let began = Instant::now();
    let (ids, _, ended) = read_here(&file, &config, "items", None, 5);
    assert!(matches!(ended, Err(ReadError::Wait(wait)) if (3_590..=3_600).contains(&wait.as_secs())), "{ended:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(
        ids.iter().all(|id| ["p0", "p1", "p2"].contains(&id.split('-').next().unwrap())) && ids.starts_with(&["p0-1-0".to_owned()]),
        "{ids:?}"
    );
    let calls = asked(&server, "long").0;
    assert!(!calls.iter().any(|call| ["p7", "p8", "p9"].contains(&&*call.1)), "{calls:?}");
}

#[test]
fn of_several_slices_that_are_refused_one_logs_in_again() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let login = "    authenticator: { type: OAuthAuthenticator, client_id: \"{{ config['run'] }}\", client_secret: s, refresh_token: r, token_refresh_endpoint: \"{{ config['base_url'] }}/parted-token\" }
    error_handler: { type: DefaultErrorHandler, response_filters: [{ type: HttpResponseFilter, http_codes: [401], action: REFRESH_TOKEN_THEN_RETRY }] }";
    let file = manifest(dir.path(), "token", login);
    let (out, _) = read(dir.path(), &file, "items", &config(&server, "token", 8));
    assert_eq!(messages(&out.stdout).len(), 16 * 2 * 3 + 1, "{}", String::from_utf8_lossy(&out.stderr));
    let refused = asked(&server, "token").0.len() - 32;
    let turn = said(&server, "parted-token", Some("client_id=token"));
    assert!(refused >= 2, "{refused} calls were refused: too few to tell");
    assert_eq!(turn["turn"], 3, "the first login, one more after all that was refused, and the one just now");
}

#[test]
fn who_is_killed_between_slices_goes_on_where_everything_is_out() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let file = manifest(dir.path(), "days", "");
    let whole = messages(&read(dir.path(), &file, "days", &config(&server, "whole", 1)).0.stdout);
    let ids = |messages: &[Json]| -> Vec<String> {
        messages.iter().filter_map(|message| Some(message.pointer("/record/data/id")?.as_str()?.to_owned())).collect()
    };
    for (number, lines) in [2, 11, 37].into_iter().enumerate() {
        let config = config(&server, &format!("killed-{number}"), 5);
        let mut child = command(dir.path(), &file, "days", &config, None).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: Vec<String> = reader.by_ref().take(lines).map(Result::unwrap).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        let first = messages(first.join("\n").as_bytes());
        let kept = dir.path().join("kept.ndjson");
        fs::write(&kept, first.iter().map(|message| format!("{message}\n")).collect::<String>()).unwrap();
        let has_state = first.iter().any(|message| message["type"] == "STATE");
        let out = command(dir.path(), &file, "days", &config, has_state.then_some(kept.as_path())).output().unwrap();
        let second = messages(&out.stdout);
        let mut all = ids(&first);
        all.extend(ids(&second));
        all.sort();
        all.dedup();
        let mut wanted = ids(&whole);
        wanted.sort();
        assert_eq!(all, wanted, "after {lines} lines");
        assert_eq!(second.last(), whole.last());
        assert!(!has_state || ids(&second).len() < wanted.len(), "what is out before a state is not read again");
    }
}
