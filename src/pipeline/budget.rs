//! What sources spend on calls, month by month, and the budgets that they keep to.
//!
//! The most that a call can cost is added to the month's sum and stored before the call is made, and replaced by what it cost after. A kill between
//! the two leaves the sum too high, never too low. All streams of a source share one sum; polled reads and the back-fill of live streams do, too.

use super::leaves::Scribe;
use super::{Clock, RunError};
use crate::declare::config::{SourceKind, SourceSpec};
use crate::declare::manifest::Connector;
use crate::manifest::cost::{Cost, Money, Month};
use crate::model::Timestamp;
use crate::source::manifest::{Answered, Purse, PurseError, Reserved};
use crate::store::Store;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Mutex;

/// The store's setting that keeps it.
pub const SPENDING: &str = "spending";

/// What one source has spent in a month.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// Millionths of the budget; `None`: what is spent is counted and nothing is held back.
    budget: Option<u64>,
    /// `USD`
    currency: String,
    /// When the month ends, in seconds since 1970.
    ends: i64,
    /// Its number.
    month: i32,
    /// Millionths that were spent, what is set aside for calls that are being made included.
    sum: u64,
    /// Streams that wait for the next month.
    waits: BTreeSet<String>,
}

impl Spent {
    /// The budget of a month, where there is one.
    pub fn budget(&self) -> Option<Money> {
        self.budget.map(Money::of_millionths)
    }

    /// What was spent.
    pub const fn spent(&self) -> Money {
        Money::of_millionths(self.sum)
    }

    /// Three letters.
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// `2026-11`
    pub fn month(&self) -> String {
        Month::name(self.month)
    }

    /// When the next month begins: what waits goes on.
    pub fn ends(&self) -> Timestamp {
        Timestamp::from_second(self.ends).unwrap_or(Timestamp::MAX)
    }

    /// Streams that wait for it.
    pub const fn waits(&self) -> &BTreeSet<String> {
        &self.waits
    }
}

/// What every source has spent, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spending(BTreeMap<String, Spent>);

impl Spending {
    /// As the store keeps it; `None` where that can't be read.
    pub fn of(kept: Option<&str>) -> Option<Self> {
        kept.map_or_else(|| Some(Self::default()), |text| serde_json::from_str(text).ok())
    }

    /// Months that last, by source. What was spent in one that is over is no longer of interest.
    pub fn at(&self, now: Timestamp) -> impl Iterator<Item = (&str, &Spent)> {
        self.0.iter().filter(move |(_, spent)| now < spent.ends()).map(|(name, spent)| (name.as_str(), spent))
    }

    /// The sum of a source's month, begun anew where the month is, and where the prices are in other money.
    fn line(&mut self, account: &Terms, now: Timestamp) -> &mut Spent {
        self.0.retain(|name, spent| now < spent.ends() || *name == *account.source);
        let month = Month::of(now, &account.cost.zone);
        let currency = account.cost.currency.name();
        let fresh = || Spent {
            budget: None,
            currency: currency.to_owned(),
            ends: month.ends.as_second(),
            month: month.number,
            sum: 0,
            waits: BTreeSet::new(),
        };
        let line = self.0.entry(account.source.to_string()).or_insert_with(fresh);
        // A clock that was set back begins no month that is over again: its sum would be lost.
        if line.month < month.number || line.currency != currency {
            *line = fresh();
        }
        line.budget = account.budget.map(Money::millionths);
        line
    }
}

/// What a source spends by.
#[derive(Clone, Debug)]
struct Terms {
    source: Arc<str>,
    budget: Option<Money>,
    cost: Cost,
}

/// What all sources spend, kept in the store.
pub struct Till<S> {
    store: Arc<S>,
    clock: Arc<dyn Clock>,
    /// `None` until it was read. Never below what the store has: where a write fails, or is given up, this one is the higher.
    kept: Mutex<Option<Spending>>,
}

impl<S: Store + 'static> Till<S> {
    /// Over a store.
    pub fn new(store: Arc<S>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, kept: Mutex::new(None) }
    }

    /// A source's account; `None` where its connector names no prices.
    pub fn account(self: &Arc<Self>, spec: &SourceSpec, connector: &Connector) -> Option<Account<S>> {
        let SourceKind::Network(network) = &spec.kind else { return None };
        let cost = connector.source.cost.clone()?;
        let budget = network.budget.as_ref().map(|budget| budget.most);
        Some(Account { till: self.clone(), terms: Terms { source: spec.name.clone(), budget, cost } })
    }

    /// What every source has spent in the month that lasts.
    ///
    /// # Errors
    /// What the store says, and where it holds something else.
    pub async fn read(&self) -> Result<Spending, PurseError> {
        let mut kept = self.kept.lock().await;
        self.open(&mut kept).await.cloned()
    }

    async fn open<'k>(&self, kept: &'k mut Option<Spending>) -> Result<&'k mut Spending, PurseError> {
        let found = if let Some(found) = kept.take() {
            found
        } else {
            let text = self.store.setting(SPENDING).await.map_err(|error| PurseError::Unkept(error.to_string()))?;
            let unread = || PurseError::Unkept(format!("the setting `{SPENDING}` of the store can't be read"));
            Spending::of(text.as_deref()).ok_or_else(unread)?
        };
        Ok(kept.insert(found))
    }

    async fn keep(&self, spending: &Spending, leaves: Vec<Vec<u8>>) -> Result<(), PurseError> {
        let unkept = |error: &dyn std::fmt::Display| PurseError::Unkept(error.to_string());
        let text = serde_json::to_string(spending).map_err(|error| unkept(&error))?;
        self.store.set(vec![(SPENDING.into(), text)], leaves).await.map_err(|error| unkept(&error))
    }
}

