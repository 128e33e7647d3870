//! `kith plan`: what a run would do, before and after by field. Writes nothing, anywhere.

use super::opened::{acting_parts, runtime, who};
use super::page::line;
use super::run::grouped;
use super::{Exit, Session};
use crate::model::Value;
use crate::pipeline::{PlannedWrite, Preview, SystemClock, plan};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Arguments of `plan`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Exit 3 where a run would write something
    #[arg(long)]
    pub exit_code: bool,
    /// Show so many writes field by field
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub show: usize,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    planned(arguments, session).unwrap_or_else(|exit| exit)
}

fn planned(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let (_, parts) = acting_parts(session, super::opened::Keys::Borrowed)?;
    let who = who(session, &parts.config);
    let runtime = runtime(session)?;
    let preview = runtime.block_on(plan(parts, who, Arc::new(SystemClock), arguments.show)).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    })?;
    for fault in &preview.faults {
        session.terminal.problem(&fault.diagnostic());
    }
    let total: u64 = preview.counts.values().sum();
    if session.terminal.is_json() {
        let writes: Vec<Json> = preview.writes.iter().map(write_json).collect();
        session.terminal.json(&json!({ "counts": preview.counts, "writes": writes, "totals": preview.totals, "faults": preview.faults }));
    } else {
        session.terminal.data(&page(&preview, total));
    }
    Ok(if !preview.faults.is_empty() {
        Exit::Failed
    } else if arguments.exit_code && total > 0 {
        Exit::Difference
    } else {
        Exit::Fine
    })
}

fn write_json(write: &PlannedWrite) -> Json {
    let mut json = json!({ "target": &*write.target.0, "operation": &*write.operation, "entry": &*write.entry, "intent": write.intent.name(),
        "record": serde_json::from_str::<Json>(&write.record.0).unwrap_or_default() });
    let result = match &write.result {
        Ok((effect, changes)) => json!({ "effect": effect.name(), "changes": changes.iter().map(|c| {
            json!({ "field": &*c.field, "before": c.before.reveal().to_json(), "after": c.after.reveal().to_json() })
        }).collect::<Vec<_>>() }),
        Err(reason) => json!({ "effect": "refused", "code": reason.code, "message": &*reason.message }),
    };
    if let (Some(members), Json::Object(more)) = (json.as_object_mut(), result) {
        members.extend(more);
    }
    json
}

fn shown(value: &Value) -> String {
    if value.is_missing() { "·".to_owned() } else { value.to_json().to_string() }
}

fn page(preview: &Preview, total: u64) -> String {
    if total == 0 {
        return "a run would do nothing: there is nothing to write".to_owned();
    }
    let mut out = String::new();
    for write in &preview.writes {
        let PlannedWrite { entry, target, operation, intent, record, result } = write;
        line(&mut out, format_args!("{} {} · {entry} · {} {}", target.0, operation, intent.name(), record.0));
        match result {
            Ok((effect, changes)) => {
                line(&mut out, format_args!("    {}", effect.name()));
                for change in changes {
                    let (before, after) = (shown(change.before.reveal()), shown(change.after.reveal()));
                    line(&mut out, format_args!("    {:<16} {before} → {after}", change.field));
                }
            }
            Err(reason) => line(&mut out, format_args!("    would be refused: {} {}", reason.code, reason.message)),
        }
    }
    line(&mut out, format_args!("\na run would write {} records; the first {} are shown above", grouped(total), preview.writes.len()));
    for (what, count) in &preview.counts {
        line(&mut out, format_args!("  {:>9}  {what}", grouped(*count)));
    }
    out.push_str("\nnothing was written\n");
    out
}
