//! *Intake* from networks: each stream of a connector from where its stored state says; records become activities, page by page durable.

use super::budget::{Account, Till};
use super::intake::{Inlet, Read};
use super::rotated::{self, Rotated};
use super::{Clock, Fault, RunError, SystemClock};
use crate::declare::config::{NetworkSource, SourceKind, SourceSpec};
use crate::declare::manifest::{Connector, Projection};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::{Digest, Personal};
use crate::normalize::activity_streams;
use crate::source::manifest::{Batch, Purse, PurseError, ReadError, Reader};
use crate::source::{Access, Source, SourceLine};
use crate::store::Store;
use crate::wire::http::{Connection, Proxy};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

const BAD_SETTINGS: Code = Code("KITH-N020");
/// Pages that wait for the store.
const WAITING: usize = 2;
/// A wait up to here is waited where it stands; a longer one is stored, and others go on meanwhile.
const PATIENCE: Duration = Duration::from_secs(20);

/// When each stream was read last in this run of the service.
#[derive(Debug, Default)]
pub struct Polled(Mutex<BTreeMap<String, Timestamp>>);

impl Polled {
    /// Whether a stream's turn has come; then it has been taken.
    pub(super) fn take_turn(&self, stream: &str, every: Duration, now: Timestamp) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.get(stream).is_none_or(|last| now.duration_since(*last).unsigned_abs() >= every);
        if due {
            last.insert(stream.to_owned(), now);
        }
        due
    }
}

/// Where a stream stands, as the store keeps it.
#[derive(Clone, Default)]
struct Standing {
    state: Option<crate::manifest::Json>,
    /// Not before: the network asked for it.
    not_before: Option<Timestamp>,
}

impl Standing {
    fn from_bytes(bytes: &[u8]) -> Self {
        let Ok(written) = serde_json::from_slice::<Json>(bytes) else { return Self::default() };
        Self {
            state: written.get("state").filter(|state| !state.is_null()).map(|state| state.clone().into()),
            not_before: written.get("not_before").and_then(Json::as_str).and_then(|text| text.parse().ok()),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let state = self.state.as_ref().and_then(|state| serde_json::to_value(state).ok());
        json!({ "v": 1, "state": state, "not_before": self.not_before.map(|at| at.to_string()) }).to_string().into_bytes()
    }
}

/// What reading networks needs.
pub struct Networks<'a, S> {
    pub inlet: Inlet<'a, S>,
    pub polled: &'a Polled,
    pub rotated: &'a Rotated,
    pub till: &'a Arc<Till<S>>,
}

/// Under which name it is kept when what is listed elsewhere may be asked for again.
const LISTS: &str = "dynamic_streams";

fn micros() -> i64 {
    SystemClock.now().as_microsecond()
}

/// Reads a network's streams; nothing is connected. The connection is for who connects otherwise.
pub(super) fn reader(
    spec: &SourceSpec,
    network: &NetworkSource,
    connector: &Connector,
    known: &Rotated,
    purse: Option<Arc<dyn Purse>>,
) -> Result<(Reader, Connection), Diagnostic> {
    let place = || Place::Named(format!("[sources.{}]", spec.name));
    let bad = |message: &str, remedy: &str| Diagnostic::error(BAD_SETTINGS, place(), message, remedy);
    if rotated::rotates(connector) {
        // Where nothing could keep what the login gives, nothing is asked.
        rotated::file(spec, network)?;
    }
    let given = network.settings.value.as_ref().ok_or_else(|| bad("the settings were not read", "Check `settings`"))?;
    let settings = crate::manifest::Json::parse(given.expose().as_bytes())
        .map_err(|_no_json| bad("the settings are not JSON", "Write a JSON object as the connector's `spec` describes it"))?;
    let login = rotated::rotates(connector).then(|| known.login(&spec.name, given.expose()));
    let settings = login.as_ref().and_then(|login| login.latest()).unwrap_or(settings);
    let proxy = network.proxy.as_ref().map(Proxy::of).transpose();
    let proxy = proxy.map_err(|_not_read| bad("the proxy's password was not read", "Check `proxy_password`"))?;
    let connection = Connection {
        ca_file: network.ca_file.clone(),
        proxy,
        connect: Duration::from_secs(10).min(network.timeout),
        whole: network.timeout,
        tls: connector.tls || ["https:", "wss:"].iter().any(|scheme| settings.compact().contains(scheme)),
        certificate: None,
        longest_body: 0,
    };
    let beside = connector.projections.iter().filter(|projection| projection.looks_beside());
    let beside = beside.map(|projection| projection.stream.clone()).collect();
    Reader::new(connector.source.clone(), settings, &connection, micros, Some(PATIENCE))
        .map(|reader| (reader.with_pages(beside).only_hosts(network.hosts.clone()).paying(purse).sharing(login), connection))
        .map_err(|error| error.diagnostic(&format!("[sources.{}]", spec.name)))
}

