//! `href` and `id` of the SOAP encoding resolved: what Axis 1.x writes instead of the value (SOAP 1.1, 5.4.1).

use crate::wire::wsdl::{ENCODING_11, ENCODING_12};
use crate::wire::xml::{Element, Item};
use std::collections::HashMap;

/// References within references; values of a CRM have a few.
const DEPTH: usize = 64;
/// Elements of the answer once references are followed: one that is referred to often is there as often.
const ELEMENTS: usize = 400_000;

/// References that lead round in a circle, too deep, or to more elements than are followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unresolvable;

/// Puts in place of each reference what it refers to, and takes out of the body the values that stand there only to be referred to.
pub(super) fn resolve(body: &mut Element) -> Result<(), Unresolvable> {
    if !refers(body) {
        return Ok(());
    }
    let mut targets = HashMap::new();
    collect(body, &mut targets);
    let mut budget = ELEMENTS;
    let items = std::mem::take(&mut body.items);
    let mut following = Vec::new();
    for (at, item) in items.into_iter().enumerate() {
        match item {
            // The first child is the answer; later ones with an id are values.
            Item::Element(child) if at > 0 && is_value(&child) => {}
            Item::Element(child) => body.items.push(Item::Element(followed(&child, &targets, &mut following, &mut budget, 0)?)),
            Item::Text(text) => body.items.push(Item::Text(text)),
        }
    }
    Ok(())
}

fn is_value(element: &Element) -> bool {
    id(element).is_some() && (&*element.name.local == "multiRef" || root(element) == Some("0"))
}

fn root(element: &Element) -> Option<&str> {
    element.attribute_in(ENCODING_11, "root")
}

fn id(element: &Element) -> Option<&str> {
    element.attribute("id").or_else(|| element.attribute_in(ENCODING_12, "id"))
}

fn reference(element: &Element) -> Option<&str> {
    let plain = element.attribute("href").and_then(|h| h.strip_prefix('#'));
    plain
        .or_else(|| element.attribute_in(ENCODING_12, "ref"))
        .or_else(|| element.attribute("ref"))
        .filter(|_| element.children().next().is_none())
}

fn refers(element: &Element) -> bool {
    reference(element).is_some() || element.children().any(refers)
}

fn collect(element: &Element, into: &mut HashMap<String, Element>) {
    for child in element.children() {
        if let Some(id) = id(child) {
            into.entry(id.to_owned()).or_insert_with(|| child.clone());
        }
        collect(child, into);
    }
}

fn followed(
    element: &Element,
    targets: &HashMap<String, Element>,
    following: &mut Vec<String>,
    budget: &mut usize,
    depth: usize,
) -> Result<Element, Unresolvable> {
    *budget = budget.checked_sub(1).ok_or(Unresolvable)?;
    if depth > 2 * DEPTH {
        return Err(Unresolvable);
    }
    // A reference to something that is not here is left as it is: an attachment, for instance.
    if let Some((id, target)) = reference(element).and_then(|id| targets.get_key_value(id)) {
        if following.len() >= DEPTH || following.contains(id) {
            return Err(Unresolvable);
        }
        following.push(id.clone());
        let mut whole = followed(target, targets, following, budget, depth + 1)?;
        following.pop();
        whole.name = element.name.clone();
        whole.attributes.retain(|a| &*a.name.local != "id");
        return Ok(whole);
    }
    let mut copy = Element { items: Vec::with_capacity(element.items.len()), ..shell(element) };
    for item in &element.items {
        copy.items.push(match item {
            Item::Element(child) => Item::Element(followed(child, targets, following, budget, depth + 1)?),
            Item::Text(text) => Item::Text(text.clone()),
        });
    }
    Ok(copy)
}

/// An element without what is inside.
fn shell(element: &Element) -> Element {
    Element {
        name: element.name.clone(),
        attributes: element.attributes.clone(),
        items: Vec::new(),
        scope: std::sync::Arc::clone(&element.scope),
        tag: element.tag,
    }
}
