//! Promise: each error of a SQL Server, by its number, has the outcome that it should have for the records of the batch, a code, and a page that says what
//! to do; no words of the server reach anybody; and what was refused or put off can be sent again.

use crate::support::Project;
use crate::support::contract::{OPERATIONS, Server, interaction, shown, write};
use crate::support::tds::{Fault, Reach, Rule, TdsError};
use kith::deliver::{Answer, DeliveryError, SqlServerTarget};
use kith::model::{Delivery, Value, WriteEffect};
use std::collections::BTreeSet;
use std::time::Duration;

/// What a server might say with its number: a value of a row.
const WORDS: &str = "The duplicate key value is (ada@example.org).";

fn fault(number: u32, class: u8) -> Fault {
    let reach = if class >= 20 { Reach::Transaction } else { Reach::Batch };
    Fault::Error(TdsError::new(number, class, 1, WORDS).ends(reach))
}

fn body(text: &str) -> [(&'static str, Value); 1] {
    [("Body", Value::text(text))]
}

/// Two records that nobody has seen.
fn pair(number: u32) -> Vec<Delivery> {
    (0..2).map(|n| interaction(&format!("{number}-{n}"), &body("one"))).collect()
}

#[track_caller]
fn are(answers: &[Answer], number: u32, class: &str, code: &str) {
    for answer in answers {
        let Err(error) = answer else { panic!("{number}: {}", shown(answer)) };
        assert_eq!((error.class().name(), error.code().0), (class, code), "{number}: {error}");
        let told = error.to_string();
        assert!(told.contains(&number.to_string()), "the number is told: {told}");
        assert!(!told.contains("ada@"), "no value is told: {told}");
    }
}

async fn go_through(target: &SqlServerTarget, batch: &[Delivery], number: u32) {
    for answer in write(target, batch).await {
        assert_eq!(answer.as_ref().map(|receipt| receipt.effect), Ok(WriteEffect::Inserted), "{number}: {}", shown(&answer));
    }
}

/// The statement that writes.
const WRITE: &str = "kith_rows_0";

#[tokio::test]
async fn a_lost_race_is_run_again_and_nobody_hears_of_it() {
    let server = Server::peer();
    server.tables().await;
    let peer = server.peer.as_ref().unwrap();
    for number in [1205, 1222, 1204, 3960, 2627, 2601, 33_557_097] {
        for place in [WRITE, "BEGIN TRANSACTION"] {
            let target = server.target(OPERATIONS);
            let rows: Vec<Delivery> = (0..2).map(|n| interaction(&format!("{number}-{place}-{n}"), &body("one"))).collect();
            // Twice, as it happens among many writers.
            peer.fail(Rule::new(place, fault(number, 13)).times(2));
            go_through(&target, &rows, number).await;
        }
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Interaction}").await, 28, "each once");
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Ledger}").await, 28);
}

#[tokio::test]
async fn a_race_that_never_ends_is_tried_again_later_and_parks_nobody() {
    let server = Server::peer();
    server.tables().await;
    let peer = server.peer.as_ref().unwrap();
    let target = server.target(OPERATIONS);
    let batch = pair(1205);
    peer.fail(Rule::new(WRITE, fault(1205, 13)).times(u32::MAX));
    // Many are split first: what never ends for all may end for each.
    are(&write(&target, &batch).await, 1205, "batch_refused", "KITH-D043");
    are(&write(&target, &batch[..1]).await, 1205, "failed", "KITH-D043");
    peer.heal();
    go_through(&target, &batch, 1205).await;
}

#[tokio::test]
async fn a_record_at_fault_is_refused_alone_and_many_are_split() {
    let server = Server::peer();
    server.tables().await;
    let peer = server.peer.as_ref().unwrap();
    let numbers = [
        (547, "KITH-D045"),
        (515, "KITH-D045"),
        (550, "KITH-D045"),
        (8152, "KITH-D046"),
        (2628, "KITH-D046"),
        (8115, "KITH-D046"),
        (220, "KITH-D046"),
        (8114, "KITH-D046"),
        (241, "KITH-D046"),
        (245, "KITH-D046"),
        (8169, "KITH-D046"),
        (2627, "KITH-D044"),
        (2601, "KITH-D044"),
        (50_000, "KITH-D048"),
        (51_234, "KITH-D048"),
        (102, "KITH-D049"),
        (99_999, "KITH-D048"),
    ];
    for (number, code) in numbers {
        let target = server.target(OPERATIONS);
        let batch = pair(number);
        peer.fail(Rule::new(WRITE, fault(number, 16)).times(u32::MAX));
        are(&write(&target, &batch).await, number, "batch_refused", code);
        are(&write(&target, &batch[..1]).await, number, "refused", code);
        peer.heal();
        go_through(&target, &batch, number).await;
    }
}

