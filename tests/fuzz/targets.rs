//! Fuzz targets: plain functions over bytes, one for each reader of outside bytes. None may panic, hang or take memory beyond its limits,
//! whatever comes. `tests/it/fuzz.rs` runs them for seconds on the stable toolchain; a coverage-guided fuzzer may call the same functions.

use kith::audit::{Bundle, CosignerKey, Entry, Note, Sealed, SealedEvidence, VerifierKey, canonical};
use kith::declare::{config, connector, mapping, yaml};
use kith::model::Digest;
use kith::normalize::activity_streams::Reader;
use kith::normalize::{Cleaner, CustomerFields, Extract, Field, Finder, IdentityFields, NamePart, clean_customer};
use kith::source::FileCursor;
use kith::wire::pace;
use kith::wire::soap::{self, Node, Reading, Request};
use kith::wire::xml::Uncarried;
use std::path::Path;

/// A target: its name and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("activity_streams", activity_streams),
    ("mapping", read_mapping),
    ("configuration", configuration),
    ("target_file", target_file),
    ("cleaners", cleaners),
    ("entry", entry),
    ("checkpoint", checkpoint),
    ("proof", proof),
    ("stored_bytes", stored_bytes),
    ("server_limits", server_limits),
    ("wsdl", wsdl),
    ("soap_answer", soap_answer),
    ("splink_model", splink_model),
    ("splink_sql", splink_sql),
    ("manifest", source_manifest),
    ("source_answer", source_answer),
    ("event_stream", event_stream),
    ("compliance_answer", compliance_answer),
    ("webhook_headers", webhook_headers),
    ("webhook_spool", webhook_spool),
    ("webhook_body", webhook_body),
    ("tap_message", tap_message),
];

/// Server-sent events, whole and in pieces: the same is found.
fn event_stream(bytes: &[u8]) {
    use kith::wire::event_stream::Parser;
    let read = |size: usize| {
        let (mut parser, mut found) = (Parser::after(None), Vec::new());
        let good = bytes.chunks(size.max(1)).all(|piece| parser.push(piece, &mut found).is_ok());
        (good, found)
    };
    assert_eq!(read(bytes.len()), read(usize::from(bytes.first().copied().unwrap_or(1))));
}

/// A job of a network and the lines of its answer, whole and in pieces: the same is found.
fn compliance_answer(bytes: &[u8]) {
    use kith::source::compliance::{Job, Lines};
    if let Ok(json) = serde_json::from_slice(bytes) {
        drop(Job::of(&json));
    }
    let read = |size: usize| {
        let mut lines = Lines::default();
        let mut found: Vec<_> = bytes.chunks(size.max(1)).flat_map(|piece| lines.take(piece)).collect();
        found.extend(lines.end());
        found
    };
    assert_eq!(read(bytes.len()), read(usize::from(bytes.first().copied().unwrap_or(1))));
}

/// A delivery's signature and a question's query, of every scheme.
fn webhook_headers(bytes: &[u8]) {
    use kith::manifest::webhook::{Keys, Scheme};
    let query = String::from_utf8_lossy(bytes);
    for scheme in Scheme::ALL {
        let secret = if scheme == Scheme::Standard { "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" } else { "secret" };
        let keys = Keys::new(scheme, [secret], Some("token".to_owned().into()));
        if let Ok(keys) = keys {
            assert!(keys.check(|_| Some(bytes), b"body", 1_614_265_330).is_err(), "nobody guesses a signature");
            if let Some(answer) = keys.answer(&query, &["topic"]) {
                assert!(answer.text.len() <= 1_024);
            }
        }
    }
}

/// A spool's file, and what is drained.
fn webhook_spool(bytes: &[u8]) {
    let (found, whole) = kith::source::webhook::frames(bytes);
    assert!(whole <= bytes.len());
    let again: Vec<u8> = found.iter().flat_map(|(_, frame)| frame.to_bytes()).collect();
    assert_eq!(again, bytes.get(..whole).unwrap_or_default(), "what is read is what was written");
    if let Ok(position) = String::from_utf8_lossy(bytes).parse::<kith::source::webhook::Position>() {
        assert_eq!(position.to_string().parse(), Ok(position));
    }
}

