//! What must not go on now: sources and targets that a person paused, and first writes that wait for a person. The store holds them over restarts;
//! this is what the running parts look at.

use crate::model::TargetId;
use crate::store::{Pause, PausedPart};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

#[derive(Debug, Default)]
struct Stopped {
    paused: BTreeSet<(PausedPart, Arc<str>)>,
    held: Option<Arc<str>>,
}

/// Shared by whoever takes in, sends and answers.
#[derive(Debug, Default)]
pub struct Stops(RwLock<Stopped>);

impl Stops {
    /// These pauses stand, and no others.
    pub fn set(&self, pauses: &[Pause]) {
        let paused = pauses.iter().map(|pause| (pause.part, pause.name.clone())).collect();
        self.0.write().unwrap_or_else(PoisonError::into_inner).paused = paused;
    }

    /// Nothing is sent anywhere until it is let on.
    pub fn hold(&self, why: impl Into<Arc<str>>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).held = Some(why.into());
    }

    /// What was held may leave.
    pub fn let_on(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).held = None;
    }

    /// Whether sending is held everywhere.
    pub fn is_held(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).held.is_some()
    }

    /// Whether a person paused this source.
    pub fn source(&self, name: &Arc<str>) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).paused.contains(&(PausedPart::Source, name.clone()))
    }

    /// Why nothing is sent to this target; `None`: it may be sent.
    pub fn target(&self, id: &TargetId) -> Option<Arc<str>> {
        let stopped = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if stopped.paused.contains(&(PausedPart::Target, id.0.clone())) {
            return Some("a person paused it: `kith resume` lets it go on".into());
        }
        stopped.held.clone()
    }
}
