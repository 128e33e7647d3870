//! `kith explain`: the long form of a problem's code.

use super::{Exit, Session};
use crate::diagnose::{CATALOGUE, Code, Diagnostic, Page, Place, nearest, page};
use serde_json::json;

const BAD_ARGUMENT: Code = Code("KITH-C015");

/// Arguments of `explain`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// A code such as KITH-M014; without one, all of them are listed
    pub code: Option<String>,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    let terminal = &mut session.terminal;
    let Some(code) = &arguments.code else {
        if terminal.is_json() {
            terminal.json(&CATALOGUE.iter().map(|p| json!({ "code": p.code.0, "title": p.title })).collect());
        } else {
            for Page { code, title, .. } in CATALOGUE {
                terminal.data(&format!("{code}  {title}"));
            }
        }
        return Exit::Fine;
    };
    match page(code) {
        Some(page) if terminal.is_json() => terminal.json(&json!({ "code": page.code.0, "title": page.title, "text": page.text })),
        Some(page) => terminal.data(page.text),
        None => {
            let remedy = nearest(code, CATALOGUE.iter().map(|p| p.code.0)).map_or_else(
                || "run `kith explain` for a list of all codes".to_owned(),
                |near| format!("did you mean `{near}`? `kith explain` lists all codes"),
            );
            let place = Place::Named("argument CODE".to_owned());
            terminal.problem(&Diagnostic::error(BAD_ARGUMENT, place, format!("`{code}` is not a code of kith"), remedy));
            return Exit::Wrong;
        }
    }
    Exit::Fine
}
