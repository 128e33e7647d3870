//! Envelopes beside those of zeep, the reference client, for the same WSDL and values; and lxml's schema validator over what we write.
//! zeep and lxml come from a virtual environment that `KITH_TEST_ZEEP` names (its `python`), or from the system's `python3`.

use crate::support::root;
use kith::model::Value;
use kith::wire::soap::{FieldPath, Node, Refusal, Request, assemble, header};
use kith::wire::wsdl::{Contract, load};
use kith::wire::xml::{self, Attribute, Element, Item, Limits, Uncarried, canonical};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;

fn data() -> PathBuf {
    root().join("tests/data/soap")
}

fn contract(name: &str) -> Contract {
    load(&data().join(name)).into_result().unwrap().0
}

/// A python that has zeep and lxml.
fn python() -> Option<String> {
    let named = std::env::var("KITH_TEST_ZEEP").ok();
    let beside = std::env::temp_dir().join("kith-zeep/bin/python").display().to_string();
    let found = named
        .into_iter()
        .chain([beside, "python3".to_owned()])
        .find(|python| Command::new(python).args(["-c", "import zeep, lxml"]).output().is_ok_and(|out| out.status.success()));
    if found.is_none() {
        assert!(std::env::var("CI").is_err(), "no python with zeep and lxml");
        eprintln!(
            "SKIPPED: no python with zeep and lxml (python3 -m venv {0}; {0}/bin/pip install zeep)",
            std::env::temp_dir().join("kith-zeep").display()
        );
    }
    found
}

