//! Values in any order to elements in the schema's order.

use super::refusal::{Reason, Refusal};
use super::render::Rendering;
use super::{Node, NodeContent};
use crate::wire::wsdl::schema::{ElementDecl, ElementId, Kind, Particle, Term};
use crate::wire::xml::Child;
use std::borrow::Cow;
use std::sync::Arc;

/// The values for one element's content, and which of them are written.
#[derive(Clone)]
pub(super) struct Pool<'n> {
    nodes: Vec<Cow<'n, Node>>,
    left: Vec<usize>,
    /// Whether a wildcard takes names without a namespace: where the content is a wildcard and nothing else.
    open: bool,
}

impl<'n> Pool<'n> {
    pub(super) fn new(nodes: Vec<Cow<'n, Node>>, particle: &Particle) -> Self {
        let left = (0..nodes.len()).collect();
        Self { nodes, left, open: only_wildcards(particle) }
    }

    fn get(&self, at: usize) -> Option<&Node> {
        self.nodes.get(at).map(|n| &**n)
    }

    fn take(&mut self, at: usize) {
        self.left.retain(|l| *l != at);
    }

    pub(super) fn left(&self) -> usize {
        self.left.len()
    }
}

fn only_wildcards(particle: &Particle) -> bool {
    match &particle.term {
        Term::Element(_) => false,
        Term::Any(_) => true,
        Term::Sequence(inner) | Term::Choice(inner) | Term::All(inner) => !inner.is_empty() && inner.iter().all(only_wildcards),
    }
}

