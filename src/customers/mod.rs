//! Rank 5, customers.
