//! Canonical JSON read where it stands: the one spelling that a value may have, taken piece by piece as the reader asks for it.
//!
//! A log of ten million entries is verified entry by entry. A reader that knows which member may come next compares bytes and takes the value:
//! no tree, no list of values, no second look. What it does not ask for it can't pass, so surplus, order and spelling are checked on the way.

use super::canonical::{MAX_SAFE_INTEGER, NotCanonical, push_escape, push_number};
use std::borrow::Cow;

/// A place in a canonical JSON text.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) const fn text(&self) -> &'a str {
        self.text
    }

    /// How many bytes were read.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The text from a place on up to here.
    pub(super) fn since(&self, from: usize) -> &'a str {
        self.text.get(from..self.at).unwrap_or_default()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    pub(super) const fn wrong(&self, reason: &'static str) -> NotCanonical {
        NotCanonical { at: self.at, reason }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes this byte, where it is the next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Passes these bytes, where they are the next.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.begins(word);
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// Whether these bytes are the next.
    pub(super) fn begins(&self, word: &str) -> bool {
        self.rest().starts_with(word.as_bytes())
    }

    /// Whether nothing follows.
    pub(super) const fn ended(&self) -> bool {
        self.at == self.text.len()
    }

    /// Passes the `{` of an object.
    pub(super) fn begin_object(&mut self) -> Option<()> {
        self.take(b'{').then_some(())
    }

    /// Passes the name of the member that follows, where it is this one, which is ASCII without a quote or a backslash.
    #[inline]
    pub(super) fn key(&mut self, name: &str) -> bool {
        let first = self.at.checked_sub(1).and_then(|before| self.text.as_bytes().get(before)) == Some(&b'{');
        let rest = self.rest();
        let found = if first { Some(rest) } else { rest.strip_prefix(b",") }
            .and_then(|rest| rest.strip_prefix(b"\"")?.strip_prefix(name.as_bytes())?.strip_prefix(b"\":"));
        match found {
            Some(after) => {
                self.at = self.text.len() - after.len();
                true
            }
            None => false,
        }
    }

    /// Passes the `}` of an object; a member that nobody asked for stands before it.
    pub(super) fn end_object(&mut self) -> Option<()> {
        self.take(b'}').then_some(())
    }

    /// The elements of an array.
    pub(super) fn elements<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut elements = Vec::new();
        if !self.take(b'[') {
            return None;
        }
        if self.take(b']') {
            return Some(elements);
        }
        loop {
            elements.push(read(self)?);
            if self.take(b']') {
                return Some(elements);
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self) -> Option<bool> {
        if self.take_word("true") { Some(true) } else { self.take_word("false").then_some(false) }
    }

    /// A text in which nothing is escaped: hexadecimal, base64, RFC 3339, a name of a closed list.
    #[inline]
    pub(super) fn plain(&mut self) -> Option<&'a str> {
        if !self.take(b'"') {
            return None;
        }
        let from = self.at;
        self.at += plain_length(self.rest());
        let text = self.since(from);
        self.take(b'"').then_some(text)
    }

    /// A text.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, NotCanonical> {
        if !self.take(b'"') {
            return Err(self.wrong("`\"` is missing"));
        }
        let from = self.at;
        self.at += plain_length(self.rest());
        let run = self.since(from);
        if self.take(b'"') { Ok(Cow::Borrowed(run)) } else { self.escaped(run).map(Cow::Owned) }
    }

    /// The rest of a text in which something is escaped.
    #[cold]
    fn escaped(&mut self, run: &str) -> Result<String, NotCanonical> {
        let mut text = run.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(char::from(self.escape()?)),
                Some(_) => return Err(self.wrong("a control character stands unescaped")),
                None => return Err(self.wrong("a string does not end")),
            }
            let from = self.at;
            self.at += plain_length(self.rest());
            text.push_str(self.since(from));
        }
    }

    /// Reads an escape; the byte it stands for has no other canonical form.
    fn escape(&mut self) -> Result<u8, NotCanonical> {
        let rest = self.rest();
        let byte = match rest {
            [_, b'"', ..] => b'"',
            [_, b'\\', ..] => b'\\',
            [_, b'b', ..] => 0x08,
            [_, b't', ..] => 0x09,
            [_, b'n', ..] => 0x0a,
            [_, b'f', ..] => 0x0c,
            [_, b'r', ..] => 0x0d,
            [_, b'u', b'0', b'0', high @ (b'0' | b'1'), low @ (b'0'..=b'9' | b'a'..=b'f'), ..] => {
                let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or(0);
                digit(*high) * 16 + digit(*low)
            }
            _ => return Err(self.wrong("an escape that canonical JSON does not use")),
        };
        let mut canonical = Vec::with_capacity(6);
        push_escape(&mut canonical, byte);
        if !rest.starts_with(&canonical) {
            return Err(self.wrong("an escape that canonical JSON does not use"));
        }
        self.at += canonical.len();
        Ok(byte)
    }

    /// A number.
    pub(super) fn number(&mut self) -> Result<f64, NotCanonical> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.bytes().position(|b| !matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).unwrap_or(rest.len());
        let written = rest.get(..length).unwrap_or_default();
        let number = if let Some(number) = small_whole(written) {
            number
        } else {
            let number: f64 = written.parse().unwrap_or(f64::NAN);
            let mut canonical = Vec::with_capacity(length);
            push_number(&mut canonical, number);
            if canonical != written.as_bytes() {
                return Err(self.wrong("a number in another form than canonical JSON's"));
            }
            number
        };
        self.at += length;
        Ok(number)
    }

    /// A whole number from 0 to 2^53 − 1.
    pub(super) fn count(&mut self) -> Option<u64> {
        as_count(self.number().ok()?)
    }

    /// A whole number between −(2^53 − 1) and 2^53 − 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "whole and in range")]
    pub(super) fn whole(&mut self) -> Option<i64> {
        let number = self.number().ok()?;
        (number.fract() == 0.0 && number.abs() <= MAX_SAFE_INTEGER as f64).then_some(number as i64)
    }
}

