//! What each step promises.

use super::fixture::*;
use super::reader::{LinkFilter, ParkedContent};
use super::{Options, SqliteReader, SqliteStore, open as connections};
use crate::model::{Audience, CustomerId, DeliveryId, Digest, DropRule, LinkedBy, Outcome, ParkReason, TargetId, Verb, WriteIntent};
use crate::store::{
    CustomersStep, DecideStep, Disposition, IntakeOutcome, ReceiptBatch, SendBatch, SendOutcome, SendStep, Store, StoreError,
};
use std::ops::ControlFlow;
use std::path::Path;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn count(dir: &Path, sql: &str) -> i64 {
    connections::reader(&connections::database(dir)).unwrap().query_row(sql, (), |row| row.get(0)).unwrap()
}

fn counted(received: u64, duplicates: u64, parked: u64, dropped: u64) -> IntakeOutcome {
    IntakeOutcome { received, duplicates, parked, dropped, ..IntakeOutcome::default() }
}

#[test]
fn an_exact_repeat_is_counted_outside_the_sum_and_one_that_says_something_else_is_parked_once() {
    let dir = folder();
    let store = open(dir.path());
    let first = note("ada", "n1", 1);
    assert_eq!(take(&store, "a", &[first.clone(), first.clone()]), counted(1, 1, 0, 0));
    assert_eq!(take(&store, "b", &[first.clone().text("other"), first.clone()]), counted(1, 1, 1, 0));
    // The same line again after a crash, and the same contradiction from another file.
    assert_eq!(take(&store, "b", &[first.clone().text("other"), first.clone()]), counted(0, 2, 0, 0));
    assert_eq!(take(&store, "c", &[first.text("other")]), counted(0, 1, 0, 0));
    let totals = run(store.totals()).unwrap();
    assert_eq!(totals.conservation.len(), 1);
    assert_eq!((totals.conservation[0].received, totals.conservation[0].duplicates, totals.conservation[0].parked), (2, 5, 1));
    assert_eq!(totals.conservation[0].gap(), 0);
    assert_eq!(totals.parked.get("KITH-I050"), Some(&1));
    let reader = SqliteReader::open(dir.path(), master(), hashes()).unwrap();
    let parked = reader.parked_lines(None, 10).unwrap();
    assert_eq!((parked[0].file.as_str(), parked[0].line, parked[0].source.as_str()), ("b", 1, "inbox"));
    let Some(ParkedContent::Activity(activity)) = reader.parked_content(parked[0].id).unwrap() else { panic!() };
    assert_eq!(activity.object.content.reveal().as_deref(), Some("other"));
}

#[test]
fn a_malformed_line_is_parked_once_whatever_is_read_again() {
    let dir = folder();
    let store = open(dir.path());
    let mut lines = batch("a", &[note("ada", "n1", 1)]);
    lines.parked = vec![broken(2, "{\"nobody's\": secret")];
    assert_eq!(only_counts(run(store.intake(lines.clone())).unwrap()), counted(2, 0, 1, 0));
    assert_eq!(only_counts(run(store.intake(lines)).unwrap()), counted(0, 2, 0, 0));
    assert_eq!(run(store.cursor("inbox", "a")).unwrap().as_deref(), Some(b"1".as_slice()));
    assert_eq!(run(store.cursor("inbox", "b")).unwrap(), None);
    let reader = SqliteReader::open(dir.path(), master(), hashes()).unwrap();
    let parked = reader.parked_lines(None, 10).unwrap();
    let Some(ParkedContent::Line(line)) = reader.parked_content(parked[0].id).unwrap() else { panic!() };
    assert_eq!(line.reveal(), b"{\"nobody's\": secret");
    states(&store);
}

#[test]
fn an_older_version_that_arrives_late_is_superseded_and_a_delete_before_its_create_leaves_a_tombstone() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 5).verb(Verb::Update), note("ada", "n2", 9).verb(Verb::Delete)]);
    assert_eq!(take(&store, "b", &[note("ada", "n1", 1), note("ada", "n2", 3)]), counted(2, 0, 0, 2));
    assert_eq!(states(&store), [("dropped: superseded".to_owned(), 2), ("in_flight: waiting_decision".to_owned(), 2)]);
    let work = work(&store);
    let offered: Vec<_> = work[0].activities.iter().map(|a| (a.activity.object.id.to_string(), a.newest)).collect();
    assert_eq!(offered, [("n1".to_owned(), true), ("n2".to_owned(), true)]);
}

