//! Checkpoints (C2SP tlog-checkpoint) as signed notes (C2SP signed-note), with Ed25519 keys.

use crate::model::Digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// A note's bytes at most. A checkpoint has under 1 KiB; 16 signatures, post-quantum ones included (5 kB each), must be accepted.
pub const MAX_NOTE_BYTES: usize = 128 * 1024;

/// The signature type of plain Ed25519: what a log signs with.
const ED25519: u8 = 1;

/// The signature type of timestamped Ed25519 cosignatures (C2SP tlog-cosignature): what a witness signs with.
pub(super) const COSIGNATURE: u8 = 4;

/// Why a note, key or checkpoint is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum NoteError {
    /// Not a signed note.
    #[error("not a signed note: {0}")]
    Note(&'static str),
    /// Not a checkpoint.
    #[error("not a checkpoint: {0}")]
    Checkpoint(&'static str),
    /// No signature by the key that is trusted.
    #[error("no signature by the trusted key")]
    Unsigned,
    /// A signature by the trusted key that does not verify.
    #[error("the signature does not verify")]
    BadSignature,
    /// A log of another origin.
    #[error("a checkpoint of another log")]
    OtherOrigin,
    /// Not a key in the text form.
    #[error("not a key: {0}")]
    Key(&'static str),
}

/// A key name: not empty, no blanks, no plus, no control characters.
pub(super) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// The first four bytes of SHA-256(name ‖ newline ‖ type ‖ public key).
pub(super) fn key_hash(name: &str, kind: u8, public: &[u8; 32]) -> u32 {
    let mut hash = Sha256::new();
    hash.update(name.as_bytes());
    hash.update([b'\n', kind]);
    hash.update(public);
    let full: [u8; 32] = hash.finalize().into();
    full.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The public key of a log, in the text form `name+hash+base64(type ‖ key)` that Go's sumdb tools use too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifierKey {
    name: String,
    hash: u32,
    key: VerifyingKey,
}

impl VerifierKey {
    /// The key's name: the log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key hash as entries and notes write it: 8 hexadecimal digits.
    pub fn id(&self) -> String {
        format!("{:08x}", self.hash)
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`NoteError::Key`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, hash, key) = key_parts(text, ED25519)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_no_point| NoteError::Key("not an Ed25519 public key"))?;
        let known = Self { hash: key_hash(name, ED25519, key.as_bytes()), name: name.to_owned(), key };
        if known.hash == hash { Ok(known) } else { Err(NoteError::Key("the hash does not fit the name and key")) }
    }

    /// Checks a note's signature by this key.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`], [`NoteError::BadSignature`].
    pub fn verify(&self, note: &Note<'_>) -> Result<(), NoteError> {
        let mut found = false;
        for signature in note.signatures.iter().filter(|s| s.name == self.name && s.hash == self.hash) {
            let bytes: [u8; 64] = signature.bytes.as_slice().try_into().map_err(|_length| NoteError::BadSignature)?;
            self.key.verify_strict(note.text.as_bytes(), &Signature::from_bytes(&bytes)).map_err(|_wrong| NoteError::BadSignature)?;
            found = true;
        }
        if found { Ok(()) } else { Err(NoteError::Unsigned) }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, self.id(), encoded_key(ED25519, self.key.as_bytes()).as_str())
    }
}

pub(super) fn encoded_key(kind: u8, key: &[u8; 32]) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(vec![kind]);
    bytes.extend_from_slice(key);
    Zeroizing::new(STANDARD.encode(bytes.as_slice()))
}

/// Splits `name+hash+base64(type ‖ 32 bytes)`.
pub(super) fn key_parts(text: &str, kind: u8) -> Result<(&str, u32, [u8; 32]), NoteError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoteError::Key("not of the form name+hash+base64"));
    };
    if !is_key_name(name) {
        return Err(NoteError::Key("the name has blanks or is empty"));
    }
    let hash = super::hex::decode(hash).map(u32::from_be_bytes).ok_or(NoteError::Key("the hash is not 8 lower-case hexadecimal digits"))?;
    let bytes = Zeroizing::new(STANDARD.decode(key).map_err(|_not_base64| NoteError::Key("the key is not base64"))?);
    match bytes.split_first() {
        Some((found, key)) if *found == kind => {
            Ok((name, hash, key.try_into().map_err(|_length| NoteError::Key("an Ed25519 key has 32 bytes"))?))
        }
        Some((&COSIGNATURE, _)) => Err(NoteError::Key("it is a witness's key, and a log's is wanted")),
        Some((&ED25519, _)) => Err(NoteError::Key("it is a log's key, and a witness's is wanted")),
        _ => Err(NoteError::Key("not an Ed25519 key")),
    }
}

