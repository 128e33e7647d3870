//! What the pipeline asks of a target, and the kinds that there are.

use super::{DeliveryError, HttpTarget, NdjsonTarget, NotifyTarget, SoapTarget, SqlServerTarget, SqliteTarget};
use crate::declare::config::{ServiceSpec, TargetPlace, TargetSpec};
use crate::declare::connector::{TargetFile, TargetKind};
use crate::diagnose::{Code, Problems};
use crate::enrich::DeliverEntry;
use crate::model::{Delivery, Intended, Personal, Receipt};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// What a target answers about one delivery.
pub type Answer = Result<Receipt, DeliveryError>;

/// What travelled about one record, for its dead letter: at most [`Exchange::LONGEST`] bytes each, secrets masked.
#[derive(Clone, PartialEq, Debug)]
pub struct Exchange {
    /// The request as sent, as far as it concerns this record.
    pub request: Personal<String>,
    /// The answer as it came.
    pub answer: Personal<String>,
}

impl Exchange {
    /// A post of any network with its envelope, several times over; a stack trace is cut.
    pub const LONGEST: usize = 16 * 1024;
}

/// What the target asks for besides its answers: to be left alone for so long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pause {
    /// From the moment of the answer.
    pub wait: Duration,
    /// What it said, without personal data: `x-ratelimit-remaining: 0`.
    pub said: Arc<str>,
}

/// What came of a batch.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Written {
    /// One answer for each delivery, in the batch's order.
    pub answers: Vec<Answer>,
    /// What travelled, aligned with the answers; empty, or `None` where there is a receipt or nothing worth keeping.
    pub exchanges: Vec<Option<Exchange>>,
    /// What the server says about its limits, where all went well too.
    pub pause: Option<Pause>,
}

impl Written {
    /// Answers alone.
    pub const fn answers(answers: Vec<Answer>) -> Self {
        Self { answers, exchanges: Vec::new(), pause: None }
    }
}

/// What reading back found.
#[derive(Clone, PartialEq, Debug)]
pub enum Settled {
    /// The write had arrived. Its before and after are no longer known: `changes` is empty.
    Delivered(Receipt),
    /// It had not.
    NotThere,
    /// Nobody can say, and nobody needs to: the same write again under the same idempotency key changes nothing where it had arrived.
    Repeatable,
    /// Nobody can say, and another write could duplicate it: a person looks.
    Undecidable {
        /// The page that explains it.
        code: Code,
        /// Why it can't be told.
        message: Arc<str>,
    },
}

/// A CRM's write end.
pub trait Target: Send + Sync {
    /// Writes a batch. One answer for each delivery, in the batch's order; a refused record does not hold back the others. The same
    /// idempotency key again changes nothing and answers `Unchanged`.
    fn write(&self, batch: &[Intended]) -> impl Future<Output = Written> + Send;

    /// At most so many records in one write.
    fn most_at_once(&self) -> usize {
        usize::MAX
    }

    /// Whether it is a request of its own; otherwise a write of any number of its operation is one.
    fn travels_alone(&self, _delivery: &Delivery) -> bool {
        false
    }

    /// Whether a delivery whose outcome is unknown had arrived, read from the target.
    ///
    /// # Errors
    /// The target can't be read now.
    fn settle(&self, unknown: &Delivery) -> impl Future<Output = Result<Settled, DeliveryError>> + Send;

    /// Logs in again, where the target knows logins.
    ///
    /// # Errors
    /// The login is refused, or the target can't be reached.
    fn login(&self) -> impl Future<Output = Result<(), DeliveryError>> + Send {
        async { Ok(()) }
    }

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
    /// A service that takes JSON over HTTP.
    Http(HttpTarget),
    /// A SOAP service.
    Soap(SoapTarget),
    /// Tables and procedures of a SQL Server.
    SqlServer(SqlServerTarget),
    /// Webhooks or mails.
    Notify(NotifyTarget),
}

impl AnyTarget {
    /// A target as configured. Nothing is opened: a target that is away is a matter of its writes, not of starting.
    /// `entries` are the mapping's deliveries, whose word about conflicts is theirs.
    pub fn new(spec: &TargetSpec, file: Arc<TargetFile>, entries: &[DeliverEntry]) -> Self {
        // A place that does not fit the kind is refused when the project is loaded (`TargetFile::misplaced`); here it can only fail to open.
        let path = || spec.place.file().cloned().unwrap_or_default();
        let service = || match &spec.place {
            TargetPlace::Service(service) => ServiceSpec::clone(service),
            TargetPlace::File(_) | TargetPlace::Server(_) => ServiceSpec::plain(""),
        };
        match file.kind {
            TargetKind::Sqlite => Self::Sqlite(SqliteTarget::new(path(), file)),
            TargetKind::Ndjson => Self::Ndjson(NdjsonTarget::new(path(), file)),
            TargetKind::SqlServer => Self::SqlServer(SqlServerTarget::new(spec, file, entries)),
            TargetKind::Http => Self::Http(HttpTarget::new(service(), file)),
            TargetKind::Notify => Self::Notify(NotifyTarget::new(service(), spec.notice.clone(), file)),
            // A checked file of this kind has its soap part.
            TargetKind::Soap => match SoapTarget::new(service(), file.clone()) {
                Some(target) => Self::Soap(target),
                None => Self::Http(HttpTarget::new(service(), file)),
            },
        }
    }
}

