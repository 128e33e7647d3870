//! WS-Security `UsernameToken` 1.0 (OASIS, March 2004): the header that carries user and password, as text or as a digest.

use crate::wire::xml::{Name, Tree};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha1::{Digest as _, Sha1};
use std::time::Duration;

/// `Security`, `UsernameToken`
pub const WSSE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
/// `Created`, `Expires`, `Timestamp`
const WSU: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const TEXT: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText";
const DIGEST: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest";
const BASE64_BINARY: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";

/// 128 random bits: no two of a service's life are the same.
pub const NONCE_BYTES: usize = 16;

/// What a token is made of.
#[derive(Clone, Copy)]
pub struct Token<'a> {
    /// The user.
    pub user: &'a str,
    /// The password.
    pub password: &'a str,
    /// Whether the password travels as a digest.
    pub digest: bool,
    /// Never used before.
    pub nonce: [u8; NONCE_BYTES],
    /// When it is made, by the clock that the server is to compare.
    pub created: Timestamp,
    /// The life of a timestamp that is sent along.
    pub expires: Option<Duration>,
}

/// To the millisecond, in UTC, as servers of every stack read it.
fn moment(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

fn wsse(local: &str) -> Name {
    Name::new(WSSE, local)
}

fn wsu(local: &str) -> Name {
    Name::new(WSU, local)
}

impl Token<'_> {
    /// The header. `understood` is the name of `mustUnderstand` in the envelope's namespace.
    pub fn header(&self, understood: Name) -> Tree {
        let created = moment(self.created);
        let nonce = BASE64.encode(self.nonce);
        let (kind, password) = if self.digest {
            // Base64 of SHA-1 over nonce, created and password (profile 1.0, §3.1); the nonce as bytes.
            let mut hash = Sha1::new();
            hash.update(self.nonce);
            hash.update(created.as_bytes());
            hash.update(self.password.as_bytes());
            (DIGEST, BASE64.encode(hash.finalize()))
        } else {
            (TEXT, self.password.to_owned())
        };
        let token = Tree::new(wsse("UsernameToken"))
            .child(Tree::new(wsse("Username")).text(self.user))
            .child(Tree::new(wsse("Password")).attribute(Name::local("Type"), kind).text(password))
            .child(Tree::new(wsse("Nonce")).attribute(Name::local("EncodingType"), BASE64_BINARY).text(nonce))
            .child(Tree::new(wsu("Created")).text(created.clone()));
        let mut header = Tree::new(wsse("Security")).attribute(understood, "1");
        if let Some(life) = self.expires {
            let until = self.created.checked_add(life).unwrap_or(self.created);
            header = header.child(
                Tree::new(wsu("Timestamp"))
                    .child(Tree::new(wsu("Created")).text(created))
                    .child(Tree::new(wsu("Expires")).text(moment(until))),
            );
        }
        header.child(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::xml::Writer;

    #[test]
    fn a_digest_is_over_nonce_created_and_password() {
        // Computed with Python: base64(sha1(bytes(range(16)) + b"2026-11-27T10:00:00.250Z" + b"s3cret&<>")).
        let token = Token {
            user: "svc",
            password: "s3cret&<>",
            digest: true,
            nonce: std::array::from_fn(|at| u8::try_from(at).unwrap()),
            created: "2026-11-27T10:00:00.25Z".parse().unwrap(),
            expires: Some(Duration::from_mins(5)),
        };
        let text = Writer::with(&[("wsse", WSSE), ("wsu", WSU)]).write(&token.header(Name::new("urn:e", "mustUnderstand")));
        assert!(
            text.contains("<wsu:Created>2026-11-27T10:00:00.250Z</wsu:Created><wsu:Expires>2026-11-27T10:05:00.250Z</wsu:Expires>"),
            "{text}"
        );
        assert!(text.contains("#PasswordDigest\">sdDVFR7zd7BnOH53y74idNFknCI=</wsse:Password>"), "{text}");
        assert!(text.contains(">AAECAwQFBgcICQoLDA0ODw==</wsse:Nonce>"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}
