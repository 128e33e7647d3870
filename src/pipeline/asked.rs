//! What is asked of a state folder from outside: through the running service's control socket, else by taking the folder's lock for a moment.

use super::called::CallTold;
use super::control::{self, Answer, Request};
use super::dead_letters::Letters;
use super::deliver::Bell;
use super::leaves::{Scribe, WhoAsks};
use super::stops::Stops;
use super::{Clock, Parts, RunError, Service, account_name, integrate, role_of, roles};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::Notify;

/// A reading command that finds the folder's lock taken, and no service behind it, asks again: 10 × 0.2 s.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// What a running service needs to answer.
pub(super) struct Desk {
    pub(super) parts: Parts,
    pub(super) store: Arc<SqliteStore>,
    pub(super) scribe: Arc<Scribe>,
    pub(super) clock: Arc<dyn Clock>,
    /// A look at the sources, and decisions.
    pub(super) wake: Arc<Notify>,
    /// Deliveries are there to be sent.
    pub(super) planned: Arc<Bell>,
    /// What people paused.
    pub(super) stops: Arc<Stops>,
    /// Somebody is not to be matched any more: the customers are read afresh.
    pub(super) customers_changed: Arc<AtomicBool>,
    /// Somebody was erased: the ledger outside of the machine is to know it soon.
    pub(super) erased: Arc<Notify>,
}

impl Desk {
    /// Does what is asked.
    pub(super) async fn answer(&self, request: &Request, uid: u32) -> Answer {
        // The system says which user id asks, and the configuration which role it has. What the asker calls themselves counts for nothing.
        let account = account_name(uid);
        let role = role_of(&self.parts.config.roles, &account);
        let asker = |_said: &str| WhoAsks { user: format!("{account} (uid {uid})").into(), role };
        if let Err(error) = roles::permit(&self.parts.config.roles, &account, role, request) {
            return Answer::Refused { code: error.code().0.into(), reason: error.to_string() };
        }
        let done = match request {
            // How the service stands and reloads are answered before they come here.
            Request::Ping | Request::Standing | Request::Reload | Request::Release { .. } => Ok(Answer::Done),
            Request::Pass => {
                self.wake.notify_one();
                Ok(Answer::Done)
            }
            Request::RecordRead { what, subjects, count, user } => self.record_read(what, subjects, *count, &asker(user)).await,
            Request::RecordExport { told, user } => self.record_export(told, &asker(user)).await,
            Request::RecordCall { told, user } => self.record_call(told, &asker(user)).await,
            Request::ReplayLetters { letters, edit, user } => {
                let done = self.letters(Some(asker(user))).replay(letters, edit.as_ref()).await;
                self.planned.ring();
                self.wake.notify_one();
                done.map(|letters| Answer::Letters { letters })
            }
            Request::DropLetters { letters, reason, user } => {
                self.letters(Some(asker(user))).give_up(letters, reason).await.map(|letters| Answer::Letters { letters })
            }
            Request::RecordBackup { user, .. } | Request::RecordKeys { user, .. } => self.record_kept(request, Some(&asker(user))).await,
            Request::Subjects { user, .. }
            | Request::FinishRemovals { user }
            | Request::RecordSubjectExport { user, .. }
            | Request::RecordNotices { user, .. } => self.rights(request, Some(asker(user))).await,
            Request::People { ask, user } => {
                let told = self.people(ask, Some(asker(user)), account.clone()).await;
                told.map(|told| Answer::People { told: Box::new(told) })
            }
        };
        done.unwrap_or_else(|error| {
            if let RunError::Refused { code, reason } = error {
                return Answer::Refused { code, reason };
            }
            Answer::Refused { code: error.code().0.into(), reason: error.to_string() }
        })
    }

    /// Whether this user may ask this.
    pub(super) fn may(&self, request: &Request, uid: u32) -> Result<(), RunError> {
        let account = account_name(uid);
        let role = role_of(&self.parts.config.roles, &account);
        roles::permit(&self.parts.config.roles, &account, role, request)
    }

    async fn record_read(&self, what: &str, subjects: &[String], count: u64, asker: &WhoAsks) -> Result<Answer, RunError> {
        let leaf = self.scribe.personal_read(what, subjects, count, Some(asker), self.clock.now())?;
        self.store.append(vec![leaf]).await?;
        Ok(Answer::Done)
    }

    async fn record_export(&self, told: &ExportTold, asker: &WhoAsks) -> Result<Answer, RunError> {
        let leaf = self.scribe.exported(told, Some(asker), self.clock.now())?;
        self.store.append(vec![leaf]).await?;
        Ok(Answer::Done)
    }

    async fn record_call(&self, told: &CallTold, asker: &WhoAsks) -> Result<Answer, RunError> {
        let leaf = self.scribe.called(told, asker, self.clock.now())?;
        self.store.append(vec![leaf]).await?;
        Ok(Answer::Done)
    }

