//! Checks and repairs of the state database while nobody else writes it: the file, rows against the rows that they follow from, counters
//! against the log, times against the clock, sealed content against the keys.
//!
//! What can be told from other rows is repaired, each repair one transaction with its entry. What can't be told is never guessed: it is
//! said, with what to do.

mod checks;
mod contents;
mod counters;
mod leaves;

pub use checks::WRONG_CLOCK_MARGIN;

use super::error::InDatabase;
use super::names::nanoseconds;
use super::open;
use super::writer::Tx;
use super::{Options, keys};
use crate::audit::{HashKey, MasterKey};
use crate::model::Timestamp;
use crate::store::StoreError;
use crate::store::lock::FolderLock;
use crate::store::ring::KeyRing;
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// The database's file is damaged.
pub const FILE: &str = "KITH-S020";
/// Rows whose parents are gone.
pub const ORPHANS: &str = "KITH-S021";
/// Flags and states that contradict the rows that they follow from.
pub const STATES: &str = "KITH-S022";
/// Counters that do not add up.
pub const COUNTERS: &str = "KITH-S023";
/// The sequence of entries has a gap, or contradicts the log.
pub const SEQUENCE: &str = "KITH-S024";
/// Content that can't be opened.
pub const CONTENT: &str = "KITH-S025";
/// Times from a wrong clock.
pub const CLOCK: &str = "KITH-S026";
/// Room on the disk.
pub const ROOM: &str = "KITH-S027";

/// From where on something is told.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A write-ahead log longer than this was never folded in: twice what a checkpoint cuts it back to.
    pub wal_bytes: u64,
    /// Less room than this on the disk: eight of the writer's write-ahead logs of 32 MiB.
    pub free_bytes: u64,
    /// Rows of each kind whose content is opened, the newest: a few hundredths of a second.
    pub sample: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { wal_bytes: 128 << 20, free_bytes: 256 << 20, sample: 200 }
    }
}

/// What is done about something found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Repair {
    /// It was done.
    Done(String),
    /// It would be done: this was a dry run.
    Possible(String),
    /// It can't be repaired here: what to do.
    Impossible(String),
}

/// Something found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The check's name.
    pub check: &'static str,
    /// The page that explains it.
    pub code: &'static str,
    /// What is wrong, without personal data.
    pub what: String,
    /// How many.
    pub count: u64,
    /// What is done about it.
    pub repair: Repair,
}

/// Makes the entry that tells a repair: the check's name, how many rows, and what was done.
pub type TellRepair<'a> = &'a dyn Fn(&str, u64, &str) -> Result<Vec<u8>, StoreError>;

/// A state database, examined by the one who holds its folder.
pub struct StoreDoctor {
    conn: Connection,
    state_dir: PathBuf,
    ring: KeyRing,
    now: i64,
    limits: Limits,
    dry_run: bool,
    next_leaf: i64,
    /// Entries that repairs added.
    added: i64,
    found: Vec<Finding>,
    _lock: FolderLock,
}

impl std::fmt::Debug for StoreDoctor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreDoctor")
    }
}

impl StoreDoctor {
    /// Takes the folder and opens its database. A dry run does not even migrate it.
    ///
    /// # Errors
    /// [`StoreError::Locked`] where a service runs; [`StoreError::Absent`], [`StoreError::Newer`], [`StoreError::Damaged`] where there is no
    /// database of Kith's.
    pub fn open(state_dir: &Path, keys: (MasterKey, HashKey), limits: Limits, dry_run: bool, now: Timestamp) -> Result<Self, StoreError> {
        let path = open::database(state_dir);
        if !path.exists() {
            return Err(StoreError::Absent(state_dir.display().to_string()));
        }
        let lock = FolderLock::take(state_dir)?;
        let conn = if dry_run { open::as_it_is(&path)? } else { open::writer(&path, None)? };
        let source = keys::Keys::Own(open::as_it_is(&path)?);
        let ring = KeyRing::to_read(keys.0, keys.1, Options::from_system()?.seed, Box::new(source));
        Ok(Self {
            conn,
            state_dir: state_dir.to_owned(),
            ring,
            now: nanoseconds(now),
            limits,
            dry_run,
            next_leaf: 0,
            added: 0,
            found: Vec::new(),
            _lock: lock,
        })
    }

