//! How much may be sent: several quotas at once, of the whole endpoint and of single operations, in a state that outlives the process.
//!
//! Each quota is a generic cell rate algorithm (ITU-T I.371) by `governor`, on a clock that the caller sets. Its whole state is one moment,
//! the theoretical arrival time, so that it can be stored with what is sent and a restart refills nothing.

use crate::declare::connector::Quotas;
use crate::model::{OperationId, Timestamp};
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is not sent in time may be caught up on within this share of a window: a burst of 2 % of its allowance.
const TOLERANCE: f64 = 0.02;
/// What is sent evenly arrives unevenly: a window is taken to be this much longer than it is.
const MARGIN: f64 = 0.025;
/// What was stored before a crash had left within this, or not at all: no commit takes longer.
const LONGEST_COMMIT: Duration = Duration::from_secs(5);
/// One record in the limiter's cells, so that the tolerance may be a part of a record's interval.
const CELLS: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// Time as its owner last set it, in nanoseconds since 1970.
#[derive(Clone, Debug, Default)]
struct SetClock(Arc<AtomicU64>);

impl Clock for SetClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// The theoretical arrival time; 0 where nothing was spent yet.
#[derive(Clone, Debug, Default)]
struct Arrival(Arc<AtomicU64>);

impl StateStore for Arrival {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let before = self.0.load(Ordering::Relaxed);
        let (outcome, after) = decide((before > 0).then(|| Nanos::from(before)))?;
        // The limits are behind one lock: nobody else changes it meanwhile.
        self.0.store(after.as_u64(), Ordering::Relaxed);
        Ok(outcome)
    }
}

#[derive(Debug)]
struct Window {
    length: Duration,
    arrival: Arrival,
    /// When what is taken now counts as sent, until it really leaves; 0 where nothing is taken.
    taken_at: AtomicU64,
    limiter: RateLimiter<NotKeyed, Arrival, SetClock, NoOpMiddleware<Duration>>,
}

impl Window {
    /// With one record each interval *T*, and lateness caught up on within τ, a window *W* and a margin *J* for uneven arrival see at most
    /// ⌊(W + J + τ) / T⌋ + 1 records, less one where the last would have to arrive at the window's very end. T = (W + J + τ) / n makes that *n*
    /// wherever the window begins, and leaves W / (W + J + τ) = 95.7 % of *n* usable.
    fn new(length: Duration, allowed: NonZeroU32, clock: &SetClock) -> Option<Self> {
        let interval = length.mul_f64(1.0 + MARGIN + TOLERANCE).div_f64(f64::from(allowed.get()));
        let tolerance = length.mul_f64(TOLERANCE).as_secs_f64() / interval.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 1 + 2 % of 100 million, in cells below 2³²")]
        let burst = NonZeroU32::new((f64::from(CELLS.get()) * (1.0 + tolerance)) as u32)?;
        // Rounded up: never more than allowed.
        let quota = Quota::with_period(interval / CELLS.get() + Duration::from_nanos(1))?.allow_burst(burst);
        let arrival = Arrival::default();
        Some(Self {
            length,
            arrival: arrival.clone(),
            taken_at: AtomicU64::new(0),
            limiter: RateLimiter::new(quota, arrival, clock.clone()),
        })
    }
}

/// The theoretical arrival time of a quota whose whole burst was spent at this moment: nothing of it is left that could come on top of what somebody
/// else sent in the window before.
pub fn burst_spent(length: Duration, allowed: NonZeroU32, now: Timestamp) -> Timestamp {
    let interval = length.mul_f64(1.0 + MARGIN + TOLERANCE).div_f64(f64::from(allowed.get()));
    now.checked_add(interval + length.mul_f64(TOLERANCE)).unwrap_or(Timestamp::MAX)
}

/// Whose quota is spent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// The whole endpoint's.
    Endpoint,
    /// This operation's.
    Operation(OperationId),
}

/// Nothing more may be sent for a while.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotYet {
    /// Whose quota is spent.
    pub scope: Scope,
    /// When the next may be sent.
    pub until: Timestamp,
}

