//! *Rehearse*: what a mapping makes of what was recorded, as if it had just arrived. Nothing is stored, sent or told to anybody.

use super::decide::{Deciding, KnownSide};
use super::leaves::{Scribe, WhoAsks};
use super::siblings::{Siblings, Stored};
use super::{Progress, RunError, Stage};
use crate::declare::mapping::Rulebook;
use crate::model::{CustomerId, Decision, IdentityId, Outcome, Personal, Timestamp, Value, WriteIntent};
use crate::store::sqlite::SqliteReader;
use crate::store::{IdentityRow, IdentityWork, PlannedDelivery};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::sync::Arc;

/// Accounts read at once: with some activities each at 2 KB, some megabytes.
const PAGE: usize = 1_000;

/// A mapping and the CRM's customers as it cleans and indexes them.
pub struct Side {
    /// The mapping.
    pub rulebook: Arc<Rulebook>,
    /// The customers.
    pub known: KnownSide,
}

/// What became of one account.
#[derive(Debug)]
pub struct Rehearsed {
    /// Which account.
    pub id: IdentityId,
    /// What its profile shows, by path.
    pub raw: Personal<Vec<(Arc<str>, Value)>>,
    /// The same, cleaned, by field.
    pub cleaned: Personal<Vec<(Arc<str>, Value)>>,
    /// The decision; none where nothing about it may be kept.
    pub decision: Option<Decision>,
    /// What would be written: about the link, then post by post.
    pub writes: Vec<PlannedDelivery>,
    /// Posts that it is about.
    pub activities: u64,
}

/// One side's rehearsals, page by page.
struct Rehearsing<'a> {
    side: &'a Side,
    scribe: Scribe,
    siblings: Siblings,
    /// What Kith wrote proves nothing; known where a basis asks the CRM about the account.
    wrote: Arc<HashSet<[u8; 16]>>,
    now: Timestamp,
}

impl<'a> Rehearsing<'a> {
    fn new(side: &'a Side, reader: &SqliteReader, who: &WhoAsks, now: Timestamp) -> Result<Self, RunError> {
        let scribe = Scribe::new(reader.ring(), who.clone(), side.rulebook.clone());
        let asked = !side.rulebook.policy.proving().is_empty();
        let wrote = if asked { reader.wrote()? } else { Vec::new() };
        Ok(Self { side, scribe, siblings: Siblings::default(), wrote: Arc::new(wrote.into_iter().collect()), now })
    }

    fn page(&mut self, works: &[IdentityWork], reader: &SqliteReader) -> Result<Vec<Rehearsed>, RunError> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let stored: &Stored<'_> = &|customers: Vec<CustomerId>| Ok(reader.linked_to(&customers)?);
        let deciding = Deciding::new(&self.side.rulebook, &self.side.known, &self.scribe, self.now).knowing(self.wrote.clone());
        deciding.rehearse(works, threads, &mut self.siblings, stored)
    }
}

/// An account with its place in a sample.
type Drawn = ([u8; 32], IdentityRow);

/// Accounts all over the store, at most `count`, the same ones each time: so that two drafts are tried on the same people. Only those on `network`, where
/// one is named.
fn sample(reader: &SqliteReader, count: usize, network: Option<crate::model::Network>) -> Result<Vec<IdentityRow>, RunError> {
    let mut drawn: BinaryHeap<Drawn> = BinaryHeap::with_capacity(count + 1);
    let mut after = None;
    loop {
        let page = reader.accounts(after, PAGE * 10)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        for (row, on) in page {
            if network.is_some_and(|network| network != on) {
                continue;
            }
            drawn.push((Sha256::digest(row.0.to_be_bytes()).into(), row));
            if drawn.len() > count {
                drawn.pop();
            }
        }
    }
    Ok(drawn.into_sorted_vec().into_iter().map(|(_, row)| row).collect())
}

