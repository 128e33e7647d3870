//! `kith connector call`: one call by hand. `--dry-run` prints what would be sent; without it the log holds the intent before anything leaves.

use crate::audit::EntryOutcome;
use crate::cli::opened::{Keys, parts, runtime, who};
use crate::cli::{Exit, Session};
use crate::declare::config::{Secret, TargetPlace, TargetSpec};
use crate::declare::connector::soap::ElementPath;
use crate::declare::connector::{FieldKind, Operation, TargetFile};
use crate::deliver::{Answer, AnyTarget, DeliveryError, Exchange};
use crate::diagnose::{Code, Diagnostic, Place, nearest};
use crate::model::{Delivery, DeliveryId, Digest, IdempotencyKey, OperationId, Personal, RecordKey, TargetId, Value, WriteIntent};
use crate::pipeline::{CallTold, Parts, SystemClock, record_call};
use crate::wire::caller::outline;
use crate::wire::soap::{self, Reading};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

const BAD_ARGUMENT: Code = Code("KITH-C015");

/// Arguments of `connector call`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The target, as the configuration names it
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// An operation of its file; of a SOAP target also any operation of the WSDL
    #[arg(value_name = "OPERATION")]
    pub operation: String,
    /// A field and its value; for an operation of the WSDL an element path and its value
    #[arg(long = "field", value_name = "NAME=VALUE")]
    pub fields: Vec<String>,
    /// What is done with the record
    #[arg(long, value_enum, default_value_t = Intent::Write)]
    pub intent: Intent,
    /// Print the exact request, secrets masked; nothing is sent and no secret is read. Of a SQL Server: the statements and typed values, as its
    /// catalogue and the record want them; it is read for that, and nothing is written
    #[arg(long)]
    pub dry_run: bool,
}

/// What is done with the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Intent {
    /// It is written
    Write,
    /// It is removed
    Remove,
    /// The fields that are given without a value are emptied
    Blank,
}

/// What is called.
enum Wanted {
    /// A delivery of an operation of the file.
    Operation(Box<Delivery>),
    /// An operation of the WSDL, with texts at element paths.
    Plain(Vec<(ElementPath, String)>),
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Exit {
    called(arguments, session).unwrap_or_else(|exit| exit)
}

fn wrong(session: &mut Session, what: &str, message: String, remedy: impl Into<String>) -> Exit {
    session.terminal.problem(&Diagnostic::error(BAD_ARGUMENT, Place::Named(format!("argument {what}")), message, remedy));
    Exit::Wrong
}

fn failed(session: &mut Session, error: &DeliveryError) -> Exit {
    let remedy = format!("`kith explain {}` says more", error.code());
    let place = Place::Named("the call".into());
    session.terminal.problem(&Diagnostic::error(error.code(), place, error.to_string(), remedy));
    Exit::Failed
}

fn called(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    if arguments.dry_run {
        let project = crate::cli::opened::project(session)?;
        let found = project.config.targets.iter().zip(&project.targets).find(|(spec, _)| *spec.name == *arguments.target);
        let Some((spec, file)) = found else { return Err(no_target(session, arguments, project.config.targets.iter().map(|t| &*t.name))) };
        let mut spec = spec.clone();
        let is_server = matches!(spec.place, TargetPlace::Server(_));
        for secret in spec.secrets_mut() {
            // A SQL Server is asked for its catalogue, and what is printed holds no login; of the others no secret is read: none can be shown.
            secret.value = if is_server {
                Some(session.environment.secret(&secret.source).map_err(|problem| {
                    session.terminal.problem(&problem);
                    Exit::Failed
                })?)
            } else {
                Secret::from_bytes("‹hidden›".into()).ok()
            };
        }
        return dry_run(arguments, &spec, file, session);
    }
    let (_, parts) = parts(session, Keys::Made)?;
    let names: Vec<Arc<str>> = parts.targets.iter().map(|(spec, _)| spec.name.clone()).collect();
    let found = parts.targets.iter().find(|(spec, _)| *spec.name == *arguments.target).cloned();
    let Some((spec, file)) = found else { return Err(no_target(session, arguments, names.iter().map(|n| &**n))) };
    send(arguments, &spec, &file, &parts, session)
}

fn no_target<'n>(session: &mut Session, arguments: &Arguments, names: impl Iterator<Item = &'n str>) -> Exit {
    let names: Vec<String> = names.map(str::to_owned).collect();
    let near = nearest(&arguments.target, names.iter().map(String::as_str));
    let remedy = near.map_or_else(|| format!("there are {}", names.join(", ")), |near| format!("did you mean `{near}`?"));
    wrong(session, "TARGET", format!("the configuration has no [targets.{}]", arguments.target), remedy)
}

