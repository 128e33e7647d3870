//! The common forms of comparison levels as steps that evaluate no expression: missing on either side, equal, a distance or a difference
//! within a limit. What has another form is evaluated (`condition`); both ways give the same levels.

use super::condition::{Node, bit};
use super::frame::Distinct;
use super::memory::Memory;
use super::sql::Side;
use super::texts::{Computed, Distance, Signs, Test, Texts, at, stands};
use super::value::Val;
use std::sync::Arc;

/// A condition in a form that needs no evaluation. It holds or not: unknown is no.
#[derive(Debug)]
pub(super) enum Step<'f> {
    /// Either side is of class 0, where nothing stands.
    Nothing,
    /// One side alone says so, by class.
    OneSided([Vec<bool>; 2]),
    /// Both are of one class, and not of class 0.
    SameClass,
    /// Equal numbers by class, 0 for null.
    Equal([Arc<Vec<u32>>; 2]),
    /// The difference of two numbers, NaN for null, stands so to the limit.
    Apart {
        values: [Vec<f64>; 2],
        how: u8,
        limit: f64,
    },
    /// What is asked of two texts: of a step of a ladder, one question for each of the conditions that it stands for.
    Texts(Texts<'f>),
    All(Vec<Step<'f>>),
    Any(Vec<Step<'f>>),
    Always,
}

/// Signs that some step of a ladder needs, those of one column once, and of which kind values are.
#[derive(Default)]
pub(super) struct Signed<'f> {
    of: Vec<([Computed<'f>; 2], Signs)>,
    kinds: Vec<(Computed<'f>, Option<Kind>)>,
}

impl<'f> Signed<'f> {
    /// Texts with their signs, and a question to them.
    fn texts(&mut self, of: [Computed<'f>; 2], test: Test) -> Texts<'f> {
        let signs = self.signs(&of);
        Texts::new(of, signs, test)
    }

    /// The one kind that all values are of; `None` where they differ in kind, or equality is not that of their keys.
    fn kind(&mut self, values: &Computed<'f>) -> Option<Kind> {
        if let Some((_, known)) = self.kinds.iter().find(|(known, _)| known.is(values)) {
            return *known;
        }
        let kind = kind(values);
        self.kinds.push((values.clone(), kind));
        kind
    }

    fn signs(&mut self, texts: &[Computed<'f>; 2]) -> Signs {
        let [left, right] = texts;
        if let Some((_, known)) = self.of.iter().find(|([l, r], _)| l.is(left) && r.is(right)) {
            return known.clone();
        }
        let of_left = Arc::new(left.signs());
        let of_right = if left.is(right) { of_left.clone() } else { Arc::new(right.signs()) };
        let signs = [of_left, of_right];
        self.of.push((texts.clone(), signs.clone()));
        signs
    }
}

/// What conditions are compiled to, as far as steps are made of it.
pub(super) struct Parts<'p, 'f> {
    pub(super) computed: &'p [Vec<Computed<'f>>; 2],
    pub(super) shared: &'p [Node],
    /// For each side the number of the one column that its classes are the numbers of, where they are.
    pub(super) single: [Option<usize>; 2],
    /// For each side, which raw column a computed column is, where it is one.
    pub(super) raw: &'p [Vec<Option<usize>>; 2],
}

impl<'f> Step<'f> {
    /// Whether it looks at texts.
    pub(super) fn reads_signs(&self) -> bool {
        match self {
            Self::Texts(_) => true,
            Self::All(steps) | Self::Any(steps) => steps.iter().any(Self::reads_signs),
            Self::Nothing | Self::OneSided(_) | Self::SameClass | Self::Equal(_) | Self::Apart { .. } | Self::Always => false,
        }
    }

    /// Whether it holds for two classes.
    #[inline]
    pub(super) fn holds(&self, left: u32, right: u32) -> bool {
        match self {
            Step::Nothing => left == 0 || right == 0,
            Step::OneSided([of_left, of_right]) => {
                of_left.get(at(left)).copied().unwrap_or(false) || of_right.get(at(right)).copied().unwrap_or(false)
            }
            Step::SameClass => left == right && left != 0,
            Step::Equal(numbers) => equal(numbers, left, right),
            Step::Apart { values, how, limit } => stands(apart(values, left, right), *how, *limit),
            Step::Texts(texts) => texts.first(left, right, &mut Memory::default()).is_some(),
            Step::All(steps) => Self::hold(steps, true, left, right),
            Step::Any(steps) => !Self::hold(steps, false, left, right),
            Step::Always => true,
        }
    }

    /// Whether all steps hold, or all do not. Apart from [`Step::holds`], which so calls itself nowhere and can stand where it is called.
    #[inline(never)]
    fn hold(steps: &[Step<'f>], wanted: bool, left: u32, right: u32) -> bool {
        steps.iter().all(|step| step.holds(left, right) == wanted)
    }
}

/// Whether the numbers of two classes are equal, and not 0, which is null.
#[inline]
fn equal([of_left, of_right]: &[Arc<Vec<u32>>; 2], left: u32, right: u32) -> bool {
    let number = of_left.get(at(left)).copied().unwrap_or(0);
    number != 0 && of_right.get(at(right)) == Some(&number)
}

/// How far the numbers of two classes are apart; NaN where one is null.
#[inline]
fn apart([of_left, of_right]: &[Vec<f64>; 2], left: u32, right: u32) -> f64 {
    let of = |values: &[f64], class| values.get(at(class)).copied().unwrap_or(f64::NAN);
    (of(of_left, left) - of(of_right, right)).abs()
}

/// A computed column of each side, whichever comes first.
fn sides(a: &Node, b: &Node) -> Option<[usize; 2]> {
    match (a, b) {
        (Node::Column(Side::Left, l), Node::Column(Side::Right, r)) | (Node::Column(Side::Right, r), Node::Column(Side::Left, l)) => {
            Some([*l, *r])
        }
        _ => None,
    }
}

impl<'f> Parts<'_, 'f> {
    fn values(&self, side: Side, number: usize) -> Option<&Computed<'f>> {
        let [left, right] = self.computed;
        (if side == Side::Left { left } else { right }).get(number)
    }

    pub(super) fn step(&self, node: &Node, signed: &mut Signed<'f>) -> Option<Step<'f>> {
        match node {
            Node::Literal(Val::Bool(true)) => Some(Step::Always),
            Node::And(nodes) => Some(Step::All(nodes.iter().map(|node| self.step(node, signed)).collect::<Option<_>>()?)),
            Node::Column(..) => self.one_sided(std::slice::from_ref(node)),
            Node::Or(nodes) => {
                let one_sided = self.one_sided(nodes);
                one_sided.or_else(|| Some(Step::Any(nodes.iter().map(|node| self.step(node, signed)).collect::<Option<_>>()?)))
            }
            Node::Compare(how, a, b) => match (&**a, &**b) {
                (Node::Column(..), Node::Column(..)) if *how == bit(std::cmp::Ordering::Equal) => self.equal(sides(a, b)?, signed),
                (Node::Shared(number), Node::Literal(Val::Number(limit))) => self.alike(*number, *how, *limit, signed),
                (Node::Call(abs, inner), Node::Literal(Val::Number(limit))) if abs.name == "abs" => {
                    let [Node::Call(minus, ends)] = &**inner else { return None };
                    let [x, y] = &**ends else { return None };
                    (minus.name == "-").then(|| sides(x, y)).flatten().and_then(|sides| self.apart(sides, *how, *limit))
                }
                _ => None,
            },
            Node::Literal(_)
            | Node::Parameter(_)
            | Node::Call(..)
            | Node::Not(_)
            | Node::IsNull(_)
            | Node::Case(..)
            | Node::Coalesce(_)
            | Node::Cast(..)
            | Node::List(_)
            | Node::Transform(..)
            | Node::Filter(..)
            | Node::Extract(..)
            | Node::Matches(..)
            | Node::Replace(..)
            | Node::Shared(_) => None,
        }
    }

    /// Conditions of which each reads one side only, and any will do.
    fn one_sided(&self, nodes: &[Node]) -> Option<Step<'f>> {
        // What nobody has to count: something is missing on the left, or on the right.
        let missing = |node: &Node| {
            let Node::Column(side, number) = node else { return None };
            matches!(self.values(*side, *number), Some(Computed::Missing(_))).then_some(*side)
        };
        let sides: Option<Vec<Side>> = nodes.iter().map(missing).collect();
        if sides.is_some_and(|sides| [Side::Left, Side::Right].iter().all(|side| sides.contains(side))) {
            return Some(Step::Nothing);
        }
        let [left, right] = self.computed;
        let mut holds = [left, right].map(|columns| vec![false; columns.iter().map(Computed::len).max().unwrap_or(0)]);
        for node in nodes {
            let Node::Column(side, number) = node else { return None };
            let [of_left, of_right] = &mut holds;
            let of_side = if *side == Side::Left { of_left } else { of_right };
            for (holds, value) in of_side.iter_mut().zip(self.values(*side, *number)?.values()) {
                *holds |= value.truth() == Some(true);
            }
        }
        let only_nothing = |holds: &Vec<bool>| holds.first() == Some(&true) && !holds.iter().skip(1).any(|holds| *holds);
        let [l, r] = &holds;
        let nothing = self.single.iter().all(Option::is_some) && only_nothing(l) && only_nothing(r);
        Some(if nothing { Step::Nothing } else { Step::OneSided(holds) })
    }

    fn equal(&self, sides: [usize; 2], signed: &mut Signed<'f>) -> Option<Step<'f>> {
        let [l, r] = sides;
        let raw = |of_side: &Vec<Option<usize>>, at: usize| of_side.get(at).copied().flatten();
        let [raw_left, raw_right] = self.raw;
        let columns = [raw(raw_left, l), raw(raw_right, r)];
        if columns == self.single && columns.first() == columns.last() && columns.iter().all(Option::is_some) {
            return Some(Step::SameClass);
        }
        let (left, right) = (self.values(Side::Left, l)?, self.values(Side::Right, r)?);
        let kinds = [signed.kind(left)?, signed.kind(right)?];
        let [of_left, of_right] = kinds;
        if of_left != of_right && !kinds.contains(&Kind::Null) {
            return None;
        }
        if kinds.iter().all(|kind| matches!(kind, Kind::Text | Kind::Null)) {
            return Some(Step::Texts(signed.texts([left.clone(), right.clone()], Test::Same)));
        }
        let mut distinct = Distinct::with_room(left.len());
        let mut bytes = Vec::new();
        let mut number = |value: Val<'_>| {
            bytes.clear();
            value.key(&mut bytes);
            if value.is_null() { 0 } else { distinct.number(&bytes) }
        };
        let of_left: Arc<Vec<u32>> = Arc::new(left.values().map(&mut number).collect());
        let of_right = if left.is(right) { of_left.clone() } else { Arc::new(right.values().map(&mut number).collect()) };
        Some(Step::Equal([of_left, of_right]))
    }

    fn apart(&self, [l, r]: [usize; 2], how: u8, limit: f64) -> Option<Step<'f>> {
        let numbers = |values: &Computed<'f>| {
            let number = |value: Val<'_>| match value {
                Val::Null => Some(f64::NAN),
                Val::Number(n) if n.is_finite() => Some(n),
                Val::Number(_) | Val::Bool(_) | Val::Time(_) | Val::Text(_) | Val::List(_) => None,
            };
            values.values().map(number).collect::<Option<Vec<f64>>>()
        };
        let values = [numbers(self.values(Side::Left, l)?)?, numbers(self.values(Side::Right, r)?)?];
        Some(Step::Apart { values, how, limit })
    }

    fn alike(&self, shared: usize, how: u8, limit: f64, signed: &mut Signed<'f>) -> Option<Step<'f>> {
        let Node::Call(known, arguments) = self.shared.get(shared)? else { return None };
        let distance = match known.name {
            "levenshtein" | "editdist3" => Distance::Levenshtein,
            "damerau_levenshtein" => Distance::DamerauLevenshtein,
            "jaro_similarity" => Distance::Jaro,
            "jaro_winkler_similarity" => Distance::JaroWinkler,
            "jaccard" => Distance::Jaccard,
            _ => return None,
        };
        let [a, b] = &**arguments else { return None };
        let [l, r] = sides(a, b)?;
        let texts = [self.values(Side::Left, l)?.clone(), self.values(Side::Right, r)?.clone()];
        if !texts.iter().all(|values| matches!(signed.kind(values), Some(Kind::Text | Kind::Null))) {
            return None;
        }
        Some(Step::Texts(signed.texts(texts, Test::new(distance, how, limit))))
    }
}

/// The one kind that all values are of, nulls aside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Null,
    Bool,
    Number,
    Time,
    Text,
}

/// `None` where values differ in kind, or equality is not that of their keys.
fn kind(values: &Computed<'_>) -> Option<Kind> {
    let mut found = Kind::Null;
    match values {
        Computed::Column(_) => return Some(Kind::Text),
        Computed::Missing(_) => return Some(Kind::Bool),
        Computed::Values(_) => {}
    }
    for value in values.values() {
        let of = match value {
            Val::Null => continue,
            Val::Bool(_) => Kind::Bool,
            Val::Number(n) if !n.is_nan() => Kind::Number,
            Val::Time(_) => Kind::Time,
            Val::Text(_) => Kind::Text,
            Val::Number(_) | Val::List(_) => return None,
        };
        if found != Kind::Null && found != of {
            return None;
        }
        found = of;
    }
    Some(found)
}
