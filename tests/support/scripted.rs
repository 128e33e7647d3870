//! A server that says exactly what a test wants, in raw bytes: what no real server says on demand.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What one request is answered with; the connection ends after it.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Nothing: the connection ends.
    Close,
    /// Nothing, for so long.
    Silence(Duration),
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes, one at a time.
    Drip(Vec<u8>, Duration),
    /// These bytes, then more and more of the same.
    Endless(Vec<u8>),
}

/// `HTTP/1.1 STATUS` with headers and content.
pub fn answer(status: u16, headers: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Bytes(format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}").into_bytes())
}

/// `answer` with JSON.
pub fn json(status: u16, body: &serde_json::Value) -> Answer {
    answer(status, "content-type: application/json\r\n", &body.to_string())
}

pub struct Scripted {
    pub port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Answers the n-th request with the n-th answer, and every further one with the last.
    pub fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (mut client, seen, answers) = (client.unwrap(), seen.clone(), answers.clone());
                std::thread::spawn(move || {
                    let Some(request) = read(&mut client) else { return };
                    let at = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request);
                        seen.len() - 1
                    };
                    say(&mut client, answers.get(at).or(answers.last()).unwrap());
                });
            }
        });
        Self { port, requests }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every request as it came, head and content.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn read(client: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 16 * 1024];
    loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase();
            let length = head.lines().find_map(|l| l.strip_prefix("content-length:")).and_then(|n| n.trim().parse().ok()).unwrap_or(0);
            if bytes.len() >= at + 4 + length {
                return Some(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        match client.read(&mut chunk) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&chunk[..count]),
            _ => return None,
        }
    }
}

fn say(client: &mut TcpStream, answer: &Answer) {
    // The client may be gone: that is its business.
    match answer {
        Answer::Close => {}
        Answer::Silence(time) => std::thread::sleep(*time),
        Answer::Bytes(bytes) => drop(client.write_all(bytes)),
        Answer::Drip(bytes, every) => {
            for byte in bytes {
                if client.write_all(&[*byte]).is_err() {
                    return;
                }
                std::thread::sleep(*every);
            }
        }
        Answer::Endless(bytes) => {
            let filler = vec![b' '; 64 * 1024];
            let mut going = client.write_all(bytes).is_ok();
            while going {
                going = client.write_all(&filler).is_ok();
            }
        }
    }
}
