//! What stands at a path of an operation's input, for checking a mapping before anything is sent.

use super::assemble::FieldPath;
use crate::diagnose::nearest;
use crate::wire::wsdl::schema::{Builtin, Complex, Content, ElementDecl, Facets, Kind, Particle, Schemas, Term, TypeId};
use crate::wire::wsdl::{OperationRef, describe};
use crate::wire::xml::Name;
use std::sync::Arc;

/// An element or attribute of an operation's input.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: Name,
    /// Whether it is an attribute.
    pub is_attribute: bool,
    /// Its type in words, with its limits.
    pub described: String,
    /// The built-in type that its values are of; `None` for elements with elements inside, lists and unions.
    pub builtin: Option<Builtin>,
    /// What its type asks of values, where it takes a value.
    pub facets: Option<Facets>,
    /// Whether it takes a value: text. Otherwise it holds elements.
    pub takes_value: bool,
    /// At least so often in the element around it; 0 too where it is one of a choice, or in a part that may be left out.
    pub min: u32,
    /// At most so often; `None` for any number.
    pub max: Option<u32>,
    /// Whether it may be nil.
    pub nillable: bool,
    /// The value that is written where none is given.
    pub default: Option<Arc<str>>,
    /// The one value it may have.
    pub fixed: Option<Arc<str>>,
    /// Where only a type derived from the declared one has it: which, so that `@xsi:type` must say so.
    pub only_in: Option<Arc<str>>,
    /// The fields that must be there whenever the element is: children and `@attributes`, without those that fill themselves.
    pub requires: Vec<Arc<str>>,
}

/// Why there is no field at a path.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoField {
    /// A step that the element before it does not have.
    #[error("`{within}` has no `{step}`{}", .nearest.as_ref().map(|n| format!("; `{n}` is near")).unwrap_or_default())]
    Unknown {
        /// The element before it; the operation's for the first step.
        within: Arc<str>,
        /// The step, `@` before it for an attribute.
        step: String,
        /// What may have been meant.
        nearest: Option<Arc<str>>,
    },
    /// The contract was not understood on the way.
    #[error("`{within}` was not understood: {why}")]
    NotUnderstood {
        /// The element.
        within: Arc<str>,
        /// Why.
        why: Arc<str>,
    },
}

/// An element on the way.
struct Standing<'a> {
    decl: ElementDecl,
    min: u32,
    max: Option<u32>,
    only_in: Option<Arc<str>>,
    schemas: &'a Schemas,
}

/// What stands at a path of an operation's input.
///
/// # Errors
/// Nothing does.
pub fn field(operation: &OperationRef<'_>, path: &FieldPath) -> Result<Field, NoField> {
    let schemas = &operation.contract.schemas;
    let mut names = path.names();
    let mut at = match operation.input.roots.as_slice() {
        [root] => schemas.element(*root).map(|decl| Standing { decl: decl.clone(), min: 1, max: Some(1), only_in: None, schemas }),
        roots => {
            let step = names.next().unwrap_or_default();
            let all: Vec<&ElementDecl> = roots.iter().filter_map(|id| schemas.element(*id)).collect();
            let found = all.iter().find(|d| d.name.answers_to(step));
            let near = nearest(Name::split(step).1, all.iter().map(|d| &*d.name.local)).map(Into::into);
            let unknown = || NoField::Unknown { within: Arc::clone(&operation.operation.name), step: step.to_owned(), nearest: near };
            let decl = found.ok_or_else(unknown)?;
            Some(Standing { decl: (*decl).clone(), min: 1, max: Some(1), only_in: None, schemas })
        }
    }
    .ok_or_else(|| NoField::NotUnderstood { within: Arc::clone(&operation.operation.name), why: "it is not declared".into() })?;
    for step in names {
        at = at.child(step)?;
    }
    match path.attribute() {
        None | Some("xsi:type" | "xsi:nil") => Ok(at.field()),
        Some(attribute) => at.attribute(attribute),
    }
}