impl AnyTarget {
    /// The requests that a delivery would send, as text with secrets masked; `None` for kinds that send none. Nothing is written, and nothing is sent
    /// but what a SQL Server is asked about its catalogue and the record.
    pub async fn draft(&self, delivery: &Delivery) -> Option<Result<Vec<String>, DeliveryError>> {
        match self {
            Self::Sqlite(_) | Self::Ndjson(_) => None,
            Self::SqlServer(target) => Some(target.draft(delivery).await),
            Self::Notify(target) => Some(target.draft(delivery).map(|message| vec![message])),
            Self::Http(target) => Some(target.draft(delivery).map(|request| vec![request])),
            Self::Soap(target) => Some(target.draft(delivery)),
        }
    }

    /// Writes one delivery that a person gave by hand, and keeps what travelled; `None` for kinds that send no requests. Whoever calls it has
    /// told the log.
    pub async fn by_hand(&self, delivery: &Delivery) -> Option<Written> {
        match self {
            Self::Sqlite(_) | Self::Ndjson(_) => None,
            Self::SqlServer(target) => Some(target.by_hand(delivery).await),
            Self::Notify(target) => Some(target.by_hand(delivery).await),
            Self::Http(target) => Some(target.by_hand(delivery).await),
            Self::Soap(target) => Some(target.by_hand(delivery).await),
        }
    }
}

impl Target for AnyTarget {
    async fn write(&self, batch: &[Intended]) -> Written {
        match self {
            Self::Sqlite(target) => target.write(batch).await,
            Self::Ndjson(target) => target.write(batch).await,
            Self::Http(target) => target.write(batch).await,
            Self::Soap(target) => target.write(batch).await,
            Self::SqlServer(target) => target.write(batch).await,
            Self::Notify(target) => target.write(batch).await,
        }
    }

    fn most_at_once(&self) -> usize {
        match self {
            Self::Sqlite(target) => target.most_at_once(),
            Self::Ndjson(target) => target.most_at_once(),
            Self::Http(target) => target.most_at_once(),
            Self::Soap(target) => target.most_at_once(),
            Self::SqlServer(target) => target.most_at_once(),
            Self::Notify(target) => target.most_at_once(),
        }
    }

    fn travels_alone(&self, delivery: &Delivery) -> bool {
        match self {
            Self::Sqlite(target) => target.travels_alone(delivery),
            Self::Ndjson(target) => target.travels_alone(delivery),
            Self::Http(target) => target.travels_alone(delivery),
            Self::Soap(target) => target.travels_alone(delivery),
            Self::SqlServer(target) => target.travels_alone(delivery),
            Self::Notify(target) => target.travels_alone(delivery),
        }
    }

    async fn settle(&self, unknown: &Delivery) -> Result<Settled, DeliveryError> {
        match self {
            Self::Sqlite(target) => target.settle(unknown).await,
            Self::Ndjson(target) => target.settle(unknown).await,
            Self::Http(target) => target.settle(unknown).await,
            Self::Soap(target) => target.settle(unknown).await,
            Self::SqlServer(target) => target.settle(unknown).await,
            Self::Notify(target) => target.settle(unknown).await,
        }
    }

    async fn login(&self) -> Result<(), DeliveryError> {
        match self {
            Self::Sqlite(target) => target.login().await,
            Self::Ndjson(target) => target.login().await,
            Self::Http(target) => target.login().await,
            Self::Soap(target) => target.login().await,
            Self::SqlServer(target) => target.login().await,
            Self::Notify(target) => target.login().await,
        }
    }

    async fn preview(&self, batch: &[Delivery]) -> Vec<Answer> {
        match self {
            Self::Sqlite(target) => target.preview(batch).await,
            Self::Ndjson(target) => target.preview(batch).await,
            Self::Http(target) => target.preview(batch).await,
            Self::Soap(target) => target.preview(batch).await,
            Self::SqlServer(target) => target.preview(batch).await,
            Self::Notify(target) => target.preview(batch).await,
        }
    }

    async fn check(&self) -> Problems {
        match self {
            Self::Sqlite(target) => target.check().await,
            Self::Ndjson(target) => target.check().await,
            Self::Http(target) => target.check().await,
            Self::Soap(target) => target.check().await,
            Self::SqlServer(target) => target.check().await,
            Self::Notify(target) => target.check().await,
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
