//! Subscriptions at hubs (`WebSub`): asked for, renewed when two thirds of their lease are over, ended for topics that are wanted no more and for sources that
//! are gone. Where each stands is kept, so that a restart asks nobody.

use super::book::{Book, Subscription};
use crate::declare::config::{Config, Hub, ProxySpec, SourceKind, Taken};
use crate::model::Timestamp;
use crate::pipeline::supervise::Watched;
use crate::pipeline::{Clock, Fault, RunError};
use crate::source::webhook::{At, HubError, Leaving, Said, Subscribing, chance, secret_mark, subscribe, unsubscribe};
use crate::store::Store;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// What the store remembers.
const KEPT: &str = "hub_subscriptions";
/// A hub that took a subscription on asks within this time whether it is meant; most do at once.
const CONFIRMED_WITHIN: Duration = Duration::from_mins(5);
/// Between two looks at what is due: a change of the files or a word of a hub is heard at once.
const LOOK: Duration = Duration::from_mins(1);
/// A lease that is this short is renewed no more often than this.
const OFTEN: Duration = Duration::from_secs(1);
/// Hubs of before that are still to let go of a feed; of more the oldest lease ends by itself.
const MOST_BEFORE: usize = 8;

/// A subscription, as it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Kept {
    hub: String,
    callback: String,
    /// Of the callback.
    chance: String,
    /// Which secret the hub was given.
    secret: String,
    /// When the hub was asked last, and has not come yet.
    asked: Option<Timestamp>,
    /// When it is to be renewed, and when it ends.
    renew: Option<Timestamp>,
    until: Option<Timestamp>,
    /// How the hub is reached, for when the source is gone; not known of what was kept before this was.
    #[serde(default)]
    way: Option<Way>,
    /// Subscriptions to the same feed at hubs or addresses of before, which are to end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    before: Vec<Self>,
}

/// How a hub is reached, but for a password.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Way {
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
    /// The proxy wants a login.
    login: bool,
}

impl Way {
    fn of(hub: &Hub) -> Self {
        let (proxy, login) = hub.proxy.as_ref().map_or((None, false), |proxy| (Some(proxy.url.clone()), proxy.login.is_some()));
        Self { ca_file: hub.ca_file.clone(), proxy, login }
    }
}

/// By source and topic.
type All = BTreeMap<String, BTreeMap<String, Kept>>;

/// Who answers hubs, by source: the listener and this part share them.
#[derive(Debug, Default)]
pub struct Questions {
    all: Mutex<BTreeMap<String, Arc<Subscribing>>>,
    heard: Arc<Notify>,
    leaving: Arc<Leaving>,
}

impl Questions {
    /// Those of one source.
    pub fn of(&self, source: &str) -> Arc<Subscribing> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(source.to_owned()).or_insert_with(|| Arc::new(Subscribing::new(self.heard.clone()))).clone()
    }

    /// Those of sources that are gone.
    pub fn leaving(&self) -> Arc<Leaving> {
        self.leaving.clone()
    }
}

/// What keeping subscriptions needs.
pub struct Keeping<S> {
    pub store: Arc<S>,
    pub clock: Arc<dyn Clock>,
    pub book: Arc<Book>,
    pub questions: Arc<Questions>,
}

/// The sources that have a hub.
fn hubs(config: &Config) -> impl Iterator<Item = (&str, &Hub, &[Arc<str>])> {
    config.sources.iter().filter_map(|spec| {
        let SourceKind::Webhook(hook) = &spec.kind else { return None };
        let Taken::Here { hub: Some(hub), topics, .. } = &hook.taken else { return None };
        Some((&*spec.name, &**hub, topics.as_slice()))
    })
}

/// Every topic has its callback; one of another hub or address begins anew, and the one of before is to end.
fn expected(
    source: &str,
    hub: &Hub,
    topics: &[Arc<str>],
    stand: &mut BTreeMap<String, Kept>,
    questions: &Subscribing,
) -> Result<(), HubError> {
    for topic in topics {
        if stand.get(&**topic).is_none_or(|kept| kept.hub != hub.url || kept.callback != hub.callback) {
            let (url, callback, chance, way) = (hub.url.clone(), hub.callback.clone(), chance()?, Some(Way::of(hub)));
            let mut before = Vec::new();
            if let Some(mut old) = stand.remove(&**topic) {
                let until = old.until.map(|until| until.to_string());
                tracing::info!(webhook = source, %topic, until, "the hub or the address is another one: the hub of before is asked to end what it delivers");
                (before, old.asked) = (std::mem::take(&mut old.before), None);
                before.push(old);
                for oldest in before.drain(..before.len().saturating_sub(MOST_BEFORE)) {
                    questions.forget(topic, &oldest.chance);
                }
            }
            let kept = Kept { hub: url, callback, chance, secret: String::new(), asked: None, renew: None, until: None, way, before };
            stand.insert(topic.to_string(), kept);
        }
    }
    for kept in stand.values_mut().filter(|kept| kept.hub == hub.url) {
        kept.way = Some(Way::of(hub));
    }
    Ok(())
}

