//! Patterns that find a value in text: `order {digits}`.

use regex::{Regex, RegexBuilder};

/// A pattern as typed is at most this long: longer ones are no phrase.
const MAX_PATTERN_BYTES: usize = 200;

/// The compiled size of 200 literal characters is about 40 KiB; Unicode classes with a bounded count need a few hundred.
const MAX_COMPILED_BYTES: usize = 4 << 20;

/// A compiled pattern. Literal parts ignore case; a blank stands for any blanks.
#[derive(Clone, Debug)]
pub struct Pattern {
    typed: String,
    regex: Regex,
}

/// Why a pattern can't be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PatternError {
    /// None or several of `{digits}`, `{word}`, `{text}`.
    #[error("a pattern needs exactly one of {{digits}}, {{word}}, {{text}}; this one has {0}")]
    Placeholders(usize),
    /// Something else in braces.
    #[error("`{{{0}}}` is no placeholder")]
    UnknownPlaceholder(String),
    /// Longer than 200 bytes.
    #[error("the pattern is longer than {MAX_PATTERN_BYTES} bytes")]
    TooLong,
}

impl Pattern {
    /// The words that may stand in braces.
    pub const PLACEHOLDERS: [&'static str; 3] = ["digits", "word", "text"];

    /// From what was typed.
    ///
    /// # Errors
    /// Where there is not exactly one placeholder, an unknown one, or the pattern is too long.
    pub fn new(typed: &str) -> Result<Self, PatternError> {
        if typed.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong);
        }
        let mut regex = String::new();
        let mut count = 0;
        let mut rest = typed.trim();
        let mut before = true;
        while let Some((literal, tail)) = rest.split_once('{') {
            push_literal(&mut regex, literal, before);
            let (placeholder, after) = tail.split_once('}').ok_or_else(|| PatternError::UnknownPlaceholder(tail.to_owned()))?;
            let joined = after.chars().next().is_some_and(char::is_alphanumeric);
            regex.push_str(match placeholder.trim() {
                "digits" if before && literal.is_empty() => r"\b",
                "digits" => "",
                "word" => r"([\p{L}\p{N}][\p{L}\p{N}_'’-]*)",
                "text" if after.is_empty() => r"(\S[^\r\n]{0,199})",
                "text" => r"(\S[^\r\n]{0,199}?)",
                other => return Err(PatternError::UnknownPlaceholder(other.to_owned())),
            });
            if placeholder.trim() == "digits" {
                // Up to 30 digits: no order, ticket or account number is longer.
                regex.push_str(if joined { "([0-9]{1,30})" } else { r"([0-9]{1,30})\b" });
            }
            count += 1;
            before = false;
            rest = after;
        }
        if count != 1 {
            return Err(PatternError::Placeholders(count));
        }
        push_literal(&mut regex, rest, false);
        let regex = RegexBuilder::new(&regex)
            .case_insensitive(true)
            .size_limit(MAX_COMPILED_BYTES)
            .build()
            .map_err(|_too_big| PatternError::TooLong)?;
        Ok(Self { typed: typed.to_owned(), regex })
    }

    /// What was typed.
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// The first value in the text.
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.regex.captures(text).and_then(|c| c.get(1)).map(|m| m.as_str().trim_end())
    }
}

/// The literal part: quoted, blanks as any blanks, beginning at a word's start where it begins with a letter.
fn push_literal(regex: &mut String, literal: &str, first: bool) {
    if first && literal.chars().next().is_some_and(char::is_alphanumeric) {
        regex.push_str(r"\b");
    }
    let mut blank = false;
    for c in literal.chars() {
        if c.is_whitespace() {
            if !blank {
                regex.push_str(r"\s+");
            }
            blank = true;
        } else {
            blank = false;
            regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_finds_what_its_writer_means() {
        for (pattern, text, expected) in [
            ("order {digits}", "My order 4711 arrived", Some("4711")),
            ("order {digits}", "Wrong item delivered again. Order 545140.", Some("545140")),
            ("order {digits}", "ORDER\n 12", Some("12")),
            ("order {digits}", "reorder 12", None),
            ("order {digits}", "order 12abc", None),
            ("order {digits}", "order abc", None),
            ("order #{digits}", "order #99!", Some("99")),
            ("ordine {digits}", "rimborso per l'ordine 123456, sono", Some("123456")),
            ("{digits} orders", "I have 12 orders", Some("12")),
            ("{digits}", "ref 7", Some("7")),
            ("città {word}", "la CITTÀ Lecce.", Some("Lecce")),
            ("name is {word}", "my name is O'Neill-Smith!", Some("O'Neill-Smith")),
            ("about {text}", "about the late delivery ", Some("the late delivery")),
            ("from {text} to", "from Lecce Sud to Roma", Some("Lecce Sud")),
            ("a+b {digits}", "a+b 3", Some("3")),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().find(text), expected, "{pattern} in {text}");
        }
    }

    #[test]
    fn a_pattern_without_one_known_placeholder_is_refused() {
        assert_eq!(Pattern::new("order").err(), Some(PatternError::Placeholders(0)));
        assert_eq!(Pattern::new("{digits} {word}").err(), Some(PatternError::Placeholders(2)));
        assert_eq!(Pattern::new("order {digit}").err(), Some(PatternError::UnknownPlaceholder("digit".into())));
        assert_eq!(Pattern::new("order {digits").err(), Some(PatternError::UnknownPlaceholder("digits".into())));
        assert_eq!(Pattern::new(&"x".repeat(300)).err(), Some(PatternError::TooLong));
    }

    proptest::proptest! {
        #[test]
        fn any_pattern_compiles_or_is_refused(pattern in "[a-z \\\\(\\[*+?{}é]{0,20}\\{(digits|word|text|x)\\}[a-z \\\\(\\[*+?é]{0,20}", text in ".{0,80}") {
            if let Ok(pattern) = Pattern::new(&pattern) {
                proptest::prop_assert!(pattern.find(&text).is_none_or(|found| text.contains(found)));
            }
        }
    }
}
