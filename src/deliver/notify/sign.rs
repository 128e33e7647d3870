//! The signature of a webhook: Standard Webhooks 1.0, `v1` (symmetric). HMAC-SHA256 over `ID.SECONDS.CONTENT`, in base64.

use crate::declare::config::GivenSecret;
use crate::deliver::DeliveryError;
use crate::wire::http::secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use zeroize::Zeroizing;

/// How a key is written down.
const PREFIX: &str = "whsec_";
/// Bytes of a key, as Standard Webhooks wants them.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The headers that say when and by whom a content was sent.
///
/// # Errors
/// The key can't be read, or is none.
pub(super) fn signature(key: &GivenSecret, id: &str, at: Timestamp, content: &[u8]) -> Result<[(String, String); 2], DeliveryError> {
    let wrong = |what: &str| DeliveryError::unavailable("KITH-D083", format!("`signing_key` {what}"));
    let text = secret(key).map_err(|error| wrong(&format!("can't be read: {error}")))?;
    let written = text.expose().strip_prefix(PREFIX).ok_or_else(|| wrong("does not begin with `whsec_`"))?;
    let bytes = Zeroizing::new(BASE64.decode(written.trim()).map_err(|_secret| wrong("is no base64 behind `whsec_`"))?);
    if !KEY_BYTES.contains(&bytes.len()) {
        return Err(wrong(&format!("has {} bytes; 24 to 64 are wanted", bytes.len())));
    }
    let seconds = at.as_second();
    let mut mac = Hmac::<Sha256>::new_from_slice(&bytes).map_err(|_length| wrong("has a length that can't be used"))?;
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(content);
    let signed = BASE64.encode(mac.finalize().into_bytes());
    Ok([("webhook-timestamp".to_owned(), seconds.to_string()), ("webhook-signature".to_owned(), format!("v1,{signed}"))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::config::{Secret, SecretSource};

    fn key(text: &str) -> GivenSecret {
        GivenSecret { source: SecretSource::Env("X".into()), value: Secret::from_bytes(text.into()).ok() }
    }

    #[test]
    fn the_example_of_the_specification_has_its_signature() {
        let at = Timestamp::from_second(1_614_265_330).unwrap();
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let [time, signed] = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#).unwrap();
        assert_eq!(time.1, "1614265330");
        assert_eq!(signed.1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_no_key_is_told_without_showing_it() {
        for text in ["hunter2hunter2", "whsec_***", "whsec_c2hvcnQ="] {
            let told = signature(&key(text), "", Timestamp::UNIX_EPOCH, b"").unwrap_err();
            assert_eq!(told.code().0, "KITH-D083");
            assert!(!told.to_string().contains(text.trim_start_matches("whsec_")), "{told}");
        }
    }
}
