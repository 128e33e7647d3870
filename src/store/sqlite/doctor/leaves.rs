//! The file itself, and the sequence of entries that every repair adds to.

use super::{FILE, Finding, Repair, SEQUENCE, StoreDoctor, TellRepair};
use crate::audit::tile::TILE_WIDTH;
use crate::store::StoreError;
use crate::store::sqlite::error::InDatabase;

/// Messages of the database's own check that are looked at; one is enough to know.
const MESSAGES: usize = 100;
/// Missing entries that are put back at most: one damaged page loses some tens, and their numbers stay in memory.
const MOST_MISSING: i64 = 100_000;

const RESTORE: &str = "keep the folder as it is, and restore the last backup, database and log together, into another one";

/// Entries with their numbers.
type Missing = Vec<(i64, Vec<u8>)>;

/// The log's files, as far as the sequence is compared with them.
pub struct LogSide<'a> {
    /// Entries that the log's checkpoint covers; `None` where there is no log, or none that can be read.
    pub size: Option<u64>,
    /// The entries of a bundle of 256, by its number.
    pub bundle: &'a dyn Fn(u64) -> Option<Vec<Vec<u8>>>,
}

impl std::fmt::Debug for LogSide<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogSide({:?})", self.size)
    }
}

impl StoreDoctor {
    /// The database's own check. Indexes are made anew from their tables; a damaged table is beyond repair.
    pub(super) fn file(&mut self, tell: TellRepair<'_>) -> Result<bool, StoreError> {
        let about = ("file", FILE);
        let messages = self.integrity()?;
        if messages.is_empty() {
            return Ok(true);
        }
        let count = messages.len() as u64;
        let of_index = |message: &String| message.contains("index") && !message.contains("Tree") && !message.contains("Page");
        let first = messages.first().cloned().unwrap_or_default();
        if !messages.iter().all(of_index) {
            self.told(about, (format!("the database's file is damaged: {first}"), count), RESTORE);
            return Ok(false);
        }
        // The entry's own number is not known before the sequence was looked at: what was done here is told with it.
        self.next_leaf = self.count("SELECT coalesce(max(seq) + 1, 0) FROM leaf NOT INDEXED")?.try_into().unwrap_or(i64::MAX);
        let what = format!("indexes do not agree with their tables: {first}");
        self.mend(about, (what, count), "the indexes are made anew from their tables".into(), tell, |tx| {
            tx.conn.execute_batch("REINDEX").said()
        })?;
        if self.dry_run {
            return Ok(false);
        }
        let left = self.integrity()?;
        let (what, count) = (left.first().cloned().unwrap_or_default(), left.len() as u64);
        self.told(about, (format!("the database's file is damaged: {what}"), count), RESTORE);
        Ok(left.is_empty())
    }

    fn integrity(&self) -> Result<Vec<String>, StoreError> {
        let mut messages = Vec::new();
        let mut statement = self.conn.prepare(&format!("PRAGMA integrity_check({MESSAGES})")).said()?;
        let rows = statement.query_map((), |row| row.get::<_, String>(0)).said()?;
        for row in rows {
            match row.said() {
                Ok(message) if message == "ok" => {}
                Ok(message) => messages.push(message),
                Err(error) => {
                    messages.push(error.to_string());
                    break;
                }
            }
        }
        Ok(messages)
    }

    /// Entries are numbered from 0 without a gap, and there are at least as many as the log holds. What is missing is put back from the
    /// log's bundles, where it stands.
    pub(super) fn sequence(&mut self, log: &LogSide<'_>, tell: TellRepair<'_>) -> Result<bool, StoreError> {
        let about = ("sequence", SEQUENCE);
        let (rows, next): (i64, i64) =
            self.conn.query_row("SELECT count(*), coalesce(max(seq) + 1, 0) FROM leaf", (), |row| Ok((row.get(0)?, row.get(1)?))).said()?;
        self.next_leaf = next;
        let size = log.size.and_then(|size| i64::try_from(size).ok());
        if let Some(size) = size.filter(|size| *size > next) {
            let what = format!("the log holds {size} entries and the database {next}: the database is older than its log");
            let remedy = "database and log belong together: restore both from one backup, or keep this folder and ask";
            self.told(about, (what, u64::try_from(size - next).unwrap_or_default()), remedy);
            return Ok(false);
        }
        let missing = next - rows;
        if missing <= 0 {
            return Ok(true);
        }
        let count = u64::try_from(missing).unwrap_or_default();
        let what = format!("{missing} entries are missing from the sequence");
        let found = if missing <= MOST_MISSING { self.missing(size.unwrap_or(0), log)? } else { None };
        let Some(found) = found else {
            self.told(about, (format!("{what}, and the log does not hold all of them"), count), RESTORE);
            return Ok(false);
        };
        self.mend(about, (what, count), "put back from the log's bundles, where they stand".into(), tell, |tx| {
            let mut insert = tx.conn.prepare("INSERT INTO leaf (seq, bytes) VALUES (?1, ?2)").said()?;
            found.iter().try_for_each(|(number, bytes)| insert.execute((number, bytes)).said().map(drop))
        })?;
        Ok(!self.dry_run)
    }

    /// The missing entries, where the log has all of them.
    fn missing(&self, size: i64, log: &LogSide<'_>) -> Result<Option<Missing>, StoreError> {
        let gaps: Vec<(i64, i64)> = self
            .conn
            .prepare(
                "SELECT before + 1, seq - 1 FROM (SELECT seq, lag(seq, 1, -1) OVER (ORDER BY seq) AS before FROM leaf) WHERE seq <> before + 1",
            )
            .said()?
            .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))
            .said()?
            .collect::<Result<_, _>>()
            .said()?;
        let width = i64::from(TILE_WIDTH);
        let mut bundle: (i64, Vec<Vec<u8>>) = (-1, Vec::new());
        let mut found = Vec::new();
        for number in gaps.into_iter().flat_map(|(first, last)| first..=last) {
            if number >= size {
                return Ok(None);
            }
            if bundle.0 != number / width {
                let Some(entries) = (log.bundle)(u64::try_from(number / width).unwrap_or_default()) else { return Ok(None) };
                bundle = (number / width, entries);
            }
            let at = usize::try_from(number % width).unwrap_or_default();
            let Some(entry) = bundle.1.get(at) else { return Ok(None) };
            found.push((number, entry.clone()));
        }
        Ok(Some(found))
    }

    /// The log and the rows differ: told by who compared them.
    pub fn log_differs(&mut self, what: String) {
        let remedy = "keep the folder as it is for the reviewer: `kith audit verify` names the place; compare it with a backup and with \
                      checkpoints that left the machine";
        self.found.push(Finding { check: "log", code: SEQUENCE, what, count: 1, repair: Repair::Impossible(remedy.to_owned()) });
    }
}
