//! The *intake* step: versions of objects against what is stored, profiles, parked lines, and the counters of the conservation sum.

use super::content::{encode_activity, encode_profile, encode_shown};
use super::error::InDatabase;
use super::names::{Numbered, nanoseconds};
use super::rights::suppressed;
use super::writer::Tx;
use crate::audit::{Binding, RetentionClass, Unpredictable};
use crate::model::{ActivityState, Digest, DropRule, Network, Value, Verb};
use crate::store::ring::{KeyRing, Person};
use crate::store::{IntakeBatch, IntakeOutcome, ParkedLine, Placed, ReceivedActivity, StoreError, Tell};
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashMap;
use std::sync::Arc;

/// The same version of an object says something else than before.
pub(super) const CONFLICTING_REPEAT: &str = "KITH-I050";
/// An activity about an object of another account.
pub(super) const OTHER_AUTHOR: &str = "KITH-I051";

/// What binds a sealed activity to its row.
pub(super) const ACTIVITY_BINDING: &str = "kith/v1/store/activity";
/// What binds a sealed profile to its row.
pub(super) const PROFILE_BINDING: &str = "kith/v1/store/profile";
/// What binds a parked line to its row.
pub(super) const LINE_BINDING: &str = "kith/v1/store/parked-line";

/// Bytes in lower-case hexadecimal: the field that a sealed box is bound to.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |number: u8| char::from_digit(u32::from(number), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// What a sealed line of a file is bound to.
pub(super) fn line_field(file: &[u8], line: u64) -> String {
    format!("{}/{line}", hex(file))
}

/// A batch, hashed and sealed: all that the writer's thread needs.
pub(super) struct PreparedBatch {
    source: Arc<str>,
    file: String,
    file_digest: Digest,
    at: i64,
    day: String,
    activities: Vec<PreparedActivity>,
    parked: Vec<PreparedLine>,
    cursor: Vec<u8>,
    tell: Tell,
}

struct PreparedActivity {
    line: u64,
    network: Network,
    identity: [u8; 16],
    object: [u8; 16],
    version: [u8; 16],
    content: [u8; 16],
    at: i64,
    verb: Verb,
    drop: Option<DropRule>,
    /// Whether what it says is evidence of who the account is.
    evidence: bool,
    /// `None` where nothing may be kept.
    kept: Option<Kept>,
}

impl PreparedActivity {
    /// As one of which nothing may be kept: its author was erased or objected.
    const fn unseen(&self) -> Self {
        Self {
            line: self.line,
            network: self.network,
            identity: self.identity,
            object: self.object,
            version: self.version,
            content: self.content,
            at: self.at,
            verb: self.verb,
            drop: Some(match self.drop {
                Some(rule) => rule,
                None => DropRule::NotPermitted,
            }),
            evidence: false,
            kept: None,
        }
    }
}

struct Kept {
    account: Arc<str>,
    activity_id: Arc<str>,
    sealed: Vec<u8>,
    profile: PreparedProfile,
}

struct PreparedProfile {
    as_of: i64,
    audience: i64,
    /// `None` where it shows nothing.
    hash: Option<[u8; 16]>,
    sealed: Vec<u8>,
}

struct PreparedLine {
    line: u64,
    code: &'static str,
    message: Arc<str>,
    sealed: Vec<u8>,
}

/// Hashes and seals a batch, on the caller's task.
pub(super) fn prepare(ring: &KeyRing, batch: IntakeBatch) -> Result<PreparedBatch, StoreError> {
    let mut random = ring.stream();
    let activities = batch.activities.iter().map(|received| prepare_activity(ring, &mut random, received)).collect::<Result<_, _>>()?;
    let parked = batch.parked.iter().map(|line| prepare_line(ring, &mut random, &batch.file_digest, line)).collect::<Result<_, _>>()?;
    Ok(PreparedBatch {
        source: batch.source,
        file: batch.file,
        file_digest: batch.file_digest,
        at: nanoseconds(batch.at),
        day: batch.at.strftime("%Y-%m-%d").to_string(),
        activities,
        parked,
        cursor: batch.cursor,
        tell: batch.tell,
    })
}

