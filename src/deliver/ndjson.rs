//! Lines of canonical JSON (RFC 8785) appended to a file that another system picks up. Each line holds the whole record as it is now, so that a later
//! line with the same `type` and `record` replaces an earlier one.
//!
//! ```json
//! {"effect":"inserted","fields":{"Body":"…"},"idempotency_key":"9f…","intent":"write","operation":"upsert_interaction","record":["x","n1"],"type":"interaction"}
//! ```
//!
//! A batch is one append and one `fsync`. What stands in the file is indexed when it is opened: 33 bytes for each write ever made and 48 for each
//! record, so that a million of each take some 130 MB with the tables' slack; move the file away (while nothing is in flight) before it grows beyond that.
//! Writes of a file that was moved away are not remembered.

mod journal;

use super::record::Prepared;
use super::target::{all, blocking};
use super::{Answer, DeliveryError, Settled, Target, Written};
use crate::declare::connector::TargetFile;
use crate::diagnose::{Diagnostic, Place, Problems};
use crate::model::{Delivery, IdempotencyKey, Intended, Receipt, WriteEffect};
use journal::{Journal, Line};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A file that lines are appended to.
#[derive(Clone, Debug)]
pub struct NdjsonTarget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: Arc<TargetFile>,
    journal: Mutex<Option<Journal>>,
}

impl NdjsonTarget {
    /// A target; nothing is opened until the first write. The file and its folder are made then, where they are missing.
    pub fn new(path: PathBuf, file: Arc<TargetFile>) -> Self {
        Self { inner: Arc::new(Inner { path, file, journal: Mutex::new(None) }) }
    }

    /// Writes deliveries; the trait's method takes only those whose intent is durable.
    async fn send(&self, batch: Vec<Delivery>) -> Vec<Answer> {
        let (inner, count) = (self.inner.clone(), batch.len());
        blocking(move || inner.write(&batch)).await.unwrap_or_else(|error| all(count, &error))
    }
}

impl Inner {
    fn write(&self, batch: &[Delivery]) -> Result<Vec<Answer>, DeliveryError> {
        // Taken out: after a panic or an error the file is read again.
        let mut slot = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut journal = match slot.take().filter(Journal::is_in_place) {
            Some(journal) => journal,
            None => Journal::open(&self.path)?,
        };
        let (answers, lines) = self.answers(&mut journal, batch)?;
        match journal.append(&lines) {
            Ok(()) => {
                *slot = Some(journal);
                Ok(answers)
            }
            // Nothing was written: the refused stay refused, the others come again.
            Err(error) => Ok(answers.into_iter().map(|answer| if answer.is_err() { answer } else { Err(error.clone()) }).collect()),
        }
    }

    /// What each delivery does, and the lines that say so: one for each key that is new, also where nothing changes, since the key must be remembered.
    fn answers(&self, journal: &mut Journal, batch: &[Delivery]) -> Result<(Vec<Answer>, Vec<Line>), DeliveryError> {
        let (mut answers, mut lines) = (Vec::with_capacity(batch.len()), Vec::<Line>::with_capacity(batch.len()));
        let mut keys: HashSet<IdempotencyKey> = HashSet::new();
        let mut newest: HashMap<[u8; 32], usize> = HashMap::new();
        for delivery in batch {
            let prepared =
                match Prepared::new(&self.file, delivery).and_then(|prepared| journal::representable(&prepared).map(|()| prepared)) {
                    Ok(prepared) => prepared,
                    Err(error) => {
                        answers.push(Err(error));
                        continue;
                    }
                };
            if journal.effect(delivery.idempotency).is_some() || !keys.insert(delivery.idempotency) {
                answers.push(Ok(Receipt::bare(delivery.id, WriteEffect::Unchanged)));
                continue;
            }
            let record = journal::record_id(&prepared);
            let standing = match newest.get(&record).and_then(|at| lines.get(*at)) {
                Some(line) => line.state.clone(),
                None => journal.state(&record)?,
            };
            let existing = standing.as_ref().map(|state| journal::values(prepared.operation, state));
            let planned = prepared.plan(delivery.intent, existing.as_deref());
            newest.insert(record, lines.len());
            lines.push(Line::new(delivery, &prepared, record, &planned, standing));
            answers.push(Ok(Receipt { delivery: delivery.id, effect: planned.effect, changes: planned.changes, kept: Vec::new() }));
        }
        Ok((answers, lines))
    }

    fn settle(&self, delivery: &Delivery) -> Result<Settled, DeliveryError> {
        let effect = Journal::read(&self.path)?.effect(delivery.idempotency);
        Ok(effect.map_or(Settled::NotThere, |effect| Settled::Delivered(Receipt::bare(delivery.id, effect))))
    }

    fn check(&self) -> Problems {
        let place = Place::Path(self.path.display().to_string());
        match Journal::read(&self.path) {
            Err(error) => Diagnostic::error(
                error.code(),
                place,
                error.to_string(),
                "Check `path` of the target: it must be a file of its own that the service may write",
            )
            .into(),
            Ok(journal) => journal.torn().map_or_else(Problems::default, |bytes| {
                let message = format!("the last line is torn: {bytes} bytes of it are there");
                Diagnostic::warning(
                    crate::diagnose::Code("KITH-D011"),
                    place,
                    message,
                    "Nothing: the next write cuts it off and writes the record whole",
                )
                .into()
            }),
        }
    }
}

impl Target for NdjsonTarget {
    async fn write(&self, batch: &[Intended]) -> Written {
        Written::answers(self.send(batch.iter().map(|intended| intended.delivery().clone()).collect()).await)
    }

    async fn settle(&self, unknown: &Delivery) -> Result<Settled, DeliveryError> {
        let (inner, delivery) = (self.inner.clone(), unknown.clone());
        blocking(move || inner.settle(&delivery)).await
    }

    async fn preview(&self, batch: &[Delivery]) -> Vec<Answer> {
        let (inner, deliveries) = (self.inner.clone(), batch.to_vec());
        let work = move || inner.answers(&mut Journal::read(&inner.path)?, &deliveries).map(|(answers, _)| answers);
        blocking(work).await.unwrap_or_else(|error| all(batch.len(), &error))
    }

    async fn check(&self) -> Problems {
        let inner = self.inner.clone();
        blocking(move || Ok(inner.check())).await.unwrap_or_else(|error| {
            Diagnostic::error(error.code(), Place::Path(self.inner.path.display().to_string()), error.to_string(), "Try again").into()
        })
    }
}
