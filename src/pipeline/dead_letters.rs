//! Dead letters: whether one may be sent again, what an edit makes of it, and the steps that replay and drop them.

use super::asked::{Reached, reach};
use super::control::{Answer, Request};
use super::intake::received;
use super::leaves::{BatchTold, Scribe, WhoAsks};
use super::{Clock, Parts, RunError};
use crate::declare::connector::{FieldKind, Operation, TargetFile};
use crate::deliver::fits;
use crate::diagnose::Code;
use crate::model::{Activity, Delivery, Digest, FieldChange, IdempotencyKey, Payload, Personal, Timestamp, Value, WriteIntent};
use crate::normalize::activity_streams::Reader;
use crate::store::{
    DropStep, EditedDelivery, IntakeBatch, IntakeOutcome, Letter, LetterContent, LetterId, LetterOutcome, LetterPlace, LetterRefusal,
    LetterRow, LetterState, OutboxRow, Placed, ReplayLine, ReplayStep, Store, StoreError, Tell,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Letters of one request: its answer has some 300 bytes for each, and one step of the store changes a few rows for each.
const AT_ONCE: usize = 100;
/// A mended line is at most as long as what is kept of a bad one.
const MAX_EDIT_BYTES: usize = 64 * 1024;

/// There is no such letter.
const UNKNOWN: &str = "KITH-R020";
/// It is not parked.
const NOT_PARKED: &str = "KITH-R021";
/// It would put older data over newer.
const OVERTAKEN: &str = "KITH-R022";
/// What it says is gone.
const GONE: &str = "KITH-R023";
/// The edit can't be made.
const BAD_EDIT: &str = "KITH-R024";
/// It is still no activity.
const STILL_BAD: &str = "KITH-R025";
/// It contradicts what is stored.
const CONTRADICTS: &str = "KITH-R026";
/// Its target or source is not configured.
const NOT_CONFIGURED: &str = "KITH-R027";
/// Somebody else changed it.
const CHANGED: &str = "KITH-R028";

/// What a person changes in a letter before it is replayed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edit {
    /// These fields of a delivery; an empty value empties the field.
    Set(Vec<(String, String)>),
    /// The whole: a delivery's fields as a JSON object, or a line.
    Text(String),
}

impl std::fmt::Debug for Edit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Edit(‹personal›)")
    }
}

/// What became of a letter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LetterAnswer {
    /// `d17`
    pub letter: String,
    /// The code of why it stays as it is; none where it was done.
    pub code: Option<String>,
    /// What happened, or why not, without personal data.
    pub told: String,
}

impl LetterAnswer {
    fn done(id: LetterId, told: impl Into<String>) -> Self {
        Self { letter: id.to_string(), code: None, told: told.into() }
    }

    fn stays(id: LetterId, why: Stays) -> Self {
        Self { letter: id.to_string(), code: Some(why.code.into()), told: why.told }
    }
}

/// Why a letter stays as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Stays {
    code: &'static str,
    told: String,
}

fn stays<T>(code: &'static str, told: impl Into<String>) -> Result<T, Stays> {
    Err(Stays { code, told: told.into() })
}

impl Stays {
    fn unknown() -> Self {
        Self { code: UNKNOWN, told: "there is no such letter".into() }
    }

    fn of(refusal: &LetterRefusal) -> Self {
        match *refusal {
            LetterRefusal::Unknown => Self::unknown(),
            LetterRefusal::NotParked(state) => Self { code: NOT_PARKED, told: format!("it is not parked, it is {}", state.name()) },
            LetterRefusal::Overtaken(newer, state) => Self {
                code: OVERTAKEN,
                told: format!(
                    "a newer delivery about the same record, {}, is {}: this one would put older data over it",
                    LetterId::Delivery(newer),
                    state.name()
                ),
            },
            LetterRefusal::Erased => Self { code: GONE, told: "the person that it is about was erased".into() },
            LetterRefusal::Changed => Self { code: CHANGED, told: "somebody else changed it meanwhile".into() },
        }
    }
}

/// A letter that may go.
enum Ready {
    Delivery { edited: Option<EditedDelivery>, changes: Vec<FieldChange> },
    Line { text: Personal<Vec<u8>>, activity: Box<Activity>, changes: Vec<FieldChange> },
}

