//! The connections: packets in, one engine thread each, packets out, faults where a test asks for them.

use super::error::TdsError;
use super::login::{ENCRYPT_NOT_SUPPORTED, ENCRYPT_OFF, ENCRYPT_ON, ENCRYPT_REQUIRED, Login, prelogin, prelogin_answer};
use super::request::{Message, read};
use super::script::{Fault, Request};
use super::session::Session;
use super::shared::{Facts, Shared};
use super::tls::Wrapped;
use super::tokens::{Done, Tokens};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;

/// The first byte of a TLS record that opens a connection (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;
/// The longest message of a client (a bound of the peer).
const LONGEST: usize = 256 << 20;

/// What the server says of encryption.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encryption {
    NotSupported,
    /// As the client wants it.
    Offered,
    /// A client that can't is refused.
    Required,
}

#[derive(Clone)]
pub struct Door {
    pub shared: Arc<Shared>,
    pub encryption: Encryption,
    pub acceptor: Option<TlsAcceptor>,
}

pub async fn serve(listener: TcpListener, door: Door) {
    while let Ok((socket, _)) = listener.accept().await {
        let door = door.clone();
        tokio::spawn(async move {
            // The client went away, or a fault made it: nobody else to tell.
            drop(connection(socket, door).await);
        });
    }
}

struct Packet {
    kind: u8,
    reset: bool,
    bytes: Vec<u8>,
}

async fn message(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Packet> {
    let mut bytes = Vec::new();
    let mut reset = false;
    loop {
        let mut header = [0_u8; 8];
        stream.read_exact(&mut header).await?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let body = length.checked_sub(8).ok_or_else(|| io::Error::other("a packet shorter than its header"))?;
        reset |= header[1] & 0x18 != 0;
        let start = bytes.len();
        if start + body > LONGEST {
            return Err(io::Error::other("a message is too long"));
        }
        bytes.resize(start + body, 0);
        stream.read_exact(&mut bytes[start..]).await?;
        if header[1] & 1 == 1 {
            return Ok(Packet { kind: header[0], reset, bytes });
        }
    }
}

fn packets(kind: u8, bytes: &[u8], packet_size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 100 + 8);
    let chunks: Vec<&[u8]> = if bytes.is_empty() { vec![bytes] } else { bytes.chunks(packet_size - 8).collect() };
    let last = chunks.len() - 1;
    for (at, chunk) in chunks.iter().enumerate() {
        out.extend([kind, u8::from(at == last)]);
        out.extend(((chunk.len() + 8) as u16).to_be_bytes());
        out.extend([0, 0, (at + 1) as u8, 0]);
        out.extend(*chunk);
    }
    out
}

async fn connection(mut socket: TcpStream, door: Door) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut opening = [0_u8; 1];
    socket.peek(&mut opening).await?;
    if opening == [TLS_HANDSHAKE] {
        return strict(socket, door).await;
    }
    let first = message(&mut socket).await?;
    if first.kind != 0x12 {
        return Err(io::Error::other("no PRELOGIN"));
    }
    let wanted = prelogin(&first.bytes).map_err(|e| io::Error::other(e.0))?;
    let agreed = match (door.encryption, wanted) {
        (Encryption::NotSupported, _) | (Encryption::Offered, ENCRYPT_NOT_SUPPORTED) => ENCRYPT_NOT_SUPPORTED,
        (Encryption::Offered, ENCRYPT_OFF) => ENCRYPT_OFF,
        (Encryption::Offered, _) | (Encryption::Required, ENCRYPT_ON | ENCRYPT_REQUIRED) => ENCRYPT_ON,
        (Encryption::Required, _) => ENCRYPT_REQUIRED,
    };
    socket.write_all(&packets(0x04, &prelogin_answer(agreed), 4096)).await?;
    let acceptor = door.acceptor.clone().filter(|_| agreed != ENCRYPT_NOT_SUPPORTED);
    let Some(acceptor) = acceptor else {
        let login = message(&mut socket).await?;
        return logged_in(socket, login, &door, false).await;
    };
    let mut stream = acceptor.accept(Wrapped::new(socket)).await?;
    stream.get_mut().0.handshake_over();
    let login = message(&mut stream).await?;
    if agreed == ENCRYPT_OFF {
        // The login alone was encrypted.
        return logged_in(stream.into_inner().0.into_inner(), login, &door, true).await;
    }
    logged_in(stream, login, &door, true).await
}

