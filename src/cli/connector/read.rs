//! `kith connector read`: one stream of a manifest, read to its end; records and states on stdout as Airbyte's messages.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else JSON has in that place is the same")]

use crate::cli::argument::wrong;
use crate::cli::files::{read_bytes, read_text};
use crate::cli::{Exit, Session, runtime};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::manifest::Json;
use crate::manifest::cost::Money;
use crate::pipeline::{Clock as _, SystemClock};
use crate::source::manifest::{Answered, Batch, Item, Purse, ReadError, Reader, Reserved};
use crate::wire::http::{Connection, Proxy};
use serde_json::json;
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Pages that wait to be written.
const WAITING: usize = 4;

/// Arguments of `connector read`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The manifest of the source
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The stream
    #[arg(long, value_name = "NAME")]
    pub stream: String,
    /// The source's configuration, as its `spec` describes it: a JSON file
    #[arg(long, value_name = "FILE")]
    pub source_config: PathBuf,
    /// The state that an earlier read ended with: a JSON file, or the messages that it wrote
    #[arg(long, value_name = "FILE")]
    pub source_state: Option<PathBuf>,
    /// The proxy that every request goes through
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// PEM certificates that are trusted instead of the system's
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// The longest time for a request with its whole answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout_seconds: u64,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    read(arguments, session).unwrap_or_else(|exit| exit)
}

fn told(session: &mut Session, problem: &Diagnostic) -> Exit {
    session.terminal.problem(problem);
    Exit::Wrong
}

fn json_file(path: &std::path::Path, argument: &str, session: &mut Session) -> Result<Json, Exit> {
    let bytes = read_bytes(path).map_err(|problem| told(session, &problem))?;
    Json::parse(&bytes).map_err(|error| no_json(session, argument, &error, "give a JSON file"))
}

fn no_json(session: &mut Session, argument: &str, error: &serde_json::Error, remedy: &str) -> Exit {
    wrong(session, argument, format!("the file is not JSON (line {}, column {})", error.line(), error.column()), remedy)
}

/// The stream's state in a file: JSON, or the lines of an earlier read.
fn state_in(bytes: &[u8], stream: &str) -> Result<Option<Json>, serde_json::Error> {
    let whole = match Json::parse(bytes) {
        Ok(json) => return Ok(state_of(&json, stream)),
        Err(error) => error,
    };
    for line in bytes.split(|byte| *byte == b'\n').rev().map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        match Json::parse(line).ok().filter(|json| json.get("type").and_then(Json::as_text).is_some()) {
            None => return Err(whole),
            Some(message) => match state_of(&message, stream) {
                None => {}
                found => return Ok(found),
            },
        }
    }
    Ok(None)
}

/// Airbyte's messages that are no state, with the member that each has.
const OTHERS: [(&str, &str); 4] = [("RECORD", "record"), ("CONTROL", "control"), ("LOG", "log"), ("TRACE", "trace")];

/// The stream's state, out of what was written: the state alone, a message, or a list of messages.
fn state_of(given: &Json, stream: &str) -> Option<Json> {
    let kind = given.get("type").and_then(Json::as_text);
    if OTHERS.iter().any(|(other, member)| kind == Some(other) && given.get(member).is_some()) {
        return None;
    }
    if let Some(items) = given.items() {
        return items.iter().rev().find_map(|item| state_of(item, stream));
    }
    if let Some(inner) = given.get("state").filter(|_| given.get("type").and_then(Json::as_text) == Some("STATE")) {
        return state_of(inner, stream);
    }
    if let Some(inner) = given.get("stream").filter(|inner| inner.get("stream_descriptor").is_some()) {
        let named = inner.get("stream_descriptor").and_then(|d| d.get("name")).and_then(Json::as_text) == Some(stream);
        return inner.get("stream_state").filter(|_| named).cloned();
    }
    match given.get(stream) {
        Some(inner @ Json::Map(_)) => Some(inner.clone()),
        _ => Some(given.clone()),
    }
}

