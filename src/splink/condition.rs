//! Compiled conditions: what only one side decides is computed once a distinct value, what both sides share once a pair.

use super::function::Known;
use super::pattern::Pattern;
use super::sql;
use super::sql::Side;
use super::value::Val;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

/// What a cast gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    Single,
    Double,
    Whole,
    Bool,
    Date,
    Time,
    List,
}

/// A checked expression.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Node {
    Literal(Val<'static>),
    /// A column of a side, by its number among the model's columns; in a compiled condition, a computed column of the side.
    Column(Side, usize),
    /// A parameter of a lambda around, outermost first.
    Parameter(usize),
    Call(&'static Known, Vec<Node>),
    /// Whether two values stand to each other in one of these ways: bits for less, equal, greater.
    Compare(u8, Box<Node>, Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    IsNull(Box<Node>),
    Case(Vec<(Node, Node)>, Box<Node>),
    Coalesce(Vec<Node>),
    Cast(Kind, Box<Node>),
    List(Vec<Node>),
    Transform(Box<Node>, Box<Node>),
    Filter(Box<Node>, Box<Node>),
    Extract(Box<Node>, Arc<Pattern>, usize),
    Matches(Box<Node>, Arc<Pattern>),
    Replace(Box<Node>, Arc<Pattern>, Arc<str>, bool),
    /// A number that several levels ask for: computed once a pair.
    Shared(usize),
}

/// The bit of [`Node::Compare`] for an order.
pub(super) fn bit(order: Ordering) -> u8 {
    match order {
        Ordering::Less => 1,
        Ordering::Equal => 2,
        Ordering::Greater => 4,
    }
}

impl Node {
    pub(super) fn compare(orders: &[Ordering], a: Self, b: Self) -> Self {
        Self::Compare(orders.iter().fold(0, |bits, order| bits | bit(*order)), Box::new(a), Box::new(b))
    }

    /// The equality that this is, where it is one.
    pub(super) fn as_equality(&self) -> Option<(&Self, &Self)> {
        if let Self::Compare(2, a, b) = self { Some((a, b)) } else { None }
    }

    fn each(&self, visit: &mut dyn FnMut(&Self)) {
        visit(self);
        match self {
            Self::Literal(_) | Self::Column(..) | Self::Parameter(_) | Self::Shared(_) => {}
            Self::Call(_, nodes) | Self::And(nodes) | Self::Or(nodes) | Self::Coalesce(nodes) | Self::List(nodes) => {
                for node in nodes {
                    node.each(visit);
                }
            }
            Self::Compare(_, a, b) | Self::Transform(a, b) | Self::Filter(a, b) => {
                a.each(visit);
                b.each(visit);
            }
            Self::Not(a) | Self::IsNull(a) | Self::Cast(_, a) | Self::Extract(a, ..) | Self::Matches(a, _) | Self::Replace(a, ..) => {
                a.each(visit);
            }
            Self::Case(arms, otherwise) => {
                for (condition, result) in arms {
                    condition.each(visit);
                    result.each(visit);
                }
                otherwise.each(visit);
            }
        }
    }

    /// The same with its members changed.
    fn map(self, change: &mut dyn FnMut(Self) -> Self) -> Self {
        let mut boxed = |node: Box<Self>| Box::new(change(*node));
        match self {
            Self::Literal(_) | Self::Column(..) | Self::Parameter(_) | Self::Shared(_) => self,
            Self::Compare(how, a, b) => Self::Compare(how, boxed(a), boxed(b)),
            Self::Transform(a, b) => Self::Transform(boxed(a), boxed(b)),
            Self::Filter(a, b) => Self::Filter(boxed(a), boxed(b)),
            Self::Not(a) => Self::Not(boxed(a)),
            Self::IsNull(a) => Self::IsNull(boxed(a)),
            Self::Cast(kind, a) => Self::Cast(kind, boxed(a)),
            Self::Extract(a, pattern, group) => Self::Extract(boxed(a), pattern, group),
            Self::Matches(a, pattern) => Self::Matches(boxed(a), pattern),
            Self::Replace(a, pattern, by, all) => Self::Replace(boxed(a), pattern, by, all),
            Self::Call(known, nodes) => Self::Call(known, nodes.into_iter().map(change).collect()),
            Self::And(nodes) => Self::And(nodes.into_iter().map(change).collect()),
            Self::Or(nodes) => Self::Or(nodes.into_iter().map(change).collect()),
            Self::Coalesce(nodes) => Self::Coalesce(nodes.into_iter().map(change).collect()),
            Self::List(nodes) => Self::List(nodes.into_iter().map(change).collect()),
            Self::Case(arms, otherwise) => {
                let arms = arms.into_iter().map(|(condition, result)| (change(condition), change(result))).collect();
                Self::Case(arms, Box::new(change(*otherwise)))
            }
        }
    }

    /// The columns of a side, sorted, each once.
    pub(super) fn columns(&self, side: Side) -> Vec<usize> {
        let mut found = Vec::new();
        self.each(&mut |node| {
            if let Self::Column(of, at) = node
                && *of == side
            {
                found.push(*at);
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The one side whose columns it reads; `None` where it reads both or none, or stands inside a lambda.
    pub(super) fn side(&self) -> Option<Side> {
        let (mut left, mut right, mut parameter) = (false, false, false);
        self.each(&mut |node| {
            left |= matches!(node, Self::Column(Side::Left, _));
            right |= matches!(node, Self::Column(Side::Right, _));
            parameter |= matches!(node, Self::Parameter(_));
        });
        match (left, right, parameter) {
            (true, false, false) => Some(Side::Left),
            (false, true, false) => Some(Side::Right),
            _ => None,
        }
    }

    /// The same of the other side.
    pub(super) fn mirrored(&self) -> Self {
        fn turned(node: Node) -> Node {
            let Node::Column(side, at) = node else { return node.map(&mut turned) };
            Node::Column(if side == Side::Left { Side::Right } else { Side::Left }, at)
        }
        turned(self.clone())
    }

    /// Columns that hold numbers compare as numbers with each other and with literals; every other function reads their text.
    pub(super) fn typed(self, numeric: &dyn Fn(usize) -> bool) -> Self {
        let node = self.map(&mut |node| node.typed(numeric));
        let Self::Compare(how, a, b) = node else { return node };
        let is_number = |node: &Self| matches!(node, Self::Column(_, at) if numeric(*at));
        let is_text = |node: &Self| {
            matches!(node, Self::Column(_, at) if !numeric(*at))
                || matches!(node, Self::Call(known, _) if known.text)
                || matches!(node, Self::Cast(Kind::Text, _) | Self::Extract(..) | Self::Replace(..))
        };
        if (is_number(&a) && !is_text(&b)) || (is_number(&b) && !is_text(&a)) {
            let wrap = |node: Box<Self>| if is_number(&node) { Box::new(Self::Cast(Kind::Double, node)) } else { node };
            return Self::Compare(how, wrap(a), wrap(b));
        }
        Self::Compare(how, a, b)
    }

    /// Takes out what one side alone decides: each largest such part becomes a computed column of the side.
    pub(super) fn hoisted(self, computed: &mut [Vec<Self>; 2]) -> Self {
        if let Some(side) = self.side() {
            let [left, right] = computed;
            let of_side = if side == Side::Left { left } else { right };
            let at = of_side.iter().position(|known| *known == self).unwrap_or_else(|| {
                of_side.push(self);
                of_side.len() - 1
            });
            return Self::Column(side, at);
        }
        self.map(&mut |node| node.hoisted(computed))
    }

    /// Takes out distances, which several levels hold against different limits.
    pub(super) fn with_shared(self, shared: &mut Vec<Self>) -> Self {
        let mut lambda = false;
        self.each(&mut |node| lambda |= matches!(node, Self::Parameter(_)));
        if let (Self::Call(known, _), false) = (&self, lambda)
            && known.distance
        {
            let at = shared.iter().position(|node| *node == self).unwrap_or_else(|| {
                shared.push(self);
                shared.len() - 1
            });
            return Self::Shared(at);
        }
        self.map(&mut |node| node.with_shared(shared))
    }
}

/// Where a condition finds its columns and what was computed for this pair.
pub(super) trait Pair<'v> {
    fn column(&self, side: Side, at: usize) -> Val<'v>;
    /// A shared number; `None` for null.
    fn shared(&mut self, at: usize) -> Option<f64>;
}

/// Evaluates an expression. `parameters` are the values of the lambdas around.
pub(super) fn evaluate<'v, P: Pair<'v>>(node: &'v Node, pair: &mut P, parameters: &[Val<'v>]) -> Val<'v> {
    match node {
        Node::Literal(value) => value.view(),
        Node::Column(side, at) => pair.column(*side, *at),
        Node::Parameter(at) => parameters.get(*at).cloned().unwrap_or(Val::Null),
        Node::Shared(at) => pair.shared(*at).map_or(Val::Null, Val::Number),
        Node::Call(known, nodes) => match &**nodes {
            [a] => known.call(&[evaluate(a, pair, parameters)]),
            [a, b] => known.call(&[evaluate(a, pair, parameters), evaluate(b, pair, parameters)]),
            many => known.call(&many.iter().map(|n| evaluate(n, pair, parameters)).collect::<Vec<_>>()),
        },
        Node::Compare(how, a, b) => {
            let (a, b) = (evaluate(a, pair, parameters), evaluate(b, pair, parameters));
            a.order(&b).map_or(Val::Null, |order| Val::Bool(how & bit(order) != 0))
        }
        Node::And(nodes) => {
            let mut unknown = false;
            for node in nodes {
                match evaluate(node, pair, parameters).truth() {
                    Some(false) => return Val::Bool(false),
                    Some(true) => {}
                    None => unknown = true,
                }
            }
            if unknown { Val::Null } else { Val::Bool(true) }
        }
        Node::Or(nodes) => {
            let mut unknown = false;
            for node in nodes {
                match evaluate(node, pair, parameters).truth() {
                    Some(true) => return Val::Bool(true),
                    Some(false) => {}
                    None => unknown = true,
                }
            }
            if unknown { Val::Null } else { Val::Bool(false) }
        }
        Node::Not(a) => evaluate(a, pair, parameters).truth().map_or(Val::Null, |b| Val::Bool(!b)),
        Node::IsNull(a) => Val::Bool(evaluate(a, pair, parameters).is_null()),
        Node::Case(arms, otherwise) => {
            for (condition, result) in arms {
                if evaluate(condition, pair, parameters).truth() == Some(true) {
                    return evaluate(result, pair, parameters);
                }
            }
            evaluate(otherwise, pair, parameters)
        }
        Node::Coalesce(nodes) => nodes.iter().map(|n| evaluate(n, pair, parameters)).find(|value| !value.is_null()).unwrap_or(Val::Null),
        Node::Cast(kind, a) => cast(*kind, evaluate(a, pair, parameters)),
        Node::List(nodes) => Val::List(nodes.iter().map(|n| evaluate(n, pair, parameters)).collect()),
        Node::Transform(list, body) => lambda(list, pair, parameters, &mut |pair, inner, _| Some(evaluate(body, pair, inner))),
        Node::Filter(list, body) => lambda(list, pair, parameters, &mut |pair, inner, member| {
            (evaluate(body, pair, inner).truth() == Some(true)).then(|| member.clone())
        }),
        Node::Extract(text, pattern, group) => {
            let value = evaluate(text, pair, parameters);
            if let Val::Text(Cow::Borrowed(text)) = value {
                return Val::text(pattern.extract(text, *group));
            }
            value.string().map_or(Val::Null, |text| Val::text(pattern.extract(&text, *group).to_owned()))
        }
        Node::Matches(text, pattern) => {
            evaluate(text, pair, parameters).string().map_or(Val::Null, |text| Val::Bool(pattern.is_match(&text)))
        }
        Node::Replace(text, pattern, by, all) => {
            evaluate(text, pair, parameters).string().map_or(Val::Null, |text| Val::text(pattern.replaced(&text, by, *all)))
        }
    }
}

/// What a lambda gives for a member.
type Body<'a, 'v, P> = &'a mut dyn FnMut(&mut P, &[Val<'v>], &Val<'v>) -> Option<Val<'v>>;

fn lambda<'v, P: Pair<'v>>(list: &'v Node, pair: &mut P, parameters: &[Val<'v>], body: Body<'_, 'v, P>) -> Val<'v> {
    let Some(list) = evaluate(list, pair, parameters).list() else { return Val::Null };
    let mut inner = parameters.to_vec();
    let mut out = Vec::with_capacity(list.len());
    for member in &*list {
        inner.push(member.clone());
        out.extend(body(pair, &inner, member));
        inner.pop();
    }
    Val::List(out.into())
}

