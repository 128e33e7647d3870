//! `kith audit verify`: the whole log, against what is known of it from elsewhere.

use super::super::opened::reader;
use super::super::{Exit, Session};
use super::{Leaves, cosigners, verifier, wrong};
use crate::audit::{Checkpoint, Cosigned, CosignerKey, Note, NoteError, VerifierKey, merkle};
use crate::declare::config::Audit;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::pipeline::{PUBLISHED, syslog_of};
use crate::store::log::{
    BadPlace, Followed, LogError, TileNodes, VERIFIER_FILE, Verified, VerifyError, cosigned_notes, epochs, follow, newest_checkpoint,
    open_by_any, verify,
};
use crate::store::sqlite::SqliteReader;
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

const BAD_TRUSTED: Code = Code("KITH-A025");

/// Arguments of `audit verify`.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// A log folder to check alone, without configuration or store
    #[arg(long, value_name = "DIR", requires = "key")]
    pub log: Option<PathBuf>,
    /// The log's verifier key: a file, or its line
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// A checkpoint, or a file of many, kept from before: the log must go on from each
    #[arg(long, value_name = "FILE")]
    pub trusted: Vec<PathBuf>,
    /// The public key of a witness: tell how much of the log it cosigned
    #[arg(long, value_name = "FILE")]
    pub witness_key: Vec<PathBuf>,
    /// The log was put back from a backup of so many entries, and those who run it answered for it: trusted checkpoints of the entries that are gone
    /// are told and set aside
    #[arg(long, value_name = "ENTRIES")]
    pub accept_epoch: Option<u64>,
    /// A folder with cosigned checkpoints, beside those in the log's own folder
    #[arg(long, value_name = "DIR")]
    pub cosigned: Vec<PathBuf>,
}

