//! Names with their namespaces, and which prefix means what at a place.

use std::fmt;
use std::sync::Arc;

/// What the prefix `xml` means (Namespaces in XML 1.0, 3).
pub const XML_NS: &str = "http://www.w3.org/XML/1998/namespace";
/// `xsi:type`, `xsi:nil` (XML Schema part 1, 2.6).
pub const XSI_NS: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// A name and its namespace, which is empty where there is none.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The namespace's URI; empty for none.
    pub namespace: Arc<str>,
    /// The part after the colon.
    pub local: Arc<str>,
}

impl Name {
    /// From its parts.
    pub fn new(namespace: impl Into<Arc<str>>, local: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), local: local.into() }
    }

    /// A name in no namespace.
    pub fn local(local: impl Into<Arc<str>>) -> Self {
        Self { namespace: "".into(), local: local.into() }
    }

    /// Whether it is this one.
    pub fn is(&self, namespace: &str, local: &str) -> bool {
        *self.local == *local && *self.namespace == *namespace
    }

    /// From `local` or `{namespace}local`; the namespace is `None` where none was written, so that any is meant.
    pub fn split(written: &str) -> (Option<&str>, &str) {
        match written.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((namespace, local)) => (Some(namespace), local),
            None => (None, written),
        }
    }

    /// Whether `local` or `{namespace}local` means this name.
    pub fn answers_to(&self, written: &str) -> bool {
        let (namespace, local) = Self::split(written);
        *self.local == *local && namespace.is_none_or(|n| *self.namespace == *n)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.local) } else { write!(f, "{{{}}}{}", self.namespace, self.local) }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The prefixes in force at an element. Shared by all elements that declare nothing new.
#[derive(Debug, Default)]
pub struct Scope {
    outer: Option<Arc<Scope>>,
    declared: Vec<(Box<str>, Arc<str>)>,
}

impl Scope {
    /// Declarations inside others.
    pub(super) const fn inside(outer: Option<Arc<Self>>, declared: Vec<(Box<str>, Arc<str>)>) -> Self {
        Self { outer, declared }
    }

    /// The namespace of a prefix; of the empty one, the default namespace. `None` for a prefix that is not declared.
    pub fn namespace(&self, prefix: &str) -> Option<Arc<str>> {
        if prefix == "xml" {
            return Some(XML_NS.into());
        }
        let mut scope = Some(self);
        while let Some(here) = scope {
            if let Some((_, namespace)) = here.declared.iter().rev().find(|(p, _)| **p == *prefix) {
                // `xmlns:p=""` is no declaration in Namespaces 1.0; the reader refuses it, so an empty one is the default's.
                return Some(Arc::clone(namespace));
            }
            scope = here.outer.as_deref();
        }
        prefix.is_empty().then(|| "".into())
    }

    /// A qualified name in content or an attribute, `p:local` (XML Schema part 2, 3.2.18). `None` for a prefix that is not declared.
    pub fn qname(&self, written: &str) -> Option<Name> {
        let (prefix, local) = written.trim().split_once(':').unwrap_or(("", written.trim()));
        self.namespace(prefix).map(|namespace| Name { namespace, local: local.into() })
    }
}
