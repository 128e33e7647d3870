//! Promise: a newer edit in the CRM is never overwritten unseen, whenever it happens: before a delivery, between its read and its write, or beside
//! sixteen writers; and a connection that is cut writes nothing twice and loses nothing.

use crate::on_every_server;
use crate::support::contract::{OPERATIONS, Server, answers, delivery, interaction, removal, shown, write};
use crate::support::tds_cutter::TdsCutter;
use kith::declare::config::{ServerAddress, ServerAt};
use kith::deliver::{DeliveryError, Settled, SqlServerTarget, Target};
use kith::model::{Delivery, Expects, Personal, Value, WriteEffect, WriteIntent};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

on_every_server! {
    an_edit_before_a_delivery_goes_by_the_word
    an_edit_is_noticed_by_named_fields
    a_row_that_the_crm_deleted_is_not_made_again
    an_edit_between_read_and_write_survives
    writers_that_race_lose_nothing
    a_cut_connection_writes_nothing_twice
    of_a_write_that_expects_and_an_edit_beside_it_exactly_one_wins
}

fn text(text: &str) -> Value {
    Value::text(text)
}

/// The usual operations, compared.
fn compared(server: &Server, how: &str) -> SqlServerTarget {
    server.target(&OPERATIONS.replacen("record_key: [Network, ActivityID]", &format!("record_key: [Network, ActivityID]\n    {how}"), 1))
}

async fn tables_with_version(server: &Server) {
    server.tables_with(", Version rowversion").await;
}

async fn an_edit_before_a_delivery_goes_by_the_word(server: &Server) {
    tables_with_version(server).await;
    let topic = |id: &str, topic: &str, body: &str| interaction(id, &[("Topic", text(topic)), ("Body", text(body))]);
    for (word, expected) in [
        ("theirs", "updated Body: one → two kept Topic"),
        ("ours", "updated Body: one → two Topic: praise → question"),
        ("park", "refused KITH-D050: changed in the CRM and here since Kith wrote it: Topic"),
    ] {
        let target = compared(server, &format!("compare: row_version\n    on_conflict: {word}"));
        let id = format!("edit-{word}");
        assert!(answers(&target, &[topic(&id, "complaint", "one")]).await[0].starts_with("inserted"));
        server.sql(&format!("UPDATE dbo.{{Interaction}} SET Topic = 'praise' WHERE ActivityID = N'{id}'")).await;
        assert_eq!(answers(&target, &[topic(&id, "question", "two")]).await, [expected], "{word}");
    }
    // What is kept stays kept when the same words come again, and when only the CRM has changed it.
    let target = compared(server, "compare: row_version");
    assert_eq!(answers(&target, &[topic("edit-theirs", "question", "three")]).await, ["updated Body: two → three kept Topic"]);
    assert_eq!(
        server.rows("SELECT Topic, Body FROM dbo.{Interaction} WHERE ActivityID = N'edit-theirs'").await,
        [[text("praise"), text("three")]]
    );
    // Newest by time.
    let newest = compared(server, "compare: row_version\n    on_conflict: newest\n    edited_at: ModifiedOn\n    said_at: PostedAt");
    let said = |at: &str, topic: &str| interaction("newest", &[("Topic", text(topic)), ("PostedAt", Value::Time(at.parse().unwrap()))]);
    answers(&newest, &[said("2026-01-01T00:00:00Z", "a")]).await;
    server.sql("UPDATE dbo.{Interaction} SET Topic = 'crm', ModifiedOn = '2026-02-01T00:00:00' WHERE ActivityID = N'newest'").await;
    let older = answers(&newest, &[said("2026-01-15T00:00:00Z", "b")]).await;
    assert!(older[0].ends_with("kept Topic"), "{older:?}");
    let newer = answers(&newest, &[said("2026-03-01T00:00:00Z", "c")]).await;
    assert!(newer[0].contains("Topic: crm → c"), "{newer:?}");
    // A withdrawal is no matter of taste.
    assert!(answers(&newest, &[removal("newest")]).await[0].starts_with("removed"));
}

