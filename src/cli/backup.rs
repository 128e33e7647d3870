//! `kith backup`: a copy of the state folder that only the holders of certain keys can open; `kith backup verify`: whether one holds.

use super::opened::{parts_for_reading, runtime, who};
use super::run::grouped;
use super::{Exit, Session};
use crate::audit::VerifierKey;
use crate::declare::config::Config;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::pipeline::{Clock, SystemClock, make_backup};
use crate::store::backup::{BackupError, Identities, Recipients, open};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NOT_SAID: Code = Code("KITH-B008");

/// Arguments of `backup`.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// The folder that gets the backup; without it, the one of `[backup] to`
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// A file of public keys, one a line: who can open it; without it, the one of `[backup] recipients`
    #[arg(long, value_name = "FILE")]
    pub recipients: Option<PathBuf>,
    /// What to do instead of making one.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Commands about backups.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Open a backup and check everything in it; nothing of it is left on the disk
    Verify(VerifyArguments),
}

/// Arguments of `backup verify`.
#[derive(clap::Args, Debug)]
pub struct VerifyArguments {
    /// The backup
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The secret key that opens it, as `age-keygen` wrote it
    #[arg(long, value_name = "FILE")]
    pub identity: PathBuf,
    /// The log's verifier key: a file, or its line. Then no configuration is needed, and it can be done on any machine
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Where it is unpacked meanwhile: a folder on a disk with room for the database, made and removed again
    #[arg(long, value_name = "DIR")]
    pub work: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    let done = match &arguments.command {
        None => make(arguments, session),
        Some(Command::Verify(arguments)) => verify(arguments, session),
    };
    done.unwrap_or_else(|exit| exit)
}

/// Tells what is wrong with a file of keys or a backup.
pub(super) fn told<T>(result: Result<T, BackupError>, session: &mut Session) -> Result<T, Exit> {
    result.map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        match error {
            BackupError::Keys { .. } => Exit::Wrong,
            BackupError::Wrong { .. } | BackupError::Manifest { .. } => Exit::Difference,
            BackupError::Io { .. } | BackupError::Sealed { .. } | BackupError::Store(_) => Exit::Failed,
        }
    })
}

/// The public keys that a command or the configuration names.
pub(super) fn recipients(given: Option<&Path>, config: &Config, session: &mut Session) -> Result<Recipients, Exit> {
    let Some(file) = given.or(config.backup.recipients.as_deref()) else {
        let remedy =
            "make a key pair on another machine with `age-keygen`, put its public line into a file here, and name it: `recipients = \"…\"`";
        return Err(not_said(session, "nothing says who can open it: [backup] has no `recipients`", remedy));
    };
    told(Recipients::read(file), session)
}

fn not_said(session: &mut Session, message: &str, remedy: &str) -> Exit {
    session.terminal.problem(&Diagnostic::error(NOT_SAID, Place::Named("[backup]".into()), message, remedy));
    Exit::Wrong
}

fn make(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let (_, parts) = parts_for_reading(session)?;
    let recipients = recipients(arguments.recipients.as_deref(), &parts.config, session)?;
    let Some(to) = arguments.to.clone().or_else(|| parts.config.backup.to.clone()) else {
        return Err(not_said(session, "nothing says where the backup goes", "give --to DIR, or set `to` in [backup]"));
    };
    let who = who(session, &parts.config);
    let runtime = runtime(session)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let made = runtime.block_on(make_backup(&parts, &who, &clock, &to, recipients)).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    })?;
    let file = made.file.display().to_string();
    if session.terminal.is_json() {
        session
            .terminal
            .json(&json!({ "file": file, "bytes": made.bytes, "sha256": made.digest.to_string(), "entries": made.manifest.entries,
            "schema": made.manifest.schema, "made": made.manifest.made.to_string() }));
    } else {
        session.terminal.data(&format!("{file}: {} bytes, {} entries of the log", grouped(made.bytes), grouped(made.manifest.entries)));
        session.terminal.note(&format!(
            "SHA-256 {}; the log tells it. The keys are not in it: kith keys escrow. Try it out: kith backup verify",
            made.digest
        ));
    }
    Ok(Exit::Fine)
}

/// The keys that may have signed a backup of the configured installation, or the one that was given.
fn keys(arguments: &VerifyArguments, session: &mut Session) -> Result<Vec<VerifierKey>, Exit> {
    if let Some(key) = &arguments.key {
        return Ok(vec![super::audit::verifier(key, session)?]);
    }
    let (_, parts) = super::opened::parts(session, super::opened::Keys::There)?;
    Ok(std::iter::once(parts.keys.log.verifier()).chain(parts.keys.former).collect())
}

fn verify(arguments: &VerifyArguments, session: &mut Session) -> Result<Exit, Exit> {
    let keys = keys(arguments, session)?;
    let identities = told(Identities::read(&arguments.identity), session)?;
    let beside = arguments.file.with_extension("verify");
    let work = arguments.work.clone().unwrap_or(beside);
    if work.exists() {
        let problem = BackupError::Io { path: work, source: std::io::Error::other("the folder is there already, and would be removed") };
        return told(Err(problem), session);
    }
    let opened = open(&arguments.file, &identities, &keys, &work);
    if let Err(source) = std::fs::remove_dir_all(&work)
        && source.kind() != std::io::ErrorKind::NotFound
    {
        told(Err(BackupError::Io { path: work, source }), session)?;
    }
    let opened = told(opened, session)?;
    let manifest = &opened.manifest;
    if session.terminal.is_json() {
        session.terminal.json(
            &json!({ "holds": true, "origin": manifest.origin, "made": manifest.made.to_string(), "version": manifest.version,
            "schema": manifest.schema, "entries": manifest.entries, "root": opened.root.to_string(), "sha256": opened.digest.to_string(),
            "master": manifest.master.to_string(), "checkpoint": opened.checkpoint.map(|c| c.size) }),
        );
    } else {
        session.terminal.data(&format!(
            "the backup of {} holds: made {} by Kith {}, schema {}, {} entries, root {}",
            manifest.origin,
            manifest.made,
            manifest.version,
            manifest.schema,
            grouped(manifest.entries),
            opened.root
        ));
        session.terminal.data(&format!("to be restored it needs the master key {}", manifest.master));
        session.terminal.note(&format!("SHA-256 {}", opened.digest));
    }
    Ok(Exit::Fine)
}
