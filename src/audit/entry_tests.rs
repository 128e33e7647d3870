//! Tests of entries: their text, their limits, their schema.

use super::*;
use crate::audit::evidence::tests::{any_evidence, evidence_of};
use crate::audit::{HashKey, LongText, PersonKey, SealingKey, Unpredictable, canonical, entry_schema, evidence_digest, kinds_page};
use crate::model::{
    CustomerId, DecisionId, DeliveryId, FieldChange, IdentityId, Personal, RecordKey, TargetId, Value as Field, Verb, Version,
};
use proptest::prelude::*;
use serde_json::{Map, Value};

fn time() -> Timestamp {
    "2026-02-28T09:30:00.123456789Z".parse().unwrap()
}

struct Keys {
    hash: HashKey,
    random: Unpredictable,
    identity: PersonKey,
    customer: PersonKey,
}

fn keys() -> Keys {
    let mut random = Unpredictable::new([1; 32]);
    let (identity, customer) = (PersonKey::generate(&mut random), PersonKey::generate(&mut random));
    Keys { hash: HashKey::new([7; 32]), random, identity, customer }
}

fn ada() -> IdentityId {
    IdentityId { network: Network::Mastodon, id: "https://social.example/users/ada_rossi".into() }
}

fn why() -> Why {
    Why {
        rule: Some("handle-on-file".into()),
        basis: Some("provided_by_customer".into()),
        law: Some("GDPR 6(1)(b)".into()),
        mapping: Some(Digest([0x3a; 32])),
        ..Why::default()
    }
}

