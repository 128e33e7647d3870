//! `kith subject export`: everything about a person, gathered from what is stored and from the log.

use super::{Exit, ExportArguments, Session, failed, person, unread, wrong};
use crate::audit::{Entry, SealingKey, SubjectHash};
use crate::cli::opened::{reader, runtime, who};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::{Activity, CustomerId, Digest, SubjectId, Value, WriteEffect};
use crate::pipeline::{Clock, SystemClock, export_told};
use crate::store::StoreError;
use crate::store::sqlite::{PersonFile, SqliteReader};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

const UNWRITTEN: Code = Code("KITH-C018");
const UNKNOWN: Code = Code("KITH-R051");

/// Entries read at once.
const PAGE: usize = 4_096;

pub(super) fn run(session: &mut Session, asked: &ExportArguments) -> Result<Exit, Exit> {
    let mut subjects = super::people(session, &asked.who)?;
    let (Some(subject), true) = (subjects.pop(), subjects.is_empty()) else {
        return Err(wrong(session, "--from", "an export is about one person", "name the person by --identity or --customer"));
    };
    let (parts, reader) = reader(session)?;
    let files = reader.person(&subject).map_err(|error| unread(session, &error))?;
    let mut hashes: Vec<SubjectHash> = files.iter().map(|file| file.person).collect();
    match &subject {
        SubjectId::Identity(id) => hashes.push(parts.keys.hash.identity(id)),
        SubjectId::Customer(id) => hashes.push(parts.keys.hash.customer(id)),
    }
    hashes.sort_unstable();
    hashes.dedup();
    let entries = entries(&reader, &hashes).map_err(|error| unread(session, &error))?;
    if files.is_empty() && entries.is_empty() {
        let remedy = "`kith link list` shows every account that is known, with its network and id";
        session.terminal.problem(&Diagnostic::error(
            UNKNOWN,
            Place::Named("the person".into()),
            "nothing is kept about this person",
            remedy,
        ));
        return Err(Exit::Wrong);
    }
    let now = SystemClock.now();
    let accounts: Vec<Json> = files.iter().map(account_json).collect();
    let name = match &subject {
        SubjectId::Identity(id) => json!({ "network": id.network.name(), "identity_id": &*id.id }),
        SubjectId::Customer(id) => json!({ "customer_id": id.as_str() }),
    };
    let count =
        files.iter().map(|file| 1 + file.activities.len() + file.links.len() + file.deliveries.len()).sum::<usize>() + entries.len();
    let document = json!({ "kith": 1, "export": name, "made": now.to_string(), "accounts": accounts, "log": entries });
    let (text, format) = match &asked.html {
        None => (document.to_string(), "json"),
        Some(_) => (person::page(&document), "html"),
    };
    // Told before it is handed out.
    let digest = Digest(Sha256::digest(text.as_bytes()).into());
    let asker = who(session, &parts.config);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let runtime = runtime(session)?;
    let told = export_told(&parts, &asker, &clock, &subject, (count as u64, Some(digest), format));
    runtime.block_on(told).map_err(|error| failed(session, &error))?;
    match &asked.html {
        None => session.terminal.data(&text),
        Some(path) => {
            let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
            if let Err(error) = written.and_then(|mut file| file.write_all(text.as_bytes())) {
                let place = Place::Path(path.display().to_string());
                let remedy = "name a file in a folder that you may write to";
                session.terminal.problem(&Diagnostic::error(UNWRITTEN, place, format!("the page can't be written: {error}"), remedy));
                return Err(Exit::Failed);
            }
            session.terminal.note(&format!("{}: {count} records, SHA-256 {digest}; only you may read it", path.display()));
        }
    }
    Ok(Exit::Fine)
}

fn named(values: &[(Arc<str>, Value)]) -> Json {
    values.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect::<Map<_, _>>().into()
}

fn activity_json(activity: &Activity) -> Json {
    let object = &activity.object;
    json!({
        "id": &*activity.id, "type": activity.verb.name(), "network": activity.network.name(), "published": activity.published.to_string(),
        "audience": activity.audience.name(), "conversation": activity.conversation.as_deref(),
        "object": {
            "id": &*object.id, "type": &*object.kind, "content": object.content.reveal().as_deref(), "url": object.url.reveal().as_deref(),
            "published": object.published.map(|at| at.to_string()), "updated": object.updated.map(|at| at.to_string()),
            "deleted": object.deleted.map(|at| at.to_string()), "inReplyTo": object.in_reply_to.as_deref(),
        },
    })
}