impl<S: Store> Keeping<S> {
    /// Keeps every subscription of the configuration until dropped. What fails is told, and tried again.
    pub async fn keep(self, mut configs: watch::Receiver<Arc<Config>>, watched: impl Fn(String) -> Watched) {
        let mut failing: BTreeMap<String, (Watched, Timestamp)> = BTreeMap::new();
        // With what the files that a source went with knew, a proxy's password for instance.
        let mut known: BTreeMap<String, Hub> = BTreeMap::new();
        loop {
            let config = configs.borrow_and_update().clone();
            known.extend(hubs(&config).map(|(source, hub, _)| (source.to_owned(), hub.clone())));
            failing
                .retain(|name, _| self.questions.leaving.of(name).is_some() || hubs(&config).any(|(source, ..)| source == name.as_str()));
            let mut next = LOOK;
            match self.turn(&config, &known, &mut failing, &watched).await {
                Ok(within) => next = next.min(within),
                Err(error) => tracing::warn!(code = error.diagnostic().code.0, "where subscriptions at hubs stand can't be kept: {error}"),
            }
            tokio::select! {
                () = tokio::time::sleep(next) => {}
                () = self.questions.heard.notified() => {}
                changed = configs.changed() => {
                    if changed.is_err() {
                        return std::future::pending().await;
                    }
                }
            }
        }
    }

    /// Brings every subscription to where it should be; when the next one is due.
    async fn turn(
        &self,
        config: &Config,
        known: &BTreeMap<String, Hub>,
        failing: &mut BTreeMap<String, (Watched, Timestamp)>,
        watched: &impl Fn(String) -> Watched,
    ) -> Result<Duration, RunError> {
        let text = self.store.setting(KEPT).await?;
        let mut all: All = text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let mut before = all.clone();
        self.gone(config, &mut all);
        let mut denied = BTreeSet::new();
        for (source, hub, topics) in hubs(config) {
            let questions = self.questions.of(source);
            let stand = all.entry(source.to_owned()).or_default();
            if self.questions.leaving.end(source) {
                // It is there again before the hub has let go.
                for kept in stand.values_mut() {
                    (kept.asked, kept.renew) = (None, None);
                }
            }
            if self.hear(source, stand, &questions) {
                denied.insert(source);
            }
            if let Err(error) = expected(source, hub, topics, stand, &questions) {
                tracing::warn!(code = error.code().0, webhook = source, "{error}");
            }
        }
        // Whoever is killed after a hub was asked asks again with the same callback.
        self.keep_all(&all, &mut before).await?;
        let mut next = LOOK;
        for (source, hub, topics) in hubs(config) {
            let questions = self.questions.of(source);
            let stand = all.entry(source.to_owned()).or_default();
            if !self.rests(source, failing, &mut next) {
                let asked = if denied.contains(source) { Err(HubError::Denied) } else { self.source(hub, topics, stand, &questions).await };
                self.told(source, asked, failing, watched, &mut next)?;
            }
            self.due(stand, &mut next);
            let now = self.clock.now();
            let shown = |topic: &Arc<str>| Subscription {
                topic: topic.to_string(),
                until: stand.get(&**topic).and_then(|kept| kept.until).filter(|until| *until > now).map(|until| until.to_string()),
            };
            self.book.subscriptions(source, topics.iter().map(shown).collect());
        }
        let gone: Vec<String> = all.keys().filter(|source| self.questions.leaving.of(source).is_some()).cloned().collect();
        for source in gone {
            let Some(stand) = all.get_mut(&source) else { continue };
            let questions = self.questions.of(&source);
            if !self.rests(&source, failing, &mut next) {
                let asked = self.leave(stand.keys().cloned().collect(), stand, &questions, known.get(&source)).await;
                self.told(&source, asked, failing, watched, &mut next)?;
            }
            self.due(stand, &mut next);
            if stand.is_empty() {
                tracing::info!(webhook = %source, "of the source that is gone no subscription is left");
                self.questions.leaving.end(&source);
                failing.remove(&source);
                all.remove(&source);
            }
        }
        self.keep_all(&all, &mut before).await?;
        Ok(next)
    }

