//! Canonical JSON read in one pass: checked and taken apart at once, texts borrowed, values as one flat list.
//!
//! A log of ten million entries is verified entry by entry, so reading one must cost no tree of allocations and no second look.

use super::canonical::{MAX_DEPTH, MAX_SAFE_INTEGER, NotCanonical, key_order, push_escape, push_number};
use std::borrow::Cow;
use std::cmp::Ordering;

/// A canonical JSON text that was read: its values in the order in which they begin.
#[derive(Debug)]
pub(super) struct Tape<'a> {
    text: &'a str,
    nodes: Vec<Node<'a>>,
}

#[derive(Debug)]
struct Node<'a> {
    what: What<'a>,
    /// The bytes of the text.
    from: usize,
    to: usize,
    /// How many nodes belong to it, itself included.
    span: usize,
}

#[derive(Debug)]
enum What<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
    Array,
    /// Names and values by turns.
    Object,
}

impl<'a> Tape<'a> {
    /// Reads one canonical JSON value: the text that [`super::canonical::to_vec`] would write.
    ///
    /// # Errors
    /// The first place where it is not that.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, NotCanonical> {
        let text = std::str::from_utf8(bytes).map_err(|e| NotCanonical { at: e.valid_up_to(), reason: "not UTF-8" })?;
        // An entry of 650 bytes has 45 values, names included.
        let mut scanner = Scanner { text, at: 0, nodes: Vec::with_capacity(64) };
        scanner.value(0)?;
        if scanner.at == bytes.len() { Ok(Self { text, nodes: scanner.nodes }) } else { Err(scanner.wrong("something follows the value")) }
    }

    /// The value.
    pub(super) fn json(&self) -> Json<'_> {
        Json { text: self.text, nodes: &self.nodes }
    }
}

/// A value on a tape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json<'t> {
    text: &'t str,
    /// Its node first, then those that belong to it; what follows is not its own.
    nodes: &'t [Node<'t>],
}

impl<'t> Json<'t> {
    fn what(self) -> Option<&'t What<'t>> {
        self.nodes.first().map(|node| &node.what)
    }

    /// The canonical text of the value itself.
    pub(super) fn raw(self) -> &'t str {
        self.nodes.first().and_then(|node| self.text.get(node.from..node.to)).unwrap_or_default()
    }

    pub(super) fn is_null(self) -> bool {
        matches!(self.what(), Some(What::Null))
    }

    pub(super) fn as_bool(self) -> Option<bool> {
        if let Some(What::Bool(value)) = self.what() { Some(*value) } else { None }
    }

    pub(super) fn as_str(self) -> Option<&'t str> {
        if let Some(What::Text(text)) = self.what() { Some(text) } else { None }
    }

    pub(super) fn as_f64(self) -> Option<f64> {
        if let Some(What::Number(number)) = self.what() { Some(*number) } else { None }
    }

    /// A whole number from 0 to 2^53 − 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "whole and in range")]
    pub(super) fn as_u64(self) -> Option<u64> {
        let number = self.as_f64()?;
        (number.fract() == 0.0 && (0.0..=MAX_SAFE_INTEGER as f64).contains(&number)).then_some(number as u64)
    }

    /// A whole number between −(2^53 − 1) and 2^53 − 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "whole and in range")]
    pub(super) fn as_i64(self) -> Option<i64> {
        let number = self.as_f64()?;
        (number.fract() == 0.0 && number.abs() <= MAX_SAFE_INTEGER as f64).then_some(number as i64)
    }

    /// The elements of an array.
    pub(super) fn elements(self) -> Option<Elements<'t>> {
        matches!(self.what(), Some(What::Array)).then(|| self.inside())
    }

    /// The members of an object.
    pub(super) fn members(self) -> Option<Members<'t>> {
        matches!(self.what(), Some(What::Object)).then(|| Members { rest: self.inside(), next: None, surplus: false })
    }

    /// The member of an object with this name.
    pub(super) fn get(self, name: &str) -> Option<Self> {
        if !matches!(self.what(), Some(What::Object)) {
            return None;
        }
        let mut inside = self.inside();
        while let (Some(key), Some(value)) = (inside.next(), inside.next()) {
            if key.as_str() == Some(name) {
                return Some(value);
            }
        }
        None
    }

    fn inside(self) -> Elements<'t> {
        let nodes = self.nodes.first().and_then(|node| self.nodes.get(1..node.span)).unwrap_or_default();
        Elements { text: self.text, nodes }
    }
}

