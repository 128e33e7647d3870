//! What a schema says, names resolved: types and elements by number, groups and derivations expanded.

use super::builtin::{Builtin, WhiteSpace};
use super::facets::{Broken, Facets};
use crate::wire::xml::Name;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// A type of a [`Schemas`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TypeId(pub(super) u32);

/// An element declaration of a [`Schemas`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ElementId(pub(super) u32);

/// A type.
#[derive(Clone, Debug)]
pub struct Type {
    /// Its name, where it has one.
    pub name: Option<Name>,
    /// What it is derived from.
    pub base: Option<TypeId>,
    /// Whether only types derived from it may be written.
    pub is_abstract: bool,
    /// What it is.
    pub kind: Kind,
}

/// What a type is.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a few thousand are made when a contract is read, and then only looked at")]
pub enum Kind {
    /// Text of a form.
    Simple(Simple),
    /// Attributes and content.
    Complex(Complex),
    /// Not understood; why, as its diagnostic says.
    NotUnderstood(Arc<str>),
}

/// A simple type.
#[derive(Clone, Debug)]
pub struct Simple {
    /// How it is made.
    pub variety: Variety,
    /// What it asks beyond its form.
    pub facets: Facets,
}

/// How a simple type is made.
#[derive(Clone, Debug)]
pub enum Variety {
    /// One value.
    Atomic(Builtin),
    /// Values with blanks between them.
    List(TypeId),
    /// A value of any of these.
    Union(Vec<TypeId>),
}

/// A complex type.
#[derive(Clone, Debug)]
pub struct Complex {
    /// Its attributes, those of its bases among them.
    pub attributes: Vec<AttributeUse>,
    /// Whether it takes any other attribute.
    pub any_attribute: bool,
    /// What is inside.
    pub content: Content,
    /// Where it is an array of the SOAP encoding: what its items are.
    pub array: Option<TypeId>,
}

/// What is inside of a complex type.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nothing.
    Empty,
    /// Text of a simple type.
    Simple(TypeId),
    /// Elements; `mixed` where text may stand between them.
    Elements {
        /// Which.
        particle: Particle,
        /// Whether text may stand between them.
        mixed: bool,
    },
}

/// An attribute of a type.
#[derive(Clone, Debug)]
pub struct AttributeUse {
    /// Its name.
    pub name: Name,
    /// Its type, a simple one.
    pub kind: TypeId,
    /// Whether it must be there.
    pub required: bool,
    /// The value where it is not there.
    pub default: Option<Arc<str>>,
    /// The one value it may have.
    pub fixed: Option<Arc<str>>,
}

/// Something that may occur so often.
#[derive(Clone, Debug)]
pub struct Particle {
    /// At least so often.
    pub min: u32,
    /// At most so often; `None` for any number.
    pub max: Option<u32>,
    /// What.
    pub term: Term,
}

/// What may occur.
#[derive(Clone, Debug)]
pub enum Term {
    /// An element, or one that may stand for it.
    Element(ElementId),
    /// All, in order.
    Sequence(Vec<Particle>),
    /// One of them.
    Choice(Vec<Particle>),
    /// All, in any order.
    All(Vec<Particle>),
    /// An element that the schema does not name.
    Any(Wildcard),
}

/// Which elements a wildcard takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wildcard {
    /// Of any namespace.
    Any,
    /// Of any but this, and of one at all.
    Other(Arc<str>),
    /// Of one of these; the empty one is none.
    In(Vec<Arc<str>>),
}

impl Wildcard {
    /// Whether it takes elements of a namespace.
    pub fn takes(&self, namespace: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Other(own) => !namespace.is_empty() && **own != *namespace,
            Self::In(list) => list.iter().any(|n| **n == *namespace),
        }
    }
}

/// An element declaration.
#[derive(Clone, Debug)]
pub struct ElementDecl {
    /// Its name as it is written: in no namespace where it is local and unqualified.
    pub name: Name,
    /// Its type.
    pub kind: TypeId,
    /// Whether `xsi:nil` may stand for a value.
    pub nillable: bool,
    /// The value of the empty element.
    pub default: Option<Arc<str>>,
    /// The one value it may have.
    pub fixed: Option<Arc<str>>,
    /// Whether only elements that may stand for it may be written.
    pub is_abstract: bool,
}

/// Everything that the schemas of a contract declare.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    pub(super) types: Vec<Type>,
    pub(super) elements: Vec<ElementDecl>,
    pub(super) named_types: HashMap<Name, TypeId>,
    pub(super) named_elements: HashMap<Name, ElementId>,
    /// Which elements may stand for one, all levels of them, in the order of the schemas.
    pub(super) substitutes: HashMap<ElementId, Vec<ElementId>>,
}

/// Why a text is not of a simple type. Never shows the text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotOfType {
    /// The form.
    #[error("it is not of the form of {0}")]
    Form(Arc<str>),
    /// A facet.
    #[error("{0}")]
    Facet(#[from] Broken),
    /// The type was not understood.
    #[error("its type was not understood: {0}")]
    NotUnderstood(Arc<str>),
}

/// Unions and lists within each other are followed so deep; schemas that people write have two levels.
const SIMPLE_DEPTH: usize = 16;

impl Schemas {
    /// A type by number; the type of anything where the number is of other schemas.
    pub fn kind(&self, id: TypeId) -> &Type {
        // Ids come from the schemas they are asked of; the first type, `anyType`, stands in so that nothing can panic.
        static NOTHING: Type = Type {
            name: None,
            base: None,
            is_abstract: false,
            kind: Kind::Complex(Complex { attributes: Vec::new(), any_attribute: false, content: Content::Empty, array: None }),
        };
        usize::try_from(id.0).ok().and_then(|at| self.types.get(at)).unwrap_or(&NOTHING)
    }

