//! Random histories, crashes among them, against a plain model of the promises: nothing is lost, nothing is counted twice, each delivery
//! gets one receipt, and no record goes back to an older version.

use super::doctor::{Limits, LogSide, StoreDoctor};
use super::fixture::*;
use super::open::DATABASE_FILE;
use super::{SqliteReader, SqliteStore};
use crate::model::{DeliveryId, DropRule, IdempotencyKey, Outcome, ParkReason, TargetId, Verb, Version, WriteIntent};
use crate::store::{
    CustomersStep, DecideStep, Disposition, DropStep, EditedDelivery, IdentityWork, LetterContent, LetterFilter, LetterId, LetterOutcome,
    LetterRefusal, LetterState, ReplayLine, ReplayStep, SendOutcome, SendStep, Store,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

const ACCOUNTS: [&str; 3] = ["ada", "bob", "cyd"];
const VERBS: [Verb; 3] = [Verb::Create, Verb::Update, Verb::Delete];
const SHOWN: [&str; 3] = ["Ada", "Ada Lovelace", ""];

#[derive(Clone, Debug)]
enum Line {
    Note { object: usize, second: i64, verb: usize, text: usize, shown: usize, private: bool },
    Broken,
}

#[derive(Clone, Debug)]
enum Op {
    /// Lines of a new file.
    Intake(Vec<Line>),
    /// The last file again, as after a crash before its cursor was durable.
    Repeat,
    /// A page of work, decided this way by account.
    Decide {
        outcomes: [u8; 3],
        page: usize,
    },
    /// The customers changed: everyone again.
    Again,
    Send(usize),
    Receipts(Vec<u8>),
    Settle(Vec<u8>),
    Crash,
    /// What a person does with each dead letter.
    Letters(Vec<u8>),
}

/// Whose an object is: `n4` is the second's.
fn author(object: &str) -> &'static str {
    ACCOUNTS[object.trim_start_matches('n').parse::<usize>().unwrap() % 3]
}

