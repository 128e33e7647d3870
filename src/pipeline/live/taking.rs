//! What was heard and is not stored yet: one transaction at most a quarter of a second later, with the cursor after it.

use super::One;
use super::fill::Filled;
use super::standing::{Missed, Standing, Why};
use crate::model::{Digest, Network, Personal, Timestamp};
use crate::normalize::activity_streams::{MAX_LINE_BYTES, Malformed};
use crate::pipeline::RunError;
use crate::pipeline::intake::{Read, Step};
use crate::pipeline::leaves::GapStep;
use crate::source::stream::Event;
use crate::source::{Access, Source, SourceLine};
use crate::store::Store as _;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// An event waits so long for others: at most four transactions, and four entries of the log, a second.
const LINGER: Duration = Duration::from_millis(250);
/// A cursor that moves over events that nobody takes is stored so often; after a crash they are heard again.
const MOVED: Duration = Duration::from_secs(5);
/// Bytes of one transaction: beyond it the next event is not asked for before it is stored.
const MOST_BYTES: usize = 4 << 20;

/// An event that is taken.
struct Got {
    line: Result<Vec<u8>, (u64, Vec<u8>)>,
    /// Only where its object is there.
    known: bool,
}

/// What was heard and is not stored yet.
pub(super) struct Taking<'a> {
    one: &'a One,
    source: Source,
    stop: watch::Receiver<bool>,
    read: &'a mut Read,
    /// Where the stream stands once it is stored.
    pub standing: Standing,
    /// What the store has.
    kept: Vec<u8>,
    got: Vec<Got>,
    bytes: usize,
    leaves: Vec<Vec<u8>>,
    store_at: Option<Instant>,
}

impl<'a> Taking<'a> {
    pub fn new(one: &'a One, stop: watch::Receiver<bool>, standing: Standing, read: &'a mut Read) -> Self {
        let source = Source::new(one.spec.clone(), Access::ReadOnly);
        let kept = standing.to_bytes();
        Self { one, source, stop, read, standing, kept, got: Vec::new(), bytes: 0, leaves: Vec::new(), store_at: None }
    }

    fn soon(&mut self, within: Duration) {
        let at = Instant::now() + within;
        self.store_at = Some(self.store_at.map_or(at, |before| before.min(at)));
    }