impl Rendering<'_> {
    /// Writes the values as content; every one is written or refused.
    pub(super) fn content(&self, particle: &Particle, nodes: Vec<Cow<'_, Node>>, depth: usize) -> Result<Vec<Child>, Refusal> {
        let mut pool = Pool::new(nodes, particle);
        // A misspelt name is told as such, not as the absence of what it was meant for.
        for at in &pool.left {
            if let Some(node) = pool.get(*at)
                && !self.knows(particle, node, pool.open)
            {
                let mut names = Vec::new();
                self.vocabulary(particle, &mut names);
                let nearest = crate::diagnose::nearest(Node::local(&node.name), names.iter().map(|n| &**n)).map(Into::into);
                return Err(Refusal::at(&node.name, Reason::UnknownElement(nearest)));
            }
        }
        let mut out = Vec::with_capacity(pool.left());
        self.emit(particle, &mut pool, &mut out, depth)?;
        match pool.left.first().and_then(|at| pool.get(*at)) {
            None => Ok(out),
            Some(left) => {
                let most = self.most(particle, left).unwrap_or(1);
                Err(Refusal::at(&left.name, Reason::TooMany(most)))
            }
        }
    }

    /// The declaration that a node is written by, where a particle's element or one that may stand for it has its name.
    fn written_by(&self, id: ElementId, node: &Node) -> Option<ElementId> {
        let schemas = self.schemas();
        let fits = |id: &ElementId| schemas.element(*id).is_some_and(|d| d.name.answers_to(&node.name));
        if fits(&id) { Some(id) } else { schemas.substitutes(id).iter().copied().find(|s| fits(s)) }
    }

    /// Whether anything in the particle could write the node.
    fn knows(&self, particle: &Particle, node: &Node, open: bool) -> bool {
        match &particle.term {
            Term::Element(id) => self.written_by(*id, node).is_some(),
            Term::Any(wildcard) => Self::fits_wildcard(wildcard, node, open),
            Term::Sequence(inner) | Term::Choice(inner) | Term::All(inner) => inner.iter().any(|p| self.knows(p, node, open)),
        }
    }

    /// How often a node's element may occur at most.
    fn most(&self, particle: &Particle, node: &Node) -> Option<u32> {
        match &particle.term {
            Term::Element(id) => self.written_by(*id, node).and(particle.max),
            Term::Any(_) => particle.max,
            Term::Sequence(inner) | Term::Choice(inner) | Term::All(inner) => inner.iter().find_map(|p| self.most(p, node)),
        }
    }

    fn vocabulary(&self, particle: &Particle, into: &mut Vec<Arc<str>>) {
        match &particle.term {
            Term::Element(id) => {
                let all = std::iter::once(id).chain(self.schemas().substitutes(*id)).filter_map(|id| self.schemas().element(*id));
                into.extend(all.filter(|d| !d.is_abstract).map(|d| Arc::clone(&d.name.local)));
            }
            Term::Any(_) => {}
            Term::Sequence(inner) | Term::Choice(inner) | Term::All(inner) => inner.iter().for_each(|p| self.vocabulary(p, into)),
        }
    }

    /// The first node left that the particle could write.
    fn first(&self, particle: &Particle, pool: &Pool<'_>) -> Option<usize> {
        pool.left.iter().copied().find(|at| pool.get(*at).is_some_and(|node| self.knows(particle, node, pool.open)))
    }

    fn emit(&self, particle: &Particle, pool: &mut Pool<'_>, out: &mut Vec<Child>, depth: usize) -> Result<(), Refusal> {
        let mut count = 0_u32;
        while particle.max.is_none_or(|max| count < max) {
            let Some(at) = self.first(particle, pool) else { break };
            let before = pool.left();
            match &particle.term {
                Term::Element(id) => {
                    let node = pool.nodes.get(at).cloned().unwrap_or_else(|| Cow::Owned(Node::body(Vec::new())));
                    let by = self.written_by(*id, &node).unwrap_or(*id);
                    out.push(self.element_of(by, &node, depth).map_err(|r| r.inside(&step(&node.name, count, particle.max)))?);
                    pool.take(at);
                }
                Term::Any(_) => {
                    let node = pool.nodes.get(at).cloned().unwrap_or_else(|| Cow::Owned(Node::body(Vec::new())));
                    out.push(self.free(&node, depth).map_err(|r| r.inside(&step(&node.name, count, particle.max)))?);
                    pool.take(at);
                }
                Term::Sequence(_) | Term::Choice(_) | Term::All(_) => self.group(particle, pool, out, depth)?,
            }
            if pool.left() == before {
                break;
            }
            count = count.saturating_add(1);
        }
        if count >= particle.min {
            return Ok(());
        }
        match &particle.term {
            Term::Element(id) => {
                let decl = self.schemas().element(*id);
                // An element that must be there and has one value, or a usual one, needs nobody to give it.
                if let (0, Some(value)) = (count, decl.and_then(|d| d.fixed.as_ref().or(d.default.as_ref()))) {
                    let node = Node::new("", crate::model::Value::Text(Arc::clone(value)));
                    for _ in 0..particle.min.min(1) {
                        out.push(self.element_of(*id, &node, depth)?);
                    }
                    return Ok(());
                }
                if let (0, Some(nothing)) = (count, decl.and_then(|d| self.nothing(d))) {
                    out.push(self.element_of(*id, &nothing, depth)?);
                    return Ok(());
                }
                let name = decl.map_or("", |d| &d.name.local);
                Err(if count == 0 {
                    Refusal::at(name, Reason::Missing)
                } else {
                    Refusal::at(name, Reason::TooFew { found: count, least: particle.min })
                })
            }
            Term::Any(_) => Err(Refusal::here(Reason::TooFew { found: count, least: particle.min })),
            // Once more with nothing: it may be made of optional elements only.
            Term::Sequence(_) | Term::Choice(_) | Term::All(_) => self.group(particle, pool, out, depth),
        }
    }

    /// What stands for nothing where an element must be there: nil where the schema allows it; in the SOAP encoding, where any part may be nil (SOAP 1.1,
    /// 5.1), an array without items or nil.
    fn nothing(&self, decl: &ElementDecl) -> Option<Node> {
        let is_array = matches!(&self.schemas().kind(decl.kind).kind, Kind::Complex(complex) if complex.array.is_some());
        let content = match (self.encoded, is_array) {
            (true, true) => NodeContent::Nodes(Vec::new()),
            (true, false) => NodeContent::Nil,
            (false, _) if decl.nillable => NodeContent::Nil,
            (false, _) => return None,
        };
        Some(Node::with("", content))
    }

    /// A group once.
    fn group(&self, particle: &Particle, pool: &mut Pool<'_>, out: &mut Vec<Child>, depth: usize) -> Result<(), Refusal> {
        match &particle.term {
            Term::Sequence(inner) | Term::All(inner) => inner.iter().try_for_each(|p| self.emit(p, pool, out, depth)),
            Term::Choice(branches) => self.choice(particle, branches, pool, out, depth),
            Term::Element(_) | Term::Any(_) => Ok(()),
        }
    }

    fn choice(
        &self,
        particle: &Particle,
        branches: &[Particle],
        pool: &mut Pool<'_>,
        out: &mut Vec<Child>,
        depth: usize,
    ) -> Result<(), Refusal> {
        let mut touched: Vec<(usize, &Particle)> = branches.iter().filter_map(|b| self.first(b, pool).map(|at| (at, b))).collect();
        // Of a choice that repeats, the order of the values is the writer's.
        if particle.max != Some(1) {
            touched.sort_by_key(|(at, _)| *at);
            touched.truncate(1);
        }
        match touched.as_slice() {
            [] => {
                if branches.is_empty() || branches.iter().any(may_be_empty) {
                    return Ok(());
                }
                // A branch of elements that fill themselves, or the complaint of the only branch.
                if let [one] = branches {
                    return self.emit(one, pool, out, depth);
                }
                let mut names = Vec::new();
                for branch in branches {
                    self.vocabulary(branch, &mut names);
                }
                Err(Refusal::here(Reason::MissingChoice(names)))
            }
            [(_, one)] => self.emit(one, pool, out, depth),
            several => {
                // Branches that share names: the one that writes all there is for this choice.
                let wanted = pool.left.iter().filter(|at| pool.get(**at).is_some_and(|n| self.knows(particle, n, pool.open))).count();
                for (_, branch) in several {
                    let (mut trial, mut written) = (pool.clone(), Vec::new());
                    if self.emit(branch, &mut trial, &mut written, depth).is_ok() && pool.left() - trial.left() == wanted {
                        *pool = trial;
                        out.append(&mut written);
                        return Ok(());
                    }
                }
                let given = pool.left.iter().filter_map(|at| pool.get(*at)).filter(|n| self.knows(particle, n, pool.open));
                let mut names: Vec<Arc<str>> = given.map(|n| Arc::clone(&n.name)).collect();
                names.dedup();
                // All of them in one branch, which then wants more: that is the clearer complaint.
                if names.len() == 1
                    && let Some((_, branch)) = several.first()
                {
                    return self.emit(branch, pool, out, depth);
                }
                Err(Refusal::here(Reason::Choice(names)))
            }
        }
    }
}

fn may_be_empty(particle: &Particle) -> bool {
    particle.min == 0
        || match &particle.term {
            Term::Element(_) | Term::Any(_) => false,
            Term::Sequence(inner) | Term::All(inner) => inner.iter().all(may_be_empty),
            Term::Choice(inner) => inner.is_empty() || inner.iter().any(may_be_empty),
        }
}

/// A step of a refusal's path: with its number where the element may repeat.
fn step(name: &str, count: u32, max: Option<u32>) -> String {
    if max == Some(1) { name.to_owned() } else { format!("{name}[{}]", count.saturating_add(1)) }
}
