//! `kith audit timeline`: everything that the log tells about one customer or account, as a story, with each rule as it read that day.

use super::super::opened::reader;
use super::super::{Exit, Session};
use super::hits::{Needle, each_with};
use super::html::{escaped, page};
use super::{identity_hash, output, unreadable, wrong};
use crate::audit::{Entry, EntryOutcome, Event, Kind, LongText, Part};
use crate::model::{CustomerId, Digest};
use crate::pipeline::after_of;
use crate::store::sqlite::SqliteReader;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Entries that are told.
const MOST: usize = 100_000;

/// Arguments of `audit timeline`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The customer, by the CRM's key
    #[arg(long, value_name = "ID", required_unless_present = "identity")]
    pub customer: Option<String>,
    /// The account, as NETWORK ID
    #[arg(long, num_args = 2, value_names = ["NETWORK", "ID"], conflicts_with = "customer")]
    pub identity: Option<Vec<String>>,
    /// Write the story as one self-contained page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

struct Told {
    number: u64,
    time: String,
    kind: &'static str,
    by: Option<String>,
    story: String,
    /// The lines of the mapping in force that speak of the rule.
    rule: Vec<String>,
    correlation: Json,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let (parts, reader) = reader(session)?;
    let subject = match (&arguments.customer, identity_hash(arguments.identity.as_deref(), &parts, session)?) {
        (_, Some(identity)) => identity,
        (Some(customer), None) => parts.keys.hash.customer(&CustomerId::from(customer.as_str())),
        (None, None) => return Err(wrong(session, "--customer", "nobody is named", "give --customer ID or --identity NETWORK ID")),
    };
    let whose = match (&arguments.customer, arguments.identity.as_deref()) {
        (Some(customer), _) => format!("customer {customer}"),
        (None, Some([network, id])) => format!("account {id} on {network}"),
        (None, _) => "nobody".to_owned(),
    };
    let needles: Vec<Needle> = Needle::hash(&subject.to_string()).into_iter().chain([Needle::kind(Kind::MappingChanged)]).collect();
    let mut texts: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    let mut told = Vec::new();
    let mut more = false;
    each_with(&reader, &parts.config.service.state, &needles, |number, entry, _| {
        if let Event::MappingChanged { after, diff: Some(diff), .. } = &entry.event
            && let Some(text) = long_text(diff, &reader)
        {
            texts.insert(*after, after_of(&text).lines().map(str::to_owned).collect());
        }
        if entry.subject.customer == Some(subject) || entry.subject.identity == Some(subject) {
            more = told.len() == MOST;
            if more {
                return ControlFlow::Break(());
            }
            told.push(told_of(number, entry, &texts));
        }
        ControlFlow::Continue(())
    })
    .map_err(|message| unreadable(session, &message))?;
    if more {
        session.terminal.note(&format!("only the first {MOST} entries are told"));
    }
    let title = format!("What the log tells about {whose}");
    if let Some(path) = &arguments.html {
        return output(path, &page(&title, &body(&told, parts.keys.log.verifier().name())), session);
    }
    if session.terminal.is_json() {
        for t in &told {
            session.terminal.json(&json!({ "number": t.number, "time": t.time, "kind": t.kind, "by": t.by, "story": t.story,
                "rule_as_it_read": t.rule, "correlation": t.correlation }));
        }
    } else {
        for t in &told {
            let by = t.by.as_ref().map_or_else(String::new, |by| format!(" ({by})"));
            session.terminal.data(&format!("{}  {}{by}  [entry {}]", t.time, t.story, t.number));
            for line in &t.rule {
                session.terminal.data(&format!("      the rule read: {line}"));
            }
        }
    }
    if told.is_empty() {
        session.terminal.note("the log tells nothing about them");
    }
    Ok(Exit::Fine)
}

fn long_text(diff: &Part<LongText>, reader: &SqliteReader) -> Option<String> {
    match diff {
        Part::Here(text) => Some(text.0.to_string()),
        Part::ByDigest(part) => serde_json::from_slice(&reader.part(&part.digest).ok()??).ok(),
    }
}

fn body(told: &[Told], origin: &str) -> String {
    let item = |t: &Told| {
        let by = t.by.as_ref().map_or_else(String::new, |by| format!(" <span class=\"q\">({})</span>", escaped(by)));
        let quoted: Vec<String> = t.rule.iter().map(|line| format!("<blockquote>The rule read: {}</blockquote>", escaped(line))).collect();
        let rule = quoted.concat();
        format!("<li><time>{} · entry {}</time>{}{by}{rule}</li>\n", escaped(&t.time), t.number, escaped(&t.story))
    };
    let items: String = told.iter().map(item).collect();
    let empty = if told.is_empty() { "<p>Nothing.</p>\n" } else { "" };
    format!(
        "<p class=\"q\">From the log <code>{}</code>. Each entry can be proven: <code>kith audit prove NUMBER</code>.</p>\n{empty}<ol>\n{items}</ol>\n",
        escaped(origin)
    )
}

