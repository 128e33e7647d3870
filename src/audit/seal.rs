//! Sealing: personal values as `{key_id, nonce, ciphertext}` boxes (XChaCha20-Poly1305) under a key for each person and retention class.
//!
//! Destroying a key ends what it sealed; the bytes of the log, and every proof over them, stay as they are.

use super::cursor::Cursor;
use super::{canonical::Writer, hash::hmac_under, hex};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hmac::Mac;
use sha2::{Digest as _, Sha256};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// A retention class: each person has a key for each, so that each clock can end on its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum RetentionClass {
    /// What is known about people who turned out to be strangers.
    Unlinked,
    /// Profiles and cleaned values of linked people; evidence is sealed under it.
    Profile,
    /// What linked people said.
    Activity,
    /// Personal values inside audit entries: what was written to the CRM.
    Audit,
}

impl RetentionClass {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Unlinked, Self::Profile, Self::Activity, Self::Audit];

    /// The name in the store and the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unlinked => "unlinked",
            Self::Profile => "profile",
            Self::Activity => "activity",
            Self::Audit => "audit",
        }
    }

    /// Reads a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }
}

/// The id of a key: random, so that it says nothing about the person and never comes again; [`PersonKey::generate`] tells of its order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 16]);

impl KeyId {
    /// Reads 32 lower-case hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode(text).map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Unpredictable bytes from a 32-byte seed that the caller drew from the operating system: keys, key ids and nonces.
///
/// SHA-256 of (domain, seed, counter), block by block; a seed serves one stream only, so no nonce comes twice.
pub struct Unpredictable {
    seed: Zeroizing<[u8; 32]>,
    counter: u64,
}

impl fmt::Debug for Unpredictable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unpredictable(‹secret›)")
    }
}

impl Unpredictable {
    /// A stream from a seed. Draw a new seed for each stream (each thread, each start).
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed: Zeroizing::new(seed), counter: 0 }
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        for chunk in out.chunks_mut(32) {
            let mut hash = Sha256::new();
            hash.update(b"kith/v1/unpredictable");
            hash.update(self.seed.as_slice());
            hash.update(self.counter.to_be_bytes());
            self.counter = self.counter.wrapping_add(1);
            let mut block: [u8; 32] = hash.finalize().into();
            chunk.iter_mut().zip(block).for_each(|(to, from)| *to = from);
            block.zeroize();
        }
        out
    }
}

/// A person's key of one retention class.
#[derive(Clone)]
pub struct PersonKey {
    id: KeyId,
    bytes: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonKey({}, ‹secret›)", self.id)
    }
}

impl PersonKey {
    /// A new key.
    pub fn generate(random: &mut Unpredictable) -> Self {
        Self { id: KeyId(random.bytes()), bytes: Zeroizing::new(random.bytes()) }
    }

    /// A new key whose id begins with this number, the other 12 bytes being random. Keys made one after the other then stand together in an
    /// index, which is written many times less; the order says no more than that of the log's entries.
    pub fn generate_at(place: u32, random: &mut Unpredictable) -> Self {
        let mut key = Self::generate(random);
        key.id.0.iter_mut().zip(place.to_be_bytes()).for_each(|(to, from)| *to = from);
        key
    }

    /// Its id.
    pub const fn id(&self) -> KeyId {
        self.id
    }
}

/// The installation's master key: wraps the keys of persons. Rotating it re-wraps them; sealed values stay as they are.
#[derive(Clone)]
pub struct MasterKey {
    bytes: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({}, ‹secret›)", self.id())
    }
}

impl MasterKey {
    /// The key with these 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self { bytes: Zeroizing::new(bytes) }
    }

    /// The bytes, for the key file only.
    pub fn reveal(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Its id: the first 16 bytes of SHA-256(`kith/v1/master-id` ‖ key).
    pub fn id(&self) -> KeyId {
        let mut hash = Sha256::new();
        hash.update(b"kith/v1/master-id");
        hash.update(self.bytes.as_slice());
        let full: [u8; 32] = hash.finalize().into();
        let mut id = [0; 16];
        id.iter_mut().zip(full).for_each(|(to, from)| *to = from);
        KeyId(id)
    }

    /// A person's key as the store's table keeps it. `class` is bound: a key never serves another class.
    ///
    /// # Errors
    /// [`SealError`], which cannot happen for 32 bytes.
    pub fn wrap(&self, key: &PersonKey, class: RetentionClass, random: &mut Unpredictable) -> Result<Sealed, SealError> {
        let sealing = SealingKey { ids: KeyIds::One(self.id()), bytes: self.bytes.clone() };
        sealing.seal(Binding { kind: "kith/v1/person-key", field: &format!("{}/{}", class.name(), key.id) }, key.bytes.as_slice(), random)
    }

    /// The reverse of [`MasterKey::wrap`].
    ///
    /// # Errors
    /// [`SealError::Closed`] where the box was made under another master key, for another key id or class, or was changed.
    pub fn unwrap(&self, id: KeyId, class: RetentionClass, wrapped: &Sealed) -> Result<PersonKey, SealError> {
        let sealing = SealingKey { ids: KeyIds::One(self.id()), bytes: self.bytes.clone() };
        let plain = sealing.open(Binding { kind: "kith/v1/person-key", field: &format!("{}/{id}", class.name()) }, wrapped)?;
        let bytes = Zeroizing::new(<[u8; 32]>::try_from(plain.as_slice()).map_err(|_wrong_length| SealError::Closed)?);
        Ok(PersonKey { id, bytes })
    }
}

