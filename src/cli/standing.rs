//! How targets, their endpoints and the running service stand, for `kith status`.

use super::page::line;
use super::run::{grouped, parts_of};
use crate::declare::config::Config;
use crate::declare::connector::TargetFile;
use crate::deliver::{Limits, Scope, SpentQuota};
use crate::model::{OperationId, TargetId, Timestamp};
use crate::pipeline::{
    ComplianceStanding, SPENDING, Spending, Spent as SpentMoney, Standing, StreamStanding, Subscription, WebhookStanding, breaker_state,
    endpoint_name, spent_quota,
};
use crate::store::sqlite::SqliteReader;
use crate::store::{EndpointState, GuardRow, GuardState, Pause, Spent, StoreError};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// A quota of which nothing is left for now.
struct SpentUp {
    /// `None`: the whole endpoint's.
    operation: Option<OperationId>,
    until: Timestamp,
}

/// One target.
struct Row {
    target: Arc<str>,
    endpoint: Arc<str>,
    state: Option<EndpointState>,
    /// Outside its hours until then.
    closed: Option<(Timestamp, String)>,
    spent_up: Vec<SpentUp>,
    /// What was spent of each window.
    spent: Vec<Spent>,
    oldest: Option<Timestamp>,
}

/// What people stopped, and what waits for their word.
pub(super) struct Held {
    /// Pauses that stand.
    pub pauses: Vec<Pause>,
    /// Passes that wait at a guard, or were settled and are not done.
    pub guarded: Vec<GuardRow>,
}

const fn guard_state(state: GuardState) -> &'static str {
    match state {
        GuardState::Waits => "waits",
        GuardState::Approved => "approved",
        GuardState::Rejected => "rejected",
    }
}

impl Held {
    /// One line each, for people.
    pub fn page(&self, out: &mut String) {
        for pause in &self.pauses {
            let (part, name, author) = (pause.part.name(), &pause.name, &pause.author);
            line(out, format_args!("  {:<12}{part} {name} by {author} since {}: `kith resume {name}`", "paused", shown(pause.at)));
        }
        for GuardRow { id, pass, state, at, author } in &self.guarded {
            let among =
                if pass.examples.is_empty() { String::new() } else { format!(", among them customers {}", pass.examples.join(", ")) };
            let what = format!("{} of {} ({}), {} would pass{among}", pass.found, pass.whole, pass.place, pass.allowed);
            let matter = pass.matter.name();
            match state {
                GuardState::Waits => line(
                    out,
                    format_args!(
                        "  {:<12}pass {id} waits since {}: {matter}: {what}; `kith approve {id}` or `kith reject {id}`",
                        "GUARD",
                        shown(*at)
                    ),
                ),
                GuardState::Approved | GuardState::Rejected => {
                    let author = author.as_deref().unwrap_or("somebody");
                    line(out, format_args!("  {:<12}pass {id} was {} by {author}: {matter}: {what}", "guard", guard_state(*state)));
                }
            }
        }
    }

    /// Pauses for programs.
    pub fn pauses_json(&self) -> Json {
        let one = |p: &Pause| json!({ "part": p.part.name(), "name": &*p.name, "by": &*p.author, "since": p.at.to_string() });
        self.pauses.iter().map(one).collect()
    }

    /// Guarded passes for programs.
    pub fn guarded_json(&self) -> Json {
        let one = |row: &GuardRow| {
            let pass = &row.pass;
            json!({
                "pass": row.id, "matter": pass.matter.name(), "place": &*pass.place, "found": pass.found, "whole": pass.whole, "allowed": pass.allowed,
                "examples": pass.examples, "state": guard_state(row.state), "since": row.at.to_string(), "settled_by": row.author.as_deref(),
            })
        };
        self.guarded.iter().map(one).collect()
    }
}

/// Every target of the configuration.
pub(super) struct Endpoints {
    rows: Vec<Row>,
    now: Timestamp,
}

