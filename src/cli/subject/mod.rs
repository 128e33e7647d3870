//! `kith subject`: people's rights. Erase, object, hold and release, take a basis back, rectify, export, and who is due a notice.

mod export;
mod person;

use super::argument::{self, SAY_WHY, wrong};
use super::opened::{parts_for_reading, reader, runtime, who};
use super::{Exit, Session};
use crate::model::{CustomerId, IdentityId, SubjectId};
use crate::pipeline::{Clock, RunError, SubjectAct, SubjectAnswer, SystemClock, ask_subjects, finish_removals, notices_told};
use crate::store::ring::RequestId;
use crate::store::sqlite::SqliteReader;
use crate::store::{NoticeRow, RemovalRow, StoreError};
use jiff::ToSpan;
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A list of people: 300,000 of them with ids of 200 bytes.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// Commands about people's rights.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Erase people (GDPR Art. 17): keys destroyed, stored data and lines in files gone, CRM rows withdrawn, never matched again
    Erase(Asked),
    /// Hear an objection (GDPR Art. 21): unlinked, what was written withdrawn, never matched again
    Object(Asked),
    /// Place a legal hold: nothing of these people is erased or ends by a clock while it stands
    Hold(HoldArguments),
    /// Release a legal hold
    Release(HoldArguments),
    /// Take a lawful basis back: decided again without it
    Withdraw(WithdrawArguments),
    /// Correct what a profile shows (GDPR Art. 16): decided again with it
    Rectify(RectifyArguments),
    /// Everything about a person (GDPR Art. 15, 20), as JSON and as a page to read
    Export(ExportArguments),
    /// People who are due a notice (GDPR Art. 14), with dates
    Notices(NoticesArguments),
    /// Erasures and objections on their way, or those of a request with their certificates
    Removals(RemovalsArguments),
    /// The legal holds that stand
    Holds,
}

/// Who.
#[derive(clap::Args, Debug)]
#[group(id = "subject", required = true, multiple = false)]
pub struct Who {
    /// An account
    #[arg(long, num_args = 2, value_names = ["NETWORK", "ID"])]
    pub identity: Option<Vec<String>>,
    /// A customer, and the accounts that are linked to it
    #[arg(long, value_name = "ID")]
    pub customer: Option<String>,
    /// A file with one a line: `NETWORK ID`, or `customer ID`
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
}

