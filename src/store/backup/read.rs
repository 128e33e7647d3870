//! Opening a backup: the manifest is believed by its signature, and every other member by the manifest. Nothing is written that it does not name.

use super::manifest::{Manifest, Named};
use super::{BackupError, Identities, MANIFEST, MAX_SMALL, is_member};
use crate::audit::merkle::CompactRange;
use crate::audit::{Checkpoint, VerifierKey};
use crate::model::Digest;
use crate::store::log::CHECKPOINT_FILE;
use crate::store::sqlite::{DATABASE_FILE, examine_copy};
use flate2::read::GzDecoder;
use sha2::{Digest as _, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Read and hashed at once.
const CHUNK: usize = 256 * 1024;

/// A backup that was unpacked and holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// What it says of itself.
    pub manifest: Manifest,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// The Merkle root over all of its entries.
    pub root: Digest,
    /// The newest checkpoint that was signed when it was made; it covers at most all entries.
    pub checkpoint: Option<Checkpoint>,
}

/// SHA-256 and length of a file.
///
/// # Errors
/// [`BackupError::Io`].
pub fn digest_of(path: &Path) -> Result<(Digest, u64), BackupError> {
    let said = |source| BackupError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(said)?;
    let (mut hash, mut length, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        let read = file.read(&mut chunk).map_err(|source| BackupError::Io { path: path.to_owned(), source })?;
        if read == 0 {
            return Ok((Digest(hash.finalize().into()), length));
        }
        hash.update(chunk.get(..read).unwrap_or_default());
        length += read as u64;
    }
}

/// Unpacks a backup into a folder, made for it, that only its owner looks into. Every member is held against the manifest; nothing more is looked at.
///
/// # Errors
/// [`BackupError`]; the folder may hold some of it then.
pub fn unpack(path: &Path, identities: &Identities, keys: &[VerifierKey], into: &Path) -> Result<Manifest, BackupError> {
    let wrong = |what: &str| BackupError::Wrong { path: path.to_owned(), what: what.to_owned() };
    // Of a file that is cut off or was changed the cipher says so, as an error of reading.
    let unread = |source: io::Error| {
        let kinds =
            [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem];
        if kinds.contains(&source.kind()) {
            BackupError::Io { path: into.to_owned(), source }
        } else {
            BackupError::Wrong { path: path.to_owned(), what: "it is cut off, or was changed after it was made".to_owned() }
        }
    };
    let mut archive = tar::Archive::new(GzDecoder::new(identities.open(path)?));
    let mut members = archive.entries().map_err(unread)?;
    let mut first = members.next().ok_or_else(|| wrong("it is empty"))?.map_err(unread)?;
    if first.path_bytes().as_ref() != MANIFEST.as_bytes() || first.size() > MAX_SMALL {
        return Err(wrong("its first member is no manifest"));
    }
    let mut note = Vec::new();
    first.read_to_end(&mut note).map_err(unread)?;
    let manifest = Manifest::open(&note, keys).map_err(|source| BackupError::Manifest { path: path.to_owned(), source })?;
    DirBuilder::new().recursive(true).mode(0o700).create(into).map_err(|source| BackupError::Io { path: into.to_owned(), source })?;
    let mut left: Vec<&Named> = manifest.members.iter().collect();
    for member in members {
        let mut member = member.map_err(unread)?;
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        let at = left.iter().position(|named| named.name == name && named.bytes == member.size());
        let named = at.map(|at| left.swap_remove(at)).filter(|named| is_member(&named.name));
        let named = named.ok_or_else(|| wrong("it has a member that its manifest does not name, or of another length"))?;
        if named.name != DATABASE_FILE && named.bytes > MAX_SMALL {
            return Err(wrong("one of its notes is too long"));
        }
        if write(&mut member, &into.join(&named.name)).map_err(unread)? != named.digest {
            return Err(BackupError::Wrong { path: path.to_owned(), what: format!("`{}` is not what its manifest says", named.name) });
        }
    }
    match left.first() {
        Some(missing) => Err(BackupError::Wrong { path: path.to_owned(), what: format!("`{}` is missing", missing.name) }),
        None => Ok(manifest),
    }
}

fn write(member: &mut impl Read, to: &Path) -> io::Result<Digest> {
    if let Some(folder) = to.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        let read = member.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        let bytes = chunk.get(..read).unwrap_or_default();
        hash.update(bytes);
        file.write_all(bytes)?;
    }
    file.sync_all()?;
    Ok(Digest(hash.finalize().into()))
}

/// Unpacks a backup and looks at what is in it: the database is sound and of the schema that the manifest says, its entries are as many, and they
/// hash to the root that the newest checkpoint signed.
///
/// # Errors
/// [`BackupError`].
pub fn open(path: &Path, identities: &Identities, keys: &[VerifierKey], into: &Path) -> Result<Opened, BackupError> {
    let wrong = |what: String| BackupError::Wrong { path: path.to_owned(), what };
    let (digest, _) = digest_of(path)?;
    let manifest = unpack(path, identities, keys, into)?;
    let note = match fs::read(into.join("log").join(CHECKPOINT_FILE)) {
        Ok(note) => Some(note),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(BackupError::Io { path: into.to_owned(), source }),
    };
    let checkpoint = match note {
        None => None,
        Some(note) => {
            let opened = keys.iter().find_map(|key| Checkpoint::open(&note, key).ok());
            Some(opened.ok_or_else(|| wrong("its checkpoint is not signed by a key of this log".to_owned()))?)
        }
    };
    let mut tree = CompactRange::default();
    let covered = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
    let mut at_checkpoint = tree.root();
    let schema = examine_copy(&into.join(DATABASE_FILE), |entry| {
        tree.append(crate::audit::merkle::leaf_hash(entry));
        if tree.size() == covered {
            at_checkpoint = tree.root();
        }
    })?;
    if schema != manifest.schema || tree.size() != manifest.entries {
        return Err(wrong(format!("its database has schema {schema} and {} entries, and its manifest says otherwise", tree.size())));
    }
    if checkpoint.as_ref().is_some_and(|c| c.size > tree.size() || c.root != at_checkpoint) {
        return Err(wrong("its entries are not those that its checkpoint signs".to_owned()));
    }
    Ok(Opened { manifest, digest, root: tree.root(), checkpoint })
}
