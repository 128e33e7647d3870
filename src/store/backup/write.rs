//! Making a backup: a hidden file beside its place, written through, made durable, and given its name at the end.

use super::manifest::{MAX_MEMBERS, Manifest, Named};
use super::{BackupError, ENDING, MANIFEST, MAX_SMALL, Recipients, is_member};
use crate::audit::{KeyId, LogKey};
use crate::model::{Digest, Timestamp};
use crate::store::log::{durable_folder, file_name_of, is_of_log, replace_in};
use crate::store::sqlite::{DATABASE_FILE, Snapshot, snapshot};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The folder in the state folder where the copy of the database waits to be packed.
const WORK: &str = "backup.tmp";
/// How a file is named until it is whole.
const PARTIAL: &str = ".partial";
/// Read and hashed at once.
const CHUNK: usize = 256 * 1024;

fn said(path: &Path) -> impl FnOnce(io::Error) -> BackupError + '_ {
    move |source| BackupError::Io { path: path.to_owned(), source }
}

/// Counts and hashes what passes.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A backup that is whole and durable, and has not got its name yet.
#[derive(Debug)]
pub struct Making {
    partial: PathBuf,
    /// The file that it becomes.
    pub file: PathBuf,
    /// SHA-256 of it.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
    /// What it says of itself.
    pub manifest: Manifest,
}

impl Making {
    /// Copies the state at one moment, beside a service that writes, and packs it. The state folder needs room for a copy of the database meanwhile.
    ///
    /// # Errors
    /// [`BackupError`]. Nothing with a backup's name was made.
    pub fn make(
        state: &Path,
        to: &Path,
        recipients: &Recipients,
        key: &LogKey,
        master: KeyId,
        now: Timestamp,
    ) -> Result<Self, BackupError> {
        let work = state.join(WORK);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&work).map_err(said(&work))?;
        // One backup at a time; the lock ends with the process.
        let lock = crate::store::lock::FolderLock::take(&work)?;
        let copy = work.join(DATABASE_FILE);
        // The checkpoint first: the database that is copied after it has all that it covers.
        let mut small = Vec::new();
        for folder in ["log", "log/rotations", "log/cosigned", "log/epochs", "keys"] {
            collect(state, folder, &mut small)?;
        }
        let taken = snapshot(state, &copy)?;
        let made = Self::pack(to, recipients, key, (&copy, &taken), &small, master, now);
        // Others may read it where the state folder lies; it is of no use any more.
        fs::remove_file(&copy).map_err(said(&copy))?;
        drop(lock);
        made
    }

    fn pack(
        to: &Path,
        recipients: &Recipients,
        key: &LogKey,
        (copy, taken): (&Path, &Snapshot),
        small: &[(String, Vec<u8>)],
        master: KeyId,
        now: Timestamp,
    ) -> Result<Self, BackupError> {
        let (digest, bytes) = super::digest_of(copy)?;
        let mut members = vec![Named { name: DATABASE_FILE.to_owned(), bytes, digest }];
        let named = |(name, bytes): &(String, Vec<u8>)| Named {
            name: name.clone(),
            bytes: bytes.len() as u64,
            digest: Digest(Sha256::digest(bytes).into()),
        };
        members.extend(small.iter().map(named));
        let manifest = Manifest {
            origin: key.origin().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made: now,
            schema: taken.schema,
            entries: taken.entries,
            master: taken.master.unwrap_or(master),
            members,
        };
        let stem = stem(&manifest);
        let file = to.join(format!("{stem}{ENDING}"));
        let note = manifest.sign(key).map_err(|source| BackupError::Manifest { path: file.clone(), source })?;
        durable_folder(to).map_err(said(to))?;
        forget_partials(to, key.origin());
        let partial = to.join(format!(".{stem}{PARTIAL}"));
        let written = write(&partial, recipients, &note, (copy, bytes), small, now);
        let (digest, bytes) = written.map_err(|source| {
            // Half a backup is of no use; the first error is the one to tell.
            drop(fs::remove_file(&partial));
            BackupError::Io { path: partial.clone(), source }
        })?;
        Ok(Self { partial, file, digest, bytes, manifest })
    }

    /// Gives it its name, durably.
    ///
    /// # Errors
    /// [`BackupError::Io`].
    pub fn finish(&self) -> Result<(), BackupError> {
        fs::rename(&self.partial, &self.file).map_err(said(&self.file))?;
        let folder = self.file.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(said(folder))
    }

    /// Gives it up.
    pub fn forget(self) {
        // It is told why; what is left is removed by the next backup.
        drop(fs::remove_file(&self.partial));
    }
}

/// The log's name, when, and how many entries it has: no two backups of one log are of one name, and names stand in the order of time.
fn stem(manifest: &Manifest) -> String {
    let second = manifest.made.strftime("%Y%m%dT%H%M%SZ");
    format!("{}-{second}-{}", file_name_of(&manifest.origin), manifest.entries)
}

