//! A witness: its own key and folder, a log that it reads, and its word that each checkpoint goes on from all that it saw before.
//!
//! What it saw is durable before its cosignature leaves: after a crash it may have cosigned what nobody got, never two histories.

use super::keys::random_key;
use super::nodes::TileNodes;
use super::prove::COSIGNED_ENDING;
use super::rotation::{self, Followed};
use super::{CHECKPOINT_FILE, KeysError, LogError, epochs, files, looks};
use crate::audit::{Checkpoint, CosignerKey, Epoch, MAX_NOTE_BYTES, NoteError, VerifierKey, WitnessKey, merkle};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::Digest;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The witness's secret key.
pub const WITNESS_KEY_FILE: &str = "witness.key";
/// Its public key: for reviewers.
pub const WITNESS_PUBLIC_FILE: &str = "witness.pub";

/// A witness's folder.
#[derive(Debug)]
pub struct Witness {
    folder: PathBuf,
    key: WitnessKey,
}

/// What a look at a log came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Witnessed {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// How many entries the one before covered; `None`: this log was never seen before.
    pub before: Option<u64>,
    /// The checkpoint with this witness's cosignature.
    pub note: String,
    /// The file that holds it.
    pub file: PathBuf,
}

/// Why a checkpoint was not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The log's files are not readable, not signed, or do not fit their checkpoint.
    #[error("the log is not one that can be cosigned: {0}")]
    Log(#[source] LogError),
    /// Two histories: the checkpoint does not go on from the one that was seen before.
    #[error("the log has two histories: {what}")]
    Fork {
        /// How they differ.
        what: String,
        /// The folder with both checkpoints.
        evidence: PathBuf,
    },
    /// The log says itself that it was put back from a backup, and entries that were seen are gone.
    #[error("the log was put back from a backup: {} of the entries that were seen are gone", .seen.saturating_sub(.epoch.begins))]
    Restored {
        /// What the log says.
        epoch: Box<Epoch>,
        /// How many entries were seen.
        seen: u64,
        /// The folder with both checkpoints.
        evidence: PathBuf,
    },
    /// The witness's own key or folder.
    #[error(transparent)]
    Key(#[from] KeysError),
}

impl WitnessError {
    /// As people are told it.
    pub fn diagnostic(&self) -> Diagnostic {
        match self {
            Self::Log(error) => error.diagnostic(),
            Self::Fork { what, evidence } => Diagnostic::error(
                Code("KITH-A023"),
                Place::Path(evidence.display().to_string()),
                format!("this log has two histories: {what}; it is not cosigned"),
                "Keep both checkpoints and a copy of the log; each is signed by the log's key. Have a reviewer ask who can use that key.",
            ),
            Self::Restored { epoch, evidence, .. } => Diagnostic::error(
                Code("KITH-A063"),
                Place::Path(evidence.display().to_string()),
                format!("{self}; its first {} are as they were seen. It is not cosigned", epoch.begins),
                format!(
                    "Ask those who run it whether they restored it at {}. If so: --accept-epoch {}. Both checkpoints are kept either way.",
                    epoch.at, epoch.begins
                ),
            ),
            Self::Key(error) => error.diagnostic(),
        }
    }
}

/// How a log is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look<'a> {
    /// The folder that gets the cosigned checkpoint besides the witness's own.
    pub to: Option<&'a Path>,
    /// The time by the witness's own clock, in seconds since 1970.
    pub seconds: u64,
    /// The restore that somebody answered for: the number of entries that its backup had.
    pub accept: Option<u64>,
}

