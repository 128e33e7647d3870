//! Rank 5, store.
