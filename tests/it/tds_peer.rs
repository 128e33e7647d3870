//! The TDS peer keeps to what clients of SQL Server are promised: `tiberius`, FreeTDS and `python-tds` see the same rows, errors and faults.

use crate::support::tds::{Encryption, Fault, Options, Param, Reach, Request, Rule, SqlValue, TdsError, TdsPeer, Type};
use std::time::{Duration, Instant};
use tiberius::{AuthMethod, Client, Config, EncryptionLevel, QueryItem};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

type Tds = Client<Compat<TcpStream>>;

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn config(peer: &TdsPeer) -> Config {
    let mut config = Config::new();
    config.host("localhost");
    config.port(peer.port());
    config.database("kith");
    config.application_name("kith tests");
    config.authentication(AuthMethod::sql_server(peer.user(), peer.password()));
    config.encryption(EncryptionLevel::NotSupported);
    config
}

async fn open(config: Config) -> tiberius::Result<Tds> {
    let socket = TcpStream::connect(config.get_addr().replace("localhost", "127.0.0.1")).await.unwrap();
    socket.set_nodelay(true).unwrap();
    Client::connect(config, socket.compat_write()).await
}

async fn connect(peer: &TdsPeer) -> Tds {
    open(config(peer)).await.unwrap()
}

/// The number of a server's error.
#[track_caller]
fn number(error: tiberius::error::Error) -> u32 {
    match error {
        tiberius::error::Error::Server(token) => token.code(),
        other => panic!("no error of the server: {other}"),
    }
}

/// Reads every token of every result; the first error.
async fn all(client: &mut Tds, sql: &str) -> Result<Vec<Vec<tiberius::Row>>, u32> {
    client.simple_query(sql).await.map_err(number)?.into_results().await.map_err(number)
}

async fn fails(client: &mut Tds, sql: &str, with: u32) {
    match all(client, sql).await {
        Ok(_) => panic!("{sql} went well"),
        Err(got) => assert_eq!(got, with, "{sql}"),
    }
}

#[test]
fn a_login_is_checked_and_recorded() {
    let peer = TdsPeer::start();
    run(async {
        drop(connect(&peer).await);
        let mut wrong = config(&peer);
        wrong.authentication(AuthMethod::sql_server("kith_app", "wrong"));
        assert_eq!(number(open(wrong).await.unwrap_err()), 18_456);
        let mut elsewhere = config(&peer);
        elsewhere.database("nowhere");
        assert_eq!(number(open(elsewhere).await.unwrap_err()), 4060);
    });
    let logins: Vec<(String, bool)> = peer
        .recorded()
        .into_iter()
        .filter_map(|r| match r {
            Request::Login { database, accepted, .. } => Some((database, accepted)),
            _ => None,
        })
        .collect();
    assert_eq!(logins, [("kith".to_owned(), true), ("kith".to_owned(), false), ("nowhere".to_owned(), false)]);
}

#[test]
fn an_upsert_through_a_stage_writes_what_it_says() {
    let peer = TdsPeer::start();
    peer.sql(
        "CREATE TABLE dbo.Interaction (Id int IDENTITY(1,1) PRIMARY KEY, ExternalId nvarchar(40) NOT NULL CONSTRAINT UQ_Ext UNIQUE, Body nvarchar(max) NULL, Version rowversion)",
    );
    peer.sql("INSERT INTO dbo.Interaction (ExternalId, Body) VALUES (N'a', N'old')");
    run(async {
        let mut client = connect(&peer).await;
        all(&mut client, "CREATE TABLE #stage (ExternalId nvarchar(40) NOT NULL, Body nvarchar(max) NULL)").await.unwrap();
        let mut load = client.bulk_insert("#stage").await.unwrap();
        for (id, body) in [("a", "new"), ("b", "zweites 🎉")] {
            use tiberius::IntoRow;
            load.send((id, body).into_row()).await.unwrap();
        }
        assert_eq!(load.finalize().await.unwrap().total(), 2);
        let results = all(
            &mut client,
            "SET XACT_ABORT ON; SET NOCOUNT OFF;
             BEGIN TRANSACTION;
             UPDATE t SET t.Body = s.Body OUTPUT inserted.Id, deleted.Body, s.ExternalId
               FROM dbo.Interaction AS t WITH (UPDLOCK, HOLDLOCK) JOIN #stage AS s ON s.ExternalId = t.ExternalId WHERE t.Body <> s.Body;
             INSERT INTO dbo.Interaction (ExternalId, Body) OUTPUT inserted.Id, inserted.ExternalId
               SELECT s.ExternalId, s.Body FROM #stage AS s
               WHERE NOT EXISTS (SELECT 1 FROM dbo.Interaction AS t WITH (UPDLOCK, HOLDLOCK) WHERE t.ExternalId = s.ExternalId);
             COMMIT TRANSACTION;
             SELECT @@TRANCOUNT AS open_transactions",
        )
        .await
        .unwrap();
        assert_eq!(results.len(), 3);
        assert_eq!(results[0][0].get::<&str, _>(1), Some("old"));
        assert_eq!(results[0][0].get::<&str, _>(2), Some("a"));
        assert_eq!(results[1][0].get::<i32, _>("Id"), Some(2));
        assert_eq!(results[2][0].get::<i32, _>("open_transactions"), Some(0));
    });
    let rows = peer.query("SELECT ExternalId, Body FROM dbo.Interaction ORDER BY Id");
    assert_eq!(rows, [["a".into(), SqlValue::from("new")], ["b".into(), "zweites 🎉".into()]]);
    let bulk = peer.recorded().into_iter().find_map(|r| match r {
        Request::Bulk { table, columns, rows } => Some((table, columns, rows)),
        _ => None,
    });
    let (table, columns, rows) = bulk.unwrap();
    assert_eq!(table, "#stage");
    assert_eq!(columns[0], ("ExternalId".to_owned(), Type::NVarChar(Some(40))));
    assert_eq!(rows[1], ["b".into(), SqlValue::from("zweites 🎉")]);
}