/// What a replay would do with a letter, as it stands now.
///
/// # Errors
/// The code and the reason why it would stay as it is.
pub fn readiness(parts: &Parts, letter: &Letter, edit: Option<&Edit>) -> Result<String, (Code, String)> {
    match look(parts, letter, edit) {
        Ok(Ready::Delivery { changes, .. }) => Ok(match changes.as_slice() {
            [] => "would be sent again".into(),
            changes => format!("would be sent again with {} changed", names(changes)),
        }),
        Ok(Ready::Line { .. }) => Ok("is an activity: would be taken in".into()),
        Err(Stays { code, told }) => Err((Code(code), told)),
    }
}

fn names(changes: &[FieldChange]) -> String {
    changes.iter().map(|change| &*change.field).collect::<Vec<_>>().join(", ")
}

fn look(parts: &Parts, letter: &Letter, edit: Option<&Edit>) -> Result<Ready, Stays> {
    if letter.row.state != LetterState::Parked {
        return Err(Stays::of(&LetterRefusal::NotParked(letter.row.state)));
    }
    if let Some((newer, state)) = letter.overtaken_by {
        return Err(Stays::of(&LetterRefusal::Overtaken(newer, state)));
    }
    match (&letter.content, &letter.row.place) {
        (LetterContent::Delivery(row), _) => delivery(parts, row, edit),
        (_, LetterPlace::Line { .. }) => line(parts, letter, edit),
        (_, LetterPlace::Delivery { .. }) => stays(GONE, "what it says can't be read any more: its key was destroyed"),
    }
}

fn delivery(parts: &Parts, row: &OutboxRow, edit: Option<&Edit>) -> Result<Ready, Stays> {
    let delivery = &row.delivery;
    let Some((_, file)) = parts.targets.iter().find(|(spec, _)| spec.name == delivery.target.0) else {
        return stays(NOT_CONFIGURED, format!("no target `{}` is configured", delivery.target.0));
    };
    let unedited = Ready::Delivery { edited: None, changes: Vec::new() };
    let Some(edit) = edit else { return Ok(unedited) };
    if delivery.intent != WriteIntent::Write {
        return stays(BAD_EDIT, format!("it is a `{}`: it holds its record's key alone, and that can't be edited", delivery.intent.name()));
    }
    let Some(operation) = file.operation(&delivery.operation.0) else {
        return stays(NOT_CONFIGURED, format!("the target `{}` has no operation `{}`", delivery.target.0, delivery.operation.0));
    };
    let payload = edited_payload(operation, delivery, edit).map_err(|told| Stays { code: BAD_EDIT, told })?;
    let changes = differences(delivery.payload.reveal(), payload.reveal());
    if changes.is_empty() {
        return Ok(unedited);
    }
    let idempotency = edited_key(delivery.idempotency, &payload);
    let after = Delivery { idempotency, payload: payload.clone(), ..delivery.clone() };
    check(file, &after)?;
    Ok(Ready::Delivery { edited: Some(EditedDelivery { before: delivery.idempotency, idempotency, payload }), changes })
}

/// The target's own checks, before anything is changed.
fn check(file: &TargetFile, delivery: &Delivery) -> Result<(), Stays> {
    fits(file, delivery).or_else(|error| stays(BAD_EDIT, format!("the target would refuse it ({}): {error}", error.code())))
}