#[test]
fn at_the_same_moment_a_delete_beats_an_update_beats_a_create_and_then_the_activity_id_decides() {
    let dir = folder();
    let store = open(dir.path());
    let mut later_id = note("ada", "n3", 7);
    later_id.activity = "z".to_owned();
    let mut earlier_id = note("ada", "n3", 7);
    earlier_id.activity = "a".to_owned();
    let notes = [
        note("ada", "n1", 7).verb(Verb::Delete),
        note("ada", "n1", 7).verb(Verb::Update),
        note("ada", "n2", 7).verb(Verb::Update),
        note("ada", "n2", 7),
        later_id,
        earlier_id,
    ];
    assert_eq!(take(&store, "a", &notes), counted(6, 0, 0, 3));
    let newest: Vec<_> = work(&store)[0].activities.iter().map(|a| a.activity.id.to_string()).collect();
    assert_eq!(newest.len(), 3);
    assert!(newest.contains(&"n1/Delete/7".to_owned()) && newest.contains(&"n2/Update/7".to_owned()) && newest.contains(&"z".to_owned()));
}

#[test]
fn what_policy_drops_at_intake_keeps_neither_content_nor_account() {
    let dir = folder();
    let store = open(dir.path());
    let private = note("secret-account", "n1", 1).dropped(DropRule::PrivateMessage);
    assert_eq!(take(&store, "a", std::slice::from_ref(&private)), counted(1, 0, 0, 1));
    assert_eq!(take(&store, "b", std::slice::from_ref(&private)), counted(0, 1, 0, 0));
    assert_eq!(count(dir.path(), "SELECT count(*) FROM activity WHERE sealed IS NOT NULL OR version_id IS NOT NULL"), 0);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM identity WHERE account IS NOT NULL OR profile IS NOT NULL"), 0);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM person_key"), 0);
    assert!(work(&store).is_empty());
    assert_eq!(run(store.totals()).unwrap().decisions.values().sum::<u64>(), 0);
    // Its author becomes known by the first thing that may be used.
    take(&store, "c", &[note("secret-account", "n2", 2)]);
    assert_eq!(work(&store)[0].activities.len(), 1);
    // What contradicts a private message is parked without its content, too.
    assert_eq!(take(&store, "d", &[private.text("other")]), counted(1, 0, 1, 0));
    assert_eq!(count(dir.path(), "SELECT count(*) FROM parked_line WHERE sealed IS NOT NULL"), 0);
}

#[test]
fn an_object_keeps_its_author() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1)]);
    assert_eq!(take(&store, "b", &[note("mallory", "n1", 9).verb(Verb::Delete)]), counted(1, 0, 1, 0));
    assert_eq!(run(store.totals()).unwrap().parked.get("KITH-I051"), Some(&1));
    assert_eq!(work(&store).len(), 1);
    states(&store);
}

fn shown(store: &SqliteStore) -> Option<String> {
    let work = work(store);
    let profile = work.first()?.profile.as_ref()?;
    Some(format!("{} {}", profile.fields.reveal().first()?.1.as_text()?, profile.as_of.as_second() - at(0).as_second()))
}

#[test]
fn only_a_newer_profile_that_shows_something_else_is_a_change() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 10).shown("Ada")]);
    link_all(&store, "C-1", "1");
    assert!(work(&store).is_empty());
    take(&store, "b", &[note("ada", "n2", 20).shown("Ada")]);
    assert!(!work(&store)[0].needs_decision, "seen again, unchanged");
    assert_eq!(shown(&store).as_deref(), Some("Ada 10"));
    take(&store, "c", &[note("ada", "n3", 15).shown("Old name")]);
    assert!(!work(&store)[0].needs_decision, "older than when it was last seen");
    take(&store, "d", &[note("ada", "n4", 25).shown("")]);
    assert!(!work(&store)[0].needs_decision, "shows nothing");
    take(&store, "e", &[note("ada", "n5", 30).shown("Ada Lovelace")]);
    assert!(work(&store)[0].needs_decision);
    assert_eq!(shown(&store).as_deref(), Some("Ada Lovelace 30"));
    link_all(&store, "C-1", "2");
    let mut limited = note("ada", "n6", 40).shown("Limited");
    limited.audience = Audience::Limited;
    take(&store, "f", std::slice::from_ref(&limited));
    link_all(&store, "C-1", "3");
    let mut public = note("ada", "n7", 39).shown("Limited");
    public.audience = Audience::Public;
    take(&store, "g", &[public]);
    let work = work(&store);
    assert!(work[0].needs_decision, "the same, now shown to everyone");
    assert_eq!(work[0].profile.as_ref().unwrap().audience, Audience::Public);
}

