//! Paths into an answer, read and checked once: `/Body/setResponse/result/item[*]/id`.

use super::assemble::split_steps;
use crate::wire::xml::{Element, Name, is_ncname};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Steps of one path.
const STEPS: usize = 48;

/// A path. Steps are names of elements, `local` (of any namespace) or `{namespace}local`, or `*` for any; behind one may stand `[*]` for all
/// of them (which is meant without it, too), `[2]` for the second, `[name='id']` or `[@kind='x']` for those whose child or attribute holds
/// this text. The last step may be an attribute, `@id`. `//` looks on every level.
#[derive(Clone, PartialEq, Eq)]
pub struct Path {
    written: Arc<str>,
    steps: Vec<Step>,
    attribute: Option<Arc<str>>,
}

#[derive(Clone, PartialEq, Eq)]
struct Step {
    name: Arc<str>,
    anywhere: bool,
    filters: Vec<Filter>,
}

#[derive(Clone, PartialEq, Eq)]
enum Filter {
    Position(usize),
    Child(Arc<str>, Arc<str>),
    Attribute(Arc<str>, Arc<str>),
}

/// Why a path can't be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathError {
    /// Nothing in it.
    #[error("a path without a step")]
    Empty,
    /// A step that is no name.
    #[error("`{0}` is no name of an element")]
    Step(String),
    /// Brackets that hold neither `*`, a position nor a comparison with a text in quotation marks.
    #[error("`[{0}]` is none of `[*]`, `[2]`, `[name='text']`, `[@name='text']`")]
    Filter(String),
    /// An attribute that is not the last step.
    #[error("an attribute is the last step of a path")]
    Attribute,
    /// Too many steps.
    #[error("a path of more than {STEPS} steps")]
    TooLong,
}

/// What a path found.
#[derive(Clone, Copy, Debug)]
pub enum Found<'e> {
    /// An element.
    Element(&'e Element),
    /// An attribute's value, of this element.
    Attribute(&'e Element, &'e str),
}

impl<'e> Found<'e> {
    /// The value: an attribute's, or the text right inside an element. `xsi:nil` has none.
    pub fn text(self) -> Option<Cow<'e, str>> {
        match self {
            Self::Attribute(_, value) => Some(Cow::Borrowed(value)),
            Self::Element(element) => {
                let nil = element.attribute_in(crate::wire::xml::XSI_NS, "nil").is_some_and(|n| matches!(n.trim(), "true" | "1"));
                (!nil).then(|| element.text())
            }
        }
    }

    /// The element, or the one that has the attribute.
    pub const fn element(self) -> &'e Element {
        match self {
            Self::Element(element) | Self::Attribute(element, _) => element,
        }
    }
}

impl Path {
    /// From what was written.
    ///
    /// # Errors
    /// It is no path.
    pub fn parse(written: &str) -> Result<Self, PathError> {
        let written = written.trim();
        let (mut steps, mut attribute, mut anywhere) = (Vec::new(), None, false);
        let body = written.strip_prefix('/').unwrap_or(written);
        for (at, step) in outside_brackets(body).iter().map(String::as_str).enumerate() {
            if attribute.is_some() {
                return Err(PathError::Attribute);
            }
            if step.is_empty() {
                // `//` leaves an empty step; two of them, or one at the end, mean nothing.
                if anywhere || at == 0 && !written.starts_with("//") {
                    return Err(if body.is_empty() { PathError::Empty } else { PathError::Step(written.to_owned()) });
                }
                anywhere = true;
                continue;
            }
            if let Some(name) = step.strip_prefix('@') {
                if anywhere || !is_ncname(Name::split(name).1) {
                    return Err(PathError::Step(step.to_owned()));
                }
                attribute = Some(name.into());
                continue;
            }
            steps.push(parse_step(step, anywhere)?);
            anywhere = false;
            if steps.len() > STEPS {
                return Err(PathError::TooLong);
            }
        }
        match (anywhere, steps.is_empty() && attribute.is_none()) {
            (true, _) => Err(PathError::Step(written.to_owned())),
            (false, true) => Err(PathError::Empty),
            (false, false) => Ok(Self { written: written.into(), steps, attribute }),
        }
    }

