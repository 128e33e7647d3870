//! How a listener outside is drained. `GET /drain/NAME` gives the oldest deliveries as frames, `POST /drain/NAME/acknowledge` lets them go. Both sides know one
//! secret: each request is signed over its method, path, time, chance and content, each answer over the request's chance, its status and content. Whoever is
//! between them can neither ask nor answer, and a request can't be sent twice.

use super::frame::{Frame, Position};
use super::listen::{Answers, Head, Reply};
use super::spool::Spool;
use crate::manifest::webhook::{is_sealed, sealed};
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Headers of a request.
pub const TIME: &str = "kith-time";
/// Chance, so that no two requests are alike.
pub const CHANCE: &str = "kith-chance";
/// Of requests and answers.
pub const SIGNATURE: &str = "kith-signature";
/// Through where a batch reaches.
pub const THROUGH: &str = "kith-through";
const PATH: &str = "/drain/";
const ACKNOWLEDGE: &str = "/acknowledge";
/// A secret that nobody guesses: 32 hexadecimal characters have 128 bits.
const SHORTEST_SECRET: usize = 32;

/// The shortest secret that is taken, in characters.
pub const fn shortest_drain_secret() -> usize {
    SHORTEST_SECRET
}

/// How far the two clocks may be apart.
const TOLERANCE: i64 = 300;
/// Requests whose chance is remembered: those of ten minutes at 100 a second.
const REMEMBERED: usize = 60_000;
/// A position.
const LONGEST_BODY: usize = 64;
/// As 32 hexadecimal characters.
const CHANCE_LENGTH: usize = 32;

/// The signature of a request.
pub fn request_signature(secret: &SecretString, method: &str, path: &str, time: &str, chance: &str, body: &[u8]) -> String {
    sealed(secret.expose_secret().as_bytes(), &request_parts(method, path, time, chance, body))
}

fn request_parts<'p>(method: &'p str, path: &'p str, time: &'p str, chance: &'p str, body: &'p [u8]) -> [&'p [u8]; 6] {
    [b"kith/v1/drain/request", method.as_bytes(), path.as_bytes(), time.as_bytes(), chance.as_bytes(), body]
}

/// Whether an answer is from who knows the secret, and to this request.
pub fn is_answer(secret: &SecretString, chance: &str, status: u16, through: &str, body: &[u8], signature: &str) -> bool {
    let status = status.to_string();
    is_sealed(secret.expose_secret().as_bytes(), &answer_parts(chance, &status, through, body), signature)
}

fn answer_parts<'p>(chance: &'p str, status: &'p str, through: &'p str, body: &'p [u8]) -> [&'p [u8]; 5] {
    [b"kith/v1/drain/answer", chance.as_bytes(), status.as_bytes(), through.as_bytes(), body]
}

/// Chances that were used.
#[derive(Default)]
struct Used {
    known: HashSet<String>,
    order: VecDeque<(i64, String)>,
}

impl Used {
    /// Whether it is new; then it is used. Where too many are remembered nobody is let in.
    fn take(&mut self, chance: &str, now: i64) -> bool {
        while self.order.front().is_some_and(|(at, _)| now - at > 2 * TOLERANCE) {
            if let Some((_, old)) = self.order.pop_front() {
                self.known.remove(&old);
            }
        }
        if self.order.len() >= REMEMBERED || !self.known.insert(chance.to_owned()) {
            return false;
        }
        self.order.push_back((now, chance.to_owned()));
        true
    }
}

/// What is let go, and to whom.
struct Lets {
    spools: BTreeMap<String, Spool>,
    secret: SecretString,
}

/// The door for who drains.
pub struct Draining {
    lets: RwLock<Arc<Lets>>,
    /// Kept over a change of the secret: a request can't be sent twice because of one.
    used: Mutex<Used>,
    /// Microseconds since 1970.
    clock: fn() -> i64,
}

impl std::fmt::Debug for Draining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Draining")
    }
}

impl Draining {
    /// Of these spools, by the names of their sources.
    pub fn new(spools: BTreeMap<String, Spool>, secret: SecretString, clock: fn() -> i64) -> Self {
        Self { lets: RwLock::new(Arc::new(Lets { spools, secret })), used: Mutex::default(), clock }
    }

    /// Other spools, or another secret, from now on.
    pub fn change(&self, spools: BTreeMap<String, Spool>, secret: SecretString) {
        *self.lets.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Lets { spools, secret });
    }

    /// The chance of a request that is signed.
    fn known(&self, lets: &Lets, head: &Head, body: &[u8]) -> Option<String> {
        let text = |name: &str| head.header(name).and_then(|value| std::str::from_utf8(value).ok()).filter(|text| text.len() <= 128);
        let (time, chance, signature) = (text(TIME)?, text(CHANCE)?, text(SIGNATURE)?);
        let parts = request_parts(&head.method, &head.path, time, chance, body);
        let now = (self.clock)().div_euclid(1_000_000);
        let near = time.parse().is_ok_and(|time: i64| now.abs_diff(time) <= TOLERANCE.unsigned_abs());
        let right = is_sealed(lets.secret.expose_secret().as_bytes(), &parts, signature) && near && chance.len() == CHANCE_LENGTH;
        // Only what is signed is remembered: nobody else can fill the memory.
        let new = right && self.used.lock().unwrap_or_else(PoisonError::into_inner).take(chance, now);
        new.then(|| chance.to_owned())
    }

    async fn act(lets: &Lets, head: &Head, body: &[u8]) -> Option<(u16, String, Vec<u8>)> {
        let name = head.path.strip_prefix(PATH)?;
        if head.method == "GET" {
            let spool = lets.spools.get(name)?;
            return Some(match spool.look().await {
                Ok(None) => (204, String::new(), Vec::new()),
                Ok(Some(batch)) => (200, batch.through.to_string(), batch.frames.iter().flat_map(Frame::to_bytes).collect()),
                Err(error) => {
                    tracing::error!(code = "KITH-N051", webhook = name, "{error}");
                    (500, String::new(), Vec::new())
                }
            });
        }
        let (name, spool) = lets.spools.get_key_value(name.strip_suffix(ACKNOWLEDGE)?)?;
        let through: Position = std::str::from_utf8(body).ok()?.parse().ok()?;
        Some(match spool.acknowledge(through).await {
            Ok(()) => (204, String::new(), Vec::new()),
            Err(error) => {
                tracing::error!(code = "KITH-N051", webhook = name, "{error}");
                (500, String::new(), Vec::new())
            }
        })
    }
}

impl Answers for Draining {
    fn admits(&self, head: &Head) -> Result<usize, Reply> {
        match head.method.as_str() {
            "GET" | "POST" if head.path.starts_with(PATH) => Ok(LONGEST_BODY),
            "GET" | "POST" => Err(Reply::bare(404)),
            _ => Err(Reply::bare(405)),
        }
    }

    async fn answer(&self, head: Head, body: Vec<u8>) -> Reply {
        let lets = self.lets.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(chance) = self.known(&lets, &head, &body) else { return Reply::bare(401) };
        let (status, through, body) = Self::act(&lets, &head, &body).await.unwrap_or((404, String::new(), Vec::new()));
        let signature = sealed(lets.secret.expose_secret().as_bytes(), &answer_parts(&chance, &status.to_string(), &through, &body));
        let kind = (status == 200).then_some("application/octet-stream");
        Reply { status, kind, headers: vec![(THROUGH, through), (SIGNATURE, signature)], body }
    }
}
