//! `kith pause`, `resume`, `approve` and `reject`: stop a source or target, let it go on, and settle what waits at a guard.

use super::people::{Talk, strange};
use super::{Exit, Session};
use crate::pipeline::{PeopleAsk, PeopleTold};
use serde_json::json;

/// Arguments of `pause` and `resume`.
#[derive(clap::Args, Debug)]
pub struct PartArguments {
    /// A source or target by its name in the configuration, or `all`
    #[arg(value_name = "TARGET|SOURCE|all")]
    pub name: String,
}

/// Arguments of `approve` and `reject`.
#[derive(clap::Args, Debug)]
pub struct PassArguments {
    /// The pass, as `kith status` writes it
    #[arg(value_name = "PASS")]
    pub pass: i64,
}

pub(super) fn pause(arguments: &PartArguments, stops: bool, session: &mut Session) -> Exit {
    told(&PeopleAsk::Pause { name: arguments.name.clone(), stops }, session).unwrap_or_else(|exit| exit)
}

pub(super) fn settle(arguments: &PassArguments, approve: bool, session: &mut Session) -> Exit {
    told(&PeopleAsk::Settle { pass: arguments.pass, approve }, session).unwrap_or_else(|exit| exit)
}

fn told(ask: &PeopleAsk, session: &mut Session) -> Result<Exit, Exit> {
    let mut talk = Talk::new(session)?;
    let told = talk.ask(session, ask)?;
    talk.end(session)?;
    let PeopleTold::Words { words } = told else { return Err(strange(session)) };
    let mut exit = Exit::Fine;
    for word in words {
        if word.code.is_some() {
            exit = Exit::Failed;
        }
        if session.terminal.is_json() {
            session.terminal.json(&json!({ "done": word.code.is_none(), "code": word.code, "told": word.told }));
        } else {
            let code = word.code.map_or_else(String::new, |code| format!("{code} "));
            session.terminal.data(&format!("{code}{}", word.told));
        }
    }
    Ok(exit)
}
