//! *Decide*: identities with work become decisions, links, planned deliveries and drops. Pure over a chunk, so that threads can share the work.

use super::leaves::Scribe;
use super::posts;
use super::rehearse::Rehearsed;
use super::siblings::{Siblings, Stored};
use crate::customers::Related;
use crate::declare::mapping::Rulebook;
use crate::enrich::{Decided, Due, Facts, OnDelete, Planned, Standing, Subject, Write, reconcile_link, reconcile_object};
use crate::model::{
    ActivityState, CustomerId, Decision, Digest, DropRule, IdempotencyKey, Identity, IdentityId, Outcome, Personal, Profile, Timestamp,
    Value, Verb, Word, WriteIntent,
};
use crate::policy::Asked;
use crate::resolve::{self, Digests, Index, Permit};
use crate::store::{
    ActivityRow, CurrentDecision, DecideStep, DecisionRecord, Disposition, Grounds, IdentityWork, PlannedDelivery, StoredActivity,
    WrittenRecord,
};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The CRM's side, in memory.
#[derive(Debug)]
pub struct KnownSide {
    /// The index of customers.
    pub index: Index,
    /// Related records, for enriching.
    pub related: Vec<(Arc<str>, Related)>,
}

impl KnownSide {
    /// A customer's related records: set name and list of records, in the mapping's order of sets.
    fn related_to(&self, customer: &CustomerId) -> Vec<(Arc<str>, Value)> {
        let list = |set: &Related| {
            let records = set.of(customer).into_iter().map(|record| Value::Record(record.members.into_revealed()));
            Value::List(records.collect())
        };
        self.related.iter().map(|(name, set)| (name.clone(), list(set))).collect()
    }
}

/// Everything that deciding needs and does not change while a pass decides.
pub struct Deciding<'a> {
    /// The mapping in force.
    pub rulebook: &'a Rulebook,
    /// The CRM's side.
    pub known: &'a KnownSide,
    /// Writes audit leaves.
    pub scribe: &'a Scribe,
    /// Now.
    pub now: Timestamp,
    /// Keyed hashes of what Kith wrote to customers about accounts.
    wrote: Arc<HashSet<[u8; 16]>>,
    /// The mapping's digest, as deliveries may write it.
    hash: Arc<str>,
}

/// What stands against a basis, or above the rules, beyond the mapping's words.
#[derive(Clone, Copy)]
pub(super) struct Against<'a> {
    /// Names of bases that the person took back.
    pub withdrawn: &'a [Arc<str>],
    /// Whether Kith itself wrote this value of this field of the account to the customer.
    pub own: &'a dyn Fn(&CustomerId, &str, &Value) -> bool,
    /// What people said whose the account is.
    pub word: Option<&'a Word>,
}

impl<'a> Deciding<'a> {
    /// Over one moment of the CRM's side.
    pub fn new(rulebook: &'a Rulebook, known: &'a KnownSide, scribe: &'a Scribe, now: Timestamp) -> Self {
        Self { rulebook, known, scribe, now, wrote: Arc::default(), hash: rulebook.digest.to_string().into() }
    }

    /// Knowing what Kith wrote to customers: it proves nothing when it comes back.
    #[must_use]
    pub fn knowing(self, wrote: Arc<HashSet<[u8; 16]>>) -> Self {
        Self { wrote, ..self }
    }

    /// The customer that a customer was merged into, or itself; `None` where it is gone.
    pub fn survivor(&self, customer: &CustomerId) -> Option<CustomerId> {
        self.known.index.survivor(customer)
    }

    /// Decides about each identity and plans what follows, without looking at the customers' other accounts.
    ///
    /// # Errors
    /// When a person's key can't be had: then nothing of the chunk is stored, and the identities stay undetermined.
    #[cfg(test)]
    pub fn chunk(&self, works: &[IdentityWork]) -> Result<Vec<DecideStep>, super::RunError> {
        works.iter().map(|work| self.follow(self.take(work))).collect()
    }