/// What the arguments ask for.
fn wanted(arguments: &Arguments, spec: &TargetSpec, file: &TargetFile, session: &mut Session) -> Result<Wanted, Exit> {
    let mut given = Vec::with_capacity(arguments.fields.len());
    for field in &arguments.fields {
        // A path may hold `[name=value]`: the first `=` outside of brackets parts name and value.
        let mut depth = 0_u32;
        let at = field.char_indices().find(|(_, c)| {
            match c {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            *c == '=' && depth == 0
        });
        let Some((name, value)) = at.and_then(|(at, _)| Some((field.get(..at)?, field.get(at + 1..)?))) else {
            return Err(wrong(session, "--field", "a field is written NAME=VALUE".into(), "for instance --field LastName=Rossi"));
        };
        given.push((name.to_owned(), value.to_owned()));
    }
    let Some(operation) = file.operation(&arguments.operation) else {
        if file.soap.is_none() {
            let near = nearest(&arguments.operation, file.operations.iter().map(|o| &*o.id.0));
            let remedy = near.map_or_else(|| "`kith connector check FILE` lists them".to_owned(), |near| format!("did you mean `{near}`?"));
            return Err(wrong(session, "OPERATION", format!("the target file has no operation `{}`", arguments.operation), remedy));
        }
        let mut paths = Vec::with_capacity(given.len());
        for (name, value) in given {
            match ElementPath::parse(&name, &|_| None) {
                Ok(path) => paths.push((path, value)),
                Err(error) => {
                    return Err(wrong(
                        session,
                        "--field",
                        format!("`{name}` is no element path: {error}"),
                        "for instance --field Contact/LastName=Rossi",
                    ));
                }
            }
        }
        return Ok(Wanted::Plain(paths));
    };
    let mut payload: Vec<(Arc<str>, Value)> = Vec::with_capacity(given.len());
    for (name, text) in given {
        let Some(field) = operation.field(&name) else {
            let near = nearest(&name, operation.fields.iter().map(|f| &*f.name));
            let remedy = near.map_or_else(
                || "`kith connector check FILE --format json` lists them".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(wrong(session, "--field", format!("the operation has no field `{name}`"), remedy));
        };
        let Some(value) = typed(field.kind, &text) else {
            let message = format!("`{name}` holds {}, and the value is none", field.kind.name());
            return Err(wrong(session, "--field", message, "times are RFC 3339: 2026-11-27T10:00:00Z"));
        };
        payload.push((field.name.clone(), value));
    }
    Ok(Wanted::Operation(Box::new(delivery(arguments, spec, operation, payload))))
}

/// A value of the command line as the field holds it; an empty one is missing.
fn typed(kind: FieldKind, text: &str) -> Option<Value> {
    if text.is_empty() {
        return Some(Value::Missing);
    }
    match kind {
        FieldKind::Integer => text.parse().ok().map(Value::Integer),
        FieldKind::Number => text.parse().ok().map(Value::Number),
        FieldKind::Bool => text.parse().ok().map(Value::Bool),
        FieldKind::Text => Some(Value::Text(text.into())),
        FieldKind::Time | FieldKind::Decimal | FieldKind::Date | FieldKind::TimeOfDay | FieldKind::Uuid | FieldKind::Binary => {
            kind.fitted(&Value::Text(text.into()))
        }
    }
}

fn delivery(arguments: &Arguments, spec: &TargetSpec, operation: &Operation, payload: Vec<(Arc<str>, Value)>) -> Delivery {
    let intent = match arguments.intent {
        Intent::Write => WriteIntent::Write,
        Intent::Remove => WriteIntent::Remove,
        Intent::Blank => WriteIntent::Blank,
    };
    let value = |name: &Arc<str>| payload.iter().find(|(n, _)| n == name).map_or(Value::Missing, |(_, value)| value.clone());
    let key: Vec<serde_json::Value> = operation.record_key.iter().map(|name| value(name).to_json()).collect();
    let record = serde_json::Value::Array(key).to_string();
    // The same call by hand again carries the same key.
    let mut hash = Sha256::new();
    let said: Vec<serde_json::Value> = payload.iter().map(|(name, value)| json!([&**name, value.to_json()])).collect();
    for part in ["kith/v1/by-hand", &spec.name, &operation.id.0, intent.name(), &serde_json::Value::Array(said).to_string()] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    Delivery {
        id: DeliveryId(0),
        entry: "kith connector call".into(),
        target: TargetId(spec.name.clone()),
        operation: OperationId(operation.id.0.clone()),
        intent,
        record: RecordKey(record.into()),
        idempotency: IdempotencyKey(Digest(hash.finalize().into())),
        payload: Personal::new(payload),
        expects: None,
        attempt: 1,
    }
}

fn dry_run(arguments: &Arguments, spec: &TargetSpec, file: &Arc<TargetFile>, session: &mut Session) -> Result<Exit, Exit> {
    let target = AnyTarget::new(spec, file.clone(), &[]);
    let drafts = match (wanted(arguments, spec, file, session)?, &target) {
        (Wanted::Operation(delivery), target) => runtime(session)?.block_on(target.draft(&delivery)),
        (Wanted::Plain(values), AnyTarget::Soap(target)) => {
            Some(target.draft_call(&arguments.operation, &values).map(|request| vec![request]))
        }
        (
            Wanted::Plain(_),
            AnyTarget::Sqlite(_) | AnyTarget::Ndjson(_) | AnyTarget::Http(_) | AnyTarget::SqlServer(_) | AnyTarget::Notify(_),
        ) => None,
    };
    let drafts = match drafts {
        None => return Err(no_requests(session, file)),
        Some(Err(error)) => return Err(failed(session, &error)),
        Some(Ok(drafts)) => drafts,
    };
    if session.terminal.is_json() {
        session.terminal.json(&json!({ "requests": drafts }));
    } else {
        session.terminal.data(&drafts.join("\n\n"));
    }
    session.terminal.note(match &target {
        AnyTarget::SqlServer(_) => "nothing was written: the server was asked for its catalogue and for what stands",
        AnyTarget::Sqlite(_) | AnyTarget::Ndjson(_) | AnyTarget::Http(_) | AnyTarget::Soap(_) | AnyTarget::Notify(_) => {
            "nothing was sent; ‹…› stands for what only a login or a look-up gives"
        }
    });
    Ok(Exit::Fine)
}

fn no_requests(session: &mut Session, file: &TargetFile) -> Exit {
    let message = format!("targets of kind `{}` send no requests", file.kind.name());
    wrong(session, "TARGET", message, "use `kith plan` to see what a run would write")
}

/// What came of a call: the log's word, how the command ends, and what is shown.
struct Came {
    outcome: EntryOutcome,
    exit: Exit,
    told: serde_json::Value,
    text: String,
}

fn send(arguments: &Arguments, spec: &TargetSpec, file: &Arc<TargetFile>, parts: &Parts, session: &mut Session) -> Result<Exit, Exit> {
    let target = AnyTarget::new(spec, file.clone(), &[]);
    let wanted = wanted(arguments, spec, file, session)?;
    if matches!(target, AnyTarget::Sqlite(_) | AnyTarget::Ndjson(_)) {
        return Err(no_requests(session, file));
    }
    let (intent, record) = match &wanted {
        Wanted::Operation(delivery) => (delivery.intent, delivery.record.clone()),
        Wanted::Plain(_) => (WriteIntent::Write, RecordKey("[]".into())),
    };
    let record = parts.keys.hash.record(&TargetId(spec.name.clone()), &record).to_string();
    let told = CallTold {
        target: spec.name.to_string(),
        operation: arguments.operation.clone(),
        intent: intent.name().to_owned(),
        record,
        outcome: None,
    };
    let runtime = runtime(session)?;
    let who = who(session, &parts.config);
    // Fail closed: where the log can't take it, nothing leaves.
    let intended = runtime.block_on(record_call(parts.clone(), who.clone(), &told, Arc::new(SystemClock)));
    if let Err(error) = intended {
        session.terminal.problem(&error.diagnostic());
        return Err(Exit::Failed);
    }
    let came = runtime.block_on(async {
        match (&wanted, &target) {
            (Wanted::Operation(delivery), target) => {
                let mut written = target.by_hand(delivery).await.unwrap_or_default();
                let answer =
                    written.answers.pop().unwrap_or_else(|| Err(DeliveryError::OutcomeUnknown { message: "there is no answer".into() }));
                came(&answer, written.exchanges.pop().flatten().as_ref())
            }
            (Wanted::Plain(values), AnyTarget::Soap(target)) => match target.call(&arguments.operation, values).await {
                Ok(exchange) => plain(&exchange),
                Err(error) => came(&Err(error), None),
            },
            (Wanted::Plain(_), _) => came(&Err(DeliveryError::OutcomeUnknown { message: "there is no answer".into() }), None),
        }
    });
    let told = CallTold { outcome: Some(came.outcome.name().to_owned()), ..told };
    let recorded = runtime.block_on(record_call(parts.clone(), who, &told, Arc::new(SystemClock)));
    if session.terminal.is_json() {
        session.terminal.json(&came.told);
    } else {
        session.terminal.data(&came.text);
    }
    if let Err(error) = recorded {
        session.terminal.problem(&error.diagnostic());
        return Err(Exit::Failed);
    }
    Ok(came.exit)
}

/// The answer of a delivery.
fn came(answer: &Answer, exchange: Option<&Exchange>) -> Came {
    let answered = exchange.map(|exchange| exchange.answer.reveal().as_str());
    let parsed = answered.and_then(parsed);
    let shown = parsed.clone().or_else(|| answered.map(str::to_owned)).unwrap_or_default();
    match answer {
        Ok(receipt) => Came {
            outcome: receipt.effect.into(),
            exit: Exit::Fine,
            told: json!({ "outcome": receipt.effect.name(), "answer": answered, "parsed": parsed }),
            text: format!("{}\n\n{shown}", receipt.effect.name()),
        },
        Err(error) => Came {
            outcome: if matches!(error, DeliveryError::Refused { .. } | DeliveryError::BatchRefused { .. }) {
                EntryOutcome::Refused
            } else {
                EntryOutcome::Failed
            },
            exit: Exit::Failed,
            told: json!({
                "outcome": error.class().name(), "code": error.code().0, "message": error.to_string(), "answer": answered, "parsed": parsed
            }),
            text: format!("{} ({}): {error}\n\n{shown}", error.class().name(), error.code()),
        },
    }
}

/// The answer of an operation of the WSDL: what it means is for the reader to say.
fn plain(exchange: &Exchange) -> Came {
    let answered = exchange.answer.reveal();
    let parsed = parsed(answered);
    let fault = matches!(read(answered), Some(Reading::Fault(_)));
    Came {
        outcome: if fault || parsed.is_none() { EntryOutcome::Failed } else { EntryOutcome::Done },
        exit: if fault || parsed.is_none() { Exit::Failed } else { Exit::Fine },
        told: json!({ "outcome": if fault { "fault" } else { "answered" }, "answer": answered, "parsed": parsed }),
        text: parsed.unwrap_or_else(|| answered.clone()),
    }
}

/// The content of an answer that is shown behind its headers.
fn read(answered: &str) -> Option<Reading> {
    let content = answered.split_once("\n\n").map(|(_, content)| content)?;
    Some(soap::read(content.as_bytes(), None))
}

/// An answer of SOAP as paths and values.
fn parsed(answered: &str) -> Option<String> {
    match read(answered)? {
        Reading::Answer(answer) => answer.first().map(outline),
        Reading::Fault(fault) => {
            let detail = fault.detail.as_ref().map(outline).unwrap_or_default();
            let subcodes: Vec<&str> = fault.subcodes.iter().map(|code| &*code.local).collect();
            let subcodes = if subcodes.is_empty() { String::new() } else { format!("subcodes: {}\n", subcodes.join(", ")) };
            Some(format!("fault: {}\n{subcodes}reason: {}\n{detail}", fault.code_written, fault.reason))
        }
        Reading::NotSoap(_) => None,
    }
}
