//! One transaction for a group of rows: what stands is read under locks, what follows is computed here, and rows, ledger and record states are
//! written together. Until the commit is sent nothing of it stands; a lost commit is settled by the ledger.

use super::bound::{Bound, mark};
use super::conflict::{Base, Field, Merged, Times, merge};
use super::fault::{Next, next, of_commit};
use super::pool::Connected;
use super::row::{Group, Row};
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
    cells: Vec<Cell>,
    version: Option<Cell>,
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
    let mut planned = row.prepared.plan(intent, values);
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

fn number(n: usize) -> Cell {
    cell::int(i32::try_from(n).unwrap_or(i32::MAX))
}

fn first(answered: Vec<Answered>) -> Vec<Read> {
    answered.into_iter().map(|answered| answered.rows).find(|rows| !rows.is_empty()).unwrap_or_default()
}

async fn run(connected: &mut Connected, job: &Job<'_>, group: &Group<'_>, look_up: bool) -> Result<Ended, TdsFault> {
    let compared = job.write.compare != Compare::Off;
    let bound = job.bound;
    let stage = Stage::of_rows(job.place, bound, &group.spoken, compared);
    let key_stage = Stage::of_keys(job.place, bound);
    let first_look = if compared { &key_stage } else { &stage };
    // What most rows will be: corrected below for the others.
    let expected = match group.intent {
        WriteIntent::Write => act::INSERT,
        WriteIntent::Blank => act::UPDATE,
        WriteIntent::Remove => act::REMOVE,
        WriteIntent::Keep => act::UNCHANGED,
    };
    let seen_fields = seen_fields(job, group);
    let seen = (!seen_fields.is_empty()).then(|| Stage::of_seen(job.place, bound, &seen_fields));
    for stage in std::iter::once(first_look).chain(compared.then_some(&stage)).chain(&seen) {
        ready(connected, stage).await?;
    }
    let load: Vec<Read> = group
        .rows
        .iter()
        .enumerate()
        .map(|(n, row)| if compared { key_row(n, row, &key_stage) } else { stage_row(n, row, &stage, expected, None) })
        .collect();
    connected.session.bulk(&first_look.name, load).await?;

    let mut looked = connected.session.batch(&format!("BEGIN TRANSACTION; {}", first_look.look())).await?;
    let rows = looked.pop().map(|answered| answered.rows).unwrap_or_default();
    let (standing, several) = standing(job, group, &rows);
    let bases =
        if compared { bases(&first(connected.session.batch(&first_look.look_at_records(job.objects)).await?)) } else { BTreeMap::new() };
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
    if compared {
        let load = group
            .rows
            .iter()
            .zip(&plans)
            .enumerate()
            .filter_map(|(n, (row, plan))| compared_row(n, row, plan, standing.get(&n), &stage, bound));
        connected.session.bulk(&stage.name, load.collect()).await?;
    }
    let arrived: BTreeMap<usize, u8> = if look_up {
        let rows = first(connected.session.batch(&stage.look_into_ledger(job.objects)).await?);
        rows.iter()
            .filter_map(|row| Some((usize::try_from(cell::number_at(row, 0)?).ok()?, u8::try_from(cell::number_at(row, 1)?).ok()?)))
            .collect()
    } else {
        BTreeMap::new()
    };
    let look = Looked { plans: &plans, standing: &standing, arrived: &arrived, expected };
    if let Some(lost) = write(connected, job, group, (&stage, seen.as_ref()), &look).await? {
        return Ok(lost);
    }
    if let Err(fault) = connected.session.batch("COMMIT TRANSACTION").await {
        let error = of_commit(&fault);
        return Ok(Ended::Answers(group.rows.iter().map(|_| Err(error.clone())).collect()));
    }
    Ok(Ended::Answers(answers(group, plans, &arrived)))
}