    /// Decides over several threads, holds back the links that a customer's other accounts speak against, and plans what follows over several
    /// threads; in order.
    ///
    /// # Errors
    /// Where an entry of the log can't be made, and when the store can't tell the other accounts.
    pub(super) fn spread(
        &self,
        works: &[IdentityWork],
        threads: usize,
        siblings: &mut Siblings,
        stored: &Stored<'_>,
    ) -> Result<Vec<DecideStep>, super::RunError> {
        let size = works.len().div_ceil(threads.max(1)).max(1);
        let mut taken = over_threads(works.chunks(size), |chunk| chunk.iter().map(|work| self.take(work)).collect());
        siblings.hold(self.rulebook, &mut taken, stored)?;
        let mut chunks = Vec::new();
        while taken.len() > size {
            let tail = taken.split_off(size);
            chunks.push(std::mem::replace(&mut taken, tail));
        }
        chunks.push(taken);
        over_threads(chunks.into_iter(), |chunk| chunk.into_iter().map(|taken| self.follow(taken)).collect()).into_iter().collect()
    }

    /// The decision about an identity as it stands now; nothing is stored.
    pub fn decision(&self, id: &IdentityId, profile: &Profile, cleaned: &[Value]) -> Decision {
        decision(self.rulebook, self.known, id, profile, cleaned)
    }

    fn named(&self, cleaned: &[Value]) -> Vec<(Arc<str>, Value)> {
        named(self.rulebook, cleaned)
    }

