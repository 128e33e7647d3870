//! Everything that is stored about a person, for who asks for it (GDPR Art. 15 and 20).

use super::stop::accounts;
use crate::audit::SubjectHash;
use crate::model::{
    Activity, ActivityState, CustomerId, DeliveryState, Digest, Network, Payload, Profile, SubjectId, Timestamp, WriteEffect, WriteIntent,
};
use crate::store::sqlite::SqliteReader;
use crate::store::sqlite::content::{decode_activity, decode_delivery};
use crate::store::sqlite::error::{InDatabase, damaged};
use crate::store::sqlite::evidence;
use crate::store::sqlite::intake::{ACTIVITY_BINDING, hex};
use crate::store::sqlite::names::{Numbered, state_name, timestamp};
use crate::store::sqlite::outbox::DELIVERY_BINDING;
use crate::store::sqlite::work::{CURRENT_COLUMNS, RawDecision, SealedProfile, digest, unseal};
use crate::store::{CurrentDecision, HoldRow, IdentityRow, NoticeRow, RemovalRow, StoreError};
use std::sync::Arc;

/// Objects and deliveries of one account that are handed out: at 2 KB each, some 200 MB.
const MOST: i64 = 100_000;

/// Everything about one account.
#[derive(Clone, PartialEq, Debug)]
pub struct PersonFile {
    /// Its row.
    pub row: IdentityRow,
    /// Who, by keyed hash.
    pub person: SubjectHash,
    /// Its network.
    pub network: Network,
    /// Its id; `None` where nothing may be kept about it.
    pub account: Option<Arc<str>>,
    /// What it shows, corrections laid over; `None` where it is not kept.
    pub profile: Option<Profile>,
    /// When something of it was last received.
    pub received: Option<Timestamp>,
    /// Decisions about it, newest first, with the mapping that took them.
    pub decisions: Vec<(CurrentDecision, Digest)>,
    /// The evidence of the decision in force; `None` where nobody was scored, or its key is gone.
    pub evidence: Option<crate::model::Evidence>,
    /// Links, newest first.
    pub links: Vec<LinkFile>,
    /// What it said, newest first.
    pub activities: Vec<ActivityFile>,
    /// What was written about it, oldest first.
    pub deliveries: Vec<DeliveryFile>,
}

/// A link to a customer.
#[derive(Clone, PartialEq, Debug)]
pub struct LinkFile {
    /// To whom; empty where the customer was erased.
    pub customer: CustomerId,
    /// What made it.
    pub by: String,
    /// The name of the basis.
    pub basis: Option<String>,
    /// The law's ground.
    pub law: Option<String>,
    /// What for.
    pub purpose: Option<String>,
    /// Since when the basis holds.
    pub basis_since: Option<String>,
    /// The record that justifies it.
    pub record: Option<String>,
    /// Since when it stands.
    pub since: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// A version of something that was said.
#[derive(Clone, PartialEq, Debug)]
pub struct ActivityFile {
    /// Its state: `delivered`, `dropped: not-linked`, ….
    pub state: String,
    /// When it was received.
    pub received: Timestamp,
    /// What it says; `None` where that is not kept.
    pub activity: Option<Activity>,
}

/// A write to the CRM.
#[derive(Clone, PartialEq, Debug)]
pub struct DeliveryFile {
    /// Its number.
    pub id: i64,
    /// The target.
    pub target: String,
    /// The mapping's deliver entry.
    pub entry: String,
    /// Write, or which kind of withdrawal.
    pub intent: WriteIntent,
    /// How it stands.
    pub state: DeliveryState,
    /// What it did.
    pub effect: Option<WriteEffect>,
    /// What it says; `None` where that is not kept.
    pub payload: Option<Payload>,
}

impl SqliteReader {
    /// Everything about a person's accounts: the account itself, or those that are linked to a customer.
    ///
    /// # Errors
    /// What the database says; [`StoreError::Damaged`] where something sealed does not open although its key is there.
    pub fn person(&self, subject: &SubjectId) -> Result<Vec<PersonFile>, StoreError> {
        let found = self.readers.read_here(|conn| accounts(conn, &self.ring, subject))?;
        found.into_iter().filter_map(|(person, row)| row.map(|row| self.account(person, row))).collect()
    }

