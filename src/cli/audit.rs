//! `kith audit verify`, `search` and `show`: the log as a reviewer reads it.

use super::opened::{reader, tell_read};
use super::{Exit, Session};
use crate::audit::{Entry, Kind, SealingKey, VerifierKey};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::{CustomerId, IdentityId, Network, Timestamp};
use crate::pipeline::Parts;
use crate::store::log::{VERIFIER_FILE, VerifyError, verify};
use crate::store::sqlite::SqliteReader;
use serde_json::{Value as Json, json};
use std::io;
use std::path::PathBuf;

const BAD_ARGUMENT: Code = Code("KITH-C015");
const NO_ENTRY: Code = Code("KITH-A020");
const NO_VERIFIER: Code = Code("KITH-A021");
const SEALED: Code = Code("KITH-A022");

/// Leaves read from the store at once.
const PAGE: usize = 2_000;

/// Commands about the audit log.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Check every tile, checkpoint and entry, and the store's rows against them; exit 3 and the first bad place where the log does not hold
    Verify(VerifyArguments),
    /// List entries that fit all the given filters
    Search(SearchArguments),
    /// One entry; with --reveal its personal values, which the log then says
    Show(ShowArguments),
}

/// Arguments of `audit verify`.
#[derive(clap::Args, Debug)]
pub struct VerifyArguments {
    /// A log folder to check alone, without configuration or store
    #[arg(long, value_name = "DIR", requires = "key")]
    pub log: Option<PathBuf>,
    /// The file with the log's verifier key
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// Arguments of `audit search`.
#[derive(clap::Args, Debug)]
pub struct SearchArguments {
    /// Only this kind, `decision` or `write.receipt` for instance
    #[arg(long)]
    pub kind: Option<String>,
    /// Only entries about this customer
    #[arg(long, value_name = "ID")]
    pub customer: Option<String>,
    /// Only entries about this identity, as NETWORK ID
    #[arg(long, num_args = 2, value_names = ["NETWORK", "ID"])]
    pub identity: Option<Vec<String>>,
    /// Only this outcome
    #[arg(long)]
    pub outcome: Option<String>,
    /// Only this rule, or the name of the rule that dropped
    #[arg(long)]
    pub rule: Option<String>,
    /// Only entries that name this correlation id (activity, decision, delivery or receipt)
    #[arg(long, value_name = "HEX")]
    pub correlation: Option<String>,
    /// Only from this time on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// Only before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
    /// At most so many, the first ones
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
}

/// Arguments of `audit show`.
#[derive(clap::Args, Debug)]
pub struct ShowArguments {
    /// The entry's number, from 0
    pub number: u64,
    /// Open what is sealed
    #[arg(long)]
    pub reveal: bool,
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    let done = match command {
        Command::Verify(arguments) => verify_log(arguments, session),
        Command::Search(arguments) => search(arguments, session),
        Command::Show(arguments) => show(arguments, session),
    };
    done.unwrap_or_else(|exit| exit)
}

fn verify_log(arguments: &VerifyArguments, session: &mut Session) -> Result<Exit, Exit> {
    let (folder, key_file, rows) = match (&arguments.log, &arguments.key) {
        (Some(log), Some(key)) => (log.clone(), key.clone(), None),
        (_, given) => {
            let (parts, reader) = reader(session)?;
            let state = &parts.config.service.state;
            let key = given.clone().unwrap_or_else(|| state.join("keys").join(VERIFIER_FILE));
            (state.join("log"), key, Some(reader))
        }
    };
    let key = read_verifier(&key_file).map_err(|message| {
        let remedy = "give the file that the installation's owner handed you, or keys/log.pub of the state folder";
        session.terminal.problem(&Diagnostic::error(NO_VERIFIER, Place::Path(key_file.display().to_string()), message, remedy));
        Exit::Wrong
    })?;
    let mut leaves = rows.as_ref().map(Leaves::new);
    let mut rows = leaves.as_mut().map(|leaves| leaves.by_ref().map(|leaf| leaf.map(|(_, bytes)| bytes)));
    let result = match &mut rows {
        Some(rows) => verify(&folder, &key, None, Some(rows)),
        None => verify(&folder, &key, None, None),
    };
    match result {
        Ok(verified) => {
            let (size, root) = (verified.checkpoint.size, verified.checkpoint.root.to_string());
            if session.terminal.is_json() {
                session.terminal.json(&json!({ "holds": true, "size": size, "root": root, "not_yet_integrated": verified.waiting,
                    "origin": key.name(), "witnessed": false }));
            } else {
                session.terminal.data(&format!("the log {} holds: {size} entries, root {root}", key.name()));
                match verified.waiting {
                    Some(0) => session.terminal.data("the store's rows are the same entries"),
                    Some(more) => {
                        session.terminal.data(&format!("the store's rows are the same entries; {more} more are not yet integrated"));
                    }
                    None => {}
                }
                session
                    .terminal
                    .data("it holds, but not against someone with the signing key: no checkpoint left the machine to a witness");
            }
            Ok(Exit::Fine)
        }
        Err(error) => {
            let exit = if matches!(error, VerifyError::Bad(_)) { Exit::Difference } else { Exit::Failed };
            session.terminal.problem(&error.diagnostic(&folder));
            if session.terminal.is_json() {
                session.terminal.json(&json!({ "holds": false, "problem": error.diagnostic(&folder).to_json() }));
            }
            Ok(exit)
        }
    }
}

fn read_verifier(path: &std::path::Path) -> Result<VerifierKey, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("the verifier key can't be read: {error}"))?;
    VerifierKey::parse(text.trim_end()).map_err(|error| format!("this is no verifier key: {error}"))
}

