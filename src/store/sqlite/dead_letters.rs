//! Dead letters: listing them, opening one, and the steps *replay* and *drop*.

use super::content::{DeliveryContent, decode_activity, decode_exchange, encode_delivery};
use super::error::{InDatabase, damaged};
use super::intake::{self, ACTIVITY_BINDING, LINE_BINDING, PreparedBatch, hex, line_field};
use super::names::{ERASED, LINE_DROPPED, LINE_ERASED, LINE_PARKED, LINE_REPLAYED, Numbered, nanoseconds, state_name, timestamp};
use super::outbox::{DELIVERY_BINDING, EXCHANGE_BINDING, RawRow, settle_activity, settle_written};
use super::work::{digest, unseal};
use super::writer::Tx;
use crate::audit::{Binding, RetentionClass};
use crate::model::{ActivityState, DeliveryId, DeliveryState, Digest, DropRule, OperationId, Personal, TargetId, Timestamp, WriteIntent};
use crate::store::ring::{KeyRing, Person};
use crate::store::{
    AttemptRow, DropStep, EditedDelivery, Letter, LetterContent, LetterFilter, LetterId, LetterKind, LetterOutcome, LetterPlace,
    LetterRefusal, LetterRow, LetterState, ReplayLine, ReplayStep, StoreError,
};
use rusqlite::{Connection, OptionalExtension, Row};

/// What an attempt's class reads where nobody knows whether it arrived.
const OUTCOME_UNKNOWN: &str = "outcome_unknown";

const DELIVERY_COLUMNS: &str = "d.id, d.state, d.target, d.operation, d.entry, d.intent, d.attempt, s.source, coalesce(d.code, ''),
                                coalesce(d.reason, ''), d.changed_at";
const DELIVERY_FROM: &str = "LEFT JOIN activity a ON a.id = d.activity LEFT JOIN source_day s ON s.id = a.source_day";
const LINE_COLUMNS: &str = "id, state, file, line, source, code, message, at, changed_at";

fn unsigned(number: i64) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

fn delivery_row(row: &Row<'_>) -> Result<LetterRow, StoreError> {
    let state = match DeliveryState::from_number(row.get(1).said()?)? {
        DeliveryState::Parked => LetterState::Parked,
        DeliveryState::Dropped => LetterState::Dropped,
        other @ (DeliveryState::Planned | DeliveryState::Sending | DeliveryState::Delivered | DeliveryState::Unknown) => {
            LetterState::Otherwise(other)
        }
    };
    Ok(LetterRow {
        id: LetterId::Delivery(DeliveryId(row.get(0).said()?)),
        state,
        place: LetterPlace::Delivery {
            target: TargetId(row.get(2).said()?),
            operation: OperationId(row.get(3).said()?),
            entry: row.get(4).said()?,
            intent: WriteIntent::from_number(row.get(5).said()?)?,
            attempts: unsigned(row.get(6).said()?),
        },
        source: row.get(7).said()?,
        code: row.get(8).said()?,
        message: row.get(9).said()?,
        at: row.get::<_, Option<i64>>(10).said()?.map(timestamp),
    })
}

fn line_state(number: i64) -> Result<LetterState, StoreError> {
    match number {
        LINE_PARKED => Ok(LetterState::Parked),
        LINE_REPLAYED => Ok(LetterState::Replayed),
        LINE_DROPPED | LINE_ERASED => Ok(LetterState::Dropped),
        _ => Err(damaged("a parked line in an unknown state")),
    }
}

fn line_row(row: &Row<'_>) -> Result<LetterRow, StoreError> {
    let line: i64 = row.get(3).said()?;
    let at: i64 = row.get(7).said()?;
    let changed: Option<i64> = row.get(8).said()?;
    Ok(LetterRow {
        id: LetterId::Line(row.get(0).said()?),
        state: line_state(row.get(1).said()?)?,
        place: LetterPlace::Line { file: row.get(2).said()?, line: u64::try_from(line).unwrap_or_default() },
        source: row.get(4).said()?,
        code: row.get(5).said()?,
        message: row.get(6).said()?,
        at: Some(timestamp(changed.unwrap_or(at))),
    })
}

