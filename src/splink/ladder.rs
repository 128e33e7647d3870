//! The conditions of a comparison as steps, gone up by many pairs together.

use super::by_byte::ByByte;
use super::condition::Node;
use super::memory::Memory;
use super::steps::{Parts, Signed, Step};
use super::texts::Texts;
use std::sync::Arc;

/// Pairs that are compared together, so that looks at memory do not wait for each other, and what was looked at is still near: 2 × 256 lines of
/// numbers are 32 KiB. A place among them is a byte.
pub(super) const TOGETHER: usize = 256;

/// The conditions of a comparison, in order.
#[derive(Debug)]
pub(super) struct Ladder<'f> {
    /// With the number of the first condition that each stands for.
    steps: Vec<(u8, Step<'f>)>,
    /// How many of the first steps look at no texts.
    plain: usize,
    /// The condition of the last step where it always holds.
    otherwise: u8,
}

/// No condition holds.
const NONE: u8 = u8::MAX;

/// A number below 256 as a byte.
#[inline]
fn low_byte(number: usize) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low
}

/// Places of pairs at hand, ascending.
#[derive(Debug)]
pub(super) struct Places {
    of: ByByte<u8>,
    count: usize,
}

impl Places {
    pub(super) const NONE: Self = Self { of: ByByte::new([0; TOGETHER]), count: 0 };

    /// Notes those of some places whose answer is yes, and no others. Without a branch: which they are is hard to foretell.
    #[inline]
    fn note(&mut self, places: impl Iterator<Item = u8>, mut answer: impl FnMut(u8) -> bool) {
        let mut count = 0;
        for place in places {
            // Fewer were noted than were asked, so that there is a place for this one.
            self.of[low_byte(count)] = place;
            count += usize::from(answer(place));
        }
        self.count = count;
    }

    /// Notes those of the first `count` places whose answer is yes, and no others.
    #[inline]
    pub(super) fn note_first(&mut self, count: usize, answer: impl FnMut(u8) -> bool) {
        // Not a range of bytes: one that includes its end asks at each step whether it is over.
        self.note((0..count.min(TOGETHER)).map(low_byte), answer);
    }

    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = u8> {
        self.of.iter().take(self.count).copied()
    }
}

/// What a worker notes about the pairs at hand, each list by place.
#[derive(Debug)]
pub(super) struct Notes {
    /// Their classes, on the left and on the right.
    pub(super) classes: [ByByte<u32>; 2],
    /// The first condition that holds.
    first: ByByte<u8>,
    /// Where no condition is known to hold yet.
    open: Places,
    /// Those of them whose texts may be near each other.
    near: Places,
}

impl Notes {
    pub(super) const EMPTY: Self = Self {
        classes: [ByByte::new([0; TOGETHER]), ByByte::new([0; TOGETHER])],
        first: ByByte::new([NONE; TOGETHER]),
        open: Places::NONE,
        near: Places::NONE,
    };
}

/// Whether two steps look at the same signs.
fn same_signs(one: &Texts<'_>, other: &Texts<'_>) -> bool {
    one.signs.iter().zip(&other.signs).all(|(a, b)| Arc::ptr_eq(a, b))
}

