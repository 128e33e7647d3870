//! `kith connector init`: a starting target file from the live catalogue of a system. Nothing is written there.

use super::opened::runtime;
use super::project::configuration;
use super::{Exit, Session};
use crate::declare::config::{TargetPlace, TargetSpec};
use crate::declare::connector::ObjectName;
use crate::deliver::starting_file;
use crate::diagnose::{Code, Diagnostic, Place, nearest};
use serde_json::json;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const BAD_ARGUMENT: Code = Code("KITH-C015");
const NOT_WRITABLE: Code = Code("KITH-C018");

/// Systems that tell about themselves.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// From a table of a SQL Server: columns, types, lengths, keys
    Sqlserver(Arguments),
}

/// Arguments of `connector init sqlserver`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The table: `dbo.Contact`, a part with blanks in brackets
    #[arg(long, value_name = "TABLE")]
    pub table: String,
    /// The target of the configuration that has the `server`; needed where several have one
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// Write into this new file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    let Command::Sqlserver(arguments) = command;
    sqlserver(arguments, session).unwrap_or_else(|exit| exit)
}

fn wrong(argument: &str, message: String, remedy: impl Into<String>) -> Diagnostic {
    Diagnostic::error(BAD_ARGUMENT, Place::Named(format!("argument {argument}")), message, remedy)
}

fn sqlserver(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    // The target files may not be there yet: the configuration alone is enough.
    let configured = configuration(&session.global.config, &session.environment);
    let Some(config) = configured.config else {
        session.terminal.problems(&configured.problems);
        return Err(Exit::Wrong);
    };
    let chosen = table(&arguments.table).and_then(|table| Ok((table, chosen(&config.targets, arguments.target.as_deref())?)));
    let (table, target) = chosen.map_err(|problem| {
        session.terminal.problem(&problem);
        Exit::Wrong
    })?;
    let TargetPlace::Server(server) = &target.place else { return Err(Exit::Wrong) };
    let mut server = (**server).clone();
    for secret in server.secrets_mut() {
        let read = session.environment.secret(&secret.source).map_err(|problem| {
            session.terminal.problem(&problem);
            Exit::Failed
        })?;
        secret.value = Some(read);
    }
    let runtime = runtime(session)?;
    let text = runtime.block_on(starting_file(&server, &table, &target.name)).map_err(|problem| {
        session.terminal.problem(&problem);
        Exit::Failed
    })?;
    let Some(out) = &arguments.out else {
        if session.terminal.is_json() {
            session.terminal.json(&json!({ "file": null, "text": text }));
        } else {
            session.terminal.data(text.trim_end());
        }
        return Ok(Exit::Fine);
    };
    put(out, &text).map_err(|problem| {
        session.terminal.problem(&problem);
        Exit::Failed
    })?;
    if session.terminal.is_json() {
        session.terminal.json(&json!({ "file": out.display().to_string(), "text": null }));
    } else {
        session.terminal.data(&format!("written: {}", out.display()));
        session.terminal.note(&format!("then: kith check {}", out.display()));
    }
    Ok(Exit::Fine)
}

fn table(text: &str) -> Result<ObjectName, Diagnostic> {
    let remedy =
        "write `schema.name` or `name` (then `dbo` is meant); a name with blanks or points stands in brackets: `dbo.[Social Post]`";
    ObjectName::parse(text).ok_or_else(|| wrong("--table", format!("`{text}` can't name a table of a SQL Server"), remedy))
}

/// The target that is meant: the one that is named, else the only one with a `server`.
fn chosen<'a>(targets: &'a [TargetSpec], named: Option<&str>) -> Result<&'a TargetSpec, Diagnostic> {
    let on_servers: Vec<&TargetSpec> = targets.iter().filter(|target| matches!(target.place, TargetPlace::Server(_))).collect();
    let names = on_servers.iter().map(|target| &*target.name).collect::<Vec<_>>().join(", ");
    match (named, on_servers.as_slice()) {
        (_, []) => Err(wrong("--target", "no target of the configuration has a `server`".to_owned(), "add one: config/README.md says how")),
        (None, [one]) => Ok(one),
        (None, _) => Err(wrong("--target", format!("several targets have a `server`: {names}"), "name the one that is meant")),
        (Some(name), all) => all.iter().find(|target| *target.name == *name).copied().ok_or_else(|| {
            let remedy = nearest(name, all.iter().map(|target| &*target.name))
                .map_or_else(|| format!("name one of: {names}"), |near| format!("did you mean `{near}`?"));
            wrong("--target", format!("no target `{name}` has a `server`"), remedy)
        }),
    }
}

fn put(path: &Path, text: &str) -> Result<(), Diagnostic> {
    // Never over a file that is there: somebody may have worked on it.
    File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        let message = format!("the file can't be written: {}", error.kind());
        Diagnostic::error(
            NOT_WRITABLE,
            Place::Named(path.display().to_string()),
            message,
            "name a file that is not there yet, in a folder that may be written",
        )
    })
}
