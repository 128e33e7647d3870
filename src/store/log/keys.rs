//! The installation's keys: made once, kept in `state/keys/` (files of mode 0600), or given as secrets.

use crate::audit::{HashKey, KeyId, LogKey, MasterKey, NoteError, VerifierKey};
use crate::diagnose::{Code, Diagnostic, Place};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The master key's file: `kith-master-key-v1 BASE64`.
pub const MASTER_KEY_FILE: &str = "master.key";
/// The hash key's file: `kith-hash-key-v1 BASE64`.
pub const HASH_KEY_FILE: &str = "hash.key";
/// The log's signing key's file: `PRIVATE+KEY+origin+hash+BASE64`.
pub const LOG_KEY_FILE: &str = "log.key";
/// The log's verifier key's file, public: `origin+hash+BASE64`. This is what reviewers are given.
pub const VERIFIER_FILE: &str = "log.pub";

/// A master key that is to be in force next: the state says whether it is.
pub const NEXT_MASTER_FILE: &str = "master.key.next";

const MASTER_PREFIX: &str = "kith-master-key-v1 ";
const HASH_PREFIX: &str = "kith-hash-key-v1 ";

/// A key file's bytes at most: the longest has an origin of some hundred bytes.
const MAX_KEY_FILE_BYTES: u64 = 4_096;

/// Every key of an installation.
#[derive(Clone, Debug)]
pub struct InstallationKeys {
    /// Wraps the keys of persons.
    pub master: MasterKey,
    /// Makes subject hashes, correlation ids and evidence digests.
    pub hash: HashKey,
    /// Signs checkpoints.
    pub log: LogKey,
    /// Keys that signed before, as far as their public halves are kept: `log-<id>.pub`.
    pub former: Vec<VerifierKey>,
}

/// A change of the signing key that was begun: the new key lies beside the old one.
#[derive(Debug)]
pub struct SigningChange {
    folder: PathBuf,
    key: LogKey,
}

/// The new signing key until it is in force.
const NEXT_LOG_KEY_FILE: &str = "log.key.next";

/// Former keys that are looked for: as many as rotations.
const MAX_FORMER: usize = 4_096;

impl SigningChange {
    /// Makes a new key, durably, beside the one in force. One that was begun before and never came into force is forgotten.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn prepare(folder: &Path, origin: &str) -> Result<Self, KeysError> {
        let key = LogKey::new(origin, &*random_key()?).map_err(|error| note_error("the log's origin", error))?;
        super::files::replace_in(folder, NEXT_LOG_KEY_FILE, format!("{}\n", key.reveal().as_str()).as_bytes(), 0o600)
            .map_err(io_error(folder))?;
        Ok(Self { folder: folder.to_owned(), key })
    }

    /// The new key.
    pub const fn key(&self) -> &LogKey {
        &self.key
    }

    fn public(&self, name: &str, key: &VerifierKey) -> Result<(), KeysError> {
        super::files::replace_in(&self.folder, name, format!("{key}\n").as_bytes(), 0o644).map_err(io_error(&self.folder))
    }

    /// Puts it in force: the old public key is kept, the new key takes the old one's place. Its entry must be under a checkpoint.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn commit(&self, old: &VerifierKey) -> Result<(), KeysError> {
        self.public(&format!("log-{}.pub", old.id()), old)?;
        fs::rename(self.folder.join(NEXT_LOG_KEY_FILE), self.folder.join(LOG_KEY_FILE)).map_err(io_error(&self.folder))?;
        sync(&self.folder)
    }

    /// Shows the new public key, once it signed. Until then the old one still leads to whatever signs.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn show(&self) -> Result<(), KeysError> {
        self.public(VERIFIER_FILE, &self.key.verifier())
    }
}

