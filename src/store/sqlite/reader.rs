//! Reading a state folder beside a running service, for the commands that only read.

use super::content::decode_activity;
use super::error::{InDatabase, damaged};
use super::evidence;
use super::intake::{ACTIVITY_BINDING, LINE_BINDING, hex, line_field};
use super::names::{Numbered, by_from, timestamp};
use super::readers::Readers;
use super::work::{self, CURRENT_COLUMNS, RawDecision, SealedProfile, digest, unseal};
use super::{Options, dead_letters, endpoint, keys, oldest, open, outbox, page, posts, rights, sequence, totals};
use crate::audit::{HashKey, KeyId, MasterKey, PersonKey, SubjectHash};
use crate::model::{
    Activity, ActivityState, CustomerId, DeliveryId, Digest, Evidence, IdentityId, LinkedBy, Network, Outcome, Personal, Profile, TargetId,
    Timestamp,
};
use crate::store::ring::KeyRing;
use crate::store::{
    CurrentDecision, EndpointState, IdentityRow, IdentityWork, Letter, LetterFilter, LetterId, LetterRow, LinkedAccount, OutboxRow, Post,
    Spent, StoreError, StoredProfile, Totals,
};
use rusqlite::{OptionalExtension, Row};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// A state folder, open for reading only. Each method reads one moment; a writer beside it is neither seen half-done nor held up.
pub struct SqliteReader {
    pub(super) readers: Readers,
    pub(super) ring: Arc<KeyRing>,
}

impl std::fmt::Debug for SqliteReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteReader")
    }
}

/// Which identities to list; every given member must fit.
#[derive(Clone, Debug, Default)]
pub struct LinkFilter {
    /// With this outcome; `Undetermined` has those without a decision, too.
    pub outcome: Option<Outcome>,
    /// On this network.
    pub network: Option<Network>,
    /// With this customer as the best candidate.
    pub customer: Option<CustomerId>,
}

/// An identity and the decision in force about it.
#[derive(Clone, PartialEq, Debug)]
pub struct LinkRow {
    /// The store's row.
    pub row: IdentityRow,
    /// Its network.
    pub network: Network,
    /// Its id; `None` where nothing may be kept about it.
    pub account: Option<Arc<str>>,
    /// What was decided; `Undetermined` where nothing was yet.
    pub outcome: Outcome,
    /// The best candidate, whatever the outcome.
    pub customer: Option<CustomerId>,
    /// Posterior of the best candidate, 0 to 1; 0 where there is none.
    pub probability: f64,
    /// Match weight of the best candidate in bits; 0 where there is none.
    pub match_weight: f64,
    /// What links.
    pub by: Option<LinkedBy>,
    /// The lawful basis.
    pub basis: Option<Arc<str>>,
    /// When it was decided.
    pub at: Option<Timestamp>,
}

/// Everything about the decision in force about one identity.
#[derive(Clone, PartialEq, Debug)]
pub struct DecisionShown {
    /// The store's row of the identity.
    pub row: IdentityRow,
    /// What it shows; `None` where that may not be kept or its key was destroyed.
    pub profile: Option<Profile>,
    /// The decision.
    pub decision: CurrentDecision,
    /// SHA-256 of the mapping that decided.
    pub mapping: Digest,
    /// HMAC of the evidence; all zero where there is none.
    pub evidence_digest: Digest,
    /// What went into it; `None` where nobody was scored or the key was destroyed. Candidates whose own key was destroyed have no values.
    pub evidence: Option<Evidence>,
    /// Decisions before it, newest first, at most 100.
    pub earlier: Vec<CurrentDecision>,
}

/// A line that stands aside. What it says is personal: [`SqliteReader::parked_content`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParkedLineRow {
    /// Its number, for paging.
    pub id: i64,
    /// `[sources.NAME]`.
    pub source: String,
    /// The file.
    pub file: String,
    /// 1-based line.
    pub line: u64,
    /// The code of the problem.
    pub code: String,
    /// What is wrong, without personal data.
    pub message: String,
    /// When it was received.
    pub at: Timestamp,
}

/// What a parked line says.
#[derive(Clone, PartialEq, Debug)]
pub enum ParkedContent {
    /// The line as read.
    Line(Personal<Vec<u8>>),
    /// An activity that contradicts what is stored.
    Activity(Box<Activity>),
}

