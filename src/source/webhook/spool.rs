//! Where deliveries wait on disk: one folder, one thread that writes. What has come meanwhile shares a write and one fsync; only then is it said to be kept.
//! Reading goes file by file, and a file whose frames were all acknowledged is removed.

use super::frame::{self, Frame, Position, frames};
use super::seen::Seen;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tokio::sync::{Notify, mpsc, oneshot};

/// A file is full at 8 MiB: what one acknowledgement frees.
const FULL_FILE: u64 = 8 << 20;
/// Deliveries that share one fsync.
const TOGETHER: usize = 256;
/// Bytes that share one fsync, and the last one beyond it.
const TOGETHER_BYTES: usize = 8 << 20;
/// What one look gives: 4 MiB, or one frame that is longer.
const LOOK: usize = 4 << 20;
/// Deliveries that wait for the thread; their bodies are bounded by who accepts them.
const WAITING: usize = 1_024;
const ENDING: &str = "spool";

/// Why nothing is kept.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SpoolError {
    /// As much waits as may.
    #[error("the spool {} is full: as much waits as `spool_mb` allows, or the disk is full", .0.display())]
    Full(PathBuf),
    /// The folder can't be read or written.
    #[error("the spool {} can't be used: {what}", .folder.display())]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        what: String,
    },
    /// Another process has it.
    #[error("another kith uses the spool {}", .0.display())]
    Locked(PathBuf),
    /// The thread has ended.
    #[error("the spool has ended")]
    Ended,
}

/// Frames from one file of the spool, in the order in which they came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// The frames.
    pub frames: Vec<Frame>,
    /// What is acknowledged once all of them are stored.
    pub through: Position,
}

type Answer<T> = oneshot::Sender<Result<T, SpoolError>>;

/// A frame, its mark, and who waits for it.
type Waiting = (Vec<u8>, [u8; 16], Answer<()>);

enum Order {
    Keep(Waiting),
    Look(Answer<Option<Batch>>),
    Acknowledge(Position, Answer<()>),
}

/// What waits in a spool.
#[derive(Debug)]
pub struct Depth {
    bytes: AtomicU64,
    /// When the oldest delivery came, in microseconds since 1970; [`NOTHING`]: none waits.
    oldest: AtomicI64,
}

const NOTHING: i64 = i64::MAX;

impl Depth {
    /// Bytes that were not acknowledged, and when the oldest delivery of them came, in microseconds since 1970.
    pub fn read(&self) -> (u64, Option<i64>) {
        let oldest = self.oldest.load(Ordering::Relaxed);
        (self.bytes.load(Ordering::Relaxed), Some(oldest).filter(|at| *at != NOTHING))
    }
}

/// A spool that is open. Clones are the same one; the thread ends with the last.
#[derive(Clone, Debug)]
pub struct Spool {
    orders: mpsc::Sender<Order>,
    kept: Arc<Notify>,
    depth: Arc<Depth>,
}

impl Spool {
    /// Opens a folder, made where it is not there, in which at most `limit` bytes wait. What a crash left half written is cut off: nobody was told that
    /// it is kept. `clock` gives microseconds since 1970.
    ///
    /// # Errors
    /// It can't be used, or another process has it.
    pub fn open(folder: &Path, limit: u64, clock: fn() -> i64) -> Result<Self, SpoolError> {
        let keeper = Keeper::open(folder, limit, clock)?;
        let (orders, todo) = mpsc::channel(WAITING);
        let depth = keeper.depth.clone();
        let work = move || keeper.work(todo);
        let started = std::thread::Builder::new().name("kith-spool".into()).spawn(work);
        started.map_err(|error| unusable(folder, &error))?;
        Ok(Self { orders, kept: Arc::default(), depth })
    }

    async fn ask<T>(&self, order: impl FnOnce(Answer<T>) -> Order) -> Result<T, SpoolError> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(order(answer)).await.map_err(|_gone| SpoolError::Ended)?;
        answered.await.map_err(|_gone| SpoolError::Ended)?
    }

    /// Keeps a delivery; when it returns, it survives a loss of power. One whose mark is known was kept before.
    ///
    /// # Errors
    /// It may not have been kept.
    pub async fn keep(&self, frame: &Frame, mark: [u8; 16]) -> Result<(), SpoolError> {
        let frame = frame.to_bytes();
        self.ask(|answer| Order::Keep((frame, mark, answer))).await?;
        self.kept.notify_one();
        Ok(())
    }

    /// The oldest deliveries that were not acknowledged; `None` where nothing waits.
    ///
    /// # Errors
    /// The spool can't be read.
    pub async fn look(&self) -> Result<Option<Batch>, SpoolError> {
        self.ask(Order::Look).await
    }

    /// Lets go what was stored. What was let go before is let go still.
    ///
    /// # Errors
    /// A file can't be removed.
    pub async fn acknowledge(&self, through: Position) -> Result<(), SpoolError> {
        self.ask(|answer| Order::Acknowledge(through, answer)).await
    }

    /// What waits, as it changes.
    pub fn depth(&self) -> Arc<Depth> {
        self.depth.clone()
    }

    /// Returns when something was kept.
    pub async fn kept(&self) {
        self.kept.notified().await;
    }
}

