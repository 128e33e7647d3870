//! Rank 4, what several edges share: how bytes come in from outside, how requests go out, and the languages that services speak.

pub mod http;
pub mod input;
pub mod scrape;
pub mod soap;
pub mod wsdl;
pub mod xml;
