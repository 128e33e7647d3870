//! *Intake* from live streams: events become activities as records of pages do, in one transaction with the cursor after them. What was missed is
//! written down as a gap, and read at once from the polled stream that the connector names for it.

mod fill;
mod standing;
mod taking;

pub use standing::Missed;

use super::budget::Till;
use super::intake::{Inlet, Read};
use super::leaves::Scribe;
use super::network::{Polled, reader};
use super::progress::Progress;
use super::rotated::Rotated;
use super::stops::Stops;
use super::supervise::{Board, StreamStanding, Watched, survive};
use super::{Clock, Fault, Meter, Parts, RunError, StreamCounts, taps};
use crate::declare::config::{SourceKind, SourceSpec};
use crate::declare::manifest::{Connector, LiveStream};
use crate::diagnose::Diagnostic;
use crate::manifest::Slice;
use crate::model::Timestamp;
use crate::normalize::activity_streams;
use crate::source::stream::{Heard, Opener, StreamError};
use crate::store::Store as _;
use crate::store::sqlite::SqliteStore;
use fill::Filling;
use standing::{Standing, Why};
use std::sync::Arc;
use std::time::Duration;
use taking::Taking;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// How often a connection looks at what else there is to do: a pause, a gap to be filled, a minute without events.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// A sign of life is stored so often: what a crash makes of it is a gap that begins a minute early.
const HEARD_EVERY: Duration = Duration::from_mins(1);
/// After a connection that ended in order; what the server asks for is honoured beyond it.
const AGAIN: Duration = Duration::from_secs(1);
/// A wait up to here is waited where it stands; a longer one is stored, so that a start does not ask before.
const PATIENCE: Duration = Duration::from_secs(20);
/// A connection that stood so long is well, whether or not anything came over it.
const STEADY: Duration = Duration::from_secs(10);
/// The end of the streams is waited for so long; what is cut off then is read again, since every store is a transaction.
const LONGEST_END: Duration = Duration::from_secs(10);

/// What live streams share with the service.
#[derive(Clone)]
pub(super) struct Shared {
    pub parts: Parts,
    pub store: Arc<SqliteStore>,
    pub scribe: Arc<Scribe>,
    pub clock: Arc<dyn Clock>,
    pub progress: Arc<dyn Progress>,
    pub board: Arc<Board>,
    pub meter: Arc<Meter>,
    pub stops: Arc<Stops>,
    pub till: Arc<Till<SqliteStore>>,
    pub rotated: Arc<Rotated>,
    /// Begins a pass: what was taken in is decided and sent.
    pub passes: Arc<Notify>,
}

impl Shared {
    /// Taking in until `stop`.
    pub(super) fn inlet<'a>(&'a self, stop: &'a watch::Receiver<bool>) -> Inlet<'a, SqliteStore> {
        Inlet {
            parts: &self.parts,
            store: &self.store,
            scribe: &self.scribe,
            clock: &*self.clock,
            progress: &*self.progress,
            stops: &self.stops,
            stop,
        }
    }

    pub(super) fn watched(&self, task: String) -> Watched {
        Watched::new(task, None, self.board.clone(), self.meter.clone(), self.clock.clone())
    }
}

/// What is read beside the passes of a set of files: live streams, and taps.
pub(super) struct Streams {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<Read>>,
}

impl Streams {
    /// Opens every live stream that a source names, and every tap; `None` where there is none.
    pub fn start(shared: &Shared) -> Option<Self> {
        let (stop, stops) = watch::channel(false);
        let mut tasks = Vec::new();
        for spec in &shared.parts.config.sources {
            if let SourceKind::Singer(_) = &spec.kind {
                tasks.push(tokio::spawn(taps::keep(Arc::new(shared.clone()), spec.clone(), stops.clone())));
            }
            let SourceKind::Network(network) = &spec.kind else { continue };
            let Some(connector) = &network.loaded else { continue };
            for live in connector.live_of(&network.streams) {
                let (shared, connector, live) = (Arc::new(shared.clone()), connector.clone(), live.clone());
                tasks.push(tokio::spawn(keep(shared, spec.clone(), connector, live, stops.clone())));
            }
        }
        (!tasks.is_empty()).then_some(Self { stop, tasks })
    }

