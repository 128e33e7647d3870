//! Deliveries that a person makes by hand: the statements and typed parameters that would go, on what stands now; and one that goes.

use super::batch::{COMMIT, Job, Plan, Standing, begin, plan};
use super::conflict::Base;
use super::fault::not_written;
use super::pool::Connected;
use super::preview::{base, look};
use super::procedure::Call;
use super::row::{Group, Row};
use super::script::Script;
use super::staged::Stages;
use super::statements::{Stage, act};
use super::{Inner, SqlServerTarget, ledger};
use crate::declare::connector::sqlserver::{Compare, SqlWrite};
use crate::declare::connector::text_literal;
use crate::deliver::exchange::cut;
use crate::deliver::record::Prepared;
use crate::deliver::{Answer, DeliveryError, Exchange, Written};
use crate::model::{Delivery, Personal, Value, WriteIntent};
use crate::wire::tds::{self, Cell, call_statement};
use std::collections::BTreeMap;
use std::fmt::Write as _;

impl SqlServerTarget {
    /// What a delivery would run, in order: statements as they are sent, and the rows and parameters that go with them. The catalogue, the ledger and
    /// the record are read for it; nothing is written and nothing is locked.
    ///
    /// # Errors
    /// The delivery can't be one, the server can't be reached, or the record would be refused.
    pub async fn draft(&self, delivery: &Delivery) -> Result<Vec<String>, DeliveryError> {
        let mut connected = self.inner.session().await?;
        let drafted = self.inner.draft(&mut connected, delivery).await;
        self.inner.give_back(connected);
        drafted
    }

    /// Writes one delivery that a person gave by hand, and tells what changed. Whoever calls it has told the log.
    pub async fn by_hand(&self, delivery: &Delivery) -> Written {
        let answers = self.send(std::slice::from_ref(delivery)).await;
        let exchanges = answers.iter().map(|answer| Some(told(answer))).collect();
        Written { answers, exchanges, pause: None }
    }
}

/// What became of the record, field by field.
fn told(answer: &Answer) -> Exchange {
    let mut text = String::new();
    if let Ok(receipt) = answer {
        for change in &receipt.changes {
            let _infallible = writeln!(text, "{}: {} → {}", change.field, shown(change.before.reveal()), shown(change.after.reveal()));
        }
        if !receipt.kept.is_empty() {
            let _infallible = writeln!(text, "kept as the CRM has it: {}", receipt.kept.join(", "));
        }
    }
    Exchange { request: Personal::new(String::new()), answer: Personal::new(cut(text)) }
}

fn shown(value: &Value) -> String {
    if value.is_missing() { "·".to_owned() } else { value.to_json().to_string() }
}

impl Inner {
    async fn draft(&self, connected: &mut Connected, delivery: &Delivery) -> Result<Vec<String>, DeliveryError> {
        if delivery.intent == WriteIntent::Keep {
            return Ok(vec!["-- nothing: the record is kept".to_owned()]);
        }
        let prepared = Prepared::new(&self.file, delivery)?;
        let Some(found) = self.found(&delivery.operation.0) else {
            return Err(DeliveryError::unavailable("KITH-D008", "the operation is no SQL Server's"));
        };
        let recorded = ledger::recorded(connected, &self.objects, delivery.idempotency).await.map_err(|fault| not_written(&fault))?;
        if recorded.is_some() {
            return Ok(vec![format!("-- nothing: {} holds this very delivery", self.objects.ledger)]);
        }
        let write = match &found.sql.write {
            SqlWrite::Procedure(_) => {
                let (call, _) = self.ready_call(connected, delivery, prepared).await?;
                return Ok(self.draft_call(&call));
            }
            SqlWrite::Table(write) => write,
        };
        let bound = self.bound(connected, &found, write).await?;
        let row = Row::new(0, delivery, prepared, &bound)?;
        let standing = look(connected, &bound, &row).await.map_err(|fault| not_written(&fault))?;
        let base =
            if write.compare == Compare::Off { None } else { base(connected, self, &row).await.map_err(|fault| not_written(&fault))? };
        let job = Job { place: found.place, bound: &bound, write, objects: &self.objects, conflicts: &self.conflicts };
        draft_table(connected, &job, row, standing, base.as_ref())
    }

