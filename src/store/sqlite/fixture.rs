//! Small activities, decisions and deliveries for the tests of this folder.

use super::{Options, SqliteStore};
use crate::audit::{Entry, Event, HashKey, MasterKey, Part, RetentionClass, SealedEvidence, SealingKey};
use crate::model::{
    Activity, Audience, Candidate, ComparisonOutcome, CustomerId, Decision, DeliveryId, Digest, DropRule, Evidence, IdempotencyKey,
    Identity, IdentityId, LinkedBy, Network, Object, OperationId, Outcome, ParkReason, Personal, Priority, Profile, Receipt, RecordKey,
    TargetId, Timestamp, Value, Verb, WriteEffect, WriteIntent,
};
use crate::store::ring::{KeyRing, Person};
use crate::store::{
    DecideStep, DecisionRecord, Disposition, Due, DueWhich, IdentityWork, IntakeBatch, IntakeOutcome, OutboxRow, ParkedLine,
    PlannedDelivery, ReceiptBatch, ReceiptStep, ReceivedActivity, SendBatch, SendOutcome, SendStep, Store, StoreError,
};
use sha2::{Digest as _, Sha256};
use std::path::Path;

pub(super) fn master() -> MasterKey {
    MasterKey::new([1; 32])
}

pub(super) fn hashes() -> HashKey {
    HashKey::new([2; 32])
}

pub(super) fn options() -> Options {
    Options { seed: [3; 32], max_pages: None }
}

/// A seed is used once: a second store on the same state would mint the keys and ids of the first.
pub(super) fn open_seeded(dir: &Path, seed: u8) -> Result<SqliteStore, StoreError> {
    SqliteStore::create_or_open(dir, master(), hashes(), Options { seed: [seed; 32], max_pages: None })
}

pub(super) fn open(dir: &Path) -> SqliteStore {
    open_seeded(dir, 3).unwrap()
}

pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::new(1_790_000_000 + second, 0).unwrap()
}

pub(super) fn sha(text: &str) -> Digest {
    Digest(Sha256::digest(text.as_bytes()).into())
}

pub(super) fn identity(account: &str) -> IdentityId {
    IdentityId { network: Network::X, id: account.into() }
}

/// Somebody's note.
#[derive(Clone)]
pub(super) struct Note {
    pub(super) account: &'static str,
    pub(super) object: String,
    pub(super) verb: Verb,
    pub(super) second: i64,
    pub(super) text: String,
    pub(super) activity: String,
    pub(super) shown: &'static str,
    pub(super) seen: i64,
    pub(super) audience: Audience,
    pub(super) drop: Option<DropRule>,
    pub(super) evidence: bool,
}

pub(super) fn note(account: &'static str, object: &str, second: i64) -> Note {
    Note {
        account,
        object: object.to_owned(),
        verb: Verb::Create,
        second,
        text: format!("text of {object}"),
        activity: format!("{object}/create/{second}"),
        shown: "Ada",
        seen: second,
        audience: Audience::Public,
        drop: None,
        evidence: false,
    }
}

impl Note {
    /// What it says is evidence of who the account is.
    pub(super) fn evidence(mut self) -> Self {
        self.evidence = true;
        self
    }

    pub(super) fn verb(mut self, verb: Verb) -> Self {
        self.verb = verb;
        self.activity = format!("{}/{}/{}", self.object, verb.name(), self.second);
        self
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        text.clone_into(&mut self.text);
        self
    }

    pub(super) fn shown(mut self, name: &'static str) -> Self {
        self.shown = name;
        self
    }

    pub(super) fn dropped(mut self, rule: DropRule) -> Self {
        self.drop = Some(rule);
        self
    }

    pub(super) fn received(&self, line: u64) -> ReceivedActivity {
        let fields = if self.shown.is_empty() { Vec::new() } else { vec![("actor.name".into(), Value::text(self.shown))] };
        let when = |verb| (self.verb == verb).then(|| at(self.second));
        let activity = Activity {
            id: self.activity.as_str().into(),
            verb: self.verb,
            network: Network::X,
            published: at(self.second),
            actor: Identity {
                id: identity(self.account),
                profile: Profile { as_of: at(self.seen), audience: self.audience, fields: Personal::new(fields) },
            },
            audience: self.audience,
            conversation: None,
            object: Object {
                id: self.object.as_str().into(),
                kind: "Note".into(),
                content: Personal::new((self.verb != Verb::Delete).then(|| self.text.as_str().into())),
                url: Personal::new(None),
                published: when(Verb::Create),
                updated: when(Verb::Update),
                deleted: when(Verb::Delete),
                in_reply_to: None,
            },
        };
        ReceivedActivity { line, activity, drop: self.drop, content_digest: sha(&self.text), evidence: self.evidence }
    }
}

