//! Rows against rows, times against the clock, and room: what SQL alone can tell and mend.

use super::{CLOCK, ORPHANS, ROOM, STATES, StoreDoctor, TellRepair};
use crate::store::StoreError;
use crate::store::sqlite::error::InDatabase;
use crate::store::sqlite::open::DATABASE_FILE;
use std::collections::BTreeMap;

/// A time of a row this much later than now was written by a clock that was wrong: an hour, as a summer time taken for another.
pub const WRONG_CLOCK_MARGIN: i64 = 3_600 * 1_000_000_000;
/// No schedule of retries and no believable wait is longer: a year.
const FAR_FUTURE: i64 = 366 * 24 * 3_600 * 1_000_000_000;

const RESTORE: &str = "nobody can tell what they were: restore the last backup into another folder and compare";

/// Children that mean nothing without their parent, which the audit log still tells of.
const DELETABLE: &[(&str, &str, &str)] = &[
    ("attempt", "delivery", "DELETE FROM attempt WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.id = attempt.delivery)"),
    ("evidence", "decision", "DELETE FROM evidence WHERE NOT EXISTS (SELECT 1 FROM decision d WHERE d.id = evidence.decision)"),
    ("written", "identity", "DELETE FROM written WHERE NOT EXISTS (SELECT 1 FROM identity i WHERE i.id = written.identity)"),
    ("link", "identity", "DELETE FROM link WHERE NOT EXISTS (SELECT 1 FROM identity i WHERE i.id = link.identity)"),
];

/// A check in SQL: how many rows are wrong, and what makes them right.
struct Plain {
    check: &'static str,
    code: &'static str,
    what: &'static str,
    count: &'static str,
    repair: &'static str,
    sql: &'static [&'static str],
}

