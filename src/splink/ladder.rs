//! The common forms of comparison levels as steps that evaluate no expression: missing on either side, equal, a distance or a difference
//! within a limit. What has another form is evaluated (`condition`); both ways give the same levels.

use super::bytes;
use super::condition::{Node, bit};
use super::frame::Distinct;
use super::sign::{Bounds, Sign};
use super::sql::Side;
use super::value::Val;
use std::sync::Arc;

/// Values of a computed column by class.
pub(super) type Computed<'f> = Arc<Vec<Val<'f>>>;

/// A string distance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Distance {
    Levenshtein,
    DamerauLevenshtein,
    Jaro,
    JaroWinkler,
    Jaccard,
}

/// A condition in a form that needs no evaluation. It holds or not: unknown is no.
#[derive(Debug)]
enum Step<'f> {
    /// Either side is of class 0, where nothing stands.
    Nothing,
    /// One side alone says so, by class.
    OneSided([Vec<bool>; 2]),
    /// Both are of one class, and not of class 0.
    SameClass,
    /// Equal numbers by class, 0 for null.
    Equal([Vec<u32>; 2]),
    /// The difference of two numbers, NaN for null, stands so to the limit.
    Apart {
        values: [Vec<f64>; 2],
        how: u8,
        limit: f64,
    },
    /// The distance of two texts stands so to the limit.
    Alike {
        distance: Distance,
        texts: [Computed<'f>; 2],
        signs: [Arc<Vec<Sign>>; 2],
        how: u8,
        limit: f64,
    },
    All(Vec<Step<'f>>),
    Any(Vec<Step<'f>>),
    Always,
}

/// The conditions of a comparison, in order.
#[derive(Debug)]
pub(super) struct Ladder<'f> {
    steps: Vec<Step<'f>>,
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

fn at(class: u32) -> usize {
    usize::try_from(class).unwrap_or(usize::MAX)
}

impl<'f> Ladder<'f> {
    /// `None` where a condition has another form.
    pub(super) fn new(conditions: &[Node], parts: &Parts<'_, 'f>) -> Option<Self> {
        let steps: Vec<Step<'f>> = conditions.iter().map(|node| parts.step(node)).collect::<Option<_>>()?;
        Some(Self { steps })
    }

    /// The first condition that holds, where it can be told without a distance.
    pub(super) fn at_once(&self, left: u32, right: u32) -> Option<usize> {
        for (position, step) in self.steps.iter().enumerate() {
            match step.told(left, right) {
                Some(true) => return Some(position),
                Some(false) => {}
                None => return None,
            }
        }
        None
    }

    /// The first condition that holds.
    pub(super) fn first(&self, left: u32, right: u32) -> Option<usize> {
        self.steps.iter().position(|step| step.told(left, right).unwrap_or_else(|| step.holds(left, right)))
    }
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

    fn step(&self, node: &Node) -> Option<Step<'f>> {
        match node {
            Node::Literal(Val::Bool(true)) => Some(Step::Always),
            Node::And(nodes) => Some(Step::All(nodes.iter().map(|node| self.step(node)).collect::<Option<_>>()?)),
            Node::Column(..) => self.one_sided(std::slice::from_ref(node)),
            Node::Or(nodes) => {
                let one_sided = self.one_sided(nodes);
                one_sided.or_else(|| Some(Step::Any(nodes.iter().map(|node| self.step(node)).collect::<Option<_>>()?)))
            }
            Node::Compare(how, a, b) => match (&**a, &**b) {
                (Node::Column(..), Node::Column(..)) if *how == bit(std::cmp::Ordering::Equal) => self.equal(sides(a, b)?),
                (Node::Shared(number), Node::Literal(Val::Number(limit))) => self.alike(*number, *how, *limit),
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
        let [left, right] = self.computed;
        let mut holds = [left, right].map(|columns| vec![false; columns.iter().map(|c| c.len()).max().unwrap_or(0)]);
        for node in nodes {
            let Node::Column(side, number) = node else { return None };
            let [of_left, of_right] = &mut holds;
            let of_side = if *side == Side::Left { of_left } else { of_right };
            for (holds, value) in of_side.iter_mut().zip(self.values(*side, *number)?.iter()) {
                *holds |= value.truth() == Some(true);
            }
        }
        let only_nothing = |holds: &Vec<bool>| holds.first() == Some(&true) && !holds.iter().skip(1).any(|holds| *holds);
        let [l, r] = &holds;
        let nothing = self.single.iter().all(Option::is_some) && only_nothing(l) && only_nothing(r);
        Some(if nothing { Step::Nothing } else { Step::OneSided(holds) })
    }

    fn equal(&self, sides: [usize; 2]) -> Option<Step<'f>> {
        let [l, r] = sides;
        let raw = |of_side: &Vec<Option<usize>>, at: usize| of_side.get(at).copied().flatten();
        let [raw_left, raw_right] = self.raw;
        let columns = [raw(raw_left, l), raw(raw_right, r)];
        if columns == self.single && columns.first() == columns.last() && columns.iter().all(Option::is_some) {
            return Some(Step::SameClass);
        }
        let (left, right) = (self.values(Side::Left, l)?, self.values(Side::Right, r)?);
        let kinds = (kind(left)?, kind(right)?);
        if !(kinds.0 == kinds.1 || kinds.0 == Some(Kind::Null) || kinds.1 == Some(Kind::Null)) {
            return None;
        }
        let mut distinct = Distinct::default();
        let mut bytes = Vec::new();
        let mut number = |value: &Val<'_>| {
            bytes.clear();
            value.key(&mut bytes);
            if value.is_null() { 0 } else { distinct.number(&bytes) }
        };
        Some(Step::Equal([left, right].map(|values| values.iter().map(&mut number).collect())))
    }

    fn apart(&self, [l, r]: [usize; 2], how: u8, limit: f64) -> Option<Step<'f>> {
        let numbers = |values: &Computed<'f>| {
            let number = |value: &Val<'_>| match value {
                Val::Null => Some(f64::NAN),
                Val::Number(n) if n.is_finite() => Some(*n),
                Val::Number(_) | Val::Bool(_) | Val::Time(_) | Val::Text(_) | Val::List(_) => None,
            };
            values.iter().map(number).collect::<Option<Vec<f64>>>()
        };
        let values = [numbers(self.values(Side::Left, l)?)?, numbers(self.values(Side::Right, r)?)?];
        Some(Step::Apart { values, how, limit })
    }

    fn alike(&self, shared: usize, how: u8, limit: f64) -> Option<Step<'f>> {
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
        let are_texts = |values: &Computed<'f>| matches!(kind(values), Some(Some(Kind::Text | Kind::Null)));
        if !texts.iter().all(are_texts) {
            return None;
        }
        let of = |values: &Computed<'f>| -> Arc<Vec<Sign>> {
            let sign = |value: &Val<'f>| Sign::new(if let Val::Text(text) = value { Some(text.as_bytes()) } else { None });
            Arc::new(values.iter().map(sign).collect())
        };
        let [left, right] = &texts;
        let of_left = of(left);
        let of_right = if Arc::ptr_eq(left, right) { of_left.clone() } else { of(right) };
        Some(Step::Alike { distance, texts, signs: [of_left, of_right], how, limit })
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
#[expect(clippy::option_option, reason = "no kind at all, or a kind")]
fn kind(values: &[Val<'_>]) -> Option<Option<Kind>> {
    let mut found = Kind::Null;
    for value in values {
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
    Some(Some(found))
}

impl Step<'_> {
    /// Whether it holds, where that can be told without a distance.
    fn told(&self, left: u32, right: u32) -> Option<bool> {
        match self {
            Self::Alike { distance, signs: [of_left, of_right], how, limit, .. } => {
                let (a, b) = (of_left.get(at(left))?, of_right.get(at(right))?);
                let Some(bounds) = a.bounds(b) else { return Some(false) };
                distance.ruled_out(&bounds, *how, *limit).then_some(false)
            }
            Self::All(steps) => {
                let mut all = Some(true);
                for step in steps {
                    match step.told(left, right) {
                        Some(true) => {}
                        Some(false) => return Some(false),
                        None => all = None,
                    }
                }
                all
            }
            Self::Any(steps) => {
                let mut any = Some(false);
                for step in steps {
                    match step.told(left, right) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => any = None,
                    }
                }
                any
            }
            Self::Nothing | Self::OneSided(_) | Self::SameClass | Self::Equal(_) | Self::Apart { .. } | Self::Always => {
                Some(self.holds(left, right))
            }
        }
    }

    fn holds(&self, left: u32, right: u32) -> bool {
        match self {
            Self::Nothing => left == 0 || right == 0,
            Self::OneSided([of_left, of_right]) => {
                of_left.get(at(left)).copied().unwrap_or(false) || of_right.get(at(right)).copied().unwrap_or(false)
            }
            Self::SameClass => left == right && left != 0,
            Self::Equal([of_left, of_right]) => {
                let number = of_left.get(at(left)).copied().unwrap_or(0);
                number != 0 && of_right.get(at(right)) == Some(&number)
            }
            Self::Apart { values: [of_left, of_right], how, limit } => {
                let (Some(a), Some(b)) = (of_left.get(at(left)), of_right.get(at(right))) else { return false };
                stands((a - b).abs(), *how, *limit)
            }
            Self::Alike { distance, texts: [of_left, of_right], how, limit, .. } => {
                let (Some(Val::Text(a)), Some(Val::Text(b))) = (of_left.get(at(left)), of_right.get(at(right))) else { return false };
                distance.stands(a.as_bytes(), b.as_bytes(), *how, *limit)
            }
            Self::All(steps) => steps.iter().all(|step| step.holds(left, right)),
            Self::Any(steps) => steps.iter().any(|step| step.holds(left, right)),
            Self::Always => true,
        }
    }
}

