//! `kith audit export`: entries into a file, onto stdout or to a syslog server, going on where the last call stopped.
//!
//! Into a file each entry comes once: the cursor holds the file's length, and what a crash left beyond it is cut off before more is added.
//! Over TCP there are no receipts, so a broken connection may repeat entries; their numbers are the messages' ids.

use super::super::opened::{reader, runtime, who};
use super::super::{Exit, Session};
use super::{Leaves, unreadable, wrong};
use crate::audit::{Entry, EntryOutcome, Event};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::pipeline::{ExportTold, SystemClock, record_export};
use crate::wire::syslog::{Message, Receiver};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FAILED: Code = Code("KITH-A028");

/// Entries in one go: 1,000 of 64 KiB at most are 64 MiB, of the usual 1 KiB 1 MiB. A broken connection repeats at most so many.
const BATCH: usize = 1_000;

/// The form of what leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Form {
    /// A table with a header line
    Csv,
    /// The entry with its number as JSON, one a line
    Ndjson,
    /// Syslog messages
    Rfc5424,
    /// Open Cybersecurity Schema Framework 1.3 events, one a line
    Ocsf,
    /// Common Event Format, one a line
    Cef,
}

impl Form {
    const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Rfc5424 => "syslog",
            Self::Ocsf => "ocsf",
            Self::Cef => "cef",
        }
    }
}

/// Arguments of `audit export`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The form of an entry; over syslog, the form of a message's text
    #[arg(long = "as", value_name = "FORM", value_enum, default_value_t = Form::Ndjson)]
    pub form: Form,
    /// Write into this file, added to where a cursor is given; without it and --syslog, to stdout
    #[arg(long, value_name = "FILE", conflicts_with = "syslog")]
    pub out: Option<PathBuf>,
    /// Send to this syslog server: tcp://HOST:PORT or tls://HOST:PORT
    #[arg(long, value_name = "ADDRESS")]
    pub syslog: Option<String>,
    /// PEM certificates that are trusted for tls://
    #[arg(long, value_name = "FILE", requires = "syslog")]
    pub ca_file: Option<PathBuf>,
    /// A file that remembers how far exporting came: the next call goes on from there
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub cursor: Option<PathBuf>,
    /// From this entry on
    #[arg(long, value_name = "NUMBER")]
    pub from: Option<u64>,
    /// At most so many entries
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<u64>,
}

/// How far exporting came.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    /// The log, so that a cursor of another one is noticed.
    origin: String,
    /// The next entry.
    next: u64,
    /// How long the file was after the last one; 0 where there is no file.
    bytes: u64,
    /// The form, so that a file does not change its form.
    form: String,
}

/// Where entries go.
enum Sink {
    Stdout,
    File(File),
    Syslog(Receiver, tokio::runtime::Runtime, String),
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let (parts, reader) = reader(session)?;
    let origin = parts.keys.log.verifier().name().to_owned();
    let start = Cursor { origin, next: arguments.from.unwrap_or(0), bytes: 0, form: arguments.form.name().to_owned() };
    let mut cursor = match &arguments.cursor {
        None => start,
        Some(path) => read_cursor(path, start, session)?,
    };
    let failed = |session: &mut Session, place: Place, error: &io::Error| {
        let message = format!("entries can't be exported: {error}");
        let remedy = "mend it and call again with the same --cursor: it goes on from what was taken";
        session.terminal.problem(&Diagnostic::error(FAILED, place, message, remedy));
        Exit::Failed
    };
    let place = match (&arguments.out, &arguments.syslog) {
        (Some(path), _) => Place::Path(path.display().to_string()),
        (None, Some(address)) => Place::Named(format!("syslog {address}")),
        (None, None) => Place::Named("stdout".into()),
    };
    let mut sink = sink(arguments, &cursor, session)?.map_err(|error| failed(session, place.clone(), &error))?;
    if arguments.form == Form::Csv && cursor.bytes == 0 && !matches!(sink, Sink::Syslog(..)) {
        write(&mut sink, vec![(0, String::new(), HEAD.join(","))], session).map_err(|error| failed(session, place.clone(), &error))?;
    }
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    let (mut count, mut others) = (0, 0);
    let mut batch = Vec::with_capacity(BATCH);
    let mut leaves = Leaves::from(&reader, cursor.next);
    loop {
        let leaf = if left == 0 { None } else { leaves.next() };
        if let Some(leaf) = leaf {
            let (number, bytes) = leaf.map_err(|error| unreadable(session, &error.to_string()))?;
            let entry = Entry::decode(&bytes).map_err(|error| unreadable(session, &format!("entry {number}: {error}")))?;
            others += u64::from(!matches!(entry.event, Event::ExportMade { .. }));
            batch.push((number, format!("{:.6}", entry.time), rendered(arguments.form, number, &entry, &bytes, &cursor.origin)));
            left -= 1;
            if batch.len() < BATCH {
                continue;
            }
        }
        if batch.is_empty() {
            break;
        }
        let next = batch.last().map_or(cursor.next, |(number, ..)| number + 1);
        count += batch.len() as u64;
        let bytes = write(&mut sink, std::mem::take(&mut batch), session).map_err(|error| failed(session, place.clone(), &error))?;
        cursor = Cursor { next, bytes, ..cursor };
        if let Some(path) = &arguments.cursor {
            keep(path, &cursor).map_err(|error| failed(session, Place::Path(path.display().to_string()), &error))?;
        }
    }
    let note = format!("{count} entries exported; the next one is {}", cursor.next);
    // An export that took only the entries about exports before it is none: else a call every minute would fill the log with itself.
    if others > 0 {
        let who = who(session, &parts.config);
        let format = if matches!(sink, Sink::Syslog(..)) { "syslog" } else { arguments.form.name() };
        let told = ExportTold { count, file: None, format: format.to_owned(), what: "log".to_owned() };
        let runtime = match sink {
            Sink::Syslog(_, runtime, _) => runtime,
            Sink::Stdout | Sink::File(_) => runtime(session)?,
        };
        runtime.block_on(record_export(parts, who, &told, Arc::new(SystemClock))).map_err(|error| {
            session.terminal.problem(&error.diagnostic());
            Exit::Failed
        })?;
    }
    session.terminal.note(&note);
    Ok(Exit::Fine)
}

