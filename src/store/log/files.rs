//! Files that are there whole or not at all: a temporary file, its bytes durable, a rename, its folder durable.

use super::LogError;
use crate::audit::tile::{Content, MAX_BUNDLE_BYTES, TILE_WIDTH, Tile};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where files are written before they are renamed; inside the log's folder, so that renaming stays on one file system.
const TEMPORARY: &str = ".tmp";

/// Up to here files are made durable one by one. Above it one call makes the whole file system's writes durable: for the 600 files of a
/// large batch that is many times faster, for a few it would wait for other programs' writes.
const SYNC_EACH_AT_MOST: usize = 24;

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> LogError + '_ {
    move |source| LogError::Write { path: path.to_owned(), source }
}

/// How many bytes a tile or bundle has at most.
pub(super) fn limit(tile: &Tile) -> usize {
    match tile.content {
        Content::Entries => MAX_BUNDLE_BYTES,
        Content::Hashes(_) => usize::from(TILE_WIDTH) * 32,
    }
}

/// Reads a whole file of at most `limit` bytes; `None` where there is none. A longer one comes cut after one byte too many, which no reader
/// of tiles, bundles or notes accepts.
pub(super) fn read(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, LogError> {
    let error = |source| LogError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(None),
        Err(other) => return Err(error(other)),
    };
    let length = file.metadata().map_err(error)?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(limit).min(limit) + 1);
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(error)?;
    Ok(Some(bytes))
}

/// Makes the log's folder and puts away what a crash left half-written.
pub(super) fn prepare(root: &Path) -> Result<(), LogError> {
    let temporary = root.join(TEMPORARY);
    match fs::remove_dir_all(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(LogError::Write { path: temporary, source: error }),
        Ok(()) | Err(_) => {}
    }
    fs::create_dir_all(&temporary).map_err(write_error(&temporary))?;
    sync_folder(root)
}

fn sync_folder(path: &Path) -> Result<(), LogError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(write_error(path))
}

/// Replaces a file of the log's folder, durably.
pub(super) fn replace(root: &Path, name: &str, bytes: &[u8]) -> Result<(), LogError> {
    let (temporary, path) = (root.join(TEMPORARY).join(name), root.join(name));
    write_new(&temporary, bytes)?.sync_all().map_err(write_error(&temporary))?;
    fs::rename(&temporary, &path).map_err(write_error(&path))?;
    sync_folder(root)
}

/// A folder that only its owner looks into.
pub(super) fn own_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// What of a log's or witness's name can stand in the name of a file.
pub fn file_name_of(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' }).collect();
    name.trim_start_matches('.').to_owned()
}

/// Whether a file's name is one of a log's, which begin with it and say when, and not of another log whose name goes on: `x/retail-eu` beside
/// `x/retail`. `is_when` judges what stands between the log's name and the ending.
pub fn is_of_log(name: &str, origin: &str, ending: &str, is_when: impl Fn(&str) -> bool) -> bool {
    let rest = name.strip_prefix(&file_name_of(origin)).and_then(|rest| rest.strip_prefix('-'));
    rest.and_then(|rest| rest.strip_suffix(ending)).is_some_and(is_when)
}

/// Whether a text is a day as it stands in names of files: `2026-11-21`.
pub fn is_day(text: &str) -> bool {
    text.len() == 10 && text.bytes().enumerate().all(|(at, byte)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() })
}

/// Makes a folder with those above it that are missing, their names durable.
///
/// # Errors
/// Where it can't be made.
pub fn durable_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()).collect();
    fs::create_dir_all(folder)?;
    // The innermost last: each name stands in the folder above.
    missing.iter().rev().try_for_each(|made| {
        let above = made.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(above)?.sync_all()
    })
}

/// Makes the names in a folder and in all folders below it durable.
///
/// # Errors
/// Where one can't be opened.
pub fn durable_names(folder: &Path) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    // A log has a folder for each 256 tiles of a level, one deep for each thousandfold.
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
        File::open(&folder)?.sync_all()?;
    }
    Ok(())
}

