//! The promises of the reader, on written lines, on real lines that are broken at random, and on any bytes at all.

use super::*;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn fields(paths: &[&str]) -> IdentityFields {
    IdentityFields { paths: paths.iter().map(|p| Arc::from(*p)).collect(), fields: Vec::new() }
}

fn reader() -> Reader {
    Reader::new(&fields(&["actor.summary", "actor.name", "actor.location.name", "network", "actor.preferredUsername"]), None)
}

fn sample() -> Json {
    json!({
        "@context": "https://www.w3.org/ns/activitystreams", "type": "Create", "id": "https://twitter.example/activities/65",
        "generator": "twitter", "published": "2026-03-01T09:30:00Z", "to": ["https://www.w3.org/ns/activitystreams#Public"],
        "actor": { "type": "Person", "id": "https://twitter.example/users/S37", "preferredUsername": "marco_b", "name": "Marco Bragaglia",
            "summary": "baking", "location": { "type": "Place", "name": "Rome, IT" }, "secret": "not declared" },
        "object": { "type": "Note", "id": "https://twitter.example/notes/65", "content": "Ciao", "published": "2026-03-01T09:30:00Z",
            "inReplyTo": "https://twitter.example/notes/2", "url": "https://twitter.example/@marco_b/65" }
    })
}

/// The sample with members set (or, with null, taken away) at dotted paths.
fn with(changes: &[(&str, Json)]) -> Json {
    let mut line = sample();
    for (path, value) in changes {
        let pointer = format!("/{}", path.replace('.', "/"));
        if let Some(slot) = line.pointer_mut(&pointer) {
            *slot = value.clone();
        } else {
            let (parent, name) = path.rsplit_once('.').map_or(("", *path), |(p, n)| (p, n));
            let parent = if parent.is_empty() { String::new() } else { format!("/{}", parent.replace('.', "/")) };
            line.pointer_mut(&parent).unwrap()[name] = value.clone();
        }
    }
    line
}

fn parse(line: &Json) -> Result<Activity, Malformed> {
    reader().parse(line.to_string().as_bytes())
}

#[expect(clippy::unnecessary_wraps, reason = "what it is compared with is optional")]
fn text(value: &str) -> Option<Arc<str>> {
    Some(value.into())
}

#[test]
fn a_plain_activity_is_read_whole_and_only_declared_profile_fields_are_kept() {
    let activity = parse(&sample()).unwrap();
    let at: Timestamp = "2026-03-01T09:30:00Z".parse().unwrap();
    assert_eq!(activity.verb, Verb::Create);
    assert_eq!(activity.actor.id, IdentityId { network: Network::X, id: "https://twitter.example/users/S37".into() });
    assert_eq!((activity.published, activity.audience, activity.object.published), (at, Audience::Public, Some(at)));
    assert_eq!(activity.object.content.reveal(), &text("Ciao"));
    assert_eq!(activity.object.in_reply_to, text("https://twitter.example/notes/2"));
    let names: Vec<_> = activity.actor.profile.fields.reveal().iter().map(|(n, v)| (&**n, v.as_text().unwrap())).collect();
    assert_eq!(
        names,
        [
            ("actor.location.name", "Rome, IT"),
            ("actor.name", "Marco Bragaglia"),
            ("actor.preferredUsername", "marco_b"),
            ("actor.summary", "baking")
        ]
    );
}

#[test]
fn types_may_be_lists_and_iris() {
    for kind in [json!(["Custom", "Create"]), json!("as:Create"), json!("https://www.w3.org/ns/activitystreams#Create")] {
        assert_eq!(parse(&with(&[("type", kind)])).unwrap().verb, Verb::Create);
    }
    let question = parse(&with(&[("object.type", json!(["Question", "Poll"]))])).unwrap();
    assert_eq!(&*question.object.kind, "Question");
    assert_eq!(&*parse(&with(&[("object.type", Json::Null)])).unwrap().object.kind, "Object");
}

