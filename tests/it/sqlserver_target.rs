//! Promise: a SQL Server takes each delivery once, says exactly what changed, refuses a bad record alone, and never holds a guess for an outcome.
//! Every test runs against the peer, and against the server that `KITH_TEST_SQLSERVER_URL` names.

use crate::on_every_server;
use crate::support::contract::{OPERATIONS, Server, answers, delivery, interaction, removal, shown, told, write};
use crate::support::tds::{Param, SqlValue};
use kith::deliver::{DeliveryError, Settled, Target};
use kith::model::{Delivery, Value, WriteEffect, WriteIntent};
use std::sync::Arc;

on_every_server! {
    a_record_is_written_once_and_changes_are_told
    the_same_delivery_again_changes_nothing
    one_record_twice_in_a_batch_is_written_in_order
    a_lead_is_written_once
    only_what_is_there_is_updated
    a_removed_record_keeps_its_marked_row
    fields_are_emptied
    a_bad_value_parks_alone
    a_record_that_the_table_refuses_is_found_by_halves
    a_delivery_is_settled_by_the_ledger
    a_preview_says_what_a_write_would
    values_stand_exactly_at_their_edges
    long_values_stand_exactly
    wide_columns_take_their_whole_length
    a_check_finds_what_does_not_fit
    a_thousand_rows_are_one_transaction
    text_of_every_script_comes_back
    a_procedure_is_called_once_for_each_record
    a_procedure_that_ends_the_transaction_is_settled
}

fn text(text: &str) -> Value {
    Value::text(text)
}

async fn a_record_is_written_once_and_changes_are_told(server: &Server) {
    server.tables().await;
    let target = server.target(OPERATIONS);
    let at: Value = Value::Time("2026-03-01T10:20:30.4567Z".parse().unwrap());
    let first = interaction("a1", &[("Body", text("hello")), ("PostedAt", at), ("Priority", Value::Integer(3)), ("Topic", Value::Missing)]);
    assert_eq!(
        answers(&target, &[first]).await,
        [
            r#"inserted Network: ∅ → x ActivityID: ∅ → a1 CustomerID: ∅ → C1 PostedAt: ∅ → "2026-03-01T10:20:30.457Z" Body: ∅ → hello Priority: ∅ → 3"#
        ]
    );
    let second = interaction("a1", &[("Body", text("Hello")), ("Priority", Value::Integer(3))]);
    assert_eq!(answers(&target, &[second]).await, ["updated Body: hello → Hello"], "a collation that ignores case hides no change");
    let third = interaction("a1", &[("Body", text("Hello"))]);
    assert_eq!(answers(&target, &[third]).await, ["unchanged"]);
    assert_eq!(
        answers(&target, &[removal("a1"), removal("a1")]).await,
        [
            r#"removed Network: x → ∅ ActivityID: a1 → ∅ CustomerID: C1 → ∅ PostedAt: "2026-03-01T10:20:30.457Z" → ∅ Body: Hello → ∅ Priority: 3 → ∅"#,
            "unchanged"
        ]
    );
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Interaction}").await, 0);
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Ledger}").await, 5);
}

async fn the_same_delivery_again_changes_nothing(server: &Server) {
    server.tables().await;
    let target = server.target(OPERATIONS);
    let batch: Vec<_> = (0..30).map(|n| interaction(&format!("a{n}"), &[("Body", text("one"))])).collect();
    assert!(write(&target, &batch).await.iter().all(|a| a.as_ref().unwrap().effect == WriteEffect::Inserted));
    // As after a crash: some are new, some had arrived; the CRM has changed one meanwhile.
    server.sql("UPDATE dbo.{Interaction} SET Body = N'theirs' WHERE ActivityID = N'a3'").await;
    let mut again = batch.clone();
    again.push(interaction("new", &[("Body", text("two"))]));
    let said = answers(&target, &again).await;
    assert!(said[..30].iter().all(|a| a == "unchanged"), "{said:?}");
    assert!(said[30].starts_with("inserted"), "{said:?}");
    assert_eq!(server.rows("SELECT Body FROM dbo.{Interaction} WHERE ActivityID = N'a3'").await, [[text("theirs")]]);
}

async fn one_record_twice_in_a_batch_is_written_in_order(server: &Server) {
    server.tables().await;
    let target = server.target(OPERATIONS);
    let batch = [
        interaction("a", &[("Body", text("1"))]),
        interaction("b", &[("Body", text("1"))]),
        interaction("a", &[("Body", text("2"))]),
        removal("b"),
        interaction("a", &[("Body", text("3"))]),
        interaction("b", &[("Body", text("4"))]),
    ];
    let said = answers(&target, &batch).await;
    assert_eq!(said[2], "updated Body: 1 → 2");
    assert_eq!(said[4], "updated Body: 2 → 3");
    assert!(said[3].starts_with("removed") && said[5].starts_with("inserted"), "{said:?}");
}

