//! `kith dead-letter`: what stands aside, why, and the ways out: replay, mended or not, or drop.

use super::argument::{reason, wrong};
use super::opened::{reader, runtime, tell_read, who};
use super::page::line;
use super::{Exit, Session};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::{Timestamp, WriteIntent};
use crate::normalize::activity_streams::to_line;
use crate::pipeline::{Clock, Edit, LetterAnswer, RunError, SystemClock, drop_letters, readiness, replay_letters};
use crate::store::sqlite::SqliteReader;
use crate::store::{Letter, LetterContent, LetterFilter, LetterId, LetterKind, LetterPlace, LetterRow, LetterState, StoreError};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::sync::Arc;

const UNKNOWN: Code = Code("KITH-R020");

/// Letters read from the store at once.
const PAGE: usize = 500;
/// Letters of one command at most: their ids, 16 bytes each, stay below 16 MB; the command can be given again.
const MOST: usize = 1_000_000;

/// Commands about what stands aside.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Parked deliveries (d1, d2, …) and input lines (l1, l2, …), with place and reason
    List(ListArguments),
    /// One letter: reason, attempts, state; with --reveal the request as sent, the answer and the content, which the log then says
    Show(ShowArguments),
    /// Send deliveries again, or take lines in again, as they are or edited
    Replay(ReplayArguments),
    /// Give letters up, for a reason
    Drop(DropArguments),
}

/// Which letters, without naming them.
#[derive(clap::Args, Clone, Debug)]
pub struct Filter {
    /// Only deliveries, or only lines
    #[arg(long, value_name = "KIND", value_parser = ["delivery", "line"])]
    pub kind: Option<String>,
    /// Only deliveries to this target
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// Only deliveries by this operation of the target
    #[arg(long, value_name = "NAME")]
    pub operation: Option<String>,
    /// Only deliveries of this `deliver` entry of the mapping
    #[arg(long, value_name = "ID")]
    pub entry: Option<String>,
    /// Only what this source brought
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Only with this code
    #[arg(long, value_name = "CODE")]
    pub code: Option<String>,
    /// Only parked at this time (RFC 3339) or later
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// Only parked before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
}

/// Letters by name, or all that fit.
#[derive(clap::Args, Debug)]
pub struct Selection {
    /// Which letters, as `list` names them
    #[arg(value_name = "LETTER", conflicts_with_all = ["all", "kind", "target", "operation", "entry", "source", "code", "since", "until"])]
    pub letters: Vec<String>,
    /// All letters that fit the filters
    #[arg(long)]
    pub all: bool,
    /// Which
    #[command(flatten)]
    pub filter: Filter,
}

/// Arguments of `dead-letter list`.
#[derive(clap::Args, Debug)]
pub struct ListArguments {
    /// Which
    #[command(flatten)]
    pub filter: Filter,
    /// At most so many
    #[arg(long, default_value_t = 1_000)]
    pub limit: usize,
}

/// Arguments of `dead-letter show`.
#[derive(clap::Args, Debug)]
pub struct ShowArguments {
    /// Which letter, as `list` names it: d17, l4
    pub letter: String,
    /// Show what is personal, too
    #[arg(long)]
    pub reveal: bool,
}

/// Arguments of `dead-letter replay`.
#[derive(clap::Args, Debug)]
pub struct ReplayArguments {
    /// Which
    #[command(flatten)]
    pub chosen: Selection,
    /// Only say what would happen
    #[arg(long)]
    pub dry_run: bool,
    /// Change a field of the delivery before; several times for several fields, without a VALUE the field is emptied
    #[arg(long, value_name = "FIELD=VALUE", conflicts_with = "edit")]
    pub set: Vec<String>,
    /// Take this instead: a JSON object of the delivery's fields, as `show --reveal --format json` prints it under `payload`, or the mended line
    #[arg(long, value_name = "FILE")]
    pub edit: Option<PathBuf>,
}

/// Arguments of `dead-letter drop`.
#[derive(clap::Args, Debug)]
pub struct DropArguments {
    /// Which
    #[command(flatten)]
    pub chosen: Selection,
    /// Why; it stands, sealed, in the audit log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Only say what would happen
    #[arg(long)]
    pub dry_run: bool,
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    let done = match command {
        Command::List(arguments) => list(arguments, session),
        Command::Show(arguments) => show(arguments, session),
        Command::Replay(arguments) => replay(arguments, session),
        Command::Drop(arguments) => drop_all(arguments, session),
    };
    done.unwrap_or_else(|exit| exit)
}

