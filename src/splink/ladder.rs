//! The common forms of comparison levels as steps that evaluate no expression: missing on either side, equal, a distance or a difference
//! within a limit. What has another form is evaluated (`condition`); both ways give the same levels.

use super::bytes::{self, LANES};
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
    /// Equal texts.
    Same(Texts<'f>),
    /// The difference of two numbers, NaN for null, stands so to the limit.
    Apart {
        values: [Vec<f64>; 2],
        how: u8,
        limit: f64,
    },
    /// The distance of two texts stands so to the limit.
    Alike {
        distance: Distance,
        texts: Texts<'f>,
        reach: Reach,
        how: u8,
        limit: f64,
    },
    All(Vec<Step<'f>>),
    Any(Vec<Step<'f>>),
    Always,
}

/// Texts of both sides by class, and which of the ladder's signs are theirs.
#[derive(Debug)]
struct Texts<'f> {
    of: [Computed<'f>; 2],
    signs: usize,
}

impl Texts<'_> {
    /// The texts of two classes, where both are texts.
    fn both(&self, left: u32, right: u32) -> Option<(&[u8], &[u8])> {
        let [of_left, of_right] = &self.of;
        match (of_left.get(at(left))?, of_right.get(at(right))?) {
            (Val::Text(a), Val::Text(b)) => Some((a.as_bytes(), b.as_bytes())),
            _ => None,
        }
    }
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

/// Signs of a side that the second-level cache does not hold: 2¹² × 64 bytes are 256 KiB.
const MANY_SIGNS: usize = 1 << 12;

/// The conditions of a comparison, in order.
#[derive(Debug)]
pub(super) struct Ladder<'f> {
    steps: Vec<Step<'f>>,
    signs: Vec<Signs>,
    /// How many of the first steps read no signs.
    plain: usize,
    /// The signs that the next one reads, where they are many.
    first_signs: Option<usize>,
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

/// What a worker notes about the pairs at hand.
#[derive(Default, Debug)]
pub(super) struct Notes {
    /// The first condition that holds, by place.
    first: Vec<u8>,
    /// Places of pairs of which no condition is known to hold yet, ascending.
    open: Vec<u32>,
}

/// What is known of a pair while its conditions are gone through, and of which signs and by which distance it is.
#[derive(Default)]
struct Seen {
    bounds: Option<(usize, Bounds)>,
    similarity: Option<(usize, Distance, f64)>,
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
        let signs: Vec<Signs> = signed.of.into_iter().map(|(_, signs)| signs).collect();
        let plain = steps.iter().position(Step::reads_signs).unwrap_or(steps.len());
        let first_signs = match steps.get(plain) {
            Some(Step::Same(texts) | Step::Alike { texts, .. }) => Some(texts.signs),
            _ => None,
        };
        let many = |number: &usize| signs.get(*number).is_some_and(|signs| signs.iter().any(|side| side.len() > MANY_SIGNS));
        let first_signs = first_signs.filter(many);
        Some(Self { steps, signs, plain, first_signs })
    }

    /// The first condition that holds.
    pub(super) fn first(&self, left: u32, right: u32) -> Option<usize> {
        Some(usize::from(self.climb(&self.steps, 0, left, right))).filter(|first| *first < self.steps.len())
    }

    /// The first of some steps that holds, [`NONE`] where none does; `from` is the number of the first of them.
    #[inline]
    fn climb(&self, steps: &[Step<'f>], from: u8, left: u32, right: u32) -> u8 {
        let mut seen = Seen::default();
        for (position, step) in (from..).zip(steps) {
            if self.holds(step, left, right, &mut seen) {
                return position;
            }
        }
        NONE
    }

    /// The first condition that holds, for each pair of classes; out of range where none does. First the steps that read next to nothing, then the
    /// signs of all pairs that are still open are looked at, so that looks at memory do not wait for each other, then the other steps.
    pub(super) fn firsts<'n>(&self, [left, right]: [&[u32]; 2], notes: &'n mut Notes) -> &'n [u8] {
        let Some((plain, signed)) = self.steps.split_at_checked(self.plain) else { return &[] };
        let Notes { first, open } = notes;
        first.clear();
        if let [Step::Nothing, Step::SameClass] = plain {
            // The same as the steps say, without going through them.
            let plainly = |l: u32, r: u32| match (l == 0 || r == 0, l == r) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => NONE,
            };
            first.extend(left.iter().zip(right).map(|(l, r)| plainly(*l, *r)));
        } else {
            first.extend(left.iter().zip(right).map(|(l, r)| self.climb(plain, 0, *l, *r)));
        }
        if signed.is_empty() {
            return first;
        }
        open.clear();
        open.extend((0..).zip(first.iter()).filter(|(_, first)| **first == NONE).map(|(place, _): (u32, _)| place));
        let classes = |place: u32| (left.get(at(place)).copied().unwrap_or(0), right.get(at(place)).copied().unwrap_or(0));
        if let Some([of_left, of_right]) = self.first_signs.and_then(|signs| self.signs.get(signs)) {
            let looks = open.iter().map(|place| classes(*place));
            let looks = looks.map(|(l, r)| of_left.get(at(l)).map_or(0, Sign::look) ^ of_right.get(at(r)).map_or(0, Sign::look));
            std::hint::black_box(looks.fold(0, |seen, look| seen ^ look));
        }
        // Conditions are fewer than 255.
        let from = u8::try_from(plain.len()).unwrap_or(NONE);
        for place in open.iter() {
            let (l, r) = classes(*place);
            if let Some(slot) = first.get_mut(at(*place)) {
                *slot = self.climb(signed, from, l, r);
            }
        }
        first
    }

    /// The signs of two classes, where both are texts.
    #[inline]
    fn signs(&self, texts: &Texts<'f>, left: u32, right: u32) -> Option<(&Sign, &Sign)> {
        let [of_left, of_right] = self.signs.get(texts.signs)?;
        of_left.get(at(left)).zip(of_right.get(at(right))).filter(|(a, b)| a.is_text() && b.is_text())
    }

    /// Whether a step holds.
    #[inline]
    fn holds(&self, step: &Step<'f>, left: u32, right: u32, seen: &mut Seen) -> bool {
        match step {
            Step::Nothing => left == 0 || right == 0,
            Step::OneSided([of_left, of_right]) => {
                of_left.get(at(left)).copied().unwrap_or(false) || of_right.get(at(right)).copied().unwrap_or(false)
            }
            Step::SameClass => left == right && left != 0,
            Step::Equal(numbers) => equal(numbers, left, right),
            Step::Same(texts) => self
                .signs(texts, left, right)
                .is_some_and(|(a, b)| a.same(b) && (a.short().is_some() || texts.both(left, right).is_some_and(|(a, b)| a == b))),
            Step::Apart { values, how, limit } => stands(apart(values, left, right), *how, *limit),
            Step::Alike { distance, texts, reach, how, limit } => {
                let Some((a, b)) = self.signs(texts, left, right) else { return false };
                match reach {
                    Reach::Edits(most) => {
                        !a.longer_by_more(b, *most)
                            && seen.bounds(texts.signs, a, b).edits() <= *most
                            && with_bytes((a, b), texts, (left, right), |a, b| distance.stands(a, b, *how, *limit))
                    }
                    Reach::Similarity(ruler) => {
                        let bounds = seen.bounds(texts.signs, a, b);
                        if bounds.misses(ruler) {
                            return false;
                        }
                        let known = seen.similarity.filter(|(signs, by, _)| *signs == texts.signs && by == distance);
                        let similarity = known.map_or_else(
                            || {
                                let reckoned = similarity(*distance, (a, b), &bounds, texts, (left, right));
                                seen.similarity = Some((texts.signs, *distance, reckoned));
                                reckoned
                            },
                            |(_, _, known)| known,
                        );
                        stands(similarity, *how, *limit)
                    }
                    Reach::Open => with_bytes((a, b), texts, (left, right), |a, b| distance.stands(a, b, *how, *limit)),
                }
            }
            Step::All(steps) => self.hold(steps, true, left, right, seen),
            Step::Any(steps) => !self.hold(steps, false, left, right, seen),
            Step::Always => true,
        }
    }

    /// Whether all steps hold, or all do not. Apart from [`Ladder::holds`], which so calls itself nowhere and can stand where it is called.
    #[inline(never)]
    fn hold(&self, steps: &[Step<'f>], wanted: bool, left: u32, right: u32, seen: &mut Seen) -> bool {
        steps.iter().all(|step| self.holds(step, left, right, seen) == wanted)
    }
}