    fn account(&self, person: SubjectHash, identity: i64) -> Result<PersonFile, StoreError> {
        let ring = &self.ring;
        self.readers.read_here(|conn| {
            let (network, account, received, sealed): (String, Option<Arc<str>>, Option<i64>, SealedProfile) = conn
                .prepare_cached("SELECT network, account, received, hash, profile_as_of, profile, rectified FROM identity WHERE id = ?1")
                .said()?
                .query_row([identity], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, SealedProfile::at(row, 3)?)))
                .said()?;
            let profile = sealed.open(ring)?;
            let mut decisions = Vec::new();
            let mut place = None;
            for (current, mut statement) in
                [(true, conn.prepare_cached(&decisions_sql(1)).said()?), (false, conn.prepare_cached(&decisions_sql(0)).said()?)]
            {
                let mut rows = statement.query([identity]).said()?;
                while let Some(row) = rows.next().said()? {
                    let mapping: Vec<u8> = row.get(0).said()?;
                    if current {
                        place = row.get::<_, Option<Vec<u8>>>(1).said()?;
                    }
                    decisions.push((RawDecision::at(row, 2).said()?.decision()?, digest(&mapping)?));
                }
            }
            let evidence = match place {
                None => None,
                Some(place) => match evidence::read(conn, &place)? {
                    None => None,
                    Some(sealed) => evidence::open(ring, &sealed)?,
                },
            };
            let activities = conn
                .prepare_cached(
                    "SELECT a.version, a.state, a.received, a.sealed FROM object o JOIN activity a ON a.object = o.id
                     WHERE o.identity = ?1 ORDER BY a.version_at DESC, a.id DESC LIMIT ?2",
                )
                .said()?
                .query_map((identity, MOST), |row| {
                    Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get(2)?, row.get::<_, Option<Vec<u8>>>(3)?))
                })
                .said()?
                .collect::<Result<Vec<(Vec<u8>, i64, i64, Option<Vec<u8>>)>, _>>()
                .said()?
                .into_iter()
                .map(|(version, state, received, sealed)| {
                    let plain = match sealed {
                        None => None,
                        Some(sealed) => unseal(ring, ACTIVITY_BINDING, &hex(&version), &sealed)?,
                    };
                    Ok(ActivityFile {
                        state: state_name(ActivityState::from_number(state)?),
                        received: timestamp(received),
                        activity: plain.map(|plain| decode_activity(&plain, profile.as_ref())).transpose()?,
                    })
                })
                .collect::<Result<_, StoreError>>()?;
            Ok(PersonFile {
                row: IdentityRow(identity),
                person,
                network: network.parse().map_err(|_unknown| damaged("an identity on an unknown network"))?,
                account,
                received: received.map(timestamp),
                decisions,
                evidence,
                links: links(conn, identity)?,
                activities,
                deliveries: deliveries(conn, ring, identity)?,
                profile,
            })
        })
    }

    /// Every hold that stands.
    ///
    /// # Errors
    /// What the database says.
    pub fn holds(&self) -> Result<Vec<HoldRow>, StoreError> {
        self.readers.read_here(super::hold::all)
    }

    /// Removals on their way, or those of a request.
    ///
    /// # Errors
    /// What the database says.
    pub fn removals(&self, request: Option<crate::store::ring::RequestId>) -> Result<Vec<RemovalRow>, StoreError> {
        self.readers.read_here(|conn| super::finish::removals(conn, request))
    }

    /// People who are linked, ordered by when they were; not those whose data they gave us themselves, by the names of those bases.
    ///
    /// # Errors
    /// What the database says.
    pub fn notices(&self, provided: &[Arc<str>]) -> Result<Vec<NoticeRow>, StoreError> {
        self.readers.read_here(|conn| {
            let mut statement = conn
                .prepare_cached(
                    "SELECT i.id, i.network, i.account, l.customer, l.basis, l.since, n.at FROM link l JOIN identity i ON i.id = l.identity
                     LEFT JOIN noticed n ON n.identity = i.id WHERE l.ended IS NULL AND i.account IS NOT NULL ORDER BY l.since, i.id",
                )
                .said()?;
            let mut rows = statement.query(()).said()?;
            let mut found = Vec::new();
            while let Some(row) = rows.next().said()? {
                let basis: Option<Arc<str>> = row.get(4).said()?;
                if basis.as_ref().is_some_and(|basis| provided.contains(basis)) {
                    continue;
                }
                let (network, account): (String, String) = (row.get(1).said()?, row.get(2).said()?);
                found.push(NoticeRow {
                    row: IdentityRow(row.get(0).said()?),
                    id: crate::store::sqlite::work::identity_id(&network, &account)?,
                    customer: CustomerId(row.get(3).said()?),
                    basis,
                    since: timestamp(row.get(5).said()?),
                    told: row.get::<_, Option<i64>>(6).said()?.map(timestamp),
                });
            }
            Ok(found)
        })
    }
}

