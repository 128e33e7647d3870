//! Arguments that several commands have, and those that can't be used.

use super::{Exit, Session};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::Network;

const BAD_ARGUMENT: Code = Code("KITH-C015");

/// A reason is a sentence or two: what an audit entry keeps of a text.
const MAX_REASON: usize = 2_000;

/// An argument that can't be used.
pub(super) fn wrong(session: &mut Session, argument: &str, message: impl Into<String>, remedy: &str) -> Exit {
    session.terminal.problem(&Diagnostic::error(BAD_ARGUMENT, Place::Named(format!("argument {argument}")), message, remedy));
    Exit::Wrong
}

/// A network's name.
pub(super) fn network(session: &mut Session, name: &str) -> Result<Network, Exit> {
    name.parse().map_err(|error: crate::model::UnknownNetwork| {
        let known: Vec<&str> = Network::ALL.iter().map(|n| n.name()).collect();
        wrong(session, "NETWORK", error.to_string(), &format!("it is one of {}", known.join(", ")))
    })
}

/// A reason, told to be short enough before anything is asked. `remedy` says what to write.
pub(super) fn reason<'t>(session: &mut Session, text: &'t str, remedy: &str) -> Result<&'t str, Exit> {
    let reason = text.trim();
    if reason.is_empty() || reason.len() > MAX_REASON {
        return Err(wrong(session, "--reason", "a reason has 1 to 2,000 bytes", remedy));
    }
    Ok(reason)
}

/// What to write as a reason.
pub(super) const SAY_WHY: &str = "say in a sentence why";