/// A number as a whole one from 0 to 2^53 − 1, where it is.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "whole and in range")]
pub(super) fn as_count(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..=MAX_SAFE_INTEGER as f64).contains(&number)).then_some(number as u64)
}

/// How many bytes there are before a quote, a backslash or a control character: eight at a time, as "Determine if a word has a zero byte"
/// and "a byte less than n" of Bit Twiddling Hacks (Anderson, 2005) do it; the lowest mark is exact.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut length = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let (quote, backslash) = (word ^ (ONES * u64::from(b'"')), word ^ (ONES * u64::from(b'\\')));
        let less = quote.wrapping_sub(ONES) & !quote | backslash.wrapping_sub(ONES) & !backslash | word.wrapping_sub(ONES * 0x20) & !word;
        let marks = less & HIGH;
        if marks != 0 {
            return length + marks.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    length + rest.iter().position(|b| *b == b'"' || *b == b'\\' || *b < 0x20).unwrap_or(rest.len())
}

/// A whole number of at most nine digits without a leading zero: most of the numbers of a log, and canonical as it stands.
fn small_whole(written: &str) -> Option<f64> {
    let digits = written.as_bytes();
    if !(1..=9).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) || (digits.len() > 1 && digits.first() == Some(&b'0')) {
        return None;
    }
    Some(f64::from(digits.iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_are_taken_one_after_the_other_and_none_is_passed() {
        let mut cursor = Cursor::new(r#"{"a":1,"b":"x","c":[true,false],"e":-7}"#);
        cursor.begin_object().unwrap();
        assert!(!cursor.key("b") && cursor.key("a"));
        assert_eq!(cursor.count(), Some(1));
        assert!(cursor.end_object().is_none() && !cursor.key("a") && cursor.key("b"));
        assert_eq!(cursor.plain(), Some("x"));
        assert!(cursor.key("c"));
        assert_eq!(cursor.elements(Cursor::boolean), Some(vec![true, false]));
        assert!(!cursor.key("d") && cursor.key("e"));
        assert_eq!(cursor.whole(), Some(-7));
        assert!(!cursor.ended() && cursor.end_object().is_some() && cursor.ended());
    }

    proptest! {
        #[test]
        fn a_run_ends_where_the_first_special_byte_stands(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0x1d_u8..0x24, 0x5a_u8..0x5f, 0x7e_u8..0x83, Just(b'a')], 0..40)) {
            let one_by_one = bytes.iter().position(|b| matches!(b, 0..0x20 | b'"' | b'\\')).unwrap_or(bytes.len());
            prop_assert_eq!(plain_length(&bytes), one_by_one);
        }
    }

    #[test]
    fn whole_numbers_are_whole_and_in_range() {
        let read = |text: &str| (Cursor::new(text).count(), Cursor::new(text).whole());
        assert_eq!(read("9007199254740991"), (Some(MAX_SAFE_INTEGER), Some(9_007_199_254_740_991)));
        assert_eq!(read("9007199254740992"), (None, None));
        assert_eq!(read("-7"), (None, Some(-7)));
        assert_eq!(read("1e+30"), (None, None));
        assert_eq!(read("0.5"), (None, None));
        assert_eq!(read("0"), (Some(0), Some(0)));
    }
}
