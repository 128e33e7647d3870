//! What people say about whose an identity is (design §1: a person's yes or no is never overridden).

use super::CustomerId;
use std::sync::Arc;

/// What one person said.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Said {
    /// It is this customer's.
    Customer(CustomerId),
    /// It is none of the candidates'.
    Nobody,
    /// They can't tell.
    Unsure,
}

impl Said {
    /// The word of the audit log: `link`, `no-link`, `unsure`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Customer(_) => "link",
            Self::Nobody => "no-link",
            Self::Unsure => "unsure",
        }
    }
}

/// What people's word about an identity comes to: decisions follow it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Word {
    /// It is this customer's.
    Customer(CustomerId),
    /// It is nobody's of those who were candidates when it was said. About a candidate that came later nobody has said anything yet.
    Nobody {
        /// Who were candidates.
        rejected: Arc<[CustomerId]>,
    },
}
