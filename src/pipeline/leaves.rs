//! What the log says about each step: the one place where the flow's events become audit entries, personal values sealed.

mod backup;
mod changes;
mod compliance;
mod dead_letters;
mod people;
mod releases;
mod rights;
mod streams;
mod writes;

use super::asked::ExportTold;
use super::{Parts, RunError, flow};
use crate::audit::{
    Actor, ChangeKind, Checkpoint, CorrelationId, Entry, EntryOutcome, Event, LongText, Part, RetentionClass, Role, SealedEvidence,
    SealingKey, Subject, SubjectHash, Unpredictable, VerifierKey, Why, evidence_digest,
};
use crate::declare::config::Config;
use crate::declare::mapping::Rulebook;
use crate::model::{
    Activity, CustomerId, Decision, Digest, DropRule, IdentityId, LinkedBy, Network, Outcome, ParkReason, Timestamp, Value,
};
use crate::store::ring::{KeyRing, Person};
use crate::store::{Conservation, CurrentDecision, DecideStep, Disposition, IdentityWork, IntakeOutcome, Placed, PlannedDelivery, Store};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex, PoisonError};

/// Who runs the command.
#[derive(Clone, Debug)]
pub struct WhoAsks {
    /// The operating-system user.
    pub user: Arc<str>,
    /// The role that the configuration grants.
    pub role: Role,
}

/// What entries about a batch of lines name of it.
#[derive(Debug)]
pub struct BatchTold {
    /// `[sources.NAME]`.
    pub source: Arc<str>,
    /// The file.
    pub file: Arc<str>,
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Now.
    pub at: Timestamp,
    /// Its activities, in order.
    pub activities: Vec<ActivityTold>,
    /// Its malformed lines, in order.
    pub lines: Vec<(u64, ParkReason)>,
}

/// What an entry about an activity names of it: hashes only.
#[derive(Clone, Copy, Debug)]
pub struct ActivityTold {
    /// The line that it came from; 0 where that no longer matters.
    pub line: u64,
    /// Where it was said.
    pub network: Network,
    /// Who said it.
    pub identity: SubjectHash,
    /// Which version of which object.
    pub activity: CorrelationId,
    /// What it does to the object, and when that happened by the network's word; `None`: it says something new.
    pub change: Option<(ChangeKind, Timestamp)>,
}

/// Writes audit entries.
#[derive(Debug)]
pub struct Scribe {
    ring: Arc<KeyRing>,
    who: WhoAsks,
    rulebook: Arc<Rulebook>,
    parts: Mutex<Vec<(Digest, Vec<u8>)>>,
}

use changes::change_of;
pub(super) use rights::Reasons;
pub(super) use streams::GapStep;

type Leaf = Result<Vec<u8>, RunError>;

fn short(digest: Digest) -> CorrelationId {
    let mut id = [0; 16];
    id.iter_mut().zip(digest.0).for_each(|(to, from)| *to = from);
    CorrelationId(id)
}

impl Scribe {
    /// A scribe for one service.
    pub fn new(ring: Arc<KeyRing>, who: WhoAsks, rulebook: Arc<Rulebook>) -> Self {
        Self { ring, who, rulebook, parts: Mutex::new(Vec::new()) }
    }

    fn person(&self) -> Actor {
        self.asker(None)
    }

    /// Who asked; without somebody else the account that runs this process.
    fn asker(&self, asker: Option<&WhoAsks>) -> Actor {
        let who = asker.unwrap_or(&self.who);
        Actor::person(who.user.clone(), who.role)
    }

    fn identity(&self, identity: &IdentityId) -> Subject {
        Subject { identity: Some(self.ring.hashes().identity(identity)), customer: None }
    }

    fn key(&self, person: Person<'_>, class: RetentionClass) -> Result<SealingKey, RunError> {
        Ok(SealingKey::from(&*self.ring.key(person, class)?))
    }

    fn random(&self) -> Unpredictable {
        self.ring.stream()
    }

    /// An entry as it is stored.
    ///
    /// # Errors
    /// When it is too large.
    pub(super) fn encoded(&self, entry: &Entry) -> Leaf {
        self.encode(entry)
    }

