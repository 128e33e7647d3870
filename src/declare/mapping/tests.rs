//! Tests of the reader: the shipped mapping is right, a broken one is told whole, nothing panics.

use super::*;
use crate::declare::connector;
use crate::declare::yaml;
use crate::diagnose::{Checked, Severity};
use proptest::prelude::*;

mod duties;
mod faults;
mod running;

/// The mapping that the tests change, fault by fault: the shipped one, without what is tuned.
const RETAIL: &str = include_str!("../../../tests/data/mapping/retail.yaml");

const SHIPPED: &str = include_str!("../../../mappings/retail.yaml");

fn file(name: &str, text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { name: name.into(), text: text.into() })
}

fn models(path: &str) -> Result<Arc<SourceFile>, String> {
    if path == "models/retail.yaml" { Ok(file(path, MODEL)) } else { Err("there is no such file".to_owned()) }
}

/// Reads every field of the retail mapping that no rule reads.
const MODEL: &str = r"
kith: 1
model: small
prior: { share: 60 %, customers: 100000 }
blocking:
  - { id: name, same: [given_name, family_name], cut_above: 500 }
term_frequencies:
  whole_name: { of: [given_name, family_name], u: 1 in 40000, shape: 2, together: 3 times, typical: 1 in 10000 }
  city: { of: [city], u: 1 in 20, typical: 1 in 50 }
comparisons:
  - comparison: name and handle
    compare: { given: given_name, family: family_name, handle: handle }
    levels:
      - { level: full name, when: { name: full }, m: 0.6, u: 1 in 100000, term_frequency: whole_name }
      - { level: other, when: else, m: 0.4, u: 0.99 }
  - comparison: handle used again
    compare: { reused_handle: handle, handles: handles, email: email, birth_date: birth_date }
    levels:
      - { level: whole handle, when: { again: whole }, m: 0.2, u: 1 in 1000000 }
      - { level: other, when: else, m: 0.8, u: 0.99 }
  - comparison: city
    compare: city
    levels:
      - { level: same, when: exact, m: 0.8, u: 0.05, term_frequency: city }
      - { level: other, when: else, m: 0.2, u: 0.95 }
  - comparison: company
    compare: company
    levels:
      - { level: same, when: exact, m: 0.8, u: 0.01 }
      - { level: other, when: else, m: 0.2, u: 0.99 }
";

fn surroundings() -> Surroundings {
    let operations = |name: &str, text: &str| connector::read(&file(name, text)).into_result().unwrap().0.operations;
    Surroundings {
        customers: vec!["crm".into()],
        related: vec!["crm_orders".into()],
        targets: vec![
            ("crm_db".into(), Some(operations("sqlite.yaml", include_str!("../../../connectors/targets/sqlite.yaml")))),
            ("service_desk".into(), Some(operations("ndjson.yaml", include_str!("../../../connectors/targets/ndjson.yaml")))),
        ],
    }
}

fn checked(text: &str) -> Checked<Rulebook> {
    read(&file("m.yaml", text), &models, Some(&surroundings()))
}

fn told(text: &str) -> String {
    checked(text)
        .problems
        .0
        .iter()
        .map(|d| format!("{}{d}", if d.severity == Severity::Warning { "warning: " } else { "" }))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_right_mapping_has_no_complaint() {
    assert_eq!(told(RETAIL), "");
    let rulebook = checked(RETAIL).value.unwrap();
    assert_eq!(rulebook.enrich.deliver.len(), 4);
    assert_eq!(rulebook.tests.len(), 10);
    assert!(rulebook.policy.bases[0].per_customer && !rulebook.policy.bases[1].per_customer);
}

#[test]
fn layout_comments_and_tests_do_not_change_the_digest_and_everything_else_does() {
    let digest = |text: &str| checked(text).value.unwrap_or_else(|| panic!("{}", told(text))).digest;
    let base = digest(RETAIL);
    let same = [
        ("# the CRM's side", "# something else"),
        ("owner: data-stewards", "owner: somebody"),
        ("{ id: same-email,     same: [email],  decide: link, ignore", "{ decide: link, same: [email], id: \"same-email\", ignore"),
        ("  - name: the same handle on another network is no proof", "  - name: other words"),
        ("audience: [public]  ", "audience:\n    - 'public'\n  # x"),
    ];
    assert_eq!(digest(&RETAIL.replace('\n', "\r\n")), base, "line ends");
    assert_eq!(digest(&format!("\u{feff}{RETAIL}")), base, "a byte order mark");
    for (from, to) in same {
        assert_eq!(digest(&RETAIL.replacen(from, to, 1)), base, "{to}");
    }
    let other = [
        ("99.5 %", "99.6 %"),
        ("truncate: 4000", "truncate: 3999"),
        ("refund, rimborso", "rimborso, refund"),
        ("retire: 2 %", "retire: 3 %"),
        ("mapping: retail", "mapping: other"),
    ];
    for (from, to) in other {
        assert_ne!(digest(&RETAIL.replacen(from, to, 1)), base, "{to}");
    }
    let city = "    city:        { from: city,          clean: place }\n";
    let moved =
        RETAIL.replacen(city, "", 1).replacen("    email:       { from: email, ", &format!("{city}    email:       {{ from: email, "), 1);
    assert_ne!(digest(&moved), base, "the order of fields is the order of the evidence");
}

#[test]
fn a_checked_mapping_may_be_shared_by_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&checked(RETAIL).value.unwrap());
}

