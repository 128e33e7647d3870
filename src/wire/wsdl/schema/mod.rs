//! XML Schema 1.0: types, elements and what they ask of values.

mod attributes;
mod builtin;
mod collect;
mod compile;
mod facets;
mod model;
mod moment;
mod number;
mod pattern;
mod simple;

pub use builtin::{Builtin, Ordered, Unit, WhiteSpace};
pub(super) use collect::{Component, collect};
pub(super) use compile::Compiler;
pub use facets::{Bound, Broken, Facets};
pub use model::{
    AttributeUse, Complex, Content, ElementDecl, ElementId, Kind, NotOfType, Particle, Schemas, Simple, Term, Type, TypeId, Variety,
    Wildcard,
};
pub use number::Decimal;
