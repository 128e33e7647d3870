//! Questions of a hub that this side asked for (`WebSub`, W3C Recommendation of 2018-01-23, section 5.3). Each subscription's callback has a chance of its own
//! behind the `?`, which only the hub is told: whoever does not know it can neither confirm nor deny nor end anything.

use crate::manifest::webhook::{Answer, same};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The parameter of the callback that holds the chance.
pub const CHANCE: &str = "kith";
/// A challenge is echoed: hubs send 10 to 100 characters.
const LONGEST_CHALLENGE: usize = 1_024;
/// A lease is believed up to here: 31 days, which is more than hubs grant. What is renewed earlier than it must be harms nobody.
const LONGEST_LEASE: Duration = Duration::from_hours(31 * 24);
/// A hub that tells no lease, which it must: a day.
const UNTOLD_LEASE: Duration = Duration::from_hours(24);

/// What a hub said about a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// It holds for so long from this moment, in microseconds since 1970.
    Granted {
        /// When the hub asked.
        at: i64,
        /// How long.
        lease: Duration,
    },
    /// The hub does not let us.
    Denied,
    /// It has ended, as we asked.
    Ended,
}

/// A subscription to a feed.
struct Topic {
    /// Whether it is to be subscribed to; else to be left.
    wanted: bool,
    /// What was said and nobody has read.
    said: Option<Said>,
}

/// The subscriptions of one source: one of each feed, and those at hubs of before that are to end.
pub struct Subscribing {
    /// By the feed and the chance of the callback.
    topics: Mutex<BTreeMap<(String, String), Topic>>,
    heard: Arc<Notify>,
}

impl std::fmt::Debug for Subscribing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscribing")
    }
}

impl Subscribing {
    /// None yet; `heard` is told when a hub has said something.
    pub fn new(heard: Arc<Notify>) -> Self {
        Self { topics: Mutex::default(), heard }
    }

    fn topics(&self) -> MutexGuard<'_, BTreeMap<(String, String), Topic>> {
        // What is written is whole at every moment.
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A subscription is asked for, stands, or is to be ended; its callback has this chance.
    pub fn expect(&self, topic: &str, chance: &str, wanted: bool) {
        let mut topics = self.topics();
        // What was said meanwhile about the same is not lost.
        let key = (topic.to_owned(), chance.to_owned());
        let said = topics.remove(&key).filter(|before| before.wanted == wanted).and_then(|before| before.said);
        topics.insert(key, Topic { wanted, said });
    }

    /// It is over: nothing is answered any more.
    pub fn forget(&self, topic: &str, chance: &str) {
        self.topics().remove(&(topic.to_owned(), chance.to_owned()));
    }

    /// What a hub said about it since it was asked last.
    pub fn said(&self, topic: &str, chance: &str) -> Option<Said> {
        self.topics().get_mut(&(topic.to_owned(), chance.to_owned()))?.said.take()
    }

    /// The answer to a question; `now` is in microseconds since 1970.
    pub fn answer(&self, query: &str, now: i64) -> Option<Answer> {
        let asked = |name: &str| {
            let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name).map(|(_, value)| value);
            // Twice the same name is no question of theirs.
            found.next().filter(|_| found.next().is_none())
        };
        let (mode, name, chance) = (asked("hub.mode")?, asked("hub.topic")?, asked(CHANCE)?);
        let mut topics = self.topics();
        let own = |(topic, own): &(String, String)| *topic == *name && same(own.as_bytes(), chance.as_bytes());
        let topic = topics.iter_mut().find(|(key, _)| own(key)).map(|(_, topic)| topic)?;
        let challenge = || asked("hub.challenge").filter(|text| !text.is_empty() && text.len() <= LONGEST_CHALLENGE);
        let (said, about, text) = match (&*mode, topic.wanted) {
            ("subscribe", true) => {
                let told = asked("hub.lease_seconds").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
                (Said::Granted { at: now, lease: told.unwrap_or(UNTOLD_LEASE).min(LONGEST_LEASE) }, "subscription", challenge()?)
            }
            ("unsubscribe", false) => (Said::Ended, "end of a subscription", challenge()?),
            ("denied", _) => (Said::Denied, "denial", std::borrow::Cow::Borrowed("")),
            _ => return None,
        };
        topic.said = Some(said);
        self.heard.notify_one();
        Some(Answer { kind: "text/plain; charset=utf-8", text: text.into_owned(), about })
    }
}

