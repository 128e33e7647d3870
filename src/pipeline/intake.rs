//! *Intake*: sources are read to their end; each batch of lines is one durable step with its cursor.

use super::leaves::{BatchTold, Scribe};
use super::progress::{Progress, Stage};
use super::stops::Stops;
use super::{Clock, Fault, Parts, RunError, posts};
use crate::declare::mapping::Rulebook;
use crate::model::{Activity, Digest, Personal, Timestamp};
use crate::normalize::activity_streams::Reader;
use crate::source::{Access, BatchLimits, FileCursor, Opened, Source, SourceBatch, SourceError, SourceLine};
use crate::store::{IntakeBatch, ParkedLine, ReceivedActivity, Store, StoreError, Tell};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Batches read ahead of the store: with 1,000 lines of a few KiB each, some 10 MB.
const READ_AHEAD: usize = 2;
/// A malformed line is kept up to here for its dead letter.
const KEPT_BYTES: usize = 64 * 1024;
/// A file of a drop folder that was written to more recently than this is still growing.
pub(super) const QUIET_FOR: Duration = Duration::from_secs(2);

/// What a look at all sources brought.
#[derive(Debug, Default)]
pub struct Read {
    /// New activity versions and malformed lines.
    pub received: u64,
    /// Exact repeats.
    pub duplicates: u64,
    /// Files without news.
    pub unchanged_files: u64,
    /// Sources or files that failed.
    pub faults: Vec<Fault>,
}

impl Read {
    /// Adds what another look brought.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.duplicates += other.duplicates;
        self.unchanged_files += other.unchanged_files;
    }

    /// With what another look brought.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.add(other);
        self
    }
}

/// What taking in needs, whatever kind of source it is from.
pub struct Inlet<'a, S> {
    pub parts: &'a Parts,
    pub store: &'a Arc<S>,
    pub scribe: &'a Arc<Scribe>,
    pub clock: &'a dyn Clock,
    pub progress: &'a dyn Progress,
    /// What people paused.
    pub stops: &'a Stops,
    /// True when reading should end.
    pub stop: &'a watch::Receiver<bool>,
}

impl<S> Clone for Inlet<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Inlet<'_, S> {}

impl<'a, S> Inlet<'a, S> {
    /// For one source.
    pub(super) fn intake<'s>(self, source: &'s Source) -> Intake<'s, S>
    where
        'a: 's,
    {
        let Self { parts, store, scribe, clock, progress, stops: _, stop } = self;
        Intake { parts, source, store, scribe, clock, progress, stop }
    }
}

/// Reads every source of files to its end.
///
/// # Errors
/// When the store fails. A source that fails is a fault; the others go on.
pub async fn drain<S: Store>(inlet: Inlet<'_, S>, access: Access) -> Result<Read, RunError> {
    let Inlet { parts, clock, stops, stop, .. } = inlet;
    let mut read = Read::default();
    for spec in parts.config.sources.iter().filter(|spec| !stops.source(&spec.name)) {
        let source = Source::new(spec.clone(), access);
        let found = match source.look(clock.now(), QUIET_FOR) {
            Ok(found) => found,
            Err(error) => {
                read.faults.push(Fault::of(error.diagnostic()));
                continue;
            }
        };
        for path in &found.growing {
            let seconds = QUIET_FOR.as_secs();
            tracing::info!(file = %path.display(), "still growing: written to less than {seconds} s ago, a later pass reads it");
        }
        for path in found.ready {
            if *stop.borrow() {
                return Ok(read);
            }
            if let Err(error) = inlet.intake(&source).file(&path, &mut read).await? {
                read.faults.push(Fault::of(error.diagnostic()));
            }
        }
    }
    Ok(read)
}

/// Lines, the cursor after them, and what is written down with them.
pub(super) struct Step<'a> {
    pub(super) source: &'a Arc<str>,
    /// The file or stream.
    pub(super) file: &'a str,
    pub(super) digest: Digest,
    pub(super) lines: Vec<SourceLine>,
    pub(super) cursor: Vec<u8>,
    /// Whether the log tells that something was read; a cursor that moves over what nobody takes is not told.
    pub(super) told: bool,
    /// More entries, before it.
    pub(super) leaves: Vec<Vec<u8>>,
}