#[test]
fn a_profile_that_arrived_while_it_was_decided_leaves_the_identity_with_work() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1)]);
    let taken = work(&store);
    take(&store, "b", &[note("ada", "n2", 2).shown("Ada Lovelace")]);
    let steps = |work: &[crate::store::IdentityWork]| {
        vec![step(&work[0], Some(decision(Outcome::NotLinked, "C-1", "1")), |_| Disposition::Drop(DropRule::NotLinked))]
    };
    run(store.decide(steps(&taken))).unwrap();
    let again = work(&store);
    assert!(again[0].needs_decision);
    assert_eq!(again[0].activities.len(), 2, "the waiting one, and the other so that the new decision reaches it");
    run(store.decide(steps(&again))).unwrap();
    assert!(work(&store).is_empty());
}

#[test]
fn a_linked_identity_is_delivered_and_its_states_follow_the_receipts() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1), note("ada", "n2", 2)]);
    link_all(&store, "C-1", "1");
    assert_eq!(states(&store), [("in_flight: delivering".to_owned(), 2)]);
    let rows = due(&store, 100);
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].customer, Some(CustomerId::from("C-1")));
    assert_eq!(rows[0].identity, identity("ada"));
    assert_eq!(rows[0].decision, sha("1/C-1/linked"));
    assert_eq!(rows[0].delivery.payload.reveal()[0].1.as_text(), Some("a very secret body"));
    let (object, version) = rows[0].version.clone().unwrap();
    assert_eq!((&*object, version), ("n1", note("ada", "n1", 1).received(1).activity.version()));
    assert_eq!(rows[0].delivery.attempt, 1);
    let sequences = send(&store, &rows);
    assert_eq!(sequences, [2, 3], "after the leaves of intake and decision");
    assert!(due(&store, 100).is_empty());
    receipt(&store, rows[0].delivery.id, delivered(rows[0].delivery.id)).unwrap();
    let reason = ParkReason { code: "KITH-X002", message: "refused".into() };
    receipt(&store, rows[1].delivery.id, SendOutcome::Parked(reason)).unwrap();
    assert_eq!(states(&store), [("delivered".to_owned(), 1), ("parked".to_owned(), 1)]);
    let totals = run(store.totals()).unwrap();
    assert_eq!(totals.deliveries.into_iter().collect::<Vec<_>>(), [("crm: delivered".to_owned(), 1), ("crm: parked".to_owned(), 1)]);
    assert_eq!(totals.parked.get("KITH-X002"), Some(&1));
    assert_eq!(totals.links.get("same-email"), Some(&1));
    assert_eq!(totals.leaves, 6);
    assert_eq!(run(store.leaves(2, 2)).unwrap().len(), 2);
    let second = receipt(&store, rows[0].delivery.id, delivered(rows[0].delivery.id)).unwrap_err();
    assert!(matches!(second, StoreError::Refused(_)), "one receipt a delivery: {second:?}");
    let reader = SqliteReader::open(dir.path(), master(), hashes()).unwrap();
    let parked = reader.parked_deliveries(None, 10).unwrap();
    assert_eq!((parked[0].code.as_str(), parked[0].attempts), ("KITH-X002", 1));
    assert_eq!(reader.delivery(parked[0].id).unwrap().unwrap().delivery.record, rows[1].delivery.record);
}

#[test]
fn planning_the_same_write_again_is_no_second_delivery() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1)]);
    let work = work(&store);
    for _ in 0..2 {
        let again = step(&work[0], Some(decision(Outcome::Linked, "C-1", "1")), |object| {
            Disposition::Deliver(vec![planned("crm", Some(object), object, "1", WriteIntent::Write)])
        });
        run(store.decide(vec![again])).unwrap();
    }
    assert_eq!(due(&store, 100).len(), 1);
    deliver_all(&store);
    let again = step(&work[0], None, |object| Disposition::Deliver(vec![planned("crm", Some(object), object, "1", WriteIntent::Write)]));
    run(store.decide(vec![again])).unwrap();
    assert!(due(&store, 100).is_empty());
    assert_eq!(states(&store), [("delivered".to_owned(), 1)]);
}

