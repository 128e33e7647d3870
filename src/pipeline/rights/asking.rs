//! What can be asked for about a person, and how it reaches the state folder.

use super::Acting;
use crate::audit::Kind;
use crate::model::{CustomerId, Digest, IdentityId, Personal, SubjectId, Value};
use crate::normalize::SAID;
use crate::pipeline::asked::{Desk, Reached, reach};
use crate::pipeline::control::{Answer, Request};
use crate::pipeline::leaves::WhoAsks;
use crate::pipeline::{Clock, Parts, RunError, Service};
use crate::store::ring::RequestId;
use crate::store::{HoldStep, IdentityRow, RectifyStep, RemovalReason, Rights, StopOutcome};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Persons of one request: its answer has some 200 bytes for each.
pub(super) const AT_ONCE: usize = 100;
/// A reason is a sentence or two: what an audit entry keeps of a text.
const MAX_REASON: usize = 2_000;

/// A hold stands.
const HELD: &str = "KITH-R050";
/// Nothing is known of this person.
const UNKNOWN: &str = "KITH-R051";
/// This can't be done for a customer.
const NOT_FOR_CUSTOMERS: &str = "KITH-R052";
/// The mapping has no such basis or field.
const NOT_IN_MAPPING: &str = "KITH-R053";

/// How long the end of removals is awaited beside a running service: 50 looks, 5 s.
const LOOKS: u32 = 50;
const LOOK: Duration = Duration::from_millis(100);

/// A person, as a request names one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectName {
    /// An account: network and id.
    Identity(String, String),
    /// A customer's key.
    Customer(String),
}

impl std::fmt::Debug for SubjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SubjectName(‹personal›)")
    }
}

impl From<&SubjectId> for SubjectName {
    fn from(subject: &SubjectId) -> Self {
        match subject {
            SubjectId::Identity(id) => Self::Identity(id.network.name().to_owned(), id.id.to_string()),
            SubjectId::Customer(id) => Self::Customer(id.as_str().to_owned()),
        }
    }
}

impl SubjectName {
    fn subject(&self) -> Option<SubjectId> {
        Some(match self {
            Self::Identity(network, id) => SubjectId::Identity(IdentityId { network: network.parse().ok()?, id: id.as_str().into() }),
            Self::Customer(id) => SubjectId::Customer(CustomerId::from(id.as_str())),
        })
    }
}

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectAct {
    /// GDPR Art. 17.
    Erase,
    /// GDPR Art. 21.
    Object,
    /// Nothing is erased or ends by a clock from now on.
    Hold {
        /// The number or name of the matter.
        matter: Option<String>,
    },
    /// The end of a hold.
    Release {
        /// The number or name of the matter.
        matter: Option<String>,
    },
    /// A basis is taken back.
    Withdraw {
        /// Its name in the mapping.
        basis: String,
    },
    /// GDPR Art. 16: fields of the profile and their right values; an empty value takes out what the network shows.
    Rectify {
        /// Path of the mapping's `from` and value.
        fields: Vec<(String, String)>,
    },
}

impl std::fmt::Debug for SubjectAct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Erase => "Erase",
            Self::Object => "Object",
            Self::Hold { .. } => "Hold",
            Self::Release { .. } => "Release",
            Self::Withdraw { .. } => "Withdraw",
            Self::Rectify { .. } => "Rectify",
        })
    }
}

/// What came of it for one person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SubjectAnswer {
    /// The code of why nothing was done; none where it was.
    pub code: Option<String>,
    /// What happened, or why not, without personal data.
    pub told: String,
}

impl SubjectAnswer {
    fn done(told: impl Into<String>) -> Self {
        Self { code: None, told: told.into() }
    }

    fn not(code: &str, told: impl Into<String>) -> Self {
        Self { code: Some(code.into()), told: told.into() }
    }

    fn unknown() -> Self {
        Self::not(UNKNOWN, "nothing is kept about this account")
    }
}