/// Places of the fields by which a row is compared in the update itself, where no row version does it.
fn seen_fields(job: &Job<'_>, group: &Group<'_>) -> Vec<usize> {
    let Compare::Fields(named) = &job.write.compare else { return Vec::new() };
    if group.intent != WriteIntent::Write {
        return Vec::new();
    }
    let fields = group.rows.first().map(|row| row.prepared.operation.fields.as_slice()).unwrap_or_default();
    fields.iter().enumerate().filter(|(_, field)| named.contains(&field.name)).map(|(at, _)| at).collect()
}

/// What was found and decided before anything is written.
struct Looked<'a> {
    plans: &'a [Plan],
    standing: &'a BTreeMap<usize, Standing>,
    arrived: &'a BTreeMap<usize, u8>,
    /// What the stage says of every row so far.
    expected: u8,
}

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

fn key_row(n: usize, row: &Row<'_>, stage: &Stage<'_>) -> Read {
    let mut cells = vec![number(n), cell::bytes(row.record_hash())];
    cells.extend(stage.fields().iter().filter_map(|at| row.cells.get(*at).cloned().flatten()));
    cells
}

fn stage_row(n: usize, row: &Row<'_>, stage: &Stage<'_>, act: u8, compared: Option<(Cell, Option<Cell>)>) -> Read {
    let mut cells = Vec::with_capacity(stage.fields().len() + 6);
    cells.push(number(n));
    if compared.is_some() {
        cells.push(cell::bytes(row.record_hash()));
    }
    cells.push(row.ledger_key());
    cells.push(cell::tiny(act));
    if let Some((fields, seen)) = compared {
        cells.push(fields);
        cells.extend(seen);
    }
    cells.extend(stage.fields().iter().filter_map(|at| row.cells.get(*at).cloned().flatten()));
    cells
}

/// A row of a compared operation as it is written: fields that keep the CRM's value hold it.
fn compared_row(n: usize, row: &Row<'_>, plan: &Plan, standing: Option<&Standing>, stage: &Stage<'_>, bound: &Bound) -> Option<Read> {
    let Plan::Write { act, kept, base, .. } = plan else { return None };
    let fields = base.as_ref().map_or_else(cell::no_bytes, |base| cell::bytes(base.bytes()));
    let seen = bound.row_version.as_ref().map(|_| standing.and_then(|s| s.version.clone()).unwrap_or_else(cell::no_bytes));
    let mut cells = stage_row(n, row, stage, *act, Some((fields, seen)));
    let before = cells.len() - stage.fields().len();
    for (slot, at) in cells.iter_mut().skip(before).zip(stage.fields()) {
        if kept.contains(at)
            && let (Some(standing), Some(column)) = (standing, bound.columns.get(*at))
        {
            // Where the stage has the column's own type, the very cell; else the value, which was read from it exactly.
            *slot = if column.sql_type.staged() == column.sql_type {
                standing.cells.get(*at).cloned().unwrap_or_else(|| column.null())
            } else {
                standing.values.get(*at).and_then(|value| column.hold(value).ok()).map_or_else(|| column.null(), |held| held.cell)
            };
        }
    }
    Some(cells)
}

