//! Text to a tree, within limits.

use super::chars::{is_char, is_ncname};
use super::{Attribute, Element, Item, Name, Scope, decode};
use quick_xml::XmlVersion;
use quick_xml::errors::{Error, IllFormedError};
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use std::collections::HashMap;
use std::sync::Arc;

/// How much a document may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes, as they come and decoded.
    pub bytes: usize,
    /// Elements within elements; the tree is walked and dropped by recursion.
    pub depth: usize,
    /// Elements in all. One takes about 150 bytes beside its text.
    pub elements: usize,
    /// Attributes and declarations of one element; they are compared with each other.
    pub attributes: usize,
}

impl Limits {
    /// An answer: 8 MiB are 200 records of 40 KiB; 200,000 elements take 30 MB.
    pub const ANSWER: Self = Self { bytes: 8 << 20, depth: 128, elements: 200_000, attributes: 64 };
    /// A WSDL or schema: the largest that vendors publish has about 6 MiB and 100,000 elements.
    pub const CONTRACT: Self = Self { bytes: 16 << 20, depth: 128, elements: 400_000, attributes: 256 };
}

/// Why a document can't be read. Holds none of its content.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{kind}")]
pub struct XmlError {
    /// What is wrong.
    pub kind: XmlErrorKind,
    /// Where, in bytes of the decoded text.
    pub offset: usize,
}

/// What is wrong with a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum XmlErrorKind {
    /// Its declaration or content type names an encoding that nobody knows.
    #[error("an encoding that is not known")]
    UnknownEncoding,
    /// Its bytes are not of its encoding.
    #[error("not valid {0}")]
    NotText(&'static str),
    /// It ends in the middle.
    #[error("it ends in the middle")]
    CutOff,
    /// Nothing but blanks and comments.
    #[error("there is no element")]
    Empty,
    /// Not well-formed.
    #[error("not well-formed: {0}")]
    Malformed(&'static str),
    /// A document type.
    #[error("it has a document type, which is never read")]
    DocType,
    /// An entity that XML does not predefine.
    #[error("a reference to an entity that XML does not predefine")]
    Entity,
    /// A character that XML 1.0 cannot carry.
    #[error("a character that XML 1.0 does not allow")]
    Character,
    /// A prefix that is not declared.
    #[error("a prefix that is not declared")]
    Prefix,
    /// More bytes than allowed.
    #[error("more than {0} bytes")]
    TooLarge(usize),
    /// Nested too deep.
    #[error("nested deeper than {0} elements")]
    TooDeep(usize),
    /// Too many elements.
    #[error("more than {0} elements")]
    TooManyElements(usize),
    /// Too many attributes at an element.
    #[error("an element with more than {0} attributes")]
    TooManyAttributes(usize),
}

/// Decodes and parses a document.
///
/// # Errors
/// The first thing wrong with it.
pub fn read(bytes: &[u8], content_type: Option<&str>, limits: &Limits) -> Result<Element, XmlError> {
    if bytes.len() > limits.bytes {
        return Err(XmlError { kind: XmlErrorKind::TooLarge(limits.bytes), offset: limits.bytes });
    }
    parse(&decode(bytes, content_type)?, limits)
}

/// Parses a document.
///
/// # Errors
/// The first thing wrong with it.
pub fn parse(text: &str, limits: &Limits) -> Result<Element, XmlError> {
    if text.len() > limits.bytes {
        return Err(XmlError { kind: XmlErrorKind::TooLarge(limits.bytes), offset: limits.bytes });
    }
    // Blanks before the declaration are an error that PHP scripts make; the document is none the less clear.
    let lead = text.len() - text.trim_start().len();
    let mut reader = Reader::from_str(text.trim_start());
    let config = reader.config_mut();
    config.check_end_names = true;
    config.expand_empty_elements = false;
    let mut building = Building { limits, open: Vec::new(), root: None, elements: 0, half: None, texts: HashMap::new() };
    loop {
        let start = offset(reader.buffer_position(), lead);
        let event = reader.read_event().map_err(|error| {
            let kind = kind_of(&error);
            XmlError { kind, offset: offset(reader.error_position(), lead) }
        })?;
        let tag = (start, offset(reader.buffer_position(), lead));
        let done = building.event(event, tag).map_err(|kind| XmlError { kind, offset: start })?;
        if done {
            break;
        }
    }
    match (building.root, building.open.is_empty()) {
        (Some(root), true) => Ok(root),
        (_, false) => Err(XmlError { kind: XmlErrorKind::CutOff, offset: text.len() }),
        (None, true) => Err(XmlError { kind: XmlErrorKind::Empty, offset: text.len() }),
    }
}

/// The entities that XML predefines (4.6).
fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => return None,
    })
}