impl<S: Store + 'static> Networks<'_, S> {
    /// Reads every stream of every network whose turn has come.
    ///
    /// # Errors
    /// When the store fails. A network that fails is a fault; the others go on.
    pub async fn drain(&self, read: &mut Read) -> Result<(), RunError> {
        for spec in self.inlet.parts.config.sources.iter().filter(|spec| !self.inlet.stops.source(&spec.name)) {
            let SourceKind::Network(network) = &spec.kind else { continue };
            let Some(connector) = &network.loaded else { continue };
            // A client, and the certificates that it trusts, are set up where some stream's turn has come.
            let (mut made, mut listed) = (None, true);
            for projection in &connector.projections {
                let wanted = network.streams.is_empty() || network.streams.iter().any(|name| **name == *projection.stream);
                if !wanted || *self.inlet.stop.borrow() {
                    continue;
                }
                let turn = format!("{}/{}", spec.name, projection.stream);
                if !self.polled.take_turn(&turn, network.every, self.inlet.clock.now()) {
                    continue;
                }
                if made.is_none() {
                    let purse = self.till.account(spec, connector).map(|account| account.purse());
                    let (mut reader, _connection) = match reader(spec, network, connector, self.rotated, purse) {
                        Ok(made) => made,
                        Err(problem) => {
                            read.faults.push(Fault::of(problem));
                            break;
                        }
                    };
                    listed = self.listed(spec, connector, &mut reader, read).await?;
                    made = Some(reader);
                }
                let Some(reader) = &made else { break };
                if !listed && connector.source.stream(&projection.stream).is_none() {
                    continue;
                }
                if let Err(error) = self.stream(spec, connector, projection, reader, None, read).await? {
                    read.faults.push(Fault::of(error.diagnostic(&format!("[sources.{}], stream {}", spec.name, projection.stream))));
                }
            }
        }
        Ok(())
    }

    /// Finds out which streams are made of what is listed elsewhere; whether it is known. A wait that the network asks for is kept over a restart.
    async fn listed(&self, spec: &SourceSpec, connector: &Connector, reader: &mut Reader, read: &mut Read) -> Result<bool, RunError> {
        if connector.source.dynamic.is_empty() {
            return Ok(true);
        }
        let stored = self.inlet.store.cursor(&spec.name, LISTS).await?;
        let mut standing = stored.as_deref().map(Standing::from_bytes).unwrap_or_default();
        if standing.not_before.take().is_some_and(|at| self.inlet.clock.now() < at) {
            return Ok(false);
        }
        let grown = reader.grow().await;
        read.faults.extend(self.rotated.keep_of(reader, spec).err().map(Fault::of));
        if let Err(ReadError::Wait(wait)) = &grown {
            standing.not_before = self.inlet.clock.now().checked_add(*wait).ok();
            let source = Source::new(spec.clone(), Access::ReadOnly);
            let intake = self.inlet.intake(&source);
            intake.taken(&spec.name, LISTS, Digest([0; 32]), Vec::new(), standing.to_bytes(), read).await?;
        }
        if let Err(error) = &grown {
            read.faults.push(Fault::of(error.diagnostic(&format!("[sources.{}]", spec.name))));
        }
        Ok(grown.is_ok())
    }

