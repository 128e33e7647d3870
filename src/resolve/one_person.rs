//! One customer is one person: too many accounts of one network, or accounts that contradict each other, are not linked without a person's word.

use super::cell::{cell, meet};
use super::evidence::conclude;
use super::{Matching, OnePerson};
use crate::model::{Decision, LinkedBy, Network, Outcome, Personal, Value};
use std::sync::Arc;

/// Another account that is linked to the customer.
#[derive(Clone, PartialEq, Debug)]
pub struct Sibling {
    /// Its network.
    pub network: Network,
    /// What [`crate::normalize::clean_identity`] gave for it.
    pub values: Personal<Vec<Value>>,
}

/// Holds a link back for a person where the customer's other accounts speak against it; the evidence says why. A person's own link stands, and
/// so do the links that are there: only the one that comes to them is held.
pub fn hold<'a>(
    decision: Decision,
    matching: &Matching,
    network: Network,
    identity: &[Value],
    siblings: &(impl Iterator<Item = &'a Sibling> + Clone),
) -> Decision {
    if decision.outcome != Outcome::Linked || decision.by == Some(LinkedBy::Person) {
        return decision;
    }
    let Some(reason) = reason(&matching.one_person, network, identity, siblings) else { return decision };
    let Decision { evidence: Some(mut evidence), basis, .. } = decision else { return decision };
    evidence.held = Some(reason);
    Decision { basis, ..conclude(evidence, matching) }
}

fn reason<'a>(
    rule: &OnePerson,
    network: Network,
    identity: &[Value],
    siblings: &(impl Iterator<Item = &'a Sibling> + Clone),
) -> Option<Arc<str>> {
    if let Some(most) = rule.accounts_of_a_network {
        let there = siblings.clone().filter(|sibling| sibling.network == network).count();
        if u32::try_from(there).unwrap_or(u32::MAX) >= most {
            return Some(format!("{there} other account(s) on {network} are linked to this customer, and {most} may be").into());
        }
    }
    let differs = |at: usize, sibling: &Sibling| {
        let (ours, theirs) = (identity.get(at).and_then(cell), sibling.values.reveal().get(at).and_then(cell));
        ours.zip(theirs).is_some_and(|(ours, theirs)| !meet(&ours, &theirs))
    };
    let contradicted = rule.agree_on.iter().find(|(at, _)| siblings.clone().any(|sibling| differs(*at, sibling)));
    contradicted.map(|(_, field)| format!("another account that is linked to this customer shows another `{field}`").into())
}

#[cfg(test)]
mod tests {
    use super::super::{CustomerView, Decide, Digests, Index, Permit, Rule, RuleVerdict, decide, recompute};
    use super::*;
    use crate::model::{Customer, Digest};
    use crate::normalize::{Cleaner, CustomerFields, Extract, Field, IdentityFields};
    use proptest::prelude::*;

    fn field(name: &str, at: usize) -> Field {
        Field { name: name.into(), from: vec![at], extract: Extract::Clean(Cleaner::Text), optional: false }
    }

    fn matching(one_person: OnePerson) -> Arc<Matching> {
        Arc::new(Matching {
            rules: vec![Rule {
                id: "same-email".into(),
                same: vec![(0, 0)],
                verdict: RuleVerdict::Link,
                ignore_if_shared_by_more_than: None,
                precision: 0.99,
            }],
            model: None,
            decide: Decide { link_from: 0.98, ask_a_person_from: 0.6, ahead_of_next: 20.0 },
            one_person,
            customer_fields: [Arc::from("email")].into(),
        })
    }

