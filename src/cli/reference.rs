//! The reference of the command line, as Markdown, from the definitions that the parser uses.

use super::Arguments;
use clap::{Arg, Command, CommandFactory as _};

/// Every command with its arguments, for `config/CLI.md`.
pub fn reference() -> String {
    let mut root = Arguments::command();
    root.build();
    let mut out = String::from("# The command line\n\nWritten by a test from the parser's own definitions.\n\n");
    out.push_str(
        "Data goes to stdout, progress and logs to stderr. Exit codes: 0 fine (parked rows included: they are reported), 1 the work failed, \
         2 what you gave is wrong (configuration, mapping, arguments), 3 a check found a difference.\n\n",
    );
    out.push_str("Every command takes:\n\n");
    arguments(&root, true, &mut out);
    commands(&root, "kith", &mut out);
    out
}

fn commands(parent: &Command, path: &str, out: &mut String) {
    for command in parent.get_subcommands().filter(|c| c.get_name() != "help") {
        let path = format!("{path} {}", command.get_name());
        let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
        out.push_str(&format!("\n## `{}`\n\n{about}.\n\n", usage(command, &path)));
        arguments(command, false, out);
        commands(command, &path, out);
    }
}

fn usage(command: &Command, path: &str) -> String {
    let mut usage = path.to_owned();
    for argument in command.get_positionals() {
        let name = placeholder(argument);
        let many = argument.get_num_args().is_some_and(|range| range.max_values() > 1);
        let dots = if many { "…" } else { "" };
        usage.push_str(&if argument.is_required_set() { format!(" {name}{dots}") } else { format!(" [{name}{dots}]") });
    }
    if command.has_subcommands() {
        usage.push_str(" COMMAND");
    }
    usage
}

fn placeholder(argument: &Arg) -> String {
    argument
        .get_value_names()
        .and_then(|names| names.first())
        .map_or_else(|| argument.get_id().to_string().to_uppercase(), ToString::to_string)
}

fn arguments(command: &Command, global: bool, out: &mut String) {
    let shown = |a: &&Arg| a.is_global_set() == global && !a.is_hide_set() && !matches!(a.get_id().as_str(), "help" | "version");
    for argument in command.get_arguments().filter(shown) {
        let mut name = match (argument.get_short(), argument.get_long()) {
            (Some(short), Some(long)) => format!("-{short}, --{long}"),
            (None, Some(long)) => format!("--{long}"),
            (Some(short), None) => format!("-{short}"),
            (None, None) => placeholder(argument),
        };
        let takes_value = argument.get_action().takes_values() && !argument.is_positional();
        let values: Vec<String> = argument.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
        if takes_value {
            name.push(' ');
            name.push_str(&if values.is_empty() { placeholder(argument) } else { values.join("|") });
        }
        let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
        let default = argument
            .get_default_values()
            .first()
            .filter(|_| takes_value)
            .map_or_else(String::new, |value| format!(" (default `{}`)", value.to_string_lossy()));
        out.push_str(&format!("- `{name}`: {help}{default}\n"));
    }
}