/// The store's leaves in order, page by page.
struct Leaves<'a> {
    reader: &'a SqliteReader,
    next: u64,
    page: std::vec::IntoIter<Vec<u8>>,
}

impl<'a> Leaves<'a> {
    fn new(reader: &'a SqliteReader) -> Self {
        Self { reader, next: 0, page: Vec::new().into_iter() }
    }
}

impl Iterator for Leaves<'_> {
    type Item = io::Result<(u64, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            match self.reader.leaves(self.next, PAGE) {
                Ok(page) => self.page = page.into_iter(),
                Err(error) => return Some(Err(io::Error::other(error))),
            }
        }
        let bytes = self.page.next()?;
        let number = self.next;
        self.next += 1;
        Some(Ok((number, bytes)))
    }
}

/// What to look for, by the names that entries use.
struct Wanted {
    kind: Option<Kind>,
    customer: Option<String>,
    identity: Option<String>,
    outcome: Option<String>,
    rule: Option<String>,
    correlation: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Wanted {
    fn fits(&self, entry: &Entry) -> bool {
        let hash = |wanted: &Option<String>, found: Option<String>| wanted.as_ref().is_none_or(|w| found.as_ref() == Some(w));
        let ids = &entry.correlation;
        self.kind.is_none_or(|kind| entry.kind() == kind)
            && hash(&self.customer, entry.subject.customer.map(|h| h.to_string()))
            && hash(&self.identity, entry.subject.identity.map(|h| h.to_string()))
            && hash(&self.outcome, entry.outcome.map(|o| o.name().to_owned()))
            && hash(&self.rule, entry.why.rule.as_ref().map(ToString::to_string))
            && self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time < until)
            && self.correlation.as_ref().is_none_or(|wanted| {
                [ids.activity, ids.decision, ids.delivery, ids.receipt].into_iter().flatten().any(|id| id.to_string() == *wanted)
            })
    }
}

fn wrong(session: &mut Session, argument: &str, message: String, remedy: &str) -> Exit {
    session.terminal.problem(&Diagnostic::error(BAD_ARGUMENT, Place::Named(format!("argument {argument}")), message, remedy));
    Exit::Wrong
}