/// Tries a mapping on a sample of the accounts that are known.
///
/// # Errors
/// When the store can't be read.
pub fn preview(
    side: &Side,
    reader: &SqliteReader,
    who: &WhoAsks,
    now: Timestamp,
    count: usize,
    network: Option<crate::model::Network>,
) -> Result<Vec<Rehearsed>, RunError> {
    let rows = sample(reader, count, network)?;
    let works = reader.recorded_of(&rows)?;
    Rehearsing::new(side, reader, who, now)?.page(&works, reader)
}

/// How a decision or write differs, by name and count.
pub type Counts = BTreeMap<String, u64>;

/// An account about which the draft decides or writes otherwise.
#[derive(Debug)]
pub struct Differs {
    /// Which account.
    pub id: IdentityId,
    /// What the mapping in force decides.
    pub before: Option<Decision>,
    /// What the draft decides.
    pub after: Option<Decision>,
    /// Its writes that differ.
    pub writes: Vec<WriteDiffers>,
}

impl Differs {
    /// What kind of difference it is: as `match changes` names it, or `writes` where the decision is the same.
    pub fn kind(&self) -> &'static str {
        kind(self.before.as_ref(), self.after.as_ref())
    }
}

fn linked(decision: Option<&Decision>) -> Option<&CustomerId> {
    decision.filter(|d| d.outcome == Outcome::Linked).and_then(|d| d.customer.as_ref())
}

fn kind(before: Option<&Decision>, after: Option<&Decision>) -> &'static str {
    let outcome = |decision: Option<&Decision>| decision.map_or(Outcome::NotPermitted, |d| d.outcome);
    match (outcome(before), outcome(after)) {
        (Outcome::Linked, Outcome::Linked) if linked(before) == linked(after) => "writes",
        (Outcome::Linked, Outcome::Linked) => "moved",
        (one, other) if one == other => "writes",
        (_, Outcome::Linked) => "linked",
        (_, Outcome::Review) => "to_review",
        (Outcome::Linked, _) => "unlinked",
        (Outcome::Review, _) => "from_review",
        _ => "other",
    }
}

/// A write that differs.
#[derive(Debug)]
pub struct WriteDiffers {
    /// `crm_db interaction`.
    pub what: String,
    /// `added`, `gone`, `changed`.
    pub how: &'static str,
    /// Fields with their values before and after.
    pub fields: Personal<Vec<(Arc<str>, Value, Value)>>,
}

/// What a draft would have made of what was recorded, against the mapping in force.
#[derive(Debug, Default)]
pub struct Replay {
    /// Accounts that were looked at.
    pub accounts: u64,
    /// Posts that were looked at.
    pub activities: u64,
    /// Accounts by the kind of difference.
    pub decisions: Counts,
    /// Writes by target, entry and how they differ: `crm_db interaction changed`.
    pub writes: Counts,
    /// Writes that are changed, by target, entry and field.
    pub fields: Counts,
    /// Some of the accounts.
    pub examples: Vec<Differs>,
}

/// Of one account a write is told apart by entry, target, record and object.
type WriteKey<'a> = (&'a str, &'a str, &'a str, Option<&'a str>);

/// The write that stands last for each record: a withdrawal leaves none.
fn standing(writes: &[PlannedDelivery]) -> BTreeMap<WriteKey<'_>, &PlannedDelivery> {
    let mut standing = BTreeMap::new();
    for write in writes {
        let key = (&*write.entry, &*write.target.0, &*write.record.0, write.object.as_deref());
        if write.intent == WriteIntent::Write {
            standing.insert(key, write);
        } else {
            standing.remove(&key);
        }
    }
    standing
}

fn value<'v>(write: &'v PlannedDelivery, field: &str) -> Option<&'v Value> {
    write.payload.reveal().iter().find(|(name, _)| **name == *field).map(|(_, value)| value)
}

