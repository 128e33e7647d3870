//! The embedded default target: a CRM-like SQLite database with a table for each kind of record and a ledger of idempotency keys.
//!
//! A batch is one transaction, a record one savepoint in it: a refused record leaves no trace and holds back nobody. Rows are read from the database
//! each time, never remembered, so that what others change is seen. The database keeps its own time: `kith_ledger.at` is the CRM's clock.

mod schema;
mod session;

use super::record::Prepared;
use super::retry::while_busy;
use super::target::{all, blocking};
use super::{Answer, DeliveryError, Settled, Target, Written};
use crate::declare::connector::TargetFile;
use crate::diagnose::{Code, Diagnostic, Place, Problems};
use crate::model::{Delivery, IdempotencyKey, Intended, Receipt, Value, WriteEffect};
use backon::Retryable;
use session::{Session, opened};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A SQLite database that is written to.
#[derive(Clone, Debug)]
pub struct SqliteTarget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: Arc<TargetFile>,
    session: Mutex<Option<Session>>,
}

/// A record of a preview: its fields by name.
type Row = BTreeMap<Arc<str>, Value>;

/// Its table, and its key as JSON.
type RowKey = (Arc<str>, String);

/// Why a whole batch came to nothing.
#[derive(Clone, Debug)]
enum Fault {
    /// Another program holds the database: worth an immediate second try.
    Busy,
    Failed(DeliveryError),
}

impl SqliteTarget {
    /// A target; nothing is opened until the first write. The database and its folder are made then, where they are missing.
    pub fn new(path: PathBuf, file: Arc<TargetFile>) -> Self {
        Self { inner: Arc::new(Inner { path, file, session: Mutex::new(None) }) }
    }

    /// Writes deliveries; the trait's method takes only those whose intent is durable.
    async fn send(&self, batch: Vec<Delivery>) -> Vec<Answer> {
        let batch: Arc<[Delivery]> = batch.into();
        let attempt = || async {
            let (inner, batch) = (self.inner.clone(), batch.clone());
            match blocking(move || Ok(inner.write(&batch))).await {
                Ok(answer) => answer,
                Err(error) => Err(Fault::Failed(error)),
            }
        };
        let answer = attempt.retry(while_busy()).when(|fault| matches!(fault, Fault::Busy)).await;
        answer.unwrap_or_else(|fault| all(batch.len(), &self.inner.error(fault)))
    }
}

impl Inner {
    fn error(&self, fault: Fault) -> DeliveryError {
        match fault {
            Fault::Busy => DeliveryError::unavailable("KITH-D001", format!("{} is locked by another program", self.path.display())),
            Fault::Failed(error) => error,
        }
    }

    fn write(&self, batch: &[Delivery]) -> Result<Vec<Answer>, Fault> {
        // A batch that panicked has left no transaction: its session was taken out.
        let mut slot = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let session = match slot.take().filter(|session| session.is_of(&self.path)) {
            Some(session) => session,
            None => Session::open(&self.path, &self.file)?,
        };
        let answers = session.batch(&self.file, batch)?;
        *slot = Some(session);
        Ok(answers)
    }

    fn settle(&self, delivery: &Delivery) -> Result<Settled, DeliveryError> {
        let Some(connection) = opened(&self.path).map_err(|fault| self.error(fault))? else { return Ok(Settled::NotThere) };
        let effect = schema::has_ledger(&connection)
            .and_then(|there| if there { session::recorded(&connection, delivery.idempotency) } else { Ok(None) })
            .map_err(|error| self.error(session::fault(&self.path, &error)))?;
        Ok(effect.map_or(Settled::NotThere, |effect| Settled::Delivered(Receipt::bare(delivery.id, effect))))
    }

