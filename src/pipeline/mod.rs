//! Rank 6, the spine. [`Service::run`] reads top-down as the flow of the design: customers, intake, decide; deliveries and the log beside it.

mod accuracy;
mod asked;
mod called;
mod clock;
mod conservation;
pub mod control;
mod crew;
mod customers;
mod dead_letters;
mod decide;
mod deliver;
mod doctor;
mod error;
mod exposition;
mod flow;
mod intake;
mod integrate;
mod leaves;
mod meter;
mod metrics;
mod parts;
mod pass;
mod plan;
mod progress;
mod reload;
mod requests;
mod service;
mod summary;
mod supervise;
mod systemd;

#[cfg(test)]
mod tests;

pub use accuracy::{Accuracy, Truth};
pub use asked::record_read;
pub use called::{CallTold, record_call};
pub use clock::{Clock, Stopwatch, SystemClock};
pub use crew::endpoint_name;
pub use dead_letters::{Edit, LetterAnswer, drop_letters, readiness, replay_letters};
pub use deliver::spent_quota;
pub use doctor::{Findings, examine_store};
pub use error::RunError;
pub use flow::FLOW;
pub use leaves::{Scribe, WhoAsks};
pub use meter::{Counts, Durations, Meter, SEND_SECONDS};
pub use metrics::breaker_state;
pub use parts::Parts;
pub use plan::{PlannedWrite, Preview, plan};
pub use progress::{Progress, Stage, Unseen};
pub use reload::{Loaded, Loader, Reloading};
pub use service::{RunOptions, Service};
pub use summary::{Decisions, Fault, Summary, ThisRun, Told, Wait};
pub use supervise::{Board, Down, Reloaded, Standing, TRIES_WHEN_DRAINING, Watched, survive};
pub use systemd::Manager;