/// Why the keys can't be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The master key was rotated, and this is the one before.
    #[error("{place} is the master key before the last rotation; the state needs {wanted}")]
    Rotated {
        /// Which file or secret.
        place: String,
        /// The id of the one in force.
        wanted: KeyId,
    },
    /// A key file that others may read.
    #[error("{} may be read by others: its mode is {mode:o}", .path.display())]
    TooOpen {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Some keys are there and others not: making new ones would lose what the old ones sealed.
    #[error("{} is missing and other keys are there", .path.display())]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// A file or secret that holds no key.
    #[error("{place} holds no key: {what}")]
    Form {
        /// Which file or secret.
        place: String,
        /// What is wrong, never the text itself.
        what: &'static str,
    },
    /// The signing key belongs to another log.
    #[error("the signing key belongs to the log `{found}`, and the configuration says `{expected}`")]
    Origin {
        /// The key's.
        found: String,
        /// The configuration's.
        expected: String,
    },
    /// A file can't be read or written.
    #[error("{} can't be used", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl KeysError {
    /// As people are told it.
    pub fn diagnostic(&self) -> Diagnostic {
        let place = |path: &PathBuf| Place::Path(path.display().to_string());
        match self {
            Self::TooOpen { path, mode } => Diagnostic::error(
                Code("KITH-A006"),
                place(path),
                format!("others may read a key (mode {:o})", mode & 0o777),
                "Give it to the service's account alone: `chmod 600`. If others could read it, have a reviewer decide what that means.",
            ),
            Self::Rotated { place, .. } => Diagnostic::error(
                Code("KITH-A007"),
                Place::Named(place.clone()),
                self.to_string(),
                "Give the key that `kith keys rotate-master` told: the file named with --next, or master.key from the newest backup of the keys.",
            ),
            Self::Missing { path } => Diagnostic::error(
                Code("KITH-A007"),
                place(path),
                "a key is missing and others are there",
                "Put the keys folder back from a backup. Kith makes no new key beside old ones: what the missing key sealed would be lost.",
            ),
            Self::Form { place, what } => Diagnostic::error(
                Code("KITH-A007"),
                Place::Named(place.clone()),
                format!("this holds no key: {what}"),
                "Put the keys folder back from a backup, or give the whole line of the key file as the secret.",
            ),
            Self::Origin { .. } => Diagnostic::error(
                Code("KITH-A007"),
                Place::Named("log signing key".to_owned()),
                self.to_string(),
                "Set `origin` back to what it was: a log keeps its name. A new name is a new log, with a new state folder.",
            ),
            Self::Io { path, source } => Diagnostic::error(
                Code("KITH-A007"),
                place(path),
                format!("the key can't be used: {source}"),
                "Give the service's account the right to read and write the keys folder, or make room on the disk.",
            ),
        }
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> KeysError + '_ {
    move |source| KeysError::Io { path: path.to_owned(), source }
}

impl InstallationKeys {
    /// The keys in a folder; made there, all at once, where the folder is missing or empty. The second value tells whether they are new.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn open_or_create(folder: &Path, origin: &str) -> Result<(Self, bool), KeysError> {
        let empty = match fs::read_dir(folder) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(io_error(folder)(error)),
        };
        if empty {
            let keys = Self::generate(origin)?;
            keys.store(folder)?;
        }
        Ok((Self::open(folder, origin)?, empty))
    }

    /// Keys that live in this process only and are written nowhere: for a plan before the first run.
    ///
    /// # Errors
    /// [`KeysError`] where the system gives no random bytes.
    pub fn for_one_process(origin: &str) -> Result<Self, KeysError> {
        Self::generate(origin)
    }

    /// The keys with the master key that the state says is in force (`None`: it says nothing). A rotation that died between the state and the
    /// key's file is ended here.
    ///
    /// # Errors
    /// [`KeysError::Rotated`] where the master key is an older one; what renaming a file says.
    pub fn in_force(self, folder: &Path, in_force: Option<KeyId>) -> Result<Self, KeysError> {
        let Some(wanted) = in_force.filter(|wanted| *wanted != self.master.id()) else { return Ok(self) };
        let next = folder.join(NEXT_MASTER_FILE);
        let place = folder.join(MASTER_KEY_FILE).display().to_string();
        if !next.exists() {
            // Renamed a moment ago by another process, or given as a secret that is an old one.
            let now = folder.join(MASTER_KEY_FILE);
            let master = if now.exists() { Some(read_master(&now)?) } else { None };
            return match master.filter(|master| master.id() == wanted) {
                Some(master) => Ok(Self { master, ..self }),
                None => Err(KeysError::Rotated { place, wanted }),
            };
        }
        let master = read_master(&next)?;
        if master.id() != wanted {
            return Err(KeysError::Rotated { place, wanted });
        }
        match fs::rename(&next, folder.join(MASTER_KEY_FILE)) {
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            renamed => renamed.map_err(io_error(&next))?,
        }
        sync(folder)?;
        Ok(Self { master, ..self })
    }

    /// The keys in a folder.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn open(folder: &Path, origin: &str) -> Result<Self, KeysError> {
        let read = |name: &str| read_key_file(&folder.join(name));
        let place = |name: &str| folder.join(name).display().to_string();
        let keys = Self::from_lines(
            (&place(MASTER_KEY_FILE), &read(MASTER_KEY_FILE)?),
            (&place(HASH_KEY_FILE), &read(HASH_KEY_FILE)?),
            (&place(LOG_KEY_FILE), &read(LOG_KEY_FILE)?),
        )?;
        Self { former: former_keys(folder), ..keys }.of_origin(origin)
    }

    /// Keys given as secrets: each is the whole line of its file.
    ///
    /// # Errors
    /// [`KeysError::Form`], [`KeysError::Origin`].
    pub fn from_secrets(master: &SecretString, hash: &SecretString, log: &SecretString, origin: &str) -> Result<Self, KeysError> {
        let keys = Self::from_lines(
            ("the master key", master.expose_secret()),
            ("the hash key", hash.expose_secret()),
            ("the log signing key", log.expose_secret()),
        )?;
        keys.of_origin(origin)
    }

    /// The three keys as lines, secret: what is sealed to be kept elsewhere.
    pub fn to_lines(&self) -> Zeroizing<String> {
        let key = |prefix: &str, key: &[u8; 32]| format!("{prefix}{}\n", Zeroizing::new(STANDARD.encode(key)).as_str());
        let (master, hash) = (key(MASTER_PREFIX, self.master.reveal()), key(HASH_PREFIX, self.hash.reveal()));
        Zeroizing::new(format!("{master}{hash}{}\n", self.log.reveal().as_str()))
    }

    /// Reads what [`InstallationKeys::to_lines`] wrote; `place` says where it stands.
    ///
    /// # Errors
    /// [`KeysError::Form`], [`KeysError::Origin`].
    pub fn of_lines(place: &str, text: &str, origin: &str) -> Result<Self, KeysError> {
        let mut lines = text.lines();
        let (Some(master), Some(hash), Some(log), None) = (lines.next(), lines.next(), lines.next(), lines.next()) else {
            return Err(KeysError::Form { place: place.to_owned(), what: "three lines are wanted" });
        };
        Self::from_lines((place, master), (place, hash), (place, log))?.of_origin(origin)
    }

    /// Writes the keys' files into a folder that is not there yet, or is empty.
    ///
    /// # Errors
    /// [`KeysError::Io`], also where there are keys already: they are never replaced.
    pub fn put_into(&self, folder: &Path) -> Result<(), KeysError> {
        match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
            Ok(true) => fs::remove_dir(folder).map_err(io_error(folder))?,
            Ok(false) => {
                let source = io::Error::new(ErrorKind::AlreadyExists, "there are keys already, and they are not replaced");
                return Err(KeysError::Io { path: folder.to_owned(), source });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io_error(folder)(error)),
        }
        // Only its owner may look into the state folder.
        if let Some(state) = folder.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(io_error(state))?;
        }
        self.store(folder)
    }

    fn from_lines(master: (&str, &str), hash: (&str, &str), log: (&str, &str)) -> Result<Self, KeysError> {
        Ok(Self {
            master: MasterKey::new(parse_key(master, MASTER_PREFIX)?),
            hash: HashKey::new(parse_key(hash, HASH_PREFIX)?),
            log: LogKey::parse(log.1.trim_end_matches('\n')).map_err(|error| note_error(log.0, error))?,
            former: Vec::new(),
        })
    }

    fn of_origin(self, origin: &str) -> Result<Self, KeysError> {
        if self.log.origin() == origin {
            return Ok(self);
        }
        Err(KeysError::Origin { found: self.log.origin().to_owned(), expected: origin.to_owned() })
    }

    fn generate(origin: &str) -> Result<Self, KeysError> {
        let (master, hash, seed) = (random_key()?, random_key()?, random_key()?);
        Ok(Self {
            master: MasterKey::new(*master),
            hash: HashKey::new(*hash),
            log: LogKey::new(origin, &seed).map_err(|error| note_error("the log's origin", error))?,
            former: Vec::new(),
        })
    }

    /// Writes all files into a new folder beside, then renames it: a crash leaves all keys or none.
    fn store(&self, folder: &Path) -> Result<(), KeysError> {
        let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let random = random_key()?;
        let number = random.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let beside = parent.join(format!(".keys-{number:016x}"));
        fs::create_dir_all(parent).map_err(io_error(parent))?;
        DirBuilder::new().mode(0o700).create(&beside).map_err(io_error(&beside))?;
        let written = self.write_files(&beside).and_then(|()| fs::rename(&beside, folder).map_err(io_error(folder)));
        if written.is_err() {
            // Half-made keys serve nobody; the first error is the one to tell.
            drop(fs::remove_dir_all(&beside));
        }
        written?;
        sync(parent)
    }

    fn write_files(&self, folder: &Path) -> Result<(), KeysError> {
        let line = |prefix: &str, key: &[u8; 32]| Zeroizing::new(format!("{prefix}{}\n", Zeroizing::new(STANDARD.encode(key)).as_str()));
        write_file(&folder.join(MASTER_KEY_FILE), 0o600, &line(MASTER_PREFIX, self.master.reveal()))?;
        write_file(&folder.join(HASH_KEY_FILE), 0o600, &line(HASH_PREFIX, self.hash.reveal()))?;
        write_file(&folder.join(LOG_KEY_FILE), 0o600, &Zeroizing::new(format!("{}\n", self.log.reveal().as_str())))?;
        write_file(&folder.join(VERIFIER_FILE), 0o644, &format!("{}\n", self.log.verifier()))?;
        sync(folder)
    }
}

