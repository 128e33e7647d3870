//! Rank 7
