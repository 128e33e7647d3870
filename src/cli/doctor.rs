//! `kith doctor`: whether everything can be reached and stands as it should; with `--store` the state folder is examined row by row and
//! mended.

mod taps;

use super::opened::{Keys, parts, parts_for_reading, runtime, who};
use super::page::line;
use super::run::grouped;
use super::terminal::plural;
use super::{Exit, Session};
use crate::customers::Looked;
use crate::declare::config::TableKind;
use crate::deliver::{AnyTarget, Target as _};
use crate::diagnose::{Code, Diagnostic, Place, Problems, Severity};
use crate::pipeline::{BACKED_UP, Clock as _, Findings, KEYS_CONFIRMED, Parts, SystemClock, examine_store, fingerprint};
use crate::store::log;
use crate::store::sqlite::doctor::{Finding, Limits, Repair};
use crate::store::sqlite::{DATABASE_FILE, SqliteReader};
use serde_json::{Value as Json, json};
use std::path::Path;

/// Arguments of `doctor`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Examine the state folder row by row and repair what can be repaired; no service may run
    #[arg(long)]
    pub store: bool,
    /// With --store: only look; exit 3 where something is found
    #[arg(long, requires = "store")]
    pub dry_run: bool,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    let done = if arguments.store { store(arguments, session) } else { look(session) };
    done.unwrap_or_else(|exit| exit)
}

fn store(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let (_, parts) = parts_for_reading(session)?;
    let who = who(session, &parts.config);
    let findings = examine_store(&parts, &who, Limits::default(), arguments.dry_run, SystemClock.now()).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    })?;
    let exit = match (findings.found.is_empty(), arguments.dry_run, findings.any_impossible()) {
        (false, true, _) => Exit::Difference,
        (false, false, true) => Exit::Failed,
        (true, ..) | (false, false, false) => Exit::Fine,
    };
    if session.terminal.is_json() {
        session.terminal.json(&store_json(&findings, arguments.dry_run));
    } else {
        session.terminal.data(&store_page(&findings, &parts.config.service.state));
    }
    Ok(exit)
}

fn word(repair: &Repair) -> (&'static str, &str) {
    match repair {
        Repair::Done(text) => ("repaired", text),
        Repair::Possible(text) => ("would be repaired", text),
        Repair::Impossible(text) => ("not repaired", text),
    }
}

fn store_json(findings: &Findings, dry_run: bool) -> Json {
    let found: Vec<Json> = findings
        .found
        .iter()
        .map(|f| {
            let (done, text) = word(&f.repair);
            json!({ "check": f.check, "code": f.code, "what": f.what, "count": f.count, "repair": done, "told": text })
        })
        .collect();
    json!({ "findings": found, "dry_run": dry_run, "complete": findings.complete, "log_entries": findings.log_entries })
}

fn store_page(findings: &Findings, state: &Path) -> String {
    let mut out = String::new();
    for Finding { check, code, what, count, repair } in &findings.found {
        let (done, text) = word(repair);
        line(&mut out, format_args!("{code}  {check}: {what} ({})", grouped(*count)));
        line(&mut out, format_args!("           {done}: {text}"));
    }
    if !findings.complete {
        line(&mut out, format_args!("the rows were not looked at, and nothing in them was changed: what they stand on does not hold"));
    }
    let state = state.display();
    let entries = grouped(findings.log_entries);
    if findings.found.is_empty() {
        line(
            &mut out,
            format_args!("the state in {state} is sound: file, rows, counters, content, times, and {entries} entries of the log"),
        );
    } else {
        let mended = findings.found.iter().filter(|f| matches!(f.repair, Repair::Done(_))).count();
        let left = findings.found.len() - mended;
        line(
            &mut out,
            format_args!(
                "{} found in {state}, {mended} repaired, {left} left; {entries} entries in the log",
                plural(findings.found.len(), "fault")
            ),
        );
    }
    out
}

/// What a look at the state folder says.
struct Standing {
    received: u64,
    gap: u64,
    entries: u64,
    integrated: Option<u64>,
    dead_letters: u64,
    free: Option<u64>,
    /// When the last backup was made.
    backup: Option<String>,
    /// Since when the keys in force are known to be kept elsewhere.
    keys_kept: Option<String>,
}

