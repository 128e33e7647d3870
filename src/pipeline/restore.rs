//! A state folder put back from a backup. Everything is made ready in a folder beside it, and takes its place in one step: a crash leaves the old one or
//! the new one.
//!
//! What the history that is lost did can't be known, so nothing of it is rewound silently: whom it erased stays erased (the ledger outside of the machine
//! says who), what it may have sent is `unknown` and settled with the target, what it may have spent of limits counts as spent, what it read from drop
//! folders is put back to be read again, and the log says, signed, which of its entries are no more.

use super::crew::endpoint_name;
use super::leaves::WhoAsks;
use super::{Clock, Fault, Parts, RunError, Service, Unseen};
use crate::audit::{Checkpoint, Entry, Epoch, Note, VerifierKey};
use crate::deliver::burst_spent;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::model::{Digest, Timestamp};
use crate::source::{Access, FileCursor, Source};
use crate::store::backup::{self, Identities, Manifest};
use crate::store::erasures::{self, Ledger, LedgerError};
use crate::store::lock::FolderLock;
use crate::store::log::{CHECKPOINT_FILE, begin_epoch, bundle, cosigned_notes, durable_names, newest_checkpoint};
use crate::store::ring::RequestId;
use crate::store::sqlite::{DATABASE_FILE, Forgotten, RestoredStep};
use crate::store::{Spent, Store, StoreError, TellOf};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const IN_THE_WAY: Code = Code("KITH-B005");
const LEDGER: Code = Code("KITH-B006");
const OTHER_KEYS: Code = Code("KITH-B009");

