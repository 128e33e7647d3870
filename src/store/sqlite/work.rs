//! Reading identities: work for the deciders, and profiles page by page.

pub(super) mod recorded;

use super::content::{RECTIFIED_BINDING, decode_activity, decode_delivery, decode_fields, decode_profile};
use super::error::{InDatabase, damaged};
use super::intake::{ACTIVITY_BINDING, PROFILE_BINDING, hex};
use super::names::{Numbered, by_from, timestamp};
use super::outbox::DELIVERY_BINDING;
use super::people::verdicts;
use crate::audit::{Binding, Sealed};
use crate::model::{
    ActivityState, Audience, CustomerId, Digest, IdentityId, OperationId, Outcome, Personal, Profile, TargetId, Value, Word,
};
use crate::store::ring::KeyRing;
use crate::store::{
    ActivityRow, CurrentDecision, IdentityRow, IdentityWork, LinkedAccount, StoreError, StoredActivity, StoredProfile, WrittenRecord,
};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Waiting activities of one identity handed out at once: at about 2 KB each, 2 MB. The rest stay work for the next page.
const MAX_WAITING: i64 = 1_000;

/// Earlier objects of one identity that a new decision reaches: the newest 10,000, at about 2 KB each 20 MB.
const MAX_EARLIER: i64 = 10_000;

/// Opens a sealed column; `None` where the key was destroyed.
pub(super) fn unseal(ring: &KeyRing, kind: &str, field: &str, sealed: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    // What a clock or an erasure took out of a column that can't be null.
    if sealed.is_empty() {
        return Ok(None);
    }
    let sealed = Sealed::from_bytes(sealed).ok_or_else(|| damaged("a sealed column can't be read"))?;
    ring.open(Binding { kind, field }, &sealed)
}

pub(super) fn digest(bytes: &[u8]) -> Result<Digest, StoreError> {
    bytes.try_into().map(Digest).map_err(|_wrong_length| damaged("a digest of the wrong length"))
}

pub(super) fn identity_id(network: &str, account: &str) -> Result<IdentityId, StoreError> {
    let network = network.parse().map_err(|_unknown| damaged("an identity on an unknown network"))?;
    Ok(IdentityId { network, id: account.into() })
}

/// Customers that a column lists as JSON; none where it is null.
pub(super) fn customers_listed(json: Option<&str>) -> Result<Vec<CustomerId>, StoreError> {
    let Some(json) = json else { return Ok(Vec::new()) };
    let ids: Vec<String> = serde_json::from_str(json).map_err(|_unreadable| damaged("a list of candidates can't be read"))?;
    Ok(ids.into_iter().map(|id| CustomerId(id.into())).collect())
}

/// A sealed profile as read.
pub(super) struct SealedProfile {
    hash: Vec<u8>,
    as_of: Option<i64>,
    sealed: Option<Vec<u8>>,
    rectified: Option<Vec<u8>>,
}

impl SealedProfile {
    /// From `hash`, `profile_as_of`, `profile` and `rectified` at these places of a row.
    pub(super) fn at(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self { hash: row.get(first)?, as_of: row.get(first + 1)?, sealed: row.get(first + 2)?, rectified: row.get(first + 3)? })
    }

    /// What is left of it when its clock ended.
    fn showing_nothing(&self) -> Profile {
        // The narrowest audience: nobody knows any more who could see it.
        Profile { as_of: timestamp(self.as_of.unwrap_or_default()), audience: Audience::Direct, fields: Personal::default() }
    }

    /// Opens it.
    pub(super) fn open(&self, ring: &KeyRing) -> Result<Option<Profile>, StoreError> {
        let (Some(sealed), Some(as_of)) = (&self.sealed, self.as_of) else { return Ok(None) };
        let Some(plain) = unseal(ring, PROFILE_BINDING, &hex(&self.hash), sealed)? else { return Ok(None) };
        // The column orders profiles: it is never before the time that the profile itself says.
        let shown = Profile { as_of: timestamp(as_of), ..decode_profile(&plain)? };
        let corrected = match &self.rectified {
            None => None,
            Some(sealed) => unseal(ring, RECTIFIED_BINDING, &hex(&self.hash), sealed)?,
        };
        let Some(corrected) = corrected else { return Ok(Some(shown)) };
        Ok(Some(Profile { fields: overlaid(shown.fields, decode_fields(&corrected)?), ..shown }))
    }
}

