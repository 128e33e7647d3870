//! How networks prove that a delivery is theirs, and that an address is ours: signatures over the raw body, and the questions that are asked before
//! anything is delivered. Arithmetic only: who listens is `source::webhook`.
//!
//! Written after, as of 2026-11-28: Meta's "Webhooks: getting started" (`X-Hub-Signature-256`, `hub.verify_token`), X's "Webhooks: securing"
//! (`crc_token`, `x-twitter-webhooks-signature`), `WebSub` (W3C Recommendation of 2018-01-23, sections 5.3 and 7), Discourse's
//! `emit_web_hook_event.rb` (`X-Discourse-Event-Signature`; its other headers are not signed, and not believed) and Standard Webhooks 1.0 (`v1`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::fmt;

/// What a signature's header may have: Standard Webhooks puts several signatures of 90 bytes into one while keys are changed.
const LONGEST_HEADER: usize = 2_048;
/// Signatures in one header that are tried.
const MOST_SIGNATURES: usize = 8;
/// An id of Standard Webhooks is under 64 bytes; it is only ever hashed.
const LONGEST_ID: usize = 256;
/// A challenge is echoed to whoever asks: networks send 10 to 100 characters.
const LONGEST_CHALLENGE: usize = 1_024;
/// Standard Webhooks: how far a sender's clock, with the way here, may be from ours. Its specification leaves the number open; its libraries take this.
pub const TOLERANCE_SECONDS: i64 = 300;

/// Whose rules a webhook follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// Facebook pages and Instagram.
    Meta,
    /// X.
    X,
    /// Hubs of feeds.
    WebSub,
    /// Discourse communities.
    Discourse,
    /// Standard Webhooks 1.0: what Kith itself sends too.
    Standard,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 5] = [Self::Meta, Self::X, Self::WebSub, Self::Discourse, Self::Standard];

    /// As a connector writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::X => "x",
            Self::WebSub => "websub",
            Self::Discourse => "discourse",
            Self::Standard => "standard",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    /// Whether deliveries don't say of which site they are, so that the configuration must.
    pub const fn wants_server(self) -> bool {
        matches!(self, Self::Discourse)
    }

    /// Whether the network asks with a token of ours before it delivers.
    pub const fn has_verify_token(self) -> bool {
        matches!(self, Self::Meta)
    }

    /// The header with the signature, in small letters.
    const fn header(self) -> &'static str {
        match self {
            Self::Meta => "x-hub-signature-256",
            Self::X => "x-twitter-webhooks-signature",
            Self::WebSub => "x-hub-signature",
            Self::Discourse => "x-discourse-event-signature",
            Self::Standard => "webhook-signature",
        }
    }
}

/// Why a secret can't be one of a scheme. Never holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// Standard Webhooks: `whsec_` and base64.
    #[error("a secret of Standard Webhooks is `whsec_` with 24 to 64 bytes in base64 behind it")]
    NotStandard,
    /// `WebSub`: the hub takes less than 200 bytes.
    #[error("a hub's secret has less than 200 bytes")]
    TooLong,
}

/// The secrets of one webhook: the one in force, and beside it another while they are changed. `Debug` hides them.
pub struct Keys {
    scheme: Scheme,
    secrets: Vec<SecretSlice<u8>>,
    verify_token: Option<SecretString>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({}, {})", self.scheme.name(), self.secrets.len())
    }
}

/// Why a delivery is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// No signature, or a header that is needed with it.
    #[error("no signature")]
    Unsigned,
    /// Headers of another form.
    #[error("a signature of another form")]
    Form,
    /// None of the secrets made it.
    #[error("a wrong signature")]
    Wrong,
    /// It was signed too long ago, or in the future.
    #[error("a signature of another time")]
    Late,
}

/// A delivery whose signature is right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Genuine {
    /// What tells it from every other delivery, keyed so that it says nothing without the secret: the same again is the same delivery.
    pub mark: [u8; 16],
}

