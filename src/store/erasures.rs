//! The ledger of erasures: outside of the machine, one file a day that is only ever added to, a proof (C2SP tlog-proof) for each entry of the log
//! that says that somebody is erased, or objected. Who restores a backup reads it, so that nobody comes back.
//!
//! A proof is believed by the log's signature alone: whoever may write to the folder can leave entries out, and can't make any up.

use super::RemovalReason;
use super::log::{add_to_day, is_day, is_of_log};
use crate::audit::{Event, Kind, NoteError, Proof, ProofError, Proven, SubjectHash, VerifierKey, by_any};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// How the files of the ledger are named.
const ENDING: &str = ".erasures";

/// The first line of a proof.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof has at most 88 KiB of entry, 64 lines of path and 128 KiB of note.
const MAX_PROOF: usize = 256 * 1024;

/// Entries that the ledger holds, as they stand in the log: canonical JSON has no blanks, and a quote in a text is escaped.
const KINDS: [Kind; 2] = [Kind::SubjectSuppressed, Kind::SubjectErased];

/// Whether an entry of the log belongs into the ledger, by its bytes.
pub fn belongs(entry: &[u8]) -> bool {
    KINDS.iter().any(|kind| memchr::memmem::find(entry, format!("\"kind\":\"{}\"", kind.name()).as_bytes()).is_some())
}

/// Adds proofs to the day's file of a log's ledger, durably.
///
/// # Errors
/// Where it can't be written.
pub fn add(folder: &Path, origin: &str, day: &str, proofs: &[Proof]) -> io::Result<()> {
    add_to_day(folder, origin, day, ENDING, proofs.iter().map(Proof::text))
}

/// What the ledger says of one person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gone {
    /// Whether it is a customer; else an account.
    pub is_customer: bool,
    /// The graver of what was asked for.
    pub reason: RemovalReason,
    /// Whether it was done, as far as the CRM goes; else it was on its way.
    pub done: bool,
}

/// What was read of a ledger.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    /// By keyed hash.
    pub people: BTreeMap<SubjectHash, Gone>,
    /// The largest checkpoint that a proof was made under: its note.
    pub newest: Option<(u64, crate::model::Digest)>,
    /// Proofs that were cut off while they were written; each was written again after.
    pub torn: u64,
    /// Proofs that hold.
    pub proofs: u64,
}

impl Ledger {
    /// Takes an entry in that the log holds.
    pub fn take(&mut self, event: &Event, subject: &crate::audit::Subject) {
        let (person, is_customer) = match (subject.identity, subject.customer) {
            (Some(person), _) => (person, false),
            (None, Some(person)) => (person, true),
            (None, None) => return,
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "two kinds of a long list belong into the ledger")]
        let (reason, done) = match event {
            Event::SubjectSuppressed { reason } if &**reason == RemovalReason::Erasure.name() => (RemovalReason::Erasure, false),
            Event::SubjectSuppressed { .. } => (RemovalReason::Objection, false),
            Event::SubjectErased { .. } => (RemovalReason::Erasure, true),
            _ => return,
        };
        let gone = self.people.entry(person).or_insert(Gone { is_customer, reason, done });
        gone.done |= done;
        if reason == RemovalReason::Erasure {
            gone.reason = reason;
        }
    }
}

/// A ledger that can't be read, or does not hold.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file or folder can't be read.
    #[error("{} can't be read: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A proof does not hold.
    #[error("proof {number} of {} does not hold: {source}", .path.display())]
    Proof {
        /// The file.
        path: PathBuf,
        /// Which proof of it, from 1.
        number: u64,
        /// Why.
        source: ProofError,
    },
}

