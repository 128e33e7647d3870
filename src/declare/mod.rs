//! Rank 3