pub(super) fn batch(file: &str, notes: &[Note]) -> IntakeBatch {
    let activities: Vec<ReceivedActivity> = (1..).zip(notes).map(|(line, note)| note.received(line)).collect();
    IntakeBatch {
        source: "inbox".into(),
        file: file.to_owned(),
        file_digest: sha(file),
        at: at(0),
        cursor: activities.len().to_string().into_bytes(),
        activities,
        parked: Vec::new(),
        tell: crate::store::Tell(std::sync::Arc::new(|_| Ok(vec![b"{\"kind\":\"source.read\"}".to_vec()]))),
    }
}

pub(super) fn broken(line: u64, raw: &str) -> ParkedLine {
    ParkedLine { line, reason: ParkReason { code: "KITH-X001", message: "not JSON".into() }, raw: Personal::new(raw.as_bytes().to_vec()) }
}

pub(super) fn take(store: &SqliteStore, file: &str, notes: &[Note]) -> IntakeOutcome {
    only_counts(run(store.intake(batch(file, notes))).unwrap())
}

/// Without what became of each line.
pub(super) fn only_counts(mut outcome: IntakeOutcome) -> IntakeOutcome {
    outcome.activities.clear();
    outcome.lines.clear();
    outcome
}

pub(super) fn work(store: &SqliteStore) -> Vec<IdentityWork> {
    run(store.work(None, 100)).unwrap()
}

pub(super) fn evidence(customers: &[&str]) -> Evidence {
    Evidence {
        identity: Personal::new(vec![("name".into(), Value::text("ada byron"))]),
        candidates: customers
            .iter()
            .map(|id| Candidate {
                customer: CustomerId::from(*id),
                posterior: 0.1 + 0.2,
                match_weight: 12.345_678_901_234_567,
                comparisons: vec![ComparisonOutcome {
                    comparison: "name".into(),
                    level: "exact".into(),
                    gamma: 3,
                    bits: 7.0 / 3.0,
                    term_frequency: Some(1e-7),
                    term_frequency_bits: -0.0,
                }],
                rules: vec!["same-email".into()],
                values: Personal::new(vec![("name".into(), Value::text(format!("crm name of {id}")))]),
            })
            .collect(),
        rest_count: 7,
        rest_odds: f64::MIN_POSITIVE,
        prior_bits: -16.6,
        rules: vec![crate::model::RuleHit { rule: "same-email".into(), customers: 1, set_aside: Some("shared".into()) }],
        cuts: vec![crate::model::BlockCut { rule: "surname".into(), size: 9_999 }],
        held: None,
        mapping: sha("mapping"),
        model: sha("model"),
        lookups: sha("lookups"),
    }
}

/// A decision of this outcome; `seed` tells its reference from others'.
pub(super) fn decision(outcome: Outcome, customer: &str, seed: &str) -> DecisionRecord {
    let scored = !matches!(outcome, Outcome::NotPermitted | Outcome::Undetermined);
    DecisionRecord {
        decision: Decision {
            outcome,
            customer: scored.then(|| CustomerId::from(customer)),
            probability: if scored { 0.999 } else { 0.0 },
            match_weight: if scored { 20.5 } else { 0.0 },
            by: (outcome == Outcome::Linked).then(|| LinkedBy::Rule("same-email".into())),
            basis: scored.then(|| "public_profile".into()),
            evidence: scored.then(|| evidence(&[customer, "C-other"])),
        },
        reference: sha(&format!("{seed}/{customer}/{}", outcome.name())),
        evidence_digest: sha("evidence"),
        mapping: sha("mapping"),
        grounds: None,
        at: at(50),
    }
}

pub(super) fn planned(target: &str, object: Option<&str>, record: &str, seed: &str, intent: WriteIntent) -> PlannedDelivery {
    PlannedDelivery {
        priority: Priority::Normal,
        entry: "interactions".into(),
        target: TargetId(target.into()),
        operation: OperationId("upsert".into()),
        intent,
        record: RecordKey(record.into()),
        idempotency: IdempotencyKey(sha(&format!("{target}/{record}/{seed}"))),
        payload: Personal::new(vec![("Body".into(), Value::text("a very secret body"))]),
        expects: None,
        object: object.map(Into::into),
    }
}

