//! Promise: a customer file is an update only when it was read to its end; a bad row stands aside, a bad file changes nothing.

use flate2::{Compression, write::GzEncoder};
use kith::customers::{CustomersError, ParkedRow, ReadCustomer, ReadSummary, read, read_related};
use kith::declare::config::{SqliteRows, TableKind, TableSpec};
use kith::model::{CustomerId, Value};
use kith::normalize::{Cleaner, CustomerFields, Extract, Field};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Rows = Vec<Result<ReadCustomer, ParkedRow>>;

fn fields(merged_into: Option<&str>, columns: &[(&str, bool)]) -> CustomerFields {
    let field = |(at, (name, optional)): (usize, &(&str, bool))| Field {
        name: (*name).into(),
        from: vec![at],
        extract: Extract::Clean(Cleaner::Text),
        optional: *optional,
    };
    CustomerFields {
        related: Vec::new(),
        key: "customer_id".into(),
        merged_into: merged_into.map(Arc::from),
        columns: columns.iter().map(|(name, _)| Arc::from(*name)).collect(),
        fields: columns.iter().enumerate().map(field).collect(),
    }
}

fn csv(path: &Path) -> TableSpec {
    TableSpec { name: "crm".into(), kind: TableKind::Csv { path: path.into(), delimiter: b',' } }
}

fn all(spec: &TableSpec, fields: &CustomerFields) -> (Rows, Result<ReadSummary, CustomersError>) {
    let mut rows = Vec::new();
    let summary = read(spec, fields, 3, &mut |batch| rows.extend(batch));
    (rows, summary)
}

fn gz(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn retail(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/retail").join(name)
}

fn shown(row: &Result<ReadCustomer, ParkedRow>) -> String {
    match row {
        Ok(read) => {
            let cells: Vec<_> = read.customer.raw.reveal().iter().map(|v| v.to_json().to_string()).collect();
            let merged = read.customer.merged_into.as_ref().map(|m| format!(" -> {}", m.as_str())).unwrap_or_default();
            format!("{}{merged} {}", read.customer.id.as_str(), cells.join(" "))
        }
        Err(parked) => {
            let customer = parked.customer.as_ref().map_or("?", |c| c.as_str());
            format!("line {} {} {customer}", parked.line, parked.reason.code)
        }
    }
}

fn expect(spec: &TableSpec, fields: &CustomerFields, expected: &[&str]) -> ReadSummary {
    let (rows, summary) = all(spec, fields);
    assert_eq!(rows.iter().map(shown).collect::<Vec<_>>(), expected);
    summary.unwrap()
}

fn code(spec: &TableSpec, fields: &CustomerFields) -> (&'static str, String) {
    let error = all(spec, fields).1.unwrap_err();
    let diagnostic = error.diagnostic();
    (error.code().0, diagnostic.to_string())
}

#[test]
fn rows_are_read_in_any_quoting_and_bad_ones_stand_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.csv");
    let content: &[u8] = b"\xef\xbb\xbfcustomer_id,name,master_id\r\n\
        C1,\"Rossi, \"\"Ada\"\"\",\r\n\
        C2,too,many,cells\r\n\
        C3,Caf\xe9,\r\n\
        ,nobody,\r\n\
        C1,again,\r\n\
        \xff,x,\r\n\
        C4,\"two\nlines\",C1\r\n\
        C5,  ,C5\r\n\
        C6,5\" pipe,\xc3\r\n\
        C7,\xc3,\xa9\r\n\
        C8,last,";
    let expected = [
        r#"C1 "Rossi, \"Ada\"""#,
        "line 3 KITH-U020 C2",
        "line 4 KITH-U021 C3",
        "line 5 KITH-U022 ?",
        "line 6 KITH-U023 C1",
        "line 7 KITH-U021 ?",
        r#"C4 -> C1 "two\nlines""#,
        "C5 null",
        "line 11 KITH-U021 C6",
        "line 12 KITH-U021 C7",
        r#"C8 "last""#,
    ];
    let fields = fields(Some("master_id"), &[("name", false)]);
    fs::write(&path, content).unwrap();
    let plain = expect(&csv(&path), &fields, &expected);
    assert_eq!((plain.rows, plain.parked), (11, 7));
    fs::write(&path, gz(content)).unwrap();
    let packed = expect(&csv(&path), &fields, &expected);
    assert_eq!((packed.rows, packed.parked), (11, 7));
}