fn account_json(file: &PersonFile) -> Json {
    let decisions: Vec<Json> = file
        .decisions
        .iter()
        .map(|(decision, mapping)| {
            json!({
                "decision": decision.outcome.name(), "customer_id": decision.customer.as_ref().map(CustomerId::as_str),
                "rule": decision.by.as_ref().map(|by| by.name().to_owned()), "basis": decision.basis.as_deref(),
                "probability": decision.probability, "match_weight": decision.match_weight, "at": decision.at.to_string(),
                "mapping": mapping.to_string(),
            })
        })
        .collect();
    let evidence = file.evidence.as_ref().map(|evidence| {
        let candidates: Vec<Json> = evidence
            .candidates
            .iter()
            .map(|candidate| json!({ "customer_id": candidate.customer.as_str(), "posterior": candidate.posterior, "match_weight": candidate.match_weight }))
            .collect();
        json!({ "compared": named(evidence.identity.reveal()), "candidates": candidates })
    });
    let links: Vec<Json> = file
        .links
        .iter()
        .map(|link| {
            json!({
                "customer_id": link.customer.as_str(), "by": link.by, "basis": link.basis, "law": link.law, "purpose": link.purpose,
                "basis_since": link.basis_since, "record": link.record, "since": link.since.to_string(),
                "ended": link.ended.map(|at| at.to_string()),
            })
        })
        .collect();
    let activities: Vec<Json> = file
        .activities
        .iter()
        .map(|said| json!({ "state": said.state, "received": said.received.to_string(), "activity": said.activity.as_ref().map(activity_json) }))
        .collect();
    let deliveries: Vec<Json> = file
        .deliveries
        .iter()
        .map(|delivery| {
            json!({
                "delivery": format!("d{}", delivery.id), "target": delivery.target, "entry": delivery.entry, "intent": delivery.intent.name(),
                "state": delivery.state.name(), "effect": delivery.effect.map(WriteEffect::name),
                "fields": delivery.payload.as_ref().map(|payload| named(payload.reveal())),
            })
        })
        .collect();
    json!({
        "network": file.network.name(), "identity_id": file.account.as_deref(), "person": file.person.to_string(),
        "received": file.received.map(|at| at.to_string()), "profile": file.profile.as_ref().map(|profile| named(profile.fields.reveal())),
        "decisions": decisions, "evidence": evidence, "links": links, "activities": activities, "deliveries": deliveries,
    })
}

/// The entries of the log about these people, opened as far as their keys are there.
fn entries(reader: &SqliteReader, hashes: &[SubjectHash]) -> Result<Vec<Json>, StoreError> {
    let names: Vec<String> = hashes.iter().map(ToString::to_string).collect();
    let (mut found, mut next) = (Vec::new(), 0);
    loop {
        let page = reader.leaves(next, PAGE)?;
        if page.is_empty() {
            return Ok(found);
        }
        for (number, bytes) in (next..).zip(&page) {
            // Most entries are about others: only these are taken apart.
            if !names.iter().any(|name| memchr::memmem::find(bytes, name.as_bytes()).is_some()) {
                continue;
            }
            let Ok(entry) = Entry::decode(bytes) else { continue };
            let subject = [entry.subject.identity, entry.subject.customer];
            if subject.iter().flatten().any(|hash| hashes.contains(hash)) {
                let fields = opened(reader, &entry)?;
                found.push(
                    json!({ "number": number, "entry": serde_json::from_slice::<Json>(bytes).unwrap_or_default(), "fields": fields }),
                );
            }
        }
        next += page.len() as u64;
    }
}

/// Before and after by field; `null` where there are none, `"gone"` where a key was destroyed.
fn opened(reader: &SqliteReader, entry: &Entry) -> Result<Json, StoreError> {
    let Some(fields) = &entry.fields else { return Ok(Json::Null) };
    let mut failed = None;
    let find = |id| match reader.key(id) {
        Ok(key) => key,
        Err(error) => {
            failed = Some(error);
            None
        }
    };
    let key = fields.key_ids().and_then(|ids| SealingKey::find(ids, find));
    if let Some(error) = failed {
        return Err(error);
    }
    let Some(changes) = key.and_then(|key| fields.open(entry.kind(), &key).ok()) else { return Ok("gone".into()) };
    Ok(changes
        .iter()
        .map(|change| json!({ "field": &*change.field, "before": change.before.reveal().to_json(), "after": change.after.reveal().to_json() }))
        .collect())
}