async fn a_lead_is_written_once(server: &Server) {
    server.tables().await;
    let target = server.target(OPERATIONS);
    let lead = |topic: &str| delivery("lead", WriteIntent::Write, &[("PostURL", text("https://x.example/1"))], &[("Topic", text(topic))]);
    assert!(answers(&target, &[lead("a")]).await[0].starts_with("inserted"));
    server.sql("UPDATE dbo.{Lead} SET Topic = N'taken'").await;
    assert_eq!(answers(&target, &[lead("b")]).await, ["unchanged"]);
    assert_eq!(server.rows("SELECT Topic FROM dbo.{Lead}").await, [[text("taken")]]);
}

async fn only_what_is_there_is_updated(server: &Server) {
    server.tables().await;
    let target = server
        .target(&OPERATIONS.replace("record_key: [Network, ActivityID]", "write: update_only\n    record_key: [Network, ActivityID]"));
    server.sql("INSERT INTO dbo.{Interaction} (Network, ActivityID, CustomerID) VALUES (N'x', N'a', N'C1')").await;
    let batch = [interaction("a", &[("Body", text("1"))]), interaction("b", &[("Body", text("1"))])];
    assert_eq!(answers(&target, &batch).await, ["updated Body: ∅ → 1", "unchanged"]);
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Interaction}").await, 1);
}

async fn a_removed_record_keeps_its_marked_row(server: &Server) {
    server.tables().await;
    let soft = "record_key: [Network, ActivityID]\n    soft_delete: { column: Gone, gone: 1, live: 0 }";
    let target = server.target(&OPERATIONS.replace("record_key: [Network, ActivityID]", soft));
    answers(&target, &[interaction("a", &[("Body", text("1"))])]).await;
    let gone = || server.rows("SELECT CAST(Gone AS int), Body FROM dbo.{Interaction}");
    let said = answers(&target, &[removal("a")]).await;
    assert!(said[0].starts_with("removed"), "{said:?}");
    assert_eq!(gone().await, [[Value::Integer(1), text("1")]]);
    assert_eq!(answers(&target, &[removal("a")]).await, ["unchanged"], "gone already");
    assert_eq!(answers(&target, &[interaction("a", &[("Body", text("1"))])]).await, ["updated"], "it lives again");
    assert_eq!(gone().await, [[Value::Integer(0), text("1")]]);
}

async fn fields_are_emptied(server: &Server) {
    server.tables().await;
    let target = server.target(&OPERATIONS.replacen("on_delete: remove", "on_delete: { blank: [Body, Topic] }", 1));
    answers(&target, &[interaction("a", &[("Body", text("secret")), ("Priority", Value::Integer(1))])]).await;
    let key = [("Network", text("x")), ("ActivityID", text("a"))];
    let blank = || delivery("interaction", WriteIntent::Blank, &key, &[("Body", Value::Missing), ("Topic", Value::Missing)]);
    assert_eq!(answers(&target, &[blank()]).await, ["blanked Body: secret → ∅"]);
    assert_eq!(answers(&target, &[blank()]).await, ["unchanged"]);
    assert_eq!(server.rows("SELECT Body, Priority FROM dbo.{Interaction}").await, [[Value::Missing, Value::Integer(1)]]);
    assert_eq!(
        server.rows("SELECT CAST(outcome AS int) FROM dbo.{Ledger} ORDER BY outcome").await,
        [[Value::Integer(0)], [Value::Integer(1)], [Value::Integer(4)]]
    );
}

async fn a_bad_value_parks_alone(server: &Server) {
    server.tables().await;
    let target = server.target(OPERATIONS);
    // 39 letters and a character of two UTF-16 units are 41.
    let long = format!("{}😀", "x".repeat(39));
    let batch = [
        interaction("good", &[("Body", text("fine"))]),
        interaction("long", &[("Body", text(&long))]),
        interaction("page", &[("Topic", text("日本"))]),
        interaction("big", &[("Priority", Value::Integer(3_000_000_000))]),
        interaction("early", &[("PostedAt", Value::Time("-000001-01-01T00:00:00Z".parse().unwrap()))]),
        interaction("also good", &[("Body", text(&long[..39]))]),
    ];
    let said = answers(&target, &batch).await;
    assert!(said[0].starts_with("inserted") && said[5].starts_with("inserted"), "{said:?}");
    assert_eq!(said[1], "refused KITH-D046: `Body` has 41 UTF-16 characters; the column takes 40");
    assert!(said[2].starts_with("refused KITH-D046: `Topic` has a character that code page "), "{said:?}");
    assert_eq!(said[3], "refused KITH-D046: `Priority` is outside of what int holds");
    assert_eq!(said[4], "refused KITH-D046: `PostedAt` is outside of what datetime2(3) holds");
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Interaction}").await, 2);
}

