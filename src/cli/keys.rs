//! `kith keys`: the installation's keys.

use super::backup::{recipients, told};
use super::opened::{parts_for_reading, runtime, who};
use super::{Exit, Session};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::pipeline::{Clock, SystemClock, fingerprint, record_keys, rotate_master};
use crate::store::backup::{Identities, digest_of, seal_small, unseal_small};
use crate::store::log::InstallationKeys;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Commands about keys.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Wrap every person's key under a new master key; no service may run meanwhile
    RotateMaster(RotateArguments),
    /// Seal the three keys into a file that is kept elsewhere: without them no backup can be used
    Escrow(EscrowArguments),
    /// Open such a file and see that it holds the keys in force; from then on `kith doctor` does not warn
    Confirm(ConfirmArguments),
    /// Put keys from such a file into an empty `keys/` of the state folder, before `kith restore`
    Recover(ConfirmArguments),
}

/// Arguments of `keys escrow`.
#[derive(clap::Args, Debug)]
pub struct EscrowArguments {
    /// The file, which is made
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// A file of public keys, one a line: who can open it; without it, the one of `[backup] recipients`
    #[arg(long, value_name = "FILE")]
    pub recipients: Option<PathBuf>,
}

/// Arguments of `keys confirm` and `keys recover`.
#[derive(clap::Args, Debug)]
pub struct ConfirmArguments {
    /// The sealed file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The secret key that opens it, as `age-keygen` wrote it
    #[arg(long, value_name = "FILE")]
    pub identity: PathBuf,
}

const OTHER_KEYS: Code = Code("KITH-B009");

/// Arguments of `keys rotate-master`.
#[derive(clap::Args, Debug)]
pub struct RotateArguments {
    /// Where `[keys]` gives the keys as secrets: the file that holds the new key, made where it is not there yet. It becomes the secret afterwards
    #[arg(long, value_name = "FILE")]
    pub next: Option<PathBuf>,
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    let done = match command {
        Command::RotateMaster(arguments) => rotate(arguments, session),
        Command::Escrow(arguments) => escrow(arguments, session),
        Command::Confirm(arguments) => confirm(arguments, session),
        Command::Recover(arguments) => recover(arguments, session),
    };
    done.unwrap_or_else(|exit| exit)
}

fn escrow(arguments: &EscrowArguments, session: &mut Session) -> Result<Exit, Exit> {
    let (_, parts) = parts_for_reading(session)?;
    let recipients = recipients(arguments.recipients.as_deref(), &parts.config, session)?;
    let who = who(session, &parts.config);
    let runtime = runtime(session)?;
    told(seal_small(&arguments.to, &parts.keys.to_lines(), &recipients), session)?;
    let (digest, _) = told(digest_of(&arguments.to), session)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    runtime.block_on(record_keys(&parts, &who, &clock, digest, false)).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        // What the log does not know of does not leave.
        drop(std::fs::remove_file(&arguments.to));
        Exit::Failed
    })?;
    let ids = fingerprint(&parts.keys);
    if session.terminal.is_json() {
        session.terminal.json(&json!({ "file": arguments.to.display().to_string(), "keys": ids, "sha256": digest.to_string() }));
    } else {
        session.terminal.data(&format!("{}: the master key, the hash key and the signing key ({ids})", arguments.to.display()));
        session
            .terminal
            .note("move it off this machine, apart from the backups; then see that it opens: kith keys confirm FILE --identity KEY");
    }
    Ok(Exit::Fine)
}

fn confirm(arguments: &ConfirmArguments, session: &mut Session) -> Result<Exit, Exit> {
    let (_, parts) = parts_for_reading(session)?;
    let kept = kept(arguments, &parts.config.audit.origin, session)?;
    let (ids, theirs) = (fingerprint(&parts.keys), fingerprint(&kept));
    if ids != theirs {
        let message = format!("it holds other keys ({theirs}) than those in force ({ids})");
        let place = Place::Path(arguments.file.display().to_string());
        let remedy = "seal the keys in force: kith keys escrow. Keep the older file as long as you keep backups of its time";
        session.terminal.problem(&Diagnostic::error(OTHER_KEYS, place, message, remedy));
        return Ok(Exit::Difference);
    }
    let who = who(session, &parts.config);
    let runtime = runtime(session)?;
    let (digest, _) = told(digest_of(&arguments.file), session)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    runtime.block_on(record_keys(&parts, &who, &clock, digest, true)).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    })?;
    if session.terminal.is_json() {
        session.terminal.json(&json!({ "confirmed": true, "keys": ids }));
    } else {
        session.terminal.data(&format!("it opens and holds the keys in force ({ids})"));
    }
    Ok(Exit::Fine)
}

/// The keys in a sealed file.
fn kept(arguments: &ConfirmArguments, origin: &str, session: &mut Session) -> Result<InstallationKeys, Exit> {
    let identities = told(Identities::read(&arguments.identity), session)?;
    let text = told(unseal_small(&arguments.file, &identities), session)?;
    InstallationKeys::of_lines(&arguments.file.display().to_string(), &text, origin).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Wrong
    })
}

fn recover(arguments: &ConfirmArguments, session: &mut Session) -> Result<Exit, Exit> {
    let config = super::opened::configuration(session)?;
    if config.keys.master.is_some() {
        let place = Place::Named("[keys]".into());
        let remedy = "open the file with `age -d -i KEY FILE`; its three lines are the secrets master, hash and signing";
        session.terminal.problem(&Diagnostic::error(
            OTHER_KEYS,
            place,
            "the keys are given as secrets, and no files are made of them",
            remedy,
        ));
        return Ok(Exit::Wrong);
    }
    let kept = kept(arguments, &config.audit.origin, session)?;
    let folder = config.service.state.join("keys");
    kept.put_into(&folder).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    })?;
    let ids = fingerprint(&kept);
    if session.terminal.is_json() {
        session.terminal.json(&json!({ "keys": ids, "folder": folder.display().to_string() }));
    } else {
        session.terminal.data(&format!("{}: the master key, the hash key and the signing key ({ids})", folder.display()));
    }
    Ok(Exit::Fine)
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