#[test]
fn a_delete_takes_a_tombstone_or_a_bare_id_and_needs_no_text() {
    let tombstone = json!({ "type": "Tombstone", "id": "n1", "deleted": "2026-04-01T00:00:00+02:00" });
    let delete = parse(&with(&[("type", json!("Delete")), ("object", tombstone)])).unwrap();
    assert_eq!(delete.version().at, "2026-03-31T22:00:00Z".parse().unwrap());
    assert_eq!((&*delete.object.kind, delete.object.content.reveal()), ("Tombstone", &None));
    let bare = parse(&with(&[("type", json!("Delete")), ("object", json!("n1")), ("actor", json!("https://x.com/u/1"))])).unwrap();
    assert_eq!((&*bare.object.id, &*bare.object.kind, bare.version().at), ("n1", "Tombstone", bare.published));
    assert_eq!(bare.actor.profile.fields.reveal(), &[], "a bare id tells nothing about the profile");
    let create = parse(&with(&[("object", json!("n1"))])).unwrap_err();
    assert_eq!(create, Malformed::WrongType { member: "object", expected: "the object itself", found: "only an id" });
}

#[test]
fn the_widest_addressee_makes_the_audience_and_nobody_addressed_is_direct() {
    const PUBLIC: &str = "https://www.w3.org/ns/activitystreams#Public";
    for (to, cc, audience) in [
        (json!(PUBLIC), Json::Null, Audience::Public),
        (json!(["as:Public"]), Json::Null, Audience::Public),
        (json!(["https://m.example/u/ada"]), json!(["Public"]), Audience::Public),
        (json!({ "id": PUBLIC, "type": "Collection" }), Json::Null, Audience::Public),
        (json!([{ "type": "Link", "href": PUBLIC }]), Json::Null, Audience::Public),
        (json!("https://m.example/u/ada/followers"), Json::Null, Audience::Limited),
        (json!(["https://m.example/u/bo"]), json!("https://m.example/u/ada/followers/"), Audience::Limited),
        (json!([{ "type": ["OrderedCollection"], "id": "https://m.example/lists/7" }]), Json::Null, Audience::Limited),
        (json!(["https://m.example/u/brand"]), Json::Null, Audience::Direct),
        (json!([]), Json::Null, Audience::Direct),
        (Json::Null, Json::Null, Audience::Direct),
        (json!("https://m.example/u/Public"), Json::Null, Audience::Direct),
    ] {
        let activity = parse(&with(&[("to", to.clone()), ("cc", cc.clone())])).unwrap();
        assert_eq!(activity.audience, audience, "to {to} cc {cc}");
    }
    let bto = parse(&with(&[("to", Json::Null), ("bto", json!(PUBLIC))])).unwrap();
    assert_eq!(bto.audience, Audience::Limited, "the public collection counts as public only where everyone sees it");
    let inner = with(&[("to", Json::Null), ("object.to", json!(PUBLIC))]);
    assert_eq!(parse(&inner).unwrap().audience, Audience::Public, "a silent activity takes its object's addressees");
    let private = with(&[("to", json!(["https://m.example/u/brand"])), ("object.to", json!(PUBLIC))]);
    assert_eq!(parse(&private).unwrap().audience, Audience::Direct, "the activity's own word goes first");
    assert_eq!(parse(&with(&[("to", json!([7]))])).unwrap_err().code().0, "KITH-I009", "an audience is never guessed");
}

#[test]
fn the_network_is_the_sources_word_then_the_generators_then_the_hosts() {
    let network = |changes: &[(&str, Json)]| parse(&with(changes)).map(|a| a.network);
    assert_eq!(network(&[("generator", json!({ "type": "Application", "name": "LinkedIn" }))]), Ok(Network::LinkedIn));
    assert_eq!(network(&[("generator", Json::Null)]), Ok(Network::X), "twitter.example");
    assert_eq!(
        network(&[("generator", json!("Tusky")), ("actor.id", json!("https://mastodon.social:443/users/1"))]),
        Ok(Network::Mastodon)
    );
    for host in ["https://example.com/u/1", "https://twitter.evil.org/u/1", "did:plc:123", "https://", "https://x/", "https://u@"] {
        assert_eq!(network(&[("generator", Json::Null), ("actor.id", json!(host))]), Err(Malformed::UnknownNetwork), "{host}");
    }
    let declared = Reader::new(&fields(&[]), Some(Network::Bluesky)).parse(sample().to_string().as_bytes()).unwrap();
    assert_eq!((declared.network, declared.actor.id.network), (Network::Bluesky, Network::Bluesky));
}

