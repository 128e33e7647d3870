//! `kith match`: the linkage model.

mod calibration_plot;
mod evaluate;
mod explain;
mod waterfall;

use super::{Exit, Session};

/// Commands about matching.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Why an identity is linked, or not: the evidence step by step
    Explain(explain::Arguments),
    /// How right the mapping is against labelled identities
    Evaluate(evaluate::Arguments),
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    match command {
        Command::Explain(arguments) => explain::run(arguments, session),
        Command::Evaluate(arguments) => evaluate::run(arguments, session),
    }
}
