//! When a delivery that the target could not take is tried again. The schedule is a pure function of the attempt, since attempts outlive the
//! process: the store keeps when, this says when.

use crate::declare::connector::Retry;
use crate::model::Timestamp;
use backon::{BackoffBuilder, ExponentialBuilder};
use std::time::Duration;

/// What follows an attempt that found the target unavailable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Again, not before this time.
    At(Timestamp),
    /// The budget is spent: the delivery parks.
    GiveUp,
}

/// What follows failure number `failures` (1 for the first) of a delivery at `now`. What the server asks for is honoured in full. `seed` spreads
/// deliveries that failed together; the same arguments give the same answer.
pub fn after_failure(retry: &Retry, failures: u32, now: Timestamp, retry_after: Option<Duration>, seed: u64) -> Next {
    if failures >= retry.attempts {
        return Next::GiveUp;
    }
    let wait = rest(retry.first, retry.longest, failures, seed).max(retry_after.unwrap_or_default());
    now.checked_add(wait).map_or(Next::GiveUp, Next::At)
}

/// How long to rest after something failed `times` times in a row (1 for the first): anywhere between nothing and `first` doubled `times − 1` times,
/// but never beyond `longest`. Full jitter, so that what failed together does not come back together. (backon's own jitter only adds to the delay.)
pub fn rest(first: Duration, longest: Duration, times: u32, seed: u64) -> Duration {
    // 53 bits make a fraction that a double holds exactly.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    let fraction = (mixed(seed ^ u64::from(times)) >> 11) as f64 / (1_u64 << 53) as f64;
    ceiling(first, longest, times).mul_f64(fraction)
}

/// As [`rest`], but at least half of what is possible: for what must be left alone for a while.
pub fn half_rest(first: Duration, longest: Duration, times: u32, seed: u64) -> Duration {
    ceiling(first, longest, times) / 2 + rest(first, longest, times, seed) / 2
}

/// The longest rest after so many failures.
fn ceiling(first: Duration, longest: Duration, times: u32) -> Duration {
    let times = usize::try_from(times).unwrap_or(usize::MAX).min(MOST_DOUBLINGS);
    let schedule = ExponentialBuilder::new().with_min_delay(first).with_max_delay(longest).with_factor(2.0).with_max_times(times);
    schedule.build().last().unwrap_or(longest)
}

/// Doubled so often, a millisecond is more than a day: nothing grows beyond it.
const MOST_DOUBLINGS: usize = 64;

/// The finaliser of `SplitMix64`: every bit of the input moves half of the output's.
const fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The schedule for a target that is busy for a moment: tried again at once, without the store knowing.
pub(super) fn while_busy() -> ExponentialBuilder {
    // 20, 40, 80, … 640 ms: 1.3 s in all at most twice that with jitter, below the time that a batch may take.
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_millis(640))
        .with_factor(2.0)
        .with_max_times(6)
        .with_jitter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: Retry = Retry { first: Duration::from_secs(1), longest: Duration::from_mins(1), attempts: 10, budget_percent: 20 };

    #[test]
    fn waits_double_up_to_the_longest() {
        let ceilings: Vec<_> = (1..=9).map(|times| ceiling(POLICY.first, POLICY.longest, times).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    proptest! {
        #[test]
        fn a_wait_is_within_its_bounds_honours_the_server_and_the_budget_ends(failures in 1..20_u32, seed: u64, asked in proptest::option::of(0..1_000_u64)) {
            let now = Timestamp::UNIX_EPOCH;
            let asked = asked.map(Duration::from_secs);
            match after_failure(&POLICY, failures, now, asked, seed) {
                Next::GiveUp => prop_assert!(failures >= 10),
                Next::At(at) => {
                    let wait = at.duration_since(now).unsigned_abs();
                    prop_assert!(failures < 10 && wait >= asked.unwrap_or_default());
                    prop_assert!(wait <= ceiling(POLICY.first, POLICY.longest, failures).max(asked.unwrap_or_default()));
                    prop_assert_eq!(after_failure(&POLICY, failures, now, asked, seed), Next::At(at));
                }
            }
        }

        #[test]
        fn any_schedule_ends_at_its_longest(first in 1..100_000_u64, factor in 1..10_000_u32, times: u32) {
            let first = Duration::from_millis(first);
            prop_assert!(ceiling(first, first * factor, times) <= first * factor);
        }
    }

    #[test]
    fn what_failed_together_does_not_come_back_together() {
        let waits: std::collections::BTreeSet<_> = (0..1_000).map(|seed| rest(POLICY.first, POLICY.longest, 5, seed)).collect();
        assert!(waits.len() > 990);
        let mean = waits.iter().sum::<Duration>().as_secs_f64() / 1_000.0;
        assert!((7.0..9.0).contains(&mean), "full jitter has half the ceiling as its mean: {mean}");
    }
}