fn prepare_line(ring: &KeyRing, random: &mut Unpredictable, file: &Digest, line: &ParkedLine) -> Result<PreparedLine, StoreError> {
    let field = line_field(&file.0, line.line);
    let binding = Binding { kind: LINE_BINDING, field: &field };
    let sealed = ring.seal(Person::File(file), RetentionClass::Activity, binding, line.raw.reveal(), random)?;
    Ok(PreparedLine { line: line.line, code: line.reason.code, message: line.reason.message.clone(), sealed: sealed.to_bytes() })
}

/// What an object is found by.
pub(super) fn object_hash(ring: &KeyRing, network: Network, id: &str) -> [u8; 16] {
    ring.columns().of("kith/v1/store/object", &[network.name().as_bytes(), id.as_bytes()])
}

/// Which of these objects are there.
pub(super) fn known(conn: &Connection, hashes: &[[u8; 16]]) -> Result<Vec<bool>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT 1 FROM object WHERE hash = ?1").said()?;
    hashes.iter().map(|hash| statement.exists([hash.as_slice()]).said()).collect()
}

fn prepare_activity(ring: &KeyRing, random: &mut Unpredictable, received: &ReceivedActivity) -> Result<PreparedActivity, StoreError> {
    let activity = &received.activity;
    let version = activity.version();
    let identity = ring.hashes().identity(&activity.actor.id).0;
    let version_hash = ring.hashes().activity(activity.network, &activity.object.id, &version).0;
    let columns = ring.columns();
    let kept = if received.drop.is_some() {
        None
    } else {
        let person = Person::Identity(&activity.actor.id);
        let field = hex(&version_hash);
        let binding = Binding { kind: ACTIVITY_BINDING, field: &field };
        let sealed = ring.seal(person, RetentionClass::Activity, binding, &encode_activity(activity), random)?;
        let profile = &activity.actor.profile;
        let shows = profile.fields.reveal().iter().any(|(_, value)| !matches!(value, Value::Missing));
        let field = hex(&identity);
        let binding = Binding { kind: PROFILE_BINDING, field: &field };
        let sealed_profile = ring.seal(person, RetentionClass::Profile, binding, &encode_profile(profile), random)?;
        Some(Kept {
            account: activity.actor.id.id.clone(),
            activity_id: activity.id.clone(),
            sealed: sealed.to_bytes(),
            profile: PreparedProfile {
                as_of: nanoseconds(profile.as_of),
                audience: profile.audience.number(),
                hash: shows.then(|| columns.of("kith/v1/store/profile", &[&identity, &encode_shown(profile)])),
                sealed: sealed_profile.to_bytes(),
            },
        })
    };
    Ok(PreparedActivity {
        line: received.line,
        network: activity.actor.id.network,
        identity,
        object: object_hash(ring, activity.network, &activity.object.id),
        version: version_hash,
        content: columns.of("kith/v1/store/content", &[&version_hash, &received.content_digest.0]),
        at: nanoseconds(version.at),
        verb: version.verb,
        drop: received.drop,
        evidence: received.evidence,
        kept,
    })
}

/// An identity as far as intake needs it, kept over a batch.
#[derive(Clone)]
struct StoredIdentity {
    row: i64,
    known: bool,
    needs_decision: bool,
    work: bool,
    decided: bool,
    seen: Option<i64>,
    as_of: Option<i64>,
    audience: Option<i64>,
    profile_hash: Option<Vec<u8>>,
    received: Option<i64>,
}

/// How exactly the store knows when something of an account was last received: an hour, so that most repeats write nothing.
const RECEIVED_WITHIN: i64 = 3_600_000_000_000;

/// The newest stored version of an object.
struct StoredObject {
    row: i64,
    identity: i64,
    at: i64,
    verb: i64,
    id: Option<String>,
    version: Vec<u8>,
}

/// Writes a prepared batch with its cursor.
pub(super) fn write(tx: &mut Tx<'_>, batch: &PreparedBatch) -> Result<IntakeOutcome, StoreError> {
    tx.conn
        .prepare_cached(
            "INSERT INTO source_file (source, file, cursor, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (source, file) DO UPDATE SET cursor = excluded.cursor, at = excluded.at",
        )
        .said()?
        .execute((&*batch.source, &batch.file, &batch.cursor, batch.at))
        .said()?;
    take_in(tx, batch)
}

