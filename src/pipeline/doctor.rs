//! `kith doctor --store`: the state folder's database and log, examined together and mended in the order that keeps the log true.
//!
//! The log is compared before anything is repaired: where it and the rows differ, nothing is added to either.

use super::{Parts, RunError, WhoAsks};
use crate::audit::{Actor, Entry, Event};
use crate::model::Timestamp;
use crate::store::StoreError;
use crate::store::log::{self, TileLog, VerifyError, verify};
use crate::store::sqlite::doctor::{Finding, Limits, LogSide, Repair, SEQUENCE, StoreDoctor, TellRepair};
use std::io;
use std::path::Path;

/// Entries read at once: at the usual 1 KiB, 4 MiB.
const PAGE: usize = 4_096;

/// What was found, and how it ended.
#[derive(Debug)]
pub struct Findings {
    /// In the order of the checks.
    pub found: Vec<Finding>,
    /// Entries in the log, repairs included.
    pub log_entries: u64,
    /// Whether the rows could be looked at: without a whole file and a whole log they are not.
    pub complete: bool,
}

impl Findings {
    /// Whether something stays wrong.
    pub fn any_impossible(&self) -> bool {
        self.found.iter().any(|finding| matches!(finding.repair, Repair::Impossible(_)))
    }
}

/// Examines a state folder that nobody else writes, and mends what can be mended unless this is a dry run.
///
/// # Errors
/// [`StoreError::Locked`] where a service runs; what opening and writing say.
pub fn examine_store(parts: &Parts, who: &WhoAsks, limits: Limits, dry_run: bool, now: Timestamp) -> Result<Findings, RunError> {
    let state = &parts.config.service.state;
    let root = state.join("log");
    let keys = (parts.keys.master.clone(), parts.keys.hash.clone());
    let mut doctor = StoreDoctor::open(state, keys, limits, dry_run, now)?;
    let tell = |check: &str, count: u64, what: &str| {
        let mut entry = Entry::new(now, Event::StoreRepaired { check: check.into(), count, what: what.into() });
        entry.actor = Actor::person(who.user.clone(), who.role);
        entry.encode().map(|encoded| encoded.bytes).map_err(|error| StoreError::Refused(error.to_string()))
    };
    let mut complete = true;
    let covered = match log::checkpoint(&root, &parts.keys.log) {
        Ok(checkpoint) => checkpoint.map(|checkpoint| checkpoint.size),
        Err(error) => {
            doctor.log_differs(error.to_string());
            complete = false;
            None
        }
    };
    let side = LogSide { size: covered, bundle: &|index| log::bundle(&root, covered.unwrap_or_default(), index) };
    complete = complete && doctor.examine_foundation(&side, &tell)? && same_entries(&mut doctor, parts, &root, covered)?;
    if complete {
        lagging(&mut doctor, &tell, covered.unwrap_or_default())?;
        doctor.examine_rows(&tell)?;
    }
    let mut log_entries = covered.unwrap_or_default();
    if complete && !dry_run {
        let mut log = TileLog::open_after(&root, parts.keys.log.clone(), &parts.keys.former)?;
        loop {
            log_entries = log.size()?;
            let leaves = doctor.leaves(log_entries, PAGE)?;
            if leaves.is_empty() {
                break;
            }
            log.integrate(log_entries, &leaves)?;
        }
    }
    Ok(Findings { found: doctor.into_findings(), log_entries, complete })
}

/// Reads the whole log and compares it with the rows.
fn same_entries(doctor: &mut StoreDoctor, parts: &Parts, root: &Path, covered: Option<u64>) -> Result<bool, RunError> {
    if covered.is_none() {
        return Ok(true);
    }
    let mut rows = Rows { doctor, next: 0, page: Vec::new().into_iter() };
    let result = verify(root, &parts.keys.log.verifier(), &[], Some(&mut rows));
    match result {
        Ok(_) => Ok(true),
        Err(VerifyError::Bad(bad)) => {
            doctor.log_differs(format!("the log does not hold: {bad}"));
            Ok(false)
        }
        Err(VerifyError::Rows(error)) => Err(StoreError::Database(error.to_string()).into()),
    }
}

/// Rows beyond the checkpoint: what a crash leaves, or a folder that was lost.
fn lagging(doctor: &mut StoreDoctor, tell: TellRepair<'_>, covered: u64) -> Result<(), StoreError> {
    let sequenced = doctor.sequenced();
    let what = format!("the log holds {covered} of {sequenced} entries that are sequenced");
    doctor.follow(("log", SEQUENCE), (what, sequenced.saturating_sub(covered)), "the log's files are written from the rows", tell)
}

struct Rows<'a> {
    doctor: &'a StoreDoctor,
    next: u64,
    page: std::vec::IntoIter<Vec<u8>>,
}

impl Iterator for Rows<'_> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            match self.doctor.leaves(self.next, PAGE) {
                Ok(page) => self.page = page.into_iter(),
                Err(error) => return Some(Err(io::Error::other(error))),
            }
        }
        let bytes = self.page.next()?;
        self.next += 1;
        Some(Ok(bytes))
    }
}
