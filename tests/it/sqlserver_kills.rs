//! Promise: a service that is killed while it writes into a SQL Server, and whose connections are cut besides, ends with the rows of one that nobody
//! disturbed: nothing twice, nothing lost, and the server's ledger holds exactly the deliveries of which the log has a receipt.
//!
//! On the peer, which lives in the test's own process, and on the server that `KITH_TEST_SQLSERVER_URL` names.

use crate::kills::{Moments, entries, intents_and_receipts, kill_a_run, number, with_keys_of};
use crate::support::slice;
use crate::support::sqlserver_site::Site;
use crate::support::tds_cutter::TdsCutter;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kith::declare::config::ServerAt;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Rows, decisions and sums: all that must be equal after kills.
#[derive(PartialEq, Debug)]
struct Outcome {
    rows: Vec<Vec<String>>,
    decisions: Vec<String>,
    sums: Vec<(String, Value)>,
}

const TABLES: [&str; 4] = [
    "SELECT CustomerID, Network, Handle, Basis, LinkedBy, MatchWeight FROM dbo.SocialProfile",
    "SELECT CustomerID, Network, ActivityID, Audience, PostURL, Body, Topic, Priority, OrderNumber, MappingHash FROM dbo.SocialInteraction",
    "SELECT Network, PostURL, Topic FROM dbo.SocialLead",
    "SELECT ContactId, Abstract, PostURL, Priority, OrderNumber FROM crm.ServiceRequest",
];

/// Runs until everything is delivered; what then stands.
fn outcome(site: &Site) -> Outcome {
    let mut passes = 0;
    let run = loop {
        // Where connections are cut a pass may end with work left: the endpoint rests.
        let ran = site.project.kith(&["--format", "json", "run", "--once"]);
        if ran.stdout.contains("\"totals\"") {
            let run = ran.json();
            let deliveries = run["totals"]["deliveries"].as_object().unwrap();
            if !deliveries.is_empty() && deliveries.iter().all(|(state, count)| state.ends_with(": delivered") || count == 0) {
                break run;
            }
        }
        passes += 1;
        assert!(passes < 80, "it does not end:\n{}\n{}", ran.stdout, ran.stderr);
        std::thread::sleep(Duration::from_millis(100));
    };
    let entries = entries(&site.project);
    intents_and_receipts(&entries);
    ledger_and_receipts(site, &entries);
    let decisions = entries.iter().map(|e| &e["entry"]).filter(|e| e["kind"] == "decision");
    let mut decisions: Vec<String> =
        decisions.map(|e| format!("{} {} {}", e["subject"]["identity"], e["outcome"], e["why"]["evidence"])).collect();
    decisions.sort();
    let sums = ["received", "decisions", "delivered", "parked", "dropped", "in_flight", "conservation_gap"];
    Outcome {
        rows: TABLES.iter().map(|sql| site.rows(sql)).collect(),
        decisions,
        sums: sums.iter().map(|name| ((*name).to_owned(), run[*name].clone())).collect(),
    }
}

/// The ledger's keys are those of the receipts, one for one.
fn ledger_and_receipts(site: &Site, entries: &[Value]) {
    let receipts: BTreeSet<String> = entries
        .iter()
        .map(|e| &e["entry"])
        .filter(|e| {
            e["kind"] == "write.receipt" && e["outcome"] != "failed" || e["kind"] == "write.recovered" && e["outcome"] == "delivered"
        })
        .map(|e| e["correlation"]["delivery"].as_str().unwrap().to_owned())
        .collect();
    // Binary columns are shown in Base64; the log has the first sixteen bytes in hexadecimal.
    let ledger = site.rows("SELECT idempotency_key FROM kith.DeliveryLedger");
    let hex = |key: &String| BASE64.decode(key).unwrap()[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let keys: BTreeSet<String> = ledger.iter().map(hex).collect();
    assert_eq!(keys.len(), ledger.len());
    assert_eq!(keys, receipts, "the ledger and the log do not agree");
}

/// How many rounds and where; a round is a new site, killed some times.
fn killed(make: impl Fn() -> Option<Site>, kills: u64, seed: u64) {
    let Some(undisturbed) = make() else { return };
    let started = Instant::now();
    let expected = outcome(&undisturbed);
    let whole = u64::try_from(started.elapsed().as_millis()).unwrap().max(50);
    assert!(expected.rows.iter().all(|rows| !rows.is_empty()), "{expected:#?}");
    let mut moments = Moments(seed);
    let (mut killed, mut round) = (0, 0);
    while killed < kills {
        round += 1;
        let site = make().unwrap();
        with_keys_of(&site.project, &undisturbed.project);
        let ServerAt::Port(port) = site.spec.address.at else { return };
        // A session takes some twenty messages before its first commit.
        let cutter = TdsCutter::seeded(&site.spec.address.host, port, seed * 1_000 + round, 60);
        site.deliver_through(cutter.port());
        for _ in 0..4 {
            killed += u64::from(kill_a_run(&site.project, &mut moments, whole, &[0, 1]));
        }
        assert_eq!(outcome(&site), expected, "seed {seed} after {killed} kills");
        site.project.kith(&["audit", "verify"]).ok();
    }
    eprintln!("{killed} kills in {round} rounds, seed {seed}: equal");
}

#[test]
fn killed_and_cut_at_any_moment_the_peer_ends_with_the_same_rows() {
    let slice = slice(300);
    killed(|| Some(Site::peer(&slice)), number("KITH_TEST_KILLS", 6), number("KITH_TEST_SEED", 17));
}

#[test]
fn killed_and_cut_at_any_moment_a_real_server_ends_with_the_same_rows() {
    let slice = slice(300);
    killed(|| Site::real(&slice), number("KITH_TEST_KILLS", 6), number("KITH_TEST_SEED", 19));
}
