//! A world: a company with three targets, a story that unfolds, and a process that dies again and again.

use super::chance::Chance;
use super::crm::{Crm, Promised, Settling};
use super::faulty::{Bug, FaultyStore};
use super::story::{CUSTOMERS, Story};
use crate::audit::{HashKey, MasterKey};
use crate::declare::config::{self, Hold};
use crate::declare::connector;
use crate::declare::mapping::{self, Surroundings};
use crate::deliver::Scope;
use crate::diagnose::SourceFile;
use crate::model::{TargetId, Timestamp};
use crate::pipeline::crew::{Pace, keep_working};
use crate::pipeline::customers::CustomersSide;
use crate::pipeline::decide::{Deciding, KnownSide};
use crate::pipeline::deliver::{Allowance, Bell, Endpoint, Gate, Lane, Order};
use crate::pipeline::intake::{Intake, Read};
use crate::pipeline::leaves::Scribe;
use crate::pipeline::{Board, Clock, Meter, Parts, Unseen, WhoAsks};
use crate::source::{Access, BatchLimits, FileCursor, Opened, Source};
use crate::store::log::InstallationKeys;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{EndpointState, Store};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// When every world begins.
const BEGINNING: Timestamp = Timestamp::constant(1_790_000_000, 0);
/// When the last fault is mended everything must be done within this.
const PATIENCE: Duration = Duration::from_hours(6);

/// Time as the paused runtime has it.
struct VirtualClock(Instant);

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        BEGINNING.checked_add(self.0.elapsed()).unwrap()
    }
}

const CONFIG: &str = r#"
[service]
mapping = "m.yaml"
intake_batch = 5

[sources.social]
kind = "file"
path = "story.ndjson"

[customers.crm]
kind = "csv"
path = "customers.csv"

[targets.ledger]
connector = "t.yaml"
path = "ledger"

[targets.repeat]
connector = "t.yaml"
path = "repeat"

[targets.look_up]
connector = "t.yaml"
path = "look_up"

[audit]
origin = "kith.test/simulation"
"#;

const MAPPING: &str = r#"
kith: 1
mapping: simulation
description: What the simulation says
owner: tests
customers:
  from: crm
  key: customer_id
  fields: { handles: { from: known_handles, clean: network_handle } }
identities:
  fields: { handle: { from: [network, actor.preferredUsername], clean: network_handle } }
policy:
  audience: [public]
  basis: [{ basis: provided, law: "GDPR 6(1)(b)", purpose: service, when: { customer.handles: { has: identity.handle } } }]
  retain: { unlinked: 7d, profiles: 30d, activities: 400d, audit: 7y }
match:
  rules: [{ id: handle-on-file, same: [handle], decide: link, precision: 99 % }]
  decide: { link_from: 98 %, ask_a_person_from: 60 %, ahead_of_next: 20 times }
deliver:
  - { id: ledger,  for: activity, when: { decision: linked }, to: ledger,  operation: put, fields: { Id: object.id, Body: object.content } }
  - { id: repeat,  for: activity, when: { decision: linked }, to: repeat,  operation: put, fields: { Id: object.id, Body: object.content }, priority: urgent }
  - { id: look_up, for: activity, when: { decision: linked }, to: look_up, operation: put, fields: { Id: object.id, Body: object.content }, priority: low }
"#;

fn target_file(name: &str, promised: Promised) -> String {
    format!(
        "kith: 1\ntarget: {name}\nkind: ndjson\nlimits: {{ per_second: {}, per_minute: {} }}\n\
         retry: {{ first: 1s, longest: 60s, attempts: 100 }}\nbreaker: {{ failures: 3, first: 2s, longest: 60s }}\n\
         operations:\n  put:\n    type: note\n    record_key: [Id]\n    on_delete: remove\n    fields: {{ Id: {{ type: text }}, Body: {{ type: text }} }}\n",
        promised.0, promised.1
    )
}

fn file(name: &str, text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { name: name.into(), text: text.into() })
}

pub(super) struct World {
    chance: Chance,
    pub(super) story: Story,
    folder: tempfile::TempDir,
    parts: Parts,
    pub(super) store: Arc<FaultyStore>,
    pub(super) crms: Vec<Crm>,
    clock: Arc<VirtualClock>,
    scribe: Arc<Scribe>,
    known: Arc<KnownSide>,
}

