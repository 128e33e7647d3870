//! Undo: what a choice of writes changed is put back, record by record, where the CRM still holds exactly what they left: planned now, and
//! compared again in the transaction of each write. Whatever somebody edited since is told and not touched.

use super::told::{PeopleTold, UndoRow};
use crate::declare::connector::TargetFile;
use crate::deliver::{AnyTarget, DeliveryError, Target as _};
use crate::enrich::Write;
use crate::model::{
    Delivery, DeliveryId, Digest, Expects, FieldChange, IdempotencyKey, IdentityId, Network, Payload, Personal, Priority, Timestamp, Value,
    WriteEffect, WriteIntent,
};
use crate::pipeline::asked::Desk;
use crate::pipeline::decide::idempotency;
use crate::pipeline::{RunError, WhoAsks};
use crate::store::{Arrived, DecideStep, IdentityRow, PlannedDelivery, Undo, UndoStep, UndoWhich};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Writes read at once: some 2 KB each.
const PAGE: usize = 1_000;
/// Writes of one undo: at 4 KB each with before and after, 400 MB are too many; a wider choice is undone in parts.
const MOST: usize = 50_000;
/// Records that are told one by one.
const TOLD: usize = 200;

/// What becomes of one record.
enum Fate {
    /// It is put back by this write.
    PutBack(Box<PlannedDelivery>),
    /// It is left as it is, for this reason.
    Left(&'static str),
}

/// The writes about one record, oldest first.
struct Chain {
    writes: Vec<Arrived>,
}

/// A record by target, operation's record key: writes of several entries may meet in one.
type ChainKey = (Arc<str>, Arc<str>, Arc<str>);

/// What a chain of writes did to a record, and what would take it back.
struct Back {
    intent: WriteIntent,
    payload: Payload,
    expects: Expects,
}

impl Chain {
    /// `None` where there is nothing to take back.
    fn back(&self, record_key: &[Arc<str>]) -> Option<Back> {
        let (first, last) = (self.writes.first()?, self.writes.last()?);
        let mut fields: BTreeMap<Arc<str>, (Value, Value)> = BTreeMap::new();
        for write in &self.writes {
            for FieldChange { field, before, after } in write.changes.as_ref()? {
                let entry = fields.entry(field.clone()).or_insert_with(|| (before.reveal().clone(), Value::Missing));
                entry.1 = after.reveal().clone();
            }
        }
        let there = last.effect != WriteEffect::Removed;
        let new = first.effect == WriteEffect::Inserted;
        if new && !there {
            // It was not there and is gone again.
            return None;
        }
        let said = last.payload.reveal();
        let mut payload: Vec<(Arc<str>, Value)> =
            if new { said.iter().filter(|(name, _)| record_key.contains(name)).cloned().collect() } else { said.clone() };
        let mut expected = Vec::new();
        for (name, (before, after)) in fields {
            if !new {
                // What it said last, with what stood there before laid over it.
                match payload.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, value)) => *value = before.clone(),
                    None => payload.push((name.clone(), before.clone())),
                }
            }
            let goes_back_to = if new { &Value::Missing } else { &before };
            if *goes_back_to != after {
                expected.push((name, after));
            }
        }
        let intent = if new { WriteIntent::Remove } else { WriteIntent::Write };
        let expects = Expects { there, fields: Personal::new(expected) };
        (new || !expects.fields.reveal().is_empty()).then(|| Back { intent, payload: Personal::new(payload), expects })
    }
}