/// Asks the peer.
fn ask(python: &str, requests: &[Json]) -> Vec<Json> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("requests.json");
    std::fs::write(&file, serde_json::to_vec(requests).unwrap()).unwrap();
    let out = Command::new(python).arg(root().join("tests/support/zeep_peer.py")).arg(data()).arg(&file).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn values(pairs: &[(&str, Value)]) -> Node {
    let paths: Vec<(FieldPath, Value)> = pairs.iter().map(|(p, v)| (FieldPath::parse(p).unwrap(), v.clone())).collect();
    assemble(paths.iter().map(|(p, v)| (p, v.clone())))
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn render(contract: &Contract, port: &str, operation: &str, blocks: &[Node], body: Node) -> Result<String, Refusal> {
    let operation = contract.find(None, Some(port), operation).unwrap();
    let headers = blocks.iter().map(|b| header(&operation, b, Uncarried::Refuse)).collect::<Result<_, _>>()?;
    let rendered = Request { operation, headers, body, uncarried: Uncarried::Refuse }.render()?;
    Ok(String::from_utf8(rendered.bytes).unwrap())
}

fn parse(text: &str) -> Element {
    xml::parse(text, &Limits::ANSWER).unwrap()
}

/// WSDL, port, operation, header blocks and body of ours, header blocks and values of zeep's.
type Case = (&'static str, &'static str, &'static str, Vec<Node>, Node, Json, Json);

/// What zeep leaves out of encoded messages: the types of the SOAP encoding, which SOAP 1.1 (5.1) lets a sender leave out where the
/// receiver knows the WSDL, and which PHP servers without one need.
fn without_types(mut element: Element) -> Element {
    let drop = |a: &Attribute| matches!(&*a.name.local, "type" | "arrayType" | "encodingStyle");
    element.attributes.retain(|a| !drop(a));
    element.items = std::mem::take(&mut element.items)
        .into_iter()
        .map(|item| match item {
            Item::Element(child) => Item::Element(without_types(child)),
            Item::Text(text) => Item::Text(text),
        })
        .collect();
    element
}

#[test]
fn envelopes_are_those_of_zeep() {
    let Some(python) = python() else { return };
    let session = || vec![Node::of("Session", vec![Node::new("Token", text("t&<>"))])];
    let person = [
        ("Person/Vip", Value::Bool(true)),
        ("Person/Worth", Value::Number(12.5)),
        ("Person/Mail", Value::List([text("a"), text("b")].into())),
        ("Person/Given/@xsi:nil", Value::Bool(true)),
        ("Person/Family", text("Žlutý ]]> & \u{1F600} \"'")),
        ("Person/Born", text("2001-02-03")),
        ("Person/Seen", Value::Time("2026-11-27T10:00:00Z".parse().unwrap())),
        ("Person/@version", Value::Integer(1)),
        ("ExternalId", text(" e\n")),
    ];
    let zeep_person = json!({"ExternalId": " e\n", "Person": [{"Family": "Žlutý ]]> & \u{1F600} \"'", "Given": {"nil": 1}, "Mail": ["a", "b"], "version": 1,
        "Worth": {"decimal": "12.5"}, "Vip": true, "Born": {"date": "2001-02-03"}, "Seen": {"datetime": "2026-11-27T10:00:00+00:00"}}]});
    let pair = |name: &str, value: &str| Node::of("item", vec![Node::new("value", text(value)), Node::new("name", text(name))]);
    let remark = [
        ("Tree/branch/label", text("b")),
        ("Tree/label", text("a")),
        ("ByTown", text("T")),
        ("ByName", text("N")),
        ("Subject/@lang", text("en")),
        ("Subject/boss", text("B")),
        ("Subject/born/@xsi:nil", Value::Bool(true)),
        ("Subject/name", text("N")),
        ("Subject/id", text("1")),
        ("Subject/@xsi:type", text("Employee")),
        ("first", text("f")),
        ("@rank", Value::Integer(3)),
        ("Trace/At", Value::Time("2026-11-27T10:00:00Z".parse().unwrap())),
    ];
    let zeep_remark = json!({"Trace": {"At": {"datetime": "2026-11-27T10:00:00+00:00"}}, "ByName": "N", "ByTown": "T", "first": "f", "rank": 3,
        "Subject": [{"type": "{urn:kith:layered:objects}Employee", "values": {"id": "1", "name": "N", "boss": "B", "born": {"nil": 1}, "lang": "en"}}],
        "Tree": {"label": "a", "branch": [{"label": "b"}]}});
    let header = json!({"{urn:kith:desk}Session": {"Token": "t&<>"}});
    let cases: Vec<Case> = vec![
        ("crm.wsdl", "Desk11", "Upsert", session(), values(&person), header.clone(), zeep_person.clone()),
        ("crm.wsdl", "Desk12", "Upsert", session(), values(&person), header, zeep_person),
        (
            "crm.wsdl",
            "Desk11",
            "Login",
            vec![],
            values(&[("Password", text("s3cret&<>")), ("User", text("svc"))]),
            Json::Null,
            json!({"User": "svc", "Password": "s3cret&<>"}),
        ),
        (
            "rpc.wsdl",
            "Ledger",
            "post",
            vec![],
            values(&[("entry/note", text("n")), ("entry/amount", text("1.50")), ("session", text("s")), ("entry/tags", text("a b"))]),
            Json::Null,
            json!({"session": "s", "entry": {"amount": {"decimal": "1.50"}, "note": "n", "tags": "a b"}}),
        ),
        (
            "sugar.wsdl",
            "sugarlikePort",
            "set_entry",
            vec![],
            Node::body(vec![
                Node::of("name_value_list", vec![pair("id", "1"), pair("name", "N")]),
                Node::new("session", text("s")),
                Node::new("module_name", text("Contacts")),
            ]),
            Json::Null,
            json!({"session": "s", "module_name": "Contacts", "name_value_list": {"array": "{urn:kith:sugarlike}name_value_list", "of": "{urn:kith:sugarlike}name_value", "items": [{"name": "id", "value": "1"}, {"name": "name", "value": "N"}]}}),
        ),
        (
            "sugar.wsdl",
            "sugarlikePort",
            "login",
            vec![],
            Node::body(vec![
                Node::of("user_auth", vec![Node::new("password", text("p")), Node::new("user_name", text("u"))]),
                Node::of("name_value_list", vec![]),
                Node::new("application_name", text("k")),
            ]),
            Json::Null,
            json!({"user_auth": {"user_name": "u", "password": "p"}, "application_name": "k", "name_value_list": {"array": "{urn:kith:sugarlike}name_value_list", "of": "{urn:kith:sugarlike}name_value", "items": []}}),
        ),
        ("layered/service.wsdl", "Layered", "Remark", vec![], values(&remark), Json::Null, zeep_remark),
    ];
    let mut contracts: HashMap<&str, Contract> = HashMap::new();
    let (mut requests, mut ours) = (Vec::new(), Vec::new());
    for (wsdl, port, operation, blocks, body, headers, zeep) in cases {
        let contract = contracts.entry(wsdl).or_insert_with(|| contract(wsdl));
        ours.push((wsdl, operation, render(contract, port, operation, &blocks, body).unwrap()));
        requests.push(json!({"wsdl": wsdl, "port": port, "operation": operation, "headers": headers, "values": zeep}));
    }
    for ((wsdl, operation, ours), theirs) in ours.iter().zip(ask(&python, &requests)) {
        let zeep = theirs["zeep"].as_str().unwrap_or_else(|| panic!("{wsdl} {operation}: zeep says {}", theirs["zeep_error"]));
        let (mut ours, zeep) = (parse(ours), parse(zeep));
        if *wsdl == "sugar.wsdl" {
            ours = without_types(ours);
        }
        pretty(&canonical(&ours), &canonical(&zeep), &format!("{wsdl} {operation}"));
    }
    eprintln!("{} envelopes are those of zeep", ours.len());
}

fn pretty(ours: &str, theirs: &str, what: &str) {
    assert!(ours == theirs, "{what}\n-- ours\n{ours}\n-- zeep's\n{theirs}");
}

/// Paths of an operation and values for them that are sometimes right.
fn any_values(pool: &'static [(&'static str, &'static [&'static str])]) -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let odd = proptest::string::string_regex("[ -~\u{0}\n\r\täß€\u{1F600}]{0,50}").unwrap();
    proptest::collection::vec((proptest::sample::select(pool), proptest::num::u8::ANY, odd), 0..14).prop_map(|picked| {
        let value = |values: &[&str], n: u8, odd: String| if n < 40 { odd } else { values[usize::from(n) % values.len()].to_owned() };
        picked.into_iter().map(|((path, values), n, odd)| (path, value(values, n, odd))).collect()
    })
}

