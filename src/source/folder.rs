//! A source as configured: one file, or a drop folder whose files are picked up in name order, each once, and put away when they are read.

use super::rows::RowReader;
use super::{Access, FileCursor, FileReader, Opened, SourceError};
use crate::declare::config::{SourceKind, SourceSpec};
use crate::model::Timestamp;
use crate::wire::input::InputError;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Files that one look at a drop folder gives: what is over waits for the next look.
const MAX_FILES: usize = 10_000;

/// How often another name is tried for a file whose name is taken in `done`.
const MAX_NAMES: u32 = 10_000;

/// What a look at a source found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// Files to be opened, in name order.
    pub ready: Vec<PathBuf>,
    /// Files that were written to a moment ago, and are looked at again later.
    pub growing: Vec<PathBuf>,
}

/// A configured source.
#[derive(Clone, Debug)]
pub struct Source {
    spec: SourceSpec,
    access: Access,
}

impl Source {
    /// A source; nothing is opened.
    pub const fn new(spec: SourceSpec, access: Access) -> Self {
        Self { spec, access }
    }

    /// What the configuration says.
    pub const fn spec(&self) -> &SourceSpec {
        &self.spec
    }

    /// The name under which the store keeps a file's cursor.
    pub fn cursor_name(path: &Path) -> String {
        path.display().to_string()
    }

    /// Looks for files. In a drop folder a file counts as growing while it was written to less than `quiet_for` before `now`; names that
    /// begin with a dot or end in `.tmp` or `.part`, and what is no regular file, are left alone.
    ///
    /// # Errors
    /// The file is missing, the folder is missing or can't be read.
    pub fn look(&self, now: Timestamp, quiet_for: Duration) -> Result<Found, SourceError> {
        let inbox = match &self.spec.kind {
            SourceKind::File { path } => {
                return if path.try_exists().unwrap_or(true) {
                    Ok(Found { ready: vec![path.clone()], growing: Vec::new() })
                } else {
                    Err(InputError::Missing(path.clone()).into())
                };
            }
            SourceKind::Folder { inbox, .. } => inbox,
            // Their streams are read by `manifest` and `singer`, what they deliver by `webhook`.
            SourceKind::Network(_) | SourceKind::Webhook(_) | SourceKind::Singer(_) => return Ok(Found::default()),
        };
        let failed = |source| SourceError::Folder { path: inbox.clone(), source };
        let mut found = Found::default();
        for entry in fs::read_dir(inbox).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if is_left_alone(&path) {
                continue;
            }
            // Gone between two looks: its writer took it back.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if !metadata.is_file() {
                continue;
            }
            let modified = metadata.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
            let growing = modified.is_some_and(|at| now.duration_since(at).unsigned_abs() < quiet_for);
            if growing { found.growing.push(path) } else { found.ready.push(path) }
        }
        found.ready.sort();
        found.growing.sort();
        found.ready.truncate(MAX_FILES);
        Ok(found)
    }

    /// Opens a file that [`Source::look`] found, after its cursor. `NothingNew` for a file of a drop folder means that putting it away
    /// failed or was cut short: the caller finishes it again.
    ///
    /// # Errors
    /// As [`FileReader::open`].
    pub fn open(&self, path: &Path, cursor: Option<&FileCursor>) -> Result<Opened, SourceError> {
        match &self.spec.kind {
            SourceKind::Folder { rows: Some(rows), .. } => RowReader::open(path, cursor, rows),
            SourceKind::File { .. }
            | SourceKind::Folder { rows: None, .. }
            | SourceKind::Network(_)
            | SourceKind::Webhook(_)
            | SourceKind::Singer(_) => FileReader::open(path, cursor),
        }
    }

    /// Puts a finished file away, after its last batch is durable. A single file stays where it is, and so does everything in read-only mode.
    /// Returns where the file is now.
    ///
    /// # Errors
    /// It can't be moved; the file is still in the inbox then, or (copied to another disk) in both folders.
    pub fn finish(&self, path: &Path) -> Result<PathBuf, SourceError> {
        match (&self.spec.kind, self.access) {
            (SourceKind::Folder { done, .. }, Access::Move) => {
                put_away(path, done).map_err(|source| SourceError::PutAway { from: path.to_owned(), to: done.clone(), source })
            }
            (SourceKind::File { .. } | SourceKind::Network(_) | SourceKind::Webhook(_) | SourceKind::Singer(_), _)
            | (_, Access::ReadOnly) => Ok(path.to_owned()),
        }
    }
}

impl Source {
    /// Files of a drop folder that were put away, in name order; none for a single file.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn put_away_files(&self) -> Result<Vec<PathBuf>, SourceError> {
        let SourceKind::Folder { done, .. } = &self.spec.kind else { return Ok(Vec::new()) };
        let entries = match fs::read_dir(done) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(SourceError::Folder { path: done.clone(), source }),
        };
        let mut files: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file() && !is_left_alone(path)).collect();
        files.sort();
        Ok(files)
    }

    /// The name under which a file that was put away was read, as the store's cursor has it.
    pub fn read_as(&self, path: &Path) -> Option<String> {
        let SourceKind::Folder { inbox, .. } = &self.spec.kind else { return None };
        Some(Self::cursor_name(&inbox.join(path.file_name()?)))
    }

    /// Puts a file that was put away back, to be read again.
    ///
    /// # Errors
    /// It can't be moved.
    pub fn put_back(&self, path: &Path) -> Result<PathBuf, SourceError> {
        let SourceKind::Folder { inbox, .. } = &self.spec.kind else { return Ok(path.to_owned()) };
        put_away(path, inbox).map_err(|source| SourceError::PutAway { from: path.to_owned(), to: inbox.clone(), source })
    }
}