/// A master key that is durable and not in force yet.
#[derive(Debug)]
pub struct NextMaster {
    key: MasterKey,
    /// The folder in which it takes the old one's place; `None` where its owner puts it there.
    folder: Option<PathBuf>,
}

impl NextMaster {
    /// A new key beside the one in force. The caller holds the state folder's lock: what a rotation that died before its end left is replaced.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn beside(folder: &Path) -> Result<Self, KeysError> {
        let path = folder.join(NEXT_MASTER_FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io_error(&path)(error)),
            _ => {}
        }
        let key = Self::write_new(&path)?;
        sync(folder)?;
        Ok(Self { key, folder: Some(folder.to_owned()) })
    }

    /// The key in a file; made there where it is not there.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn given(path: &Path) -> Result<Self, KeysError> {
        let key = if path.exists() { read_master(path)? } else { Self::write_new(path)? };
        Ok(Self { key, folder: None })
    }

    fn write_new(path: &Path) -> Result<MasterKey, KeysError> {
        let bytes = random_key()?;
        let line = Zeroizing::new(format!("{MASTER_PREFIX}{}\n", Zeroizing::new(STANDARD.encode(*bytes)).as_str()));
        write_file(path, 0o600, &line)?;
        Ok(MasterKey::new(*bytes))
    }

    /// The key.
    pub const fn key(&self) -> &MasterKey {
        &self.key
    }

    /// The state says that it is in force: it takes the old one's place.
    ///
    /// # Errors
    /// [`KeysError::Io`].
    pub fn settle(self) -> Result<(), KeysError> {
        let Some(folder) = self.folder else { return Ok(()) };
        let next = folder.join(NEXT_MASTER_FILE);
        fs::rename(&next, folder.join(MASTER_KEY_FILE)).map_err(io_error(&next))?;
        sync(&folder)
    }
}