/// What is asked for.
#[derive(Debug)]
pub struct RestoreAsked {
    /// The backup.
    pub file: PathBuf,
    /// Secret keys that open it.
    pub identities: Identities,
    /// Files or folders with ledgers of erasures, beside the configured one.
    pub erasures: Vec<PathBuf>,
    /// Go on where no ledger is there.
    pub without_erasures: bool,
    /// Put the state folder that is there aside.
    pub replace: bool,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RestoreReport {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// SHA-256 of it.
    pub digest: Digest,
    /// The newest checkpoint of the history before that is known, where it covers more than the backup: size and root.
    pub lost: Option<(u64, Digest)>,
    /// People in the ledger.
    pub in_ledger: u64,
    /// Those of them whom the backup did not know as erased.
    pub forgotten: u64,
    /// Removals that had not reached their end: what was written about these people since the backup may stand in the CRM. Keyed hashes.
    pub unfinished: Vec<String>,
    /// Deliveries whose outcome is asked of the targets.
    pub unknown: u64,
    /// Files of drop folders that are read again.
    pub put_back: Vec<PathBuf>,
    /// Where the state folder is now that was there.
    pub aside: Option<PathBuf>,
}

fn fault(code: Code, path: &Path, message: impl Into<String>, remedy: &str) -> RunError {
    RunError::Fault(Fault::of(Diagnostic::error(code, Place::Path(path.display().to_string()), message, remedy)))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> RunError + '_ {
    move |error| RunError::Store(StoreError::from_io(&error, path))
}

/// Puts a backup in the place of the configured state folder.
///
/// # Errors
/// Whatever stands in the way; then the state folder is as it was. Files of drop folders may have been put back to be read again, which repeats at most.
pub async fn restore(parts: &Parts, who: &WhoAsks, clock: &Arc<dyn Clock>, asked: RestoreAsked) -> Result<RestoreReport, RunError> {
    let beside = beside(&parts.config.service.state, "restoring");
    let done = Box::pin(put_in_place(parts, who, clock, asked, &beside)).await;
    if done.is_err() {
        // It holds personal data, and serves nobody; the first error is the one to tell.
        drop(fs::remove_dir_all(&beside));
    }
    done
}

async fn put_in_place(
    parts: &Parts,
    who: &WhoAsks,
    clock: &Arc<dyn Clock>,
    asked: RestoreAsked,
    beside: &Path,
) -> Result<RestoreReport, RunError> {
    let state = parts.config.service.state.clone();
    let now = clock.now();
    if state.join(DATABASE_FILE).exists() && !asked.replace {
        let remedy = "stop the service and give --replace: the folder is put aside, and nothing in it is changed";
        return Err(fault(IN_THE_WAY, &state, "there is a state already", remedy));
    }
    // Nobody writes it meanwhile. A folder that is not there has nothing to lock.
    let standing = if state.exists() { Some(FolderLock::take(&state)?) } else { None };
    let keys: Vec<VerifierKey> = std::iter::once(parts.keys.log.verifier()).chain(parts.keys.former.iter().cloned()).collect();
    forget(fs::remove_dir_all(beside), beside)?;
    let (file, into, all) = (asked.file.clone(), beside.to_owned(), keys.clone());
    let identities = asked.identities;
    let opened = tokio::task::spawn_blocking(move || backup::open(&file, &identities, &all, &into)).await.map_err(RunError::Task)??;
    if opened.manifest.master != parts.keys.master.id() {
        let message =
            format!("the backup needs the master key {}, and {} is in force here", opened.manifest.master, parts.keys.master.id());
        return Err(fault(
            OTHER_KEYS,
            &asked.file,
            message,
            "put the keys of the time of the backup back first: `kith keys recover` from the escrow of then",
        ));
    }
    // It was held against the entries; the tiles that it covers are made anew from them.
    let checkpoint = beside.join("log").join(CHECKPOINT_FILE);
    forget(fs::remove_file(&checkpoint), &checkpoint)?;
    let places = Places { asked: &asked.erasures, without: asked.without_erasures };
    let (ledger, newest) = known(parts, &keys, &places, standing.is_some())?;
    let lost = newest.filter(|(size, _)| *size > opened.manifest.entries);
    if parts.config.keys.master.is_none() {
        copy_keys(&state.join("keys"), &beside.join("keys"))?;
    }

    let mut ready = parts.clone();
    beside.clone_into(&mut ready.config.service.state);
    let service = Service::open(ready, who.clone(), clock.clone(), Arc::new(Unseen))?;
    let forgotten: Vec<Forgotten> = ledger
        .people
        .iter()
        .map(|(person, gone)| Forgotten { person: *person, is_customer: gone.is_customer, reason: gone.reason })
        .collect();
    let unfinished = ledger.people.iter().filter(|(_, gone)| !gone.done && gone.reason == crate::store::RemovalReason::Erasure);
    let unfinished = unfinished.map(|(person, _)| person.to_string()).collect();
    let leaf = service.scribe.restored(opened.digest, opened.manifest.entries, now)?;
    let (scribe, people) = (service.scribe.clone(), forgotten.clone());
    let tell = TellOf(Arc::new(move |at: &usize| {
        let Some(gone) = people.get(*at) else { return Ok(Vec::new()) };
        scribe.forgotten_again(gone, now).map(|leaf| vec![leaf]).map_err(|error| StoreError::Refused(error.to_string()))
    }));
    let request = RequestId(opened.digest.0.first_chunk::<16>().copied().unwrap_or_default());
    let step = RestoredStep { at: now, request, forgotten, spent: spent(parts, now), leaf, tell };
    let restored = service.store.restored(step).await?;
    let epoch = Epoch {
        origin: opened.manifest.origin.clone(),
        begins: opened.manifest.entries,
        root: opened.root,
        lost,
        backup: opened.digest,
        at: now,
    };
    let log = beside.join("log");
    begin_epoch(&log, &epoch, &parts.keys.log)?;
    keep_cosigned(&log, opened.manifest.entries)?;
    service.integrate().await?;
    let put_back = put_back(parts, &*service.store).await?;
    drop(service);
    let aside = take_place(beside, &state, now)?;
    drop(standing);
    Ok(RestoreReport {
        manifest: opened.manifest,
        digest: opened.digest,
        lost,
        in_ledger: ledger.people.len() as u64,
        forgotten: restored.forgotten,
        unfinished,
        unknown: restored.unknown,
        put_back,
        aside,
    })
}

/// What was removed, or was not there.
fn forget(removed: io::Result<()>, path: &Path) -> Result<(), RunError> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn beside(state: &Path, what: &str) -> PathBuf {
    let name = state.file_name().map_or_else(|| "state".into(), |name| name.to_string_lossy().into_owned());
    state.with_file_name(format!("{name}.{what}"))
}

struct Places<'a> {
    asked: &'a [PathBuf],
    without: bool,
}