fn failed(session: &mut Session, error: &StoreError) -> Exit {
    session.terminal.problem(&error.diagnostic());
    Exit::Failed
}

fn run_failed(session: &mut Session, error: &RunError) -> Exit {
    session.terminal.problem(&error.diagnostic());
    Exit::Failed
}

fn filter(filter: &Filter) -> LetterFilter {
    let kind = filter.kind.as_deref().map(|kind| if kind == "line" { LetterKind::Line } else { LetterKind::Delivery });
    LetterFilter {
        kind,
        target: filter.target.clone(),
        operation: filter.operation.clone(),
        entry: filter.entry.clone(),
        source: filter.source.clone(),
        code: filter.code.clone(),
        since: filter.since,
        until: filter.until,
    }
}

fn list(arguments: &ListArguments, session: &mut Session) -> Result<Exit, Exit> {
    let (_, reader) = reader(session)?;
    let filter = filter(&arguments.filter);
    let (mut after, mut shown, mut more) = (None, 0, false);
    loop {
        // One more than wanted tells whether there are more.
        let wanted = arguments.limit.saturating_sub(shown).saturating_add(1).min(PAGE);
        let rows = reader.dead_letters(&filter, after, wanted).map_err(|e| failed(session, &e))?;
        let full = rows.len() == wanted;
        for row in rows {
            if shown == arguments.limit {
                more = true;
                break;
            }
            if shown == 0 && !session.terminal.is_json() {
                session.terminal.data(&format!("{:<8} {:<20} {:<10} {:<44} {}", "letter", "since", "code", "place", "reason"));
            }
            shown += 1;
            after = Some(row.id);
            if session.terminal.is_json() {
                session.terminal.json(&row_json(&row));
            } else {
                let text = format!("{:<8} {:<20} {:<10} {:<44} {}", row.id.to_string(), since(&row), row.code, place(&row), row.message);
                session.terminal.data(&text);
            }
        }
        if more || !full {
            break;
        }
    }
    if more {
        session.terminal.note(&format!("only the first {shown} are listed; --limit gives more"));
    } else if shown == 0 {
        session.terminal.note("no letter fits: nothing stands aside");
    } else {
        session
            .terminal
            .note("\nkith dead-letter show LETTER tells more · replay LETTER tries again · drop LETTER --reason TEXT gives it up");
    }
    Ok(Exit::Fine)
}

fn since(row: &LetterRow) -> String {
    row.at.map_or_else(String::new, |at| format!("{at:.0}"))
}

fn place(row: &LetterRow) -> String {
    match &row.place {
        LetterPlace::Delivery { target, entry, intent, attempts, .. } => {
            let intent = if *intent == WriteIntent::Write { String::new() } else { format!("{} ", intent.name()) };
            let tries = if *attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
            format!("{intent}{entry} to {}, {tries}", target.0)
        }
        LetterPlace::Line { file, line } => format!("{file}:{line}"),
    }
}

fn row_json(row: &LetterRow) -> Json {
    let mut json = json!({
        "letter": row.id.to_string(), "state": row.state.name(), "code": row.code, "message": row.message,
        "since": row.at.map(|at| at.to_string()), "source": row.source,
    });
    let about = match &row.place {
        LetterPlace::Delivery { target, operation, entry, intent, attempts } => json!({
            "kind": "delivery", "target": &*target.0, "operation": &*operation.0, "entry": &**entry, "intent": intent.name(), "attempts": attempts,
        }),
        LetterPlace::Line { file, line } => json!({ "kind": "line", "file": file, "line": line }),
    };
    if let (Some(members), Json::Object(about)) = (json.as_object_mut(), about) {
        members.extend(about);
    }
    json
}

fn letter_id(session: &mut Session, text: &str) -> Result<LetterId, Exit> {
    let remedy = "write it as `kith dead-letter list` does: d17 for a delivery, l4 for a line";
    text.parse().map_err(|error: crate::store::NoLetterId| wrong(session, "LETTER", error.to_string(), remedy))
}

