//! Paths of elements in requests and answers: `Contact/Email[2]`, `item[name=id]/value`, `sf:Body__c`, `.`.

use std::fmt;
use std::sync::Arc;

/// The longest path; the deepest that are known have some ten steps.
const LONGEST_PATH: usize = 500;

/// A name with its namespace where a prefix gave one; else the schema says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ElementName {
    /// The namespace's name.
    pub namespace: Option<Arc<str>>,
    /// The local name.
    pub local: Arc<str>,
}

impl fmt::Display for ElementName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.local)
    }
}

/// Which of several elements of one name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Select {
    /// The only one, or the first.
    First,
    /// By its place among them, from 1.
    Position(u16),
    /// The one whose child holds this text; written where it is not there.
    Child(ElementName, Arc<str>),
}

/// One step of a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Step {
    /// A child element.
    Element(ElementName, Select),
    /// An attribute; the last step only.
    Attribute(ElementName),
}

/// A path; empty for `.`, the element where paths begin.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ElementPath(pub Vec<Step>);

/// Why a text is no path.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathError {
    /// Nothing between two `/`, or at an end.
    #[error("a step is empty")]
    EmptyStep,
    /// A step that can't be a name.
    #[error("`{0}` can't name an element")]
    Name(String),
    /// A bracket without its partner, or something else behind it.
    #[error("`[` and `]` hold a number from 1 or `child=text`")]
    Brackets,
    /// `@` before the end.
    #[error("`@` stands in the last step only")]
    Attribute,
    /// A prefix that the file does not declare.
    #[error("the prefix `{0}` is not declared in `soap: namespaces`")]
    Prefix(String),
    /// Too long.
    #[error("it is longer than {LONGEST_PATH} bytes")]
    Long,
}

impl ElementPath {
    /// Reads a path; `prefix` gives the namespace of a prefix.
    ///
    /// # Errors
    /// Where the text is none.
    pub fn parse(text: &str, prefix: &dyn Fn(&str) -> Option<Arc<str>>) -> Result<Self, PathError> {
        if text == "." {
            return Ok(Self::default());
        }
        if text.len() > LONGEST_PATH {
            return Err(PathError::Long);
        }
        let texts = split(text);
        let last = texts.len().saturating_sub(1);
        let step = |(at, text): (usize, &str)| match text.strip_prefix('@') {
            Some(_) if at != last => Err(PathError::Attribute),
            Some(attribute) => ElementName::parse(attribute, prefix).map(Step::Attribute),
            None => element(text, prefix),
        };
        texts.into_iter().enumerate().map(step).collect::<Result<_, _>>().map(Self)
    }

    /// Whether it is `.`.
    pub fn is_here(&self) -> bool {
        self.0.is_empty()
    }

    /// This path and then another.
    #[must_use]
    pub fn then(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// The first step's element.
    pub fn first(&self) -> Option<&ElementName> {
        match self.0.first()? {
            Step::Element(name, _) | Step::Attribute(name) => Some(name),
        }
    }
}

impl fmt::Display for ElementPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for (at, step) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("/")?;
            }
            match step {
                Step::Element(name, Select::First) => write!(f, "{name}")?,
                Step::Element(name, Select::Position(place)) => write!(f, "{name}[{place}]")?,
                Step::Element(name, Select::Child(child, text)) => write!(f, "{name}[{child}={text}]")?,
                Step::Attribute(name) => write!(f, "@{name}")?,
            }
        }
        Ok(())
    }
}

impl ElementName {
    /// Reads `name` or `prefix:name`.
    ///
    /// # Errors
    /// Where the text is no name, or the prefix is not declared.
    pub fn parse(text: &str, prefix: &dyn Fn(&str) -> Option<Arc<str>>) -> Result<Self, PathError> {
        let (namespace, local) = match text.split_once(':') {
            Some((declared, local)) => (Some(prefix(declared).ok_or_else(|| PathError::Prefix(declared.to_owned()))?), local),
            None => (None, text),
        };
        if is_name(local) { Ok(Self { namespace, local: local.into() }) } else { Err(PathError::Name(text.to_owned())) }
    }
}

/// Whether it may name an element (Namespaces in XML 1.0, `NCName`; letters beyond ASCII are taken as they come).
fn is_name(text: &str) -> bool {
    let starts = |c: char| c.is_alphabetic() || c == '_';
    text.starts_with(starts) && text.chars().all(|c| starts(c) || c.is_numeric() || matches!(c, '-' | '.'))
}

/// Steps; a `/` inside of brackets separates none.
fn split(text: &str) -> Vec<&str> {
    let (mut steps, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            '/' if !inside => {
                steps.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    steps.extend(text.get(start..));
    steps
}

fn element(text: &str, prefix: &dyn Fn(&str) -> Option<Arc<str>>) -> Result<Step, PathError> {
    if text.is_empty() {
        return Err(PathError::EmptyStep);
    }
    let Some((name, rest)) = text.split_once('[') else {
        if text.contains(']') {
            return Err(PathError::Brackets);
        }
        return Ok(Step::Element(ElementName::parse(text, prefix)?, Select::First));
    };
    let name = ElementName::parse(name, prefix)?;
    let inside = rest.strip_suffix(']').filter(|inside| !inside.contains(['[', ']'])).ok_or(PathError::Brackets)?;
    let select = match inside.split_once('=') {
        Some((child, text)) if !text.is_empty() => Select::Child(ElementName::parse(child.trim(), prefix)?, text.into()),
        Some(_) => return Err(PathError::Brackets),
        None => Select::Position(inside.parse().ok().filter(|place| *place > 0).ok_or(PathError::Brackets)?),
    };
    Ok(Step::Element(name, select))
}
