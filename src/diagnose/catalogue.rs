//! Every code with its page, compiled into the binary.

use super::Code;

/// A page of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The code it explains.
    pub code: Code,
    /// One line: what kind of problem it is.
    pub title: &'static str,
    /// The long form, Markdown.
    pub text: &'static str,
}

/// Every page, sorted by code.
pub const CATALOGUE: &[Page] = &[];

/// The page of a code, ASCII case ignored.
pub fn page(code: &str) -> Option<&'static Page> {
    CATALOGUE.iter().find(|p| p.code.0.eq_ignore_ascii_case(code))
}