    /// What a write would answer: the same arithmetic over the same rows, with what the batch itself would have written laid over them.
    fn preview(&self, batch: &[Delivery]) -> Result<Vec<Answer>, DeliveryError> {
        let connection = opened(&self.path).map_err(|fault| self.error(fault))?;
        let failed = |error: rusqlite::Error| self.error(session::fault(&self.path, &error));
        let ledger = connection.as_ref().map(schema::has_ledger).transpose().map_err(failed)?.unwrap_or(false);
        let mut rows: BTreeMap<RowKey, Option<Row>> = BTreeMap::new();
        let mut keys: BTreeSet<IdempotencyKey> = BTreeSet::new();
        let mut answers = Vec::with_capacity(batch.len());
        for delivery in batch {
            let prepared = match Prepared::new(&self.file, delivery) {
                Ok(prepared) => prepared,
                Err(error) => {
                    answers.push(Err(error));
                    continue;
                }
            };
            let operation = prepared.operation;
            let recorded = match &connection {
                Some(connection) if ledger => session::recorded(connection, delivery.idempotency).map_err(failed)?.is_some(),
                _ => false,
            };
            if recorded || !keys.insert(delivery.idempotency) {
                answers.push(Ok(Receipt::bare(delivery.id, WriteEffect::Unchanged)));
                continue;
            }
            let place =
                (operation.table.clone(), serde_json::Value::Array(prepared.key().into_iter().map(Value::to_json).collect()).to_string());
            let existing = match rows.get(&place) {
                Some(None) => None,
                Some(Some(row)) => Some(operation.fields.iter().map(|field| row.get(&field.name).cloned().unwrap_or_default()).collect()),
                None => match &connection {
                    None => None,
                    Some(connection) => match schema::fits(connection, operation).map_err(failed)? {
                        schema::Fit::NoTable => None,
                        schema::Fit::Lacks(message) => {
                            answers.push(Err(DeliveryError::unavailable("KITH-D003", message)));
                            continue;
                        }
                        schema::Fit::Fits => match session::existing(connection, &prepared, &session::select(operation)) {
                            Ok(existing) => existing,
                            Err(session::RowError::Refused(error)) => {
                                answers.push(Err(error));
                                continue;
                            }
                            Err(session::RowError::Database(error)) => return Err(failed(error)),
                        },
                    },
                },
            };
            let planned = match prepared.plan_expected(delivery, existing.as_deref()) {
                Ok(planned) => planned,
                Err(error) => {
                    answers.push(Err(error));
                    continue;
                }
            };
            let after = match planned.effect {
                WriteEffect::Removed => None,
                WriteEffect::Inserted => Some(BTreeMap::new()),
                WriteEffect::Updated | WriteEffect::Unchanged | WriteEffect::Blanked | WriteEffect::Kept => existing.map(|existing| {
                    let read = operation.fields.iter().map(|field| field.name.clone()).zip(existing);
                    // Fields that only other operations know are kept from what the batch wrote before.
                    rows.remove(&place).flatten().unwrap_or_default().into_iter().chain(read).collect()
                }),
            };
            let after = after.map(|mut row| {
                row.extend(planned.changes.iter().map(|change| (change.field.clone(), change.after.reveal().clone())));
                row
            });
            rows.insert(place, after);
            answers.push(Ok(Receipt { delivery: delivery.id, effect: planned.effect, changes: planned.changes, kept: Vec::new() }));
        }
        Ok(answers)
    }

    fn check(&self) -> Problems {
        let mut problems = Problems::default();
        let place = || Place::Path(self.path.display().to_string());
        match opened(&self.path) {
            Err(fault) => {
                let error = self.error(fault);
                problems.push(Diagnostic::error(
                    error.code(),
                    place(),
                    error.to_string(),
                    "Check `path` of the target, its rights and its disk",
                ));
            }
            Ok(None) => {
                let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
                if let Some(folder) = folder.filter(|folder| folder.exists() && !folder.is_dir()) {
                    let message = format!("{} is no folder, so that the database can't be made in it", folder.display());
                    problems.push(Diagnostic::error(Code("KITH-D001"), place(), message, "Correct `path` of the target"));
                }
            }
            Ok(Some(connection)) => {
                for operation in &self.file.operations {
                    match schema::fits(&connection, operation) {
                        Ok(schema::Fit::Fits | schema::Fit::NoTable) => {}
                        Ok(schema::Fit::Lacks(message)) => {
                            let remedy = "Add the column, or correct the field in the target file";
                            problems.push(Diagnostic::error(Code("KITH-D003"), place(), &*message, remedy));
                        }
                        Err(error) => {
                            let error = self.error(session::fault(&self.path, &error));
                            problems.push(Diagnostic::error(
                                error.code(),
                                place(),
                                error.to_string(),
                                "Check the database with `PRAGMA integrity_check`",
                            ));
                            break;
                        }
                    }
                }
            }
        }
        problems
    }
}

impl Target for SqliteTarget {
    async fn write(&self, batch: &[Intended]) -> Written {
        Written::answers(self.send(batch.iter().map(|intended| intended.delivery().clone()).collect()).await)
    }

    async fn settle(&self, unknown: &Delivery) -> Result<Settled, DeliveryError> {
        let (inner, delivery) = (self.inner.clone(), unknown.clone());
        blocking(move || inner.settle(&delivery)).await
    }

    async fn preview(&self, batch: &[Delivery]) -> Vec<Answer> {
        let (inner, deliveries) = (self.inner.clone(), batch.to_vec());
        blocking(move || inner.preview(&deliveries)).await.unwrap_or_else(|error| all(batch.len(), &error))
    }

    async fn check(&self) -> Problems {
        let inner = self.inner.clone();
        blocking(move || Ok(inner.check())).await.unwrap_or_else(|error| {
            Diagnostic::error(error.code(), Place::Path(self.inner.path.display().to_string()), error.to_string(), "Try again").into()
        })
    }
}
