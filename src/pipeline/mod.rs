//! Rank 6
