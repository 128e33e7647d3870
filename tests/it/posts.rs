//! What people say in their posts is evidence of who they are: an order number, an address. It comes with the post and goes with it.

use crate::support::{CUSTOMERS_HEADER, ORDERS_HEADER, Project, activity, deleted, edited, lines};
use serde_json::Value as Json;

/// Two customers of one rare name, each with an order.
fn namesakes() -> Project {
    let project = Project::empty();
    let row = |id: &str| format!("{id},Ottavio Zanardelli,,,,Lecce,73100,IT,,,standard\n");
    let others = (10..400).map(|n| format!("C{n},Person{n} Family{n},,,,Rome,00100,IT,,,standard\n")).collect::<String>();
    project.write("data/customers.csv", format!("{CUSTOMERS_HEADER}{}{}{others}", row("C1"), row("C2")));
    orders(&project, &[("104711", "C1"), ("104712", "C2")]);
    project
}

fn orders(project: &Project, of: &[(&str, &str)]) {
    let rows = of.iter().map(|(number, customer)| format!("{number},{customer},2026-01-01,10.00,EUR,delivered\n")).collect::<String>();
    project.write("data/orders.csv", format!("{ORDERS_HEADER}{rows}"));
}

fn says(note: u32, content: &str) -> Json {
    let mut said = activity("mastodon", "u1", "zq77", "Ottavio Zanardelli", note, content);
    said["actor"]["location"] = serde_json::json!({ "type": "Place", "name": "Lecce" });
    said
}

/// Takes in what is said so far and tells what is decided: `linked C1`.
fn decided(project: &Project, said: &[Json]) -> String {
    project.write("data/activities.ndjson", lines(said));
    project.run_once();
    in_force(project)
}

fn in_force(project: &Project) -> String {
    let shown = project.kith(&["link", "show", "mastodon", "https://mastodon.example/users/u1", "--format", "json"]).ok().json();
    format!("{} {}", shown["decision"].as_str().unwrap(), shown["customer_id"].as_str().unwrap_or("nobody"))
}

#[test]
fn an_order_that_somebody_mentions_links_them_until_they_take_the_post_back() {
    let project = namesakes();
    let mut said = vec![says(1, "ciao a tutti")];
    assert!(decided(&project, &said).starts_with("review"), "two people have the name");
    said.push(says(2, "Order 104712 arrived broken"));
    assert_eq!(decided(&project, &said), "linked C2", "the second post decides again");
    let (network, account) = ("mastodon", "https://mastodon.example/users/u1");
    let shown = project.kith(&["match", "explain", network, account, "--format", "json"]).ok().json();
    let of = |customer: &str| {
        let candidates = shown["candidates"].as_array().unwrap();
        let found = candidates.iter().find(|candidate| candidate["customer_id"] == customer).unwrap();
        let outcomes = found["comparisons"].as_array().unwrap();
        outcomes.iter().find(|outcome| outcome["comparison"] == "order").unwrap()["level"].as_str().unwrap().to_owned()
    };
    assert_eq!((of("C2"), of("C1")), ("order of theirs".to_owned(), "other order".to_owned()));
    assert_eq!(project.kith(&["match", "changes", "--format", "json"]).ok().json()["count"], 0, "who looks again sees the posts too");
    project.kith(&["audit", "recompute"]).ok();
    // An edit to another number, and the post is gone.
    said.push(edited(&said[1], "Order 104711 arrived broken", "2026-09-02T10:00:00Z"));
    assert_eq!(decided(&project, &said), "linked C1");
    said.push(deleted(&said[1], "2026-09-03T10:00:00Z"));
    assert!(decided(&project, &said).starts_with("review"), "the evidence went with the post");
    assert_eq!(project.crm("SELECT CustomerID FROM SocialProfile").len(), 0, "and so did what the link wrote");
}

#[test]
fn an_order_that_reaches_the_crm_later_decides_again() {
    let project = namesakes();
    project.edit("mappings/retail.yaml", "relink: 1 %", "relink: 100 %");
    orders(&project, &[("104711", "C1")]);
    let said = [says(1, "Order 104799 arrived broken")];
    assert!(decided(&project, &said).starts_with("review"));
    orders(&project, &[("104711", "C1"), ("104799", "C2")]);
    assert_eq!(decided(&project, &said), "linked C2", "nothing of the customer's own row changed");
    orders(&project, &[("104711", "C1"), ("104799", "C1")]);
    assert_eq!(decided(&project, &said), "linked C1");
    project.write("data/orders.csv", "number,customer_id\n104799,C2\n");
    project.kith(&["run", "--once"]).fails(1, "KITH-U101");
    assert_eq!(in_force(&project), "linked C1", "a table without the column unlinks nobody");
}

#[test]
fn what_fewer_people_may_see_than_the_profile_is_no_evidence_and_an_erased_post_is_none() {
    let project = namesakes();
    project.edit("mappings/retail.yaml", "audience: [public]", "audience: [public, limited]");
    project.edit(
        "mappings/retail.yaml",
        "when: { audience: public } }\n",
        "when: { audience: public } }\n    - { basis: followers, law: \"GDPR 6(1)(a)\", purpose: service, when: { audience: limited } }\n",
    );
    let mut limited = says(1, "Order 104712 arrived broken");
    limited["to"] = serde_json::json!(["https://mastodon.example/users/u1/followers"]);
    let public = says(2, "ciao a tutti");
    assert!(decided(&project, &[limited, public.clone()]).starts_with("review"));
    // The same order, said to everybody.
    assert_eq!(decided(&project, &[says(3, "Order 104712, again")]), "linked C2");
    project.kith(&["subject", "erase", "--identity", "mastodon", "https://mastodon.example/users/u1", "--reason", "they asked"]).ok();
    project.run_once();
    let kept = project.kith(&["link", "list", "--format", "csv"]).ok().stdout;
    assert!(!kept.contains("C2"), "{kept}");
}
