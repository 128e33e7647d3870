//! Syslog as a sender: RFC 5424 messages over TCP (octet counting, RFC 6587 §3.4.1) or TLS (RFC 5425).
//!
//! Syslog has no receipts. What comes nearest: the sender ends its side of the connection and waits until the receiver, having read to the
//! end, closes its own. Only then is a batch taken as received; what was under way when a connection broke is sent again.

pub mod local;

use super::tls::Trust;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest time for name, connection and TLS.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest time for a batch and the receiver's end of the connection. A receiver that takes 1,000 messages a second needs 10 s for the
/// largest batch.
const WHOLE: Duration = Duration::from_mins(1);
/// What a receiver may say before it closes: nothing, by the protocol; a banner is read over.
const LONGEST_ANSWER: u64 = 4_096;
/// Facility 13 (log audit), severity 6 (informational): RFC 5424 §6.2.1.
const PRIORITY: u8 = 13 * 8 + 6;

/// Where messages go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receiver {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The PEM file with the certificates that are trusted, where it is TLS.
    pub tls: Option<PathBuf>,
}

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// When, as RFC 3339 with at most six digits of the second.
    pub time: String,
    /// The sender's host name; `-` where it has none.
    pub host: String,
    /// What identifies it among its like, at most 32 printable ASCII characters: an entry's number.
    pub id: String,
    /// The text.
    pub text: String,
}

impl Message {
    /// The message as RFC 5424 §6 has it, without a frame. Its text is UTF-8 and says so by a byte order mark.
    pub fn render(&self) -> String {
        let name = |text: &str, longest: usize| -> String {
            let kept: String = text.chars().filter(char::is_ascii_graphic).take(longest).collect();
            if kept.is_empty() { "-".to_owned() } else { kept }
        };
        let mut out = String::with_capacity(self.text.len() + 128);
        // Writing into a String never fails.
        let written = write!(
            out,
            "<{PRIORITY}>1 {} {} kith {} {} [origin software=\"kith\" swVersion=\"{}\"] \u{feff}{}",
            self.time,
            name(&self.host, 255),
            std::process::id(),
            name(&self.id, 32),
            env!("CARGO_PKG_VERSION"),
            self.text
        );
        debug_assert!(written.is_ok());
        out
    }

    /// The message in its frame: length in bytes, a blank, the message.
    pub fn frame(&self) -> Vec<u8> {
        let message = self.render();
        format!("{} {message}", message.len()).into_bytes()
    }
}

impl Receiver {
    /// Reads `tcp://HOST:PORT` or `tls://HOST:PORT`; a TLS receiver needs the file of trusted certificates.
    pub fn parse(text: &str, ca_file: Option<PathBuf>) -> Option<Self> {
        let (tls, rest) = match (text.strip_prefix("tcp://"), text.strip_prefix("tls://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return None,
        };
        let (host, port) = rest.trim_end_matches('/').rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let right = !host.is_empty() && host.len() <= 253 && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:_".contains(c));
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let tls = if tls { Some(ca_file?) } else { None };
        right.then(|| Self { host: host.to_owned(), port, tls })
    }

    /// Sends messages and waits until the receiver has read them all.
    ///
    /// # Errors
    /// Whatever came between; some of the messages may have arrived then.
    pub async fn send(&self, messages: &[Message]) -> io::Result<()> {
        let connect = tokio::time::timeout(CONNECT, TcpStream::connect((self.host.as_str(), self.port)));
        let stream = connect.await.map_err(|_late| io::Error::new(io::ErrorKind::TimedOut, "no connection within 10 s"))??;
        let work = async {
            match &self.tls {
                None => exchange(stream, messages).await,
                Some(ca_file) => exchange(Trust::of_file(ca_file)?.connect(&self.host, stream).await?, messages).await,
            }
        };
        tokio::time::timeout(WHOLE, work)
            .await
            .map_err(|_late| io::Error::new(io::ErrorKind::TimedOut, "the receiver did not read to the end within 60 s"))?
    }
}

async fn exchange(stream: impl AsyncRead + AsyncWrite, messages: &[Message]) -> io::Result<()> {
    let (reading, mut writing) = tokio::io::split(stream);
    let mut pending = Vec::with_capacity(64 * 1024);
    for message in messages {
        pending.extend(message.frame());
        if pending.len() >= 64 * 1024 {
            writing.write_all(&pending).await?;
            pending.clear();
        }
    }
    writing.write_all(&pending).await?;
    writing.flush().await?;
    writing.shutdown().await?;
    let mut said = Vec::new();
    match reading.take(LONGEST_ANSWER).read_to_end(&mut said).await {
        // A TLS peer may close without its farewell; it read ours before.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message { time: "2026-11-27T18:00:00.123456Z".into(), host: "kith-01".into(), id: "42".into(), text: text.into() }
    }

    #[test]
    fn a_message_has_the_fields_of_the_specification() {
        let rendered = message("é").render();
        let parts: Vec<&str> = rendered.splitn(7, ' ').collect();
        assert_eq!(parts[..4], ["<110>1", "2026-11-27T18:00:00.123456Z", "kith-01", "kith"]);
        assert_eq!(parts[5], "42");
        assert!(parts[6].ends_with("] \u{feff}é"), "{rendered}");
        let frame = message("é").frame();
        assert!(frame.starts_with(format!("{} <110>1 ", rendered.len()).as_bytes()));
        let blank = Message { host: "two words\n".into(), id: " ".into(), ..message("") }.render();
        assert!(blank.contains(" twowords kith ") && blank.contains(" - [origin"), "{blank}");
    }

    #[test]
    fn addresses_are_read_and_nonsense_is_not() {
        let tcp = Receiver::parse("tcp://logs.example:514", None).unwrap();
        assert_eq!((tcp.host.as_str(), tcp.port, tcp.tls), ("logs.example", 514, None));
        assert_eq!(Receiver::parse("tls://[::1]:6514", Some("ca.pem".into())).unwrap().host, "::1");
        for wrong in ["logs.example:514", "udp://a:1", "tcp://a", "tcp://:514", "tcp://a:0", "tcp://a:99999", "tcp://a b:5", "tls://a:6514"]
        {
            assert_eq!(Receiver::parse(wrong, None), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_batch_is_received_only_when_the_receiver_has_read_to_its_end() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = Receiver { host: "127.0.0.1".into(), port, tls: None };
        let reading = tokio::spawn(async move {
            let (mut whole, _) = listener.accept().await.unwrap();
            let mut got = Vec::new();
            whole.read_to_end(&mut got).await.unwrap();
            drop(whole);
            let (cut, _) = listener.accept().await.unwrap();
            cut.set_zero_linger().unwrap();
            drop(cut);
            got
        });
        let messages = [message("one"), message("two")];
        receiver.send(&messages).await.unwrap();
        let large: Vec<Message> = (0..2_000).map(|_| message(&"x".repeat(1_000))).collect();
        assert!(receiver.send(&large).await.is_err(), "a reset is no receipt");
        assert_eq!(reading.await.unwrap(), [messages[0].frame(), messages[1].frame()].concat());
        assert!(receiver.send(&messages).await.is_err(), "nobody listens");
    }
}
