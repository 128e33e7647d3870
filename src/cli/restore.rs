//! `kith restore`: a state folder from a backup, with everybody who was erased since still erased.

use super::backup::told;
use super::opened::{Keys, parts, runtime, who};
use super::page::line;
use super::run::grouped;
use super::{Exit, Session};
use crate::pipeline::{Clock, RestoreAsked, RestoreReport, SystemClock, restore};
use crate::store::backup::Identities;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `restore`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The backup
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The secret key that opens it, as `age-keygen` wrote it
    #[arg(long, value_name = "FILE")]
    pub identity: PathBuf,
    /// A ledger of erasures, a file or folder, beside that of `[backup] erasures_to`
    #[arg(long, value_name = "PATH")]
    pub erasures: Vec<PathBuf>,
    /// Go on without a ledger: whoever was erased since the backup comes back until it is asked for again
    #[arg(long)]
    pub without_erasures: bool,
    /// Put the state folder that is there aside; no service may run
    #[arg(long)]
    pub replace: bool,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    put_back(arguments, session).unwrap_or_else(|exit| exit)
}

fn put_back(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let (_, parts) = parts(session, Keys::There)?;
    let identities = told(Identities::read(&arguments.identity), session)?;
    let asked = RestoreAsked {
        file: arguments.file.clone(),
        identities,
        erasures: arguments.erasures.clone(),
        without_erasures: arguments.without_erasures,
        replace: arguments.replace,
    };
    let who = who(session, &parts.config);
    let runtime = runtime(session)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let report = runtime.block_on(restore(&parts, &who, &clock, asked)).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    })?;
    if session.terminal.is_json() {
        let back: Vec<String> = report.put_back.iter().map(|path| path.display().to_string()).collect();
        session.terminal.json(&json!({ "made": report.manifest.made.to_string(), "entries": report.manifest.entries,
            "lost": report.lost.map(|(size, _)| size), "in_ledger": report.in_ledger, "forgotten": report.forgotten,
            "unfinished": report.unfinished, "unknown": report.unknown, "put_back": back,
            "aside": report.aside.as_ref().map(|path| path.display().to_string()), "sha256": report.digest.to_string() }));
    } else {
        let page = page(&report, arguments);
        session.terminal.data(page.trim_end());
    }
    Ok(Exit::Fine)
}

fn page(report: &RestoreReport, arguments: &Arguments) -> String {
    let mut out = String::new();
    let entries = report.manifest.entries;
    line(&mut out, format_args!("  restored        the state of {}, {} entries of the log", report.manifest.made, grouped(entries)));
    match report.lost {
        Some((size, _)) => line(
            &mut out,
            format_args!(
                "  log             a new epoch begins with entry {entries}: {} entries that left the machine are gone. Tell the reviewers; \
                 a witness goes on with --accept-epoch {entries}",
                grouped(size.saturating_sub(entries))
            ),
        ),
        None => line(
            &mut out,
            format_args!("  log             a new epoch begins with entry {entries}; no checkpoint that is known covers more"),
        ),
    }
    let ledger = if arguments.without_erasures && report.in_ledger == 0 {
        "no ledger was read: ask again for every erasure since the backup".to_owned()
    } else {
        format!("{} people in the ledger, {} of them erased again here", grouped(report.in_ledger), grouped(report.forgotten))
    };
    line(&mut out, format_args!("  erased          {ledger}"));
    for person in &report.unfinished {
        line(&mut out, format_args!("                  not finished before: look in the CRM for what was written since about {person}"));
    }
    line(&mut out, format_args!("  deliveries      {} are unknown and are settled by asking the targets", grouped(report.unknown)));
    line(
        &mut out,
        format_args!("  drop folders    {} files were put back to be read again; what is there counts as repeats", report.put_back.len()),
    );
    if let Some(aside) = &report.aside {
        line(
            &mut out,
            format_args!(
                "  before          the folder that was there is {}: it holds personal data, remove it when all is well",
                aside.display()
            ),
        );
    }
    line(&mut out, format_args!("\n  next            kith audit verify · kith run · kith subject removals"));
    out
}