impl Endpoints {
    /// From the state folder and the configuration; a target whose file can't be read stands without its file's quotas.
    pub fn read(reader: &SqliteReader, config: &Config, files: &[Option<Arc<TargetFile>>], now: Timestamp) -> Result<Self, StoreError> {
        let (states, spent) = (reader.endpoints()?, reader.spent()?);
        let ids: Vec<TargetId> = config.targets.iter().map(|target| TargetId(target.name.clone())).collect();
        let oldest = reader.oldest(&ids)?;
        let rows = config.targets.iter().zip(files).map(|(spec, file)| {
            let endpoint = endpoint_name(spec);
            let own: Vec<Spent> = spent.iter().filter(|spent| spent.endpoint == endpoint).cloned().collect();
            let of_file = file.iter().flat_map(|file| {
                let operations = file.operations.iter().map(|o| (Scope::Operation(o.id.clone()), &o.quotas));
                std::iter::once((Scope::Endpoint, &file.rules.quotas)).chain(operations)
            });
            let quotas: Vec<_> = std::iter::once((Scope::Endpoint, &spec.quotas)).chain(of_file).collect();
            let before: Vec<SpentQuota> = own.iter().map(spent_quota).collect();
            let asked = std::iter::once(None).chain(file.iter().flat_map(|file| file.operations.iter().map(|o| Some(o.id.clone()))));
            let spent_up = asked.filter_map(|operation| {
                // Asking spends: each question has limits of its own.
                let refused = Limits::new(quotas.iter().map(|(scope, quotas)| (scope.clone(), *quotas)), &before, now)
                    .take(operation.as_ref(), now)
                    .err()?;
                match (operation, refused.scope) {
                    (None, _) => Some(SpentUp { operation: None, until: refused.until }),
                    // What the whole endpoint's quota holds back is told once.
                    (Some(_), Scope::Endpoint) => None,
                    (Some(operation), Scope::Operation(_)) => Some(SpentUp { operation: Some(operation), until: refused.until }),
                }
            });
            Row {
                target: spec.name.clone(),
                state: states.iter().find(|state| state.name == endpoint).cloned(),
                closed: spec.hours.as_ref().and_then(|hours| Some((hours.closed_until(now)?, hours.text().to_owned()))),
                spent_up: spent_up.collect(),
                spent: own,
                oldest: oldest.iter().find(|(target, _)| target.0 == spec.name).map(|(_, since)| *since),
                endpoint,
            }
        });
        Ok(Self { rows: rows.collect(), now })
    }

    /// For people: only what holds something back, one line each; the others by name.
    pub fn page(&self, out: &mut String) {
        for row in &self.rows {
            let shared = if row.endpoint == row.target { String::new() } else { format!(" (endpoint {})", row.endpoint) };
            let mut said = Vec::new();
            if let Some((until, hours)) = &row.closed {
                said.push(format!("closed until {}: outside its hours ({hours})", shown(*until)));
            }
            if let Some(state) = &row.state {
                if let Some((until, why)) = state.waits.as_ref().filter(|(until, _)| *until > self.now) {
                    said.push(format!("waits until {}: it asked for that ({} {})", shown(*until), why.code, why.message));
                }
                let (breaker, _) = breaker_state(state, self.now);
                if let Some((until, why)) = &state.rests {
                    let failures = state.failures;
                    said.push(match breaker {
                        "closed" => format!("{failures} failures in a row, again at {} ({} {})", shown(*until), why.code, why.message),
                        "open" => {
                            format!("breaker open until {}, {failures} failures in a row ({} {})", shown(*until), why.code, why.message)
                        }
                        _ => format!("breaker half open: one record tries, {failures} failures in a row ({} {})", why.code, why.message),
                    });
                }
            }
            for spent in &row.spent_up {
                let whose = spent.operation.as_ref().map_or_else(String::new, |operation| format!(" of `{}`", operation.0));
                said.push(format!("the quota{whose} is spent until {}", shown(spent.until)));
            }
            if said.is_empty() {
                said.push("open".into());
            }
            if let Some(since) = row.oldest {
                said.push(format!("the oldest delivery waits since {}", shown(since)));
            }
            line(out, format_args!("  {:<12}{}{shared}: {}", "target", row.target, said.join("; ")));
        }
    }

