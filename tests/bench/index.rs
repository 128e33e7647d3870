//! The index of customers: seconds and memory to fill it, and what one identity costs against it, as customers and skew grow.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark prints, over figures that it made itself"
)]
//! Each size runs in a process of its own, so that its peak memory is its own. Customers and profiles are drawn from the sample
//! (`throughput/people.rs`), the mapping and its model are the shipped ones. Filling: one thread reads CSV, one cleans and makes keys, one
//! brings in, as the service does it. Deciding: one thread, one identity after the other, each timed alone, cleaning included.
//! Prints a table and writes `target/bench/index.json`. Run: `cargo bench --bench index` (tests/README.md has the variables).

#[path = "project/files.rs"]
mod files;
#[path = "throughput/people.rs"]
mod people;

use files::number;
use kith::declare::mapping::{self, Rulebook};
use kith::diagnose::SourceFile;
use kith::model::{Customer, CustomerId, Digest, Network, Outcome, Personal, Value};
use kith::normalize::{clean_identity, lookups};
use kith::resolve::{CustomerView, Digests, Index, Permit, decide, reach};
use people::People;
use serde_json::{Value as Json, json};
use std::collections::HashSet;
use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Instant;

type Failed = Box<dyn Error>;

/// Identities that are decided about.
const IDENTITIES: usize = 20_000;

/// Rows handed on at once.
const BATCH: usize = 2_048;

fn rulebook() -> Result<Rulebook, Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let source = |path: &str| -> Result<Arc<SourceFile>, String> {
        let text = std::fs::read_to_string(root.join(path)).map_err(|error| error.to_string())?;
        Ok(Arc::new(SourceFile { name: path.into(), text }))
    };
    mapping::read(&source("retail.yaml")?, &source, None).value.ok_or_else(|| "the shipped mapping is wrong".into())
}

/// A figure of `/proc/self/status` in bytes (proc(5): kB of 1,024 bytes).
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(f64::NAN) * 1024.0
}

/// Customers from the CSV file into an index.
fn fill(rules: &Rulebook, file: &Path) -> Result<Index, Failed> {
    let index = Index::new(rules.customers.clone(), rules.identities.clone(), rules.matching.clone());
    let preparer = index.preparer();
    let mut index = index.filling();
    let mut reader = csv::Reader::from_path(file)?;
    let header = reader.headers()?.clone();
    let position = |name: &str| header.iter().position(|h| h == name);
    let key = position(&rules.customers.key).ok_or("no key")?;
    let columns: Vec<Option<usize>> = rules.customers.columns.iter().map(|c| position(c)).collect();
    std::thread::scope(|scope| {
        let (send, rows) = mpsc::sync_channel::<Vec<Customer>>(4);
        scope.spawn(move || {
            let mut batch = Vec::with_capacity(BATCH);
            for row in reader.records().map_while(Result::ok) {
                let raw = columns.iter().map(|at| at.and_then(|at| row.get(at)).map_or(Value::Missing, Value::text)).collect();
                batch.push(Customer { id: CustomerId::from(&row[key]), merged_into: None, raw: Personal::new(raw) });
                if batch.len() == BATCH && send.send(std::mem::take(&mut batch)).is_err() {
                    return;
                }
            }
            drop(send.send(batch));
        });
        let (send, prepared) = mpsc::sync_channel(4);
        scope.spawn(move || {
            for batch in rows {
                if send.send(batch.iter().map(|customer| preparer.prepare(customer)).collect::<Vec<_>>()).is_err() {
                    return;
                }
            }
        });
        for customer in prepared.into_iter().flatten() {
            index.insert(customer);
        }
    });
    Ok(index.done())
}

/// Profiles of the activities, each person once: network and raw fields.
type Profile = (Network, Vec<(Arc<str>, Value)>);

