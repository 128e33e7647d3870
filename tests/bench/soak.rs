//! A million activities through a slow service that fails: memory stays flat, the queue is on the disk, and a kill costs seconds.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark prints, over figures that it made itself"
)]
//! The real binary delivers every activity into a service on loopback that takes 20 ms a request, answers one request in a hundred with 429,
//! one with 503, one with 500, and cuts one connection in a hundred after it took the records. In the middle the process is killed. Printed:
//! resident memory by quarter of the run, the longest queue, the time from the kill to the next record taken, and the sums.
//! Writes `target/bench/soak.json`. Run: `cargo bench --bench soak` (`KITH_SOAK_ACTIVITIES`, 1,000,000 by default).

#[path = "project/files.rs"]
mod files;
#[path = "soak/service.rs"]
mod service;

use files::number;
use service::Service;
use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

type Failed = Box<dyn Error>;

/// Known authors; each says as many things as the others.
const AUTHORS: u64 = 10_000;

const CONFIG: &str = r#"
[service]
state = "state"
mapping = "mappings/soak.yaml"
[sources.social]
kind = "file"
path = "activities.ndjson"
[customers.crm]
kind = "csv"
path = "customers.csv"
[targets.helpdesk]
connector = "connectors/service.yaml"
url = "http://127.0.0.1:PORT"
batch = 500
concurrency = 2
[audit]
origin = "kith.example/soak"
"#;

const MAPPING: &str = r#"
kith: 1
mapping: soak
description: Everything that known people say
owner: benchmarks
customers:
  from: crm
  key: customer_id
  fields: { handles: { from: known_handles, clean: network_handle } }
identities:
  fields: { handle: { from: [network, actor.preferredUsername], clean: network_handle } }
policy:
  audience: [public]
  basis: [{ basis: provided, law: "GDPR 6(1)(b)", purpose: service, when: { customer.handles: { has: identity.handle } } }]
  retain: { unlinked: 7d, profiles: 30d, activities: 400d, audit: 7y }
match:
  rules: [{ id: handle-on-file, same: [handle], decide: link, precision: 99 % }]
  decide: { link_from: 98 %, ask_a_person_from: 60 %, ahead_of_next: 20 times }
deliver:
  - { id: said, for: activity, when: { decision: linked }, to: helpdesk, operation: put, fields: { Id: object.id, Customer: customer_id, Body: object.content } }
"#;

const TARGET: &str = r#"
kith: 1
target: service
kind: http
retry: { first: 100ms, longest: 5s }
breaker: { failures: 5, first: 500ms, longest: 5s }
operations:
  put:
    record_key: [Id]
    on_delete: keep
    write: insert_only
    request: { method: POST, path: "/one", key_member: key }
    batch: { path: /many, records: records, results: /results, by: { member: /key, is: idempotency_key }, status: /status, at_most: 500 }
    settle: { look_up: { path: "/known/{Id}" } }
    fields: { Id: { type: text }, Customer: { type: text }, Body: { type: text } }
"#;

fn write(dir: &Path, port: u16, activities: u64) -> std::io::Result<()> {
    for (file, text) in [("config/kith.toml", CONFIG), ("mappings/soak.yaml", MAPPING), ("connectors/service.yaml", TARGET)] {
        let path = dir.join(file);
        std::fs::create_dir_all(path.parent().unwrap_or(dir))?;
        std::fs::write(path, text.replace("PORT", &port.to_string()))?;
    }
    let mut customers = std::io::BufWriter::new(std::fs::File::create(dir.join("customers.csv"))?);
    writeln!(customers, "customer_id,known_handles")?;
    for n in 0..AUTHORS {
        writeln!(customers, "C{n},x:handle{n}")?;
    }
    customers.flush()?;
    let mut out = std::io::BufWriter::new(std::fs::File::create(dir.join("activities.ndjson"))?);
    for n in 0..activities {
        let (who, at) =
            (n % AUTHORS, format!("2026-09-{:02}T{:02}:{:02}:{:02}Z", 1 + n / 86_400 % 28, n / 3_600 % 24, n / 60 % 60, n % 60));
        writeln!(
            out,
            r#"{{"@context":"https://www.w3.org/ns/activitystreams","type":"Create","id":"https://x.example/a/{n}","generator":"x","actor":{{"type":"Person","id":"https://x.example/users/{who}","preferredUsername":"handle{who}","name":"N"}},"published":"{at}","to":["https://www.w3.org/ns/activitystreams#Public"],"object":{{"type":"Note","id":"https://x.example/n/{n}","content":"My order {n} has not arrived yet, and nobody answers my messages","published":"{at}"}}}}"#
        )?;
    }
    out.flush()
}

fn spawn(dir: &Path) -> Result<Child, Failed> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("kith.log"))?;
    Ok(Command::new(env!("CARGO_BIN_EXE_kith"))
        .current_dir(dir)
        .args(["run"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?)
}

/// Resident memory in MB (proc(5), `VmRSS`).
fn resident(child: &Child) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok().map(|kb| kb * 1.024 / 1_000.0)
}