/// What was spent of one quota.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpentQuota {
    /// Whose.
    pub scope: Scope,
    /// The quota's window.
    pub window: Duration,
    /// The theoretical arrival time.
    pub until: Timestamp,
    /// When this was so.
    pub at: Timestamp,
}

/// The quotas of one endpoint.
#[derive(Debug, Default)]
pub struct Limits {
    clock: SetClock,
    whole: Vec<Window>,
    operations: BTreeMap<OperationId, Vec<Window>>,
}

impl Limits {
    /// Limits of an endpoint: those of the whole, and of single operations. All hold at once. What was spent before is taken over where a
    /// quota of the same scope and window is still there.
    pub fn new<'a>(quotas: impl IntoIterator<Item = (Scope, &'a Quotas)>, spent: &[SpentQuota], now: Timestamp) -> Self {
        // A limiter takes the moment at which it is made as its zero. The clock stands at 1970 still, so that what it keeps is a moment.
        let mut limits = Self::default();
        for (scope, quotas) in quotas {
            for (length, allowed) in quotas.windows() {
                let Some(window) = Window::new(length, allowed, &limits.clock) else { continue };
                // A moment beyond the window is none of ours: the machine's clock was wrong then or is now.
                let latest = nanoseconds(now).saturating_add(nanos(length.mul_f64(1.0 + MARGIN + TOLERANCE)));
                let before = spent.iter().filter(|spent| spent.scope == scope && spent.window == length);
                // What was stored may have left later than it was stored, up to now.
                let late = |spent: &SpentQuota| nanoseconds(now).saturating_sub(nanoseconds(spent.at)).min(nanos(LONGEST_COMMIT));
                let before = before.map(|spent| nanoseconds(spent.until).saturating_add(late(spent)).min(latest)).max().unwrap_or_default();
                window.arrival.0.store(before, Ordering::Relaxed);
                match &scope {
                    Scope::Endpoint => limits.whole.push(window),
                    Scope::Operation(operation) => limits.operations.entry(operation.clone()).or_default().push(window),
                }
            }
        }
        limits.clock.0.store(nanoseconds(now), Ordering::Relaxed);
        limits
    }

    /// Whether there is none.
    pub fn is_unlimited(&self) -> bool {
        self.whole.is_empty() && self.operations.is_empty()
    }

    /// Spends one of each quota that stands over this operation (`None`: a look-up or login), or of none.
    ///
    /// # Errors
    /// Whose quota is spent, and until when.
    pub fn take(&mut self, operation: Option<&OperationId>, now: Timestamp) -> Result<(), NotYet> {
        self.set_clock(now);
        self.take_at(operation, now)
    }

    /// As [`Limits::take`] for a moment that is near: what is made ready meanwhile must not leave before it.
    ///
    /// # Errors
    /// Whose quota is spent then too, and until when.
    pub fn reserve(&mut self, operation: Option<&OperationId>, now: Timestamp, at: Timestamp) -> Result<(), NotYet> {
        self.set_clock(now);
        self.clock.0.store(nanoseconds(at.max(now)), Ordering::Relaxed);
        let taken = self.take_at(operation, at.max(now));
        self.clock.0.store(nanoseconds(now), Ordering::Relaxed);
        taken
    }

    /// Nothing is taken that has not left: what was taken and came to nothing stays spent.
    pub fn begins(&mut self) {
        self.windows().for_each(|window| window.taken_at.store(0, Ordering::Relaxed));
    }

    fn take_at(&self, operation: Option<&OperationId>, now: Timestamp) -> Result<(), NotYet> {
        let own = operation.and_then(|operation| Some((operation, self.operations.get(operation)?)));
        let scoped = own.iter().flat_map(|(operation, windows)| windows.iter().map(|w| (Scope::Operation((*operation).clone()), w)));
        let all: Vec<_> = self.whole.iter().map(|window| (Scope::Endpoint, window)).chain(scoped).collect();
        let before: Vec<u64> = all.iter().map(|(_, window)| window.arrival.0.load(Ordering::Relaxed)).collect();
        let at = nanoseconds(now);
        let mut refused: Option<NotYet> = None;
        for (scope, window) in &all {
            // A record always fits into the burst: the outer error can't be.
            if let Ok(Err(not_until)) = window.limiter.check_n(CELLS) {
                let until = moment(nanos(not_until.earliest_possible()));
                if refused.as_ref().is_none_or(|r| until > r.until) {
                    refused = Some(NotYet { scope: scope.clone(), until });
                }
            }
        }
        let Some(refused) = refused else {
            for ((_, window), arrival) in all.iter().zip(before) {
                let first = window.taken_at.load(Ordering::Relaxed) == 0;
                if first {
                    window.taken_at.store(arrival.max(at), Ordering::Relaxed);
                }
            }
            return Ok(());
        };
        for ((_, window), arrival) in all.iter().zip(before) {
            window.arrival.0.store(arrival, Ordering::Relaxed);
        }
        Err(refused)
    }

    /// What was taken leaves only now: it counts from now, so that a slow disk before it makes no crowd behind it.
    pub fn departs(&mut self, now: Timestamp) {
        self.set_clock(now);
        for window in self.windows() {
            let taken_at = window.taken_at.swap(0, Ordering::Relaxed);
            let late = nanoseconds(now).saturating_sub(taken_at);
            if taken_at > 0 && late > 0 {
                let arrival = window.arrival.0.load(Ordering::Relaxed);
                window.arrival.0.store(arrival.saturating_add(late), Ordering::Relaxed);
            }
        }
    }

    fn windows(&self) -> impl Iterator<Item = &Window> {
        self.whole.iter().chain(self.operations.values().flatten())
    }

    /// What was spent, to be stored before what spends it leaves.
    pub fn spent(&self) -> Vec<SpentQuota> {
        let whole = self.whole.iter().map(|window| (Scope::Endpoint, window));
        let operations = self.operations.iter().flat_map(|(id, windows)| windows.iter().map(|w| (Scope::Operation(id.clone()), w)));
        whole
            .chain(operations)
            .filter_map(|(scope, window)| {
                let until = window.arrival.0.load(Ordering::Relaxed);
                let at = moment(self.clock.0.load(Ordering::Relaxed));
                (until > 0).then(|| SpentQuota { scope, window: window.length, until: moment(until), at })
            })
            .collect()
    }

    /// The machine's clock may be set back: then what was spent moves with it, and nobody waits longer than before.
    fn set_clock(&self, now: Timestamp) {
        let (before, now) = (self.clock.0.load(Ordering::Relaxed), nanoseconds(now));
        self.clock.0.store(now, Ordering::Relaxed);
        if let Some(back) = before.checked_sub(now).filter(|back| *back > 0) {
            for window in self.windows() {
                for moment in [&window.arrival.0, &window.taken_at] {
                    moment.store(moment.load(Ordering::Relaxed).saturating_sub(back), Ordering::Relaxed);
                }
            }
        }
    }
}

