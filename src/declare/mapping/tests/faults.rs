//! Faults of a mapping, each with what is told about it.

use super::{RETAIL, told};

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
    KITH-M008 m.yaml:16:48: `clean` must be one of text, email, phone, place, organisation, date, network_handle, postal_code, country, site, not `e-mail`; Did you mean `email`?

    clean: { person_nam: given } }
    KITH-M005 m.yaml:16:50: `person_nam` is not a key of `clean`; Did you mean `person_name`?

    find: emial }
    KITH-M008 m.yaml:31:57: `find` must be one of email, phone, organisation, birth_date, network_handle, number, emails, phones, not `emial`; Did you mean `email`?

    clean: place, find: email }
        company:     { from: company
    KITH-M029 m.yaml:18:55: `city` has `clean` and `find`; Keep one: what is found is cleaned by itself

    from: location.name
    KITH-M029 m.yaml:33:26: `location.name` is not a path of a profile; Profiles are made of the actor: `actor.name`, `actor.summary`, …, `network`, and `object.content` for what it posts. Did you mean `actor.name`?

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
