//! Rank 6, the spine.
