//! The keys of persons: found or minted, wrapped under the master key, and never used for what is durable before they are durable themselves.
//!
//! A minted key is *pending* until the store's writer has committed it. The writer takes everything pending into each transaction that it
//! commits, last of all, and a step is handed to the writer after its data is sealed: so a key is durable with, or before, the first data
//! under it.

use super::StoreError;
use crate::audit::{Binding, HashKey, KeyId, MasterKey, PersonKey, RetentionClass, Sealed, SealingKey, SubjectHash, Unpredictable};
use crate::model::{CustomerId, Digest, IdentityId};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// Keys kept ready, for each of two generations: those of some 65,000 identities between intake and decision, so that a bulk run does not
/// look each of them up twice. 131,072 × 2 generations × 2 maps × about 100 bytes = 52 MB at most.
const CACHED_KEYS: usize = 131_072;

/// Persons known to have a key, kept as fingerprints so that a new person's key is minted without a look at the table: at most a million,
/// 18 MB. Beyond, every first mention of a person is looked up.
const KNOWN_PERSONS: usize = 1_000_000;

/// Who a key belongs to.
#[derive(Clone, Copy, Debug)]
pub enum Person<'a> {
    /// An account on a network.
    Identity(&'a IdentityId),
    /// A customer of the CRM.
    Customer(&'a CustomerId),
    /// Nobody known yet: the lines of one file (SHA-256 of its content) that could not be read.
    File(&'a Digest),
    /// Nobody in particular: what was said when a right was asked for. It outlives the keys of whom it was about.
    Request(&'a RequestId),
}

/// What was asked together about people's rights: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RequestId(pub [u8; 16]);

/// Keys that a step destroyed, or that seal nothing any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForgottenKey {
    /// Whose.
    pub person: SubjectHash,
    /// For what.
    pub class: RetentionClass,
    /// Which; `None` where the person had none that was durable.
    pub id: Option<KeyId>,
}

/// A wrapped key as the store's table holds it.
#[derive(Clone, Debug)]
pub struct WrappedKey {
    /// Its id.
    pub id: KeyId,
    /// The keyed hash of whom it belongs to.
    pub person: SubjectHash,
    /// For what.
    pub class: RetentionClass,
    /// [`Sealed::to_bytes`] of the key under the master key.
    pub wrapped: Vec<u8>,
}

/// Where durable keys are looked up.
pub trait KeySource: Send {
    /// The key of a person and class.
    ///
    /// # Errors
    /// What the database says.
    fn of_person(&mut self, person: SubjectHash, class: RetentionClass) -> Result<Option<WrappedKey>, StoreError>;

    /// Every person and class that has a key; `None` where there are more than `limit`.
    ///
    /// # Errors
    /// What the database says.
    fn all_persons(&mut self, limit: usize) -> Result<Option<Vec<(SubjectHash, RetentionClass)>>, StoreError>;

    /// The key with this id.
    ///
    /// # Errors
    /// What the database says.
    fn by_id(&mut self, id: KeyId) -> Result<Option<WrappedKey>, StoreError>;
}

/// The source of a ring whose database is closed.
struct Closed;

impl KeySource for Closed {
    fn of_person(&mut self, _person: SubjectHash, _class: RetentionClass) -> Result<Option<WrappedKey>, StoreError> {
        Err(StoreError::Stopped)
    }

    fn all_persons(&mut self, _limit: usize) -> Result<Option<Vec<(SubjectHash, RetentionClass)>>, StoreError> {
        Err(StoreError::Stopped)
    }

    fn by_id(&mut self, _id: KeyId) -> Result<Option<WrappedKey>, StoreError> {
        Err(StoreError::Stopped)
    }
}

/// Keyed hashes of the store's columns: the first 16 bytes of HMAC-SHA-256 over the parts, each after its length, a domain first.
#[derive(Clone)]
pub struct ColumnHash {
    keyed: Hmac<Sha256>,
}

impl std::fmt::Debug for ColumnHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ColumnHash(‹secret›)")
    }
}