fn read_cursor(path: &Path, start: Cursor, session: &mut Session) -> Result<Cursor, Exit> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(start),
        Err(error) => return Err(wrong(session, "--cursor", format!("it can't be read: {error}"), "give the right to read it")),
    };
    let found: Result<Cursor, _> = serde_json::from_slice(&text);
    match found {
        Ok(cursor) if cursor.origin == start.origin && cursor.form == start.form => Ok(cursor),
        Ok(cursor) => {
            let message = format!("it is of the log `{}` as {}", cursor.origin, cursor.form);
            Err(wrong(session, "--cursor", message, "give each log, place and form a cursor of its own"))
        }
        Err(_) => Err(wrong(session, "--cursor", "it is no cursor", "give a file that `audit export` wrote, or a new name")),
    }
}

fn sink(arguments: &Arguments, cursor: &Cursor, session: &mut Session) -> Result<io::Result<Sink>, Exit> {
    if let Some(address) = &arguments.syslog {
        let Some(receiver) = Receiver::parse(address, arguments.ca_file.clone()) else {
            let remedy = "write `tcp://HOST:PORT`, or `tls://HOST:PORT` with --ca-file";
            return Err(wrong(session, "--syslog", format!("`{address}` is no address of a syslog server"), remedy));
        };
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        return Ok(Ok(Sink::Syslog(receiver, runtime(session)?, host)));
    }
    let Some(path) = &arguments.out else { return Ok(Ok(Sink::Stdout)) };
    let open = || -> io::Result<Sink> {
        let goes_on = arguments.cursor.is_some();
        let mut file = OpenOptions::new().write(true).create(true).truncate(!goes_on).open(path)?;
        if goes_on {
            if file.metadata()?.len() < cursor.bytes {
                return Err(io::Error::other("the file is shorter than the cursor says: it is another one, or was cut"));
            }
            // What a crash wrote and the cursor does not count comes again.
            file.set_len(cursor.bytes)?;
            file.seek(SeekFrom::End(0))?;
        }
        Ok(Sink::File(file))
    };
    Ok(open())
}

/// Writes lines; the length of the file after them, durable.
fn write(sink: &mut Sink, batch: Vec<(u64, String, String)>, session: &mut Session) -> io::Result<u64> {
    match sink {
        Sink::Stdout => {
            for (_, _, line) in &batch {
                session.terminal.data(line);
            }
            Ok(0)
        }
        Sink::File(file) => {
            let text: String = batch.into_iter().map(|(_, _, line)| line + "\n").collect();
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            file.stream_position()
        }
        Sink::Syslog(receiver, runtime, host) => {
            let message = |(number, time, text): (u64, String, String)| Message { time, host: host.clone(), id: number.to_string(), text };
            let messages: Vec<Message> = batch.into_iter().map(message).collect();
            runtime.block_on(receiver.send(&messages))?;
            Ok(0)
        }
    }
}