/// What a network shows with what a person corrected above it; sorted by path, each once.
pub(super) fn overlaid(shown: Personal<Vec<(Arc<str>, Value)>>, corrected: Vec<(Arc<str>, Value)>) -> Personal<Vec<(Arc<str>, Value)>> {
    let mut fields: BTreeMap<Arc<str>, Value> = shown.into_revealed().into_iter().collect();
    fields.extend(corrected);
    Personal::new(fields.into_iter().collect())
}

/// Columns of a decision in force.
pub(super) const CURRENT_COLUMNS: &str = "outcome, customer, by_kind, by_rule, basis, probability, match_weight, reference, at";

/// A decision as read.
pub(super) struct RawDecision {
    outcome: i64,
    customer: Option<Arc<str>>,
    by_kind: Option<i64>,
    by_rule: Option<Arc<str>>,
    basis: Option<Arc<str>>,
    probability: f64,
    match_weight: f64,
    reference: Vec<u8>,
    at: i64,
}

impl RawDecision {
    /// From [`CURRENT_COLUMNS`] beginning at this place of a row.
    pub(super) fn at(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            outcome: row.get(first)?,
            customer: row.get(first + 1)?,
            by_kind: row.get(first + 2)?,
            by_rule: row.get(first + 3)?,
            basis: row.get(first + 4)?,
            probability: row.get(first + 5)?,
            match_weight: row.get(first + 6)?,
            reference: row.get(first + 7)?,
            at: row.get(first + 8)?,
        })
    }

    fn is_not_permitted(&self) -> bool {
        self.outcome == Outcome::NotPermitted.number()
    }

    /// The decision.
    pub(super) fn decision(self) -> Result<CurrentDecision, StoreError> {
        Ok(CurrentDecision {
            outcome: Outcome::from_number(self.outcome)?,
            customer: self.customer.map(CustomerId),
            by: by_from(self.by_kind, self.by_rule)?,
            basis: self.basis,
            probability: self.probability,
            match_weight: self.match_weight,
            reference: digest(&self.reference)?,
            at: timestamp(self.at),
        })
    }
}

struct RawActivity {
    row: i64,
    version: Vec<u8>,
    state: i64,
    received: i64,
    newest: bool,
    sealed: Vec<u8>,
}

impl RawActivity {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            row: row.get(0)?,
            version: row.get(1)?,
            state: row.get(2)?,
            received: row.get(3)?,
            newest: row.get(4)?,
            sealed: row.get(5)?,
        })
    }
}

/// What stands written, as read.
pub(super) struct RawWritten {
    entry: Arc<str>,
    target: Arc<str>,
    operation: Arc<str>,
    idempotency: Vec<u8>,
    sealed: Vec<u8>,
}

/// Work as read, to be opened off the connection.
pub(super) struct RawWork {
    row: i64,
    network: String,
    account: String,
    needs_decision: bool,
    profile: SealedProfile,
    current: Option<RawDecision>,
    withdrawn: Vec<Arc<str>>,
    word: Option<Word>,
    activities: Vec<RawActivity>,
    written: Vec<RawWritten>,
}

/// Activities and records of one page, all identities together: some kilobytes each, and three pages are under way at once. The page ends with
/// the identity that passes it.
const MAX_PAGE_RECORDS: usize = 5_000;

