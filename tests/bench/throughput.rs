//! Activities a second, durable from file to CRM, with a million customers on the cores that there are.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark prints, over figures that it made itself"
)]
//! The real binary runs twice, each time from nothing: once with the customers alone, once with the activities as well. What the activities
//! add to the run is the steady rate. Beside it, in the same minute on the same disk: plain SQLite inserts of as many rows and bytes as the
//! activities left in the store, with the same durability, a thousand activities' rows a transaction.
//! Prints a table and writes `target/bench/throughput.json`. Run: `cargo bench --bench throughput` (tests/README.md has the variables).

#[path = "project/files.rs"]
mod files;
#[path = "throughput/people.rs"]
mod people;

use files::{copy, number, size};
use people::People;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

type Failed = Box<dyn Error>;

/// Activities of the store whose rows go into one transaction of the plain comparison: the size of Kith's own batches.
const PER_TRANSACTION: u64 = 1_000;

/// The sample's own mapping and connectors, over the generated files.
fn project(dir: &Path, data: &Path, activities: &str) -> Result<(), Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["mappings", "connectors"] {
        copy(&root.join(folder), &dir.join(folder))?;
    }
    std::fs::create_dir_all(dir.join("config"))?;
    let data = data.display();
    let config = format!(
        r#"
[service]
state = "state"
mapping = "mappings/retail.yaml"
[sources.social]
kind = "file"
path = "{data}/{activities}"
[customers.crm]
kind = "csv"
path = "{data}/customers.csv"
[related.crm_orders]
kind = "csv"
path = "{data}/orders.csv"
[targets.crm_db]
connector = "connectors/targets/sqlite.yaml"
path = "crm/crm.db"
[targets.service_desk]
connector = "connectors/targets/ndjson.yaml"
path = "crm/service-desk.ndjson"
[audit]
origin = "kith.example/bench"
"#
    );
    std::fs::write(dir.join("config/kith.toml"), config)?;
    Ok(())
}

/// What the system says about a process while it runs; the last look counts.
#[derive(Default)]
struct Watched {
    /// Processor seconds of all threads.
    cpu: f64,
    /// Processor seconds of the store's writing thread.
    writer: f64,
    /// Bytes that the process gave to the disk.
    written: f64,
}

/// `utime` and `stime` of a `stat` file in seconds (proc(5); 100 ticks a second on Linux).
fn ticks(stat: &str) -> f64 {
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let tick = |at: usize| fields.get(at).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (tick(11) + tick(12)) / 100.0
}

impl Watched {
    fn look(&mut self, pid: u32) {
        let read = |path: String| std::fs::read_to_string(path).ok();
        if let Some(stat) = read(format!("/proc/{pid}/stat")) {
            self.cpu = self.cpu.max(ticks(&stat));
        }
        let io = read(format!("/proc/{pid}/io")).unwrap_or_default();
        if let Some(bytes) = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")) {
            self.written = self.written.max(bytes.trim().parse().unwrap_or(0.0));
        }
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let file = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
            if file("comm").trim() == "kith-store" {
                self.writer = self.writer.max(ticks(&file("stat")));
            }
        }
    }
}

struct Run {
    summary: serde_json::Value,
    watched: Watched,
    tables: BTreeMap<String, Table>,
    state: u64,
}

impl Run {
    fn figure(&self, name: &str) -> f64 {
        self.summary[name].as_f64().unwrap_or(f64::NAN)
    }
}

/// One run of the binary from nothing.
fn run(work: &Path, data: &Path, activities: &str) -> Result<Run, Failed> {
    let dir = tempfile::tempdir_in(work)?;
    project(dir.path(), data, activities)?;
    let out = dir.path().join("summary.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_kith"))
        .args(["--format", "json", "run", "--once"])
        .current_dir(dir.path())
        .stdout(std::fs::File::create(&out)?)
        .stderr(Stdio::null())
        .spawn()?;
    let mut watched = Watched::default();
    let status = loop {
        watched.look(child.id());
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let text = std::fs::read_to_string(&out)?;
    if !status.success() {
        return Err(format!("kith ended with {status}: {text}").into());
    }
    let summary: serde_json::Value = serde_json::from_str(text.lines().last().unwrap_or_default())?;
    if summary["conservation_gap"] != 0 || summary["in_flight"].as_u64() > summary["received"].as_u64() {
        return Err(format!("the sum does not hold: {summary}").into());
    }
    let tables = tables(&dir.path().join("state/kith.db"))?;
    Ok(Run { summary, watched, tables, state: size(&dir.path().join("state"))? })
}

