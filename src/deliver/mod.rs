//! Rank 5, what is decided reaches the CRM: targets write, say exactly what changed, and never guess what became of an unanswered write.

mod error;
mod exchange;
pub mod http;
mod limits;
mod ndjson;
mod notify;
mod outgoing;
mod progress;
mod record;
mod retry;
mod soap;
mod sqlite;
mod sqlserver;
mod target;

pub use error::DeliveryError;
pub use http::HttpTarget;
pub use limits::{Limits, NotYet, Scope, SpentQuota, burst_spent};
pub use ndjson::NdjsonTarget;
pub use notify::{Notice, NotifyTarget};
pub use record::fits;
pub use retry::{Next, after_failure, half_rest, rest};
pub use soap::SoapTarget;
pub use sqlite::SqliteTarget;
pub use sqlserver::{SqlServerTarget, starting_file};
pub use target::{Answer, AnyTarget, Exchange, Pause, Settled, Target, Written};
