//! Rank 1, declarative sources: interpolation, records out of answers, pages, slices, state, what an error means. Arithmetic only: who sends
//! requests is `source::manifest`, and a file is read into these shapes by `declare::manifest`.
//!
//! The vocabulary is Airbyte's low-code manifest (its `declarative_component_schema.yaml` and documentation, as of airbyte-cdk 7.39, 2026-11).

pub mod again;
pub mod answer;
mod arithmetic;
pub mod cost;
pub mod cursor;
mod dates;
pub mod dynamic;
pub mod encoding;
pub mod extract;
mod functions;
pub mod gap;
mod growing;
pub mod json;
mod literal;
pub mod live;
pub mod moment;
pub mod page;
pub mod partitions;
pub mod path;
mod percent;
pub mod properties;
mod python;
pub mod request;
pub mod slice;
pub mod source;
pub mod template;
pub mod told_schema;
pub mod transform;
pub mod webhook;

pub use gap::Gap;
pub use json::{Json, Members};
pub use moment::Moment;
pub use slice::Slice;
pub use source::{Source, Stream};
pub use template::{Ambient, Engine, EvaluationError, Fallback, Scope, Template, TemplateError, Wanted};
