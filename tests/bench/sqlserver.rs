//! Rows a second into a SQL Server, beside the driver's raw bulk load of the same rows (the limit) and single inserts.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    clippy::items_after_statements,
    clippy::string_slice,
    clippy::semicolon_if_nothing_returned,
    clippy::format_collect,
    clippy::map_unwrap_or,
    clippy::duration_suboptimal_units,
    dead_code,
    reason = "a benchmark prints, over figures that it made itself, and ends where it can't go on"
)]
//! The server is the one that `KITH_TEST_SQLSERVER_URL` names; without it the benchmark says so and ends. For each size of the target table (0, 200,000 and
//! 2,000,000 rows; `KITH_BENCH_TABLES`) and each size of a transaction (1,000, 5,000, 20,000 rows) it writes `KITH_BENCH_ROWS` (60,000) new rows, then
//! the same rows with another text, through the target as the service does: values checked, rows read under locks, ledger written, before and after
//! compared. `two sessions` writes with two batches under way. Prints a table, writes `target/bench/sqlserver.json`. Run: `cargo bench --bench sqlserver`.

#[path = "project/files.rs"]
mod files;
#[path = "../support/mod.rs"]
mod support;

use files::number;
use kith::deliver::{SqlServerTarget, Target};
use kith::model::{Delivery, Intended, Value, WriteEffect};
use kith::wire::tds::{Row, cell};
use std::time::{Duration, Instant};
use support::contract::{OPERATIONS, Server, interaction};

/// A post's usual length.
const BODY: usize = 140;

fn body(n: u64, round: u64) -> String {
    let words = format!("{round} {n} I ordered it on Monday and it still has not arrived, what is going on over there? ");
    words.chars().cycle().take(BODY).collect()
}

fn deliveries(from: u64, count: u64, round: u64) -> Vec<Delivery> {
    (from..from + count)
        .map(|n| {
            let fields = [
                ("CustomerID", Value::text(format!("C{}", n % 50_000))),
                ("PostedAt", Value::Time("2026-03-01T10:20:30.457Z".parse().unwrap())),
                ("Body", Value::text(body(n, round))),
                ("Topic", Value::text("complaint")),
                ("Priority", Value::Integer(3)),
            ];
            interaction(&format!("https://x.example/status/{n}"), &fields)
        })
        .collect()
}

/// As the raw bulk load sends it: the same columns, without checks, ledger or reading.
fn raw(from: u64, count: u64) -> Vec<Row> {
    (from..from + count)
        .map(|n| {
            vec![
                cell::text("x"),
                cell::text(format!("https://x.example/status/{n}")),
                cell::text(format!("C{}", n % 50_000)),
                cell::text(body(n, 1)),
                cell::text("complaint"),
                cell::int(3),
            ]
        })
        .collect()
}

async fn written(target: &SqlServerTarget, batch: Vec<Delivery>, wanted: WriteEffect) -> Duration {
    let intended: Vec<Intended> = batch.into_iter().map(|delivery| Intended::mint(delivery, 1)).collect();
    let start = Instant::now();
    let answers = target.write(&intended).await.answers;
    let took = start.elapsed();
    for answer in answers {
        match answer {
            Ok(receipt) => assert_eq!(receipt.effect, wanted),
            Err(error) => panic!("{error}"),
        }
    }
    took
}

async fn tables(server: &Server) {
    server.clean().await;
    server.tables().await;
    server.sql("ALTER TABLE dbo.{Interaction} ALTER COLUMN Body nvarchar(400) NULL").await;
    server
        .sql(
            "CREATE TABLE dbo.{Small} (Network nvarchar(32) NOT NULL, ActivityID nvarchar(200) NOT NULL, CustomerID nvarchar(64) NOT NULL, \
             Body nvarchar(400) NULL, Topic nvarchar(20) NULL, Priority int NULL)",
        )
        .await;
}

