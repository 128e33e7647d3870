//! Epochs of a log: what the log's key says when its history was put back from a backup, so that entries that others saw are gone.
//!
//! A signed note, as checkpoints are (C2SP signed-note), with a first line of its own. It excuses nothing: it says in numbers what was lost, and
//! who watched the log decides whether to go on with it.

use super::checkpoint::{LogKey, Note, NoteError, VerifierKey};
use crate::model::{Digest, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The first line; no log's origin has blanks.
const HEADER: &str = "kith log epoch v1";

/// The beginning of an epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Epoch {
    /// Which log.
    pub origin: String,
    /// How many entries of the history before stand: the entry with this number is `backup.restored`.
    pub begins: u64,
    /// The Merkle root over those.
    pub root: Digest,
    /// The newest checkpoint of the history before that is known, its size and root, where it covers more than stands.
    pub lost: Option<(u64, Digest)>,
    /// SHA-256 of the backup.
    pub backup: Digest,
    /// When it was restored.
    pub at: Timestamp,
}

impl Epoch {
    /// How many entries that left the machine are gone.
    pub fn gone(&self) -> u64 {
        self.lost.map_or(0, |(size, _)| size.saturating_sub(self.begins))
    }

    fn text(&self) -> String {
        let lost = self.lost.map_or_else(|| "nothing".to_owned(), |(size, root)| format!("{size} {}", STANDARD.encode(root.0)));
        let root = STANDARD.encode(self.root.0);
        format!("{HEADER}\n{}\nbegins {}\nroot {root}\nlost {lost}\nbackup {}\nat {}\n", self.origin, self.begins, self.backup, self.at)
    }

    /// The signed note.
    ///
    /// # Errors
    /// [`NoteError::OtherOrigin`] where the key is another log's.
    pub fn sign(&self, key: &LogKey) -> Result<String, NoteError> {
        if key.origin() != self.origin {
            return Err(NoteError::OtherOrigin);
        }
        key.sign_text(&self.text())
    }

    /// Reads a note that this key signed.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn open(note: &[u8], key: &VerifierKey) -> Result<Self, NoteError> {
        let note = Note::parse(note)?;
        key.verify(&note)?;
        let epoch = Self::parse(note.text).ok_or(NoteError::Note("not the beginning of an epoch"))?;
        if epoch.origin == key.name() { Ok(epoch) } else { Err(NoteError::OtherOrigin) }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != HEADER {
            return None;
        }
        let origin = lines.next()?.to_owned();
        let mut member = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let hash = |text: &str| STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).map(Digest);
        let begins = member("begins")?.parse().ok()?;
        let root = hash(member("root")?)?;
        let lost = match member("lost")? {
            "nothing" => None,
            text => text.split_once(' ').and_then(|(size, root)| Some((size.parse().ok()?, hash(root)?))).map(Some)?,
        };
        let backup = Digest::from_hex(member("backup")?)?;
        let at = member("at")?.parse().ok()?;
        let epoch = Self { origin, begins, root, lost, backup, at };
        // One text for each epoch, and nothing behind it.
        (epoch.text() == text).then_some(epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Checkpoint;
    use proptest::prelude::*;

    fn key() -> LogKey {
        LogKey::new("kith.test/retail", &[7; 32]).unwrap()
    }

    proptest! {
        #[test]
        fn what_was_signed_is_read_again_and_a_changed_byte_is_not(begins: u64, lost: Option<(u64, [u8; 32])>, at in 0_i64..4_000_000_000, byte: usize) {
            let epoch = Epoch {
                origin: "kith.test/retail".into(),
                begins,
                root: Digest([3; 32]),
                lost: lost.map(|(size, root)| (size, Digest(root))),
                backup: Digest([9; 32]),
                at: Timestamp::from_second(at).unwrap(),
            };
            let note = epoch.sign(&key()).unwrap();
            prop_assert_eq!(Epoch::open(note.as_bytes(), &key().verifier()).unwrap(), epoch);
            let mut changed = note.into_bytes();
            let at = byte % changed.len();
            changed[at] ^= 1;
            prop_assert!(Epoch::open(&changed, &key().verifier()).is_err());
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}(\n\\PC{0,40}){0,8}\n") {
            let _read: Option<Epoch> = Epoch::parse(&text);
        }
    }

    #[test]
    fn an_epoch_is_never_taken_for_a_checkpoint_nor_signed_by_another_log() {
        let epoch = Epoch {
            origin: "kith.test/retail".into(),
            begins: 4,
            root: Digest([3; 32]),
            lost: None,
            backup: Digest([9; 32]),
            at: Timestamp::UNIX_EPOCH,
        };
        let note = epoch.sign(&key()).unwrap();
        assert!(Checkpoint::open(note.as_bytes(), &key().verifier()).is_err());
        let other = LogKey::new("kith.test/other", &[7; 32]).unwrap();
        assert_eq!(epoch.sign(&other), Err(NoteError::OtherOrigin));
        let checkpoint = Checkpoint { origin: "kith.test/retail".into(), size: 4, root: Digest([3; 32]) };
        assert!(key().sign_text(&checkpoint.text()).is_err(), "a checkpoint is signed as one, or not at all");
    }
}
