//! `kith connector`: target files by themselves.

use super::connector_init;
use super::{Exit, Session};

/// What is done with connectors.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Write a starting target file from what a system says of itself
    #[command(subcommand)]
    Init(connector_init::Command),
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    match command {
        Command::Init(command) => connector_init::run(command, session),
    }
}