/// Reads a page of work.
pub(super) fn read(conn: &Connection, after: Option<IdentityRow>, limit: i64) -> Result<Vec<RawWork>, StoreError> {
    let mut statement = conn
        .prepare_cached(
            "SELECT id, network, account, needs_decision, hash, profile_as_of, profile, rectified
             FROM identity WHERE work = 1 AND id > ?1 AND account IS NOT NULL ORDER BY id LIMIT ?2",
        )
        .said()?;
    let mut rows = statement.query((after.map_or(0, |row| row.0), limit)).said()?;
    let mut page = Vec::new();
    let mut records = 0;
    while records < MAX_PAGE_RECORDS
        && let Some(row) = rows.next().said()?
    {
        let id: i64 = row.get(0).said()?;
        let needs_decision = row.get(3).said()?;
        let (activities, written) = (activities(conn, id, needs_decision)?, written(conn, id)?);
        records += activities.len() + written.len();
        page.push(RawWork {
            row: id,
            network: row.get(1).said()?,
            account: row.get(2).said()?,
            needs_decision,
            profile: SealedProfile::at(row, 4).said()?,
            current: current(conn, id)?,
            withdrawn: if needs_decision { withdrawn(conn, id)? } else { Vec::new() },
            word: if needs_decision { verdicts::in_force(conn, id)? } else { None },
            activities,
            written,
        });
    }
    Ok(page)
}

/// Bases that the person took back.
fn withdrawn(conn: &Connection, identity: i64) -> Result<Vec<Arc<str>>, StoreError> {
    conn.prepare_cached("SELECT w.basis FROM withdrawn w WHERE w.person = (SELECT hash FROM identity WHERE id = ?1) ORDER BY w.basis")
        .said()?
        .query_map([identity], |row| row.get(0))
        .said()?
        .collect::<Result<_, _>>()
        .said()
}

/// The decision in force about an identity.
pub(super) fn current(conn: &Connection, identity: i64) -> Result<Option<RawDecision>, StoreError> {
    conn.prepare_cached(&format!("SELECT {CURRENT_COLUMNS} FROM decision WHERE identity = ?1 AND current = 1"))
        .said()?
        .query_row([identity], |row| RawDecision::at(row, 0))
        .optional()
        .said()
}

fn activities(conn: &Connection, identity: i64, needs_decision: bool) -> Result<Vec<RawActivity>, StoreError> {
    let columns = "a.id, a.version, a.state, a.received, o.newest = a.id, a.sealed";
    // Those that wait for a person are offered again only with a new decision.
    let waiting = if needs_decision { "a.state IN (0, 1)" } else { "a.state = 0" };
    let mut found: Vec<RawActivity> = conn
        .prepare_cached(&format!(
            "SELECT {columns} FROM activity a JOIN object o ON o.id = a.object
             WHERE a.identity = ?1 AND {waiting} AND a.state IN (0, 1) AND a.sealed IS NOT NULL
             ORDER BY a.state, a.id LIMIT {MAX_WAITING}"
        ))
        .said()?
        .query_map([identity], RawActivity::read)
        .said()?
        .collect::<Result<_, _>>()
        .said()?;
    if needs_decision {
        let mut statement = conn
            .prepare_cached(&format!(
                "SELECT {columns} FROM object o JOIN activity a ON a.id = o.newest
                 WHERE o.identity = ?1 AND a.state NOT IN (0, 1, 5) AND a.sealed IS NOT NULL
                 ORDER BY a.version_at DESC, a.id DESC LIMIT {MAX_EARLIER}"
            ))
            .said()?;
        for activity in statement.query_map([identity], RawActivity::read).said()? {
            found.push(activity.said()?);
        }
    }
    Ok(found)
}

