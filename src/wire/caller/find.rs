//! Paths in answers: which elements they lead to. Pure.

use crate::declare::connector::soap::{ElementName, ElementPath, Expected, Select, Step};
use crate::wire::xml::{Element, Name};
use std::borrow::Cow;

/// What a path leads to.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// An element.
    Element(&'a Element),
    /// The value of an attribute.
    Attribute(&'a str),
}

impl<'a> Found<'a> {
    /// Its text.
    pub fn text(self) -> Cow<'a, str> {
        match self {
            Self::Element(element) => element.text(),
            Self::Attribute(value) => Cow::Borrowed(value),
        }
    }
}

fn is(name: &Name, wanted: &ElementName) -> bool {
    *name.local == *wanted.local && wanted.namespace.as_ref().is_none_or(|namespace| *name.namespace == **namespace)
}

/// Whether the children are the members of an encoded array, whatever they are called (SOAP 1.1, 5.4.2).
fn is_array(element: &Element) -> bool {
    element.attributes.iter().any(|attribute| matches!(&*attribute.name.local, "arrayType" | "arraySize" | "itemType"))
}

fn children<'a>(of: &'a Element, name: &ElementName) -> Vec<&'a Element> {
    let named: Vec<&Element> = of.children().filter(|child| is(&child.name, name)).collect();
    if named.is_empty() && *name.local == *"item" && is_array(of) { of.children().collect() } else { named }
}

/// Every element that a path leads to: at the last step all of a name, where it picks none.
pub fn all<'a>(from: &'a Element, path: &ElementPath) -> Vec<Found<'a>> {
    let mut here = vec![from];
    let last = path.0.len().saturating_sub(1);
    for (at, step) in path.0.iter().enumerate() {
        let (name, select) = match step {
            Step::Element(name, select) => (name, select),
            Step::Attribute(name) => {
                let value = |element: &'a Element| {
                    element
                        .attributes
                        .iter()
                        .find(|attribute| is(&attribute.name, name))
                        .map(|attribute| Found::Attribute(&attribute.value))
                };
                return here.into_iter().filter_map(value).collect();
            }
        };
        let mut next = Vec::new();
        for element in here {
            let found = children(element, name);
            match select {
                // Rows below several parents are found too; within one parent the path means the first, but for its end.
                Select::First if at == last => next.extend(found),
                Select::First => next.extend(found.into_iter().take(1)),
                Select::Position(place) => next.extend(found.into_iter().nth(usize::from(*place).saturating_sub(1))),
                Select::Child(child, text) => {
                    let holds = |element: &&Element| children(element, child).into_iter().any(|c| c.text().trim() == &**text);
                    next.extend(found.into_iter().find(holds));
                }
            }
        }
        here = next;
    }
    here.into_iter().map(Found::Element).collect()
}

/// The first element or attribute that a path leads to.
pub fn first<'a>(from: &'a Element, path: &ElementPath) -> Option<Found<'a>> {
    all(from, path).into_iter().next()
}

/// The text at a path; `None` where there is no such element, or it says that it is nothing (`xsi:nil`).
pub fn text<'a>(from: &'a Element, path: &ElementPath) -> Option<Cow<'a, str>> {
    let found = first(from, path)?;
    if let Found::Element(element) = found
        && is_nil(element)
    {
        return None;
    }
    Some(found.text())
}

/// Whether an element says that it is nothing.
pub fn is_nil(element: &Element) -> bool {
    element.attribute_in(crate::wire::xml::XSI_NS, "nil").is_some_and(|value| matches!(value.trim(), "true" | "1"))
}

/// Whether an answer holds what is meant: any of the values at any of the elements of that path. `*` is any text but the empty one.
pub fn holds(from: &Element, expected: &Expected) -> bool {
    let fits = |text: &str| expected.values.iter().any(|value| if **value == *"*" { !text.is_empty() } else { **value == *text });
    all(from, &expected.path).into_iter().any(|found| {
        let nil = matches!(found, Found::Element(element) if is_nil(element));
        !nil && fits(found.text().trim())
    })
}

/// Whether there is anything at all at a path.
pub fn is_there(from: &Element, path: &ElementPath) -> bool {
    first(from, path).is_some()
}
