//! The default store: SQLite in `state/kith.db`, one writer's thread behind the async trait, readers beside it (design §10).

mod codec;
mod content;
mod customers;
mod dead_letters;
mod decide;
pub mod doctor;
mod endpoint;
mod error;
mod evidence;
mod held;
mod intake;
mod keys;
mod names;
mod oldest;
mod open;
mod outbox;
mod people;
mod posts;
mod reader;
mod readers;
pub mod releases;
mod restored;
mod rights;
mod sequence;
mod snapshot;
mod totals;
mod work;
mod writer;

#[cfg(test)]
mod dead_letters_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod held_tests;
#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod posts_tests;
#[cfg(test)]
mod tests;

pub use open::DATABASE_FILE;
pub use reader::{ActivityStanding, DecisionShown, LinkFilter, LinkRow, ParkedContent, ParkedDelivery, ParkedLineRow, SqliteReader};
pub use restored::{Forgotten, Restored, RestoredStep};
pub use rights::{ActivityFile, DeliveryFile, LinkFile, PersonFile, master_in_force};
pub use snapshot::{Snapshot, examine_copy, snapshot};

use super::lock::FolderLock;
use super::ring::KeyRing;
use super::{
    CustomersStep, DecideStep, DropStep, Due, EndpointState, IdentityRow, IdentityWork, IntakeBatch, IntakeOutcome, KnownCustomers, Letter,
    LetterId, LetterOutcome, LinkedAccount, OutboxRow, Post, ReceiptBatch, ReplayStep, SendBatch, Spent, Store, StoreError, StoredProfile,
    Totals,
};
use crate::audit::{HashKey, MasterKey};
use crate::model::{CustomerId, DeliveryId, Digest, Intended, Network, TargetId, Timestamp};
use error::InDatabase;
use readers::Readers;
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;
use std::sync::{Arc, Mutex};
use writer::Writer;

/// Rows of one page at most, whatever a caller asks for: with rows of a few kilobytes, some tens of megabytes.
const MAX_PAGE: usize = 20_000;

/// The setting that names the master key in force, by its id.
const MASTER_IN_FORCE: &str = "master_key";

/// How a store is opened.
#[derive(Debug)]
pub struct Options {
    /// 32 bytes that nobody can know: person keys and nonces stem from them. A constant only in tests.
    pub seed: [u8; 32],
    /// The most pages of 4 KiB that the database may have; `None` for SQLite's own limit. Beyond it the disk counts as full.
    pub max_pages: Option<u32>,
}

impl Options {
    /// With a seed from the operating system.
    ///
    /// # Errors
    /// [`StoreError::Database`] where the system gives no random bytes.
    pub fn from_system() -> Result<Self, StoreError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| StoreError::Database(format!("the system gives no random bytes: {error}")))?;
        Ok(Self { seed, max_pages: None })
    }
}

/// The SQLite store, open for writing. Clones share it; the last one closes it.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    // Dropped in this order: idle readers close, the writer ends its last group and closes the database, then others may take the folder.
    readers: Readers,
    writer: Writer,
    ring: Arc<KeyRing>,
    _lock: Option<FolderLock>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteStore")
    }
}

impl SqliteStore {
    /// Opens a state folder for writing: creates it as needed, takes its lock, migrates, and marks what was being sent as `unknown`.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Newer`], [`StoreError::ReadOnly`], [`StoreError::Damaged`], [`StoreError::Full`].
    #[expect(clippy::needless_pass_by_value, reason = "a seed serves one store only")]
    pub fn create_or_open(state_dir: &Path, master: MasterKey, hashes: HashKey, options: Options) -> Result<Self, StoreError> {
        let Options { seed, max_pages } = options;
        create_folder(state_dir)?;
        let lock = FolderLock::take(state_dir)?;
        let path = open::database(state_dir);
        let conn = open::writer(&path, max_pages)?;
        outbox::sending_is_unknown(&conn)?;
        let next_leaf = next_leaf(&conn)?;
        let keys = keys::Keys::Own(open::reader(&path)?);
        let ring = Arc::new(KeyRing::new(master, hashes, seed, Box::new(keys))?);
        let writer = Writer::start(conn, ring.clone(), next_leaf, path.display().to_string())?;
        Ok(Self { inner: Arc::new(Inner { writer, readers: Readers::of_file(path), ring, _lock: Some(lock) }) })
    }

    /// A private copy of a state in memory, or an empty one where there is none: what `kith plan` works on. The folder is only read.
    ///
    /// # Errors
    /// [`StoreError::Newer`], [`StoreError::Damaged`], [`StoreError::Locked`] where a writer does not let go in time.
    #[expect(clippy::needless_pass_by_value, reason = "a seed serves one store only")]
    pub fn in_memory_copy(state_dir: &Path, master: MasterKey, hashes: HashKey, options: Options) -> Result<Self, StoreError> {
        let Options { seed, max_pages: _ } = options;
        let conn = open::memory_copy(&open::database(state_dir))?;
        outbox::sending_is_unknown(&conn)?;
        let next_leaf = next_leaf(&conn)?;
        let conn = Arc::new(Mutex::new(conn));
        let ring = Arc::new(KeyRing::new(master, hashes, seed, Box::new(keys::Keys::Shared(conn.clone())))?);
        let writer = Writer::here(conn.clone(), ring.clone(), next_leaf);
        Ok(Self { inner: Arc::new(Inner { writer, readers: Readers::Shared(conn), ring, _lock: None }) })
    }

