//! Webhooks: the listener beside the passes, *intake* of what waits in its spools or outside, and the listener that runs alone.

mod alone;
mod book;
mod subscriptions;

pub use alone::{Alone, AloneAgain, serve_webhooks};
pub use book::{Book, Subscription, WebhookStanding};
pub use subscriptions::{Keeping, Questions};

use super::intake::{Inlet, Intake, Read};
use super::supervise::{Watched, survive};
use super::{Clock, Fault, Parts, RunError, SystemClock};
use crate::declare::config::{Config, SourceKind, SourceSpec, Taken, WebhookSource, Webhooks};
use crate::declare::manifest::{Connector, Webhook};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::manifest::webhook::Keys;
use crate::model::Digest;
use crate::normalize::activity_streams;
use crate::source::webhook::{
    Batch, Bounds, Door, FetchError, Fetcher, Position, Receiving, Sealer, Spool, SpoolError, listen, serve, take,
};
use crate::source::{Access, Source, SourceLine};
use crate::store::Store;
use crate::wire::http::secret;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

const UNFIT: Code = Code("KITH-N050");
const NO_SPOOL: Code = Code("KITH-N051");
const NO_LISTENER: Code = Code("KITH-N052");
/// Deliveries begin passes at most four times a second.
const AT_MOST: Duration = Duration::from_millis(250);
/// A listener that ended without an error begins again after this long.
const FRESH: Duration = Duration::from_secs(1);

fn micros() -> i64 {
    SystemClock.now().as_microsecond()
}

fn place(name: &str) -> Place {
    Place::Named(format!("[sources.{name}]"))
}

fn unfit(name: &str, message: impl Into<String>) -> RunError {
    RunError::Fault(Fault::of(Diagnostic::error(UNFIT, place(name), message, "`kith explain KITH-N050` says more")))
}

fn no_spool(name: &str, error: &SpoolError) -> Fault {
    Fault::of(Diagnostic::error(NO_SPOOL, place(name), error.to_string(), "`kith explain KITH-N051` says more"))
}

fn no_listener(address: std::net::SocketAddr, error: &std::io::Error) -> RunError {
    let message = format!("webhooks can't be taken in at {address}: {error}");
    RunError::Fault(Fault::of(Diagnostic::error(
        NO_LISTENER,
        Place::Named("[webhooks]".into()),
        message,
        "`kith explain KITH-N052` says more",
    )))
}

/// The spools of this process, open as long as it lives: a folder has one owner.
#[derive(Debug, Default)]
pub struct Spools(Mutex<BTreeMap<PathBuf, Spool>>);

impl Spools {
    fn open(&self, folder: &Path, webhooks: &Webhooks) -> Result<Spool, SpoolError> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spool) = open.get(folder) {
            return Ok(spool.clone());
        }
        let spool = Spool::open(folder, u64::from(webhooks.spool_mb.get()) << 20, micros)?;
        open.insert(folder.to_owned(), spool.clone());
        Ok(spool)
    }
}

/// Where the service keeps a source's deliveries.
fn folder(config: &Config, name: &str) -> PathBuf {
    config.webhooks.spool.clone().unwrap_or_else(|| config.service.state.join("webhooks")).join(name)
}

/// The webhook of a source's connector, where both were read and fit.
fn declared(hook: &WebhookSource) -> Option<(&Connector, &Webhook)> {
    let connector = hook.loaded.as_deref()?;
    Some((connector, connector.webhooks.iter().find(|webhook| *webhook.name == *hook.webhook)?))
}

/// What doors are made of.
#[derive(Clone, Copy)]
struct Building<'a> {
    book: &'a Book,
    /// Where the service subscribes by itself.
    questions: Option<&'a Questions>,
    sealer: Option<&'a Sealer>,
}

impl Building<'_> {
    /// The door of a source; `None` where it is not taken here.
    fn door(&self, spec: &SourceSpec, open: impl FnOnce(&str) -> Result<Spool, SpoolError>) -> Option<Result<Door, RunError>> {
        let SourceKind::Webhook(hook) = &spec.kind else { return None };
        let (Taken::Here { secrets, verify_token, topics, hub }, Some((_, webhook))) = (&hook.taken, declared(hook)) else { return None };
        let built = || {
            let not_read = |_why| unfit(&spec.name, "a secret was not read");
            let given = secrets.iter().map(secret).collect::<Result<Vec<_>, _>>().map_err(not_read)?;
            let token = verify_token.as_ref().map(secret).transpose().map_err(not_read)?;
            let token = token.map(|token| SecretString::from(token.expose().trim()));
            let keys = Keys::new(webhook.scheme, given.iter().map(|secret| secret.expose().trim()), token)
                .map_err(|error| unfit(&spec.name, error.to_string()))?;
            let spool = open(&spec.name).map_err(|error| RunError::Fault(no_spool(&spec.name, &error)))?;
            self.book.spool(&spec.name, spool.depth());
            let subscribing = hub.as_ref().and(self.questions).map(|questions| questions.of(&spec.name));
            let (sealer, tally) = (self.sealer.cloned(), self.book.tally(&spec.name));
            Ok(Door { keys, topics: topics.clone(), spool, sealer, tally, subscribing })
        };
        Some(built())
    }
}

