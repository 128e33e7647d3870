//! A TCP proxy before a SQL Server that cuts a connection at a message of the client: the message passes or does not, its answer never does.

use super::Seed;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Stopped when dropped.
pub struct TdsCutter {
    port: u16,
    stopped: Arc<AtomicBool>,
}

impl TdsCutter {
    /// Each connection ends at the client's `message`-th message (from 1): after it has passed, or before.
    pub fn start(host: &str, upstream: u16, message: usize, passes: bool) -> Self {
        Self::with(host, upstream, move |_connection| (message, passes))
    }

    /// Each connection ends somewhere in its first `within` messages, as the seed wants it.
    pub fn seeded(host: &str, upstream: u16, seed: u64, within: usize) -> Self {
        Self::with(host, upstream, move |connection| {
            let mut seed = Seed(seed.wrapping_mul(1_000_003) ^ connection);
            // A login is two messages: it gets through.
            (3 + usize::try_from(seed.next()).unwrap() % within, seed.next().is_multiple_of(2))
        })
    }

    fn with(host: &str, upstream: u16, pattern: impl Fn(u64) -> (usize, bool) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stopped = Arc::new(AtomicBool::new(false));
        let (own, host) = (stopped.clone(), host.to_owned());
        std::thread::spawn(move || {
            for (n, client) in (0..).zip(listener.incoming().flatten()) {
                if own.load(SeqCst) {
                    break;
                }
                let Ok(server) = TcpStream::connect((host.as_str(), upstream)) else { continue };
                let (message, passes) = pattern(n);
                std::thread::spawn(move || connection(client, server, message, passes));
            }
        });
        Self { port, stopped }
    }

    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for TdsCutter {
    fn drop(&mut self) {
        self.stopped.store(true, SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

/// Passes packets on until the message; a TDS packet says its length and whether it ends a message (MS-TDS §2.2.3.1).
fn connection(mut client: TcpStream, mut server: TcpStream, message: usize, passes: bool) {
    let muted = Arc::new(AtomicBool::new(false));
    let (mut back, mut from, own) = (client.try_clone().unwrap(), server.try_clone().unwrap(), muted.clone());
    let answering = std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if own.load(SeqCst) || back.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
    });
    let mut seen = 0;
    let mut header = [0; 8];
    while client.read_exact(&mut header).is_ok() {
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let mut body = vec![0; length.saturating_sub(8)];
        if client.read_exact(&mut body).is_err() {
            break;
        }
        let last = header[1] & 1 == 1;
        let cut = last && seen + 1 == message;
        if cut {
            muted.store(true, SeqCst);
        }
        if (!cut || passes) && (server.write_all(&header).is_err() || server.write_all(&body).is_err()) {
            break;
        }
        seen += usize::from(last);
        if cut {
            // The server has the message; time to act on it.
            std::thread::sleep(std::time::Duration::from_millis(20));
            break;
        }
    }
    drop(client.shutdown(Shutdown::Both));
    drop(server.shutdown(Shutdown::Both));
    drop(answering.join());
}