async fn a_record_that_the_table_refuses_is_found_by_halves(server: &Server) {
    server.tables().await;
    server.sql("CREATE TABLE dbo.{Contact} (Id nvarchar(64) NOT NULL PRIMARY KEY)").await;
    server.sql("INSERT INTO dbo.{Contact} (Id) VALUES (N'C1')").await;
    server.sql("CREATE TABLE dbo.{Small} (Id nvarchar(20) NOT NULL PRIMARY KEY, ContactId nvarchar(64) NULL REFERENCES dbo.{Contact} (Id), Code nvarchar(20) NULL UNIQUE)").await;
    let target = server.target(
        "  small:\n    table: \"dbo.{Small}\"\n    record_key: [Id]\n    on_delete: remove\n    fields: { Id: { type: text }, ContactId: { type: text }, Code: { type: text } }\n",
    );
    let small = |id: &str, contact: &str, code: &str| {
        delivery("small", WriteIntent::Write, &[("Id", text(id))], &[("ContactId", text(contact)), ("Code", text(code))])
    };
    let batch = [small("1", "C1", "a"), small("2", "nobody", "b"), small("3", "C1", "c"), small("4", "C1", "a")];
    let said = write(&target, &batch).await;
    assert!(said.iter().all(|a| matches!(a, Err(DeliveryError::BatchRefused { .. }))), "{:?}", said.iter().map(shown).collect::<Vec<_>>());
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Small}").await, 0, "nothing of a refused batch stands");
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Ledger}").await, 0);
    // Alone, each has its own answer.
    let mut said = Vec::new();
    for one in &batch {
        said.extend(write(&target, std::slice::from_ref(one)).await.iter().map(shown));
    }
    assert!(said[0].starts_with("inserted") && said[2].starts_with("inserted"), "{said:?}");
    assert!(said[1].starts_with("refused KITH-D045"), "{said:?}");
    assert!(said[3].starts_with("refused KITH-D044"), "{said:?}");
    assert!(!said.concat().contains("nobody"), "no value is told: {said:?}");
}

async fn a_delivery_is_settled_by_the_ledger(server: &Server) {
    server.tables().await;
    let target = server.target(OPERATIONS);
    let sent = interaction("a", &[("Body", text("1"))]);
    assert!(matches!(target.settle(&sent).await, Ok(Settled::NotThere)));
    write(&target, std::slice::from_ref(&sent)).await;
    let Ok(Settled::Delivered(receipt)) = target.settle(&sent).await else { panic!("it had arrived") };
    assert_eq!((receipt.effect, receipt.delivery), (WriteEffect::Inserted, sent.id));
    let gone = removal("a");
    write(&target, std::slice::from_ref(&gone)).await;
    assert!(matches!(target.settle(&gone).await, Ok(Settled::Delivered(r)) if r.effect == WriteEffect::Removed));
}

async fn a_preview_says_what_a_write_would(server: &Server) {
    server.tables().await;
    let target = server.target(OPERATIONS);
    answers(&target, &[interaction("a", &[("Body", text("1"))])]).await;
    let batch = [
        interaction("a", &[("Body", text("2"))]),
        interaction("b", &[("Body", text("1")), ("Priority", Value::Integer(2))]),
        interaction("b", &[("Body", text("3"))]),
        removal("a"),
        removal("nowhere"),
        interaction("c", &[("Body", text(&"x".repeat(41)))]),
    ];
    let told: Vec<String> = target.preview(&batch).await.iter().map(shown).collect();
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Interaction}").await, 1, "a preview writes nothing");
    assert_eq!(answers(&target, &batch).await, told);
    assert!(target.preview(&batch[..1]).await.iter().map(shown).all(|s| s == "unchanged"), "it has arrived");
}