/// Parked letters that fit, deliveries first, each kind by its number, after this one.
pub(super) fn list(conn: &Connection, filter: &LetterFilter, after: Option<LetterId>, limit: i64) -> Result<Vec<LetterRow>, StoreError> {
    let of_deliveries = filter.target.is_some() || filter.operation.is_some() || filter.entry.is_some();
    let (since, until) = (filter.since.map(nanoseconds), filter.until.map(nanoseconds));
    let mut found = Vec::new();
    if let (Some(LetterKind::Delivery) | None, Some(LetterId::Delivery(_)) | None) = (filter.kind, after) {
        let after = if let Some(LetterId::Delivery(id)) = after { id.0 } else { 0 };
        // The parked of each target are a range of the index; without a look at the targets first, finding them would read the whole outbox.
        let mut statement = conn
            .prepare_cached(&format!(
                "WITH RECURSIVE targets (name) AS (
                     SELECT min(target) FROM delivery
                     UNION ALL SELECT (SELECT min(target) FROM delivery WHERE target > name) FROM targets WHERE name IS NOT NULL)
                 SELECT {DELIVERY_COLUMNS} FROM delivery d INDEXED BY delivery_state {DELIVERY_FROM}
                 WHERE d.target IN (SELECT name FROM targets) AND d.state = 3 AND d.id > ?1
                   AND (?2 IS NULL OR d.target = ?2) AND (?3 IS NULL OR d.operation = ?3) AND (?4 IS NULL OR d.entry = ?4)
                   AND (?5 IS NULL OR s.source = ?5) AND (?6 IS NULL OR d.code = ?6)
                   AND (?7 IS NULL OR coalesce(d.changed_at, 0) >= ?7) AND (?8 IS NULL OR coalesce(d.changed_at, 0) < ?8)
                 ORDER BY d.id LIMIT ?9"
            ))
            .said()?;
        let of = |text: &Option<String>| text.clone();
        let mut rows = statement
            .query((
                after,
                of(&filter.target),
                of(&filter.operation),
                of(&filter.entry),
                of(&filter.source),
                of(&filter.code),
                since,
                until,
                limit,
            ))
            .said()?;
        while let Some(row) = rows.next().said()? {
            found.push(delivery_row(row)?);
        }
    }
    let left = limit - i64::try_from(found.len()).unwrap_or(i64::MAX);
    if left > 0 && !of_deliveries && matches!(filter.kind, Some(LetterKind::Line) | None) {
        let after = if let Some(LetterId::Line(id)) = after { id } else { 0 };
        let mut statement = conn
            .prepare_cached(&format!(
                "SELECT {LINE_COLUMNS} FROM parked_line
                 WHERE state = 0 AND id > ?1 AND (?2 IS NULL OR source = ?2) AND (?3 IS NULL OR code = ?3)
                   AND (?4 IS NULL OR at >= ?4) AND (?5 IS NULL OR at < ?5) ORDER BY id LIMIT ?6"
            ))
            .said()?;
        let mut rows = statement.query((after, &filter.source, &filter.code, since, until, left)).said()?;
        while let Some(row) = rows.next().said()? {
            found.push(line_row(row)?);
        }
    }
    Ok(found)
}

/// A letter as read, to be opened off the connection.
pub(super) struct RawLetter {
    row: LetterRow,
    file_digest: Digest,
    idempotency: Digest,
    content: RawContent,
    attempts: Vec<AttemptRow>,
    exchange: Option<(Vec<u8>, Vec<u8>)>,
    overtaken_by: Option<(DeliveryId, DeliveryState)>,
    may_have_arrived: bool,
    activity: Option<String>,
}

enum RawContent {
    Delivery(Box<RawRow>),
    Line { field: String, sealed: Vec<u8> },
    Activity { field: String, sealed: Vec<u8> },
    Gone,
}

