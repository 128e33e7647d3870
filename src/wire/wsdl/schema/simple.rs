//! Simple types and simple content lowered: restriction with facets, lists, unions.

use super::super::documents::XSD;
use super::Builtin;
use super::builtin::WhiteSpace;
use super::compile::Compiler;
use super::facets::{Bound, Facets};
use super::model::{Complex, Content, Kind, Simple, TypeId, Variety};
use super::pattern::{self, NotTranslated};
use crate::diagnose::Code;
use crate::wire::xml::Element;
use std::sync::Arc;

type Lowered = Result<(Option<TypeId>, Kind), Arc<str>>;

/// `xsd:simpleType`.
pub(super) fn simple_type<'a>(compiler: &mut Compiler<'a>, element: &'a Element, source: usize) -> Lowered {
    let derivation = element.children().find(|c| *c.name.namespace == *XSD && &*c.name.local != "annotation");
    let derivation = derivation.ok_or("a simple type that says nothing")?;
    match &*derivation.name.local {
        "restriction" => {
            let base = base_of(compiler, derivation, source, "base")?.ok_or("a restriction of nothing")?;
            let simple = restricted(compiler, derivation, source, base)?;
            Ok((Some(base), Kind::Simple(simple)))
        }
        "list" => {
            let item = base_of(compiler, derivation, source, "itemType")?.ok_or("a list of nothing")?;
            Ok((Some(Builtin::AnySimpleType.id()), Kind::Simple(Simple { variety: Variety::List(item), facets: Facets::default() })))
        }
        "union" => {
            let mut members = Vec::new();
            let named: Vec<&str> = derivation.attribute("memberTypes").unwrap_or_default().split_whitespace().collect();
            for written in named {
                let name = compiler.qname(source, derivation, written).ok_or("a union with a type that is not declared")?;
                let member = compiler.type_named(&name);
                if member.is_none() {
                    compiler.not_there(super::collect::Component::Type, &name, source, derivation);
                }
                members.push(member.ok_or_else(|| format!("type `{name}` is not declared"))?);
            }
            for inline in derivation.children().filter(|c| c.name.is(XSD, "simpleType")) {
                let (base, kind) = simple_type(compiler, inline, source)?;
                if let Kind::Simple(simple) = kind {
                    members.push(compiler.anonymous(base.unwrap_or(Builtin::AnySimpleType.id()), simple));
                }
            }
            Ok((Some(Builtin::AnySimpleType.id()), Kind::Simple(Simple { variety: Variety::Union(members), facets: Facets::default() })))
        }
        other => Err(format!("a simple type with `{other}`").into()),
    }
}

/// The type that an attribute names or a `simpleType` inside declares.
fn base_of<'a>(compiler: &mut Compiler<'a>, element: &'a Element, source: usize, attribute: &str) -> Result<Option<TypeId>, Arc<str>> {
    if let Some(named) = compiler.type_ref(source, element, attribute) {
        return Ok(Some(named));
    }
    let Some(inline) = element.children().find(|c| c.name.is(XSD, "simpleType")) else { return Ok(None) };
    let (base, kind) = simple_type(compiler, inline, source)?;
    Ok(match kind {
        Kind::Simple(simple) => Some(compiler.anonymous(base.unwrap_or(Builtin::AnySimpleType.id()), simple)),
        Kind::Complex(_) | Kind::NotUnderstood(_) => None,
    })
}

/// `simpleContent`: text of a simple type, and attributes.
pub(super) fn simple_content<'a>(
    compiler: &mut Compiler<'a>,
    derivation: &'a Element,
    source: usize,
    base: TypeId,
    base_kind: &Kind,
    extends: bool,
) -> Lowered {
    let (content, attributes, any) = match base_kind {
        Kind::Simple(_) => (base, Vec::new(), false),
        Kind::Complex(Complex { content: Content::Simple(simple), attributes, any_attribute, .. }) => {
            (*simple, attributes.clone(), *any_attribute)
        }
        // A mixed type may be restricted to the text in it (XML Schema part 1, 3.4.6).
        Kind::Complex(Complex { content: Content::Elements { mixed: true, .. }, attributes, any_attribute, .. }) if !extends => {
            (Builtin::String.id(), attributes.clone(), *any_attribute)
        }
        Kind::Complex(_) => return Err("a simple content is derived from a type that holds elements".into()),
        Kind::NotUnderstood(why) => return Err(Arc::clone(why)),
    };
    let mut own = compiler.body(derivation, source, false)?;
    let content = if extends {
        content
    } else {
        let narrowed = base_of(compiler, derivation, source, "-")?.unwrap_or(content);
        let simple = restricted(compiler, derivation, source, narrowed)?;
        compiler.anonymous(narrowed, simple)
    };
    own.content = Content::Simple(content);
    compiler.inherit_attributes(&mut own, attributes, any, source, derivation);
    Ok((Some(base), Kind::Complex(own)))
}

