//! The CRM's side: a customer and the records that belong to it.

use super::{Personal, Value};
use std::sync::Arc;

/// The CRM's key of a customer, as the CRM writes it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CustomerId(pub Arc<str>);

impl std::fmt::Debug for CustomerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CustomerId(‹personal›)")
    }
}

impl CustomerId {
    /// The key as the CRM writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for CustomerId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// A customer as read: the raw columns that the mapping declares, aligned with the list of declared columns
/// (`normalize::CustomerFields::columns`).
#[derive(Clone, PartialEq, Debug)]
pub struct Customer {
    /// The CRM's key.
    pub id: CustomerId,
    /// The surviving customer, where the CRM merged this one away.
    pub merged_into: Option<CustomerId>,
    /// Raw values, one per declared column, in declared order.
    pub raw: Personal<Vec<Value>>,
}

/// Names and values, in order.
pub type Members = Arc<[(Arc<str>, Value)]>;

/// A record that belongs to a customer: an order for instance.
#[derive(Clone, PartialEq, Debug)]
pub struct RelatedRecord {
    /// The customer it belongs to.
    pub customer: CustomerId,
    /// Column and value, in file order.
    pub members: Personal<Members>,
}
