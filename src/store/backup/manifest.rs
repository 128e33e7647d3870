//! What a backup says of itself: its first member, a note signed by the log's key, which names every other member with its length and SHA-256.

use crate::audit::{KeyId, LogKey, NoteError, Statement, VerifierKey, by_any};
use crate::model::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

/// The first line of the note's text.
const WHAT: &str = "kith backup v1";

/// Members of a backup at most: the database, keys' public halves, a few notes of the log for each of its keys and witnesses. At 130 bytes each they
/// stay below a note's 128 KiB.
pub const MAX_MEMBERS: usize = 900;

/// A member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// Its path in the state folder, `/` between.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of it.
    pub digest: Digest,
}

/// What a backup holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// The log's origin.
    pub origin: String,
    /// Kith's version that made it.
    pub version: String,
    /// When it was made.
    pub made: Timestamp,
    /// The schema of the database.
    pub schema: i64,
    /// How many entries the log has in it.
    pub entries: u64,
    /// The master key under which persons' keys are wrapped.
    pub master: KeyId,
    /// Every member but this one.
    pub members: Vec<Named>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    origin: String,
    version: String,
    made: String,
    schema: i64,
    entries: u64,
    master: String,
    members: Vec<WrittenMember>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMember {
    name: String,
    bytes: u64,
    sha256: String,
}

impl Manifest {
    /// The signed note.
    ///
    /// # Errors
    /// [`NoteError`] where it can't be one.
    pub fn sign(&self, key: &LogKey) -> Result<String, NoteError> {
        let members = self.members.iter();
        let members = members.map(|m| WrittenMember { name: m.name.clone(), bytes: m.bytes, sha256: m.digest.to_string() }).collect();
        let written = Written {
            origin: self.origin.clone(),
            version: self.version.clone(),
            made: self.made.to_string(),
            schema: self.schema,
            entries: self.entries,
            master: self.master.to_string(),
            members,
        };
        let json = serde_json::to_string(&written).map_err(|_never| NoteError::Note("it can't be written"))?;
        Statement { what: WHAT, says: &json }.sign(key)
    }

    /// Reads a note that one of these keys signed.
    ///
    /// # Errors
    /// [`NoteError`]: not signed by one of them, or no manifest.
    pub fn open(note: &[u8], keys: &[VerifierKey]) -> Result<Self, NoteError> {
        let (json, key) = by_any(keys, NoteError::Unsigned, |key| Statement::open(note, WHAT, key).map(|json| (json, key)))?;
        let manifest = Self::parse(&json).ok_or(NoteError::Note("no manifest of a backup"))?;
        if manifest.origin == key.name() { Ok(manifest) } else { Err(NoteError::OtherOrigin) }
    }

    fn parse(json: &str) -> Option<Self> {
        let Written { origin, version, made, schema, entries, master, members } = serde_json::from_str(json).ok()?;
        if members.len() > MAX_MEMBERS {
            return None;
        }
        let named = |m: WrittenMember| Some(Named { digest: Digest::from_hex(&m.sha256)?, name: m.name, bytes: m.bytes });
        Some(Self {
            origin,
            version,
            made: made.parse().ok()?,
            schema,
            entries,
            master: KeyId::from_hex(&master)?,
            members: members.into_iter().map(named).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_by_its_own_key_alone() {
        let key = LogKey::new("kith.test/retail", &[7; 32]).unwrap();
        let manifest = Manifest {
            origin: "kith.test/retail".into(),
            version: "0.1.0".into(),
            made: Timestamp::UNIX_EPOCH,
            schema: 3,
            entries: 12,
            master: KeyId([1; 16]),
            members: vec![Named { name: "kith.db".into(), bytes: 4_096, digest: Digest([2; 32]) }],
        };
        let note = manifest.sign(&key).unwrap();
        let other = LogKey::new("kith.test/retail", &[8; 32]).unwrap().verifier();
        assert_eq!(Manifest::open(note.as_bytes(), &[other.clone(), key.verifier()]), Ok(manifest));
        assert_eq!(Manifest::open(note.as_bytes(), &[other]), Err(NoteError::Unsigned));
        let changed = note.replace("4096", "4097");
        assert_eq!(Manifest::open(changed.as_bytes(), &[key.verifier()]), Err(NoteError::BadSignature));
    }
}
