//! `kith serve --only webhooks`: the listener for webhooks without the service, for a machine in a DMZ. It has a spool and secrets of signatures, no state,
//! no CRM, and connects to nobody.

use super::opened::runtime;
use super::project::with_connector;
use super::run::Signals;
use super::{Environment, Exit, Global, Session, read_text, start_logging};
use crate::declare::config::{self, Listener, SourceKind};
use crate::diagnose::{Diagnostic, Problems, Severity};
use crate::pipeline::{Alone, AloneAgain, Fault, Manager, RunError, serve_webhooks};

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
    match listener(&session.global, &session.environment) {
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
fn listener(global: &Global, environment: &Environment) -> Result<Listener, Problems> {
    let path = &global.config;
    let file = read_text(path)?;
    let checked = config::check_listener(&file.name, &file.text, &environment.overrides(), &config::project_folder(path));
    let (mut listener, mut problems) = checked.into_result()?;
    for spec in &mut listener.sources {
        with_connector(spec, &mut problems);
    }
    if problems.has_errors() { Err(problems) } else { Ok(listener) }
}

/// As it is to run, its secrets read.
fn alone(mut listener: Listener, environment: &Environment) -> Result<Alone, RunError> {
    read_secrets(&mut listener, environment).map_err(|problem| RunError::Fault(Fault::of(problem)))?;
    Alone::new(listener)
}

/// The same anew. What is told is the first problem, and how many there are.
fn again(global: &Global, environment: &Environment) -> Result<Alone, RunError> {
    let listener = listener(global, environment).map_err(|problems| {
        let count = problems.0.iter().filter(|problem| problem.severity == Severity::Error).count();
        tracing::error!(code = "KITH-R031", problems = count, "`kith serve --only webhooks --check` tells them all");
        let first = problems.0.into_iter().find(|problem| problem.severity == Severity::Error);
        first.map_or(RunError::Interrupted, |problem| RunError::Fault(Fault::of(problem)))
    })?;
    alone(listener, environment)
}

fn serving(listener: Listener, session: &mut Session) -> Result<Exit, Exit> {
    start_logging(listener.log, session);
    let alone = alone(listener, &session.environment).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    })?;
    let runtime = runtime(session)?;
    let environment = &session.environment;
    let manager = Manager::of(environment.variable("NOTIFY_SOCKET"), environment.variable("WATCHDOG_USEC")).unwrap_or_else(|error| {
        tracing::warn!(%error, "the service manager's socket can't be used");
        Manager::default()
    });
    let (global, environment) = (session.global.clone(), session.environment.clone());
    let served = runtime.block_on(async {
        let Signals { stopped, again: at_once, hangups } = Signals::heard(false)?;
        let reload = AloneAgain { load: Box::new(move || again(&global, &environment)), hangups };
        tokio::select! {
            served = Box::pin(serve_webhooks(alone, reload, &manager, stopped)) => served,
            Ok(()) = at_once => Err(RunError::Interrupted),
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

fn read_secrets(listener: &mut Listener, environment: &Environment) -> Result<(), Diagnostic> {
    let mut secrets = vec![&mut listener.drain_secret];
    for spec in &mut listener.sources {
        if let SourceKind::Webhook(hook) = &mut spec.kind {
            secrets.extend(hook.secrets_mut());
        }
    }
    for secret in secrets {
        secret.value = Some(environment.secret(&secret.source)?);
    }
    Ok(())
}
