//! Rank 5, where activities come from: files and drop folders of NDJSON, CSV and Parquet (`rows`), declarative sources over HTTP (`manifest`), their live
//! streams (`stream`), what is gone there (`compliance`), deliveries of networks (`webhook`), and Singer taps (`singer`). A file gives batches of lines with a cursor; what the caller stores together
//! with a batch is where reading goes on after a crash.

mod batch;
pub mod compliance;
mod cursor;
mod error;
mod file;
mod folder;
pub mod manifest;
pub mod rows;
pub mod singer;
pub mod stream;
mod watch;
pub mod webhook;

pub use batch::{BatchLimits, Chunk, RawLine, SourceBatch, SourceLine, parse_chunk};
pub use cursor::FileCursor;
pub use error::SourceError;
pub use file::{FileReader, Opened};
pub use folder::{Found, Source};
pub use watch::Watch;

/// Whether a source may be changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// Nothing is moved or made: `kith plan`.
    ReadOnly,
    /// Finished files are moved to `done`.
    Move,
}