/// Reads a file of a ledger, or every file of the log's ledger in a folder, into what is known. `keys` are those of the log, old ones with it. A folder
/// may hold ledgers of other logs: what they say is passed over; a file that somebody names is this log's.
/// Returns how many files there were.
///
/// # Errors
/// [`LedgerError`].
pub fn read(place: &Path, origin: &str, keys: &[VerifierKey], into: &mut Ledger) -> Result<usize, LedgerError> {
    let said = |source| LedgerError::Io { path: place.to_owned(), source };
    if !place.is_dir() {
        read_file(place, None, keys, into)?;
        return Ok(1);
    }
    let mut files: Vec<PathBuf> = fs::read_dir(place).map_err(said)?.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| is_of_log(name, origin, ENDING, is_day)));
    files.sort();
    let mut ours = 0;
    for file in &files {
        let others = read_file(file, Some(origin), keys, into)?;
        ours += usize::from(!others);
    }
    Ok(ours)
}

/// Reads a file; with an origin, proofs of other logs are passed over: `x/retail` and `x_retail` have files of one name. Returns whether there were
/// others' alone.
fn read_file(path: &Path, only: Option<&str>, keys: &[VerifierKey], into: &mut Ledger) -> Result<bool, LedgerError> {
    let (mut others, before) = (0_u64, into.proofs);
    let said = |source| LedgerError::Io { path: path.to_owned(), source };
    let mut lines = BufReader::new(File::open(path).map_err(said)?);
    let (mut proof, mut line, mut number) = (Vec::new(), Vec::new(), 0);
    loop {
        line.clear();
        // A line is at most an entry in base64.
        let read = io::Read::take(&mut lines, MAX_PROOF as u64).read_until(b'\n', &mut line).map_err(said)?;
        // A proof that a crash cut off in a line has the next one's header behind it, in the same line; the one cut off may be no more than a header.
        let header = memchr::memmem::rfind(&line, HEADER.as_bytes());
        if read == 0 || header.is_some() {
            proof.extend_from_slice(line.get(..header.unwrap_or(0)).unwrap_or_default());
            if !proof.is_empty() {
                number += 1;
                let taken = one(&proof, only, keys, into);
                others += u64::from(!taken.map_err(|source| LedgerError::Proof { path: path.to_owned(), number, source })?);
            }
            if read == 0 {
                return Ok(others > 0 && into.proofs == before);
            }
            proof.clear();
        }
        proof.extend_from_slice(line.get(header.unwrap_or(0)..).unwrap_or_default());
        if proof.len() > MAX_PROOF {
            let source = ProofError::Form("it is too long");
            return Err(LedgerError::Proof { path: path.to_owned(), number: number + 1, source });
        }
    }
}

/// Whether it is of the log that is asked for; one that was cut off is anybody's.
fn one(bytes: &[u8], only: Option<&str>, keys: &[VerifierKey], into: &mut Ledger) -> Result<bool, ProofError> {
    // Cut off inside the dash of a signature line, it is no UTF-8 any more.
    let Some(proof) = std::str::from_utf8(bytes).ok().and_then(|text| Proof::parse(text).ok()) else {
        into.torn += 1;
        return Ok(true);
    };
    // A checkpoint's first line. Who could write another name here could leave the proof out as well.
    if only.is_some_and(|origin| proof.note.lines().next().is_some_and(|name| name != origin) && proof.note.lines().nth(1).is_some()) {
        return Ok(false);
    }
    let Proven { entry, checkpoint, .. } = match proven(&proof, keys) {
        // The note was cut off: it has no signature yet, or half of one.
        Err(ProofError::Checkpoint(NoteError::Note(_))) => {
            into.torn += 1;
            return Ok(true);
        }
        proven => proven?,
    };
    into.take(&entry.event, &entry.subject);
    into.proofs += 1;
    if into.newest.is_none_or(|(size, _)| size < checkpoint.size) {
        into.newest = Some((checkpoint.size, checkpoint.root));
    }
    Ok(true)
}

