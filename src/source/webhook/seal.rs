//! Encrypts deliveries that wait outside for who is inside, in the age format (age-encryption.org/v1): the machine outside can't read what it keeps.

use age::x25519;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// Why a key can't be used. Never holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealKeyError {
    /// No public key.
    #[error("`recipient` is no public key `age1…`")]
    Public,
    /// A secret key stands where a public one is meant.
    #[error("`recipient` is a secret key: it must not be on this machine")]
    SecretOutside,
    /// No secret key.
    #[error("`drain_key` holds no line `AGE-SECRET-KEY-1…`")]
    Secret,
}

/// Encrypts.
#[derive(Clone)]
pub struct Sealer(x25519::Recipient);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// For the owner of a public key.
    ///
    /// # Errors
    /// It is none.
    pub fn of(recipient: &str) -> Result<Self, SealKeyError> {
        if recipient.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            return Err(SealKeyError::SecretOutside);
        }
        recipient.parse().map(Self).map_err(|_why: &str| SealKeyError::Public)
    }

    /// Encrypts a body; `None` where the system gives no chance, or no memory.
    pub fn seal(&self, body: &[u8]) -> Option<Vec<u8>> {
        age::encrypt(&self.0, body).ok()
    }
}

/// Decrypts.
#[derive(Clone)]
pub struct Opener(x25519::Identity);

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener(‹secret›)")
    }
}

impl Opener {
    /// With a file's text as `age-keygen` writes it.
    ///
    /// # Errors
    /// There is no secret key in it.
    pub fn of(text: &SecretString) -> Result<Self, SealKeyError> {
        let line = text.expose_secret().lines().map(str::trim).find(|line| line.starts_with("AGE-SECRET-KEY-1"));
        let key = line.and_then(|line| line.parse().ok());
        key.map(Self).ok_or(SealKeyError::Secret)
    }

    /// Decrypts a body; `None` where it was encrypted for another key, or changed.
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        age::decrypt(&self.0, sealed).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_opens_what_was_sealed_and_a_changed_byte_is_noticed() {
        let (ours, theirs) = (x25519::Identity::generate(), x25519::Identity::generate());
        let file = format!("# created: today\n# public key: {}\n{}\n", ours.to_public(), ours.to_string().expose_secret());
        let (sealer, opener) = (Sealer::of(&ours.to_public().to_string()).unwrap(), Opener::of(&file.into()).unwrap());
        let sealed = sealer.seal(b"who said what").unwrap();
        assert!(!sealed.windows(4).any(|part| part == b"said"));
        assert_eq!(opener.open(&sealed).unwrap(), b"who said what");
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(opener.open(&changed).is_none() && Opener(theirs).open(&sealed).is_none());
        assert_eq!(Sealer::of(ours.to_string().expose_secret()).unwrap_err(), SealKeyError::SecretOutside);
        assert_eq!(Sealer::of("age1xyz").unwrap_err(), SealKeyError::Public);
        assert_eq!(Opener::of(&"age1xyz".to_owned().into()).unwrap_err(), SealKeyError::Secret);
    }
}
