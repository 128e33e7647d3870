//! What was missed is read from the polled stream that the connector names: at once, beside the connection, and again until it is there.

use super::One;
use super::standing::Missed;
use crate::declare::config::SourceKind;
use crate::model::Timestamp;
use crate::pipeline::intake::Read;
use crate::pipeline::network::Networks;
use crate::pipeline::supervise::survive;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// After a read that failed, or that the network puts off.
const AGAIN: Duration = Duration::from_secs(30);
/// Clocks of this side and of the network differ by so much at most; the longest silence is added.
const CLOCKS: Duration = Duration::from_mins(1);

/// A gap that was read to its end.
#[derive(Debug)]
pub(super) struct Filled {
    pub missed: Missed,
    pub read: Read,
}

/// What a read came to: whether to the stream's end.
type Ended = (Option<Missed>, Read, bool);

/// Reads what was missed, one gap at a time.
pub(super) struct Filling {
    one: Arc<One>,
    stop: watch::Receiver<bool>,
    running: Option<JoinHandle<Ended>>,
    not_before: Instant,
    before: Read,
}

impl Filling {
    pub fn new(one: Arc<One>, stop: watch::Receiver<bool>) -> Self {
        Self { one, stop, running: None, not_before: Instant::now(), before: Read::default() }
    }

    /// Begins to read a gap, where there is one and nothing is being read.
    pub fn look(&mut self, missed: Option<&Missed>) {
        if let (Some(missed), None) = (missed, &self.running)
            && Instant::now() >= self.not_before
        {
            self.begin(Some(missed.clone()));
        }
    }

    /// Polls in place of a connection that does not stand, as often as the source says.
    pub fn instead(&mut self) {
        let SourceKind::Network(network) = &self.one.spec.kind else { return };
        if self.running.is_none() && self.one.fills() && self.one.polled.take_turn(&self.one.file, network.every, self.one.now()) {
            self.begin(None);
        }
    }

    fn begin(&mut self, missed: Option<Missed>) {
        let (one, stop) = (self.one.clone(), self.stop.clone());
        self.running = Some(tokio::spawn(async move { one.fill(missed, stop).await }));
    }

    /// Returns when a gap has been read; never where there is none.
    pub async fn done(&mut self) -> Filled {
        loop {
            let Some(running) = &mut self.running else { std::future::pending().await };
            let ended = running.await;
            self.running = None;
            self.not_before = Instant::now() + AGAIN;
            match ended {
                Ok((Some(missed), read, true)) => {
                    self.not_before = Instant::now();
                    let read = std::mem::take(&mut self.before).with(&read);
                    return Filled { missed, read };
                }
                Ok((_, read, _)) => {
                    if read.received > 0 {
                        self.one.shared.passes.notify_one();
                    }
                    self.before.add(&read);
                }
                Err(_panicked) => {}
            }
        }
    }

    /// The end of the service: what is being read stops at its next page. What was taken in.
    pub async fn end(mut self) -> Read {
        if let Some(running) = self.running.take()
            && let Ok((_, read, _)) = running.await
        {
            self.before.add(&read);
        }
        self.before
    }
}

impl One {
    /// Reads the polled stream, for a gap only from where it began.
    async fn fill(&self, missed: Option<Missed>, stop: watch::Receiver<bool>) -> Ended {
        let mut read = Read::default();
        let stream = self.live.stream.backfill.as_deref();
        let Some(projection) = self.connector.projections.iter().find(|known| Some(known.stream.as_str()) == stream) else {
            return (missed, read, false);
        };
        let shared = &self.shared;
        let networks = Networks { inlet: shared.inlet(&stop), polled: &self.polled, rotated: &shared.rotated, till: &shared.till };
        let margin = CLOCKS + self.live.stream.heartbeat;
        let since: Option<Timestamp> = missed.as_ref().and_then(|missed| missed.from).and_then(|from| from.checked_sub(margin).ok());
        let reading = networks.stream(&self.spec, &self.connector, projection, self.opener.reader(), since, &mut read);
        let place = format!("[sources.{}], stream {}", self.spec.name, projection.stream);
        let read_whole = survive(Box::pin(reading)).await;
        self.count(|counts| counts.backfilled += read.received);
        let whole = match read_whole {
            Ok(Ok(whole)) => whole,
            Ok(Err(error)) => {
                tracing::warn!(code = error.code().0, place, "what was missed of a live stream could not be read: {error}");
                false
            }
            Err(error) => {
                tracing::warn!(code = error.code().0, place, "what was missed of a live stream could not be stored: {error}");
                false
            }
        };
        (missed, read, whole)
    }
}
