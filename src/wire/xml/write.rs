//! A tree to text. Every namespace is declared once, at the root, under a short prefix; nothing is indented.

use super::{Element, Item, Name, XML_NS};
use std::fmt;
use std::sync::Arc;

/// What an attribute or element holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Lexical {
    /// Text, which the caller made sure XML can carry; what it can't carry is written as U+FFFD.
    Text(Arc<str>),
    /// A qualified name, written with the prefix of its namespace, and what stands behind it (`[3]` of an array's type).
    QName(Name, Arc<str>),
}

/// A piece of content.
#[derive(Clone, PartialEq, Eq)]
pub enum Child {
    /// An element.
    Tree(Tree),
    /// Text or a name.
    Lexical(Lexical),
}

/// An element to be written. `Debug` shows names and lengths, never values.
#[derive(Clone, PartialEq, Eq)]
pub struct Tree {
    /// Its name.
    pub name: Name,
    /// In the order in which they are written.
    pub attributes: Vec<(Name, Lexical)>,
    /// In the order in which they are written.
    pub children: Vec<Child>,
}

impl Tree {
    /// An empty element.
    pub const fn new(name: Name) -> Self {
        Self { name, attributes: Vec::new(), children: Vec::new() }
    }

    /// With an attribute.
    #[must_use]
    pub fn attribute(mut self, name: Name, value: impl Into<Arc<str>>) -> Self {
        self.attributes.push((name, Lexical::Text(value.into())));
        self
    }

    /// With a child element behind what is there.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(Child::Tree(child));
        self
    }

    /// With text behind what is there.
    #[must_use]
    pub fn text(mut self, text: impl Into<Arc<str>>) -> Self {
        self.children.push(Child::Lexical(Lexical::Text(text.into())));
        self
    }
}

impl From<&Element> for Tree {
    fn from(element: &Element) -> Self {
        Self {
            name: element.name.clone(),
            attributes: element.attributes.iter().map(|a| (a.name.clone(), Lexical::Text(a.value.as_str().into()))).collect(),
            children: element
                .items
                .iter()
                .map(|item| match item {
                    Item::Element(child) => Child::Tree(child.into()),
                    Item::Text(text) => Child::Lexical(Lexical::Text(text.as_str().into())),
                })
                .collect(),
        }
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        for (name, value) in &self.attributes {
            write!(f, " @{name}={value:?}")?;
        }
        f.write_str(">")?;
        f.debug_list().entries(&self.children).finish()
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(tree) => tree.fmt(f),
            Self::Lexical(value) => value.fmt(f),
        }
    }
}

impl fmt::Debug for Lexical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{} bytes", text.len()),
            Self::QName(name, _) => name.fmt(f),
        }
    }
}

/// Writes trees. Prefixes that were asked for are kept; every other namespace becomes `n1`, `n2`, … in the order of its first use.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    prefixes: Vec<(Arc<str>, Arc<str>)>,
}

impl Writer {
    /// With these prefixes for these namespaces. They are declared only where they are used.
    pub fn with(prefixes: &[(&str, &str)]) -> Self {
        Self { prefixes: prefixes.iter().map(|(prefix, namespace)| ((*prefix).into(), (*namespace).into())).collect() }
    }

    /// The document as text, without a declaration.
    pub fn write(&self, root: &Tree) -> String {
        let mut used = Vec::new();
        let mut bytes = 0;
        collect(root, &mut used, &mut bytes);
        let mut counted = 0_u32;
        let named: Vec<(Arc<str>, Arc<str>)> = used
            .into_iter()
            .map(|namespace| {
                let asked = self.prefixes.iter().find(|(_, n)| *n == namespace).map(|(prefix, _)| Arc::clone(prefix));
                let prefix = asked.unwrap_or_else(|| {
                    if *namespace == *XML_NS {
                        return "xml".into();
                    }
                    loop {
                        counted += 1;
                        let prefix = format!("n{counted}");
                        if self.prefixes.iter().all(|(p, _)| **p != *prefix) {
                            return prefix.into();
                        }
                    }
                });
                (namespace, prefix)
            })
            .collect();
        let mut out = Out { text: String::with_capacity(bytes + 256), named: &named };
        out.element(root, true);
        out.text
    }
}