    /// Ends them: what was heard is stored. What they took in.
    pub async fn end(self) -> Read {
        self.stop.send_replace(true);
        let mut all = Read::default();
        let until = Instant::now() + LONGEST_END;
        for mut task in self.tasks {
            match tokio::time::timeout_at(until, &mut task).await {
                Ok(Ok(read)) => all.add(&read),
                Ok(Err(_ended)) => {}
                Err(_late) => task.abort(),
            }
        }
        all
    }
}

/// Opens a stream's connections, each a task of its own.
async fn keep(
    shared: Arc<Shared>,
    spec: SourceSpec,
    connector: Arc<Connector>,
    live: Arc<LiveStream>,
    mut stop: watch::Receiver<bool>,
) -> Read {
    let name = format!("{}/{}", spec.name, live.stream.name);
    let mut watched = shared.watched(format!("stream {name}"));
    let (opener, slices) = loop {
        let problem = match open(&shared, &spec, &connector, &live).await {
            Ok(opened) => break opened,
            Err(problem) => problem,
        };
        // What a file holds may be mended meanwhile; a reload begins anew in any case.
        let Ok(pause) = watched.failed(RunError::Fault(Fault::of(problem))) else { return Read::default() };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _changed = stop.changed() => return Read::default(),
        }
    };
    watched.well();
    let mut connections = JoinSet::new();
    for slice in slices {
        let file = std::iter::once(live.stream.name.clone()).chain(slice.partition.values().map(crate::manifest::Json::shown));
        let one = One {
            shared: shared.clone(),
            file: file.collect::<Vec<_>>().join("/"),
            lines: activity_streams::Reader::new(&shared.parts.rulebook.identities, spec.network.or(connector.network)),
            spec: spec.clone(),
            connector: connector.clone(),
            live: live.clone(),
            opener: opener.clone(),
            slice,
            polled: Polled::default(),
        };
        connections.spawn(Arc::new(one).keep(stop.clone()));
    }
    let mut all = Read::default();
    while let Some(ended) = connections.join_next().await {
        if let Ok(read) = ended {
            all.add(&read);
        }
    }
    all
}

async fn open(
    shared: &Shared,
    spec: &SourceSpec,
    connector: &Connector,
    live: &LiveStream,
) -> Result<(Arc<Opener>, Vec<Slice>), Diagnostic> {
    let place = format!("[sources.{}], stream {}", spec.name, live.stream.name);
    let SourceKind::Network(network) = &spec.kind else { return Err(StreamError::NoStream("it is no network").diagnostic(&place)) };
    // What a gap is filled from is paid for out of the source's one budget.
    let purse = shared.till.account(spec, connector).map(|account| account.purse());
    let (reader, connection) = reader(spec, network, connector, &shared.rotated, purse)?;
    let told = |error: StreamError| error.diagnostic(&place);
    let opener = Opener::new(reader, &connection).map_err(told)?;
    let slices = opener.slices(&live.stream).await.map_err(told)?;
    Ok((Arc::new(opener), slices))
}

/// What follows a connection.
enum After {
    /// The service ends, or takes over new files.
    Stop,
    /// Another one, after so long.
    Again(Duration),
    /// Another one, which can't go on where this one stood, and why; with what made this one end, where it is a fault.
    Anew(Why, Option<Fault>),
}

/// One connection of a live stream.
struct One {
    shared: Arc<Shared>,
    spec: SourceSpec,
    connector: Arc<Connector>,
    live: Arc<LiveStream>,
    opener: Arc<Opener>,
    slice: Slice,
    /// The stream's name, and the value of a list that it is about.
    file: String,
    lines: activity_streams::Reader,
    polled: Polled,
}

impl One {
    fn name(&self) -> String {
        format!("{}/{}", self.spec.name, self.file)
    }

