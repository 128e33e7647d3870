//! Pauses and guarded passes over SQLite.

use crate::model::{ActivityState, DropRule, Timestamp};
use crate::store::sqlite::error::{InDatabase, damaged};
use crate::store::sqlite::names::{Numbered, nanoseconds, timestamp, unsigned};
use crate::store::sqlite::outbox::settle_dropped;
use crate::store::sqlite::writer::Tx;
use crate::store::sqlite::{SqliteReader, SqliteStore};
use crate::store::{
    Deletions, GuardMatter, GuardRow, GuardState, GuardedPass, Guards, Pause, PauseStep, PausedPart, SettleStep, Settlement, StoreError,
};
use rusqlite::{Connection, OptionalExtension, Row};
use std::sync::Arc;

impl Numbered for PausedPart {
    const NUMBERS: &'static [(Self, i64)] = &[(Self::Source, 0), (Self::Target, 1)];
}

impl Numbered for GuardMatter {
    const NUMBERS: &'static [(Self, i64)] = &[(Self::Retire, 0), (Self::Relink, 1), (Self::Delete, 2), (Self::FirstWrites, 3)];
}

impl Numbered for GuardState {
    const NUMBERS: &'static [(Self, i64)] = &[(Self::Waits, 0), (Self::Approved, 1), (Self::Rejected, 2)];
}

/// Examples of whom a guarded pass is about.
const EXAMPLES: i64 = 5;

fn pauses(conn: &Connection) -> Result<Vec<Pause>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT part, name, author, at FROM paused ORDER BY part, name").said()?;
    let mut rows = statement.query(()).said()?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().said()? {
        found.push(Pause {
            part: PausedPart::from_number(row.get(0).said()?)?,
            name: row.get(1).said()?,
            author: row.get(2).said()?,
            at: timestamp(row.get(3).said()?),
        });
    }
    Ok(found)
}

fn pause(tx: &mut Tx<'_>, step: &PauseStep) -> Result<Vec<bool>, StoreError> {
    let mut changed = Vec::with_capacity(step.pauses.len());
    for (pause, leaf) in &step.pauses {
        let rows = if step.stops {
            tx.conn
                .prepare_cached("INSERT INTO paused (part, name, author, at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")
                .said()?
                .execute((pause.part.number(), &*pause.name, &*pause.author, nanoseconds(pause.at)))
        } else {
            tx.conn.prepare_cached("DELETE FROM paused WHERE part = ?1 AND name = ?2").said()?.execute((pause.part.number(), &*pause.name))
        }
        .said()?;
        if rows > 0 {
            tx.append(leaf)?;
        }
        changed.push(rows > 0);
    }
    Ok(changed)
}

const COLUMNS: &str = "id, matter, place, subject, found, whole, allowed, examples, last, state, at, author";

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn row(row: &Row<'_>) -> Result<GuardRow, StoreError> {
    let examples: Option<String> = row.get(7).said()?;
    let examples =
        examples.map(|json| serde_json::from_str(&json).map_err(|_unreadable| damaged("examples of a guarded pass"))).transpose()?;
    Ok(GuardRow {
        id: row.get(0).said()?,
        pass: GuardedPass {
            matter: GuardMatter::from_number(row.get(1).said()?)?,
            place: row.get(2).said()?,
            subject: row.get(3).said()?,
            found: unsigned(row.get(4).said()?),
            whole: unsigned(row.get(5).said()?),
            allowed: unsigned(row.get(6).said()?),
            examples: examples.unwrap_or_default(),
            last: row.get(8).said()?,
        },
        state: GuardState::from_number(row.get(9).said()?)?,
        at: timestamp(row.get(10).said()?),
        author: row.get(11).said()?,
    })
}

fn guarded(conn: &Connection) -> Result<Vec<GuardRow>, StoreError> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM guarded WHERE state < 3 ORDER BY id")).said()?;
    let mut rows = statement.query(()).said()?;
    let mut found = Vec::new();
    while let Some(next) = rows.next().said()? {
        found.push(row(next)?);
    }
    Ok(found)
}

