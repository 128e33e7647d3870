//! What two texts are asked: whether they are the same, how near or how like they are. Their signs tell most of it.

use super::bytes::{self, LANES, Short};
use super::condition::bit;
use super::frame::Column;
use super::memory::Memory;
use super::sign::{Bounds, Ruler, Sign};
use super::value::Val;
use std::cmp::Ordering::{Equal, Greater, Less};
use std::sync::Arc;

/// Values of a side by class.
#[derive(Clone, Debug)]
pub(super) enum Computed<'f> {
    /// Those of a column, by its numbers.
    Column(&'f Column),
    /// Whether nothing stands in a column.
    Missing(&'f Column),
    Values(Arc<Vec<Val<'f>>>),
}

impl Computed<'_> {
    /// How many classes there may be.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Column(column) | Self::Missing(column) => column.len() + 1,
            Self::Values(values) => values.len(),
        }
    }

    /// Whether both are the same values in memory.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Column(one), Self::Column(other)) | (Self::Missing(one), Self::Missing(other)) => std::ptr::eq(*one, *other),
            (Self::Values(one), Self::Values(other)) => Arc::ptr_eq(one, other),
            (Self::Column(_) | Self::Missing(_) | Self::Values(_), _) => false,
        }
    }

    pub(super) fn value(&self, class: u32) -> Val<'_> {
        match self {
            Self::Column(column) => column.text(class).map_or(Val::Null, Val::text),
            Self::Missing(_) => Val::Bool(class == 0),
            Self::Values(values) => values.get(at(class)).map_or(Val::Null, Val::view),
        }
    }

    /// Every class's value.
    pub(super) fn values(&self) -> impl Iterator<Item = Val<'_>> {
        (0..).take(self.len()).map(|class| self.value(class))
    }

    /// The value of a class as bytes, where it is a text.
    fn bytes(&self, class: u32) -> Option<&[u8]> {
        match self {
            Self::Column(column) => column.text(class).map(str::as_bytes),
            Self::Missing(_) => None,
            Self::Values(values) => match values.get(at(class))? {
                Val::Text(text) => Some(text.as_bytes()),
                Val::Null | Val::Bool(_) | Val::Number(_) | Val::Time(_) | Val::List(_) => None,
            },
        }
    }

    /// Every class's sign and first bytes.
    pub(super) fn signs(&self) -> SignTable {
        let of_all = (0..).take(self.len()).map(|class| {
            let text = self.bytes(class);
            (Sign::new(text), text.map_or(0, bytes::lanes))
        });
        let (signs, lanes) = of_all.unzip();
        SignTable { signs, lanes }
    }
}

/// What stands for a side's texts, by class.
#[derive(Debug)]
pub(super) struct SignTable {
    signs: Vec<Sign>,
    /// Their first sixteen bytes: all of a short one. Apart from the signs, which tell most pairs apart, and of which so twice as many are near.
    lanes: Vec<u128>,
}

impl SignTable {
    /// The text of a class, where it is short.
    #[inline]
    fn short(&self, class: u32, sign: &Sign) -> Option<Short> {
        let length = u8::try_from(sign.length()).ok().filter(|length| usize::from(*length) <= LANES)?;
        self.lanes.get(at(class)).map(|lanes| Short::of_lanes(*lanes, length))
    }
}

/// Signs of both sides' texts.
pub(super) type Signs = [Arc<SignTable>; 2];

/// Signs of a side that the second-level cache does not hold: 2¹⁴ × 16 bytes are 256 KiB.
const MANY_SIGNS: usize = 1 << 14;

/// A string distance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Distance {
    Levenshtein,
    DamerauLevenshtein,
    Jaro,
    JaroWinkler,
    Jaccard,
}

/// A question to two texts. It holds or not: unknown is no.
#[derive(Clone, Copy, Debug)]
pub(super) enum Test {
    /// They are equal.
    Same,
    /// No more edits than these are needed.
    Within { exchanges: bool, edits: u32 },
    /// Jaro's or Jaro–Winkler's similarity stands so to the limit, which is reached from below.
    Similar { winkler: bool, ruler: Ruler, how: u8, limit: f64 },
    /// A distance stands so to the limit.
    Open { distance: Distance, how: u8, limit: f64 },
}