/// What happened with a stream and its source's budget, for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BudgetStep {
    /// It waits for the next month.
    Waits,
    /// It goes on: the month is over, or the budget was raised.
    GoesOn,
}

/// One source's part of the till.
pub struct Account<S> {
    till: Arc<Till<S>>,
    terms: Terms,
}

impl<S: Store + 'static> Account<S> {
    /// This account as a reader pays out of it.
    pub fn purse(&self) -> Arc<dyn Purse> {
        Arc::new(Self { till: self.till.clone(), terms: self.terms.clone() })
    }

    /// Until when a stream waits whose dearest call costs so much; `None`: it may be read. A change of that is written to the log.
    ///
    /// # Errors
    /// Where it can't be kept.
    pub async fn waits(&self, stream: &str, dearest: Money, scribe: &Scribe) -> Result<Option<Timestamp>, RunError> {
        let now = self.till.clock.now();
        let mut kept = self.till.kept.lock().await;
        let spending = self.till.open(&mut kept).await.map_err(|error| self.fault(&error))?;
        let before = spending.clone();
        let line = spending.line(&self.terms, now);
        let waits = self.terms.budget.is_some_and(|budget| line.spent().plus(dearest) > budget);
        let step = if waits {
            line.waits.insert(stream.to_owned()).then_some(BudgetStep::Waits)
        } else {
            let waited = line.waits.remove(stream) || before.0.get(&*self.terms.source).is_some_and(|line| line.waits.contains(stream));
            waited.then_some(BudgetStep::GoesOn)
        };
        let (until, told) = (line.ends(), line.clone());
        let mut leaves = Vec::new();
        if let Some(step) = step {
            self.say(stream, step, dearest, &told);
            leaves.push(scribe.budget(&self.terms.source, stream, step, &told, now)?);
        }
        if *spending != before
            && let Err(error) = self.till.keep(spending, leaves).await
        {
            // Told with the next look, then.
            *spending = before;
            return Err(self.fault(&error));
        }
        Ok(waits.then_some(until))
    }

    /// Where people find it.
    pub fn place(&self) -> String {
        format!("[sources.{}]", self.terms.source)
    }

    fn say(&self, stream: &str, step: BudgetStep, dearest: Money, line: &Spent) {
        let (place, currency) = (format!("[sources.{}], stream {stream}", self.terms.source), line.currency());
        let (spent, month, budget) = (line.spent(), line.month(), line.budget().unwrap_or_default());
        match step {
            BudgetStep::Waits => tracing::warn!(
                code = "KITH-N075",
                place,
                "waits until {}: {spent} of {budget} {currency} are spent in {month}, and the next call can cost {dearest}",
                line.ends()
            ),
            BudgetStep::GoesOn => tracing::info!(place, "goes on: {spent} of {budget} {currency} are spent in {month}"),
        }
    }

    fn fault(&self, error: &PurseError) -> RunError {
        let place = self.place();
        RunError::Fault(super::Fault::of(crate::source::manifest::ReadError::Purse(error.clone()).diagnostic(&place)))
    }
}

