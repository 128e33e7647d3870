//! What leaves in which order, and how much of it at once.

use super::fixture::*;
use crate::model::{Outcome, ParkReason, Priority, TargetId, Verb, WriteIntent};
use crate::store::{Disposition, Due, OutboxRow, PlannedDelivery, SendOutcome, Store};

#[test]
fn deliveries_about_one_record_leave_in_order_and_others_are_not_held_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1), note("ada", "n2", 1)]);
    link_all(&store, "C-1", "1");
    take(&store, "b", &[note("ada", "n1", 2).verb(Verb::Update)]);
    link_all(&store, "C-1", "2");
    let objects = |second| -> Vec<(String, i64)> {
        due(&store, second)
            .into_iter()
            .map(|r| r.version.map(|(o, v)| (o.to_string(), v.at.as_second() - at(0).as_second())).unwrap())
            .collect()
    };
    assert_eq!(objects(100), [("n1".to_owned(), 1), ("n2".to_owned(), 1)]);
    let first = due(&store, 100);
    send(&store, &first);
    assert!(objects(100).is_empty(), "the earlier one is being sent");
    receipt(&store, first[0].delivery.id, SendOutcome::Retry { not_before: Some(at(200)), counts: true, reason: "busy".into() }).unwrap();
    assert!(objects(199).is_empty(), "the earlier one waits");
    assert_eq!(objects(200), [("n1".to_owned(), 1)]);
    let again = due(&store, 200);
    assert_eq!(again[0].delivery.attempt, 2);
    send(&store, &again);
    receipt(&store, first[0].delivery.id, SendOutcome::Unknown { reason: "no answer".into() }).unwrap();
    assert!(objects(300).is_empty(), "nobody knows whether the earlier one arrived");
    assert_eq!(run(store.unsettled(&TargetId("crm".into()), None, 10)).unwrap().len(), 1);
    receipt(&store, first[0].delivery.id, SendOutcome::NotThere).unwrap();
    assert_eq!(objects(300), [("n1".to_owned(), 1)]);
    send(&store, &due(&store, 300));
    let gone = ParkReason { code: "KITH-X003", message: "refused".into() };
    receipt(&store, first[0].delivery.id, SendOutcome::Parked(gone)).unwrap();
    assert_eq!(objects(300), [("n1".to_owned(), 2)], "a dead letter holds nothing back");
    assert!(run(store.due(&due_to("other", 300))).unwrap().is_empty());
}

#[test]
fn an_edit_waits_for_what_came_before_it_even_where_it_writes_another_record() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1), note("ada", "n2", 1)]);
    let to = |seed: &'static str| {
        let works = run(store.work(None, 100)).unwrap();
        let steps = works
            .iter()
            .map(|work| {
                step(work, Some(decision(Outcome::Linked, "C-1", seed)), |object| {
                    // The record's key follows what the edit says: another record each time.
                    Disposition::Deliver(vec![planned("crm", Some(object), &format!("{object} {seed}"), seed, WriteIntent::Write)])
                })
            })
            .collect();
        run(store.decide(steps)).unwrap();
    };
    to("1");
    take(&store, "b", &[note("ada", "n1", 2).verb(Verb::Update)]);
    to("2");
    let objects = || due(&store, 100).into_iter().filter_map(|row| row.version).map(|(object, _)| object.to_string()).collect::<Vec<_>>();
    assert_eq!(objects(), ["n1", "n2"], "the edit of n1 waits, n2 does not");
    let first = due(&store, 100);
    send(&store, &first[..1]);
    assert_eq!(objects(), ["n2"], "while the first is under way");
    receipt(&store, first[0].delivery.id, delivered(first[0].delivery.id)).unwrap();
    assert_eq!(objects(), ["n2", "n1"]);
}

#[test]
fn an_urgent_delivery_makes_what_it_waits_for_urgent() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n1", 1), note("ada", "n2", 1)]);
    link_all(&store, "C-1", "1");
    take(&store, "b", &[note("ada", "n2", 2).verb(Verb::Update)]);
    let works = run(store.work(None, 100)).unwrap();
    let urgent =
        |object: &str| PlannedDelivery { priority: Priority::Urgent, ..planned("crm", Some(object), object, "2", WriteIntent::Write) };
    let steps =
        works.iter().map(|w| step(w, Some(decision(Outcome::Linked, "C-1", "2")), |o| Disposition::Deliver(vec![urgent(o)]))).collect();
    run(store.decide(steps)).unwrap();
    let of = |priority| run(store.due(&Due { priority, ..due_to("crm", 100) })).unwrap();
    let names = |rows: Vec<OutboxRow>| {
        rows.into_iter().filter_map(|row| row.version).map(|(o, v)| format!("{o} {}", v.verb.name())).collect::<Vec<_>>()
    };
    assert_eq!(names(of(Priority::Urgent)), ["n2 Create"], "the edit itself waits for its create");
    assert_eq!(names(of(Priority::Normal)), ["n1 Create"]);
}

#[test]
fn a_page_of_work_is_bounded_by_what_was_said_and_not_only_by_who_said_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for who in ["a", "b", "c", "d", "e", "f", "g"] {
        let notes: Vec<Note> = (0..1_000).map(|n| note(who, &format!("{who}{n}"), 1)).collect();
        take(&store, who, &notes);
    }
    let first = run(store.work(None, 100)).unwrap();
    assert_eq!(first.iter().map(|work| work.activities.len()).collect::<Vec<_>>(), [1_000; 5]);
    let rest = run(store.work(Some(first[4].row), 100)).unwrap();
    assert_eq!(rest.len(), 2);
}