fn profiles(file: &Path) -> Result<Vec<Profile>, Failed> {
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    for line in std::io::BufReader::new(std::fs::File::open(file)?).lines() {
        let json: Json = serde_json::from_str(&line?)?;
        let (Some(id), Some(network)) = (json["actor"]["id"].as_str(), json["generator"].as_str()) else { continue };
        if !seen.insert(id.to_owned()) || found.len() == IDENTITIES {
            continue;
        }
        let text =
            |path: &str| json.pointer(&format!("/{}", path.replace('.', "/"))).and_then(Json::as_str).map_or(Value::Missing, Value::text);
        let fields = ["actor.name", "actor.summary", "actor.location.name", "actor.preferredUsername", "actor.url"];
        found.push((network.parse().map_err(|_source| "unknown network")?, fields.map(|path| (Arc::from(path), text(path))).to_vec()));
    }
    Ok(found)
}

/// The value below which this share of the sorted ones lies.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted.get(((sorted.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// One size, in a process of its own: prints JSON.
fn one(dir: &Path) -> Result<(), Failed> {
    let rules = rulebook()?;
    let (matching, identities) = (rules.matching.clone(), rules.identities.clone());
    let before = memory("VmRSS");
    let started = Instant::now();
    let mut index = fill(&rules, &dir.join("customers.csv"))?;
    let filled = started.elapsed().as_secs_f64();
    let (peak, after) = (memory("VmHWM"), memory("VmRSS"));
    let digests =
        Digests { mapping: Digest([0; 32]), model: matching.model.as_ref().map_or(Digest([0; 32]), |m| m.digest), lookups: lookups() };
    let nobody = |_: &CustomerView<'_>| None;
    let permit = Permit { anyone: Some("public_profile".into()), customer: &nobody };
    let profiles = profiles(&dir.join("activities.ndjson"))?;
    let (mut micros, mut pairs, mut linked, mut cut) = (Vec::new(), Vec::new(), 0_u64, 0_u64);
    let mut weights: u64 = 0;
    for (network, raw) in &profiles {
        let started = Instant::now();
        let cleaned = clean_identity(&identities, *network, raw);
        let decision = decide(&index, &cleaned, &matching, digests, &permit);
        micros.push(started.elapsed().as_secs_f64() * 1e6);
        linked += u64::from(decision.outcome == Outcome::Linked);
        cut += u64::from(decision.evidence.as_ref().is_some_and(|e| !e.cuts.is_empty()));
        // The same figure before and after a change of the index says that no decision changed by a bit.
        weights = weights.rotate_left(7) ^ decision.match_weight.to_bits() ^ decision.probability.to_bits();
        pairs.push(reach(&index, &cleaned, &matching, None).iter().map(|r| r.pairs).sum::<u64>() as f64);
    }
    micros.sort_by(f64::total_cmp);
    pairs.sort_by(f64::total_cmp);
    // A customer leaves and comes back: one of a thousand.
    let mut reader = csv::Reader::from_path(dir.join("customers.csv"))?;
    let header = reader.headers()?.clone();
    let columns: Vec<Option<usize>> = rules.customers.columns.iter().map(|c| header.iter().position(|h| h == &**c)).collect();
    let mut changes = Vec::new();
    for row in reader.records().map_while(Result::ok).step_by(1_000) {
        let raw = columns.iter().map(|at| at.and_then(|at| row.get(at)).map_or(Value::Missing, Value::text)).collect();
        let customer = Customer { id: CustomerId::from(&row[0]), merged_into: None, raw: Personal::new(raw) };
        let started = Instant::now();
        index.retire(&customer.id);
        let prepared = index.prepare(&customer);
        index.insert(prepared);
        changes.push(started.elapsed().as_secs_f64() * 1e6);
    }
    changes.sort_by(f64::total_cmp);
    let found = json!({
        "customers": index.len(), "seconds": filled, "rss_bytes": after - before, "peak_rss_bytes": peak, "identities": profiles.len(),
        "median_us": quantile(&micros, 0.5), "p99_us": quantile(&micros, 0.99), "worst_us": quantile(&micros, 1.0),
        "mean_us": micros.iter().sum::<f64>() / micros.len() as f64, "mean_pairs": pairs.iter().sum::<f64>() / pairs.len() as f64,
        "p99_pairs": quantile(&pairs, 0.99), "most_pairs": quantile(&pairs, 1.0), "linked": linked, "identities_with_a_cut_block": cut,
        "change_median_us": quantile(&changes, 0.5), "change_p99_us": quantile(&changes, 0.99), "decisions": format!("{weights:016x}"),
    });
    println!("{found}");
    Ok(())
}

