//! Promises of the whole: what links, what does not, and that the same question always gets the same answer.

use super::*;
use crate::model::{Customer, CustomerId, Decision, Digest, LinkedBy, Network, Outcome, Personal, Value};
use crate::normalize::{Cleaner, CustomerFields, Extract, Field, IdentityFields, NamePart, clean_identity};
use proptest::prelude::*;
use std::sync::Arc;

fn field(name: &str, from: &[usize], cleaner: Cleaner) -> Field {
    Field { name: name.into(), from: from.to_vec(), extract: Extract::Clean(cleaner), optional: false }
}

fn customer_fields() -> Arc<CustomerFields> {
    Arc::new(CustomerFields {
        related: Vec::new(),
        key: "id".into(),
        merged_into: Some("master".into()),
        columns: ["name", "email", "city", "handles"].map(Into::into).to_vec(),
        fields: vec![
            field("given_name", &[0], Cleaner::PersonName(NamePart::Given)),
            field("family_name", &[0], Cleaner::PersonName(NamePart::Family)),
            field("email", &[1], Cleaner::Email),
            field("city", &[2], Cleaner::Place),
            field("handles", &[3], Cleaner::NetworkHandle),
        ],
    })
}

fn identity_fields() -> Arc<IdentityFields> {
    Arc::new(IdentityFields {
        paths: ["actor.name", "actor.email", "actor.location.name", "network", "actor.preferredUsername"].map(Into::into).to_vec(),
        fields: vec![
            field("given_name", &[0], Cleaner::PersonName(NamePart::Given)),
            field("family_name", &[0], Cleaner::PersonName(NamePart::Family)),
            field("email", &[1], Cleaner::Email),
            field("city", &[2], Cleaner::Place),
            field("handle", &[3, 4], Cleaner::NetworkHandle),
        ],
    })
}

fn model() -> Model {
    let same = |fields: &[&str]| {
        let part = |name: &&str| KeyPart::Field {
            identity: (*name).into(),
            identity_form: KeyForm::Whole,
            customer: (*name).into(),
            customer_form: KeyForm::Whole,
        };
        fields.iter().map(part).collect::<Vec<_>>()
    };
    let level = |label: &str, test: LevelTest, m: f64, u: f64, term_frequency: Option<usize>| Level {
        label: label.into(),
        test,
        m,
        u,
        term_frequency,
    };
    let named =
        |name: &[NameAgreement], handle: &[HandleAgreement]| LevelTest::NameAndHandle { name: name.to_vec(), handle: handle.to_vec() };
    let one = |name: &str| Compared::Field { identity: name.into(), customer: name.into() };
    Model {
        name: "test".into(),
        prior: Prior::Share { share: 0.6, customers: 100_000 },
        blocking: vec![
            BlockingRule { id: "name".into(), parts: same(&["given_name", "family_name"]), cut_above: 20 },
            BlockingRule {
                id: "handle".into(),
                parts: vec![KeyPart::SpelledInHandle { handle: "handle".into(), given: "given_name".into(), family: "family_name".into() }],
                cut_above: 20,
            },
            BlockingRule { id: "email".into(), parts: same(&["email"]), cut_above: 20 },
        ],
        term_frequencies: vec![TermFrequency {
            name: "whole".into(),
            of: ["given_name", "family_name"].map(|f| CountedPart { field: f.into(), form: KeyForm::Whole }).to_vec(),
            u: 3e-6,
            weight: 1.0,
            least: 0.0,
            shape: Some(3.0),
            together: 2.0,
            typical: 1e-4,
            table: vec![("ottavio zanardelli".into(), 1e-6)],
        }],
        comparisons: vec![
            Comparison {
                name: "name and handle".into(),
                compared: Compared::NameAndHandle { given: "given_name".into(), family: "family_name".into(), handle: "handle".into() },
                levels: vec![
                    level("full", named(&[NameAgreement::Full], &[]), 0.6, 1.7e-6, Some(0)),
                    level("in handle", named(&[NameAgreement::Unrelated], &[HandleAgreement::Full]), 0.05, 2.2e-7, Some(0)),
                    level("other", LevelTest::Else, 0.35, 0.99, None),
                ],
            },
            Comparison {
                name: "city".into(),
                compared: one("city"),
                levels: vec![level("same", LevelTest::Exact, 0.9, 0.03, None), level("other", LevelTest::Else, 0.1, 0.97, None)],
            },
            Comparison {
                name: "e-mail".into(),
                compared: one("email"),
                levels: vec![level("same", LevelTest::Exact, 0.7, 1e-7, None), level("other", LevelTest::Else, 0.3, 0.99, None)],
            },
        ],
        digest: Digest([7; 32]),
    }
}

