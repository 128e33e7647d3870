//! `kith run`: the service, or one pass with `--once`; its summary says how everything stands and where to look next.

use super::opened::{Keys, acting_parts, draft_again, load_again, runtime, who};
use super::page::{line, text};
use super::progress::Bars;
use super::{Exit, Session, start_logging};
use crate::declare::config::TargetPlace;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::Outcome;
use crate::pipeline::{Accuracy, Fault, Manager, Reloading, RunError, RunOptions, Service, Summary, SystemClock, Truth};
use crate::store::sqlite::{LinkFilter, SqliteReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

const NO_TRUTH: Code = Code("KITH-R002");
/// Threads that still write somewhere when the service has ended: their outcome is unknown and settled at the next start.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Arguments of `run`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// End when the sources are drained and nothing more can be sent
    #[arg(long)]
    pub once: bool,
    /// Write at most so many records to targets
    #[arg(long, value_name = "N")]
    pub max_writes: Option<u64>,
    /// Accept a customers file that retires or relinks more than the mapping's guard allows
    #[arg(long)]
    pub approve_customers: bool,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    running(arguments, session).unwrap_or_else(|exit| exit)
}

fn running(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let (project, parts) = acting_parts(session, Keys::Made)?;
    start_logging(project.config.log, session);
    let runtime = runtime(session)?;
    let options = RunOptions { once: arguments.once, max_writes: arguments.max_writes, approve_customers: arguments.approve_customers };
    let state = parts.config.service.state.clone();
    let bars = Arc::new(Bars::new(session.terminal.shows_progress()));
    let who = who(session, &parts.config);
    let keys = parts.keys.clone();
    let (global, environment) = (session.global.clone(), session.environment.clone());
    let manager = Manager::of(environment.variable("NOTIFY_SOCKET"), environment.variable("WATCHDOG_USEC")).unwrap_or_else(|error| {
        tracing::warn!(%error, "the service manager's socket can't be used");
        Manager::default()
    });
    let outcome = runtime.block_on(async {
        let Signals { stopped, again, hangups } = Signals::heard(options.once)?;
        let (global_too, environment_too) = (global.clone(), environment.clone());
        let draft = Arc::new(move || draft_again(&global_too, &environment_too));
        let reloading = Reloading { load: Arc::new(move || load_again(&global, &environment)), draft, hangups };
        let service = Service::open(parts, who, Arc::new(SystemClock), bars.clone())?.managed_by(manager).reloading(reloading);
        let running = Box::pin(service.run(&options, stopped));
        tokio::select! {
            outcome = running => outcome,
            Ok(()) = again => Err(RunError::Interrupted),
        }
    });
    runtime.shutdown_timeout(LAST_WORDS);
    bars.clear();
    let summary = match outcome {
        Ok(summary) => summary,
        Err(error) => {
            session.terminal.problem(&error.diagnostic());
            return Err(Exit::Failed);
        }
    };
    let accuracy = project.config.evaluate.truth.as_deref().and_then(|truth| match judge(truth, &state, &keys) {
        Ok(accuracy) => Some(accuracy),
        Err(problem) => {
            session.terminal.problem(&problem);
            None
        }
    });
    for problem in &summary.aside {
        session.terminal.problem(problem);
    }
    for fault in &summary.faults {
        session.terminal.problem(&fault.diagnostic());
    }
    if session.terminal.is_json() {
        let mut json = serde_json::to_value(&summary).unwrap_or_default();
        if let (Some(members), Some(accuracy)) = (json.as_object_mut(), accuracy) {
            members.insert("accuracy".into(), serde_json::to_value(accuracy).unwrap_or_default());
        }
        session.terminal.json(&json);
    } else {
        session.terminal.data(&page(&summary, accuracy, &project.config));
    }
    Ok(if summary.faults.is_empty() { Exit::Fine } else { Exit::Failed })
}

/// What the system's signals ask for.
pub(super) struct Signals {
    /// SIGINT and SIGTERM ask for an orderly end,
    pub stopped: watch::Receiver<bool>,
    /// a second one of them for the end at once.
    pub again: oneshot::Receiver<()>,
    /// SIGHUP asks for a reload. A single pass does not reload: there the signal ends it as it does other programs.
    pub hangups: mpsc::Receiver<()>,
}

impl Signals {
    pub(super) fn heard(once: bool) -> Result<Self, RunError> {
        use tokio::signal::unix::{SignalKind, signal};
        let heard = |kind| signal(kind).map_err(RunError::Control);
        let (stop, stopped) = watch::channel(false);
        let (now, again) = oneshot::channel();
        let (mut terminate, mut interrupt) = (heard(SignalKind::terminate())?, heard(SignalKind::interrupt())?);
        tokio::spawn(async move {
            for first in [true, false] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if first {
                    tracing::info!("stopping: what is being sent is finished, the rest stays in the outbox; a second signal ends at once");
                    stop.send_replace(true);
                }
            }
            tracing::warn!("ended at once: what is being sent is settled at the next start");
            if now.send(()).is_err() {
                tracing::debug!("the service has ended already");
            }
            // The channel stays open: a closed one would read as a stop that nobody asked for.
            std::future::pending::<()>().await;
        });
        let (hangup, hangups) = mpsc::channel(1);
        if !once {
            let mut hangs_up = heard(SignalKind::hangup())?;
            tokio::spawn(async move {
                while hangs_up.recv().await.is_some() {
                    if hangup.try_send(()).is_err() {
                        tracing::debug!("a reload waits already: it reads the files as they are then");
                    }
                }
            });
        }
        Ok(Self { stopped, again, hangups })
    }
}