/// The key with which a log signs, in the text form `PRIVATE+KEY+name+hash+base64(type ‖ seed)` that Go's sumdb tools use too.
#[derive(Clone)]
pub struct LogKey {
    name: String,
    key: SigningKey,
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({}, ‹secret›)", self.verifier())
    }
}

impl LogKey {
    /// The key of the log `origin` with this seed of 32 random bytes.
    ///
    /// # Errors
    /// [`NoteError::Key`] where the origin is no key name: empty, with blanks, `+` or control characters.
    pub fn new(origin: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        if !is_key_name(origin) {
            return Err(NoteError::Key("the name has blanks, a plus, or is empty"));
        }
        Ok(Self { name: origin.to_owned(), key: SigningKey::from_bytes(seed) })
    }

    /// The log's origin.
    pub fn origin(&self) -> &str {
        &self.name
    }

    /// The public half.
    pub fn verifier(&self) -> VerifierKey {
        let key = self.key.verifying_key();
        VerifierKey { name: self.name.clone(), hash: key_hash(&self.name, ED25519, key.as_bytes()), key }
    }

    /// The text form, secret: for the key file only.
    pub fn reveal(&self) -> Zeroizing<String> {
        let seed = Zeroizing::new(self.key.to_bytes());
        Zeroizing::new(format!("PRIVATE+KEY+{}+{}+{}", self.name, self.verifier().id(), encoded_key(ED25519, &seed).as_str()))
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`NoteError::Key`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let rest = text.strip_prefix("PRIVATE+KEY+").ok_or(NoteError::Key("does not start with PRIVATE+KEY+"))?;
        let (name, hash, seed) = key_parts(rest, ED25519)?;
        let seed = Zeroizing::new(seed);
        let key = Self::new(name, &seed)?;
        if key.verifier().hash == hash { Ok(key) } else { Err(NoteError::Key("the hash does not fit the name and key")) }
    }

    /// Signs a checkpoint of this log.
    ///
    /// # Errors
    /// [`NoteError::OtherOrigin`] for a checkpoint of another log.
    pub fn sign(&self, checkpoint: &Checkpoint) -> Result<String, NoteError> {
        if checkpoint.origin != self.name {
            return Err(NoteError::OtherOrigin);
        }
        Ok(self.signed(&checkpoint.text()))
    }

    /// Signs another text than a checkpoint as a note: its first line says what it is, and has a blank, which no log's origin has.
    ///
    /// # Errors
    /// [`NoteError::Note`] for a text that could be taken for a checkpoint, or is no note's.
    pub(super) fn sign_text(&self, text: &str) -> Result<String, NoteError> {
        let says_what = text.split('\n').next().is_some_and(|line| line.contains(' '));
        if !says_what || !text.ends_with('\n') || text.contains("\n\n") {
            return Err(NoteError::Note("a text that does not say what it is"));
        }
        Ok(self.signed(text))
    }

    fn signed(&self, text: &str) -> String {
        let mut signed = self.verifier().hash.to_be_bytes().to_vec();
        signed.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        format!("{text}\n— {} {}\n", self.name, STANDARD.encode(signed))
    }
}

/// One signature line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteSignature<'a> {
    /// The key's name.
    pub name: &'a str,
    /// The key's hash.
    pub hash: u32,
    /// The signature, by the type that the key says.
    pub bytes: Vec<u8>,
}

/// A signed note whose signatures have not been checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note<'a> {
    /// The signed text, its final newline included.
    pub text: &'a str,
    /// The signature lines.
    pub signatures: Vec<NoteSignature<'a>>,
}