impl Seen {
    #[inline]
    fn bounds(&mut self, signs: usize, a: &Sign, b: &Sign) -> Bounds {
        match self.bounds {
            Some((of, bounds)) if of == signs => bounds,
            _ => {
                let bounds = a.bounds(b);
                self.bounds = Some((signs, bounds));
                bounds
            }
        }
    }
}

/// What a closure tells of two texts, out of their signs where they are short.
fn with_bytes((a, b): (&Sign, &Sign), texts: &Texts<'_>, (left, right): (u32, u32), tell: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    if let (Some(a), Some(b)) = (a.short(), b.short()) {
        let mut buffers = ([0; LANES], [0; LANES]);
        return tell(a.bytes(&mut buffers.0), b.bytes(&mut buffers.1));
    }
    texts.both(left, right).is_some_and(|(a, b)| tell(a, b))
}

/// How like two texts are; NaN where one is none.
fn similarity(distance: Distance, (a, b): (&Sign, &Sign), bounds: &Bounds, texts: &Texts<'_>, (left, right): (u32, u32)) -> f64 {
    match (distance, a.short(), b.short()) {
        (Distance::Jaro, Some(a), Some(b)) => a.jaro(b),
        (Distance::JaroWinkler, Some(a), Some(b)) => bytes::raised(a.jaro(b), bounds.start()),
        _ => texts.both(left, right).map_or(f64::NAN, |(a, b)| distance.similarity(a, b)),
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

    fn equal(&self, sides: [usize; 2], signed: &mut Signed<'f>) -> Option<Step<'f>> {
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
        if [kinds.0, kinds.1].iter().all(|kind| matches!(kind, Some(Kind::Text | Kind::Null))) {
            let of = [left.clone(), right.clone()];
            let signs = signed.place(&of);
            return Some(Step::Same(Texts { of, signs }));
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
        Some(Step::Alike { distance, texts: Texts { of: texts, signs }, reach: distance.reach(how, limit), how, limit })
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
    fn reads_signs(&self) -> bool {
        match self {
            Self::Same(_) | Self::Alike { .. } => true,
            Self::All(steps) | Self::Any(steps) => steps.iter().any(Self::reads_signs),
            Self::Nothing | Self::OneSided(_) | Self::SameClass | Self::Equal(_) | Self::Apart { .. } | Self::Always => false,
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
