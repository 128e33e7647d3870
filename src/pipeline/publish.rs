//! Checkpoints leave the machine: to a folder, to a syslog server; and what witnesses made of them comes back.
//!
//! A checkpoint that nobody else has proves nothing against who has the signing key. When none leaves, deliveries go on: the log still holds,
//! and the warning, the metric and `kith status` say that its newest part is known here alone.

use super::conservation::day;
use super::erasures::Ledger;
use super::leaves::Scribe;
use super::supervise::{Board, Published};
use super::{Clock, Parts, RunError};
use crate::audit::{Checkpoint, Note, VerifierKey, merkle};
use crate::declare::config::{Audit, SyslogSpec};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::Timestamp;
use crate::store::Store;
use crate::store::log::{COSIGNED, LogError, TileNodes, add_to_day, cosigned_notes, newest_checkpoint, replace_in};
use crate::wire::syslog::{Message, Receiver, local};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const DOES_NOT_LEAVE: Code = Code("KITH-A027");

/// What the store remembers: how many entries the last checkpoint covered that reached every place, and when.
pub const PUBLISHED: &str = "checkpoint_published";

/// At most so often an entry says that a checkpoint left, or that a witness cosigned: an entry makes a new checkpoint, which would leave, …
const TOLD_EVERY_SECONDS: i64 = 3_600;

/// The syslog that takes checkpoints: one that nobody named only where it is there.
pub fn syslog_of(audit: &Audit) -> Option<&SyslogSpec> {
    audit.syslog.as_ref().filter(|syslog| !syslog.by_default || syslog.socket().is_some_and(Path::exists))
}

/// Publishes checkpoints.
pub struct Publisher<S> {
    pub(super) store: Arc<S>,
    pub(super) scribe: Arc<Scribe>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) board: Arc<Board>,
    erasures: Ledger<S>,
    audit: Audit,
    log: PathBuf,
    key: VerifierKey,
    host: String,
    /// How many entries the last one covered that reached every place.
    covered: Option<u64>,
    told: Option<Timestamp>,
    /// By witness: how many entries its last cosignature covered, and when an entry told of one.
    witnesses: BTreeMap<String, (u64, Option<Timestamp>)>,
}