/// What taking in a file needs.
pub(super) struct Intake<'a, S> {
    pub(super) parts: &'a Parts,
    pub(super) source: &'a Source,
    pub(super) store: &'a S,
    pub(super) scribe: &'a Arc<Scribe>,
    pub(super) clock: &'a dyn Clock,
    pub(super) progress: &'a dyn Progress,
    pub(super) stop: &'a watch::Receiver<bool>,
}

impl<S: Store> Intake<'_, S> {
    async fn file(&self, path: &Path, read: &mut Read) -> Result<Result<(), SourceError>, RunError> {
        let name = Source::cursor_name(path);
        let source_name = self.source.spec().name.clone();
        let cursor = self.store.cursor(&source_name, &name).await?.and_then(|bytes| FileCursor::from_bytes(&bytes));
        let (batches, mut incoming) = mpsc::channel(READ_AHEAD);
        let reading = self.reading(path.to_owned(), cursor, batches);
        let reading = tokio::task::spawn_blocking(reading);
        while let Some(batch) = incoming.recv().await {
            self.batch(&source_name, &name, batch, read).await?;
            if *self.stop.borrow() {
                incoming.close();
            }
        }
        match reading.await.map_err(RunError::Task)? {
            Ok(Ended::NothingNew) => {
                read.unchanged_files += 1;
                Ok(self.source.finish(path).map(drop))
            }
            Ok(Ended::AtTheEnd) => Ok(self.source.finish(path).map(drop)),
            Ok(Ended::Stopped) => Ok(Ok(())),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Reads and parses on a thread of its own, a little ahead of the store.
    fn reading(
        &self,
        path: PathBuf,
        cursor: Option<FileCursor>,
        batches: mpsc::Sender<SourceBatch>,
    ) -> impl FnOnce() -> Result<Ended, SourceError> + Send + 'static {
        let limits = BatchLimits::lines(usize::try_from(self.parts.config.service.intake_batch.get()).unwrap_or(1));
        let spec = self.source.spec();
        let said = spec.kind.loaded_records().and_then(|records| records.network);
        let reader = Reader::new(&self.parts.rulebook.identities, spec.network.or(said));
        let source = self.source.clone();
        move || {
            let mut next: Box<dyn FnMut() -> Result<Option<SourceBatch>, SourceError>> = match source.open(&path, cursor.as_ref())? {
                Opened::NothingNew(_) => return Ok(Ended::NothingNew),
                Opened::Reading(mut file) => Box::new(move || file.next_batch(limits, &reader)),
                Opened::Rows(mut rows) => Box::new(move || rows.next_batch(limits, &reader)),
            };
            while let Some(batch) = next()? {
                if batches.blocking_send(batch).is_err() {
                    return Ok(Ended::Stopped);
                }
            }
            Ok(Ended::AtTheEnd)
        }
    }

    /// One durable step: the lines of a batch with the cursor after them.
    pub(super) async fn batch(&self, source: &Arc<str>, file: &str, batch: SourceBatch, read: &mut Read) -> Result<(), RunError> {
        self.taken(source, file, batch.cursor_after.digest, batch.lines, batch.cursor_after.to_bytes(), read).await
    }

    /// Records that stand in no file. What is no activity is stored alone, under the digest of what it says, so that the same again is a repeat,
    /// and with the cursor `before` them; the others in one durable step with the cursor `after` them, which is stored in any case where it
    /// is another one.
    pub(super) async fn records(
        &self,
        source: &Arc<str>,
        stream: &str,
        lines: Vec<SourceLine>,
        (before, after): (&[u8], &[u8]),
        read: &mut Read,
    ) -> Result<(), RunError> {
        let mut good = Vec::with_capacity(lines.len());
        let mut all = Sha256::new();
        for line in lines {
            if line.outcome.is_ok() {
                all.update(line.raw.reveal());
                let number = u64::try_from(good.len()).unwrap_or(u64::MAX) + 1;
                good.push(SourceLine { line: number, ..line });
            } else {
                let digest = Digest(Sha256::digest(line.raw.reveal()).into());
                self.taken(source, stream, digest, vec![SourceLine { line: 1, ..line }], before.to_vec(), read).await?;
            }
        }
        if !good.is_empty() || before != after {
            self.taken(source, stream, Digest(all.finalize().into()), good, after.to_vec(), read).await?;
        }
        Ok(())
    }

    /// One durable step: lines with the cursor after them.
    pub(super) async fn taken(
        &self,
        source: &Arc<str>,
        file: &str,
        digest: Digest,
        lines: Vec<SourceLine>,
        cursor: Vec<u8>,
        read: &mut Read,
    ) -> Result<(), RunError> {
        self.step(Step { source, file, digest, lines, cursor, told: true, leaves: Vec::new() }, read).await
    }

    /// One durable step.
    pub(super) async fn step(&self, step: Step<'_>, read: &mut Read) -> Result<(), RunError> {
        let Step { source, file, digest, lines, cursor, told: read_told, leaves } = step;
        let at = self.clock.now();
        let count = lines.len() as u64;
        let (mut activities, mut parked) = (Vec::with_capacity(lines.len()), Vec::new());
        for line in lines {
            match line.outcome {
                Ok(activity) => activities.push(received(line.line, activity, &self.parts.rulebook)),
                Err(malformed) => parked.push(ParkedLine { line: line.line, reason: malformed.park_reason(), raw: shortened(line.raw) }),
            }
        }
        let told = Arc::new(BatchTold {
            source: source.clone(),
            file: file.into(),
            digest,
            at,
            activities: activities.iter().map(|a| self.scribe.activity(a.line, &a.activity)).collect(),
            lines: parked.iter().map(|line| (line.line, line.reason.clone())).collect(),
        });
        let (scribe, batch_told) = (self.scribe.clone(), told.clone());
        let tell = Tell(Arc::new(move |outcome| {
            let mut all = leaves.clone();
            if read_told {
                all.extend(scribe.intake(&batch_told, outcome).map_err(|error| StoreError::Refused(error.to_string()))?);
            }
            Ok(all)
        }));
        let batch =
            IntakeBatch { source: source.clone(), file: file.to_owned(), file_digest: digest, at, activities, parked, cursor, tell };
        let outcome = self.store.intake(batch).await?;
        self.scribe.tell_received(&told, &outcome);
        read.received += outcome.received;
        read.duplicates += outcome.duplicates;
        self.progress.advance(Stage::Intake, count, None);
        Ok(())
    }
}

