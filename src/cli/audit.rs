//! `kith audit`: the log as a reviewer reads, checks, proves, witnesses and hands it on.

mod deletions;
mod export;
mod hits;
mod html;
mod prove;
mod recompute;
mod report;
mod rotate;
mod search;
mod timeline;
mod verify;
mod witness;

use super::argument::wrong;
use super::{Exit, Session};
use crate::audit::{CosignerKey, Entry, SubjectHash, VerifierKey};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::{IdentityId, Network};
use crate::pipeline::Parts;
use crate::store::sqlite::SqliteReader;
use std::io;
use std::path::Path;

const NO_ENTRY: Code = Code("KITH-A020");
const NO_VERIFIER: Code = Code("KITH-A021");
const SEALED: Code = Code("KITH-A022");
const NOT_WRITTEN: Code = Code("KITH-A028");

/// Leaves read from the store at once.
const PAGE: usize = 2_000;

/// Commands about the audit log.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Check every tile, checkpoint and entry, and the store's rows against them; exit 3 and the first bad place where the log does not hold
    Verify(verify::Arguments),
    /// List entries that fit all the given filters
    Search(search::SearchArguments),
    /// One entry; with --reveal its personal values, which the log then says
    Show(search::ShowArguments),
    /// A file that proves entries, or everything about a CRM row, to somebody who has only the log's public key
    Prove(prove::ProveArguments),
    /// Check such a file: no store, no configuration, no network; exit 3 where it does not hold
    VerifyProof(prove::VerifyProofArguments),
    /// Cosign a log's checkpoints as a second party, after checking that each goes on from the last; exit 3 and both kept where it does not
    Witness(witness::Arguments),
    /// Take decisions again from the evidence in their entries; exit 3 where one does not come out the same to the bit
    Recompute(recompute::Arguments),
    /// Everything that the log tells about one customer or account, with each rule as it read that day
    Timeline(timeline::Arguments),
    /// A period in counts: decisions by outcome and rule, reviews, refusals, writes, what people did
    Report(report::Arguments),
    /// Deletions and edits on networks that want them within a time: which came late to the CRM, and which still wait; from the log alone
    Deletions(deletions::Arguments),
    /// Entries as CSV, NDJSON, syslog, OCSF or CEF, into a file or to a syslog server, going on where the last call stopped
    Export(export::Arguments),
    /// Give the log a new signing key, recorded in the log and signed by the old one
    RotateKey(rotate::Arguments),
}

pub(super) fn run(command: &Command, session: &mut Session) -> Exit {
    let done = match command {
        Command::Verify(arguments) => verify::run(arguments, session),
        Command::Search(arguments) => search::search(arguments, session),
        Command::Show(arguments) => search::show(arguments, session),
        Command::Prove(arguments) => prove::prove(arguments, session),
        Command::VerifyProof(arguments) => prove::verify_proof(arguments, session),
        Command::Witness(arguments) => witness::run(arguments, session),
        Command::Recompute(arguments) => recompute::run(arguments, session),
        Command::Timeline(arguments) => timeline::run(arguments, session),
        Command::Report(arguments) => report::run(arguments, session),
        Command::Deletions(arguments) => deletions::run(arguments, session),
        Command::Export(arguments) => export::run(arguments, session),
        Command::RotateKey(arguments) => rotate::run(arguments, session),
    };
    done.unwrap_or_else(|exit| exit)
}

/// A log's public key: the file that holds its line, or the line itself.
pub(super) fn verifier(given: &Path, session: &mut Session) -> Result<VerifierKey, Exit> {
    key_line(given, session, |line| VerifierKey::parse(line).map_err(|e| e.to_string()))
}

/// A witness's public key: the file that holds its line, or the line itself.
fn cosigners(given: &[std::path::PathBuf], session: &mut Session) -> Result<Vec<CosignerKey>, Exit> {
    given.iter().map(|path| key_line(path, session, |line| CosignerKey::parse(line).map_err(|e| e.to_string()))).collect()
}

fn key_line<T>(given: &Path, session: &mut Session, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, Exit> {
    let line = given.to_string_lossy();
    if let Ok(key) = parse(&line) {
        return Ok(key);
    }
    let read = super::read_bytes(given).map_err(|problem| {
        session.terminal.problem(&Diagnostic { code: NO_VERIFIER, ..problem });
        Exit::Wrong
    })?;
    parse(String::from_utf8_lossy(&read).trim_end()).map_err(|message| {
        let remedy = "give the file that the key's owner handed you: `log.pub` of a log, `witness.pub` of a witness";
        let message = format!("this is no such public key: {message}");
        session.terminal.problem(&Diagnostic::error(NO_VERIFIER, Place::Path(given.display().to_string()), message, remedy));
        Exit::Wrong
    })
}

/// Writes a page into a file.
fn output(path: &Path, text: &str, session: &mut Session) -> Result<Exit, Exit> {
    std::fs::write(path, text).map_err(|error| {
        let place = Place::Path(path.display().to_string());
        let remedy = "give another file, or the right to write there";
        session.terminal.problem(&Diagnostic::error(NOT_WRITTEN, place, format!("the page can't be written: {error}"), remedy));
        Exit::Failed
    })?;
    session.terminal.note(&format!("written into {}", path.display()));
    Ok(Exit::Fine)
}

/// What stands for an identity that was given as NETWORK ID.
fn identity_hash(given: Option<&[String]>, parts: &Parts, session: &mut Session) -> Result<Option<SubjectHash>, Exit> {
    let Some([network, id]) = given else { return Ok(None) };
    let network: Network = network.parse().map_err(|e: crate::model::UnknownNetwork| {
        wrong(session, "--identity", e.to_string(), "give NETWORK and ID as `link list` writes them")
    })?;
    Ok(Some(parts.keys.hash.identity(&IdentityId { network, id: id.as_str().into() })))
}

/// The store's leaves in order, page by page.
struct Leaves<'a> {
    reader: &'a SqliteReader,
    next: u64,
    page: std::vec::IntoIter<Vec<u8>>,
}

impl<'a> Leaves<'a> {
    fn new(reader: &'a SqliteReader) -> Self {
        Self::from(reader, 0)
    }

    /// From this entry on.
    fn from(reader: &'a SqliteReader, next: u64) -> Self {
        Self { reader, next, page: Vec::new().into_iter() }
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
