//! `kith reload`: the running service loads its files anew; what it says about them is told here.

use super::opened::runtime;
use super::{Exit, Session};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::pipeline::control::{self, Answer, Request};
use crate::pipeline::{Reloaded, RunError};
use serde_json::json;

const REFUSED: Code = Code("KITH-R031");
const NO_SERVICE: Code = Code("KITH-R035");

pub(super) fn run(session: &mut Session) -> Exit {
    reload(session).unwrap_or_else(|exit| exit)
}

fn reload(session: &mut Session) -> Result<Exit, Exit> {
    // The service reads the files itself; here they only say where it is. A broken one is told as the service would tell it.
    let configured = super::project::configuration(&session.global.config, &session.environment);
    let Some(config) = configured.config else {
        session.terminal.problems(&configured.problems);
        return Err(Exit::Wrong);
    };
    let runtime = runtime(session)?;
    let answered = runtime.block_on(control::ask(&config.service.state, &Request::Reload)).map_err(|error| {
        session.terminal.problem(&RunError::Control(error).diagnostic());
        Exit::Failed
    })?;
    let place = || Place::Named("the running service".into());
    match answered {
        None => {
            let message = format!("no service runs over {}", config.service.state.display());
            session.terminal.problem(&Diagnostic::error(NO_SERVICE, place(), message, "start it with `kith run`"));
            Err(Exit::Failed)
        }
        Some(Answer::Reloaded { reloaded }) => Ok(told(session, &reloaded)),
        Some(Answer::Refused { code, reason }) => {
            session.terminal.problem(&RunError::Refused { code, reason }.diagnostic());
            Err(Exit::Failed)
        }
        Some(
            Answer::Done
            | Answer::Letters { .. }
            | Answer::Standing { .. }
            | Answer::Subjects { .. }
            | Answer::Swept { .. }
            | Answer::People { .. },
        ) => Err(Exit::Failed),
    }
}

fn told(session: &mut Session, reloaded: &Reloaded) -> Exit {
    if session.terminal.is_json() {
        session.terminal.json(&json!(reloaded));
    } else if reloaded.accepted {
        session.terminal.data("accepted: the new set is in force");
        for note in &reloaded.notes {
            session.terminal.data(&format!("  {note}"));
        }
    } else {
        let message = format!("the new set was refused, the old one runs on:\n  {}", reloaded.reasons.join("\n  "));
        session.terminal.problem(&Diagnostic::error(
            REFUSED,
            Place::Named("the new set".into()),
            message,
            "mend the files and reload again",
        ));
    }
    if reloaded.accepted { Exit::Fine } else { Exit::Wrong }
}