#[test]
fn what_was_being_sent_when_the_writer_ended_is_unknown() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1)]);
    link_all(&store, "C-1", "1");
    let rows = due(&store, 100);
    send(&store, &rows);
    drop(store);
    let store = open_seeded(dir.path(), 4).unwrap();
    let unsettled = run(store.unsettled(&TargetId("crm".into()), None, 10)).unwrap();
    assert_eq!(unsettled.len(), 1);
    assert_eq!(unsettled[0].delivery.payload, rows[0].delivery.payload);
    assert!(run(store.unsettled(&TargetId("crm".into()), Some(unsettled[0].delivery.id), 10)).unwrap().is_empty());
    // An idempotent write may be sent again as it is.
    assert_eq!(send(&store, &unsettled), [3]);
    receipt(&store, unsettled[0].delivery.id, delivered(unsettled[0].delivery.id)).unwrap();
    assert_eq!(states(&store), [("delivered".to_owned(), 1)]);
}

#[test]
fn undetermined_stays_work_and_ends_no_link() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1), note("bob", "n2", 1)]);
    let first = run(store.work(None, 1)).unwrap();
    run(store.decide(vec![step(&first[0], Some(decision(Outcome::Undetermined, "", "1")), |_| Disposition::WaitDecision)])).unwrap();
    let rest = run(store.work(Some(first[0].row), 10)).unwrap();
    assert_eq!(rest.iter().map(|w| w.id.id.to_string()).collect::<Vec<_>>(), ["bob"], "offered again in the next pass only");
    assert_eq!(work(&store).len(), 2);
    link_all(&store, "C-1", "1");
    let again = CustomersStep {
        source: "crm".into(),
        read_digest: sha("read"),
        upserted: Vec::new(),
        retired: Vec::new(),
        decide_again: vec![first[0].row],
        leaves: Vec::new(),
    };
    run(store.customers(again)).unwrap();
    let work = work(&store);
    assert_eq!((work.len(), work[0].needs_decision), (1, true));
    run(store.decide(vec![DecideStep {
        activities: Vec::new(),
        ..step(&work[0], Some(decision(Outcome::Undetermined, "", "2")), |_| Disposition::WaitDecision)
    }]))
    .unwrap();
    let totals = run(store.totals()).unwrap();
    assert_eq!((totals.decisions["linked"], totals.decisions["undetermined"]), (2, 0));
    assert_eq!(totals.links["same-email"], 2);
    assert_eq!(work_len(&store), 1);
}

fn work_len(store: &SqliteStore) -> usize {
    work(store).len()
}

