//! Rank 5, deliver.
