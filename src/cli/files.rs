//! Reading the files that operators write: bounded, and with a clear problem where it does not work.

use crate::declare::yaml::MAX_FILE_BYTES;
use crate::diagnose::{Code, Diagnostic, Place, SourceFile};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const UNREADABLE: Code = Code("KITH-C012");

/// Folders inside folders that are looked through: `connectors/targets/` is two deep.
const MAX_FOLDER_DEPTH: usize = 8;
/// Files of one project.
const MAX_FILES: usize = 2_000;

/// The bytes of a file that a person wrote.
///
/// # Errors
/// Where it is not there, may not be read, is a folder, or has more than [`MAX_FILE_BYTES`].
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, Diagnostic> {
    let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes));
    match read {
        Ok(size) if size > MAX_FILE_BYTES => Err(Diagnostic::error(
            UNREADABLE,
            place(path),
            format!("the file has more than {MAX_FILE_BYTES} bytes, the most that is read"),
            "check that it is the file you meant",
        )),
        Ok(_) => Ok(bytes),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// The text of a file that a person wrote.
///
/// # Errors
/// As [`read_bytes`], and where it is not UTF-8.
pub fn read_text(path: &Path) -> Result<Arc<SourceFile>, Diagnostic> {
    let bytes = read_bytes(path)?;
    let name = path.display().to_string();
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Arc::new(SourceFile { name, text })),
        Err(error) => {
            let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            let line = memchr::memchr_iter(b'\n', valid).count() + 1;
            let place = Place::Line(name, u64::try_from(line).unwrap_or(u64::MAX));
            Err(Diagnostic::error(UNREADABLE, place, "the file is not UTF-8 text", "save it again with the encoding UTF-8"))
        }
    }
}

/// The complaint about a file or folder that can't be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let kind = error.kind();
    let (message, remedy) = if kind == io::ErrorKind::NotFound {
        ("there is no such file".to_owned(), "check the path and its spelling; relative paths start at the project folder")
    } else if kind == io::ErrorKind::PermissionDenied {
        ("the file may not be read".to_owned(), "give the user who runs kith the right to read it")
    } else if kind == io::ErrorKind::IsADirectory {
        ("this is a folder, and a file is wanted".to_owned(), "name the file inside it")
    } else {
        (format!("the file can't be read: {kind}"), "see what the system says about the disk it lies on")
    };
    Diagnostic::error(UNREADABLE, place(path), message, remedy)
}

/// A file or folder as a place.
pub(super) fn place(path: &Path) -> Place {
    Place::Path(path.display().to_string())
}

/// The files below a folder whose name ends with one of the extensions, sorted by path. Hidden files and links to folders are left out.
pub(super) fn below(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, Diagnostic> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_path_buf(), 0)];
    while let Some((folder, depth)) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))? {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if kind.is_dir() && depth < MAX_FOLDER_DEPTH {
                open.push((path, depth + 1));
            } else if !kind.is_dir() && path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
                found.push(path);
            }
            if found.len() > MAX_FILES {
                let message = format!("the folder holds more than {MAX_FILES} files to check");
                return Err(Diagnostic::error(UNREADABLE, place(&folder), message, "name the files to check"));
            }
        }
    }
    found.sort();
    Ok(found)
}
