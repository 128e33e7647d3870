//! Rank 2, audit.