fn decisions_sql(current: i64) -> String {
    format!(
        "SELECT d.mapping, e.sealed, d.{} FROM decision d LEFT JOIN evidence e ON e.decision = d.id
         WHERE d.identity = ?1 AND d.current = {current} ORDER BY d.id DESC LIMIT 10000",
        CURRENT_COLUMNS.replace(", ", ", d.")
    )
}

fn links(conn: &rusqlite::Connection, identity: i64) -> Result<Vec<LinkFile>, StoreError> {
    conn.prepare_cached(
        "SELECT customer, by, basis, law, purpose, basis_since, record, since, ended FROM link WHERE identity = ?1 ORDER BY id DESC LIMIT 10000",
    )
    .said()?
    .query_map([identity], |row| {
        Ok(LinkFile {
            customer: CustomerId(row.get(0)?),
            by: row.get(1)?,
            basis: row.get(2)?,
            law: row.get::<_, Option<String>>(3)?.filter(|text| !text.is_empty()),
            purpose: row.get::<_, Option<String>>(4)?.filter(|text| !text.is_empty()),
            basis_since: row.get(5)?,
            record: row.get(6)?,
            since: timestamp(row.get(7)?),
            ended: row.get::<_, Option<i64>>(8)?.map(timestamp),
        })
    })
    .said()?
    .collect::<Result<_, _>>()
    .said()
}

fn deliveries(conn: &rusqlite::Connection, ring: &crate::store::ring::KeyRing, identity: i64) -> Result<Vec<DeliveryFile>, StoreError> {
    let mut statement = conn
        .prepare_cached(
            "SELECT id, target, entry, intent, state, effect, idempotency, sealed FROM delivery WHERE identity = ?1 ORDER BY id LIMIT ?2",
        )
        .said()?;
    let mut rows = statement.query((identity, MOST)).said()?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().said()? {
        let (idempotency, sealed): (Vec<u8>, Vec<u8>) = (row.get(6).said()?, row.get(7).said()?);
        let plain = unseal(ring, DELIVERY_BINDING, &hex(&idempotency), &sealed)?;
        found.push(DeliveryFile {
            id: row.get(0).said()?,
            target: row.get(1).said()?,
            entry: row.get(2).said()?,
            intent: WriteIntent::from_number(row.get(3).said()?)?,
            state: DeliveryState::from_number(row.get(4).said()?)?,
            effect: row.get::<_, Option<i64>>(5).said()?.map(WriteEffect::from_number).transpose()?,
            payload: plain.map(|plain| decode_delivery(&plain).map(|content| content.payload)).transpose()?,
        });
    }
    Ok(found)
}