fn look(session: &mut Session) -> Result<Exit, Exit> {
    let (_, parts) = parts(session, Keys::Borrowed)?;
    let runtime = runtime(session)?;
    let mut exit = Exit::Fine;
    let mut told = Vec::new();
    for (spec, file) in &parts.targets {
        let target = AnyTarget::new(spec, file.clone(), &parts.rulebook.enrich.deliver);
        let Problems(problems) = runtime.block_on(target.check());
        let errors = problems.iter().filter(|p| p.severity == Severity::Error).count();
        if errors > 0 {
            exit = Exit::Failed;
        }
        for problem in &problems {
            session.terminal.problem(problem);
        }
        told.push((spec.name.to_string(), problems));
    }
    let tables = tables(session, &parts);
    let taps = taps::look(session, &parts);
    if tables.iter().chain(&taps).any(|(_, problems)| problems.iter().any(|problem| problem.severity == Severity::Error)) {
        exit = Exit::Failed;
    }
    let standing = match standing(&parts) {
        Ok(standing) => standing,
        Err(problem) => {
            session.terminal.problem(&problem);
            exit = Exit::Failed;
            None
        }
    };
    if standing.as_ref().is_some_and(|s| s.gap != 0) {
        exit = exit.max(Exit::Difference);
    }
    if standing.as_ref().is_some_and(|s| s.keys_kept.is_none()) {
        let place = Place::Named("the installation's keys".into());
        let message = "nobody has confirmed that they are kept elsewhere: without them no backup can be used";
        session.terminal.problem(&Diagnostic::warning(Code("KITH-B010"), place, message, "kith keys escrow, then kith keys confirm"));
    }
    if session.terminal.is_json() {
        let targets: Vec<Json> = told
            .iter()
            .map(|(name, problems)| json!({ "target": name, "problems": problems.iter().map(Diagnostic::to_json).collect::<Vec<_>>() }))
            .collect();
        let state = standing.as_ref().map(|s| {
            json!({ "received": s.received, "conservation_gap": s.gap, "log_entries": s.entries, "integrated": s.integrated,
                    "dead_letters": s.dead_letters, "free_bytes": s.free, "last_backup": s.backup, "keys_confirmed": s.keys_kept })
        });
        let of = |kind: &str, (name, problems): &(String, Vec<Diagnostic>)| json!({ (kind): name, "problems": problems.iter().map(Diagnostic::to_json).collect::<Vec<_>>() });
        let tables: Vec<Json> = tables.iter().map(|told| of("table", told)).collect();
        let taps: Vec<Json> = taps.iter().map(|told| of("tap", told)).collect();
        session.terminal.json(&json!({ "targets": targets, "tables": tables, "taps": taps, "state": state }));
        return Ok(exit);
    }
    let mut out = String::new();
    for (name, problems) in &told {
        let how =
            if problems.is_empty() { "fits its file".to_owned() } else { format!("{}, told above", plural(problems.len(), "problem")) };
        line(&mut out, format_args!("  {:<28}{how}", format!("target {name}")));
    }
    let fine = tables.iter().map(|told| (told, "can be read")).chain(taps.iter().map(|told| (told, "can be started")));
    for ((name, problems), fine) in fine {
        let how = if problems.is_empty() { fine.to_owned() } else { format!("{}, told above", plural(problems.len(), "problem")) };
        line(&mut out, format_args!("  {name:<28}{how}"));
    }
    let state = parts.config.service.state.display();
    match &standing {
        None if exit == Exit::Fine => line(&mut out, format_args!("  {:<28}there is none yet in {state}", "state")),
        None => {}
        Some(s) => {
            line(&mut out, format_args!("  {:<28}{} received, conservation gap {}", "state", grouped(s.received), s.gap));
            if s.dead_letters > 0 {
                line(&mut out, format_args!("  {:<28}{}; kith dead-letter list", "dead letters", grouped(s.dead_letters)));
            }
            let integrated = s
                .integrated
                .map_or_else(|| "no checkpoint yet".to_owned(), |n| format!("the checkpoint covers {} and fits its tiles", grouped(n)));
            line(&mut out, format_args!("  {:<28}{} entries; {integrated}", "audit log", grouped(s.entries)));
            let backup = s.backup.as_deref().map_or_else(|| "none was made".to_owned(), |at| format!("the last one {at}"));
            line(&mut out, format_args!("  {:<28}{backup}", "backup"));
            if let Some(at) = &s.keys_kept {
                line(&mut out, format_args!("  {:<28}kept elsewhere, seen {at}", "keys"));
            }
            if let Some(free) = s.free {
                line(&mut out, format_args!("  {:<28}{} MB", "room on the disk", grouped(free / 1_000_000)));
            }
        }
    }
    if standing.as_ref().is_some_and(|s| s.gap != 0) {
        line(&mut out, format_args!("\n  the gap must be 0: stop the service and look closer with kith doctor --store --dry-run"));
    }
    session.terminal.data(&out);
    session.terminal.note("kith doctor --store looks closer, while no service runs");
    Ok(exit)
}