/// Gives so many customers one family name: the block that must not stall a run.
fn skew(dir: &Path, people: u64) -> Result<(), Failed> {
    let text = std::fs::read_to_string(dir.join("customers.csv"))?;
    let mut out = std::io::BufWriter::new(std::fs::File::create(dir.join("customers.csv"))?);
    for (at, line) in text.lines().enumerate() {
        let mut fields: Vec<&str> = line.splitn(3, ',').collect();
        let renamed = fields.get(1).and_then(|name| name.split_once(' ')).map(|(given, _)| format!("{given} Featherstonehaugh"));
        if (1..=people).contains(&(at as u64))
            && !line.contains('"')
            && let (Some(name), Some(slot)) = (&renamed, fields.get_mut(1))
        {
            *slot = name;
        }
        writeln!(out, "{}", fields.join(","))?;
    }
    out.flush()?;
    // Every tenth profile shows that name too.
    let text = std::fs::read_to_string(dir.join("activities.ndjson"))?;
    let mut out = std::io::BufWriter::new(std::fs::File::create(dir.join("activities.ndjson"))?);
    for (at, line) in text.lines().enumerate() {
        let mut json: Json = serde_json::from_str(line)?;
        if at % 10 == 0
            && let Some(given) = json["actor"]["name"].as_str().and_then(|name| name.split(' ').next()).map(str::to_owned)
        {
            json["actor"]["name"] = format!("{given} Featherstonehaugh").into();
        }
        writeln!(out, "{json}")?;
    }
    Ok(out.flush()?)
}

fn main() -> Result<(), Failed> {
    // As the service has it.
    kith::cli::keep_pages_small();
    if let Some(dir) = std::env::var_os("KITH_BENCH_INDEX_DIR") {
        return one(Path::new(&dir));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let most = number("KITH_BENCH_CUSTOMERS", 1_000_000);
    let seed = number("KITH_BENCH_SEED", 42);
    let mut runs = Vec::new();
    let sizes = [(most / 100, 0), (most / 10, 0), (most, 0), (most, most / 10)];
    println!(
        "| customers | of one family name | filled in | memory | peak | median | p99 | worst | pairs, mean | p99 | a change, median |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for (customers, same_name) in sizes {
        let dir = tempfile::tempdir_in(root.join("target"))?;
        let people = People::from_sample(&root.join("tests/data/retail/customers.csv.gz"), seed, customers)?;
        people.write(dir.path(), IDENTITIES as u64 * 2)?;
        if same_name > 0 {
            skew(dir.path(), same_name)?;
        }
        let output = Command::new(std::env::current_exe()?).env("KITH_BENCH_INDEX_DIR", dir.path()).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let mut run: Json = serde_json::from_slice(&output.stdout)?;
        let figure = |name: &str| run[name].as_f64().unwrap_or(f64::NAN);
        println!(
            "| {customers} | {same_name} | {:.2} s | {:.0} MB | {:.0} MB | {:.0} µs | {:.0} µs | {:.0} µs | {:.0} | {:.0} | {:.1} µs |",
            figure("seconds"),
            figure("rss_bytes") / 1e6,
            figure("peak_rss_bytes") / 1e6,
            figure("median_us"),
            figure("p99_us"),
            figure("worst_us"),
            figure("mean_pairs"),
            figure("p99_pairs"),
            figure("change_median_us"),
        );
        run["of_one_family_name"] = same_name.into();
        runs.push(run);
    }
    let out = root.join("target/bench");
    std::fs::create_dir_all(&out)?;
    writeln!(std::fs::File::create(out.join("index.json"))?, "{:#}", json!({ "seed": seed, "runs": runs }))?;
    Ok(())
}
