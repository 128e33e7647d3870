//! What the contract declares at a place. Pure.

use crate::declare::connector::soap::{ElementName, ElementPath, Step};
use crate::diagnose::nearest;
use crate::wire::wsdl::schema::{Builtin, Content, ElementId, Kind, Particle, Schemas, Term, TypeId};
use crate::wire::xml::Name;
use std::sync::Arc;

/// Groups within groups that are looked through; schemas that people write have some five.
const DEPTH: usize = 48;

/// A declared element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Declared {
    /// Its type.
    pub kind: TypeId,
    /// Whether `xsi:nil` may stand for a value.
    pub nillable: bool,
    /// Whether it may stand there more than once.
    pub repeats: bool,
}

/// What a name means inside of a type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inside {
    /// A declared element.
    Element(Declared),
    /// The value of an attribute, by its type.
    Attribute(TypeId),
    /// Anything may stand there.
    Open,
}

/// A name that means nothing where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unknown {
    /// The path to it.
    pub at: String,
    /// What is nearest.
    pub nearest: Option<Arc<str>>,
    /// What could stand there, the first twenty.
    pub known: Vec<Arc<str>>,
}

/// As the schema's own look-ups want a name.
pub fn written(name: &ElementName) -> Arc<str> {
    match &name.namespace {
        Some(namespace) => format!("{{{namespace}}}{}", name.local).into(),
        None => name.local.clone(),
    }
}

fn is(name: &Name, wanted: &ElementName) -> bool {
    *name.local == *wanted.local && wanted.namespace.as_ref().is_none_or(|namespace| *name.namespace == **namespace)
}

/// The particle of a type's elements.
fn particle(schemas: &Schemas, kind: TypeId) -> Option<&Particle> {
    match &schemas.kind(kind).kind {
        Kind::Complex(complex) => match &complex.content {
            Content::Elements { particle, .. } => Some(particle),
            Content::Empty | Content::Simple(_) => None,
        },
        Kind::Simple(_) | Kind::NotUnderstood(_) => None,
    }
}

/// The items of an array of the SOAP encoding.
pub fn item_of(schemas: &Schemas, kind: TypeId) -> Option<TypeId> {
    match &schemas.kind(kind).kind {
        Kind::Complex(complex) => complex.array,
        Kind::Simple(_) | Kind::NotUnderstood(_) => None,
    }
}

fn repeats(particle: &Particle) -> bool {
    particle.max.is_none_or(|max| max > 1)
}

fn within(schemas: &Schemas, at: &Particle, name: &ElementName, many: bool, depth: usize) -> Option<Inside> {
    let many = many || repeats(at);
    match &at.term {
        Term::Element(id) => {
            let fits = |id: &ElementId| schemas.element(*id).filter(|declared| is(&declared.name, name));
            let declared = fits(id).or_else(|| schemas.substitutes(*id).iter().find_map(fits))?;
            Some(Inside::Element(Declared { kind: declared.kind, nillable: declared.nillable, repeats: many }))
        }
        Term::Sequence(inner) | Term::Choice(inner) | Term::All(inner) if depth > 0 => {
            let of = |open: bool| {
                let found = |particle: &Particle| within(schemas, particle, name, many, depth - 1).filter(|f| (*f == Inside::Open) == open);
                inner.iter().find_map(found)
            };
            // What is declared goes before what may be anything.
            of(false).or_else(|| of(true))
        }
        Term::Any(_) => Some(Inside::Open),
        Term::Sequence(_) | Term::Choice(_) | Term::All(_) => None,
    }
}

/// What an element's name means inside of a type.
pub fn child(schemas: &Schemas, kind: TypeId, name: &ElementName) -> Option<Inside> {
    if kind == Builtin::AnyType.id() {
        return Some(Inside::Open);
    }
    if let Some(item) = item_of(schemas, kind) {
        return Some(Inside::Element(Declared { kind: item, nillable: true, repeats: true }));
    }
    within(schemas, particle(schemas, kind)?, name, false, DEPTH)
}

fn attribute(schemas: &Schemas, kind: TypeId, name: &ElementName) -> Option<Inside> {
    let Kind::Complex(complex) = &schemas.kind(kind).kind else { return None };
    let declared = complex.attributes.iter().find(|attribute| is(&attribute.name, name));
    declared.map(|attribute| Inside::Attribute(attribute.kind)).or_else(|| complex.any_attribute.then_some(Inside::Open))
}

fn names_within(schemas: &Schemas, at: &Particle, into: &mut Vec<Arc<str>>, depth: usize) {
    match &at.term {
        Term::Element(id) => {
            let all = std::iter::once(id).chain(schemas.substitutes(*id)).filter_map(|id| schemas.element(*id));
            into.extend(all.filter(|declared| !declared.is_abstract).map(|declared| declared.name.local.clone()));
        }
        Term::Sequence(inner) | Term::Choice(inner) | Term::All(inner) if depth > 0 => {
            for particle in inner {
                names_within(schemas, particle, into, depth - 1);
            }
        }
        Term::Sequence(_) | Term::Choice(_) | Term::All(_) | Term::Any(_) => {}
    }
}

/// The names of what may stand inside of a type; attributes with `@`.
pub fn names(schemas: &Schemas, kind: TypeId) -> Vec<Arc<str>> {
    let mut names = Vec::new();
    if let Some(particle) = particle(schemas, kind) {
        names_within(schemas, particle, &mut names, DEPTH);
    }
    if let Kind::Complex(complex) = &schemas.kind(kind).kind {
        names.extend(complex.attributes.iter().map(|attribute| format!("@{}", attribute.name.local).into()));
    }
    names
}

/// The type that a name of the target file means; the derived one of several.
pub fn named_type(schemas: &Schemas, name: &ElementName, declared: TypeId) -> Option<TypeId> {
    let found = schemas.types_named(&written(name));
    found.iter().copied().find(|id| schemas.derives(*id, declared)).or_else(|| found.first().copied())
}

/// What stands at the end of a path that begins inside of a type; `types` gives the types that a call names on its way.
///
/// # Errors
/// The first step that means nothing.
pub fn at(
    schemas: &Schemas,
    start: TypeId,
    path: &ElementPath,
    types: &dyn Fn(&ElementPath) -> Option<ElementName>,
) -> Result<Inside, Unknown> {
    let mut here = Inside::Element(Declared { kind: start, nillable: false, repeats: false });
    let mut walked = ElementPath::default();
    for step in &path.0 {
        let declared = match here {
            Inside::Element(declared) => declared,
            // Inside of what may be anything nothing is known.
            Inside::Open => return Ok(Inside::Open),
            Inside::Attribute(_) => return Err(Unknown { at: walked.to_string(), nearest: None, known: Vec::new() }),
        };
        let kind = types(&walked).and_then(|name| named_type(schemas, &name, declared.kind)).unwrap_or(declared.kind);
        walked.0.push(step.clone());
        let (found, local) = match step {
            Step::Element(name, _) => (child(schemas, kind, name), name.local.to_string()),
            Step::Attribute(name) => (attribute(schemas, kind, name), format!("@{}", name.local)),
        };
        here = found.ok_or_else(|| {
            let mut known = names(schemas, kind);
            let near = nearest(&local, known.iter().map(|name| &**name)).map(Arc::from);
            known.truncate(20);
            Unknown { at: walked.to_string(), nearest: near, known }
        })?;
    }
    Ok(here)
}