fn rule(id: &str, same: &[(usize, usize)], shared: Option<u32>) -> Rule {
    Rule { id: id.into(), same: same.to_vec(), verdict: RuleVerdict::Link, ignore_if_shared_by_more_than: shared, precision: 0.99 }
}

fn matching() -> Arc<Matching> {
    Arc::new(Matching {
        rules: vec![rule("handle-on-file", &[(4, 4)], None), rule("same-email", &[(2, 2)], Some(2))],
        model: Some(Arc::new(model())),
        decide: Decide { link_from: 0.995, ask_a_person_from: 0.6, ahead_of_next: 200.0 },
        one_person: OnePerson::default(),
        customer_fields: customer_fields().fields.iter().map(|f| f.name.clone()).collect(),
    })
}

fn customer(id: &str, name: &str, email: &str, city: &str, handles: &str) -> Customer {
    Customer { id: id.into(), merged_into: None, raw: Personal::new([name, email, city, handles].map(Value::text).to_vec()) }
}

fn index(customers: &[Customer]) -> Index {
    let mut index = Index::with_stored_frequencies(customer_fields(), identity_fields(), matching());
    for customer in customers {
        index.insert(index.prepare(customer));
    }
    index
}

fn identity(network: Network, name: &str, email: &str, city: &str, handle: &str) -> Vec<Value> {
    let raw = [("actor.name", name), ("actor.email", email), ("actor.location.name", city), ("actor.preferredUsername", handle)];
    clean_identity(&identity_fields(), network, &raw.map(|(path, text)| (path.into(), Value::text(text))))
}

const DIGESTS: Digests = Digests { mapping: Digest([1; 32]), model: Digest([7; 32]), lookups: Digest([2; 32]) };

fn decided(index: &Index, identity: &[Value]) -> Decision {
    let nobody = |_: &CustomerView<'_>| None;
    decide(index, identity, &matching(), DIGESTS, &Permit { anyone: Some("public".into()), customer: &nobody })
}

#[test]
fn a_handle_counts_on_its_own_network_only() {
    let index = index(&[customer("C1", "Ada Rossi", "", "", "linkedin:@ada_rossi")]);
    let linked = decided(&index, &identity(Network::LinkedIn, "A.", "", "", "Ada_Rossi"));
    assert_eq!((linked.outcome, linked.by), (Outcome::Linked, Some(LinkedBy::Rule("handle-on-file".into()))));
    let elsewhere = decided(&index, &identity(Network::Reddit, "zx", "", "", "ada_rossi"));
    assert_eq!((elsewhere.outcome, elsewhere.customer), (Outcome::NotLinked, Some("C1".into())));
}

#[test]
fn namesakes_in_one_city_need_a_person_and_one_alone_does_not() {
    let (c2, c3) = (customer("C2", "Ottavio Zanardelli", "", "Lecce", ""), customer("C3", "ZANARDELLI, Ottavio", "", "Lecce, Italia", ""));
    let shown = identity(Network::Mastodon, "Ottavio Zanardelli", "", "Lecce", "oz");
    let both = decided(&index(&[c2.clone(), c3]), &shown);
    assert_eq!(both.outcome, Outcome::Review);
    let names: Vec<_> = both.evidence.unwrap().candidates.iter().map(|c| c.customer.clone()).collect();
    assert_eq!(names, ["C2".into(), "C3".into()]);
    let one = decided(&index(&[c2]), &shown);
    assert_eq!((one.outcome, one.by), (Outcome::Linked, Some(LinkedBy::Model)));
}