fn edited_payload(operation: &Operation, delivery: &Delivery, edit: &Edit) -> Result<Payload, String> {
    let mut payload = delivery.payload.reveal().clone();
    match edit {
        Edit::Set(fields) => {
            for (name, text) in fields {
                let field = field(operation, name)?;
                let value = typed(field.kind, text).ok_or_else(|| format!("`{name}` holds {}", field.kind.name()))?;
                put(&mut payload, &field.name, value);
            }
        }
        Edit::Text(text) => {
            if text.len() > MAX_EDIT_BYTES {
                return Err(format!("the edited fields have {} bytes; {MAX_EDIT_BYTES} are the most", text.len()));
            }
            let json: serde_json::Value = serde_json::from_str(text)
                .map_err(|error| format!("the edited fields are no JSON (line {}, column {})", error.line(), error.column()))?;
            let members =
                json.as_object().ok_or("the edited fields are no JSON object: `show --reveal --format json` prints one as `payload`")?;
            // Key fields may be left out or stand there as they are; the others are what the file says, no more.
            payload.retain(|(name, _)| members.contains_key(&**name) || operation.record_key.contains(name));
            for (name, value) in members {
                let standing = payload.iter().find(|(n, _)| **n == **name).map(|(_, value)| value.to_json());
                if operation.record_key.iter().any(|key| **key == **name) && standing.as_ref() == Some(value) {
                    continue;
                }
                let field = field(operation, name)?;
                let value = of_json(field.kind, value).ok_or_else(|| format!("`{name}` holds {}", field.kind.name()))?;
                put(&mut payload, &field.name, value);
            }
        }
    }
    Ok(Personal::new(payload))
}

fn field<'a>(operation: &'a Operation, name: &str) -> Result<&'a crate::declare::connector::TargetField, String> {
    let known = || operation.fields.iter().map(|field| &*field.name);
    let Some(field) = operation.field(name) else {
        let near = crate::diagnose::nearest(name, known()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return Err(format!("the operation `{}` has no field `{name}`{near}", operation.id.0));
    };
    if operation.record_key.contains(&field.name) {
        return Err(format!("`{name}` is a part of the record's key: another key would be another record"));
    }
    Ok(field)
}

fn put(payload: &mut Vec<(Arc<str>, Value)>, name: &Arc<str>, value: Value) {
    match payload.iter_mut().find(|(n, _)| n == name) {
        Some((_, standing)) => *standing = value,
        None => payload.push((name.clone(), value)),
    }
}

fn typed(kind: FieldKind, text: &str) -> Option<Value> {
    if text.is_empty() {
        return Some(Value::Missing);
    }
    match kind {
        FieldKind::Integer => text.parse().ok().map(Value::Integer),
        FieldKind::Number => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Number),
        FieldKind::Bool => text.parse().ok().map(Value::Bool),
        kind @ (FieldKind::Text
        | FieldKind::Time
        | FieldKind::Decimal
        | FieldKind::Date
        | FieldKind::TimeOfDay
        | FieldKind::Uuid
        | FieldKind::Binary) => kind.fitted(&Value::text(text)),
    }
}

fn of_json(kind: FieldKind, json: &serde_json::Value) -> Option<Value> {
    kind.fitted(&Value::from_json(json))
}

fn differences(before: &[(Arc<str>, Value)], after: &[(Arc<str>, Value)]) -> Vec<FieldChange> {
    let value = |fields: &[(Arc<str>, Value)], name: &Arc<str>| {
        fields.iter().find(|(n, _)| n == name).map_or(Value::Missing, |(_, value)| value.clone())
    };
    let added = after.iter().filter(|(name, _)| !before.iter().any(|(n, _)| n == name));
    let changed = before.iter().chain(added).map(|(name, _)| (name, value(before, name), value(after, name)));
    changed
        .filter(|(_, before, after)| before != after)
        .map(|(name, before, after)| FieldChange { field: name.clone(), before: Personal::new(before), after: Personal::new(after) })
        .collect()
}

/// SHA-256 over the old key and the fields, each part after its length: another write, and the same edit is the same write.
fn edited_key(before: IdempotencyKey, payload: &Payload) -> IdempotencyKey {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(b"kith/v1/edited");
    part(&before.0.0);
    for (name, value) in payload.reveal() {
        part(name.as_bytes());
        part(value.to_json().to_string().as_bytes());
    }
    IdempotencyKey(Digest(hash.finalize().into()))
}