    fn take<'w>(&self, work: &'w IdentityWork) -> Taken<'w> {
        let Some(profile) = &work.profile else { return Taken { work, cleaned: Vec::new(), decision: None } };
        let cleaned = posts::cleaned_work(self.rulebook, work, profile);
        let own = |customer: &CustomerId, field: &str, value: &Value| {
            !self.wrote.is_empty() && self.wrote.contains(&self.scribe.wrote(customer, field, value))
        };
        let against = Against { withdrawn: &work.withdrawn, own: &own, word: work.word.as_ref() };
        let decision = work.needs_decision.then(|| decision_against(self.rulebook, self.known, &work.id, profile, &cleaned, against));
        Taken { work, cleaned, decision }
    }

    fn follow(&self, taken: Taken<'_>) -> Result<DecideStep, super::RunError> {
        let work = taken.work;
        let Foreseen { mut step, lacking } = self.foresee(taken);
        if work.profile.is_some() {
            step.leaves = self.scribe.decide_step(work, &step, self.now)?;
            for (row, words) in &lacking {
                step.leaves.push(self.scribe.not_shown(work, *row, words, self.now)?);
            }
        }
        Ok(step)
    }

    /// Decides about accounts and plans what follows, without a word to the log.
    pub(super) fn rehearse(
        &self,
        works: &[IdentityWork],
        threads: usize,
        siblings: &mut Siblings,
        stored: &Stored<'_>,
    ) -> Result<Vec<Rehearsed>, super::RunError> {
        let size = works.len().div_ceil(threads.max(1)).max(1);
        let mut taken = over_threads(works.chunks(size), |chunk| chunk.iter().map(|work| self.take(work)).collect());
        siblings.hold(self.rulebook, &mut taken, stored)?;
        Ok(taken.into_iter().map(|taken| self.rehearsed(taken)).collect())
    }

    fn rehearsed(&self, taken: Taken<'_>) -> Rehearsed {
        let work = taken.work;
        let (mut cleaned, mut raw) = (self.named(&taken.cleaned), Vec::new());
        raw.extend(work.profile.iter().flat_map(|profile| profile.fields.reveal().iter().cloned()));
        if let Some(display) = self.rulebook.policy.display(work.id.network) {
            raw.retain(|(path, _)| !display.withholds(path));
            cleaned.retain(|(field, _)| !display.withholds(&format!("identity.{field}")));
        }
        let step = self.foresee(taken).step;
        let waits = |row| work.activities.iter().find(|stored| stored.row == row && stored.state == ActivityState::WaitingDecision);
        let mut writes = step.link;
        let mut activities = 0;
        for (row, disposition) in step.activities {
            // What was said earlier is evidence, and not what is rehearsed.
            if waits(row).is_some() {
                activities += 1;
                if let Disposition::Deliver(planned) = disposition {
                    writes.extend(planned);
                }
            }
        }
        let (raw, cleaned) = (Personal::new(raw), Personal::new(cleaned));
        Rehearsed { id: work.id.clone(), raw, cleaned, decision: step.decision.map(|record| record.decision), writes, activities }
    }

    /// What follows, but for the leaves that tell it.
    fn foresee(&self, taken: Taken<'_>) -> Foreseen {
        let Taken { work, cleaned, decision: taken } = taken;
        let Some(profile) = work.profile.clone() else {
            return Foreseen { step: Self::without_profile(work), lacking: Vec::new() };
        };
        let digest = taken.as_ref().map_or(Digest([0; 32]), |decision| self.scribe.evidence_digest(decision));
        let decided = match (&taken, &work.current) {
            (Some(decision), _) => Standpoint::from_new(decision, self.reference(work, decision, digest)),
            (None, Some(current)) => Standpoint::from_current(current),
            (None, None) => Standpoint::undetermined(),
        };
        let identity_fields = self.named(&cleaned);
        let identity = Identity { id: work.id.clone(), profile };
        let customer_fields = decided.customer.as_ref().and_then(|c| self.known.index.values(c)).unwrap_or_default();
        let related = decided.customer.as_ref().map(|c| self.known.related_to(c)).unwrap_or_default();
        let view = View {
            deciding: self,
            work,
            decided: &decided,
            identity: &identity,
            identity_fields: &identity_fields,
            customer_fields: &customer_fields,
            related: &related,
        };

        let changed = work.current.as_ref().is_none_or(|current| decided.differs_from(current));
        let link = if taken.is_some() { view.link() } else { Vec::new() };
        let activities = view.activities(changed);
        let lacking = view.lacking(&link, &activities);
        let wrote = if link.is_empty() { Vec::new() } else { self.written_values(&decided, &identity_fields) };
        let record = taken.map(|decision| DecisionRecord {
            evidence_digest: digest,
            grounds: self.grounds(&decision),
            decision,
            reference: decided.reference,
            mapping: self.rulebook.digest,
            at: self.now,
        });
        let step = DecideStep {
            row: work.row,
            id: work.id.clone(),
            profile_as_of: Some(identity.profile.as_of),
            decision: record,
            activities,
            link,
            wrote,
            leaves: Vec::new(),
        };
        Foreseen { step, lacking }
    }

    /// Nothing may be kept about this person: what they say is dropped, unseen.
    fn without_profile(work: &IdentityWork) -> DecideStep {
        let activities = work.activities.iter().map(|a| (a.row, Disposition::Drop(DropRule::NotPermitted))).collect();
        DecideStep {
            row: work.row,
            id: work.id.clone(),
            decision: None,
            profile_as_of: None,
            activities,
            link: Vec::new(),
            wrote: Vec::new(),
            leaves: Vec::new(),
        }
    }

    /// The basis of a link in full.
    fn grounds(&self, decision: &Decision) -> Option<Grounds> {
        let name = decision.basis.as_ref().filter(|_| decision.outcome == Outcome::Linked)?;
        let basis = self.rulebook.policy.bases.iter().find(|basis| basis.name == *name)?;
        Some(Grounds { law: basis.law.clone(), purpose: basis.purpose.clone(), since: basis.since.clone(), record: basis.record.clone() })
    }

    /// Values of the account that the link's record may bring to a customer who did not hold them: the basis is none that looks at the customer.
    fn written_values(&self, decided: &Standpoint, identity: &[(Arc<str>, Value)]) -> Vec<[u8; 16]> {
        let (Outcome::Linked, Some(customer), Some(name)) = (decided.outcome, &decided.customer, &decided.basis) else { return Vec::new() };
        if self.rulebook.policy.bases.iter().any(|basis| basis.name == *name && basis.per_customer) {
            return Vec::new();
        }
        let proving = self.rulebook.policy.proving();
        let told = identity.iter().filter(|(field, value)| proving.contains(&**field) && !value.is_missing());
        told.map(|(field, value)| self.scribe.wrote(customer, field, value)).collect()
    }

    /// Names a decision by what it decided and by the decision before it: the same decision after a crash has the same name, and a
    /// decision that returns to an earlier one (a customer retired and restored) has a new one, so that its writes are no repeats.
    fn reference(&self, work: &IdentityWork, decision: &Decision, evidence: Digest) -> Digest {
        let before = work.current.as_ref().map_or(Digest([0; 32]), |c| c.reference);
        self.scribe.decision_reference(&work.id, before, decision, evidence)
    }
}