/// Takes the lines of a batch in; what was read of the file stays as it is.
pub(super) fn take_in(tx: &mut Tx<'_>, batch: &PreparedBatch) -> Result<IntakeOutcome, StoreError> {
    let source_day = source_day(tx, &batch.source, &batch.day)?;
    let mut rows =
        Rows { source_day, next_activity: next_activity(tx)?, identities: HashMap::new(), anyone_suppressed: suppressed::anyone(tx)? };
    let mut outcome = IntakeOutcome::default();
    for activity in &batch.activities {
        let placed = place(tx, batch, &mut rows, activity)?;
        match placed {
            Placed::Repeat => outcome.duplicates += 1,
            Placed::Waiting => outcome.received += 1,
            Placed::Dropped(_) => {
                outcome.received += 1;
                outcome.dropped += 1;
            }
            Placed::Parked(_) => {
                outcome.received += 1;
                outcome.parked += 1;
            }
        }
        outcome.activities.push(placed);
    }
    for line in &batch.parked {
        let row =
            ParkedRow { line: line.line, code: line.code, message: &line.message, form: 0, conflict: None, sealed: Some(&line.sealed) };
        let new = park(tx, batch, source_day, &row)?;
        outcome.lines.push(new);
        if new {
            outcome.received += 1;
            outcome.parked += 1;
        } else {
            outcome.duplicates += 1;
        }
    }
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    tx.conn
        .prepare_cached("UPDATE source_day SET received = received + ?2, duplicates = duplicates + ?3 WHERE id = ?1")
        .said()?
        .execute((source_day, count(outcome.received), count(outcome.duplicates)))
        .said()?;
    tx.append_all(&(batch.tell.0)(&outcome)?)?;
    Ok(outcome)
}

fn source_day(tx: &Tx<'_>, source: &str, day: &str) -> Result<i64, StoreError> {
    tx.conn
        .prepare_cached("INSERT INTO source_day (source, day, received, duplicates) VALUES (?1, ?2, 0, 0) ON CONFLICT DO NOTHING")
        .said()?
        .execute((source, day))
        .said()?;
    tx.conn
        .prepare_cached("SELECT id FROM source_day WHERE source = ?1 AND day = ?2")
        .said()?
        .query_row((source, day), |row| row.get(0))
        .said()
}

/// What stays at hand over a batch.
struct Rows {
    source_day: i64,
    /// The number of the next activity version: known beforehand, so that its object is written once.
    next_activity: i64,
    identities: HashMap<[u8; 16], StoredIdentity>,
    /// Whether there is anybody who must not be matched again.
    anyone_suppressed: bool,
}

fn next_activity(tx: &Tx<'_>) -> Result<i64, StoreError> {
    tx.conn.prepare_cached("SELECT coalesce(max(id), 0) + 1 FROM activity").said()?.query_row((), |row| row.get(0)).said()
}

