//! A TCP proxy that loses answers: the request arrives whole, then the connection is cut before the answer, or in the middle of it.

use super::Seed;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// What happens to one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// It and its answer go through.
    Never,
    /// The connection ends before the request is passed on.
    BeforeRequest,
    /// The request is passed on and answered; the answer is lost.
    AfterRequest,
    /// So many bytes of the answer come through.
    InAnswer(usize),
}

/// Stopped when dropped: no new connections.
pub struct CuttingProxy {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: SocketAddr,
    pattern: Box<dyn Fn(u64) -> Cut + Send + Sync>,
    requests: AtomicU64,
    cuts: AtomicU64,
    stopped: AtomicBool,
}

impl CuttingProxy {
    /// `pattern` says for the n-th request, from 0, what happens.
    pub fn start(upstream_port: u16, pattern: impl Fn(u64) -> Cut + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            upstream: SocketAddr::from(([127, 0, 0, 1], upstream_port)),
            pattern: Box::new(pattern),
            requests: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let own = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if own.stopped.load(SeqCst) {
                    break;
                }
                let (shared, client) = (own.clone(), client.unwrap());
                std::thread::spawn(move || drop(connection(&shared, client)));
            }
        });
        Self { port, shared }
    }

    /// Cuts so many of a hundred requests after they were passed on, and half as many in the middle of the answer; by the seed.
    pub fn seeded(upstream_port: u16, seed: u64, percent: u64) -> Self {
        Self::start(upstream_port, move |n| {
            let mut random = Seed(seed ^ n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            match random.next() % 200 {
                roll if roll < percent * 2 => Cut::AfterRequest,
                roll if roll < percent * 3 => Cut::InAnswer(usize::try_from(random.next() % 60).unwrap()),
                _ => Cut::Never,
            }
        })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Requests seen, and how many were cut.
    pub fn counts(&self) -> (u64, u64) {
        (self.shared.requests.load(SeqCst), self.shared.cuts.load(SeqCst))
    }
}

impl Drop for CuttingProxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn connection(shared: &Shared, mut client: TcpStream) -> io::Result<()> {
    // A client that keeps its connection idle does not keep a thread for ever.
    client.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut server: Option<TcpStream> = None;
    loop {
        let request = message(&mut client, false)?;
        if request.is_empty() {
            return Ok(());
        }
        let cut = (shared.pattern)(shared.requests.fetch_add(1, SeqCst));
        if cut != Cut::Never {
            shared.cuts.fetch_add(1, SeqCst);
        }
        if cut == Cut::BeforeRequest {
            return client.shutdown(Shutdown::Both);
        }
        let upstream = match &mut server {
            Some(upstream) => upstream,
            None => server.insert(TcpStream::connect(shared.upstream)?),
        };
        upstream.set_read_timeout(Some(Duration::from_secs(60)))?;
        upstream.write_all(&request)?;
        // Read whole, also where it is lost: then the server has done its work.
        let answer = message(upstream, true)?;
        match cut {
            Cut::Never => client.write_all(&answer)?,
            Cut::InAnswer(bytes) => {
                client.write_all(&answer[..bytes.min(answer.len().saturating_sub(1))])?;
                return client.shutdown(Shutdown::Both);
            }
            Cut::AfterRequest | Cut::BeforeRequest => return client.shutdown(Shutdown::Both),
        }
    }
}

/// One HTTP message with its content; empty where the other side has ended.
fn message(from: &mut TcpStream, is_answer: bool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 16 * 1024];
    let mut more = |bytes: &mut Vec<u8>| -> io::Result<bool> {
        let count = from.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..count]);
        Ok(count > 0)
    };
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if !more(&mut bytes)? {
            return Ok(Vec::new());
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).map(str::to_owned);
    let status = text.split(' ').nth(1).unwrap_or_default().to_owned();
    if is_answer && matches!(status.as_str(), "204" | "304") {
        return Ok(bytes);
    }
    if header("transfer-encoding:").is_some_and(|coding| coding.contains("chunked")) {
        while !bytes.ends_with(b"0\r\n\r\n") && more(&mut bytes)? {}
    } else {
        let length: usize = header("content-length:").and_then(|n| n.parse().ok()).unwrap_or(0);
        while bytes.len() < head + length && more(&mut bytes)? {}
    }
    Ok(bytes)
}