/// By name, with what their files say.
type Targets<'a> = BTreeMap<&'a Arc<str>, (AnyTarget, &'a Arc<TargetFile>)>;

/// What is put back about one account.
struct Steps {
    id: IdentityId,
    link: Vec<PlannedDelivery>,
    leaves: Vec<Vec<u8>>,
    taken_back: Vec<IdempotencyKey>,
}

impl Desk {
    /// Plans what would put the chosen writes back; with `apply` it is done.
    pub(super) async fn undo(&self, which: &UndoAsked<'_>, apply: bool, asker: Option<&WhoAsks>) -> Result<PeopleTold, RunError> {
        let chosen = which.read()?;
        let mut chains: BTreeMap<ChainKey, Chain> = BTreeMap::new();
        let (mut after, mut count) = (None, 0);
        loop {
            let page = self.store.arrived(chosen.clone(), after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.delivery);
            count += page.len();
            if count > MOST {
                let reason = format!("more than {MOST} writes: undo them in parts, the newest first (--since)");
                return Err(RunError::Refused { code: TOO_MANY.into(), reason });
            }
            for write in page {
                let key = (write.target.0.clone(), write.operation.0.clone(), write.record.0.clone());
                chains.entry(key).or_insert_with(|| Chain { writes: Vec::new() }).writes.push(write);
            }
        }
        // One each for all records: a target of SQL Server keeps its session and what it learned of the tables.
        let deliver = &self.parts.rulebook.enrich.deliver;
        let targets = self.parts.targets.iter().map(|(spec, file)| (&spec.name, (AnyTarget::new(spec, file.clone(), deliver), file)));
        let targets: Targets<'_> = targets.collect();
        let now = self.clock.now();
        let (mut rows, mut back, mut left) = (Vec::new(), 0_u64, BTreeMap::<String, u64>::new());
        let mut steps: BTreeMap<IdentityRow, Steps> = BTreeMap::new();
        for chain in chains.into_values() {
            let Some(last) = chain.writes.last() else { continue };
            let told = |fate: &str| UndoRow {
                target: last.target.0.to_string(),
                entry: last.entry.to_string(),
                record: last.record.0.to_string(),
                fate: fate.to_owned(),
            };
            match fate(&targets, &chain, last).await {
                Fate::Left(why) => {
                    *left.entry(why.to_owned()).or_default() += 1;
                    if rows.len() < TOLD {
                        rows.push(told(why));
                    }
                }
                Fate::PutBack(delivery) => {
                    back += 1;
                    if rows.len() < TOLD {
                        rows.push(told(match delivery.intent {
                            WriteIntent::Remove => "is taken out again",
                            WriteIntent::Write | WriteIntent::Blank | WriteIntent::Keep => "is put back",
                        }));
                    }
                    let leaf = self.scribe.undone(last, asker, now)?;
                    let step = steps.entry(last.row).or_insert_with(|| Steps {
                        id: last.identity.clone(),
                        link: Vec::new(),
                        leaves: Vec::new(),
                        taken_back: Vec::new(),
                    });
                    step.link.push(*delivery);
                    step.leaves.push(leaf);
                    step.taken_back.extend(chain.writes.iter().map(|write| write.idempotency));
                }
            }
        }
        if !rows.is_empty() {
            self.tell_shown("undo", &[], rows.len(), asker).await?;
        }
        if apply && !steps.is_empty() {
            let steps = steps.into_iter().map(|(row, Steps { id, link, leaves, taken_back })| UndoStep {
                taken_back,
                step: DecideStep { row, id, decision: None, profile_as_of: None, activities: Vec::new(), link, wrote: Vec::new(), leaves },
            });
            self.store.undo(now, steps.collect()).await?;
            self.planned.ring();
        }
        Ok(PeopleTold::Undo { rows, back, left, applied: apply })
    }
}

/// What becomes of a record: the CRM is asked what the write that puts it back would change, and that must be exactly what was changed before.
async fn fate(targets: &Targets<'_>, chain: &Chain, last: &Arrived) -> Fate {
    let Some((target, file)) = targets.get(&last.target.0) else {
        return Fate::Left("the configuration has no such target any more");
    };
    if chain.writes.iter().any(|write| write.changes.is_none()) {
        return Fate::Left("what the write changed is not known any more");
    }
    let Some(operation) = file.operation(&last.operation.0) else {
        return Fate::Left("the target has no such operation any more");
    };
    let Some(back) = chain.back(&operation.record_key) else { return Fate::Left("together they changed nothing") };
    if !operation.compares(file.kind) {
        return Fate::Left("the target can't be asked what stands there");
    }
    let write = Write {
        entry: last.entry.clone(),
        target: last.target.clone(),
        operation: last.operation.clone(),
        intent: back.intent,
        key: last.record.clone(),
        payload: back.payload.clone(),
    };
    let key: IdempotencyKey = idempotency(&write, "undo", last.idempotency.0);
    let delivery = Delivery {
        id: DeliveryId(0),
        entry: write.entry.clone(),
        target: write.target.clone(),
        operation: write.operation.clone(),
        intent: write.intent,
        record: write.key.clone(),
        idempotency: key,
        payload: write.payload.clone(),
        expects: Some(Arc::new(back.expects.clone())),
        attempt: 1,
    };
    match target.preview(&[delivery]).await.pop() {
        Some(Err(DeliveryError::Refused { code, .. })) if code.0 == EDITED => Fate::Left("somebody edited it since"),
        None | Some(Err(_)) => Fate::Left("the target does not answer, or would refuse it"),
        Some(Ok(_)) => Fate::PutBack(Box::new(PlannedDelivery {
            entry: write.entry,
            target: write.target,
            operation: write.operation,
            intent: write.intent,
            record: write.key,
            idempotency: key,
            payload: write.payload,
            expects: Some(back.expects),
            object: last.object.clone(),
            priority: Priority::Urgent,
        })),
    }
}

/// The page of a record that holds something else than expected.
const EDITED: &str = "KITH-D057";
const TOO_MANY: &str = "KITH-R064";

/// Which writes, as asked.
pub(super) struct UndoAsked<'a> {
    /// RFC 3339.
    pub since: Option<&'a str>,
    /// Hexadecimal.
    pub mapping: Option<&'a str>,
    /// Network and id.
    pub account: Option<(&'a str, &'a str)>,
}

impl UndoAsked<'_> {
    fn read(&self) -> Result<UndoWhich, RunError> {
        let refused = |reason: &str| RunError::Refused { code: "KITH-R010".into(), reason: reason.into() };
        match (self.since, self.mapping, self.account) {
            (Some(at), None, None) => {
                let at: Timestamp = at.parse().map_err(|_no_time| refused("--since is no time"))?;
                Ok(UndoWhich::Since(at))
            }
            (None, Some(hex), None) => {
                let mapping = Digest::from_hex(hex).ok_or_else(|| refused("--mapping is no digest of 64 hexadecimal digits"))?;
                Ok(UndoWhich::Mapping(mapping))
            }
            (None, None, Some((network, id))) => {
                let network: Network = network.parse().map_err(|_unknown| refused("an unknown network"))?;
                Ok(UndoWhich::Account(IdentityId { network, id: id.into() }))
            }
            _ => Err(refused("an undo names a time, a mapping or an account")),
        }
    }
}
