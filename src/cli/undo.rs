//! `kith undo`: plans first, then puts back what was written, where nobody edited it since.

use super::argument::{network, wrong};
use super::people::{Talk, strange};
use super::{Exit, Session};
use crate::model::{Digest, Timestamp};
use crate::pipeline::{PeopleAsk, PeopleTold};
use serde_json::json;

/// Arguments of `undo`.
#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("writes").required(true).multiple(false).args(["since", "mapping", "link"]))]
pub struct Arguments {
    /// What arrived at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// What followed decisions of this mapping, by its digest as `link show` writes it
    #[arg(long, value_name = "HASH")]
    pub mapping: Option<String>,
    /// What was written about this account
    #[arg(long, num_args = 2, value_names = ["NETWORK", "ID"])]
    pub link: Option<Vec<String>>,
    /// Do it: without this the plan is shown and nothing is written
    #[arg(long)]
    pub yes: bool,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    undo(arguments, session).unwrap_or_else(|exit| exit)
}

fn undo(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    if let Some(hash) = &arguments.mapping
        && Digest::from_hex(hash).is_none()
    {
        let remedy = "take the whole digest: `kith --format json link show` and `kith audit search --kind mapping.changed` have it";
        return Err(wrong(session, "--mapping", "this is no digest of 64 hexadecimal digits", remedy));
    }
    let account = match arguments.link.as_deref() {
        Some([name, id]) => Some((network(session, name)?.name().to_owned(), id.clone())),
        _ => None,
    };
    let ask = PeopleAsk::Undo {
        since: arguments.since.map(|at| at.to_string()),
        mapping: arguments.mapping.clone(),
        account,
        apply: arguments.yes,
    };
    let mut talk = Talk::new(session)?;
    let told = talk.ask(session, &ask)?;
    talk.end(session)?;
    let PeopleTold::Undo { rows, back, left, applied } = told else { return Err(strange(session)) };
    let records: u64 = left.values().sum();
    if session.terminal.is_json() {
        for row in &rows {
            session.terminal.json(&json!(row));
        }
        session.terminal.json(&json!({ "put_back": back, "left": left, "applied": applied }));
    } else {
        for row in &rows {
            session.terminal.data(&format!("{:<14} {:<14} {}  {}", row.target, row.entry, row.record, row.fate));
        }
        for (why, count) in &left {
            session.terminal.data(&format!("{count} left as they are: {why}"));
        }
        let word = if applied { "are on their way back" } else { "would be put back; --yes does it" };
        session.terminal.data(&format!("{back} records {word}"));
    }
    if applied && back > 0 {
        session.terminal.note("they leave through their targets as any write: with the running service, or with the next `kith run`");
    }
    Ok(if records == 0 { Exit::Fine } else { Exit::Difference })
}