#[test]
fn without_surroundings_the_configuration_is_not_asked() {
    let checked = read(&file("m.yaml", &RETAIL.replacen("to: service_desk", "to: nowhere", 1)), &models, None);
    assert_eq!(checked.problems.0.len(), 0, "{:?}", checked.problems);
    assert!(checked.value.unwrap().enrich.deliver.iter().all(|d| d.record_key.is_empty()));
}

#[test]
fn what_a_delivery_reads_of_the_actor_is_kept() {
    let text = RETAIL.replacen("Handle: handle, Basis", "Handle: actor.url, Basis", 1);
    let rulebook = checked(&text).value.unwrap();
    assert!(rulebook.identities.paths.iter().any(|p| &**p == "actor.url"));
    assert!(!checked(RETAIL).value.unwrap().identities.paths.iter().any(|p| &**p == "actor.url"));
}

#[test]
fn what_posts_and_related_records_say_are_fields_with_limits() {
    let given = "    given_name:  { from: name,          clean: { person_name: given } }\n";
    let with = |field: &str| checked(&RETAIL.replacen(given, &format!("{given}    {field}\n"), 1));
    let errors = |checked: Checked<Rulebook>| {
        checked.problems.0.into_iter().filter(|d| d.severity == Severity::Error).map(|d| d.message).collect::<Vec<_>>()
    };
    assert_eq!(errors(with("bought: { from: order_number, of: orders, find: number }")), Vec::<String>::new());
    let rulebook = with("bought: { from: [order_number, old_number], of: orders, find: number }").value.unwrap();
    let related: Vec<(&str, &str, &str)> =
        rulebook.customers.related.iter().map(|r| (&*r.set, &*r.column, &*rulebook.customers.columns[r.at])).collect();
    assert_eq!(related, [("orders", "order_number", "orders.order_number"), ("orders", "old_number", "orders.old_number")]);
    assert_eq!(errors(with("bought: { from: order_number, of: ordres, find: number }")), ["`customers.related` has no `ordres`"]);
    let identities = "    given_name:  { from: actor.name,              clean: { person_name: given } }\n";
    let identity = |field: &str, more: &dyn Fn(String) -> String| {
        checked(&more(RETAIL.replacen(identities, &format!("{identities}    {field}\n"), 1)))
    };
    let found = identity("mentioned: { from: object.content, find: number }", &|text| text);
    assert!(found.value.as_ref().unwrap().identities.reads_posts());
    assert_eq!(errors(found), Vec::<String>::new());
    assert_eq!(errors(identity("mentioned: { from: object.content }", &|text| text)), ["`mentioned` takes whole posts"]);
    assert_eq!(
        errors(identity("mentioned: { from: object.url, find: number }", &|text| text)),
        ["`object.url` is not a path of a profile"]
    );
    assert_eq!(
        errors(identity("bought: { from: order_number, of: orders }", &|text| text)).first().unwrap(),
        "only a customer has related records"
    );
    let delivered = |text: String| text.replacen("Handle: handle, Basis", "Handle: identity.mentioned, Basis", 1);
    let refused = errors(identity("mentioned: { from: object.content, find: number }", &delivered));
    assert!(refused.iter().any(|message| message.contains("identity.mentioned")), "what is found in posts is evidence only: {refused:?}");
}