/// An answer to a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// `Content-Type`
    pub kind: &'static str,
    /// The content.
    pub text: String,
    /// What the question was about, for the log.
    pub about: &'static str,
}

impl Keys {
    /// Of the secrets as they are written down, the first being the one in force.
    ///
    /// # Errors
    /// One of them can't be a secret of the scheme.
    pub fn new<'s>(
        scheme: Scheme,
        secrets: impl IntoIterator<Item = &'s str>,
        verify_token: Option<SecretString>,
    ) -> Result<Self, KeyError> {
        let keys = secrets.into_iter().map(|secret| key(scheme, secret)).collect::<Result<_, _>>()?;
        Ok(Self { scheme, secrets: keys, verify_token })
    }

    /// Checks that a delivery was signed with one of the secrets. `header` gives the value of a header by its name in small letters, `now` is in
    /// seconds since 1970. Signatures are compared in constant time.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn check<'h>(&self, header: impl Fn(&str) -> Option<&'h [u8]>, body: &[u8], now: i64) -> Result<Genuine, Refused> {
        let text = |name: &str| {
            let value = header(name).ok_or(Refused::Unsigned)?;
            if value.len() > LONGEST_HEADER {
                return Err(Refused::Form);
            }
            std::str::from_utf8(value).map_err(|_not_text| Refused::Form)
        };
        let given = text(self.scheme.header())?;
        match self.scheme {
            Scheme::Meta | Scheme::Discourse => {
                self.signed(Method::Sha256, &hex(given.strip_prefix("sha256=").ok_or(Refused::Form)?)?, &[body])?;
            }
            Scheme::X => {
                self.signed(Method::Sha256, &base64(given.strip_prefix("sha256=").ok_or(Refused::Form)?)?, &[body])?;
                // Its challenges are signed as its deliveries are: nothing that could have been signed as one is taken for the other.
                if !is_object(body) {
                    return Err(Refused::Form);
                }
            }
            Scheme::WebSub => {
                let (method, signature) = given.split_once('=').ok_or(Refused::Form)?;
                self.signed(Method::named(method).ok_or(Refused::Form)?, &hex(signature)?, &[body])?;
            }
            Scheme::Standard => {
                let (id, at) = (text("webhook-id")?, text("webhook-timestamp")?);
                if id.is_empty() || id.len() > LONGEST_ID {
                    return Err(Refused::Form);
                }
                let seconds: i64 = at.parse().map_err(|_no_number| Refused::Form)?;
                let content = [id.as_bytes(), b".", at.as_bytes(), b".", body];
                // Several may stand there while the sender changes its key; those of other versions are left out.
                let signatures = given.split(' ').filter_map(|one| one.strip_prefix("v1,")).take(MOST_SIGNATURES);
                let mut found = Err(Refused::Form);
                for signature in signatures {
                    found = base64(signature).and_then(|signature| self.signed(Method::Sha256, &signature, &content));
                    if found.is_ok() {
                        break;
                    }
                }
                found?;
                // Only who has the key learns that the time is wrong.
                if now.abs_diff(seconds) > TOLERANCE_SECONDS.unsigned_abs() {
                    return Err(Refused::Late);
                }
                return Ok(self.marked(id.as_bytes()));
            }
        }
        Ok(self.marked(body))
    }

    fn signed(&self, method: Method, signature: &[u8], content: &[&[u8]]) -> Result<(), Refused> {
        // All are tried, so that the time does not tell which one it was.
        let fits = self.secrets.iter().fold(false, |fits, key| method.fits(key.expose_secret(), signature, content) | fits);
        if fits { Ok(()) } else { Err(Refused::Wrong) }
    }

    fn marked(&self, what: &[u8]) -> Genuine {
        let key = self.secrets.first().map(ExposeSecret::expose_secret).unwrap_or_default();
        let whole = mac::<Hmac<Sha256>>(key, &[b"kith/v1/webhook/seen", what]);
        let mut mark = [0; 16];
        mark.iter_mut().zip(&whole).for_each(|(to, from)| *to = *from);
        Genuine { mark }
    }

    /// Answers a question (`GET`): whether the address is ours, and whether a hub's subscription is meant. `topics` are the feeds that are wanted;
    /// none named: any. `None`: it is not, or it was no such question.
    pub fn answer<T: AsRef<str>>(&self, query: &str, topics: &[T]) -> Option<Answer> {
        let asked = |name: &str| {
            let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name).map(|(_, value)| value);
            // Twice the same name is no question of theirs.
            found.next().filter(|_| found.next().is_none())
        };
        let echoed = |about| {
            let text = asked("hub.challenge").filter(|text| !text.is_empty() && text.len() <= LONGEST_CHALLENGE)?;
            Some(Answer { kind: "text/plain; charset=utf-8", text: text.into_owned(), about })
        };
        match self.scheme {
            Scheme::Meta => {
                let (mode, token) = (asked("hub.mode")?, asked("hub.verify_token")?);
                let wanted = self.verify_token.as_ref()?;
                (mode == "subscribe" && same(wanted.expose_secret().as_bytes(), token.as_bytes())).then(|| echoed("verification"))?
            }
            Scheme::X => {
                // Whoever could have a delivery signed as a challenge could forge one.
                let token = asked("crc_token").filter(|token| !is_object(token.as_bytes()))?;
                let token = Some(token).filter(|token| !token.is_empty() && token.len() <= LONGEST_CHALLENGE)?;
                let key = self.secrets.first()?;
                let token = BASE64.encode(mac::<Hmac<Sha256>>(key.expose_secret(), &[token.as_bytes()]));
                let text = format!("{{\"response_token\":\"sha256={token}\"}}");
                Some(Answer { kind: "application/json", text, about: "challenge" })
            }
            Scheme::WebSub => {
                let (mode, topic) = (asked("hub.mode")?, asked("hub.topic")?);
                let wanted = topics.is_empty() || topics.iter().any(|wanted| wanted.as_ref() == topic);
                match &*mode {
                    "subscribe" if wanted => echoed("subscription"),
                    // Whoever asks to end what is wanted is not us.
                    "unsubscribe" if !topics.is_empty() && !wanted => echoed("end of a subscription"),
                    "denied" if wanted => Some(Answer { kind: "text/plain; charset=utf-8", text: String::new(), about: "denial" }),
                    _ => None,
                }
            }
            Scheme::Discourse | Scheme::Standard => None,
        }
    }
}