/// One about the same: of the same matter and place, over the same read. What a person approved holds for as much as they saw.
fn guard(tx: &Tx<'_>, at: i64, pass: &GuardedPass) -> Result<GuardRow, StoreError> {
    let open = {
        let mut statement = tx
            .conn
            .prepare_cached(&format!("SELECT {COLUMNS} FROM guarded WHERE state < 3 AND matter = ?1 AND place = ?2 ORDER BY id DESC"))
            .said()?;
        let mut rows = statement.query((pass.matter.number(), &*pass.place)).said()?;
        rows.next().said()?.map(row).transpose()?
    };
    if let Some(mut known) = open.filter(|known| known.pass.subject == pass.subject) {
        let holds = match known.state {
            GuardState::Waits => true,
            // What came since is as much as passes without asking.
            GuardState::Approved => pass.found <= known.pass.found.saturating_add(pass.allowed),
            GuardState::Rejected => !pass.subject.is_empty(),
        };
        if holds {
            if known.state == GuardState::Waits {
                let examples = serde_json::Value::from(pass.examples.clone()).to_string();
                tx.conn
                    .prepare_cached("UPDATE guarded SET found = ?2, whole = ?3, allowed = ?4, examples = ?5, last = ?6 WHERE id = ?1")
                    .said()?
                    .execute((known.id, signed(pass.found), signed(pass.whole), signed(pass.allowed), examples, pass.last))
                    .said()?;
                known.pass = pass.clone();
            }
            return Ok(known);
        }
    }
    ended(tx, pass.matter, &pass.place)?;
    tx.conn
        .prepare_cached(
            "INSERT INTO guarded (matter, place, subject, found, whole, allowed, examples, last, state, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9)",
        )
        .said()?
        .execute((
            pass.matter.number(),
            &*pass.place,
            &pass.subject,
            signed(pass.found),
            signed(pass.whole),
            signed(pass.allowed),
            serde_json::Value::from(pass.examples.clone()).to_string(),
            pass.last,
            at,
        ))
        .said()?;
    Ok(GuardRow { id: tx.conn.last_insert_rowid(), pass: pass.clone(), state: GuardState::Waits, at: timestamp(at), author: None })
}

fn ended(tx: &Tx<'_>, matter: GuardMatter, place: &str) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached("UPDATE guarded SET state = 3 WHERE state < 3 AND matter = ?1 AND place = ?2")
        .said()?
        .execute((matter.number(), place))
        .said()
        .map(drop)
}