fn proven(proof: &Proof, keys: &[VerifierKey]) -> Result<Proven, ProofError> {
    by_any(keys, ProofError::Checkpoint(NoteError::Unsigned), |key| proof.verify(key, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Checkpoint, Entry, LogKey, merkle};
    use crate::model::Timestamp;

    fn key() -> LogKey {
        LogKey::new("kith.test/retail", &[7; 32]).unwrap()
    }

    fn proof(person: u8, reason: &str) -> Proof {
        let mut entry = Entry::new(Timestamp::UNIX_EPOCH, Event::SubjectSuppressed { reason: reason.into() });
        entry.subject.identity = Some(SubjectHash([person; 16]));
        let entry = entry.encode().unwrap().bytes;
        let checkpoint = Checkpoint { origin: "kith.test/retail".into(), size: 1, root: merkle::leaf_hash(&entry) };
        Proof { index: 0, entry, path: Vec::new(), note: key().sign(&checkpoint).unwrap() }
    }

    #[test]
    fn what_was_added_is_read_also_behind_a_proof_that_was_cut_off_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let keys = [key().verifier()];
        let whole = proof(1, "erasure").text();
        for cut in 0..=whole.len() {
            let path = dir.path().join("kith.test_retail-2026-01-01.erasures");
            fs::write(&path, whole.as_bytes().get(..cut).unwrap()).unwrap();
            add(dir.path(), "kith.test/retail", "2026-01-01", &[proof(1, "erasure"), proof(2, "objection")]).unwrap();
            let mut ledger = Ledger::default();
            assert_eq!(read(dir.path(), "kith.test/retail", &keys, &mut ledger).unwrap(), 1);
            assert_eq!(ledger.people.len(), 2, "cut at {cut}: {ledger:?}");
            assert_eq!(ledger.people.get(&SubjectHash([1; 16])).unwrap().reason, RemovalReason::Erasure);
            assert_eq!(ledger.people.get(&SubjectHash([2; 16])).unwrap().reason, RemovalReason::Objection);
            assert!(ledger.torn <= 1);
        }
        let mut other = Ledger::default();
        assert_eq!(read(dir.path(), "kith.test/another", &keys, &mut other).unwrap(), 0, "another log's ledger is none of ours");
    }

    #[test]
    fn ledgers_of_other_logs_in_the_folder_are_none_of_ours_whatever_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let keys = [key().verifier()];
        add(dir.path(), "kith.test/retail", "2026-01-01", &[proof(1, "erasure")]).unwrap();
        for other in ["kith.test/retail-eu", "kith.test/retail-2026-01-01", "kith.test_retail"] {
            let theirs = LogKey::new(other, &[9; 32]).unwrap();
            let mut proof = proof(9, "erasure");
            let checkpoint = Checkpoint { origin: other.into(), size: 1, root: merkle::leaf_hash(&proof.entry) };
            proof.note = theirs.sign(&checkpoint).unwrap();
            add(dir.path(), other, "2026-01-01", &[proof.clone()]).unwrap();
            add(dir.path(), other, "2026-01-02", &[proof]).unwrap();
        }
        let mut ledger = Ledger::default();
        assert_eq!(read(dir.path(), "kith.test/retail", &keys, &mut ledger).unwrap(), 1, "a file of others alone is no ledger of ours");
        assert_eq!((ledger.people.len(), ledger.proofs), (1, 1));
        assert!(ledger.people.contains_key(&SubjectHash([1; 16])));
        let theirs = dir.path().join("kith.test_retail-eu-2026-01-01.erasures");
        let refused = read(&theirs, "kith.test/retail", &keys, &mut Ledger::default());
        assert!(refused.is_err(), "a file that somebody names is ours, or refused");
    }

    #[test]
    fn nobody_without_the_logs_key_adds_anybody() {
        let dir = tempfile::tempdir().unwrap();
        let stranger = LogKey::new("kith.test/retail", &[8; 32]).unwrap();
        let mut forged = proof(1, "erasure");
        let checkpoint = Checkpoint { origin: "kith.test/retail".into(), size: 1, root: merkle::leaf_hash(&forged.entry) };
        forged.note = stranger.sign(&checkpoint).unwrap();
        add(dir.path(), "kith.test/retail", "2026-01-01", &[forged]).unwrap();
        let mut ledger = Ledger::default();
        let refused = read(dir.path(), "kith.test/retail", &[key().verifier()], &mut ledger).unwrap_err();
        assert!(matches!(refused, LedgerError::Proof { number: 1, .. }), "{refused}");
        assert!(ledger.people.is_empty());
    }
}