/// A delivery that stands aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParkedDelivery {
    /// Which.
    pub id: DeliveryId,
    /// Where to.
    pub target: TargetId,
    /// The mapping's deliver entry.
    pub entry: String,
    /// The code of the problem.
    pub code: String,
    /// What is wrong, without personal data.
    pub message: String,
    /// Attempts made.
    pub attempts: u32,
}

/// How an activity version stands, without what it says: what two runs of the same input must agree on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ActivityStanding {
    /// The keyed hash of network, object and version.
    pub version: [u8; 16],
    /// Its state: `delivered`, `dropped: not-linked`, ….
    pub state: String,
    /// The outcome in force about its author.
    pub outcome: Option<String>,
    /// The digest of that decision's evidence.
    pub evidence: Option<Digest>,
}

/// Earlier decisions shown of one identity.
const MAX_EARLIER: i64 = 100;

impl SqliteReader {
    /// Opens a state folder that exists.
    ///
    /// # Errors
    /// [`StoreError::Absent`], [`StoreError::Newer`], [`StoreError::Damaged`].
    pub fn open(state_dir: &Path, master: MasterKey, hashes: HashKey) -> Result<Self, StoreError> {
        let path = open::database(state_dir);
        let keys = keys::Keys::Own(open::reader(&path)?);
        // Nothing is minted here; the seed is drawn all the same, so that no predictable key could come of a mistake.
        let ring = KeyRing::to_read(master, hashes, Options::from_system()?.seed, Box::new(keys));
        Ok(Self { readers: Readers::of_file(path), ring: Arc::new(ring) })
    }

    /// The key of a person by its id, to open what entries of the log seal; `None` where it was destroyed.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where the master key does not open it.
    pub fn key(&self, id: KeyId) -> Result<Option<PersonKey>, StoreError> {
        Ok(self.ring.find(id)?.map(|key| (*key).clone()))
    }

