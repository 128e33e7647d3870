//! Files as others write them: plain or gzip by content, whatever the name says, hashed, and watched for change.

#![expect(clippy::wildcard_enum_match_arm, reason = "the kinds of I/O errors are an open list")]

use crate::model::Digest;
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes read at a time: 128 KiB amortise a system call and stay in the second-level cache.
const CHUNK: usize = 128 * 1024;

/// Why a file gives no more bytes.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// Nothing there.
    #[error("{} is not there", .0.display())]
    Missing(PathBuf),
    /// A folder, a device, ….
    #[error("{} is not a file", .0.display())]
    NotAFile(PathBuf),
    /// The operating system refuses.
    #[error("{} can't be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The compressed data ends in the middle.
    #[error("{} is cut off: its compressed data ends too early", .0.display())]
    CutOff(PathBuf),
    /// The compressed data contradicts itself.
    #[error("{} is damaged: its compressed data can't be unpacked", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the decompressor says.
        #[source]
        source: io::Error,
    },
    /// It became shorter, or something else, while it was read.
    #[error("{} changed while it was read", .0.display())]
    Changed(PathBuf),
}

/// What the operating system says about a file at a moment; differs when somebody wrote to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { length: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// An open file that is hashed in full.
#[derive(Debug)]
pub struct Hashed {
    path: PathBuf,
    file: File,
    /// SHA-256 of the bytes as they stand in the file.
    pub digest: Digest,
    /// SHA-256 of the first bytes, as many as were asked for, where the file has so many.
    pub prefix: Option<Digest>,
    /// How many bytes were hashed.
    pub length: u64,
    gzip: bool,
}

/// Opens a regular file.
///
/// # Errors
/// Missing, not a file, or refused.
pub fn open(path: &Path) -> Result<File, InputError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => InputError::Missing(path.to_owned()),
        _ => InputError::Unreadable { path: path.to_owned(), source },
    };
    // Asked before opening: opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(InputError::NotAFile(path.to_owned()));
    }
    File::open(path).map_err(unreadable)
}

impl Hashed {
    /// Opens a file and hashes all of it, and its first `prefix` bytes apart.
    ///
    /// # Errors
    /// Missing, not a file, or unreadable.
    pub fn open(path: &Path, prefix: Option<u64>) -> Result<Self, InputError> {
        let mut file = open(path)?;
        let unreadable = |source| InputError::Unreadable { path: path.to_owned(), source };
        let mut hash = Sha256::new();
        let (mut length, mut head, mut prefix_digest) = (0_u64, Vec::new(), None);
        let mut buffer = vec![0; CHUNK];
        if prefix == Some(0) {
            prefix_digest = Some(Digest(hash.clone().finalize().into()));
        }
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            };
            let bytes = buffer.get(..read).unwrap_or_default();
            if head.len() < 2 {
                head.extend(bytes.iter().take(2 - head.len()));
            }
            let after = length + u64::try_from(read).unwrap_or(0);
            match prefix.filter(|at| (length + 1..=after).contains(at)).and_then(|at| usize::try_from(at - length).ok()) {
                Some(at) => {
                    let (before, rest) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
                    hash.update(before);
                    prefix_digest = Some(Digest(hash.clone().finalize().into()));
                    hash.update(rest);
                }
                None => hash.update(bytes),
            }
            length = after;
        }
        let digest = Digest(hash.finalize().into());
        Ok(Self { path: path.to_owned(), file, digest, prefix: prefix_digest, length, gzip: is_gzip(&head) })
    }

    /// The content from an offset on, unpacked: exactly what was hashed, not what was appended since.
    ///
    /// # Errors
    /// What reading up to the offset says.
    pub fn content(self, offset: u64) -> Result<Content, InputError> {
        let Self { path, mut file, length, gzip, .. } = self;
        let unreadable = |source| InputError::Unreadable { path: path.clone(), source };
        let start = if gzip { 0 } else { offset.min(length) };
        file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
        let raw = BufReader::with_capacity(CHUNK, file.take(length - start));
        let mut content = Content {
            path: path.clone(),
            kind: if gzip { Kind::Gzip(Box::new(BufReader::with_capacity(CHUNK, MultiGzDecoder::new(raw)))) } else { Kind::Plain(raw) },
        };
        let mut left = if gzip { offset } else { 0 };
        while left > 0 {
            let available = u64::try_from(content.fill()?.len()).unwrap_or(0);
            if available == 0 {
                return Err(InputError::Changed(path));
            }
            let step = available.min(left);
            content.consume(usize::try_from(step).unwrap_or(usize::MAX));
            left -= step;
        }
        Ok(content)
    }
}