#[test]
fn a_name_and_city_may_be_counted_as_one_value() {
    let mut model = model();
    if let Some(frequency) = model.term_frequencies.first_mut() {
        frequency.of.push(CountedPart { field: "city".into(), form: KeyForm::Whole });
        (frequency.u, frequency.shape, frequency.table) = (0.5, None, Vec::new());
    }
    let matching = Arc::new(Matching { model: Some(Arc::new(model)), rules: Vec::new(), ..(*matching()).clone() });
    let mut index = Index::new(customer_fields(), identity_fields(), matching.clone());
    // Four of one name, two of them in one city, and one whose city nobody knows.
    for (id, city) in [("C1", "Lecce"), ("C2", "Lecce"), ("C3", "Roma"), ("C4", "Bari"), ("C5", "")] {
        index.insert(index.prepare(&customer(id, "Ada Rossi", "", city, "")));
    }
    let nobody = |_: &CustomerView<'_>| None;
    let permit = Permit { anyone: Some("public".into()), customer: &nobody };
    let of = |city: &str, customer: &str| {
        let decision = decide(&index, &identity(Network::Mastodon, "Ada Rossi", "", city, "zx"), &matching, DIGESTS, &permit);
        let candidates = decision.evidence.unwrap().candidates;
        let found = candidates.iter().find(|c| &*c.customer.0 == customer).unwrap();
        found.comparisons.iter().find(|c| &*c.comparison == "name and handle").unwrap().term_frequency
    };
    // Of the four whose city is known; the more common of both sides counts, and a side that lacks the city takes the other's.
    assert_eq!(of("Roma", "C3"), Some(0.25));
    assert_eq!(of("Roma", "C1"), Some(0.5));
    assert_eq!(of("", "C1"), Some(0.5));
    assert_eq!(of("", "C5"), None);
}

#[test]
fn rules_that_name_different_customers_ask_a_person() {
    let index = index(&[customer("C1", "Ada Rossi", "", "", "x:ada"), customer("C2", "Bea Neri", "ada@rossi.it", "", "")]);
    let decision = decided(&index, &identity(Network::X, "Ada Rossi", "ada@rossi.it", "", "ada"));
    assert_eq!(decision.outcome, Outcome::Review);
    let one = decided(&index, &identity(Network::X, "Ada Rossi", "", "", "ada"));
    assert_eq!((one.outcome, one.customer), (Outcome::Linked, Some("C1".into())));
}

#[test]
fn a_key_that_too_many_share_is_set_aside_and_a_duplicate_is_asked_about() {
    let same: Vec<Customer> = ["C1", "C2", "C3"].map(|id| customer(id, "Ada Rossi", "info@rossi.it", "", "")).to_vec();
    let shown = identity(Network::X, "Team", "info@rossi.it", "", "team");
    let three = decided(&index(&same), &shown).evidence.unwrap();
    assert_eq!(three.rules[0].set_aside.as_deref(), Some("shared by 3 customers"));
    let two = decided(&index(&same[..2]), &shown);
    assert_eq!(two.outcome, Outcome::Review);
    assert_eq!(two.evidence.unwrap().rules[0].customers, 2);
}

#[test]
fn merges_are_followed_and_a_circle_of_merges_ends() {
    let merged = |id: &str, into: &str| Customer { merged_into: Some(into.into()), ..customer(id, "Ada Rossi", "ada@rossi.it", "", "") };
    let followed = index(&[merged("C1", "C2"), merged("C2", "C3"), customer("C3", "Ada Bianchi", "ada@rossi.it", "", "")]);
    assert_eq!(followed.survivor(&"C1".into()), Some("C3".into()));
    let decision = decided(&followed, &identity(Network::X, "Ada Rossi", "ada@rossi.it", "", "a"));
    assert_eq!((decision.outcome, decision.customer), (Outcome::Linked, Some("C3".into())), "three records, one customer");
    let circle = index(&[merged("C5", "C4"), merged("C4", "C5"), merged("C6", "C4"), merged("C7", "C7"), merged("C8", "gone")]);
    for (id, survivor) in [("C5", "C4"), ("C4", "C4"), ("C6", "C4"), ("C7", "C7"), ("C8", "C8")] {
        assert_eq!(circle.survivor(&id.into()), Some(survivor.into()), "{id}");
    }
    assert_eq!(circle.survivor(&"gone".into()), None);
}

