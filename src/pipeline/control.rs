//! The local control socket: `state/control.sock`, one JSON object a line each way. Every change beside a running service goes through it;
//! the operating system says who asks.

use super::asked::ExportTold;
use super::called::CallTold;
use super::dead_letters::{Edit, LetterAnswer};
use super::people::{PeopleAsk, PeopleTold};
use super::rights::{SubjectAct, SubjectAnswer, SubjectName};
use super::supervise::{Reloaded, Standing};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// A request line is a handful of short fields; the longest are an edited dead letter (64 KiB, six times as much where JSON escapes each byte) and
/// a hundred accounts of 2 KiB each.
/// The longest answer is about 100 letters at some 300 bytes.
const MAX_LINE_BYTES: u64 = 512 * 1024;
/// An answer may hold a hundred reasons of four hundred characters.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;
/// Requests that wait for the service: each holds one connection, and people ask one at a time.
const MAX_WAITING: usize = 16;
/// A client that says nothing for this long is let go.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
/// A reload waits for open sends: `[service] drain_seconds` is an hour at most, and a pass ends its batch before.
const PATIENCE_FOR_RELOADS: std::time::Duration = std::time::Duration::from_mins(70);
/// An erasure looks through every file of the drop folders: 10 GB at 50 MB a second are three minutes.
const PATIENCE_FOR_REMOVALS: std::time::Duration = std::time::Duration::from_mins(15);

/// What can be asked of a running service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Are you there?
    Ping,
    /// Look at the sources now instead of at the next poll.
    Pass,
    /// How do you stand?
    Standing,
    /// Load and check configuration, connectors and mapping, and put them in force.
    Reload,
    /// Put the mapping's file in force as it stands, or an earlier release.
    Release {
        /// The whole hash of what the file says; for a rollback the first digits of a release's.
        hash: String,
        /// An earlier release.
        rollback: bool,
        /// Why, in a line.
        note: Option<String>,
        /// The asker's name.
        user: String,
    },
    /// A person read personal data with a reading command: the log must say so.
    RecordRead {
        /// Which command: `link show` for instance.
        what: String,
        /// Keyed hashes of the people it was about, at most 64; empty for a list of everybody.
        subjects: Vec<String>,
        /// How many people.
        count: u64,
        /// The asker's name, as their system says it.
        user: String,
    },
    /// A person calls a target by hand: the log must say so, before it leaves and after.
    RecordCall {
        /// The call.
        told: CallTold,
        /// The asker's name.
        user: String,
    },
    /// Entries or records left as a file or stream: the log must say so.
    RecordExport {
        /// What left.
        told: ExportTold,
        /// The asker's name.
        user: String,
    },
    /// Send dead letters, or take them in, again.
    ReplayLetters {
        /// Which, at most 100.
        letters: Vec<String>,
        /// What to change before.
        edit: Option<Edit>,
        /// The asker's name.
        user: String,
    },
    /// Do something for persons who have a right to it.
    Subjects {
        /// What belongs together: 32 hexadecimal digits.
        request: String,
        /// What.
        act: SubjectAct,
        /// For whom, at most 100.
        subjects: Vec<SubjectName>,
        /// Why.
        reason: String,
        /// The asker's name.
        user: String,
    },
    /// Look through files for people who are erased, and end what is settled.
    FinishRemovals {
        /// The asker's name.
        user: String,
    },
    /// Everything about a person is about to be handed out: the log must say so.
    RecordSubjectExport {
        /// About whom.
        subject: SubjectName,
        /// How many records.
        count: u64,
        /// SHA-256 of the file, where it is one.
        file: Option<String>,
        /// `json` or `html`.
        format: String,
        /// The asker's name.
        user: String,
    },
    /// People were told by a notice.
    RecordNotices {
        /// Their rows, at most 10,000.
        rows: Vec<i64>,
        /// The last day on which the notice is in time.
        due: Option<String>,
        /// The asker's name.
        user: String,
    },
    /// A backup was made: the log must say so before it gets its name.
    RecordBackup {
        /// SHA-256 of it.
        file: String,
        /// How many entries the log has in it.
        size: u64,
        /// The asker's name.
        user: String,
    },
    /// The installation's keys are kept elsewhere, sealed: the log must say so.
    RecordKeys {
        /// SHA-256 of the sealed file.
        file: String,
        /// Which keys were found in it, by their ids; none where it was only made.
        keys: Option<String>,
        /// The asker's name.
        user: String,
    },
    /// Something that people decide.
    People {
        /// What.
        ask: PeopleAsk,
        /// The asker's name.
        user: String,
    },
    /// Give dead letters up.
    DropLetters {
        /// Which, at most 100.
        letters: Vec<String>,
        /// Why.
        reason: String,
        /// The asker's name.
        user: String,
    },
}

/// What the service answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// It is done, durably.
    Done,
    /// What became of each letter.
    Letters {
        /// In the order asked for.
        letters: Vec<LetterAnswer>,
    },
    /// What became of each person's request.
    Subjects {
        /// In the order asked for.
        subjects: Vec<SubjectAnswer>,
    },
    /// Files were looked through, and what is settled has ended.
    Swept {
        /// Files that are not Kith's to change and hold lines of erased people.
        left: Vec<String>,
    },
    /// What people asked.
    People {
        /// The answer.
        told: Box<PeopleTold>,
    },
    /// How the service stands.
    Standing {
        /// What only the process knows.
        standing: Box<Standing>,
    },
    /// What came of a reload.
    Reloaded {
        /// Accepted, or refused with reasons.
        reloaded: Reloaded,
    },
    /// It is not done.
    Refused {
        /// A stable code.
        code: String,
        /// Why.
        reason: String,
    },
}