fn judge(truth: &Path, state: &Path, keys: &crate::store::log::InstallationKeys) -> Result<Accuracy, Diagnostic> {
    let labels = Truth::read(truth).map_err(|error| {
        let remedy = "give a CSV file with the columns profile_id and customer_id, or take [evaluate] out";
        Diagnostic::error(NO_TRUTH, Place::Path(truth.display().to_string()), format!("the truth can't be read: {error}"), remedy)
    })?;
    let reader = SqliteReader::open(state, keys.master.clone(), keys.hash.clone()).map_err(|e| e.diagnostic())?;
    let mut links = Vec::new();
    let linked = LinkFilter { outcome: Some(Outcome::Linked), ..LinkFilter::default() };
    reader
        .links(&linked, |row| {
            links.extend(row.account.zip(row.customer));
            ControlFlow::Continue(())
        })
        .map_err(|e| e.diagnostic())?;
    Ok(labels.judge(links.iter().map(|(identity, customer)| (&**identity, customer.as_str()))))
}

/// `1,234,567`
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Names and counts, largest first, of those that begin with `prefix`.
pub(super) fn parts_of(counts: &std::collections::BTreeMap<String, u64>, prefix: &str) -> String {
    let mut parts: Vec<(&str, u64)> =
        counts.iter().filter_map(|(name, count)| Some((name.strip_prefix(prefix)?, *count))).filter(|(_, c)| *c > 0).collect();
    parts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    parts.iter().map(|(name, count)| format!("{name} {}", grouped(*count))).collect::<Vec<_>>().join(" · ")
}

fn page(summary: &Summary, accuracy: Option<Accuracy>, config: &crate::declare::config::Config) -> String {
    let mut out = String::new();
    let mut row = |label: &str, count: u64, about: &str| {
        let about = if about.is_empty() { String::new() } else { format!("   {about}") };
        line(&mut out, format_args!("  {label:<12}{:>9}{about}", grouped(count)));
    };
    let totals = &summary.totals;
    if summary.this_run.did_nothing() {
        row("new", 0, "nothing new: every source was read before, every decision stands, nothing waits for a target");
    }
    row("received", summary.received, &format!("activities and malformed lines; {} exact repeats besides", grouped(summary.duplicates)));
    let d = &summary.decisions;
    let identities = d.linked + d.not_linked + d.review + d.not_permitted + d.undetermined;
    let mut about = format!("linked {} · review {} · not linked {}", grouped(d.linked), grouped(d.review), grouped(d.not_linked));
    for (name, count) in [("not permitted", d.not_permitted), ("undetermined", d.undetermined)] {
        if count > 0 {
            text(&mut about, format_args!(" · {name} {}", grouped(count)));
        }
    }
    row("identities", identities, &about);
    row("delivered", summary.delivered, &parts_of(&totals.deliveries, ""));
    row("dropped", summary.dropped, &parts_of(&totals.activities, "dropped: "));
    row("parked", summary.parked, &parts_of(&totals.parked, ""));
    row("in flight", summary.in_flight, &parts_of(&totals.activities, "in_flight: "));
    if summary.erased > 0 {
        row("erased", summary.erased, "");
    }
    line(
        &mut out,
        format_args!(
            "\n  conservation  {} received = {} delivered + {} parked + {} dropped + {} erased + {} in flight (gap {})",
            grouped(summary.received),
            grouped(summary.delivered),
            grouped(summary.parked),
            grouped(summary.dropped),
            grouped(summary.erased),
            grouped(summary.in_flight),
            summary.conservation_gap
        ),
    );
    if let Some(a) = accuracy {
        line(
            &mut out,
            format_args!(
                "  accuracy      precision {:.1} % ({} of {} links are right), recall {:.1} % ({} people are customers)",
                a.precision * 100.0,
                grouped(a.correct),
                grouped(a.links),
                a.recall * 100.0,
                grouped(a.customers_in_truth)
            ),
        );
    }
    let memory = summary.peak_rss_bytes.map_or_else(String::new, |bytes| format!(", {} MB of memory at most", bytes / 1_000_000));
    line(
        &mut out,
        format_args!("  this run      {:.1} s{memory}; {} entries in the audit log", summary.seconds, grouped(summary.log_entries)),
    );
    for wait in &summary.waits {
        line(&mut out, format_args!("  waiting       {} waits until {}: {}", wait.target, wait.until, wait.why));
    }
    line(&mut out, format_args!("\n  look next     kith status · kith link list · kith audit verify"));
    for target in &config.targets {
        let place = match &target.place {
            TargetPlace::File(path) => path.display().to_string(),
            TargetPlace::Service(service) => service.url.clone(),
            TargetPlace::Server(server) => format!("{} on {}", server.database, server.address),
        };
        line(&mut out, format_args!("                {place} holds what was written to {}", target.name));
    }
    if summary.parked > 0 {
        line(&mut out, format_args!("                kith dead-letter list says what stands aside and why"));
    }
    out
}

impl Fault {
    /// As a problem to be told.
    pub(super) fn diagnostic(&self) -> Diagnostic {
        Diagnostic::error(Code(self.code), Place::Named(self.place.clone()), self.message.clone(), self.remedy.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 42_221, 1_234_567].map(grouped), ["0", "999", "1,000", "42,221", "1,234,567"]);
    }
}