    /// The file and the sequence of entries: what everything else, and every repair, stands on. `entries` reads a bundle of the log.
    /// Whether the rest can be looked at, and repaired.
    ///
    /// # Errors
    /// What the database says beyond what a check finds.
    pub fn examine_foundation(&mut self, log: &leaves::LogSide<'_>, tell: TellRepair<'_>) -> Result<bool, StoreError> {
        if !self.file(tell)? {
            return Ok(false);
        }
        self.sequence(log, tell)
    }

    /// Everything else. To be called where the foundation holds.
    ///
    /// # Errors
    /// What the database says beyond what a check finds.
    pub fn examine_rows(&mut self, tell: TellRepair<'_>) -> Result<(), StoreError> {
        self.orphans(tell)?;
        self.states(tell)?;
        self.times(tell)?;
        self.contents(tell)?;
        self.counters(tell)?;
        self.room(tell)
    }

    /// Entries that were sequenced before anything was repaired.
    pub fn sequenced(&self) -> u64 {
        u64::try_from(self.next_leaf - self.added).unwrap_or_default()
    }

    /// Entries from a number on.
    ///
    /// # Errors
    /// What the database says.
    pub fn leaves(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        super::sequence::leaves(&self.conn, from, super::page(limit))
    }

    /// What was found, in the order of the checks.
    pub fn into_findings(self) -> Vec<Finding> {
        self.found
    }

    /// Tells something that the caller repairs after this: its entry is sequenced now.
    ///
    /// # Errors
    /// What the database says.
    pub fn follow(
        &mut self,
        about: (&'static str, &'static str),
        found: (String, u64),
        repair: &str,
        tell: TellRepair<'_>,
    ) -> Result<(), StoreError> {
        self.mend(about, found, repair.to_owned(), tell, |_tx| Ok(()))
    }

    fn count(&self, sql: &str) -> Result<u64, StoreError> {
        let count: i64 = self.conn.prepare_cached(sql).said()?.query_row((), |row| row.get(0)).said()?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// One transaction; undone where anything in it fails, and then nothing was repaired.
    fn transaction<T>(&mut self, work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let before = self.next_leaf;
        self.conn.execute_batch("BEGIN IMMEDIATE").said()?;
        let done =
            work(&mut Tx::new(&self.conn, &mut self.next_leaf)).and_then(|done| self.conn.execute_batch("COMMIT").said().map(|()| done));
        if done.is_err() {
            self.next_leaf = before;
            if !self.conn.is_autocommit() {
                self.conn.execute_batch("ROLLBACK").said()?;
            }
        }
        done
    }

    /// Tells something found, and repairs it in one transaction with its entry.
    fn mend(
        &mut self,
        (check, code): (&'static str, &'static str),
        (what, count): (String, u64),
        repair: String,
        tell: TellRepair<'_>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if count == 0 {
            return Ok(());
        }
        let repair = if self.dry_run {
            Repair::Possible(repair)
        } else {
            let leaf = tell(check, count, &repair)?;
            self.transaction(|tx| {
                work(tx)?;
                tx.append(&leaf).map(|_sequence| ())
            })?;
            self.added += 1;
            Repair::Done(repair)
        };
        self.found.push(Finding { check, code, what, count, repair });
        Ok(())
    }

    /// Tells something that can't be repaired.
    fn told(&mut self, (check, code): (&'static str, &'static str), (what, count): (String, u64), remedy: &str) {
        if count > 0 {
            self.found.push(Finding { check, code, what, count, repair: Repair::Impossible(remedy.to_owned()) });
        }
    }
}

pub use leaves::LogSide;

#[cfg(test)]
#[path = "doctor/tests.rs"]
mod tests;
