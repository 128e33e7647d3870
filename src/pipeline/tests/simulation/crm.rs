//! A CRM that misbehaves: answers late, twice, never, partly, with throttling, with garbage. It knows what it was promised, and notes each breach.

use super::chance::Chance;
use crate::deliver::{Answer, DeliveryError, Exchange, Pause, Settled, Target, Written};
use crate::diagnose::{Code, Problems};
use crate::model::{Delivery, IdempotencyKey, Intended, Personal, Receipt, Value, WriteEffect, WriteIntent};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How a lost answer is settled here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Settling {
    /// It keeps idempotency keys: a repeat changes nothing, and a look-up tells.
    Ledger,
    /// A repeat changes nothing, but nobody can look.
    Repeat,
    /// It can be looked up, and a repeat writes twice.
    LookUp,
}

/// A client gives up on an answer after this.
const CLIENT_TIMEOUT: Duration = Duration::from_mins(1);

/// At most so many records in any second and any minute.
pub(super) type Promised = (usize, usize);

struct Inner {
    well: bool,
    rows: BTreeMap<String, String>,
    applied: BTreeMap<IdempotencyKey, u32>,
    newest: BTreeMap<String, u64>,
    arrivals: Vec<(Instant, usize)>,
    /// Since when, until when, it asked to be left alone.
    closed: Option<(Instant, Instant)>,
    session: bool,
    breaches: Vec<String>,
}

#[derive(Clone)]
pub(super) struct Crm {
    pub(super) name: &'static str,
    settling: Settling,
    promised: Promised,
    chance: Chance,
    inner: Arc<Mutex<Inner>>,
}

fn code() -> Code {
    Code("KITH-D001")
}

fn body(delivery: &Delivery) -> String {
    let value = delivery.payload.reveal().iter().find(|(name, _)| &**name == "Body").map(|(_, value)| value);
    if let Some(Value::Text(text)) = value { text.to_string() } else { String::new() }
}

/// `… v7` is version 7.
fn version(body: &str) -> u64 {
    body.rsplit_once(" v").and_then(|(_, v)| v.parse().ok()).unwrap_or(0)
}

fn bad(delivery: &Delivery) -> bool {
    body(delivery).contains("poison")
}

