//! The accounts that are linked to one customer, while a pass links more of them: what is stored, and what was decided since.

use super::RunError;
use super::decide::Taken;
use crate::declare::mapping::Rulebook;
use crate::model::{CustomerId, Decision, LinkedBy, Network, Outcome, Personal, Value};
use crate::normalize::clean_identity;
use crate::resolve::{Sibling, hold};
use crate::store::{IdentityRow, LinkedAccount};
use std::collections::{BTreeSet, HashMap};

/// Tells the accounts that are linked to customers, as stored.
pub(super) type Stored<'a> = dyn Fn(Vec<CustomerId>) -> Result<Vec<LinkedAccount>, RunError> + 'a;

/// Accounts by the customer that they are linked to.
pub(super) type ByCustomer = HashMap<CustomerId, Vec<(IdentityRow, Sibling)>>;

/// What was decided so far, which the store may not show yet: 100 bytes and the cleaned values of each account that was linked.
#[derive(Default)]
pub(super) struct Siblings {
    decided: HashMap<IdentityRow, Option<CustomerId>>,
    linked: ByCustomer,
}

impl Siblings {
    /// Holds back the links that the customers' other accounts speak against, account by account in their order: the first one links, the one
    /// that is too many does not.
    pub(super) fn hold(&mut self, rulebook: &Rulebook, taken: &mut [Taken<'_>], stored: &Stored<'_>) -> Result<(), RunError> {
        if rulebook.matching.one_person.is_empty() {
            return Ok(());
        }
        let customers: BTreeSet<CustomerId> = taken.iter().filter_map(|one| links(one.decision.as_ref()?)).collect();
        let there = by_customer(rulebook, stored(customers.into_iter().collect())?);
        for one in taken {
            if let Some(decision) = one.decision.take() {
                one.decision = Some(self.one(rulebook, (one.work.row, one.work.id.network), &one.cleaned, decision, &there));
            }
        }
        Ok(())
    }

    /// One account. `there` are the accounts that the store shows as linked.
    pub(super) fn one(
        &mut self,
        rulebook: &Rulebook,
        (row, network): (IdentityRow, Network),
        cleaned: &[Value],
        decision: Decision,
        there: &ByCustomer,
    ) -> Decision {
        if rulebook.matching.one_person.is_empty() {
            return decision;
        }
        let decision = match links(&decision) {
            Some(customer) => {
                // Whoever was decided again counts where it is now, not where the store still shows it.
                let stored = there.get(&customer).into_iter().flatten().filter(|(other, _)| !self.decided.contains_key(other));
                let siblings = stored.chain(self.linked.get(&customer).into_iter().flatten()).filter(|(other, _)| *other != row);
                hold(decision, &rulebook.matching, network, cleaned, &siblings.map(|(_, sibling)| sibling))
            }
            None => decision,
        };
        let customer = decision.customer.clone().filter(|_| decision.outcome == Outcome::Linked);
        if let Some(Some(before)) = self.decided.insert(row, customer.clone())
            && let Some(accounts) = self.linked.get_mut(&before)
        {
            accounts.retain(|(other, _)| *other != row);
        }
        if let Some(customer) = customer {
            self.linked.entry(customer).or_default().push((row, Sibling { network, values: Personal::new(cleaned.to_vec()) }));
        }
        decision
    }
}

/// The customer that a decision links, where no person did.
pub(super) fn links(decision: &Decision) -> Option<CustomerId> {
    let linked = decision.outcome == Outcome::Linked && decision.by != Some(LinkedBy::Person);
    decision.customer.clone().filter(|_| linked)
}

/// Stored accounts, cleaned, by customer.
pub(super) fn by_customer(rulebook: &Rulebook, accounts: Vec<LinkedAccount>) -> ByCustomer {
    let mut there = ByCustomer::new();
    for account in accounts {
        let Some(profile) = account.profile else { continue };
        let values = clean_identity(&rulebook.identities, account.id.network, profile.fields.reveal());
        let sibling = Sibling { network: account.id.network, values: Personal::new(values) };
        there.entry(account.customer).or_default().push((account.row, sibling));
    }
    there
}
