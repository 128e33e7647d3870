//! Dead letters where the store alone can show it: what travelled, what may have arrived, and what stands written after a drop.

use super::fixture::*;
use super::{SqliteReader, SqliteStore};
use crate::model::{DeliveryId, IdempotencyKey, Outcome, ParkReason, Personal, Value, Verb, WriteIntent};
use crate::store::{
    Disposition, DropStep, EditedDelivery, FailedAttempt, LetterFilter, LetterId, LetterOutcome, LetterRefusal, OutboxRow, ReceiptBatch,
    ReceiptStep, ReplayStep, SendOutcome, Store,
};
use std::path::Path;

fn park(store: &SqliteStore, row: &OutboxRow, class: &'static str) {
    send(store, std::slice::from_ref(row));
    let message: std::sync::Arc<str> = "no".into();
    let failed = FailedAttempt {
        number: row.delivery.attempt,
        identity: row.identity.clone(),
        idempotency: row.delivery.idempotency,
        class,
        code: "KITH-X001",
        message: message.clone(),
        exchange: Some((Personal::new("POST /x ‹secret›".into()), Personal::new("500 sorry".into()))),
    };
    let outcome = SendOutcome::Parked(ParkReason { code: "KITH-X001", message });
    let step = ReceiptStep { delivery: row.delivery.id, outcome, leaf: b"parked".to_vec(), failed: Some(failed) };
    run(store.receipt(ReceiptBatch { at: at(60), outcomes: vec![step], endpoint: None, spent: Vec::new() })).unwrap();
}

fn replay(store: &SqliteStore, id: DeliveryId, edited: Option<EditedDelivery>) -> LetterOutcome {
    let step = ReplayStep::Delivery { id, edited, leaf: b"replayed".to_vec() };
    run(store.replay(at(70), vec![step])).unwrap().pop().unwrap()
}

fn give_up(store: &SqliteStore, id: DeliveryId) {
    let step = DropStep { id: LetterId::Delivery(id), leaf: b"dropped".to_vec() };
    assert_eq!(run(store.drop_letters(at(70), vec![step])).unwrap(), [LetterOutcome::Done]);
}

/// What the store offers the deciders as standing written, after everybody must be decided again.
fn standing(store: &SqliteStore) -> Vec<String> {
    let again = crate::store::CustomersStep {
        source: "crm".into(),
        read_digest: sha("again"),
        upserted: Vec::new(),
        retired: Vec::new(),
        decide_again: run(store.profiles(None, 100)).unwrap().iter().map(|p| p.row).collect(),
        leaves: Vec::new(),
    };
    run(store.customers(again)).unwrap();
    work(store).iter().flat_map(|work| &work.written).map(|written| written.record.0.to_string()).collect()
}

fn linked(dir: &Path) -> (SqliteStore, OutboxRow) {
    let store = open(dir);
    take(&store, "a", &[note("ada", "n0", 1)]);
    link_all(&store, "C-1", "first");
    let row = due(&store, 100).pop().unwrap();
    (store, row)
}

#[test]
fn a_letter_shows_what_travelled_and_an_edit_takes_it_away_with_the_old_key() {
    let dir = tempfile::tempdir().unwrap();
    let (store, row) = linked(dir.path());
    park(&store, &row, "failed");
    let id = row.delivery.id;
    let reader = SqliteReader::open(dir.path(), master(), hashes()).unwrap();
    let letter = reader.letters(&[LetterId::Delivery(id), LetterId::Delivery(DeliveryId(99))]).unwrap().pop().unwrap();
    let (request, answer) = letter.exchange.unwrap();
    assert_eq!((request.reveal().as_str(), answer.reveal().as_str()), ("POST /x ‹secret›", "500 sorry"));
    assert_eq!((letter.attempts.len(), letter.may_have_arrived, letter.activity.as_deref()), (1, false, Some("parked")));
    let filter = |code: &str| LetterFilter { code: Some(code.into()), since: Some(at(60)), until: Some(at(61)), ..LetterFilter::default() };
    assert_eq!(reader.dead_letters(&filter("KITH-X001"), None, 10).unwrap().len(), 1);
    assert_eq!(reader.dead_letters(&filter("KITH-X001"), Some(LetterId::Delivery(id)), 10).unwrap(), []);
    assert_eq!(reader.dead_letters(&filter("KITH-X002"), None, 10).unwrap(), []);

    let payload = Personal::new(vec![("Body".into(), Value::text("mended"))]);
    let edit = |before| EditedDelivery { before, idempotency: IdempotencyKey(sha("edited")), payload: payload.clone() };
    let stale = edit(IdempotencyKey(sha("another")));
    assert_eq!(replay(&store, id, Some(stale)), LetterOutcome::Refused(LetterRefusal::Changed));
    assert_eq!(replay(&store, id, Some(edit(row.delivery.idempotency))), LetterOutcome::Done);
    let letter = reader.letters(&[LetterId::Delivery(id)]).unwrap().pop().unwrap();
    assert!(letter.exchange.is_none() && letter.attempts.len() == 1);
    let again = due(&store, 100).pop().unwrap();
    assert_eq!((again.delivery.payload, again.delivery.attempt, again.failures), (payload, 2, 0));
}

#[test]
fn what_may_have_arrived_stands_although_it_was_dropped_and_what_did_not_does_not() {
    for (class, stands) in [("outcome_unknown", vec!["n0".to_owned()]), ("refused", Vec::new())] {
        let dir = tempfile::tempdir().unwrap();
        let (store, row) = linked(dir.path());
        park(&store, &row, class);
        let letter = run(store.letters(vec![LetterId::Delivery(row.delivery.id)])).unwrap().pop().unwrap();
        assert_eq!(letter.may_have_arrived, class == "outcome_unknown");
        give_up(&store, row.delivery.id);
        assert_eq!(standing(&store), stands, "{class}");
    }
}

#[test]
fn a_withdrawal_that_was_dropped_leaves_its_record_standing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = linked(dir.path());
    deliver_all(&store);
    take(&store, "b", &[note("ada", "n0", 2).verb(Verb::Delete)]);
    let waiting = work(&store);
    let steps = waiting.iter().map(|w| {
        step(w, w.needs_decision.then(|| decision(Outcome::Linked, "C-1", "second")), |object| {
            Disposition::Deliver(vec![planned("crm", Some(object), object, "gone", WriteIntent::Remove)])
        })
    });
    run(store.decide(steps.collect())).unwrap();
    let row = due(&store, 100).pop().unwrap();
    assert_eq!(row.delivery.intent, WriteIntent::Remove);
    park(&store, &row, "refused");
    give_up(&store, row.delivery.id);
    assert_eq!(standing(&store), ["n0"], "it is still there, and whoever ends the link must know");
}

#[test]
fn two_accounts_of_one_customer_that_share_a_record_do_not_write_over_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    take(&store, "a", &[note("ada", "n0", 1), note("bob", "n1", 1)]);
    let shared = |seed: &str| Disposition::Deliver(vec![planned("crm", None, "customer C-1", seed, WriteIntent::Write)]);
    let waiting = work(&store);
    let steps = waiting.iter().map(|w| step(w, Some(decision(Outcome::Linked, "C-1", "one")), |object| shared(object)));
    run(store.decide(steps.collect())).unwrap();
    let older = due(&store, 100).remove(0);
    park(&store, &older, "refused");
    deliver_all(&store);
    let outcome = replay(&store, older.delivery.id, None);
    assert!(matches!(outcome, LetterOutcome::Refused(LetterRefusal::Overtaken(newer, _)) if newer > older.delivery.id), "{outcome:?}");
}
