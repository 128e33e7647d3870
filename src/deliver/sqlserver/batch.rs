//! One transaction for a group of rows: what stands is read under locks, what follows is computed here, and rows, ledger and record states are
//! written together. Until the commit is sent nothing of it stands; a lost commit is settled by the ledger.

use super::bound::{Bound, mark};
use super::conflict::{Base, Field, Merged, Times, merge};
use super::fault::{Next, next, of_commit};
use super::load;
use super::pool::Connected;
use super::row::{Group, Row};
use super::script::Script;
use super::staged::Stages;
use super::statements::{Stage, act};
use crate::declare::connector::sqlserver::{Compare, SqlServerObjects, TableWrite};
use crate::deliver::DeliveryError;
use crate::deliver::record::Planned;
use crate::diagnose::Code;
use crate::enrich::OnConflict;
use crate::model::{Receipt, Value, WriteEffect, WriteIntent};
use crate::wire::tds::{Answered, Cell, Row as Read, TdsFault, cell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a group's transaction needs to know besides the rows.
pub(super) struct Job<'a> {
    /// The operation's place in the target file.
    pub(super) place: usize,
    pub(super) bound: &'a Bound,
    pub(super) write: &'a TableWrite,
    pub(super) objects: &'a SqlServerObjects,
    /// The mapping's word about conflicts, by delivery entry.
    pub(super) conflicts: &'a BTreeMap<Arc<str>, OnConflict>,
}

/// What stands in the table for a row.
#[derive(Debug)]
pub(super) struct Standing {
    /// Aligned with the operation's fields.
    pub(super) values: Vec<Value>,
    pub(super) cells: Vec<Cell>,
    pub(super) version: Option<Cell>,
    edited: Option<Value>,
    /// Whether it is marked as gone.
    gone: bool,
}

/// What is done with a row.
#[derive(Debug)]
pub(super) enum Plan {
    /// It is written, or stands so already.
    Write {
        act: u8,
        planned: Planned,
        /// Fields that keep the CRM's value, by place.
        kept: Vec<usize>,
        /// What Kith wants of the record from now on; for compared operations.
        base: Option<Base>,
    },
    /// It is not written.
    Refused(DeliveryError),
}

/// Answers by the row's place in its group.
pub(super) type Answers = Vec<Result<Receipt, DeliveryError>>;

impl Standing {
    /// From a look at a row: row version, time of edit, mark, every field.
    pub(super) fn read(bound: &Bound, row: &Read, from: usize) -> Option<Self> {
        let mut cells = row.iter().skip(from);
        let (version, edited) = (cells.next(), cells.next());
        let version = version.filter(|_| bound.row_version.is_some()).cloned();
        let edited =
            bound.edited_at.as_ref().zip(edited).map(|(column, cell)| column.read(cell, crate::declare::connector::FieldKind::Time));
        let marked = cells.next();
        let gone = bound.soft.as_ref().zip(marked).is_some_and(|(soft, cell)| {
            let read = crate::wire::tds::read(cell);
            mark(&soft.column, &soft.gone).is_ok_and(|held| loosely_equal(&held.value, &read))
        });
        let cells: Vec<Cell> = cells.cloned().collect();
        (cells.len() == bound.columns.len()).then_some(Self { values: Vec::new(), cells, version, edited, gone })
    }

    /// What stands once a row was written as planned; for previews, which lay one write over the other.
    pub(super) fn after(row: &Row<'_>, before: Option<Self>, planned: &Planned) -> Option<Self> {
        if planned.effect == WriteEffect::Removed {
            return None;
        }
        if planned.effect == WriteEffect::Unchanged && before.is_none() {
            return None;
        }
        let fields = row.prepared.operation.fields.len();
        let mut standing = before.unwrap_or_else(|| Self {
            values: vec![Value::Missing; fields],
            cells: Vec::new(),
            version: None,
            edited: None,
            gone: false,
        });
        standing.gone = false;
        for change in &planned.changes {
            let at = row.prepared.operation.fields.iter().position(|field| field.name == change.field);
            if let Some(slot) = at.and_then(|at| standing.values.get_mut(at)) {
                *slot = change.after.reveal().clone();
            }
        }
        Some(standing)
    }