fn one(session: &mut Session, reader: &SqliteReader, id: LetterId) -> Result<Letter, Exit> {
    let found = reader.letters(&[id]).map_err(|e| failed(session, &e))?.pop();
    found.ok_or_else(|| {
        let remedy = "`kith dead-letter list` shows all that stand aside";
        session.terminal.problem(&Diagnostic::error(UNKNOWN, Place::Named(format!("letter {id}")), "there is no such letter", remedy));
        Exit::Wrong
    })
}

fn show(arguments: &ShowArguments, session: &mut Session) -> Result<Exit, Exit> {
    let id = letter_id(session, &arguments.letter)?;
    let (parts, reader) = reader(session)?;
    let letter = one(session, &reader, id)?;
    let ready = readiness(&parts, &letter, None).map_err(|(code, told)| format!("{code} {told}"));
    if arguments.reveal {
        let subject = match &letter.content {
            LetterContent::Delivery(row) => Some(parts.keys.hash.identity(&row.identity)),
            LetterContent::Activity(activity) => Some(parts.keys.hash.identity(&activity.actor.id)),
            LetterContent::Line(_) | LetterContent::Gone => None,
        };
        let subjects: Vec<String> = subject.iter().map(ToString::to_string).collect();
        tell_read(session, parts, "dead-letter show", &subjects, 1)?;
    }
    if session.terminal.is_json() {
        session.terminal.json(&letter_json(&letter, &ready, arguments.reveal));
    } else {
        session.terminal.data(&letter_page(&letter, &ready, arguments.reveal));
        if !arguments.reveal {
            session.terminal.note("--reveal shows the request, the answer and the content; the log then says that you read them");
        }
    }
    Ok(Exit::Fine)
}

fn payload_json(fields: &[(Arc<str>, crate::model::Value)]) -> Json {
    fields.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect::<serde_json::Map<_, _>>().into()
}

fn letter_json(letter: &Letter, ready: &Result<String, String>, reveal: bool) -> Json {
    let mut json = row_json(&letter.row);
    let Some(members) = json.as_object_mut() else { return json };
    let attempts: Vec<Json> = letter
        .attempts
        .iter()
        .map(|a| json!({ "number": a.number, "at": a.at.to_string(), "class": a.class, "code": a.code, "message": a.message }))
        .collect();
    members.insert("activity".into(), json!(letter.activity));
    members.insert("may_have_arrived".into(), letter.may_have_arrived.into());
    members.insert("overtaken_by".into(), json!(letter.overtaken_by.map(|(id, _)| LetterId::Delivery(id).to_string())));
    members.insert("replay".into(), json!({ "possible": ready.is_ok(), "told": ready.as_ref().unwrap_or_else(|told| told) }));
    if let LetterPlace::Delivery { .. } = letter.row.place {
        members.insert("failed_attempts".into(), attempts.into());
    }
    if !reveal {
        return json;
    }
    match &letter.content {
        LetterContent::Delivery(row) => {
            members.insert("payload".into(), payload_json(row.delivery.payload.reveal()));
            members.insert(
                "record".into(),
                serde_json::from_str(&row.delivery.record.0).unwrap_or_else(|_text| json!(&*row.delivery.record.0)),
            );
        }
        LetterContent::Line(raw) => {
            members.insert("raw".into(), String::from_utf8_lossy(raw.reveal()).into());
        }
        LetterContent::Activity(activity) => {
            members.insert("raw".into(), String::from_utf8_lossy(&to_line(activity)).into());
        }
        LetterContent::Gone => {
            members.insert("content".into(), "gone".into());
        }
    }
    if let Some((request, answer)) = &letter.exchange {
        members.insert("request".into(), request.reveal().as_str().into());
        members.insert("answer".into(), answer.reveal().as_str().into());
    }
    json
}

