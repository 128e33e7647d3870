//! JSON Web Tokens (RFC 7519) that log requests in: signed here with the source's key.

use super::Reader;
use super::error::ReadError;
use crate::manifest::source::{Jwt, JwtAlgorithm};
use crate::manifest::template::EvaluationError;
use crate::manifest::{Fallback, Json, Members, Scope, Template, Wanted};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{hmac, rand::SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::sync::Arc;

impl Reader {
    /// A new token; `now` in microseconds since 1970.
    pub(super) fn jwt(&self, jwt: &Jwt, now: i64) -> Result<String, ReadError> {
        let config = self.config();
        let (engine, scope) = (&self.source.engine, Scope::new(&config));
        let evaluated = |fields: &[(Template, Template)]| -> Result<Members, EvaluationError> {
            let own = |(name, value): &(Template, Template)| {
                Ok((name.text(engine, &scope)?.into(), value.evaluate(engine, &scope, Fallback::Own, Wanted::Any)?))
            };
            fields.iter().map(own).collect()
        };
        let (mut header, mut payload) = (evaluated(&jwt.header)?, evaluated(&jwt.payload)?);
        header.insert("alg".into(), Json::text(jwt.algorithm.name()));
        // A type that is nothing is none.
        if header.get("typ").is_some_and(|kind| !kind.is_true()) {
            header.shift_remove("typ");
        }
        let now = now.div_euclid(1_000_000);
        for (name, at) in [("iat", now), ("exp", now.saturating_add(jwt.seconds)), ("nbf", now)] {
            payload.insert(name.into(), Json::Int(at.into()));
        }
        let part = |members: Members| URL_SAFE_NO_PAD.encode(Json::Map(Arc::new(members)).compact());
        let signed = format!("{}.{}", part(header), part(payload));
        let mut secret = jwt.secret.text(engine, &scope)?;
        if jwt.secret_in_base64 {
            secret = STANDARD.encode(secret);
        }
        if let Some(passphrase) = &jwt.passphrase
            && secret.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        {
            secret = decrypted(&secret, &passphrase.text(engine, &scope)?)?;
        }
        let signature = sign(jwt.algorithm, &secret, signed.as_bytes())?;
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        match &jwt.prefix {
            None => Ok(token),
            Some(prefix) => Ok(match prefix.text(engine, &scope)? {
                prefix if prefix.is_empty() => token,
                prefix => format!("{prefix} {token}"),
            }),
        }
    }
}

/// Signs as RFC 7518 says.
fn sign(algorithm: JwtAlgorithm, secret: &str, message: &[u8]) -> Result<Vec<u8>, ReadError> {
    use JwtAlgorithm as A;
    match algorithm {
        A::Hs256 => Ok(mac(hmac::HMAC_SHA256, secret, message)),
        A::Hs384 => Ok(mac(hmac::HMAC_SHA384, secret, message)),
        A::Hs512 => Ok(mac(hmac::HMAC_SHA512, secret, message)),
        A::Rs256 => rsa(&RSA_PKCS1_SHA256, secret, message),
        A::Rs384 => rsa(&RSA_PKCS1_SHA384, secret, message),
        A::Rs512 => rsa(&RSA_PKCS1_SHA512, secret, message),
        A::Ps256 => rsa(&RSA_PSS_SHA256, secret, message),
        A::Ps384 => rsa(&RSA_PSS_SHA384, secret, message),
        A::Ps512 => rsa(&RSA_PSS_SHA512, secret, message),
        A::Es256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, secret, message),
        A::Es256K => ecdsa(&ECDSA_P256K1_SHA256_FIXED_SIGNING, secret, message),
        A::Es384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, secret, message),
        A::Es512 => ecdsa(&ECDSA_P521_SHA512_FIXED_SIGNING, secret, message),
        A::EdDsa => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pem(secret)?).map_err(|_rejected| key("is no Ed25519 key"))?;
            Ok(pair.sign(message).as_ref().to_vec())
        }
    }
}

fn mac(algorithm: hmac::Algorithm, secret: &str, message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), message).as_ref().to_vec()
}

