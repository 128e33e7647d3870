//! SIGKILL at random moments, run again: the CRM's rows, a service's documents, the decisions and the sums are those of a run that nobody
//! disturbed (design §11).

use crate::support::cutting_proxy::CuttingProxy;
use crate::support::nginx::{Nginx, Options};
use crate::support::{Project, slice};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A small generator of moments, seeded, so that a failing round can be run again (splitmix64).
pub struct Moments(pub u64);

impl Moments {
    pub fn below(&mut self, limit: u64) -> u64 {
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

pub fn entries(project: &Project) -> Vec<Value> {
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
pub fn intents_and_receipts(entries: &[Value]) {
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

/// A project with the keys of another, so that keyed digests compare.
pub fn with_keys_of(project: &Project, other: &Project) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(project.path("state/keys")).unwrap();
    for folder in ["state", "state/keys"] {
        std::fs::set_permissions(project.path(folder), std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    for entry in std::fs::read_dir(other.path("state/keys")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), project.path("state/keys").join(entry.file_name())).unwrap();
    }
}

/// Kills a run at a moment; whether it was still running. `ends` are the codes of a run that was faster.
pub fn kill_a_run(project: &Project, moments: &mut Moments, within: u64, ends: &[i32]) -> bool {
    let mut run = project.spawn(&["--quiet", "run", "--once"]);
    std::thread::sleep(Duration::from_millis(moments.below(within)));
    let still_running = run.try_wait().unwrap().is_none();
    run.kill().unwrap();
    let end = run.wait_with_output().unwrap();
    assert!(still_running || end.status.code().is_some_and(|c| ends.contains(&c)), "{}", String::from_utf8_lossy(&end.stderr));
    still_running
}

pub fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

#[test]
fn killed_at_any_moment_and_run_again_nothing_is_lost_doubled_or_decided_otherwise() {
    let (kills, seed) = (number("KITH_TEST_KILLS", 12), number("KITH_TEST_SEED", 7));
    let slice = slice(1_500);
    let undisturbed = Project::with(&slice);
    let started = Instant::now();
    undisturbed.run_once();
    let whole = u64::try_from(started.elapsed().as_millis()).unwrap().max(50);
    let expected = outcome(&undisturbed);

    let mut moments = Moments(seed);
    let mut killed = 0;
    while killed < kills {
        let project = Project::with(&slice);
        with_keys_of(&project, &undisturbed);
        for _ in 0..4 {
            killed += u64::from(kill_a_run(&project, &mut moments, whole, &[0]));
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

/// The documents of a service, and what was decided: all that must be equal after kills.
fn served(project: &Project, nginx: &Nginx) -> (Vec<(String, Value)>, Vec<String>, Value) {
    let mut passes = 0;
    let run = loop {
        // Where answers are lost a pass may end with work left: the endpoint rests.
        let run = project.kith(&["--format", "json", "run", "--once"]).json();
        let deliveries = run["totals"]["deliveries"].as_object().unwrap();
        if deliveries.iter().all(|(state, count)| state.ends_with(": delivered") || count == 0) {
            break run;
        }
        passes += 1;
        assert!(passes < 60, "it does not end: {run}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let entries = entries(project);
    intents_and_receipts(&entries);
    let decisions = entries.iter().map(|e| &e["entry"]).filter(|e| e["kind"] == "decision");
    let mut decisions: Vec<String> =
        decisions.map(|e| format!("{} {} {}", e["subject"]["identity"], e["outcome"], e["why"]["evidence"])).collect();
    decisions.sort();
    let sums = ["received", "decisions", "delivered", "parked", "dropped", "in_flight", "conservation_gap"];
    (nginx.documents().into_iter().collect(), decisions, sums.iter().map(|name| ((*name).to_owned(), run[*name].clone())).collect())
}

#[test]
fn killed_behind_a_proxy_that_loses_answers_a_service_ends_with_the_same_documents() {
    let (kills, seed) = (number("KITH_TEST_KILLS", 8), number("KITH_TEST_SEED", 11));
    let Some(calm) = Nginx::start(Options::default()) else { return };
    let undisturbed = crate::http_target::project(&calm.url(), "concurrency = 4");
    let started = Instant::now();
    let expected = served(&undisturbed, &calm);
    let whole = u64::try_from(started.elapsed().as_millis()).unwrap().max(50);
    assert!(expected.0.len() > 100);

    let mut moments = Moments(seed);
    let (mut killed, mut round, mut cuts) = (0, 0, 0);
    while killed < kills {
        round += 1;
        let Some(nginx) = Nginx::start(Options::default()) else { return };
        let proxy = CuttingProxy::seeded(nginx.port, seed * 1_000 + round, 20);
        let project = crate::http_target::project(&proxy.url(), "concurrency = 4");
        with_keys_of(&project, &undisturbed);
        for _ in 0..5 {
            killed += u64::from(kill_a_run(&project, &mut moments, whole, &[0, 1]));
        }
        assert_eq!(served(&project, &nginx), expected, "seed {seed} after {killed} kills");
        project.kith(&["audit", "verify"]).ok();
        cuts += proxy.counts().1;
    }
    assert!(cuts > 0);
    eprintln!("{killed} kills and {cuts} lost answers, seed {seed}: equal");
}