/// A type with the facets that stand in a restriction of it.
fn restricted<'a>(compiler: &mut Compiler<'a>, derivation: &'a Element, source: usize, base: TypeId) -> Result<Simple, Arc<str>> {
    let mut simple = match &compiler.ready(base).kind {
        Kind::Simple(simple) => simple.clone(),
        // `base="xsd:anyType"` in a simple type is what careless tools write.
        Kind::Complex(_) if base == Builtin::AnyType.id() => {
            Simple { variety: Variety::Atomic(Builtin::AnySimpleType), facets: Facets::default() }
        }
        Kind::Complex(_) => return Err("a simple type is derived from a complex one".into()),
        Kind::NotUnderstood(why) => return Err(Arc::clone(why)),
    };
    let builtin = match &simple.variety {
        Variety::Atomic(builtin) => Some(*builtin),
        Variety::List(_) | Variety::Union(_) => None,
    };
    let (mut list, mut patterns): (Vec<Arc<str>>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut last = derivation;
    for facet in derivation.children().filter(|c| *c.name.namespace == *XSD) {
        let Some(value) = facet.attribute("value") else { continue };
        let facets = &mut simple.facets;
        let number = || value.trim().parse::<usize>().ok();
        let read = match &*facet.name.local {
            "enumeration" => {
                list.push(facets.white_space.or(builtin.map(Builtin::white_space)).unwrap_or(WhiteSpace::Collapse).apply(value).into());
                true
            }
            "pattern" => {
                patterns.push(value);
                last = facet;
                true
            }
            "length" => set(&mut facets.length, number()),
            "minLength" => set(&mut facets.min_length, number()),
            "maxLength" => set(&mut facets.max_length, number()),
            "totalDigits" => set(&mut facets.total_digits, number()),
            "fractionDigits" => set(&mut facets.fraction_digits, number()),
            "minInclusive" => set(&mut facets.min, bound(builtin, value, false)),
            "minExclusive" => set(&mut facets.min, bound(builtin, value, true)),
            "maxInclusive" => set(&mut facets.max, bound(builtin, value, false)),
            "maxExclusive" => set(&mut facets.max, bound(builtin, value, true)),
            "whiteSpace" => set(
                &mut facets.white_space,
                match value.trim() {
                    "preserve" => Some(WhiteSpace::Preserve),
                    "replace" => Some(WhiteSpace::Replace),
                    "collapse" => Some(WhiteSpace::Collapse),
                    _ => None,
                },
            ),
            _ => true,
        };
        if !read {
            let message = format!("the value of `{}` can't be read for this type", facet.name.local);
            compiler.complain(
                Code("KITH-W013"),
                source,
                facet,
                message,
                "This limit is not checked before sending; the service may refuse",
            );
        }
    }
    if !list.is_empty() {
        simple.facets.enumeration = Some(list);
    }
    if !patterns.is_empty() {
        add_pattern(compiler, &mut simple.facets, &patterns, source, last);
    }
    Ok(simple)
}

/// Sets a facet where its value could be read.
fn set<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let read = value.is_some();
    if read {
        *slot = value;
    }
    read
}

fn bound(builtin: Option<Builtin>, written: &str, exclusive: bool) -> Option<Bound> {
    let builtin = builtin?;
    let value = builtin.ordered(&builtin.white_space().apply(written))?;
    Some(Bound { written: written.trim().into(), value, exclusive })
}

fn add_pattern(compiler: &mut Compiler<'_>, facets: &mut Facets, patterns: &[&str], source: usize, element: &Element) {
    let key: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
    let known = compiler.patterns.get(&key).cloned();
    let compiled = known.unwrap_or_else(|| {
        let translated = if compiler.room_for_pattern() { pattern::translate(patterns) } else { Err(NotTranslated::TooMany) };
        if let Err(why) = &translated {
            compiler.complain(
                Code("KITH-W011"),
                source,
                element,
                format!("a pattern is not checked: {why}"),
                "Values are sent without this check; the service may refuse them",
            );
        }
        let compiled = translated.ok();
        compiler.patterns.insert(key.clone(), compiled.clone());
        compiled
    });
    if let Some(regex) = compiled {
        facets.patterns.push((key.join("|").into(), regex));
    }
}