/// Every type that a CRM uses, at its edges: what was written is what another client reads, and the same again is no change.
#[expect(clippy::too_many_lines, reason = "a table of types and their edges")]
async fn values_stand_exactly_at_their_edges(server: &Server) {
    server.tables().await;
    server
        .sql(
            "CREATE TABLE dbo.{Types} (Id int NOT NULL PRIMARY KEY, Tiny tinyint NULL, Small smallint NULL, Big bigint NULL, Truth bit NULL, \
             Dec38 decimal(38, 10) NULL, Num5 numeric(5, 2) NULL, Cash money NULL, Coin smallmoney NULL, Dbl float NULL, Sgl real NULL, Day date NULL, \
             Clock time(3) NULL, Small2 smalldatetime NULL, Old datetime NULL, New2 datetime2(6) NULL, Zoned datetimeoffset(3) NULL, Code char(6) NULL, \
             Wide nchar(6) NULL, Note varchar(20) NULL, Free nvarchar(max) NULL, Guid uniqueidentifier NULL, Bytes varbinary(16) NULL, \
             Fixed binary(4) NULL, Doc xml NULL)",
        )
        .await;
    let operations = r#"
  types:
    table: "dbo.{Types}"
    record_key: [Id]
    on_delete: keep
    fields:
      Id: { type: integer }
      Tiny: { type: integer }
      Small: { type: integer }
      Big: { type: integer }
      Truth: { type: bool }
      Dec38: { type: decimal }
      Num5: { type: decimal }
      Cash: { type: decimal }
      Coin: { type: decimal }
      Dbl: { type: number }
      Sgl: { type: number }
      Day: { type: date }
      Clock: { type: time_of_day }
      Small2: { type: time }
      Old: { type: time }
      New2: { type: time }
      Zoned: { type: time }
      Code: { type: text }
      Wide: { type: text }
      Note: { type: text }
      Free: { type: text }
      Guid: { type: uuid }
      Bytes: { type: binary }
      Fixed: { type: binary }
      Doc: { type: text }
"#;
    let target = server.target(operations);
    let time = |text: &str| Value::Time(text.parse().unwrap());
    let row = |id: i64, values: Vec<(&'static str, Value)>| (id, values);
    let rows = [
        row(
            1,
            vec![
                ("Tiny", Value::Integer(255)),
                ("Small", Value::Integer(-32_768)),
                ("Big", Value::Integer(i64::MIN)),
                ("Truth", Value::Bool(true)),
                ("Dec38", text("-9999999999999999999999999999.9999999999")),
                ("Num5", text("-999.99")),
                ("Cash", text("-922337203685477.5808")),
                ("Coin", text("214748.3647")),
                ("Dbl", Value::Number(1.797_693_134_862_315_7e308)),
                ("Sgl", Value::Number(0.5)),
                ("Day", text("9999-12-31")),
                ("Clock", text("23:59:59.999")),
                ("Small2", time("2079-06-06T23:59:00Z")),
                ("Old", time("1753-01-01T00:00:00.003Z")),
                ("New2", time("9999-12-30T20:59:59.999999Z")),
                ("Zoned", time("2026-02-28T23:59:59.999Z")),
                ("Code", text("ab")),
                ("Wide", text("日本")),
                ("Note", text("it's; -- €")),
                ("Free", text(&"žluťoučký 🐎 ".repeat(700))),
                ("Guid", text("6f9619ff-8b86-d011-b42d-00c04fc964ff")),
                ("Bytes", text("AAEC/w==")),
                ("Fixed", text("AQIDBA==")),
                ("Doc", text("<a b=\"1\">x</a>")),
            ],
        ),
        row(
            2,
            vec![
                ("Tiny", Value::Integer(0)),
                ("Small", Value::Integer(32_767)),
                ("Big", Value::Integer(i64::MAX)),
                ("Truth", Value::Bool(false)),
                ("Dec38", text("0.0000000001")),
                ("Num5", text("0")),
                ("Cash", text("922337203685477.5807")),
                ("Coin", text("-214748.3648")),
                ("Dbl", Value::Number(-1e-10)),
                ("Sgl", Value::Number(f64::from(1.1_f32))),
                ("Day", text("0001-01-01")),
                ("Clock", text("00:00:00")),
                ("Small2", time("1900-01-01T00:00:00Z")),
                ("Old", time("9999-12-30T20:59:59.997Z")),
                ("New2", time("0001-01-01T00:00:00Z")),
                ("Zoned", time("0001-01-02T00:00:00Z")),
                ("Code", text("abcdef")),
                ("Wide", text("abcdef")),
                ("Note", text("20 characters long!!")),
                ("Free", text("x")),
                ("Guid", text("00000000-0000-0000-0000-000000000000")),
                ("Bytes", text("AAAAAAAAAAAAAAAAAAAAAA==")),
                ("Fixed", text("AAAAAA==")),
                ("Doc", text("<r/>")),
            ],
        ),
        row(
            3,
            vec![
                ("Tiny", Value::Missing),
                ("Free", Value::Missing),
                ("Guid", Value::Missing),
                ("Bytes", Value::Missing),
                ("New2", Value::Missing),
            ],
        ),
    ];
    let deliveries = || {
        rows.iter().map(|(id, fields)| delivery("types", WriteIntent::Write, &[("Id", Value::Integer(*id))], fields)).collect::<Vec<_>>()
    };
    for answer in write(&target, &deliveries()).await {
        assert_eq!(answer.as_ref().map(|r| r.effect), Ok(WriteEffect::Inserted), "{}", shown(&answer));
    }
    for answer in write(&target, &deliveries()).await {
        assert_eq!(shown(&answer), "unchanged", "what was read is what was written");
    }
    // As another client reads them.
    let seen = server
        .rows(
            "SELECT CAST(Dec38 AS varchar(50)), CAST(Cash AS varchar(50)), CONVERT(varchar(30), New2, 126), CONVERT(varchar(30), Old, 126), \
             CAST(Day AS varchar(10)), CAST(DATALENGTH(Wide) AS int), CAST(LEN(Free) AS int), CAST(Guid AS varchar(36)) FROM dbo.{Types} WHERE Id = 1",
        )
        .await;
    let [dec, cash, new2, old, day, wide, ..] = seen[0].as_slice() else { panic!() };
    assert_eq!(*dec, text("-9999999999999999999999999999.9999999999"));
    assert!(cash.as_text().is_some_and(|cash| cash.starts_with("-922337203685477.58")), "{cash:?}");
    assert_eq!(*new2, text("9999-12-30T20:59:59.999999"));
    assert_eq!(*old, text("1753-01-01T00:00:00.003"));
    assert_eq!(*day, text("9999-12-31"));
    assert_eq!(*wide, Value::Integer(12), "six characters of two bytes");
    // Beyond the edges each is refused alone.
    let bad = [
        ("Tiny", Value::Integer(256)),
        ("Num5", text("1000")),
        ("Num5", text("0.001")),
        ("Cash", text("922337203685477.5808")),
        ("Clock", text("10:00:00.0001")),
        ("Small2", time("2079-06-07T00:00:00Z")),
        ("Old", time("1752-12-31T00:00:00Z")),
        ("Code", text("abcdefg")),
        ("Bytes", text("AAAAAAAAAAAAAAAAAAAAAAA=")),
    ];
    for (name, value) in bad {
        let said = answers(&target, &[delivery("types", WriteIntent::Write, &[("Id", Value::Integer(9))], &[(name, value)])]).await;
        assert!(said[0].starts_with("refused KITH-D046"), "{name}: {said:?}");
    }
}

const LONG: &str = r#"
  types:
    table: "dbo.{Types}"
    record_key: [Id]
    on_delete: remove
    fields: { Id: { type: integer }, Free: { type: text }, Page: { type: text }, Blob: { type: binary } }
"#;

/// What the driver's bulk load can't carry (more than 65,535 bytes) goes by parameters, beside rows that it can.
async fn long_values_stand_exactly(server: &Server) {
    server.tables().await;
    server
        .sql("CREATE TABLE dbo.{Types} (Id int NOT NULL PRIMARY KEY, Free nvarchar(max) NULL, Page varchar(max) NULL, Blob varbinary(max) NULL)")
        .await;
    let lengths = [10, 32_767, 32_768, 65_535, 65_536, 200_000, 1_000_000];
    // No two places look the same, so that a piece that is lost or comes twice is seen.
    let words = |length: usize, salt: usize| -> String {
        let mut out: String = (0..)
            .map(|n| format!("{} ", n * 7 + salt))
            .scan(0, |sum, word| {
                (*sum < length).then(|| {
                    *sum += word.len();
                    word
                })
            })
            .collect();
        out.truncate(length - 1);
        out + "."
    };
    let row = |id: usize, length: usize, salt: usize| {
        // A horse is two UTF-16 units.
        let free = if length > 2 { format!("{}🐎", words(length - 2, salt)) } else { words(length, salt) };
        let blob = base64(words(length, salt + 1).as_bytes());
        let fields = [("Free", text(&free)), ("Page", text(&words(length, salt + 2))), ("Blob", text(&blob))];
        delivery("types", WriteIntent::Write, &[("Id", Value::Integer(i64::try_from(id).unwrap()))], &fields)
    };
    let batch = |salt: usize| lengths.iter().enumerate().map(|(id, length)| row(id, *length, salt)).collect::<Vec<_>>();
    let stands = |batch: &[Delivery]| -> Vec<Vec<Value>> {
        batch.iter().map(|delivery| delivery.payload.reveal().iter().map(|(_, value)| value.clone()).collect()).collect()
    };
    let read = || server.rows("SELECT Id, Free, Page, Blob FROM dbo.{Types} ORDER BY Id");
    for how in ["", "compare: [Free, Page]\n    on_conflict: theirs"] {
        let target = server.target(&LONG.replace("on_delete: remove", &format!("on_delete: remove\n    {how}")));
        for (salt, effect) in [(0, WriteEffect::Inserted), (1, WriteEffect::Updated)] {
            let sent = batch(salt);
            for answer in write(&target, &sent).await {
                assert_eq!(answer.map(|receipt| receipt.effect), Ok(effect), "{how}");
            }
            assert!(read().await == stands(&sent), "{how}: a value is not what was sent");
        }
        for answer in write(&target, &batch(1)).await {
            assert_eq!(answer.map(|receipt| receipt.effect), Ok(WriteEffect::Unchanged), "{how}");
        }
        if !how.is_empty() {
            // What the CRM wrote is long too, and is kept and compared as a whole.
            server.sql("UPDATE dbo.{Types} SET Free = Free + N'!'").await;
            let said = write(&target, &batch(2)).await;
            assert!(said.iter().all(|a| a.as_ref().is_ok_and(|r| r.effect == WriteEffect::Updated && *r.kept == [Arc::from("Free")])));
            let mut wanted = stands(&batch(2));
            for (row, ours) in wanted.iter_mut().zip(stands(&batch(1))) {
                row[1] = text(&format!("{}!", ours[1].as_text().unwrap()));
            }
            assert!(read().await == wanted, "the CRM's text is kept whole");
        }
        let gone: Vec<_> = (0..lengths.len())
            .map(|id| delivery("types", WriteIntent::Remove, &[("Id", Value::Integer(i64::try_from(id).unwrap()))], &[]))
            .collect();
        assert!(write(&target, &gone).await.iter().all(|a| a.as_ref().is_ok_and(|r| r.effect == WriteEffect::Removed)));
    }
}

/// The driver announces some of these widths otherwise than it sends them.
async fn wide_columns_take_their_whole_length(server: &Server) {
    server.tables().await;
    let columns = [
        ("A", "nvarchar(1)", 1),
        ("B", "nvarchar(2000)", 2_000),
        ("C", "nvarchar(2001)", 2_001),
        ("D", "nvarchar(4000)", 4_000),
        ("E", "varchar(8000)", 8_000),
        ("F", "nchar(2001)", 2_001),
    ];
    let declared: Vec<String> = columns.iter().map(|(name, ty, _)| format!("{name} {ty} NULL")).collect();
    server.sql(&format!("CREATE TABLE dbo.{{Types}} (Id int NOT NULL PRIMARY KEY, {})", declared.join(", "))).await;
    let fields: Vec<String> = columns.iter().map(|(name, ..)| format!("{name}: {{ type: text }}")).collect();
    let operations = format!(
        "  types:\n    table: \"dbo.{{Types}}\"\n    record_key: [Id]\n    on_delete: keep\n    fields: {{ Id: {{ type: integer }}, {} }}\n",
        fields.join(", ")
    );
    let target = server.target(&operations);
    let row = |id: i64, sign: &str| {
        let fields: Vec<(&str, Value)> = columns.iter().map(|(name, _, length)| (*name, text(&sign.repeat(*length)))).collect();
        delivery("types", WriteIntent::Write, &[("Id", Value::Integer(id))], &fields)
    };
    for answer in write(&target, &[row(1, "x"), row(2, "y")]).await {
        assert_eq!(answer.as_ref().map(|r| r.effect), Ok(WriteEffect::Inserted), "{}", shown(&answer));
    }
    assert_eq!(answers(&target, &[row(1, "x")]).await, ["unchanged"]);
    let lengths = server.rows("SELECT LEN(A), LEN(B), LEN(C), LEN(D), LEN(E), LEN(F) FROM dbo.{Types} WHERE Id = 2").await;
    let wanted: Vec<Value> = columns.iter().map(|(_, _, length)| Value::Integer(i64::try_from(*length).unwrap())).collect();
    assert_eq!(lengths, [wanted]);
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

async fn a_check_finds_what_does_not_fit(server: &Server) {
    server.tables().await;
    assert_eq!(told(&server.target(OPERATIONS).check().await), "");
    server.sql("CREATE TABLE dbo.{Small} (Id int IDENTITY(1,1) NOT NULL PRIMARY KEY, Name nvarchar(10) NOT NULL, Must int NOT NULL, Note nvarchar(5) NULL)").await;
    let target = server.target(
        "  small:\n    table: \"dbo.{Small}\"\n    record_key: [Name]\n    on_delete: remove\n    fields: { Name: { type: text }, Note: { type: text, max_length: 40 }, Nmae: { type: text }, Id: { type: integer } }\n  gone:\n    table: dbo.KithNoSuchTable\n    record_key: [Name]\n    on_delete: keep\n    fields: { Name: { type: text } }\n",
    );
    let told = told(&target.check().await);
    for wanted in [
        "no column `Nmae`",
        "did you mean `Name`",
        "`Id` of dbo.",
        "an identity or computed column",
        "`Must` of dbo.",
        "no field fills it",
        "KITH-D056",
        "takes 5",
        "KithNoSuchTable",
    ] {
        assert!(told.contains(wanted), "{wanted} is not told:\n{told}");
    }
    let said = write(&target, &[delivery("small", WriteIntent::Write, &[("Name", text("a"))], &[])]).await;
    assert!(matches!(&said[0], Err(DeliveryError::Unavailable { .. })), "{}", shown(&said[0]));
}

async fn a_thousand_rows_are_one_transaction(server: &Server) {
    server.tables().await;
    let target = server.target(OPERATIONS);
    let batch: Vec<_> =
        (0..1_000).map(|n| interaction(&format!("a{n}"), &[("Body", text("one")), ("Priority", Value::Integer(n))])).collect();
    assert!(write(&target, &batch).await.iter().all(|a| a.as_ref().is_ok_and(|r| r.effect == WriteEffect::Inserted)));
    // Some change, some don't, some are new, some go.
    let mut batch: Vec<_> = (0..1_000)
        .map(|n| interaction(&format!("a{n}"), &[("Body", text(if n % 3 == 0 { "two" } else { "one" })), ("Priority", Value::Integer(n))]))
        .collect();
    batch.extend((0..200).map(|n| interaction(&format!("b{n}"), &[("Body", text("new")), ("Priority", Value::Integer(n))])));
    let said = write(&target, &batch).await;
    let of = |effect| said.iter().filter(|a| a.as_ref().is_ok_and(|r| r.effect == effect)).count();
    assert_eq!((of(WriteEffect::Updated), of(WriteEffect::Unchanged), of(WriteEffect::Inserted)), (334, 666, 200));
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Interaction} WHERE Body = N'two'").await, 334);
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Ledger}").await, 2_200);
}

