//! Lines of erased people are taken out of the files of drop folders: those that were read, and those that wait. What is left of a file takes its
//! place in one step; a crash leaves the old one or the new one.

use super::Acting;
use crate::audit::{HashKey, SubjectHash};
use crate::declare::config::{SourceKind, SourceSpec};
use crate::diagnose::{Code, Diagnostic, Place};
use crate::normalize::activity_streams::Reader;
use crate::pipeline::intake::QUIET_FOR;
use crate::pipeline::{Fault, RunError};
use crate::source::{Access, Source};
use crate::store::{RemovalId, Rights, Store, names_anyone};
use crate::wire::input::Hashed;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the name of a file that is being rewritten begins.
const HALF: &str = ".sweep-";

const CANT: Code = Code("KITH-R054");
/// A line is held in memory as a whole: beyond this nobody can say whom it names, and the file is told.
const MAX_LINE: usize = 64 << 20;

/// What is sought in one source's files.
struct Sweep {
    reader: Reader,
    hashes: HashKey,
    persons: HashSet<SubjectHash>,
}

/// What a file has of these people.
#[derive(Default)]
struct Found {
    by_person: BTreeMap<SubjectHash, u64>,
    /// Lines that are no activity and name somebody all the same.
    unclear: u64,
}

impl Found {
    fn any(&self) -> bool {
        self.unclear > 0 || !self.by_person.is_empty()
    }
}

impl<S: Store + Rights> Acting<'_, S> {
    /// Looks through the files of drop folders for people whose erasure waits for it. Nobody may read sources meanwhile: a file that is rewritten
    /// takes the place of the old one.
    pub async fn sweep(&self) -> Result<(), RunError> {
        let unswept = self.store.unswept().await?;
        if unswept.is_empty() {
            return Ok(());
        }
        let persons: HashSet<SubjectHash> = unswept.iter().map(|(_, person)| *person).collect();
        let (mut counts, mut complete) = (BTreeMap::<SubjectHash, u64>::new(), true);
        for spec in &self.parts.config.sources {
            let SourceKind::Folder { inbox, done } = &spec.kind else { continue };
            let sweep = Arc::new(self.sought(spec, persons.clone()));
            let found = Source::new(spec.clone(), Access::ReadOnly).look(self.now, QUIET_FOR);
            let found = found.map_err(|error| RunError::Fault(Fault::of(error.diagnostic())))?;
            complete &= found.growing.is_empty();
            let mut files = done_files(done)?;
            for path in found.ready {
                // What was begun is done soon, and looked through then: without the lines it would be read from its start again.
                let begun = self.store.cursor(&spec.name, &Source::cursor_name(&path)).await?.is_some();
                complete &= !begun;
                files.extend((!begun).then_some(path));
            }
            left_half(inbox)?;
            for path in files {
                let sweep = sweep.clone();
                let found = tokio::task::spawn_blocking(move || sweep.take_out(&path)).await.map_err(RunError::Task)??;
                for (person, count) in found.by_person {
                    *counts.entry(person).or_default() += count;
                }
            }
        }
        if complete {
            let swept: Vec<(RemovalId, u64)> =
                unswept.into_iter().map(|(removal, person)| (removal, counts.get(&person).copied().unwrap_or_default())).collect();
            self.store.swept(swept).await?;
        }
        Ok(())
    }

    /// Files that are not Kith's to change and hold lines of people whose erasure is on its way: those of sources of kind `file`.
    pub async fn left_to_owners(&self) -> Result<Vec<String>, RunError> {
        let persons: HashSet<SubjectHash> = self.store.unswept().await?.into_iter().map(|(_, person)| person).collect();
        let mut left = Vec::new();
        for spec in &self.parts.config.sources {
            let SourceKind::File { path } = &spec.kind else { continue };
            if persons.is_empty() || !path.exists() {
                continue;
            }
            let (sweep, path) = (self.sought(spec, persons.clone()), path.clone());
            let name = path.display().to_string();
            let found = tokio::task::spawn_blocking(move || sweep.lines(&path, &mut |_kept| Ok(()))).await.map_err(RunError::Task)??;
            left.extend(found.any().then_some(name));
        }
        Ok(left)
    }

    fn sought(&self, spec: &SourceSpec, persons: HashSet<SubjectHash>) -> Sweep {
        Sweep { reader: Reader::new(&self.parts.rulebook.identities, spec.network), hashes: self.parts.keys.hash.clone(), persons }
    }
}

/// The files of a folder, in name order; none where it is not there.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, RunError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| failed(folder, &error))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(folder, &error))?.path();
        if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// What is left of a file while its new form is written; a drop folder's reader leaves names with a dot in front alone.