impl<'a> Note<'a> {
    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError::Note`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteError::Note("too long"));
        }
        let note = std::str::from_utf8(bytes).map_err(|_not_utf8| NoteError::Note("not UTF-8"))?;
        if note.bytes().any(|b| b < 0x20 && b != b'\n') {
            return Err(NoteError::Note("a control character"));
        }
        let at = note.rfind("\n\n").ok_or(NoteError::Note("no signatures"))?;
        let (text, lines) = (note.get(..=at).unwrap_or_default(), note.get(at + 2..).unwrap_or_default());
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Note("no newline at the end"))?;
        let signatures =
            lines.split('\n').map(signature).collect::<Option<Vec<_>>>().ok_or(NoteError::Note("a malformed signature line"))?;
        Ok(Self { text, signatures })
    }
}

impl Note<'_> {
    /// The notes of a file that holds one after the other, not read yet. What follows the last signature line of one begins the next.
    pub fn split(bytes: &[u8]) -> Vec<&[u8]> {
        let mut notes = Vec::new();
        let (mut start, mut at, mut signed) = (0, 0, false);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let signature = line.starts_with("— ".as_bytes());
            if signed && !signature {
                notes.extend(bytes.get(start..at));
                start = at;
            }
            signed = signature;
            at += line.len();
        }
        if start < at {
            notes.extend(bytes.get(start..at));
        }
        notes
    }

    /// The note as bytes would hold it.
    pub fn render(&self) -> String {
        let mut out = format!("{}\n", self.text);
        for signature in &self.signatures {
            let bytes = [signature.hash.to_be_bytes().as_slice(), &signature.bytes].concat();
            out.push_str("— ");
            out.push_str(signature.name);
            out.push(' ');
            out.push_str(&STANDARD.encode(bytes));
            out.push('\n');
        }
        out
    }
}

fn signature(line: &str) -> Option<NoteSignature<'_>> {
    let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok().filter(|_| is_key_name(name))?;
    let (hash, bytes) = bytes.split_first_chunk::<4>()?;
    (!bytes.is_empty()).then(|| NoteSignature { name, hash: u32::from_be_bytes(*hash), bytes: bytes.to_vec() })
}

/// A tree head: which log, how many leaves, which root.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Checkpoint {
    /// The log's origin.
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Digest,
}

impl Checkpoint {
    /// The note's text: origin, size, root in base64, a line each.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0))
    }

    /// Reads a note's text. Extension lines are allowed and ignored.
    ///
    /// # Errors
    /// [`NoteError::Checkpoint`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let body = text.strip_suffix('\n').ok_or(NoteError::Checkpoint("no newline at the end"))?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(NoteError::Checkpoint("fewer than three lines"));
        };
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err(NoteError::Checkpoint("an empty line"));
        }
        let number = size.parse::<u64>().ok().filter(|n| n.to_string() == size).ok_or(NoteError::Checkpoint("the size is no number"))?;
        let root =
            STANDARD.decode(root).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(NoteError::Checkpoint("the root is no hash"))?;
        Ok(Self { origin: origin.to_owned(), size: number, root: Digest(root) })
    }

    /// Reads a signed checkpoint of the log that `key` belongs to.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn open(note: &[u8], key: &VerifierKey) -> Result<Self, NoteError> {
        let note = Note::parse(note)?;
        key.verify(&note)?;
        let checkpoint = Self::parse(note.text)?;
        if checkpoint.origin == key.name { Ok(checkpoint) } else { Err(NoteError::OtherOrigin) }
    }
}

/// What the first of these keys opens. Where none does: the first refusal that says more than `unsigned`, that a key did not sign.
///
/// # Errors
/// That refusal, or `unsigned`.
pub fn by_any<'k, T, E: PartialEq>(
    keys: impl IntoIterator<Item = &'k VerifierKey>,
    unsigned: E,
    mut open: impl FnMut(&'k VerifierKey) -> Result<T, E>,
) -> Result<T, E> {
    let mut said = unsigned;
    let mut says_more = false;
    for key in keys {
        match open(key) {
            Ok(opened) => return Ok(opened),
            Err(error) if !says_more => {
                says_more = error != said;
                said = error;
            }
            Err(_) => {}
        }
    }
    Err(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// From the tests of Go's `golang.org/x/mod/sumdb/note`.
    const GO_SIGNER: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const GO_VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn key() -> LogKey {
        LogKey::new("example.com/kith", &[7; 32]).unwrap()
    }

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint { origin: "example.com/kith".into(), size, root: Digest([9; 32]) }
    }

    #[test]
    fn keys_and_notes_of_the_go_implementation_read_verify_and_come_out_the_same() {
        let verifier = VerifierKey::parse(GO_VERIFIER).unwrap();
        let note = Note::parse(GO_NOTE.as_bytes()).unwrap();
        assert_eq!(verifier.verify(&note), Ok(()));
        assert_eq!(verifier.to_string(), GO_VERIFIER);
        let signer = LogKey::parse(GO_SIGNER).unwrap();
        assert_eq!(signer.verifier(), verifier);
        assert_eq!(signer.reveal().as_str(), GO_SIGNER);
        assert_eq!(signer.key.sign(note.text.as_bytes()).to_bytes().to_vec(), note.signatures[0].bytes);
    }

    #[test]
    fn the_specifications_example_is_a_note_and_a_checkpoint() {
        let example = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
        let note = Note::parse(example.as_bytes()).unwrap();
        let checkpoint = Checkpoint::parse(note.text).unwrap();
        assert_eq!((checkpoint.size, checkpoint.origin.as_str()), (20_852_163, "example.com/behind-the-sofa"));
        assert_eq!(checkpoint.text(), note.text);
    }

    #[test]
    fn a_signed_checkpoint_opens_with_its_key_and_no_other() {
        let note = key().sign(&checkpoint(5)).unwrap();
        assert_eq!(Checkpoint::open(note.as_bytes(), &key().verifier()), Ok(checkpoint(5)));
        let other = LogKey::new("example.com/kith", &[8; 32]).unwrap();
        assert_eq!(Checkpoint::open(note.as_bytes(), &other.verifier()), Err(NoteError::Unsigned));
        let renamed = LogKey::new("example.com/other", &[7; 32]).unwrap();
        assert_eq!(Checkpoint::open(note.as_bytes(), &renamed.verifier()), Err(NoteError::Unsigned));
        assert_eq!(renamed.sign(&checkpoint(5)), Err(NoteError::OtherOrigin));
        let forged = note.replacen("\n5\n", "\n6\n", 1);
        assert_eq!(Checkpoint::open(forged.as_bytes(), &key().verifier()), Err(NoteError::BadSignature));
        let cosigned = format!("{note}{}", "— witness.example AAAAAQECAwQ=\n");
        assert_eq!(Checkpoint::open(cosigned.as_bytes(), &key().verifier()), Ok(checkpoint(5)));
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        for wrong in ["a\n05\nAA==\n", "a\n5\nAA==\n", "\n5\n", "a\n5\n", "a\n-1\n", "a\n5", ""] {
            assert!(matches!(Checkpoint::parse(wrong), Err(NoteError::Checkpoint(_))), "{wrong:?}");
        }
        let root = STANDARD.encode([9; 32]);
        assert!(Checkpoint::parse(&format!("a\n5\n{root}\n\n")).is_err());
        assert!(Checkpoint::parse(&format!("a\n18446744073709551616\n{root}\n")).is_err());
        assert_eq!(Checkpoint::parse(&format!("a\n5\n{root}\nextension\n")).unwrap().size, 5);
        for wrong in [
            "",
            "text\n",
            "text\n\n",
            "text\n\n- a AAAA\n",
            "text\n\n— a AAAA\n",
            "text\n\n— a+b AAAAAAAA\n",
            "text\n\n— a AAAAAAAA",
            "t\rext\n\n— a AAAAAAAA\n",
        ] {
            assert!(matches!(Note::parse(wrong.as_bytes()), Err(NoteError::Note(_))), "{wrong:?}");
        }
        for wrong in [
            "",
            "a",
            "a+b",
            "a+00000000+AQ==",
            "PRIVATE+KEY+a+00000000+AQ==",
            &GO_VERIFIER.replace("c74f", "C74F"),
            &GO_VERIFIER.replace("c74f", "c74e"),
        ] {
            assert!(matches!(VerifierKey::parse(wrong), Err(NoteError::Key(_))), "{wrong:?}");
        }
        assert!(LogKey::new("a b", &[1; 32]).is_err() && LogKey::new("a+b", &[1; 32]).is_err() && LogKey::new("", &[1; 32]).is_err());
    }

    #[test]
    fn notes_that_stand_one_after_the_other_are_told_apart() {
        let notes: Vec<String> = (1..4).map(|size| key().sign(&checkpoint(size)).unwrap()).collect();
        let file = notes.concat();
        let found = Note::split(file.as_bytes());
        assert_eq!(found, notes.iter().map(String::as_bytes).collect::<Vec<_>>());
        assert!(Note::split(b"").is_empty());
        let cut = Note::split(&file.as_bytes()[..file.len() - 3]);
        assert!(cut.len() == 3 && Checkpoint::open(cut[2], &key().verifier()).is_err());
    }

    #[test]
    fn the_secret_half_is_not_printed() {
        assert!(!format!("{:?}", key()).contains(STANDARD.encode([7; 32]).trim_end_matches('=')));
    }

    proptest! {
        #[test]
        fn a_flipped_bit_never_opens(bit in any::<prop::sample::Index>()) {
            let mut note = key().sign(&checkpoint(123_456)).unwrap().into_bytes();
            let bit = bit.index(note.len() * 8);
            note[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Checkpoint::open(&note, &key().verifier()).is_err());
        }

        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[a-z0-9+=\n— ]{0,80}") {
            drop(Note::parse(&bytes));
            drop(Note::parse(text.as_bytes()));
            drop(Checkpoint::parse(&text));
            drop(VerifierKey::parse(&text));
            drop(LogKey::parse(&text));
        }
    }
}
