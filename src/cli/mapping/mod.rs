//! `kith mapping`: what a mapping says, and which one is in force.

mod preview;
mod release;
mod replay;
mod shown;
mod standing;
mod tried;

pub(super) use standing::MappingStanding;

use super::project::{around, rulebook, yaml_at};
use super::{Exit, Session};
use crate::declare::mapping::describe;
use crate::diagnose::{Code, Diagnostic, Place, Problems};
use serde_json::json;
use std::path::PathBuf;

const NO_MAPPING: Code = Code("KITH-C015");

/// What `mapping` does.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Say a mapping in sentences, for those who answer for it
    Describe {
        /// The mapping; without it, the file that the configuration names
        file: Option<PathBuf>,
    },
    /// Try a mapping on accounts that Kith knows: raw, cleaned, level by level, decision, writes. Writes nothing
    Preview(preview::Arguments),
    /// Run recorded activities through a draft and through the mapping in force, and compare. Writes nothing
    Replay(replay::Arguments),
    /// Put the mapping's file in force: until then it is a draft that delivers nothing
    Release(release::Arguments),
    /// Put an earlier release in force again
    Rollback(release::RollbackArguments),
    /// What was in force from when to when, who released it, and why
    Releases,
    /// The text of a release as it read: the one in force, by its hash, or of a day
    Show(shown::Arguments),
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    match command {
        Command::Describe { file } => describe_file(file.clone(), session),
        Command::Preview(arguments) => preview::run(arguments, session).unwrap_or_else(|exit| exit),
        Command::Replay(arguments) => replay::run(arguments, session).unwrap_or_else(|exit| exit),
        Command::Release(arguments) => release::release(arguments, session).unwrap_or_else(|exit| exit),
        Command::Rollback(arguments) => release::rollback(arguments, session).unwrap_or_else(|exit| exit),
        Command::Releases => shown::list(session).unwrap_or_else(|exit| exit),
        Command::Show(arguments) => shown::show(arguments, session).unwrap_or_else(|exit| exit),
    }
}

fn describe_file(file: Option<PathBuf>, session: &mut Session) -> Exit {
    match described(file, session) {
        Ok(Report { file, name, digest, text }) => {
            let terminal = &mut session.terminal;
            if terminal.is_json() {
                terminal.json(&json!({ "file": file, "mapping": name, "digest": digest, "text": text }));
            } else {
                terminal.data(&text);
            }
            Exit::Fine
        }
        Err(problems) => {
            session.terminal.problems(&problems);
            Exit::Wrong
        }
    }
}

struct Report {
    file: String,
    name: String,
    digest: String,
    text: String,
}

fn described(file: Option<PathBuf>, session: &Session) -> Result<Report, Problems> {
    let (outline, surroundings) = around(&session.global.config, &session.environment);
    let named = file.map(|path| (path, None)).or(outline.mapping.map(|named| (named.path, Some(named.place))));
    let Some((path, place)) = named else {
        let remedy = "name a file, or a configuration with `--config` whose [service] has a `mapping`";
        let place = Place::Named("argument FILE".to_owned());
        return Err(Diagnostic::error(NO_MAPPING, place, "there is no active mapping to describe", remedy).into());
    };
    let source = yaml_at(&path, place.as_ref())?;
    let (rulebook, _warnings_are_for_check) = rulebook(&path, &source, surroundings.as_ref()).into_result()?;
    Ok(Report {
        file: source.name.clone(),
        name: rulebook.name.to_string(),
        digest: rulebook.digest.to_string(),
        text: describe(&rulebook),
    })
}