fn half_of(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(HALF);
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

/// Takes away what a sweep that died left half-written: it holds lines, too.
fn left_half(folder: &Path) -> Result<(), RunError> {
    for path in files_of(folder)? {
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(HALF.as_bytes())) {
            fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
        }
    }
    Ok(())
}

fn done_files(done: &Path) -> Result<Vec<PathBuf>, RunError> {
    left_half(done)?;
    files_of(done)
}

fn failed(path: &Path, error: &io::Error) -> RunError {
    let remedy =
        "give the service's account the right to change the folder, or take the lines out by hand; then `kith subject removals --finish`";
    let place = Place::Path(path.display().to_string());
    RunError::Fault(Fault::of(Diagnostic::error(CANT, place, format!("lines of erased people can't be taken out: {error}"), remedy)))
}

impl Sweep {
    /// Whom a line is about; `Err` where it names somebody without being an activity.
    fn about(&self, line: &[u8]) -> Result<Option<SubjectHash>, ()> {
        match self.reader.parse(line) {
            Ok(activity) => Ok(Some(self.hashes.identity(&activity.actor.id)).filter(|person| self.persons.contains(person))),
            Err(_no_activity) if names_anyone(line, &self.hashes, &self.persons) => Err(()),
            Err(_no_activity) => Ok(None),
        }
    }

    /// Takes the lines of these people out of a file; what there was.
    fn take_out(&self, path: &Path) -> Result<Found, RunError> {
        let found = self.lines(path, &mut |_kept| Ok(()))?;
        if !found.any() {
            return Ok(found);
        }
        let half = half_of(path);
        let written = self.rewrite(path, &half);
        if written.is_err() {
            // What is half-written holds lines of others; the first error is the one to tell.
            drop(fs::remove_file(&half));
        }
        written?;
        Ok(found)
    }

    fn rewrite(&self, path: &Path, beside: &Path) -> Result<(), RunError> {
        let said = |error: io::Error| failed(path, &error);
        let mut start = [0; 2];
        let is_packed = io::Read::read(&mut File::open(path).map_err(said)?, &mut start).map_err(said)? == 2 && start == [0x1f, 0x8b];
        let mut out = BufWriter::new(File::create(beside).map_err(said)?);
        fs::set_permissions(beside, fs::metadata(path).map_err(said)?.permissions()).map_err(said)?;
        if is_packed {
            let mut packed = GzEncoder::new(&mut out, Compression::default());
            self.lines(path, &mut |line| packed.write_all(line))?;
            packed.finish().map_err(said)?;
        } else {
            self.lines(path, &mut |line| out.write_all(line))?;
        }
        let file = out.into_inner().map_err(|error| said(error.into_error()))?;
        file.sync_all().map_err(said)?;
        fs::rename(beside, path).map_err(said)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()).map_err(said)
    }

    /// Goes through the lines, each with its line end; those of others are handed on.
    fn lines(&self, path: &Path, keep: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<Found, RunError> {
        let said = |error: io::Error| failed(path, &error);
        let unreadable = |error: crate::wire::input::InputError| failed(path, &io::Error::other(error.to_string()));
        let mut content = Hashed::open(path, None).and_then(|hashed| hashed.content(0)).map_err(unreadable)?;
        let mut found = Found::default();
        let mut line = Vec::new();
        loop {
            let more = content.line(&mut line, MAX_LINE).map_err(unreadable)?;
            if line.len() > MAX_LINE {
                return Err(said(io::Error::other("a line of more than 64 MiB")));
            }
            if !more && line.is_empty() {
                return Ok(found);
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            match self.about(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)) {
                Ok(None) => keep(&line).map_err(said)?,
                Ok(Some(person)) => *found.by_person.entry(person).or_default() += 1,
                Err(()) => found.unclear += 1,
            }
            line.clear();
        }
    }
}

/// Files in `done/` that were put there before a moment go. Returns how many.
pub(super) fn end_done_files(spec: &SourceSpec, before: crate::model::Timestamp) -> Result<u64, RunError> {
    use std::os::unix::fs::MetadataExt;
    let SourceKind::Folder { done, .. } = &spec.kind else { return Ok(0) };
    let mut count = 0;
    for path in files_of(done)? {
        let metadata = fs::metadata(&path).map_err(|error| failed(&path, &error))?;
        // The time at which it was renamed into this folder, or changed since.
        if metadata.ctime() < before.as_second() {
            fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
            count += 1;
        }
    }
    Ok(count)
}