const PERSON: &[(&str, &[&str])] = &[
    ("ExternalId", &["e", ""]),
    ("Person/@version", &["1", "70000"]),
    ("Person/@source", &["social"]),
    ("Person/Family", &["F", "", "ffffffffffffffffffffffffffffffffffffffffff"]),
    ("Person/Key", &["k"]),
    ("Person/Given/@xsi:nil", &["true"]),
    ("Person/Mail", &["a@x"]),
    ("Person/Mail[2]", &["b@x"]),
    ("Person/Phone", &["+420 123", "12", "  1234  "]),
    ("Person/Network", &["bluesky", "x & y", "other"]),
    ("Person/Born", &["2001-02-03", "2001-02-30", " 2001-02-03Z "]),
    ("Person/Seen", &["2026-11-27T10:00:00Z", "2026-11-27"]),
    ("Person/Worth", &["12.50", "1.234", "-1", "1234567890"]),
    ("Person/Vip", &["1", "true", "yes"]),
    ("Person/Visits", &["2147483647", "2147483648"]),
    ("Person/Photo", &["QUI=", "QUI"]),
    ("Person[2]/Family", &["Two"]),
    ("Person[2]/@version", &["2"]),
];

const RECORD: &[(&str, &[&str])] = &[
    ("Trace/At", &["2026-11-27T10:00:00Z", "1999-01-01T00:00:00Z"]),
    ("ByKey", &["k", " a  b "]),
    ("ByName", &["n"]),
    ("ByTown", &["t"]),
    ("Person/id", &["1"]),
    ("Person/name", &["n"]),
    ("Person/boss", &["b"]),
    ("Person/@xsi:type", &["Employee", "Person", "Company"]),
    ("Person/@lang", &["en-GB", "e_n"]),
    ("Person/born", &["2001-02", "2001"]),
    ("Person/weight", &["80.5"]),
    ("Person/weight/@unit", &["kg", "stone"]),
    ("Company/id", &["2"]),
    ("Company/town", &["t"]),
    ("first", &["f"]),
    ("second", &["s"]),
    ("Tag", &["a", "1a"]),
    ("Tag[2]", &["b"]),
    ("Score", &["1.5", "INF", "+INF"]),
    ("Codes", &["1 2", "1 2 3 4 5", "300"]),
    ("Either", &["17", "never", "2001-02-03", "x"]),
    ("Tree/label", &["a"]),
    ("Tree/branch/label", &["b"]),
    ("Tree/branch/branch/label", &["c"]),
    ("{urn:free}Extra/Note", &["n"]),
    ("@rank", &["3", "0"]),
    ("@mode", &["live", "dead"]),
];