/// A character reference that names half of a UTF-16 pair.
fn surrogate(reference: &str) -> Option<u16> {
    let digits = reference.strip_prefix('#')?;
    let number = digits.strip_prefix('x').map_or_else(|| digits.parse().ok(), |hex| u16::from_str_radix(hex, 16).ok())?;
    (0xD800..=0xDFFF).contains(&number).then_some(number)
}

fn offset(position: u64, lead: usize) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX).saturating_add(lead)
}

struct Building<'a> {
    limits: &'a Limits,
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
    /// The first half of a character that is written as a pair of references, as Axis 1.4 does. XML knows no such references (4.1), and
    /// they have one meaning only.
    half: Option<u16>,
    /// Each name and namespace once.
    texts: HashMap<Box<str>, Arc<str>>,
}

impl Building<'_> {
    /// Takes one event; true at the end.
    fn event(&mut self, event: Event<'_>, tag: (usize, usize)) -> Result<bool, XmlErrorKind> {
        let half = self.half.take();
        if half.is_some() && !matches!(event, Event::GeneralRef(_)) {
            return Err(XmlErrorKind::Entity);
        }
        match event {
            Event::Start(start) => {
                let element = self.element(&start, tag)?;
                self.open.push(element);
            }
            Event::Empty(start) => {
                let element = self.element(&start, tag)?;
                self.close(element);
            }
            Event::End(_) => {
                let element = self.open.pop().ok_or(XmlErrorKind::Malformed("an end tag without its start"))?;
                self.close(element);
            }
            Event::Text(text) => self.text(&text.xml10_content())?,
            Event::CData(text) => {
                if self.open.is_empty() {
                    return Err(XmlErrorKind::Malformed("text outside of the root element"));
                }
                self.text(&text.xml10_content())?;
            }
            Event::GeneralRef(reference) => {
                let c = match (half, surrogate(&reference)) {
                    (Some(high), Some(low)) => char::decode_utf16([high, low]).next().and_then(Result::ok),
                    (None, Some(high @ 0xD800..=0xDBFF)) => {
                        self.half = Some(high);
                        return Ok(false);
                    }
                    (None, None) => predefined(&reference).or_else(|| reference.resolve_char_ref().ok().flatten()),
                    (Some(_), None) | (None, Some(_)) => None,
                };
                let c = c.ok_or(XmlErrorKind::Entity)?;
                if self.open.is_empty() {
                    return Err(XmlErrorKind::Malformed("text outside of the root element"));
                }
                self.text(c.encode_utf8(&mut [0; 4]))?;
            }
            Event::DocType(_) => return Err(XmlErrorKind::DocType),
            Event::Decl(_) if self.root.is_some() || !self.open.is_empty() => {
                return Err(XmlErrorKind::Malformed("a declaration in the middle"));
            }
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return Ok(true),
        }
        Ok(false)
    }

    fn text(&mut self, text: &str) -> Result<(), XmlErrorKind> {
        let Some(parent) = self.open.last_mut() else {
            let blank = text.chars().all(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            return if blank { Ok(()) } else { Err(XmlErrorKind::Malformed("text outside of the root element")) };
        };
        if !text.chars().all(is_char) {
            return Err(XmlErrorKind::Character);
        }
        if let Some(Item::Text(before)) = parent.items.last_mut() {
            before.push_str(text);
        } else {
            parent.items.push(Item::Text(text.to_owned()));
        }
        Ok(())
    }

    fn close(&mut self, element: Element) {
        match self.open.last_mut() {
            Some(parent) => parent.items.push(Item::Element(element)),
            None => self.root = Some(element),
        }
    }

    fn element(&mut self, start: &BytesStart<'_>, tag: (usize, usize)) -> Result<Element, XmlErrorKind> {
        if self.root.is_some() {
            return Err(XmlErrorKind::Malformed("a second root element"));
        }
        if self.open.len() >= self.limits.depth {
            return Err(XmlErrorKind::TooDeep(self.limits.depth));
        }
        self.elements += 1;
        if self.elements > self.limits.elements {
            return Err(XmlErrorKind::TooManyElements(self.limits.elements));
        }
        let mut declared = Vec::new();
        let mut found: Vec<(&str, &str, String)> = Vec::new();
        // Our own look for doubles: theirs copies the names.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| kind_of(&Error::InvalidAttr(error)))?;
            if declared.len() + found.len() >= self.limits.attributes {
                return Err(XmlErrorKind::TooManyAttributes(self.limits.attributes));
            }
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| kind_of(&error))?;
            if attribute.value.contains('<') {
                return Err(XmlErrorKind::Malformed("`<` in an attribute's value"));
            }
            if !value.chars().all(is_char) {
                return Err(XmlErrorKind::Character);
            }
            let (prefix, local) = split(attribute.key.0)?;
            match (prefix, local) {
                ("", "xmlns") => declared.push(("".into(), self.shared(&value))),
                ("xmlns", "xml" | "xmlns") => {}
                ("xmlns", _) if value.is_empty() => return Err(XmlErrorKind::Malformed("a prefix for no namespace")),
                ("xmlns", prefix) => declared.push((prefix.into(), self.shared(&value))),
                _ => found.push((prefix, local, value.into_owned())),
            }
        }
        let doubled = declared.iter().enumerate().any(|(at, (p, _))| declared.iter().take(at).any(|(q, _)| p == q));
        if doubled {
            return Err(XmlErrorKind::Malformed("an attribute that stands twice"));
        }
        let outer = self.open.last().map(|parent| &parent.scope);
        let scope = match outer {
            Some(outer) if declared.is_empty() => Arc::clone(outer),
            _ => Arc::new(Scope::inside(outer.map(Arc::clone), declared)),
        };
        let (prefix, local) = split(start.name().0)?;
        let name = Name { namespace: scope.namespace(prefix).ok_or(XmlErrorKind::Prefix)?, local: self.shared(local) };
        let mut attributes: Vec<Attribute> = Vec::with_capacity(found.len());
        for (prefix, local, value) in found {
            let namespace = if prefix.is_empty() { "".into() } else { scope.namespace(prefix).ok_or(XmlErrorKind::Prefix)? };
            let name = Name { namespace, local: self.shared(local) };
            if attributes.iter().any(|a| a.name == name) {
                return Err(XmlErrorKind::Malformed("an attribute that stands twice"));
            }
            attributes.push(Attribute { name, value });
        }
        Ok(Element { name, attributes, items: Vec::new(), scope, tag })
    }

    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = text.into();
        self.texts.insert(text.into(), Arc::clone(&shared));
        shared
    }
}

