//! `kith audit deletions`: which deletions and edits on networks reached the CRM in the network's time, and which came late or still wait.

use super::super::opened::reader;
use super::super::{Exit, Session};
use super::html::{escaped, page};
use super::{Leaves, output, unreadable};
use crate::audit::{Change, ChangeKind, ChangeState, Changes, Entry};
use crate::model::Timestamp;
use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Arguments of `audit deletions`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Only those that came late or wait beyond their time
    #[arg(long)]
    pub late: bool,
    /// Only those that Kith received from this time on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// Only those that Kith received before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
    /// List at most so many, the late and waiting ones first; the sums are of all
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
    /// Write the report as one self-contained page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// What happened with the changes of one network at one target.
#[derive(Default)]
struct Sum {
    deletions: u64,
    edits: u64,
    arrived: u64,
    waiting: u64,
    nothing: u64,
    late: u64,
    late_here: u64,
    slowest: Option<SignedDuration>,
}

/// The changes of a period.
#[derive(Default)]
struct Report {
    sums: BTreeMap<(String, String), Sum>,
    /// Late ones, then those that wait, then the others; each kind up to the limit.
    listed: [Vec<Change>; 3],
}

impl Report {
    fn add(&mut self, change: Change, now: Timestamp, limit: usize) {
        let target = change.target.as_deref().unwrap_or("–").to_owned();
        let sum = self.sums.entry((change.network.name().to_owned(), target)).or_default();
        match change.kind {
            ChangeKind::Deletion => sum.deletions += 1,
            ChangeKind::Edit => sum.edits += 1,
        }
        match change.state {
            ChangeState::Arrived(_) => sum.arrived += 1,
            ChangeState::Waits | ChangeState::Parked => sum.waiting += 1,
            ChangeState::Review | ChangeState::Nothing(_) => sum.nothing += 1,
        }
        let late = change.is_late(now);
        sum.late += u64::from(late);
        sum.late_here += u64::from(change.is_late_here(now));
        sum.slowest = sum.slowest.max(change.took(now));
        let place = match change.state {
            _ if late => 0,
            ChangeState::Waits | ChangeState::Parked => 1,
            ChangeState::Arrived(_) | ChangeState::Review | ChangeState::Nothing(_) => 2,
        };
        if let Some(list) = self.listed.get_mut(place).filter(|list| list.len() < limit) {
            list.push(change);
        }
    }
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let (parts, reader) = reader(session)?;
    let (mut changes, mut ended) = (Changes::default(), Vec::new());
    let within = |change: &Change| {
        arguments.until.is_none_or(|until| change.received < until) && arguments.since.is_none_or(|since| change.received >= since)
    };
    let mut report = Report::default();
    for leaf in Leaves::new(&reader) {
        let (number, bytes) = leaf.map_err(|error| unreadable(session, &error.to_string()))?;
        let entry = Entry::decode(&bytes).map_err(|error| unreadable(session, &format!("entry {number}: {error}")))?;
        ended.extend(changes.add(number, &entry));
        // What has ended is judged by its own times.
        ended.drain(..).filter(within).for_each(|change| report.add(change, entry.time, arguments.limit));
    }
    let (rest, last) = changes.rest();
    let now = last.unwrap_or(Timestamp::UNIX_EPOCH);
    rest.into_iter().filter(within).for_each(|change| report.add(change, now, arguments.limit));
    let kinds = if arguments.late { 1 } else { report.listed.len() };
    let listed: Vec<&Change> = report.listed.iter().take(kinds).flatten().take(arguments.limit).collect();
    let origin = parts.keys.log.verifier().name().to_owned();
    if let Some(path) = &arguments.html {
        return output(path, &html(&origin, &report, &listed, now), session);
    }
    if session.terminal.is_json() {
        let sums: Vec<Json> = report.sums.iter().map(sum_json).collect();
        let changes: Vec<Json> = listed.iter().map(|change| change_json(change, now)).collect();
        session
            .terminal
            .json(&json!({ "origin": origin, "as_of": last.map(|t| t.to_string()), "since": arguments.since.map(|t| t.to_string()),
            "until": arguments.until.map(|t| t.to_string()), "sums": sums, "changes": changes }));
        return Ok(Exit::Fine);
    }
    session.terminal.data(&format!("{origin}, as of its newest entry, {now:.0}"));
    for (of, sum) in &report.sums {
        session.terminal.data(&format!("  {}", sum_line(of, sum)));
    }
    for change in &listed {
        session.terminal.data(&format!("  {}", line(change, now)));
    }
    if report.sums.is_empty() {
        session.terminal.note("the log tells of no deletion or edit on a network that wants them within a time (`deletions_within`)");
    }
    Ok(Exit::Fine)
}