fn keep(path: &Path, cursor: &Cursor) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(serde_json::to_string(cursor).map_err(io::Error::other)?.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

const HEAD: [&str; 18] = [
    "number",
    "time",
    "kind",
    "outcome",
    "actor_kind",
    "actor",
    "role",
    "network",
    "identity",
    "customer",
    "rule",
    "basis",
    "mapping",
    "activity",
    "decision",
    "delivery",
    "receipt",
    "what",
];

fn rendered(form: Form, number: u64, entry: &Entry, bytes: &[u8], origin: &str) -> String {
    let json: Json = serde_json::from_slice(bytes).unwrap_or_default();
    match form {
        Form::Csv => csv_row(number, entry, &json),
        Form::Ndjson => json!({ "number": number, "entry": json }).to_string(),
        Form::Rfc5424 => {
            let text = String::from_utf8_lossy(bytes).into_owned();
            Message { time: format!("{:.6}", entry.time), host: String::new(), id: number.to_string(), text }.render()
        }
        Form::Ocsf => ocsf(number, entry, &json, origin).to_string(),
        Form::Cef => cef(number, entry, &json),
    }
}

fn csv_row(number: u64, entry: &Entry, json: &Json) -> String {
    let ids = &entry.correlation;
    let id = |id: Option<crate::audit::CorrelationId>| id.map(|id| id.to_string()).unwrap_or_default();
    let text = |text: &Option<crate::audit::Text>| text.as_deref().unwrap_or_default().to_owned();
    let cells: [String; 18] = [
        number.to_string(),
        format!("{:.6}", entry.time),
        entry.kind().name().to_owned(),
        entry.outcome.map_or("", EntryOutcome::name).to_owned(),
        entry.actor.kind.name().to_owned(),
        entry.actor.name.to_string(),
        entry.actor.role.name().to_owned(),
        entry.network.map_or("", crate::model::Network::name).to_owned(),
        entry.subject.identity.map(|h| h.to_string()).unwrap_or_default(),
        entry.subject.customer.map(|h| h.to_string()).unwrap_or_default(),
        text(&entry.why.rule),
        text(&entry.why.basis),
        entry.why.mapping.map(|d| d.to_string()).unwrap_or_default(),
        id(ids.activity),
        id(ids.decision),
        id(ids.delivery),
        id(ids.receipt),
        json.get("what").map(Json::to_string).unwrap_or_default(),
    ];
    let cell = |cell: &String| {
        // A spreadsheet takes a cell that begins so for a formula.
        let safe = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.clone() };
        if safe.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", safe.replace('"', "\"\"")) } else { safe }
    };
    cells.iter().map(cell).collect::<Vec<_>>().join(",")
}

/// OCSF 1.3: sign-ins as Authentication (3002), everything else as API Activity (6003); the entry itself is `unmapped`.
#[expect(clippy::wildcard_enum_match_arm, reason = "OCSF has a class of its own for two kinds")]
fn ocsf(number: u64, entry: &Entry, json: &Json, origin: &str) -> Json {
    let (class, category, activity) = match entry.event {
        Event::Login { .. } => (3_002, 3, 1),
        Event::Logout { .. } => (3_002, 3, 2),
        _ => (6_003, 6, 99),
    };
    let kind = entry.kind().name();
    let (status, status_id) = match entry.outcome {
        Some(EntryOutcome::Failed | EntryOutcome::Refused | EntryOutcome::Parked | EntryOutcome::Undetermined) => ("Failure", 2),
        Some(_) => ("Success", 1),
        None => ("Unknown", 0),
    };
    let user =
        json!({ "name": entry.actor.name.as_ref(), "type": entry.actor.kind.name(), "groups": [{ "name": entry.actor.role.name() }] });
    let mut event = json!({
        "activity_id": activity, "activity_name": kind, "category_uid": category, "class_uid": class, "type_uid": class * 100 + activity,
        "severity_id": 1, "severity": "Informational", "time": entry.time.as_millisecond(), "message": kind,
        "status": status, "status_id": status_id, "status_detail": entry.outcome.map(EntryOutcome::name),
        "metadata": { "version": "1.3.0", "uid": number.to_string(), "sequence": number, "log_name": origin, "original_time": format!("{:.6}", entry.time),
            "product": { "name": "Kith", "vendor_name": "Kith", "version": env!("CARGO_PKG_VERSION") } },
        "actor": { "user": user.clone() }, "unmapped": json,
    });
    if let Some(members) = event.as_object_mut() {
        if class == 6_003 {
            members.insert("api".into(), json!({ "operation": kind, "service": { "name": "kith" } }));
            members.insert("src_endpoint".into(), json!({ "name": "kith" }));
        } else {
            members.insert("user".into(), user);
        }
    }
    event
}

