//! One spelling for what means the same: enough of Canonical XML 1.0 to compare envelopes of different clients.

use super::{Element, Item, Name, XSI_NS};
use std::fmt::Write as _;

/// Attributes that hold qualified names, whose prefixes must not matter.
const QNAMES: &[(&str, &str)] = &[(XSI_NS, "type"), ("http://schemas.xmlsoap.org/soap/encoding/", "arrayType")];

/// The element with full names in place of prefixes, attributes sorted, nothing declared; blanks between elements are left out.
pub fn canonical(element: &Element) -> String {
    let mut out = String::new();
    write(element, &mut out, 0);
    out
}

fn write(element: &Element, out: &mut String, depth: usize) {
    let indent = "  ".repeat(depth);
    out.push_str(&indent);
    out.push('<');
    out.push_str(&element.name.to_string());
    let mut attributes: Vec<(&Name, String)> = element
        .attributes
        .iter()
        .map(|a| {
            let named = QNAMES.iter().any(|(namespace, local)| a.name.is(namespace, local));
            let value = named.then(|| element.scope.qname(&a.value)).flatten().map(|name| name.to_string());
            (&a.name, value.unwrap_or_else(|| a.value.clone()))
        })
        .collect();
    attributes.sort();
    for (name, value) in attributes {
        // Writing to a string does not fail.
        write!(out, " {name}={value:?}").unwrap_or_default();
    }
    out.push('>');
    let elements = element.children().next().is_some();
    let mixed = elements && element.items.iter().any(|i| matches!(i, Item::Text(text) if !text.trim().is_empty()));
    for item in &element.items {
        match item {
            Item::Element(child) => {
                out.push('\n');
                write(child, out, depth + 1);
            }
            Item::Text(text) if !elements || mixed => write!(out, "{text:?}").unwrap_or_default(),
            Item::Text(_) => {}
        }
    }
    if elements {
        out.push('\n');
        out.push_str(&indent);
    }
    out.push_str("</>");
}