async fn an_edit_is_noticed_by_named_fields(server: &Server) {
    server.tables().await;
    let target = compared(server, "compare: [Topic, Priority]");
    let say = |topic: &str, body: &str, priority: i64| {
        interaction("f", &[("Topic", text(topic)), ("Body", text(body)), ("Priority", Value::Integer(priority))])
    };
    answers(&target, &[say("a", "one", 1)]).await;
    server.sql("UPDATE dbo.{Interaction} SET Priority = 9, Body = N'theirs'").await;
    assert_eq!(
        answers(&target, &[say("b", "two", 2)]).await,
        ["updated Body: theirs → two Topic: a → b kept Priority"],
        "Body is not compared"
    );
}

async fn a_row_that_the_crm_deleted_is_not_made_again(server: &Server) {
    tables_with_version(server).await;
    let target = compared(server, "compare: row_version");
    answers(&target, &[interaction("d", &[("Body", text("1"))])]).await;
    server.sql("DELETE FROM dbo.{Interaction}").await;
    assert_eq!(answers(&target, &[interaction("d", &[("Body", text("2"))])]).await, ["unchanged"]);
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Interaction}").await, 0);
    let ours = compared(server, "compare: row_version\n    on_conflict: ours");
    assert!(answers(&ours, &[interaction("d", &[("Body", text("3"))])]).await[0].starts_with("inserted"));
}

/// A CRM user edits the same rows again and again while deliveries are written: once a row carries the CRM's topic, no delivery takes it away.
async fn an_edit_between_read_and_write_survives(server: &Server) {
    tables_with_version(server).await;
    let target = compared(server, "compare: row_version");
    let batch = |round: usize| -> Vec<Delivery> {
        (0..40)
            .map(|n| interaction(&format!("r{n}"), &[("Topic", text(&format!("k{round}"))), ("Body", text(&round.to_string()))]))
            .collect()
    };
    assert!(write(&target, &batch(0)).await.iter().all(Result::is_ok));
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, mut editor, edit) =
        (stop.clone(), server.session().await, server.named("UPDATE dbo.{Interaction} SET Topic = 'crm' WHERE ActivityID = N'r"));
    let editing = tokio::spawn(async move {
        let mut edited = Vec::new();
        for n in 0..40 {
            if stopped.load(SeqCst) {
                break;
            }
            let sql = format!("{edit}{n}'");
            for _try in 0..20 {
                if editor.batch(&sql).await.is_ok() {
                    edited.push(n);
                    break;
                }
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        edited
    });
    let mut round = 1;
    let end = Instant::now() + Duration::from_secs(if server.is_real() { 10 } else { 3 });
    while Instant::now() < end && !editing.is_finished() {
        for answer in write(&target, &batch(round)).await {
            assert!(
                matches!(&answer, Ok(_) | Err(DeliveryError::Failed { .. } | DeliveryError::BatchRefused { .. })),
                "{}",
                shown(&answer)
            );
        }
        round += 1;
    }
    stop.store(true, SeqCst);
    let edited = editing.await.unwrap();
    assert!(edited.len() > 5, "the editor came to nothing: {edited:?}");
    // One more, after the last edit.
    write(&target, &batch(round)).await;
    for n in edited {
        let topic = server.rows(&format!("SELECT Topic FROM dbo.{{Interaction}} WHERE ActivityID = N'r{n}'")).await;
        assert_eq!(topic, [[text("crm")]], "row r{n} after {round} rounds");
    }
}

/// Sixteen writers on overlapping keys: no row twice, each row holds what one of the last writes said, each delivery stands in the ledger exactly once.
async fn writers_that_race_lose_nothing(server: &Server) {
    server.tables().await;
    let seconds = match (server.is_real(), std::env::var_os("KITH_TEST_FULL").is_some()) {
        (true, _) | (false, true) => 30,
        (false, false) => 4,
    };
    let end = Instant::now() + Duration::from_secs(seconds);
    let arrived = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..16_u64)
        .map(|writer| {
            let target = server.target(OPERATIONS);
            let arrived = arrived.clone();
            tokio::spawn(async move {
                let mut seed = crate::support::Seed(writer + 1);
                let (mut pending, mut failures): (Vec<Delivery>, u64) = (Vec::new(), 0);
                while Instant::now() < end || !pending.is_empty() {
                    while pending.len() < 20 && Instant::now() < end {
                        let key = seed.next() % 50;
                        pending.push(interaction(&format!("k{key}"), &[("Body", text(&format!("w{writer} {}", seed.next() % 1_000)))]));
                    }
                    let said = write(&target, &pending).await;
                    let mut again = Vec::new();
                    for (delivery, answer) in pending.drain(..).zip(&said) {
                        match answer {
                            Ok(_) => {
                                arrived.fetch_add(1, SeqCst);
                            }
                            Err(DeliveryError::Failed { .. } | DeliveryError::Unavailable { .. } | DeliveryError::BatchRefused { .. }) => {
                                failures += 1;
                                again.push(Delivery { attempt: delivery.attempt + 1, ..delivery });
                            }
                            Err(other) => panic!("{other}"),
                        }
                    }
                    pending = again;
                    assert!(Instant::now() < end + Duration::from_secs(120), "a writer does not end");
                }
                failures
            })
        })
        .collect();
    let mut failures = 0;
    for writer in writers {
        failures += writer.await.unwrap();
    }
    let arrived = i64::try_from(arrived.load(SeqCst)).unwrap();
    eprintln!("16 writers, {seconds} s: {arrived} deliveries arrived, {failures} had to be sent again");
    assert!(arrived > 200, "{arrived}");
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Ledger}").await, arrived, "each delivery stands in the ledger once");
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Interaction}").await, 50);
    assert_eq!(server.count("SELECT COUNT(*) FROM (SELECT DISTINCT Network, ActivityID FROM dbo.{Interaction}) AS d").await, 50);
}