/// What a table or an index holds.
#[derive(Clone, Copy, Default)]
struct Table {
    index: bool,
    rows: f64,
    payload: f64,
    bytes: f64,
}

/// Every table and index, from the `dbstat` table of SQLite.
fn tables(path: &Path) -> Result<BTreeMap<String, Table>, Failed> {
    let db = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut statement = db.prepare(
        "SELECT d.name, s.type = 'index', d.payload, d.pgsize FROM dbstat d JOIN sqlite_schema s ON s.name = d.name WHERE d.aggregate = TRUE",
    )?;
    let found = statement.query_map((), |row| {
        Ok((row.get::<_, String>(0)?, Table { index: row.get(1)?, rows: 0.0, payload: row.get(2)?, bytes: row.get(3)? }))
    })?;
    let mut tables: BTreeMap<String, Table> = found.collect::<Result<_, _>>()?;
    for (name, table) in &mut tables {
        if !table.index {
            table.rows = db.query_row(&format!("SELECT count(*) FROM \"{name}\""), (), |row| row.get::<_, i64>(0))? as f64;
        }
    }
    Ok(tables)
}

/// What the activities left: the second run's tables less the first's.
fn left(with: &Run, without: &Run) -> BTreeMap<String, Table> {
    let less = |name: &String, table: &Table| {
        let before = without.tables.get(name).copied().unwrap_or_default();
        let (rows, payload, bytes) = (table.rows - before.rows, table.payload - before.payload, table.bytes - before.bytes);
        (name.clone(), Table { index: table.index, rows, payload, bytes })
    };
    with.tables.iter().map(|(name, table)| less(name, table)).filter(|(_, table)| table.bytes > 0.0).collect()
}

/// Seconds of plain inserts of these rows, WAL and full sync, as the store has them; no index, no hash, no seal, no reading.
fn plain(work: &Path, left: &BTreeMap<String, Table>, transactions: u64) -> Result<f64, Failed> {
    let dir = tempfile::tempdir_in(work)?;
    let mut db = rusqlite::Connection::open(dir.path().join("plain.db"))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    let kinds: Vec<(String, u64, Vec<u8>)> = left
        .iter()
        .filter(|(_, table)| !table.index && table.rows >= 1.0)
        .map(|(name, table)| (name.clone(), table.rows as u64, vec![7; (table.payload / table.rows) as usize]))
        .collect();
    for (name, ..) in &kinds {
        db.execute_batch(&format!("CREATE TABLE \"{name}\" (id INTEGER PRIMARY KEY, body BLOB)"))?;
    }
    let started = Instant::now();
    for turn in 0..transactions {
        let tx = db.transaction()?;
        for (name, rows, body) in &kinds {
            let mut insert = tx.prepare_cached(&format!("INSERT INTO \"{name}\" (body) VALUES (?1)"))?;
            for _ in rows * turn / transactions..rows * (turn + 1) / transactions {
                insert.execute([body])?;
            }
        }
        tx.commit()?;
    }
    Ok(started.elapsed().as_secs_f64())
}

