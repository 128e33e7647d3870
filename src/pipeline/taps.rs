//! *Intake* from Singer taps: each runs to its end as a child process; its records become activities, and what it says to go on with is stored in
//! one step with them. A service that stays runs them beside its passes; a single run ends when they have.

use super::intake::{Inlet, Intake, Read};
use super::live::{LOOK, Shared};
use super::network::Polled;
use super::supervise::survive;
use super::{Fault, RunError};
use crate::declare::config::{SingerSource, SourceKind, SourceSpec};
use crate::declare::manifest::Records;
use crate::model::Personal;
use crate::normalize::activity_streams::{Malformed, Reader};
use crate::source::rows::{no_record, projected};
use crate::source::singer::{Line, Message, Tap, TapError};
use crate::source::{Access, BatchLimits, Source, SourceLine};
use crate::store::Store;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Where a tap's state is kept: one for all of its streams.
const CURSOR: &str = "singer";
/// Lines of one run that are no messages: a tap that prints more has its logging on the wrong output.
const MOST_NOISE: u64 = 1_000;

/// What the store keeps of a tap.
#[derive(Serialize, Deserialize)]
struct Standing<'a> {
    v: u8,
    #[serde(borrow)]
    state: &'a RawValue,
}

/// What reading taps needs.
pub struct Taps<'a, S> {
    pub inlet: Inlet<'a, S>,
    pub polled: &'a Polled,
    /// Who hears that something came while the tap runs on.
    pub passes: Option<&'a Notify>,
}

/// Runs a tap beside the passes, each time that its turn has come, until told to stop: one that reads for hours keeps nobody waiting.
pub(super) async fn keep(shared: Arc<Shared>, spec: SourceSpec, mut stop: watch::Receiver<bool>) -> Read {
    let mut read = Read::default();
    let SourceKind::Singer(tap) = &spec.kind else { return read };
    let Some(records) = &tap.loaded else { return read };
    let polled = Polled::default();
    let stopping = stop.clone();
    let taps = Taps { inlet: shared.inlet(&stopping), polled: &polled, passes: Some(&shared.passes) };
    let mut watched = shared.watched(format!("tap {}", spec.name));
    while !*stop.borrow() {
        let pause = if shared.stops.source(&spec.name) {
            LOOK
        } else {
            let started = Instant::now();
            let ended = survive(Box::pin(taps.run(&spec, tap, records, &mut read))).await;
            let rest = tap.every.saturating_sub(started.elapsed());
            let failed = match ended {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(RunError::Fault(Fault::of(error.diagnostic(&format!("[sources.{}]", spec.name))))),
                Err(error) => Some(error),
            };
            match failed.map(|error| watched.failed(error)) {
                None => {
                    watched.well();
                    rest
                }
                Some(Ok(pause)) => pause.max(rest),
                Some(Err(_told)) => break,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _changed = stop.changed() => {}
        }
    }
    read
}

/// A run of one tap.
struct Run<'a, S> {
    intake: Intake<'a, S>,
    name: &'a Arc<str>,
    records: &'a Records,
    reader: Reader,
    /// The most that one step stores.
    limits: BatchLimits,
    /// What waits for the next step, and its bytes.
    pending: Vec<SourceLine>,
    bytes: usize,
    /// What is stored of the tap's state.
    kept: Vec<u8>,
    noise: u64,
    streams: HashSet<String>,
    passes: Option<&'a Notify>,
}

