//! Rank 1, conditions and values: the plain forms that stewards write, and CEL as the escape. Compiled and checked once, evaluated often.
//!
//! A missing value is unknown: a test on it is [`Truth::Unknown`], which counts as false and is counted by coverage. `not` and `any`
//! keep to three-valued logic, so that `not` of something unknown is unknown and never true.

mod cel;
mod condition;
mod fold;
mod names;
mod pattern;
mod record;
mod value;

pub use cel::{Cel, CelProblem, MAX_CEL_BYTES, Wanted};
pub use condition::{Condition, Literal, Test, WordSet};
pub use names::{NameKind, Names};
pub use pattern::{Pattern, PatternError};
pub use record::{Record, RecordCel};
pub use value::{ValueExpr, ValueKind};

use crate::model::Value;

/// The outcome of a condition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// A value it needs is missing: treated as false.
    Unknown,
}

impl Truth {
    /// Whether it holds.
    pub fn holds(self) -> bool {
        self == Self::True
    }

    /// The reverse; unknown stays unknown.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Where names get their values from. A name is a dotted path, `object.content` or `customer.segment`.
pub trait Scope {
    /// The value of a name, `Missing` where it is unknown.
    fn lookup(&self, name: &str) -> Value;
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Named values.
    pub(crate) struct Given(pub(crate) Vec<(&'static str, Value)>);

    impl Scope for Given {
        fn lookup(&self, name: &str) -> Value {
            self.0.iter().find(|(n, _)| *n == name).map_or(Value::Missing, |(_, v)| v.clone())
        }
    }
}
