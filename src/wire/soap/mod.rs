//! SOAP messages: an envelope from values and a contract, an answer from bytes. No sockets.
//!
//! ```text
//! contract.find(None, None, "UpsertContact")? → Request { operation, headers, body, .. }.render()? → bytes, content type, SOAPAction
//! bytes of an answer → read(bytes, content type) → Reading::Answer | Fault | NotSoap → Path::parse("/Body/…")?.select(&envelope)
//! ```

mod answer;
mod assemble;
mod choose;
mod field;
mod lexical;
mod mime;
mod multiref;
mod node;
mod path;
mod refusal;
mod render;
mod request;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Fault, NotSoap, Reading, read};
pub use assemble::{FieldPath, FieldPathError, assemble};
pub use field::{Field, NoField, field};
pub use node::{Node, NodeContent};
pub use path::{Found, Path, PathError};
pub use refusal::{Reason, Refusal};
pub use request::{Rendered, Request, header};