fn line(parts: &Parts, letter: &Letter, edit: Option<&Edit>) -> Result<Ready, Stays> {
    let source = letter.row.source.as_deref().unwrap_or_default();
    let Some(spec) = parts.config.sources.iter().find(|spec| &*spec.name == source) else {
        return stays(NOT_CONFIGURED, format!("no source `{source}` is configured: what it says about its network is not known"));
    };
    let before = match &letter.content {
        LetterContent::Line(raw) => Some(raw.reveal().clone()),
        LetterContent::Activity(activity) => Some(crate::normalize::activity_streams::to_line(activity)),
        LetterContent::Delivery(_) | LetterContent::Gone => None,
    };
    let text = match (edit, &letter.content) {
        (Some(Edit::Set(_)), _) => return stays(BAD_EDIT, "a line has no fields to set: give the whole line with --edit"),
        (Some(Edit::Text(text)), _) if text.len() > MAX_EDIT_BYTES => {
            return stays(BAD_EDIT, format!("the edited line has {} bytes; {MAX_EDIT_BYTES} are the most", text.len()));
        }
        (Some(Edit::Text(text)), _) => text.trim_end_matches(['\n', '\r']).as_bytes().to_vec(),
        (None, LetterContent::Line(raw)) => raw.reveal().clone(),
        (None, LetterContent::Activity(_)) => {
            return stays(CONTRADICTS, format!("{}: {}; edit it, or drop it", letter.row.code, letter.row.message));
        }
        (None, LetterContent::Gone | LetterContent::Delivery(_)) => {
            return stays(GONE, "what it says was not kept, or its key was destroyed");
        }
    };
    let reader = Reader::new(&parts.rulebook.identities, spec.network);
    let activity = reader.parse(&text).or_else(|malformed| {
        let reason = malformed.park_reason();
        stays(STILL_BAD, format!("{}: {}", reason.code, reason.message))
    })?;
    let shown = |bytes: &[u8]| Personal::new(Value::Text(String::from_utf8_lossy(bytes).into()));
    let changes = match (edit, before) {
        (Some(_), before) if before.as_deref() != Some(&text) => {
            vec![FieldChange { field: "line".into(), before: before.map_or_else(Personal::default, |b| shown(&b)), after: shown(&text) }]
        }
        _ => Vec::new(),
    };
    Ok(Ready::Line { text: Personal::new(text), activity: Box::new(activity), changes })
}

/// Replays and drops letters for somebody.
pub(super) struct Letters<'a, S> {
    pub(super) parts: &'a Parts,
    pub(super) store: &'a Arc<S>,
    pub(super) scribe: &'a Arc<Scribe>,
    /// Who asked through the control socket; none where the command itself holds the folder.
    pub(super) asker: Option<WhoAsks>,
    pub(super) now: Timestamp,
}

