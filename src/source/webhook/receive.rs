//! What comes to the open door: deliveries and questions of networks. Whoever can't sign learns nothing but a status.

use super::frame::Frame;
use super::hub::{Leaving, Subscribing};
use super::listen::{Answers, Head, Reply};
use super::seal::Sealer;
use super::spool::{Spool, SpoolError};
use super::tally::{Reason, Tally};
use crate::manifest::webhook::{Answer, Keys, Refused};
use crate::model::Personal;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Where webhooks are.
const PATH: &str = "/webhooks/";
/// How long a delivery waits for the disk. Networks give up after 3 to 10 seconds, and come again.
const DISK_TIME: Duration = Duration::from_secs(8);

/// One address that a network delivers to.
#[derive(Debug)]
pub struct Door {
    /// By which its deliveries are known.
    pub keys: Keys,
    /// Feeds that are wanted, where it is a hub's; none: any.
    pub topics: Vec<Arc<str>>,
    /// Where they are kept.
    pub spool: Spool,
    /// Encrypts them first.
    pub sealer: Option<Sealer>,
    /// What comes is counted.
    pub tally: Arc<Tally>,
    /// Where this side subscribes by itself: it alone knows which questions are a hub's.
    pub subscribing: Option<Arc<Subscribing>>,
}

/// The doors that are open, by the names of their sources. They may be changed while it listens.
pub struct Receiving {
    doors: RwLock<Arc<BTreeMap<String, Arc<Door>>>>,
    leaving: Arc<Leaving>,
    longest: usize,
    /// Microseconds since 1970.
    clock: fn() -> i64,
}

impl std::fmt::Debug for Receiving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Receiving")
    }
}

impl Receiving {
    /// With these doors, and those behind which nothing is but a subscription that is to end; `longest` is that of a body, in bytes.
    pub fn new(doors: BTreeMap<String, Arc<Door>>, leaving: Arc<Leaving>, longest: usize, clock: fn() -> i64) -> Self {
        Self { doors: RwLock::new(Arc::new(doors)), leaving, longest, clock }
    }

    /// The reply to a network's question.
    fn answered(name: &str, answer: Option<Answer>) -> Reply {
        let Some(answer) = answer else { return Reply::bare(404) };
        tracing::info!(webhook = name, about = answer.about, "a network's question was answered");
        Reply { status: 200, kind: Some(answer.kind), body: answer.text.into_bytes(), ..Reply::default() }
    }

    /// Where no door is: a hub's question about a subscription that ends is answered, and a delivery of it told that there is nobody (`WebSub`, section 7).
    fn left(&self, head: &Head) -> Reply {
        let name = head.path.strip_prefix(PATH).unwrap_or_default();
        match (self.leaving.of(name), head.method.as_str()) {
            (Some(leaving), "GET") => Self::answered(name, leaving.answer(&head.query, (self.clock)())),
            (Some(_), "POST") => Reply::bare(410),
            (Some(_) | None, _) => Reply::bare(404),
        }
    }

    /// Other doors from now on; what is in hand goes through the one that it came to, or the new one of that name.
    pub fn change(&self, doors: BTreeMap<String, Arc<Door>>) {
        *self.doors.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(doors);
    }

    fn door(&self, path: &str) -> Option<(String, Arc<Door>)> {
        let name = path.strip_prefix(PATH)?;
        let doors = self.doors.read().unwrap_or_else(PoisonError::into_inner).clone();
        doors.get_key_value(name).map(|(name, door)| (name.clone(), door.clone()))
    }
}

impl Door {
    /// The answer to a network's question; `None`: it is none, or from a stranger.
    fn question(&self, query: &str, now: i64) -> Option<Answer> {
        match &self.subscribing {
            Some(subscribing) => subscribing.answer(query, now),
            None => self.keys.answer(query, &self.topics),
        }
    }
}

impl Answers for Receiving {
    fn admits(&self, head: &Head) -> Result<usize, Reply> {
        let Some((name, door)) = self.door(&head.path) else { return Err(self.left(head)) };
        match head.method.as_str() {
            "POST" => Ok(self.longest),
            "GET" => {
                let now = (self.clock)();
                let leaving = || self.leaving.of(&name).and_then(|leaving| leaving.answer(&head.query, now));
                Err(Self::answered(&name, leaving().or_else(|| door.question(&head.query, now))))
            }
            _ => Err(Reply::bare(405)),
        }
    }

    async fn answer(&self, head: Head, body: Vec<u8>) -> Reply {
        let Some((name, door)) = self.door(&head.path) else { return Reply::bare(404) };
        let now = (self.clock)();
        let genuine = match door.keys.check(|name| head.header(name), &body, now.div_euclid(1_000_000)) {
            Ok(genuine) => genuine,
            Err(refused) => {
                let reason = match refused {
                    Refused::Unsigned => Reason::Unsigned,
                    Refused::Form => Reason::Form,
                    Refused::Wrong => Reason::Signature,
                    Refused::Late => Reason::Late,
                };
                door.tally.refused(&name, reason, &refused.to_string(), now);
                return Reply::bare(401);
            }
        };
        let (body, sealed) = match &door.sealer {
            None => (body, false),
            Some(sealer) => {
                let Some(body) = sealer.seal(&body) else {
                    door.tally.refused(&name, Reason::Disk, "it can't be encrypted", now);
                    return Reply::bare(503);
                };
                (body, true)
            }
        };
        let frame = Frame { at: now, sealed, body: Personal::new(body) };
        match tokio::time::timeout(DISK_TIME, door.spool.keep(&frame, genuine.mark)).await {
            Ok(Ok(())) => {
                door.tally.kept();
                Reply::bare(200)
            }
            Ok(Err(error)) => {
                let reason = if matches!(error, SpoolError::Full(_)) { Reason::Full } else { Reason::Disk };
                door.tally.refused(&name, reason, &error.to_string(), now);
                Reply::bare(503)
            }
            Err(_slow) => {
                door.tally.refused(&name, Reason::Disk, "the disk is too slow", now);
                Reply::bare(503)
            }
        }
    }

    fn turned_away(&self, head: &Head, status: u16) {
        let reason = match status {
            413 => Reason::TooLong,
            408 => Reason::TooSlow,
            503 => Reason::Busy,
            _ => return,
        };
        if let Some((name, door)) = self.door(&head.path) {
            door.tally.refused(&name, reason, reason.name(), (self.clock)());
        }
    }
}