impl<'a> Standing<'a> {
    fn complex(&self, kind: TypeId) -> Result<Option<&'a Complex>, NoField> {
        match &self.schemas.kind(kind).kind {
            Kind::Complex(complex) => Ok(Some(complex)),
            Kind::Simple(_) => Ok(None),
            Kind::NotUnderstood(why) => Err(NoField::NotUnderstood { within: Arc::clone(&self.decl.name.local), why: Arc::clone(why) }),
        }
    }

    /// The declared type and those derived from it, which `xsi:type` may name.
    fn types(&self) -> Vec<(TypeId, Option<Arc<str>>)> {
        let declared = self.decl.kind;
        let mut derived: Vec<(TypeId, Option<Arc<str>>)> = Vec::new();
        if !declared.is_builtin() {
            let named = self.schemas.named_types().filter(|(_, id)| *id != declared && self.schemas.derives(*id, declared));
            derived = named.map(|(name, id)| (id, Some(Arc::clone(&name.local)))).collect();
            derived.sort();
        }
        derived.insert(0, (declared, None));
        derived
    }

    fn child(&self, step: &str) -> Result<Self, NoField> {
        let mut known = Vec::new();
        for (kind, only_in) in self.types() {
            let Some(complex) = self.complex(kind)? else { continue };
            // Items of an array have any name, and below `anyType` nothing is declared.
            let open = (kind == Builtin::AnyType.id()).then_some(kind);
            if let Some(item) = complex.array.or(open) {
                let (namespace, local) = Name::split(step);
                let name = Name::new(namespace.unwrap_or_default(), local);
                let decl = ElementDecl { name, kind: item, nillable: true, default: None, fixed: None, is_abstract: false };
                return Ok(Self { decl, min: 0, max: None, only_in, schemas: self.schemas });
            }
            if let Content::Elements { particle, .. } = &complex.content
                && let Some((decl, min, max)) = find(self.schemas, particle, step, (1, Some(1)), &mut known)
            {
                return Ok(Self { decl, min, max, only_in, schemas: self.schemas });
            }
        }
        let nearest = nearest(Name::split(step).1, known.iter().map(|n| &**n)).map(Into::into);
        Err(NoField::Unknown { within: Arc::clone(&self.decl.name.local), step: step.to_owned(), nearest })
    }

    fn attribute(&self, step: &str) -> Result<Field, NoField> {
        let mut known = Vec::new();
        for (kind, only_in) in self.types() {
            let Some(complex) = self.complex(kind)? else { continue };
            if let Some(found) = complex.attributes.iter().find(|a| a.name.answers_to(step)) {
                let min = u32::from(found.required && found.default.is_none() && found.fixed.is_none());
                let name = found.name.clone();
                let decl = ElementDecl {
                    name,
                    kind: found.kind,
                    nillable: false,
                    default: found.default.clone(),
                    fixed: found.fixed.clone(),
                    is_abstract: false,
                };
                let standing = Self { decl, min, max: Some(1), only_in, schemas: self.schemas };
                return Ok(Field { is_attribute: true, ..standing.field() });
            }
            if complex.any_attribute {
                let (namespace, local) = Name::split(step);
                let name = Name::new(namespace.unwrap_or_default(), local);
                let kind = Builtin::AnySimpleType.id();
                let decl = ElementDecl { name, kind, nillable: false, default: None, fixed: None, is_abstract: false };
                return Ok(Field { is_attribute: true, ..Self { decl, min: 0, max: Some(1), only_in, schemas: self.schemas }.field() });
            }
            known.extend(complex.attributes.iter().map(|a| Arc::clone(&a.name.local)));
        }
        let nearest = nearest(Name::split(step).1, known.iter().map(|n| &**n)).map(Into::into);
        Err(NoField::Unknown { within: Arc::clone(&self.decl.name.local), step: format!("@{step}"), nearest })
    }

    fn field(&self) -> Field {
        let kind = self.decl.kind;
        let simple = match &self.schemas.kind(kind).kind {
            Kind::Simple(simple) => Some(simple),
            Kind::Complex(Complex { content: Content::Simple(inner), .. }) => match &self.schemas.kind(*inner).kind {
                Kind::Simple(simple) => Some(simple),
                Kind::Complex(_) | Kind::NotUnderstood(_) => None,
            },
            Kind::Complex(_) | Kind::NotUnderstood(_) => None,
        };
        let mut requires = Vec::new();
        if let Kind::Complex(complex) = &self.schemas.kind(kind).kind {
            let needed = complex.attributes.iter().filter(|a| a.required && a.default.is_none() && a.fixed.is_none());
            requires.extend(needed.map(|a| Arc::from(format!("@{}", a.name.local))));
            if let Content::Elements { particle, .. } = &complex.content {
                required(self.schemas, particle, &mut requires);
            }
        }
        Field {
            name: self.decl.name.clone(),
            is_attribute: false,
            described: describe(self.schemas, kind),
            builtin: self.schemas.builtin(kind),
            facets: simple.map(|s| s.facets.clone()),
            takes_value: simple.is_some() || kind == Builtin::AnyType.id(),
            min: self.min,
            max: self.max,
            nillable: self.decl.nillable,
            default: self.decl.default.clone(),
            fixed: self.decl.fixed.clone(),
            only_in: self.only_in.clone(),
            requires,
        }
    }
}