/// Reads letters by their ids; those that there are not are left out.
pub(super) fn read(conn: &Connection, ids: &[LetterId]) -> Result<Vec<RawLetter>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.extend(match id {
            LetterId::Delivery(id) => read_delivery(conn, *id)?,
            LetterId::Line(id) => read_line(conn, *id)?,
        });
    }
    Ok(found)
}

fn read_delivery(conn: &Connection, id: DeliveryId) -> Result<Option<RawLetter>, StoreError> {
    let mut statement = conn
        .prepare_cached(&format!("SELECT {DELIVERY_COLUMNS}, a.state, d.idempotency FROM delivery d {DELIVERY_FROM} WHERE d.id = ?1"))
        .said()?;
    let mut rows = statement.query([id.0]).said()?;
    let Some(row) = rows.next().said()? else { return Ok(None) };
    let activity: Option<i64> = row.get(11).said()?;
    let idempotency: Vec<u8> = row.get(12).said()?;
    let row = delivery_row(row)?;
    let mut statement =
        conn.prepare_cached("SELECT number, at, class, code, message, sealed FROM attempt WHERE delivery = ?1 ORDER BY number").said()?;
    let mut found = statement.query([id.0]).said()?;
    let (mut attempts, mut exchange) = (Vec::new(), None);
    while let Some(row) = found.next().said()? {
        let sealed: Option<Vec<u8>> = row.get(5).said()?;
        exchange = sealed.map(|sealed| (idempotency.clone(), sealed)).or(exchange);
        attempts.push(AttemptRow {
            number: unsigned(row.get(0).said()?),
            at: timestamp(row.get(1).said()?),
            class: row.get(2).said()?,
            code: row.get(3).said()?,
            message: row.get(4).said()?,
        });
    }
    let content = super::outbox::one(conn, id)?.pop().map_or(RawContent::Gone, |raw| RawContent::Delivery(Box::new(raw)));
    Ok(Some(RawLetter {
        may_have_arrived: attempts.last().is_some_and(|attempt| attempt.class == OUTCOME_UNKNOWN),
        row,
        file_digest: Digest([0; 32]),
        idempotency: digest(&idempotency)?,
        content,
        attempts,
        exchange,
        overtaken_by: overtaken_by(conn, id.0)?,
        activity: activity.map(ActivityState::from_number).transpose()?.map(state_name),
    }))
}

fn read_line(conn: &Connection, id: i64) -> Result<Option<RawLetter>, StoreError> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT {LINE_COLUMNS}, file_digest, form, version, sealed FROM parked_line WHERE id = ?1")).said()?;
    let mut rows = statement.query([id]).said()?;
    let Some(row) = rows.next().said()? else { return Ok(None) };
    let file: Vec<u8> = row.get(9).said()?;
    let (form, version): (i64, Option<Vec<u8>>) = (row.get(10).said()?, row.get(11).said()?);
    let (sealed, line): (Option<Vec<u8>>, i64) = (row.get(12).said()?, row.get(3).said()?);
    let content = match (form, version, sealed) {
        (_, _, None) => RawContent::Gone,
        (0, _, Some(sealed)) => RawContent::Line { field: line_field(&file, u64::try_from(line).unwrap_or_default()), sealed },
        (1, Some(version), Some(sealed)) => RawContent::Activity { field: hex(&version), sealed },
        _ => return Err(damaged("a parked line of an unknown form")),
    };
    Ok(Some(RawLetter {
        row: line_row(row)?,
        file_digest: digest(&file)?,
        idempotency: Digest([0; 32]),
        content,
        attempts: Vec::new(),
        exchange: None,
        overtaken_by: None,
        may_have_arrived: false,
        activity: None,
    }))
}

/// Opens letters.
pub(super) fn open(ring: &KeyRing, raw: Vec<RawLetter>) -> Result<Vec<Letter>, StoreError> {
    raw.into_iter().map(|raw| open_one(ring, raw)).collect()
}

