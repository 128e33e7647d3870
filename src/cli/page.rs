//! Text for people, built line by line.

use std::fmt::{Arguments, Write as _};

/// Adds text.
pub(super) fn text(page: &mut String, words: Arguments<'_>) {
    // Writing into a String never fails; a Display that did would only cut its own text short.
    if page.write_fmt(words).is_err() {
        page.push('…');
    }
}

/// Adds a line.
pub(super) fn line(page: &mut String, words: Arguments<'_>) {
    text(page, words);
    page.push('\n');
}