/// The element of a name in a particle and how often it may be there, seen from the element around it.
fn find(
    schemas: &Schemas,
    particle: &Particle,
    step: &str,
    around: (u32, Option<u32>),
    known: &mut Vec<Arc<str>>,
) -> Option<(ElementDecl, u32, Option<u32>)> {
    let min = particle.min.saturating_mul(around.0);
    let max = particle.max.zip(around.1).map(|(a, b)| a.saturating_mul(b));
    match &particle.term {
        Term::Element(id) => std::iter::once(id).chain(schemas.substitutes(*id)).filter_map(|id| schemas.element(*id)).find_map(|decl| {
            known.push(Arc::clone(&decl.name.local));
            // What may be one of several is not required itself.
            let min = if schemas.substitutes(*id).is_empty() { min } else { 0 };
            decl.name.answers_to(step).then(|| (decl.clone(), min, max))
        }),
        Term::Any(wildcard) => {
            let (namespace, local) = Name::split(step);
            let name = Name::new(namespace?, local);
            if !wildcard.takes(&name.namespace) {
                return None;
            }
            let global = schemas.element_named(&name).and_then(|id| schemas.element(id)).cloned();
            let open = ElementDecl { name, kind: Builtin::AnyType.id(), nillable: true, default: None, fixed: None, is_abstract: false };
            Some((global.unwrap_or(open), 0, max))
        }
        Term::Sequence(inner) | Term::All(inner) => inner.iter().find_map(|p| find(schemas, p, step, (min, max), known)),
        Term::Choice(inner) => {
            let least = if inner.len() > 1 { 0 } else { min };
            inner.iter().find_map(|p| find(schemas, p, step, (least, max), known))
        }
    }
}

/// The children that must be there whenever the element is, without those that fill themselves.
fn required(schemas: &Schemas, particle: &Particle, into: &mut Vec<Arc<str>>) {
    if particle.min == 0 {
        return;
    }
    match &particle.term {
        Term::Element(id) => {
            // One that may be nil is written as nil where nothing is given.
            let decl = schemas.element(*id).filter(|d| d.default.is_none() && d.fixed.is_none() && !d.nillable);
            into.extend(decl.filter(|_| schemas.substitutes(*id).is_empty()).map(|d| Arc::clone(&d.name.local)));
        }
        Term::Sequence(inner) | Term::All(inner) => inner.iter().for_each(|p| required(schemas, p, into)),
        Term::Choice(inner) => {
            if let [one] = inner.as_slice() {
                required(schemas, one, into);
            }
        }
        Term::Any(_) => {}
    }
}
