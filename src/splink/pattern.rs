//! Regular expressions as RE2 has them, on the `regex` crate: `\d`, `\w`, `\s` and `\b` know ASCII only.

use regex::{Regex, RegexBuilder};

/// Compiled size of one pattern: 1 MiB, a hundred times what published models need.
const MOST_BYTES: usize = 1 << 20;

/// Compiles a pattern; the reason where it is none.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('d') => out.push_str("[0-9]"),
            Some('D') => out.push_str("[^0-9]"),
            Some('w') => out.push_str("[0-9A-Za-z_]"),
            Some('W') => out.push_str("[^0-9A-Za-z_]"),
            Some('s') => out.push_str(r"[\t\n\f\r ]"),
            Some('S') => out.push_str(r"[^\t\n\f\r ]"),
            Some('b') => out.push_str(r"(?-u:\b)"),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    RegexBuilder::new(&out).size_limit(MOST_BYTES).build().map_err(|error| {
        let too_large = matches!(error, regex::Error::CompiledTooBig(_));
        (if too_large { "the pattern is too large" } else { "the pattern is not one that Kith can run" }).to_owned()
    })
}

/// A LIKE pattern as a regular expression: `%` is anything, `_` one character.
pub(super) fn of_like(pattern: &str, ignore_case: bool) -> Result<Regex, String> {
    let mut out = String::from(if ignore_case { "(?is)^" } else { "(?s)^" });
    for letter in pattern.chars() {
        match letter {
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            other => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push('$');
    RegexBuilder::new(&out).size_limit(MOST_BYTES).build().map_err(|_too_big| "the pattern is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii_and_like_is_anchored() {
        assert!(!compile(r"^\d$").unwrap().is_match("٣"));
        assert!(compile(r"^[\w-]+$").unwrap().is_match("a-b_1"));
        assert!(compile(r"[^\d]").unwrap().is_match("a"));
        assert!(of_like("a%", false).unwrap().is_match("abc"));
        assert!(!of_like("a.", false).unwrap().is_match("ab"));
    }
}