fn place(tx: &Tx<'_>, batch: &PreparedBatch, rows: &mut Rows, activity: &PreparedActivity) -> Result<Placed, StoreError> {
    // Asked here and not before: whoever was erased while the batch was sealed is not taken in either.
    let unseen = (rows.anyone_suppressed && suppressed::is(tx, &activity.identity)?).then(|| activity.unseen());
    let activity = unseen.as_ref().unwrap_or(activity);
    let object = stored_object(tx, &activity.object)?;
    if let Some(object) = &object {
        let stored: Option<Vec<u8>> = tx
            .conn
            .prepare_cached("SELECT content_hash FROM activity WHERE object = ?1 AND version = ?2")
            .said()?
            .query_row((object.row, activity.version), |row| row.get(0))
            .optional()
            .said()?;
        match stored {
            Some(content) if content == activity.content => return Ok(Placed::Repeat),
            Some(_) => return park_activity(tx, batch, rows.source_day, activity, CONFLICTING_REPEAT),
            None => {}
        }
    }
    let identity = match rows.identities.get(&activity.identity) {
        Some(identity) => Some(identity.clone()),
        None => stored_identity(tx, &activity.identity)?,
    };
    if object.as_ref().is_some_and(|object| identity.as_ref().is_none_or(|identity| object.identity != identity.row)) {
        return park_activity(tx, batch, rows.source_day, activity, OTHER_AUTHOR);
    }
    let newest = object.as_ref().is_none_or(|object| is_newer(activity, object));
    let state = match activity.drop {
        Some(rule) => ActivityState::Dropped(rule),
        None if newest => ActivityState::WaitingDecision,
        None => ActivityState::Dropped(DropRule::Superseded),
    };
    let identity = match identity {
        None => insert_identity(tx, activity, batch.at)?,
        Some(mut identity) => {
            if let Some(kept) = &activity.kept {
                update_identity(
                    tx,
                    &mut identity,
                    kept,
                    matches!(state, ActivityState::WaitingDecision),
                    newest && activity.evidence,
                    batch.at,
                )?;
            }
            identity
        }
    };
    insert_activity(tx, batch.at, rows, identity.row, object.as_ref().map(|o| o.row), newest, state, activity)?;
    rows.identities.insert(activity.identity, identity);
    Ok(if let ActivityState::Dropped(rule) = state { Placed::Dropped(rule) } else { Placed::Waiting })
}

fn stored_object(tx: &Tx<'_>, hash: &[u8; 16]) -> Result<Option<StoredObject>, StoreError> {
    tx.conn
        .prepare_cached(
            "SELECT o.id, o.identity, a.version_at, a.version_verb, a.version_id, a.version
             FROM object o JOIN activity a ON a.id = o.newest WHERE o.hash = ?1",
        )
        .said()?
        .query_row([hash.as_slice()], |row| {
            Ok(StoredObject {
                row: row.get(0)?,
                identity: row.get(1)?,
                at: row.get(2)?,
                verb: row.get(3)?,
                id: row.get(4)?,
                version: row.get(5)?,
            })
        })
        .optional()
        .said()
}

/// The order of versions: time, verb, activity id. Where the id of one was not kept, the keyed hashes decide: any fixed order will do.
fn is_newer(activity: &PreparedActivity, stored: &StoredObject) -> bool {
    let by_id = || match (&activity.kept, &stored.id) {
        (Some(kept), Some(id)) => kept.activity_id.as_bytes() > id.as_bytes(),
        _ => activity.version.as_slice() > stored.version.as_slice(),
    };
    match (activity.at, activity.verb.number()).cmp(&(stored.at, stored.verb)) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => by_id(),
    }
}

fn stored_identity(tx: &Tx<'_>, hash: &[u8; 16]) -> Result<Option<StoredIdentity>, StoreError> {
    tx.conn
        .prepare_cached(
            "SELECT id, account IS NOT NULL, needs_decision, work, profile_seen, profile_audience, profile_hash, profile_as_of,
                    EXISTS (SELECT 1 FROM decision d WHERE d.identity = identity.id AND d.current = 1), received
             FROM identity WHERE hash = ?1",
        )
        .said()?
        .query_row([hash.as_slice()], |row| {
            Ok(StoredIdentity {
                row: row.get(0)?,
                known: row.get(1)?,
                needs_decision: row.get(2)?,
                work: row.get(3)?,
                seen: row.get(4)?,
                audience: row.get(5)?,
                profile_hash: row.get(6)?,
                as_of: row.get(7)?,
                decided: row.get(8)?,
                received: row.get(9)?,
            })
        })
        .optional()
        .said()
}

/// An account not seen before: undecided, with the profile that it shows where that may be kept.
fn insert_identity(tx: &Tx<'_>, activity: &PreparedActivity, received: i64) -> Result<StoredIdentity, StoreError> {
    let kept = activity.kept.as_ref();
    let known = kept.is_some();
    let profile = kept.map(|k| &k.profile);
    let as_of = profile.map(|p| p.as_of);
    let audience = profile.map(|p| p.audience);
    let shown = profile.and_then(|p| p.hash);
    tx.conn
        .prepare_cached(
            "INSERT INTO identity (hash, network, account, needs_decision, work, profile_seen, profile_as_of, profile_audience, profile_hash,
                                   profile, received)
             VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?5, ?6, ?7, ?8, ?9)",
        )
        .said()?
        .execute((
            activity.identity.as_slice(),
            activity.network.name(),
            kept.map(|k| &*k.account),
            known,
            as_of,
            audience,
            shown.as_ref().map(<[u8; 16]>::as_slice),
            profile.map(|p| &p.sealed),
            known.then_some(received),
        ))
        .said()?;
    Ok(StoredIdentity {
        row: tx.conn.last_insert_rowid(),
        known,
        needs_decision: known,
        work: known,
        decided: false,
        seen: as_of,
        as_of,
        audience,
        profile_hash: shown.map(|hash| hash.to_vec()),
        received: known.then_some(received),
    })
}