fn status(dir: &Path) -> Result<serde_json::Value, Failed> {
    let output = Command::new(env!("CARGO_BIN_EXE_kith")).current_dir(dir).args(["--quiet", "--format", "json", "status"]).output()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn main() -> Result<(), Failed> {
    let activities = number("KITH_SOAK_ACTIVITIES", 1_000_000);
    let dir = tempfile::tempdir()?;
    let service = Service::start(number("KITH_SOAK_SEED", 1))?;
    write(dir.path(), service.port, activities)?;
    println!("{activities} activities of {AUTHORS} known authors into a service that takes 20 ms a request and fails one in twenty-five");

    let started = Instant::now();
    let mut kith = spawn(dir.path())?;
    let (mut memory, mut queue, mut looked) = (Vec::<(f64, f64)>::new(), 0, Instant::now());
    let mut recovery = None;
    loop {
        std::thread::sleep(Duration::from_millis(250));
        if let Some(megabytes) = resident(&kith) {
            memory.push((started.elapsed().as_secs_f64(), megabytes));
        }
        if kith.try_wait()?.is_some() {
            return Err(format!("kith ended by itself:\n{}", std::fs::read_to_string(dir.path().join("kith.log"))?).into());
        }
        let taken = service.distinct();
        if recovery.is_none() && taken >= activities / 2 {
            kith.kill()?;
            kith.wait()?;
            let (killed, before) = (Instant::now(), service.taken());
            kith = spawn(dir.path())?;
            while service.taken() == before && killed.elapsed() < Duration::from_mins(5) {
                std::thread::sleep(Duration::from_millis(10));
            }
            recovery = Some(killed.elapsed().as_secs_f64());
        }
        if looked.elapsed() > Duration::from_secs(10) {
            looked = Instant::now();
            let now = status(dir.path())?;
            queue = queue.max(now["totals"]["deliveries"]["helpdesk: planned"].as_u64().unwrap_or_default());
            let sums =
                ["received", "delivered", "parked", "in_flight", "conservation_gap"].map(|name| now[name].as_u64().unwrap_or_default());
            println!(
                "  {:>5.0} s  {taken:>9} taken  {sums:?} (received, delivered, parked, in flight, gap)",
                started.elapsed().as_secs_f64()
            );
            if sums[0] == activities && sums[1] + sums[2] == activities && sums[3] == 0 {
                break;
            }
        }
        if started.elapsed() > Duration::from_hours(1) {
            return Err("it does not end".into());
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    // A polite end: SIGTERM by the system's own command.
    Command::new("kill").arg(kith.id().to_string()).status()?;
    kith.wait()?;
    let end = status(dir.path())?;

    let quarter = |at: usize| {
        let (from, to) = (memory.len() * at / 4, memory.len() * (at + 1) / 4);
        let most = memory[from..to].iter().map(|(_, megabytes)| *megabytes).fold(0.0, f64::max);
        most.round()
    };
    let quarters = [0, 1, 2, 3].map(quarter);
    let recovery = recovery.unwrap_or_default();
    println!("\n{:<44}{:>14.0}", "activities", activities as f64);
    println!("{:<44}{:>14.0}", "seconds", seconds);
    println!("{:<44}{:>14.0}", "activities a second, from file to service", activities as f64 / seconds);
    println!("{:<44}{:>14}", "memory at most, MB, by quarter of the run", format!("{quarters:?}"));
    println!("{:<44}{:>14}", "deliveries waiting on disk at most", queue);
    println!("{:<44}{:>14.1}", "seconds from a kill to the next record", recovery);
    println!("{:<44}{:>14}", "requests", service.requests());
    println!("{:<44}{:>14}", "of them failed on purpose", service.failed());
    println!("{:<44}{:>14}", "records taken more than once", service.doubled());
    println!("{:<44}{:>14}", "delivered", end["delivered"]);
    println!("{:<44}{:>14}", "conservation gap", end["conservation_gap"]);
    let report = serde_json::json!({ "activities": activities, "seconds": seconds, "memory_mb_by_quarter": quarters, "queue_on_disk": queue,
        "recovery_seconds": recovery, "requests": service.requests(), "failed": service.failed(), "doubled": service.doubled(),
        "delivered": end["delivered"], "conservation_gap": end["conservation_gap"] });
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    std::fs::create_dir_all(&out)?;
    std::fs::write(out.join("soak.json"), serde_json::to_string_pretty(&report)?)?;
    if service.doubled() > 0 || end["conservation_gap"] != 0 || service.distinct() != activities {
        return Err(format!(
            "{} distinct records of {activities}, {} doubled, gap {}",
            service.distinct(),
            service.doubled(),
            end["conservation_gap"]
        )
        .into());
    }
    Ok(())
}