fn unusable(folder: &Path, error: &io::Error) -> SpoolError {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return SpoolError::Full(folder.to_owned());
    }
    SpoolError::Unusable { folder: folder.to_owned(), what: error.to_string() }
}

/// One file.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    /// Bytes of whole frames.
    length: u64,
    /// Bytes that were acknowledged.
    done: u64,
}

struct Keeper {
    folder: PathBuf,
    limit: u64,
    clock: fn() -> i64,
    /// The number of the newest file, also where it is gone.
    newest: u64,
    files: BTreeMap<u64, Kept>,
    /// The file that is written.
    current: Option<(u64, File)>,
    seen: Seen,
    depth: Arc<Depth>,
    _lock: File,
}

impl Keeper {
    fn open(folder: &Path, limit: u64, clock: fn() -> i64) -> Result<Self, SpoolError> {
        let failed = |error: io::Error| unusable(folder, &error);
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(SpoolError::Locked(folder.to_owned())),
            Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(number) = number_of(&path) else { continue };
            let length = whole(&path).map_err(failed)?;
            let there = fs::metadata(&path).map_err(failed)?.len();
            if there > length {
                // The end that a crash tore off; anything else that is no frame is kept beside, for people.
                tracing::warn!(
                    code = "KITH-N051",
                    bytes = there - length,
                    "a spool's file ends in something that is no whole delivery: it is cut off"
                );
                if there - length > TOGETHER_BYTES as u64 + frame::LONGEST as u64 {
                    fs::copy(&path, path.with_extension("damaged")).map_err(failed)?;
                }
                let file = OpenOptions::new().write(true).open(&path).map_err(failed)?;
                file.set_len(length).and_then(|()| file.sync_all()).map_err(failed)?;
            }
            if length == 0 {
                fs::remove_file(&path).map_err(failed)?;
            } else {
                files.insert(number, Kept { length, done: 0 });
            }
        }
        let seen = Seen::open(folder).map_err(failed)?;
        let newest = files.last_key_value().map_or(0, |(number, _)| *number);
        let depth = Arc::new(Depth { bytes: AtomicU64::new(0), oldest: AtomicI64::new(NOTHING) });
        let keeper = Self { folder: folder.to_owned(), limit, clock, newest, files, current: None, seen, depth, _lock: lock };
        keeper.measure();
        Ok(keeper)
    }

    fn work(mut self, mut todo: mpsc::Receiver<Order>) {
        let mut next = None;
        while let Some(order) = next.take().or_else(|| todo.blocking_recv()) {
            match order {
                Order::Keep(first) => {
                    let (mut together, mut bytes) = (vec![first], 0);
                    while together.len() < TOGETHER && bytes < TOGETHER_BYTES {
                        match todo.try_recv() {
                            Ok(Order::Keep(one)) => {
                                bytes += one.0.len();
                                together.push(one);
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_nothing_more) => break,
                        }
                    }
                    self.keep(together);
                }
                // Who asked and does not wait any more asks again.
                Order::Look(answer) => {
                    let found = self.look();
                    self.measure();
                    drop(answer.send(found));
                }
                Order::Acknowledge(through, answer) => {
                    let done = self.acknowledge(through);
                    self.measure();
                    drop(answer.send(done));
                }
            }
        }
    }

    fn keep(&mut self, together: Vec<Waiting>) {
        let mut waits: u64 = self.files.values().map(|file| file.length).sum();
        let (mut bytes, mut marks, mut answers) = (Vec::new(), Vec::new(), Vec::with_capacity(together.len()));
        for (frame, mark, answer) in together {
            let length = frame.len() as u64;
            if self.seen.knows(&mark) || marks.contains(&mark) {
                answers.push(answer);
            } else if waits + length > self.limit {
                drop(answer.send(Err(SpoolError::Full(self.folder.clone()))));
            } else {
                waits += length;
                bytes.extend(frame);
                marks.push(mark);
                answers.push(answer);
            }
        }
        let kept = if bytes.is_empty() { Ok(()) } else { self.write(&bytes).map_err(|error| unusable(&self.folder, &error)) };
        if kept.is_ok()
            && let Err(error) = self.seen.remember(&marks)
        {
            tracing::warn!(%error, "what has come is not remembered on disk");
        }
        self.measure();
        for answer in answers {
            drop(answer.send(kept.clone()));
        }
    }

    /// Writes frames and has them on the disk; otherwise nothing of them is left.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (number, mut file) = match self.current.take() {
            Some(current) => current,
            None => self.begin()?,
        };
        let before = self.files.get(&number).map_or(0, |kept| kept.length);
        if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_data()) {
            // After a failed sync nobody knows what of the file is on the disk: the next write begins another one.
            if let Err(error) = file.set_len(before) {
                tracing::warn!(%error, "a spool's file can't be cut back; what was not acknowledged may come twice");
            }
            return Err(error);
        }
        let kept = self.files.entry(number).or_default();
        kept.length += bytes.len() as u64;
        if kept.length < FULL_FILE {
            self.current = Some((number, file));
        }
        Ok(())
    }

    fn begin(&mut self) -> io::Result<(u64, File)> {
        let number = u64::try_from((self.clock)()).unwrap_or(0).max(self.newest.saturating_add(1));
        self.newest = number;
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(self.path(number))?;
        // The name must be as durable as what stands in it.
        File::open(&self.folder)?.sync_all()?;
        Ok((number, file))
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}.{ENDING}"))
    }

    fn look(&mut self) -> Result<Option<Batch>, SpoolError> {
        while let Some((number, kept)) = self.files.first_key_value().map(|(number, kept)| (*number, *kept)) {
            let (found, read) = self.read(number, kept).map_err(|error| unusable(&self.folder, &error))?;
            if let Some((end, _)) = found.last() {
                let through = Position { file: number, end: kept.done + *end as u64 };
                return Ok(Some(Batch { frames: found.into_iter().map(|(_, frame)| frame).collect(), through }));
            }
            if read < kept.length {
                // The disk gave back something else than was written.
                tracing::error!(code = "KITH-N051", file = number, "a spool's file is damaged: the rest of it is put aside");
                fs::rename(self.path(number), self.path(number).with_extension("damaged"))
                    .map_err(|error| unusable(&self.folder, &error))?;
            }
            self.forget(number);
        }
        Ok(None)
    }

    /// Says how much waits, and since when.
    fn measure(&self) {
        let waits = self.files.values().map(|kept| kept.length.saturating_sub(kept.done)).sum();
        let first = self.files.iter().find(|(_, kept)| kept.done < kept.length);
        // Where the head can't be read, the file's number is a moment before it.
        let at = first.map(|(number, kept)| self.came(*number, kept.done).unwrap_or_else(|| i64::try_from(*number).unwrap_or(0)));
        self.depth.bytes.store(waits, Ordering::Relaxed);
        self.depth.oldest.store(at.unwrap_or(NOTHING), Ordering::Relaxed);
    }

    /// When the delivery at a place came.
    fn came(&self, number: u64, at: u64) -> Option<i64> {
        let mut file = File::open(self.path(number)).ok()?;
        file.seek(SeekFrom::Start(at)).ok()?;
        let mut head = [0; frame::WITH_TIME];
        file.read_exact(&mut head).ok()?;
        frame::came(&head)
    }

    fn read(&self, number: u64, kept: Kept) -> io::Result<(Vec<(usize, Frame)>, u64)> {
        let mut file = File::open(self.path(number))?;
        file.seek(SeekFrom::Start(kept.done))?;
        let left = kept.length.saturating_sub(kept.done);
        let mut bytes = Vec::new();
        (&mut file).take(left.min(LOOK as u64)).read_to_end(&mut bytes)?;
        if let Some(length) = frame::length(&bytes).filter(|length| *length > bytes.len()) {
            (&mut file).take((length - bytes.len()) as u64).read_to_end(&mut bytes)?;
        }
        let (found, whole) = frames(&bytes);
        Ok((found, kept.done + whole as u64))
    }

    fn forget(&mut self, number: u64) {
        self.files.remove(&number);
        if self.current.as_ref().is_some_and(|(current, _)| *current == number) {
            self.current = None;
        }
    }

    fn acknowledge(&mut self, through: Position) -> Result<(), SpoolError> {
        let Some(kept) = self.files.get_mut(&through.file) else { return Ok(()) };
        kept.done = kept.done.max(through.end.min(kept.length));
        if kept.done == kept.length {
            match fs::remove_file(self.path(through.file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(&self.folder, &error)),
                Ok(()) | Err(_) => self.forget(through.file),
            }
        }
        Ok(())
    }
}