    pub(super) fn with_values(mut self, row: &Row<'_>, bound: &Bound) -> Self {
        let fields = row.prepared.operation.fields.iter().zip(&bound.columns);
        self.values = fields.zip(&self.cells).map(|((field, column), cell)| column.read(cell, field.kind)).collect();
        self
    }
}

/// A marker that is written as a number and read as a truth, or the other way round.
fn loosely_equal(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Bool(truth) => Some(i64::from(*truth)),
        Value::Integer(number) => Some(*number),
        _ => None,
    };
    one == other || number(one).is_some_and(|n| number(other) == Some(n))
}

/// What becomes of a row, given what stands and what Kith wrote last. Pure; a preview asks the same.
pub(super) fn plan(job: &Job<'_>, row: &Row<'_>, standing: Option<&Standing>, base: Option<&Base>) -> Plan {
    let operation = row.prepared.operation;
    let intent = row.delivery.intent;
    let there = standing.filter(|standing| !(standing.gone && intent.is_withdrawal()));
    let values = there.map(|standing| standing.values.as_slice());
    let compared = job.write.compare != Compare::Off && intent == WriteIntent::Write;
    let word = job.conflicts.get(&row.delivery.entry).copied().unwrap_or(job.write.on_conflict);
    let mut kept: Vec<usize> = Vec::new();
    if compared {
        let spoken = || operation.fields.iter().enumerate().filter(|(at, _)| !job.bound.key.contains(at));
        match (values, base) {
            // The CRM deleted what Kith wrote.
            (None, Some(_)) => match word {
                OnConflict::Ours => {}
                OnConflict::Theirs | OnConflict::Newest => {
                    let planned = Planned { effect: WriteEffect::Unchanged, changes: Vec::new(), changed: Vec::new() };
                    return Plan::Write { act: act::UNCHANGED, planned, kept: Vec::new(), base: base.cloned() };
                }
                OnConflict::Park => {
                    let message = format!("the record was deleted from {} since Kith wrote it", operation.table);
                    return Plan::Refused(DeliveryError::Refused { code: Code("KITH-D050"), message: message.into() });
                }
            },
            (None, None) => {}
            (Some(values), base) => {
                let said = job.write.said_at.as_ref().and_then(|name| {
                    let at = operation.fields.iter().position(|f| f.name == *name)?;
                    row.prepared.values.get(at)?.as_ref()
                });
                let moment = |value: Option<&Value>| match value {
                    Some(Value::Time(moment)) => Some(*moment),
                    _ => None,
                };
                let times = Times { edited: moment(there.and_then(|s| s.edited.as_ref())), said: moment(said) };
                let fields = spoken().filter_map(|(at, field)| {
                    let ours = row.prepared.values.get(at)?.as_ref()?;
                    Some(Field { name: &field.name, theirs: values.get(at)?, ours })
                });
                match merge(base, &job.write.compare, word, times, fields) {
                    Merged::Keep(names) => kept = spoken().filter(|(_, field)| names.contains(&field.name)).map(|(at, _)| at).collect(),
                    Merged::Park(names) => {
                        let message = format!("changed in the CRM and here since Kith wrote it: {}", names.join(", "));
                        return Plan::Refused(DeliveryError::Refused { code: Code("KITH-D050"), message: message.into() });
                    }
                }
            }
        }
    }
    let mut planned = match row.prepared.plan_expected(row.delivery, values) {
        Ok(planned) => planned,
        Err(error) => return Plan::Refused(error),
    };
    if !kept.is_empty() {
        let name = |at: &usize| operation.fields.get(*at).map(|field| field.name.clone());
        let names: BTreeSet<Arc<str>> = kept.iter().filter_map(name).collect();
        planned.changes.retain(|change| !names.contains(&change.field));
        planned.changed.retain(|at| !kept.contains(at));
        if planned.changes.is_empty() {
            planned.effect = WriteEffect::Unchanged;
        }
    }
    // A record that is marked as gone and written again lives again, even with the same words.
    let revives = standing.is_some_and(|s| s.gone) && intent == WriteIntent::Write;
    if revives && planned.effect == WriteEffect::Unchanged {
        planned.effect = WriteEffect::Updated;
    }
    let act = match planned.effect {
        WriteEffect::Inserted => act::INSERT,
        WriteEffect::Updated | WriteEffect::Blanked => act::UPDATE,
        WriteEffect::Removed => act::REMOVE,
        WriteEffect::Unchanged | WriteEffect::Kept => act::UNCHANGED,
    };
    let base = (job.write.compare != Compare::Off).then(|| match intent {
        WriteIntent::Remove => None,
        WriteIntent::Write | WriteIntent::Blank | WriteIntent::Keep => {
            let fields = operation.fields.iter().zip(&row.prepared.values);
            let said = fields.filter_map(|(field, value)| value.as_ref().map(|value| (&*field.name, value)));
            let exists = there.is_some() || act == act::INSERT;
            exists.then(|| base.cloned().unwrap_or_default().with(said))
        }
    });
    Plan::Write { act, planned, kept, base: base.flatten() }
}

