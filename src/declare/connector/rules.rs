//! How a target wants to be treated: its limits, when something is tried again, when it is left alone, and what each class of fault means.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// A class of answers that are no receipt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FaultClass {
    /// This record is refused for what it is.
    Refused,
    /// The batch is refused as a whole.
    BatchRefused,
    /// This request failed for a reason that may pass.
    Failed,
    /// The endpoint can't take anything now.
    Unavailable,
    /// The endpoint says: not now.
    Throttled,
    /// The login has run out.
    LoginExpired,
    /// The write may have arrived.
    OutcomeUnknown,
}

impl FaultClass {
    /// Every class.
    pub const ALL: [Self; 7] =
        [Self::Refused, Self::BatchRefused, Self::Failed, Self::Unavailable, Self::Throttled, Self::LoginExpired, Self::OutcomeUnknown];

    /// The word that files, pages and metrics use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::BatchRefused => "batch_refused",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
            Self::Throttled => "throttled",
            Self::LoginExpired => "login_expired",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }

    /// What is done where the file says nothing.
    pub const fn usual(self) -> FaultAction {
        match self {
            Self::Refused => FaultAction::Park,
            Self::BatchRefused => FaultAction::Split,
            Self::Failed => FaultAction::Retry,
            Self::Unavailable | Self::Throttled => FaultAction::Wait,
            Self::LoginExpired => FaultAction::Login,
            Self::OutcomeUnknown => FaultAction::Settle,
        }
    }
}

/// What is done about a fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FaultAction {
    /// Tried again by the schedule; each failure counts, and the last one parks the delivery.
    Retry,
    /// A dead letter at once.
    Park,
    /// Dropped by the rule `fault-rule`: it is known and wanted that the target does not take it.
    Drop,
    /// Sent again in halves, until the bad record stands alone and parks.
    Split,
    /// Log in again, then again at once.
    Login,
    /// The endpoint is left alone; no delivery is blamed.
    Wait,
    /// Read back what became of it.
    Settle,
}

impl FaultAction {
    /// Those that a file may choose. A write that may have arrived is always settled, and what the server asks for is always honoured.
    pub const CHOICES: [Self; 5] = [Self::Retry, Self::Park, Self::Drop, Self::Split, Self::Login];

    /// The word that files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Park => "park",
            Self::Drop => "drop",
            Self::Split => "split",
            Self::Login => "login",
            Self::Wait => "wait",
            Self::Settle => "settle",
        }
    }
}

/// What `on_fault` says about one class or code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FaultRule {
    /// A class's word, or a code: `KITH-D004`.
    pub when: Arc<str>,
    /// What is done.
    pub then: FaultAction,
}

/// At most so many in any window of a second, minute, hour and day; `None`: no limit. All hold at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quotas {
    /// In any second.
    pub per_second: Option<NonZeroU32>,
    /// In any minute.
    pub per_minute: Option<NonZeroU32>,
    /// In any hour.
    pub per_hour: Option<NonZeroU32>,
    /// In any 24 hours.
    pub per_day: Option<NonZeroU32>,
}

impl Quotas {
    /// Window and allowance of each that is set, shortest first.
    pub fn windows(&self) -> impl Iterator<Item = (Duration, NonZeroU32)> {
        [
            (Duration::from_secs(1), self.per_second),
            (Duration::from_mins(1), self.per_minute),
            (Duration::from_hours(1), self.per_hour),
            (Duration::from_hours(24), self.per_day),
        ]
        .into_iter()
        .filter_map(|(window, allowed)| allowed.map(|allowed| (window, allowed)))
    }
}

/// What a quota counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Counted {
    /// Records, however many travel together.
    Records,
    /// Requests, look-ups included.
    Requests,
}

impl Counted {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Records, Self::Requests];

    /// The word that files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Requests => "requests",
        }
    }
}

/// `retry:`. Exponential with full jitter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retry {
    /// The longest wait before the second attempt; doubled for each further one.
    pub first: Duration,
    /// The longest wait at all.
    pub longest: Duration,
    /// Attempts in all, the first included; then the delivery parks.
    pub attempts: u32,
    /// Retries may be at most this share of what is sent, in percent (with a reserve of ten), so that a limping target is not buried under them.
    pub budget_percent: u32,
}

impl Default for Retry {
    /// From one second to ten minutes, 20 attempts: the last waits sum to about an hour on average.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_mins(10), attempts: 20, budget_percent: 20 }
    }
}

/// `breaker:`. After so many failures in a row the endpoint is left alone, then asked with a single record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Breaker {
    /// Failed sends in a row that open it.
    pub failures: u32,
    /// The longest first rest; doubled for each probe that fails.
    pub first: Duration,
    /// The longest rest at all.
    pub longest: Duration,
}

impl Default for Breaker {
    /// Five failures; from five seconds to five minutes.
    fn default() -> Self {
        Self { failures: 5, first: Duration::from_secs(5), longest: Duration::from_mins(5) }
    }
}

/// How a target wants to be treated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryRules {
    /// What quotas count.
    pub counts: Counted,
    /// The quotas of the whole target; those of an operation stand with it.
    pub quotas: Quotas,
    /// When something is tried again.
    pub retry: Retry,
    /// When the endpoint is left alone.
    pub breaker: Breaker,
    /// What each class or code of fault means, in file order.
    pub on_fault: Vec<FaultRule>,
}

impl DeliveryRules {
    /// What holds for a kind where its file says nothing.
    pub fn usual(counts: Counted) -> Self {
        Self { counts, quotas: Quotas::default(), retry: Retry::default(), breaker: Breaker::default(), on_fault: Vec::new() }
    }

    /// What is done about a fault: the word of the file about its code, else about its class, else what is usual.
    pub fn action(&self, class: FaultClass, code: &str) -> FaultAction {
        let said = |when: &str| self.on_fault.iter().find(|rule| &*rule.when == when).map(|rule| rule.then);
        // What the server asks for, and what may have arrived, is nobody's choice.
        if matches!(class, FaultClass::Throttled | FaultClass::OutcomeUnknown) {
            return class.usual();
        }
        said(code).or_else(|| said(class.name())).unwrap_or_else(|| class.usual())
    }
}