#[test]
fn each_fault_has_its_own_reason_and_tells_nothing_about_the_person() {
    for (line, code) in [
        (with(&[("actor", Json::Null)]), "KITH-I007"),
        (with(&[("actor", json!([]))]), "KITH-I007"),
        (with(&[("actor", json!(42))]), "KITH-I009"),
        (with(&[("actor", json!(["https://x.com/a", "https://x.com/b"]))]), "KITH-I009"),
        (with(&[("actor.id", Json::Null)]), "KITH-I008"),
        (with(&[("actor.id", json!("x".repeat(MAX_ID_BYTES + 1)))]), "KITH-I013"),
        (with(&[("id", Json::Null)]), "KITH-I008"),
        (with(&[("id", json!(" "))]), "KITH-I008"),
        (with(&[("type", Json::Null)]), "KITH-I008"),
        (with(&[("type", json!("Like"))]), "KITH-I012"),
        (with(&[("type", json!("Announce"))]), "KITH-I012"),
        (with(&[("type", json!({}))]), "KITH-I009"),
        (with(&[("object", Json::Null)]), "KITH-I008"),
        (with(&[("object.id", Json::Null)]), "KITH-I008"),
        (with(&[("object.content", json!(["a"]))]), "KITH-I009"),
        (with(&[("object.published", json!("yesterday"))]), "KITH-I010"),
        (with(&[("published", json!("2026-03-01T09:30:00"))]), "KITH-I010"),
        (with(&[("published", json!(1_772_357_400))]), "KITH-I010"),
        (with(&[("published", json!("2026-02-30T09:30:00Z"))]), "KITH-I010"),
        (with(&[("published", Json::Null), ("object.published", Json::Null)]), "KITH-I008"),
        (with(&[("type", json!("Update")), ("object.type", json!("Person"))]), "KITH-I012"),
        (json!([sample()]), "KITH-I006"),
        (json!("Marco"), "KITH-I006"),
    ] {
        let error = parse(&line).unwrap_err();
        assert_eq!(error.code().0, code, "{error}");
        for personal in ["marco", "Marco", "S37", "Rome", "baking", "yesterday"] {
            assert!(!error.to_string().contains(personal), "{error}");
        }
    }
    let whole = sample().to_string();
    let code = |bytes: &[u8]| reader().parse(bytes).unwrap_err().code().0;
    assert_eq!(code(&whole.as_bytes()[..whole.len() / 2]), "KITH-I002");
    assert_eq!(code(b""), "KITH-I002");
    assert_eq!(code("{\"name\": \"é".as_bytes().split_last().unwrap().1), "KITH-I002", "cut off inside a character");
    assert_eq!(
        code(
            &whole
                .replacen("\"type\"", "\"typ\u{1}\"", 1)
                .replace('\u{1}', "?")
                .into_bytes()
                .iter()
                .map(|b| if *b == b'?' { 0xff } else { *b })
                .collect::<Vec<_>>()
        ),
        "KITH-I001"
    );
    assert_eq!(code(b"{'type': 1}"), "KITH-I003");
    assert_eq!(code(format!("{whole} {whole}").as_bytes()), "KITH-I003");
    assert_eq!(code(&vec![b' '; MAX_LINE_BYTES + 1]), "KITH-I004");
    assert_eq!(code("[".repeat(100_000).as_bytes()), "KITH-I005");
    assert_eq!(code("{\"a\":".repeat(100_000).as_bytes()), "KITH-I005");
}

#[test]
fn an_unsupported_type_is_named_unless_it_is_no_plain_word() {
    assert_eq!(parse(&with(&[("type", json!("Like"))])).unwrap_err().to_string(), "the type `Like` is not supported");
    let hostile = parse(&with(&[("type", json!("call +39 333 1234567"))])).unwrap_err();
    assert_eq!(hostile.to_string(), "a type outside Activity Streams is not supported");
}