fn letter_page(letter: &Letter, ready: &Result<String, String>, reveal: bool) -> String {
    let row = &letter.row;
    let mut out = format!("{}  {}\n", row.id, place(row));
    let since = row.at.map_or_else(String::new, |at| format!(" since {at:.0}"));
    line(&mut out, format_args!("  {}{since}", row.state.name()));
    if !row.code.is_empty() || !row.message.is_empty() {
        line(&mut out, format_args!("  {}  {}", row.code, row.message));
    }
    if let LetterPlace::Delivery { target, operation, entry, intent, .. } = &row.place {
        line(&mut out, format_args!("  {} by {} of {} (entry {entry})", intent.name(), operation.0, target.0));
    }
    if let Some(source) = &row.source {
        line(&mut out, format_args!("  from source {source}"));
    }
    if let Some(activity) = &letter.activity {
        line(&mut out, format_args!("  its activity is {activity}"));
    }
    for attempt in &letter.attempts {
        line(
            &mut out,
            format_args!("  attempt {} at {:.0}: {} {}: {}", attempt.number, attempt.at, attempt.class, attempt.code, attempt.message),
        );
    }
    if letter.may_have_arrived {
        line(&mut out, format_args!("  nobody knows whether it arrived: look at the record in the target before you replay it"));
    }
    if row.state == LetterState::Parked {
        match ready {
            Ok(told) => line(&mut out, format_args!("  on replay it {told}")),
            Err(told) => line(&mut out, format_args!("  on replay it stays as it is: {told}")),
        }
    }
    if !reveal {
        return out;
    }
    match &letter.content {
        LetterContent::Delivery(delivery) => {
            line(&mut out, format_args!("\n  fields"));
            for (name, value) in delivery.delivery.payload.reveal() {
                line(&mut out, format_args!("    {name:<20} {}", value.to_json()));
            }
        }
        LetterContent::Line(raw) => line(&mut out, format_args!("\n  the line\n{}", String::from_utf8_lossy(raw.reveal()))),
        LetterContent::Activity(activity) => {
            line(&mut out, format_args!("\n  the activity\n{}", String::from_utf8_lossy(&to_line(activity))));
        }
        LetterContent::Gone => line(&mut out, format_args!("\n  its content was not kept, or its key was destroyed")),
    }
    match &letter.exchange {
        Some((request, answer)) => {
            line(&mut out, format_args!("\n  request, secrets masked\n{}\n\n  answer\n{}", request.reveal(), answer.reveal()));
        }
        None if matches!(row.id, LetterId::Delivery(_)) => line(&mut out, format_args!("\n  no request was kept")),
        None => {}
    }
    out
}