    /// The keys of persons. What is sealed with them before a step is durable with that step.
    pub fn ring(&self) -> &Arc<KeyRing> {
        &self.inner.ring
    }
}

fn create_folder(state_dir: &Path) -> Result<(), StoreError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(state_dir).map_err(|error| {
        // A file where the folder, or a folder above it, should be.
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            StoreError::ReadOnly(state_dir.display().to_string())
        } else {
            StoreError::from_io(&error, state_dir)
        }
    })
}

fn next_leaf(conn: &Connection) -> Result<i64, StoreError> {
    let (first, next): (i64, i64) = conn
        .query_row("SELECT (SELECT coalesce(min(seq), 0) FROM leaf), coalesce(max(seq) + 1, 0) FROM leaf", (), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .said()?;
    if first == 0 { Ok(next) } else { Err(StoreError::Damaged(format!("the log's sequence begins at {first}"))) }
}

fn page(limit: usize) -> i64 {
    i64::try_from(limit.min(MAX_PAGE)).unwrap_or(i64::MAX)
}

impl Store for SqliteStore {
    async fn cursor(&self, source: &str, file: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (source, file) = (source.to_owned(), file.to_owned());
        self.inner
            .readers
            .read(
                move |conn| {
                    conn.prepare_cached("SELECT cursor FROM source_file WHERE source = ?1 AND file = ?2")
                        .said()?
                        .query_row((source, file), |row| row.get(0))
                        .optional()
                        .said()
                },
                Ok,
            )
            .await
    }

    async fn intake(&self, batch: IntakeBatch) -> Result<IntakeOutcome, StoreError> {
        let ring = self.inner.ring.clone();
        let prepared = self.inner.readers.off_thread(move || intake::prepare(&ring, batch)).await?;
        self.inner.writer.run(move |tx| intake::write(tx, &prepared)).await
    }

    async fn knows(&self, objects: Vec<(Network, String)>) -> Result<Vec<bool>, StoreError> {
        let hashes: Vec<[u8; 16]> = objects.iter().map(|(network, id)| intake::object_hash(&self.inner.ring, *network, id)).collect();
        self.inner.readers.read(move |conn| intake::known(conn, &hashes), Ok).await
    }

    async fn work(&self, after: Option<IdentityRow>, limit: usize) -> Result<Vec<IdentityWork>, StoreError> {
        let ring = self.inner.ring.clone();
        self.inner.readers.read(move |conn| work::read(conn, after, page(limit)), move |raw| work::open(&ring, raw)).await
    }

    async fn decide(&self, batch: Vec<DecideStep>) -> Result<(), StoreError> {
        let ring = self.inner.ring.clone();
        let prepared = self.inner.readers.off_thread(move || decide::prepare(&ring, batch)).await?;
        self.inner.writer.run(move |tx| decide::write(tx, &prepared)).await
    }

    async fn due(&self, due: &Due) -> Result<Vec<OutboxRow>, StoreError> {
        let (ring, due) = (self.inner.ring.clone(), due.clone());
        self.inner.readers.read(move |conn| outbox::due(conn, &due, page(due.limit)), move |rows| outbox::open(&ring, rows)).await
    }

    async fn send(&self, batch: SendBatch) -> Result<Vec<Intended>, StoreError> {
        // The tokens are made here, after the commit is durable: nothing else mints them.
        let (batch, sequences) = self
            .inner
            .writer
            .run(move |tx| {
                let sequences = outbox::send(tx, &batch)?;
                Ok((batch, sequences))
            })
            .await?;
        Ok(batch.intents.into_iter().zip(sequences).map(|(step, sequence)| Intended::mint(step.delivery, sequence)).collect())
    }

    async fn receipt(&self, batch: ReceiptBatch) -> Result<(), StoreError> {
        let ring = self.inner.ring.clone();
        let prepared = if batch.outcomes.iter().any(|step| step.failed.as_ref().is_some_and(|failed| failed.exchange.is_some())) {
            self.inner.readers.off_thread(move || outbox::prepare(&ring, batch)).await?
        } else {
            outbox::prepare(&ring, batch)?
        };
        self.inner.writer.run(move |tx| outbox::receipt(tx, &prepared)).await
    }

    async fn endpoints(&self) -> Result<Vec<EndpointState>, StoreError> {
        self.inner.readers.read(endpoint::all, Ok).await
    }

    async fn spent(&self) -> Result<Vec<Spent>, StoreError> {
        self.inner.readers.read(endpoint::spent, Ok).await
    }

    async fn spend(&self, spent: Vec<Spent>) -> Result<(), StoreError> {
        self.inner.writer.run(move |tx| endpoint::spend(tx, &spent)).await
    }

    async fn oldest(&self, targets: Vec<TargetId>) -> Result<Vec<(TargetId, Timestamp)>, StoreError> {
        self.inner.readers.read(move |conn| oldest::oldest(conn, &targets), Ok).await
    }

    async fn next_due(&self, target: &TargetId) -> Result<Option<Timestamp>, StoreError> {
        let target = target.0.clone();
        self.inner.readers.read(move |conn| outbox::next_due(conn, &target), Ok).await
    }

    async fn orphaned(&self, target: &TargetId) -> Result<u64, StoreError> {
        let target = target.0.clone();
        self.inner.writer.run(move |tx| outbox::orphaned(tx, &target)).await
    }

    async fn unsettled(&self, target: &TargetId, after: Option<DeliveryId>, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        let (ring, target) = (self.inner.ring.clone(), target.0.clone());
        self.inner
            .readers
            .read(move |conn| outbox::unsettled(conn, &target, after, page(limit)), move |rows| outbox::open(&ring, rows))
            .await
    }

    async fn known_customers(&self, source: &str) -> Result<KnownCustomers, StoreError> {
        let source = source.to_owned();
        self.inner.readers.read(move |conn| customers::known(conn, &source), Ok).await
    }

    async fn customers(&self, step: CustomersStep) -> Result<(), StoreError> {
        self.inner.writer.run(move |tx| customers::write(tx, &step)).await
    }

    async fn linked_to(&self, customers: Vec<CustomerId>) -> Result<Vec<LinkedAccount>, StoreError> {
        let ring = self.inner.ring.clone();
        self.inner.readers.read(move |conn| work::read_linked(conn, &customers), move |found| work::open_linked(&ring, found)).await
    }

    async fn profiles(&self, after: Option<IdentityRow>, limit: usize) -> Result<Vec<StoredProfile>, StoreError> {
        let ring = self.inner.ring.clone();
        self.inner.readers.read(move |conn| work::read_profiles(conn, after, page(limit)), move |raw| work::open_profiles(&ring, raw)).await
    }

    async fn posts(&self, of: Vec<IdentityRow>) -> Result<Vec<Vec<Post>>, StoreError> {
        let ring = self.inner.ring.clone();
        self.inner.readers.read(move |conn| posts::read(conn, &of), move |raw| posts::open(&ring, raw)).await
    }

    async fn append(&self, leaves: Vec<Vec<u8>>) -> Result<(), StoreError> {
        self.inner.writer.run(move |tx| tx.append_all(&leaves)).await
    }

    async fn keep_parts(&self, parts: Vec<(Digest, Vec<u8>)>) -> Result<(), StoreError> {
        self.inner.writer.run(move |tx| sequence::keep_parts(tx, &parts)).await
    }

    async fn part(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.readers.read(move |conn| sequence::part(conn, &digest), Ok).await
    }

    async fn leaves(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        self.inner.readers.read(move |conn| sequence::leaves(conn, from, page(limit)), Ok).await
    }

    async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let name = name.to_owned();
        self.inner.readers.read(move |conn| sequence::setting(conn, &name), Ok).await
    }

    async fn set(&self, settings: Vec<(String, String)>, leaves: Vec<Vec<u8>>) -> Result<(), StoreError> {
        self.inner.writer.run(move |tx| sequence::set(tx, &settings, &leaves)).await
    }

    async fn letters(&self, ids: Vec<LetterId>) -> Result<Vec<Letter>, StoreError> {
        let ring = self.inner.ring.clone();
        self.inner.readers.read(move |conn| dead_letters::read(conn, &ids), move |raw| dead_letters::open(&ring, raw)).await
    }

    async fn replay(&self, at: Timestamp, steps: Vec<ReplayStep>) -> Result<Vec<LetterOutcome>, StoreError> {
        let (ring, edited) = (self.inner.ring.clone(), dead_letters::edited(&steps));
        let standing = move |conn: &Connection| -> Result<Vec<_>, StoreError> {
            let rows: Vec<_> = edited.iter().map(|id| outbox::one(conn, *id)).collect::<Result<_, _>>()?;
            Ok(rows.into_iter().flatten().collect())
        };
        let seal = move |standing: Vec<_>| dead_letters::prepare(&ring, &standing, steps);
        let prepared = self.inner.readers.read(standing, seal).await?;
        self.inner.writer.run(move |tx| dead_letters::replay(tx, at, &prepared)).await
    }

    async fn drop_letters(&self, at: Timestamp, steps: Vec<DropStep>) -> Result<Vec<LetterOutcome>, StoreError> {
        self.inner.writer.run(move |tx| dead_letters::drop_letters(tx, at, &steps)).await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.inner.readers.read(totals::totals, Ok).await
    }
}