/// Which keys open a box: one person's, or two persons' together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyIds {
    /// One key.
    One(KeyId),
    /// Both keys are needed, in this order; the end of either ends the value.
    Both(KeyId, KeyId),
}

impl KeyIds {
    /// Reads `ID` or `ID+ID`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('+') {
            None => KeyId::from_hex(text).map(Self::One),
            Some((first, second)) => Some(Self::Both(KeyId::from_hex(first)?, KeyId::from_hex(second)?)),
        }
    }
}

impl fmt::Display for KeyIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(id) => write!(f, "{id}"),
            Self::Both(first, second) => write!(f, "{first}+{second}"),
        }
    }
}

/// What a box is for; bound to it, so that a box moved elsewhere does not open.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The entry's kind, or the store's table.
    pub kind: &'a str,
    /// The entry's member, or the table's column and row.
    pub field: &'a str,
}

impl Binding<'_> {
    /// The additional data: `kith/v1/seal`, kind and field, each after its length (32-bit big-endian).
    fn bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24 + self.kind.len() + self.field.len());
        for part in ["kith/v1/seal", self.kind, self.field] {
            out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(part.as_bytes());
        }
        out
    }
}

/// Why a box could not be made or opened. The cipher tells no more, on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// Wrong key, wrong place, or changed bytes.
    #[error("a sealed value does not open: wrong key, wrong place, or changed bytes")]
    Closed,
    /// The value is too large for the cipher (256 GiB).
    #[error("a value is too large to seal")]
    TooLarge,
}

/// What seals and opens: one person's key, or a key made of two persons'.
#[derive(Clone)]
pub struct SealingKey {
    ids: KeyIds,
    bytes: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({}, ‹secret›)", self.ids)
    }
}

impl From<&PersonKey> for SealingKey {
    fn from(key: &PersonKey) -> Self {
        Self { ids: KeyIds::One(key.id), bytes: key.bytes.clone() }
    }
}

impl SealingKey {
    /// For values about two people at once (what an identity said, written to a customer): HMAC-SHA-256 under the first key over
    /// `kith/v1/both` and the second. Order counts: the identity first, the customer second.
    pub fn of_both(identity: &PersonKey, customer: &PersonKey) -> Self {
        let mut mac = hmac_under(&identity.bytes);
        mac.update(b"kith/v1/both");
        mac.update(customer.bytes.as_slice());
        let bytes = Zeroizing::new(mac.finalize().into_bytes().into());
        Self { ids: KeyIds::Both(identity.id, customer.id), bytes }
    }

    /// The key that opens a box, given a way to find persons' keys; `None` where one is gone.
    pub fn find(ids: KeyIds, mut keys: impl FnMut(KeyId) -> Option<PersonKey>) -> Option<Self> {
        Some(match ids {
            KeyIds::One(id) => Self::from(&keys(id)?),
            KeyIds::Both(first, second) => Self::of_both(&keys(first)?, &keys(second)?),
        })
    }

    /// Which keys it is made of.
    pub const fn ids(&self) -> KeyIds {
        self.ids
    }

    /// Seals a value.
    ///
    /// # Errors
    /// [`SealError::TooLarge`] beyond 256 GiB.
    pub fn seal(&self, binding: Binding<'_>, plain: &[u8], random: &mut Unpredictable) -> Result<Sealed, SealError> {
        let nonce: [u8; 24] = random.bytes();
        let cipher = XChaCha20Poly1305::new(&(*self.bytes).into());
        let ciphertext =
            cipher.encrypt(&nonce.into(), Payload { msg: plain, aad: &binding.bytes() }).map_err(|_opaque| SealError::TooLarge)?;
        Ok(Sealed { key_id: self.ids, nonce, ciphertext })
    }