/// What follows from a decision.
struct Foreseen {
    step: DecideStep,
    /// What the network does not let be shown of what is written: about which post, none for the link, and in words.
    lacking: Vec<(Option<ActivityRow>, String)>,
}

/// An identity that was decided about, before what follows is planned.
pub(super) struct Taken<'w> {
    pub work: &'w IdentityWork,
    /// Its cleaned values; none where nothing of it may be kept.
    pub cleaned: Vec<Value>,
    /// The new decision, where one was to be taken.
    pub decision: Option<Decision>,
}

/// Each part on a thread of its own, the last one here; in order.
pub(super) fn over_threads<P: Send, T: Send>(parts: impl ExactSizeIterator<Item = P>, work: impl Fn(P) -> Vec<T> + Sync) -> Vec<T> {
    let mut parts: Vec<P> = parts.collect();
    let Some(last) = parts.pop() else { return Vec::new() };
    std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = parts.into_iter().map(|part| scope.spawn(move || work(part))).collect();
        let last = work(last);
        let mut all = Vec::new();
        for other in others {
            all.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all.extend(last);
        all
    })
}

/// The decision about an identity over one moment of the CRM's side; nothing is stored. `cleaned` is what
/// [`clean_identity`](crate::normalize::clean_identity) gave.
pub fn decision(rulebook: &Rulebook, known: &KnownSide, id: &IdentityId, profile: &Profile, cleaned: &[Value]) -> Decision {
    decision_against(rulebook, known, id, profile, cleaned, Against { withdrawn: &[], own: &|_, _, _| false, word: None })
}

/// As [`decision`], where something stands against a basis.
fn decision_against(
    rulebook: &Rulebook,
    known: &KnownSide,
    id: &IdentityId,
    profile: &Profile,
    cleaned: &[Value],
    against: Against<'_>,
) -> Decision {
    let named = named(rulebook, cleaned);
    let asked = Asked { network: id.network, audience: profile.audience, identity: &named, withdrawn: against.withdrawn };
    let permission = rulebook.policy.permission(asked);
    if !permission.possible() {
        return Decision::not_permitted();
    }
    let permit = Permit {
        anyone: permission.anyone().cloned(),
        customer: &|view| permission.basis_for(&|field| view.value(field), &|field, value| (against.own)(&view.id(), field, value)),
    };
    let digests = Digests {
        mapping: rulebook.digest,
        model: rulebook.matching.model.as_ref().map_or(Digest([0; 32]), |m| m.digest),
        lookups: crate::normalize::lookups(),
    };
    let decision = resolve::decide(&known.index, cleaned, &rulebook.matching, digests, &permit);
    match against.word {
        None => decision,
        Some(word) => resolve::heed(decision, word, &known.index, &rulebook.matching, &permit),
    }
}

