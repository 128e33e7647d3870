//! The tap as a child process: in a group of its own, its output read line by line with the pipe as its brake, stopped for certain.

use super::TapError;
use super::said::{is_trouble, shown};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Lines that wait to be stored. With 1 KiB each 256 KiB, at the worst (16 MiB each) half of what a page of a network may weigh.
const WAITING: usize = 256;
/// 16 MiB: a state with a bookmark of 100 bytes for each of 160,000 partitions. A record is shorter by far, or parked.
pub const LONGEST_LINE: usize = 16 << 20;
/// All lines that wait together: 64 MiB.
const WAITING_BYTES: usize = 64 << 20;
/// What is kept of a line that is too long.
const KEPT_BYTES: usize = 64 * 1024;
/// What of a line of the standard error is looked at.
const LONGEST_SAID: usize = 8 * 1024;
/// Lines of one run that are logged: the rest is counted.
const MOST_SAID: u64 = 500;
/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(10);
/// What a program that has ended may still have in its pipe, and who holds that open.
const REST: Duration = Duration::from_secs(5);

/// A line of the standard output. Its `Debug` shows nothing of it.
pub enum Line {
    /// Without its line end.
    Whole(Vec<u8>),
    /// Longer than [`LONGEST_LINE`].
    TooLong {
        /// Its beginning.
        kept: Vec<u8>,
        /// Its length.
        bytes: u64,
    },
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Whole(_)) { "Whole" } else { "TooLong" })
    }
}

impl Line {
    fn weight(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.len(),
            Self::TooLong { kept, .. } => kept.len(),
        }
    }
}

/// The process group, as long as its leader was not reaped: until then its number is nobody else's.
#[derive(Debug)]
struct Group(Mutex<Option<Pid>>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // Who is gone already needs no signal.
            _ = kill_process_group(pid, signal);
        }
    }
}

/// What both readers know.
#[derive(Debug, Default)]
struct Heard {
    /// Lines of either output.
    lines: AtomicU64,
    /// Bytes of lines that wait.
    waiting: AtomicU64,
    /// The last trouble.
    trouble: Mutex<String>,
}

/// A tap that runs. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    group: Arc<Group>,
    lines: mpsc::Receiver<Line>,
    ended: watch::Receiver<Option<ExitStatus>>,
    heard: Arc<Heard>,
    idle: Duration,
    longest: Duration,
    until: Instant,
}

impl Process {
    /// Starts a program. `source` and `streams` are what the log may name.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn start(
        command: &mut Command,
        source: &Arc<str>,
        streams: Vec<String>,
        idle: Duration,
        longest: Duration,
    ) -> Result<Self, TapError> {
        let refused = |error: std::io::Error| TapError::Start(error.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(refused)?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let group = Arc::new(Group(Mutex::new(pid)));
        let heard = Arc::new(Heard::default());
        let (sender, lines) = mpsc::channel(WAITING);
        let (end, ended) = watch::channel(None);
        let (out, said) = (child.stdout.take(), child.stderr.take());
        let process = Self { group: group.clone(), lines, ended, heard: heard.clone(), idle, longest, until: Instant::now() + longest };
        let reading = heard.clone();
        let named = |what: &str| thread::Builder::new().name(format!("tap {what}"));
        let reader = move || {
            if let Some(out) = out {
                read_lines(BufReader::new(out), &sender, &reading);
            }
        };
        // Where no thread can be made `process` is dropped, and the group with it.
        named("output").spawn(reader).map_err(refused)?;
        let name = source.clone();
        let logger = move || {
            if let Some(said) = said {
                log_lines(BufReader::new(said), &name, &streams, &heard);
            }
        };
        named("log").spawn(logger).map_err(refused)?;
        named("end").spawn(move || _ = end.send(Some(await_end(&mut child, pid, &group)))).map_err(refused)?;
        Ok(process)
    }

    /// The leader's number, for who must find it after a crash.
    pub fn pid(&self) -> Option<i32> {
        self.group.0.lock().unwrap_or_else(PoisonError::into_inner).map(|pid| pid.as_raw_nonzero().get())
    }

    /// The next line; `None` once all of them came and the program ended.
    ///
    /// # Errors
    /// Where it says nothing, or goes on, for too long.
    pub async fn next_line(&mut self) -> Result<Option<Line>, TapError> {
        loop {
            let before = self.heard.lines.load(Ordering::Relaxed);
            let has_ended = self.ended.borrow().is_some();
            let rest = if has_ended { REST.min(self.idle) } else { self.idle };
            let wait = rest.min(self.until.saturating_duration_since(Instant::now()));
            tokio::select! {
                biased;
                line = self.lines.recv() => {
                    if let Some(line) = &line {
                        self.heard.waiting.fetch_sub(u64::try_from(line.weight()).unwrap_or(0), Ordering::Relaxed);
                    }
                    return Ok(line);
                }
                // Asked anew: what is in the pipe comes still, and who holds it open is not waited for.
                _ended = self.ended.changed(), if !has_ended => {}
                () = tokio::time::sleep(wait) => {
                    if has_ended {
                        return Ok(None);
                    }
                    if Instant::now() >= self.until {
                        return Err(TapError::Endless(self.longest));
                    }
                    if self.heard.lines.load(Ordering::Relaxed) == before {
                        return Err(TapError::Silent(self.idle));
                    }
                }
            }
        }
    }

    /// How it ended by itself.
    ///
    /// # Errors
    /// Where it ended otherwise than with exit code 0, or does not end.
    pub async fn end(mut self) -> Result<(), TapError> {
        self.lines.close();
        let wait = self.idle.min(self.until.saturating_duration_since(Instant::now()));
        let ended =
            tokio::time::timeout(wait, self.ended.wait_for(Option::is_some)).await.map(|status| status.map_or(None, |status| *status));
        let Ok(status) = ended else {
            let idle = self.idle;
            self.stop().await;
            return Err(TapError::Silent(idle));
        };
        let said = self.heard.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Err(TapError::Exit { code, said }),
                (None, signal) => Err(TapError::Signal { signal: signal.unwrap_or(0), said }),
            },
            None => Err(TapError::Start("nobody knows how it ended".to_owned())),
        }
    }

    /// Stops it: SIGTERM, then SIGKILL, to all of its group.
    pub async fn stop(mut self) {
        self.lines.close();
        while self.lines.try_recv().is_ok() {}
        self.group.signal(Signal::TERM);
        if tokio::time::timeout(GRACE, self.ended.wait_for(Option::is_some)).await.is_err() {
            self.group.signal(Signal::KILL);
            // The system ends it, however long that takes; a second look changes nothing.
            drop(tokio::time::timeout(GRACE, self.ended.wait_for(Option::is_some)).await);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.group.signal(Signal::KILL);
    }
}