    /// Opens a box.
    ///
    /// # Errors
    /// [`SealError::Closed`] where this is not its key, not its place, or its bytes were changed.
    pub fn open(&self, binding: Binding<'_>, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        if sealed.key_id != self.ids {
            return Err(SealError::Closed);
        }
        XChaCha20Poly1305::new(&(*self.bytes).into())
            .decrypt(&sealed.nonce.into(), Payload { msg: &sealed.ciphertext, aad: &binding.bytes() })
            .map(Zeroizing::new)
            .map_err(|_opaque| SealError::Closed)
    }
}

/// A sealed value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// Which keys open it.
    pub key_id: KeyIds,
    /// The nonce, never used twice.
    pub nonce: [u8; 24],
    /// The ciphertext and the 16-byte tag.
    pub ciphertext: Vec<u8>,
}

impl Sealed {
    /// Writes `{"ciphertext":…,"key_id":…,"nonce":…}`.
    pub(super) fn write(&self, out: &mut Writer) {
        out.begin_object();
        out.key("ciphertext");
        out.plain(STANDARD.encode(&self.ciphertext).as_bytes());
        out.key("key_id");
        out.plain(self.key_id.to_string().as_bytes());
        out.key("nonce");
        out.plain(STANDARD.encode(self.nonce).as_bytes());
        out.end_object();
    }

    /// Reads the JSON form.
    pub(super) fn read(from: &mut Cursor<'_>) -> Option<Self> {
        from.begin_object()?;
        let mut text = |name: &str| if from.key(name) { from.plain() } else { None };
        let (ciphertext, key_id, nonce) = (text("ciphertext")?, text("key_id")?, text("nonce")?);
        from.end_object()?;
        let sealed = Self {
            key_id: KeyIds::parse(key_id)?,
            nonce: STANDARD.decode(nonce).ok()?.try_into().ok()?,
            ciphertext: STANDARD.decode(ciphertext).ok()?,
        };
        (sealed.ciphertext.len() >= 16).then_some(sealed)
    }

