//! The store keeps what it said it had: beside readers, against a second writer, over crashes, without room; and how fast.

use kith::audit::{HashKey, MasterKey};
use kith::model::{
    Activity, Audience, Candidate, ComparisonOutcome, CustomerId, Decision, Digest, Evidence, IdempotencyKey, Identity, IdentityId,
    Intended, LinkedBy, Network, Object, OperationId, Outcome, Personal, Priority, Profile, Receipt, RecordKey, TargetId, Timestamp, Value,
    Verb, WriteEffect, WriteIntent,
};
use kith::store::sqlite::{LinkFilter, Options, SqliteReader, SqliteStore};
use kith::store::{
    CustomersStep, DecideStep, DecisionRecord, Disposition, Due, DueWhich, IntakeBatch, PlannedDelivery, ReceiptBatch, ReceiptStep,
    ReceivedActivity, SendBatch, SendOutcome, SendStep, Store, StoreError, Tell,
};
use sha2::{Digest as _, Sha256};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

fn open(dir: &Path, seed: u8) -> Result<SqliteStore, StoreError> {
    SqliteStore::create_or_open(dir, MasterKey::new([1; 32]), HashKey::new([2; 32]), Options { seed: [seed; 32], max_pages: None })
}

fn reader(dir: &Path) -> Result<SqliteReader, StoreError> {
    SqliteReader::open(dir, MasterKey::new([1; 32]), HashKey::new([2; 32]))
}

fn sha(text: &str) -> Digest {
    Digest(Sha256::digest(text.as_bytes()).into())
}

fn second(n: u64) -> Timestamp {
    Timestamp::new(1_790_000_000 + i64::try_from(n).unwrap(), 0).unwrap()
}

fn identity(n: u64) -> IdentityId {
    IdentityId { network: Network::Instagram, id: format!("https://instagram.example/users/S{n:09}").into() }
}

/// The `n`th activity, of one of `people`, as large as those of the retail data.
fn activity(n: u64, people: u64) -> ReceivedActivity {
    let person = n % people;
    let text = |name: &str, text: String| (name.into(), Value::text(text));
    let fields = vec![
        text("actor.location.name", "Leeds, United Kingdom".to_owned()),
        text("actor.name", format!("Person Number {person}")),
        text("actor.preferredUsername", format!("person.number.{person}")),
        text("actor.summary", "Project manager, mum of two, baking, chess / mail me".to_owned()),
    ];
    let object = format!("https://instagram.example/notes/{n}");
    let activity = Activity {
        id: format!("https://instagram.example/activities/{n}").into(),
        verb: Verb::Create,
        network: Network::Instagram,
        published: second(n),
        actor: Identity {
            id: identity(person),
            profile: Profile { as_of: second(n), audience: Audience::Public, fields: Personal::new(fields) },
        },
        audience: Audience::Public,
        conversation: None,
        object: Object {
            id: object.as_str().into(),
            kind: "Note".into(),
            content: Personal::new(Some("Shout-out to the team in the shop, so kind today. Order 545140 arrived.".into())),
            url: Personal::new(Some(format!("https://instagram.example/@person/{n}").into())),
            published: Some(second(n)),
            updated: None,
            deleted: None,
            in_reply_to: None,
        },
    };
    ReceivedActivity { line: n + 1, activity, drop: None, content_digest: sha(&object), evidence: false }
}

fn batch(activities: Vec<ReceivedActivity>, file: &str) -> IntakeBatch {
    IntakeBatch {
        source: "inbox".into(),
        file: file.to_owned(),
        file_digest: sha(file),
        at: second(0),
        cursor: activities.last().map(|a| a.line.to_string().into_bytes()).unwrap_or_default(),
        activities,
        parked: Vec::new(),
        tell: Tell(Arc::new(|_outcome| Ok(vec![vec![b'x'; 400]]))),
    }
}

