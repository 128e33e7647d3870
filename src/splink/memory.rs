//! What a worker has found lately about pairs of classes.

use crate::model::stable_hash::mix;

/// Places: 2¹³ × 8 bytes are 64 KiB, and those of several comparisons stay in the second-level cache together.
const PLACES: u64 = 1 << 13;

/// Bits of a class that are kept; pairs of greater ones are not remembered.
const BITS: u32 = 28;

/// Answers by pair of classes; a later pair takes an earlier one's place.
#[derive(Clone, Default, Debug)]
pub(super) struct Memory {
    /// Left class, right class, answer + 1: an empty place is 0.
    slots: Vec<u64>,
}

impl Memory {
    /// One that remembers. [`Memory::default`] remembers nothing.
    pub(super) fn new() -> Self {
        Self { slots: vec![0; usize::try_from(PLACES).unwrap_or(0)] }
    }

    fn key(left: u32, right: u32) -> Option<u64> {
        ((left | right) >> BITS == 0).then(|| (u64::from(left) << BITS | u64::from(right)) << 8)
    }

    fn place(key: u64) -> usize {
        usize::try_from(mix(key) % PLACES).unwrap_or(0)
    }

    /// What was kept for a pair, where it is still there.
    #[inline]
    pub(super) fn known(&self, left: u32, right: u32) -> Option<u8> {
        if self.slots.is_empty() {
            return None;
        }
        let key = Self::key(left, right)?;
        let slot = *self.slots.get(Self::place(key))?;
        if slot & !255 != key {
            return None;
        }
        u8::try_from(slot & 255).ok().and_then(|answer| answer.checked_sub(1))
    }

    /// Keeps an answer below 255.
    #[inline]
    pub(super) fn keep(&mut self, left: u32, right: u32, answer: u8) {
        let slot = Self::key(left, right).and_then(|key| self.slots.get_mut(Self::place(key)).map(|slot| (slot, key)));
        if let (Some((slot, key)), Some(answer)) = (slot, answer.checked_add(1)) {
            *slot = key | u64::from(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_known_is_what_was_kept(pairs in proptest::collection::vec((0..40_u32, 0..40_u32, any::<u8>()), 1..200)) {
            let (mut memory, mut nothing) = (Memory::new(), Memory::default());
            let mut kept = std::collections::HashMap::new();
            for (left, right, answer) in pairs {
                memory.keep(left, right, answer);
                nothing.keep(left, right, answer);
                if answer < u8::MAX {
                    kept.insert((left, right), answer);
                    prop_assert_eq!(memory.known(left, right), Some(answer));
                }
            }
            for ((left, right), answer) in kept {
                prop_assert!(memory.known(left, right).is_none_or(|known| known == answer));
                prop_assert_eq!(nothing.known(left, right), None);
            }
        }
    }

    #[test]
    fn classes_beyond_28_bits_are_not_mistaken_for_others() {
        let mut memory = Memory::new();
        memory.keep(1 << 28, 0, 3);
        memory.keep(0, 1 << 28, 4);
        assert_eq!(memory.known(1 << 28, 0), None);
        assert_eq!(memory.known(0, 0), None);
        assert_eq!(memory.known(1, 0), None);
    }
}