async fn text_of_every_script_comes_back(server: &Server) {
    server.tables().await;
    let target = server.target(OPERATIONS);
    let bodies = [
        "'; DROP TABLE x; --",
        "日本語テスト",
        "🏳️‍🌈 👩‍👩‍👧",
        "Ça va ?\r\n\tdeux",
        "مرحبا",
        "a\u{301} ≠ á",
        "]]>&amp;<b>",
        "\u{feff}bom",
        "N'x' + @P1 [a]",
    ];
    let batch: Vec<_> = bodies.iter().enumerate().map(|(n, body)| interaction(&format!("t{n} '{n}' ]"), &[("Body", text(body))])).collect();
    assert!(write(&target, &batch).await.iter().all(|a| a.as_ref().is_ok_and(|r| r.effect == WriteEffect::Inserted)));
    let mut read: Vec<String> =
        server.rows("SELECT Body FROM dbo.{Interaction}").await.iter().map(|row| row[0].as_text().unwrap().to_owned()).collect();
    let mut wanted: Vec<String> = bodies.iter().map(ToString::to_string).collect();
    read.sort();
    wanted.sort();
    assert_eq!(read, wanted);
}

const PROCEDURES: &str = r#"
  ticket:
    procedure: "dbo.{Proc}"
    remove_procedure: "dbo.{Proc}_gone"
    record_key: [Id]
    on_delete: remove
    idempotency_parameter: DeliveryKey
    procedure_answers:
      - { returns: 2, is: unchanged }
      - { returns: 0, out: { Outcome: busy }, is: failed }
    fields: { Id: { type: text }, Note: { type: text }, Amount: { type: decimal } }
