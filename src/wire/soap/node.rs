//! Values for a message, in any order: what becomes of them is the contract's affair.

use crate::model::Value;
use crate::wire::xml::Tree;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// An element to be written. `Debug` shows names, never values.
#[derive(Clone, PartialEq)]
pub struct Node {
    /// `local` or `{namespace}local`. That of a message's body is not looked at.
    pub name: Arc<str>,
    /// Attributes by `local` or `{namespace}local`; a missing value is no attribute.
    pub attributes: Vec<(Arc<str>, Value)>,
    /// A type derived from the declared one, `local` or `{namespace}local`, that `xsi:type` is to name.
    pub xsi_type: Option<Arc<str>>,
    /// What is inside.
    pub content: NodeContent,
}

/// What is inside of a [`Node`].
#[derive(Clone, PartialEq)]
pub enum NodeContent {
    /// A value. `Missing` is no element at all; each item of a list is an element of its own; a record's members are elements inside.
    Value(Value),
    /// `xsi:nil`: the element is there and says that it has no value.
    Nil,
    /// Elements.
    Nodes(Vec<Node>),
    /// For an element of a wildcard: as it is, the node's name is not looked at.
    Tree(Tree),
}

impl Node {
    /// An element with a value.
    pub fn new(name: impl Into<Arc<str>>, value: impl Into<Value>) -> Self {
        Self::with(name, NodeContent::Value(value.into()))
    }

    /// An element with elements inside.
    pub fn of(name: impl Into<Arc<str>>, nodes: Vec<Self>) -> Self {
        Self::with(name, NodeContent::Nodes(nodes))
    }

    /// An element without a value.
    pub fn nil(name: impl Into<Arc<str>>) -> Self {
        Self::with(name, NodeContent::Nil)
    }

    /// A message's body: what is inside of the operation's element, or the body's elements where there are several.
    pub fn body(nodes: Vec<Self>) -> Self {
        Self::of("", nodes)
    }

    /// An element with any content.
    pub fn with(name: impl Into<Arc<str>>, content: NodeContent) -> Self {
        Self { name: name.into(), attributes: Vec::new(), xsi_type: None, content }
    }

    /// With an attribute.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<Arc<str>>, value: impl Into<Value>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// With the name of a derived type.
    #[must_use]
    pub fn typed(mut self, name: impl Into<Arc<str>>) -> Self {
        self.xsi_type = Some(name.into());
        self
    }

    /// The elements that it stands for: none for a missing value, several for a list, members made elements for a record.
    pub(super) fn each(&self) -> Vec<Cow<'_, Self>> {
        match &self.content {
            NodeContent::Value(Value::Missing) if self.attributes.iter().all(|(_, v)| v.is_missing()) => Vec::new(),
            NodeContent::Value(Value::List(items)) => items
                .iter()
                .filter(|item| !item.is_missing())
                .map(|item| Cow::Owned(Self { content: inside(item), ..self.clone() }))
                .collect(),
            NodeContent::Value(record @ Value::Record(_)) => vec![Cow::Owned(Self { content: inside(record), ..self.clone() })],
            NodeContent::Value(_) | NodeContent::Nil | NodeContent::Nodes(_) | NodeContent::Tree(_) => vec![Cow::Borrowed(self)],
        }
    }

    /// The elements inside.
    pub(super) fn nodes(&self) -> &[Self] {
        match &self.content {
            NodeContent::Nodes(nodes) => nodes,
            NodeContent::Value(_) | NodeContent::Nil | NodeContent::Tree(_) => &[],
        }
    }
}

fn inside(value: &Value) -> NodeContent {
    match value {
        Value::Record(members) => {
            NodeContent::Nodes(members.iter().map(|(name, value)| Node::new(Arc::clone(name), value.clone())).collect())
        }
        Value::Missing | Value::Text(_) | Value::Number(_) | Value::Integer(_) | Value::Bool(_) | Value::Time(_) | Value::List(_) => {
            NodeContent::Value(value.clone())
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.content {
            NodeContent::Value(value) => write!(f, ": {}", value.kind()),
            NodeContent::Nil => f.write_str(": nil"),
            NodeContent::Nodes(nodes) => {
                f.write_str(" ")?;
                f.debug_list().entries(nodes).finish()
            }
            NodeContent::Tree(tree) => write!(f, ": {tree:?}"),
        }
    }
}

impl fmt::Debug for NodeContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Node::with("", self.clone()).fmt(f)
    }
}