/// How a transaction ended.
pub(super) enum Ended {
    /// It stands, or nothing of it is these records' doing.
    Answers(Answers),
    /// A race was lost: again, from the beginning.
    Again {
        /// What is told where it does not end.
        error: DeliveryError,
        /// Whether deliveries that had arrived are looked up first.
        look_up: bool,
    },
    /// One of the records is at fault.
    OneIsBad { code: &'static str, message: Arc<str> },
}

/// Runs the transaction once.
pub(super) async fn transact(connected: &mut Connected, job: &Job<'_>, group: &Group<'_>, look_up: bool) -> Ended {
    let ended = match run(connected, job, group, look_up).await {
        Ok(ended) => ended,
        Err(fault) => match next(&fault) {
            Next::Repeat { error, duplicate } => Ended::Again { error, look_up: duplicate },
            Next::Refused { code, message } => Ended::OneIsBad { code, message },
            Next::Error(error) => Ended::Answers(group.rows.iter().map(|_| Err(error.clone())).collect()),
        },
    };
    // Whatever happened: no transaction stays open, and what can't be rolled back is closed, which rolls back.
    if connected.session.is_usable() && connected.session.batch("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION").await.is_err() {
        connected.session.give_up();
    }
    ended
}

/// Makes a stage table in this session, or empties it.
async fn ready(connected: &mut Connected, stage: &Stage<'_>) -> Result<(), TdsFault> {
    if connected.stages.contains(&stage.name) {
        connected.session.batch(&stage.empty()).await?;
    } else {
        let collation = connected.stage_collation.clone();
        connected.session.batch(&stage.create(collation.as_deref())).await?;
        connected.stages.insert(stage.name.clone());
    }
    Ok(())
}

fn first(answered: Vec<Answered>) -> Vec<Read> {
    answered.into_iter().map(|answered| answered.rows).find(|rows| !rows.is_empty()).unwrap_or_default()
}

async fn run(connected: &mut Connected, job: &Job<'_>, group: &Group<'_>, look_up: bool) -> Result<Ended, TdsFault> {
    let stages = Stages::new(job, group);
    for stage in stages.all() {
        ready(connected, stage).await?;
    }
    load::load(&mut connected.session, stages.first(), stages.first_rows(group)).await?;

    let mut looked = connected.session.batch(&begin(&stages)).await?;
    let rows = looked.pop().map(|answered| answered.rows).unwrap_or_default();
    let (standing, several) = standing(job, group, &rows);
    let bases = match &stages.keys {
        Some(keys) => bases(&first(connected.session.batch(&keys.look_at_records(job.objects)).await?)),
        None => BTreeMap::new(),
    };
    let plans: Vec<Plan> = group
        .rows
        .iter()
        .enumerate()
        .map(|(n, row)| {
            if several.contains(&n) {
                let message = format!("the table `{}` has several rows with the record's key", row.prepared.operation.table);
                return Plan::Refused(DeliveryError::Refused { code: Code("KITH-D007"), message: message.into() });
            }
            plan(job, row, standing.get(&n), bases.get(&n))
        })
        .collect();
    if stages.keys.is_some() {
        load::load(&mut connected.session, &stages.rows, stages.compared_rows(job.bound, group, &plans, &standing)).await?;
    }
    let arrived: BTreeMap<usize, u8> = if look_up {
        let rows = first(connected.session.batch(&stages.rows.look_into_ledger(job.objects)).await?);
        rows.iter()
            .filter_map(|row| Some((usize::try_from(cell::number_at(row, 0)?).ok()?, u8::try_from(cell::number_at(row, 1)?).ok()?)))
            .collect()
    } else {
        BTreeMap::new()
    };
    let script = Script::new(job, group, &stages, &plans, &arrived);
    // What a row is seen as is loaded before anything is written.
    let seen = stages.seen_rows(job.bound, script.rows(act::UPDATE), &standing);
    if let Some(stage) = stages.seen.as_ref().filter(|_| !seen.is_empty()) {
        load::load(&mut connected.session, stage, seen).await?;
    }
    if let Some(lost) = write(connected, &script).await? {
        return Ok(lost);
    }
    if let Err(fault) = connected.session.batch(COMMIT).await {
        let error = of_commit(&fault);
        return Ok(Ended::Answers(group.rows.iter().map(|_| Err(error.clone())).collect()));
    }
    Ok(Ended::Answers(answers(group, plans, &arrived)))
}

/// Begins the transaction and reads what stands.
pub(super) fn begin(stages: &Stages<'_>) -> String {
    format!("BEGIN TRANSACTION; {}", stages.first().look())
}

/// Ends it; until this leaves, nothing is written.
pub(super) const COMMIT: &str = "COMMIT TRANSACTION";

/// What stands, by the row's number; and the numbers that several rows answer to.
fn standing(job: &Job<'_>, group: &Group<'_>, rows: &[Read]) -> (BTreeMap<usize, Standing>, BTreeSet<usize>) {
    let (mut standing, mut several) = (BTreeMap::new(), BTreeSet::new());
    for read in rows {
        let Some(n) = cell::number_at(read, 0).and_then(|n| usize::try_from(n).ok()) else { continue };
        let Some(row) = group.rows.get(n) else { continue };
        if let Some(found) = Standing::read(job.bound, read, 1)
            && standing.insert(n, found.with_values(row, job.bound)).is_some()
        {
            several.insert(n);
        }
    }
    (standing, several)
}

fn bases(rows: &[Read]) -> BTreeMap<usize, Base> {
    let base = |row: &Read| Some((usize::try_from(cell::number_at(row, 0)?).ok()?, Base::read(cell::bytes_at(row, 1).unwrap_or_default())));
    rows.iter().filter_map(base).collect()
}

/// Writes rows, ledger and record states; `Some` where the counted rows tell that a race was lost.
async fn write(connected: &mut Connected, script: &Script) -> Result<Option<Ended>, TdsFault> {
    let answered = connected.session.batch(&script.text()).await?;
    // A trigger may answer with results of its own: only the counts are counted.
    let counts = answered.iter().filter(|answered| answered.columns.first().is_some_and(|name| name.starts_with("kith_rows_")));
    let found: Vec<i64> = counts.flat_map(|answered| &answered.rows).filter_map(|row| cell::number_at(row, 0)).collect();
    if script.touched(&found) {
        return Ok(None);
    }
    let message = "another program changed the same rows at the same time".into();
    let error = DeliveryError::Failed { code: Code("KITH-D043"), message, retry_after: None };
    Ok(Some(Ended::Again { error, look_up: true }))
}

/// Receipts, and refusals beside them.
fn answers(group: &Group<'_>, plans: Vec<Plan>, arrived: &BTreeMap<usize, u8>) -> Answers {
    let answer = |(n, (row, plan)): (usize, (&Row<'_>, Plan))| match plan {
        _ if arrived.contains_key(&n) => Ok(Receipt::bare(row.delivery.id, WriteEffect::Unchanged)),
        Plan::Refused(error) => Err(error),
        Plan::Write { planned, kept, .. } => Ok(receipt(row, planned, &kept)),
    };
    group.rows.iter().zip(plans).enumerate().map(answer).collect()
}

/// A receipt with the fields that keep the CRM's value.
pub(super) fn receipt(row: &Row<'_>, planned: Planned, kept: &[usize]) -> Receipt {
    let name = |at: &usize| row.prepared.operation.fields.get(*at).map(|field| field.name.clone());
    Receipt { delivery: row.delivery.id, effect: planned.effect, changes: planned.changes, kept: kept.iter().filter_map(name).collect() }
}
