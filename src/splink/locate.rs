//! Where a value stands in a JSON text that was parsed: for messages, not for meaning.

use crate::diagnose::Span;

/// A step into a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

/// The bytes of the value at a path; of the last value on the way where the path leads nowhere.
pub(super) fn span(text: &str, path: &[Step<'_>]) -> Span {
    let mut at = space(text, 0);
    for step in path {
        match inside(text, at, *step) {
            Some(inner) => at = inner,
            None => break,
        }
    }
    Span { start: at, end: end(text, at) }
}

/// The byte of the file for a byte of the decoded text of a string that starts at `quote`.
pub(super) fn within(text: &str, quote: usize, decoded: usize) -> usize {
    let (mut at, mut count) = (quote + 1, 0);
    while count < decoded {
        let rest = text.get(at..).unwrap_or_default();
        let Some(letter) = rest.chars().next() else { break };
        if letter == '"' {
            break;
        }
        if letter != '\\' {
            at += letter.len_utf8();
            count += letter.len_utf8();
            continue;
        }
        if rest.chars().nth(1) == Some('u') {
            let code = rest.get(2..6).and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
            // Half of a pair: two bytes of the four.
            count += code.map_or(2, char::len_utf8);
            at += 6;
        } else {
            count += 1;
            at += 2;
        }
    }
    at.min(text.len())
}

fn space(text: &str, at: usize) -> usize {
    at + text.as_bytes().get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_whitespace()).count()
}

fn byte(text: &str, at: usize) -> u8 {
    text.as_bytes().get(at).copied().unwrap_or(0)
}

/// One past a value.
fn end(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, at);
    loop {
        match bytes.get(at) {
            None => return text.len(),
            Some(b'"') => at = string_end(text, at),
            Some(b'{' | b'[') => {
                depth += 1;
                at += 1;
            }
            Some(b'}' | b']') => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            Some(b',' | b':') if depth > 0 => {
                at += 1;
                continue;
            }
            Some(b) if b.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            Some(_) => at += bytes.get(at..).unwrap_or_default().iter().take_while(|b| !b",:]}[{\" \t\r\n".contains(b)).count().max(1),
        }
        if depth == 0 {
            return at;
        }
    }
}

fn string_end(text: &str, quote: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = quote + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn inside(text: &str, open: usize, step: Step<'_>) -> Option<usize> {
    let is_object = match (byte(text, open), step) {
        (b'{', Step::Key(_)) => true,
        (b'[', Step::Item(_)) => false,
        _ => return None,
    };
    let mut at = space(text, open + 1);
    let mut number = 0;
    while at < text.len() && !matches!(byte(text, at), b'}' | b']') {
        let mut value = at;
        let mut found = matches!(step, Step::Item(n) if n == number);
        if is_object {
            let key_end = string_end(text, at);
            let key = text.get(at..key_end).and_then(|key| serde_json::from_str::<String>(key).ok());
            found = matches!((step, &key), (Step::Key(wanted), Some(key)) if wanted == key);
            value = space(text, space(text, key_end) + 1);
        }
        if found {
            return Some(value);
        }
        number += 1;
        at = space(text, end(text, value));
        if byte(text, at) == b',' {
            at = space(text, at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_found_by_their_path() {
        let text = r#"{ "a" : [ 1, {"b": "x\"y"}, [2, 3] ], "c\u00e9": { "d": true } }"#;
        let at = |path: &[Step<'_>]| {
            let span = span(text, path);
            text.get(span.start..span.end).unwrap_or_default()
        };
        assert_eq!(at(&[Step::Key("a"), Step::Item(1), Step::Key("b")]), r#""x\"y""#);
        assert_eq!(at(&[Step::Key("a"), Step::Item(2)]), "[2, 3]");
        assert_eq!(at(&[Step::Key("cé"), Step::Key("d")]), "true");
        let quote = span(text, &[Step::Key("a"), Step::Item(1), Step::Key("b")]).start;
        assert_eq!(text.get(within(text, quote, 2)..within(text, quote, 3)), Some("y"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}", n in 0_usize..4) {
            let found = span(&text, &[Step::Key("a"), Step::Item(n)]);
            prop_assert!(found.start <= text.len() && found.end <= text.len());
            let _any = within(&text, n, 3);
        }
    }
}
