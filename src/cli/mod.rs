//! Rank 7, the command line: one file a command group. Data goes to stdout, progress and logs to stderr (design §4).

mod argument;
mod audit;
mod backup;
mod check;
mod connector;
mod connector_init;
mod dead_letter;
mod doctor;
mod environment;
mod explain;
mod files;
mod html;
mod init;
mod keys;
mod link;
mod logging;
mod mapping;
mod matching;
mod memory;
mod opened;
mod page;
mod people;
mod plan;
mod progress;
mod project;
mod reference;
mod reload;
mod restore;
mod review;
mod run;
mod serve;
mod standing;
mod status;
mod stops;
mod subject;
mod terminal;
mod test;
mod undo;

pub use environment::Environment;
pub use files::{read_bytes, read_text};
pub use logging::start_logging;
pub use memory::keep_pages_small;
pub use project::Project;
pub use reference::reference;
pub use terminal::Terminal;

use crate::diagnose::{Code, Diagnostic, Place};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// The arguments of `kith`.
#[derive(Parser, Debug)]
#[command(name = "kith", version, about, long_about = None, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 fine; 1 the work failed; 2 what you gave is wrong; 3 a check found a difference.")]
pub struct Arguments {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// The configuration; relative paths in it start at the folder that holds its config/ folder
    #[arg(long, global = true, value_name = "FILE", default_value = "config/kith.toml")]
    pub config: PathBuf,
    /// For people, or one JSON object for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Log more (-vv: everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// No progress and no notes; problems are still told
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// How results are written to stdout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// For people
    Human,
    /// One JSON object, or one a line
    Json,
    /// Comma-separated values: `link list` and `review export` only
    Csv,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Write a working sample project into a new folder
    Init(init::Arguments),
    /// Check configuration, connectors and mappings offline: every problem of every file
    Check(check::Arguments),
    /// Run the tests inside mappings, and tell what they never exercise
    Test(test::Arguments),
    /// Target files by themselves: check one, call an operation, bring a vendor's WSDL
    #[command(subcommand)]
    Connector(connector::Command),
    /// What a mapping says
    #[command(subcommand)]
    Mapping(mapping::Command),
    /// Score, train and judge matching
    #[command(subcommand)]
    Match(matching::Command),
    /// What a run would do, field by field; writes nothing
    Plan(plan::Arguments),
    /// The service, or one pass until nothing is left to do
    Run(run::Arguments),
    /// One part of the service alone: the listener for webhooks, for a machine in a DMZ
    Serve(serve::Arguments),
    /// Load configuration, connectors and mapping anew in the running service; a set that does not check is refused
    Reload,
    /// What is in which state, how endpoints and the service stand, and the conservation sum
    Status(status::Arguments),
    /// Whether everything can be reached and stands as it should; with --store the state folder is examined and mended
    Doctor(doctor::Arguments),
    /// Who is linked to whom, and why
    #[command(subcommand)]
    Link(link::Command),
    /// Cases that wait for a person
    #[command(subcommand)]
    Review(review::Command),
    /// Stop a source or target, or all of them; it survives restarts
    Pause(stops::PartArguments),
    /// Let a paused source or target, or all of them, go on
    Resume(stops::PartArguments),
    /// Let a pass on that waits since it would change more than a guard allows
    Approve(stops::PassArguments),
    /// Refuse a pass that waits at a guard: nothing of it is applied
    Reject(stops::PassArguments),
    /// Put back what was written, where nobody edited it since; shows the plan first
    Undo(undo::Arguments),
    /// What stands aside, why, and the ways out
    #[command(subcommand)]
    DeadLetter(dead_letter::Command),
    /// The audit log
    #[command(subcommand)]
    Audit(audit::Command),
    /// People's rights: erase, object, hold, rectify, export, notices
    #[command(subcommand)]
    Subject(subject::Command),
    /// Copy the state folder, encrypted, while the service runs; `verify` checks such a copy
    Backup(backup::Arguments),
    /// Put a backup in the place of the state folder
    Restore(restore::Arguments),
    /// The installation's keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// Explain a problem's code at length
    Explain(explain::Arguments),
}

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Exit {
    /// Fine. Parked rows included: they are reported.
    Fine,
    /// The work failed: a source or target, a mapping's test.
    Failed,
    /// What was given is wrong: configuration, mapping, arguments.
    Wrong,
    /// A check found a difference.
    Difference,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Failed => 1,
            Exit::Wrong => 2,
            Exit::Difference => 3,
        })
    }
}

/// What a command works with.
#[derive(Debug)]
pub struct Session {
    /// What every command takes.
    pub global: Global,
    /// The process's surroundings.
    pub environment: Environment,
    /// Where output goes.
    pub terminal: Terminal,
}

/// Runs one command to its end.
pub fn run(arguments: Arguments, environment: Environment) -> Exit {
    if !matches!(arguments.command, Command::Match(matching::Command::Score(_))) {
        keep_pages_small();
    }
    let terminal = Terminal::standard(&arguments.global, &environment);
    let mut session = Session { global: arguments.global, environment, terminal };
    let writes_csv = matches!(arguments.command, Command::Link(link::Command::List(_)) | Command::Review(review::Command::Export(_)));
    if session.global.format == Format::Csv && !writes_csv {
        let remedy = "use --format json; only `kith link list` and `kith review export` write CSV";
        let problem = Diagnostic::error(Code("KITH-C015"), Place::Named("argument --format".into()), "this command writes no CSV", remedy);
        session.terminal.problem(&problem);
        return session.terminal.finish(Exit::Wrong);
    }
    let exit = match arguments.command {
        Command::Init(arguments) => init::run(&arguments, &mut session),
        Command::Check(arguments) => check::run(&arguments, &mut session),
        Command::Test(arguments) => test::run(&arguments, &mut session),
        Command::Connector(command) => connector::run(&command, &mut session),
        Command::Mapping(command) => mapping::run(&command, &mut session),
        Command::Match(command) => matching::run(&command, &mut session),
        Command::Explain(arguments) => explain::run(&arguments, &mut session),
        Command::Plan(arguments) => plan::run(&arguments, &mut session),
        Command::Run(arguments) => run::run(&arguments, &mut session),
        Command::Serve(arguments) => serve::run(&arguments, &mut session),
        Command::Reload => reload::run(&mut session),
        Command::Status(arguments) => status::run(&arguments, &mut session),
        Command::Doctor(arguments) => doctor::run(&arguments, &mut session),
        Command::Link(command) => link::run(&command, &mut session),
        Command::Review(command) => review::run(&command, &mut session),
        Command::Pause(arguments) => stops::pause(&arguments, true, &mut session),
        Command::Resume(arguments) => stops::pause(&arguments, false, &mut session),
        Command::Approve(arguments) => stops::settle(&arguments, true, &mut session),
        Command::Reject(arguments) => stops::settle(&arguments, false, &mut session),
        Command::Undo(arguments) => undo::run(&arguments, &mut session),
        Command::DeadLetter(command) => dead_letter::run(&command, &mut session),
        Command::Audit(command) => audit::run(&command, &mut session),
        Command::Subject(command) => subject::run(&command, &mut session),
        Command::Backup(arguments) => backup::run(&arguments, &mut session),
        Command::Restore(arguments) => restore::run(&arguments, &mut session),
        Command::Keys(command) => keys::run(&command, &mut session),
    };
    session.terminal.finish(exit)
}

/// The runtime of commands that wait for something; those that do not, need none.
///
/// # Errors
/// When the operating system gives no threads or no file descriptors.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
