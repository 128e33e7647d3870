//! Proofs that stand alone (C2SP tlog-proof): an entry, its place, the path to the root, and the signed checkpoint over it.
//!
//! A file holds one proof after the other. The `extra` line carries the entry itself: it is believed only because its hash leads to the root.

use super::checkpoint::{Checkpoint, MAX_NOTE_BYTES, Note, NoteError, VerifierKey};
use super::cosignature::{Cosigned, CosignerKey};
use super::entry::{Entry, MAX_ENTRY_BYTES, NotAnEntry};
use super::event::Event;
use super::merkle::{leaf_hash, verify_inclusion};
use crate::model::Digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The first line of a proof.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A path in a tree of up to 2^64 leaves.
const MAX_PATH: usize = 64;

/// Proofs in one file: everything about a record that changed daily for ten years.
pub const MAX_BUNDLE_PROOFS: usize = 4_096;

/// A proof has at most 88 KiB of entry, 64 lines of path and 128 KiB of note; usual are 4 KiB, and a file of 4,096 of those has 16 MiB.
pub const MAX_PROOF_FILE_BYTES: usize = 64 * 1024 * 1024;

/// One entry's proof, as read; nothing is checked yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// The entry's number, from 0.
    pub index: u64,
    /// The entry's bytes.
    pub entry: Vec<u8>,
    /// The hashes from the leaf's sibling up.
    pub path: Vec<Digest>,
    /// The signed checkpoint.
    pub note: String,
}

/// A proof that holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Proven {
    /// The entry's number.
    pub index: u64,
    /// The entry.
    pub entry: Entry,
    /// The checkpoint that covers it.
    pub checkpoint: Checkpoint,
    /// The given witnesses that cosigned it.
    pub cosigned: Vec<Cosigned>,
}