    /// Whether a stream has to wait for its source's budget, which is told once. Where that can't be known, it is a fault, and nothing is read.
    async fn waits_for_budget(&self, account: Option<&Account<S>>, reader: &Reader, stream: &str, read: &mut Read) -> bool {
        let Some(account) = account else { return false };
        let waits = match reader.dearest_call(stream) {
            Ok(dearest) => account.waits(stream, dearest, self.inlet.scribe).await,
            Err(error) => Err(RunError::Fault(Fault::of(error.diagnostic(&format!("{}, stream {stream}", account.place()))))),
        };
        match waits {
            Ok(until) => until.is_some(),
            Err(RunError::Fault(fault)) => {
                read.faults.push(fault);
                true
            }
            Err(error) => {
                read.faults.push(Fault::of(error.diagnostic()));
                true
            }
        }
    }

    /// Reads one stream from where it stands; with `since`, only what is newer, where its state can say so. Whether it was read to its end: a wait
    /// that the network asked for, and the end of the service, come before it.
    pub(super) async fn stream(
        &self,
        spec: &SourceSpec,
        connector: &Connector,
        projection: &Projection,
        reader: &Reader,
        since: Option<Timestamp>,
        read: &mut Read,
    ) -> Result<Result<bool, ReadError>, RunError> {
        let stored = self.inlet.store.cursor(&spec.name, &projection.stream).await?;
        let mut standing = stored.as_deref().map(Standing::from_bytes).unwrap_or_default();
        if standing.not_before.take().is_some_and(|at| self.inlet.clock.now() < at) {
            return Ok(Ok(false));
        }
        let account = self.till.account(spec, connector);
        if self.waits_for_budget(account.as_ref(), reader, &projection.stream, read).await {
            return Ok(Ok(false));
        }
        if let Some(since) = since {
            standing.state = reader.state_since(&projection.stream, since.as_microsecond(), standing.state.take());
        }
        let source = Source::new(spec.clone(), Access::ReadOnly);
        let intake = self.inlet.intake(&source);
        let lines = activity_streams::Reader::new(&self.inlet.parts.rulebook.identities, spec.network.or(connector.network));
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let given = standing.state.clone();
        let reading = async {
            let ended = reader.read(&projection.stream, given, &sender).await;
            drop(sender);
            ended
        };
        let mut kept = stored;
        let storing = async {
            while let Some(batch) = receiver.recv().await {
                match batch {
                    Batch::Records { items, page } => {
                        let page = page.and_then(|page| serde_json::to_value(page).ok()).unwrap_or_default();
                        let around = projection.surroundings(&page);
                        let found = items.iter().filter_map(|item| projection.line(item.value(), &around));
                        let found =
                            found.map(|line| SourceLine { line: 0, outcome: lines.parse(&line), raw: Personal::new(line) }).collect();
                        let kept = standing.to_bytes();
                        intake.records(&spec.name, &projection.stream, found, (&kept, &kept), read).await?;
                    }
                    Batch::State(state) => {
                        standing.state = Some(state);
                        let bytes = standing.to_bytes();
                        if kept.as_ref() != Some(&bytes) {
                            intake.taken(&spec.name, &projection.stream, Digest([0; 32]), Vec::new(), bytes.clone(), read).await?;
                            kept = Some(bytes);
                        }
                    }
                    Batch::Config(_changed) => read.faults.extend(self.rotated.keep(spec).err().map(Fault::of)),
                }
                if *self.inlet.stop.borrow() {
                    // The reader ends when nobody takes its pages; what was stored holds.
                    receiver.close();
                }
            }
            Ok::<(), RunError>(())
        };
        let (ended, stored) = tokio::join!(reading, storing);
        stored?;
        // Where the read failed right after the login.
        read.faults.extend(self.rotated.keep_of(reader, spec).err().map(Fault::of));
        match ended {
            Err(ReadError::Abandoned) if *self.inlet.stop.borrow() => Ok(Ok(false)),
            Err(ReadError::Purse(PurseError::Spent { .. })) => {
                // What was read before is kept, and the wait told.
                self.waits_for_budget(account.as_ref(), reader, &projection.stream, read).await;
                Ok(Ok(false))
            }
            Err(ReadError::Wait(wait)) => {
                // Kept, so that a start does not ask before.
                standing.not_before = self.inlet.clock.now().checked_add(wait).ok();
                intake.taken(&spec.name, &projection.stream, Digest([0; 32]), Vec::new(), standing.to_bytes(), read).await?;
                Ok(Err(ReadError::Wait(wait)))
            }
            other => Ok(other.map(|()| true)),
        }
    }
}