/// Arguments of `subject erase` and `object`.
#[derive(clap::Args, Debug)]
pub struct Asked {
    /// Who
    #[command(flatten)]
    pub who: Who,
    /// Why: it stands sealed in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// Arguments of `subject hold` and `release`.
#[derive(clap::Args, Debug)]
pub struct HoldArguments {
    /// Who
    #[command(flatten)]
    pub who: Who,
    /// Why: it stands sealed in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The matter's number or name; it stands in clear, so no person's
    #[arg(long, value_name = "NAME")]
    pub matter: Option<String>,
}

/// Arguments of `subject withdraw`.
#[derive(clap::Args, Debug)]
pub struct WithdrawArguments {
    /// Who
    #[command(flatten)]
    pub who: Who,
    /// The basis, as the mapping names it
    #[arg(long, value_name = "NAME")]
    pub basis: String,
    /// Why: it stands sealed in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// Arguments of `subject rectify`.
#[derive(clap::Args, Debug)]
pub struct RectifyArguments {
    /// Who
    #[command(flatten)]
    pub who: Who,
    /// The right value of a field, by the path that the mapping reads; empty to take out what the network shows
    #[arg(long = "set", value_name = "PATH=VALUE", required = true)]
    pub set: Vec<String>,
}

/// Arguments of `subject export`.
#[derive(clap::Args, Debug)]
pub struct ExportArguments {
    /// Who
    #[command(flatten)]
    pub who: Who,
    /// Write one self-contained page to read or print, instead of JSON on stdout
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Arguments of `subject notices`.
#[derive(clap::Args, Debug)]
pub struct NoticesArguments {
    /// Only those whose notice is due on this day or before: 2026-12-31
    #[arg(long, value_name = "DATE")]
    pub due_by: Option<jiff::civil::Date>,
    /// Remember, and tell the log, that those listed were told now
    #[arg(long)]
    pub told: bool,
}

/// Arguments of `subject removals`.
#[derive(clap::Args, Debug)]
pub struct RemovalsArguments {
    /// Those of this request, also the ones that are done
    #[arg(long, value_name = "REQUEST")]
    pub request: Option<String>,
    /// Take up what waits: look through the files again, end what is settled
    #[arg(long)]
    pub finish: bool,
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    let done = match command {
        Command::Erase(asked) => act(session, &asked.who, &SubjectAct::Erase, &asked.reason),
        Command::Object(asked) => act(session, &asked.who, &SubjectAct::Object, &asked.reason),
        Command::Hold(asked) => act(session, &asked.who, &SubjectAct::Hold { matter: asked.matter.clone() }, &asked.reason),
        Command::Release(asked) => act(session, &asked.who, &SubjectAct::Release { matter: asked.matter.clone() }, &asked.reason),
        Command::Withdraw(asked) => act(session, &asked.who, &SubjectAct::Withdraw { basis: asked.basis.clone() }, &asked.reason),
        Command::Rectify(asked) => rectify(session, asked),
        Command::Export(asked) => export::run(session, asked),
        Command::Notices(asked) => notices(session, asked),
        Command::Removals(asked) => removals(session, asked),
        Command::Holds => holds(session),
    };
    done.unwrap_or_else(|exit| exit)
}

fn failed(session: &mut Session, error: &RunError) -> Exit {
    session.terminal.problem(&error.diagnostic());
    Exit::Failed
}

fn unread(session: &mut Session, error: &StoreError) -> Exit {
    session.terminal.problem(&error.diagnostic());
    Exit::Failed
}

fn identity(session: &mut Session, network: &str, id: &str) -> Result<SubjectId, Exit> {
    let network = argument::network(session, network)?;
    Ok(SubjectId::Identity(IdentityId { network, id: id.into() }))
}

/// The people whom the arguments name.
fn people(session: &mut Session, who: &Who) -> Result<Vec<SubjectId>, Exit> {
    if let Some([network, id]) = who.identity.as_deref() {
        return Ok(vec![identity(session, network, id)?]);
    }
    if let Some(customer) = &who.customer {
        return Ok(vec![SubjectId::Customer(CustomerId::from(customer.as_str()))]);
    }
    let Some(path) = &who.from else {
        return Err(wrong(session, "--identity", "nothing says who", "give --identity NETWORK ID, --customer ID or --from FILE"));
    };
    let text = list(path)
        .map_err(|message| wrong(session, "--from", message, "give a text file with one a line: `NETWORK ID` or `customer ID`"))?;
    let mut people = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((kind, id)) = line.split_once([' ', '\t']).map(|(kind, id)| (kind, id.trim())).filter(|(_, id)| !id.is_empty()) else {
            return Err(wrong(session, "--from", format!("line {} names nobody", number + 1), "write `NETWORK ID` or `customer ID`"));
        };
        people.push(if kind == "customer" { SubjectId::Customer(CustomerId::from(id)) } else { identity(session, kind, id)? });
    }
    people.sort();
    people.dedup();
    Ok(people)
}

fn list(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_LIST_BYTES + 1).read_to_string(&mut text));
    match read {
        Err(error) => Err(format!("{} can't be read: {error}", path.display())),
        Ok(size) if size as u64 > MAX_LIST_BYTES => Err(format!("{} has more than 64 MiB", path.display())),
        Ok(_) => Ok(text),
    }
}

/// What belongs together: 16 bytes that nobody else has.
fn new_request(session: &mut Session) -> Result<String, Exit> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| unread(session, &StoreError::Database(format!("the system gives no random bytes: {error}"))))?;
    Ok(crate::audit::KeyId(bytes).to_string())
}

fn act(session: &mut Session, whom: &Who, act: &SubjectAct, reason: &str) -> Result<Exit, Exit> {
    let reason = argument::reason(session, reason, SAY_WHY)?;
    ask(session, whom, act, reason)
}

fn ask(session: &mut Session, whom: &Who, act: &SubjectAct, reason: &str) -> Result<Exit, Exit> {
    let subjects = people(session, whom)?;
    let (_, parts) = parts_for_reading(session)?;
    let who = who(session, &parts.config);
    let request = new_request(session)?;
    let runtime = runtime(session)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut answers = Vec::with_capacity(subjects.len());
    let done = runtime.block_on(ask_subjects(&parts, &who, &clock, &request, act, &subjects, reason, |answer| answers.push(answer)));
    let refused = answers.iter().filter(|answer| answer.code.is_some()).count();
    tell(session, &subjects, &answers);
    let left = done.map_err(|error| failed(session, &error))?;
    if matches!(act, SubjectAct::Erase | SubjectAct::Object) {
        let (_, reader) = reader(session)?;
        let removals = RequestId(crate::audit::KeyId::from_hex(&request).map_or([0; 16], |id| id.0));
        tell_removals(session, &reader, Some(removals), Some(&request))?;
        for file in left {
            session.terminal.note(&format!("{file} holds lines of them and is not Kith's to change: see to it"));
        }
    }
    Ok(if refused == 0 { Exit::Fine } else { Exit::Failed })
}

