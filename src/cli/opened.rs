//! From a checked project to what a service or a reading command needs: keys, parts, a reader.

use super::project::Draft;
use super::{Environment, Exit, Global, Project, Session};
use crate::declare::config::{Config, SourceKind};
use crate::declare::connector::TargetFile;
use crate::declare::mapping::Rulebook;
use crate::diagnose::{Code, Diagnostic, Place, Problems};
use crate::pipeline::{Loaded, Parts, SystemClock, WhoAsks, record_read, role_of};
use crate::store::StoreError;
use crate::store::log::InstallationKeys;
use crate::store::sqlite::{SqliteReader, master_in_force};
use secrecy::SecretString;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

const SOME_KEYS: Code = Code("KITH-R008");
const NO_RUNTIME: Code = Code("KITH-R001");

/// Which mapping a command works with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WhichMapping {
    /// The one that was released last.
    InForce,
    /// The file as it stands.
    File,
}

/// Loads the project with the mapping in force; every problem is told, and errors end the command.
pub(super) fn project(session: &mut Session) -> Result<Project, Exit> {
    project_with(session, WhichMapping::InForce)
}

/// Loads the project; every problem is told, and errors end the command.
pub(super) fn project_with(session: &mut Session, which: WhichMapping) -> Result<Project, Exit> {
    let checked = match which {
        WhichMapping::InForce => Project::in_force(&session.global, &session.environment),
        WhichMapping::File => Project::load(&session.global, &session.environment),
    };
    match checked.into_result() {
        Ok((project, warnings)) => {
            session.terminal.problems(&warnings);
            Ok(project)
        }
        Err(problems) => {
            session.terminal.problems(&problems);
            Err(Exit::Wrong)
        }
    }
}

/// The configuration alone, for who needs neither mapping nor keys.
pub(super) fn configuration(session: &mut Session) -> Result<Config, Exit> {
    let configured = super::project::configuration(&session.global.config, &session.environment);
    let config = configured.config;
    config.ok_or_else(|| {
        session.terminal.problems(&configured.problems);
        Exit::Wrong
    })
}

/// How the keys of the state folder are had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keys {
    /// Made on the first start.
    Made,
    /// They must be there.
    There,
    /// Those that are there, else some for this process alone: nothing is written.
    Borrowed,
}

/// The keys: given as secrets, all three of them, else files in `keys/` of the state folder.
fn installation_keys(config: &Config, environment: &Environment, how: Keys) -> Result<InstallationKeys, Diagnostic> {
    let folder = config.service.state.join("keys");
    let origin = &config.audit.origin;
    let given = &config.keys;
    match (&given.master, &given.hash, &given.signing) {
        (None, None, None) => {}
        (Some(master), Some(hash), Some(signing)) => {
            let secret = |source| environment.secret(source).map(|s| SecretString::from(s.expose()));
            let keys = InstallationKeys::from_secrets(&secret(master)?, &secret(hash)?, &secret(signing)?, origin);
            return keys.and_then(|keys| keys.in_force(&folder, master_in_force(&config.service.state))).map_err(|e| e.diagnostic());
        }
        _ => {
            let remedy = "give `master`, `hash` and `signing`, or none of them: then they are made once, in keys/ of the state folder";
            return Err(Diagnostic::error(SOME_KEYS, Place::Named("[keys]".into()), "only some of the three keys are given", remedy));
        }
    }
    if how == Keys::Made {
        // Only its owner may look into the state folder; the keys are the first thing in it.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.service.state);
        made.map_err(|error| StoreError::from_io(&error, &config.service.state).diagnostic())?;
    }
    match how {
        Keys::Made => InstallationKeys::open_or_create(&folder, origin).map(|(keys, _)| keys),
        Keys::Borrowed if !folder.exists() => InstallationKeys::for_one_process(origin),
        Keys::There | Keys::Borrowed => InstallationKeys::open(&folder, origin),
    }
    .and_then(|keys| keys.in_force(&folder, master_in_force(&config.service.state)))
    .map_err(|e| e.diagnostic())
}

