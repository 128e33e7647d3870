//! What the pipeline asks of a target, and the kinds that there are.

use super::{DeliveryError, NdjsonTarget, SqliteTarget};
use crate::declare::config::TargetSpec;
use crate::declare::connector::{TargetFile, TargetKind};
use crate::diagnose::Problems;
use crate::model::{Delivery, Intended, Receipt};
use std::future::Future;
use std::sync::Arc;

/// What a target answers about one delivery.
pub type Answer = Result<Receipt, DeliveryError>;

/// What reading back found.
#[derive(Clone, PartialEq, Debug)]
pub enum Settled {
    /// The write had arrived. Its before and after are no longer known: `changes` is empty.
    Delivered(Receipt),
    /// It had not.
    NotThere,
}

/// A CRM's write end.
pub trait Target: Send + Sync {
    /// Writes a batch. One answer for each delivery, in the batch's order; a refused record does not hold back the others. The same
    /// idempotency key again changes nothing and answers `Unchanged`.
    fn write(&self, batch: &[Intended]) -> impl Future<Output = Vec<Answer>> + Send;

    /// Whether a delivery whose outcome is unknown had arrived, read from the target.
    ///
    /// # Errors
    /// The target can't be read now.
    fn settle(&self, unknown: &Delivery) -> impl Future<Output = Result<Settled, DeliveryError>> + Send;

    /// What [`Target::write`] would answer, in this order, on what stands in the target now. Writes nothing and makes nothing.
    fn preview(&self, batch: &[Delivery]) -> impl Future<Output = Vec<Answer>> + Send;

    /// Whether the target is reachable and looks as its file says. Writes nothing.
    fn check(&self) -> impl Future<Output = Problems> + Send;
}

/// A target of any kind.
#[derive(Clone, Debug)]
pub enum AnyTarget {
    /// Tables of a SQLite database.
    Sqlite(SqliteTarget),
    /// Lines of JSON in a file.
    Ndjson(NdjsonTarget),
}

impl AnyTarget {
    /// A target as configured. Nothing is opened: a target that is away is a matter of its writes, not of starting.
    pub fn new(spec: &TargetSpec, file: Arc<TargetFile>) -> Self {
        match file.kind {
            TargetKind::Sqlite => Self::Sqlite(SqliteTarget::new(spec.path.clone(), file)),
            TargetKind::Ndjson => Self::Ndjson(NdjsonTarget::new(spec.path.clone(), file)),
        }
    }
}

impl Target for AnyTarget {
    async fn write(&self, batch: &[Intended]) -> Vec<Answer> {
        match self {
            Self::Sqlite(target) => target.write(batch).await,
            Self::Ndjson(target) => target.write(batch).await,
        }
    }

    async fn settle(&self, unknown: &Delivery) -> Result<Settled, DeliveryError> {
        match self {
            Self::Sqlite(target) => target.settle(unknown).await,
            Self::Ndjson(target) => target.settle(unknown).await,
        }
    }

    async fn preview(&self, batch: &[Delivery]) -> Vec<Answer> {
        match self {
            Self::Sqlite(target) => target.preview(batch).await,
            Self::Ndjson(target) => target.preview(batch).await,
        }
    }

    async fn check(&self) -> Problems {
        match self {
            Self::Sqlite(target) => target.check().await,
            Self::Ndjson(target) => target.check().await,
        }
    }
}

/// Runs blocking work of a target. Where it panics, nobody knows how far it came.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeliveryError> + Send + 'static,
) -> Result<T, DeliveryError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_panicked| Err(DeliveryError::unknown("the target's thread stopped in the middle of its work")))
}

/// The same answer for each delivery of a batch.
pub(super) fn all(count: usize, error: &DeliveryError) -> Vec<Answer> {
    std::iter::repeat_with(|| Err(error.clone())).take(count).collect()
}
