//! Rank 3

pub mod config;
pub mod connector;