#[test]
fn without_a_basis_nobody_is_scored() {
    let index = index(&[customer("C1", "Ada Rossi", "", "", "x:ada"), customer("C2", "Ada Rossi", "", "", "")]);
    let shown = identity(Network::X, "Ada Rossi", "", "", "ada");
    let nobody = |_: &CustomerView<'_>| None;
    let refused = decide(&index, &shown, &matching(), DIGESTS, &Permit { anyone: None, customer: &nobody });
    assert_eq!((refused.outcome, refused.evidence, refused.customer), (Outcome::NotPermitted, None, None));
    let on_file = |c: &CustomerView<'_>| (c.value("handles") == Value::from("x:ada")).then(|| Arc::from("provided"));
    let permitted = decide(&index, &shown, &matching(), DIGESTS, &Permit { anyone: None, customer: &on_file });
    assert_eq!((permitted.outcome, permitted.basis.as_deref()), (Outcome::Linked, Some("provided")));
    let evidence = permitted.evidence.unwrap();
    assert_eq!(
        evidence.candidates.iter().map(|c| c.customer.clone()).collect::<Vec<_>>(),
        ["C1".into()],
        "C2 is not permitted and leaves no trace"
    );
    let either = decide(&index, &shown, &matching(), DIGESTS, &Permit { anyone: Some("public".into()), customer: &on_file });
    assert_eq!((either.basis.as_deref(), either.evidence.unwrap().candidates.len()), (Some("provided"), 2));
}

#[test]
fn an_index_that_changed_is_the_index_that_was_built_so() {
    let (a, b) = (customer("C1", "Ada Rossi", "a@x.it", "Roma", ""), customer("C2", "Bea Neri", "b@x.it", "", "x:bea"));
    let mut changed = index(&[customer("C1", "Old Name", "old@x.it", "", "x:old"), customer("C9", "Gone Person", "g@x.it", "", "")]);
    assert_eq!(changed.insert(changed.prepare(&b)), Upsert::Added);
    assert_eq!(changed.insert(changed.prepare(&a)), Upsert::Updated);
    assert_eq!(changed.insert(changed.prepare(&a)), Upsert::Same);
    assert!(changed.retire(&"C9".into()) && !changed.retire(&"C9".into()));
    let built = index(&[a, b]);
    assert_eq!((changed.len(), changed.contains(&"C9".into())), (2, false));
    for shown in [
        identity(Network::X, "Ada Rossi", "a@x.it", "Rome", "ada"),
        identity(Network::X, "Old Name", "old@x.it", "", "old"),
        identity(Network::X, "Bea Neri", "", "", "bea"),
        identity(Network::X, "Gone Person", "g@x.it", "", ""),
    ] {
        assert_eq!(decided(&changed, &shown), decided(&built, &shown));
        assert_eq!(changed.touches(&shown), built.touches(&shown));
    }
    assert!(built.touches(&identity(Network::X, "", "", "", "BeaNeri7")), "a handle that spells a name");
    assert!(!built.touches(&identity(Network::X, "Gone Person", "g@x.it", "", "")));
    assert_eq!(built.values(&"C2".into()).unwrap()[2], ("email".into(), Value::from("b@x.it")));
}

#[test]
fn a_crowded_block_is_cut_and_named() {
    let crowd: Vec<Customer> = (0..21).map(|n| customer(&format!("C{n}"), "Ada Rossi", "", "", "")).collect();
    let evidence = decided(&index(&crowd), &identity(Network::X, "Ada Rossi", "", "", "")).evidence.unwrap();
    assert_eq!((evidence.candidates.len(), evidence.cuts.len()), (0, 1));
    assert_eq!((&*evidence.cuts[0].rule, evidence.cuts[0].size), ("name", 21));
}

fn people() -> impl Strategy<Value = Vec<(usize, usize, usize, usize)>> {
    proptest::collection::vec((0..4_usize, 0..5_usize, 0..4_usize, 0..4_usize), 1..30)
}

const GIVEN: [&str; 4] = ["Ada", "Rebecca", "Becky", "J."];
const FAMILY: [&str; 5] = ["Rossi", "Jacoby", "De Luca", "O'Neill", ""];
const EMAIL: [&str; 4] = ["", "ada@x.it", "info@x.it", "becky@x.it"];
const REST: [&str; 4] = ["", "Rome", "x:ada.rossi", "Lecce"];

