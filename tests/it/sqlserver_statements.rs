//! Promise: what leaves for a SQL Server is known to the letter: statements, types and values of parameters, rows of bulk loads, for every way of
//! writing, for look-ups, previews and checks. A change here is read by eye before it is taken (`INSTA_UPDATE=always`).

#![allow(clippy::format_push_string, clippy::wildcard_enum_match_arm, reason = "requests in words, made for people")]

use crate::support::contract::{OPERATIONS, Server, delivery, told, write};
use crate::support::tds::{Param, Request, SqlValue};
use kith::deliver::{SqlServerTarget, Target};
use kith::model::{Delivery, DeliveryId, Digest, IdempotencyKey, Value, WriteIntent};

/// A server with the usual tables, a target that has looked at them, and an empty record.
struct Bench {
    server: Server,
    target: SqlServerTarget,
    next: u8,
}

impl Bench {
    async fn with(operations: &str, more_columns: &str, operation: &str, key: &[(&str, Value)]) -> Self {
        let server = Server::peer();
        server.tables_with(more_columns).await;
        let target = server.target(operations);
        let bench = Self { server, target, next: 0 };
        // The session asks the catalogue once; that is shown by the check.
        let known = delivery(operation, WriteIntent::Write, key, &[("CustomerID", Value::text("C0"))]);
        target_preview(&bench.target, &known).await;
        bench.forget();
        bench
    }

    async fn usual(operations: &str) -> Self {
        Self::with(operations, "", "interaction", &key("known")).await
    }

    fn forget(&self) {
        self.server.peer.as_ref().unwrap().forget();
    }

    /// A delivery with numbers that each run has.
    fn fixed(&mut self, delivery: Delivery) -> Delivery {
        self.next += 1;
        Delivery { id: DeliveryId(self.next.into()), idempotency: IdempotencyKey(Digest([self.next; 32])), ..delivery }
    }

    fn interaction(&mut self, id: &str, body: &str) -> Delivery {
        let fields = [("CustomerID", Value::text("C1")), ("Body", Value::text(body)), ("Priority", Value::Integer(2))];
        self.fixed(delivery("interaction", WriteIntent::Write, &key(id), &fields))
    }

    fn removal(&mut self, id: &str) -> Delivery {
        self.fixed(delivery("interaction", WriteIntent::Remove, &key(id), &[]))
    }

    /// Writes, and shows what was sent.
    async fn sent(&self, batch: &[Delivery]) -> String {
        self.forget();
        for answer in write(&self.target, batch).await {
            answer.unwrap();
        }
        self.shown()
    }

    fn shown(&self) -> String {
        let requests = self.server.peer.as_ref().unwrap().recorded();
        requests.iter().map(shown).collect::<Vec<_>>().join("\n\n")
    }
}

async fn target_preview(target: &SqlServerTarget, delivery: &Delivery) {
    target.preview(std::slice::from_ref(delivery)).await.pop().unwrap().unwrap();
}