impl ColumnHash {
    fn new(key: &HashKey) -> Self {
        // HMAC fills a key up to its block with zeros; done here, the length is right by type.
        let mut block = Zeroizing::new([0; 64]);
        block.iter_mut().zip(key.reveal()).for_each(|(to, from)| *to = *from);
        Self { keyed: Hmac::<Sha256>::new(&(*block).into()) }
    }

    /// The hash of these parts in this domain.
    pub fn of(&self, domain: &'static str, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = self.keyed.clone();
        for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
            mac.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            mac.update(part);
        }
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        let mut short = [0; 16];
        short.iter_mut().zip(full).for_each(|(to, from)| *to = from);
        short
    }
}

/// A bounded cache: when the young generation is full it becomes the old one, and the former old one is forgotten.
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq + Copy, V: Clone> Generations<K, V> {
    fn new() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }

    fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.put(*key, value.clone());
        Some(value)
    }

    fn forget(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    fn put(&mut self, key: K, value: V) {
        if self.young.len() >= CACHED_KEYS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

type PersonClass = (SubjectHash, RetentionClass);

/// Eight bytes that tell most persons and classes apart. Two that share them cost a look at the table, nothing else.
fn fingerprint((person, class): &PersonClass) -> u64 {
    let [first, ..] = person.0.as_chunks::<8>().0 else { return 0 };
    u64::from_le_bytes(*first) ^ (*class as u64)
}

struct State {
    seeds: Unpredictable,
    /// Whoever is not in here has no key; `None` where that is not known.
    known: Option<HashSet<u64>>,
    by_person: Generations<PersonClass, Arc<PersonKey>>,
    by_id: Generations<KeyId, Arc<PersonKey>>,
    minted: HashMap<PersonClass, Arc<PersonKey>>,
    minted_ids: HashMap<KeyId, Arc<PersonKey>>,
    pending: VecDeque<(u64, WrappedKey)>,
    next_pending: u64,
    /// What the next key's id begins with: a random start, then one by one.
    next_place: u32,
}

impl State {
    /// Remembers that a person has a key.
    fn know(&mut self, asked: &PersonClass) {
        if let Some(known) = &mut self.known {
            if known.len() < KNOWN_PERSONS {
                known.insert(fingerprint(asked));
            } else {
                self.known = None;
            }
        }
    }

    fn is_new(&self, asked: &PersonClass) -> bool {
        self.known.as_ref().is_some_and(|known| !known.contains(&fingerprint(asked)))
    }

    fn of_person(&mut self, asked: &PersonClass) -> Option<Arc<PersonKey>> {
        self.by_person.get(asked).or_else(|| self.minted.get(asked).cloned())
    }

    fn with_id(&mut self, id: &KeyId) -> Option<Arc<PersonKey>> {
        self.by_id.get(id).or_else(|| self.minted_ids.get(id).cloned())
    }
}

/// Finds, mints and keeps the keys of persons. Shared by everyone who seals: the store for its columns, the pipeline for audit entries.
pub struct KeyRing {
    master: MasterKey,
    hashes: HashKey,
    columns: ColumnHash,
    /// Held while a durable key is looked up and, where there is none, minted: no person gets two. Never taken by the writer, whose
    /// connection a lookup may have to wait for.
    source: Mutex<Box<dyn KeySource>>,
    /// Held for moments only.
    state: Mutex<State>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing({:?})", self.master)
    }
}

impl KeyRing {
    /// A ring over durable keys. `seed` is 32 bytes from the operating system (a constant only in tests): all keys and nonces stem from it.
    ///
    /// # Errors
    /// What reading the persons that have keys says.
    pub fn new(master: MasterKey, hashes: HashKey, seed: [u8; 32], mut source: Box<dyn KeySource>) -> Result<Self, StoreError> {
        let known = source.all_persons(KNOWN_PERSONS)?.map(|persons| persons.iter().map(fingerprint).collect());
        Ok(Self::with(master, hashes, seed, source, known))
    }

    /// A ring that is there to open what is sealed. What it would mint is not kept by anyone.
    pub(in crate::store) fn to_read(master: MasterKey, hashes: HashKey, seed: [u8; 32], source: Box<dyn KeySource>) -> Self {
        Self::with(master, hashes, seed, source, None)
    }

    fn with(master: MasterKey, hashes: HashKey, seed: [u8; 32], source: Box<dyn KeySource>, known: Option<HashSet<u64>>) -> Self {
        let mut seeds = Unpredictable::new(seed);
        let state = State {
            next_place: u32::from_be_bytes(seeds.bytes()),
            seeds,
            known,
            by_person: Generations::new(),
            by_id: Generations::new(),
            minted: HashMap::new(),
            minted_ids: HashMap::new(),
            pending: VecDeque::new(),
            next_pending: 0,
        };
        Self { master, columns: ColumnHash::new(&hashes), hashes, source: Mutex::new(source), state: Mutex::new(state) }
    }

    fn source(&self) -> MutexGuard<'_, Box<dyn KeySource>> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // A panic under the lock leaves whole values: every change below is one insertion or removal.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The installation's keyed hashes, as entries of the log use them.
    pub const fn hashes(&self) -> &HashKey {
        &self.hashes
    }

    /// Keyed hashes for the store's columns.
    pub const fn columns(&self) -> &ColumnHash {
        &self.columns
    }

    /// What stands for a person in the table of keys.
    pub fn person(&self, person: Person<'_>) -> SubjectHash {
        match person {
            Person::Identity(id) => self.hashes.identity(id),
            Person::Customer(id) => self.hashes.customer(id),
            Person::File(digest) => SubjectHash(self.columns.of("kith/v1/store/file", &[&digest.0])),
            Person::Request(request) => SubjectHash(self.columns.of("kith/v1/store/request", &[&request.0])),
        }
    }

    /// A stream of unpredictable bytes for one task.
    pub fn stream(&self) -> Unpredictable {
        Unpredictable::new(self.state().seeds.bytes())
    }

    /// The person's key of this class, minted where there is none.
    ///
    /// # Errors
    /// What looking up durable keys says; [`StoreError::Damaged`] for a key that the master key does not open.
    pub fn key(&self, person: Person<'_>, class: RetentionClass) -> Result<Arc<PersonKey>, StoreError> {
        let asked = (self.person(person), class);
        if let Some(key) = self.state().of_person(&asked) {
            return Ok(key);
        }
        let mut source = self.source();
        // Somebody else may have looked it up or minted it meanwhile.
        if let Some(key) = self.state().of_person(&asked) {
            return Ok(key);
        }
        let is_new = self.state().is_new(&asked);
        let durable = if is_new { None } else { source.of_person(asked.0, class)? };
        let mut state = self.state();
        if let Some(row) = durable {
            let key = self.unwrap(&row)?;
            state.by_person.put(asked, key.clone());
            return Ok(key);
        }
        let state = &mut *state;
        let key = Arc::new(PersonKey::generate_at(state.next_place, &mut state.seeds));
        state.next_place = state.next_place.wrapping_add(1);
        let wrapped = self.master.wrap(&key, class, &mut state.seeds).map_err(|error| StoreError::Damaged(error.to_string()))?.to_bytes();
        let number = state.next_pending;
        state.next_pending += 1;
        state.pending.push_back((number, WrappedKey { id: key.id(), person: asked.0, class, wrapped }));
        state.know(&asked);
        state.minted.insert(asked, key.clone());
        state.minted_ids.insert(key.id(), key.clone());
        Ok(key)
    }

    /// The key with this id; `None` where it was destroyed.
    ///
    /// # Errors
    /// As [`KeyRing::key`].
    pub fn find(&self, id: KeyId) -> Result<Option<Arc<PersonKey>>, StoreError> {
        if let Some(key) = self.state().with_id(&id) {
            return Ok(Some(key));
        }
        let Some(row) = self.source().by_id(id)? else {
            // Minted a moment ago and made durable since, or truly gone.
            return Ok(self.state().with_id(&id));
        };
        let key = self.unwrap(&row)?;
        self.state().by_id.put(id, key.clone());
        Ok(Some(key))
    }

    fn unwrap(&self, row: &WrappedKey) -> Result<Arc<PersonKey>, StoreError> {
        Sealed::from_bytes(&row.wrapped)
            .and_then(|wrapped| self.master.unwrap(row.id, row.class, &wrapped).ok())
            .map(Arc::new)
            .ok_or_else(|| StoreError::Damaged(format!("the master key does not open the key {}", row.id)))
    }

    /// Seals for one person.
    ///
    /// # Errors
    /// As [`KeyRing::key`].
    pub fn seal(
        &self,
        person: Person<'_>,
        class: RetentionClass,
        binding: Binding<'_>,
        plain: &[u8],
        random: &mut Unpredictable,
    ) -> Result<Sealed, StoreError> {
        let key = self.key(person, class)?;
        SealingKey::from(&*key).seal(binding, plain, random).map_err(|error| StoreError::Refused(error.to_string()))
    }

    /// Opens a box; `None` where a key that it needs was destroyed.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where the keys are there and the box does not open.
    pub fn open(&self, binding: Binding<'_>, sealed: &Sealed) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let Some(key) = self.with_keys(|keys| SealingKey::find(sealed.key_id, keys))? else { return Ok(None) };
        key.open(binding, sealed).map(Some).map_err(|error| StoreError::Damaged(format!("{}: {error}", binding.kind)))
    }

    /// Does what asks for keys by their ids; a key that was destroyed is not there.
    ///
    /// # Errors
    /// As [`KeyRing::key`], whatever came of the work.
    pub fn with_keys<T>(&self, work: impl FnOnce(&mut dyn FnMut(KeyId) -> Option<PersonKey>) -> T) -> Result<T, StoreError> {
        let mut failed = None;
        let done = work(&mut |id| match self.find(id) {
            Ok(key) => key.map(|key| (*key).clone()),
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        failed.map_or(Ok(done), Err)
    }

    /// Ends looking up durable keys: the database closes.
    pub(in crate::store) fn close(&self) {
        *self.source() = Box::new(Closed);
    }

    /// The minted keys that are not durable yet, with the number to tell [`KeyRing::persisted`] after the commit.
    pub fn pending(&self) -> (Option<u64>, Vec<WrappedKey>) {
        let state = self.state();
        (state.pending.back().map(|(number, _)| *number), state.pending.iter().map(|(_, key)| key.clone()).collect())
    }

    /// Pending keys up to this number are durable.
    pub fn persisted(&self, up_to: u64) {
        let mut state = self.state();
        while state.pending.front().is_some_and(|(number, _)| *number <= up_to) {
            let Some((_, row)) = state.pending.pop_front() else { break };
            state.minted_ids.remove(&row.id);
            if let Some(key) = state.minted.remove(&(row.person, row.class)) {
                state.by_id.put(row.id, key.clone());
                state.by_person.put((row.person, row.class), key);
            }
        }
    }

    /// Forgets keys that a committed step destroyed or closed. Whoever asks for one next looks it up, and a person without one gets a new one.
    pub(in crate::store) fn forget(&self, keys: &[ForgottenKey]) {
        let mut state = self.state();
        for ForgottenKey { person, class, id } in keys {
            let asked = (*person, *class);
            let held = state.of_person(&asked).map(|key| key.id());
            state.by_person.forget(&asked);
            state.minted.remove(&asked);
            state.pending.retain(|(_, key)| (key.person, key.class) != asked);
            for id in id.iter().copied().chain(held) {
                state.by_id.forget(&id);
                state.minted_ids.remove(&id);
            }
        }
    }
}
