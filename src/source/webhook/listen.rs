//! An HTTP/1.1 server in which everything is bounded: connections, headers, bodies alone and together, and the time for each. One request a connection: what
//! stands before it (a reverse proxy) keeps connections, not this.

use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A request's line and headers: a question of a hub with a long topic has 3 KiB.
const LONGEST_HEAD: usize = 16 * 1024;
/// Networks send about fifteen.
const MOST_HEADERS: usize = 64;
/// From the connection to the end of the headers.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// From the end of the headers to the end of the body: 2 MiB at 1.7 Mbit/s.
const BODY_TIME: Duration = Duration::from_secs(10);
/// From the connection to the end of the answer. Networks give up after 3 to 10 seconds; a disk that takes longer to answer is no reason to hold them.
const WHOLE_TIME: Duration = Duration::from_secs(30);
/// Of a body that nobody wants so much is read, so that the answer is not lost in a reset connection.
const READ_AWAY: u64 = 256 * 1024;
/// All bodies that are in hand: 64 MiB, in permits of 1 KiB.
const IN_HAND: usize = 64 * 1024;
/// Connections in the system's queue; it takes at most `net.core.somaxconn`, 4,096 on Linux today.
const QUEUE: u32 = 4_096;
/// After an error of the system (no file descriptors left, for instance).
const PAUSE: Duration = Duration::from_millis(200);

/// A request's line and headers.
#[derive(Debug)]
pub struct Head {
    /// `POST`
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Behind the `?`.
    pub query: String,
    headers: HeaderMap,
}

impl Head {
    /// The one value of a header, by its name in small letters; `None` where there are several.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).map(HeaderValue::as_bytes)
    }
}

/// An answer.
#[derive(Debug, Default)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Of the content; none where there is none.
    pub kind: Option<&'static str>,
    /// More headers, names in small letters.
    pub headers: Vec<(&'static str, String)>,
    /// The content.
    pub body: Vec<u8>,
}

impl Reply {
    /// A status, and not a word more.
    pub fn bare(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

/// What answers requests.
pub trait Answers: Send + Sync + 'static {
    /// The longest body that is read, in bytes; or the answer, where no body is wanted.
    ///
    /// # Errors
    /// The answer to who is not let in.
    fn admits(&self, head: &Head) -> Result<usize, Reply>;

    /// Somebody who was let in was turned away with this status: too long, too slow, or too much at once.
    fn turned_away(&self, _head: &Head, _status: u16) {}

    /// The answer.
    fn answer(&self, head: Head, body: Vec<u8>) -> impl Future<Output = Reply> + Send;
}

/// What is bounded by the operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Connections at once.
    pub connections: usize,
}

/// Listens at an address. A network that comes a thousand times at once waits in the system's queue, and is not turned away.
///
/// # Errors
/// The address can't be had.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

/// Serves until dropped.
pub async fn serve<A: Answers>(listener: TcpListener, answers: Arc<A>, bounds: Bounds) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let in_hand = Arc::new(Semaphore::new(IN_HAND));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (answers, in_hand) = (answers.clone(), in_hand.clone());
                connections.spawn(async move {
                    if tokio::time::timeout(WHOLE_TIME, connection(stream, answers, in_hand)).await.is_err() {
                        tracing::debug!("a webhook's connection was too slow");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(code = "KITH-N052", %error, "the webhook listener could not accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection<A: Answers>(stream: TcpStream, answers: Arc<A>, in_hand: Arc<Semaphore>) {
    let service = service_fn(move |request| {
        let (answers, in_hand) = (answers.clone(), in_hand.clone());
        async move { Ok::<_, Infallible>(response(answered(request, &*answers, &in_hand).await)) }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).keep_alive(false).max_headers(MOST_HEADERS).max_buf_size(LONGEST_HEAD);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a webhook's connection ended early");
    }
}

async fn answered<A: Answers>(request: Request<Incoming>, answers: &A, in_hand: &Arc<Semaphore>) -> Reply {
    let (parts, body) = request.into_parts();
    let head = Head {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
    };
    let longest = match answers.admits(&head) {
        Ok(longest) => longest,
        Err(reply) => {
            read_away(body).await;
            return reply;
        }
    };
    let longest = u64::try_from(longest).unwrap_or(u64::MAX);
    if body.size_hint().lower() > longest {
        answers.turned_away(&head, 413);
        read_away(body).await;
        return Reply::bare(413);
    }
    let (body, _in_hand) = match tokio::time::timeout(BODY_TIME, whole(body, longest, in_hand)).await {
        Ok(Ok(read)) => read,
        Ok(Err(status)) => {
            answers.turned_away(&head, status);
            return Reply::bare(status);
        }
        Err(_slow) => {
            answers.turned_away(&head, 408);
            return Reply::bare(408);
        }
    };
    answers.answer(head, body).await
}

/// The body, with the room that it takes; else the status to answer.
async fn whole(mut body: Incoming, longest: u64, in_hand: &Arc<Semaphore>) -> Result<(Vec<u8>, Vec<OwnedSemaphorePermit>), u16> {
    let (mut bytes, mut room): (Vec<u8>, Vec<OwnedSemaphorePermit>) = (Vec::new(), Vec::new());
    let mut taken: usize = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_broken| 400_u16)?.into_data() else { continue };
        let length = bytes.len() + data.len();
        if u64::try_from(length).is_ok_and(|length| length > longest) {
            read_away(body).await;
            return Err(413);
        }
        let more = length.div_ceil(1024).saturating_sub(taken);
        if more > 0 {
            let permits = u32::try_from(more).map_err(|_more_than_there_is| 503_u16)?;
            room.push(in_hand.clone().try_acquire_many_owned(permits).map_err(|_full| 503_u16)?);
            taken += more;
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes, room))
}

/// Reads a little of what nobody wants.
async fn read_away(mut body: Incoming) {
    let reading = async {
        let mut left = READ_AWAY;
        while left > 0 {
            match body.frame().await {
                Some(Ok(frame)) => left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64).max(1)),
                Some(Err(_)) | None => return,
            }
        }
    };
    // Whoever is slower hears it from the end of the connection.
    drop(tokio::time::timeout(Duration::from_secs(2), reading).await);
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(kind) = reply.kind {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    if reply.status == 405 {
        headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}
