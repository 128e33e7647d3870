//! Values by path to the nodes of a message.

use super::node::{Node, NodeContent};
use crate::model::Value;
use crate::wire::xml::{Name, is_ncname};
use std::fmt;
use std::sync::Arc;

/// Steps of one path; as deep as messages are written.
const STEPS: usize = 48;
/// The largest position, `[1000]`: more records in one message no service takes.
const POSITION: usize = 1000;

/// Where a value goes in a message: `Contact/Email[2]`, `Contact/@kind`, `Contact/@xsi:type`, `{urn:x}Extra/Note`. Steps are local or full
/// names of elements; `[n]` counts repeats from 1; the last step may be an attribute.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FieldPath {
    steps: Vec<(Arc<str>, usize)>,
    attribute: Option<Arc<str>>,
}

/// Why a path can't be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FieldPathError {
    /// A step that is no name.
    #[error("`{0}` is no name of an element")]
    Step(String),
    /// A position that is none.
    #[error("`{0}` has no position between 1 and {POSITION} in its brackets")]
    Position(String),
    /// An attribute that is not the last step.
    #[error("an attribute is the last step of a path")]
    Attribute,
    /// Too many steps.
    #[error("a path of more than {STEPS} steps")]
    TooLong,
}

impl FieldPath {
    /// From what was written.
    ///
    /// # Errors
    /// It is no path.
    pub fn parse(written: &str) -> Result<Self, FieldPathError> {
        let (mut steps, mut attribute) = (Vec::new(), None);
        for step in split_steps(written.trim().trim_start_matches('/')) {
            if attribute.is_some() {
                return Err(FieldPathError::Attribute);
            }
            if let Some(name) = step.strip_prefix('@') {
                let special = matches!(name, "xsi:type" | "xsi:nil");
                if !special && !is_ncname(Name::split(name).1) {
                    return Err(FieldPathError::Step(step.to_owned()));
                }
                attribute = Some(name.into());
                continue;
            }
            let (name, position) = match step.strip_suffix(']').and_then(|s| s.rsplit_once('[')) {
                Some((name, position)) => {
                    let position = position.parse().ok().filter(|p| (1..=POSITION).contains(p));
                    (name, position.ok_or_else(|| FieldPathError::Position(step.to_owned()))?)
                }
                None => (step, 1),
            };
            if !is_ncname(Name::split(name).1) {
                return Err(FieldPathError::Step(step.to_owned()));
            }
            steps.push((name.into(), position));
            if steps.len() > STEPS {
                return Err(FieldPathError::TooLong);
            }
        }
        if steps.is_empty() && attribute.is_none() {
            return Err(FieldPathError::Step(written.to_owned()));
        }
        Ok(Self { steps, attribute })
    }

    /// The names of its elements.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|(name, _)| &**name)
    }

    /// The attribute at its end, where it has one.
    pub fn attribute(&self) -> Option<&str> {
        self.attribute.as_deref()
    }
}

/// Steps between slashes; a slash inside of `{namespace}` is none.
pub(super) fn split_steps(written: &str) -> Vec<&str> {
    let (mut steps, mut from, mut braces) = (Vec::new(), 0, false);
    for (at, c) in written.char_indices() {
        match c {
            '{' => braces = true,
            '}' => braces = false,
            '/' if !braces => {
                steps.push(written.get(from..at).unwrap_or_default());
                from = at + 1;
            }
            _ => {}
        }
    }
    steps.push(written.get(from..).unwrap_or_default());
    steps
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.steps.iter().map(|(name, position)| if *position == 1 { name.to_string() } else { format!("{name}[{position}]") });
        f.write_str(&steps.chain(self.attribute.iter().map(|a| format!("@{a}"))).collect::<Vec<_>>().join("/"))
    }
}

impl fmt::Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The body that these values make. Missing values make nothing, so that a record none of whose values is there is not there either;
/// of two values for one place the last holds.
pub fn assemble<'v>(values: impl IntoIterator<Item = (&'v FieldPath, Value)>) -> Node {
    let mut body = Node::body(Vec::new());
    for (path, value) in values {
        if value.is_missing() {
            continue;
        }
        let Some(at) = path.steps.iter().try_fold(&mut body, |at, (name, position)| step(at, name, *position)) else { continue };
        match path.attribute.as_deref() {
            None => at.content = NodeContent::Value(value),
            Some("xsi:type") => at.xsi_type = value.as_text().map(Into::into),
            Some("xsi:nil") => {
                if matches!(value, Value::Bool(true)) || matches!(value.as_text(), Some("true" | "1")) {
                    at.content = NodeContent::Nil;
                }
            }
            Some(name) => {
                at.attributes.retain(|(known, _)| **known != *name);
                at.attributes.push((name.into(), value));
            }
        }
    }
    body
}

/// The so-manieth child of a name; those before it are made where they are not there, and come to nothing where nobody fills them.
fn step<'n>(node: &'n mut Node, name: &Arc<str>, position: usize) -> Option<&'n mut Node> {
    if !matches!(node.content, NodeContent::Nodes(_)) {
        node.content = NodeContent::Nodes(Vec::new());
    }
    let NodeContent::Nodes(nodes) = &mut node.content else { return None };
    let there = nodes.iter().filter(|n| n.name == *name).count();
    for _ in there..position {
        nodes.push(Node::new(Arc::clone(name), Value::Missing));
    }
    nodes.iter_mut().filter(|n| n.name == *name).nth(position - 1)
}
