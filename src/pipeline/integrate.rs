//! The log's tiles follow the store's leaves: within a second while the service runs, whole before a run ends.

use super::RunError;
use super::deliver::Gate;
use super::progress::{Progress, Stage};
use super::supervise::{Board, Watched, survive};
use crate::store::Store;
use crate::store::log::{SEGMENT, Terms, TileLog};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Leaves in one go: at 64 KiB an entry at most, 4,096 are 256 MiB; at the usual 1 KiB they are 4 MiB.
const LEAVES_AT_ONCE: usize = 4_096;
/// Sequenced entries are integrated within a second: half for waiting, half for writing.
const PAUSE: Duration = Duration::from_millis(500);

/// What follows the store's leaves.
pub struct LogFiles {
    /// Tiles and checkpoint.
    pub tiles: Arc<Mutex<TileLog>>,
    /// The index.
    pub terms: Terms,
}

/// Integrates leaves until told to stop, then what is left. The gate is open only while that works: without a log nothing is sent.
///
/// # Errors
/// Where starting again can't help, was tried often enough, or the end is awaited.
pub async fn follow<S: Store>(
    store: Arc<S>,
    files: LogFiles,
    gate: Arc<Gate>,
    mut stop: watch::Receiver<bool>,
    progress: Arc<dyn Progress>,
    board: Arc<Board>,
    mut watched: Watched,
) -> Result<u64, RunError> {
    let LogFiles { tiles: log, terms } = files;
    let mut indexer = Indexer { terms, next: Some(0) };
    loop {
        let stopping = *stop.borrow_and_update();
        let pause = match survive(catch_up(&*store, &log, &*progress)).await {
            Ok(size) => {
                board.integrated(size);
                indexer.follow(&*store, size).await;
                // The stop was asked for after the last entry was sequenced.
                if stopping {
                    return Ok(size);
                }
                watched.well();
                gate.open();
                PAUSE
            }
            Err(error) => {
                gate.close();
                if stopping {
                    return Err(error);
                }
                watched.failed(error)?
            }
        };
        tokio::select! {
            _changed = stop.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Segments of the index in one turn: each reads 16,384 entries, some tens of milliseconds. A log that had none yet gets its index in its first
/// minutes, and checkpoints are not held up.
const SEGMENTS_AT_ONCE: u64 = 8;

/// Writes the segments that became full, and those that are missing. Without its index a search is slower, and nothing else is: after a
/// failure it is left until the next start.
struct Indexer {
    terms: Terms,
    next: Option<u64>,
}

impl Indexer {
    async fn follow<S: Store>(&mut self, store: &S, size: u64) {
        if let Err(error) = self.write(store, size / SEGMENT).await {
            tracing::warn!(code = error.code().0, "the index of the log's entries can't be written: {error}");
            self.next = None;
        }
    }

    async fn write<S: Store>(&mut self, store: &S, full: u64) -> Result<(), RunError> {
        let mut written = 0;
        while let Some(segment) = self.next.filter(|next| *next < full && written < SEGMENTS_AT_ONCE) {
            let first = segment * SEGMENT;
            let last = store.leaves(first + SEGMENT - 1, 1).await?;
            if !last.first().is_some_and(|last| self.terms.has(segment, last)) {
                let mut building = self.terms.begin(segment);
                while building.count() < SEGMENT {
                    let missing = usize::try_from(SEGMENT - building.count()).unwrap_or(LEAVES_AT_ONCE);
                    let page = store.leaves(first + building.count(), missing.min(LEAVES_AT_ONCE)).await?;
                    if page.is_empty() {
                        return Ok(());
                    }
                    for entry in &page {
                        building.add(entry);
                    }
                }
                building.finish()?;
                written += 1;
            }
            self.next = Some(segment + 1);
        }
        Ok(())
    }
}

/// Integrates everything that is sequenced at the time of asking; returns the log's size.
///
/// # Errors
/// When the log or the store fails.
pub async fn catch_up<S: Store>(store: &S, log: &Arc<Mutex<TileLog>>, progress: &dyn Progress) -> Result<u64, RunError> {
    loop {
        let from = log.lock().unwrap_or_else(PoisonError::into_inner).size()?;
        let leaves = store.leaves(from, LEAVES_AT_ONCE).await?;
        if leaves.is_empty() {
            return Ok(from);
        }
        let count = leaves.len() as u64;
        let log = log.clone();
        tokio::task::spawn_blocking(move || log.lock().unwrap_or_else(PoisonError::into_inner).integrate(from, &leaves))
            .await
            .map_err(RunError::Task)??;
        progress.advance(Stage::Integrate, count, None);
        // What was sequenced meanwhile waits for the next time, or a busy store would have a checkpoint for every handful of entries.
        if count < LEAVES_AT_ONCE as u64 {
            return Ok(from + count);
        }
    }
}
