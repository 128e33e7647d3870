//! Rank 0, problems told to people: code, place, cause and remedy, and a page for each code.

mod catalogue;
mod nearest;
mod problem;
mod render;

pub use catalogue::{CATALOGUE, Page, page};
pub use nearest::nearest;
pub use problem::{Checked, Code, Diagnostic, Place, Problems, Severity, SourceFile, Span};
pub use render::Look;
