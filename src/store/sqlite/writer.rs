//! The one thread that writes: steps that wait together are committed together, each in a savepoint of its own.

use super::error::InDatabase;
use super::names::Numbered;
use crate::store::StoreError;
use crate::store::ring::{ForgottenKey, KeyRing};
use rusqlite::Connection;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Steps that are committed together at most, and that wait in the channel at most: with a caller's batches of a few megabytes, 64 of them
/// bound what waits in memory, and one commit's disk flush is shared by all.
const GROUP: usize = 64;

/// An entry of the log is at most this long (C2SP tlog-tiles gives it a 16-bit length).
const MAX_LEAF: usize = 65_535;

/// The transaction that a step writes in.
pub(super) struct Tx<'c> {
    /// The connection, inside the transaction.
    pub(super) conn: &'c Connection,
    next_leaf: &'c mut i64,
    forgotten: Vec<ForgottenKey>,
}

impl<'c> Tx<'c> {
    /// For who holds the folder and writes alone.
    pub(super) const fn new(conn: &'c Connection, next_leaf: &'c mut i64) -> Self {
        Self { conn, next_leaf, forgotten: Vec::new() }
    }
}

impl Tx<'_> {
    /// The number of the entry that is appended next.
    pub(super) const fn next_leaf(&self) -> i64 {
        *self.next_leaf
    }

    /// A key that this step destroys or closes: it is not used again once the step is durable.
    pub(super) fn forget(&mut self, key: ForgottenKey) {
        self.forgotten.push(key);
    }

    /// Appends an entry to the sequence and tells its number.
    pub(super) fn append(&mut self, leaf: &[u8]) -> Result<u64, StoreError> {
        if leaf.len() > MAX_LEAF {
            return Err(StoreError::Refused(format!("an entry of {} bytes; an entry has at most {MAX_LEAF}", leaf.len())));
        }
        let sequence = *self.next_leaf;
        self.conn.prepare_cached("INSERT INTO leaf (seq, bytes) VALUES (?1, ?2)").said()?.execute((sequence, leaf)).said()?;
        *self.next_leaf += 1;
        u64::try_from(sequence).map_err(|_negative| StoreError::Damaged("a leaf has a negative number".to_owned()))
    }

    /// Appends several.
    pub(super) fn append_all(&mut self, leaves: &[Vec<u8>]) -> Result<(), StoreError> {
        leaves.iter().try_for_each(|leaf| self.append(leaf).map(|_sequence| ()))
    }
}

trait Job: Send {
    /// Does the step.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError>;
    /// Answers the caller, after the commit or its failure.
    fn answer(self: Box<Self>, group: Result<(), StoreError>);
}

struct Step<F, T> {
    work: Option<F>,
    done: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Job for Step<F, T>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let done = self.work.take().map_or(Err(StoreError::Stopped), |work| work(tx));
        let told = done.as_ref().map(|_value| ()).map_err(Clone::clone);
        self.done = Some(done);
        told
    }

    fn answer(self: Box<Self>, group: Result<(), StoreError>) {
        let answer = match (self.done, group) {
            // Its own error says more than that of the group it was in.
            (Some(Err(own)), _) => Err(own),
            (_, Err(group)) => Err(group),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Stopped),
        };
        // A caller that no longer waits has dropped its end; the step stands all the same.
        drop(self.reply.send(answer));
    }
}

/// The way to the writer.
pub(super) enum Writer {
    /// A thread of its own, for a file.
    Thread(WriterThread),
    /// The connection of a private database in memory: steps are done where they are asked for, one at a time.
    Here(Mutex<Inline>),
}

/// The writer's thread and the way to it.
pub(super) struct WriterThread {
    sender: Option<mpsc::Sender<Box<dyn Job>>>,
    /// The database, for errors.
    path: String,
    thread: Option<JoinHandle<()>>,
}

/// A writer without a thread.
pub(super) struct Inline {
    connection: Arc<Mutex<Connection>>,
    ring: Arc<KeyRing>,
    next_leaf: i64,
}

impl Writer {
    /// Starts the thread of a file's writer.
    pub(super) fn start(connection: Connection, ring: Arc<KeyRing>, next_leaf: i64, path: String) -> Result<Self, StoreError> {
        let (sender, receiver) = mpsc::channel(GROUP);
        let thread = std::thread::Builder::new()
            .name("kith-store".to_owned())
            .spawn(move || serve(connection, &ring, next_leaf, receiver))
            .map_err(|error| StoreError::Database(format!("the writer's thread can't start: {error}")))?;
        Ok(Self::Thread(WriterThread { sender: Some(sender), path, thread: Some(thread) }))
    }

    /// A writer of a database in memory.
    pub(super) const fn here(connection: Arc<Mutex<Connection>>, ring: Arc<KeyRing>, next_leaf: i64) -> Self {
        Self::Here(Mutex::new(Inline { connection, ring, next_leaf }))
    }