fn micros() -> i64 {
    SystemClock.now().as_microsecond()
}

fn read(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let file = read_text(&arguments.file).map_err(|problem| told(session, &problem))?;
    let checked = crate::declare::manifest::read(&file);
    if checked.problems.has_errors() {
        session.terminal.problems(&checked.problems);
        return Err(Exit::Wrong);
    }
    let Some(source) = checked.value.map(|connector| connector.source) else { return Err(Exit::Wrong) };
    let counting = source.cost.clone().map(|cost| (Arc::new(Counting::default()), cost));
    let config = json_file(&arguments.source_config, "--source-config", session)?;
    let state = match &arguments.source_state {
        None => None,
        Some(path) => {
            let bytes = read_bytes(path).map_err(|problem| told(session, &problem))?;
            state_in(&bytes, &arguments.stream)
                .map_err(|error| no_json(session, "--source-state", &error, "give a JSON file, or the messages of an earlier read"))?
        }
    };
    let connection = Connection {
        ca_file: arguments.ca_file.clone(),
        proxy: arguments.proxy.as_ref().map(|url| Proxy { url: url.clone(), login: None }),
        connect: Duration::from_secs(10),
        whole: Duration::from_secs(arguments.timeout_seconds),
        tls: file.text.contains("https:") || config.compact().contains("https:"),
        certificate: None,
        longest_body: 0,
    };
    let failed = |session: &mut Session, error: &ReadError| {
        session.terminal.problem(&error.diagnostic(&format!("stream {}", arguments.stream)));
        match error {
            ReadError::Config(_) | ReadError::Cursor(_) | ReadError::NoStream(_) => Exit::Wrong,
            _ => Exit::Failed,
        }
    };
    let reader = Reader::new(source, config, &connection, micros, None).map_err(|error| failed(session, &error))?;
    let mut reader = reader.paying(counting.as_ref().map(|(counting, _)| counting.clone() as Arc<dyn Purse>));
    let runtime = runtime().map_err(|error| {
        let problem =
            Diagnostic::error(Code("KITH-R001"), Place::Named("this process".into()), format!("no threads: {error}"), "Raise the limits");
        session.terminal.problem(&problem);
        Exit::Failed
    })?;
    runtime.block_on(reader.grow()).map_err(|error| failed(session, &error))?;
    let known = reader.names();
    if !known.contains(&arguments.stream) {
        let near = crate::diagnose::nearest(&arguments.stream, known.iter().map(String::as_str));
        let remedy = near.map_or_else(|| format!("there are {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
        let message = format!("the manifest has no stream `{}` with this configuration", arguments.stream);
        return Err(wrong(session, "--stream", message, &remedy));
    }
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let mut count = 0_u64;
    let ended = runtime.block_on(async {
        let reading = async {
            let ended = reader.read(&arguments.stream, state, &sender).await;
            drop(sender);
            ended
        };
        let writing = async {
            while let Some(batch) = receiver.recv().await {
                count += write(batch, &arguments.stream, session);
            }
        };
        tokio::join!(reading, writing).0
    });
    if let Some((counting, cost)) = &counting {
        let (calls, spent) = counting.total();
        let told = format!("{calls} calls cost {spent} {} at the prices of {} ({})", cost.currency, cost.as_of, cost.documentation);
        session.terminal.note(&told);
    }
    if let Err(error) = ended {
        return Err(failed(session, &error));
    }
    session.terminal.note(&format!("{count} records"));
    Ok(Exit::Fine)
}

/// What the calls cost; nothing holds them back, since a person makes them.
#[derive(Debug, Default)]
struct Counting(Mutex<(u64, Money)>);

impl Counting {
    fn total(&self) -> (u64, Money) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, calls: u64, less: Money, more: Money) {
        let mut total = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *total = (total.0 + calls, total.1.minus(less).plus(more));
    }
}

impl Purse for Counting {
    fn reserve(&self, most: Money) -> Answered<'_, Reserved> {
        self.count(1, Money::NONE, most);
        Box::pin(std::future::ready(Ok(Reserved { most, month: 0 })))
    }

    fn settle(&self, reserved: Reserved, cost: Money) -> Answered<'_, ()> {
        self.count(0, reserved.most, cost);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A record as the reference writes it: members that are null are not there.
fn said(item: &Item) -> Cow<'_, str> {
    let text = item.line();
    if memchr::memmem::find(text.as_bytes(), b"null").is_none() {
        return text;
    }
    let mut record = item.json();
    if record.members().is_some_and(|members| members.values().any(|value| matches!(value, Json::Null))) {
        record.members_mut().retain(|_, value| !matches!(value, Json::Null));
        return Cow::Owned(record.compact());
    }
    text
}

