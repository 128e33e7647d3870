//! What is counted of a webhook: deliveries that were kept, and those that were refused, by reason. Nothing of who sent them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What is refused is told at most so often, in microseconds.
const TOLD_EVERY: i64 = 10_000_000;

/// Why a delivery was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// No signature.
    Unsigned,
    /// A signature of another form.
    Form,
    /// A wrong signature.
    Signature,
    /// A signature of another time.
    Late,
    /// Too many bytes.
    TooLong,
    /// It took too long to come.
    TooSlow,
    /// Too many bodies are in hand.
    Busy,
    /// As much waits as may.
    Full,
    /// The disk, or the system.
    Disk,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 9] =
        [Self::Unsigned, Self::Form, Self::Signature, Self::Late, Self::TooLong, Self::TooSlow, Self::Busy, Self::Full, Self::Disk];

    /// In metrics and in `kith status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Form => "form",
            Self::Signature => "signature",
            Self::Late => "late",
            Self::TooLong => "too-long",
            Self::TooSlow => "too-slow",
            Self::Busy => "busy",
            Self::Full => "spool-full",
            Self::Disk => "disk",
        }
    }
}

/// What came to one webhook since the process started.
#[derive(Debug, Default)]
pub struct Tally {
    kept: AtomicU64,
    refused: [AtomicU64; Reason::ALL.len()],
    /// Refused since it was told last.
    untold: AtomicU64,
    told: AtomicI64,
}

impl Tally {
    /// One was answered 200.
    pub fn kept(&self) {
        self.kept.fetch_add(1, Ordering::Relaxed);
    }

    /// One was refused; told to the log, with more words, not more than every ten seconds. `now` is in microseconds since 1970.
    pub fn refused(&self, name: &str, reason: Reason, words: &str, now: i64) {
        if let Some(count) = self.refused.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let count = self.untold.fetch_add(1, Ordering::Relaxed) + 1;
        let told = self.told.load(Ordering::Relaxed);
        if now.saturating_sub(told) >= TOLD_EVERY && self.told.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.untold.store(0, Ordering::Relaxed);
            tracing::warn!(
                code = "KITH-N055",
                webhook = name,
                count,
                reason = reason.name(),
                why = words,
                "deliveries of a webhook were refused"
            );
        }
    }

    /// Deliveries that were answered 200.
    pub fn received(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }

    /// Those that were refused, by reason, without those for which none was.
    pub fn by_reason(&self) -> impl Iterator<Item = (Reason, u64)> {
        let counts = Reason::ALL.iter().zip(&self.refused).map(|(reason, count)| (*reason, count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0)
    }
}