#[test]
fn parked_reasons_never_show_what_stands_in_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.csv");
    fs::write(&path, b"customer_id,name\nC1,Ada,Secret\nC2,Bob\xff\nC3,x\nC3,Carl\n").unwrap();
    let (rows, _) = all(&csv(&path), &fields(None, &[("name", false)]));
    let text = format!("{:?}", rows.iter().filter_map(|r| r.as_ref().err()).collect::<Vec<_>>());
    for personal in ["C1", "C2", "C3", "Secret", "Ada", "Bob", "Carl"] {
        assert!(!text.contains(personal), "{personal} in {text}");
    }
}

#[test]
fn an_incomplete_file_is_never_an_update() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.csv");
    let fields = fields(None, &[("name", false)]);
    let spec = csv(&path);
    assert_eq!(code(&spec, &fields).0, "KITH-U001");
    for (content, expected) in [
        (&b"customer_id,name\nC1,a\nC2"[..], "KITH-U003"),
        (b"customer_id,name\nC1,a\nC2,\"b", "KITH-U003"),
        (b"customer_id,name\nC1,a\nC2,\"b\n", "KITH-U003"),
        (b"customer_id,name\nC1,a\nC2,\"b\"\"", "KITH-U003"),
        (b"", "KITH-U006"),
        (b"customer_id,name,name\n", "KITH-U006"),
        (b"customer_id,n\xff\n", "KITH-U006"),
        (b"id,name\nC1,a\n", "KITH-U007"),
    ] {
        fs::write(&path, content).unwrap();
        assert_eq!(code(&spec, &fields).0, expected, "{}", String::from_utf8_lossy(content));
    }
    for content in
        [&b"customer_id,name\nC1,a\nC2,\"b\""[..], b"customer_id,name\nC1,a\nC2,b", b"customer_id,name\nC1,a\"\"b\n", b"customer_id,name\n"]
    {
        fs::write(&path, content).unwrap();
        assert!(all(&spec, &fields).1.is_ok(), "{}", String::from_utf8_lossy(content));
    }
    let endless = [b"customer_id,name\nC1,\"".to_vec(), b"x,y\n".repeat(1 << 20)].concat();
    fs::write(&path, endless).unwrap();
    assert_eq!(code(&spec, &fields).0, "KITH-U008");
    let mut packed = Vec::new();
    fs::File::open(retail("customers.csv.gz")).unwrap().read_to_end(&mut packed).unwrap();
    fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    assert_eq!(code(&spec, &fields).0, "KITH-U003", "half of a packed file");
    packed[100_000] ^= 0x55;
    fs::write(&path, &packed).unwrap();
    assert!(["KITH-U003", "KITH-U004"].contains(&code(&spec, &fields).0), "a damaged packed file");
}

#[test]
fn a_missing_column_is_named_with_its_nearest_header_and_an_optional_one_is_not_needed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.csv");
    fs::write(&path, "customer_id,e_mail\nC1,a@b.example\n").unwrap();
    let (code, text) = code(&csv(&path), &fields(None, &[("email", false), ("segment", true)]));
    assert_eq!(code, "KITH-U007");
    assert!(text.contains("`email`") && text.contains("`e_mail`") && !text.contains("segment"), "{text}");
    expect(&csv(&path), &fields(None, &[("e_mail", false), ("segment", true)]), &[r#"C1 "a@b.example" null"#]);
}

#[test]
fn a_digest_changes_exactly_with_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.csv");
    let digest = |row: &str, fields: &CustomerFields| {
        fs::write(&path, format!("customer_id,name,city,master_id\n{row}\n")).unwrap();
        all(&csv(&path), fields).0.remove(0).unwrap().digest
    };
    let both = fields(Some("master_id"), &[("name", false), ("city", false)]);
    let first = digest("C1,ab,c,", &both);
    assert_eq!(first, digest("C1,ab,c,", &both));
    for other in ["C1,a,bc,", "C1,ab,,", "C1,ab,c,C2", "C1,ab,d,"] {
        assert_ne!(first, digest(other, &both), "{other}");
    }
    let name = fields(None, &[("name", false)]);
    assert_eq!(digest("C1,ab,c,", &name), digest("C1,ab,other,C2", &name), "columns that nobody reads do not count");
}

