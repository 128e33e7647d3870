//! The file: opened, mended, indexed, appended to.

use super::{DeliveryError, Prepared};
use crate::audit::canonical;
use crate::declare::connector::{FieldKind, Operation};
use crate::deliver::record::Planned;
use crate::model::{Delivery, Digest, IdempotencyKey, Value, WriteEffect};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The longest line that is read back: a record of 64 fields with 100,000 characters each.
const MAX_LINE_BYTES: u64 = 32 << 20;

/// How every line begins: the first member of the canonical form.
const BEGINNING: &[u8] = b"{\"effect\":\"";

/// A line to be appended.
#[derive(Debug)]
pub(super) struct Line {
    key: IdempotencyKey,
    effect: WriteEffect,
    record: [u8; 32],
    /// The record after it; `None` where it is gone.
    pub(super) state: Option<Map<String, Json>>,
    text: Vec<u8>,
}

/// A line as it is read back.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    effect: Cow<'a, str>,
    fields: Option<IgnoredAny>,
    #[serde(borrow)]
    idempotency_key: Cow<'a, str>,
    record: Json,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
}

/// Where a record's newest line stands.
#[derive(Clone, Copy, Debug)]
struct Slot {
    offset: u64,
    length: u32,
}

#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// `None`: read only, or nothing there yet.
    file: Option<File>,
    length: u64,
    torn: Option<u64>,
    effects: HashMap<Digest, WriteEffect>,
    records: HashMap<[u8; 32], Slot>,
    id: Option<(u64, u64)>,
}

/// SHA-256 over type and key: records of operations that share a type are the same records.
pub(super) fn record_id(prepared: &Prepared<'_>) -> [u8; 32] {
    id_of(&prepared.operation.table, &key(prepared))
}

fn id_of(kind: &str, key: &Json) -> [u8; 32] {
    Sha256::digest(canonical::to_vec(&json!([kind, key]))).into()
}

fn key(prepared: &Prepared<'_>) -> Json {
    Json::Array(prepared.key().into_iter().map(Value::to_json).collect())
}

/// JSON carries whole numbers exactly up to 2^53 − 1 only.
pub(super) fn representable(prepared: &Prepared<'_>) -> Result<(), DeliveryError> {
    let limit = canonical::MAX_SAFE_INTEGER;
    for (field, value) in prepared.operation.fields.iter().zip(&prepared.values) {
        if let Some(Value::Integer(number)) = value
            && number.unsigned_abs() > limit
        {
            return Err(DeliveryError::refused("KITH-D005", format!("`{}` is beyond {limit}: JSON can't carry it exactly", field.name)));
        }
    }
    Ok(())
}

/// A record's fields as values, aligned with the operation's.
pub(super) fn values(operation: &Operation, state: &Map<String, Json>) -> Vec<Value> {
    let value = |kind: FieldKind, json: &Json| match (kind, Value::from_json(json)) {
        (FieldKind::Time, Value::Text(text)) => text.parse().map_or_else(|_source| Value::Text(text.clone()), Value::Time),
        #[expect(clippy::cast_precision_loss, reason = "canonical JSON writes a whole double without a point")]
        (FieldKind::Number, Value::Integer(number)) => Value::Number(number as f64),
        (_, value) => value,
    };
    operation.fields.iter().map(|field| state.get(&*field.name).map_or(Value::Missing, |json| value(field.kind, json))).collect()
}

impl Line {
    pub(super) fn new(
        delivery: &Delivery,
        prepared: &Prepared<'_>,
        record: [u8; 32],
        planned: &Planned,
        standing: Option<Map<String, Json>>,
    ) -> Self {
        let gone = delivery.intent.is_withdrawal() && (planned.effect == WriteEffect::Removed || standing.is_none());
        let state = (!gone).then(|| {
            let mut state = standing.unwrap_or_default();
            for change in &planned.changes {
                state.insert(change.field.to_string(), change.after.reveal().to_json());
            }
            state
        });
        let mut line = json!({
            "effect": planned.effect.name(),
            "idempotency_key": delivery.idempotency.0.to_string(),
            "intent": delivery.intent.name(),
            "operation": &*delivery.operation.0,
            "record": key(prepared),
            "type": &*prepared.operation.table,
        });
        if let (Json::Object(members), Some(state)) = (&mut line, &state) {
            members.insert("fields".to_owned(), Json::Object(state.clone()));
        }
        let mut text = canonical::to_vec(&line);
        text.push(b'\n');
        Self { key: delivery.idempotency, effect: planned.effect, record, state, text }
    }
}