impl World {
    pub(super) async fn new(seed: u64, bug: Option<Bug>) -> Self {
        let chance = Chance::new(seed);
        let story = Story::tell(&chance);
        let folder = tempfile::tempdir().unwrap();
        let mut customers = vec!["customer_id,known_handles".to_owned()];
        customers.extend((0..CUSTOMERS).map(|n| format!("C{n},x:handle{n}")));
        std::fs::write(folder.path().join("customers.csv"), customers.join("\n") + "\n").unwrap();
        let config = config::check("kith.toml", CONFIG, &[], folder.path()).into_result().unwrap_or_else(|p| panic!("{p:?}")).0;
        let settlings = [("ledger", Settling::Ledger), ("repeat", Settling::Repeat), ("look_up", Settling::LookUp)];
        let (mut targets, mut crms) = (Vec::new(), Vec::new());
        for (spec, (name, settling)) in config.targets.iter().zip(settlings) {
            let promised = (usize::try_from(chance.between(1, 8)).unwrap(), usize::try_from(chance.between(4, 60)).unwrap());
            let read = connector::read(&file("t.yaml", &target_file(name, promised))).into_result().unwrap_or_else(|p| panic!("{p:?}")).0;
            targets.push((spec.clone(), Arc::new(read)));
            crms.push(Crm::new(name, settling, promised, chance.clone()));
        }
        let surroundings = Surroundings {
            customers: vec!["crm".into()],
            related: Vec::new(),
            targets: targets.iter().map(|(spec, file)| (spec.name.clone(), Some(file.operations.clone()))).collect(),
        };
        let models = |_: &str| Err("there is none".to_owned());
        let rulebook = mapping::read(&file("m.yaml", MAPPING), &models, Some(&surroundings)).into_result();
        let rulebook = Arc::new(rulebook.unwrap_or_else(|p| panic!("{p:?}")).0);
        let mut keys = InstallationKeys::for_one_process("kith.test/simulation").unwrap();
        (keys.master, keys.hash) = (MasterKey::new([1; 32]), HashKey::new([2; 32]));
        let options = Options { seed: [7; 32], max_pages: None };
        let inner = SqliteStore::in_memory_copy(&folder.path().join("state"), keys.master.clone(), keys.hash.clone(), options).unwrap();
        let who = WhoAsks { user: "simulation".into(), role: crate::audit::Role::Operator };
        let scribe = Arc::new(Scribe::new(inner.ring().clone(), who, rulebook.clone()));
        let parts = Parts { config, rulebook, targets, keys };
        let clock = Arc::new(VirtualClock(Instant::now()));
        let mut side = CustomersSide::new();
        side.refresh(&inner, &parts, &scribe, &*clock, &Unseen, true).await.unwrap();
        let known = side.known().unwrap();
        let store = Arc::new(FaultyStore::new(inner, chance.clone(), bug));
        Self { chance, story, folder, parts, store, crms, clock, scribe, known }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lives until nothing is left to do: some lives with faults, a last one without.
    pub(super) async fn live(&mut self) {
        let path = |n: usize, folder: &tempfile::TempDir| folder.path().join(format!("story{n}.ndjson"));
        let mut told = 0;
        for _ in 0..self.chance.between(1, 6) {
            if told < self.story.files.len() {
                std::fs::write(path(told, &self.folder), &self.story.files[told]).unwrap();
                told += 1;
            }
            let ends = Duration::from_millis(self.chance.between(50, 180_000));
            let mut life = self.begin().await;
            sleep(ends).await;
            // As if the power failed: whatever was under way is never heard of again.
            life.shutdown().await;
            for crm in &self.crms {
                crm.power_failed();
                self.store.orphaned(&TargetId(crm.name.into())).await.unwrap();
            }
        }
        for n in told..self.story.files.len() {
            std::fs::write(path(n, &self.folder), &self.story.files[n]).unwrap();
        }
        self.store.mend();
        self.crms.iter().for_each(Crm::mend);
        let mut life = self.begin().await;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            sleep(Duration::from_secs(30)).await;
            let totals = self.store.totals().await.unwrap();
            let waiting = totals.deliveries.iter().any(|(name, n)| *n > 0 && !(name.ends_with("delivered") || name.ends_with("parked")));
            let (sum, _) = totals.sum();
            if sum.in_flight == 0 && !waiting && self.read_to_the_end().await {
                break;
            }
        }
        life.shutdown().await;
    }

    async fn read_to_the_end(&self) -> bool {
        for n in 0..self.story.files.len() {
            let name = Source::cursor_name(&self.folder.path().join(format!("story{n}.ndjson")));
            let cursor = self.store.cursor("social", &name).await.unwrap().and_then(|bytes| FileCursor::from_bytes(&bytes));
            if !cursor.is_some_and(|cursor| cursor.finished) {
                return false;
            }
        }
        true
    }

