//! `kith link`: whom we know, and why we think so; links made and ended by hand. What shows personal data is told to the log.

use super::argument::{SAY_WHY, network, reason, wrong};
use super::opened::{reader, tell_read};
use super::page::line;
use super::{Exit, Format, Session};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::{Candidate, ComparisonOutcome, CustomerId, IdentityId, Outcome};
use crate::pipeline::WordAsked;
use crate::store::StoreError;
use crate::store::sqlite::{DecisionShown, LinkFilter, LinkRow};
use serde_json::{Value as Json, json};
use std::ops::ControlFlow;

const NO_SUCH_IDENTITY: Code = Code("KITH-R009");

/// Commands about links.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// One row an identity: the decision in force and its best candidate
    List(ListArguments),
    /// One identity: the decision, its evidence, candidate by candidate
    Show(ShowArguments),
    /// Link an account to a customer by hand, with a reason; a lawful basis is needed all the same
    Add(AddArguments),
    /// End an account's link by hand, with a reason: it is none of its candidates
    Remove(RemoveArguments),
    /// Accounts whose link ended since their customer is gone from the CRM
    Lost(LostArguments),
}

/// Arguments of `link list`.
#[derive(clap::Args, Debug)]
pub struct ListArguments {
    /// Only this outcome: linked, not-linked, review, not-permitted, undetermined
    #[arg(long, value_name = "OUTCOME")]
    pub decision: Option<String>,
    /// Only this network
    #[arg(long)]
    pub network: Option<String>,
    /// Only this customer
    #[arg(long, value_name = "ID")]
    pub customer: Option<String>,
}

/// Arguments of `link show`.
#[derive(clap::Args, Debug)]
pub struct ShowArguments {
    /// The network
    pub network: String,
    /// The identity's id, as `link list` writes it
    pub identity: String,
}