/// Subscriptions that are to end though their source is gone, by its name: hubs are answered as long as they have not ended.
#[derive(Debug, Default)]
pub struct Leaving(Mutex<BTreeMap<String, Arc<Subscribing>>>);

impl Leaving {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Subscribing>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The source is gone, and these are to end.
    pub fn begin(&self, source: &str, subscribing: Arc<Subscribing>) {
        self.all().insert(source.to_owned(), subscribing);
    }

    /// They have ended, or the source is there again; whether any were to end.
    pub fn end(&self, source: &str) -> bool {
        self.all().remove(source).is_some()
    }

    /// Those of a source that is gone.
    pub fn of(&self, source: &str) -> Option<Arc<Subscribing>> {
        self.all().get(source).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEED: &str = "https://blog.example/feed.xml";

    fn asked(of: &Subscribing, mode: &str, topic: &str, more: &str) -> Option<String> {
        let topic: String = form_urlencoded::byte_serialize(topic.as_bytes()).collect();
        of.answer(&format!("hub.mode={mode}&hub.topic={topic}&hub.challenge=c{more}"), 7).map(|answer| answer.text)
    }

    #[test]
    fn only_who_knows_the_chance_confirms_denies_or_ends() {
        let of = Subscribing::new(Arc::default());
        of.expect(FEED, "abc", true);
        for (mode, topic, more) in [
            ("subscribe", FEED, ""),
            ("subscribe", FEED, "&kith=abd"),
            ("subscribe", FEED, "&kith=abc&kith=abc"),
            ("subscribe", "https://other.example/", "&kith=abc"),
            ("unsubscribe", FEED, "&kith=abc"),
            ("denied", FEED, "&kith=x"),
            ("publish", FEED, "&kith=abc"),
        ] {
            assert_eq!(asked(&of, mode, topic, more), None, "{mode} {topic} {more}");
            assert_eq!(of.said(FEED, "abc"), None);
        }
        let lease = |seconds| Some(Said::Granted { at: 7, lease: Duration::from_secs(seconds) });
        for (more, granted) in [
            ("&kith=abc&hub.lease_seconds=60", lease(60)),
            ("&kith=abc", lease(86_400)),
            ("&kith=abc&hub.lease_seconds=-3", lease(86_400)),
            ("&kith=abc&hub.lease_seconds=99999999999", lease(31 * 86_400)),
        ] {
            assert_eq!(asked(&of, "subscribe", FEED, more).as_deref(), Some("c"));
            assert_eq!((of.said(FEED, "abc"), of.said(FEED, "abc")), (granted, None), "{more}");
        }
        assert_eq!(asked(&of, "denied", FEED, "&kith=abc").as_deref(), Some(""));
        assert_eq!(of.said(FEED, "abc"), Some(Said::Denied));
        of.expect(FEED, "abc", false);
        assert_eq!(asked(&of, "subscribe", FEED, "&kith=abc"), None, "what is to be left is not confirmed");
        assert_eq!(asked(&of, "unsubscribe", FEED, "&kith=abc").as_deref(), Some("c"));
        assert_eq!(of.said(FEED, "abc"), Some(Said::Ended));
        of.forget(FEED, "abc");
        assert_eq!(asked(&of, "unsubscribe", FEED, "&kith=abc"), None);
    }

    #[test]
    fn a_hub_of_before_ends_its_own_subscription_alone() {
        let of = Subscribing::new(Arc::default());
        of.expect(FEED, "old", false);
        of.expect(FEED, "new", true);
        assert_eq!(asked(&of, "unsubscribe", FEED, "&kith=new"), None);
        assert_eq!(asked(&of, "subscribe", FEED, "&kith=old"), None);
        assert_eq!(asked(&of, "unsubscribe", FEED, "&kith=old").as_deref(), Some("c"));
        assert_eq!(asked(&of, "subscribe", FEED, "&kith=new").as_deref(), Some("c"));
        assert_eq!((of.said(FEED, "old"), of.said(FEED, "new").is_some()), (Some(Said::Ended), true));
    }
}