proptest! {
    #[test]
    fn the_order_of_insertion_changes_no_bit_and_evidence_gives_the_decision_again(people in people(), shown in people(), turn in 0..30_usize) {
        let customers: Vec<Customer> = people.iter().enumerate().map(|(n, (g, f, e, r))| {
            let (city, handles) = if REST[*r].contains(':') { ("", REST[*r]) } else { (REST[*r], "") };
            customer(&format!("C{n}"), &format!("{} {}", GIVEN[*g], FAMILY[*f]), EMAIL[*e], city, handles)
        }).collect();
        let mut counted = Index::new(customer_fields(), identity_fields(), matching());
        let mut turned = Index::new(customer_fields(), identity_fields(), matching());
        for at in 0..customers.len() {
            counted.insert(counted.prepare(&customers[at]));
            let other = &customers[(customers.len() - 1 - at + turn) % customers.len()];
            turned.insert(turned.prepare(other));
        }
        for (g, f, e, r) in shown {
            let shown = identity(Network::X, &format!("{} {}", GIVEN[g], FAMILY[f]), EMAIL[e], REST[r], "ada.rossi");
            let decision = decided(&counted, &shown);
            prop_assert_eq!(&decision, &decided(&turned, &shown));
            let evidence = decision.evidence.clone().unwrap();
            let again = recompute(&evidence, &matching());
            prop_assert_eq!(again.probability.to_bits(), decision.probability.to_bits());
            prop_assert_eq!(again, Decision { basis: None, ..decision });
            for candidate in &evidence.candidates {
                let sum = candidate.comparisons.iter().fold(evidence.prior_bits, |sum, c| sum + c.bits + c.term_frequency_bits);
                prop_assert_eq!(sum.to_bits(), candidate.match_weight.to_bits(), "the parts sum to the whole");
            }
        }
    }
}

#[test]
fn an_identifier_is_unknown_to_an_empty_index() {
    let empty = index(&[]);
    assert!(empty.is_empty() && !empty.touches(&identity(Network::X, "Ada Rossi", "", "", "ada")));
    assert_eq!(decided(&empty, &identity(Network::X, "Ada Rossi", "", "", "ada")).outcome, Outcome::NotLinked);
    assert_eq!(empty.values(&CustomerId::from("C1")), None);
}

/// A made-up name of its own for each number below a thousand.
fn named(number: usize) -> String {
    const SYLLABLES: [&str; 10] = ["ba", "ko", "ri", "tu", "me", "sa", "no", "li", "ve", "da"];
    [number / 100, number / 10 % 10, number % 10].map(|digit| SYLLABLES[digit]).concat()
}

#[test]
fn what_certain_rules_know_trains_what_they_do_not_read() {
    // Six namesakes each, of whom one shows the address; four in five true pairs share the city, and one in five of the others.
    let (mut customers, mut identities) = (Vec::new(), Vec::new());
    for person in 0..250_usize {
        let name = format!("{} Zanardelli", named(person));
        let here = |same: bool| if same { "Lecce" } else { "Oslo" };
        for namesake in 0..6_usize {
            let same = if namesake == 0 { person % 5 != 0 } else { (person + namesake) % 5 == 0 };
            let id = format!("C{person}-{namesake}");
            customers.push(customer(&id, &name, &format!("p{person}n{namesake}@example.org"), here(same), ""));
        }
        identities.push(identity(Network::X, &name, &format!("p{person}n0@example.org"), "Lecce", "someone"));
    }
    let index = index(&customers);
    let options = TrainOptions { seed: 1, pairs: 20_000, recall: 1.0 };
    let trained = train(&index, &identities, options).unwrap();
    let [name, city, email] = &trained.comparisons[..] else { panic!("{trained:?}") };
    // The rule reads the address, so it teaches nothing about it.
    assert_eq!((name.known, city.known, email.known), (Some(250), Some(250), None));
    assert_eq!((city.rivals, email.rivals), (Some(1_250), Some(1_250)));
    let near = |found: Option<f64>, expected: f64| found.is_some_and(|found| (found - expected).abs() < 0.02);
    assert!(near(city.levels[0].m, 0.8) && near(city.levels[0].u, 0.2), "{city:?}");
    // All known pairs have the whole name; of the 1,499 others of each, five do. Names are as common as is typical, and u stands beside that.
    let whole = &model().term_frequencies[0];
    let expected = 5.0 / 1_499.0 * whole.u / whole.typical;
    assert!(near(name.levels[0].m, 1.0) && name.levels[0].u.is_some_and(|u| (u / expected - 1.0).abs() < 0.35), "{name:?}");
    assert_eq!(trained, train(&index, &identities, options).unwrap(), "the same seed, the same bits");
    // A rule that is wrong now and then teaches nothing.
    let mut doubted = (*matching()).clone();
    doubted.rules[1].precision = 0.95;
    let mut unsure = Index::with_stored_frequencies(customer_fields(), identity_fields(), Arc::new(doubted));
    for customer in &customers {
        unsure.insert(unsure.prepare(customer));
    }
    let by_em = train(&unsure, &identities, options).unwrap();
    assert!(by_em.comparisons.iter().all(|c| c.known.is_none() && c.rivals.is_none()));
}