    /// The keys of persons, to read with.
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.clone()
    }

    /// The counts.
    ///
    /// # Errors
    /// What the database says.
    pub fn totals(&self) -> Result<Totals, StoreError> {
        self.readers.read_here(totals::totals)
    }

    /// How each endpoint stands of which something is known.
    ///
    /// # Errors
    /// What the database says.
    pub fn endpoints(&self) -> Result<Vec<EndpointState>, StoreError> {
        self.readers.read_here(endpoint::all)
    }

    /// What was spent of each quota.
    ///
    /// # Errors
    /// What the database says.
    pub fn spent(&self) -> Result<Vec<Spent>, StoreError> {
        self.readers.read_here(endpoint::spent)
    }

    /// Since when the oldest delivery of each of these targets waits that has not arrived.
    ///
    /// # Errors
    /// What the database says.
    pub fn oldest(&self, targets: &[TargetId]) -> Result<Vec<(TargetId, Timestamp)>, StoreError> {
        self.readers.read_here(|conn| oldest::oldest(conn, targets))
    }

    /// Every setting.
    ///
    /// # Errors
    /// What the database says.
    pub fn settings(&self) -> Result<BTreeMap<String, String>, StoreError> {
        self.readers.read_here(|conn| {
            conn.prepare_cached("SELECT name, value FROM setting")
                .said()?
                .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))
                .said()?
                .collect::<Result<_, _>>()
                .said()
        })
    }

    /// Leaves from a sequence number on.
    ///
    /// # Errors
    /// What the database says.
    pub fn leaves(&self, from: u64, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        self.readers.read_here(|conn| sequence::leaves(conn, from, page(limit)))
    }

    /// A large part of an entry by its SHA-256.
    ///
    /// # Errors
    /// What the database says.
    pub fn part(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.readers.read_here(|conn| sequence::part(conn, digest))
    }

    /// Shows identities one by one, ordered by network, id and row, until `visit` breaks. Accounts that were seen in dropped messages
    /// only, of which nothing is known, are left out.
    ///
    /// # Errors
    /// What the database says.
    pub fn links(&self, filter: &LinkFilter, mut visit: impl FnMut(LinkRow) -> ControlFlow<()>) -> Result<(), StoreError> {
        self.readers.read_here(|conn| {
            let mut statement = conn
                .prepare_cached(
                    "SELECT i.id, i.network, i.account, coalesce(d.outcome, ?1), d.customer, d.probability, d.match_weight, d.by_kind,
                            d.by_rule, d.basis, d.at
                     FROM identity i LEFT JOIN decision d ON d.identity = i.id AND d.current = 1
                     WHERE (i.account IS NOT NULL OR d.id IS NOT NULL)
                       AND (?2 IS NULL OR coalesce(d.outcome, ?1) = ?2)
                       AND (?3 IS NULL OR i.network = ?3)
                       AND (?4 IS NULL OR d.customer = ?4)
                     ORDER BY i.network, i.account, i.id",
                )
                .said()?;
            let mut rows = statement
                .query((
                    Outcome::Undetermined.number(),
                    filter.outcome.map(Outcome::number),
                    filter.network.map(Network::name),
                    filter.customer.as_ref().map(CustomerId::as_str),
                ))
                .said()?;
            while let Some(row) = rows.next().said()? {
                if visit(link_row(row)?).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The decision in force about an identity with its evidence; `None` where there is no such identity or no decision about it.
    ///
    /// # Errors
    /// What the database says; [`StoreError::Damaged`] where something sealed does not open although its key is there.
    pub fn decision(&self, identity: &IdentityId) -> Result<Option<DecisionShown>, StoreError> {
        decision(&self.readers, &self.ring, identity)
    }

    /// Profiles, in the order of their rows, after this one; pages end where there are no more.
    ///
    /// # Errors
    /// What the database says; [`StoreError::Damaged`] where something sealed does not open although its key is there.
    pub fn profiles(&self, after: Option<IdentityRow>, limit: usize) -> Result<Vec<StoredProfile>, StoreError> {
        let raw = self.readers.read_here(|conn| work::read_profiles(conn, after, page(limit)))?;
        work::open_profiles(&self.ring, raw)
    }

    /// Customers who must not be matched, by keyed hash.
    ///
    /// # Errors
    /// What the database says.
    pub fn suppressed_customers(&self) -> Result<Vec<SubjectHash>, StoreError> {
        self.readers.read_here(rights::suppressed_customers)
    }

    /// Keyed hashes of what Kith wrote to customers about accounts.
    ///
    /// # Errors
    /// What the database says.
    pub fn wrote(&self) -> Result<Vec<[u8; 16]>, StoreError> {
        self.readers.read_here(rights::wrote)
    }

    /// Accounts whose profile is kept, with their network, by row.
    ///
    /// # Errors
    /// What the database says.
    pub fn accounts(&self, after: Option<IdentityRow>, limit: usize) -> Result<Vec<(IdentityRow, Network)>, StoreError> {
        self.readers.read_here(|conn| work::recorded::accounts(conn, after, page(limit)))
    }

    /// What accounts said at or after a time, as if it had just arrived: nothing is decided and nothing written, what was said waits. By row; a page ends
    /// early where it holds much.
    ///
    /// # Errors
    /// As [`Self::profiles`].
    pub fn recorded(&self, since: Timestamp, after: Option<IdentityRow>, limit: usize) -> Result<Vec<IdentityWork>, StoreError> {
        let raw = self.readers.read_here(|conn| work::recorded::since(conn, since, after, page(limit)))?;
        work::open(&self.ring, raw)
    }

    /// The same of these accounts, with all that they said.
    ///
    /// # Errors
    /// As [`Self::profiles`].
    pub fn recorded_of(&self, accounts: &[IdentityRow]) -> Result<Vec<IdentityWork>, StoreError> {
        let raw = self.readers.read_here(|conn| work::recorded::of(conn, accounts))?;
        work::open(&self.ring, raw)
    }

    /// What these accounts say in their posts, as far as it is still kept: of each the newest, the newest first. Aligned with `of`.
    ///
    /// # Errors
    /// As [`Self::profiles`].
    pub fn posts(&self, of: &[IdentityRow]) -> Result<Vec<Vec<Post>>, StoreError> {
        let raw = self.readers.read_here(|conn| posts::read(conn, of))?;
        posts::open(&self.ring, raw)
    }

    /// The accounts that are linked to these customers.
    ///
    /// # Errors
    /// What the database says.
    pub fn linked_to(&self, customers: &[CustomerId]) -> Result<Vec<LinkedAccount>, StoreError> {
        let raw = self.readers.read_here(|conn| work::read_linked(conn, customers))?;
        work::open_linked(&self.ring, raw)
    }

    /// Lines that stand aside, oldest first, after this number.
    ///
    /// # Errors
    /// What the database says.
    pub fn parked_lines(&self, after: Option<i64>, limit: usize) -> Result<Vec<ParkedLineRow>, StoreError> {
        self.readers.read_here(|conn| {
            conn.prepare_cached(
                "SELECT id, source, file, line, code, message, at FROM parked_line WHERE state = 0 AND id > ?1 ORDER BY id LIMIT ?2",
            )
            .said()?
            .query_map((after.unwrap_or(0), page(limit)), |row| {
                let line: i64 = row.get(3)?;
                Ok(ParkedLineRow {
                    id: row.get(0)?,
                    source: row.get(1)?,
                    file: row.get(2)?,
                    line: u64::try_from(line).unwrap_or_default(),
                    code: row.get(4)?,
                    message: row.get(5)?,
                    at: timestamp(row.get(6)?),
                })
            })
            .said()?
            .collect::<Result<_, _>>()
            .said()
        })
    }

    /// What a parked line says; `None` where there is no such line, nothing may be kept of it, or its key was destroyed.
    ///
    /// # Errors
    /// What the database says; [`StoreError::Damaged`] where it does not open although its key is there.
    pub fn parked_content(&self, id: i64) -> Result<Option<ParkedContent>, StoreError> {
        type Raw = (i64, Vec<u8>, i64, Option<Vec<u8>>, Option<Vec<u8>>);
        let found: Option<Raw> = self.readers.read_here(|conn| {
            conn.prepare_cached("SELECT form, file_digest, line, version, sealed FROM parked_line WHERE id = ?1")
                .said()?
                .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
                .optional()
                .said()
        })?;
        let Some((form, file, line, version, Some(sealed))) = found else { return Ok(None) };
        match (form, version) {
            (0, _) => {
                let field = line_field(&file, u64::try_from(line).unwrap_or_default());
                let plain = unseal(&self.ring, LINE_BINDING, &field, &sealed)?;
                Ok(plain.map(|plain| ParkedContent::Line(Personal::new(plain.to_vec()))))
            }
            (1, Some(version)) => {
                let plain = unseal(&self.ring, ACTIVITY_BINDING, &hex(&version), &sealed)?;
                plain.map(|plain| Ok(ParkedContent::Activity(Box::new(decode_activity(&plain, None)?)))).transpose()
            }
            _ => Err(damaged("a parked line of an unknown form")),
        }
    }

    /// Deliveries that stand aside, oldest first, after this one.
    ///
    /// # Errors
    /// What the database says.
    pub fn parked_deliveries(&self, after: Option<DeliveryId>, limit: usize) -> Result<Vec<ParkedDelivery>, StoreError> {
        self.readers.read_here(|conn| {
            conn.prepare_cached(
                "SELECT id, target, entry, coalesce(code, ''), coalesce(reason, ''), attempt
                 FROM delivery WHERE state = 3 AND id > ?1 ORDER BY id LIMIT ?2",
            )
            .said()?
            .query_map((after.map_or(0, |id| id.0), page(limit)), |row| {
                let attempts: i64 = row.get(5)?;
                Ok(ParkedDelivery {
                    id: DeliveryId(row.get(0)?),
                    target: TargetId(row.get(1)?),
                    entry: row.get(2)?,
                    code: row.get(3)?,
                    message: row.get(4)?,
                    attempts: u32::try_from(attempts).unwrap_or_default(),
                })
            })
            .said()?
            .collect::<Result<_, _>>()
            .said()
        })
    }

    /// Parked letters that fit, deliveries first, after this one.
    ///
    /// # Errors
    /// What the database says.
    pub fn dead_letters(&self, filter: &LetterFilter, after: Option<LetterId>, limit: usize) -> Result<Vec<LetterRow>, StoreError> {
        self.readers.read_here(|conn| dead_letters::list(conn, filter, after, page(limit)))
    }

    /// Letters with all that is known of them, in the order asked for; a number that there is not is left out.
    ///
    /// # Errors
    /// What the database says; [`StoreError::Damaged`] where something sealed does not open although its key is there.
    pub fn letters(&self, ids: &[LetterId]) -> Result<Vec<Letter>, StoreError> {
        dead_letters::open(&self.ring, self.readers.read_here(|conn| dead_letters::read(conn, ids))?)
    }

    /// A delivery with what it says; `None` where there is none with this number.
    ///
    /// # Errors
    /// What the database says; [`StoreError::Damaged`] where its key was destroyed.
    pub fn delivery(&self, id: DeliveryId) -> Result<Option<OutboxRow>, StoreError> {
        let rows = self.readers.read_here(|conn| outbox::one(conn, id))?;
        Ok(outbox::open(&self.ring, rows)?.pop())
    }

    /// How every activity version stands, ordered by its hash, until `visit` breaks.
    ///
    /// # Errors
    /// What the database says.
    pub fn standings(&self, mut visit: impl FnMut(ActivityStanding) -> ControlFlow<()>) -> Result<(), StoreError> {
        self.readers.read_here(|conn| {
            let mut statement = conn
                .prepare_cached(
                    "SELECT a.version, a.state, d.outcome, d.evidence_digest
                     FROM activity a LEFT JOIN decision d ON d.identity = a.identity AND d.current = 1 ORDER BY a.version",
                )
                .said()?;
            let mut rows = statement.query(()).said()?;
            while let Some(row) = rows.next().said()? {
                let outcome: Option<i64> = row.get(2).said()?;
                let evidence: Option<Vec<u8>> = row.get(3).said()?;
                let standing = ActivityStanding {
                    version: row.get(0).said()?,
                    state: super::names::state_name(ActivityState::from_number(row.get(1).said()?)?),
                    outcome: outcome.map(|o| Outcome::from_number(o).map(|o| o.name().to_owned())).transpose()?,
                    evidence: evidence.as_deref().map(digest).transpose()?,
                };
                if visit(standing).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// The decision in force about an identity with its evidence.
pub(super) fn decision(readers: &Readers, ring: &KeyRing, identity: &IdentityId) -> Result<Option<DecisionShown>, StoreError> {
    let hash = ring.hashes().identity(identity).0;
    let found = readers.read_here(|conn| {
        let found = conn
            .prepare_cached(&format!(
                "SELECT i.id, i.hash, i.profile_as_of, i.profile, i.rectified, d.mapping, d.evidence_digest, e.sealed, d.{}
                 FROM identity i JOIN decision d ON d.identity = i.id AND d.current = 1
                 LEFT JOIN evidence e ON e.decision = d.id WHERE i.hash = ?1",
                CURRENT_COLUMNS.replace(", ", ", d.")
            ))
            .said()?
            .query_row([hash.as_slice()], |row| {
                let identity: i64 = row.get(0)?;
                let digests: (Vec<u8>, Vec<u8>) = (row.get(5)?, row.get(6)?);
                let place: Option<Vec<u8>> = row.get(7)?;
                Ok((identity, SealedProfile::at(row, 1)?, digests, place, RawDecision::at(row, 8)?))
            })
            .optional()
            .said()?;
        let Some((row, ..)) = found else { return Ok(None) };
        let earlier: Vec<RawDecision> = conn
            .prepare_cached(&format!(
                "SELECT {CURRENT_COLUMNS} FROM decision WHERE identity = ?1 AND current = 0 ORDER BY id DESC LIMIT {MAX_EARLIER}"
            ))
            .said()?
            .query_map([row], |row| RawDecision::at(row, 0))
            .said()?
            .collect::<Result<_, _>>()
            .said()?;
        let evidence = match found.as_ref().and_then(|(_, _, _, place, _)| place.as_deref()) {
            Some(place) => evidence::read(conn, place)?,
            None => None,
        };
        Ok(found.map(|found| (found, evidence, earlier)))
    })?;
    let Some(((row, profile, (mapping, evidence_digest), _, decision), sealed, earlier)) = found else { return Ok(None) };
    let decision = decision.decision()?;
    let evidence = match sealed {
        Some(sealed) => evidence::open(ring, &sealed)?,
        None => None,
    };
    Ok(Some(DecisionShown {
        row: IdentityRow(row),
        profile: profile.open(ring)?,
        decision,
        mapping: digest(&mapping)?,
        evidence_digest: digest(&evidence_digest)?,
        evidence,
        earlier: earlier.into_iter().map(RawDecision::decision).collect::<Result<_, _>>()?,
    }))
}

fn link_row(row: &Row<'_>) -> Result<LinkRow, StoreError> {
    let network: String = row.get(1).said()?;
    let probability: Option<f64> = row.get(5).said()?;
    let match_weight: Option<f64> = row.get(6).said()?;
    let at: Option<i64> = row.get(10).said()?;
    Ok(LinkRow {
        row: IdentityRow(row.get(0).said()?),
        network: network.parse().map_err(|_unknown| damaged("an identity on an unknown network"))?,
        account: row.get(2).said()?,
        outcome: Outcome::from_number(row.get(3).said()?)?,
        customer: row.get::<_, Option<Arc<str>>>(4).said()?.map(CustomerId),
        probability: probability.unwrap_or_default(),
        match_weight: match_weight.unwrap_or_default(),
        by: by_from(row.get(7).said()?, row.get(8).said()?)?,
        basis: row.get(9).said()?,
        at: at.map(timestamp),
    })
}
