//! The reference of the command line, as Markdown, from the definitions that the parser uses.

use super::Arguments;
use clap::{Arg, Command, CommandFactory as _};

/// Every command with its arguments, for `config/CLI.md`.
pub fn reference() -> String {
    let mut root = Arguments::command();
    root.build();
    format!("{HEAD}{}{}", arguments(&root, true), commands(&root, "kith"))
}

const HEAD: &str = "# The command line

Written by a test from the parser's own definitions.

Data goes to stdout, progress and logs to stderr. Exit codes: 0 fine (parked rows included: they are reported), 1 the work failed, 2 what
you gave is wrong (configuration, mapping, arguments), 3 a check found a difference.

Every command takes:

";

fn commands(parent: &Command, path: &str) -> String {
    let text = |command: &Command| {
        let path = format!("{path} {}", command.get_name());
        let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
        let own = arguments(command, false);
        let gap = if own.is_empty() { "" } else { "\n" };
        format!("\n## `{}`\n\n{about}.\n{gap}{own}{}", usage(command, &path), commands(command, &path))
    };
    parent.get_subcommands().filter(|c| c.get_name() != "help").map(text).collect()
}

fn usage(command: &Command, path: &str) -> String {
    let mut usage = path.to_owned();
    for argument in command.get_positionals() {
        let many = argument.get_num_args().is_some_and(|range| range.max_values() > 1);
        let name = format!("{}{}", placeholder(argument), if many { "…" } else { "" });
        let (open, close) = if argument.is_required_set() { (" ", "") } else { (" [", "]") };
        usage.extend([open, name.as_str(), close]);
    }
    if command.has_subcommands() {
        usage.push_str(" COMMAND");
    }
    usage
}

fn placeholder(argument: &Arg) -> String {
    let named = argument.get_value_names().and_then(|names| names.first());
    named.map_or_else(|| argument.get_id().to_string().to_uppercase(), ToString::to_string)
}

fn arguments(command: &Command, global: bool) -> String {
    let shown = |a: &&Arg| a.is_global_set() == global && !a.is_hide_set() && !matches!(a.get_id().as_str(), "help" | "version");
    command.get_arguments().filter(shown).map(argument_line).collect()
}

fn argument_line(argument: &Arg) -> String {
    let mut name = match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (None, Some(long)) => format!("--{long}"),
        (Some(short), None) => format!("-{short}"),
        (None, None) => placeholder(argument),
    };
    let takes_value = argument.get_action().takes_values() && !argument.is_positional();
    if takes_value {
        let values: Vec<String> = argument.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
        name.push(' ');
        name.push_str(&if values.is_empty() { placeholder(argument) } else { values.join("|") });
    }
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let default = argument.get_default_values().first().filter(|_| takes_value);
    let default = default.map_or_else(String::new, |value| format!(" (default `{}`)", value.to_string_lossy()));
    format!("- `{name}`: {help}{default}\n")
}
