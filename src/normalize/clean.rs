//! Declared fields from raw values: each through its cleaner or finder.

use super::{CustomerFields, IdentityFields};
use crate::model::{Network, Value};
use std::sync::Arc;

/// The cleaned values of a customer, aligned with the declared fields. `raw` is aligned with [`CustomerFields::columns`].
pub fn clean_customer(fields: &CustomerFields, _raw: &[Value]) -> Vec<Value> {
    fields.fields.iter().map(|_| Value::Missing).collect()
}

/// The cleaned values of an identity, aligned with the declared fields. `raw` is `Profile::fields`: paths and values, any order.
/// The path `network` is always there: the network's name.
pub fn clean_identity(fields: &IdentityFields, _network: Network, _raw: &[(Arc<str>, Value)]) -> Vec<Value> {
    fields.fields.iter().map(|_| Value::Missing).collect()
}