/// Arguments of `link add`.
#[derive(clap::Args, Debug)]
pub struct AddArguments {
    /// The network
    pub network: String,
    /// The identity's id, as `link list` writes it
    pub identity: String,
    /// The customer, any that the CRM has
    pub customer: String,
    /// Why: it stands sealed in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// Arguments of `link remove`.
#[derive(clap::Args, Debug)]
pub struct RemoveArguments {
    /// The network
    pub network: String,
    /// The identity's id, as `link list` writes it
    pub identity: String,
    /// Why: it stands sealed in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// Arguments of `link lost`.
#[derive(clap::Args, Debug)]
pub struct LostArguments {
    /// How many to list
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub limit: usize,
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    let done = match command {
        Command::Add(asked) => by_hand(session, (&asked.network, &asked.identity), Some(&asked.customer), &asked.reason),
        Command::Remove(asked) => by_hand(session, (&asked.network, &asked.identity), None, &asked.reason),
        Command::Lost(asked) => lost(asked, session).map(|()| Exit::Fine),
        Command::List(asked) => list(asked, session).map(|()| Exit::Fine),
        Command::Show(asked) => show(asked, session).map(|()| Exit::Fine),
    };
    done.unwrap_or_else(|exit| exit)
}

fn failed(session: &mut Session, error: &StoreError) -> Exit {
    session.terminal.problem(&error.diagnostic());
    Exit::Failed
}

fn list(arguments: &ListArguments, session: &mut Session) -> Result<(), Exit> {
    let outcome = match &arguments.decision {
        None => None,
        Some(text) => Some(Outcome::from_name(&text.replace('-', "_")).ok_or_else(|| {
            let known = Outcome::ALL.map(|o| o.name().replace('_', "-")).join(", ");
            wrong(session, "--decision", format!("`{text}` is no outcome"), &format!("it is one of {known}"))
        })?),
    };
    let network = arguments.network.as_deref().map(|name| network(session, name)).transpose()?;
    let filter = LinkFilter { outcome, network, customer: arguments.customer.as_deref().map(CustomerId::from) };
    let (parts, reader) = reader(session)?;
    let mut count = 0;
    reader
        .links(&filter, |_| {
            count += 1;
            ControlFlow::Continue(())
        })
        .map_err(|e| failed(session, &e))?;
    tell_read(session, parts, "link list", &[], count)?;
    let format = session.terminal.format();
    match format {
        Format::Human => session.terminal.data(&format!(
            "{:<10} {:<46} {:<14} {:<13} {:>9} {:>7}  {:<18} {}",
            "network", "identity", "customer", "decision", "posterior", "bits", "rule", "basis"
        )),
        Format::Csv => session.terminal.data("network,identity_id,customer_id,decision,probability,match_weight,rule,basis"),
        Format::Json => {}
    }
    reader
        .links(&filter, |row| {
            match format {
                Format::Human => session.terminal.data(&human(&row)),
                Format::Csv => session.terminal.data(&csv_row(&row)),
                Format::Json => session.terminal.json(&row_json(&row)),
            }
            ControlFlow::Continue(())
        })
        .map_err(|e| failed(session, &e))
}

/// A person's word outside of the queue of reviews.
fn by_hand(session: &mut Session, (network_name, identity): (&str, &str), customer: Option<&String>, why: &str) -> Result<Exit, Exit> {
    let network = network(session, network_name)?;
    let word = WordAsked {
        network: network.name().to_owned(),
        identity: identity.to_owned(),
        case: None,
        said: if customer.is_some() { "link" } else { "none" }.to_owned(),
        customer: customer.cloned(),
        reason: reason(session, why, SAY_WHY)?.to_owned(),
        by_hand: true,
        dry_run: false,
    };
    super::review::one_word(session, word)
}

fn lost(arguments: &LostArguments, session: &mut Session) -> Result<(), Exit> {
    let (parts, reader) = reader(session)?;
    let lost = reader.lost_links(arguments.limit).map_err(|e| failed(session, &e))?;
    if !lost.is_empty() {
        tell_read(session, parts, "link lost", &[], lost.len() as u64)?;
    }
    for row in &lost {
        let (outcome, now) = &row.now;
        if session.terminal.is_json() {
            session.terminal.json(&json!({
                "network": row.id.network.name(), "identity_id": &*row.id.id, "customer_id": row.customer.as_str(), "ended": row.ended.to_string(),
                "decision": outcome.name(), "candidate": now.as_ref().map(CustomerId::as_str),
            }));
        } else {
            let now = now.as_ref().map_or_else(String::new, |id| format!(", best candidate {}", id.as_str()));
            let id = &row.id;
            session.terminal.data(&format!(
                "{:.0}  {} {}  customer {} is gone; now {}{now}",
                row.ended,
                id.network,
                id.id,
                row.customer.as_str(),
                outcome.words()
            ));
        }
    }
    session.terminal.note(&format!("{} accounts lost their customer", lost.len()));
    Ok(())
}

fn identity_text(row: &LinkRow) -> &str {
    row.account.as_deref().unwrap_or_default()
}

fn by(row: &LinkRow) -> &str {
    row.by.as_ref().map_or("", |b| b.name())
}

fn human(row: &LinkRow) -> String {
    let (probability, bits) = if row.customer.is_some() {
        (format!("{:.2} %", row.probability * 100.0), format!("{:.1}", row.match_weight))
    } else {
        (String::new(), String::new())
    };
    format!(
        "{:<10} {:<46} {:<14} {:<13} {probability:>9} {bits:>7}  {:<18} {}",
        row.network.name(),
        identity_text(row),
        row.customer.as_ref().map_or("", CustomerId::as_str),
        row.outcome.words(),
        by(row),
        row.basis.as_deref().unwrap_or_default()
    )
}

/// RFC 4180: quoted where it must be.
fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn csv_row(row: &LinkRow) -> String {
    let numbers = if row.customer.is_some() { (row.probability.to_string(), row.match_weight.to_string()) } else { Default::default() };
    [
        row.network.name(),
        &cell(identity_text(row)),
        &cell(row.customer.as_ref().map_or("", CustomerId::as_str)),
        row.outcome.name(),
        &numbers.0,
        &numbers.1,
        &cell(by(row)),
        &cell(row.basis.as_deref().unwrap_or_default()),
    ]
    .join(",")
}

fn row_json(row: &LinkRow) -> Json {
    json!({
        "network": row.network.name(), "identity_id": row.account.as_deref(), "customer_id": row.customer.as_ref().map(CustomerId::as_str),
        "decision": row.outcome.name(), "probability": row.customer.as_ref().map(|_| row.probability),
        "match_weight": row.customer.as_ref().map(|_| row.match_weight), "rule": row.by.as_ref().map(|b| b.name().to_owned()),
        "basis": row.basis.as_deref(), "at": row.at.map(|t| t.to_string()),
    })
}

fn show(arguments: &ShowArguments, session: &mut Session) -> Result<(), Exit> {
    let network = network(session, &arguments.network)?;
    let id = IdentityId { network, id: arguments.identity.as_str().into() };
    let (parts, reader) = reader(session)?;
    let Some(shown) = reader.decision(&id).map_err(|e| failed(session, &e))? else {
        let place = Place::Named(format!("{network} {}", arguments.identity));
        let problem =
            Diagnostic::error(NO_SUCH_IDENTITY, place, "no decision about this identity", "`kith link list` shows all identities");
        session.terminal.problem(&problem);
        return Err(Exit::Wrong);
    };
    let subject = parts.keys.hash.identity(&id).to_string();
    tell_read(session, parts, "link show", &[subject], 1)?;
    if session.terminal.is_json() {
        session.terminal.json(&show_json(&id, &shown));
    } else {
        session.terminal.data(&show_page(&id, &shown));
    }
    Ok(())
}

/// What was compared, as the evidence holds it.
pub(super) fn comparisons_json(candidate: &Candidate) -> Vec<Json> {
    let one = |o: &ComparisonOutcome| {
        json!({ "comparison": &*o.comparison, "level": &*o.level, "gamma": o.gamma, "bits": o.bits,
                "term_frequency": o.term_frequency, "term_frequency_bits": o.term_frequency_bits })
    };
    candidate.comparisons.iter().map(one).collect()
}

fn show_json(id: &IdentityId, shown: &DecisionShown) -> Json {
    let decision = &shown.decision;
    let values = |values: &[(std::sync::Arc<str>, crate::model::Value)]| -> Json {
        values.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect::<serde_json::Map<_, _>>().into()
    };
    let candidates = |e: &crate::model::Evidence| -> Vec<Json> {
        e.candidates
            .iter()
            .map(|c| {
                json!({ "customer_id": c.customer.as_str(), "posterior": c.posterior, "match_weight": c.match_weight,
                        "rules": c.rules.iter().map(|r| &**r).collect::<Vec<_>>(), "values": values(c.values.reveal()), "comparisons": comparisons_json(c) })
            })
            .collect()
    };
    json!({
        "network": id.network.name(), "identity_id": &*id.id, "decision": decision.outcome.name(),
        "customer_id": decision.customer.as_ref().map(CustomerId::as_str), "probability": decision.probability,
        "match_weight": decision.match_weight, "rule": decision.by.as_ref().map(|b| b.name().to_owned()), "basis": decision.basis.as_deref(),
        "at": decision.at.to_string(), "mapping": shown.mapping.to_string(), "evidence_digest": shown.evidence_digest.to_string(),
        "evidence": shown.evidence.as_ref().map(|e| json!({
            "identity": values(e.identity.reveal()), "prior_bits": e.prior_bits, "candidates": candidates(e), "rest_count": e.rest_count,
            "rest_odds": e.rest_odds, "model": e.model.to_string(), "lookups": e.lookups.to_string(),
            "rules": e.rules.iter().map(|r| json!({ "rule": &*r.rule, "customers": r.customers, "set_aside": r.set_aside.as_deref() })).collect::<Vec<_>>(),
            "held": e.held.as_deref(),
            "cuts": e.cuts.iter().map(|c| json!({ "rule": &*c.rule, "size": c.size })).collect::<Vec<_>>(),
        })),
    })
}

fn show_page(id: &IdentityId, shown: &DecisionShown) -> String {
    let decision = &shown.decision;
    let mut out = format!("{} {}\n", id.network, id.id);
    let customer = decision.customer.as_ref().map_or(String::new(), |c| format!(" · best candidate {}", c.as_str()));
    line(
        &mut out,
        format_args!(
            "  {}{customer} · posterior {:.3} % · {:.2} bits{}{}",
            decision.outcome.words(),
            decision.probability * 100.0,
            decision.match_weight,
            decision.by.as_ref().map_or(String::new(), |b| format!(" · by {}", b.name())),
            decision.basis.as_ref().map_or(String::new(), |b| format!(" · basis {b}"))
        ),
    );
    line(&mut out, format_args!("  decided {} under mapping {}", decision.at, shown.mapping.short()));
    let Some(evidence) = &shown.evidence else {
        out.push_str("  no evidence: nobody was scored, or its key was destroyed\n");
        return out;
    };
    let named = |values: &[(std::sync::Arc<str>, crate::model::Value)]| {
        let shown = values.iter().filter(|(_, v)| !v.is_missing());
        shown.map(|(name, value)| format!("{name} {}", value.to_json())).collect::<Vec<_>>().join(" · ")
    };
    line(&mut out, format_args!("\n  the identity shows   {}", named(evidence.identity.reveal())));
    for hit in &evidence.rules {
        let note = hit.set_aside.as_ref().map_or(String::new(), |why| format!(", set aside: {why}"));
        line(&mut out, format_args!("  rule {:<16} names {} customer(s){note}", hit.rule, hit.customers));
    }
    if let Some(held) = &evidence.held {
        line(&mut out, format_args!("  held back for a person: {held}"));
    }
    for cut in &evidence.cuts {
        line(&mut out, format_args!("  block {:<15} was cut: {} customers share the key", cut.rule, cut.size));
    }
    for candidate in &evidence.candidates {
        line(
            &mut out,
            format_args!(
                "\n  candidate {}   posterior {:.4} %   {:.2} bits{}",
                candidate.customer.as_str(),
                candidate.posterior * 100.0,
                candidate.match_weight,
                if candidate.rules.is_empty() { String::new() } else { format!("   by rule {}", candidate.rules.join(", ")) }
            ),
        );
        line(&mut out, format_args!("    {}", named(candidate.values.reveal())));
        line(&mut out, format_args!("    {:>8.2}  prior", evidence.prior_bits));
        for outcome in &candidate.comparisons {
            line(&mut out, format_args!("    {:>8.2}  {}: {}", outcome.bits, outcome.comparison, outcome.level));
            if let Some(frequency) = outcome.term_frequency {
                line(&mut out, format_args!("    {:>8.2}  … term frequency {frequency:.2e}", outcome.term_frequency_bits));
            }
        }
    }
    if evidence.rest_count > 0 {
        line(
            &mut out,
            format_args!("\n  {} more candidates, all of them together with odds {:.2e}", evidence.rest_count, evidence.rest_odds),
        );
    }
    out
}