/// Reads the logins of targets and of the customers' servers, once: whoever starts a service needs all of them.
fn read_secrets(config: &mut Config, environment: &Environment) -> Result<(), Diagnostic> {
    read_table_secrets(config, environment)?;
    for secret in config.targets.iter_mut().flat_map(crate::declare::config::TargetSpec::secrets_mut) {
        secret.value = Some(environment.secret(&secret.source)?);
    }
    Ok(())
}

/// Whoever reads customers for a preview or a look needs their logins, and those of targets only where they are there.
pub(super) fn borrow_secrets(config: &mut Config, environment: &Environment) -> Result<(), Diagnostic> {
    read_table_secrets(config, environment)?;
    for secret in config.targets.iter_mut().flat_map(crate::declare::config::TargetSpec::secrets_mut) {
        secret.value = environment.secret(&secret.source).ok();
    }
    Ok(())
}

fn read_table_secrets(config: &mut Config, environment: &Environment) -> Result<(), Diagnostic> {
    for source in &mut config.sources {
        let secrets: Vec<_> = match &mut source.kind {
            SourceKind::Network(network) => network.secrets_mut().collect(),
            SourceKind::Webhook(hook) => hook.secrets_mut(),
            SourceKind::Singer(tap) => vec![&mut tap.settings],
            SourceKind::File { .. } | SourceKind::Folder { .. } => Vec::new(),
        };
        for secret in secrets {
            secret.value = Some(environment.secret(&secret.source)?);
        }
    }
    let tables = config.customers.iter_mut().chain(&mut config.related);
    for secret in tables.flat_map(crate::declare::config::TableSpec::secrets_mut) {
        secret.value = Some(environment.secret(&secret.source)?);
    }
    Ok(())
}

/// The parts of a service.
pub(super) fn parts(session: &mut Session, how: Keys) -> Result<(Project, Parts), Exit> {
    let project = project(session)?;
    parts_of(project, session, how)
}

/// As [`parts`], for whoever acts by the mapping: a draft beside it is told.
pub(super) fn acting_parts(session: &mut Session, how: Keys) -> Result<(Project, Parts), Exit> {
    let project = project(session)?;
    if let Some(draft) = &project.draft {
        session.terminal.problem(&draft.warning());
    }
    parts_of(project, session, how)
}

/// A checked project with its keys and, where they are needed, its secrets.
pub(super) fn parts_of(project: Project, session: &mut Session, how: Keys) -> Result<(Project, Parts), Exit> {
    let keys = match installation_keys(&project.config, &session.environment, how) {
        Ok(keys) => keys,
        Err(problem) => {
            session.terminal.problem(&problem);
            return Err(Exit::Failed);
        }
    };
    let mut project = project;
    let read = match how {
        Keys::Made => read_secrets(&mut project.config, &session.environment),
        Keys::Borrowed => borrow_secrets(&mut project.config, &session.environment),
        // Whoever only looks at the state needs none.
        Keys::There => Ok(()),
    };
    if let Err(problem) = read {
        session.terminal.problem(&problem);
        return Err(Exit::Failed);
    }
    let rulebook = project.rulebook.clone();
    let targets = project.config.targets.iter().cloned().zip(project.targets.iter().cloned()).collect();
    let parts = Parts { config: project.config.clone(), rulebook, targets, keys };
    Ok((project, parts))
}

/// A reader over the state folder that the configuration names.
pub(super) fn reader(session: &mut Session) -> Result<(Parts, SqliteReader), Exit> {
    let (_, parts) = parts_for_reading(session)?;
    let reader = reader_of(session, &parts)?;
    Ok((parts, reader))
}

pub(super) fn reader_of(session: &mut Session, parts: &Parts) -> Result<SqliteReader, Exit> {
    SqliteReader::open(&parts.config.service.state, parts.keys.master.clone(), parts.keys.hash.clone()).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    })
}

/// As [`reader`], with the mapping as its file stands, and with the logins of the servers that have the CRM's customers: for judging a draft.
pub(super) fn draft_and_customers(session: &mut Session) -> Result<(Parts, SqliteReader), Exit> {
    let project = project_with(session, WhichMapping::File)?;
    let (_, mut parts) = parts_if_state(project, session)?;
    let reader = reader_of(session, &parts)?;
    match borrow_secrets(&mut parts.config, &session.environment) {
        Ok(()) => Ok((parts, reader)),
        Err(problem) => {
            session.terminal.problem(&problem);
            Err(Exit::Failed)
        }
    }
}

