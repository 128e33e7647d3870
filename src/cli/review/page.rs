//! `kith review show`: a case on one page, what the account shows and its candidates side by side.

use super::{ShowArguments, Talk, network, strange};
use crate::cli::matching::waterfall;
use crate::cli::page::line;
use crate::cli::{Exit, Session};
use crate::model::{Candidate, ComparisonOutcome, CustomerId, Personal};
use crate::pipeline::{CandidateTold, CasePage, PeopleAsk, PeopleTold};
use serde_json::{Value as Json, json};

/// Candidates side by side: what fits a wide terminal. All of them are below.
const SIDE_BY_SIDE: usize = 3;
/// Width of a column.
const COLUMN: usize = 28;

pub(super) fn show(arguments: &ShowArguments, session: &mut Session) -> Result<Exit, Exit> {
    let network = network(session, &arguments.network)?;
    let mut talk = Talk::new(session)?;
    let ask = PeopleAsk::Case { network: network.name().to_owned(), identity: arguments.identity.clone(), blind: arguments.blind };
    let told = talk.ask(session, &ask)?;
    talk.end(session)?;
    let PeopleTold::Case { page } = told else { return Err(strange(session)) };
    if session.terminal.is_json() {
        session.terminal.json(&json!(page));
    } else {
        session.terminal.data(&text(&page, arguments.blind));
    }
    Ok(Exit::Fine)
}

/// A value as people write it.
pub(super) fn shown(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Json::Bool(_) | Json::Number(_) | Json::Object(_) => value.to_string(),
    }
}

/// The value of a field.
pub(super) fn value(fields: &[(String, Json)], name: &str) -> String {
    fields.iter().find(|(field, _)| field == name).map_or_else(String::new, |(_, value)| shown(value))
}

/// The names of fields that the account or one of these candidates shows, the account's own first.
pub(super) fn names<'a>(page: &'a CasePage, candidates: &'a [CandidateTold]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in page.shows.0.iter().chain(candidates.iter().flat_map(|c| &c.values.0)) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

fn cell(text: &str) -> String {
    let mut cut: String = text.chars().take(COLUMN).collect();
    if text.chars().count() > COLUMN {
        cut.pop();
        cut.push('…');
    }
    format!("{cut:<COLUMN$}")
}

/// A candidate as the waterfall takes it.
fn candidate(told: &CandidateTold) -> Candidate {
    let comparison = |c: &crate::pipeline::ComparisonTold| ComparisonOutcome {
        comparison: c.comparison.as_str().into(),
        level: c.level.as_str().into(),
        gamma: c.gamma,
        bits: c.bits,
        term_frequency: c.term_frequency,
        term_frequency_bits: c.term_frequency_bits,
    };
    Candidate {
        customer: CustomerId::from(told.customer_id.as_str()),
        posterior: told.posterior.unwrap_or_default(),
        match_weight: told.match_weight.unwrap_or_default(),
        comparisons: told.comparisons.iter().map(comparison).collect(),
        rules: told.rules.iter().map(|rule| rule.as_str().into()).collect(),
        values: Personal::default(),
    }
}

fn text(page: &CasePage, blind: bool) -> String {
    let case = &page.case;
    let mut out = format!("{} {}\n", case.network, case.identity_id);
    line(&mut out, format_args!("  {}   {} activities wait   decided {}", case.case, case.waiting, case.at));
    line(&mut out, format_args!("  decision {}{}", case.decision, case.rule.as_ref().map_or_else(String::new, |by| format!(" by {by}"))));
    if let Some(held) = &page.held {
        line(&mut out, format_args!("  held back for a person: {held}"));
    }
    for opinion in &page.opinions {
        let whom = opinion.customer_id.as_ref().map_or_else(String::new, |id| format!(" {id}"));
        let force = if opinion.in_force { ", in force" } else { "" };
        line(&mut out, format_args!("  {} said {}{whom} at {}{force} (entry {})", opinion.author, opinion.said, opinion.at, opinion.entry));
    }
    let side = page.candidates.get(..SIDE_BY_SIDE.min(page.candidates.len())).unwrap_or_default();
    if page.candidates.is_empty() && page.shows.0.is_empty() && page.withheld.is_empty() {
        out.push_str("\n  no evidence: nobody was scored, or its key was destroyed\n");
        return out;
    }
    let heads = side.iter().fold(String::new(), |text, c| text + "  " + &cell(&c.customer_id));
    line(&mut out, format_args!("\n  {:<18}{}{heads}", "", cell("the account shows")));
    for name in names(page, side) {
        let values = side.iter().fold(String::new(), |text, c| text + "  " + &cell(&value(&c.values.0, name)));
        line(&mut out, format_args!("  {name:<18}{}{values}", cell(&value(&page.shows.0, name))));
    }
    if !page.withheld.is_empty() {
        line(&mut out, format_args!("  not shown, by the duties of {}: {}", case.network, page.withheld.join(", ")));
    }
    if page.candidates.len() > side.len() {
        line(&mut out, format_args!("  {} more candidates: --format json shows all", page.candidates.len() - side.len()));
    }
    if blind {
        return out;
    }
    for told in side {
        line(
            &mut out,
            format_args!(
                "\n  {} · posterior {:.2} %{}",
                told.customer_id,
                told.posterior.unwrap_or_default() * 100.0,
                if told.rules.is_empty() { String::new() } else { format!(" · rule {}", told.rules.join(", ")) }
            ),
        );
        waterfall::text(&mut out, &waterfall::steps(page.prior_bits, &candidate(told)));
    }
    out
}
