//! Tests of the reader: the shipped mapping is right, a broken one is told whole, nothing panics.

use super::*;
use crate::declare::connector;
use crate::declare::yaml;
use crate::diagnose::{Checked, Severity};
use proptest::prelude::*;

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

/// What is told about the retail mapping after one change.
fn after(from: &str, to: &str) -> String {
    assert!(RETAIL.contains(from), "{from}");
    told(&RETAIL.replacen(from, to, 1))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of faults and what is told about each")]
fn each_fault_is_told_with_code_place_and_remedy() {
    let faults = [
        ("customer.handles: { has: identity.handle }", "customer.handels: { has: identity.handle }"),
        ("{ content: { ends_with: \"?\" } }", "{ contnt: { ends_with: \"?\" } }"),
        ("{ content: { ends_with: \"?\" } }", "{ content: { ends_wit: \"?\" } }"),
        ("{ content: { ends_with: \"?\" } }", "\"cel: content.endsWith('?') && sgment == 'gold'\""),
        ("{ content: { ends_with: \"?\" } }", "\"cel: size(content) > 'x'\""),
        ("{ content: { ends_with: \"?\" } }", "{ content: { any_word: [\"?\"] } }"),
        ("{ segment: gold, topic: complaint }", "{ segment: gold, topic: complaints }"),
        ("when: { decision: not linked, topic: question }", "when: { decision: unlinked, topic: question }"),
        ("when: { decision: not linked, topic: question }", "when: { network: linkdin, topic: question }"),
        ("when: { decision: not linked, topic: question }", "when: { audience: direct, topic: question }"),
        ("when: { decision: not linked, topic: question }", "when: { rule: same-mail }"),
        ("clean: network_handle }     #", "clean: text }     #"),
        ("from: [network, actor.preferredUsername], clean: network_handle", "from: actor.preferredUsername, clean: network_handle"),
        ("clean: email }", "clean: e-mail }"),
        ("clean: email }", "clean: { person_nam: given } }"),
        ("find: email }", "find: emial }"),
        ("clean: place }\n    company:     { from: company", "clean: place, find: email }\n    company:     { from: company"),
        ("from: actor.location.name", "from: location.name"),
        (
            "    segment:     { from: segment,       optional: true }",
            "    segment:     { from: segment }\n    postcode: { from: postcode, clean: postal_code }",
        ),
        ("same: [email]", "same: [mail]"),
        ("same: [email]", "same: [segment]"),
        ("id: same-phone,     same: [phone, family_name]", "id: same-email,     same: [phone, family_name]"),
        (
            "same: [phone, family_name], decide: link, ignore_if_shared_by_more_than: 2",
            "same: [email], decide: link, ignore_if_shared_by_more_than: 1",
        ),
        ("link_from: 99.5 %, ask_a_person_from: 60 %", "link_from: 60 %, ask_a_person_from: 99.5 %"),
        ("link_from: 99.5 %, ask_a_person_from: 60 %", "link_from: 0.995, ask_a_person_from: 0 %"),
        ("    - { is: question,  when", "    - { otherwise: mention }\n    - { is: question,  when"),
        ("from: crm ", "from: crn "),
        ("from: crm_orders", "from: orders"),
        ("to: service_desk", "to: servicedesk"),
        ("operation: queue_lead", "operation: queue_led"),
        ("PostURL: object.url, PostedAt", "PostUrl: object.url, PostedAt"),
        (
            "CustomerID: customer_id, Network: network, Handle: handle, Basis: basis",
            "CustomerID: customer_id, Network: network, Handle: handle",
        ),
        ("truncate: 4000", "truncate: 8000"),
        ("Body: { from: object.content, truncate: 4000 }", "Body: object.content"),
        ("Handle: handle, Basis", "Handle: object.url, Basis"),
        (
            "    company:     { from: company,       clean: organisation }",
            "    company:     { from: company,       clean: organisation }\n    religion: { from: faith }",
        ),
        ("law: \"GDPR 6(1)(f)\", purpose: service, record", "record"),
        ("  topic:\n", "  segment:\n"),
        ("orders: { from", "city: { from"),
        ("model: models/retail.yaml", "model: models/retial.yaml"),
        ("find: [\"order {digits}\"", "find: [\"order {digit}\""),
        ("rule: handle-on-file", "rule: handle-on-fil"),
        ("customer: C1\n", "customer: C9\n"),
        ("Topic: complaint, OrderNumber: \"4711\"", "Topic: complaint, OrderNo: \"4711\""),
        ("network: reddit", "network: redit"),
        (
            "object: { content: hi } }\n    expect: { decision: not linked }",
            "published: yesterday, object: { content: hi } }\n    expect: { decision: not linked }",
        ),
        ("audience: [public]", "audience: [public, direct]"),
        ("  priority:\n", "  mood: [{ otherwise: calm }]\n  priority:\n"),
        ("same: [handle], decide: link", "same: [handle], decide: link, precision: 100 %"),
        ("backfill: 30d", "backfill: 30"),
        ("kith: 1", "kith: 2"),
    ];
    let all: Vec<String> = faults.iter().map(|(from, to)| format!("{}\n{}", to.trim(), after(from, to))).collect();
    insta::assert_snapshot!(all.join("\n\n"), @r#"
    customer.handels: { has: identity.handle }
    KITH-M010 m.yaml:40:85: `customer.handels` is not a name that can be read here; Did you mean `customer.handles`?

    { contnt: { ends_with: "?" } }
    KITH-M010 m.yaml:55:32: `contnt` is not a name that can be read here; Did you mean `content`?

    { content: { ends_wit: "?" } }
    KITH-M005 m.yaml:55:43: `ends_wit` is not a key of `content`; Did you mean `ends_with`?

    "cel: content.endsWith('?') && sgment == 'gold'"
    KITH-M010 m.yaml:55:61: `sgment` is not a name that can be read here; Did you mean `segment`? Text stands in quotes: `'sgment'`

    "cel: size(content) > 'x'"
    KITH-M011 m.yaml:55:50: `>` can't be applied to int and string; Convert one side, for instance `int(…)` or `string(…)`; text stands in quotes

    { content: { any_word: ["?"] } }
    KITH-M011 m.yaml:55:54: a word to look for needs a letter or a digit; Use `contains` or `ends_with` for other characters

    { segment: gold, topic: complaints }
    KITH-M012 m.yaml:59:46: `topic` is never `complaints`; Did you mean `complaint`?

    when: { decision: unlinked, topic: question }
    KITH-M012 m.yaml:102:23: `decision` is never `unlinked`; Did you mean `linked`?

    when: { network: linkdin, topic: question }
    KITH-M013 m.yaml:102:22: `linkdin` is not a network that Kith knows; Did you mean `linkedin`?

    when: { audience: direct, topic: question }
    KITH-M025 m.yaml:102:23: activities for a direct audience are dropped at intake: `policy.audience` does not list `direct`; Remove this condition, or list `direct` under `policy.audience` with a basis of its own

    when: { rule: same-mail }
    KITH-M012 m.yaml:102:19: `rule` is never `same-mail`; Did you mean `same-email`?

    clean: text }     #
    KITH-M014 m.yaml:46:36: the rule compares a handle without its network: `handles` of `customers` has none; The same handle on another network is another person: give `customers.fields.handles` the cleaner `network_handle`

    from: actor.preferredUsername, clean: network_handle
    KITH-M014 m.yaml:35:26: `handle` is a handle without its network; A handle counts only on its own network: write `from: [network, actor.preferredUsername]`

    clean: e-mail }
    KITH-M008 m.yaml:16:48: `clean` must be one of text, email, phone, place, organisation, date, network_handle, postal_code, not `e-mail`; Did you mean `email`?

    clean: { person_nam: given } }
    KITH-M005 m.yaml:16:50: `person_nam` is not a key of `clean`; Did you mean `person_name`?

    find: emial }
    KITH-M008 m.yaml:31:57: `find` must be one of email, phone, organisation, not `emial`; Did you mean `email`?

    clean: place, find: email }
        company:     { from: company
    KITH-M029 m.yaml:18:55: `city` has `clean` and `find`; Keep one: what is found is cleaned by itself

    from: location.name
    KITH-M029 m.yaml:33:26: `location.name` is not a path of a profile; Profiles are made of the actor: `actor.name`, `actor.summary`, …, and `network`. Did you mean `actor.name`?

    segment:     { from: segment }
        postcode: { from: postcode, clean: postal_code }
    warning: KITH-M015 m.yaml:23:5: no rule, model, condition or delivery reads `customers.fields.postcode`; Remove it: what is not needed must not be kept

    same: [mail]
    KITH-M016 m.yaml:47:36: `identities` has no field `mail`; Declare it under `identities.fields`. Did you mean `email`?
    KITH-M016 m.yaml:47:36: `customers` has no field `mail`; Declare it under `customers.fields`. Did you mean `email`?

    same: [segment]
    warning: KITH-M015 m.yaml:31:5: no rule, model, condition or delivery reads `identities.fields.email`; Remove it: what is not needed must not be kept
    KITH-M016 m.yaml:47:36: `identities` has no field `segment`; Declare it under `identities.fields`. Known: given_name, family_name, email, phone, city, company, handle

    id: same-email,     same: [phone, family_name]
    KITH-M017 m.yaml:48:13: two rules are called `same-email`; Give one of them another name: the log and the tests tell them apart by it
    KITH-M026 m.yaml:154:53: `match.rules` has no rule `same-phone`; Known: handle-on-file, same-email, model

    same: [email], decide: link, ignore_if_shared_by_more_than: 1
    warning: KITH-M015 m.yaml:17:5: no rule, model, condition or delivery reads `customers.fields.phone`; Remove it: what is not needed must not be kept
    warning: KITH-M015 m.yaml:32:5: no rule, model, condition or delivery reads `identities.fields.phone`; Remove it: what is not needed must not be kept
    warning: KITH-M019 m.yaml:48:13: `same-phone` compares the same fields as `same-email` above and never decides anything; Remove one of the two

    link_from: 60 %, ask_a_person_from: 99.5 %
    KITH-M018 m.yaml:50:49: a person would be asked only above the probability that links by itself; Write `ask_a_person_from` not greater than `link_from`

    link_from: 0.995, ask_a_person_from: 0 %
    KITH-M008 m.yaml:50:24: `link_from` must be a percentage such as `99.5 %`, not `0.995`; Write it in percent: `99.5 %`

    - { otherwise: mention }
        - { is: question,  when
    KITH-M019 m.yaml:55:7: `otherwise` always holds, so the choices below it are never taken; Put `otherwise` last

    from: crn
    KITH-M020 m.yaml:10:9: the configuration has no `[customers.crn]`; Did you mean `crm`?

    from: orders
    KITH-M020 m.yaml:24:21: the configuration has no `[related.orders]`; Did you mean `crm_orders`?

    to: servicedesk
    KITH-M020 m.yaml:92:9: the configuration has no `[targets.servicedesk]`; Did you mean `service_desk`?

    operation: queue_led
    KITH-M020 m.yaml:104:16: the target `crm_db` has no operation `queue_led`; Did you mean `queue_lead`?

    PostUrl: object.url, PostedAt
    KITH-M021 m.yaml:105:5: the operation `queue_lead` needs `PostURL`: it is part of its record key; Add `PostURL: …` to `fields`
    KITH-M022 m.yaml:105:33: the operation `queue_lead` has no field `PostUrl`; Did you mean `PostURL`?
    KITH-M026 m.yaml:160:95: the entry `lead` has no field `PostURL`; Did you mean `PostUrl`?

    CustomerID: customer_id, Network: network, Handle: handle
    KITH-M021 m.yaml:68:5: the operation `upsert_profile` needs `Basis`: it is required; Add `Basis: …` to `fields`
    KITH-M026 m.yaml:117:74: the entry `profile` has no field `Basis`; Known: CustomerID, Network, Handle, LinkedBy, MatchWeight

    truncate: 8000
    KITH-M023 m.yaml:83:47: `Body` takes 4000 characters, and this lets 8000 pass; Write `truncate: 4000` or less: longer texts would be parked

    Body: object.content
    warning: KITH-M023 m.yaml:83:13: `Body` takes 4000 characters, and what people say can be longer; Write `{ from: object.content, truncate: 4000 }`: longer texts would be parked

    Handle: object.url, Basis
    KITH-M010 m.yaml:68:66: a link has no activity, so there is no `object.url`; Use `for: activity`, or leave it out

    company:     { from: company,       clean: organisation }
        religion: { from: faith }
    KITH-M024 m.yaml:20:5: `religion` is about religion or belief, a special category of personal data (GDPR Art. 9); Remove it: Kith does not match by, look for or deliver such traits
    warning: KITH-M015 m.yaml:20:5: no rule, model, condition or delivery reads `customers.fields.religion`; Remove it: what is not needed must not be kept
    KITH-M024 m.yaml:20:23: `faith` is about religion or belief, a special category of personal data (GDPR Art. 9); Remove it: Kith does not match by, look for or deliver such traits

    record
    KITH-M006 m.yaml:41:7: `basis` lacks the key `law`; Add `law: "GDPR 6(1)(f)"`. The law's ground.
    KITH-M006 m.yaml:41:7: `basis` lacks the key `purpose`; Add `purpose: service`. What the link is for.

    segment:
    KITH-M027 m.yaml:53:3: `segment` has a meaning already; Give the enriched field another name: it must not hide what the name means elsewhere
    KITH-M010 m.yaml:59:39: `topic` is not a name that can be read here; Declare it as a field, or see the list of names in the README of `mappings/`
    KITH-M010 m.yaml:60:24: `topic` is not a name that can be read here; Declare it as a field, or see the list of names in the README of `mappings/`
    KITH-M010 m.yaml:84:14: `topic` is not a name that can be read here; Declare it as a field, or write `{ text: "topic" }` where the text itself is meant
    KITH-M010 m.yaml:91:31: `topic` is not a name that can be read here; Declare it as a field, or see the list of names in the README of `mappings/`
    KITH-M010 m.yaml:102:35: `topic` is not a name that can be read here; Declare it as a field, or see the list of names in the README of `mappings/`
    KITH-M010 m.yaml:105:89: `topic` is not a name that can be read here; Declare it as a field, or write `{ text: "topic" }` where the text itself is meant

    city: { from
    KITH-M027 m.yaml:24:5: `city` has a meaning already; Give the set of records another name
    KITH-M010 m.yaml:60:48: `orders` is not a name that can be read here; Text stands in quotes: `'orders'`; the README of `mappings/` lists every name
    KITH-M026 m.yaml:171:16: `customers.related` has no `orders`; Known: city

    model: models/retial.yaml
    KITH-M028 m.yaml:49:10: the model `models/retial.yaml` can't be read: there is no such file; Write the path from the mapping's folder: `models/retail.yaml`

    find: ["order {digit}"
    KITH-M011 m.yaml:57:26: `{digit}` is no placeholder; Did you mean `digits`?

    rule: handle-on-fil
    KITH-M026 m.yaml:114:13: `match.rules` has no rule `handle-on-fil`; Did you mean `handle-on-file`?

    customer: C9
    KITH-M026 m.yaml:113:17: the test has no customer `C9`; Did you mean `C1`?

    Topic: complaint, OrderNo: "4711"
    KITH-M026 m.yaml:118:42: the entry `interaction` has no field `OrderNo`; Known: CustomerID, Network, ActivityID, ConversationID, InReplyTo, Audience, PostedAt, PostURL, Body, Topic, Priority, OrderNumber, MappingHash

    network: redit
    KITH-M013 m.yaml:123:26: `redit` is not a network that Kith knows; Did you mean `reddit`?

    published: yesterday, object: { content: hi } }
        expect: { decision: not linked }
    KITH-M030 m.yaml:123:15: this is no activity: `object.published` is not an RFC 3339 time with an offset, such as 2026-03-01T09:30:00Z; Write it as the network would send it; what is left out gets a sensible value

    audience: [public, direct]
    KITH-M025 m.yaml:38:22: `direct` is listed, and no basis names it; What people say to a few is used only on a basis of its own: add one with `when: { audience: direct }`, or remove `direct`

    mood: [{ otherwise: calm }]
      priority:
    warning: KITH-M015 m.yaml:58:3: no condition or delivery reads `enrich.mood`; Remove it, or deliver it

    same: [handle], decide: link, precision: 100 %
    KITH-M018 m.yaml:46:70: the precision of a rule lies between 50 % and 100 %, both excluded; A rule that is right half the time links nobody; one that is never wrong does not exist: 99.9 % is usual

    backfill: 30
    KITH-M008 m.yaml:88:15: `backfill` must be a number of days such as `30d`, not `30`; Write the unit: `30d` for days

    kith: 2
    KITH-M008 m.yaml:4:7: `kith` must be `1`, not `2`; Known: 1
    "#);
}

#[test]
fn every_problem_of_a_file_is_told_at_once() {
    let text = RETAIL
        .replacen("identities:", "identites:", 1)
        .replacen("audience: [public]", "audience: [publik]", 1)
        .replacen("link_from: 99.5 %", "link_from: 99.5", 1)
        .replacen("same: [email]", "same: email", 1)
        .replacen("to: service_desk", "to: nowhere", 1)
        .replacen("truncate: 250", "truncate: many", 1);
    insta::assert_snapshot!(told(&text), @r#"
    KITH-M006 m.yaml:4:1: the file lacks the key `identities`; Add `identities: { fields: … }`. The social side: an actor's profile.
    KITH-M005 m.yaml:27:1: `identites` is not a key of the file; Did you mean `identities`?
    KITH-M008 m.yaml:38:14: `audience` must be one of public, limited, direct, not `publik`; Did you mean `public`?
    KITH-M007 m.yaml:47:35: `same` must be a list, each item a name of letters, digits, `_`, `-` and `.`, or a map with `identity`, `customer`, not a single value; Write a list, each item a name of letters, digits, `_`, `-` and `.`, or a map with `identity`, `customer`
    KITH-M008 m.yaml:50:24: `link_from` must be a percentage such as `99.5 %`, not `99.5`; Write the sign: `99.5 %`
    KITH-M020 m.yaml:92:9: the configuration has no `[targets.nowhere]`; Known: crm_db, service_desk
    KITH-M008 m.yaml:96:51: `truncate` must be a whole number from 1 to 1000000, not `many`; Write a whole number from 1 to 1000000
    "#);
}

#[test]
fn a_file_that_is_no_mapping_is_told_so() {
    insta::assert_snapshot!(["", "x", "- a", "kith: 1", "a: [", "%YAML 9\n---\na: 1"].map(|t| format!("{t:?}\n{}", told(t))).join("\n\n"), @r#"
    ""
    KITH-M007 m.yaml:1:1: `the file` has no value; Give a map with `kith`, `mapping`, `description`, `owner`, `customers`, `identities`, `policy`, `match`, …, or remove the key

    "x"
    KITH-M007 m.yaml:1:1: `the file` must be a map with `kith`, `mapping`, `description`, `owner`, `customers`, `identities`, `policy`, `match`, …, not a single value; Write a map with `kith`, `mapping`, `description`, `owner`, `customers`, `identities`, `policy`, `match`, …

    "- a"
    KITH-M007 m.yaml:1:1: `the file` must be a map with `kith`, `mapping`, `description`, `owner`, `customers`, `identities`, `policy`, `match`, …, not a list; Write a map with `kith`, `mapping`, `description`, `owner`, `customers`, `identities`, `policy`, `match`, …

    "kith: 1"
    KITH-M006 m.yaml:1:1: the file lacks the key `mapping`; Add `mapping: retail`. The mapping's name: the log and the CRM show it.
    KITH-M006 m.yaml:1:1: the file lacks the key `customers`; Add `customers: { from: crm, key: customer_id, fields: … }`. The CRM's side.
    KITH-M006 m.yaml:1:1: the file lacks the key `identities`; Add `identities: { fields: … }`. The social side: an actor's profile.
    KITH-M006 m.yaml:1:1: the file lacks the key `policy`; Add `policy: { audience: [public], basis: …, retain: … }`. Asked first: without a basis nobody is matched.
    KITH-M006 m.yaml:1:1: the file lacks the key `match`; Add `match: { rules: …, decide: … }`. Exact rules, then the model, then the thresholds.
    KITH-M006 m.yaml:1:1: the file lacks the key `deliver`; Add `deliver: - { id: …, for: activity, to: …, operation: …, fields: … }`. What is written where.

    "a: ["
    KITH-M001 m.yaml:1:4: this is not YAML: did not find expected node content; A bracket seems to be open on this line or the one above: close every `{` with `}` and every `[` with `]`

    "%YAML 9\n---\na: 1"
    KITH-M001 m.yaml:1:1: this is not YAML: while scanning a YAML directive, did not find expected digit or '.' character; Check the indentation against the lines above, and that brackets and quotes are closed; the error may start a few lines earlier
    "#);
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

fn shipped_models(path: &str) -> Result<Arc<SourceFile>, String> {
    if path == "models/retail.yaml" {
        Ok(file(path, include_str!("../../../mappings/models/retail.yaml")))
    } else {
        Err("no such file".to_owned())
    }
}

#[test]
fn the_tests_inside_the_shipped_mapping_pass_and_reach_every_rule_and_delivery() {
    let checked = read(&file("m.yaml", SHIPPED), &shipped_models, Some(&surroundings()));
    assert_eq!(checked.problems.0, vec![]);
    let rulebook = checked.value.unwrap();
    let run = run_tests(&rulebook);
    let failures: Vec<String> = run
        .results
        .iter()
        .flat_map(|r| {
            r.failures.iter().map(move |f| format!("{}\n  {} expected {}, came {} ({})", r.name, f.what, f.expected, f.actual, r.outcome))
        })
        .collect();
    assert_eq!(failures, Vec::<String>::new());
    assert!(run.coverage.rules.iter().all(|r| r.tests > 0), "{:?}", run.coverage.rules);
    for (entry, fields) in &run.coverage.fields {
        assert!(fields.iter().any(|f| f.tests > 0), "{entry} is never delivered");
    }
}

#[test]
fn a_test_that_fails_says_what_came_instead_and_where_it_was_expected() {
    let text = RETAIL
        .replacen("rule: handle-on-file\n", "rule: same-email\n", 1)
        .replacen("      decision: linked\n      customer: C1", "      decision: review\n      customer: C1", 1)
        .replacen("basis: provided_by_customer\n", "basis: public_profile\n", 1)
        .replacen("Topic: complaint, OrderNumber: \"4711\"", "Topic: question, OrderNumber: { present: false }", 1)
        .replacen("        lead: none\n", "        lead: {}\n", 1)
        .replacen("candidates: [C2, C3]", "candidates: [C2]", 1)
        .replacen("expect: { deliver: { interaction: none, lead: none } }", "expect: { decision: linked }", 1);
    let rulebook = checked(&text).into_result().unwrap().0;
    let run = run_tests(&rulebook);
    let failures: Vec<String> = run
        .results
        .iter()
        .flat_map(|r| r.failures.iter().map(move |f| format!("{} {}: expected {}, came {}", f.place, f.what, f.expected, f.actual)))
        .collect();
    insta::assert_snapshot!(failures.join("\n"), @r#"
    m.yaml:112:17 decision: expected review, came linked
    m.yaml:114:13 rule: expected same-email, came handle-on-file
    m.yaml:115:14 basis: expected public_profile, came provided_by_customer
    m.yaml:118:31 deliver.interaction.Topic: expected question, came complaint
    m.yaml:118:54 deliver.interaction.OrderNumber: expected no value, came 4711
    m.yaml:120:9 deliver.lead: expected delivered, came none
    m.yaml:130:45 candidates: expected C2, came C2, C3
    m.yaml:164:25 decision: expected linked, came none: dropped (private-message)
    "#);
    // The posterior is the linkage model's affair.
    let outcomes: Vec<&str> =
        run.results.iter().map(|r| r.outcome.rsplit_once(", ").map_or(r.outcome.as_str(), |(words, _)| words)).collect();
    insta::assert_snapshot!(outcomes.join("\n"), @r#"
    linked to C1 by handle-on-file (provided_by_customer)
    not linked
    review, best candidate C2 by model (public_profile)
    linked to C4 by same-email (public_profile)
    not linked
    linked to C7 by same-phone (public_profile)
    not linked
    dropped before anybody was asked about: private-message
    linked to C8 by handle-on-file (provided_by_customer)
    linked to C8 by handle-on-file (provided_by_customer)
    "#);
    assert_eq!(run.failed(), 3);
}

#[test]
fn coverage_counts_what_the_tests_reached() {
    let run = run_tests(&checked(RETAIL).value.unwrap());
    let line = |(name, covered): (&str, &Vec<Covered>)| {
        format!("{name}: {}", covered.iter().map(|c| format!("{} {}", c.name, c.tests)).collect::<Vec<_>>().join(", "))
    };
    let groups = std::iter::once(("rules", &run.coverage.rules))
        .chain(run.coverage.levels.iter().chain(&run.coverage.fields).map(|(n, c)| (&**n, c)));
    insta::assert_snapshot!(groups.map(line).collect::<Vec<_>>().join("\n"), @r#"
    rules: handle-on-file 3, same-email 1, same-phone 1
    name and handle: full name 2, other 4
    handle used again: whole handle 3, other 1
    city: same 1, other 0
    company: same 0, other 0
    profile: CustomerID 5, Network 5, Handle 5, Basis 5, LinkedBy 5, MatchWeight 5
    interaction: CustomerID 5, Network 5, ActivityID 5, ConversationID 0, InReplyTo 0, Audience 5, PostedAt 5, PostURL 1, Body 5, Topic 5, Priority 5, OrderNumber 4, MappingHash 5
    service-request: ContactId 1, Abstract 1, PostURL 1, Priority 1, OrderNumber 1
    lead: Network 1, PostURL 1, PostedAt 1, Topic 1
    "#);
    insta::assert_snapshot!(format!("{:?}", run.coverage.totals()), @r#"(34, 39)"#);
}

#[test]
fn a_test_may_say_how_common_a_name_is_and_what_the_customer_bought() {
    let text = RETAIL
        .replacen("enrich:\n", "enrich:\n  last_order: { cel: \"orders[0].order_number\" }\n  late: [{ is: yes, when: \"cel: orders.exists(o, o.status == 'late')\" }, { otherwise: no }]\n", 1)
        .replacen("ConversationID: conversation\n", "ConversationID: last_order\n      InReplyTo: late\n", 1)
        .replacen("      InReplyTo: object.inReplyTo\n", "", 1);
    let text = format!(
        "{text}  - name: a rare name is enough\n    customers: [{{ customer_id: C1, name: Ottavio Zanardelli, city: Lecce }}]\n    related: {{ orders: [{{ customer_id: C1, order_number: 1, status: late }}, {{ customer_id: C1, order_number: 2, status: late }}, {{ customer_id: C9, order_number: 3, status: x }}] }}\n    term_frequencies: {{ whole_name: {{ ottavio zanardelli: 0.00000001 }}, city: {{ lecce: 0.00001 }} }}\n    activity: {{ network: mastodon, actor: {{ name: Ottavio Zanardelli, location: {{ name: Lecce }} }}, object: {{ content: ciao }} }}\n    expect: {{ decision: linked, rule: model, deliver: {{ interaction: {{ ConversationID: 1, InReplyTo: yes }} }} }}\n"
    );
    let rulebook = checked(&text).into_result().unwrap_or_else(|p| panic!("{p:?}")).0;
    let run = run_tests(&rulebook);
    assert_eq!(run.results.last().unwrap().failures, vec![], "{}", run.results.last().unwrap().outcome);
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
