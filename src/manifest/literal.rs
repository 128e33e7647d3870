//! Python literals: what a template printed is read back as `ast.literal_eval` reads it, so that `{{ 5 }}` is a number.

use super::json::{Json, Members};
use std::sync::Arc;

/// Nested as deep as this; what is deeper stays text. No template prints more than a response, which has at most 128.
const MAX_DEPTH: usize = 128;

/// The value of a literal; `None` where the text is none (then it stays text), `nan` and complex numbers included.
pub fn evaluate(text: &str) -> Option<Json> {
    let text = first_line(text)?;
    // Most texts are none, and their first letter says so.
    let first = *text.as_bytes().first()?;
    let may_be = first.is_ascii_digit()
        || matches!(first, b'\'' | b'"' | b'[' | b'{' | b'(' | b'+' | b'-' | b'.' | b'N' | b'T' | b'F' | b'r' | b'R' | b'u' | b'U');
    if !may_be {
        return None;
    }
    let mut reader = Reader { rest: text, depth: 0 };
    let value = reader.tuple_or_value(None)?;
    reader.blanks(false);
    let left = reader.rest.trim_start_matches(['\n', '\r', ' ', '\t']);
    left.is_empty().then_some(value)
}

/// From the first line on that holds something. Blanks before it are passed over at the start of the text, and refused where lines that hold
/// nothing stand before it: to Python it is set in.
fn first_line(text: &str) -> Option<&str> {
    let blank = [' ', '\t', '\r'];
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n')
        && matches!(line.trim_matches(blank).as_bytes(), [] | [b'#', ..])
    {
        rest = after;
    }
    let begun = rest.trim_start_matches([' ', '\t']);
    (rest.len() == text.len() || begun.len() == rest.len()).then_some(begun)
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.rest.strip_prefix(c);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn word(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else { return false };
        if rest.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_') {
            return false;
        }
        self.rest = rest;
        true
    }

    /// Blanks and comments; line ends too where brackets are open.
    fn blanks(&mut self, lines: bool) {
        loop {
            let trimmed = self.rest.trim_start_matches(|c| matches!(c, ' ' | '\t' | '\u{c}') || (lines && matches!(c, '\n' | '\r')));
            if let Some(comment) = trimmed.strip_prefix('#') {
                self.rest = comment.split_once('\n').map_or("", |(words, _)| comment.get(words.len()..).unwrap_or_default());
                if !lines {
                    return;
                }
            } else {
                self.rest = trimmed;
                return;
            }
        }
    }

    /// `1, 2` without brackets, or inside of them, is a tuple, which is a list here.
    fn tuple_or_value(&mut self, close: Option<char>) -> Option<Json> {
        let lines = close.is_some();
        self.blanks(lines);
        if close.is_some_and(|close| self.peek() == Some(close)) {
            return Some(Json::List(Arc::default()));
        }
        let first = self.value(lines)?;
        self.blanks(lines);
        if self.peek() != Some(',') {
            return Some(first);
        }
        let mut items = vec![first];
        while self.take(',') {
            self.blanks(lines);
            if self.peek() == close || self.rest.is_empty() {
                break;
            }
            items.push(self.value(lines)?);
            self.blanks(lines);
        }
        Some(Json::List(Arc::new(items)))
    }

    fn value(&mut self, lines: bool) -> Option<Json> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let value = self.inner(lines);
        self.depth -= 1;
        value
    }

    fn inner(&mut self, lines: bool) -> Option<Json> {
        match self.peek()? {
            '[' => self.list(),
            '{' => self.map(),
            '(' => {
                self.take('(');
                let value = self.tuple_or_value(Some(')'))?;
                self.blanks(true);
                self.take(')').then_some(value)
            }
            '+' | '-' => self.signed(),
            c if c.is_ascii_digit() || c == '.' => self.number(),
            _ if self.word("None") => Some(Json::Null),
            _ if self.word("True") => Some(Json::Bool(true)),
            _ if self.word("False") => Some(Json::Bool(false)),
            _ => self.strings(lines),
        }
    }

    fn list(&mut self) -> Option<Json> {
        self.take('[');
        let mut items = Vec::new();
        loop {
            self.blanks(true);
            if self.take(']') {
                return Some(Json::List(Arc::new(items)));
            }
            items.push(self.value(true)?);
            self.blanks(true);
            if !self.take(',') && self.peek() != Some(']') {
                return None;
            }
        }
    }

    fn map(&mut self) -> Option<Json> {
        self.take('{');
        let mut members = Members::new();
        loop {
            self.blanks(true);
            if self.take('}') {
                return Some(Json::Map(Arc::new(members)));
            }
            let key = self.value(true)?;
            self.blanks(true);
            // A set has no JSON; it stays text.
            if !self.take(':') {
                return None;
            }
            self.blanks(true);
            let value = self.value(true)?;
            members.insert(key.shown().into(), value);
            self.blanks(true);
            if !self.take(',') && self.peek() != Some('}') {
                return None;
            }
        }
    }

    fn signed(&mut self) -> Option<Json> {
        let mut negative = false;
        while let Some(c @ ('+' | '-')) = self.peek() {
            negative ^= c == '-';
            self.take(c);
            self.blanks(false);
        }
        match self.number()? {
            Json::Int(n) => Some(Json::Int(if negative { -n } else { n })),
            Json::Float(n) => Some(Json::Float(if negative { -n } else { n })),
            Json::Null | Json::Bool(_) | Json::Text(_) | Json::List(_) | Json::Map(_) => None,
        }
    }

    fn number(&mut self) -> Option<Json> {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_')).unwrap_or(self.rest.len());
        let (mut token, mut after) = self.rest.split_at_checked(end)?;
        let hex = token.starts_with("0x") || token.starts_with("0X");
        if !hex && token.ends_with(['e', 'E']) && after.starts_with(['+', '-']) {
            // The sign of the exponent and what follows belong to it.
            let more = after.get(1..)?.find(|c: char| !(c.is_ascii_digit() || c == '_')).map_or(after.len(), |at| at + 1);
            (token, after) = self.rest.split_at_checked(end + more)?;
        }
        let value = number(token)?;
        self.rest = after;
        Some(value)
    }

    /// One string or several beside each other.
    fn strings(&mut self, lines: bool) -> Option<Json> {
        let mut all = self.string()?;
        loop {
            self.blanks(lines);
            match self.peek() {
                Some('\'' | '"' | 'r' | 'R' | 'u' | 'U') => all.push_str(&self.string()?),
                _ => return Some(Json::Text(all.into())),
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let raw = self.take('r') || self.take('R');
        if !raw && !self.take('u') {
            self.take('U');
        }
        let quote = self.peek().filter(|c| matches!(c, '\'' | '"'))?;
        let triple = if quote == '"' { "\"\"\"" } else { "'''" };
        let long = self.rest.strip_prefix(triple);
        self.rest = long.or_else(|| self.rest.strip_prefix(quote))?;
        let long = long.is_some();
        let mut out = String::new();
        loop {
            if long && let Some(rest) = self.rest.strip_prefix(triple) {
                self.rest = rest;
                return Some(out);
            }
            let c = self.peek()?;
            self.take(c);
            match c {
                c if c == quote && !long => return Some(out),
                '\n' if !long => return None,
                '\\' if raw => {
                    out.push('\\');
                    let next = self.peek()?;
                    self.take(next);
                    out.push(next);
                }
                '\\' => self.escape(&mut out)?,
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Option<()> {
        let c = self.peek()?;
        self.take(c);
        match c {
            '\n' => {}
            '\\' | '\'' | '"' => out.push(c),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'v' => out.push('\u{b}'),
            'x' => out.push(self.code(2, 16)?),
            'u' => out.push(self.code(4, 16)?),
            'U' => out.push(self.code(8, 16)?),
            '0'..='7' => {
                let mut value = c.to_digit(8)?;
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
                    value = value * 8 + digit;
                    self.rest = self.rest.get(1..)?;
                }
                out.push(char::from_u32(value)?);
            }
            // Unknown ones stay as they are.
            c => {
                out.push('\\');
                out.push(c);
            }
        }
        Some(())
    }

    fn code(&mut self, digits: usize, radix: u32) -> Option<char> {
        let (code, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        char::from_u32(u32::from_str_radix(code, radix).ok()?)
    }
}

/// `12`, `1_000`, `0xff`, `0o17`, `0b1`, `1.5`, `1e3`; never `007`, `1__0`, `1j`.
fn number(token: &str) -> Option<Json> {
    let bad_underscore = token.contains("__") || token.ends_with('_') || token.starts_with('_');
    if bad_underscore {
        return None;
    }
    let plain = token.replace('_', "");
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = plain.to_ascii_lowercase().strip_prefix(prefix) {
            return i128::from_str_radix(digits, radix).ok().map(Json::Int);
        }
    }
    if plain.bytes().all(|b| b.is_ascii_digit()) {
        let zeros_before_digits = plain.len() > 1 && plain.starts_with('0') && plain.bytes().any(|b| b != b'0');
        // Larger than i128 can't be held: it stays text.
        return if zeros_before_digits { None } else { plain.parse().ok().map(Json::Int) };
    }
    let float = plain.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && plain.bytes().any(|b| b.is_ascii_digit())
        && !token.contains("_.")
        && !token.contains("._");
    if float { plain.parse().ok().map(Json::Float) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        evaluate(text).map(|value| value.compact())
    }

    #[test]
    fn literals_are_values_and_all_else_stays_text() {
        for (text, json) in [
            ("5", "5"),
            (" 5", "5"),
            ("-5", "-5"),
            ("1_000", "1000"),
            ("0x1F", "31"),
            ("1.50", "1.5"),
            ("1e3", "1000.0"),
            ("1e-3", "0.001"),
            ("None", "null"),
            ("True", "true"),
            ("'a' 'b'", r#""ab""#),
            (r#""""{"a": 1}""""#, r#""{\"a\": 1}""#),
            ("{'a': [1, 2.0, None], \"b\": ()}", r#"{"a":[1,2.0,null],"b":[]}"#),
            ("\n[1]", "[1]"),
            ("  \n\n5", "5"),
            ("\r\n# one\n5", "5"),
            ("1, 2", "[1,2]"),
            ("(1,)", "[1]"),
            ("[1, # one\n 2]", "[1,2]"),
            (r"'\x41\u00e9\n'", r#""Aé\n""#),
        ] {
            assert_eq!(read(text).as_deref(), Some(json), "{text}");
        }
        for text in [
            "",
            "\n",
            "\n  [1]",
            " \n 5",
            "007",
            "abc",
            "2024-01-01",
            "1.2.3",
            "nan",
            "[1",
            "{1}",
            "1 2",
            "Truely",
            "1j",
            "null",
            "true",
            "'a",
            "1__0",
            "-",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in ".{0,40}") {
            evaluate(&text);
        }
    }
}
