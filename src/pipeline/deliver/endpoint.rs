//! What limits, waits and the breaker belong to: one CRM behind however many targets.

use super::budget::RetryBudget;
use crate::declare::connector::{Breaker, Quotas, Retry};
use crate::deliver::{DeliveryError, Limits, NotYet, Pause, Scope, SpentQuota, Target, half_rest};
use crate::model::{OperationId, Timestamp};
use crate::store::{EndpointReason, EndpointState, Spent};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Before the breaker opens, each failure is followed by a pause that begins here.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Whether something may be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Door {
    /// It may.
    Open,
    /// One record may try: the breaker is half open.
    Probe,
    /// Not before this time.
    Shut {
        /// When.
        until: Timestamp,
        /// Why.
        why: EndpointReason,
    },
}

/// How a send went, as far as the endpoint is concerned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It answers as it should, perhaps asking for a pause.
    Fine(Option<Pause>),
    /// It says: too much.
    Throttled {
        /// What it said.
        why: EndpointReason,
        /// For how long, where it says.
        wait: Option<Duration>,
    },
    /// The login had run out, and was made again.
    LoggedIn {
        /// What it had said.
        why: EndpointReason,
    },
    /// It could not take anything.
    Away {
        /// What happened.
        why: EndpointReason,
        /// For how long it asks to be left alone, where it says.
        wait: Option<Duration>,
    },
}

/// What a target said, as an endpoint remembers it.
pub fn why(error: &DeliveryError) -> EndpointReason {
    EndpointReason { code: error.code().0.into(), message: error.to_string().into() }
}