/// A step that decides and disposes of all the activities offered in the same way.
pub(super) fn step(work: &IdentityWork, decision: Option<DecisionRecord>, mut dispose: impl FnMut(&str) -> Disposition) -> DecideStep {
    DecideStep {
        row: work.row,
        id: work.id.clone(),
        decision,
        profile_as_of: work.profile.as_ref().map(|p| p.as_of),
        activities: work.activities.iter().map(|a| (a.row, dispose(&a.activity.object.id))).collect(),
        link: Vec::new(),
        wrote: Vec::new(),
        leaves: vec![b"{\"kind\":\"decision\"}".to_vec()],
    }
}

/// The entry of a decision with this evidence.
pub(super) fn entry(ring: &KeyRing, identity: &IdentityId, evidence: &Evidence) -> Vec<u8> {
    let key = |person: Person<'_>| SealingKey::from(&*ring.key(person, RetentionClass::Profile).unwrap());
    let of = |customer: &CustomerId| Some(key(Person::Customer(customer)));
    let sealed = SealedEvidence::seal(evidence, ring.hashes(), &key(Person::Identity(identity)), of, &mut ring.stream()).unwrap();
    let what = Event::Decision { by: None, candidates: 2, match_weight: None, planned: 1, prompted_by: None, probability: None };
    Entry { evidence: Some(Part::Here(sealed)), ..Entry::new(at(50), what) }.encode().unwrap().bytes
}

/// Links everyone with work to a customer and plans one write an activity.
pub(super) fn link_all(store: &SqliteStore, customer: &str, seed: &str) {
    let steps = work(store)
        .iter()
        .map(|work| {
            let mut step = step(work, Some(decision(Outcome::Linked, customer, seed)), |object| {
                Disposition::Deliver(vec![planned("crm", Some(object), object, seed, WriteIntent::Write)])
            });
            step.leaves = vec![entry(store.ring(), &work.id, &evidence(&[customer, "C-other"]))];
            step
        })
        .collect();
    run(store.decide(steps)).unwrap();
}

/// What a worker asks for first.
pub(super) fn due_to(target: &str, second: i64) -> Due {
    let target = TargetId(target.into());
    Due { target, now: at(second), limit: 100, priority: Priority::Normal, except: Vec::new(), which: DueWhich::All }
}

pub(super) fn due(store: &SqliteStore, second: i64) -> Vec<OutboxRow> {
    run(store.due(&due_to("crm", second))).unwrap()
}

pub(super) fn send(store: &SqliteStore, rows: &[OutboxRow]) -> Vec<u64> {
    let intents =
        rows.iter().map(|row| SendStep { delivery: row.delivery.clone(), leaf: b"{\"kind\":\"write.intended\"}".to_vec() }).collect();
    run(store.send(SendBatch { intents, spent: Vec::new() })).unwrap().iter().map(crate::model::Intended::sequence).collect()
}

pub(super) fn receipt(store: &SqliteStore, delivery: DeliveryId, outcome: SendOutcome) -> Result<(), StoreError> {
    let step = ReceiptStep { delivery, outcome, leaf: b"{\"kind\":\"write.receipt\"}".to_vec(), failed: None };
    run(store.receipt(ReceiptBatch { at: at(0), outcomes: vec![step], endpoint: None, spent: Vec::new() }))
}

pub(super) fn delivered(delivery: DeliveryId) -> SendOutcome {
    SendOutcome::Delivered(Receipt::bare(delivery, WriteEffect::Inserted))
}

/// Sends what is due and tells that it arrived.
pub(super) fn deliver_all(store: &SqliteStore) {
    loop {
        let rows = due(store, 1_000);
        if rows.is_empty() {
            return;
        }
        send(store, &rows);
        for row in rows {
            receipt(store, row.delivery.id, delivered(row.delivery.id)).unwrap();
        }
    }
}

pub(super) fn states(store: &SqliteStore) -> Vec<(String, u64)> {
    let totals = run(store.totals()).unwrap();
    for day in &totals.conservation {
        assert_eq!(day.gap(), 0, "{day:?}");
    }
    totals.activities.into_iter().collect()
}