    /// What sends to a target, as a process begins with it.
    pub(super) async fn lane(&self, number: usize) -> Arc<Lane<FaultyStore, Crm>> {
        let (states, spent) = (self.store.endpoints().await.unwrap(), self.store.spent().await.unwrap());
        let ((spec, file), crm, now) = (&self.parts.targets[number], &self.crms[number], self.clock.now());
        let state = states.iter().find(|s| s.name == spec.name).cloned().unwrap_or_else(|| EndpointState::well(spec.name.clone(), now));
        let quotas = [(Scope::Endpoint, &file.rules.quotas)];
        let endpoint = Arc::new(Endpoint::new(state, quotas, &spent, (file.rules.retry, file.rules.breaker), now));
        Arc::new(Lane {
            id: TargetId(spec.name.clone()),
            store: self.store.clone(),
            target: crm.clone(),
            rules: Arc::new(file.rules.clone()),
            endpoint,
            scribe: self.scribe.clone(),
            clock: self.clock.clone(),
            gate: Arc::new(Gate::default()),
            meter: Arc::new(Meter::default()),
            progress: Arc::new(Unseen),
            stops: Arc::default(),
        })
    }

    /// Starts the process.
    async fn begin(&self) -> JoinSet<()> {
        let planned = Arc::new(Bell::default());
        let (order, orders) = watch::channel(Order::Work);
        let mut life = JoinSet::new();
        for number in 0..self.crms.len() {
            let (lane, now) = (self.lane(number).await, self.clock.now());
            let (planned, orders) = (planned.clone(), orders.clone());
            let [batch, concurrency] =
                [self.chance.between(1, 6), self.chance.between(1, 3)].map(|n| u32::try_from(n).unwrap().try_into().unwrap());
            let pace = Pace { batch, concurrency, hours: None, hold: Hold::default() };
            let (allowance, board) = (Arc::new(Allowance::new(None)), Arc::new(Board::new(now)));
            life.spawn(async move {
                // The supervisor of the service itself: errors of the store, and panics of the target, are outlived.
                let ended = keep_working(lane, pace, allowance, planned, orders, false, board).await;
                panic!("the worker ended: {:?}", ended.map(|report| report.ended));
            });
        }
        let pass = Pass {
            parts: self.parts.clone(),
            store: self.store.clone(),
            scribe: self.scribe.clone(),
            clock: self.clock.clone(),
            known: self.known.clone(),
            paths: (0..self.story.files.len()).map(|n| self.folder.path().join(format!("story{n}.ndjson"))).collect(),
            planned,
        };
        life.spawn(async move {
            let _open = order;
            loop {
                // A pass that fails is tried again.
                drop(pass.once().await);
                sleep(Duration::from_secs(5)).await;
            }
        });
        life
    }

    /// Everything that is in the log.
    pub(super) async fn history(&self) -> Vec<String> {
        let leaves = self.store.leaves(0, 20_000).await.unwrap();
        leaves.into_iter().map(|leaf| String::from_utf8(leaf).unwrap()).collect()
    }
}

struct Pass {
    parts: Parts,
    store: Arc<FaultyStore>,
    scribe: Arc<Scribe>,
    clock: Arc<VirtualClock>,
    known: Arc<KnownSide>,
    paths: Vec<PathBuf>,
    planned: Arc<Bell>,
}

impl Pass {
    async fn once(&self) -> Result<(), crate::pipeline::RunError> {
        let source = Source::new(self.parts.config.sources[0].clone(), Access::ReadOnly);
        let reader = crate::normalize::activity_streams::Reader::new(&self.parts.rulebook.identities, None);
        let (_stop, stops) = watch::channel(false);
        let intake = Intake {
            parts: &self.parts,
            source: &source,
            store: &*self.store,
            scribe: &self.scribe,
            clock: &*self.clock,
            progress: &Unseen,
            stop: &stops,
        };
        let mut read = Read::default();
        for path in self.paths.iter().filter(|path| path.exists()) {
            let name = Source::cursor_name(path);
            let cursor = self.store.cursor("social", &name).await?.and_then(|bytes| FileCursor::from_bytes(&bytes));
            let Opened::Reading(mut file) = source.open(path, cursor.as_ref()).unwrap() else { continue };
            while let Some(batch) = file.next_batch(BatchLimits::lines(5), &reader).unwrap() {
                intake.batch(&"social".into(), &name, batch, &mut read).await?;
            }
        }
        let works = self.store.work(None, 100).await?;
        if !works.is_empty() {
            let steps = Deciding::new(&self.parts.rulebook, &self.known, &self.scribe, self.clock.now()).chunk(&works)?;
            self.scribe.keep_parts(&*self.store).await?;
            self.store.decide(steps).await?;
            self.planned.ring();
        }
        Ok(())
    }
}
