//! Canonical JSON of any form, read in one pass: checked and taken apart at once, texts borrowed, values as one flat list.

use super::canonical::{MAX_DEPTH, NotCanonical, key_order};
use super::cursor::{self, Cursor};
use super::member::Item;
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
        let mut cursor = Cursor::new(text);
        let nodes = nodes(&mut cursor, 0)?;
        if cursor.ended() { Ok(Self { text, nodes }) } else { Err(cursor.wrong("something follows the value")) }
    }

    /// Reads the value at a cursor, `depth` values deep.
    pub(super) fn at(cursor: &mut Cursor<'a>, depth: usize) -> Option<Self> {
        let nodes = nodes(cursor, depth).ok()?;
        Some(Self { text: cursor.text(), nodes })
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
    pub(super) fn as_u64(self) -> Option<u64> {
        self.as_f64().and_then(cursor::as_count)
    }

    /// What an entry's member of this type says.
    pub(super) fn read<T: Item>(self) -> Option<T> {
        let mut cursor = Cursor::new(self.raw());
        T::read(&mut cursor).filter(|_| cursor.ended())
    }

    /// The elements of an array.
    pub(super) fn elements(self) -> Option<Elements<'t>> {
        matches!(self.what(), Some(What::Array)).then(|| self.inside())
    }

    /// The members of an object.
    pub(super) fn members(self) -> Option<Members<'t>> {
        matches!(self.what(), Some(What::Object)).then(|| Members { rest: self.inside(), next: None, surplus: false })
    }

    /// The names of an object's members.
    pub(super) fn names(self) -> impl Iterator<Item = &'t str> {
        let mut inside = if matches!(self.what(), Some(What::Object)) { Some(self.inside()) } else { None };
        std::iter::from_fn(move || {
            let name = inside.as_mut()?.next()?.as_str();
            inside.as_mut()?.next();
            name
        })
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

/// Reads the value at a cursor, `depth` values deep, and says what it is made of.
fn nodes<'a>(cursor: &mut Cursor<'a>, depth: usize) -> Result<Vec<Node<'a>>, NotCanonical> {
    // A decision's evidence of 1,000 bytes has 60 values, names included.
    let mut scanner = Scanner { cursor, nodes: Vec::with_capacity(64) };
    scanner.value(depth)?;
    Ok(scanner.nodes)
}

struct Scanner<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    nodes: Vec<Node<'a>>,
}

impl<'a> Scanner<'_, 'a> {
    fn leaf(&mut self, what: What<'a>, from: usize) {
        self.nodes.push(Node { what, from, to: self.cursor.at(), span: 1 });
    }

    fn word(&mut self, word: &'static str, what: What<'a>) -> Result<(), NotCanonical> {
        let from = self.cursor.at();
        if !self.cursor.take_word(word) {
            return Err(self.cursor.wrong("no JSON value"));
        }
        self.leaf(what, from);
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<(), NotCanonical> {
        if depth > MAX_DEPTH {
            return Err(self.cursor.wrong("nested too deep"));
        }
        match self.cursor.peek() {
            Some(b'{') => self.within(What::Object, |scanner| scanner.object(depth)),
            Some(b'[') => self.within(What::Array, |scanner| scanner.array(depth)),
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.word("true", What::Bool(true)),
            Some(b'f') => self.word("false", What::Bool(false)),
            Some(b'n') => self.word("null", What::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.cursor.wrong("no JSON value")),
        }
    }

    /// A value that others stand in: its node comes before theirs and learns at the end how far it reaches.
    fn within(&mut self, what: What<'a>, read: impl FnOnce(&mut Self) -> Result<(), NotCanonical>) -> Result<(), NotCanonical> {
        let place = self.nodes.len();
        self.leaf(what, self.cursor.at());
        // The bracket was looked at.
        let opened = self.cursor.take(b'{') || self.cursor.take(b'[');
        debug_assert!(opened);
        read(self)?;
        let (to, span) = (self.cursor.at(), self.nodes.len() - place);
        if let Some(node) = self.nodes.get_mut(place) {
            (node.to, node.span) = (to, span);
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), NotCanonical> {
        if self.cursor.take(b'}') {
            return Ok(());
        }
        let mut last: Option<usize> = None;
        loop {
            let start = self.cursor.at();
            let key = self.string()?;
            if last.is_some_and(|last| self.order(last, key) != Ordering::Less) {
                return Err(NotCanonical { at: start, reason: "a member is out of order or twice" });
            }
            last = Some(key);
            if !self.cursor.take(b':') {
                return Err(self.cursor.wrong("`:` is missing"));
            }
            self.value(depth + 1)?;
            if self.cursor.take(b'}') {
                return Ok(());
            }
            if !self.cursor.take(b',') {
                return Err(self.cursor.wrong("`,` or `}` is missing"));
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
        if self.cursor.take(b']') {
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            if self.cursor.take(b']') {
                return Ok(());
            }
            if !self.cursor.take(b',') {
                return Err(self.cursor.wrong("`,` or `]` is missing"));
            }
        }
    }

    /// Reads a text and says where on the tape it stands.
    fn string(&mut self) -> Result<usize, NotCanonical> {
        let from = self.cursor.at();
        let text = self.cursor.string()?;
        self.leaf(What::Text(text), from);
        Ok(self.nodes.len() - 1)
    }

    fn number(&mut self) -> Result<(), NotCanonical> {
        let from = self.cursor.at();
        let number = self.cursor.number()?;
        self.leaf(What::Number(number), from);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
