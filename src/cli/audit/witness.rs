//! `kith audit witness`: a second party that reads a log, checks that it only grows, and says so by its signature.

use super::super::opened::runtime;
use super::super::{Exit, Session};
use super::verifier;
use crate::audit::VerifierKey;
use crate::pipeline::{Clock as _, SystemClock};
use crate::store::log::{Look, Witness, WitnessError, Witnessed};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `audit witness`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The log's folder, or a copy or share of it; it is only read
    #[arg(long, value_name = "DIR")]
    pub log: PathBuf,
    /// The log's verifier key: a file, or its line. Get it from somebody you trust, not from the log
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The witness's own folder: its key, made at the first call, and what it saw
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// The witness's name, an address of yours without a scheme: `witness.example.com/audit`
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// Where the cosigned checkpoint is written besides: a folder that Kith's `[audit] witnesses` names
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Go on with a log that was put back from a backup of so many entries: only after those who run it answered for it
    #[arg(long, value_name = "ENTRIES", conflicts_with = "every")]
    pub accept_epoch: Option<u64>,
    /// Look again every so many seconds, until stopped; without it, once
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub every: Option<u64>,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let key = verifier(&arguments.key, session)?;
    let witness = Witness::open_or_create(&arguments.state, &arguments.name).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Wrong
    })?;
    let Some(every) = arguments.every else {
        let seen = look(&witness, arguments, &key);
        return Ok(tell(seen, &witness, None, session).1);
    };
    let runtime = runtime(session)?;
    runtime.block_on(async {
        let mut last = None;
        loop {
            let seen = look(&witness, arguments, &key);
            let (size, exit) = tell(seen, &witness, last, session);
            // What can't be read now may be read later; two histories stay two.
            if exit == Exit::Difference {
                return Ok(exit);
            }
            last = size.or(last);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(every)) => {}
                _stopped = tokio::signal::ctrl_c() => return Ok(Exit::Fine),
            }
        }
    })
}

fn look(witness: &Witness, arguments: &Arguments, key: &VerifierKey) -> Result<Witnessed, WitnessError> {
    let seconds = u64::try_from(SystemClock.now().as_second()).unwrap_or_default();
    witness.look(&arguments.log, key, Look { to: arguments.to.as_deref(), seconds, accept: arguments.accept_epoch })
}

/// Tells what was seen, unless it is what was told last; the size, and how the command would end.
fn tell(seen: Result<Witnessed, WitnessError>, witness: &Witness, last: Option<u64>, session: &mut Session) -> (Option<u64>, Exit) {
    match seen {
        Ok(seen) => {
            let size = seen.checkpoint.size;
            if last != Some(size) {
                let (root, file) = (seen.checkpoint.root.to_string(), seen.file.display().to_string());
                if session.terminal.is_json() {
                    session.terminal.json(&json!({ "cosigned": true, "origin": seen.checkpoint.origin, "size": size, "root": root,
                        "before": seen.before, "witness": witness.verifier().to_string(), "file": file }));
                } else {
                    let before = seen.before.map_or_else(|| "the first look at this log".to_owned(), |n| format!("it goes on from {n}"));
                    session.terminal.data(&format!("cosigned: {size} entries of {}, root {root}; {before}", seen.checkpoint.origin));
                    if last.is_none() {
                        session.terminal.note(&format!("{file}\nfor reviewers: {}", witness.verifier()));
                    }
                }
            }
            (Some(size), Exit::Fine)
        }
        Err(error) => {
            let exit = match &error {
                WitnessError::Fork { .. } | WitnessError::Restored { .. } => Exit::Difference,
                WitnessError::Log(error) if !error.is_disk() => Exit::Difference,
                WitnessError::Log(_) | WitnessError::Key(_) => Exit::Failed,
            };
            let problem = error.diagnostic();
            if session.terminal.is_json() {
                session.terminal.json(&json!({ "cosigned": false, "problem": problem.to_json() }));
            }
            session.terminal.problem(&problem);
            (None, exit)
        }
    }
}