impl Test {
    /// Whether a distance stands so to a limit.
    pub(super) fn new(distance: Distance, how: u8, limit: f64) -> Self {
        let (at_most, at_least) = (bit(Less) | bit(Equal), bit(Greater) | bit(Equal));
        match distance {
            Distance::Levenshtein | Distance::DamerauLevenshtein if how == at_most => {
                // Edits are whole; a cell has 2¹⁵ bytes at most.
                let most = (0_u32..1 << 15).rfind(|edits| f64::from(*edits) <= limit);
                let exchanges = distance == Distance::DamerauLevenshtein;
                most.map_or(Self::Open { distance, how, limit }, |edits| Self::Within { exchanges, edits })
            }
            Distance::Jaro if how == at_least => Self::Similar { winkler: false, ruler: Ruler::jaro(limit), how, limit },
            Distance::JaroWinkler if how == at_least => Self::Similar { winkler: true, ruler: Ruler::jaro_winkler(limit), how, limit },
            Distance::Levenshtein | Distance::DamerauLevenshtein | Distance::Jaro | Distance::JaroWinkler | Distance::Jaccard => {
                Self::Open { distance, how, limit }
            }
        }
    }

    /// Whether signs do not rule it out.
    #[inline]
    fn may_hold(&self, a: &Sign, b: &Sign, bounds: &Bounds) -> bool {
        match self {
            Self::Same => a.same(b),
            Self::Within { edits, .. } => !a.longer_by_more(b, *edits) && bounds.edits() <= *edits,
            Self::Similar { ruler, .. } => !bounds.misses(ruler),
            Self::Open { .. } => true,
        }
    }
}

/// Texts shorter than this have their gate in a table.
const TABLED: u16 = 32;

/// Two lengths of five bits, and a common start of four bytes at most, for which there is room for eight.
const GATES: usize = 1 << 13;

/// Where no number of bytes in common suffices.
const NEVER: u8 = u8::MAX;

/// What of several questions signs rule out at once.
#[derive(Clone, Debug)]
struct Gate {
    /// Fewer edits than these answer one of them.
    edits: u32,
    /// The least similarity that answers one of them.
    ruler: Ruler,
    /// Whether equal texts answer one, which two empty ones would not by their likeness.
    same: bool,
    /// Whether signs rule nothing out.
    open: bool,
    /// For two lengths below [`TABLED`] and a common start, how many bytes in common some question needs.
    least: Box<[u8; GATES]>,
}

/// Where a gate's table says it of two lengths below [`TABLED`] and a common start.
#[inline]
fn tabled(a: u16, b: u16, start: u32) -> usize {
    ((usize::from(a) << 5 | usize::from(b)) << 3 | at(start)) % GATES
}

impl Gate {
    fn new(tests: &[Test]) -> Self {
        let mut gate = Self { edits: 0, ruler: Ruler::NOTHING, same: false, open: false, least: Box::new([NEVER; GATES]) };
        for test in tests {
            match test {
                Test::Same => gate.same = true,
                Test::Within { edits, .. } => gate.edits = gate.edits.max(edits + 1),
                Test::Similar { ruler, .. } => gate.ruler = gate.ruler.or(ruler),
                Test::Open { .. } => gate.open = true,
            }
        }
        // Equal texts need no edits.
        gate.same &= gate.edits == 0;
        for (a, b) in (0..TABLED).flat_map(|a| (0..TABLED).map(move |b| (a, b))) {
            for start in 0..=4 {
                let least = gate.least(a, b, start);
                if let Some(slot) = gate.least.get_mut(tabled(a, b, start)) {
                    *slot = least;
                }
            }
        }
        gate
    }

    /// How many bytes in common some question needs of texts of these lengths.
    fn least(&self, a: u16, b: u16, start: u32) -> u8 {
        let shorter = u32::from(a.min(b));
        let suffices = |common: &u32| {
            // Equal texts have all in common, and their start.
            let equal = self.same && a == b && *common == shorter && start == shorter.min(4);
            equal || self.lets_bounds(&Bounds::new(a, b, *common, start))
        };
        (0..=shorter).find(suffices).and_then(|common| u8::try_from(common).ok()).unwrap_or(NEVER)
    }

