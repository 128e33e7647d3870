//! How long a steward waits for the first page of 50,000 accounts that wait for a person.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, over figures that it made itself"
)]
//! The real binary beside a running service, as a person at a terminal: the start of the process is in the figures. Beside it the same list where 500
//! wait, the start of the program alone, and plain SQLite counting the same rows, all in turns. Prints a table and writes `target/bench/review.json`.
//! Run: `cargo bench --bench review`.

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

type Failed = Box<dyn Error>;

const ROUNDS: usize = 50;

/// Ends the service with the benchmark, whatever happens.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn kith(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kith"));
    command.current_dir(dir).args(args).stdin(Stdio::null());
    command
}

fn done(command: &mut Command) -> Result<String, Failed> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stderr)?);
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
}

/// The sample project after its run, with as many more that wait as the script makes; served.
fn served(dir: &Path, more: Option<&str>) -> Result<Service, Failed> {
    done(&mut kith(dir, &["init", "."]))?;
    done(&mut kith(dir, &["--quiet", "run", "--once"]))?;
    if let Some(more) = more {
        rusqlite::Connection::open(dir.join("state/kith.db"))?.execute_batch(more)?;
    }
    let service = Service(kith(dir, &["--quiet", "run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    let started = Instant::now();
    while done(&mut kith(dir, &["review", "list", "--limit", "1"])).is_err() {
        if started.elapsed() > Duration::from_mins(2) {
            return Err("the service does not answer".into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(service)
}

fn timed(times: &mut Vec<Duration>, what: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let started = Instant::now();
    what()?;
    times.push(started.elapsed());
    Ok(())
}

fn main() -> Result<(), Failed> {
    let (few, many) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let _few = served(few.path(), None)?;
    let _many = served(many.path(), Some(include_str!("../support/waiting_cases.sql")))?;
    let list = ["review", "list", "--limit", "100"];
    let [mut first, mut same, mut start, mut plain] = [const { Vec::new() }; 4];
    let store = rusqlite::Connection::open(many.path().join("state/kith.db"))?;
    let mut said = [String::new(), String::new()];
    for _ in 0..ROUNDS {
        timed(&mut first, || done(&mut kith(many.path(), &list)).map(|told| said[0] = told))?;
        timed(&mut same, || done(&mut kith(few.path(), &list)).map(|told| said[1] = told))?;
        timed(&mut start, || done(&mut kith(many.path(), &["--version"])).map(drop))?;
        timed(&mut plain, || {
            let sql = "SELECT count(*), max(probability) FROM decision WHERE outcome = 2 AND current = 1";
            Ok(store.query_row(sql, [], |_| Ok(()))?)
        })?;
    }
    let mut rows = serde_json::Map::new();
    println!("{:<44} {:>9} {:>9} {:>9}", "milliseconds", "median", "p90", "worst");
    for (name, times) in [
        ("the first hundred of 50,000 and the sample's", &mut first),
        ("the first hundred of the sample's", &mut same),
        ("the start of the program alone", &mut start),
        ("SQLite counts the same rows", &mut plain),
    ] {
        times.sort_unstable();
        let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1_000.0;
        println!("{name:<44} {:>9.1} {:>9.1} {:>9.1}", at(50), at(90), at(100));
        rows.insert(name.to_owned(), serde_json::json!({ "median_ms": at(50), "p90_ms": at(90), "worst_ms": at(100) }));
    }
    println!("{} | {}", said[0].trim(), said[1].trim());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("review.json"), serde_json::Value::Object(rows).to_string())?;
    Ok(())
}