    /// The compact form for a database column: number of keys, key ids, nonce, ciphertext.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(57 + self.ciphertext.len());
        match self.key_id {
            KeyIds::One(id) => {
                out.push(1);
                out.extend_from_slice(&id.0);
            }
            KeyIds::Both(first, second) => {
                out.push(2);
                out.extend_from_slice(&first.0);
                out.extend_from_slice(&second.0);
            }
        }
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&self.ciphertext);
        out
    }

    /// Reads the compact form.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first()?;
        let (first, rest) = rest.split_first_chunk::<16>()?;
        let (key_id, rest) = match count {
            1 => (KeyIds::One(KeyId(*first)), rest),
            2 => {
                let (second, rest) = rest.split_first_chunk::<16>()?;
                (KeyIds::Both(KeyId(*first), KeyId(*second)), rest)
            }
            _ => return None,
        };
        let (nonce, ciphertext) = rest.split_first_chunk::<24>()?;
        (ciphertext.len() >= 16).then(|| Self { key_id, nonce: *nonce, ciphertext: ciphertext.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: Binding<'static> = Binding { kind: "write.intended", field: "fields" };

    #[test]
    fn the_cipher_is_xchacha20_poly1305_as_its_draft_prints_it() {
        // draft-irtf-cfrg-xchacha-03, appendix A.3.1.
        let key: Vec<u8> = (0x80..0xa0).collect();
        let nonce: Vec<u8> = (0x40..0x58).collect();
        let aad = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let cipher = XChaCha20Poly1305::new_from_slice(&key).unwrap();
        let nonce: [u8; 24] = nonce.try_into().unwrap();
        let sealed = cipher.encrypt(&nonce.into(), Payload { msg: text, aad: &aad }).unwrap();
        assert_eq!(hex::encode(&sealed[..16]), "bd6d179d3e83d43b9576579493c0e939");
        assert_eq!(hex::encode(&sealed[sealed.len() - 16..]), "c0875924c1c7987947deafd8780acf49");
    }

    #[test]
    fn a_box_opens_only_with_its_key_in_its_place() {
        let mut random = Unpredictable::new([1; 32]);
        let (key, other) = (PersonKey::generate(&mut random), PersonKey::generate(&mut random));
        let sealed = SealingKey::from(&key).seal(HERE, b"Ada", &mut random).unwrap();
        assert_eq!(SealingKey::from(&key).open(HERE, &sealed).unwrap().as_slice(), b"Ada");
        for binding in [Binding { kind: "write.receipt", ..HERE }, Binding { field: "evidence", ..HERE }] {
            assert_eq!(SealingKey::from(&key).open(binding, &sealed).unwrap_err(), SealError::Closed);
        }
        assert_eq!(SealingKey::from(&other).open(HERE, &sealed).unwrap_err(), SealError::Closed);
        let renamed = Sealed { key_id: KeyIds::One(other.id), ..sealed };
        assert_eq!(SealingKey::from(&other).open(HERE, &renamed).unwrap_err(), SealError::Closed);
    }

    #[test]
    fn a_value_about_two_people_needs_both_keys_and_dies_with_either() {
        let mut random = Unpredictable::new([2; 32]);
        let (identity, customer) = (PersonKey::generate(&mut random), PersonKey::generate(&mut random));
        let sealed = SealingKey::of_both(&identity, &customer).seal(HERE, b"hello", &mut random).unwrap();
        let find = |gone: Option<KeyId>| {
            let keys = [identity.clone(), customer.clone()];
            SealingKey::find(sealed.key_id, move |id| keys.iter().find(|k| k.id == id && Some(id) != gone).cloned())
        };
        assert_eq!(find(None).unwrap().open(HERE, &sealed).unwrap().as_slice(), b"hello");
        assert!(find(Some(identity.id)).is_none());
        assert!(find(Some(customer.id)).is_none());
        assert_eq!(SealingKey::of_both(&customer, &identity).open(HERE, &sealed).unwrap_err(), SealError::Closed);
    }

    #[test]
    fn a_wrapped_key_comes_back_for_its_own_id_and_class_only() {
        let mut random = Unpredictable::new([3; 32]);
        let master = MasterKey::new(random.bytes());
        let key = PersonKey::generate(&mut random);
        let wrapped = master.wrap(&key, RetentionClass::Profile, &mut random).unwrap();
        assert_eq!(*master.unwrap(key.id, RetentionClass::Profile, &wrapped).unwrap().bytes, *key.bytes);
        assert!(master.unwrap(key.id, RetentionClass::Audit, &wrapped).is_err());
        assert!(master.unwrap(KeyId([9; 16]), RetentionClass::Profile, &wrapped).is_err());
        assert!(MasterKey::new([9; 32]).unwrap(key.id, RetentionClass::Profile, &wrapped).is_err());
    }

    #[test]
    fn no_key_is_printed() {
        let mut random = Unpredictable::new([0xab; 32]);
        let key = PersonKey::generate(&mut random);
        let shown = format!("{key:?} {:?} {:?} {random:?}", SealingKey::from(&key), MasterKey::new([0xab; 32]));
        assert_eq!(shown.matches("‹secret›").count(), 4, "{shown}");
        assert!(!shown.contains(&hex::encode(key.bytes.as_slice())) && !shown.contains(&"ab".repeat(16)), "{shown}");
    }

    #[test]
    fn nonces_never_repeat_in_a_stream() {
        let mut random = Unpredictable::new([4; 32]);
        let seen: std::collections::BTreeSet<[u8; 24]> = (0..10_000).map(|_| random.bytes()).collect();
        assert_eq!(seen.len(), 10_000);
    }

    proptest! {
        #[test]
        fn both_forms_of_a_box_read_back_and_a_flipped_bit_never_opens(plain in proptest::collection::vec(any::<u8>(), 0..200), two in any::<bool>(), bit in any::<prop::sample::Index>()) {
            let mut random = Unpredictable::new([5; 32]);
            let (a, b) = (PersonKey::generate(&mut random), PersonKey::generate(&mut random));
            let key = if two { SealingKey::of_both(&a, &b) } else { SealingKey::from(&a) };
            let sealed = key.seal(HERE, &plain, &mut random).unwrap();
            let mut out = Writer::default();
            sealed.write(&mut out);
            let json = out.into_bytes();
            prop_assert_eq!(super::super::canonical::check(&json), Ok(()));
            let tape = crate::audit::tape::Tape::read(&json).unwrap();
            prop_assert_eq!(tape.json().read::<Sealed>(), Some(sealed.clone()));
            let mut bytes = sealed.to_bytes();
            prop_assert_eq!(Sealed::from_bytes(&bytes), Some(sealed));
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Some(changed) = Sealed::from_bytes(&bytes) {
                prop_assert!(key.open(HERE, &changed).is_err());
            }
        }

        #[test]
        fn reading_a_box_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            drop(Sealed::from_bytes(&bytes));
        }
    }
}
