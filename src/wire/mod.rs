//! Rank 4, what several edges share: how bytes come in from outside, and how requests go out.

pub mod caller;
pub mod http;
pub mod input;
pub mod pace;
pub mod scrape;
pub mod session;
pub mod soap;
pub mod tds;
pub mod vendored;
pub mod wsdl;
pub mod xml;
