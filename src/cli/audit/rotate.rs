//! `kith audit rotate-key`: a new signing key, which the old one introduces.

use super::super::opened::{Keys, parts, runtime, who};
use super::super::{Exit, Session};
use super::wrong;
use crate::pipeline::{SystemClock, rotate_signing_key};
use serde_json::json;
use std::sync::Arc;

/// Arguments of `audit rotate-key`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Do it: without this, only what would happen is told
    #[arg(long)]
    pub yes: bool,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let (_, parts) = parts(session, Keys::There)?;
    if parts.config.keys.signing.is_some() {
        let remedy = "a secret can't be replaced from here: take `[keys]` out after putting the three key lines into files of state/keys, or keep the key";
        return Err(wrong(session, "[keys] signing", "the signing key is given as a secret", remedy));
    }
    let old = parts.keys.log.verifier();
    if !arguments.yes {
        session.terminal.data(&format!("the log {} is signed by {old}", old.name()));
        session.terminal.data("with --yes a new key is made, the log says so under the old key, and the old key signs nothing more");
        return Ok(Exit::Fine);
    }
    let who = who(session, &parts.config);
    let runtime = runtime(session)?;
    let new = runtime.block_on(rotate_signing_key(parts, who, Arc::new(SystemClock))).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    })?;
    if session.terminal.is_json() {
        session.terminal.json(&json!({ "before": old.to_string(), "after": new.to_string() }));
    } else {
        session.terminal.data(&format!("the log is signed by {new} from now on"));
        session.terminal.note("hand this line to reviewers and witnesses; those who have the old one follow by it to this one");
    }
    Ok(Exit::Fine)
}