/// Evidence of about 2 KB: five candidates, seven comparisons each.
fn evidence(n: u64, customers: u64) -> Evidence {
    let comparison = |name: &str| ComparisonOutcome {
        comparison: name.into(),
        level: "similar at 0.92".into(),
        gamma: 2,
        bits: 3.25,
        term_frequency: Some(0.001),
        term_frequency_bits: 1.5,
    };
    let names = ["given_name", "family_name", "place", "handle", "email", "phone", "age"];
    Evidence {
        identity: Personal::new(names.iter().map(|name| ((*name).into(), Value::text("a cleaned value"))).collect()),
        candidates: (0..5)
            .map(|c| Candidate {
                customer: CustomerId(format!("C-{:06}", (n * 7 + c * 13) % customers).into()),
                posterior: 0.2,
                match_weight: 12.5,
                comparisons: names.iter().map(|name| comparison(name)).collect(),
                rules: Vec::new(),
                values: Personal::new(names.iter().map(|name| ((*name).into(), Value::text("a cleaned value"))).collect()),
            })
            .collect(),
        rest_count: 12,
        rest_odds: 0.001,
        prior_bits: -16.6,
        rules: Vec::new(),
        cuts: Vec::new(),
        held: None,
        mapping: sha("mapping"),
        model: sha("model"),
        lookups: sha("lookups"),
    }
}

fn decision(n: u64, customers: u64, outcome: Outcome) -> DecisionRecord {
    DecisionRecord {
        decision: Decision {
            outcome,
            customer: Some(CustomerId(format!("C-{:06}", (n * 7) % customers).into())),
            probability: 0.9971,
            match_weight: 21.25,
            by: (outcome == Outcome::Linked).then_some(LinkedBy::Model),
            basis: Some("public_profile".into()),
            evidence: Some(evidence(n, customers)),
        },
        reference: sha(&format!("decision {n}")),
        evidence_digest: sha("evidence"),
        mapping: sha("mapping"),
        grounds: None,
        at: second(1),
    }
}

fn planned(object: &str) -> PlannedDelivery {
    let field = |name: &str, value: &str| (name.into(), Value::text(value));
    PlannedDelivery {
        priority: Priority::Normal,
        entry: "interactions".into(),
        target: TargetId("crm".into()),
        operation: OperationId("upsert_interaction".into()),
        intent: WriteIntent::Write,
        record: RecordKey(format!("[\"instagram\",\"{object}\"]").into()),
        idempotency: IdempotencyKey(sha(object)),
        payload: Personal::new(vec![
            field("Network", "instagram"),
            field("ActivityID", object),
            field("CustomerID", "C-000001"),
            field("Body", "Shout-out to the team in the shop, so kind today. Order 545140 arrived."),
            field("Topic", "praise"),
            field("PublishedAt", "2026-04-28T14:00:58Z"),
            field("Url", object),
        ]),
        expects: None,
        object: Some(object.into()),
    }
}

async fn decide_all(store: &SqliteStore, page: usize, linked: impl Fn(u64) -> bool) -> usize {
    let mut after = None;
    let mut decided = 0;
    loop {
        let work = store.work(after, page).await.unwrap();
        let Some(last) = work.last() else { return decided };
        after = Some(last.row);
        decided += work.len();
        let steps = work
            .into_iter()
            .map(|work| {
                let n = u64::try_from(work.row.0).unwrap();
                let outcome = if linked(n) { Outcome::Linked } else { Outcome::NotLinked };
                let activities = work
                    .activities
                    .iter()
                    .map(|stored| {
                        let disposition = if outcome == Outcome::Linked {
                            Disposition::Deliver(vec![planned(&stored.activity.object.id)])
                        } else {
                            Disposition::Drop(kith::model::DropRule::NotLinked)
                        };
                        (stored.row, disposition)
                    })
                    .collect();
                DecideStep {
                    row: work.row,
                    id: work.id,
                    decision: Some(decision(n, 100_000, outcome)),
                    profile_as_of: work.profile.map(|p| p.as_of),
                    activities,
                    link: Vec::new(),
                    wrote: Vec::new(),
                    leaves: vec![vec![b'd'; 800]],
                }
            })
            .collect();
        store.decide(steps).await.unwrap();
    }
}

fn due(limit: usize) -> Due {
    let target = TargetId("crm".into());
    Due { target, now: second(1_000_000), limit, priority: Priority::Normal, except: Vec::new(), which: DueWhich::All }
}

