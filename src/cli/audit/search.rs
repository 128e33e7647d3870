//! `kith audit search` and `show`: entries as a reviewer reads them.

use super::super::opened::{reader, tell_read};
use super::super::{Exit, Session};
use super::hits::{Needle, each_with};
use super::{NO_ENTRY, SEALED, identity_hash, row, unreadable, wrong};
use crate::audit::{Entry, Kind, SealingKey};
use crate::diagnose::{Diagnostic, Place};
use crate::model::{CustomerId, Timestamp};
use crate::pipeline::Parts;
use crate::store::sqlite::SqliteReader;
use serde_json::{Value as Json, json};
use std::ops::ControlFlow;

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
    let identity = identity_hash(arguments.identity.as_deref(), parts, session)?.map(|hash| hash.to_string());
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

pub(super) fn search(arguments: &SearchArguments, session: &mut Session) -> Result<Exit, Exit> {
    let (parts, reader) = reader(session)?;
    let wanted = wanted(arguments, &parts, session)?;
    // One needle suffices; a person or a step has fewer entries than a kind.
    let hash = [&wanted.correlation, &wanted.identity, &wanted.customer].into_iter().flatten().find_map(|hash| Needle::hash(hash));
    let needles: Vec<Needle> = hash.or_else(|| wanted.kind.map(Needle::kind)).into_iter().collect();
    let (mut lines, mut more) = (0, false);
    each_with(&reader, &parts.config.service.state, &needles, |number, entry, bytes| {
        if !wanted.fits(entry) {
            return ControlFlow::Continue(());
        }
        if lines == arguments.limit {
            more = true;
            return ControlFlow::Break(());
        }
        lines += 1;
        if session.terminal.is_json() {
            let entry: Json = serde_json::from_slice(bytes).unwrap_or_default();
            session.terminal.json(&json!({ "number": number, "entry": entry }));
        } else {
            session.terminal.data(&row(number, entry));
        }
        ControlFlow::Continue(())
    })
    .map_err(|message| unreadable(session, &message))?;
    if more {
        session.terminal.note(&format!("only the first {lines} are listed; --limit gives more"));
    }
    if lines == 0 {
        session.terminal.note("no entry fits");
    }
    Ok(Exit::Fine)
}

pub(super) fn show(arguments: &ShowArguments, session: &mut Session) -> Result<Exit, Exit> {
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