    /// For programs: everything.
    pub fn json(&self) -> Json {
        let entry = |entry: &Option<(Timestamp, crate::store::EndpointReason)>| {
            entry.as_ref().map(|(until, why)| json!({ "until": until.to_string(), "code": &*why.code, "message": &*why.message }))
        };
        let rows = self.rows.iter().map(|row| {
            let state = row.state.as_ref();
            json!({
                "target": &*row.target,
                "endpoint": &*row.endpoint,
                "waits": state.and_then(|state| entry(&state.waits)),
                "rests": state.and_then(|state| entry(&state.rests)),
                "breaker": state.map_or("closed", |state| breaker_state(state, self.now).0),
                "failures": state.map_or(0, |state| state.failures),
                "closed_until": row.closed.as_ref().map(|(until, _)| until.to_string()),
                "quotas_spent": row.spent_up.iter().map(|spent| json!({
                    "operation": spent.operation.as_ref().map(|operation| &*operation.0), "until": spent.until.to_string()
                })).collect::<Vec<_>>(),
                "windows": row.spent.iter().map(|spent| json!({
                    "operation": spent.operation.as_ref().map(|operation| &*operation.0), "window_seconds": spent.window_seconds,
                    "all_back_at": spent.until.to_string()
                })).collect::<Vec<_>>(),
                "oldest_waiting_since": row.oldest.map(|since| since.to_string()),
            })
        });
        rows.collect()
    }
}

/// What sources have spent this month.
pub(super) struct Budgets {
    spending: Spending,
    now: Timestamp,
}

impl Budgets {
    /// From the state folder.
    pub fn read(reader: &SqliteReader, now: Timestamp) -> Result<Self, StoreError> {
        let kept = reader.settings()?.remove(SPENDING);
        // What is not understood the service tells, with what to do.
        Ok(Self { spending: Spending::of(kept.as_deref()).unwrap_or_default(), now })
    }

    /// For people, a line a source.
    pub fn page(&self, out: &mut String) {
        for (source, spent) in self.spending.at(self.now) {
            let (sum, currency, month) = (spent.spent(), spent.currency(), spent.month());
            let of =
                spent.budget().map_or_else(|| format!("{sum} {currency}, no budget"), |budget| format!("{sum} of {budget} {currency}"));
            let waits = match spent.waits().iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                [] => String::new(),
                streams => format!("; {} wait until {}, or a higher budget (KITH-N075)", streams.join(", "), shown(spent.ends())),
            };
            line(out, format_args!("  {:<12}{source}: {of} in {month}{waits}", "spent"));
        }
    }

    /// For programs; money as text, since it is exact.
    pub fn json(&self) -> Json {
        let one = |(source, spent): (&str, &SpentMoney)| {
            json!({
                "source": source, "month": spent.month(), "currency": spent.currency(), "spent": spent.spent().to_string(),
                "budget": spent.budget().map(|budget| budget.to_string()), "month_ends": spent.ends().to_string(), "waiting": spent.waits(),
            })
        };
        self.spending.at(self.now).map(one).collect()
    }
}

/// To the second.
fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What the running service says of itself.
pub(super) fn service_page(out: &mut String, service: Option<&Standing>) {
    let Some(service) = service else {
        line(out, format_args!("  {:<12}does not run (or another user's)", "service"));
        return;
    };
    let pass = service.last_pass.as_ref().map_or_else(|| "no pass has ended yet".to_owned(), |at| format!("last pass at {at}"));
    line(
        out,
        format_args!("  {:<12}runs since {} (process {}, version {}); {pass}", "service", service.since, service.process, service.version),
    );
    for down in &service.down {
        line(
            out,
            format_args!(
                "  {:<12}{} failed {} times in a row since {}, again at {}: {} {}; {}",
                "DOWN", down.task, down.times, down.since, down.again_at, down.code, down.message, down.remedy
            ),
        );
    }
    let restarts: Vec<String> = service.restarts.iter().map(|(task, count)| format!("{task} {count}")).collect();
    if !restarts.is_empty() {
        line(out, format_args!("  {:<12}{}", "restarts", restarts.join(" · ")));
    }
    if let Some(reload) = &service.reload {
        line(out, format_args!("  {:<12}{} at {}", "reload", if reload.accepted { "accepted" } else { "REFUSED" }, reload.at));
        for reason in reload.reasons.iter().chain(&reload.notes) {
            line(out, format_args!("              {reason}"));
        }
    }
    if let Some(left) = &service.checkpoint {
        line(out, format_args!("  {:<12}over {} entries left at {}", "checkpoint", left.size, left.at));
    }
    for told in &service.arrivals {
        let within =
            |seconds: Option<f64>| seconds.map_or_else(|| "more than an hour".to_owned(), |seconds| format!("at most {seconds} s"));
        let (half, most) = (within(told.half_within), within(told.p99_within));
        let name = format!("{} {}", told.target, told.priority);
        line(
            out,
            format_args!("  {:<12}{name}: {} since the start; from publication half took {half}, 99 % {most}", "arrived", told.count),
        );
    }
    for stream in &service.streams {
        stream_line(out, stream);
    }
    for webhook in &service.webhooks {
        webhook_line(out, webhook);
    }
    for asked in &service.compliance {
        compliance_line(out, asked);
    }
    if let Some(why) = &service.checkpoint_kept {
        line(out, format_args!("  {:<12}KITH-A027: {why}", "checkpoint"));
    }
    if let Some(metrics) = &service.metrics {
        line(out, format_args!("  {:<12}{metrics}", "metrics"));
    }
}