impl<S: crate::store::Store + Rights> Acting<'_, S> {
    /// Does what is asked, for each person.
    pub async fn act(
        &self,
        request: RequestId,
        act: &SubjectAct,
        subjects: &[SubjectName],
        reason: &str,
    ) -> Result<Vec<SubjectAnswer>, RunError> {
        let refused = |told: &str| RunError::Refused { code: "KITH-R010".into(), reason: told.to_owned() };
        let persons: Vec<SubjectId> = subjects.iter().take(AT_ONCE).filter_map(SubjectName::subject).collect();
        if persons.len() != subjects.len() || reason.len() > MAX_REASON {
            return Err(refused("more than 100 persons, an unknown network, or a reason of more than 2,000 bytes"));
        }
        let removal = match act {
            SubjectAct::Erase => RemovalReason::Erasure,
            SubjectAct::Object => RemovalReason::Objection,
            SubjectAct::Hold { .. } | SubjectAct::Release { .. } | SubjectAct::Withdraw { .. } | SubjectAct::Rectify { .. } => {
                let mut answers = Vec::with_capacity(persons.len());
                for person in persons {
                    answers.push(self.one(request, act, person, reason).await?);
                }
                return Ok(answers);
            }
        };
        let outcomes = self.remove(request, removal, persons, reason).await?;
        Ok(outcomes
            .into_iter()
            .map(|outcome| match outcome {
                StopOutcome::Held { matter } => {
                    let matter = matter.map_or_else(String::new, |matter| format!(" ({matter})"));
                    SubjectAnswer::not(HELD, format!("a legal hold stands{matter}: nothing was done, and the log says so"))
                }
                StopOutcome::Already => SubjectAnswer::done("asked for before: nothing more is to be done"),
                StopOutcome::Stopped { accounts } => SubjectAnswer::done(match accounts.len() {
                    0 => "no account is known: from now on nothing about this customer is matched".to_owned(),
                    1 => "1 account: nothing more is taken in or sent, what was written is being withdrawn".to_owned(),
                    more => format!("{more} accounts: nothing more is taken in or sent, what was written is being withdrawn"),
                }),
            })
            .collect())
    }

    async fn one(&self, request: RequestId, act: &SubjectAct, person: SubjectId, reason: &str) -> Result<SubjectAnswer, RunError> {
        match act {
            SubjectAct::Hold { matter } | SubjectAct::Release { matter } => {
                let placed = matches!(act, SubjectAct::Hold { .. });
                let whom = self.scribe.subject(&person);
                let reasons = self.reasons(request, reason, &[if placed { Kind::HoldPlaced } else { Kind::HoldReleased }])?;
                let matter: Option<Arc<str>> = matter.as_deref().map(Into::into);
                let leaf = self.scribe.hold(&reasons, whom, matter.as_ref(), placed, self.now)?;
                let author = self.asker.as_ref().map_or_else(|| self.scribe.user(), |asker| asker.user.clone());
                let step = HoldStep { at: self.now, subject: person, matter, author, leaf };
                if placed {
                    let accounts = self.store.hold(step).await?;
                    return Ok(SubjectAnswer::done(format!("held; {accounts} linked accounts with it")));
                }
                let released = self.store.release(step).await?;
                Ok(if released {
                    SubjectAnswer::done("released")
                } else {
                    SubjectAnswer::not(UNKNOWN, "no hold was placed for this person")
                })
            }
            SubjectAct::Withdraw { basis } => {
                let SubjectId::Identity(id) = person else {
                    return Ok(SubjectAnswer::not(NOT_FOR_CUSTOMERS, "a basis belongs to the link of one account: name the account"));
                };
                let basis: Arc<str> = basis.as_str().into();
                if !self.parts.rulebook.policy.bases.iter().any(|known| known.name == basis) {
                    return Ok(SubjectAnswer::not(NOT_IN_MAPPING, format!("the mapping has no basis `{basis}`")));
                }
                let reasons = self.reasons(request, reason, &[Kind::BasisWithdrawn])?;
                let leaf = self.scribe.basis_taken_back(&reasons, &id, &basis, self.now)?;
                let known = self.store.take_back(self.now, id, basis, leaf).await?;
                let done = "taken back: the next pass decides again, and unlinks where no other basis holds";
                Ok(if known { SubjectAnswer::done(done) } else { SubjectAnswer::unknown() })
            }
            SubjectAct::Rectify { fields } => {
                let SubjectId::Identity(id) = person else {
                    let told = "a customer is corrected in the CRM, which Kith reads again: name an account";
                    return Ok(SubjectAnswer::not(NOT_FOR_CUSTOMERS, told));
                };
                let mut corrected = Vec::with_capacity(fields.len());
                for (path, value) in fields {
                    let Some(path) = self
                        .parts
                        .rulebook
                        .identities
                        .paths
                        .iter()
                        .find(|known| known.as_ref() == path && !matches!(&***known, "network" | SAID))
                    else {
                        return Ok(SubjectAnswer::not(NOT_IN_MAPPING, format!("the mapping declares no field from `{path}`")));
                    };
                    let value = if value.is_empty() { Value::Missing } else { Value::text(value) };
                    corrected.push((path.clone(), value));
                }
                let leaf = self.scribe.rectified(&id, &corrected, self.asker.as_ref(), self.now)?;
                let known = self.store.rectify(RectifyStep { id, fields: Personal::new(corrected), leaf }).await?;
                let done = "corrected: the next pass decides again";
                Ok(if known { SubjectAnswer::done(done) } else { SubjectAnswer::unknown() })
            }
            SubjectAct::Erase | SubjectAct::Object => Ok(SubjectAnswer::unknown()),
        }
    }
}

