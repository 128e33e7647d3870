//! Cosignatures (C2SP tlog-cosignature, the Ed25519 form): a witness says when it saw a checkpoint that goes on from all that it saw before.

use super::checkpoint::{COSIGNATURE, Checkpoint, Note, NoteError, encoded_key, is_key_name, key_hash, key_parts};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use std::fmt;
use zeroize::Zeroizing;

/// What a witness signs: the header line, the time, and the whole text of the checkpoint's note.
fn message(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// The public key of a witness, in the text form `name+hash+base64(4 ‖ key)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CosignerKey {
    name: String,
    hash: u32,
    key: VerifyingKey,
}

/// A cosignature that holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cosigned {
    /// The witness's name.
    pub witness: String,
    /// When it cosigned, in seconds since 1970, by its own clock.
    pub seconds: u64,
}

impl CosignerKey {
    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`NoteError::Key`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, hash, key) = key_parts(text, COSIGNATURE)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_no_point| NoteError::Key("not an Ed25519 public key"))?;
        let known = Self { hash: key_hash(name, COSIGNATURE, key.as_bytes()), name: name.to_owned(), key };
        if known.hash == hash { Ok(known) } else { Err(NoteError::Key("the hash does not fit the name and key")) }
    }

    /// Checks a note's cosignature by this key.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`], [`NoteError::BadSignature`].
    pub fn verify(&self, note: &Note<'_>) -> Result<Cosigned, NoteError> {
        let mut newest = None;
        for signature in note.signatures.iter().filter(|s| s.name == self.name && s.hash == self.hash) {
            let (time, bytes) = signature.bytes.split_first_chunk::<8>().ok_or(NoteError::BadSignature)?;
            let bytes: [u8; 64] = bytes.try_into().map_err(|_length| NoteError::BadSignature)?;
            // 2^63 − 1 at most, says the specification.
            let seconds = u64::from_be_bytes(*time);
            if i64::try_from(seconds).is_err() {
                return Err(NoteError::BadSignature);
            }
            let signed = message(note.text, seconds);
            self.key.verify_strict(signed.as_bytes(), &Signature::from_bytes(&bytes)).map_err(|_wrong| NoteError::BadSignature)?;
            newest = newest.max(Some(seconds));
        }
        newest.map(|seconds| Cosigned { witness: self.name.clone(), seconds }).ok_or(NoteError::Unsigned)
    }
}

impl fmt::Display for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, self.hash, encoded_key(COSIGNATURE, self.key.as_bytes()).as_str())
    }
}

/// The key with which a witness cosigns, in the text form `PRIVATE+KEY+name+hash+base64(4 ‖ seed)`.
#[derive(Clone)]
pub struct WitnessKey {
    name: String,
    key: SigningKey,
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WitnessKey({}, ‹secret›)", self.verifier())
    }
}