/// Writes rows, ledger and record states; `Some` where the counted rows tell that a race was lost.
async fn write(
    connected: &mut Connected,
    job: &Job<'_>,
    group: &Group<'_>,
    (stage, seen): (&Stage<'_>, Option<&Stage<'_>>),
    look: &Looked<'_>,
) -> Result<Option<Ended>, TdsFault> {
    let Looked { plans, standing, arrived, expected } = *look;
    let compared = job.write.compare != Compare::Off;
    let mut acts: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
    let mut out_of_it: Vec<usize> = Vec::new();
    for (n, plan) in plans.iter().enumerate() {
        match plan {
            _ if arrived.contains_key(&n) => out_of_it.push(n),
            Plan::Write { act, .. } => acts.entry(*act).or_default().push(n),
            // A compared stage does not hold it.
            Plan::Refused(_) if compared => {}
            Plan::Refused(_) => out_of_it.push(n),
        }
    }
    let mut statements = Vec::new();
    if !compared {
        for (act, numbers) in acts.iter().filter(|(act, _)| **act != expected) {
            statements.extend(stage.set_act(*act, numbers));
        }
    }
    for chunk in out_of_it.chunks(1_000) {
        let list: Vec<String> = chunk.iter().map(ToString::to_string).collect();
        statements.push(format!("DELETE FROM {} WHERE kith_n IN ({})", stage.name, list.join(", ")));
    }
    let mark_of = |gone: bool| {
        let soft = job.bound.soft.as_ref()?;
        let text = if gone { &soft.gone } else { &soft.live };
        Some(format!("CAST({} AS {})", crate::declare::connector::text_literal(&marker(&soft.column, text)), soft.column.sql_type.sql()))
    };
    let (live, gone) = (mark_of(false), mark_of(true));
    let count = |act: u8| acts.get(&act).map_or(0, Vec::len);
    // What a row is seen as is loaded before anything is written.
    let seen = seen.filter(|_| count(act::UPDATE) > 0);
    if let Some(seen) = seen {
        let updates = acts.get(&act::UPDATE).map(Vec::as_slice).unwrap_or_default();
        let rows = updates.iter().filter_map(|n| Some((*n, standing.get(n)?))).map(|(n, standing)| {
            let cells = seen.fields().iter().filter_map(|at| {
                let column = job.bound.columns.get(*at)?;
                Some(if column.sql_type.staged() == column.sql_type {
                    standing.cells.get(*at)?.clone()
                } else {
                    column.hold(standing.values.get(*at)?).ok()?.cell
                })
            });
            std::iter::once(number(n)).chain(cells).collect::<Read>()
        });
        let rows: Vec<Read> = rows.collect();
        connected.session.bulk(&seen.name, rows).await?;
    }
    let mut counted: Vec<usize> = Vec::new();
    let mut count_next = |statements: &mut Vec<String>, sql: String, rows: usize| {
        statements.push(sql);
        statements.push(format!("SELECT CAST(@@ROWCOUNT AS int) AS kith_rows_{}", counted.len()));
        counted.push(rows);
    };
    if count(act::REMOVE) > 0 {
        count_next(&mut statements, stage.remove(gone.as_deref()), count(act::REMOVE));
    }
    if count(act::UPDATE) > 0
        && let Some(update) = stage.update(live.as_deref().filter(|_| group.intent == WriteIntent::Write), seen)
    {
        count_next(&mut statements, update, count(act::UPDATE));
    }
    if count(act::INSERT) > 0 {
        count_next(&mut statements, stage.insert(live.as_deref()), count(act::INSERT));
    }
    if compared {
        statements.extend(stage.keep_records(job.objects));
    }
    let rows = acts.values().map(Vec::len).sum::<usize>();
    let updated_means = if group.intent == WriteIntent::Blank { act::BLANKED } else { act::UPDATE };
    if rows > 0 {
        count_next(&mut statements, stage.add_to_ledger(job.objects, updated_means), rows);
    }
    let answered = connected.session.batch(&statements.join(";\n")).await?;
    // A trigger may answer with results of its own: only the counts are counted.
    let counts = answered.iter().filter(|answered| answered.columns.first().is_some_and(|name| name.starts_with("kith_rows_")));
    let found: Vec<i64> = counts.flat_map(|answered| &answered.rows).filter_map(|row| cell::number_at(row, 0)).collect();
    let as_many = found.len() == counted.len() && found.iter().zip(&counted).all(|(found, wanted)| usize::try_from(*found) == Ok(*wanted));
    if as_many {
        return Ok(None);
    }
    let message = "another program changed the same rows at the same time".into();
    let error = DeliveryError::Failed { code: Code("KITH-D043"), message, retry_after: None };
    Ok(Some(Ended::Again { error, look_up: true }))
}

/// A marker as text that the server converts.
fn marker(column: &crate::wire::tds::Column, text: &str) -> String {
    match mark(column, text).map(|held| held.value) {
        Ok(Value::Bool(truth)) => i32::from(truth).to_string(),
        Ok(_) | Err(_) => text.to_owned(),
    }
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
