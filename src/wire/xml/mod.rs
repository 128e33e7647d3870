//! XML 1.0 with namespaces, bounded: bytes to a tree and back, for SOAP. The one owner of `quick-xml`.
//!
//! No document type is ever read, so that no entity expands and nothing is fetched (SOAP 1.1, 3 and SOAP 1.2 part 1, 5 forbid one as well).

mod canonical;
mod chars;
mod encoding;
mod name;
mod read;
mod tree;
mod write;

pub use canonical::canonical;
pub use chars::{Uncarriable, Uncarried, is_char, is_ncname};
pub use encoding::{decode, parameter};
pub use name::{Name, Scope, XML_NS, XSI_NS};
pub use read::{Limits, XmlError, XmlErrorKind, parse, read};
pub use tree::{Attribute, Element, Item};
pub use write::{Child, Lexical, Tree, Writer};

#[cfg(test)]
mod tests;