/// A body, as each shipped webhook takes it.
fn webhook_body(bytes: &[u8]) {
    use std::sync::LazyLock;
    static CONNECTORS: LazyLock<Vec<kith::declare::manifest::Connector>> = LazyLock::new(|| {
        let read = |name: &str| {
            let path = format!("{}/connectors/sources/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
            let file = yaml::decode(name, &std::fs::read(path).ok()?).ok()?;
            kith::declare::manifest::read(&file).value
        };
        ["facebook", "instagram", "x", "rss", "atom", "discourse"].into_iter().filter_map(read).collect()
    });
    let reader = Reader::new(&IdentityFields { paths: Vec::new(), fields: Vec::new() }, None);
    for connector in CONNECTORS.iter() {
        for webhook in &connector.webhooks {
            drop(kith::source::webhook::take(connector, webhook, Some("https://community.example"), bytes, &reader, 0));
        }
    }
}

/// A line of a Singer tap, and a records file.
fn tap_message(bytes: &[u8]) {
    use kith::source::singer::Message;
    match Message::read(bytes) {
        Some(Message::Record { record, .. }) => assert!(record.is_object()),
        Some(Message::State(state)) => assert!(serde_json::from_str::<serde_json::Value>(state.get()).is_ok()),
        Some(Message::Schema { .. } | Message::ActivateVersion | Message::Batch | Message::Other) | None => {}
    }
    if let Ok(file) = yaml::decode("records.yaml", bytes) {
        drop(kith::declare::manifest::read_records(&file));
    }
}

/// A source's manifest, templates and all.
fn source_manifest(bytes: &[u8]) {
    if let Ok(file) = yaml::decode("source.yaml", bytes) {
        let checked = kith::declare::manifest::read(&file);
        for problem in &checked.problems.0 {
            drop(problem.to_json());
        }
    }
}

/// An answer of a source, in every form that is read.
fn source_answer(bytes: &[u8]) {
    use kith::manifest::source::Decoder;
    let csv = Decoder::Csv { delimiter: b',', nulls: Vec::new(), encoding: kith::manifest::encoding::Encoding::Utf8 };
    for decoder in [Decoder::Json, Decoder::JsonLines, Decoder::Xml, csv.clone(), Decoder::Gzip(Box::new(csv))] {
        if let Ok(values) = kith::source::manifest::decode(&decoder, bytes) {
            for value in &values {
                drop(value.compact());
            }
        }
    }
    let path = ["data".to_owned()];
    if let Some(picked) = kith::source::manifest::pick(bytes, &path, true) {
        for item in picked.at.and_then(kith::source::manifest::items).into_iter().flatten() {
            drop(kith::source::manifest::member(item.get(), "id"));
        }
    }
}

/// A WSDL, or a schema that one includes.
fn wsdl(bytes: &[u8]) {
    let including = br#"<definitions xmlns="http://schemas.xmlsoap.org/wsdl/"><types><schema xmlns="http://www.w3.org/2001/XMLSchema"><include schemaLocation="y.xsd"/></schema></types></definitions>"#;
    for (entry, other) in [("x.wsdl", "y.xsd"), ("y.xsd", "x.wsdl")] {
        let files = [(entry.to_owned(), bytes.to_vec()), (other.to_owned(), including.to_vec())].into();
        let checked = kith::wire::wsdl::read(&files, "x.wsdl");
        for problem in &checked.problems.0 {
            drop(problem.to_json());
        }
        if let Some(contract) = checked.value {
            for operation in contract.operations().take(4) {
                assert!(operation.outline().len() < 8 << 20, "an outline is bounded");
                let body = Node::body(vec![Node::new("Person", "x"), Node::new("name_value_list", "y")]);
                if let Ok(rendered) = (Request { operation, headers: Vec::new(), body, uncarried: Uncarried::Strip }).render() {
                    assert!(matches!(soap::read(&rendered.bytes, None), Reading::Answer(_)), "what is rendered is an envelope");
                }
            }
        }
    }
}

fn soap_answer(bytes: &[u8]) {
    let everything = soap::Path::parse("//*[1]").ok();
    for content_type in [None, Some("multipart/related; boundary=b"), Some("text/xml; charset=iso-8859-2")] {
        let reading = soap::read(bytes, content_type);
        let Some(envelope) = reading.envelope() else { continue };
        assert!(everything.as_ref().is_none_or(|path| path.select(envelope).len() <= envelope.count()), "nothing is found twice");
    }
}

fn splink_model(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let file = std::sync::Arc::new(kith::diagnose::SourceFile { name: "model.json".into(), text });
    for problem in &kith::splink::Settings::read(&file).problems.0 {
        drop(problem.to_json());
    }
}

/// The bytes as the SQL of a level and of a blocking rule, then run over the bytes as cells.
fn splink_sql(bytes: &[u8]) {
    let sql = String::from_utf8_lossy(bytes);
    let json = serde_json::json!({
        "link_type": "dedupe_only",
        "blocking_rules_to_generate_predictions": [{ "blocking_rule": sql, "sql_dialect": "duckdb" }],
        "comparisons": [{ "comparison_levels": [{ "sql_condition": sql }, { "sql_condition": "ELSE" }] }],
    });
    let file = std::sync::Arc::new(kith::diagnose::SourceFile { name: "model.json".into(), text: json.to_string() });
    let checked = kith::splink::Settings::read(&file);
    for problem in &checked.problems.0 {
        drop(problem.to_json());
    }
    if let Some(settings) = checked.value {
        let gamma = settings.gamma(0, &|_, _| Some(&sql));
        assert!((-1..=1).contains(&gamma));
    }
}

/// Lines of `name: value`, as a server would send them.
fn server_limits(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let headers: Vec<(String, String)> =
        text.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let now = jiff::Timestamp::UNIX_EPOCH;
    for asked in [pace::retry_after(&headers, now), pace::exhausted(&headers, now), pace::throttled(&headers, now)].into_iter().flatten() {
        assert!(!asked.wait.is_zero() && asked.wait.as_secs() <= 366 * 86_400, "a wait is bounded");
    }
}

fn activity_streams(bytes: &[u8]) {
    let fields =
        IdentityFields { paths: vec!["actor.name".into(), "actor.summary".into(), "actor.location.name".into()], fields: Vec::new() };
    if let Ok(activity) = Reader::new(&fields, None).parse(bytes) {
        let line = kith::normalize::activity_streams::to_line(&activity);
        assert_eq!(Reader::new(&fields, None).parse(&line).as_ref(), Ok(&activity), "what was read is written and read back");
    }
}

fn read_mapping(bytes: &[u8]) {
    if let Ok(file) = yaml::decode("fuzz.yaml", bytes) {
        let checked = mapping::read(&file, &|_| Ok(file.clone()), None);
        for problem in &checked.problems.0 {
            drop(problem.to_json());
        }
    }
}

fn configuration(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let checked = config::check("fuzz.toml", text, &[("KITH__SERVICE__STATE".into(), text.chars().take(40).collect())], Path::new(""));
        for problem in &checked.problems.0 {
            assert!(problem.place.line_column().is_none_or(|(line, column)| line > 0 && column > 0));
        }
    }
}

