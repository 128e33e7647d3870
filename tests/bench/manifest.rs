//! 100,000 records of 660 bytes over HTTP on loopback, in pages of 1,000: `kith connector read` beside Airbyte's own runner on the same manifest, a
//! Singer tap that reads any REST service (`tap-rest-api-msdk`), and a bare client in Rust that reads each page into values and prints each record;
//! all on the same server in the same run. Prints records a CPU second of each reader and peak memory, and writes `target/bench-manifest.json`.
//!
//! `KITH_TEST_AIRBYTE` names a `python` with the reference, `KITH_TEST_SINGER` the tap; without them `kith-airbyte/bin/python` and
//! `kith-singer/bin/tap-rest-api-msdk` in the folder for temporary files. What is not there is skipped, and said.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a benchmark"
)]

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
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
    timed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = timed.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("/usr/bin/time (Debian: time)");
    let lines =
        BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).filter(|line| line.contains("\"RECORD\"")).count();
    assert!(child.wait().unwrap().success());
    let text = std::fs::read_to_string(times.path()).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|n| n.parse().unwrap()).collect();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of KB")]
    (numbers[0] + numbers[1], numbers[2] as u64, lines)
}

/// A client that knows this one service.
fn bare(base: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut next = Some(String::from("0"));
    while let Some(number) = next {
        let asked = client.get(format!("{base}/items?page={number}")).send();
        let body = runtime.block_on(async { asked.await?.bytes().await }).unwrap();
        let page: Value = serde_json::from_slice(&body).unwrap();
        for record in page["data"].as_array().unwrap() {
            writeln!(out, "{{\"type\":\"RECORD\",\"record\":{record}}}").unwrap();
        }
        next = page["next"].as_str().map(str::to_owned);
    }
    out.flush().unwrap();
}

struct Reader {
    name: &'static str,
    cpu: f64,
    memory_kb: u64,
}

impl Reader {
    fn of(name: &'static str, command: &mut Command) -> Self {
        let (cpu, memory_kb, count) = measured(command);
        assert_eq!(count, RECORDS, "{name}");
        Self { name, cpu, memory_kb }
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate to be read by people")]
    fn rate(&self) -> f64 {
        RECORDS as f64 / self.cpu
    }
}

/// A program beside the first that stands in a variable of the environment, or that the tests install; `None`, said, where it is not there.
fn beside(variable: &str, otherwise: &str, program: &str) -> Option<PathBuf> {
    let named = std::env::var(variable).map_or_else(|_unset| std::env::temp_dir().join(otherwise), PathBuf::from);
    let found = named.with_file_name(program);
    if !found.exists() {
        println!("SKIPPED: no {}", found.display());
    }
    found.exists().then_some(found)
}

fn main() {
    if let Ok(base) = std::env::var("KITH_BENCH_BARE") {
        return bare(&base);
    }
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
    let ours = Reader::of(
        "kith",
        Command::new(env!("CARGO_BIN_EXE_kith")).args([
            "connector",
            "read",
            &manifest,
            "--stream",
            "items",
            "--source-config",
            &config,
            "--quiet",
        ]),
    );
    let mut others = vec![Reader::of("bare client in Rust", Command::new(std::env::current_exe().unwrap()).env("KITH_BENCH_BARE", &base))];
    if let Some(runner) = beside("KITH_TEST_AIRBYTE", "kith-airbyte/bin/python", "source-declarative-manifest") {
        let stream = json!({ "name": "items", "json_schema": {}, "supported_sync_modes": ["full_refresh"] });
        let catalog = json!({ "streams": [{ "stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite" }] });
        let catalog = file("catalog.json", &catalog.to_string());
        let read = ["read", "--manifest-path", &manifest, "--config", &config, "--catalog", &catalog];
        others.push(Reader::of("reference: source-declarative-manifest", Command::new(runner).args(read)));
    }
    if let Some(tap) = beside("KITH_TEST_SINGER", "kith-singer/bin/tap-rest-api-msdk", "tap-rest-api-msdk") {
        let stream =
            json!({ "name": "items", "path": "/items", "primary_keys": ["id"], "records_path": "$.data[*]", "num_inference_records": 10 });
        let settings = json!({ "api_url": base, "next_page_token_path": "$.next", "streams": [stream] });
        let settings = file("tap.json", &settings.to_string());
        others.push(Reader::of("tap-rest-api-msdk", Command::new(tap).args(["--config", &settings])));
    }
    println!("{RECORDS} records of {bytes} bytes\n");
    println!("{:<40} {:>22} {:>8} {:>8} {:>22}", "", "records a CPU second", "CPU s", "MB", "Kith's rate to theirs");
    for reader in std::iter::once(&ours).chain(&others) {
        let (rate, times) = (reader.rate(), ours.rate() / reader.rate());
        println!("{:<40} {rate:>22.0} {:>8.2} {:>8} {times:>22.2}", reader.name, reader.cpu, reader.memory_kb / 1024);
    }
    let of = |reader: &Reader| json!({ "reader": reader.name, "cpu_seconds": reader.cpu, "records_per_cpu_second": reader.rate(), "memory_kb": reader.memory_kb });
    let all: Vec<Value> = std::iter::once(&ours).chain(&others).map(of).collect();
    let result = json!({ "records": RECORDS, "bytes": bytes, "readers": all });
    std::fs::write(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-manifest.json"), result.to_string()).unwrap();
}