/// The values that stand directly in another one.
#[derive(Clone, Debug)]
pub(super) struct Elements<'t> {
    text: &'t str,
    nodes: &'t [Node<'t>],
}

impl<'t> Iterator for Elements<'t> {
    type Item = Json<'t>;
    fn next(&mut self) -> Option<Json<'t>> {
        let (own, rest) = self.nodes.split_at_checked(self.nodes.first()?.span)?;
        self.nodes = rest;
        Some(Json { text: self.text, nodes: own })
    }
}

/// The members of an object, to be taken in canonical order.
#[derive(Debug)]
pub(super) struct Members<'t> {
    rest: Elements<'t>,
    /// A member whose name was looked at and not taken.
    next: Option<(&'t str, Json<'t>)>,
    surplus: bool,
}

impl<'t> Members<'t> {
    /// Takes the member with this name. Names are asked for in canonical order; a member that is passed is surplus.
    pub(super) fn take(&mut self, name: &str) -> Option<Json<'t>> {
        loop {
            let (key, value) = self.next.take().or_else(|| Some((self.rest.next()?.as_str()?, self.rest.next()?)))?;
            if key == name {
                return Some(value);
            }
            match key_order(key, name) {
                Ordering::Less => self.surplus = true,
                Ordering::Equal | Ordering::Greater => {
                    self.next = Some((key, value));
                    return None;
                }
            }
        }
    }

    /// Whether every member was taken.
    pub(super) fn all_taken(mut self) -> bool {
        !self.surplus && self.next.is_none() && self.rest.next().is_none()
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    nodes: Vec<Node<'a>>,
}

impl<'a> Scanner<'a> {
    const fn wrong(&self, reason: &'static str) -> NotCanonical {
        NotCanonical { at: self.at, reason }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn leaf(&mut self, what: What<'a>, from: usize) {
        self.nodes.push(Node { what, from, to: self.at, span: 1 });
    }

    fn word(&mut self, word: &'static str, what: What<'a>) -> Result<(), NotCanonical> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.wrong("no JSON value"));
        }
        let from = self.at;
        self.at += word.len();
        self.leaf(what, from);
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<(), NotCanonical> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("nested too deep"));
        }
        match self.peek() {
            Some(b'{') => self.within(What::Object, |scanner| scanner.object(depth)),
            Some(b'[') => self.within(What::Array, |scanner| scanner.array(depth)),
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.word("true", What::Bool(true)),
            Some(b'f') => self.word("false", What::Bool(false)),
            Some(b'n') => self.word("null", What::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.wrong("no JSON value")),
        }
    }

    /// A value that others stand in: its node comes before theirs and learns at the end how far it reaches.
    fn within(&mut self, what: What<'a>, read: impl FnOnce(&mut Self) -> Result<(), NotCanonical>) -> Result<(), NotCanonical> {
        let place = self.nodes.len();
        self.leaf(what, self.at);
        self.at += 1;
        read(self)?;
        let (to, span) = (self.at, self.nodes.len() - place);
        if let Some(node) = self.nodes.get_mut(place) {
            (node.to, node.span) = (to, span);
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), NotCanonical> {
        if self.take(b'}') {
            return Ok(());
        }
        let mut last: Option<usize> = None;
        loop {
            let start = self.at;
            let key = self.string()?;
            if last.is_some_and(|last| self.order(last, key) != Ordering::Less) {
                return Err(NotCanonical { at: start, reason: "a member is out of order or twice" });
            }
            last = Some(key);
            if !self.take(b':') {
                return Err(self.wrong("`:` is missing"));
            }
            self.value(depth + 1)?;
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.wrong("`,` or `}` is missing"));
            }
        }
    }

    /// The order of two texts on the tape.
    fn order(&self, a: usize, b: usize) -> Ordering {
        let text = |at: usize| match self.nodes.get(at).map(|node| &node.what) {
            Some(What::Text(text)) => &**text,
            _ => "",
        };
        key_order(text(a), text(b))
    }

    fn array(&mut self, depth: usize) -> Result<(), NotCanonical> {
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.wrong("`,` or `]` is missing"));
            }
        }
    }

    /// Reads a text and says where on the tape it stands.
    fn string(&mut self) -> Result<usize, NotCanonical> {
        let from = self.at;
        if !self.take(b'"') {
            return Err(self.wrong("`\"` is missing"));
        }
        let mut decoded: Option<String> = None;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let length = plain_length(rest.as_bytes());
            let run = rest.get(..length).unwrap_or_default();
            self.at += length;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    let text = match decoded {
                        None => Cow::Borrowed(run),
                        Some(text) => Cow::Owned(text + run),
                    };
                    self.leaf(What::Text(text), from);
                    return Ok(self.nodes.len() - 1);
                }
                Some(b'\\') => {
                    let text = decoded.get_or_insert_with(String::new);
                    text.push_str(run);
                    let escaped = self.escape()?;
                    if let Some(text) = decoded.as_mut() {
                        text.push(char::from(escaped));
                    }
                }
                Some(_) => return Err(self.wrong("a control character stands unescaped")),
                None => return Err(self.wrong("a string does not end")),
            }
        }
    }

    /// Reads an escape; the byte it stands for has no other canonical form.
    fn escape(&mut self) -> Result<u8, NotCanonical> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
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

    fn number(&mut self) -> Result<(), NotCanonical> {
        let from = self.at;
        let rest = self.text.get(from..).unwrap_or_default();
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
        self.leaf(What::Number(number), from);
        Ok(())
    }
}