/// TDS 8.0: TLS stands before the first packet, so that there is nothing to agree on.
async fn strict(socket: TcpStream, door: Door) -> io::Result<()> {
    let Some(acceptor) = door.acceptor.clone() else { return Err(io::Error::other("no TLS here")) };
    let mut stream = acceptor.accept(socket).await?;
    if message(&mut stream).await?.kind != 0x12 {
        return Err(io::Error::other("no PRELOGIN"));
    }
    stream.write_all(&packets(0x04, &prelogin_answer(ENCRYPT_NOT_SUPPORTED), 4096)).await?;
    let login = message(&mut stream).await?;
    logged_in(stream, login, &door, true).await
}

/// A request on its way to the engine.
struct Work {
    message: Message,
    reset: bool,
    fault: Option<Fault>,
    answer: oneshot::Sender<Vec<u8>>,
}

enum Order {
    Work(Box<Work>),
    Cancelled(oneshot::Sender<()>),
}

async fn logged_in<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    mut stream: S,
    packet: Packet,
    door: &Door,
    encrypted: bool,
) -> io::Result<()> {
    let shared = door.shared.clone();
    let mut answer = Tokens::default();
    let login = Login::read(&packet.bytes).map_err(|e| {
        eprintln!("the TDS peer refuses a login: {}", e.0);
        io::Error::other(e.0)
    })?;
    let settings = &shared.settings;
    let database = if login.database.is_empty() { settings.database.clone() } else { login.database.clone() };
    let fault = shared.script.fault("", true);
    let refused = Request::Login {
        user: login.user.clone(),
        database: database.clone(),
        application: login.application.clone(),
        host: login.host.clone(),
        encrypted,
        accepted: false,
        token: login.token.clone(),
    };
    let mut refuse = None;
    match fault {
        Some(Fault::Error(error) | Fault::ErrorAfter(error)) => refuse = Some(error),
        Some(Fault::Stall(wait) | Fault::StallAnswer(wait)) => tokio::time::sleep(wait).await,
        Some(Fault::CutBefore | Fault::CutAfter | Fault::CutWithin) => {
            shared.script.record(refused);
            return Ok(());
        }
        None => {}
    }
    let failed = || TdsError::new(18_456, 14, 1, format!("Login failed for user '{}'.", login.user));
    if refuse.is_none() && (login.integrated || !login.user.eq_ignore_ascii_case(&settings.user) || login.password != settings.password) {
        refuse = Some(failed());
    }
    if refuse.is_none() && !database.eq_ignore_ascii_case(&settings.database) && !database.eq_ignore_ascii_case("master") {
        refuse = Some(TdsError::new(4060, 11, 1, format!("Cannot open database \"{database}\" requested by the login. The login failed.")));
    }
    if let Some(error) = refuse {
        shared.script.record(refused);
        answer.error(&error);
        if error.number == 4060 {
            answer.error(&failed());
        }
        answer.done(Done::Statement, None, true);
        stream.write_all(&packets(0x04, &answer.finish(), 4096)).await?;
        return stream.flush().await;
    }
    if let Request::Login { user, database, application, host, encrypted, token, .. } = refused {
        shared.script.record(Request::Login { user, database, application, host, encrypted, accepted: true, token });
    }
    answer.login(&settings.database, login.packet_size);
    stream.write_all(&packets(0x04, &answer.finish(), 4096)).await?;
    stream.flush().await?;
    requests(stream, shared, login).await
}