#[expect(clippy::wildcard_enum_match_arm, reason = "two kinds name a rule in their members")]
fn told_of(number: u64, entry: &Entry, texts: &BTreeMap<Digest, Vec<String>>) -> Told {
    let rule = entry.why.rule.as_deref().or(match &entry.event {
        Event::Decision { by, .. } => by.as_deref(),
        Event::LinkMade { by } => Some(&**by),
        _ => None,
    });
    let lines = entry.why.mapping.and_then(|mapping| texts.get(&mapping));
    let rule_lines = match (rule, lines) {
        (Some(rule), Some(lines)) if rule != "person" => {
            let speaks = |line: &&String| line.split(|c: char| !(c.is_alphanumeric() || "_-".contains(c))).any(|word| word == rule);
            lines.iter().filter(speaks).take(4).map(|line| line.trim().trim_start_matches("- ").to_owned()).collect()
        }
        _ => Vec::new(),
    };
    let actor = &entry.actor;
    let by = (actor.name.as_ref() != "kith").then(|| format!("by {}, {}", actor.name, actor.role.name()));
    let ids = &entry.correlation;
    let id = |id: Option<crate::audit::CorrelationId>| id.map(|id| id.to_string());
    let correlation =
        json!({ "activity": id(ids.activity), "decision": id(ids.decision), "delivery": id(ids.delivery), "receipt": id(ids.receipt) });
    Told { number, time: format!("{:.3}", entry.time), kind: entry.kind().name(), by, story: story(entry), rule: rule_lines, correlation }
}

/// One entry as a sentence.
#[expect(clippy::wildcard_enum_match_arm, reason = "kinds that are about nobody have no story of their own")]
fn story(entry: &Entry) -> String {
    let on = entry.network.map_or_else(String::new, |network| format!(" on {}", network.name()));
    let outcome = entry.outcome.map_or("", EntryOutcome::name).replace('_', " ");
    let basis = entry.why.basis.as_ref().map_or_else(String::new, |basis| {
        let law = entry.why.law.as_ref().map_or_else(String::new, |law| format!(", {law}"));
        format!(", on the basis {basis}{law}")
    });
    match &entry.event {
        Event::Decision { by, candidates, match_weight, probability, planned, prompted_by } => {
            let again = if prompted_by.is_some() { "Decided again" } else { "Decided" };
            let by = by.as_ref().map_or_else(String::new, |by| if &**by == "model" { " by the model".into() } else { format!(" by {by}") });
            let weight = match (probability, match_weight) {
                (Some(p), Some(w)) => format!(", probability {:.2} % of {candidates} candidates, {w:.1} bits", p * 100.0),
                _ => format!(", {candidates} candidates"),
            };
            let planned = if *planned > 0 { format!("; {planned} deliveries planned") } else { String::new() };
            format!("{again} whose account{on} it is: {outcome}{by}{weight}{basis}{planned}.")
        }
        Event::DecisionUndetermined { cause, .. } => format!("No decision could be taken: {cause}. It is tried again."),
        Event::PolicyRefused { action, reason } => {
            let why = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            format!("Policy refused to {action}{on}{why}. Nothing was compared, and no evidence is kept.")
        }
        Event::LinkMade { by } => format!("The account{on} was linked to the customer by {by}{basis}."),
        Event::LinkChanged { by, .. } => format!("The link was changed by {by}{basis}."),
        Event::LinkEnded { reason, .. } => format!("The link ended: {reason}."),
        Event::BasisWithdrawn { reason } => format!("The lawful basis no longer holds: {reason}."),
        Event::ActivityDropped { .. } => {
            let rule = entry.why.rule.as_deref().unwrap_or("a rule");
            format!("Something said{on} was dropped: {rule}.")
        }
        Event::WritePlanned { target, operation, .. } => format!("A write to {target} was planned ({operation})."),
        Event::WriteIntended { target, operation, attempt, intent, .. } => {
            let fields = entry.fields.as_ref().map_or_else(String::new, |fields| format!(", fields {}", fields.names.join(", ")));
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            format!("About to {intent} to {target} ({operation}{again}){fields}.")
        }
        Event::WriteReceipt { target, .. } => {
            let fields = entry.fields.as_ref().map_or_else(String::new, |fields| format!(", changed {}", fields.names.join(", ")));
            format!("{target} answered: {outcome}{fields}.")
        }
        Event::WriteParked { target, code, message, .. } => format!("{target} refused for good ({code}: {message}). It stands aside."),
        Event::WriteRecovered { target, how, .. } => format!("A write to {target} without an answer was settled by {how}: {outcome}."),
        Event::WriteUndone { target, .. } => format!("What was written to {target} was put back."),
        Event::PersonalRead { place, count, .. } => format!("Personal data was read: {place} ({count})."),
        Event::ReviewDecided { verdict } => format!("A person decided: {verdict}."),
        Event::SubjectExported { format, count, .. } => format!("Everything known was handed out ({count} records, {format})."),
        Event::SubjectErased { keys, records, crm_rows, .. } => {
            format!("Erased: {keys} keys destroyed, {records} records removed, {crm_rows} CRM rows removed or blanked.")
        }
        Event::ErasureRefused { reason } => format!("Erasure was refused: {reason}."),
        Event::SubjectObjected {} => "The person objected.".to_owned(),
        Event::SubjectRectified {} => "Data were corrected on the person's request.".to_owned(),
        Event::SubjectSuppressed { reason } => format!("Not to be matched again: {reason}."),
        Event::HoldPlaced { matter } => {
            format!("A legal hold was placed{}.", matter.as_ref().map_or_else(String::new, |m| format!(" ({m})")))
        }
        Event::HoldReleased { matter } => {
            format!("A legal hold was released{}.", matter.as_ref().map_or_else(String::new, |m| format!(" ({m})")))
        }
        Event::RetentionEnded { class, count, .. } => format!("The clock of {class} ended: {count} records went."),
        _ => format!("{}{}.", entry.kind().name(), if outcome.is_empty() { String::new() } else { format!(": {outcome}") }),
    }
}