#[tokio::test]
async fn a_server_that_can_not_is_waited_for_and_no_record_is_blamed() {
    let server = Server::peer();
    server.tables().await;
    let peer = server.peer.as_ref().unwrap();
    let away = [
        (911, 16, "KITH-D041"),
        (4060, 11, "KITH-D041"),
        (40_613, 17, "KITH-D041"),
        (40_197, 20, "KITH-D041"),
        (3906, 16, "KITH-D041"),
        (229, 14, "KITH-D042"),
        (207, 16, "KITH-D003"),
        (208, 16, "KITH-D003"),
        (1105, 17, "KITH-D051"),
        (9002, 17, "KITH-D051"),
        (823, 24, "KITH-D051"),
        (596, 21, "KITH-D001"),
        (6005, 14, "KITH-D001"),
    ];
    for (number, class, code) in away {
        let target = server.target(OPERATIONS);
        let batch = pair(number);
        peer.fail(Rule::new(WRITE, fault(number, class)));
        are(&write(&target, &batch).await, number, "unavailable", code);
        go_through(&target, &batch, number).await;
    }
    for number in [10_928, 10_929, 40_501, 40_549, 49_918, 701] {
        let target = server.target(OPERATIONS);
        let batch = pair(number);
        peer.fail(Rule::new(WRITE, fault(number, if number == 40_501 { 20 } else { 16 })));
        let answers = write(&target, &batch).await;
        are(&answers, number, "throttled", "KITH-D047");
        let azure = Some(Duration::from_secs(10)).filter(|_| number > 1_000);
        for answer in answers {
            let Err(DeliveryError::Throttled { wait, .. }) = answer else { panic!() };
            assert_eq!(wait.filter(|_| azure.is_some()), azure, "{number}: what the server's documentation asks for");
        }
        go_through(&target, &batch, number).await;
    }
}

#[tokio::test]
async fn an_error_at_the_login_is_the_endpoints() {
    let server = Server::peer();
    server.tables().await;
    let peer = server.peer.as_ref().unwrap();
    let numbers = [
        (18_456, 14, "unavailable", "KITH-D040"),
        (18_452, 14, "unavailable", "KITH-D040"),
        (18_488, 14, "unavailable", "KITH-D040"),
        (911, 16, "unavailable", "KITH-D041"),
        (4060, 11, "unavailable", "KITH-D041"),
        (40_613, 17, "unavailable", "KITH-D041"),
        (18_401, 14, "unavailable", "KITH-D040"),
        (17_142, 14, "unavailable", "KITH-D001"),
        (10_928, 16, "throttled", "KITH-D047"),
        (10_929, 16, "throttled", "KITH-D047"),
        (40_501, 20, "throttled", "KITH-D047"),
    ];
    for (number, class, outcome, code) in numbers {
        let target = server.target(OPERATIONS);
        let batch = pair(number);
        peer.fail(Rule::login(fault(number, class)));
        are(&write(&target, &batch).await, number, outcome, code);
        go_through(&target, &batch, number).await;
    }
}

#[test]
fn every_code_of_a_sql_server_has_a_page_with_a_remedy() {
    let mut codes = BTreeSet::from(["KITH-D001".to_owned(), "KITH-D003".to_owned()]);
    codes.extend((40..=56).map(|n| format!("KITH-D{n:03}")));
    // Every number that is known leads to one of them, and every one of them says what to do.
    codes.extend((1..60_000).map(|number| kith::wire::tds::meaning(number).code.to_owned()));
    let project = Project::empty();
    for code in codes {
        let page = project.kith(&["explain", &code]).ok().stdout;
        assert!(page.contains("## What to do") && page.len() > 300, "{code}:\n{page}");
    }
}