/// The letters that a command is about, in the order of their ids where a filter chose them.
fn chosen(session: &mut Session, reader: &SqliteReader, asked: &Selection) -> Result<Vec<LetterId>, Exit> {
    let (wanted, letters) = (filter(&asked.filter), &asked.letters);
    if letters.is_empty() && !asked.all && wanted.is_empty() {
        let remedy = "name letters (d17 l4), or give filters, or --all";
        return Err(wrong(session, "LETTER", "nothing says which letters", remedy));
    }
    if !letters.is_empty() {
        let mut ids = Vec::with_capacity(letters.len());
        for text in letters {
            let id = letter_id(session, text)?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        for id in &ids {
            one(session, reader, *id)?;
        }
        // Older ones first: a newer delivery about the same record would hold an older one back.
        ids.sort_unstable();
        return Ok(ids);
    }
    let mut ids = Vec::new();
    loop {
        let page = reader.dead_letters(&wanted, ids.last().copied(), PAGE).map_err(|e| failed(session, &e))?;
        let last = page.len() < PAGE;
        ids.extend(page.into_iter().map(|row| row.id));
        if last || ids.len() >= MOST {
            return Ok(ids);
        }
    }
}

fn edit(session: &mut Session, arguments: &ReplayArguments) -> Result<Option<Edit>, Exit> {
    if let Some(path) = &arguments.edit {
        if arguments.chosen.letters.len() != 1 {
            return Err(wrong(session, "--edit", "a file mends one letter", "name the one letter; `--set` changes a field of many"));
        }
        let bytes = super::read_bytes(path).map_err(|problem| {
            session.terminal.problem(&problem);
            Exit::Wrong
        })?;
        let text = String::from_utf8(bytes).map_err(|_not_text| wrong(session, "--edit", "the file is not UTF-8", "write it as UTF-8"))?;
        return Ok(Some(Edit::Text(text)));
    }
    let mut fields = Vec::with_capacity(arguments.set.len());
    for set in &arguments.set {
        let Some((name, value)) = set.split_once('=') else {
            return Err(wrong(session, "--set", "a field and its value are told apart by `=`", "write --set FIELD=VALUE"));
        };
        fields.push((name.to_owned(), value.to_owned()));
    }
    Ok((!fields.is_empty()).then_some(Edit::Set(fields)))
}

fn replay(arguments: &ReplayArguments, session: &mut Session) -> Result<Exit, Exit> {
    let edit = edit(session, arguments)?;
    let (parts, reader) = reader(session)?;
    let ids = chosen(session, &reader, &arguments.chosen)?;
    let mut tally = Tally { done: "replayed", would: "would be replayed", dry: arguments.dry_run, ..Tally::default() };
    if arguments.dry_run {
        for page in ids.chunks(PAGE) {
            for letter in reader.letters(page).map_err(|e| failed(session, &e))? {
                let (code, told) = match readiness(&parts, &letter, edit.as_ref()) {
                    Ok(told) => (None, told),
                    Err((code, told)) => (Some(code.0.to_owned()), told),
                };
                tally.tell(session, LetterAnswer { letter: letter.row.id.to_string(), code, told });
            }
        }
        return Ok(tally.end(session));
    }
    let who = who(session, &parts.config);
    let runtime = runtime(session)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let done = runtime.block_on(replay_letters(&parts, &who, &clock, &ids, edit.as_ref(), |answer| tally.tell(session, answer)));
    done.map_err(|error| run_failed(session, &error))?;
    Ok(tally.end(session))
}

fn drop_all(arguments: &DropArguments, session: &mut Session) -> Result<Exit, Exit> {
    let reason = reason(session, &arguments.reason, "say in a sentence why it is given up")?;
    let (parts, reader) = reader(session)?;
    let ids = chosen(session, &reader, &arguments.chosen)?;
    let mut tally = Tally { done: "dropped", would: "would be dropped", dry: arguments.dry_run, ..Tally::default() };
    if arguments.dry_run {
        for page in ids.chunks(PAGE) {
            for letter in reader.letters(page).map_err(|e| failed(session, &e))? {
                let parked = letter.row.state == LetterState::Parked;
                let told =
                    if parked { "would be dropped".to_owned() } else { format!("it is not parked, it is {}", letter.row.state.name()) };
                let code = (!parked).then(|| "KITH-R021".to_owned());
                tally.tell(session, LetterAnswer { letter: letter.row.id.to_string(), code, told });
            }
        }
        return Ok(tally.end(session));
    }
    let who = who(session, &parts.config);
    let runtime = runtime(session)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let done = runtime.block_on(drop_letters(&parts, &who, &clock, &ids, reason, |answer| tally.tell(session, answer)));
    done.map_err(|error| run_failed(session, &error))?;
    Ok(tally.end(session))
}

/// What became of the letters, told one by one and counted.
#[derive(Default)]
struct Tally {
    done: &'static str,
    would: &'static str,
    dry: bool,
    count: u64,
    stay: u64,
}

impl Tally {
    fn tell(&mut self, session: &mut Session, answer: LetterAnswer) {
        let LetterAnswer { letter, code, told } = answer;
        if code.is_some() {
            self.stay += 1;
        } else {
            self.count += 1;
        }
        if session.terminal.is_json() {
            session.terminal.json(&json!({ "letter": letter, "done": code.is_none() && !self.dry, "code": code, "told": told }));
            return;
        }
        match code {
            None => session.terminal.data(&format!("{letter:<8} {told}")),
            Some(code) => session.terminal.data(&format!("{letter:<8} stays: {code} {told}")),
        }
    }

    fn end(&self, session: &mut Session) -> Exit {
        let word = if self.dry { self.would } else { self.done };
        if session.terminal.is_json() {
            session.terminal.json(&json!({ "dry_run": self.dry, self.done: if self.dry { 0 } else { self.count }, "possible": self.count, "stay": self.stay }));
        } else if self.count + self.stay == 0 {
            session.terminal.note("no letter fits: nothing stands aside");
        } else {
            let stay = if self.stay == 0 { String::new() } else { format!(", {} stay as they are", self.stay) };
            session.terminal.note(&format!("{} {word}{stay}", self.count));
        }
        if self.stay == 0 { Exit::Fine } else { Exit::Failed }
    }
}