"#;

/// The procedures, as a DBA writes them; the peer has them as closures.
async fn procedures(server: &Server) {
    server.tables().await;
    server.sql("CREATE TABLE dbo.{Small} (Id nvarchar(20) NOT NULL PRIMARY KEY, Note nvarchar(20) NULL, Amount decimal(9, 2) NULL)").await;
    let body = "IF @Note = N'same' RETURN 2; IF @Note = N'no' RETURN 7; SET @Outcome = N'made'; IF @Note = N'later' BEGIN SET @Outcome = N'busy'; RETURN 0; END; ";
    let create = format!(
        "CREATE PROCEDURE dbo.{{Proc}} @Id nvarchar(20), @Note nvarchar(20), @Amount decimal(9, 2), @DeliveryKey nvarchar(64), @Outcome nvarchar(20) OUTPUT \
         AS BEGIN {body} INSERT INTO dbo.{{Small}} (Id, Note, Amount) VALUES (@Id, @Note, @Amount); RETURN 0; END"
    );
    let Some(peer) = &server.peer else {
        server.sql(&create).await;
        server.sql("CREATE PROCEDURE dbo.{Proc}_gone @Id nvarchar(20), @Note nvarchar(20) = NULL, @Amount decimal(9, 2) = NULL, @DeliveryKey nvarchar(64), @Outcome nvarchar(20) OUTPUT AS BEGIN SET @Outcome = N'gone'; DELETE FROM dbo.{Small} WHERE Id = @Id; RETURN 0; END").await;
        return;
    };
    let parameters = || {
        vec![
            Param::input("@Id", "nvarchar(20)"),
            Param::input("@Note", "nvarchar(20)").or(SqlValue::Null),
            Param::input("@Amount", "decimal(9, 2)").or(SqlValue::Null),
            Param::input("@DeliveryKey", "nvarchar(64)"),
            Param::output("@Outcome", "nvarchar(20)"),
        ]
    };
    let insert = server.named("INSERT INTO dbo.{Small} (Id, Note, Amount) VALUES (@Id, @Note, @Amount)");
    peer.procedure(&server.named("dbo.{Proc}"), parameters(), move |call| {
        let note = call.get("@Note").text().unwrap_or_default().to_owned();
        assert_eq!(call.get("@DeliveryKey").text().map(str::len), Some(64), "the idempotency key came along");
        call.set("@Outcome", SqlValue::Text(if note == "later" { "busy" } else { "made" }.to_owned()));
        match note.as_str() {
            "same" => Ok(2),
            "no" => Ok(7),
            "later" => Ok(0),
            _ => call.sql(&insert).map(|_| 0),
        }
    });
    let delete = server.named("DELETE FROM dbo.{Small} WHERE Id = @Id");
    peer.procedure(&server.named("dbo.{Proc}_gone"), parameters(), move |call| {
        call.set("@Outcome", SqlValue::Text("gone".to_owned()));
        call.sql(&delete).map(|_| 0)
    });
}