fn target_file(bytes: &[u8]) {
    if let Ok(file) = yaml::decode("fuzz.yaml", bytes) {
        drop(connector::read(&file));
    }
}

fn cleaners(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let extracts = [
        Extract::Clean(Cleaner::PersonName(NamePart::Given)),
        Extract::Clean(Cleaner::PersonName(NamePart::Family)),
        Extract::Clean(Cleaner::Email),
        Extract::Clean(Cleaner::Phone { region_from: None }),
        Extract::Clean(Cleaner::Place),
        Extract::Clean(Cleaner::Organisation),
        Extract::Clean(Cleaner::Date { region_from: None }),
        Extract::Clean(Cleaner::NetworkHandle),
        Extract::Clean(Cleaner::PostalCode),
        Extract::Find(Finder::Email),
        Extract::Find(Finder::Phone),
        Extract::Find(Finder::Organisation),
    ];
    let field = |(at, extract): (usize, &Extract)| Field {
        name: format!("f{at}").into(),
        from: vec![0],
        extract: extract.clone(),
        optional: false,
    };
    let fields = CustomerFields {
        related: Vec::new(),
        key: "id".into(),
        merged_into: None,
        columns: vec!["text".into()],
        fields: extracts.iter().enumerate().map(field).collect(),
    };
    drop(clean_customer(&fields, &[kith::model::Value::text(&text)]));
}

fn entry(bytes: &[u8]) {
    if let Ok(entry) = Entry::decode(bytes) {
        assert_eq!(entry.encode().unwrap().bytes, bytes, "an entry has one spelling");
    }
    assert!(canonical::check(bytes).is_err() || serde_json::from_slice::<serde_json::Value>(bytes).is_ok(), "canonical JSON is JSON");
}

fn checkpoint(bytes: &[u8]) {
    if let Ok(note) = Note::parse(bytes) {
        assert!(!format!("{note:?}").is_empty());
    }
    if let Ok(key) = VerifierKey::parse(&String::from_utf8_lossy(bytes)) {
        assert_eq!(VerifierKey::parse(&key.to_string()).as_ref(), Ok(&key));
    }
}

fn proof(bytes: &[u8]) {
    let key = VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
    if let Ok(bundle) = Bundle::parse(bytes) {
        assert!(bundle.verify(&key, &[]).is_err(), "nobody has that key");
    }
    for note in Note::split(bytes) {
        drop(Note::parse(note).map(|note| note.render()));
    }
    drop(CosignerKey::parse(&String::from_utf8_lossy(bytes)));
}

fn stored_bytes(bytes: &[u8]) {
    if let Some(cursor) = FileCursor::from_bytes(bytes) {
        assert_eq!(FileCursor::from_bytes(&cursor.to_bytes()), Some(cursor));
    }
    if let Some(sealed) = Sealed::from_bytes(bytes) {
        assert_eq!(sealed.to_bytes(), bytes);
    }
    if let Ok(evidence) = SealedEvidence::from_bytes(bytes) {
        assert_eq!(evidence.as_bytes(), bytes);
    }
    if let Some(digest) = Digest::from_hex(&String::from_utf8_lossy(bytes)) {
        assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
    }
}