    fn encode(&self, entry: &Entry) -> Leaf {
        let encoded = entry.encode()?;
        if !encoded.parts.is_empty() {
            let parts = encoded.parts.into_iter().map(|part| (part.digest, part.bytes));
            self.parts.lock().unwrap_or_else(PoisonError::into_inner).extend(parts);
        }
        Ok(encoded.bytes)
    }

    /// Keeps the parts that were too large for their entries. To be called before the step whose leaves name them.
    ///
    /// # Errors
    /// When the store fails; the parts are tried again with the next step.
    pub async fn keep_parts<S: Store>(&self, store: &S) -> Result<(), RunError> {
        let parts = std::mem::take(&mut *self.parts.lock().unwrap_or_else(PoisonError::into_inner));
        if parts.is_empty() {
            return Ok(());
        }
        let kept = store.keep_parts(parts.clone()).await;
        if kept.is_err() {
            self.parts.lock().unwrap_or_else(PoisonError::into_inner).extend(parts);
        }
        Ok(kept?)
    }

    /// The service starts; the very first start also tells the log's keys.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn started(&self, clean: bool, parts: &Parts, first: bool, now: Timestamp) -> Result<Vec<Vec<u8>>, RunError> {
        let mut leaves = Vec::new();
        if first {
            let verifier = parts.keys.log.verifier();
            let signing =
                Event::KeyCreated { id: verifier.id().into(), purpose: "log-signing".into(), verifier: Some(verifier.to_string().into()) };
            let master = Event::KeyCreated { id: parts.keys.master.id().to_string().into(), purpose: "master".into(), verifier: None };
            for event in [signing, master] {
                leaves.push(self.encode(&Entry::new(now, event))?);
            }
        }
        let mut entry = Entry::new(now, Event::ServiceStarted { clean, version: env!("CARGO_PKG_VERSION").into() });
        entry.actor = self.person();
        leaves.push(self.encode(&entry)?);
        Ok(leaves)
    }

    /// The log's signing key is replaced: signed by the old one through the checkpoint over this entry.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn signing_key_rotated(&self, old: &VerifierKey, new: &VerifierKey, now: Timestamp) -> Leaf {
        let event = Event::KeyRotated {
            id: new.id().into(),
            previous: old.id().into(),
            purpose: "log-signing".into(),
            verifier: Some(new.to_string().into()),
        };
        let mut entry = Entry::new(now, event);
        entry.actor = self.person();
        self.encode(&entry)
    }

    /// A checkpoint left the machine.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn checkpoint_published(&self, checkpoint: &Checkpoint, to: &str, now: Timestamp) -> Leaf {
        self.encode(&Entry::new(now, Event::CheckpointPublished { root: checkpoint.root, size: checkpoint.size, to: to.into() }))
    }

    /// A witness's word on a checkpoint was taken in.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn checkpoint_cosigned(&self, checkpoint: &Checkpoint, witness: &str, now: Timestamp) -> Leaf {
        self.encode(&Entry::new(now, Event::CheckpointCosigned { size: checkpoint.size, witness: witness.into() }))
    }

    /// Entries left the log as a file or stream.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn exported(&self, told: &ExportTold, user: Option<&WhoAsks>, now: Timestamp) -> Leaf {
        let event = Event::ExportMade {
            count: told.count,
            file: told.file.as_deref().and_then(Digest::from_hex),
            format: told.format.as_str().into(),
            what: told.what.as_str().into(),
        };
        let mut entry = Entry::new(now, event);
        entry.actor = self.asker(user);
        self.encode(&entry)
    }

    /// How a source and day stand.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn conservation(&self, sum: &Conservation, now: Timestamp) -> Leaf {
        let event = Event::Conservation {
            day: sum.day.as_str().into(),
            delivered: sum.delivered,
            dropped: sum.dropped,
            erased: sum.erased,
            gap: sum.gap(),
            in_flight: sum.in_flight,
            parked: sum.parked,
            received: sum.received,
            source: sum.source.as_str().into(),
        };
        self.encode(&Entry::new(now, event))
    }

    /// The service stops, and why.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn stopped(&self, reason: &str, now: Timestamp) -> Leaf {
        self.encode(&Entry::new(now, Event::ServiceStopped { reason: reason.into() }))
    }

    /// Another mapping is active, and with it perhaps another model. The diff is of what `kith mapping describe` says, whole.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn mapping_changed(&self, before: Option<&str>, diff: String, asker: Option<&WhoAsks>, now: Timestamp) -> Leaf {
        let mut entry = Entry::new(
            now,
            Event::MappingChanged {
                after: self.rulebook.digest,
                before: before.and_then(Digest::from_hex),
                diff: Some(Part::Here(LongText(diff.into()))),
                name: self.rulebook.name.clone(),
            },
        );
        entry.actor = self.asker(asker);
        entry.why.model = self.rulebook.matching.model.as_ref().map(|m| m.digest);
        self.encode(&entry)
    }

    /// Another linkage model is active; the diff is of what it says, against the one before where that was kept.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn model_changed(
        &self,
        after: Digest,
        before: Option<&str>,
        diff: Option<String>,
        asker: Option<&WhoAsks>,
        now: Timestamp,
    ) -> Leaf {
        let event = Event::ModelChanged {
            after,
            before: before.and_then(Digest::from_hex),
            diff: diff.map(|diff| Part::Here(LongText(diff.into()))),
            name: self.rulebook.name.clone(),
        };
        let mut entry = Entry::new(now, event);
        entry.actor = self.asker(asker);
        self.encode(&entry)
    }

    /// Another configuration is active. Its digest leaves secrets out: it holds only where they come from.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn config_changed(&self, config: &Config, before: Option<&str>, diff: Option<String>, now: Timestamp) -> Leaf {
        let event = Event::ConfigChanged {
            after: config_digest(config),
            before: before.and_then(Digest::from_hex),
            diff: diff.map(|diff| Part::Here(LongText(diff.into()))),
            name: "kith.toml".into(),
        };
        let mut entry = Entry::new(now, event);
        entry.actor = self.person();
        self.encode(&entry)
    }

    /// A batch of lines is durable.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn source_read(&self, batch: &BatchTold, outcome: &IntakeOutcome) -> Leaf {
        let event = Event::SourceRead {
            duplicates: outcome.duplicates,
            file: Some(batch.digest),
            name: Some(batch.file.clone()),
            parked: outcome.parked,
            received: outcome.received,
            source: batch.source.clone(),
        };
        self.encode(&Entry::new(batch.at, event))
    }

    /// A line is no activity.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn input_parked(&self, source: &Arc<str>, file: Digest, line: u64, reason: &ParkReason, now: Timestamp) -> Leaf {
        let event = Event::InputParked {
            code: reason.code.into(),
            file: Some(file),
            line: Some(line),
            message: reason.message.clone(),
            source: source.clone(),
        };
        let mut entry = Entry::new(now, event);
        entry.outcome = Some(EntryOutcome::Parked);
        entry.correlation.activity = Some(self.ring.hashes().input_line(&file, line));
        self.encode(&entry)
    }

    /// An activity was dropped by a rule.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn dropped(&self, told: &ActivityTold, rule: DropRule, source: Option<&Arc<str>>, now: Timestamp) -> Leaf {
        let mut entry = Entry::new(now, Event::ActivityDropped { source: source.cloned() });
        entry.network = Some(told.network);
        entry.subject.identity = Some(told.identity);
        entry.outcome = Some(EntryOutcome::Dropped);
        entry.why.rule = Some(rule.name().into());
        entry.why.mapping = Some(self.rulebook.digest);
        entry.correlation.activity = Some(told.activity);
        self.encode(&entry)
    }

    /// The customers were read whole.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn customers_read(&self, read: &super::customers::Read, now: Timestamp) -> Leaf {
        let event = Event::CustomersRead {
            added: read.added,
            changed: read.changed,
            file: Some(read.digest),
            merged: read.merged,
            related: Some(read.related),
            retired: read.retired,
            rows: read.rows,
            source: read.source.clone(),
        };
        self.encode(&Entry::new(now, event))
    }

    /// A fault prevented every decision of a pass.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn undetermined(&self, cause: &str, now: Timestamp) -> Leaf {
        let mut entry = Entry::new(now, Event::DecisionUndetermined { attempt: 1, cause: cause.into() });
        entry.outcome = Some(EntryOutcome::Undetermined);
        self.encode(&entry)
    }

    /// Somebody read personal data. `user` is set where it was asked through the control socket.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn personal_read(&self, what: &str, subjects: &[String], count: u64, user: Option<&WhoAsks>, now: Timestamp) -> Leaf {
        let mut entry = Entry::new(now, Event::PersonalRead { count, place: what.into(), purpose: None });
        entry.actor = self.asker(user);
        if let [only] = subjects {
            entry.subject.identity = SubjectHash::from_hex(only);
        }
        self.encode(&entry)
    }

    /// The keyed digest of a decision's evidence; all zero where there is none.
    pub fn evidence_digest(&self, decision: &Decision) -> Digest {
        decision.evidence.as_ref().map_or(Digest([0; 32]), |e| evidence_digest(e, self.ring.hashes()))
    }

    /// What stands for a value of an account that Kith wrote to a customer.
    pub fn wrote(&self, customer: &CustomerId, field: &str, value: &Value) -> [u8; 16] {
        let text = value.to_json().to_string();
        self.ring.columns().of("kith/v1/store/wrote", &[customer.as_str().as_bytes(), field.as_bytes(), text.as_bytes()])
    }

    /// Names a decision: see `ops/decisions/0003`.
    pub fn decision_reference(&self, identity: &IdentityId, before: Digest, decision: &Decision, evidence: Digest) -> Digest {
        let mut hash = Sha256::new();
        let customer = decision.customer.as_ref().map_or("", |c| c.as_str());
        let by = decision.by.as_ref().map_or("", |b| b.name());
        let basis = decision.basis.as_deref().unwrap_or_default();
        for part in [identity.network.name(), &identity.id, decision.outcome.name(), customer, by, basis] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        for digest in [before, evidence, self.rulebook.digest] {
            hash.update(digest.0);
        }
        let plain: [u8; 32] = hash.finalize().into();
        self.ring.hashes().digest("decision-reference", &plain)
    }

    /// Everything that one identity's step says: the decision, the link, what was dropped.
    ///
    /// # Errors
    /// When a person's key can't be had or an entry can't be written.
    pub fn decide_step(&self, work: &IdentityWork, step: &DecideStep, now: Timestamp) -> Result<Vec<Vec<u8>>, RunError> {
        if flow::heard() {
            self.tell_flow(work, step);
        }
        let mut leaves = Vec::new();
        if let Some(record) = &step.decision {
            let planned = step.link.len()
                + step.activities.iter().map(|(_, d)| if let Disposition::Deliver(p) = d { p.len() } else { 0 }).sum::<usize>();
            if record.decision.outcome == Outcome::NotPermitted {
                leaves.push(self.refused(work, record.reference, now)?);
            } else {
                leaves.push(self.decision(work, record, planned as u64, now)?);
            }
            leaves.extend(self.link(work, &record.decision, record.reference, now)?);
        }
        let timed = self.rulebook.policy.deletions_within(work.id.network).is_some();
        for (row, disposition) in &step.activities {
            let Some(stored) = work.activities.iter().find(|a| a.row == *row) else { continue };
            match disposition {
                Disposition::Drop(rule) => leaves.push(self.dropped(&self.activity(0, &stored.activity), *rule, None, now)?),
                Disposition::Deliver(planned) if timed && change_of(&stored.activity).is_some() => {
                    for delivery in planned {
                        leaves.push(self.change_planned(work, &stored.activity, delivery, now)?);
                    }
                }
                Disposition::Deliver(_) | Disposition::WaitReview | Disposition::WaitDecision => {}
            }
        }
        Ok(leaves)
    }

    /// One event for each activity and each planned delivery of a step.
    fn tell_flow(&self, work: &IdentityWork, step: &DecideStep) {
        let reference = step.decision.as_ref().map(|record| record.reference).or_else(|| work.current.as_ref().map(|c| c.reference));
        let decision = short(reference.unwrap_or(Digest([0; 32])));
        let planned = |activity, delivery: &PlannedDelivery| {
            flow::planned(activity, decision, short(delivery.idempotency.0), &delivery.target.0, &delivery.entry);
        };
        for (row, disposition) in &step.activities {
            let Some(stored) = work.activities.iter().find(|a| a.row == *row) else { continue };
            let activity = self.activity(0, &stored.activity).activity;
            if let Some(record) = &step.decision {
                flow::decided(activity, decision, record.decision.outcome.name());
            }
            match disposition {
                Disposition::Deliver(deliveries) => deliveries.iter().for_each(|delivery| planned(Some(activity), delivery)),
                Disposition::Drop(rule) => flow::disposed(activity, "dropped", rule.name()),
                Disposition::WaitReview => flow::disposed(activity, "waits", "review"),
                Disposition::WaitDecision => flow::disposed(activity, "waits", "decision"),
            }
        }
        step.link.iter().for_each(|delivery| planned(None, delivery));
    }

    fn refused(&self, work: &IdentityWork, reference: Digest, now: Timestamp) -> Leaf {
        let mut entry = Entry::new(now, Event::PolicyRefused { action: "match".into(), reason: Some("no lawful basis holds".into()) });
        entry.network = Some(work.id.network);
        entry.subject = self.identity(&work.id);
        entry.outcome = Some(EntryOutcome::NotPermitted);
        entry.why.mapping = Some(self.rulebook.digest);
        entry.correlation.decision = Some(short(reference));
        self.encode(&entry)
    }

    fn why(&self, decision: &Decision) -> Why {
        let basis = decision.basis.as_ref().and_then(|name| self.rulebook.policy.bases.iter().find(|b| b.name == *name));
        Why {
            basis: decision.basis.clone(),
            law: basis.map(|b| b.law.clone()),
            purpose: basis.map(|b| b.purpose.clone()),
            record: basis.and_then(|b| b.record.clone()),
            since: basis.and_then(|b| b.since.clone()),
            rule: decision.by.as_ref().map(|b| b.name().into()),
            mapping: Some(self.rulebook.digest),
            ..Why::default()
        }
    }

    fn decision(&self, work: &IdentityWork, record: &crate::store::DecisionRecord, planned: u64, now: Timestamp) -> Leaf {
        let decision = &record.decision;
        let evidence = decision.evidence.as_ref();
        let scored = evidence.map_or(0, |e| e.candidates.len() as u64 + e.rest_count);
        let mut entry = Entry::new(
            now,
            Event::Decision {
                by: decision.by.as_ref().map(|b| b.name().into()),
                candidates: scored,
                match_weight: decision.customer.is_some().then_some(decision.match_weight),
                planned,
                prompted_by: match (&work.word, &work.current) {
                    (Some(_), _) => Some("person".into()),
                    (None, current) => current.as_ref().map(|_| "decided again".into()),
                },
                probability: decision.customer.is_some().then_some(decision.probability),
            },
        );
        entry.network = Some(work.id.network);
        entry.subject = self.identity(&work.id);
        entry.subject.customer = decision.customer.as_ref().map(|c| self.ring.hashes().customer(c));
        entry.outcome = Some(decision.outcome.into());
        entry.why = self.why(decision);
        entry.correlation.decision = Some(short(record.reference));
        if let Some(evidence) = evidence {
            entry.why.evidence = Some(record.evidence_digest);
            entry.why.model = Some(evidence.model);
            entry.why.lookups = Some(evidence.lookups);
            entry.evidence = Some(Part::Here(self.sealed_evidence(work, decision, evidence)?));
        }
        self.encode(&entry)
    }

    /// Evidence about a stranger lives under the short clock; each candidate's values under that customer's own key.
    fn sealed_evidence(
        &self,
        work: &IdentityWork,
        decision: &Decision,
        evidence: &crate::model::Evidence,
    ) -> Result<SealedEvidence, RunError> {
        let class = if decision.outcome == Outcome::Linked { RetentionClass::Profile } else { RetentionClass::Unlinked };
        let identity = self.key(Person::Identity(&work.id), class)?;
        let mut keys = Vec::with_capacity(evidence.candidates.len());
        for candidate in &evidence.candidates {
            keys.push((candidate.customer.clone(), self.key(Person::Customer(&candidate.customer), class)?));
        }
        let of = |customer: &CustomerId| keys.iter().find(|(c, _)| c == customer).map(|(_, k)| k.clone());
        Ok(SealedEvidence::seal(evidence, self.ring.hashes(), &identity, of, &mut self.random())?)
    }

    fn link(&self, work: &IdentityWork, decision: &Decision, reference: Digest, now: Timestamp) -> Result<Option<Vec<u8>>, RunError> {
        let linked = |current: &&CurrentDecision| current.outcome == Outcome::Linked;
        let before = work.current.as_ref().filter(linked).and_then(|c| c.customer.as_ref());
        let after = decision.customer.as_ref().filter(|_| decision.outcome == Outcome::Linked);
        let by: Arc<str> = decision.by.as_ref().map_or("model", |b| b.name()).into();
        let hash = |customer: &CustomerId| self.ring.hashes().customer(customer);
        let (event, customer) = match (before, after) {
            (None, None) => return Ok(None),
            (Some(before), Some(after)) if before == after => return Ok(None),
            (None, Some(after)) => (Event::LinkMade { by }, after),
            (Some(before), Some(after)) => (Event::LinkChanged { before: Some(hash(before)), by }, after),
            (Some(before), None) => {
                let reason = if decision.by == Some(LinkedBy::Person) { "person" } else { "decision" };
                (Event::LinkEnded { by: Some(by), reason: reason.into() }, before)
            }
        };
        let mut entry = Entry::new(now, event);
        entry.network = Some(work.id.network);
        entry.subject = Subject { customer: Some(hash(customer)), ..self.identity(&work.id) };
        entry.why = self.why(decision);
        entry.correlation.decision = Some(short(reference));
        self.encode(&entry).map(Some)
    }

    /// One event for each line of a batch that is durable.
    pub(super) fn tell_received(&self, batch: &BatchTold, outcome: &IntakeOutcome) {
        if !flow::heard() {
            return;
        }
        for (told, placed) in batch.activities.iter().zip(&outcome.activities) {
            flow::received(told.activity, &batch.source, told.line, *placed);
        }
        for ((line, reason), new) in batch.lines.iter().zip(&outcome.lines) {
            if *new {
                flow::parked_line(self.ring.hashes().input_line(&batch.digest, *line), &batch.source, *line, reason.code);
            }
        }
    }

    /// What a batch of lines has to say once the store knows what was new: the batch, its parked lines, what was dropped or parked.
    ///
    /// # Errors
    /// When an entry can't be written.
    pub fn intake(&self, batch: &BatchTold, outcome: &IntakeOutcome) -> Result<Vec<Vec<u8>>, RunError> {
        let (source, file, at) = (&batch.source, batch.digest, batch.at);
        let mut leaves = vec![self.source_read(batch, outcome)?];
        for ((line, reason), new) in batch.lines.iter().zip(&outcome.lines) {
            if *new {
                leaves.push(self.input_parked(source, file, *line, reason, at)?);
            }
        }
        for (told, placed) in batch.activities.iter().zip(&outcome.activities) {
            match placed {
                Placed::Repeat => {}
                Placed::Waiting => leaves.extend(self.change_received(told, batch)?),
                Placed::Dropped(rule) => leaves.push(self.dropped(told, *rule, Some(source), at)?),
                Placed::Parked(code) => {
                    let message = "the activity contradicts what is stored".into();
                    leaves.push(self.input_parked(source, file, told.line, &ParkReason { code, message }, at)?);
                }
            }
        }
        Ok(leaves)
    }

    /// What an entry about an activity names of it.
    pub fn activity(&self, line: u64, activity: &Activity) -> ActivityTold {
        ActivityTold {
            line,
            network: activity.network,
            identity: self.ring.hashes().identity(&activity.actor.id),
            activity: self.ring.hashes().activity(activity.network, &activity.object.id, &activity.version()),
            change: change_of(activity).map(|kind| (kind, activity.version().at)),
        }
    }
}

/// SHA-256 over the checked configuration as Rust prints it: secrets are not part of it, only where they come from.
pub fn config_digest(config: &Config) -> Digest {
    Digest(Sha256::digest(format!("{config:?}").as_bytes()).into())
}