fn named(rulebook: &Rulebook, cleaned: &[Value]) -> Vec<(Arc<str>, Value)> {
    rulebook.identities.fields.iter().map(|f| f.name.clone()).zip(cleaned.iter().cloned()).collect()
}

/// A decision as deliveries see it: new or in force.
struct Standpoint {
    outcome: Outcome,
    customer: Option<CustomerId>,
    by: Option<Arc<str>>,
    basis: Option<Arc<str>>,
    probability: f64,
    match_weight: f64,
    reference: Digest,
}

impl Standpoint {
    fn from_new(decision: &Decision, reference: Digest) -> Self {
        Self {
            outcome: decision.outcome,
            customer: decision.customer.clone().filter(|_| decision.outcome == Outcome::Linked),
            by: decision.by.as_ref().map(|by| by.name().into()),
            basis: decision.basis.clone(),
            probability: decision.probability,
            match_weight: decision.match_weight,
            reference,
        }
    }

    fn from_current(current: &CurrentDecision) -> Self {
        Self {
            outcome: current.outcome,
            customer: current.customer.clone().filter(|_| current.outcome == Outcome::Linked),
            by: current.by.as_ref().map(|by| by.name().into()),
            basis: current.basis.clone(),
            probability: current.probability,
            match_weight: current.match_weight,
            reference: current.reference,
        }
    }

    const fn undetermined() -> Self {
        Self {
            outcome: Outcome::Undetermined,
            customer: None,
            by: None,
            basis: None,
            probability: 0.0,
            match_weight: 0.0,
            reference: Digest([0; 32]),
        }
    }

    /// Whether what was said before must be looked at again.
    fn differs_from(&self, current: &CurrentDecision) -> bool {
        let before = Self::from_current(current);
        (self.outcome, &self.customer, &self.by, &self.basis) != (before.outcome, &before.customer, &before.by, &before.basis)
    }
}

/// What waits beside a version of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overtaken {
    /// Nothing newer.
    No,
    /// A newer text.
    ByEdit,
    /// A Delete, and no newer text.
    ByDelete,
}

/// One identity, its decision and its facts.
struct View<'a> {
    deciding: &'a Deciding<'a>,
    work: &'a IdentityWork,
    decided: &'a Standpoint,
    identity: &'a Identity,
    identity_fields: &'a [(Arc<str>, Value)],
    customer_fields: &'a [(Arc<str>, Value)],
    related: &'a [(Arc<str>, Value)],
}

