//! Rank 1, raw records made comparable: an Activity Streams object becomes an [`Activity`](crate::model::Activity), and cleaners
//! bring the values of both sides to one form, once.

pub mod activity_streams;
mod clean;
mod country;
mod date;
mod email;
mod fields;
mod lookup;
mod network_handle;
mod number;
mod organisation;
mod person_name;
mod phone;
mod place;
mod postal_code;
mod site;
mod text;

pub use clean::{clean_customer, clean_identity};
pub use fields::{Cleaner, CustomerFields, Extract, Field, Finder, IdentityFields, NamePart, RelatedColumn, SAID};
pub use lookup::{formal_names, lookups, same_given_name, short_names, without_handle_words};