impl Desk {
    fn acting(&self, asker: Option<WhoAsks>) -> Acting<'_, crate::store::sqlite::SqliteStore> {
        Acting { parts: &self.parts, store: &self.store, scribe: &self.scribe, asker, now: self.clock.now() }
    }

    /// Answers what is asked about people's rights; `asker` is none where the command itself holds the folder.
    pub(in crate::pipeline) async fn rights(&self, request: &Request, asker: Option<WhoAsks>) -> Result<Answer, RunError> {
        match request {
            Request::Subjects { request, act, subjects, reason, .. } => {
                let id = request_id(request)?;
                let answers = self.acting(asker).act(id, act, subjects, reason).await?;
                if matches!(act, SubjectAct::Erase | SubjectAct::Object) {
                    self.customers_changed.store(true, std::sync::atomic::Ordering::Release);
                    self.erased.notify_one();
                }
                self.planned.ring();
                self.wake.notify_one();
                Ok(Answer::Subjects { subjects: answers })
            }
            Request::FinishRemovals { .. } => {
                let runs = asker.is_some();
                let acting = self.acting(asker);
                acting.withdraw().await?;
                let left = acting.left_to_owners().await?;
                if runs {
                    // Files are looked through between two passes, when nobody reads them; the wait is short where little is to be done.
                    self.wake.notify_one();
                    for _ in 0..LOOKS {
                        acting.finish().await?;
                        if self.store.removals(None).await?.is_empty() {
                            break;
                        }
                        tokio::time::sleep(LOOK).await;
                    }
                } else {
                    acting.sweep().await?;
                    acting.finish().await?;
                }
                Ok(Answer::Swept { left })
            }
            Request::RecordSubjectExport { subject, count, file, format, .. } => {
                let whom = subject.subject().map(|subject| self.scribe.subject(&subject));
                let whom = whom.ok_or_else(|| RunError::Refused { code: "KITH-R010".into(), reason: "an unknown network".into() })?;
                let digest = file.as_deref().and_then(Digest::from_hex);
                let leaf = self.scribe.subject_exported(whom, (*count, digest, format), asker.as_ref(), self.clock.now())?;
                crate::store::Store::append(&*self.store, vec![leaf]).await?;
                Ok(Answer::Done)
            }
            Request::RecordNotices { rows, due, .. } => {
                let leaf = self.scribe.noticed(rows.len() as u64, due.as_deref(), asker.as_ref(), self.clock.now())?;
                self.store.noticed(self.clock.now(), rows.iter().copied().map(IdentityRow).collect(), leaf).await?;
                Ok(Answer::Done)
            }
            Request::Ping
            | Request::Pass
            | Request::Standing
            | Request::Reload
            | Request::RecordExport { .. }
            | Request::RecordRead { .. }
            | Request::RecordCall { .. }
            | Request::ReplayLetters { .. }
            | Request::RecordBackup { .. }
            | Request::RecordKeys { .. }
            | Request::DropLetters { .. }
            | Request::Release { .. }
            | Request::People { .. } => Ok(Answer::Done),
        }
    }
}

fn request_id(hex: &str) -> Result<RequestId, RunError> {
    let refused = || RunError::Refused { code: "KITH-R010".into(), reason: "a request's id has 32 hexadecimal digits".into() };
    crate::audit::KeyId::from_hex(hex).map(|id| RequestId(id.0)).ok_or_else(refused)
}