fn rsa(encoding: &'static dyn RsaEncoding, secret: &str, message: &[u8]) -> Result<Vec<u8>, ReadError> {
    let der = pem(secret)?;
    let pair = RsaKeyPair::from_pkcs8(&der).or_else(|_other| RsaKeyPair::from_der(&der)).map_err(|_rejected| key("is no RSA key"))?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature).map_err(|_unsaid| key("can't sign"))?;
    Ok(signature)
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, secret: &str, message: &[u8]) -> Result<Vec<u8>, ReadError> {
    let der = pem(secret)?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, &der)
        .or_else(|_other| EcdsaKeyPair::from_private_key_der(algorithm, &der))
        .map_err(|_rejected| key("is no key of the algorithm's curve"))?;
    pair.sign(&SystemRandom::new(), message).map(|signature| signature.as_ref().to_vec()).map_err(|_unsaid| key("can't sign"))
}

fn key(what: &str) -> ReadError {
    ReadError::Login(format!("the key that signs {what}"))
}

/// A private key that a passphrase encrypts (PKCS #8, RFC 5958, with PBES2), in plain PEM.
fn decrypted(secret: &str, passphrase: &str) -> Result<String, ReadError> {
    let der = pem(secret)?;
    let encrypted = pkcs8::EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).map_err(|_rejected| key("is encrypted in another way"))?;
    let plain = encrypted.decrypt(passphrase).map_err(|_rejected| key("does not open with its passphrase"))?;
    Ok(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(plain.as_bytes())))
}

/// The bytes of a private key in PEM (RFC 7468).
fn pem(text: &str) -> Result<Vec<u8>, ReadError> {
    let body =
        text.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----")).and_then(|(_, rest)| rest.split_once("-----END "));
    let (body, _) = body.ok_or_else(|| key("is not in PEM"))?;
    let bare: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    STANDARD.decode(bare).map_err(|_damaged| key("is not in PEM"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey,
    };

    fn in_pem(der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
    }

    #[test]
    fn what_is_signed_can_be_verified_with_the_public_key() {
        let message = b"header.payload";
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let secret = in_pem(aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref());
        let public = pair.public_key().as_ref().to_vec();
        let signed = sign(JwtAlgorithm::Rs256, &secret, message).unwrap();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &public).verify(message, &signed).unwrap();
        let signed = sign(JwtAlgorithm::Ps512, &secret, message).unwrap();
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA512, &public).verify(message, &signed).unwrap();
        assert!(sign(JwtAlgorithm::Es256, &secret, message).is_err());

        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let public = pair.public_key().as_ref().to_vec();
        let secret = in_pem(pair.to_pkcs8v1().unwrap().as_ref());
        let signed = sign(JwtAlgorithm::Es256, &secret, message).unwrap();
        assert_eq!(signed.len(), 64);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &public).verify(message, &signed).unwrap();
        assert!(sign(JwtAlgorithm::Es384, &secret, message).is_err());

        let pair = Ed25519KeyPair::generate().unwrap();
        let secret = in_pem(pair.to_pkcs8v1().unwrap().as_ref());
        let signed = sign(JwtAlgorithm::EdDsa, &secret, message).unwrap();
        UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref()).verify(message, &signed).unwrap();
        assert!(sign(JwtAlgorithm::Rs256, "no key", message).is_err());
    }

    #[test]
    fn a_passphrase_opens_a_key_that_openssl_encrypted() {
        let secret = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjau+idSq3opQICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEK1jNbTIHUvMh4jT8qPFWugEQP15
OonQJ9wjzpwp00fG8GiN1rmtIbTHZji9SA94ysu9UC/DqSlK02CZFOChTzd2BtB0
MYynlgNgP+/k2pzMsUA=
-----END ENCRYPTED PRIVATE KEY-----";
        let public = [
            0x73, 0x16, 0xc7, 0xfe, 0x75, 0x3b, 0x5e, 0x23, 0x0d, 0x31, 0x71, 0xdc, 0xb4, 0xd7, 0xa6, 0x3a, 0xd2, 0xd4, 0x59, 0x7f, 0x0c,
            0x97, 0x29, 0x94, 0x27, 0x9b, 0x87, 0xb6, 0x08, 0x47, 0xc4, 0x47,
        ];
        let plain = decrypted(secret, "opensesame").unwrap();
        let signed = sign(JwtAlgorithm::EdDsa, &plain, b"message").unwrap();
        UnparsedPublicKey::new(&ED25519, public).verify(b"message", &signed).unwrap();
        assert!(decrypted(secret, "other").is_err());
        assert!(decrypted("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----", "opensesame").is_err());
    }

    #[test]
    fn a_secret_signs_as_rfc_4231_says() {
        // Its test case 2.
        let signed = sign(JwtAlgorithm::Hs256, "Jefe", b"what do ya want for nothing?").unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(signed),
            URL_SAFE_NO_PAD.encode([
                0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08,
                0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43
            ])
        );
    }
}