/// Waits for the leader, ends what is left of its group while its number is still its own, and reaps it.
fn await_end(child: &mut Child, pid: Option<Pid>, group: &Group) -> ExitStatus {
    if let Some(pid) = pid {
        while matches!(waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT), Err(rustix::io::Errno::INTR)) {}
        group.signal(Signal::KILL);
        *group.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
    child.wait().unwrap_or_default()
}

/// One line without its end, of at most `most` bytes, and its whole length; `None` at the end.
fn line_of(reader: &mut impl BufReadBytes, most: usize) -> Option<(Vec<u8>, u64)> {
    let (mut line, mut length) = (Vec::new(), 0_u64);
    loop {
        let available = reader.fill()?;
        if available.is_empty() {
            return (length > 0).then_some((line, length));
        }
        let (part, used, ended) = match memchr::memchr(b'\n', available) {
            Some(at) => (available.get(..at).unwrap_or_default(), at + 1, true),
            None => (available, available.len(), false),
        };
        let room = most.saturating_sub(line.len()).min(part.len());
        line.extend_from_slice(part.get(..room).unwrap_or_default());
        length += u64::try_from(part.len()).unwrap_or(0);
        reader.use_up(used);
        if ended {
            return Some((line, length));
        }
    }
}

/// Bytes that come when they come; a reader that fails has ended.
trait BufReadBytes {
    fn fill(&mut self) -> Option<&[u8]>;
    fn use_up(&mut self, bytes: usize);
}

impl<R: Read> BufReadBytes for BufReader<R> {
    fn fill(&mut self) -> Option<&[u8]> {
        while let Err(error) = self.fill_buf() {
            if error.kind() != std::io::ErrorKind::Interrupted {
                return None;
            }
        }
        Some(self.buffer())
    }

    fn use_up(&mut self, bytes: usize) {
        self.consume(bytes);
    }
}

fn read_lines(mut out: BufReader<impl Read>, to: &mpsc::Sender<Line>, heard: &Heard) {
    while let Some((mut line, bytes)) = line_of(&mut out, LONGEST_LINE) {
        heard.lines.fetch_add(1, Ordering::Relaxed);
        let line = if usize::try_from(bytes).is_ok_and(|bytes| bytes <= LONGEST_LINE) {
            if line.ends_with(b"\r") {
                line.pop();
            }
            Line::Whole(line)
        } else {
            line.truncate(KEPT_BYTES);
            Line::TooLong { kept: line, bytes }
        };
        // The tap waits at its pipe while we do: long lines are not piled up.
        while heard.waiting.load(Ordering::Relaxed) > WAITING_BYTES as u64 && !to.is_closed() {
            thread::sleep(Duration::from_millis(5));
        }
        heard.waiting.fetch_add(u64::try_from(line.weight()).unwrap_or(0), Ordering::Relaxed);
        if to.blocking_send(line).is_err() {
            return;
        }
    }
}

fn log_lines(mut said: BufReader<impl Read>, source: &str, streams: &[String], heard: &Heard) {
    let streams: Vec<&str> = streams.iter().map(String::as_str).collect();
    let mut count = 0_u64;
    while let Some((line, _)) = line_of(&mut said, LONGEST_SAID) {
        heard.lines.fetch_add(1, Ordering::Relaxed);
        let line = String::from_utf8_lossy(&line);
        let text = shown(&line, &streams);
        if text.is_empty() {
            continue;
        }
        let trouble = is_trouble(&line);
        if trouble {
            heard.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&text);
        }
        count += 1;
        match count {
            ..=MOST_SAID if trouble => tracing::warn!(source, "the tap says: {text}"),
            ..=MOST_SAID => tracing::info!(source, "the tap says: {text}"),
            _ => {}
        }
    }
    if count > MOST_SAID {
        tracing::info!(source, lines = count - MOST_SAID, "the tap said more, which is not shown");
    }
}

#[cfg(test)]
mod tests;
