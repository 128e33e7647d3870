//! Rank 1, raw records made comparable: an Activity Streams object becomes an [`Activity`](crate::model::Activity), and cleaners
//! bring the values of both sides to one form, once.

pub mod activity_streams;
mod clean;
mod fields;
mod lookup;

pub use clean::{clean_customer, clean_identity};
pub use fields::{Cleaner, CustomerFields, Extract, Field, Finder, IdentityFields, NamePart};
pub use lookup::lookups;
