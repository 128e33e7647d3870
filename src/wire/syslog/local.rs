//! This machine's own syslog: one datagram to its socket, as the C library's `syslog` sends it, its time and host left to the receiver.

use super::{Message, PRIORITY};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixDatagram;

/// A receiver whose queue stays full is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a datagram may hold: receivers cut what is longer, and a cut checkpoint proves nothing. A checkpoint has some 300 bytes.
const LONGEST: usize = 8_000;

/// Sends a message. Received means: the receiver's kernel queue has it.
///
/// # Errors
/// There is no such socket, nobody listens, or the message is too long.
pub async fn send(socket: &Path, message: &Message) -> io::Result<()> {
    // RFC 3164 §4.1.3: the tag and the process, then the content. What has no time gets the receiver's.
    let text = format!("<{PRIORITY}>kith[{}]: {}", std::process::id(), message.text);
    if text.len() > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "longer than a local syslog takes"));
    }
    let sent = tokio::time::timeout(PATIENCE, async { UnixDatagram::unbound()?.send_to(text.as_bytes(), socket).await });
    sent.await.map_err(|_late| io::Error::new(io::ErrorKind::TimedOut, "the local syslog took nothing within 10 s"))?.map(drop)
}
