//! Where the entries about somebody or something are: an index beside the log, derived from its entries, so that a search reads those alone.
//!
//! A segment holds the terms of 16,384 entries: each keyed hash in an entry and its kind, eight bytes with the entry's place, sorted, with a
//! table over the first byte. A term of a search costs two small reads a segment: 10 million entries have 611. What no segment covers yet is
//! read through. A segment names what its last entry was, so that one of another history (a state folder put back) is not believed.
//! Terms are short and may belong to others, too: who searches checks each entry.

use super::{LogError, files};
use crate::audit::Kind;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Entries of a segment: at the usual seven terms an entry a file of 1.1 MB.
pub const SEGMENT: u64 = 16_384;

/// What stands before a kind.
const KIND: &[u8] = b"\"kind\":\"";
const MAGIC: &[u8; 8] = b"kithidx1";
/// Magic, what the last entry was, the table of 257 places.
const HEAD: usize = 8 + 8 + 257 * 4;
const RECORD: usize = 10;
/// A segment's bytes at most: an entry of 64 KiB has at most 1,900 quoted hashes of 34 bytes, but all entries together are bounded by their
/// number of records, 2^26, far above; the table counts with 32 bits.
const MOST_RECORDS: usize = 1 << 26;

/// What a search looks for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Term([u8; 8]);

impl Term {
    /// A keyed hash, a correlation id: 32 hexadecimal digits.
    pub fn of_hash(text: &str) -> Option<Self> {
        hash_at(text.as_bytes()).filter(|_| text.len() == 32)
    }

    /// A kind of entry.
    pub fn of_kind(kind: Kind) -> Self {
        Self(first_eight(kind.name().as_bytes()))
    }
}

fn first_eight(bytes: &[u8]) -> [u8; 8] {
    let full: [u8; 32] = Sha256::digest(bytes).into();
    full.first_chunk::<8>().copied().unwrap_or_default()
}

/// The first eight bytes of 32 lower-case hexadecimal digits that stand at the beginning.
fn hash_at(bytes: &[u8]) -> Option<Term> {
    let digits = bytes.first_chunk::<32>()?;
    if !digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let digit = |b: u8| if b.is_ascii_digit() { b - b'0' } else { b - b'a' + 10 };
    let mut term = [0; 8];
    for (slot, pair) in term.iter_mut().zip(digits.chunks_exact(2)) {
        if let [high, low] = pair {
            *slot = digit(*high) * 16 + digit(*low);
        }
    }
    Some(Term(term))
}

/// The terms of an entry, as its bytes have them.
fn terms_of(entry: &[u8], mut put: impl FnMut(Term)) {
    let mut rest = entry;
    while let Some(at) = memchr::memchr(b'"', rest) {
        rest = rest.get(at + 1..).unwrap_or_default();
        if rest.get(32) == Some(&b'"')
            && let Some(term) = hash_at(rest)
        {
            put(term);
            rest = rest.get(33..).unwrap_or_default();
        }
    }
    // The entry's own kind comes after the actor's: the last one before `"time"` at the top, and no value holds an unescaped quote.
    for at in memchr::memmem::find_iter(entry, KIND) {
        let name = entry.get(at + KIND.len()..).unwrap_or_default();
        let name = name.get(..memchr::memchr(b'"', name).unwrap_or(0)).unwrap_or_default();
        put(Term(first_eight(name)));
    }
}

/// The index of a log.
#[derive(Clone, Debug)]
pub struct Terms {
    folder: PathBuf,
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> LogError + '_ {
    move |source| LogError::Write { path: path.to_owned(), source }
}

impl Terms {
    /// The index in the state folder.
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("log-terms") }
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(segment.to_string())
    }

    /// Whether a segment is there, of this history: `last` is the segment's last entry.
    pub fn has(&self, segment: u64, last: &[u8]) -> bool {
        let mut head = [0; 16];
        let read = File::open(self.path(segment)).and_then(|file| file.read_exact_at(&mut head, 0));
        read.is_ok() && head == head_of(last)
    }

    /// Begins a segment; it is there when it is finished.
    pub const fn begin(&self, segment: u64) -> Building<'_> {
        Building { terms: self, segment, records: Vec::new(), count: 0, last: [0; 16] }
    }

    /// The numbers of entries of a segment that may hold the term; `None` where the segment is not there, or of another history.
    ///
    /// # Errors
    /// [`LogError::Read`].
    pub fn find(&self, segment: u64, term: Term, last: impl FnOnce() -> Option<Vec<u8>>) -> Result<Option<Vec<u64>>, LogError> {
        let path = self.path(segment);
        let unread = |source| LogError::Read { path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unread(error)),
        };
        let mut head = [0; HEAD];
        // A file that is shorter than its head is no segment.
        if file.read_exact_at(&mut head, 0).is_err() {
            return Ok(None);
        }
        let of_this_history = last().is_some_and(|last| head.first_chunk::<16>() == Some(&head_of(&last)));
        if !of_this_history {
            return Ok(None);
        }
        let bucket = 16 + usize::from(term.0.first().copied().unwrap_or_default()) * 4;
        let number =
            |at: usize| head.get(at..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |bytes| u32::from_be_bytes(*bytes)) as usize;
        let (from, to) = (number(bucket), number(bucket + 4));
        if to < from || to > MOST_RECORDS {
            return Ok(None);
        }
        let mut records = vec![0; (to - from) * RECORD];
        if file.read_exact_at(&mut records, (HEAD + from * RECORD) as u64).is_err() {
            return Ok(None);
        }
        let found = records.chunks_exact(RECORD).filter(|record| record.starts_with(&term.0)).filter_map(|record| {
            let place = record.get(8..)?.first_chunk::<2>()?;
            Some(segment * SEGMENT + u64::from(u16::from_be_bytes(*place)))
        });
        Ok(Some(found.collect()))
    }
}

