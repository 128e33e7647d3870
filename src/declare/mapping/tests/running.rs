//! The tests inside mappings, run.

use super::super::{Covered, read, run_tests};
use super::{RETAIL, SHIPPED, checked, file, surroundings};
use crate::diagnose::SourceFile;
use std::sync::Arc;

fn shipped_models(path: &str) -> Result<Arc<SourceFile>, String> {
    if path == "models/retail.yaml" {
        Ok(file(path, include_str!("../../../../mappings/models/retail.yaml")))
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
