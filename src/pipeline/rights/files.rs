//! Lines of erased people are taken out of the files of drop folders: those that were read, and those that wait. What is left of a file takes its
//! place in one step; a crash leaves the old one or the new one.

use super::Acting;
use crate::audit::{HashKey, SubjectHash};
use crate::declare::config::{RowFormat, SourceKind, SourceSpec};
use crate::declare::manifest::Projection;
use crate::diagnose::{Code, Diagnostic, Place};
use crate::normalize::activity_streams::Reader;
use crate::pipeline::intake::QUIET_FOR;
use crate::pipeline::{Fault, RunError};
use crate::source::rows::CsvRows;
use crate::source::{Access, Source};
use crate::store::{RemovalId, Rights, Store, names_anyone};
use crate::wire::input::Hashed;
use crate::wire::table_rows::ParquetRows;
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
    /// How a row becomes an activity, where the files hold records.
    rows: Option<(RowFormat, Arc<Projection>)>,
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
            let SourceKind::Folder { inbox, done, .. } = &spec.kind else { continue };
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
                let (sweep, may_go) = (sweep.clone(), path.starts_with(done));
                let (found, whole) = tokio::task::spawn_blocking(move || sweep.take_out(&path, may_go)).await.map_err(RunError::Task)??;
                complete &= whole;
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
        let network = spec.network.or(spec.kind.loaded_records().and_then(|records| records.network));
        let rows = match &spec.kind {
            SourceKind::Folder { rows: Some(rows), .. } => rows.projection().map(|projection| (rows.format, projection.clone())),
            SourceKind::Folder { rows: None, .. }
            | SourceKind::File { .. }
            | SourceKind::Network(_)
            | SourceKind::Webhook(_)
            | SourceKind::Singer(_) => None,
        };
        Sweep { reader: Reader::new(&self.parts.rulebook.identities, network), rows, hashes: self.parts.keys.hash.clone(), persons }
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
        match &self.rows {
            None => self.about_activity(line),
            Some(_) => match serde_json::from_slice(line) {
                Ok(record) => self.about_record(&record),
                Err(_no_record) => self.about_activity(line),
            },
        }
    }

    /// Whom a record is about. One that is not taken, or makes no activity, may name somebody all the same.
    fn about_record(&self, record: &serde_json::Value) -> Result<Option<SubjectHash>, ()> {
        let Some((_, projection)) = &self.rows else { return Ok(None) };
        match self.about_activity(&projection.line_of_any(record)) {
            Ok(None) if names_anyone(record.to_string().as_bytes(), &self.hashes, &self.persons) => Err(()),
            about => about,
        }
    }

    fn about_activity(&self, line: &[u8]) -> Result<Option<SubjectHash>, ()> {
        match self.reader.parse(line) {
            Ok(activity) => Ok(Some(self.hashes.identity(&activity.actor.id)).filter(|person| self.persons.contains(person))),
            Err(_no_activity) if names_anyone(line, &self.hashes, &self.persons) => Err(()),
            Err(_no_activity) => Ok(None),
        }
    }

    /// Takes the lines of these people out of a file; what there was, and whether nothing of it is left. A Parquet file can't be written
    /// without some of its rows: it goes as a whole where it `may_go`, since all of it was read.
    fn take_out(&self, path: &Path, may_go: bool) -> Result<(Found, bool), RunError> {
        let found = self.lines(path, &mut |_kept| Ok(()))?;
        if !found.any() {
            return Ok((found, true));
        }
        if matches!(self.rows, Some((RowFormat::Parquet, _))) {
            if may_go {
                fs::remove_file(path).map_err(|error| failed(path, &error))?;
                tracing::info!("a Parquet file that was read held rows of an erased person, and was removed as a whole");
            }
            return Ok(if may_go { (found, true) } else { (Found::default(), false) });
        }
        let half = half_of(path);
        let written = self.rewrite(path, &half);
        if written.is_err() {
            // What is half-written holds lines of others; the first error is the one to tell.
            drop(fs::remove_file(&half));
        }
        written?;
        Ok((found, true))
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
        match &self.rows {
            Some((RowFormat::Csv { delimiter }, _)) => return self.csv_rows(path, *delimiter, keep),
            Some((RowFormat::Parquet, _)) => return self.parquet_rows(path),
            Some((RowFormat::Ndjson, _)) | None => {}
        }
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

impl Sweep {
    /// As `lines`, of a CSV: the first row is handed on, and each of others as it stands.
    fn csv_rows(&self, path: &Path, delimiter: u8, keep: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<Found, RunError> {
        let said = |error: io::Error| failed(path, &error);
        let unreadable = |error: crate::wire::input::InputError| failed(path, &io::Error::other(error.to_string()));
        let mut found = Found::default();
        let content = Hashed::open(path, None).and_then(|hashed| hashed.content(0)).map_err(unreadable)?;
        let rows = CsvRows::open(content, delimiter).map_err(unreadable)?;
        let rows = rows.map_err(|fault| said(io::Error::other(fault.to_string())))?;
        let Some(mut rows) = rows else { return Ok(found) };
        keep(rows.header()).map_err(said)?;
        while let Some(row) = rows.next_row().map_err(unreadable)? {
            if row.length != u64::try_from(row.raw.reveal().len()).unwrap_or(u64::MAX) {
                return Err(said(io::Error::other("a row of more than 1 MiB")));
            }
            let about = match row.record {
                Ok(record) => self.about_record(&record),
                // Its cells stand between other marks than JSON's: each is looked at as a text of its own.
                Err(_no_record) => self.about_cells(row.raw.reveal(), delimiter),
            };
            match about {
                Ok(None) => keep(row.raw.reveal()).map_err(said)?,
                Ok(Some(person)) => *found.by_person.entry(person).or_default() += 1,
                Err(()) => found.unclear += 1,
            }
        }
        Ok(found)
    }

    fn about_cells(&self, row: &[u8], delimiter: u8) -> Result<Option<SubjectHash>, ()> {
        let cells = row.split(|byte| *byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r'));
        let quoted: Vec<serde_json::Value> = cells.map(|cell| String::from_utf8_lossy(cell).trim().into()).collect();
        self.about_activity(serde_json::Value::from(quoted).to_string().as_bytes())
    }

    /// As `lines`, of a Parquet file, whose rows are never handed on.
    fn parquet_rows(&self, path: &Path) -> Result<Found, RunError> {
        let said = |what: String| failed(path, &io::Error::other(what));
        let file = crate::wire::input::open(path).map_err(|error| said(error.to_string()))?;
        let mut rows = ParquetRows::open(file).map_err(|error| said(error.to_string()))?;
        let mut found = Found::default();
        while let Some(record) = rows.next_row().map_err(|error| said(error.to_string()))? {
            match self.about_record(&record) {
                Ok(None) => {}
                Ok(Some(person)) => *found.by_person.entry(person).or_default() += 1,
                Err(()) => found.unclear += 1,
            }
        }
        Ok(found)
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