/// The tables that are read from servers: whether they can be reached and read, and whether the key can be one.
fn tables(session: &mut Session, parts: &Parts) -> Vec<(String, Vec<Diagnostic>)> {
    let customers = parts.config.customers.iter().map(|spec| ("customers", spec));
    let related = parts.config.related.iter().map(|spec| ("related", spec));
    let mut told = Vec::new();
    for (kind, spec) in customers.chain(related) {
        let TableKind::SqlServer(rows) = &spec.kind else { continue };
        let place = Place::Path(format!("[{kind}.{}]", spec.name));
        let problems = match crate::customers::look(spec) {
            Ok(None) => Vec::new(),
            Ok(Some(looked)) => looked_at(&looked, &place, kind == "customers", &rows.key),
            Err(error) => vec![error.diagnostic()],
        };
        for problem in &problems {
            session.terminal.problem(problem);
        }
        told.push((format!("{kind} {}", spec.name), problems));
    }
    told
}

fn looked_at(looked: &Looked, place: &Place, customers: bool, key: &str) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    if looked.may_read == Some(false) {
        let message = "the login may not read the table";
        problems.push(Diagnostic::error(Code("KITH-U015"), place.clone(), message, "let the DBA grant SELECT on it to the login"));
    }
    if customers && looked.unique == Some(false) {
        let message = format!(
            "no unique index says that `{key}` identifies a row: rows with one key stand aside, and pages are read without an index"
        );
        let remedy = "let the DBA add a unique index, or name the column that has one in `key`";
        problems.push(Diagnostic::warning(Code("KITH-U034"), place.clone(), message, remedy));
    }
    if customers && looked.nullable && looked.unique.is_some() {
        let message = format!("the key `{key}` may be NULL: such rows stand aside");
        problems.push(Diagnostic::warning(Code("KITH-U034"), place.clone(), message, "declare the column NOT NULL, or name another key"));
    }
    problems
}

fn standing(parts: &Parts) -> Result<Option<Standing>, Diagnostic> {
    let state = &parts.config.service.state;
    if !state.join(DATABASE_FILE).exists() {
        return Ok(None);
    }
    let reader = SqliteReader::open(state, parts.keys.master.clone(), parts.keys.hash.clone()).map_err(|e| e.diagnostic())?;
    let totals = reader.totals().map_err(|e| e.diagnostic())?;
    let checkpoint = log::checkpoint(&state.join("log"), &parts.keys.log).map_err(|e| e.diagnostic())?;
    let (sum, gap) = totals.sum();
    let settings = reader.settings().map_err(|e| e.diagnostic())?;
    let word = |name: &str, at: usize| settings.get(name).and_then(|value| value.split(' ').nth(at)).map(str::to_owned);
    let kept = settings.get(KEYS_CONFIRMED).and_then(|kept| kept.strip_prefix(&fingerprint(&parts.keys)));
    let free = rustix::fs::statvfs(state).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    Ok(Some(Standing {
        received: sum.received,
        gap,
        entries: totals.leaves,
        integrated: checkpoint.map(|c| c.size),
        dead_letters: totals.parked.values().sum(),
        free,
        backup: word(BACKED_UP, 1),
        keys_kept: kept.map(|at| at.trim().to_owned()),
    }))
}