/// Many people are told in sum, a few one by one.
const TOLD_ONE_BY_ONE: usize = 20;

fn tell(session: &mut Session, subjects: &[SubjectId], answers: &[SubjectAnswer]) {
    if session.terminal.is_json() {
        for (number, answer) in answers.iter().enumerate() {
            session
                .terminal
                .json(&json!({ "number": number + 1, "done": answer.code.is_none(), "code": answer.code, "told": answer.told }));
        }
        return;
    }
    let many = subjects.len() > TOLD_ONE_BY_ONE;
    for (subject, answer) in subjects.iter().zip(answers) {
        let name = match subject {
            SubjectId::Identity(id) => format!("{} {}", id.network, id.id),
            SubjectId::Customer(id) => format!("customer {}", id.as_str()),
        };
        match &answer.code {
            Some(code) => session.terminal.data(&format!("{name}: {code} {}", answer.told)),
            None if !many => session.terminal.data(&format!("{name}: {}", answer.told)),
            None => {}
        }
    }
    if many {
        let done = answers.iter().filter(|answer| answer.code.is_none()).count();
        session.terminal.data(&format!("{done} of {} done, {} refused", subjects.len(), answers.len() - done));
    }
}

fn rectify(session: &mut Session, asked: &RectifyArguments) -> Result<Exit, Exit> {
    let mut fields = Vec::with_capacity(asked.set.len());
    for set in &asked.set {
        let Some((path, value)) = set.split_once('=') else {
            return Err(wrong(session, "--set", "a field and its value are told apart by `=`", "write --set actor.name=VALUE"));
        };
        fields.push((path.to_owned(), value.to_owned()));
    }
    ask(session, &asked.who, &SubjectAct::Rectify { fields }, "")
}

/// How a removal stands, in words.
fn standing(removal: &RemovalRow) -> String {
    if removal.ended.is_some() {
        return "done".to_owned();
    }
    let mut waits = Vec::new();
    if removal.open > 0 {
        waits.push(format!("{} records in the CRM are on their way out", removal.open));
    }
    if !removal.parked.is_empty() {
        let letters: Vec<String> = removal.parked.iter().map(|id| format!("d{id}")).collect();
        waits.push(format!("{} stand aside: replay or drop them", letters.join(" ")));
    }
    if !removal.swept {
        waits.push("files are still to be looked through".to_owned());
    }
    if waits.is_empty() { "ends with the next pass".to_owned() } else { waits.join("; ") }
}

fn removal_json(removal: &RemovalRow) -> Json {
    let certificate = removal
        .certificate
        .as_ref()
        .map(|(text, entry)| json!({ "entry": entry, "says": serde_json::from_str::<Json>(text).unwrap_or_default() }));
    json!({
        "removal": removal.removal.0, "person": removal.person.to_string(), "reason": removal.reason.name(), "asked": removal.begun.to_string(),
        "done": removal.ended.map(|at| at.to_string()), "open": removal.open,
        "parked": removal.parked.iter().map(|id| format!("d{id}")).collect::<Vec<_>>(), "files_looked_through": removal.swept,
        "certificate": certificate,
    })
}

fn tell_removals(session: &mut Session, reader: &SqliteReader, request: Option<RequestId>, name: Option<&str>) -> Result<(), Exit> {
    let removals = reader.removals(request).map_err(|error| unread(session, &error))?;
    if session.terminal.is_json() {
        for removal in &removals {
            session.terminal.json(&removal_json(removal));
        }
        if let Some(name) = name {
            let done = removals.iter().filter(|removal| removal.ended.is_some()).count();
            session.terminal.json(&json!({ "request": name, "removals": removals.len(), "done": done }));
        }
        return Ok(());
    }
    let one_by_one = removals.len() <= TOLD_ONE_BY_ONE;
    for removal in removals.iter().filter(|removal| one_by_one || removal.ended.is_none()) {
        session.terminal.data(&format!("{}  {}  {}", removal.person, removal.reason.name(), standing(removal)));
        if let Some((text, entry)) = &removal.certificate {
            session.terminal.data(&format!("  certificate, entry {entry} of the log: {text}"));
        }
    }
    if let Some(name) = name {
        let done = removals.iter().filter(|removal| removal.ended.is_some()).count();
        session.terminal.data(&format!("request {name}: {done} of {} done", removals.len()));
        if done < removals.len() {
            session.terminal.note(&format!("`kith subject removals --request {name}` shows the rest, and the certificates"));
        }
    }
    Ok(())
}

