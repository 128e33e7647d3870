//! Asks a network which of what is held of it still stands: by look-ups, or by jobs at its interface and the files beside them. Addresses of files are signed, which makes
//! them secrets: they are asked for anew whenever one is needed, kept nowhere, and shown nowhere.

mod answer;
mod ask;
mod error;
mod jobs;
mod look_up;

pub use answer::{Answer, Line, Lines};
pub use error::ComplianceError;
pub use jobs::{Job, Jobs, State};
pub use look_up::{LookUps, LookedUp};
