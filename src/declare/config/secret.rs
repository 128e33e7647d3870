//! Where a secret comes from, and the secret once it is read. Neither prints its value.

use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::path::PathBuf;

/// A secret longer than this is a wrong file: the longest wanted, a PEM key with its chain, is below 16 KiB.
pub const MAX_SECRET_BYTES: usize = 64 * 1024;

/// Where a secret is to be found when the service starts. Holds no secret itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretSource {
    /// `{ file = "…" }`: the content of a file, without one line end at its end.
    File(PathBuf),
    /// `{ env = "…" }`: an environment variable.
    Env(String),
    /// `{ credential = "…" }`: a systemd credential, by name in the service's credentials directory.
    Credential(String),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::Credential(name) => write!(f, "the credential {name}"),
        }
    }
}

/// A secret that was read. `Debug` hides it; it is wiped from memory when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(‹hidden›)")
    }
}

/// Why the bytes found are no usable secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SecretError {
    /// Nothing but white space.
    #[error("the secret is empty")]
    Empty,
    /// Not text.
    #[error("the secret is not UTF-8 text")]
    NotText,
    /// Longer than [`MAX_SECRET_BYTES`].
    #[error("the secret is longer than {MAX_SECRET_BYTES} bytes")]
    TooLong,
}

impl Secret {
    /// Takes the bytes of a secret as they were found; one line end at the end is not part of it.
    ///
    /// # Errors
    /// When it is empty, no UTF-8, or too long.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, SecretError> {
        if bytes.len() > MAX_SECRET_BYTES {
            return Err(SecretError::TooLong);
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => zeroize::Zeroizing::new(text),
            Err(error) => {
                drop(zeroize::Zeroizing::new(error.into_bytes()));
                return Err(SecretError::NotText);
            }
        };
        let kept = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
        if kept.trim().is_empty() {
            return Err(SecretError::Empty);
        }
        Ok(Self(SecretString::from(kept)))
    }

    /// The secret itself: never into a log, an error or a page.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_secret() {
        let secret = Secret::from_bytes(b"hunter2-hunter2\n".to_vec()).unwrap();
        assert_eq!(secret.expose(), "hunter2-hunter2");
        assert!(!format!("{secret:?} {:#?}", Some(&secret)).contains("hunter2"));
    }

    #[test]
    fn one_line_end_is_not_part_of_a_secret_and_blanks_are() {
        for (bytes, kept) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")] {
            assert_eq!(Secret::from_bytes(bytes.into()).unwrap().expose(), kept);
        }
    }

    #[test]
    fn an_empty_binary_or_huge_secret_is_refused() {
        let refused = |bytes: Vec<u8>| Secret::from_bytes(bytes).unwrap_err();
        assert_eq!(refused(b" \n".to_vec()), SecretError::Empty);
        assert_eq!(refused(vec![0xff, 0xfe]), SecretError::NotText);
        assert_eq!(refused(vec![b'a'; MAX_SECRET_BYTES + 1]), SecretError::TooLong);
    }
}