#[expect(clippy::too_many_arguments, reason = "one row's columns, each used once")]
fn insert_activity(
    tx: &Tx<'_>,
    received: i64,
    rows: &mut Rows,
    identity: i64,
    object: Option<i64>,
    newest: bool,
    state: ActivityState,
    activity: &PreparedActivity,
) -> Result<(), StoreError> {
    let row = rows.next_activity;
    let object_row = if let Some(object) = object {
        if newest {
            tx.conn.prepare_cached("UPDATE object SET newest = ?2 WHERE id = ?1").said()?.execute((object, row)).said()?;
        }
        object
    } else {
        tx.conn
            .prepare_cached("INSERT INTO object (hash, identity, newest) VALUES (?1, ?2, ?3)")
            .said()?
            .execute((activity.object.as_slice(), identity, row))
            .said()?;
        tx.conn.last_insert_rowid()
    };
    let kept = activity.kept.as_ref();
    tx.conn
        .prepare_cached(
            "INSERT INTO activity (id, object, version, identity, source_day, state, version_at, version_verb, version_id, content_hash,
                                   received, sealed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )
        .said()?
        .execute((
            row,
            object_row,
            activity.version.as_slice(),
            identity,
            rows.source_day,
            state.number(),
            activity.at,
            activity.verb.number(),
            kept.map(|k| &*k.activity_id),
            activity.content.as_slice(),
            received,
            kept.map(|k| &k.sealed),
        ))
        .said()?;
    rows.next_activity += 1;
    Ok(())
}

/// What a profile that was shown does to the stored one.
enum ProfileChange {
    None,
    /// Seen again, unchanged, later.
    SeenAgain,
    /// Another one.
    Replaced,
}

/// An older profile never replaces a newer one, and one that shows nothing (a bare id on a Delete) never replaces one that does. The same
/// profile shown to a wider audience is a change: it may be used where it could not be before.
fn profile_change(identity: &StoredIdentity, shown: &PreparedProfile) -> ProfileChange {
    if !identity.known {
        return ProfileChange::Replaced;
    }
    let Some(hash) = shown.hash else { return ProfileChange::None };
    let same = identity.profile_hash.as_deref() == Some(hash.as_slice());
    let later = identity.seen.is_none_or(|seen| shown.as_of > seen);
    let wider = same && identity.audience.is_none_or(|audience| shown.audience < audience);
    // An account that had shown nothing yet takes the first profile whatever its time.
    let first = identity.profile_hash.is_none();
    if first || (later && !same) || wider {
        ProfileChange::Replaced
    } else if later {
        ProfileChange::SeenAgain
    } else {
        ProfileChange::None
    }
}

