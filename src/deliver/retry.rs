//! When a delivery that the target could not take is tried again. The schedule is a pure function of the attempt, since attempts outlive the
//! process: the store keeps when, this says when.

use crate::model::Timestamp;
use backon::{BackoffBuilder, ExponentialBuilder};
use std::time::Duration;

/// Exponential backoff with full jitter and a budget of attempts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RetryPolicy {
    /// The longest wait before the second attempt; doubled for each further one.
    pub first: Duration,
    /// The longest wait at all.
    pub longest: Duration,
    /// Attempts in all, the first included; then the delivery parks.
    pub attempts: u32,
}

impl Default for RetryPolicy {
    /// From one second to ten minutes, 20 attempts: the last waits sum to about two hours on average, longer than a restart of a CRM takes.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_mins(10), attempts: 20 }
    }
}

/// What follows an attempt that found the target unavailable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Again, not before this time.
    At(Timestamp),
    /// The budget is spent: the delivery parks.
    GiveUp,
}

impl RetryPolicy {
    /// What follows attempt number `attempt` (1 for the first) that failed at `now`. What the server asks for is honoured in full. `seed` spreads
    /// deliveries that failed together; the same arguments give the same answer.
    pub fn after(&self, attempt: u32, now: Timestamp, retry_after: Option<Duration>, seed: u64) -> Next {
        if attempt >= self.attempts {
            return Next::GiveUp;
        }
        let wait = self.jittered(attempt, seed).max(retry_after.unwrap_or_default());
        now.checked_add(wait).map_or(Next::GiveUp, Next::At)
    }

    /// The longest wait after this attempt.
    fn ceiling(&self, attempt: u32) -> Duration {
        let times = usize::try_from(attempt).unwrap_or(usize::MAX);
        let schedule =
            ExponentialBuilder::new().with_min_delay(self.first).with_max_delay(self.longest).with_factor(2.0).with_max_times(times);
        schedule.build().last().unwrap_or(self.longest)
    }

    /// Full jitter: anywhere between nothing and the ceiling, so that what failed together does not come back together. (backon's own jitter only
    /// adds to the delay.)
    fn jittered(&self, attempt: u32, seed: u64) -> Duration {
        let ceiling = self.ceiling(attempt);
        // 53 bits make a fraction that a double holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let fraction = (mixed(seed ^ u64::from(attempt)) >> 11) as f64 / (1_u64 << 53) as f64;
        ceiling.mul_f64(fraction)
    }
}

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

    const POLICY: RetryPolicy = RetryPolicy { first: Duration::from_secs(1), longest: Duration::from_mins(1), attempts: 10 };

    #[test]
    fn waits_double_up_to_the_longest() {
        let ceilings: Vec<_> = (1..=9).map(|attempt| POLICY.ceiling(attempt).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    proptest! {
        #[test]
        fn a_wait_is_within_its_bounds_honours_the_server_and_the_budget_ends(attempt in 1..20_u32, seed: u64, asked in proptest::option::of(0..1_000_u64)) {
            let now = Timestamp::UNIX_EPOCH;
            let asked = asked.map(Duration::from_secs);
            match POLICY.after(attempt, now, asked, seed) {
                Next::GiveUp => prop_assert!(attempt >= 10),
                Next::At(at) => {
                    let wait = at.duration_since(now).unsigned_abs();
                    prop_assert!(attempt < 10 && wait >= asked.unwrap_or_default());
                    prop_assert!(wait <= POLICY.ceiling(attempt).max(asked.unwrap_or_default()));
                    prop_assert_eq!(POLICY.after(attempt, now, asked, seed), Next::At(at));
                }
            }
        }
    }

    #[test]
    fn what_failed_together_does_not_come_back_together() {
        let waits: std::collections::BTreeSet<_> = (0..1_000).map(|seed| POLICY.jittered(5, seed)).collect();
        assert!(waits.len() > 990);
        let mean = waits.iter().sum::<Duration>().as_secs_f64() / 1_000.0;
        assert!((7.0..9.0).contains(&mean), "full jitter has half the ceiling as its mean: {mean}");
    }
}
