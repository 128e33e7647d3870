//! SIGKILL at random moments, run again: the CRM's rows, the decisions and the sums are those of a run that nobody disturbed (design §11).

use crate::support::{Project, slice};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A small generator of moments, seeded, so that a failing round can be run again (splitmix64).
struct Moments(u64);

impl Moments {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}

/// Everything that must be equal after kills.
#[derive(PartialEq, Debug)]
struct Outcome {
    profiles: Vec<String>,
    interactions: Vec<String>,
    leads: Vec<String>,
    service_desk: Vec<String>,
    /// Identity → outcome, customer, weight and evidence digest.
    decisions: Vec<String>,
    sums: Value,
}

fn entries(project: &Project) -> Vec<Value> {
    let text = project.kith(&["--format", "json", "audit", "search", "--limit", "1000000"]).ok().stdout;
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn outcome(project: &Project) -> Outcome {
    let run = project.run_once();
    let entries = entries(project);
    let mut decisions: Vec<String> = entries
        .iter()
        .map(|e| &e["entry"])
        .filter(|e| e["kind"] == "decision")
        .map(|e| format!("{} {} {} {}", e["subject"]["identity"], e["outcome"], e["what"]["match_weight"], e["why"]["evidence"]))
        .collect();
    decisions.sort();
    let desk = std::fs::read_to_string(project.path("crm/service-desk.ndjson")).unwrap_or_default();
    let mut service_desk: Vec<String> = desk.lines().map(str::to_owned).collect();
    service_desk.sort();
    let sums = ["received", "duplicates", "decisions", "delivered", "parked", "dropped", "erased", "in_flight", "conservation_gap"];
    Outcome {
        profiles: project.crm("SELECT * FROM SocialProfile"),
        interactions: project.crm("SELECT * FROM SocialInteraction"),
        leads: project.crm("SELECT * FROM SocialLead"),
        service_desk,
        decisions,
        sums: sums.iter().map(|name| ((*name).to_owned(), run[*name].clone())).collect(),
    }
}

/// Each delivery has at least one intent and exactly one receipt.
fn intents_and_receipts(entries: &[Value]) {
    let mut intents: BTreeMap<String, u32> = BTreeMap::new();
    let mut receipts: BTreeMap<String, u32> = BTreeMap::new();
    for entry in entries.iter().map(|e| &e["entry"]) {
        let delivery = entry["correlation"]["delivery"].as_str().unwrap_or_default().to_owned();
        match entry["kind"].as_str().unwrap() {
            "write.intended" => *intents.entry(delivery).or_default() += 1,
            "write.receipt" if entry["outcome"] != "failed" => *receipts.entry(delivery).or_default() += 1,
            "write.recovered" if entry["outcome"] == "delivered" => *receipts.entry(delivery).or_default() += 1,
            _ => {}
        }
    }
    assert!(!intents.is_empty());
    for delivery in intents.keys() {
        assert_eq!(receipts.get(delivery), Some(&1), "delivery {delivery} has {:?} receipts", receipts.get(delivery));
    }
    assert!(receipts.keys().all(|d| intents.contains_key(d)), "a receipt without an intent");
}

#[test]
fn killed_at_any_moment_and_run_again_nothing_is_lost_doubled_or_decided_otherwise() {
    let kills: u64 = std::env::var("KITH_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let seed: u64 = std::env::var("KITH_TEST_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(7);
    let slice = slice(1_500);
    let undisturbed = Project::with(&slice);
    let started = Instant::now();
    undisturbed.run_once();
    let whole = u64::try_from(started.elapsed().as_millis()).unwrap().max(50);
    let expected = outcome(&undisturbed);

    let mut moments = Moments(seed);
    let mut killed = 0;
    while killed < kills {
        // The installation's keys are the same, so that keyed digests compare.
        let project = Project::with(&slice);
        for entry in std::fs::read_dir(undisturbed.path("state/keys")).unwrap() {
            let entry = entry.unwrap();
            std::fs::create_dir_all(project.path("state/keys")).unwrap();
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(project.path("state"), std::fs::Permissions::from_mode(0o700)).unwrap();
            std::fs::set_permissions(project.path("state/keys"), std::fs::Permissions::from_mode(0o700)).unwrap();
            std::fs::copy(entry.path(), project.path("state/keys").join(entry.file_name())).unwrap();
        }
        for _ in 0..4 {
            let mut run = project.spawn(&["--quiet", "run", "--once"]);
            std::thread::sleep(Duration::from_millis(moments.below(whole)));
            let still_running = run.try_wait().unwrap().is_none();
            run.kill().unwrap();
            let end = run.wait_with_output().unwrap();
            if still_running {
                killed += 1;
            } else {
                assert_eq!(end.status.code(), Some(0), "seed {seed}: {}", String::from_utf8_lossy(&end.stderr));
            }
        }
        let got = outcome(&project);
        assert_eq!(got.sums, expected.sums, "seed {seed} after {killed} kills");
        assert_eq!(got, expected, "seed {seed} after {killed} kills");
        project.kith(&["audit", "verify"]).ok();
        let entries = entries(&project);
        intents_and_receipts(&entries);
        let known: Vec<&str> = entries
            .iter()
            .map(|e| e["entry"]["kind"].as_str().unwrap())
            .filter(|k| {
                !["service.started", "service.stopped", "conservation", "write.intended", "write.recovered", "write.receipt"].contains(k)
            })
            .collect();
        let clean: Vec<Value> = self::entries(&undisturbed);
        let clean = clean
            .iter()
            .filter(|e| {
                !["service.started", "service.stopped", "conservation", "write.intended", "write.recovered", "write.receipt"]
                    .contains(&e["entry"]["kind"].as_str().unwrap())
            })
            .count();
        assert_eq!(known.len(), clean, "an extra entry that is neither a start nor a recovery (seed {seed})");
    }
    eprintln!("{killed} kills, seed {seed}: equal");
}