fn update_identity(
    tx: &Tx<'_>,
    identity: &mut StoredIdentity,
    kept: &Kept,
    waiting: bool,
    evidence: bool,
    received: i64,
) -> Result<(), StoreError> {
    if identity.received.is_none_or(|before| received.saturating_sub(before) > RECEIVED_WITHIN) {
        tx.conn.prepare_cached("UPDATE identity SET received = ?2 WHERE id = ?1").said()?.execute((identity.row, received)).said()?;
        identity.received = Some(received);
    }
    let shown = &kept.profile;
    let change = profile_change(identity, shown);
    let changed = matches!(change, ProfileChange::Replaced);
    let needs_decision = identity.needs_decision || changed || evidence || !identity.decided;
    let work = identity.work || needs_decision || waiting;
    if evidence
        && !changed
        && let Some(before) = identity.as_of
    {
        // As a profile that is replaced: a decision that is being taken without this post is seen to be.
        let as_of = before.saturating_add(1);
        tx.conn.prepare_cached("UPDATE identity SET profile_as_of = ?2 WHERE id = ?1").said()?.execute((identity.row, as_of)).said()?;
        identity.as_of = Some(as_of);
    }
    match change {
        ProfileChange::Replaced => {
            let seen = identity.seen.map_or(shown.as_of, |seen| seen.max(shown.as_of));
            // Always later than the one before, so that a decision taken on that one is seen to be taken on another profile.
            let as_of = identity.as_of.map_or(shown.as_of, |before| shown.as_of.max(before.saturating_add(1)));
            tx.conn
                .prepare_cached(
                    "UPDATE identity SET account = ?2, needs_decision = ?3, work = ?4, profile_seen = ?5, profile_as_of = ?6,
                            profile_audience = ?7, profile_hash = ?8, profile = ?9 WHERE id = ?1",
                )
                .said()?
                .execute((
                    identity.row,
                    &*kept.account,
                    needs_decision,
                    work,
                    seen,
                    as_of,
                    shown.audience,
                    shown.hash.as_ref().map(<[u8; 16]>::as_slice),
                    &shown.sealed,
                ))
                .said()?;
            identity.known = true;
            identity.seen = Some(seen);
            identity.as_of = Some(as_of);
            identity.audience = Some(shown.audience);
            identity.profile_hash = shown.hash.map(|hash| hash.to_vec());
        }
        ProfileChange::SeenAgain => {
            tx.conn
                .prepare_cached("UPDATE identity SET profile_seen = ?2, needs_decision = ?3, work = ?4 WHERE id = ?1")
                .said()?
                .execute((identity.row, shown.as_of, needs_decision, work))
                .said()?;
            identity.seen = Some(shown.as_of);
        }
        ProfileChange::None if work != identity.work || needs_decision != identity.needs_decision => {
            tx.conn
                .prepare_cached("UPDATE identity SET needs_decision = ?2, work = ?3 WHERE id = ?1")
                .said()?
                .execute((identity.row, needs_decision, work))
                .said()?;
        }
        ProfileChange::None => {}
    }
    identity.needs_decision = needs_decision;
    identity.work = work;
    Ok(())
}

fn park_activity(
    tx: &Tx<'_>,
    batch: &PreparedBatch,
    source_day: i64,
    activity: &PreparedActivity,
    code: &'static str,
) -> Result<Placed, StoreError> {
    let message = if code == CONFLICTING_REPEAT {
        "this version of the object was received before and said something else"
    } else {
        "the object belongs to another account"
    };
    // Its content is sealed as an activity's, under the key of its author.
    let row = ParkedRow {
        line: activity.line,
        code,
        message,
        form: 1,
        conflict: Some((&activity.version, &activity.content)),
        sealed: activity.kept.as_ref().map(|k| &k.sealed),
    };
    Ok(if park(tx, batch, source_day, &row)? { Placed::Parked(code) } else { Placed::Repeat })
}

struct ParkedRow<'a> {
    line: u64,
    code: &'a str,
    message: &'a str,
    form: i64,
    conflict: Option<(&'a [u8; 16], &'a [u8; 16])>,
    sealed: Option<&'a Vec<u8>>,
}

/// Whether the line was not parked before.
fn park(tx: &Tx<'_>, batch: &PreparedBatch, source_day: i64, row: &ParkedRow<'_>) -> Result<bool, StoreError> {
    let line = i64::try_from(row.line).unwrap_or(i64::MAX);
    let inserted = tx
        .conn
        .prepare_cached(
            "INSERT INTO parked_line (source_day, source, file, file_digest, line, code, message, at, form, version, content_hash, sealed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING",
        )
        .said()?
        .execute((
            source_day,
            &*batch.source,
            &batch.file,
            batch.file_digest.0.as_slice(),
            line,
            row.code,
            row.message,
            batch.at,
            row.form,
            row.conflict.map(|(version, _)| version.as_slice()),
            row.conflict.map(|(_, content)| content.as_slice()),
            row.sealed,
        ))
        .said()?;
    Ok(inserted == 1)
}
