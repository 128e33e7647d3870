//! `kith mapping replay`: what was recorded, run through a draft and through the mapping in force, and compared. Writes nothing. Shows people, and the log
//! says so.

use super::preview::{decision_json, shown, verdict};
use super::tried::{Tried, failed};
use crate::cli::opened::{tell_read, who};
use crate::cli::page::line;
use crate::cli::progress::Bars;
use crate::cli::project::short;
use crate::cli::run::grouped;
use crate::cli::{Exit, Session};
use crate::pipeline::{Clock as _, Differs, Replay, SystemClock, WriteDiffers, replay};
use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use std::path::PathBuf;

/// Writes that the page shows of one account; JSON has all.
const SHOWN: usize = 3;

/// Arguments of `mapping replay`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The draft; without it, the file that the configuration names
    pub file: Option<PathBuf>,
    /// What was received in the last so many days
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_660))]
    pub days: u32,
    /// Show so many accounts that differ; all are counted
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=1_000))]
    pub examples: u16,
    /// End with code 3 where anything differs
    #[arg(long)]
    pub exit_code: bool,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let tried = Tried::open(arguments.file.as_deref(), session)?;
    let in_force = tried.side(&tried.parts.rulebook, session)?;
    let draft = tried.side(&tried.draft, session)?;
    let who = who(session, &tried.parts.config);
    let now = SystemClock.now();
    let since = now - SignedDuration::from_hours(24 * i64::from(arguments.days));
    let bars = Bars::new(session.terminal.shows_progress());
    let found = replay((&in_force, &draft), &tried.reader, &who, (since, now), usize::from(arguments.examples), &bars);
    bars.clear();
    let found = found.map_err(|error| failed(session, &error))?;
    let hashes = (short(&in_force.rulebook.hash()), short(&draft.rulebook.hash()));
    let subjects: Vec<String> = found.examples.iter().map(|one| tried.parts.keys.hash.identity(&one.id).to_string()).collect();
    if !subjects.is_empty() {
        let count = subjects.len() as u64;
        tell_read(session, tried.parts, "mapping replay", &subjects, count)?;
    }
    if session.terminal.is_json() {
        let examples: Vec<Json> = found.examples.iter().map(example_json).collect();
        session.terminal.json(&json!({
            "in_force": in_force.rulebook.hash().to_string(), "draft": draft.rulebook.hash().to_string(), "since": since.to_string(),
            "accounts": found.accounts, "activities": found.activities, "differ": found.decisions.values().sum::<u64>(),
            "decisions": found.decisions, "writes": found.writes, "fields": found.fields, "examples": examples,
        }));
    } else {
        session.terminal.data(page(&found, arguments.days, &hashes).trim_end());
    }
    Ok(if arguments.exit_code && !found.decisions.is_empty() { Exit::Difference } else { Exit::Fine })
}

fn write_json(write: &WriteDiffers) -> Json {
    let fields: Vec<Json> = write
        .fields
        .reveal()
        .iter()
        .map(|(name, before, after)| json!({ "field": &**name, "before": before.to_json(), "after": after.to_json() }))
        .collect();
    json!({ "write": write.what, "how": write.how, "fields": fields })
}

fn example_json(one: &Differs) -> Json {
    json!({
        "network": one.id.network.name(), "identity_id": &*one.id.id, "kind": one.kind(), "before": decision_json(one.before.as_ref()),
        "after": decision_json(one.after.as_ref()), "writes": one.writes.iter().map(write_json).collect::<Vec<_>>(),
    })
}

/// How the kinds are said.
const KINDS: [(&str, &str); 7] = [
    ("linked", "would be linked"),
    ("unlinked", "would not be linked"),
    ("moved", "would be linked to another customer"),
    ("to_review", "would wait for a person"),
    ("from_review", "would not wait for a person"),
    ("other", "would be decided otherwise"),
    ("writes", "would be decided alike and written otherwise"),
];

fn page(found: &Replay, days: u32, (in_force, draft): &(String, String)) -> String {
    let mut out = String::new();
    let (accounts, activities) = (grouped(found.accounts), grouped(found.activities));
    line(
        &mut out,
        format_args!("{activities} activities of {accounts} accounts of the last {days} days: {in_force} in force, {draft} tried"),
    );
    if found.decisions.is_empty() {
        line(&mut out, format_args!("  the draft decides and writes the same"));
    }
    for (kind, words) in KINDS {
        if let Some(count) = found.decisions.get(kind) {
            line(&mut out, format_args!("  {:>9}  {words}", grouped(*count)));
        }
    }
    for (what, counts) in [("writes", &found.writes), ("fields that change", &found.fields)] {
        if !counts.is_empty() {
            line(&mut out, format_args!("\n  {what}"));
            for (name, count) in counts {
                line(&mut out, format_args!("  {:>9}  {name}", grouped(*count)));
            }
        }
    }
    for one in &found.examples {
        line(&mut out, format_args!("\n  {} {}", one.id.network, one.id.id));
        line(&mut out, format_args!("    in force  {}", verdict(one.before.as_ref())));
        line(&mut out, format_args!("    draft     {}", verdict(one.after.as_ref())));
        for write in one.writes.iter().take(SHOWN) {
            line(&mut out, format_args!("    {} {}", write.what, write.how));
            for (field, before, after) in write.fields.reveal() {
                line(&mut out, format_args!("      {field:<24} {} → {}", shown(before), shown(after)));
            }
        }
        let more = one.writes.len().saturating_sub(SHOWN);
        if more > 0 {
            line(&mut out, format_args!("    and {more} more writes"));
        }
    }
    line(&mut out, format_args!("\nnothing was written"));
    out
}