    fn linked(matching: &Arc<Matching>, born: &str) -> (Decision, Vec<Value>) {
        let customers = Arc::new(CustomerFields {
            related: Vec::new(),
            key: "id".into(),
            merged_into: None,
            columns: vec!["email".into()],
            fields: vec![field("email", 0)],
        });
        let identities = Arc::new(IdentityFields {
            paths: ["actor.email", "actor.born"].map(Into::into).to_vec(),
            fields: vec![field("email", 0), field("born", 1)],
        });
        let mut index = Index::new(customers, identities, matching.clone());
        let ada = Customer { id: "C1".into(), merged_into: None, raw: Personal::new(vec![Value::from("ada@x.it")]) };
        index.insert(index.prepare(&ada));
        let identity = vec![Value::from("ada@x.it"), if born.is_empty() { Value::Missing } else { Value::from(born) }];
        let digests = Digests { mapping: Digest([1; 32]), model: Digest([0; 32]), lookups: Digest([2; 32]) };
        let nobody = |_: &CustomerView<'_>| None;
        let permit = Permit { anyone: Some("public".into()), customer: &nobody };
        (decide(&index, &identity, matching, digests, &permit), identity)
    }

    fn sibling(network: Network, born: &str) -> Sibling {
        let born = if born.is_empty() { Value::Missing } else { Value::from(born) };
        Sibling { network, values: Personal::new(vec![Value::from("ada@x.it"), born]) }
    }

    #[test]
    fn a_link_too_many_waits_for_a_person_and_its_evidence_says_why() {
        let matching = matching(OnePerson { accounts_of_a_network: Some(2), agree_on: Vec::new() });
        let (decision, identity) = linked(&matching, "");
        assert_eq!(decision.outcome, Outcome::Linked);
        let there = [sibling(Network::X, ""), sibling(Network::X, ""), sibling(Network::GitHub, "")];
        let held = hold(decision.clone(), &matching, Network::X, &identity, &there.iter());
        assert_eq!((held.outcome, &held.customer, &held.basis), (Outcome::Review, &decision.customer, &decision.basis));
        let evidence = held.evidence.as_ref().unwrap();
        assert_eq!(evidence.held.as_deref(), Some("2 other account(s) on x are linked to this customer, and 2 may be"));
        assert_eq!(recompute(evidence, &matching), Decision { basis: None, ..held.clone() }, "taken again from its evidence");
        assert_eq!(hold(decision.clone(), &matching, Network::GitHub, &identity, &there.iter()), decision, "one on GitHub is not too many");
    }

    #[test]
    fn accounts_that_contradict_each_other_are_not_one_person() {
        let matching = matching(OnePerson { accounts_of_a_network: None, agree_on: vec![(1, "born".into())] });
        let (decision, identity) = linked(&matching, "1984-02-01");
        for (theirs, outcome) in [("1984-02-01", Outcome::Linked), ("", Outcome::Linked), ("1985-02-01", Outcome::Review)] {
            let held = hold(decision.clone(), &matching, Network::X, &identity, &[sibling(Network::Reddit, theirs)].iter());
            assert_eq!(held.outcome, outcome, "{theirs}");
        }
    }

    proptest! {
        #[test]
        fn more_siblings_never_make_a_link_and_nothing_asked_for_changes_nothing(
            most in proptest::option::of(1_u32..4), agree in any::<bool>(), born in "[ab]?",
            siblings in proptest::collection::vec((0_usize..3, "[ab]?"), 0..6), more in (0_usize..3, "[ab]?"),
        ) {
            let networks = [Network::X, Network::Reddit, Network::GitHub];
            let agree_on = if agree { vec![(1, "born".into())] } else { Vec::new() };
            let rule = matching(OnePerson { accounts_of_a_network: most, agree_on });
            let (decision, identity) = linked(&rule, &born);
            let mut there: Vec<Sibling> = siblings.iter().map(|(at, born)| sibling(networks[*at], born)).collect();
            let few = hold(decision.clone(), &rule, Network::X, &identity, &there.iter());
            if most.is_none() && !agree {
                prop_assert_eq!(&few, &decision);
            }
            there.push(sibling(networks[more.0], &more.1));
            let many = hold(decision, &rule, Network::X, &identity, &there.iter());
            prop_assert!(few.outcome == Outcome::Linked || many.outcome == Outcome::Review);
        }
    }
}