impl WitnessKey {
    /// The key of the witness `name` with this seed of 32 random bytes.
    ///
    /// # Errors
    /// [`NoteError::Key`] where the name is empty or has blanks, `+` or control characters.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        if !is_key_name(name) {
            return Err(NoteError::Key("the name has blanks, a plus, or is empty"));
        }
        Ok(Self { name: name.to_owned(), key: SigningKey::from_bytes(seed) })
    }

    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public half.
    pub fn verifier(&self) -> CosignerKey {
        let key = self.key.verifying_key();
        CosignerKey { name: self.name.clone(), hash: key_hash(&self.name, COSIGNATURE, key.as_bytes()), key }
    }

    /// The text form, secret: for the key file only.
    pub fn reveal(&self) -> Zeroizing<String> {
        let seed = Zeroizing::new(self.key.to_bytes());
        Zeroizing::new(format!("PRIVATE+KEY+{}+{:08x}+{}", self.name, self.verifier().hash, encoded_key(COSIGNATURE, &seed).as_str()))
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`NoteError::Key`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let rest = text.strip_prefix("PRIVATE+KEY+").ok_or(NoteError::Key("does not start with PRIVATE+KEY+"))?;
        let (name, hash, seed) = key_parts(rest, COSIGNATURE)?;
        let key = Self::new(name, &Zeroizing::new(seed))?;
        if key.verifier().hash == hash { Ok(key) } else { Err(NoteError::Key("the hash does not fit the name and key")) }
    }

    /// Adds this witness's cosignature to a signed checkpoint. An older one of the same key is replaced. That the checkpoint goes on from
    /// what the witness saw before is the caller's to have checked.
    ///
    /// # Errors
    /// [`NoteError`] where the note is no signed checkpoint.
    pub fn cosign(&self, note: &str, seconds: u64) -> Result<String, NoteError> {
        let parsed = Note::parse(note.as_bytes())?;
        Checkpoint::parse(parsed.text)?;
        let hash = self.verifier().hash;
        let mut signed = hash.to_be_bytes().to_vec();
        signed.extend_from_slice(&seconds.to_be_bytes());
        signed.extend_from_slice(&self.key.sign(message(parsed.text, seconds).as_bytes()).to_bytes());
        let others: Vec<_> = parsed.signatures.into_iter().filter(|s| (s.name, s.hash) != (self.name.as_str(), hash)).collect();
        let mut out = Note { text: parsed.text, signatures: others }.render();
        out.extend(["— ", &self.name, " ", &STANDARD.encode(signed), "\n"]);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::LogKey;
    use super::*;
    use crate::model::Digest;
    use proptest::prelude::*;

    fn log() -> LogKey {
        LogKey::new("example.com/kith", &[7; 32]).unwrap()
    }

    fn note() -> String {
        log().sign(&Checkpoint { origin: "example.com/kith".into(), size: 5, root: Digest([9; 32]) }).unwrap()
    }

    fn witness() -> WitnessKey {
        WitnessKey::new("witness.example/one", &[8; 32]).unwrap()
    }

    #[test]
    fn a_cosignature_is_accepted_by_its_key_and_leaves_the_log_s_as_it_was() {
        let cosigned = witness().cosign(&note(), 1_679_315_147).unwrap();
        assert!(cosigned.starts_with(&note()));
        let read = Note::parse(cosigned.as_bytes()).unwrap();
        assert_eq!(witness().verifier().verify(&read), Ok(Cosigned { witness: "witness.example/one".into(), seconds: 1_679_315_147 }));
        assert!(Checkpoint::open(cosigned.as_bytes(), &log().verifier()).is_ok());
        assert_eq!(witness().verifier().verify(&Note::parse(note().as_bytes()).unwrap()), Err(NoteError::Unsigned));
        let again = witness().cosign(&cosigned, 1_679_315_148).unwrap();
        assert_eq!(again.lines().count(), cosigned.lines().count(), "the older one is replaced");
        let other = WitnessKey::new("witness.example/two", &[8; 32]).unwrap().cosign(&again, 3).unwrap();
        let read = Note::parse(other.as_bytes()).unwrap();
        assert_eq!((read.signatures.len(), witness().verifier().verify(&read).unwrap().seconds), (3, 1_679_315_148));
    }

    #[test]
    fn the_time_and_the_whole_text_are_signed() {
        let cosigned = witness().cosign(&note(), 1_679_315_147).unwrap();
        let forged = cosigned.replacen("\n5\n", "\n6\n", 1);
        assert_eq!(witness().verifier().verify(&Note::parse(forged.as_bytes()).unwrap()), Err(NoteError::BadSignature));
        let mut read = Note::parse(cosigned.as_bytes()).unwrap();
        read.signatures[1].bytes[7] ^= 1;
        assert_eq!(witness().verifier().verify(&read), Err(NoteError::BadSignature));
    }

    #[test]
    fn a_log_s_key_is_no_witness_s_and_the_other_way() {
        let (log, witness) = (log(), witness());
        assert_eq!(CosignerKey::parse(&witness.verifier().to_string()), Ok(witness.verifier()));
        assert_eq!(WitnessKey::parse(&witness.reveal()).unwrap().verifier(), witness.verifier());
        assert!(CosignerKey::parse(&log.verifier().to_string()).is_err() && WitnessKey::parse(&log.reveal()).is_err());
        assert!(super::super::VerifierKey::parse(&witness.verifier().to_string()).is_err() && LogKey::parse(&witness.reveal()).is_err());
        assert!(!format!("{witness:?}").contains(witness.reveal().rsplit('+').next().unwrap()));
    }

    #[test]
    fn the_specification_s_example_is_read() {
        // From C2SP tlog-cosignature; the witness's public key is not published with it, so only the form can be held against ours.
        let example = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
        let note = Note::parse(example.as_bytes()).unwrap();
        let cosignature = &note.signatures[1].bytes;
        assert_eq!((cosignature.len(), u64::from_be_bytes(*cosignature.first_chunk().unwrap())), (72, 1_679_315_147));
        assert_eq!(note.render(), example);
    }

    proptest! {
        #[test]
        fn a_flipped_bit_never_verifies(bit in any::<prop::sample::Index>()) {
            let mut note = witness().cosign(&note(), 77).unwrap().into_bytes();
            let bit = bit.index(note.len() * 8);
            note[bit / 8] ^= 1 << (bit % 8);
            let both = Note::parse(&note).ok().filter(|n| witness().verifier().verify(n).is_ok() && log().verifier().verify(n).is_ok());
            prop_assert!(both.is_none());
        }
    }
}