/// Nanoseconds since 1970; 64 bits last until 2554.
fn nanoseconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or_default()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn moment(nanoseconds: u64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::constant(1_790_000_000, 0);

    fn quotas(per_second: u32, per_minute: u32) -> Quotas {
        Quotas { per_second: NonZeroU32::new(per_second), per_minute: NonZeroU32::new(per_minute), ..Quotas::default() }
    }

    fn after(millis: u64) -> Timestamp {
        START.checked_add(Duration::from_millis(millis)).unwrap()
    }

    /// Takes whatever can be had, looking as often as `step` says; the milliseconds of each.
    fn taken(limits: &mut Limits, operation: Option<&OperationId>, from: u64, to: u64, step: u64) -> Vec<u64> {
        let mut times = Vec::new();
        let mut at = from;
        while at < to {
            while limits.take(operation, after(at)).is_ok() {
                times.push(at);
            }
            at += step;
        }
        times
    }

    fn most_in_a_window(times: &[u64], window: u64) -> usize {
        times
            .iter()
            .enumerate()
            .map(|(at, first)| times[at..].iter().take_while(|t| **t < first + window).count())
            .max()
            .unwrap_or_default()
    }

    fn endpoint(quotas: &Quotas) -> Limits {
        Limits::new([(Scope::Endpoint, quotas)], &[], START)
    }

    #[test]
    fn no_window_sees_more_than_allowed_and_95_percent_are_usable() {
        for allowed in [1, 2, 3, 10, 24, 25, 49, 50, 51, 99, 100, 1_000, 5_000] {
            let seconds = if allowed > 100 { 3 } else { 20 };
            let times = taken(&mut endpoint(&quotas(allowed, 0)), None, 0, seconds * 1_000, 1);
            let most = most_in_a_window(&times, 1_000);
            assert!(most <= usize::try_from(allowed).unwrap(), "{most} of {allowed} in a second");
            let usable = f64::from(allowed) * f64::from(u32::try_from(seconds).unwrap()) * 0.95 - 1.0;
            assert!(f64::from(u32::try_from(times.len()).unwrap()) >= usable, "{} of {allowed} a second in {seconds} s", times.len());
        }
    }

    #[test]
    fn what_arrives_2_percent_late_still_keeps_the_window() {
        let times = taken(&mut endpoint(&quotas(100, 0)), None, 0, 20_000, 1);
        // The first of a window is as late as the margin allows, the last not at all: 976 ms of sending arrive within 1,000.
        assert!(most_in_a_window(&times, 1_000 + 24) <= 100);
    }

    #[test]
    fn several_windows_hold_at_once() {
        let times = taken(&mut endpoint(&quotas(10, 100)), None, 0, 180_000, 5);
        assert!(most_in_a_window(&times, 1_000) <= 10);
        assert!(most_in_a_window(&times, 60_000) <= 100);
        assert!(times.len() >= 285, "{} of 300 in three minutes", times.len());
    }

    #[test]
    fn an_operation_that_is_spent_leaves_the_others_alone_and_both_share_the_whole() {
        let (whole, own) = (quotas(0, 100), quotas(0, 10));
        let (slow, fast) = (OperationId("slow".into()), OperationId("fast".into()));
        let mut limits = Limits::new([(Scope::Endpoint, &whole), (Scope::Operation(slow.clone()), &own)], &[], START);
        limits.take(Some(&slow), START).unwrap();
        let refused = limits.take(Some(&slow), START).unwrap_err();
        assert_eq!(refused.scope, Scope::Operation(slow.clone()));
        limits.take(Some(&fast), START).unwrap();
        assert_eq!(limits.take(Some(&fast), START).unwrap_err().scope, Scope::Endpoint, "the burst of two was shared");
        limits.take(Some(&slow), refused.until).unwrap();
    }

    #[test]
    fn what_is_refused_spends_nothing() {
        let (whole, own) = (quotas(0, 100), quotas(1, 0));
        let operation = OperationId("o".into());
        let mut limits = Limits::new([(Scope::Endpoint, &whole), (Scope::Operation(operation.clone()), &own)], &[], START);
        limits.take(Some(&operation), START).unwrap();
        let before = limits.spent();
        for _ in 0..50 {
            assert!(limits.take(Some(&operation), START).is_err());
        }
        assert_eq!(limits.spent(), before);
    }

    #[test]
    fn a_restart_refills_nothing() {
        let quotas = quotas(5, 100);
        let mut times = Vec::new();
        let mut spent = Vec::new();
        // A crash every 300 ms.
        for life in 0..400 {
            let mut limits = Limits::new([(Scope::Endpoint, &quotas)], &spent, after(life * 300));
            times.extend(taken(&mut limits, None, life * 300, (life + 1) * 300, 10));
            spent = limits.spent();
        }
        assert!(most_in_a_window(&times, 1_000) <= 5);
        assert!(most_in_a_window(&times, 60_000) <= 100);
        assert!(times.len() >= 180, "{} of 200 in two minutes, for all the crashes", times.len());
    }

    #[test]
    fn what_was_stored_under_a_wrong_clock_holds_back_for_one_window_at_most() {
        let quotas = quotas(0, 60);
        let spent = [SpentQuota { scope: Scope::Endpoint, window: Duration::from_mins(1), until: after(400_000_000), at: START }];
        let mut limits = Limits::new([(Scope::Endpoint, &quotas)], &spent, START);
        let until = limits.take(None, START).unwrap_err().until;
        assert!(until <= after(63_000), "{until}");
    }

    #[test]
    fn a_clock_that_is_set_back_lets_nobody_wait_longer() {
        let mut limits = endpoint(&quotas(1, 0));
        limits.take(None, after(3_600_000)).unwrap();
        let until = limits.take(None, START).unwrap_err().until;
        assert!(until <= after(1_051), "{until}");
    }

    #[test]
    fn what_leaves_late_counts_from_when_it_leaves() {
        let quotas = quotas(10, 0);
        let mut limits = endpoint(&quotas);
        let mut sent = Vec::new();
        let mut at = 0;
        // The disk stalls for 400 ms before every seventh departure, for 15 ms before the others.
        for n in 0..200 {
            while limits.take(None, after(at)).is_err() {
                at += 1;
            }
            at += if n % 7 == 0 { 400 } else { 15 };
            limits.departs(after(at));
            sent.push(at);
        }
        assert!(most_in_a_window(&sent, 1_000) <= 10);
    }

    #[test]
    fn what_is_reserved_and_leaves_in_time_keeps_every_window_and_uses_it() {
        let quotas = quotas(25, 0);
        let mut limits = endpoint(&quotas);
        let (mut at, mut sent) = (0_u64, Vec::new());
        while at < 60_000 {
            limits.begins();
            let leaves = match limits.take(None, after(at)) {
                Ok(()) => at,
                Err(not_yet) => {
                    let slot = u64::try_from(not_yet.until.duration_since(START).as_millis()).unwrap() + 1;
                    if slot > at + 100 || limits.reserve(None, after(at), after(slot)).is_err() {
                        at += 1;
                        continue;
                    }
                    slot
                }
            };
            // The commit takes 30 ms: more than the tolerance, less than the wait.
            at = leaves.max(at + 30);
            limits.departs(after(at));
            sent.push(at);
        }
        assert!(most_in_a_window(&sent, 1_000) <= 25);
        assert!(sent.len() >= 1_425, "{} of 1,500", sent.len());
    }

    #[test]
    fn a_stall_of_the_tolerance_costs_nothing() {
        let mut limits = endpoint(&quotas(10, 0));
        let (mut at, mut sent) = (0, 0);
        while at < 60_000 {
            if limits.take(None, after(at)).is_ok() {
                limits.departs(after(at + 15));
                at += 15;
                sent += 1;
            }
            at += 1;
        }
        assert!(sent >= 570, "{sent} of 600");
    }

    #[test]
    fn without_a_quota_everything_may_go() {
        let mut limits = endpoint(&Quotas::default());
        assert!(limits.is_unlimited());
        assert!((0..10_000).all(|_| limits.take(None, START).is_ok()));
    }

    proptest! {
        #[test]
        fn whatever_the_rhythm_no_window_sees_more_than_allowed(
            per_second in 1..60_u32,
            per_minute in 1..400_u32,
            steps in prop::collection::vec((1..700_u64, 0..20_usize, any::<bool>()), 1..300),
        ) {
            let quotas = quotas(per_second, per_minute);
            let mut limits = endpoint(&quotas);
            let (mut at, mut times) = (0, Vec::new());
            for (step, wanted, restart) in steps {
                at += step;
                if restart {
                    limits = Limits::new([(Scope::Endpoint, &quotas)], &limits.spent(), after(at));
                }
                for _ in 0..wanted {
                    match limits.take(None, after(at)) {
                        Ok(()) => times.push(at),
                        Err(not_yet) => prop_assert!(not_yet.until > after(at)),
                    }
                }
            }
            prop_assert!(most_in_a_window(&times, 1_000) <= usize::try_from(per_second).unwrap());
            prop_assert!(most_in_a_window(&times, 60_000) <= usize::try_from(per_minute).unwrap());
        }
    }
}
