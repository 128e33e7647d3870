//! `kith mapping releases` and `show`: what was in force, and how it read.

use crate::cli::argument::wrong;
use crate::cli::opened::configuration;
use crate::cli::page::line;
use crate::cli::{Exit, Session};
use crate::model::{Digest, Timestamp};
use crate::pipeline::find_release;
use crate::store::sqlite::releases::{releases_of, text_of};
use crate::store::{Release, StoreError};
use jiff::ToSpan;
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};
use std::path::PathBuf;

/// Arguments of `mapping show`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The release, by the first digits of its hash or of its mapping's digest; without it and `--on`, the one in force
    pub hash: Option<String>,
    /// What was in force at the end of a day (2026-11-27, UTC) or at a moment (2026-11-27T08:00:00Z)
    #[arg(long, value_name = "DATE", conflicts_with = "hash")]
    pub on: Option<String>,
    /// In place of the mapping a file that it names, as it reads there: its linkage model for instance
    #[arg(long, value_name = "PATH")]
    pub named: Option<String>,
}

fn known(session: &mut Session) -> Result<(PathBuf, Vec<Release>), Exit> {
    let state = configuration(session)?.service.state;
    let failed = |session: &mut Session, error: &StoreError| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    };
    let releases = releases_of(&state).map_err(|error| failed(session, &error))?;
    if releases.is_empty() {
        return Err(failed(session, &StoreError::Absent(state.display().to_string())));
    }
    Ok((state, releases))
}

fn release_json(release: &Release, until: Option<Timestamp>) -> Json {
    json!({
        "number": release.id, "hash": release.hash.to_string(), "mapping": release.mapping.to_string(),
        "model": release.model.map(|model| model.to_string()), "name": &*release.name, "how": release.how.name(),
        "by": &*release.author, "note": release.note.as_deref(), "from": release.at.to_string(),
        "to": until.map(|until| until.to_string()),
    })
}

fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn digits(digest: &Digest) -> String {
    digest.to_string().chars().take(12).collect()
}

pub(super) fn list(session: &mut Session) -> Result<Exit, Exit> {
    let (_, releases) = known(session)?;
    // The newest first: each ends where the one before it in the list begins.
    let ends = std::iter::once(None).chain(releases.iter().map(|release| Some(release.at)));
    if session.terminal.is_json() {
        let rows: Vec<Json> = releases.iter().zip(ends).map(|(release, until)| release_json(release, until)).collect();
        session.terminal.json(&json!({ "releases": rows }));
        return Ok(Exit::Fine);
    }
    let mut out = String::new();
    for (release, until) in releases.iter().zip(ends) {
        let to = until.map_or_else(|| "in force".to_owned(), shown);
        let Release { hash, mapping, name, how, author, note, at, .. } = release;
        line(&mut out, format_args!("{}  {name}  {} – {to}", digits(hash), shown(*at)));
        let note = note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
        line(&mut out, format_args!("              {} by {author}{note} (mapping {})", how.name(), digits(mapping)));
    }
    session.terminal.data(out.trim_end());
    Ok(Exit::Fine)
}

/// The last moment that counts: of a day its end.
fn moment(session: &mut Session, text: &str) -> Result<Timestamp, Exit> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let day = text.parse::<jiff::civil::Date>().ok();
    let end = day.and_then(|day| day.checked_add(1.day()).ok()?.to_zoned(TimeZone::UTC).ok()).map(|next| next.timestamp());
    end.and_then(|end| end.checked_sub(1.nanosecond()).ok())
        .ok_or_else(|| wrong(session, "--on", "it is neither a day nor a moment", "write 2026-11-27 or 2026-11-27T08:00:00Z"))
}

pub(super) fn show(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let (state, releases) = known(session)?;
    let chosen = match (&arguments.hash, &arguments.on) {
        (Some(hash), _) => {
            let hash = find_release(&releases, hash).map_err(|fault| {
                session.terminal.problem(&fault.diagnostic());
                Exit::Wrong
            })?;
            releases.iter().position(|release| release.hash == hash)
        }
        (None, Some(on)) => {
            let until = moment(session, on)?;
            let found = releases.iter().position(|release| release.at <= until);
            if found.is_none() {
                let first = releases.last().map_or_else(String::new, |first| shown(first.at));
                let message = format!("nothing was in force then: the first release is of {first}");
                return Err(wrong(session, "--on", message, "`kith mapping releases` lists what was in force when"));
            }
            found
        }
        (None, None) => Some(0),
    };
    let Some((at, release)) = chosen.and_then(|at| Some((at, releases.get(at)?))) else { return Err(Exit::Failed) };
    let text =
        text_of(&state, release.hash).and_then(|text| text.ok_or_else(|| StoreError::Damaged("the text of a release is gone".into())));
    let text = text.map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    })?;
    let until = at.checked_sub(1).and_then(|next| releases.get(next)).map(|next| next.at);
    if session.terminal.is_json() {
        let named: Vec<Json> = text.named.iter().map(|n| json!({ "named": n.written, "path": n.path, "text": n.text })).collect();
        session.terminal.json(&json!({ "release": release_json(release, until), "path": text.path, "text": text.text, "files": named }));
        return Ok(Exit::Fine);
    }
    let to = until.map_or_else(|| "now".to_owned(), shown);
    session.terminal.note(&format!(
        "{} {}, in force {} – {to} ({} by {})",
        release.name,
        digits(&release.hash),
        shown(release.at),
        release.how.name(),
        release.author
    ));
    match &arguments.named {
        None => {
            for named in &text.named {
                session.terminal.note(&format!("it names {}: `--named {}` shows that", named.written, named.written));
            }
            session.terminal.data(text.text.trim_end());
        }
        Some(wanted) => {
            let Some(named) = text.named.iter().find(|named| named.written == *wanted) else {
                let names: Vec<&str> = text.named.iter().map(|named| named.written.as_str()).collect();
                let remedy = if names.is_empty() { "it names no file".to_owned() } else { format!("it names {}", names.join(", ")) };
                return Err(wrong(session, "--named", "the release names no such file", &remedy));
            };
            session.terminal.data(named.text.trim_end());
        }
    }
    Ok(Exit::Fine)
}