    /// Subscriptions of sources that are gone, or have no hub any more, are to end.
    fn gone(&self, config: &Config, all: &mut All) {
        for (source, stand) in all {
            if hubs(config).any(|(name, ..)| name == source.as_str()) {
                continue;
            }
            let questions = self.questions.of(source);
            if self.questions.leaving.of(source).is_none() {
                let until = stand.values().filter_map(|kept| kept.until).max().map(|until| until.to_string());
                tracing::info!(webhook = %source, until, "the source is gone or has no hub any more: its hub is asked to end what it subscribed to");
                for kept in stand.values_mut() {
                    kept.asked = None;
                    kept.before.iter_mut().for_each(|before| before.asked = None);
                }
                self.questions.leaving.begin(source, questions.clone());
            }
            self.hear(source, stand, &questions);
        }
    }

    /// Whether a source rests after a fault; the end of the rest is looked at.
    fn rests(&self, source: &str, failing: &BTreeMap<String, (Watched, Timestamp)>, next: &mut Duration) -> bool {
        let now = self.clock.now();
        let rests = failing.get(source).map(|(_, until)| until.duration_since(now)).filter(jiff::SignedDuration::is_positive);
        *next = rests.map_or(*next, |left| (*next).min(left.unsigned_abs()));
        rests.is_some()
    }

    /// What came of asking is told, and a fault followed by a rest.
    fn told(
        &self,
        source: &str,
        asked: Result<(), HubError>,
        failing: &mut BTreeMap<String, (Watched, Timestamp)>,
        watched: &impl Fn(String) -> Watched,
        next: &mut Duration,
    ) -> Result<(), RunError> {
        let Err(error) = asked else {
            if let Some((mut part, _)) = failing.remove(source) {
                part.well();
            }
            return Ok(());
        };
        let now = self.clock.now();
        let fault = RunError::Fault(Fault::of(error.diagnostic(&format!("[sources.{source}]"))));
        let part = failing.entry(source.to_owned());
        let (part, until) = part.or_insert_with(|| (watched(format!("subscription {source}")), now));
        let pause = part.failed(fault)?;
        *until = now.checked_add(pause).unwrap_or(now);
        *next = (*next).min(pause);
        Ok(())
    }

    /// When the next of these is due.
    fn due(&self, stand: &BTreeMap<String, Kept>, next: &mut Duration) {
        let now = self.clock.now();
        for kept in stand.values().flat_map(|kept| std::iter::once(kept).chain(&kept.before)) {
            let at = kept.asked.and_then(|at| at.checked_add(CONFIRMED_WITHIN).ok()).or(kept.renew);
            *next = (*next).min(at.map_or(LOOK, |at| at.duration_since(now).try_into().unwrap_or(OFTEN)).max(OFTEN));
        }
    }

    async fn keep_all(&self, all: &All, before: &mut All) -> Result<(), RunError> {
        if all != before {
            self.store.set(vec![(KEPT.into(), serde_json::to_string(all).unwrap_or_default())], Vec::new()).await?;
            before.clone_from(all);
        }
        Ok(())
    }

    /// What hubs have said meanwhile; whether one denied something.
    fn hear(&self, source: &str, stand: &mut BTreeMap<String, Kept>, questions: &Subscribing) -> bool {
        let mut denied = false;
        for (topic, kept) in stand.iter_mut() {
            kept.before.retain(|before| {
                let ended = questions.said(topic, &before.chance) == Some(Said::Ended);
                if ended {
                    tracing::info!(webhook = source, topic, "the hub of before ended a subscription, as it was asked to");
                    questions.forget(topic, &before.chance);
                }
                !ended
            });
        }
        stand.retain(|topic, kept| match questions.said(topic, &kept.chance) {
            None => true,
            Some(Said::Granted { at, lease }) => {
                let at = Timestamp::from_microsecond(at).unwrap_or_else(|_beyond_time| self.clock.now());
                let after = |time: Duration| at.checked_add(time).ok();
                *kept = Kept { asked: None, renew: after((lease * 2 / 3).max(OFTEN)), until: after(lease), ..kept.clone() };
                tracing::info!(webhook = source, topic, lease = lease.as_secs(), "a hub confirmed a subscription");
                true
            }
            Some(Said::Denied) => {
                denied = true;
                *kept = Kept { asked: None, renew: None, until: None, ..kept.clone() };
                true
            }
            Some(Said::Ended) => {
                tracing::info!(webhook = source, topic, "a hub ended a subscription, as it was asked to");
                questions.forget(topic, &kept.chance);
                *kept = Kept { asked: None, renew: None, until: None, ..kept.clone() };
                !kept.before.is_empty()
            }
        });
        denied
    }

