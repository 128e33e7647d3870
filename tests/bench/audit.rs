//! The audit log: durable entries a second beside plain fsyncs, verified entries a second beside plain SHA-256, search in a large log.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a benchmark prints, over figures that it made itself"
)]
//! *Appended*: entries as a run makes them, encoded before, in batches of 4,096: the rows of a batch committed to SQLite with full sync (the
//! sequenced truth), while tiles, checkpoint and index of the batches before are written, as the service does it; the time ends when the last
//! checkpoint is durable. After it, fsyncs of a file of as many bytes, batch by batch. *Verified*: `verify` over
//! the folder alone, which reads, hashes and decodes every entry; beside it one SHA-256 over the same bytes, and one a leaf. *Search*: a keyed
//! hash with 20 entries among all, by the index, the median of 50. `KITH_BENCH_ENTRIES` (1,000,000) is the size; 10,000,000 need 21 GB under
//! `target/`. Prints a table and writes `target/bench/audit.json`. Run: `cargo bench --bench audit`.

#[path = "project/files.rs"]
mod files;

use files::number;
use kith::audit::{
    Correlation, CorrelationId, Entry, EntryOutcome, Event, HashKey, LogKey, MasterKey, Subject, SubjectHash, Unpredictable, Why,
};
use kith::model::Timestamp;
use kith::store::Store as _;
use kith::store::log::{SEGMENT, Term, Terms, TileLog, verify};
use kith::store::sqlite::{Options, SqliteStore};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc;
use std::time::Instant;

type Failed = Box<dyn Error>;

const BATCH: usize = 4_096;

/// One person in 50,000 entries; the one that is searched has 20 in all.
fn entry(n: u64, wanted: SubjectHash, every: u64, random: &mut Unpredictable) -> Vec<u8> {
    let identity = if n % every == every / 2 { wanted } else { SubjectHash(random.bytes()) };
    let time = Timestamp::from_microsecond(1_770_000_000_000_000 + n as i64).unwrap_or_default();
    let event = Event::WriteReceipt {
        attempt: 1,
        entry: "interaction".into(),
        operation: "upsert_interaction".into(),
        record: SubjectHash(random.bytes()),
        target: "crm_db".into(),
    };
    let entry = Entry {
        subject: Subject { identity: Some(identity), customer: Some(SubjectHash(random.bytes())) },
        why: Why { rule: Some("same_email".into()), mapping: Some(kith::model::Digest([7; 32])), ..Why::default() },
        outcome: Some(EntryOutcome::Inserted),
        correlation: Correlation {
            activity: Some(CorrelationId(random.bytes())),
            decision: Some(CorrelationId(random.bytes())),
            delivery: Some(CorrelationId(random.bytes())),
            receipt: None,
        },
        ..Entry::new(time, event)
    };
    entry.encode().map(|encoded| encoded.bytes).unwrap_or_default()
}

fn main() -> Result<(), Failed> {
    let entries = number("KITH_BENCH_ENTRIES", 1_000_000);
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/audit");
    drop(std::fs::remove_dir_all(&home));
    std::fs::create_dir_all(&home)?;
    let wanted = SubjectHash([9; 16]);
    let every = (entries / 20).max(1);
    let key = LogKey::new("kith.example/bench", &[7; 32])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let state = home.join("state");
    let store = runtime
        .block_on(async { SqliteStore::create_or_open(&state, MasterKey::new([1; 32]), HashKey::new([2; 32]), Options::from_system()?) })?;
    let mut log = TileLog::open(&state.join("log"), key.clone())?;
    let terms = Terms::new(&state);
    let mut random = Unpredictable::new([3; 32]);
    let starts: Vec<u64> = (0..entries).step_by(BATCH).collect();
    let batches: Vec<Vec<Vec<u8>>> =
        starts.iter().map(|at| (*at..entries.min(at + BATCH as u64)).map(|n| entry(n, wanted, every, &mut random)).collect()).collect();
    let bytes: u64 = batches.iter().flatten().map(|leaf| leaf.len() as u64).sum();
    let mut plain = File::create(home.join("plain"))?;
    let start = Instant::now();
    for batch in &batches {
        for leaf in batch {
            plain.write_all(leaf)?;
        }
        plain.sync_all()?;
    }
    let sync = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let index = &terms;
    let mut follow = |sequenced: mpsc::Receiver<(u64, Vec<Vec<u8>>)>| -> Result<(), Failed> {
        let mut building = index.begin(0);
        for (at, batch) in sequenced {
            log.integrate(at, &batch)?;
            for leaf in &batch {
                building.add(leaf);
                if building.count() == SEGMENT {
                    std::mem::replace(&mut building, index.begin((at + SEGMENT) / SEGMENT)).finish()?;
                }
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| -> Result<(), Failed> {
        // Integration may fall behind by as much as it takes in one go.
        let (send, sequenced) = mpsc::sync_channel(2);
        let following = scope.spawn(move || follow(sequenced).map_err(|error| error.to_string()));
        for (at, batch) in starts.iter().zip(batches) {
            runtime.block_on(store.append(batch.clone()))?;
            send.send((*at, batch))?;
        }
        drop(send);
        following.join().map_err(|_panicked| "integration ended")??;
        Ok(())
    })?;
    let appended = start.elapsed().as_secs_f64();
    let rows: Vec<u8> = std::fs::read(home.join("plain"))?;
    let start = Instant::now();
    std::hint::black_box(Sha256::digest(&rows));
    let one = start.elapsed().as_secs_f64();
    let mean = (bytes / entries) as usize;
    let start = Instant::now();
    for leaf in rows.chunks(mean) {
        std::hint::black_box(Sha256::digest(leaf));
    }
    let leaves = start.elapsed().as_secs_f64();
    drop(rows);
    let start = Instant::now();
    let verified = verify(&state.join("log"), &key.verifier(), &[], None)?;
    let verifying = start.elapsed().as_secs_f64();
    let term = Term::of_hash(&wanted.to_string()).ok_or("a term")?;
    let mut times = Vec::new();
    let mut hits = 0;
    for _ in 0..50 {
        let start = Instant::now();
        hits = 0;
        for segment in 0..entries / SEGMENT {
            let last = || runtime.block_on(store.leaves(segment * SEGMENT + SEGMENT - 1, 1)).ok()?.pop();
            for number in terms.find(segment, term, last)?.unwrap_or_default() {
                hits += runtime.block_on(store.leaves(number, 1))?.len();
            }
        }
        times.push(start.elapsed().as_secs_f64() * 1_000.0);
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let rate = |seconds: f64| entries as f64 / seconds;
    println!("{entries} entries of {mean} bytes on average, batches of {BATCH}");
    println!("appended, durable in the store and under a checkpoint   {:>12.0} a second", rate(appended));
    println!("plain writes and fsyncs of as many bytes                {:>12.0} a second", rate(sync));
    println!("verified, every entry decoded                           {:>12.0} a second", rate(verifying));
    println!("plain SHA-256, one an entry                             {:>12.0} a second", rate(leaves));
    println!("plain SHA-256 over all bytes                            {:>12.0} a second", rate(one));
    println!("search for one hash ({hits} entries), median             {median:>12.1} ms");
    let figures = json!({ "entries": entries, "bytes_each": mean, "appended_per_second": rate(appended), "fsync_per_second": rate(sync),
        "verified_per_second": rate(verifying), "sha256_leaves_per_second": rate(leaves), "sha256_stream_per_second": rate(one),
        "search_ms": median, "hits": hits, "holds": verified.checkpoint.size == entries });
    std::fs::write(home.join("../audit.json"), figures.to_string())?;
    Ok(())
}
