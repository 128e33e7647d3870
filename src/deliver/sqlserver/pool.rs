//! Sessions that are kept, each with what it knows of the tables that it writes.

use super::bound::Bound;
use crate::declare::config::ServerSpec;
use crate::declare::connector::ObjectName;
use crate::wire::tds::{Procedure, Session, TdsFault, connect, stage_collation};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Sessions that wait for work: `concurrency` is at most 64.
const MOST_IDLE: usize = 64;
/// Firewalls drop idle connections silently after some minutes, five the least that is seen: a session that slept for so long is asked first.
const FRESH: Duration = Duration::from_mins(1);
/// Beyond this it is not worth asking.
const STALE: Duration = Duration::from_mins(30);
/// What the catalogue said is asked again, so that a DBA's change is seen without a restart.
const CATALOGUE_HOLDS: Duration = Duration::from_mins(10);

/// A session and what it knows.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) session: Session,
    /// The collation of temporary tables; `None` where the server does not tell.
    pub(super) stage_collation: Option<Arc<str>>,
    /// By the operation's place in the target file.
    pub(super) bound: BTreeMap<usize, Arc<Bound>>,
    /// Procedures by their names.
    pub(super) procedures: BTreeMap<ObjectName, Arc<Procedure>>,
    /// Stage tables that this session has made.
    pub(super) stages: BTreeSet<String>,
    learnt: Instant,
    used: Instant,
}

impl Connected {
    /// What is known of tables and procedures is forgotten: a statement did not find what it needed.
    pub(super) fn forget(&mut self) {
        self.bound.clear();
        self.procedures.clear();
    }
}

/// The sessions of a target.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) spec: ServerSpec,
    idle: Mutex<Vec<Connected>>,
}

impl Pool {
    pub(super) const fn new(spec: ServerSpec) -> Self {
        Self { spec, idle: Mutex::new(Vec::new()) }
    }

    /// A session that answers: one that waits, else a new one.
    pub(super) async fn session(&self) -> Result<Connected, TdsFault> {
        loop {
            let waiting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut waiting) = waiting else { break };
            let slept = waiting.used.elapsed();
            if slept >= STALE || (slept >= FRESH && waiting.session.batch("SELECT 1 AS alive").await.is_err()) {
                continue;
            }
            if waiting.learnt.elapsed() >= CATALOGUE_HOLDS {
                waiting.forget();
                waiting.learnt = Instant::now();
            }
            return Ok(waiting);
        }
        let mut session = connect(&self.spec).await?;
        let stage_collation = stage_collation(&mut session).await?;
        let now = Instant::now();
        Ok(Connected {
            session,
            stage_collation,
            bound: BTreeMap::new(),
            procedures: BTreeMap::new(),
            stages: BTreeSet::new(),
            learnt: now,
            used: now,
        })
    }

    /// Takes a session back, where it may be used again. No transaction is open in it.
    pub(super) fn keep(&self, mut connected: Connected) {
        if !connected.session.is_usable() {
            return;
        }
        connected.used = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE {
            idle.push(connected);
        }
    }

    /// Closes what waits.
    pub(super) fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