/// Whether this stands between a log's name and the ending of its backup's: `20261121T101500Z-97655`.
fn is_when(text: &str) -> bool {
    let numbers = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((second, entries)) = text.split_once('-') else { return false };
    let Some((day, time)) = second.strip_suffix('Z').and_then(|second| second.split_once('T')) else { return false };
    day.len() == 8 && time.len() == 6 && numbers(day) && numbers(time) && numbers(entries)
}

/// What a backup that was killed left there.
fn forget_partials(to: &Path, origin: &str) {
    for name in fs::read_dir(to).into_iter().flatten().flatten().map(|entry| entry.file_name()) {
        let hidden = name.to_str().and_then(|name| name.strip_prefix('.'));
        if hidden.is_some_and(|name| is_of_log(name, origin, PARTIAL, is_when)) {
            drop(fs::remove_file(to.join(&name)));
        }
    }
}

/// Small members of a folder of the state; what has another name than a member's is none.
fn collect(state: &Path, folder: &str, into: &mut Vec<(String, Vec<u8>)>) -> Result<(), BackupError> {
    let path = state.join(folder);
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(said(&path)(error)),
    };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    for name in names {
        let member = format!("{folder}/{name}");
        if !is_member(&member) {
            continue;
        }
        let path = state.join(&member);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(MAX_SMALL + 1).read_to_end(&mut bytes)) {
            // A note that a witness's newer one replaced a moment ago.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            read => read.map_err(said(&path))?,
        };
        if bytes.len() as u64 > MAX_SMALL || into.len() + 2 > MAX_MEMBERS {
            return Err(BackupError::Wrong { path, what: "it is too long for a note, or there are too many of them".to_owned() });
        }
        into.push((member, bytes));
    }
    Ok(())
}

fn write(
    partial: &Path,
    recipients: &Recipients,
    note: &str,
    (copy, length): (&Path, u64),
    small: &[(String, Vec<u8>)],
    now: Timestamp,
) -> io::Result<(Digest, u64)> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(partial)?;
    let hashing = Hashing { inner: BufWriter::with_capacity(CHUNK, file), hash: Sha256::new(), bytes: 0 };
    let mut archive = tar::Builder::new(GzEncoder::new(recipients.seal(hashing)?, Compression::fast()));
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    append(&mut archive, MANIFEST, note.len() as u64, seconds, note.as_bytes())?;
    append(&mut archive, DATABASE_FILE, length, seconds, BufReader::with_capacity(CHUNK, File::open(copy)?))?;
    for (name, bytes) in small {
        append(&mut archive, name, bytes.len() as u64, seconds, bytes.as_slice())?;
    }
    let mut hashing = archive.into_inner()?.finish()?.finish()?;
    hashing.flush()?;
    let Hashing { inner, hash, bytes } = hashing;
    inner.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok((Digest(hash.finalize().into()), bytes))
}

fn append<W: Write>(archive: &mut tar::Builder<W>, name: &str, bytes: u64, seconds: u64, from: impl Read) -> io::Result<()> {
    let mut head = tar::Header::new_ustar();
    head.set_size(bytes);
    head.set_mode(0o600);
    head.set_mtime(seconds);
    archive.append_data(&mut head, name, from)
}

/// Seals a small text into a new file that only its owner reads.
///
/// # Errors
/// [`BackupError::Io`], also where the file is there already.
pub fn seal_small(path: &Path, text: &str, recipients: &Recipients) -> Result<(), BackupError> {
    if path.exists() {
        return Err(said(path)(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of this name, and it is not replaced")));
    }
    let mut bytes = Vec::new();
    let sealed = recipients.seal(&mut bytes).and_then(|mut seal| seal.write_all(text.as_bytes()).map(|()| seal));
    sealed.and_then(age::stream::StreamWriter::finish).map_err(said(path))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| said(path)(io::Error::new(io::ErrorKind::InvalidInput, "its name is no text")))?;
    replace_in(folder, name, &bytes, 0o600).map_err(said(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_log_is_making_is_left_alone_also_where_its_name_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let ours = ".x_retail-20261121T101500Z-12.partial";
        let others = [
            ".x_retail-eu-20261121T101500Z-12.partial",
            ".x_retail-20261121T101500Z-20261121T101500Z-12.partial",
            ".x_retailer-20261121T101500Z-12.partial",
            "x_retail-20261121T101500Z-12.tar.gz.age",
        ];
        for name in others.into_iter().chain([ours]) {
            fs::write(dir.path().join(name), "half").unwrap();
        }
        forget_partials(dir.path(), "x/retail");
        let left = |name: &str| dir.path().join(name).exists();
        assert!(!left(ours));
        assert!(others.into_iter().all(left), "{:?}", fs::read_dir(dir.path()).unwrap().collect::<Vec<_>>());
    }
}
