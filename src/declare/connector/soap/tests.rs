//! Promises of target files of kind soap.

use super::*;
use crate::declare::connector::read as read_file;
use crate::diagnose::SourceFile;
use proptest::prelude::*;

fn complaints(text: &str) -> Vec<String> {
    let checked = read_file(&Arc::new(SourceFile { name: "t.yaml".into(), text: text.into() }));
    assert_eq!(checked.value.is_none(), checked.problems.has_errors());
    checked.problems.0.iter().map(|p| format!("{} {}", p.code, p.message)).collect()
}

fn file(soap: &str, operation: &str, rest: &str) -> String {
    format!(
        "kith: 1\ntarget: t\nkind: soap\nsoap: {soap}\noperations:\n  one:\n    record_key: [Id]\n    on_delete: keep\n    soap: {operation}\n    fields:\n      Id: {{ type: text }}\n{rest}"
    )
}

#[test]
fn what_can_not_do_its_work_is_told_with_its_code() {
    let call = "{ call: { operation: U } }";
    let plain = "{ wsdl: a.wsdl }";
    assert_eq!(complaints(&file(plain, call, "")), Vec::<String>::new());
    for (soap, operation, rest, told) in [
        ("{ wsdl: 'https://crm/x?wsdl' }", call, "", "KITH-T023 `wsdl` is an address"),
        ("{ wsdl: a, path: '//other/x' }", call, "", "KITH-T023 `//other/x` can't come behind"),
        ("{ wsdl: a, path: '/a/../b' }", call, "", "KITH-T023"),
        ("{ wsdl: a, sunset: soon }", call, "", "KITH-T023 `soon` is no day"),
        (plain, "{ call: { operation: U, record: 'a//b' } }", "", "KITH-T020"),
        (plain, "{ call: { operation: U, values: { 'x:y': z } } }", "", "KITH-T020 `x:y` is no element path: the prefix `x`"),
        (
            plain,
            "{ call: { operation: U, values: { y: '{Nmae}' } } }",
            "      Name: { type: text }\n",
            "KITH-T022 `{Nmae}` stands for nothing here",
        ),
        (
            plain,
            "{ call: { operation: U, values: { y: 'a {Id}' } } }",
            "",
            "KITH-T022 the value can't be read: `{Id}` stands inside other text",
        ),
        (plain, "{ call: { operation: U, values: { y: '{found}' } } }", "", "KITH-T022 `{found}`"),
        (plain, "{ call: { operation: U, values: { y: '{session}' } } }", "", "KITH-T022 `{session}`"),
        (plain, "{ settle: repeat }", "", "KITH-T021 `one` does not say how a record is written"),
        (plain, "{ update: { operation: U } }", "", "KITH-T021"),
        (plain, "{ call: { operation: U }, settle: look_up }", "", "KITH-T021 `one` is settled by a `look_up` that is not there"),
        (plain, "{ call: { operation: U }, answers: [{ is: refused }] }", "", "KITH-T021 the rule fits every answer"),
        (plain, "{ batch: { operation: U, record: R, values: { k: '{key}' } } }", "", "KITH-T022 a value of the whole batch"),
        (plain, "{ batch: { operation: U, record: '.' } }", "", "KITH-T021 `record` must name"),
        ("{ wsdl: a, session: { operation: L, token: t, address: x } }", call, "", "KITH-T021 the login may send Kith to any host"),
        ("{ wsdl: a, queries: { q: { operation: Q, rows: r, page: { size: 5 } } } }", call, "", "KITH-T021 `page` has 0 of"),
        (
            "{ wsdl: a, queries: { q: { operation: Q, rows: r, page: { after: id } } } }",
            call,
            "",
            "KITH-T021 pages follow each other by `{after}`",
        ),
        (plain, call, "      Seen: { type: time, form: 'x' }\n", "KITH-T022 `x` can't be the form"),
        (plain, call, "      Ok: { type: bool, form: '1' }\n", "KITH-T022"),
    ] {
        let found = complaints(&file(soap, operation, rest));
        assert!(found.iter().any(|complaint| complaint.starts_with(told)), "{soap} {operation}: {told}: {found:?}");
    }
}

#[test]
fn a_path_is_read_and_shown_as_it_was_written() {
    let prefix = |name: &str| (name == "sf").then(|| Arc::from("urn:sf"));
    for text in [".", "a", "a/b[2]/@c", "item[name=a/b=c]/value", "a.b-c/_d"] {
        assert_eq!(ElementPath::parse(text, &prefix).unwrap().to_string(), text);
    }
    assert_eq!(ElementPath::parse("sf:a", &prefix).unwrap().first().unwrap().namespace.as_deref(), Some("urn:sf"));
    for text in ["", "/", "a/", "@a/b", "a[0]", "a[x=]", "a[", "a]b", "1a", "x:a", "a b", "a[1][2]"] {
        assert!(ElementPath::parse(text, &prefix).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,60}|[a-z/\\[\\]=@:.{}]{0,30}") {
        drop(ElementPath::parse(&text, &|_| None));
        drop(Template::parse(&text));
    }
}
