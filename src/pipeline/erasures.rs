//! The ledger of erasures follows the log: each entry that says that somebody is erased leaves the machine, proven, within seconds of being asked for.

use super::{Clock, Fault, Parts, RunError, conservation};
use crate::audit::VerifierKey;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::store::Store;
use crate::store::erasures::{add, belongs};
use crate::store::log::{ProveError, Prover, newest_checkpoint};
use std::path::PathBuf;
use std::sync::Arc;

const DOES_NOT_LEAVE: Code = Code("KITH-B007");

/// What the store remembers: the number of the first entry that was not looked at yet. A restore forgets it.
const TOLD: &str = "erasures_told";

/// Entries looked at in one go: at 64 KiB at most 256 MiB, at the usual 1 KiB 4 MiB.
const AT_ONCE: usize = 4_096;

/// Keeps the ledger.
pub(super) struct Ledger<S> {
    store: Arc<S>,
    clock: Arc<dyn Clock>,
    folder: Option<PathBuf>,
    log: PathBuf,
    key: VerifierKey,
}

impl<S: Store> Ledger<S> {
    pub(super) fn new(parts: &Parts, store: Arc<S>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            folder: parts.config.backup.erasures_to.clone(),
            log: parts.config.service.state.join("log"),
            key: parts.keys.log.verifier(),
        }
    }

    /// Adds what the newest checkpoint covers and the ledger lacks. A crash may add a proof twice, and leaves none out.
    ///
    /// # Errors
    /// When the log or the store can't be read, or the ledger not be written.
    pub(super) async fn turn(&self) -> Result<(), RunError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let (checkpoint, _, _) = newest_checkpoint(&self.log, &self.key).map_err(|(_, error)| error)?;
        let first: u64 = self.store.setting(TOLD).await?.and_then(|told| told.parse().ok()).unwrap_or(0);
        let mut next = first;
        let mut prover = None;
        while next < checkpoint.size {
            let page = self.store.leaves(next, AT_ONCE).await?;
            let covered = (next..checkpoint.size).zip(&page);
            let found: Vec<u64> = covered.clone().filter(|(_, leaf)| belongs(leaf)).map(|(number, _)| number).collect();
            let looked_at = covered.count() as u64;
            if looked_at == 0 {
                break;
            }
            if !found.is_empty() {
                if prover.is_none() {
                    prover = Some(Prover::open(&self.log, &self.key, &[])?);
                }
                if let Some(prover) = &prover {
                    let proofs = found.iter().map(|number| prover.prove(*number)).collect::<Result<Vec<_>, _>>().map_err(unproven)?;
                    let (to, origin, day) = (folder.clone(), checkpoint.origin.clone(), conservation::day(self.clock.now()));
                    let added = super::publish::patiently(move || add(&to, &origin, &day, &proofs)).await;
                    added.map_err(|error| {
                        let message = format!("erasures did not reach their ledger: {error}");
                        let remedy = "see that the folder can be written to; what is missing is added by itself, and a backup restored now would not know it";
                        let place = Place::Path(folder.display().to_string());
                        RunError::Fault(Fault::of(Diagnostic::error(DOES_NOT_LEAVE, place, message, remedy)))
                    })?;
                }
            }
            next += looked_at;
        }
        if next > first {
            self.store.set(vec![(TOLD.into(), next.to_string())], Vec::new()).await?;
        }
        Ok(())
    }
}

fn unproven(error: ProveError) -> RunError {
    match error {
        ProveError::Log(error) => error.into(),
        // Not covered by a checkpoint yet, which was looked at before: another process replaced the log.
        ProveError::Beyond { index, size } => crate::store::log::LogError::Gap { expected: size, given: index }.into(),
    }
}