fn number_of(path: &Path) -> Option<u64> {
    if path.extension()? != ENDING {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

/// How many bytes of a file are whole frames.
fn whole(path: &Path) -> io::Result<u64> {
    // A file has at most FULL_FILE and one group.
    let bytes = fs::read(path)?;
    Ok(frames(&bytes).1 as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Personal;

    fn clock() -> i64 {
        static NOW: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(1_790_000_000_000_000);
        NOW.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    fn frame(body: &[u8]) -> Frame {
        Frame { at: 1, sealed: false, body: Personal::new(body.to_vec()) }
    }

    fn mark(number: usize) -> [u8; 16] {
        let mut mark = [0; 16];
        mark[..8].copy_from_slice(&(number as u64).to_be_bytes());
        mark
    }

    async fn all(spool: &Spool) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let Some(batch) = spool.look().await.unwrap() {
            found.extend(batch.frames.iter().map(|frame| frame.body.reveal().clone()));
            spool.acknowledge(batch.through).await.unwrap();
        }
        found
    }

    /// The thread ends a moment after its last order.
    async fn open_again(folder: &Path, limit: u64) -> Spool {
        for _ in 0..6_000 {
            match Spool::open(folder, limit, clock) {
                Err(SpoolError::Locked(_)) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
                other => return other.unwrap(),
            }
        }
        panic!("the folder stays locked");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_kept_is_there_after_a_restart_and_goes_when_it_is_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        let spool = Spool::open(&folder, 1 << 20, clock).unwrap();
        assert_eq!(Spool::open(&folder, 1 << 20, clock).unwrap_err(), SpoolError::Locked(folder.clone()));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..500 {
            let spool = spool.clone();
            tasks.spawn(async move { spool.keep(&frame(format!("{number}").as_bytes()), mark(number)).await });
        }
        while let Some(kept) = tasks.join_next().await {
            kept.unwrap().unwrap();
        }
        spool.keep(&frame(b"7"), mark(7)).await.unwrap();
        drop(spool);
        let spool = open_again(&folder, 1 << 20).await;
        spool.keep(&frame(b"8"), mark(8)).await.unwrap();
        let first = spool.look().await.unwrap().unwrap();
        assert_eq!(spool.look().await.unwrap().unwrap(), first, "a look takes nothing");
        let mut found: Vec<usize> = all(&spool).await.iter().map(|body| String::from_utf8_lossy(body).parse().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, (0..500).collect::<Vec<_>>(), "each once");
        spool.keep(&frame(b"new"), mark(1_000)).await.unwrap();
        // An acknowledgement that comes again after all files went takes nothing that is new.
        spool.acknowledge(first.through).await.unwrap();
        assert_eq!(all(&spool).await, [b"new"]);
        let left: Vec<_> = fs::read_dir(&folder).unwrap().filter(|entry| number_of(&entry.as_ref().unwrap().path()).is_some()).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_spool_refuses_and_takes_again_when_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), 300, clock).unwrap();
        spool.keep(&frame(&[0; 200]), mark(1)).await.unwrap();
        assert_eq!(spool.keep(&frame(&[0; 200]), mark(2)).await.unwrap_err(), SpoolError::Full(dir.path().to_owned()));
        spool.keep(&frame(&[0; 20]), mark(3)).await.unwrap();
        spool.keep(&frame(&[0; 200]), mark(1)).await.unwrap();
        let (bytes, oldest) = spool.depth().read();
        assert!(bytes > 220 && bytes < 300 && oldest == Some(1), "{bytes} {oldest:?}");
        assert_eq!(all(&spool).await.len(), 2);
        assert_eq!(spool.depth().read(), (0, None));
        spool.keep(&frame(&[0; 200]), mark(2)).await.unwrap();
        assert_eq!(all(&spool).await.len(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_torn_end_is_cut_off_and_the_rest_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let whole = frame(b"whole").to_bytes();
        for (at, torn) in [(1, &whole[..20]), (2, b"\0\0".as_slice()), (3, &[0xff; 40])] {
            fs::write(dir.path().join(format!("{at:020}.spool")), [&whole, torn].concat()).unwrap();
        }
        fs::write(dir.path().join("00000000000000000004.spool"), b"torn").unwrap();
        let spool = Spool::open(dir.path(), 1 << 20, clock).unwrap();
        assert_eq!(all(&spool).await, [b"whole", b"whole", b"whole"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_megabytes_come_in_pieces_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), 1 << 30, clock).unwrap();
        for number in 0..30_u8 {
            spool.keep(&frame(&vec![number; if number == 3 { 9 << 20 } else { 700_000 }]), mark(number.into())).await.unwrap();
        }
        assert!(spool.look().await.unwrap().unwrap().frames.len() < 10);
        let found = all(&spool).await;
        assert_eq!(found.iter().map(|body| body[0]).collect::<Vec<_>>(), (0..30).collect::<Vec<_>>());
    }
}