/// Whether bytes begin as gzip does (RFC 1952, 2.3.1).
pub fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b])
}

#[derive(Debug)]
enum Kind {
    Plain(BufReader<Take<File>>),
    Gzip(Box<BufReader<MultiGzDecoder<BufReader<Take<File>>>>>),
}

/// The unpacked content of a file.
#[derive(Debug)]
pub struct Content {
    path: PathBuf,
    kind: Kind,
}

impl Content {
    /// The next bytes; empty at the end.
    ///
    /// # Errors
    /// Cut off, damaged, shorter than hashed, or unreadable.
    pub fn fill(&mut self) -> Result<&[u8], InputError> {
        // Asked twice, since a borrow that is returned on one path only is held on all.
        let (end, failed) = match &mut self.kind {
            Kind::Plain(reader) => match reader.fill_buf() {
                Ok(bytes) => (bytes.is_empty() && reader.get_ref().limit() > 0, None),
                Err(error) => (false, Some(error)),
            },
            Kind::Gzip(reader) => match reader.fill_buf() {
                Ok(bytes) => (bytes.is_empty() && reader.get_ref().get_ref().get_ref().limit() > 0, None),
                Err(error) => (false, Some(error)),
            },
        };
        if let Some(error) = failed {
            return Err(self.failure(error));
        }
        if end {
            return Err(InputError::Changed(self.path.clone()));
        }
        Ok(match &self.kind {
            Kind::Plain(reader) => reader.buffer(),
            Kind::Gzip(reader) => reader.buffer(),
        })
    }

    /// Appends bytes up to and with the next line end, or up to the end; it stops soon after `most`. False at the end.
    ///
    /// # Errors
    /// As [`Content::fill`].
    pub fn line(&mut self, into: &mut Vec<u8>, most: usize) -> Result<bool, InputError> {
        while into.len() <= most {
            let bytes = self.fill()?;
            if bytes.is_empty() {
                return Ok(false);
            }
            let (used, ended) = memchr::memchr(b'\n', bytes).map_or((bytes.len(), false), |at| (at + 1, true));
            into.extend_from_slice(bytes.get(..used).unwrap_or_default());
            self.consume(used);
            if ended {
                break;
            }
        }
        Ok(true)
    }

    /// Marks bytes as used.
    pub fn consume(&mut self, bytes: usize) {
        match &mut self.kind {
            Kind::Plain(reader) => reader.consume(bytes),
            Kind::Gzip(reader) => reader.consume(bytes),
        }
    }

    fn failure(&self, error: io::Error) -> InputError {
        unpacking_failure(&self.path, matches!(self.kind, Kind::Gzip(_)), error)
    }
}

/// Tells a cut-off from a damaged file and both from a disk that does not answer.
fn unpacking_failure(path: &Path, gzip: bool, error: io::Error) -> InputError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof if gzip => InputError::CutOff(path.to_owned()),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData if gzip => InputError::Damaged { path: path.to_owned(), source: error },
        _ => InputError::Unreadable { path: path.to_owned(), source: error },
    }
}

/// A file read once from end to end: hashed on the way, and compared at the end with what it was at the start.
#[derive(Debug)]
pub struct Watched {
    path: PathBuf,
    before: Stamp,
    kind: WatchedKind,
}

#[derive(Debug)]
enum WatchedKind {
    Plain(BufReader<Hashing>),
    Gzip(Box<MultiGzDecoder<BufReader<Hashing>>>),
}

#[derive(Debug)]
struct Hashing {
    file: File,
    hash: Sha256,
    read: u64,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hash.update(buffer.get(..read).unwrap_or_default());
        self.read += u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}