/// Connections die at every point of a batch; what has no answer is settled, and in the end everything stands once.
async fn a_cut_connection_writes_nothing_twice(server: &Server) {
    server.tables().await;
    server.sql("CREATE TABLE dbo.{Small} (Id nvarchar(40) NOT NULL PRIMARY KEY, N int NOT NULL)").await;
    let operations = "  small:\n    table: \"dbo.{Small}\"\n    record_key: [Id]\n    on_delete: remove\n    fields: { Id: { type: text }, N: { type: integer } }\n";
    let ServerAt::Port(port) = server.spec.address.at else { return };
    let (mut unknown, mut lost, mut effects) = (0, 0, 0_i64);
    let rounds: usize = if server.is_real() { 60 } else { 30 };
    for round in 0..rounds {
        // The n-th message of the client is the last that passes; half of the time its answer does not.
        let cutter = TdsCutter::start(&server.spec.address.host, port, 4 + round % 16, round % 2 == 0);
        let mut spec = server.spec.clone();
        spec.address = ServerAddress { host: "127.0.0.1".into(), at: ServerAt::Port(cutter.port()) };
        let broken = server.target_at(spec, operations);
        let whole = server.target(operations);
        let mut pending: Vec<Delivery> = (0..10_i64)
            .map(|n| {
                let id = format!("{}", n + 10 * i64::try_from(round % 3).unwrap());
                delivery(
                    "small",
                    WriteIntent::Write,
                    &[("Id", text(&id))],
                    &[("N", Value::Integer(n + 100 * i64::try_from(round).unwrap()))],
                )
            })
            .collect();
        for attempt in 0..4 {
            let target = if attempt == 0 { &broken } else { &whole };
            let said = write(target, &pending).await;
            let mut again = Vec::new();
            for (delivery, answer) in pending.drain(..).zip(said) {
                match answer {
                    Ok(receipt) => effects += i64::from(receipt.effect != WriteEffect::Unchanged),
                    Err(DeliveryError::OutcomeUnknown { .. }) => {
                        unknown += 1;
                        match whole.settle(&delivery).await.unwrap() {
                            Settled::Delivered(receipt) => effects += i64::from(receipt.effect != WriteEffect::Unchanged),
                            Settled::NotThere => again.push(Delivery { attempt: delivery.attempt + 1, ..delivery }),
                            other @ (Settled::Repeatable | Settled::Undecidable { .. }) => panic!("{other:?}"),
                        }
                    }
                    Err(DeliveryError::Unavailable { .. }) => {
                        lost += 1;
                        again.push(Delivery { attempt: delivery.attempt + 1, ..delivery });
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            pending = again;
        }
        assert!(pending.is_empty(), "round {round} does not end");
    }
    eprintln!("{rounds} cuts: {unknown} outcomes unknown, {lost} not written, {effects} effects");
    assert!(lost > 0, "no cut hit anything");
    let ledger = server.count("SELECT COUNT(*) FROM dbo.{Ledger}").await;
    assert_eq!(ledger, i64::try_from(rounds * 10).unwrap(), "each delivery once");
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Small}").await, 30);
}

/// An undo that leaves the outbox while somebody edits the record: never both, never neither.
async fn of_a_write_that_expects_and_an_edit_beside_it_exactly_one_wins(server: &Server) {
    server.tables().await;
    let target = server.target(OPERATIONS);
    let expecting = |there: bool, fields: &[(&str, Value)], delivery: Delivery| Delivery {
        expects: Some(Arc::new(Expects {
            there,
            fields: Personal::new(fields.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect()),
        })),
        ..delivery
    };
    let mut won = [0, 0];
    for n in 0..20 {
        let id = format!("cas-{n}");
        answers(&target, &[interaction(&id, &[("Topic", text("left"))])]).await;
        let back = expecting(true, &[("Topic", text("left"))], interaction(&id, &[("Topic", text("back"))]));
        let edit = format!("UPDATE dbo.{{Interaction}} SET Topic = 'edited' WHERE ActivityID = N'{id}' AND Topic = 'left'");
        let (answer, _) = tokio::join!(answers(&target, std::slice::from_ref(&back)), server.sql(&edit));
        let rows = server.rows(&format!("SELECT Topic FROM dbo.{{Interaction}} WHERE ActivityID = N'{id}'")).await;
        let edited = usize::from(answer[0].starts_with("refused KITH-D057"));
        assert!(edited == 1 || answer[0] == "updated Topic: left → back", "{answer:?}");
        assert_eq!(rows, [[text(["back", "edited"][edited])]], "{answer:?}");
        won[edited] += 1;
    }
    eprintln!("the write won {} times, the edit {}", won[0], won[1]);
    // What is not there any more, what is there again, and what else was edited.
    let gone = expecting(true, &[("Topic", text("left"))], interaction("cas-none", &[("Topic", text("back"))]));
    let there = expecting(false, &[], interaction("cas-0", &[("Topic", text("back"))]));
    server.sql("UPDATE dbo.{Interaction} SET Topic = 'left', Body = N'by the clerk' WHERE ActivityID = N'cas-1'").await;
    let back = interaction("cas-1", &[("Topic", text("back")), ("Body", Value::Missing)]);
    let more = expecting(true, &[("Topic", text("left"))], back);
    let anew = expecting(false, &[], interaction("cas-new", &[("Topic", text("back"))]));
    let answers = answers(&target, &[gone, there, more, anew]).await;
    assert!(answers[..3].iter().all(|answer| answer.starts_with("refused KITH-D057")), "{answers:?}");
    assert!(answers[3].starts_with("inserted"), "{answers:?}");
    // A removal expects the whole record.
    let taken = |topic: &str| {
        let fields = [("Network", text("x")), ("ActivityID", text("cas-new")), ("CustomerID", text("C1")), ("Topic", text(topic))];
        expecting(true, &fields, removal("cas-new"))
    };
    let (other, same) = (write(&target, &[taken("other")]).await, write(&target, &[taken("back")]).await);
    assert!(shown(&other[0]).starts_with("refused KITH-D057") && shown(&same[0]).starts_with("removed"), "{other:?} {same:?}");
}