/// An endpoint, shared by the workers of its targets.
#[derive(Debug)]
pub struct Endpoint {
    /// Its name.
    pub name: Arc<str>,
    breaker: Breaker,
    inner: Mutex<Inner>,
    /// Rung when the door may have opened.
    pub(super) changed: Notify,
    /// How often somebody logged in.
    logins: tokio::sync::Mutex<u64>,
    /// Held from taking of the quotas until what took them leaves: what leaves, leaves in the order in which it was counted.
    pub(super) departure: tokio::sync::Mutex<()>,
    /// Held from reading how it stands until the store knows: else what one lane saw a moment ago could be stored after what another saw since,
    /// and a restart forgets what the endpoint asked for.
    pub(super) storing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Inner {
    state: EndpointState,
    /// As the store has it.
    stored: EndpointState,
    limits: Limits,
    budget: RetryBudget,
    probing: bool,
}

impl Endpoint {
    /// An endpoint as it stood when the last service ended. What it asked for still holds; our own rest does not: somebody may have mended it, and
    /// one probe tells.
    pub fn new<'a>(
        state: EndpointState,
        quotas: impl IntoIterator<Item = (Scope, &'a Quotas)>,
        spent: &[Spent],
        rules: (Retry, Breaker),
        now: Timestamp,
    ) -> Self {
        let name = state.name.clone();
        let rests = state.rests.map(|(until, why)| (until.min(now), why));
        let state = EndpointState { rests, ..state };
        let spent: Vec<SpentQuota> = spent.iter().filter(|spent| spent.endpoint == name).map(spent_quota).collect();
        let (retry, breaker) = rules;
        let inner = Inner {
            stored: state.clone(),
            state,
            limits: Limits::new(quotas, &spent, now),
            budget: RetryBudget::new(retry.budget_percent, now),
            probing: false,
        };
        Self {
            name,
            breaker,
            inner: Mutex::new(inner),
            changed: Notify::new(),
            logins: tokio::sync::Mutex::new(0),
            departure: tokio::sync::Mutex::new(()),
            storing: tokio::sync::Mutex::new(()),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing under the lock can panic half-way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something may be sent now. Who is told `Probe` must send one record and report its verdict.
    pub fn door(&self, now: Timestamp) -> Door {
        let mut inner = self.inner();
        if let Some((until, why)) = inner.state.closed_until(now) {
            return Door::Shut { until, why: why.clone() };
        }
        if inner.state.times == 0 {
            return Door::Open;
        }
        if inner.probing {
            let until = now.checked_add(Duration::from_secs(1)).unwrap_or(Timestamp::MAX);
            let why = inner.state.rests.as_ref().map(|(_, why)| why.clone());
            return Door::Shut {
                until,
                why: why.unwrap_or_else(|| EndpointReason { code: "KITH-D001".into(), message: "it is being asked".into() }),
            };
        }
        inner.probing = true;
        Door::Probe
    }

    /// Who was told `Probe` sends nothing after all.
    pub fn no_probe(&self) {
        self.inner().probing = false;
        self.changed.notify_waiters();
    }

    /// Spends one of each quota that stands over this operation (`None`: a look-up).
    ///
    /// # Errors
    /// Whose quota is spent, and until when.
    pub(super) fn take(&self, operation: Option<&OperationId>, now: Timestamp) -> Result<(), NotYet> {
        let mut inner = self.inner();
        if inner.limits.is_unlimited() { Ok(()) } else { inner.limits.take(operation, now) }
    }

    /// A departure begins: nothing is taken yet.
    pub(super) fn begins(&self) {
        self.inner().limits.begins();
    }

    /// As [`Endpoint::take`] for a moment that is near.
    ///
    /// # Errors
    /// Whose quota is spent then too, and until when.
    pub(super) fn reserve(&self, operation: &OperationId, now: Timestamp, at: Timestamp) -> Result<(), NotYet> {
        self.inner().limits.reserve(Some(operation), now, at)
    }

    /// What was taken leaves now. `false`: the endpoint asked meanwhile to be left alone, and nothing may leave.
    pub(super) fn departs(&self, now: Timestamp) -> bool {
        let mut inner = self.inner();
        inner.limits.departs(now);
        inner.state.closed_until(now).is_none()
    }

    /// What was spent, to be stored before what spends it leaves.
    pub(super) fn spent(&self) -> Vec<Spent> {
        let stored = |spent: SpentQuota| Spent {
            endpoint: self.name.clone(),
            operation: match spent.scope {
                Scope::Endpoint => None,
                Scope::Operation(operation) => Some(operation),
            },
            window_seconds: u32::try_from(spent.window.as_secs()).unwrap_or(u32::MAX),
            until: spent.until,
            at: spent.at,
        };
        self.inner().limits.spent().into_iter().map(stored).collect()
    }

    /// Whether a retry may leave.
    pub(super) fn allows_retry(&self, now: Timestamp) -> bool {
        self.inner().budget.allows(now)
    }

    /// A delivery leaves that failed before (`true`) or never did.
    pub(super) fn leaves(&self, retry: bool, now: Timestamp) {
        let mut inner = self.inner();
        if retry { inner.budget.spend(now) } else { inner.budget.earn() }
    }

    /// How it stands.
    pub fn state(&self) -> EndpointState {
        self.inner().state.clone()
    }

    /// What the store does not know yet: where storing it failed, the next step takes it along.
    pub(super) fn unstored(&self) -> Option<EndpointState> {
        let inner = self.inner();
        (inner.state != inner.stored).then(|| inner.state.clone())
    }

    /// The store knows this now.
    pub(super) fn stored(&self, state: EndpointState) {
        self.inner().stored = state;
    }

    /// Hears how a send went; the new state where it changed. It must be stored: [`Endpoint::unstored`].
    pub fn heard(&self, verdict: Verdict, now: Timestamp) -> Option<EndpointState> {
        let after = {
            let mut inner = self.inner();
            inner.probing = false;
            let before = inner.state.clone();
            self.apply(&mut inner.state, verdict, now);
            if inner.state == before {
                None
            } else {
                inner.state.changed_at = now;
                Some(inner.state.clone())
            }
        };
        self.changed.notify_waiters();
        after
    }

    fn apply(&self, state: &mut EndpointState, verdict: Verdict, now: Timestamp) {
        let from_now = |wait: Duration| now.checked_add(wait).unwrap_or(Timestamp::MAX);
        // A wait that was asked for is never shortened by a later answer.
        let wait = |state: &mut EndpointState, until: Timestamp, why: EndpointReason| {
            if state.waits.as_ref().is_none_or(|(before, _)| *before < until) {
                state.waits = Some((until, why));
            }
        };
        match verdict {
            Verdict::Fine(pause) => {
                (state.failures, state.times, state.rests) = (0, 0, None);
                if state.waits.as_ref().is_some_and(|(until, _)| *until <= now) {
                    state.waits = None;
                }
                if let Some(Pause { wait: asked, said }) = pause {
                    wait(state, from_now(asked), EndpointReason { code: "KITH-D030".into(), message: said });
                }
            }
            Verdict::Throttled { why, wait: asked } => {
                // It answers: it is not away.
                (state.times, state.rests) = (0, None);
                state.failures = state.failures.saturating_add(1);
                let asked = asked.unwrap_or_else(|| self.rest(self.breaker.first, state.failures));
                wait(state, from_now(asked), why);
            }
            // Once is how sessions end. A login that does not hold is an outage.
            Verdict::LoggedIn { .. } if state.failures == 0 => state.failures = 1,
            Verdict::LoggedIn { why } => self.apply(state, Verdict::Away { why, wait: None }, now),
            Verdict::Away { why, wait: asked } => {
                state.failures = state.failures.saturating_add(1);
                // Several lanes hear of one outage: it is one.
                if state.rests.as_ref().is_none_or(|(until, _)| *until <= now) {
                    let rest = if state.failures >= self.breaker.failures || state.times > 0 {
                        state.times = state.times.saturating_add(1);
                        self.rest(self.breaker.first, state.times)
                    } else {
                        self.rest(FIRST_PAUSE.min(self.breaker.first), state.failures)
                    };
                    state.rests = Some((from_now(rest), why.clone()));
                }
                if let Some(asked) = asked {
                    wait(state, from_now(asked), why);
                }
            }
        }
    }

    fn rest(&self, first: Duration, times: u32) -> Duration {
        let seed = self.name.bytes().fold(0_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        half_rest(first, self.breaker.longest, times, seed)
    }

    /// How often somebody logged in: what [`Endpoint::login`] compares with.
    pub(super) async fn logins(&self) -> u64 {
        *self.logins.lock().await
    }

    /// Logs in, unless somebody else did since `seen`.
    pub(super) async fn login<T: Target>(&self, target: &T, seen: u64) -> Result<(), DeliveryError> {
        let mut logins = self.logins.lock().await;
        if *logins == seen {
            target.login().await?;
            *logins += 1;
        }
        Ok(())
    }
}

/// What was spent of a quota, as the limits speak of it.
pub fn spent_quota(spent: &Spent) -> SpentQuota {
    SpentQuota {
        scope: spent.operation.clone().map_or(Scope::Endpoint, Scope::Operation),
        window: Duration::from_secs(u64::from(spent.window_seconds)),
        until: spent.until,
        at: spent.at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::constant(1_790_000_000, 0);

    fn after(seconds: u64) -> Timestamp {
        START.checked_add(Duration::from_secs(seconds)).unwrap()
    }

    fn endpoint(state: EndpointState) -> Endpoint {
        Endpoint::new(state, [], &[], (Retry::default(), Breaker::default()), START)
    }

    fn fresh() -> Endpoint {
        endpoint(EndpointState::well("crm".into(), START))
    }

    fn away(wait: Option<u64>) -> Verdict {
        Verdict::Away { why: EndpointReason { code: "KITH-D001".into(), message: "refused".into() }, wait: wait.map(Duration::from_secs) }
    }

    fn throttled(wait: Option<u64>) -> Verdict {
        Verdict::Throttled { why: EndpointReason { code: "KITH-D030".into(), message: "429".into() }, wait: wait.map(Duration::from_secs) }
    }

    fn until(endpoint: &Endpoint, now: Timestamp) -> Timestamp {
        match endpoint.door(now) {
            Door::Shut { until, .. } => until,
            Door::Open | Door::Probe => panic!("the door is not shut"),
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_lets_one_probe_in_and_closes_when_that_is_answered() {
        let endpoint = fresh();
        let mut now = START;
        for failure in 1..=5 {
            assert_eq!(endpoint.door(now), Door::Open, "failure {failure} comes from an open door");
            endpoint.heard(away(None), now);
            now = until(&endpoint, now);
        }
        assert_eq!(endpoint.state().times, 1, "the breaker is open");
        assert_eq!(endpoint.door(now), Door::Probe);
        assert!(matches!(endpoint.door(now), Door::Shut { .. }), "only one");
        endpoint.heard(away(None), now);
        let rest = until(&endpoint, now).duration_since(now);
        assert!(rest.as_secs() >= 5, "twice as long: {rest}");
        now = until(&endpoint, now);
        assert_eq!(endpoint.door(now), Door::Probe);
        endpoint.no_probe();
        assert_eq!(endpoint.door(now), Door::Probe);
        let state = endpoint.heard(Verdict::Fine(None), now).unwrap();
        assert!(state.is_well());
        assert_eq!(endpoint.door(now), Door::Open);
    }

    #[test]
    fn rests_never_go_beyond_the_longest_and_many_lanes_hear_one_outage_once() {
        let endpoint = fresh();
        let mut now = START;
        for _ in 0..40 {
            endpoint.heard(away(None), now);
            let first = until(&endpoint, now);
            endpoint.heard(away(None), now);
            assert_eq!(until(&endpoint, now), first, "a second lane");
            assert!(first.duration_since(now).as_secs() <= 300);
            now = first;
        }
    }

    #[test]
    fn what_the_server_asks_for_is_honoured_in_full_and_over_a_restart() {
        let endpoint = fresh();
        let state = endpoint.heard(throttled(Some(3_600)), START).unwrap();
        assert_eq!(until(&endpoint, after(3_599)), after(3_600));
        // An answer that was under way changes nothing.
        assert_eq!(endpoint.heard(Verdict::Fine(None), after(1)).unwrap().waits.unwrap().0, after(3_600));
        endpoint.heard(throttled(Some(10)), after(2));
        assert_eq!(until(&endpoint, after(2)), after(3_600), "a later and shorter wait does not shorten it");
        let again = super::tests::endpoint(state);
        assert_eq!(until(&again, after(3_000)), after(3_600));
        assert_eq!(again.door(after(3_600)), Door::Open);
    }

    #[test]
    fn a_restart_asks_an_endpoint_that_rested_with_one_record() {
        let endpoint = fresh();
        let mut now = START;
        for _ in 0..5 {
            endpoint.heard(away(None), now);
            now = until(&endpoint, now);
        }
        let again = super::tests::endpoint(endpoint.state());
        assert_eq!(again.door(START), Door::Probe);
    }

    #[test]
    fn a_success_that_says_nothing_is_left_pauses_too() {
        let endpoint = fresh();
        endpoint.heard(Verdict::Fine(Some(Pause { wait: Duration::from_secs(30), said: "remaining: 0".into() })), START);
        assert_eq!(until(&endpoint, START), after(30));
        assert_eq!(endpoint.door(after(30)), Door::Open);
        assert!(endpoint.heard(Verdict::Fine(None), after(31)).unwrap().is_well());
        assert_eq!(endpoint.heard(Verdict::Fine(None), after(32)), None, "nothing to store");
    }

    #[test]
    fn a_session_that_ends_costs_nothing_and_one_that_never_holds_is_an_outage() {
        let endpoint = fresh();
        let expired = || Verdict::LoggedIn { why: EndpointReason { code: "KITH-D001".into(), message: "401".into() } };
        endpoint.heard(expired(), START);
        assert_eq!(endpoint.door(START), Door::Open, "again at once");
        endpoint.heard(expired(), START);
        assert!(until(&endpoint, START) > START);
        endpoint.heard(Verdict::Fine(None), after(60));
        assert!(endpoint.state().is_well());
    }

    #[test]
    fn throttling_without_a_time_waits_longer_each_time() {
        let endpoint = fresh();
        endpoint.heard(throttled(None), START);
        let first = until(&endpoint, START).duration_since(START);
        let mut now = START;
        for _ in 0..5 {
            now = until(&endpoint, now);
            endpoint.heard(throttled(None), now);
        }
        assert!(until(&endpoint, now).duration_since(now).as_secs_f64() > first.as_secs_f64() * 8.0);
    }
}
