//! `kith audit report`: a period in counts, each of which can be looked up entry by entry.

use super::super::opened::reader;
use super::super::{Exit, Session};
use super::html::{escaped, page, table};
use super::{Leaves, output, unreadable};
use crate::audit::{Entry, EntryOutcome, Event, SubjectHash};
use crate::model::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Arguments of `audit report`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Only from this time on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// Only before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
    /// Write the report as one self-contained page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

type Counts = BTreeMap<String, u64>;

/// A period.
#[derive(Default)]
struct Report {
    entries: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    outcomes: Counts,
    rules: Counts,
    reviewers: Counts,
    refusals: Counts,
    drops: Counts,
    writes: Counts,
    parked: Counts,
    people: Counts,
    kinds: Counts,
    /// Links of rules and model that a person looked at: right, wrong.
    reviewed: (u64, u64),
}

impl Report {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other kinds are counted by their names")]
    fn add(&mut self, entry: &Entry, decided: &BTreeMap<SubjectHash, EntryOutcome>) {
        let count = |counts: &mut Counts, name: &str| *counts.entry(name.to_owned()).or_default() += 1;
        self.entries += 1;
        self.first.get_or_insert(entry.time);
        self.last = Some(entry.time);
        count(&mut self.kinds, entry.kind().name());
        let outcome = entry.outcome.map_or("none", EntryOutcome::name);
        match &entry.event {
            Event::Decision { by, .. } => {
                count(&mut self.outcomes, outcome);
                if entry.outcome == Some(EntryOutcome::Linked) {
                    count(&mut self.rules, by.as_deref().unwrap_or("none"));
                }
            }
            Event::DecisionUndetermined { .. } => count(&mut self.outcomes, outcome),
            Event::PolicyRefused { action, reason } => {
                if &**action == "match" {
                    count(&mut self.outcomes, EntryOutcome::NotPermitted.name());
                }
                count(&mut self.refusals, &format!("{action}: {}", reason.as_deref().unwrap_or("no basis")));
            }
            Event::ErasureRefused { reason } => count(&mut self.refusals, &format!("erase: {reason}")),
            Event::ActivityDropped { .. } => count(&mut self.drops, entry.why.rule.as_deref().unwrap_or("none")),
            Event::WriteReceipt { target, .. } => count(&mut self.writes, &format!("{target}: {outcome}")),
            Event::WriteParked { target, code, .. } => count(&mut self.parked, &format!("{target}: {code}")),
            Event::InputParked { source, code, .. } => count(&mut self.parked, &format!("{source}: {code}")),
            Event::ReviewDecided { verdict } => {
                count(&mut self.reviewers, &format!("{}: {verdict}", entry.actor.name));
                let linked = entry.subject.identity.and_then(|identity| decided.get(&identity)) == Some(&EntryOutcome::Linked);
                match (linked, &**verdict) {
                    (true, "link") => self.reviewed.0 += 1,
                    (true, "no-link") => self.reviewed.1 += 1,
                    _ => {}
                }
            }
            _ => {}
        }
        if entry.actor.name.as_ref() != "kith" && !matches!(entry.event, Event::ReviewDecided { .. }) {
            count(&mut self.people, &format!("{}: {}", entry.actor.name, entry.kind().name()));
        }
    }

    /// The share of reviewed links that were right.
    fn precision(&self) -> Option<f64> {
        let (right, wrong) = (u32::try_from(self.reviewed.0).ok()?, u32::try_from(self.reviewed.1).ok()?);
        let all = right.checked_add(wrong).filter(|all| *all > 0)?;
        Some(f64::from(right) / f64::from(all))
    }

    fn precision_in_words(&self) -> String {
        let (right, wrong) = self.reviewed;
        self.precision().map_or_else(
            || "no link was reviewed by a person in this period, so nothing can be said about precision".to_owned(),
            |share| format!("{:.1} % of {} links that a person reviewed were right", share * 100.0, right + wrong),
        )
    }

    fn tables(&self) -> [(&'static str, &Counts); 9] {
        [
            ("Decisions by outcome", &self.outcomes),
            ("Links by rule", &self.rules),
            ("Reviews by reviewer and verdict", &self.reviewers),
            ("Refusals", &self.refusals),
            ("Dropped by rule", &self.drops),
            ("Writes by target and outcome", &self.writes),
            ("Stood aside, by code", &self.parked),
            ("What people did", &self.people),
            ("All entries by kind", &self.kinds),
        ]
    }
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let (parts, reader) = reader(session)?;
    let mut report = Report::default();
    // What was decided last about each account: a review is about that.
    let mut decided: BTreeMap<SubjectHash, EntryOutcome> = BTreeMap::new();
    for leaf in Leaves::from(&reader, 0) {
        let (number, bytes) = leaf.map_err(|error| unreadable(session, &error.to_string()))?;
        let entry = Entry::decode(&bytes).map_err(|error| unreadable(session, &format!("entry {number}: {error}")))?;
        // Entries of several writers may be a moment out of order: a later time does not end the period.
        if arguments.until.is_none_or(|until| entry.time < until) && arguments.since.is_none_or(|since| entry.time >= since) {
            report.add(&entry, &decided);
        }
        if let (Event::Decision { .. }, Some(identity), Some(outcome)) = (&entry.event, entry.subject.identity, entry.outcome) {
            decided.insert(identity, outcome);
        }
    }
    let origin = parts.keys.log.verifier().name().to_owned();
    let bound =
        |time: Option<Timestamp>, otherwise: Option<Timestamp>| time.or(otherwise).map_or_else(|| "–".to_owned(), |t| t.to_string());
    let period = format!("{} to {}", bound(arguments.since, report.first), bound(arguments.until, report.last));
    if let Some(path) = &arguments.html {
        let rows = |counts: &Counts| -> Vec<(String, String)> { counts.iter().map(|(n, c)| (n.clone(), c.to_string())).collect() };
        let tables: String = report.tables().iter().map(|(title, counts)| table(title, ("what", "entries"), &rows(counts))).collect();
        let head = format!(
            "<p class=\"q\">Log <code>{}</code>, {}. {} entries.</p>\n<p>{}</p>\n",
            escaped(&origin),
            escaped(&period),
            report.entries,
            escaped(&report.precision_in_words())
        );
        return output(path, &page("What Kith did", &format!("{head}{tables}")), session);
    }
    if session.terminal.is_json() {
        session.terminal.json(&json!({ "origin": origin, "since": arguments.since.map(|t| t.to_string()),
            "until": arguments.until.map(|t| t.to_string()), "entries": report.entries, "outcomes": report.outcomes, "links_by_rule": report.rules,
            "reviews": report.reviewers, "refusals": report.refusals, "dropped": report.drops, "writes": report.writes,
            "parked": report.parked, "people": report.people, "kinds": report.kinds,
            "reviewed_links": { "right": report.reviewed.0, "wrong": report.reviewed.1, "precision": report.precision() } }));
    } else {
        session.terminal.data(&format!("{origin}, {period}: {} entries", report.entries));
        for (title, counts) in report.tables().iter().filter(|(_, counts)| !counts.is_empty()) {
            session.terminal.data(&format!("\n{title}"));
            for (name, count) in *counts {
                session.terminal.data(&format!("  {count:>10}  {name}"));
            }
        }
        session.terminal.data(&format!("\n{}", report.precision_in_words()));
    }
    Ok(Exit::Fine)
}
