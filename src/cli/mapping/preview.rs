//! `kith mapping preview`: raw, cleaned, level by level, decision, writes: a mapping tried on people that Kith knows. Writes nothing. Shows people, and
//! the log says so.

use super::tried::{Tried, failed};
use crate::cli::argument::network;
use crate::cli::matching::waterfall::{steps, text};
use crate::cli::opened::{tell_read, who};
use crate::cli::page::line;
use crate::cli::project::short;
use crate::cli::{Exit, Session};
use crate::model::{Candidate, CustomerId, Decision, Personal, Timestamp, Value};
use crate::pipeline::{Clock as _, Rehearsed, SystemClock, preview};
use crate::store::PlannedDelivery;
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Candidates and writes that the page shows of one account; JSON has all.
const SHOWN: usize = 3;
/// Characters of a value on the page.
const LONGEST: usize = 60;

/// Arguments of `mapping preview`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The mapping; without it, the file that the configuration names
    pub file: Option<PathBuf>,
    /// On so many accounts, the same ones each time
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub sample: u16,
    /// Only accounts of this network
    #[arg(long, value_name = "NETWORK")]
    pub network: Option<String>,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let network = arguments.network.as_deref().map(|name| network(session, name)).transpose()?;
    let tried = Tried::open(arguments.file.as_deref(), session)?;
    let side = tried.side(&tried.draft, session)?;
    let who = who(session, &tried.parts.config);
    let now: Timestamp = SystemClock.now();
    let found =
        preview(&side, &tried.reader, &who, now, usize::from(arguments.sample), network).map_err(|error| failed(session, &error))?;
    let subjects: Vec<String> = found.iter().map(|one| tried.parts.keys.hash.identity(&one.id).to_string()).collect();
    if !subjects.is_empty() {
        let count = subjects.len() as u64;
        tell_read(session, tried.parts, "mapping preview", &subjects, count)?;
    }
    if session.terminal.is_json() {
        let accounts: Vec<Json> = found.iter().map(account_json).collect();
        let (mapping, hash) = (tried.draft.digest.to_string(), tried.draft.hash().to_string());
        session.terminal.json(&json!({ "mapping": mapping, "hash": hash, "accounts": accounts }));
    } else {
        session.terminal.data(page(&found, &short(&tried.draft.hash())).trim_end());
    }
    Ok(Exit::Fine)
}

pub(super) fn fields_json(fields: &Personal<Vec<(Arc<str>, Value)>>) -> Json {
    fields.reveal().iter().map(|(name, value)| (name.to_string(), value.to_json())).collect::<serde_json::Map<_, _>>().into()
}

pub(super) fn decision_json(decision: Option<&Decision>) -> Json {
    let Some(decision) = decision else { return json!({ "decision": "not_permitted" }) };
    json!({
        "decision": decision.outcome.name(), "customer_id": decision.customer.as_ref().map(CustomerId::as_str),
        "probability": decision.probability, "match_weight": decision.match_weight,
        "rule": decision.by.as_ref().map(|by| by.name().to_owned()), "basis": decision.basis.as_deref(),
    })
}

fn candidate_json(candidate: &Candidate) -> Json {
    let levels: Vec<Json> = candidate
        .comparisons
        .iter()
        .map(|c| {
            json!({ "comparison": &*c.comparison, "level": &*c.level, "gamma": c.gamma, "bits": c.bits, "term_frequency": c.term_frequency,
                "term_frequency_bits": c.term_frequency_bits })
        })
        .collect();
    json!({ "customer_id": candidate.customer.as_str(), "posterior": candidate.posterior, "match_weight": candidate.match_weight,
        "rules": candidate.rules.iter().map(|rule| &**rule).collect::<Vec<_>>(), "values": fields_json(&candidate.values), "levels": levels })
}

