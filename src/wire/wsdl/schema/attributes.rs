//! Attributes of types, and arrays of the SOAP encoding.

use super::super::documents::XSD;
use super::Builtin;
use super::collect::{Component, is_built_in};
use super::compile::{Compiler, DEPTH};
use super::model::{AttributeUse, Complex, Content, ElementId, Particle, Term, TypeId, Wildcard};
use crate::diagnose::Code;
use crate::wire::xml::{Element, Name, XML_NS};
use std::sync::Arc;

impl<'a> Compiler<'a> {
    /// The base's attributes that the derived type neither writes anew nor prohibits.
    pub(super) fn inherit_attributes(&mut self, own: &mut Complex, base: Vec<AttributeUse>, any: bool, source: usize, element: &Element) {
        let prohibited: Vec<Name> = element
            .children()
            .filter(|c| c.name.is(XSD, "attribute") && c.attribute("use") == Some("prohibited"))
            .filter_map(|c| self.attribute_name(c, source))
            .collect();
        let mut all: Vec<AttributeUse> =
            base.into_iter().filter(|a| !prohibited.contains(&a.name) && !own.attributes.iter().any(|o| o.name == a.name)).collect();
        all.append(&mut own.attributes);
        own.attributes = all;
        own.any_attribute |= any;
    }

    pub(super) fn attribute_name(&mut self, element: &Element, source: usize) -> Option<Name> {
        if let Some(written) = element.attribute("ref") {
            return self.qname(source, element, written);
        }
        let from = self.source(source)?;
        let qualified = element.attribute("form").map_or(from.attributes_qualified, |form| form.trim() == "qualified");
        let namespace = if qualified { Arc::clone(&from.namespace) } else { "".into() };
        Some(Name { namespace, local: element.attribute("name")?.trim().into() })
    }

    /// Attributes and whether any other is taken.
    pub(super) fn attributes(&mut self, element: &'a Element, source: usize, depth: usize) -> Result<(Vec<AttributeUse>, bool), Arc<str>> {
        let (mut all, mut any): (Vec<AttributeUse>, bool) = (Vec::new(), false);
        for child in element.children().filter(|c| *c.name.namespace == *XSD) {
            match &*child.name.local {
                "attribute" => {
                    self.spend(1, source, child)?;
                    if let Some(attribute) = self.attribute(child, source) {
                        all.push(attribute);
                    }
                }
                "anyAttribute" => any = true,
                "attributeGroup" => {
                    let Some(name) = child.attribute("ref").and_then(|written| self.qname(source, child, written)) else { continue };
                    match self.collected.components.get(&(Component::AttributeGroup, name.clone())).copied() {
                        Some(_) if depth > DEPTH => return Err("an attribute group that holds itself".into()),
                        Some((group, home)) => {
                            let (more, also) = self.attributes(group, home, depth + 1)?;
                            self.spend(more.len(), source, child)?;
                            all.extend(more);
                            any |= also;
                        }
                        // `soapenc:commonAttributes`: ids and references, which the writer makes itself.
                        None if is_built_in(&name.namespace) => {}
                        None => self.not_there(Component::AttributeGroup, &name, source, child),
                    }
                }
                _ => {}
            }
        }
        Ok((all, any))
    }

    fn attribute(&mut self, element: &'a Element, source: usize) -> Option<AttributeUse> {
        let name = self.attribute_name(element, source)?;
        if element.attribute("use") == Some("prohibited") {
            return None;
        }
        let (mut declaration, mut home) = (element, source);
        if element.attribute("ref").is_some() {
            match self.collected.components.get(&(Component::Attribute, name.clone())) {
                Some((global, at)) => (declaration, home) = (*global, *at),
                None if *name.namespace == *XML_NS => {}
                // `soapenc:arrayType` and its like are the encoding's own.
                None if is_built_in(&name.namespace) => return None,
                None => {
                    self.not_there(Component::Attribute, &name, source, element);
                    return None;
                }
            }
        }
        let inline = declaration.children().find(|c| c.name.is(XSD, "simpleType"));
        let kind = match (self.type_ref(home, declaration, "type"), inline) {
            (Some(named), _) => named,
            (None, Some(inline)) => self.later(None, inline, home),
            (None, None) => Builtin::AnySimpleType.id(),
        };
        let value = |name: &str| element.attribute(name).or_else(|| declaration.attribute(name)).map(Into::into);
        Some(AttributeUse {
            name,
            kind,
            required: element.attribute("use") == Some("required"),
            default: value("default"),
            fixed: value("fixed"),
        })
    }

    /// What the items of an array of the SOAP encoding are: by `wsdl:arrayType`, else by the one element inside.
    pub(super) fn array_item(&mut self, derivation: &'a Element, source: usize, own: &Complex, inherited: Option<TypeId>) -> TypeId {
        let typed = derivation.children().find_map(|c| {
            c.attributes
                .iter()
                .find(|a| &*a.name.local == "arrayType" && a.name.namespace.ends_with("/wsdl/"))
                .map(|a| (c, a.value.clone()))
        });
        if let Some((element, written)) = typed {
            let (name, dimensions) = written.split_once('[').unwrap_or((&written, "]"));
            if dimensions.contains(',') {
                let message = "an array of several dimensions".to_owned();
                self.complain(Code("KITH-W010"), source, element, message, "Elements of this type can't be written");
                return self.unknown(&written);
            }
            let Some(name) = self.qname(source, element, name) else { return self.unknown(&written) };
            let Some(mut item) = self.type_named(&name) else {
                self.not_there(Component::Type, &name, source, element);
                return self.unknown(&name.to_string());
            };
            // `x[][]` is an array of arrays.
            for _ in 0..dimensions.matches('[').count().min(DEPTH) {
                item = self.define(array_of(item));
            }
            return item;
        }
        match &own.content {
            Content::Elements { particle, .. } => only_element(particle).and_then(|id| self.out.element(id)).map(|d| d.kind),
            Content::Empty | Content::Simple(_) => None,
        }
        .or(inherited)
        .unwrap_or(Builtin::AnyType.id())
    }
}

/// An array of the SOAP encoding: its items are elements of any name.
pub(super) fn array_of(item: TypeId) -> Complex {
    let particle = Particle { min: 0, max: None, term: Term::Any(Wildcard::Any) };
    Complex { attributes: Vec::new(), any_attribute: true, content: Content::Elements { particle, mixed: false }, array: Some(item) }
}

fn only_element(particle: &Particle) -> Option<ElementId> {
    match &particle.term {
        Term::Element(id) => Some(*id),
        Term::Sequence(inner) | Term::Choice(inner) | Term::All(inner) => match inner.as_slice() {
            [one] => only_element(one),
            _ => None,
        },
        Term::Any(_) => None,
    }
}