fn main() -> Result<(), Failed> {
    let (customers, activities) = (number("KITH_BENCH_CUSTOMERS", 1_000_000), number("KITH_BENCH_ACTIVITIES", 100_000));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bench = root.join("target/bench");
    std::fs::create_dir_all(&bench)?;
    let work = tempfile::tempdir_in(&bench)?;
    let data = work.path().join("data");
    std::fs::create_dir_all(&data)?;
    let people = People::from_sample(&root.join("tests/data/retail/customers.csv.gz"), number("KITH_BENCH_SEED", 42), customers)?;
    people.write(&data, activities)?;

    let without = run(work.path(), &data, "none.ndjson")?;
    let with = run(work.path(), &data, "activities.ndjson")?;
    let left = left(&with, &without);
    let received = with.figure("received");
    let transactions = (received as u64).div_ceil(PER_TRANSACTION).max(1);
    let plain = plain(work.path(), &left, transactions)?;

    let whole = with.figure("seconds");
    let added = whole - without.figure("seconds");
    let sum = |of: fn(&Table) -> f64, index: bool| left.values().filter(|t| t.index == index).map(of).sum::<f64>();
    let (rows, payload, bytes) = (sum(|t| t.rows, false), sum(|t| t.payload, false), sum(|t| t.bytes, false) + sum(|t| t.bytes, true));
    let steps = &with.summary["this_run"]["step_seconds"];
    let outcome = |name: &str| with.summary["decisions"][name].as_f64().unwrap_or(0.0);
    let identities: f64 = ["linked", "not_linked", "review", "not_permitted", "undetermined"].into_iter().map(outcome).sum();

    println!(
        "{customers} customers, {received} activities of {identities} identities, {:.0} % linked\n",
        100.0 * outcome("linked") / identities
    );
    println!("| figure | value |\n|---|---|");
    println!("| whole run, from nothing | {whole:.1} s |");
    println!("| activities a second, whole run | {:.0} |", received / whole);
    println!("| of it, the customers alone | {:.1} s |", without.figure("seconds"));
    println!("| activities a second, what they add to the run | {:.0} |", received / added);
    println!("| peak memory | {:.0} MB |", with.figure("peak_rss_bytes") / 1e6);
    println!("| processor, all threads | {:.1} s, {:.2} cores |", with.watched.cpu, with.watched.cpu / whole);
    println!("| processor for one activity | {:.0} µs |", 1e6 * (with.watched.cpu - without.watched.cpu) / received);
    println!("| of all, the store's writing thread | {:.1} s |", with.watched.writer);
    println!("| state on disk | {:.0} MB |", with.state as f64 / 1e6);
    println!("| given to the disk for one activity | {:.0} bytes |", (with.watched.written - without.watched.written) / received);
    println!("| rows in the store for one activity | {:.1} |", rows / received);
    println!("| bytes in these rows; on its pages, indexes too | {:.0}; {:.0} |", payload / received, bytes / received);
    println!("| plain inserts of these rows, {transactions} transactions | {plain:.2} s, {:.0} rows/s |", rows / plain);
    println!("| the activities against the plain inserts | {:.1} times as long |", added / plain);
    println!("\n| step | seconds | share of the run |\n|---|---|---|");
    for (step, seconds) in steps.as_object().into_iter().flatten() {
        let seconds = seconds.as_f64().unwrap_or(f64::NAN);
        println!("| {step} | {seconds:.2} | {:.0} % |", 100.0 * seconds / whole);
    }
    println!("\n| one activity leaves | rows | bytes on pages |\n|---|---|---|");
    let mut largest: Vec<_> = left.iter().filter(|(_, t)| t.bytes >= received).collect();
    largest.sort_by(|a, b| b.1.bytes.total_cmp(&a.1.bytes));
    for (name, table) in &largest {
        let rows = if table.index { "index".to_owned() } else { format!("{:.2}", table.rows / received) };
        println!("| {name} | {rows} | {:.0} |", table.bytes / received);
    }
    let shown =
        |(name, t): (&String, &Table)| (name.clone(), serde_json::json!({ "rows": t.rows, "payload": t.payload, "bytes": t.bytes }));
    let json = serde_json::json!({ "customers": customers, "received": received, "identities": identities, "linked": outcome("linked"),
        "whole_seconds": whole, "customers_seconds": without.figure("seconds"), "activities_a_second_whole": received / whole,
        "activities_a_second_added": received / added, "peak_rss_bytes": with.figure("peak_rss_bytes"), "cpu_seconds": with.watched.cpu,
        "customers_cpu_seconds": without.watched.cpu, "writer_cpu_seconds": with.watched.writer, "state_bytes": with.state, "disk_bytes": with.watched.written - without.watched.written,
        "step_seconds": steps, "rows": rows, "row_bytes": payload, "page_bytes": bytes, "plain_seconds": plain,
        "against_plain": added / plain, "tables": left.iter().map(shown).collect::<serde_json::Map<_, _>>() });
    writeln!(std::fs::File::create(bench.join("throughput.json"))?, "{json:#}")?;
    Ok(())
}
