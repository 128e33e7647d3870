//! Rank 4, what several edges share: how bytes come in from outside.

pub mod input;