impl View<'_> {
    fn facts<'b>(&'b self, activity: Option<&'b crate::model::Activity>) -> Facts<'b> {
        let decided = self.decided;
        Facts {
            identity: self.identity,
            identity_fields: self.identity_fields,
            activity,
            decided: Decided {
                outcome: decided.outcome,
                customer: decided.customer.as_ref(),
                basis: decided.basis.clone(),
                rule: decided.by.clone(),
                match_weight: decided.match_weight,
                probability: decided.probability,
            },
            customer_fields: self.customer_fields,
            related: self.related,
            mapping_name: &self.deciding.rulebook.name,
            mapping_hash: &self.deciding.hash,
            display: self.deciding.rulebook.policy.display(self.work.id.network),
        }
    }

    /// What the network does not let be shown of what is planned.
    fn lacking(&self, link: &[PlannedDelivery], activities: &[(ActivityRow, Disposition)]) -> Vec<(Option<ActivityRow>, String)> {
        let about = |activity: Option<&crate::model::Activity>, planned: &[PlannedDelivery]| {
            let entries = planned.iter().filter(|delivery| delivery.intent == WriteIntent::Write).map(|delivery| &*delivery.entry);
            let words = self.deciding.rulebook.enrich.lacking(&self.facts(activity), entries);
            (!words.is_empty()).then(|| words.into_iter().collect::<Vec<_>>().join("; "))
        };
        if self.deciding.rulebook.policy.display(self.work.id.network).is_none() {
            return Vec::new();
        }
        let of_link = about(None, link).map(|words| (None, words));
        let of_activities = activities.iter().filter_map(|(row, disposition)| {
            let Disposition::Deliver(planned) = disposition else { return None };
            let stored = self.work.activities.iter().find(|stored| stored.row == *row)?;
            Some((Some(*row), about(Some(&stored.activity), planned)?))
        });
        of_link.into_iter().chain(of_activities).collect()
    }

    /// Deliveries about the link: written when it is made or decided again, withdrawn when it ends.
    fn link(&self) -> Vec<PlannedDelivery> {
        let standing: Vec<Standing> = self.work.written.iter().filter(|w| w.object.is_none()).map(standing).collect();
        let facts = self.facts(None);
        let enrichment = &self.deciding.rulebook.enrich;
        let records = if self.decided.outcome == Outcome::Linked { enrichment.records(&facts, Subject::Link) } else { Vec::new() };
        reconcile_link(enrichment, records, &standing).into_iter().map(|write| self.planned(write, None, "link")).collect()
    }

    /// What becomes of each activity version, oldest first.
    fn activities(&self, changed: bool) -> Vec<(ActivityRow, Disposition)> {
        let mut standing: BTreeMap<&str, Vec<Standing>> = BTreeMap::new();
        for written in &self.work.written {
            if let Some(object) = &written.object {
                standing.entry(object).or_default().push(self::standing(written));
            }
        }
        let mut out = Vec::with_capacity(self.work.activities.len());
        for stored in &self.work.activities {
            let object: &str = &stored.activity.object.id;
            let stands = standing.entry(object).or_default();
            if let Some(disposition) = self.activity(stored, stands, changed) {
                follow(stands, &disposition);
                out.push((stored.row, disposition));
            }
        }
        out
    }

    fn activity(&self, stored: &StoredActivity, standing: &[Standing], changed: bool) -> Option<Disposition> {
        let waiting = matches!(stored.state, ActivityState::WaitingDecision | ActivityState::WaitingReview);
        let reaches_back = changed && stored.newest && stored.activity.verb != Verb::Delete;
        if !waiting && !reaches_back {
            return None;
        }
        let overtaken = if waiting { self.overtaken(stored) } else { Overtaken::No };
        if overtaken == Overtaken::ByEdit {
            return Some(Disposition::Drop(DropRule::Superseded));
        }
        match self.decided.outcome {
            Outcome::Undetermined => return waiting.then_some(Disposition::WaitDecision),
            Outcome::NotPermitted if standing.is_empty() => return waiting.then_some(Disposition::Drop(DropRule::NotPermitted)),
            Outcome::Review if standing.is_empty() && stored.activity.verb != Verb::Delete => {
                return waiting.then_some(Disposition::WaitReview);
            }
            Outcome::Linked | Outcome::NotLinked | Outcome::Review | Outcome::NotPermitted => {}
        }
        let none = match self.decided.outcome {
            Outcome::Linked => DropRule::WhenFalse,
            Outcome::NotPermitted => DropRule::NotPermitted,
            Outcome::NotLinked | Outcome::Review | Outcome::Undetermined => DropRule::NotLinked,
        };
        let due = if waiting {
            Due::Waiting
        } else {
            let published = stored.activity.object.published.unwrap_or(stored.activity.published);
            Due::DecisionChanged { published, now: self.deciding.now }
        };
        let enrichment = &self.deciding.rulebook.enrich;
        let facts = self.facts(Some(&stored.activity));
        let records = match self.decided.outcome {
            Outcome::Linked | Outcome::NotLinked => enrichment.records(&facts, Subject::Activity),
            Outcome::Review | Outcome::NotPermitted | Outcome::Undetermined => Vec::new(),
        };
        let outlives = |entry: &str| enrichment.deliver.iter().any(|e| &*e.id == entry && e.on_delete != OnDelete::Remove);
        let (records, standing, none) = if overtaken == Overtaken::ByDelete {
            // Only records that are meant to outlive the post; what the Delete removes is left to the Delete.
            let records = records.into_iter().filter(|r| outlives(&r.entry.id)).collect();
            (records, standing.iter().filter(|s| outlives(&s.entry)).cloned().collect(), DropRule::Superseded)
        } else {
            (records, standing.to_vec(), none)
        };
        match reconcile_object(enrichment, stored.activity.verb, records, &standing, due, none) {
            Planned::Writes(writes) => {
                let object = Some(stored.activity.object.id.clone());
                let version = version_text(stored);
                Some(Disposition::Deliver(writes.into_iter().map(|w| self.planned(w, object.clone(), &version)).collect()))
            }
            Planned::Drop(rule) => waiting.then_some(Disposition::Drop(rule)),
        }
    }

    /// Whether a newer version of the same object waits beside this one: what is gone or edited before it was ever written is not written
    /// (`ops/decisions/0002`).
    fn overtaken(&self, stored: &StoredActivity) -> Overtaken {
        if stored.activity.verb == Verb::Delete {
            return Overtaken::No;
        }
        let version = stored.activity.version();
        let newer = self.work.activities.iter().map(|other| &other.activity);
        let newer = newer.filter(|other| other.object.id == stored.activity.object.id && other.version() > version);
        newer.fold(Overtaken::No, |so_far, other| match (so_far, other.verb) {
            (Overtaken::ByEdit, _) | (_, Verb::Create | Verb::Update) => Overtaken::ByEdit,
            (Overtaken::No | Overtaken::ByDelete, Verb::Delete) => Overtaken::ByDelete,
        })
    }

    fn planned(&self, write: Write, object: Option<Arc<str>>, version: &str) -> PlannedDelivery {
        let idempotency = idempotency(&write, version, self.decided.reference);
        let entry = self.deciding.rulebook.enrich.deliver.iter().find(|entry| entry.id == write.entry);
        PlannedDelivery {
            // What an entry that is gone wrote is taken back as anything else.
            priority: entry.map(|entry| entry.priority).unwrap_or_default(),
            entry: write.entry,
            target: write.target,
            operation: write.operation,
            intent: write.intent,
            record: write.key,
            idempotency,
            payload: write.payload,
            expects: None,
            object,
        }
    }
}