#[test]
fn of_an_account_that_may_not_be_matched_only_its_hash_stays() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada-account", "n1", 1)]);
    let first = work(&store);
    let step_of = |work: &crate::store::IdentityWork, seed: &str| {
        step(work, Some(decision(Outcome::NotPermitted, "", seed)), |_| Disposition::Drop(DropRule::NotPermitted))
    };
    run(store.decide(vec![step_of(&first[0], "1")])).unwrap();
    let forgotten = "SELECT count(*) FROM identity WHERE account IS NULL AND profile IS NULL AND profile_hash IS NULL";
    assert_eq!(count(dir.path(), forgotten), 1);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM activity WHERE sealed IS NULL AND version_id IS NULL"), 1);
    assert_eq!(states(&store), [("dropped: not-permitted".to_owned(), 1)]);
    assert_eq!(run(store.totals()).unwrap().decisions["not_permitted"], 1);
    let reader = SqliteReader::open(dir.path(), master(), hashes()).unwrap();
    let mut rows = Vec::new();
    reader
        .links(&LinkFilter::default(), |row| {
            rows.push((row.account, row.outcome, row.customer));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(rows, [(None, Outcome::NotPermitted, None)]);
    // It speaks again: asked again, and forgotten again.
    assert_eq!(take(&store, "b", &[note("ada-account", "n1", 1)]), counted(0, 1, 0, 0));
    take(&store, "c", &[note("ada-account", "n2", 2)]);
    let again = work(&store);
    assert!(again[0].needs_decision);
    assert_eq!(again[0].activities.len(), 1, "nothing of what it said before is left");
    run(store.decide(vec![step_of(&again[0], "2")])).unwrap();
    assert_eq!(count(dir.path(), forgotten), 1);
}

#[test]
fn a_link_that_ends_is_withdrawn_for_the_customer_it_was_written_for() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1)]);
    link_all(&store, "C-1", "1");
    deliver_all(&store);
    take(&store, "b", &[note("ada", "n2", 5).shown("Somebody else")]);
    let work = work(&store);
    assert_eq!(work[0].current.as_ref().unwrap().by, Some(LinkedBy::Rule("same-email".into())));
    assert_eq!(work[0].written.len(), 1);
    assert_eq!(work[0].written[0].object.as_deref(), Some("n1"));
    let mut unlink = step(&work[0], Some(decision(Outcome::NotLinked, "C-2", "2")), |object| match object {
        "n1" => Disposition::Deliver(vec![planned("crm", Some(object), object, "2", WriteIntent::Remove)]),
        _ => Disposition::Drop(DropRule::NotLinked),
    });
    unlink.leaves = vec![entry(store.ring(), &work[0].id, &evidence(&["C-2"]))];
    run(store.decide(vec![unlink])).unwrap();
    assert_eq!(count(dir.path(), "SELECT count(*) FROM link WHERE ended IS NULL"), 0);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM link"), 1);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM written"), 0);
    let rows = due(&store, 100);
    assert_eq!((rows[0].delivery.intent, rows[0].customer.clone()), (WriteIntent::Remove, Some(CustomerId::from("C-1"))));
    deliver_all(&store);
    assert_eq!(states(&store), [("delivered".to_owned(), 1), ("dropped: not-linked".to_owned(), 1)]);
    let shown = SqliteReader::open(dir.path(), master(), hashes()).unwrap().decision(&identity("ada")).unwrap().unwrap();
    assert_eq!(shown.decision.outcome, Outcome::NotLinked);
    assert_eq!(shown.earlier.iter().map(|d| d.outcome).collect::<Vec<_>>(), [Outcome::Linked]);
}

#[test]
fn evidence_is_read_back_to_the_bit_and_a_destroyed_key_takes_only_its_own_values() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1)]);
    link_all(&store, "C-1", "1");
    let shown = SqliteReader::open(dir.path(), master(), hashes()).unwrap().decision(&identity("ada")).unwrap().unwrap();
    let read = shown.evidence.unwrap();
    assert_eq!(format!("{read:?}"), format!("{:?}", evidence(&["C-1", "C-other"])));
    assert_eq!(read, evidence(&["C-1", "C-other"]));
    assert_eq!(read.candidates[0].comparisons[0].term_frequency_bits.to_bits(), (-0.0_f64).to_bits());
    assert_eq!(read.candidates[0].values, evidence(&["C-1"]).candidates[0].values);
    drop(store);
    let conn = rusqlite::Connection::open(connections::database(dir.path())).unwrap();
    let gone = hashes().customer(&CustomerId::from("C-1"));
    assert_eq!(conn.execute("DELETE FROM person_key WHERE person = ?1", [gone.0.as_slice()]).unwrap(), 1);
    let reader = SqliteReader::open(dir.path(), master(), hashes()).unwrap();
    let read = reader.decision(&identity("ada")).unwrap().unwrap().evidence.unwrap();
    assert!(read.candidates[0].values.reveal().is_empty());
    assert_eq!(read.candidates[1].values, evidence(&["C-other"]).candidates[0].values);
    let gone = hashes().identity(&identity("ada"));
    conn.execute("DELETE FROM person_key WHERE person = ?1", [gone.0.as_slice()]).unwrap();
    let reader = SqliteReader::open(dir.path(), master(), hashes()).unwrap();
    let shown = reader.decision(&identity("ada")).unwrap().unwrap();
    assert_eq!((shown.evidence, shown.profile), (None, None));
    assert_eq!(shown.decision.customer, Some(CustomerId::from("C-1")));
}