/// The engine's thread: it ends when the connection does.
fn engine(
    shared: Arc<Shared>,
    facts: Facts,
    started: oneshot::Sender<Option<rusqlite::InterruptHandle>>,
    orders: &std::sync::mpsc::Receiver<Order>,
) {
    let mut session = match Session::open(shared, facts) {
        Ok(session) => session,
        Err(error) => {
            eprintln!("the TDS peer can't open its database: {error}");
            drop(started.send(None));
            return;
        }
    };
    if started.send(Some(session.db.get_interrupt_handle())).is_err() {
        return;
    }
    while let Ok(order) = orders.recv() {
        match order {
            Order::Cancelled(done) => {
                session.cancelled();
                // Whoever asked is gone with its connection.
                done.send(()).unwrap_or_default();
            }
            Order::Work(work) => {
                let Work { message, reset, fault, answer } = *work;
                if reset {
                    session.reset();
                    session.tokens.reset();
                }
                let rpc = matches!(message, Message::Rpc(_));
                session.done = Done::Statement;
                match fault {
                    Some(Fault::Error(error)) => session.give_up(error),
                    Some(Fault::ErrorAfter(error)) => {
                        perform(&mut session, message);
                        session.give_up(error);
                    }
                    _ => perform(&mut session, message),
                }
                session.done = if rpc { Done::Procedure } else { Done::Statement };
                let bytes = session.take_answer();
                if answer.send(bytes).is_err() {
                    break;
                }
            }
        }
    }
    session.reset();
}

fn perform(session: &mut Session, message: Message) {
    match message {
        Message::Batch(sql) => drop(session.batch(&sql)),
        Message::Rpc(calls) => {
            for (name, parameters) in calls {
                session.rpc(&name, &parameters);
            }
        }
        Message::Bulk(columns, rows) => match session.bulk_rows(&columns, rows) {
            Ok(count) => session.tokens.done(Done::Statement, Some(count), false),
            Err(error) => session.give_up(error),
        },
        Message::Begin => transaction(session, Session::begin),
        Message::Commit { again } => transaction(session, |s| {
            s.commit()?;
            if again { s.begin() } else { Ok(()) }
        }),
        Message::Rollback { name, again } => transaction(session, |s| {
            s.rollback(Some(name.as_str()).filter(|n| !n.is_empty()))?;
            if again { s.begin() } else { Ok(()) }
        }),
        Message::Save(name) => transaction(session, |s| s.save(&name)),
    }
}

fn transaction(session: &mut Session, work: impl FnOnce(&mut Session) -> Result<(), TdsError>) {
    match work(session) {
        Ok(()) => session.tokens.done(Done::Statement, None, false),
        Err(error) => session.give_up(error),
    }
}

fn recorded(message: &Message, bulk_table: &str) -> Vec<Request> {
    match message {
        Message::Batch(sql) => vec![Request::Batch(sql.clone())],
        Message::Rpc(calls) => {
            calls.iter().map(|(name, parameters)| Request::Rpc { name: name.clone(), parameters: parameters.clone() }).collect()
        }
        Message::Bulk(columns, rows) => vec![Request::Bulk {
            table: bulk_table.to_owned(),
            columns: columns.iter().map(|c| (c.name.clone(), c.ty)).collect(),
            rows: rows.clone(),
        }],
        Message::Begin => vec![Request::Transaction("begin".to_owned())],
        Message::Commit { .. } => vec![Request::Transaction("commit".to_owned())],
        Message::Rollback { .. } => vec![Request::Transaction("rollback".to_owned())],
        Message::Save(_) => vec![Request::Transaction("save".to_owned())],
    }
}

/// `INSERT BULK [dbo].[t] (…`: the name in it.
fn bulk_table(sql: &str) -> Option<String> {
    let rest = sql.trim_start();
    let rest = rest.get(..11).filter(|w| w.eq_ignore_ascii_case("insert bulk")).and(rest.get(11..))?;
    Some(rest.split('(').next().unwrap_or_default().trim().to_owned())
}

