//! What the log says about people's rights and the retention clocks. Why somebody asked may name the person: it stands sealed under a key of the
//! request, which outlives the person's own.

use super::{Leaf, Scribe, WhoAsks, short};
use crate::audit::{Actor, Entry, EntryOutcome, Event, Fields, Kind, RetentionClass, SealingKey, Subject, SubjectHash};
use crate::model::{Digest, FieldChange, IdentityId, Network, Personal, SubjectId, Timestamp, Value};
use crate::pipeline::RunError;
use crate::store::ring::{Person, RequestId};
use crate::store::{ClockEnded, Finished, RemovalReason, StopOutcome, StoppedAccount};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Whom an entry is about.
#[derive(Clone, Copy, Debug)]
pub enum SubjectOf {
    /// An account.
    Identity(SubjectHash),
    /// A customer.
    Customer(SubjectHash),
}

impl From<SubjectOf> for Subject {
    fn from(of: SubjectOf) -> Self {
        match of {
            SubjectOf::Identity(identity) => Self { identity: Some(identity), customer: None },
            SubjectOf::Customer(customer) => Self { identity: None, customer: Some(customer) },
        }
    }
}

/// A reason, sealed once for each kind of entry that may tell it.
#[derive(Clone, Debug)]
pub struct Reasons {
    actor: Actor,
    by_kind: Vec<(Kind, Fields)>,
}

impl Reasons {
    fn of(&self, kind: Kind) -> Option<Fields> {
        self.by_kind.iter().find(|(k, _)| *k == kind).map(|(_, fields)| fields.clone())
    }

    fn entry(&self, event: Event, whom: SubjectOf, now: Timestamp) -> Entry {
        let mut entry = Entry::new(now, event);
        entry.actor = self.actor.clone();
        entry.subject = whom.into();
        entry.fields = self.of(entry.kind());
        entry
    }
}

impl Scribe {
    /// The account that runs this process.
    pub fn user(&self) -> Arc<str> {
        self.who.user.clone()
    }

    /// Whom a right is about, by keyed hash.
    pub fn subject(&self, subject: &SubjectId) -> SubjectOf {
        match subject {
            SubjectId::Identity(id) => SubjectOf::Identity(self.ring.hashes().identity(id)),
            SubjectId::Customer(id) => SubjectOf::Customer(self.ring.hashes().customer(id)),
        }
    }

    /// Seals why something was asked for.
    ///
    /// # Errors
    /// When the request's key can't be had.
    pub fn reasons(&self, request: RequestId, reason: &str, kinds: &[Kind], asker: Option<&WhoAsks>) -> Result<Reasons, RunError> {
        let key = SealingKey::from(&*self.ring.key(Person::Request(&request), RetentionClass::Audit)?);
        let said = [FieldChange { field: "reason".into(), before: Personal::default(), after: Personal::new(Value::text(reason)) }];
        let mut random = self.random();
        let seal = |kind: &Kind| Ok::<_, RunError>((*kind, Fields::of_changes(*kind, &said, &key, &mut random)?));
        Ok(Reasons { actor: self.asker(asker), by_kind: kinds.iter().map(seal).collect::<Result<_, _>>()? })
    }