#[test]
fn a_wrong_master_key_is_told_and_not_taken_for_a_destroyed_one() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1)]);
    drop(store);
    let other = crate::audit::MasterKey::new([9; 32]);
    let store = SqliteStore::create_or_open(dir.path(), other, hashes(), options()).unwrap();
    assert!(matches!(run(store.work(None, 10)), Err(StoreError::Damaged(_))));
}

#[test]
fn what_people_say_and_show_stands_nowhere_in_clear() {
    let dir = folder();
    let store = open(dir.path());
    let mut lines = batch("a", &[note("ada", "n1", 1).text("marker-content").shown("marker-profile")]);
    lines.parked = vec![broken(2, "marker-line")];
    run(store.intake(lines)).unwrap();
    link_all(&store, "C-1", "1");
    drop(store);
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for marker in ["marker-content", "marker-profile", "marker-line", "very secret body", "crm name of", "ada byron"] {
            assert!(!bytes.windows(marker.len()).any(|w| w == marker.as_bytes()), "{marker}");
        }
    }
}

#[test]
fn a_step_that_fails_in_a_group_takes_nothing_with_it_and_leaves_no_gap_in_the_sequence() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1)]);
    link_all(&store, "C-1", "1");
    let row = due(&store, 100).remove(0);
    let bad = SendStep { delivery: crate::model::Delivery { id: DeliveryId(999), ..row.delivery.clone() }, leaf: b"x".to_vec() };
    let good = SendStep { delivery: row.delivery.clone(), leaf: b"intent".to_vec() };
    let outcome = run(async {
        // Polled together, the writer finds them waiting together.
        let refused = store.send(SendBatch { intents: vec![good.clone(), bad], spent: Vec::new() });
        let appended = store.append(vec![b"one".to_vec(), b"two".to_vec()]);
        let set = store.set(vec![("mapping".to_owned(), "x".to_owned())], vec![b"three".to_vec()]);
        tokio::join!(refused, appended, set)
    });
    assert!(matches!(outcome.0, Err(StoreError::Refused(_))));
    outcome.1.unwrap();
    outcome.2.unwrap();
    let leaves = run(store.leaves(0, 100)).unwrap();
    assert_eq!(leaves.len(), 5);
    let mut tail: Vec<_> = leaves[2..].to_vec();
    tail.sort();
    assert_eq!(tail, [b"one".to_vec(), b"three".to_vec(), b"two".to_vec()]);
    assert_eq!(count(dir.path(), "SELECT max(seq) FROM leaf"), 4);
    assert_eq!(send(&store, &[row]), [5], "nothing of the refused step happened");
    assert_eq!(run(store.setting("mapping")).unwrap().as_deref(), Some("x"));
    let huge = run(store.append(vec![vec![b'x'; 65_536]])).unwrap_err();
    assert!(matches!(huge, StoreError::Refused(_)));
}

#[test]
fn a_complete_read_updates_adds_and_retires() {
    let dir = folder();
    let store = open(dir.path());
    let read = |upserted: &[(&str, u8)], retired: &[&str], digest: &str| CustomersStep {
        source: "crm".into(),
        read_digest: sha(digest),
        upserted: upserted.iter().map(|(id, d)| (CustomerId::from(*id), [*d; 16])).collect(),
        retired: retired.iter().map(|id| CustomerId::from(*id)).collect(),
        decide_again: Vec::new(),
        leaves: vec![b"read".to_vec()],
    };
    assert_eq!(run(store.known_customers("crm")).unwrap().read_digest, None);
    run(store.customers(read(&[("C-2", 1), ("C-1", 1)], &[], "first"))).unwrap();
    run(store.customers(read(&[("C-1", 2)], &["C-2"], "second"))).unwrap();
    let known = run(store.known_customers("crm")).unwrap();
    assert_eq!(known.read_digest, Some(sha("second")));
    let rows: Vec<_> = known.customers.iter().map(|(id, k)| (id.as_str().to_owned(), k.digest[0], k.retired)).collect();
    assert_eq!(rows, [("C-1".to_owned(), 2, false), ("C-2".to_owned(), 1, true)]);
    let customers = run(store.totals()).unwrap().customers;
    assert_eq!(customers.into_iter().collect::<Vec<_>>(), [("in_force".to_owned(), 1), ("retired".to_owned(), 1)]);
    run(store.customers(read(&[("C-2", 3)], &[], "third"))).unwrap();
    assert!(!run(store.known_customers("crm")).unwrap().customers[&CustomerId::from("C-2")].retired, "back again");
}