#[expect(clippy::cast_possible_truncation, reason = "a 32-bit float is what was asked for")]
fn cast(kind: Kind, value: Val<'_>) -> Val<'_> {
    match kind {
        Kind::Text => match value {
            Val::Text(_) => value,
            Val::Null | Val::Bool(_) | Val::Number(_) | Val::Time(_) | Val::List(_) => {
                value.string().map_or(Val::Null, |text| Val::Text(Cow::Owned(text.into_owned())))
            }
        },
        Kind::Single => value.number().map_or(Val::Null, |n| Val::Number(f64::from(n as f32))),
        Kind::Double => value.number().map_or(Val::Null, Val::Number),
        Kind::Whole => {
            value.number().map_or(Val::Null, |n| Val::Number(if matches!(value, Val::Text(_)) { libm::round(n) } else { libm::rint(n) }))
        }
        Kind::Bool => value.truth().map_or(Val::Null, Val::Bool),
        Kind::Date => value.time().map_or(Val::Null, |at| Val::Time(at - at.rem_euclid(86_400_000_000))),
        Kind::Time => value.time().map_or(Val::Null, Val::Time),
        Kind::List => value.list().map_or(Val::Null, Val::List),
    }
}

/// Cells of one pair, by side and by the column's number among [`Settings::columns`](super::Settings::columns).
pub type Cells<'a, 'v> = dyn Fn(Side, usize) -> Option<&'v str> + 'a;

/// What one side of a blocking rule's equality asks of a record: its key.
#[derive(Clone, PartialEq, Debug)]
pub struct KeyOf {
    node: Node,
    side: Side,
}

struct Alone<'a, 'v>(&'a Cells<'a, 'v>);

impl<'v> Pair<'v> for Alone<'_, 'v> {
    fn column(&self, side: Side, at: usize) -> Val<'v> {
        (self.0)(side, at).map_or(Val::Null, Val::text)
    }

    fn shared(&mut self, _: usize) -> Option<f64> {
        None
    }
}

impl KeyOf {
    pub(super) fn new(node: Node, side: Side) -> Self {
        Self { node, side }
    }

    /// The key of a record whose cells are given by column number: equal exactly where the values are; `None` for null.
    pub fn key<'v>(&'v self, cells: &dyn Fn(usize) -> Option<&'v str>) -> Option<String> {
        let value = evaluate(&self.node, &mut Alone(&|_, at| cells(at)), &[]);
        match value {
            Val::Null => None,
            Val::Text(text) => Some(text.into_owned()),
            Val::Bool(_) | Val::Number(_) | Val::Time(_) | Val::List(_) => {
                let mut key = Vec::new();
                value.key(&mut key);
                Some(key.iter().fold(String::from("\u{1}"), |mut out, byte| {
                    out.push(char::from(*byte));
                    out
                }))
            }
        }
    }

    /// The numbers of the columns that it reads.
    pub fn columns(&self) -> Vec<usize> {
        self.node.columns(self.side)
    }
}

/// Whether the SQL of a level compares one column with itself, and which: what a term frequency's u is taken from.
pub(super) fn exact_column(node: &Node, columns: &sql::Columns) -> Option<Arc<str>> {
    let (a, b) = node.as_equality()?;
    match (a, b) {
        (Node::Column(x, a), Node::Column(y, b)) if x != y && a == b => columns.names.get(*a).cloned(),
        _ => None,
    }
}

/// Whether a condition holds for one pair; unknown is no.
pub(super) fn holds<'v>(node: &'v Node, cells: &Cells<'_, 'v>) -> bool {
    evaluate(node, &mut Alone(cells), &[]).truth() == Some(true)
}
