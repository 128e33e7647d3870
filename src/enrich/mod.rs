//! Rank 2, what is delivered: an activity with its decision and customer becomes the records that a mapping's `deliver` asks for.

mod facts;
mod plan;
mod reconcile;
mod records;

pub use facts::{Decided, EnrichedFacts, Facts, Fields};
pub use plan::{Choice, DeliverEntry, EnrichField, EnrichValue, Enrichment, OnConflict, OnDelete, Subject};
pub use reconcile::{Due, Planned, Standing, Write, reconcile_link, reconcile_object};
pub use records::{Record, key_payload};