fn wanted(arguments: &SearchArguments, parts: &Parts, session: &mut Session) -> Result<Wanted, Exit> {
    let kind = match &arguments.kind {
        None => None,
        Some(name) => Some(Kind::from_name(name).ok_or_else(|| {
            let known: Vec<&str> = Kind::ALL.iter().map(|k| k.name()).collect();
            let near = crate::diagnose::nearest(name, known.iter().copied());
            let remedy = near.map_or_else(|| format!("it is one of {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
            wrong(session, "--kind", format!("`{name}` is no kind of entry"), &remedy)
        })?),
    };
    let identity = match arguments.identity.as_deref() {
        Some([network, id]) => {
            let network: Network = network.parse().map_err(|e: crate::model::UnknownNetwork| {
                wrong(session, "--identity", e.to_string(), "give NETWORK and ID as `link list` writes them")
            })?;
            Some(parts.keys.hash.identity(&IdentityId { network, id: id.as_str().into() }).to_string())
        }
        _ => None,
    };
    let customer = arguments.customer.as_deref().map(|id| parts.keys.hash.customer(&CustomerId::from(id)).to_string());
    Ok(Wanted {
        kind,
        customer,
        identity,
        outcome: arguments.outcome.as_ref().map(|o| o.replace('-', "_")),
        rule: arguments.rule.clone(),
        correlation: arguments.correlation.clone(),
        since: arguments.since,
        until: arguments.until,
    })
}

fn search(arguments: &SearchArguments, session: &mut Session) -> Result<Exit, Exit> {
    let (parts, reader) = reader(session)?;
    let wanted = wanted(arguments, &parts, session)?;
    let mut found = 0;
    for leaf in Leaves::new(&reader) {
        let (number, bytes) = leaf.map_err(|error| unreadable(session, &error.to_string()))?;
        let entry = Entry::decode(&bytes).map_err(|error| unreadable(session, &format!("entry {number}: {error}")))?;
        if !wanted.fits(&entry) {
            continue;
        }
        if found == arguments.limit {
            session.terminal.note(&format!("only the first {found} are listed; --limit gives more"));
            break;
        }
        found += 1;
        if session.terminal.is_json() {
            let entry: Json = serde_json::from_slice(&bytes).unwrap_or_default();
            session.terminal.json(&json!({ "number": number, "entry": entry }));
        } else {
            session.terminal.data(&row(number, &entry));
        }
    }
    if found == 0 {
        session.terminal.note("no entry fits");
    }
    Ok(Exit::Fine)
}

fn unreadable(session: &mut Session, message: &str) -> Exit {
    let remedy = "run `kith audit verify`: it names the first bad place";
    session.terminal.problem(&Diagnostic::error(NO_ENTRY, Place::Named("the audit log".into()), message.to_owned(), remedy));
    Exit::Failed
}

fn row(number: u64, entry: &Entry) -> String {
    let mut parts = vec![format!("{number:>8}  {:.3}  {:<20}", entry.time, entry.kind().name())];
    parts.extend(entry.outcome.map(|o| o.name().to_owned()));
    parts.extend(entry.network.map(|n| n.name().to_owned()));
    parts.extend(entry.why.rule.as_ref().map(|r| format!("rule {r}")));
    parts.extend(entry.why.basis.as_ref().map(|b| format!("basis {b}")));
    parts.extend(entry.subject.identity.map(|h| format!("identity {h}")));
    parts.extend(entry.subject.customer.map(|h| format!("customer {h}")));
    if entry.actor.name.as_ref() != "kith" {
        parts.push(format!("by {}", entry.actor.name));
    }
    parts.join("  ")
}

fn show(arguments: &ShowArguments, session: &mut Session) -> Result<Exit, Exit> {
    let (parts, reader) = reader(session)?;
    let place = || Place::Named(format!("entry {}", arguments.number));
    let leaves = reader.leaves(arguments.number, 1).map_err(|e| unreadable(session, &e.to_string()))?;
    let Some(bytes) = leaves.into_iter().next() else {
        let remedy = "`kith audit search` lists entries with their numbers, from 0";
        session.terminal.problem(&Diagnostic::error(NO_ENTRY, place(), "the log has no such entry", remedy));
        return Err(Exit::Wrong);
    };
    let entry = Entry::decode(&bytes).map_err(|error| unreadable(session, &format!("entry {}: {error}", arguments.number)))?;
    let mut shown = json!({ "number": arguments.number, "entry": serde_json::from_slice::<Json>(&bytes).unwrap_or_default() });
    if arguments.reveal {
        let revealed = revealed(&entry, &reader).map_err(|message| {
            let remedy = "the key was destroyed by a retention clock or an erasure, or `state/keys` is not this log's";
            session.terminal.problem(&Diagnostic::error(SEALED, place(), message, remedy));
            Exit::Failed
        })?;
        let subjects: Vec<String> = entry.subject.identity.iter().map(ToString::to_string).collect();
        tell_read(session, parts, &format!("audit show {}", arguments.number), &subjects, 1)?;
        if let Some(members) = shown.as_object_mut() {
            members.insert("revealed".into(), revealed);
        }
    }
    if session.terminal.is_json() {
        session.terminal.json(&shown);
    } else {
        session.terminal.data(&row(arguments.number, &entry));
        session.terminal.data(&serde_json::to_string_pretty(&shown).unwrap_or_default());
    }
    Ok(Exit::Fine)
}

/// What an entry seals, opened.
fn revealed(entry: &Entry, reader: &SqliteReader) -> Result<Json, String> {
    let mut out = serde_json::Map::new();
    let find = |id| reader.key(id).ok().flatten();
    if let Some(fields) = &entry.fields {
        let key = fields.key_ids().and_then(|ids| SealingKey::find(ids, find));
        let key = key.ok_or("a key that sealed the fields is gone")?;
        let changes = fields.open(entry.kind(), &key).map_err(|e| e.to_string())?;
        let changes: Vec<Json> = changes
            .iter()
            .map(|c| json!({ "field": &*c.field, "before": c.before.reveal().to_json(), "after": c.after.reveal().to_json() }))
            .collect();
        out.insert("fields".into(), changes.into());
    }
    if let Some(evidence) = entry.evidence.as_ref().and_then(|part| part.here()) {
        let opened = evidence.open(find).map_err(|e| e.to_string())?;
        let values = |values: &[(std::sync::Arc<str>, crate::model::Value)]| -> Json {
            values.iter().map(|(n, v)| (n.to_string(), v.to_json())).collect::<serde_json::Map<_, _>>().into()
        };
        let candidates: Vec<Json> = opened
            .evidence
            .candidates
            .iter()
            .map(|c| json!({ "customer": c.customer.as_str(), "posterior": c.posterior, "match_weight": c.match_weight, "values": values(c.values.reveal()) }))
            .collect();
        out.insert("identity".into(), values(opened.evidence.identity.reveal()));
        out.insert("candidates".into(), candidates.into());
        out.insert("complete".into(), opened.is_complete().into());
    }
    Ok(out.into())
}