#[test]
fn whatever_values_come_an_envelope_is_valid_by_lxml_or_refused() {
    let Some(python) = python() else { return };
    let seed = std::env::var("KITH_TEST_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(20_261_127_u64);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    for (wsdl, port, operation, pool, needed, schemas) in [
        (
            "crm.wsdl",
            "Desk11",
            "Upsert",
            PERSON,
            &[("ExternalId", "e"), ("Person/Family", "F"), ("Person/@version", "1")][..],
            vec!["crm.wsdl"],
        ),
        (
            "layered",
            "Layered",
            "Record",
            RECORD,
            &[("Trace/At", "2026-11-27T10:00:00Z"), ("Person/id", "1"), ("Person/name", "n"), ("ByKey", "k")],
            vec!["layered/messages.xsd"],
        ),
    ] {
        let contract = contract(wsdl);
        let strategy = any_values(pool);
        let (mut requests, mut kept, mut refused) = (Vec::new(), Vec::new(), 0);
        for round in 0..1_500 {
            let mut picked = strategy.new_tree(&mut runner).unwrap().current();
            // Most messages hold what must be there, or hardly one would be valid.
            if round % 8 != 0 {
                let choice = picked.iter().any(|(path, _)| path.starts_with("ByName") || path.starts_with("ByTown"));
                let fill = needed.iter().filter(|(path, _)| !(choice && *path == "ByKey"));
                picked.extend(fill.map(|(path, value)| (*path, (*value).to_owned())));
            }
            let pairs: Vec<(&str, Value)> = picked.iter().map(|(p, v)| (*p, text(v))).collect();
            match render(&contract, port, operation, &[], values(&pairs)) {
                Ok(envelope) => {
                    requests.push(json!({"envelope": envelope, "schemas": schemas}));
                    kept.push(picked);
                }
                Err(refusal) => {
                    refused += 1;
                    let told = refusal.to_string();
                    assert!(picked.iter().all(|(_, v)| v.chars().count() < 12 || !told.contains(v.as_str())), "a value is told: {told}");
                }
            }
        }
        assert!(kept.len() >= 100, "{operation}: only {} of 1500 were rendered", kept.len());
        for (at, answer) in ask(&python, &requests).iter().enumerate() {
            assert!(
                answer["invalid"].is_null(),
                "seed {seed}, {:?}\n{}\n{}",
                kept[at],
                requests[at]["envelope"].as_str().unwrap(),
                answer["invalid"]
            );
        }
        eprintln!("{operation}: {} valid, {refused} refused, seed {seed}", kept.len());
    }
}
