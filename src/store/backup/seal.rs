//! Who can open a backup: public and secret keys in the age format's own files, and small texts sealed for them.

use super::BackupError;
use age::x25519;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// A file of keys: twenty lines of at most some hundred characters.
const MAX_KEY_FILE: u64 = 64 * 1024;
/// Recipients of one backup: each adds some 200 bytes to its head.
const MAX_RECIPIENTS: usize = 20;
/// A sealed text: three lines of keys.
const MAX_SMALL_TEXT: u64 = 64 * 1024;

fn read_text(path: &Path) -> Result<Zeroizing<String>, BackupError> {
    let said = |source| BackupError::Io { path: path.to_owned(), source };
    let mut text = Zeroizing::new(String::new());
    File::open(path).and_then(|file| file.take(MAX_KEY_FILE + 1).read_to_string(&mut text)).map_err(said)?;
    if text.len() as u64 > MAX_KEY_FILE {
        return Err(BackupError::Keys { path: path.to_owned(), what: "it is longer than a file of keys".to_owned() });
    }
    Ok(text)
}

/// Public keys: who can open what is sealed for them.
pub struct Recipients(Vec<x25519::Recipient>);

impl std::fmt::Debug for Recipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recipients({})", self.0.len())
    }
}

impl Recipients {
    /// Reads a file of public keys: one a line; blank lines and those that begin with `#` are left out.
    ///
    /// # Errors
    /// [`BackupError::Io`], [`BackupError::Keys`] with the number of the line.
    pub fn read(path: &Path) -> Result<Self, BackupError> {
        let wrong = |what: String| BackupError::Keys { path: path.to_owned(), what };
        let text = read_text(path)?;
        let mut keys = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
                return Err(wrong(format!(
                    "line {number} is a secret key: it must not be on this machine; put the public one here (`age-keygen -y`)"
                )));
            }
            keys.push(line.parse().map_err(|_why: &str| wrong(format!("line {number} is no public key `age1…`")))?);
        }
        match keys.len() {
            0 => Err(wrong("there is no public key in it".to_owned())),
            1..=MAX_RECIPIENTS => Ok(Self(keys)),
            _ => Err(wrong(format!("it has more than {MAX_RECIPIENTS} public keys"))),
        }
    }

    /// How many.
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// Encrypts what is written.
    pub(super) fn seal<W: io::Write>(&self, to: W) -> io::Result<age::stream::StreamWriter<W>> {
        let recipients = self.0.iter().map(|key| key as &dyn age::Recipient);
        age::Encryptor::with_recipients(recipients)
            .map_err(|_why| io::Error::other("these public keys can't be used together"))?
            .wrap_output(to)
    }
}

/// Secret keys.
pub struct Identities(Vec<Box<dyn age::Identity + Send + Sync>>);

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identities(‹secret›)")
    }
}

impl Identities {
    /// Reads a file of secret keys as `age-keygen` writes it.
    ///
    /// # Errors
    /// [`BackupError::Io`], [`BackupError::Keys`].
    pub fn read(path: &Path) -> Result<Self, BackupError> {
        let text = read_text(path)?;
        // What the parser says may show a line.
        let wrong = |what: &str| BackupError::Keys { path: path.to_owned(), what: what.to_owned() };
        let file = age::IdentityFile::from_buffer(text.as_bytes())
            .map_err(|_may_show_a_key| wrong("it holds no secret key `AGE-SECRET-KEY-1…`"))?;
        let keys = file.into_identities().map_err(|_may_show_a_key| wrong("it holds a secret key that can't be used"))?;
        if keys.is_empty() { Err(wrong("there is no secret key in it")) } else { Ok(Self(keys)) }
    }

    /// Decrypts a file.
    pub(super) fn open(&self, path: &Path) -> Result<impl Read + use<>, BackupError> {
        let sealed = |what| BackupError::Sealed { path: path.to_owned(), what };
        let file = File::open(path).map_err(|source| BackupError::Io { path: path.to_owned(), source })?;
        let decryptor = age::Decryptor::new_buffered(BufReader::new(file)).map_err(|error| refused(&error, path))?;
        if decryptor.is_scrypt() {
            return Err(sealed("it is sealed with a passphrase, and Kith seals for public keys"));
        }
        decryptor.decrypt(self.0.iter().map(|key| &**key as &dyn age::Identity)).map_err(|error| refused(&error, path))
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "features of the crate that others turn on add to the list")]
fn refused(error: &age::DecryptError, path: &Path) -> BackupError {
    let what = match error {
        age::DecryptError::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
            return BackupError::Io { path: path.to_owned(), source: io::Error::new(source.kind(), source.to_string()) };
        }
        age::DecryptError::NoMatchingKeys => "none of the secret keys fits",
        age::DecryptError::InvalidMac => "its head was changed",
        age::DecryptError::InvalidHeader | age::DecryptError::UnknownFormat | age::DecryptError::Io(_) => "it is no file in the age format",
        _ => "it can't be decrypted",
    };
    BackupError::Sealed { path: path.to_owned(), what }
}

/// The text in a small sealed file.
///
/// # Errors
/// [`BackupError::Sealed`] also where it was changed or cut off.
pub fn unseal_small(path: &Path, identities: &Identities) -> Result<Zeroizing<String>, BackupError> {
    let mut text = Zeroizing::new(String::new());
    let read = identities.open(path)?.take(MAX_SMALL_TEXT).read_to_string(&mut text);
    read.map_err(|_cut_off_or_changed| BackupError::Sealed { path: path.to_owned(), what: "it was changed, is cut off, or is no text" })?;
    Ok(text)
}
