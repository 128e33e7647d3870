//! `kith mapping release` and `rollback`: another mapping comes into force, through the running service or in the state folder.

use crate::cli::argument::wrong;
use crate::cli::opened::{Keys, WhichMapping, configuration, parts_if_state, parts_of, project_with, runtime, who};
use crate::cli::{Exit, Session};
use crate::declare::mapping::run_tests;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::pipeline::{IN_FORCE, MAX_NOTE, ReleaseAsk, Reloaded, RunError, SystemClock, ask_release, is_note, release_here};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

const NOT_RELEASED: Code = Code("KITH-R066");
const TESTS_FAIL: Code = Code("KITH-R067");

/// Arguments of `mapping release`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The mapping; without it, the file that the configuration names. No other file can be released
    pub file: Option<PathBuf>,
    /// Why, in a sentence. It stands in the log as it is: name no customers in it
    #[arg(long, value_name = "TEXT")]
    pub note: String,
}

/// Arguments of `mapping rollback`.
#[derive(clap::Args, Debug)]
pub struct RollbackArguments {
    /// The release, by the first digits of its hash or of its mapping's digest
    pub hash: String,
    /// Why, in a sentence
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

fn note<'t>(session: &mut Session, text: &'t str) -> Result<&'t str, Exit> {
    let note = text.trim();
    if !is_note(note) {
        let message = format!("a note is one line of 1 to {MAX_NOTE} bytes");
        return Err(wrong(session, "--note", message, "say in a sentence why the mapping changes"));
    }
    Ok(note)
}

pub(super) fn release(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let note = note(session, &arguments.note)?.to_owned();
    let project = project_with(session, WhichMapping::File)?;
    let active = &project.config.service.mapping;
    if let Some(file) = &arguments.file {
        let same = std::fs::canonicalize(file).ok().zip(std::fs::canonicalize(active).ok()).is_some_and(|(one, other)| one == other);
        if !same {
            let message = format!("the service's mapping is {}, and only that file can be released", active.display());
            let remedy = "write the draft into that file, or name this one in `[service] mapping`";
            session.terminal.problem(&Diagnostic::error(NOT_RELEASED, Place::Path(file.display().to_string()), message, remedy));
            return Err(Exit::Wrong);
        }
    }
    let failed: Vec<String> =
        run_tests(&project.rulebook).results.iter().filter(|r| !r.failures.is_empty()).map(|r| r.name.to_string()).collect();
    if !failed.is_empty() {
        let message = format!("{} of its tests fail: {}", failed.len(), failed.join("; "));
        let place = Place::Path(active.display().to_string());
        session.terminal.problem(&Diagnostic::error(
            TESTS_FAIL,
            place,
            message,
            "`kith test` says what came out; mend the mapping, or its tests",
        ));
        return Err(Exit::Failed);
    }
    let hash = project.rulebook.hash().to_string();
    let ask = ReleaseAsk { rollback: false, hash, note: Some(note) };
    if let Some(done) = through_the_service(&project.config.service.state, &ask, session)? {
        return told(session, &ask, &done);
    }
    let (_, parts) = parts_if_state(project, session)?;
    here(parts, &ask, session)
}

pub(super) fn rollback(arguments: &RollbackArguments, session: &mut Session) -> Result<Exit, Exit> {
    let note = arguments.note.as_deref().map(|text| note(session, text).map(str::to_owned)).transpose()?;
    let ask = ReleaseAsk { rollback: true, hash: arguments.hash.trim().to_owned(), note };
    let config = configuration(session)?;
    if let Some(done) = through_the_service(&config.service.state, &ask, session)? {
        return told(session, &ask, &done);
    }
    let project = project_with(session, WhichMapping::InForce)?;
    if !project.config.service.state.join(crate::store::sqlite::DATABASE_FILE).exists() {
        let error = crate::store::StoreError::Absent(project.config.service.state.display().to_string());
        session.terminal.problem(&error.diagnostic());
        return Err(Exit::Failed);
    }
    let (_, parts) = parts_of(project, session, Keys::There)?;
    here(parts, &ask, session)
}

fn through_the_service(state: &std::path::Path, ask: &ReleaseAsk, session: &mut Session) -> Result<Option<Reloaded>, Exit> {
    let runtime = runtime(session)?;
    runtime.block_on(ask_release(state, ask, session.environment.user())).map_err(|error: RunError| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    })
}

fn told(session: &mut Session, ask: &ReleaseAsk, done: &Reloaded) -> Result<Exit, Exit> {
    if done.accepted {
        let hash = done.notes.iter().find_map(|note| note.strip_prefix(IN_FORCE));
        return Ok(in_force(session, ask, hash.unwrap_or(&ask.hash)));
    }
    let message = format!("the service refused it, what was in force stays:\n  {}", done.reasons.join("\n  "));
    let problem = Diagnostic::error(NOT_RELEASED, Place::Named("the mapping".into()), message, "mend what it says, and release again");
    session.terminal.problem(&problem);
    Err(Exit::Failed)
}

fn here(parts: crate::pipeline::Parts, ask: &ReleaseAsk, session: &mut Session) -> Result<Exit, Exit> {
    let who = who(session, &parts.config);
    let runtime = runtime(session)?;
    match runtime.block_on(release_here(parts, who, ask, Arc::new(SystemClock))) {
        Ok(hash) => Ok(in_force(session, ask, &hash.to_string())),
        Err(problems) => {
            session.terminal.problems(&problems);
            Err(Exit::Failed)
        }
    }
}

fn in_force(session: &mut Session, ask: &ReleaseAsk, hash: &str) -> Exit {
    let how = if ask.rollback { "rolled back" } else { "released" };
    if session.terminal.is_json() {
        session.terminal.json(&json!({ "hash": hash, "how": how.replace(' ', "-"), "note": ask.note }));
    } else {
        let short: String = hash.chars().take(12).collect();
        session.terminal.data(&format!("{how}: {short} is in force"));
        session.terminal.note("  who would be decided otherwise now: kith match changes");
    }
    Exit::Fine
}