/// What an error of the parser means. All but one of its errors of syntax say that the end came before something was closed.
fn kind_of(error: &Error) -> XmlErrorKind {
    match error {
        Error::Syntax(quick_xml::errors::SyntaxError::InvalidBangMarkup) => XmlErrorKind::Malformed("`<!` that begins nothing"),
        Error::Syntax(_) | Error::IllFormed(IllFormedError::MissingEndTag(_)) => XmlErrorKind::CutOff,
        Error::IllFormed(IllFormedError::MismatchedEndTag { .. }) => XmlErrorKind::Malformed("an end tag of another element"),
        Error::IllFormed(IllFormedError::UnmatchedEndTag(_)) => XmlErrorKind::Malformed("an end tag without its start"),
        Error::IllFormed(IllFormedError::UnclosedReference) => XmlErrorKind::Malformed("`&` without `;`"),
        Error::InvalidAttr(_) => XmlErrorKind::Malformed("an attribute that can't be read"),
        Error::Escape(_) => XmlErrorKind::Entity,
        Error::Encoding(_) => XmlErrorKind::NotText("UTF-8"),
        Error::Namespace(_) => XmlErrorKind::Prefix,
        Error::Io(_) | Error::IllFormed(_) => XmlErrorKind::Malformed("markup that can't be read"),
    }
}

/// Prefix and local part of a qualified name; the prefix is empty where there is none.
fn split(name: &str) -> Result<(&str, &str), XmlErrorKind> {
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    if is_ncname(local) && (prefix.is_empty() && !name.starts_with(':') || is_ncname(prefix)) {
        Ok((prefix, local))
    } else {
        Err(XmlErrorKind::Malformed("a name that can't be one"))
    }
}