    fn count(&self, change: impl FnOnce(&mut StreamCounts)) {
        self.shared.meter.stream(&self.name(), change);
    }

    fn fills(&self) -> bool {
        self.live.stream.backfill.is_some()
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Keeps the connection until told to stop.
    async fn keep(self: Arc<Self>, mut stop: watch::Receiver<bool>) -> Read {
        let mut read = Read::default();
        let mut watched = self.shared.watched(format!("stream {}", self.name()));
        let mut filling = Filling::new(self.clone(), stop.clone());
        let mut anew = None;
        while !*stop.borrow() {
            if self.shared.stops.source(&self.spec.name) {
                self.not_connected().await;
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    _changed = stop.changed() => {}
                }
                continue;
            }
            let turn = self.turn(&mut stop, &mut watched, &mut filling, anew.take(), &mut read);
            let pause = match survive(Box::pin(turn)).await {
                Ok(After::Stop) => break,
                Ok(After::Again(pause)) => pause,
                Ok(After::Anew(why, fault)) => {
                    anew = Some(why);
                    match fault.map(|fault| watched.failed(RunError::Fault(fault))) {
                        None => AGAIN,
                        Some(Ok(pause)) => pause.max(AGAIN),
                        Some(Err(_fatal)) => break,
                    }
                }
                Err(error) => {
                    let Ok(pause) = watched.failed(error) else { break };
                    // As long as it is away, what can be polled is.
                    filling.instead();
                    pause
                }
            };
            self.not_connected().await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _changed = stop.changed() => {}
            }
        }
        read.add(&filling.end().await);
        self.shared.board.no_stream(&self.name());
        read
    }

    async fn load(&self) -> Result<Standing, RunError> {
        let stored = self.shared.store.cursor(&self.spec.name, &self.file).await?;
        Ok(stored.as_deref().map(Standing::from_bytes).unwrap_or_default())
    }

    async fn not_connected(&self) {
        if let Ok(standing) = self.load().await {
            self.show(&standing, None);
        }
    }

    fn show(&self, standing: &Standing, connected: Option<Timestamp>) {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let missed = standing.missed.as_ref();
        self.shared.board.streams(StreamStanding {
            stream: self.name(),
            of: format!("{}/{}", self.spec.name, self.live.stream.name),
            heartbeat_seconds: self.live.stream.heartbeat.as_secs(),
            paused: self.shared.stops.source(&self.spec.name),
            connected_since: text(connected),
            last_event: text(standing.event),
            last_heard: text(standing.heard),
            gap_from: missed.and_then(|missed| text(missed.from)),
            gap_to: missed.map(|missed| missed.to.to_string()),
            gap_why: missed.map(|missed| missed.why.name().to_owned()),
            gaps: standing.gaps,
            gaps_left: standing.left,
            ..StreamStanding::default()
        });
    }

    /// What a stream's end means for the next connection.
    async fn ended(&self, taking: &mut Taking<'_>, error: StreamError) -> Result<After, RunError> {
        let fault = Fault::of(error.diagnostic(&format!("[sources.{}], stream {}", self.spec.name, self.file)));
        if matches!(error, StreamError::CursorLost) || error.blocks() {
            // What comes after the stored event does not come here; reading goes on with what is new.
            tracing::warn!(code = error.code().0, stream = %self.name(), "{error}: it goes on with what is new");
            taking.standing.cursor = None;
            taking.keep().await?;
            return Ok(if error.blocks() { After::Anew(Why::Unreadable, Some(fault)) } else { After::Anew(Why::CursorLost, None) });
        }
        if let Some(wait) = error.wait().filter(|wait| *wait > PATIENCE) {
            taking.standing.not_before = self.now().checked_add(wait).ok();
            taking.keep().await?;
        }
        match error.wait() {
            // What the server asks for is waited in full, and no fault of the stream: it is told, and shown as not connected.
            Some(wait) => {
                tracing::warn!(code = fault.code, place = fault.place, "{}", fault.message);
                Ok(After::Again(wait))
            }
            None => Err(RunError::Fault(fault)),
        }
    }

    /// One connection, from opening it to its end.
    async fn turn(
        &self,
        stop: &mut watch::Receiver<bool>,
        watched: &mut Watched,
        filling: &mut Filling,
        anew: Option<Why>,
        read: &mut Read,
    ) -> Result<After, RunError> {
        let live = &*self.live.stream;
        let mut taking = Taking::new(self, stop.clone(), self.load().await?, read);
        let now = self.now();
        if let Some(wait) = taking.standing.not_before.filter(|at| now < *at).map(|at| at.duration_since(now).unsigned_abs()) {
            return Ok(After::Again(wait));
        }
        taking.standing.not_before = None;
        let cursor = taking.standing.cursor.clone();
        let opening = self.opener.open(live, &self.slice, cursor.as_ref());
        let opened = tokio::select! {
            opened = opening => Some(opened),
            _changed = stop.changed() => None,
        };
        if let Err(problem) = self.shared.rotated.keep_of(self.opener.reader(), &self.spec) {
            tracing::error!(code = problem.code.0, place = %problem.place, "{}; {}", problem.message, problem.remedy);
        }
        let Some(opened) = opened else { return Ok(After::Stop) };
        let mut connected = match opened {
            Ok(connected) => connected,
            Err(error) => return self.ended(&mut taking, error).await,
        };
        let since = self.now();
        let before = taking.standing.heard;
        taking.connected(cursor.is_some(), anew, since)?;
        taking.keep().await?;
        self.count(|counts| counts.opened += 1);
        self.show(&taking.standing, Some(since));
        tracing::info!(stream = %self.name(), resumed = cursor.is_some(), "connected");
        let began = Instant::now();
        let (mut stored_heard, mut retry) = (began, AGAIN);
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                biased;
                _changed = stop.changed() => {
                    taking.keep().await?;
                    return Ok(After::Stop);
                }
                () = taking.due() => {
                    taking.store().await?;
                    stored_heard = Instant::now();
                    if taking.standing.went_on >= Some(since) {
                        watched.well();
                    }
                    self.show(&taking.standing, Some(since));
                    // The time in the store was not the other side's silence.
                    connected.listens_again();
                }
                _look = look.tick() => {
                    if self.shared.stops.source(&self.spec.name) {
                        taking.keep().await?;
                        return Ok(After::Again(Duration::ZERO));
                    }
                    if began.elapsed() >= STEADY {
                        watched.well();
                    }
                    if stored_heard.elapsed() >= HEARD_EVERY {
                        taking.keep().await?;
                        stored_heard = Instant::now();
                        self.show(&taking.standing, Some(since));
                    }
                    filling.look(taking.standing.missed.as_ref());
                }
                filled = filling.done() => {
                    if taking.filled(&filled).await? {
                        self.show(&taking.standing, Some(since));
                    }
                }
                heard = connected.next() => {
                    let heard = match heard {
                        Ok(heard) => heard,
                        Err(error) => {
                            // What was heard before it holds.
                            taking.store().await?;
                            return self.ended(&mut taking, error).await;
                        }
                    };
                    taking.standing.heard = Some(self.now());
                    match heard {
                        Heard::Event(raw) => taking.event(self.opener.understood(live, raw), before)?,
                        Heard::TooLong(bytes, kept) => taking.too_long(bytes, kept),
                        Heard::Beat => {}
                        Heard::Retry(asked) => retry = asked.max(AGAIN),
                        Heard::End => {
                            taking.store().await?;
                            // A server that ends each connection at once is left alone for longer and longer.
                            if began.elapsed() < STEADY && taking.standing.went_on < Some(since) {
                                return self.ended(&mut taking, StreamError::EndedAtOnce).await;
                            }
                            tracing::info!(stream = %self.name(), "the other side ended the connection");
                            return Ok(After::Again(retry));
                        }
                    }
                }
            }
        }
    }
}