#[test]
fn the_schema_in_the_folder_is_the_reader_s_own_and_the_shipped_mapping_fits_it() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings/mapping.schema.json");
    let fresh = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    if kept != fresh {
        std::fs::write(&path, &fresh).unwrap();
    }
    assert_eq!(kept, fresh, "mappings/mapping.schema.json was stale and is written anew: commit it");
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let tree = yaml::read(&file("m.yaml", SHIPPED)).value.unwrap();
    for json in [tree.root.to_json(), as_an_editor_reads(&tree.root)] {
        let errors: Vec<String> = validator.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert_eq!(errors, Vec::<String>::new());
    }
    let broken = yaml::read(&file("m.yaml", &SHIPPED.replacen("identities:", "identites:", 1))).value.unwrap();
    assert!(!validator.is_valid(&broken.root.to_json()));
}

/// Numbers and truth values as YAML 1.2 types them: what an editor validates.
fn as_an_editor_reads(node: &yaml::Node) -> serde_json::Value {
    match &node.kind {
        yaml::Kind::Nothing => serde_json::Value::Null,
        yaml::Kind::Text(text) => serde_json::from_str(text)
            .ok()
            .filter(|v: &serde_json::Value| v.is_number() || v.is_boolean())
            .unwrap_or_else(|| (&**text).into()),
        yaml::Kind::List(items) => items.iter().map(as_an_editor_reads).collect(),
        yaml::Kind::Map(entries) => {
            serde_json::Value::Object(entries.iter().map(|e| (e.key.to_string(), as_an_editor_reads(&e.value))).collect())
        }
    }
}

proptest! {
    #[test]
    fn a_mutated_mapping_is_read_without_panic(cuts in proptest::collection::vec((0_usize..12_000, 0_usize..60, "([a-z]{0,6}|[:\\[\\]{},&*!|>'\"#%-]|\n|  |cel: |\u{e9}|🇮🇹){0,4}"), 1..6)) {
        let mut text: Vec<char> = RETAIL.chars().collect();
        for (at, length, new) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, new.chars());
        }
        let text: String = text.into_iter().collect();
        let checked = checked(&text);
        prop_assert_eq!(checked.value.is_none(), checked.problems.has_errors());
        for problem in &checked.problems.0 {
            prop_assert!(!problem.message.is_empty() && !problem.remedy.is_empty());
            prop_assert!(problem.place.line_column().is_some() || matches!(problem.place, crate::diagnose::Place::Path(_)));
        }
    }
}