type Doors = BTreeMap<String, Arc<Door>>;

fn bounds(webhooks: &Webhooks) -> (Bounds, usize) {
    let count = |number: std::num::NonZeroU32| usize::try_from(number.get()).unwrap_or(1);
    (Bounds { connections: count(webhooks.connections) }, count(webhooks.body_kb) * 1024)
}

/// The listener beside the passes.
pub(super) struct Listening<W> {
    pub spools: Arc<Spools>,
    pub book: Arc<Book>,
    pub questions: Arc<Questions>,
    /// Begins a pass: what came is taken in.
    pub passes: Arc<Notify>,
    /// Watches a part.
    pub watched: W,
}

/// The doors that are open, and the sources whose door can't be opened.
#[derive(Default)]
struct Opened {
    failing: BTreeMap<String, Watched>,
    /// What was kept begins a pass.
    bells: JoinSet<()>,
}

impl<W: Fn(String) -> Watched> Listening<W> {
    /// Listens while the service runs. Changed files take over without turning anybody away, where the address stays.
    pub async fn keep(self, mut configs: watch::Receiver<Arc<Config>>) {
        let mut watched = (self.watched)("webhook listener".to_owned());
        loop {
            let mut config = configs.borrow_and_update().clone();
            let Some(address) = config.webhooks.listen else {
                if configs.changed().await.is_err() {
                    return std::future::pending().await;
                }
                continue;
            };
            let (bounds, longest) = bounds(&config.webhooks);
            let receiving = Arc::new(Receiving::new(Doors::new(), self.questions.leaving(), longest, micros));
            let mut opened = Opened::default();
            let (mut doors, mut again) = self.open(&config, &mut opened);
            let webhooks = doors.len();
            receiving.change(doors);
            let listener = match listen(address) {
                Ok(listener) => listener,
                Err(error) => {
                    let pause = watched.failed(no_listener(address, &error)).unwrap_or(FRESH);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        _changed = configs.changed() => {}
                    }
                    continue;
                }
            };
            watched.well();
            tracing::info!(%address, webhooks, "webhooks are taken in");
            let serving = async {
                serve(listener, receiving.clone(), bounds).await;
                Ok(())
            };
            let mut serving = std::pin::pin!(survive(serving));
            let ended = loop {
                let rest = async {
                    match again {
                        Some(pause) => tokio::time::sleep(pause).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    ended = &mut serving => break Some(ended),
                    () = rest => {}
                    changed = configs.changed() => {
                        if changed.is_err() {
                            return std::future::pending().await;
                        }
                        let next = configs.borrow().clone();
                        if next.webhooks != config.webhooks {
                            break None;
                        }
                        config = next;
                    }
                }
                (doors, again) = self.open(&config, &mut opened);
                receiving.change(doors);
            };
            let Some(ended) = ended else { continue };
            let pause = ended.err().and_then(|error| watched.failed(error).ok()).unwrap_or(FRESH);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _changed = configs.changed() => {}
            }
        }
    }

    /// Opens the doors of a configuration; one that can't be opened is told, and tried again after so long.
    fn open(&self, config: &Config, opened: &mut Opened) -> (Doors, Option<Duration>) {
        let building = Building { book: &self.book, questions: Some(&*self.questions), sealer: None };
        let (mut doors, mut again) = (Doors::new(), None);
        opened.failing.retain(|name, _| config.sources.iter().any(|spec| *spec.name == **name));
        for spec in &config.sources {
            match building.door(spec, |name| self.spools.open(&folder(config, name), &config.webhooks)) {
                None => {}
                Some(Ok(door)) => {
                    opened.failing.remove(&*spec.name);
                    doors.insert(spec.name.to_string(), Arc::new(door));
                }
                Some(Err(error)) => {
                    let part = opened.failing.entry(spec.name.to_string());
                    let part = part.or_insert_with(|| (self.watched)(format!("webhook {}", spec.name)));
                    let pause = part.failed(error).unwrap_or(FRESH);
                    again = Some(again.map_or(pause, |before: Duration| before.min(pause)));
                }
            }
        }
        opened.bells = JoinSet::new();
        for door in doors.values() {
            let (spool, passes) = (door.spool.clone(), self.passes.clone());
            opened.bells.spawn(async move {
                loop {
                    spool.kept().await;
                    passes.notify_one();
                    tokio::time::sleep(AT_MOST).await;
                }
            });
        }
        (doors, again)
    }
}

/// Who has a source's deliveries.
enum Side {
    Here(Spool),
    Outside(Box<Fetcher>),
}

impl Side {
    fn of(parts: &Parts, (spools, book): (&Spools, &Book), name: &str, hook: &WebhookSource) -> Result<Self, Fault> {
        match &hook.taken {
            Taken::Here { .. } => {
                let spool = spools.open(&folder(&parts.config, name), &parts.config.webhooks);
                if let Ok(spool) = &spool {
                    book.spool(name, spool.depth());
                }
                spool.map(Self::Here).map_err(|error| no_spool(name, &error))
            }
            Taken::Outside(drained) => {
                let fetcher = Fetcher::new(name, drained, micros);
                fetcher.map(|fetcher| Self::Outside(Box::new(fetcher))).map_err(|error| outside(name, &error))
            }
        }
    }

