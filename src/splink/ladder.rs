//! The conditions of a comparison as steps, gone up by many pairs together.

use super::condition::Node;
use super::memory::Memory;
use super::steps::{Parts, Signed, Step};
use super::texts::Texts;
use std::sync::Arc;

/// The conditions of a comparison, in order.
#[derive(Debug)]
pub(super) struct Ladder<'f> {
    /// With the number of the first condition that each stands for.
    steps: Vec<(u8, Step<'f>)>,
    /// How many of the first steps look at no texts.
    plain: usize,
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
    /// Those of them whose texts may be near each other.
    near: Vec<u32>,
}

fn at(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
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
        let plain = steps.iter().position(|(_, step)| step.reads_signs()).unwrap_or(steps.len());
        Some(Self { steps, plain })
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
        Some(Self::climb(&self.steps, left, right, &mut Memory::default())).filter(|first| *first != NONE).map(usize::from)
    }

    /// The first condition of some steps that holds, [`NONE`] where none does.
    #[inline]
    fn climb(steps: &[(u8, Step<'f>)], left: u32, right: u32, memory: &mut Memory) -> u8 {
        for (number, step) in steps {
            if let Step::Texts(texts) = step {
                if let Some(place) = texts.first(left, right, memory) {
                    return number.saturating_add(place);
                }
            } else if step.holds(left, right) {
                return *number;
            }
        }
        NONE
    }

    /// The first condition that holds, for each pair of classes; out of range where none does. Step by step over many pairs, so that looks at memory
    /// do not wait for each other: first the steps that read next to nothing, then a look at signs and what they tell, then the texts that they leave open.
    pub(super) fn firsts<'n>(&self, [left, right]: [&[u32]; 2], notes: &'n mut Notes, memory: &mut Memory) -> &'n [u8] {
        let Some((plain, signed)) = self.steps.split_at_checked(self.plain) else { return &[] };
        let Notes { first, open, near } = notes;
        first.clear();
        if let [(_, Step::Nothing), (_, Step::SameClass)] = plain {
            // The same as the steps say, without going through them.
            let plainly = |l: u32, r: u32| match (l == 0 || r == 0, l == r) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => NONE,
            };
            first.extend(left.iter().zip(right).map(|(l, r)| plainly(*l, *r)));
        } else {
            first.extend(left.iter().zip(right).map(|(l, r)| Self::climb(plain, *l, *r, memory)));
        }
        let Some((step, later)) = signed.split_first() else { return first };
        open.clear();
        open.extend((0..).zip(first.iter()).filter(|(_, first)| **first == NONE).map(|(place, _): (u32, _)| place));
        let classes = |place: u32| (left.get(at(place)).copied().unwrap_or(0), right.get(at(place)).copied().unwrap_or(0));
        let later = if let (number, Step::Texts(texts)) = step {
            if texts.are_many() {
                let looks = open.iter().map(|place| classes(*place)).map(|(l, r)| texts.look(l, r));
                std::hint::black_box(looks.fold(0, |seen, look| seen ^ look));
            }
            near.clear();
            near.extend(open.iter().copied().filter(|place| {
                let (l, r) = classes(*place);
                texts.may_hold(l, r)
            }));
            for place in near.iter() {
                let (l, r) = classes(*place);
                if let (Some(slot), Some(place)) = (first.get_mut(at(*place)), texts.first(l, r, memory)) {
                    *slot = number.saturating_add(place);
                }
            }
            later
        } else {
            signed
        };
        if later.is_empty() {
            return first;
        }
        for place in open.iter() {
            let (l, r) = classes(*place);
            if let Some(slot) = first.get_mut(at(*place)).filter(|slot| **slot == NONE) {
                *slot = Self::climb(later, l, r, memory);
            }
        }
        first
    }
}
