//! The whole pipeline under seeded faults: clock, network, store and targets misbehave, the process dies, and in the end each target equals what
//! the activities say, once, within every limit, and the conservation sum holds.
//!
//! Everything runs on one thread over a paused clock and draws from one seed, so that a failing seed replays exactly:
//! `KITH_SIM_SEED=4711 cargo nextest run --lib simulation::one_seed --run-ignored all --no-capture`.

mod chance;
mod crm;
mod faulty;
mod oracle;
mod story;
mod world;

use crate::pipeline::deliver::Verdict;
use crate::store::{EndpointReason, Store};
use faulty::Bug;
use std::time::Duration;
use world::World;

/// Seeds of a usual run; `KITH_SIM_SEEDS` for more.
const SEEDS: u64 = 300;
/// A planted bug must show within so many.
const SEEDS_FOR_A_BUG: u64 = 60;

/// Lives one seed; what is wrong in the end.
fn simulate(seed: u64, bug: Option<Bug>) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed, bug).await;
        world.live().await;
        oracle::judge(&mut world).await
    })
}

#[expect(clippy::disallowed_methods, reason = "what a person asks of these tests")]
fn said(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|n| n.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn seeds() -> u64 {
    said("KITH_SIM_SEEDS").unwrap_or(SEEDS)
}

/// Runs seeds on all cores until one fails.
fn first_failure(from: u64, count: u64, bug: Option<Bug>) -> Option<(u64, Vec<String>)> {
    let next = std::sync::atomic::AtomicU64::new(from);
    let failed = std::sync::Mutex::new(None::<(u64, Vec<String>)>);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= from + count || failed.lock().unwrap().is_some() {
                        return;
                    }
                    let wrong = simulate(seed, bug);
                    if !wrong.is_empty() {
                        failed.lock().unwrap().get_or_insert((seed, wrong));
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap()
}

#[test]
fn whatever_fails_each_target_ends_equal_to_what_was_said_once() {
    if let Some((seed, wrong)) = first_failure(1, seeds(), None) {
        panic!("seed {seed} (replay: KITH_SIM_SEED={seed} … one_seed):\n{}", wrong.join("\n"));
    }
}

#[test]
fn the_same_seed_lives_the_same_life() {
    let life = |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(seed, None).await;
            world.live().await;
            oracle::judge(&mut world).await;
            world.history().await
        })
    };
    for seed in [3, 17] {
        // The folder's name is the one thing that differs.
        let plain = |history: Vec<String>| history.into_iter().filter(|leaf| !leaf.contains("\"source.read\"")).collect::<Vec<_>>();
        let (one, other) = (plain(life(seed)), plain(life(seed)));
        let differs = one.iter().zip(&other).find(|(a, b)| a != b);
        assert_eq!((differs, one.len()), (None, other.len()), "seed {seed}");
    }
}

/// Found by seed 3561: two lanes heard of one endpoint at about one time, and the older state was stored last. Killed then, the next process knew of no wait.
#[test]
fn what_an_endpoint_asked_for_is_stored_last_whoever_heard_it_last() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(1, None).await;
        let lane = world.lane(0).await;
        let why = || EndpointReason { code: "KITH-D001".into(), message: "it said so".into() };
        for wait in (1..=200).map(Duration::from_secs) {
            let now = world.now();
            lane.endpoint.heard(Verdict::Away { why: why(), wait: None }, now);
            let (one, another) = (lane.store_endpoint(), async {
                lane.endpoint.heard(Verdict::Throttled { why: why(), wait: Some(wait) }, now);
                lane.store_endpoint().await
            });
            // A step that fails is taken again by the next worker.
            if let (Err(_), _) | (_, Err(_)) = tokio::join!(one, another) {
                while lane.store_endpoint().await.is_err() {}
            }
            let stored = world.store.endpoints().await.unwrap().into_iter().find(|state| state.name == lane.id.0).unwrap();
            assert_eq!(stored.waits, lane.endpoint.state().waits, "after {wait:?}");
        }
    });
}

fn found(bug: Bug, what: &str) {
    let (seed, wrong) = first_failure(1, SEEDS_FOR_A_BUG, Some(bug)).unwrap_or_else(|| panic!("{bug:?} was not found"));
    assert!(wrong.iter().any(|w| w.contains(what)), "{bug:?} was found by seed {seed} as something else: {wrong:?}");
}

#[test]
fn a_planted_double_send_is_found() {
    found(Bug::DoubleSend, "was written 2 times");
}

#[test]
fn a_planted_lost_receipt_is_found() {
    found(Bug::LostReceipt, "in flight");
}

#[test]
fn a_planted_early_cursor_is_found() {
    found(Bug::EarlyCursor, "should be");
}

#[test]
fn a_planted_reset_of_the_limits_is_found() {
    found(Bug::LimitReset, "are allowed");
}

#[test]
fn a_planted_forgotten_wait_is_found() {
    found(Bug::WaitForgotten, "asked to be left alone");
}

#[test]
#[ignore = "replays one seed: KITH_SIM_SEED"]
fn one_seed() {
    let seed = said("KITH_SIM_SEED").expect("KITH_SIM_SEED names the seed");
    let wrong = simulate(seed, None);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