    /// An element declaration by number.
    pub fn element(&self, id: ElementId) -> Option<&ElementDecl> {
        usize::try_from(id.0).ok().and_then(|at| self.elements.get(at))
    }

    /// A type by its full name, built-in ones among them.
    pub fn type_named(&self, name: &Name) -> Option<TypeId> {
        self.named_types.get(name).copied()
    }

    /// The types that `local` or `{namespace}local` may mean.
    pub fn types_named(&self, written: &str) -> Vec<TypeId> {
        self.named_types.iter().filter(|(name, _)| name.answers_to(written)).map(|(_, id)| *id).collect()
    }

    /// A global element by its full name.
    pub fn element_named(&self, name: &Name) -> Option<ElementId> {
        self.named_elements.get(name).copied()
    }

    /// All named types that are not built in.
    pub fn named_types(&self) -> impl Iterator<Item = (&Name, TypeId)> {
        self.named_types.iter().map(|(name, id)| (name, *id)).filter(|(_, id)| !id.is_builtin())
    }

    /// The elements that may stand for one.
    pub fn substitutes(&self, id: ElementId) -> &[ElementId] {
        self.substitutes.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Whether a type is another or derived from it.
    pub fn derives(&self, from: TypeId, base: TypeId) -> bool {
        let mut at = Some(from);
        // A chain that loops is longer than there are types.
        for _ in 0..=self.types.len() {
            match at {
                Some(here) if here == base => return true,
                Some(here) => at = self.kind(here).base,
                None => break,
            }
        }
        base == Builtin::AnyType.id()
    }

    /// How a simple type reads blanks.
    pub fn white_space(&self, simple: &Simple) -> WhiteSpace {
        simple.facets.white_space.unwrap_or(match &simple.variety {
            Variety::Atomic(builtin) => builtin.white_space(),
            Variety::List(_) => WhiteSpace::Collapse,
            Variety::Union(_) => WhiteSpace::Preserve,
        })
    }

    /// Checks a text against a simple type; the text as it should be written comes back: as it is for strings, else with blanks collapsed.
    ///
    /// # Errors
    /// Which form or facet it breaks.
    pub fn check<'t>(&self, id: TypeId, text: &'t str) -> Result<Cow<'t, str>, NotOfType> {
        self.check_within(id, text, SIMPLE_DEPTH)
    }

    fn check_within<'t>(&self, id: TypeId, text: &'t str, depth: usize) -> Result<Cow<'t, str>, NotOfType> {
        let kind = self.kind(id);
        let simple = match &kind.kind {
            Kind::Simple(simple) if depth > 0 => simple,
            Kind::NotUnderstood(why) => return Err(NotOfType::NotUnderstood(Arc::clone(why))),
            Kind::Simple(_) | Kind::Complex(_) => return Err(NotOfType::Form(self.describe(id))),
        };
        let white_space = self.white_space(simple);
        let read = white_space.apply(text);
        simple.facets.check_text(&read)?;
        match &simple.variety {
            Variety::Atomic(builtin) => {
                if !builtin.accepts(&read) {
                    return Err(NotOfType::Form(builtin.name().into()));
                }
                if let Some(length) = builtin.length(&read) {
                    simple.facets.check_length(length)?;
                }
                if let Some(value) = builtin.ordered(&read) {
                    simple.facets.check_value(&value)?;
                }
            }
            Variety::List(item) => {
                let mut count = 0;
                for word in read.split(' ').filter(|w| !w.is_empty()) {
                    self.check_within(*item, word, depth - 1)?;
                    count += 1;
                }
                simple.facets.check_length(count)?;
            }
            Variety::Union(members) => {
                let mut first = None;
                for member in members {
                    match self.check_within(*member, text, depth - 1) {
                        Ok(read) => return Ok(read),
                        Err(error) => first = first.or(Some(error)),
                    }
                }
                return Err(match first {
                    Some(error) if members.len() == 1 => error,
                    _ => NotOfType::Form(self.describe(id)),
                });
            }
        }
        // A string's blanks are the writer's; a number is written without those around it.
        Ok(if white_space == WhiteSpace::Collapse { read } else { Cow::Borrowed(text) })
    }

    /// A type's name for people.
    pub fn describe(&self, id: TypeId) -> Arc<str> {
        let kind = self.kind(id);
        match (&kind.name, &kind.kind) {
            (Some(name), _) => Arc::clone(&name.local),
            (None, Kind::Simple(simple)) => match &simple.variety {
                Variety::Atomic(builtin) => builtin.name().into(),
                Variety::List(item) => format!("list of {}", self.describe(*item)).into(),
                Variety::Union(_) => "union".into(),
            },
            (None, Kind::Complex(_)) => "record".into(),
            (None, Kind::NotUnderstood(_)) => "unknown".into(),
        }
    }

    /// The one primitive or derived built-in type that a simple type or simple content comes down to, where there is one.
    pub fn builtin(&self, id: TypeId) -> Option<Builtin> {
        match &self.kind(id).kind {
            Kind::Simple(Simple { variety: Variety::Atomic(builtin), .. }) => Some(*builtin),
            Kind::Complex(Complex { content: Content::Simple(simple), .. }) if *simple != id => self.builtin(*simple),
            Kind::Simple(_) | Kind::Complex(_) | Kind::NotUnderstood(_) => None,
        }
    }
}

impl Builtin {
    /// Its number in every [`Schemas`].
    pub const fn id(self) -> TypeId {
        TypeId(self as u32)
    }
}

impl TypeId {
    /// Whether the type is built in.
    pub fn is_builtin(self) -> bool {
        usize::try_from(self.0).is_ok_and(|at| at < Builtin::ALL.len())
    }
}
