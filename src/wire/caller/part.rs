//! What is to stand in a request, as elements with values, before the contract brings it into its order and form. Pure.

use crate::declare::connector::soap::{ElementName, ElementPath, Form, Select, Step};
use crate::model::Value;
use std::fmt;
use std::sync::Arc;

/// Places before the one that a path names, at most: `item[5000]` in a list.
const MAX_PLACES: u16 = 5_000;

/// What an element holds.
#[derive(Clone, PartialEq)]
pub enum Content {
    /// Nothing yet: an element without content, or with children.
    None,
    /// A value, written as the schema wants it.
    Value(Value, Option<Form>),
    /// Nothing, on purpose: `xsi:nil` where the schema allows it, else an empty element.
    Emptied,
    /// `xsi:nil`
    Nil,
}

/// An element that is to be written. `Debug` shows names, never values.
#[derive(Clone, PartialEq)]
pub struct Part {
    /// Its name.
    pub name: ElementName,
    /// Its `xsi:type`, where the file says one.
    pub type_name: Option<ElementName>,
    /// Its attributes.
    pub attributes: Vec<(ElementName, Content)>,
    /// What it holds.
    pub content: Content,
    /// The elements in it, in the order in which they were placed.
    pub children: Vec<Part>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        for (name, _) in &self.attributes {
            write!(f, " @{name}")?;
        }
        f.write_str(">")?;
        f.debug_list().entries(&self.children).finish()
    }
}

fn same(one: &ElementName, other: &ElementName) -> bool {
    one.local == other.local && (one.namespace.is_none() || other.namespace.is_none() || one.namespace == other.namespace)
}

impl Part {
    /// An element without anything in it.
    pub const fn new(name: ElementName) -> Self {
        Self { name, type_name: None, attributes: Vec::new(), content: Content::None, children: Vec::new() }
    }

    /// An element under which all is placed; its own name is never written.
    pub fn root() -> Self {
        Self::new(ElementName { namespace: None, local: "".into() })
    }

    /// The element that a path leads to, made where it is not there. `None` for a path to an attribute.
    pub fn at(&mut self, path: &ElementPath) -> Option<&mut Self> {
        let mut here = self;
        for step in &path.0 {
            let Step::Element(name, select) = step else { return None };
            here = here.step(name, select)?;
        }
        Some(here)
    }

    fn step(&mut self, name: &ElementName, select: &Select) -> Option<&mut Self> {
        let index = match select {
            Select::First => self.children.iter().position(|child| same(&child.name, name)),
            Select::Position(place) => {
                let place = usize::from((*place).min(MAX_PLACES));
                let there = self.children.iter().filter(|child| same(&child.name, name)).count();
                for _ in there..place {
                    self.children.push(Self::new(name.clone()));
                }
                self.children.iter().enumerate().filter(|(_, child)| same(&child.name, name)).map(|(at, _)| at).nth(place - 1)
            }
            Select::Child(child, text) => self.children.iter().position(|part| same(&part.name, name) && part.holds(child, text)),
        };
        let index = index.unwrap_or_else(|| {
            let mut made = Self::new(name.clone());
            if let Select::Child(child, text) = select {
                let mut key = Self::new(child.clone());
                key.content = Content::Value(Value::Text(text.clone()), None);
                made.children.push(key);
            }
            self.children.push(made);
            self.children.len() - 1
        });
        self.children.get_mut(index)
    }

    /// Visits every element that is there at a path; a step without a selection means all of that name. How many were visited.
    pub fn visit(&mut self, path: &ElementPath, visit: &mut dyn FnMut(&mut Self)) -> usize {
        self.visit_steps(&path.0, visit)
    }

    fn visit_steps(&mut self, steps: &[Step], visit: &mut dyn FnMut(&mut Self)) -> usize {
        let Some((step, rest)) = steps.split_first() else {
            visit(self);
            return 1;
        };
        let Step::Element(name, select) = step else { return 0 };
        let mut visited = 0;
        let mut place = 0;
        for child in self.children.iter_mut().filter(|child| same(&child.name, name)) {
            place += 1;
            let meant = match select {
                Select::First => true,
                Select::Position(wanted) => place == usize::from(*wanted),
                Select::Child(key, text) => child.holds(key, text),
            };
            if meant {
                visited += child.visit_steps(rest, visit);
            }
        }
        visited
    }

    /// Whether a child of this name holds this text.
    fn holds(&self, child: &ElementName, text: &Arc<str>) -> bool {
        self.children.iter().any(|c| same(&c.name, child) && matches!(&c.content, Content::Value(Value::Text(t), _) if t == text))
    }

    /// Another element at the end of a path, beside those that are there.
    pub fn again(&mut self, path: &ElementPath) -> Option<&mut Self> {
        let (Step::Element(name, _), before) = path.0.split_last()? else { return None };
        let parent = self.at(&ElementPath(before.to_vec()))?;
        parent.children.push(Self::new(name.clone()));
        parent.children.last_mut()
    }

    /// Puts content at a path, an attribute's included. `false` where the path can't be one of a request.
    pub fn place(&mut self, path: &ElementPath, content: Content) -> bool {
        if let Some((Step::Attribute(name), before)) = path.0.split_last() {
            let Some(element) = self.at(&ElementPath(before.to_vec())) else { return false };
            element.attributes.retain(|(there, _)| !same(there, name));
            element.attributes.push((name.clone(), content));
            return true;
        }
        match self.at(path) {
            Some(element) => {
                element.content = content;
                true
            }
            None => false,
        }
    }

    /// Puts several values at a path: the element is repeated.
    pub fn place_all(&mut self, path: &ElementPath, mut contents: Vec<Content>) -> bool {
        if contents.len() == 1 {
            return contents.pop().is_none_or(|content| self.place(path, content));
        }
        contents.into_iter().all(|content| match self.again(path) {
            Some(element) => {
                element.content = content;
                true
            }
            None => false,
        })
    }
}

/// A text as content.
pub fn text(text: impl Into<Arc<str>>) -> Content {
    Content::Value(Value::Text(text.into()), None)
}