async fn requests<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S, shared: Arc<Shared>, login: Login) -> io::Result<()> {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let (packet_in, mut incoming) = mpsc::channel(4);
    let reader = tokio::spawn(async move {
        while let Ok(packet) = message(&mut reading).await {
            if packet_in.send(packet).await.is_err() {
                break;
            }
        }
    });
    let facts = Facts {
        spid: shared.spids.fetch_add(1, Ordering::SeqCst),
        user: login.user,
        application: login.application,
        host: login.host,
        ..Facts::default()
    };
    let (started, ready) = oneshot::channel();
    let (orders, taken) = std::sync::mpsc::channel();
    let engine_shared = shared.clone();
    std::thread::spawn(move || engine(engine_shared, facts, started, &taken));
    let Ok(Some(interrupt)) = ready.await else { return Err(io::Error::other("no engine")) };
    let mut table = String::new();
    let size = login.packet_size;
    let answer = async {
        while let Some(packet) = incoming.recv().await {
            if packet.kind == 0x06 {
                // An Attention when nothing is under way.
                shared.script.record(Request::Attention);
                let mut tokens = Tokens::default();
                tokens.attention();
                writing.write_all(&packets(0x04, &tokens.finish(), size)).await?;
                writing.flush().await?;
                continue;
            }
            let message = match read(packet.kind, &packet.bytes) {
                Ok(Some(message)) => message,
                Ok(None) => return Err(io::Error::other("an unknown message")),
                Err(error) => {
                    eprintln!("the TDS peer can't read a message: {}", error.0);
                    return Err(io::Error::other(error.0));
                }
            };
            let seen = recorded(&message, &table);
            if let Message::Batch(sql) = &message
                && let Some(name) = bulk_table(sql)
            {
                table = name;
            }
            let fault = seen.iter().find_map(|request| shared.script.fault(&request.text(), false));
            for request in seen {
                shared.script.record(request);
            }
            let (mut stall, mut late) = (Duration::ZERO, Duration::ZERO);
            match &fault {
                Some(Fault::CutBefore) => return Ok(()),
                Some(Fault::Stall(wait)) => stall = *wait,
                Some(Fault::StallAnswer(wait)) => late = *wait,
                _ => {}
            }
            let mut attention = false;
            if !stall.is_zero() {
                attention = wait(stall, &mut incoming, &shared).await?;
            }
            let mut bytes = Vec::new();
            if !attention {
                let (answer, mut answered) = oneshot::channel();
                let work = Work { message, reset: packet.reset, fault: fault.clone(), answer };
                orders.send(Order::Work(Box::new(work))).map_err(|_| io::Error::other("the engine ended"))?;
                bytes = tokio::select! {
                    answer = &mut answered => answer.map_err(|_| io::Error::other("the engine ended"))?,
                    more = incoming.recv() => {
                        interrupt.interrupt();
                        let Some(more) = more else { return Err(io::Error::other("the client went away")) };
                        if more.kind != 0x06 {
                            return Err(io::Error::other("a request within a request"));
                        }
                        shared.script.record(Request::Attention);
                        attention = true;
                        answered.await.map_err(|_| io::Error::other("the engine ended"))?
                    }
                };
            }
            if !attention && !late.is_zero() {
                attention = wait(late, &mut incoming, &shared).await?;
            }
            if attention {
                let (done, cancelled) = oneshot::channel();
                orders.send(Order::Cancelled(done)).map_err(|_| io::Error::other("the engine ended"))?;
                cancelled.await.map_err(|_| io::Error::other("the engine ended"))?;
                let mut tokens = Tokens::default();
                tokens.attention();
                bytes = tokens.finish();
            }
            match fault {
                Some(Fault::CutAfter) => return Ok(()),
                Some(Fault::CutWithin) => {
                    let all = packets(0x04, &bytes, size);
                    writing.write_all(&all[..all.len() / 2]).await?;
                    return writing.flush().await;
                }
                _ => {}
            }
            writing.write_all(&packets(0x04, &bytes, size)).await?;
            writing.flush().await?;
        }
        Ok(())
    }
    .await;
    reader.abort();
    answer
}

/// Waits, and hears an Attention meanwhile.
async fn wait(so_long: Duration, incoming: &mut mpsc::Receiver<Packet>, shared: &Shared) -> io::Result<bool> {
    tokio::select! {
        () = tokio::time::sleep(so_long) => Ok(false),
        more = incoming.recv() => match more {
            Some(packet) if packet.kind == 0x06 => {
                shared.script.record(Request::Attention);
                Ok(true)
            }
            _ => Err(io::Error::other("the client went away")),
        },
    }
}