fn seconds(duration: Option<SignedDuration>) -> Option<i64> {
    duration.map(|duration| duration.as_secs())
}

/// In whole seconds, as people write it: `26h 3m`.
fn words(duration: SignedDuration) -> String {
    format!("{:#}", SignedDuration::from_secs(duration.as_secs()))
}

fn sum_json(((network, target), sum): (&(String, String), &Sum)) -> Json {
    json!({ "network": network, "target": (target != "–").then_some(target), "deletions": sum.deletions, "edits": sum.edits, "arrived": sum.arrived,
        "waiting": sum.waiting, "nothing_to_do": sum.nothing, "late": sum.late, "late_here": sum.late_here, "slowest_seconds": seconds(sum.slowest) })
}

fn change_json(change: &Change, now: Timestamp) -> Json {
    let arrived = if let ChangeState::Arrived(at) = change.state { Some(at.to_string()) } else { None };
    json!({ "entry": change.entry, "network": change.network.name(), "target": change.target.as_deref(), "what": change.kind.name(),
        "happened": change.happened.to_string(), "received": change.received.to_string(), "within_seconds": change.within.as_secs(),
        "state": change.state.name(), "arrived": arrived, "took_seconds": seconds(change.took(now)), "late": change.is_late(now),
        "late_here": change.is_late_here(now) })
}

fn sum_line((network, target): &(String, String), sum: &Sum) -> String {
    let slowest = sum.slowest.map_or_else(String::new, |slowest| format!("; the slowest took {}", words(slowest)));
    let target = if target == "–" { "nowhere yet".to_owned() } else { format!("in {target}") };
    format!(
        "{network} {target}: {} deletions and {} edits: {} arrived, {} wait, of {} nothing stood; {} late, {} of them after Kith had them{slowest}",
        sum.deletions, sum.edits, sum.arrived, sum.waiting, sum.nothing, sum.late, sum.late_here
    )
}

fn line(change: &Change, now: Timestamp) -> String {
    let late = match (change.is_late(now), change.is_late_here(now)) {
        (true, true) => "late",
        (true, false) => "late, told late",
        (false, _) => "in time",
    };
    let took = change.took(now).map_or_else(String::new, |took| format!(" after {}", words(took)));
    let target = change.target.as_ref().map_or_else(String::new, |target| format!(" in {target}"));
    format!(
        "entry {}: {} on {} at {:.0}, received {:.0}: {}{target}{took}, {late}",
        change.entry,
        change.kind.name(),
        change.network,
        change.happened,
        change.received,
        change.state.name()
    )
}

fn html(origin: &str, report: &Report, listed: &[&Change], now: Timestamp) -> String {
    let item = |text: String| format!("<li>{}</li>\n", escaped(&text));
    let sums: String = report.sums.iter().map(|(of, sum)| item(sum_line(of, sum))).collect();
    let changes: String = listed.iter().map(|change| item(line(change, now))).collect();
    let head = format!("<p class=\"q\">Log <code>{}</code>, as of its newest entry, {now:.0}.</p>\n", escaped(origin));
    page(
        "Deletions and edits on networks",
        &format!("{head}<h2>By network and target</h2>\n<ol>\n{sums}</ol>\n<h2>One by one</h2>\n<ol>\n{changes}</ol>\n"),
    )
}