impl Witness {
    /// Opens a witness's folder; its key is made where there is none yet.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn open_or_create(folder: &Path, name: &str) -> Result<Self, KeysError> {
        let path = folder.join(WITNESS_KEY_FILE);
        let form = |what| KeysError::Form { place: path.display().to_string(), what };
        if !path.exists() {
            let key = WitnessKey::new(name, &*random_key()?).map_err(|_name| form("a name without blanks and `+` is wanted"))?;
            files::own_folder(folder)
                .and_then(|()| {
                    files::replace_in(folder, WITNESS_PUBLIC_FILE, format!("{}\n", key.verifier()).as_bytes(), 0o644)?;
                    files::replace_in(folder, WITNESS_KEY_FILE, format!("{}\n", key.reveal().as_str()).as_bytes(), 0o600)
                })
                .map_err(|source| KeysError::Io { path: folder.to_owned(), source })?;
        }
        let text = super::keys::read_key_file(&path)?;
        let key = WitnessKey::parse(text.trim_end()).map_err(|_secret| form("it is cut off or changed"))?;
        if key.name() == name {
            Ok(Self { folder: folder.to_owned(), key })
        } else {
            Err(form("it is the key of a witness of another name"))
        }
    }

    /// The public key.
    pub fn verifier(&self) -> CosignerKey {
        self.key.verifier()
    }

    /// What this witness keeps about a log.
    fn about(&self, origin: &str) -> PathBuf {
        let name = Digest(Sha256::digest(origin.as_bytes()).into());
        self.folder.join("logs").join(name.short())
    }

    /// Looks at a log, and cosigns its checkpoint where it goes on from the last one seen; where the log says that it was put back from a backup,
    /// only when somebody answers for that, and its entries of before are those that were seen.
    ///
    /// # Errors
    /// [`WitnessError`]. Nothing is cosigned then.
    pub fn look(&self, log: &Path, key: &VerifierKey, look: Look<'_>) -> Result<Witnessed, WitnessError> {
        let Look { to, seconds, accept } = look;
        let (checkpoint, note, keys) = rotation::newest_checkpoint(log, key).map_err(|(_, error)| WitnessError::Log(error))?;
        let nodes = TileNodes::new(log, checkpoint.size);
        let about = self.about(&checkpoint.origin);
        let seen_note = files::read(&about.join("seen"), MAX_NOTE_BYTES).map_err(WitnessError::Log)?;
        let mut seen = match &seen_note {
            None => None,
            Some(bytes) => Some(seen_before(bytes, &about, log, key, &keys)?),
        };
        let evidence = || {
            let shown = [("seen", seen_note.as_deref().unwrap_or_default()), ("shown", note.as_bytes())];
            keep_evidence(&about, seconds, &shown).map_err(WitnessError::Log)
        };
        let fork = |what: String| evidence().map_or_else(|error| error, |evidence| WitnessError::Fork { what, evidence });
        let mut restored = None;
        if let Some(before) = seen.clone()
            && let Some(epoch) = Self::put_back(log, (key, &keys), &about, &checkpoint, &before)?
        {
            if accept != Some(epoch.begins) {
                return Err(WitnessError::Restored { epoch: Box::new(epoch), seen: before.size, evidence: evidence()? });
            }
            restored = Some(epoch.begins);
            seen = None;
        }
        if let Some(seen) = &seen {
            if checkpoint.size < seen.size {
                return Err(fork(format!("{} entries were seen before, and now it has {}", seen.size, checkpoint.size)));
            }
            if checkpoint.size == seen.size && checkpoint.root != seen.root {
                return Err(fork(format!("another root over the same {} entries", seen.size)));
            }
        }
        let root = merkle::root(&nodes, checkpoint.size).map_err(WitnessError::Log)?;
        if root != checkpoint.root {
            let what = "the tiles do not hash to the checkpoint's root".to_owned();
            return Err(WitnessError::Log(LogError::Contradiction { path: log.join("tile"), what }));
        }
        if let Some(seen) = seen.as_ref().filter(|seen| seen.size < checkpoint.size) {
            let proof = merkle::consistency_proof(&nodes, seen.size, checkpoint.size).map_err(WitnessError::Log)?.unwrap_or_default();
            if !merkle::verify_consistency(seen.size, &seen.root, checkpoint.size, &checkpoint.root, &proof) {
                return Err(fork(format!("its {} entries do not begin with the {} that were seen before", checkpoint.size, seen.size)));
            }
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| WitnessError::Log(LogError::Write { path, source })
        };
        let cosigned = self
            .key
            .cosign(&note, seconds)
            .map_err(|source| WitnessError::Log(LogError::Checkpoint { path: log.join(CHECKPOINT_FILE), source }))?;
        files::own_folder(&about).map_err(failed(&about))?;
        if let Some(begins) = restored {
            evidence()?;
            looks::forget_after(&about, begins).map_err(WitnessError::Log)?;
        }
        if seen.as_ref() != Some(&checkpoint) {
            looks::add(&about, &checkpoint).map_err(WitnessError::Log)?;
        }
        files::replace_in(&about, "seen", note.as_bytes(), 0o600).map_err(failed(&about))?;
        let name = format!("{}{COSIGNED_ENDING}", files::file_name_of(self.key.name()));
        let mut file = about.join(&name);
        files::replace_in(&about, &name, cosigned.as_bytes(), 0o644).map_err(failed(&file))?;
        if let Some(to) = to {
            fs::create_dir_all(to).map_err(failed(to))?;
            files::replace_in(to, &name, cosigned.as_bytes(), 0o644).map_err(failed(to))?;
            file = to.join(&name);
        }
        Ok(Witnessed { checkpoint, before: seen.map(|seen| seen.size), note: cosigned, file })
    }
}

