//! The database as it stood at one moment, copied beside a writer, and a look at such a copy.

use super::error::{InDatabase, from_sqlite};
use super::open::{self, APPLICATION_ID};
use crate::audit::KeyId;
use crate::store::StoreError;
use crate::store::lock::OWNER_ONLY;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What a copy holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// Its schema.
    pub schema: i64,
    /// How many entries the log has in it.
    pub entries: u64,
    /// The master key in force, where it was changed before; `None`: the first one.
    pub master: Option<KeyId>,
}

/// Copies the database of a state folder into a file that is made for it, in one read of one moment: a writer beside it is not held up. What is
/// at that place already is replaced.
///
/// # Errors
/// What the database says of either file; [`StoreError::Full`] where there is no room.
pub fn snapshot(state_dir: &Path, to: &Path) -> Result<Snapshot, StoreError> {
    let shown = to.display().to_string();
    let said = |error: rusqlite::Error| from_sqlite(&error, &shown);
    match std::fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::from_io(&error, to)),
        Ok(()) | Err(_) => {}
    }
    let from = open::reader(&open::database(state_dir))?;
    OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(to).map_err(|error| StoreError::from_io(&error, to))?;
    let mut copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(said)?;
    let copied = Backup::new(&from, &mut copy).and_then(|backup| backup.step(-1)).map_err(said)?;
    if !matches!(copied, StepResult::Done) {
        return Err(StoreError::Locked(state_dir.display().to_string()));
    }
    // One file, without a log beside it.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_row| Ok(())).map_err(said)?;
    let number = |sql: &str| copy.query_row(sql, (), |row| row.get::<_, i64>(0)).map_err(said);
    let (schema, entries) = (number("PRAGMA user_version")?, number("SELECT coalesce(max(seq) + 1, 0) FROM leaf")?);
    let master = super::sequence::setting(&copy, super::MASTER_IN_FORCE)?.as_deref().and_then(KeyId::from_hex);
    copy.close().map_err(|(_open, error)| said(error))?;
    Ok(Snapshot { schema, entries: u64::try_from(entries).unwrap_or_default(), master })
}

/// Looks at a copy: SQLite's own check of the whole file, and each entry of the log in order. Returns the schema.
///
/// # Errors
/// [`StoreError::Damaged`] where the file is none of ours, is unsound, or its entries have a gap; [`StoreError::Newer`].
pub fn examine_copy(path: &Path, mut entry: impl FnMut(&[u8])) -> Result<i64, StoreError> {
    let shown = path.display().to_string();
    let said = |error: rusqlite::Error| from_sqlite(&error, &shown);
    let damaged = |what: &str| StoreError::Damaged(format!("{shown}: {what}"));
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(said)?;
    conn.pragma_update(None, "trusted_schema", false).map_err(said)?;
    let number = |sql: &str| conn.query_row(sql, (), |row| row.get::<_, i64>(0)).map_err(said);
    if number("PRAGMA application_id")? != APPLICATION_ID {
        return Err(damaged("it is no database of Kith's"));
    }
    let schema = number("PRAGMA user_version")?;
    if schema > open::SCHEMA {
        return Err(StoreError::Newer { found: schema, known: open::SCHEMA });
    }
    let sound: String = conn.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0)).map_err(said)?;
    if sound != "ok" {
        return Err(damaged("SQLite's own check finds it unsound"));
    }
    let mut statement = conn.prepare("SELECT seq, bytes FROM leaf ORDER BY seq").said()?;
    let mut rows = statement.query(()).said()?;
    let mut next = 0_i64;
    while let Some(row) = rows.next().said()? {
        if row.get::<_, i64>(0).said()? != next {
            return Err(damaged("the log's sequence has a gap"));
        }
        next += 1;
        entry(row.get_ref(1).said()?.as_blob().map_err(|_no_blob| damaged("an entry is no entry"))?);
    }
    Ok(schema)
}