fn write_json(write: &PlannedDelivery) -> Json {
    json!({ "target": &*write.target.0, "entry": &*write.entry, "operation": &*write.operation.0, "intent": write.intent.name(),
        "record": serde_json::from_str::<Json>(&write.record.0).unwrap_or_default(), "fields": fields_json(&write.payload) })
}

fn account_json(one: &Rehearsed) -> Json {
    let evidence = one.decision.as_ref().and_then(|decision| decision.evidence.as_ref());
    let candidates: Vec<Json> = evidence.iter().flat_map(|evidence| &evidence.candidates).map(candidate_json).collect();
    let writes: Vec<Json> = one.writes.iter().map(write_json).collect();
    json!({
        "network": one.id.network.name(), "identity_id": &*one.id.id, "raw": fields_json(&one.raw), "cleaned": fields_json(&one.cleaned),
        "decided": decision_json(one.decision.as_ref()), "prior_bits": evidence.map(|evidence| evidence.prior_bits), "candidates": candidates,
        "activities": one.activities, "writes": writes,
    })
}

/// A value on one line, cut.
pub(super) fn shown(value: &Value) -> String {
    if value.is_missing() {
        return "·".to_owned();
    }
    let text = value.to_json().to_string();
    if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST).chain(['…']).collect() }
}

/// A decision in a few words.
pub(super) fn verdict(decision: Option<&Decision>) -> String {
    let Some(decision) = decision else { return "not permitted".to_owned() };
    let customer = decision.customer.as_ref().map_or_else(String::new, |customer| format!(" {}", customer.as_str()));
    let by = decision.by.as_ref().map_or_else(String::new, |by| format!(" by {}", by.name()));
    let sure = if customer.is_empty() { String::new() } else { format!(", {:.2} %{by}", decision.probability * 100.0) };
    format!("{}{customer}{sure}", decision.outcome.words())
}

fn page(found: &[Rehearsed], hash: &str) -> String {
    let mut out = String::new();
    for one in found {
        account(&mut out, one);
    }
    if found.is_empty() {
        line(&mut out, format_args!("no account is known yet: there is nobody to try the mapping on"));
    }
    line(&mut out, format_args!("{} accounts under the mapping {hash}; nothing was written", found.len()));
    out
}

fn account(out: &mut String, one: &Rehearsed) {
    line(out, format_args!("{} {}", one.id.network, one.id.id));
    for (path, value) in one.raw.reveal() {
        line(out, format_args!("  raw      {path:<26} {}", shown(value)));
    }
    for (field, value) in one.cleaned.reveal().iter().filter(|(_, value)| !value.is_missing()) {
        line(out, format_args!("  cleaned  {field:<26} {}", shown(value)));
    }
    if let Some(evidence) = one.decision.as_ref().and_then(|decision| decision.evidence.as_ref()) {
        for candidate in evidence.candidates.iter().take(SHOWN) {
            let rules =
                if candidate.rules.is_empty() { String::new() } else { format!(", named by the rules {}", candidate.rules.join(", ")) };
            line(out, format_args!("  against  {} {:.2} %{rules}", candidate.customer.as_str(), candidate.posterior * 100.0));
            if !candidate.comparisons.is_empty() {
                text(out, &steps(evidence.prior_bits, candidate));
            }
        }
        let more = evidence.candidates.len().saturating_sub(SHOWN) as u64 + evidence.rest_count;
        if more > 0 {
            line(out, format_args!("           and {more} less likely ones"));
        }
    }
    line(out, format_args!("  decided  {}", verdict(one.decision.as_ref())));
    for write in one.writes.iter().take(SHOWN) {
        line(out, format_args!("  {:<8} {} {} {}", write.intent.name(), write.target.0, write.entry, write.record.0));
        for (field, value) in write.payload.reveal() {
            line(out, format_args!("             {field:<24} {}", shown(value)));
        }
    }
    let more = one.writes.len().saturating_sub(SHOWN);
    if more > 0 {
        line(out, format_args!("           and {more} more writes"));
    }
    out.push('\n');
}