fn version_text(stored: &StoredActivity) -> String {
    let version = stored.activity.version();
    format!("{} {} {}", version.at, version.verb.name(), version.activity)
}

fn standing(written: &WrittenRecord) -> Standing {
    Standing {
        entry: written.entry.clone(),
        target: written.target.clone(),
        operation: written.operation.clone(),
        key: written.record.clone(),
    }
}

/// Keeps `standing` as it will be after the planned writes.
fn follow(standing: &mut Vec<Standing>, disposition: &Disposition) {
    let Disposition::Deliver(deliveries) = disposition else { return };
    for delivery in deliveries {
        let this = Standing {
            entry: delivery.entry.clone(),
            target: delivery.target.clone(),
            operation: delivery.operation.clone(),
            key: delivery.record.clone(),
        };
        standing.retain(|s| *s != this);
        if delivery.intent == WriteIntent::Write {
            standing.push(this);
        }
    }
}

/// SHA-256 over (target, operation, record key, activity version, decision), each with its length before it, so that no two lists of
/// parts read alike. The mapping entry and the intent are part of the operation's meaning and are hashed with it.
pub(super) fn idempotency(write: &Write, version: &str, decision: Digest) -> IdempotencyKey {
    let mut hash = Sha256::new();
    let decision = decision.to_string();
    for part in [&write.target.0, &write.operation.0, &write.entry, write.intent.name(), &*write.key.0, version, &decision] {
        let part: &str = part;
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    IdempotencyKey(Digest(hash.finalize().into()))
}