fn removals(session: &mut Session, asked: &RemovalsArguments) -> Result<Exit, Exit> {
    let request = match &asked.request {
        None => None,
        Some(text) => Some(RequestId(
            crate::audit::KeyId::from_hex(text)
                .ok_or_else(|| wrong(session, "--request", "a request has 32 hexadecimal digits", "`kith subject erase` told it"))?
                .0,
        )),
    };
    if asked.finish {
        let (_, parts) = parts_for_reading(session)?;
        let who = who(session, &parts.config);
        let runtime = runtime(session)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let left = runtime.block_on(finish_removals(&parts, &who, &clock)).map_err(|error| failed(session, &error))?;
        for file in left {
            session.terminal.note(&format!("{file} holds lines of erased people and is not Kith's to change: see to it"));
        }
    }
    let (_, reader) = reader(session)?;
    tell_removals(session, &reader, request, asked.request.as_deref())?;
    Ok(Exit::Fine)
}

fn holds(session: &mut Session) -> Result<Exit, Exit> {
    let (_, reader) = reader(session)?;
    for hold in reader.holds().map_err(|error| unread(session, &error))? {
        if session.terminal.is_json() {
            session.terminal.json(&json!({
                "person": hold.person.to_string(), "placed_for": hold.placed_for.to_string(), "matter": hold.matter.as_deref(),
                "author": &*hold.author, "at": hold.at.to_string(),
            }));
        } else {
            let matter = hold.matter.as_deref().unwrap_or("no matter named");
            session.terminal.data(&format!("{}  {matter}  by {} on {:.0}", hold.person, hold.author, hold.at));
        }
    }
    Ok(Exit::Fine)
}

/// Within a month of when the data were had (GDPR Art. 14(3)(a)).
fn due(row: &NoticeRow) -> Option<jiff::civil::Date> {
    row.since.to_zoned(TimeZone::UTC).checked_add(1.month()).ok().map(|at| at.date())
}

fn notices(session: &mut Session, asked: &NoticesArguments) -> Result<Exit, Exit> {
    let (parts, reader) = reader(session)?;
    // Whoever is known by what the CRM holds gave it to us: Art. 13, and not this.
    let provided: Vec<Arc<str>> = parts.rulebook.policy.bases.iter().filter(|b| b.per_customer).map(|b| b.name.clone()).collect();
    let rows = reader.notices(&provided).map_err(|error| unread(session, &error))?;
    let fits = |row: &NoticeRow| row.told.is_none() && asked.due_by.is_none_or(|by| due(row).is_none_or(|due| due <= by));
    let rows: Vec<NoticeRow> = rows.into_iter().filter(fits).collect();
    super::opened::tell_read(session, parts.clone(), "subject notices", &[], rows.len() as u64)?;
    let today = SystemClock.now().to_zoned(TimeZone::UTC).date();
    let mut late = 0_u64;
    for row in &rows {
        let due = due(row);
        let is_late = due.is_some_and(|due| due < today);
        late += u64::from(is_late);
        if session.terminal.is_json() {
            session.terminal.json(&json!({
                "network": row.id.network.name(), "identity_id": &*row.id.id, "customer_id": row.customer.as_str(), "basis": row.basis.as_deref(),
                "linked": row.since.to_string(), "due": due.map(|due| due.to_string()), "late": is_late,
            }));
        } else {
            let due = due.map_or_else(String::new, |due| due.to_string());
            let late = if is_late { "  late" } else { "" };
            session.terminal.data(&format!("{due}{late}  {} {}  customer {}", row.id.network, row.id.id, row.customer.as_str()));
        }
    }
    session.terminal.note(&format!("{} people are due a notice, {late} of them late", rows.len()));
    if asked.told && !rows.is_empty() {
        let last = rows.iter().filter_map(due).max().map(|due| due.to_string());
        let who = who(session, &parts.config);
        let runtime = runtime(session)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let rows: Vec<_> = rows.iter().map(|row| row.row).collect();
        runtime.block_on(notices_told(&parts, &who, &clock, &rows, last)).map_err(|error| failed(session, &error))?;
    }
    Ok(Exit::Fine)
}