fn settle(tx: &mut Tx<'_>, step: &SettleStep) -> Result<Settlement, StoreError> {
    let found: Option<(i64, i64)> = tx
        .conn
        .prepare_cached("SELECT matter, last FROM guarded WHERE id = ?1 AND state = 0")
        .said()?
        .query_row([step.id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .said()?;
    let Some((matter, last)) = found else { return Ok(Settlement::NotWaiting) };
    let matter = GuardMatter::from_number(matter)?;
    let state = if step.approve { GuardState::Approved } else { GuardState::Rejected };
    tx.conn
        .prepare_cached("UPDATE guarded SET state = ?2, author = ?3, settled_at = ?4 WHERE id = ?1")
        .said()?
        .execute((step.id, state.number(), &*step.author, nanoseconds(step.at)))
        .said()?;
    tx.append(&step.leaf)?;
    let dropped = match (step.approve, matter) {
        (false, GuardMatter::Delete) => drop_deletions(tx, last)?,
        (false, GuardMatter::FirstWrites) => drop_planned(tx, step.at)?,
        (true, _) | (false, GuardMatter::Retire | GuardMatter::Relink) => 0,
    };
    Ok(Settlement::Done(dropped))
}

/// Deletions that wait, up to this one, are not followed: a person said so.
fn drop_deletions(tx: &Tx<'_>, last: i64) -> Result<u64, StoreError> {
    let dropped = ActivityState::Dropped(DropRule::DroppedByPerson).number();
    let changed = tx
        .conn
        .prepare_cached("UPDATE activity SET state = ?1 WHERE state IN (0, 1) AND state = 0 AND version_verb = 2 AND id <= ?2")
        .said()?
        .execute((dropped, last))
        .said()?;
    Ok(changed as u64)
}

/// What was planned and never sent is given up.
fn drop_planned(tx: &Tx<'_>, at: Timestamp) -> Result<u64, StoreError> {
    let dropped: Vec<(i64, Option<i64>)> = tx
        .conn
        .prepare_cached(
            "UPDATE delivery SET state = 5, open = 0, dropped_by = ?1, reason = 'a person rejected the first writes', changed_at = ?2
             WHERE state = 0 AND attempt = 0 RETURNING id, activity",
        )
        .said()?
        .query_map((ActivityState::Dropped(DropRule::DroppedByPerson).number(), nanoseconds(at)), |row| Ok((row.get(0)?, row.get(1)?)))
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    settle_dropped(tx, dropped)
}

/// A deletion that waits, and a record about its post that stands.
const WITHDRAWN_BY: &str = "FROM activity a CROSS JOIN activity b ON b.object = a.object
     CROSS JOIN delivery d INDEXED BY delivery_activity ON d.activity = b.id CROSS JOIN written w ON w.identity = d.identity AND w.record = d.record
     WHERE a.state IN (0, 1) AND a.state = 0 AND a.version_verb = 2 AND w.delivery = d.id";

fn deletions(conn: &Connection, few: u64) -> Result<Option<Deletions>, StoreError> {
    let (waiting, last): (i64, i64) = conn
        .prepare_cached(&format!("SELECT count(DISTINCT w.delivery), coalesce(max(a.id), 0) {WITHDRAWN_BY}"))
        .said()?
        .query_row((), |row| Ok((row.get(0)?, row.get(1)?)))
        .said()?;
    if unsigned(waiting) <= few {
        return Ok(None);
    }
    let written: i64 = conn.prepare_cached("SELECT count(*) FROM written").said()?.query_row((), |row| row.get(0)).said()?;
    let examples = conn
        .prepare_cached(&format!("SELECT DISTINCT d.customer {WITHDRAWN_BY} AND d.customer IS NOT NULL LIMIT {EXAMPLES}"))
        .said()?
        .query_map((), |row| row.get(0))
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    Ok(Some(Deletions { waiting: unsigned(waiting), written: unsigned(written), last, examples }))
}

fn first_writes(conn: &Connection) -> Result<Option<u64>, StoreError> {
    let sent: bool =
        conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM delivery WHERE attempt > 0)").said()?.query_row((), |row| row.get(0)).said()?;
    if sent {
        return Ok(None);
    }
    let open: i64 = conn.prepare_cached("SELECT count(*) FROM delivery WHERE open = 1").said()?.query_row((), |row| row.get(0)).said()?;
    Ok(Some(unsigned(open)))
}

impl Guards for SqliteStore {
    async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        self.inner.readers.read(pauses, Ok).await
    }

    async fn pause(&self, step: PauseStep) -> Result<Vec<bool>, StoreError> {
        self.inner.writer.run(move |tx| pause(tx, &step)).await
    }

    async fn guard(&self, at: crate::model::Timestamp, pass: GuardedPass) -> Result<GuardRow, StoreError> {
        self.inner.writer.run(move |tx| guard(tx, nanoseconds(at), &pass)).await
    }

    async fn guard_ended(&self, matter: GuardMatter, place: Arc<str>) -> Result<(), StoreError> {
        let which = place.clone();
        let open = |row: &GuardRow| row.pass.matter == matter && row.pass.place == which;
        // Mostly there is none: then nothing is written.
        if !self.guarded().await?.iter().any(open) {
            return Ok(());
        }
        self.inner.writer.run(move |tx| ended(tx, matter, &place)).await
    }

    async fn guarded(&self) -> Result<Vec<GuardRow>, StoreError> {
        self.inner.readers.read(guarded, Ok).await
    }

    async fn settle_guard(&self, step: SettleStep) -> Result<Settlement, StoreError> {
        self.inner.writer.run(move |tx| settle(tx, &step)).await
    }

    async fn deletions(&self, few: u64) -> Result<Option<Deletions>, StoreError> {
        self.inner.readers.read(move |conn| deletions(conn, few), Ok).await
    }

    async fn first_writes(&self) -> Result<Option<u64>, StoreError> {
        self.inner.readers.read(first_writes, Ok).await
    }
}

impl SqliteReader {
    /// The pauses that stand.
    ///
    /// # Errors
    /// What the database says.
    pub fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        self.readers.read_here(pauses)
    }

    /// Guarded passes that wait, or that were settled and are not done.
    ///
    /// # Errors
    /// What the database says.
    pub fn guarded(&self) -> Result<Vec<GuardRow>, StoreError> {
        self.readers.read_here(guarded)
    }
}