/// A request with who asks and where the answer goes.
#[derive(Debug)]
pub struct Asked {
    /// What.
    pub request: Request,
    /// The operating-system user id of the asker.
    pub uid: u32,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

/// The socket of a state folder.
pub fn socket_path(state: &Path) -> PathBuf {
    state.join("control.sock")
}

/// Listens until dropped. The caller holds the folder's lock, so a socket file found is a dead service's.
///
/// # Errors
/// Where the socket can't be made: a path beyond 107 bytes, a read-only folder.
pub fn listen(state: &Path) -> io::Result<(mpsc::Receiver<Asked>, Listening)> {
    let path = socket_path(state);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    // Whoever may look into the state folder may ask: `[roles]` says what each may do. By default that is the folder's owner alone.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660))?;
    let (asked, requests) = mpsc::channel(MAX_WAITING);
    let task = tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let asked = asked.clone();
                    tokio::spawn(async move {
                        if let Err(error) = serve(stream, &asked).await {
                            tracing::debug!(%error, "a control connection ended early");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket could not accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
            }
        }
    });
    Ok((requests, Listening { task, path }))
}

/// Keeps the socket; dropping it stops listening and removes the file.
#[derive(Debug)]
pub struct Listening {
    task: tokio::task::JoinHandle<()>,
    path: PathBuf,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the control socket was gone already");
        }
    }
}

async fn serve(stream: UnixStream, asked: &mpsc::Sender<Asked>) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (reading, mut writing) = stream.into_split();
    let mut line = String::new();
    let mut reading = BufReader::new(reading.take(MAX_LINE_BYTES));
    tokio::time::timeout(PATIENCE, reading.read_line(&mut line)).await.map_err(io::Error::other)??;
    let answer = match serde_json::from_str::<Request>(&line) {
        Err(error) => Answer::Refused { code: "KITH-R010".into(), reason: format!("not a request: {error}") },
        Ok(request) => {
            let (answer, answered) = oneshot::channel();
            match asked.send(Asked { request, uid, answer }).await {
                Ok(()) => answered.await.unwrap_or_else(|_| stopping()),
                Err(_) => stopping(),
            }
        }
    };
    let mut text = serde_json::to_string(&answer).map_err(io::Error::other)?;
    text.push('\n');
    writing.write_all(text.as_bytes()).await
}

fn stopping() -> Answer {
    Answer::Refused { code: "KITH-R011".into(), reason: "the service is stopping".into() }
}

/// Asks the service of a state folder; `None` where none runs.
///
/// # Errors
/// Where a service runs but the exchange fails.
pub async fn ask(state: &Path, request: &Request) -> io::Result<Option<Answer>> {
    let mut stream = match UnixStream::connect(socket_path(state)).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = serde_json::to_string(request).map_err(io::Error::other)?;
    text.push('\n');
    stream.write_all(text.as_bytes()).await?;
    let mut line = String::new();
    let mut reading = BufReader::new(stream.take(MAX_ANSWER_BYTES));
    let patience = match request {
        Request::Reload | Request::Release { .. } => PATIENCE_FOR_RELOADS,
        Request::FinishRemovals { .. } | Request::Subjects { .. } | Request::People { ask: PeopleAsk::Undo { .. }, .. } => {
            PATIENCE_FOR_REMOVALS
        }
        Request::Ping
        | Request::Pass
        | Request::Standing
        | Request::RecordRead { .. }
        | Request::RecordCall { .. }
        | Request::ReplayLetters { .. }
        | Request::DropLetters { .. }
        | Request::RecordExport { .. }
        | Request::RecordSubjectExport { .. }
        | Request::RecordNotices { .. }
        | Request::RecordBackup { .. }
        | Request::RecordKeys { .. }
        | Request::People { .. } => PATIENCE,
    };
    tokio::time::timeout(patience, reading.read_line(&mut line)).await.map_err(io::Error::other)??;
    serde_json::from_str(&line).map(Some).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_is_answered_and_carries_its_asker() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ask(dir.path(), &Request::Ping).await.unwrap(), None, "nobody listens yet");
        let (mut requests, listening) = listen(dir.path()).unwrap();
        let service = tokio::spawn(async move {
            let asked = requests.recv().await.unwrap();
            asked.answer.send(Answer::Done).unwrap();
            (asked.request, asked.uid)
        });
        assert_eq!(ask(dir.path(), &Request::Pass).await.unwrap(), Some(Answer::Done));
        let (request, uid) = service.await.unwrap();
        assert_eq!((request, uid), (Request::Pass, rustix::process::getuid().as_raw()));
        drop(listening);
        assert_eq!(ask(dir.path(), &Request::Ping).await.unwrap(), None, "the socket went with the service");
    }

    #[tokio::test]
    async fn nonsense_is_refused_and_a_dead_services_socket_is_no_hindrance() {
        let dir = tempfile::tempdir().unwrap();
        std::mem::drop(std::os::unix::net::UnixListener::bind(socket_path(dir.path())).unwrap());
        assert_eq!(ask(dir.path(), &Request::Ping).await.unwrap(), None);
        let (_requests, _listening) = listen(dir.path()).unwrap();
        let mut stream = UnixStream::connect(socket_path(dir.path())).await.unwrap();
        stream.write_all(b"{\"command\":\"format-disk\"}\n").await.unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.unwrap();
        assert!(line.contains("KITH-R010"), "{line}");
    }
}