/// Whom the history that is lost erased, and the newest checkpoint of it that anybody has.
fn known(
    parts: &Parts,
    keys: &[VerifierKey],
    places: &Places<'_>,
    state_is_there: bool,
) -> Result<(Ledger, Option<(u64, Digest)>), RunError> {
    let origin = &parts.config.audit.origin;
    let mut ledger = Ledger::default();
    let configured = parts.config.backup.erasures_to.iter();
    let mut read = 0;
    for place in configured.chain(places.asked) {
        if !place.exists() {
            if places.without {
                continue;
            }
            let remedy = "mount the share, or give --without-erasures: then everybody who was erased since the backup comes back until it is asked for again";
            return Err(fault(LEDGER, place, "the ledger of erasures is not there", remedy));
        }
        read += erasures::read(place, origin, keys, &mut ledger).map_err(|error| {
            let (LedgerError::Io { path, .. } | LedgerError::Proof { path, .. }) = &error;
            let remedy = "give a copy of the ledger that nobody changed, with --erasures; a reviewer has a look at this one";
            fault(LEDGER, path, error.to_string(), remedy)
        })?;
    }
    let mut newest = ledger.newest;
    let mut seen = |checkpoint: &Checkpoint| {
        if checkpoint.origin == *origin && newest.is_none_or(|(size, _)| size < checkpoint.size) {
            newest = Some((checkpoint.size, checkpoint.root));
        }
    };
    let log = parts.config.service.state.join("log");
    // What is left of the old state knows more than any copy, as far as it can be read.
    if state_is_there && let Ok((checkpoint, ..)) = newest_checkpoint(&log, &parts.keys.log.verifier()) {
        seen(&checkpoint);
        read += 1;
        for entries in (0..checkpoint.size.div_ceil(256)).filter_map(|number| bundle(&log, checkpoint.size, number)) {
            for entry in entries.iter().filter(|entry| erasures::belongs(entry)).filter_map(|entry| Entry::decode(entry).ok()) {
                ledger.take(&entry.event, &entry.subject);
            }
        }
    }
    if read == 0 && !places.without {
        let remedy = "give the ledger with --erasures, or --without-erasures: then everybody who was erased since the backup comes back until it is asked for again";
        return Err(fault(LEDGER, &parts.config.service.state, "no ledger says who was erased since the backup", remedy));
    }
    let opened = |note: &[u8]| keys.iter().find_map(|key| Checkpoint::open(note, key).ok());
    if let Some(folder) = &parts.config.audit.checkpoints_to {
        let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in files.filter(|path| path.extension().is_some_and(|ending| ending == "checkpoints")) {
            let bytes = fs::read(&path).map_err(failed(&path))?;
            Note::split(&bytes).into_iter().filter_map(opened).for_each(|checkpoint| seen(&checkpoint));
        }
    }
    if let Some(folder) = &parts.config.audit.witnesses {
        cosigned_notes(folder)?.iter().filter_map(|(_, note)| opened(note)).for_each(|checkpoint| seen(&checkpoint));
    }
    Ok((ledger, newest))
}

/// The keys' files as they are: the folder that they lie in goes aside.
fn copy_keys(from: &Path, to: &Path) -> Result<(), RunError> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(to).map_err(failed(to))?;
    for entry in fs::read_dir(from).map_err(failed(from))?.flatten().filter(|entry| entry.path().is_file()) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let mode = entry.metadata().map_err(failed(&path))?.permissions().mode() & 0o777;
        let bytes = zeroize::Zeroizing::new(fs::read(&path).map_err(failed(&path))?);
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&target);
        let written = file.and_then(|mut file| {
            io::Write::write_all(&mut file, &bytes)?;
            file.sync_all()
        });
        written.map_err(failed(&target))?;
    }
    Ok(())
}