#[test]
fn a_database_gives_the_same_customers_as_a_file_from_a_table_or_a_query_and_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crm.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute_batch(
            "CREATE TABLE \"cust omer\" (customer_id, name, balance);
             INSERT INTO \"cust omer\" VALUES ('C1', 'Ada', 1.5), (7, 'Bo', NULL), (NULL, 'x', 0), ('C1', 'y', 0), ('C3', x'00ff', 0), (1.5, 'z', 0), ('C4', CAST(x'ff' AS TEXT), 0);",
        )
        .unwrap();
    let table = |rows| TableSpec { name: "crm".into(), kind: TableKind::Sqlite { path: path.clone(), rows } };
    let fields = fields(None, &[("name", false), ("balance", false)]);
    let expected = [
        r#"C1 "Ada" 1.5"#,
        r#"7 "Bo" null"#,
        "line 3 KITH-U022 ?",
        "line 4 KITH-U023 C1",
        "line 5 KITH-U024 C3",
        "line 6 KITH-U024 ?",
        "line 7 KITH-U021 C4",
    ];
    let before = fs::read(&path).unwrap();
    let summary = expect(&table(SqliteRows::Table("cust omer".into())), &fields, &expected);
    let query = table(SqliteRows::Query("SELECT balance, customer_id, name FROM \"cust omer\"".into()));
    assert_eq!(expect(&query, &fields, &expected).digest, summary.digest, "the digest is of what is read");
    assert_eq!(fs::read(&path).unwrap(), before);
    for (rows, expected) in [
        (SqliteRows::Table("none".into()), "KITH-U009"),
        (SqliteRows::Query("SELEC 1".into()), "KITH-U009"),
        (SqliteRows::Query("DELETE FROM \"cust omer\"".into()), "KITH-U010"),
        (SqliteRows::Query("SELECT 1 AS customer_id, 2 AS nam, 3 AS balance".into()), "KITH-U007"),
    ] {
        assert_eq!(code(&table(rows), &fields).0, expected);
    }
    fs::write(folder.path().join("no.db"), "customer_id,name\n".repeat(100)).unwrap();
    let spec = TableSpec {
        name: "crm".into(),
        kind: TableKind::Sqlite { path: folder.path().join("no.db"), rows: SqliteRows::Table("t".into()) },
    };
    assert_eq!(code(&spec, &fields).0, "KITH-U009");
}

#[test]
fn related_records_keep_the_last_rows_of_each_customer_in_file_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("o.csv");
    let mut content = "order_number,customer_id,total\n".to_owned();
    content.extend(
        (0..200_000_u32).map(|n| [n.to_string(), format!("C{}", n % 5), if n % 2 == 0 { "\n" } else { "x\n" }.to_owned()].join(",")),
    );
    content.push_str("1,,x\nragged\n");
    fs::write(&path, content).unwrap();
    let (related, parked, summary) = read_related(&csv(&path), "customer_id", 3).unwrap();
    assert_eq!((summary.rows, summary.parked, parked.len(), related.customers()), (200_002, 2, 2, 5));
    let of = related.of(&CustomerId::from("C4"));
    let orders: Vec<_> =
        of.iter().map(|r| r.members.reveal().iter().map(|(n, v)| (n.to_string(), v.clone())).collect::<Vec<_>>()).collect();
    let row = |n: &str, total: Value| {
        vec![("order_number".to_owned(), Value::from(n)), ("customer_id".to_owned(), Value::from("C4")), ("total".to_owned(), total)]
    };
    assert_eq!(orders, [row("199989", Value::from("x")), row("199994", Value::Missing), row("199999", Value::from("x"))]);
    assert!(related.of(&CustomerId::from("C9")).is_empty());
    assert_eq!(read_related(&csv(&path), "customer", 3).unwrap_err().code().0, "KITH-U007");
}

#[test]
fn the_retail_customers_and_orders_are_read_whole() {
    let columns = ["name", "email", "phone", "company", "city", "country", "birth_date", "known_handles", "segment"].map(|c| (c, false));
    let (rows, summary) = all(&csv(&retail("customers.csv.gz")), &fields(None, &columns));
    let summary = summary.unwrap();
    assert_eq!((summary.rows, summary.parked, rows.len()), (100_000, 0, 100_000));
    assert_eq!(shown(&rows[0]), r#"C000000000 "John Richardson" null null "Delta Insurance LLP" "London" "UK" null null "standard""#);
    let (related, parked, _) = read_related(&csv(&retail("orders.csv.gz")), "customer_id", 5).unwrap();
    assert!(parked.is_empty() && related.customers() > 10_000);
    assert_eq!(related.of(&CustomerId::from("C000000000")).len(), 1);
}
