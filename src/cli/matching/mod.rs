//! `kith match`: scoring, explaining, and what tells whether matching is right.

mod apply;
mod blocks;
mod calibration_plot;
mod changes;
mod evaluate;
mod explain;
mod reason;
mod score;
mod train;
pub(super) mod waterfall;

use super::{Exit, Session};

/// What `match` does.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Score tables by a Splink model: the same pairs, gammas, term frequencies and weights as Splink
    Score(score::Arguments),
    /// Why an identity is linked, or not: the evidence step by step
    Explain(explain::Arguments),
    /// How right the mapping is against labelled identities
    Evaluate(evaluate::Arguments),
    /// Train a mapping's model without labels, and write it with its provenance
    Train(train::Arguments),
    /// How large the blocks of each blocking rule are in the CRM, and what is cut
    Blocks,
    /// Who would be decided otherwise under the mapping and model as they stand, and why: the work-list of a change
    Changes(changes::Arguments),
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    match command {
        Command::Score(arguments) => score::run(arguments, session),
        Command::Explain(arguments) => explain::run(arguments, session),
        Command::Evaluate(arguments) => evaluate::run(arguments, session),
        Command::Train(arguments) => train::run(arguments, session),
        Command::Blocks => blocks::run(session),
        Command::Changes(arguments) => changes::run(arguments, session),
    }
}