/// Whether a JSON object could stand there: a `{`, after what JSON and other texts may begin with (spaces, the mark of the byte order).
fn is_object(text: &[u8]) -> bool {
    let rest = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    rest.trim_ascii_start().first() == Some(&b'{')
}

fn key(scheme: Scheme, secret: &str) -> Result<SecretSlice<u8>, KeyError> {
    match scheme {
        Scheme::WebSub if secret.len() >= 200 => Err(KeyError::TooLong),
        Scheme::Meta | Scheme::X | Scheme::WebSub | Scheme::Discourse => Ok(secret.as_bytes().to_vec().into()),
        Scheme::Standard => {
            let coded = secret.trim().strip_prefix("whsec_").ok_or(KeyError::NotStandard)?;
            let bytes = BASE64.decode(coded).map_err(|_secret| KeyError::NotStandard)?;
            if (24..=64).contains(&bytes.len()) { Ok(bytes.into()) } else { Err(KeyError::NotStandard) }
        }
    }
}

/// The hash of a signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Method {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Method {
    /// As `WebSub` names it (section 7.1).
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sha1" => Self::Sha1,
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            _ => return None,
        })
    }

    fn fits(self, key: &[u8], signature: &[u8], content: &[&[u8]]) -> bool {
        match self {
            Self::Sha1 => fits::<Hmac<Sha1>>(key, signature, content),
            Self::Sha256 => fits::<Hmac<Sha256>>(key, signature, content),
            Self::Sha384 => fits::<Hmac<Sha384>>(key, signature, content),
            Self::Sha512 => fits::<Hmac<Sha512>>(key, signature, content),
        }
    }
}