impl<S: Store> Publisher<S> {
    /// For a service with these parts.
    pub(super) fn new(parts: &Parts, store: Arc<S>, scribe: Arc<Scribe>, clock: Arc<dyn Clock>, board: Arc<Board>) -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            erasures: Ledger::new(parts, store.clone(), clock.clone()),
            store,
            scribe,
            clock,
            board,
            audit: parts.config.audit.clone(),
            log: parts.config.service.state.join("log"),
            key: parts.keys.log.verifier(),
            host: host.trim().to_owned(),
            covered: None,
            told: None,
            witnesses: BTreeMap::new(),
        }
    }

    /// How long to wait between two looks.
    pub(super) const fn every(&self) -> Duration {
        self.audit.every
    }

    fn places(&self) -> bool {
        self.audit.checkpoints_to.is_some() || syslog_of(&self.audit).is_some()
    }

    /// Sends the newest checkpoint where it is new, adds to the ledger of erasures, and takes in what witnesses cosigned. `last`: the service ends, and
    /// writes no more entries.
    ///
    /// # Errors
    /// The first place that did not take it.
    pub(super) async fn turn(&mut self, last: bool) -> Result<(), RunError> {
        let kept = self.erasures.turn().await;
        self.publish(last).await?;
        kept
    }

    async fn publish(&mut self, last: bool) -> Result<(), RunError> {
        if let Some(folder) = self.audit.witnesses.clone() {
            self.take_in(&folder, last).await?;
        }
        if !self.places() {
            return Ok(());
        }
        if self.covered.is_none() {
            let kept = self.store.setting(PUBLISHED).await?;
            self.covered = kept.and_then(|kept| kept.split(' ').next().and_then(|n| n.parse().ok()));
        }
        let (checkpoint, note, _) = newest_checkpoint(&self.log, &self.key).map_err(|(_, error)| error)?;
        let before = self.covered.unwrap_or(0);
        if checkpoint.size == before || checkpoint.size == 0 {
            return Ok(());
        }
        let now = self.clock.now();
        let sent = self.send(&checkpoint, &note, now).await;
        let places = match sent {
            Ok(places) => places,
            Err((place, error)) => {
                let message = format!("the checkpoint over {} entries did not leave: {error}", checkpoint.size);
                self.board.published(None, Some(message.clone()));
                return Err(kept(place, message));
            }
        };
        self.covered = Some(checkpoint.size);
        self.board.published(Some(Published { size: checkpoint.size, at: now.to_string() }), None);
        let due = self.told.is_none_or(|told| now.as_second() - told.as_second() >= TOLD_EVERY_SECONDS);
        let mut leaves = Vec::new();
        if due && !last {
            for place in places {
                leaves.push(self.scribe.checkpoint_published(&checkpoint, place, now)?);
            }
            self.told = Some(now);
        }
        self.store.set(vec![(PUBLISHED.into(), format!("{} {now}", checkpoint.size))], leaves).await?;
        Ok(())
    }

    async fn send(&self, checkpoint: &Checkpoint, note: &str, now: Timestamp) -> Result<Vec<&'static str>, (Place, io::Error)> {
        let mut places = Vec::new();
        if let Some(folder) = &self.audit.checkpoints_to {
            let (to, origin, note) = (folder.clone(), checkpoint.origin.clone(), note.to_owned());
            let added = patiently(move || add_to_day(&to, &origin, &day(now), ".checkpoints", [note])).await;
            added.map_err(|error| (Place::Path(folder.display().to_string()), error))?;
            places.push("file");
        }
        if let Some(syslog) = syslog_of(&self.audit) {
            let place = || Place::Named(format!("syslog {}", syslog.address));
            let text = serde_json::json!({ "checkpoint": note, "origin": checkpoint.origin, "size": checkpoint.size }).to_string();
            let message =
                Message { time: format!("{now:.6}"), host: self.host.clone(), id: format!("checkpoint-{}", checkpoint.size), text };
            let sent = if let Some(socket) = syslog.socket() {
                local::send(socket, &message).await
            } else if let Some(receiver) = Receiver::parse(&syslog.address, syslog.ca_file.clone()) {
                receiver.send(&[message]).await
            } else {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "not an address"))
            };
            sent.map_err(|error| (place(), error))?;
            places.push("syslog");
        }
        Ok(places)
    }

    /// Cosigned checkpoints of this log, into the log's folder.
    async fn take_in(&mut self, folder: &Path, last: bool) -> Result<(), RunError> {
        let (newest, _, _) = newest_checkpoint(&self.log, &self.key).map_err(|(_, error)| error)?;
        let from = folder.to_owned();
        let notes = patiently(move || cosigned_notes(&from).map_err(io::Error::other)).await;
        for (path, note) in notes.map_err(|source| LogError::Read { path: folder.to_owned(), source })? {
            let Ok(checkpoint) = Checkpoint::open(&note, &self.key) else { continue };
            let Some(witness) = witness_of(&note, &self.key) else { continue };
            let (covered, told) = self.witnesses.get(&witness).copied().unwrap_or_default();
            if checkpoint.size <= covered || checkpoint.size > newest.size {
                continue;
            }
            if merkle::root(&TileNodes::new(&self.log, newest.size), checkpoint.size)? != checkpoint.root {
                let what = format!("the checkpoint over {} entries that `{witness}` cosigned is not of this log", checkpoint.size);
                return Err(LogError::Contradiction { path, what }.into());
            }
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            keep(&self.log.join(COSIGNED), name, &note)?;
            let now = self.clock.now();
            let due = !last && told.is_none_or(|told| now.as_second() - told.as_second() >= TOLD_EVERY_SECONDS);
            if due {
                let leaf = self.scribe.checkpoint_cosigned(&checkpoint, &witness, now)?;
                self.store.append(vec![leaf]).await?;
            }
            self.witnesses.insert(witness, (checkpoint.size, if due { Some(now) } else { told }));
        }
        Ok(())
    }
}

/// The end did not wait any longer.
pub(super) fn late() -> RunError {
    kept(Place::Named("[audit]".into()), "the last checkpoint did not leave in time".to_owned())
}

fn kept(place: Place, message: String) -> RunError {
    let remedy = "see that the place can be written to; the newest checkpoint is tried again by itself";
    RunError::Fault(super::Fault::of(Diagnostic::error(DOES_NOT_LEAVE, place, message, remedy)))
}

/// A share may be away: what asks it waits on a thread of its own, and is not waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn patiently<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(work)).await {
        Ok(done) => done.map_err(io::Error::other)?,
        Err(_late) => Err(io::Error::new(io::ErrorKind::TimedOut, "it did not answer within 15 s")),
    }
}

/// The first signer of a note besides the log.
fn witness_of(note: &[u8], key: &VerifierKey) -> Option<String> {
    let note = Note::parse(note).ok()?;
    note.signatures.iter().find(|signature| signature.name != key.name()).map(|signature| signature.name.to_owned())
}

/// A file of a folder, made with it, whole or not at all.
fn keep(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), LogError> {
    let kept = fs::create_dir_all(folder).and_then(|()| replace_in(folder, name, bytes, 0o644));
    kept.map_err(|source| LogError::Write { path: folder.join(name), source })
}