    fn lets_bounds(&self, bounds: &Bounds) -> bool {
        !bounds.misses(&self.ruler) || bounds.below(self.edits) || self.open
    }

    /// Whether one of the questions may hold.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "most of a run's time is spent here, and a call costs a third of the answer")]
    fn lets(&self, a: &Sign, b: &Sign) -> bool {
        let (of_a, of_b) = (a.length(), b.length());
        if (of_a | of_b) < TABLED {
            let least = self.least.get(tabled(of_a, of_b, a.start(b))).copied().unwrap_or(0);
            return a.common(b) >= u32::from(least);
        }
        self.lets_long(a, b)
    }

    #[inline(never)]
    fn lets_long(&self, a: &Sign, b: &Sign) -> bool {
        a.is_text() && b.is_text() && (self.lets_bounds(&a.bounds(b)) || (self.same && a.same(b)))
    }
}

/// Texts of both sides by class, and what is asked of them, in order.
#[derive(Debug)]
pub(super) struct Texts<'f> {
    pub(super) of: [Computed<'f>; 2],
    pub(super) signs: Signs,
    tests: Vec<Test>,
    gate: Gate,
}

/// A class as a place.
pub(super) fn at(class: u32) -> usize {
    usize::try_from(class).unwrap_or(usize::MAX)
}

