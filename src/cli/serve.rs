//! `kith serve --only webhooks`: the listener for webhooks without the service, for a machine in a DMZ. It has a spool and secrets of signatures, no state,
//! no CRM, and connects to nobody.

use super::opened::runtime;
use super::project::with_connector;
use super::run::Signals;
use super::{Exit, Session, read_text, start_logging};
use crate::declare::config::{self, Listener, SourceKind};
use crate::diagnose::{Diagnostic, Problems};
use crate::pipeline::{Manager, RunError, serve_webhooks};

/// Arguments of `serve`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The part
    #[arg(long, value_enum)]
    pub only: Part,
    /// Check the configuration and its connectors, and end
    #[arg(long)]
    pub check: bool,
}

/// What can run alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Part {
    /// The listener for webhooks
    Webhooks,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    let Part::Webhooks = arguments.only;
    match listener(session) {
        Err(problems) => {
            session.terminal.problems(&problems);
            Exit::Wrong
        }
        Ok(_) if arguments.check => {
            session.terminal.note("the configuration of the listener is right");
            Exit::Fine
        }
        Ok(listener) => serving(listener, session).unwrap_or_else(|exit| exit),
    }
}

/// The checked configuration with its connectors.
fn listener(session: &Session) -> Result<Listener, Problems> {
    let path = &session.global.config;
    let file = read_text(path)?;
    let checked = config::check_listener(&file.name, &file.text, &session.environment.overrides(), &config::project_folder(path));
    let (mut listener, mut problems) = checked.into_result()?;
    for spec in &mut listener.sources {
        with_connector(spec, &mut problems);
    }
    if problems.has_errors() { Err(problems) } else { Ok(listener) }
}

fn serving(mut listener: Listener, session: &mut Session) -> Result<Exit, Exit> {
    start_logging(listener.log, session);
    if let Err(problem) = read_secrets(&mut listener, session) {
        session.terminal.problem(&problem);
        return Err(Exit::Failed);
    }
    let runtime = runtime(session)?;
    let environment = &session.environment;
    let manager = Manager::of(environment.variable("NOTIFY_SOCKET"), environment.variable("WATCHDOG_USEC")).unwrap_or_else(|error| {
        tracing::warn!(%error, "the service manager's socket can't be used");
        Manager::default()
    });
    let served = runtime.block_on(async {
        let signals = Signals::heard(true)?;
        tokio::select! {
            served = serve_webhooks(&listener, &manager, signals.stopped) => served,
            Ok(()) = signals.again => Err(RunError::Interrupted),
        }
    });
    match served {
        Ok(()) => Ok(Exit::Fine),
        Err(error) => {
            session.terminal.problem(&error.diagnostic());
            Err(Exit::Failed)
        }
    }
}

fn read_secrets(listener: &mut Listener, session: &Session) -> Result<(), Diagnostic> {
    let mut secrets = vec![&mut listener.drain_secret];
    for spec in &mut listener.sources {
        if let SourceKind::Webhook(hook) = &mut spec.kind {
            secrets.extend(hook.secrets_mut());
        }
    }
    for secret in secrets {
        secret.value = Some(session.environment.secret(&secret.source)?);
    }
    Ok(())
}