impl<'f> Ladder<'f> {
    /// `None` where a condition has another form.
    pub(super) fn new(conditions: &[Node], parts: &Parts<'_, 'f>) -> Option<Self> {
        if conditions.len() >= usize::from(NONE - 1) {
            return None;
        }
        let mut signed = Signed::default();
        let mut steps: Vec<(u8, Step<'f>)> = Vec::new();
        for (number, node) in (0..).zip(conditions) {
            let step = parts.step(node, &mut signed)?;
            // Questions to the same texts are asked together.
            match (steps.last_mut(), step) {
                (Some((_, Step::Texts(before))), Step::Texts(texts)) if same_signs(before, &texts) => before.ask(texts),
                (_, step) => steps.push((number, step)),
            }
        }
        let otherwise = match steps.pop_if(|(_, step)| matches!(step, Step::Always)) {
            Some((number, _)) => number,
            None => NONE,
        };
        let plain = steps.iter().position(|(_, step)| step.reads_signs()).unwrap_or(steps.len());
        Some(Self { steps, plain, otherwise })
    }

    /// What a worker remembers of it when so many records are compared.
    pub(super) fn memory(&self, records: usize) -> Memory {
        let mut texts = self.steps.iter().filter_map(|(_, step)| if let Step::Texts(texts) = step { Some(texts) } else { None });
        // One memory, so answers to one step.
        match (texts.next(), texts.next()) {
            (Some(only), None) if only.repeat(records) => Memory::new(),
            _ => Memory::default(),
        }
    }

    /// The first condition that holds.
    pub(super) fn first(&self, left: u32, right: u32) -> Option<usize> {
        let first = Self::climb(&self.steps, left, right, &mut Memory::default()).unwrap_or(self.otherwise);
        (first != NONE).then_some(usize::from(first))
    }

    /// The first condition of some steps that holds.
    #[inline]
    fn climb(steps: &[(u8, Step<'f>)], left: u32, right: u32, memory: &mut Memory) -> Option<u8> {
        for (number, step) in steps {
            if let Step::Texts(texts) = step {
                if let Some(place) = texts.first(left, right, memory) {
                    return Some(number.saturating_add(place));
                }
            } else if step.holds(left, right) {
                return Some(*number);
            }
        }
        None
    }

    /// The first condition that holds, for each of the first `count` pairs of classes in the notes; out of range where none does. Step by step over
    /// many pairs, so that looks at memory do not wait for each other: first the steps that read next to nothing, then a look at signs and what they
    /// tell, then the texts that they leave open.
    pub(super) fn firsts<'n>(&self, notes: &'n mut Notes, count: usize, memory: &mut Memory) -> &'n [u8] {
        let Some((plain, signed)) = self.steps.split_at_checked(self.plain) else { return &[] };
        let Notes { classes: [left, right], first, open, near } = notes;
        let (left, right) = (&*left, &*right);
        if let [(_, Step::Nothing), (_, Step::SameClass)] = plain {
            // The same as the steps say, without going through them, without a branch, and for all places at once.
            for ((slot, l), r) in first.iter_mut().zip(left.iter()).zip(right.iter()) {
                // Whether they are the same, and above that whether either is missing.
                let told = (u8::from(*l == 0) | u8::from(*r == 0)) << 1 | u8::from(l == r);
                *slot = if told == 0 { self.otherwise } else { u8::from(told == 1) };
            }
            // Beyond the two steps, whose numbers are 0 and 1.
            open.note_first(count, |place| first[place] == self.otherwise);
        } else {
            open.note_first(count, |place| {
                let found = Self::climb(plain, left[place], right[place], memory);
                first[place] = found.unwrap_or(self.otherwise);
                found.is_none()
            });
        }
        let classes = |place: u8| (left[place], right[place]);
        let mut later = signed;
        if let Some(((number, Step::Texts(texts)), after)) = signed.split_first() {
            later = after;
            if texts.are_many() {
                let looks = open.iter().map(classes).map(|(l, r)| texts.look(l, r));
                std::hint::black_box(looks.fold(0, |seen, look| seen ^ look));
            }
            near.note(open.iter(), |place| {
                let (l, r) = classes(place);
                texts.may_hold(l, r)
            });
            for place in near.iter() {
                let (l, r) = classes(place);
                if let Some(found) = texts.first_near(l, r, memory) {
                    first[place] = number.saturating_add(found);
                }
            }
        }
        if !later.is_empty() {
            for place in open.iter() {
                let (l, r) = classes(place);
                let undecided = first[place] == self.otherwise;
                if let Some(found) = undecided.then(|| Self::climb(later, l, r, memory)).flatten() {
                    first[place] = found;
                }
            }
        }
        first.first(count)
    }
}