/// Compares in constant time.
fn fits<M: Mac + KeyInit>(key: &[u8], signature: &[u8], content: &[&[u8]]) -> bool {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return false };
    for part in content {
        mac.update(part);
    }
    mac.verify_slice(signature).is_ok()
}

fn mac<M: Mac + KeyInit>(key: &[u8], content: &[&[u8]]) -> Vec<u8> {
    // HMAC takes a key of any length.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Vec::new() };
    for part in content {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Whether two secrets are the same, in a time that depends on neither.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    let key = Sha256::digest(one);
    fits::<Hmac<Sha256>>(&key, &mac::<Hmac<Sha256>>(&key, &[other]), &[one])
}

/// An HMAC-SHA-256 over parts, each after its length.
pub fn sealed(key: &[u8], parts: &[&[u8]]) -> String {
    let framed = framed(parts);
    let refs: Vec<&[u8]> = framed.iter().map(Vec::as_slice).collect();
    super::functions::hex(mac::<Hmac<Sha256>>(key, &refs).into_iter())
}

/// Whether [`sealed`] made it with this key. Compares in constant time.
pub fn is_sealed(key: &[u8], parts: &[&[u8]], signature: &str) -> bool {
    let framed = framed(parts);
    let refs: Vec<&[u8]> = framed.iter().map(Vec::as_slice).collect();
    hex(signature).is_ok_and(|signature| fits::<Hmac<Sha256>>(key, &signature, &refs))
}

fn framed(parts: &[&[u8]]) -> Vec<Vec<u8>> {
    let one = |part: &&[u8]| [(part.len() as u64).to_be_bytes().as_slice(), part].concat();
    parts.iter().map(one).collect()
}

/// Hexadecimal in either case.
fn hex(text: &str) -> Result<Vec<u8>, Refused> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    bytes.collect::<Option<Vec<u8>>>().filter(|bytes| !bytes.is_empty()).ok_or(Refused::Form)
}