impl<S: Store> Letters<'_, S> {
    /// Each letter with all that is known of it, or why not.
    async fn read(&self, ids: &[String]) -> Result<Vec<(LetterId, Option<Letter>)>, RunError> {
        let known = |text: &String| text.parse().map_err(|error: crate::store::NoLetterId| StoreError::Refused(error.to_string()));
        let ids: Vec<LetterId> = ids.iter().take(AT_ONCE).map(known).collect::<Result<_, _>>()?;
        let mut letters = self.store.letters(ids.clone()).await?;
        Ok(ids.into_iter().map(|id| (id, letters.iter().position(|l| l.row.id == id).map(|at| letters.swap_remove(at)))).collect())
    }

    /// Replays letters, in this order.
    pub(super) async fn replay(&self, ids: &[String], edit: Option<&Edit>) -> Result<Vec<LetterAnswer>, RunError> {
        let (mut answers, mut steps) = (Vec::new(), Vec::new());
        for (id, letter) in self.read(ids).await? {
            let ready = letter.as_ref().ok_or_else(Stays::unknown).and_then(|letter| look(self.parts, letter, edit));
            answers.push(match (ready, letter) {
                (Err(why), _) => Some(LetterAnswer::stays(id, why)),
                (Ok(_), None) => Some(LetterAnswer::stays(id, Stays::unknown())),
                (Ok(ready), Some(letter)) => {
                    let changed = matches!(&ready, Ready::Delivery { edited: Some(_), .. });
                    steps.push((id, changed, self.step(id, &letter, ready)?));
                    None
                }
            });
        }
        self.scribe.keep_parts(&**self.store).await?;
        let (told, steps): (Vec<_>, Vec<_>) = steps.into_iter().map(|(id, changed, step)| ((id, changed), step)).unzip();
        let outcomes = if steps.is_empty() { Vec::new() } else { self.store.replay(self.now, steps).await? };
        let mut done = told.into_iter().zip(outcomes).map(|((id, changed), outcome)| match outcome {
            LetterOutcome::Done if changed => LetterAnswer::done(id, "planned again, edited"),
            LetterOutcome::Done => LetterAnswer::done(id, "planned again"),
            LetterOutcome::TakenIn(outcome) => LetterAnswer::done(id, taken_in(&outcome)),
            LetterOutcome::Refused(why) => LetterAnswer::stays(id, Stays::of(&why)),
        });
        Ok(answers.into_iter().filter_map(|answer| answer.or_else(|| done.next())).collect())
    }

    fn step(&self, id: LetterId, letter: &Letter, ready: Ready) -> Result<ReplayStep, RunError> {
        let asker = self.asker.as_ref();
        match (ready, id) {
            (Ready::Delivery { edited, changes }, LetterId::Delivery(id)) => {
                let leaf = self.scribe.letter_replayed(letter, &changes, None, asker, self.now)?;
                Ok(ReplayStep::Delivery { id, edited, leaf })
            }
            (Ready::Line { text, activity, changes }, LetterId::Line(id)) => {
                let identity = Some(&activity.actor.id);
                // Of what policy drops at once nothing is kept, here neither.
                let kept = self.parts.rulebook.policy.at_intake(activity.audience).is_none();
                let bare = |change: FieldChange| FieldChange { before: Personal::default(), after: Personal::default(), ..change };
                let changes: Vec<_> = changes.into_iter().map(|change| if kept { change } else { bare(change) }).collect();
                let leaf = self.scribe.letter_replayed(letter, &changes, identity, asker, self.now)?;
                Ok(ReplayStep::Line(Box::new(ReplayLine { id, batch: self.batch(&letter.row, &text, *activity), leaf })))
            }
            (Ready::Delivery { .. } | Ready::Line { .. }, _) => Err(StoreError::Refused("a letter of another kind".into()).into()),
        }
    }

    /// The line as its source would bring it today.
    fn batch(&self, row: &LetterRow, text: &Personal<Vec<u8>>, activity: Activity) -> IntakeBatch {
        let (file, line) = match &row.place {
            LetterPlace::Line { file, line } => (file.clone(), *line),
            LetterPlace::Delivery { .. } => (String::new(), 0),
        };
        let source: Arc<str> = row.source.as_deref().unwrap_or_default().into();
        let digest = Digest(Sha256::digest(text.reveal()).into());
        let told = BatchTold {
            source: source.clone(),
            file: file.as_str().into(),
            digest,
            at: self.now,
            activities: vec![self.scribe.activity(line, &activity)],
            lines: Vec::new(),
        };
        let scribe = self.scribe.clone();
        let tell = Tell(Arc::new(move |outcome| scribe.intake(&told, outcome).map_err(|error| StoreError::Refused(error.to_string()))));
        IntakeBatch {
            source,
            file,
            file_digest: digest,
            at: self.now,
            activities: vec![received(line, activity, &self.parts.rulebook)],
            parked: Vec::new(),
            cursor: Vec::new(),
            tell,
        }
    }

    /// Gives letters up.
    pub(super) async fn give_up(&self, ids: &[String], reason: &str) -> Result<Vec<LetterAnswer>, RunError> {
        let (mut answers, mut steps) = (Vec::new(), Vec::new());
        for (id, letter) in self.read(ids).await? {
            answers.push(match letter {
                None => Some(LetterAnswer::stays(id, Stays::unknown())),
                Some(letter) => {
                    let leaf = self.scribe.letter_dropped(&letter, reason, self.asker.as_ref(), self.now)?;
                    steps.push(DropStep { id, leaf });
                    None
                }
            });
        }
        self.scribe.keep_parts(&**self.store).await?;
        let told: Vec<LetterId> = steps.iter().map(|step| step.id).collect();
        let outcomes = if steps.is_empty() { Vec::new() } else { self.store.drop_letters(self.now, steps).await? };
        let mut done = told.into_iter().zip(outcomes).map(|(id, outcome)| match outcome {
            LetterOutcome::Done | LetterOutcome::TakenIn(_) => LetterAnswer::done(id, "dropped"),
            LetterOutcome::Refused(why) => LetterAnswer::stays(id, Stays::of(&why)),
        });
        Ok(answers.into_iter().filter_map(|answer| answer.or_else(|| done.next())).collect())
    }
}