    /// The steps of `procedure::write`, written down.
    fn draft_call(&self, call: &Call<'_>) -> Vec<String> {
        let (ledger, parameters) = call.ledger(&self.objects);
        let names = [("@P1", "varbinary(32)"), ("@P2", "tinyint")].into_iter().zip(&parameters);
        let parameters: Vec<String> = names.map(|((name, ty), cell)| format!("{name} {ty} = {}", literal(cell))).collect();
        let given = call.parameters();
        let values: Vec<String> =
            given.iter().filter_map(|p| p.value.as_ref()).zip(1..).map(|(cell, n)| format!("@P{n} = {}", literal(cell))).collect();
        vec![
            "BEGIN TRANSACTION".to_owned(),
            format!("{ledger}\n  {}", parameters.join("\n  ")),
            format!("{}\n  {}", call_statement(&call.procedure().sql(), &given), values.join("\n  ")),
            COMMIT.to_owned(),
        ]
    }
}

/// The steps of `batch::run`, written down.
fn draft_table(
    connected: &Connected,
    job: &Job<'_>,
    row: Row<'_>,
    standing: Option<Standing>,
    base: Option<&Base>,
) -> Result<Vec<String>, DeliveryError> {
    let plan = match plan(job, &row, standing.as_ref(), base) {
        Plan::Refused(error) => return Err(error),
        plan @ Plan::Write { .. } => plan,
    };
    let group = Group { intent: row.delivery.intent, spoken: row.spoken(), rows: vec![row] };
    let stages = Stages::new(job, &group);
    let mut steps: Vec<String> = stages.all().map(|stage| stage.create(connected.stage_collation.as_deref())).collect();
    steps.extend(loaded(stages.first(), &stages.first_rows(&group)));
    steps.push(begin(&stages));
    let standing: BTreeMap<usize, Standing> = standing.into_iter().map(|standing| (0, standing)).collect();
    let plans = [plan];
    if let Some(keys) = &stages.keys {
        steps.push(keys.look_at_records(job.objects));
        steps.extend(loaded(&stages.rows, &stages.compared_rows(job.bound, &group, &plans, &standing)));
    }
    let script = Script::new(job, &group, &stages, &plans, &BTreeMap::new());
    if let Some(seen) = &stages.seen {
        steps.extend(loaded(seen, &stages.seen_rows(job.bound, script.rows(act::UPDATE), &standing)));
    }
    steps.push(script.text());
    steps.push(COMMIT.to_owned());
    Ok(steps)
}

/// Rows that are loaded into a stage.
fn loaded(stage: &Stage<'_>, rows: &[tds::Row]) -> Option<String> {
    if rows.is_empty() {
        return None;
    }
    let mut text = format!("INSERT BULK {}", stage.name);
    for row in rows {
        for ((name, ty), cell) in stage.columns(None).into_iter().zip(row) {
            let _infallible = write!(text, "\n  {name} {ty} = {}", literal(cell));
        }
    }
    Some(text)
}

/// A cell as Transact-SQL writes it.
fn literal(cell: &Cell) -> String {
    if let Cell::Binary(Some(bytes)) = cell {
        let mut text = String::from("0x");
        for byte in bytes.iter() {
            let _infallible = write!(text, "{byte:02x}");
        }
        return text;
    }
    match tds::read(cell) {
        Value::Missing => "NULL".to_owned(),
        Value::Text(text) => text_literal(&text),
        Value::Bool(truth) => i32::from(truth).to_string(),
        Value::Time(moment) => text_literal(&moment.to_string()),
        other => other.to_json().to_string(),
    }
}