fn line() -> impl Strategy<Value = Line> {
    prop_oneof![
        9 => (0..4_usize, 0..4_i64, 0..3_usize, prop::bool::weighted(0.15), 0..3_usize, prop::bool::weighted(0.1)).prop_map(
            |(object, second, verb, other, shown, private)| Line::Note { object, second, verb, text: usize::from(other), shown, private }
        ),
        1 => Just(Line::Broken),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => proptest::collection::vec(line(), 1..6).prop_map(Op::Intake),
        1 => Just(Op::Repeat),
        4 => (proptest::array::uniform3(0..6_u8), 1..5_usize).prop_map(|(outcomes, page)| Op::Decide { outcomes, page }),
        1 => Just(Op::Again),
        3 => (1..5_usize).prop_map(Op::Send),
        3 => proptest::collection::vec(0..6_u8, 1..4).prop_map(Op::Receipts),
        1 => proptest::collection::vec(0..3_u8, 1..3).prop_map(Op::Settle),
        1 => Just(Op::Crash),
        2 => proptest::collection::vec(0..5_u8, 1..4).prop_map(Op::Letters),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Delivery {
    Planned { not_before: i64 },
    Sending,
    Delivered,
    Parked,
    Unknown,
    Dropped,
}

impl Delivery {
    fn is_open(self) -> bool {
        matches!(self, Self::Planned { .. } | Self::Sending | Self::Unknown)
    }
}

type Key = (String, Version);

struct Planned {
    order: usize,
    key: Key,
    state: Delivery,
    receipts: u32,
    writes: bool,
}

#[derive(Default)]
struct Model {
    received: u64,
    duplicates: u64,
    parked_lines: u64,
    replayed_lines: u64,
    dropped_lines: u64,
    leaves: u64,
    /// What a version says, and its state where no delivery says more.
    versions: BTreeMap<Key, (String, &'static str)>,
    contradictions: BTreeSet<(Key, String)>,
    lines: BTreeSet<(String, u64)>,
    deliveries: BTreeMap<IdempotencyKey, Planned>,
    arrived: BTreeMap<String, Vec<Version>>,
}

impl Model {
    fn park(&mut self, file: &str, line: u64, contradiction: Option<(Key, String)>) {
        let known =
            contradiction.as_ref().is_some_and(|c| self.contradictions.contains(c)) || self.lines.contains(&(file.to_owned(), line));
        if known {
            self.duplicates += 1;
            return;
        }
        self.lines.insert((file.to_owned(), line));
        self.contradictions.extend(contradiction);
        self.received += 1;
        self.parked_lines += 1;
    }

    fn receive(&mut self, file: &str, line: u64, note: &Note) {
        let key = (note.object.clone(), note.received(line).activity.version());
        match self.versions.get(&key) {
            Some((text, _)) if *text == note.text => self.duplicates += 1,
            Some(_) => self.park(file, line, Some((key, note.text.clone()))),
            None => {
                let newest = self.versions.keys().filter(|(object, _)| *object == key.0).all(|(_, version)| *version < key.1);
                let state = match (note.drop.is_some(), newest) {
                    (true, _) => "dropped: private-message",
                    (false, true) => "in_flight: waiting_decision",
                    (false, false) => "dropped: superseded",
                };
                self.received += 1;
                self.versions.insert(key, (note.text.clone(), state));
            }
        }
    }

    fn state(&self, key: &Key) -> &'static str {
        let states: Vec<Delivery> = self.deliveries.values().filter(|d| d.key == *key).map(|d| d.state).collect();
        match states.as_slice() {
            [] => self.versions[key].1,
            some if some.iter().any(|s| s.is_open()) => "in_flight: delivering",
            some if some.contains(&Delivery::Parked) => "parked",
            some if some.contains(&Delivery::Delivered) => "delivered",
            _ => "dropped: dropped-by-person",
        }
    }

    fn states(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for key in self.versions.keys() {
            *counts.entry(self.state(key).to_owned()).or_default() += 1;
        }
        for (state, lines) in [("dropped: replayed", self.replayed_lines), ("dropped: dropped-by-person", self.dropped_lines)] {
            if lines > 0 {
                *counts.entry(state.to_owned()).or_default() += lines;
            }
        }
        counts
    }

    /// Whether a record stands, or its write is planned: what the newest delivery about it that nobody dropped meant.
    fn stands(&self, record: &str) -> bool {
        let about = self.deliveries.values().filter(|d| d.key.0 == record && d.state != Delivery::Dropped);
        about.max_by_key(|d| d.order).is_some_and(|d| d.writes)
    }

    /// Whether something newer about the same record is under way or has arrived.
    fn overtaken(&self, key: IdempotencyKey) -> bool {
        let this = &self.deliveries[&key];
        let newer = self.deliveries.values().filter(|d| d.key.0 == this.key.0 && d.order > this.order);
        newer.into_iter().any(|d| d.state.is_open() || d.state == Delivery::Delivered)
    }

    /// The first open delivery of each record, where its time has come.
    fn due(&self, now: i64) -> Vec<IdempotencyKey> {
        let mut open: Vec<_> = self.deliveries.iter().filter(|(_, d)| d.state.is_open()).collect();
        open.sort_by_key(|(_, d)| d.order);
        let mut records = BTreeSet::new();
        open.into_iter()
            .filter(|(_, d)| records.insert(d.key.0.clone()))
            .filter(|(_, d)| matches!(d.state, Delivery::Planned { not_before } if not_before <= now))
            .map(|(key, _)| *key)
            .collect()
    }

    fn settle(&mut self, key: IdempotencyKey, state: Delivery) {
        let delivery = self.deliveries.get_mut(&key).unwrap();
        delivery.state = state;
        if !state.is_open() {
            delivery.receipts += 1;
        }
        if state == Delivery::Delivered {
            self.arrived.entry(delivery.key.0.clone()).or_default().push(delivery.key.1.clone());
        }
    }
}

struct Machine {
    dir: TempDir,
    store: Option<SqliteStore>,
    model: Model,
    now: i64,
    seed: u8,
    files: usize,
    last: Option<(String, Vec<Line>)>,
    ids: BTreeMap<IdempotencyKey, DeliveryId>,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Some(open_seeded(dir.path(), 1).unwrap());
        Self { dir, store, model: Model::default(), now: 0, seed: 1, files: 0, last: None, ids: BTreeMap::new() }
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_ref().unwrap()
    }

    fn intake(&mut self, file: &str, lines: &[Line]) {
        let mut batch = batch(file, &[]);
        for (number, line) in (1..).zip(lines) {
            match line {
                Line::Broken => {
                    batch.parked.push(broken(number, "not an activity"));
                }
                Line::Note { object, second, verb, text, shown, private } => {
                    let mut note = note(ACCOUNTS[object % 3], &format!("n{object}"), *second).verb(VERBS[*verb]);
                    note = note.text(["one", "other"][*text]).shown(SHOWN[*shown]);
                    if *private {
                        note = note.dropped(DropRule::PrivateMessage);
                    }
                    batch.activities.push(note.received(number));
                    self.model.receive(file, number, &note);
                }
            }
        }
        for line in &batch.parked {
            self.model.park(file, line.line, None);
        }
        self.model.leaves += 1;
        let lines = u64::try_from(lines.len()).unwrap();
        let outcome = run(self.store().intake(batch)).unwrap();
        assert_eq!(outcome.received + outcome.duplicates, lines);
    }

    fn decide(&mut self, outcomes: [u8; 3], page: usize) {
        let work = run(self.store().work(None, page)).unwrap();
        if work.len() < page {
            self.everything_that_waits_is_offered(&work);
        }
        let mut steps = Vec::new();
        for work in &work {
            let step = self.decide_one(work, outcomes);
            steps.push(step);
            self.model.leaves += 1;
        }
        run(self.store().decide(steps)).unwrap();
    }

    fn everything_that_waits_is_offered(&self, work: &[IdentityWork]) {
        let offered: BTreeSet<Key> =
            work.iter().flat_map(|w| &w.activities).map(|a| (a.activity.object.id.to_string(), a.activity.version())).collect();
        for key in self.model.versions.keys() {
            if self.model.state(key) == "in_flight: waiting_decision" {
                assert!(offered.contains(key), "{key:?} waits and is not offered");
            }
        }
    }

    fn decide_one(&mut self, work: &IdentityWork, outcomes: [u8; 3]) -> DecideStep {
        let account = ACCOUNTS.iter().position(|a| **a == *work.id.id).unwrap();
        let asked = match outcomes[account] {
            0 | 1 => Outcome::Linked,
            2 => Outcome::NotLinked,
            3 => Outcome::Review,
            4 => Outcome::Undetermined,
            _ => Outcome::NotPermitted,
        };
        let customer = if outcomes[account] == 1 { "C-2" } else { "C-1" };
        let decided = work.needs_decision.then(|| decision(asked, customer, &format!("{}", self.now)));
        let (outcome, reference) = match (&decided, &work.current) {
            (Some(new), _) => (asked, new.reference),
            (None, Some(current)) => (current.outcome, current.reference),
            (None, None) => panic!("no decision in force and none asked for"),
        };
        let written: BTreeSet<&str> = work.written.iter().filter_map(|w| w.object.as_deref()).collect();
        for (object, _) in self.model.versions.keys().filter(|(object, _)| author(object) == &*work.id.id) {
            assert_eq!(written.contains(object.as_str()), self.model.stands(object), "{object} stands or not");
        }
        let mut activities = Vec::new();
        for stored in &work.activities {
            let object = stored.activity.object.id.to_string();
            let key = (object.clone(), stored.activity.version());
            let write = |intent| vec![planned("crm", Some(&object), &object, &format!("{reference}/{:?}", key.1), intent)];
            let gone = stored.activity.verb == Verb::Delete;
            let (disposition, state) = match outcome {
                _ if !stored.newest => (Disposition::Drop(DropRule::Superseded), "dropped: superseded"),
                Outcome::Linked if gone && !written.contains(object.as_str()) => {
                    (Disposition::Drop(DropRule::NothingToWithdraw), "dropped: nothing-to-withdraw")
                }
                Outcome::Linked => (Disposition::Deliver(write(if gone { WriteIntent::Remove } else { WriteIntent::Write })), ""),
                Outcome::NotLinked if written.contains(object.as_str()) => (Disposition::Deliver(write(WriteIntent::Remove)), ""),
                Outcome::NotLinked => (Disposition::Drop(DropRule::NotLinked), "dropped: not-linked"),
                Outcome::Review => (Disposition::WaitReview, "in_flight: waiting_review"),
                Outcome::Undetermined => (Disposition::WaitDecision, "in_flight: waiting_decision"),
                Outcome::NotPermitted => (Disposition::Drop(DropRule::NotPermitted), "dropped: not-permitted"),
            };
            if let Disposition::Deliver(planned) = &disposition {
                let order = self.model.deliveries.len();
                let writes = planned[0].intent == WriteIntent::Write;
                let delivery = Planned { order, key, state: Delivery::Planned { not_before: i64::MIN }, receipts: 0, writes };
                self.model.deliveries.entry(planned[0].idempotency).or_insert(delivery);
            } else {
                self.model.versions.get_mut(&key).unwrap().1 = state;
            }
            activities.push((stored.row, disposition));
        }
        DecideStep {
            row: work.row,
            id: work.id.clone(),
            decision: decided,
            profile_as_of: work.profile.as_ref().map(|p| p.as_of),
            activities,
            link: Vec::new(),
            wrote: Vec::new(),
            leaves: vec![b"decision".to_vec()],
        }
    }

    fn again(&mut self) {
        let rows = run(self.store().profiles(None, 100)).unwrap().iter().map(|p| p.row).collect();
        let step = CustomersStep {
            source: "crm".into(),
            read_digest: sha("read"),
            upserted: Vec::new(),
            retired: Vec::new(),
            decide_again: rows,
            leaves: Vec::new(),
        };
        run(self.store().customers(step)).unwrap();
    }

    fn send(&mut self, most: usize) {
        let rows = run(self.store().due(&due_to("crm", self.now))).unwrap();
        let offered: Vec<IdempotencyKey> = rows.iter().map(|r| r.delivery.idempotency).collect();
        assert_eq!(offered, self.model.due(self.now));
        let steps: Vec<SendStep> =
            rows.into_iter().take(most).map(|row| SendStep { delivery: row.delivery, leaf: b"intent".to_vec() }).collect();
        let count = steps.len();
        let tokens = run(self.store().send(crate::store::SendBatch { intents: steps, spent: Vec::new() })).unwrap();
        assert_eq!(tokens.len(), count);
        for token in tokens {
            assert_eq!(token.sequence(), self.model.leaves);
            self.model.leaves += 1;
            let key = token.delivery().idempotency;
            self.ids.insert(key, token.delivery().id);
            self.model.settle(key, Delivery::Sending);
        }
    }

    fn answer(&mut self, key: IdempotencyKey, kind: u8) {
        let id = self.ids[&key];
        let (outcome, state) = match kind {
            0 => {
                let not_before = Some(at(self.now + 3));
                let outcome = SendOutcome::Retry { not_before, counts: true, reason: "busy".into() };
                (outcome, Delivery::Planned { not_before: self.now + 3 })
            }
            1 => (SendOutcome::Parked(ParkReason { code: "KITH-X001", message: "no".into() }), Delivery::Parked),
            2 => (SendOutcome::Unknown { reason: "no answer".into() }, Delivery::Unknown),
            _ => (delivered(id), Delivery::Delivered),
        };
        receipt(self.store(), id, outcome).unwrap();
        self.model.leaves += 1;
        self.model.settle(key, state);
    }

    fn in_state(&self, state: Delivery) -> Vec<IdempotencyKey> {
        let mut found: Vec<_> = self.model.deliveries.iter().filter(|(_, d)| d.state == state).collect();
        found.sort_by_key(|(_, d)| d.order);
        found.into_iter().map(|(key, _)| *key).collect()
    }

    fn receipts(&mut self, kinds: &[u8]) {
        for (key, kind) in self.in_state(Delivery::Sending).into_iter().zip(kinds.iter().cycle()) {
            self.answer(key, *kind);
        }
    }

    fn settle(&mut self, kinds: &[u8]) {
        let rows = run(self.store().unsettled(&TargetId("crm".into()), None, 100)).unwrap();
        let keys: Vec<IdempotencyKey> = rows.iter().map(|r| r.delivery.idempotency).collect();
        assert_eq!(keys, self.in_state(Delivery::Unknown));
        for (row, kind) in rows.into_iter().zip(kinds.iter().cycle()) {
            let (key, id) = (row.delivery.idempotency, row.delivery.id);
            self.ids.insert(key, id);
            match kind {
                0 => {
                    receipt(self.store(), id, SendOutcome::NotThere).unwrap();
                    self.model.settle(key, Delivery::Planned { not_before: i64::MIN });
                }
                1 => {
                    send(self.store(), &[row]);
                    self.model.settle(key, Delivery::Sending);
                }
                _ => {
                    receipt(self.store(), id, delivered(id)).unwrap();
                    self.model.settle(key, Delivery::Delivered);
                }
            }
            self.model.leaves += 1;
        }
    }

    /// A person looks at every dead letter: 0 leaves it, 1 replays it, 2 edits and replays it, the others drop it.
    fn letters(&mut self, kinds: &[u8]) {
        let reader = SqliteReader::open(self.dir.path(), master(), hashes()).unwrap();
        let rows = reader.dead_letters(&LetterFilter::default(), None, 1_000).unwrap();
        let parked = self.in_state(Delivery::Parked).len() + usize::try_from(self.model.parked_lines).unwrap();
        assert_eq!(rows.len(), parked, "each dead letter is listed once");
        for (row, kind) in rows.iter().zip(kinds.iter().cycle()) {
            match (row.id, kind) {
                (_, 0) => {}
                (LetterId::Delivery(id), 1 | 2) => self.replay(id, *kind == 2),
                (LetterId::Line(id), 1 | 2) => self.take_in(id),
                (id, _) => {
                    let step = DropStep { id, leaf: b"dropped".to_vec() };
                    assert_eq!(run(self.store().drop_letters(at(self.now), vec![step.clone()])).unwrap(), [LetterOutcome::Done]);
                    let again = run(self.store().drop_letters(at(self.now), vec![step])).unwrap();
                    let refused = LetterRefusal::NotParked(LetterState::Dropped);
                    assert_eq!(again, [LetterOutcome::Refused(refused)]);
                    self.model.leaves += 1;
                    match id {
                        LetterId::Line(_) => {
                            self.model.parked_lines -= 1;
                            self.model.dropped_lines += 1;
                        }
                        LetterId::Delivery(id) => {
                            let key = self.key_of(id);
                            self.model.deliveries.get_mut(&key).unwrap().state = Delivery::Dropped;
                        }
                    }
                }
            }
        }
    }

    fn key_of(&self, id: DeliveryId) -> IdempotencyKey {
        *self.ids.iter().find(|(_, i)| **i == id).unwrap().0
    }

    fn replay(&mut self, id: DeliveryId, edit: bool) {
        let key = self.key_of(id);
        let new = IdempotencyKey(sha(&format!("{:?}/{}", key.0, self.now)));
        let payload = crate::model::Personal::new(vec![("Body".into(), crate::model::Value::text("mended"))]);
        let edited = edit.then(|| EditedDelivery { before: key, idempotency: new, payload: payload.clone() });
        let step = ReplayStep::Delivery { id, edited, leaf: b"replayed".to_vec() };
        let outcome = run(self.store().replay(at(self.now), vec![step])).unwrap();
        if self.model.overtaken(key) {
            assert!(matches!(outcome[..], [LetterOutcome::Refused(LetterRefusal::Overtaken(..))]), "{outcome:?}");
            return;
        }
        assert_eq!(outcome, [LetterOutcome::Done]);
        self.model.leaves += 1;
        let mut delivery = self.model.deliveries.remove(&key).unwrap();
        delivery.state = Delivery::Planned { not_before: i64::MIN };
        delivery.receipts -= 1;
        let key = if edit { new } else { key };
        self.model.deliveries.insert(key, delivery);
        self.ids.retain(|_, i| *i != id);
        self.ids.insert(key, id);
        let letter = run(self.store().letters(vec![LetterId::Delivery(id)])).unwrap().pop().unwrap();
        let LetterContent::Delivery(row) = letter.content else { panic!("a delivery opens") };
        assert_eq!(row.delivery.payload == payload, edit || row.delivery.payload == payload);
        assert_eq!(row.delivery.idempotency, key);
    }

    /// A bad line is mended into a note that may be new, known, or contradict what is known.
    fn take_in(&mut self, id: i64) {
        let note = note(ACCOUNTS[0], "n0", id % 3).text(["one", "other"][usize::from(id % 2 == 0)]);
        let name = format!("mended{id}");
        let batch = batch(&name, std::slice::from_ref(&note));
        let step = ReplayStep::Line(Box::new(ReplayLine { id, batch, leaf: b"replayed".to_vec() }));
        let outcome = run(self.store().replay(at(self.now), vec![step.clone(), step])).unwrap();
        assert!(matches!(outcome[0], LetterOutcome::TakenIn(_)), "{outcome:?}");
        assert_eq!(outcome[1], LetterOutcome::Refused(LetterRefusal::NotParked(LetterState::Replayed)));
        self.model.leaves += 2;
        self.model.parked_lines -= 1;
        self.model.replayed_lines += 1;
        self.model.receive(&name, 1, &note);
    }

    /// The files as they are now, without a clean close, in another folder.
    fn crash(&mut self) {
        let next = tempfile::tempdir().unwrap();
        for file in [DATABASE_FILE, "kith.db-wal"] {
            std::fs::copy(self.dir.path().join(file), next.path().join(file)).unwrap();
        }
        self.seed += 1;
        self.store = Some(open_seeded(next.path(), self.seed).unwrap());
        self.dir = next;
        for delivery in self.model.deliveries.values_mut().filter(|d| d.state == Delivery::Sending) {
            delivery.state = Delivery::Unknown;
        }
    }

    fn step(&mut self, op: &Op) {
        self.now += 1;
        match op {
            Op::Intake(lines) => {
                self.files += 1;
                let file = format!("file{}", self.files);
                self.intake(&file, lines);
                self.last = Some((file, lines.clone()));
            }
            Op::Repeat => {
                if let Some((file, lines)) = self.last.clone() {
                    self.intake(&file, &lines);
                }
            }
            Op::Decide { outcomes, page } => self.decide(*outcomes, *page),
            Op::Again => self.again(),
            Op::Send(most) => self.send(*most),
            Op::Receipts(kinds) => self.receipts(kinds),
            Op::Settle(kinds) => self.settle(kinds),
            Op::Crash => self.crash(),
            Op::Letters(kinds) => self.letters(kinds),
        }
        self.agrees();
    }

    fn agrees(&self) {
        let totals = run(self.store().totals()).unwrap();
        let model = &self.model;
        assert!(totals.conservation.iter().all(|day| day.gap() == 0), "{:?}", totals.conservation);
        assert_eq!(totals.conservation.iter().map(|d| d.received).sum::<u64>(), model.received);
        assert_eq!(totals.conservation.iter().map(|d| d.duplicates).sum::<u64>(), model.duplicates);
        assert_eq!(totals.activities, model.states());
        assert_eq!(totals.leaves, model.leaves);
        assert_eq!(totals.deliveries.values().sum::<u64>(), u64::try_from(model.deliveries.len()).unwrap());
        let parked_deliveries = u64::try_from(self.in_state(Delivery::Parked).len()).unwrap();
        assert_eq!(totals.parked.values().sum::<u64>(), model.parked_lines + parked_deliveries);
    }

    /// Whatever state a crash leaves, the doctor finds nothing in it but what was being sent.
    fn the_doctor_finds_nothing(&self) {
        let copy = tempfile::tempdir().unwrap();
        for file in [DATABASE_FILE, "kith.db-wal"] {
            std::fs::copy(self.dir.path().join(file), copy.path().join(file)).unwrap();
        }
        let keys = (master(), hashes());
        let mut doctor = StoreDoctor::open(copy.path(), keys, Limits { free_bytes: 0, ..Limits::default() }, true, at(self.now)).unwrap();
        let tell = |_: &str, _: u64, _: &str| Ok(Vec::new());
        assert!(doctor.examine_foundation(&LogSide { size: None, bundle: &|_index| None }, &tell).unwrap());
        doctor.examine_rows(&tell).unwrap();
        let found = doctor.into_findings();
        let sending = u64::try_from(self.in_state(Delivery::Sending).len()).unwrap();
        assert!(found.iter().all(|finding| finding.check == "stuck sends" && finding.count == sending), "{found:?}");
    }

    /// Until nothing is open: then each delivery has its one receipt.
    fn drain(&mut self) {
        self.now += 1_000;
        for _ in 0..1_000 {
            self.receipts(&[3]);
            self.settle(&[2]);
            if self.model.due(self.now).is_empty() {
                break;
            }
            self.send(100);
            self.now += 10;
        }
        self.agrees();
        for delivery in self.model.deliveries.values() {
            assert!(!delivery.state.is_open(), "stuck");
            assert_eq!(delivery.receipts, 1);
        }
        for (record, versions) in &self.model.arrived {
            assert!(versions.is_sorted(), "{record} went back: {versions:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_store_agrees_with_a_plain_model(ops in proptest::collection::vec(op(), 1..40)) {
        let mut machine = Machine::new();
        for op in &ops {
            machine.step(op);
        }
        machine.the_doctor_finds_nothing();
        machine.drain();
    }
}