enum Ended {
    NothingNew,
    AtTheEnd,
    Stopped,
}

/// An activity with policy's word and the digest of what it says.
pub(super) fn received(line: u64, activity: Activity, rulebook: &Rulebook) -> ReceivedActivity {
    let drop = rulebook.policy.at_intake(activity.audience);
    let evidence = posts::is_evidence(&rulebook.identities, &activity);
    ReceivedActivity { line, content_digest: content_digest(&activity), activity, drop, evidence }
}

fn shortened(raw: Personal<Vec<u8>>) -> Personal<Vec<u8>> {
    let mut bytes = raw.into_revealed();
    bytes.truncate(KEPT_BYTES);
    Personal::new(bytes)
}

/// SHA-256 of what an activity says, each part after its length; the profile is not part of it.
fn content_digest(activity: &Activity) -> Digest {
    let object = &activity.object;
    let time = |t: Option<Timestamp>| t.map(|t| t.to_string());
    let parts = [
        Some(activity.audience.name().to_owned()),
        activity.conversation.as_deref().map(str::to_owned),
        Some(object.kind.to_string()),
        object.content.reveal().as_deref().map(str::to_owned),
        object.url.reveal().as_deref().map(str::to_owned),
        object.in_reply_to.as_deref().map(str::to_owned),
        time(object.published),
        time(object.updated),
        time(object.deleted),
    ];
    let mut hash = Sha256::new();
    for part in parts {
        match part {
            None => hash.update([0]),
            Some(text) => {
                hash.update([1]);
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text.as_bytes());
            }
        }
    }
    Digest(hash.finalize().into())
}
