//! Rank 6, the spine. [`Service::run`] reads top-down as the flow of the design: customers, intake, decide; deliveries and the log beside it.

mod accuracy;
mod asked;
mod clock;
pub mod control;
mod customers;
mod dead_letters;
mod decide;
mod deliver;
mod doctor;
mod error;
mod intake;
mod integrate;
mod leaves;
mod meter;
mod parts;
mod plan;
mod progress;
mod service;
mod summary;

#[cfg(test)]
mod tests;

pub use accuracy::{Accuracy, Truth};
pub use asked::record_read;
pub use clock::{Clock, Stopwatch, SystemClock};
pub use dead_letters::{Edit, LetterAnswer, drop_letters, readiness, replay_letters};
pub use doctor::{Findings, examine_store};
pub use error::RunError;
pub use leaves::{Scribe, WhoAsks};
pub use meter::{Counts, Durations, Meter, SEND_SECONDS};
pub use parts::Parts;
pub use plan::{PlannedWrite, Preview, plan};
pub use progress::{Progress, Stage, Unseen};
pub use service::{RunOptions, Service};
pub use summary::{Decisions, Fault, Summary, ThisRun, Told, Wait};