async fn deliver_all(store: &SqliteStore, page: usize) -> usize {
    let mut sent = 0;
    loop {
        let rows = store.due(&due(page)).await.unwrap();
        if rows.is_empty() {
            return sent;
        }
        sent += rows.len();
        let intents = rows.iter().map(|row| SendStep { delivery: row.delivery.clone(), leaf: vec![b'i'; 900] }).collect();
        let tokens: Vec<Intended> = store.send(SendBatch { intents, spent: Vec::new() }).await.unwrap();
        let outcomes = tokens
            .iter()
            .map(|token| {
                let delivery = token.delivery().id;
                let receipt = Receipt::bare(delivery, WriteEffect::Inserted);
                ReceiptStep { delivery, outcome: SendOutcome::Delivered(receipt), leaf: vec![b'r'; 900], failed: None }
            })
            .collect();
        store.receipt(ReceiptBatch { at: second(1_000_000), outcomes, endpoint: None, spent: Vec::new() }).await.unwrap();
    }
}

#[test]
fn a_second_writer_is_refused_while_the_first_lives_and_readers_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    assert!(matches!(reader(&state), Err(StoreError::Absent(_))));
    let first = open(&state, 1).unwrap();
    let Err(StoreError::Locked(who)) = open(&state, 2) else { panic!("a second writer got in") };
    assert!(who.contains(&std::process::id().to_string()), "{who}");
    run(first.intake(batch(vec![activity(0, 1)], "a"))).unwrap();
    let beside = reader(&state).unwrap();
    assert_eq!(beside.totals().unwrap().decisions["undetermined"], 1);
    drop(first);
    drop(open(&state, 2).unwrap());
    assert_eq!(beside.totals().unwrap().decisions["undetermined"], 1, "a reader outlives the writer that it was opened beside");
}

#[test]
fn a_reader_beside_a_busy_writer_sees_whole_steps_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 1).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let reader = reader(dir.path()).unwrap();
            let mut seen = 0;
            while !done.load(Ordering::Acquire) {
                let totals = reader.totals().unwrap();
                for day in &totals.conservation {
                    assert_eq!(day.gap(), 0, "{day:?}");
                    assert_eq!(day.received % 50, 0, "part of a batch");
                }
                let mut rows = 0;
                reader
                    .links(&LinkFilter::default(), |_row| {
                        rows += 1;
                        ControlFlow::Continue(())
                    })
                    .unwrap();
                assert!(rows >= seen);
                seen = rows;
                std::thread::sleep(Duration::from_millis(1));
            }
            seen
        });
        run(async {
            for n in 0..20_u64 {
                store.intake(batch((n * 50..n * 50 + 50).map(|n| activity(n, 100)).collect(), "a")).await.unwrap();
                decide_all(&store, 30, |n| n % 2 == 0).await;
                deliver_all(&store, 30).await;
            }
        });
        done.store(true, Ordering::Release);
        watching.join().unwrap();
    });
    let totals = reader(dir.path()).unwrap().totals().unwrap();
    assert_eq!((totals.activities["delivered"], totals.activities["dropped: not-linked"]), (500, 500));
}

#[test]
fn a_copy_of_the_files_at_any_moment_opens_to_whole_steps() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let store = open(&state, 1).unwrap();
    let mut opened = 0;
    for n in 0..6_u64 {
        run(async {
            store.intake(batch((n * 20..n * 20 + 20).map(|n| activity(n, 10)).collect(), "a")).await.unwrap();
            decide_all(&store, 4, |_| true).await;
            let rows = store.due(&due(5)).await.unwrap();
            let intents = rows.into_iter().map(|row| SendStep { delivery: row.delivery, leaf: b"intent".to_vec() }).collect();
            store.send(SendBatch { intents, spent: Vec::new() }).await.unwrap();
        });
        // As a crash leaves them: the database without a clean close, its write-ahead log, no lock held.
        let copy = dir.path().join(format!("copy{n}"));
        std::fs::create_dir(&copy).unwrap();
        for file in ["kith.db", "kith.db-wal", "lock"] {
            std::fs::copy(state.join(file), copy.join(file)).unwrap();
        }
        let before = run(store.totals()).unwrap();
        let after = open(&copy, 100 + u8::try_from(n).unwrap()).unwrap();
        let totals = run(after.totals()).unwrap();
        assert_eq!((totals.leaves, totals.conservation.clone()), (before.leaves, before.conservation));
        assert_eq!(totals.deliveries.get("crm: sending"), None);
        let unsettled = run(after.unsettled(&TargetId("crm".into()), None, 1_000)).unwrap();
        assert_eq!(u64::try_from(unsettled.len()).unwrap(), totals.deliveries["crm: unknown"]);
        assert!(unsettled.iter().all(|row| !row.delivery.payload.reveal().is_empty()), "its keys are durable");
        opened += 1;
    }
    assert_eq!(opened, 6);
}