/// A write of the example mapping's `interaction`, as the pipeline makes its entries.
fn write_entries(keys: &mut Keys) -> (Entry, Entry) {
    let record = keys.hash.record(&TargetId("crm_db".into()), &RecordKey("[\"mastodon\",\"https://social.example/notes/184467\"]".into()));
    let payload: Vec<(Arc<str>, Field)> = [
        ("CustomerID", "C0004711"),
        ("Network", "mastodon"),
        ("ActivityID", "https://social.example/users/ada_rossi/notes/184467"),
        ("ConversationID", "https://social.example/conversations/99120"),
        ("Audience", "public"),
        ("PostedAt", "2026-02-28T09:29:58Z"),
        ("Body", "My order 4711 arrived broken and nobody answers the telephone. What now?"),
        ("Topic", "complaint"),
        ("OrderNumber", "4711"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .to_vec();
    let both = SealingKey::of_both(&keys.identity, &keys.customer);
    let version = Version { at: time(), verb: Verb::Create, activity: "a1".into() };
    let correlation = Correlation {
        activity: Some(keys.hash.activity(Network::Mastodon, "https://social.example/notes/184467", &version)),
        decision: Some(keys.hash.decision(DecisionId(7))),
        delivery: Some(keys.hash.delivery(DeliveryId(9))),
        receipt: None,
    };
    let subject = Subject { customer: Some(keys.hash.customer(&"C0004711".into())), identity: Some(keys.hash.identity(&ada())) };
    let intended = Entry {
        subject,
        network: Some(Network::Mastodon),
        why: why(),
        fields: Some(Fields::of_payload(Kind::WriteIntended, &payload, &both, &mut keys.random).unwrap()),
        correlation,
        ..Entry::new(
            time(),
            Event::WriteIntended {
                attempt: 1,
                entry: "interaction".into(),
                intent: "write".into(),
                operation: "upsert_interaction".into(),
                record,
                target: "crm_db".into(),
            },
        )
    };
    let receipt = Entry {
        subject,
        network: Some(Network::Mastodon),
        outcome: Some(EntryOutcome::Inserted),
        correlation: Correlation { receipt: Some(keys.hash.receipt(DeliveryId(9), 1)), ..correlation },
        ..Entry::new(
            time(),
            Event::WriteReceipt {
                attempt: 1,
                entry: "interaction".into(),
                operation: "upsert_interaction".into(),
                record,
                target: "crm_db".into(),
            },
        )
    };
    (intended, receipt)
}

fn decision(keys: &mut Keys, candidates: usize) -> Entry {
    let evidence = evidence_of(candidates);
    let sealed = SealedEvidence::seal(
        &evidence,
        &keys.hash,
        &SealingKey::from(&keys.identity),
        |_| Some(SealingKey::from(&keys.customer)),
        &mut keys.random,
    )
    .unwrap();
    Entry {
        subject: Subject { customer: Some(keys.hash.customer(&"C1".into())), identity: Some(keys.hash.identity(&ada())) },
        network: Some(Network::Mastodon),
        why: Why {
            evidence: Some(evidence_digest(&evidence, &keys.hash)),
            model: Some(Digest([0x5b; 32])),
            lookups: Some(Digest([0x6c; 32])),
            ..why()
        },
        evidence: Some(Part::Here(sealed)),
        outcome: Some(EntryOutcome::Linked),
        correlation: Correlation { decision: Some(keys.hash.decision(DecisionId(7))), ..Correlation::default() },
        ..Entry::new(
            time(),
            Event::Decision {
                by: Some("handle-on-file".into()),
                candidates: candidates as u64,
                match_weight: Some(21.530_461_907_122_34),
                planned: 2,
                prompted_by: None,
                probability: Some(0.999_812_345_678_9),
            },
        )
    }
}

#[test]
fn an_entry_reads_like_this() {
    let entry = Entry {
        actor: Actor::person("ines", Role::Steward),
        subject: Subject { identity: Some(SubjectHash([1; 16])), customer: None },
        outcome: Some(EntryOutcome::Dropped),
        why: Why { rule: Some("private-message".into()), ..Why::default() },
        ..Entry::new(time(), Event::ActivityDropped { source: Some("inbox".into()) })
    };
    let text = String::from_utf8(entry.encode().unwrap().bytes).unwrap();
    insta::assert_snapshot!(text, @r#"{"actor":{"kind":"person","name":"ines","role":"steward"},"kind":"activity.dropped","outcome":"dropped","subject":{"identity":"01010101010101010101010101010101"},"time":"2026-02-28T09:30:00.123456Z","v":1,"what":{"source":"inbox"},"why":{"rule":"private-message"}}"#);
}

#[test]
fn times_are_cut_to_six_digits_never_rounded_up_into_the_future() {
    for (given, written) in [
        ("2026-02-28T09:30:00.999999999Z", "2026-02-28T09:30:00.999999Z"),
        ("2026-02-28T09:30:00Z", "2026-02-28T09:30:00.000000Z"),
        ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
    ] {
        assert_eq!(time_text(given.parse().unwrap()), written);
    }
}

#[test]
fn entries_of_writes_and_decisions_are_small_and_read_back() {
    let mut keys = keys();
    let (intended, receipt) = write_entries(&mut keys);
    let sizes: Vec<usize> = [intended.clone(), receipt, decision(&mut keys, 0), decision(&mut keys, 1), decision(&mut keys, 3)]
        .iter()
        .map(|entry| {
            let encoded = entry.encode().unwrap();
            assert_eq!(encoded.parts, []);
            assert_eq!(Entry::decode(&encoded.bytes).unwrap().encode().unwrap(), encoded);
            encoded.bytes.len()
        })
        .collect();
    println!(
        "bytes: intended {}, receipt {}, decisions with 0, 1, 3 candidates {} {} {}",
        sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    );
    let limits = [1_500, 700, 1_700, 2_500, 3_500];
    assert!(sizes.iter().zip(limits).all(|(size, limit)| *size < limit), "{sizes:?}");
    let both = SealingKey::of_both(&keys.identity, &keys.customer);
    let changes = intended.fields.unwrap().open(Kind::WriteIntended, &both).unwrap();
    assert_eq!(changes[6].field.as_ref(), "Body");
    assert!(changes[6].before.reveal().is_missing() && changes[6].after.reveal().as_text().unwrap().starts_with("My order"));
}

#[test]
fn no_personal_value_stands_in_clear() {
    let mut keys = keys();
    let (intended, receipt) = write_entries(&mut keys);
    for entry in [intended, receipt, decision(&mut keys, 3)] {
        let text = String::from_utf8(entry.encode().unwrap().bytes).unwrap();
        for personal in ["\"ada\"", "rossi", "C0004711", "\"C1\"", "\"C2\"", "order 4711", "social.example", "184467"] {
            assert!(!text.contains(personal), "{personal} in {text}");
        }
    }
}

#[test]
fn what_is_too_large_stands_by_digest_and_is_handed_over() {
    let mut keys = keys();
    let entry = decision(&mut keys, 300);
    let encoded = entry.encode().unwrap();
    assert!(encoded.bytes.len() < 2_000);
    let Some(Part::Here(evidence)) = &entry.evidence else { unreachable!() };
    assert_eq!(encoded.parts, [LargePart { digest: PartDigest::of(evidence.as_bytes()).digest, bytes: evidence.as_bytes().to_vec() }]);
    let read = Entry::decode(&encoded.bytes).unwrap();
    assert_eq!(read.evidence, Some(Part::ByDigest(PartDigest::of(evidence.as_bytes()))));
    assert_eq!(SealedEvidence::from_bytes(&encoded.parts[0].bytes).as_ref(), Ok(evidence));

    let changed = Entry::new(
        time(),
        Event::MappingChanged {
            after: Digest([1; 32]),
            before: None,
            diff: Some(Part::Here(LongText("+ a line\n".repeat(10_000).into()))),
            name: "retail".into(),
        },
    );
    let encoded = changed.encode().unwrap();
    assert_eq!(encoded.parts.len(), 1);
    assert!(Entry::decode(&encoded.bytes).is_ok());

    let body: Field = Field::Text("x".repeat(100_000).into());
    let change = FieldChange { field: "Body".into(), before: Personal::new(Field::Missing), after: Personal::new(body) };
    let key = SealingKey::from(&keys.identity);
    let (mut intended, _) = write_entries(&mut keys);
    intended.fields = Some(Fields::of_changes(Kind::WriteIntended, &[change], &key, &mut keys.random).unwrap());
    let encoded = intended.encode().unwrap();
    assert_eq!((encoded.parts.len(), Entry::decode(&encoded.bytes).is_ok()), (1, true));

    intended.fields = Some(Fields::names((0..40_000).map(|n| n.to_string().into())));
    assert_eq!(intended.encode().unwrap_err().kind, "write.intended");
}

#[test]
fn long_texts_are_cut_on_a_character() {
    let cause: Text = "é".repeat(5_000).into();
    let bytes = Entry::new(time(), Event::DecisionUndetermined { attempt: 1, cause }).encode().unwrap().bytes;
    let Event::DecisionUndetermined { cause, .. } = Entry::decode(&bytes).unwrap().event else { unreachable!() };
    assert!(cause.len() <= 2_048 && cause.ends_with("é…"));
}

#[test]
fn a_refusal_carries_no_evidence_even_if_given_some() {
    let mut keys = keys();
    let entry = Entry { event: Event::PolicyRefused { action: "match".into(), reason: None }, ..decision(&mut keys, 1) };
    assert_eq!(Entry::decode(&entry.encode().unwrap().bytes).unwrap().evidence, None);
}

/// One entry of each kind, from its schema: every member once present and once, where it may, absent.
fn of_every_kind() -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    for (kind, _, members) in crate::audit::event::table() {
        for full in [true, false] {
            let what: Map<String, Value> = members
                .iter()
                .filter(|member| full || member.3)
                .map(|(name, _, schema, _)| {
                    let value = match (schema["type"].as_str(), schema["pattern"].as_str()) {
                        (Some("integer"), _) => Value::from(3),
                        (Some("boolean"), _) => Value::from(true),
                        (_, Some(pattern)) if pattern.contains("64") => "ab".repeat(32).into(),
                        (_, Some(_)) => "ab".repeat(16).into(),
                        _ if schema.to_string().contains("Infinity") => Value::from(0.5),
                        _ => "text".into(),
                    };
                    ((*name).to_owned(), value)
                })
                .collect();
            entries.push(canonical::to_vec(&serde_json::json!({
                "actor": { "kind": "service", "name": "kith", "role": "service" },
                "kind": kind.name(), "time": "2026-02-28T09:30:00.000000Z", "v": 1, "what": what,
            })));
        }
    }
    entries
}

#[test]
fn code_and_schema_agree_on_every_kind_and_on_every_missing_or_surplus_member() {
    let schema = jsonschema::validator_for(&entry_schema()).unwrap();
    let mut keys = keys();
    let (intended, receipt) = write_entries(&mut keys);
    let mut entries = of_every_kind();
    entries.extend([intended, receipt, decision(&mut keys, 2), decision(&mut keys, 300)].iter().map(|e| e.encode().unwrap().bytes));
    let both_say = |json: &Value| {
        let code = Entry::decode(&canonical::to_vec(json));
        assert_eq!(
            code.is_ok(),
            schema.is_valid(json),
            "{json}\n{code:?}\n{:?}",
            schema.iter_errors(json).map(|e| e.to_string()).collect::<Vec<_>>()
        );
        code.is_ok()
    };
    for bytes in entries {
        let json: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(both_say(&json));
        for place in ["", "/actor", "/what", "/why", "/subject", "/correlation", "/fields", "/fields/sealed"] {
            let Some(members) = json.pointer(place).and_then(Value::as_object) else { continue };
            for name in members.keys() {
                let mut without = json.clone();
                without.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(name);
                both_say(&without);
                let mut wrong = json.clone();
                wrong.pointer_mut(place).unwrap()[name] = Value::from(-1.5);
                if !matches!(name.as_str(), "match_weight" | "probability") {
                    assert!(!both_say(&wrong), "{place}/{name}");
                }
            }
            let mut surplus = json.clone();
            surplus.pointer_mut(place).unwrap()["zz"] = Value::from(1);
            assert!(!both_say(&surplus));
        }
    }
}

#[test]
fn the_files_for_reviewers_are_what_the_code_says() {
    let schema = format!("{}\n", serde_json::to_string_pretty(&entry_schema()).unwrap());
    for (file, made) in [("entry.schema.json", schema), ("kinds.md", kinds_page())] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("ops/audit").join(file);
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        if kept != made {
            std::fs::write(&path, made).unwrap();
            panic!("ops/audit/{file} did not say what the code does; it was written anew: look at it and keep it");
        }
    }
}

#[test]
fn other_spellings_are_no_entries() {
    let good = r#"{"actor":{"kind":"service","name":"kith","role":"service"},"kind":"login","network":"x","time":"2026-02-28T09:30:00.000000Z","v":1,"what":{"method":"oidc"}}"#;
    assert!(Entry::decode(good.as_bytes()).is_ok());
    for (from, to) in [
        ("\"v\":1", "\"v\":2"),
        ("\"x\"", "\"twitter\""),
        ("00.000000Z", "00Z"),
        ("00.000000Z", "00.000000+00:00"),
        ("2026-02-28T", "2026-02-28 "),
        ("2026-02-28T", "2026-02-30T"),
        ("login", "log-in"),
        ("\"what\":{", "\"subject\":{},\"what\":{"),
        ("{\"actor\"", " {\"actor\""),
    ] {
        assert!(Entry::decode(good.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
    }
    assert_eq!(Entry::decode(&vec![b' '; 70_000]), Err(NotAnEntry::TooLong(70_000)));
    assert_eq!(Entry::decode(b"[]"), Err(NotAnEntry::Version));
}

proptest! {
    #[test]
    fn any_evidence_makes_an_entry_that_reads_back(evidence in any_evidence()) {
        let mut keys = keys();
        let sealed = SealedEvidence::seal(&evidence, &keys.hash, &SealingKey::from(&keys.identity), |c: &CustomerId| (c.as_str() != "C0").then(|| SealingKey::from(&keys.customer)), &mut keys.random).unwrap();
        let entry = Entry { evidence: Some(Part::Here(sealed)), ..decision(&mut keys, 0) };
        let encoded = entry.encode().unwrap();
        let read = Entry::decode(&encoded.bytes).unwrap();
        prop_assert_eq!(read.encode().unwrap().bytes, encoded.bytes);
    }

    #[test]
    fn reading_an_entry_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(Entry::decode(&bytes));
    }

    #[test]
    fn a_changed_byte_is_refused_or_reads_as_another_entry(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), with in changed()) {
        let mut keys = keys();
        let (intended, receipt) = write_entries(&mut keys);
        let mut entries = of_every_kind();
        entries.extend([intended, receipt, decision(&mut keys, 2)].iter().map(|e| e.encode().unwrap().bytes));
        let mut bytes = entries.swap_remove(which.index(entries.len()));
        let at = at.index(bytes.len());
        bytes.splice(at..(at + 1).min(bytes.len()), with);
        if let Ok(entry) = Entry::decode(&bytes) {
            prop_assert_eq!(entry.encode().unwrap().bytes, bytes);
        }
    }
}

/// Bytes in place of one: another digit or letter above all, so that much of it stays an entry.
fn changed() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[0-9a-fTZtz:+.-]{0,3}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..3),
        Just(br#","zz":1"#.to_vec()),
        Just(b"{}".to_vec()),
    ]
}

#[test]
fn a_moment_has_one_spelling() {
    for text in ["2026-02-28T09:30:00.000000Z", "0001-01-01T00:00:00.000001Z", "9999-12-30T21:59:59.999999Z"] {
        assert_eq!(read_time(text).map(time_text).as_deref(), Some(text));
    }
    for text in [
        "2026-02-28t09:30:00.000000Z",
        "2026-02-28T09:30:00.000000z",
        "2026-02-28T09:30:60.000000Z",
        "2026-02-28T24:00:00.000000Z",
        "2026-02-30T09:30:00.000000Z",
        "2026-02-28T09:30:00,000000Z",
        "2026-02-28T09:30:00.00000Z",
        "2026-02-28T09:30:00.0000000Z",
        "2026-02-28T09:30:00.000000+00:00",
        "",
    ] {
        assert_eq!(read_time(text), None, "{text}");
    }
}