#[test]
fn a_mapping_reads_aloud() {
    let rulebook = checked(RETAIL).value.unwrap();
    insta::assert_snapshot!(describe(&rulebook).replace(&rulebook.digest.to_string(), "…"), @r#"
    Mapping retail
    Link public social profiles to retail customers and push what they say into the CRM.
    Owner: data-stewards.
    Digest: ….

    Customers
    They come from `crm`; the column `customer_id` tells them apart.
    Only these fields are read:
      - given_name: `name`, the given name.
      - family_name: `name`, the family name.
      - email: `email`, as an e-mail address.
      - phone: `phone`, as a telephone number, read by the rules of the country in `country`.
      - city: `city`, as a place: its city.
      - company: `company`, as the name of an organisation, without its legal form.
      - birth_date: `birth_date`, as a date, read by the rules of the country in `country`.
      - handles: `known_handles`, as a handle together with its network.
      - segment: `segment`, as it is (the source may lack it).
    A customer's orders come from `crm_orders` by the column `customer_id`; the last 5 are kept.
    A read that would retire more than 2 % of the customers, or decide more than 1 % of the links anew, waits for approval.

    Identities
    Of a profile, only these fields are made and compared:
      - given_name: `actor.name`, the given name.
      - family_name: `actor.name`, the family name.
      - email: `actor.summary`, an e-mail address found in it.
      - phone: `actor.summary`, a telephone number found in it.
      - city: `actor.location.name`, as a place: its city.
      - company: `actor.summary`, an organisation found in it.
      - handle: `network` and `actor.preferredUsername`, as a handle together with its network.
    Of the profile itself, only `actor.name`, `actor.summary`, `actor.location.name` and `actor.preferredUsername` are kept.

    Policy
    Only public activities are used; all others are dropped when they arrive.
    A profile is compared with a customer only on one of these bases; the first that holds is the link's. Without one, nobody is compared and nothing is kept:
      - provided_by_customer, by GDPR 6(1)(b), for service: when customer.handles has identity.handle.
      - public_profile, by GDPR 6(1)(f), for service, justified in DPIA-2026-03: when audience is public.
    What is known about strangers is kept for 7 days, profiles of customers for 30 days, what they said for 400 days, personal values in the audit log for 7 years.

    Match
    Exact rules come first, in this order. A rule counts only where exactly one customer remains; two rules that name different customers need a person:
      - handle-on-file: the same handle (among the customer's handles) → link. Right 99.9 % of the time.
      - same-email: the same email → link; a value that several customers share is no evidence. Right 99.9 % of the time.
      - same-phone: the same phone and family_name → link; a value that more than 2 customers share is no evidence. Right 99.9 % of the time.
    Then the model `small` weighs name and handle, handle used again, city and company.
    Link where the best candidate, among all rivals and nobody, has at least 99.5 % and odds 200 times the next one's.
    Else ask a person where all candidates together have at least 60 %. Else do not link.

    Enrich
    topic is the first of these that holds:
      - "complaint", when content has the word refund, rimborso, broken, wrong, waiting, nobody answers or complain*.
      - "question", when content ends with "?".
      - "mention" otherwise.
    order_number is what stands in content at the place of the braces in "order {digits}", "ordine {digits}", "refund on {digits}" or "twice about {digits}".
    priority is the first of these that holds:
      - 1, when segment is gold and topic is complaint.
      - 2, when topic is complaint and `orders.exists(o, o.order_number == order_number)`.
      - 3 otherwise.

    Deliver
    profile: each link is written to `crm_db` by `upsert_profile`. When the link ends, the record is removed.
      - CustomerID: customer_id.
      - Network: network.
      - Handle: handle.
      - Basis: basis.
      - LinkedBy: rule.
      - MatchWeight: match_weight.
    interaction: each activity, when decision is linked, is written to `crm_db` by `upsert_interaction`. When a link is made later, what was said up to 30 days before is written too. When it is deleted, the record is removed.
      - CustomerID: customer_id.
      - Network: network.
      - ActivityID: object.id.
      - ConversationID: conversation.
      - InReplyTo: object.inReplyTo.
      - Audience: audience.
      - PostedAt: object.published.
      - PostURL: object.url.
      - Body: the first 4000 characters of object.content.
      - Topic: topic.
      - Priority: priority.
      - OrderNumber: order_number.
      - MappingHash: mapping.hash.
    service-request: each activity, when decision is linked and topic is complaint and priority is 1, is written to `service_desk` by `create_service_request`. When it is deleted, Abstract becomes empty.
      - ContactId: customer_id.
      - Abstract: the first 250 characters of object.content.
      - PostURL: object.url.
      - Priority: priority.
      - OrderNumber: order_number.
    lead: each activity, when decision is not linked and topic is question, is written to `crm_db` by `queue_lead`. When it is deleted, the record is removed.
      - Network: network.
      - PostURL: object.url.
      - PostedAt: object.published.
      - Topic: topic.

    Tests
    10 tests hold this mapping to its word.
    "#);
}

/// Every key of the format, by walking its schema.
fn keys_of(schema: &serde_json::Value, into: &mut std::collections::BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(members) => {
            if let Some(properties) = members.get("properties").and_then(|p| p.as_object()) {
                into.extend(properties.keys().cloned());
            }
            members.values().for_each(|v| keys_of(v, into));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|v| keys_of(v, into)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) | serde_json::Value::String(_) => {}
    }
}

#[test]
fn the_readme_for_stewards_names_every_key_cleaner_name_and_its_examples_are_right() {
    let readme = include_str!("../../../mappings/README.md");
    let mut keys = std::collections::BTreeSet::new();
    keys_of(&schema(), &mut keys);
    let words = keys.iter().map(String::as_str).chain(format::CLEANERS).chain(format::FINDERS);
    let names = scope::names(None, None, &[]);
    let missing: Vec<&str> = words.chain(names.iter().map(|(name, _)| name)).filter(|word| !readme.contains(word)).collect();
    assert_eq!(missing, Vec::<&str>::new());
    for block in readme.split("```yaml\n").skip(1).map(|b| b.split("```").next().unwrap()) {
        assert_eq!(yaml::read(&file("README", block)).problems.0, vec![], "{block}");
    }
}
