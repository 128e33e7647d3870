//! Rank 4, what several edges share: how bytes come in from outside, how requests go out, and the languages that services speak.

pub mod caller;
pub mod event_stream;
pub mod handshake;
pub mod http;
pub mod input;
pub mod pace;
pub mod scrape;
pub mod session;
pub mod soap;
pub mod syslog;
pub mod table;
pub mod table_rows;
pub mod tds;
mod tls;
mod tunnel;
pub mod vendored;
pub mod websocket;
pub mod wsdl;
pub mod xml;