    /// Returns when it is time to store.
    pub async fn due(&self) {
        match self.store_at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// A connection stands. Where it does not go on after what is stored, something was missed.
    pub fn connected(&mut self, resumed: bool, anew: Option<Why>, now: Timestamp) -> Result<(), RunError> {
        let (heard, went_on) = (self.standing.heard, self.standing.went_on.or(self.standing.event));
        let keeps = self.one.live.stream.resume.as_ref().and_then(|resume| resume.keeps);
        // What is older than the server keeps did not come, and will not.
        let too_old = keeps.zip(went_on.or(heard)).is_some_and(|(keeps, at)| now.duration_since(at).unsigned_abs() > keeps);
        let missed = match (resumed, heard) {
            (true, _) if !too_old => None,
            (true, _) => Some(Missed { from: went_on.or(heard), to: now, why: Why::CursorTooOld }),
            (false, None) if !self.one.fills() => None,
            (false, None) => Some(Missed { from: None, to: now, why: Why::First }),
            (false, Some(_)) => Some(Missed { from: heard, to: now, why: anew.unwrap_or(Why::NoCursor) }),
        };
        self.standing.heard = Some(now);
        missed.map_or(Ok(()), |missed| self.miss(missed))
    }

    fn miss(&mut self, missed: Missed) -> Result<(), RunError> {
        let fills = self.one.fills();
        let step = if fills { GapStep::Began } else { GapStep::Left };
        let (name, from, to) = (self.one.name(), missed.from.map(|from| from.to_string()).unwrap_or_default(), missed.to);
        tracing::warn!(code = "KITH-N035", stream = %name, from, %to, why = missed.why.name(), fills, "events of a live stream were missed");
        self.leaves.push(self.one.shared.scribe.gap(&self.one.spec.name, &self.one.file, step, &missed, self.one.now())?);
        self.standing.miss(missed, fills);
        // Where something is missing, numbers begin anew: it is not missed twice.
        self.standing.number = None;
        self.soon(Duration::ZERO);
        Ok(())
    }

    /// An event. `before` is when the connection before this one was heard last.
    pub fn event(&mut self, event: Event, before: Option<Timestamp>) -> Result<(), RunError> {
        let now = self.one.now();
        if event.lost {
            self.miss(Missed { from: before, to: now, why: Why::CursorLost })?;
        }
        if let Some(number) = event.number {
            // A smaller one is an event again, or a server that counts anew.
            if self.standing.number.is_some_and(|last| number > last.saturating_add(1)) {
                let from = self.standing.event.or(before);
                self.miss(Missed { from, to: now, why: Why::Jump })?;
            }
            self.standing.number = Some(number);
        }
        if event.cursor.is_some() && event.cursor != self.standing.cursor {
            self.standing.cursor = event.cursor;
            self.standing.went_on = Some(now);
            self.soon(MOVED);
        }
        if !event.taken {
            return Ok(());
        }
        if let Some((line, known)) =
            self.one.live.line(event.name.as_deref(), &event.record, |changes, record| self.one.opener.reader().reshaped(changes, record))
        {
            (self.standing.event, self.standing.went_on) = (Some(now), Some(now));
            self.bytes += line.len();
            self.got.push(Got { line: Ok(line), known });
            self.fill_up();
        }
        Ok(())
    }

    /// An event that is too long parks, as a line of a file does.
    pub fn too_long(&mut self, bytes: u64, kept: Vec<u8>) {
        self.bytes += kept.len();
        self.got.push(Got { line: Err((bytes, kept)), known: false });
        self.fill_up();
    }

    fn fill_up(&mut self) {
        let lines = usize::try_from(self.one.shared.parts.config.service.intake_batch.get()).unwrap_or(1);
        let full = self.got.len() >= lines || self.bytes >= MOST_BYTES;
        self.soon(if full { Duration::ZERO } else { LINGER });
    }

    /// A gap was read, or not; whether that one is closed.
    pub async fn filled(&mut self, filled: &Filled) -> Result<bool, RunError> {
        let Filled { missed, read } = filled;
        self.read.add(read);
        if read.received > 0 {
            self.one.shared.passes.notify_one();
        }
        // What was missed meanwhile made it longer: it is read once more.
        if self.standing.missed.as_ref() != Some(missed) {
            return Ok(false);
        }
        self.standing.missed = None;
        let (name, to) = (self.one.name(), missed.to);
        tracing::info!(stream = %name, %to, "what was missed of a live stream has been read");
        self.leaves.push(self.one.shared.scribe.gap(&self.one.spec.name, &self.one.file, GapStep::Filled, missed, self.one.now())?);
        self.keep().await?;
        Ok(true)
    }

    /// Stores what was heard, and where the stream stands.
    pub async fn keep(&mut self) -> Result<(), RunError> {
        self.store().await
    }

    /// One transaction for what is good; what is no activity parks alone before it, under its own digest, so that the same event again is a repeat.
    pub async fn store(&mut self) -> Result<(), RunError> {
        self.store_at = None;
        self.bytes = 0;
        let got = std::mem::take(&mut self.got);
        let one = self.one;
        let mut lines = Vec::with_capacity(got.len());
        for Got { line, known } in got {
            let line = match line {
                Ok(line) if line.len() > MAX_LINE_BYTES => Err((line.len() as u64, line)),
                line => line,
            };
            let (outcome, raw) = match line {
                Ok(line) => (one.lines.parse(&line), line),
                Err((bytes, kept)) => (Err(Malformed::TooLong { bytes }), kept),
            };
            lines.push((SourceLine { line: 1, outcome, raw: Personal::new(raw) }, known));
        }
        let lines = self.about_known(lines).await?;
        let intake = one.shared.inlet(&self.stop).intake(&self.source);
        let (source, file) = (&one.spec.name, one.file.as_str());
        let (mut good, mut all) = (Vec::new(), Sha256::new());
        let news = !lines.is_empty();
        one.count(|counts| counts.events += lines.len() as u64);
        for mut line in lines {
            if line.outcome.is_ok() {
                all.update(line.raw.reveal());
                line.line = good.len() as u64 + 1;
                good.push(line);
            } else {
                let digest = Digest(Sha256::digest(line.raw.reveal()).into());
                // The cursor stays where it was: the good ones are not stored yet.
                let cursor = self.kept.clone();
                intake.step(Step { source, file, digest, lines: vec![line], cursor, told: true, leaves: Vec::new() }, self.read).await?;
            }
        }
        let cursor = self.standing.to_bytes();
        if cursor != self.kept || !good.is_empty() || !self.leaves.is_empty() {
            let (told, digest) = (!good.is_empty(), Digest(all.finalize().into()));
            let leaves = std::mem::take(&mut self.leaves);
            intake.step(Step { source, file, digest, lines: good, cursor: cursor.clone(), told, leaves }, self.read).await?;
            self.kept = cursor;
        }
        if news {
            one.shared.passes.notify_one();
        }
        Ok(())
    }

    /// Leaves out what is about objects that nobody here has; one that stands before it in the same transaction counts.
    async fn about_known(&self, lines: Vec<(SourceLine, bool)>) -> Result<Vec<SourceLine>, RunError> {
        let object = |line: &SourceLine| line.outcome.as_ref().ok().map(|activity| (activity.network, activity.object.id.to_string()));
        let asked: Vec<(Network, String)> = lines.iter().filter(|(_, known)| *known).filter_map(|(line, _)| object(line)).collect();
        let there = if asked.is_empty() { Vec::new() } else { self.one.shared.store.knows(asked.clone()).await? };
        let mut there: HashSet<(Network, String)> = asked.into_iter().zip(there).filter_map(|(object, is)| is.then_some(object)).collect();
        let mut left = Vec::with_capacity(lines.len());
        for (line, known) in lines {
            let of = object(&line);
            if !known || of.as_ref().is_none_or(|of| there.contains(of)) {
                there.extend(of);
                left.push(line);
            }
        }
        Ok(left)
    }
}