    /// Asks for what is due. The first fault is told; the other topics go on.
    async fn source(
        &self,
        hub: &Hub,
        topics: &[Arc<str>],
        stand: &mut BTreeMap<String, Kept>,
        questions: &Subscribing,
    ) -> Result<(), HubError> {
        let mark = secret_mark(hub)?;
        let mut told = Ok(());
        for topic in topics {
            let now = self.clock.now();
            let Some(kept) = stand.get_mut(&**topic) else { continue };
            questions.expect(topic, &kept.chance, true);
            let due = kept.secret != mark || kept.renew.is_none_or(|at| at <= now);
            let pending = kept.asked.map(|at| now.duration_since(at).unsigned_abs());
            let late = pending.filter(|since| *since >= CONFIRMED_WITHIN);
            if late.is_some() {
                kept.asked = None;
                told = told.and(Err(HubError::NotConfirmed(CONFIRMED_WITHIN)));
            } else if pending.is_none() && due {
                // The question may come before the answer does.
                (kept.asked, kept.secret) = (Some(now), mark.clone());
                if let Err(error) = subscribe(hub, topic, &kept.chance).await {
                    // It is asked again after a rest.
                    kept.asked = None;
                    kept.renew = None;
                    told = told.and(Err(error));
                }
            }
        }
        for (topic, kept) in stand.iter_mut() {
            told = told.and(self.end_before(topic, kept, questions, Some(hub)).await);
        }
        let left: Vec<String> = stand.keys().filter(|topic| topics.iter().all(|wanted| **wanted != *topic.as_str())).cloned().collect();
        told.and(self.leave(left, stand, questions, Some(hub)).await)
    }

    /// Asks hubs to end what is wanted no more, until they have or the lease is over. The first fault is told; the other topics go on.
    async fn leave(
        &self,
        topics: Vec<String>,
        stand: &mut BTreeMap<String, Kept>,
        questions: &Subscribing,
        known: Option<&Hub>,
    ) -> Result<(), HubError> {
        let mut told = Ok(());
        for topic in topics {
            let Some(kept) = stand.get_mut(&topic) else { continue };
            told = told.and(self.end_before(&topic, kept, questions, known).await);
            let (over, ended) = self.let_go(&topic, kept, questions, known).await;
            told = told.and(ended);
            if over && kept.before.is_empty() {
                stand.remove(&topic);
            }
        }
        told
    }

    /// Has hubs of before end what they deliver of a topic.
    async fn end_before(&self, topic: &str, kept: &mut Kept, questions: &Subscribing, known: Option<&Hub>) -> Result<(), HubError> {
        let mut told = Ok(());
        let mut left = Vec::new();
        for mut before in std::mem::take(&mut kept.before) {
            let (over, ended) = self.let_go(topic, &mut before, questions, known).await;
            told = told.and(ended);
            if !over {
                left.push(before);
            }
        }
        kept.before = left;
        told
    }

    /// Has a hub end one subscription, asked again as long as it has not; whether its lease is over.
    async fn let_go(&self, topic: &str, kept: &mut Kept, questions: &Subscribing, known: Option<&Hub>) -> (bool, Result<(), HubError>) {
        let now = self.clock.now();
        // A lease that is over needs no word.
        if kept.until.is_none_or(|until| until <= now) {
            questions.forget(topic, &kept.chance);
            return (true, Ok(()));
        }
        questions.expect(topic, &kept.chance, false);
        let late = kept.asked.is_some_and(|at| now.duration_since(at).unsigned_abs() >= CONFIRMED_WITHIN);
        let mut told = if late { Err(HubError::NotConfirmed(CONFIRMED_WITHIN)) } else { Ok(()) };
        if kept.renew.take().is_some() || kept.asked.is_none() || late {
            kept.asked = Some(now);
            if let Err(error) = end(kept, topic, known).await {
                kept.asked = None;
                told = told.and(Err(error));
            }
        }
        (false, told)
    }
}

/// Asks the hub of then to end a subscription.
async fn end(kept: &Kept, topic: &str, known: Option<&Hub>) -> Result<(), HubError> {
    let at = |ca_file, proxy| At { url: &kept.hub, callback: &kept.callback, ca_file, proxy };
    if let Some(hub) = known.filter(|hub| Some(Way::of(hub)) == kept.way) {
        return unsubscribe(at(hub.ca_file.as_deref(), hub.proxy.as_ref()), topic, &kept.chance).await;
    }
    let way = kept.way.as_ref().filter(|way| !way.login).ok_or(HubError::NoWay)?;
    let proxy = way.proxy.clone().map(|url| ProxySpec { url, login: None });
    unsubscribe(at(way.ca_file.as_deref(), proxy.as_ref()), topic, &kept.chance).await
}
