//! 100,000 records of 660 bytes over HTTP on loopback, in pages of 1,000: `kith connector read` beside Airbyte's own runner on the same manifest and
//! server in the same run. Prints records a CPU second of each reader and peak memory, and writes `target/bench-manifest.json`.
//!
//! `KITH_TEST_AIRBYTE` names a `python` with the reference; without it `kith-airbyte/bin/python` in the folder for temporary files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a benchmark"
)]

use serde_json::json;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;

const RECORDS: usize = 100_000;
const PAGE: usize = 1_000;

fn manifest() -> String {
    let pages = "{{ response.next }}";
    format!(
        "type: DeclarativeSource\nversion: 7.0.0\ncheck: {{ type: CheckStream, stream_names: [items] }}\nstreams:\n  - type: DeclarativeStream\n    name: items\n    retriever:\n      type: SimpleRetriever\n      requester: {{ type: HttpRequester, url_base: \"{{{{ config['base_url'] }}}}\", path: items }}\n      record_selector: {{ type: RecordSelector, extractor: {{ type: DpathExtractor, field_path: [data] }} }}\n      paginator:\n        type: DefaultPaginator\n        page_token_option: {{ type: RequestOption, inject_into: request_parameter, field_name: page }}\n        pagination_strategy: {{ type: CursorPagination, cursor_value: \"{pages}\" }}\nspec: {{ type: Spec, connection_specification: {{ type: object, properties: {{}} }} }}\n"
    )
}

/// A page of records, each of about 660 bytes.
fn page(number: usize) -> String {
    let mut body = String::from("{\"data\":[");
    for id in number * PAGE..(number + 1) * PAGE {
        if id % PAGE > 0 {
            body.push(',');
        }
        write!(
            body,
            "{{\"id\":{id},\"uri\":\"https://social.example/users/u{}/statuses/{id}\",\"created_at\":\"2026-01-01T00:00:00.000Z\",\"visibility\":\"public\",\"account\":{{\"id\":\"{}\",\"username\":\"user{}\",\"display_name\":\"User {}\",\"url\":\"https://social.example/@user{}\",\"bot\":false,\"followers_count\":{}}},\"content\":\"{}\",\"tags\":[\"a\",\"b\"],\"replies_count\":0,\"score\":1.5}}",
            id % 997,
            id % 997,
            id % 997,
            id % 997,
            id % 997,
            id % 5_000,
            "Where is my order? ".repeat(18)
        )
        .unwrap();
    }
    let next = if (number + 1) * PAGE < RECORDS { format!("\"{}\"", number + 1) } else { "null".to_owned() };
    write!(body, "],\"next\":{next}}}").unwrap();
    body
}

fn serve(stream: TcpStream, pages: &[String]) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        let mut header = String::new();
        while reader.read_line(&mut header).unwrap_or(0) > 2 {
            header.clear();
        }
        let number =
            request.split("page=").nth(1).and_then(|rest| rest.split([' ', '&']).next()).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
        let body = &pages[number];
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(body.as_bytes())).is_err() {
            return;
        }
    }
}

/// CPU seconds, peak memory in KB, and lines with records of a command.
fn measured(command: &mut Command) -> (f64, u64, usize) {
    let times = tempfile::NamedTempFile::new().unwrap();
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["-f", "%U %S %M", "-o"]).arg(times.path()).arg(command.get_program()).args(command.get_args());
    let mut child = timed.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("/usr/bin/time (Debian: time)");
    let lines =
        BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).filter(|line| line.contains("\"RECORD\"")).count();
    assert!(child.wait().unwrap().success());
    let text = std::fs::read_to_string(times.path()).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|n| n.parse().unwrap()).collect();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of KB")]
    (numbers[0] + numbers[1], numbers[2] as u64, lines)
}

#[allow(clippy::cast_precision_loss, reason = "a rate to be read by people")]
fn main() {
    let pages: Arc<Vec<String>> = Arc::new((0..RECORDS / PAGE).map(page).collect());
    let bytes = pages.iter().map(String::len).sum::<usize>() / RECORDS;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let pages = pages.clone();
            std::thread::spawn(move || serve(stream, &pages));
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (manifest, config) = (file("source.yaml", &manifest()), file("config.json", &json!({ "base_url": base }).to_string()));
    let (cpu, memory, count) = measured(Command::new(env!("CARGO_BIN_EXE_kith")).args([
        "connector",
        "read",
        &manifest,
        "--stream",
        "items",
        "--source-config",
        &config,
        "--quiet",
    ]));
    assert_eq!(count, RECORDS);
    let ours = RECORDS as f64 / cpu;
    println!("kith       {ours:>10.0} records a CPU second of {bytes} bytes, {cpu:.2} s, {} MB", memory / 1024);
    let beside = std::env::temp_dir().join("kith-airbyte/bin/python").display().to_string();
    let python = std::env::var("KITH_TEST_AIRBYTE").unwrap_or(beside);
    let runner = std::path::Path::new(&python).with_file_name("source-declarative-manifest").display().to_string();
    if !std::path::Path::new(&runner).exists() {
        println!("SKIPPED: no reference at {runner}");
        return;
    }
    let catalog = json!({ "streams": [{ "stream": { "name": "items", "json_schema": {}, "supported_sync_modes": ["full_refresh"] }, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite" }] });
    let catalog = file("catalog.json", &catalog.to_string());
    let (reference_cpu, reference_memory, count) =
        measured(Command::new(&runner).args(["read", "--manifest-path", &manifest, "--config", &config, "--catalog", &catalog]));
    assert_eq!(count, RECORDS);
    let theirs = RECORDS as f64 / reference_cpu;
    println!("reference  {theirs:>10.0} records a CPU second, {reference_cpu:.2} s, {} MB", reference_memory / 1024);
    println!("ratio      {:>10.1}", ours / theirs);
    let result = json!({ "records": RECORDS, "bytes": bytes, "kith_per_cpu_second": ours, "kith_memory_kb": memory, "reference_per_cpu_second": theirs, "reference_memory_kb": reference_memory });
    std::fs::write(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-manifest.json"), result.to_string()).unwrap();
}
