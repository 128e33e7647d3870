//! Rank 2, duties and rights: who may be matched, on what basis, what is kept and for how long (design §7).

mod permission;
mod rules;

pub use permission::{Asked, Permission};
pub use rules::{Basis, Duties, FieldClock, Policy, Retain};
