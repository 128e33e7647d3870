//! Conditions made ready for a frame: classes of equal inputs, computed columns, steps where the conditions have a common form.

use super::block::{classes, of_row};
use super::condition::{Node, Pair, evaluate};
use super::frame::Frame;
use super::ladder::Ladder;
use super::sql::Side;
use super::steps::Parts;
use super::texts::{Computed, at};
use super::value::Val;
use std::borrow::Cow;
use std::sync::Arc;

/// A shared number of the pair at hand.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Shared {
    Unknown,
    Null,
    Number(f64),
}

/// Records of a side by what a comparison reads of them: records of one class are compared alike.
#[derive(Clone, Debug)]
pub(super) struct Classes {
    pub(super) of: Arc<Vec<u32>>,
    /// How many there may be.
    count: usize,
}

impl Classes {
    fn new(columns: &[usize], frame: &Frame) -> Self {
        let (of, count) = classes(columns, frame);
        Self { of, count }
    }

    /// A record of each class, its first; beyond all records where a class has none.
    fn examples(&self) -> Vec<u32> {
        let mut examples = vec![u32::MAX; self.count];
        for (row, class) in (0_u32..).zip(self.of.iter()) {
            if let Some(slot) = usize::try_from(*class).ok().and_then(|class| examples.get_mut(class)).filter(|slot| **slot == u32::MAX) {
                *slot = row;
            }
        }
        examples
    }

    fn class(&self, row: u32) -> u32 {
        usize::try_from(row).ok().and_then(|row| self.of.get(row)).copied().unwrap_or(0)
    }
}

/// Conditions made ready for a frame.
#[derive(Debug)]
pub(super) struct Compiled<'f> {
    left: Classes,
    right: Classes,
    computed: [Vec<Computed<'f>>; 2],
    shared: Vec<Node>,
    conditions: Vec<Node>,
    /// The conditions as steps, where all have a common form.
    pub(super) ladder: Option<Ladder<'f>>,
    /// For each side the number of the one column that its classes are the numbers of, where they are.
    pub(super) single: [Option<usize>; 2],
}

impl<'f> Compiled<'f> {
    pub(super) fn new(nodes: &[Node], frame: &'f Frame) -> Self {
        let columns = |side: Side| {
            let mut all: Vec<usize> = nodes.iter().flat_map(|node| node.columns(side)).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let (of_left, of_right) = (columns(Side::Left), columns(Side::Right));
        let left = Classes::new(&of_left, frame);
        let right = if of_left == of_right { left.clone() } else { Classes::new(&of_right, frame) };
        let numeric = |at: usize| frame.columns.get(at).is_some_and(|column| column.numeric);
        let (mut one_sided, mut shared, mut conditions) = ([Vec::new(), Vec::new()], Vec::new(), Vec::new());
        for node in nodes {
            conditions.push(node.clone().typed(&numeric).hoisted(&mut one_sided).with_shared(&mut shared));
        }
        let [nodes_left, nodes_right] = one_sided;
        let single = |columns: &[usize]| if let [one] = columns { Some(*one) } else { None };
        let single = [single(&of_left), single(&of_right)];
        let compute = |node: &Node, classes: &Classes, single: Option<usize>| -> Computed<'f> {
            let only = |node: &Node| if let Node::Column(_, at) = node { single.filter(|one| one == at) } else { None };
            let column = |node: &Node| only(node).and_then(|at| frame.columns.get(at));
            if let Some(column) = column(node) {
                return Computed::Column(column);
            }
            if let Node::IsNull(of) = node
                && let Some(column) = column(of)
            {
                return Computed::Missing(column);
            }
            let mut read: Vec<usize> = [Side::Left, Side::Right].iter().flat_map(|side| node.columns(*side)).collect();
            read.sort_unstable();
            read.dedup();
            let value = |row: &u32| {
                let row = at(*row);
                if row >= frame.rows { Val::Null } else { kept(&of_row(node, frame, row), &read, frame, row) }
            };
            Computed::Values(Arc::new(classes.examples().iter().map(value).collect()))
        };
        let [single_left, single_right] = single;
        let computed_left: Vec<Computed<'f>> = nodes_left.iter().map(|node| compute(node, &left, single_left)).collect();
        let computed_right = nodes_right
            .iter()
            .map(|node| {
                let twin = nodes_left.iter().position(|other| of_left == of_right && other.mirrored() == *node);
                twin.and_then(|at| computed_left.get(at)).cloned().unwrap_or_else(|| compute(node, &right, single_right))
            })
            .collect();
        let computed = [computed_left, computed_right];
        let raw = [nodes_left, nodes_right].map(|nodes| {
            let column = |node: &Node| if let Node::Column(_, at) = node { Some(*at) } else { None };
            nodes.iter().map(column).collect::<Vec<_>>()
        });
        let ladder = Ladder::new(&conditions, &Parts { computed: &computed, shared: &shared, single, raw: &raw });
        Self { left, right, computed, shared, conditions, ladder, single }
    }