fn open_one(ring: &KeyRing, raw: RawLetter) -> Result<Letter, StoreError> {
    let content = match raw.content {
        RawContent::Gone => LetterContent::Gone,
        RawContent::Delivery(row) => row.open_if_there(ring)?.map_or(LetterContent::Gone, |row| LetterContent::Delivery(Box::new(row))),
        RawContent::Line { field, sealed } => unseal(ring, LINE_BINDING, &field, &sealed)?
            .map_or(LetterContent::Gone, |plain| LetterContent::Line(Personal::new(plain.to_vec()))),
        RawContent::Activity { field, sealed } => match unseal(ring, ACTIVITY_BINDING, &field, &sealed)? {
            None => LetterContent::Gone,
            Some(plain) => LetterContent::Activity(Box::new(decode_activity(&plain, None)?)),
        },
    };
    let exchange = match raw.exchange {
        None => None,
        Some((idempotency, sealed)) => {
            unseal(ring, EXCHANGE_BINDING, &hex(&idempotency), &sealed)?.map(|plain| decode_exchange(&plain)).transpose()?
        }
    };
    Ok(Letter {
        row: raw.row,
        file_digest: raw.file_digest,
        idempotency: raw.idempotency,
        content,
        attempts: raw.attempts,
        exchange,
        overtaken_by: raw.overtaken_by,
        may_have_arrived: raw.may_have_arrived,
        activity: raw.activity,
    })
}

/// The newest delivery about the same record, planned later, that is under way or has arrived. What is open is found whoever said it; what
/// arrived is looked for with the same account and with those that are linked to the same customer now: only they share a record.
fn overtaken_by(conn: &Connection, id: i64) -> Result<Option<(DeliveryId, DeliveryState)>, StoreError> {
    let found: Option<(i64, i64)> = conn
        .prepare_cached(
            "SELECT id, state FROM (
                 SELECT o.id, o.state FROM delivery d JOIN delivery o ON o.record = d.record AND o.open = 1 AND o.id > d.id WHERE d.id = ?1
                 UNION ALL
                 SELECT n.id, n.state FROM delivery d JOIN delivery n ON n.identity IN (
                     SELECT d.identity UNION SELECT l.identity FROM link l WHERE l.customer = d.customer AND l.ended IS NULL)
                 WHERE d.id = ?1 AND n.record = d.record AND n.state = 2 AND n.id > d.id)
             ORDER BY id DESC LIMIT 1",
        )
        .said()?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .said()?;
    found.map(|(id, state)| Ok((DeliveryId(id), DeliveryState::from_number(state)?))).transpose()
}

/// A letter to be replayed, sealed: all that the writer's thread needs.
pub(super) enum PreparedLetter {
    Delivery { id: DeliveryId, edited: Option<PreparedEdit>, leaf: Vec<u8> },
    Line { id: i64, batch: Box<PreparedBatch>, leaf: Vec<u8> },
}

/// An edited delivery, sealed anew.
pub(super) struct PreparedEdit {
    before: [u8; 32],
    idempotency: [u8; 32],
    sealed: Vec<u8>,
}

/// The deliveries among these that are edited.
pub(super) fn edited(steps: &[ReplayStep]) -> Vec<DeliveryId> {
    let edited = |step: &ReplayStep| match step {
        ReplayStep::Delivery { id, edited: Some(_), .. } => Some(*id),
        ReplayStep::Delivery { edited: None, .. } | ReplayStep::Line(_) => None,
    };
    steps.iter().filter_map(edited).collect()
}

/// Seals what was edited and what is taken in; `standing` are the edited deliveries as they stand.
pub(super) fn prepare(ring: &KeyRing, standing: &[RawRow], steps: Vec<ReplayStep>) -> Result<Vec<PreparedLetter>, StoreError> {
    let prepared = |step| -> Result<PreparedLetter, StoreError> {
        Ok(match step {
            ReplayStep::Delivery { id, edited, leaf } => {
                let row = standing.iter().find(|row| row.is(id));
                let edited = match (edited, row) {
                    (Some(edited), Some(row)) => Some(seal_edited(ring, row, edited)?),
                    (None, _) => None,
                    (Some(_), None) => return Err(StoreError::Refused(format!("there is no delivery {}", id.0))),
                };
                PreparedLetter::Delivery { id, edited, leaf }
            }
            ReplayStep::Line(line) => {
                let ReplayLine { id, batch, leaf } = *line;
                PreparedLetter::Line { id, batch: Box::new(intake::prepare(ring, batch)?), leaf }
            }
        })
    };
    steps.into_iter().map(prepared).collect()
}