/// What stands written about an identity.
pub(super) fn written(conn: &Connection, identity: i64) -> Result<Vec<RawWritten>, StoreError> {
    conn.prepare_cached(
        "SELECT d.entry, d.target, d.operation, d.idempotency, d.sealed
         FROM written w JOIN delivery d ON d.id = w.delivery WHERE w.identity = ?1 ORDER BY d.id",
    )
    .said()?
    .query_map([identity], |row| {
        Ok(RawWritten { entry: row.get(0)?, target: row.get(1)?, operation: row.get(2)?, idempotency: row.get(3)?, sealed: row.get(4)? })
    })
    .said()?
    .collect::<Result<_, _>>()
    .said()
}

/// Opens a page of work.
pub(super) fn open(ring: &KeyRing, page: Vec<RawWork>) -> Result<Vec<IdentityWork>, StoreError> {
    page.into_iter().map(|raw| open_one(ring, raw)).collect()
}

fn open_one(ring: &KeyRing, raw: RawWork) -> Result<IdentityWork, StoreError> {
    // A linked account whose profile the clock ended shows nothing, and is still linked: a Delete reaches what was written about it.
    let forgotten = raw.current.as_ref().is_none_or(RawDecision::is_not_permitted);
    let profile = raw.profile.open(ring)?.or_else(|| (!forgotten).then(|| raw.profile.showing_nothing()));
    let mut activities = Vec::with_capacity(raw.activities.len());
    for stored in &raw.activities {
        if let Some(plain) = unseal(ring, ACTIVITY_BINDING, &hex(&stored.version), &stored.sealed)? {
            activities.push(StoredActivity {
                row: ActivityRow(stored.row),
                activity: decode_activity(&plain, profile.as_ref())?,
                newest: stored.newest,
                received: timestamp(stored.received),
                state: ActivityState::from_number(stored.state)?,
            });
        }
    }
    activities.sort_by_cached_key(|stored| (stored.activity.version(), stored.row));
    let written = open_written(ring, raw.written)?;
    Ok(IdentityWork {
        row: IdentityRow(raw.row),
        id: identity_id(&raw.network, &raw.account)?,
        profile,
        needs_decision: raw.needs_decision,
        current: raw.current.map(RawDecision::decision).transpose()?,
        withdrawn: raw.withdrawn,
        word: raw.word,
        activities,
        written,
    })
}

/// Whose record it is that stands written; `None` where its key was destroyed.
pub(super) fn owner(ring: &KeyRing, raw: &RawWritten) -> Result<Option<IdentityId>, StoreError> {
    let plain = unseal(ring, DELIVERY_BINDING, &hex(&raw.idempotency), &raw.sealed)?;
    plain.map(|plain| Ok(decode_delivery(&plain)?.identity)).transpose()
}

/// Opens what stands written.
pub(super) fn open_written(ring: &KeyRing, raw: Vec<RawWritten>) -> Result<Vec<WrittenRecord>, StoreError> {
    let mut written = Vec::with_capacity(raw.len());
    for record in raw {
        if let Some(plain) = unseal(ring, DELIVERY_BINDING, &hex(&record.idempotency), &record.sealed)? {
            let content = decode_delivery(&plain)?;
            written.push(WrittenRecord {
                entry: record.entry,
                target: TargetId(record.target),
                operation: OperationId(record.operation),
                record: content.record,
                object: content.object,
            });
        }
    }
    Ok(written)
}

/// Accounts of one customer that are told: whoever has more is held back for a person by any rule that looks at them.
const MAX_ACCOUNTS: i64 = 64;

/// An account that is linked to a customer, as read.
pub(super) struct RawLinked {
    row: i64,
    customer: CustomerId,
    network: String,
    account: String,
    profile: SealedProfile,
}