/// What was said from elsewhere.
#[derive(Default)]
struct Elsewhere {
    trusted: Vec<Checkpoint>,
    cosigned: Vec<(Checkpoint, Vec<u8>)>,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit, Exit> {
    let mut leaving = None;
    let (folder, key_file, rows) = match (&arguments.log, &arguments.key) {
        (Some(log), Some(key)) => (log.clone(), key.clone(), None),
        (_, given) => {
            let (parts, reader) = reader(session)?;
            leaving = Some(leaving_of(&parts.config.audit, &reader));
            let state = &parts.config.service.state;
            let key = given.clone().unwrap_or_else(|| state.join("keys").join(VERIFIER_FILE));
            (state.join("log"), key, Some(reader))
        }
    };
    let key = verifier(&key_file, session)?;
    let witnesses = cosigners(&arguments.witness_key, session)?;
    let mut elsewhere = elsewhere(arguments, &folder, &key, session)?;
    let gone = gone(arguments.accept_epoch, &folder, &key, &mut elsewhere, session)?;
    let known: Vec<Checkpoint> = elsewhere.trusted.iter().chain(elsewhere.cosigned.iter().map(|(c, _)| c)).cloned().collect();
    let mut leaves = rows.as_ref().map(Leaves::new);
    let mut rows = leaves.as_mut().map(|leaves| leaves.by_ref().map(|leaf| leaf.map(|(_, bytes)| bytes)));
    let result = match &mut rows {
        Some(rows) => verify(&folder, &key, &known, Some(rows)),
        None => verify(&folder, &key, &known, None),
    };
    let result = result.and_then(|verified| cosignatures(&verified, &elsewhere.cosigned, &witnesses).map(|found| (verified, found)));
    match result {
        Ok((verified, cosigned)) => {
            tell(&verified, &cosigned, &elsewhere.trusted, &key, session);
            if !session.terminal.is_json() {
                for line in &gone {
                    session.terminal.data(line);
                }
            }
            if let Some(leaving) = leaving.filter(|_| !session.terminal.is_json()) {
                session.terminal.data(&leaving);
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

/// What the log says about its restores. With `accept`, checkpoints of entries that went with the backup of so many entries are set aside: those that
/// cover more than it did, at most what the log says was lost, and another history than stands.
fn gone(
    accept: Option<u64>,
    folder: &Path,
    key: &VerifierKey,
    elsewhere: &mut Elsewhere,
    session: &mut Session,
) -> Result<Vec<String>, Exit> {
    let failed = |session: &mut Session, error: &LogError| {
        session.terminal.problem(&error.diagnostic());
        Exit::Difference
    };
    let mut keys = follow(folder, key).unwrap_or_default();
    keys.push(Followed { key: key.clone(), by: None });
    let told = epochs(folder, &keys).map_err(|error| failed(session, &error))?;
    let mut lines: Vec<String> = told
        .iter()
        .map(|epoch| {
            let (begins, at, backup) = (epoch.begins, epoch.at, epoch.backup.short());
            format!(
                "it was put back at {at} from the backup {backup} of its first {begins} entries; {} that left the machine are gone",
                epoch.gone()
            )
        })
        .collect();
    let Some(accepted) = accept else { return Ok(lines) };
    let Some(epoch) = told.iter().find(|epoch| epoch.begins == accepted) else {
        let remedy = "give the number that the log itself says: `kith audit verify` without it tells";
        return Err(wrong(session, "--accept-epoch", format!("the log says nothing of a restore with {accepted} entries"), remedy));
    };
    let (checkpoint, ..) = newest_checkpoint(folder, key).map_err(|(_, error)| failed(session, &error))?;
    let nodes = TileNodes::new(folder, checkpoint.size);
    let lost = epoch.lost.map_or(epoch.begins, |(size, _)| size);
    let mut set_aside = 0;
    let mut keeps = |known: &Checkpoint| -> Result<bool, LogError> {
        let in_doubt = known.size > epoch.begins && known.size <= lost;
        let is_gone = in_doubt && (known.size > checkpoint.size || merkle::root(&nodes, known.size)? != known.root);
        set_aside += u64::from(is_gone);
        Ok(!is_gone)
    };
    let mut kept = Elsewhere::default();
    for known in elsewhere.trusted.drain(..) {
        if keeps(&known).map_err(|error| failed(session, &error))? {
            kept.trusted.push(known);
        }
    }
    for (known, note) in elsewhere.cosigned.drain(..) {
        if keeps(&known).map_err(|error| failed(session, &error))? {
            kept.cosigned.push((known, note));
        }
    }
    *elsewhere = kept;
    lines.push(format!("{set_aside} checkpoints from elsewhere are of the entries that are gone, and say nothing about those that stand"));
    Ok(lines)
}

/// Where checkpoints go, and what the last one covered that left.
fn leaving_of(audit: &Audit, reader: &SqliteReader) -> String {
    let mut places = Vec::new();
    places.extend(audit.checkpoints_to.as_ref().map(|folder| format!("to {}", folder.display())));
    let syslog = syslog_of(audit);
    places.extend(syslog.map(|syslog| format!("to {}", syslog.address)));
    if places.is_empty() {
        return "no checkpoint leaves this machine: [audit] names neither `checkpoints_to` nor `syslog`".to_owned();
    }
    let last = reader.settings().ok().and_then(|settings| settings.get(PUBLISHED).cloned());
    let last = match last.as_deref().and_then(|last| last.split_once(' ')) {
        Some((size, at)) => format!("the last one over {size} entries at {at}"),
        None => "none left yet".to_owned(),
    };
    let mut said = format!("checkpoints leave {}; {last}. What was kept there is held against the log by --trusted", places.join(" and "));
    if audit.checkpoints_to.is_none() && syslog.is_some_and(|syslog| syslog.socket().is_some()) {
        said.push_str("\nthis machine's own syslog keeps them from nobody who is root here, unless it forwards them: better name a place elsewhere in [audit]");
    }
    said
}

/// Checkpoints from before and from witnesses, signed by the given key or one after it.
fn elsewhere(arguments: &Arguments, folder: &Path, key: &VerifierKey, session: &mut Session) -> Result<Elsewhere, Exit> {
    let mut found = Elsewhere::default();
    if arguments.trusted.is_empty() && arguments.cosigned.is_empty() {
        return Ok(found);
    }
    // Where the rotations can't be read, verifying says it; here the given key suffices.
    let keys = follow(folder, key).unwrap_or_else(|_told_by_verify| vec![Followed { key: key.clone(), by: None }]);
    let wrong = |session: &mut Session, path: &Path, message: String| {
        let remedy = "give a file that was `checkpoint` of this log, or one that Kith published";
        session.terminal.problem(&Diagnostic::error(BAD_TRUSTED, Place::Path(path.display().to_string()), message, remedy));
        Exit::Wrong
    };
    for path in &arguments.trusted {
        let bytes = super::super::read_bytes(path).map_err(|problem| {
            session.terminal.problem(&problem);
            Exit::Wrong
        })?;
        let notes = Note::split(&bytes);
        if notes.is_empty() {
            return Err(wrong(session, path, "there is no checkpoint in it".into()));
        }
        for note in notes {
            let opened =
                open_by_any(note, &keys).map_err(|error| wrong(session, path, format!("this is no checkpoint of the log: {error}")));
            found.trusted.push(opened?);
        }
    }
    for folder in &arguments.cosigned {
        let notes = cosigned_notes(folder).map_err(|error| {
            session.terminal.problem(&error.diagnostic());
            Exit::Failed
        })?;
        // A folder of a witness may hold several logs' checkpoints; those of others are none of ours.
        for (path, note) in notes {
            match open_by_any(&note, &keys) {
                Ok(checkpoint) => found.cosigned.push((checkpoint, note)),
                Err(NoteError::Unsigned) => {}
                Err(error) => return Err(wrong(session, &path, format!("this is no checkpoint of the log: {error}"))),
            }
        }
    }
    Ok(found)
}

/// The newest cosignature of each witness that was given.
fn cosignatures(
    verified: &Verified,
    more: &[(Checkpoint, Vec<u8>)],
    witnesses: &[CosignerKey],
) -> Result<Vec<(u64, Cosigned)>, VerifyError> {
    let mut found = Vec::new();
    for witness in witnesses {
        let mut newest: Option<(u64, Cosigned)> = None;
        for (checkpoint, note) in verified.cosigned.iter().chain(more) {
            let read = Note::parse(note).and_then(|note| witness.verify(&note));
            match read {
                Ok(cosigned) if newest.as_ref().is_none_or(|(size, _)| *size < checkpoint.size) => {
                    newest = Some((checkpoint.size, cosigned));
                }
                Ok(_) | Err(NoteError::Unsigned) => {}
                Err(error) => {
                    let what = format!("the cosignature of `{}` over {} entries: {error}", witness.name(), checkpoint.size);
                    return Err(VerifyError::Bad(BadPlace { file: "cosigned".into(), index: None, what }));
                }
            }
        }
        found.extend(newest);
    }
    Ok(found)
}

fn tell(verified: &Verified, cosigned: &[(u64, Cosigned)], trusted: &[Checkpoint], key: &VerifierKey, session: &mut Session) {
    let (size, root) = (verified.checkpoint.size, verified.checkpoint.root.to_string());
    let since = trusted.iter().map(|checkpoint| checkpoint.size).max();
    let terminal = &mut session.terminal;
    if terminal.is_json() {
        let witnesses: Vec<Json> =
            cosigned.iter().map(|(size, by)| json!({ "witness": by.witness, "size": size, "seconds_since_1970": by.seconds })).collect();
        let keys: Vec<String> = verified.keys.iter().map(ToString::to_string).collect();
        terminal.json(&json!({ "holds": true, "size": size, "root": root, "not_yet_integrated": verified.waiting, "origin": key.name(),
            "witnessed": !cosigned.is_empty(), "witnesses": witnesses, "trusted_checkpoints": trusted.len(), "trusted_size": since, "keys": keys }));
        return;
    }
    terminal.data(&format!("the log {} holds: {size} entries, root {root}", key.name()));
    match verified.waiting {
        Some(0) => terminal.data("the store's rows are the same entries"),
        Some(more) => terminal.data(&format!("the store's rows are the same entries; {more} more are not yet integrated")),
        None => {}
    }
    if let [_, .., newest] = verified.keys.as_slice() {
        let changes = verified.keys.len() - 1;
        terminal.data(&format!(
            "its signing key changed {changes} times since the given one, each time signed by the one before; now {newest}"
        ));
    }
    if let Some(since) = since {
        terminal.data(&format!("it goes on from all {} trusted checkpoints, the largest over {since} entries", trusted.len()));
    }
    for (size, by) in cosigned {
        let at = i64::try_from(by.seconds).ok().and_then(|seconds| crate::model::Timestamp::from_second(seconds).ok());
        let at = at.map_or_else(|| format!("{} s after 1970", by.seconds), |at| at.to_string());
        terminal.data(&format!("its first {size} entries are cosigned by {} at {at}", by.witness));
    }
    let covered = cosigned.iter().map(|(size, _)| *size).chain(since).max();
    match covered {
        Some(covered) if covered >= size => {}
        Some(covered) => terminal.data(&format!(
            "the {} entries after that hold, but not against someone with the signing key: no checkpoint over them is known from elsewhere",
            size - covered
        )),
        None => terminal.data("it holds, but not against someone with the signing key: no checkpoint that left the machine was given (--trusted, or --cosigned with --witness-key)"),
    }
}
