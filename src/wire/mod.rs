//! Rank 4, what several edges share: how bytes come in from outside, and how requests go out.

pub mod http;
pub mod input;
pub mod scrape;
pub mod table;