/// Where rights are asked for: kept between requests, so that the folder is taken once.
#[derive(Default)]
struct Hand(Option<Box<Service>>);

impl Hand {
    async fn ask(&mut self, parts: &Parts, who: &WhoAsks, clock: &Arc<dyn Clock>, request: &Request) -> Result<Answer, RunError> {
        if self.0.is_none() {
            match reach(parts, who, clock, request).await? {
                Reached::Service(answer) => return Ok(answer),
                Reached::Ours(service) => self.0 = Some(service),
            }
        }
        match &self.0 {
            Some(service) => service.desk(&Arc::new(Notify::new())).rights(request, None).await,
            None => Ok(Answer::Done),
        }
    }

    async fn end(self) -> Result<(), RunError> {
        match self.0 {
            Some(service) => {
                service.integrate().await?;
                service.keep_erasures().await
            }
            None => Ok(()),
        }
    }
}

/// Does something for these persons, told one by one, through the running service, else with the folder's lock. `request` is 32 hexadecimal
/// digits.
///
/// # Errors
/// When neither is possible, or the store fails.
#[expect(clippy::too_many_arguments, reason = "who, what, for whom, why: each once")]
pub async fn ask_subjects(
    parts: &Parts,
    who: &WhoAsks,
    clock: &Arc<dyn Clock>,
    request: &str,
    act: &SubjectAct,
    subjects: &[SubjectId],
    reason: &str,
    mut told: impl FnMut(SubjectAnswer),
) -> Result<Vec<String>, RunError> {
    let mut hand = Hand::default();
    for page in subjects.chunks(AT_ONCE) {
        let asked = Request::Subjects {
            request: request.to_owned(),
            act: act.clone(),
            subjects: page.iter().map(SubjectName::from).collect(),
            reason: reason.to_owned(),
            user: who.user.to_string(),
        };
        if let Answer::Subjects { subjects } = hand.ask(parts, who, clock, &asked).await? {
            subjects.into_iter().for_each(&mut told);
        }
    }
    let mut left = Vec::new();
    if matches!(act, SubjectAct::Erase | SubjectAct::Object) {
        let finish = Request::FinishRemovals { user: who.user.to_string() };
        if let Answer::Swept { left: files } = hand.ask(parts, who, clock, &finish).await? {
            left = files;
        }
    }
    hand.end().await?;
    Ok(left)
}

/// Takes up removals that wait: files are looked through, what is settled ends. Returns files that are not Kith's and hold lines of erased people.
///
/// # Errors
/// As [`ask_subjects`].
pub async fn finish_removals(parts: &Parts, who: &WhoAsks, clock: &Arc<dyn Clock>) -> Result<Vec<String>, RunError> {
    let mut hand = Hand::default();
    let answer = hand.ask(parts, who, clock, &Request::FinishRemovals { user: who.user.to_string() }).await?;
    hand.end().await?;
    Ok(if let Answer::Swept { left } = answer { left } else { Vec::new() })
}

/// Tells the log that everything about a person is about to be handed out.
///
/// # Errors
/// When that is not possible: then it must not be handed out.
pub async fn export_told(
    parts: &Parts,
    who: &WhoAsks,
    clock: &Arc<dyn Clock>,
    subject: &SubjectId,
    (count, file, format): (u64, Option<Digest>, &str),
) -> Result<(), RunError> {
    let request = Request::RecordSubjectExport {
        subject: subject.into(),
        count,
        file: file.map(|digest| digest.to_string()),
        format: format.to_owned(),
        user: who.user.to_string(),
    };
    let mut hand = Hand::default();
    hand.ask(parts, who, clock, &request).await?;
    hand.end().await
}

/// Remembers, and tells the log, that these people were told by a notice.
///
/// # Errors
/// As [`ask_subjects`].
pub async fn notices_told(
    parts: &Parts,
    who: &WhoAsks,
    clock: &Arc<dyn Clock>,
    rows: &[IdentityRow],
    due: Option<String>,
) -> Result<(), RunError> {
    let mut hand = Hand::default();
    for page in rows.chunks(10_000) {
        let rows = page.iter().map(|row| row.0).collect();
        hand.ask(parts, who, clock, &Request::RecordNotices { rows, due: due.clone(), user: who.user.to_string() }).await?;
    }
    hand.end().await
}
