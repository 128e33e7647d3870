//! One service writes a state folder: the operating system's lock on `state/lock`, which ends with the process that holds it.

use super::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The lock file's name in the state folder.
pub const LOCK_FILE: &str = "lock";

/// Files of the state folder are its owner's alone: they tell who wrote to whom even where contents are sealed.
pub(super) const OWNER_ONLY: u32 = 0o600;

/// A process number has at most 20 digits; what is longer was not written by us.
const HOLDER_LIMIT: u64 = 32;

/// The right to write a state folder, held until dropped. The file stays; a file without a holder locks nobody out.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Takes the lock of an existing folder, and writes this process's number into the file for the one who is refused.
    ///
    /// # Errors
    /// [`StoreError::Locked`] with the folder and the holder's process number, [`StoreError::ReadOnly`] where the file can't be written.
    pub fn take(state_dir: &Path) -> Result<Self, StoreError> {
        let path = state_dir.join(LOCK_FILE);
        let shown = state_dir.display();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(OWNER_ONLY)
            .open(&path)
            .map_err(|error| StoreError::from_io(&error, &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked(match holder(&mut file) {
                    Some(pid) => format!("{shown} (process {pid})"),
                    None => shown.to_string(),
                }));
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::from_io(&error, &path)),
        }
        // Only a courtesy to the one who is refused, but a folder where this fails can't be written at all.
        (|| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            writeln!(file, "{}", std::process::id())
        })()
        .map_err(|error: std::io::Error| StoreError::from_io(&error, &path))?;
        Ok(Self { file })
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file releases the lock in any case; the number is taken out so that nobody takes it for a holder's.
        drop(self.file.set_len(0));
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(HOLDER_LIMIT).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_who_holds_it_and_a_dropped_lock_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let first = FolderLock::take(dir.path()).unwrap();
        let refused = FolderLock::take(dir.path()).unwrap_err();
        let StoreError::Locked(who) = refused else { panic!("{refused:?}") };
        assert!(who.contains(&format!("(process {})", std::process::id())), "{who}");
        drop(first);
        FolderLock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_lock_file_left_by_a_crash_locks_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(LOCK_FILE), "4711\n").unwrap();
        FolderLock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let error = FolderLock::take(&dir.path().join("nowhere")).unwrap_err();
        assert!(matches!(&error, StoreError::Absent(path) if path.contains("nowhere")), "{error:?}");
    }
}
