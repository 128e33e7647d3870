//! A new signing key for the log: its entry under the old key, then the key's file, then the first checkpoint by the new one.
//!
//! Killed before the key's file is in its place, the log has named a key that never signs; after it, the next start brings the change to
//! its end. At no moment is there a checkpoint that a verifier with the old key can't follow.

use super::{Clock, Parts, RunError, Service, Unseen, WhoAsks};
use crate::audit::VerifierKey;
use crate::store::Store;
use crate::store::log::SigningChange;
use std::sync::{Arc, PoisonError};

/// Rotates the signing key; no service may run.
///
/// # Errors
/// When a service runs, or the folder, the log or the keys can't be written.
pub async fn rotate_signing_key(parts: Parts, who: WhoAsks, clock: Arc<dyn Clock>) -> Result<VerifierKey, RunError> {
    let folder = parts.config.service.state.join("keys");
    let old = parts.keys.log.verifier();
    let service = Service::open(parts, who, clock, Arc::new(Unseen))?;
    // Everything that is sequenced is covered first, so that the entry is the last.
    service.integrate().await?;
    let change = SigningChange::prepare(&folder, old.name()).map_err(RunError::Keys)?;
    let new = change.key().clone();
    let leaf = service.scribe.signing_key_rotated(&old, &new.verifier(), service.clock.now())?;
    service.store.append(vec![leaf]).await?;
    service.integrate().await?;
    change.commit(&old).map_err(RunError::Keys)?;
    let verifier = new.verifier();
    service.log.lock().unwrap_or_else(PoisonError::into_inner).adopt(new)?;
    change.show().map_err(RunError::Keys)?;
    Ok(verifier)
}