fn read_master(path: &Path) -> Result<MasterKey, KeysError> {
    Ok(MasterKey::new(parse_key((&path.display().to_string(), &read_key_file(path)?), MASTER_PREFIX)?))
}

/// Public keys of before: `log-<id>.pub`. A file that holds none is of no use and does no harm.
fn former_keys(folder: &Path) -> Vec<VerifierKey> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|name| name.file_name());
    let of_log = names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("log-"));
    let read = |name: String| VerifierKey::parse(fs::read_to_string(folder.join(name)).ok()?.trim_end()).ok();
    of_log.take(MAX_FORMER).filter_map(read).collect()
}

fn note_error(place: &str, error: NoteError) -> KeysError {
    let what = match error {
        NoteError::Key(what) => what,
        NoteError::Note(_) | NoteError::Checkpoint(_) | NoteError::Unsigned | NoteError::BadSignature | NoteError::OtherOrigin => {
            "not a signing key"
        }
    };
    KeysError::Form { place: place.to_owned(), what }
}

pub(super) fn random_key() -> Result<Zeroizing<[u8; 32]>, KeysError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| KeysError::Io {
        path: PathBuf::from("the system's random source"),
        source: io::Error::other(error.to_string()),
    })?;
    Ok(bytes)
}

fn parse_key((place, line): (&str, &str), prefix: &'static str) -> Result<[u8; 32], KeysError> {
    let wrong = |what| KeysError::Form { place: place.to_owned(), what };
    let encoded = line.trim_end_matches('\n').strip_prefix(prefix).ok_or_else(|| wrong("it does not start as its kind of key does"))?;
    let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_secret| wrong("it is cut off or changed"))?);
    bytes.as_slice().try_into().map_err(|_length| wrong("it has not 32 bytes"))
}