/// What a network is asked about what still stands.
fn compliance_line(out: &mut String, asked: &ComplianceStanding) {
    let ComplianceStanding { question, asked: count, gone, deleted, changed, failures, .. } = asked;
    let ended = asked.ended.as_ref().map_or_else(|| "no round has ended yet".to_owned(), |at| format!("all of it asked about at {at}"));
    let running = asked.round_since.as_ref().map(|since| format!("; a round is under way since {since}")).unwrap_or_default();
    let failing = if *failures == 0 { String::new() } else { format!("; FAILED {failures} times in a row: KITH-N096") };
    line(
        out,
        format_args!(
            "  {:<12}{question}: {ended}{running}; {count} asked about, {gone} gone, {deleted} deleted, {changed} newer{failing}",
            "compliance"
        ),
    );
}

/// A webhook: what came, what was refused, what waits; and how its subscriptions stand.
fn webhook_line(out: &mut String, hook: &WebhookStanding) {
    let drained = grouped(hook.drained);
    let came = if hook.outside {
        let looked = hook.looked.as_ref().map_or_else(|| "never reached".to_owned(), |at| format!("reached last at {at}"));
        format!("fetched from outside, {looked}; {drained} taken in")
    } else {
        format!("{} received; {drained} taken in", grouped(hook.received))
    };
    let refused = parts_of(&hook.refused, "");
    let refused = if refused.is_empty() { String::new() } else { format!("; refused {refused}") };
    let waits = match (&hook.oldest, hook.spool_bytes) {
        (None, _) => "nothing waits".to_owned(),
        (Some(since), None) => format!("the oldest that waited came at {since}"),
        (Some(since), Some(bytes)) => format!("{} KB wait, since {since}", grouped(bytes.div_ceil(1_000))),
    };
    line(out, format_args!("  {:<12}{}: {came}{refused}; {waits}", "webhook", hook.webhook));
    for Subscription { topic, until } in &hook.subscriptions {
        let stands = until.as_ref().map_or_else(|| "NOT CONFIRMED by the hub".to_owned(), |until| format!("holds until {until}"));
        line(out, format_args!("  {:<12}{} of {topic} {stands}", "subscribed", hook.webhook));
    }
}

/// A live stream: connected or not, its last event, what was missed.
fn stream_line(out: &mut String, stream: &StreamStanding) {
    let heard = stream.last_heard.as_deref().unwrap_or("no time");
    let connected = match &stream.connected_since {
        Some(since) => format!("connected since {since}"),
        None if stream.paused => format!("paused, heard last at {heard}"),
        None => format!("NOT CONNECTED, heard last at {heard}"),
    };
    let event = stream.last_event.as_ref().map_or_else(|| "no event yet".to_owned(), |at| format!("last event at {at}"));
    let left = if stream.gaps_left == 0 { String::new() } else { format!(", {} of them for good", stream.gaps_left) };
    let (events, times) = (grouped(stream.events), stream.connections);
    let since_start = format!("since the start opened {times} times, {events} events");
    line(out, format_args!("  {:<12}{}: {connected}; {event}; {} gaps{left}; {since_start}", "stream", stream.stream, stream.gaps));
    if let Some(to) = &stream.gap_to {
        let from = stream.gap_from.as_deref().unwrap_or("the beginning");
        let why = stream.gap_why.as_deref().unwrap_or_default();
        line(out, format_args!("  {:<12}{} from {from} to {to} ({why}) is being read: KITH-N035", "GAP", stream.stream));
    }
}