fn is_left_alone(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let ends = |end: &[u8]| name.len() >= end.len() && name.iter().rev().zip(end.iter().rev()).all(|(a, b)| a.eq_ignore_ascii_case(b));
    name.starts_with(b".") || ends(b".tmp") || ends(b".part")
}

/// Moves a file into a folder, under its name or, where that is taken, with a number before its endings.
fn put_away(path: &Path, done: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(done)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (stem, endings) = name.split_once('.').map_or((name.as_str(), String::new()), |(stem, endings)| (stem, format!(".{endings}")));
    for number in 0..MAX_NAMES {
        let to = done.join(if number == 0 { name.clone() } else { format!("{stem}-{number}{endings}") });
        match move_new(path, &to) {
            Ok(()) => {
                File::open(done)?.sync_all()?;
                return Ok(to);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "every name that was tried is taken"))
}

/// Renames without ever replacing a file; copies where the folders lie on different disks.
fn move_new(from: &Path, to: &Path) -> io::Result<()> {
    match rename_new(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy_new(from, to),
        other => other,
    }
}

#[cfg(target_os = "linux")]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some network file systems lack the flag.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => rename_if_absent(from, to),
        other => other.map_err(io::Error::from),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    rename_if_absent(from, to)
}

/// One service writes `done`, so that nobody takes the name between the question and the answer.
fn rename_if_absent(from: &Path, to: &Path) -> io::Result<()> {
    if to.try_exists()? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

/// Copies under a name that nobody picks up, makes the copy durable, and only then removes the original.
fn copy_new(from: &Path, to: &Path) -> io::Result<()> {
    let mut partial = to.as_os_str().to_owned();
    partial.push(".part");
    let partial = PathBuf::from(partial);
    let copied = (|| {
        io::copy(&mut File::open(from)?, &mut File::create(&partial)?)?;
        File::open(&partial)?.sync_all()?;
        rename_new(&partial, to)
    })();
    if let Err(error) = copied {
        // What could not be copied is of no use; that it could not be removed either is the lesser news.
        drop(fs::remove_file(&partial));
        return Err(error);
    }
    fs::remove_file(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(root: &Path) -> Source {
        fs::create_dir(root.join("inbox")).unwrap();
        let kind = SourceKind::Folder { inbox: root.join("inbox"), done: root.join("done"), rows: None };
        Source::new(SourceSpec { name: "social".into(), kind, network: None }, Access::Move)
    }

    fn later() -> Timestamp {
        "2100-01-01T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_drop_folder_gives_quiet_files_in_name_order_and_leaves_the_rest_alone() {
        let root = tempfile::tempdir().unwrap();
        let source = folder(root.path());
        let inbox = root.path().join("inbox");
        for name in ["b.ndjson", "a.ndjson.gz", ".hidden", "c.TMP", "d.ndjson.part"] {
            fs::write(inbox.join(name), b"{}").unwrap();
        }
        fs::create_dir(inbox.join("sub")).unwrap();
        let second = Duration::from_secs(1);
        let found = source.look(later(), second).unwrap();
        assert_eq!(found, Found { ready: vec![inbox.join("a.ndjson.gz"), inbox.join("b.ndjson")], growing: vec![] });
        let written = Timestamp::try_from(fs::metadata(inbox.join("b.ndjson")).unwrap().modified().unwrap()).unwrap();
        let found = source.look(written, Duration::from_hours(1)).unwrap();
        assert_eq!((found.ready.len(), found.growing.len()), (0, 2));
        fs::remove_dir_all(&inbox).unwrap();
        assert_eq!(source.look(later(), second).unwrap_err().code().0, "KITH-I026");
    }

    #[test]
    fn a_finished_file_moves_and_never_replaces_another() {
        let root = tempfile::tempdir().unwrap();
        let source = folder(root.path());
        for (content, name) in [("1", "a.ndjson.gz"), ("2", "a-1.ndjson.gz"), ("3", "a-2.ndjson.gz")] {
            let path = root.path().join("inbox/a.ndjson.gz");
            fs::write(&path, content).unwrap();
            assert_eq!(source.finish(&path).unwrap(), root.path().join("done").join(name));
            assert!(!path.exists());
            assert_eq!(fs::read_to_string(root.path().join("done").join(name)).unwrap(), content);
        }
        let missing = source.finish(&root.path().join("inbox/none")).unwrap_err();
        assert_eq!(missing.code().0, "KITH-I027");
    }

    #[test]
    fn a_move_between_disks_copies_before_it_removes_and_never_replaces() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("to"));
        fs::write(&from, "x").unwrap();
        copy_new(&from, &to).unwrap();
        assert!(!from.exists() && fs::read_to_string(&to).unwrap() == "x");
        fs::write(&from, "y").unwrap();
        assert_eq!(copy_new(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((fs::read_to_string(&from).unwrap(), fs::read_to_string(&to).unwrap()), ("y".into(), "x".into()));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2, "no partial copy is left");
    }

    #[test]
    fn read_only_moves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let source = Source { access: Access::ReadOnly, ..folder(root.path()) };
        let path = root.path().join("inbox/a");
        fs::write(&path, "x").unwrap();
        assert_eq!(source.finish(&path).unwrap(), path);
        assert!(path.exists() && !root.path().join("done").exists());
    }
}