async fn a_procedure_is_called_once_for_each_record(server: &Server) {
    procedures(server).await;
    let target = server.target(PROCEDURES);
    assert_eq!(told(&target.check().await), "");
    let ticket = |id: &str, note: &str, amount: &str| {
        delivery("ticket", WriteIntent::Write, &[("Id", text(id))], &[("Note", text(note)), ("Amount", text(amount))])
    };
    let batch = [
        ticket("1", "new", "12.50"),
        ticket("2", "same", "1"),
        ticket("3", "no", "1"),
        ticket("4", "later", "1"),
        ticket("5", "fine", "0.001"),
        ticket("6", &"x".repeat(21), "1"),
        ticket("7", "last", "3"),
    ];
    let said = answers(&target, &batch).await;
    assert_eq!(said[0], "updated Id: ∅ → 1 Note: ∅ → new Amount: ∅ → 12.5");
    assert_eq!(said[1], "unchanged");
    assert!(said[2].starts_with("refused KITH-D054") && said[2].contains("return code 7"), "{said:?}");
    assert!(said[3].starts_with("failed KITH-D054"), "{said:?}");
    assert_eq!(said[4], "refused KITH-D046: `Amount` has 3 decimals; the column keeps 2");
    assert!(said[5].starts_with("refused KITH-D046: `Note` has 21"), "{said:?}");
    assert!(said[6].starts_with("updated"), "a record that is refused holds back no other: {said:?}");
    // What was refused or failed left no row in the ledger, so that it can be sent again.
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Ledger}").await, 3);
    assert_eq!(
        server.rows("SELECT Id, CAST(Amount AS varchar(20)) FROM dbo.{Small} ORDER BY Id").await,
        [[text("1"), text("12.50")], [text("7"), text("3.00")]]
    );
    // The very same delivery again: the ledger knows it, and the procedure's own key is not hit.
    assert_eq!(answers(&target, &batch[..1]).await, ["unchanged"]);
    assert!(matches!(target.settle(&batch[0]).await, Ok(Settled::Delivered(_))));
    assert!(matches!(target.settle(&batch[2]).await, Ok(Settled::NotThere)));
    let gone = delivery("ticket", WriteIntent::Remove, &[("Id", text("1"))], &[]);
    assert!(answers(&target, &[gone]).await[0].starts_with("removed"));
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Small}").await, 1);
}

