//! A slow service that fails: batches of records over HTTP/1.1, look-ups by id, seeded faults.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a request takes.
const SLOW: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Shared {
    /// How often each record was taken, by the number at the end of its id.
    keys: Mutex<HashMap<u64, u32>>,
    requests: AtomicU64,
    failed: AtomicU64,
    taken: AtomicU64,
    seed: u64,
}

/// Runs until the process ends.
pub struct Service {
    pub port: u16,
    shared: Arc<Shared>,
}

/// The number at the end of an id, percent-encoded or not.
fn number(id: &str) -> u64 {
    id.rsplit(['/', 'F']).next().and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX)
}

impl Service {
    pub fn start(seed: u64) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared { seed, ..Shared::default() });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = serving.clone();
                // A client that goes away ends its thread.
                std::thread::spawn(move || shared.serve(&client).ok());
            }
        });
        Ok(Self { port, shared })
    }

    /// Different records taken.
    pub fn distinct(&self) -> u64 {
        self.shared.keys.lock().map_or(0, |keys| keys.len() as u64)
    }

    /// Records taken, repeats included.
    pub fn taken(&self) -> u64 {
        self.shared.taken.load(SeqCst)
    }

    /// Records taken more than once.
    pub fn doubled(&self) -> u64 {
        self.shared.keys.lock().map_or(0, |keys| keys.values().filter(|times| **times > 1).count() as u64)
    }

    pub fn requests(&self) -> u64 {
        self.shared.requests.load(SeqCst)
    }

    /// Requests that were answered with a fault, or not at all.
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(SeqCst)
    }
}

impl Shared {
    fn chance(&self, request: u64) -> u64 {
        let mut z = self.seed.wrapping_add(request.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) % 100
    }

    fn take(&self, body: &[u8]) -> serde_json::Value {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let mut results = Vec::new();
        let Ok(mut keys) = self.keys.lock() else { return serde_json::Value::Null };
        for record in body["records"].as_array().map_or(&[][..], Vec::as_slice) {
            let key = record["key"].as_str().unwrap_or_default();
            *keys.entry(number(record["Id"].as_str().unwrap_or_default())).or_default() += 1;
            self.taken.fetch_add(1, SeqCst);
            results.push(serde_json::json!({ "key": key, "status": 201 }));
        }
        serde_json::json!({ "results": results })
    }

    fn serve(&self, client: &TcpStream) -> std::io::Result<()> {
        client.set_nodelay(true)?;
        let (mut reader, mut writer) = (BufReader::new(client.try_clone()?), client.try_clone()?);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let mut length = 0;
            loop {
                let mut header = String::new();
                reader.read_line(&mut header)?;
                if header.trim().is_empty() {
                    break;
                }
                if let Some((name, value)) = header.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().unwrap_or(0);
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            let request = self.requests.fetch_add(1, SeqCst);
            let path = line.split_whitespace().nth(1).unwrap_or_default();
            let mut say = |status: &str, headers: &str, body: &str| {
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
                writer.write_all(answer.as_bytes())
            };
            if let Some(id) = path.strip_prefix("/known/") {
                // A look-up is quick, as reading is.
                let known = self.keys.lock().is_ok_and(|keys| keys.contains_key(&number(id)));
                say(if known { "200 OK" } else { "404 Not Found" }, "", "{}")?;
                continue;
            }
            std::thread::sleep(SLOW);
            let chance = self.chance(request);
            if chance < 4 {
                self.failed.fetch_add(1, SeqCst);
            }
            match chance {
                0 => say("429 Too Many Requests", "retry-after: 1\r\n", "{}")?,
                1 => say("503 Service Unavailable", "", "{}")?,
                2 => say("500 Internal Server Error", "", "{}")?,
                3 => {
                    // Taken, and nobody hears of it.
                    self.take(&body);
                    return Ok(());
                }
                _ => say("200 OK", "", &self.take(&body).to_string())?,
            }
        }
    }
}
