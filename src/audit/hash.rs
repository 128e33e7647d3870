//! Keyed hashes: how entries name people, records and steps without saying who or what they are.
//!
//! Each is HMAC-SHA-256 under the installation's hash key over the parts of what is named, every part after its length
//! (32-bit big-endian), a domain first: two things of different kinds never share a hash, nor do (`ab`, `c`) and (`a`, `bc`).

use super::hex;
use crate::model::{CustomerId, DecisionId, DeliveryId, Digest, IdentityId, Network, RecordKey, TargetId, Version};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

macro_rules! short_hash {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 16 bytes, written as 32 lower-case hexadecimal digits: among 2^40 of them a chance collision has odds of one in 2^49.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// Reads 32 lower-case hexadecimal digits.
            pub fn from_hex(text: &str) -> Option<Self> {
                hex::decode(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

short_hash! {
    /// The keyed hash that stands for an identity, a customer or a CRM record.
    SubjectHash
}

short_hash! {
    /// The id that ties the entries of one activity version, decision, delivery or receipt together, and reveals nothing else.
    CorrelationId
}

/// HMAC-SHA-256 under a 32-byte key; it is padded with zeros to the block of 64 bytes (RFC 2104 §2), so this can't fail.
pub(super) fn hmac_under(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Hmac::<Sha256>::new(&(*block).into())
}

/// The installation's key for hashes, drawn once and never rotated: searching the log depends on it.
#[derive(Clone)]
pub struct HashKey {
    bytes: Zeroizing<[u8; 32]>,
    keyed: Hmac<Sha256>,
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(‹secret›)")
    }
}

impl HashKey {
    /// The key with these 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        let keyed = hmac_under(&bytes);
        Self { bytes, keyed }
    }

    /// The bytes, for the key file only.
    pub fn reveal(&self) -> &[u8; 32] {
        &self.bytes
    }

    fn mac<'a>(&self, domain: &'static str, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        for part in std::iter::once(domain.as_bytes()).chain(parts) {
            // No part reaches 4 GiB: inputs are bounded far below that where they are read.
            mac.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn short<'a>(&self, domain: &'static str, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 16] {
        let full = self.mac(domain, parts);
        let mut short = [0; 16];
        short.iter_mut().zip(full).for_each(|(to, from)| *to = from);
        short
    }

    /// What stands for an identity.
    pub fn identity(&self, identity: &IdentityId) -> SubjectHash {
        SubjectHash(self.short("kith/v1/identity", [identity.network.name().as_bytes(), identity.id.as_bytes()]))
    }

    /// What stands for a customer.
    pub fn customer(&self, customer: &CustomerId) -> SubjectHash {
        SubjectHash(self.short("kith/v1/customer", [customer.as_str().as_bytes()]))
    }

    /// What stands for a record of a target.
    pub fn record(&self, target: &TargetId, key: &RecordKey) -> SubjectHash {
        SubjectHash(self.short("kith/v1/record", [target.0.as_bytes(), key.0.as_bytes()]))
    }

    /// The correlation id of an activity version.
    pub fn activity(&self, network: Network, object: &str, version: &Version) -> CorrelationId {
        let at = version.at.as_nanosecond().to_be_bytes();
        let parts =
            [network.name().as_bytes(), object.as_bytes(), at.as_slice(), version.verb.name().as_bytes(), version.activity.as_bytes()];
        CorrelationId(self.short("kith/v1/activity", parts))
    }

    /// The correlation id of a malformed input line: its file's SHA-256 and its 1-based number.
    pub fn input_line(&self, file: &Digest, line: u64) -> CorrelationId {
        CorrelationId(self.short("kith/v1/input-line", [file.0.as_slice(), line.to_be_bytes().as_slice()]))
    }

    /// The correlation id of a decision.
    pub fn decision(&self, decision: DecisionId) -> CorrelationId {
        CorrelationId(self.short("kith/v1/decision", [decision.0.to_be_bytes().as_slice()]))
    }

    /// The correlation id of a delivery.
    pub fn delivery(&self, delivery: DeliveryId) -> CorrelationId {
        CorrelationId(self.short("kith/v1/delivery", [delivery.0.to_be_bytes().as_slice()]))
    }

    /// The correlation id of the receipt of a delivery's attempt.
    pub fn receipt(&self, delivery: DeliveryId, attempt: u32) -> CorrelationId {
        CorrelationId(self.short("kith/v1/receipt", [delivery.0.to_be_bytes().as_slice(), attempt.to_be_bytes().as_slice()]))
    }

    /// The digest of evidence in its plain canonical form.
    pub(super) fn evidence(&self, canonical: &[u8]) -> Digest {
        Digest(self.mac("kith/v1/evidence", [canonical]))
    }

    /// A digest of something that may be personal, for a purpose of the caller's own: `domain` says which.
    pub fn digest(&self, domain: &'static str, bytes: &[u8]) -> Digest {
        Digest(self.mac("kith/v1/other", [domain.as_bytes(), bytes]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn hashes_tell_kinds_parts_and_keys_apart_and_repeat() {
        let key = HashKey::new([7; 32]);
        let identity = |network, id: &str| IdentityId { network, id: id.into() };
        let hashes: BTreeSet<[u8; 16]> = [
            key.identity(&identity(Network::X, "ada")).0,
            key.identity(&identity(Network::Threads, "ada")).0,
            key.customer(&"ada".into()).0,
            key.customer(&"xada".into()).0,
            key.record(&TargetId("crm".into()), &RecordKey("db".into())).0,
            key.record(&TargetId("crmd".into()), &RecordKey("b".into())).0,
            key.decision(DecisionId(1)).0,
            key.delivery(DeliveryId(1)).0,
            key.receipt(DeliveryId(1), 1).0,
            HashKey::new([8; 32]).customer(&"ada".into()).0,
        ]
        .into();
        assert_eq!(hashes.len(), 10);
        assert_eq!(key.customer(&"ada".into()), HashKey::new([7; 32]).customer(&"ada".into()));
    }

    #[test]
    fn a_subject_hash_is_what_the_format_says_so_that_others_can_compute_it() {
        let mut mac = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
        mac.update(b"\0\0\0\x10kith/v1/customer\0\0\0\x02C1");
        let expected: [u8; 32] = mac.finalize().into_bytes().into();
        assert_eq!(HashKey::new([7; 32]).customer(&"C1".into()).to_string(), hex::encode(&expected[..16]));
    }

    #[test]
    fn keys_are_not_printed() {
        assert_eq!(format!("{:?}", HashKey::new([7; 32])), "HashKey(‹secret›)");
    }
}
