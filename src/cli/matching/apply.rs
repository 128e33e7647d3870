//! `kith match changes --apply`: the work-list is decided again by the mapping in force.

use crate::cli::people::{Talk, strange};
use crate::cli::project::short;
use crate::cli::{Exit, Session};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::Digest;
use crate::pipeline::{AGAIN_AT_ONCE, AgainAsk, Otherwise, PeopleAsk, PeopleTold};
use crate::store::sqlite::releases;
use std::path::Path;

const DRAFT: Code = Code("KITH-R065");

/// Refuses where the file is a draft: what is applied is what is in force.
pub(super) fn in_force(session: &mut Session, state: &Path, hash: &Digest) -> Result<(), Exit> {
    let release = releases::in_force(state).map_err(|error| {
        session.terminal.problem(&error.diagnostic());
        Exit::Failed
    })?;
    match release {
        Some((release, _)) if release.hash == *hash => Ok(()),
        _ => {
            let message = format!("the mapping {} is not in force, and only what is in force decides", short(hash));
            let place = Place::Named("argument --apply".into());
            session.terminal.problem(&Diagnostic::error(DRAFT, place, message, "`kith mapping release` puts it in force"));
            Err(Exit::Wrong)
        }
    }
}

/// Has everybody on the list decided again; how many.
pub(super) fn apply(session: &mut Session, hash: &Digest, list: &[Otherwise], links: u64) -> Result<u64, Exit> {
    let relinked: Vec<&Otherwise> = list.iter().filter(|one| one.relinked.is_some()).collect();
    let examples: Vec<String> = relinked.iter().take(5).filter_map(|one| Some(one.relinked.as_ref()?.as_str().to_owned())).collect();
    let mut talk = Talk::new(session)?;
    let mut marked = 0;
    let chunks = list.chunks(AGAIN_AT_ONCE);
    let count = chunks.len();
    for (at, chunk) in chunks.enumerate() {
        let accounts = chunk.iter().map(|one| (one.identity.network.name().to_owned(), one.identity.id.to_string()));
        let ask = AgainAsk {
            mapping: hash.to_string(),
            accounts: accounts.collect(),
            relinked: relinked.len() as u64,
            links,
            examples: examples.clone(),
            last: at + 1 == count,
        };
        let told = talk.ask(session, &PeopleAsk::Again { list: ask })?;
        let PeopleTold::Words { words } = told else { return Err(strange(session)) };
        for word in words {
            if let Some(code) = word.code {
                talk.end(session)?;
                session.terminal.data(&format!("{code} {}", word.told));
                return Err(Exit::Failed);
            }
            marked += word.told.parse::<u64>().unwrap_or_default();
        }
    }
    talk.end(session)?;
    Ok(marked)
}