/// What [`config_and_reader`] finds: target files in the configuration's order, `None` where one has errors.
pub(super) type Looked = (Config, Vec<Option<Arc<TargetFile>>>, SqliteReader);

/// A configuration with the target files that can be read, and a reader over its state folder: a mapping or connector that a change broke
/// is no reason not to look.
pub(super) fn config_and_reader(session: &mut Session) -> Result<Looked, Exit> {
    let configured = super::project::configuration(&session.global.config, &session.environment);
    let Some(config) = configured.config else {
        session.terminal.problems(&configured.problems);
        return Err(Exit::Wrong);
    };
    let files = super::project::targets(&configured.outline, &mut Problems::default());
    let opened = if config.service.state.join(crate::store::sqlite::DATABASE_FILE).exists() {
        installation_keys(&config, &session.environment, Keys::There).and_then(|keys| {
            SqliteReader::open(&config.service.state, keys.master.clone(), keys.hash.clone()).map_err(|error| error.diagnostic())
        })
    } else {
        Err(StoreError::Absent(config.service.state.display().to_string()).diagnostic())
    };
    match opened {
        Ok(reader) => Ok((config, files, reader)),
        Err(problem) => {
            session.terminal.problem(&problem);
            Err(Exit::Failed)
        }
    }
}

/// Loads and checks everything anew, as at start, for a service that runs. The keys stay.
pub(super) fn load_again(global: &Global, environment: &Environment) -> Result<Loaded, Problems> {
    let (mut project, mut warnings) = Project::in_force(global, environment).into_result()?;
    warnings.0.extend(project.draft.as_ref().map(Draft::warning));
    read_secrets(&mut project.config, environment)?;
    let targets = project.config.targets.iter().cloned().zip(project.targets).collect();
    let who = who_is(environment, &project.config);
    Ok(Loaded { config: project.config, rulebook: project.rulebook, targets, who, warnings })
}

/// Reads and checks the mapping's file as it stands, for a service that is to release it.
pub(super) fn draft_again(global: &Global, environment: &Environment) -> Result<Rulebook, Problems> {
    let (project, _warnings) = Project::load(global, environment).into_result()?;
    Ok(Arc::unwrap_or_clone(project.rulebook))
}

pub(super) fn parts_for_reading(session: &mut Session) -> Result<(Project, Parts), Exit> {
    let project = project(session)?;
    parts_if_state(project, session)
}

/// Where the state folder is there.
pub(super) fn parts_if_state(project: Project, session: &mut Session) -> Result<(Project, Parts), Exit> {
    if !project.config.service.state.join(crate::store::sqlite::DATABASE_FILE).exists() {
        let error = crate::store::StoreError::Absent(project.config.service.state.display().to_string());
        session.terminal.problem(&error.diagnostic());
        return Err(Exit::Failed);
    }
    parts_of(project, session, Keys::There)
}

/// Who runs this command, with the role that the configuration grants.
pub(super) fn who(session: &Session, config: &Config) -> WhoAsks {
    who_is(&session.environment, config)
}

fn who_is(environment: &Environment, config: &Config) -> WhoAsks {
    let user = environment.user();
    WhoAsks { user: user.into(), role: role_of(&config.roles, user) }
}

/// Tells the log that personal data is about to be shown; where that is not possible it is not shown.
pub(super) fn tell_read(session: &mut Session, parts: Parts, what: &str, subjects: &[String], count: u64) -> Result<(), Exit> {
    let who = who(session, &parts.config);
    let runtime = runtime(session)?;
    runtime.block_on(record_read(parts, who, what, subjects, count, Arc::new(SystemClock))).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    })
}

/// Threads for what waits.
pub(super) fn runtime(session: &mut Session) -> Result<tokio::runtime::Runtime, Exit> {
    super::runtime().map_err(|error| {
        let place = Place::Named("the operating system".into());
        let remedy = "raise the limits of threads and open files for this user";
        session.terminal.problem(&Diagnostic::error(NO_RUNTIME, place, format!("no threads could be started: {error}"), remedy));
        Exit::Failed
    })
}
