//! An answer as lines for people: a path, and what stands there.

use crate::wire::xml::Element;
use std::fmt::Write as _;

/// Lines at most; an answer of a look-up has some hundred.
const MOST: usize = 2_000;

/// Each value of an element with the path to it, attributes included.
pub fn outline(element: &Element) -> String {
    let mut out = String::new();
    let mut left = MOST;
    walk(element, &element.name.local, &mut out, &mut left);
    if left == 0 {
        out.push_str("…\n");
    }
    out
}

fn walk(element: &Element, path: &str, out: &mut String, left: &mut usize) {
    for attribute in &element.attributes {
        if *left > 0 && *attribute.name.namespace != *crate::wire::xml::XSI_NS {
            *left -= 1;
            // Writing into a String can't fail.
            let _written = writeln!(out, "{path}/@{}: {}", attribute.name.local, attribute.value);
        }
    }
    let mut counts: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
    let mut any = false;
    for child in element.children() {
        any = true;
        let count = counts.entry(&child.name.local).or_default();
        *count += 1;
        let place = if *count > 1 { format!("[{count}]") } else { String::new() };
        walk(child, &format!("{path}/{}{place}", child.name.local), out, left);
    }
    if !any && *left > 0 {
        *left -= 1;
        let nil = if super::find::is_nil(element) { "(nil)" } else { "" };
        let _written = writeln!(out, "{path}: {nil}{}", element.text());
    }
}
