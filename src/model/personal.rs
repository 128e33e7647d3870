//! A wrapper that keeps personal data out of logs, errors and metric labels by type.

use std::fmt;

/// A value about a person. `Debug` prints that something is there, never what; there is no `Display`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Personal<T>(T);

impl<T> Personal<T> {
    /// Marks a value as personal.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value. Each call is a place where personal data leaves its wrapper: search for it in review.
    pub const fn reveal(&self) -> &T {
        &self.0
    }

    /// The value, owned.
    pub fn into_revealed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹personal›")
    }
}
