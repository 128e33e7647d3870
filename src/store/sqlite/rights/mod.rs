//! People's rights and the retention clocks over SQLite.

mod destroy;
mod fields;
mod finish;
mod hold;
mod mend;
mod person;
mod retention;
mod rotate;
mod stop;
pub(super) mod suppressed;
mod withdraw;

pub use person::{ActivityFile, DeliveryFile, LinkFile, PersonFile};
pub use rotate::master_in_force;
pub(super) use stop::{stop_again, suppressed_customers};

use super::error::{InDatabase, damaged};
use super::{SqliteStore, open};
use crate::audit::SubjectHash;
use crate::model::{IdentityId, Timestamp};
use crate::store::ring::RequestId;
use crate::store::{
    ClockEnded, ClockStep, FinishStep, Finished, HoldStep, IdentityRow, RectifyStep, RemovalId, RemovalReason, RemovalRow, Rights,
    StopOutcome, StopStep, StoppedAccount, StoreError, WithdrawStep,
};
use rusqlite::Connection;
use std::collections::HashSet;
use std::sync::Arc;

/// `removal.phase`: stopped, being withdrawn, done.
const STOPPED: i64 = 0;
const WITHDRAWING: i64 = 1;
const DONE: i64 = 2;

/// A keyed hash as a column has it.
fn hash(bytes: &[u8]) -> Result<SubjectHash, StoreError> {
    bytes.try_into().map(SubjectHash).map_err(|_wrong_length| damaged("a keyed hash of the wrong length"))
}

fn request(bytes: &[u8]) -> Result<RequestId, StoreError> {
    bytes.try_into().map(RequestId).map_err(|_wrong_length| damaged("a request's id of the wrong length"))
}

/// Keyed hashes of what Kith wrote to customers about accounts.
pub(super) fn wrote(conn: &Connection) -> Result<Vec<[u8; 16]>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT hash FROM wrote").said()?;
    let rows = statement.query_map((), |row| row.get(0)).said()?;
    rows.collect::<Result<_, _>>().said()
}

impl Rights for SqliteStore {
    async fn stop(&self, step: StopStep) -> Result<Vec<StopOutcome>, StoreError> {
        let ring = self.inner.ring.clone();
        self.inner.writer.run(move |tx| stop::stop(tx, &ring, &step)).await
    }

    async fn stopped(&self, limit: usize) -> Result<Vec<StoppedAccount>, StoreError> {
        let ring = self.inner.ring.clone();
        self.inner
            .readers
            .read(move |conn| withdraw::read_stopped(conn, super::page(limit)), move |raw| withdraw::open_stopped(&ring, raw))
            .await
    }

    async fn withdraw(&self, at: Timestamp, steps: Vec<WithdrawStep>) -> Result<(), StoreError> {
        let erased: Arc<HashSet<SubjectHash>> =
            Arc::new(steps.iter().filter(|s| s.reason == RemovalReason::Erasure).map(|s| s.person).collect());
        let (mut mentioned, mut after) = (Vec::new(), 0);
        while !erased.is_empty() {
            let (ring, erased) = (self.inner.ring.clone(), erased.clone());
            let page = self.inner.readers.read(
                move |conn| withdraw::read_lines(conn, after),
                move |lines| Ok((lines.last().map(|line| line.0), withdraw::mentions(&ring, &lines, &erased)?)),
            );
            let (last, found) = page.await?;
            mentioned.extend(found);
            let Some(last) = last else { break };
            after = last;
        }
        let ring = self.inner.ring.clone();
        let prepared = self.inner.readers.off_thread(move || withdraw::prepare(&ring, steps)).await?;
        self.inner.writer.run(move |tx| withdraw::write(tx, at, &prepared, &mentioned)).await
    }

    async fn unswept(&self) -> Result<Vec<(RemovalId, SubjectHash)>, StoreError> {
        self.inner.readers.read(finish::unswept, Ok).await
    }

