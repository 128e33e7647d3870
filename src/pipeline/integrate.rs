//! The log's tiles follow the store's leaves: within a second while the service runs, whole before a run ends.

use super::RunError;
use super::deliver::Gate;
use super::progress::{Progress, Stage};
use super::supervise::{Board, Watched, survive};
use crate::store::Store;
use crate::store::log::TileLog;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Leaves in one go: at 64 KiB an entry at most, 4,096 are 256 MiB; at the usual 1 KiB they are 4 MiB.
const LEAVES_AT_ONCE: usize = 4_096;
/// Sequenced entries are integrated within a second: half for waiting, half for writing.
const PAUSE: Duration = Duration::from_millis(500);

/// Integrates leaves until told to stop, then what is left. The gate is open only while that works: without a log nothing is sent.
///
/// # Errors
/// Where starting again can't help, was tried often enough, or the end is awaited.
pub async fn follow<S: Store>(
    store: Arc<S>,
    log: Arc<Mutex<TileLog>>,
    gate: Arc<Gate>,
    mut stop: watch::Receiver<bool>,
    progress: Arc<dyn Progress>,
    board: Arc<Board>,
    mut watched: Watched,
) -> Result<u64, RunError> {
    loop {
        let stopping = *stop.borrow_and_update();
        let pause = match survive(catch_up(&*store, &log, &*progress)).await {
            Ok(size) => {
                board.integrated(size);
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