#[test]
fn a_clean_close_leaves_one_file_that_reads_without_the_right_to_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 1).unwrap();
    run(store.intake(batch(vec![activity(0, 1)], "a"))).unwrap();
    drop(run(store.work(None, 10)).unwrap());
    drop(store);
    let mut files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, ["kith.db", "lock"]);
    for file in files {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(dir.path().join(&file)).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let shown = reader(dir.path()).unwrap().decision(&identity(0)).unwrap();
    assert!(shown.is_none());
}

#[test]
fn what_can_not_be_a_state_folder_is_told_with_a_code() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for state in [file.clone(), file.join("state")] {
        let error = open(&state, 1).unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
        assert_eq!(error.diagnostic().code.0, "KITH-S003");
    }
    let state = dir.path().join("state");
    std::fs::create_dir_all(state.join("kith.db")).unwrap();
    assert!(matches!(open(&state, 1).unwrap_err(), StoreError::ReadOnly(_)));
    assert!(open(&state, 1).is_err(), "and the lock is free again");
}

/// CPU time of the writer's thread so far.
fn writer_cpu() -> Duration {
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        if std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == "kith-store") {
            let stat = std::fs::read_to_string(path.join("stat")).unwrap();
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            // Fields 14 and 15 of proc(5), in ticks of 10 ms; the first after the name is field 3.
            return Duration::from_millis((fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10);
        }
    }
    Duration::ZERO
}

/// CPU time of the whole process so far.
fn process_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    Duration::from_millis((fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10)
}

fn peak_rss_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// The retail run's rows through the store alone; `cargo test --release --test it store::speed -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a promise"]
fn speed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 1).unwrap();
    let step = |what: &str, rows: usize, from: (std::time::Instant, Duration, Duration)| {
        let wall = from.0.elapsed();
        let rate = u128::try_from(rows).unwrap() * 1_000_000 / wall.as_micros().max(1);
        println!(
            "{what:<22} {rows:>7} rows {wall:>9.2?} {rate:>8} rows/s  CPU: writer {:?}, all {:?}  peak {} MB",
            writer_cpu().saturating_sub(from.1),
            process_cpu().saturating_sub(from.2),
            peak_rss_mb()
        );
    };
    #[expect(clippy::disallowed_methods, reason = "a measurement")]
    let now = || (std::time::Instant::now(), writer_cpu(), process_cpu());
    run(async {
        let start = now();
        let upserted = (0..100_000).map(|n| (CustomerId(format!("C-{n:06}").into()), [1; 16])).collect();
        let read = CustomersStep {
            source: "crm".into(),
            read_digest: sha("read"),
            upserted,
            retired: Vec::new(),
            decide_again: Vec::new(),
            leaves: Vec::new(),
        };
        store.customers(read).await.unwrap();
        step("customers", 100_000, start);
        let start = now();
        assert_eq!(store.known_customers("crm").await.unwrap().customers.len(), 100_000);
        step("known customers", 100_000, start);
        let all: Vec<_> = (0..42_000).map(|n| activity(n, 20_000)).collect();
        let start = now();
        for chunk in all.chunks(1_000) {
            store.intake(batch(chunk.to_vec(), "a")).await.unwrap();
        }
        step("intake", all.len(), start);
        let start = now();
        for chunk in all.chunks(1_000) {
            assert_eq!(store.intake(batch(chunk.to_vec(), "b")).await.unwrap().duplicates, 1_000);
        }
        step("intake of repeats", all.len(), start);
        drop(all);
        let start = now();
        let decided = decide_all(&store, 500, |n| n % 3 != 0).await;
        step("work and decide", decided, start);
        let start = now();
        let sent = deliver_all(&store, 1_000).await;
        step("due, send, receipt", sent, start);
        let start = now();
        let totals = store.totals().await.unwrap();
        assert!(totals.conservation.iter().all(|day| day.gap() == 0));
        step("totals", 1, start);
        let mut from = 0;
        let start = now();
        while let leaves = store.leaves(from, 4_096).await.unwrap()
            && !leaves.is_empty()
        {
            from += u64::try_from(leaves.len()).unwrap();
        }
        step("leaves", usize::try_from(from).unwrap(), start);
    });
    println!("writer in all {:?}", writer_cpu());
    drop(store);
    println!("database {} MB", std::fs::metadata(dir.path().join("kith.db")).unwrap().len() / 1_000_000);
}