/// Whether a number stands to a limit in one of the ways of `how`; NaN, which is null, does not.
fn stands(number: f64, how: u8, limit: f64) -> bool {
    number.partial_cmp(&limit).is_some_and(|order| how & bit(order) != 0)
}

impl Distance {
    /// Whether bounds alone tell that two texts do not stand so to the limit. Similarities round: a bound must be clearly below.
    fn ruled_out(self, bounds: &Bounds, how: u8, limit: f64) -> bool {
        let (less, equal, greater) = (bit(std::cmp::Ordering::Less), bit(std::cmp::Ordering::Equal), bit(std::cmp::Ordering::Greater));
        match self {
            Self::Levenshtein | Self::DamerauLevenshtein => how == less | equal && bounds.edits() > limit,
            Self::Jaro => how == greater | equal && bounds.jaro() < limit - 1e-9,
            Self::JaroWinkler => how == greater | equal && bounds.jaro_winkler() < limit - 1e-9,
            Self::Jaccard => false,
        }
    }

    fn stands(self, a: &[u8], b: &[u8], how: u8, limit: f64) -> bool {
        let (less, equal) = (bit(std::cmp::Ordering::Less), bit(std::cmp::Ordering::Equal));
        match self {
            Self::Levenshtein | Self::DamerauLevenshtein => {
                if how == less | equal
                    && let Some(told) = self.told_early(a, b, limit)
                {
                    return told;
                }
                let edits = if self == Self::Levenshtein { bytes::levenshtein(a, b) } else { bytes::damerau_levenshtein(a, b) };
                stands(bytes::number(edits), how, limit)
            }
            Self::Jaro => stands(bytes::jaro(a, b), how, limit),
            Self::JaroWinkler => stands(bytes::jaro_winkler(a, b), how, limit),
            Self::Jaccard => bytes::jaccard(a, b).is_some_and(|similarity| stands(similarity, how, limit)),
        }
    }

    /// Whether at most `limit` edits lead from one text to the other, where their ends and lengths tell it.
    fn told_early(self, a: &[u8], b: &[u8], limit: f64) -> Option<bool> {
        let (a, b) = bytes::differing(a, b);
        let longer = a.len().max(b.len());
        if bytes::number(longer) <= limit {
            return Some(true);
        }
        if bytes::number(a.len().abs_diff(b.len())) > limit {
            return Some(false);
        }
        // Both ends differ: one edit makes them equal only where one letter is left, or two that are exchanged.
        if limit < 2.0 {
            let exchanged = matches!((a, b), ([first, second], [third, fourth]) if first == fourth && second == third);
            return Some(limit >= 1.0 && self == Self::DamerauLevenshtein && exchanged);
        }
        None
    }
}