#[test]
fn who_two_rules_know_teaches_what_either_of_them_does_not_read() {
    // All show the handle on file, and four in five the address on file: the handle teaches how often an address is the one on file.
    let name = |person: usize| format!("{} Zanardelli", named(person));
    let address = |person: usize| format!("p{person}@example.org");
    let customers: Vec<Customer> =
        (0..250).map(|p| customer(&format!("C{p}"), &name(p), &address(p), "Lecce", &format!("x:@handle{p}"))).collect();
    let shown = |person: usize| if person.is_multiple_of(5) { format!("other{person}@example.org") } else { address(person) };
    let identities: Vec<_> = (0..250).map(|p| identity(Network::X, &name(p), &shown(p), "Lecce", &format!("handle{p}"))).collect();
    let trained = train(&index(&customers), &identities, TrainOptions { seed: 1, pairs: 20_000, recall: 1.0 }).unwrap();
    let [_, _, email] = &trained.comparisons[..] else { panic!("{trained:?}") };
    assert_eq!(email.known, Some(250));
    assert!(email.levels[0].m.is_some_and(|m| (m - 0.8).abs() < 0.02), "{email:?}");
    // Everybody lives where the CRM says; that somebody lives elsewhere stays thinkable.
    let [same, other] = &trained.comparisons[1].levels[..] else { panic!("{trained:?}") };
    assert!(same.m.zip(other.m).is_some_and(|(same, other)| other > 0.001 && (same + other - 1.0).abs() < 1e-12), "{trained:?}");
}

#[test]
fn what_blocks_hold_next_to_nothing_of_is_told_by_the_random_pairs_beside_them() {
    // One handle in ten spells a name that forty customers have, more than a block may hold; one handle spells another customer's.
    let name = |person: usize| format!("{} Zanardelli", named(person));
    let address = |person: usize| format!("p{person}@example.org");
    let mut customers: Vec<Customer> = (0..250).map(|p| customer(&format!("C{p}"), &name(p), &address(p), "Lecce", "")).collect();
    customers.extend((0..40).map(|n| customer(&format!("N{n}"), "Ottilie Quarenghi", "", "Lecce", "")));
    let handle = |person: usize| match person {
        7 => format!("{}zanardelli", named(8)),
        p if p.is_multiple_of(10) => "ottiliequarenghi".to_owned(),
        p => format!("someone{p}"),
    };
    let identities: Vec<_> = (0..250).map(|p| identity(Network::X, &name(p), &address(p), "Lecce", &handle(p))).collect();
    let trained = train(&index(&customers), &identities, TrainOptions { seed: 1, pairs: 2_000, recall: 1.0 }).unwrap();
    let [_, in_handle, _] = &trained.comparisons[0].levels[..] else { panic!("{trained:?}") };
    let whole = &model().term_frequencies[0];
    let expected = f64::from(25 * 40 + 1) / f64::from(250 * 289) * whole.u / whole.typical;
    // Within what some thirty random pairs can tell.
    assert!(in_handle.u.is_some_and(|u| u / expected > 0.5 && u / expected < 2.0), "{in_handle:?} {expected}");
}
