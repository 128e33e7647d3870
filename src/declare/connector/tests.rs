//! Promises of target files.

use super::*;
use crate::diagnose::SourceFile;
use crate::enrich::OnDelete;
use crate::model::Value;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn file(text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { name: "target.yaml".into(), text: text.into() })
}

fn complaints(text: &str) -> String {
    let checked = read(&file(text));
    assert_eq!(checked.value.is_none(), checked.problems.has_errors());
    checked.problems.0.iter().map(|d| d.to_string() + "\n").collect()
}

fn shipped() -> Vec<(PathBuf, TargetFile)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/targets");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), read(&file(&std::fs::read_to_string(path).unwrap())).into_result().unwrap().0)).collect()
}

#[test]
fn shipped_targets_are_right_and_offer_what_mappings_deliver() {
    let targets = shipped();
    let of = |kind| targets.iter().map(|(_, target)| target).filter(|target| target.kind == kind).collect::<Vec<_>>();
    let crms = of(TargetKind::Soap);
    assert!(crms.len() >= 10 && crms.iter().all(|crm| crm.soap.is_some() && crm.operations.iter().all(|o| o.soap.is_some())));
    let (http, sqlite) = (of(TargetKind::Http), of(TargetKind::Sqlite)[0]);
    assert_eq!(http.len(), 1);
    let interaction = sqlite.operation("upsert_interaction").unwrap();
    assert_eq!(interaction.record_key.iter().map(|k| &**k).collect::<Vec<_>>(), ["Network", "ActivityID"]);
    assert_eq!(
        (&*interaction.table, interaction.write, &interaction.on_delete),
        ("SocialInteraction", WriteMode::Upsert, &OnDelete::Remove)
    );
    assert_eq!(interaction.field("Body").map(|f| (f.kind, f.required, f.max_length)), Some((FieldKind::Text, false, Some(4000))));
    assert!(interaction.field("Network").unwrap().required, "a field of the record key is required");
    assert_eq!(sqlite.operation("queue_lead").unwrap().write, WriteMode::InsertOnly);
    let desk = of(TargetKind::Ndjson)[0].operation("create_service_request").unwrap();
    assert_eq!((&*desk.table, &desk.on_delete), ("service_request", &OnDelete::Blank(vec!["Abstract".into()])));
}