    /// Everything that it finds from an element inwards, in the order of the document. The first step names a child of the element.
    pub fn select<'e>(&self, from: &'e Element) -> Vec<Found<'e>> {
        let mut here = vec![from];
        for step in &self.steps {
            let mut next = Vec::new();
            for element in here {
                step.select(element, &mut next);
            }
            if step.anywhere {
                // Elements within elements that were both found are reached twice by the next `//`.
                let mut seen = std::collections::HashSet::new();
                next.retain(|e: &&Element| seen.insert(std::ptr::from_ref(*e)));
            }
            here = next;
        }
        match &self.attribute {
            None => here.into_iter().map(Found::Element).collect(),
            Some(name) => here
                .into_iter()
                .filter_map(|e| e.attributes.iter().find(|a| a.name.answers_to(name)).map(|a| Found::Attribute(e, &a.value)))
                .collect(),
        }
    }

    /// The text of the first thing that it finds, blanks around it left out. `None` where there is nothing, or nil.
    pub fn text(&self, from: &Element) -> Option<String> {
        self.select(from).first().and_then(|found| found.text()).map(|text| text.trim().to_owned())
    }
}

impl Step {
    fn select<'e>(&self, from: &'e Element, into: &mut Vec<&'e Element>) {
        let named = from.children().filter(|c| &*self.name == "*" || c.name.answers_to(&self.name));
        let mut found: Vec<&Element> = named.collect();
        for filter in &self.filters {
            match filter {
                Filter::Position(position) => found = found.get(position - 1).map(|e| vec![*e]).unwrap_or_default(),
                Filter::Child(name, text) => {
                    found.retain(|e| e.children().any(|c| c.name.answers_to(name) && c.text().trim() == &**text));
                }
                Filter::Attribute(name, text) => {
                    found.retain(|e| e.attributes.iter().any(|a| a.name.answers_to(name) && a.value == **text));
                }
            }
        }
        into.append(&mut found);
        if self.anywhere {
            for child in from.children() {
                self.select(child, into);
            }
        }
    }
}

/// Steps between slashes that stand in no brackets, braces or quotation marks.
fn outside_brackets(written: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    let mut open = 0_u32;
    for piece in split_steps(written) {
        match steps.last_mut().filter(|_| open > 0) {
            Some(last) => {
                last.push('/');
                last.push_str(piece);
            }
            None => steps.push(piece.to_owned()),
        }
        let last = steps.last().map_or("", String::as_str);
        open = u32::from(last.matches('[').count() > last.matches(']').count());
    }
    steps
}

fn parse_step(step: impl AsRef<str>, anywhere: bool) -> Result<Step, PathError> {
    let step = step.as_ref();
    let (name, mut rest) = match step.find('[') {
        Some(at) => step.split_at_checked(at).ok_or_else(|| PathError::Step(step.to_owned()))?,
        None => (step, ""),
    };
    let name = name.trim();
    if name != "*" && !is_ncname(Name::split(name).1) {
        return Err(PathError::Step(step.to_owned()));
    }
    let mut filters = Vec::new();
    while !rest.is_empty() {
        let inner = rest.strip_prefix('[').ok_or_else(|| PathError::Filter(rest.to_owned()))?;
        let bad = || PathError::Filter(inner.trim_end_matches(']').to_owned());
        let (filter, after) = match inner.split_once('=') {
            Some((left, right)) if !left.contains(']') => {
                let right = right.trim_start();
                let quote = right.chars().next().filter(|c| matches!(c, '\'' | '"')).ok_or_else(bad)?;
                let (text, after) = right.strip_prefix(quote).and_then(|r| r.split_once(quote)).ok_or_else(bad)?;
                let after = after.trim_start().strip_prefix(']').ok_or_else(bad)?;
                let left = left.trim();
                let (attribute, local) = left.strip_prefix('@').map_or((false, left), |l| (true, l));
                if !is_ncname(Name::split(local).1) {
                    return Err(bad());
                }
                let filter =
                    if attribute { Filter::Attribute(local.into(), text.into()) } else { Filter::Child(local.into(), text.into()) };
                (Some(filter), after)
            }
            _ => {
                let (position, after) = inner.split_once(']').ok_or_else(bad)?;
                match position.trim() {
                    "*" => (None, after),
                    number => (Some(Filter::Position(number.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?)), after),
                }
            }
        };
        filters.extend(filter);
        rest = after.trim();
    }
    Ok(Step { name: name.into(), anywhere, filters })
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}
