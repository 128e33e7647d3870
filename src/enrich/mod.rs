//! Rank 2, what is delivered: an activity with its decision and customer becomes the records that a mapping's `deliver` asks for.

mod plan;

pub use plan::{Choice, DeliverEntry, EnrichField, EnrichValue, Enrichment, OnDelete, Subject};