fn seal_edited(ring: &KeyRing, row: &RawRow, edited: EditedDelivery) -> Result<PreparedEdit, StoreError> {
    let gone = || StoreError::Refused("the key of an edited delivery is gone".to_owned());
    // What a person writes by hand is compared with nothing: they looked.
    let content = DeliveryContent { payload: edited.payload, expects: None, ..row.content(ring)?.ok_or_else(gone)? };
    let field = hex(&edited.idempotency.0.0);
    let binding = Binding { kind: DELIVERY_BINDING, field: &field };
    let person = Person::Identity(&content.identity);
    let sealed = ring.seal(person, RetentionClass::Activity, binding, &encode_delivery(&content), &mut ring.stream())?.to_bytes();
    Ok(PreparedEdit { before: edited.before.0.0, idempotency: edited.idempotency.0.0, sealed })
}

/// Plans, or takes in, letters again.
pub(super) fn replay(tx: &mut Tx<'_>, at: Timestamp, letters: &[PreparedLetter]) -> Result<Vec<LetterOutcome>, StoreError> {
    let at = nanoseconds(at);
    letters
        .iter()
        .map(|letter| match letter {
            PreparedLetter::Delivery { id, edited, leaf } => replay_delivery(tx, at, *id, edited.as_ref(), leaf),
            PreparedLetter::Line { id, batch, leaf } => replay_line(tx, at, *id, batch, leaf),
        })
        .collect()
}

/// A delivery as the steps look at it.
struct Standing {
    state: i64,
    activity: Option<i64>,
    activity_state: Option<i64>,
    key: Vec<u8>,
}

fn standing(tx: &Tx<'_>, id: DeliveryId) -> Result<Option<Standing>, StoreError> {
    tx.conn
        .prepare_cached(
            "SELECT d.state, d.activity, a.state, d.idempotency FROM delivery d LEFT JOIN activity a ON a.id = d.activity WHERE d.id = ?1",
        )
        .said()?
        .query_row([id.0], |row| Ok(Standing { state: row.get(0)?, activity: row.get(1)?, activity_state: row.get(2)?, key: row.get(3)? }))
        .optional()
        .said()
}

/// Why a delivery in this state is no dead letter; `None` where it is one.
fn not_parked(state: i64) -> Result<Option<LetterRefusal>, StoreError> {
    Ok(match DeliveryState::from_number(state)? {
        DeliveryState::Parked => None,
        DeliveryState::Dropped => Some(LetterRefusal::NotParked(LetterState::Dropped)),
        other @ (DeliveryState::Planned | DeliveryState::Sending | DeliveryState::Delivered | DeliveryState::Unknown) => {
            Some(LetterRefusal::NotParked(LetterState::Otherwise(other)))
        }
    })
}

const fn refused(why: LetterRefusal) -> LetterOutcome {
    LetterOutcome::Refused(why)
}