    pub(super) fn classes(&self, side: Side) -> &Classes {
        if side == Side::Left { &self.left } else { &self.right }
    }

    /// The first condition that holds for two records, every expression evaluated: what the steps must agree with. Says too whether there are steps.
    #[cfg(test)]
    pub(super) fn first_evaluated(&self, left: u32, right: u32) -> (Option<usize>, bool) {
        (self.evaluated(self.left.class(left), self.right.class(right), &mut Vec::new()), self.ladder.is_some())
    }

    /// The first condition that holds for two records.
    pub(super) fn first(&self, left: u32, right: u32, shared: &mut Vec<Shared>) -> Option<usize> {
        let (left, right) = (self.left.class(left), self.right.class(right));
        match &self.ladder {
            Some(ladder) => ladder.first(left, right),
            None => self.evaluated(left, right, shared),
        }
    }

    /// The first condition that holds, every expression evaluated.
    pub(super) fn evaluated(&self, left: u32, right: u32, shared: &mut Vec<Shared>) -> Option<usize> {
        shared.clear();
        shared.resize(self.shared.len(), Shared::Unknown);
        let mut live = Live { compiled: self, left, right, shared };
        self.conditions.iter().position(|node| evaluate(node, &mut live, &[]).truth() == Some(true))
    }
}

/// A value to keep: a text that stands in one of the cells that were read stays there.
fn kept<'f>(value: &Val<'_>, read: &[usize], frame: &'f Frame, row: usize) -> Val<'f> {
    if let &Val::Text(Cow::Borrowed(text)) = value {
        let cells = read.iter().filter_map(|column| frame.columns.get(*column)?.cell(row));
        let within = |cell: &'f str| {
            let start = text.as_ptr().addr().checked_sub(cell.as_ptr().addr())?;
            cell.get(start..start.checked_add(text.len())?)
        };
        if let Some(text) = cells.filter_map(within).find(|found| *found == text) {
            return Val::text(text);
        }
    }
    value.owned()
}

/// One pair of classes at a time.
struct Live<'v, 'f> {
    compiled: &'v Compiled<'f>,
    left: u32,
    right: u32,
    shared: &'v mut Vec<Shared>,
}

impl<'v> Pair<'v> for Live<'v, '_> {
    fn column(&self, side: Side, at: usize) -> Val<'v> {
        let [left, right] = &self.compiled.computed;
        let (computed, class) = if side == Side::Left { (left, self.left) } else { (right, self.right) };
        computed.get(at).map_or(Val::Null, |values| values.value(class))
    }

    fn shared(&mut self, at: usize) -> Option<f64> {
        match self.shared.get(at) {
            Some(Shared::Null) => return None,
            Some(Shared::Number(n)) => return Some(*n),
            Some(Shared::Unknown) | None => {}
        }
        let compiled = self.compiled;
        let number = compiled.shared.get(at).and_then(|node| evaluate(node, self, &[]).number());
        if let Some(slot) = self.shared.get_mut(at) {
            *slot = number.map_or(Shared::Null, Shared::Number);
        }
        number
    }
}
