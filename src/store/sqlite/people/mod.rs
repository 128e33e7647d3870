//! What people decide, over SQLite.

mod cases;
mod guards;
mod lost;
mod undo;
pub(super) mod verdicts;

use super::{SqliteStore, evidence};
use crate::model::IdentityId;
use crate::store::{CaseFilter, CaseRow, CaseShown, JudgeStep, Judged, People, StoreError};

impl People for SqliteStore {
    async fn cases(&self, filter: CaseFilter, from: usize, limit: usize) -> Result<(Vec<CaseRow>, u64), StoreError> {
        self.inner.readers.read(move |conn| cases::list(conn, &filter, from, super::page(limit)), Ok).await
    }

    async fn case(&self, id: IdentityId) -> Result<Option<CaseShown>, StoreError> {
        let (readers, ring) = (self.inner.readers.clone(), self.inner.ring.clone());
        let read = move || {
            let hash = ring.hashes().identity(&id);
            let found = readers.read_here(|conn| {
                let Some(row) = cases::one(conn, hash)? else { return Ok(None) };
                let opinions = cases::opinions(conn, row.row)?;
                Ok(Some((evidence::of_current(conn, row.row)?, row, opinions)))
            })?;
            let Some((sealed, row, opinions)) = found else { return Ok(None) };
            let evidence = sealed.map(|sealed| evidence::open(&ring, &sealed)).transpose()?.flatten();
            Ok(Some(CaseShown { row, evidence, opinions }))
        };
        self.inner.readers.off_thread(read).await
    }

    async fn case_row(&self, id: IdentityId) -> Result<Option<CaseRow>, StoreError> {
        let hash = self.inner.ring.hashes().identity(&id);
        self.inner.readers.read(move |conn| cases::one(conn, hash), Ok).await
    }

    async fn judge(&self, steps: Vec<JudgeStep>) -> Result<Vec<Judged>, StoreError> {
        let ring = self.inner.ring.clone();
        self.inner.writer.run(move |tx| steps.iter().map(|step| verdicts::judge(tx, &ring, step)).collect()).await
    }
}