    async fn swept(&self, lines: Vec<(RemovalId, u64)>) -> Result<(), StoreError> {
        self.inner.writer.run(move |tx| finish::swept(tx, &lines)).await
    }

    async fn finish(&self, step: FinishStep) -> Result<Vec<Finished>, StoreError> {
        self.inner.writer.run(move |tx| finish::finish(tx, &step)).await
    }

    async fn removals(&self, request: Option<RequestId>) -> Result<Vec<RemovalRow>, StoreError> {
        self.inner.readers.read(move |conn| finish::removals(conn, request), Ok).await
    }

    async fn hold(&self, step: HoldStep) -> Result<u64, StoreError> {
        let ring = self.inner.ring.clone();
        self.inner.writer.run(move |tx| hold::place(tx, &ring, &step)).await
    }

    async fn release(&self, step: HoldStep) -> Result<bool, StoreError> {
        let ring = self.inner.ring.clone();
        self.inner.writer.run(move |tx| hold::release(tx, &ring, &step)).await
    }

    async fn take_back(&self, at: Timestamp, id: IdentityId, basis: Arc<str>, leaf: Vec<u8>) -> Result<bool, StoreError> {
        let person = self.inner.ring.hashes().identity(&id);
        self.inner.writer.run(move |tx| mend::take_back(tx, at, person, &basis, &leaf)).await
    }

    async fn rectify(&self, step: RectifyStep) -> Result<bool, StoreError> {
        let (ring, person) = (self.inner.ring.clone(), self.inner.ring.hashes().identity(&step.id));
        let prepared = self
            .inner
            .readers
            .read(move |conn| mend::read_corrections(conn, person), move |before| mend::prepare(&ring, before, &step))
            .await?;
        self.inner.writer.run(move |tx| mend::rectify(tx, person, &prepared)).await
    }

    async fn noticed(&self, at: Timestamp, rows: Vec<IdentityRow>, leaf: Vec<u8>) -> Result<(), StoreError> {
        self.inner.writer.run(move |tx| mend::noticed(tx, at, &rows, &leaf)).await
    }

    async fn run_clock(&self, step: ClockStep) -> Result<ClockEnded, StoreError> {
        let (ring, again) = (self.inner.ring.clone(), self.inner.ring.clone());
        let asked = step.clone();
        if let Some(field) = step.field.clone() {
            let due = self.inner.readers.read(move |conn| fields::read(conn, &asked), move |due| fields::trim(&again, Some(&*field), due));
            let trimmed = due.await?;
            return self.inner.writer.run(move |tx| fields::write(tx, &ring, &step, &trimmed)).await;
        }
        let thin = self.inner.readers.read(move |conn| retention::read_thin(conn, &asked), move |raw| retention::thin(&again, raw)).await?;
        self.inner.writer.run(move |tx| retention::run(tx, &ring, &step, &thin)).await
    }

    async fn suppressed_customers(&self) -> Result<Vec<SubjectHash>, StoreError> {
        self.inner.readers.read(stop::suppressed_customers, Ok).await
    }

    async fn wrote(&self) -> Result<Vec<[u8; 16]>, StoreError> {
        self.inner.readers.read(wrote, Ok).await
    }

    async fn fold(&self) -> Result<(), StoreError> {
        let Some(path) = self.inner.readers.path() else { return Ok(()) };
        self.inner
            .readers
            .off_thread(move || {
                let conn = open::as_it_is(&path)?;
                // A reader in the middle of a long read keeps some of it: then the next fold, or the writer's own, does it.
                conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_row| Ok(())).said()
            })
            .await
    }
}

impl RemovalReason {
    const fn number(self) -> i64 {
        match self {
            Self::Erasure => 0,
            Self::Objection => 1,
        }
    }

    fn from_number(number: i64) -> Result<Self, StoreError> {
        Self::ALL.into_iter().find(|reason| reason.number() == number).ok_or_else(|| damaged("a removal for an unknown reason"))
    }
}