impl Watched {
    /// Opens a file, plain or gzip by content.
    ///
    /// # Errors
    /// Missing, not a file, or unreadable.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        let file = open(path)?;
        let unreadable = |source| InputError::Unreadable { path: path.to_owned(), source };
        let before = Stamp::of(&file.metadata().map_err(unreadable)?);
        let mut raw = BufReader::with_capacity(CHUNK, Hashing { file, hash: Sha256::new(), read: 0 });
        let gzip = is_gzip(raw.fill_buf().map_err(unreadable)?);
        let kind = if gzip { WatchedKind::Gzip(Box::new(MultiGzDecoder::new(raw))) } else { WatchedKind::Plain(raw) };
        Ok(Self { path: path.to_owned(), before, kind })
    }

    /// What an error of reading from this file means.
    pub fn failure(&self, error: io::Error) -> InputError {
        unpacking_failure(&self.path, matches!(self.kind, WatchedKind::Gzip(_)), error)
    }

    /// After the last byte was read: SHA-256 of the file as it stands on disk.
    ///
    /// # Errors
    /// `Changed` where the file at this path is no longer the one that was opened; `Missing` where it vanished.
    pub fn finish(self) -> Result<Digest, InputError> {
        let Self { path, before, kind } = self;
        let hashing = match kind {
            WatchedKind::Plain(raw) => raw.into_inner(),
            WatchedKind::Gzip(gzip) => gzip.into_inner().into_inner(),
        };
        let unreadable = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => InputError::Missing(path.clone()),
            _ => InputError::Unreadable { path: path.clone(), source },
        };
        let open_file = Stamp::of(&hashing.file.metadata().map_err(unreadable)?);
        // By path too: a file that was replaced by another is a change that the open one does not show.
        let at_path = Stamp::of(&std::fs::metadata(&path).map_err(unreadable)?);
        if open_file != before || at_path != before || hashing.read != before.length {
            return Err(InputError::Changed(path));
        }
        Ok(Digest(hashing.hash.finalize().into()))
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.kind {
            WatchedKind::Plain(raw) => raw.read(buffer),
            WatchedKind::Gzip(gzip) => gzip.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn gz(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn all(mut content: Content) -> Result<Vec<u8>, InputError> {
        let mut out = Vec::new();
        loop {
            let bytes = content.fill()?;
            if bytes.is_empty() {
                return Ok(out);
            }
            let length = bytes.len();
            out.extend_from_slice(bytes);
            content.consume(length);
        }
    }

    #[test]
    fn plain_and_packed_files_are_told_apart_by_content_and_read_from_any_offset() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("named.gz");
        let members = [gz(b"hello "), gz(b"world")].concat();
        for bytes in [b"hello world".to_vec(), members] {
            std::fs::write(&path, &bytes).unwrap();
            for offset in [0_u64, 1, 6, 11] {
                let hashed = Hashed::open(&path, Some(3)).unwrap();
                assert_eq!(hashed.digest.0, <[u8; 32]>::from(Sha256::digest(&bytes)));
                assert_eq!(hashed.prefix.unwrap().0, <[u8; 32]>::from(Sha256::digest(&bytes[..3])));
                assert_eq!(all(hashed.content(offset).unwrap()).unwrap(), b"hello world"[usize::try_from(offset).unwrap()..]);
            }
            let mut watched = Watched::open(&path).unwrap();
            let mut text = String::new();
            watched.read_to_string(&mut text).unwrap();
            assert_eq!((text.as_str(), watched.finish().unwrap().0), ("hello world", <[u8; 32]>::from(Sha256::digest(&bytes))));
        }
    }

    #[test]
    fn a_file_that_is_cut_off_damaged_missing_or_no_file_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let content: Vec<u8> = (0..100_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let packed = gz(&content);
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            all(Hashed::open(&path, None).unwrap().content(0).unwrap()).unwrap_err()
        };
        assert!(matches!(read(&packed[..packed.len() / 2]), InputError::CutOff(_)));
        assert!(matches!(read(&packed[..packed.len() - 3]), InputError::CutOff(_)));
        let mut damaged = packed.clone();
        let last = damaged.len() - 6;
        damaged[last] ^= 0xff;
        assert!(matches!(read(&damaged), InputError::Damaged { .. }));
        assert!(matches!(read(&[&packed[..], b"garbage, and more than a header of it"].concat()), InputError::Damaged { .. }));
        assert!(matches!(Hashed::open(&folder.path().join("none"), None), Err(InputError::Missing(_))));
        assert!(matches!(Hashed::open(folder.path(), None), Err(InputError::NotAFile(_))));
    }

    #[test]
    fn only_what_was_hashed_is_read_and_a_file_that_shrank_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"one\n").unwrap();
        let hashed = Hashed::open(&path, None).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"two\n").unwrap();
        assert_eq!(all(hashed.content(0).unwrap()).unwrap(), b"one\n");
        let hashed = Hashed::open(&path, None).unwrap();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(2).unwrap();
        assert!(matches!(all(hashed.content(0).unwrap()), Err(InputError::Changed(_))));
        let mut watched = Watched::open(&path).unwrap();
        std::io::copy(&mut watched, &mut io::sink()).unwrap();
        std::fs::write(&path, b"other").unwrap();
        assert!(matches!(watched.finish(), Err(InputError::Changed(_))));
    }
}