impl<'f> Texts<'f> {
    pub(super) fn new(of: [Computed<'f>; 2], signs: Signs, test: Test) -> Self {
        Self { of, signs, gate: Gate::new(&[test]), tests: vec![test] }
    }

    /// Asks another's questions after its own.
    pub(super) fn ask(&mut self, other: Self) {
        self.tests.extend(other.tests);
        self.gate = Gate::new(&self.tests);
    }

    /// Whether pairs of classes come again and again when so many records are compared, and an answer costs more than remembering it.
    pub(super) fn repeat(&self, records: usize) -> bool {
        let asks = self.tests.iter().any(|test| !matches!(test, Test::Same));
        asks && self.signs.iter().all(|side| side.signs.len() <= records / 4)
    }

    /// The signs of two classes, where both have texts.
    #[inline]
    fn signs(&self, left: u32, right: u32) -> Option<(&Sign, &Sign)> {
        let [of_left, of_right] = &self.signs;
        of_left.signs.get(at(left)).zip(of_right.signs.get(at(right))).filter(|(a, b)| a.is_text() && b.is_text())
    }

    /// Whether the signs are so many that each look at one waits for memory.
    pub(super) fn are_many(&self) -> bool {
        self.signs.iter().any(|side| side.signs.len() > MANY_SIGNS)
    }

    /// A look at the memory where the signs of two classes stand.
    #[inline]
    pub(super) fn look(&self, left: u32, right: u32) -> u16 {
        let [of_left, of_right] = &self.signs;
        of_left.signs.get(at(left)).map_or(0, Sign::look) ^ of_right.signs.get(at(right)).map_or(0, Sign::look)
    }

    /// Whether signs leave it open that some question holds.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "most of the time of a run is spent here, and a call costs as much as the answer")]
    pub(super) fn may_hold(&self, left: u32, right: u32) -> bool {
        let [of_left, of_right] = &self.signs;
        of_left.signs.get(at(left)).zip(of_right.signs.get(at(right))).is_some_and(|(a, b)| self.gate.lets(a, b))
    }

    /// The first question that holds of two classes' texts, by its place; `None` where none does, or either has no text.
    #[inline(never)]
    pub(super) fn first(&self, left: u32, right: u32, memory: &mut Memory) -> Option<u8> {
        if self.may_hold(left, right) { self.first_near(left, right, memory) } else { None }
    }

    /// As [`Texts::first`], where signs leave it open.
    #[inline(never)]
    pub(super) fn first_near(&self, left: u32, right: u32, memory: &mut Memory) -> Option<u8> {
        // No question has the place 254: a ladder has fewer conditions.
        const NO_ANSWER: u8 = 254;
        let answer = memory.known(left, right).or_else(|| {
            let signs = self.signs(left, right)?;
            let bounds = signs.0.bounds(signs.1);
            let mut jaro = None;
            let holds =
                self.tests.iter().enumerate().find(|(_, test)| {
                    test.may_hold(signs.0, signs.1, &bounds) && self.holds(test, signs, &bounds, (left, right), &mut jaro)
                });
            let answer = holds.and_then(|(place, _)| u8::try_from(place).ok()).unwrap_or(NO_ANSWER);
            memory.keep(left, right, answer);
            Some(answer)
        });
        answer.filter(|answer| *answer != NO_ANSWER)
    }

    /// Both texts, where both are short.
    #[inline]
    fn short(&self, (a, b): (&Sign, &Sign), (left, right): (u32, u32)) -> Option<(Short, Short)> {
        let [of_left, of_right] = &self.signs;
        of_left.short(left, a).zip(of_right.short(right, b))
    }

    /// Whether one holds that signs do not rule out. Jaro's similarity is reckoned once.
    fn holds(&self, test: &Test, signs: (&Sign, &Sign), bounds: &Bounds, classes: (u32, u32), jaro: &mut Option<f64>) -> bool {
        match *test {
            Test::Same => match self.short(signs, classes) {
                Some((a, b)) => a == b,
                None => self.both(classes).is_some_and(|(a, b)| a == b),
            },
            Test::Within { exchanges, edits } => match self.short(signs, classes) {
                Some((a, b)) if edits == 1 => a.within_one(b, exchanges),
                _ => self.with_bytes(signs, classes, |a, b| within(a, b, exchanges, edits)),
            },
            Test::Similar { winkler, how, limit, .. } => {
                let share = self.gate.ruler.share(bounds.start());
                let jaro = *jaro.get_or_insert_with(|| match self.short(signs, classes) {
                    Some((a, b)) => a.jaro(b, share),
                    None => self.both(classes).map_or(f64::NAN, |(a, b)| bytes::jaro_reaching(a, b, share)),
                });
                stands(if winkler { bytes::raised(jaro, bounds.start()) } else { jaro }, how, limit)
            }
            Test::Open { distance, how, limit } => self.with_bytes(signs, classes, |a, b| stands(distance.of(a, b), how, limit)),
        }
    }

    /// What a closure tells of two texts, out of their first bytes where they are short.
    fn with_bytes(&self, signs: (&Sign, &Sign), classes: (u32, u32), tell: impl Fn(&[u8], &[u8]) -> bool) -> bool {
        if let Some((a, b)) = self.short(signs, classes) {
            let mut buffers = ([0; LANES], [0; LANES]);
            return tell(a.bytes(&mut buffers.0), b.bytes(&mut buffers.1));
        }
        self.both(classes).is_some_and(|(a, b)| tell(a, b))
    }

    /// The texts of two classes, where both are texts.
    fn both(&self, (left, right): (u32, u32)) -> Option<(&[u8], &[u8])> {
        let [of_left, of_right] = &self.of;
        of_left.bytes(left).zip(of_right.bytes(right))
    }
}

/// Whether a number stands to a limit in one of the ways of `how`; NaN, which is null, does not.
pub(super) fn stands(number: f64, how: u8, limit: f64) -> bool {
    number.partial_cmp(&limit).is_some_and(|order| how & bit(order) != 0)
}

impl Distance {
    /// How far apart or how like two texts are; NaN for null.
    fn of(self, a: &[u8], b: &[u8]) -> f64 {
        match self {
            Self::Jaro => bytes::jaro(a, b),
            Self::JaroWinkler => bytes::jaro_winkler(a, b),
            Self::Jaccard => bytes::jaccard(a, b).unwrap_or(f64::NAN),
            Self::Levenshtein => bytes::number(bytes::levenshtein(a, b)),
            Self::DamerauLevenshtein => bytes::number(bytes::damerau_levenshtein(a, b)),
        }
    }
}

/// Whether at most so many edits lead from one text to the other.
fn within(a: &[u8], b: &[u8], exchanges: bool, edits: u32) -> bool {
    let most = usize::try_from(edits).unwrap_or(usize::MAX);
    let (a, b) = bytes::differing(a, b);
    if a.len().max(b.len()) <= most {
        return true;
    }
    if a.len().abs_diff(b.len()) > most {
        return false;
    }
    // Both ends differ: one edit makes them equal only where one letter is left, or two that are exchanged.
    if most < 2 {
        let exchanged = matches!((a, b), ([first, second], [third, fourth]) if first == fourth && second == third);
        return exchanges && most == 1 && exchanged;
    }
    (if exchanges { bytes::damerau_levenshtein(a, b) } else { bytes::levenshtein(a, b) }) <= most
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_of_one_sign_are_told_apart() {
        // Short ones and long ones: the same length, start and letters.
        let texts = ["marianna", "mariaann", "an order that is late", "an order that is tale"];
        let of = Computed::Values(Arc::new(texts.map(Val::text).to_vec()));
        let signs = Arc::new(of.signs());
        let asked = Texts::new([of.clone(), of], [signs.clone(), signs], Test::Same);
        for (l, a) in (0_u32..).zip(texts) {
            for (r, b) in (0_u32..).zip(texts) {
                assert_eq!(asked.may_hold(l, r), a.len() == b.len(), "their signs are the same: {a} {b}");
                assert_eq!(asked.first(l, r, &mut Memory::default()).is_some(), a == b, "{a} {b}");
            }
        }
    }

    proptest! {
        /// Whatever signs, short cuts and memory tell is what the distance itself says.
        #[test]
        fn questions_are_answered_as_distances_are(texts in proptest::collection::vec("[abé]{0,6}|[a-c]{14,19}", 1..9), edits in 0..4_u32, limit in 0.3..1.0) {
            let of = Computed::Values(Arc::new(texts.iter().map(|text| Val::text(text.as_str())).collect()));
            let signs = Arc::new(of.signs());
            let (at_most, at_least) = (bit(Less) | bit(Equal), bit(Greater) | bit(Equal));
            let asked = [
                (Distance::Levenshtein, at_most, f64::from(edits)),
                (Distance::DamerauLevenshtein, at_most, f64::from(edits)),
                (Distance::Levenshtein, bit(Less), f64::from(edits)),
                (Distance::Jaro, at_least, limit),
                (Distance::JaroWinkler, at_least, limit),
                (Distance::JaroWinkler, bit(Greater), limit),
                (Distance::Jaccard, at_least, limit),
            ];
            let one = |test: Test| Texts::new([of.clone(), of.clone()], [signs.clone(), signs.clone()], test);
            let mut all = one(Test::Same);
            for (distance, how, limit) in &asked {
                all.ask(one(Test::new(*distance, *how, *limit)));
            }
            let single: Vec<_> = asked.iter().map(|(distance, how, limit)| one(Test::new(*distance, *how, *limit))).collect();
            // Without those that open the gate.
            let (mut closed, of_closed) = (one(Test::Same), asked.iter().skip(3).take(2));
            of_closed.clone().for_each(|(distance, how, limit)| closed.ask(one(Test::new(*distance, *how, *limit))));
            let mut memory = Memory::new();
            for (l, a) in (0_u32..).zip(&texts) {
                for (r, b) in (0_u32..).zip(&texts) {
                    let (a, b) = (a.as_bytes(), b.as_bytes());
                    let said = |(distance, how, limit): &(Distance, u8, f64)| stands(distance.of(a, b), *how, *limit);
                    for (asked, texts) in asked.iter().zip(&single) {
                        prop_assert_eq!(texts.first(l, r, &mut Memory::default()).is_some(), said(asked), "{:?} {:?}", asked, (a, b));
                    }
                    let first = if a == b { Some(0) } else { of_closed.clone().position(said).map(|at| at + 1) };
                    prop_assert_eq!(closed.first(l, r, &mut Memory::default()).map(usize::from), first);
                    prop_assert!(first.is_none() || closed.may_hold(l, r));
                    let first = if a == b { Some(0) } else { asked.iter().position(said).map(|at| at + 1) };
                    for _ in 0..2 {
                        prop_assert_eq!(all.first(l, r, &mut memory).map(usize::from), first);
                    }
                }
            }
        }
    }
}
