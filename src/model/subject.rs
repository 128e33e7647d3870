//! Whom a right is about: an account or a customer.

use super::{CustomerId, IdentityId};

/// A person as the one who asks for a right is known.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum SubjectId {
    /// By an account.
    Identity(IdentityId),
    /// By the CRM's key; the accounts linked to it are the same person.
    Customer(CustomerId),
}
