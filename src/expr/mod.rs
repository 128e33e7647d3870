//! Rank 1, conditions and values: the plain forms that stewards write, and CEL as the escape. Compiled and checked once, evaluated often.
//!
//! A missing value is unknown: a test on it is [`Truth::Unknown`], which counts as false and is counted by coverage.

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
}

/// Where names get their values from. A name is a dotted path, `object.content` or `customer.segment`.
pub trait Scope {
    /// The value of a name, `Missing` where it is unknown.
    fn lookup(&self, name: &str) -> Value;
}

/// A compiled condition.
#[derive(Clone, Debug)]
pub struct Condition;

/// A compiled value expression.
#[derive(Clone, Debug)]
pub struct ValueExpr;
