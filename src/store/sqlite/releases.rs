//! Releases of mappings over SQLite. No text here is personal: it can be read without keys.

use super::error::{InDatabase, damaged, from_sqlite};
use super::names::{Numbered, nanoseconds, timestamp};
use super::work::digest;
use super::writer::Tx;
use super::{SqliteStore, open, sequence};
use crate::model::{Digest, IdentityId};
use crate::store::{MappingText, NamedText, Release, ReleaseHow, ReleaseStep, Releases, StoreError};
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;

/// Releases that are listed at most: one a day for 27 years.
const MOST: i64 = 10_000;

impl Numbered for ReleaseHow {
    const NUMBERS: &'static [(Self, i64)] = &[(Self::FirstStart, 0), (Self::Released, 1), (Self::RolledBack, 2), (Self::TakenOver, 3)];
}

fn releases(conn: &Connection, most: i64) -> Result<Vec<Release>, StoreError> {
    let mut statement = conn
        .prepare_cached(
            "SELECT r.id, r.hash, t.mapping, t.model, t.name, r.how, r.author, r.note, r.at
             FROM release r JOIN mapping_text t ON t.hash = r.hash ORDER BY r.id DESC LIMIT ?1",
        )
        .said()?;
    let mut rows = statement.query([most]).said()?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().said()? {
        let (hash, mapping): (Vec<u8>, Vec<u8>) = (row.get(1).said()?, row.get(2).said()?);
        let model: Option<Vec<u8>> = row.get(3).said()?;
        found.push(Release {
            id: row.get(0).said()?,
            hash: digest(&hash)?,
            mapping: digest(&mapping)?,
            model: model.as_deref().map(digest).transpose()?,
            name: row.get(4).said()?,
            how: ReleaseHow::from_number(row.get(5).said()?)?,
            author: row.get(6).said()?,
            note: row.get(7).said()?,
            at: timestamp(row.get(8).said()?),
        });
    }
    Ok(found)
}

fn text(conn: &Connection, hash: Digest) -> Result<Option<MappingText>, StoreError> {
    type Columns = (Vec<u8>, Option<Vec<u8>>, std::sync::Arc<str>, String, String, String);
    let found: Option<Columns> = conn
        .prepare_cached("SELECT mapping, model, name, path, text, named FROM mapping_text WHERE hash = ?1")
        .said()?
        .query_row([hash.0.as_slice()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))
        .optional()
        .said()?;
    let Some((mapping, model, name, path, text, named)) = found else { return Ok(None) };
    let named: Vec<(String, String, String)> =
        serde_json::from_str(&named).map_err(|_unreadable| damaged("the files of a released mapping"))?;
    Ok(Some(MappingText {
        hash,
        mapping: digest(&mapping)?,
        model: model.as_deref().map(digest).transpose()?,
        name,
        path,
        text,
        named: named.into_iter().map(|(written, path, text)| NamedText { written, path, text }).collect(),
    }))
}

fn release(tx: &mut Tx<'_>, step: &ReleaseStep) -> Result<(), StoreError> {
    let MappingText { hash, mapping, model, name, path, text, named } = &step.text;
    let named: Vec<(&str, &str, &str)> = named.iter().map(|n| (n.written.as_str(), n.path.as_str(), n.text.as_str())).collect();
    let named = serde_json::to_string(&named).map_err(|_unwritable| damaged("the files of a mapping"))?;
    tx.conn
        .prepare_cached(
            "INSERT INTO mapping_text (hash, mapping, model, name, path, text, named) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        )
        .said()?
        .execute((hash.0.as_slice(), mapping.0.as_slice(), model.as_ref().map(|m| m.0.as_slice()), &**name, path, text, named))
        .said()?;
    tx.conn
        .prepare_cached("INSERT INTO release (hash, how, author, note, at) VALUES (?1, ?2, ?3, ?4, ?5)")
        .said()?
        .execute((hash.0.as_slice(), step.how.number(), &*step.author, step.note.as_deref(), nanoseconds(step.at)))
        .said()?;
    sequence::set(tx, &step.settings, &step.leaves)
}

impl Releases for SqliteStore {
    async fn release(&self, step: ReleaseStep) -> Result<(), StoreError> {
        self.inner.writer.run(move |tx| release(tx, &step)).await
    }

    async fn releases(&self) -> Result<Vec<Release>, StoreError> {
        self.inner.readers.read(|conn| releases(conn, MOST), Ok).await
    }

    async fn decide_again(&self, accounts: Vec<IdentityId>, leaf: Vec<u8>) -> Result<u64, StoreError> {
        let hashes: Vec<_> = accounts.iter().map(|id| self.ring().hashes().identity(id)).collect();
        self.inner
            .writer
            .run(move |tx| {
                let mut marked = 0;
                for hash in &hashes {
                    marked += tx
                        .conn
                        .prepare_cached("UPDATE identity SET needs_decision = 1, work = 1 WHERE hash = ?1 AND account IS NOT NULL")
                        .said()?
                        .execute([hash.0.as_slice()])
                        .said()? as u64;
                }
                tx.append(&leaf)?;
                Ok(marked)
            })
            .await
    }

    async fn mapping_text(&self, hash: Digest) -> Result<Option<MappingText>, StoreError> {
        self.inner.readers.read(move |conn| text(conn, hash), Ok).await
    }
}

/// Looks at the releases of a state folder, where there is one and the service has brought it to the schema that knows them.
fn look<R>(state_dir: &Path, query: impl FnOnce(&Connection) -> Result<R, StoreError>) -> Result<Option<R>, StoreError> {
    let path = open::database(state_dir);
    if !path.exists() {
        return Ok(None);
    }
    let conn = open::whatever_schema(&path)?;
    let known = conn.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'release'", (), |row| row.get::<_, i64>(0));
    if known.map_err(|error| from_sqlite(&error, &path.display().to_string()))? == 0 {
        return Ok(None);
    }
    query(&conn).map(Some).map_err(|error| error.located(&path.display().to_string()))
}

/// Every release of a state folder, the newest first; none where there is no folder. Needs no key.
///
/// # Errors
/// What the database says.
pub fn releases_of(state_dir: &Path) -> Result<Vec<Release>, StoreError> {
    look(state_dir, |conn| releases(conn, MOST)).map(Option::unwrap_or_default)
}

/// What a release says. Needs no key.
///
/// # Errors
/// What the database says.
pub fn text_of(state_dir: &Path, hash: Digest) -> Result<Option<MappingText>, StoreError> {
    look(state_dir, |conn| text(conn, hash)).map(Option::flatten)
}

/// The release in force with what it says. Needs no key.
///
/// # Errors
/// What the database says.
pub fn in_force(state_dir: &Path) -> Result<Option<(Release, MappingText)>, StoreError> {
    let found = look(state_dir, |conn| {
        let Some(newest) = releases(conn, 1)?.pop() else { return Ok(None) };
        let text = text(conn, newest.hash)?.ok_or_else(|| damaged("the text of the mapping in force"))?;
        Ok(Some((newest, text)))
    });
    found.map(Option::flatten)
}