impl<S: Store> Taps<'_, S> {
    /// Runs every tap whose turn has come to its end.
    ///
    /// # Errors
    /// When the store fails. A tap that fails is a fault; the others go on.
    pub async fn drain(&self, read: &mut Read) -> Result<(), RunError> {
        for spec in self.inlet.parts.config.sources.iter().filter(|spec| !self.inlet.stops.source(&spec.name)) {
            let SourceKind::Singer(tap) = &spec.kind else { continue };
            let Some(records) = &tap.loaded else { continue };
            if *self.inlet.stop.borrow() {
                return Ok(());
            }
            if !self.polled.take_turn(&spec.name, tap.every, self.inlet.clock.now()) {
                continue;
            }
            if let Err(error) = self.run(spec, tap, records, read).await? {
                read.faults.push(Fault::of(error.diagnostic(&format!("[sources.{}]", spec.name))));
            }
        }
        Ok(())
    }

    /// Until a person pauses the source.
    async fn paused(&self, source: &Arc<str>) {
        while !self.inlet.stops.source(source) {
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn run(
        &self,
        spec: &SourceSpec,
        tap: &SingerSource,
        records: &Records,
        read: &mut Read,
    ) -> Result<Result<(), TapError>, RunError> {
        let kept = self.inlet.store.cursor(&spec.name, CURSOR).await?.unwrap_or_default();
        let state = serde_json::from_slice::<Standing<'_>>(&kept).ok().map(|standing| standing.state).filter(|state| state.get() != "null");
        let folder = self.inlet.parts.config.service.state.join("taps").join(&*spec.name);
        let folder = match std::path::absolute(folder) {
            Ok(folder) => folder,
            Err(error) => return Ok(Err(TapError::Files(error.to_string()))),
        };
        let mut child = match Tap::start(&spec.name, tap, &folder, state, |name| std::env::var_os(name)) {
            Ok(child) => child,
            Err(error) => return Ok(Err(error)),
        };
        let source = Source::new(spec.clone(), Access::ReadOnly);
        let intake = self.inlet.intake(&source);
        let mut run = Run {
            intake,
            name: &spec.name,
            records,
            reader: Reader::new(&self.inlet.parts.rulebook.identities, spec.network.or(records.network)),
            limits: BatchLimits::lines(usize::try_from(self.inlet.parts.config.service.intake_batch.get()).unwrap_or(1)),
            pending: Vec::new(),
            bytes: 0,
            kept,
            noise: 0,
            streams: HashSet::new(),
            passes: self.passes,
        };
        let mut stop = self.inlet.stop.clone();
        let mut told_to_stop = std::pin::pin!(async {
            tokio::select! {
                _told = stop.wait_for(|stop| *stop) => {}
                () = self.paused(&spec.name) => {}
            }
        });
        loop {
            let line = tokio::select! {
                biased;
                () = &mut told_to_stop => {
                    child.stop().await;
                    // What came after the last state comes again; what is stored now is a repeat then.
                    run.store(None, read).await?;
                    return Ok(Ok(()));
                }
                line = child.next_line() => line,
                // What a slow tap has said is not kept waiting for what it says next.
                () = tokio::time::sleep(LOOK), if !run.pending.is_empty() => {
                    run.store(None, read).await?;
                    continue;
                }
            };
            let went_on = match line {
                Ok(Some(line)) => run.take(line, read).await?,
                Ok(None) => break,
                Err(error) => Err(error),
            };
            if let Err(error) = went_on {
                child.stop().await;
                run.store(None, read).await?;
                return Ok(Err(error));
            }
        }
        run.store(None, read).await?;
        let ended = child.end().await;
        if ended.is_ok() {
            run.tell_silent_streams();
        }
        Ok(ended)
    }
}

impl<S: Store> Run<'_, S> {
    async fn take(&mut self, line: Line, read: &mut Read) -> Result<Result<(), TapError>, RunError> {
        let line = match line {
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => return Ok(Ok(())),
            Line::Whole(line) => line,
            Line::TooLong { kept, bytes } => return self.noise(kept, Malformed::TooLong { bytes }, read).await,
        };
        match Message::read(&line) {
            Some(Message::Schema { stream }) => _ = self.streams.insert(stream),
            Some(Message::Record { stream, record }) => {
                // A stream that the records file does not name is not taken.
                if let Some(taken) = self.records.of(&stream).and_then(|projection| projected(record, 0, projection, &self.reader)) {
                    self.push(taken, read).await?;
                }
            }
            Some(Message::State(state)) => self.store(Some(&state), read).await?,
            Some(Message::ActivateVersion | Message::Other) => {}
            Some(Message::Batch) => return Ok(Err(TapError::Batch)),
            None => {
                let why = no_record(&line, &self.reader);
                return self.noise(line, why, read).await;
            }
        }
        Ok(Ok(()))
    }

    /// A line that is no message is parked: it may have been a record.
    async fn noise(&mut self, line: Vec<u8>, why: Malformed, read: &mut Read) -> Result<Result<(), TapError>, RunError> {
        self.noise += 1;
        self.push(SourceLine { line: 0, outcome: Err(why), raw: Personal::new(line) }, read).await?;
        Ok(if self.noise > MOST_NOISE { Err(TapError::Noise(self.noise)) } else { Ok(()) })
    }

    async fn push(&mut self, line: SourceLine, read: &mut Read) -> Result<(), RunError> {
        self.bytes += line.raw.reveal().len();
        self.pending.push(line);
        if self.pending.len() >= self.limits.lines || self.bytes >= self.limits.bytes {
            self.store(None, read).await?;
        }
        Ok(())
    }

    /// One durable step: what waits, with the state after it where one came.
    async fn store(&mut self, state: Option<&RawValue>, read: &mut Read) -> Result<(), RunError> {
        let after = state.and_then(|state| serde_json::to_vec(&Standing { v: 1, state }).ok()).unwrap_or_else(|| self.kept.clone());
        self.bytes = 0;
        let lines = std::mem::take(&mut self.pending);
        let before = read.received;
        self.intake.records(self.name, CURSOR, lines, (&self.kept, &after), read).await?;
        self.kept = after;
        if let Some(passes) = self.passes.filter(|_| read.received > before) {
            passes.notify_one();
        }
        Ok(())
    }

    /// A stream of the records file that the tap does not have is most likely a slip of the pen.
    fn tell_silent_streams(&self) {
        for projection in self.records.projections.iter().filter(|projection| !self.streams.contains(&projection.stream)) {
            tracing::warn!(source = &**self.name, stream = projection.stream, "the tap told no SCHEMA of this stream of the records file");
        }
    }
}