/// A segment that is being made.
#[derive(Debug)]
pub struct Building<'a> {
    terms: &'a Terms,
    segment: u64,
    records: Vec<(Term, u16)>,
    count: u64,
    last: [u8; 16],
}

impl Building<'_> {
    /// How many entries it has.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Adds the next entry; beyond a segment's number nothing is added.
    pub fn add(&mut self, entry: &[u8]) {
        let Some(place) = u16::try_from(self.count).ok().filter(|_| self.count < SEGMENT) else { return };
        terms_of(entry, |term| self.records.push((term, place)));
        self.records.truncate(MOST_RECORDS);
        self.count += 1;
        self.last = head_of(entry);
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`LogError::Write`].
    pub fn finish(mut self) -> Result<(), LogError> {
        self.records.sort_unstable();
        self.records.dedup();
        let mut bytes = Vec::with_capacity(HEAD + self.records.len() * RECORD);
        bytes.extend_from_slice(&self.last);
        for first in 0..=256_usize {
            let place = self.records.partition_point(|(term, _)| usize::from(term.0.first().copied().unwrap_or_default()) < first);
            bytes.extend_from_slice(&u32::try_from(place).unwrap_or(u32::MAX).to_be_bytes());
        }
        for (term, place) in &self.records {
            bytes.extend_from_slice(&term.0);
            bytes.extend_from_slice(&place.to_be_bytes());
        }
        let folder = &self.terms.folder;
        fs::create_dir_all(folder).map_err(failed(folder))?;
        files::replace_in(folder, &self.segment.to_string(), &bytes, 0o600).map_err(failed(folder))
    }
}

fn head_of(last: &[u8]) -> [u8; 16] {
    let mut head = [0; 16];
    head.iter_mut().zip(MAGIC.iter().copied().chain(first_eight(last))).for_each(|(slot, byte)| *slot = byte);
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Differs in its first digits, as keyed hashes do.
    fn hash(n: u64) -> String {
        format!("{:032x}", u128::from(n + 1) << 100)
    }

    fn entry(n: u64) -> Vec<u8> {
        let kind = if n.is_multiple_of(3) { "decision" } else { "activity.dropped" };
        let text = format!(
            "{{\"actor\":{{\"kind\":\"service\"}},\"kind\":\"{kind}\",\"subject\":{{\"identity\":\"{}\"}},\"n\":{n}}}",
            hash(n % 50)
        );
        text.into_bytes()
    }

    fn write(terms: &Terms, entries: &[Vec<u8>]) {
        let mut building = terms.begin(0);
        for entry in entries {
            building.add(entry);
        }
        building.finish().unwrap();
    }

    #[test]
    fn entries_are_found_by_hash_and_kind_and_only_in_their_own_history() {
        let home = tempfile::tempdir().unwrap();
        let terms = Terms::new(home.path());
        let entries: Vec<Vec<u8>> = (0..SEGMENT).map(entry).collect();
        let last = || entries.last().cloned();
        let term = Term::of_hash(&hash(7)).unwrap();
        assert_eq!(terms.find(0, term, last).unwrap(), None);
        write(&terms, &entries);
        assert!(terms.has(0, entries.last().unwrap()) && !terms.has(0, b"other") && !terms.has(1, b""));
        assert_eq!(terms.find(0, term, last).unwrap().unwrap(), (0..SEGMENT).filter(|n| n % 50 == 7).collect::<Vec<_>>());
        let decisions = terms.find(0, Term::of_kind(Kind::Decision), last).unwrap().unwrap();
        assert_eq!(decisions, (0..SEGMENT).filter(|n| n % 3 == 0).collect::<Vec<_>>());
        assert_eq!(terms.find(0, Term::of_hash(&"f".repeat(32)).unwrap(), last).unwrap(), Some(Vec::new()));
        assert_eq!(terms.find(0, term, || Some(b"other".to_vec())).unwrap(), None);
        for wrong in ["", "7", &"F".repeat(32), &"0".repeat(33), &"g".repeat(32)] {
            assert_eq!(Term::of_hash(wrong), None);
        }
    }

    proptest! {
        #[test]
        fn a_damaged_segment_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..1_200), keep in any::<bool>()) {
            let home = tempfile::tempdir().unwrap();
            let terms = Terms::new(home.path());
            let entries: Vec<Vec<u8>> = (0..40).map(entry).collect();
            write(&terms, &entries);
            let path = terms.path(0);
            let mut file = fs::read(&path).unwrap();
            let from = if keep { 16 } else { 0 };
            file.splice(from..(from + bytes.len()).min(file.len()), bytes).for_each(drop);
            fs::write(&path, file).unwrap();
            drop(terms.find(0, Term::of_kind(Kind::Decision), || entries.last().cloned()));
        }
    }
}
