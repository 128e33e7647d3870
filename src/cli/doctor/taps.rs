//! A look at the Singer taps: whether each could be started, and whether its settings are its own secret. None is run: a tap that is run reads.

use crate::cli::Session;
use crate::declare::config::{SecretSource, SingerSource, SourceKind};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::pipeline::Parts;
use rustix::fs::Access;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const CANT_RUN: Code = Code("KITH-N085");
const OPEN_SETTINGS: Code = Code("KITH-N086");

/// Every tap with what is wrong about it; told.
pub(super) fn look(session: &mut Session, parts: &Parts) -> Vec<(String, Vec<Diagnostic>)> {
    let mut told = Vec::new();
    for spec in &parts.config.sources {
        let SourceKind::Singer(tap) = &spec.kind else { continue };
        let problems = doubts(tap, &Place::Named(format!("[sources.{}]", spec.name)));
        for problem in &problems {
            session.terminal.problem(problem);
        }
        told.push((format!("tap {}", spec.name), problems));
    }
    told
}

fn doubts(tap: &SingerSource, place: &Place) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let path = tap.command.display();
    let mut cant = |message: String, remedy: &str| problems.push(Diagnostic::error(CANT_RUN, place.clone(), message, remedy));
    match std::fs::metadata(&tap.command) {
        Err(error) => {
            cant(format!("the tap's program {path} can't be looked at: {error}"), "install the tap, or correct `command` of the source");
        }
        Ok(file) if !file.is_file() => cant(format!("{path} is no file"), "name the program itself in `command`, not its folder"),
        Ok(_) if rustix::fs::access(&tap.command, Access::EXEC_OK).is_err() => {
            cant(
                format!("this user may not run {path}"),
                "give the service's user the right to run it: chmod +x, and rights on the folders above",
            );
        }
        Ok(_) => {}
    }
    if let Some(catalog) = tap.catalog.as_deref().filter(|catalog| !catalog.is_file()) {
        cant(format!("the catalogue {} is not there", catalog.display()), "write it with the tap's own `--discover`, or correct `catalog`");
    }
    if let SecretSource::File(file) = &tap.settings.source
        && others_may_read(file)
    {
        let message = format!("the tap's settings {} can be read by other users of this machine", file.display());
        problems.push(Diagnostic::warning(OPEN_SETTINGS, place.clone(), message, "chmod 600, and let the service's user own the file"));
    }
    problems
}

fn others_may_read(file: &Path) -> bool {
    // What is not there is told where secrets are read.
    std::fs::metadata(file).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
}