/// Writes a batch; the answer is how many records it had.
fn write(batch: Batch, stream: &str, session: &mut Session) -> u64 {
    let at = micros().div_euclid(1_000);
    match batch {
        Batch::Records { items, .. } => {
            let name = serde_json::Value::from(stream).to_string();
            let mut line = String::new();
            for item in &items {
                line.clear();
                line.push_str(r#"{"type":"RECORD","record":{"stream":"#);
                line.push_str(&name);
                line.push_str(r#","data":"#);
                line.push_str(&said(item));
                line.push_str(r#","emitted_at":"#);
                line.push_str(&at.to_string());
                line.push_str("}}");
                session.terminal.data(&line);
            }
            u64::try_from(items.len()).unwrap_or(u64::MAX)
        }
        Batch::State(state) => {
            let message = json!({ "type": "STATE", "state": { "type": "STREAM", "stream": {
                "stream_descriptor": { "name": stream },
                "stream_state": serde_json::to_value(&state).unwrap_or_default(),
            } } });
            session.terminal.json(&message);
            0
        }
        Batch::Config(config) => {
            let message = json!({ "type": "CONTROL", "control": { "type": "CONNECTOR_CONFIG", "emitted_at": at, "connectorConfig": {
                "config": serde_json::to_value(&config).unwrap_or_default(),
            } } });
            session.terminal.json(&message);
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_found_in_every_form() {
        let state = r#"{"updated":"2024-01-01"}"#;
        let message = format!(r#"{{"type":"STREAM","stream":{{"stream_descriptor":{{"name":"s"}},"stream_state":{state}}}}}"#);
        for form in [
            state.to_owned(),
            message.clone(),
            format!("[{message}]"),
            format!(r#"{{"type":"STATE","state":{message}}}"#),
            format!(r#"{{"s":{state}}}"#),
        ] {
            assert_eq!(state_of(&Json::parse(form.as_bytes()).unwrap(), "s").map(|s| s.compact()).as_deref(), Some(state), "{form}");
        }
        assert!(state_of(&Json::parse(format!("[{message}]").as_bytes()).unwrap(), "t").is_none());
        // As `connector read` wrote it: the last state of the stream counts, whatever follows it.
        let record = r#"{"type":"RECORD","record":{"stream":"s","data":{"updated":"2030-01-01"}}}"#;
        let old = r#"{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"s"},"stream_state":{"updated":"2020-01-01"}}}}"#;
        let lines = format!("{record}\n{old}\n{{\"type\":\"STATE\",\"state\":{message}}}\n{record}\n\n");
        let found = |text: &str, stream: &str| state_in(text.as_bytes(), stream).map(|state| state.map(|state| state.compact()));
        assert_eq!(found(&lines, "s").unwrap().as_deref(), Some(state));
        assert_eq!(found(&lines, "t").unwrap(), None);
        assert_eq!(found(&format!("[{old},{record}]"), "s").unwrap().as_deref(), Some(r#"{"updated":"2020-01-01"}"#));
        assert!(found(&format!("{lines}{{\"type\":"), "s").is_err(), "a line that was cut off");
        assert!(found("{} {}", "s").is_err());
    }
}