/// Adds to the file of a log and a day (`2026-11-21`), made with its folder where it is not there; durable when it returns, with its name.
///
/// # Errors
/// Where it can't be written.
pub fn add_to_day<P: AsRef<[u8]>>(
    folder: &Path,
    origin: &str,
    day: &str,
    ending: &str,
    parts: impl IntoIterator<Item = P>,
) -> io::Result<()> {
    durable_folder(folder)?;
    let path = folder.join(format!("{}-{day}{ending}", file_name_of(origin)));
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path)?;
    // Its name may not be durable yet: it is new, or who made it died before that.
    let named = file.metadata()?.len() > 0;
    for part in parts {
        file.write_all(part.as_ref())?;
    }
    file.sync_all()?;
    if named { Ok(()) } else { File::open(folder)?.sync_all() }
}

/// Replaces a file of any folder, durably: a new file beside it, then its name.
///
/// # Errors
/// Where it can't be written.
pub fn replace_in(folder: &Path, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    let beside = folder.join(format!(".{name}.new"));
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, folder.join(name))?;
    File::open(folder)?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<File, LogError> {
    let mut file = File::create(path).map_err(write_error(path))?;
    file.write_all(bytes).map_err(write_error(path))?;
    Ok(file)
}

/// Removes the partial forms of a tile that is full now. A failure leaves files that do no harm: they are a prefix of the full tile.
pub(super) fn remove_partials(root: &Path, tile: &Tile) {
    let folder = root.join(tile.partial_folder());
    if let Err(error) = fs::remove_dir_all(&folder)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), %error, "partial tiles of a full tile could not be removed");
    }
}

/// Tiles and bundles that become visible together.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    root: &'a Path,
    /// Temporary and final path of each.
    waiting: Vec<(PathBuf, PathBuf)>,
}

impl<'a> Batch<'a> {
    pub(super) const fn new(root: &'a Path) -> Self {
        Self { root, waiting: Vec::new() }
    }

    /// Writes a tile or bundle aside.
    pub(super) fn add(&mut self, tile: &Tile, bytes: &[u8]) -> Result<(), LogError> {
        let temporary = self.root.join(TEMPORARY).join(self.waiting.len().to_string());
        write_new(&temporary, bytes)?;
        self.waiting.push((temporary, self.root.join(tile.path())));
        Ok(())
    }

    /// Makes all of them durable, then visible, then their names durable.
    pub(super) fn publish(mut self) -> Result<(), LogError> {
        let all_at_once = self.waiting.len() > SYNC_EACH_AT_MOST;
        if all_at_once {
            sync_file_system(self.root)?;
        } else {
            for (temporary, _) in &self.waiting {
                File::open(temporary).and_then(|file| file.sync_all()).map_err(write_error(temporary))?;
            }
        }
        let mut folders = BTreeSet::new();
        for (temporary, path) in &self.waiting {
            if let Some(folder) = path.parent() {
                make_folder(folder, &mut folders)?;
            }
            fs::rename(temporary, path).map_err(write_error(path))?;
        }
        self.waiting.clear();
        folders.iter().try_for_each(|folder| sync_folder(folder))
    }
}

impl Drop for Batch<'_> {
    /// After a failure nothing half-written is left, least of all on a full disk.
    fn drop(&mut self) {
        for (temporary, _) in &self.waiting {
            if let Err(error) = fs::remove_file(temporary)
                && error.kind() != ErrorKind::NotFound
            {
                tracing::warn!(file = %temporary.display(), %error, "a temporary file could not be removed; the next start does");
            }
        }
    }
}

/// Makes a folder and notes every folder whose names changed.
fn make_folder(folder: &Path, changed: &mut BTreeSet<PathBuf>) -> Result<(), LogError> {
    if !changed.insert(folder.to_owned()) {
        return Ok(());
    }
    if !folder.is_dir() {
        if let Some(parent) = folder.parent() {
            make_folder(parent, changed)?;
        }
        match fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(LogError::Write { path: folder.to_owned(), source: error });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn sync_file_system(root: &Path) -> Result<(), LogError> {
    let folder = File::open(root).map_err(write_error(root))?;
    rustix::fs::syncfs(&folder).map_err(|error| LogError::Write { path: root.to_owned(), source: error.into() })
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(root: &Path) -> Result<(), LogError> {
    let temporary = root.join(TEMPORARY);
    for entry in fs::read_dir(&temporary).map_err(write_error(&temporary))? {
        let path = entry.map_err(write_error(&temporary))?.path();
        File::open(&path).and_then(|file| file.sync_all()).map_err(write_error(&path))?;
    }
    Ok(())
}
