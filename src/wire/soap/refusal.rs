//! Why a message can't be made of some values. Names, limits and lengths, never a value.

use crate::diagnose::Code;
use crate::wire::wsdl::schema::NotOfType;
use crate::wire::xml::Uncarriable;
use std::fmt;
use std::sync::Arc;

/// A message that is not sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Where, from the operation's element inwards: `Contact/Email[2]`, `Contact/@kind`. Empty for the operation's element itself.
    pub path: String,
    /// Why.
    pub reason: Reason,
}

/// Why.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reason {
    /// There is no such element here.
    #[error("there is no such element here{}", near(.0.as_deref()))]
    UnknownElement(Option<Arc<str>>),
    /// There is no such attribute here.
    #[error("there is no such attribute here{}", near(.0.as_deref()))]
    UnknownAttribute(Option<Arc<str>>),
    /// It must be there.
    #[error("it must be there")]
    Missing,
    /// One of these must be there.
    #[error("one of {} must be there", .0.join(", "))]
    MissingChoice(Vec<Arc<str>>),
    /// Only one of these may be there.
    #[error("of {} only one may be there", .0.join(", "))]
    Choice(Vec<Arc<str>>),
    /// Too few times.
    #[error("it is there {found} times, the least is {least}")]
    TooFew {
        /// How often it is there.
        found: u32,
        /// The least.
        least: u32,
    },
    /// Too many times.
    #[error("it is there more than {0} times")]
    TooMany(u32),
    /// The value has the wrong form, or breaks a limit of its type.
    #[error("{0}")]
    NotOfType(NotOfType),
    /// A value of a kind that has no form here.
    #[error("a {0} can't be written here")]
    WrongKind(&'static str),
    /// It holds characters that XML cannot carry.
    #[error("it holds {0}")]
    Uncarried(Uncarriable),
    /// `xsi:nil` where it may not be.
    #[error("it may not be nil")]
    NotNillable,
    /// Text where elements stand.
    #[error("it holds elements, not a value")]
    NoValue,
    /// Elements where text stands.
    #[error("it holds a value, not elements")]
    NoElements,
    /// Something else than the one fixed value.
    #[error("its value is fixed by the schema")]
    Fixed,
    /// Only something derived may be written.
    #[error("it is abstract; one of these must be named: {}", .0.join(", "))]
    Abstract(Vec<Arc<str>>),
    /// No such type. Its name is a value, and not told.
    #[error("there is no such type to name here{}", near(.0.as_deref()))]
    UnknownType(Option<Arc<str>>),
    /// A type that is not derived from the declared one.
    #[error("the type that is named is not derived from the declared one")]
    NotDerived,
    /// The contract was not understood here.
    #[error("the contract was not understood here: {0}")]
    NotUnderstood(Arc<str>),
    /// Values nested too deep.
    #[error("values are nested deeper than {0}")]
    TooDeep(usize),
}

fn near(word: Option<&str>) -> String {
    word.map(|w| format!("; `{w}` is near")).unwrap_or_default()
}

impl Refusal {
    /// At the place that is being written.
    pub(super) const fn here(reason: Reason) -> Self {
        Self { path: String::new(), reason }
    }

    /// At a step below the place that is being written.
    pub(super) fn at(step: &str, reason: Reason) -> Self {
        Self { path: step.to_owned(), reason }
    }

    /// Seen from one step further out.
    #[must_use]
    pub(super) fn inside(mut self, step: &str) -> Self {
        if !step.is_empty() {
            self.path = if self.path.is_empty() { step.to_owned() } else { format!("{step}/{}", self.path) };
        }
        self
    }

    /// The page that explains it.
    pub const fn code(&self) -> Code {
        Code(match &self.reason {
            Reason::UnknownElement(_) | Reason::UnknownAttribute(_) => "KITH-W020",
            Reason::Missing | Reason::MissingChoice(_) | Reason::TooFew { .. } => "KITH-W021",
            Reason::NotOfType(_) | Reason::WrongKind(_) | Reason::Fixed => "KITH-W022",
            Reason::Choice(_) | Reason::TooMany(_) | Reason::NotNillable | Reason::NoValue | Reason::NoElements | Reason::TooDeep(_) => {
                "KITH-W023"
            }
            Reason::Uncarried(_) => "KITH-W024",
            Reason::Abstract(_) | Reason::UnknownType(_) | Reason::NotDerived => "KITH-W025",
            Reason::NotUnderstood(_) => "KITH-W026",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { write!(f, "the body: {}", self.reason) } else { write!(f, "`{}`: {}", self.path, self.reason) }
    }
}

impl std::error::Error for Refusal {}
