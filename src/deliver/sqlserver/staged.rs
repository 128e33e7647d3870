//! A group's rows as its stage tables hold them.

use super::batch::{Job, Plan, Standing};
use super::bound::Bound;
use super::row::{Group, Row};
use super::statements::{Stage, act};
use crate::declare::connector::sqlserver::Compare;
use crate::model::WriteIntent;
use crate::wire::tds::{Cell, Column, Row as Cells, cell};
use std::collections::BTreeMap;

/// The stage tables of a group.
pub(super) struct Stages<'a> {
    /// Whole rows, with what is done with each.
    pub(super) rows: Stage<'a>,
    /// Keys alone, for the look that comes before anything is decided; only where the operation compares.
    pub(super) keys: Option<Stage<'a>>,
    /// What the compared fields were seen as, where no row version tells.
    pub(super) seen: Option<Stage<'a>>,
}

impl<'a> Stages<'a> {
    pub(super) fn new(job: &Job<'a>, group: &Group<'_>) -> Self {
        let compared = job.write.compare != Compare::Off;
        let seen = seen_fields(job, group);
        Self {
            rows: Stage::of_rows(job.place, job.bound, &group.spoken, compared),
            keys: compared.then(|| Stage::of_keys(job.place, job.bound)),
            seen: (!seen.is_empty()).then(|| Stage::of_seen(job.place, job.bound, &seen)),
        }
    }

    /// The one that is joined with the table to see what stands.
    pub(super) fn first(&self) -> &Stage<'a> {
        self.keys.as_ref().unwrap_or(&self.rows)
    }

    /// In the order in which they are made.
    pub(super) fn all(&self) -> impl Iterator<Item = &Stage<'a>> {
        self.keys.iter().chain(std::iter::once(&self.rows)).chain(&self.seen)
    }

    /// The group's rows in [`Stages::first`], each expected to have the same done to it.
    pub(super) fn first_rows(&self, group: &Group<'_>) -> Vec<Cells> {
        let rows = group.rows.iter().enumerate();
        match &self.keys {
            Some(keys) => rows.map(|(n, row)| key_row(n, row, keys)).collect(),
            None => rows.map(|(n, row)| stage_row(n, row, &self.rows, expected(group.intent), None)).collect(),
        }
    }

    /// The rows of a compared operation as they are written: fields that keep the CRM's value hold it.
    pub(super) fn compared_rows(
        &self,
        bound: &Bound,
        group: &Group<'_>,
        plans: &[Plan],
        standing: &BTreeMap<usize, Standing>,
    ) -> Vec<Cells> {
        let rows = group.rows.iter().zip(plans).enumerate();
        rows.filter_map(|(n, (row, plan))| compared_row(n, row, plan, standing.get(&n), &self.rows, bound)).collect()
    }

    /// What the rows of these numbers were seen as.
    pub(super) fn seen_rows(&self, bound: &Bound, updates: &[usize], standing: &BTreeMap<usize, Standing>) -> Vec<Cells> {
        let Some(seen) = &self.seen else { return Vec::new() };
        let rows = updates.iter().filter_map(|n| Some((*n, standing.get(n)?)));
        rows.map(|(n, standing)| {
            let cells = seen.fields().iter().filter_map(|at| standing.cell(*at, bound.columns.get(*at)?));
            std::iter::once(number(n)).chain(cells).collect()
        })
        .collect()
    }
}

/// What most rows of an intent will be: corrected for the others.
pub(super) const fn expected(intent: WriteIntent) -> u8 {
    match intent {
        WriteIntent::Write => act::INSERT,
        WriteIntent::Blank => act::UPDATE,
        WriteIntent::Remove => act::REMOVE,
        WriteIntent::Keep => act::UNCHANGED,
    }
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

fn number(n: usize) -> Cell {
    cell::int(i32::try_from(n).unwrap_or(i32::MAX))
}

fn key_row(n: usize, row: &Row<'_>, stage: &Stage<'_>) -> Cells {
    let mut cells = vec![number(n), cell::bytes(row.record_hash())];
    cells.extend(stage.fields().iter().filter_map(|at| row.cells.get(*at).cloned().flatten()));
    cells
}

fn stage_row(n: usize, row: &Row<'_>, stage: &Stage<'_>, act: u8, compared: Option<(Cell, Option<Cell>)>) -> Cells {
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

fn compared_row(n: usize, row: &Row<'_>, plan: &Plan, standing: Option<&Standing>, stage: &Stage<'_>, bound: &Bound) -> Option<Cells> {
    let Plan::Write { act, kept, base, .. } = plan else { return None };
    let fields = base.as_ref().map_or_else(cell::no_bytes, |base| cell::bytes(base.bytes()));
    let seen = bound.row_version.as_ref().map(|_| standing.and_then(|s| s.version.clone()).unwrap_or_else(cell::no_bytes));
    let mut cells = stage_row(n, row, stage, *act, Some((fields, seen)));
    let before = cells.len() - stage.fields().len();
    for (slot, at) in cells.iter_mut().skip(before).zip(stage.fields()) {
        if kept.contains(at)
            && let (Some(standing), Some(column)) = (standing, bound.columns.get(*at))
        {
            *slot = standing.cell(*at, column).unwrap_or_else(|| column.null());
        }
    }
    Some(cells)
}

impl Standing {
    /// A value that stands, as a stage holds it: where the stage has the column's own type, the very cell; else the value, which was read from it
    /// exactly.
    fn cell(&self, at: usize, column: &Column) -> Option<Cell> {
        if column.sql_type.staged() == column.sql_type {
            self.cells.get(at).cloned()
        } else {
            column.hold(self.values.get(at)?).ok().map(|held| held.cell)
        }
    }
}