/// CEF 0: header fields escape `\` and `|`, extensions `\`, `=` and line ends.
fn cef(number: u64, entry: &Entry, json: &Json) -> String {
    let header = |text: &str| text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ");
    let value = |text: &str| text.replace('\\', "\\\\").replace('=', "\\=").replace('\n', "\\n").replace('\r', "\\r");
    let kind = entry.kind().name();
    let severity = match entry.outcome {
        Some(EntryOutcome::Failed | EntryOutcome::Refused | EntryOutcome::Parked | EntryOutcome::Undetermined) => 5,
        Some(_) | None => 2,
    };
    let mut fields = vec![
        ("rt", entry.time.as_millisecond().to_string()),
        ("externalId", number.to_string()),
        ("suser", entry.actor.name.to_string()),
        ("spriv", entry.actor.role.name().to_owned()),
    ];
    fields.extend(entry.outcome.map(|outcome| ("outcome", outcome.name().to_owned())));
    let why = &entry.why;
    for (label, at, text) in [
        ("rule", ["cs1Label", "cs1"], why.rule.as_ref().map(ToString::to_string)),
        ("basis", ["cs2Label", "cs2"], why.basis.as_ref().map(ToString::to_string)),
        ("identity", ["cs3Label", "cs3"], entry.subject.identity.map(|h| h.to_string())),
        ("customer", ["cs4Label", "cs4"], entry.subject.customer.map(|h| h.to_string())),
        ("mapping", ["cs5Label", "cs5"], why.mapping.map(|d| d.to_string())),
        ("decision", ["cs6Label", "cs6"], entry.correlation.decision.map(|d| d.to_string())),
    ] {
        if let Some(text) = text {
            let [name, field] = at;
            fields.extend([(name, label.to_owned()), (field, text)]);
        }
    }
    fields.push(("msg", json.get("what").map(Json::to_string).unwrap_or_default()));
    let fields: Vec<String> = fields.iter().map(|(name, text)| format!("{name}={}", value(text))).collect();
    format!("CEF:0|Kith|Kith|{}|{}|{}|{severity}|{}", header(env!("CARGO_PKG_VERSION")), header(kind), header(kind), fields.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Actor, Role};
    use crate::model::Timestamp;

    fn entry() -> (Entry, Vec<u8>, Json) {
        let mut entry =
            Entry::new(Timestamp::from_second(1_770_000_000).unwrap(), Event::ServiceStopped { reason: "a|b=c, \"d\"\n".into() });
        entry.actor = Actor::person("=ines|x", Role::Reviewer);
        entry.outcome = Some(EntryOutcome::Failed);
        let bytes = entry.encode().unwrap().bytes;
        let json = serde_json::from_slice(&bytes).unwrap();
        (entry, bytes, json)
    }

    #[test]
    fn every_form_carries_number_and_time_and_escapes_what_it_must() {
        let (entry, bytes, json) = entry();
        let row = rendered(Form::Csv, 7, &entry, &bytes, "o");
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(row.as_bytes());
        let cells = reader.records().next().unwrap().unwrap();
        assert_eq!((cells.len(), &cells[0], &cells[5]), (HEAD.len(), "7", "'=ines|x"));
        assert_eq!(serde_json::from_str::<Json>(&cells[17]).unwrap(), json["what"]);
        let line: Json = serde_json::from_str(&rendered(Form::Ndjson, 7, &entry, &bytes, "o")).unwrap();
        assert_eq!((&line["number"], &line["entry"]), (&7.into(), &json));
        let cef = rendered(Form::Cef, 7, &entry, &bytes, "o");
        assert!(cef.starts_with("CEF:0|Kith|Kith|") && cef.contains("|5|rt=1770000000000 externalId=7 suser=\\=ines|x "), "{cef}");
        assert!(!cef.contains('\n') && cef.contains("a|b\\=c"), "{cef}");
        let ocsf: Json = serde_json::from_str(&rendered(Form::Ocsf, 7, &entry, &bytes, "o")).unwrap();
        assert_eq!((&ocsf["class_uid"], &ocsf["type_uid"], &ocsf["status_id"]), (&6003.into(), &600_399.into(), &2.into()));
        assert_eq!((&ocsf["metadata"]["uid"], &ocsf["unmapped"]), (&"7".into(), &json));
        assert!(rendered(Form::Rfc5424, 7, &entry, &bytes, "o").starts_with("<110>1 2026-02-02T02:40:00.000000Z - kith "));
    }
}
