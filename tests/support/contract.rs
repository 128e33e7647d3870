//! A SQL Server for the contract tests: the peer of these tests, and the server that `KITH_TEST_SQLSERVER_URL` names. Both are set up by Transact-SQL
//! over the wire, in tables of names that no other run uses.

#![allow(clippy::format_push_string, clippy::wildcard_enum_match_arm, reason = "an answer in words, made for people who read a failure")]

use super::sqlserver;
use super::tds::TdsPeer;
use kith::declare::config::{Encryption, GivenSecret, Secret, SecretSource, ServerAddress, ServerAt, ServerLogin, ServerSpec};
use kith::declare::config::{NoticeSpec, TargetPlace, TargetSpec};
use kith::declare::connector::{Quotas, TargetFile, read};
use kith::deliver::{Answer, SqlServerTarget, Target};
use kith::diagnose::SourceFile;
use kith::model::{Delivery, DeliveryId, Digest, IdempotencyKey, Intended, OperationId, Personal, RecordKey, TargetId, Value, WriteIntent};
use kith::wire::tds::{self, Answered, Cell, Session};
use sha2::{Digest as _, Sha256};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// The spec of the peer.
pub fn peer_spec(peer: &TdsPeer) -> ServerSpec {
    ServerSpec {
        address: ServerAddress { host: "127.0.0.1".into(), at: ServerAt::Port(peer.port()) },
        failover_partner: None,
        multi_subnet: false,
        database: peer.database().into(),
        login: ServerLogin::Sql {
            user: peer.user().into(),
            password: GivenSecret {
                source: SecretSource::Env("UNUSED".into()),
                value: Some(Secret::from_bytes(peer.password().as_bytes().to_vec()).unwrap()),
            },
        },
        encryption: Encryption::Off,
        ca_file: None,
        trust_any_certificate: false,
        certificate_host: None,
        application: "kith-tests".into(),
        connect: Duration::from_secs(10),
        timeout: Duration::from_secs(60),
    }
}

/// A server under test.
pub struct Server {
    pub spec: ServerSpec,
    pub peer: Option<TdsPeer>,
    prefix: String,
}

impl Server {
    /// The peer.
    pub fn peer() -> Self {
        Self::of(TdsPeer::start())
    }

    /// A peer that was started in its own way; encryption is left to the test.
    pub fn of(peer: TdsPeer) -> Self {
        Self { spec: peer_spec(&peer), peer: Some(peer), prefix: "k".into() }
    }

    /// The server that the environment names; `None` is told loudly.
    pub fn real() -> Option<Self> {
        // It may ask the server, which blocks.
        let spec = std::thread::spawn(sqlserver::spec).join().unwrap()?;
        let nanos = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        Some(Self { spec, peer: None, prefix: format!("kith{:x}", nanos & 0xffff_ffff_ffff) })
    }

    pub const fn is_real(&self) -> bool {
        self.peer.is_none()
    }

    /// A table's name that nobody else uses; `{T}` of [`Server::sql`].
    pub fn name(&self, table: &str) -> String {
        format!("{}_{table}", self.prefix)
    }

    pub async fn session(&self) -> Session {
        tds::connect(&self.spec).await.unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// Runs Transact-SQL; `{Name}` is a table of this run.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> impl Future<Output = Vec<Answered>> {
        let sql = self.named(sql);
        async move { self.session().await.batch(&sql).await.unwrap_or_else(|fault| panic!("{fault}\n{sql}")) }
    }

    pub fn named(&self, sql: &str) -> String {
        let mut out = sql.to_owned();
        for table in ["Ledger", "Records", "Interaction", "Lead", "Contact", "Types", "Proc", "Small"] {
            out = out.replace(&format!("{{{table}}}"), &self.name(table));
        }
        out
    }

