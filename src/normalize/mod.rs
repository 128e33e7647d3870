//! Rank 2, raw records made comparable: an Activity Streams object becomes an [`Activity`](crate::model::Activity), and cleaners
//! bring the values of both sides to one form, once.

mod fields;

pub use fields::{Cleaner, CustomerFields, Extract, Field, Finder, IdentityFields, NamePart};