/// Reads the accounts that are linked to these customers, by customer, then row.
pub(super) fn read_linked(conn: &Connection, customers: &[CustomerId]) -> Result<Vec<RawLinked>, StoreError> {
    let mut statement = conn
        .prepare_cached(&format!(
            "SELECT i.id, i.network, i.account, i.hash, i.profile_as_of, i.profile, i.rectified FROM link l JOIN identity i ON i.id = l.identity
             WHERE l.customer = ?1 AND l.ended IS NULL AND i.account IS NOT NULL ORDER BY i.id LIMIT {MAX_ACCOUNTS}"
        ))
        .said()?;
    let mut found = Vec::new();
    for customer in customers {
        let rows = statement
            .query_map([customer.as_str()], |row| {
                Ok(RawLinked {
                    row: row.get(0)?,
                    customer: customer.clone(),
                    network: row.get(1)?,
                    account: row.get(2)?,
                    profile: SealedProfile::at(row, 3)?,
                })
            })
            .said()?;
        for linked in rows {
            found.push(linked.said()?);
        }
    }
    Ok(found)
}

/// Opens them.
pub(super) fn open_linked(ring: &KeyRing, found: Vec<RawLinked>) -> Result<Vec<LinkedAccount>, StoreError> {
    let open = |raw: RawLinked| {
        let profile = raw.profile.open(ring)?;
        Ok(LinkedAccount { row: IdentityRow(raw.row), customer: raw.customer, id: identity_id(&raw.network, &raw.account)?, profile })
    };
    found.into_iter().map(open).collect()
}

/// A stored profile as read.
pub(super) struct RawProfile {
    row: i64,
    network: String,
    account: String,
    profile: SealedProfile,
    candidates: Option<String>,
    linked: Option<String>,
    decided: Option<(RawDecision, Vec<u8>)>,
}

/// Reads a page of profiles: those that are whole. One that a field's clock has shortened is not decided about again by itself.
pub(super) fn read_profiles(conn: &Connection, after: Option<IdentityRow>, limit: i64) -> Result<Vec<RawProfile>, StoreError> {
    conn.prepare_cached(&format!(
        "SELECT i.id, i.network, i.account, i.hash, i.profile_as_of, i.profile, i.rectified, d.candidates,
                CASE d.outcome WHEN ?3 THEN d.customer END,
                d.mapping, d.{}
         FROM identity i LEFT JOIN decision d ON d.identity = i.id AND d.current = 1
         WHERE i.id > ?1 AND i.account IS NOT NULL AND i.profile IS NOT NULL AND i.profile_hash IS NOT NULL ORDER BY i.id LIMIT ?2",
        CURRENT_COLUMNS.replace(", ", ", d.")
    ))
    .said()?
    .query_map((after.map_or(0, |row| row.0), limit, Outcome::Linked.number()), |row| {
        Ok(RawProfile {
            row: row.get(0)?,
            network: row.get(1)?,
            account: row.get(2)?,
            profile: SealedProfile::at(row, 3)?,
            candidates: row.get(7)?,
            linked: row.get(8)?,
            decided: match row.get::<_, Option<Vec<u8>>>(9)? {
                Some(mapping) => Some((RawDecision::at(row, 10)?, mapping)),
                None => None,
            },
        })
    })
    .said()?
    .collect::<Result<_, _>>()
    .said()
}

/// Opens a page of profiles. Where a key was destroyed the profile shows nothing; the row is told, so that pages do not end early.
pub(super) fn open_profiles(ring: &KeyRing, page: Vec<RawProfile>) -> Result<Vec<StoredProfile>, StoreError> {
    page.into_iter()
        .map(|raw| {
            let profile = raw.profile.open(ring)?.unwrap_or_else(|| raw.profile.showing_nothing());
            Ok(StoredProfile {
                row: IdentityRow(raw.row),
                id: identity_id(&raw.network, &raw.account)?,
                profile,
                candidates: customers_listed(raw.candidates.as_deref())?,
                linked: raw.linked.map(|id| CustomerId(id.into())),
                decided: match raw.decided {
                    Some((decision, mapping)) => Some((decision.decision()?, digest(&mapping)?)),
                    None => None,
                },
            })
        })
        .collect()
}
