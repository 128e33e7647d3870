//! Rank 1, models that Splink wrote: settings as JSON, SQL conditions compiled to columns, candidate pairs, scores.
//!
//! The meaning is Splink 4's on `DuckDB` up to 2.0.0, which both read the same file as Splink 5: three-valued logic, string distances on
//! UTF-8 bytes, the first level that holds wins, each pair is charged to the first blocking rule that yields it.

mod block;
mod by_byte;
pub mod bytes;
mod call;
mod compiled;
mod condition;
mod frame;
mod function;
mod ladder;
mod linker;
mod list_function;
mod locate;
mod memory;
mod moment;
mod pattern;
mod settings;
mod sign;
mod sql;
mod steps;
mod terms;
mod text_function;
mod texts;
mod value;

pub use condition::{Cells, KeyOf};
pub use frame::{Frame, FrameBuilder, FrameError};
pub use linker::{Linker, Scores, Task, Worker};
pub use settings::{BlockingRule, Comparison, Level, LinkType, Settings, TermAdjustment};
pub use sql::{Equality, Side};
pub use terms::GivenFrequencies;

#[cfg(test)]
mod parity_tests;
#[cfg(test)]
mod tests;