/// Each quota counts as spent to the end of its burst: with what the lost history sent in its last window no window sees more than allowed.
fn spent(parts: &Parts, now: Timestamp) -> Vec<Spent> {
    let mut all: Vec<Spent> = Vec::new();
    for (spec, file) in &parts.targets {
        let endpoint = endpoint_name(spec);
        let operations = file.operations.iter().map(|operation| (Some(operation.id.clone()), &operation.quotas));
        for (operation, quotas) in [(None, &spec.quotas), (None, &file.rules.quotas)].into_iter().chain(operations) {
            for (window, allowed) in quotas.windows() {
                let window_seconds = u32::try_from(window.as_secs()).unwrap_or(u32::MAX);
                let until = burst_spent(window, allowed, now);
                let same =
                    all.iter_mut().find(|s| s.endpoint == endpoint && s.operation == operation && s.window_seconds == window_seconds);
                match same {
                    Some(spent) => spent.until = spent.until.max(until),
                    None => all.push(Spent { endpoint: endpoint.clone(), operation: operation.clone(), window_seconds, until, at: now }),
                }
            }
        }
    }
    all
}

/// Cosigned checkpoints that the restored log has; of those beyond it the witness says something new.
fn keep_cosigned(log: &Path, entries: u64) -> Result<(), RunError> {
    for (path, note) in cosigned_notes(&log.join(crate::store::log::COSIGNED))? {
        let size = Note::parse(&note).and_then(|note| Checkpoint::parse(note.text)).map_or(u64::MAX, |checkpoint| checkpoint.size);
        if size > entries {
            fs::remove_file(&path).map_err(failed(&path))?;
        }
    }
    Ok(())
}

/// Files of drop folders that the restored state has not read to their end go back to be read: what it has, it counts as repeats.
async fn put_back<S: Store>(parts: &Parts, store: &S) -> Result<Vec<PathBuf>, RunError> {
    let mut back = Vec::new();
    for spec in &parts.config.sources {
        let source = Source::new(spec.clone(), Access::Move);
        for path in source.put_away_files().map_err(|error| RunError::Fault(Fault::of(error.diagnostic())))? {
            let Some(name) = source.read_as(&path) else { continue };
            let cursor = store.cursor(&spec.name, &name).await?.and_then(|bytes| FileCursor::from_bytes(&bytes));
            let read = match cursor.filter(|cursor| cursor.finished) {
                Some(cursor) => backup::digest_of(&path)?.0 == cursor.digest,
                None => false,
            };
            if !read {
                back.push(source.put_back(&path).map_err(|error| RunError::Fault(Fault::of(error.diagnostic())))?);
            }
        }
    }
    Ok(back)
}

/// One step from the old folder to the new one; the old one gets a name that says until when it was in force.
fn take_place(ready: &Path, state: &Path, now: Timestamp) -> Result<Option<PathBuf>, RunError> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let parent = state.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let durable = || fs::File::open(parent).and_then(|folder| folder.sync_all()).map_err(failed(parent));
    // Its files are durable; their names must be before the folder has its place.
    durable_names(ready).map_err(failed(ready))?;
    if !state.exists() {
        fs::rename(ready, state).map_err(failed(state))?;
        durable()?;
        return Ok(None);
    }
    let aside = beside(state, &format!("before-{}", now.strftime("%Y%m%dT%H%M%SZ")));
    match renameat_with(CWD, ready, CWD, state, RenameFlags::EXCHANGE) {
        Ok(()) => fs::rename(ready, &aside).map_err(failed(&aside))?,
        // Some network file systems lack the flag: between the two steps there is no state, which the next start tells, and never half of one.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            fs::rename(state, &aside).map_err(failed(&aside))?;
            fs::rename(ready, state).map_err(failed(state))?;
        }
        Err(error) => return Err(failed(state)(error.into())),
    }
    durable()?;
    Ok(Some(aside))
}
