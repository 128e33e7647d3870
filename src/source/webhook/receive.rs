//! What comes to the open door: deliveries and questions of networks. Whoever can't sign learns nothing but a status.

use super::frame::Frame;
use super::listen::{Answers, Head, Reply};
use super::seal::Sealer;
use super::spool::{Spool, SpoolError};
use crate::manifest::webhook::{Keys, Refused};
use crate::model::Personal;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Where webhooks are.
const PATH: &str = "/webhooks/";
/// How long a delivery waits for the disk. Networks give up after 3 to 10 seconds, and come again.
const DISK_TIME: Duration = Duration::from_secs(8);
/// What is refused is told at most so often.
const TOLD_EVERY: i64 = 10_000_000;

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
    /// What was refused.
    pub tally: Tally,
}

/// What was refused since it was told last.
#[derive(Debug, Default)]
pub struct Tally {
    count: AtomicU64,
    told: AtomicI64,
}

impl Tally {
    fn refused(&self, name: &str, why: &str, now: i64) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let told = self.told.load(Ordering::Relaxed);
        if now.saturating_sub(told) >= TOLD_EVERY && self.told.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.count.store(0, Ordering::Relaxed);
            tracing::warn!(code = "KITH-N055", webhook = name, count, why, "deliveries of a webhook were refused");
        }
    }
}

/// The doors that are open, by the names of their sources. They may be changed while it listens.
pub struct Receiving {
    doors: RwLock<Arc<BTreeMap<String, Arc<Door>>>>,
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
    /// With these doors; `longest` is that of a body, in bytes.
    pub fn new(doors: BTreeMap<String, Arc<Door>>, longest: usize, clock: fn() -> i64) -> Self {
        Self { doors: RwLock::new(Arc::new(doors)), longest, clock }
    }

    fn door(&self, path: &str) -> Option<(String, Arc<Door>)> {
        let name = path.strip_prefix(PATH)?;
        let doors = self.doors.read().unwrap_or_else(PoisonError::into_inner).clone();
        doors.get_key_value(name).map(|(name, door)| (name.clone(), door.clone()))
    }
}

impl Answers for Receiving {
    fn admits(&self, head: &Head) -> Result<usize, Reply> {
        let Some((name, door)) = self.door(&head.path) else { return Err(Reply::bare(404)) };
        match head.method.as_str() {
            "POST" => Ok(self.longest),
            "GET" => Err(match door.keys.answer(&head.query, &door.topics) {
                Some(answer) => {
                    tracing::info!(webhook = name, about = answer.about, "a network's question was answered");
                    Reply { status: 200, kind: Some(answer.kind), body: answer.text.into_bytes(), ..Reply::default() }
                }
                None => Reply::bare(404),
            }),
            _ => Err(Reply::bare(405)),
        }
    }

    async fn answer(&self, head: Head, body: Vec<u8>) -> Reply {
        let Some((name, door)) = self.door(&head.path) else { return Reply::bare(404) };
        let now = (self.clock)();
        let genuine = match door.keys.check(|name| head.header(name), &body, now.div_euclid(1_000_000)) {
            Ok(genuine) => genuine,
            Err(refused @ (Refused::Unsigned | Refused::Form | Refused::Wrong | Refused::Late)) => {
                door.tally.refused(&name, &refused.to_string(), now);
                return Reply::bare(401);
            }
        };
        let (body, sealed) = match &door.sealer {
            None => (body, false),
            Some(sealer) => match sealer.seal(&body) {
                Some(body) => (body, true),
                None => return Reply::bare(503),
            },
        };
        let frame = Frame { at: now, sealed, body: Personal::new(body) };
        match tokio::time::timeout(DISK_TIME, door.spool.keep(&frame, genuine.mark)).await {
            Ok(Ok(())) => Reply::bare(200),
            Ok(Err(error @ (SpoolError::Full(_) | SpoolError::Unusable { .. } | SpoolError::Locked(_) | SpoolError::Ended))) => {
                door.tally.refused(&name, &error.to_string(), now);
                Reply::bare(503)
            }
            Err(_slow) => {
                door.tally.refused(&name, "the disk is too slow", now);
                Reply::bare(503)
            }
        }
    }
}