pub(super) fn read_key_file(path: &Path) -> Result<Zeroizing<String>, KeysError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(KeysError::Missing { path: path.to_owned() }),
        Err(error) => return Err(io_error(path)(error)),
    };
    let mode = file.metadata().map_err(io_error(path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeysError::TooOpen { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_KEY_FILE_BYTES).read_to_string(&mut text).map_err(io_error(path))?;
    Ok(text)
}

fn write_file(path: &Path, mode: u32, text: &str) -> Result<(), KeysError> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(io_error(path))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io_error(path))
}

fn sync(folder: &Path) -> Result<(), KeysError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(io_error(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "kith.example/retail";

    #[test]
    fn keys_are_made_once_for_the_owner_alone_and_found_again() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("keys");
        let (made, new) = InstallationKeys::open_or_create(&folder, ORIGIN).unwrap();
        let (found, again) = InstallationKeys::open_or_create(&folder, ORIGIN).unwrap();
        assert_eq!((new, again), (true, false));
        assert_eq!((made.master.id(), made.log.verifier()), (found.master.id(), found.log.verifier()));
        assert_eq!(made.hash.reveal(), found.hash.reveal());
        for name in [MASTER_KEY_FILE, HASH_KEY_FILE, LOG_KEY_FILE] {
            assert_eq!(fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        let public = fs::read_to_string(folder.join(VERIFIER_FILE)).unwrap();
        assert_eq!(public.trim_end(), made.log.verifier().to_string());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing is left beside");
        let other = InstallationKeys::open_or_create(&home.path().join("other"), ORIGIN).unwrap().0;
        assert_ne!(other.master.id(), made.master.id());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("keys");
        InstallationKeys::open_or_create(&folder, ORIGIN).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(folder.join(HASH_KEY_FILE), fs::Permissions::from_mode(mode)).unwrap();
            let error = InstallationKeys::open(&folder, ORIGIN).unwrap_err();
            assert!(matches!(error, KeysError::TooOpen { .. }), "{error}");
            assert_eq!(error.diagnostic().code.0, "KITH-A006");
        }
    }

    #[test]
    fn a_missing_or_changed_key_is_an_error_and_never_made_anew() {
        for name in [MASTER_KEY_FILE, HASH_KEY_FILE, LOG_KEY_FILE] {
            let home = tempfile::tempdir().unwrap();
            let folder = home.path().join("keys");
            InstallationKeys::open_or_create(&folder, ORIGIN).unwrap();
            let path = folder.join(name);
            let text = fs::read_to_string(&path).unwrap();
            for wrong in ["", "x", text.get(..20).unwrap(), &text.replacen("v1", "v2", 1).replacen("PRIVATE", "PUBLIC", 1)] {
                fs::write(&path, wrong).unwrap();
                let error = InstallationKeys::open_or_create(&folder, ORIGIN).unwrap_err();
                assert!(matches!(error, KeysError::Form { .. }), "{name}: {error}");
            }
            fs::remove_file(&path).unwrap();
            let error = InstallationKeys::open_or_create(&folder, ORIGIN).unwrap_err();
            assert!(matches!(error, KeysError::Missing { .. }), "{name}: {error}");
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_log_keeps_its_name() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("keys");
        InstallationKeys::open_or_create(&folder, ORIGIN).unwrap();
        let error = InstallationKeys::open_or_create(&folder, "kith.example/other").unwrap_err();
        assert!(matches!(error, KeysError::Origin { .. }), "{error}");
        assert!(matches!(InstallationKeys::open_or_create(&home.path().join("new"), "two words"), Err(KeysError::Form { .. })));
        assert!(!home.path().join("new").exists());
    }

    #[test]
    fn secrets_are_the_lines_of_the_files_and_errors_do_not_show_them() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("keys");
        let (made, _) = InstallationKeys::open_or_create(&folder, ORIGIN).unwrap();
        let secret = |name: &str| SecretString::from(fs::read_to_string(folder.join(name)).unwrap());
        let (master, hash, log) = (secret(MASTER_KEY_FILE), secret(HASH_KEY_FILE), secret(LOG_KEY_FILE));
        let given = InstallationKeys::from_secrets(&master, &hash, &log, ORIGIN).unwrap();
        assert_eq!(given.master.id(), made.master.id());
        let error = InstallationKeys::from_secrets(&hash, &master, &log, ORIGIN).unwrap_err();
        let hidden = master.expose_secret().trim_end().rsplit(' ').next().unwrap();
        assert!(!format!("{error} {error:?} {made:?}").contains(hidden));
    }
}
