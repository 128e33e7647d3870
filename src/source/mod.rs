//! Rank 5, source.