fn base64(text: &str) -> Result<Vec<u8>, Refused> {
    BASE64.decode(text).map_err(|_no_base64| Refused::Form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(scheme: Scheme, secrets: &[&str]) -> Keys {
        Keys::new(scheme, secrets.iter().copied(), Some(SecretString::from("token"))).unwrap()
    }

    fn check(keys: &Keys, headers: &[(&str, &str)], body: &[u8], now: i64) -> Result<Genuine, Refused> {
        keys.check(|name| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_bytes()), body, now)
    }

    const SPEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn of_spec(at: &'static str) -> [(&'static str, &'static str); 3] {
        [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", at),
            ("webhook-signature", "v1a,xyz v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ]
    }

    #[test]
    fn the_example_of_standard_webhooks_holds_within_its_time() {
        let (keys, body, at) = (keys(Scheme::Standard, &[SPEC]), br#"{"test": 2432232314}"#, 1_614_265_330);
        for now in [at, at - 300, at + 300] {
            assert!(check(&keys, &of_spec("1614265330"), body, now).is_ok());
        }
        for now in [at - 301, at + 301, 0, i64::MAX, i64::MIN] {
            assert_eq!(check(&keys, &of_spec("1614265330"), body, now), Err(Refused::Late));
        }
        assert_eq!(check(&keys, &of_spec("1614265331"), body, at), Err(Refused::Wrong), "the time is signed");
        assert_eq!(check(&keys, &of_spec("1614265330")[1..], body, at), Err(Refused::Unsigned), "the id is needed");
        for wrong in ["hunter2", "whsec_***", "whsec_c2hvcnQ="] {
            assert_eq!(Keys::new(Scheme::Standard, [wrong], None).unwrap_err(), KeyError::NotStandard);
        }
    }

    #[test]
    fn the_example_of_rfc_4231_is_signed_as_meta_x_and_hubs_do() {
        // Test case 2.
        let (key, body) = ("Jefe", b"what do ya want for nothing?");
        let hex = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let of = |scheme| keys(scheme, &["another", key]);
        assert!(check(&of(Scheme::Meta), &[("x-hub-signature-256", &format!("sha256={hex}"))], body, 0).is_ok());
        assert!(check(&of(Scheme::Discourse), &[("x-discourse-event-signature", &format!("sha256={hex}"))], body, 0).is_ok());
        assert_eq!(check(&of(Scheme::Discourse), &[("x-hub-signature-256", &format!("sha256={hex}"))], body, 0), Err(Refused::Unsigned));
        assert!(check(&of(Scheme::Meta), &[("x-hub-signature-256", &format!("sha256={}", hex.to_uppercase()))], body, 0).is_ok());
        let coded = "sha256=W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=";
        // Signed rightly, and no object: so a challenge could be.
        assert_eq!(check(&of(Scheme::X), &[("x-twitter-webhooks-signature", coded)], body, 0), Err(Refused::Form));
        let hub = |value: &str| check(&of(Scheme::WebSub), &[("x-hub-signature", value)], body, 0);
        assert!(hub(&format!("sha256={hex}")).is_ok());
        assert!(hub("sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79").is_ok());
        assert!(hub("sha384=af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649").is_ok());
        assert!(hub("sha512=164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737").is_ok());
        for (value, why) in [
            (format!("md5={hex}"), Refused::Form),
            (hex.to_owned(), Refused::Form),
            ("sha256=".to_owned(), Refused::Form),
            (format!("sha256={hex}0"), Refused::Form),
            (format!("sha256={}", hex.get(2..).unwrap()), Refused::Wrong),
            (format!("sha1={hex}"), Refused::Wrong),
            (format!("sha256={}", "0".repeat(4_000)), Refused::Form),
        ] {
            assert_eq!(hub(&value), Err(why), "{value}");
        }
    }

    #[test]
    fn questions_are_answered_only_to_who_knows_what_was_agreed() {
        let none: [&str; 0] = [];
        let meta = keys(Scheme::Meta, &["s"]);
        let text = |keys: &Keys, query: &str, topics: &[&str]| keys.answer(query, topics).map(|answer| answer.text);
        let asked = "hub.mode=subscribe&hub.verify_token=token&hub.challenge=11%3C";
        assert_eq!(text(&meta, asked, &none).as_deref(), Some("11<"));
        for wrong in [
            "",
            "hub.mode=subscribe&hub.challenge=1",
            "hub.mode=subscribe&hub.verify_token=tokem&hub.challenge=1",
            "hub.mode=subscribe&hub.verify_token=token2&hub.challenge=1",
            "hub.mode=unsubscribe&hub.verify_token=token&hub.challenge=1",
            "hub.mode=subscribe&hub.verify_token=token",
            "hub.mode=subscribe&hub.verify_token=token&hub.challenge=1&hub.challenge=2",
        ] {
            assert_eq!(text(&meta, wrong, &none), None, "{wrong}");
        }
        let x = keys(Scheme::X, &["Jefe", "other"]);
        assert_eq!(
            text(&x, "crc_token=what+do+ya+want+for+nothing%3F&nonce=1", &none).as_deref(),
            Some(r#"{"response_token":"sha256=W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="}"#)
        );
        let hub = keys(Scheme::WebSub, &["s"]);
        let feed = ["https://blog.example/feed"];
        let asked =
            |mode: &str, topic: &str| text(&hub, &format!("hub.mode={mode}&hub.topic={topic}&hub.challenge=c&hub.lease_seconds=9"), &feed);
        assert_eq!(asked("subscribe", "https%3A%2F%2Fblog.example%2Ffeed").as_deref(), Some("c"));
        assert_eq!(asked("subscribe", "https%3A%2F%2Fevil.example%2Ffeed"), None);
        assert_eq!(asked("unsubscribe", "https%3A%2F%2Fblog.example%2Ffeed"), None, "what is wanted is not ended by a stranger");
        assert_eq!(asked("unsubscribe", "https%3A%2F%2Fold.example%2Ffeed").as_deref(), Some("c"));
        assert_eq!(asked("denied", feed[0]).as_deref(), Some(""));
        assert!(keys(Scheme::Standard, &[SPEC]).answer("hub.challenge=1", &none).is_none());
    }

    #[test]
    fn nobody_has_a_delivery_of_x_signed_as_a_challenge() {
        let (keys, none): (_, [&str; 0]) = (keys(Scheme::X, &["s"]), []);
        let signed = |text: &str| {
            let query: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
            let answer = keys.answer(&format!("crc_token={query}"), &none)?.text;
            Some(answer.strip_prefix("{\"response_token\":\"")?.strip_suffix("\"}")?.to_owned())
        };
        for body in ["{}", " {\"tweet_create_events\":[]}", "\r\n\t{", "\u{feff}{}", "\u{feff} {}", "\u{c}{}"] {
            assert_eq!(signed(body), None, "{body:?}");
            let signature = format!("sha256={}", BASE64.encode(mac::<Hmac<Sha256>>(b"s", &[body.as_bytes()])));
            assert!(check(&keys, &[("x-twitter-webhooks-signature", &signature)], body.as_bytes(), 0).is_ok(), "{body:?}");
        }
        for token in ["MjAyNi0xMS0yOA==", "[{}]", "7", "x{}", "\"{}\"", "\u{a0}{}"] {
            let signature = signed(token).unwrap();
            assert_eq!(check(&keys, &[("x-twitter-webhooks-signature", &signature)], token.as_bytes(), 0), Err(Refused::Form), "{token:?}");
        }
    }

    #[test]
    fn nothing_shows_a_secret() {
        assert_eq!(format!("{:?}", keys(Scheme::X, &["hunter2", "hunter3"])), "Keys(x, 2)");
    }

    proptest! {
        #[test]
        fn what_is_signed_is_taken_and_a_changed_byte_is_not(key in "[ -~]{1,80}", body in proptest::collection::vec(any::<u8>(), 1..300), at in any::<proptest::sample::Index>(), bit in 0..8_u32) {
            let hex = crate::manifest::functions::hex(mac::<Hmac<Sha256>>(key.as_bytes(), &[&body]).into_iter());
            let keys = Keys::new(Scheme::Meta, [key.as_str()], None).unwrap();
            let header = format!("sha256={hex}");
            let good = check(&keys, &[("x-hub-signature-256", &header)], &body, 0);
            prop_assert!(good.is_ok());
            prop_assert_eq!(&check(&keys, &[("x-hub-signature-256", &header)], &body, 9), &good, "the same delivery has the same mark");
            let mut other = body.clone();
            let at = at.index(other.len());
            other[at] ^= 1 << bit;
            prop_assert_eq!(check(&keys, &[("x-hub-signature-256", &header)], &other, 0), Err(Refused::Wrong));
        }

        #[test]
        fn no_header_and_no_query_makes_it_panic(header in any::<Vec<u8>>(), query in ".{0,200}", now in any::<i64>()) {
            for scheme in Scheme::ALL {
                let secret = if scheme == Scheme::Standard { SPEC } else { "s" };
                let keys = Keys::new(scheme, [secret], None).unwrap();
                prop_assert!(keys.check(|_| Some(header.as_slice()), b"x", now).is_err());
                drop(keys.answer(&query, &["t"]));
            }
        }

        #[test]
        fn two_secrets_are_the_same_only_where_they_are(one in any::<Vec<u8>>(), other in any::<Vec<u8>>()) {
            prop_assert_eq!(same(&one, &other), one == other);
            prop_assert!(same(&one, &one));
            let sealed = sealed(&one, &[&other, b"x"]);
            prop_assert!(is_sealed(&one, &[&other, b"x"], &sealed));
            prop_assert!(!is_sealed(&one, &[&other, b"x", b""], &sealed));
        }
    }
}
