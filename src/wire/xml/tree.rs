//! What was read.

use super::{Name, Scope};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// An attribute; those that declare namespaces are not among them.
#[derive(Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name; in no namespace without a prefix.
    pub name: Name,
    /// Its value, normalised as XML 1.0, 3.3.3 says.
    pub value: String,
}

/// A piece of content. Comments and processing instructions are not kept.
#[derive(Clone)]
pub enum Item {
    /// An element.
    Element(Element),
    /// Text, references resolved, CDATA as text; neighbours are one.
    Text(String),
}

/// An element. `Debug` shows names and lengths, never values.
#[derive(Clone)]
pub struct Element {
    /// Its name.
    pub name: Name,
    /// In the order of the document.
    pub attributes: Vec<Attribute>,
    /// In the order of the document.
    pub items: Vec<Item>,
    /// The prefixes in force.
    pub scope: Arc<Scope>,
    /// Byte offsets in the decoded text: of the `<`, and behind the start tag.
    pub tag: (usize, usize),
}

impl Element {
    /// The child elements.
    pub fn children(&self) -> impl DoubleEndedIterator<Item = &Self> {
        self.items.iter().filter_map(|item| match item {
            Item::Element(element) => Some(element),
            Item::Text(_) => None,
        })
    }

    /// The first child of this name.
    pub fn child(&self, namespace: &str, local: &str) -> Option<&Self> {
        self.children().find(|c| c.name.is(namespace, local))
    }

    /// An attribute in no namespace.
    pub fn attribute(&self, local: &str) -> Option<&str> {
        self.attribute_in("", local)
    }

    /// An attribute.
    pub fn attribute_in(&self, namespace: &str, local: &str) -> Option<&str> {
        self.attributes.iter().find(|a| a.name.is(namespace, local)).map(|a| a.value.as_str())
    }

    /// The text right inside it, that of child elements left out.
    pub fn text(&self) -> Cow<'_, str> {
        let mut texts = self.items.iter().filter_map(|item| match item {
            Item::Text(text) => Some(text.as_str()),
            Item::Element(_) => None,
        });
        match (texts.next(), texts.next()) {
            (None, _) => Cow::Borrowed(""),
            (Some(one), None) => Cow::Borrowed(one),
            (Some(one), Some(two)) => Cow::Owned([one, two].into_iter().chain(texts).collect()),
        }
    }

    /// How many elements it is, with all that are inside.
    pub fn count(&self) -> usize {
        1 + self.children().map(Self::count).sum::<usize>()
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        for attribute in &self.attributes {
            write!(f, " {attribute:?}")?;
        }
        f.write_str(">")?;
        f.debug_list().entries(&self.items).finish()
    }
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}={} bytes", self.name, self.value.len())
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element(element) => element.fmt(f),
            Self::Text(text) => write!(f, "{} bytes", text.len()),
        }
    }
}
