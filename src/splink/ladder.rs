//! The common forms of comparison levels as steps that evaluate no expression: missing on either side, equal, a distance or a difference
//! within a limit. What has another form is evaluated (`condition`); both ways give the same levels.

use super::bytes;
use super::condition::{Node, bit};
use super::frame::Distinct;
use super::sign::{Bounds, Ruler, Sign};
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
    Equal([Arc<Vec<u32>>; 2]),
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
        /// Which of the ladder's signs are those of the texts.
        signs: usize,
        reach: Reach,
        how: u8,
        limit: f64,
    },
    All(Vec<Step<'f>>),
    Any(Vec<Step<'f>>),
    Always,
}

/// When bounds alone tell that a distance does not stand so to its limit.
#[derive(Clone, Copy, Debug)]
enum Reach {
    /// More edits than these are needed.
    Edits(u32),
    /// A similarity can't be reached.
    Similarity(Ruler),
    /// Never.
    Open,
}

/// Signs of both sides' texts, by class.
type Signs = [Arc<Vec<Sign>>; 2];

/// The conditions of a comparison, in order.
#[derive(Debug)]
pub(super) struct Ladder<'f> {
    steps: Vec<Step<'f>>,
    signs: Vec<Signs>,
}

/// Signs that some step of a ladder needs, those of one column once.
#[derive(Default)]
struct Signed<'f> {
    of: Vec<([Computed<'f>; 2], Signs)>,
}

impl<'f> Signed<'f> {
    /// Where the signs of these texts stand.
    fn place(&mut self, texts: &[Computed<'f>; 2]) -> usize {
        let [left, right] = texts;
        if let Some(known) = self.of.iter().position(|([l, r], _)| Arc::ptr_eq(l, left) && Arc::ptr_eq(r, right)) {
            return known;
        }
        let of = |values: &Computed<'f>| -> Arc<Vec<Sign>> {
            let sign = |value: &Val<'f>| Sign::new(if let Val::Text(text) = value { Some(text.as_bytes()) } else { None });
            Arc::new(values.iter().map(sign).collect())
        };
        let of_left = of(left);
        let of_right = if Arc::ptr_eq(left, right) { of_left.clone() } else { of(right) };
        self.of.push((texts.clone(), [of_left, of_right]));
        self.of.len() - 1
    }
}

/// No condition holds.
const NONE: u8 = u8::MAX;

/// A pair of which no condition is known to hold yet: its place, and its classes.
#[derive(Clone, Copy, Debug)]
struct Open {
    pair: u32,
    left: u32,
    right: u32,
}

/// What a worker notes about the pairs at hand, by their place.
#[derive(Default, Debug)]
pub(super) struct Notes {
    /// Pairs of which no condition is known to hold yet, ascending.
    open: Vec<Open>,
    /// The first condition that holds.
    first: Vec<u8>,
    /// Bounds of those that were open when they were asked for, and of which signs they are.
    bounds: Vec<Bounds>,
    bounds_of: Option<usize>,
    /// Similarities that were reckoned, NaN for the others, and of which signs and by which distance they are.
    similarities: Vec<f64>,
    similarities_of: Option<(usize, Distance)>,
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
        if conditions.len() >= usize::from(NONE) {
            return None;
        }
        let mut signed = Signed::default();
        let steps: Vec<Step<'f>> = conditions.iter().map(|node| parts.step(node, &mut signed)).collect::<Option<_>>()?;
        Some(Self { steps, signs: signed.of.into_iter().map(|(_, signs)| signs).collect() })
    }

    /// The first condition that holds.
    pub(super) fn first(&self, left: u32, right: u32) -> Option<usize> {
        self.steps.iter().position(|step| step.holds(left, right))
    }

    /// The first condition that holds, for each pair of classes; out of range where none does. Step by step over the pairs that are still open, so that
    /// what each reads of memory need not wait for what the others decide.
    pub(super) fn firsts<'n>(&self, left: &[u32], right: &[u32], notes: &'n mut Notes) -> &'n [u8] {
        let count = left.len().min(right.len());
        notes.open.clear();
        notes.open.extend((0..).zip(left.iter().zip(right)).map(|(pair, (left, right))| Open { pair, left: *left, right: *right }));
        notes.first.clear();
        notes.first.resize(count, NONE);
        (notes.bounds_of, notes.similarities_of) = (None, None);
        for (position, step) in (0_u8..).zip(&self.steps) {
            if notes.open.is_empty() {
                break;
            }
            if let Step::Alike { signs, .. } = step {
                self.note_bounds(*signs, count, notes);
            }
            let Notes { open, first, bounds, similarities, similarities_of, .. } = &mut *notes;
            let bounds = |pair: u32| bounds.get(at(pair)).copied().unwrap_or(Bounds::NONE);
            match step {
                Step::Nothing => settle(open, first, position, |one| one.left == 0 || one.right == 0),
                Step::SameClass => settle(open, first, position, |one| one.left == one.right && one.left != 0),
                Step::Equal(numbers) => settle(open, first, position, |one| equal(numbers, one.left, one.right)),
                Step::Alike { reach: Reach::Edits(most), .. } => {
                    settle(open, first, position, |one| bounds(one.pair).edits() <= *most && step.holds(one.left, one.right));
                }
                Step::Alike { distance, texts, reach: Reach::Similarity(ruler), signs, how, limit } => {
                    if *similarities_of != Some((*signs, *distance)) {
                        *similarities_of = Some((*signs, *distance));
                        similarities.clear();
                        similarities.resize(count, f64::NAN);
                    }
                    settle(open, first, position, |one| {
                        if bounds(one.pair).misses(ruler) {
                            return false;
                        }
                        let Some(known) = similarities.get_mut(at(one.pair)) else { return false };
                        if known.is_nan() {
                            let Some((a, b)) = both(texts, one.left, one.right) else { return false };
                            *known = distance.similarity(a, b);
                        }
                        stands(*known, *how, *limit)
                    });
                }
                Step::Apart { values, how, limit } => {
                    settle(open, first, position, |one| stands(apart(values, one.left, one.right), *how, *limit));
                }
                Step::Alike { reach: Reach::Open, .. } | Step::OneSided(_) | Step::All(_) | Step::Any(_) => {
                    settle(open, first, position, |one| step.holds(one.left, one.right));
                }
                Step::Always => settle(open, first, position, |_| true),
            }
        }
        &notes.first
    }

    /// Notes the bounds of the pairs that are open.
    fn note_bounds(&self, signs: usize, count: usize, notes: &mut Notes) {
        if notes.bounds_of == Some(signs) {
            return;
        }
        notes.bounds_of = Some(signs);
        notes.bounds.resize(count, Bounds::NONE);
        let Some([of_left, of_right]) = self.signs.get(signs) else { return };
        // First a look at each: looks do not wait for each other, as reckoning waits for memory.
        let looks = notes.open.iter().filter_map(|one| of_right.get(at(one.right)));
        std::hint::black_box(looks.fold(0, |seen, sign| seen ^ sign.look()));
        for one in &notes.open {
            let both = (of_left.get(at(one.left)), of_right.get(at(one.right)), notes.bounds.get_mut(at(one.pair)));
            if let (Some(a), Some(b), Some(slot)) = both {
                *slot = a.bounds(b);
            }
        }
    }
}