/// How many bytes there are before a quote, a backslash or a control character: eight at a time, as "Determine if a word has a zero byte"
/// and "a byte less than n" of Bit Twiddling Hacks (Anderson, 2005) do it; the lowest mark is exact.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let less = |word: u64, than: u8| word.wrapping_sub(ONES * u64::from(than)) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut length = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let marks = less(word ^ (ONES * u64::from(b'"')), 1) | less(word ^ (ONES * u64::from(b'\\')), 1) | less(word, 0x20);
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
    fn values_are_found_by_name_and_place() {
        let tape = Tape::read(r#"{"a":[1,-2.5,[],{"x":null}],"b\n":"c\"d","é":true}"#.as_bytes()).unwrap();
        let json = tape.json();
        let items: Vec<_> = json.get("a").unwrap().elements().unwrap().collect();
        assert_eq!(items.len(), 4);
        assert_eq!((items[0].as_u64(), items[1].as_u64(), items[1].as_f64()), (Some(1), None, Some(-2.5)));
        assert_eq!(items[2].elements().unwrap().count(), 0);
        assert_eq!((items[3].raw(), items[3].get("x").unwrap().is_null()), (r#"{"x":null}"#, true));
        assert_eq!(json.get("b\n").unwrap().as_str(), Some("c\"d"));
        assert_eq!(json.get("b\n").unwrap().raw(), r#""c\"d""#);
        assert_eq!(json.get("é").unwrap().as_bool(), Some(true));
        assert!(json.get("x").is_none() && items[0].get("x").is_none() && json.elements().is_none());
    }

    #[test]
    fn members_are_taken_in_order_and_what_is_passed_or_left_is_surplus() {
        let tape = Tape::read(br#"{"a":1,"b":2,"d":3}"#).unwrap();
        let members = || tape.json().members().unwrap();
        let mut all = members();
        assert_eq!(["a", "b", "c", "d"].map(|name| all.take(name).and_then(Json::as_u64)), [Some(1), Some(2), None, Some(3)]);
        assert!(all.all_taken());
        let mut passed = members();
        assert!(passed.take("b").is_some() && passed.take("d").is_some());
        assert!(!passed.all_taken());
        let mut left = members();
        assert!(left.take("a").is_some() && left.take("b").is_some() && left.take("c").is_none());
        assert!(!left.all_taken());
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
        let read = |text: &str| Tape::read(text.as_bytes()).map(|tape| (tape.json().as_u64(), tape.json().as_i64()));
        assert_eq!(read("9007199254740991"), Ok((Some(MAX_SAFE_INTEGER), Some(9_007_199_254_740_991))));
        assert_eq!(read("9007199254740992"), Ok((None, None)));
        assert_eq!(read("-7"), Ok((None, Some(-7))));
        assert_eq!(read("1e+30"), Ok((None, None)));
        assert_eq!(read("0.5"), Ok((None, None)));
        assert_eq!(read("0"), Ok((Some(0), Some(0))));
    }
}