/// Namespaces in the order of their first use, and about how long the text will be.
fn collect(tree: &Tree, used: &mut Vec<Arc<str>>, bytes: &mut usize) {
    let mut take = |namespace: &Arc<str>| {
        if !namespace.is_empty() && !used.contains(namespace) {
            used.push(Arc::clone(namespace));
        }
    };
    take(&tree.name.namespace);
    *bytes += 2 * tree.name.local.len() + 12;
    for (name, value) in &tree.attributes {
        take(&name.namespace);
        match value {
            Lexical::QName(name, _) => take(&name.namespace),
            Lexical::Text(text) => *bytes += text.len(),
        }
        *bytes += name.local.len() + 16;
    }
    for child in &tree.children {
        match child {
            Child::Tree(child) => collect(child, used, bytes),
            Child::Lexical(Lexical::QName(name, _)) => {
                if !name.namespace.is_empty() && !used.contains(&name.namespace) {
                    used.push(Arc::clone(&name.namespace));
                }
            }
            Child::Lexical(Lexical::Text(text)) => *bytes += text.len() + text.len() / 16,
        }
    }
}

struct Out<'a> {
    text: String,
    named: &'a [(Arc<str>, Arc<str>)],
}

impl Out<'_> {
    fn element(&mut self, tree: &Tree, root: bool) {
        self.text.push('<');
        self.name(&tree.name);
        if root {
            for (namespace, prefix) in self.named {
                if **prefix != *"xml" {
                    self.text.push_str(" xmlns:");
                    self.text.push_str(prefix);
                    self.text.push_str("=\"");
                    escape(&mut self.text, namespace, true);
                    self.text.push('"');
                }
            }
        }
        for (name, value) in &tree.attributes {
            self.text.push(' ');
            self.name(name);
            self.text.push_str("=\"");
            self.lexical(value, true);
            self.text.push('"');
        }
        if tree.children.is_empty() {
            self.text.push_str("/>");
            return;
        }
        self.text.push('>');
        if let [Child::Lexical(Lexical::Text(text))] = tree.children.as_slice()
            && is_lost_as_text(text)
        {
            self.text.push_str("<![CDATA[");
            self.text.push_str(text);
            self.text.push_str("]]>");
        } else {
            for child in &tree.children {
                match child {
                    Child::Tree(child) => self.element(child, false),
                    Child::Lexical(value) => self.lexical(value, false),
                }
            }
        }
        self.text.push_str("</");
        self.name(&tree.name);
        self.text.push('>');
    }

    fn name(&mut self, name: &Name) {
        if let Some((_, prefix)) = self.named.iter().find(|(namespace, _)| *namespace == name.namespace) {
            self.text.push_str(prefix);
            self.text.push(':');
        }
        self.text.push_str(&name.local);
    }

    fn lexical(&mut self, value: &Lexical, attribute: bool) {
        match value {
            Lexical::Text(text) => escape(&mut self.text, text, attribute),
            Lexical::QName(name, behind) => {
                self.name(name);
                escape(&mut self.text, behind, attribute);
            }
        }
    }
}

/// Blanks alone, which parsers that drop blanks between elements (PHP's `ext/soap`) drop as text and keep as a CDATA section. A carriage return
/// can stand in none: a reader makes it a line end (XML 1.0, 2.11).
fn is_lost_as_text(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| matches!(c, ' ' | '\t' | '\n'))
}

/// Escapes so that a reader gets the same text back: `\r` would become a line end, and in attributes tab and line end a blank
/// (XML 1.0, 2.11 and 3.3.3); `>` always, so that `]]>` never stands in text (2.4).
fn escape(out: &mut String, text: &str, attribute: bool) {
    let mut from = 0;
    for (at, c) in text.char_indices() {
        let written = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '\r' => "&#13;",
            '"' if attribute => "&quot;",
            '\t' if attribute => "&#9;",
            '\n' if attribute => "&#10;",
            c if !super::is_char(c) => "\u{FFFD}",
            _ => continue,
        };
        out.push_str(text.get(from..at).unwrap_or_default());
        out.push_str(written);
        from = at + c.len_utf8();
    }
    out.push_str(text.get(from..).unwrap_or_default());
}
