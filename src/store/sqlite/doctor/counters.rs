//! The left side of the conservation sum against the rows and against the log.
//!
//! Three witnesses say how much a source brought on a day: the counter, the rows, and the `source.read` entries of the log. Where only the
//! counter disagrees it is at fault, and is brought to what the other two say. Where rows are missing or too many, a counter that is made
//! to fit would hide a loss: that is told, never repaired.

use super::{COUNTERS, StoreDoctor, TellRepair};
use crate::audit::{Entry, Event};
use crate::store::StoreError;
use crate::store::sqlite::error::InDatabase;
use std::collections::BTreeMap;

/// Entries read at once.
const PAGE: i64 = 4_096;

struct Day {
    id: i64,
    source: String,
    date: String,
    received: i64,
    rows: i64,
}

impl StoreDoctor {
    /// Days whose counter and rows differ.
    pub(super) fn counters(&mut self, tell: TellRepair<'_>) -> Result<(), StoreError> {
        let days: Vec<Day> = self
            .conn
            .prepare(
                "SELECT s.id, s.source, s.day, s.received, count(r.id) AS rows
                 FROM source_day s LEFT JOIN (SELECT source_day AS id FROM activity UNION ALL SELECT source_day FROM parked_line) r ON r.id = s.id
                 GROUP BY s.id HAVING s.received <> rows",
            )
            .said()?
            .query_map((), |row| {
                Ok(Day { id: row.get(0)?, source: row.get(1)?, date: row.get(2)?, received: row.get(3)?, rows: row.get(4)? })
            })
            .said()?
            .collect::<Result<_, _>>()
            .said()?;
        if days.is_empty() {
            return Ok(());
        }
        let logged = self.logged()?;
        let about = ("conservation", COUNTERS);
        for Day { id, source, date, received, rows } in days {
            let log = logged.get(&(source.clone(), date.clone())).copied().unwrap_or_default();
            let gap = received.abs_diff(rows);
            let what = format!("{source} {date}: the counter says {received} received, the rows say {rows}, the log says {log}");
            if log == rows {
                let repair = format!("the counter is brought to {rows}, as rows and log agree");
                self.mend(about, (what, gap), repair, tell, |tx| {
                    tx.conn.execute("UPDATE source_day SET received = ?2 WHERE id = ?1", (id, rows)).said().map(drop)
                })?;
            } else {
                let remedy = "rows were lost or added behind Kith's back: restore the last backup into another folder and compare; the log's \
                              `source.read` entries say what arrived";
                self.told(about, (what, gap), remedy);
            }
        }
        Ok(())
    }

    /// What the log says was received, by source and day.
    fn logged(&self) -> Result<BTreeMap<(String, String), i64>, StoreError> {
        let mut sums = BTreeMap::new();
        let mut next = 0_i64;
        loop {
            let rows: Vec<(i64, Vec<u8>)> = self
                .conn
                .prepare_cached("SELECT seq, bytes FROM leaf WHERE seq >= ?1 ORDER BY seq LIMIT ?2")
                .said()?
                .query_map((next, PAGE), |row| Ok((row.get(0)?, row.get(1)?)))
                .said()?
                .collect::<Result<_, _>>()
                .said()?;
            let Some((last, _)) = rows.last() else { return Ok(sums) };
            next = last + 1;
            for (_, bytes) in &rows {
                // Most entries are about something else: only these are taken apart.
                if memchr::memmem::find(bytes, b"\"kind\":\"source.read\"").is_none() {
                    continue;
                }
                let Ok(entry) = Entry::decode(bytes) else { continue };
                if let Event::SourceRead { received, source, .. } = &entry.event {
                    let day = entry.time.strftime("%Y-%m-%d").to_string();
                    *sums.entry((source.to_string(), day)).or_default() += i64::try_from(*received).unwrap_or(i64::MAX);
                }
            }
        }
    }
}