/// A procedure may not do it; where one does, nobody guesses what came of it.
async fn a_procedure_that_ends_the_transaction_is_settled(server: &Server) {
    server.tables().await;
    server.sql("CREATE TABLE dbo.{Small} (Id nvarchar(20) NOT NULL PRIMARY KEY)").await;
    let insert = server.named("INSERT INTO dbo.{Small} (Id) VALUES (@Id)");
    for (name, end) in [("{Proc}", "COMMIT TRANSACTION"), ("{Proc}_gone", "ROLLBACK TRANSACTION")] {
        match &server.peer {
            Some(peer) => {
                let insert = insert.clone();
                peer.procedure(&server.named(&format!("dbo.{name}")), vec![Param::input("@Id", "nvarchar(20)")], move |call| {
                    call.sql(&insert)?;
                    call.sql(end).map(|_| 0)
                });
            }
            None => {
                server.sql(&format!("CREATE PROCEDURE dbo.{name} @Id nvarchar(20) AS BEGIN {insert}; {end}; RETURN 0; END")).await;
            }
        }
    }
    let operation = |name: &str, procedure: &str| {
        format!(
            "  {name}:\n    procedure: \"dbo.{procedure}\"\n    record_key: [Id]\n    on_delete: keep\n    fields: {{ Id: {{ type: text }} }}\n"
        )
    };
    let target = server.target(&(operation("commits", "{Proc}") + &operation("rolls_back", "{Proc}_gone")));
    let record = |operation: &str| delivery(operation, WriteIntent::Write, &[("Id", text(operation))], &[]);
    for (name, arrived) in [("commits", true), ("rolls_back", false)] {
        let sent = record(name);
        let said = write(&target, std::slice::from_ref(&sent)).await.pop().unwrap();
        assert!(matches!(said, Err(DeliveryError::OutcomeUnknown { .. })), "{name}: {}", shown(&said));
        let settled = target.settle(&sent).await.unwrap();
        assert_eq!(matches!(settled, Settled::Delivered(_)), arrived, "{name}: {settled:?}");
    }
    assert_eq!(server.rows("SELECT Id FROM dbo.{Small}").await, [[text("commits")]]);
    // The session is clean: the next one goes through it.
    assert!(answers(&target, &[Delivery { attempt: 2, ..record("commits") }]).await[0].starts_with("refused KITH-D044"));
}

/// Sixteen mebibytes a transaction: what is read and held for it does not grow with the batch.
#[tokio::test]
async fn many_long_values_are_several_transactions() {
    let server = Server::peer();
    server.tables().await;
    server.sql("CREATE TABLE dbo.{Types} (Id int NOT NULL PRIMARY KEY, Free nvarchar(max) NULL, Page varchar(max) NULL, Blob varbinary(max) NULL)").await;
    let target = server.target(LONG);
    let long = text(&"x".repeat(1_000_000));
    let batch: Vec<_> =
        (0..20).map(|id| delivery("types", WriteIntent::Write, &[("Id", Value::Integer(id))], &[("Free", long.clone())])).collect();
    let peer = server.peer.as_ref().unwrap();
    peer.forget();
    assert!(write(&target, &batch).await.iter().all(|a| a.as_ref().is_ok_and(|r| r.effect == WriteEffect::Inserted)));
    let commits = peer.recorded().iter().filter(|request| request.text() == "COMMIT TRANSACTION").count();
    assert_eq!(commits, 2, "sixteen and four");
    assert_eq!(server.count("SELECT COUNT(*) FROM dbo.{Types} WHERE LEN(Free) = 1000000").await, 20);
}
