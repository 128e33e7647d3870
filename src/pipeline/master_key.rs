//! Another master key: made durable beside the old one, then every person's key is wrapped anew in one transaction, then it takes the old one's place.
//! Wherever a crash comes, the state says which of the two it needs.

use super::leaves::WhoAsks;
use super::{Clock, Fault, Parts, RunError, Service};
use crate::audit::{KeyId, MasterKey};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::store::log::{KeysError, NextMaster};
use std::path::Path;
use std::sync::Arc;

const WHERE: Code = Code("KITH-R055");

/// What a rotation did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rotated {
    /// The key in force.
    pub id: KeyId,
    /// The one before.
    pub previous: KeyId,
    /// Keys of persons.
    pub keys: u64,
}

fn fault(error: &KeysError) -> RunError {
    RunError::Fault(Fault::of(error.diagnostic()))
}

/// Rotates the master key of a state folder that no service has. `next` names the new key's file where the keys are given as secrets.
///
/// # Errors
/// When a service runs, the key can't be made, or the store fails: then the old one is in force.
pub async fn rotate_master(parts: &Parts, who: &WhoAsks, clock: &Arc<dyn Clock>, next: Option<&Path>) -> Result<Rotated, RunError> {
    let folder = parts.config.service.state.join("keys");
    let by_secret = parts.config.keys.master.is_some();
    if by_secret != next.is_some() {
        let (message, remedy) = if by_secret {
            (
                "the master key is given as a secret, and nothing says where the new one is",
                "give --next FILE; afterwards its line becomes the secret",
            )
        } else {
            ("the master key is a file of the state folder: it needs no --next", "leave --next out")
        };
        return Err(RunError::Fault(Fault::of(Diagnostic::error(WHERE, Place::Named("[keys]".into()), message, remedy))));
    }
    // The folder's lock is held from here on: nobody else rotates, and nobody makes keys.
    let service = Service::open(parts.clone(), who.clone(), clock.clone(), Arc::new(super::Unseen))?;
    let new = match next {
        Some(file) => NextMaster::given(file),
        None => NextMaster::beside(&folder),
    }
    .map_err(|error| fault(&error))?;
    let (previous, id) = (parts.keys.master.id(), new.key().id());
    let leaf = service.scribe.master_rotated(&previous.to_string(), &id.to_string(), clock.now())?;
    let (from, to): (MasterKey, MasterKey) = (parts.keys.master.clone(), new.key().clone());
    let keys = service.store.rotate_master(from, to, leaf).await?;
    // In force from that commit on; what is left is the file's name.
    new.settle().map_err(|error| fault(&error))?;
    crate::store::Rights::fold(&*service.store).await?;
    service.integrate().await?;
    Ok(Rotated { id, previous, keys })
}