async fn fill(server: &Server, rows: u64) {
    let mut session = server.session().await;
    let mut from = 1_000_000_000;
    let end = from + rows;
    session.batch(&server.named("IF OBJECT_ID('tempdb..#fill') IS NULL CREATE TABLE #fill (Network nvarchar(32) NOT NULL, ActivityID nvarchar(200) NOT NULL, CustomerID nvarchar(64) NOT NULL, Body nvarchar(400) NULL, Topic nvarchar(20) NULL, Priority int NULL)")).await.unwrap();
    while from < end {
        let count = 20_000.min(end - from);
        session.bulk("#fill", raw(from, count)).await.unwrap();
        let insert = "INSERT INTO dbo.{Interaction} (Network, ActivityID, CustomerID, Body, Topic, Priority) SELECT Network, ActivityID, CustomerID, Body, Topic, Priority FROM #fill; TRUNCATE TABLE #fill";
        session.batch(&server.named(insert)).await.unwrap();
        from += count;
    }
}

fn per_second(rows: u64, took: Duration) -> f64 {
    rows as f64 / took.as_secs_f64()
}

#[tokio::main]
async fn main() {
    let Some(server) = Server::real() else {
        println!("SKIPPED: KITH_TEST_SQLSERVER_URL names no server; nothing was measured");
        return;
    };
    let rows = number("KITH_BENCH_ROWS", 60_000);
    let sizes: Vec<u64> = std::env::var("KITH_BENCH_TABLES").map_or_else(
        |_| vec![0, 200_000, 2_000_000],
        |list| list.split(',').filter_map(|n| n.trim().replace('_', "").parse().ok()).collect(),
    );
    let mut results = Vec::new();
    println!("{:>11}  {:<34}  {:>12}  {:>9}", "table", "what", "rows/s", "of raw");
    for size in sizes {
        tables(&server).await;
        fill(&server, size).await;
        // The limit, and the worst.
        let mut session = server.session().await;
        let start = Instant::now();
        let mut from = 0;
        while from < rows {
            let count = 20_000.min(rows - from);
            session.bulk(&server.named("dbo.{Small}"), raw(from, count)).await.unwrap();
            from += count;
        }
        let limit = per_second(rows, start.elapsed());
        let mut tell = |what: String, rate: f64| {
            println!("{size:>11}  {what:<34}  {rate:>12.0}  {:>8.1} %", 100.0 * rate / limit);
            results.push(serde_json::json!({ "table": size, "what": what, "rows_per_second": rate, "of_raw": rate / limit }));
        };
        tell("raw bulk load".into(), limit);
        let singles = 1_000.min(rows);
        let start = Instant::now();
        for row in raw(2_000_000_000, singles) {
            let sql = server.named(
                "INSERT INTO dbo.{Small} (Network, ActivityID, CustomerID, Body, Topic, Priority) VALUES (@P1, @P2, @P3, @P4, @P5, @P6)",
            );
            session.execute(&sql, row).await.unwrap();
        }
        tell("single inserts, each committed".into(), per_second(singles, start.elapsed()));
        let mut first = 0;
        for transaction in [1_000, 5_000, 20_000] {
            let target = server.target(OPERATIONS);
            let (mut new, mut changed) = (Duration::ZERO, Duration::ZERO);
            for (round, wanted, sum) in [(1, WriteEffect::Inserted, &mut new), (2, WriteEffect::Updated, &mut changed)] {
                let mut from = first;
                while from < first + rows {
                    let count = transaction.min(first + rows - from);
                    *sum += written(&target, deliveries(from, count, round), wanted).await;
                    from += count;
                }
            }
            first += rows;
            tell(format!("new rows, {transaction} a transaction"), per_second(rows, new));
            tell(format!("existing rows, {transaction} a transaction"), per_second(rows, changed));
        }
        let target = server.target(OPERATIONS);
        let mut waiting = Vec::new();
        let mut from = first;
        while from < first + rows {
            waiting.push(deliveries(from, 5_000.min(first + rows - from), 1));
            from += 5_000;
        }
        let second = waiting.split_off(waiting.len() / 2);
        let start = Instant::now();
        let halves = [waiting, second].map(|half| {
            let target = target.clone();
            tokio::spawn(async move {
                for batch in half {
                    written(&target, batch, WriteEffect::Inserted).await;
                }
            })
        });
        for half in halves {
            half.await.unwrap();
        }
        tell("new rows, 5000, two sessions".into(), per_second(rows, start.elapsed()));
    }
    server.clean().await;
    std::fs::create_dir_all("target/bench").unwrap();
    std::fs::write("target/bench/sqlserver.json", serde_json::to_string_pretty(&results).unwrap()).unwrap();
}