#[test]
fn times_take_offsets_and_fractions_and_the_object_may_date_the_activity() {
    for (written, utc) in [
        ("2026-03-01T10:30:00.25+01:00", "2026-03-01T09:30:00.25Z"),
        ("2026-03-01t09:30:00z", "2026-03-01T09:30:00Z"),
        ("2026-03-01T09:30Z", "2026-03-01T09:30:00Z"),
    ] {
        let activity = parse(&with(&[("published", Json::Null), ("object.published", json!(written))])).unwrap();
        assert_eq!(activity.published, utc.parse().unwrap(), "{written}");
    }
    for wrong in ["2026-03-01T09:30:00Z[Europe/Rome]", "20260301T093000Z", "2026-03-01", "", "2026-03-01T25:00:00Z"] {
        assert_eq!(parse(&with(&[("published", json!(wrong))])).unwrap_err(), Malformed::BadDate { member: "published" }, "{wrong}");
    }
}

#[test]
fn text_is_taken_from_html_from_maps_and_from_plain_content() {
    let content = |changes: &[(&str, Json)]| parse(&with(changes)).unwrap().object.content.into_revealed();
    assert_eq!(content(&[("object.content", json!("<p>a &amp; b</p><p>c</p>"))]), text("a & b\nc"));
    assert_eq!(content(&[("object.content", json!("<b>")), ("object.mediaType", json!("text/plain"))]), text("<b>"));
    let mapped = with(&[("object.content", Json::Null), ("object.contentMap", json!("MAP"))]);
    let mapped = mapped.to_string().replace("\"MAP\"", r#"{"it": "ciao", "en": "hi"}"#);
    assert_eq!(reader().parse(mapped.as_bytes()).unwrap().object.content.into_revealed(), text("ciao"), "the author's first language");
    assert_eq!(content(&[("object.content", json!("<p> </p>"))]), None);
    let activity =
        parse(&with(&[("actor.name", Json::Null), ("actor.nameMap", json!({ "it": "Ada <b>" })), ("actor.summary", json!("<i>hi</i>"))]))
            .unwrap();
    let shown: Vec<_> = activity.actor.profile.fields.reveal().iter().map(|(_, v)| v.as_text().unwrap()).collect();
    assert_eq!(shown, ["Rome, IT", "Ada <b>", "marco_b", "hi"], "a name is plain text, a summary is HTML");
}

#[test]
fn threads_answers_and_addresses_may_be_text_objects_links_or_lists() {
    let activity = parse(&with(&[
        ("object.inReplyTo", json!([{ "id": "n7", "type": "Note" }, "n8"])),
        ("object.context", json!({ "id": "thread" })),
        (
            "object.url",
            json!([{ "type": "Link", "href": "v.mp4", "mediaType": "video/mp4" }, { "href": "page", "mediaType": "text/html" }]),
        ),
    ]))
    .unwrap();
    assert_eq!(
        (activity.object.in_reply_to, activity.conversation, activity.object.url.into_revealed()),
        (text("n7"), text("thread"), text("page"))
    );
    let activity = parse(&with(&[("conversation", json!("c")), ("context", json!("d"))])).unwrap();
    assert_eq!(activity.conversation, text("c"));
}

#[test]
fn a_declared_path_gathers_lists_and_ignores_what_is_no_value() {
    let reader = Reader::new(&fields(&["actor.attachment.value", "actor.location", "actor.age"]), None);
    let line = with(&[
        ("actor.attachment", json!([{ "value": "<a>ada.example</a>" }, { "name": "x" }, { "value": "b" }])),
        ("actor.age", json!(41)),
    ]);
    let profile = reader.parse(line.to_string().as_bytes()).unwrap().actor.profile.fields.into_revealed();
    assert_eq!(
        profile,
        [
            ("actor.age".into(), Value::Integer(41)),
            ("actor.attachment.value".into(), Value::List([Value::from("ada.example"), Value::from("b")].into()))
        ]
    );
}

prop_compose! {
    fn timestamp()(second in -62_135_596_800_i64..=253_370_764_800, nanosecond in 0..1_000_000_000_i32) -> Timestamp {
        Timestamp::new(second, nanosecond).unwrap()
    }
}

fn id() -> impl Strategy<Value = Arc<str>> {
    "[^\\s\\x00]\\PC{0,30}".prop_map(Arc::from)
}

prop_compose! {
    fn activity()(
        ids in (id(), id(), id()), verb in 0..3_usize, network in 0..Network::ALL.len(), audience in 0..3_usize,
        times in (timestamp(), proptest::option::of(timestamp()), proptest::option::of(timestamp()), proptest::option::of(timestamp())),
        refs in (proptest::option::of(id()), proptest::option::of(id()), proptest::option::of(id())),
        content in proptest::option::of("\\PC{0,40}"), kind in "Note|Article|Tombstone|[a-z]{1,9}",
        name in "\\PC{0,20}", summary in "([<>&;#!/a-z\" -]|\n|é){0,20}", city in proptest::option::of("\\PC{1,9}"),
    ) -> Activity {
        let verb = [Verb::Create, Verb::Update, Verb::Delete][verb];
        let (audience, network) = (Audience::ALL[audience], Network::ALL[network]);
        let shown = [("actor.location.name", city.map(Value::text)), ("actor.name", Some(Value::text(name))), ("actor.summary", Some(Value::text(html::text_of(&html::escape(&summary)))))];
        let fields = shown.into_iter().filter_map(|(n, v)| v.filter(|v| !v.is_missing()).map(|v| (Arc::from(n), v))).collect();
        Activity {
            id: ids.0, verb, network, published: times.0,
            actor: Identity { id: IdentityId { network, id: ids.1 }, profile: Profile { as_of: times.0, audience, fields: Personal::new(fields) } },
            audience, conversation: refs.0,
            object: Object {
                id: ids.2, kind: kind.into(), content: Personal::new(content.filter(|c| !c.trim().is_empty()).map(Arc::from)),
                url: Personal::new(refs.1), published: times.1, updated: times.2, deleted: times.3, in_reply_to: refs.2,
            },
        }
    }
}

fn retail_lines() -> Vec<Vec<u8>> {
    use std::io::BufRead;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/retail/activities.ndjson.gz");
    let gz = flate2::bufread::MultiGzDecoder::new(std::io::BufReader::new(std::fs::File::open(file).unwrap()));
    std::io::BufReader::new(gz).split(b'\n').map(Result::unwrap).take(400).collect()
}

proptest! {
    #[test]
    fn what_is_written_reads_back_equal(activity in activity()) {
        let line = to_line(&activity);
        prop_assert!(!line.contains(&b'\n'));
        prop_assert_eq!(reader().parse(&line), Ok(activity));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(reader().parse(&bytes).is_err());
    }
}

#[test]
fn real_lines_broken_anywhere_are_read_or_parked() {
    let lines = retail_lines();
    let good: Vec<_> = lines.iter().filter_map(|line| reader().parse(line).ok()).collect();
    assert!(good.len() > 390);
    for activity in &good {
        assert_eq!(&reader().parse(&to_line(activity)).unwrap(), activity);
    }
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 2_000, ..ProptestConfig::default() });
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6);
    runner
        .run(&(any::<prop::sample::Index>(), edits), |(line, edits)| {
            let mut bytes = lines[line.index(lines.len())].clone();
            for (at, byte, how) in edits {
                let at = at.index(bytes.len().max(1)).min(bytes.len());
                match how {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at, byte),
                    2 if at < bytes.len() => bytes[at] = byte,
                    _ if at < bytes.len() => drop(bytes.remove(at)),
                    _ => {}
                }
            }
            // Parked or read: either is fine, a panic is not; what is read is written and read again the same.
            if let Ok(activity) = reader().parse(&bytes) {
                prop_assert_eq!(reader().parse(&to_line(&activity)), Ok(activity));
            }
            Ok(())
        })
        .unwrap();
}