#[test]
fn every_problem_of_an_http_target_is_told_at_once() {
    let text = "\
kith: 1
target: desk
kind: http
http: { idempotency_header: 'a b', headers: { Authorization: x, X-Ok: \"\u{e9}\" }, health: health }
answers: [{ is: unchanged }, { status: [4xx, 6xx], json: { error.code: dup }, is: refused }]
operations:
  one:
    table: t
    record_key: Id
    on_delete: remove
    request: { method: POST, path: '/n/{Topic}' }
    fields: { Id: { type: text }, Topic: { type: text } }
  two:
    record_key: Id
    on_delete: remove
    request: { method: POST, path: /n, key_member: Id }
    settle: { look_up: { path: '/n/{Topic}', json: { /k: idempotency_key } } }
    batch: { path: '/b/{key}', by: position }
    fields: { Id: { type: text }, Topic: { type: text } }
  three:
    record_key: Id
    on_delete: { blank: Topic }
    request: { path: '/c/{Must}/n' }
    settle: { look_up: { path: '/n', list: items } }
    batch: { path: /b, results: /r, by: { member: id, is: Tpic } }
    fields: { Id: { type: text }, Topic: { type: text }, Must: { type: text, required: true } }
  four:
    record_key: Id
    on_delete: keep
    fields: { Id: { type: text } }
";
    let checked = read(&file(text));
    assert!(checked.value.is_none());
    insta::assert_snapshot!(complaints(text), @r"
    KITH-T010 target.yaml:4:29: `a b` can't name a header; use letters, digits and `-`; a login stands in `[targets.NAME]` of the configuration
    KITH-T010 target.yaml:4:62: `Authorization` is set by Kith itself; use letters, digits and `-`; a login stands in `[targets.NAME]` of the configuration
    KITH-T010 target.yaml:4:71: the value of `X-Ok` can't stand in a header; use printable ASCII, at most 1,000 characters
    KITH-T010 target.yaml:4:86: `health` is no path: a path begins with `/` and is relative to the target's `url`; write for instance `/interactions/{key}`
    KITH-T012 target.yaml:5:11: the rule fits every answer; add `status` or `json`
    KITH-T012 target.yaml:5:46: `6xx` is no HTTP status; write a code like `409`, or `4xx`
    KITH-T012 target.yaml:5:60: `error.code` is no JSON pointer; it begins with `/` and names one member after the other: `/error/code`
    KITH-T007 target.yaml:8:5: `table` belongs to another kind of target than `http`; remove it; kind `http` has `request`
    KITH-T010 target.yaml:11:36: `Topic` in the path is neither part of the record key nor required: it may have no value; use fields of the record key, or `{key}`
    KITH-T010 target.yaml:13:3: `two` does not say how a record is removed; add `remove: { path: /interactions/{key} }` with fields of the record key, or choose another `on_delete`
    KITH-T006 target.yaml:16:52: `Id` can't name a member here; give it a name of its own
    KITH-T010 target.yaml:17:32: `Topic` in the path is not part of the record key, and a withdrawal or look-up knows no other field; use fields of the record key, or `{key}`
    KITH-T010 target.yaml:18:20: `/b/{key}` holds values, and this request is about no single record; write it without braces
    KITH-T010 target.yaml:20:3: `three` does not say how fields are emptied; add `blank: { method: PATCH, path: … }` with fields of the record key
    KITH-T011 target.yaml:24:24: that a record is there does not tell whether its newest version arrived; add `json: { /externalKey: idempotency_key }` or fields to compare, or write `write: insert_only`
    KITH-T012 target.yaml:24:44: `items` is no JSON pointer; it begins with `/` and names one member after the other: `/items`
    KITH-T012 target.yaml:25:51: `id` is no JSON pointer; it begins with `/` and names one member after the other: `/id`
    KITH-T007 target.yaml:27:3: `four` lacks the key `request`; add `request: { method: PUT, path: /interactions/{key} }`: kind `http` needs it
    ");
    let ndjson = "kith: 1\ntarget: a\nkind: ndjson\nhttp: {}\noperations:\n  a: { type: b, record_key: I, on_delete: keep, settle: repeat, fields: { I: { type: text } } }\n";
    insta::assert_snapshot!(complaints(ndjson), @r"
    KITH-T007 target.yaml:4:1: `http` belongs to another kind of target than `ndjson`; remove it
    KITH-T007 target.yaml:6:49: `settle` belongs to kind `http`, and this is kind `ndjson`; remove it
    ");
}

#[test]
fn every_problem_of_a_target_is_told_at_once() {
    let text = "\
kith: 2
target: crm
kind: sqlite
operatons: {}
operations:
  one:
    table: sqlite_x
    record_key: [Network, Id, Id, Nope, Weight]
    on_delete: { blank: [Network, Bdy, Must, Body] }
    fields:
      Network: { type: text, max_length: 0 }
      Id: { type: txt }
      id: { type: integer, max_length: 5 }
      Body: { type: text }
      Must: { type: text, required: true }
      Weight: { type: number }
  two:
    type: x
    write: upsrt
    record_key: []
    on_delete: forget
    fields: {}
  three:
    table: T
    record_key: [A]
    on_delete: keep
    fields: { A: { type: text } }
  four:
    table: t
    record_key: A
    on_delete: keep
    fields: { A: { type: integer } }
";
    insta::assert_snapshot!(complaints(text), @r#"
    KITH-M008 target.yaml:1:7: `kith` must be `1`, not `2`; Write `1`
    KITH-M005 target.yaml:4:1: `operatons` is not a key of the file; Did you mean `operations`?
    KITH-T006 target.yaml:7:12: `sqlite_x` can't name a table; begin with a letter and use letters, digits and `_`, at most 63; `sqlite_` and `kith_` at the beginning are taken
    KITH-T002 target.yaml:8:31: `Id` is in the record key twice; remove one of them
    KITH-T002 target.yaml:8:35: `Nope` is not one of the operation's fields; declare `Nope` in `fields`, or name a declared field
    KITH-T002 target.yaml:8:41: `Weight` is a number: two ways to compute it can differ in the last digit; identify records by text, a whole number or a time
    KITH-T003 target.yaml:9:26: `Network` can't be emptied: it is part of the record key; blank what the person wrote, or write `on_delete: remove`
    KITH-T003 target.yaml:9:35: `Bdy` is not one of the operation's fields; did you mean `Body`? Otherwise declare `Bdy` in `fields`
    KITH-T003 target.yaml:9:40: `Must` can't be emptied: it is required; blank what the person wrote, or write `on_delete: remove`
    KITH-M008 target.yaml:11:42: `max_length` must be a whole number from 1 to 1000000, not `0`; Write a whole number from 1 to 1000000
    KITH-M008 target.yaml:12:19: `type` must be one of text, integer, number, decimal, time, date, time_of_day, bool, uuid, binary, not `txt`; Did you mean `text`?
    KITH-T001 target.yaml:13:7: `id` and `Id` are one field: upper and lower case make no difference; remove one of them, or rename it
    KITH-T004 target.yaml:13:28: `max_length` counts characters of text, and `id` is `integer`; remove it, or write `type: text`
    KITH-T007 target.yaml:17:3: `two` lacks the key `table`; add `table: …`: kind `sqlite` needs it
    KITH-T007 target.yaml:18:5: `type` belongs to another kind of target than `sqlite`; remove it; kind `sqlite` has `table`
    KITH-M008 target.yaml:19:12: `write` must be one of upsert, insert_only, update_only, not `upsrt`; Did you mean `upsert`?
    KITH-M007 target.yaml:20:17: `record_key` must be text, or a list of at least one such, not a list; Write text, or a list of at least one such
    KITH-M008 target.yaml:21:16: `on_delete` must be one of remove, keep, not `forget`; Known: remove, keep
    KITH-T004 target.yaml:22:13: the operation has 0 fields; 1 to 500 are possible; declare the fields that mappings fill
    KITH-T005 target.yaml:28:3: `three` and `four` write table `t` differently: `A` is `text` there and `A` is `integer` here; give both the same key and types, or different tables
    "#);
}

#[test]
fn broken_yaml_is_a_complaint_and_no_panic() {
    insta::assert_snapshot!(complaints("kith: 1\ntarget: [crm\nkind: sqlite\n"), @r#"KITH-M001 target.yaml:3:5: this is not YAML: illegal placement of ':' indicator; A bracket seems to be open on this line or the one above: close every `{` with `}` and every `[` with `]`"#);
    insta::assert_snapshot!(complaints(""), @r#"KITH-M007 target.yaml:1:1: `the file` has no value; Give a map with `kith`, `target`, `kind`, `description`, `limits`, `retry`, `breaker`, `on_fault`, …, or remove the key"#);
}

#[test]
fn a_kind_takes_only_values_that_lose_nothing() {
    assert!(FieldKind::Number.fitted(&Value::Integer(1)).is_some() && FieldKind::Integer.fitted(&Value::Number(1.5)).is_none());
    assert!(FieldKind::Text.fitted(&Value::Missing).is_some() && FieldKind::Text.fitted(&Value::Integer(1)).is_none());
}

#[test]
fn the_schema_file_is_current_and_takes_the_shipped_files() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/target.schema.json");
    let current = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::fs::read_to_string(&path).unwrap_or_default() != current {
        std::fs::write(&path, current).unwrap();
        panic!("connectors/target.schema.json was stale; it is written anew: look at it and commit it");
    }
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for (path, target) in shipped() {
        let tree = crate::declare::yaml::read(&target.source).value.unwrap();
        assert!(validator.is_valid(&tree.root.to_json()), "{}", path.display());
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(kith: 1\n|target: a\n|kind: sqlite\n|operations:\n|  a:\n|    fields:\n|    table: |\\[|\\]|\\{|\\}|\n|: |- |\\PC){0,30}") {
        let checked = read(&file(&text));
        prop_assert_eq!(checked.value.is_some(), !checked.problems.has_errors());
    }
}
