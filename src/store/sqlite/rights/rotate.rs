//! Another master key: every person's key is wrapped anew in one transaction; what they seal stays as it is.

use crate::audit::{KeyId, MasterKey, RetentionClass, Sealed};
use crate::store::StoreError;
use crate::store::sqlite::error::{InDatabase, damaged};
use crate::store::sqlite::names::Numbered;
use crate::store::sqlite::{MASTER_IN_FORCE, SqliteStore, open};
use std::path::Path;

/// Keys read at once.
const PAGE: i64 = 4_096;

/// The id of the master key that the state folder's keys are wrapped under, as far as it says; `None` before the first rotation, where there is no
/// state, and where it can't be read: then whoever opens it is told why.
pub fn master_in_force(state_dir: &Path) -> Option<KeyId> {
    let path = open::database(state_dir);
    if !path.exists() {
        return None;
    }
    let conn = open::whatever_schema(&path).ok()?;
    crate::store::sqlite::sequence::setting(&conn, MASTER_IN_FORCE).ok()?.as_deref().and_then(KeyId::from_hex)
}

impl SqliteStore {
    /// Wraps every key under another master key, with the leaf that tells it. The store's ring still holds the old one: close it after this.
    /// Returns how many keys.
    ///
    /// # Errors
    /// What the database says; [`StoreError::Damaged`] where a key does not open under the old one. Then nothing was changed.
    pub async fn rotate_master(&self, from: MasterKey, to: MasterKey, leaf: Vec<u8>) -> Result<u64, StoreError> {
        let ring = self.inner.ring.clone();
        self.inner
            .writer
            .run(move |tx| {
                let mut random = ring.stream();
                let (mut after, mut count) = (0, 0);
                loop {
                    let page: Vec<(i64, [u8; 16], i64, Vec<u8>)> = tx
                        .conn
                        .prepare_cached("SELECT id, key_id, class, wrapped FROM person_key WHERE id > ?1 ORDER BY id LIMIT ?2")
                        .said()?
                        .query_map((after, PAGE), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
                        .said()?
                        .collect::<Result<_, _>>()
                        .said()?;
                    let Some(last) = page.last() else { break };
                    after = last.0;
                    for (row, id, class, wrapped) in page {
                        let (id, class) = (KeyId(id), RetentionClass::from_number(class)?);
                        let wrapped = Sealed::from_bytes(&wrapped)
                            .and_then(|wrapped| from.unwrap(id, class, &wrapped).ok())
                            .and_then(|key| to.wrap(&key, class, &mut random).ok())
                            .ok_or_else(|| damaged("the master key does not open a person's key"))?;
                        tx.conn
                            .prepare_cached("UPDATE person_key SET wrapped = ?2 WHERE id = ?1")
                            .said()?
                            .execute((row, wrapped.to_bytes()))
                            .said()?;
                        count += 1;
                    }
                }
                let settings = [(MASTER_IN_FORCE.to_owned(), to.id().to_string())];
                crate::store::sqlite::sequence::set(tx, &settings, &[leaf])?;
                Ok(count)
            })
            .await
    }
}
