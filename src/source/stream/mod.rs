//! Live streams of declarative sources: a connection that is opened once and over which events come, by server-sent events or a WebSocket.
//!
//! Nothing is read ahead: who does not ask for the next event stops the sender. What is held is one event and what the system's buffers hold.

mod error;
mod hear;
mod open;

pub use error::StreamError;
pub use hear::{Connected, Event, Heard};
pub use open::Opener;