    /// What stopping a person came to.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn stopped_person(
        &self,
        reasons: &Reasons,
        reason: RemovalReason,
        whom: SubjectOf,
        outcome: &StopOutcome,
        now: Timestamp,
    ) -> Result<Vec<Vec<u8>>, RunError> {
        let accounts = match outcome {
            StopOutcome::Already => return Ok(Vec::new()),
            StopOutcome::Held { matter } => {
                let why: Arc<str> =
                    matter.as_ref().map_or_else(|| "a legal hold stands".into(), |m| format!("a legal hold stands: {m}").into());
                let event = match reason {
                    RemovalReason::Erasure => Event::ErasureRefused { reason: why },
                    RemovalReason::Objection => Event::PolicyRefused { action: "object".into(), reason: Some(why) },
                };
                let mut entry = reasons.entry(event, whom, now);
                entry.outcome = Some(EntryOutcome::Refused);
                return Ok(vec![self.encode(&entry)?]);
            }
            StopOutcome::Stopped { accounts } => accounts,
        };
        let mut persons: Vec<SubjectOf> = accounts.iter().copied().map(SubjectOf::Identity).collect();
        if let SubjectOf::Customer(_) = whom {
            persons.push(whom);
        }
        let mut leaves = Vec::with_capacity(persons.len() * 2);
        for person in persons {
            if reason == RemovalReason::Objection {
                leaves.push(self.encode(&reasons.entry(Event::SubjectObjected {}, person, now))?);
            }
            let event = Event::SubjectSuppressed { reason: reason.name().into() };
            leaves.push(self.encode(&reasons.entry(event, person, now))?);
        }
        Ok(leaves)
    }

    /// A stopped account is matched to nobody any more: the decision, and the end of its link.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn withdrawn_account(&self, account: &StoppedAccount, reference: Digest, now: Timestamp) -> Result<Vec<Vec<u8>>, RunError> {
        let (why, link_reason) = match account.reason {
            RemovalReason::Erasure => ("the person was erased", "erasure"),
            RemovalReason::Objection => ("the person objected", "basis-withdrawn"),
        };
        let mut refused = Entry::new(now, Event::PolicyRefused { action: "match".into(), reason: Some(why.into()) });
        refused.outcome = Some(EntryOutcome::NotPermitted);
        let mut entries = vec![refused];
        if let Some(current) = account.current.as_ref().filter(|c| c.outcome == crate::model::Outcome::Linked) {
            let mut ended = Entry::new(now, Event::LinkEnded { by: None, reason: link_reason.into() });
            ended.subject.customer = current.customer.as_ref().map(|c| self.ring.hashes().customer(c));
            entries.push(ended);
        }
        entries
            .into_iter()
            .map(|mut entry| {
                entry.network = Some(account.network);
                entry.subject.identity = Some(account.person);
                entry.why.mapping = Some(self.rulebook.digest);
                entry.correlation.decision = Some(short(reference));
                self.encode(&entry)
            })
            .collect()
    }

    /// A removal is done; the last entry names the certificate.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn finished(&self, finished: &Finished, certificate: &str, now: Timestamp) -> Result<Vec<Vec<u8>>, RunError> {
        let subject: Subject =
            if finished.is_customer { SubjectOf::Customer(finished.person) } else { SubjectOf::Identity(finished.person) }.into();
        let mut events = Vec::new();
        match finished.reason {
            RemovalReason::Erasure => {
                if finished.keys > 0 {
                    events.push(Event::KeysDestroyed { class: "all".into(), count: finished.keys, reason: "erasure".into() });
                }
                let digest = Digest(Sha256::digest(certificate.as_bytes()).into());
                events.push(Event::SubjectErased {
                    certificate: Some(digest),
                    crm_rows: finished.crm.removed + finished.crm.blanked,
                    keys: finished.keys,
                    records: finished.records,
                });
            }
            RemovalReason::Objection => events.push(Event::BasisWithdrawn { reason: "objection: what was written is withdrawn".into() }),
        }
        let encode = |event: Event| {
            let mut entry = Entry::new(now, event);
            entry.subject = subject;
            entry.outcome = Some(EntryOutcome::Done);
            self.encode(&entry)
        };
        events.into_iter().map(encode).collect()
    }

    /// A hold is placed or released.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn hold(&self, reasons: &Reasons, whom: SubjectOf, matter: Option<&Arc<str>>, placed: bool, now: Timestamp) -> Leaf {
        let matter = matter.cloned();
        let event = if placed { Event::HoldPlaced { matter } } else { Event::HoldReleased { matter } };
        self.encode(&reasons.entry(event, whom, now))
    }

    /// A basis is taken back.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn basis_taken_back(&self, reasons: &Reasons, id: &IdentityId, basis: &Arc<str>, now: Timestamp) -> Leaf {
        let event = Event::BasisWithdrawn { reason: "the person took it back".into() };
        let mut entry = reasons.entry(event, SubjectOf::Identity(self.ring.hashes().identity(id)), now);
        entry.network = Some(id.network);
        entry.why.basis = Some(basis.clone());
        entry.why.mapping = Some(self.rulebook.digest);
        self.encode(&entry)
    }

    /// A person's data are corrected: which fields, and to what, sealed under the person's own key.
    ///
    /// # Errors
    /// When the person's key can't be had or the entry can't be written.
    pub fn rectified(&self, id: &IdentityId, fields: &[(Arc<str>, Value)], asker: Option<&WhoAsks>, now: Timestamp) -> Leaf {
        let key = self.key(Person::Identity(id), RetentionClass::Audit)?;
        let mut entry = Entry::new(now, Event::SubjectRectified {});
        entry.actor = self.asker(asker);
        entry.subject = self.identity(id);
        entry.network = Some(id.network);
        entry.fields = Some(Fields::of_payload(Kind::SubjectRectified, fields, &key, &mut self.random())?);
        self.encode(&entry)
    }

    /// Everything about a person was handed out.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn subject_exported(
        &self,
        whom: SubjectOf,
        (count, file, format): (u64, Option<Digest>, &str),
        asker: Option<&WhoAsks>,
        now: Timestamp,
    ) -> Leaf {
        let mut entry = Entry::new(now, Event::SubjectExported { count, file, format: format.into() });
        entry.actor = self.asker(asker);
        entry.subject = whom.into();
        self.encode(&entry)
    }

    /// People were told by a notice.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn noticed(&self, count: u64, due: Option<&str>, asker: Option<&WhoAsks>, now: Timestamp) -> Leaf {
        let mut entry = Entry::new(now, Event::NoticeGiven { count, due: due.map(Into::into) });
        entry.actor = self.asker(asker);
        self.encode(&entry)
    }

    /// A clock ended something.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn clock_ended(
        &self,
        ended: &ClockEnded,
        network: Option<Network>,
        field: Option<Arc<str>>,
        now: Timestamp,
    ) -> Result<Vec<Vec<u8>>, RunError> {
        let class: Arc<str> = ended.clock.class().name().into();
        let mut events = Vec::new();
        if ended.keys > 0 {
            events.push(Event::KeysDestroyed { class: class.clone(), count: ended.keys, reason: "retention".into() });
        }
        let record_kind = Some(ended.clock.name().into());
        // The clock of entries ends keys alone.
        let count = if ended.records > 0 { ended.records } else { ended.keys };
        events.push(Event::RetentionEnded { class, count, field, record_kind });
        let encode = |event: Event| {
            let mut entry = Entry::new(now, event);
            entry.network = network;
            entry.why.mapping = Some(self.rulebook.digest);
            self.encode(&entry)
        };
        events.into_iter().map(encode).collect()
    }

    /// Files that were read went by the clock.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn files_ended(&self, count: u64, now: Timestamp) -> Leaf {
        let event = Event::RetentionEnded {
            class: RetentionClass::Unlinked.name().into(),
            count,
            field: None,
            record_kind: Some("files that were read".into()),
        };
        let mut entry = Entry::new(now, event);
        entry.why.mapping = Some(self.rulebook.digest);
        self.encode(&entry)
    }

    /// Another master key wraps the keys of persons.
    ///
    /// # Errors
    /// When the entry can't be written.
    pub fn master_rotated(&self, previous: &str, id: &str, now: Timestamp) -> Leaf {
        let event = Event::KeyRotated { id: id.into(), previous: previous.into(), purpose: "master".into(), verifier: None };
        let mut entry = Entry::new(now, event);
        entry.actor = self.person();
        self.encode(&entry)
    }
}