impl Journal {
    /// Reads what is there, for settling and previews; makes and mends nothing.
    pub(super) fn read(path: &Path) -> Result<Self, DeliveryError> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::empty(path)),
            Ok(_) => return Err(DeliveryError::unavailable("KITH-D010", format!("{} is not a file", path.display()))),
            Err(error) => return Err(unavailable(path, &error)),
        }
        let mut journal = Self::empty(path);
        journal.scan(&File::open(path).map_err(|error| unavailable(path, &error))?)?;
        Ok(journal)
    }

    /// Opens the file for appending: makes it, takes its lock, cuts a torn last line off.
    pub(super) fn open(path: &Path) -> Result<Self, DeliveryError> {
        let failed = |error: io::Error| unavailable(path, &error);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(DeliveryError::unavailable("KITH-D010", format!("{} is not a file", path.display())));
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
        if file.try_lock().is_err() {
            return Err(DeliveryError::unavailable("KITH-D001", format!("{} is locked by another program", path.display())));
        }
        let mut journal = Self::empty(path);
        journal.scan(&file)?;
        if journal.torn.take().is_some() {
            file.set_len(journal.length).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        if journal.length == 0 {
            // A new file is there after a power cut only if its folder says so.
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        journal.id = file_id(path);
        journal.file = Some(file);
        Ok(journal)
    }

    fn empty(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, length: 0, torn: None, effects: HashMap::new(), records: HashMap::new(), id: None }
    }

    /// Indexes the lines. A line that is not ours means that the path is wrong: then nothing is touched.
    fn scan(&mut self, file: &File) -> Result<(), DeliveryError> {
        let path = self.path.clone();
        let foreign = || DeliveryError::unavailable("KITH-D010", format!("{} holds a line that this target did not write", path.display()));
        let mut reader = BufReader::with_capacity(1 << 17, file);
        reader.seek(SeekFrom::Start(0)).map_err(|error| unavailable(&path, &error))?;
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let read = (&mut reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes).map_err(|error| unavailable(&path, &error))?;
            if read == 0 {
                return Ok(());
            }
            let length = u64::try_from(read).unwrap_or(u64::MAX);
            let Some(text) = bytes.strip_suffix(b"\n") else {
                let ours = bytes.starts_with(BEGINNING) || BEGINNING.starts_with(&bytes);
                if length >= MAX_LINE_BYTES || !ours {
                    return Err(foreign());
                }
                self.torn = Some(length);
                return Ok(());
            };
            let line: Written<'_> = serde_json::from_slice(text).map_err(|_source| foreign())?;
            let effect = WriteEffect::ALL.into_iter().find(|effect| effect.name() == line.effect).ok_or_else(foreign)?;
            let key = Digest::from_hex(&line.idempotency_key).ok_or_else(foreign)?;
            let slot = line.fields.map(|_| Slot { offset: self.length, length: u32::try_from(read).unwrap_or(u32::MAX) });
            self.remember(key, effect, id_of(&line.r#type, &line.record), slot);
            self.length += length;
        }
    }

    fn remember(&mut self, key: Digest, effect: WriteEffect, record: [u8; 32], slot: Option<Slot>) {
        self.effects.insert(key, effect);
        match slot {
            Some(slot) => drop(self.records.insert(record, slot)),
            None => drop(self.records.remove(&record)),
        }
    }

    /// Bytes of a last line that was not finished.
    pub(super) const fn torn(&self) -> Option<u64> {
        self.torn
    }

    /// The effect of a write that had arrived.
    pub(super) fn effect(&self, key: IdempotencyKey) -> Option<WriteEffect> {
        self.effects.get(&key.0).copied()
    }

    /// The record as its newest line has it; `None` where there is none, or it is gone.
    pub(super) fn state(&mut self, record: &[u8; 32]) -> Result<Option<Map<String, Json>>, DeliveryError> {
        let Some(slot) = self.records.get(record) else { return Ok(None) };
        let failed = |error: io::Error| unavailable(&self.path, &error);
        let mut bytes = vec![0; usize::try_from(slot.length).unwrap_or(0)];
        let mut file = match &self.file {
            Some(file) => file.try_clone().map_err(failed)?,
            None => File::open(&self.path).map_err(failed)?,
        };
        // Appending writes at the end wherever the file stands.
        file.seek(SeekFrom::Start(slot.offset)).and_then(|_| file.read_exact(&mut bytes)).map_err(failed)?;
        let fields = serde_json::from_slice::<Json>(&bytes).ok().and_then(|mut line| line.get_mut("fields").map(Json::take));
        match fields {
            Some(Json::Object(fields)) => Ok(Some(fields)),
            _ => Err(DeliveryError::unavailable("KITH-D010", format!("{} was changed by another program", self.path.display()))),
        }
    }

    /// Whether the path still leads to the file that is open, and nobody else wrote to it.
    pub(super) fn is_in_place(&self) -> bool {
        self.id.is_some() && file_id(&self.path) == self.id && fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == self.length)
    }

    /// Appends lines and makes them durable. On an error that is not `OutcomeUnknown` nothing of them is there.
    pub(super) fn append(&mut self, lines: &[Line]) -> Result<(), DeliveryError> {
        if lines.is_empty() {
            return Ok(());
        }
        let Some(file) = &mut self.file else { return Err(DeliveryError::unavailable("KITH-D001", "the file is open for reading only")) };
        let text: Vec<u8> = lines.iter().flat_map(|line| line.text.iter().copied()).collect();
        if let Err(error) = file.write_all(&text) {
            let problem = unavailable(&self.path, &error);
            let undone = file.set_len(self.length).and_then(|()| file.sync_data());
            return Err(undone
                .map_or_else(|_| DeliveryError::unknown(format!("{} failed in the middle of a line", self.path.display())), |()| problem));
        }
        // After a failed fsync nobody knows what is on the disk: the file is read again, and the deliveries are settled.
        file.sync_data()
            .map_err(|error| DeliveryError::unknown(format!("{} may not have reached the disk: {error}", self.path.display())))?;
        for line in lines {
            let length = u32::try_from(line.text.len()).unwrap_or(u32::MAX);
            let slot = line.state.as_ref().map(|_| Slot { offset: self.length, length });
            self.remember(line.key.0, line.effect, line.record, slot);
            self.length += u64::from(length);
        }
        Ok(())
    }
}

#[cfg(unix)]
fn file_id(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn file_id(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|_| (0, 0))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of I/O errors are an open list")]
fn unavailable(path: &Path, error: &io::Error) -> DeliveryError {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            DeliveryError::unavailable("KITH-D002", format!("the disk that holds {path} is full"))
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            DeliveryError::unavailable("KITH-D002", format!("{path} can't be written: it is read-only or not ours"))
        }
        _ => DeliveryError::unavailable("KITH-D001", format!("{path} can't be used: {error}")),
    }
}
