//! The names that an expression may read, and what each holds.

use crate::diagnose::nearest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a name holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum NameKind {
    /// Text.
    Text,
    /// Several texts: the handles of a customer.
    Texts,
    /// A number.
    Number,
    /// A moment.
    Time,
    /// Related records, in order.
    Records,
    /// Not known when checking.
    Any,
}

impl NameKind {
    /// What it is called in messages.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Texts => "a list of texts",
            Self::Number => "a number",
            Self::Time => "a time",
            Self::Records => "a list of records",
            Self::Any => "a value",
        }
    }
}

/// Names in scope.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names(BTreeMap<Arc<str>, NameKind>);

impl Names {
    /// Adds a name; the kind it had before, where it was there.
    pub fn insert(&mut self, name: impl Into<Arc<str>>, kind: NameKind) -> Option<NameKind> {
        self.0.insert(name.into(), kind)
    }

    /// What a name holds; `None` where it is not in scope.
    pub fn kind(&self, name: &str) -> Option<NameKind> {
        self.0.get(name).copied()
    }

    /// Every name, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, NameKind)> {
        self.0.iter().map(|(name, kind)| (&**name, *kind))
    }

    /// The name that was probably meant: the nearest, else one that ends with the word (`handles` → `customer.handles`).
    pub fn nearest(&self, word: &str) -> Option<&str> {
        let tail = format!(".{}", word.rsplit('.').next().unwrap_or(word));
        nearest(word, self.0.keys().map(|n| &**n)).or_else(|| self.0.keys().map(|n| &**n).find(|n| n.ends_with(&tail)))
    }
}
