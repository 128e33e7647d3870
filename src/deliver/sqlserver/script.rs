//! What a group's transaction runs between its look and its commit.

use super::batch::{Job, Plan};
use super::bound::mark;
use super::row::Group;
use super::staged::{Stages, expected};
use super::statements::act;
use crate::declare::connector::sqlserver::Compare;
use crate::declare::connector::text_literal;
use crate::model::{Value, WriteIntent};
use crate::wire::tds::Column;
use std::collections::BTreeMap;

/// Statements, and how many rows each that counts must touch.
pub(super) struct Script {
    statements: Vec<String>,
    counted: Vec<usize>,
    /// Numbers of the rows by what is done with them.
    acts: BTreeMap<u8, Vec<usize>>,
}

impl Script {
    /// For what was decided about each row; `arrived` are those that the ledger holds already.
    pub(super) fn new(job: &Job<'_>, group: &Group<'_>, stages: &Stages<'_>, plans: &[Plan], arrived: &BTreeMap<usize, u8>) -> Self {
        let compared = job.write.compare != Compare::Off;
        let (mut acts, mut out_of_it): (BTreeMap<u8, Vec<usize>>, Vec<usize>) = (BTreeMap::new(), Vec::new());
        for (n, plan) in plans.iter().enumerate() {
            match plan {
                _ if arrived.contains_key(&n) => out_of_it.push(n),
                Plan::Write { act, .. } => acts.entry(*act).or_default().push(n),
                // A compared stage does not hold it.
                Plan::Refused(_) if compared => {}
                Plan::Refused(_) => out_of_it.push(n),
            }
        }
        let mut script = Self { statements: Vec::new(), counted: Vec::new(), acts };
        let stage = &stages.rows;
        if !compared {
            for (act, numbers) in script.acts.iter().filter(|(act, _)| **act != expected(group.intent)) {
                script.statements.extend(stage.set_act(*act, numbers));
            }
        }
        for chunk in out_of_it.chunks(1_000) {
            let list: Vec<String> = chunk.iter().map(ToString::to_string).collect();
            script.statements.push(format!("DELETE FROM {} WHERE kith_n IN ({})", stage.name, list.join(", ")));
        }
        let mark_of = |gone: bool| {
            let soft = job.bound.soft.as_ref()?;
            let text = if gone { &soft.gone } else { &soft.live };
            Some(format!("CAST({} AS {})", text_literal(&marker(&soft.column, text)), soft.column.sql_type.sql()))
        };
        let (live, gone) = (mark_of(false), mark_of(true));
        let count = |script: &Self, act: u8| script.rows(act).len();
        let removes = count(&script, act::REMOVE);
        if removes > 0 {
            script.count(stage.remove(gone.as_deref()), removes);
        }
        let updates = count(&script, act::UPDATE);
        if updates > 0
            && let Some(update) = stage.update(live.as_deref().filter(|_| group.intent == WriteIntent::Write), stages.seen.as_ref())
        {
            script.count(update, updates);
        }
        let inserts = count(&script, act::INSERT);
        if inserts > 0 {
            script.count(stage.insert(live.as_deref()), inserts);
        }
        if compared {
            script.statements.extend(stage.keep_records(job.objects));
        }
        let rows = script.acts.values().map(Vec::len).sum::<usize>();
        let updated_means = if group.intent == WriteIntent::Blank { act::BLANKED } else { act::UPDATE };
        if rows > 0 {
            script.count(stage.add_to_ledger(job.objects, updated_means), rows);
        }
        script
    }

    /// Numbers of the rows with which this is done.
    pub(super) fn rows(&self, act: u8) -> &[usize] {
        self.acts.get(&act).map(Vec::as_slice).unwrap_or_default()
    }

    /// As one batch.
    pub(super) fn text(&self) -> String {
        self.statements.join(";\n")
    }

    /// Whether the statements touched what they had to.
    pub(super) fn touched(&self, found: &[i64]) -> bool {
        found.len() == self.counted.len() && found.iter().zip(&self.counted).all(|(found, wanted)| usize::try_from(*found) == Ok(*wanted))
    }

    fn count(&mut self, sql: String, rows: usize) {
        self.statements.push(sql);
        self.statements.push(format!("SELECT CAST(@@ROWCOUNT AS int) AS kith_rows_{}", self.counted.len()));
        self.counted.push(rows);
    }
}

/// A marker as text that the server converts.
fn marker(column: &Column, text: &str) -> String {
    match mark(column, text).map(|held| held.value) {
        Ok(Value::Bool(truth)) => i32::from(truth).to_string(),
        Ok(_) | Err(_) => text.to_owned(),
    }
}