fn key(id: &str) -> [(&'static str, Value); 2] {
    [("Network", Value::text("x")), ("ActivityID", Value::text(id))]
}

fn literal(value: &SqlValue) -> String {
    match value {
        SqlValue::Null => "NULL".to_owned(),
        SqlValue::Bit(truth) => u8::from(*truth).to_string(),
        SqlValue::Int(number) => number.to_string(),
        SqlValue::Float(number) => format!("{number:?}"),
        SqlValue::Decimal(digits) => digits.clone(),
        SqlValue::Binary(bytes) => bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
        SqlValue::Text(text)
        | SqlValue::Guid(text)
        | SqlValue::Date(text)
        | SqlValue::Time(text)
        | SqlValue::DateTime(text)
        | SqlValue::DateTimeOffset(text)
        | SqlValue::Xml(text) => format!("'{text}'"),
    }
}

/// A request as a reader wants it.
fn shown(request: &Request) -> String {
    match request {
        Request::Batch(text) => format!("batch\n  {}", text.replace('\n', "\n  ")),
        Request::Rpc { name, parameters } => {
            let mut out = format!("rpc {name}");
            for (at, parameter) in parameters.iter().enumerate() {
                // The statement and its declarations, as they are.
                let named = if parameter.name.is_empty() { format!("#{}", at + 1) } else { parameter.name.clone() };
                let output = if parameter.output { " OUTPUT" } else { "" };
                out.push_str(&format!("\n  {named} {}{output} = {}", parameter.ty, literal(&parameter.value)));
            }
            out
        }
        Request::Bulk { table, columns, rows } => {
            let columns: Vec<String> = columns.iter().map(|(name, ty)| format!("{name} {ty}")).collect();
            let mut out = format!("bulk load of {table} ({})", columns.join(", "));
            for row in rows {
                out.push_str(&format!("\n  {}", row.iter().map(literal).collect::<Vec<_>>().join(", ")));
            }
            out
        }
        Request::Login { user, database, application, .. } => format!("login of {user} to {database} as {application}"),
        Request::Transaction(what) => format!("transaction request: {what}"),
        Request::Attention => "attention".to_owned(),
    }
}

#[tokio::test]
async fn an_upsert() {
    let mut bench = Bench::usual(OPERATIONS).await;
    let batch = [bench.interaction("a", "one"), bench.interaction("b", "it's 😀")];
    insta::assert_snapshot!("upsert_of_new_rows", bench.sent(&batch).await);
    // One changes, one does not, one is new, one comes twice.
    let batch =
        [bench.interaction("a", "two"), bench.interaction("b", "it's 😀"), bench.interaction("c", "one"), bench.interaction("c", "two")];
    insta::assert_snapshot!("upsert_of_a_mixed_batch", bench.sent(&batch).await);
    // Sent before: the ledger is asked.
    let again = [Delivery { attempt: 2, ..batch[0].clone() }, bench.interaction("d", "new")];
    insta::assert_snapshot!(
        "upsert_that_was_sent_before",
        bench.sent(&[again[0].clone(), Delivery { attempt: 2, ..again[1].clone() }]).await
    );
}

#[tokio::test]
async fn an_insert_only() {
    let lead = [("PostURL", Value::text("https://x.example/1"))];
    let mut bench = Bench::with(OPERATIONS, "", "interaction", &key("known")).await;
    let topic = |topic: &str| delivery("lead", WriteIntent::Write, &lead, &[("Topic", Value::text(topic))]);
    let first = bench.fixed(topic("a"));
    target_preview(&bench.target, &first).await;
    insta::assert_snapshot!("insert_only_of_a_new_row", bench.sent(&[first]).await);
    let second = bench.fixed(topic("b"));
    insta::assert_snapshot!("insert_only_of_a_row_that_stands", bench.sent(&[second]).await);
}

#[tokio::test]
async fn an_update_only() {
    let operations =
        OPERATIONS.replacen("record_key: [Network, ActivityID]", "write: update_only\n    record_key: [Network, ActivityID]", 1);
    let mut bench = Bench::usual(&operations).await;
    bench.server.sql("INSERT INTO dbo.{Interaction} (Network, ActivityID, CustomerID) VALUES (N'x', N'a', N'C1')").await;
    let batch = [bench.interaction("a", "one"), bench.interaction("b", "one")];
    insta::assert_snapshot!("update_only", bench.sent(&batch).await);
}

#[tokio::test]
async fn a_delete_and_an_emptied_row() {
    let mut bench = Bench::usual(OPERATIONS).await;
    let batch = [bench.interaction("a", "one")];
    bench.sent(&batch).await;
    let batch = [bench.removal("a"), bench.removal("never there")];
    insta::assert_snapshot!("delete", bench.sent(&batch).await);
    let mut bench = Bench::usual(&OPERATIONS.replacen("on_delete: remove", "on_delete: { blank: [Body] }", 1)).await;
    let batch = [bench.interaction("a", "one")];
    bench.sent(&batch).await;
    let blank = bench.fixed(delivery("interaction", WriteIntent::Blank, &key("a"), &[("Body", Value::Missing)]));
    insta::assert_snapshot!("blank", bench.sent(&[blank]).await);
}

#[tokio::test]
async fn a_soft_delete_and_a_revival() {
    let soft = "record_key: [Network, ActivityID]\n    soft_delete: { column: Gone, gone: 1, live: 0 }";
    let mut bench = Bench::usual(&OPERATIONS.replacen("record_key: [Network, ActivityID]", soft, 1)).await;
    let batch = [bench.interaction("a", "one")];
    insta::assert_snapshot!("soft_delete_first_write", bench.sent(&batch).await);
    let batch = [bench.removal("a")];
    insta::assert_snapshot!("soft_delete", bench.sent(&batch).await);
    let batch = [bench.interaction("a", "one")];
    insta::assert_snapshot!("soft_delete_revival", bench.sent(&batch).await);
}

#[tokio::test]
async fn a_compare_and_set() {
    let how =
        |how: &str| OPERATIONS.replacen("record_key: [Network, ActivityID]", &format!("record_key: [Network, ActivityID]\n    {how}"), 1);
    let mut bench =
        Bench::with(&how("compare: row_version\n    on_conflict: theirs"), ", Version rowversion", "interaction", &key("known")).await;
    let batch = [bench.interaction("a", "one"), bench.interaction("b", "one")];
    insta::assert_snapshot!("compare_by_row_version_new", bench.sent(&batch).await);
    bench.server.sql("UPDATE dbo.{Interaction} SET Body = N'theirs' WHERE ActivityID = N'a'").await;
    let batch = [bench.interaction("a", "two"), bench.interaction("b", "two")];
    insta::assert_snapshot!("compare_by_row_version", bench.sent(&batch).await);
    let mut bench = Bench::usual(&how("compare: [Body, Topic]\n    on_conflict: theirs")).await;
    let batch = [bench.interaction("a", "one"), bench.interaction("b", "one")];
    bench.sent(&batch).await;
    bench.server.sql("UPDATE dbo.{Interaction} SET Body = N'theirs' WHERE ActivityID = N'a'").await;
    let batch = [bench.interaction("a", "two"), bench.interaction("b", "two")];
    insta::assert_snapshot!("compare_by_fields", bench.sent(&batch).await);
}

#[tokio::test]
async fn a_long_value() {
    let mut bench = Bench::usual(OPERATIONS).await;
    bench.server.sql("ALTER TABLE dbo.{Interaction} ALTER COLUMN Body nvarchar(max) NULL").await;
    bench.target.login().await.unwrap();
    let known = bench.interaction("known", "x");
    target_preview(&bench.target, &known).await;
    let batch = [bench.interaction("a", "short"), bench.interaction("b", &"long ".repeat(10_000))];
    let sent = bench.sent(&batch).await;
    insta::assert_snapshot!("long_value", sent.replace(&"long ".repeat(10_000), "long …"));
}

#[tokio::test]
async fn a_procedure() {
    let operations = "  ticket:\n    procedure: \"dbo.{Proc}\"\n    record_key: [Id]\n    on_delete: keep\n    idempotency_parameter: DeliveryKey\n    \
                      procedure_answers:\n      - { out: { Outcome: made }, is: delivered }\n    \
                      fields: { Id: { type: text }, CustomerID: { type: text }, Amount: { type: decimal }, Priority: { type: integer }, At: { type: time } }\n";
    let server = Server::peer();
    server.tables().await;
    let optional = |name: &str, ty: &str| Param::input(name, ty).or(SqlValue::Null);
    let parameters = vec![
        Param::input("@Id", "nvarchar(20)"),
        optional("@CustomerID", "varchar(20)"),
        optional("@Amount", "decimal(9, 2)"),
        optional("@Priority", "int"),
        optional("@At", "datetime2(3)"),
        Param::input("@DeliveryKey", "char(64)"),
        Param::output("@Outcome", "nvarchar(20)"),
    ];
    server.peer.as_ref().unwrap().procedure(&server.named("dbo.{Proc}"), parameters, |call| {
        call.set("@Outcome", SqlValue::Text("made".to_owned()));
        Ok(0)
    });
    let mut bench = Bench { target: server.target(operations), server, next: 0 };
    let fields = [
        ("CustomerID", Value::text("C1")),
        ("Amount", Value::text("12.5")),
        ("Priority", Value::Missing),
        ("At", Value::Time("2026-03-01T10:20:30.4567Z".parse().unwrap())),
    ];
    let ticket = bench.fixed(delivery("ticket", WriteIntent::Write, &[("Id", Value::text("7"))], &fields));
    target_preview(&bench.target, &ticket).await;
    insta::assert_snapshot!("procedure", bench.sent(&[ticket]).await);
}

#[tokio::test]
async fn a_look_up_a_preview_and_a_check() {
    let mut bench = Bench::usual(OPERATIONS).await;
    let sent = bench.interaction("a", "one");
    bench.forget();
    bench.target.settle(&sent).await.unwrap();
    insta::assert_snapshot!("settled_by_the_ledger", bench.shown());
    bench.forget();
    target_preview(&bench.target, &sent).await;
    insta::assert_snapshot!("preview", bench.shown());
    let how = "record_key: [Network, ActivityID]\n    compare: [Body]\n    soft_delete: { column: Gone, gone: 1, live: 0 }";
    let target = bench.server.target(&OPERATIONS.replacen("record_key: [Network, ActivityID]", how, 1));
    bench.forget();
    assert_eq!(told(&target.check().await), "");
    insta::assert_snapshot!("check", bench.shown());
}