impl<S: Store + 'static> Purse for Account<S> {
    fn reserve(&self, most: Money) -> Answered<'_, Reserved> {
        Box::pin(async move {
            let mut kept = self.till.kept.lock().await;
            let spending = self.till.open(&mut kept).await?;
            let line = spending.line(&self.terms, self.till.clock.now());
            let after = line.spent().plus(most);
            if self.terms.budget.is_some_and(|budget| after > budget) {
                return Err(PurseError::Spent { until: line.ends() });
            }
            line.sum = after.millionths();
            let month = line.month;
            self.till.keep(spending, Vec::new()).await?;
            Ok(Reserved { most, month })
        })
    }

    fn settle(&self, reserved: Reserved, cost: Money) -> Answered<'_, ()> {
        Box::pin(async move {
            let mut kept = self.till.kept.lock().await;
            let spending = self.till.open(&mut kept).await?;
            // Where the prices are in other money since a reload, the call is of a sum that is no longer kept.
            if spending.0.get(&*self.terms.source).is_some_and(|line| line.currency != self.terms.cost.currency.name()) {
                return Ok(());
            }
            let line = spending.line(&self.terms, self.till.clock.now());
            // Where the month has turned meanwhile, the call was the last one's.
            if line.month == reserved.month {
                line.sum = line.spent().minus(reserved.most).plus(cost).millionths();
                self.till.keep(spending, Vec::new()).await?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::cost::{Currency, Price};
    use crate::store::log::InstallationKeys;
    use crate::store::sqlite::{Options, SqliteStore};
    use jiff::tz::TimeZone;

    fn terms(budget: &str, currency: &str) -> Terms {
        let cost = Cost {
            currency: Currency::parse(currency).unwrap(),
            as_of: "2026-11-28".into(),
            documentation: "https://a.example".into(),
            zone: TimeZone::UTC,
            usual: Price::default(),
            streams: Vec::new(),
            look_ups: Vec::new(),
        };
        Terms { source: "x".into(), budget: Money::parse(budget), cost }
    }

    #[test]
    fn a_sum_is_of_its_month_and_a_clock_that_is_set_back_loses_none() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (mut spending, terms) = (Spending::default(), terms("50", "USD"));
        let line = spending.line(&terms, at("2026-11-30T23:59:59Z"));
        (line.sum, line.waits) = (7, BTreeSet::from(["mentions".to_owned()]));
        assert_eq!((line.month(), line.ends(), line.budget()), ("2026-11".to_owned(), at("2026-12-01T00:00:00Z"), Money::parse("50")));
        let kept = serde_json::to_string(&spending).unwrap();
        assert_eq!(Spending::of(Some(&kept)).as_ref(), Some(&spending));
        assert_eq!(spending.at(at("2026-12-01T00:00:00Z")).count(), 0, "a month that is over is not told");
        let line = spending.line(&terms, at("2026-12-01T00:00:00Z"));
        assert_eq!((line.sum, line.waits.len(), line.month()), (0, 0, "2026-12".to_owned()));
        line.sum = 9;
        assert_eq!(spending.line(&terms, at("2026-11-15T00:00:00Z")).sum, 9);
        assert_eq!(spending.line(&self::terms("50", "EUR"), at("2026-12-02T00:00:00Z")).sum, 0, "other money is another sum");
    }

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            "2026-11-28T09:00:00Z".parse().unwrap()
        }
    }

    fn till() -> (Arc<Till<SqliteStore>>, tempfile::TempDir) {
        let (folder, keys) = (tempfile::tempdir().unwrap(), InstallationKeys::for_one_process("kith.test/till").unwrap());
        let options = Options { seed: [7; 32], max_pages: None };
        let store = SqliteStore::in_memory_copy(&folder.path().join("state"), keys.master, keys.hash, options).unwrap();
        (Arc::new(Till::new(Arc::new(store), Arc::new(Still))), folder)
    }

    async fn kept(till: &Till<SqliteStore>) -> Money {
        let text = till.store.setting(SPENDING).await.unwrap();
        Spending::of(text.as_deref()).unwrap().0.get("x").unwrap().spent()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn however_many_reserve_at_the_same_moment_no_more_is_set_aside_than_there_is() {
        let (till, _folder) = till();
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let account = Account { till: till.clone(), terms: terms("1.00", "USD") };
                tokio::spawn(async move { account.reserve(Money::parse("0.10").unwrap()).await })
            })
            .collect();
        let (mut set_aside, mut refused) = (Vec::new(), 0);
        for task in tasks {
            match task.await.unwrap() {
                Ok(reserved) => set_aside.push(reserved),
                Err(PurseError::Spent { until }) => {
                    assert_eq!(until, "2026-12-01T00:00:00Z".parse::<Timestamp>().unwrap());
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!((set_aside.len(), refused), (10, 30));
        assert_eq!(Some(kept(&till).await), Money::parse("1.00"));
        let settled = set_aside.into_iter().map(|reserved| {
            let account = Account { till: till.clone(), terms: terms("1.00", "USD") };
            tokio::spawn(async move { account.settle(reserved, Money::parse("0.03").unwrap()).await })
        });
        for task in settled.collect::<Vec<_>>() {
            task.await.unwrap().unwrap();
        }
        assert_eq!(Some(kept(&till).await), Money::parse("0.30"));
    }

    #[tokio::test]
    async fn a_call_that_was_paid_in_other_money_changes_nothing_of_the_sum_that_is_kept_now() {
        let (till, _folder) = till();
        let account = |currency: &str| Account { till: till.clone(), terms: terms("1.00", currency) };
        let money = |text: &str| Money::parse(text).unwrap();
        let before = account("EUR").reserve(money("0.50")).await.unwrap();
        // The price list and the budget are in dollars from here on.
        account("USD").reserve(money("0.20")).await.unwrap();
        account("EUR").settle(before, money("0.40")).await.unwrap();
        assert_eq!(kept(&till).await, money("0.20"));
    }

    #[test]
    fn what_is_not_understood_is_no_empty_till() {
        assert_eq!(Spending::of(None), Some(Spending::default()));
        assert_eq!([Spending::of(Some("")), Spending::of(Some("{\"x\":7}")), Spending::of(Some("[]"))], [None, None, None]);
    }
}