const PARENTS: &[Plain] = &[
    Plain {
        check: "written records",
        code: ORPHANS,
        what: "records that stand written name deliveries that are not there",
        count: "SELECT count(*) FROM written w WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.id = w.delivery)",
        repair: "taken out",
        sql: &["DELETE FROM written WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.id = written.delivery)"],
    },
    Plain {
        check: "decisions of deliveries",
        code: ORPHANS,
        what: "deliveries name decisions that are not there",
        count: "SELECT count(*) FROM delivery d WHERE d.decision IS NOT NULL AND NOT EXISTS (SELECT 1 FROM decision c WHERE c.id = d.decision)",
        repair: "the name is taken out; the log still tells which decision it was",
        sql: &["UPDATE delivery SET decision = NULL
                WHERE decision IS NOT NULL AND NOT EXISTS (SELECT 1 FROM decision c WHERE c.id = delivery.decision)"],
    },
    Plain {
        check: "authors of activities",
        code: ORPHANS,
        what: "activity versions name another account than their object does",
        count: "SELECT count(*) FROM activity a JOIN object o ON o.id = a.object WHERE a.identity <> o.identity",
        repair: "brought to the object's",
        sql: &["UPDATE activity SET identity = (SELECT o.identity FROM object o WHERE o.id = activity.object)
                WHERE identity <> (SELECT o.identity FROM object o WHERE o.id = activity.object)"],
    },
    Plain {
        check: "newest versions",
        code: ORPHANS,
        what: "objects name a newest version that is not theirs",
        count: "SELECT count(*) FROM object o WHERE NOT EXISTS (SELECT 1 FROM activity a WHERE a.id = o.newest AND a.object = o.id)
                AND EXISTS (SELECT 1 FROM activity a WHERE a.object = o.id)",
        repair: "found again by time, verb and id",
        sql: &["UPDATE object SET newest = (SELECT a.id FROM activity a WHERE a.object = object.id
                    ORDER BY a.version_at DESC, a.version_verb DESC, a.version_id DESC, a.version DESC LIMIT 1)
                WHERE NOT EXISTS (SELECT 1 FROM activity a WHERE a.id = object.newest AND a.object = object.id)
                  AND EXISTS (SELECT 1 FROM activity a WHERE a.object = object.id)"],
    },
    Plain {
        check: "days of rows",
        code: ORPHANS,
        what: "rows name a day and source that are not there",
        count: "SELECT count(*) FROM (SELECT source_day AS id FROM activity UNION ALL SELECT source_day FROM parked_line) r
                WHERE NOT EXISTS (SELECT 1 FROM source_day s WHERE s.id = r.id)",
        repair: "counted under a source named `(lost …)`, on the day on which they were received",
        sql: &["INSERT INTO source_day (id, source, day, received, duplicates)
                SELECT r.id, '(lost ' || r.id || ')', strftime('%Y-%m-%d', min(r.at) / 1000000000, 'unixepoch'), count(*), 0
                FROM (SELECT source_day AS id, received AS at FROM activity UNION ALL SELECT source_day, at FROM parked_line) r
                WHERE NOT EXISTS (SELECT 1 FROM source_day s WHERE s.id = r.id) GROUP BY r.id"],
    },
];

/// What an activity's deliveries say of its state, as the store derives it.
const SAID: &str = "SELECT activity AS id, CASE WHEN max(state IN (0, 1, 4)) THEN 2 WHEN max(state = 3) THEN 4 WHEN max(state = 2) THEN 3
                    ELSE coalesce(max(dropped_by), 3) END AS state FROM delivery WHERE activity IS NOT NULL GROUP BY activity";

/// In this order: each rests on those before it.
const STATE_CHECKS: &[Plain] = &[
    Plain {
        check: "stuck sends",
        code: STATES,
        what: "deliveries were being sent when the last service ended",
        count: "SELECT count(*) FROM delivery WHERE state = 1",
        repair: "their outcome is unknown from now on: the next start settles them by asking the target",
        sql: &["UPDATE delivery SET state = 4, open = 1, reason = 'the service ended before the answer came' WHERE state = 1"],
    },
    Plain {
        check: "open flags",
        code: STATES,
        what: "deliveries are marked open against their state, or not open",
        count: "SELECT count(*) FROM delivery WHERE open <> (state IN (0, 1, 4))",
        repair: "brought to their state",
        sql: &["UPDATE delivery SET open = (state IN (0, 1, 4)) WHERE open <> (state IN (0, 1, 4))"],
    },
    Plain {
        check: "accounts not kept",
        code: STATES,
        what: "activity versions wait although nothing of them may be kept: nobody would ever decide about them",
        count: "SELECT count(*) FROM activity a JOIN identity i ON i.id = a.identity
                WHERE a.state IN (0, 1) AND a.sealed IS NULL AND i.account IS NULL",
        repair: "dropped as `not-permitted`",
        sql: &["UPDATE activity SET state = 17 WHERE state IN (0, 1) AND sealed IS NULL
                AND EXISTS (SELECT 1 FROM identity i WHERE i.id = activity.identity AND i.account IS NULL)"],
    },
    Plain {
        check: "nothing to deliver",
        code: STATES,
        what: "activity versions are in delivery or parked, and have no delivery",
        count: "SELECT count(*) FROM activity a WHERE a.state IN (2, 4) AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.activity = a.id)",
        repair: "they wait to be planned again",
        sql: &["UPDATE activity SET state = 0 WHERE state IN (2, 4) AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.activity = activity.id)"],
    },
    Plain {
        check: "undecided accounts",
        code: STATES,
        what: "accounts have something that waits, and nothing makes anybody look: it would wait for ever",
        count: "SELECT count(*) FROM identity i WHERE i.account IS NOT NULL AND i.work = 0 AND (i.needs_decision = 1
                OR EXISTS (SELECT 1 FROM activity a WHERE a.identity = i.id AND a.state IN (0, 1) AND a.state = 0)
                OR (EXISTS (SELECT 1 FROM activity a WHERE a.identity = i.id AND a.state IN (0, 1) AND a.state = 1)
                    AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.identity = i.id AND d.current = 1 AND d.outcome = 2)))",
        repair: "marked as work, and for a new decision where none is in force or the one in force asks nobody",
        sql: &[
            "UPDATE identity SET work = 1, needs_decision = 1 WHERE account IS NOT NULL AND work = 0
             AND EXISTS (SELECT 1 FROM activity a WHERE a.identity = identity.id AND a.state IN (0, 1) AND a.state = 1)
             AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.identity = identity.id AND d.current = 1 AND d.outcome = 2)",
            "UPDATE identity SET work = 1,
                    needs_decision = needs_decision OR NOT EXISTS (SELECT 1 FROM decision d WHERE d.identity = identity.id AND d.current = 1)
             WHERE account IS NOT NULL AND work = 0 AND (needs_decision = 1
               OR EXISTS (SELECT 1 FROM activity a WHERE a.identity = identity.id AND a.state IN (0, 1) AND a.state = 0))",
        ],
    },
];

impl StoreDoctor {
    fn plain(&mut self, plain: &'static Plain, tell: TellRepair<'_>) -> Result<(), StoreError> {
        let count = self.count(plain.count)?;
        self.mend((plain.check, plain.code), (plain.what.to_owned(), count), plain.repair.to_owned(), tell, |tx| {
            plain.sql.iter().try_for_each(|sql| tx.conn.execute(sql, ()).said().map(drop))
        })
    }

    /// Rows whose parents are gone. Children that only add to their parent go with it; the others are told.
    pub(super) fn orphans(&mut self, tell: TellRepair<'_>) -> Result<(), StoreError> {
        let rows: Vec<(String, String)> = self
            .conn
            .prepare("PRAGMA foreign_key_check")
            .said()?
            .query_map((), |row| Ok((row.get(0)?, row.get(2)?)))
            .said()?
            .collect::<Result<_, _>>()
            .said()?;
        let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
        for key in rows {
            *counts.entry(key).or_default() += 1;
        }
        for ((table, parent), count) in counts {
            let what = format!("rows of `{table}` name rows of `{parent}` that are not there");
            let about = ("orphaned rows", ORPHANS);
            match DELETABLE.iter().find(|(child, of, _)| *child == table && *of == parent) {
                Some((_, _, sql)) => {
                    let repair = format!("taken out of `{table}`; the log still tells of them");
                    self.mend(about, (what, count), repair, tell, |tx| tx.conn.execute(sql, ()).said().map(drop))?;
                }
                None => self.told(about, (what, count), RESTORE),
            }
        }
        PARENTS.iter().try_for_each(|plain| self.plain(plain, tell))
    }

    /// Flags and states against the rows that they follow from.
    pub(super) fn states(&mut self, tell: TellRepair<'_>) -> Result<(), StoreError> {
        let count = self.count("SELECT count(*) FROM delivery WHERE state NOT BETWEEN 0 AND 5")?;
        self.told(("states", STATES), ("deliveries are in a state that there is not".to_owned(), count), RESTORE);
        let mut checks = STATE_CHECKS.iter();
        for plain in checks.by_ref().take(2) {
            self.plain(plain, tell)?;
        }
        // 5 is erased: that stands above what deliveries say.
        let wrong = format!("FROM activity a JOIN ({SAID}) s ON s.id = a.id WHERE a.state <> s.state AND a.state <> 5");
        let count = self.count(&format!("SELECT count(*) {wrong}"))?;
        let what = "activity versions are in another state than their deliveries say".to_owned();
        let repair = "brought to what their deliveries say".to_owned();
        self.mend(("states of activities", STATES), (what, count), repair, tell, |tx| {
            let sql = format!("UPDATE activity SET state = s.state FROM ({SAID}) s WHERE s.id = activity.id AND activity.state <> s.state AND activity.state <> 5");
            tx.conn.execute(&sql, ()).said().map(drop)
        })?;
        for plain in checks {
            self.plain(plain, tell)?;
        }
        let lost = "SELECT count(*) FROM activity a WHERE a.state IN (0, 1) AND a.sealed IS NULL";
        let count = if self.dry_run { 0 } else { self.count(lost)? };
        self.told(
            ("lost content", STATES),
            ("activity versions wait and have no content: nobody can decide about them".to_owned(), count),
            RESTORE,
        );
        Ok(())
    }

    /// Times that only a wrong clock can have written. A wait keeps its length; a quota counts as spent whole.
    pub(super) fn times(&mut self, tell: TellRepair<'_>) -> Result<(), StoreError> {
        let (now, wrong) = (self.now, self.now.saturating_add(WRONG_CLOCK_MARGIN));
        let far = self.now.saturating_add(FAR_FUTURE);
        let about = |check| (check, CLOCK);
        let ahead = format!("until > {wrong} + window_seconds * 1000000000 OR at > {wrong}");
        let count = self.count(&format!("SELECT count(*) FROM spent WHERE {ahead}"))?;
        let what = "quotas are spent beyond their window: nothing would be sent until then".to_owned();
        self.mend(about("quotas"), (what, count), "spent for one window from now".into(), tell, |tx| {
            let sql = format!("UPDATE spent SET until = {now} + window_seconds * 1000000000, at = {now} WHERE {ahead}");
            tx.conn.execute(&sql, ()).said().map(drop)
        })?;
        let rested = format!("changed_at > {wrong} OR coalesce(waits_until, 0) > {far} OR coalesce(rests_until, 0) > {far}");
        let count = self.count(&format!("SELECT count(*) FROM endpoint WHERE {rested}"))?;
        let what = "endpoints wait since a time that is still to come, or for more than a year".to_owned();
        self.mend(
            about("waits of endpoints"),
            (what, count),
            "they wait as long as they were asked to, from now; a year is no wait".into(),
            tell,
            |tx| {
                let left = |column: &str| {
                    format!("CASE WHEN {column} - changed_at BETWEEN 0 AND {FAR_FUTURE} THEN {now} + {column} - changed_at ELSE NULL END")
                };
                let sql = format!(
                    "UPDATE endpoint SET waits_until = {}, rests_until = {}, changed_at = {now} WHERE {rested}",
                    left("waits_until"),
                    left("rests_until")
                );
                tx.conn.execute(&sql, ()).said().map(drop)
            },
        )?;
        let late = format!(
            "state = 0 AND not_before IS NOT NULL AND not_before > {now} AND (coalesce(changed_at, 0) > {wrong} OR not_before > {far})"
        );
        let count = self.count(&format!("SELECT count(*) FROM delivery WHERE {late}"))?;
        let what = "deliveries wait for a time that no schedule gives".to_owned();
        self.mend(about("waits of deliveries"), (what, count), "they may be sent at once".into(), tell, |tx| {
            tx.conn.execute(&format!("UPDATE delivery SET not_before = NULL, changed_at = {now} WHERE {late}"), ()).said().map(drop)
        })
    }

    /// The write-ahead log, and room on the disk.
    pub(super) fn room(&mut self, tell: TellRepair<'_>) -> Result<(), StoreError> {
        let wal = self.state_dir.join(format!("{DATABASE_FILE}-wal"));
        let bytes = std::fs::metadata(&wal).map_or(0, |m| m.len());
        if bytes > self.limits.wal_bytes {
            let what = format!("the write-ahead log has {} MB: it was not folded into the database", bytes / 1_000_000);
            self.mend(("write-ahead log", ROOM), (what, 1), "folded into the database, and cut back".into(), tell, |_tx| Ok(()))?;
            if !self.dry_run {
                self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_row| Ok(())).said()?;
            }
        }
        let Ok(disk) = rustix::fs::statvfs(&self.state_dir) else { return Ok(()) };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < self.limits.free_bytes {
            let what = format!("the disk that holds the state has {} MB left", free / 1_000_000);
            self.told(("room", ROOM), (what, 1), "make room: without it the service stops with KITH-S002, half-writing nothing");
        }
        Ok(())
    }
}