fn replay_delivery(
    tx: &mut Tx<'_>,
    at: i64,
    id: DeliveryId,
    edited: Option<&PreparedEdit>,
    leaf: &[u8],
) -> Result<LetterOutcome, StoreError> {
    let Some(Standing { state, activity, activity_state, key }) = standing(tx, id)? else { return Ok(refused(LetterRefusal::Unknown)) };
    if let Some(why) = not_parked(state)? {
        return Ok(refused(why));
    }
    if activity_state == Some(ERASED) {
        return Ok(refused(LetterRefusal::Erased));
    }
    if let Some((newer, state)) = overtaken_by(tx.conn, id.0)? {
        return Ok(refused(LetterRefusal::Overtaken(newer, state)));
    }
    if let Some(edited) = edited {
        if key != edited.before {
            return Ok(refused(LetterRefusal::Changed));
        }
        // What travelled before is sealed with the old key's name, and was another write.
        for (sql, sealed) in [
            ("UPDATE delivery SET idempotency = ?2, sealed = ?3 WHERE id = ?1", Some(&edited.sealed)),
            ("UPDATE attempt SET sealed = NULL WHERE delivery = ?1", None),
        ] {
            let mut statement = tx.conn.prepare_cached(sql).said()?;
            match sealed {
                Some(sealed) => statement.execute((id.0, edited.idempotency.as_slice(), sealed)),
                None => statement.execute([id.0]),
            }
            .said()?;
        }
    }
    tx.conn
        .prepare_cached(
            "UPDATE delivery SET state = 0, open = 1, failures = 0, not_before = NULL, part = NULL, code = NULL, reason = NULL,
                    changed_at = ?2 WHERE id = ?1",
        )
        .said()?
        .execute((id.0, at))
        .said()?;
    if let Some(activity) = activity {
        settle_activity(tx, activity)?;
    }
    tx.append(leaf)?;
    Ok(LetterOutcome::Done)
}

/// Marks a parked line; `None` where that was done.
fn mark_line(tx: &Tx<'_>, at: i64, id: i64, state: i64) -> Result<Option<LetterRefusal>, StoreError> {
    let found: Option<i64> = tx
        .conn
        .prepare_cached("SELECT state FROM parked_line WHERE id = ?1")
        .said()?
        .query_row([id], |row| row.get(0))
        .optional()
        .said()?;
    match found {
        None => return Ok(Some(LetterRefusal::Unknown)),
        Some(LINE_PARKED) => {}
        Some(other) => return Ok(Some(LetterRefusal::NotParked(line_state(other)?))),
    }
    tx.conn.prepare_cached("UPDATE parked_line SET state = ?2, changed_at = ?3 WHERE id = ?1").said()?.execute((id, state, at)).said()?;
    Ok(None)
}

fn replay_line(tx: &mut Tx<'_>, at: i64, id: i64, batch: &PreparedBatch, leaf: &[u8]) -> Result<LetterOutcome, StoreError> {
    if let Some(why) = mark_line(tx, at, id, LINE_REPLAYED)? {
        return Ok(refused(why));
    }
    tx.append(leaf)?;
    Ok(LetterOutcome::TakenIn(intake::take_in(tx, batch)?))
}

/// Gives letters up.
pub(super) fn drop_letters(tx: &mut Tx<'_>, at: Timestamp, steps: &[DropStep]) -> Result<Vec<LetterOutcome>, StoreError> {
    let at = nanoseconds(at);
    let mut outcomes = Vec::with_capacity(steps.len());
    for step in steps {
        let refusal = match step.id {
            LetterId::Line(id) => mark_line(tx, at, id, LINE_DROPPED)?,
            LetterId::Delivery(id) => drop_delivery(tx, at, id)?,
        };
        outcomes.push(if let Some(why) = refusal {
            refused(why)
        } else {
            tx.append(&step.leaf)?;
            LetterOutcome::Done
        });
    }
    Ok(outcomes)
}

fn drop_delivery(tx: &Tx<'_>, at: i64, id: DeliveryId) -> Result<Option<LetterRefusal>, StoreError> {
    let Some(Standing { state, activity, activity_state, .. }) = standing(tx, id)? else { return Ok(Some(LetterRefusal::Unknown)) };
    if let Some(why) = not_parked(state)? {
        return Ok(Some(why));
    }
    let rule = ActivityState::Dropped(DropRule::DroppedByPerson).number();
    tx.conn
        .prepare_cached("UPDATE delivery SET state = 5, open = 0, dropped_by = ?2, changed_at = ?3 WHERE id = ?1")
        .said()?
        .execute((id.0, rule, at))
        .said()?;
    settle_written(tx, id.0)?;
    if let Some(activity) = activity
        && activity_state != Some(ERASED)
    {
        settle_activity(tx, activity)?;
    }
    Ok(None)
}