/// Notes of which open pairs a condition holds; the others stay open.
#[inline]
fn settle(open: &mut Vec<Open>, first: &mut [u8], position: u8, mut holds: impl FnMut(&Open) -> bool) {
    open.retain(|one| {
        let holds = holds(one);
        if holds && let Some(slot) = first.get_mut(at(one.pair)) {
            *slot = position;
        }
        !holds
    });
}

/// The texts of two classes, where both are texts.
fn both<'t>([of_left, of_right]: &'t [Computed<'_>; 2], left: u32, right: u32) -> Option<(&'t [u8], &'t [u8])> {
    match (of_left.get(at(left))?, of_right.get(at(right))?) {
        (Val::Text(a), Val::Text(b)) => Some((a.as_bytes(), b.as_bytes())),
        _ => None,
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

    fn step(&self, node: &Node, signed: &mut Signed<'f>) -> Option<Step<'f>> {
        match node {
            Node::Literal(Val::Bool(true)) => Some(Step::Always),
            Node::And(nodes) => Some(Step::All(nodes.iter().map(|node| self.step(node, signed)).collect::<Option<_>>()?)),
            Node::Column(..) => self.one_sided(std::slice::from_ref(node)),
            Node::Or(nodes) => {
                let one_sided = self.one_sided(nodes);
                one_sided.or_else(|| Some(Step::Any(nodes.iter().map(|node| self.step(node, signed)).collect::<Option<_>>()?)))
            }
            Node::Compare(how, a, b) => match (&**a, &**b) {
                (Node::Column(..), Node::Column(..)) if *how == bit(std::cmp::Ordering::Equal) => self.equal(sides(a, b)?),
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
        let mut distinct = Distinct::with_room(left.len());
        let mut bytes = Vec::new();
        let mut number = |value: &Val<'_>| {
            bytes.clear();
            value.key(&mut bytes);
            if value.is_null() { 0 } else { distinct.number(&bytes) }
        };
        let of_left: Arc<Vec<u32>> = Arc::new(left.iter().map(&mut number).collect());
        let of_right = if Arc::ptr_eq(left, right) { of_left.clone() } else { Arc::new(right.iter().map(&mut number).collect()) };
        Some(Step::Equal([of_left, of_right]))
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
        let are_texts = |values: &Computed<'f>| matches!(kind(values), Some(Some(Kind::Text | Kind::Null)));
        if !texts.iter().all(are_texts) {
            return None;
        }
        let signs = signed.place(&texts);
        Some(Step::Alike { distance, texts, signs, reach: distance.reach(how, limit), how, limit })
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
    fn holds(&self, left: u32, right: u32) -> bool {
        match self {
            Self::Nothing => left == 0 || right == 0,
            Self::OneSided([of_left, of_right]) => {
                of_left.get(at(left)).copied().unwrap_or(false) || of_right.get(at(right)).copied().unwrap_or(false)
            }
            Self::SameClass => left == right && left != 0,
            Self::Equal(numbers) => equal(numbers, left, right),
            Self::Apart { values, how, limit } => stands(apart(values, left, right), *how, *limit),
            Self::Alike { distance, texts, how, limit, .. } => {
                both(texts, left, right).is_some_and(|(a, b)| distance.stands(a, b, *how, *limit))
            }
            Self::All(steps) => steps.iter().all(|step| step.holds(left, right)),
            Self::Any(steps) => steps.iter().any(|step| step.holds(left, right)),
            Self::Always => true,
        }
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

/// Whether a number stands to a limit in one of the ways of `how`; NaN, which is null, does not.
fn stands(number: f64, how: u8, limit: f64) -> bool {
    number.partial_cmp(&limit).is_some_and(|order| how & bit(order) != 0)
}

impl Distance {
    /// When bounds alone tell that two texts do not stand so to the limit.
    fn reach(self, how: u8, limit: f64) -> Reach {
        let (less, equal, greater) = (bit(std::cmp::Ordering::Less), bit(std::cmp::Ordering::Equal), bit(std::cmp::Ordering::Greater));
        match self {
            Self::Levenshtein | Self::DamerauLevenshtein if how == less | equal => {
                // Edits are whole; a cell has 2¹⁵ bytes at most.
                (0_u32..1 << 15).rfind(|edits| f64::from(*edits) <= limit).map_or(Reach::Open, Reach::Edits)
            }
            Self::Jaro if how == greater | equal => Reach::Similarity(Ruler::jaro(limit)),
            Self::JaroWinkler if how == greater | equal => Reach::Similarity(Ruler::jaro_winkler(limit)),
            Self::Levenshtein | Self::DamerauLevenshtein | Self::Jaro | Self::JaroWinkler | Self::Jaccard => Reach::Open,
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
            Self::Jaro | Self::JaroWinkler | Self::Jaccard => stands(self.similarity(a, b), how, limit),
        }
    }

    /// How like two texts are; NaN for null.
    fn similarity(self, a: &[u8], b: &[u8]) -> f64 {
        match self {
            Self::Jaro => bytes::jaro(a, b),
            Self::JaroWinkler => bytes::jaro_winkler(a, b),
            Self::Jaccard => bytes::jaccard(a, b).unwrap_or(f64::NAN),
            Self::Levenshtein => bytes::number(bytes::levenshtein(a, b)),
            Self::DamerauLevenshtein => bytes::number(bytes::damerau_levenshtein(a, b)),
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
