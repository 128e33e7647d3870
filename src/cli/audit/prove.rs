//! `kith audit prove` and `verify-proof`: an entry, or everything about a CRM row, in one file that stands alone.

use super::super::opened::reader;
use super::super::{Exit, Session, read_bytes};
use super::hits::{Needle, each_with};
use super::{cosigners, row, unreadable, verifier, wrong};
use crate::audit::{Bundle, Entry, Event, MAX_BUNDLE_PROOFS, MAX_PROOF_FILE_BYTES, SubjectHash, VerifierKey};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::{RecordKey, TargetId};
use crate::pipeline::Parts;
use crate::store::log::{ProveError, Prover};
use crate::store::sqlite::SqliteReader;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;

const NO_PROOF: Code = Code("KITH-A024");
const NOT_PROVEN: Code = Code("KITH-A026");

/// Arguments of `audit prove`.
#[derive(clap::Args, Debug)]
pub struct ProveArguments {
    /// The entries' numbers, from 0
    #[arg(value_name = "NUMBER", required_unless_present = "record")]
    pub numbers: Vec<u64>,
    /// The target that holds the CRM row
    #[arg(long, value_name = "NAME", requires = "record")]
    pub target: Option<String>,
    /// The row's key, one value for each key field in the connector's order: every entry about that row, and the decisions behind it
    #[arg(long, value_name = "KEY", num_args = 1.., requires = "target", conflicts_with = "numbers")]
    pub record: Vec<String>,
    /// A log folder to prove from, without configuration or store
    #[arg(long, value_name = "DIR", requires = "key", conflicts_with = "record")]
    pub log: Option<PathBuf>,
    /// The key that the reader will have: proofs of each later change of the key are put first. Without it, the newest key
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// A folder with cosigned checkpoints, beside those in the log's own folder
    #[arg(long, value_name = "DIR")]
    pub cosigned: Vec<PathBuf>,
    /// Where to write the proof; without it, stdout
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Arguments of `audit verify-proof`.
#[derive(clap::Args, Debug)]
pub struct VerifyProofArguments {
    /// The proof
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The log's verifier key: a file, or its line
    #[arg(long, value_name = "FILE", required = true)]
    pub key: PathBuf,
    /// The public key of a witness: its cosignature is checked too, and missing where there is none
    #[arg(long, value_name = "FILE")]
    pub witness_key: Vec<PathBuf>,
    /// Print each entry as well
    #[arg(long)]
    pub show: bool,
}

pub(super) fn prove(arguments: &ProveArguments, session: &mut Session) -> Result<Exit, Exit> {
    let (folder, key, numbers, newest) = if let (Some(log), Some(key)) = (&arguments.log, &arguments.key) {
        (log.clone(), verifier(key, session)?, arguments.numbers.clone(), None)
    } else {
        let (parts, reader) = reader(session)?;
        let newest = parts.keys.log.verifier();
        let key = match &arguments.key {
            Some(key) => verifier(key, session)?,
            None => newest.clone(),
        };
        let numbers = if arguments.record.is_empty() { arguments.numbers.clone() } else { about_row(arguments, &parts, &reader, session)? };
        (parts.config.service.state.join("log"), key, numbers, Some(newest))
    };
    if numbers.len() > MAX_BUNDLE_PROOFS {
        let message = format!("{} entries are asked for, and one file holds {MAX_BUNDLE_PROOFS} proofs", numbers.len());
        return Err(wrong(session, "NUMBER", message, "prove them in several files"));
    }
    let bundle = made(&folder, &key, arguments, &numbers).map_err(|error| {
        let problem = match &error {
            ProveError::Log(error) => error.diagnostic(),
            ProveError::Beyond { .. } => Diagnostic::error(
                NO_PROOF,
                Place::Path(folder.display().to_string()),
                error.to_string(),
                "wait a second where the service runs: entries are integrated within one. `kith audit search` lists their numbers",
            ),
        };
        session.terminal.problem(&problem);
        if matches!(error, ProveError::Beyond { .. }) { Exit::Wrong } else { Exit::Failed }
    })?;
    // What is handed out is checked as its reader will.
    if let Err((number, error)) = bundle.verify(&key, &[]) {
        let remedy = "run `kith audit verify`: it names the first bad place";
        let message = format!("proof {number} would not hold: {error}");
        session.terminal.problem(&Diagnostic::error(NO_PROOF, Place::Path(folder.display().to_string()), message, remedy));
        return Err(Exit::Failed);
    }
    written(arguments, &bundle, &key, newest.as_ref(), session)
}

fn made(folder: &std::path::Path, key: &VerifierKey, arguments: &ProveArguments, numbers: &[u64]) -> Result<Bundle, ProveError> {
    Prover::open(folder, key, &arguments.cosigned)?.bundle(numbers)
}

fn written(
    arguments: &ProveArguments,
    bundle: &Bundle,
    key: &VerifierKey,
    newest: Option<&VerifierKey>,
    session: &mut Session,
) -> Result<Exit, Exit> {
    let text = bundle.text();
    let Some(path) = &arguments.out else {
        session.terminal.data(&text);
        return Ok(Exit::Fine);
    };
    std::fs::write(path, &text).map_err(|error| {
        let message = format!("the proof can't be written: {error}");
        let place = Place::Path(path.display().to_string());
        session.terminal.problem(&Diagnostic::error(NO_PROOF, place, message, "give another --out, or make room"));
        Exit::Failed
    })?;
    let file = path.display().to_string();
    if session.terminal.is_json() {
        let entries: Vec<u64> = bundle.0.iter().map(|proof| proof.index).collect();
        session.terminal.json(&json!({ "file": file, "proofs": entries.len(), "entries": entries, "key": key.to_string() }));
    } else {
        let count = bundle.0.len();
        session.terminal.data(&format!("{count} proof{} written into {file}", if count == 1 { "" } else { "s" }));
        session.terminal.data(&format!("check it anywhere: kith audit verify-proof {file} --key '{key}'"));
        if newest.is_some_and(|newest| newest != key) {
            session.terminal.note("it begins with the proofs that lead from the given key to the newest");
        }
    }
    Ok(Exit::Fine)
}

/// The numbers of every entry about a CRM row, and of the decisions that they name.
fn about_row(arguments: &ProveArguments, parts: &Parts, reader: &SqliteReader, session: &mut Session) -> Result<Vec<u64>, Exit> {
    let target = arguments.target.clone().unwrap_or_default();
    let Some((spec, _)) = parts.targets.iter().find(|(spec, _)| *spec.name == *target) else {
        let known: Vec<String> = parts.targets.iter().map(|(spec, _)| spec.name.to_string()).collect();
        return Err(wrong(session, "--target", format!("there is no target `{target}`"), &format!("it is one of {}", known.join(", "))));
    };
    let target = TargetId(spec.name.clone());
    let wanted: BTreeSet<SubjectHash> = keys_of(&arguments.record).iter().map(|key| parts.keys.hash.record(&target, key)).collect();
    let state = &parts.config.service.state;
    let needles: Vec<Needle> = wanted.iter().filter_map(|hash| Needle::hash(&hash.to_string())).collect();
    let mut numbers = BTreeSet::new();
    let mut decisions = BTreeSet::new();
    each_with(reader, state, &needles, |number, entry, _| {
        if record_of(&entry.event).is_some_and(|hash| wanted.contains(&hash)) {
            numbers.insert(number);
            decisions.extend(entry.correlation.decision);
        }
        ControlFlow::Continue(())
    })
    .map_err(|message| unreadable(session, &message))?;
    if numbers.is_empty() {
        let remedy = "give the key's values in the order in which the connector's `record_key` names them";
        let message = "no entry is about such a row".to_owned();
        session.terminal.problem(&Diagnostic::error(NO_PROOF, Place::Named("argument --record".into()), message, remedy));
        return Err(Exit::Wrong);
    }
    let needles: Vec<Needle> = decisions.iter().filter_map(|id| Needle::hash(&id.to_string())).collect();
    if !needles.is_empty() {
        each_with(reader, state, &needles, |number, entry, _| {
            if matches!(entry.event, Event::Decision { .. }) && entry.correlation.decision.is_some_and(|id| decisions.contains(&id)) {
                numbers.insert(number);
            }
            ControlFlow::Continue(())
        })
        .map_err(|message| unreadable(session, &message))?;
    }
    Ok(numbers.into_iter().collect())
}

/// The record keys that the given words may mean: each word is text, or a number where it looks like one.
fn keys_of(words: &[String]) -> Vec<RecordKey> {
    // A key has a handful of fields; beyond eight, words are text only.
    let mut keys: Vec<Vec<Json>> = vec![Vec::new()];
    for word in words {
        let text = Json::from(word.as_str());
        let other = serde_json::from_str::<Json>(word).ok().filter(|json| json.is_number() || json.is_boolean());
        let ways: Vec<Json> = std::iter::once(text).chain(other.filter(|_| words.len() <= 8)).collect();
        keys = keys.iter().flat_map(|key| ways.iter().map(|way| [key.as_slice(), std::slice::from_ref(way)].concat())).collect();
    }
    keys.into_iter().map(|key| RecordKey(Json::Array(key).to_string().into())).collect()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the kinds about a record are few; a new one is found by its needle and left out here")]
const fn record_of(event: &Event) -> Option<SubjectHash> {
    match event {
        Event::WritePlanned { record, .. }
        | Event::WriteIntended { record, .. }
        | Event::WriteReceipt { record, .. }
        | Event::WriteParked { record, .. }
        | Event::WriteRecovered { record, .. }
        | Event::WriteUndone { record, .. } => Some(*record),
        _ => None,
    }
}

pub(super) fn verify_proof(arguments: &VerifyProofArguments, session: &mut Session) -> Result<Exit, Exit> {
    let key = verifier(&arguments.key, session)?;
    let witnesses = cosigners(&arguments.witness_key, session)?;
    let bytes = read_bytes(&arguments.file).map_err(|problem| {
        session.terminal.problem(&problem);
        Exit::Wrong
    })?;
    debug_assert!(bytes.len() <= MAX_PROOF_FILE_BYTES, "files that are read are smaller still");
    let held = Bundle::parse(&bytes).and_then(|bundle| bundle.verify(&key, &witnesses));
    let proven = match held {
        Ok(proven) => proven,
        Err((number, error)) => {
            let place = Place::Path(arguments.file.display().to_string());
            let message = format!("proof {number} does not hold: {error}");
            let remedy = "ask for it anew; where it fails again, verify the log itself with `kith audit verify` or `ops/audit/verify.py`";
            let problem = Diagnostic::error(NOT_PROVEN, place, message, remedy);
            session.terminal.problem(&problem);
            if session.terminal.is_json() {
                session.terminal.json(&json!({ "holds": false, "proof": number, "problem": problem.to_json() }));
            }
            return Ok(Exit::Difference);
        }
    };
    let by_all = |names: &[crate::audit::Cosigned]| witnesses.iter().filter(|w| !names.iter().any(|c| c.witness == w.name())).count();
    let missing = proven.iter().map(|proven| by_all(&proven.cosigned)).max().unwrap_or_default();
    if session.terminal.is_json() {
        let entries: Vec<Json> = proven
            .iter()
            .map(|p| {
                let cosigned: Vec<Json> =
                    p.cosigned.iter().map(|c| json!({ "witness": c.witness, "seconds_since_1970": c.seconds })).collect();
                json!({ "number": p.index, "kind": p.entry.kind().name(), "time": p.entry.time.to_string(), "log_size": p.checkpoint.size,
                    "root": p.checkpoint.root.to_string(), "cosigned": cosigned, "entry": json_of(&p.entry) })
            })
            .collect();
        session.terminal.json(&json!({ "holds": true, "origin": key.name(), "witnesses_missing": missing, "entries": entries }));
    } else {
        for p in &proven {
            session.terminal.data(&row(p.index, &p.entry));
            let by: Vec<&str> = p.cosigned.iter().map(|c| c.witness.as_str()).collect();
            let by = if by.is_empty() { String::new() } else { format!(", cosigned by {}", by.join(", ")) };
            session.terminal.data(&format!("          in the log {} of {} entries{by}", key.name(), p.checkpoint.size));
            if arguments.show {
                session.terminal.data(&serde_json::to_string_pretty(&json_of(&p.entry)).unwrap_or_default());
            }
        }
        session.terminal.data(&format!("{} proofs hold", proven.len()));
        if missing > 0 {
            session.terminal.note("not every given witness cosigned every checkpoint");
        } else if witnesses.is_empty() {
            session.terminal.data("they hold, but not against someone with the signing key: no witness's key was given (--witness-key)");
        }
    }
    // A witness that was asked for and is missing is a difference: who gives its key wants its word.
    Ok(if missing > 0 { Exit::Difference } else { Exit::Fine })
}

fn json_of(entry: &Entry) -> Json {
    entry.encode().ok().and_then(|encoded| serde_json::from_slice(&encoded.bytes).ok()).unwrap_or_default()
}