impl Witness {
    /// The restore that explains why a log is not the one that was seen: it says so itself, its checkpoint lies beyond, and what was seen of the
    /// entries that stand is what they are. `None` where nothing is to be explained, or that does not.
    fn put_back(
        log: &Path,
        (key, keys): (&VerifierKey, &[Followed]),
        about: &Path,
        now: &Checkpoint,
        seen: &Checkpoint,
    ) -> Result<Option<Epoch>, WitnessError> {
        // With the first key, too: a note may be older than the key that signs now.
        let mut all = keys.to_vec();
        all.push(Followed { key: key.clone(), by: None });
        let mut told = epochs::epochs(log, &all).map_err(WitnessError::Log)?;
        told.retain(|epoch| epoch.begins < seen.size && epoch.begins < now.size);
        let Some(epoch) = told.into_iter().max_by_key(|epoch| epoch.at) else { return Ok(None) };
        let nodes = TileNodes::new(log, now.size);
        let root_at = |size: u64| merkle::root(&nodes, size).map_err(WitnessError::Log);
        // A restore that was accepted before: the log goes on from what was seen after it.
        if seen.size <= now.size && root_at(seen.size)? == seen.root {
            return Ok(None);
        }
        let looks = looks::read(about).map_err(WitnessError::Log)?;
        let before = looks.iter().filter(|(size, _)| *size <= epoch.begins).max_by_key(|(size, _)| *size);
        let as_seen = match before {
            Some((size, root)) => root_at(*size)? == *root,
            None => true,
        };
        Ok((as_seen && root_at(epoch.begins)? == epoch.root).then_some(epoch))
    }
}

/// The last checkpoint, as this witness wrote it.
fn seen_before(bytes: &[u8], about: &Path, log: &Path, key: &VerifierKey, keys: &[Followed]) -> Result<Checkpoint, WitnessError> {
    let opened = match rotation::open_by_any(bytes, keys) {
        // Signed by a key before the one that signs now: the log's folder tells which.
        Err(NoteError::Unsigned) => {
            let keys = rotation::follow(log, key).map_err(|(_, error)| WitnessError::Log(error))?;
            rotation::open_by_any(bytes, &keys)
        }
        other => other,
    };
    opened.map_err(|source| WitnessError::Log(LogError::Checkpoint { path: about.join("seen"), source }))
}

fn keep_evidence(about: &Path, seconds: u64, notes: &[(&str, &[u8])]) -> Result<PathBuf, LogError> {
    // The same pair shown again is kept once.
    let mut hash = Sha256::new();
    for (_, note) in notes {
        hash.update(note);
    }
    let pair = Digest(hash.finalize().into()).short();
    let folder = about.join("forks").join(pair);
    let failed = |source: io::Error| LogError::Write { path: folder.clone(), source };
    if !folder.exists() {
        files::own_folder(&folder).map_err(failed)?;
        for (name, note) in notes {
            files::replace_in(&folder, name, note, 0o600).map_err(failed)?;
        }
        files::replace_in(&folder, "when", format!("{seconds}\n").as_bytes(), 0o600).map_err(failed)?;
    }
    Ok(folder)
}
