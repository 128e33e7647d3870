//! The whole main job on the sample, timed by step, with memory and size on disk, beside a physical limit: plain SQLite inserts of the same
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark prints, over figures that it made itself"
)]
//! number of rows with the same durability. Prints a table and writes JSON (`target/bench-retail.json`). Run: `cargo bench --bench retail`.

#[path = "project/files.rs"]
mod files;

use files::{copy, size};
use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// The limit: so many rows of 600 bytes, committed by the thousand, WAL and full sync, as the store does it.
fn plain_rows_per_second(dir: &Path, rows: u64) -> Result<f64, Box<dyn Error>> {
    let mut db = rusqlite::Connection::open(dir.join("plain.db"))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch("CREATE TABLE plain (id INTEGER PRIMARY KEY, body BLOB)")?;
    let body = vec![7_u8; 600];
    let started = Instant::now();
    let mut left = rows;
    while left > 0 {
        let tx = db.transaction()?;
        for _ in 0..left.min(1_000) {
            tx.prepare_cached("INSERT INTO plain (body) VALUES (?1)")?.execute([&body])?;
        }
        tx.commit()?;
        left = left.saturating_sub(1_000);
    }
    Ok(rows as f64 / started.elapsed().as_secs_f64())
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rounds: usize = std::env::var("KITH_BENCH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let mut runs = Vec::new();
    let mut disk = (0, 0);
    let mut limit = 0.0;
    for _ in 0..rounds {
        let dir = tempfile::tempdir()?;
        for folder in ["mappings", "connectors", "config", "tests/data/retail"] {
            copy(&root.join(folder), &dir.path().join(folder))?;
        }
        let output =
            Command::new(env!("CARGO_BIN_EXE_kith")).args(["--format", "json", "run", "--once"]).current_dir(dir.path()).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let text = String::from_utf8(output.stdout)?;
        let run: serde_json::Value = serde_json::from_str(text.lines().last().unwrap_or_default())?;
        let number = |name: &str| run[name].as_f64().unwrap_or(f64::NAN);
        let received = number("received");
        limit = plain_rows_per_second(dir.path(), number("log_entries") as u64)?;
        disk = (size(&dir.path().join("state"))?, size(&dir.path().join("crm"))?);
        runs.push((number("seconds"), number("peak_rss_bytes"), received, run));
    }
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (seconds, rss, received, run) = &runs[runs.len() / 2];
    let entries = run["log_entries"].as_f64().unwrap_or(f64::NAN);
    println!("median of {rounds} runs: 100,000 customers, {received} activities\n");
    println!("| figure | value |\n|---|---|");
    println!("| whole run | {seconds:.2} s (best {:.2}, worst {:.2}) |", runs[0].0, runs[runs.len() - 1].0);
    println!("| peak memory | {:.0} MB |", rss / 1e6);
    println!("| activities a second, durable, end to end | {:.0} |", received / seconds);
    println!("| audit entries a second | {:.0} |", entries / seconds);
    println!("| plain SQLite, as many 600-byte rows, same durability | {limit:.0} rows/s |");
    println!("| the whole run against plain inserts of its entries | {:.1} times as long |", seconds / (entries / limit));
    println!("| state on disk | {:.0} MB | \n| CRM on disk | {:.0} MB |", disk.0 as f64 / 1e6, disk.1 as f64 / 1e6);
    println!("\n| step | seconds |\n|---|---|");
    for (step, seconds) in run["this_run"]["step_seconds"].as_object().into_iter().flatten() {
        println!("| {step} | {:.2} |", seconds.as_f64().unwrap_or(f64::NAN));
    }
    let out = root.join("target");
    std::fs::create_dir_all(&out)?;
    let json = serde_json::json!({ "rounds": rounds, "median_seconds": seconds, "peak_rss_bytes": rss, "received": received, "log_entries": entries,
        "plain_rows_per_second": limit, "state_bytes": disk.0, "crm_bytes": disk.1, "step_seconds": run["this_run"]["step_seconds"] });
    writeln!(std::fs::File::create(out.join("bench-retail.json"))?, "{json:#}")?;
    Ok(())
}