    async fn look(&self, name: &str) -> Result<Option<Batch>, Fault> {
        match self {
            Self::Here(spool) => spool.look().await.map_err(|error| no_spool(name, &error)),
            Self::Outside(fetcher) => fetcher.look().await.map_err(|error| outside(name, &error)),
        }
    }

    async fn acknowledge(&self, name: &str, through: Position) -> Result<(), Fault> {
        match self {
            Self::Here(spool) => spool.acknowledge(through).await.map_err(|error| no_spool(name, &error)),
            Self::Outside(fetcher) => fetcher.acknowledge(through).await.map_err(|error| outside(name, &error)),
        }
    }
}

fn outside(name: &str, error: &FetchError) -> Fault {
    Fault::of(error.diagnostic(&format!("[sources.{name}]")))
}

/// What taking in deliveries needs.
pub struct Hooks<'a, S> {
    pub inlet: Inlet<'a, S>,
    pub spools: &'a Spools,
    pub book: &'a Book,
}

impl<S: Store> Hooks<'_, S> {
    /// Takes in what waits, of every source that is not paused.
    ///
    /// # Errors
    /// When the store fails. A source that fails is a fault; the others go on.
    pub async fn drain(&self, read: &mut Read) -> Result<(), RunError> {
        for spec in self.inlet.parts.config.sources.iter().filter(|spec| !self.inlet.stops.source(&spec.name)) {
            let SourceKind::Webhook(hook) = &spec.kind else { continue };
            let Some((connector, webhook)) = declared(hook) else { continue };
            match Side::of(self.inlet.parts, (self.spools, self.book), &spec.name, hook) {
                Ok(side) => {
                    if let Err(fault) = self.source(spec, (connector, webhook, hook.server.as_deref()), &side, read).await? {
                        read.faults.push(fault);
                    }
                }
                Err(fault) => read.faults.push(fault),
            }
        }
        Ok(())
    }

    async fn source(
        &self,
        spec: &SourceSpec,
        (connector, webhook, server): (&Connector, &Webhook, Option<&str>),
        side: &Side,
        read: &mut Read,
    ) -> Result<Result<(), Fault>, RunError> {
        let reader = activity_streams::Reader::new(&self.inlet.parts.rulebook.identities, spec.network.or(connector.network));
        let source = Source::new(spec.clone(), Access::ReadOnly);
        let intake = self.inlet.intake(&source);
        let most = usize::try_from(self.inlet.parts.config.service.intake_batch.get()).unwrap_or(1);
        while !*self.inlet.stop.borrow() {
            let looked = match side.look(&spec.name).await {
                Ok(looked) => looked,
                Err(fault) => return Ok(Err(fault)),
            };
            let oldest = looked.as_ref().and_then(|batch| batch.frames.first()).map(|frame| frame.at);
            self.book.looked(&spec.name, self.inlet.clock.now(), oldest);
            let Some(batch) = looked else { break };
            let mut good = Vec::new();
            for frame in &batch.frames {
                let body = frame.body.reveal();
                let taken = take(connector, webhook, server, body, &reader, self.inlet.clock.now().as_microsecond());
                for bad in taken.bad {
                    // Under its own digest and place: the same delivery again is a repeat.
                    self.taken(&intake, spec, webhook, Digest(Sha256::digest(body).into()), vec![bad], read).await?;
                }
                for line in taken.good {
                    good.push(line);
                    if good.len() >= most {
                        self.good(&intake, spec, webhook, std::mem::take(&mut good), read).await?;
                    }
                }
            }
            self.good(&intake, spec, webhook, good, read).await?;
            // All of it is stored. Whoever is killed here stores it again, and finds that it is there.
            if let Err(fault) = side.acknowledge(&spec.name, batch.through).await {
                return Ok(Err(fault));
            }
            self.book.drained(&spec.name, batch.frames.len());
        }
        Ok(Ok(()))
    }

    async fn good(
        &self,
        intake: &Intake<'_, S>,
        spec: &SourceSpec,
        webhook: &Webhook,
        lines: Vec<SourceLine>,
        read: &mut Read,
    ) -> Result<(), RunError> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut all = Sha256::new();
        for line in &lines {
            all.update(line.raw.reveal());
        }
        let numbered = (1..).zip(lines).map(|(number, line)| SourceLine { line: number, ..line }).collect();
        self.taken(intake, spec, webhook, Digest(all.finalize().into()), numbered, read).await
    }

    async fn taken(
        &self,
        intake: &Intake<'_, S>,
        spec: &SourceSpec,
        webhook: &Webhook,
        digest: Digest,
        lines: Vec<SourceLine>,
        read: &mut Read,
    ) -> Result<(), RunError> {
        // Where it stands, the spool knows.
        intake.taken(&spec.name, &webhook.name, digest, lines, b"{\"v\":1}".to_vec(), read).await
    }
}
