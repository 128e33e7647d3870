//! Regular expressions as RE2 has them, on the `regex` crate: `\d`, `\w`, `\s` and `\b` know ASCII only.

use regex::{Regex, RegexBuilder};

/// A regular expression, equal to another of the same text.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// Where it is `^[^@]+` or the like, the byte that ends what it finds.
    up_to: Option<u8>,
}

impl From<Regex> for Pattern {
    fn from(regex: Regex) -> Self {
        let byte = match regex.as_str().as_bytes() {
            [b'^', b'[', b'^', byte, b']', b'+'] if byte.is_ascii() && !matches!(byte, b'\\' | b'[' | b']' | b'^') => Some(*byte),
            _ => None,
        };
        Self { regex, up_to: byte }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}

impl Pattern {
    /// What it, or a group of it, finds first; empty where it finds nothing, as in `DuckDB`.
    pub(super) fn extract<'t>(&self, text: &'t str, group: usize) -> &'t str {
        if let (Some(byte), 0) = (self.up_to, group) {
            let end = memchr::memchr(byte, text.as_bytes()).unwrap_or(text.len());
            return text.get(..end).unwrap_or_default();
        }
        // The whole match is found several times as fast as its groups.
        let found = if group == 0 { self.regex.find(text) } else { self.regex.captures(text).and_then(|found| found.get(group)) };
        found.map_or("", |found| found.as_str())
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// With the first of what it finds, or all, replaced.
    pub(super) fn replaced(&self, text: &str, by: &str, all: bool) -> String {
        self.regex.replacen(text, usize::from(!all), by).into_owned()
    }
}

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
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_start_up_to_a_byte_is_what_the_expression_finds(text in "[a-c@.é\n]{0,8}", byte in "[@.a-]") {
            let regex = compile(&format!("^[^{byte}]+")).unwrap();
            let found = regex.find(&text).map_or("", |found| found.as_str()).to_owned();
            let pattern = Pattern::from(regex);
            prop_assert!(pattern.up_to.is_some());
            prop_assert_eq!(pattern.extract(&text, 0), found);
        }
    }

    #[test]
    fn classes_are_ascii_and_like_is_anchored() {
        assert!(!compile(r"^\d$").unwrap().is_match("٣"));
        assert!(compile(r"^[\w-]+$").unwrap().is_match("a-b_1"));
        assert!(compile(r"[^\d]").unwrap().is_match("a"));
        assert!(of_like("a%", false).unwrap().is_match("abc"));
        assert!(!of_like("a.", false).unwrap().is_match("ab"));
    }
}