    /// Rows as values.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        let answered = self.sql(sql).await;
        answered.into_iter().flat_map(|a| a.rows).map(|row| row.iter().map(|cell: &Cell| tds::read(cell)).collect()).collect()
    }

    pub async fn count(&self, sql: &str) -> i64 {
        match self.rows(sql).await.first().and_then(|row| row.first().cloned()) {
            Some(Value::Integer(number)) => number,
            other => panic!("no number: {other:?}"),
        }
    }

    /// Ledger, records, interactions, leads.
    pub async fn tables(&self) {
        self.tables_with("").await;
    }

    /// As [`Server::tables`], with more columns in the interactions: `, Version rowversion`.
    pub async fn tables_with(&self, more: &str) {
        for sql in self.ddl(more) {
            self.sql(&sql).await;
        }
    }

    /// The statements of it.
    pub fn ddl(&self, more: &str) -> Vec<String> {
        let interaction = format!(
            "CREATE TABLE dbo.{{Interaction}} (Id int IDENTITY(1,1) NOT NULL, Network nvarchar(32) NOT NULL, ActivityID nvarchar(200) NOT NULL, \
             CustomerID nvarchar(64) NOT NULL, PostedAt datetime2(3) NULL, Body nvarchar(40) NULL, Topic varchar(20) NULL, Priority int NULL, \
             Gone bit NOT NULL DEFAULT 0, ModifiedOn datetime2(3) NULL{more}, CONSTRAINT {{Interaction}}_pk PRIMARY KEY (Network, ActivityID))",
        );
        let tables = [
            "CREATE TABLE dbo.{Ledger} (idempotency_key varbinary(32) NOT NULL PRIMARY KEY, outcome tinyint NOT NULL)",
            "CREATE TABLE dbo.{Records} (record_hash varbinary(32) NOT NULL PRIMARY KEY, fields varbinary(8000) NOT NULL)",
            &interaction,
            "CREATE TABLE dbo.{Lead} (PostURL nvarchar(300) NOT NULL PRIMARY KEY, Topic nvarchar(20) NULL)",
        ];
        tables.iter().map(|sql| self.named(sql)).collect()
    }

    /// Everything of this run goes.
    pub async fn clean(&self) {
        if self.is_real() {
            for procedure in ["{Proc}", "{Proc}_gone"] {
                self.sql(&format!("IF OBJECT_ID(N'dbo.{procedure}') IS NOT NULL DROP PROCEDURE dbo.{procedure}")).await;
            }
            // What refers to another table goes before it.
            for table in ["Small", "Ledger", "Records", "Interaction", "Lead", "Contact", "Types"] {
                self.sql(&format!("IF OBJECT_ID(N'dbo.{{{table}}}') IS NOT NULL DROP TABLE dbo.{{{table}}}")).await;
            }
        }
    }

    /// A target file; `{Name}` is a table of this run, `ledger` and `records` stand already.
    pub fn file(&self, operations: &str) -> Arc<TargetFile> {
        let head =
            "kith: 1\ntarget: crm\nkind: sqlserver\nsqlserver: { ledger: \"dbo.{Ledger}\", records: \"dbo.{Records}\" }\noperations:\n";
        let text = self.named(&format!("{head}{operations}"));
        let checked = read(&Arc::new(SourceFile { name: "crm.yaml".into(), text }));
        assert!(checked.problems.0.is_empty(), "{:#?}", checked.problems);
        Arc::new(checked.value.unwrap())
    }

    pub fn target(&self, operations: &str) -> SqlServerTarget {
        self.target_at(self.spec.clone(), operations)
    }

    pub fn target_at(&self, spec: ServerSpec, operations: &str) -> SqlServerTarget {
        let spec = TargetSpec {
            name: "crm".into(),
            connector: PathBuf::new(),
            place: TargetPlace::Server(Box::new(spec)),
            quotas: Quotas::default(),
            batch: NonZeroU32::MIN,
            concurrency: NonZeroU32::MIN,
            hours: None,
            endpoint: None,
            notice: NoticeSpec::default(),
        };
        SqlServerTarget::new(&spec, self.file(operations), &[])
    }
}

