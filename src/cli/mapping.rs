//! `kith mapping`: what a mapping says.

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
        /// The mapping; without it, the active one
        file: Option<PathBuf>,
    },
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    let Command::Describe { file } = command;
    match described(file.clone(), session) {
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
