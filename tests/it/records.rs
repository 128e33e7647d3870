//! Files of records from end to end: rows of CSV, Parquet and NDJSON of a drop folder become activities by a records file; a bad row parks with its file
//! and number; who is erased is taken out of them.

use crate::networks::counted;
use crate::support::python::python_with;
use crate::support::{CUSTOMERS_HEADER, Project, root, slice};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value as Json;
use std::fs;
use std::io::Write as _;
use std::process::Command;

/// The retail project over a drop folder with the shipped records file.
fn project(format: &str) -> Project {
    let project = Project::with(&slice(20));
    project.edit(
        "config/kith.toml",
        "kind = \"file\"\npath = \"data/activities.ndjson\"",
        &format!(
            "kind = \"folder\"\ninbox = \"data/inbox\"\ndone = \"data/done\"\nformat = \"{format}\"\nrecords = \"connectors/records/helpdesk.yaml\""
        ),
    );
    fs::create_dir_all(project.path("data/inbox")).unwrap();
    project
}

const HEAD: &str = "url,author_id,author_handle,author_name,text,created_at,public\n";

fn row(n: u32) -> String {
    format!("https://helpdesk.example/t/{n},{n},handle{n},Name {n},\"Where is my order {n}?\nHello\",2026-09-01T10:00:00Z,yes\n")
}

/// Drops a file as the README says, and lets it become quiet.
fn drop_file(project: &Project, name: &str, content: &[u8]) {
    project.write(&format!("data/inbox/{name}"), content);
    age(project, name);
}

/// A file of some minutes ago is not growing.
fn age(project: &Project, name: &str) {
    let file = fs::File::options().write(true).open(project.path(&format!("data/inbox/{name}"))).unwrap();
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(600)).unwrap();
}

#[test]
fn a_packed_csv_is_taken_in_and_its_bad_rows_park_with_file_and_row() {
    let project = project("csv");
    project.kith(&["check"]).ok();
    let text =
        [HEAD.to_owned(), row(1), "too,few\n".into(), row(3), row(4).replace(",yes", ",no"), row(5).replace("2026-09", "2026-99")].concat();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    drop_file(&project, "a.csv.gz", &packed.finish().unwrap());
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project), (4, 2, 0), "two are good, two park, one is not public");
    let letters = project.kith(&["dead-letter", "list", "--format", "json"]).ok();
    let letters: Vec<Json> = letters.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let shown = format!("{letters:?}");
    for part in ["KITH-I091", "KITH-I010", "a.csv.gz"] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    assert!(project.path("data/done/a.csv.gz").exists() && !project.path("data/inbox/a.csv.gz").exists());
    // The same rows in another file are repeats.
    drop_file(&project, "b.csv", [HEAD.to_owned(), row(1), row(3)].concat().as_bytes());
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project).0, 4);
}

#[test]
fn parquet_of_a_third_party_writer_is_read_with_each_of_its_compressions() {
    let Some(python) = python_with("duckdb") else { return };
    let project = project("parquet");
    let script = r#"
import sys, duckdb
folder = sys.argv[1]
rows = "SELECT 'https://helpdesk.example/t/' || (? + i) AS url, i AS author_id, 'h' || i AS author_handle, 'Name ' || i AS author_name, " \
       "'Where is order ' || i AS text, TIMESTAMPTZ '2026-09-01 10:00:00+00' + INTERVAL (i) MINUTE AS created_at, i % 10 <> 0 AS public, " \
       "{'a': i, 'b': [1, 2]} AS nested, 1.5::DECIMAL(9,2) AS price, DATE '2026-01-01' AS day FROM range(1, 101) t(i)"
for at, codec in enumerate(["snappy", "zstd", "gzip", "lz4_raw", "uncompressed"]):
    duckdb.execute(f"COPY ({rows.replace('?', str(at * 1000))}) TO '{folder}/{codec}.parquet' (FORMAT parquet, COMPRESSION {codec}, ROW_GROUP_SIZE 40)")
"#;
    let inbox = project.path("data/inbox");
    let wrote = Command::new(python).args(["-c", script]).arg(&inbox).output().unwrap();
    assert!(wrote.status.success(), "{}", String::from_utf8_lossy(&wrote.stderr));
    for codec in ["snappy", "zstd", "gzip", "lz4_raw", "uncompressed"] {
        age(&project, &format!("{codec}.parquet"));
    }
    drop_file(&project, "broken.parquet", b"PAR1 and nothing more");
    project.kith(&["run", "--once"]).fails(1, "KITH-I092");
    assert_eq!(counted(&project), (450, 0, 0), "five files with 90 public rows of 100 each");
    assert!(project.path("data/inbox/broken.parquet").exists());
    let noted = project.kith(&["dead-letter", "list"]).ok();
    assert!(!noted.stdout.contains("KITH"), "{}", noted.stdout);
}