/// Why a proof is not accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// Not a proof in the text form.
    #[error("not a proof: {0}")]
    Form(&'static str),
    /// The checkpoint is not accepted.
    #[error("the checkpoint is not accepted: {0}")]
    Checkpoint(#[from] NoteError),
    /// The path does not lead from the entry to the root.
    #[error("entry {0} is not in the tree that the checkpoint signs")]
    NotIncluded(u64),
    /// The bytes are in the log but are no entry.
    #[error("what stands in the log is no entry: {0}")]
    Entry(#[from] NotAnEntry),
    /// A cosignature by a given witness that does not verify.
    #[error("the cosignature of `{0}` does not verify")]
    Cosignature(String),
}

impl Proof {
    /// The text form.
    pub fn text(&self) -> String {
        let mut out = format!("{HEADER}\nextra {}\nindex {}\n", STANDARD.encode(&self.entry), self.index);
        for hash in &self.path {
            out.push_str(&STANDARD.encode(hash.0));
            out.push('\n');
        }
        out.push('\n');
        out.push_str(&self.note);
        out
    }

    /// Reads one proof.
    ///
    /// # Errors
    /// [`ProofError::Form`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let form = |what| ProofError::Form(what);
        let rest = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n')).ok_or(form("the first line is another one"))?;
        let (extra, rest) = rest.strip_prefix("extra ").and_then(|rest| rest.split_once('\n')).ok_or(form("there is no entry in it"))?;
        // Base64 of an entry of the greatest length.
        if extra.len() > MAX_ENTRY_BYTES.div_ceil(3) * 4 {
            return Err(form("the entry is too long"));
        }
        let entry = STANDARD.decode(extra).map_err(|_not_base64| form("the entry is not base64"))?;
        let (index, rest) = rest.strip_prefix("index ").and_then(|rest| rest.split_once('\n')).ok_or(form("there is no index"))?;
        let index: u64 = index.parse().ok().filter(|n: &u64| n.to_string() == index).ok_or(form("the index is no number"))?;
        let mut path = Vec::new();
        let mut rest = rest;
        loop {
            let (line, after) = rest.split_once('\n').ok_or(form("it is cut off"))?;
            rest = after;
            if line.is_empty() {
                break;
            }
            let hash = STANDARD.decode(line).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(form("a hash of the path is none"))?;
            path.push(Digest(hash));
            if path.len() > MAX_PATH {
                return Err(form("the path is too long"));
            }
        }
        if rest.len() > MAX_NOTE_BYTES {
            return Err(form("the checkpoint is too long"));
        }
        Ok(Self { index, entry, path, note: rest.to_owned() })
    }

    /// Checks the signature, the path, the entry, and the cosignatures of the witnesses that are given.
    ///
    /// # Errors
    /// [`ProofError`]: the first thing that does not hold.
    pub fn verify(&self, key: &VerifierKey, witnesses: &[CosignerKey]) -> Result<Proven, ProofError> {
        let checkpoint = Checkpoint::open(self.note.as_bytes(), key)?;
        if !verify_inclusion(leaf_hash(&self.entry), self.index, checkpoint.size, &self.path, &checkpoint.root) {
            return Err(ProofError::NotIncluded(self.index));
        }
        let entry = Entry::decode(&self.entry)?;
        let note = Note::parse(self.note.as_bytes())?;
        let mut cosigned = Vec::new();
        for witness in witnesses {
            match witness.verify(&note) {
                Ok(found) => cosigned.push(found),
                Err(NoteError::Unsigned) => {}
                Err(_) => return Err(ProofError::Cosignature(witness.name().to_owned())),
            }
        }
        Ok(Proven { index: self.index, entry, checkpoint, cosigned })
    }
}

/// The proofs of one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bundle(pub Vec<Proof>);

impl Bundle {
    /// The text form: one proof after the other.
    pub fn text(&self) -> String {
        self.0.iter().map(Proof::text).collect()
    }

    /// Reads a file. A proof begins at each line that is the header; no note can hold one, since a note's text begins with the origin and
    /// its signature lines with a dash.
    ///
    /// # Errors
    /// The number of the proof, from 1, and [`ProofError::Form`].
    pub fn parse(bytes: &[u8]) -> Result<Self, (usize, ProofError)> {
        let at_first = |what| (1, ProofError::Form(what));
        if bytes.len() > MAX_PROOF_FILE_BYTES {
            return Err(at_first("the file is too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_not_utf8| at_first("not UTF-8"))?;
        let line = format!("\n{HEADER}\n");
        let mut starts = vec![0];
        starts.extend(text.match_indices(&line).map(|(at, _)| at + 1));
        if starts.len() > MAX_BUNDLE_PROOFS {
            return Err(at_first("the file has too many proofs"));
        }
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        let parts = starts.iter().zip(ends).enumerate();
        parts
            .map(|(at, (from, to))| Proof::parse(text.get(*from..to).unwrap_or_default()).map_err(|e| (at + 1, e)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Checks every proof in order. An entry `key.rotated` of the log's signing key, proven under a key that is trusted, makes its new key
    /// trusted for the proofs behind it.
    ///
    /// # Errors
    /// The number of the proof, from 1, and what does not hold.
    pub fn verify(&self, key: &VerifierKey, witnesses: &[CosignerKey]) -> Result<Vec<Proven>, (usize, ProofError)> {
        let mut keys = vec![key.clone()];
        let mut proven = Vec::new();
        for (at, proof) in self.0.iter().enumerate() {
            let mut first = None;
            let held = keys.iter().rev().find_map(|key| match proof.verify(key, witnesses) {
                Ok(held) => Some(held),
                Err(error) => {
                    // What an older key says of it, "not signed by me", is no news where a newer one found the fault.
                    first = first.take().filter(|e| *e != ProofError::Checkpoint(NoteError::Unsigned)).or(Some(error));
                    None
                }
            });
            let held = held.ok_or_else(|| (at + 1, first.unwrap_or(ProofError::Form("there is no key"))))?;
            keys.extend(next_key(&held.entry, key.name()));
            proven.push(held);
        }
        Ok(proven)
    }
}

/// The key that an entry makes the log's, where it is the entry that does so.
pub fn next_key(entry: &Entry, origin: &str) -> Option<VerifierKey> {
    let Event::KeyRotated { purpose, verifier: Some(verifier), .. } = &entry.event else { return None };
    VerifierKey::parse(verifier).ok().filter(|key| &**purpose == "log-signing" && key.name() == origin)
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
