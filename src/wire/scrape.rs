//! Pages over HTTP/1.1 for a metrics collector and a supervisor on this machine: GET only, everything bounded.

use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at once: a collector, a second one, and people who look. More wait in the system's queue.
const CONNECTIONS: usize = 8;
/// A collector's request has some 300 bytes.
const LONGEST_REQUEST: usize = 8 * 1024;
/// From the connection to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// After an error of the system (no file descriptors left, for instance).
const PAUSE: Duration = Duration::from_millis(200);
/// What Prometheus calls the text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Page {
    /// `/metrics`, Prometheus' text format.
    Metrics,
    /// `/healthz`: whether the process answers.
    Health,
    /// `/readyz`: whether it does its work.
    Ready,
}

impl Page {
    fn at(path: &str) -> Option<Self> {
        match path {
            "/metrics" => Some(Self::Metrics),
            "/healthz" => Some(Self::Health),
            "/readyz" => Some(Self::Ready),
            _ => None,
        }
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Metrics => TEXT,
            Self::Health | Self::Ready => "text/plain; charset=utf-8",
        }
    }
}

/// An answer: what it says, and whether all is well (200), or not (503).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Whether all is well.
    pub well: bool,
    /// The text, without personal data.
    pub text: String,
}

/// Serves pages until dropped.
pub async fn serve<P, F>(listener: TcpListener, page: P)
where
    P: Fn(Page) -> F + Clone + Send + 'static,
    F: Future<Output = Shown> + Send,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let page = page.clone();
                connections.spawn(async move {
                    match tokio::time::timeout(PATIENCE, answer(stream, page)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!(%error, "a metrics connection ended early"),
                        Err(_late) => tracing::debug!("a metrics connection was too slow"),
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the metrics listener could not accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn answer<F: Future<Output = Shown>>(mut stream: TcpStream, page: impl Fn(Page) -> F) -> io::Result<()> {
    let mut request = Vec::with_capacity(512);
    let mut chunk = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        request.extend(chunk.iter().take(read));
        if request.len() > LONGEST_REQUEST {
            return reply(&mut stream, "431 Request Header Fields Too Large", "text/plain", "the request is too long\n", true).await;
        }
    }
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).into_owned();
    let mut words = line.split(' ');
    let (method, path, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    match (method, Page::at(path)) {
        _ if !version.starts_with("HTTP/1.") || words.next().is_some() => {
            reply(&mut stream, "400 Bad Request", "text/plain", "not an HTTP/1.1 request\n", true).await
        }
        ("GET" | "HEAD", Some(asked)) => {
            let Shown { well, text } = page(asked).await;
            let status = if well { "200 OK" } else { "503 Service Unavailable" };
            reply(&mut stream, status, asked.kind(), &text, method == "GET").await
        }
        ("GET" | "HEAD", None) => {
            let text = "there are /metrics, /healthz and /readyz\n";
            reply(&mut stream, "404 Not Found", "text/plain", text, method == "GET").await
        }
        _ => reply(&mut stream, "405 Method Not Allowed", "text/plain", "only GET and HEAD\n", true).await,
    }
}

async fn reply(stream: &mut TcpStream, status: &str, kind: &str, text: &str, body: bool) -> io::Result<()> {
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if body {
        stream.write_all(text.as_bytes()).await?;
    }
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn up(page: Page) -> Shown {
        Shown { well: page != Page::Ready, text: "kith_up 1\n".to_owned() }
    }

    async fn asked(request: &[u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, up));
        let mut stream = TcpStream::connect(at).await.unwrap();
        // The other side may answer and close before all of it is written.
        let (mut reading, mut writing) = stream.split();
        let mut answer = Vec::new();
        let ask = async {
            drop(writing.write_all(request).await);
            drop(writing.shutdown().await);
        };
        let ((), _read) = tokio::join!(ask, reading.read_to_end(&mut answer));
        serving.abort();
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn the_page_is_served_and_nothing_else() {
        let page = asked(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert!(
            page.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4") && page.ends_with("\r\n\r\nkith_up 1\n"),
            "{page}"
        );
        assert!(asked(b"GET /healthz HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset"));
        assert!(asked(b"GET /readyz HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 503 "), "what is not well says so");
        let head = asked(b"HEAD /metrics?x=1 HTTP/1.1\r\n\r\n").await;
        assert!(head.contains("Content-Length: 10\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(asked(b"GET / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
        assert!(asked(b"POST /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
        assert!(asked(b"\xff\xfe\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
        assert!(asked(b"GET /metrics HTTP/2 x\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
        assert_eq!(asked(b"").await, "", "who says nothing is told nothing");
    }

    #[tokio::test]
    async fn a_request_without_end_is_cut_off() {
        let answer = asked(&vec![b'a'; 40_000]).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }

    #[tokio::test]
    async fn many_at_once_are_all_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, up));
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..4 * CONNECTIONS {
            clients.spawn(async move {
                let mut stream = TcpStream::connect(at).await.unwrap();
                stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                answer
            });
        }
        while let Some(answer) = clients.join_next().await {
            assert!(answer.unwrap().ends_with("kith_up 1\n"));
        }
        serving.abort();
    }
}