/// The operations that most tests use.
pub const OPERATIONS: &str = r#"
  interaction:
    table: "dbo.{Interaction}"
    record_key: [Network, ActivityID]
    on_delete: remove
    fields:
      Network: { type: text, max_length: 32 }
      ActivityID: { type: text, max_length: 200 }
      CustomerID: { type: text, max_length: 64, required: true }
      PostedAt: { type: time }
      Body: { type: text }
      Topic: { type: text, max_length: 20 }
      Priority: { type: integer }
  lead:
    table: "dbo.{Lead}"
    write: insert_only
    record_key: [PostURL]
    on_delete: remove
    fields:
      PostURL: { type: text, max_length: 300 }
      Topic: { type: text, max_length: 20 }
"#;

/// A delivery: its record key is made of the fields named first.
pub fn delivery(operation: &str, intent: WriteIntent, key: &[(&str, Value)], fields: &[(&str, Value)]) -> Delivery {
    let number = NEXT.fetch_add(1, SeqCst);
    let unique = format!("{number} {} {}", std::process::id(), std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos());
    let payload = key.iter().chain(fields).map(|(name, value)| (Arc::from(*name), value.clone())).collect();
    let record = serde_json::Value::Array(key.iter().map(|(_, value)| value.to_json()).collect()).to_string();
    Delivery {
        id: DeliveryId(i64::try_from(number).unwrap()),
        entry: "e".into(),
        target: TargetId("crm".into()),
        operation: OperationId(operation.into()),
        intent,
        record: RecordKey(record.into()),
        idempotency: IdempotencyKey(Digest(Sha256::digest(unique.as_bytes()).into())),
        payload: Personal::new(payload),
        expects: None,
        attempt: 1,
    }
}

/// What a customer said.
pub fn interaction(activity: &str, fields: &[(&str, Value)]) -> Delivery {
    let mut all = vec![("CustomerID", Value::text("C1"))];
    all.retain(|(name, _)| !fields.iter().any(|(n, _)| n == name));
    all.extend(fields.iter().cloned());
    delivery("interaction", WriteIntent::Write, &[("Network", Value::text("x")), ("ActivityID", Value::text(activity))], &all)
}

pub fn removal(activity: &str) -> Delivery {
    delivery("interaction", WriteIntent::Remove, &[("Network", Value::text("x")), ("ActivityID", Value::text(activity))], &[])
}

/// Writes as the pipeline does.
pub async fn write(target: &SqlServerTarget, batch: &[Delivery]) -> Vec<Answer> {
    let intended: Vec<Intended> = batch.iter().map(|delivery| Intended::mint(delivery.clone(), 1)).collect();
    target.write(&intended).await.answers
}

/// An answer in words: `inserted Body: ∅ → hello`, `refused KITH-D046: …`.
pub fn shown(answer: &Answer) -> String {
    match answer {
        Err(error) => format!("{} {}: {error}", error.class().name(), error.code().0),
        Ok(receipt) => {
            let value = |value: &Value| match value {
                Value::Missing => "∅".to_owned(),
                Value::Text(text) => text.to_string(),
                other => other.to_json().to_string(),
            };
            let mut out = receipt.effect.name().to_owned();
            for change in &receipt.changes {
                out.push_str(&format!(" {}: {} → {}", change.field, value(change.before.reveal()), value(change.after.reveal())));
            }
            if !receipt.kept.is_empty() {
                out.push_str(&format!(" kept {}", receipt.kept.join(", ")));
            }
            out
        }
    }
}

pub async fn answers(target: &SqlServerTarget, batch: &[Delivery]) -> Vec<String> {
    write(target, batch).await.iter().map(shown).collect()
}

/// Complaints, one a line.
pub fn told(problems: &kith::diagnose::Problems) -> String {
    problems.0.iter().map(|p| format!("{} {}; {}", p.code.0, p.message, p.remedy)).collect::<Vec<_>>().join("\n")
}

/// Runs a test against the peer, and against the real server where one is named.
#[macro_export]
macro_rules! on_every_server {
    ($($name:ident)+) => {
        mod peer {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let server = $crate::support::contract::Server::peer();
                super::$name(&server).await;
            })+
        }
        mod real {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(server) = $crate::support::contract::Server::real() {
                    super::$name(&server).await;
                    server.clean().await;
                }
            })+
        }
    };
}
