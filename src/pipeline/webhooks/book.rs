//! How webhooks stand, as the parts of a process write it down: what came, what was refused, what waits, and whether it is fetched.

use crate::declare::config::{SourceKind, SourceSpec, Taken};
use crate::model::Timestamp;
use crate::source::webhook::{Depth, Tally};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A subscription at a hub.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Subscription {
    /// The feed.
    pub topic: String,
    /// Until when it holds; `None`: the hub has not confirmed it.
    pub until: Option<String>,
}

/// How a webhook stands.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct WebhookStanding {
    /// The source.
    pub webhook: String,
    /// A listener in the DMZ takes its deliveries.
    pub outside: bool,
    /// Deliveries that were answered 200 here since the process started.
    pub received: u64,
    /// Those that were refused here since then, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Deliveries that were taken in since then: what they say is stored.
    pub drained: u64,
    /// Bytes that wait in the spool; `None`: it is another machine's, or not open yet.
    pub spool_bytes: Option<u64>,
    /// When the oldest delivery came that was seen to wait.
    pub oldest: Option<String>,
    /// When it was looked last at what waits.
    pub looked: Option<String>,
    /// For how many seconds something waits that should have been taken in; where it waits outside, or since nobody has been reached there.
    pub undrained_seconds: f64,
    /// At its hub.
    pub subscriptions: Vec<Subscription>,
}

#[derive(Debug, Default)]
struct Page {
    outside: bool,
    tally: Arc<Tally>,
    depth: Option<Arc<Depth>>,
    drained: u64,
    /// When it was looked at what waits, and when the oldest of that had come.
    looked: Option<(Timestamp, Option<i64>)>,
    subscriptions: Vec<Subscription>,
}

/// How the webhooks of a process stand.
#[derive(Debug, Default)]
pub struct Book(Mutex<BTreeMap<String, Page>>);

impl Book {
    fn pages(&self) -> MutexGuard<'_, BTreeMap<String, Page>> {
        // What is written is whole at every moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The webhooks are these from now on; what was counted of those that stay is kept.
    pub fn follow(&self, sources: &[SourceSpec]) {
        let mut pages = self.pages();
        let mut before = std::mem::take(&mut *pages);
        for spec in sources {
            let SourceKind::Webhook(hook) = &spec.kind else { continue };
            let mut page = before.remove(&*spec.name).unwrap_or_default();
            page.outside = matches!(hook.taken, Taken::Outside(_));
            pages.insert(spec.name.to_string(), page);
        }
    }

    fn write(&self, name: &str, change: impl FnOnce(&mut Page)) {
        if let Some(page) = self.pages().get_mut(name) {
            change(page);
        }
    }

    /// Where deliveries of a webhook are counted.
    pub fn tally(&self, name: &str) -> Arc<Tally> {
        self.pages().get(name).map(|page| page.tally.clone()).unwrap_or_default()
    }

    /// Its spool is open.
    pub fn spool(&self, name: &str, depth: Arc<Depth>) {
        self.write(name, |page| page.depth = Some(depth));
    }

    /// It was looked at what waits; the oldest of that came then, in microseconds since 1970.
    pub fn looked(&self, name: &str, now: Timestamp, oldest: Option<i64>) {
        self.write(name, |page| page.looked = Some((now, oldest)));
    }

    /// So many deliveries were taken in, and let go.
    pub fn drained(&self, name: &str, deliveries: usize) {
        self.write(name, |page| page.drained = page.drained.saturating_add(deliveries as u64));
    }

    /// How its subscriptions stand.
    pub fn subscriptions(&self, name: &str, all: Vec<Subscription>) {
        self.write(name, |page| page.subscriptions = all);
    }

    /// As they are now, of a process that runs since then.
    pub fn standings(&self, since: Timestamp, now: Timestamp) -> Vec<WebhookStanding> {
        let age = |at: i64| Timestamp::from_microsecond(at).map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0));
        let one = |(name, page): (&String, &Page)| {
            let waits = page.depth.as_ref().map(|depth| depth.read());
            let (looked, seen) = page.looked.map_or((None, None), |(at, oldest)| (Some(at), oldest));
            let oldest = if page.outside { seen } else { waits.and_then(|(_, oldest)| oldest) };
            let away = looked.unwrap_or(since).as_microsecond();
            WebhookStanding {
                webhook: name.clone(),
                outside: page.outside,
                received: page.tally.received(),
                refused: page.tally.by_reason().map(|(reason, count)| (reason.name().to_owned(), count)).collect(),
                drained: page.drained,
                spool_bytes: waits.map(|(bytes, _)| bytes).filter(|_| !page.outside),
                oldest: oldest.and_then(|at| Some(Timestamp::from_microsecond(at).ok()?.to_string())),
                looked: looked.map(|at| at.to_string()),
                undrained_seconds: oldest.map_or(0.0, age).max(if page.outside { age(away) } else { 0.0 }),
                subscriptions: page.subscriptions.clone(),
            }
        };
        self.pages().iter().map(one).collect()
    }
}
