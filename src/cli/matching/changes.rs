//! `kith match changes`: the work-list of a changed mapping or model. Names people, and the log says so.

use super::apply;
use crate::cli::opened::{draft_and_customers, tell_read};
use crate::cli::page::line;
use crate::cli::progress::Bars;
use crate::cli::run::grouped;
use crate::cli::{Exit, Session};
use crate::model::{CustomerId, Outcome};
use crate::pipeline::{Change, Changes, RunError, Verdict, changes, read_known};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Arguments of `match changes`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// How many to list; all are counted
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub limit: usize,
    /// Have them decided again by the mapping in force; what would move too many links waits for `kith approve`
    #[arg(long)]
    pub apply: bool,
    /// End with code 3 where anybody would be decided otherwise
    #[arg(long)]
    pub exit_code: bool,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    listed(arguments, session).unwrap_or_else(|exit| exit)
}

fn listed(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let (parts, reader) = draft_and_customers(session)?;
    let rulebook = parts.rulebook.clone();
    if arguments.apply {
        apply::in_force(session, &parts.config.service.state, &rulebook.hash())?;
    }
    let told = |session: &mut Session, error: &RunError| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    };
    let known = read_known(&parts.config, &rulebook).map_err(|error| told(session, &error))?;
    let bars = Bars::new(session.terminal.shows_progress());
    let found = changes(&rulebook, &known, &reader, arguments.limit, &bars);
    bars.clear();
    let found = found.map_err(|error| told(session, &error))?;
    let links = reader.totals().map_err(|error| told(session, &error.into()))?.decisions.get("linked").copied().unwrap_or_default();
    let subjects: Vec<String> = found.changes.iter().map(|c| parts.keys.hash.identity(&c.identity).to_string()).collect();
    if !subjects.is_empty() {
        let count = subjects.len() as u64;
        tell_read(session, parts, "match changes", &subjects, count)?;
    }
    // Listed first: whoever applies sees what.
    let applied = if arguments.apply && !found.all.is_empty() {
        if !session.terminal.is_json() {
            session.terminal.data(&page(&found));
        }
        Some(apply::apply(session, &rulebook.hash(), &found.all, links)?)
    } else {
        None
    };
    if session.terminal.is_json() {
        let mut json = page_json(&found);
        if let (Some(members), true) = (json.as_object_mut(), arguments.apply) {
            members.insert("applied".into(), applied.unwrap_or_default().into());
        }
        session.terminal.json(&json);
    } else if let Some(applied) = applied {
        session.terminal.data(&format!("{} accounts are decided again with the next pass", grouped(applied)));
    } else {
        session.terminal.data(&page(&found));
    }
    Ok(if arguments.exit_code && found.count > 0 { Exit::Difference } else { Exit::Fine })
}

fn verdict_json(verdict: &Verdict) -> Json {
    json!({
        "decision": verdict.outcome.name(), "customer_id": verdict.customer.as_ref().map(CustomerId::as_str),
        "probability": verdict.probability, "rule": verdict.by.as_ref().map(|by| by.name().to_owned()),
    })
}

fn page_json(found: &Changes) -> Json {
    let listed: Vec<Json> = found
        .changes
        .iter()
        .map(|c| {
            json!({
                "network": c.identity.network.name(), "identity_id": &*c.identity.id, "change": c.kind(),
                "before": verdict_json(&c.before), "now": verdict_json(&c.now), "other_mapping": c.other_mapping, "why": c.why,
            })
        })
        .collect();
    json!({ "looked_at": found.looked_at, "by_person": found.by_person, "count": found.count, "changes": listed })
}

fn verdict(verdict: &Verdict) -> String {
    let customer = match (&verdict.outcome, &verdict.customer) {
        (Outcome::Linked, Some(customer)) => format!(" to {}", customer.as_str()),
        _ => String::new(),
    };
    let by = verdict.by.as_ref().map_or(String::new(), |by| format!(" by {}", by.name()));
    let sure = if verdict.customer.is_some() { format!(", {:.2} %{by}", verdict.probability * 100.0) } else { String::new() };
    format!("{}{customer}{sure}", verdict.outcome.words())
}

/// How the kinds of change are said.
const KINDS: [(&str, &str); 6] = [
    ("linked", "would be linked"),
    ("unlinked", "would lose their link"),
    ("moved", "would be linked to another customer"),
    ("to_review", "would wait for a person"),
    ("from_review", "would no longer wait for a person"),
    ("other", "otherwise"),
];

fn page(found: &Changes) -> String {
    let mut out = String::new();
    line(&mut out, format_args!("{} of {} identities would be decided otherwise now", grouped(found.count), grouped(found.looked_at)));
    if found.by_person > 0 {
        line(&mut out, format_args!("  {} were decided by a person; that stands", grouped(found.by_person)));
    }
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for change in &found.changes {
        *kinds.entry(change.kind()).or_default() += 1;
    }
    for (kind, words) in KINDS {
        if let Some(count) = kinds.get(kind) {
            line(&mut out, format_args!("  {:>9}  {words}", grouped(*count)));
        }
    }
    for change in &found.changes {
        one(&mut out, change);
    }
    let more = found.count.saturating_sub(found.changes.len() as u64);
    if more > 0 {
        line(&mut out, format_args!("\n  {} more are not listed: --limit lists them", grouped(more)));
    }
    out
}

fn one(out: &mut String, change: &Change) {
    line(out, format_args!("\n  {} {}", change.identity.network, change.identity.id));
    line(out, format_args!("    was   {}", verdict(&change.before)));
    line(out, format_args!("    now   {}", verdict(&change.now)));
    if !change.other_mapping {
        line(out, format_args!("    this mapping decided before: the CRM, the profile or this version of Kith is another"));
    }
    for why in &change.why {
        line(out, format_args!("    why   {why}"));
    }
}