fn taken_in(outcome: &IntakeOutcome) -> String {
    match outcome.activities.as_slice() {
        [Placed::Repeat, ..] => "taken in: it had been received before, nothing more happens".into(),
        [Placed::Dropped(rule), ..] => format!("taken in, and dropped at once: {}", rule.name()),
        [Placed::Parked(code), ..] => format!("taken in, and parked again as a new letter ({code}): it contradicts what is stored"),
        [Placed::Waiting, ..] | [] => "taken in".into(),
    }
}

/// Where letters are changed: kept between pages, so that the folder is taken once.
#[derive(Default)]
struct Hand(Option<Box<super::Service>>);

/// Replays letters, told page by page, through the running service, else with the folder's lock.
///
/// # Errors
/// When neither is possible, or the store fails.
pub async fn replay_letters(
    parts: &Parts,
    who: &WhoAsks,
    clock: &Arc<dyn Clock>,
    ids: &[LetterId],
    edit: Option<&Edit>,
    mut told: impl FnMut(LetterAnswer),
) -> Result<(), RunError> {
    let mut hand = Hand::default();
    for page in ids.chunks(AT_ONCE) {
        let letters: Vec<String> = page.iter().map(ToString::to_string).collect();
        let request = Request::ReplayLetters { letters: letters.clone(), edit: edit.cloned(), user: who.user.to_string() };
        let answers = match hand.ask(parts, who, clock, &request).await? {
            Err(service) => ours(service, parts).replay(&letters, edit).await?,
            Ok(answers) => answers,
        };
        answers.into_iter().for_each(&mut told);
    }
    hand.finish().await
}

/// Gives letters up, as [`replay_letters`] replays them.
///
/// # Errors
/// As [`replay_letters`].
pub async fn drop_letters(
    parts: &Parts,
    who: &WhoAsks,
    clock: &Arc<dyn Clock>,
    ids: &[LetterId],
    reason: &str,
    mut told: impl FnMut(LetterAnswer),
) -> Result<(), RunError> {
    let mut hand = Hand::default();
    for page in ids.chunks(AT_ONCE) {
        let letters: Vec<String> = page.iter().map(ToString::to_string).collect();
        let request = Request::DropLetters { letters: letters.clone(), reason: reason.to_owned(), user: who.user.to_string() };
        let answers = match hand.ask(parts, who, clock, &request).await? {
            Err(service) => ours(service, parts).give_up(&letters, reason).await?,
            Ok(answers) => answers,
        };
        answers.into_iter().for_each(&mut told);
    }
    hand.finish().await
}

fn ours<'a>(service: &'a super::Service, parts: &'a Parts) -> Letters<'a, crate::store::sqlite::SqliteStore> {
    Letters { parts, store: &service.store, scribe: &service.scribe, asker: None, now: service.clock.now() }
}

impl Hand {
    /// What the running service answered, else the service that holds the folder for us.
    async fn ask(
        &mut self,
        parts: &Parts,
        who: &WhoAsks,
        clock: &Arc<dyn Clock>,
        request: &Request,
    ) -> Result<Result<Vec<LetterAnswer>, &super::Service>, RunError> {
        if self.0.is_none() {
            match reach(parts, who, clock, request).await? {
                Reached::Service(Answer::Letters { letters }) => return Ok(Ok(letters)),
                Reached::Service(
                    Answer::Done
                    | Answer::Standing { .. }
                    | Answer::Reloaded { .. }
                    | Answer::Refused { .. }
                    | Answer::Subjects { .. }
                    | Answer::Swept { .. }
                    | Answer::People { .. },
                ) => {
                    return Ok(Ok(Vec::new()));
                }
                Reached::Ours(service) => self.0 = Some(service),
            }
        }
        match &self.0 {
            Some(service) => Ok(Err(service)),
            None => Ok(Ok(Vec::new())),
        }
    }

    async fn finish(self) -> Result<(), RunError> {
        match self.0 {
            Some(service) => service.integrate().await,
            None => Ok(()),
        }
    }
}
