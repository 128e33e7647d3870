//! `kith match`: scoring, training and what tells whether matching is right.

mod score;
mod train;

use super::{Exit, Session};

/// What `match` does.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Score tables by a Splink model: the same pairs, gammas, term frequencies and weights as Splink
    Score(score::Arguments),
    /// Train a mapping's model without labels, and write it with its provenance
    Train(train::Arguments),
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    match command {
        Command::Score(arguments) => score::run(arguments, session),
        Command::Train(arguments) => train::run(arguments, session),
    }
}
