//! Rows of CSV and NDJSON, read whole, in steps, and after they grew.

use super::*;
use crate::declare::manifest::read_records;
use crate::diagnose::SourceFile;
use crate::normalize::IdentityFields;
use proptest::prelude::*;
use std::fs;

const RECORDS: &str = r#"kith: 1
records: test
network: web
streams:
  rows:
    only: "!has(record.public) || record.public != 'no'"
    activity:
      type: "'Create'"
      id: "record.url + '#create'"
      published: "record.at"
      actor: { type: "'Person'", id: "record.author" }
      object: { type: "'Note'", id: "record.url", content: "record.text" }
"#;

fn spec(format: RowFormat) -> RowsSpec {
    let records = read_records(&Arc::new(SourceFile { name: "x.yaml".into(), text: RECORDS.into() })).value.unwrap();
    RowsSpec { format, records: "x.yaml".into(), stream: None, loaded: Some(Arc::new(records)) }
}

fn reader() -> Reader {
    Reader::new(&IdentityFields { paths: vec![], fields: vec![] }, Some(crate::model::Network::Web))
}

/// Row numbers with the content of the object, or the code of the fault.
type Found = Vec<(u64, String)>;

/// Reads to the end, opening anew with the stored cursor after each `rows` rows.
fn read(path: &Path, spec: &RowsSpec, mut cursor: Option<FileCursor>, rows: usize) -> (Found, Option<FileCursor>) {
    let mut found = Vec::new();
    loop {
        let opened = RowReader::open(path, cursor.as_ref(), spec).unwrap();
        let Opened::Rows(mut file) = opened else { return (found, cursor) };
        let Some(batch) = file.next_batch(BatchLimits::lines(rows), &reader()).unwrap() else { return (found, cursor) };
        for line in batch.lines {
            let said = match line.outcome {
                Ok(activity) => activity.object.content.reveal().as_deref().unwrap_or_default().to_owned(),
                Err(malformed) => malformed.code().0.to_owned(),
            };
            found.push((line.line, said));
        }
        cursor = FileCursor::from_bytes(&batch.cursor_after.to_bytes());
    }
}

fn csv(delimiter: char) -> RowsSpec {
    spec(RowFormat::Csv { delimiter: u8::try_from(delimiter).unwrap() })
}

fn row(n: u32, text: &str) -> String {
    format!("https://x.example/{n},https://x.example/u/{n},2026-01-01T00:00:00Z,{text}\n")
}

const HEAD: &str = "url,author,at,text\n";

#[test]
fn rows_of_csv_are_read_once_whatever_stands_in_them_and_wherever_reading_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let text = [
        "\u{feff}".to_owned(),
        HEAD.to_owned(),
        row(1, "plain"),
        row(2, "\"two\nlines, and a \"\"quotation\"\"\""),
        "too,few\n".to_owned(),
        "\r\n".to_owned(),
        row(5, "\"open"),
        row(6, "6\" pipe"),
        row(7, "last").trim_end().to_owned(),
    ]
    .concat();
    fs::write(&path, &text).unwrap();
    let want: Found =
        [(1, "plain"), (2, "two\nlines, and a \"quotation\""), (3, "KITH-I091"), (5, "KITH-I091"), (6, "6\" pipe"), (7, "last")]
            .map(|(n, said)| (n, said.to_owned()))
            .to_vec();
    for rows in [1, 2, 100] {
        let (found, cursor) = read(&path, &csv(','), None, rows);
        assert_eq!(found, want, "{rows} rows at a time");
        assert!(cursor.unwrap().finished);
    }
}

#[test]
fn a_csv_that_grows_goes_on_after_what_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let first = [HEAD.to_owned(), row(1, "one"), row(2, "tw").trim_end().to_owned()].concat();
    fs::write(&path, &first).unwrap();
    let (found, cursor) = read(&path, &csv(','), None, 100);
    assert_eq!(found.len(), 2);
    // Only the line end came: nothing new. Then a row.
    fs::write(&path, format!("{first}\n")).unwrap();
    let (found, with_end) = read(&path, &csv(','), cursor.clone(), 100);
    assert_eq!(found, []);
    fs::write(&path, format!("{first}\n{}", row(3, "three"))).unwrap();
    let (found, _) = read(&path, &csv(','), with_end, 100);
    assert_eq!(found, [(3, "three".to_owned())]);
    // The last row was not complete: it is read again whole.
    fs::write(&path, format!("{first}o\n{}", row(3, "three"))).unwrap();
    let (found, _) = read(&path, &csv(','), cursor, 100);
    assert_eq!(found, [(2, "two".to_owned()), (3, "three".to_owned())]);
}

#[test]
fn a_csv_without_names_for_its_columns_is_refused_and_an_empty_one_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    for bad in ["url,url\n1,2\n", "url,\n1,2\n", "\"open\n1,2\n"] {
        fs::write(&path, bad).unwrap();
        assert_eq!(RowReader::open(&path, None, &csv(',')).unwrap_err().code().0, "KITH-I092", "{bad}");
    }
    fs::write(&path, "").unwrap();
    let (found, cursor) = read(&path, &csv(','), None, 100);
    assert!(found.is_empty() && cursor.unwrap().finished);
    fs::write(&path, "no parquet").unwrap();
    assert_eq!(RowReader::open(&path, None, &spec(RowFormat::Parquet)).unwrap_err().code().0, "KITH-I092");
}

#[test]
fn records_of_ndjson_are_projected_and_what_is_no_record_is_parked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ndjson");
    let good = r#"{"url":"https://x.example/1","author":"https://x.example/u","at":"2026-01-01T00:00:00Z","text":"hello"}"#;
    let hidden = good.replace("\"url\"", "\"public\":\"no\",\"url\"");
    fs::write(&path, format!("{good}\nno json\n[1]\n{hidden}\n{{\"url\":\"x\"}}\n")).unwrap();
    let (found, _) = read(&path, &spec(RowFormat::Ndjson), None, 2);
    let found: Vec<_> = found.iter().map(|(n, said)| (*n, said.as_str())).collect();
    assert_eq!(found, [(1, "hello"), (2, "KITH-I003"), (3, "KITH-I006"), (5, "KITH-I008")]);
}

proptest! {
    /// Whatever the bytes: each line end ends a row at most once, nothing is read twice, and stopping changes nothing.
    #[test]
    fn any_bytes_are_rows(body in "[a,\"\n\r x]{0,200}") {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(&path, format!("{HEAD}{body}")).unwrap();
        let (whole, _) = read(&path, &csv(','), None, 1_000);
        let (steps, _) = read(&path, &csv(','), None, 1);
        prop_assert_eq!(&whole, &steps);
        prop_assert!(whole.is_sorted_by(|a, b| a.0 < b.0));
        prop_assert!(whole.len() <= body.matches('\n').count() + 1);
        // The raw rows are the file.
        let content = Hashed::open(&path, None).unwrap().content(0).unwrap();
        let mut rows = CsvRows::open(content, b',').unwrap().unwrap().unwrap();
        let mut again = rows.header().to_vec();
        while let Some(row) = rows.next_row().unwrap() { again.extend_from_slice(row.raw.reveal()) }
        prop_assert_eq!(again, format!("{HEAD}{body}").into_bytes());
    }
}