    fn letters(&self, asker: Option<WhoAsks>) -> Letters<'_, SqliteStore> {
        Letters { parts: &self.parts, store: &self.store, scribe: &self.scribe, asker, now: self.clock.now() }
    }
}

/// What the log is told about an export.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportTold {
    /// How many records.
    pub count: u64,
    /// SHA-256 of what left in hexadecimal, where it is a file.
    pub file: Option<String>,
    /// `csv`, `ndjson`, `syslog`, `html`, `ocsf`, `cef`.
    pub format: String,
    /// `log`, `links`, `report`.
    pub what: String,
}

/// Who does what is asked.
pub(super) enum Reached {
    /// The running service did, and said this.
    Service(Answer),
    /// Nobody runs: the folder is ours until this is dropped.
    Ours(Box<Service>),
}

/// Asks the running service; where none runs, takes the folder.
///
/// # Errors
/// When the service refuses, or neither is possible.
pub(super) async fn reach(parts: &Parts, who: &WhoAsks, clock: &Arc<dyn Clock>, request: &Request) -> Result<Reached, RunError> {
    match control::ask(&parts.config.service.state, request).await.map_err(RunError::Control)? {
        Some(Answer::Refused { code, reason }) => return Err(RunError::Refused { code, reason }),
        Some(answer @ (Answer::Done | Answer::Letters { .. } | Answer::Subjects { .. } | Answer::Swept { .. })) => {
            return Ok(Reached::Service(answer));
        }
        None | Some(Answer::Standing { .. } | Answer::Reloaded { .. } | Answer::People { .. }) => {}
    }
    roles::permit(&parts.config.roles, &who.user, who.role, request)?;
    open_soon(parts, who, clock).await.map(Reached::Ours)
}

/// Takes the folder, which another command may have for a moment.
///
/// # Errors
/// When it can't be opened, or somebody keeps it.
pub(super) async fn open_soon(parts: &Parts, who: &WhoAsks, clock: &Arc<dyn Clock>) -> Result<Box<Service>, RunError> {
    let mut tries = 0;
    loop {
        match Service::open(parts.clone(), who.clone(), clock.clone(), Arc::new(super::Unseen)) {
            // Another command is at the same point: it takes a moment.
            Err(RunError::Store(StoreError::Locked(_))) if tries < LOCK_TRIES => tries += 1,
            other => return Ok(Box::new(other?)),
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
}

impl Service {
    /// What it answers with, where it does not run but only holds the folder.
    pub(super) fn desk(&self, wake: &Arc<Notify>) -> Desk {
        Desk {
            parts: self.parts.clone(),
            store: self.store.clone(),
            scribe: self.scribe.clone(),
            clock: self.clock.clone(),
            wake: wake.clone(),
            planned: self.planned.clone(),
            stops: self.stops.clone(),
            customers_changed: self.customers_changed.clone(),
            erased: self.erased.clone(),
        }
    }

    /// Brings erasures to their ledger.
    pub(super) async fn keep_erasures(&self) -> Result<(), RunError> {
        super::erasures::Ledger::new(&self.parts, self.store.clone(), self.clock.clone()).turn().await
    }

    /// Brings what was said to the log's files.
    pub(super) async fn integrate(&self) -> Result<(), RunError> {
        integrate::catch_up(&*self.store, &self.log, &*self.progress).await.map(drop)
    }
}

/// Tells the log that entries or records left.
///
/// # Errors
/// When that is not possible.
pub async fn record_export(parts: Parts, who: WhoAsks, told: &ExportTold, clock: Arc<dyn Clock>) -> Result<(), RunError> {
    let request = Request::RecordExport { told: told.clone(), user: who.user.to_string() };
    let Reached::Ours(service) = reach(&parts, &who, &clock, &request).await? else { return Ok(()) };
    let leaf = service.scribe.exported(told, None, service.clock.now())?;
    service.store.append(vec![leaf]).await?;
    service.integrate().await
}

/// Tells the log that a person read personal data.
///
/// # Errors
/// When that is not possible: then the data must not be shown.
pub async fn record_read(
    parts: Parts,
    who: WhoAsks,
    what: &str,
    subjects: &[String],
    count: u64,
    clock: Arc<dyn Clock>,
) -> Result<(), RunError> {
    let request = Request::RecordRead { what: what.to_owned(), subjects: subjects.to_vec(), count, user: who.user.to_string() };
    let Reached::Ours(service) = reach(&parts, &who, &clock, &request).await? else { return Ok(()) };
    let leaf = service.scribe.personal_read(what, subjects, count, None, service.clock.now())?;
    service.store.append(vec![leaf]).await?;
    service.integrate().await
}
