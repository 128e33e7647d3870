//! How many records a second a target is sent.

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::time::Instant;

/// Time as tokio has it, so that a test may pause it.
#[derive(Clone, Debug)]
struct TokioClock {
    start: Instant,
}

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The allowance of one target. Shared by everything that sends to it.
#[derive(Debug)]
pub struct RateLimit {
    limiter: Option<Limiter>,
}

#[derive(Debug)]
struct Limiter {
    burst: NonZeroU32,
    clock: TokioClock,
    cells: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
}

impl RateLimit {
    /// At most so many records in any second; `None`: no limit. Must be called inside a tokio runtime.
    ///
    /// A burst of *b* and a record each 1/(*n* − *b* + 1) s let at most *n* through in any window of a second, wherever it begins (the generic
    /// cell rate algorithm: *b* at once, then one an interval). With *b* = 4 % of *n*, and at least 1, more than 95 % of *n* are usable.
    pub fn new(per_second: Option<NonZeroU32>) -> Self {
        let limiter = per_second.and_then(|allowed| {
            let burst = NonZeroU32::new(allowed.get() * 4 / 100).unwrap_or(NonZeroU32::MIN);
            let interval = Duration::from_secs(1).div_f64(f64::from(allowed.get() - burst.get() + 1));
            let quota = Quota::with_period(interval)?.allow_burst(burst);
            let clock = TokioClock { start: Instant::now() };
            Some(Limiter { burst, clock: clock.clone(), cells: RateLimiter::direct_with_clock(quota, clock) })
        });
        Self { limiter }
    }

    /// Waits until some records may be sent, and says how many: at least 1, at most `wanted`. They count as sent.
    pub async fn admit(&self, wanted: NonZeroU32) -> NonZeroU32 {
        let Some(Limiter { burst, clock, cells }) = &self.limiter else { return wanted };
        let granted = wanted.min(*burst);
        loop {
            match cells.check_n(granted) {
                Ok(Ok(())) => return granted,
                Ok(Err(not_yet)) => tokio::time::sleep(not_yet.wait_time_from(clock.now()).max(Duration::from_millis(1))).await,
                // Never: `granted` is at most the burst.
                Err(_insufficient_capacity) => return NonZeroU32::MIN,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sent(per_second: u32, wanted: u32, seconds: u64) -> Vec<Duration> {
        let limit = RateLimit::new(NonZeroU32::new(per_second));
        let start = Instant::now();
        let mut times = Vec::new();
        while start.elapsed() < Duration::from_secs(seconds) {
            let granted = limit.admit(NonZeroU32::new(wanted).unwrap()).await.get();
            times.extend(std::iter::repeat_n(start.elapsed(), usize::try_from(granted).unwrap()));
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn no_window_of_a_second_sees_more_than_allowed_and_most_of_it_is_usable() {
        for (per_second, wanted) in [(1, 10), (2, 1), (10, 500), (50, 3), (100, 100), (500, 500)] {
            let times = sent(per_second, wanted, 10).await;
            for (at, first) in times.iter().enumerate() {
                let window = times[at..].iter().take_while(|t| **t < *first + Duration::from_secs(1)).count();
                assert!(window <= usize::try_from(per_second).unwrap(), "{window} of {per_second} from {first:?}");
            }
            let usable = f64::from(per_second) * 10.0 * 0.90;
            assert!(f64::from(u32::try_from(times.len()).unwrap()) >= usable, "{} of {per_second} a second", times.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_everything_is_admitted_at_once() {
        let limit = RateLimit::new(None);
        let start = Instant::now();
        for _ in 0..1_000 {
            assert_eq!(limit.admit(NonZeroU32::new(500).unwrap()).await.get(), 500);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