#[test]
fn profiles_name_the_candidates_of_the_decision_in_force() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1), note("bob", "n2", 1)]);
    let first = work(&store);
    run(store.decide(vec![step(&first[0], Some(decision(Outcome::Linked, "C-1", "1")), |_| Disposition::Drop(DropRule::WhenFalse))]))
        .unwrap();
    let profiles = run(store.profiles(None, 1)).unwrap();
    assert_eq!(profiles[0].candidates, [CustomerId::from("C-1"), CustomerId::from("C-other")]);
    let rest = run(store.profiles(Some(profiles[0].row), 10)).unwrap();
    assert_eq!((rest.len(), rest[0].candidates.len()), (1, 0));
    assert_eq!(rest[0].profile.fields.reveal()[0].1.as_text(), Some("Ada"));
}

#[test]
fn identities_are_listed_by_network_and_id_with_the_best_candidate_whatever_the_decision() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("zoe", "n1", 1), note("ada", "n2", 1), note("mia", "n3", 1)]);
    let work = work(&store);
    run(store.decide(vec![
        step(&work[0], Some(decision(Outcome::Review, "C-1", "1")), |_| Disposition::WaitReview),
        step(&work[1], Some(decision(Outcome::NotLinked, "C-2", "1")), |_| Disposition::Drop(DropRule::NotLinked)),
    ]))
    .unwrap();
    let reader = SqliteReader::open(dir.path(), master(), hashes()).unwrap();
    let list = |filter: &LinkFilter| {
        let mut rows = Vec::new();
        reader
            .links(filter, |row| {
                rows.push(format!(
                    "{} {} {} {} {}",
                    row.network,
                    row.account.unwrap_or_default(),
                    row.outcome.name(),
                    row.customer.map_or("-".to_owned(), |c| c.as_str().to_owned()),
                    row.probability
                ));
                ControlFlow::Continue(())
            })
            .unwrap();
        rows
    };
    assert_eq!(list(&LinkFilter::default()), ["x ada not_linked C-2 0.999", "x mia undetermined - 0", "x zoe review C-1 0.999"]);
    assert_eq!(list(&LinkFilter { outcome: Some(Outcome::Undetermined), ..LinkFilter::default() }).len(), 1);
    assert_eq!(list(&LinkFilter { customer: Some(CustomerId::from("C-1")), ..LinkFilter::default() }).len(), 1);
    assert_eq!(list(&LinkFilter { network: Some(crate::model::Network::GitHub), ..LinkFilter::default() }).len(), 0);
    assert_eq!(
        states(&store),
        [("dropped: not-linked".to_owned(), 1), ("in_flight: waiting_decision".to_owned(), 1), ("in_flight: waiting_review".to_owned(), 1)]
    );
    // One that waits for a person is no work until something changes.
    assert_eq!(work_len(&store), 1);
}

#[test]
fn the_work_list_after_a_change_of_rules_counts_who_was_decided_before_it() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1), note("bob", "n2", 1)]);
    let work = work(&store);
    let mut newer = decision(Outcome::Review, "C-1", "1");
    newer.mapping = sha("newer mapping");
    run(store.decide(vec![
        step(&work[0], Some(decision(Outcome::Review, "C-1", "1")), |_| Disposition::WaitReview),
        step(&work[1], Some(newer), |_| Disposition::WaitReview),
    ]))
    .unwrap();
    assert_eq!(run(store.totals()).unwrap().decided_under_older_mapping, 1);
}

