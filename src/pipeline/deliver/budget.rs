//! The retry budget: a limping endpoint is not buried under retries.

use crate::model::Timestamp;

/// Retries that may leave without any fresh delivery: enough to try again at all, too few to hurt.
const RESERVE: f64 = 10.0;
/// Without fresh deliveries one retry comes back each second, so that nothing starves.
const REFILL_PER_SECOND: f64 = 1.0;

/// Tokens for retries: fresh deliveries earn them, retries spend them.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryBudget {
    share: f64,
    tokens: f64,
    at: Timestamp,
}

impl RetryBudget {
    /// Retries may be this share of what is sent, in percent.
    pub(super) fn new(percent: u32, now: Timestamp) -> Self {
        Self { share: f64::from(percent) / 100.0, tokens: RESERVE, at: now }
    }

    /// Whether a retry may leave.
    pub(super) fn allows(&mut self, now: Timestamp) -> bool {
        self.refill(now);
        self.tokens >= 1.0
    }

    /// A retry leaves.
    pub(super) fn spend(&mut self, now: Timestamp) {
        self.refill(now);
        self.tokens = (self.tokens - 1.0).max(0.0);
    }

    /// A delivery that never failed leaves.
    pub(super) fn earn(&mut self) {
        self.tokens = (self.tokens + self.share).min(RESERVE);
    }

    fn refill(&mut self, now: Timestamp) {
        let seconds = now.duration_since(self.at).as_secs_f64().max(0.0);
        self.at = now;
        self.tokens = (self.tokens + seconds * REFILL_PER_SECOND).min(RESERVE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn retries_are_a_share_of_what_is_sent_and_never_starve() {
        let start = Timestamp::UNIX_EPOCH;
        let mut budget = RetryBudget::new(20, start);
        let mut retries = 0;
        for _ in 0..1_000 {
            budget.earn();
            if budget.allows(start) {
                budget.spend(start);
                retries += 1;
            }
        }
        assert!((200..=210).contains(&retries), "{retries} retries among 1,000");
        assert!(!budget.allows(start));
        assert!(budget.allows(start.checked_add(Duration::from_secs(1)).unwrap()));
    }
}