/// A field that names the mapping by its digest: it differs with every mapping, and nobody learns anything from it.
fn names_the_mapping(rulebooks: [&Rulebook; 2], values: [Option<&Value>; 2]) -> bool {
    let digest = |rulebook: &Rulebook, value: Option<&Value>| {
        value.and_then(Value::as_text).is_some_and(|text| *text == *rulebook.digest.to_string())
    };
    let ([before, after], [was, is]) = (rulebooks, values);
    digest(before, was) && digest(after, is)
}

fn writes_differ(before: &Rehearsed, after: &Rehearsed, rulebooks: [&Rulebook; 2]) -> Vec<WriteDiffers> {
    let (was, is) = (standing(&before.writes), standing(&after.writes));
    let all = |write: &PlannedDelivery, gone: bool| {
        let fields = write.payload.reveal().iter().map(|(name, value)| {
            if gone { (name.clone(), value.clone(), Value::Missing) } else { (name.clone(), Value::Missing, value.clone()) }
        });
        Personal::new(fields.collect())
    };
    let what = |write: &PlannedDelivery| format!("{} {}", write.target.0, write.entry);
    let mut found = Vec::new();
    for (key, write) in &is {
        let Some(old) = was.get(key) else {
            found.push(WriteDiffers { what: what(write), how: "added", fields: all(write, false) });
            continue;
        };
        let mut fields = Vec::new();
        for (name, new) in write.payload.reveal() {
            let before = value(old, name);
            if before != Some(new) && !names_the_mapping(rulebooks, [before, Some(new)]) {
                fields.push((name.clone(), before.cloned().unwrap_or(Value::Missing), new.clone()));
            }
        }
        for (name, before) in old.payload.reveal() {
            if value(write, name).is_none() {
                fields.push((name.clone(), before.clone(), Value::Missing));
            }
        }
        if !fields.is_empty() {
            found.push(WriteDiffers { what: what(write), how: "changed", fields: Personal::new(fields) });
        }
    }
    for (key, write) in &was {
        if !is.contains_key(key) {
            found.push(WriteDiffers { what: what(write), how: "gone", fields: all(write, true) });
        }
    }
    found
}

/// Runs what was recorded since a time through the mapping in force and through a draft, and compares. Memory is bounded by a page of accounts, the two
/// indexes of customers and `examples`.
///
/// # Errors
/// When the store can't be read.
pub fn replay(
    (in_force, draft): (&Side, &Side),
    reader: &SqliteReader,
    who: &WhoAsks,
    (since, now): (Timestamp, Timestamp),
    examples: usize,
    progress: &dyn Progress,
) -> Result<Replay, RunError> {
    let (mut before, mut after) = (Rehearsing::new(in_force, reader, who, now)?, Rehearsing::new(draft, reader, who, now)?);
    let mut all = Replay::default();
    let mut last = None;
    loop {
        let works = reader.recorded(since, last, PAGE)?;
        let Some(end) = works.last() else { break };
        last = Some(end.row);
        for (was, is) in before.page(&works, reader)?.into_iter().zip(after.page(&works, reader)?) {
            all.accounts += 1;
            all.activities += is.activities;
            let writes = writes_differ(&was, &is, [&in_force.rulebook, &draft.rulebook]);
            for write in &writes {
                *all.writes.entry(format!("{} {}", write.what, write.how)).or_default() += 1;
                if write.how == "changed" {
                    for (field, ..) in write.fields.reveal() {
                        *all.fields.entry(format!("{} {field}", write.what)).or_default() += 1;
                    }
                }
            }
            let differs = Differs { id: is.id, before: was.decision, after: is.decision, writes };
            let kind = differs.kind();
            if kind == "writes" && differs.writes.is_empty() {
                continue;
            }
            *all.decisions.entry(kind.to_owned()).or_default() += 1;
            if all.examples.len() < examples {
                all.examples.push(differs);
            }
        }
        progress.advance(Stage::Decide, works.len() as u64, None);
    }
    progress.finished(Stage::Decide);
    Ok(all)
}