    /// Does a step in a transaction; returns when it is durable. A dropped future changes nothing about that.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Box<dyn Job> = Box::new(Step { work: Some(work), done: None, reply });
        let path = match self {
            Self::Thread(thread) => {
                let sender = thread.sender.as_ref().ok_or(StoreError::Stopped)?;
                sender.send(job).await.map_err(|_closed| StoreError::Stopped)?;
                thread.path.as_str()
            }
            Self::Here(inline) => {
                let mut inline = inline.lock().unwrap_or_else(PoisonError::into_inner);
                let Inline { connection, ring, next_leaf } = &mut *inline;
                group_commit(&connection.lock().unwrap_or_else(PoisonError::into_inner), &mut vec![job], ring, next_leaf);
                "the copy in memory"
            }
        };
        answer.await.map_err(|_died| StoreError::Stopped)?.map_err(|error| error.located(path))
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told to every caller that waited.
            drop(thread.join());
        }
    }
}

fn serve(connection: Connection, ring: &KeyRing, mut next_leaf: i64, mut receiver: mpsc::Receiver<Box<dyn Job>>) {
    let mut group: Vec<Box<dyn Job>> = Vec::with_capacity(GROUP);
    while let Some(first) = receiver.blocking_recv() {
        group.push(first);
        while group.len() < GROUP
            && let Ok(next) = receiver.try_recv()
        {
            group.push(next);
        }
        group_commit(&connection, &mut group, ring, &mut next_leaf);
    }
    // The last connection to close folds the write-ahead log into the database and removes it; a reader can't.
    ring.close();
    // Beside another process's reader the log stays, and is read by the next to open: nothing is lost either way.
    drop(connection.close());
}

/// Commits a group and answers those who wait for it.
fn group_commit(conn: &Connection, group: &mut Vec<Box<dyn Job>>, ring: &KeyRing, next_leaf: &mut i64) {
    let before = *next_leaf;
    let done = match commit(conn, group, ring, next_leaf) {
        Ok(Committed { last_key, forgotten }) => {
            if let Some(last_key) = last_key {
                ring.persisted(last_key);
            }
            if !forgotten.is_empty() {
                ring.forget(&forgotten);
            }
            Ok(())
        }
        Err(error) => {
            *next_leaf = before;
            Err(error)
        }
    };
    for job in group.drain(..) {
        job.answer(done.clone());
    }
}

/// What a commit means for the ring.
struct Committed {
    /// The number of the last key that became durable.
    last_key: Option<u64>,
    /// Keys that were destroyed or closed.
    forgotten: Vec<ForgottenKey>,
}

/// Commits a group.
fn commit(conn: &Connection, group: &mut [Box<dyn Job>], ring: &KeyRing, next_leaf: &mut i64) -> Result<Committed, StoreError> {
    let done = in_transaction(conn, group, ring, next_leaf);
    if done.is_err() && !conn.is_autocommit() {
        // Where even this fails the connection is beyond use, and the next BEGIN says so.
        conn.execute_batch("ROLLBACK").said()?;
    }
    done
}

fn in_transaction(conn: &Connection, group: &mut [Box<dyn Job>], ring: &KeyRing, next_leaf: &mut i64) -> Result<Committed, StoreError> {
    conn.execute_batch("BEGIN IMMEDIATE").said()?;
    let mut forgotten = Vec::new();
    // A step alone needs no savepoint: where it fails, the transaction is given up with it.
    let alone = group.len() == 1;
    for job in group {
        let mark = *next_leaf;
        if !alone {
            conn.execute_batch("SAVEPOINT step").said()?;
        }
        let mut tx = Tx::new(conn, next_leaf);
        let done = job.run(&mut tx);
        let gone = tx.forgotten;
        match (done, alone) {
            (Ok(()), true) => forgotten.extend(gone),
            (Ok(()), false) => {
                conn.execute_batch("RELEASE step").said()?;
                forgotten.extend(gone);
            }
            // Alone, or SQLite gave up the whole transaction (a full disk, for instance): then it failed for all of the group.
            (Err(error), alone) if alone || conn.is_autocommit() => return Err(error),
            (Err(_own), _) => {
                conn.execute_batch("ROLLBACK TO step; RELEASE step").said()?;
                *next_leaf = mark;
            }
        }
    }
    // Last, when nothing of the group is sealed any more: whatever its data is sealed under is among these or durable already.
    let (last_key, mut keys) = ring.pending();
    // Each page of the index over persons is then looked for and changed once.
    keys.sort_unstable_by_key(|key| (key.person, key.class));
    if !forgotten.is_empty() {
        // Minted before its person was erased, and nothing that stays is sealed under it.
        keys.retain(|key| !forgotten.iter().any(|gone| (gone.person, gone.class) == (key.person, key.class)));
    }
    {
        let mut insert = conn.prepare_cached("INSERT INTO person_key (key_id, person, class, wrapped) VALUES (?1, ?2, ?3, ?4)").said()?;
        for key in keys {
            insert.execute((key.id.0, key.person.0, key.class.number(), &key.wrapped)).said()?;
        }
    }
    conn.execute_batch("COMMIT").said()?;
    Ok(Committed { last_key, forgotten })
}