impl Crm {
    pub(super) fn new(name: &'static str, settling: Settling, promised: Promised, chance: Chance) -> Self {
        let inner = Inner {
            well: false,
            rows: BTreeMap::new(),
            applied: BTreeMap::new(),
            newest: BTreeMap::new(),
            arrivals: Vec::new(),
            closed: None,
            session: true,
            breaches: Vec::new(),
        };
        Self { name, settling, promised, chance, inner: Arc::new(Mutex::new(inner)) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The power failed at the other end. What was said a moment before nobody can know.
    pub(super) fn power_failed(&self) {
        let mut inner = self.inner();
        if inner.closed.is_some_and(|(since, _)| since.elapsed() < Duration::from_secs(5)) {
            inner.closed = None;
        }
    }

    /// From now on everything goes well.
    pub(super) fn mend(&self) {
        let mut inner = self.inner();
        (inner.well, inner.session) = (true, true);
    }

    pub(super) fn rows(&self) -> BTreeMap<String, String> {
        self.inner().rows.clone()
    }

    pub(super) fn times_applied(&self, key: IdempotencyKey) -> u32 {
        self.inner().applied.get(&key).copied().unwrap_or_default()
    }

    /// What it was promised and did not get.
    pub(super) fn breaches(&self) -> Vec<String> {
        let inner = self.inner();
        let mut breaches = inner.breaches.clone();
        for (window, allowed) in [(Duration::from_secs(1), self.promised.0), (Duration::from_mins(1), self.promised.1)] {
            for (at, (first, _)) in inner.arrivals.iter().enumerate() {
                let within: usize = inner.arrivals[at..].iter().take_while(|(t, _)| *t < *first + window).map(|(_, n)| n).sum();
                if within > allowed {
                    breaches.push(format!("{}: {within} records in {window:?}, {allowed} are allowed", self.name));
                    break;
                }
            }
        }
        breaches
    }

    fn apply(&self, delivery: &Delivery) -> WriteEffect {
        let mut inner = self.inner();
        let known = inner.applied.contains_key(&delivery.idempotency);
        if known && self.settling != Settling::LookUp {
            return WriteEffect::Unchanged;
        }
        let times = inner.applied.entry(delivery.idempotency).or_default();
        *times += 1;
        if *times > 1 {
            let breach = format!("{}: {:?} was written {times} times", self.name, body(delivery));
            inner.breaches.push(breach);
        }
        let record = delivery.record.0.to_string();
        if delivery.intent != WriteIntent::Write {
            inner.rows.remove(&record);
            inner.newest.insert(record, u64::MAX);
            return WriteEffect::Removed;
        }
        let text = body(delivery);
        let newest = inner.newest.get(&record).copied().unwrap_or_default();
        if version(&text) < newest {
            inner.breaches.push(format!("{}: {text:?} came after version {newest}", self.name));
        }
        inner.newest.insert(record.clone(), version(&text));
        if inner.rows.insert(record, text).is_some() { WriteEffect::Updated } else { WriteEffect::Inserted }
    }

    fn taken(&self, delivery: &Delivery) -> Answer {
        if bad(delivery) {
            return Err(DeliveryError::Refused { code: Code("KITH-D004"), message: "it does not fit".into() });
        }
        let effect = self.apply(delivery);
        Ok(Receipt::bare(delivery.id, effect))
    }

    /// Some of a batch, the rest never.
    fn some(&self, batch: &[Delivery]) {
        for delivery in batch {
            if !bad(delivery) && self.chance.one_in(2) {
                self.apply(delivery);
            }
        }
    }

    fn later(&self, batch: Vec<Delivery>) {
        let crm = self.clone();
        let wait = Duration::from_secs(self.chance.between(1, 300));
        tokio::spawn(async move {
            sleep(wait).await;
            for delivery in batch.iter().filter(|d| !bad(d)) {
                // What was overtaken meanwhile is refused by its key or not at all: only a CRM with keys may get it late.
                if crm.inner().applied.contains_key(&delivery.idempotency) {
                    continue;
                }
                crm.apply(delivery);
            }
        });
    }

    async fn answer(&self, batch: &[Delivery]) -> Written {
        let all = |error: DeliveryError| Written::answers(batch.iter().map(|_| Err(error.clone())).collect());
        let unknown = || DeliveryError::OutcomeUnknown { message: "the answer was lost".into() };
        let now = Instant::now();
        {
            let mut inner = self.inner();
            inner.arrivals.push((now, batch.len()));
            if let Some((since, until)) = inner.closed
                && now > since
                && now < until
            {
                let name = self.name;
                inner.breaches.push(format!("{name}: it asked to be left alone for {:?} more", until - now));
            }
        }
        if self.inner().well {
            return Written::answers(batch.iter().map(|delivery| self.taken(delivery)).collect());
        }
        if !self.inner().session {
            return all(DeliveryError::LoginExpired { code: code(), message: "the session ended".into() });
        }
        match self.chance.below(100) {
            0..=9 => sleep(Duration::from_millis(self.chance.below(20_000))).await,
            10..=13 => {
                // Lost on the way there.
                sleep(Duration::from_millis(self.chance.below(5_000))).await;
                return all(unknown());
            }
            14..=20 => {
                // Lost on the way back.
                sleep(Duration::from_millis(self.chance.below(2_000))).await;
                self.some(batch);
                sleep(Duration::from_millis(self.chance.below(5_000))).await;
                return all(unknown());
            }
            21..=23 => {
                // Never answered; perhaps it arrives later all the same, where keys keep that from harm.
                if self.settling == Settling::Ledger && self.chance.one_in(2) && batch.len() == 1 {
                    self.later(batch.to_vec());
                }
                sleep(CLIENT_TIMEOUT).await;
                return all(unknown());
            }
            24..=28 => {
                let failed = || DeliveryError::Failed { code: code(), message: "an inner error".into(), retry_after: None };
                let answer = |delivery: &Delivery| if self.chance.one_in(2) { Err(failed()) } else { self.taken(delivery) };
                return Written::answers(batch.iter().map(answer).collect());
            }
            29..=33 => {
                let wait = (!self.chance.one_in(4)).then(|| Duration::from_secs(self.chance.between(1, 600)));
                if let Some(wait) = wait {
                    self.inner().closed = Some((Instant::now(), Instant::now() + wait));
                }
                return all(DeliveryError::Throttled { code: code(), message: "too much".into(), wait });
            }
            34..=38 => return all(DeliveryError::Unavailable { code: code(), message: "refused".into(), retry_after: None }),
            39..=42 => return all(DeliveryError::Failed { code: code(), message: "500".into(), retry_after: None }),
            43..=44 => {
                self.inner().session = false;
                return all(DeliveryError::LoginExpired { code: code(), message: "the session ended".into() });
            }
            45 => panic!("the target's code panics"),
            46..=47 => {
                let wait = Duration::from_secs(self.chance.between(1, 120));
                self.inner().closed = Some((Instant::now(), Instant::now() + wait));
                let answers = batch.iter().map(|delivery| self.taken(delivery)).collect();
                return Written { answers, exchanges: Vec::new(), pause: Some(Pause { wait, said: "remaining: 0".into() }) };
            }
            48..=49 => {
                // Garbage, and fewer answers than questions.
                self.some(batch);
                return Written::default();
            }
            _ => {}
        }
        if batch.len() > 1 && batch.iter().any(bad) && self.chance.one_in(2) {
            return all(DeliveryError::BatchRefused { code: code(), message: "something in it does not fit".into() });
        }
        let answers: Vec<Answer> = batch.iter().map(|delivery| self.taken(delivery)).collect();
        let exchange = || Exchange { request: Personal::new("PUT".to_owned()), answer: Personal::new("422".to_owned()) };
        let exchanges = answers.iter().map(|answer| answer.is_err().then(exchange)).collect();
        Written { answers, exchanges, pause: None }
    }
}

impl Target for Crm {
    async fn write(&self, batch: &[Intended]) -> Written {
        let batch: Vec<Delivery> = batch.iter().map(|intended| intended.delivery().clone()).collect();
        self.answer(&batch).await
    }

    async fn settle(&self, unknown: &Delivery) -> Result<Settled, DeliveryError> {
        if !self.inner().well {
            sleep(Duration::from_millis(self.chance.below(500))).await;
            if self.chance.one_in(4) {
                return Err(DeliveryError::Unavailable { code: code(), message: "refused".into(), retry_after: None });
            }
        }
        Ok(match (self.settling, self.times_applied(unknown.idempotency)) {
            (Settling::Repeat, _) => Settled::Repeatable,
            (_, 0) => Settled::NotThere,
            (_, _) => Settled::Delivered(Receipt::bare(unknown.id, WriteEffect::Updated)),
        })
    }

    async fn login(&self) -> Result<(), DeliveryError> {
        if !self.inner().well && self.chance.one_in(3) {
            return Err(DeliveryError::Unavailable { code: code(), message: "the login is refused".into(), retry_after: None });
        }
        self.inner().session = true;
        Ok(())
    }

    async fn preview(&self, _batch: &[Delivery]) -> Vec<Answer> {
        Vec::new()
    }

    async fn check(&self) -> Problems {
        Problems::default()
    }
}