#[test]
fn lines_of_json_are_taken_in_as_rows_are_and_what_is_edited_or_deleted_follows() {
    let project = project("ndjson");
    project.write("data/customers.csv", format!("{CUSTOMERS_HEADER}C1,Somebody,,,,,,,,web:handle1,\n"));
    project.write("data/orders.csv", crate::support::ORDERS_HEADER);
    let record = |n: u32, text: &str| {
        serde_json::json!({ "url": format!("https://helpdesk.example/t/{n}"), "author_id": n, "author_handle": format!("handle{n}"), "author_name": "Name",
            "text": text, "created_at": "2026-09-01T10:00:00Z", "public": true })
    };
    let lines = [record(1, "Where is my order?"), record(2, "Hello")].map(|record| record.to_string() + "\n").concat();
    drop_file(&project, "a.ndjson", (lines + "no JSON\n").as_bytes());
    project.kith(&["run", "--once"]).ok();
    assert_eq!(counted(&project), (3, 1, 0));
    let stands = || project.crm("SELECT ActivityID, Body FROM SocialInteraction");
    assert_eq!(stands(), ["https://helpdesk.example/t/1|Where is my order?"]);
    let mut edited = record(1, "It came");
    edited["edited_at"] = "2026-09-02T10:00:00Z".into();
    drop_file(&project, "b.ndjson", format!("{edited}\n").as_bytes());
    project.kith(&["run", "--once"]).ok();
    assert_eq!(stands(), ["https://helpdesk.example/t/1|It came"]);
    let mut gone = record(1, "");
    gone["deleted_at"] = "2026-09-03T10:00:00Z".into();
    drop_file(&project, "c.ndjson", format!("{gone}\n").as_bytes());
    project.kith(&["run", "--once"]).ok();
    assert_eq!((stands(), counted(&project)), (Vec::new(), (5, 1, 0)));
}

#[test]
fn who_is_erased_is_taken_out_of_files_of_records() {
    let project = project("csv");
    project.write("data/customers.csv", format!("{CUSTOMERS_HEADER}C0000001,Ada Lovelace,ada@example.com,,,,,,,,\n"));
    project.write("data/orders.csv", crate::support::ORDERS_HEADER);
    drop_file(
        &project,
        "a.csv",
        [HEAD.to_owned(), row(1), row(2), row(1).replace("t/1,", "t/9,").replace(",yes", ",no")].concat().as_bytes(),
    );
    project.kith(&["run", "--once"]).ok();
    let person = "https://helpdesk.example/users/1";
    project.kith(&["subject", "erase", "--identity", "web", person, "--reason", "asked"]).ok();
    project.kith(&["--quiet", "run", "--once"]).ok();
    let left = fs::read_to_string(project.path("data/done/a.csv")).unwrap();
    assert_eq!(left, [HEAD.to_owned(), row(2)].concat(), "the row that was not taken went, too");
}

#[test]
fn a_source_of_records_is_checked_whole() {
    let project = project("csv");
    project.edit("config/kith.toml", "format = \"csv\"", "format = \"csv\"\nstream = \"others\"");
    project.kith(&["run", "--once"]).fails(2, "KITH-N030");
    project.edit("config/kith.toml", "format = \"csv\"\nstream = \"others\"\n", "");
    project.kith(&["check"]).fails(2, "KITH-C010");
    project.edit("config/kith.toml", "records = \"connectors/records/helpdesk.yaml\"", "format = \"ndjson\"");
    project.kith(&["check"]).fails(2, "KITH-C004");
    let records = fs::read_to_string(root().join("connectors/records/helpdesk.yaml")).unwrap();
    project.write("connectors/records/helpdesk.yaml", records.replace("record.text", "recrod.text"));
    project.kith(&["check", "connectors/records/helpdesk.yaml"]).fails(2, "KITH-N030");
}
