//! `kith keys`: the installation's keys.

use super::opened::{parts_for_reading, runtime, who};
use super::{Exit, Session};
use crate::pipeline::{Clock, SystemClock, rotate_master};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Commands about keys.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Wrap every person's key under a new master key; no service may run meanwhile
    RotateMaster(RotateArguments),
}

/// Arguments of `keys rotate-master`.
#[derive(clap::Args, Debug)]
pub struct RotateArguments {
    /// Where `[keys]` gives the keys as secrets: the file that holds the new key, made where it is not there yet. It becomes the secret afterwards
    #[arg(long, value_name = "FILE")]
    pub next: Option<PathBuf>,
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    let Command::RotateMaster(arguments) = command;
    rotate(arguments, session).unwrap_or_else(|exit| exit)
}

fn rotate(arguments: &RotateArguments, session: &mut Session) -> Result<Exit, Exit> {
    let (_, parts) = parts_for_reading(session)?;
    let who = who(session, &parts.config);
    let runtime = runtime(session)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let rotated = runtime.block_on(rotate_master(&parts, &who, &clock, arguments.next.as_deref())).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    })?;
    if session.terminal.is_json() {
        session.terminal.json(&json!({ "master": rotated.id.to_string(), "previous": rotated.previous.to_string(), "keys": rotated.keys }));
    } else {
        session.terminal.data(&format!(
            "{} keys are wrapped under the master key {}; {} opens nothing any more",
            rotated.keys, rotated.id, rotated.previous
        ));
        match &arguments.next {
            Some(file) => {
                session.terminal.note(&format!("give {} to the service as `[keys] master` before it starts again", file.display()));
            }
            None => session
                .terminal
                .note("put the new master.key into your backup of the keys; the old one serves old backups of the state alone"),
        }
    }
    Ok(Exit::Fine)
}