#[test]
fn large_parts_of_entries_are_kept_by_their_digest() {
    let dir = folder();
    let store = open(dir.path());
    let part = (Digest([7; 32]), b"a large diff".to_vec());
    run(store.keep_parts(vec![part.clone(), part.clone()])).unwrap();
    assert_eq!(run(store.part(part.0)).unwrap(), Some(part.1));
    assert_eq!(run(store.part(Digest([8; 32]))).unwrap(), None);
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_half_written() {
    let dir = folder();
    let small = Options { seed: [3; 32], max_pages: Some(80) };
    let store = SqliteStore::create_or_open(dir.path(), master(), hashes(), small).unwrap();
    take(&store, "a", &[note("ada", "n1", 1)]);
    let many: Vec<_> = (0..2_000).map(|n| note("bob", &format!("m{n}"), 5)).collect();
    let outcome = run(async { tokio::join!(store.intake(batch("b", &many)), store.intake(batch("c", &many))) });
    assert!(matches!(outcome.0, Err(StoreError::Full(_))), "{:?}", outcome.0);
    assert!(matches!(outcome.1, Err(StoreError::Full(_))), "{:?}", outcome.1);
    assert_eq!(states(&store), [("in_flight: waiting_decision".to_owned(), 1)]);
    assert_eq!(run(store.cursor("inbox", "b")).unwrap(), None);
    assert_eq!(run(store.totals()).unwrap().leaves, 1);
    drop(store);
    // With room again, the same input goes in, and the keys minted for it are durable.
    let store = open_seeded(dir.path(), 4).unwrap();
    assert_eq!(only_counts(run(store.intake(batch("b", &many))).unwrap()), counted(2_000, 0, 0, 0));
    drop(store);
    let store = open_seeded(dir.path(), 5).unwrap();
    assert_eq!(work(&store).len(), 2);
    assert_eq!(run(store.totals()).unwrap().leaves, 2);
    assert_eq!(count(dir.path(), "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
}

#[test]
fn a_newer_state_another_database_and_garbage_are_refused_untouched() {
    let dir = folder();
    drop(open(dir.path()));
    let path = connections::database(dir.path());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert_eq!(open_seeded(dir.path(), 3).unwrap_err(), StoreError::Newer { found: 99, known: super::open::SCHEMA });
    assert!(matches!(SqliteReader::open(dir.path(), master(), hashes()), Err(StoreError::Newer { .. })));
    assert!(matches!(SqliteStore::in_memory_copy(dir.path(), master(), hashes(), options()), Err(StoreError::Newer { .. })));
    let dir = folder();
    let path = connections::database(dir.path());
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(open_seeded(dir.path(), 3), Err(StoreError::Damaged(_))));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let dir = folder();
    std::fs::write(connections::database(dir.path()), "this is no database, but it is long enough to be taken for one".repeat(40)).unwrap();
    assert!(matches!(open_seeded(dir.path(), 3), Err(StoreError::Damaged(_))));
}

#[test]
fn a_damaged_page_is_told_as_damage() {
    let dir = folder();
    let store = open(dir.path());
    let many: Vec<_> = (0..500).map(|n| note("bob", &format!("m{n}"), 5)).collect();
    take(&store, "a", &many);
    drop(store);
    let path = connections::database(dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let len = bytes.len();
    bytes[8_192..len - 4_096].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let error = open_seeded(dir.path(), 4).and_then(|store| run(store.totals())).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
}

#[test]
fn a_copy_in_memory_is_written_without_the_folder() {
    let dir = folder();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1)]);
    let copy = SqliteStore::in_memory_copy(dir.path(), master(), hashes(), Options { seed: [8; 32], max_pages: None }).unwrap();
    take(&copy, "b", &[note("bob", "n2", 1)]);
    link_all(&copy, "C-1", "1");
    deliver_all(&copy);
    assert_eq!(states(&copy), [("delivered".to_owned(), 2)]);
    assert_eq!(states(&store), [("in_flight: waiting_decision".to_owned(), 1)]);
    let empty = folder();
    let nowhere = empty.path().join("state");
    let copy = SqliteStore::in_memory_copy(&nowhere, master(), hashes(), options()).unwrap();
    take(&copy, "a", &[note("ada", "n1", 1)]);
    assert_eq!(work(&copy).len(), 1);
    assert!(!nowhere.exists());
}

#[test]
fn a_fault_of_the_writer_is_told_to_everyone_and_nobody_waits_for_ever() {
    let dir = folder();
    let store = open(dir.path());
    let dead = run(store.inner.writer.run(|_tx| -> Result<(), StoreError> { panic!("a fault") }));
    assert_eq!(dead, Err(StoreError::Stopped));
    assert_eq!(run(store.append(vec![b"x".to_vec()])), Err(StoreError::Stopped));
    assert_eq!(
        run(store.receipt(ReceiptBatch { at: at(0), outcomes: Vec::new(), endpoint: None, spent: Vec::new() })),
        Err(StoreError::Stopped)
    );
}
